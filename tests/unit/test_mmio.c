/*
 * The virtio-mmio transport on a device that does next to nothing: the register
 * map of VIRTIO 1.2 4.2.2, interrupts, and guests that get it wrong (H-12 to H-16,
 * H-18 as far as registers go; test_vdev has the rest).
 */
#include "drv.h"
#include "mmio.h"
#include "testdev.h"
#include "unit.h"

#include <check.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>

static struct drv drv;
static struct mmio m;
static unsigned interrupts, busy, busy_queue;

static void on_interrupt(void *opaque, struct mmio *which)
{
	ck_assert_ptr_eq(which, &m);
	interrupts++;
}

static void on_busy(void *opaque, struct mmio *which, unsigned q)
{
	busy++;
	busy_queue = q;
}

static const struct mmio_ops ops = {.interrupt = on_interrupt, .busy = on_busy};

static void setup(void)
{
	drv_init(&drv);
	drv.dev = testdev_create(&drv.mem, &drv.host, TESTDEV_ECHO);
	mmio_init(&m, drv.dev, 3, &ops, NULL);
	interrupts = busy = 0;
}

static void teardown(void)
{
	drv_finish(&drv);
}

static struct testdev *device(void)
{
	return testdev_of(m.dev);
}

static uint32_t get(uint64_t off)
{
	uint32_t value = 0xdeadbeef;

	mmio_read(&m, off, &value, sizeof(value));
	return value;
}

static void set(uint64_t off, uint32_t value)
{
	mmio_write(&m, off, &value, sizeof(value));
}

static void set_addr(uint64_t low, gpa_t gpa)
{
	set(low, (uint32_t)gpa);
	set(low + 4, (uint32_t)(gpa >> 32));
}

#define S_ACK VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER (S_ACK | VIRTIO_CONFIG_S_DRIVER)
#define S_FEATURES (S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_OK (S_FEATURES | VIRTIO_CONFIG_S_DRIVER_OK)

static void negotiate(void)
{
	set(VIRTIO_MMIO_STATUS, S_ACK);
	set(VIRTIO_MMIO_STATUS, S_DRIVER);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
	set(VIRTIO_MMIO_STATUS, S_FEATURES);
}

static gpa_t desc, avail, used;

static void make_queue(uint32_t q, uint32_t size)
{
	desc = drv_alloc(&drv, 16 * 16, 16);
	avail = drv_alloc(&drv, 6 + 2 * 16, 2);
	used = drv_alloc(&drv, 6 + 8 * 16, 4);
	set(VIRTIO_MMIO_QUEUE_SEL, q);
	set(VIRTIO_MMIO_QUEUE_NUM, size);
	set_addr(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	set_addr(VIRTIO_MMIO_QUEUE_AVAIL_LOW, avail);
	set_addr(VIRTIO_MMIO_QUEUE_USED_LOW, used);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void start(void)
{
	negotiate();
	make_queue(0, 16);
	set(VIRTIO_MMIO_STATUS, S_OK);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), S_OK);
}

/* One buffer to write into, offered on queue 0. */
static void offer(void)
{
	struct vring_desc *d = drv_ptr(&drv, desc, sizeof(*d));
	uint16_t *a = drv_ptr(&drv, avail, 38);

	*d = (struct vring_desc){drv_alloc(&drv, 64, 1), 64, VRING_DESC_F_WRITE, 0};
	a[2 + a[1] % 16] = 0;
	a[1]++;
}

START_TEST(identity)
{
	ck_assert_uint_eq(get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ck_assert_uint_eq(get(VIRTIO_MMIO_VERSION), 2);
	ck_assert_uint_eq(get(VIRTIO_MMIO_DEVICE_ID), TESTDEV_ID);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	ck_assert_uint_ne(get(VIRTIO_MMIO_DEVICE_FEATURES) & 1u << TESTDEV_FEATURE, 0);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_DEVICE_FEATURES) & 1, 1);
	set(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	ck_assert_uint_eq(get(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	for (uint64_t off = VIRTIO_MMIO_SHM_LEN_LOW; off <= VIRTIO_MMIO_SHM_BASE_HIGH; off += 4)
		ck_assert_uint_eq(get(off), 0xffffffff);
}
END_TEST

/* 4.2.2 and 2.10: region 0 if the device has one, all ones for others. */
START_TEST(shared_memory_region)
{
	m.dev->shm_base = 0x1c0000000;
	m.dev->shm_bytes = 0x300200000;
	ck_assert_uint_eq(get(VIRTIO_MMIO_SHM_LEN_LOW), 0x200000);
	ck_assert_uint_eq(get(VIRTIO_MMIO_SHM_LEN_HIGH), 3);
	ck_assert_uint_eq(get(VIRTIO_MMIO_SHM_BASE_LOW), 0xc0000000);
	ck_assert_uint_eq(get(VIRTIO_MMIO_SHM_BASE_HIGH), 1);
	set(VIRTIO_MMIO_SHM_SEL, 1);
	for (uint64_t off = VIRTIO_MMIO_SHM_LEN_LOW; off <= VIRTIO_MMIO_SHM_BASE_HIGH; off += 4)
		ck_assert_uint_eq(get(off), 0xffffffff);
	set(VIRTIO_MMIO_SHM_SEL, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_SHM_LEN_LOW), 0x200000);
	ck_assert_uint_eq(get(VIRTIO_MMIO_SHM_SEL), 0); /* to be written only */
}
END_TEST

START_TEST(a_request_goes_through)
{
	start();
	ck_assert_uint_eq(device()->starts, 1);
	ck_assert_uint_ne(m.driver_ok_ns, 0);
	offer();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(((uint16_t *)drv_ptr(&drv, used, 4))[1], 1);
	ck_assert_uint_eq(interrupts, 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	offer();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(interrupts, 2); /* an edge each, acknowledged or not */
	set(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	set(VIRTIO_MMIO_INTERRUPT_ACK, ~0u);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}
END_TEST

START_TEST(configuration_changes)
{
	uint32_t generation = get(VIRTIO_MMIO_CONFIG_GENERATION);

	start();
	pthread_mutex_lock(&m.dev->lock);
	vdev_config_changed(m.dev);
	pthread_mutex_unlock(&m.dev->lock);
	ck_assert_uint_ne(get(VIRTIO_MMIO_CONFIG_GENERATION), generation);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
}
END_TEST

START_TEST(h12_queue_sizes)
{
	static const uint32_t bad[] = {0, 3, 17, TESTDEV_QUEUE_MAX + 1, 512, 0x10000, 0xffffffff};

	negotiate();
	set(VIRTIO_MMIO_QUEUE_SEL, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_NUM_MAX), TESTDEV_QUEUE_MAX);
	make_queue(0, bad[_i]);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
}
END_TEST

START_TEST(h13_live_queue_is_frozen)
{
	start();
	set(VIRTIO_MMIO_QUEUE_NUM, 8);
	set_addr(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x5000);
	set(VIRTIO_MMIO_QUEUE_READY, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 1);
	ck_assert_uint_eq(m.dev->vq[0].desc, desc);
	ck_assert_uint_eq(m.dev->vq[0].size, 16);
}
END_TEST

START_TEST(h14_queue_out_of_range)
{
	static const uint32_t bad[] = {TESTDEV_QUEUES, VDEV_QUEUES_MAX, 0xffff, 0xffffffff};

	start();
	set(VIRTIO_MMIO_QUEUE_SEL, bad[_i]);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	set(VIRTIO_MMIO_QUEUE_NUM, 16);
	set_addr(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
	set(VIRTIO_MMIO_QUEUE_READY, 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_QUEUE_READY), 0);
	for (unsigned i = 0; i < 2 * MMIO_BUSY_KICKS; i++)
		set(VIRTIO_MMIO_QUEUE_NOTIFY, bad[_i]);
	ck_assert_uint_eq(device()->kicks, 0);
	ck_assert_uint_eq(busy, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), S_OK);
}
END_TEST

START_TEST(h15_status_order)
{
	set(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), 0);
	set(VIRTIO_MMIO_STATUS, S_ACK);
	set(VIRTIO_MMIO_STATUS, S_DRIVER);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1u << 9); /* not offered */
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(VIRTIO_MMIO_STATUS, S_FEATURES);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), S_DRIVER);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 0);
	set(VIRTIO_MMIO_STATUS, S_FEATURES);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), S_FEATURES);
	set(VIRTIO_MMIO_STATUS, S_ACK); /* bits are not taken back */
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), S_FEATURES);
	ck_assert_uint_eq(device()->starts, 0);
}
END_TEST

START_TEST(h15_features_above_the_register)
{
	negotiate();
	set(VIRTIO_MMIO_STATUS, 0);
	set(VIRTIO_MMIO_STATUS, S_DRIVER);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0x80000000);
	set(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	set(VIRTIO_MMIO_STATUS, S_FEATURES);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), S_DRIVER);
}
END_TEST

START_TEST(h16_reset)
{
	start();
	device()->mode = TESTDEV_HOLD;
	offer();
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	m.interrupt_status = VIRTIO_MMIO_INT_VRING;
	interrupts = 0;
	set(VIRTIO_MMIO_STATUS, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), 0);
	ck_assert_uint_eq(device()->resets, 1);
	ck_assert_uint_eq(get(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(interrupts, 0);
	ck_assert_uint_eq(((uint16_t *)drv_ptr(&drv, used, 4))[1], 0);
	start();
}
END_TEST

/* H-18: every offset, every width, in every state: no effect but on aligned registers. */
START_TEST(h18_any_width_and_offset)
{
	uint8_t data[8];

	if (_i)
		start();
	for (uint64_t off = 0; off < 0x1000; off++) {
		for (size_t len = 1; len <= 8; len++) {
			bool is_register = off < VIRTIO_MMIO_CONFIG && len == 4 && off % 4 == 0;

			memset(data, 0xee, sizeof(data));
			mmio_read(&m, off, data, len);
			for (size_t i = len; i < sizeof(data); i++)
				ck_assert_uint_eq(data[i], 0xee);
			for (size_t i = 0; i < len && off < VIRTIO_MMIO_CONFIG && !is_register; i++)
				ck_assert_uint_eq(data[i], 0);
			for (size_t i = 0; i < len; i++) {
				if (off + i >= VIRTIO_MMIO_CONFIG + TESTDEV_CONFIG)
					ck_assert_uint_eq(data[i], 0);
			}
			memset(data, 0xff, sizeof(data));
			if (!is_register)
				mmio_write(&m, off, data, len);
		}
	}
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), _i ? S_OK : 0);
	ck_assert_uint_eq(device()->kicks, 0);
}
END_TEST

START_TEST(h18_config_before_features)
{
	uint8_t byte = 0;

	mmio_read(&m, VIRTIO_MMIO_CONFIG, &byte, 1);
	ck_assert_uint_eq(byte, device()->config[0]);
}
END_TEST

/* Every register, with values that have hurt others: nothing but a device that stays sane. */
START_TEST(all_registers_any_value)
{
	static const uint32_t values[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fffffff, 0xffffffff};

	for (uint64_t off = 0; off < VIRTIO_MMIO_CONFIG; off += 4) {
		for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			set(off, values[i]);
			for (uint64_t r = 0; r < VIRTIO_MMIO_CONFIG; r += 4)
				(void)get(r);
		}
	}
	set(VIRTIO_MMIO_STATUS, 0);
	ck_assert_uint_eq(get(VIRTIO_MMIO_STATUS), 0);
	start();
}
END_TEST

/* A driver that waits for each answer is not busy; one that only sends is. */
START_TEST(patient_slot)
{
	m.patient = true;
	start();
	for (unsigned i = 0; i < 4 * MMIO_BUSY_KICKS; i++) {
		offer();
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0); /* interrupts */
	}
	ck_assert_uint_eq(interrupts, 4 * MMIO_BUSY_KICKS);
	ck_assert_uint_eq(busy, 0);
	for (unsigned i = 0; i < 4 * MMIO_BUSY_KICKS; i++) {
		if (i % 3 == 0)
			offer(); /* an answer now and then */
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	}
	ck_assert_uint_eq(busy, 1);
	for (unsigned i = 0; i < 64; i++)
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0xffff0000 + i);
	ck_assert_uint_eq(busy, 1);
}
END_TEST

START_TEST(busy_doorbell_is_told_once)
{
	start();
	for (unsigned i = 1; i < MMIO_BUSY_KICKS; i++)
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(busy, 0);
	for (unsigned i = 0; i < 100; i++)
		set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	ck_assert_uint_eq(busy, 1);
	ck_assert_uint_eq(busy_queue, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mmio");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, identity);
	tcase_add_test(tc, shared_memory_region);
	tcase_add_test(tc, a_request_goes_through);
	tcase_add_test(tc, configuration_changes);
	tcase_add_loop_test(tc, h12_queue_sizes, 0, 7);
	tcase_add_test(tc, h13_live_queue_is_frozen);
	tcase_add_loop_test(tc, h14_queue_out_of_range, 0, 4);
	tcase_add_test(tc, h15_status_order);
	tcase_add_test(tc, h15_features_above_the_register);
	tcase_add_test(tc, h16_reset);
	tcase_add_loop_test(tc, h18_any_width_and_offset, 0, 2);
	tcase_add_test(tc, h18_config_before_features);
	tcase_add_test(tc, all_registers_any_value);
	tcase_add_test(tc, busy_doorbell_is_told_once);
	tcase_add_test(tc, patient_slot);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
