/*
 * notes: texts, kept by the service "store" under names of their own ("notes/1", …), as versions:
 * saved a second after the last change, and when another one is chosen. The list on the left
 * shows each by its first line.
 *
 *	Ctrl-N new, Ctrl-S save now, Ctrl-Z undo, Ctrl-A all, Ctrl-PageUp, Ctrl-PageDown: the
 *	one before, the next. The desktop's own keys copy the selection out and paste.
 */
#include "text.h"

#include <errno.h>
#include <exo.h>
#include <exo/desktop.h>
#include <exo_draw.h>
#include <exo_store.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOTES_MAX 256
#define NAME_MAX_BYTES 32
#define FIRST_BYTES 64
#define SAVE_NS 1000000000ull
#define LIST_WIDTH 170 /* at scale 1 */

struct note {
	char name[NAME_MAX_BYTES], first[FIRST_BYTES];
	unsigned number;
	uint64_t version;
};

struct app {
	struct exo_window *window;
	struct exo_store store;
	struct exo_font *mono, *sans, *bold;
	struct note note[NOTES_MAX];
	unsigned nnotes, open;
	struct text text;
	size_t top; /* first row that shows */
	unsigned scale, rows;
	int cell_width, cell_height;
	uint64_t save_at_ns; /* 0: nothing to save */
	bool selecting, all_dirty;
	char status[160];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int px(const struct app *a, int n)
{
	return n * (int)a->scale / 120;
}

/* ---- the store ------------------------------------------------------------------------- */

static void first_line(struct note *n, const char *bytes, size_t length)
{
	size_t i = 0;

	while (i < length && bytes[i] != '\n' && i + 1 < sizeof(n->first)) {
		n->first[i] = bytes[i];
		i++;
	}
	while (i && (unsigned char)n->first[i - 1] >= 0x80 && i + 1 == sizeof(n->first))
		i--; /* not half a character */
	n->first[i] = '\0';
}

static void say(struct app *a, const char *what, int error)
{
	snprintf(a->status, sizeof(a->status), "%s%s%s", what, error ? ": " : "",
		 error == ENOENT   ? "there is no store; start one (store.exo)"
		 : error == EACCES ? "the store was revoked"
		 : error           ? strerror(error)
				   : "");
	a->all_dirty = true;
}

static void load_list(struct app *a)
{
	struct exo_store_ref ref = {.name = "notes/"};
	char first[FIRST_BYTES];

	while (a->nnotes < NOTES_MAX && exo_store_next(&a->store, ref.name, &ref) == 0) {
		struct note *n = &a->note[a->nnotes];
		ssize_t got;

		if (strncmp(ref.name, "notes/", 6) != 0)
			return;
		if (strlen(ref.name) >= sizeof(n->name))
			continue;
		*n = (struct note){.version = ref.version, .number = (unsigned)atoi(ref.name + 6)};
		memcpy(n->name, ref.name, strlen(ref.name) + 1);
		got = exo_store_get(&a->store, ref.hash, 0, first, sizeof(first) - 1, NULL);
		first_line(n, first, got > 0 ? (size_t)got : 0);
		a->nnotes++;
	}
	if (!a->nnotes && errno != ENOENT)
		say(a, "The store does not answer", errno);
}

static void save(struct app *a)
{
	struct note *n = &a->note[a->open];
	uint8_t hash[EXO_SHA256_BYTES];
	uint64_t version = n->version;

	a->save_at_ns = 0;
	if (!a->text.changed)
		return;
	if (exo_store_put(&a->store, a->text.bytes, a->text.n, hash) ||
	    exo_store_set(&a->store, n->name, hash, &version)) {
		say(a, "Not saved", errno);
		a->save_at_ns = now_ns() + 10 * SAVE_NS; /* and again */
		return;
	}
	n->version = version;
	a->text.changed = false;
	first_line(n, a->text.bytes, a->text.n);
	snprintf(a->status, sizeof(a->status), "Saved, version %llu", (unsigned long long)version);
	a->all_dirty = true;
}

static void open_note(struct app *a, unsigned index)
{
	struct exo_store_ref ref;
	char *bytes = NULL;
	ssize_t got = 0;

	save(a);
	a->open = index;
	a->top = 0;
	if (a->note[index].version &&
	    exo_store_lookup(&a->store, a->note[index].name, 0, &ref) == 0) {
		bytes = malloc(TEXT_BYTES_MAX);
		got = bytes ? exo_store_get(&a->store, ref.hash, 0, bytes, TEXT_BYTES_MAX, NULL)
			    : 0;
		a->note[index].version = ref.version;
	}
	if (got < 0)
		say(a, "Not read", errno);
	(void)text_set(&a->text, bytes ? bytes : "", got > 0 ? (size_t)got : 0);
	free(bytes);
	a->all_dirty = true;
}

static void new_note(struct app *a)
{
	struct note *n = &a->note[a->nnotes];
	unsigned number = 0;

	if (a->nnotes == NOTES_MAX) {
		say(a, "There are too many notes", 0);
		return;
	}
	for (unsigned i = 0; i < a->nnotes; i++)
		number = a->note[i].number > number ? a->note[i].number : number;
	*n = (struct note){.number = number + 1};
	snprintf(n->name, sizeof(n->name), "notes/%u", n->number);
	a->nnotes++;
	open_note(a, a->nnotes - 1);
}

/* ---- drawing ---------------------------------------------------------------------------- */

struct colours {
	uint32_t paper, ink, dim, list, chosen, chosen_ink, selected;
};

static struct colours colours_of(const struct app *a)
{
	static const struct colours light = {0xfffdfcf7, 0xff202428, 0xff7a8086, 0xffe9ebe6,
					     0xff2f7d4f, 0xffffffff, 0xffbfe3c9};
	static const struct colours dark = {0xff1d2124, 0xffe4e6e8, 0xff8a9298, 0xff282d31,
					    0xff3f9d67, 0xff101214, 0xff2d5a40};

	return exo_window_dark(a->window) ? dark : light;
}

static void draw_list(struct app *a, const struct exo_surface *s, const struct colours *c)
{
	int width = px(a, LIST_WIDTH), row = px(a, 30);
	struct exo_surface part = exo_surface_part(s, 0, 0, width, (int)s->height);

	exo_fill(&part, c->list);
	for (unsigned i = 0; i < a->nnotes; i++) {
		bool open = i == a->open;
		const char *first = a->note[i].first;

		if (open)
			exo_fill_rect(&part, 0, (int)i * row, width, row, c->chosen);
		exo_text(&part, open ? a->bold : a->sans, px(a, 10), (int)i * row + px(a, 20),
			 first[0] ? first : "New note", -1,
			 open       ? c->chosen_ink
			 : first[0] ? c->ink
				    : c->dim);
	}
}

static void draw_row(struct app *a, const struct exo_surface *s, const struct colours *c,
		     size_t row, int y)
{
	const struct text_row *r = &a->text.row[row];
	size_t start, end;
	int left = px(a, LIST_WIDTH + 14);

	if (text_selection(&a->text, &start, &end) && start <= r->end && end > r->start) {
		unsigned from = text_count(&a->text, r->start, start > r->start ? start : r->start);
		unsigned to = text_count(&a->text, r->start, end < r->end ? end : r->end);

		exo_fill_rect(s, left + (int)from * a->cell_width, y,
			      (int)(to - from + (end > r->end)) * a->cell_width, a->cell_height,
			      c->selected);
	}
	exo_text(s, a->mono, left, y + exo_font_ascent(a->mono), a->text.bytes + r->start,
		 (int)(r->end - r->start), c->ink);
	if (exo_window_focused(a->window) && row == text_row_of(&a->text, a->text.cursor))
		exo_fill_rect(s,
			      left + (int)text_count(&a->text, r->start, a->text.cursor) *
					      a->cell_width,
			      y, px(a, 2), a->cell_height, c->chosen);
}

static void draw_text(struct app *a, const struct exo_surface *s, const struct colours *c)
{
	int left = px(a, LIST_WIDTH), y = px(a, 10), foot = (int)s->height - px(a, 24);

	exo_fill_rect(s, left, 0, (int)s->width - left, (int)s->height, c->paper);
	for (unsigned i = 0; i < a->rows && a->top + i < a->text.nrows; i++, y += a->cell_height)
		draw_row(a, s, c, a->top + i, y);
	exo_text(s, a->sans, left + px(a, 14), foot + px(a, 16), a->status, -1, c->dim);
}

static void draw(struct app *a)
{
	struct exo_surface s = exo_window_begin(a->window);
	struct colours c = colours_of(a);
	int columns = ((int)s.width - px(a, LIST_WIDTH + 28)) / a->cell_width;
	int rows = ((int)s.height - px(a, 34)) / a->cell_height;
	size_t row;

	a->rows = rows > 1 ? (unsigned)rows : 1;
	text_layout(&a->text, columns > 1 ? (unsigned)columns : 1);
	row = text_row_of(&a->text, a->text.cursor);
	if (row < a->top)
		a->top = row;
	if (row >= a->top + a->rows)
		a->top = row - a->rows + 1;
	draw_text(a, &s, &c);
	if (a->all_dirty)
		draw_list(a, &s, &c);
	exo_window_damage(a->window, a->all_dirty ? 0 : px(a, LIST_WIDTH), 0, (int)s.width,
			  (int)s.height);
	a->all_dirty = false;
	(void)exo_window_present(a->window);
}

/* ---- input --------------------------------------------------------------------------------- */

static const struct {
	uint16_t code;
	uint8_t plain, ctrl; /* enum text_move */
} moves[] = {
	{KEY_LEFT, TEXT_LEFT, TEXT_WORD_LEFT},
	{KEY_RIGHT, TEXT_RIGHT, TEXT_WORD_RIGHT},
	{KEY_UP, TEXT_UP, TEXT_UP},
	{KEY_DOWN, TEXT_DOWN, TEXT_DOWN},
	{KEY_HOME, TEXT_HOME, TEXT_TOP},
	{KEY_END, TEXT_END, TEXT_BOTTOM},
	{KEY_PAGEUP, TEXT_PAGE_UP, TEXT_UP},
	{KEY_PAGEDOWN, TEXT_PAGE_DOWN, TEXT_DOWN},
};

static void edited(struct app *a)
{
	if (a->text.changed)
		a->save_at_ns = now_ns() + SAVE_NS;
}

static bool command(struct app *a, const struct exo_event *e)
{
	if (!(e->key.modifiers & EXO_MOD_CTRL))
		return false;
	if (e->key.code == KEY_PAGEUP || e->key.code == KEY_PAGEDOWN) {
		unsigned step = e->key.code == KEY_PAGEUP ? a->nnotes - 1 : 1;

		open_note(a, (a->open + step) % a->nnotes);
		return true;
	}
	switch (e->key.symbol) {
	case 'n':
		new_note(a);
		return true;
	case 's':
		save(a);
		return true;
	case 'z':
		(void)text_undo(&a->text);
		return true;
	case 'a':
		text_select_all(&a->text);
		return true;
	default:
		return false;
	}
}

static void on_key(struct app *a, const struct exo_event *e)
{
	bool shift = e->key.modifiers & EXO_MOD_SHIFT, ctrl = e->key.modifiers & EXO_MOD_CTRL;
	bool room = true;

	if (!e->key.down || command(a, e)) {
		edited(a);
		return;
	}
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		if (moves[i].code == e->key.code) {
			text_move(&a->text, ctrl ? moves[i].ctrl : moves[i].plain, shift, a->rows);
			return;
		}
	}
	if (e->key.code == KEY_BACKSPACE || e->key.code == KEY_DELETE)
		text_delete(&a->text, e->key.code == KEY_DELETE);
	else if (e->key.code == KEY_ENTER || e->key.code == KEY_KPENTER)
		room = text_insert(&a->text, "\n", 1);
	else if (e->key.text[0])
		room = text_insert(&a->text, e->key.text, strlen(e->key.text));
	if (!room)
		say(a, "This note is full", 0);
	edited(a);
}

static void point(struct app *a, int x, int y, bool select)
{
	int row = (y - px(a, 10)) / a->cell_height;
	int column = (x - px(a, LIST_WIDTH + 14) + a->cell_width / 2) / a->cell_width;

	text_point(&a->text, row < 0 ? 0 : a->top + (size_t)row, column < 0 ? 0 : (unsigned)column,
		   select);
}

static void on_button(struct app *a, const struct exo_event *e)
{
	if (e->button.code != BTN_LEFT)
		return;
	a->selecting = e->button.down && e->button.x >= px(a, LIST_WIDTH);
	if (!e->button.down)
		return;
	if (a->selecting) {
		point(a, e->button.x, e->button.y, e->button.modifiers & EXO_MOD_SHIFT);
	} else {
		unsigned i = (unsigned)(e->button.y / px(a, 30));

		if (i < a->nnotes && i != a->open)
			open_note(a, i);
	}
}

static void on_copy(struct app *a, const struct exo_event *e)
{
	size_t start, end;
	bool any = text_selection(&a->text, &start, &end);

	(void)exo_window_copy(a->window, e->copy.id, any ? EXO_DESK_TEXT : EXO_DESK_NONE,
			      any ? a->text.bytes + start : NULL, any ? end - start : 0);
}

static bool make_fonts(struct app *a)
{
	a->scale = exo_window_scale(a->window);
	exo_font_close(a->mono);
	exo_font_close(a->sans);
	exo_font_close(a->bold);
	a->mono = exo_font_open(EXO_MONO, (unsigned)px(a, 14));
	a->sans = exo_font_open(EXO_SANS, (unsigned)px(a, 13));
	a->bold = exo_font_open(EXO_BOLD, (unsigned)px(a, 13));
	if (!a->mono || !a->sans || !a->bold)
		return false;
	a->cell_width = exo_text_width(a->mono, "M", 1);
	a->cell_height = exo_font_height(a->mono);
	a->all_dirty = true;
	return true;
}

/* True: something may look different now. */
static bool take(struct app *a, const struct exo_event *e)
{
	switch (e->type) {
	case EXO_EVENT_KEY:
		on_key(a, e);
		return e->key.down;
	case EXO_EVENT_BUTTON:
		on_button(a, e);
		return true;
	case EXO_EVENT_POINTER:
		if (a->selecting)
			point(a, e->pointer.x, e->pointer.y, true);
		return a->selecting;
	case EXO_EVENT_WHEEL:
		text_move(&a->text, e->wheel.dy > 0 ? TEXT_PAGE_UP : TEXT_PAGE_DOWN, false, 3);
		return true;
	case EXO_EVENT_PASTE:
		if (e->paste.format == EXO_DESK_TEXT &&
		    !text_insert(&a->text, e->paste.data, e->paste.bytes))
			say(a, "There is no room for all of that", 0);
		edited(a);
		return true;
	case EXO_EVENT_COPY:
		on_copy(a, e);
		return false;
	case EXO_EVENT_SETTINGS:
		return make_fonts(a);
	case EXO_EVENT_RESIZE:
	case EXO_EVENT_FOCUS:
		a->all_dirty = true;
		return true;
	default:
		return false;
	}
}

static int wait_ms(const struct app *a)
{
	uint64_t now = now_ns();

	if (!a->save_at_ns)
		return -1;
	return now >= a->save_at_ns ? 0 : (int)((a->save_at_ns - now) / 1000000) + 1;
}

int main(void)
{
	static struct app a;
	struct exo_event e;
	bool redraw = true;

	a.window = exo_window_open("Notes", 0);
	if (!a.window || !make_fonts(&a)) {
		perror("notes: no window");
		return 1;
	}
	/* The store may have to be started: the window does not wait for it. */
	say(&a, "Looking for the store", 0);
	draw(&a);
	exo_store_init(&a.store);
	a.store.timeout_ms = 2000;
	load_list(&a);
	if (a.nnotes)
		open_note(&a, 0);
	else
		new_note(&a);
	if (!strcmp(a.status, "Looking for the store"))
		say(&a, "", 0);
	for (;;) {
		int got;

		if (redraw)
			draw(&a);
		redraw = false;
		got = exo_window_next(a.window, &e, wait_ms(&a));
		if (got < 0)
			break;
		for (; got > 0; got = exo_window_next(a.window, &e, 0))
			redraw |= take(&a, &e);
		if (a.save_at_ns && now_ns() >= a.save_at_ns) {
			save(&a);
			redraw = true;
		}
	}
	save(&a);
	return 0;
}
