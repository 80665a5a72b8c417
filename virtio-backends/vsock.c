/*
 * virtio-vsock (VIRTIO 1.2, 5.10): queues, packets and rounds. Runs in whichever
 * thread rings a doorbell and in the event loop.
 *
 * The guest's packets are taken until the queue is empty, whether or not it
 * gives us buffers for answers: those are bits and short fixed tables, not
 * queued packets (H-21). Work in one call is bounded; the timer, set to "now",
 * brings us back for the rest after the event loop had its turn.
 *
 * System calls after create: those of peer.h, sendto, read (our doorbell, in the
 * event loop), clock_gettime. No memory is allocated. Nothing is watched or timed
 * while all is quiet, but for the hosts' sockets themselves and our doorbell.
 */
#include "clock.h"
#include "vsock_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_SIZE 256
#define HEADER sizeof(struct virtio_vsock_hdr)
#define TX_BUDGET 256
#define RX_BUDGET 128

/* ---- to the guest --------------------------------------------------------------- */

static void put_packet(struct vsock *v, const struct virtio_vsock_hdr *h, const void *payload)
{
	vq_write(&v->chain, h, HEADER);
	vq_write(&v->chain, payload, h->len);
	vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, HEADER + h->len);
}

/* Only our own drivers know of it. */
static uint32_t reason_flags(const struct vsock *v, uint32_t reason)
{
	return vdev_has_feature(&v->dev, EXO_VSOCK_F_DIRECT) ? reason << EXO_REASON_SHIFT : 0;
}

static void put_rst(struct vsock *v)
{
	const struct rst *r = &v->rst[v->rst_first];
	struct virtio_vsock_hdr h = {
		.src_cid = HOST_CID,
		.dst_cid = v->config.guest_cid,
		.src_port = r->host_port,
		.dst_port = r->guest_port,
		.type = r->type,
		.op = VIRTIO_VSOCK_OP_RST,
		.flags = reason_flags(v, r->reason),
	};

	v->rst_first = (v->rst_first + 1) % RSTS_MAX;
	v->nrsts--;
	put_packet(v, &h, NULL);
}

/* With REQUEST or RESPONSE the guest of a direct connection gets its ring. */

static void put_due(struct vsock *v, struct conn *c)
{
	struct virtio_vsock_hdr h = conn_header(v, c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	struct exo_vsock_desc desc = {
		.offset = c->ring.offset,
		.ring_bytes = c->ring.bytes,
		.side = c->ring.side,
		.doorbell = c->ring.doorbell,
		.conn = c->info.conn,
	};

	if (c->due & (DUE_REQUEST | DUE_RESPONSE)) {
		h.op = c->due & DUE_REQUEST ? VIRTIO_VSOCK_OP_REQUEST : VIRTIO_VSOCK_OP_RESPONSE;
		h.len = conn_direct(c) ? sizeof(desc) : 0;
		if (vq_writable(&v->chain) < HEADER + h.len) {
			vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, 0); /* useless */
			return;
		}
		c->due &= ~(DUE_REQUEST | DUE_RESPONSE);
	} else if (c->due & DUE_SHUTDOWN) {
		h.op = VIRTIO_VSOCK_OP_SHUTDOWN;
		h.flags = c->shut_host | reason_flags(v, c->reason);
		c->due &= ~DUE_SHUTDOWN;
		conn_told(v, c);
	}
	put_packet(v, &h, &desc);
}

void vsock_settle(struct vsock *v, struct conn *c)
{
	if (c->state != CONN_FREE && conn_arm(v, c, false))
		conn_link(v, c);
}

/* One packet of the connection whose turn it is. False: there was none after all. */
static bool take_turn(struct vsock *v)
{
	struct conn *c = v->turn_first;
	bool put = true;

	conn_unlink(v, c);
	if (c->due)
		put_due(v, c);
	else
		put = conn_can_receive(c) && conn_pull(v, c);
	vsock_settle(v, c);
	return put;
}

/* One packet for the guest. False: nothing to send, or no buffer. */
static bool rx_step(struct vsock *v)
{
	struct vq *q = &v->dev.vq[QUEUE_RX];
	int rc;

	if (!v->nrsts && !v->stage_conn && !v->turn_first)
		return false;
	rc = vq_next(q, &v->chain);
	if (rc < 0)
		vdev_fail(&v->dev, "malformed rx ring");
	if (rc <= 0)
		return false;
	if (vq_writable(&v->chain) < HEADER)
		vq_complete(q, v->chain.head, 0); /* useless */
	else if (v->nrsts)
		put_rst(v);
	else if (v->stage_conn)
		stage_put(v);
	else if (!take_turn(v))
		vq_unget(q, &v->chain);
	return true;
}

static void rx_run(struct vsock *v)
{
	unsigned budget = RX_BUDGET;

	while (v->dev.running && rx_step(v)) {
		if (!--budget) {
			v->more = true;
			break;
		}
	}
	vdev_flush(&v->dev, QUEUE_RX);
}

/* ---- from the guest --------------------------------------------------------------- */

static void ask_owner(struct vsock *v, struct conn *c)
{
	struct exo_vmm_vsock msg = {
		.h = {.magic = EXO_VMM_MAGIC, .type = EXO_VMM_VSOCK_REQUEST, .size = sizeof(msg)},
		.id = conn_id(v, c),
		.port = c->host_port,
		.type = c->type,
		.flags = vdev_has_feature(&v->dev, EXO_VSOCK_F_DIRECT) ? EXO_VSOCK_DIRECT : 0,
		.guest_port = c->guest_port,
	};

	v->dev.host->event(v->dev.host->opaque, &v->dev, &msg, sizeof(msg));
}

/* A packet for no connection we know. Only a request makes one; never RST for RST. */
static void take_stranger(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct rst rst = {h->src_port, h->dst_port, h->type, EXO_REASON_NONE};
	struct conn *c = NULL;

	if (h->op == VIRTIO_VSOCK_OP_RST)
		return;
	if (h->op == VIRTIO_VSOCK_OP_REQUEST) {
		bool known = vsock_knows_type(v, h->type);

		rst.reason = known ? EXO_REASON_BUDGET : EXO_REASON_TYPE;
		c = known ? conn_new(v, h->src_port, h->dst_port, h->type) : NULL;
	}
	if (!c) {
		rst_push(v, rst, true);
		return;
	}
	c->state = CONN_ASKED;
	c->info.flags = EXO_CHANNEL_OPENER;
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	conn_set_deadline(v, c, clock_now_ns() + v->ask_timeout_ns);
	ask_owner(v, c);
}

/* The guest accepts what the host asked for. */
static void accepted(struct vsock *v, struct conn *c)
{
	char ok[32];
	int n = snprintf(ok, sizeof(ok), "OK %u\n", c->host_port);

	if (c->state != CONN_REQUESTED || conn_unseen(c)) {
		conn_reset(v, c, EXO_REASON_PROTOCOL);
		return;
	}
	c->state = CONN_OPEN;
	if (c->say_ok && send(c->peer.fd, ok, n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
		conn_reset(v, c, EXO_REASON_DIED);
		return;
	}
	conn_set_deadline(v, c, 0);
	c->accepted = true;
	channel_tell(v, c, EXO_CHANNEL_ACCEPTED);
}

/* 0, or -EBUSY: the packet stays in the ring for now. */
static int take_known(struct vsock *v, struct conn *c, const struct virtio_vsock_hdr *h)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		accepted(v, c);
		return 0;
	case VIRTIO_VSOCK_OP_RST:
		conn_free(v, c);
		return 0;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn_guest_shutdown(v, c, h->flags);
		return 0;
	case VIRTIO_VSOCK_OP_RW:
		if (h->len > vq_readable(&v->chain)) /* H-04 */
			break;
		return conn_put(v, c, h);
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return 0;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->asked = c->used != 0;
		if (c->state == CONN_OPEN)
			c->due |= DUE_CREDIT;
		return 0;
	}
	conn_reset(v, c, EXO_REASON_PROTOCOL); /* unknown, or a request for what exists */
	return 0;
}

/* H-20: wrong addresses are dropped, an unknown type is refused. */
static int take_packet(struct vsock *v)
{
	struct virtio_vsock_hdr h;
	struct conn *c;
	int rc;

	if (vq_read(&v->chain, &h, HEADER) != HEADER || h.src_cid != v->config.guest_cid ||
	    h.dst_cid != HOST_CID) {
		v->dropped++;
		return 0;
	}
	c = vsock_knows_type(v, h.type) ? conn_find(v, h.src_port, h.dst_port, h.type) : NULL;

	if (!c) {
		take_stranger(v, &h);
		return 0;
	}
	rc = take_known(v, c, &h);
	if (rc == -EBUSY)
		v->parked = c;
	vsock_settle(v, c);
	return rc;
}

static void tx_run(struct vsock *v)
{
	struct vq *q = &v->dev.vq[QUEUE_TX];
	unsigned budget = TX_BUDGET;
	int rc;

	vq_disable_doorbell(q);
	while (v->dev.running && !v->parked && budget) {
		rc = vq_next(q, &v->chain);
		if (rc < 0)
			vdev_fail(&v->dev, "malformed tx ring");
		if (rc <= 0)
			break;
		if (take_packet(v) == -EBUSY)
			vq_unget(q, &v->chain);
		else
			vq_complete(q, v->chain.head, 0);
		budget--;
	}
	if (!budget)
		v->more = true;
	vdev_flush(&v->dev, QUEUE_TX);
}

/* ---- rounds ----------------------------------------------------------------------- */

static uint64_t next_deadline(const struct conn *c)
{
	if (c->state == CONN_FREE)
		return 0;
	if (c->peer.resume_ns && (!c->deadline_ns || c->peer.resume_ns < c->deadline_ns))
		return c->peer.resume_ns;
	return c->deadline_ns;
}

static void set_timer(struct vsock *v)
{
	uint64_t at;

	if (v->deadlines_changed) {
		v->deadline_ns = 0;
		for (unsigned i = 0; i < v->nfresh; i++) {
			uint64_t d = next_deadline(&v->conn[i]);

			if (d && (!v->deadline_ns || d < v->deadline_ns))
				v->deadline_ns = d;
		}
		v->deadlines_changed = false;
	}
	at = (v->more || v->attach) && v->dev.running ? 1 : v->deadline_ns;
	if (at != v->timer_ns)
		v->dev.host->timer(v->dev.host->opaque, &v->dev, at);
	v->timer_ns = at;
}

void vsock_service(struct vsock *v, bool tx)
{
	if (v->dev.running) {
		tx |= v->more;
		v->more = false;
		if (tx)
			tx_run(v);
		rx_run(v);
	}
	set_timer(v);
}

static void vsock_kick(struct vdev *dev, unsigned q)
{
	if (q != QUEUE_EVENT)
		vsock_service(vsock_of(dev), q == QUEUE_TX);
}

static void vsock_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	struct vsock *v = vsock_of(dev);
	struct conn *c = conn_by_id(v, token);

	if (token == TOKEN_BELL) {
		channel_rung(v);
		vsock_service(v, false);
		return;
	}
	if (!c || !c->watched)
		return;
	if (events & (EPOLLHUP | EPOLLERR)) {
		conn_host_hup(v, c);
	} else {
		if (events & EPOLLIN)
			c->readable = true;
		if (events & EPOLLOUT)
			conn_flush(v, c);
	}
	vsock_settle(v, c);
	vsock_service(v, false);
	if (conn_by_id(v, token) == c && c->watched)
		conn_arm(v, c, true);
}

static void vsock_timer(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	v->timer_ns = 0;
	conn_expire(v);
	if (v->attach && v->dev.running)
		channel_attach_all(v);
	vsock_service(v, true);
}

/*
 * Requests of the host may have waited for the driver. Their rings are attached by the
 * event loop: this is a vCPU's thread.
 */
static void vsock_start(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	for (unsigned i = 0; i < v->nfresh; i++) {
		struct conn *c = &v->conn[i];

		if (c->state != CONN_REQUESTED)
			continue;
		if (!vsock_knows_type(v, c->type)) {
			conn_reset(v, c, EXO_REASON_TYPE);
			continue;
		}
		v->attach |= c->ring.fd >= 0;
		conn_set_deadline(v, c, clock_now_ns() + VSOCK_TIMEOUT_NS);
	}
	vsock_service(v, false);
}

/*
 * All connections end, but for requests that the guest never saw and that are not
 * made for this driver yet, and what it has sent already: the host may still read that.
 */
static void vsock_reset(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	for (unsigned i = 0; i < v->nfresh; i++) {
		struct conn *c = &v->conn[i];

		if (conn_unseen(c) && !c->ring.base)
			conn_set_deadline(v, c, clock_now_ns() + BOOT_TIMEOUT_NS);
		else if (c->state == CONN_OPEN)
			conn_leave(v, c);
		else if (c->state != CONN_FREE && c->state != CONN_DRAINING)
			conn_free(v, c);
	}
	v->nrsts = 0;
	v->parked = NULL;
	v->more = v->attach = false;
	set_timer(v);
}

static void vsock_destroy(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	if (!v)
		return;
	for (unsigned i = 0; i < v->nfresh; i++) {
		if (v->conn[i].state != CONN_FREE)
			conn_free(v, &v->conn[i]);
	}
	if (v->bell_watched)
		dev->host->unwatch(dev->host->opaque, dev, v->bell_fd);
	munmap(v, sizeof(*v));
}

static const struct vdev_class vsock_class = {
	.name = "virtio-vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.features = 1ull << VIRTIO_VSOCK_F_SEQPACKET,
	.nqueues = QUEUES,
	.queue_size_max = QUEUE_SIZE,
	.config_bytes = sizeof(struct exo_vsock_config),
	.start = vsock_start,
	.kick = vsock_kick,
	.poll = vsock_poll,
	.timer = vsock_timer,
	.reset = vsock_reset,
	.destroy = vsock_destroy,
};

/*
 * All memory it will ever use is reserved here, and comes into being as it is
 * touched; a huge page would be much more than a quiet device needs.
 */
struct vdev *vsock_create(const struct gmem *mem, const struct vdev_host *host,
			  const struct vsock_resources *res)
{
	struct vsock *v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (v == MAP_FAILED)
		return NULL;
	madvise(v, sizeof(*v), MADV_NOHUGEPAGE);
	vdev_init(&v->dev, &vsock_class, mem, host);
	v->config.guest_cid = res->guest_cid;
	v->dev.config = &v->config;
	v->bell_fd = res->vmm_bell_fd;
	v->ask_timeout_ns = res->direct ? VSOCK_ASK_TIMEOUT_NS : VSOCK_TIMEOUT_NS;
	if (res->direct)
		v->dev.features_offered |= 1ull << EXO_VSOCK_F_DIRECT;
	memcpy(v->dev.name, "vsock", 6);
	return &v->dev;
}
