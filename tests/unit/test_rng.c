/*
 * virtio-rng: every chain gets bytes, none more than its share (H-26).
 */
#include "drv.h"
#include "rng.h"
#include "unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct drv d;

static void setup(void)
{
	drv_init(&d);
	drv_attach(&d, rng_create(&d.mem, &d.host));
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
}

static void teardown(void)
{
	drv_finish(&d);
}

START_TEST(gives_random_bytes)
{
	uint8_t zero[64] = {0};
	uint32_t id, len;
	gpa_t one, two;

	drv_post(&d, 0, 64, &one);
	drv_post(&d, 0, 64, &two);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(drv_used(&d, 0, &id, &len));
		ck_assert_uint_eq(len, 64);
	}
	ck_assert_uint_eq(d.notified[0], 1); /* the first was not collected yet */
	ck_assert_int_ne(memcmp(drv_ptr(&d, one, 64), zero, 64), 0);
	ck_assert_int_ne(memcmp(drv_ptr(&d, one, 64), drv_ptr(&d, two, 64), 64), 0);
	ck_assert_uint_eq(d.timer_ns, 0);
}
END_TEST

START_TEST(fills_all_segments)
{
	gpa_t gpa = drv_alloc(&d, 600, 1);
	const struct drv_buf buf[] = {
		{gpa, 8, false}, {gpa + 100, 300, true}, {gpa + 500, 100, true}};
	uint32_t id, len;
	uint8_t *p = drv_ptr(&d, gpa, 600);
	unsigned zeros = 0;

	drv_add_indirect(&d, 0, buf, 3);
	drv_kick(&d, 0);
	ck_assert(drv_used(&d, 0, &id, &len));
	ck_assert_uint_eq(len, 400);
	for (unsigned i = 0; i < 600; i++) {
		if ((i >= 100 && i < 400) || i >= 500)
			zeros += !p[i];
		else
			ck_assert_uint_eq(p[i], 0);
	}
	ck_assert_uint_lt(zeros, 40);
}
END_TEST

START_TEST(one_byte)
{
	uint32_t id, len;

	drv_post(&d, 0, 1, NULL);
	ck_assert(drv_used(&d, 0, &id, &len));
	ck_assert_uint_eq(len, 1);
}
END_TEST

START_TEST(nothing_to_write_to)
{
	uint32_t id, len;

	drv_send(&d, 0, "x", 1);
	ck_assert(drv_used(&d, 0, &id, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

/* 64 chains of 2 MiB: a share a chain, a share a doorbell, and all complete. */
START_TEST(h26_amplification)
{
	const struct drv_buf buf = {0x100000, 0x100000, true};
	uint32_t id, len, total = 0;
	unsigned n = 0, turns = 0;

	for (unsigned i = 0; i < 64; i++)
		drv_add(&d, 0, &buf, 1);
	drv_kick(&d, 0);
	for (;;) {
		uint32_t turn = 0;

		while (drv_used(&d, 0, &id, &len)) {
			ck_assert_uint_ge(len, 1);
			ck_assert_uint_le(len, 4096);
			turn += len;
			n++;
		}
		ck_assert_uint_le(turn, 65536);
		total += turn;
		turns++;
		if (!d.timer_ns)
			break;
		drv_pump(&d, 1000);
	}
	ck_assert_uint_eq(n, 64);
	ck_assert_uint_eq(total, 64 * 4096);
	ck_assert_uint_ge(turns, 4);
}
END_TEST

START_TEST(h16_reset_with_work_put_off)
{
	const struct drv_buf buf = {0x100000, 0x100000, true};

	for (unsigned i = 0; i < 64; i++)
		drv_add(&d, 0, &buf, 1);
	drv_kick(&d, 0);
	ck_assert_uint_ne(d.timer_ns, 0);
	vdev_set_status(d.dev, 0);
	ck_assert_uint_eq(d.timer_ns, 0);
	memset(drv_ptr(&d, 0x100000, 64), 0, 64);
	vdev_timer(d.dev);
	ck_assert_uint_eq(*(uint64_t *)drv_ptr(&d, 0x100000, 8), 0);
}
END_TEST

START_TEST(malformed_ring_stops_it)
{
	drv_offer(&d, 0, 64);
	drv_kick(&d, 0);
	ck_assert(drv_needs_reset(&d));
	ck_assert_uint_eq(d.config_notified, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rng");
	TCase *tc = tcase_create("rng");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, gives_random_bytes);
	tcase_add_test(tc, fills_all_segments);
	tcase_add_test(tc, one_byte);
	tcase_add_test(tc, nothing_to_write_to);
	tcase_add_test(tc, h26_amplification);
	tcase_add_test(tc, h16_reset_with_work_put_off);
	tcase_add_test(tc, malformed_ring_stops_it);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
