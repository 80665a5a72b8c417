/*
 * virtio-vsock: the table of connections, when their host sockets are watched,
 * and how they end (VIRTIO 1.2, 5.10.6.5 and 5.10.6.6). Lock held, see
 * vsock_impl.h.
 */
#include "vsock_impl.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
#define ID_INDEX_BITS 8

_Static_assert(VSOCK_CONNS_MAX <= 1u << ID_INDEX_BITS, "fits an id");
_Static_assert(VSOCK_BUFFERS_LARGE < 32, "fits the bit map");

uint64_t vsock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

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

struct conn *conn_by_id(struct vsock *v, uint32_t id)
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

struct conn *conn_new(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
	struct conn **head = bucket(v, guest_port, host_port);
	uint32_t generation;
	struct conn *c;

	if (!v->nfree && v->nfresh == VSOCK_CONNS_MAX)
		return NULL;
	c = &v->conn[v->nfree ? v->free[--v->nfree] : v->nfresh++];
	generation = c->generation + 1;
	memset(c, 0, sizeof(*c));
	c->generation = generation;
	c->guest_port = guest_port;
	c->host_port = host_port;
	c->type = type;
	c->fd = -1;
	c->hash_next = *head;
	*head = c;
	give_buffer(v, c);
	return c;
}

static void close_host(struct vsock *v, struct conn *c)
{
	if (c->watched)
		v->dev.host->unwatch(v->dev.host->opaque, &v->dev, c->fd);
	c->watched = false;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void conn_free(struct vsock *v, struct conn *c)
{
	close_host(v, c);
	conn_unlink(v, c);
	conn_set_deadline(v, c, 0);
	unhash(v, c);
	if (c->large)
		v->large_used &= ~(1u << (c->buf - v->large[0]) / VSOCK_BUFFER_LARGE);
	if (v->stage_conn == c)
		v->stage_conn = NULL;
	if (v->parked == c) {
		v->parked = NULL;
		v->more = true;
	}
	c->state = CONN_FREE;
	v->free[v->nfree++] = c - v->conn;
}

/* ---- resets ------------------------------------------------------------------- */

/* One that is due already is not due twice; strangers can't crowd out the others (H-21). */
void rst_push(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type,
	      bool stranger)
{
	for (unsigned i = 0; i < v->nrsts; i++) {
		const struct rst *r = &v->rst[(v->rst_first + i) % RSTS_MAX];

		if (r->guest_port == guest_port && r->host_port == host_port && r->type == type)
			return;
	}
	if (v->nrsts == RSTS_MAX || (stranger && v->nrsts >= STRANGER_RSTS_MAX)) {
		v->dropped++;
		return;
	}
	v->rst[(v->rst_first + v->nrsts++) % RSTS_MAX] =
		(struct rst){.guest_port = guest_port, .host_port = host_port, .type = type};
}

void conn_reset(struct vsock *v, struct conn *c)
{
	if (c->state != CONN_DRAINING)
		rst_push(v, c->guest_port, c->host_port, c->type, false);
	conn_free(v, c);
}

/* ---- deadlines ---------------------------------------------------------------- */

void conn_set_deadline(struct vsock *v, struct conn *c, uint64_t deadline_ns)
{
	v->deadlines_changed |= c->deadline_ns != deadline_ns;
	c->deadline_ns = deadline_ns;
}

void conn_expire(struct vsock *v)
{
	uint64_t now = vsock_now_ns();

	for (unsigned i = 0; i < v->nfresh; i++) {
		struct conn *c = &v->conn[i];

		if (c->state != CONN_FREE && c->deadline_ns && c->deadline_ns <= now)
			conn_reset(v, c);
	}
}

/* ---- turns and watching ------------------------------------------------------- */

uint32_t conn_credit(const struct conn *c)
{
	uint32_t used = c->tx_cnt - c->peer_fwd;

	return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

bool conn_can_receive(const struct conn *c)
{
	return c->state == CONN_OPEN && !(c->shut_host & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
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
	       (conn_draining(c) ? EPOLLOUT : 0);
}

static bool watch(struct vsock *v, struct conn *c, uint32_t events)
{
	const struct vdev_host *host = v->dev.host;

	if (host->watch(host->opaque, &v->dev, c->fd, events, conn_id(v, c))) {
		conn_reset(v, c);
		return false;
	}
	c->watched = true;
	c->events = events;
	return true;
}

bool conn_arm(struct vsock *v, struct conn *c)
{
	uint32_t events = wanted(c);

	if (c->fd < 0 || c->hup || (c->state != CONN_OPEN && c->state != CONN_DRAINING))
		return true;
	if (c->watched && !(events & ~c->events))
		return true;
	return watch(v, c, events | c->events);
}

void conn_unarm(struct vsock *v, struct conn *c)
{
	uint32_t events = wanted(c);

	if (c->watched && events != c->events)
		watch(v, c, events);
}

/* ---- ends --------------------------------------------------------------------- */

/* Both directions of the host's socket are over. */
static bool host_gone(const struct conn *c)
{
	struct pollfd p = {.fd = c->fd};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void drop_output(struct vsock *v, struct conn *c)
{
	c->fwd_cnt += c->used;
	c->used = c->unfinished = c->nmarks = 0;
	if (v->parked == c) {
		v->parked = NULL;
		v->more = true;
	}
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
	if (c->hup || host_gone(c))
		conn_host_deaf(v, c);
}

/*
 * Never silent in epoll, so it is not watched any more. What the host sent
 * before can still be read; its end is found there.
 */
void conn_host_hup(struct vsock *v, struct conn *c)
{
	v->dev.host->unwatch(v->dev.host->opaque, &v->dev, c->fd);
	c->watched = false;
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
	if (c->shut_host != SHUTDOWN_BOTH || c->state != CONN_OPEN)
		return;
	close_host(v, c);
	c->readable = false;
	c->state = CONN_CLOSING;
	conn_set_deadline(v, c, vsock_now_ns() + VSOCK_TIMEOUT_NS);
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
	if (conn_draining(c))
		conn_arm(v, c);
	else
		conn_free(v, c);
}

void conn_guest_shutdown(struct vsock *v, struct conn *c, uint32_t flags)
{
	c->shut_guest |= flags & SHUTDOWN_BOTH;
	if (c->state != CONN_OPEN) {
		conn_reset(v, c);
		return;
	}
	if ((c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV) && v->stage_conn == c)
		v->stage_conn = NULL;
	if (c->shut_guest == SHUTDOWN_BOTH) {
		rst_push(v, c->guest_port, c->host_port, c->type, false);
		conn_leave(v, c);
		return;
	}
	if (c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		shutdown(c->fd, SHUT_RD);
		if (c->hup)
			conn_host_eof(v, c);
	} else if (c->shut_guest) {
		c->used -= c->unfinished;
		c->unfinished = 0;
		if (!conn_draining(c))
			shutdown(c->fd, SHUT_WR);
	}
	conn_link(v, c);
}
