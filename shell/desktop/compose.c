/*
 * From windows to the screen. What is opaque hides what is below, and everything here is: so the
 * damaged parts are given out from the top down, each pixel is drawn once, and what is
 * hidden costs nothing. A guest's picture is read from its picture memory: a plain copy
 * when it has the window's size and the screen's format, else by pixman.
 */
#include "compose_impl.h"

#include <pixman.h>
#include <string.h>

static pixman_box32_t *boxes_of(pixman_region32_t *r, int *n)
{
	return pixman_region32_rectangles(r, n);
}

static struct canvas part_at(const struct canvas *c, const pixman_box32_t *b)
{
	return paint_part(c, b->x1, b->y1, b->x2 - b->x1, b->y2 - b->y1);
}

/* ---- pictures ------------------------------------------------------------------------ */

static void copy_box(const struct canvas *to, const struct canvas *from, const pixman_box32_t *b,
		     int left, int top)
{
	size_t bytes = (size_t)(b->x2 - b->x1) * sizeof(uint32_t);

	for (int y = b->y1; y < b->y2; y++)
		memcpy(to->pixels + (ptrdiff_t)y * to->stride + b->x1,
		       from->pixels + (ptrdiff_t)(y - top) * from->stride + (b->x1 - left), bytes);
}

static pixman_image_t *image_of(const struct canvas *c, uint32_t format)
{
	return pixman_image_create_bits_no_clear(
		format == EXO_DPY_FORMAT_XBGR ? PIXMAN_x8b8g8r8 : PIXMAN_x8r8g8b8, c->width,
		c->height, c->pixels, c->stride * (int)sizeof(uint32_t));
}

/* To another size, smoothed unless each pixel becomes a whole number of them. */
static void set_scaling(pixman_image_t *image, const struct canvas *from, const struct hid_rect *to)
{
	pixman_transform_t t;
	bool whole = to->width % from->width == 0 && to->height % from->height == 0;

	if (from->width == to->width && from->height == to->height)
		return;
	pixman_transform_init_scale(&t, (pixman_fixed_t)(((int64_t)from->width << 16) / to->width),
				    (pixman_fixed_t)(((int64_t)from->height << 16) / to->height));
	pixman_image_set_transform(image, &t);
	pixman_image_set_filter(image, whole ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_BILINEAR, NULL,
				0);
	pixman_image_set_repeat(image, PIXMAN_REPEAT_PAD);
}

static void convert(const struct canvas *to, const struct canvas *from, uint32_t format,
		    const struct hid_rect *content, pixman_region32_t *seen)
{
	pixman_image_t *source = image_of(from, format), *target = image_of(to, 0);

	if (source && target) {
		set_scaling(source, from, content);
		pixman_image_set_clip_region32(target, seen);
		pixman_image_composite32(PIXMAN_OP_SRC, source, NULL, target, 0, 0, 0, 0,
					 content->x, content->y, content->width, content->height);
	}
	if (source)
		pixman_image_unref(source);
	if (target)
		pixman_image_unref(target);
}

static void fill(const struct canvas *to, pixman_region32_t *seen, uint32_t colour)
{
	int n;
	pixman_box32_t *b = boxes_of(seen, &n);

	for (int i = 0; i < n; i++) {
		struct canvas part = part_at(to, &b[i]);

		paint_fill(&part, colour);
	}
}

static void draw_picture(const struct canvas *to, const struct canvas *from, uint32_t format,
			 const struct hid_rect *content, pixman_region32_t *seen)
{
	int n;
	pixman_box32_t *b = boxes_of(seen, &n);

	if (format == EXO_DPY_FORMAT_XBGR || from->width != content->width ||
	    from->height != content->height) {
		convert(to, from, format, content, seen);
		return;
	}
	for (int i = 0; i < n; i++)
		copy_box(to, from, &b[i], content->x, content->y);
}

static void draw_content(struct desktop *d, const struct canvas *c,
			 const struct hid_window_info *info, pixman_region32_t *seen)
{
	const struct hid_rect *r = &info->content;
	struct panel *p = info->panel ? panel_of_window(d, info->id) : NULL;
	uint32_t format = EXO_DPY_FORMAT_XRGB;
	struct canvas from = {0};
	unsigned scanout;
	struct dguest *g = p ? NULL : guests_of_window(d, info->id, &scanout);

	if (g && g->screen && screen_picture(g->screen, scanout, &from, &format))
		draw_picture(c, &from, format, r, seen);
	else if (p && p->canvas.width == r->width && p->canvas.height == r->height)
		draw_picture(c, &p->canvas, format, r, seen);
	else
		fill(c, seen, d->theme.panel);
}

/* ---- what is where -------------------------------------------------------------------- */

/* Takes from *todo what lies in r, into *out. False: nothing. */
static bool take(pixman_region32_t *todo, pixman_region32_t *out, const struct hid_rect *r)
{
	if (r->width <= 0 || r->height <= 0)
		return false;
	pixman_region32_intersect_rect(out, todo, r->x, r->y, (unsigned)r->width,
				       (unsigned)r->height);
	if (!pixman_region32_not_empty(out))
		return false;
	pixman_region32_subtract(todo, todo, out);
	return true;
}

/* A panel without a frame has a line around it all the same: what lies below may look alike. */
static void draw_edge(struct desktop *d, const struct canvas *c, const struct hid_window_info *info,
		      pixman_region32_t *seen)
{
	const struct hid_rect *r = &info->content;
	int n;
	pixman_box32_t *b = boxes_of(seen, &n);

	for (int i = 0; i < n; i++) {
		struct canvas part = part_at(c, &b[i]);

		paint_frame(&part, r->x - b[i].x1, r->y - b[i].y1, r->width, r->height,
			    desktop_px(d, 1), d->theme.border);
	}
}

static void draw_window(struct desktop *d, const struct canvas *c,
			const struct hid_window_info *info, pixman_region32_t *seen)
{
	pixman_region32_t inner;
	pixman_box32_t *b;
	int n;

	pixman_region32_init(&inner);
	if (take(seen, &inner, &info->content))
		draw_content(d, c, info, &inner);
	if (info->panel && info->frame.width == info->content.width)
		draw_edge(d, c, info, &inner);
	pixman_region32_fini(&inner);
	b = boxes_of(seen, &n);
	for (int i = 0; i < n; i++) {
		struct canvas part = part_at(c, &b[i]);

		compose_frame(d, &part, b[i].x1, b[i].y1, info);
	}
}

static void draw_windows(struct desktop *d, const struct canvas *c, pixman_region32_t *todo)
{
	hid_id ids[HID_WINDOWS_MAX];
	unsigned n = hid_stack(d->hid, ids, HID_WINDOWS_MAX);
	struct hid_window_info info;
	pixman_region32_t seen;

	pixman_region32_init(&seen);
	while (n-- && pixman_region32_not_empty(todo)) {
		if (hid_info(d->hid, ids[n], &info) && !info.minimized &&
		    take(todo, &seen, &info.frame))
			draw_window(d, c, &info, &seen);
	}
	pixman_region32_fini(&seen);
}

static void draw_rest(struct desktop *d, const struct canvas *c, pixman_region32_t *todo,
		      void (*draw)(struct desktop *d, const struct canvas *c, int left, int top))
{
	int n;
	pixman_box32_t *b = boxes_of(todo, &n);

	for (int i = 0; i < n; i++) {
		struct canvas part = part_at(c, &b[i]);

		draw(d, &part, b[i].x1, b[i].y1);
	}
}

void compose(struct desktop *d, const struct canvas *c, const struct hid_rect *rects, unsigned n)
{
	struct hid_rect strip = hid_strip(d->hid);
	pixman_region32_t todo, part;

	pixman_region32_init(&todo);
	pixman_region32_init(&part);
	for (unsigned i = 0; i < n; i++)
		pixman_region32_union_rect(&todo, &todo, rects[i].x, rects[i].y,
					   (unsigned)rects[i].width, (unsigned)rects[i].height);
	pixman_region32_intersect_rect(&todo, &todo, 0, 0, (unsigned)c->width, (unsigned)c->height);
	if (take(&todo, &part, &strip))
		draw_rest(d, c, &part, compose_strip);
	draw_windows(d, c, &todo);
	draw_rest(d, c, &todo, compose_background);
	pixman_region32_fini(&todo);
	pixman_region32_fini(&part);
}
