/*
 * Consoles: what a guest prints, and what is typed for it, in a terminal (libvterm). The
 * guest may be gone before its console is closed.
 */
#include "desktop.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#define ROWS 24
#define COLS 80
#define ROWS_MAX 500
#define COLS_MAX 1000
#define LINES_MAX 2000 /* of scrollback */
#define TEXT_SIZE 13
#define MARGIN 4

struct line {
	int cols;
	VTermScreenCell cell[];
};

struct console {
	struct panel *panel;
	struct dguest *guest; /* NULL: it is over */
	VTerm *term;
	VTermScreen *screen;
	int rows, cols;
	int cell_width, cell_height;
	VTermPos cursor;
	bool cursor_hidden, bare_lines; /* lines end with a line feed alone */
	struct line *line[LINES_MAX];   /* a ring: the newest is at (first + n - 1) % MAX */
	unsigned first, n;
	unsigned back; /* lines scrolled back */
};

static const struct panel_class cls;

/* ---- what libvterm says ------------------------------------------------------------------ */

static int on_damage(VTermRect rect, void *user)
{
	panel_redraw(((struct console *)user)->panel);
	return 1;
}

static int on_cursor(VTermPos pos, VTermPos old, int visible, void *user)
{
	struct console *k = user;

	k->cursor = pos;
	panel_redraw(k->panel);
	return 1;
}

static int on_property(VTermProp prop, VTermValue *value, void *user)
{
	struct console *k = user;

	if (prop == VTERM_PROP_CURSORVISIBLE)
		k->cursor_hidden = !value->boolean;
	return 1;
}

static int on_push(int cols, const VTermScreenCell *cells, void *user)
{
	struct console *k = user;
	struct line *l = malloc(sizeof(*l) + (size_t)cols * sizeof(*cells));
	unsigned at;

	if (!l)
		return 0;
	l->cols = cols;
	memcpy(l->cell, cells, (size_t)cols * sizeof(*cells));
	if (k->n == LINES_MAX) {
		free(k->line[k->first]);
		k->first = (k->first + 1) % LINES_MAX;
		k->n--;
	}
	at = (k->first + k->n++) % LINES_MAX;
	k->line[at] = l;
	if (k->back && k->back < k->n)
		k->back++; /* what is looked at stays */
	return 1;
}

static int on_pop(int cols, VTermScreenCell *cells, void *user)
{
	struct console *k = user;
	struct line *l;
	int n;

	if (!k->n)
		return 0;
	l = k->line[(k->first + --k->n) % LINES_MAX];
	n = l->cols < cols ? l->cols : cols;
	memcpy(cells, l->cell, (size_t)n * sizeof(*cells));
	for (int i = n; i < cols; i++) {
		cells[i] = (VTermScreenCell){.width = 1};
		cells[i].fg = cells[i].bg = l->cell[0].bg;
	}
	free(l);
	if (k->back > k->n)
		k->back = k->n;
	return 1;
}

static void on_output(const char *bytes, size_t n, void *user)
{
	const struct console *k = user;

	if (k->guest)
		guests_type(k->guest, bytes, n);
}

static const VTermScreenCallbacks callbacks = {
	.damage = on_damage,
	.movecursor = on_cursor,
	.settermprop = on_property,
	.sb_pushline = on_push,
	.sb_popline = on_pop,
};

/* ---- drawing -------------------------------------------------------------------------------- */

static uint32_t colour_of(const struct console *k, VTermColor c, bool foreground)
{
	const struct theme *t = &k->panel->desktop->theme;

	if (VTERM_COLOR_IS_DEFAULT_FG(&c) || VTERM_COLOR_IS_DEFAULT_BG(&c))
		return foreground ? t->panel_text : t->panel;
	vterm_screen_convert_color_to_rgb(k->screen, &c);
	return 0xff000000u | (uint32_t)c.rgb.red << 16 | (uint32_t)c.rgb.green << 8 | c.rgb.blue;
}

static int put_utf8(uint32_t c, char out[5])
{
	int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (n == 1) {
		out[0] = (char)c;
	} else {
		for (int i = n - 1; i; i--, c >>= 6)
			out[i] = (char)(0x80 | (c & 0x3f));
		out[0] = (char)((0xf00 >> n & 0xff) | c);
	}
	out[n] = '\0';
	return n;
}

static void draw_cell(const struct console *k, const struct canvas *c, const VTermScreenCell *cell,
		      int x, int y)
{
	struct desktop *d = k->panel->desktop;
	bool swap = cell->attrs.reverse;
	uint32_t fg = colour_of(k, cell->fg, true), bg = colour_of(k, cell->bg, false);
	int width = k->cell_width * (cell->width > 1 ? 2 : 1), size = desktop_px(d, TEXT_SIZE);
	char text[5];

	if (swap) {
		uint32_t t = fg;

		fg = bg;
		bg = t;
	}
	if (bg != d->theme.panel)
		paint_rect(c, x, y, width, k->cell_height, bg);
	if (!cell->chars[0] || cell->chars[0] == ' ' || cell->chars[0] > 0x10ffff)
		return;
	paint_text(c, FACE_MONO, size, x, y + paint_text_ascent(FACE_MONO, size), text,
		   put_utf8(cell->chars[0], text), fg);
	if (cell->attrs.underline)
		paint_rect(c, x, y + k->cell_height - 2, width, 1, fg);
}

/* A cell of the view, whose first rows may be scrollback. */
static bool cell_at(const struct console *k, int row, int col, VTermScreenCell *cell)
{
	const struct line *l;

	if (row >= (int)k->back)
		return vterm_screen_get_cell(k->screen, (VTermPos){row - (int)k->back, col}, cell);
	l = k->line[(k->first + k->n - k->back + (unsigned)row) % LINES_MAX];
	if (col >= l->cols)
		return false;
	*cell = l->cell[col];
	return true;
}

static void draw(struct panel *p, const struct canvas *c)
{
	const struct console *k = p->data;
	int margin = desktop_px(p->desktop, MARGIN);
	VTermScreenCell cell;

	paint_fill(c, p->desktop->theme.panel);
	for (int row = 0; row < k->rows; row++) {
		for (int col = 0; col < k->cols; col++) {
			if (!cell_at(k, row, col, &cell))
				break;
			draw_cell(k, c, &cell, margin + col * k->cell_width,
				  margin + row * k->cell_height);
			if (cell.width > 1)
				col++;
		}
	}
	if (!k->cursor_hidden && !k->back && k->guest)
		paint_frame(c, margin + k->cursor.col * k->cell_width,
			    margin + k->cursor.row * k->cell_height, k->cell_width, k->cell_height,
			    1, p->desktop->theme.accent);
}

/* ---- input --------------------------------------------------------------------------------------
 */

static const struct {
	uint16_t code;
	VTermKey key;
} keys[] = {
	{KEY_ENTER, VTERM_KEY_ENTER},       {KEY_KPENTER, VTERM_KEY_ENTER},
	{KEY_TAB, VTERM_KEY_TAB},           {KEY_BACKSPACE, VTERM_KEY_BACKSPACE},
	{KEY_ESC, VTERM_KEY_ESCAPE},        {KEY_UP, VTERM_KEY_UP},
	{KEY_DOWN, VTERM_KEY_DOWN},         {KEY_LEFT, VTERM_KEY_LEFT},
	{KEY_RIGHT, VTERM_KEY_RIGHT},       {KEY_INSERT, VTERM_KEY_INS},
	{KEY_DELETE, VTERM_KEY_DEL},        {KEY_HOME, VTERM_KEY_HOME},
	{KEY_END, VTERM_KEY_END},           {KEY_PAGEUP, VTERM_KEY_PAGEUP},
	{KEY_PAGEDOWN, VTERM_KEY_PAGEDOWN}, {KEY_F1, VTERM_KEY_FUNCTION(1)},
	{KEY_F2, VTERM_KEY_FUNCTION(2)},    {KEY_F3, VTERM_KEY_FUNCTION(3)},
	{KEY_F4, VTERM_KEY_FUNCTION(4)},    {KEY_F5, VTERM_KEY_FUNCTION(5)},
	{KEY_F6, VTERM_KEY_FUNCTION(6)},    {KEY_F7, VTERM_KEY_FUNCTION(7)},
	{KEY_F8, VTERM_KEY_FUNCTION(8)},    {KEY_F9, VTERM_KEY_FUNCTION(9)},
	{KEY_F10, VTERM_KEY_FUNCTION(10)},  {KEY_F11, VTERM_KEY_FUNCTION(11)},
	{KEY_F12, VTERM_KEY_FUNCTION(12)},
};

static VTermModifier modifiers_of(uint32_t m)
{
	return (VTermModifier)((m & KEYMAP_SHIFT ? VTERM_MOD_SHIFT : 0) |
			       (m & KEYMAP_ALT ? VTERM_MOD_ALT : 0) |
			       (m & KEYMAP_CTRL ? VTERM_MOD_CTRL : 0));
}

static void scroll(struct panel *p, int lines)
{
	struct console *k = p->data;
	int back = (int)k->back + lines;

	k->back = back < 0 ? 0 : back > (int)k->n ? k->n : (unsigned)back;
	panel_redraw(p);
}

static void key(struct panel *p, const struct panel_event_key *e)
{
	struct console *k = p->data;
	VTermModifier m = modifiers_of(e->modifiers);
	const char *text = e->text;

	if (!e->down)
		return;
	if (e->modifiers & KEYMAP_SHIFT && (e->code == KEY_PAGEUP || e->code == KEY_PAGEDOWN)) {
		scroll(p, e->code == KEY_PAGEUP ? k->rows / 2 : -k->rows / 2);
		return;
	}
	if (!k->guest) {
		if (e->code == KEY_ESC || e->code == KEY_ENTER)
			panel_close(p);
		return;
	}
	scroll(p, -(int)k->back);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (keys[i].code == e->code) {
			vterm_keyboard_key(k->term, keys[i].key, m);
			return;
		}
	}
	if (e->text[0])
		vterm_keyboard_unichar(k->term, paint_character(&text, text + strlen(text)),
				       VTERM_MOD_NONE);
	else if (e->symbol && m & (VTERM_MOD_CTRL | VTERM_MOD_ALT))
		vterm_keyboard_unichar(k->term, e->symbol, m & ~VTERM_MOD_SHIFT);
}

static void wheel(struct panel *p, int dx, int dy)
{
	scroll(p, dy * 3 / 120);
}

/* ---- size
 * ---------------------------------------------------------------------------------------- */

static int within(int n, int max)
{
	return n < 1 ? 1 : n > max ? max : n;
}

static void resized(struct panel *p)
{
	struct console *k = p->data;
	int margin = 2 * desktop_px(p->desktop, MARGIN);

	k->rows = within((p->height - margin) / k->cell_height, ROWS_MAX);
	k->cols = within((p->width - margin) / k->cell_width, COLS_MAX);
	if (!k->term)
		return;
	k->back = 0;
	vterm_set_size(k->term, k->rows, k->cols);
	if (k->guest)
		guests_resize_pty(k->guest, (uint16_t)k->rows, (uint16_t)k->cols);
}

/* ---- what it shows
 * --------------------------------------------------------------------------------- */

void panel_console_output(struct panel *p, const char *bytes, size_t n)
{
	struct console *k = p->data;

	while (n && k->bare_lines) {
		const char *end = memchr(bytes, '\n', n);
		size_t part = end ? (size_t)(end - bytes) : n;

		vterm_input_write(k->term, bytes, part);
		if (end) {
			vterm_input_write(k->term, "\r\n", 2);
			part++;
		}
		bytes += part;
		n -= part;
	}
	if (n)
		vterm_input_write(k->term, bytes, n);
}

void panel_console_ended(struct panel *p, const char *how)
{
	struct console *k = p->data;
	char line[800];
	int n = snprintf(line, sizeof(line), "\r\n\033[0m\033[7m %s \033[0m", how);

	k->guest = NULL;
	vterm_input_write(k->term, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
	panel_redraw(p);
}

static void destroy(struct panel *p)
{
	struct console *k = p->data;

	if (k->guest)
		guests_console_closed(k->guest);
	if (k->term)
		vterm_free(k->term);
	for (unsigned i = 0; i < k->n; i++)
		free(k->line[(k->first + i) % LINES_MAX]);
	free(k);
}

static const struct panel_class cls = {
	.name = "console",
	.draw = draw,
	.key = key,
	.wheel = wheel,
	.resized = resized,
	.destroy = destroy,
};

static bool make_terminal(struct console *k)
{
	k->term = vterm_new(k->rows, k->cols);
	if (!k->term)
		return false;
	vterm_set_utf8(k->term, 1);
	vterm_output_set_callback(k->term, on_output, k);
	k->screen = vterm_obtain_screen(k->term);
	vterm_screen_set_callbacks(k->screen, &callbacks, k);
	vterm_screen_enable_altscreen(k->screen, 1);
	vterm_screen_reset(k->screen, 1);
	return true;
}

void panel_console(struct desktop *d, struct dguest *g)
{
	struct hid_window_setup setup = {.panel = true};
	struct console *k;
	char title[128];
	struct panel *p;

	if (g->console) {
		hid_focus(d->hid, g->console->id, desktop_now(d));
		return;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return;
	k->cell_width = within(paint_text_width(FACE_MONO, desktop_px(d, TEXT_SIZE), "M", 1), 1000);
	k->cell_height = within(paint_text_height(FACE_MONO, desktop_px(d, TEXT_SIZE)), 1000);
	k->rows = ROWS;
	k->cols = COLS;
	setup.width = COLS * k->cell_width + 2 * desktop_px(d, MARGIN);
	setup.height = ROWS * k->cell_height + 2 * desktop_px(d, MARGIN);
	snprintf(title, sizeof(title), "Console of %s", g->name);
	p = panel_open(d, &cls, title, &setup, k);
	if (!p) {
		free(k);
		return;
	}
	p->colour = g->colour;
	k->panel = p;
	if (!make_terminal(k)) {
		panel_close(p);
		return;
	}
	k->guest = g;
	k->bare_lines = g->pty < 0;
	g->console = p;
	guests_resize_pty(g, (uint16_t)k->rows, (uint16_t)k->cols);
	guests_console_opened(g);
}
