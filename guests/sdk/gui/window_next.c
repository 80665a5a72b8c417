/* Waiting for events, and those that wait (exo_window.h). */
#include "window_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
#define READY_MAX 8

/* ---- queue -------------------------------------------------------------------------------- */

struct exo_event *gui_last(void)
{
	return gui.count ? &gui.event[(gui.first + gui.count - 1) % GUI_EVENTS] : NULL;
}

bool gui_room_for_input(void)
{
	return gui.count < GUI_EVENTS - GUI_EVENTS_SPARE;
}

void gui_push(const struct exo_event *e)
{
	if (gui.count == GUI_EVENTS) { /* nobody takes any: the oldest goes */
		if (gui.event[gui.first].type == EXO_EVENT_PASTE)
			free((void *)(uintptr_t)gui.event[gui.first].paste.data);
		gui.first = (gui.first + 1) % GUI_EVENTS;
		gui.count--;
	}
	gui.event[(gui.first + gui.count++) % GUI_EVENTS] = *e;
}

static bool pop(struct exo_event *e)
{
	while (gui.count) {
		*e = gui.event[gui.first];
		gui.first = (gui.first + 1) % GUI_EVENTS;
		gui.count--;
		if (e->type == EXO_EVENT_NONE)
			continue;
		if (e->type == EXO_EVENT_PASTE)
			gui.dropped = (void *)(uintptr_t)e->paste.data;
		return true;
	}
	return false;
}

/* ---- modes ---------------------------------------------------------------------------------- */

static void take_mode(struct exo_window *w)
{
	struct exo_display_mode m = {.scanout = w->scanout};
	struct exo_event e = {.scanout = w->scanout, .time_ns = gui_now()};
	bool again, other;

	if (ioctl(gui.display, (int)EXO_DISPLAY_MODE, &m))
		return;
	if (!m.there) {
		e.type = EXO_EVENT_CLOSE;
		if (w->mode.there)
			gui_push(&e);
		w->mode.there = false;
		return; /* what was drawn stays, for when it is plugged in again */
	}
	again = w->was_there && !w->mode.there;
	other = m.width != w->mode.width || m.height != w->mode.height;
	if (m.scale != w->mode.scale && !gui.scale) {
		e.type = EXO_EVENT_SETTINGS;
		gui_push(&e);
	}
	w->mode = m;
	w->was_there = true;
	if (other || again) {
		e.type = EXO_EVENT_RESIZE;
		e.resize.width = m.width;
		e.resize.height = m.height;
		gui_push(&e);
	}
	if (other)
		w->waiting = false; /* of the size that it was */
	gui_send_waiting(w);
}

void gui_modes(void)
{
	for (unsigned i = 0; i < GUI_WINDOWS_MAX; i++)
		if (gui.window[i])
			take_mode(gui.window[i]);
	gui_desk_open(); /* perhaps by a desktop that is new */
}

static void read_display(void)
{
	struct exo_display_event e[READY_MAX];
	ssize_t n;

	while ((n = read(gui.display, e, sizeof(e))) > 0) {
		for (size_t i = 0; i < (size_t)n / sizeof(e[0]); i++) {
			if (e[i].type == EXO_DISPLAY_CHANGED)
				gui_modes();
			else if (e[i].scanout < GUI_WINDOWS_MAX && gui.window[e[i].scanout])
				gui_seen(gui.window[e[i].scanout], e[i].sequence);
		}
	}
}

/* ---- time -------------------------------------------------------------------------------------
 */

static uint64_t next_due(void)
{
	uint64_t due = gui.repeat_ns < gui.desk_due_ns ? gui.repeat_ns : gui.desk_due_ns;

	for (unsigned i = 0; i < GUI_WINDOWS_MAX; i++) {
		const struct exo_window *w = gui.window[i];

		if (w && w->frame_due && w->frame_ns < due)
			due = w->frame_ns;
	}
	return due;
}

void gui_arm(void)
{
	uint64_t due = next_due();
	struct itimerspec t = {0};

	if (due == gui.timer_ns)
		return;
	gui.timer_ns = due;
	if (due != GUI_NEVER) {
		t.it_value.tv_sec = (time_t)(due / (1000 * NS_PER_MS));
		t.it_value.tv_nsec = (long)(due % (1000 * NS_PER_MS)) + !due;
	}
	timerfd_settime(gui.timer, TFD_TIMER_ABSTIME, &t, NULL);
}

static void run_timers(void)
{
	uint64_t now = gui_now();

	for (unsigned i = 0; i < GUI_WINDOWS_MAX; i++) {
		struct exo_window *w = gui.window[i];
		struct exo_event e = {.type = EXO_EVENT_FRAME, .scanout = i, .time_ns = now};

		if (!w || !w->frame_due || w->frame_ns > now)
			continue;
		w->frame_due = false;
		w->last_frame_ns = now;
		gui_push(&e);
	}
	if (gui.repeat_ns <= now)
		gui_repeat(now);
	if (gui.desk_due_ns <= now)
		gui_desk_open();
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* What has come; waits for it. 0, or -1 with errno. */
static int look(int timeout_ms)
{
	struct epoll_event ready[READY_MAX];
	uint64_t ticks;
	int n;

	gui_arm();
	n = epoll_wait(gui.epoll, ready, READY_MAX, timeout_ms);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		int fd = ready[i].data.fd;

		if (fd == gui.display)
			read_display();
		else if (fd == gui.input)
			gui_input_read();
		else if (fd == gui.desk)
			gui_desk_ready();
		else if (fd == gui.timer && read(gui.timer, &ticks, sizeof(ticks)) > 0)
			gui.timer_ns = GUI_NEVER;
	}
	run_timers();
	return 0;
}

int exo_window_next(struct exo_window *w, struct exo_event *e, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? GUI_NEVER : gui_now() + (unsigned)timeout_ms * NS_PER_MS;
	int left = timeout_ms;

	(void)w;
	free(gui.dropped);
	gui.dropped = NULL;
	while (!pop(e)) {
		if (look(left))
			return -1;
		if (left == 0 && !gui.count)
			return 0;
		if (end != GUI_NEVER) {
			uint64_t now = gui_now();

			left = now >= end ? 0 : (int)((end - now + NS_PER_MS - 1) / NS_PER_MS);
		}
	}
	gui_arm(); /* for who polls */
	return 1;
}

int exo_window_timeout_ms(const struct exo_window *w)
{
	uint64_t due = next_due(), now = gui_now();

	(void)w;
	if (gui.count)
		return 0;
	if (due == GUI_NEVER)
		return -1;
	return due <= now ? 0 : (int)((due - now + NS_PER_MS - 1) / NS_PER_MS);
}
