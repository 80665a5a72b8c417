/*
 * Windows of the shell's own: a canvas each, drawn by the panel's class when something of it has
 * changed, before the next frame. What a panel does in an event may close it: it is freed
 * at the next tick.
 */
#include "desktop.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPEAT_FIRST_NS 400000000ull
#define REPEAT_NS 33000000ull

struct panel *panel_of_window(struct desktop *d, hid_id id)
{
	struct panel *p = id ? d->panels : NULL;

	while (p && (p->id != id || p->closing))
		p = p->next;
	return p;
}

struct panel *panel_find(struct desktop *d, const struct panel_class *cls)
{
	struct panel *p = d->panels;

	while (p && (p->cls != cls || p->closing))
		p = p->next;
	return p;
}

void panel_redraw(struct panel *p)
{
	p->dirty = true;
	/* The frame is drawn by it; until then nothing of it is seen. */
	if (p->id)
		hid_damage(p->desktop->hid, p->id, &(struct hid_rect){0, 0, p->width, p->height});
	desktop_wake_at(p->desktop, desktop_now(p->desktop));
}

void panel_wake_at(struct panel *p, uint64_t when_ns)
{
	p->tick_ns = when_ns;
	desktop_wake_at(p->desktop, when_ns);
}

/* ---- open and close -------------------------------------------------------------------- */

struct panel *panel_open(struct desktop *d, const struct panel_class *cls, const char *title,
			 const struct hid_window_setup *setup, void *data)
{
	struct panel *p = calloc(1, sizeof(*p)), **at = &d->panels;
	struct hid_window_setup full = *setup;
	struct hid_window_info info;

	if (!p)
		return NULL;
	p->desktop = d;
	p->cls = cls;
	p->data = data;
	snprintf(p->title, sizeof(p->title), "%s", title);
	full.owner = p;
	p->id = hid_add(d->hid, &full, desktop_now(d));
	if (!p->id || !hid_info(d->hid, p->id, &info)) {
		free(p);
		return NULL;
	}
	while (*at)
		at = &(*at)->next;
	*at = p;
	panel_on_configure(p, info.content.width, info.content.height);
	if (info.focused)
		panel_on_focus(p, true);
	return p;
}

void panel_close(struct panel *p)
{
	struct desktop *d = p->desktop;

	if (p->closing)
		return;
	p->closing = true;
	if (d->repeat.panel == p)
		d->repeat.panel = NULL;
	hid_remove(d->hid, p->id, desktop_now(d));
	desktop_wake_at(d, desktop_now(d));
}

static void reap(struct desktop *d)
{
	struct panel **at = &d->panels;

	while (*at) {
		struct panel *p = *at;

		if (!p->closing) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		if (p->cls->destroy)
			p->cls->destroy(p);
		free(p->canvas.pixels);
		free(p);
	}
}

void panels_close(struct desktop *d)
{
	for (struct panel *p = d->panels; p; p = p->next)
		p->closing = true; /* hid goes as a whole */
	d->repeat.panel = NULL;
	reap(d);
}

/* ---- what hid says ------------------------------------------------------------------------ */

void panel_on_configure(struct panel *p, int width, int height)
{
	uint32_t *pixels;

	if (width <= 0 || height <= 0 || (width == p->width && height == p->height))
		return;
	pixels = calloc((size_t)width * (size_t)height, sizeof(*pixels));
	if (!pixels)
		return; /* it goes on with the size it has; the compositor cuts it off */
	free(p->canvas.pixels);
	p->canvas = (struct canvas){pixels, width, height, width};
	p->width = width;
	p->height = height;
	if (p->cls->resized)
		p->cls->resized(p);
	panel_redraw(p);
}

static void give_key(struct panel *p, uint16_t code, bool down, bool repeat, uint32_t symbol,
		     const char *text)
{
	struct panel_event_key e = {
		.code = code,
		.down = down,
		.repeat = repeat,
		.modifiers = keymap_modifiers(&p->desktop->keyboard),
		.symbol = symbol,
		.text = down ? text : "",
	};

	if (p->cls->key)
		p->cls->key(p, &e);
}

static bool is_modifier(uint16_t code)
{
	return code == KEY_LEFTSHIFT || code == KEY_RIGHTSHIFT || code == KEY_LEFTCTRL ||
	       code == KEY_RIGHTCTRL || code == KEY_LEFTALT || code == KEY_RIGHTALT ||
	       code == KEY_LEFTMETA || code == KEY_RIGHTMETA || code == KEY_CAPSLOCK;
}

void panel_on_key(struct panel *p, uint16_t code, bool down, uint32_t symbol, const char *text)
{
	struct panel_repeat *r = &p->desktop->repeat;

	if (down && !is_modifier(code)) {
		*r = (struct panel_repeat){.panel = p, .code = code, .symbol = symbol};
		snprintf(r->text, sizeof(r->text), "%s", text);
		r->at_ns = desktop_now(p->desktop) + REPEAT_FIRST_NS;
		desktop_wake_at(p->desktop, r->at_ns);
	} else if (!down && r->code == code) {
		r->panel = NULL;
	}
	give_key(p, code, down, false, symbol, text);
}

void panel_on_pointer(struct panel *p, int x, int y)
{
	p->x = x;
	p->y = y;
	if (p->cls->pointer)
		p->cls->pointer(p, x, y);
}

void panel_on_button(struct panel *p, uint16_t code, bool down)
{
	if (p->cls->button)
		p->cls->button(p, p->x, p->y, code, down);
}

void panel_on_wheel(struct panel *p, int dx, int dy)
{
	if (p->cls->wheel)
		p->cls->wheel(p, dx, dy);
}

void panel_on_focus(struct panel *p, bool there)
{
	if (!there && p->desktop->repeat.panel == p)
		p->desktop->repeat.panel = NULL;
	if (p->cls->focus)
		p->cls->focus(p, there);
}

void panel_on_close(struct panel *p)
{
	if (p->cls->close)
		p->cls->close(p);
	else
		panel_close(p);
}

void paint_size_words(uint64_t bytes, char out[24])
{
	double n = (double)bytes;
	unsigned u = 0;

	for (; n >= 1000 && u < 4; u++)
		n /= 1024;
	snprintf(out, 24, u && n < 10 ? "%.1f %c" : "%.0f %c", n, "BKMGT"[u]);
}

/* ---- frames and deadlines ---------------------------------------------------------------------
 */

void panels_draw(struct desktop *d)
{
	for (struct panel *p = d->panels; p; p = p->next) {
		if (!p->dirty || p->closing || !p->canvas.pixels)
			continue;
		p->dirty = false;
		p->cls->draw(p, &p->canvas);
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static void repeat(struct desktop *d, uint64_t now_ns)
{
	struct panel_repeat *r = &d->repeat;

	if (!r->panel || now_ns < r->at_ns)
		return;
	r->at_ns = now_ns + REPEAT_NS;
	give_key(r->panel, r->code, true, true, r->symbol, r->text);
}

uint64_t panels_tick(struct desktop *d, uint64_t now_ns)
{
	uint64_t next = 0;

	repeat(d, now_ns);
	for (struct panel *p = d->panels; p; p = p->next) {
		if (p->closing || !p->tick_ns)
			continue;
		if (now_ns >= p->tick_ns)
			p->tick_ns = p->cls->tick ? p->cls->tick(p, now_ns) : 0;
		next = sooner(next, p->tick_ns);
	}
	reap(d);
	return sooner(next, d->repeat.panel ? d->repeat.at_ns : 0);
}
