/*
 * virtio-vsock (VIRTIO 1.2, 5.10): queues, packets and the owner's functions.
 * Runs in whichever thread rings a doorbell and in the event loop.
 *
 * The guest's packets are taken until the queue is empty, whether or not it
 * gives us buffers for answers: those are bits and short fixed tables, not
 * queued packets (H-21). Work in one call is bounded; the timer, set to "now",
 * brings us back for the rest after the event loop had its turn.
 *
 * System calls after create: sendmsg, recvmsg, sendto, shutdown, close, poll,
 * clock_gettime. No memory is allocated. Nothing is watched or timed while all
 * is quiet, but for the hosts' sockets themselves.
 */
#include "vsock_impl.h"

#include <errno.h>
#include <exo/vmm.h>
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
#define EPHEMERAL_PORT (1u << 30) /* first port of the host's ends */

static struct vsock *vsock_of(struct vdev *dev)
{
	return (struct vsock *)dev; /* dev is its first member */
}

/* ---- to the guest --------------------------------------------------------------- */

static void put_header(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	vq_write(&v->chain, h, HEADER);
	vq_complete(&v->dev.vq[QUEUE_RX], v->chain.head, HEADER);
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
	};

	v->rst_first = (v->rst_first + 1) % RSTS_MAX;
	v->nrsts--;
	put_header(v, &h);
}

static void put_due(struct vsock *v, struct conn *c)
{
	struct virtio_vsock_hdr h = conn_header(v, c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);

	if (c->due & DUE_REQUEST) {
		h.op = VIRTIO_VSOCK_OP_REQUEST;
		c->due &= ~DUE_REQUEST;
	} else if (c->due & DUE_RESPONSE) {
		h.op = VIRTIO_VSOCK_OP_RESPONSE;
		c->due &= ~DUE_RESPONSE;
	} else if (c->due & DUE_SHUTDOWN) {
		h.op = VIRTIO_VSOCK_OP_SHUTDOWN;
		h.flags = c->shut_host;
		c->due &= ~DUE_SHUTDOWN;
		conn_told(v, c);
	}
	put_header(v, &h);
}

/* c may have got something for the guest, or room for its host; or be gone. */
static void settle(struct vsock *v, struct conn *c)
{
	if (c->state != CONN_FREE && conn_arm(v, c))
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
	settle(v, c);
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
	};

	v->dev.host->event(v->dev.host->opaque, &v->dev, &msg, sizeof(msg));
}

/* A packet for no connection we know. Only a request makes one; never RST for RST. */
static void take_stranger(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct conn *c;

	if (h->op == VIRTIO_VSOCK_OP_RST)
		return;
	c = h->op == VIRTIO_VSOCK_OP_REQUEST ? conn_new(v, h->src_port, h->dst_port, h->type)
					     : NULL;
	if (!c) {
		rst_push(v, h->src_port, h->dst_port, h->type, true);
		return;
	}
	c->state = CONN_ASKED;
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	conn_set_deadline(v, c, vsock_now_ns() + VSOCK_TIMEOUT_NS);
	ask_owner(v, c);
}

/* The guest accepts what the host asked for. */
static void accepted(struct vsock *v, struct conn *c)
{
	char ok[32];
	int n = snprintf(ok, sizeof(ok), "OK %u\n", c->host_port);

	if (c->state != CONN_REQUESTED || (c->due & DUE_REQUEST) ||
	    (c->say_ok && send(c->fd, ok, n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)) {
		conn_reset(v, c);
		return;
	}
	c->state = CONN_OPEN;
	conn_set_deadline(v, c, 0);
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
		return conn_put(v, c, h->len, h->flags & VIRTIO_VSOCK_SEQ_EOM);
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		return 0;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		if (c->state == CONN_OPEN)
			c->due |= DUE_CREDIT;
		return 0;
	}
	conn_reset(v, c); /* unknown, or a request for what exists */
	return 0;
}

static bool known_type(const struct vsock *v, uint16_t type)
{
	return type == VIRTIO_VSOCK_TYPE_STREAM ||
	       (type == VIRTIO_VSOCK_TYPE_SEQPACKET &&
		vdev_has_feature(&v->dev, VIRTIO_VSOCK_F_SEQPACKET));
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
	c = known_type(v, h.type) ? conn_find(v, h.src_port, h.dst_port, h.type) : NULL;
	if (!c && h.op == VIRTIO_VSOCK_OP_REQUEST && !known_type(v, h.type)) {
		rst_push(v, h.src_port, h.dst_port, h.type, true);
		return 0;
	}
	if (!c) {
		take_stranger(v, &h);
		return 0;
	}
	rc = take_known(v, c, &h);
	if (rc == -EBUSY)
		v->parked = c;
	settle(v, c);
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

static void set_timer(struct vsock *v)
{
	uint64_t at;

	if (v->deadlines_changed) {
		v->deadline_ns = 0;
		for (unsigned i = 0; i < v->nfresh; i++) {
			uint64_t d = v->conn[i].state == CONN_FREE ? 0 : v->conn[i].deadline_ns;

			if (d && (!v->deadline_ns || d < v->deadline_ns))
				v->deadline_ns = d;
		}
		v->deadlines_changed = false;
	}
	at = v->more && v->dev.running ? 1 : v->deadline_ns;
	if (at != v->timer_ns)
		v->dev.host->timer(v->dev.host->opaque, &v->dev, at);
	v->timer_ns = at;
}

static void service(struct vsock *v, bool tx)
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
		service(vsock_of(dev), q == QUEUE_TX);
}

static void vsock_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	struct vsock *v = vsock_of(dev);
	struct conn *c = conn_by_id(v, token);

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
	settle(v, c);
	service(v, false);
	if (conn_by_id(v, token) == c)
		conn_unarm(v, c);
}

static void vsock_timer(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	v->timer_ns = 0;
	conn_expire(v);
	service(v, true);
}

/* Requests of the host may have waited for the driver. */
static void vsock_start(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	for (unsigned i = 0; i < v->nfresh; i++) {
		struct conn *c = &v->conn[i];

		if (c->state != CONN_REQUESTED)
			continue;
		if (known_type(v, c->type))
			conn_set_deadline(v, c, vsock_now_ns() + VSOCK_TIMEOUT_NS);
		else
			conn_free(v, c);
	}
	service(v, false);
}

/*
 * All connections end, but for requests that the guest never saw and what it
 * has sent already: the host may still read that.
 */
static void vsock_reset(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);

	for (unsigned i = 0; i < v->nfresh; i++) {
		struct conn *c = &v->conn[i];

		if (c->state == CONN_REQUESTED && (c->due & DUE_REQUEST))
			conn_set_deadline(v, c, vsock_now_ns() + BOOT_TIMEOUT_NS);
		else if (c->state == CONN_OPEN)
			conn_leave(v, c);
		else if (c->state != CONN_FREE && c->state != CONN_DRAINING)
			conn_free(v, c);
	}
	v->nrsts = 0;
	v->parked = NULL;
	v->more = false;
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
	munmap(v, sizeof(*v));
}

static const struct vdev_class vsock_class = {
	.name = "virtio-vsock",
	.device_id = VIRTIO_ID_VSOCK,
	.features = 1ull << VIRTIO_VSOCK_F_SEQPACKET,
	.nqueues = QUEUES,
	.queue_size_max = QUEUE_SIZE,
	.config_bytes = sizeof(struct virtio_vsock_config),
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
struct vdev *vsock_create(const struct gmem *mem, const struct vdev_host *host, uint64_t guest_cid)
{
	struct vsock *v = mmap(NULL, sizeof(*v), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (v == MAP_FAILED)
		return NULL;
	madvise(v, sizeof(*v), MADV_NOHUGEPAGE);
	vdev_init(&v->dev, &vsock_class, mem, host);
	v->config.guest_cid = guest_cid;
	v->dev.config = &v->config;
	v->next_port = EPHEMERAL_PORT;
	memcpy(v->dev.name, "vsock", 6);
	return &v->dev;
}

/* ---- for the owner ------------------------------------------------------------------ */

static uint32_t free_port(struct vsock *v, uint32_t guest_port, uint16_t type)
{
	uint32_t port;

	do
		port = EPHEMERAL_PORT | v->next_port++;
	while (port == UINT32_MAX || conn_find(v, guest_port, port, type));
	return port;
}

static int open_locked(struct vsock *v, int fd, uint32_t port, uint32_t type, bool say_ok)
{
	uint64_t patience = v->dev.running ? VSOCK_TIMEOUT_NS : BOOT_TIMEOUT_NS;
	struct conn *c;

	if (type != VIRTIO_VSOCK_TYPE_STREAM && type != VIRTIO_VSOCK_TYPE_SEQPACKET)
		return -EINVAL;
	if (v->dev.running && !known_type(v, type))
		return -EPROTONOSUPPORT;
	c = conn_new(v, port, free_port(v, port, type), type);
	if (!c)
		return -ENFILE;
	c->state = CONN_REQUESTED;
	c->fd = fd;
	c->say_ok = say_ok;
	c->due = DUE_REQUEST;
	conn_set_deadline(v, c, vsock_now_ns() + patience);
	settle(v, c);
	service(v, false);
	return 0;
}

int vsock_open(struct vdev *dev, int fd, uint32_t port, uint32_t type, bool say_ok, uint32_t id)
{
	int rc;

	pthread_mutex_lock(&dev->lock);
	rc = open_locked(vsock_of(dev), fd, port, type, say_ok);
	pthread_mutex_unlock(&dev->lock);
	return rc;
}

static void reply_locked(struct vsock *v, struct conn *c, int status, int fd)
{
	if (status || fd < 0) {
		if (fd >= 0)
			close(fd);
		conn_reset(v, c);
	} else {
		c->fd = fd;
		c->state = CONN_OPEN;
		c->due = DUE_RESPONSE;
		conn_set_deadline(v, c, 0);
		settle(v, c);
	}
	service(v, false);
}

void vsock_reply(struct vdev *dev, uint32_t id, int status, int fd)
{
	struct vsock *v = vsock_of(dev);
	struct conn *c;

	pthread_mutex_lock(&dev->lock);
	c = conn_by_id(v, id);
	if (c && c->state == CONN_ASKED)
		reply_locked(v, c, status, fd);
	else if (fd >= 0)
		close(fd);
	pthread_mutex_unlock(&dev->lock);
}

size_t vsock_pending(struct vdev *dev)
{
	struct vsock *v = vsock_of(dev);
	size_t n;

	pthread_mutex_lock(&dev->lock);
	n = v->parked != NULL; /* the ring holds more */
	for (unsigned i = 0; i < v->nfresh; i++) {
		const struct conn *c = &v->conn[i];

		if (c->state == CONN_OPEN || c->state == CONN_DRAINING)
			n += c->used - c->unfinished;
	}
	pthread_mutex_unlock(&dev->lock);
	return n;
}
