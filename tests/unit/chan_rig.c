/* See chan_rig.h. */
#include "chan_rig.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

void chan_rig_init(struct chan_rig *c, bool session, bool direct)
{
	memset(c, 0, sizeof(*c));
	vsock_rig_make_for(&c->v, session);
	peer_init(&c->far);
	c->far_bell = -1;
	c->conn = CONN;
	if (session)
		c->v.d.dev->shm_bytes = 32u << 20;
	c->v.features = direct ? DRV_ALL_FEATURES : ~(1ull << EXO_VSOCK_F_DIRECT);
	vsock_rig_start(&c->v, 32, 4096);
}

static void forget_ring(struct chan_rig *c)
{
	if (c->base)
		munmap(c->base, exo_ring_total(c->bytes));
	c->base = NULL;
	if (c->far.fd >= 0)
		close(c->far.fd);
	peer_init(&c->far);
	if (c->far_bell >= 0)
		close(c->far_bell);
	c->far_bell = -1;
}

void chan_rig_finish(struct chan_rig *c)
{
	forget_ring(c);
	vsock_rig_finish(&c->v);
}

int chan_rig_ring(struct chan_rig *c, uint32_t bytes, bool opener, uint16_t type)
{
	int fd = memfd_create("ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	forget_ring(c);
	c->bytes = bytes;
	c->type = type;
	ck_assert_int_eq(ftruncate(fd, (off_t)exo_ring_total(bytes)), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	c->base = mmap(NULL, exo_ring_total(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(c->base, MAP_FAILED);
	peer_set_ring(&c->far, c->base, bytes, opener ? 0 : 1, dup(c->v.bell_fd),
		      type == SEQPACKET);
	c->far_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return fd;
}

struct exo_vmm_channel chan_rig_offer(const struct chan_rig *c)
{
	return (struct exo_vmm_channel){
		.conn = c->conn,
		.port = SERVED,
		.type = c->type,
		.side = 1,
		.flags = EXO_CHANNEL_DIRECT,
		.ring_bytes = c->bytes,
		.peer = PEER_KEY,
		.cookie = COOKIE,
	};
}

static void keep_desc(struct chan_rig *c)
{
	ck_assert(c->v.h.len == 0 || c->v.h.len == sizeof(c->desc));
	memset(&c->desc, 0, sizeof(c->desc));
	memcpy(&c->desc, c->v.payload, c->v.h.len);
}

void chan_rig_connect(struct chan_rig *c, uint32_t bytes, uint16_t type, uint64_t max_rate)
{
	int fd = chan_rig_ring(c, bytes, false, type);
	struct exo_vmm_channel m = chan_rig_offer(c);

	vsock_rig_send(&c->v, type, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	m.request = vsock_rig_asked(&c->v);
	m.side = 0;
	m.max_rate = max_rate;
	m.flags = max_rate ? 0 : EXO_CHANNEL_DIRECT;
	ck_assert_int_eq(vsock_channel(c->v.d.dev, &m, fd, dup(c->far_bell)), 0);
	vsock_rig_expect(&c->v, VIRTIO_VSOCK_OP_RESPONSE);
	ck_assert_uint_eq(c->v.h.src_port, HOST_PORT);
	c->host_port = HOST_PORT;
	c->guest_port = GUEST_PORT;
	keep_desc(c);
}

void chan_rig_accept(struct chan_rig *c, uint32_t bytes, uint16_t type)
{
	int fd = chan_rig_ring(c, bytes, true, type);
	struct exo_vmm_channel m = chan_rig_offer(c);

	ck_assert_int_eq(vsock_channel(c->v.d.dev, &m, fd, dup(c->far_bell)), 0);
	vsock_rig_expect(&c->v, VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(c->v.h.src_port, EXO_CONN_PORT(c->conn));
	ck_assert_uint_eq(c->v.h.dst_port, SERVED);
	c->host_port = EXO_CONN_PORT(c->conn);
	c->guest_port = SERVED;
	keep_desc(c);
	chan_rig_send(c, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	chan_rig_state(c, EXO_CHANNEL_ACCEPTED, EXO_REASON_NONE);
}

void chan_rig_send(struct chan_rig *c, uint16_t op, uint32_t flags, const void *data, uint32_t len)
{
	struct virtio_vsock_hdr h = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = 2,
		.src_port = c->guest_port,
		.dst_port = c->host_port,
		.type = c->type,
		.op = op,
		.flags = flags,
		.len = len,
		.buf_alloc = c->v.buf_alloc,
		.fwd_cnt = c->v.fwd_cnt,
	};

	ck_assert(vsock_rig_offer(&c->v, &h, data, len));
}

struct exo_vmm_channel_state chan_rig_state(struct chan_rig *c, uint32_t state, uint32_t reason)
{
	struct exo_vmm_channel_state m;
	struct drv_event e;

	ck_assert(drv_take_event(&c->v.d, &e));
	ck_assert_uint_eq(e.len, sizeof(m));
	memcpy(&m, e.bytes, sizeof(m));
	ck_assert_uint_eq(m.h.magic, EXO_VMM_MAGIC);
	ck_assert_uint_eq(m.h.type, EXO_VMM_CHANNEL_STATE);
	ck_assert_uint_eq(m.h.size, sizeof(m));
	ck_assert_uint_eq(m.conn, c->conn);
	ck_assert_uint_eq(m.state, state);
	ck_assert_uint_eq(m.reason, reason);
	return m;
}

void chan_rig_no_event(struct chan_rig *c)
{
	ck_assert_uint_eq(c->v.d.nevents, 0);
}

bool chan_rig_rung(struct chan_rig *c)
{
	uint64_t n;

	return read(c->far_bell, &n, sizeof(n)) == (ssize_t)sizeof(n);
}

size_t chan_rig_read(struct chan_rig *c, void *buf, size_t max, int *why)
{
	size_t done = 0;
	unsigned flags;
	bool end;

	*why = 0;
	while (done < max) {
		struct iovec iov = {.iov_base = (char *)buf + done, .iov_len = max - done};
		ssize_t r = peer_recv(&c->far, &iov, 1, max - done, &end, &flags);

		if (r < 0) {
			*why = (int)r;
			break;
		}
		done += (size_t)r;
	}
	return done;
}
