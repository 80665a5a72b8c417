/* Where windows are: floating with a good place for new ones, or tiles. See hidmux.h. */
#include "hidmux_impl.h"

#include <limits.h>
#include <stdlib.h>

/* ---- frames and limits ---------------------------------------------------------------- */

struct hid_rect hid_work_area(const struct hid *h)
{
	int strip = hid_strip_height(h);
	int height = h->config.height - strip;

	return (struct hid_rect){0, strip, h->config.width, height > 0 ? height : 1};
}

bool hid_framed(const struct hid_window *w)
{
	return !w->setup.bare && !w->fullscreen;
}

bool hid_tiled(const struct hid *h, const struct hid_window *w)
{
	return h->config.layout == HID_TILING && !w->setup.panel && !w->minimized && !w->fullscreen;
}

struct hid_rect hid_frame_of(const struct hid *h, const struct hid_window *w,
			     struct hid_rect content)
{
	int border = hid_px(h, h->config.border), title = hid_px(h, h->config.title);

	if (!hid_framed(w))
		return content;
	return (struct hid_rect){content.x - border, content.y - border - title,
				 content.width + 2 * border, content.height + 2 * border + title};
}

/* The content of a window whose frame fills this. */
static struct hid_rect content_in(const struct hid *h, const struct hid_window *w,
				  struct hid_rect frame)
{
	int border = hid_px(h, h->config.border), title = hid_px(h, h->config.title);

	if (hid_framed(w)) {
		frame.x += border;
		frame.y += border + title;
		frame.width -= 2 * border;
		frame.height -= 2 * border + title;
	}
	frame.width = frame.width < 1 ? 1 : frame.width;
	frame.height = frame.height < 1 ? 1 : frame.height;
	return frame;
}

static int limit_size(int size, int least, int most, int room)
{
	if (room > 0 && size > room)
		size = room;
	if (most > 0 && size > most)
		size = most;
	if (size < least)
		size = least;
	return size < 1 ? 1 : size > HID_SIZE_MAX ? HID_SIZE_MAX : size;
}

/* The first limit is the stronger one. */
static int limit_place(int at, int least, int most)
{
	return at > most && most >= least ? most : at > most || at < least ? least : at;
}

void hid_limit(const struct hid *h, const struct hid_window *w, struct hid_rect *content)
{
	const struct hid_window_setup *s = &w->setup;
	struct hid_rect area = hid_work_area(h), room = content_in(h, w, area), frame;
	int keep = hid_px(h, 48), title = hid_px(h, h->config.title);

	content->width = limit_size(content->width, s->min_width ? s->min_width : hid_px(h, 32),
				    s->max_width, room.width);
	content->height = limit_size(content->height, s->min_height ? s->min_height : hid_px(h, 16),
				     s->max_height, room.height);
	frame = hid_frame_of(h, w, *content);
	content->x += limit_place(frame.x, keep - frame.width, area.width - keep) - frame.x;
	content->y += limit_place(frame.y, area.y, h->config.height - title) - frame.y;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

/* The n-th of `count` parts of a length. */
static void part_of(int at, int length, unsigned n, unsigned count, int *from, int *size)
{
	*from = at + (int)((int64_t)length * n / count);
	*size = at + (int)((int64_t)length * (n + 1) / count) - *from;
}

/* The first has the left half, the others share the right one in as many columns as it takes. */
static struct hid_rect tile(const struct hid *h, unsigned n, unsigned count)
{
	struct hid_rect area = hid_work_area(h), r = area;
	unsigned columns = 1, others = count - 1, rows, column;

	if (count == 1)
		return area;
	if (!n) {
		r.width = area.width / 2;
		return r;
	}
	while (others > 3 * columns * columns)
		columns++;
	rows = (others + columns - 1) / columns;
	column = (n - 1) / rows;
	if (column == (others - 1) / rows)
		part_of(area.y, area.height, (n - 1) % rows, (others - 1) % rows + 1, &r.y,
			&r.height);
	else
		part_of(area.y, area.height, (n - 1) % rows, rows, &r.y, &r.height);
	columns = (others - 1) / rows + 1;
	part_of(area.x + area.width / 2, area.width - area.width / 2, column, columns, &r.x,
		&r.width);
	return r;
}

/* Tiles stand in the order in which windows came. */
static struct hid_rect tile_of(const struct hid *h, const struct hid_window *w)
{
	unsigned n = 0, count = 0;

	for (unsigned i = 0; i < h->count; i++) {
		if (!hid_tiled(h, h->stack[i]))
			continue;
		count++;
		n += h->stack[i]->id < w->id;
	}
	return tile(h, n, count);
}

static struct hid_rect wanted_content(const struct hid *h, struct hid_window *w)
{
	struct hid_rect area = hid_work_area(h), r = w->normal;

	if (w->fullscreen)
		return area;
	if (hid_tiled(h, w))
		return content_in(h, w, tile_of(h, w));
	if (w->side == HID_SIDE_RIGHT)
		area.x += area.width / 2;
	if (w->side != HID_SIDE_NONE)
		area.width /= 2;
	if (w->maximized || w->side != HID_SIDE_NONE)
		r = content_in(h, w, area);
	hid_limit(h, w, &r);
	if (!w->maximized && w->side == HID_SIDE_NONE)
		w->normal = r;
	return r;
}

/* ---- settling ---------------------------------------------------------------------------------
 */

static bool same(const struct hid_rect *a, const struct hid_rect *b)
{
	return a->x == b->x && a->y == b->y && a->width == b->width && a->height == b->height;
}

static void tell(struct hid *h, struct hid_window *w)
{
	if (w->told && w->told_width == w->content.width && w->told_height == w->content.height &&
	    w->told_visible == w->visible)
		return;
	w->told = true;
	w->told_width = w->content.width;
	w->told_height = w->content.height;
	w->told_visible = w->visible;
	h->ops->configure(h->opaque, w->id, w->content.width, w->content.height, w->visible);
}

void hid_settle(struct hid *h)
{
	struct hid_rect content[HID_WINDOWS_MAX];
	bool changed[HID_WINDOWS_MAX] = {0};

	/* What is uncovered is that of the old picture, what covers that of the new one. */
	for (unsigned i = 0; i < h->count; i++) {
		struct hid_window *w = h->stack[i];
		struct hid_rect frame;

		content[i] = wanted_content(h, w);
		frame = hid_frame_of(h, w, content[i]);
		changed[i] = w->shown == w->minimized || !same(&content[i], &w->content) ||
			     !same(&frame, &w->frame);
		if (changed[i] && w->shown)
			hid_damage_seen(h, w, &w->frame);
	}
	for (unsigned i = 0; i < h->count; i++) {
		struct hid_window *w = h->stack[i];

		w->content = content[i];
		w->frame = hid_frame_of(h, w, content[i]);
		w->shown = !w->minimized;
	}
	for (unsigned i = 0; i < h->count; i++) {
		struct hid_window *w = h->stack[i];

		if (changed[i] && w->shown)
			hid_damage_seen(h, w, &w->frame);
		w->visible = w->shown && hid_seen(h, w, &w->frame);
	}
	for (unsigned i = 0; i < h->count; i++)
		tell(h, h->stack[i]);
	hid_refresh_hover(h);
}

/* ---- a place for a new window ------------------------------------------------------------- */

#define NEIGHBOURS 16 /* windows that are looked at: the topmost */

static int64_t overlap(struct hid_rect a, const struct hid_rect *b)
{
	return hid_clip(&a, b) ? (int64_t)a.width * a.height : 0;
}

/* How bad it is to be there: what it covers, four times for the focus; then how far off centre. */
static int64_t badness(const struct hid *h, const struct hid_rect *frame,
		       const struct hid_rect *area)
{
	int64_t dx = frame->x + frame->width / 2 - (area->x + area->width / 2);
	int64_t dy = frame->y + frame->height / 2 - (area->y + area->height / 2);
	int64_t bad = (dx < 0 ? -dx : dx) + (dy < 0 ? -dy : dy);
	unsigned seen = 0;

	for (unsigned i = h->count; i-- > 0 && seen < NEIGHBOURS;) {
		const struct hid_window *w = h->stack[i];

		if (!w->shown || w->setup.panel)
			continue;
		seen++;
		bad += overlap(*frame, &w->frame) * (w->id == h->focused ? 4 : 1);
	}
	return bad;
}

/* Along an axis: the middle, both ends, and beside each neighbour. */
static unsigned candidates(const struct hid *h, int at, int length, int size, bool across,
			   int out[3 + 2 * NEIGHBOURS])
{
	int gap = hid_px(h, 16);
	unsigned n = 0, seen = 0;

	out[n++] = at + (length - size) / 2;
	out[n++] = at + gap;
	out[n++] = at + length - size - gap;
	for (unsigned i = h->count; i-- > 0 && seen < NEIGHBOURS;) {
		const struct hid_rect *f = &h->stack[i]->frame;

		if (!h->stack[i]->shown || h->stack[i]->setup.panel)
			continue;
		seen++;
		out[n++] = across ? f->x + f->width + gap : f->y + f->height + gap;
		out[n++] = across ? f->x - size - gap : f->y - size - gap;
	}
	return n;
}

static int64_t best_place(const struct hid *h, struct hid_rect *frame)
{
	struct hid_rect area = hid_work_area(h), best = *frame;
	int xs[3 + 2 * NEIGHBOURS], ys[3 + 2 * NEIGHBOURS];
	unsigned nx = candidates(h, area.x, area.width, frame->width, true, xs);
	unsigned ny = candidates(h, area.y, area.height, frame->height, false, ys);
	int64_t least = INT64_MAX;

	for (unsigned i = 0; i < nx * ny; i++) {
		struct hid_rect r = {xs[i % nx], ys[i / nx], frame->width, frame->height};
		int64_t bad;

		if (i && (r.x < area.x || r.y < area.y || r.x + r.width > area.x + area.width ||
			  r.y + r.height > area.y + area.height))
			continue;
		bad = badness(h, &r, &area);
		if (bad < least) {
			least = bad;
			best = r;
		}
	}
	*frame = best;
	return least;
}

void hid_find_place(struct hid *h, struct hid_window *w)
{
	struct hid_rect area = hid_work_area(h), frame;
	int step = hid_px(h, h->config.title) + hid_px(h, h->config.border);
	int across, down;

	hid_limit(h, w, &w->normal);
	frame = hid_frame_of(h, w, w->normal);
	across = area.width - frame.width;
	down = area.height - frame.height;
	if (w->setup.panel) {
		frame.x = area.x + across / 2;
		frame.y = area.y + down / 3;
	} else if (best_place(h, &frame) > (int64_t)frame.width * frame.height / 3) {
		/* No room: one below the other's title, in rows from the top left corner. */
		unsigned turns = down > step ? (unsigned)(down / step) : 1;
		unsigned n = h->cascade++;

		frame.x = area.x + step + (int)(n % turns + n / turns) * step;
		frame.y = area.y + step / 2 + (int)(n % turns) * step;
		if (across > 0)
			frame.x = area.x + (frame.x - area.x) % (across + 1);
		else
			frame.x = area.x;
	}
	w->normal = content_in(h, w, frame);
	hid_limit(h, w, &w->normal);
}
