/* expect: exit 3 */
/*
 * Prints keys and buttons as its devices report them, without the help of exo_window.h, which
 * would hide what is said twice; for tests from outside (tests/e2e/desktop_guests.py). Without a
 * display: status 3, as here.
 *
 *	desk-input.elf [-d] [-c #RRGGBB] [-n WINDOWS]
 *
 * -d: it reads no input at all. -c: the colour of its windows. Escape ends it with 0, F11 with 7,
 *F12 by a crash; F10: it reads nothing more.
 */
#include <exo_devices.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH 160
#define HEIGHT 120

static void show(int display, unsigned scanout, uint32_t colour)
{
	struct exo_display_picture p = {.width = WIDTH, .height = HEIGHT};
	struct exo_display_present now = {
		.scanout = scanout, .sequence = 1, .width = WIDTH, .height = HEIGHT};

	if (ioctl(display, (int)EXO_DISPLAY_CREATE, &p)) {
		printf("no picture: %s\n", strerror(errno));
		exit(4);
	}
	for (unsigned y = 0; y < HEIGHT; y++)
		for (unsigned x = 0; x < WIDTH; x++)
			p.pixels[y * (p.stride / 4) + x] = colour;
	now.id = p.id;
	while (ioctl(display, (int)EXO_DISPLAY_PRESENT, &now) && errno == EAGAIN)
		usleep(1000);
}

static void deaf(void)
{
	printf("deaf\n");
	fflush(stdout);
	for (;;)
		pause();
}

static void on_key(unsigned code)
{
	switch (code) {
	case KEY_ESC:
		exit(0);
	case KEY_F10:
		deaf();
		break;
	case KEY_F11:
		exit(7);
	case KEY_F12:
		fflush(stdout);
		__builtin_trap();
	default:
		break;
	}
}

int main(int argc, char **argv)
{
	unsigned windows = 1;
	uint32_t colour = 0x808080;
	struct exo_input_event e[32];
	bool hears = true;
	int display, input, c;
	ssize_t n;

	while ((c = getopt(argc, argv, "dc:n:")) != -1) {
		if (c == 'd')
			hears = false;
		else if (c == 'c')
			colour = (uint32_t)strtoul(optarg + 1, NULL, 16);
		else if (c == 'n')
			windows = (unsigned)atoi(optarg);
		else
			return 2;
	}
	setvbuf(stdout, NULL, _IOFBF, 65536);
	display = open(EXO_DISPLAY_PATH, O_RDWR);
	if (display < 0)
		return 3;
	input = open(EXO_INPUT_PATH, O_RDONLY | O_NONBLOCK);
	for (unsigned i = 0; i < windows; i++)
		show(display, i, colour);
	if (!hears)
		deaf();
	for (;;) {
		struct pollfd p = {.fd = input, .events = POLLIN};

		n = read(input, e, sizeof(e));
		if (n <= 0) { /* printing takes its time: not while there is more */
			fflush(stdout);
			if (n == 0 || errno != EAGAIN || poll(&p, 1, -1) < 0)
				return 5;
			continue;
		}
		for (size_t i = 0; i < (size_t)n / sizeof(e[0]); i++) {
			if (e[i].type != EV_KEY)
				continue;
			printf("0 %s %u %s\n", e[i].code >= BTN_MISC ? "button" : "key", e[i].code,
			       e[i].value ? "down" : "up");
			if (e[i].value)
				on_key(e[i].code);
		}
	}
}
