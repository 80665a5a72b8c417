/* Results of tests and how they are written; see results.h. */
#include "results.h"

#include <stdlib.h>
#include <string.h>

void results_finish(struct results *r)
{
	for (unsigned i = 0; i < r->count; i++)
		free(r->list[i].description);
	free(r->list);
	text_finish(&r->output);
	r->list = NULL;
	r->count = r->capacity = 0;
}

void results_add(struct results *r, struct result result, const char *description)
{
	if (r->count == r->capacity) {
		unsigned capacity = 2 * r->capacity + 16;
		struct result *list = realloc(r->list, capacity * sizeof(*list));

		if (!list) {
			r->lost = true;
			return;
		}
		r->list = list;
		r->capacity = capacity;
	}
	result.description = strdup(description);
	if (!result.description) {
		r->lost = true;
		return;
	}
	r->list[r->count++] = result;
}

static bool is_failure(const struct result *r)
{
	return !r->ok && !r->todo;
}

struct results_sum results_count(const struct results *r)
{
	struct results_sum sum = {.failed = r->lost};

	for (unsigned i = 0; i < r->count; i++) {
		sum.failed += is_failure(&r->list[i]);
		sum.skipped += r->list[i].ok && r->list[i].skipped;
		sum.passed += !is_failure(&r->list[i]) && !(r->list[i].ok && r->list[i].skipped);
	}
	return sum;
}

/* Each line of the guest's output as a comment. */
static void add_output(const struct text *output, struct text *out)
{
	const char *line = output->data;

	while (line && *line) {
		size_t length = strcspn(line, "\n");

		text_addf(out, "# | %.*s\n", length > 900 ? 900 : (int)length, line);
		line += length + (line[length] == '\n');
	}
}

void results_add_tap(const struct results *r, unsigned *number, bool with_output, struct text *out)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct result *one = &r->list[i];

		text_addf(out, "%s %u - %.300s: %.600s%s\n", one->ok ? "ok" : "not ok", ++*number,
			  r->file, one->description,
			  one->skipped ? " # SKIP"
			  : one->todo  ? " # TODO"
				       : "");
	}
	if (r->lost)
		text_addf(out, "not ok %u - %.300s: no memory for all its results\n", ++*number,
			  r->file);
	if (with_output || results_count(r).failed)
		add_output(&r->output, out);
}

void results_add_junit(const struct results *r, struct text *out)
{
	struct results_sum sum = results_count(r);

	text_add(out, "  <testsuite name=\"", 19);
	text_add_xml(out, r->file);
	text_addf(out,
		  "\" tests=\"%u\" failures=\"%u\" errors=\"%d\" skipped=\"%u\" time=\"%.3f\">\n",
		  r->count, sum.failed - r->lost, r->lost, sum.skipped, (double)r->wall_ns / 1e9);
	for (unsigned i = 0; i < r->count; i++) {
		const struct result *one = &r->list[i];

		text_add(out, "    <testcase classname=\"", 25);
		text_add_xml(out, r->file);
		text_add(out, "\" name=\"", 8);
		text_add_xml(out, one->description);
		if (is_failure(one)) {
			text_add(out, "\">\n      <failure message=\"", 27);
			text_add_xml(out, one->description);
			text_add(out, "\"/>\n    </testcase>\n", 20);
		} else if (one->skipped || (one->todo && !one->ok)) {
			text_add(out, "\"><skipped/></testcase>\n", 24);
		} else {
			text_add(out, "\"/>\n", 4);
		}
	}
	text_add(out, "    <system-out>", 16);
	text_add_xml(out, r->output.data ? r->output.data : "");
	text_add(out, "</system-out>\n  </testsuite>\n", 29);
}
