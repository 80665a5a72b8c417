/* Policy: grants that guests hand on; see policy.h. */
#include "policy_impl.h"

#include <errno.h>
#include <string.h>

/* Guests may fill the table of grants up to here: a person always can grant. */
#define GUEST_GRANTS_MAX (POLICY_GRANTS_MAX / 4 * 3)

/* Which end of the connection the subject is, 1: the acceptor; -1: none. */
static int end_of(const struct conn *c, uint32_t subject)
{
	if (c && c->opener->id == subject)
		return 0;
	return c && c->acceptor->id == subject ? 1 : -1;
}

static uint64_t cut(uint64_t wish, uint64_t own)
{
	return !wish || (own && own < wish) ? own : wish;
}

static uint64_t cut_limits(struct policy_limits *out, const struct policy_limits *wish,
			   const struct grant *own, uint64_t now_ns)
{
	uint64_t expires_ns = own->expires_ns;

	out->max_conns = (uint32_t)cut(wish->max_conns, own->limits.max_conns);
	out->max_buffer = cut(wish->max_buffer, own->limits.max_buffer);
	out->max_rate = cut(wish->max_rate, own->limits.max_rate);
	if (wish->lease_ms)
		expires_ns = cut(policy_deadline(now_ns, wish->lease_ms), expires_ns);
	out->lease_ms = 0;
	if (expires_ns) /* what is over already gets the shortest lease */
		out->lease_ms = expires_ns > now_ns ? (expires_ns - now_ns + 999999) / 1000000 : 1;
	return expires_ns;
}

static void offers_purge(struct policy *p, struct conn *c, int to)
{
	struct link *head = &c->offers[to], *next;

	for (struct link *l = head->next; l != head; l = next) {
		struct grant *g = LINK_OF(l, struct grant, offer);

		next = l->next;
		if (!grant_is_alive(g))
			grant_unlink(p, g);
	}
}

int policy_delegate(struct policy *p, uint32_t subject, uint32_t port, uint32_t conn,
		    uint32_t rights, const struct policy_limits *limits, uint64_t now_ns)
{
	static const struct policy_limits none;
	const struct subject *s = subject_find(p, subject);
	struct conn *c = policy_conn_of(p, conn);
	int from = end_of(c, subject), to = !from, err;
	enum exo_reason reason;
	struct grant *own = s ? slot_find(s, port, &reason) : NULL, *g;
	uint64_t expires_ns;

	if (!own || from < 0 || !c->grant || !c->accepted ||
	    (own->expires_ns && own->expires_ns <= now_ns))
		return -ENOENT;
	if (!(own->rights & EXO_CAP_GRANT) || !(rights & own->rights))
		return -EPERM;
	if (own->depth >= POLICY_DEPTH_MAX)
		return -ENOSPC;
	if (c->noffers[to] >= POLICY_OFFERS_MAX)
		offers_purge(p, c, to);
	if (c->noffers[to] >= POLICY_OFFERS_MAX)
		return -ENOBUFS;
	policy_reap(p, p->ngrants >= GUEST_GRANTS_MAX);
	if (p->ngrants >= GUEST_GRANTS_MAX)
		return -ENOSPC;
	g = grant_create(p, own, (to ? c->acceptor : c->opener)->name->text, own->service->text, 0,
			 &err);
	if (!g)
		return err;
	g->rights = rights & own->rights;
	g->origin = POLICY_GUEST;
	g->offered_at = c;
	g->offered_to = (unsigned)to;
	list_append(&c->offers[to], &g->offer);
	c->noffers[to]++;
	expires_ns = cut_limits(&g->limits, limits ? limits : &none, own, now_ns);
	err = grant_set_expiry(p, g, expires_ns);
	if (err)
		grant_unlink(p, g);
	return err;
}

int policy_take(struct policy *p, uint32_t subject, uint32_t conn, uint64_t now_ns,
		struct policy_grant_info *slot)
{
	struct conn *c = policy_conn_of(p, conn);
	int end = end_of(c, subject), err;
	struct grant *g;

	if (end < 0 || !c->grant)
		return -ENOENT;
	while ((g = LIST_FIRST(&c->offers[end], struct grant, offer))) {
		if (grant_is_alive(g) && !(g->expires_ns && g->expires_ns <= now_ns))
			break;
		grant_unlink(p, g);
	}
	if (!g)
		return -EAGAIN;
	err = grant_bind(p, g);
	if (err)
		return err;
	list_remove(&g->offer);
	g->offered_at = NULL;
	c->noffers[end]--;
	grant_fill(g, slot);
	policy_tell(p,
		    &(struct policy_event){.kind = POLICY_EVENT_DELEGATE,
					   .grant = g->id,
					   .conn = c->id,
					   .subject = g->grantee->text},
		    g->service);
	return 0;
}

void offers_drop(struct policy *p, struct conn *c)
{
	for (int to = 0; to < 2; to++) {
		struct grant *g;

		while ((g = LIST_FIRST(&c->offers[to], struct grant, offer)))
			grant_unlink(p, g);
	}
}
