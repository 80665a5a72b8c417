/* The text that notes edits: changes, moves, rows, undo, bytes that are no text. */
#include "../../guests/notes/text.h"
#include "unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct text t;

static void begin(const char *text, unsigned columns)
{
	t = (struct text){0};
	ck_assert(text_set(&t, text, strlen(text)));
	text_layout(&t, columns);
}

static void whole(void)
{
	size_t at = 0;

	ck_assert_uint_eq(strlen(t.bytes), t.n);
	ck_assert_uint_le(t.cursor, t.n);
	ck_assert_uint_le(t.mark, t.n);
	/* Rows follow each other and leave out nothing but line feeds. */
	for (size_t i = 0; i < t.nrows; i++) {
		ck_assert_uint_le(t.row[i].start, t.row[i].end);
		ck_assert(t.row[i].start == at ||
			  (at < t.n && t.bytes[at] == '\n' && t.row[i].start == at + 1));
		at = t.row[i].end;
		ck_assert_uint_le(text_count(&t, t.row[i].start, t.row[i].end), t.columns);
	}
	if (t.nrows)
		ck_assert_uint_eq(at, t.n);
}

START_TEST(typing)
{
	size_t start, end;

	begin("", 20);
	ck_assert(text_insert(&t, "a", 1) && text_insert(&t, "ä", 2) && text_insert(&t, "€", 3));
	ck_assert_str_eq(t.bytes, "aä€");
	text_delete(&t, false);
	ck_assert_str_eq(t.bytes, "aä");
	text_move(&t, TEXT_LEFT, false, 1);
	ck_assert_uint_eq(t.cursor, 1);
	text_delete(&t, true);
	ck_assert_str_eq(t.bytes, "a");
	text_select_all(&t);
	ck_assert(text_selection(&t, &start, &end) && start == 0 && end == 1);
	ck_assert(text_insert(&t, "new", 3));
	ck_assert_str_eq(t.bytes, "new");
	whole();
	text_free(&t);
}
END_TEST

START_TEST(rows)
{
	begin("one two three\n\nfour", 8);
	ck_assert_uint_eq(t.nrows, 4); /* "one two ", "three", "", "four" */
	ck_assert_uint_eq(t.row[1].start, 8);
	ck_assert_uint_eq(t.row[2].start, t.row[2].end);
	whole();
	text_point(&t, 1, 3, false);
	ck_assert_uint_eq(t.cursor, 11);
	text_move(&t, TEXT_UP, false, 1);
	ck_assert_uint_eq(t.cursor, 3);
	text_move(&t, TEXT_BOTTOM, true, 1);
	ck_assert_uint_eq(t.cursor, t.n);
	ck_assert_uint_eq(t.mark, 3);
	text_point(&t, 99, 99, false);
	ck_assert_uint_eq(t.cursor, t.n);
	text_layout(&t, 1); /* narrower than any word */
	whole();
	text_free(&t);
}
END_TEST

START_TEST(undo)
{
	begin("kept", 10);
	text_move(&t, TEXT_BOTTOM, false, 1);
	for (const char *c = " more"; *c; c++)
		ck_assert(text_insert(&t, c, 1));
	ck_assert_str_eq(t.bytes, "kept more");
	ck_assert(text_undo(&t)); /* what was typed in one go goes in one go */
	ck_assert_str_eq(t.bytes, "kept");
	ck_assert(!text_undo(&t));
	for (unsigned i = 0; i < 3 * TEXT_UNDO_MAX; i++) {
		ck_assert(text_insert(&t, "\n", 1));
		whole();
	}
	while (text_undo(&t))
		whole();
	text_free(&t);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	static const char bad[] = "a\xff\xc0\x80"
				  "b\x01\x1b[31m\xed\xa0\x80\xf4\x90\x80\x80"
				  "c\r\n\xe2\x82";
	char *large = malloc(TEXT_BYTES_MAX + 1);

	begin("", 5);
	ck_assert(text_insert(&t, bad, sizeof(bad) - 1));
	ck_assert(!memchr(t.bytes, 0x1b, t.n) && !memchr(t.bytes, '\r', t.n));
	ck_assert(strchr(t.bytes, 'c') != NULL);
	whole();
	memset(large, 'x', TEXT_BYTES_MAX + 1);
	ck_assert(!text_insert(&t, large, TEXT_BYTES_MAX + 1));
	ck_assert(text_set(&t, large, TEXT_BYTES_MAX + 1));
	ck_assert_uint_eq(t.n, TEXT_BYTES_MAX);
	ck_assert(!text_insert(&t, "x", 1));
	free(large);
	text_free(&t);
}
END_TEST

/* Whatever is done, in whatever order, text and rows stay whole. */
START_TEST(at_random)
{
	unsigned seed = (unsigned)_i + 1;

	begin("Some words to begin with.\nAnd another line, öäü €.", 12);
	for (unsigned i = 0; i < 4000; i++) {
		unsigned r = (unsigned)rand_r(&seed);

		if (r % 8 < 2)
			(void)text_insert(&t, &"ab cd\n€xy"[r / 8 % 6], 1 + r / 64 % 3);
		else if (r % 8 == 2)
			text_delete(&t, r / 8 % 2);
		else if (r % 64 == 3)
			(void)text_undo(&t);
		else if (r % 8 == 4)
			text_layout(&t, 1 + r / 8 % 40);
		else if (r % 8 == 5)
			text_point(&t, r / 8 % 50, r / 512 % 50, r / 8 % 2);
		else
			text_move(&t, (enum text_move)(r / 8 % 12), r / 128 % 2, 5);
		whole();
	}
	text_free(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notes");
	TCase *tc = tcase_create("notes");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, typing);
	tcase_add_test(tc, rows);
	tcase_add_test(tc, undo);
	tcase_add_test(tc, bytes_that_are_no_text);
	tcase_add_loop_test(tc, at_random, 0, 4);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
