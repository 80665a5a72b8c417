/*
 * virtio-vsock: the bytes of a connection, straight between guest memory and
 * the host's socket, and flow control (VIRTIO 1.2, 5.10.6.3 and 5.10.6.4).
 * Lock held, see vsock_impl.h.
 *
 * To the host, only what the socket does not take at once is copied, into a
 * ring no larger than the window we gave the guest. To the guest, nothing is
 * read that it has no room for.
 */
#include "vsock_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HEADER sizeof(struct virtio_vsock_hdr)
#define PACKET_MAX 65536u /* payload of one packet, so that connections take turns */

/* ---- headers --------------------------------------------------------------- */

struct virtio_vsock_hdr conn_header(struct vsock *v, struct conn *c, uint16_t op)
{
	c->due &= ~DUE_CREDIT;
	c->fwd_told = c->fwd_cnt;
	return (struct virtio_vsock_hdr){
		.src_cid = HOST_CID,
		.dst_cid = v->config.guest_cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = c->type,
		.op = op,
		.buf_alloc = c->alloc,
		.fwd_cnt = c->fwd_cnt,
	};
}

/*
 * The guest learns of room from every packet we send. One is sent for that
 * purpose alone when it can't see half of its window, though that is free.
 */
static void forwarded(struct conn *c, uint32_t len)
{
	c->fwd_cnt += len;
	if (c->fwd_cnt != c->fwd_told && c->used + (c->fwd_cnt - c->fwd_told) >= c->alloc / 2 &&
	    c->state == CONN_OPEN)
		c->due |= DUE_CREDIT;
}

/* ---- guest to host ------------------------------------------------------------ */

/* Bytes taken, or -errno; a packet socket takes all or nothing. */
static ssize_t host_send(const struct conn *c, struct iovec *iov, unsigned n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t r;

	do
		r = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* Not "try again": false if c was reset, else the host just doesn't read any more. */
static bool send_failed(struct vsock *v, struct conn *c, int err)
{
	if (c->state == CONN_DRAINING || (err != EPIPE && err != ECONNRESET)) {
		conn_reset(v, c);
		return false;
	}
	conn_host_deaf(v, c);
	return true;
}

/* Copies len bytes of the chain to the end of the ring; the window says they fit. */
static void ring_append(struct vsock *v, struct conn *c, uint32_t len)
{
	uint32_t tail = (c->head + c->used) % c->alloc;
	uint32_t first = len < c->alloc - tail ? len : c->alloc - tail;

	vq_read(&v->chain, c->buf + tail, first);
	vq_read(&v->chain, c->buf, len - first);
	c->used += len;
}

static unsigned ring_iov(struct conn *c, struct iovec iov[2], uint32_t len)
{
	uint32_t first = len < c->alloc - c->head ? len : c->alloc - c->head;

	iov[0] = (struct iovec){.iov_base = c->buf + c->head, .iov_len = first};
	iov[1] = (struct iovec){.iov_base = c->buf, .iov_len = len - first};
	return first < len ? 2 : 1;
}

static uint32_t *marks_of(struct vsock *v, const struct conn *c)
{
	return v->marks[c - v->conn];
}

static void end_message(struct vsock *v, struct conn *c)
{
	marks_of(v, c)[(c->mark_first + c->nmarks++) % MARKS_MAX] = c->unfinished;
	c->unfinished = 0;
}

/*
 * Straight from guest memory to the socket, if nothing is waiting before it.
 * The bytes taken (all of a message, or none and *whole stays false); -1: done
 * with in another way.
 */
static ssize_t put_direct(struct vsock *v, struct conn *c, uint32_t len, bool *whole)
{
	struct iovec iov[VQ_SEGMENTS_MAX];
	size_t total;
	unsigned n = vq_read_iov(&v->chain, iov, VQ_SEGMENTS_MAX, len, &total);
	ssize_t r = host_send(c, iov, n);

	if (r == -EAGAIN)
		return 0;
	if (r < 0) {
		if (send_failed(v, c, -r))
			forwarded(c, len);
		return -1;
	}
	*whole = r == len;
	vq_skip_read(&v->chain, r);
	forwarded(c, r);
	return r;
}

int conn_put(struct vsock *v, struct conn *c, uint32_t len, bool eom)
{
	bool stream = c->type == VIRTIO_VSOCK_TYPE_STREAM, whole = false;
	ssize_t taken = 0;

	if (c->state == CONN_CLOSING)
		return 0;
	/* More than it was given room for, or after it said there is no more (H-19). */
	if (c->state != CONN_OPEN || len > c->alloc - c->used ||
	    (c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_SEND)) {
		conn_reset(v, c);
		return 0;
	}
	if (c->hup || (c->shut_host & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		conn_host_deaf(v, c);
		forwarded(c, len);
		return 0;
	}
	if (!stream && c->nmarks == MARKS_MAX)
		return -EBUSY;
	if (stream ? !c->used && len : !conn_draining(c) && !c->unfinished && eom)
		taken = put_direct(v, c, len, &whole);
	if (taken < 0 || whole || (stream && !len))
		return 0;
	ring_append(v, c, len - taken);
	if (!stream) {
		c->unfinished += len;
		if (eom)
			end_message(v, c);
		if (eom && c->nmarks == 1)
			conn_flush(v, c); /* only its last part was missing */
	}
	return 0;
}

/* One piece of what waits: false when there is no more, or the socket is full. */
static bool flush_piece(struct vsock *v, struct conn *c)
{
	bool stream = c->type == VIRTIO_VSOCK_TYPE_STREAM;
	uint32_t len = stream ? c->used : marks_of(v, c)[c->mark_first];
	struct iovec iov[2];
	ssize_t r;

	r = host_send(c, iov, ring_iov(c, iov, len));
	if (r == -EAGAIN)
		return false;
	if (r < 0) {
		send_failed(v, c, -r);
		return false;
	}
	c->head = (c->head + r) % c->alloc;
	c->used -= r;
	forwarded(c, r);
	if (!stream) {
		c->mark_first = (c->mark_first + 1) % MARKS_MAX;
		c->nmarks--;
	}
	return conn_draining(c);
}

void conn_flush(struct vsock *v, struct conn *c)
{
	if (!conn_draining(c))
		return;
	while (flush_piece(v, c))
		;
	if (c->state == CONN_FREE)
		return;
	if (v->parked == c && c->nmarks < MARKS_MAX) {
		v->parked = NULL;
		v->more = true;
	}
	if (conn_draining(c))
		return;
	if (c->state == CONN_DRAINING)
		conn_free(v, c);
	else if (c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_SEND)
		shutdown(c->fd, SHUT_WR);
}

/* ---- host to guest ------------------------------------------------------------ */

static ssize_t host_recv(const struct conn *c, struct iovec *iov, unsigned n, int flags)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t r;

	do
		r = recvmsg(c->fd, &msg, MSG_DONTWAIT | flags);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r > 0 && (msg.msg_flags & MSG_TRUNC) && !(flags & MSG_PEEK) ? -EMSGSIZE : r;
}

/* There is nothing to pull, because of err. */
static bool pull_failed(struct vsock *v, struct conn *c, int err)
{
	if (err == EAGAIN && !c->hup)
		c->readable = false;
	else
		conn_reset(v, c);
	return false;
}

/* The header goes where the chain begins, wherever its segments are. */
static void write_header(const struct iovec *at, const struct virtio_vsock_hdr *h)
{
	for (size_t done = 0; done < HEADER; done += (at++)->iov_len)
		memcpy(at->iov_base, (const char *)h + done, at->iov_len);
}

static bool pull_stream(struct vsock *v, struct conn *c, const struct iovec *at)
{
	uint32_t credit = conn_credit(c), max = credit < PACKET_MAX ? credit : PACKET_MAX;
	struct iovec iov[VQ_SEGMENTS_MAX];
	struct virtio_vsock_hdr h;
	size_t room;
	unsigned n = vq_write_iov(&v->chain, iov, VQ_SEGMENTS_MAX, max, &room);
	ssize_t r = host_recv(c, iov, n, 0);

	if (r < 0)
		return pull_failed(v, c, -r);
	if (!r) {
		conn_host_eof(v, c);
		return false;
	}
	/* Less than there was room for: that was all. After a hang-up, up to its end. */
	c->readable = (size_t)r == room || c->hup;
	c->tx_cnt += r;
	h = conn_header(v, c, VIRTIO_VSOCK_OP_RW);
	h.len = r;
	write_header(at, &h);
	vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, HEADER + r);
	return true;
}

/*
 * Is the next message one the guest can take now? Its length is only asked for
 * when it matters. One that the guest can never take ends the connection.
 */
static bool message_fits(struct vsock *v, struct conn *c)
{
	ssize_t len;

	c->need = 0;
	if (conn_credit(c) >= VSOCK_MESSAGE_MAX)
		return true;
	len = host_recv(c, NULL, 0, MSG_PEEK | MSG_TRUNC);
	if (len < 0)
		return pull_failed(v, c, -len);
	if (len > VSOCK_MESSAGE_MAX || len > c->peer_alloc)
		return pull_failed(v, c, EMSGSIZE);
	if (len <= conn_credit(c))
		return true;
	c->need = len;
	return false;
}

/* An empty message looks like the end. */
static bool at_end(const struct conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* What does not fit into the chain lands in the stage, which is empty now. */
static bool pull_message(struct vsock *v, struct conn *c, const struct iovec *at)
{
	struct iovec iov[VQ_SEGMENTS_MAX + 1];
	struct virtio_vsock_hdr h;
	size_t room;
	unsigned n;
	ssize_t r;

	if (!message_fits(v, c))
		return false;
	n = vq_write_iov(&v->chain, iov, VQ_SEGMENTS_MAX, VSOCK_MESSAGE_MAX, &room);
	iov[n++] = (struct iovec){.iov_base = v->stage, .iov_len = VSOCK_MESSAGE_MAX};
	r = host_recv(c, iov, n, 0);
	if (r < 0 || r > VSOCK_MESSAGE_MAX)
		return pull_failed(v, c, r < 0 ? -r : EMSGSIZE);
	if (!r && at_end(c)) {
		conn_host_eof(v, c);
		return false;
	}
	c->tx_cnt += r;
	h = conn_header(v, c, VIRTIO_VSOCK_OP_RW);
	h.len = (size_t)r < room ? (size_t)r : room;
	h.flags = (size_t)r <= room ? VIRTIO_VSOCK_SEQ_EOM : 0;
	write_header(at, &h);
	vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, HEADER + h.len);
	if (h.flags)
		return true;
	v->stage_conn = c;
	v->stage_off = 0;
	v->stage_len = r - room;
	return true;
}

bool conn_pull(struct vsock *v, struct conn *c)
{
	struct iovec at[HEADER];
	size_t total;

	vq_write_iov(&v->chain, at, HEADER, HEADER, &total);
	vq_skip_write(&v->chain, HEADER);
	if (!vq_writable(&v->chain)) {
		vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, 0); /* useless for data */
		return true;
	}
	return c->type == VIRTIO_VSOCK_TYPE_STREAM ? pull_stream(v, c, at) : pull_message(v, c, at);
}

void stage_put(struct vsock *v)
{
	struct virtio_vsock_hdr h = conn_header(v, v->stage_conn, VIRTIO_VSOCK_OP_RW);
	uint64_t room = vq_writable(&v->chain) - HEADER;
	uint32_t left = v->stage_len - v->stage_off;

	if (!room) {
		vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, 0);
		return;
	}
	h.len = left < room ? left : room;
	h.flags = h.len == left ? VIRTIO_VSOCK_SEQ_EOM : 0;
	vq_write(&v->chain, &h, HEADER);
	vq_write(&v->chain, v->stage + v->stage_off, h.len);
	vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, HEADER + h.len);
	v->stage_off += h.len;
	if (h.flags)
		v->stage_conn = NULL;
}
