/*
 * Fuzzes the desktop's side of a guest's display connection (hostile-guests H-34). The input is a
 * program of operations: messages of a VMM (well-formed unless a rare byte says
 * otherwise), what a person does in the windows, frames, time, a VMM that reads or does not.
 *
 * Oracles: a VMM that said nothing wrong is not ended, and one that is is ended once; every
 * picture lies in its memory, and so does what is read of it; damage lies in its window;
 * what the VMM is told decodes, a PRESENTED names what was flushed, reports are
 * whole; no descriptor is left open; the sanitizers agree.
 */
#include "desktop.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/input-event-codes.h>

#define MEMORY (1u << 20)
#define SCANOUTS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *in;
static size_t left;
static struct desktop d;
static struct dguest g;
static uint64_t now;
static int vmm, memory;
static unsigned kills;
static bool hostile, greeted;
static struct {
	uint32_t width, height, sequence, answered;
	bool flushed;
	int content_width, content_height;
} model[SCANOUTS];

static uint32_t bits(unsigned bytes)
{
	uint32_t n = 0;

	while (bytes-- && left) {
		n = n << 8 | *in++;
		left--;
	}
	return n;
}

/* True about once in 256 on random input. */
static bool rare(void)
{
	bool is = left && bits(1) == 0x5a;

	hostile = hostile || is;
	return is;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "oracle: %s\n", what);
	abort();
}

/* ---- stand-ins ---------------------------------------------------------------------- */

uint64_t desktop_now(const struct desktop *desktop)
{
	return now;
}

void desktop_wake_at(struct desktop *desktop, uint64_t when_ns) {}

void notice(struct desktop *desktop, uint32_t colour, const char *format, ...) {}

void guests_kill(struct desktop *desktop, const char *name)
{
	kills++;
}

void guests_screen_gone(struct dguest *guest)
{
	screen_destroy(guest->screen);
	guest->screen = NULL;
}

void guests_window_changed(struct dguest *guest, unsigned scanout)
{
	struct canvas c;
	uint32_t format;

	guest->window[scanout] =
		screen_picture(guest->screen, scanout, &c, &format) ? 1 + scanout : 0;
}

/* Drawn in its turn: this decides that a frame has what was damaged. */
void hid_damage(struct hid *h, hid_id id, const struct hid_rect *r)
{
	must(id >= 1 && id <= SCANOUTS, "damage of a window that is there");
	must(r->x >= 0 && r->y >= 0 && r->width >= 0 && r->height >= 0, "damage is a rectangle");
	must(r->x + r->width <= model[id - 1].content_width &&
		     r->y + r->height <= model[id - 1].content_height,
	     "damage is in the window");
}

uint64_t hid_frame_due(const struct hid *h, uint64_t now_ns)
{
	return UINT64_MAX;
}

struct audio_stream *audio_play(struct desktop *desktop, uint32_t rate, uint32_t channels,
				audio_played_fn *played, void *opaque)
{
	must(rate >= 8000 && rate <= 96000 && channels >= 1 && channels <= 2, "sound is checked");
	return NULL;
}

bool audio_write(struct audio_stream *st, const void *data, uint32_t bytes)
{
	volatile uint8_t sum = 0;

	for (uint32_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
	return false;
}

void audio_stop(struct audio_stream *st) {}

void audio_capture_wanted(struct dguest *guest, uint32_t rate, uint32_t channels) {}

void audio_capture_stop(struct dguest *guest) {}

/* ---- the VMM ----------------------------------------------------------------------------- */

static void put(uint32_t type, void *msg, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {{0}};
	struct iovec iov = {msg, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	*(struct exo_dpy_header *)msg =
		(struct exo_dpy_header){EXO_DPY_MAGIC, type, (uint32_t)len, 0};
	if (rare())
		((uint8_t *)msg)[bits(2) % len] = (uint8_t)bits(1);
	if (rare())
		iov.iov_len = bits(2) % len + 1;
	if (rare())
		fd = memory;
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	(void)!sendmsg(vmm, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void say_hello(void)
{
	struct exo_dpy_hello m = {.picture_bytes = MEMORY, .scanouts = SCANOUTS, .inputs = 63};

	if (greeted)
		hostile = true;
	greeted = true;
	put(EXO_DPY_HELLO, &m, sizeof(m), memory);
}

static void say_scanout(void)
{
	uint32_t i = bits(1) % SCANOUTS;
	struct exo_dpy_scanout m = {.scanout = i, .format = 1 + bits(1) % 3};

	m.width = bits(1);
	m.height = bits(1) + 1;
	m.stride = m.width * 4 + bits(1) * 4;
	m.offset = bits(2) * 4;
	if (m.offset + (uint64_t)m.stride * m.height > MEMORY)
		m.offset = 0;
	if (rare())
		m.offset = (uint64_t)bits(4) << 32 | bits(4);
	if (rare())
		m.stride = bits(4);
	if (rare())
		m.height = bits(4);
	hostile = hostile || !greeted || (uint64_t)m.stride * m.height > MEMORY;
	model[i].width = m.width;
	model[i].height = m.height;
	put(EXO_DPY_SCANOUT, &m, sizeof(m), -1);
}

static void say_flush(void)
{
	uint32_t i = bits(1) % SCANOUTS;
	struct exo_dpy_flush m = {.scanout = i, .x = bits(1), .y = bits(1)};

	if (!model[i].width || model[i].sequence - model[i].answered >= EXO_DPY_FLUSHES_MAX)
		return;
	m.x %= model[i].width;
	m.y %= model[i].height;
	m.width = bits(1) % (model[i].width - m.x + 1);
	m.height = bits(1) % (model[i].height - m.y + 1);
	m.sequence = ++model[i].sequence;
	model[i].flushed = true;
	if (rare())
		m.width = bits(4);
	if (rare())
		m.sequence += bits(2);
	put(EXO_DPY_FLUSH, &m, sizeof(m), -1);
}

static void say_cursor(void)
{
	struct exo_dpy_cursor m = {.scanout = bits(1) % SCANOUTS,
				   .visible = bits(1) & 1,
				   .hot_x = bits(1) % 64,
				   .hot_y = bits(1) % 64,
				   .offset = bits(2) * 4};

	if (rare())
		m.offset = (uint64_t)bits(4) << 32 | bits(4);
	hostile = hostile || !greeted;
	put(EXO_DPY_CURSOR, &m, sizeof(m), -1);
}

static void say_sound(void)
{
	struct exo_dpy_sound m = {.stream = bits(1) & 1, .running = bits(1) & 1};
	union {
		struct exo_dpy_pcm pcm;
		uint8_t bytes[EXO_DPY_MSG_MAX];
	} p = {{{0}}};

	m.rate = 8000 + bits(2);
	m.channels = 1 + (bits(1) & 1);
	hostile = hostile || !greeted;
	put(EXO_DPY_SOUND, &m, sizeof(m), -1);
	p.pcm.bytes = 4 * (1 + bits(1));
	put(EXO_DPY_PCM, &p, sizeof(p.pcm) + p.pcm.bytes, -1);
}

static void check_input(const struct exo_dpy_input *m, size_t n)
{
	must(m->device < EXO_DPY_DEVICES && m->scanout < SCANOUTS, "input of a device");
	must(m->count && m->count <= EXO_DPY_EVENTS_MAX, "input's count");
	must(n == sizeof(*m) + m->count * sizeof(m->event[0]), "input's size");
	must(m->event[m->count - 1].type == EV_SYN, "input by whole reports");
}

static void check_presented(const struct exo_dpy_presented *m, size_t n)
{
	must(n == sizeof(*m) && m->scanout < SCANOUTS, "presented");
	if (!hostile)
		must(model[m->scanout].flushed &&
			     model[m->scanout].sequence - m->sequence < EXO_DPY_FLUSHES_MAX,
		     "presented is what was flushed");
	model[m->scanout].answered = m->sequence;
}

static void read_all(void)
{
	union {
		struct exo_dpy_header h;
		struct exo_dpy_mode mode;
		struct exo_dpy_input input;
		struct exo_dpy_presented presented;
		uint8_t bytes[EXO_DPY_MSG_MAX];
	} m;
	ssize_t n;

	while ((n = recv(vmm, &m, sizeof(m), MSG_DONTWAIT)) > 0) {
		must((size_t)n >= sizeof(m.h) && m.h.magic == EXO_DPY_MAGIC &&
			     m.h.size == (size_t)n,
		     "a header");
		if (m.h.type == EXO_DPY_INPUT)
			check_input(&m.input, (size_t)n);
		else if (m.h.type == EXO_DPY_PRESENTED)
			check_presented(&m.presented, (size_t)n);
		else if (m.h.type == EXO_DPY_MODE)
			must((size_t)n == sizeof(m.mode) && m.mode.width <= EXO_DPY_SIZE_MAX &&
				     !m.mode.width == !m.mode.height,
			     "a mode");
	}
}

/* ---- the person ----------------------------------------------------------------------------- */

static void do_something(struct screen *s)
{
	unsigned scanout = bits(1) % (SCANOUTS + 1), what = bits(1) % 7, n;

	switch (what) {
	case 0:
		screen_key(s, scanout, (uint16_t)(bits(2) % HID_KEYS_MAX), bits(1) & 1);
		return;
	case 1:
		for (n = bits(1); n; n--)
			screen_pointer(s, scanout, (int)n, -(int)n);
		return;
	case 2:
		screen_button(s, scanout, (uint16_t)(BTN_LEFT + bits(1) % 9), bits(1) & 1);
		return;
	case 3:
		screen_wheel(s, scanout, (int)bits(4), (int)bits(4));
		return;
	case 4:
		screen_touch(s, scanout, bits(1) % 18, bits(1) % 4, (int)bits(2), (int)bits(2));
		return;
	default:
		if (scanout < SCANOUTS) {
			model[scanout].content_width = (int)bits(2) % 3000;
			model[scanout].content_height = (int)bits(2) % 3000;
			screen_configure(s, scanout, model[scanout].content_width,
					 model[scanout].content_height, bits(1) & 1);
		}
	}
}

/* As the compositor: the corners of all pictures. */
static void look(struct screen *s)
{
	for (unsigned i = 0; i < SCANOUTS + 1; i++) {
		volatile uint32_t pixel;
		struct canvas c;
		uint32_t format;

		if (!screen_picture(s, i, &c, &format))
			continue;
		must(c.width > 0 && c.height > 0 && c.stride >= c.width, "a picture's size");
		pixel = c.pixels[0];
		pixel = c.pixels[(size_t)(c.height - 1) * (size_t)c.stride + (size_t)(c.width - 1)];
		(void)pixel;
	}
}

static void settle(void)
{
	for (unsigned i = 0; i < 4 && g.screen; i++) {
		loop_timer(&d.loop, 1);
		must(loop_run_once(&d.loop) == 0, "the loop goes on");
	}
	must(kills <= 1, "ended once");
	must(hostile || !kills, "who did nothing wrong is not ended");
}

static void step(void)
{
	switch (bits(1) % 9) {
	case 0:
		if (!greeted || rare())
			say_hello();
		break;
	case 1:
		say_scanout();
		break;
	case 2:
	case 3:
		say_flush();
		break;
	case 4:
		say_cursor();
		break;
	case 5:
		say_sound();
		break;
	case 6:
		if (g.screen)
			do_something(g.screen);
		break;
	case 7:
		now += bits(2) * 100000ull;
		screens_presented(&d, now);
		screens_tick(&d, now);
		break;
	default:
		read_all();
	}
	settle();
	if (g.screen)
		look(g.screen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], before = dup(0), after;

	close(before);
	in = data;
	left = size;
	now = 1000000000000ull;
	kills = 0;
	hostile = greeted = false;
	memset(&d, 0, sizeof(d));
	memset(&g, 0, sizeof(g));
	memset(model, 0, sizeof(model));
	d.guests = &g;
	d.scale = EXO_DPY_SCALE_ONE;
	g.desktop = &d;
	must(loop_init(&d.loop) == 0 &&
		     socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0,
	     "begin");
	vmm = pair[1];
	memory = memfd_create("picture", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	must(ftruncate(memory, MEMORY) == 0 &&
		     fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0,
	     "memory");
	model[0].content_width = 640;
	model[0].content_height = 480;
	g.screen = screen_create(&g, pair[0], SCANOUTS, 640, 480);
	must(g.screen != NULL, "a screen");
	while (left && g.screen)
		step();
	screen_destroy(g.screen);
	close(vmm);
	close(memory);
	loop_finish(&d.loop);
	after = dup(0);
	close(after);
	must(before == after, "no descriptor is left");
	return 0;
}
