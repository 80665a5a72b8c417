/*
 * term: a command line in a window, over the service "control": whoever has it can start and end
 * guests and change what they may reach, so its label says "system".
 *
 *	Up, Down: earlier lines; Shift-PageUp, Shift-PageDown, wheel: scroll; Ctrl-L clear, Ctrl-U
 *	forget the line. Ctrl-Shift-C (the desktop's) takes the last lines out.
 */
#include "term.h"

#include <exo/desktop.h>
#include <exo_draw.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 1000
#define TYPED_MAX 512
#define HISTORY_MAX 50

struct line {
	enum ink ink;
	char *text;
};

static struct {
	struct exo_window *window;
	struct exo_font *font;
	struct line line[LINES_MAX]; /* a ring */
	unsigned first, n, back;
	char typed[TYPED_MAX];
	size_t cursor;
	char *history[HISTORY_MAX];
	unsigned nhistory, at;
	unsigned columns, rows;
	int cell_width, cell_height;
	bool dirty;
} t;

static int px(int n)
{
	return n * (int)exo_window_scale(t.window) / 120;
}

/* ---- lines ---------------------------------------------------------------------------- */

void term_clear(void)
{
	while (t.n)
		free(t.line[(t.first + --t.n) % LINES_MAX].text);
	t.first = t.back = 0;
	t.dirty = true;
}

static void add(enum ink ink, const char *text, size_t n)
{
	struct line *l;

	if (t.n == LINES_MAX) {
		free(t.line[t.first].text);
		t.first = (t.first + 1) % LINES_MAX;
		t.n--;
	}
	l = &t.line[(t.first + t.n++) % LINES_MAX];
	l->ink = ink;
	l->text = strndup(text, n);
	if (t.back)
		t.back++;
	t.dirty = true;
}

void term_print(enum ink ink, const char *format, ...)
{
	char text[2048];
	const char *at = text;
	unsigned columns = t.columns ? t.columns : 80;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	do {
		const char *end = at;

		for (unsigned i = 0; i < columns && *end; i++)
			(void)exo_utf8_next(&end);
		add(ink, at, (size_t)(end - at));
		at = end;
	} while (*at);
}

/* ---- drawing ---------------------------------------------------------------------------- */

static uint32_t colour(enum ink ink, bool dark)
{
	static const uint32_t inks[2][5] = {
		{0xff22262a, 0xff7a8086, 0xff1f7a3f, 0xffb03030, 0xff2050a0},
		{0xffd8dcdf, 0xff8a9298, 0xff6fcf8f, 0xffff8080, 0xff90b8ff},
	};

	return inks[dark][ink];
}

static void draw(void)
{
	struct exo_surface s = exo_window_begin(t.window);
	bool dark = exo_window_dark(t.window);
	int margin = px(8), ascent = exo_font_ascent(t.font), y;
	unsigned shown;
	char prompt[TYPED_MAX + 4];

	t.columns = (unsigned)(((int)s.width - 2 * margin) / t.cell_width);
	t.rows = (unsigned)(((int)s.height - 2 * margin) / t.cell_height);
	exo_fill(&s, dark ? 0xff15181a : 0xfff6f6f3);
	shown = t.rows > 1 ? t.rows - 1 : 0;
	if (shown > t.n)
		shown = t.n;
	if (t.back > t.n - shown)
		t.back = t.n - shown;
	y = margin;
	for (unsigned i = 0; i < shown; i++, y += t.cell_height) {
		const struct line *l = &t.line[(t.first + t.n - t.back - shown + i) % LINES_MAX];

		if (l->text)
			exo_text(&s, t.font, margin, y + ascent, l->text, -1, colour(l->ink, dark));
	}
	snprintf(prompt, sizeof(prompt), "> %s", t.typed);
	exo_text(&s, t.font, margin, y + ascent, prompt, -1, colour(INK_TYPED, dark));
	exo_fill_rect(&s, margin + exo_text_width(t.font, prompt, (int)t.cursor + 2), y, px(2),
		      t.cell_height, colour(INK_TYPED, dark));
	exo_window_damage(t.window, 0, 0, (int)s.width, (int)s.height);
	(void)exo_window_present(t.window);
	t.dirty = false;
}

/* ---- typing -------------------------------------------------------------------------------- */

static void type(const char *text)
{
	size_t n = strlen(text), all = strlen(t.typed);

	if (all + n >= sizeof(t.typed))
		return;
	memmove(t.typed + t.cursor + n, t.typed + t.cursor, all - t.cursor + 1);
	memcpy(t.typed + t.cursor, text, n);
	t.cursor += n;
}

static size_t left_of(size_t at)
{
	if (at)
		at--;
	while (at && ((unsigned char)t.typed[at] & 0xc0) == 0x80)
		at--;
	return at;
}

static size_t right_of(size_t at)
{
	const char *next = t.typed + at;

	(void)exo_utf8_next(&next);
	return (size_t)(next - t.typed);
}

static void cut(size_t from, size_t to)
{
	memmove(t.typed + from, t.typed + to, strlen(t.typed + to) + 1);
	t.cursor = from;
}

static void recall(int step)
{
	int at = (int)t.at + step;

	if (at < 0 || at > (int)t.nhistory)
		return;
	t.at = (unsigned)at;
	snprintf(t.typed, sizeof(t.typed), "%s", t.at < t.nhistory ? t.history[t.at] : "");
	t.cursor = strlen(t.typed);
}

static void remember(void)
{
	if (!t.typed[0])
		return;
	if (t.nhistory == HISTORY_MAX) {
		free(t.history[0]);
		memmove(t.history, t.history + 1, --t.nhistory * sizeof(t.history[0]));
	}
	t.history[t.nhistory] = strdup(t.typed);
	if (t.history[t.nhistory])
		t.nhistory++;
	t.at = t.nhistory;
}

static bool enter(void)
{
	char line[TYPED_MAX];

	remember();
	snprintf(line, sizeof(line), "%s", t.typed);
	term_print(INK_TYPED, "> %s", line);
	t.typed[0] = '\0';
	t.cursor = 0;
	t.back = 0;
	return control_run(line);
}

static void scroll(int lines)
{
	int back = (int)t.back + lines;

	t.back = back < 0 ? 0 : (unsigned)back; /* draw() knows how far it goes */
}

/* False: the window is to be closed. */
static bool on_key(const struct exo_event *e)
{
	bool shift = e->key.modifiers & EXO_MOD_SHIFT, ctrl = e->key.modifiers & EXO_MOD_CTRL;

	switch (e->key.code) {
	case KEY_ENTER:
	case KEY_KPENTER:
		return enter();
	case KEY_BACKSPACE:
		cut(left_of(t.cursor), t.cursor);
		break;
	case KEY_DELETE:
		cut(t.cursor, right_of(t.cursor));
		break;
	case KEY_LEFT:
		t.cursor = left_of(t.cursor);
		break;
	case KEY_RIGHT:
		t.cursor = right_of(t.cursor);
		break;
	case KEY_HOME:
		t.cursor = 0;
		break;
	case KEY_END:
		t.cursor = strlen(t.typed);
		break;
	case KEY_UP:
		recall(-1);
		break;
	case KEY_DOWN:
		recall(1);
		break;
	case KEY_PAGEUP:
	case KEY_PAGEDOWN:
		if (shift)
			scroll(e->key.code == KEY_PAGEUP ? (int)t.rows / 2 : -(int)t.rows / 2);
		break;
	default:
		if (ctrl && e->key.symbol == 'l')
			term_clear();
		else if (ctrl && e->key.symbol == 'u')
			cut(0, t.cursor);
		else if (e->key.text[0])
			type(e->key.text);
	}
	t.dirty = true;
	return true;
}

static void paste(const struct exo_event *e)
{
	char text[TYPED_MAX];
	size_t n = 0;

	/* One line: what follows a line feed would be run unseen. */
	for (const char *at = e->paste.data; *at && *at != '\n' && n + 1 < sizeof(text); at++)
		text[n++] = *at;
	text[n] = '\0';
	type(text);
	t.dirty = true;
}

static void copy(const struct exo_event *e)
{
	char *all = malloc(65536);
	size_t n = 0;

	for (unsigned i = t.n > t.rows ? t.n - t.rows : 0; all && i < t.n; i++) {
		const char *text = t.line[(t.first + i) % LINES_MAX].text;

		if (text && n + strlen(text) + 2 < 65536)
			n += (size_t)sprintf(all + n, "%s\n", text);
	}
	(void)exo_window_copy(t.window, e->copy.id, n ? EXO_DESK_TEXT : EXO_DESK_NONE, all, n);
	free(all);
}

static bool make_font(void)
{
	exo_font_close(t.font);
	t.font = exo_font_open(EXO_MONO, (unsigned)px(13));
	if (!t.font)
		return false;
	t.cell_width = exo_text_width(t.font, "M", 1);
	t.cell_height = exo_font_height(t.font);
	t.dirty = true;
	return true;
}

static bool take(const struct exo_event *e)
{
	switch (e->type) {
	case EXO_EVENT_KEY:
		return !e->key.down || on_key(e);
	case EXO_EVENT_WHEEL:
		scroll(e->wheel.dy * 3 / 120);
		t.dirty = true;
		return true;
	case EXO_EVENT_PASTE:
		if (e->paste.format == EXO_DESK_TEXT)
			paste(e);
		return true;
	case EXO_EVENT_COPY:
		copy(e);
		return true;
	case EXO_EVENT_SETTINGS:
		return make_font();
	case EXO_EVENT_RESIZE:
	case EXO_EVENT_FOCUS:
		t.dirty = true;
		return true;
	default:
		return true;
	}
}

int main(void)
{
	struct exo_event e;

	t.window = exo_window_open("Terminal", 0);
	if (!t.window || !make_font()) {
		perror("term: no window");
		return 1;
	}
	control_open();
	for (;;) {
		struct pollfd fds[2] = {
			{.fd = exo_window_fd(t.window), .events = POLLIN},
			{.fd = control_fd(), .events = POLLIN},
		};

		if (t.dirty)
			draw();
		(void)poll(fds, 2, exo_window_timeout_ms(t.window));
		while (exo_window_next(t.window, &e, 0) > 0) {
			if (!take(&e))
				return 0;
		}
		if (fds[1].revents && control_fd() >= 0)
			control_receive();
	}
}
