/*
 * Guest memory: only RAM resolves, and only within one region (H-03, H-17).
 */
#include "gmem.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOW 0x10000u
#define HIGH 0x100000000ull

static uint8_t low[LOW], high[0x1000];
static struct gmem m;

static void setup(void)
{
	m = (struct gmem){0};
	ck_assert_int_eq(gmem_add(&m, 0, low, sizeof(low)), 0);
	ck_assert_int_eq(gmem_add(&m, HIGH, high, sizeof(high)), 0);
}

START_TEST(resolves_inside)
{
	ck_assert_ptr_eq(gmem_ptr(&m, 0, LOW), low);
	ck_assert_ptr_eq(gmem_ptr(&m, LOW - 1, 1), low + LOW - 1);
	ck_assert_ptr_eq(gmem_ptr(&m, HIGH + 5, 7), high + 5);
	ck_assert_ptr_eq(gmem_ptr(&m, 3, 0), low + 3);
}
END_TEST

START_TEST(h03_outside)
{
	ck_assert_ptr_null(gmem_ptr(&m, LOW, 1));
	ck_assert_ptr_null(gmem_ptr(&m, LOW, 0));
	ck_assert_ptr_null(gmem_ptr(&m, LOW - 1, 2));
	ck_assert_ptr_null(gmem_ptr(&m, HIGH - 1, 1));
	ck_assert_ptr_null(gmem_ptr(&m, HIGH + sizeof(high), 1));
}
END_TEST

START_TEST(h03_wraps)
{
	ck_assert_ptr_null(gmem_ptr(&m, UINT64_MAX, 1));
	ck_assert_ptr_null(gmem_ptr(&m, UINT64_MAX, 2));
	ck_assert_ptr_null(gmem_ptr(&m, 1, UINT64_MAX));
	ck_assert_ptr_null(gmem_ptr(&m, HIGH + 1, UINT64_MAX - HIGH + 1));
}
END_TEST

START_TEST(h03_spans_the_gap)
{
	ck_assert_ptr_null(gmem_ptr(&m, LOW - 16, HIGH));
	ck_assert_ptr_null(gmem_ptr(&m, 0, HIGH + 16));
}
END_TEST

START_TEST(h03_spans_adjacent_regions)
{
	static uint8_t next[64];

	ck_assert_int_eq(gmem_add(&m, LOW, next, sizeof(next)), 0);
	ck_assert_ptr_eq(gmem_ptr(&m, LOW, 64), next);
	/* They are not adjacent here, whatever the guest thinks. */
	ck_assert_ptr_null(gmem_ptr(&m, LOW - 1, 2));
}
END_TEST

START_TEST(h17_device_registers)
{
	ck_assert_ptr_null(gmem_ptr(&m, 0xd0000000u, 4));
	ck_assert_ptr_null(gmem_ptr(&m, 0xfee00000u, 4));
}
END_TEST

START_TEST(add_refuses)
{
	static uint8_t other[64];

	ck_assert_int_eq(gmem_add(&m, LOW - 1, other, 1), -EINVAL);
	ck_assert_int_eq(gmem_add(&m, HIGH - 32, other, 64), -EINVAL);
	ck_assert_int_eq(gmem_add(&m, 0x20000, other, 0), -EINVAL);
	ck_assert_int_eq(gmem_add(&m, 0x20000, NULL, 64), -EINVAL);
	ck_assert_int_eq(gmem_add(&m, UINT64_MAX - 32, other, 64), -EINVAL);
	ck_assert_uint_eq(m.nregions, 2);
	ck_assert_int_eq(gmem_add(&m, UINT64_MAX - 63, other, 64), 0);
	ck_assert_int_eq(gmem_add(&m, 0x20000, other, 64), 0);
	ck_assert_int_eq(gmem_add(&m, 0x30000, other, 64), -ENOSPC);
}
END_TEST

START_TEST(copies)
{
	char buf[4] = "abc";

	ck_assert_int_eq(gmem_write(&m, 100, buf, 4), 0);
	ck_assert_str_eq((char *)low + 100, "abc");
	memset(buf, 0, 4);
	ck_assert_int_eq(gmem_read(&m, 100, buf, 4), 0);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(gmem_read(&m, LOW - 3, buf, 4), -EFAULT);
	ck_assert_int_eq(gmem_write(&m, LOW - 3, buf, 4), -EFAULT);
	ck_assert_int_eq(low[LOW - 1], 0);
	ck_assert_str_eq(buf, "abc");
}
END_TEST

static unsigned fetches;

static void count(void *opaque, gpa_t gpa, size_t len)
{
	ck_assert_ptr_eq(opaque, &fetches);
	ck_assert_uint_eq(gpa, 8);
	ck_assert_uint_eq(len, 2);
	fetches++;
}

START_TEST(hook_sees_fetches)
{
	uint16_t v;

	m.fetch_hook = count;
	m.hook_opaque = &fetches;
	ck_assert_int_eq(gmem_read(&m, 8, &v, 2), 0);
	ck_assert_int_eq(gmem_write(&m, 8, &v, 2), 0);
	ck_assert_int_eq(gmem_read(&m, LOW, &v, 2), -EFAULT);
	ck_assert_uint_eq(fetches, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gmem");
	TCase *tc = tcase_create("gmem");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, resolves_inside);
	tcase_add_test(tc, h03_outside);
	tcase_add_test(tc, h03_wraps);
	tcase_add_test(tc, h03_spans_the_gap);
	tcase_add_test(tc, h03_spans_adjacent_regions);
	tcase_add_test(tc, h17_device_registers);
	tcase_add_test(tc, add_refuses);
	tcase_add_test(tc, copies);
	tcase_add_test(tc, hook_sees_fetches);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
