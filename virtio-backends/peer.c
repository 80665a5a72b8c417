/*
 * The other end of a connection; see peer.h. Runs in whichever thread the
 * device does.
 */
#include "peer.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BURST_NS 50000000u /* of the rate: may pass at once after a pause; and a piece's size */
#define PAUSE_NS 1000000u  /* to wait at least: not a wake-up for each packet */

_Static_assert(EXO_RING_EPROTO == -EPROTO, "ring.h's errors are ours");

void peer_init(struct peer *p)
{
	*p = (struct peer){.fd = -1};
}

void peer_set_socket(struct peer *p, int fd, bool packets)
{
	*p = (struct peer){.kind = PEER_SOCKET, .fd = fd, .packets = packets, .rate = p->rate};
}

void peer_set_ring(struct peer *p, void *base, uint32_t ring_bytes, unsigned side, int bell_fd,
		   bool packets)
{
	*p = (struct peer){.kind = PEER_RING, .fd = bell_fd, .packets = packets, .rate = p->rate};
	exo_ring_init(&p->ring, base, ring_bytes, side);
}

void peer_close(struct peer *p)
{
	if (p->kind == PEER_RING)
		peer_shutdown(p, true, true);
	peer_forget(p);
}

void peer_forget(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	peer_init(p);
}

/* ---- sockets ---------------------------------------------------------------- */

static ssize_t socket_send(const struct peer *p, struct iovec *iov, unsigned n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t r;

	do
		r = sendmsg(p->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return r;
}

/* An empty message looks like the end. */
static bool socket_ended(const struct peer *p)
{
	struct pollfd poll_fd = {.fd = p->fd, .events = POLLRDHUP};

	return !p->packets ||
	       (poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static ssize_t socket_recv(const struct peer *p, struct iovec *iov, unsigned n, int flags)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	bool reset = false;
	ssize_t r;

	do {
		r = recvmsg(p->fd, &msg, MSG_DONTWAIT | flags);
		/* Closed with packets unread: the kernel says so once, before its last ones. */
		reset = r < 0 && errno == ECONNRESET && p->packets && !reset;
	} while (reset || (r < 0 && errno == EINTR));
	if (r < 0)
		return -errno;
	return r > 0 && (msg.msg_flags & MSG_TRUNC) && !(flags & MSG_PEEK) ? -EMSGSIZE : r;
}

/* ---- rings --------------------------------------------------------------------- */

/* A full eventfd (EAGAIN) is one that the other end has yet to look at. */
static void ring_bell(const struct peer *p, int wanted)
{
	uint64_t one = 1;
	struct iovec iov = {.iov_base = &one, .iov_len = sizeof(one)};

	if (wanted && writev(p->fd, &iov, 1) < 0)
		return;
}

static void ring_put(const struct exo_ring *r, uint64_t skip, const void *src, size_t len)
{
	for (size_t done = 0, n; done < len; done += n) {
		uint32_t run;
		uint8_t *dst = exo_ring_write_at(r, skip + done, &run);

		n = len - done < run ? len - done : run;
		memcpy(dst, (const uint8_t *)src + done, n);
	}
}

static void ring_get(const struct exo_ring *r, uint64_t skip, void *dst, size_t len)
{
	for (size_t done = 0, n; done < len; done += n) {
		uint32_t run;
		const uint8_t *src = exo_ring_read_at(r, skip + done, &run);

		n = len - done < run ? len - done : run;
		memcpy((uint8_t *)dst + done, src, n);
	}
}

/*
 * Room for `need` bytes; none, and we are woken once there are `enough`. An
 * honest end makes the second look succeed if sleeping was refused; one that
 * plays with its position does not get us into a loop.
 */
static int64_t ring_room(struct exo_ring *r, uint64_t need, uint64_t enough)
{
	int64_t room;

	for (unsigned look = 0; look < 2; look++) {
		if (exo_ring_peer_stop(r))
			return -EPIPE;
		room = exo_ring_writable(r);
		if (room < 0 || room >= (int64_t)need)
			return room;
		if (!exo_ring_sleep_space(r, enough))
			break;
	}
	return -EAGAIN;
}

/* A stream's writer that found no room comes back for half of it, not for each byte. */
static ssize_t ring_send(struct peer *p, const struct iovec *iov, size_t len, unsigned flags)
{
	struct exo_ring_msg head = {.bytes = (uint32_t)len, .flags = flags};
	uint64_t lead = p->packets ? sizeof(head) : 0;
	uint64_t total = p->packets ? exo_ring_msg_total(len) : len;
	struct exo_ring *r = &p->ring;
	int64_t room;

	if (p->packets && total > r->bytes)
		return -EMSGSIZE;
	room = ring_room(r, p->packets ? total : 1, p->packets ? total : r->bytes / 2);
	if (room < 0)
		return room;
	if (!p->packets && total > (uint64_t)room)
		total = len = room;
	ring_put(r, 0, &head, lead);
	for (size_t done = 0, n; done < len; done += n, iov++) {
		n = iov->iov_len < len - done ? iov->iov_len : len - done;
		ring_put(r, lead + done, iov->iov_base, n);
	}
	ring_bell(p, exo_ring_produce(r, total));
	return len;
}

/* What can be read; an end that publishes, but less than `least`, is not honest. */
static int64_t ring_readable(const struct exo_ring *r, uint64_t least)
{
	int fin = exo_ring_peer_fin(r); /* before the position: nothing comes after it */
	int64_t have = exo_ring_readable(r);

	if (!have)
		return fin ? -ENODATA : -EAGAIN;
	return have > 0 && (uint64_t)have < least ? -EPROTO : have;
}

/* Looks at the header of the next message, once: what it says holds from then on. */
static int ring_enter(struct peer *p)
{
	struct exo_ring_msg head;
	int64_t have;

	if (p->inside)
		return 0;
	have = ring_readable(&p->ring, sizeof(head));
	if (have < 0)
		return have;
	ring_get(&p->ring, 0, &head, sizeof(head));
	if (exo_ring_msg_total(head.bytes) > (uint64_t)have)
		return -EPROTO;
	p->inside = true;
	p->lead = sizeof(head);
	p->left = head.bytes;
	p->pad = exo_ring_msg_total(head.bytes) - sizeof(head) - head.bytes;
	p->flags = head.flags & EXO_RING_EOR;
	return 0;
}

static void ring_take(struct peer *p, const struct iovec *iov, size_t len, uint64_t lead,
		      uint64_t pad)
{
	for (size_t done = 0, n; done < len; done += n, iov++) {
		n = iov->iov_len < len - done ? iov->iov_len : len - done;
		ring_get(&p->ring, lead + done, iov->iov_base, n);
	}
	ring_bell(p, exo_ring_consume(&p->ring, lead + len + pad));
}

static ssize_t ring_recv_message(struct peer *p, const struct iovec *iov, size_t len, bool *end,
				 unsigned *flags)
{
	int64_t have;
	int err = ring_enter(p);

	if (err)
		return err;
	have = exo_ring_readable(&p->ring);
	if (have < (int64_t)p->lead + p->left + p->pad)
		return -EPROTO; /* it was there before */
	if (len > p->left)
		len = p->left;
	*end = len == p->left;
	*flags = p->flags;
	ring_take(p, iov, len, p->lead, *end ? p->pad : 0);
	p->left -= len;
	p->lead = 0;
	p->inside = !*end;
	return len;
}

static ssize_t ring_recv(struct peer *p, const struct iovec *iov, size_t len, bool *end,
			 unsigned *flags)
{
	int64_t have;

	if (p->packets)
		return ring_recv_message(p, iov, len, end, flags);
	have = ring_readable(&p->ring, 1);
	if (have < 0)
		return have;
	if (len > (uint64_t)have)
		len = have;
	ring_take(p, iov, len, 0, 0);
	return len;
}

/* ---- both -------------------------------------------------------------------------- */

/*
 * Bytes that may pass now. Nothing passes until what did is paid for at the
 * rate; a piece may be larger than what is left, and the next waits the longer.
 */
static size_t allowance(struct peer *p)
{
	uint64_t now, piece;

	if (!p->rate || p->resume_ns)
		return p->rate ? 0 : SIZE_MAX;
	now = clock_now_ns();
	if (p->paid_ns > now) {
		p->resume_ns = p->paid_ns < now + PAUSE_NS ? now + PAUSE_NS : p->paid_ns;
		return 0;
	}
	piece = p->rate / (1000000000u / BURST_NS);
	return p->packets ? SIZE_MAX : piece ? piece : 1;
}

static ssize_t charge(struct peer *p, ssize_t bytes)
{
	uint64_t now;

	if (!p->rate || bytes <= 0)
		return bytes;
	now = clock_now_ns();
	if (p->paid_ns < now - BURST_NS)
		p->paid_ns = now - BURST_NS;
	p->paid_ns += (uint64_t)bytes * 1000000000u / p->rate;
	return bytes;
}

/* Makes the iovecs end after len bytes; how many are left. */
static unsigned clip(struct iovec *iov, unsigned n, size_t len)
{
	unsigned used = 0;

	while (used < n && len) {
		if (iov[used].iov_len > len)
			iov[used].iov_len = len;
		len -= iov[used++].iov_len;
	}
	return used;
}

ssize_t peer_send(struct peer *p, struct iovec *iov, unsigned n, size_t len, unsigned flags)
{
	size_t room = allowance(p);

	if (!room)
		return -EAGAIN;
	if (room < len) {
		len = room;
		n = clip(iov, n, len);
	}
	return charge(p, p->kind == PEER_RING ? ring_send(p, iov, len, flags)
					      : socket_send(p, iov, n));
}

ssize_t peer_recv(struct peer *p, struct iovec *iov, unsigned n, size_t len, bool *end,
		  unsigned *flags)
{
	size_t room = allowance(p);
	ssize_t r;

	*end = true;
	*flags = 0;
	if (!room)
		return -EAGAIN;
	if (room < len) {
		len = room;
		n = clip(iov, n, len);
	}
	if (p->kind == PEER_RING)
		return charge(p, ring_recv(p, iov, len, end, flags));
	r = socket_recv(p, iov, n, 0);
	return !r && socket_ended(p) ? -ENODATA : charge(p, r);
}

ssize_t peer_next(struct peer *p)
{
	int err;

	if (p->kind != PEER_RING)
		return socket_recv(p, NULL, 0, MSG_PEEK | MSG_TRUNC);
	err = ring_enter(p);
	return err ? err : (ssize_t)p->left;
}

void peer_shutdown(struct peer *p, bool read, bool write)
{
	if (p->kind == PEER_SOCKET && (read || write))
		shutdown(p->fd, read && write ? SHUT_RDWR : read ? SHUT_RD : SHUT_WR);
	if (p->kind != PEER_RING)
		return;
	if (read)
		exo_ring_set_stop(&p->ring);
	if (write)
		exo_ring_set_fin(&p->ring);
	ring_bell(p, read || write);
}

bool peer_gone(const struct peer *p)
{
	struct pollfd poll_fd = {.fd = p->fd};

	if (p->kind == PEER_RING)
		return exo_ring_peer_fin(&p->ring) && exo_ring_peer_stop(&p->ring);
	return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLHUP | POLLERR);
}

bool peer_sleep(struct peer *p)
{
	return exo_ring_sleep_data(&p->ring, 0);
}

int peer_look(const struct peer *p)
{
	int fin = exo_ring_peer_fin(&p->ring), stop = exo_ring_peer_stop(&p->ring);
	int64_t have = exo_ring_readable(&p->ring);

	if (have < 0)
		return (int)have;
	return (have || fin ? PEER_READABLE : 0) | (fin ? PEER_END : 0) | (stop ? PEER_DEAF : 0);
}
