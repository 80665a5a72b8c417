/*
 * Connections: from a guest's request through policy to two VMMs.
 *
 * The opener's request is answered when the acceptor's VMM has said ACCEPTED, so a
 * set-up is one message to each of the two and one back from the acceptor. In between the
 * connection is `offered` and has a deadline. A provider that is not there is asked
 * for (lifecycle_want), and the request waits.
 *
 * A connection is known until both ends have closed it, or an end is gone, or it is
 * revoked. One that only one end has closed is forgotten after WIRE_LINGER_NS: the other
 * end's VMM may keep what it has not read, but the opener is not charged for it for ever.
 */
#include "wire_impl.h"

#include "clock.h"

#include <exo/ring.h>

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- messages ------------------------------------------------------------------------- */

void wire_tell_close(struct machine *m, uint32_t conn, enum exo_reason reason)
{
	struct exo_vmm_close msg = {
		{EXO_VMM_MAGIC, EXO_VMM_CHANNEL_CLOSE, sizeof(msg), 0}, conn, reason};

	machine_send(m, &msg, sizeof(msg), NULL, 0);
}

static void send_refusal(struct machine *m, uint32_t request, uint32_t port, uint32_t type,
			 enum exo_reason reason)
{
	struct exo_vmm_vsock msg = {
		.h = {EXO_VMM_MAGIC, EXO_VMM_VSOCK_REPLY, sizeof(msg), 0},
		.id = request,
		.port = port,
		.type = type,
		.status = wire_errno(reason),
		.reason = reason,
	};

	machine_send(m, &msg, sizeof(msg), NULL, 0);
}

void wire_refuse(struct session *s, const struct wire_ask *a, enum exo_reason reason)
{
	if (a->m) {
		send_refusal(a->m, a->request, a->port, a->type, reason);
		if (wire_ends_of(a->m))
			wire_remember(a->m, a->guest_port, a->port, reason);
	} else if (a->done) {
		a->done(a->opaque, reason, -1);
	}
}

/* What was offered comes to nothing. */
static void refuse_offered(struct session *s, struct wire *w, enum exo_reason reason)
{
	if (w->end[WIRE_OPENER])
		send_refusal(w->end[WIRE_OPENER], w->request, w->port, w->type, reason);
	else
		wire_host_made(w, reason);
	wire_remove(s, w, reason);
}

static uint32_t bell_key(const struct machine *m, bool direct)
{
	return (uint32_t)(m->number * 2) + !direct;
}

/* One end gets the ring, and the doorbell of the other end. */
static void send_channel(struct wire *w, unsigned side, bool direct, uint64_t cookie)
{
	const struct machine *peer = w->end[!side];
	bool peer_direct = w->direct[!side];
	int fds[2] = {w->ring_fd, peer_direct ? peer->guest_bell : peer->vmm_bell};
	struct exo_vmm_channel msg = {
		.h = {EXO_VMM_MAGIC, EXO_VMM_CHANNEL, sizeof(msg), 2},
		.conn = w->conn,
		.request = side == WIRE_OPENER ? w->request : 0,
		.port = w->port,
		.type = w->type,
		.side = side,
		.flags = direct ? EXO_CHANNEL_DIRECT : 0,
		.ring_bytes = w->ring_bytes,
		.peer = bell_key(peer, peer_direct),
		.cookie = cookie,
		.max_rate = w->max_rate,
	};

	machine_send(w->end[side], &msg, sizeof(msg), fds, 2);
}

/* ---- a request -------------------------------------------------------------------------- */

/* How long a request waits for the provider of a service. */
static uint64_t patience(struct session *s, const char *service)
{
	struct policy_service_info info;
	const struct machine *m = NULL;

	if (!policy_service_info(s->policy, service, &info) && info.provider)
		m = session_find(s, info.provider);
	return m && m->manifest && m->manifest->start_timeout_ns ? m->manifest->start_timeout_ns
								 : WIRE_START_NS;
}

/* Between two guests: the acceptor is offered it. */
static enum exo_reason offer(struct session *s, const struct wire_ask *a,
			     const struct policy_conn_info *c, struct machine *acceptor)
{
	struct wire *w;

	if (wire_add(s, c->id, a->m, acceptor, &w))
		return EXO_REASON_BUDGET;
	((struct wire_ends *)a->m->wires)->pending++;
	w->request = a->request;
	w->port = c->port;
	w->guest_port = a->guest_port;
	w->type = a->type;
	w->ring_bytes = (uint32_t)c->buffer_bytes;
	w->max_rate = c->max_rate;
	w->direct[WIRE_OPENER] = a->direct && !c->max_rate;
	w->give_up_ns = a->deadline_ns ? a->deadline_ns : clock_now_ns() + patience(s, c->service);
	w->ring_fd = memory_make_fd("exo-ring", exo_ring_total(w->ring_bytes));
	if (w->ring_fd < 0) {
		wire_remove(s, w, EXO_REASON_BUDGET);
		return EXO_REASON_BUDGET;
	}
	wire_set_deadline(s, w, clock_now_ns() + WIRE_ACCEPT_NS);
	send_channel(w, WIRE_ACCEPTOR, !c->max_rate, wire_acceptor_cookie(c));
	return EXO_REASON_NONE;
}

static enum exo_reason connect_to(struct session *s, const struct wire_ask *a,
				  const struct policy_conn_info *c)
{
	struct machine *acceptor;

	if (c->acceptor == POLICY_HOST)
		return wire_to_host(s, a, c);
	acceptor = session_by_subject(s, c->acceptor);
	if (!acceptor || !machine_runs(acceptor))
		return EXO_REASON_NOT_READY;
	return a->m ? offer(s, a, c, acceptor) : wire_from_host(s, a, c, acceptor);
}

/* True: it is settled, one way or the other. False: it waits for a->service. */
static bool attempt(struct session *s, struct wire_ask *a)
{
	struct policy_conn_info c = {0};
	enum exo_reason reason;
	int wanted;

	for (int i = 0; i < 2; i++) {
		uint64_t now = clock_now_ns();
		uint32_t subject = a->m ? a->m->subject : POLICY_HOST;

		reason = policy_connect(s->policy, subject, a->port, a->guest_port,
					a->type == VIRTIO_VSOCK_TYPE_SEQPACKET, WIRE_RING_BYTES,
					WIRE_RING_MIN, now, &c);
		if (reason == EXO_REASON_NONE) {
			reason = connect_to(s, a, &c);
			if (reason == EXO_REASON_NONE)
				return true;
			policy_conn_end(s->policy, c.id, reason);
			break;
		}
		if (reason != EXO_REASON_ABSENT && reason != EXO_REASON_NOT_READY)
			break;
		snprintf(a->service, sizeof(a->service), "%s", c.service);
		wanted = lifecycle_want(s, a->service);
		if (wanted == -EINPROGRESS) {
			if (!a->deadline_ns)
				a->deadline_ns = now + patience(s, a->service);
			if (now < a->deadline_ns)
				return false;
		} else if (wanted) {
			reason = EXO_REASON_ABSENT; /* it will not be started */
		}
		if (wanted) {
			policy_conn_refused(s->policy, subject, a->port, reason);
			break;
		}
	}
	wire_refuse(s, a, reason);
	return true;
}

void wire_ask(struct session *s, const struct wire_ask *a)
{
	struct wire_ends *e = a->m ? wire_ends_of(a->m) : NULL;
	struct wires *all = wires_of(s);
	struct wire_ask *kept;

	if (!all || (a->m && !e) || (e && e->pending >= WIRE_PENDING_MAX))
		return wire_refuse(s, a, EXO_REASON_BUDGET);
	kept = malloc(sizeof(*kept));
	if (!kept)
		return wire_refuse(s, a, EXO_REASON_BUDGET);
	*kept = *a;
	if (attempt(s, kept)) {
		free(kept);
		return;
	}
	if (e)
		e->pending++;
	kept->next = all->asks;
	all->asks = kept;
	session_wake_at(s, kept->deadline_ns);
}

void wire_request(struct machine *m, const struct exo_vmm_vsock *r)
{
	const struct wire_ask a = {
		.m = m,
		.request = r->id,
		.port = r->port,
		.guest_port = r->guest_port,
		.type = r->type,
		.direct = r->flags & EXO_VSOCK_DIRECT,
	};

	if (m->session->ending && !m->session->leave_guests)
		return wire_refuse(m->session, &a, EXO_REASON_SESSION);
	wire_ask(m->session, &a);
}

/* Takes asks out of the list (all that `pick` wants) and tries them anew. */
static void retry(struct session *s, bool (*pick)(const struct wire_ask *a, const void *arg),
		  const void *arg)
{
	struct wires *all = s->wires;
	struct wire_ask **at = &all->asks, *picked = NULL, *a;

	while ((a = *at)) {
		if (!pick(a, arg)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		a->next = picked;
		picked = a;
	}
	while ((a = picked)) {
		picked = a->next;
		if (a->m)
			((struct wire_ends *)a->m->wires)->pending--;
		wire_ask(s, a);
		free(a);
	}
}

static bool waits_for(const struct wire_ask *a, const void *service)
{
	return !strcmp(a->service, service);
}

static bool is_late(const struct wire_ask *a, const void *now)
{
	return a->deadline_ns <= *(const uint64_t *)now;
}

void wire_service_changed(struct session *s, const char *service)
{
	char name[POLICY_NAME_MAX]; /* the caller's may be one that goes */

	snprintf(name, sizeof(name), "%s", service);
	if (s->wires)
		retry(s, waits_for, name);
}

/* ---- what VMMs say ------------------------------------------------------------------------ */

static void take_counters(struct wire *w, unsigned side, const struct exo_vmm_channel_state *st)
{
	w->count[side].tx_bytes = st->tx_bytes;
	w->count[side].rx_bytes = st->rx_bytes;
	w->count[side].tx_messages = st->tx_messages;
	w->count[side].rx_messages = st->rx_messages;
}

static void accepted(struct session *s, struct wire *w, bool direct)
{
	struct policy_conn_info c;

	w->state = WIRE_OPEN;
	wire_set_deadline(s, w, 0);
	if (w->end[WIRE_OPENER]) {
		((struct wire_ends *)w->end[WIRE_OPENER]->wires)->pending--;
		w->direct[WIRE_ACCEPTOR] = direct && !w->max_rate;
		/* First this, somebody waits for it; then what is only to be written down. */
		if (!policy_conn_info(s->policy, w->conn, &c))
			send_channel(w, WIRE_OPENER, w->direct[WIRE_OPENER],
				     wire_opener_cookie(&c));
		close(w->ring_fd);
		w->ring_fd = -1;
	}
	policy_conn_accept(s->policy, w->conn);
	if (!w->end[WIRE_OPENER])
		wire_host_made(w, EXO_REASON_NONE);
}

static void closed(struct session *s, struct wire *w, unsigned side, enum exo_reason reason)
{
	struct machine *other = w->end[!side];

	w->closed[side] = true;
	if (!other || w->closed[!side])
		return wire_remove(s, w, EXO_REASON_CLOSED);
	wire_tell_close(other, w->conn, reason == EXO_REASON_PROTOCOL ? reason : EXO_REASON_CLOSED);
	w->state = WIRE_HALF;
	wire_set_deadline(s, w, clock_now_ns() + WIRE_LINGER_NS);
}

bool wire_state(struct machine *m, const struct exo_vmm_channel_state *st)
{
	struct session *s = m->session;
	struct wire *w = wire_find(s, st->conn);
	unsigned side;

	if (!w)
		return true; /* our news and its have crossed */
	if (w->end[WIRE_OPENER] != m && w->end[WIRE_ACCEPTOR] != m)
		return false;
	side = wire_side_of(w, m);
	if (w->state == WIRE_OFFERED) {
		if (side == WIRE_OPENER)
			return false;
		if (st->state == EXO_CHANNEL_ACCEPTED)
			accepted(s, w, st->flags & EXO_CHANNEL_DIRECT);
		else
			refuse_offered(s, w,
				       st->reason == EXO_REASON_BUDGET ? EXO_REASON_BUDGET
								       : EXO_REASON_REFUSED);
		return true;
	}
	/* An opener whose guest has given up meanwhile refuses the answer to its request. */
	if (w->closed[side] || (st->state != EXO_CHANNEL_CLOSED &&
				(st->state != EXO_CHANNEL_REFUSED || side != WIRE_OPENER)))
		return false;
	take_counters(w, side, st);
	closed(s, w, side, st->reason);
	return true;
}

/* ---- ends ----------------------------------------------------------------------------------- */

void wire_close(struct session *s, uint32_t conn, enum exo_reason reason)
{
	struct wire *w = wire_find(s, conn);

	if (!w) {
		policy_conn_end(s->policy, conn, reason);
		return;
	}
	if (w->state == WIRE_OFFERED) {
		wire_tell_close(w->end[WIRE_ACCEPTOR], conn, reason);
		refuse_offered(s, w, reason);
		return;
	}
	for (unsigned side = 0; side < 2; side++) {
		if (w->end[side] && !w->closed[side])
			wire_tell_close(w->end[side], conn, reason);
	}
	wire_remove(s, w, reason);
}

static void drop_asks(struct session *s, const struct machine *m)
{
	struct wires *all = s->wires;
	struct wire_ask **at = all ? &all->asks : NULL, *a;

	while (at && (a = *at)) {
		if (a->m != m) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
}

/*
 * The provider ended before it took what it was offered: the request waits for the
 * next one, as if it had come a moment later. It is tried when the service changes,
 * which the provider's end is.
 */
static void ask_again(struct session *s, struct wire *w)
{
	struct wires *all = s->wires;
	struct wire_ask *a = malloc(sizeof(*a));
	struct policy_conn_info c;

	if (!a || !w->end[WIRE_OPENER] || policy_conn_info(s->policy, w->conn, &c)) {
		free(a);
		refuse_offered(s, w, EXO_REASON_NOT_READY);
		return;
	}
	*a = (struct wire_ask){.next = all->asks,
			       .m = w->end[WIRE_OPENER],
			       .request = w->request,
			       .port = c.slot_port,
			       .guest_port = w->guest_port,
			       .type = w->type,
			       .direct = w->direct[WIRE_OPENER],
			       .deadline_ns = w->give_up_ns};
	snprintf(a->service, sizeof(a->service), "%s", c.service);
	all->asks = a;
	wire_remove(s, w, EXO_REASON_NOT_READY);
	wire_ends_of(a->m)->pending++;
	session_wake_at(s, a->deadline_ns);
}

void wire_machine_gone(struct machine *m, enum exo_reason reason)
{
	struct session *s = m->session;
	struct wire_ends *e = m->wires;
	struct wire *w;

	drop_asks(s, m);
	wire_forget_claims(m);
	if (!e)
		return;
	while ((w = e->first)) {
		unsigned side = wire_side_of(w, m);

		if (w->state == WIRE_OFFERED && side == WIRE_ACCEPTOR) {
			ask_again(s, w);
			continue;
		}
		if (w->end[!side] && !w->closed[!side] && !w->closed[side])
			wire_tell_close(w->end[!side], w->conn, reason);
		wire_remove(s, w, reason);
	}
	if (e->asked)
		wire_refresh_answered(s);
	free(e);
	m->wires = NULL;
}

/* ---- deadlines ------------------------------------------------------------------------------- */

static void time_out(struct session *s, struct wire *w)
{
	if (w->state == WIRE_HALF) {
		wire_remove(s, w, EXO_REASON_CLOSED);
		return;
	}
	wire_tell_close(w->end[WIRE_ACCEPTOR], w->conn, EXO_REASON_NOT_READY);
	refuse_offered(s, w, EXO_REASON_NOT_READY);
}

uint64_t wire_tick(struct session *s, uint64_t now_ns)
{
	struct wires *all = s->wires;
	uint64_t next = 0;

	if (!all)
		return 0;
	retry(s, is_late, &now_ns);
	for (struct wire *w = all->offered; w;) {
		if (w->deadline_ns <= now_ns) {
			time_out(s, w); /* which may settle others too */
			w = all->offered;
			continue;
		}
		if (!next || w->deadline_ns < next)
			next = w->deadline_ns;
		w = w->offered_next;
	}
	for (const struct wire_ask *a = all->asks; a; a = a->next) {
		if (!next || a->deadline_ns < next)
			next = a->deadline_ns;
	}
	wire_refresh_tick(s, now_ns);
	if (all->refreshes && (!next || all->refresh_by_ns < next))
		next = all->refresh_by_ns;
	return next;
}
