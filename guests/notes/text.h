/*
 * A text that is edited: UTF-8 bytes, a cursor, a selection, undo, and the rows that it
 * takes in a window of so many columns. Pure: also tried on the host.
 */
#ifndef NOTES_TEXT_H
#define NOTES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_BYTES_MAX (256u << 10) /* Limit: more is not typed or pasted */
#define TEXT_UNDO_MAX 64

struct text_row {
	size_t start, end; /* bytes; without the line feed */
};

struct text {
	char *bytes; /* terminated */
	size_t n, room;
	size_t cursor, mark; /* the selection is between them; equal: none */
	unsigned goal;       /* column that up and down keep to */
	struct text_row *row;
	size_t nrows, row_room;
	unsigned columns; /* of the rows; 0: not laid out yet */
	struct text_state {
		char *bytes;
		size_t n, cursor;
	} undo[TEXT_UNDO_MAX];
	unsigned nundo;
	bool typing; /* the last change was a letter: the next belongs to it */
	bool changed;
};

enum text_move {
	TEXT_LEFT,
	TEXT_RIGHT,
	TEXT_UP,
	TEXT_DOWN,
	TEXT_HOME,
	TEXT_END,
	TEXT_WORD_LEFT,
	TEXT_WORD_RIGHT,
	TEXT_TOP,
	TEXT_BOTTOM,
	TEXT_PAGE_UP,
	TEXT_PAGE_DOWN,
};

/* All zeros is an empty text. False: no memory. Bytes that are not UTF-8 become '?'. */
bool text_set(struct text *t, const char *bytes, size_t n);
void text_free(struct text *t);
/* In place of the selection. False: full. */
bool text_insert(struct text *t, const char *bytes, size_t n);
/* The selection, else the character before (or behind) the cursor. */
void text_delete(struct text *t, bool behind);
bool text_undo(struct text *t);
/* page: rows that up and down of a page mean. select: the mark stays. */
void text_move(struct text *t, enum text_move how, bool select, unsigned page);
void text_select_all(struct text *t);
/* Puts the cursor where row and column are, or as near as there is text. */
void text_point(struct text *t, size_t row, unsigned column, bool select);
bool text_selection(const struct text *t, size_t *start, size_t *end);
/* Rows of at most so many columns, broken at blanks where there are any. */
void text_layout(struct text *t, unsigned columns);
size_t text_row_of(const struct text *t, size_t at);
/* Characters between two places. */
unsigned text_count(const struct text *t, size_t from, size_t to);

#endif
