/* expect: exit 3 */
/*
 * A window that shows its size in four colours and prints what happens to it, for tests
 * from outside (tests/e2e/test_window*.sh). Without a display: status 3, as here.
 *
 *	window-events.elf [-c] [-r] [-n WINDOWS] [-a FRAMES]
 *
 * -c: by transfers; -r: every frame is drawn whole; -a: so many frames of a moving square first.
 * Keys: Escape ends it, f asks for a file and reads it, d draws a small square where the pointer
 * is, t changes the title, o opens another window, x closes the last, c has a pointer of its own,
 * n has the desktop's again, b asks for attention, s for a file to be written.
 */
#include <exo_window.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOWS_MAX 16

static struct exo_window *window[WINDOWS_MAX];
static unsigned nwindows, flags;
static int px, py;
static uint32_t pointer[64 * 64];

static void rect(const struct exo_surface *s, int x, int y, int width, int height, uint32_t colour)
{
	for (int row = y; row < y + height; row++)
		for (int col = x; col < x + width; col++)
			if (row >= 0 && col >= 0 && (unsigned)row < s->height &&
			    (unsigned)col < s->width)
				s->pixels[(size_t)row * s->stride + (size_t)col] = colour;
}

/* Red, green, blue and white quarters, with a grey square whose shade is the window's number. */
static void draw_all(struct exo_window *w)
{
	struct exo_surface s = exo_window_begin(w);
	int cx = (int)s.width / 2, cy = (int)s.height / 2;
	uint32_t shade = 0x40 + 16 * exo_window_scanout(w);

	rect(&s, 0, 0, cx, cy, 0xff0000);
	rect(&s, cx, 0, (int)s.width - cx, cy, 0x00ff00);
	rect(&s, 0, cy, cx, (int)s.height - cy, 0x0000ff);
	rect(&s, cx, cy, (int)s.width - cx, (int)s.height - cy, 0xffffff);
	rect(&s, cx - 10, cy - 10, 20, 20, shade << 16 | shade << 8 | shade);
	exo_window_damage(w, 0, 0, (int)s.width, (int)s.height);
	if (exo_window_present(w))
		printf("present: %s\n", strerror(errno));
}

static void draw_spot(struct exo_window *w, int x, int y)
{
	struct exo_surface s;

	if (flags & EXO_WINDOW_REDRAWS)
		draw_all(w);
	s = exo_window_begin(w);
	rect(&s, x - 4, y - 4, 8, 8, 0x123456);
	exo_window_damage(w, x - 4, y - 4, 8, 8);
	if (exo_window_present(w))
		printf("present: %s\n", strerror(errno));
}

static int open_window(void)
{
	char title[32];
	unsigned width, height;
	struct exo_window *w;

	snprintf(title, sizeof(title), "window %u", nwindows);
	w = exo_window_open(title, flags);
	if (!w) {
		printf("no window: %s\n", strerror(errno));
		return -1;
	}
	window[nwindows++] = w;
	exo_window_size(w, &width, &height);
	draw_all(w);
	printf("window %u %ux%u scale %u %s\n", exo_window_scanout(w), width, height,
	       exo_window_scale(w), exo_window_path(w));
	return 0;
}

static void read_file(const struct exo_event *e)
{
	char text[64] = "";
	FILE *f;

	if (e->file.error) {
		printf("file %u: %s\n", e->file.id, strerror(e->file.error));
		return;
	}
	f = fopen(e->file.path, e->file.rights & 2 ? "r+" : "r");
	if (!f && e->file.rights & 2)
		f = fopen(e->file.path, "w+");
	if (!f) {
		printf("file %s: %s\n", e->file.name, strerror(errno));
		return;
	}
	if (fgets(text, sizeof(text), f))
		text[strcspn(text, "\n")] = 0;
	if (e->file.rights & 2) {
		fseek(f, 0, SEEK_END);
		fputs("written by the guest\n", f);
	}
	printf("file %s rights %u: %s\n", e->file.name, e->file.rights, text);
	fclose(f);
}

static void on_key(const struct exo_event *e)
{
	struct exo_window *w = window[e->scanout];

	if (!e->key.down || e->key.repeat)
		return;
	switch (e->key.code) {
	case KEY_F:
		if (exo_window_choose(w, 1, false, "notes.txt") < 0)
			printf("choose: %s\n", strerror(errno));
		break;
	case KEY_S:
		if (exo_window_choose(w, 3, true, "new.txt") < 0)
			printf("choose: %s\n", strerror(errno));
		break;
	case KEY_D:
		draw_spot(w, px, py);
		break;
	case KEY_T:
		printf("title: %s\n", exo_window_title(w, "new title") ? strerror(errno) : "ok");
		break;
	case KEY_O:
		open_window();
		break;
	case KEY_X:
		exo_window_close(window[--nwindows]);
		window[nwindows] = NULL;
		printf("closed %u\n", nwindows);
		break;
	case KEY_B:
		printf("attention: %s\n", exo_window_attention(w) ? strerror(errno) : "ok");
		break;
	case KEY_C:
		for (int i = 0; i < 64 * 64; i++)
			pointer[i] = i / 64 < 8 && i % 64 < 8 ? 0xff00ffff : 0;
		printf("cursor: %s\n",
		       exo_window_cursor(w, pointer, 3, 4) ? strerror(errno) : "ok");
		break;
	case KEY_N:
		printf("cursor: %s\n", exo_window_cursor(w, NULL, 0, 0) ? strerror(errno) : "ok");
		break;
	case KEY_ESC:
		printf("bye\n");
		exit(0);
	}
}

static void print(const struct exo_event *e)
{
	printf("%u ", e->scanout);
	switch (e->type) {
	case EXO_EVENT_KEY:
		printf("key %u %s mods %u symbol %u text '%s'\n", e->key.code,
		       e->key.repeat ? "repeat"
		       : e->key.down ? "down"
				     : "up",
		       e->key.modifiers, e->key.symbol, e->key.text);
		break;
	case EXO_EVENT_POINTER:
		px = e->pointer.x;
		py = e->pointer.y;
		printf("pointer %d,%d buttons %u\n", px, py, e->pointer.buttons);
		break;
	case EXO_EVENT_BUTTON:
		printf("button %u %s at %d,%d\n", e->button.code, e->button.down ? "down" : "up",
		       e->button.x, e->button.y);
		break;
	case EXO_EVENT_WHEEL:
		printf("wheel %d,%d\n", e->wheel.dx, e->wheel.dy);
		break;
	case EXO_EVENT_TOUCH:
		printf("touch %u phase %d at %d,%d\n", e->touch.slot, e->touch.phase, e->touch.x,
		       e->touch.y);
		break;
	case EXO_EVENT_MOTION:
		printf("motion %d,%d\n", e->motion.dx, e->motion.dy);
		break;
	case EXO_EVENT_RESIZE:
		printf("resize %ux%u\n", e->resize.width, e->resize.height);
		break;
	case EXO_EVENT_FOCUS:
		printf("focus %d\n", e->focus.there);
		break;
	case EXO_EVENT_FRAME:
		printf("frame\n");
		break;
	case EXO_EVENT_SETTINGS:
		printf("settings scale %u %s %s\n", exo_window_scale(window[e->scanout]),
		       exo_window_dark(window[e->scanout]) ? "dark" : "light",
		       exo_window_layout(window[e->scanout]));
		break;
	case EXO_EVENT_COPY:
		printf("copy %u\n", e->copy.id);
		break;
	case EXO_EVENT_PASTE:
		printf("paste %u: %.32s, %zu bytes\n", e->paste.format, (const char *)e->paste.data,
		       e->paste.bytes);
		break;
	case EXO_EVENT_CHOSEN:
	case EXO_EVENT_DROPPED:
		printf("%s\n", e->type == EXO_EVENT_CHOSEN ? "chosen" : "dropped");
		break;
	case EXO_EVENT_CLOSE:
		printf("close\n");
		break;
	case EXO_EVENT_NONE:
		printf("nothing\n");
		break;
	}
}

static void on_event(const struct exo_event *e)
{
	static const char copied[] = "from the guest";

	print(e);
	if (e->type == EXO_EVENT_KEY)
		on_key(e);
	else if (e->type == EXO_EVENT_RESIZE)
		draw_all(window[e->scanout]);
	else if (e->type == EXO_EVENT_COPY)
		exo_window_copy(window[e->scanout], e->copy.id, 1, copied, sizeof(copied) - 1);
	else if (e->type == EXO_EVENT_CHOSEN || e->type == EXO_EVENT_DROPPED)
		read_file(e);
}

/* A square goes over the window, a step a frame that was seen. */
static void animate(unsigned frames)
{
	struct exo_event e;

	for (unsigned i = 0; i < frames; i++) {
		draw_spot(window[0], (int)(i * 3 % 200), 20);
		do {
			if (exo_window_next(window[0], &e, -1) != 1)
				exit(4);
			if (e.type != EXO_EVENT_FRAME)
				on_event(&e);
		} while (e.type != EXO_EVENT_FRAME);
	}
	printf("animated %u\n", frames);
}

int main(int argc, char **argv)
{
	unsigned windows = 1, frames = 0;
	struct exo_event e;
	int c;

	while ((c = getopt(argc, argv, "crn:a:")) != -1) {
		if (c == 'c')
			flags |= EXO_WINDOW_COPY;
		else if (c == 'r')
			flags |= EXO_WINDOW_REDRAWS;
		else if (c == 'n')
			windows = (unsigned)atoi(optarg);
		else if (c == 'a')
			frames = (unsigned)atoi(optarg);
		else
			return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (nwindows < windows)
		if (open_window())
			return errno == ENODEV ? 3 : 5;
	if (frames)
		animate(frames);
	while (exo_window_next(window[0], &e, -1) == 1)
		on_event(&e);
	return 4;
}
