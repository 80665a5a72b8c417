/* Windows: opening, closing, what is known of them (exo_window.h). */
#include "window_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define WIDTH_DEFAULT 640
#define HEIGHT_DEFAULT 480

/* Where the next window of a scanout goes on counting its frames. */
static uint32_t frames[GUI_WINDOWS_MAX];

struct gui gui = {.display = -1, .input = -1, .epoll = -1, .timer = -1, .desk = -1};

uint64_t gui_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int watch(int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(gui.epoll, EPOLL_CTL_ADD, fd, &e);
}

static void stop(void)
{
	int err = errno;

	gui_desk_close();
	shut(&gui.timer);
	shut(&gui.epoll);
	shut(&gui.input);
	shut(&gui.display);
	free(gui.dropped);
	gui.dropped = NULL;
	for (; gui.count; gui.count--, gui.first = (gui.first + 1) % GUI_EVENTS)
		if (gui.event[gui.first].type == EXO_EVENT_PASTE)
			free((void *)(uintptr_t)gui.event[gui.first].paste.data);
	errno = err;
}

static int start(void)
{
	const unsigned files = gui.files; /* their names stay */

	memset(&gui, 0, sizeof(gui));
	gui.files = files;
	gui.input = gui.timer = gui.epoll = gui.desk = -1;
	gui.repeat_ns = gui.timer_ns = gui.desk_due_ns = GUI_NEVER;
	strcpy(gui.layout, "us");
	gui.display = open(EXO_DISPLAY_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (gui.display < 0) {
		if (errno == ENOENT) /* Linux */
			errno = ENODEV;
		return -1;
	}
	ioctl(gui.display, (int)EXO_DISPLAY_INFO, &gui.info);
	gui.input = open(EXO_INPUT_PATH, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* or none */
	gui.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	gui.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (gui.timer < 0 || gui.epoll < 0 || watch(gui.display) || watch(gui.timer) ||
	    (gui.input >= 0 && watch(gui.input))) {
		stop();
		return -1;
	}
	gui_input_start();
	return 0;
}

static struct exo_window *create(unsigned scanout, const char *title, unsigned flags)
{
	struct exo_window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->scanout = scanout;
	w->flags = flags;
	w->front = -1;
	w->sent = w->seen = frames[scanout];
	w->mode.scanout = scanout;
	strncpy(w->title, title ? title : "", sizeof(w->title) - 1);
	ioctl(gui.display, (int)EXO_DISPLAY_MODE, &w->mode);
	w->was_there = w->mode.there;
	if (!w->mode.width || !w->mode.height) {
		w->mode.width = WIDTH_DEFAULT;
		w->mode.height = HEIGHT_DEFAULT;
	}
	return w;
}

struct exo_window *exo_window_open(const char *title, unsigned flags)
{
	unsigned scanout = 0;
	struct exo_window *w = NULL;

	if (gui.users == 0 && start())
		return NULL;
	while (scanout < GUI_WINDOWS_MAX && gui.window[scanout])
		scanout++;
	if (scanout >= gui.info.scanouts || scanout == GUI_WINDOWS_MAX)
		errno = ENOSPC;
	else
		w = create(scanout, title, flags);
	if (!w) {
		if (gui.users == 0)
			stop();
		return NULL;
	}
	gui.window[scanout] = w;
	if (gui.users++ == 0)
		gui_desk_open();
	w->focused = gui.desk < 0 && scanout == 0;
	gui_desk_title(w);
	return w;
}

/* What waits of a window that is not there any more is not to be told. */
static void forget(unsigned scanout)
{
	for (unsigned i = 0; i < gui.count; i++) {
		struct exo_event *e = &gui.event[(gui.first + i) % GUI_EVENTS];

		if (e->scanout != scanout)
			continue;
		if (e->type == EXO_EVENT_PASTE)
			free((void *)(uintptr_t)e->paste.data);
		e->type = EXO_EVENT_NONE;
	}
}

void exo_window_close(struct exo_window *w)
{
	if (!w)
		return;
	gui_pictures_free(w);
	frames[w->scanout] = w->sent;
	gui.window[w->scanout] = NULL;
	forget(w->scanout);
	if (gui.repeated.scanout == w->scanout)
		gui_repeat_stop();
	free(w);
	if (--gui.users == 0)
		stop();
}

unsigned exo_window_scanout(const struct exo_window *w)
{
	return w->scanout;
}

void exo_window_size(const struct exo_window *w, unsigned *width, unsigned *height)
{
	*width = w->mode.width;
	*height = w->mode.height;
}

unsigned exo_window_scale(const struct exo_window *w)
{
	return gui.scale ? gui.scale : w->mode.scale;
}

bool exo_window_dark(const struct exo_window *w)
{
	(void)w;
	return gui.dark;
}

bool exo_window_settled(const struct exo_window *w)
{
	(void)w;
	return gui.desk < 0 || gui.scale;
}

bool exo_window_focused(const struct exo_window *w)
{
	return w->focused;
}

const char *exo_window_layout(const struct exo_window *w)
{
	(void)w;
	return gui.layout;
}

const char *exo_window_path(const struct exo_window *w)
{
	return w->flags & EXO_WINDOW_COPY || !gui.info.shared_bytes ? "transfer" : "shared";
}

int exo_window_fd(const struct exo_window *w)
{
	(void)w;
	return gui.epoll;
}
