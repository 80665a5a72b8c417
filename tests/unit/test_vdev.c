/*
 * The device core: the status state machine (H-15), queue configuration (H-12
 * to H-14), reset (H-16), configuration space (H-18), failure.
 */
#include "drv.h"
#include "testdev.h"
#include "unit.h"

#include <check.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#define ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED VIRTIO_CONFIG_S_FAILED
#define ALL_OK (ACK | DRIVER | FEATURES_OK | DRIVER_OK)

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)

static struct drv d;
static struct testdev *t;

static void setup(void)
{
	drv_init(&d);
	drv_attach(&d, testdev_create(&d.mem, &d.host, TESTDEV_HOLD));
	t = testdev_of(d.dev);
}

static void teardown(void)
{
	drv_finish(&d);
}

static uint16_t add(unsigned q)
{
	return drv_add(&d, q, &(struct drv_buf){drv_alloc(&d, 8, 8), 8, true}, 1);
}

static uint8_t set_status(uint8_t status)
{
	vdev_set_status(d.dev, status);
	return vdev_status(d.dev);
}

/* ---- H-15: status and features ------------------------------------------------ */

START_TEST(handshake)
{
	ck_assert_uint_eq(vdev_status(d.dev), 0);
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	ck_assert_uint_eq(vdev_status(d.dev), ALL_OK);
	ck_assert_uint_eq(t->starts, 1);
	ck_assert(d.dev->running);
	ck_assert(vdev_has_feature(d.dev, TESTDEV_FEATURE));
	ck_assert(vdev_has_feature(d.dev, VIRTIO_F_VERSION_1));
	ck_assert(vdev_has_feature(d.dev, VIRTIO_RING_F_EVENT_IDX));
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(t->resets, 1);
	ck_assert(!d.dev->running);
}
END_TEST

START_TEST(offers_the_ring_features)
{
	uint64_t offer = vdev_features(d.dev, 0) | (uint64_t)vdev_features(d.dev, 1) << 32;

	ck_assert_uint_eq(offer, 1ull << TESTDEV_FEATURE | VERSION_1 |
					 1ull << VIRTIO_RING_F_EVENT_IDX |
					 1ull << VIRTIO_RING_F_INDIRECT_DESC);
	ck_assert_uint_eq(vdev_features(d.dev, 2), 0);
	ck_assert_uint_eq(vdev_features(d.dev, UINT32_MAX), 0);
}
END_TEST

START_TEST(one_write_may_set_several_bits)
{
	vdev_set_driver_features(d.dev, 1, VERSION_1 >> 32);
	ck_assert_uint_eq(set_status(ALL_OK), ALL_OK);
	ck_assert_uint_eq(t->starts, 1);
}
END_TEST

START_TEST(h15_bits_out_of_order)
{
	ck_assert_uint_eq(set_status(DRIVER), 0);
	ck_assert_uint_eq(set_status(DRIVER_OK), 0);
	ck_assert_uint_eq(set_status(FEATURES_OK | DRIVER_OK), 0);
	ck_assert_uint_eq(set_status(ACK), ACK);
	ck_assert_uint_eq(set_status(ACK | FEATURES_OK), ACK);
	ck_assert_uint_eq(set_status(ACK | DRIVER), ACK | DRIVER);
	ck_assert_uint_eq(set_status(ACK | DRIVER | DRIVER_OK), ACK | DRIVER);
	ck_assert_uint_eq(t->starts, 0);
}
END_TEST

START_TEST(h15_bits_cleared)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	ck_assert_uint_eq(set_status(ACK), ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(set_status(ACK | DRIVER | DRIVER_OK), ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(set_status(ALL_OK), ALL_OK);
	ck_assert_uint_eq(set_status(DRIVER_OK), ALL_OK);
	ck_assert_uint_eq(t->starts, 1);
	ck_assert_uint_eq(t->resets, 0);
}
END_TEST

START_TEST(h15_needs_reset_is_ours)
{
	ck_assert_uint_eq(set_status(ACK | NEEDS_RESET), ACK);
	ck_assert_uint_eq(set_status(ACK | DRIVER | NEEDS_RESET | 0x30), ACK | DRIVER);
}
END_TEST

/* _i: a feature word the driver must not have. */
START_TEST(h15_features_not_offered)
{
	static const struct {
		unsigned word;
		uint32_t bits;
	} bad[] = {{0, 1u << 0},       {0, 1u << 31}, {1, 1u << 2 | 1u},
		   {1, 1u << 31 | 1u}, {2, 1},        {7, 2}};

	set_status(ACK | DRIVER);
	vdev_set_driver_features(d.dev, 1, VERSION_1 >> 32);
	vdev_set_driver_features(d.dev, bad[_i].word, bad[_i].bits);
	ck_assert_uint_eq(set_status(ACK | DRIVER | FEATURES_OK), ACK | DRIVER);
	ck_assert_uint_eq(set_status(ALL_OK), ACK | DRIVER);
	ck_assert_uint_eq(t->starts, 0);
	/* After a reset it may try again. */
	set_status(0);
	set_status(ACK | DRIVER);
	vdev_set_driver_features(d.dev, 1, VERSION_1 >> 32);
	ck_assert_uint_eq(set_status(ALL_OK), ALL_OK);
}
END_TEST

START_TEST(h15_version_1_is_mandatory)
{
	set_status(ACK | DRIVER);
	vdev_set_driver_features(d.dev, 0, 1u << TESTDEV_FEATURE);
	ck_assert_uint_eq(set_status(ALL_OK), ACK | DRIVER);
}
END_TEST

START_TEST(h15_features_are_frozen)
{
	drv_handshake(&d, VERSION_1);
	vdev_set_driver_features(d.dev, 0, 1u << TESTDEV_FEATURE);
	ck_assert_uint_eq(set_status(ALL_OK), ALL_OK);
	ck_assert(!vdev_has_feature(d.dev, TESTDEV_FEATURE));
	ck_assert_uint_eq(d.dev->features_ok, VERSION_1);
}
END_TEST

START_TEST(h15_after_failed_only_reset)
{
	ck_assert_uint_eq(set_status(ACK | FAILED), ACK | FAILED);
	ck_assert_uint_eq(set_status(ACK | DRIVER | FAILED), ACK | FAILED);
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(set_status(ACK), ACK);
}
END_TEST

/* ---- H-12 to H-14: queues --------------------------------------------------------- */

static void set_queue(unsigned q, uint32_t size)
{
	vdev_queue_set_size(d.dev, q, size);
	drv_set_queue_addrs(&d, q, 0x1000, 0x9000, 0xa000);
	vdev_queue_set_ready(d.dev, q, true);
}

START_TEST(h12_queue_size)
{
	static const uint32_t bad[] = {0,       3,       6,        255,       TESTDEV_QUEUE_MAX * 2,
				       0x10000, 0x10010, 1u << 31, UINT32_MAX};

	drv_handshake(&d, DRV_ALL_FEATURES);
	ck_assert_uint_eq(vdev_queue_max(d.dev, 0), TESTDEV_QUEUE_MAX);
	set_queue(0, bad[_i]);
	ck_assert(!vdev_queue_ready(d.dev, 0));
	ck_assert_uint_eq(set_status(ALL_OK), ALL_OK);
	vdev_kick(d.dev, 0);
	ck_assert_uint_eq(t->kicks, 0);
}
END_TEST

START_TEST(h12_queue_sizes_that_work)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	for (uint32_t size = 1; size <= TESTDEV_QUEUE_MAX; size *= 2) {
		set_queue(0, size);
		ck_assert(vdev_queue_ready(d.dev, 0));
		vdev_queue_set_ready(d.dev, 0, false);
		ck_assert(!vdev_queue_ready(d.dev, 0));
	}
	/* The size in the register is the default. */
	drv_set_queue_addrs(&d, 1, 0x10000, 0x20000, 0x30000);
	vdev_queue_set_ready(d.dev, 1, true);
	ck_assert(vdev_queue_ready(d.dev, 1));
	ck_assert_uint_eq(d.dev->vq[1].size, TESTDEV_QUEUE_MAX);
}
END_TEST

START_TEST(h12_queue_addresses)
{
	static const gpa_t bad[][3] = {
		{0x1008, 0x9000, 0xa000}, /* alignment */
		{0x1000, 0x9001, 0xa000},
		{0x1000, 0x9000, 0xa002},
		{DRV_LOW_BYTES, 0x9000, 0xa000}, /* outside RAM */
		{DRV_LOW_BYTES - 64, 0x9000, 0xa000},
		{0x1000, DRV_LOW_BYTES - 4, 0xa000},
		{0x1000, 0x9000, DRV_LOW_BYTES - 64},
		{0xd0000000u, 0x9000, 0xa000}, /* H-17: a device */
		{UINT64_MAX - 15, 0x9000, 0xa000},
	};

	drv_handshake(&d, DRV_ALL_FEATURES);
	vdev_queue_set_size(d.dev, 0, 8);
	drv_set_queue_addrs(&d, 0, bad[_i][0], bad[_i][1], bad[_i][2]);
	vdev_queue_set_ready(d.dev, 0, true);
	ck_assert(!vdev_queue_ready(d.dev, 0));
}
END_TEST

START_TEST(h13_live_queue)
{
	gpa_t desc;

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	desc = d.dev->vq[0].desc;
	vdev_queue_set_size(d.dev, 0, 2);
	drv_set_queue_addrs(&d, 0, 0x100000, 0x110000, 0x120000);
	vdev_queue_set_ready(d.dev, 0, false);
	ck_assert(vdev_queue_ready(d.dev, 0));
	ck_assert_uint_eq(d.dev->vq[0].size, 64);
	ck_assert_uint_eq(d.dev->vq[0].desc, desc);
	add(0);
	drv_kick(&d, 0);
	ck_assert_uint_eq(t->nheld, 1);
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

START_TEST(h13_ready_queue)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	set_queue(0, 8);
	vdev_queue_set_size(d.dev, 0, 256);
	vdev_queue_set_addr(d.dev, 0, VQ_DESC, true, 0xffffffff);
	ck_assert_uint_eq(d.dev->vq[0].size, 8);
	ck_assert_uint_eq(d.dev->vq[0].desc, 0x1000);
}
END_TEST

START_TEST(h13_late_queue)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	set_status(ALL_OK);
	set_queue(0, 8);
	ck_assert(!vdev_queue_ready(d.dev, 0));
	vdev_kick(d.dev, 0);
	ck_assert_uint_eq(t->kicks, 0);
}
END_TEST

START_TEST(h14_out_of_range)
{
	static const unsigned q[] = {TESTDEV_QUEUES, VDEV_QUEUES_MAX, 0x10000, UINT32_MAX};

	ck_assert_uint_eq(vdev_queue_max(d.dev, q[_i]), 0);
	drv_handshake(&d, DRV_ALL_FEATURES);
	set_queue(q[_i], 8);
	ck_assert(!vdev_queue_ready(d.dev, q[_i]));
	set_status(ALL_OK);
	vdev_kick(d.dev, q[_i]);
	ck_assert_uint_eq(t->kicks, 0);
	ck_assert_uint_eq(d.dev->kicks, 0);
}
END_TEST

START_TEST(h14_kick_when_not_running)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	drv_setup_queue(&d, 0, 8);
	vdev_kick(d.dev, 0);
	ck_assert_uint_eq(t->kicks, 0);
	set_status(ALL_OK);
	vdev_kick(d.dev, 0);
	vdev_kick(d.dev, 1); /* not set up */
	ck_assert_uint_eq(t->kicks, 1);
	set_status(0);
	vdev_kick(d.dev, 0);
	ck_assert_uint_eq(t->kicks, 1);
}
END_TEST

/* ---- H-16: reset -------------------------------------------------------------------- */

START_TEST(h16_reset_with_chains_in_flight)
{
	uint8_t before[64];
	gpa_t used;

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	for (unsigned i = 0; i < 5; i++)
		add(0);
	drv_kick(&d, 0);
	ck_assert_uint_eq(t->nheld, 5);
	used = d.q[0].used;
	memcpy(before, drv_ptr(&d, used, 64), 64);
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(t->resets, 1);
	/* Nothing completes, nothing is written, nothing rings any more. */
	ck_assert(!testdev_release(d.dev, 0));
	vdev_flush(d.dev, 0);
	ck_assert_int_eq(memcmp(before, drv_ptr(&d, used, 64), 64), 0);
	ck_assert_uint_eq(d.notified[0], 0);
	ck_assert_uint_eq(d.dev->vq[0].inflight, 0);
	ck_assert(!vdev_queue_ready(d.dev, 0));
	/* And it starts afresh. */
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	add(0);
	drv_kick(&d, 0);
	ck_assert_uint_eq(t->nheld, 1);
	ck_assert(testdev_release(d.dev, 0));
	ck_assert_uint_eq(d.notified[0], 1);
}
END_TEST

START_TEST(h16_reset_before_start)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(t->resets, 0);
	ck_assert_uint_eq(set_status(0), 0);
}
END_TEST

/* ---- H-18: configuration space -------------------------------------------------------- */

START_TEST(h18_config_reads)
{
	uint8_t buf[32];

	for (unsigned i = 0; i < TESTDEV_CONFIG; i++)
		t->config[i] = (uint8_t)(i + 1);
	for (size_t off = 0; off < 40; off++) {
		for (size_t len = 0; len <= sizeof(buf); len++) {
			memset(buf, 0xee, sizeof(buf));
			vdev_config_read(d.dev, off, buf, len);
			for (size_t i = 0; i < len; i++)
				ck_assert_uint_eq(buf[i],
						  off + i < TESTDEV_CONFIG ? off + i + 1 : 0);
			ck_assert(len == sizeof(buf) || buf[len] == 0xee);
		}
	}
	vdev_config_read(d.dev, SIZE_MAX, buf, 8);
	vdev_config_read(d.dev, SIZE_MAX - 3, buf, 8);
	ck_assert_uint_eq(buf[0] | buf[7], 0);
}
END_TEST

START_TEST(h18_config_writes)
{
	static const uint8_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

	vdev_config_write(d.dev, 12, ones, 1);
	vdev_config_write(d.dev, 11, ones, 2);
	vdev_config_write(d.dev, 0, ones, 13);
	vdev_config_write(d.dev, SIZE_MAX, ones, 1);
	vdev_config_write(d.dev, SIZE_MAX - 3, ones, 8);
	ck_assert_uint_eq(t->writes, 0);
	vdev_config_write(d.dev, 4, ones, 8);
	ck_assert_uint_eq(t->writes, 1);
	ck_assert_uint_eq(t->config[3], 0);
	ck_assert_uint_eq(t->config[4], 1);
	ck_assert_uint_eq(t->config[11], 1);
}
END_TEST

START_TEST(config_change_notifies_a_live_driver)
{
	uint32_t generation = vdev_config_generation(d.dev);

	vdev_config_changed(d.dev);
	ck_assert_uint_ne(vdev_config_generation(d.dev), generation);
	ck_assert_uint_eq(d.config_notified, 0);
	drv_handshake(&d, DRV_ALL_FEATURES);
	vdev_config_changed(d.dev);
	ck_assert_uint_eq(d.config_notified, 0);
	set_status(ALL_OK);
	vdev_config_changed(d.dev);
	ck_assert_uint_eq(d.config_notified, 1);
}
END_TEST

/* ---- failure ------------------------------------------------------------------------------ */

START_TEST(failure_stops_the_device)
{
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	add(0);
	drv_kick(&d, 0);
	drv_offer(&d, 1, 0xffff);
	drv_kick(&d, 1);
	ck_assert_uint_eq(vdev_status(d.dev), ALL_OK | NEEDS_RESET);
	ck_assert_uint_eq(d.config_notified, 1);
	ck_assert_str_eq(d.dev->failed_why, "testdev: malformed");
	/* Stopped: no kicks, no completions, all queues. */
	add(0);
	drv_kick(&d, 0);
	ck_assert_uint_eq(t->kicks, 2);
	ck_assert(testdev_release(d.dev, 0));
	ck_assert_uint_eq(*drv_used_idx(&d, 0), 0);
	ck_assert_uint_eq(d.notified[0], 0);
	/* Said once; only reset helps. */
	vdev_fail(d.dev, "again");
	ck_assert_uint_eq(d.config_notified, 1);
	ck_assert_str_eq(d.dev->failed_why, "testdev: malformed");
	ck_assert_uint_eq(set_status(ALL_OK), ALL_OK | NEEDS_RESET);
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	ck_assert_uint_eq(t->resets, 1);
	add(0);
	drv_kick(&d, 0);
	ck_assert_uint_eq(t->nheld, 1);
}
END_TEST

START_TEST(failure_before_driver_ok_is_silent)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	vdev_fail(d.dev, "early");
	ck_assert(drv_needs_reset(&d));
	ck_assert_uint_eq(d.config_notified, 0);
	ck_assert_uint_eq(set_status(ALL_OK), ACK | DRIVER | FEATURES_OK | NEEDS_RESET);
	ck_assert_uint_eq(t->starts, 0);
}
END_TEST

START_TEST(events_reach_the_device)
{
	vdev_poll(d.dev, 5, 1, 7);
	vdev_timer(d.dev);
	ck_assert_uint_eq(t->polls, 1);
	ck_assert_uint_eq(t->timers, 1);
	vdev_destroy(NULL);
}
END_TEST

START_TEST(echo)
{
	gpa_t gpa = drv_alloc(&d, 32, 8);
	const struct drv_buf buf[] = {{gpa, 6, false}, {gpa + 16, 4, true}, {gpa + 24, 4, true}};
	uint32_t id, len;

	t->mode = TESTDEV_ECHO;
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	memcpy(drv_ptr(&d, gpa, 6), "echo!?", 6);
	drv_add(&d, 2, buf, 3);
	ck_assert(drv_kick_if_wanted(&d, 2));
	ck_assert_uint_eq(d.notified[2], 1);
	ck_assert(drv_used(&d, 2, &id, &len));
	ck_assert_uint_eq(len, 6);
	ck_assert(!memcmp(drv_ptr(&d, gpa + 16, 4), "echo", 4));
	ck_assert(!memcmp(drv_ptr(&d, gpa + 24, 4), "!?\0", 4));
}
END_TEST

static TCase *status_cases(void)
{
	TCase *tc = tcase_create("status");

	tcase_add_test(tc, handshake);
	tcase_add_test(tc, offers_the_ring_features);
	tcase_add_test(tc, one_write_may_set_several_bits);
	tcase_add_test(tc, h15_bits_out_of_order);
	tcase_add_test(tc, h15_bits_cleared);
	tcase_add_test(tc, h15_needs_reset_is_ours);
	tcase_add_loop_test(tc, h15_features_not_offered, 0, 6);
	tcase_add_test(tc, h15_version_1_is_mandatory);
	tcase_add_test(tc, h15_features_are_frozen);
	tcase_add_test(tc, h15_after_failed_only_reset);
	return tc;
}

static TCase *queue_cases(void)
{
	TCase *tc = tcase_create("queues");

	tcase_add_loop_test(tc, h12_queue_size, 0, 9);
	tcase_add_test(tc, h12_queue_sizes_that_work);
	tcase_add_loop_test(tc, h12_queue_addresses, 0, 9);
	tcase_add_test(tc, h13_live_queue);
	tcase_add_test(tc, h13_ready_queue);
	tcase_add_test(tc, h13_late_queue);
	tcase_add_loop_test(tc, h14_out_of_range, 0, 4);
	tcase_add_test(tc, h14_kick_when_not_running);
	tcase_add_test(tc, h16_reset_with_chains_in_flight);
	tcase_add_test(tc, h16_reset_before_start);
	return tc;
}

static TCase *other_cases(void)
{
	TCase *tc = tcase_create("other");

	tcase_add_test(tc, h18_config_reads);
	tcase_add_test(tc, h18_config_writes);
	tcase_add_test(tc, config_change_notifies_a_live_driver);
	tcase_add_test(tc, failure_stops_the_device);
	tcase_add_test(tc, failure_before_driver_ok_is_silent);
	tcase_add_test(tc, events_reach_the_device);
	tcase_add_test(tc, echo);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("vdev");
	TCase *tc[] = {status_cases(), queue_cases(), other_cases()};

	for (unsigned i = 0; i < sizeof(tc) / sizeof(tc[0]); i++) {
		tcase_add_checked_fixture(tc[i], setup, teardown);
		suite_add_tcase(s, tc[i]);
	}
	return unit_run(s);
}
