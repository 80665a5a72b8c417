/* Results of the guests of exo test, and how they are written: TAP or JUnit XML. */
#ifndef RESULTS_H
#define RESULTS_H

#include "text.h"

#include <stdbool.h>
#include <stdint.h>

struct result {
	bool ok, skipped, todo;
	char *description; /* owned */
};

struct results { /* of one guest */
	const char *file;
	struct result *list;
	unsigned count, capacity;
	bool lost; /* there was no memory for some */
	uint64_t wall_ns;
	struct text output; /* what the guest wrote, its last part */
};

struct results_sum {
	unsigned passed, failed, skipped;
};

void results_finish(struct results *r);
void results_add(struct results *r, struct result result, const char *description);
struct results_sum results_count(const struct results *r);

/* Test points, numbered on from *number, with the file's name before each description. */
void results_add_tap(const struct results *r, unsigned *number, bool with_output, struct text *out);
/* One <testsuite>. */
void results_add_junit(const struct results *r, struct text *out);

#endif
