/* A line of text that is typed: cursor, selection, clipboard. */
#include "widgets_impl.h"

#include <linux/input-event-codes.h>
#include <string.h>

/* ---- text ------------------------------------------------------------------------ */

static size_t before(const struct exo_field *f, size_t at)
{
	if (at == 0)
		return 0;
	at--;
	while (at > 0 && ((unsigned char)f->text[at] & 0xc0) == 0x80)
		at--;
	return at;
}

static size_t after(const struct exo_field *f, size_t at)
{
	const char *p = f->text + at;

	exo_utf8_next(&p);
	return (size_t)(p - f->text);
}

static bool is_word(const struct exo_field *f, size_t at)
{
	unsigned char c = (unsigned char)f->text[at];

	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '_';
}

static size_t word_before(const struct exo_field *f, size_t at)
{
	while (at > 0 && !is_word(f, before(f, at)))
		at = before(f, at);
	while (at > 0 && is_word(f, before(f, at)))
		at = before(f, at);
	return at;
}

static size_t word_after(const struct exo_field *f, size_t at)
{
	while (f->text[at] && !is_word(f, at))
		at = after(f, at);
	while (f->text[at] && is_word(f, at))
		at = after(f, at);
	return at;
}

static size_t low(const struct exo_field *f)
{
	return f->cursor < f->anchor ? f->cursor : f->anchor;
}

static size_t high(const struct exo_field *f)
{
	return f->cursor < f->anchor ? f->anchor : f->cursor;
}

static void tell(struct exo_field *f)
{
	exo_widget_changed(&f->widget);
	if (f->changed)
		f->changed(f);
}

static void erase(struct exo_field *f, size_t from, size_t to)
{
	memmove(f->text + from, f->text + to, strlen(f->text + to) + 1);
	f->cursor = f->anchor = from;
}

/* In place of the selection: as many whole characters as fit, and no control characters. */
static void insert(struct exo_field *f, const char *text, size_t bytes)
{
	const char *p = text, *end = text + bytes;
	char one[8];

	erase(f, low(f), high(f));
	while (p < end && *p) {
		uint32_t c = exo_utf8_next(&p);
		size_t n, all = strlen(f->text);

		if (c < 0x20 || c == 0x7f)
			c = ' ';
		n = (size_t)exo_utf8_put(c, one);
		if (all + n + 1 > f->size)
			break;
		memmove(f->text + f->cursor + n, f->text + f->cursor, all - f->cursor + 1);
		memcpy(f->text + f->cursor, one, n);
		f->cursor += n;
	}
	f->anchor = f->cursor;
	tell(f);
}

/* ---- drawing --------------------------------------------------------------------- */

static int pad(const struct exo_field *f)
{
	return exo_px(f->widget.ui, 6);
}

static int x_of(const struct exo_field *f, size_t at)
{
	return exo_text_width(exo_ui_font(f->widget.ui), f->text, (int)at);
}

static size_t at_x(const struct exo_field *f, int x)
{
	struct exo_font *font = exo_ui_font(f->widget.ui);
	size_t at = 0;
	int left = pad(f) - f->scroll;

	while (f->text[at]) {
		size_t next = after(f, at);
		int width = exo_text_width(font, f->text + at, (int)(next - at));

		if (x < left + width / 2)
			break;
		left += width;
		at = next;
	}
	return at;
}

/* The cursor is always to be seen. */
static void scroll_to(struct exo_field *f)
{
	int x = x_of(f, f->cursor), room = f->widget.width - 2 * pad(f) - exo_px(f->widget.ui, 2);
	int all = x_of(f, strlen(f->text));

	if (x - f->scroll > room)
		f->scroll = x - room;
	if (f->scroll > all - room)
		f->scroll = all > room ? all - room : 0;
	if (x < f->scroll)
		f->scroll = x;
}

static void field_draw(struct exo_widget *w, const struct exo_surface *s,
		       const struct exo_rect *dirty)
{
	struct exo_field *f = (struct exo_field *)w;
	const struct exo_theme *t = ui_theme(w);
	struct exo_font *font = exo_ui_font(w->ui);
	bool here = w->ui->focus == w && exo_window_focused(w->ui->window);
	int line = exo_px(w->ui, here ? 2 : 1), x, y = ui_baseline(font, 0, w->height);
	int top = y - exo_font_ascent(font);
	struct exo_surface in;

	(void)dirty;
	scroll_to(f);
	exo_fill(s, t->field);
	exo_rect(s, 0, 0, w->width, w->height, line, here ? t->accent : t->border);
	in = exo_surface_part(s, pad(f), 0, w->width - 2 * pad(f), w->height);
	x = -f->scroll;
	if (!f->text[0] && f->hint)
		exo_text(&in, font, 0, y, f->hint, -1, t->dim);
	if (f->cursor != f->anchor)
		exo_fill_rect(&in, x + x_of(f, low(f)), top, x_of(f, high(f)) - x_of(f, low(f)),
			      exo_font_height(font), here ? t->accent : t->hover);
	exo_text(&in, font, x, y, f->text, -1, w->disabled ? t->dim : t->text);
	if (f->cursor != f->anchor && here)
		exo_text(&in, font, x + x_of(f, low(f)), y, f->text + low(f),
			 (int)(high(f) - low(f)), t->accent_text);
	if (here)
		exo_fill_rect(&in, x + x_of(f, f->cursor), top, exo_px(w->ui, 1),
			      exo_font_height(font), t->text);
}

/* ---- input ----------------------------------------------------------------------- */

static void go(struct exo_field *f, size_t at, bool select)
{
	f->cursor = at;
	if (!select)
		f->anchor = at;
	exo_widget_changed(&f->widget);
}

static bool edit_key(struct exo_field *f, uint16_t code, bool ctrl, bool shift)
{
	bool selected = f->cursor != f->anchor;
	size_t at;

	switch (code) {
	case KEY_LEFT:
		at = ctrl ? word_before(f, f->cursor) : before(f, f->cursor);
		go(f, selected && !shift && !ctrl ? low(f) : at, shift);
		return true;
	case KEY_RIGHT:
		at = ctrl ? word_after(f, f->cursor) : after(f, f->cursor);
		go(f, selected && !shift && !ctrl ? high(f) : at, shift);
		return true;
	case KEY_HOME:
		go(f, 0, shift);
		return true;
	case KEY_END:
		go(f, strlen(f->text), shift);
		return true;
	case KEY_BACKSPACE:
		at = ctrl ? word_before(f, f->cursor) : before(f, f->cursor);
		erase(f, selected ? low(f) : at, high(f));
		tell(f);
		return true;
	case KEY_DELETE:
		at = ctrl ? word_after(f, f->cursor) : after(f, f->cursor);
		erase(f, low(f), selected ? high(f) : at);
		tell(f);
		return true;
	default:
		return false;
	}
}

static bool field_key(struct exo_widget *w, const struct exo_event *e)
{
	struct exo_field *f = (struct exo_field *)w;
	bool ctrl = e->key.modifiers & EXO_MOD_CTRL;

	if (!e->key.down)
		return false;
	if (e->key.code == KEY_ENTER || e->key.code == KEY_KPENTER) {
		if (f->entered && !e->key.repeat)
			f->entered(f);
		return f->entered != NULL;
	}
	if (edit_key(f, e->key.code, ctrl, e->key.modifiers & EXO_MOD_SHIFT))
		return true;
	if (ctrl && e->key.symbol == 'a') {
		f->anchor = 0;
		go(f, strlen(f->text), true);
		return true;
	}
	if (!e->key.text[0] || (e->key.modifiers & EXO_MOD_ALT))
		return false;
	insert(f, e->key.text, strlen(e->key.text));
	return true;
}

static void field_button(struct exo_widget *w, int x, int y, uint16_t code, bool down,
			 uint32_t modifiers, unsigned clicks)
{
	struct exo_field *f = (struct exo_field *)w;
	size_t at = at_x(f, x);

	(void)y;
	if (code != BTN_LEFT)
		return;
	f->dragging = down && clicks == 1;
	if (!down)
		return;
	if (clicks == 1) {
		go(f, at, modifiers & EXO_MOD_SHIFT);
		return;
	}
	/* A word, then all. */
	f->anchor = clicks == 2 ? word_before(f, at) : 0;
	go(f, clicks == 2 ? word_after(f, f->anchor) : strlen(f->text), true);
}

static void field_pointer(struct exo_widget *w, int x, int y, uint32_t buttons)
{
	struct exo_field *f = (struct exo_field *)w;

	(void)y;
	(void)buttons;
	if (f->dragging)
		go(f, at_x(f, x), true);
}

static const char *field_copy(struct exo_widget *w, size_t *bytes)
{
	const struct exo_field *f = (const struct exo_field *)w;

	*bytes = high(f) - low(f);
	return f->text + low(f);
}

static void field_paste(struct exo_widget *w, const char *text, size_t bytes)
{
	insert((struct exo_field *)w, text, bytes);
}

static const struct exo_widget_class field_class = {
	.focus = true,
	.draw = field_draw,
	.key = field_key,
	.button = field_button,
	.pointer = field_pointer,
	.copy = field_copy,
	.paste = field_paste,
};

void exo_field_init(struct exo_field *f, char *text, size_t size)
{
	memset(f, 0, sizeof(*f));
	exo_widget_init(&f->widget, &field_class);
	f->text = text;
	f->size = size;
	f->cursor = f->anchor = strlen(text);
}

void exo_field_set(struct exo_field *f, const char *text)
{
	size_t n = strnlen(text, f->size - 1);

	memcpy(f->text, text, n);
	f->text[n] = 0;
	f->cursor = f->anchor = n;
	f->scroll = 0;
	exo_widget_changed(&f->widget);
}
