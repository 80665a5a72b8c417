/* Policy: the tables of slots; see policy.h. */
#include "policy_impl.h"

#include <errno.h>

#define GENERATION_LAST 0xffffu /* a slot that reached it is not used again */

uint32_t slot_port(const struct grant *g)
{
	const struct subject *s = g->grantee->subject;

	return g->slot < 0 || !s ? 0 : EXO_SLOT_PORT(g->slot, s->slot[g->slot].generation);
}

void slot_free(struct grant *g)
{
	if (g->slot < 0)
		return;
	g->grantee->subject->slot[g->slot].grant = NULL;
	g->grantee->subject->slot[g->slot].fixed_port = 0;
	g->slot = -1;
}

static void slot_set(struct subject *s, unsigned index, struct grant *g)
{
	s->slot[index].grant = g;
	s->slot[index].fixed_port = g->fixed_port;
	g->slot = (int)index;
}

int slot_fill(struct subject *s, struct grant *g)
{
	for (unsigned i = 0; i < EXO_SLOTS_MAX; i++) {
		struct slot *slot = &s->slot[i];

		if (slot->grant && !grant_is_alive(slot->grant))
			slot_free(slot->grant);
		if (slot->grant || slot->generation == GENERATION_LAST)
			continue;
		slot->generation++;
		slot_set(s, i, g);
		return 0;
	}
	return -ENOSPC;
}

struct grant *slot_find(const struct subject *s, uint32_t port, enum exo_reason *reason)
{
	*reason = EXO_REASON_NO_SLOT;
	if (EXO_SLOT_IS(port)) {
		const struct slot *slot = &s->slot[EXO_SLOT_INDEX(port)];
		uint32_t generation = EXO_SLOT_GENERATION(port);

		if (!generation || generation > slot->generation)
			return NULL; /* never was */
		*reason = EXO_REASON_STALE;
		if (generation != slot->generation || !slot->grant || !grant_is_alive(slot->grant))
			return NULL;
		*reason = EXO_REASON_NONE;
		return slot->grant;
	}
	for (unsigned i = 0; port && i < EXO_SLOTS_MAX; i++) {
		const struct slot *slot = &s->slot[i];

		if (slot->fixed_port != port || !slot->grant || !grant_is_alive(slot->grant))
			continue;
		*reason = EXO_REASON_NONE;
		return slot->grant;
	}
	return NULL;
}

uint32_t policy_resolve(const struct policy *p, uint32_t subject, const char *service)
{
	const struct subject *s = subject_find(p, subject);
	const struct service *wanted = service_find(p, service);

	for (unsigned i = 0; s && wanted && i < EXO_SLOTS_MAX; i++) {
		const struct grant *g = s->slot[i].grant;

		if (g && g->service == wanted && grant_is_alive(g))
			return slot_port(g);
	}
	return 0;
}

bool policy_slot_at(const struct policy *p, uint32_t subject, unsigned index,
		    struct policy_grant_info *info)
{
	const struct subject *s = subject_find(p, subject);

	for (unsigned i = 0; s && i < EXO_SLOTS_MAX; i++) {
		const struct grant *g = s->slot[i].grant;

		if (!g || !grant_is_alive(g) || index--)
			continue;
		grant_fill(g, info);
		return true;
	}
	return false;
}

static struct grant *slot_of(const struct policy *p, uint32_t subject, uint32_t port)
{
	const struct subject *s = subject_find(p, subject);
	enum exo_reason reason;

	return s ? slot_find(s, port, &reason) : NULL;
}

int policy_drop_slot(struct policy *p, uint32_t subject, uint32_t port)
{
	struct grant *g = slot_of(p, subject, port);
	struct conn *c;

	if (!g)
		return -ENOENT;
	if (g->origin == POLICY_GUEST) {
		grant_end(p, g, POLICY_EVENT_REVOKE, EXO_REASON_REVOKED);
		return 0;
	}
	p->busy++;
	slot_free(g);
	policy_end_children(p, g);
	while ((c = LIST_FIRST(&g->conns, struct conn, by_grant)))
		policy_conn_close(p, c, EXO_REASON_REVOKED);
	p->busy--;
	policy_reap(p, false);
	return 0;
}

int policy_revoke_delegated(struct policy *p, uint32_t subject, uint32_t port)
{
	struct grant *g = slot_of(p, subject, port);
	int ended;

	if (!g)
		return -ENOENT;
	p->busy++;
	ended = policy_end_children(p, g);
	p->busy--;
	policy_reap(p, false);
	return ended;
}

/* ---- after a restart of the session -------------------------------------- */

int policy_generations(const struct policy *p, uint32_t subject, uint16_t generation[EXO_SLOTS_MAX])
{
	const struct subject *s = subject_find(p, subject);

	if (!s)
		return -ENOENT;
	for (unsigned i = 0; i < EXO_SLOTS_MAX; i++)
		generation[i] = s->slot[i].generation;
	return 0;
}

int policy_generations_adopt(struct policy *p, uint32_t subject,
			     const uint16_t generation[EXO_SLOTS_MAX])
{
	struct subject *s = subject_find(p, subject);

	if (!s)
		return -ENOENT;
	for (unsigned i = 0; i < EXO_SLOTS_MAX; i++) {
		struct slot *slot = &s->slot[i];
		struct grant *g = slot->grant;

		if (generation[i] < slot->generation)
			continue;
		slot->generation = generation[i];
		if (!g)
			continue;
		/* It was put here without knowing; as if after the old one. */
		slot_free(g);
		slot_fill(s, g);
	}
	return 0;
}

/* Slots were filled in some order when the subject was added: trade places. */
int policy_slot_adopt(struct policy *p, uint32_t subject, uint32_t grant, uint32_t port)
{
	struct subject *s = subject_find(p, subject);
	struct grant *g = grant_find(p, grant), *other;
	unsigned index = EXO_SLOT_INDEX(port);
	int from;

	if (!s || !g || g->grantee->subject != s || g->slot < 0)
		return -ENOENT;
	if (!EXO_SLOT_IS(port) || !EXO_SLOT_GENERATION(port))
		return -EINVAL;
	other = s->slot[index].grant;
	from = g->slot;
	if (other && other != g) {
		slot_free(g);
		slot_free(other);
		slot_set(s, (unsigned)from, other);
	} else if (!other) {
		slot_free(g);
	}
	slot_set(s, index, g);
	s->slot[index].generation = (uint16_t)EXO_SLOT_GENERATION(port);
	return 0;
}
