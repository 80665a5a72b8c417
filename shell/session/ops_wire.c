/* Operations on services, grants and connections; docs/control.md. */
#include "control_impl.h"

#include "clock.h"
#include "lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 10000u

/* ---- grants ----------------------------------------------------------------------- */

const struct field ops_grant_fields[] = {
	{"guest", FIELD_NAME, true, NULL},
	{"service", FIELD_NAME, true, NULL},
	{"rights", FIELD_STRINGS, false, NULL},
	{"lease_ms", FIELD_U63, false, NULL},
	{"max_conns", FIELD_U32, false, NULL},
	{"max_buffer", FIELD_U63, false, NULL},
	{"max_rate", FIELD_U63, false, NULL},
	{"port", FIELD_U32, false, NULL},
	{NULL},
};

/* Rights as bits, or -EINVAL. Without a list: to connect. */
static int64_t parse_rights(const json_t *list)
{
	const json_t *item;
	uint32_t rights = 0;
	size_t i;

	if (!list)
		return EXO_CAP_CONNECT;
	json_array_foreach(list, i, item)
	{
		const char *word = json_string_value(item);

		if (!strcmp(word, "connect"))
			rights |= EXO_CAP_CONNECT;
		else if (!strcmp(word, "delegate"))
			rights |= EXO_CAP_GRANT;
		else
			return -EINVAL;
	}
	return rights;
}

static uint64_t number_of(const json_t *object, const char *field)
{
	return (uint64_t)json_integer_value(json_object_get(object, field));
}

int64_t ops_grant(struct session *s, const char *guest, const json_t *grant)
{
	const struct policy_limits limits = {.lease_ms = number_of(grant, "lease_ms"),
					     .max_conns = (uint32_t)number_of(grant, "max_conns"),
					     .max_buffer = number_of(grant, "max_buffer"),
					     .max_rate = number_of(grant, "max_rate")};
	int64_t rights = parse_rights(json_object_get(grant, "rights"));
	int64_t id;

	if (rights < 0)
		return rights;
	id = policy_grant(s->policy, guest, json_string_value(json_object_get(grant, "service")),
			  (uint32_t)rights, &limits, POLICY_PERSON,
			  (uint32_t)number_of(grant, "port"), clock_now_ns());
	if (id < 0)
		return id;
	session_wake_at(s, 1); /* its lease may be the next to end */
	return id;
}

static void op_grant(struct request *r)
{
	int64_t id = ops_grant(request_session(r), request_string(r, "guest"), r->body);

	if (id >= 0)
		return request_ok(r, json_pack("{s:I}", "grant", (json_int_t)id));
	switch (id) {
	case -EEXIST:
		return request_fail(r, CONTROL_EXISTS,
				    "%s has such a grant already, or its port is taken; "
				    "revoke that first",
				    request_string(r, "guest"));
	case -ENOSPC:
		return request_fail(r, CONTROL_LIMIT, "no room for another grant");
	case -EINVAL:
		return request_fail(r, CONTROL_BAD_REQUEST,
				    "rights: \"connect\" and \"delegate\"; port: below 16777216");
	default:
		return request_fail(r, CONTROL_INTERNAL, "%s", strerror((int)-id));
	}
}

static void op_revoke(struct request *r)
{
	struct session *s = request_session(r);
	const char *guest = request_string(r, "guest"), *service = request_string(r, "service");
	bool by_id = request_has(r, "grant");
	uint64_t id = request_number(r, "grant", 0);
	int n;

	if (by_id ? guest || service : !guest || !service)
		return request_fail(r, CONTROL_BAD_REQUEST,
				    "revoke: give grant, or guest and service");
	n = by_id ? policy_revoke(s->policy, (uint32_t)id)
		  : policy_revoke_named(s->policy, guest, service);
	if (n < 0)
		return request_fail(r, CONTROL_NOT_FOUND, "no such grant; exo wires lists them");
	request_ok(r, json_pack("{s:i}", "revoked", by_id ? 1 : n));
}

static json_t *rights_json(uint32_t rights)
{
	json_t *list = json_array();

	if (rights & EXO_CAP_CONNECT)
		json_array_append_new(list, json_string("connect"));
	if (rights & EXO_CAP_GRANT)
		json_array_append_new(list, json_string("delegate"));
	return list;
}

json_t *ops_grant_json(const struct policy_grant_info *g, uint64_t now_ns)
{
	static const char *const origins[] = {[POLICY_MANIFEST] = "manifest",
					      [POLICY_PERSON] = "person",
					      [POLICY_GUEST] = "guest"};
	uint64_t left = g->expires_ns > now_ns ? (g->expires_ns - now_ns + 999999) / 1000000 : 0;

	return json_pack(
		"{s:I, s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"grant", (json_int_t)g->id, "guest", g->grantee, "service", g->service, "rights",
		rights_json(g->rights), "origin", origins[g->origin], "parent",
		(json_int_t)g->parent, "lease_ms", (json_int_t)left, "max_conns",
		(json_int_t)g->limits.max_conns, "max_buffer", (json_int_t)g->limits.max_buffer,
		"max_rate", (json_int_t)g->limits.max_rate, "port", (json_int_t)g->fixed_port,
		"slot", (json_int_t)g->port, "connections", (json_int_t)g->nconns, "uses",
		(json_int_t)g->uses, "refusals", (json_int_t)g->refusals);
}

/* ---- wires ---------------------------------------------------------------------------- */

static json_t *services_json(struct session *s)
{
	json_t *list = json_array();
	struct policy_service_info info;

	for (unsigned i = 0; policy_service_at(s->policy, i, &info); i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s, s:b}", "name",
						      info.name, "provider", info.provider, "port",
						      (json_int_t)info.port, "type",
						      info.seqpacket ? "seqpacket" : "stream",
						      "ready", info.ready));
	return list;
}

static json_t *grants_json(struct session *s)
{
	json_t *list = json_array();
	struct policy_grant_info g = {0};
	uint64_t now = clock_now_ns();

	while (policy_grant_next(s->policy, g.id, &g))
		json_array_append_new(list, ops_grant_json(&g, now));
	return list;
}

static const char *subject_name(struct session *s, uint32_t id)
{
	struct policy_subject_info info;

	return policy_subject_info(s->policy, id, &info) ? "?" : info.name;
}

static json_t *connections_json(struct session *s)
{
	json_t *list = json_array();
	struct policy_conn_info conn = {0};

	while (policy_conn_next(s->policy, conn.id, &conn)) {
		struct exo_vmm_channel_info info = {0};
		const char *path = "";

		wire_counters(s, conn.id, &info, &path);
		json_array_append_new(
			list,
			json_pack("{s:I, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I}",
				  "conn", (json_int_t)conn.id, "from", subject_name(s, conn.opener),
				  "to", subject_name(s, conn.acceptor), "service", conn.service,
				  "grant", (json_int_t)conn.grant, "type",
				  conn.seqpacket ? "seqpacket" : "stream", "path", path, "tx_bytes",
				  (json_int_t)info.tx_bytes, "rx_bytes", (json_int_t)info.rx_bytes,
				  "tx_messages", (json_int_t)info.tx_messages, "rx_messages",
				  (json_int_t)info.rx_messages, "buffer_bytes",
				  (json_int_t)conn.buffer_bytes));
	}
	return list;
}

static json_t *guests_json(struct session *s)
{
	json_t *list = json_array();
	char colour[8];

	for (const struct machine *m = s->machines; m; m = m->next) {
		control_colour(m, colour);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", m->name,
						      "state", lifecycle_state_name(m->state),
						      "label", m->label, "colour", colour));
	}
	return list;
}

static bool look_wires(struct request *r)
{
	struct session *s = request_session(r);

	request_ok(r, json_pack("{s:o, s:o, s:o, s:o}", "guests", guests_json(s), "services",
				services_json(s), "grants", grants_json(s), "connections",
				connections_json(s)));
	return true;
}

static void op_wires(struct request *r)
{
	r->look = look_wires;
	control_refresh(r);
}

/* ---- connections of host programs ---------------------------------------------------------- */

void request_fail_reason(struct request *r, enum exo_reason reason, const char *service)
{
	const char *word = wire_reason_word(reason);
	enum control_error code = CONTROL_REFUSED;
	char message[160];

	switch (reason) {
	case EXO_REASON_NOT_READY:
		code = CONTROL_TIMEOUT;
		break;
	case EXO_REASON_ABSENT:
		code = CONTROL_NOT_FOUND;
		break;
	case EXO_REASON_BUDGET:
		code = CONTROL_LIMIT;
		break;
	case EXO_REASON_ENDED:
	case EXO_REASON_DIED:
		code = CONTROL_ENDED;
		break;
	default:
		break;
	}
	snprintf(message, sizeof(message), "%s: %s", service, word);
	request_fail_with(r, code, json_pack("{s:s}", "reason", word), message);
}

static void on_connected(void *opaque, enum exo_reason reason, int fd)
{
	struct request *r = opaque;

	r->cancel = NULL;
	if (reason)
		request_fail_reason(r, reason, request_string(r, "service"));
	else
		request_done_fd(r, fd);
}

static void cancel_connect(struct request *r)
{
	wire_cancel_host(request_session(r), r);
}

static void connect_port(struct request *r)
{
	struct machine *m = request_machine(r);
	int fd = -1, err;

	if (!m)
		return;
	if (!machine_runs(m) || !m->said_started)
		return request_fail(r, CONTROL_ENDED, "%s does not run", m->name);
	err = wire_connect_port(m, (uint32_t)request_number(r, "port", 0), request_is_seqpacket(r),
				&fd);
	if (err)
		return request_fail(r, err == -ENOSPC ? CONTROL_LIMIT : CONTROL_INTERNAL, "%s: %s",
				    m->name, strerror(-err));
	request_done_fd(r, fd);
}

/* With guest and service: does that guest provide it? Answered if not. */
static bool is_provider(struct request *r, const char *service)
{
	const char *guest = request_string(r, "guest");
	struct policy_service_info info;

	if (!guest)
		return true;
	if (!policy_service_info(request_session(r)->policy, service, &info) &&
	    !strcmp(info.provider, guest))
		return true;
	request_fail(r, CONTROL_NOT_FOUND, "%s does not provide %s", guest, service);
	return false;
}

static void op_connect(struct request *r)
{
	const char *service = request_string(r, "service");
	const char *from = request_string(r, "from");
	uint64_t ms = request_number(r, "timeout_ms", CONNECT_MS);

	if (request_has(r, "port") && !service && request_has(r, "guest"))
		return connect_port(r);
	if (!service || request_has(r, "port"))
		return request_fail(r, CONTROL_BAD_REQUEST,
				    "connect: give service, guest and service, or guest and port");
	if (ms > INT64_MAX / 2000000)
		return request_fail(r, CONTROL_BAD_REQUEST, "timeout_ms: too long");
	if (!is_provider(r, service))
		return;
	r->cancel = cancel_connect;
	wire_connect_host(request_session(r), service, request_is_seqpacket(r),
			  from ? from : "host", clock_now_ns() + ms * 1000000, on_connected, r);
}

static void op_listen(struct request *r)
{
	const char *service = request_string(r, "service");
	int err = client_add_listener(r->client, service, request_is_seqpacket(r));

	switch (err) {
	case 0:
		return request_done(r);
	case -EEXIST:
		return request_fail(r, CONTROL_EXISTS, "%s is provided already", service);
	case -ENOSPC:
		return request_fail(r, CONTROL_LIMIT, "too many services");
	default:
		return request_fail(r, CONTROL_INTERNAL, "%s: %s", service, strerror(-err));
	}
}

/* ---- table --------------------------------------------------------------- */

static const struct field revoke_fields[] = {{"grant", FIELD_U32, false, NULL},
					     {"guest", FIELD_NAME, false, NULL},
					     {"service", FIELD_NAME, false, NULL},
					     {NULL}};
static const struct field connect_fields[] = {{"service", FIELD_NAME, false, NULL},
					      {"guest", FIELD_NAME, false, NULL},
					      {"port", FIELD_U32, false, NULL},
					      {"type", FIELD_SOCKET, false, NULL},
					      {"from", FIELD_NAME, false, NULL},
					      {"timeout_ms", FIELD_U63, false, NULL},
					      {NULL}};
static const struct field listen_fields[] = {
	{"service", FIELD_NAME, true, NULL}, {"type", FIELD_SOCKET, false, NULL}, {NULL}};

const struct op ops_wire[] = {
	{"wires", NULL, op_wires, false},
	{"grant", ops_grant_fields, op_grant, false},
	{"revoke", revoke_fields, op_revoke, false},
	{"connect", connect_fields, op_connect, false},
	{"listen", listen_fields, op_listen, false},
	{NULL},
};
