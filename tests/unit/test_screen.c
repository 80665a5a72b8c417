/*
 * A guest's display connection, with a VMM that may say anything (hostile-guests H-34), and what
 * it is told: sizes, answers, input. The rest of the desktop is stand-ins that take notes.
 */
#include "desktop.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MEMORY (2u << 20)
#define SECOND 1000000000ull

static struct desktop d;
static struct dguest g;
static struct screen *s;
static int vmm = -1, memory = -1;
static uint64_t now, due;
static unsigned kills, goodbyes, changes, damages, plays, stops;
static struct hid_rect damaged;
static unsigned baseline;

/* ---- stand-ins --------------------------------------------------------------------- */

uint64_t desktop_now(const struct desktop *desktop)
{
	return now;
}

void desktop_wake_at(struct desktop *desktop, uint64_t when_ns) {}

void notice(struct desktop *desktop, uint32_t colour, const char *format, ...) {}

void guests_kill(struct desktop *desktop, const char *name)
{
	ck_assert_str_eq(name, g.name);
	kills++;
}

void guests_screen_gone(struct dguest *guest)
{
	goodbyes++;
	screen_destroy(guest->screen);
	guest->screen = s = NULL;
}

void guests_window_changed(struct dguest *guest, unsigned scanout)
{
	struct canvas c;
	uint32_t format;

	changes++;
	guest->window[scanout] =
		screen_picture(guest->screen, scanout, &c, &format) ? 100 + scanout : 0;
}

void hid_damage(struct hid *h, hid_id id, const struct hid_rect *rect)
{
	ck_assert_uint_ge(id, 100);
	damages++;
	damaged = *rect;
}

uint64_t hid_frame_due(const struct hid *h, uint64_t now_ns)
{
	return due;
}

struct audio_stream *audio_play(struct desktop *desktop, uint32_t rate, uint32_t channels,
				audio_played_fn *played, void *opaque)
{
	plays++;
	return NULL;
}

bool audio_write(struct audio_stream *st, const void *data, uint32_t bytes)
{
	return false;
}

void audio_stop(struct audio_stream *st)
{
	stops++;
}

void audio_capture_wanted(struct dguest *guest, uint32_t rate, uint32_t channels) {}

void audio_capture_stop(struct dguest *guest) {}

/* ---- the VMM's end -------------------------------------------------------------------- */

static unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* All that is there is looked at; nothing waits. */
static void pump(void)
{
	for (unsigned i = 0; i < 200; i++) {
		loop_timer(&d.loop, 1);
		ck_assert_int_eq(loop_run_once(&d.loop), 0);
	}
}

static void put(uint32_t type, void *msg, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {msg, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	*(struct exo_dpy_header *)msg =
		(struct exo_dpy_header){EXO_DPY_MAGIC, type, (uint32_t)len, 0};
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.align = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(vmm, &m, MSG_NOSIGNAL), (ssize_t)len);
}

static int make_memory(uint64_t bytes, int seals)
{
	int fd = memfd_create("picture", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct exo_dpy_hello hello_of(uint64_t bytes)
{
	return (struct exo_dpy_hello){
		.picture_bytes = bytes,
		.scanouts = 2,
		.inputs = EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET | EXO_DPY_HAS_TOUCH |
			  EXO_DPY_HAS_PLAYBACK,
	};
}

static void greet(void)
{
	struct exo_dpy_hello m = hello_of(MEMORY);

	put(EXO_DPY_HELLO, &m, sizeof(m), memory);
	pump();
	ck_assert_ptr_nonnull(s);
}

static struct exo_dpy_scanout picture(uint32_t width, uint32_t height)
{
	return (struct exo_dpy_scanout){.stride = width * 4,
					.width = width,
					.height = height,
					.format = EXO_DPY_FORMAT_XRGB};
}

static void show(uint32_t width, uint32_t height)
{
	struct exo_dpy_scanout m = picture(width, height);

	put(EXO_DPY_SCANOUT, &m, sizeof(m), -1);
	pump();
	ck_assert_ptr_nonnull(s);
	screen_configure(s, 0, (int)width, (int)height, true);
}

static void flush(uint32_t sequence)
{
	struct exo_dpy_flush m = {.sequence = sequence, .width = 10, .height = 10};

	put(EXO_DPY_FLUSH, &m, sizeof(m), -1);
	pump();
}

/* The next message to the VMM, of this type; others are skipped. False: there is none. */
static bool told(uint32_t type, void *msg, size_t room)
{
	uint8_t bytes[EXO_DPY_MSG_MAX];
	struct exo_dpy_header h;
	ssize_t n;

	while ((n = recv(vmm, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
		memcpy(&h, bytes, sizeof(h));
		ck_assert_uint_eq(h.magic, EXO_DPY_MAGIC);
		ck_assert_uint_eq(h.size, (size_t)n);
		if (h.type != type)
			continue;
		memcpy(msg, bytes, (size_t)n < room ? (size_t)n : room);
		return true;
	}
	return false;
}

static void setup(void)
{
	int pair[2];

	baseline = count_fds();
	memset(&d, 0, sizeof(d));
	memset(&g, 0, sizeof(g));
	ck_assert_int_eq(loop_init(&d.loop), 0);
	d.guests = &g;
	d.scale = EXO_DPY_SCALE_ONE;
	g.desktop = &d;
	strcpy(g.name, "guest");
	now = 100 * SECOND;
	due = UINT64_MAX;
	kills = goodbyes = changes = damages = plays = stops = 0;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	vmm = pair[1];
	memory = make_memory(MEMORY, F_SEAL_SHRINK | F_SEAL_GROW);
	g.screen = s = screen_create(&g, pair[0], 2, 640, 480);
	ck_assert_ptr_nonnull(s);
}

static void teardown(void)
{
	screen_destroy(g.screen);
	g.screen = s = NULL;
	close(vmm);
	close(memory);
	loop_finish(&d.loop);
	ck_assert_uint_eq(count_fds(), baseline);
}

static void expect_end(const char *what)
{
	pump();
	ck_assert_msg(kills == 1 && goodbyes == 1, "%s: %u kills", what, kills);
}

/* ---- HELLO ------------------------------------------------------------------------------ */

START_TEST(greeting_tells_the_size)
{
	struct exo_dpy_mode m;

	ck_assert_uint_eq(screens_tick(&d, now), 0);
	ck_assert(!told(EXO_DPY_MODE, &m, sizeof(m))); /* not before it is asked */
	greet();
	screens_tick(&d, now);
	ck_assert(told(EXO_DPY_MODE, &m, sizeof(m)));
	ck_assert_uint_eq(m.scanout, 0);
	ck_assert_uint_eq(m.width, 640);
	ck_assert_uint_eq(m.height, 480);
	ck_assert_uint_eq(m.scale, EXO_DPY_SCALE_ONE);
	ck_assert(!told(EXO_DPY_MODE, &m, sizeof(m)));
}
END_TEST

static const struct {
	const char *what;
	uint64_t bytes, said;
	int seals;
	uint32_t scanouts, inputs;
} greetings[] = {
	{"not sealed", MEMORY, MEMORY, 0, 1, 1},
	{"may be made smaller", MEMORY, MEMORY, F_SEAL_GROW, 1, 1},
	{"may grow", MEMORY, MEMORY, F_SEAL_SHRINK, 1, 1},
	{"smaller than said", MEMORY, 2 * MEMORY, F_SEAL_SHRINK | F_SEAL_GROW, 1, 1},
	{"larger than said", 2 * MEMORY, MEMORY, F_SEAL_SHRINK | F_SEAL_GROW, 1, 1},
	{"too small", 4096, 4096, F_SEAL_SHRINK | F_SEAL_GROW, 1, 1},
	{"too large", 512u << 20, 512u << 20, F_SEAL_SHRINK | F_SEAL_GROW, 1, 1},
	{"no scanout", MEMORY, MEMORY, F_SEAL_SHRINK | F_SEAL_GROW, 0, 1},
	{"more scanouts than granted", MEMORY, MEMORY, F_SEAL_SHRINK | F_SEAL_GROW, 3, 1},
	{"unknown devices", MEMORY, MEMORY, F_SEAL_SHRINK | F_SEAL_GROW, 1, 64},
};

START_TEST(bad_greeting)
{
	struct exo_dpy_hello m = {.picture_bytes = greetings[_i].said,
				  .scanouts = greetings[_i].scanouts,
				  .inputs = greetings[_i].inputs};
	int fd = make_memory(greetings[_i].bytes, greetings[_i].seals);

	put(EXO_DPY_HELLO, &m, sizeof(m), fd);
	close(fd);
	expect_end(greetings[_i].what);
}
END_TEST

START_TEST(bad_descriptor)
{
	struct exo_dpy_hello m = hello_of(MEMORY);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	put(EXO_DPY_HELLO, &m, sizeof(m), _i ? null : -1);
	close(null);
	expect_end(_i ? "a device" : "none");
}
END_TEST

/* ---- what it may not say ------------------------------------------------------------------ */

union any {
	struct exo_dpy_header h;
	struct exo_dpy_hello hello;
	struct exo_dpy_scanout scanout;
	struct exo_dpy_flush flush;
	struct exo_dpy_cursor cursor;
	struct exo_dpy_sound sound;
	struct exo_dpy_pcm pcm;
	uint8_t bytes[EXO_DPY_MSG_MAX + 16];
};

/* After a greeting and a picture of 100 x 100 in scanout 0. size 0: the type's own. */
static const struct {
	const char *what;
	uint32_t type;
	size_t size;
	union any m;
	bool fd;
} sayings[] = {
	{"hello again",
	 EXO_DPY_HELLO,
	 0,
	 {.hello = {.picture_bytes = MEMORY, .scanouts = 1}},
	 true},
	{"an empty packet's worth", EXO_DPY_FLUSH, 8, {.bytes = {0}}, false},
	{"too long", EXO_DPY_FLUSH, EXO_DPY_MSG_MAX + 16, {.bytes = {0}}, false},
	{"no type", 0, 16, {.bytes = {0}}, false},
	{"a type of the desktop's", EXO_DPY_MODE, 40, {.bytes = {0}}, false},
	{"an unknown type", 99, 16, {.bytes = {0}}, false},
	{"a long flush", EXO_DPY_FLUSH, 48, {.flush = {.sequence = 1}}, false},
	{"a short scanout", EXO_DPY_SCANOUT, 40, {.scanout = {.width = 1}}, false},
	{"a descriptor", EXO_DPY_FLUSH, 0, {.flush = {.sequence = 1}}, true},
	{"scanout 2", EXO_DPY_SCANOUT, 0, {.scanout = {.scanout = 2}}, false},
	{"width", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 65540, 16385, 1, 1, 0, 0}}, false},
	{"height", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 4, 1, 16385, 1, 0, 0}}, false},
	{"height 0", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 4, 1, 0, 1, 0, 0}}, false},
	{"offset 2", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 2, 4, 1, 1, 1, 0, 0}}, false},
	{"stride 6", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 6, 1, 1, 1, 0, 0}}, false},
	{"stride", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 396, 100, 1, 1, 0, 0}}, false},
	{"format 0", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 4, 1, 1, 0, 0, 0}}, false},
	{"format 4", EXO_DPY_SCANOUT, 0, {.scanout = {{0}, 0, 4, 1, 1, 4, 0, 0}}, false},
	{"offset at the end",
	 EXO_DPY_SCANOUT,
	 0,
	 {.scanout = {{0}, MEMORY, 4, 1, 1, 1, 0, 0}},
	 false},
	{"a pixel too far",
	 EXO_DPY_SCANOUT,
	 0,
	 {.scanout = {{0}, MEMORY - 396, 400, 100, 1, 1, 0, 0}},
	 false},
	{"offset near 2^64",
	 EXO_DPY_SCANOUT,
	 0,
	 {.scanout = {{0}, UINT64_MAX - 3, 4, 1, 1, 1, 0, 0}},
	 false},
	{"stride near 2^32",
	 EXO_DPY_SCANOUT,
	 0,
	 {.scanout = {{0}, 0, UINT32_MAX - 3, 1, 16384, 1, 0, 0}},
	 false},
	{"flush in no picture", EXO_DPY_FLUSH, 0, {.flush = {.scanout = 1, .sequence = 1}}, false},
	{"flush of scanout 9", EXO_DPY_FLUSH, 0, {.flush = {.scanout = 9}}, false},
	{"flush to the right", EXO_DPY_FLUSH, 0, {.flush = {{0}, 0, 1, 100, 0, 1, 1}}, false},
	{"flush below", EXO_DPY_FLUSH, 0, {.flush = {{0}, 0, 1, 0, 91, 1, 10}}, false},
	{"flush that wraps",
	 EXO_DPY_FLUSH,
	 0,
	 {.flush = {{0}, 0, 1, 50, 0, UINT32_MAX - 40, 1}},
	 false},
	{"cursor of scanout 2", EXO_DPY_CURSOR, 0, {.cursor = {.scanout = 2}}, false},
	{"cursor at the end",
	 EXO_DPY_CURSOR,
	 0,
	 {.cursor = {{0}, MEMORY - 16380, 0, 1, 0, 0}},
	 false},
	{"cursor near 2^64",
	 EXO_DPY_CURSOR,
	 0,
	 {.cursor = {{0}, UINT64_MAX - 3, 0, 1, 0, 0}},
	 false},
	{"cursor's point", EXO_DPY_CURSOR, 0, {.cursor = {{0}, 0, 0, 1, 64, 0}}, false},
	{"half visible", EXO_DPY_CURSOR, 0, {.cursor = {{0}, 0, 0, 2, 0, 0}}, false},
	{"it may not record", EXO_DPY_SOUND, 0, {.sound = {{0}, 1, 1, 48000, 2}}, false},
	{"stream 2", EXO_DPY_SOUND, 0, {.sound = {{0}, 2, 0, 0, 0}}, false},
	{"rate", EXO_DPY_SOUND, 0, {.sound = {{0}, 0, 1, 7999, 2}}, false},
	{"channels", EXO_DPY_SOUND, 0, {.sound = {{0}, 0, 1, 48000, 3}}, false},
	{"sound that lies",
	 EXO_DPY_PCM,
	 sizeof(struct exo_dpy_pcm) + 4,
	 {.pcm = {.bytes = 400}},
	 false},
	{"no sound", EXO_DPY_PCM, sizeof(struct exo_dpy_pcm), {.pcm = {.bytes = 0}}, false},
};

static size_t size_of(uint32_t type)
{
	switch (type) {
	case EXO_DPY_HELLO:
		return sizeof(struct exo_dpy_hello);
	case EXO_DPY_SCANOUT:
		return sizeof(struct exo_dpy_scanout);
	case EXO_DPY_FLUSH:
		return sizeof(struct exo_dpy_flush);
	case EXO_DPY_CURSOR:
		return sizeof(struct exo_dpy_cursor);
	default:
		return sizeof(struct exo_dpy_sound);
	}
}

START_TEST(bad_saying)
{
	union any m = sayings[_i].m;
	size_t size = sayings[_i].size ? sayings[_i].size : size_of(sayings[_i].type);

	greet();
	show(100, 100);
	put(sayings[_i].type, &m, size, sayings[_i].fd ? memory : -1);
	expect_end(sayings[_i].what);
}
END_TEST

START_TEST(before_the_greeting)
{
	struct exo_dpy_scanout m = picture(10, 10);

	put(EXO_DPY_SCANOUT, &m, sizeof(m), -1);
	expect_end("a picture before the greeting");
}
END_TEST

START_TEST(a_lying_header)
{
	struct exo_dpy_flush m = {.h = {EXO_DPY_MAGIC, EXO_DPY_FLUSH, sizeof(m), 0}};

	greet();
	if (_i == 0)
		m.h.magic++;
	else if (_i == 1)
		m.h.size--;
	else
		m.h.reserved = 1;
	ck_assert_int_eq(send(vmm, &m, sizeof(m), 0), sizeof(m));
	expect_end("a header");
}
END_TEST

START_TEST(a_hang_up_is_no_crime)
{
	greet();
	shutdown(vmm, SHUT_RDWR);
	pump();
	ck_assert_uint_eq(kills, 0);
	ck_assert_uint_eq(goodbyes, 1);
}
END_TEST

/* ---- pictures -------------------------------------------------------------------------------- */

START_TEST(pictures_at_the_edge)
{
	struct exo_dpy_scanout m = {.offset = MEMORY - 4,
				    .stride = UINT32_MAX - 3,
				    .width = 1,
				    .height = 1,
				    .format = EXO_DPY_FORMAT_XBGR,
				    .scanout = 1};
	struct canvas c;
	uint32_t format;

	greet();
	ck_assert(!screen_picture(s, 1, &c, &format));
	put(EXO_DPY_SCANOUT, &m, sizeof(m), -1);
	pump();
	ck_assert_ptr_nonnull(s);
	ck_assert(screen_picture(s, 1, &c, &format));
	ck_assert_uint_eq(format, EXO_DPY_FORMAT_XBGR);
	ck_assert_int_eq(c.stride, 1);
	ck_assert_uint_eq(*c.pixels, 0); /* it is ours to read */
	ck_assert_uint_eq(changes, 1);
	m.width = 0;
	put(EXO_DPY_SCANOUT, &m, sizeof(m), -1);
	pump();
	ck_assert(!screen_picture(s, 1, &c, &format));
	ck_assert_uint_eq(changes, 2);
	ck_assert(!screen_picture(s, 7, &c, &format));
}
END_TEST

START_TEST(damage_is_scaled)
{
	struct exo_dpy_flush m = {.sequence = 1, .x = 50, .y = 50, .width = 10, .height = 10};

	greet();
	show(100, 100);
	screen_configure(s, 0, 200, 100, true);
	put(EXO_DPY_FLUSH, &m, sizeof(m), -1);
	pump();
	ck_assert_int_le(damaged.x, 98);
	ck_assert_int_ge(damaged.x + damaged.width, 122);
	ck_assert_int_eq(damaged.y, 50);
	ck_assert_int_eq(damaged.height, 10);
}
END_TEST

START_TEST(cursors_are_copied)
{
	struct exo_dpy_cursor m = {.offset = 4096, .visible = 1, .hot_x = 3, .hot_y = 63};
	const uint32_t ink = 0xff123456;
	const uint32_t *c;
	bool visible;
	int x, y;

	greet();
	ck_assert_ptr_null(screen_cursor(s, 0, &visible, &x, &y));
	ck_assert_int_eq(pwrite(memory, &ink, 4, 4096), 4);
	put(EXO_DPY_CURSOR, &m, sizeof(m), -1);
	pump();
	c = screen_cursor(s, 0, &visible, &x, &y);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(pwrite(memory, "\0\0\0\0", 4, 4096), 4);
	ck_assert_uint_eq(c[0], ink);
	ck_assert(visible && x == 3 && y == 63);
}
END_TEST

/* ---- answers ------------------------------------------------------------------------------------
 */

START_TEST(answered_with_the_frame)
{
	struct exo_dpy_presented m;

	greet();
	show(100, 100);
	due = now;
	flush(UINT32_MAX);
	flush(0); /* numbers wrap */
	screens_tick(&d, now);
	ck_assert(!told(EXO_DPY_PRESENTED, &m, sizeof(m)));
	screens_presented(&d, now);
	ck_assert(told(EXO_DPY_PRESENTED, &m, sizeof(m)));
	ck_assert_uint_eq(m.sequence, 0);
	ck_assert(m.time_ns == now);
	screens_presented(&d, now);
	ck_assert(!told(EXO_DPY_PRESENTED, &m, sizeof(m)));
	ck_assert_uint_eq(kills, 0);
}
END_TEST

START_TEST(hidden_is_answered_late)
{
	struct exo_dpy_presented m;

	greet();
	show(100, 100);
	screen_configure(s, 0, 100, 100, false);
	flush(1);
	screens_presented(&d, now);
	screens_tick(&d, now); /* long since the last: at once */
	ck_assert(told(EXO_DPY_PRESENTED, &m, sizeof(m)));
	flush(2);
	screens_presented(&d, now);
	ck_assert(screens_tick(&d, now) == now + SECOND);
	ck_assert(!told(EXO_DPY_PRESENTED, &m, sizeof(m)));
	now += SECOND;
	ck_assert_uint_eq(screens_tick(&d, now), 0); /* and no wake-up after that */
	ck_assert(told(EXO_DPY_PRESENTED, &m, sizeof(m)));
	ck_assert_uint_eq(m.sequence, 2);
}
END_TEST

/* What changed is under another window: no frame comes of it. */
START_TEST(unseen_change_is_answered)
{
	struct exo_dpy_presented m;

	greet();
	show(100, 100);
	d.presented_ns = now;
	flush(1);
	ck_assert(screens_tick(&d, now) == now + HID_FRAME_NS);
	now += HID_FRAME_NS;
	screens_tick(&d, now);
	ck_assert(told(EXO_DPY_PRESENTED, &m, sizeof(m)));
}
END_TEST

START_TEST(too_many_unanswered)
{
	greet();
	show(100, 100);
	screen_configure(s, 0, 100, 100, false);
	for (unsigned i = 1; i <= EXO_DPY_FLUSHES_MAX; i++)
		flush(i);
	ck_assert_uint_eq(kills, 0);
	flush(EXO_DPY_FLUSHES_MAX + 1);
	expect_end("65 flushes");
}
END_TEST

START_TEST(out_of_order)
{
	greet();
	show(100, 100);
	flush(5);
	flush(7);
	expect_end("a flush left out");
}
END_TEST

START_TEST(modes_as_often_as_frames)
{
	struct exo_dpy_mode m;

	greet();
	screens_tick(&d, now);
	ck_assert(told(EXO_DPY_MODE, &m, sizeof(m)));
	for (int i = 1; i <= 50; i++)
		screen_configure(s, 0, 640 + i, 480, true);
	ck_assert(screens_tick(&d, now) == now + HID_FRAME_NS);
	ck_assert(!told(EXO_DPY_MODE, &m, sizeof(m)));
	now += HID_FRAME_NS;
	screens_tick(&d, now);
	ck_assert(told(EXO_DPY_MODE, &m, sizeof(m)));
	ck_assert_uint_eq(m.width, 690);
	ck_assert(!told(EXO_DPY_MODE, &m, sizeof(m)));
}
END_TEST

/* Its share of a frame's time; the rest waits in the socket, where it makes nobody busy. */
START_TEST(a_flood_waits)
{
	struct exo_dpy_cursor m = {.visible = 0};
	unsigned sent = 0;

	greet();
	for (unsigned round = 0; round < 100; round++) {
		struct exo_dpy_header h = {EXO_DPY_MAGIC, EXO_DPY_CURSOR, sizeof(m), 0};

		m.h = h;
		while (send(vmm, &m, sizeof(m), MSG_DONTWAIT) > 0)
			sent++;
		pump();
	}
	ck_assert_uint_gt(sent, 2048);
	ck_assert_uint_lt(d.cursors, 2049);
	ck_assert(screens_tick(&d, now) == now + HID_FRAME_NS);
	now += HID_FRAME_NS;
	screens_tick(&d, now);
	pump();
	ck_assert_uint_gt(d.cursors, 2048);
	ck_assert_uint_eq(kills, 0);
}
END_TEST

/* ---- input --------------------------------------------------------------------------------------
 */

static struct {
	struct exo_dpy_input m;
	struct exo_dpy_event event[EXO_DPY_EVENTS_MAX];
} in;

static bool told_input(void)
{
	screens_tick(&d, now);
	return told(EXO_DPY_INPUT, &in, sizeof(in));
}

static void expect_event(unsigned i, uint16_t type, uint16_t code, int32_t value)
{
	ck_assert_uint_lt(i, in.m.count);
	ck_assert_uint_eq(in.event[i].type, type);
	ck_assert_uint_eq(in.event[i].code, code);
	ck_assert_int_eq(in.event[i].value, value);
}

START_TEST(keys_go_together)
{
	greet();
	screen_key(s, 1, KEY_A, true);
	screen_key(s, 1, KEY_A, false);
	screen_key(s, 1, BTN_LEFT, true); /* not of a keyboard */
	ck_assert(told_input());
	ck_assert_uint_eq(in.m.device, EXO_DPY_KEYBOARD);
	ck_assert_uint_eq(in.m.scanout, 1);
	ck_assert_uint_eq(in.m.count, 4);
	expect_event(0, EV_KEY, KEY_A, 1);
	expect_event(1, EV_SYN, SYN_REPORT, 0);
	expect_event(2, EV_KEY, KEY_A, 0);
	ck_assert(!told_input());
}
END_TEST

START_TEST(pointers_say_their_last_place)
{
	greet();
	show(100, 50);
	for (int i = 0; i < 500; i++)
		screen_pointer(s, 0, i % 100, 0);
	screen_button(s, 0, BTN_LEFT, true);
	screen_pointer(s, 0, -20, 900);
	ck_assert(told_input());
	ck_assert_uint_eq(in.m.device, EXO_DPY_TABLET);
	ck_assert_uint_eq(in.m.count, 3 + 2 + 3);
	/* Back to the pixel, by either rule. */
	ck_assert_int_eq(in.event[0].value * 100 / 32768, 99);
	ck_assert_int_eq((in.event[0].value * 99 + 16383) / 32767, 99);
	expect_event(3, EV_KEY, BTN_LEFT, 1);
	expect_event(5, EV_ABS, ABS_X, 0);
	expect_event(6, EV_ABS, ABS_Y, EXO_DPY_ABS_MAX);
}
END_TEST

START_TEST(wheels_fill_notches)
{
	greet();
	screen_wheel(s, 0, 0, 60);
	ck_assert(told_input());
	expect_event(0, EV_REL, REL_WHEEL_HI_RES, 60);
	expect_event(1, EV_SYN, SYN_REPORT, 0);
	screen_wheel(s, 0, -240, 60);
	ck_assert(told_input());
	expect_event(0, EV_REL, REL_WHEEL_HI_RES, 60);
	expect_event(1, EV_REL, REL_WHEEL, 1);
	expect_event(2, EV_REL, REL_HWHEEL_HI_RES, -240);
	expect_event(3, EV_REL, REL_HWHEEL, -2);
}
END_TEST

START_TEST(fingers)
{
	greet();
	show(100, 100);
	screen_touch(s, 0, 3, 1, 5, 5); /* moved without a press */
	screen_touch(s, 0, 3, 0, 0, 0);
	screen_touch(s, 0, 3, 2, 0, 0);
	ck_assert(told_input());
	ck_assert_uint_eq(in.m.device, EXO_DPY_TOUCH);
	expect_event(0, EV_ABS, ABS_MT_SLOT, 3);
	expect_event(1, EV_ABS, ABS_MT_TRACKING_ID, 0);
	expect_event(4, EV_KEY, BTN_TOUCH, 1);
	expect_event(7, EV_SYN, SYN_REPORT, 0);
	expect_event(9, EV_ABS, ABS_MT_TRACKING_ID, -1);
	expect_event(10, EV_KEY, BTN_TOUCH, 0);
	ck_assert_uint_eq(in.m.count, 12);
}
END_TEST

/* A VMM that does not read: whole reports are lost, and at the end no key hangs. */
START_TEST(no_key_hangs)
{
	bool down[KEY_MAX] = {false};
	unsigned messages = 0;

	greet();
	for (unsigned i = 0; i < 20000; i++) {
		screen_key(s, 0, (uint16_t)(KEY_Q + i % 10), true);
		screens_tick(&d, now);
		screen_key(s, 0, (uint16_t)(KEY_Q + i % 10), i == 19999);
		screens_tick(&d, now);
	}
	screen_key(s, 0, KEY_P, false);
	for (unsigned round = 0; round < 10; round++) {
		while (told(EXO_DPY_INPUT, &in, sizeof(in))) {
			messages++;
			for (unsigned i = 0; i < in.m.count; i++) {
				if (in.event[i].type == EV_KEY)
					down[in.event[i].code] = in.event[i].value;
			}
			ck_assert_uint_eq(in.event[in.m.count - 1].type, EV_SYN);
		}
		pump();
		screens_tick(&d, now);
	}
	ck_assert_uint_lt(messages, 40000);
	for (unsigned i = 0; i < KEY_MAX; i++)
		ck_assert_msg(!down[i], "key %u hangs", i);
}
END_TEST

/* ---- sound
 * --------------------------------------------------------------------------------------- */

START_TEST(sound_nobody_plays_is_played)
{
	struct exo_dpy_sound start = {.running = 1, .rate = 48000, .channels = 2};
	union any m = {.pcm = {.bytes = EXO_DPY_PCM_MAX}};
	struct exo_dpy_played p;

	greet();
	put(EXO_DPY_SOUND, &start, sizeof(start), -1);
	put(EXO_DPY_PCM, &m, sizeof(m.pcm) + EXO_DPY_PCM_MAX, -1);
	pump();
	screens_tick(&d, now);
	ck_assert_uint_eq(plays, 1);
	ck_assert(told(EXO_DPY_PLAYED, &p, sizeof(p)));
	ck_assert_uint_eq(p.bytes, EXO_DPY_PCM_MAX);
}
END_TEST

START_TEST(too_much_sound)
{
	struct exo_dpy_sound start = {.running = 1, .rate = 8000, .channels = 1};
	union any m = {.pcm = {.bytes = EXO_DPY_PCM_MAX}};

	greet();
	put(EXO_DPY_SOUND, &start, sizeof(start), -1);
	for (unsigned i = 0; i < 3; i++)
		put(EXO_DPY_PCM, &m, sizeof(m.pcm) + EXO_DPY_PCM_MAX, -1);
	expect_end("23040 bytes at 16000 a second");
}
END_TEST

static Suite *suite(void)
{
	Suite *all = suite_create("screen");
	TCase *t = tcase_create("screen");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, greeting_tells_the_size);
	tcase_add_loop_test(t, bad_greeting, 0, sizeof(greetings) / sizeof(greetings[0]));
	tcase_add_loop_test(t, bad_descriptor, 0, 2);
	tcase_add_loop_test(t, bad_saying, 0, sizeof(sayings) / sizeof(sayings[0]));
	tcase_add_test(t, before_the_greeting);
	tcase_add_loop_test(t, a_lying_header, 0, 3);
	tcase_add_test(t, a_hang_up_is_no_crime);
	tcase_add_test(t, pictures_at_the_edge);
	tcase_add_test(t, damage_is_scaled);
	tcase_add_test(t, cursors_are_copied);
	tcase_add_test(t, answered_with_the_frame);
	tcase_add_test(t, hidden_is_answered_late);
	tcase_add_test(t, unseen_change_is_answered);
	tcase_add_test(t, too_many_unanswered);
	tcase_add_test(t, out_of_order);
	tcase_add_test(t, modes_as_often_as_frames);
	tcase_add_test(t, a_flood_waits);
	tcase_add_test(t, keys_go_together);
	tcase_add_test(t, pointers_say_their_last_place);
	tcase_add_test(t, wheels_fill_notches);
	tcase_add_test(t, fingers);
	tcase_add_test(t, no_key_hangs);
	tcase_add_test(t, sound_nobody_plays_is_played);
	tcase_add_test(t, too_much_sound);
	suite_add_tcase(all, t);
	return all;
}

int main(void)
{
	return unit_run(suite());
}
