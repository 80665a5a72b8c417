/*
 * Frames of windows, and the background. The frame is what a person tells guests by: its
 * colour and the words in front are the session's, and no guest can draw there. What a guest says
 * of itself comes after them, in quotes and dimmer.
 */
#include "compose_impl.h"

#include <stdio.h>
#include <string.h>

#define TITLE_SIZE 13
#define DOTS 48 /* of the background: pixels apart at scale 1 */

/* ---- words -------------------------------------------------------------------------- */

struct words {
	char first[128];                     /* the shell's */
	char claimed[EXO_DESK_TEXT_MAX + 8]; /* the guest's, quoted, or "" */
	uint32_t colour;
	bool paused;
};

static void words_of_guest(const struct dguest *g, unsigned scanout, struct words *w)
{
	snprintf(w->first, sizeof(w->first), "%s  %s", g->label, g->name);
	if (g->title[scanout][0])
		snprintf(w->claimed, sizeof(w->claimed), "“%s”", g->title[scanout]);
	w->colour = 0xff000000u | g->colour;
	w->paused = g->paused;
}

static void words_of(struct desktop *d, const struct hid_window_info *info, struct words *w)
{
	struct panel *p = info->panel ? panel_of_window(d, info->id) : NULL;
	unsigned scanout;
	struct dguest *g = p ? NULL : guests_of_window(d, info->id, &scanout);

	memset(w, 0, sizeof(*w));
	w->colour = d->theme.strip;
	if (g)
		words_of_guest(g, scanout, w);
	if (p)
		snprintf(w->first, sizeof(w->first), "%s", p->title);
	if (p && p->colour)
		w->colour = 0xff000000u | p->colour;
}

/* ---- title -------------------------------------------------------------------------- */

static void draw_button(struct desktop *d, const struct canvas *c, int left, int top,
			const struct hid_window_info *info, enum hid_title_button which,
			uint32_t ink)
{
	struct hid_rect r = hid_title_button(d->hid, info->id, which);
	int inset = r.width / 3, line = desktop_px(d, 1) + (d->scale > 180);
	int x0 = r.x - left + inset, y0 = r.y - top + inset;
	int x1 = r.x - left + r.width - 1 - inset, y1 = r.y - top + r.height - 1 - inset;

	if (!r.width)
		return;
	if (which == HID_TITLE_CLOSE) {
		paint_line(c, x0, y0, x1, y1, line + 1, ink);
		paint_line(c, x0, y1, x1, y0, line + 1, ink);
	} else if (which == HID_TITLE_MAXIMIZE) {
		paint_frame(c, x0, y0, x1 - x0 + 1, y1 - y0 + 1, line, ink);
	} else {
		paint_rect(c, x0, y1 - line + 1, x1 - x0 + 1, line + 1, ink);
	}
}

static int draw_paused(struct desktop *d, const struct canvas *c, int x, int y, int size,
		       uint32_t ink)
{
	int bar = desktop_px(d, 3);

	paint_rect(c, x, y, bar, size, ink);
	paint_rect(c, x + 2 * bar, y, bar, size, ink);
	return x + 3 * bar + desktop_px(d, 7);
}

static void draw_title(struct desktop *d, const struct canvas *c, int left, int top,
		       const struct hid_window_info *info, const struct words *w, uint32_t back)
{
	struct hid_rect end = hid_title_button(d->hid, info->id, HID_TITLE_MINIMIZE);
	uint32_t ink = paint_contrast(back);
	int size = desktop_px(d, TITLE_SIZE), gap = desktop_px(d, 8), border, height, x, y, room;

	border = info->content.x - info->frame.x;
	height = info->content.y - info->frame.y - border;
	if (!end.width)
		end = hid_title_button(d->hid, info->id, HID_TITLE_CLOSE);
	room = (end.width ? end.x : info->frame.x + info->frame.width) - left - gap;
	x = info->content.x - left + gap;
	y = info->frame.y - top + border + (height + paint_text_ascent(FACE_BOLD, size)) / 2 -
	    size / 10;
	if (info->attention && !info->focused) {
		paint_round(c, x, y - size / 2 - desktop_px(d, 2), size / 2, size / 2, size, ink);
		x += size / 2 + gap;
	}
	if (w->paused)
		x = draw_paused(d, c, x, y - size * 3 / 4, size * 3 / 4, ink);
	x = paint_text_within(c, FACE_BOLD, size, x, y, room - x, w->first, ink);
	if (w->claimed[0])
		paint_text_within(c, FACE_SANS, size, x + gap, y, room - x - gap, w->claimed,
				  paint_mix(back, ink, 165));
}

void compose_frame(struct desktop *d, const struct canvas *c, int left, int top,
		   const struct hid_window_info *info)
{
	struct words w;
	uint32_t back, edge;

	words_of(d, info, &w);
	back = info->focused ? w.colour : paint_mix(w.colour, d->theme.border, 140);
	paint_fill(c, back);
	edge = info->panel ? (info->focused ? d->theme.accent : d->theme.border)
			   : paint_mix(back, 0xff000000u, 90);
	paint_frame(c, info->frame.x - left, info->frame.y - top, info->frame.width,
		    info->frame.height, desktop_px(d, 1), edge);
	/* Nothing but border in this part? Below the title it is. */
	if (top >= info->content.y)
		return;
	draw_title(d, c, left, top, info, &w, back);
	for (unsigned i = HID_TITLE_CLOSE; i <= HID_TITLE_MINIMIZE; i++)
		draw_button(d, c, left, top, info, (enum hid_title_button)i, paint_contrast(back));
}

/* ---- background ------------------------------------------------------------------------ */

void compose_background(struct desktop *d, const struct canvas *c, int left, int top)
{
	uint32_t far =
		paint_mix(d->theme.background, d->theme.dark ? 0xff000000u : 0xffffffffu, 70);
	uint32_t ink = paint_mix(d->theme.background, d->theme.dim_text, 60);
	int apart = desktop_px(d, DOTS), size = desktop_px(d, 2);

	for (int y = 0; y < c->height; y++) {
		unsigned part = (unsigned)((int64_t)(top + y) * 255 / (d->height ? d->height : 1));
		struct canvas row = paint_part(c, 0, y, c->width, 1);
		int line = (top + y) / apart, first = line % 2 ? apart / 2 : 0;

		paint_fill(&row, paint_mix(d->theme.background, far, part > 255 ? 255 : part));
		if ((top + y) % apart >= size)
			continue;
		for (int x = first - left % apart - apart; x < c->width; x += apart)
			paint_rect(&row, x, 0, size, 1, ink);
	}
}
