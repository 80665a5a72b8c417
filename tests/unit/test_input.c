/*
 * virtio-input: what the configuration space says, reports in order, releases that a
 * guest which does not collect gets later (H-24), and scanouts side by side.
 */
#include "desk_rig.h"
#include "drv.h"
#include "input.h"
#include "unit.h"

#include <check.h>
#include <linux/input.h>
#include <linux/virtio_input.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ALL 15u
#define WAITING_MAX 512

enum { EVENTQ, STATUSQ };

static struct drv d;
static struct desk_rig rig;
static gpa_t buffer[64]; /* by head */
static unsigned posted;  /* and not used */

static void make(enum exo_dpy_device kind)
{
	drv_attach(&d, input_create(&d.mem, &d.host, rig.desk, kind, 2));
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
}

static void setup(void)
{
	posted = 0;
	drv_init(&d);
	desk_rig_init(&rig, 2, ALL);
	desk_rig_attach(&rig);
}

static void teardown(void)
{
	drv_finish(&d);
	desk_rig_finish(&rig);
}

/* ---- configuration space ----------------------------------------------------------- */

static uint8_t ask(uint8_t select, uint8_t subsel, struct virtio_input_config *c)
{
	uint8_t both[2] = {select, subsel};

	vdev_config_write(d.dev, 0, &both[0], 1);
	vdev_config_write(d.dev, 1, &both[1], 1);
	vdev_config_read(d.dev, 0, c, sizeof(*c));
	return c->select == select && c->subsel == subsel ? c->size : 255;
}

static bool has(uint8_t type, unsigned code)
{
	struct virtio_input_config c;

	if (ask(VIRTIO_INPUT_CFG_EV_BITS, type, &c) <= code / 8)
		return false;
	return c.u.bitmap[code / 8] >> code % 8 & 1;
}

START_TEST(config_of_a_keyboard)
{
	struct virtio_input_config c;

	make(EXO_DPY_KEYBOARD);
	ck_assert_str_eq(d.dev->name, "keyboard");
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_ID_NAME, 0, &c), strlen("Exoshell keyboard"));
	ck_assert_int_eq(memcmp(c.u.string, "Exoshell keyboard", c.size), 0);
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_ID_DEVIDS, 0, &c), sizeof(c.u.ids));
	ck_assert_uint_eq(c.u.ids.bustype, BUS_VIRTUAL);
	ck_assert(has(EV_KEY, KEY_ESC) && has(EV_KEY, KEY_A) && has(EV_KEY, KEY_F12));
	ck_assert(has(EV_KEY, KEY_LEFTMETA) && has(EV_KEY, KEY_VOLUMEUP) && has(EV_KEY, KEY_102ND));
	ck_assert(!has(EV_KEY, 0) && !has(EV_KEY, BTN_LEFT) && !has(EV_KEY, 84));
	ck_assert(has(EV_LED, LED_CAPSL));
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_EV_BITS, EV_REP, &c), 1);
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, &c), 0);
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_EV_BITS, EV_REL, &c), 0);
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_PROP_BITS, 0, &c), 0);
}
END_TEST

START_TEST(config_of_pointers)
{
	struct virtio_input_config c;

	make(EXO_DPY_TABLET);
	ck_assert(has(EV_ABS, ABS_X) && has(EV_ABS, ABS_Y) && !has(EV_ABS, ABS_Z));
	for (unsigned b = BTN_LEFT; b <= BTN_EXTRA; b++)
		ck_assert(has(EV_KEY, b));
	ck_assert(has(EV_REL, REL_WHEEL) && has(EV_REL, REL_HWHEEL_HI_RES) && !has(EV_REL, REL_X));
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_ABS_INFO, ABS_Y, &c), sizeof(c.u.abs));
	ck_assert_uint_eq(c.u.abs.min, 0);
	ck_assert_uint_eq(c.u.abs.max, EXO_DPY_ABS_MAX);
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_ABS_INFO, ABS_Z, &c), 0);
	drv_detach(&d);
	desk_rig_finish(&rig);
	desk_rig_init(&rig, 2, ALL);
	make(EXO_DPY_MOUSE);
	ck_assert(has(EV_REL, REL_X) && has(EV_REL, REL_Y) && has(EV_REL, REL_HWHEEL));
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, &c), 0);
	drv_detach(&d);
	desk_rig_finish(&rig);
	desk_rig_init(&rig, 2, ALL);
	make(EXO_DPY_TOUCH);
	ck_assert(has(EV_ABS, ABS_MT_SLOT) && has(EV_ABS, ABS_MT_TRACKING_ID));
	ck_assert(has(EV_KEY, BTN_TOUCH));
	ck_assert_uint_eq(ask(VIRTIO_INPUT_CFG_PROP_BITS, 0, &c), 1);
	ck_assert_uint_eq(c.u.bitmap[0], 1u << INPUT_PROP_DIRECT);
	ask(VIRTIO_INPUT_CFG_ABS_INFO, ABS_MT_SLOT, &c);
	ck_assert_uint_eq(c.u.abs.max, 15);
	ask(VIRTIO_INPUT_CFG_ABS_INFO, ABS_MT_TRACKING_ID, &c);
	ck_assert_uint_eq(c.u.abs.min, 0);
	ck_assert_uint_eq(c.u.abs.max, 65535);
}
END_TEST

/* Any select and subsel: size says how much there is, the rest reads 0 (H-18). */
START_TEST(config_of_everything)
{
	struct virtio_input_config c;
	uint8_t junk[sizeof(c)], rest = 0;

	make(_i);
	memset(junk, 0xff, sizeof(junk));
	for (unsigned i = 0; i < 65536; i++) {
		uint8_t size = ask((uint8_t)i, (uint8_t)(i >> 8), &c);

		rest |= size > sizeof(c.u);
		for (unsigned k = size; k < sizeof(c.u); k++)
			rest |= c.u.bitmap[k];
	}
	ck_assert_uint_eq(rest, 0);
	vdev_config_write(d.dev, 2, junk, sizeof(junk) - 2);
	vdev_config_read(d.dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.size, 0);
	vdev_config_write(d.dev, 0, junk, sizeof(junk));
	vdev_config_read(d.dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.select, 0xff);
	ck_assert_uint_eq(c.size, 0);
	ck_assert_uint_eq(c.u.bitmap[0], 0);
}
END_TEST

/* ---- reports -------------------------------------------------------------------------- */

static void post(unsigned n)
{
	gpa_t gpa;

	while (n--) {
		uint16_t head = drv_post(&d, EVENTQ, sizeof(struct virtio_input_event), &gpa);

		buffer[head] = gpa;
		posted++;
	}
}

/* The next event that was delivered; false: none. */
static bool take(struct virtio_input_event *e)
{
	uint32_t id, len;

	if (!drv_used(&d, EVENTQ, &id, &len))
		return false;
	posted--;
	ck_assert_uint_eq(len, sizeof(*e));
	memcpy(e, drv_ptr(&d, buffer[id], sizeof(*e)), sizeof(*e));
	return true;
}

static void expect(uint16_t type, uint16_t code, int32_t value)
{
	struct virtio_input_event e;

	ck_assert(take(&e));
	ck_assert_uint_eq(e.type, type);
	ck_assert_uint_eq(e.code, code);
	ck_assert_int_eq((int32_t)e.value, value);
}

static void expect_nothing(void)
{
	struct virtio_input_event e;

	ck_assert(!take(&e));
}

START_TEST(keys_arrive)
{
	make(EXO_DPY_KEYBOARD);
	post(8);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	ck_assert(desk_rig_key(&rig, KEY_A, 0));
	expect(EV_KEY, KEY_A, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect(EV_KEY, KEY_A, 0);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_nothing();
	ck_assert_uint_ge(d.notified[EVENTQ], 1);
	ck_assert_uint_eq(d.timer_ns, 0); /* and nothing wakes anybody */
}
END_TEST

START_TEST(they_wait_for_buffers)
{
	make(EXO_DPY_KEYBOARD);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	ck_assert(desk_rig_key(&rig, KEY_B, 1));
	post(3);
	expect(EV_KEY, KEY_A, 1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect(EV_KEY, KEY_B, 1);
	expect_nothing();
	post(1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_nothing();
}
END_TEST

/* H-05: a buffer without room is used up, the event comes in the next. */
START_TEST(h05_small_buffers)
{
	uint32_t id, len;

	make(EXO_DPY_KEYBOARD);
	drv_post(&d, EVENTQ, 7, NULL);
	drv_send(&d, EVENTQ, "x", 1);
	post(2);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	for (unsigned i = 0; i < 2; i++) {
		ck_assert(drv_used(&d, EVENTQ, &id, &len));
		ck_assert_uint_eq(len, 0);
	}
	expect(EV_KEY, KEY_A, 1);
	expect(EV_SYN, SYN_REPORT, 0);
}
END_TEST

/* Presses KEY_1 … until the device has no room, then a few more that are lost. */
static unsigned fill(void)
{
	unsigned sent = 0;

	ck_assert(desk_rig_key(&rig, KEY_LEFTSHIFT, 1));
	for (; sent < WAITING_MAX; sent++)
		ck_assert(desk_rig_key(&rig, KEY_1, !(sent & 1)));
	return sent;
}

/* H-24: the guest collects nothing for long. No report is torn, no key stays down. */
START_TEST(h24_releases_come_later)
{
	struct virtio_input_event e;
	unsigned n = 0, shift = 0, down[KEY_CNT] = {0};
	bool torn = false;

	make(EXO_DPY_KEYBOARD);
	fill();
	ck_assert(desk_rig_key(&rig, KEY_LEFTSHIFT, 0)); /* lost, and owed */
	ck_assert(desk_rig_key(&rig, KEY_Q, 1));         /* lost */
	for (unsigned turn = 0; turn < 100; turn++) {
		post(16 - posted);
		while (take(&e)) {
			n++;
			if (e.type == EV_KEY) {
				down[e.code] = e.value;
				shift += e.code == KEY_LEFTSHIFT && !e.value;
			}
			torn = e.type != EV_SYN;
		}
	}
	ck_assert_uint_le(n, WAITING_MAX + 4);
	ck_assert_uint_ge(n, WAITING_MAX);
	ck_assert(!torn);
	ck_assert_uint_eq(shift, 1);
	for (unsigned i = 0; i < KEY_CNT; i++)
		ck_assert_uint_eq(down[i], 0);
	ck_assert(desk_rig_key(&rig, KEY_Q, 0));
	expect(EV_KEY, KEY_Q, 0);
}
END_TEST

/* Pressed again while its release is owed: it stays down. */
START_TEST(h24_pressed_again)
{
	struct virtio_input_event e;
	unsigned down[KEY_CNT] = {0};

	make(EXO_DPY_KEYBOARD);
	fill();
	ck_assert(desk_rig_key(&rig, KEY_LEFTSHIFT, 0));
	ck_assert(desk_rig_key(&rig, KEY_LEFTSHIFT, 1));
	for (unsigned turn = 0; turn < 100; turn++) {
		post(16 - posted);
		while (take(&e)) {
			if (e.type == EV_KEY)
				down[e.code] = e.value;
		}
	}
	ck_assert_uint_eq(down[KEY_LEFTSHIFT], 1);
	ck_assert(desk_rig_key(&rig, KEY_LEFTSHIFT, 0));
	expect(EV_KEY, KEY_LEFTSHIFT, 0);
}
END_TEST

START_TEST(a_desktop_that_goes_lets_go)
{
	make(EXO_DPY_KEYBOARD);
	post(16);
	ck_assert(desk_rig_key(&rig, KEY_LEFTCTRL, 1));
	ck_assert(desk_rig_key(&rig, KEY_C, 1));
	for (unsigned i = 0; i < 2; i++) {
		expect(EV_KEY, i ? KEY_C : KEY_LEFTCTRL, 1);
		expect(EV_SYN, SYN_REPORT, 0);
	}
	desk_rig_leave(&rig);
	expect(EV_KEY, KEY_LEFTCTRL, 0);
	expect(EV_KEY, KEY_C, 0);
	expect(EV_SYN, SYN_REPORT, 0);
	desk_rig_attach(&rig);
	expect_nothing();
}
END_TEST

START_TEST(fingers)
{
	const struct exo_dpy_event both[] = {
		{EV_ABS, ABS_MT_SLOT, 0}, {EV_ABS, ABS_MT_TRACKING_ID, 7},
		{EV_ABS, ABS_MT_SLOT, 3}, {EV_ABS, ABS_MT_TRACKING_ID, 8},
		{EV_KEY, BTN_TOUCH, 1},
	};

	make(EXO_DPY_TOUCH);
	post(32);
	ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, both, 5));
	for (unsigned i = 0; i < 5; i++)
		expect(both[i].type, both[i].code, both[i].value);
	expect(EV_SYN, SYN_REPORT, 0);
	desk_rig_leave(&rig);
	expect(EV_KEY, BTN_TOUCH, 0);
	expect(EV_ABS, ABS_MT_SLOT, 0);
	expect(EV_ABS, ABS_MT_TRACKING_ID, -1);
	expect(EV_ABS, ABS_MT_SLOT, 3);
	expect(EV_ABS, ABS_MT_TRACKING_ID, -1);
	expect(EV_SYN, SYN_REPORT, 0);
	expect_nothing();
}
END_TEST

/* Which finger it is about was said in a report that the guest never got. */
START_TEST(h24_slots_are_said_again)
{
	const struct exo_dpy_event slot[] = {{EV_ABS, ABS_MT_SLOT, 5},
					     {EV_ABS, ABS_MT_TRACKING_ID, 1}};
	const struct exo_dpy_event move = {EV_ABS, ABS_MT_POSITION_X, 1};
	struct virtio_input_event e;

	make(EXO_DPY_TOUCH);
	for (unsigned i = 0; i < WAITING_MAX / 2; i++)
		ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, &move, 1));
	ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, slot, 2));
	for (unsigned turn = 0; turn < WAITING_MAX / 16; turn++) {
		post(16 - posted);
		while (take(&e))
			ck_assert_uint_ne(e.code, ABS_MT_SLOT);
	}
	post(16 - posted);
	ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, &move, 1));
	expect(EV_ABS, ABS_MT_SLOT, 5);
	expect(EV_ABS, ABS_MT_POSITION_X, 1);
	expect(EV_SYN, SYN_REPORT, 0);
}
END_TEST

/* The finger that is owed to the guest is another than the one that the report is about. */
START_TEST(h24_slots_after_releases)
{
	const struct exo_dpy_event both[] = {{EV_ABS, ABS_MT_SLOT, 5},
					     {EV_ABS, ABS_MT_TRACKING_ID, 8},
					     {EV_ABS, ABS_MT_SLOT, 0},
					     {EV_ABS, ABS_MT_TRACKING_ID, 7}};
	/* Two reports in one message: there is no room for the first. */
	const struct exo_dpy_event lost[] = {
		{EV_ABS, ABS_MT_SLOT, 5},       {EV_ABS, ABS_MT_TRACKING_ID, -1},
		{EV_ABS, ABS_MT_SLOT, 0},       {EV_ABS, ABS_MT_POSITION_X, 1},
		{EV_ABS, ABS_MT_POSITION_X, 2}, {EV_ABS, ABS_MT_POSITION_X, 3},
		{EV_ABS, ABS_MT_POSITION_X, 4}, {EV_SYN, SYN_REPORT, 0},
		{EV_ABS, ABS_MT_POSITION_X, 9}};
	const struct exo_dpy_event move = {EV_ABS, ABS_MT_POSITION_X, 1};
	const struct virtio_input_event end[] = {
		{EV_ABS, ABS_MT_SLOT, 5},       {EV_ABS, ABS_MT_TRACKING_ID, ~0u},
		{EV_SYN, SYN_REPORT, 0},        {EV_ABS, ABS_MT_SLOT, 0},
		{EV_ABS, ABS_MT_POSITION_X, 9}, {EV_SYN, SYN_REPORT, 0}};
	struct virtio_input_event e;
	unsigned n = 0;

	make(EXO_DPY_TOUCH);
	ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, both, 4));
	for (unsigned i = 0; i < 250; i++) /* 505 wait */
		ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, &move, 1));
	ck_assert(desk_rig_input(&rig, EXO_DPY_TOUCH, 0, lost, 9));
	for (unsigned turn = 0; turn < 100; turn++) {
		post(16 - posted);
		for (; take(&e); n++) {
			if (n >= 505)
				ck_assert_mem_eq(&e, &end[n - 505], sizeof(e));
		}
	}
	ck_assert_uint_eq(n, 511);
}
END_TEST

/* ---- several scanouts --------------------------------------------------------------------- */

static void move(unsigned scanout, int32_t x, int32_t y, int32_t want_x, int32_t want_y)
{
	struct exo_dpy_event e[] = {{EV_ABS, ABS_X, x}, {EV_ABS, ABS_Y, y}};

	ck_assert(desk_rig_input(&rig, EXO_DPY_TABLET, scanout, e, 2));
	expect(EV_ABS, ABS_X, want_x);
	expect(EV_ABS, ABS_Y, want_y);
	expect(EV_SYN, SYN_REPORT, 0);
}

START_TEST(side_by_side)
{
	const int32_t max = EXO_DPY_ABS_MAX;

	make(EXO_DPY_TABLET);
	post(60);
	move(0, 1000, 2000, 1000, 2000); /* before any size is known */
	ck_assert(desk_rig_mode(&rig, 0, 800, 600));
	move(0, 0, 0, 0, 0);
	move(0, max, max, max, max);
	ck_assert(desk_rig_mode(&rig, 1, 800, 300));
	move(0, max, max, max / 2, max);
	move(1, 0, max, max / 2, max / 2);
	move(1, max, 0, max, 0);
	ck_assert(desk_rig_mode(&rig, 1, 0, 0));
	move(0, max, max, max, max);
	move(1, 7, 8, 7, 8); /* a scanout that is unplugged has no place */
	ck_assert(desk_rig_mode(&rig, 0, 16384, 16384));
	ck_assert(desk_rig_mode(&rig, 1, 16384, 1));
	move(1, max, max, max, max / 16384);
}
END_TEST

/* ---- life ---------------------------------------------------------------------------------- */

START_TEST(status_is_taken)
{
	struct virtio_input_event led = {EV_LED, LED_CAPSL, 1};
	uint32_t id, len;

	make(EXO_DPY_KEYBOARD);
	for (unsigned i = 0; i < 64; i++)
		drv_send(&d, STATUSQ, &led, i % sizeof(led) + 1);
	for (unsigned i = 0; i < 64; i++) {
		ck_assert(drv_used(&d, STATUSQ, &id, &len));
		ck_assert_uint_eq(len, 0);
	}
}
END_TEST

START_TEST(h16_reset)
{
	make(EXO_DPY_KEYBOARD);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	vdev_set_status(d.dev, 0);
	ck_assert(desk_rig_key(&rig, KEY_B, 1)); /* nobody is there */
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(8);
	expect_nothing();
	ck_assert(desk_rig_key(&rig, KEY_B, 0));
	expect(EV_KEY, KEY_B, 0);
}
END_TEST

START_TEST(without_a_driver)
{
	drv_attach(&d, input_create(&d.mem, &d.host, rig.desk, EXO_DPY_KEYBOARD, 2));
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	desk_rig_leave(&rig);
	desk_rig_attach(&rig);
	drv_handshake(&d, DRV_ALL_FEATURES); /* no queue is ready */
	vdev_set_status(d.dev, vdev_status(d.dev) | 4);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
}
END_TEST

START_TEST(malformed_rings_stop_it)
{
	make(EXO_DPY_KEYBOARD);
	drv_offer(&d, (unsigned)_i, 64);
	drv_kick(&d, (unsigned)_i);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	ck_assert(drv_needs_reset(&d));
	ck_assert(desk_rig_key(&rig, KEY_A, 0));
	ck_assert_uint_eq(d.config_notified, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("input");
	TCase *tc = tcase_create("input");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, config_of_a_keyboard);
	tcase_add_test(tc, config_of_pointers);
	tcase_add_loop_test(tc, config_of_everything, 0, EXO_DPY_DEVICES);
	tcase_add_test(tc, keys_arrive);
	tcase_add_test(tc, they_wait_for_buffers);
	tcase_add_test(tc, h05_small_buffers);
	tcase_add_test(tc, h24_releases_come_later);
	tcase_add_test(tc, h24_pressed_again);
	tcase_add_test(tc, a_desktop_that_goes_lets_go);
	tcase_add_test(tc, fingers);
	tcase_add_test(tc, h24_slots_are_said_again);
	tcase_add_test(tc, h24_slots_after_releases);
	tcase_add_test(tc, side_by_side);
	tcase_add_test(tc, status_is_taken);
	tcase_add_test(tc, h16_reset);
	tcase_add_test(tc, without_a_driver);
	tcase_add_loop_test(tc, malformed_rings_stop_it, 0, 2);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
