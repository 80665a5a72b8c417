/*
 * The service "desktop": one seqpacket connection a guest, which the session makes when a guest
 * connects; see exo/desktop.h. Nothing waits for a guest: what it does not read is queued up to
 * a limit, then it is hung up on; of what it sends, a few messages are taken a turn.
 */
#include "guests_impl.h"
#include "services_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_MAX 64 /* messages that a guest has not taken */
#define TURN_MAX 16  /* messages taken at a time */

struct queued {
	struct queued *next;
	size_t bytes;
	char message[];
};

struct service {
	struct dguest *guest;
	int fd;
	struct queued *out, **out_end;
	unsigned queued;

	/* What is being pasted. */
	char *paste; /* or NULL */
	uint32_t paste_bytes, paste_at, paste_format, paste_scanout;
};

/* ---- going ------------------------------------------------------------------------------ */

static void wipe_paste(struct service *s)
{
	if (s->paste)
		explicit_bzero(s->paste, s->paste_bytes);
	free(s->paste);
	s->paste = NULL;
}

static void hang_up(struct service *s)
{
	struct dguest *g = s->guest;

	loop_del(&g->desktop->loop, s->fd);
	close(s->fd);
	while (s->out) {
		struct queued *q = s->out;

		s->out = q->next;
		free(q);
	}
	wipe_paste(s);
	free(s);
	g->service = NULL;
	chooser_guest_gone(g);
	clip_guest_gone(g);
}

void service_guest_gone(struct dguest *g)
{
	if (g->service) {
		hang_up(g->service);
		return;
	}
	chooser_guest_gone(g);
	clip_guest_gone(g);
}

static void complain(struct service *s, const char *what)
{
	struct dguest *g = s->guest;

	notice(g->desktop, g->colour, "%s %s, and was disconnected from the desktop", g->name,
	       what);
	hang_up(s);
}

/* ---- sending ----------------------------------------------------------------------------- */

static int send_piece(struct service *s)
{
	uint32_t left = s->paste_bytes - s->paste_at;
	struct exo_desk_msg m = {
		.type = EXO_DESK_PASTE,
		.bytes = left < EXO_DESK_DATA_MAX ? left : EXO_DESK_DATA_MAX,
		.scanout = s->paste_scanout,
		.format = s->paste_format,
		.total = s->paste_bytes,
		.offset = s->paste_at,
	};
	struct iovec iov[] = {{&m, sizeof(m)}, {s->paste + s->paste_at, m.bytes}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};

	if (sendmsg(s->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	s->paste_at += m.bytes;
	if (s->paste_at == s->paste_bytes)
		wipe_paste(s);
	return 0;
}

static int send_queued(struct service *s)
{
	struct queued *q = s->out;

	if (send(s->fd, q->message, q->bytes, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	s->out = q->next;
	if (!s->out)
		s->out_end = &s->out;
	s->queued--;
	free(q);
	return 0;
}

/* False: it has gone. */
static bool flush(struct service *s)
{
	int err = 0;

	while (!err && (s->out || s->paste))
		err = s->out ? send_queued(s) : send_piece(s);
	if (err && err != -EAGAIN && err != -EINTR && err != -ENOBUFS) {
		hang_up(s);
		return false;
	}
	loop_mod(&s->guest->desktop->loop, s->fd, err ? EPOLLIN | EPOLLOUT : (uint32_t)EPOLLIN);
	return true;
}

bool service_send(struct dguest *g, const struct exo_desk_msg *m, const void *data)
{
	struct service *s = g->service;
	struct queued *q;

	if (!s)
		return false;
	q = s->queued < QUEUE_MAX ? malloc(sizeof(*q) + sizeof(*m) + m->bytes) : NULL;
	if (!q) {
		complain(s, "does not read");
		return false;
	}
	q->next = NULL;
	q->bytes = sizeof(*m) + m->bytes;
	memcpy(q->message, m, sizeof(*m));
	if (m->bytes)
		memcpy(q->message + sizeof(*m), data, m->bytes);
	*s->out_end = q;
	s->out_end = &q->next;
	s->queued++;
	return flush(s);
}

void service_paste(struct dguest *g, unsigned scanout, uint32_t format, char *data, uint32_t bytes)
{
	struct service *s = g->service;

	if (!s) {
		explicit_bzero(data, bytes);
		free(data);
		return;
	}
	wipe_paste(s);
	s->paste = data;
	s->paste_bytes = bytes;
	s->paste_at = 0;
	s->paste_format = format;
	s->paste_scanout = scanout;
	flush(s);
}

static void send_settings(struct dguest *g)
{
	const struct desktop *d = g->desktop;
	struct exo_desk_msg m = {
		.type = EXO_DESK_SETTINGS,
		.bytes = (uint32_t)strlen(d->layout),
		.flags = d->theme.dark ? EXO_DESK_DARK : 0,
		.scale = d->scale,
	};

	service_send(g, &m, d->layout);
}

void service_settings_changed(struct desktop *d)
{
	for (struct dguest *g = d->guests; g; g = g->next) {
		if (g->service)
			send_settings(g);
	}
}

bool service_has_focus(const struct dguest *g)
{
	hid_id focused = hid_focused(g->desktop->hid);

	for (unsigned i = 0; focused && i < EXO_DPY_SCANOUTS_MAX; i++) {
		if (g->window[i] == focused)
			return true;
	}
	return false;
}

void service_focus(struct dguest *g, unsigned scanout, bool there)
{
	struct exo_desk_msg m = {.type = EXO_DESK_FOCUS, .scanout = scanout, .flags = there};

	if (g->service && service_send(g, &m, NULL) && there)
		chooser_focus(g);
}

void service_mark(struct dguest *g)
{
	for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++) {
		if (g->window[i]) {
			hid_set_attention(g->desktop->hid, g->window[i], true);
			desktop_wake_at(g->desktop, desktop_now(g->desktop));
			return;
		}
	}
}

/* ---- messages from a guest ------------------------------------------------------------------- */

static void set_title(struct dguest *g, const struct exo_desk_msg *m, const char *text)
{
	char clean[EXO_DESK_TEXT_MAX + 1];

	desk_text_clean(clean, sizeof(clean), text, m->bytes);
	if (!strcmp(clean, g->title[m->scanout]))
		return;
	memcpy(g->title[m->scanout], clean, sizeof(clean));
	if (g->window[m->scanout])
		hid_damage_frame(g->desktop->hid, g->window[m->scanout]);
}

/* False: the service is gone. */
static bool take(struct service *s, const struct exo_desk_msg *m, const char *data)
{
	struct dguest *g = s->guest;
	char name[EXO_DESK_TEXT_MAX + 1];

	switch (m->type) {
	case EXO_DESK_TITLE:
		set_title(g, m, data);
		break;
	case EXO_DESK_ATTENTION:
		if (g->window[m->scanout] && g->window[m->scanout] != hid_focused(g->desktop->hid))
			hid_set_attention(g->desktop->hid, g->window[m->scanout], true);
		break;
	case EXO_DESK_CHOOSE:
		desk_text_name(name, sizeof(name), data, m->bytes);
		chooser_ask(g, m, name);
		break;
	default:
		if (!clip_copied(g, m, data)) {
			complain(s, "broke a rule of the clipboard");
			return false;
		}
	}
	return g->service == s;
}

static void on_message(void *opaque, int fd, uint32_t events)
{
	struct service *s = opaque;
	struct desktop *d = s->guest->desktop;
	char message[EXO_DESK_MSG_MAX];
	struct exo_desk_msg m;
	const char *data;
	ssize_t n = 1;

	desktop_wake_at(d, desktop_now(d));
	if ((events & EPOLLOUT) && !flush(s))
		return;
	for (unsigned i = 0; i < TURN_MAX; i++) {
		n = recv(fd, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
		if (n <= 0)
			break;
		if (n > (ssize_t)sizeof(message) || desk_decode(message, (size_t)n, &m, &data)) {
			complain(s, "sent what is no message");
			return;
		}
		if (!take(s, &m, data))
			return;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		hang_up(s);
}

/* ---- connections
 * --------------------------------------------------------------------------------- */

/* The newest connection of a guest counts: its program may have been started anew in it. */
static void on_connection(struct desktop *d, const json_t *event, int fd)
{
	const char *service = json_string_value(json_object_get(event, "service"));
	const char *from = json_string_value(json_object_get(event, "from"));
	struct dguest *g = NULL;
	struct service *s;

	if (fd < 0)
		return;
	if (service && from && !strcmp(service, EXO_DESK_SERVICE))
		g = guests_get(d, from);
	if (g && g->service)
		hang_up(g->service);
	s = g ? calloc(1, sizeof(*s)) : NULL;
	if (!s || fcntl(fd, F_SETFL, O_NONBLOCK) ||
	    loop_add(&d->loop, fd, EPOLLIN, on_message, s)) {
		close(fd);
		free(s);
		return;
	}
	s->guest = g;
	s->fd = fd;
	s->out_end = &s->out;
	g->service = s;
	send_settings(g);
	for (unsigned i = 0; i < EXO_DPY_SCANOUTS_MAX; i++) {
		if (g->service && g->window[i] && g->window[i] == hid_focused(d->hid))
			service_focus(g, i, true);
	}
}

static void on_listen(void *opaque, json_t *answer, int fd)
{
	struct desktop *d = opaque;
	const char *why = link_error(answer);

	if (answer && why)
		notice(d, d->theme.danger, "guests get no clipboard and no files: %s", why);
}

static void on_connect(struct desktop *d)
{
	link_request(d,
		     json_pack("{s:s,s:s,s:s}", "op", "listen", "service", EXO_DESK_SERVICE, "type",
			       "seqpacket"),
		     NULL, 0, on_listen, d);
}

int services_open(struct desktop *d)
{
	int err = clip_open(d);

	if (!err)
		err = files_open(d);
	if (err)
		return err;
	d->services = d; /* settings may be told from now on */
	link_on(d, "connection", on_connection);
	link_on_connect(d, on_connect);
	return 0;
}

void services_close(struct desktop *d)
{
	for (struct dguest *g = d->guests; g; g = g->next) {
		if (g->service)
			hang_up(g->service);
	}
	chooser_close_all(d);
	files_close(d);
	clip_close(d);
	d->services = NULL;
}

uint64_t services_tick(struct desktop *d, uint64_t now_ns)
{
	return clip_tick(d, now_ns);
}
