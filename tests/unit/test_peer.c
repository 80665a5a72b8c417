/*
 * The other end of a connection (peer.h): sockets and rings behave alike, and a
 * ring's hostile end gets nothing but -EPROTO. Two peers play the two ends.
 */
#include "clock.h"
#include "peer.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BYTES 4096u

static struct peer a, b;
static uint8_t *mem;
static int bell_a, bell_b; /* rung for a, b */

static void make(bool ring, bool packets)
{
	int fds[2];

	peer_init(&a);
	peer_init(&b);
	mem = aligned_alloc(64, exo_ring_total(BYTES));
	memset(mem, 0, exo_ring_total(BYTES));
	bell_a = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bell_b = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring) {
		peer_set_ring(&a, mem, BYTES, 0, dup(bell_b), packets);
		peer_set_ring(&b, mem, BYTES, 1, dup(bell_a), packets);
		return;
	}
	ck_assert_int_eq(socketpair(AF_UNIX, packets ? SOCK_SEQPACKET : SOCK_STREAM, 0, fds), 0);
	peer_set_socket(&a, fds[0], packets);
	peer_set_socket(&b, fds[1], packets);
}

static void unmake(void)
{
	peer_close(&a);
	peer_close(&b);
	peer_close(&b);
	close(bell_a);
	close(bell_b);
	free(mem);
}

static struct exo_ring_dir *dir(unsigned i)
{
	return &((struct exo_ring_header *)(void *)mem)->dir[i];
}

static bool rung(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

/* In two pieces, of which the first may be empty. */
static ssize_t send_to(struct peer *p, const void *data, size_t len, unsigned flags)
{
	size_t first = len / 3;
	struct iovec iov[2] = {
		{.iov_base = (void *)(uintptr_t)data, .iov_len = first},
		{.iov_base = (char *)(uintptr_t)data + first, .iov_len = len - first}};

	return peer_send(p, iov, 2, len, flags);
}

static bool last;
static unsigned last_flags;

static ssize_t recv_from(struct peer *p, void *data, size_t len)
{
	size_t first = len / 5;
	struct iovec iov[2] = {{.iov_base = data, .iov_len = first},
			       {.iov_base = (char *)data + first, .iov_len = len - first}};

	return peer_recv(p, iov, 2, len, &last, &last_flags);
}

/* ---- what sockets and rings have in common --------------------------------------------- */

START_TEST(test_stream)
{
	char buf[100];

	make(_i, false);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -EAGAIN);
	ck_assert_int_eq(send_to(&a, "hello", 5, 0), 5);
	ck_assert_int_eq(send_to(&a, "world", 5, 0), 5);
	ck_assert_int_eq(recv_from(&b, buf, 7), 7);
	ck_assert_mem_eq(buf, "hellowo", 7);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), 3);
	peer_shutdown(&a, false, true);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -ENODATA);
	ck_assert(!peer_gone(&b));
	ck_assert_int_eq(send_to(&b, "back", 4, 0), 4);
	ck_assert_int_eq(recv_from(&a, buf, sizeof(buf)), 4);
	ck_assert_int_eq(send_to(&b, "unread", 6, 0), 6);
	peer_close(&a);
	ck_assert(peer_gone(&b));
	ck_assert_int_eq(send_to(&b, "x", 1, 0), -EPIPE);
	unmake();
}
END_TEST

START_TEST(test_messages)
{
	char buf[100];

	make(_i, true);
	ck_assert_int_eq(peer_next(&b), -EAGAIN);
	ck_assert_int_eq(send_to(&a, "one", 3, 0), 3);
	ck_assert_int_eq(send_to(&a, "", 0, 0), 0);
	ck_assert_int_eq(send_to(&a, "three", 5, EXO_RING_EOR), 5);
	ck_assert_int_eq(peer_next(&b), 3);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), 3);
	ck_assert(last);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), 0);
	ck_assert(last);
	ck_assert_int_eq(peer_next(&b), 5);
	ck_assert_int_eq(recv_from(&b, buf, 5), 5);
	ck_assert_mem_eq(buf, "three", 5);
	ck_assert_uint_eq(last_flags, _i ? EXO_RING_EOR : 0); /* sockets have no such mark */
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -EAGAIN);
	peer_close(&a);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -ENODATA);
	ck_assert(peer_gone(&b));
	unmake();
}
END_TEST

START_TEST(test_refuses_reading)
{
	make(_i, false);
	peer_shutdown(&b, true, false);
	ck_assert_int_eq(send_to(&a, "x", 1, 0), -EPIPE);
	ck_assert(!peer_gone(&a));
	peer_shutdown(&b, true, true);
	ck_assert(peer_gone(&a));
	unmake();
}
END_TEST

/* Both directions together stay below the limit; short pauses are made up for. */
START_TEST(test_rate)
{
	static uint8_t data[5000];
	size_t passed = 0;
	uint64_t start;

	make(_i, false);
	a.rate = 1000000;
	start = clock_now_ns();
	while (passed < 200000) {
		ssize_t r = send_to(&a, data, 3000, 0), s;

		ck_assert(r > 0 || r == -EAGAIN);
		if (r == -EAGAIN && a.resume_ns) {
			ck_assert_int_eq(recv_from(&a, data, 100), -EAGAIN);
			while (clock_now_ns() < a.resume_ns)
				usleep(100);
			peer_resume(&a);
		}
		(void)send_to(&b, data, 1000, 0);
		(void)recv_from(&b, data, sizeof(data));
		s = recv_from(&a, data, sizeof(data));
		passed += (r > 0 ? (size_t)r : 0) + (s > 0 ? (size_t)s : 0);
	}
	ck_assert_uint_ge(clock_now_ns() - start, 140000000u);
	ck_assert_uint_le(clock_now_ns() - start, 600000000u);
	/* A message is never cut: it is paid for afterwards. */
	unmake();
	make(_i, true);
	a.rate = 10000;
	ck_assert_int_eq(send_to(&a, data, 3000, 0), 3000);
	ck_assert_int_eq(send_to(&a, data, 1, 0), -EAGAIN);
	ck_assert_uint_ge(a.resume_ns, clock_now_ns() + 200000000u);
	ck_assert_int_eq(recv_from(&b, data, sizeof(data)), 3000);
	unmake();
}
END_TEST

/* ---- rings ---------------------------------------------------------------------------------- */

/* A full ring takes what it can, and tells when half of it is free. */
START_TEST(test_ring_full)
{
	static uint8_t data[5000], got[5000];

	make(true, false);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	ck_assert_int_eq(send_to(&a, data, sizeof(data), 0), BYTES);
	ck_assert_int_eq(send_to(&a, data + BYTES, 100, 0), -EAGAIN);
	while (rung(bell_a))
		;
	ck_assert_int_eq(recv_from(&b, got, BYTES / 2 - 1), BYTES / 2 - 1);
	ck_assert(!rung(bell_a));
	ck_assert_int_eq(recv_from(&b, got + BYTES / 2 - 1, 1), 1);
	ck_assert(rung(bell_a));
	ck_assert_int_eq(send_to(&a, data + BYTES, 100, 0), 100);
	ck_assert_int_eq(recv_from(&b, got + BYTES / 2, sizeof(got)), BYTES / 2 + 100);
	ck_assert_mem_eq(got, data, BYTES + 100);
	unmake();
}
END_TEST

START_TEST(test_ring_message_full)
{
	static uint8_t data[BYTES];

	make(true, true);
	ck_assert_int_eq(send_to(&a, data, BYTES - 7, 0), -EMSGSIZE);
	ck_assert_int_eq(send_to(&a, data, BYTES - 8, 0), BYTES - 8);
	ck_assert_int_eq(send_to(&a, data, 0, 0), -EAGAIN);
	while (rung(bell_a))
		;
	ck_assert_int_eq(recv_from(&b, data, BYTES), BYTES - 8);
	ck_assert(rung(bell_a));
	ck_assert_int_eq(send_to(&a, data, 0, 0), 0);
	unmake();
}
END_TEST

/* A message in pieces: the next does not show through, and padding is not data. */
START_TEST(test_ring_pieces)
{
	char buf[64];

	make(true, true);
	for (unsigned turn = 0; turn < 1000; turn++) {
		ck_assert_int_eq(send_to(&a, "abcdefghijk", 11, turn & 1), 11);
		ck_assert_int_eq(send_to(&a, "next", 4, 0), 4);
		ck_assert_int_eq(peer_next(&b), 11);
		ck_assert_int_eq(recv_from(&b, buf, 5), 5);
		ck_assert(!last);
		ck_assert_int_eq(peer_next(&b), 6);
		ck_assert_int_eq(recv_from(&b, buf + 5, 4), 4);
		ck_assert(!last);
		ck_assert_int_eq(recv_from(&b, buf + 9, 20), 2);
		ck_assert(last);
		ck_assert_uint_eq(last_flags, turn & 1);
		ck_assert_mem_eq(buf, "abcdefghijk", 11);
		ck_assert_int_eq(recv_from(&b, buf, 64), 4);
	}
	ck_assert_int_eq(exo_ring_readable(&b.ring), 0);
	unmake();
}
END_TEST

/* Doorbells: one for each sleep, none without. */
START_TEST(test_ring_doorbells)
{
	char buf[16];

	make(true, false);
	ck_assert_int_eq(send_to(&a, "x", 1, 0), 1);
	ck_assert(rung(bell_b)); /* a new ring's ends sleep */
	ck_assert_int_eq(send_to(&a, "x", 1, 0), 1);
	ck_assert(!rung(bell_b));
	ck_assert(peer_sleep(&b));
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), 2);
	ck_assert(!peer_sleep(&b));
	ck_assert_int_eq(peer_look(&b), 0);
	ck_assert_int_eq(send_to(&a, "x", 1, 0), 1);
	ck_assert(rung(bell_b));
	ck_assert_int_eq(peer_look(&b), PEER_READABLE);
	peer_shutdown(&a, false, true);
	ck_assert(rung(bell_b));
	ck_assert_int_eq(peer_look(&b), PEER_READABLE | PEER_END);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), 1);
	ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -ENODATA);
	peer_shutdown(&a, true, false);
	ck_assert(rung(bell_b));
	ck_assert_int_eq(peer_look(&b), PEER_READABLE | PEER_END | PEER_DEAF);
	/* A doorbell that nobody looks at does not stop us. */
	(void)rung(bell_a);
	ck_assert_int_eq(write(bell_a, &(uint64_t){UINT64_MAX - 1}, 8), 8);
	peer_shutdown(&b, true, true);
	ck_assert_int_eq(peer_look(&a), PEER_READABLE | PEER_END | PEER_DEAF);
	unmake();
}
END_TEST

/* ---- a hostile end
 * -------------------------------------------------------------------------------- */

START_TEST(test_hostile_positions)
{
	static const uint64_t wild[] = {BYTES + 1, 1ull << 40, UINT64_MAX};
	char buf[16];

	for (unsigned i = 0; i < 3; i++) {
		make(true, _i);
		dir(0)->head = wild[i];
		ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -EPROTO);
		ck_assert_int_eq(peer_look(&b), -EPROTO);
		if (_i)
			ck_assert_int_eq(peer_next(&b), -EPROTO);
		dir(1)->tail = i ? wild[i - 1] : 1;
		ck_assert_int_eq(send_to(&b, "x", 1, 0), -EPROTO);
		unmake();
	}
}
END_TEST

START_TEST(test_hostile_messages)
{
	static const uint32_t len[] = {9, BYTES, UINT32_MAX - 8, UINT32_MAX - 7, UINT32_MAX};
	char buf[64];

	for (unsigned i = 0; i < 5; i++) {
		make(true, true);
		memcpy(mem + EXO_RING_HEADER_BYTES, &len[i], 4);
		dir(0)->head = 16;
		ck_assert_int_eq(peer_next(&b), -EPROTO);
		ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -EPROTO);
		unmake();
	}
	for (unsigned i = 1; i < 8; i++) {
		make(true, true);
		dir(0)->head = i;
		ck_assert_int_eq(recv_from(&b, buf, sizeof(buf)), -EPROTO);
		unmake();
	}
	/* H-11: the length that was checked is the one that is used. */
	make(true, true);
	ck_assert_int_eq(send_to(&a, "0123456789", 10, EXO_RING_EOR), 10);
	ck_assert_int_eq(peer_next(&b), 10);
	memcpy(mem + EXO_RING_HEADER_BYTES, (uint32_t[2]){4000, 0}, 8);
	ck_assert_int_eq(peer_next(&b), 10);
	ck_assert_int_eq(recv_from(&b, buf, 4), 4);
	ck_assert_int_eq(recv_from(&b, buf + 4, 60), 6);
	ck_assert(last);
	ck_assert_uint_eq(last_flags, EXO_RING_EOR);
	ck_assert_mem_eq(buf, "0123456789", 10);
	ck_assert_int_eq(recv_from(&b, buf, 4), -EAGAIN);
	/* It takes half a message back. */
	ck_assert_int_eq(send_to(&a, "0123456789", 10, 0), 10);
	ck_assert_int_eq(recv_from(&b, buf, 4), 4);
	dir(0)->head -= 8;
	ck_assert_int_eq(recv_from(&b, buf, 4), -EPROTO);
	unmake();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("peer");
	TCase *tc = tcase_create("peer");

	tcase_add_loop_test(tc, test_stream, 0, 2);
	tcase_add_loop_test(tc, test_messages, 0, 2);
	tcase_add_loop_test(tc, test_refuses_reading, 0, 2);
	tcase_add_loop_test(tc, test_rate, 0, 2);
	tcase_add_test(tc, test_ring_full);
	tcase_add_test(tc, test_ring_message_full);
	tcase_add_test(tc, test_ring_pieces);
	tcase_add_test(tc, test_ring_doorbells);
	tcase_add_loop_test(tc, test_hostile_positions, 0, 2);
	tcase_add_test(tc, test_hostile_messages);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
