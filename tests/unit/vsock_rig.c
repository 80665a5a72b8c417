/*
 * See vsock_rig.h.
 */
#include "vsock_rig.h"

#include <check.h>
#include <dirent.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define TX_BYTES (65536u + 64)

void vsock_rig_make_for(struct vsock_rig *r, bool direct)
{
	struct vsock_resources res = {.guest_cid = VSOCK_GUEST_CID, .direct = direct};
	struct vdev *dev;

	memset(r, 0, sizeof(*r));
	drv_init(&r->d);
	r->bell_fd = res.vmm_bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(r->bell_fd, 0);
	dev = vsock_create(&r->d.mem, &r->d.host, &res);
	ck_assert_ptr_nonnull(dev);
	drv_attach(&r->d, dev);
	r->d.queue_size = 256;
	r->features = DRV_ALL_FEATURES;
	r->buf_alloc = 1u << 20;
	r->src_cid = VSOCK_GUEST_CID;
	r->dst_cid = 2;
}

void vsock_rig_make(struct vsock_rig *r)
{
	vsock_rig_make_for(r, false);
}

static void post(struct vsock_rig *r, gpa_t gpa)
{
	struct drv_buf buf = {.gpa = gpa, .len = r->rx_bytes, .write = true};

	r->rx_gpa[drv_add(&r->d, 0, &buf, 1)] = gpa;
}

void vsock_rig_post(struct vsock_rig *r, unsigned n)
{
	while (n--)
		post(r, drv_alloc(&r->d, r->rx_bytes, 1));
	drv_kick_if_wanted(&r->d, 0);
}

void vsock_rig_start(struct vsock_rig *r, unsigned buffers, uint32_t bytes)
{
	ck_assert(drv_start(&r->d, r->features));
	r->rx_bytes = bytes;
	r->tx_gpa = drv_alloc(&r->d, TX_BYTES, 1);
	vsock_rig_post(r, buffers);
}

void vsock_rig_init(struct vsock_rig *r, unsigned buffers, uint32_t bytes)
{
	vsock_rig_make(r);
	vsock_rig_start(r, buffers, bytes);
}

void vsock_rig_finish(struct vsock_rig *r)
{
	drv_finish(&r->d);
	close(r->bell_fd);
}

bool vsock_rig_offer(struct vsock_rig *r, const struct virtio_vsock_hdr *h, const void *data,
		     uint32_t len)
{
	struct drv_buf buf[2] = {{.gpa = r->tx_gpa, .len = sizeof(*h)},
				 {.gpa = r->tx_gpa + sizeof(*h), .len = len}};
	uint32_t id, written;

	memcpy(drv_ptr(&r->d, r->tx_gpa, sizeof(*h)), h, sizeof(*h));
	if (len)
		memcpy(drv_ptr(&r->d, r->tx_gpa + sizeof(*h), len), data, len);
	drv_add(&r->d, 1, buf, len ? 2 : 1);
	drv_kick(&r->d, 1);
	if (!drv_used(&r->d, 1, &id, &written))
		return false;
	ck_assert_uint_eq(written, 0);
	return true;
}

void vsock_rig_send(struct vsock_rig *r, uint16_t type, uint16_t op, uint32_t flags,
		    const void *data, uint32_t len)
{
	struct virtio_vsock_hdr h = {
		.src_cid = r->src_cid,
		.dst_cid = r->dst_cid,
		.src_port = GUEST_PORT,
		.dst_port = HOST_PORT,
		.len = len,
		.type = type,
		.op = op,
		.flags = flags,
		.buf_alloc = r->buf_alloc,
		.fwd_cnt = r->fwd_cnt,
	};

	ck_assert(vsock_rig_offer(r, &h, data, len));
}

bool vsock_rig_recv(struct vsock_rig *r)
{
	static uint8_t copy[1 << 20];
	uint32_t id, len;
	gpa_t gpa;

	for (unsigned i = 0; !drv_used(&r->d, 0, &id, &len); i++) {
		if (i == 20)
			return false;
		drv_pump(&r->d, 5);
	}
	gpa = r->rx_gpa[id];
	ck_assert_uint_ge(len, sizeof(r->h));
	ck_assert_uint_le(len, r->rx_bytes);
	memcpy(&r->h, drv_ptr(&r->d, gpa, sizeof(r->h)), sizeof(r->h));
	ck_assert_uint_eq(r->h.len, len - sizeof(r->h));
	ck_assert_uint_eq(r->h.src_cid, 2);
	ck_assert_uint_eq(r->h.dst_cid, VSOCK_GUEST_CID);
	memcpy(copy, drv_ptr(&r->d, gpa + sizeof(r->h), r->h.len), r->h.len);
	r->payload = copy;
	post(r, gpa);
	drv_kick_if_wanted(&r->d, 0);
	return true;
}

void vsock_rig_expect(struct vsock_rig *r, uint16_t op)
{
	ck_assert_msg(vsock_rig_recv(r), "no packet, expected op %u", op);
	ck_assert_uint_eq(r->h.op, op);
}

void vsock_rig_expect_quiet(struct vsock_rig *r)
{
	uint32_t id, len;

	while (drv_pump(&r->d, 0))
		;
	ck_assert(!drv_used(&r->d, 0, &id, &len));
	ck_assert_uint_eq(drv_pump(&r->d, 20), 0);
}

void vsock_rig_expect_eof(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char c;

	ck_assert_int_eq(poll(&p, 1, 1000), 1);
	ck_assert_int_eq(recv(fd, &c, 1, MSG_DONTWAIT), 0);
}

struct exo_vmm_vsock vsock_rig_request(struct vsock_rig *r)
{
	struct exo_vmm_vsock msg;
	struct drv_event e;

	ck_assert(drv_take_event(&r->d, &e));
	ck_assert_uint_eq(e.len, sizeof(msg));
	memcpy(&msg, e.bytes, sizeof(msg));
	ck_assert_uint_eq(msg.h.magic, EXO_VMM_MAGIC);
	ck_assert_uint_eq(msg.h.type, EXO_VMM_VSOCK_REQUEST);
	ck_assert_uint_eq(msg.h.size, sizeof(msg));
	ck_assert_uint_eq(msg.port, HOST_PORT);
	return msg;
}

uint32_t vsock_rig_asked(struct vsock_rig *r)
{
	return vsock_rig_request(r).id;
}

int vsock_rig_open(struct vsock_rig *r, int fd, uint32_t port, uint16_t type, bool say_ok)
{
	struct exo_vmm_vsock m = {
		.port = port, .type = type, .flags = say_ok ? EXO_VSOCK_SAY_OK : 0};

	return vsock_open(r->d.dev, fd, &m);
}

void vsock_rig_reply(struct vsock_rig *r, uint32_t id, int status, int fd)
{
	struct exo_vmm_vsock m = {.id = id, .status = status};

	vsock_reply(r->d.dev, &m, fd);
}

int vsock_rig_connect(struct vsock_rig *r, uint16_t type)
{
	int fds[2];

	vsock_rig_send(r, type, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, type == STREAM ? SOCK_STREAM : SOCK_SEQPACKET, 0, fds),
			 0);
	vsock_rig_reply(r, vsock_rig_asked(r), 0, fds[0]);
	vsock_rig_expect(r, VIRTIO_VSOCK_OP_RESPONSE);
	ck_assert_uint_eq(r->h.type, type);
	ck_assert_uint_eq(r->h.src_port, HOST_PORT);
	ck_assert_uint_eq(r->h.dst_port, GUEST_PORT);
	return fds[1];
}

unsigned vsock_rig_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

void vsock_rig_fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 13 + i / 251 + seed);
}
