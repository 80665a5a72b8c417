/* The operations of port 1 (exo/channel.h), but for those on memory. */
#include "caps_impl.h"

#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RIGHTS (EXO_CAP_CONNECT | EXO_CAP_GRANT)

/* ---- what a request may hold ---------------------------------------------------------- */

#define HAS_PORT 1u
#define HAS_CONN 2u /* local_port and peer_port */
#define HAS_MEM 4u
#define HAS_BYTES 8u
#define HAS_LIMITS 16u
#define HAS_NAME 32u
#define HAS_LOCAL 64u /* local_port alone */

static const struct {
	uint32_t fields, flags;
} ops[EXO_CAP_OPS] = {
	[EXO_CAP_LIST] = {HAS_BYTES, 0},
	[EXO_CAP_RESOLVE] = {HAS_NAME, 0},
	[EXO_CAP_LABEL] = {HAS_CONN, 0},
	[EXO_CAP_REASON] = {HAS_CONN, 0},
	[EXO_CAP_DELEGATE] = {HAS_PORT | HAS_CONN | HAS_LIMITS, RIGHTS},
	[EXO_CAP_TAKE] = {HAS_CONN, EXO_CAP_WAIT},
	[EXO_CAP_DROP] = {HAS_PORT, 0},
	[EXO_CAP_REVOKE] = {HAS_PORT, 0},
	[EXO_CAP_PROVIDE] = {HAS_NAME | HAS_LOCAL, EXO_CAP_SEQPACKET},
	[EXO_CAP_READY] = {0, 0},
	[EXO_CAP_ALIVE] = {0, 0},
	[EXO_CAP_MEM_CREATE] = {HAS_BYTES, 0},
	[EXO_CAP_MEM_OFFER] = {HAS_MEM | HAS_CONN, EXO_CAP_READ_ONLY | EXO_CAP_MOVE},
	[EXO_CAP_MEM_ACCEPT] = {HAS_CONN, EXO_CAP_WAIT},
	[EXO_CAP_MEM_REVOKE] = {HAS_MEM, 0},
	[EXO_CAP_MEM_RELEASE] = {HAS_MEM, 0},
};

bool caps_is_sound(const struct exo_cap_msg *msg)
{
	static const struct exo_cap_msg zero;
	struct exo_cap_msg rest = *msg;
	uint32_t has = ops[msg->op].fields;

	rest.op = rest.id = 0;
	rest.flags &= ~ops[msg->op].flags;
	if (has & HAS_PORT)
		rest.port = 0;
	if (has & HAS_CONN)
		rest.local_port = rest.peer_port = 0;
	if (has & HAS_LOCAL)
		rest.local_port = 0;
	if (has & HAS_MEM)
		rest.mem = 0;
	if (has & HAS_BYTES)
		rest.bytes = 0;
	if (has & HAS_LIMITS) {
		rest.lease_ms = rest.max_buffer = rest.max_rate = 0;
		rest.max_conns = 0;
	}
	if (has & HAS_NAME) {
		if (!memchr(rest.name, '\0', sizeof(rest.name)))
			return false;
		memset(rest.name, 0, sizeof(rest.name));
	}
	return !memcmp(&rest, &zero, sizeof(zero));
}

/* ---- slots -------------------------------------------------------------------------------- */

static void describe(struct session *s, const struct policy_grant_info *slot,
		     struct exo_cap_msg *msg)
{
	struct policy_service_info service;
	uint64_t now = clock_now_ns();

	*msg = (struct exo_cap_msg){
		.port = slot->port,
		.flags = slot->rights & RIGHTS,
		.max_conns = slot->limits.max_conns,
		.max_buffer = slot->limits.max_buffer,
		.max_rate = slot->limits.max_rate,
	};
	if (slot->expires_ns) /* what is left of it, and never 0, which is for ever */
		msg->lease_ms =
			slot->expires_ns > now + 1000000 ? (slot->expires_ns - now) / 1000000 : 1;
	if (!policy_service_info(s->policy, slot->service, &service) && service.seqpacket)
		msg->flags |= EXO_CAP_SEQPACKET;
	snprintf(msg->name, sizeof(msg->name), "%s", slot->service);
}

static int list(struct machine *m, struct exo_cap_msg *msg)
{
	struct policy_grant_info slot;

	if (msg->bytes >= EXO_SLOTS_MAX ||
	    !policy_slot_at(m->session->policy, m->subject, (unsigned)msg->bytes, &slot))
		return -ENOENT;
	describe(m->session, &slot, msg);
	return 0;
}

static int resolve(struct machine *m, struct exo_cap_msg *msg)
{
	uint32_t port = policy_resolve(m->session->policy, m->subject, msg->name);

	*msg = (struct exo_cap_msg){.port = port};
	return port ? 0 : -ENOENT;
}

static int drop(struct machine *m, struct exo_cap_msg *msg)
{
	int err = policy_drop_slot(m->session->policy, m->subject, msg->port);

	*msg = (struct exo_cap_msg){0};
	return err;
}

static int revoke(struct machine *m, struct exo_cap_msg *msg)
{
	int count = policy_revoke_delegated(m->session->policy, m->subject, msg->port);

	*msg = (struct exo_cap_msg){.bytes = count > 0 ? (uint64_t)count : 0};
	return count < 0 ? count : 0;
}

/* ---- connections ----------------------------------------------------------------------------- */

static uint32_t find_conn(const struct machine *m, const struct exo_cap_msg *msg)
{
	return policy_conn_find(m->session->policy, m->subject, msg->local_port, msg->peer_port);
}

static int label(struct machine *m, struct exo_cap_msg *msg)
{
	struct policy *p = m->session->policy;
	struct policy_conn_info c;
	struct policy_subject_info other;
	const char *host;
	uint32_t id;

	if (policy_conn_info(p, find_conn(m, msg), &c))
		return -ENOENT;
	id = c.opener == m->subject ? c.acceptor : c.opener;
	if (policy_subject_info(p, id, &other))
		return -ENOENT;
	*msg = (struct exo_cap_msg){.conn = c.id};
	host = id == POLICY_HOST ? wire_host_name(m->session, c.id) : NULL;
	snprintf(msg->name, sizeof(msg->name), "%s", host ? host : other.name);
	snprintf(msg->label, sizeof(msg->label), "%s", other.label);
	return 0;
}

static int reason(struct machine *m, struct exo_cap_msg *msg)
{
	enum exo_reason why = EXO_REASON_NONE;

	if (!find_conn(m, msg)) {
		why = wire_reason(m, msg->local_port, msg->peer_port);
		if (why == EXO_REASON_NONE)
			return -ENOENT;
	}
	*msg = (struct exo_cap_msg){.bytes = why};
	return 0;
}

static int delegate(struct machine *m, struct exo_cap_msg *msg)
{
	const struct policy_limits limits = {
		.lease_ms = msg->lease_ms,
		.max_conns = msg->max_conns,
		.max_buffer = msg->max_buffer,
		.max_rate = msg->max_rate,
	};
	uint32_t conn = find_conn(m, msg);
	int err = conn ? policy_delegate(m->session->policy, m->subject, msg->port, conn,
					 msg->flags, &limits, clock_now_ns())
		       : -ENOENT;

	*msg = (struct exo_cap_msg){0};
	if (!err) {
		session_changed(m->session);
		caps_offered(m->session, conn);
	}
	return err;
}

static int take(struct machine *m, struct exo_cap_msg *msg)
{
	struct policy_grant_info slot;
	uint32_t conn = find_conn(m, msg);
	uint64_t now = clock_now_ns();
	int err = conn ? policy_take(m->session->policy, m->subject, conn, now, &slot) : -ENOENT;

	if (err == -EAGAIN && msg->flags & EXO_CAP_WAIT)
		return -EINPROGRESS;
	if (err)
		return err;
	describe(m->session, &slot, msg);
	session_changed(m->session);
	session_wake_at(m->session, slot.expires_ns);
	return 0;
}

/* ---- services ------------------------------------------------------------ */

bool caps_serves_all(const struct machine *m)
{
	struct policy_service_info info;

	if (!m->manifest || !m->manifest->nprovides)
		return false;
	for (unsigned i = 0; i < m->manifest->nprovides; i++) {
		if (policy_service_info(m->session->policy, m->manifest->provides[i].name, &info) ||
		    !info.ready)
			return false;
	}
	return true;
}

/* Without local_port: what the manifest says about it. With: it is served there now. */
static int provide(struct machine *m, struct exo_cap_msg *msg)
{
	struct policy *p = m->session->policy;
	const struct manifest_provides *found = NULL;
	struct exo_cap_msg request = *msg;
	int err = 0;

	for (unsigned i = 0; m->manifest && i < m->manifest->nprovides; i++) {
		if (!strcmp(m->manifest->provides[i].name, request.name))
			found = &m->manifest->provides[i];
	}
	if (!found)
		return -EACCES;
	*msg = (struct exo_cap_msg){.local_port = request.local_port};
	if (!request.local_port) {
		msg->local_port = found->port;
		msg->flags = found->seqpacket ? EXO_CAP_SEQPACKET : 0;
		return 0;
	}
	err = policy_add_service(p, request.name, m->name, request.local_port,
				 request.flags & EXO_CAP_SEQPACKET);
	if (!err)
		err = policy_set_ready(p, request.name, true);
	if (err)
		return err;
	wire_service_changed(m->session, request.name);
	if (caps_serves_all(m))
		lifecycle_ready(m);
	/* It says so once, and goes on when we have answered: a later session must know. */
	session_changed(m->session);
	session_save(m->session);
	return 0;
}

int caps_obey(struct conversation *c, struct exo_cap_msg *msg)
{
	struct machine *m = c->m;

	switch (msg->op) {
	case EXO_CAP_LIST:
		return list(m, msg);
	case EXO_CAP_RESOLVE:
		return resolve(m, msg);
	case EXO_CAP_LABEL:
		return label(m, msg);
	case EXO_CAP_REASON:
		return reason(m, msg);
	case EXO_CAP_DELEGATE:
		return delegate(m, msg);
	case EXO_CAP_TAKE:
		return take(m, msg);
	case EXO_CAP_DROP:
		return drop(m, msg);
	case EXO_CAP_REVOKE:
		return revoke(m, msg);
	case EXO_CAP_PROVIDE:
		return provide(m, msg);
	case EXO_CAP_READY:
		lifecycle_ready(m);
		session_save(m->session);
		return 0;
	case EXO_CAP_ALIVE:
		lifecycle_alive(m);
		return 0;
	default:
		return memory_op(m, msg, c);
	}
}
