/* The multiplexer's life, and what is known of its windows; see hidmux.h. */
#include "hidmux_impl.h"

#include <stdlib.h>

static int within(int value, int least, int most)
{
	return value < least ? least : value > most ? most : value;
}

int hid_px(const struct hid *h, int n)
{
	int px = (int)(((int64_t)n * h->config.scale + 60) / 120);

	return n > 0 && px < 1 ? 1 : px;
}

int hid_strip_height(const struct hid *h)
{
	return hid_px(h, h->config.strip);
}

struct hid_window *hid_find(const struct hid *h, hid_id id)
{
	for (unsigned i = 0; id && i < h->count; i++) {
		if (h->stack[i]->id == id)
			return h->stack[i];
	}
	return NULL;
}

enum hid_layer hid_layer_of(const struct hid_window *w)
{
	return !w->setup.panel  ? HID_LAYER_GUESTS
	       : w->setup.modal ? HID_LAYER_MODAL
				: HID_LAYER_PANELS;
}

struct hid_window *hid_modal(const struct hid *h)
{
	struct hid_window *top = h->count ? h->stack[h->count - 1] : NULL;

	return top && hid_layer_of(top) == HID_LAYER_MODAL ? top : NULL;
}

static void set_screen(struct hid *h, int width, int height, uint32_t scale)
{
	h->config.width = within(width, 1, HID_SIZE_MAX);
	h->config.height = within(height, 1, HID_SIZE_MAX);
	h->config.scale = scale ? (uint32_t)within((int)(scale & 0xffff), 30, 1200) : 120;
}

struct hid *hid_create(const struct hid_config *config, const struct hid_ops *ops, void *opaque)
{
	struct hid *h = calloc(1, sizeof(*h));
	struct hid_chord chords[HID_ACTIONS];

	if (!h)
		return NULL;
	h->config = *config;
	h->ops = ops;
	h->opaque = opaque;
	h->touch_pointer = -1;
	h->config.strip = config->strip > 0 ? config->strip : 24;
	h->config.border = config->border > 0 ? config->border : 2;
	h->config.title = config->title > 0 ? config->title : 22;
	set_screen(h, config->width, config->height, config->scale);
	h->x = h->config.width / 2;
	h->y = h->config.height / 2;
	hid_default_chords(chords);
	for (unsigned i = 0; i < HID_ACTIONS; i++) {
		if (!h->config.chord[i].key)
			h->config.chord[i] = chords[i];
	}
	hid_damage_screen(h, NULL);
	return h;
}

void hid_destroy(struct hid *h)
{
	for (unsigned i = 0; h && i < h->count; i++)
		free(h->stack[i]);
	free(h);
}

void hid_resize(struct hid *h, int width, int height, uint32_t scale)
{
	int64_t before = h->config.scale;

	set_screen(h, width, height, scale);
	for (unsigned i = 0; i < h->count; i++) {
		struct hid_rect *r = &h->stack[i]->normal;
		int64_t now = h->config.scale;

		*r = (struct hid_rect){(int)(r->x * now / before), (int)(r->y * now / before),
				       (int)(r->width * now / before),
				       (int)(r->height * now / before)};
		hid_limit(h, h->stack[i], r);
	}
	h->x = within(h->x, 0, h->config.width - 1);
	h->y = within(h->y, 0, h->config.height - 1);
	h->drag.id = 0;
	hid_settle(h);
	h->damage_count = 0;
	hid_damage_screen(h, NULL);
}

void hid_set_layout(struct hid *h, enum hid_layout layout)
{
	h->config.layout = layout;
	h->drag.id = 0;
	hid_settle(h);
}

bool hid_info(const struct hid *h, hid_id id, struct hid_window_info *info)
{
	const struct hid_window *w = hid_find(h, id);

	if (!w)
		return false;
	*info = (struct hid_window_info){
		.id = id,
		.owner = w->setup.owner,
		.frame = w->frame,
		.content = w->content,
		.focused = h->focused == id,
		.visible = w->visible,
		.fullscreen = w->fullscreen,
		.maximized = w->maximized,
		.minimized = w->minimized,
		.attention = w->attention,
		.panel = w->setup.panel,
	};
	return true;
}

unsigned hid_stack(const struct hid *h, hid_id *ids, unsigned max)
{
	for (unsigned i = 0; i < h->count && i < max; i++)
		ids[i] = h->stack[i]->id;
	return h->count;
}

hid_id hid_focused(const struct hid *h)
{
	return h->focused;
}

struct hid_rect hid_strip(const struct hid *h)
{
	return (struct hid_rect){0, 0, h->config.width, hid_strip_height(h)};
}

hid_id hid_at(const struct hid *h, int x, int y)
{
	if (y < hid_strip_height(h))
		return 0;
	for (unsigned i = h->count; i-- > 0;) {
		if (h->stack[i]->shown && hid_inside(&h->stack[i]->frame, x, y))
			return h->stack[i]->id;
	}
	return 0;
}
