/*
 * virtio-vsock: the owner's functions; see vsock.h. Event loop.
 */
#include "clock.h"
#include "vsock_impl.h"

#include <errno.h>
#include <unistd.h>

#define EPHEMERAL_PORT 0x60000000u /* first port of host's ends without a number */

/* ---- new connections ------------------------------------------------------------ */

/* What came of an offer that was never in the table. */
static void tell_refused(struct vsock *v, uint32_t number, enum exo_reason reason)
{
	struct conn c = {.info.conn = number, .reason = reason};

	channel_tell(v, &c, EXO_CHANNEL_REFUSED);
}

static enum exo_reason reason_of(int err)
{
	return err == -EPROTONOSUPPORT                              ? EXO_REASON_TYPE
	       : err == -ESRCH                                      ? EXO_REASON_CLOSED
	       : err == -ENFILE || err == -ENOSPC || err == -ENOMEM ? EXO_REASON_BUDGET
								    : EXO_REASON_REFUSED;
}

static uint32_t host_port(struct vsock *v, uint32_t guest_port, uint16_t type, uint32_t number)
{
	uint32_t port = EXO_CONN_PORT(number);

	while (!number && (port < EPHEMERAL_PORT || conn_find(v, guest_port, port, type)))
		port = EPHEMERAL_PORT | (v->next_port++ & (EPHEMERAL_PORT - 1));
	return port;
}

/* An offer for the guest's port; the driver may have to come first. */
static int offer(struct vsock *v, uint32_t port, uint32_t type, uint32_t number, struct conn **out)
{
	uint64_t patience = v->dev.running ? VSOCK_TIMEOUT_NS : BOOT_TIMEOUT_NS;
	uint32_t from;
	struct conn *c;

	if (type != VIRTIO_VSOCK_TYPE_STREAM && type != VIRTIO_VSOCK_TYPE_SEQPACKET)
		return -EINVAL;
	if (v->dev.running && !vsock_knows_type(v, type))
		return -EPROTONOSUPPORT;
	from = host_port(v, port, type, number);
	if (conn_find(v, port, from, type) || (number && channel_find(v, number)))
		return -EEXIST;
	*out = c = conn_new(v, port, from, type);
	if (!c)
		return -ENFILE;
	c->state = CONN_REQUESTED;
	c->info.conn = number;
	conn_set_deadline(v, c, clock_now_ns() + patience);
	return 0;
}

static void take_socket(struct conn *c, int fd, const struct exo_vmm_vsock *m)
{
	c->info.conn = m->conn;
	c->info.cookie = m->cookie;
	c->peer.rate = m->max_rate;
	peer_set_socket(&c->peer, fd, c->type == VIRTIO_VSOCK_TYPE_SEQPACKET);
}

/* The guest's request is granted. */
static void grant(struct vsock *v, struct conn *c)
{
	c->state = CONN_OPEN;
	c->accepted = true;
	c->due = DUE_RESPONSE;
	conn_set_deadline(v, c, 0);
	vsock_settle(v, c);
}

int vsock_open(struct vdev *dev, int fd, const struct exo_vmm_vsock *m)
{
	struct vsock *v = vsock_of(dev);
	struct conn *c;
	int err;

	pthread_mutex_lock(&dev->lock);
	err = offer(v, m->port, m->type, m->conn, &c);
	if (err) {
		tell_refused(v, m->conn, reason_of(err));
	} else {
		take_socket(c, fd, m);
		c->say_ok = m->flags & EXO_VSOCK_SAY_OK;
		c->due = DUE_REQUEST;
		vsock_settle(v, c);
		vsock_service(v, false);
	}
	pthread_mutex_unlock(&dev->lock);
	return err;
}

void vsock_reply(struct vdev *dev, const struct exo_vmm_vsock *m, int fd)
{
	struct vsock *v = vsock_of(dev);
	bool granted = !m->status && fd >= 0;
	struct conn *c;

	pthread_mutex_lock(&dev->lock);
	c = conn_by_id(v, m->id);
	if (c && c->state != CONN_ASKED)
		c = NULL;
	if (c && granted) {
		take_socket(c, fd, m);
		grant(v, c);
	} else if (fd >= 0) {
		close(fd);
	}
	if (c && !granted)
		conn_reset(v, c, m->reason ? m->reason : EXO_REASON_REFUSED);
	if (!c && granted)
		tell_refused(v, m->conn, EXO_REASON_CLOSED);
	vsock_service(v, false);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- channels --------------------------------------------------------------------- */

static bool sound(const struct exo_vmm_channel *m)
{
	return m->conn && m->side <= 1 && m->ring_bytes >= EXO_RING_BYTES_MIN &&
	       m->ring_bytes <= EXO_RING_BYTES_MAX && !(m->ring_bytes & (m->ring_bytes - 1));
}

/* The connection that the message is about: a new one, or the guest's request. */
static int channel_conn(struct vsock *v, const struct exo_vmm_channel *m, struct conn **out)
{
	struct conn *c;

	if (!m->request)
		return offer(v, m->port, m->type, m->conn, out);
	c = conn_by_id(v, m->request);
	if (!c || c->state != CONN_ASKED || !v->dev.running)
		return -ESRCH;
	if (c->type != m->type || channel_find(v, m->conn)) {
		conn_reset(v, c, EXO_REASON_TYPE);
		return -EINVAL;
	}
	*out = c;
	return 0;
}

static int channel_locked(struct vsock *v, const struct exo_vmm_channel *m, int ring_fd,
			  int bell_fd)
{
	struct conn *c = NULL;
	int err = sound(m) ? channel_conn(v, m, &c) : -EINVAL;

	if (err) {
		close(ring_fd);
		close(bell_fd);
		tell_refused(v, m->conn, reason_of(err));
		return err;
	}
	c->info.conn = m->conn;
	c->info.cookie = m->cookie;
	c->peer.rate = m->max_rate;
	c->ring.fd = ring_fd;
	c->ring.bell_fd = bell_fd;
	c->ring.may_direct = m->flags & EXO_CHANNEL_DIRECT && !m->max_rate;
	c->ring.bytes = m->ring_bytes;
	c->ring.side = m->side;
	c->ring.peer_key = m->peer;
	if (!v->dev.running) /* an offer: requests are of drivers that run */
		return 0;
	err = channel_attach(v, c);
	if (err)
		conn_reset(v, c, reason_of(err));
	else if (m->request)
		grant(v, c);
	else
		vsock_settle(v, c);
	return err;
}

int vsock_channel(struct vdev *dev, const struct exo_vmm_channel *m, int ring_fd, int bell_fd)
{
	struct vsock *v = vsock_of(dev);
	int err;

	pthread_mutex_lock(&dev->lock);
	err = channel_locked(v, m, ring_fd, bell_fd);
	vsock_service(v, false);
	pthread_mutex_unlock(&dev->lock);
	return err;
}

/* The other end is gone, with its reason; what it has sent can still be read. */
static void peer_went(struct vsock *v, struct conn *c)
{
	if (c->state == CONN_DRAINING) {
		conn_free(v, c); /* for nobody */
	} else if (!conn_direct(c)) {
		conn_host_hup(v, c);
	} else if (c->shut_host != SHUTDOWN_BOTH) {
		c->shut_host = SHUTDOWN_BOTH;
		c->due |= DUE_SHUTDOWN;
	}
}

void vsock_close_conn(struct vdev *dev, uint32_t conn, enum exo_reason reason)
{
	bool at_once = reason == EXO_REASON_REVOKED || reason == EXO_REASON_EXPIRED;
	struct vsock *v = vsock_of(dev);
	struct conn *c;

	pthread_mutex_lock(&dev->lock);
	c = conn ? channel_find(v, conn) : NULL;
	if (c && (at_once || c->state != CONN_CLOSING)) { /* else the guest knows */
		c->reason = reason;
		if (at_once || c->state == CONN_REQUESTED)
			conn_reset(v, c, reason);
		else
			peer_went(v, c);
		vsock_settle(v, c);
		vsock_service(v, false);
	}
	pthread_mutex_unlock(&dev->lock);
}

unsigned vsock_list_channels(struct vdev *dev, unsigned from, struct exo_vmm_channel_info *info,
			     unsigned max)
{
	struct vsock *v = vsock_of(dev);
	unsigned n = 0;

	pthread_mutex_lock(&dev->lock);
	for (unsigned i = 0; i < v->nfresh && n < max; i++) {
		const struct conn *c = &v->conn[i];

		if (c->state == CONN_FREE || !c->info.conn)
			continue;
		if (from)
			from--;
		else
			info[n++] = channel_info(c);
	}
	pthread_mutex_unlock(&dev->lock);
	return n;
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
