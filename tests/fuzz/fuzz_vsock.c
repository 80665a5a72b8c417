/*
 * Fuzzes vsock: connections both ways, hosts that are slow, go away or refuse.
 * Beyond the harness's oracles: what waits for the hosts stays within the
 * windows given out, and whatever happened, the device comes to rest.
 */
#include "harness.h"
#include "vsock.h"

#include <exo/vmm.h>

#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX, TX };

#define PEERS 12
#define HEADER sizeof(struct virtio_vsock_hdr)
#define EPHEMERAL (1u << 30)
#define PENDING_MAX \
	(VSOCK_BUFFERS_LARGE * VSOCK_BUFFER_LARGE + VSOCK_CONNS_MAX * VSOCK_BUFFER_SMALL)
#define REST_MAX 5000

static int peer[PEERS]; /* our ends of the hosts' sockets, -1: none */

static struct vdev *create(struct fuzz *f)
{
	for (unsigned i = 0; i < PEERS; i++)
		peer[i] = -1;
	return vsock_create(&f->d.mem, &f->d.host, VSOCK_GUEST_CID);
}

static void tx_chain(struct fuzz *f, struct fuzz_chain *c)
{
	static const uint16_t ops[] = {
		VIRTIO_VSOCK_OP_RW,       VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_RW,       VIRTIO_VSOCK_OP_REQUEST,
		VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_SHUTDOWN,
		VIRTIO_VSOCK_OP_RST,      VIRTIO_VSOCK_OP_CREDIT_UPDATE,
	};
	static const uint32_t windows[] = {1u << 20, 1u << 20, 65536, 100};
	uint8_t what = fuzz_u8(f), who = fuzz_u8(f), credit = fuzz_u8(f);
	bool opened = who & 1; /* by the host: its ports are counted up */
	struct virtio_vsock_hdr h = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = 2,
		.src_port = who >> 1 & 3,
		.dst_port = opened ? EPHEMERAL + (who >> 3 & 7) : 7,
		.type = (who >> 6 & 1) + 1,
		.op = ops[what & 7],
		.flags = what >> 3 & 3,
		.buf_alloc = windows[credit & 3],
		.fwd_cnt = credit >> 2 & 1 ? fuzz_u16(f) : 0,
	};

	if (h.op == VIRTIO_VSOCK_OP_RW)
		h.len = who >> 7 ? fuzz_u16(f) % (FUZZ_DATA_MAX - HEADER) : what >> 5;
	c->data_len = HEADER + h.len;
	if (fuzz_rare(f))
		fuzz_bytes(f, &h, HEADER);
	if (fuzz_rare(f))
		h.op = VIRTIO_VSOCK_OP_CREDIT_REQUEST;
	if (fuzz_rare(f))
		h.len = fuzz_u32(f);
	memcpy(c->data, &h, HEADER);
	if (fuzz_rare(f))
		c->data_len = fuzz_u16(f) % FUZZ_DATA_MAX;
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	if (q == TX)
		tx_chain(f, c);
	else
		c->write_len = fuzz_rare(f) ? fuzz_u8(f) % HEADER : HEADER + fuzz_u16(f) % 2048;
}

/* A connected pair; one end becomes a peer, in the place of an older one. */
static int host_socket(struct fuzz *f, uint16_t type)
{
	unsigned i = fuzz_u8(f) % PEERS;
	int fd[2];

	if (socketpair(AF_UNIX,
		       (type == VIRTIO_VSOCK_TYPE_STREAM ? SOCK_STREAM : SOCK_SEQPACKET) |
			       SOCK_NONBLOCK,
		       0, fd))
		abort();
	if (peer[i] >= 0)
		close(peer[i]);
	peer[i] = fd[1];
	return fd[0];
}

static void answer(struct fuzz *f, uint8_t how)
{
	struct exo_vmm_vsock msg;
	struct drv_event e;

	if (!drv_take_event(&f->d, &e))
		return;
	fuzz_check(e.len == sizeof(msg), "event's size");
	memcpy(&msg, e.bytes, sizeof(msg));
	fuzz_check(msg.h.type == EXO_VMM_VSOCK_REQUEST && (msg.type == 1 || msg.type == 2),
		   "event's type");
	if (how & 1)
		msg.id ^= fuzz_u16(f);
	if (how & 2)
		vsock_reply(f->d.dev, msg.id, -111, -1);
	else
		vsock_reply(f->d.dev, msg.id, 0, host_socket(f, (uint16_t)msg.type));
}

static void host_connects(struct fuzz *f, uint8_t how)
{
	uint16_t type = (how & 1) + 1;
	int fd = host_socket(f, type);

	if (vsock_open(f->d.dev, fd, how >> 1 & 3, type, how & 8, 0))
		close(fd);
}

static void event(struct fuzz *f)
{
	static char buf[40000];
	uint8_t what = fuzz_u8(f), how = fuzz_u8(f);
	int fd = peer[how % PEERS];

	switch (what & 7) {
	case 0:
	case 1:
		answer(f, what & 0xf0 ? 0 : how);
		break;
	case 2:
		host_connects(f, how);
		break;
	case 3:
	case 4:
		if (fd >= 0 && send(fd, buf, what & 8 ? what * 128 : what >> 4, MSG_NOSIGNAL) < 0)
			break;
		break;
	case 5:
		if (fd >= 0 && read(fd, buf, sizeof(buf)) < 0)
			break;
		break;
	case 6:
		if (fd >= 0)
			shutdown(fd, what >> 4 & 1);
		break;
	case 7:
		if (fd >= 0)
			close(fd);
		peer[how % PEERS] = -1;
		break;
	}
	fuzz_check(vsock_pending(f->d.dev) <= PENDING_MAX, "more waits than was allowed");
}

/* Nobody does anything any more: after a while the device doesn't either. */
static void come_to_rest(struct fuzz *f)
{
	unsigned n = 0;

	while (drv_pump(&f->d, 0))
		fuzz_check(++n < REST_MAX, "the device does not come to rest");
}

/* Hosts that read: all that a good driver sent is taken. */
static void settle(struct fuzz *f)
{
	static char buf[65536];

	if (!f->d.dev->running)
		return;
	drv_kick_if_wanted(&f->d, TX);
	for (unsigned turn = 0; turn < 64; turn++) {
		for (unsigned i = 0; i < PEERS; i++) {
			if (peer[i] >= 0 && read(peer[i], buf, sizeof(buf)) < 0)
				continue;
		}
		drv_pump(&f->d, 0);
	}
	fuzz_check(*drv_used_idx(&f->d, TX) == f->d.q[TX].avail_idx, "a packet was lost");
	come_to_rest(f);
}

/* The device is gone, and with it all its ends of the sockets. */
static void cleanup(struct fuzz *f)
{
	static char buf[65536];
	ssize_t n;

	for (unsigned i = 0; i < PEERS; i++) {
		if (peer[i] < 0)
			continue;
		while ((n = recv(peer[i], buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			;
		fuzz_check(send(peer[i], "", 1, MSG_NOSIGNAL) < 0, "a socket was left open");
		close(peer[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_target target = {.create = create,
						  .chain = chain,
						  .event = event,
						  .settle = settle,
						  .cleanup = cleanup};

	return fuzz_run(&target, data, size);
}
