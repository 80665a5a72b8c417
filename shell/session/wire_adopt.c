/*
 * Connections of an earlier session. What a VMM keeps for us of each, as its cookie, is
 * enough to know the connection again once both ends have shown theirs:
 *
 *	opener		the slot's port (high half), its own port (low half)
 *	acceptor	the grant (high half), and flags
 *
 * A VMM could claim what it never had: so both must agree on the number, the
 * grant must lead from the one to the other, and nobody is believed alone.
 */
#include "wire_impl.h"

#include <exo/ring.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COOKIE_SIZE 0x1fu /* log2 of the ring's size */
#define COOKIE_SEQPACKET 0x20u
#define COOKIE_FROM_HOST 0x40u
#define COOKIE_RATED 0x80u

uint64_t wire_opener_cookie(const struct policy_conn_info *c)
{
	return (uint64_t)c->slot_port << 32 | c->opener_port;
}

uint64_t wire_acceptor_cookie(const struct policy_conn_info *c)
{
	uint32_t flags = c->buffer_bytes ? (uint32_t)__builtin_ctzll(c->buffer_bytes) : 0;

	flags |= c->seqpacket ? COOKIE_SEQPACKET : 0;
	flags |= c->opener == POLICY_HOST ? COOKIE_FROM_HOST : 0;
	flags |= c->max_rate ? COOKIE_RATED : 0;
	return (uint64_t)c->grant << 32 | flags;
}

void wire_claim(struct machine *m, const struct exo_vmm_channels *c)
{
	struct wires *all = wires_of(m->session);

	for (uint32_t i = 0; all && i < c->count; i++) {
		struct wire_claim *claim = calloc(1, sizeof(*claim));

		if (!claim)
			return; /* what is not claimed is closed */
		claim->m = m;
		claim->info = c->info[i];
		/* Its number is not given again, whatever becomes of it. */
		policy_set_next_ids(m->session->policy, 0, claim->info.conn + 1);
		claim->next = all->claims;
		all->claims = claim;
	}
}

void wire_forget_claims(const struct machine *m)
{
	struct wires *all = m->session->wires;
	struct wire_claim **at = all ? &all->claims : NULL, *c;

	while (at && (c = *at)) {
		if (c->m != m) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		free(c);
	}
}

/* The other end's claim; taken out of the list. */
static struct wire_claim *take_other(struct wires *all, const struct wire_claim *c)
{
	struct wire_claim **at = &all->claims, *other;

	while ((other = *at)) {
		if (other->info.conn == c->info.conn && other->m != c->m &&
		    (other->info.flags ^ c->info.flags) & EXO_CHANNEL_OPENER) {
			*at = other->next;
			return other;
		}
		at = &other->next;
	}
	return NULL;
}

/* What the claims say, where the policy agrees. False: it is not to be. */
static bool rebuild(struct session *s, const struct wire_claim *opener,
		    const struct wire_claim *acceptor, struct policy_conn_info *c)
{
	uint64_t cookie = acceptor->info.cookie;
	struct policy_service_info service;
	struct policy_grant_info grant;
	const char *grantee = opener ? opener->m->name : "host";

	if (!opener != !!(cookie & COOKIE_FROM_HOST) ||
	    policy_grant_info(s->policy, (uint32_t)(cookie >> 32), &grant) ||
	    strcmp(grant.grantee, grantee) != 0 ||
	    policy_service_info(s->policy, grant.service, &service) || !service.provider ||
	    strcmp(service.provider, acceptor->m->name) != 0)
		return false;
	*c = (struct policy_conn_info){
		.id = acceptor->info.conn,
		.grant = grant.id,
		.opener = opener ? opener->m->subject : POLICY_HOST,
		.acceptor = acceptor->m->subject,
		.service = grant.service,
		.port = service.port,
		.slot_port = opener ? (uint32_t)(opener->info.cookie >> 32) : grant.port,
		.opener_port = opener ? (uint32_t)opener->info.cookie
				      : ++((struct wires *)s->wires)->next_host_port,
		.seqpacket = cookie & COOKIE_SEQPACKET,
		.accepted = true,
		.buffer_bytes = cookie & COOKIE_SIZE ? 1ull << (cookie & COOKIE_SIZE) : 0,
		.max_rate = cookie & COOKIE_RATED ? grant.limits.max_rate : 0,
	};
	return c->buffer_bytes <= EXO_RING_BYTES_MAX;
}

static void adopt(struct session *s, struct wire_claim *a, struct wire_claim *b)
{
	struct wire_claim *opener = a->info.flags & EXO_CHANNEL_OPENER ? a : b;
	struct wire_claim *acceptor = opener == a ? b : a;
	struct policy_conn_info c;
	struct wire *w = NULL;

	if (acceptor && rebuild(s, opener, acceptor, &c) && !policy_conn_adopt(s->policy, &c)) {
		if (!wire_add(s, c.id, opener ? opener->m : NULL, acceptor->m, &w)) {
			w->state = WIRE_OPEN;
			w->type = c.seqpacket + 1u;
			w->port = c.port;
			w->max_rate = c.max_rate;
			w->ring_bytes = (uint32_t)c.buffer_bytes;
			for (unsigned side = 0; side < 2; side++) {
				struct wire_claim *of = side ? acceptor : opener;

				if (!of)
					continue;
				w->count[side] = of->info;
				w->direct[side] = of->info.flags & EXO_CHANNEL_DIRECT;
			}
			return;
		}
		policy_conn_end(s->policy, c.id, EXO_REASON_SESSION);
	}
	wire_tell_close(a->m, a->info.conn, EXO_REASON_SESSION);
	if (b)
		wire_tell_close(b->m, b->info.conn, EXO_REASON_SESSION);
}

void wire_adopted(struct session *s)
{
	struct wires *all = s->wires;
	struct wire_claim *c, *other;

	while (all && (c = all->claims)) {
		all->claims = c->next;
		other = take_other(all, c);
		adopt(s, c, other);
		free(other);
		free(c);
	}
}

void wire_finish(struct session *s)
{
	struct wires *all = s->wires;

	if (!all)
		return;
	while (all->claims) {
		struct wire_claim *c = all->claims;

		all->claims = c->next;
		free(c);
	}
	while (all->asks) {
		struct wire_ask *a = all->asks;

		all->asks = a->next;
		free(a);
	}
	while (all->listeners)
		wire_unlisten_host(s, all->listeners->service);
	for (unsigned i = 0; i < WIRE_BUCKETS; i++) {
		while (all->bucket[i]) {
			struct wire *w = all->bucket[i];

			all->bucket[i] = w->hash_next;
			if (w->ring_fd >= 0)
				close(w->ring_fd);
			free(w);
		}
	}
	free(all);
	s->wires = NULL;
}
