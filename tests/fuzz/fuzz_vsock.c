/*
 * Fuzzes vsock: connections both ways, with sockets and with rings, direct and
 * switched; other ends that are slow, go away, refuse or write nonsense into the ring.
 * Beyond the harness's oracles: what waits for the hosts stays within the
 * windows given out; the owner hears of each numbered connection what it should, once;
 * whatever happened, the device comes to rest, and at its end leaves nothing.
 */
#include "harness.h"
#include "peer.h"
#include "vsock.h"

#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RX, TX };

#define PEERS 12
#define HEADER sizeof(struct virtio_vsock_hdr)
#define EPHEMERAL 0x60000000u
#define FARS 6
#define RING 4096u
#define NUMBERS 4096 /* more than one input can use */
#define PENDING_MAX \
	(VSOCK_BUFFERS_LARGE * VSOCK_BUFFER_LARGE + VSOCK_CONNS_MAX * VSOCK_BUFFER_SMALL)
#define REST_MAX 5000

static int peer[PEERS]; /* our ends of the hosts' sockets, -1: none */

/* Connections that exist, or did a while ago: what a good driver would use. */
#define KNOWN 8
static struct {
	uint32_t guest_port, host_port;
	uint16_t type;
	bool accept; /* the host asked, the guest has not answered */
} known[KNOWN];
static unsigned nknown, opened, asked;

/* The other ends of rings, the latest ones. */
static struct far {
	struct peer peer;
	uint8_t *base; /* NULL: none */
	uint32_t number;
} far[FARS];
static unsigned nfars;
static uint32_t numbers; /* given out */
static int vmm_bell;

/* What the owner knows of a numbered connection. */
static enum { UNKNOWN, OFFERED, ACCEPTED, OVER } fate[NUMBERS];

static void know(uint32_t guest_port, uint32_t host_port, uint16_t type, bool accept)
{
	known[nknown % KNOWN].guest_port = guest_port;
	known[nknown % KNOWN].host_port = host_port;
	known[nknown % KNOWN].type = type;
	known[nknown++ % KNOWN].accept = accept;
}

static struct vdev *create(struct fuzz *f)
{
	for (unsigned i = 0; i < PEERS; i++)
		peer[i] = -1;
	nknown = opened = asked = 0;
	struct vsock_resources res = {.guest_cid = VSOCK_GUEST_CID, .direct = true};

	vmm_bell = res.vmm_bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	numbers = nfars = 0;
	memset(fate, 0, sizeof(fate));
	return vsock_create(&f->d.mem, &f->d.host, &res);
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

static void forget_far(struct far *p)
{
	if (!p->base)
		return;
	peer_close(&p->peer);
	munmap(p->base, exo_ring_total(RING));
	p->base = NULL;
}

/* A ring whose other end is ours: the connection's message, and the ring's memory. */
static int make_ring(struct exo_vmm_channel *m)
{
	struct far *p = &far[nfars++ % FARS];
	int fd = memfd_create("ring", MFD_CLOEXEC);

	forget_far(p);
	if (fd < 0 || ftruncate(fd, (off_t)exo_ring_total(RING)))
		abort();
	p->base = mmap(NULL, exo_ring_total(RING), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p->base == MAP_FAILED)
		abort();
	p->number = m->conn = numbers % (NUMBERS - 1) + 1;
	numbers++;
	m->ring_bytes = RING;
	m->peer = p->number % 3;
	peer_init(&p->peer);
	peer_set_ring(&p->peer, p->base, RING, !m->side, dup(vmm_bell), m->type == 2);
	fate[m->conn] = OFFERED;
	return fd;
}

/* The guest's request is answered with a ring. */
static void answer_ring(struct fuzz *f, const struct exo_vmm_vsock *ask)
{
	struct exo_vmm_channel m = {
		.request = ask->id,
		.type = ask->type,
		.flags = ask->guest_port & 2 ? EXO_CHANNEL_DIRECT : 0,
		.max_rate = ask->guest_port & 12 ? 0 : 1000000,
	};
	int fd = make_ring(&m);

	if (vsock_channel(f->d.dev, &m, fd, dup(vmm_bell)) == 0)
		fate[m.conn] = ACCEPTED;
}

/* Each offer is accepted or refused, each that is accepted is closed; once. */
static void hear(const struct exo_vmm_channel_state *m)
{
	fuzz_check(m->conn && m->conn < NUMBERS && m->reason < EXO_REASONS, "event's fields");
	switch (m->state) {
	case EXO_CHANNEL_ACCEPTED:
		fuzz_check(fate[m->conn] == OFFERED, "accepted what was not offered");
		fate[m->conn] = ACCEPTED;
		break;
	case EXO_CHANNEL_REFUSED:
		fuzz_check(fate[m->conn] == OFFERED, "refused what was not offered");
		fate[m->conn] = OVER;
		break;
	default:
		fuzz_check(m->state == EXO_CHANNEL_CLOSED && fate[m->conn] != OVER,
			   "closed what was over");
		fate[m->conn] = OVER;
	}
}

/* The owner answers what the guest asked. */
static void answer(struct fuzz *f)
{
	struct exo_vmm_vsock msg;
	struct drv_event e;

	if (!drv_take_event(&f->d, &e))
		return;
	memcpy(&msg, e.bytes, sizeof(msg));
	if (msg.h.type == EXO_VMM_CHANNEL_STATE) {
		struct exo_vmm_channel_state state;

		fuzz_check(e.len == sizeof(state), "event's size");
		memcpy(&state, e.bytes, sizeof(state));
		hear(&state);
		return;
	}
	fuzz_check(e.len == sizeof(msg), "event's size");
	fuzz_check(msg.h.type == EXO_VMM_VSOCK_REQUEST && (msg.type == 1 || msg.type == 2),
		   "event's type");
	if (fuzz_rare(f))
		msg.id ^= fuzz_u16(f);
	if (fuzz_rare(f))
		msg.status = -111;
	if (!msg.status && msg.guest_port & 1) {
		answer_ring(f, &msg);
		return;
	}
	vsock_reply(f->d.dev, &msg, msg.status ? -1 : host_socket(f, (uint16_t)msg.type));
}

static void host_connects(struct fuzz *f, uint8_t how)
{
	uint16_t type = (how & 1) + 1;
	int fd = host_socket(f, type);

	struct exo_vmm_vsock m = {
		.port = how >> 1 & 3, .type = type, .flags = how & 8 ? EXO_VSOCK_SAY_OK : 0};

	if (vsock_open(f->d.dev, fd, &m))
		close(fd);
	else
		know(how >> 1 & 3, EPHEMERAL + opened++, type, true);
}

static void offer_ring(struct fuzz *f, uint8_t how)
{
	struct exo_vmm_channel m = {
		.port = how >> 1 & 3,
		.type = (how & 1) + 1,
		.side = 1,
		.flags = how & 8 ? EXO_CHANNEL_DIRECT : 0,
		.max_rate = how & 0x70 ? 0 : 100000,
	};
	int fd = make_ring(&m);

	if (vsock_channel(f->d.dev, &m, fd, dup(vmm_bell)) == 0)
		know(m.port, EXO_CONN_PORT(m.conn), (uint16_t)m.type, true);
}

/* A ring's other end does something, or the owner with the connection. */
static void far_acts(struct fuzz *f, uint8_t what, uint8_t how)
{
	static const enum exo_reason reason[] = {EXO_REASON_CLOSED, EXO_REASON_DIED,
						 EXO_REASON_REVOKED, EXO_REASON_EXPIRED};
	static uint8_t buf[RING];
	struct far *p = &far[how % FARS];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct exo_vmm_channel_info info[4];
	uint64_t value;
	unsigned flags;
	bool last;

	if (!p->base)
		return;
	switch (what & 7) {
	case 0:
	case 1:
	case 2:
		(void)peer_send(&p->peer, &iov, 1, how & 0x40 ? how * 16 : how >> 3, how >> 7);
		break;
	case 3:
		(void)peer_recv(&p->peer, &iov, 1, how * 16u, &last, &flags);
		(void)peer_sleep(&p->peer);
		break;
	case 4:
		peer_shutdown(&p->peer, how & 0x20, how & 0x40);
		break;
	case 5:
		vsock_close_conn(f->d.dev, p->number, reason[how >> 4 & 3]);
		break;
	case 6:
		fuzz_check(vsock_list_channels(f->d.dev, how >> 4, info, 4) <= 4, "list");
		break;
	case 7:
		value = how & 0x80 ? fuzz_u64(f) : fuzz_u16(f);
		memcpy(p->base + (how & 0x40 ? fuzz_u8(f) / 8 * 8 : 4096 + fuzz_u16(f) % 8184),
		       &value, sizeof(value));
		peer_shutdown(&p->peer, how & 0x10, false); /* sometimes with a ring */
		break;
	}
}

/* A packet of a connection that the target knows of. */
static void known_packet(struct fuzz *f, struct virtio_vsock_hdr *h)
{
	static const uint16_t ops[] = {
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RW,       VIRTIO_VSOCK_OP_RW,
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_RW,       VIRTIO_VSOCK_OP_CREDIT_UPDATE,
		VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_SHUTDOWN,
	};
	uint8_t what = fuzz_u8(f);
	unsigned i = fuzz_u8(f) % (nknown < KNOWN ? nknown : KNOWN);

	h->src_port = known[i].guest_port;
	h->dst_port = known[i].host_port;
	h->type = known[i].type;
	h->op = known[i].accept ? VIRTIO_VSOCK_OP_RESPONSE : ops[what & 7];
	known[i].accept = false;
	if (h->op == VIRTIO_VSOCK_OP_SHUTDOWN && what & 0x40)
		h->op = VIRTIO_VSOCK_OP_RST;
	if (h->op == VIRTIO_VSOCK_OP_SHUTDOWN)
		h->flags = what >> 3 & 3;
	if (h->op == VIRTIO_VSOCK_OP_RW) {
		h->flags = what >> 3 & 1; /* the end of a message */
		h->len = what >> 7 ? FUZZ_DATA_MAX - HEADER - (what & 0x70) : what >> 4;
	}
}

static void tx_chain(struct fuzz *f, struct fuzz_chain *c)
{
	static const uint32_t windows[] = {1u << 20, 1u << 20, 65536, 100};
	uint8_t how = fuzz_u8(f);
	struct virtio_vsock_hdr h = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = 2,
		.src_port = 100 + asked,
		.dst_port = 7,
		.type = (how >> 6 & 1) + 1,
		.op = VIRTIO_VSOCK_OP_REQUEST,
		.buf_alloc = windows[how >> 4 & 3],
	};

	if (nknown && (how & 7))
		known_packet(f, &h);
	else
		know(100 + asked++, 7, h.type, false);
	if ((how & 0xf) == 0xf)
		h.fwd_cnt = fuzz_u16(f);
	c->data_len = HEADER + h.len;
	if (fuzz_rare(f))
		fuzz_bytes(f, &h, HEADER);
	if (fuzz_rare(f))
		h.op = fuzz_u8(f);
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

static void event(struct fuzz *f)
{
	static char buf[40000];
	uint8_t what = fuzz_u8(f), how = fuzz_u8(f);
	int fd = peer[how % PEERS];

	while (f->d.nevents)
		answer(f);
	switch (what & 7) {
	case 0:
		host_connects(f, how);
		break;
	case 1:
		offer_ring(f, how);
		break;
	case 2:
		far_acts(f, what >> 3, how);
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
	unsigned flags;
	bool last;

	if (!f->d.dev->running)
		return;
	drv_kick_if_wanted(&f->d, TX);
	for (unsigned turn = 0; turn < 64; turn++) {
		for (unsigned i = 0; i < PEERS; i++) {
			if (peer[i] >= 0 && read(peer[i], buf, sizeof(buf)) < 0)
				continue;
		}
		for (unsigned i = 0; i < FARS; i++) {
			struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};

			if (far[i].base &&
			    peer_recv(&far[i].peer, &iov, 1, sizeof(buf), &last, &flags) < 0)
				(void)peer_sleep(&far[i].peer);
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

	for (unsigned i = 0; i < FARS; i++)
		forget_far(&far[i]);
	close(vmm_bell);
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
