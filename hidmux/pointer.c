/* The pointer, its buttons and wheel: to whom. See hidmux.h. */
#include "hidmux_impl.h"

#include <linux/input-event-codes.h>

/* ---- what is where ---------------------------------------------------------------------- */

struct hid_rect hid_title_of(const struct hid *h, const struct hid_window *w)
{
	int border = hid_px(h, h->config.border);

	if (!hid_framed(w))
		return (struct hid_rect){0};
	return (struct hid_rect){w->frame.x + border, w->frame.y + border, w->content.width,
				 hid_px(h, h->config.title)};
}

struct hid_rect hid_title_button(const struct hid *h, hid_id id, enum hid_title_button button)
{
	const struct hid_window *w = hid_find(h, id);
	struct hid_rect title = w ? hid_title_of(h, w) : (struct hid_rect){0};
	int from_right = (int)button + 1;

	if (!title.width || title.width < from_right * title.height ||
	    (w->setup.modal && button != HID_TITLE_CLOSE))
		return (struct hid_rect){0};
	return (struct hid_rect){title.x + title.width - from_right * title.height, title.y,
				 title.height, title.height};
}

static bool resizable(const struct hid *h, const struct hid_window *w)
{
	return hid_framed(w) && !w->maximized && !hid_tiled(h, w) && !w->setup.modal;
}

/* The edges of w that a press there would take: its border, and a bit around it. */
static unsigned edges_at(const struct hid *h, const struct hid_window *w, int x, int y)
{
	int border = hid_px(h, h->config.border), grip = hid_px(h, 4), corner = hid_px(h, 14);
	const struct hid_rect *f = &w->frame;
	const struct hid_rect out = {f->x - grip, f->y - grip, f->width + 2 * grip,
				     f->height + 2 * grip};
	const struct hid_rect in = {f->x + border, f->y + border, f->width - 2 * border,
				    f->height - 2 * border};
	unsigned edges = 0;

	if (!resizable(h, w) || !hid_inside(&out, x, y) || hid_inside(&in, x, y))
		return 0;
	edges |= x < f->x + corner ? HID_EDGE_LEFT : 0;
	edges |= x >= f->x + f->width - corner ? HID_EDGE_RIGHT : 0;
	edges |= y < f->y + corner ? HID_EDGE_TOP : 0;
	edges |= y >= f->y + f->height - corner ? HID_EDGE_BOTTOM : 0;
	if ((edges & HID_EDGE_LEFT) && (edges & HID_EDGE_RIGHT))
		edges &= ~HID_EDGE_LEFT;
	if ((edges & HID_EDGE_TOP) && (edges & HID_EDGE_BOTTOM))
		edges &= ~HID_EDGE_TOP;
	return edges;
}

static enum hid_zone zone_in(const struct hid *h, const struct hid_window *w, int x, int y)
{
	static const enum hid_zone zones[] = {HID_ZONE_CLOSE, HID_ZONE_MAXIMIZE, HID_ZONE_MINIMIZE};

	if (hid_inside(&w->content, x, y))
		return HID_ZONE_CONTENT;
	for (unsigned i = 0; i < 3; i++) {
		struct hid_rect r = hid_title_button(h, w->id, (enum hid_title_button)i);

		if (hid_inside(&r, x, y))
			return zones[i];
	}
	return HID_ZONE_TITLE;
}

struct hid_window *hid_zone_at(const struct hid *h, int x, int y, enum hid_zone *zone,
			       unsigned *edges)
{
	const struct hid_window *modal = hid_modal(h);

	*zone = HID_ZONE_NONE;
	*edges = 0;
	if (y < hid_strip_height(h))
		return NULL;
	for (unsigned i = h->count; i-- > 0;) {
		struct hid_window *w = h->stack[i];

		if (!w->shown)
			continue;
		*edges = edges_at(h, w, x, y);
		if (!*edges && !hid_inside(&w->frame, x, y))
			continue;
		if (modal && modal != w)
			break;
		*zone = *edges ? HID_ZONE_EDGE : zone_in(h, w, x, y);
		return w;
	}
	*edges = 0;
	return NULL;
}

/* Whose content has the pointer now; NULL: the shell's, or nobody's. */
static struct hid_window *under_pointer(const struct hid *h)
{
	enum hid_zone zone;
	unsigned edges;
	struct hid_window *w;

	if (h->captured)
		return hid_find(h, h->captured);
	w = hid_zone_at(h, h->x, h->y, &zone, &edges);
	return h->drag.id || zone != HID_ZONE_CONTENT ? NULL : w;
}

static void leave(struct hid *h, hid_id to)
{
	hid_id from = h->hover;

	if (from == to)
		return;
	h->hover = to;
	if (from)
		h->ops->leave(h->opaque, from);
}

void hid_refresh_hover(struct hid *h)
{
	const struct hid_window *w = under_pointer(h);

	if (!w || w->id != h->hover)
		leave(h, 0);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static void say_position(struct hid *h, const struct hid_window *w, uint64_t now_ns)
{
	leave(h, w->id);
	h->ops->pointer(h->opaque, w->id, h->x - w->content.x, h->y - w->content.y, now_ns);
}

static int on_screen(int at, int size)
{
	return at < 0 ? 0 : at >= size ? size - 1 : at;
}

void hid_pointer(struct hid *h, int x, int y, uint64_t now_ns)
{
	const struct hid_window *w;

	h->x = on_screen(x, h->config.width);
	h->y = on_screen(y, h->config.height);
	if (h->drag.id) {
		leave(h, 0);
		hid_drag_move(h);
		return;
	}
	w = under_pointer(h);
	if (w)
		say_position(h, w, now_ns);
	else
		leave(h, 0);
}

void hid_motion(struct hid *h, int dx, int dy, uint64_t now_ns)
{
	int64_t x = (int64_t)h->x + dx, y = (int64_t)h->y + dy;

	hid_pointer(h,
		    x < 0              ? 0
		    : x > HID_SIZE_MAX ? HID_SIZE_MAX
				       : (int)x,
		    y < 0              ? 0
		    : y > HID_SIZE_MAX ? HID_SIZE_MAX
				       : (int)y,
		    now_ns);
}

void hid_pointer_at(const struct hid *h, int *x, int *y)
{
	*x = h->x;
	*y = h->y;
}

hid_id hid_pointer_over(const struct hid *h)
{
	return h->hover;
}

void hid_wheel(struct hid *h, int dx, int dy, uint64_t now_ns)
{
	const struct hid_window *w = under_pointer(h);

	if (!w || h->drag.id)
		return;
	if (h->hover != w->id)
		say_position(h, w, now_ns);
	h->ops->wheel(h->opaque, w->id, dx, dy, now_ns);
}

/* ---- buttons ------------------------------------------------------------------------------------
 */

static void press_in(struct hid *h, const struct hid_window *w, uint16_t code, uint64_t now_ns)
{
	h->button[code] = w->id;
	h->captured = w->id;
	h->captures++;
	if (h->hover != w->id)
		say_position(h, w, now_ns);
	h->ops->button(h->opaque, w->id, code, true, now_ns);
}

/* With Super held all of a window is its frame: left moves, right resizes by the nearest corner. */
static bool press_with_super(struct hid *h, struct hid_window *w, uint16_t code, uint64_t now_ns)
{
	const struct hid_rect *f = &w->frame;
	unsigned edges = h->x < f->x + f->width / 2 ? HID_EDGE_LEFT : HID_EDGE_RIGHT;

	if (!(hid_modifiers(h) & HID_MOD_SUPER) || !hid_reserved(h, KEY_LEFTMETA))
		return false;
	edges |= h->y < f->y + f->height / 2 ? HID_EDGE_TOP : HID_EDGE_BOTTOM;
	if (code == BTN_LEFT)
		hid_drag_begin(h, w, code, HID_ZONE_TITLE, 0, 0);
	else if (code == BTN_RIGHT && resizable(h, w))
		hid_drag_begin(h, w, code, HID_ZONE_EDGE, edges, 0);
	return true;
}

static void press(struct hid *h, uint16_t code, uint64_t now_ns)
{
	enum hid_zone zone;
	unsigned edges;
	struct hid_window *w = hid_find(h, h->captured);

	h->button[code] = HID_NOBODY;
	if (w) {
		press_in(h, w, code, now_ns);
		return;
	}
	w = hid_zone_at(h, h->x, h->y, &zone, &edges);
	if (!w || h->drag.id || hid_is_held(h, now_ns))
		return;
	if (zone != HID_ZONE_MINIMIZE && zone != HID_ZONE_CLOSE)
		hid_focus(h, w->id, now_ns);
	if (press_with_super(h, w, code, now_ns))
		return;
	if (zone == HID_ZONE_CONTENT)
		press_in(h, w, code, now_ns);
	else if (code == BTN_LEFT)
		hid_drag_begin(h, w, code, zone, edges, now_ns);
}

void hid_button(struct hid *h, uint16_t code, bool down, uint64_t now_ns)
{
	hid_id saw;

	if (!code || code >= HID_KEYS_MAX)
		return;
	saw = h->button[code];
	if (down) {
		if (!saw)
			press(h, code, now_ns);
		return;
	}
	h->button[code] = 0;
	if (saw && saw != HID_NOBODY) {
		if (!--h->captures)
			h->captured = 0;
		h->ops->button(h->opaque, saw, code, false, now_ns);
		hid_refresh_hover(h);
	}
	if (h->drag.id && h->drag.button == code)
		hid_drag_end(h, now_ns);
}
