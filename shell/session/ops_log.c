/*
 * The operation log: what guests printed that have no streams of their own
 * (docs/control.md). Positions count the bytes that were ever logged: they stay
 * right when the log begins anew while somebody reads it.
 */
#include "control_impl.h"

#include "lifecycle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 8192u

struct reader {
	uint64_t at; /* next byte */
	bool follow;
};

/* ---- reading --------------------------------------------------------------------- */

static uint64_t size_of(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t log_begin(const struct machine *m)
{
	uint64_t old = size_of(m->log_old_fd);

	return old < m->log_start ? m->log_start - old : 0;
}

static uint64_t log_end(const struct machine *m)
{
	return m->log_start + size_of(m->log_fd);
}

/* Up to `length` bytes from position `at`, which is not before the begin; 0 at the end. */
static size_t read_log(const struct machine *m, uint64_t at, char *data, size_t length)
{
	bool old = at < m->log_start;
	uint64_t base = old ? log_begin(m) : m->log_start;
	ssize_t n;

	if (old && length > m->log_start - at)
		length = (size_t)(m->log_start - at);
	n = pread(old ? m->log_old_fd : m->log_fd, data, length, (off_t)(at - base));
	return n > 0 ? (size_t)n : 0;
}

/* Where the last `lines` lines begin. */
static uint64_t find_lines(const struct machine *m, uint64_t lines)
{
	uint64_t begin = log_begin(m), end = log_end(m), at = end;
	char data[CHUNK_BYTES];

	while (at > begin) {
		uint64_t first = at > m->log_start ? m->log_start : begin; /* of this file */
		uint64_t from = at - first > sizeof(data) ? at - sizeof(data) : first;
		size_t n = read_log(m, from, data, (size_t)(at - from));

		for (size_t i = n; i > 0; i--) {
			uint64_t behind = from + i; /* the position after this byte */

			if (data[i - 1] == '\n' && behind != end && lines-- <= 1)
				return behind;
		}
		at = from;
	}
	return begin;
}

/* ---- text --------------------------------------------------------------------------- */

/* Length of the UTF-8 character that begins here (RFC 3629), 0: none; -1: it is cut off. */
static int utf8_length(const unsigned char *at, size_t left)
{
	int length = *at < 0x80   ? 1
		     : *at < 0xc2 ? 0
		     : *at < 0xe0 ? 2
		     : *at < 0xf0 ? 3
		     : *at < 0xf5 ? 4
				  : 0;

	for (int i = 1; i < length; i++) {
		if ((size_t)i >= left)
			return -1;
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return *at ? length : 0;
}

/*
 * What a guest printed as text for JSON: what is no UTF-8 becomes U+FFFD. *used is
 * less than length when a character is cut off at the end, unless `all`.
 */
static json_t *make_text(const char *data, size_t length, bool all, size_t *used)
{
	char text[3 * CHUNK_BYTES];
	size_t n = 0, at = 0;

	while (at < length) {
		int one = utf8_length((const unsigned char *)data + at, length - at);

		if (one < 0 && !all)
			break;
		if (one <= 0) {
			memcpy(text + n, "\xef\xbf\xbd", 3);
			n += 3;
			at++;
			continue;
		}
		memcpy(text + n, data + at, (size_t)one);
		n += (size_t)one;
		at += (size_t)one;
	}
	*used = at;
	return json_stringn(text, n);
}

/* ---- the operation -------------------------------------------------------------------- */

/* Sends what there is and the client takes. True: all of it. */
static bool send_log(struct request *r)
{
	struct reader *reader = r->opaque;
	struct machine *m = r->machine;
	bool over = lifecycle_is_over(m);
	char data[CHUNK_BYTES];
	size_t n, used;

	for (;;) {
		r->for_room = r->client->waiting >= CONTROL_OUTPUT_LOW;
		if (r->client->gone || r->for_room)
			return false;
		if (reader->at < log_begin(m))
			reader->at = log_begin(m); /* it was faster than the client */
		n = read_log(m, reader->at, data, sizeof(data));
		if (!n)
			return true;
		json_t *text = make_text(data, n, over && n < sizeof(data), &used);

		if (!used) { /* the rest of the character will come */
			json_decref(text);
			return true;
		}
		reader->at += used;
		control_send(r->client,
			     json_pack("{s:s, s:s, s:o}", "event", "log", "guest", m->name, "text",
				       text),
			     NULL, 0);
	}
}

static bool look_log(struct request *r)
{
	const struct reader *reader = r->opaque;

	if (!send_log(r) ||
	    (reader->follow && !(lifecycle_is_over(r->machine) && r->machine->ended_ns)))
		return false;
	request_done(r);
	return true;
}

static void free_reader(struct request *r)
{
	free(r->opaque);
}

static void op_log(struct request *r)
{
	struct machine *m = request_machine(r);
	struct reader *reader;

	if (!m)
		return;
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return request_fail(r, CONTROL_INTERNAL, "out of memory");
	reader->follow = request_bool(r, "follow");
	reader->at = request_has(r, "lines")
			     ? request_number(r, "lines", 0)
				       ? find_lines(m, request_number(r, "lines", 0))
				       : log_end(m)
			     : log_begin(m);
	r->machine = m;
	r->opaque = reader;
	r->cancel = free_reader;
	request_wait(r, look_log, 0);
}

/* ---- table -------------------------------------------------------------------------------- */

static const struct field log_fields[] = {{"guest", FIELD_NAME, true, NULL},
					  {"follow", FIELD_BOOL, false, NULL},
					  {"lines", FIELD_U63, false, NULL},
					  {NULL}};

const struct op ops_log[] = {
	{"log", log_fields, op_log, false},
	{NULL},
};
