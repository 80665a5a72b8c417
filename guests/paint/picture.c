/* See picture.h. Files are decoded by stb_image: what a hostile one can reach is this machine. */
#include "picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS PICTURE_SIDE_MAX
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#define UNDO_BYTES (24u << 20)
#define WHITE 0xffffffffu

static size_t bytes_of(const struct exo_surface *s)
{
	return (size_t)s->width * s->height * sizeof(uint32_t);
}

static void drop_oldest(struct picture *p)
{
	free(p->undo[0].pixels);
	memmove(p->undo, p->undo + 1, --p->nundo * sizeof(p->undo[0]));
}

/* Takes over the surface's pixels. */
static void keep(struct picture *p, struct exo_surface s)
{
	size_t all = bytes_of(&s);

	if (p->nundo == PICTURE_UNDO_MAX)
		drop_oldest(p);
	p->undo[p->nundo++] = s;
	for (unsigned i = 0; i + 1 < p->nundo; i++)
		all += bytes_of(&p->undo[i]);
	while (all > UNDO_BYTES && p->nundo > 1) {
		all -= bytes_of(&p->undo[0]);
		drop_oldest(p);
	}
}

int picture_new(struct picture *p, unsigned width, unsigned height)
{
	struct exo_surface s = {.width = width, .height = height, .stride = width};

	if (!width || !height || width > PICTURE_SIDE_MAX || height > PICTURE_SIDE_MAX) {
		errno = EINVAL;
		return -1;
	}
	s.pixels = malloc(bytes_of(&s));
	if (!s.pixels)
		return -1;
	if (p->s.pixels)
		keep(p, p->s);
	p->s = s;
	exo_fill(&p->s, WHITE);
	return 0;
}

int picture_decode(struct picture *p, const void *bytes, size_t n, const char **why)
{
	int width, height, channels;
	unsigned char *rgba;

	*why = "too large";
	if (n > 64u << 20)
		return -1;
	rgba = stbi_load_from_memory(bytes, (int)n, &width, &height, &channels, 4);
	if (!rgba) {
		*why = stbi_failure_reason();
		return -1;
	}
	*why = "no memory, or too large";
	if (picture_new(p, (unsigned)width, (unsigned)height)) {
		stbi_image_free(rgba);
		return -1;
	}
	/* Over white. */
	for (size_t i = 0; i < (size_t)width * (size_t)height; i++) {
		unsigned a = rgba[4 * i + 3], back = 255 * (255 - a);

		p->s.pixels[i] =
			EXO_RGB((rgba[4 * i] * a + back) / 255, (rgba[4 * i + 1] * a + back) / 255,
				(rgba[4 * i + 2] * a + back) / 255);
	}
	stbi_image_free(rgba);
	return 0;
}

struct output {
	unsigned char *bytes;
	size_t n, room;
	bool failed;
};

static void write_out(void *context, void *data, int size)
{
	struct output *o = context;
	unsigned char *more;

	if (o->failed)
		return;
	if (o->n + (size_t)size > o->room) {
		o->room = 2 * o->room + (size_t)size;
		more = realloc(o->bytes, o->room);
		if (!more) {
			o->failed = true;
			return;
		}
		o->bytes = more;
	}
	memcpy(o->bytes + o->n, data, (size_t)size);
	o->n += (size_t)size;
}

void *picture_encode(const struct picture *p, size_t *n)
{
	size_t pixels = (size_t)p->s.width * p->s.height;
	unsigned char *rgb = malloc(pixels * 3);
	struct output o = {0};

	if (!rgb)
		return NULL;
	for (size_t i = 0; i < pixels; i++) {
		rgb[3 * i] = (unsigned char)(p->s.pixels[i] >> 16);
		rgb[3 * i + 1] = (unsigned char)(p->s.pixels[i] >> 8);
		rgb[3 * i + 2] = (unsigned char)p->s.pixels[i];
	}
	if (!stbi_write_png_to_func(write_out, &o, (int)p->s.width, (int)p->s.height, 3, rgb,
				    (int)p->s.width * 3))
		o.failed = true;
	free(rgb);
	if (o.failed) {
		free(o.bytes);
		return NULL;
	}
	*n = o.n;
	return o.bytes;
}

void picture_remember(struct picture *p)
{
	struct exo_surface s = p->s;

	s.pixels = malloc(bytes_of(&s));
	if (!s.pixels)
		return; /* painted all the same */
	memcpy(s.pixels, p->s.pixels, bytes_of(&s));
	keep(p, s);
}

bool picture_undo(struct picture *p)
{
	if (!p->nundo)
		return false;
	free(p->s.pixels);
	p->s = p->undo[--p->nundo];
	return true;
}

/* ---- tools ------------------------------------------------------------------------------ */

static void ellipse(const struct exo_surface *s, int x0, int y0, int x1, int y1, int thickness,
		    uint32_t colour)
{
	/* Points of the unit circle, in 1024ths: an eighth, mirrored. */
	static const int cosine[9] = {1024, 1019, 1004, 980, 946, 903, 851, 792, 724};
	static const int sine[9] = {0, 100, 200, 297, 392, 483, 569, 650, 724};
	int cx = 8 * (x0 + x1), cy = 8 * (y0 + y1), rx = 8 * (x1 - x0), ry = 8 * (y1 - y0);
	int px = cx + rx, py = cy;

	for (int i = 1; i <= 64; i++) {
		int quarter = i / 16, at = i % 16;
		int c = at <= 8 ? cosine[at] : sine[16 - at],
		    sn = at <= 8 ? sine[at] : cosine[16 - at];
		int x = quarter % 2 ? -sn : c, y = quarter % 2 ? c : sn;

		if (quarter == 2 || quarter == 3) {
			x = -x;
			y = -y;
		}
		x = cx + rx * x / 1024;
		y = cy + ry * y / 1024;
		exo_line(s, px, py, x, y, thickness * 16, colour);
		px = x;
		py = y;
	}
}

void picture_apply(const struct exo_surface *s, enum tool tool, int x0, int y0, int x1, int y1,
		   int thickness, uint32_t colour)
{
	switch (tool) {
	case TOOL_RECTANGLE:
		exo_rect(s, x0 < x1 ? x0 : x1, y0 < y1 ? y0 : y1, abs(x1 - x0) + 1,
			 abs(y1 - y0) + 1, thickness, colour);
		break;
	case TOOL_ELLIPSE:
		ellipse(s, x0, y0, x1, y1, thickness, colour);
		break;
	case TOOL_FILL:
		picture_fill(s, x1, y1, colour);
		break;
	default:
		exo_line(s, 16 * x0 + 8, 16 * y0 + 8, 16 * x1 + 8, 16 * y1 + 8, 16 * thickness,
			 tool == TOOL_ERASER ? WHITE : colour);
		exo_circle(s, 16 * x1 + 8, 16 * y1 + 8, 8 * thickness,
			   tool == TOOL_ERASER ? WHITE : colour);
	}
}

struct span {
	unsigned x, y;
};

void picture_fill(const struct exo_surface *s, int x, int y, uint32_t colour)
{
	struct span *stack;
	size_t n = 0, room = 4096;
	uint32_t old;

	if (x < 0 || y < 0 || (unsigned)x >= s->width || (unsigned)y >= s->height)
		return;
	old = s->pixels[(size_t)y * s->stride + (unsigned)x];
	stack = old == colour ? NULL : malloc(room * sizeof(*stack));
	if (!stack)
		return;
	stack[n++] = (struct span){(unsigned)x, (unsigned)y};
	while (n) {
		struct span at = stack[--n];
		uint32_t *row = s->pixels + (size_t)at.y * s->stride;
		unsigned left = at.x, right = at.x;

		if (row[at.x] != old)
			continue;
		while (left && row[left - 1] == old)
			left--;
		while (right + 1 < s->width && row[right + 1] == old)
			right++;
		for (unsigned i = left; i <= right; i++)
			row[i] = colour;
		for (int step = -1; step <= 1; step += 2) {
			unsigned next = at.y + (unsigned)step;
			const uint32_t *other = s->pixels + (size_t)next * s->stride;

			if (next >= s->height)
				continue;
			for (unsigned i = left; i <= right; i++) {
				if (other[i] != old || (i > left && other[i - 1] == old))
					continue;
				if (n == room) {
					struct span *more =
						realloc(stack, 2 * room * sizeof(*more));

					if (!more)
						goto out;
					stack = more;
					room *= 2;
				}
				stack[n++] = (struct span){i, next};
			}
		}
	}
out:
	free(stack);
}
