/* Frames taken by the pointer: moving, resizing, snapping, the buttons of titles. See hidmux.h. */
#include "hidmux_impl.h"

#include <stdlib.h>

#define DOUBLE_CLICK_NS 400000000ull

void hid_drag_begin(struct hid *h, struct hid_window *w, uint16_t button, enum hid_zone zone,
		    unsigned edges, uint64_t now_ns)
{
	bool twice = zone == HID_ZONE_TITLE && now_ns && h->click == w->id &&
		     now_ns - h->click_ns < DOUBLE_CLICK_NS;

	h->click = zone == HID_ZONE_TITLE && now_ns && !twice ? w->id : 0;
	h->click_ns = now_ns;
	if (twice) {
		hid_set_maximized(h, w->id, !w->maximized, now_ns);
		return;
	}
	h->drag = (struct hid_drag){
		.id = w->id,
		.button = button,
		.zone = zone,
		.edges = edges,
		.x = h->x,
		.y = h->y,
		.from = w->content,
	};
}

/* A window that fills the screen or half of it floats again, with the pointer on its title. */
static void make_float(struct hid *h, struct hid_window *w)
{
	struct hid_drag *d = &h->drag;
	int64_t across = d->x - w->content.x;

	if (!w->maximized && w->side == HID_SIDE_NONE)
		return;
	w->normal.x = d->x - (int)(across * w->normal.width / w->content.width);
	w->normal.y = w->content.y;
	w->maximized = false;
	w->side = HID_SIDE_NONE;
	d->from = w->normal;
}

/* An edge that comes near the screen's sticks to it. */
static int stick(int at, int size, int from, int length, int reach)
{
	if (abs(at - from) < reach)
		return from;
	if (abs(at + size - from - length) < reach)
		return from + length - size;
	return at;
}

static void move(struct hid *h, struct hid_window *w)
{
	const struct hid_drag *d = &h->drag;
	struct hid_rect area = hid_work_area(h), frame;
	int reach = hid_px(h, 8), x, y;

	make_float(h, w);
	w->normal.x = d->from.x + h->x - d->x;
	w->normal.y = d->from.y + h->y - d->y;
	frame = hid_frame_of(h, w, w->normal);
	x = stick(frame.x, frame.width, area.x, area.width, reach);
	y = stick(frame.y, frame.height, area.y, area.height, reach);
	w->normal.x += x - frame.x;
	w->normal.y += y - frame.y;
}

static void resize(struct hid *h, struct hid_window *w)
{
	const struct hid_drag *d = &h->drag;
	int dx = h->x - d->x, dy = h->y - d->y;
	struct hid_rect r = d->from, limited;

	r.width += d->edges & HID_EDGE_LEFT ? -dx : d->edges & HID_EDGE_RIGHT ? dx : 0;
	r.height += d->edges & HID_EDGE_TOP ? -dy : d->edges & HID_EDGE_BOTTOM ? dy : 0;
	limited = r;
	hid_limit(h, w, &limited);
	r.width = limited.width;
	r.height = limited.height;
	/* The other edge stays. */
	if (d->edges & HID_EDGE_LEFT)
		r.x = d->from.x + d->from.width - r.width;
	if (d->edges & HID_EDGE_TOP)
		r.y = d->from.y + d->from.height - r.height;
	w->side = HID_SIDE_NONE;
	w->normal = r;
}

void hid_drag_move(struct hid *h)
{
	struct hid_drag *d = &h->drag;
	struct hid_window *w = hid_find(h, d->id);
	int slack = hid_px(h, 4);

	if (!w || (d->zone != HID_ZONE_TITLE && d->zone != HID_ZONE_EDGE))
		return;
	if (!d->moved && abs(h->x - d->x) < slack && abs(h->y - d->y) < slack)
		return;
	if (w->fullscreen || hid_tiled(h, w))
		return;
	d->moved = true;
	h->click = 0;
	if (d->zone == HID_ZONE_TITLE)
		move(h, w);
	else
		resize(h, w);
	hid_settle(h);
}

/* Let go at the screen's edge: the top takes all of it, the sides half. */
static void snap(struct hid *h, struct hid_window *w)
{
	if (w->setup.bare || w->setup.modal)
		return;
	if (h->y <= hid_strip_height(h))
		w->maximized = true;
	else if (h->x <= 0)
		w->side = HID_SIDE_LEFT;
	else if (h->x >= h->config.width - 1)
		w->side = HID_SIDE_RIGHT;
}

void hid_drag_end(struct hid *h, uint64_t now_ns)
{
	struct hid_drag d = h->drag;
	struct hid_window *w = hid_find(h, d.id), *at;
	enum hid_zone zone;
	unsigned edges;

	h->drag.id = 0;
	if (!w)
		return;
	if (d.zone == HID_ZONE_TITLE && d.moved)
		snap(h, w);
	hid_settle(h);
	at = hid_zone_at(h, h->x, h->y, &zone, &edges);
	if (at != w || zone != d.zone)
		return;
	if (zone == HID_ZONE_MAXIMIZE)
		hid_set_maximized(h, d.id, !w->maximized, now_ns);
	else if (zone == HID_ZONE_MINIMIZE)
		hid_set_minimized(h, d.id, true, now_ns);
	else if (zone == HID_ZONE_CLOSE)
		h->ops->close(h->opaque, d.id);
}
