/* Error lines, escaping, buffers; see text.h. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void text_finish(struct text *t)
{
	free(t->data);
	*t = (struct text){0};
}

void text_add(struct text *t, const char *bytes, size_t length)
{
	if (t->limit && length > t->limit - t->length) {
		length = t->limit - t->length;
		t->truncated = true;
	}
	if (t->length + length + 1 > t->capacity) {
		size_t capacity = 2 * t->capacity + length + 256;
		char *data = realloc(t->data, capacity);

		if (!data) {
			t->truncated = true;
			return;
		}
		t->data = data;
		t->capacity = capacity;
	}
	memcpy(t->data + t->length, bytes, length);
	t->length += length;
	t->data[t->length] = '\0';
}

void text_addf(struct text *t, const char *format, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line)) {
		t->truncated = true;
		n = n < 0 ? 0 : (int)sizeof(line) - 1;
	}
	text_add(t, line, (size_t)n);
}

/* Length of the valid UTF-8 sequence at s (Unicode 15, table 3-7), or 0. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : (s[0] & 0xf0) == 0xe0       ? 3
						 : 4;

	if (n == 4 && (s[0] < 0xf0 || s[0] > 0xf4))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool text_is_utf8(const char *bytes, size_t length)
{
	const unsigned char *s = (const unsigned char *)bytes;

	while (length) {
		unsigned char four[4] = {0}; /* what is cut off must not be read */
		size_t n;

		memcpy(four, s, length < 4 ? length : 4);
		n = utf8_length(four);
		if (!n || n > length)
			return false;
		s += n;
		length -= n;
	}
	return true;
}

void text_add_json(struct text *t, const char *string)
{
	const unsigned char *s = (const unsigned char *)string;

	text_add(t, "\"", 1);
	while (*s) {
		size_t n = utf8_length(s);

		if (!n)
			text_add(t, "\\ufffd", 6);
		else if (*s == '"' || *s == '\\')
			text_addf(t, "\\%c", *s);
		else if (*s == '\n')
			text_add(t, "\\n", 2);
		else if (*s < 0x20 || *s == 0x7f)
			text_addf(t, "\\u%04x", *s);
		else
			text_add(t, (const char *)s, n);
		s += n ? n : 1;
	}
	text_add(t, "\"", 1);
}

void text_add_xml(struct text *t, const char *string)
{
	const unsigned char *s = (const unsigned char *)string;

	while (*s) {
		size_t n = utf8_length(s);

		if (*s == '&')
			text_add(t, "&amp;", 5);
		else if (*s == '<')
			text_add(t, "&lt;", 4);
		else if (*s == '>')
			text_add(t, "&gt;", 4);
		else if (*s == '"')
			text_add(t, "&quot;", 6);
		else if (!n || (*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f)
			text_add(t, "?", 1);
		else
			text_add(t, (const char *)s, n);
		s += n ? n : 1;
	}
}

void text_make_printable(char *string)
{
	for (; *string; string++) {
		if (*string < ' ' || *string > '~')
			*string = '?';
	}
}

int text_write(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static _Thread_local struct {
	char *line; /* NULL: to standard error */
	size_t capacity;
} capture;

void text_capture(char *line, size_t capacity)
{
	capture.line = line;
	capture.capacity = capacity;
}

int text_error(int status, const char *format, ...)
{
	char line[1024] = "exo: ";
	const size_t room = sizeof(line) - sizeof("exo: "); /* leaves one byte for '\n' */
	va_list ap;
	size_t length;

	va_start(ap, format);
	vsnprintf(line + 5, room, format, ap);
	va_end(ap);
	for (length = 0; line[length]; length++) { /* file names may hold anything */
		if ((unsigned char)line[length] < ' ' || line[length] == 0x7f)
			line[length] = '?';
	}
	if (capture.line) {
		snprintf(capture.line, capture.capacity, "%s", line + 5);
		return status;
	}
	line[length++] = '\n';
	text_write(STDERR_FILENO, line, length);
	return status;
}
