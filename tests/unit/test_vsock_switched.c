/*
 * virtio-vsock: connections whose ring the device is the end of. The test plays
 * the guest, which knows only the standard device, and the ring's other end, which may be
 * hostile. How they begin and end: test_vsock_channel.c.
 */
#include "chan_rig.h"
#include "clock.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)
#define EOM VIRTIO_VSOCK_SEQ_EOM
#define EOR VIRTIO_VSOCK_SEQ_EOR

static struct chan_rig c;

static ssize_t far_send(const void *data, size_t len, unsigned flags)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	return peer_send(&c.far, &iov, 1, len, flags);
}

static void check_gone(void)
{
	ck_assert_uint_eq(c.v.d.nmaps, 0);
	ck_assert(peer_gone(&c.far));
}

/* The guest collects what there is, and says so when half its window is used. */
static size_t guest_collect(uint8_t *to, uint32_t *window_used)
{
	size_t n = 0;

	while (*drv_used_idx(&c.v.d, 0) != c.v.d.q[0].used_idx) {
		ck_assert(vsock_rig_recv(&c.v));
		if (c.v.h.op != VIRTIO_VSOCK_OP_RW)
			continue;
		memcpy(to + n, c.v.payload, c.v.h.len);
		n += c.v.h.len;
	}
	c.v.fwd_cnt += (uint32_t)n;
	*window_used += (uint32_t)n;
	if (*window_used >= c.v.buf_alloc / 2) {
		*window_used = 0;
		chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	}
	return n;
}

/* ---- streams ----------------------------------------------------------------------- */

/* 1 MiB each way at once, through rings, windows and buffers much smaller than that. */
static void transfer(uint32_t ring, uint32_t window, bool opener)
{
	static uint8_t out[1 << 20], in[1 << 20], got_out[(1 << 20) + 65536],
		got_in[(1 << 20) + 65536];
	size_t sent = 0, arrived = 0, far_sent = 0, received = 0;
	uint32_t window_used = 0, fwd = 0, alloc;
	unsigned turns = 0;
	int why;

	chan_rig_init(&c, true, false);
	c.v.buf_alloc = window;
	vsock_rig_fill(out, sizeof(out), 1);
	vsock_rig_fill(in, sizeof(in), 2);
	if (opener)
		chan_rig_connect(&c, ring, STREAM, 0);
	else
		chan_rig_accept(&c, ring, STREAM);
	alloc = c.v.h.buf_alloc;
	while (arrived < sizeof(out) || received < sizeof(in)) {
		size_t n = 1 + turns * 7919 % 5000;
		ssize_t r;

		ck_assert_uint_lt(turns++, 2000000);
		if (n > sizeof(out) - sent)
			n = sizeof(out) - sent;
		if (n && sent + n - fwd <= alloc) {
			chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, out + sent, (uint32_t)n);
			sent += n;
		}
		n = 1 + turns * 104729 % 3000;
		if (n > sizeof(in) - far_sent)
			n = sizeof(in) - far_sent;
		r = n ? far_send(in + far_sent, n, 0) : -EAGAIN;
		ck_assert(r > 0 || r == -EAGAIN);
		far_sent += r > 0 ? (size_t)r : 0;
		n = turns * 31 % 4000;
		n = n < sizeof(got_out) - arrived ? n : sizeof(got_out) - arrived;
		arrived += chan_rig_read(&c, got_out + arrived, n, &why);
		ck_assert(!why || why == -EAGAIN);
		drv_pump(&c.v.d, 0);
		received += guest_collect(got_in + received, &window_used);
		if (sent == sizeof(out) || sent + 5000 > fwd + alloc)
			chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
		fwd = c.v.h.fwd_cnt;
	}
	ck_assert_uint_eq(sent, sizeof(out));
	ck_assert_uint_eq(far_sent, sizeof(in));
	ck_assert_mem_eq(got_out, out, sizeof(out));
	ck_assert_mem_eq(got_in, in, sizeof(in));
	while (vsock_rig_recv(&c.v))
		ck_assert_uint_eq(c.v.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}

START_TEST(test_stream)
{
	transfer(4096, 1 << 20, true);
	transfer(65536, 5000, false);
	transfer(1 << 18, 1 << 18, true);
}
END_TEST

/* Nobody is woken for nothing: neither we, nor the other end. */
START_TEST(test_idle)
{
	static uint8_t data[5000];
	int why;

	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 8192, STREAM, 0);
	vsock_rig_expect_quiet(&c.v);
	/* A new ring is one whose ends sleep. */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "w", 1);
	ck_assert(chan_rig_rung(&c));
	/* The other end is awake: it is not rung. */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
	ck_assert(!chan_rig_rung(&c));
	ck_assert_uint_eq(chan_rig_read(&c, data, 100, &why), 2);
	/* It sleeps: once. */
	ck_assert(!peer_sleep(&c.far));
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "y", 1);
	ck_assert(chan_rig_rung(&c));
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "z", 1);
	ck_assert(!chan_rig_rung(&c));
	/* We are woken once, then the guest has no room: and not again. */
	c.v.buf_alloc = 100;
	chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	ck_assert_int_eq(far_send(data, 300, 0), 300);
	ck_assert_uint_eq(drv_pump(&c.v.d, 0), 1);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(c.v.h.len, 100);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(far_send(data, 300, 0), 300);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* The other end does not read: the guest's window closes, and opens again. */
START_TEST(test_backpressure)
{
	static uint8_t data[65536], got[1 << 20];
	size_t sent = 0, arrived = 0;
	int why;

	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 4096, STREAM, 0);
	vsock_rig_fill(data, sizeof(data), 7);
	while (c.v.h.buf_alloc - (uint32_t)(sent - c.v.h.fwd_cnt) >= sizeof(data)) {
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
		sent += sizeof(data);
	}
	ck_assert_uint_eq(sent, VSOCK_BUFFER_LARGE);
	ck_assert_uint_eq(vsock_pending(c.v.d.dev), sent - 4096);
	vsock_rig_expect_quiet(&c.v);
	while (arrived < sent) {
		arrived += chan_rig_read(&c, got + arrived, 1000, &why);
		drv_pump(&c.v.d, 0);
	}
	for (size_t i = 0; i < arrived; i++)
		ck_assert_uint_eq(got[i], data[i % sizeof(data)]);
	ck_assert(vsock_rig_recv(&c.v));
	ck_assert_uint_eq(c.v.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ck_assert_uint_eq(vsock_pending(c.v.d.dev), 0);
	chan_rig_finish(&c);
}
END_TEST

/* ---- ends ------------------------------------------------------------------------------ */

START_TEST(test_half_close)
{
	char buf[16];
	int why;

	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 4096, STREAM, 0);
	/* The other end says all it has to say. */
	ck_assert_int_eq(far_send("done", 4, 0), 4);
	peer_shutdown(&c.far, false, true);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(c.v.h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "go on", 5);
	ck_assert_uint_eq(chan_rig_read(&c, buf, sizeof(buf), &why), 5);
	ck_assert_int_eq(why, -EAGAIN);
	/* Then the guest. */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	ck_assert_uint_eq(chan_rig_read(&c, buf, sizeof(buf), &why), 0);
	ck_assert_int_eq(why, -ENODATA);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	check_gone();
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* It reads no more, and says so at once; then it closes. */
START_TEST(test_peer_closes)
{
	chan_rig_init(&c, true, false);
	chan_rig_accept(&c, 4096, STREAM);
	peer_shutdown(&c.far, true, false);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(c.v.h.flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "unheard", 7);
	ck_assert_int_eq(far_send("bye", 3, 0), 3);
	peer_shutdown(&c.far, false, true);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(c.v.h.flags, BOTH);
	ck_assert_uint_eq(c.v.d.nmaps, 0);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* Also when the guest reads no more. */
START_TEST(test_peer_closes_unread)
{
	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 4096, STREAM, 0);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV, NULL, 0);
	ck_assert_int_eq(far_send("x", 1, 0), -EPIPE);
	peer_shutdown(&c.far, true, true);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	if (c.v.h.flags != BOTH)
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(c.v.h.flags, BOTH);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* The guest closes with data that the other end has not got yet: it gets all, then CLOSED is said.
 */
START_TEST(test_guest_closes_unread)
{
	static uint8_t data[20000], got[20001];
	struct exo_vmm_channel_state state;
	size_t n = 0;
	int why = 0;

	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 4096, STREAM, 0);
	vsock_rig_fill(data, sizeof(data), 3);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_no_event(&c);
	/* It must not wait for us to read. */
	ck_assert_int_eq(far_send("x", 1, 0), -EPIPE);
	while (why != -ENODATA) {
		n += chan_rig_read(&c, got + n, sizeof(got) - n, &why);
		ck_assert(why == -EAGAIN || why == -ENODATA);
		drv_pump(&c.v.d, 0);
	}
	ck_assert_uint_eq(n, sizeof(data));
	ck_assert_mem_eq(got, data, n);
	state = chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	ck_assert_uint_eq(state.tx_bytes, sizeof(data));
	ck_assert_uint_eq(state.tx_messages, 1);
	check_gone();
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* The other end dies with unread data in the ring, more than the guest has room for now. */
START_TEST(test_peer_dies_unread)
{
	static uint8_t data[4000];
	size_t n = 0;

	chan_rig_init(&c, true, false);
	c.v.buf_alloc = 1000;
	chan_rig_connect(&c, 4096, STREAM, 0);
	vsock_rig_fill(data, sizeof(data), 4);
	ck_assert_int_eq(far_send(data, sizeof(data), 0), sizeof(data));
	vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_DIED);
	vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_DIED);
	while (n < sizeof(data)) {
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
		ck_assert_mem_eq(c.v.payload, data + n, c.v.h.len);
		n += c.v.h.len;
		if (n < sizeof(data))
			vsock_rig_expect_quiet(&c.v);
		c.v.fwd_cnt = (uint32_t)n;
		chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	}
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(c.v.h.flags, BOTH); /* no reason: this driver would not know it */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_DIED);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* Revoked in the middle: what is under way, both ways, is lost, and nothing else. */
START_TEST(test_revoke_mid_transfer)
{
	static uint8_t data[65536];

	for (unsigned i = 0; i < 2; i++) {
		unsigned fds = vsock_rig_fds();

		chan_rig_init(&c, true, false);
		chan_rig_connect(&c, 4096, i ? SEQPACKET : STREAM, 0);
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, i ? 3000 : 30000);
		ck_assert_int_gt(far_send(data, 4000, 0), 0);
		vsock_close_conn(c.v.d.dev, CONN, EXO_REASON_REVOKED);
		ck_assert_uint_eq(c.v.d.nmaps, 0);
		ck_assert_uint_eq(vsock_pending(c.v.d.dev), 0);
		while (vsock_rig_recv(&c.v) && c.v.h.op != VIRTIO_VSOCK_OP_RST)
			;
		ck_assert_uint_eq(c.v.h.op, VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_eq(c.v.h.flags, 0);
		chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_REVOKED);
		/* It goes on sending for a moment: that is a stranger's. */
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, 100);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
		vsock_rig_expect_quiet(&c.v);
		chan_rig_finish(&c);
		ck_assert_uint_eq(vsock_rig_fds(), fds);
	}
}
END_TEST

/* Revoked while what the guest left behind is being written. */
START_TEST(test_revoke_draining)
{
	static uint8_t data[20000];

	for (unsigned i = 0; i < 2; i++) {
		chan_rig_init(&c, true, false);
		chan_rig_connect(&c, 4096, STREAM, 0);
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
		chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
		vsock_close_conn(c.v.d.dev, CONN, i ? EXO_REASON_DIED : EXO_REASON_REVOKED);
		ck_assert_uint_eq(c.v.d.nmaps, 0);
		chan_rig_state(&c, EXO_CHANNEL_CLOSED, i ? EXO_REASON_DIED : EXO_REASON_REVOKED);
		vsock_rig_expect_quiet(&c.v);
		chan_rig_finish(&c);
	}
}
END_TEST

/* H-21: other ends that never read hold no entry that is needed, once the guest has left. */
START_TEST(test_h21_unread)
{
	static uint8_t data[20000];

	chan_rig_init(&c, true, false);
	for (c.conn = 1; c.conn <= VSOCK_CONNS_MAX; c.conn++) {
		chan_rig_connect(&c, 4096, STREAM, 0);
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
		chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
		vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
		chan_rig_no_event(&c);
	}
	for (c.conn = 1; c.conn <= 10; c.conn++) { /* the oldest first */
		struct virtio_vsock_hdr h = {.src_cid = VSOCK_GUEST_CID,
					     .dst_cid = 2,
					     .src_port = 2000 + c.conn,
					     .dst_port = HOST_PORT,
					     .type = STREAM,
					     .op = VIRTIO_VSOCK_OP_REQUEST};

		ck_assert(vsock_rig_offer(&c.v, &h, NULL, 0));
		chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_BUDGET);
		(void)vsock_rig_asked(&c.v);
	}
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* ---- messages ----------------------------------------------------------------------------- */

static void expect_message(const void *data, size_t len, unsigned flags)
{
	static uint8_t buf[65536];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	unsigned got_flags;
	bool end;

	ck_assert_int_eq(peer_recv(&c.far, &iov, 1, sizeof(buf), &end, &got_flags), (ssize_t)len);
	ck_assert(end);
	ck_assert_uint_eq(got_flags, flags);
	ck_assert_mem_eq(buf, data, len);
}

START_TEST(test_messages_from_guest)
{
	static uint8_t data[65536];

	chan_rig_init(&c, true, false);
	vsock_rig_fill(data, sizeof(data), 5);
	chan_rig_connect(&c, 16384, SEQPACKET, 0);
	/* A message must fit into the ring with its header. */
	ck_assert_uint_eq(c.v.h.buf_alloc, 16384 - 8);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM, "one", 3);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM | EOR, NULL, 0);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "tw", 2);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM | EOR, "o", 1);
	expect_message("one", 3, 0);
	expect_message("", 0, EXO_RING_EOR);
	expect_message("two", 3, EXO_RING_EOR);
	/* The ring is full: the rest waits, in order, with its marks. */
	for (unsigned i = 0; i < 3; i++)
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM | (i == 2 ? EOR : 0), data + i, 7001);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM, "short", 5);
	ck_assert_uint_eq(vsock_pending(c.v.d.dev), 7001 + 5);
	for (unsigned i = 0; i < 3; i++) {
		expect_message(data + i, 7001, i == 2 ? EXO_RING_EOR : 0);
		drv_pump(&c.v.d, 0);
	}
	expect_message("short", 5, 0);
	/* The largest. */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, 10000);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM, data + 10000, 6376);
	expect_message(data, 16376, 0);
	while (vsock_rig_recv(&c.v))
		ck_assert_uint_eq(c.v.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	/* Larger. */
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, 16376);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM, data, 1);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_PROTOCOL);
	chan_rig_finish(&c);
}
END_TEST

/* Messages of all sizes to the guest, in buffers of 4052 bytes; many wraps. */
START_TEST(test_messages_to_guest)
{
	static const uint32_t size[] = {1, 0, 4051, 4052, 4053, 30000, 100000, 7, 8, 9, 131064};
	static uint8_t data[131072], got[131072];

	chan_rig_init(&c, true, false);
	chan_rig_accept(&c, 131072, SEQPACKET);
	for (unsigned i = 0; i < 5 * sizeof(size) / sizeof(size[0]); i++) {
		uint32_t len = size[i % (sizeof(size) / sizeof(size[0]))];
		size_t n = 0;

		vsock_rig_fill(data, len, i);
		ck_assert_int_eq(far_send(data, len, i & 1 ? EXO_RING_EOR : 0), (ssize_t)len);
		do {
			vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
			memcpy(got + n, c.v.payload, c.v.h.len);
			n += c.v.h.len;
		} while (!(c.v.h.flags & EOM));
		ck_assert_uint_eq(c.v.h.flags & EOR, i & 1 ? EOR : 0);
		ck_assert_uint_eq(n, len);
		ck_assert_mem_eq(got, data, n);
		c.v.fwd_cnt += len;
		chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	}
	vsock_rig_expect_quiet(&c.v);
	peer_shutdown(&c.far, false, true);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	chan_rig_finish(&c);
}
END_TEST

/* Only whole messages that the guest has room for; one that never fits ends it. */
START_TEST(test_message_credit)
{
	static uint8_t data[200];

	chan_rig_init(&c, true, false);
	c.v.buf_alloc = 100;
	chan_rig_connect(&c, 4096, SEQPACKET, 0);
	ck_assert_int_eq(far_send(data, 60, 0), 60);
	ck_assert_int_eq(far_send(data, 60, 0), 60);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	vsock_rig_expect_quiet(&c.v);
	c.v.fwd_cnt = 20;
	chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(c.v.h.len, 60);
	c.v.fwd_cnt = 120;
	chan_rig_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
	ck_assert_int_eq(far_send(data, 101, 0), 101);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_PROTOCOL);
	check_gone();
	chan_rig_finish(&c);
}
END_TEST

/* ---- a hostile other end ------------------------------------------------- */

static struct exo_ring_dir *dir(unsigned side)
{
	return &((struct exo_ring_header *)(void *)c.base)->dir[side];
}

static void ring_device(void)
{
	uint64_t one = 1;

	ck_assert_int_eq(write(c.v.bell_fd, &one, sizeof(one)), sizeof(one));
}

static void expect_broken(void)
{
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_PROTOCOL);
	ck_assert_uint_eq(c.v.d.nmaps, 0);
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}

/* Positions that can't be, and messages longer than what is there. */
START_TEST(test_hostile_positions)
{
	static const uint64_t head[] = {4097, 1ull << 40, UINT64_MAX},
			      tail[] = {1, 4097, 1ull << 40};
	static const uint32_t len[] = {9, 4096, UINT32_MAX, UINT32_MAX - 7, UINT32_MAX - 8};

	for (unsigned i = 0; i < 3; i++) { /* its head, when we read */
		chan_rig_init(&c, true, false);
		chan_rig_connect(&c, 4096, i ? STREAM : SEQPACKET, 0);
		dir(1)->head = head[i];
		ring_device();
		expect_broken();
	}
	for (unsigned i = 0; i < 3; i++) { /* its tail, when we write */
		chan_rig_init(&c, true, false);
		chan_rig_connect(&c, 4096, STREAM, 0);
		dir(0)->tail = tail[i];
		chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
		expect_broken();
	}
	for (unsigned i = 0; i < 5; i++) { /* lengths of messages */
		chan_rig_init(&c, true, false);
		chan_rig_connect(&c, 4096, SEQPACKET, 0);
		memcpy(c.base + EXO_RING_HEADER_BYTES + 4096, &len[i], sizeof(len[i]));
		dir(1)->head = 16;
		ring_device();
		expect_broken();
	}
	chan_rig_init(&c, true, false); /* half a header */
	chan_rig_connect(&c, 4096, SEQPACKET, 0);
	dir(1)->head = 4;
	ring_device();
	expect_broken();
}
END_TEST

/* It goes back on its word while the guest has got half of the message. */
START_TEST(test_hostile_mid_message)
{
	static uint8_t data[20000];

	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 65536, SEQPACKET, 0);
	for (unsigned i = 0; i < 30; i++) /* leave two buffers */
		drv_used(&c.v.d, 0, &(uint32_t){0}, &(uint32_t){0});
	ck_assert_int_eq(far_send(data, sizeof(data), 0), sizeof(data));
	dir(1)->head = 100;
	ring_device();
	while (c.v.h.op != VIRTIO_VSOCK_OP_RST)
		ck_assert(vsock_rig_recv(&c.v));
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_PROTOCOL);
	chan_rig_finish(&c);
}
END_TEST

/* Doorbells without a reason, and ends that are taken back. */
START_TEST(test_hostile_noise)
{
	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 4096, STREAM, 0);
	for (unsigned i = 0; i < 100; i++) {
		ring_device();
		ck_assert_uint_le(drv_pump(&c.v.d, 0), 1);
	}
	vsock_rig_expect_quiet(&c.v);
	/* Our own positions are never read back. */
	dir(0)->head = 12345;
	dir(1)->tail = 54321;
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
	ck_assert_uint_eq(dir(0)->head, 1);
	ck_assert_int_eq(far_send("abc", 3, 0), -EPROTO); /* it fooled itself */
	dir(1)->head = 3;
	ring_device();
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(c.v.h.len, 3);
	dir(1)->fin = 1;
	ring_device();
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_SHUTDOWN);
	dir(1)->fin = 0;
	dir(1)->head = 6;
	ring_device();
	vsock_rig_expect_quiet(&c.v);
	chan_rig_finish(&c);
}
END_TEST

/* ---- two guests
 * ---------------------------------------------------------------------------------- */

/* A connection between two devices, as between two VMMs; neither end is ours. */
static struct chan_rig two[2];

static void wire(void)
{
	int fd = chan_rig_ring(&two[0], 16384, true, SEQPACKET), again = dup(fd);
	struct exo_vmm_channel m = chan_rig_offer(&two[0]);

	vsock_rig_send(&two[0].v, SEQPACKET, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	ck_assert_int_eq(vsock_channel(two[1].v.d.dev, &m, fd, dup(two[0].v.bell_fd)), 0);
	vsock_rig_expect(&two[1].v, VIRTIO_VSOCK_OP_REQUEST);
	two[1].host_port = EXO_CONN_PORT(CONN);
	two[1].guest_port = SERVED;
	two[1].type = SEQPACKET;
	chan_rig_send(&two[1], VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	chan_rig_state(&two[1], EXO_CHANNEL_ACCEPTED, EXO_REASON_NONE);
	m.request = vsock_rig_asked(&two[0].v);
	m.side = 0;
	ck_assert_int_eq(vsock_channel(two[0].v.d.dev, &m, again, dup(two[1].v.bell_fd)), 0);
	vsock_rig_expect(&two[0].v, VIRTIO_VSOCK_OP_RESPONSE);
	two[0].host_port = HOST_PORT;
	two[0].guest_port = GUEST_PORT;
}

START_TEST(test_two_guests)
{
	static uint8_t data[9000], got[2][9000];
	unsigned sent[2] = {0}, received[2] = {0};
	uint32_t tx[2] = {0}, have[2] = {0};

	chan_rig_init(&two[0], true, false);
	chan_rig_init(&two[1], true, false);
	wire();
	while (received[0] < 500 || received[1] < 500) {
		for (unsigned i = 0; i < 2; i++) {
			struct chan_rig *r = &two[i];
			uint32_t len = sent[i] * 7919 % sizeof(data);

			vsock_rig_fill(data, len, sent[i]);
			if (sent[i] < 500 && tx[i] + len - r->v.h.fwd_cnt <= 16376) {
				chan_rig_send(r, VIRTIO_VSOCK_OP_RW, EOM, data, len);
				tx[i] += len;
				sent[i]++;
			}
			drv_pump(&r->v.d, 0);
			while (*drv_used_idx(&r->v.d, 0) != r->v.d.q[0].used_idx) {
				ck_assert(vsock_rig_recv(&r->v));
				if (r->v.h.op != VIRTIO_VSOCK_OP_RW)
					continue;
				memcpy(got[i] + have[i], r->v.payload, r->v.h.len);
				have[i] += r->v.h.len;
				r->v.fwd_cnt += r->v.h.len;
				if (!(r->v.h.flags & EOM))
					continue;
				len = received[i] * 7919 % sizeof(data);
				vsock_rig_fill(data, len, received[i]++);
				ck_assert_uint_eq(have[i], len);
				ck_assert_mem_eq(got[i], data, len);
				have[i] = 0;
			}
			chan_rig_send(r, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
		}
	}
	/* One closes: the other is told by the ring, before the owner knows. */
	chan_rig_send(&two[0], VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	while (two[1].v.h.op != VIRTIO_VSOCK_OP_SHUTDOWN || two[1].v.h.flags != BOTH)
		ck_assert(vsock_rig_recv(&two[1].v));
	chan_rig_send(&two[1], VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct exo_vmm_channel_state state =
			chan_rig_state(&two[i], EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);

		ck_assert_uint_eq(state.tx_messages, 500);
		ck_assert_uint_eq(state.rx_messages, 500);
		ck_assert_uint_eq(two[i].v.d.nmaps, 0);
		chan_rig_finish(&two[i]);
	}
}
END_TEST

/* ---- limits of rate ------------------------------------------------------------------------- */

/* Both directions together, at most the rate plus a short burst; and not much less. */
static void measure(uint16_t type, uint64_t rate, uint64_t total)
{
	static uint8_t data[2048], got[65536];
	uint64_t passed = 0, start;
	uint32_t window_used = 0, sent = 0;
	double seconds;
	int why;

	chan_rig_init(&c, true, true);
	chan_rig_connect(&c, 65536, type, rate);
	ck_assert_uint_eq(c.v.h.len, 0); /* never direct */
	start = clock_now_ns();
	while (passed < total) {
		if (c.v.h.buf_alloc - (sent - c.v.h.fwd_cnt) >= sizeof(data)) {
			chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, EOM, data, sizeof(data));
			sent += sizeof(data);
		}
		(void)far_send(data, sizeof(data), 0);
		passed += chan_rig_read(&c, got, sizeof(got), &why);
		passed += guest_collect(got, &window_used);
		ck_assert_uint_le(drv_pump(&c.v.d, 2), 3);
	}
	seconds = (double)(clock_now_ns() - start) / 1e9;
	ck_assert(seconds > (double)total / (double)rate * 0.6);
	ck_assert(seconds < (double)total / (double)rate * 1.5 + 0.1);
	chan_rig_finish(&c);
}

START_TEST(test_rate)
{
	measure(STREAM, 1000000, 400000);
	measure(SEQPACKET, 1000000, 400000);
	measure(STREAM, 50000000, 15000000);
}
END_TEST

/* A throttled connection that ends still delivers, later; one that has nothing to do sleeps. */
START_TEST(test_rate_drains)
{
	static uint8_t data[20000], got[20001];
	uint64_t start = clock_now_ns();
	size_t n = 0;
	int why = 0;

	chan_rig_init(&c, true, false);
	chan_rig_connect(&c, 65536, STREAM, 100000);
	chan_rig_send(&c, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
	chan_rig_send(&c, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&c.v, VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_ne(c.v.d.timer_ns, 0);
	while (why != -ENODATA) {
		n += chan_rig_read(&c, got + n, sizeof(got) - n, &why);
		drv_pump(&c.v.d, 10);
	}
	ck_assert_uint_eq(n, sizeof(data));
	ck_assert_uint_ge(clock_now_ns() - start, 80000000u);
	chan_rig_state(&c, EXO_CHANNEL_CLOSED, EXO_REASON_CLOSED);
	vsock_rig_expect_quiet(&c.v);
	ck_assert_uint_eq(c.v.d.timer_ns, 0);
	chan_rig_finish(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsock_switched");
	TCase *tc = tcase_create("vsock_switched");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_stream);
	tcase_add_test(tc, test_idle);
	tcase_add_test(tc, test_backpressure);
	tcase_add_test(tc, test_half_close);
	tcase_add_test(tc, test_peer_closes);
	tcase_add_test(tc, test_peer_closes_unread);
	tcase_add_test(tc, test_guest_closes_unread);
	tcase_add_test(tc, test_peer_dies_unread);
	tcase_add_test(tc, test_revoke_mid_transfer);
	tcase_add_test(tc, test_revoke_draining);
	tcase_add_test(tc, test_h21_unread);
	tcase_add_test(tc, test_messages_from_guest);
	tcase_add_test(tc, test_messages_to_guest);
	tcase_add_test(tc, test_message_credit);
	tcase_add_test(tc, test_hostile_positions);
	tcase_add_test(tc, test_hostile_mid_message);
	tcase_add_test(tc, test_hostile_noise);
	tcase_add_test(tc, test_two_guests);
	tcase_add_test(tc, test_rate);
	tcase_add_test(tc, test_rate_drains);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
