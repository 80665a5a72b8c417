/*
 * Text for people and programs: error lines, escaping, and a bounded buffer.
 * Whatever comes from a guest or a VMM passes through one of these before it
 * reaches a terminal or a file.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows up to a limit. Zeroed memory is an empty buffer without a limit. */
struct text {
	char *data; /* terminated when length > 0 */
	size_t length, capacity;
	size_t limit;   /* bytes at most; 0: none */
	bool truncated; /* something did not fit, or there was no memory */
};

void text_finish(struct text *t);
void text_add(struct text *t, const char *bytes, size_t length);
void text_addf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string, quotes included (RFC 8259); bytes that are no valid UTF-8 become U+FFFD. */
void text_add_json(struct text *t, const char *string);
/* XML 1.0 character data or attribute value; what XML cannot hold becomes '?'. */
void text_add_xml(struct text *t, const char *string);

/* Is it valid UTF-8 (Unicode 15, table 3-7)? A NUL is. */
bool text_is_utf8(const char *bytes, size_t length);

/* Makes one line of it in place: control characters and non-ASCII become '?'. */
void text_make_printable(char *string);

/* Writes all of it; 0 or -errno. */
int text_write(int fd, const char *bytes, size_t length);

/*
 * From here on text_error writes its line (without "exo: " and line feed) to `line` and
 * prints nothing; NULL: it prints again. For a session, where it is somebody else's
 * message. The calling thread's only.
 */
void text_capture(char *line, size_t capacity);

/* Prints "exo: …" as one line on standard error, in one write; returns status. */
int text_error(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
