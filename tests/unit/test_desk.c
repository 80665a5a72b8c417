/*
 * The connection with the desktop: what comes is decoded strictly, listeners hear
 * only what is right, another desktop takes the last one's place, and nobody waits.
 */
#include "desk_rig.h"
#include "drv.h"
#include "fdmsg.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <linux/input-event-codes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALL 63u

static struct desk_rig rig;
static struct vdev one, two; /* never more than names */
static unsigned modes, inputs, presented, played, captured;
static int attached;
static bool sends; /* when it hears that a desktop is there */

static void on_attached(struct vdev *dev, bool there)
{
	struct exo_dpy_scanout s = {.scanout = 0};

	ck_assert_ptr_eq(dev, &one);
	ck_assert_int_eq(there, !attached);
	attached = there;
	ck_assert(desk_there(rig.desk) == there);
	if (sends)
		ck_assert(desk_send(rig.desk, EXO_DPY_SCANOUT, &s, sizeof(s)) == there);
}

static void on_mode(struct vdev *dev, const struct exo_dpy_mode *m)
{
	ck_assert_ptr_eq(dev, &one);
	modes++;
}

static void on_presented(struct vdev *dev, const struct exo_dpy_presented *p)
{
	presented++;
}

static void on_input(struct vdev *dev, const struct exo_dpy_input *in)
{
	ck_assert_ptr_eq(dev, in->device == EXO_DPY_KEYBOARD ? &two : &one);
	inputs++;
}

static void on_played(struct vdev *dev, const struct exo_dpy_played *p)
{
	played += p->bytes;
}

static void on_captured(struct vdev *dev, const struct exo_dpy_pcm *p)
{
	captured += p->bytes;
}

static const struct desk_listener screen = {
	.attached = on_attached,
	.mode = on_mode,
	.presented = on_presented,
	.input = on_input,
	.played = on_played,
	.captured = on_captured,
};
static const struct desk_listener keyboard = {.input = on_input};

static void setup(void)
{
	modes = inputs = presented = played = captured = 0;
	attached = 0;
	sends = false;
	desk_rig_init(&rig, 2, ALL);
	ck_assert_int_eq(desk_listen(rig.desk, &one, &screen, 0xe), 0);
	ck_assert_int_eq(desk_listen(rig.desk, &two, &keyboard, 1u << EXO_DPY_KEYBOARD), 0);
	desk_rig_attach(&rig);
}

static void teardown(void)
{
	desk_rig_finish(&rig);
}

START_TEST(hello_and_memory)
{
	struct exo_dpy_hello m;
	unsigned nfds;
	int pair[2], fd;
	uint64_t bytes;
	char *p = (char *)desk_picture(rig.desk, &bytes), c;

	ck_assert_uint_eq(bytes, DESK_RIG_PICTURE);
	p[1000] = 'x';
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	desk_set_socket(rig.desk, pair[1]);
	ck_assert_int_eq(fdmsg_recv(pair[0], &m, sizeof(m), &fd, 1, &nfds), sizeof(m));
	ck_assert_uint_eq(nfds, 1);
	ck_assert_uint_eq(m.h.type, EXO_DPY_HELLO);
	ck_assert_uint_eq(m.picture_bytes, bytes);
	ck_assert_uint_eq(m.scanouts, 2);
	ck_assert_uint_eq(m.inputs, ALL);
	ck_assert_int_eq(pread(fd, &c, 1, 1000), 1);
	ck_assert_int_eq(c, 'x');
	close(fd);
	close(pair[0]);
}
END_TEST

START_TEST(messages_arrive)
{
	struct exo_dpy_presented p = {.scanout = 1, .sequence = 7};
	struct {
		struct exo_dpy_pcm m;
		uint8_t data[400];
	} pcm = {.m = {.stream = 1, .bytes = 400}};
	struct exo_dpy_event move[] = {{EV_ABS, ABS_X, 32767}, {EV_ABS, ABS_Y, 0}};

	ck_assert(desk_rig_mode(&rig, 1, 16384, 1));
	ck_assert(desk_rig_mode(&rig, 0, 0, 0));
	ck_assert_uint_eq(modes, 2);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	ck_assert(desk_rig_input(&rig, EXO_DPY_TABLET, 1, move, 2));
	ck_assert_uint_eq(inputs, 2);
	ck_assert(desk_rig_say(&rig, EXO_DPY_PRESENTED, &p, sizeof(p)));
	ck_assert_uint_eq(presented, 1);
	ck_assert(desk_rig_played(&rig, 96000));
	ck_assert_uint_eq(played, 96000);
	ck_assert(desk_rig_say(&rig, EXO_DPY_CAPTURED, &pcm, sizeof(pcm)));
	ck_assert_uint_eq(captured, 400);
	ck_assert(desk_there(rig.desk));
}
END_TEST

/* ---- what is wrong, one thing at a time ----------------------------------------- */

struct wrong {
	size_t off; /* of a 32-bit field */
	uint32_t value;
};

static void refuse(void *msg, size_t len)
{
	ck_assert_int_eq(fdmsg_send(rig.peer, msg, len, NULL, 0), 0);
	ck_assert(!desk_receive(rig.desk));
	ck_assert(!desk_there(rig.desk));
	ck_assert(!attached);
	ck_assert(!desk_receive(rig.desk)); /* nor later */
	ck_assert_uint_eq(modes + inputs + presented + played + captured, 0);
	desk_rig_attach(&rig);
	ck_assert(attached && desk_there(rig.desk));
}

static void refuse_each(const void *good, size_t len, const struct wrong *bad, size_t n)
{
	uint8_t msg[EXO_DPY_MSG_MAX];

	for (size_t i = 0; i < n; i++) {
		memcpy(msg, good, len);
		memcpy(msg + bad[i].off, &bad[i].value, 4);
		refuse(msg, len);
	}
}

#define HEADER(t, bytes) \
	{ \
		EXO_DPY_MAGIC, t, bytes, 0 \
	}
#define COUNT(a) (sizeof(a) / sizeof(a[0]))

START_TEST(wrong_headers)
{
	static const struct wrong bad[] = {{0, 0},  {0, 0x31594450}, {4, 0},  {4, 6},
					   {4, 64}, {4, 0xffffffff}, {8, 39}, {8, 41},
					   {8, 0},  {8, 0xffffffff}, {12, 1}, {12, 1u << 31}};
	struct exo_dpy_mode m = {HEADER(EXO_DPY_MODE, sizeof(m)), 0, 1, 1, 120, 0, 0};
	uint8_t big[EXO_DPY_MSG_MAX + 1] = {0};

	refuse_each(&m, sizeof(m), bad, COUNT(bad));
	for (size_t len = 1; len < sizeof(m); len += 3) {
		m.h.size = (uint32_t)len;
		refuse(&m, len);
	}
	memcpy(big, &m, sizeof(m));
	((struct exo_dpy_header *)big)->size = sizeof(big);
	refuse(big, sizeof(big));
}
END_TEST

START_TEST(wrong_modes)
{
	static const struct wrong bad[] = {
#define F(field, value) {offsetof(struct exo_dpy_mode, field), value}
		F(scanout, 2),
		F(scanout, 0xffffffff),
		F(width, 16385),
		F(width, 0),
		F(height, 16385),
		F(height, 0),
		F(scale, 0),
		F(scale, 59),
		F(scale, 961),
		F(reserved, 1),
		F(refresh_mhz, 1000001),
#undef F
	};
	struct exo_dpy_mode m = {HEADER(EXO_DPY_MODE, sizeof(m)), 0, 1, 1, 120, 0, 0};

	refuse_each(&m, sizeof(m), bad, COUNT(bad));
}
END_TEST

START_TEST(wrong_inputs)
{
	struct {
		struct exo_dpy_input m;
		struct exo_dpy_event e[2];
	} m = {{HEADER(EXO_DPY_INPUT, sizeof(m)), EXO_DPY_KEYBOARD, 0, 2, 0},
	       {{EV_KEY, KEY_A, 1}, {EV_SYN, SYN_REPORT, 0}}};
	static const struct wrong bad[] = {
#define F(field, value) {offsetof(struct exo_dpy_input, field), value}
		F(device, EXO_DPY_DEVICES),
		F(device, 0xffffffff),
		F(scanout, 2),
		F(count, 0),
		F(count, 1),
		F(count, 3),
		F(count, 0x20000002),
		F(count, 257),
		F(reserved, 1),
		F(device, EXO_DPY_TABLET),
#undef F
	};

	refuse_each(&m, sizeof(m), bad, COUNT(bad));
	m.m.count = 1;
	m.m.h.size = sizeof(m) - sizeof(m.e[0]);
	refuse(&m, m.m.h.size); /* no SYN_REPORT at the end */
	m.m.h.size = sizeof(m.m) - 4;
	refuse(&m, m.m.h.size);
}
END_TEST

START_TEST(wrong_events)
{
	static const struct {
		enum exo_dpy_device kind;
		struct exo_dpy_event e;
	} bad[] = {
		{EXO_DPY_KEYBOARD, {EV_KEY, KEY_A, 2}}, /* guests repeat by themselves */
		{EXO_DPY_KEYBOARD, {EV_KEY, KEY_A, -1}},
		{EXO_DPY_KEYBOARD, {EV_KEY, 0, 1}},
		{EXO_DPY_KEYBOARD, {EV_KEY, 249, 1}},
		{EXO_DPY_KEYBOARD, {EV_KEY, 0xffff, 1}},
		{EXO_DPY_KEYBOARD, {EV_KEY, BTN_LEFT, 1}},
		{EXO_DPY_KEYBOARD, {EV_ABS, ABS_X, 1}},
		{EXO_DPY_KEYBOARD, {EV_LED, LED_NUML, 1}},
		{EXO_DPY_KEYBOARD, {EV_SYN, SYN_DROPPED, 0}},
		{EXO_DPY_KEYBOARD, {EV_SYN, SYN_REPORT, 1}},
		{EXO_DPY_KEYBOARD, {0xffff, 0, 0}},
		{EXO_DPY_TABLET, {EV_KEY, KEY_A, 1}},
		{EXO_DPY_TABLET, {EV_KEY, BTN_EXTRA + 1, 1}},
		{EXO_DPY_TABLET, {EV_ABS, ABS_X, -1}},
		{EXO_DPY_TABLET, {EV_ABS, ABS_Y, EXO_DPY_ABS_MAX + 1}},
		{EXO_DPY_TABLET, {EV_ABS, ABS_Z, 0}},
		{EXO_DPY_TABLET, {EV_REL, REL_X, 1}},
		{EXO_DPY_TABLET, {EV_REL, REL_WHEEL, INT32_MIN}},
		{EXO_DPY_MOUSE, {EV_REL, REL_X, 32768}},
		{EXO_DPY_MOUSE, {EV_REL, REL_Z, 1}},
		{EXO_DPY_MOUSE, {EV_ABS, ABS_X, 1}},
		{EXO_DPY_TOUCH, {EV_ABS, ABS_MT_SLOT, 16}},
		{EXO_DPY_TOUCH, {EV_ABS, ABS_MT_SLOT, -1}},
		{EXO_DPY_TOUCH, {EV_ABS, ABS_MT_TRACKING_ID, -2}},
		{EXO_DPY_TOUCH, {EV_ABS, ABS_MT_TRACKING_ID, 65536}},
		{EXO_DPY_TOUCH, {EV_ABS, ABS_MT_POSITION_Y, 32768}},
		{EXO_DPY_TOUCH, {EV_ABS, ABS_MT_PRESSURE, 0}},
		{EXO_DPY_TOUCH, {EV_KEY, BTN_LEFT, 1}},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		ck_assert_msg(!desk_rig_input(&rig, bad[i].kind, 0, &bad[i].e, 1), "%zu", i);
		ck_assert_uint_eq(inputs, 0);
		desk_rig_attach(&rig);
	}
}
END_TEST

START_TEST(wrong_sound)
{
	struct exo_dpy_played p = {HEADER(EXO_DPY_PLAYED, sizeof(p)), 0, 4};
	struct {
		struct exo_dpy_pcm m;
		uint8_t data[16];
	} c = {.m = {HEADER(EXO_DPY_CAPTURED, sizeof(c)), 1, 16}};
	struct exo_dpy_presented f = {HEADER(EXO_DPY_PRESENTED, sizeof(f)), 0, 0, 0};
	static const struct wrong bad_played[] = {
		{16, 1}, {20, 0}, {20, 1}, {20, 96002}, {20, ~0u}};
	static const struct wrong bad_pcm[] = {{16, 0},  {16, 2},  {20, 0},
					       {20, 14}, {20, 18}, {20, ~0u}};
	static const struct wrong bad_presented[] = {{16, 2}, {16, ~0u}};

	refuse_each(&p, sizeof(p), bad_played, COUNT(bad_played));
	refuse_each(&c, sizeof(c), bad_pcm, COUNT(bad_pcm));
	refuse_each(&f, sizeof(f), bad_presented, COUNT(bad_presented));
	c.m.h.size = sizeof(c) - 1;
	c.m.bytes = 15;
	refuse(&c, sizeof(c) - 1);
}
END_TEST

START_TEST(descriptors_are_refused)
{
	struct exo_dpy_mode m = {HEADER(EXO_DPY_MODE, sizeof(m)), 0, 1, 1, 120, 0, 0};
	int fd = 1;

	ck_assert_int_eq(fdmsg_send(rig.peer, &m, sizeof(m), &fd, 1), 0);
	ck_assert(!desk_receive(rig.desk));
	ck_assert_uint_eq(modes, 0);
}
END_TEST

/* Only of devices that the guest has. */
START_TEST(devices_that_it_has_not)
{
	struct exo_dpy_event e = {EV_KEY, BTN_LEFT, 1};

	desk_rig_finish(&rig);
	desk_rig_init(&rig, 1, EXO_DPY_HAS_KEYBOARD);
	desk_rig_attach(&rig);
	ck_assert(desk_rig_key(&rig, KEY_A, 1));
	ck_assert(!desk_rig_input(&rig, EXO_DPY_TABLET, 0, &e, 1));
	desk_rig_attach(&rig);
	ck_assert(!desk_rig_input(&rig, EXO_DPY_MOUSE, 0, &e, 1));
	desk_rig_attach(&rig);
	ck_assert(!desk_rig_played(&rig, 4));
}
END_TEST

/* ---- desktops that come and go --------------------------------------------------- */

START_TEST(without_a_desktop)
{
	struct exo_dpy_flush m = {.scanout = 0};

	desk_rig_leave(&rig);
	ck_assert(!attached);
	ck_assert_int_eq(desk_socket(rig.desk), -1);
	ck_assert(!desk_send(rig.desk, EXO_DPY_FLUSH, &m, sizeof(m)));
	desk_set_socket(rig.desk, -1);
	ck_assert(!desk_receive(rig.desk));
	desk_rig_attach(&rig);
	ck_assert(attached && desk_there(rig.desk));
	ck_assert(desk_send(rig.desk, EXO_DPY_FLUSH, &m, sizeof(m)));
}
END_TEST

START_TEST(another_takes_its_place)
{
	union desk_message m;
	int last = dup(rig.peer);
	char c;

	sends = true;
	desk_rig_attach(&rig); /* on_attached checks the order */
	ck_assert_int_eq(recv(last, &c, 1, 0), 0);
	ck_assert_uint_eq(desk_rig_receive(&rig, &m), sizeof(m.scanout));
	ck_assert_uint_eq(m.h.type, EXO_DPY_SCANOUT);
	close(last);
}
END_TEST

START_TEST(one_that_is_gone_already)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	close(pair[0]);
	desk_set_socket(rig.desk, pair[1]);
	ck_assert(!desk_there(rig.desk));
	ck_assert(!desk_receive(rig.desk));
	ck_assert(!attached);
}
END_TEST

/* A desktop that does not read: sound is lost, a flush hangs up. Nothing waits. */
START_TEST(nobody_waits)
{
	struct {
		struct exo_dpy_pcm m;
		uint8_t data[4096];
	} pcm = {.m = {.stream = 0, .bytes = 4096}};
	struct exo_dpy_flush m = {.scanout = 0};
	unsigned n = 0;

	while (desk_send(rig.desk, EXO_DPY_PCM, &pcm, sizeof(pcm)))
		ck_assert_uint_lt(n++, 10000);
	ck_assert(desk_there(rig.desk));
	while (desk_send(rig.desk, EXO_DPY_FLUSH, &m, sizeof(m)))
		ck_assert_uint_lt(n++, 10000);
	ck_assert(!desk_there(rig.desk));
	ck_assert(!desk_send(rig.desk, EXO_DPY_FLUSH, &m, sizeof(m)));
	ck_assert(attached); /* until the event loop looks */
	ck_assert(!desk_receive(rig.desk));
	ck_assert(!attached);
}
END_TEST

/* One that sends without end does not keep the event loop. */
START_TEST(a_flood)
{
	struct exo_dpy_mode m = {HEADER(EXO_DPY_MODE, sizeof(m)), 0, 1, 1, 120, 0, 0};
	unsigned sent = 0, turns = 0;

	while (!fdmsg_send(rig.peer, &m, sizeof(m), NULL, 0))
		sent++;
	for (; modes < sent; turns++)
		ck_assert(desk_receive(rig.desk));
	ck_assert_uint_ge(turns, 2);
	ck_assert(desk_receive(rig.desk));
	ck_assert_uint_eq(modes, sent);
}
END_TEST

START_TEST(listeners_are_limited)
{
	static const struct desk_listener deaf;

	for (unsigned i = 2; i < DESK_LISTENERS_MAX; i++)
		ck_assert_int_eq(desk_listen(rig.desk, &one, &deaf, 0), 0);
	ck_assert_int_eq(desk_listen(rig.desk, &one, &deaf, 0), -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("desk");
	TCase *tc = tcase_create("desk");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, hello_and_memory);
	tcase_add_test(tc, messages_arrive);
	tcase_add_test(tc, wrong_headers);
	tcase_add_test(tc, wrong_modes);
	tcase_add_test(tc, wrong_inputs);
	tcase_add_test(tc, wrong_events);
	tcase_add_test(tc, wrong_sound);
	tcase_add_test(tc, descriptors_are_refused);
	tcase_add_test(tc, devices_that_it_has_not);
	tcase_add_test(tc, without_a_desktop);
	tcase_add_test(tc, another_takes_its_place);
	tcase_add_test(tc, one_that_is_gone_already);
	tcase_add_test(tc, nobody_waits);
	tcase_add_test(tc, a_flood);
	tcase_add_test(tc, listeners_are_limited);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
