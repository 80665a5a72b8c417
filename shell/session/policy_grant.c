/* Policy: grants, their ends and their leases; see policy.h. */
#include "policy_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REAP_STEPS 8
#define RIGHTS (EXO_CAP_CONNECT | EXO_CAP_GRANT)

bool grant_is_alive(const struct grant *g)
{
	while (g && !g->dead)
		g = g->parent;
	return !g;
}

static struct grant **grant_bucket(struct policy *p, uint32_t id)
{
	return &p->grants_by_id[policy_hash_ids(id, 0, 0)];
}

/* Whatever has the id. */
static struct grant *grant_lookup(const struct policy *p, uint32_t id)
{
	struct grant *g = p->grants_by_id[policy_hash_ids(id, 0, 0)];

	while (g && g->id != id)
		g = g->hash_next;
	return g;
}

struct grant *grant_find(const struct policy *p, uint32_t id)
{
	struct grant *g = grant_lookup(p, id);

	return g && !g->offered_at && grant_is_alive(g) ? g : NULL;
}

uint64_t policy_deadline(uint64_t now_ns, uint64_t lease_ms)
{
	uint64_t at;

	if (__builtin_mul_overflow(lease_ms, 1000000, &at) ||
	    __builtin_add_overflow(at, now_ns, &at))
		return UINT64_MAX;
	return at;
}

/* ---- leases: a binary heap by their end ---------------------------------- */

static void heap_put(struct policy *p, size_t at, struct grant *g)
{
	p->lease[at] = g;
	g->heap = at + 1;
}

static void heap_up(struct policy *p, size_t at, struct grant *g)
{
	while (at && p->lease[(at - 1) / 2]->expires_ns > g->expires_ns) {
		heap_put(p, at, p->lease[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(p, at, g);
}

static void heap_down(struct policy *p, size_t at, struct grant *g)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < p->nleases &&
		    p->lease[child + 1]->expires_ns < p->lease[child]->expires_ns)
			child++;
		if (child >= p->nleases || p->lease[child]->expires_ns >= g->expires_ns)
			break;
		heap_put(p, at, p->lease[child]);
		at = child;
	}
	heap_put(p, at, g);
}

static void heap_remove(struct policy *p, struct grant *g)
{
	size_t at = g->heap - 1;
	struct grant *last;

	if (!g->heap)
		return;
	g->heap = 0;
	last = p->lease[--p->nleases];
	if (last == g)
		return;
	heap_up(p, at, last);
	heap_down(p, last->heap - 1, last);
}

int grant_set_expiry(struct policy *p, struct grant *g, uint64_t expires_ns)
{
	if (!expires_ns)
		return 0;
	if (p->nleases == p->lease_capacity) {
		size_t capacity = p->lease_capacity ? 2 * p->lease_capacity : 64;
		struct grant **lease = realloc(p->lease, capacity * sizeof(*lease));

		if (!lease)
			return -ENOMEM;
		p->lease = lease;
		p->lease_capacity = capacity;
	}
	g->expires_ns = expires_ns;
	heap_up(p, p->nleases++, g);
	return 0;
}

uint64_t policy_expire(struct policy *p, uint64_t now_ns)
{
	while (p->nleases) {
		struct grant *g = p->lease[0];

		if (!grant_is_alive(g))
			grant_unlink(p, g);
		else if (g->expires_ns <= now_ns)
			grant_end(p, g, POLICY_EVENT_EXPIRE, EXO_REASON_EXPIRED);
		else
			break;
	}
	policy_reap(p, false);
	return p->nleases ? p->lease[0]->expires_ns : 0;
}

/* ---- making one
 * ------------------------------------------------------------------------------------ */

/* By ascending id; the newest has the highest, but for adopted ones. */
static void grant_enter(struct policy *p, struct grant *g)
{
	struct link *at = p->grants.prev;

	while (at != &p->grants && LINK_OF(at, struct grant, all)->id > g->id)
		at = at->prev;
	list_insert_after(at, &g->all);
	g->hash_next = *grant_bucket(p, g->id);
	*grant_bucket(p, g->id) = g;
	p->ngrants++;
}

static uint32_t grant_next_id(struct policy *p)
{
	while (!p->next_grant || grant_lookup(p, p->next_grant))
		p->next_grant++;
	return p->next_grant++;
}

struct grant *grant_create(struct policy *p, struct grant *parent, const char *grantee,
			   const char *service, uint32_t id, int *err)
{
	struct grant *g;

	policy_reap(p, p->ngrants >= POLICY_GRANTS_MAX);
	*err = -ENOSPC;
	if (p->ngrants >= POLICY_GRANTS_MAX)
		return NULL;
	*err = -ENOMEM;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->grantee = name_get(p, grantee);
	g->service = service_get(p, service);
	if (!g->grantee || !g->service) {
		if (g->grantee)
			name_put(p, g->grantee);
		if (g->service)
			service_put(p, g->service);
		free(g);
		return NULL;
	}
	g->id = id ? id : grant_next_id(p);
	g->slot = -1;
	list_init(&g->children);
	list_init(&g->busy_children);
	list_init(&g->conns);
	g->parent = parent;
	g->depth = parent ? parent->depth + 1 : 1;
	if (parent)
		list_append(&parent->children, &g->sibling);
	grant_enter(p, g);
	return g;
}

int grant_bind(struct policy *p, struct grant *g)
{
	struct name *n = g->grantee;
	struct link *at;

	if (n->ngrants >= EXO_SLOTS_MAX)
		policy_reap(p, true);
	if (n->ngrants >= EXO_SLOTS_MAX || (n->subject && slot_fill(n->subject, g)))
		return -ENOSPC;
	for (at = n->grants.prev; at != &n->grants; at = at->prev) {
		if (LINK_OF(at, struct grant, by_name)->id < g->id)
			break;
	}
	list_insert_after(at, &g->by_name);
	n->ngrants++;
	return 0;
}

/* Is there one already that a new grant by the same origin would double? */
static bool grant_clashes(const struct policy *p, const char *grantee, const char *service,
			  enum policy_origin origin, uint32_t fixed_port)
{
	struct name *n = name_find(p, grantee);

	if (!n)
		return false;
	LIST_EACH(g, &n->grants, struct grant, by_name)
	{
		if (!grant_is_alive(g))
			continue;
		if (g->origin == origin && origin != POLICY_GUEST &&
		    !strcmp(g->service->text, service))
			return true;
		if (fixed_port && g->fixed_port == fixed_port)
			return true;
	}
	return false;
}

/* One that is not delegated, from checked values. */
static struct grant *grant_add(struct policy *p, const struct policy_grant_info *i,
			       struct grant *parent, uint64_t now_ns, int *err)
{
	struct grant *g = grant_create(p, parent, i->grantee, i->service, i->id, err);

	if (!g)
		return NULL;
	g->rights = i->rights;
	g->limits = i->limits;
	g->origin = i->origin;
	g->fixed_port = i->fixed_port;
	g->uses = i->uses;
	g->refusals = i->refusals;
	*err = grant_set_expiry(
		p, g, i->limits.lease_ms ? policy_deadline(now_ns, i->limits.lease_ms) : 0);
	if (!*err)
		*err = grant_bind(p, g);
	if (!*err)
		return g;
	grant_unlink(p, g);
	policy_reap(p, false);
	return NULL;
}

static bool grant_is_sound(const struct policy_grant_info *i)
{
	return policy_name_is_valid(i->grantee) && policy_name_is_valid(i->service) && i->rights &&
	       !(i->rights & ~RIGHTS) && i->fixed_port < EXO_SLOT_PORT(0, 0) &&
	       i->fixed_port != EXO_PORT_BROKER;
}

int64_t policy_grant(struct policy *p, const char *grantee, const char *service, uint32_t rights,
		     const struct policy_limits *limits, enum policy_origin origin,
		     uint32_t fixed_port, uint64_t now_ns)
{
	struct policy_grant_info info = {
		.grantee = grantee,
		.service = service,
		.rights = rights,
		.origin = origin,
		.fixed_port = fixed_port,
	};
	struct grant *g;
	int err;

	if (limits)
		info.limits = *limits;
	if (!grant_is_sound(&info) || origin == POLICY_GUEST)
		return -EINVAL;
	if (grant_clashes(p, grantee, service, origin, fixed_port))
		return -EEXIST;
	g = grant_add(p, &info, NULL, now_ns, &err);
	if (!g)
		return err;
	policy_tell(p,
		    &(struct policy_event){.kind = POLICY_EVENT_GRANT,
					   .grant = g->id,
					   .subject = g->grantee->text},
		    g->service);
	return g->id;
}

int policy_grant_adopt(struct policy *p, const struct policy_grant_info *i, uint64_t now_ns)
{
	struct grant *parent = i->parent ? grant_find(p, i->parent) : NULL;
	int err;

	if (!i->id || !grant_is_sound(i) || (i->origin == POLICY_GUEST) != (i->parent != 0))
		return -EINVAL;
	if (i->parent && (!parent || parent->depth >= POLICY_DEPTH_MAX))
		return -ENOENT;
	if (grant_lookup(p, i->id) ||
	    grant_clashes(p, i->grantee, i->service, i->origin, i->fixed_port))
		return -EEXIST;
	if (!grant_add(p, i, parent, now_ns, &err))
		return err;
	if (i->id >= p->next_grant)
		p->next_grant = i->id + 1;
	return 0;
}

/* ---- ending one
 * ----------------------------------------------------------------------------------- */

/* A connection of its tree, found in as many steps as the tree is deep. */
static struct conn *grant_any_conn(struct grant *g)
{
	while (g && list_is_empty(&g->conns))
		g = LIST_FIRST(&g->busy_children, struct grant, busy);
	return g ? LIST_FIRST(&g->conns, struct conn, by_grant) : NULL;
}

void grant_unlink(struct policy *p, struct grant *g)
{
	struct grant **at = grant_bucket(p, g->id);

	g->dead = true;
	slot_free(g);
	heap_remove(p, g);
	while (*at != g)
		at = &(*at)->hash_next;
	*at = g->hash_next;
	if (g->by_name.next)
		g->grantee->ngrants--;
	list_remove(&g->by_name);
	if (g->offered_at) {
		g->offered_at->noffers[g->offered_to]--;
		list_remove(&g->offer);
		g->offered_at = NULL;
	}
	list_remove(&g->sibling);
	list_remove(&g->busy);
	g->parent = NULL;
	list_remove(&g->all);
	list_append(&p->dead, &g->all);
}

void grant_end(struct policy *p, struct grant *g, enum policy_event_kind kind,
	       enum exo_reason reason)
{
	bool was_alive = grant_is_alive(g);
	bool was_offer = g->offered_at != NULL;
	struct conn *c;

	p->busy++;
	g->dead = true;
	slot_free(g);
	heap_remove(p, g);
	if (was_alive && !was_offer)
		policy_tell(p,
			    &(struct policy_event){.kind = kind,
						   .grant = g->id,
						   .subject = g->grantee->text,
						   .reason = reason},
			    g->service);
	while ((c = grant_any_conn(g)))
		policy_conn_close(p, c, reason);
	grant_unlink(p, g);
	p->busy--;
	policy_reap(p, false);
}

/* A step frees one dead grant or takes one child from it. */
void policy_reap(struct policy *p, bool all)
{
	struct grant *g, *child;

	if (p->busy)
		return;
	for (unsigned i = 0; all || i < REAP_STEPS; i++) {
		g = LIST_FIRST(&p->dead, struct grant, all);
		if (!g)
			return;
		child = LIST_FIRST(&g->children, struct grant, sibling);
		if (child) {
			grant_unlink(p, child);
			continue;
		}
		list_remove(&g->all);
		name_put(p, g->grantee);
		service_put(p, g->service);
		free(g);
		p->ngrants--;
	}
}

int policy_end_children(struct policy *p, struct grant *g)
{
	struct grant *child;
	int ended = 0;

	while ((child = LIST_FIRST(&g->children, struct grant, sibling))) {
		grant_end(p, child, POLICY_EVENT_REVOKE, EXO_REASON_REVOKED);
		ended++;
	}
	return ended;
}

int policy_revoke(struct policy *p, uint32_t grant)
{
	struct grant *g = grant_find(p, grant);

	if (!g)
		return -ENOENT;
	grant_end(p, g, POLICY_EVENT_REVOKE, EXO_REASON_REVOKED);
	return 0;
}

int policy_revoke_named(struct policy *p, const char *grantee, const char *service)
{
	int ended = 0;

	for (;;) {
		struct name *n = name_find(p, grantee);
		struct grant *found = NULL;

		if (!n)
			break;
		LIST_EACH(g, &n->grants, struct grant, by_name)
		{
			if (strcmp(g->service->text, service) || !grant_is_alive(g))
				continue;
			found = g;
			break;
		}
		if (!found)
			break;
		grant_end(p, found, POLICY_EVENT_REVOKE, EXO_REASON_REVOKED);
		ended++;
	}
	return ended ? ended : -ENOENT;
}

/* ---- looking
 * ---------------------------------------------------------------------------------------- */

void grant_fill(const struct grant *g, struct policy_grant_info *info)
{
	*info = (struct policy_grant_info){
		.id = g->id,
		.parent = g->parent ? g->parent->id : 0,
		.grantee = g->grantee->text,
		.service = g->service->text,
		.rights = g->rights,
		.fixed_port = g->fixed_port,
		.origin = g->origin,
		.limits = g->limits,
		.expires_ns = g->expires_ns,
		.port = slot_port(g),
		.nconns = g->nconns,
		.buffer_bytes = g->buffer,
		.uses = g->uses,
		.refusals = g->refusals,
	};
}

int policy_grant_info(const struct policy *p, uint32_t grant, struct policy_grant_info *info)
{
	const struct grant *g = grant_find(p, grant);

	if (!g)
		return -ENOENT;
	grant_fill(g, info);
	return 0;
}

bool policy_grant_next(const struct policy *p, uint32_t after, struct policy_grant_info *info)
{
	const struct grant *last = after ? grant_lookup(p, after) : NULL;
	const struct link *l = last ? last->all.next : p->grants.next;

	for (; l != &p->grants; l = l->next) {
		const struct grant *g = LINK_OF(l, struct grant, all);

		if (g->id <= after || g->offered_at || !grant_is_alive(g))
			continue;
		grant_fill(g, info);
		return true;
	}
	return false;
}

void policy_next_ids(const struct policy *p, uint32_t *grant, uint32_t *conn)
{
	*grant = p->next_grant;
	*conn = p->next_conn;
}

void policy_set_next_ids(struct policy *p, uint32_t grant, uint32_t conn)
{
	if (grant > p->next_grant)
		p->next_grant = grant;
	if (conn > p->next_conn)
		p->next_conn = conn;
}
