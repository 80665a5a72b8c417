/*
 * One client of the control socket: its bytes and descriptors both ways, and what
 * it has a hold on; see control_impl.h.
 */
#include "control_impl.h"

#include "lifecycle.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MIN 4096u
#define TURN_BYTES 32768u /* of one client, then the others get their turn */

/* From anywhere: it is freed at the end of a turn of ours. */
void client_drop(struct client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	loop_del(&c->session->loop, c->fd);
	session_wake_at(c->session, 1);
}

static void free_output(struct output *o)
{
	if (o->fd >= 0)
		close(o->fd);
	free(o);
}

/* ---- output ---------------------------------------------------------------------- */

static ssize_t send_some(struct client *c, const struct output *o)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)(o->data + o->sent), o->length - o->sent};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (o->fd >= 0) {
		struct cmsghdr *cm;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &o->fd, sizeof(int));
	}
	return sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Those that wait for room. */
static void tell_room(struct client *c)
{
	bool any = false;

	for (struct request *r = c->requests; r; r = r->next) {
		if (r->for_room)
			r->news = any = true;
	}
	if (any)
		session_wake_at(c->session, 1);
}

void client_flush(struct client *c)
{
	bool was_full = c->waiting >= CONTROL_OUTPUT_LOW;

	/* What was answered is still so if we are killed next. */
	session_save(c->session);
	while (c->first && !c->gone) {
		struct output *o = c->first;
		ssize_t n = send_some(c, o);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return client_drop(c);
		if (n < 0)
			break;
		if (o->fd >= 0)
			close(o->fd);
		o->fd = -1;
		o->sent += (size_t)n;
		c->waiting -= (size_t)n;
		if (o->sent < o->length)
			break;
		c->first = o->next;
		if (!c->first)
			c->last = &c->first;
		free_output(o);
	}
	if (was_full && c->waiting < CONTROL_OUTPUT_LOW)
		tell_room(c);
	if (!c->gone && c->writing != (c->first != NULL)) {
		c->writing = c->first != NULL;
		loop_mod(&c->session->loop, c->fd, EPOLLIN | (c->writing ? EPOLLOUT : 0));
	}
}

static struct output *make_output(const json_t *json, const int *fds, unsigned nfds)
{
	const size_t flags = JSON_COMPACT | JSON_ENSURE_ASCII;
	size_t length = json_dumpb(json, NULL, 0, flags);
	struct output *o = length ? malloc(sizeof(*o) + length + 1) : NULL;

	if (!o)
		return NULL;
	*o = (struct output){.fd = -1, .length = length + 1};
	o->data[length] = '\n';
	if (json_dumpb(json, o->data, length, flags) != length) { /* no memory this time */
		free(o);
		return NULL;
	}
	if (nfds && (o->fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 3)) < 0) {
		free(o);
		return NULL;
	}
	return o;
}

void control_send(struct client *c, json_t *json, const int *fds, unsigned nfds)
{
	struct output *o;

	assert(nfds <= 1);
	if (json && nfds)
		json_object_set_new(json, "fds", json_integer(nfds));
	o = json && !c->gone ? make_output(json, fds, nfds) : NULL;
	json_decref(json);
	if (c->gone) {
		if (o)
			free_output(o);
		return;
	}
	if (!o)
		return client_drop(c); /* it would wait for that answer for ever */
	if (c->waiting + o->length > CONTROL_OUTPUT_MAX) {
		free_output(o);
		return client_drop(c);
	}
	c->waiting += o->length;
	*c->last = o;
	c->last = &o->next;
	if (!c->writing)
		client_flush(c);
}

/* ---- services of clients ------------------------------------------------------------ */

static void on_accept(void *opaque, int fd, const char *from, const char *label)
{
	struct listener *l = opaque;

	control_send(l->client,
		     json_pack("{s:s, s:s, s:s, s:s}", "event", "connection", "service", l->service,
			       "from", from, "label", label),
		     &fd, 1);
	close(fd);
}

int client_add_listener(struct client *c, const char *service, bool seqpacket)
{
	struct listener *l;
	int err;

	if (c->nlisteners == CONTROL_LISTENERS_MAX)
		return -ENOSPC;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->client = c;
	snprintf(l->service, sizeof(l->service), "%s", service);
	err = wire_listen_host(c->session, service, seqpacket, on_accept, l);
	if (err) {
		free(l);
		return err;
	}
	l->next = c->listeners;
	c->listeners = l;
	c->nlisteners++;
	session_wake_at(c->session, 1); /* a guest may wait for what it requires */
	return 0;
}

/* ---- input ------------------------------------------------------------------------ */

static bool claim(struct client *c, unsigned count, int *fd)
{
	if (count > c->nreceived)
		return false;
	for (unsigned i = 0; i < count; i++)
		fd[i] = c->received[i].fd;
	c->nreceived -= count;
	memmove(c->received, c->received + count, c->nreceived * sizeof(c->received[0]));
	return true;
}

/* Closes descriptors that can only have belonged to lines up to `end`. */
static void close_surplus(struct client *c, uint64_t end)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < c->nreceived; i++) {
		if (c->received[i].end <= end)
			close(c->received[i].fd);
		else
			c->received[kept++] = c->received[i];
	}
	c->nreceived = kept;
}

/* There is one control message at most: nobody asked for another kind. */
static void take_fds(struct client *c, struct msghdr *msg, uint64_t end)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(msg);
	size_t count;
	int fd;

	if (!cm || cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
		return;
	count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	for (size_t i = 0; i < count; i++) {
		memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(int));
		if (c->nreceived < CONTROL_FDS_MAX)
			c->received[c->nreceived++] = (struct received){fd, end};
		else
			close(fd);
	}
}

/* Bytes read, 0: hang-up, or -errno. */
static ssize_t read_some(struct client *c)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	struct iovec iov = {c->input + c->length, c->capacity - c->length};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	take_fds(c, &msg, c->line_start + c->length + (uint64_t)n);
	c->length += (size_t)n;
	return n;
}

static int make_room(struct client *c)
{
	size_t capacity = c->capacity ? c->capacity * 2 : INPUT_MIN;
	char *input;

	if (c->length < c->capacity)
		return 0;
	if (capacity > CONTROL_LINE_MAX + 1)
		capacity = CONTROL_LINE_MAX + 1;
	input = realloc(c->input, capacity);
	if (!input)
		return -ENOMEM;
	c->input = input;
	c->capacity = capacity;
	return 0;
}

/* Runs the lines that are complete. */
static void take_lines(struct client *c, size_t searched)
{
	size_t start = 0;
	char *end;

	while (!c->gone &&
	       (end = memchr(c->input + searched, '\n', c->length - searched)) != NULL) {
		size_t length = (size_t)(end - c->input) - start;

		request_line(c, c->input + start, length, claim);
		start = searched = start + length + 1;
		close_surplus(c, c->line_start + start);
	}
	c->line_start += start;
	c->length -= start;
	memmove(c->input, c->input + start, c->length);
	if (!c->gone && c->length > CONTROL_LINE_MAX) {
		request_reject(c, CONTROL_BAD_REQUEST, "the line is longer than 64 KiB");
		client_drop(c);
	}
}

void client_read(struct client *c)
{
	size_t searched = c->length, total = 0;
	ssize_t n;

	while (!c->gone && total < TURN_BYTES) {
		if (make_room(c))
			return client_drop(c);
		searched = c->length;
		n = read_some(c);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0)
			return client_drop(c);
		total += (size_t)n;
		take_lines(c, searched);
	}
}

/* ---- the end of a client ------------------------------------------------------ */

/* What it had a hold on ends with it. */
void client_release(struct client *c)
{
	struct session *s = c->session;
	struct listener *l;

	if (s->desktop == c) /* guests go on; the next desktop finds them */
		s->desktop = NULL;
	while (c->requests)
		request_drop(c->requests);
	while ((l = c->listeners)) {
		c->listeners = l->next;
		wire_unlisten_host(s, l->service);
		free(l);
	}
	for (struct machine *m = s->machines; m; m = m->next) {
		if (m->owner != c)
			continue;
		m->owner = NULL;
		if (!(s->ending && s->leave_guests))
			lifecycle_kill(m, "who started it has gone");
	}
}

void client_destroy(struct client *c)
{
	struct output *o;

	while ((o = c->first)) {
		c->first = o->next;
		free_output(o);
	}
	for (unsigned i = 0; i < c->nreceived; i++)
		close(c->received[i].fd);
	loop_del(&c->session->loop, c->fd);
	close(c->fd);
	free(c->input);
	free(c);
}

struct client *client_create(struct session *s, int fd, loop_fn *fn)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->session = s;
	c->fd = fd;
	c->last = &c->first;
	if (loop_add(&s->loop, fd, EPOLLIN, fn, c)) {
		free(c);
		return NULL;
	}
	return c;
}
