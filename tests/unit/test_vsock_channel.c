/*
 * virtio-vsock: connections of a session. Direct ones, where the guest has the
 * ring and the device only begins and ends; switched ones, where the device is
 * the ring's end; and sockets that have a number. The test plays the guest, the
 * owner and the other end. Long transfers and rates: test_vsock_switched.c.
 */
#include "chan_rig.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
#define RING 8192u

static struct chan_rig c;

static void check_gone(void)
{
	ck_assert_uint_eq(c.v.d.nmaps, 0);
	ck_assert_uint_eq(drv_bells(&c.v.d), 0);
	ck_assert_uint_eq(vsock_list_channels(c.v.d.dev, 0, &(struct exo_vmm_channel_info){0}, 1),
			  0);
}

static void far_write(const void *data, size_t len)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	ck_assert_int_eq(peer_send(&c.far, &iov, 1, len, 0), (ssize_t)len);
}

/* ---- direct --------------------------------------------------------------------- */

/* What the guest sees of a direct connection is the memory that the other end has. */
static void check_direct(unsigned side)
{
	uint8_t *shm;

	ck_assert_uint_eq(c.desc.ring_bytes, RING);
	ck_assert_uint_eq(c.desc.side, side);
	ck_assert_uint_eq(c.desc.conn, CONN);
	shm = drv_shm(&c.v.d, c.desc.offset);
	ck_assert_ptr_nonnull(shm);
	shm[EXO_RING_HEADER_BYTES + 5] = 0x5a;
	ck_assert_uint_eq(c.base[EXO_RING_HEADER_BYTES + 5], 0x5a);
	drv_ring(&c.v.d, c.desc.doorbell);
	ck_assert(chan_rig_rung(&c));
}

START_TEST(test_direct_opener)
{
	struct exo_vmm_channel_state state;
	unsigned fds = vsock_rig_fds();
	struct exo_ring guest;

	chan_rig_init(&c, true, true);
	chan_rig_connect(&c, RING, STREAM, 0);
	check_direct(0);
	chan_rig_no_event(&c); /* it is the answer to its request */
	/* The guest's end of the ring. */
	exo_ring_init(&guest, drv_shm(&c.v.d, c.desc.offset), RING, 0);
	exo_ring_produce(&guest, 100);
	far_write("12345", 5);
	exo_ring_consume(&guest, 3);
	vsock_rig_expect_quiet(&c.v); /* none of the device's business */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	state = chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	ck_assert_uint_eq(state.flags, EXO_CHANNEL_DIRECT);
	ck_assert_uint_eq(state.tx_bytes, 100);
	ck_assert_uint_eq(state.tx_messages, 1);
	ck_assert_uint_eq(state.rx_bytes, 3);
	ck_assert_uint_eq(state.rx_messages, 1);
	check_gone();
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
	ck_assert_uint_eq(vsock_rig_fds(), fds);
}
END_TEST

START_TEST(test_request_says_direct)
{
	struct exo_vmm_vsock m;

	for (unsigned direct = 0; direct < 2; direct++) {
		chan_rig_init(&c, true, direct);
		vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
		m = vsock_rig_request(&c.v);
		ck_assert_uint_eq(m.flags, direct ? EXO_VSOCK_DIRECT : 0);
		ck_assert_uint_eq(m.guest_port, GUEST_PORT);
		/* Refused: our drivers are told why. */
		m.status = -ENOBUFS;
		m.reason = EXO_REASON_BUDGET;
		vsock_reply(c.v.d.dev, &m, -1);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_eq(c.v.h.flags, direct ? EXO_REASON_BUDGET << EXO_REASON_SHIFT : 0);
		chan_rig_no_event(&c);
		chan_rig_finish(&c);
	}
	/* Without a session it is not offered. */
	chan_rig_init(&c, false, true);
	ck_assert_uint_eq(vdev_features(c.v.d.dev, 1) >> (EXO_VSOCK_F_DIRECT - 32) & 1, 0);
	chan_rig_finish(&c);
}
END_TEST

START_TEST(test_direct_acceptor)
{
	struct exo_vmm_channel_info info;

	chan_rig_init(&c, true, true);
	chan_rig_accept(&c, RING, SEQPACKET);
	check_direct(1);
	ck_assert_uint_eq(vsock_list_channels(c.v.d.dev, 0, &info, 1), 1);
	ck_assert_uint_eq(info.conn, CONN);
	ck_assert_uint_eq(info.cookie, COOKIE);
	ck_assert_uint_eq(info.flags, EXO_CHANNEL_DIRECT);
	/* Half-closing is in the ring; packets say it only for the whole. */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	check_gone();
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* H-20: data in packets, where there is a ring. */
START_TEST(test_h20_data_beside_ring)
{
	for (unsigned len = 0; len < 2; len++) {
		chan_rig_init(&c, true, true);
		chan_rig_connect(&c, RING, STREAM, 0);
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "x", len);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_eq(c.v.h.flags, EXO_REASON_PROTOCOL << EXO_REASON_SHIFT);
		chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_PROTOCOL);
		check_gone();
		chan_rig_finish(&c);
	}
}
END_TEST

START_TEST(test_offer_refused)
{
	struct exo_vmm_channel m;
	int fd;

	for (unsigned direct = 0; direct < 2; direct++) {
		chan_rig_init(&c, true, direct);
		fd = chan_rig_ring(&c, RING, true, STREAM);
		m = chan_rig_offer(&c);
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
		ck_assert_uint_eq(c.v.h.len, direct ? sizeof(struct exo_vsock_desc) : 0);
		c.host_port = EXO_CONN_PORT(CONN);
		c.guest_port = SERVED;
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
		chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_REFUSED);
		check_gone();
		vsock_rig_expect_quiet(&c.v);
		chan_rig_finish(&c);
	}
}
END_TEST

/* The guest does not answer; then the owner thinks better of it. */
START_TEST(test_offer_unanswered)
{
	struct exo_vmm_channel m;
	int fd;

	chan_rig_init(&c, true, true);
	fd = chan_rig_ring(&c, RING, true, STREAM);
	m = chan_rig_offer(&c);
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
	usleep(VSOCK_TIMEOUT_NS / 1000);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_NOT_READY);
	check_gone();
	fd = chan_rig_ring(&c, RING, true, STREAM);
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
	vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_DIED);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(c.v.h.flags, EXO_REASON_DIED << EXO_REASON_SHIFT);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_DIED);
	check_gone();
	chan_rig_finish(&c);
}
END_TEST

/* At once: the memory is gone before the guest hears of it. */
START_TEST(test_revoke)
{
	static const enum exo_reason reason[] = {EXO_REASON_REVOKED, EXO_REASON_EXPIRED};

	for (unsigned i = 0; i < 4; i++) {
		bool direct = i & 1;

		chan_rig_init(&c, true, direct);
		chan_rig_connect(&c, RING, STREAM, 0);
		far_write("lost", 4);
		vsock_close_conn(c.v.d.dev, CONN, reason[i / 2]);
		check_gone();
		ck_assert_uint_eq(c.v.d.unbells_now, direct);
		chan_rig_state(&c, EXO_CHANNEL_CLOSED, reason[i / 2]);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_eq(c.v.h.flags, direct ? reason[i / 2] << EXO_REASON_SHIFT : 0);
		vsock_rig_expect_quiet(&c.v);
		/* The news may come twice. */
		vsock_close_conn(c.v.d.dev, CONN, reason[i / 2]);
		vsock_rig_expect_quiet(&c.v);
		chan_rig_no_event(&c);
		chan_rig_finish(&c);
	}
}
END_TEST

/* The other end died: what it has sent can still be read. */
START_TEST(test_direct_peer_dies)
{
	chan_rig_init(&c, true, true);
	chan_rig_connect(&c, RING, STREAM, 0);
	far_write("last words", 10);
	vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_DIED);
	vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_DIED);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(c.v.h.flags, BOTH | EXO_REASON_DIED << EXO_REASON_SHIFT);
	vsock_rig_expect_quiet(&c.v);
	ck_assert_uint_eq(c.v.d.timer_ns, 0); /* it may take its time */
	ck_assert_mem_eq((char *)drv_shm(&c.v.d, c.desc.offset) + EXO_RING_HEADER_BYTES + RING,
			 "last words", 10);
	chan_rig_no_event(&c);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_DIED);
	check_gone();
	chan_rig_finish(&c);
}
END_TEST

/* The ring's description needs more room than a header. */
START_TEST(test_small_buffers)
{
	struct exo_vmm_channel m;
	uint32_t id, len;
	int fd;

	chan_rig_init(&c, true, true);
	for (unsigned i = 0; i < 31; i++) { /* use up the large ones but for one */
		vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
		while (!drv_used(&c.v.d, 0, &id, &len))
			drv_pump(&c.v.d, 1);
	}
	drv_post(&c.v.d, 0, 60, NULL);
	vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
	ck_assert(drv_used(&c.v.d, 0, &id, &len));
	fd = chan_rig_ring(&c, RING, true, STREAM);
	m = chan_rig_offer(&c);
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
	ck_assert(drv_used(&c.v.d, 0, &id, &len));
	ck_assert_uint_eq(len, 0);
	vsock_rig_post(&c.v, 1);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(c.v.h.len, sizeof(struct exo_vsock_desc));
	chan_rig_finish(&c);
}
END_TEST

/* No room in the guest's region: an offer is switched, a request fails. */
START_TEST(test_window_full)
{
	struct exo_vmm_channel m;
	int fd;

	chan_rig_init(&c, true, true);
	c.v.d.window_bytes = RING;
	chan_rig_accept(&c, RING, STREAM);
	ck_assert_uint_eq(c.desc.ring_bytes, 0);
	far_write("hello", 5);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);

	fd = chan_rig_ring(&c, RING, false, STREAM);
	vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	m = chan_rig_offer(&c);
	m.request = vsock_rig_asked(&c.v);
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), -ENOSPC);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(c.v.h.flags, EXO_REASON_BUDGET << EXO_REASON_SHIFT);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_BUDGET);
	check_gone();
	chan_rig_finish(&c);
}
END_TEST

/* The offer waits for the driver, and only then is it known which kind it will be. */
START_TEST(test_offer_before_driver)
{
	struct exo_vmm_channel m;
	unsigned fds;
	int fd;

	for (unsigned direct = 0; direct < 2; direct++) {
		fds = vsock_rig_fds();
		memset(&c, 0, sizeof(c));
		vsock_rig_make_for(&c.v, true);
		peer_init(&c.far);
		c.far_bell = -1;
		c.conn = CONN;
		fd = chan_rig_ring(&c, RING, true, STREAM);
		m = chan_rig_offer(&c);
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
		ck_assert_uint_eq(c.v.d.nmaps, 0);
		c.v.features = direct ? DRV_ALL_FEATURES : ~(1ull << EXO_VSOCK_F_DIRECT);
		vsock_rig_start(&c.v, 8, 4096);
		ck_assert_uint_eq(c.v.d.nmaps, 0); /* not by the vCPU's thread */
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
		ck_assert_uint_eq(c.v.d.nmaps, 1);
		ck_assert_uint_eq(c.v.h.len, direct ? sizeof(struct exo_vsock_desc) : 0);
		/* A driver that goes now leaves nothing. */
		vdev_set_status(c.v.d.dev, 0);
		chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_REFUSED);
		check_gone();
		chan_rig_finish(&c);
		ck_assert_uint_eq(vsock_rig_fds(), fds);
	}
}
END_TEST

/* The opener goes while the driver has yet to come: nothing is left, and nobody is told. */
START_TEST(test_closed_before_driver)
{
	struct exo_vmm_channel m;
	int fd;

	for (unsigned i = 0; i < 2; i++) {
		memset(&c, 0, sizeof(c));
		vsock_rig_make_for(&c.v, true);
		peer_init(&c.far);
		c.far_bell = -1;
		c.conn = CONN;
		c.v.features = DRV_ALL_FEATURES;
		fd = chan_rig_ring(&c, RING, true, STREAM);
		m = chan_rig_offer(&c);
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
		vsock_close_conn(c.v.d.dev, CONN, i ? EXO_REASON_REVOKED : EXO_REASON_DIED);
		chan_rig_state(&c, EXO_CHANNEL_REFUSED, i ? EXO_REASON_REVOKED : EXO_REASON_DIED);
		check_gone();
		vsock_rig_start(&c.v, 8, 4096);
		vsock_rig_expect_quiet(&c.v);
		chan_rig_finish(&c);
	}
}
END_TEST

/* The host fails: no doorbell left for the guest, none of ours, no mapping. */
START_TEST(test_host_fails)
{
	struct exo_vmm_channel m;
	int fd;

	chan_rig_init(&c, true, true);
	for (uint32_t i = 0; i <= DRV_BELLS; i++) {
		fd = chan_rig_ring(&c, RING, true, STREAM);
		m = chan_rig_offer(&c);
		m.conn = c.conn = i + 1;
		m.peer = i;
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)),
				 i < DRV_BELLS ? 0 : -ENOSPC);
		ck_assert_uint_eq(c.v.d.nmaps, i < DRV_BELLS ? i + 1 : DRV_BELLS);
		if (i < DRV_BELLS)
			vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
	}
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_BUDGET);
	vsock_rig_expect_quiet(&c.v); /* the guest never heard of it */
	chan_rig_finish(&c);

	for (unsigned i = 0; i < 2; i++) { /* for a switched one */
		unsigned fds;

		chan_rig_init(&c, true, false);
		fd = chan_rig_ring(&c, RING, true, STREAM);
		m = chan_rig_offer(&c);
		fds = vsock_rig_fds();
		if (i)
			c.v.d.host.map = NULL;
		else
			for (unsigned w = 0; w < DRV_WATCHES; w++)
				c.v.d.watch[w].fd = 0;
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)),
				 i ? -ENOSYS : -ENOSPC);
		chan_rig_state(&c, EXO_CHANNEL_REFUSED, i ? EXO_REASON_REFUSED : EXO_REASON_BUDGET);
		check_gone();
		ck_assert_uint_eq(vsock_rig_fds(), fds - 1);
		chan_rig_finish(&c);
	}
}
END_TEST

/* H-16: the guest's driver is reset with all kinds of connections open. */
START_TEST(test_h16_reset)
{
	for (unsigned i = 0; i < 4; i++) {
		chan_rig_init(&c, true, i & 1);
		if (i & 2)
			chan_rig_connect(&c, RING, STREAM, 0);
		else
			chan_rig_accept(&c, RING, SEQPACKET);
		vdev_set_status(c.v.d.dev, 0);
		chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
		check_gone();
		if (!(i & 1)) /* the device was the ring's end and says so */
			ck_assert(peer_gone(&c.far));
		ck_assert_uint_eq(drv_pump(&c.v.d, 10), 0);
		chan_rig_finish(&c);
	}
}
END_TEST

/* ---- owners that are late or wrong ----------------------------------------------- */

START_TEST(test_late_answers)
{
	struct exo_vmm_channel m;
	uint32_t id, other;
	int fd;

	chan_rig_init(&c, true, true);
	vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	id = vsock_rig_asked(&c.v);
	/* The guest gives up, and asks again: the entry is used again, the id is not. */
	vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	other = vsock_rig_asked(&c.v);
	ck_assert_uint_ne(id, other);
	fd = chan_rig_ring(&c, RING, false, STREAM);
	m = chan_rig_offer(&c);
	m.request = id;
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), -ESRCH);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_CLOSED);
	check_gone();
	vsock_rig_expect_quiet(&c.v);
	/* A session may start the provider first: that takes its time. */
	ck_assert_uint_gt(VSOCK_ASK_TIMEOUT_NS, VSOCK_TIMEOUT_NS);
	fd = chan_rig_ring(&c, RING, false, STREAM);
	m.request = other;
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RESPONSE);
	/* The same request again, the same number again. */
	fd = chan_rig_ring(&c, RING, false, STREAM);
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), -ESRCH);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_CLOSED);
	vsock_close_conn(c.v.d.dev, CONN + 1, EXO_REASON_REVOKED);
	vsock_close_conn(c.v.d.dev, 0, EXO_REASON_REVOKED);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* The device failed meanwhile: nobody is there to get it. */
START_TEST(test_answer_after_failure)
{
	struct exo_vmm_channel m;
	int fd;

	chan_rig_init(&c, true, true);
	vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	fd = chan_rig_ring(&c, RING, false, STREAM);
	m = chan_rig_offer(&c);
	m.request = vsock_rig_asked(&c.v);
	drv_offer(&c.v.d, 1, 0xffff);
	drv_kick(&c.v.d, 1);
	ck_assert(drv_needs_reset(&c.v.d));
	ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)), -ESRCH);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_CLOSED);
	vdev_set_status(c.v.d.dev, 0);
	chan_rig_no_event(&c);
	check_gone();
	chan_rig_finish(&c);
}
END_TEST

START_TEST(test_bad_messages)
{
	static const uint32_t bytes[] = {RING, RING, 0, 2048, 12288, 1u << 25, 4096, RING};
	unsigned fds;

	chan_rig_init(&c, true, true);
	for (unsigned i = 0; i < 8; i++) {
		int fd = chan_rig_ring(&c, RING, true, STREAM);
		struct exo_vmm_channel m = chan_rig_offer(&c);

		if (i == 7) { /* not a memfd */
			close(fd);
			fd = dup(1);
		}
		m.side = i == 0 ? 2 : 1;
		m.type = i == 1 ? 3 : STREAM;
		m.ring_bytes = bytes[i];
		fds = vsock_rig_fds();
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(1)), -EINVAL);
		ck_assert_uint_eq(vsock_rig_fds(), fds - 1);
		chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_REFUSED);
		check_gone();
	}
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* H-21: more than the table holds. */
START_TEST(test_h21_full)
{
	struct exo_vmm_channel_info info[64];
	struct exo_vmm_channel m;
	unsigned n = 0, got, fds;

	chan_rig_init(&c, true, true);
	close(chan_rig_ring(&c, 4096, true, STREAM));
	m = chan_rig_offer(&c);
	fds = vsock_rig_fds();
	for (uint32_t i = 0; i < VSOCK_CONNS_MAX + 5; i++) {
		int fd = chan_rig_ring(&c, 4096, true, STREAM);

		m.conn = i + 1;
		m.cookie = i;
		ck_assert_int_eq(vsock_channel(c.v.d.dev, &m, fd, dup(c.far_bell)),
				 i < VSOCK_CONNS_MAX ? 0 : -ENFILE);
		while (*drv_used_idx(&c.v.d, 0) != c.v.d.q[0].used_idx)
			vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
	}
	/* Equal keys share a doorbell, and one of its descriptors. */
	ck_assert_uint_eq(drv_bells(&c.v.d), 1);
	ck_assert_uint_eq(vsock_rig_fds(), fds + 1);
	ck_assert_uint_eq(c.v.d.nmaps, VSOCK_CONNS_MAX);
	while ((got = vsock_list_channels(c.v.d.dev, n, info, 64)) > 0) {
		for (unsigned i = 0; i < got; i++)
			ck_assert_uint_eq(info[i].cookie, n + i);
		n += got;
	}
	ck_assert_uint_eq(n, VSOCK_CONNS_MAX);
	chan_rig_finish(&c);
	ck_assert_uint_eq(c.v.d.nmaps, 0);
}
END_TEST

/* ---- sockets with a number ----------------------------------------------------------- */

START_TEST(test_socket_opened)
{
	struct exo_vmm_vsock m = {.port = SERVED, .type = STREAM, .conn = CONN, .cookie = COOKIE};
	struct exo_vmm_channel_state state;
	struct exo_vmm_channel_info info;
	int fds[2];

	chan_rig_init(&c, true, true);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(vsock_open(c.v.d.dev, fds[0], &m), 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(c.v.h.src_port, EXO_CONN_PORT(CONN));
	ck_assert_uint_eq(c.v.h.len, 0);
	c.type = STREAM;
	c.host_port = EXO_CONN_PORT(CONN);
	c.guest_port = SERVED;
	chan_rig_no_event(&c);
	/* Twice the same number. */
	ck_assert_int_eq(vsock_open(c.v.d.dev, fds[0], &m), -EEXIST);
	chan_rig_state(&c, EXO_CHANNEL_REFUSED, EXO_REASON_REFUSED);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	state = chan_rig_state(&c, EXO_CHANNEL_ACCEPTED, EXO_REASON_NONE);
	ck_assert_uint_eq(state.flags, 0);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "12345", 5);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "678", 3);
	ck_assert_int_eq(write(fds[1], "ab", 2), 2);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(vsock_list_channels(c.v.d.dev, 0, &info, 1), 1);
	ck_assert_uint_eq(info.cookie, COOKIE);
	ck_assert_uint_eq(info.tx_bytes, 8);
	ck_assert_uint_eq(info.rx_bytes, 2);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	state = chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	ck_assert_uint_eq(state.tx_bytes, 8);
	ck_assert_uint_eq(state.tx_messages, 2);
	ck_assert_uint_eq(state.rx_bytes, 2);
	ck_assert_uint_eq(state.rx_messages, 1);
	close(fds[1]);
	chan_rig_finish(&c);
}
END_TEST

START_TEST(test_socket_ends)
{
	struct exo_vmm_vsock m;
	char buf[8];
	int fds[2];

	for (unsigned i = 0; i < 3; i++) {
		chan_rig_init(&c, true, true);
		vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
		m = vsock_rig_request(&c.v);
		m.conn = CONN;
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		vsock_reply(c.v.d.dev, &m, fds[0]);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RESPONSE);
		ck_assert_int_eq(write(fds[1], "left", 4), 4);
		if (i == 0) { /* the host's program ends */
			close(fds[1]);
		} else if (i == 1) { /* the owner knows it first */
			vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_DIED);
		} else { /* revoked: nothing more comes */
			vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_REVOKED);
			vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
			ck_assert_uint_eq(c.v.h.flags, EXO_REASON_REVOKED << EXO_REASON_SHIFT);
			chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_REVOKED);
			ck_assert_int_le(recv(fds[1], buf, sizeof(buf), 0), 0);
		}
		if (i < 2) {
			vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
			ck_assert_uint_eq(c.v.h.len, 4);
			vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
			ck_assert_uint_eq(c.v.h.flags, BOTH | (i ? EXO_REASON_DIED : 0)
								       << EXO_REASON_SHIFT);
			vsock_rig_send(&c.v, STREAM, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
			chan_rig_state(&c, EXO_CHANNEL_CLOSED,
				       i ? EXO_REASON_DIED : EXO_REASON_CLOSED);
		}
		if (i)
			close(fds[1]);
		vsock_rig_expect_quiet(&c.v);
		chan_rig_finish(&c);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsock_channel");
	TCase *tc = tcase_create("vsock_channel");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_direct_opener);
	tcase_add_test(tc, test_request_says_direct);
	tcase_add_test(tc, test_direct_acceptor);
	tcase_add_test(tc, test_h20_data_beside_ring);
	tcase_add_test(tc, test_offer_refused);
	tcase_add_test(tc, test_offer_unanswered);
	tcase_add_test(tc, test_revoke);
	tcase_add_test(tc, test_direct_peer_dies);
	tcase_add_test(tc, test_small_buffers);
	tcase_add_test(tc, test_window_full);
	tcase_add_test(tc, test_offer_before_driver);
	tcase_add_test(tc, test_closed_before_driver);
	tcase_add_test(tc, test_host_fails);
	tcase_add_test(tc, test_h16_reset);
	tcase_add_test(tc, test_late_answers);
	tcase_add_test(tc, test_answer_after_failure);
	tcase_add_test(tc, test_bad_messages);
	tcase_add_test(tc, test_h21_full);
	tcase_add_test(tc, test_socket_opened);
	tcase_add_test(tc, test_socket_ends);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
