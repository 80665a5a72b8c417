/* See text.h. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

static bool inside(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t before(const struct text *t, size_t at)
{
	if (at)
		at--;
	while (at && inside(t->bytes[at]))
		at--;
	return at;
}

static size_t behind_of(const struct text *t, size_t at)
{
	if (at < t->n)
		at++;
	while (at < t->n && inside(t->bytes[at]))
		at++;
	return at;
}

unsigned text_count(const struct text *t, size_t from, size_t to)
{
	unsigned n = 0;

	for (size_t i = from; i < to; i++)
		n += !inside(t->bytes[i]);
	return n;
}

bool text_selection(const struct text *t, size_t *start, size_t *end)
{
	*start = t->cursor < t->mark ? t->cursor : t->mark;
	*end = t->cursor < t->mark ? t->mark : t->cursor;
	return *start != *end;
}

/* ---- bytes ---------------------------------------------------------------------------- */

static bool make_room(struct text *t, size_t n)
{
	size_t room = t->room ? t->room : 256;
	char *bytes;

	while (room < n + 1)
		room *= 2;
	if (room == t->room)
		return true;
	bytes = realloc(t->bytes, room);
	if (!bytes)
		return false;
	if (!t->bytes)
		bytes[0] = '\0';
	t->bytes = bytes;
	t->room = room;
	return true;
}

/* Length of the well-formed character at s, or 0. */
static size_t good(const unsigned char *s, size_t n)
{
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (!length || s[0] > 0xf4 || length > n)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return length;
}

/* Copies what is text: no control characters but tabs and line feeds. The bytes written. */
static size_t clean(char *to, const char *from, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < n;) {
		size_t length = good((const unsigned char *)from + i, n - i);

		if (length > 1) {
			memcpy(to + done, from + i, length);
			done += length;
		} else if (!length) {
			to[done++] = '?';
		} else if (from[i] == '\n' || from[i] == '\t' ||
			   ((unsigned char)from[i] >= ' ' && from[i] != 0x7f)) {
			to[done++] = from[i];
		}
		i += length ? length : 1;
	}
	return done;
}

static void forget_undo(struct text *t)
{
	while (t->nundo)
		free(t->undo[--t->nundo].bytes);
}

bool text_set(struct text *t, const char *bytes, size_t n)
{
	if (n > TEXT_BYTES_MAX)
		n = TEXT_BYTES_MAX;
	if (!make_room(t, n))
		return false;
	t->n = clean(t->bytes, bytes, n);
	t->bytes[t->n] = '\0';
	t->cursor = t->mark = 0;
	t->goal = 0;
	t->changed = t->typing = false;
	forget_undo(t);
	text_layout(t, t->columns);
	return true;
}

void text_free(struct text *t)
{
	forget_undo(t);
	free(t->bytes);
	free(t->row);
	*t = (struct text){0};
}

/* ---- changes ------------------------------------------------------------------------------ */

/* Without memory there is no undo of this; the change is made all the same. */
static void remember(struct text *t, bool typing)
{
	struct text_state *s;

	if (typing && t->typing)
		return;
	t->typing = typing;
	if (t->nundo == TEXT_UNDO_MAX) {
		free(t->undo[0].bytes);
		memmove(t->undo, t->undo + 1, --t->nundo * sizeof(t->undo[0]));
	}
	s = &t->undo[t->nundo];
	s->bytes = malloc(t->n + 1);
	if (!s->bytes)
		return;
	memcpy(s->bytes, t->bytes, t->n);
	s->n = t->n;
	s->cursor = t->cursor;
	t->nundo++;
}

bool text_undo(struct text *t)
{
	struct text_state *s;

	if (!t->nundo)
		return false;
	s = &t->undo[--t->nundo];
	if (make_room(t, s->n)) {
		memcpy(t->bytes, s->bytes, s->n);
		t->n = s->n;
		t->bytes[t->n] = '\0';
		t->cursor = t->mark = s->cursor;
	}
	free(s->bytes);
	t->typing = false;
	t->changed = true;
	text_layout(t, t->columns);
	return true;
}

static void set_goal(struct text *t)
{
	size_t row = text_row_of(t, t->cursor);

	t->goal = t->nrows ? text_count(t, t->row[row].start, t->cursor) : 0;
}

static void cut(struct text *t, size_t start, size_t end)
{
	memmove(t->bytes + start, t->bytes + end, t->n - end + 1);
	t->n -= end - start;
	t->cursor = t->mark = start;
	t->changed = true;
}

bool text_insert(struct text *t, const char *bytes, size_t n)
{
	size_t start, end, more;
	char *text;

	if (t->n + n > TEXT_BYTES_MAX || !make_room(t, t->n + n))
		return false;
	text = malloc(n + 1);
	if (!text)
		return false;
	more = clean(text, bytes, n);
	remember(t, n <= 4 && bytes[0] != '\n' && t->cursor == t->mark);
	if (text_selection(t, &start, &end))
		cut(t, start, end);
	memmove(t->bytes + t->cursor + more, t->bytes + t->cursor, t->n - t->cursor + 1);
	memcpy(t->bytes + t->cursor, text, more);
	free(text);
	t->n += more;
	t->cursor += more;
	t->mark = t->cursor;
	t->changed = true;
	text_layout(t, t->columns);
	set_goal(t);
	return true;
}

void text_delete(struct text *t, bool behind)
{
	size_t start, end;

	if (!t->n)
		return;
	if (!text_selection(t, &start, &end)) {
		start = behind ? t->cursor : before(t, t->cursor);
		end = behind ? behind_of(t, t->cursor) : t->cursor;
	}
	if (start == end)
		return;
	remember(t, false);
	cut(t, start, end);
	text_layout(t, t->columns);
	set_goal(t);
}

/* ---- rows --------------------------------------------------------------------------------- */

static bool add_row(struct text *t, size_t start, size_t end)
{
	if (t->nrows == t->row_room) {
		size_t room = t->row_room ? 2 * t->row_room : 64;
		struct text_row *row = realloc(t->row, room * sizeof(*row));

		if (!row)
			return false;
		t->row = row;
		t->row_room = room;
	}
	t->row[t->nrows++] = (struct text_row){start, end};
	return true;
}

/* Where a row that begins at start ends, within its line's end. */
static size_t row_end(const struct text *t, size_t start, size_t line_end)
{
	size_t at = start, blank = 0;
	unsigned n = 0;

	while (at < line_end && n < t->columns) {
		if (t->bytes[at] == ' ')
			blank = at + 1;
		at = behind_of(t, at);
		n++;
	}
	return at < line_end && blank > start ? blank : at;
}

void text_layout(struct text *t, unsigned columns)
{
	size_t start = 0;

	t->columns = columns;
	t->nrows = 0;
	if (!columns || !make_room(t, t->n))
		return;
	for (;;) {
		const char *feed = memchr(t->bytes + start, '\n', t->n - start);
		size_t line_end = feed ? (size_t)(feed - t->bytes) : t->n;

		do {
			size_t end = row_end(t, start, line_end);

			if (!add_row(t, start, end))
				return;
			start = end;
		} while (start < line_end);
		if (!feed)
			return;
		start = line_end + 1;
	}
}

size_t text_row_of(const struct text *t, size_t at)
{
	size_t low = 0, high = t->nrows;

	while (high > low + 1) {
		size_t middle = (low + high) / 2;

		if (t->row[middle].start <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void point(struct text *t, size_t row, unsigned column, bool select)
{
	size_t at;

	if (!t->nrows)
		return;
	if (row >= t->nrows)
		row = t->nrows - 1;
	for (at = t->row[row].start; column && at < t->row[row].end; column--)
		at = behind_of(t, at);
	/* The end of a row that goes on is the start of the next: stay in this one. */
	if (at == t->row[row].end && row + 1 < t->nrows && t->row[row + 1].start == at &&
	    at > t->row[row].start)
		at = before(t, at);
	t->cursor = at;
	t->typing = false;
	if (!select)
		t->mark = at;
}

void text_point(struct text *t, size_t row, unsigned column, bool select)
{
	point(t, row, column, select);
	set_goal(t);
}

/* ---- moves --------------------------------------------------------------------------------- */

static bool is_word(char c)
{
	return c != ' ' && c != '\n' && c != '\t';
}

static size_t word(const struct text *t, size_t at, bool right)
{
	if (right) {
		while (at < t->n && is_word(t->bytes[at]))
			at++;
		while (at < t->n && !is_word(t->bytes[at]))
			at++;
		return at;
	}
	while (at && !is_word(t->bytes[at - 1]))
		at--;
	while (at && is_word(t->bytes[at - 1]))
		at--;
	return at;
}

static void vertical(struct text *t, long rows, bool select)
{
	long row = (long)text_row_of(t, t->cursor) + rows;
	unsigned goal = t->goal;

	if (row < 0)
		point(t, 0, 0, select);
	else if ((size_t)row >= t->nrows)
		point(t, t->nrows - 1, TEXT_BYTES_MAX, select);
	else
		point(t, (size_t)row, goal, select);
	t->goal = goal;
}

void text_move(struct text *t, enum text_move how, bool select, unsigned page)
{
	size_t row = t->nrows ? text_row_of(t, t->cursor) : 0, at = t->cursor, start, end;
	bool selected = text_selection(t, &start, &end);

	t->typing = false;
	if (!t->nrows)
		return;
	switch (how) {
	case TEXT_UP:
	case TEXT_PAGE_UP:
		vertical(t, how == TEXT_UP ? -1 : -(long)page, select);
		return;
	case TEXT_DOWN:
	case TEXT_PAGE_DOWN:
		vertical(t, how == TEXT_DOWN ? 1 : (long)page, select);
		return;
	case TEXT_LEFT:
		at = selected && !select ? start : before(t, at);
		break;
	case TEXT_RIGHT:
		at = selected && !select ? end : behind_of(t, at);
		break;
	case TEXT_HOME:
		at = t->row[row].start;
		break;
	case TEXT_END:
		point(t, row, TEXT_BYTES_MAX, select);
		at = t->cursor;
		break;
	case TEXT_WORD_LEFT:
	case TEXT_WORD_RIGHT:
		at = word(t, at, how == TEXT_WORD_RIGHT);
		break;
	case TEXT_TOP:
		at = 0;
		break;
	case TEXT_BOTTOM:
		at = t->n;
		break;
	}
	t->cursor = at;
	if (!select)
		t->mark = at;
	set_goal(t);
}

void text_select_all(struct text *t)
{
	t->mark = 0;
	t->cursor = t->n;
	t->typing = false;
}
