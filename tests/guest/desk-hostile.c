/* expect: exit 3 */
/*
 * A guest that does to the desktop what it can, for tests from outside
 * (tests/e2e/desktop_hostile.py). Without a display: status 3, as here.
 *
 *	desk-hostile.elf WHAT
 *
 * open: opens and closes windows. sizes: its picture is of another size each time. flush: frames in
 * all its windows, waiting for none. churn: titles, cursors, pictures, attention. choose: the file
 * chooser a thousand times. talk: as many messages to the service as fit. fake: what looks like
 * the shell's strip and frame, in the window and as its cursor, with a title to match (with the
 * key L one of 10 KiB). It says
 * "begins" once its window was seen, and goes on for ever, but for choose and fake: those say
 * "done".
 */
#include <exo/desktop.h>
#include <exo.h>
#include <exo_channel.h>
#include <exo_devices.h>
#include <exo_window.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define WINDOWS 8
#define CHOOSERS 1000
#define STRIP 24
#define FAKE 0xff00ff00u

static void draw(struct exo_window *w, uint32_t colour)
{
	struct exo_surface s = exo_window_begin(w);

	for (unsigned y = 0; y < s.height; y++)
		for (unsigned x = 0; x < s.width; x++)
			s.pixels[(size_t)y * s.stride + x] = colour;
	exo_window_damage(w, 0, 0, (int)s.width, (int)s.height);
	exo_window_present(w);
}

/* Takes what has come; until a frame was seen if asked. */
static void take(struct exo_window *w, bool frame)
{
	struct exo_event e;

	while (exo_window_next(w, &e, frame ? -1 : 0) == 1)
		if (frame && e.type == EXO_EVENT_FRAME)
			return;
}

static struct exo_window *begin(const char *title)
{
	struct exo_window *w = exo_window_open(title, 0);

	if (!w)
		exit(errno == ENODEV ? 3 : 4);
	draw(w, 0x800000);
	take(w, true);
	printf("begins\n");
	return w;
}

static void opens(void)
{
	struct exo_window *w = begin("open"), *other[WINDOWS];

	for (unsigned round = 1;; round++) {
		unsigned n = 0;

		while (n < WINDOWS - 1 && (other[n] = exo_window_open("new", 0)))
			draw(other[n++], 0x008000);
		take(w, false);
		usleep(3000);
		while (n)
			exo_window_close(other[--n]);
		if (round % 10 == 0)
			printf("rounds %u\n", round);
		usleep(1000);
	}
}

/* Without exo_window.h: pictures of any size, without a look at what was asked for. */
static void sizes(void)
{
	int display = open(EXO_DISPLAY_PATH, O_RDWR);
	unsigned seed = 1;

	if (display < 0)
		exit(3);
	for (unsigned round = 0;; round++) {
		struct exo_display_picture p = {.width = 1 + seed % 900,
						.height = 1 + seed / 7 % 700};
		struct exo_display_present now = {
			.sequence = round, .width = p.width, .height = p.height};

		seed = seed * 1103515245u + 12345u;
		if (ioctl(display, (int)EXO_DISPLAY_CREATE, &p))
			exit(4);
		now.id = p.id;
		while (ioctl(display, (int)EXO_DISPLAY_PRESENT, &now) && errno == EAGAIN)
			usleep(1000);
		usleep(1000);
		ioctl(display, (int)EXO_DISPLAY_DESTROY, (unsigned long)p.id);
		if (round % 100 == 0)
			printf(round ? "rounds %u\n" : "begins\n", round);
	}
}

static void flush(void)
{
	struct exo_window *w[WINDOWS];
	unsigned n = 1;

	w[0] = begin("flush");
	while (n < WINDOWS && (w[n] = exo_window_open("flush", 0)))
		n++;
	for (uint32_t colour = 0;; colour += 0x10305) {
		for (unsigned i = 0; i < n; i++)
			draw(w[i], colour & 0xffffff);
		take(w[0], false);
	}
}

static void churn(void)
{
	struct exo_window *w = begin("churn"), *other;
	static uint32_t cursor[64 * 64];
	char title[300];

	for (unsigned round = 0;; round++) {
		snprintf(title, sizeof(title), "%u %0*u", round, (int)(round % 250), 0u);
		exo_window_title(w, title);
		cursor[round % 4096] = 0xff000000u | round;
		exo_window_cursor(w, round % 3 ? cursor : NULL, round % 64, round / 64 % 64);
		exo_window_attention(w);
		other = exo_window_open(title, 0);
		if (other) {
			draw(other, round);
			exo_window_close(other);
		}
		draw(w, round);
		take(w, false);
	}
}

static void choose(void)
{
	struct exo_window *w = begin("choose");
	unsigned asked = 0, answered = 0, refused = 0;
	struct exo_event e;

	usleep(200000); /* the service is there */
	while (asked < CHOOSERS) {
		if (exo_window_choose(w, 3, asked % 2, "x.txt") >= 0)
			asked++;
		else if (errno != ENOTCONN && errno != EAGAIN && refused++ > CHOOSERS)
			break;
		while (exo_window_next(w, &e, 0) == 1)
			answered += e.type == EXO_EVENT_CHOSEN;
	}
	printf("done: asked %u\n", asked);
	while (exo_window_next(w, &e, -1) == 1) {
		answered += e.type == EXO_EVENT_CHOSEN;
		if (e.type == EXO_EVENT_CHOSEN)
			printf("answered %u: %s\n", answered, strerror(e.file.error));
	}
}

static void talk(void)
{
	struct exo_window *w = begin("talk");
	static char data[EXO_DESK_TEXT_MAX + 1];

	memset(data, 'x', EXO_DESK_TEXT_MAX);
	for (unsigned round = 0;; round++) {
		exo_window_copy(w, round, EXO_DESK_TEXT, data, EXO_DESK_TEXT_MAX);
		exo_window_title(w, round % 2 ? data : "short");
		exo_window_attention(w);
		take(w, false);
	}
}

static void fake_picture(struct exo_window *w)
{
	struct exo_surface s = exo_window_begin(w);

	for (unsigned y = 0; y < s.height; y++)
		for (unsigned x = 0; x < s.width; x++) {
			bool edge = x < 2 || y < STRIP || x + 2 >= s.width || y + 2 >= s.height;

			s.pixels[(size_t)y * s.stride + x] = edge ? FAKE : 0x303030;
		}
	exo_window_damage(w, 0, 0, (int)s.width, (int)s.height);
	exo_window_present(w);
}

/* A connection of its own to the service: exo_window.h would refuse to say these. */
static int talk_to(void)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST};
	int fd;

	a.svm_port = (unsigned)exo_slot(EXO_DESK_SERVICE);
	for (;;) {
		fd = socket(AF_VSOCK, SOCK_SEQPACKET, 0);
		if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		close(fd);
		usleep(100000);
	}
}

static void say_title(int fd, const char *title, size_t bytes)
{
	struct exo_desk_msg h = {.type = EXO_DESK_TITLE, .bytes = (uint32_t)bytes};
	struct iovec iov[] = {{&h, sizeof(h)}, {(void *)(uintptr_t)title, bytes}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		printf("title: %s\n", strerror(errno));
}

static void fake(void)
{
	static const char odd[] = "a\n\033[31mb\001\177\342\200\256live\342\200\254\342\200\213\r"
				  "\"] trusted";
	struct exo_window *w = begin("fake");
	static uint32_t cursor[64 * 64];
	static char title[10240];
	struct exo_event e;
	int fd;

	for (unsigned i = 0; i < 64 * 64; i++)
		cursor[i] = FAKE;
	exo_window_cursor(w, cursor, 0, 63);
	fake_picture(w);
	fd = talk_to();
	say_title(fd, odd, sizeof(odd) - 1);
	printf("done\n");
	while (exo_window_next(w, &e, -1) == 1) {
		if (e.type == EXO_EVENT_KEY && e.key.down && e.key.code == KEY_L) {
			memset(title, 'T', sizeof(title));
			say_title(fd, title, sizeof(title));
		}
		if (e.type == EXO_EVENT_RESIZE) {
			fake_picture(w);
			printf("size %ux%u\n", e.resize.width, e.resize.height);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = {{"open", opens},    {"sizes", sizes}, {"flush", flush}, {"churn", churn},
		   {"choose", choose}, {"talk", talk},   {"fake", fake}};
	const char *what = argc > 1 ? argv[1] : "fake";

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i].name, what))
			all[i].run();
	return 2;
}
