/* Windows come, go, and change; their order. See hidmux.h. */
#include "hidmux_impl.h"

#include <stdlib.h>
#include <string.h>

/* ---- order ------------------------------------------------------------------------- */

static unsigned index_of(const struct hid *h, const struct hid_window *w)
{
	unsigned i = 0;

	while (i < h->count && h->stack[i] != w)
		i++;
	return i;
}

static void take_out(struct hid *h, const struct hid_window *w)
{
	unsigned i = index_of(h, w);

	memmove(h->stack + i, h->stack + i + 1, (h->count - i - 1) * sizeof(h->stack[0]));
	h->count--;
}

static void put_in(struct hid *h, struct hid_window *w, unsigned at)
{
	memmove(h->stack + at + 1, h->stack + at, (h->count - at) * sizeof(h->stack[0]));
	h->stack[at] = w;
	h->count++;
}

static unsigned top_of_layer(const struct hid *h, enum hid_layer layer)
{
	unsigned at = h->count;

	while (at && hid_layer_of(h->stack[at - 1]) > layer)
		at--;
	return at;
}

void hid_insert(struct hid *h, struct hid_window *w)
{
	const struct hid_window *f = hid_find(h, h->focused);
	enum hid_layer layer = hid_layer_of(w);
	unsigned at = top_of_layer(h, layer);

	if (layer == HID_LAYER_GUESTS && f && hid_layer_of(f) == layer)
		at = index_of(h, f);
	put_in(h, w, at);
}

void hid_raise(struct hid *h, struct hid_window *w)
{
	unsigned at;

	/* Who is below before and after is covered by it; what it uncovers is its own. */
	take_out(h, w);
	at = top_of_layer(h, hid_layer_of(w));
	put_in(h, w, at);
	if (w->shown)
		hid_damage_seen(h, w, &w->frame);
}

/* ---- coming and going ------------------------------------------------------------------- */

static int size_or(int wanted, int otherwise)
{
	int size = wanted > 0 ? wanted : otherwise;

	return size > HID_SIZE_MAX ? HID_SIZE_MAX : size < 1 ? 1 : size;
}

static int near(int position)
{
	return position < -HID_SIZE_MAX  ? -HID_SIZE_MAX
	       : position > HID_SIZE_MAX ? HID_SIZE_MAX
					 : position;
}

hid_id hid_add(struct hid *h, const struct hid_window_setup *setup, uint64_t now_ns)
{
	struct hid_window *w = h->count < HID_WINDOWS_MAX ? calloc(1, sizeof(*w)) : NULL;
	hid_id id;

	if (!w)
		return 0;
	w->setup = *setup;
	w->setup.passive = setup->panel && setup->passive;
	w->setup.modal = setup->panel && setup->modal && !setup->passive;
	id = w->id = ++h->last_id;
	w->normal = (struct hid_rect){near(setup->x), near(setup->y),
				      size_or(setup->width, h->config.width / 3),
				      size_or(setup->height, h->config.height / 3)};
	if (!setup->anchored)
		hid_find_place(h, w);
	hid_insert(h, w);
	if (w->setup.modal) {
		hid_release_all(h, 0, now_ns);
		h->drag.id = 0;
	}
	hid_settle(h);
	if (w->setup.panel && !w->setup.passive)
		hid_set_focus(h, id, true, now_ns);
	return id;
}

void hid_remove(struct hid *h, hid_id id, uint64_t now_ns)
{
	struct hid_window *w = hid_find(h, id);
	bool focused = w && h->focused == id;

	if (!w)
		return;
	hid_release_all(h, id, now_ns);
	if (h->drag.id == id)
		h->drag.id = 0;
	if (h->hover == id)
		h->hover = 0;
	if (w->shown)
		hid_damage_seen(h, w, &w->frame);
	for (unsigned i = 0; i < h->cycle_count; i++) {
		if (h->cycle[i] == id)
			h->cycle[i] = 0;
	}
	take_out(h, w);
	if (focused)
		/* The shell's own windows are closed by the person. */
		hid_focus_last(h, w->setup.panel, now_ns);
	free(w);
	hid_settle(h);
}

/* ---- states ---------------------------------------------------------------------------------- */

void hid_focus(struct hid *h, hid_id id, uint64_t now_ns)
{
	struct hid_window *w = hid_find(h, id);

	if (!w || w->setup.passive)
		return;
	w->minimized = false;
	hid_raise(h, w);
	hid_settle(h);
	hid_set_focus(h, id, true, now_ns);
}

void hid_set_fullscreen(struct hid *h, hid_id id, bool on, uint64_t now_ns)
{
	struct hid_window *w = hid_find(h, id);

	if (!w || w->fullscreen == on || w->setup.modal)
		return;
	w->fullscreen = on;
	if (h->drag.id == id)
		h->drag.id = 0;
	hid_settle(h);
}

void hid_set_maximized(struct hid *h, hid_id id, bool on, uint64_t now_ns)
{
	struct hid_window *w = hid_find(h, id);

	if (!w || w->maximized == on || w->setup.bare || w->setup.modal)
		return;
	w->maximized = on;
	w->side = HID_SIDE_NONE;
	if (h->drag.id == id)
		h->drag.id = 0;
	hid_settle(h);
}

void hid_set_minimized(struct hid *h, hid_id id, bool on, uint64_t now_ns)
{
	struct hid_window *w = hid_find(h, id);

	if (!w || w->minimized == on || w->setup.modal)
		return;
	w->minimized = on;
	if (on) {
		hid_release_all(h, id, now_ns);
		if (h->drag.id == id)
			h->drag.id = 0;
	}
	hid_settle(h);
	if (on && h->focused == id)
		hid_focus_last(h, true, now_ns);
}

void hid_set_attention(struct hid *h, hid_id id, bool on)
{
	struct hid_window *w = hid_find(h, id);

	if (!w || w->attention == on)
		return;
	w->attention = on;
	hid_damage_frame(h, id);
}

void hid_place(struct hid *h, hid_id id, const struct hid_rect *content, uint64_t now_ns)
{
	struct hid_window *w = hid_find(h, id);

	if (!w)
		return;
	w->normal = (struct hid_rect){near(content->x), near(content->y),
				      size_or(content->width, w->normal.width),
				      size_or(content->height, w->normal.height)};
	w->maximized = false;
	w->side = HID_SIDE_NONE;
	hid_settle(h);
}
