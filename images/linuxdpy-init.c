/*
 * PID 1 of a Linux guest with a display: an unmodified distribution kernel as a client of our
 * gpu, inputs and sound (linuxdpy-sound.c). Draws through KMS, in steps that
 * tests/nested/linux_display.py follows from the desktop's side, prints TAP and the steps on the
 * virtio console, and powers off.
 *
 * The kernel's interface is as in drm/drm_mode.h and linux/input.h, which musl's headers do
 * not come with.
 */
#include "linuxdpy.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SCREENS 2
#define INPUTS 4
#define KEY_ESC 1
#define PATIENCE 3000 /* tries, 10 ms apart */

struct card_res {
	uint64_t fbs, crtcs, connectors, encoders;
	uint32_t nfbs, ncrtcs, nconnectors, nencoders;
	uint32_t min_width, max_width, min_height, max_height;
};

struct modeinfo {
	uint32_t clock;
	uint16_t hdisplay, hsync_start, hsync_end, htotal, hskew;
	uint16_t vdisplay, vsync_start, vsync_end, vtotal, vscan;
	uint32_t vrefresh, flags, type;
	char name[32];
};

struct crtc {
	uint64_t connectors;
	uint32_t nconnectors, crtc_id, fb_id, x, y, gamma_size, mode_valid;
	struct modeinfo mode;
};

struct connector {
	uint64_t encoders, modes, props, prop_values;
	uint32_t nmodes, nprops, nencoders;
	uint32_t encoder_id, connector_id, type, type_id;
	uint32_t connection, mm_width, mm_height, subpixel, pad;
};

struct create_dumb {
	uint32_t height, width, bpp, flags, handle, pitch;
	uint64_t size;
};

struct map_dumb {
	uint32_t handle, pad;
	uint64_t offset;
};

struct fb_cmd {
	uint32_t fb_id, width, height, pitch, bpp, depth, handle;
};

struct clip {
	uint16_t x1, y1, x2, y2;
};

struct dirty_cmd {
	uint32_t fb_id, flags, color, nclips;
	uint64_t clips;
};

struct cursor2 {
	uint32_t flags, crtc_id;
	int32_t x, y;
	uint32_t width, height, handle;
	int32_t hot_x, hot_y;
};

struct input_event {
	uint64_t seconds, microseconds;
	uint16_t type, code;
	int32_t value;
};

#define GET_RESOURCES _IOWR('d', 0xa0, struct card_res)
#define SET_CRTC _IOWR('d', 0xa2, struct crtc)
#define GET_CONNECTOR _IOWR('d', 0xa7, struct connector)
#define ADD_FB _IOWR('d', 0xae, struct fb_cmd)
#define DIRTY_FB _IOWR('d', 0xb1, struct dirty_cmd)
#define CREATE_DUMB _IOWR('d', 0xb2, struct create_dumb)
#define MAP_DUMB _IOWR('d', 0xb3, struct map_dumb)
#define CURSOR2 _IOWR('d', 0xbb, struct cursor2)
#define CURSOR_BO 1u

struct buffer {
	uint32_t handle, fb_id, width, height, pitch;
	uint8_t *pixels;
};

static int points, card;
static uint32_t crtcs[SCREENS], connectors[SCREENS];

void point(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++points, name);
}

void step(const char *name)
{
	printf("# step %s\n", name);
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static bool load_modules(void)
{
	char name[96], path[128];
	FILE *order = fopen("/modules/order", "re");
	bool good = order != NULL;

	while (order && fscanf(order, "%95s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		good = fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0 && good;
		if (fd >= 0)
			close(fd);
	}
	if (order)
		fclose(order);
	return good;
}

int open_device(const char *path, int flags)
{
	int fd = -1;

	for (int i = 0; i < PATIENCE && fd < 0; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd < 0)
			nap();
	}
	return fd;
}

/* ---- the display ---------------------------------------------------------------- */

static bool get_resources(void)
{
	uint32_t encoders[SCREENS];
	struct card_res r = {.crtcs = (uintptr_t)crtcs,
			     .connectors = (uintptr_t)connectors,
			     .encoders = (uintptr_t)encoders,
			     .ncrtcs = SCREENS,
			     .nconnectors = SCREENS,
			     .nencoders = SCREENS};

	return !ioctl(card, GET_RESOURCES, &r) && r.ncrtcs == SCREENS && r.nconnectors == SCREENS;
}

/* Asks the device; false: not plugged in. The first mode is the preferred one. */
static bool get_mode(unsigned i, struct modeinfo *mode, uint32_t *mm)
{
	static struct modeinfo modes[64];
	struct connector c = {.connector_id = connectors[i]};

	if (ioctl(card, GET_CONNECTOR, &c) || c.connection != 1)
		return false;
	c = (struct connector){
		.connector_id = connectors[i], .modes = (uintptr_t)modes, .nmodes = 64};
	if (ioctl(card, GET_CONNECTOR, &c) || !c.nmodes)
		return false;
	*mode = modes[0];
	*mm = c.mm_width;
	return true;
}

static bool wait_mode(unsigned i, unsigned width, unsigned height, struct modeinfo *mode)
{
	uint32_t mm;

	for (int n = 0; n < PATIENCE; n++) {
		if (get_mode(i, mode, &mm) && mode->hdisplay == width && mode->vdisplay == height) {
			printf("# screen %u: %ux%u, %u mm, %u Hz\n", i, width, height, mm,
			       mode->vrefresh);
			return true;
		}
		nap();
	}
	return false;
}

static bool make_buffer(struct buffer *b, uint32_t width, uint32_t height, uint32_t depth)
{
	struct create_dumb d = {.width = width, .height = height, .bpp = 32};
	struct map_dumb m = {0};
	struct fb_cmd fb = {.width = width, .height = height, .bpp = 32, .depth = depth};

	if (ioctl(card, CREATE_DUMB, &d))
		return false;
	m.handle = fb.handle = b->handle = d.handle;
	fb.pitch = b->pitch = d.pitch;
	b->width = width;
	b->height = height;
	if (ioctl(card, MAP_DUMB, &m) || ioctl(card, ADD_FB, &fb))
		return false;
	b->fb_id = fb.fb_id;
	b->pixels = mmap(NULL, d.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)m.offset);
	return b->pixels != MAP_FAILED;
}

/* What linux_display.py expects at a place. */
static uint32_t colour(uint32_t x, uint32_t y, uint32_t seed)
{
	return ((x * 3 + seed) & 255) << 16 | ((y * 5) & 255) << 8 | ((x ^ y) & 255);
}

static void draw(struct buffer *b, struct clip c, uint32_t seed)
{
	for (uint32_t y = c.y1; y < c.y2; y++) {
		for (uint32_t x = c.x1; x < c.x2; x++)
			((uint32_t *)(void *)(b->pixels + (size_t)y * b->pitch))[x] =
				colour(x, y, seed);
	}
}

static bool show(unsigned i, struct buffer *b, const struct modeinfo *mode)
{
	struct crtc c = {.connectors = (uintptr_t)&connectors[i],
			 .nconnectors = 1,
			 .crtc_id = crtcs[i],
			 .fb_id = b->fb_id,
			 .mode_valid = 1,
			 .mode = *mode};

	return !ioctl(card, SET_CRTC, &c);
}

static bool dirty(const struct buffer *b, struct clip clip)
{
	struct dirty_cmd d = {.fb_id = b->fb_id, .nclips = 1, .clips = (uintptr_t)&clip};

	return !ioctl(card, DIRTY_FB, &d);
}

/* A whole screen with a picture of that seed. */
static bool screen(unsigned i, struct buffer *b, const struct modeinfo *mode, uint32_t seed)
{
	if (!make_buffer(b, mode->hdisplay, mode->vdisplay, 24))
		return false;
	draw(b, (struct clip){0, 0, mode->hdisplay, mode->vdisplay}, seed);
	return show(i, b, mode);
}

static bool cursor(unsigned i)
{
	struct cursor2 c = {.flags = CURSOR_BO,
			    .crtc_id = crtcs[i],
			    .width = 64,
			    .height = 64,
			    .hot_x = 5,
			    .hot_y = 9};
	struct buffer b;

	if (!make_buffer(&b, 64, 64, 32))
		return false;
	draw(&b, (struct clip){0, 0, 64, 64}, 77);
	c.handle = b.handle;
	return !ioctl(card, CURSOR2, &c);
}

/* ---- the person ---------------------------------------------------------------------- */

static struct {
	int fd;
	char name[64];
} inputs[INPUTS];

/* EVIOCGNAME, EVIOCGPROP, EVIOCGBIT(type), EVIOCGABS(axis) */
#define GET_NAME(bytes) _IOC(_IOC_READ, 'E', 0x06, bytes)
#define GET_PROPERTIES(bytes) _IOC(_IOC_READ, 'E', 0x09, bytes)
#define GET_BITS(type, bytes) _IOC(_IOC_READ, 'E', 0x20 + (type), bytes)
#define GET_AXIS(axis) _IOC(_IOC_READ, 'E', 0x40 + (axis), 6 * sizeof(int32_t))
#define EV_KEY 1
#define EV_ABS 3
#define EV_LED 17
#define EV_MAX 31
#define BITS_BYTES 96 /* of all keys */

static void print_bits(const char *name, const char *what, const uint8_t *bits)
{
	printf("# bits %s %s ", name, what);
	for (int i = BITS_BYTES; i--;)
		printf("%02x", bits[i]);
	printf("\n");
}

/* What the device says of itself. */
static void describe(int fd, const char *name)
{
	uint8_t types[BITS_BYTES] = {0}, bits[BITS_BYTES] = {0};
	char what[8];

	ioctl(fd, GET_PROPERTIES(4), bits);
	print_bits(name, "properties", bits);
	ioctl(fd, GET_BITS(0, 4), types);
	print_bits(name, "0", types);
	for (int type = 1; type <= EV_MAX; type++) {
		memset(bits, 0, sizeof(bits));
		if (!(types[type / 8] >> type % 8 & 1))
			continue;
		ioctl(fd, GET_BITS(type, sizeof(bits)), bits);
		snprintf(what, sizeof(what), "%d", type);
		print_bits(name, what, bits);
		for (int axis = 0; type == EV_ABS && axis < 64; axis++) {
			int32_t a[6]; /* value, minimum, maximum, fuzz, flat, resolution */

			if (bits[axis / 8] >> axis % 8 & 1 && !ioctl(fd, GET_AXIS(axis), a))
				printf("# axis %s %d %d %d\n", name, axis, a[1], a[2]);
		}
	}
}

/* The last word of its name. */
static void open_input(int i)
{
	char path[32], name[64] = "";
	char *last;

	snprintf(path, sizeof(path), "/dev/input/event%d", i);
	inputs[i].fd = open_device(path, O_RDWR);
	ioctl(inputs[i].fd, GET_NAME(sizeof(name) - 1), name);
	printf("# input %d: %s\n", i, name);
	last = strrchr(name, ' ');
	strcpy(inputs[i].name, last ? last + 1 : name);
	describe(inputs[i].fd, inputs[i].name);
}

/* More often than the queue is long: the device must take them. */
static bool blink(int fd)
{
	bool good = true;

	for (int i = 0; i < 200; i++) {
		struct input_event e[2] = {{.type = EV_LED, .code = 1, .value = !(i & 1)}};

		good = write(fd, e, sizeof(e)) == sizeof(e) && good;
	}
	return good;
}

/* Prints what arrives, up to the release of Escape. */
static void read_inputs(void)
{
	for (;;) {
		struct pollfd p[INPUTS];

		for (int i = 0; i < INPUTS; i++)
			p[i] = (struct pollfd){.fd = inputs[i].fd, .events = POLLIN};
		if (poll(p, INPUTS, -1) <= 0)
			return;
		for (int i = 0; i < INPUTS; i++) {
			struct input_event e;

			if (!(p[i].revents & POLLIN) ||
			    read(inputs[i].fd, &e, sizeof(e)) != sizeof(e))
				continue;
			printf("# event %s %d %d %d\n", inputs[i].name, e.type, e.code, e.value);
			if (e.type == EV_KEY && e.code == KEY_ESC && !e.value)
				return;
		}
	}
}

static void run(void)
{
	struct modeinfo mode[SCREENS];
	struct buffer b[3];
	struct clip part = {100, 50, 164, 82};

	card = open_device("/dev/dri/card0", O_RDWR);
	point(card >= 0, "there is a card");
	for (int i = 0; i < INPUTS; i++)
		open_input(i);
	point(blink(inputs[0].fd), "a keyboard's lights");
	point(get_resources(), "it has two screens");
	point(wait_mode(0, 640, 480, &mode[0]), "the first has the size of its window");
	point(!get_mode(1, &mode[1], &(uint32_t){0}), "the other is not plugged in");
	point(screen(0, &b[0], &mode[0], 1), "a picture is shown");
	step("shown");
	point(wait_mode(0, 800, 600, &mode[0]), "the window has a new size");
	point(wait_mode(1, 320, 200, &mode[1]), "another window opens");
	point(screen(0, &b[1], &mode[0], 2) && screen(1, &b[2], &mode[1], 3), "both show pictures");
	draw(&b[1], part, 99);
	point(dirty(&b[1], part), "a part of it changes");
	point(cursor(0), "a cursor");
	step("redrawn");
	read_inputs();
	sound();
}

int main(void)
{
	/* No rootfs but this one. */
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	bool loaded = load_modules();
	int console = open_device("/dev/hvc0", O_RDWR);

	for (int fd = 0; fd < 3 && console >= 0; fd++)
		dup2(console, fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
	point(loaded, "drivers load");
	run();
	printf("1..%d\n", points);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}
