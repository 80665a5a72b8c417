/* Test Anything Protocol; see tap.h. */
#include "tap.h"

#include "opts.h"
#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void tap_init(struct tap *t, tap_result_fn *result, tap_note_fn *note, void *opaque)
{
	*t = (struct tap){.result = result, .note = note, .opaque = opaque};
}

__attribute__((format(printf, 2, 3))) static void fail(struct tap *t, const char *format, ...)
{
	va_list ap;

	if (t->error[0])
		return;
	va_start(ap, format);
	vsnprintf(t->error, sizeof(t->error), format, ap);
	va_end(ap);
}

/* "1..N", perhaps with "# SKIP why". */
static void parse_plan(struct tap *t, char *line)
{
	char *comment = strchr(line, '#');
	char *number = line + 3;
	uint64_t planned;

	if (t->has_plan) {
		fail(t, "a second plan");
		return;
	}
	if (comment)
		*comment = '\0';
	number[strcspn(number, " \t")] = '\0';
	if (opts_parse_number(number, 0, TAP_TESTS_MAX, &planned)) {
		fail(t, "a plan that is no number up to %d: %.60s", TAP_TESTS_MAX, line);
		return;
	}
	t->has_plan = true;
	t->plan_was_last = t->seen > 0;
	t->planned = (unsigned)planned;
}

/* Cuts "# SKIP…" or "# TODO…" off. */
static enum tap_directive take_directive(char *description)
{
	for (char *hash = description; (hash = strchr(hash, '#')); hash++) {
		const char *word = hash + 1 + strspn(hash + 1, " \t");
		enum tap_directive d = !strncasecmp(word, "skip", 4)   ? TAP_SKIP
				       : !strncasecmp(word, "todo", 4) ? TAP_TODO
								       : TAP_NONE;

		if (d == TAP_NONE || (hash > description && hash[-1] == '\\'))
			continue;
		while (hash > description && (hash[-1] == ' ' || hash[-1] == '\t'))
			hash--;
		*hash = '\0';
		return d;
	}
	return TAP_NONE;
}

/* What follows "ok" or "not ok". */
static void parse_result(struct tap *t, bool ok, char *rest)
{
	struct tap_result r = {.ok = ok, .number = t->seen + 1};
	size_t digits;

	rest += strspn(rest, " \t");
	digits = strspn(rest, "0123456789");
	if (digits && (!rest[digits] || strchr(" \t#", rest[digits]))) {
		uint64_t number = 0;
		char after = rest[digits];

		rest[digits] = '\0';
		if (opts_parse_number(rest, 0, UINT32_MAX, &number) || number != r.number)
			fail(t, "test %u has the number %.20s", r.number, rest);
		rest[digits] = after;
		rest += digits + strspn(rest + digits, " \t");
	}
	r.directive = take_directive(rest);
	if (rest[0] == '-')
		rest += 1 + strspn(rest + 1, " \t");
	if (t->has_plan && t->plan_was_last)
		fail(t, "a test after the plan at the end");
	if (t->seen == TAP_TESTS_MAX) {
		fail(t, "more than %d tests", TAP_TESTS_MAX);
		return;
	}
	t->seen++;
	t->failed += !ok && r.directive != TAP_TODO;
	r.description = rest;
	t->result(t->opaque, &r);
}

static void parse_line(struct tap *t, char *line)
{
	char *content = line + strspn(line, " \t");
	bool first = !t->any_line;

	text_make_printable(content);
	t->any_line = true;
	if (t->in_yaml || (content != line && !strcmp(content, "---"))) {
		t->in_yaml = strcmp(content, "...") != 0;
		if (t->note)
			t->note(t->opaque, content);
	} else if (!*content) {
		return;
	} else if (*content == '#') {
		if (t->note)
			t->note(t->opaque, content + 1 + (content[1] == ' '));
	} else if (content != line) {
		return; /* a subtest */
	} else if (!strncmp(line, "1..", 3)) {
		parse_plan(t, line);
	} else if (!strncmp(line, "ok", 2) && (!line[2] || line[2] == ' ')) {
		parse_result(t, true, line + 2);
	} else if (!strncmp(line, "not ok", 6) && (!line[6] || line[6] == ' ')) {
		parse_result(t, false, line + 6);
	} else if (!strncasecmp(line, "bail out!", 9)) {
		fail(t, "bailed out:%.140s", line[9] ? line + 9 : " no reason given");
	} else if (strncmp(line, "pragma ", 7) && !(first && !strncmp(line, "TAP version ", 12))) {
		fail(t, "a line that is not TAP: %.100s", line);
	}
}

void tap_feed(struct tap *t, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != '\n') {
			if (t->length < TAP_LINE_MAX - 1)
				t->line[t->length++] = bytes[i];
			else
				fail(t, "a line longer than %d bytes", TAP_LINE_MAX - 1);
			continue;
		}
		if (t->length && t->line[t->length - 1] == '\r')
			t->length--;
		t->line[t->length] = '\0';
		t->length = 0;
		parse_line(t, t->line);
	}
}

void tap_end(struct tap *t)
{
	if (t->length)
		fail(t, "the last line is not finished");
	if (!t->has_plan)
		fail(t, t->seen ? "no plan" : "no plan and no tests");
	else if (t->seen != t->planned)
		fail(t, "%u tests planned, %u run", t->planned, t->seen);
}
