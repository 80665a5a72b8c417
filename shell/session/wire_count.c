/* How much went over connections: VMMs are asked, and what they said is kept. */
#include "wire_impl.h"

#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void take(struct machine *m, const struct exo_vmm_channel_info *info)
{
	struct wire *w = wire_find(m->session, info->conn);
	unsigned side = info->flags & EXO_CHANNEL_OPENER ? WIRE_OPENER : WIRE_ACCEPTOR;

	if (w && w->end[side] == m && !w->closed[side]) {
		w->count[side] = *info;
		w->direct[side] = info->flags & EXO_CHANNEL_DIRECT;
	}
}

void wire_channels(struct machine *m, const struct exo_vmm_channels *c)
{
	struct wire_ends *e = wire_ends_of(m);

	if (m->adopt_by_ns)
		return wire_claim(m, c);
	if (!e || !e->asked)
		return; /* nobody asked: nothing is believed, nothing is lost */
	for (uint32_t i = 0; i < c->count; i++)
		take(m, &c->info[i]);
	if (!c->more) {
		e->asked--;
		wire_refresh_answered(m->session);
	}
}

bool wire_counters(struct session *s, uint32_t conn, struct exo_vmm_channel_info *info,
		   const char **path)
{
	const struct wire *w = wire_find(s, conn);
	unsigned side;

	if (!w)
		return false;
	side = w->end[WIRE_OPENER] ? WIRE_OPENER : WIRE_ACCEPTOR;
	*info = w->count[side];
	info->conn = conn;
	if (side == WIRE_ACCEPTOR) { /* it is told as the opener sees it */
		info->tx_bytes = w->count[side].rx_bytes;
		info->rx_bytes = w->count[side].tx_bytes;
		info->tx_messages = w->count[side].rx_messages;
		info->rx_messages = w->count[side].tx_messages;
	}
	*path = !w->end[WIRE_OPENER] || !w->end[WIRE_ACCEPTOR]       ? "host"
		: w->direct[WIRE_OPENER] && w->direct[WIRE_ACCEPTOR] ? "direct"
								     : "switched";
	return true;
}

/* ---- asking --------------------------------------------------------------------------- */

static void finish(struct session *s)
{
	struct wires *all = s->wires;
	struct wire_refresh *r;

	all->refresh_by_ns = 0;
	while ((r = all->refreshes)) {
		all->refreshes = r->next;
		if (r->done)
			r->done(r->opaque);
		free(r);
	}
}

void wire_refresh_answered(struct session *s)
{
	struct wires *all = s->wires;

	if (!all || !all->refreshes)
		return;
	for (const struct machine *m = s->machines; m; m = m->next) {
		const struct wire_ends *e = m->wires;

		if (e && e->asked && machine_runs(m))
			return;
	}
	finish(s);
}

void wire_refresh_tick(struct session *s, uint64_t now_ns)
{
	struct wires *all = s->wires;

	if (all->refreshes && now_ns >= all->refresh_by_ns)
		finish(s);
}

static void ask_all(struct session *s)
{
	const struct exo_vmm_header msg = {EXO_VMM_MAGIC, EXO_VMM_CHANNELS_REQUEST, sizeof(msg), 0};

	for (struct machine *m = s->machines; m; m = m->next) {
		struct wire_ends *e = machine_runs(m) && m->vm->started ? wire_ends_of(m) : NULL;

		if (!e || !e->first || m->adopt_by_ns)
			continue;
		e->asked++;
		machine_send(m, &msg, sizeof(msg), NULL, 0);
	}
}

void wire_refresh(struct session *s, void (*done)(void *opaque), void *opaque)
{
	struct wires *all = wires_of(s);
	struct wire_refresh *r = all ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return done(opaque);
	r->done = done;
	r->opaque = opaque;
	r->next = all->refreshes;
	if (!all->refreshes) {
		all->refresh_by_ns = clock_now_ns() + WIRE_REFRESH_NS;
		session_wake_at(s, all->refresh_by_ns);
		ask_all(s);
	}
	all->refreshes = r;
	wire_refresh_answered(s);
}
