/*
 * Notices: what was refused, what went wrong. A line shows for some seconds at the screen's edge,
 * without the focus, and stays in a list of the last ones; the same again is counted.
 */
#include "desktop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTICES_MAX 64
#define TEXT_BYTES 256
#define SHOWN_MAX 4
#define SHOW_NS 6000000000ull
#define WIDTH 360 /* at scale 1 */
#define LINE 44

struct note {
	char text[TEXT_BYTES];
	uint32_t colour;
	unsigned count;
	uint64_t time_ns;
};

struct notices {
	struct note note[NOTICES_MAX]; /* newest first */
	unsigned n, unseen;
	struct panel *panel; /* or NULL */
};

static void draw(struct panel *p, const struct canvas *c);
static uint64_t tick(struct panel *p, uint64_t now_ns);
static void button(struct panel *p, int x, int y, uint16_t code, bool down);
static void destroy(struct panel *p);

static const struct panel_class cls = {
	.name = "notices", .draw = draw, .tick = tick, .button = button, .destroy = destroy};

static unsigned shown(const struct notices *all, uint64_t now)
{
	unsigned n = 0;

	while (n < all->n && n < SHOWN_MAX && now - all->note[n].time_ns < SHOW_NS)
		n++;
	return n;
}

static void draw(struct panel *p, const struct canvas *c)
{
	struct desktop *d = p->desktop;
	const struct notices *all = d->notices;
	unsigned n = shown(all, desktop_now(d));
	int line = desktop_px(d, LINE), size = desktop_px(d, 13), edge = desktop_px(d, 6);

	paint_fill(c, d->theme.panel);
	for (unsigned i = 0; i < n; i++) {
		const struct note *note = &all->note[i];
		int y = (int)i * line;
		char text[TEXT_BYTES + 16];

		snprintf(text, sizeof(text), note->count > 1 ? "%s (%u times)" : "%s", note->text,
			 note->count);
		paint_rect(c, 0, y, edge, line - 1, 0xff000000u | note->colour);
		paint_text_within(c, FACE_SANS, size, 2 * edge, y + (line + size) / 2 - edge / 3,
				  c->width - 3 * edge, text, d->theme.panel_text);
		paint_rect(c, 0, y + line - 1, c->width, 1, d->theme.border);
	}
}

static uint64_t tick(struct panel *p, uint64_t now_ns)
{
	const struct notices *all = p->desktop->notices;
	unsigned n = shown(all, now_ns);

	if (!n) {
		panel_close(p);
		return 0;
	}
	panel_redraw(p);
	return all->note[n - 1].time_ns + SHOW_NS; /* the oldest that shows */
}

static void button(struct panel *p, int x, int y, uint16_t code, bool down)
{
	if (down)
		panel_close(p);
}

static void destroy(struct panel *p)
{
	struct notices *all = p->desktop->notices;

	if (all && all->panel == p)
		all->panel = NULL;
}

static void show(struct desktop *d, struct notices *all)
{
	unsigned n = shown(all, desktop_now(d));
	int width = desktop_px(d, WIDTH), height = (int)n * desktop_px(d, LINE);
	struct hid_window_setup setup = {
		.width = width,
		.height = height,
		.panel = true,
		.passive = true,
		.bare = true,
		.anchored = true,
	};

	if (!d->hid || !d->width)
		return; /* not yet, or not any more: it is in the list */
	setup.x = d->width - width - desktop_px(d, 12);
	setup.y = hid_strip(d->hid).height + desktop_px(d, 12);
	if (all->panel && !all->panel->closing) {
		hid_place(d->hid, all->panel->id,
			  &(struct hid_rect){setup.x, setup.y, width, height}, desktop_now(d));
		panel_redraw(all->panel);
	} else {
		all->panel = panel_open(d, &cls, "Notices", &setup, NULL);
	}
	if (all->panel)
		panel_wake_at(all->panel, all->note[n - 1].time_ns + SHOW_NS);
}

void notice(struct desktop *d, uint32_t colour, const char *format, ...)
{
	struct notices *all = d->notices;
	struct note note = {.colour = colour & 0xffffff, .count = 1};
	unsigned at = 0;
	va_list args;

	va_start(args, format);
	vsnprintf(note.text, sizeof(note.text), format, args);
	va_end(args);
	if (!all)
		all = d->notices = calloc(1, sizeof(*all));
	if (!all)
		return;
	note.time_ns = desktop_now(d);
	while (at < all->n && strcmp(all->note[at].text, note.text) != 0)
		at++;
	if (at < all->n) {
		note.count = all->note[at].count + 1;
	} else {
		if (all->n < NOTICES_MAX)
			all->n++;
		at = all->n - 1;
		all->unseen++;
	}
	memmove(all->note + 1, all->note, at * sizeof(note));
	all->note[0] = note;
	show(d, all);
	if (d->hid) {
		struct hid_rect strip = hid_strip(d->hid);

		hid_damage_screen(d->hid, &strip);
	}
}

json_t *notices_list(struct desktop *d)
{
	struct notices *all = d->notices;
	json_t *list = json_array();

	for (unsigned i = 0; all && i < all->n; i++) {
		uint64_t s = (desktop_now(d) - all->note[i].time_ns) / 1000000000u;

		json_array_append_new(list, json_pack("{s:s, s:I, s:i}", "text", all->note[i].text,
						      "seconds", (json_int_t)s, "count",
						      (int)all->note[i].count));
	}
	return list;
}

unsigned notices_unseen(const struct desktop *d)
{
	const struct notices *all = d->notices;

	return all ? all->unseen : 0;
}

void notices_seen(struct desktop *d)
{
	struct notices *all = d->notices;

	if (all)
		all->unseen = 0;
}

void notices_close(struct desktop *d)
{
	free(d->notices);
	d->notices = NULL;
}
