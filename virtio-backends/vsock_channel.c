/*
 * virtio-vsock: connections of a session. Their rings (exo/ring.h), mapped for
 * the guest (direct, exo/channel.h) or for ourselves, and what the owner hears of
 * them. Lock held, see vsock_impl.h.
 *
 * A direct connection costs nothing while it is open: its bytes, its flow
 * control and its half-closing are between the guest and the other end. Packets
 * only begin and end it.
 */
#include "vsock_impl.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- the owner ---------------------------------------------------------------- */

struct conn *channel_find(struct vsock *v, uint32_t number)
{
	for (unsigned i = 0; i < v->nfresh; i++) {
		if (v->conn[i].state != CONN_FREE && v->conn[i].info.conn == number)
			return &v->conn[i];
	}
	return NULL;
}

struct exo_vmm_channel_info channel_info(const struct conn *c)
{
	const struct exo_ring_header *h = c->ring.base;
	struct exo_vmm_channel_info info = c->info;

	if (!conn_direct(c) || !h)
		return info;
	/* As the two ends claim; nothing depends on it. */
	const struct exo_ring_dir *tx = &h->dir[c->ring.side], *rx = &h->dir[!c->ring.side];

	info.tx_bytes = __atomic_load_n(&tx->head, __ATOMIC_RELAXED);
	info.tx_messages = __atomic_load_n(&tx->messages, __ATOMIC_RELAXED);
	info.rx_bytes = __atomic_load_n(&rx->tail, __ATOMIC_RELAXED);
	info.rx_messages = __atomic_load_n(&rx->messages, __ATOMIC_RELAXED);
	return info;
}

void channel_tell(struct vsock *v, const struct conn *c, uint32_t state)
{
	struct exo_vmm_channel_info info = channel_info(c);
	struct exo_vmm_channel_state msg = {
		.h = {.magic = EXO_VMM_MAGIC, .type = EXO_VMM_CHANNEL_STATE, .size = sizeof(msg)},
		.conn = info.conn,
		.state = state,
		.flags = info.flags & EXO_CHANNEL_DIRECT,
		.reason = c->reason,
		.tx_bytes = info.tx_bytes,
		.rx_bytes = info.rx_bytes,
		.tx_messages = info.tx_messages,
		.rx_messages = info.rx_messages,
	};

	if (info.conn)
		v->dev.host->event(v->dev.host->opaque, &v->dev, &msg, sizeof(msg));
}

/* ---- rings ----------------------------------------------------------------------- */

static int map(struct vsock *v, struct conn *c, unsigned flags)
{
	const struct vdev_host *host = v->dev.host;

	return host->map(host->opaque, &v->dev, c->ring.fd, exo_ring_total(c->ring.bytes), flags,
			 &c->ring.base, &c->ring.offset);
}

/* The ring is the guest's. */
static int attach_guest(struct vsock *v, struct conn *c)
{
	const struct vdev_host *host = v->dev.host;
	int bell_fd = c->ring.bell_fd, err;

	c->info.flags |= EXO_CHANNEL_DIRECT;
	conn_drop_buffer(v, c);
	c->ring.bell_fd = -1;
	err = host->bell(host->opaque, &v->dev, bell_fd, c->ring.peer_key, &c->ring.doorbell);
	c->ring.has_doorbell = !err;
	return err;
}

/* The ring is ours. A message must fit into it with its header. */
static int attach_peer(struct vsock *v, struct conn *c)
{
	const struct vdev_host *host = v->dev.host;
	bool packets = c->type == VIRTIO_VSOCK_TYPE_SEQPACKET;
	int err;

	if (!v->bell_watched) {
		err = v->bell_fd < 0
			      ? -ENOSYS
			      : host->watch(host->opaque, &v->dev, v->bell_fd, EPOLLIN, TOKEN_BELL);
		if (err)
			return err;
		v->bell_watched = true;
	}
	if (packets && c->alloc > c->ring.bytes - sizeof(struct exo_ring_msg))
		c->alloc = c->ring.bytes - sizeof(struct exo_ring_msg);
	peer_set_ring(&c->peer, c->ring.base, c->ring.bytes, c->ring.side, c->ring.bell_fd,
		      packets);
	c->ring.bell_fd = -1;
	return 0;
}

/*
 * If the guest has no room for it, an offer is switched. Not so what the guest
 * asked for: the other end has got the guest's doorbell already.
 */
int channel_attach(struct vsock *v, struct conn *c)
{
	bool direct = c->ring.may_direct && vdev_has_feature(&v->dev, EXO_VSOCK_F_DIRECT);
	int err;

	if (c->state == CONN_REQUESTED)
		c->due = DUE_REQUEST;
	if (!v->dev.host->map)
		return -ENOSYS;
	err = map(v, c, direct ? VDEV_MAP_GUEST : 0);
	if (err == -ENOSPC && direct && c->state == CONN_REQUESTED) {
		direct = false;
		err = map(v, c, 0);
	}
	if (err)
		return err;
	close(c->ring.fd);
	c->ring.fd = -1;
	return direct ? attach_guest(v, c) : attach_peer(v, c);
}

void channel_attach_all(struct vsock *v)
{
	v->attach = false;
	for (unsigned i = 0; i < v->nfresh && v->dev.running; i++) {
		struct conn *c = &v->conn[i];

		if (c->state != CONN_REQUESTED || c->ring.fd < 0)
			continue;
		if (channel_attach(v, c)) {
			conn_reset(v, c, EXO_REASON_BUDGET);
			continue;
		}
		vsock_settle(v, c);
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void channel_detach(struct vsock *v, struct conn *c)
{
	const struct vdev_host *host = v->dev.host;

	close_fd(&c->ring.fd);
	close_fd(&c->ring.bell_fd);
	if (c->ring.has_doorbell)
		host->unbell(host->opaque, &v->dev, c->ring.doorbell, conn_revoked(c));
	c->ring.has_doorbell = false;
	c->info = channel_info(c);
	if (c->ring.base)
		host->unmap(host->opaque, &v->dev, c->ring.base, exo_ring_total(c->ring.bytes));
	c->ring.base = NULL;
}

/* ---- the other ends' doorbell --------------------------------------------------------- */

static void look(struct vsock *v, struct conn *c)
{
	int seen = peer_look(&c->peer);

	if (seen < 0) {
		conn_reset(v, c, EXO_REASON_PROTOCOL);
		return;
	}
	c->readable |= c->state == CONN_OPEN && seen & PEER_READABLE;
	if (c->state == CONN_OPEN && seen & PEER_DEAF &&
	    !(c->shut_host & VIRTIO_VSOCK_SHUTDOWN_RCV))
		conn_host_deaf(v, c);
	/* Nobody will read up to the end. */
	if (c->state == CONN_OPEN && seen & PEER_END && c->shut_guest & VIRTIO_VSOCK_SHUTDOWN_RCV &&
	    !(c->shut_host & VIRTIO_VSOCK_SHUTDOWN_SEND))
		conn_host_eof(v, c);
	conn_flush(v, c);
	vsock_settle(v, c);
}

void channel_rung(struct vsock *v)
{
	uint64_t rings;

	/* Before looking: who rings from now on is heard again. */
	if (read(v->bell_fd, &rings, sizeof(rings)) != (ssize_t)sizeof(rings))
		return;
	for (unsigned i = 0; i < v->nfresh; i++) {
		struct conn *c = &v->conn[i];

		if (c->state != CONN_FREE && c->peer.kind == PEER_RING && !c->hup)
			look(v, c);
	}
}
