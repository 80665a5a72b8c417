/*
 * virtio-vsock: the bytes of a connection, straight between guest memory and
 * its peer, and flow control (VIRTIO 1.2, 5.10.6.3 and 5.10.6.4). Lock held, see
 * vsock_impl.h.
 *
 * To the host, only what the peer does not take at once is copied, into a
 * buffer no larger than the window we gave the guest. To the guest, nothing is
 * read that it has no room for.
 */
#include "vsock_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define HEADER sizeof(struct virtio_vsock_hdr)
#define MARK_EOR (1u << 31)

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
 * The guest learns of room from every packet we send. One is sent for that purpose alone when
 * it can't see half of its window, though that is free; or all of it, if it asked in vain before.
 */
static void forwarded(struct conn *c, uint32_t len)
{
	c->fwd_cnt += len;
	if (c->fwd_cnt != c->fwd_told && c->state == CONN_OPEN &&
	    (c->used + (c->fwd_cnt - c->fwd_told) >= c->alloc / 2 || (c->asked && !c->used)))
		c->due |= DUE_CREDIT;
	c->asked &= c->used != 0;
}

/* ---- guest to host ------------------------------------------------------------ */

static enum exo_reason reason_of(int err)
{
	return err == EPROTO || err == EMSGSIZE ? EXO_REASON_PROTOCOL : EXO_REASON_DIED;
}

/* Not "try again": false if c was reset, else the host just doesn't read any more. */
static bool send_failed(struct vsock *v, struct conn *c, int err)
{
	if (c->state == CONN_DRAINING || err != EPIPE) {
		conn_reset(v, c, reason_of(err));
		return false;
	}
	conn_host_deaf(v, c);
	return true;
}

/* As peer_send. If its rate is what holds it up, the timer goes on with it. */
static ssize_t to_peer(struct vsock *v, struct conn *c, struct iovec *iov, unsigned n, size_t len,
		       bool eor)
{
	ssize_t r = peer_send(&c->peer, iov, n, len, eor ? EXO_RING_EOR : 0);

	v->deadlines_changed |= c->peer.resume_ns != 0;
	return r;
}

/* Copies len bytes of the chain to the end of the buffer; the window says they fit. */
static void append(struct vsock *v, struct conn *c, uint32_t len)
{
	uint32_t tail = (c->head + c->used) % c->alloc;
	uint32_t first = len < c->alloc - tail ? len : c->alloc - tail;

	vq_read(&v->chain, c->buf + tail, first);
	vq_read(&v->chain, c->buf, len - first);
	c->used += len;
}

static unsigned buffered(struct conn *c, struct iovec iov[2], uint32_t len)
{
	uint32_t first = len < c->alloc - c->head ? len : c->alloc - c->head;

	iov[0] = (struct iovec){.iov_base = c->buf + c->head, .iov_len = first};
	iov[1] = (struct iovec){.iov_base = c->buf, .iov_len = len - first};
	return first < len ? 2 : 1;
}

static void end_message(struct vsock *v, struct conn *c, uint32_t flags)
{
	v->marks[c - v->conn][(c->mark_first + c->nmarks++) % MARKS_MAX] =
		c->unfinished | (flags & VIRTIO_VSOCK_SEQ_EOR ? MARK_EOR : 0);
	c->unfinished = 0;
}

/*
 * Straight from guest memory to the peer, if nothing is waiting before it.
 * The bytes taken (all of a message, or none and *whole stays false); -1: done
 * with in another way.
 */
static ssize_t put_direct(struct vsock *v, struct conn *c, const struct virtio_vsock_hdr *h,
			  bool *whole)
{
	struct iovec iov[VQ_SEGMENTS_MAX];
	size_t total;
	unsigned n = vq_read_iov(&v->chain, iov, VQ_SEGMENTS_MAX, h->len, &total);
	ssize_t r = to_peer(v, c, iov, n, total, h->flags & VIRTIO_VSOCK_SEQ_EOR);

	if (r == -EAGAIN)
		return 0;
	if (r < 0) {
		if (send_failed(v, c, -r))
			forwarded(c, h->len);
		return -1;
	}
	*whole = r == h->len;
	vq_skip_read(&v->chain, r);
	forwarded(c, r);
	return r;
}

/* What the peer does not take now. */
static void put_aside(struct vsock *v, struct conn *c, const struct virtio_vsock_hdr *h,
		      uint32_t len)
{
	append(v, c, len);
	if (c->type == VIRTIO_VSOCK_TYPE_STREAM) {
		/* A ring that took a part has not been asked to tell of room yet. */
		if (c->peer.kind == PEER_RING && c->used == len)
			conn_flush(v, c);
		return;
	}
	c->unfinished += len;
	if (!(h->flags & VIRTIO_VSOCK_SEQ_EOM))
		return;
	end_message(v, c, h->flags);
	if (c->nmarks == 1)
		conn_flush(v, c); /* only its last part was missing */
}

/* More than it was given room for, or when it said there is no more (H-19). */
static bool may_put(const struct conn *c, uint32_t len)
{
	return c->state == CONN_OPEN && !conn_direct(c) && len <= c->alloc - c->used &&
	       !(c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_SEND);
}

int conn_put(struct vsock *v, struct conn *c, const struct virtio_vsock_hdr *h)
{
	bool stream = c->type == VIRTIO_VSOCK_TYPE_STREAM, whole = false;
	bool eom = h->flags & VIRTIO_VSOCK_SEQ_EOM;
	ssize_t taken = 0;

	if (c->state == CONN_CLOSING)
		return 0;
	if (!may_put(c, h->len)) {
		conn_reset(v, c, EXO_REASON_PROTOCOL);
		return 0;
	}
	if (c->hup || (c->shut_host & VIRTIO_VSOCK_SHUTDOWN_RCV)) {
		conn_host_deaf(v, c);
		forwarded(c, h->len);
		return 0;
	}
	if (!stream && c->nmarks == MARKS_MAX)
		return -EBUSY;
	c->info.tx_bytes += h->len;
	c->info.tx_messages += stream || eom;
	if (stream ? !c->used && h->len : !conn_draining(c) && !c->unfinished && eom)
		taken = put_direct(v, c, h, &whole);
	if (taken >= 0 && !whole && (!stream || h->len))
		put_aside(v, c, h, h->len - taken);
	if (c->unfinished && c->used + (c->fwd_cnt - c->fwd_told) >= c->alloc)
		forwarded(c, 0); /* half a message frees nothing: who sees no room waits for this */
	return 0;
}

/* One piece of what waits: false when there is no more, or the peer is full. */
static bool flush_piece(struct vsock *v, struct conn *c)
{
	bool stream = c->type == VIRTIO_VSOCK_TYPE_STREAM;
	uint32_t mark = stream ? 0 : v->marks[c - v->conn][c->mark_first];
	uint32_t len = stream ? c->used : mark & ~MARK_EOR;
	struct iovec iov[2];
	ssize_t r = to_peer(v, c, iov, buffered(c, iov, len), len, mark & MARK_EOR);

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
	if (!conn_draining(c) || c->peer.resume_ns)
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
		peer_shutdown(&c->peer, false, true);
}

/* ---- host to guest ------------------------------------------------------------ */

/* There is nothing to pull, because of err. */
static bool pull_failed(struct vsock *v, struct conn *c, int err)
{
	if (err == EAGAIN && c->peer.resume_ns)
		v->deadlines_changed = true;
	else if (err == ENODATA || (err == EAGAIN && c->hup))
		conn_host_eof(v, c);
	else if (err == EAGAIN)
		c->readable = false;
	else
		conn_reset(v, c, reason_of(err));
	return false;
}

/* A packet with the next r bytes, of which `len` are in the chain; its header goes to `at`. */
static void put_data(struct vsock *v, struct conn *c, const struct iovec *at, size_t r, size_t len,
		     uint32_t flags)
{
	struct virtio_vsock_hdr h;

	c->tx_cnt += r;
	c->info.rx_bytes += r;
	h = conn_header(v, c, VIRTIO_VSOCK_OP_RW);
	h.len = len;
	h.flags = flags;
	/* The header goes where the chain begins, wherever its segments are. */
	for (size_t done = 0; done < HEADER; done += (at++)->iov_len)
		memcpy(at->iov_base, (const char *)&h + done, at->iov_len);
	vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, HEADER + h.len);
}

static bool pull_stream(struct vsock *v, struct conn *c, const struct iovec *at)
{
	uint32_t credit = conn_credit(c), max = credit < PACKET_MAX ? credit : PACKET_MAX, flags;
	struct iovec iov[VQ_SEGMENTS_MAX];
	size_t room;
	bool end;
	unsigned n = vq_write_iov(&v->chain, iov, VQ_SEGMENTS_MAX, max, &room);
	ssize_t r = peer_recv(&c->peer, iov, n, room, &end, &flags);

	if (r < 0)
		return pull_failed(v, c, -r);
	/* Less than there was room for: that was all. After a hang-up, up to its end. */
	c->readable = (size_t)r == room || c->hup;
	c->info.rx_messages++;
	put_data(v, c, at, r, r, 0);
	return true;
}

/*
 * Is the next message one the guest can take now? A socket is only asked for its
 * length when it matters. One that the guest can never take ends the connection.
 */
static bool message_fits(struct vsock *v, struct conn *c)
{
	bool socket = c->peer.kind == PEER_SOCKET;
	ssize_t len;

	c->need = 0;
	if (c->inside || (socket && conn_credit(c) >= VSOCK_MESSAGE_MAX))
		return true;
	len = peer_next(&c->peer);
	if (len < 0)
		return pull_failed(v, c, -len);
	if ((socket && len > VSOCK_MESSAGE_MAX) || len > c->peer_alloc)
		return pull_failed(v, c, EMSGSIZE);
	c->need = len <= conn_credit(c) ? 0 : len;
	return !c->need;
}

/* What of a socket's message does not fit into the chain lands in the stage, which is empty now. */
static bool pull_message(struct vsock *v, struct conn *c, const struct iovec *at)
{
	struct iovec iov[VQ_SEGMENTS_MAX + 1];
	uint32_t flags;
	size_t room, max;
	unsigned n;
	ssize_t r;
	bool end;

	if (!message_fits(v, c))
		return false;
	n = vq_write_iov(&v->chain, iov, VQ_SEGMENTS_MAX, VSOCK_MESSAGE_MAX, &room);
	max = room;
	if (c->peer.kind == PEER_SOCKET) {
		iov[n++] = (struct iovec){.iov_base = v->stage, .iov_len = VSOCK_MESSAGE_MAX};
		max = room + VSOCK_MESSAGE_MAX;
	}
	r = peer_recv(&c->peer, iov, n, max, &end, &flags);
	if (r < 0 || (c->peer.kind == PEER_SOCKET && r > VSOCK_MESSAGE_MAX))
		return pull_failed(v, c, r < 0 ? -r : EMSGSIZE);
	c->inside = !end;
	c->info.rx_messages += end;
	flags = (flags & EXO_RING_EOR ? VIRTIO_VSOCK_SEQ_EOR : 0) | VIRTIO_VSOCK_SEQ_EOM;
	if ((size_t)r <= room) {
		put_data(v, c, at, r, r, end ? flags : 0);
		return true;
	}
	put_data(v, c, at, r, room, 0);
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
