/* Buttons and status lines. */
#include "widgets_impl.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>

int exo_text_within(const struct exo_surface *s, struct exo_font *f, int x, int y, int max_width,
		    const char *text, uint32_t colour)
{
	static const char dots[] = "…";
	int room = max_width - exo_text_width(f, dots, -1), used = 0;
	const char *p = text, *end;

	if (exo_text_width(f, text, -1) <= max_width)
		return exo_text(s, f, x, y, text, -1, colour);
	while (*p) {
		end = p;
		exo_utf8_next(&end);
		used += exo_text_width(f, p, (int)(end - p));
		if (used > room)
			break;
		p = end;
	}
	x = exo_text(s, f, x, y, text, (int)(p - text), colour);
	return room >= 0 ? exo_text(s, f, x, y, dots, -1, colour) : x;
}

/* ---- buttons -------------------------------------------------------------------- */

static void button_draw(struct exo_widget *w, const struct exo_surface *s,
			const struct exo_rect *dirty)
{
	struct exo_button *b = (struct exo_button *)w;
	const struct exo_theme *t = ui_theme(w);
	int line = exo_px(w->ui, 1), radius = exo_px(w->ui, 5);
	bool filled = b->on || b->accent || (b->held && b->over);
	uint32_t face = filled ? t->accent : b->over && !w->disabled ? t->hover : t->panel;
	uint32_t ink = w->disabled ? t->dim : filled ? t->accent_text : t->text;

	(void)dirty;
	exo_fill(s, t->background);
	exo_round_rect(s, 0, 0, w->width, w->height, radius,
		       ui_ring(w) ? (filled ? t->text : t->accent)
		       : filled   ? face
				  : t->border);
	if (ui_ring(w))
		line = exo_px(w->ui, 2);
	exo_round_rect(s, line, line, w->width - 2 * line, w->height - 2 * line, radius - line,
		       face);
	if (b->icon) {
		b->icon(b, s, ink);
	} else if (b->text) {
		struct exo_font *f = exo_ui_font(w->ui);
		int room = w->width - 2 * exo_px(w->ui, 4), width = exo_text_width(f, b->text, -1);

		width = width < room ? width : room;
		exo_text_within(s, f, (w->width - width) / 2, ui_baseline(f, 0, w->height), room,
				b->text, ink);
	}
}

static void button_press(struct exo_button *b)
{
	if (b->pressed)
		b->pressed(b);
}

static bool button_key(struct exo_widget *w, const struct exo_event *e)
{
	struct exo_button *b = (struct exo_button *)w;
	bool used =
		e->key.code == KEY_SPACE || e->key.code == KEY_ENTER || e->key.code == KEY_KPENTER;

	if (used && e->key.down && !e->key.repeat)
		button_press(b);
	return used;
}

static void button_button(struct exo_widget *w, int x, int y, uint16_t code, bool down,
			  uint32_t modifiers, unsigned clicks)
{
	struct exo_button *b = (struct exo_button *)w;
	bool was = b->held;

	(void)modifiers;
	(void)clicks;
	if (code != BTN_LEFT)
		return;
	b->held = down;
	b->over = x >= 0 && y >= 0 && x < w->width && y < w->height;
	exo_widget_changed(w);
	if (was && !down && b->over)
		button_press(b);
}

static void button_pointer(struct exo_widget *w, int x, int y, uint32_t buttons)
{
	struct exo_button *b = (struct exo_button *)w;
	bool over = x >= 0 && y >= 0 && x < w->width && y < w->height;

	(void)buttons;
	if (over != b->over)
		exo_widget_changed(w);
	b->over = over;
}

static void button_left(struct exo_widget *w)
{
	struct exo_button *b = (struct exo_button *)w;

	b->over = false;
	exo_widget_changed(w);
}

static const struct exo_widget_class button_class = {
	.focus = true,
	.draw = button_draw,
	.key = button_key,
	.button = button_button,
	.pointer = button_pointer,
	.left = button_left,
};

void exo_button_init(struct exo_button *b, const char *text, void (*pressed)(struct exo_button *b))
{
	memset(b, 0, sizeof(*b));
	exo_widget_init(&b->widget, &button_class);
	b->text = text;
	b->pressed = pressed;
}

void exo_button_set(struct exo_button *b, bool on)
{
	if (b->on != on)
		exo_widget_changed(&b->widget);
	b->on = on;
}

/* ---- status lines ---------------------------------------------------------------- */

static void status_draw(struct exo_widget *w, const struct exo_surface *s,
			const struct exo_rect *dirty)
{
	const struct exo_status *st = (const struct exo_status *)w;
	const struct exo_theme *t = ui_theme(w);
	struct exo_font *f = exo_ui_font(w->ui);
	int pad = st->plain ? 0 : exo_px(w->ui, 8), y = ui_baseline(f, 0, w->height);
	int right = exo_text_width(f, st->right, -1);

	(void)dirty;
	exo_fill(s, st->plain ? t->background : t->panel);
	if (!st->plain)
		exo_fill_rect(s, 0, 0, w->width, exo_px(w->ui, 1), t->border);
	exo_text(s, f, w->width - pad - right, y, st->right, -1, t->dim);
	exo_text_within(s, f, pad, y, w->width - right - 3 * pad, st->left,
			st->alarm ? t->danger : t->text);
}

static const struct exo_widget_class status_class = {.draw = status_draw};

void exo_status_init(struct exo_status *s)
{
	memset(s, 0, sizeof(*s));
	exo_widget_init(&s->widget, &status_class);
}

static bool put(char *to, size_t size, const char *text)
{
	char old[160];

	if (!text)
		return false;
	memcpy(old, to, size);
	snprintf(to, size, "%s", text);
	return strcmp(old, to) != 0;
}

void exo_status_set(struct exo_status *s, const char *left, const char *right)
{
	bool changed = put(s->left, sizeof(s->left), left);

	if (put(s->right, sizeof(s->right), right) || changed)
		exo_widget_changed(&s->widget);
}

int exo_status_height(const struct exo_ui *ui)
{
	return exo_font_height(exo_ui_font(ui)) + exo_px(ui, 9);
}
