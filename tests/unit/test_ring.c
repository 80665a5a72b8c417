/*
 * The ring of channels (exo/ring.h): layout, wrapping, doorbells only when asked
 * for and never missed, and positions that can't be.
 */
#include "unit.h"

#include <check.h>
#include <exo/ring.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BYTES 4096u

static uint8_t *mem;
static struct exo_ring a, b; /* side 0, side 1 */

static void setup(void)
{
	mem = aligned_alloc(64, exo_ring_total(BYTES));
	memset(mem, 0, exo_ring_total(BYTES));
	exo_ring_init(&a, mem, BYTES, 0);
	exo_ring_init(&b, mem, BYTES, 1);
}

static void teardown(void)
{
	free(mem);
}

static void put(struct exo_ring *r, uint64_t skip, const uint8_t *data, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t run;
		uint8_t *to = exo_ring_write_at(r, skip + i, &run);

		n = run < len - i ? run : len - i;
		memcpy(to, data + i, n);
	}
}

static void get(const struct exo_ring *r, uint64_t skip, uint8_t *data, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		uint32_t run;
		const uint8_t *from = exo_ring_read_at(r, skip + i, &run);

		n = run < len - i ? run : len - i;
		memcpy(data + i, from, n);
	}
}

static struct exo_ring_dir *dir(unsigned i)
{
	return &((struct exo_ring_header *)(void *)mem)->dir[i];
}

/* ---- layout and positions --------------------------------------------------------- */

START_TEST(test_layout)
{
	uint32_t run;

	ck_assert_uint_eq(exo_ring_total(BYTES), 3 * 4096);
	ck_assert_uint_eq(exo_ring_total(EXO_RING_BYTES_MAX), 4096 + (2ull << 24));
	ck_assert_uint_eq(exo_ring_msg_total(0), 8);
	ck_assert_uint_eq(exo_ring_msg_total(1), 16);
	ck_assert_uint_eq(exo_ring_msg_total(8), 16);
	ck_assert_uint_eq(exo_ring_msg_total(UINT32_MAX), 8 + 0x100000000ull);
	/* What one end writes is what the other reads; the two directions are apart. */
	ck_assert_ptr_eq(exo_ring_write_at(&a, 0, &run), mem + 4096);
	ck_assert_uint_eq(run, BYTES);
	ck_assert_ptr_eq(exo_ring_read_at(&b, 0, &run), mem + 4096);
	ck_assert_ptr_eq(exo_ring_write_at(&b, 7, &run), mem + 8192 + 7);
	ck_assert_uint_eq(run, BYTES - 7);
	ck_assert_ptr_eq(exo_ring_read_at(&a, BYTES + 7, &run), mem + 8192 + 7);
	ck_assert_int_eq(exo_ring_writable(&a), BYTES);
	ck_assert_int_eq(exo_ring_readable(&a), 0);
	/* The lines of the two ends are apart, too. */
	ck_assert_uint_eq((uintptr_t)&dir(0)->tail - (uintptr_t)&dir(0)->head, 64);
}
END_TEST

/* A thousand turns with sizes that don't divide anything, from close to 2^64 on, too. */
START_TEST(test_wraps)
{
	static const uint64_t start[] = {0, UINT64_MAX - 100, UINT64_MAX - 4096 * 3 + 5};
	uint8_t out[BYTES], in[BYTES];

	for (unsigned s = 0; s < 3; s++) {
		a.head = b.tail = dir(0)->head = dir(0)->tail = start[s];
		for (unsigned i = 0; i < 1000; i++) {
			size_t n = i * 997 % BYTES + 1;

			for (size_t j = 0; j < n; j++)
				out[j] = (uint8_t)(i + j);
			ck_assert_int_eq(exo_ring_writable(&a), BYTES);
			put(&a, 0, out, n);
			ck_assert_int_eq(exo_ring_readable(&b), 0);
			exo_ring_produce(&a, n);
			ck_assert_int_eq(exo_ring_writable(&a), BYTES - n);
			ck_assert_int_eq(exo_ring_readable(&b), n);
			get(&b, 0, in, n);
			ck_assert_mem_eq(in, out, n);
			exo_ring_consume(&b, n);
		}
	}
	ck_assert_uint_eq(dir(0)->messages, 3000);
}
END_TEST

/* The other end's position is believed only where it can be; ours never comes from there. */
START_TEST(test_hostile_positions)
{
	static const uint64_t wild[] = {1,          BYTES - 1,  BYTES,          BYTES + 1,
					1ull << 32, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};

	for (unsigned i = 0; i < sizeof(wild) / sizeof(wild[0]); i++) {
		int64_t n;

		teardown();
		setup();
		__atomic_store_n(&dir(0)->head, wild[i], __ATOMIC_RELAXED);
		n = exo_ring_readable(&b);
		ck_assert_int_eq(n, wild[i] <= BYTES ? (int64_t)wild[i] : EXO_RING_EPROTO);
		__atomic_store_n(&dir(0)->head, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&dir(0)->tail, wild[i], __ATOMIC_RELAXED);
		n = exo_ring_writable(&a);
		/* Behind by at most the ring: less room than there is, its own loss. */
		ck_assert_int_eq(n, 0 - wild[i] <= BYTES ? (int64_t)(BYTES - (0 - wild[i]))
							 : EXO_RING_EPROTO);
		/* Its idea of ours is overwritten, not read. */
		__atomic_store_n(&dir(1)->head, wild[i], __ATOMIC_RELAXED);
		__atomic_store_n(&dir(1)->messages, wild[i], __ATOMIC_RELAXED);
		exo_ring_produce(&b, 3);
		ck_assert_uint_eq(dir(1)->head, 3);
		ck_assert_uint_eq(dir(1)->messages, 1);
	}
}
END_TEST

/* ---- doorbells ----------------------------------------------------------------------- */

START_TEST(test_passed)
{
	ck_assert(exo_ring_passed(5, 5, 6));
	ck_assert(exo_ring_passed(5, 0, 6));
	ck_assert(!exo_ring_passed(5, 0, 5));
	ck_assert(!exo_ring_passed(5, 6, 9));
	ck_assert(!exo_ring_passed(EXO_RING_QUIET, 0, UINT64_MAX));
	ck_assert(!exo_ring_passed(5, 5, 5));
}
END_TEST

START_TEST(test_data_event)
{
	/* A new ring is one whose ends sleep. */
	ck_assert(exo_ring_produce(&a, 1));
	ck_assert(!exo_ring_produce(&a, 1));
	/* Asleep only when all was seen. */
	ck_assert(exo_ring_sleep_data(&b, 0));
	ck_assert(!exo_ring_sleep_data(&b, 2));
	ck_assert(exo_ring_produce(&a, 10));
	ck_assert(!exo_ring_produce(&a, 10));
	exo_ring_consume(&b, 22);
	ck_assert(!exo_ring_sleep_data(&b, 0));
	exo_ring_awake_data(&b);
	ck_assert(!exo_ring_produce(&a, 1));
	/* The end is something to wake up for. */
	exo_ring_consume(&b, 1);
	ck_assert(!exo_ring_sleep_data(&b, 0));
	ck_assert(!exo_ring_peer_fin(&b));
	exo_ring_set_fin(&a);
	ck_assert(exo_ring_peer_fin(&b));
	ck_assert(!exo_ring_peer_fin(&a));
	ck_assert(exo_ring_sleep_data(&b, 0));
}
END_TEST

START_TEST(test_space_event)
{
	exo_ring_produce(&a, BYTES);
	ck_assert_int_eq(exo_ring_writable(&a), 0);
	ck_assert(!exo_ring_sleep_space(&a, 100));
	ck_assert(!exo_ring_consume(&b, 99));
	ck_assert(exo_ring_consume(&b, 1));
	ck_assert(!exo_ring_consume(&b, 1));
	ck_assert_int_eq(exo_ring_writable(&a), 101);
	ck_assert(exo_ring_sleep_space(&a, 101)); /* it fits */
	ck_assert(!exo_ring_sleep_space(&a, 102));
	exo_ring_awake_space(&a);
	ck_assert(!exo_ring_consume(&b, 1000));
	/* All of it. */
	ck_assert(!exo_ring_sleep_space(&a, BYTES));
	ck_assert(!exo_ring_consume(&b, BYTES - 1101 - 1));
	ck_assert(exo_ring_consume(&b, 1));
	ck_assert(exo_ring_sleep_space(&a, BYTES));
	exo_ring_produce(&a, BYTES);
	exo_ring_set_stop(&b);
	ck_assert(exo_ring_peer_stop(&a));
	ck_assert(!exo_ring_peer_stop(&b));
	ck_assert(exo_ring_sleep_space(&a, 1));
}
END_TEST

/* ---- two threads ------------------------------------------------------------------------ */

#define MESSAGES 100000u

static int bell_a, bell_b; /* ring a's, b's end */
static _Atomic unsigned rings;

static void ring(int fd, int wanted)
{
	uint64_t one = 1;

	if (!wanted)
		return;
	rings++;
	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* A wake-up that was lost ends the test, which is not run again. */
static void sleep_on(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	if (poll(&p, 1, 10000) != 1 || read(fd, &n, sizeof(n)) != sizeof(n))
		abort();
}

/* Between looking and sleeping: there the other end must be able to come. */
static void dawdle(void)
{
	static _Thread_local unsigned n;

	if (++n % 4 == 0)
		sched_yield();
}

static size_t length_of(unsigned i)
{
	return i * 2654435761u % 700;
}

static void *produce(void *unused)
{
	uint8_t data[700];

	for (unsigned i = 0; i < MESSAGES; i++) {
		size_t len = length_of(i), total = exo_ring_msg_total(len);
		struct exo_ring_msg head = {.bytes = (uint32_t)len};

		while (exo_ring_writable(&a) < (int64_t)total) {
			dawdle();
			if (!exo_ring_sleep_space(&a, total))
				sleep_on(bell_a);
		}
		memset(data, (int)i, len);
		put(&a, 0, (const uint8_t *)&head, sizeof(head));
		put(&a, sizeof(head), data, len);
		ring(bell_b, exo_ring_produce(&a, total));
	}
	exo_ring_set_fin(&a);
	ring(bell_b, 1);
	return NULL;
}

static void consume_one(unsigned i)
{
	struct exo_ring_msg head;
	uint8_t data[700], want[700];

	get(&b, 0, (uint8_t *)&head, sizeof(head));
	ck_assert_uint_eq(head.bytes, length_of(i));
	get(&b, sizeof(head), data, head.bytes);
	memset(want, (int)i, head.bytes);
	ck_assert_mem_eq(data, want, head.bytes);
	ring(bell_a, exo_ring_consume(&b, exo_ring_msg_total(head.bytes)));
}

/* Each end sleeps whenever it can't go on: no wake-up is lost, no message, and few rings. */
START_TEST(test_two_threads)
{
	pthread_t thread;
	unsigned got = 0;

	bell_a = eventfd(0, EFD_CLOEXEC);
	bell_b = eventfd(0, EFD_CLOEXEC);
	rings = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, produce, NULL), 0);
	for (;;) {
		int fin = exo_ring_peer_fin(&b);
		int64_t n = exo_ring_readable(&b);

		ck_assert_int_ge(n, 0);
		if (n) {
			consume_one(got++);
			continue;
		}
		if (fin)
			break;
		dawdle();
		if (!exo_ring_sleep_data(&b, 0))
			sleep_on(bell_b);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(got, MESSAGES);
	ck_assert_uint_le(rings, MESSAGES * 2 + 2);
	close(bell_a);
	close(bell_b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring");
	TCase *tc = tcase_create("ring");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_layout);
	tcase_add_test(tc, test_wraps);
	tcase_add_test(tc, test_hostile_positions);
	tcase_add_test(tc, test_passed);
	tcase_add_test(tc, test_data_event);
	tcase_add_test(tc, test_space_event);
	tcase_add_test(tc, test_two_threads);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
