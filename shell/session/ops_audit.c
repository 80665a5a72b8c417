/*
 * The operation audit: what the audit log holds (audit.c writes it), and what is
 * written from then on; and the events that subscribers get of it (docs/control.md).
 */
#include "control_impl.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES 65536u /* longer lines are none of ours */

static const char *const files[] = {"audit.jsonl.1", "audit.jsonl"};
#define FILES (sizeof(files) / sizeof(files[0]))

struct audit_reader {
	int fd[FILES]; /* -1: not there, or read */
	off_t at;      /* in the first that is left */
	char since[32];
	const char *guest, *service; /* of the request; NULL: all */
	bool follow;
	char chunk[CHUNK_BYTES];
};

/* ---- lines ------------------------------------------------------------------------- */

static bool field_is(const json_t *line, const char *field, const char *wanted)
{
	const char *value = json_string_value(json_object_get(line, field));

	return !wanted || (value && !strcmp(value, wanted));
}

/* A guest's lines are those of what it did, and of what was done to its services. */
static bool matches(const struct audit_reader *a, const json_t *line)
{
	const char *time = json_string_value(json_object_get(line, "time"));

	return time && strcmp(time, a->since) >= 0 && field_is(line, "service", a->service) &&
	       (field_is(line, "guest", a->guest) || field_is(line, "provider", a->guest));
}

/* `line` stays the caller's. */
static void send_line(struct client *c, const json_t *line)
{
	json_t *event = json_copy((json_t *)(uintptr_t)line);
	json_t *what = json_object_get(line, "event");

	if (!event)
		return;
	json_object_set(event, "what", what);
	json_object_set_new(event, "event", json_string("audit"));
	control_send(c, event, NULL, 0);
}

/* ---- what is in the files -------------------------------------------------------------- */

static void take_line(struct request *r, const char *text, size_t length)
{
	const struct audit_reader *a = r->opaque;
	json_t *line = json_loadb(text, length, 0, NULL);

	if (json_is_object(line) && matches(a, line))
		send_line(r->client, line);
	json_decref(line);
}

/* Reads a chunk of the file. False: it is at its end. */
static bool read_chunk(struct request *r, int fd)
{
	struct audit_reader *a = r->opaque;
	ssize_t n = pread(fd, a->chunk, sizeof(a->chunk), a->at);
	size_t start = 0, length = n > 0 ? (size_t)n : 0;
	const char *end;

	while ((end = memchr(a->chunk + start, '\n', length - start))) {
		size_t next = (size_t)(end - a->chunk) + 1;

		take_line(r, a->chunk + start, next - 1 - start);
		start = next;
	}
	a->at += (off_t)(start ? start : length);
	return length > 0 && (start || length == sizeof(a->chunk));
}

static void close_file(struct audit_reader *a, size_t i)
{
	if (a->fd[i] >= 0)
		close(a->fd[i]);
	a->fd[i] = -1;
	a->at = 0;
}

/* Some of what is left, as the client takes it. False: there is more. */
static bool read_files(struct request *r)
{
	struct audit_reader *a = r->opaque;

	for (size_t i = 0; i < FILES; i++) {
		if (a->fd[i] < 0)
			continue;
		if (!read_chunk(r, a->fd[i]))
			close_file(a, i);
		return false;
	}
	return true;
}

static bool look_audit(struct request *r)
{
	const struct audit_reader *a = r->opaque;
	if (r->follows_audit || r->client->gone)
		return false;
	r->for_room = r->client->waiting >= CONTROL_OUTPUT_LOW;
	if (r->for_room)
		return false;
	if (!read_files(r)) { /* others get their turn */
		r->deadline_ns = clock_now_ns() + 1;
		return false;
	}
	if (!a->follow) {
		request_done(r);
		return true;
	}
	r->follows_audit = true;
	return false;
}

/* ---- what is written now ------------------------------------------------------------------ */

/* The event for subscribers, or NULL. */
static const char *event_of(const char *what)
{
	if (!strcmp(what, "grant") || !strcmp(what, "delegate"))
		return "granted";
	if (!strcmp(what, "revoke") || !strcmp(what, "expire"))
		return "revoked";
	return !strcmp(what, "refuse") ? "refused" : NULL;
}

static void follow_line(struct client *c, const json_t *line)
{
	for (struct request *r = c->requests; r; r = r->next) {
		if (r->follows_audit && matches(r->opaque, line))
			send_line(c, line);
	}
}

void control_audit(struct session *s, json_t *line)
{
	const char *what = json_string_value(json_object_get(line, "event"));
	const char *name = what ? event_of(what) : NULL;

	for (struct client *c = control_clients(s); c; c = c->next)
		follow_line(c, line);
	if (!name)
		return json_decref(line);
	json_object_set_new(line, "event", json_string(name));
	control_broadcast(s, line);
}

/* ---- the operation -------------------------------------------------------------------------- */

static void free_reader(struct request *r)
{
	struct audit_reader *a = r->opaque;

	for (size_t i = 0; i < FILES; i++)
		close_file(a, i);
	free(a);
}

/* As the log writes times, so that they compare as strings. */
static void set_since(struct audit_reader *a, uint64_t ms)
{
	struct timespec now;
	struct tm utc;
	char seconds[24];
	time_t at;
	int64_t then;

	clock_gettime(CLOCK_REALTIME, &now);
	then = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)ms;
	if (then < 0)
		then = 0;
	at = (time_t)(then / 1000);
	gmtime_r(&at, &utc);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(a->since, sizeof(a->since), "%s.%03dZ", seconds, (int)(then % 1000));
}

static void op_audit(struct request *r)
{
	struct session *s = request_session(r);
	struct audit_reader *a = calloc(1, sizeof(*a));

	if (!a)
		return request_fail(r, CONTROL_INTERNAL, "out of memory");
	for (size_t i = 0; i < FILES; i++)
		a->fd[i] = s->directory_fd < 0
				   ? -1
				   : openat(s->directory_fd, files[i],
					    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (request_has(r, "since_ms"))
		set_since(a, request_number(r, "since_ms", 0));
	a->guest = request_string(r, "guest");
	a->service = request_string(r, "service");
	a->follow = request_bool(r, "follow");
	r->opaque = a;
	r->cancel = free_reader;
	request_wait(r, look_audit, 1); /* in the next tick */
}

static const struct field audit_fields[] = {{"follow", FIELD_BOOL, false, NULL},
					    {"since_ms", FIELD_U63, false, NULL},
					    {"guest", FIELD_NAME, false, NULL},
					    {"service", FIELD_NAME, false, NULL},
					    {NULL}};

const struct op ops_audit[] = {
	{"audit", audit_fields, op_audit, false},
	{NULL},
};
