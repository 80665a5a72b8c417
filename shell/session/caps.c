/*
 * What guests ask the session on port 1: conversations, one packet a request, one a
 * answer. Nothing waits for a guest: answers that it does not take stop its
 * requests from being read, and who has too many unanswered is told -EBUSY.
 */
#include "caps_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 16 /* requests, then others get their turn */

static void hang_up(struct conversation *c)
{
	struct conversation **at = (struct conversation **)&c->m->caps;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	loop_del(&c->m->session->loop, c->fd);
	close(c->fd);
	free(c);
}

/* ---- answers ----------------------------------------------------------------------- */

/* 0; -EAGAIN: it is full. An end that is gone is heard of when it is read. */
static int put(const struct conversation *c, const struct exo_cap_msg *msg)
{
	ssize_t n = send(c->fd, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

static void answer(struct conversation *c, const struct exo_cap_msg *msg)
{
	if (!c->nout && !put(c, msg))
		return;
	/* Room for one more than may wait: the -EBUSY, after which nothing is read. */
	if (c->nout <= CAPS_UNANSWERED_MAX)
		c->out[c->nout++] = *msg;
	loop_mod(&c->m->session->loop, c->fd, EPOLLOUT);
}

static void flush(struct conversation *c)
{
	unsigned done = 0;

	while (done < c->nout && !put(c, &c->out[done]))
		done++;
	memmove(c->out, c->out + done, (c->nout - done) * sizeof(c->out[0]));
	c->nout -= done;
	if (!c->nout)
		loop_mod(&c->m->session->loop, c->fd, EPOLLIN);
}

static void drop_waiting(struct conversation *c, unsigned i)
{
	c->nwaiting--;
	memmove(&c->waiting[i], &c->waiting[i + 1], (c->nwaiting - i) * sizeof(c->waiting[0]));
}

void caps_answer(struct machine *m, void *conversation, const struct exo_cap_msg *msg)
{
	struct conversation *c = m->caps;

	while (c && c != conversation) /* it may have hung up meanwhile */
		c = c->next;
	for (unsigned i = 0; c && i < c->nwaiting; i++) {
		if (c->waiting[i].id != msg->id || c->waiting[i].op != msg->op)
			continue;
		drop_waiting(c, i);
		answer(c, msg);
		return;
	}
}

/* ---- requests ------------------------------------------------------------------------- */

/* Two requests that wait could not be told apart. */
static bool is_id_used(const struct conversation *c, uint32_t id)
{
	for (unsigned i = 0; i < c->nwaiting; i++) {
		if (c->waiting[i].id == id)
			return true;
	}
	return false;
}

/* An answer has what the op fills in, and nothing of the request besides. */
static void carry_out(struct conversation *c, const struct exo_cap_msg *request)
{
	struct exo_cap_msg msg = *request;
	int status = -EBUSY;

	if (c->nwaiting + c->nout < CAPS_UNANSWERED_MAX) {
		status = request->op && request->op < EXO_CAP_OPS ? -EINVAL : -ENOSYS;
		if (status == -EINVAL && caps_is_sound(request) && !is_id_used(c, request->id))
			status = caps_obey(c, &msg);
	}
	if (status == -EINPROGRESS) {
		c->waiting[c->nwaiting++] = *request;
		return;
	}
	if (status)
		msg = (struct exo_cap_msg){0};
	msg.op = request->op;
	msg.id = request->id;
	msg.status = status;
	answer(c, &msg);
}

static void on_request(void *opaque, int fd, uint32_t events)
{
	struct conversation *c = opaque;
	struct exo_cap_msg msg;
	ssize_t n;

	if (events & EPOLLOUT)
		flush(c);
	for (int i = 0; i < BATCH && !c->nout; i++) {
		n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n != (ssize_t)sizeof(msg)) {
			hang_up(c); /* gone, or it does not speak this */
			return;
		}
		carry_out(c, &msg);
	}
	if (c->nout && events & (EPOLLHUP | EPOLLERR))
		hang_up(c);
}

/* ---- what waited ------------------------------------------------------------------------ */

static bool is_at(const struct machine *m, const struct exo_cap_msg *request, uint32_t conn)
{
	uint32_t found = policy_conn_find(m->session->policy, m->subject, request->local_port,
					  request->peer_port);

	return found == conn || !found;
}

static void look_again(struct conversation *c, uint32_t conn)
{
	for (unsigned i = 0; i < c->nwaiting;) {
		struct exo_cap_msg msg = c->waiting[i], request = msg;
		int status;

		if ((msg.op != EXO_CAP_TAKE && msg.op != EXO_CAP_MEM_ACCEPT) ||
		    !is_at(c->m, &msg, conn) || (status = caps_obey(c, &msg)) == -EINPROGRESS) {
			i++;
			continue;
		}
		drop_waiting(c, i);
		if (status)
			msg = (struct exo_cap_msg){0};
		msg.op = request.op;
		msg.id = request.id;
		msg.status = status;
		answer(c, &msg);
	}
}

void caps_offered(struct session *s, uint32_t conn)
{
	for (struct machine *m = s->machines; m; m = m->next) {
		for (struct conversation *c = m->caps; c; c = c->next)
			look_again(c, conn);
	}
}

/* ---- conversations ----------------------------------------------------------------------- */

int caps_open(struct machine *m)
{
	struct conversation *c;
	unsigned count = 0;
	int pair[2], err;

	for (c = m->caps; c; c = c->next)
		count++;
	if (count >= CAPS_CONVERSATIONS_MAX)
		return -ENOBUFS;
	c = calloc(1, sizeof(*c));
	if (!c || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		free(c);
		return -ENOBUFS;
	}
	c->m = m;
	c->fd = pair[0];
	err = loop_add(&m->session->loop, c->fd, EPOLLIN, on_request, c);
	if (err) {
		close(pair[0]);
		close(pair[1]);
		free(c);
		return -ENOBUFS;
	}
	c->next = m->caps;
	m->caps = c;
	return pair[1];
}

void caps_machine_gone(struct machine *m)
{
	while (m->caps)
		hang_up(m->caps);
}
