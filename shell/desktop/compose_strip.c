/*
 * The strip, the screen's top row: who has the keyboard, what is in the clipboard, and whatever
 * a person must not overlook. No guest can draw here. There is no clock in it: it
 * changes only when something does.
 */
#include "compose_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_SIZE 13

/* Everything it shows; another: it is drawn again. */
struct strip {
	char who[128], clip[160], right[96], recording[128];
	uint32_t colour; /* of who; 0: the shell's */
	bool held, dark;
	uint32_t scale;
	int width;
};

static void take_focus(struct desktop *d, struct strip *s)
{
	hid_id focused = hid_focused(d->hid);
	unsigned scanout;
	struct dguest *g = guests_of_window(d, focused, &scanout);
	struct panel *p = g ? NULL : panel_of_window(d, focused);

	snprintf(s->who, sizeof(s->who), "%s", "Exoshell");
	if (g) {
		snprintf(s->who, sizeof(s->who), "%s  %s", g->label, g->name);
		s->colour = 0xff000000u | g->colour;
	} else if (p) {
		snprintf(s->who, sizeof(s->who), "%s", p->title);
		s->colour = p->colour ? 0xff000000u | p->colour : 0;
	}
}

static void take_words(struct desktop *d, struct strip *s, uint64_t now_ns)
{
	const char *clip = clip_words(d);
	unsigned unseen = notices_unseen(d);
	size_t n = 0;

	memset(s, 0, sizeof(*s));
	take_focus(d, s);
	if (clip)
		snprintf(s->clip, sizeof(s->clip), "%s", clip);
	if (unseen)
		n = (size_t)snprintf(s->right, sizeof(s->right), "%u notice%s   ", unseen,
				     unseen == 1 ? "" : "s");
	snprintf(s->right + n, sizeof(s->right) - n, "%s", d->layout);
	for (const struct dguest *g = d->guests; g; g = g->next) {
		if (audio_captures(g))
			snprintf(s->recording, sizeof(s->recording), "microphone: %s", g->name);
	}
	if (!s->recording[0] && shot_casting(d))
		snprintf(s->recording, sizeof(s->recording), "recording the screen");
	s->held = hid_held_until(d->hid, now_ns) != 0;
	s->dark = d->theme.dark;
	s->scale = d->scale;
	s->width = d->width;
}

uint64_t compose_strip_tick(struct desktop *d, uint64_t now_ns)
{
	struct strip *last = d->compose, now;
	struct hid_rect r = hid_strip(d->hid);

	if (!last)
		last = d->compose = calloc(1, sizeof(*last));
	if (!last)
		return 0;
	take_words(d, &now, now_ns);
	if (memcmp(&now, last, sizeof(now)) != 0) {
		*last = now;
		hid_damage_screen(d->hid, &r);
	}
	return hid_held_until(d->hid, now_ns);
}

void compose_close(struct desktop *d)
{
	free(d->compose);
	d->compose = NULL;
}

/* ---- drawing ------------------------------------------------------------------------------- */

/* A word on a ground of its colour; where the next goes. */
static int draw_chip(struct desktop *d, const struct canvas *c, int x, int y, int height,
		     const char *text, uint32_t colour)
{
	int size = desktop_px(d, TEXT_SIZE), pad = desktop_px(d, 10);
	int width = paint_text_width(FACE_BOLD, size, text, -1) + 2 * pad;

	paint_rect(c, x, y, width, height, colour);
	paint_text(c, FACE_BOLD, size, x + pad,
		   y + (height + paint_text_ascent(FACE_BOLD, size)) / 2 - size / 10, text, -1,
		   paint_contrast(colour));
	return x + width + pad;
}

void compose_strip(struct desktop *d, const struct canvas *c, int left, int top)
{
	static const struct strip nothing;
	const struct strip *s = d->compose ? d->compose : &nothing;
	struct hid_rect r = hid_strip(d->hid);
	int size = desktop_px(d, TEXT_SIZE), pad = desktop_px(d, 10), x = -left, end;
	int base = (r.height + paint_text_ascent(FACE_SANS, size)) / 2 - size / 10 - top;

	paint_fill(c, d->theme.strip);
	x = draw_chip(d, c, x, -top, r.height, s->who, s->colour ? s->colour : d->theme.strip);
	if (s->held)
		x = draw_chip(d, c, x, -top, r.height, "input is held back", d->theme.danger);
	if (s->recording[0])
		x = draw_chip(d, c, x, -top, r.height, s->recording, d->theme.danger);
	end = r.width - left - pad - paint_text_width(FACE_SANS, size, s->right, -1);
	paint_text(c, FACE_SANS, size, end, base, s->right, -1, d->theme.strip_text);
	paint_text_within(c, FACE_SANS, size, x, base, end - 2 * pad - x, s->clip,
			  paint_mix(d->theme.strip, d->theme.strip_text, 170));
}
