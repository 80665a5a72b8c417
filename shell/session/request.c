/* Requests of the control socket: decoding, checking, answering; see control_impl.h. */
#include "control_impl.h"

#include "policy.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const codes[CONTROL_ERRORS] = {
	[CONTROL_BAD_REQUEST] = "bad-request",
	[CONTROL_NOT_FOUND] = "not-found",
	[CONTROL_EXISTS] = "exists",
	[CONTROL_BUSY] = "busy",
	[CONTROL_LIMIT] = "limit",
	[CONTROL_INVALID] = "invalid",
	[CONTROL_REFUSED] = "refused",
	[CONTROL_TIMEOUT] = "timeout",
	[CONTROL_ENDED] = "ended",
	[CONTROL_INTERNAL] = "internal",
};

/* ---- checking ----------------------------------------------------------------- */

static bool is_string_list(const json_t *value)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(value))
		return false;
	json_array_foreach(value, i, item)
	{
		if (!json_is_string(item))
			return false;
	}
	return true;
}

static bool is_path(const json_t *value)
{
	return json_is_string(value) && json_string_value(value)[0] == '/';
}

static bool is_number(const json_t *value, json_int_t max)
{
	return json_is_integer(value) && json_integer_value(value) >= 0 &&
	       json_integer_value(value) <= max;
}

static bool is_socket_type(const json_t *value)
{
	return json_is_string(value) && (!strcmp(json_string_value(value), "stream") ||
					 !strcmp(json_string_value(value), "seqpacket"));
}

/* What the value should have been, or NULL: it is. */
static const char *check_value(const json_t *value, enum field_type type)
{
	switch (type) {
	case FIELD_NAME:
		return json_is_string(value) && policy_name_is_valid(json_string_value(value))
			       ? NULL
			       : "a name: 1 to 63 letters, digits, - _ or .";
	case FIELD_STRING:
		return json_is_string(value) ? NULL : "a string";
	case FIELD_PATH:
		return is_path(value) ? NULL : "an absolute path";
	case FIELD_BOOL:
		return json_is_boolean(value) ? NULL : "true or false";
	case FIELD_U32:
		return is_number(value, UINT32_MAX) ? NULL : "a number from 0 to 4294967295";
	case FIELD_U63:
		return is_number(value, INT64_MAX) ? NULL : "a number from 0";
	case FIELD_SOCKET:
		return is_socket_type(value) ? NULL : "\"stream\" or \"seqpacket\"";
	case FIELD_STRINGS:
		return is_string_list(value) ? NULL : "a list of strings";
	case FIELD_OBJECT:
		return json_is_object(value) ? NULL : "an object";
	default:
		return json_is_array(value) ? NULL : "a list of objects";
	}
}

static const struct field *find_field(const struct field *fields, const char *name)
{
	for (; fields && fields->name; fields++) {
		if (!strcmp(fields->name, name))
			return fields;
	}
	return NULL;
}

static int check_field(const json_t *value, const struct field *f, char why[256])
{
	const char *wanted = check_value(value, f->type);
	const json_t *item;
	size_t i;

	if (wanted) {
		snprintf(why, 256, "%s: must be %s", f->name, wanted);
		return -EINVAL;
	}
	if (f->type == FIELD_OBJECT)
		return fields_check(value, f->fields, f->name, why);
	if (f->type != FIELD_OBJECTS)
		return 0;
	json_array_foreach(value, i, item)
	{
		if (!json_is_object(item)) {
			snprintf(why, 256, "%s: must be a list of objects", f->name);
			return -EINVAL;
		}
		if (fields_check(item, f->fields, f->name, why))
			return -EINVAL;
	}
	return 0;
}

int fields_check(const json_t *object, const struct field *fields, const char *what, char why[256])
{
	/* The iterator takes a mutable object and changes nothing. */
	json_t *iterated = (json_t *)(uintptr_t)object;
	const char *name;
	json_t *value;

	json_object_foreach(iterated, name, value)
	{
		const struct field *f = find_field(fields, name);

		if (!f) {
			snprintf(why, 256, "%s: unknown field \"%.40s\"", what, name);
			return -EINVAL;
		}
		if (check_field(value, f, why))
			return -EINVAL;
	}
	for (const struct field *f = fields; f && f->name; f++) {
		if (f->required && !json_object_get(object, f->name)) {
			snprintf(why, 256, "%s: the field \"%s\" is missing", what, f->name);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- answering ------------------------------------------------------------------ */

void request_drop(struct request *r)
{
	if (!r)
		return;
	for (struct request **at = &r->client->requests; *at; at = &(*at)->next) {
		if (*at == r) {
			*at = r->next;
			break;
		}
	}
	if (r->cancel)
		r->cancel(r);
	for (unsigned i = 0; i < r->nfds; i++) {
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	}
	json_decref(r->id);
	json_decref(r->body);
	free(r);
}

static void answer(struct request *r, json_t *line, int fd)
{
	struct client *c = r->client;

	if (line)
		json_object_set(line, "id", r->id);
	control_send(c, line, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	request_drop(r);
}

void request_done_fd(struct request *r, int fd)
{
	answer(r, json_pack("{s:b}", "ok", 1), fd);
}

void request_done(struct request *r)
{
	request_done_fd(r, -1);
}

void request_ok(struct request *r, json_t *fields)
{
	if (!fields)
		return request_fail(r, CONTROL_INTERNAL, "out of memory");
	json_object_set_new(fields, "ok", json_true());
	answer(r, fields, -1);
}

/* Takes over extra. */
static json_t *error_line(enum control_error code, const char *message, json_t *extra)
{
	json_t *error = extra ? extra : json_object();
	json_t *text = json_string(message);

	/* What comes from a VMM or a file name need not be UTF-8. */
	json_object_set_new(error, "message", text ? text : json_string("(not UTF-8)"));
	json_object_set_new(error, "code", json_string(codes[code]));
	return json_pack("{s:n, s:b, s:o}", "id", "ok", 0, "error", error);
}

void request_fail_with(struct request *r, enum control_error code, json_t *extra,
		       const char *message)
{
	answer(r, error_line(code, message, extra), -1);
}

void request_fail(struct request *r, enum control_error code, const char *format, ...)
{
	char message[768];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	request_fail_with(r, code, NULL, message);
}

void request_reject(struct client *c, enum control_error code, const char *message)
{
	control_send(c, error_line(code, message, NULL), NULL, 0);
}

/* ---- fields ------------------------------------------------------------------------ */

const char *request_string(const struct request *r, const char *field)
{
	return json_string_value(json_object_get(r->body, field));
}

uint64_t request_number(const struct request *r, const char *field, uint64_t otherwise)
{
	const json_t *value = json_object_get(r->body, field);

	return value ? (uint64_t)json_integer_value(value) : otherwise;
}

bool request_bool(const struct request *r, const char *field)
{
	return json_is_true(json_object_get(r->body, field));
}

bool request_has(const struct request *r, const char *field)
{
	return json_object_get(r->body, field) != NULL;
}

bool request_is_seqpacket(const struct request *r)
{
	const char *type = request_string(r, "type");

	return type && !strcmp(type, "seqpacket");
}

struct session *request_session(const struct request *r)
{
	return r->client->session;
}

struct machine *request_machine(struct request *r)
{
	const char *name = request_string(r, "guest");
	struct machine *m = session_find(request_session(r), name);

	if (!m)
		request_fail(r, CONTROL_NOT_FOUND, "no guest named %s; exo ps lists them", name);
	return m;
}

void request_wait(struct request *r, bool (*look)(struct request *r), uint64_t deadline_ns)
{
	r->look = look;
	r->deadline_ns = deadline_ns;
	if (!look(r) && deadline_ns)
		session_wake_at(request_session(r), deadline_ns);
}

/* ---- decoding ------------------------------------------------------------------------ */

static const struct op *find_op(const char *name)
{
	const struct op *const tables[] = {ops_guest, ops_start, ops_wire,  ops_watch,
					   ops_log,   ops_audit, ops_words, ops_desktop};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct op *op = tables[i]; op->name; op++) {
			if (!strcmp(op->name, name))
				return op;
		}
	}
	return NULL;
}

/* Takes what all requests have out of the body. 0 or -EINVAL with why. */
static int take_common(struct request *r, unsigned *nfds, char why[256])
{
	json_t *id = json_object_get(r->body, "id"), *op = json_object_get(r->body, "op");
	const json_t *fds = json_object_get(r->body, "fds");

	if (json_is_integer(id) || json_is_string(id))
		r->id = json_incref(id);
	else
		return snprintf(why, 256, "id: must be a number or a string"), -EINVAL;
	if (!json_is_string(op))
		return snprintf(why, 256, "op: must be a string"), -EINVAL;
	r->op = find_op(json_string_value(op));
	if (!r->op)
		return snprintf(why, 256, "op: there is no \"%.40s\"", json_string_value(op)),
		       -EINVAL;
	if (fds && !is_number(fds, r->op->takes_fds ? CONTROL_CLAIM_MAX : 0))
		return snprintf(why, 256, "fds: %s takes no such number", r->op->name), -EINVAL;
	*nfds = fds ? (unsigned)json_integer_value(fds) : 0;
	json_object_del(r->body, "id");
	json_object_del(r->body, "op");
	json_object_del(r->body, "fds");
	return 0;
}

static unsigned count_requests(struct client *c)
{
	unsigned n = 0;

	for (const struct request *r = c->requests; r; r = r->next)
		n++;
	return n;
}

void request_line(struct client *c, const char *line, size_t length,
		  bool (*claim)(struct client *c, unsigned count, int *fd))
{
	bool full = count_requests(c) >= CONTROL_REQUESTS_MAX;
	struct request *r = calloc(1, sizeof(*r));
	char why[256] = "";
	json_error_t error;
	unsigned nfds = 0;
	int err;

	if (!r)
		return request_reject(c, CONTROL_INTERNAL, "out of memory");
	r->client = c;
	r->next = c->requests;
	c->requests = r;
	r->body = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	if (!r->body)
		return request_fail(r, CONTROL_BAD_REQUEST, "not JSON: %s", error.text);
	if (!json_is_object(r->body))
		return request_fail(r, CONTROL_BAD_REQUEST, "not a JSON object");
	if (take_common(r, &nfds, why))
		return request_fail(r, CONTROL_BAD_REQUEST, "%s", why);
	err = c->guest[0] ? control_guest_check(r, nfds, why) : 0;
	if (err)
		return request_fail(r, err == -ENOENT ? CONTROL_NOT_FOUND : CONTROL_REFUSED, "%s",
				    why);
	if (fields_check(r->body, r->op->fields, r->op->name, why))
		return request_fail(r, CONTROL_BAD_REQUEST, "%s", why);
	if (full)
		return request_fail(r, CONTROL_BUSY, "%d requests wait for answers already",
				    CONTROL_REQUESTS_MAX);
	if (nfds && !claim(c, nfds, r->fd))
		return request_fail(r, CONTROL_BAD_REQUEST, "fds: fewer than %u have come", nfds);
	r->nfds = nfds;
	r->op->run(r);
}
