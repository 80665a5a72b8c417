/*
 * virtio-vsock: the table of connections, when their host sockets are watched,
 * and how they end (VIRTIO 1.2, 5.10.6.5 and 5.10.6.6). Lock held, see
 * vsock_impl.h.
 */
#include "clock.h"
#include "vsock_impl.h"

#include <string.h>
#include <sys/epoll.h>

#define ID_INDEX_BITS 8

_Static_assert(VSOCK_CONNS_MAX <= 1u << ID_INDEX_BITS, "fits an id");
_Static_assert(VSOCK_BUFFERS_LARGE < 32, "fits the bit map");

/* ---- table ---------------------------------------------------------------- */

static struct conn **bucket(struct vsock *v, uint32_t guest_port, uint32_t host_port)
{
	uint32_t h = (guest_port * 2654435761u) ^ (host_port * 2246822519u);

	return &v->hash[(h ^ h >> 16) % HASH_SIZE];
}

struct conn *conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
	struct conn *c = *bucket(v, guest_port, host_port);

	while (c && (c->guest_port != guest_port || c->host_port != host_port || c->type != type))
		c = c->hash_next;
	return c;
}

static void unhash(struct vsock *v, struct conn *c)
{
	struct conn **p = bucket(v, c->guest_port, c->host_port);

	while (*p && *p != c)
		p = &(*p)->hash_next;
	if (*p)
		*p = c->hash_next;
}

uint32_t conn_id(const struct vsock *v, const struct conn *c)
{
	return c->generation << ID_INDEX_BITS | (uint32_t)(c - v->conn);
}

struct conn *conn_by_id(struct vsock *v, uint64_t id)
{
	struct conn *c = &v->conn[id % VSOCK_CONNS_MAX];

	return c->state != CONN_FREE && conn_id(v, c) == id ? c : NULL;
}

/* A window that fits what is left, so that the whole is bounded (H-19). */
static void give_buffer(struct vsock *v, struct conn *c)
{
	unsigned i = c - v->conn, n = __builtin_ctz(~v->large_used);

	c->large = c->type == VIRTIO_VSOCK_TYPE_STREAM && n < VSOCK_BUFFERS_LARGE;
	c->alloc = c->large ? VSOCK_BUFFER_LARGE : VSOCK_BUFFER_SMALL;
	c->buf = c->large ? v->large[n] : v->small[i];
	if (c->large)
		v->large_used |= 1u << n;
}

void conn_drop_buffer(struct vsock *v, struct conn *c)
{
	if (c->large)
		v->large_used &= ~(1u << (c->buf - v->large[0]) / VSOCK_BUFFER_LARGE);
	c->large = false;
	c->alloc = 0;
}

/* One that the guest has left already, and whose host is slow or never reads (H-21). */
static bool evict(struct vsock *v)
{
	for (unsigned i = 0; i < VSOCK_CONNS_MAX && !v->nfree; i++) {
		struct conn *c = &v->conn[v->evict_next++ % VSOCK_CONNS_MAX];

		if (c->state == CONN_DRAINING)
			conn_reset(v, c, EXO_REASON_BUDGET);
	}
	return v->nfree;
}

struct conn *conn_new(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
	struct conn **head = bucket(v, guest_port, host_port);
	uint32_t generation;
	struct conn *c;

	if (!v->nfree && v->nfresh == VSOCK_CONNS_MAX && !evict(v))
		return NULL;
	c = &v->conn[v->nfree ? v->free[--v->nfree] : v->nfresh++];
	generation = c->generation + 1;
	memset(c, 0, sizeof(*c));
	c->generation = generation;
	c->guest_port = guest_port;
	c->host_port = host_port;
	c->type = type;
	peer_init(&c->peer);
	c->ring.fd = c->ring.bell_fd = -1;
	c->hash_next = *head;
	*head = c;
	give_buffer(v, c);
	return c;
}

static void unwatch(struct vsock *v, struct conn *c)
{
	if (c->watched)
		v->dev.host->unwatch(v->dev.host->opaque, &v->dev, c->peer.fd);
	c->watched = false;
}

static void close_host(struct vsock *v, struct conn *c)
{
	unwatch(v, c);
	/* The other end shall find the reason, not an end without one before it. */
	conn_revoked(c) ? peer_forget(&c->peer) : peer_close(&c->peer);
	channel_detach(v, c);
}

static void unpark(struct vsock *v, const struct conn *c)
{
	if (v->parked != c)
		return;
	v->parked = NULL;
	v->more = true;
}

void conn_free(struct vsock *v, struct conn *c)
{
	close_host(v, c);
	conn_unlink(v, c);
	conn_set_deadline(v, c, 0);
	unhash(v, c);
	conn_drop_buffer(v, c);
	if (v->stage_conn == c)
		v->stage_conn = NULL;
	unpark(v, c);
	if (!c->reason)
		c->reason = c->accepted ? EXO_REASON_CLOSED : EXO_REASON_REFUSED;
	c->state = CONN_FREE;
	v->free[v->nfree++] = c - v->conn;
	channel_tell(v, c, c->accepted ? EXO_CHANNEL_CLOSED : EXO_CHANNEL_REFUSED);
}

/* ---- resets ------------------------------------------------------------------- */

/* One that is due already is not due twice; strangers can't crowd out the others (H-21). */
void rst_push(struct vsock *v, struct rst rst, bool stranger)
{
	for (unsigned i = 0; i < v->nrsts; i++) {
		const struct rst *r = &v->rst[(v->rst_first + i) % RSTS_MAX];

		if (r->guest_port == rst.guest_port && r->host_port == rst.host_port &&
		    r->type == rst.type)
			return;
	}
	if (v->nrsts == RSTS_MAX || (stranger && v->nrsts >= STRANGER_RSTS_MAX)) {
		v->dropped++;
		return;
	}
	v->rst[(v->rst_first + v->nrsts++) % RSTS_MAX] = rst;
}

static void push_rst_of(struct vsock *v, const struct conn *c)
{
	rst_push(v, (struct rst){c->guest_port, c->host_port, c->type, c->reason}, false);
}

void conn_reset(struct vsock *v, struct conn *c, enum exo_reason reason)
{
	if (!c->reason)
		c->reason = reason;
	if (c->state != CONN_DRAINING && !conn_unseen(c))
		push_rst_of(v, c);
	conn_free(v, c);
}

/* ---- deadlines ---------------------------------------------------------------- */

static void expire(struct vsock *v, struct conn *c, uint64_t now)
{
	if (c->deadline_ns && c->deadline_ns <= now) {
		conn_reset(v, c,
			   c->state == CONN_ASKED ? EXO_REASON_SESSION : EXO_REASON_NOT_READY);
	} else if (c->peer.resume_ns && c->peer.resume_ns <= now) {
		peer_resume(&c->peer);
		v->deadlines_changed = true;
		conn_flush(v, c);
		vsock_settle(v, c);
	}
}

void conn_expire(struct vsock *v)
{
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < v->nfresh; i++) {
		if (v->conn[i].state != CONN_FREE)
			expire(v, &v->conn[i], now);
	}
}

/* ---- turns and watching ------------------------------------------------------- */

bool conn_can_receive(const struct conn *c)
{
	return c->state == CONN_OPEN && !conn_direct(c) && !c->peer.resume_ns &&
	       !(c->shut_host & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	       conn_credit(c) >= (c->need ? c->need : 1);
}

void conn_link(struct vsock *v, struct conn *c)
{
	if (!c->due && !(c->readable && conn_can_receive(c))) {
		conn_unlink(v, c);
		return;
	}
	if (c->linked)
		return;
	c->linked = true;
	c->turn_next = NULL;
	c->turn_prev = v->turn_last;
	*(v->turn_last ? &v->turn_last->turn_next : &v->turn_first) = c;
	v->turn_last = c;
}

void conn_unlink(struct vsock *v, struct conn *c)
{
	if (!c->linked)
		return;
	c->linked = false;
	*(c->turn_prev ? &c->turn_prev->turn_next : &v->turn_first) = c->turn_next;
	*(c->turn_next ? &c->turn_next->turn_prev : &v->turn_last) = c->turn_prev;
}

static uint32_t wanted(const struct conn *c)
{
	return (!c->readable && conn_can_receive(c) ? EPOLLIN : 0) |
	       (conn_draining(c) && !c->peer.resume_ns ? EPOLLOUT : 0);
}

static bool watch(struct vsock *v, struct conn *c, uint32_t events)
{
	const struct vdev_host *host = v->dev.host;

	if (host->watch(host->opaque, &v->dev, c->peer.fd, events, conn_id(v, c))) {
		conn_reset(v, c, EXO_REASON_BUDGET);
		return false;
	}
	c->watched = true;
	c->events = events;
	return true;
}

bool conn_arm(struct vsock *v, struct conn *c, bool exactly)
{
	uint32_t events = wanted(c);

	if (c->peer.kind == PEER_NONE || c->hup ||
	    (c->state != CONN_OPEN && c->state != CONN_DRAINING))
		return true;
	if (c->peer.kind == PEER_RING) {
		c->readable |= events & EPOLLIN && peer_sleep(&c->peer);
		return true;
	}
	if (c->watched && !exactly)
		events |= c->events;
	return (c->watched && events == c->events) || watch(v, c, events);
}

/* ---- ends --------------------------------------------------------------------- */

static void drop_output(struct vsock *v, struct conn *c)
{
	c->fwd_cnt += c->used;
	c->used = c->unfinished = c->nmarks = 0;
	unpark(v, c);
}

void conn_host_deaf(struct vsock *v, struct conn *c)
{
	drop_output(v, c);
	if (!(c->shut_host & VIRTIO_VSOCK_SHUTDOWN_RCV))
		c->due |= DUE_SHUTDOWN;
	c->shut_host |= VIRTIO_VSOCK_SHUTDOWN_RCV;
}

void conn_host_eof(struct vsock *v, struct conn *c)
{
	c->readable = false;
	c->shut_host |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	c->due |= DUE_SHUTDOWN;
	if (c->hup || peer_gone(&c->peer))
		conn_host_deaf(v, c);
}

/*
 * A socket is never silent in epoll then, so it is not watched any more. What the
 * host sent before can still be read; its end is found there.
 */
void conn_host_hup(struct vsock *v, struct conn *c)
{
	unwatch(v, c);
	c->hup = true;
	if (c->state == CONN_DRAINING) {
		conn_free(v, c);
		return;
	}
	drop_output(v, c);
	c->readable = true;
	if ((c->shut_host & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
	    (c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV))
		conn_host_eof(v, c);
}

void conn_told(struct vsock *v, struct conn *c)
{
	if (c->shut_host != SHUTDOWN_BOTH || c->state != CONN_OPEN || conn_direct(c))
		return;
	close_host(v, c);
	c->readable = false;
	c->state = CONN_CLOSING;
	conn_set_deadline(v, c, clock_now_ns() + VSOCK_TIMEOUT_NS);
}

void conn_leave(struct vsock *v, struct conn *c)
{
	c->used -= c->unfinished; /* the rest of that message won't come */
	c->unfinished = 0;
	unhash(v, c);
	c->state = CONN_DRAINING;
	c->readable = false;
	c->due = 0;
	conn_unlink(v, c);
	if (v->stage_conn == c)
		v->stage_conn = NULL;
	if (!conn_draining(c)) {
		conn_free(v, c);
		return;
	}
	/* Or it might wait for us to read before it does. */
	peer_shutdown(&c->peer, true, false);
	conn_arm(v, c, false);
}

void conn_guest_shutdown(struct vsock *v, struct conn *c, uint32_t flags)
{
	c->shut_guest |= flags & SHUTDOWN_BOTH;
	if (c->state != CONN_OPEN) {
		conn_reset(v, c, EXO_REASON_CLOSED);
		return;
	}
	if ((c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV) && v->stage_conn == c)
		v->stage_conn = NULL;
	if (c->shut_guest == SHUTDOWN_BOTH) {
		push_rst_of(v, c);
		conn_leave(v, c);
		return;
	}
	if (c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		peer_shutdown(&c->peer, true, false);
		if (c->hup)
			conn_host_eof(v, c);
	} else if (c->shut_guest) {
		c->used -= c->unfinished;
		c->unfinished = 0;
		if (!conn_draining(c))
			peer_shutdown(&c->peer, false, true);
	}
	conn_link(v, c);
}
