/*
 * The service "desktop" (exo/desktop.h): one connection for the program. Everything works
 * without it but titles, settings, the clipboard and files.
 */
#include "window_impl.h"

#include <errno.h>
#include <exo_channel.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define RETRY_NS 1000000000ull
#define CONNECT_S 30 /* the desktop may have to be started first */
#define SEND_MS 2000 /* a desktop that does not read */
#define SCALE_MIN 60
#define SCALE_MAX 1200

static void set_focus(struct exo_window *w, bool there)
{
	struct exo_event e = {.type = EXO_EVENT_FOCUS, .time_ns = gui_now()};

	if (!w || w->focused == there)
		return;
	w->focused = there;
	e.scanout = w->scanout;
	e.focus.there = there;
	gui_push(&e);
	if (!there && gui.repeated.scanout == w->scanout)
		gui_repeat_stop();
}

void gui_desk_close(void)
{
	if (gui.desk >= 0)
		close(gui.desk);
	gui.desk = -1;
	gui_clip_reset();
}

/* From now on scanout 0 has the keyboard again. */
static void lose(void)
{
	gui_desk_close();
	gui.desk_tried_ns = gui_now();
	set_focus(gui.window[0], true);
}

void gui_desk_open(void)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST};
	struct timeval limit = {.tv_sec = CONNECT_S};
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT};
	uint64_t now = gui_now();
	int64_t port;

	if (gui.desk >= 0 || gui.desk_none)
		return;
	if (gui.desk_tried_ns && now - gui.desk_tried_ns < RETRY_NS) {
		gui.desk_due_ns = gui.desk_tried_ns + RETRY_NS; /* whoever is there now may stay */
		return;
	}
	gui.desk_due_ns = GUI_NEVER;
	gui.desk_tried_ns = now;
	port = exo_slot(EXO_DESK_SERVICE);
	if (port < 0) {
		gui.desk_none = true; /* not granted, or no session */
		return;
	}
	a.svm_port = (uint32_t)port;
	gui.desk = socket(AF_VSOCK, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (gui.desk < 0)
		return;
	setsockopt(gui.desk, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof(limit));
	e.data.fd = gui.desk;
	if ((connect(gui.desk, (struct sockaddr *)&a, sizeof(a)) && errno != EINPROGRESS) ||
	    epoll_ctl(gui.epoll, EPOLL_CTL_ADD, gui.desk, &e))
		gui_desk_close();
	else
		gui.desk_connecting = true;
}

/* ---- sending ------------------------------------------------------------------------------- */

int gui_desk_send(struct exo_desk_msg *h, const void *data, size_t bytes)
{
	struct iovec iov[] = {{h, sizeof(*h)}, {(void *)(uintptr_t)data, bytes}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = bytes ? 2 : 1};
	ssize_t n;

	if (gui.desk < 0 || gui.desk_connecting) {
		errno = ENOTCONN;
		return -1;
	}
	h->bytes = (uint32_t)bytes;
	while ((n = sendmsg(gui.desk, &m, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EAGAIN) {
		struct pollfd p = {.fd = gui.desk, .events = POLLOUT};

		if (poll(&p, 1, SEND_MS) == 0) {
			errno = ETIMEDOUT;
			break;
		}
	}
	return n < 0 ? -1 : 0;
}

void gui_desk_title(const struct exo_window *w)
{
	struct exo_desk_msg h = {.type = EXO_DESK_TITLE, .scanout = w->scanout};

	gui_desk_send(&h, w->title, strlen(w->title));
}

static void connected(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = gui.desk};
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(gui.desk, SOL_SOCKET, SO_ERROR, &err, &len) || err) {
		lose();
		return;
	}
	gui.desk_connecting = false;
	epoll_ctl(gui.epoll, EPOLL_CTL_MOD, gui.desk, &e);
	for (unsigned i = 0; i < GUI_WINDOWS_MAX; i++)
		if (gui.window[i])
			gui_desk_title(gui.window[i]);
}

/* ---- receiving ------------------------------------------------------------------------------ */

static bool take_settings(const struct exo_desk_msg *h, const char *text)
{
	struct exo_event e = {.type = EXO_EVENT_SETTINGS, .time_ns = gui_now()};
	const struct keymap *map;

	if (h->scale < SCALE_MIN || h->scale > SCALE_MAX || h->flags & ~EXO_DESK_DARK ||
	    h->bytes >= sizeof(gui.layout))
		return false;
	gui.scale = h->scale;
	gui.dark = h->flags & EXO_DESK_DARK;
	map = keymap_find(text);
	if (map) {
		strcpy(gui.layout, text);
		gui.keys.map = map;
		gui.keys.dead = 0;
	}
	for (e.scanout = 0; e.scanout < GUI_WINDOWS_MAX; e.scanout++)
		if (gui.window[e.scanout])
			gui_push(&e);
	return true;
}

static bool take_focus(const struct exo_desk_msg *h)
{
	if (h->bytes || h->flags > 1)
		return false;
	for (unsigned i = 0; h->flags && i < GUI_WINDOWS_MAX; i++)
		if (i != h->scanout)
			set_focus(gui.window[i], false);
	set_focus(gui.window[h->scanout], h->flags);
	return true;
}

static bool take_copy(const struct exo_desk_msg *h)
{
	struct exo_event e = {.type = EXO_EVENT_COPY, .scanout = h->scanout, .time_ns = gui_now()};

	if (h->bytes)
		return false;
	e.copy.id = h->id;
	if (gui.window[h->scanout])
		gui_push(&e);
	return true;
}

/* data: h->bytes, and a 0 behind them. False: it is not what exo/desktop.h says. */
static bool take(const struct exo_desk_msg *h, const uint8_t *data)
{
	const char *text = (const char *)data;

	if (h->scanout >= GUI_WINDOWS_MAX)
		return false;
	if (h->type != EXO_DESK_PASTE &&
	    (h->bytes > EXO_DESK_TEXT_MAX || !gui_utf8(text, h->bytes)))
		return false;
	switch (h->type) {
	case EXO_DESK_SETTINGS:
		return take_settings(h, text);
	case EXO_DESK_FOCUS:
		return take_focus(h);
	case EXO_DESK_COPY:
		return take_copy(h);
	case EXO_DESK_PASTE:
		return gui_take_paste(h, data);
	case EXO_DESK_CHOSEN:
	case EXO_DESK_DROPPED:
		return gui_take_file(h, text);
	default:
		return false;
	}
}

void gui_desk_ready(void)
{
	static struct {
		struct exo_desk_msg h;
		uint8_t data[EXO_DESK_MSG_MAX - sizeof(struct exo_desk_msg) + 1];
	} m;
	ssize_t n;

	if (gui.desk_connecting)
		connected();
	while (gui.desk >= 0 && !gui.desk_connecting) {
		n = recv(gui.desk, &m, EXO_DESK_MSG_MAX, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < (ssize_t)sizeof(m.h) || m.h.bytes != (size_t)n - sizeof(m.h)) {
			lose();
			return;
		}
		m.data[m.h.bytes] = 0;
		if (!take(&m.h, m.data))
			lose();
	}
}

int exo_window_title(struct exo_window *w, const char *title)
{
	struct exo_desk_msg h = {.type = EXO_DESK_TITLE, .scanout = w->scanout};
	size_t len = strlen(title);

	if (len > EXO_DESK_TEXT_MAX || !gui_utf8(title, len)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(w->title, title, len + 1);
	return gui_desk_send(&h, w->title, len);
}

int exo_window_attention(struct exo_window *w)
{
	struct exo_desk_msg h = {.type = EXO_DESK_ATTENTION, .scanout = w->scanout};

	return gui_desk_send(&h, NULL, 0);
}
