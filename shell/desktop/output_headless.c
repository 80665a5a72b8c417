/* No screen: frames are composed in memory, for tests, pictures and machines without a display. */
#include "output.h"

#include <stdio.h>
#include <stdlib.h>

#define WIDTH 1280
#define HEIGHT 800
#define SIZE_MIN 64
#define SIZE_MAX_PX 16384

struct headless {
	struct output output;
	struct canvas canvas;
	bool fresh; /* nothing was drawn in it yet */
};

static bool make_canvas(struct headless *h, int width, int height)
{
	uint32_t *pixels;

	width = width < SIZE_MIN ? SIZE_MIN : width > SIZE_MAX_PX ? SIZE_MAX_PX : width;
	height = height < SIZE_MIN ? SIZE_MIN : height > SIZE_MAX_PX ? SIZE_MAX_PX : height;
	pixels = calloc((size_t)width * (size_t)height, sizeof(*pixels));
	if (!pixels)
		return false;
	free(h->canvas.pixels);
	h->canvas.pixels = pixels;
	h->canvas.width = h->canvas.stride = width;
	h->canvas.height = height;
	h->fresh = true;
	return true;
}

static struct output *open_headless(struct desktop *d, const struct output_setup *setup,
				    char why[256])
{
	struct headless *h = calloc(1, sizeof(*h));

	if (!h || !make_canvas(h, setup->width ? setup->width : WIDTH,
			       setup->height ? setup->height : HEIGHT)) {
		snprintf(why, 256, "no memory for a screen of this size");
		free(h);
		return NULL;
	}
	h->output = (struct output){.cls = &output_headless, .desktop = d};
	desktop_resized(d, h->canvas.width, h->canvas.height,
			setup->scale ? setup->scale : EXO_DPY_SCALE_ONE);
	return &h->output;
}

static struct headless *headless_of(struct output *o)
{
	return (struct headless *)(void *)o; /* its first member */
}

static void close_headless(struct output *o)
{
	free(headless_of(o)->canvas.pixels);
	free(o);
}

static struct canvas begin(struct output *o, unsigned *age)
{
	struct headless *h = headless_of(o);

	*age = h->fresh ? 0 : 1;
	h->fresh = false;
	return h->canvas;
}

static void present(struct output *o, const struct hid_rect *rects, unsigned n) {}

static void cursor(struct output *o, const uint32_t *pixels, int hot_x, int hot_y) {}

static void poll_nothing(struct output *o) {}

static int no_fd(const struct output *o)
{
	return -1;
}

static uint64_t frame_ns(const struct output *o)
{
	return HID_FRAME_NS;
}

static void resize(struct output *o, int width, int height)
{
	struct headless *h = headless_of(o);

	if (make_canvas(h, width, height))
		desktop_resized(o->desktop, h->canvas.width, h->canvas.height, o->desktop->scale);
}

const struct output_class output_headless = {
	.name = "headless",
	.open = open_headless,
	.close = close_headless,
	.begin = begin,
	.present = present,
	.cursor = cursor,
	.poll = poll_nothing,
	.fd = no_fd,
	.frame_ns = frame_ns,
	.resize = resize,
};
