/* Policy: connections and what they are charged; see policy.h. */
#include "policy_impl.h"

#include <exo/ring.h>

#include <errno.h>
#include <stdlib.h>

#define CONN_ID_MAX 0x3fffffffu /* EXO_CONN_PORT */

static struct conn **conn_bucket(struct policy *p, uint32_t id)
{
	return &p->conns_by_id[policy_hash_ids(id, 0, 0)];
}

static struct conn **port_bucket(struct policy *p, uint32_t opener, uint32_t port, uint32_t to)
{
	return &p->conns_by_port[policy_hash_ids(opener, port, to)];
}

struct conn *policy_conn_of(const struct policy *p, uint32_t id)
{
	struct conn *c = p->conns_by_id[policy_hash_ids(id, 0, 0)];

	while (c && c->id != id)
		c = c->hash_next;
	return c;
}

/* Of those that the subject opened; not one that is told to be closed. */
static struct conn *conn_by_ports(const struct policy *p, uint32_t opener, uint32_t port,
				  uint32_t to)
{
	struct conn *c = p->conns_by_port[policy_hash_ids(opener, port, to)];

	while (c && (c->opener->id != opener || c->opener_port != port || c->slot_port != to ||
		     !c->grant))
		c = c->port_next;
	return c;
}

static void conn_fill(const struct conn *c, struct policy_conn_info *info)
{
	*info = (struct policy_conn_info){
		.id = c->id,
		.grant = c->grant_id,
		.opener = c->opener->id,
		.acceptor = c->acceptor->id,
		.service = c->service->text,
		.port = c->port,
		.slot_port = c->slot_port,
		.opener_port = c->opener_port,
		.seqpacket = c->seqpacket,
		.accepted = c->accepted,
		.buffer_bytes = c->buffer,
		.max_rate = c->max_rate,
	};
}

/* ---- charging -------------------------------------------------------------------------------- */

static void grants_charge(struct grant *g, uint64_t bytes)
{
	g->nconns++;
	g->buffer += bytes;
	for (; g; g = g->parent) {
		g->tree_buffer += bytes;
		if (!g->tree_conns++ && g->parent)
			list_append(&g->parent->busy_children, &g->busy);
	}
}

static void grants_discharge(struct grant *g, uint64_t bytes)
{
	g->nconns--;
	g->buffer -= bytes;
	for (; g; g = g->parent) {
		g->tree_buffer -= bytes;
		if (!--g->tree_conns)
			list_remove(&g->busy);
	}
}

/* What is left of a limit, which may have been overdrawn by adoption. */
static uint64_t left_of(uint64_t limit, uint64_t used)
{
	return used < limit ? limit - used : 0;
}

/* Bytes of ring a direction that the budgets allow, 0 if `least` do not fit. */
static uint64_t ring_that_fits(const struct subject *s, const struct grant *g, uint64_t want,
			       uint64_t least)
{
	uint64_t left = left_of(s->max_buffer, s->buffer), bytes = EXO_RING_BYTES_MAX;

	for (; g; g = g->parent) {
		if (g->limits.max_buffer && left_of(g->limits.max_buffer, g->tree_buffer) < left)
			left = left_of(g->limits.max_buffer, g->tree_buffer);
	}
	while (bytes >= EXO_RING_BYTES_MIN &&
	       (bytes > want || exo_ring_total((uint32_t)bytes) > left))
		bytes /= 2;
	return bytes >= EXO_RING_BYTES_MIN && bytes >= least ? bytes : 0;
}

static bool may_connect_once_more(const struct policy *p, const struct subject *s,
				  const struct grant *g)
{
	if (p->nconns >= POLICY_CONNS_MAX || s->nopened >= s->max_conns)
		return false;
	for (; g; g = g->parent) {
		if (g->limits.max_conns && g->tree_conns >= g->limits.max_conns)
			return false;
	}
	return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static struct conn *conn_create(struct policy *p, const struct policy_conn_info *i, struct grant *g,
				struct subject *opener, struct subject *acceptor)
{
	struct conn *c = calloc(1, sizeof(*c)), **bucket;
	struct link *at = p->conns.prev;

	if (!c)
		return NULL;
	c->id = i->id;
	c->grant_id = g->id;
	c->port = i->port;
	c->slot_port = i->slot_port;
	c->opener_port = i->opener_port;
	c->seqpacket = i->seqpacket;
	c->accepted = i->accepted;
	c->buffer = i->buffer_bytes;
	c->charged = c->buffer ? exo_ring_total((uint32_t)c->buffer) : 0;
	c->max_rate = i->max_rate;
	c->grant = g;
	c->service = g->service;
	c->service->refs++;
	c->opener = opener;
	c->acceptor = acceptor;
	list_init(&c->offers[0]);
	list_init(&c->offers[1]);
	list_append(&opener->opened, &c->by_opener);
	list_append(&acceptor->accepted, &c->by_acceptor);
	list_append(&g->conns, &c->by_grant);
	opener->nopened++;
	opener->buffer += c->charged;
	acceptor->naccepted++;
	grants_charge(g, c->charged);
	while (at != &p->conns && LINK_OF(at, struct conn, all)->id > c->id)
		at = at->prev;
	list_insert_after(at, &c->all);
	bucket = conn_bucket(p, c->id);
	c->hash_next = *bucket;
	*bucket = c;
	bucket = port_bucket(p, opener->id, c->opener_port, c->slot_port);
	c->port_next = *bucket;
	*bucket = c;
	p->nconns++;
	return c;
}

static uint32_t conn_next_id(struct policy *p)
{
	do {
		if (!p->next_conn || p->next_conn > CONN_ID_MAX)
			p->next_conn = 1;
	} while (policy_conn_of(p, p->next_conn++));
	return p->next_conn - 1;
}

static void tell_refusal(struct policy *p, const struct subject *s, struct grant *g, uint32_t port,
			 enum exo_reason reason)
{
	if (g)
		g->refusals++;
	policy_tell(p,
		    &(struct policy_event){.kind = POLICY_EVENT_REFUSE,
					   .grant = g ? g->id : 0,
					   .subject = s ? s->name->text : NULL,
					   .reason = reason,
					   .port = port},
		    g ? g->service : NULL);
}

/* May it connect through the grant, but for what it costs? */
static enum exo_reason conn_check(const struct subject *s, const struct grant *g, bool seqpacket)
{
	const struct service *to = g->service;

	if (!(g->rights & EXO_CAP_CONNECT))
		return EXO_REASON_NO_SLOT;
	if (!to->provider)
		return EXO_REASON_ABSENT;
	if (to->seqpacket != seqpacket)
		return EXO_REASON_TYPE;
	if (!to->provider->subject || !to->ready)
		return EXO_REASON_NOT_READY;
	if (to->provider->subject == s && s->id != POLICY_HOST)
		return EXO_REASON_REFUSED;
	return EXO_REASON_NONE;
}

static enum exo_reason conn_open(struct policy *p, struct subject *s, struct grant *g,
				 uint64_t want, uint64_t least, struct policy_conn_info *i)
{
	struct conn *c;

	i->grant = g->id;
	i->service = g->service->text;
	i->port = g->service->port;
	i->max_rate = g->limits.max_rate;
	if (s->id != POLICY_HOST && conn_by_ports(p, s->id, i->opener_port, i->slot_port))
		return EXO_REASON_PROTOCOL;
	if (!may_connect_once_more(p, s, g))
		return EXO_REASON_BUDGET;
	i->buffer_bytes = want ? ring_that_fits(s, g, want, least) : 0;
	if (want && !i->buffer_bytes)
		return EXO_REASON_BUDGET;
	i->id = conn_next_id(p);
	c = conn_create(p, i, g, s, g->service->provider->subject);
	if (!c)
		return EXO_REASON_BUDGET;
	conn_fill(c, i);
	return EXO_REASON_NONE;
}

enum exo_reason policy_connect(struct policy *p, uint32_t subject, uint32_t port,
			       uint32_t opener_port, bool seqpacket, uint64_t want_buffer,
			       uint64_t min_buffer, uint64_t now_ns, struct policy_conn_info *conn)
{
	struct subject *s = subject_find(p, subject);
	enum exo_reason reason = EXO_REASON_NO_SLOT;
	struct grant *g = s ? slot_find(s, port, &reason) : NULL;

	*conn = (struct policy_conn_info){
		.opener = subject,
		.slot_port = port,
		.opener_port = opener_port,
		.seqpacket = seqpacket,
	};
	if (g && g->expires_ns && g->expires_ns <= now_ns)
		reason = EXO_REASON_STALE; /* policy_expire will come */
	else if (g)
		reason = conn_check(s, g, seqpacket);
	if (g)
		conn->service = g->service->text;
	if (reason == EXO_REASON_ABSENT || reason == EXO_REASON_NOT_READY)
		return reason;
	if (!reason)
		reason = conn_open(p, s, g, want_buffer, min_buffer, conn);
	if (reason)
		tell_refusal(p, s, g, port, reason);
	policy_reap(p, false);
	return reason;
}

void policy_conn_refused(struct policy *p, uint32_t subject, uint32_t port, enum exo_reason reason)
{
	const struct subject *s = subject_find(p, subject);
	enum exo_reason unused;

	tell_refusal(p, s, s ? slot_find(s, port, &unused) : NULL, port, reason);
}

int policy_conn_adopt(struct policy *p, const struct policy_conn_info *i)
{
	struct grant *g = grant_find(p, i->grant);
	struct subject *opener = subject_find(p, i->opener),
		       *acceptor = subject_find(p, i->acceptor);

	if (!i->id || i->id > CONN_ID_MAX || i->buffer_bytes > EXO_RING_BYTES_MAX)
		return -EINVAL;
	if (policy_conn_of(p, i->id))
		return -EEXIST;
	if (!g || !opener || !acceptor)
		return -ENOENT;
	if (p->nconns >= POLICY_CONNS_MAX)
		return -ENOSPC;
	if (!conn_create(p, i, g, opener, acceptor))
		return -ENOMEM;
	if (i->id >= p->next_conn)
		p->next_conn = i->id + 1;
	return 0;
}

/* ---- ending -------------------------------------------------------------- */

void policy_conn_accept(struct policy *p, uint32_t conn)
{
	struct conn *c = policy_conn_of(p, conn);

	if (!c || c->accepted || !c->grant)
		return;
	c->accepted = true;
	c->grant->uses++;
	policy_tell(p,
		    &(struct policy_event){.kind = POLICY_EVENT_CONNECT,
					   .grant = c->grant_id,
					   .conn = c->id,
					   .subject = c->opener->name->text},
		    c->service);
}

static void conn_leave_grant(struct conn *c)
{
	if (!c->grant)
		return;
	list_remove(&c->by_grant);
	grants_discharge(c->grant, c->charged);
	c->grant = NULL;
}

void policy_conn_close(struct policy *p, struct conn *c, enum exo_reason reason)
{
	uint32_t id = c->id;

	offers_drop(p, c);
	conn_leave_grant(c);
	if (!p->ops->close_conn)
		return;
	p->busy++;
	p->ops->close_conn(p->opaque, id, reason);
	p->busy--;
}

static void conn_free(struct policy *p, struct conn *c)
{
	struct conn **at = conn_bucket(p, c->id);

	while (*at != c)
		at = &(*at)->hash_next;
	*at = c->hash_next;
	at = port_bucket(p, c->opener->id, c->opener_port, c->slot_port);
	while (*at != c)
		at = &(*at)->port_next;
	*at = c->port_next;
	list_remove(&c->all);
	list_remove(&c->by_opener);
	list_remove(&c->by_acceptor);
	c->opener->nopened--;
	c->opener->buffer -= c->charged;
	c->acceptor->naccepted--;
	service_put(p, c->service);
	free(c);
	p->nconns--;
}

void policy_conn_end(struct policy *p, uint32_t conn, enum exo_reason reason)
{
	struct conn *c = policy_conn_of(p, conn);
	struct policy_event e = {.kind = POLICY_EVENT_CLOSE, .conn = conn, .reason = reason};

	if (!c)
		return;
	if (!c->accepted) {
		e.kind = POLICY_EVENT_REFUSE;
		e.port = c->slot_port;
		if (c->grant)
			c->grant->refusals++;
	}
	e.grant = c->grant_id;
	e.subject = c->opener->name->text;
	offers_drop(p, c);
	conn_leave_grant(c);
	policy_tell(p, &e, c->service);
	conn_free(p, c);
	policy_reap(p, false);
}

void policy_conn_close_all(struct policy *p, struct subject *s, enum exo_reason reason)
{
	struct conn *c;

	while ((c = LIST_FIRST(&s->opened, struct conn, by_opener)) ||
	       (c = LIST_FIRST(&s->accepted, struct conn, by_acceptor))) {
		uint32_t id = c->id;

		if (c->grant)
			policy_conn_close(p, c, reason);
		policy_conn_end(p, id, reason);
	}
}

/* ---- looking ------------------------------------------------------------- */

int policy_conn_info(const struct policy *p, uint32_t conn, struct policy_conn_info *info)
{
	const struct conn *c = policy_conn_of(p, conn);

	if (!c)
		return -ENOENT;
	conn_fill(c, info);
	return 0;
}

uint32_t policy_conn_find(const struct policy *p, uint32_t subject, uint32_t local_port,
			  uint32_t peer_port)
{
	const struct conn *c = conn_by_ports(p, subject, local_port, peer_port);

	if (c)
		return c->id;
	if (peer_port < EXO_CONN_PORT(0) || peer_port > EXO_CONN_PORT(CONN_ID_MAX))
		return 0;
	c = policy_conn_of(p, peer_port - EXO_CONN_PORT(0));
	return c && c->acceptor->id == subject && c->port == local_port ? c->id : 0;
}

bool policy_conn_next(const struct policy *p, uint32_t after, struct policy_conn_info *info)
{
	const struct conn *last = after ? policy_conn_of(p, after) : NULL;
	const struct link *l = last ? last->all.next : p->conns.next;

	for (; l != &p->conns; l = l->next) {
		const struct conn *c = LINK_OF(l, struct conn, all);

		if (c->id <= after)
			continue;
		conn_fill(c, info);
		return true;
	}
	return false;
}
