/*
 * Test Anything Protocol, read strictly (testanything.org, versions 12 to 14):
 * a stream that is not wholly right is a failure, for a test that died half-way
 * must not look like one that passed. Understood: version line, plan first or
 * last, results with SKIP and TODO, "Bail out!", comments, YAML blocks and
 * indented subtests (whose summary line counts, they themselves don't).
 *
 * Pure: the caller feeds bytes and gets results through a callback.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stddef.h>

#define TAP_LINE_MAX 1024   /* Limit: a longer line is an error */
#define TAP_TESTS_MAX 10000 /* Limit: a bigger plan, or more results, is an error */

enum tap_directive { TAP_NONE, TAP_SKIP, TAP_TODO };

struct tap_result {
	bool ok; /* as written; a failing TODO is no failure */
	enum tap_directive directive;
	unsigned number;
	const char *description; /* printable, valid during the callback */
};

typedef void tap_result_fn(void *opaque, const struct tap_result *result);
/* A comment or a line of a YAML block, printable. */
typedef void tap_note_fn(void *opaque, const char *line);

struct tap {
	tap_result_fn *result; /* required */
	tap_note_fn *note;     /* optional */
	void *opaque;

	unsigned seen, failed, planned;
	bool has_plan, plan_was_last, in_yaml, any_line;
	char error[160]; /* "": none; the first one stays */
	char line[TAP_LINE_MAX];
	size_t length;
};

/* Sets up a parser; zeroed memory plus the callbacks. */
void tap_init(struct tap *t, tap_result_fn *result, tap_note_fn *note, void *opaque);
void tap_feed(struct tap *t, const char *bytes, size_t length);
/* The stream is over: an unfinished line, a missing or wrong plan become errors. */
void tap_end(struct tap *t);

#endif
