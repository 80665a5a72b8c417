/*
 * The table of doorbells, with a KVM that only takes notes: one entry a key,
 * counting, lingering, removal at once, and that no eventfd is leaked.
 */
#include "bells.h"
#include "unit.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SECOND 1000000000ull

static struct bells b;
static unsigned sets, unsets, nfds;
static int set_error;
static bool known[10000]; /* by value */

static int on_set(void *opaque, int fd, uint32_t value, bool on)
{
	ck_assert_int_ne(fcntl(fd, F_GETFD), -1);
	if (on && set_error)
		return set_error;
	ck_assert_uint_lt(value, sizeof(known));
	ck_assert(known[value] == !on);
	known[value] = on;
	on ? sets++ : unsets++;
	return 0;
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void setup(void)
{
	static const struct bells_ops ops = {.set = on_set};

	bells_init(&b, &ops, NULL);
	sets = unsets = 0;
	set_error = 0;
	memset(known, 0, sizeof(known));
	nfds = count_fds();
}

static uint32_t get(uint32_t key)
{
	uint32_t value = 0;

	ck_assert_int_eq(bells_get(&b, eventfd(0, 0), key, &value), 0);
	ck_assert_uint_ne(value, 0);
	return value;
}

START_TEST(equal_keys_share)
{
	uint32_t one = get(7), other = get(8);

	ck_assert_uint_ne(one, other);
	ck_assert_uint_eq(get(7), one);
	ck_assert_uint_eq(sets, 2);
	ck_assert_uint_eq(count_fds(), nfds + 2);
	ck_assert_uint_eq(bells_put(&b, one, 5, false), 0);
	ck_assert_uint_eq(bells_put(&b, one, 5, false), 5 + BELLS_LINGER_NS);
	ck_assert_uint_eq(unsets, 0);
}
END_TEST

START_TEST(lingers_and_comes_back)
{
	uint32_t value = get(7);
	uint64_t at = bells_put(&b, value, SECOND, false);

	ck_assert_uint_eq(at, SECOND + BELLS_LINGER_NS);
	ck_assert_uint_eq(bells_sweep(&b, at - 1), at);
	ck_assert_uint_eq(get(7), value);
	ck_assert_uint_eq(bells_sweep(&b, at), 0); /* it is counted again */
	ck_assert_uint_eq(unsets, 0);
	at = bells_put(&b, value, 3 * SECOND, false);
	ck_assert_uint_eq(bells_sweep(&b, at), 0);
	ck_assert_uint_eq(unsets, 1);
	ck_assert_uint_eq(count_fds(), nfds);
	ck_assert_uint_ne(get(7), value); /* an old value rings nobody */
}
END_TEST

START_TEST(at_once)
{
	uint32_t a = get(1), c = get(2);
	uint64_t at;

	bells_put(&b, c, SECOND, false);
	at = bells_put(&b, a, SECOND, true);
	ck_assert_uint_le(at, SECOND);
	ck_assert_uint_eq(bells_sweep(&b, SECOND), SECOND + BELLS_LINGER_NS);
	ck_assert(!known[a] && known[c]);
	ck_assert_uint_eq(count_fds(), nfds + 1);
}
END_TEST

/* One a time: each waits for a grace period of the kernel's. */
START_TEST(they_go_one_by_one)
{
	uint32_t value[5];
	uint64_t at, now = SECOND + BELLS_LINGER_NS;

	for (unsigned i = 0; i < 5; i++)
		value[i] = get(i);
	for (unsigned i = 0; i < 5; i++)
		bells_put(&b, value[i], SECOND, false);
	for (unsigned i = 1; i <= 5; i++) {
		at = bells_sweep(&b, now);
		ck_assert_uint_eq(unsets, i);
		ck_assert_uint_eq(at, i < 5 ? now + BELLS_BETWEEN_NS : 0);
		now = at;
	}
}
END_TEST

START_TEST(full)
{
	uint32_t value[BELLS_MAX], again;

	for (unsigned i = 0; i < BELLS_MAX; i++)
		value[i] = get(i);
	ck_assert_int_eq(bells_get(&b, eventfd(0, 0), BELLS_MAX, &again), -ENOSPC);
	ck_assert_uint_eq(count_fds(), nfds + BELLS_MAX);
	ck_assert_uint_eq(get(3), value[3]);
	bells_put(&b, value[9], 1, false); /* an idle one makes room */
	again = get(BELLS_MAX);
	ck_assert(!known[value[9]] && known[again]);
}
END_TEST

START_TEST(failure)
{
	uint32_t value;

	set_error = -ENOSPC;
	ck_assert_int_eq(bells_get(&b, eventfd(0, 0), 1, &value), -ENOSPC);
	ck_assert_uint_eq(count_fds(), nfds);
	set_error = 0;
	get(1);
	ck_assert_uint_eq(bells_put(&b, 4711, 1, true), 0); /* nobody's */
	ck_assert_uint_eq(unsets, 0);
}
END_TEST

START_TEST(values_wrap_around)
{
	uint32_t first = get(1), value;

	b.last_value = UINT32_MAX;
	ck_assert_uint_eq(first, 1);
	value = get(2);
	ck_assert_uint_ne(value, 0);
	ck_assert_uint_ne(value, first);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bells");
	TCase *tc = tcase_create("bells");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, equal_keys_share);
	tcase_add_test(tc, lingers_and_comes_back);
	tcase_add_test(tc, at_once);
	tcase_add_test(tc, they_go_one_by_one);
	tcase_add_test(tc, full);
	tcase_add_test(tc, failure);
	tcase_add_test(tc, values_wrap_around);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
