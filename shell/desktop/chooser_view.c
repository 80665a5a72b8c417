/* The file chooser's pixels; see chooser_impl.h. */
#include "chooser_impl.h"

#include <stdio.h>
#include <string.h>

#define HEAD 46 /* who asks, for what */
#define PLACE 28
#define FIELD 38
#define ROW 24
#define FOOT 48
#define PAD 12
#define BUTTON 104

static int list_top(const struct desktop *d)
{
	return desktop_px(d, HEAD) + desktop_px(d, PLACE) + desktop_px(d, FIELD);
}

unsigned chooser_rows(const struct panel *p)
{
	const struct desktop *d = p->desktop;
	int room = p->height - list_top(d) - desktop_px(d, FOOT);

	return room > desktop_px(d, ROW) ? (unsigned)(room / desktop_px(d, ROW)) : 1;
}

/* The foot, from the left: two switches, two buttons. */
static struct hid_rect foot_part(const struct panel *p, enum chooser_part part)
{
	const struct desktop *d = p->desktop;
	int pad = desktop_px(d, PAD), width = desktop_px(d, BUTTON), height = desktop_px(d, 28);
	int y = p->height - desktop_px(d, FOOT) + (desktop_px(d, FOOT) - height) / 2;

	switch (part) {
	case CHOOSER_WRITE:
		return (struct hid_rect){pad, y, width + pad, height};
	case CHOOSER_HIDDEN:
		return (struct hid_rect){2 * pad + width + pad, y, width + pad, height};
	case CHOOSER_CANCEL:
		return (struct hid_rect){p->width - 2 * (pad + width), y, width, height};
	default:
		return (struct hid_rect){p->width - pad - width, y, width, height};
	}
}

static bool inside(const struct hid_rect *r, int x, int y)
{
	return x >= r->x && y >= r->y && x < r->x + r->width && y < r->y + r->height;
}

enum chooser_part chooser_at(const struct panel *p, int x, int y, unsigned *row)
{
	static const enum chooser_part parts[] = {CHOOSER_OK, CHOOSER_CANCEL, CHOOSER_HIDDEN,
						  CHOOSER_WRITE};
	const struct chooser *c = p->data;
	const struct desktop *d = p->desktop;
	int line = y - list_top(d);

	for (unsigned i = 0; i < 4; i++) {
		struct hid_rect r = foot_part(p, parts[i]);

		if (inside(&r, x, y))
			return parts[i];
	}
	if (y >= desktop_px(d, HEAD) && y < desktop_px(d, HEAD) + desktop_px(d, PLACE))
		return CHOOSER_UP;
	*row = line < 0 ? 0 : c->top + (unsigned)(line / desktop_px(d, ROW));
	return line >= 0 && *row < c->top + chooser_rows(p) && *row < c->count ? CHOOSER_ROW
									       : CHOOSER_NOTHING;
}

static void draw_head(const struct panel *p, const struct canvas *c)
{
	const struct chooser *f = p->data;
	struct desktop *d = p->desktop;
	int head = desktop_px(d, HEAD), pad = desktop_px(d, PAD), size = desktop_px(d, 14);
	uint32_t colour = 0xff000000u | f->colour, text = paint_contrast(colour);
	const char *verb = f->save        ? "asks to save a file"
			   : f->may_write ? "asks for a file to read and write"
					  : "asks for a file to read";
	char words[160];
	int x;

	paint_rect(c, 0, 0, c->width, head, colour);
	x = paint_text_within(c, FACE_BOLD, size, pad, head / 2 + size / 3, c->width / 2, f->name,
			      text);
	snprintf(words, sizeof(words), "(%s) %s", f->label, verb);
	paint_text_within(c, FACE_SANS, size, x + pad / 2, head / 2 + size / 3, c->width - x - pad,
			  words, text);
}

static void draw_field(const struct panel *p, const struct canvas *c)
{
	const struct chooser *f = p->data;
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	int y = desktop_px(d, HEAD), pad = desktop_px(d, PAD), size = desktop_px(d, 13);
	int place = desktop_px(d, PLACE), field = desktop_px(d, FIELD), x;
	char words[CHOOSER_PATH_MAX + 8];

	snprintf(words, sizeof(words), "↑  %s", f->folder);
	paint_text_within(c, FACE_BOLD, size, pad, y + place / 2 + size / 3, c->width - 2 * pad,
			  words, t->panel_text);
	y += place;
	paint_round(c, pad / 2, y, c->width - pad, field - pad / 2, desktop_px(d, 4), t->field);
	x = paint_text_within(c, FACE_SANS, size, pad, y + field / 2, c->width - 2 * pad,
			      f->typed[0] ? f->typed
			      : f->save   ? "Type a name"
					  : "Type a name or a path",
			      f->typed[0] ? t->panel_text : t->dim_text);
	paint_rect(c, f->typed[0] ? x + 1 : pad - 2, y + pad / 2, desktop_px(d, 2),
		   field - pad - pad / 2, t->accent);
}

static void draw_rows(const struct panel *p, const struct canvas *c)
{
	const struct chooser *f = p->data;
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	int y = list_top(d), row = desktop_px(d, ROW), pad = desktop_px(d, PAD);
	int size = desktop_px(d, 13);
	unsigned last = f->top + chooser_rows(p);

	for (unsigned i = f->top; i < last && i < f->count; i++, y += row) {
		const struct chooser_entry *e = &f->entry[i];
		bool chosen = i == f->chosen;
		uint32_t text = chosen ? paint_contrast(t->accent) : t->panel_text;
		char name[300], bytes[24] = "";

		if (chosen)
			paint_rect(c, pad / 2, y, c->width - pad, row, t->accent);
		desk_text_clean(name, sizeof(name) - 2, e->name, strlen(e->name));
		if (e->folder)
			strcat(name, "/");
		else
			paint_size_words(e->bytes, bytes);
		paint_text_within(c, e->folder ? FACE_BOLD : FACE_SANS, size, pad,
				  y + row / 2 + size / 3, c->width - 2 * pad - desktop_px(d, 90),
				  name, text);
		paint_text(c, FACE_SANS, size,
			   c->width - pad - paint_text_width(FACE_SANS, size, bytes, -1),
			   y + row / 2 + size / 3, bytes, -1, chosen ? text : t->dim_text);
	}
	if (!f->count)
		paint_text(c, FACE_SANS, size, pad, y + row, "Nothing here", -1, t->dim_text);
}

static void draw_switch(const struct panel *p, const struct canvas *c, enum chooser_part part,
			bool on, bool possible, const char *words)
{
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	struct hid_rect r = foot_part(p, part);
	int box = desktop_px(d, 14), size = desktop_px(d, 12), y = r.y + (r.height - box) / 2;

	paint_rect(c, r.x, y, box, box, t->field);
	paint_frame(c, r.x, y, box, box, 1, t->border);
	if (on)
		paint_rect(c, r.x + box / 4, y + box / 4, box - box / 2, box - box / 2,
			   possible ? t->accent : t->dim_text);
	paint_text_within(c, FACE_SANS, size, r.x + box + box / 2, r.y + r.height / 2 + size / 3,
			  r.width - box - box / 2, words, possible ? t->panel_text : t->dim_text);
}

static void draw_button(const struct panel *p, const struct canvas *c, enum chooser_part part,
			const char *words)
{
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	struct hid_rect r = foot_part(p, part);
	uint32_t colour = part == CHOOSER_OK ? t->accent : t->field;
	int size = desktop_px(d, 13);

	paint_round(c, r.x, r.y, r.width, r.height, desktop_px(d, 4), colour);
	paint_text(c, FACE_BOLD, size,
		   r.x + (r.width - paint_text_width(FACE_BOLD, size, words, -1)) / 2,
		   r.y + r.height / 2 + size / 3, words, -1,
		   part == CHOOSER_OK ? paint_contrast(colour) : t->panel_text);
}

void chooser_draw(struct panel *p, const struct canvas *c)
{
	const struct chooser *f = p->data;
	struct desktop *d = p->desktop;
	const struct theme *t = &d->theme;
	int foot = p->height - desktop_px(d, FOOT), size = desktop_px(d, 12);

	paint_fill(c, t->panel);
	draw_head(p, c);
	draw_field(p, c);
	draw_rows(p, c);
	paint_rect(c, 0, foot, c->width, c->height - foot, t->panel);
	if (f->why[0]) {
		paint_rect(c, 0, foot - desktop_px(d, ROW), c->width, desktop_px(d, ROW),
			   t->danger);
		paint_text_within(c, FACE_SANS, size, desktop_px(d, PAD), foot - desktop_px(d, 8),
				  c->width - 2 * desktop_px(d, PAD), f->why,
				  paint_contrast(t->danger));
	}
	paint_rect(c, 0, foot, c->width, 1, t->border);
	draw_switch(p, c, CHOOSER_WRITE, f->write, f->may_write && !f->save, "May write");
	draw_switch(p, c, CHOOSER_HIDDEN, f->hidden, true, "Hidden files");
	draw_button(p, c, CHOOSER_CANCEL, "Cancel");
	draw_button(p, c, CHOOSER_OK, f->save ? "Save" : "Open");
}
