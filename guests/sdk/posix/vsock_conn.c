/*
 * Connections over virtio-vsock (VIRTIO 1.2, 5.10.6): the state of each socket,
 * what arrives for it, credit. The peer is always the host side (CID 2).
 */
#include "vsock_conn.h"

#include "../drivers/vsock.h"

#define FIRST_FREE_PORT 0xc0000000u
#define CLOSE_NS (8 * NS_PER_S)

struct vsock *vsock_all;

uint64_t vsock_connect_timeout(void)
{
	size_t window;

	vsock_window(&window);
	/* In a session a server may have to be started first; the session's limit is shorter. */
	return (window ? 30 : 2) * NS_PER_S;
}

struct vsock *vsock_new(uint16_t type)
{
	struct vsock *s = mem_alloc(sizeof(*s));

	if (!s)
		return NULL;
	s->type = type;
	s->connect_timeout_ns = vsock_connect_timeout();
	s->spin.ns = SPIN_NS;
	s->next = vsock_all;
	vsock_all = s;
	return s;
}

void vsock_free(struct vsock *s)
{
	struct vsock **p = &vsock_all;

	timer_clear(&s->timer);
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	if (s->ring)
		mem_pages_free(s->ring, VSOCK_RING_BYTES);
	mem_free(s, sizeof(*s));
}

struct vsock *vsock_bound(uint16_t type, uint32_t port)
{
	for (struct vsock *s = vsock_all; s; s = s->next)
		if (s->type == type && s->local_port == port && s->state <= VSOCK_LISTENING)
			return s;
	return NULL;
}

static bool port_used(uint16_t type, uint32_t port)
{
	for (struct vsock *s = vsock_all; s; s = s->next)
		if (s->type == type && s->local_port == port)
			return true;
	return false;
}

int vsock_bind_any(struct vsock *s)
{
	static uint32_t last;

	if (!last) {
		random_bytes(&last, sizeof(last));
		last = FIRST_FREE_PORT | (last & 0xffffff);
	}
	do {
		if (++last < FIRST_FREE_PORT || last == VMADDR_PORT_ANY)
			last = FIRST_FREE_PORT;
	} while (port_used(s->type, last));
	s->local_port = last;
	return 0;
}

uint32_t vsock_buf_alloc(const struct vsock *s)
{
	return s->type == VIRTIO_VSOCK_TYPE_STREAM ? VSOCK_STREAM_CREDIT : VSOCK_SEQ_CREDIT;
}

struct virtio_vsock_hdr vsock_header(struct vsock *s, uint16_t op, uint32_t flags, uint32_t len)
{
	s->tx_cnt += len;
	s->fwd_told = s->fwd_cnt;
	return (struct virtio_vsock_hdr){
		.src_cid = vsock_cid(),
		.dst_cid = s->peer_cid,
		.src_port = s->local_port,
		.dst_port = s->peer_port,
		.len = len,
		.type = s->type,
		.op = op,
		.flags = flags,
		.buf_alloc = vsock_buf_alloc(s),
		.fwd_cnt = s->fwd_cnt,
	};
}

bool vsock_control(struct vsock *s, uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr h = vsock_header(s, op, flags, 0);

	return vsock_send_control(&h);
}

bool vsock_control_wait(struct vsock *s, uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr h = vsock_header(s, op, flags, 0);

	return vsock_send_control_wait(&h);
}

uint32_t vsock_credit(const struct vsock *s)
{
	uint32_t flying = s->tx_cnt - s->peer_fwd_cnt;

	return flying < s->peer_buf_alloc ? s->peer_buf_alloc - flying : 0;
}

/* ---- receive ring ------------------------------------------------------ */

static void ring_copy_in(struct vsock *s, uint32_t at, const void *p, uint32_t len)
{
	uint32_t pos = (s->head + at) % VSOCK_RING_BYTES;
	uint32_t part = MIN(len, VSOCK_RING_BYTES - pos);

	memcpy(s->ring + pos, p, part);
	memcpy(s->ring, (const uint8_t *)p + part, len - part);
}

uint32_t vsock_ring_peek(const struct vsock *s, uint32_t skip, const struct iovec *iov, int n,
			 size_t at, uint32_t len)
{
	uint32_t pos = (s->head + skip) % VSOCK_RING_BYTES;
	uint32_t part = MIN(len, VSOCK_RING_BYTES - pos), done;

	done = (uint32_t)iov_to(iov, n, at, s->ring + pos, part);
	if (done == part && len > part)
		done += (uint32_t)iov_to(iov, n, at + done, s->ring, len - part);
	return done;
}

uint32_t vsock_ring_word(const struct vsock *s)
{
	uint32_t word = 0;
	struct iovec iov = {&word, sizeof(word)};

	vsock_ring_peek(s, 0, &iov, 1, 0, sizeof(word));
	return word;
}

void vsock_ring_drop(struct vsock *s, uint32_t len, uint32_t payload)
{
	s->head = (s->head + len) % VSOCK_RING_BYTES;
	s->count -= len;
	s->fwd_cnt += payload;
	/* Told late enough to be rare, early enough that the peer need not stop. */
	if (s->state == VSOCK_CONNECTED && s->fwd_cnt - s->fwd_told >= vsock_buf_alloc(s) / 4)
		vsock_control(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
}

/* False if the peer sent more than it had credit for, or too many tiny messages. */
static bool receive(struct vsock *s, const struct virtio_vsock_hdr *h, const uint8_t *data,
		    uint32_t len)
{
	bool seq = s->type == VIRTIO_VSOCK_TYPE_SEQPACKET;
	uint32_t word = s->open_msg + len, need = len + (seq && !s->open_started ? 4 : 0);

	if (!s->ring)
		s->ring = mem_pages(VSOCK_RING_BYTES);
	if (!s->ring || need > VSOCK_RING_BYTES - s->count)
		return false;
	if (seq && !s->open_started) {
		s->open_started = true;
		s->count += 4;
	}
	ring_copy_in(s, s->count, data, len);
	s->count += len;
	if (!seq)
		return true;
	s->open_msg = word;
	ring_copy_in(s, s->count - word - 4, &word, 4);
	if (h->flags & VIRTIO_VSOCK_SEQ_EOM) {
		s->open_msg = 0;
		s->open_started = false;
		s->complete++;
	}
	return true;
}

/* ---- packets ----------------------------------------------------------- */

static void refuse(const struct virtio_vsock_hdr *h)
{
	struct virtio_vsock_hdr r = {
		.src_cid = h->dst_cid,
		.dst_cid = h->src_cid,
		.src_port = h->dst_port,
		.dst_port = h->src_port,
		.type = h->type,
		.op = VIRTIO_VSOCK_OP_RST,
	};

	if (h->op != VIRTIO_VSOCK_OP_RST)
		vsock_send_control(&r);
}

static struct vsock *find(const struct virtio_vsock_hdr *h)
{
	for (struct vsock *s = vsock_all; s; s = s->next)
		if (s->state >= VSOCK_CONNECTING && s->local_port == h->dst_port &&
		    s->peer_port == h->src_port && s->type == h->type)
			return s;
	return NULL;
}

static void on_request(const struct virtio_vsock_hdr *h, const uint8_t *data, uint32_t len)
{
	struct vsock *l = vsock_bound(h->type, h->dst_port), *s;

	if (!l || l->state != VSOCK_LISTENING || l->queued >= l->backlog ||
	    !(s = vsock_new(h->type))) {
		refuse(h);
		return;
	}
	s->local_port = h->dst_port;
	s->peer_port = h->src_port;
	s->peer_cid = (uint32_t)h->src_cid;
	s->peer_buf_alloc = h->buf_alloc;
	s->peer_fwd_cnt = h->fwd_cnt;
	s->state = VSOCK_CONNECTED;
	s->listener = l;
	if (len && !direct_attach(s, data, len)) {
		refuse(h);
		vsock_free(s);
		return;
	}
	if (!vsock_control(s, VIRTIO_VSOCK_OP_RESPONSE, 0)) {
		vsock_free(s);
		return;
	}
	if (l->queue_tail)
		l->queue_tail->queue_next = s;
	else
		l->queue_head = s;
	l->queue_tail = s;
	l->queued++;
	thread_wake(l);
}

static unsigned reason_of(uint32_t flags)
{
	unsigned reason = flags >> EXO_REASON_SHIFT & 0xff;

	return reason < EXO_REASONS ? reason : EXO_REASON_NONE;
}

static int connect_error(unsigned reason)
{
	static const uint8_t error[EXO_REASONS] = {
		[EXO_REASON_REVOKED] = EACCES,      [EXO_REASON_EXPIRED] = EACCES,
		[EXO_REASON_NO_SLOT] = EACCES,      [EXO_REASON_STALE] = ESTALE,
		[EXO_REASON_ABSENT] = ECONNREFUSED, [EXO_REASON_NOT_READY] = ETIMEDOUT,
		[EXO_REASON_BUDGET] = ENOBUFS,      [EXO_REASON_REFUSED] = ECONNREFUSED,
		[EXO_REASON_SESSION] = ENETDOWN,    [EXO_REASON_TYPE] = EPROTOTYPE,
	};

	return error[reason] ? error[reason] : ECONNRESET;
}

/* Nothing more comes from the other end. Did it end without having said so? */
static bool torn(const struct vsock *s)
{
	if (s->reason != EXO_REASON_DIED && s->reason != EXO_REASON_PROTOCOL)
		return false;
	return !s->peer_no_send && !direct_at_end(s);
}

/* The connection is over; `reason` says why. */
static void gone(struct vsock *s, unsigned reason)
{
	timer_clear(&s->timer);
	if (s->state == VSOCK_CLOSING) {
		vsock_free(s);
		return;
	}
	if (s->broken && (reason == EXO_REASON_NONE || reason == EXO_REASON_CLOSED))
		reason = EXO_REASON_PROTOCOL;
	s->reason = (uint8_t)reason;
	if (s->state == VSOCK_CONNECTING) {
		s->error = connect_error(s->reason);
		s->state = VSOCK_NEW;
	} else {
		s->state = VSOCK_DONE;
		if (torn(s))
			s->error = ECONNRESET;
	}
	s->peer_no_send = s->peer_no_recv = true;
	thread_wake(s);
}

static void on_shutdown(struct vsock *s, uint32_t flags)
{
	const uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	bool recv = s->peer_no_recv || flags & VIRTIO_VSOCK_SHUTDOWN_RCV;
	bool send = s->peer_no_send || flags & VIRTIO_VSOCK_SHUTDOWN_SEND;

	if (recv && send) {
		if ((flags & both) != both)
			s->peer_no_send = true; /* said in two steps: no surprise */
		/* That is how it ends cleanly; a ring is read to its end first. */
		if (!s->mapped)
			vsock_control(s, VIRTIO_VSOCK_OP_RST, 0);
		gone(s, reason_of(flags));
		return;
	}
	s->peer_no_recv = recv;
	s->peer_no_send = send;
	thread_wake(s); /* readers: that was all; writers: nobody reads */
}

static void on_reset(struct vsock *s, uint32_t flags)
{
	s->mapped = false;
	if (s->state == VSOCK_DONE) { /* taken away while we were still reading */
		if (reason_of(flags))
			s->reason = (uint8_t)reason_of(flags);
		thread_wake(s);
		return;
	}
	gone(s, reason_of(flags));
}

static void on_connected(struct vsock *s, const struct virtio_vsock_hdr *h, const uint8_t *data,
			 uint32_t len)
{
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RW:
		if (s->state == VSOCK_CLOSING)
			s->fwd_cnt += len;
		else if (s->state == VSOCK_CONNECTED && !receive(s, h, data, len)) {
			vsock_control(s, VIRTIO_VSOCK_OP_RST, 0);
			gone(s, EXO_REASON_NONE);
			s->error = ENOBUFS;
			return;
		}
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		vsock_control(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		on_shutdown(s, h->flags);
		return;
	default:
		s->mapped = false;
		refuse(h);
		gone(s, EXO_REASON_NONE);
		return;
	}
	thread_wake(s);
}

/* The answer to our REQUEST. */
static void on_response(struct vsock *s, const struct virtio_vsock_hdr *h, const uint8_t *data,
			uint32_t len)
{
	if (h->op != VIRTIO_VSOCK_OP_RESPONSE || (len && !direct_attach(s, data, len))) {
		refuse(h);
		gone(s, EXO_REASON_NONE);
		return;
	}
	timer_clear(&s->timer);
	s->state = VSOCK_CONNECTED;
	thread_wake(s);
}

void vsock_on_packet(const struct virtio_vsock_hdr *h, const uint8_t *data, uint32_t len)
{
	struct vsock *s;

	if (h->dst_cid != vsock_cid() ||
	    (h->type != VIRTIO_VSOCK_TYPE_STREAM && h->type != VIRTIO_VSOCK_TYPE_SEQPACKET))
		return;
	s = find(h);
	if (!s) {
		if (h->op == VIRTIO_VSOCK_OP_REQUEST)
			on_request(h, data, len);
		else
			refuse(h);
		return;
	}
	s->peer_buf_alloc = h->buf_alloc;
	s->peer_fwd_cnt = h->fwd_cnt;
	if (h->op == VIRTIO_VSOCK_OP_RST) {
		on_reset(s, h->flags);
	} else if (s->state == VSOCK_CONNECTING) {
		on_response(s, h, data, len);
	} else if (s->state != VSOCK_DONE) {
		on_connected(s, h, data, len);
	}
}

void vsock_on_reset(void)
{
	struct vsock *next;

	for (struct vsock *s = vsock_all; s; s = next) {
		next = s->next;
		if (s->state >= VSOCK_CONNECTING && s->state != VSOCK_DONE) {
			s->mapped = false;
			gone(s, EXO_REASON_NONE);
		}
	}
}

unsigned vsock_reason(const struct vsock *s)
{
	/* What is in the ring may be there before the packet that says the same. */
	return s->reason || !direct_closed(s) ? s->reason : EXO_REASON_CLOSED;
}

/* ---- ends -------------------------------------------------------------- */

static struct vsock *of_timer(struct timer *t)
{
	return (struct vsock *)(void *)((char *)t - offsetof(struct vsock, timer));
}

static void connect_expired(struct timer *t)
{
	struct vsock *s = of_timer(t);

	vsock_control(s, VIRTIO_VSOCK_OP_RST, 0);
	gone(s, EXO_REASON_NONE);
	s->error = ETIMEDOUT;
}

void vsock_connect_timer(struct vsock *s)
{
	s->timer.fn = connect_expired;
	timer_set(&s->timer, clock_ns() + s->connect_timeout_ns, 0);
}

static void broken_expired(struct timer *t)
{
	struct vsock *s = of_timer(t);

	vsock_control(s, VIRTIO_VSOCK_OP_RST, 0);
	gone(s, EXO_REASON_PROTOCOL);
}

void vsock_broken_timer(struct vsock *s, uint64_t ns)
{
	s->timer.fn = broken_expired;
	timer_set(&s->timer, clock_ns() + ns, 0);
}

static void close_expired(struct timer *t)
{
	struct vsock *s = of_timer(t);

	vsock_control(s, VIRTIO_VSOCK_OP_RST, 0);
	vsock_free(s);
}

void vsock_close(struct vsock *s)
{
	struct vsock *q;

	while ((q = s->queue_head)) { /* connections that nobody accepted */
		s->queue_head = q->queue_next;
		q->mapped = false;
		if (q->state == VSOCK_CONNECTED)
			vsock_control_wait(q, VIRTIO_VSOCK_OP_RST, 0);
		vsock_free(q);
	}
	if (s->state == VSOCK_CONNECTING || (s->state == VSOCK_DONE && s->mapped)) {
		timer_clear(&s->timer);
		s->state = VSOCK_DONE;
		s->mapped = false;
		vsock_control_wait(s, VIRTIO_VSOCK_OP_RST, 0);
	}
	if (s->state != VSOCK_CONNECTED) {
		vsock_free(s);
		return;
	}
	direct_half_close(s, true, true); /* the other end need not wait for the news */
	s->mapped = false;
	s->state = VSOCK_CLOSING;
	s->timer.fn = close_expired;
	timer_set(&s->timer, clock_ns() + CLOSE_NS, 0);
	if (!s->broken) /* `s` may be gone when this returns */
		vsock_control_wait(s, VIRTIO_VSOCK_OP_SHUTDOWN,
				   VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
}
