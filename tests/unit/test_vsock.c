/*
 * virtio-vsock against the in-memory driver: connections in both directions,
 * their ends, flow control, and a host that fails. Messages are in
 * test_vsock_seq.c, what hostile guests do in test_vsock_hostile.c.
 */
#include "vsock_rig.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* Our own system calls, so that the Nth can fail. */
static int fault_after = -1; /* calls until the next fault; -1: none */
static int fault_errno;

static bool fault_now(void)
{
	if (fault_after < 0 || fault_after-- != 0)
		return false;
	errno = fault_errno;
	return true;
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return fault_now() ? -1 : syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	return fault_now() ? -1 : syscall(SYS_recvmsg, fd, msg, flags);
}

/* Offers a connection of the host; its end. */
static int open_to_guest(struct vsock_rig *r, uint16_t type, bool say_ok)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, type == STREAM ? SOCK_STREAM : SOCK_SEQPACKET, 0, fds),
			 0);
	ck_assert_int_eq(vsock_rig_open(r, fds[0], 80, type, say_ok), 0);
	return fds[1];
}

/* Answers as the guest end of the connection whose packet was received last. */
static void answer(struct vsock_rig *r, uint16_t op, uint32_t flags, const void *data, uint32_t len)
{
	struct virtio_vsock_hdr h = {
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = 2,
		.src_port = r->h.dst_port,
		.dst_port = r->h.src_port,
		.type = r->h.type,
		.op = op,
		.flags = flags,
		.len = len,
		.buf_alloc = r->buf_alloc,
		.fwd_cnt = r->fwd_cnt,
	};

	ck_assert(vsock_rig_offer(r, &h, data, len));
}

/* ---- connecting ---------------------------------------------------------------- */

START_TEST(test_guest_connects)
{
	struct vsock_rig r;
	unsigned fds = vsock_rig_fds();
	char buf[16];
	uint64_t cid;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	vdev_config_read(r.d.dev, 0, &cid, sizeof(cid));
	ck_assert_uint_eq(cid, VSOCK_GUEST_CID);
	fd = vsock_rig_connect(&r, STREAM);
	ck_assert_uint_eq(r.h.buf_alloc, VSOCK_BUFFER_LARGE);
	ck_assert_uint_eq(r.h.fwd_cnt, 0);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "hello", 5);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_int_eq(write(fd, "world!", 6), 6);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(r.h.len, 6);
	ck_assert_uint_eq(r.h.fwd_cnt, 5);
	ck_assert_mem_eq(r.payload, "world!", 6);
	vsock_rig_expect_quiet(&r);
	/* The guest closes: RST at once, the host sees the end. */
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_SHUTDOWN, BOTH, NULL, 0);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	vsock_rig_expect_eof(fd);
	close(fd);
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
	ck_assert_uint_eq(vsock_rig_fds(), fds);
}
END_TEST

START_TEST(test_host_connects)
{
	char want[32], got[32] = "";
	struct vsock_rig r;
	unsigned fds = vsock_rig_fds();
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = open_to_guest(&r, STREAM, true);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(r.h.dst_port, 80);
	ck_assert_uint_ge(r.h.src_port, 1u << 30);
	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	snprintf(want, sizeof(want), "OK %u\n", r.h.src_port);
	answer(&r, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	ck_assert_int_eq(read(fd, got, sizeof(got)), strlen(want));
	ck_assert_str_eq(got, want);
	answer(&r, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
	ck_assert_int_eq(read(fd, got, sizeof(got)), 1);
	/* The host closes: what it wrote arrives first. */
	ck_assert_int_eq(write(fd, "bye", 3), 3);
	close(fd);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_mem_eq(r.payload, "bye", 3);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(r.h.flags, BOTH);
	answer(&r, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	vsock_rig_expect_quiet(&r);
	ck_assert_uint_eq(r.d.timer_ns, 0);
	vsock_rig_finish(&r);
	ck_assert_uint_eq(vsock_rig_fds(), fds);
}
END_TEST

START_TEST(test_refused)
{
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	vsock_rig_reply(&r, vsock_rig_asked(&r), -ECONNREFUSED, -1);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(r.h.dst_port, GUEST_PORT);
	fd = open_to_guest(&r, SEQPACKET, true);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_REQUEST);
	answer(&r, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	vsock_rig_expect_eof(fd);
	close(fd);
	vsock_rig_expect_quiet(&r);
	ck_assert_int_eq(vsock_rig_open(&r, 0, 1, 3, false), -EINVAL);
	vsock_rig_finish(&r);
}
END_TEST

/* The host may be early: its request survives the driver's first reset. */
START_TEST(test_before_driver)
{
	struct vsock_rig r;
	int fd;

	vsock_rig_make(&r);
	fd = open_to_guest(&r, STREAM, false);
	ck_assert(drv_start(&r.d, 0));
	vdev_set_status(r.d.dev, 0);
	r.d.brk = 4096;
	vsock_rig_start(&r, 4, 4096);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_REQUEST);
	answer(&r, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	answer(&r, VIRTIO_VSOCK_OP_RW, 0, "x", 1);
	ck_assert_int_eq(read(fd, &(char){0}, 1), 1);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

START_TEST(test_no_seqpacket)
{
	struct vsock_rig r;
	int fds[2], early;

	vsock_rig_make(&r);
	early = open_to_guest(&r, SEQPACKET, false);
	ck_assert(drv_start(&r.d, 0));
	vsock_rig_expect_eof(early);
	close(early);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	ck_assert_int_eq(vsock_rig_open(&r, fds[0], 80, SEQPACKET, true), -EPROTONOSUPPORT);
	close(fds[0]);
	close(fds[1]);
	vsock_rig_finish(&r);
}
END_TEST

/* Nobody answers: neither the guest, nor the owner, nor the guest at the end. */
START_TEST(test_timeouts)
{
	struct vsock_rig r;
	int fd, dead, late[2];
	uint32_t id;

	vsock_rig_init(&r, 8, 4096);
	dead = vsock_rig_connect(&r, STREAM);
	close(dead);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	fd = open_to_guest(&r, STREAM, true);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_REQUEST);
	vsock_rig_send(&r, SEQPACKET, VIRTIO_VSOCK_OP_REQUEST, 0, NULL, 0);
	id = vsock_rig_asked(&r);
	ck_assert_uint_ne(r.d.timer_ns, 0);
	vsock_rig_expect_quiet(&r);
	usleep(VSOCK_TIMEOUT_NS / 1000);
	for (unsigned i = 0; i < 3; i++)
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	vsock_rig_expect_eof(fd);
	close(fd);
	ck_assert_uint_eq(r.d.timer_ns, 0);
	/* An answer that comes too late. */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, late), 0);
	vsock_rig_reply(&r, id, 0, late[0]);
	vsock_rig_expect_eof(late[1]);
	close(late[1]);
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
}
END_TEST

/* ---- half-close and reset ------------------------------------------------------------- */

START_TEST(test_host_half_close)
{
	struct vsock_rig r;
	char c;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	shutdown(fd, SHUT_WR);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(r.h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_expect_quiet(&r);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "y", 1);
	ck_assert_int_eq(read(fd, &c, 1), 1);
	/* Then it stops reading, too: the guest learns of it when it writes. */
	shutdown(fd, SHUT_RD);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "z", 1);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(r.h.flags, BOTH);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	close(fd);
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
}
END_TEST

START_TEST(test_guest_half_close)
{
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	vsock_rig_expect_eof(fd);
	ck_assert_int_eq(write(fd, "more", 4), 4);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
	ck_assert_mem_eq(r.payload, "more", 4);
	/* Data after it said there is none: the connection is over. */
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "z", 1);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	close(fd);

	fd = vsock_rig_connect(&r, STREAM);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV, NULL, 0);
	ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "w", 1);
	ck_assert_int_eq(read(fd, &(char){0}, 1), 1);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RST);
	vsock_rig_expect_eof(fd);
	close(fd);
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
}
END_TEST

/* The end comes after the data, however long that takes. */
START_TEST(test_guest_half_close_pending)
{
	static uint8_t data[65536], got[65536];
	size_t sent = 0, total = 0;
	struct vsock_rig r;
	ssize_t n;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	for (; !vsock_pending(r.d.dev); sent += sizeof(data))
		vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	while ((n = recv(fd, got, sizeof(got), MSG_DONTWAIT)) > 0) {
		total += n;
		drv_pump(&r.d, 1);
	}
	ck_assert_uint_eq(total, sent);
	ck_assert_int_eq(n, 0);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* H-16: after a reset no packet comes, and connections are over; what was sent stays sent. */
START_TEST(test_h16_reset)
{
	static uint8_t data[65536], got[65536];
	struct vsock_rig r;
	unsigned fds = vsock_rig_fds();
	size_t total = 0, sent = 0;
	int fd, asked;
	ssize_t n;

	vsock_rig_init(&r, 8, 4096);
	vsock_rig_fill(data, sizeof(data), 3);
	fd = vsock_rig_connect(&r, STREAM);
	asked = open_to_guest(&r, STREAM, true);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_REQUEST);
	for (; !vsock_pending(r.d.dev); sent += sizeof(data))
		vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
	ck_assert_int_eq(write(fd, "never", 5), 5);
	vdev_set_status(r.d.dev, 0);
	vsock_rig_expect_eof(asked);
	close(asked);
	while ((n = recv(fd, got, sizeof(got), MSG_DONTWAIT)) != 0) {
		for (ssize_t i = 0; i < n; i++)
			ck_assert_uint_eq(got[i], data[(total + i) % sizeof(data)]);
		total += n > 0 ? n : 0;
		drv_pump(&r.d, 1);
	}
	ck_assert_uint_eq(total, sent);
	ck_assert_uint_eq(vsock_pending(r.d.dev), 0);
	close(fd);
	ck_assert_uint_eq(drv_pump(&r.d, 10), 0);
	vsock_rig_finish(&r);
	ck_assert_uint_eq(vsock_rig_fds(), fds);
}
END_TEST

/* ---- flow control ------------------------------------------------------------------------- */

/* More than the host's socket takes, up to our window; all arrives, in order. */
START_TEST(test_backpressure_to_host)
{
	static uint8_t data[1 << 16], got[1 << 16];
	size_t sent = 0, total = 0;
	uint32_t free_bytes = 0;
	struct vsock_rig r;
	ssize_t n;
	int fd;

	vsock_rig_init(&r, 16, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	vsock_rig_fill(data, sizeof(data), 5);
	/* A guest that counts as it should: 1 MiB in all. */
	while (total < 1 << 20) {
		free_bytes = r.h.buf_alloc - (uint32_t)(sent - r.h.fwd_cnt);
		if (free_bytes >= sizeof(data) && sent < 1 << 20) {
			vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, data, sizeof(data));
			sent += sizeof(data);
			continue;
		}
		ck_assert_uint_le(vsock_pending(r.d.dev), VSOCK_BUFFER_LARGE);
		n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			ck_assert_uint_eq(got[i], data[(total + i) % sizeof(data)]);
		total += n > 0 ? n : 0;
		drv_pump(&r.d, 0);
		while (*drv_used_idx(&r.d, 0) != r.d.q[0].used_idx)
			vsock_rig_expect(&r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	ck_assert_uint_eq(sent, 1 << 20);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

START_TEST(test_credit_request)
{
	struct vsock_rig r;
	int fd;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, STREAM);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_RW, 0, "abc", 3);
	vsock_rig_expect_quiet(&r);
	vsock_rig_send(&r, STREAM, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0, NULL, 0);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ck_assert_uint_eq(r.h.fwd_cnt, 3);
	close(fd);
	vsock_rig_finish(&r);
}
END_TEST

/* Two busy connections share the guest's few buffers fairly. */
START_TEST(test_fair)
{
	static uint8_t data[40000];
	unsigned count[2] = {0};
	struct vsock_rig r;
	int fd[2];

	vsock_rig_init(&r, 4, 1024);
	fd[0] = open_to_guest(&r, STREAM, false);
	vsock_rig_expect(&r, VIRTIO_VSOCK_OP_REQUEST);
	answer(&r, VIRTIO_VSOCK_OP_RESPONSE, 0, NULL, 0);
	fd[1] = vsock_rig_connect(&r, STREAM);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(write(fd[i], data, sizeof(data)), sizeof(data));
	while (count[0] + count[1] < 2 * sizeof(data)) {
		vsock_rig_expect(&r, VIRTIO_VSOCK_OP_RW);
		count[r.h.dst_port == GUEST_PORT] += r.h.len;
		if (count[0] + count[1] > 8192 && count[0] + count[1] < 60000) {
			ck_assert_uint_le(count[0], count[1] + 6144);
			ck_assert_uint_le(count[1], count[0] + 6144);
		}
	}
	vsock_rig_expect_quiet(&r);
	close(fd[0]);
	close(fd[1]);
	vsock_rig_finish(&r);
}
END_TEST

/* ---- a host that fails --------------------------------------------------- */

/* One conversation; whatever fails in it, both sides hear of it and nothing is left. */
static void conversation(uint16_t type)
{
	unsigned fds = vsock_rig_fds();
	struct vsock_rig r;
	char buf[8];
	int fd, n = 0;

	vsock_rig_init(&r, 8, 4096);
	fd = vsock_rig_connect(&r, type);
	for (unsigned i = 0; i < 3; i++) {
		vsock_rig_send(&r, type, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_SEQ_EOM, "ping", 4);
		drv_pump(&r.d, 0);
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 4)
			n = send(fd, "pong", 4, MSG_NOSIGNAL);
		if (n != 4 || !vsock_rig_recv(&r) || r.h.op != VIRTIO_VSOCK_OP_RW)
			break;
		ck_assert_mem_eq(r.payload, "pong", 4);
		n = 0;
	}
	close(fd);
	for (unsigned i = 0; i < 4 && vsock_rig_recv(&r); i++) {
		if (r.h.op == VIRTIO_VSOCK_OP_SHUTDOWN)
			answer(&r, VIRTIO_VSOCK_OP_RST, 0, NULL, 0);
	}
	fault_after = -1;
	vsock_rig_expect_quiet(&r);
	vsock_rig_finish(&r);
	ck_assert_uint_eq(vsock_rig_fds(), fds);
}

START_TEST(test_faults)
{
	static const int code[] = {EINTR, EAGAIN, ENOMEM, ENOBUFS, EPIPE, ECONNRESET, EIO};

	for (unsigned e = 0; e < sizeof(code) / sizeof(code[0]); e++) {
		for (int n = 0; n < 10; n++) {
			fault_errno = code[e];
			fault_after = n;
			conversation(n & 1 ? SEQPACKET : STREAM);
			fault_after = n;
			conversation(n & 1 ? STREAM : SEQPACKET);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsock");
	TCase *tc = tcase_create("vsock");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_guest_connects);
	tcase_add_test(tc, test_host_connects);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_before_driver);
	tcase_add_test(tc, test_no_seqpacket);
	tcase_add_test(tc, test_timeouts);
	tcase_add_test(tc, test_host_half_close);
	tcase_add_test(tc, test_guest_half_close);
	tcase_add_test(tc, test_guest_half_close_pending);
	tcase_add_test(tc, test_h16_reset);
	tcase_add_test(tc, test_backpressure_to_host);
	tcase_add_test(tc, test_credit_request);
	tcase_add_test(tc, test_fair);
	tcase_add_test(tc, test_faults);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
