/*
 * virtio-vsock: what hostile guests do (H-04, H-10, H-11, H-19 to H-21), and
 * that nothing of it costs more than fixed tables or wakes anybody up for ever.
 */
#include "vsock_rig.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A packet of our choice from a port of our choice. */
static bool packet(struct vsock_rig *r, uint32_t guest_port, uint16_t type, uint16_t op)
{
	struct virtio_vsock_hdr h = {
		.src_cid = r->src_cid,
		.dst_cid = r->dst_cid,
		.src_port = guest_port,
		.dst_port = HOST_PORT,
		.type = type,
		.op = op,
		.buf_alloc = r->buf_alloc,
	};

	return vsock_rig_offer(r, &h, NULL, 0);
}

static void credit(struct vsock_rig *r, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	r->buf_alloc = buf_alloc;
	r->fwd_cnt = fwd_cnt;
	vsock_rig_send(r, STREAM, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, NULL, 0);
}

/* ---- H-19: credit ------------------------------------------------------------- */

START_TEST(test_h19_small_window)
{
	struct vsock_rig r;
	uint8_t data[100];
	int fd;

	vsock_rig_init(&r, 8, 4096);
	vsock_rig_fill(data, sizeof(data), 1);
	r.buf_alloc = 10;
	fd = vsock_rig_connect(&r, STREAM);
	ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 10);
	vsock_rig_expect_quiet(&r);
	credit(&r, 10, 4);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 4);
	ck_assert_mem_eq(r.payload, data + 10, 4);
	vsock_rig_expect_quiet(&r);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* It claims to have taken what it never got, shrinks its window, or says it is endless. */
START_TEST(test_h19_lies)
{
	static uint8_t data[1000];
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	r.buf_alloc = 100;
	fd = vsock_rig_connect(&r, STREAM);
	ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 100);
	credit(&r, 100, 101);
	vsock_rig_expect_quiet(&r);
	credit(&r, 100, 0x80000000u);
	vsock_rig_expect_quiet(&r);
	credit(&r, 50, 100 - 70);
	vsock_rig_expect_quiet(&r);
	credit(&r, 0, 100);
	vsock_rig_expect_quiet(&r);
	credit(&r, UINT32_MAX, 100);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 900);
	vsock_rig_expect_quiet(&r);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* It sends more than its window. What the host's socket takes does not count. */
START_TEST(test_h19_overrun)
{
	static uint8_t data[65536];
	struct vsock_rig r;
	unsigned sent = 0;
	char c;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	do {
		ck_assert_uint_lt(sent++, 32);
		vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
		ck_assert_uint_le(vsock_pending(r.d.dev), VSOCK_BUFFER_LARGE);
		while (*drv_used_idx(&r.d, 0) != r.d.q[0].used_idx)
			ck_assert(vsock_rig_recv(&r));
	} while (r.h.op != VIRTIO_VSOCK_OP_RST);
	while (read(fd, data, sizeof(data)) > 0)
		;
	ck_assert_int_eq(read(fd, &c, 1), 0);
	ck_assert_uint_eq(vsock_pending(r.d.dev), 0);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* Windows of many connections: the large ones are few. */
START_TEST(test_h19_budget)
{
	struct vsock_rig r;
	uint64_t total = 0;
	int fds[2];

	vsock_rig_init(&r, 8, 4096);
	for (unsigned i = 0; i < 40; i++) {
		ck_assert(packet(&r, i, STREAM, VIRTIO_VSOCK_OP_REQUEST));
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		vsock_rig_reply(&r, vsock_rig_asked(&r), 0, fds[0]);
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RESPONSE);
		total += r.h.buf_alloc;
	}
	ck_assert_uint_eq(total, VSOCK_BUFFERS_LARGE * VSOCK_BUFFER_LARGE +
					 (40 - VSOCK_BUFFERS_LARGE) * VSOCK_BUFFER_SMALL);
	vsock_rig_finish(&r);
}
END_TEST

/* ---- H-20: who and what ------------------------------------------------------------ */

START_TEST(test_h20_addresses)
{
	static const uint64_t cid[][2] = {{4, 2}, {2, 2},          {3, 3},
					  {3, 1}, {3, UINT64_MAX}, {3ull << 32 | 3, 2}};
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	for (unsigned i = 0; i < sizeof(cid) / sizeof(cid[0]); i++) {
		r.src_cid = cid[i][0];
		r.dst_cid = cid[i][1];
		packet(&r, GUEST_PORT, STREAM, VIRTIO_VSOCK_OP_RST);
		packet(&r, 5, STREAM, VIRTIO_VSOCK_OP_REQUEST);
		vsock_rig_expect_quiet(&r);
		ck_assert_uint_eq(r.d.nevents, 0);
	}
	/* The connection it tried to reset lives on. */
	r.src_cid = VSOCK_GUEST_CID;
	r.dst_cid = 2;
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
	ck_assert_int_eq(read(fd, &(char){0}, 1), 1);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

START_TEST(test_h20_types_and_ops)
{
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	packet(&r, 5, 0, VIRTIO_VSOCK_OP_REQUEST);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(r.h.type, 0);
	ck_assert_uint_eq(r.h.dst_port, 5);
	packet(&r, 5, 3, VIRTIO_VSOCK_OP_RW);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(r.h.type, 3);
	/* Never a reset for a reset. */
	packet(&r, 5, 3, VIRTIO_VSOCK_OP_RST);
	packet(&r, 5, STREAM, VIRTIO_VSOCK_OP_RST);
	vsock_rig_expect_quiet(&r);
	/* For a connection that does not exist. */
	for (uint16_t op = 0; op < 10; op++) {
		if (op == VIRTIO_VSOCK_OP_REQUEST || op == VIRTIO_VSOCK_OP_RST)
			continue;
		packet(&r, 5, STREAM, op);
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	}
	/* Unknown, or senseless, on one that does: it ends. */
	for (uint16_t op = 0; op < 10; op++) {
		if (op > VIRTIO_VSOCK_OP_RESPONSE && op < 8)
			continue;
		fd = vsock_rig_connect(&r, STREAM);
		packet(&r, GUEST_PORT, STREAM, op);
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
		ck_assert_int_eq(read(fd, &(char){0}, 1), 0);
		close(fd);
	}
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
}
END_TEST

/* Data, or the end, before there is a connection. */
START_TEST(test_h20_too_early)
{
	static const uint16_t op[] = {VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_SHUTDOWN,
				      VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_REQUEST};
	struct vsock_rig r;
	int fds[2];

	vsock_rig_init(&r, 8, 4096);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t id;

		packet(&r, GUEST_PORT, STREAM, VIRTIO_VSOCK_OP_REQUEST);
		id = vsock_rig_asked(&r);
		packet(&r, GUEST_PORT, STREAM, op[i]);
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		vsock_rig_reply(&r, id, 0, fds[0]);
		ck_assert_int_eq(read(fds[1], &(char){0}, 1), 0);
		close(fds[1]);
	}
	vsock_rig_expect_quiet(&r);
	ck_assert_uint_eq(r.d.timer_ns, 0);
	vsock_rig_finish(&r);
}
END_TEST

/* H-04: a header that is cut off, or says there is more than there is. */
START_TEST(test_h04_lengths)
{
	struct virtio_vsock_hdr h = {.src_cid = 3,
				     .dst_cid = 2,
				     .src_port = GUEST_PORT,
				     .dst_port = HOST_PORT,
				     .type = STREAM,
				     .op = VIRTIO_VSOCK_OP_RW,
				     .len = 6};
	struct vsock_rig r;
	uint32_t id, len;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	for (uint32_t n = 1; n < sizeof(h); n += 7) {
		drv_send(&r.d, 1, &h, n);
		ck_assert(drv_used(&r.d, 1, &id, &len));
	}
	vsock_rig_expect_quiet(&r);
	ck_assert(vsock_rig_offer(&r, &h, "12345", 5));
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	ck_assert_int_eq(read(fd, &(char){0}, 1), 0);
	close(fd);
	/* More than it says is not data. */
	fd = vsock_rig_connect(&r, STREAM);
	h.len = 2;
	ck_assert(vsock_rig_offer(&r, &h, "12345", 5));
	ck_assert_int_eq(recv(fd, (char[8]){0}, 8, MSG_DONTWAIT), 2);
	/* Buffers without room for a header come back empty. */
	drv_post(&r.d, 0, 43, NULL);
	close(fd);
	for (unsigned i = 0; i < 8; i++)
		vsock_rig_recv(&r);
	vsock_rig_finish(&r);
}
END_TEST

/* H-11: the length that was checked is the one that is used. */
static void poke_len(void *opaque, gpa_t gpa, size_t len)
{
	struct vsock_rig *r = opaque;

	if (gpa == r->tx_gpa && len == sizeof(struct virtio_vsock_hdr))
		((struct virtio_vsock_hdr *)drv_ptr(&r->d, gpa, len))->len = 60000;
}

START_TEST(test_h11_header_changes)
{
	struct vsock_rig r;
	char buf[16];
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	r.d.mem.hook_opaque = &r;
	r.d.mem.fetch_hook = poke_len;
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "abc", 3);
	ck_assert_int_eq(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), 3);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* ---- H-21: floods ------------------------------------------------------------------------ */

/* Connection requests nobody answers, and no buffers for our answers. */
START_TEST(test_h21_connects)
{
	unsigned fds, rsts = 0;
	struct vsock_rig r;

	vsock_rig_init(&r, 0, 4096);
	fds = vsock_rig_fds();
	for (uint32_t i = 0; i < 2000; i++)
		ck_assert(packet(&r, i, STREAM, VIRTIO_VSOCK_OP_REQUEST));
	ck_assert_uint_eq(vsock_rig_fds(), fds);
	ck_assert_uint_eq(drv_pump(&r.d, 10), 0);
	vsock_rig_post(&r, 64);
	while (vsock_rig_recv(&r)) {
		ck_assert_uint_eq(r.h.op, VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_ge(r.h.dst_port, VSOCK_CONNS_MAX);
		rsts++;
	}
	ck_assert_uint_eq(rsts, 64);
	/* All of them time out, and others find room again. */
	usleep(VSOCK_TIMEOUT_NS / 1000);
	drv_pump(&r.d, 10);
	for (rsts = 0; vsock_rig_recv(&r); rsts++) {
		ck_assert_uint_eq(r.h.op, VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_lt(r.h.dst_port, VSOCK_CONNS_MAX);
	}
	ck_assert_uint_eq(rsts, VSOCK_CONNS_MAX);
	r.d.nevents = 0;
	close(vsock_rig_connect(&r, STREAM));
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	vsock_rig_finish(&r);
}
END_TEST

/* The same reset is due once, however often it was earned. */
START_TEST(test_h21_resets_coalesce)
{
	struct vsock_rig r;

	vsock_rig_init(&r, 0, 4096);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert(packet(&r, i % 3, STREAM, VIRTIO_VSOCK_OP_RW));
	vsock_rig_post(&r, 16);
	for (unsigned i = 0; i < 3; i++)
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
}
END_TEST

/* Opening and closing, over and over, without reading an answer. */
START_TEST(test_h21_churn)
{
	struct vsock_rig r;
	unsigned fds;
	int pair[2];

	vsock_rig_init(&r, 0, 4096);
	fds = vsock_rig_fds();
	for (uint32_t i = 0; i < 1000; i++) {
		ck_assert(packet(&r, i, STREAM, VIRTIO_VSOCK_OP_REQUEST));
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		vsock_rig_reply(&r, vsock_rig_asked(&r), 0, pair[0]);
		if (i & 1)
			close(pair[1]);
		ck_assert(packet(&r, i, STREAM, i & 2 ? VIRTIO_VSOCK_OP_RST : 77));
		if (!(i & 1))
			close(pair[1]);
	}
	ck_assert_uint_eq(vsock_rig_fds(), fds);
	while (drv_pump(&r.d, 0))
		;
	ck_assert_uint_eq(r.d.timer_ns, 0);
	vsock_rig_finish(&r);
}
END_TEST

/* TX goes on when RX is full, and a host that writes does not wake us meanwhile. */
START_TEST(test_h21_tx_goes_on)
{
	static uint8_t data[4000], got[4000];
	struct vsock_rig r;
	size_t total = 0;
	int fd;

	vsock_rig_init(&r, 1, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	ck_assert_int_eq(write(fd, data, sizeof(data)), sizeof(data));
	while (drv_pump(&r.d, 0))
		; /* one packet went into the only buffer; nobody collects it */
	vsock_rig_fill(data, sizeof(data), 4);
	for (unsigned i = 0; i < 200; i++) {
		vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
		ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), sizeof(got));
		ck_assert_mem_eq(got, data, sizeof(data));
		ck_assert_uint_eq(drv_pump(&r.d, 0), 0);
	}
	/* The host's end: also silent until there is room. */
	close(fd);
	drv_pump(&r.d, 0);
	ck_assert_uint_eq(drv_pump(&r.d, 20), 0);
	do {
		ck_assert(vsock_rig_recv(&r));
		total += r.h.len;
	} while (r.h.op != VIRTIO_VSOCK_OP_SHUTDOWN || r.h.flags != 3);
	ck_assert_uint_eq(total, 2 * sizeof(data));
	vsock_rig_finish(&r);
}
END_TEST

/* More connections than the event loop takes: those are reset, the others work. */
START_TEST(test_h21_watches_run_out)
{
	unsigned fds = vsock_rig_fds(), responses = 0, rsts = 0;
	int peer[DRV_WATCHES + 10], pair[2];
	struct vsock_rig r;

	vsock_rig_init(&r, 128, 1024);
	for (uint32_t i = 0; i < DRV_WATCHES + 10; i++) {
		ck_assert(packet(&r, i, STREAM, VIRTIO_VSOCK_OP_REQUEST));
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		peer[i] = pair[1];
		vsock_rig_reply(&r, vsock_rig_asked(&r), 0, pair[0]);
		ck_assert(vsock_rig_recv(&r));
		responses += r.h.op == VIRTIO_VSOCK_OP_RESPONSE;
		rsts += r.h.op == VIRTIO_VSOCK_OP_RST;
	}
	ck_assert_uint_eq(responses, DRV_WATCHES);
	ck_assert_uint_eq(rsts, 10);
	for (uint32_t i = 0; i < DRV_WATCHES + 10; i++)
		close(peer[i]);
	vsock_rig_finish(&r);
	ck_assert_uint_eq(vsock_rig_fds(), fds);
}
END_TEST

/* A packet socket's message half sent, then the guest goes, in every way it can. */
START_TEST(test_h21_half_messages)
{
	static const uint16_t op[] = {VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_SHUTDOWN, 99};
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	for (unsigned i = 0; i < 3; i++) {
		fd = vsock_rig_connect(&r, SEQPACKET);
		vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_RW, 0, "half", 4);
		vsock_rig_send(&r, SEQPACKET, op[i], 3, NULL, 0);
		if (i)
			vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
		ck_assert_int_eq(read(fd, (char[8]){0}, 8), 0);
		close(fd);
	}
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
}
END_TEST

/* A malformed ring stops the device, and its hosts do not keep it busy. */
START_TEST(test_malformed_ring)
{
	struct vsock_rig r;
	int fd;

	for (unsigned q = 0; q < 2; q++) {
		vsock_rig_init(&r, q ? 8 : 1, 4096);
		fd = vsock_rig_connect(&r, STREAM);
		drv_offer(&r.d, q, 0xffff);
		drv_kick(&r.d, q);
		ck_assert_int_eq(write(fd, "x", 1), 1);
		drv_pump(&r.d, 0);
		ck_assert_int_eq(write(fd, "x", 1), 1);
		drv_pump(&r.d, 0);
		ck_assert(drv_needs_reset(&r.d));
		ck_assert_uint_eq(drv_pump(&r.d, 20), 0);
		vdev_set_status(r.d.dev, 0);
		ck_assert_int_eq(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
		ck_assert_int_eq(errno, ECONNRESET);
		close(fd);
		vsock_rig_finish(&r);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsock_hostile");
	TCase *tc = tcase_create("vsock_hostile");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_h19_small_window);
	tcase_add_test(tc, test_h19_lies);
	tcase_add_test(tc, test_h19_overrun);
	tcase_add_test(tc, test_h19_budget);
	tcase_add_test(tc, test_h20_addresses);
	tcase_add_test(tc, test_h20_types_and_ops);
	tcase_add_test(tc, test_h20_too_early);
	tcase_add_test(tc, test_h04_lengths);
	tcase_add_test(tc, test_h11_header_changes);
	tcase_add_test(tc, test_h21_connects);
	tcase_add_test(tc, test_h21_resets_coalesce);
	tcase_add_test(tc, test_h21_churn);
	tcase_add_test(tc, test_h21_tx_goes_on);
	tcase_add_test(tc, test_h21_watches_run_out);
	tcase_add_test(tc, test_h21_half_messages);
	tcase_add_test(tc, test_malformed_ring);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
