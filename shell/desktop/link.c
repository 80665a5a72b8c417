/*
 * The desktop as a client of the session (docs/control.md): requests with an id each and the
 * functions that their answers go to, events by name. A session that goes is looked
 * for again; what was asked is answered with NULL then.
 */
#include "desktop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES (4u << 20) /* of an answer; `wires` of a big session is long */
#define OUT_MAX_BYTES (1u << 20)
#define FDS_MAX 32 /* that came and were not claimed yet */
#define EVENTS_MAX 16
#define CONNECTS_MAX 8
#define RETRY_NS 200000000ull /* between looks for a session that has gone… */
#define RETRY_MAX_NS 3200000000ull

struct pending {
	struct pending *next;
	uint64_t id;
	link_fn *done;
	void *opaque;
};

/* A line to be sent, or the rest of it. */
struct outgoing {
	struct outgoing *next;
	size_t bytes, sent;
	int fd[4];
	unsigned nfds;
	char text[];
};

struct link {
	struct desktop *desktop;
	int fd; /* -1: no session */
	uint64_t next_id;
	struct pending *pending;
	struct outgoing *out, **out_end;
	size_t out_bytes;
	char *in;
	size_t in_bytes, in_room;
	int came[FDS_MAX];
	unsigned ncame;
	uint64_t retry_at_ns, retry_ns;
	struct {
		const char *name;
		link_event_fn *fn;
	} event[EVENTS_MAX];
	unsigned nevents;
	void (*connected[CONNECTS_MAX])(struct desktop *d);
	unsigned nconnected;
};

bool link_there(const struct desktop *d)
{
	return d->link && d->link->fd >= 0;
}

const char *link_error(const json_t *answer)
{
	const char *message;

	if (!answer)
		return "the session is gone";
	if (json_is_true(json_object_get(answer, "ok")))
		return NULL;
	message = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	return message ? message : "the session gave no reason";
}

void link_tell(void *opaque, json_t *answer, int fd)
{
	const char *error = link_error(answer);

	if (error && answer)
		notice(opaque, 0xd03030, "%s", error);
}

/* ---- going ------------------------------------------------------------------------- */

static void drop_outgoing(struct link *k)
{
	struct outgoing *o = k->out;

	k->out = o->next;
	if (!k->out)
		k->out_end = &k->out;
	k->out_bytes -= o->bytes;
	for (unsigned i = 0; i < o->nfds; i++)
		close(o->fd[i]);
	free(o);
}

static void lose(struct link *k)
{
	struct desktop *d = k->desktop;

	if (k->fd < 0)
		return;
	loop_del(&d->loop, k->fd);
	close(k->fd);
	k->fd = -1;
	while (k->out)
		drop_outgoing(k);
	for (unsigned i = 0; i < k->ncame; i++)
		close(k->came[i]);
	k->ncame = 0;
	k->in_bytes = 0;
	k->retry_ns = RETRY_NS;
	k->retry_at_ns = desktop_now(d) + k->retry_ns;
	while (k->pending) {
		struct pending *p = k->pending;

		k->pending = p->next;
		if (p->done)
			p->done(p->opaque, NULL, -1);
		free(p);
	}
	desktop_wake_at(d, k->retry_at_ns);
	notice(d, 0xd03030, "the session is gone; looking for the next one");
}

/* ---- sending -------------------------------------------------------------------------- */

static ssize_t send_some(struct link *k, struct outgoing *o)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(o->fd))];
	} control;
	struct iovec iov = {o->text + o->sent, o->bytes - o->sent};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (o->nfds && !o->sent) {
		struct cmsghdr *c = &control.align;

		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(o->nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(o->nfds * sizeof(int));
		memcpy(CMSG_DATA(c), o->fd, o->nfds * sizeof(int));
	}
	return sendmsg(k->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* False: the session has gone. */
static bool flush(struct link *k)
{
	while (k->out) {
		struct outgoing *o = k->out;
		ssize_t n = send_some(k, o);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		o->sent += (size_t)n;
		if (o->sent == o->bytes)
			drop_outgoing(k);
	}
	return loop_mod(&k->desktop->loop, k->fd, EPOLLIN | (k->out ? EPOLLOUT : 0)) == 0;
}

/* A line with its descriptors, duplicated. NULL: no memory, or too much waits. */
static struct outgoing *make_line(struct link *k, const json_t *request, const int *fds,
				  unsigned nfds)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t n = text ? strlen(text) : 0;
	struct outgoing *o = NULL;

	if (text && k->out_bytes + n < OUT_MAX_BYTES && nfds <= sizeof(o->fd) / sizeof(o->fd[0]))
		o = calloc(1, sizeof(*o) + n + 1);
	if (o) {
		memcpy(o->text, text, n);
		o->text[n] = '\n';
		o->bytes = n + 1;
		for (unsigned i = 0; i < nfds; i++) {
			o->fd[o->nfds] = dup(fds[i]);
			if (o->fd[o->nfds] >= 0)
				o->nfds++;
		}
	}
	free(text);
	return o;
}

/* Answers that can't be asked for come later, too: from the next tick. */
static void fail_later(struct link *k, struct pending *p)
{
	p->id = 0;
	k->retry_at_ns = k->retry_at_ns ? k->retry_at_ns : desktop_now(k->desktop);
	desktop_wake_at(k->desktop, desktop_now(k->desktop));
}

void link_request(struct desktop *d, json_t *request, const int *fds, unsigned nfds, link_fn *done,
		  void *opaque)
{
	struct link *k = d->link;
	struct pending *p = calloc(1, sizeof(*p));
	struct outgoing *o = NULL;

	if (p) {
		*p = (struct pending){
			.next = k->pending, .id = ++k->next_id, .done = done, .opaque = opaque};
		k->pending = p;
	}
	if (p && request && k->fd >= 0) {
		json_object_set_new(request, "id", json_integer((json_int_t)p->id));
		if (nfds)
			json_object_set_new(request, "fds", json_integer(nfds));
		o = make_line(k, request, fds, nfds);
	}
	json_decref(request);
	if (o) {
		*k->out_end = o;
		k->out_end = &o->next;
		k->out_bytes += o->bytes;
		(void)loop_mod(&d->loop, k->fd, EPOLLIN | EPOLLOUT);
	} else if (p) {
		fail_later(k, p);
	}
}

void link_forget(struct desktop *d, const void *opaque)
{
	for (struct pending *p = d->link ? d->link->pending : NULL; p; p = p->next) {
		if (p->opaque == opaque)
			p->done = NULL;
	}
}

/* ---- receiving -------------------------------------------------------------------------- */

static void answer(struct link *k, uint64_t id, json_t *line, int fd)
{
	for (struct pending **at = &k->pending; *at; at = &(*at)->next) {
		struct pending *p = *at;

		if (p->id != id)
			continue;
		*at = p->next;
		if (p->done)
			p->done(p->opaque, line, fd);
		else if (fd >= 0)
			close(fd);
		free(p);
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void take_event(struct link *k, const char *name, const json_t *line, int fd)
{
	bool taken = false;

	/* Only the first gets the descriptor. */
	for (unsigned i = 0; i < k->nevents; i++) {
		if (strcmp(k->event[i].name, name) != 0)
			continue;
		k->event[i].fn(k->desktop, line, taken ? -1 : fd);
		taken = true;
	}
	if (!taken && fd >= 0)
		close(fd);
}

static void take_line(struct link *k, const char *text, size_t n)
{
	json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	const char *event = json_string_value(json_object_get(line, "event"));
	json_int_t fds = json_integer_value(json_object_get(line, "fds"));
	int fd = -1;

	for (; fds > 0 && k->ncame; fds--) {
		if (fd >= 0)
			close(fd); /* one a line is all there can be */
		fd = k->came[0];
		memmove(k->came, k->came + 1, --k->ncame * sizeof(int));
	}
	if (event)
		take_event(k, event, line, fd);
	else if (json_is_integer(json_object_get(line, "id")))
		answer(k, (uint64_t)json_integer_value(json_object_get(line, "id")), line, fd);
	else if (fd >= 0)
		close(fd);
	json_decref(line);
}

static void keep_fds(struct link *k, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n =
			c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (k->ncame < FDS_MAX)
				k->came[k->ncame++] = fd;
			else
				close(fd);
		}
	}
}

/* Bytes; 0: nothing now; -1: it has gone. */
static ssize_t receive(struct link *k)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (k->in_room - k->in_bytes < 65536) {
		size_t room = k->in_room ? 2 * k->in_room : 131072;
		char *in = room <= 2 * LINE_MAX_BYTES ? realloc(k->in, room) : NULL;

		if (!in)
			return -1;
		k->in = in;
		k->in_room = room;
	}
	iov = (struct iovec){k->in + k->in_bytes, k->in_room - k->in_bytes};
	m.msg_control = &control;
	m.msg_controllen = sizeof(control);
	do
		n = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		keep_fds(k, &m);
	return n < 0 && errno == EAGAIN ? 0 : n > 0 ? n : -1;
}

/* False: the session has gone, by itself or while a line was looked at. */
static bool take_lines(struct link *k)
{
	size_t done = 0;
	char *end;

	while ((end = memchr(k->in + done, '\n', k->in_bytes - done)) != NULL) {
		size_t n = (size_t)(end - k->in) - done;

		take_line(k, k->in + done, n);
		if (k->fd < 0)
			return false;
		done += n + 1;
	}
	memmove(k->in, k->in + done, k->in_bytes - done);
	k->in_bytes -= done;
	return k->in_bytes < LINE_MAX_BYTES;
}

static void on_socket(void *opaque, int fd, uint32_t events)
{
	struct link *k = opaque;
	ssize_t n = 0;

	if (events & EPOLLOUT && !flush(k)) {
		lose(k);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		n = receive(k);
	if (n > 0)
		k->in_bytes += (size_t)n;
	if (n < 0 || (n > 0 && !take_lines(k)))
		lose(k);
}

/* ---- coming --------------------------------------------------------------------------------- */

static int connect_now(struct link *k)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd, err = 0;

	if ((size_t)snprintf(to.sun_path, sizeof(to.sun_path), "%s/control",
			     k->desktop->directory) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		err = -errno;
	if (!err)
		err = loop_add(&k->desktop->loop, fd, EPOLLIN, on_socket, k);
	if (err) {
		close(fd);
		return err;
	}
	k->fd = fd;
	k->retry_at_ns = 0;
	for (unsigned i = 0; i < k->nconnected; i++)
		k->connected[i](k->desktop);
	return 0;
}

int link_open(struct desktop *d, char why[256])
{
	struct link *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	d->link = k;
	k->desktop = d;
	k->fd = -1;
	k->out_end = &k->out;
	err = connect_now(k);
	if (err)
		snprintf(why, 256, "%s/control: %s; is there a session (exo session)?",
			 d->directory, strerror(-err));
	return err;
}

void link_close(struct desktop *d)
{
	struct link *k = d->link;

	if (!k)
		return;
	if (k->fd >= 0) {
		loop_del(&d->loop, k->fd);
		close(k->fd);
	}
	while (k->out)
		drop_outgoing(k);
	while (k->pending) {
		struct pending *p = k->pending;

		k->pending = p->next;
		free(p);
	}
	for (unsigned i = 0; i < k->ncame; i++)
		close(k->came[i]);
	free(k->in);
	free(k);
	d->link = NULL;
}

void link_on(struct desktop *d, const char *event, link_event_fn *fn)
{
	struct link *k = d->link;

	if (k->nevents == EVENTS_MAX)
		return;
	k->event[k->nevents].name = event;
	k->event[k->nevents++].fn = fn;
}

void link_on_connect(struct desktop *d, void (*fn)(struct desktop *d))
{
	struct link *k = d->link;

	if (k->nconnected < CONNECTS_MAX)
		k->connected[k->nconnected++] = fn;
	if (k->fd >= 0)
		fn(d);
}

/* Requests that could not be sent: those with id 0. */
static void fail_pending(struct link *k)
{
	struct pending **at = &k->pending;

	while (*at) {
		struct pending *p = *at;

		if (p->id) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		if (p->done)
			p->done(p->opaque, NULL, -1);
		free(p);
		at = &k->pending; /* who was told may have asked again */
	}
}

uint64_t link_tick(struct desktop *d, uint64_t now_ns)
{
	struct link *k = d->link;

	if (!k || !k->retry_at_ns || now_ns < k->retry_at_ns)
		return k ? k->retry_at_ns : 0;
	k->retry_at_ns = 0;
	fail_pending(k);
	if (k->fd >= 0)
		return 0;
	if (connect_now(k) == 0) {
		notice(d, 0x30a030, "a session is there again");
		return 0;
	}
	k->retry_ns = k->retry_ns < RETRY_NS ? RETRY_NS : 2 * k->retry_ns;
	if (k->retry_ns > RETRY_MAX_NS)
		k->retry_ns = RETRY_MAX_NS;
	k->retry_at_ns = now_ns + k->retry_ns;
	return k->retry_at_ns;
}
