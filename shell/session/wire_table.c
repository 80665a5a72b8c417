/* The table of connections, and the words and numbers of why they end. */
#include "wire_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *word;
	int err; /* of connect */
} reasons[EXO_REASONS] = {
	[EXO_REASON_NONE] = {"none", -EIO},
	[EXO_REASON_CLOSED] = {"closed", -ECONNREFUSED},
	[EXO_REASON_ENDED] = {"ended", -ECONNREFUSED},
	[EXO_REASON_DIED] = {"died", -ECONNREFUSED},
	[EXO_REASON_REVOKED] = {"revoked", -EACCES},
	[EXO_REASON_EXPIRED] = {"expired", -EACCES},
	[EXO_REASON_PROTOCOL] = {"protocol", -EPROTO},
	[EXO_REASON_NO_SLOT] = {"no-slot", -EACCES},
	[EXO_REASON_STALE] = {"stale", -ESTALE},
	[EXO_REASON_ABSENT] = {"absent", -ECONNREFUSED},
	[EXO_REASON_NOT_READY] = {"not-ready", -ETIMEDOUT},
	[EXO_REASON_BUDGET] = {"budget", -ENOBUFS},
	[EXO_REASON_REFUSED] = {"refused", -ECONNREFUSED},
	[EXO_REASON_SESSION] = {"session", -ENETDOWN},
	[EXO_REASON_TYPE] = {"type", -EPROTOTYPE},
};

const char *wire_reason_word(enum exo_reason reason)
{
	return reason < EXO_REASONS ? reasons[reason].word : "unknown";
}

int wire_errno(enum exo_reason reason)
{
	return reasons[reason < EXO_REASONS ? reason : EXO_REASON_NONE].err;
}

/* ---- tables ------------------------------------------------------------------------ */

struct wires *wires_of(struct session *s)
{
	if (!s->wires)
		s->wires = calloc(1, sizeof(struct wires));
	return s->wires;
}

struct wire_ends *wire_ends_of(struct machine *m)
{
	if (!m->wires)
		m->wires = calloc(1, sizeof(struct wire_ends));
	return m->wires;
}

struct wire *wire_find(struct session *s, uint32_t conn)
{
	struct wires *all = s->wires;
	struct wire *w = all ? all->bucket[conn % WIRE_BUCKETS] : NULL;

	while (w && w->conn != conn)
		w = w->hash_next;
	return w;
}

unsigned wire_side_of(const struct wire *w, const struct machine *m)
{
	return w->end[WIRE_OPENER] == m ? WIRE_OPENER : WIRE_ACCEPTOR;
}

static void enter(struct wire *w, unsigned side, struct machine *m)
{
	struct wire_ends *e = m->wires;

	w->end[side] = m;
	w->prev[side] = NULL;
	w->next[side] = e->first;
	if (e->first)
		e->first->prev[wire_side_of(e->first, m)] = w;
	e->first = w;
}

static void leave(struct wire *w, unsigned side)
{
	struct machine *m = w->end[side];
	struct wire *prev = w->prev[side], *next = w->next[side];

	if (!m)
		return;
	if (prev)
		prev->next[wire_side_of(prev, m)] = next;
	else
		((struct wire_ends *)m->wires)->first = next;
	if (next)
		next->prev[wire_side_of(next, m)] = prev;
	w->end[side] = NULL;
}

int wire_add(struct session *s, uint32_t conn, struct machine *opener, struct machine *acceptor,
	     struct wire **out)
{
	struct wires *all = wires_of(s);
	struct wire *w = all ? calloc(1, sizeof(*w)) : NULL;

	if (!w || (opener && !wire_ends_of(opener)) || (acceptor && !wire_ends_of(acceptor))) {
		free(w);
		return -ENOMEM;
	}
	w->conn = conn;
	w->ring_fd = -1;
	w->hash_next = all->bucket[conn % WIRE_BUCKETS];
	all->bucket[conn % WIRE_BUCKETS] = w;
	all->nwires++;
	if (opener)
		enter(w, WIRE_OPENER, opener);
	if (acceptor)
		enter(w, WIRE_ACCEPTOR, acceptor);
	*out = w;
	return 0;
}

void wire_set_deadline(struct session *s, struct wire *w, uint64_t deadline_ns)
{
	struct wires *all = s->wires;

	if (w->deadline_ns && !deadline_ns) {
		if (w->offered_prev)
			w->offered_prev->offered_next = w->offered_next;
		else
			all->offered = w->offered_next;
		if (w->offered_next)
			w->offered_next->offered_prev = w->offered_prev;
	} else if (!w->deadline_ns && deadline_ns) {
		w->offered_prev = NULL;
		w->offered_next = all->offered;
		if (all->offered)
			all->offered->offered_prev = w;
		all->offered = w;
	}
	w->deadline_ns = deadline_ns;
	session_wake_at(s, deadline_ns);
}

void wire_remember(struct machine *m, uint32_t local, uint32_t peer, enum exo_reason reason)
{
	struct wire_ends *e = m ? m->wires : NULL;

	if (e)
		e->recent[e->nrecent++ % WIRE_RECENT_MAX] =
			(struct wire_recent){local, peer, reason};
}

enum exo_reason wire_reason(struct machine *m, uint32_t local_port, uint32_t peer_port)
{
	const struct wire_ends *e = m->wires;

	for (unsigned i = e ? e->nrecent : 0; i > 0 && i + WIRE_RECENT_MAX > e->nrecent; i--) {
		const struct wire_recent *r = &e->recent[(i - 1) % WIRE_RECENT_MAX];

		if (r->local_port == local_port && r->peer_port == peer_port)
			return r->reason;
	}
	return EXO_REASON_NONE;
}

void wire_remove(struct session *s, struct wire *w, enum exo_reason reason)
{
	struct wires *all = s->wires;
	struct wire **at = &all->bucket[w->conn % WIRE_BUCKETS];
	struct policy_conn_info c;

	if (!policy_conn_info(s->policy, w->conn, &c)) {
		wire_remember(w->end[WIRE_OPENER], c.opener_port, c.slot_port, reason);
		wire_remember(w->end[WIRE_ACCEPTOR], c.port, EXO_CONN_PORT(c.id), reason);
	}
	if (w->state == WIRE_OFFERED && w->end[WIRE_OPENER])
		((struct wire_ends *)w->end[WIRE_OPENER]->wires)->pending--;
	wire_set_deadline(s, w, 0);
	leave(w, WIRE_OPENER);
	leave(w, WIRE_ACCEPTOR);
	while (*at != w)
		at = &(*at)->hash_next;
	*at = w->hash_next;
	all->nwires--;
	memory_conn_gone(s, w->conn);
	policy_conn_end(s->policy, w->conn, reason);
	caps_offered(s, w->conn); /* who waits there hears that there is nothing any more */
	if (w->ring_fd >= 0)
		close(w->ring_fd);
	free(w);
}
