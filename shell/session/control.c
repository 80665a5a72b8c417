/*
 * The control socket (docs/control.md): who is connected, and news for requests
 * that wait. One client's bytes are control_client.c's, what they say is
 * request.c's and ops_*.c's.
 *
 * Nothing here waits for a client: input is taken as it comes, a turn's worth at
 * a time; output that a client does not take waits in its queue, up to a limit.
 * Clients are freed at the end of the callbacks of this file only, so that an
 * operation may find that it has just lost its client and go on.
 */
#include "control_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ACCEPT_PAUSE_NS 200000000ull
#define STALE_PAUSE_NS 10000000
#define STALE_TRIES 100

struct control {
	struct client *clients;
	unsigned nclients, nguests; /* of which guests' */
	bool refreshing;            /* wire_refresh was called and is not done */
	uint64_t accept_at_ns; /* no descriptors for new clients: look again then; 0: listens */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

struct client *control_clients(struct session *s)
{
	struct control *ctl = s->control;

	return ctl ? ctl->clients : NULL;
}

bool control_has_clients(const struct session *s)
{
	const struct control *ctl = s->control;

	return ctl && ctl->nclients > ctl->nguests;
}

/* Frees the clients that have gone. Not from inside an operation. */
static void reap_clients(struct session *s)
{
	struct control *ctl = s->control;
	struct client **at = &ctl->clients;

	while (*at) {
		struct client *c = *at;

		if (!c->gone) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		ctl->nclients--;
		ctl->nguests -= c->guest[0] != '\0';
		client_release(c);
		client_destroy(c);
		at = &ctl->clients; /* what was released may have lost others */
	}
}

void control_broadcast(struct session *s, json_t *json)
{
	struct control *ctl = s->control;

	for (struct client *c = ctl ? ctl->clients : NULL; c && json; c = c->next) {
		if (c->subscribed)
			control_send(c, json_incref(json), NULL, 0);
	}
	json_decref(json);
}

void control_machine_event(struct machine *m, json_t *json)
{
	if (m->owner && !m->owner->subscribed && json)
		control_send(m->owner, json_incref(json), NULL, 0);
	control_broadcast(m->session, json);
}

void control_termios(struct machine *m, uint32_t flags)
{
	if (m->owner)
		control_send(m->owner,
			     json_pack("{s:s, s:s, s:I}", "event", "termios", "guest", m->name,
				       "flags", (json_int_t)flags),
			     NULL, 0);
}

/* ---- new clients ------------------------------------------------------------------- */

static void on_client(void *opaque, int fd, uint32_t events)
{
	struct client *c = opaque;
	struct session *s = c->session;

	if (events & EPOLLOUT)
		client_flush(c);
	if (!c->gone && (events & ~(uint32_t)EPOLLOUT))
		client_read(c);
	reap_clients(s);
}

static struct client *add_client(struct session *s, int fd)
{
	struct control *ctl = s->control;
	struct client *c = client_create(s, fd, on_client);

	if (!c)
		return NULL;
	c->next = ctl->clients;
	ctl->clients = c;
	ctl->nclients++;
	return c;
}

static const char full[] = "{\"id\":null,\"ok\":false,\"error\":{\"code\":\"limit\","
			   "\"message\":\"too many clients\"}}\n";

static void turn_away(int client)
{
	send(client, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(client);
}

void control_add_guest(struct session *s, int fd, const char *guest)
{
	struct control *ctl = s->control;
	int flags = fcntl(fd, F_GETFL);
	struct client *c;
	unsigned n = 0;

	for (c = control_clients(s); c; c = c->next)
		n += !strcmp(c->guest, guest);
	if (!ctl || n >= CONTROL_GUEST_CONNS_MAX || ctl->nguests >= CONTROL_GUEST_CLIENTS_MAX ||
	    flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || !(c = add_client(s, fd)))
		return turn_away(fd);
	snprintf(c->guest, sizeof(c->guest), "%s", guest);
	ctl->nguests++;
}

static void on_connect(void *opaque, int fd, uint32_t events)
{
	struct session *s = opaque;
	struct control *ctl = s->control;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
		loop_mod(&s->loop, fd, 0); /* it would be called again and again */
		ctl->accept_at_ns = launch_now_ns() + ACCEPT_PAUSE_NS;
		session_wake_at(s, ctl->accept_at_ns);
	}
	if (client < 0)
		return;
	if (ctl->nclients - ctl->nguests < CONTROL_CLIENTS_MAX && add_client(s, client))
		return;
	turn_away(client);
}

static struct control *make_control(struct session *s)
{
	struct control *ctl = s->control;

	if (ctl)
		return ctl;
	ctl = calloc(1, sizeof(*ctl));
	s->control = ctl;
	s->log_changed = control_machine_changed;
	return ctl;
}

int control_adopt_client(struct session *s, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (make_control(s) && flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK) &&
	    add_client(s, fd))
		return 0;
	close(fd);
	return -ENOMEM;
}

/* ---- clock and news ------------------------------------------------------------------- */

/*
 * Requests that wait are only marked when there is news, and looked at in the next
 * tick: the news comes from the depths of the lifecycle and of wires, and what an
 * operation does about it may be more news.
 */
static void mark(struct session *s, const struct machine *m)
{
	struct control *ctl = s->control;
	bool any = false;

	for (struct client *c = ctl ? ctl->clients : NULL; c; c = c->next) {
		for (struct request *r = c->requests; r; r = r->next) {
			if (!r->look || (m ? r->machine != m : !r->for_refresh))
				continue;
			r->news = any = true;
		}
	}
	if (any)
		session_wake_at(s, 1);
}

void control_machine_changed(struct machine *m)
{
	mark(m->session, m);
}

static void on_refreshed(void *opaque)
{
	struct session *s = opaque;
	struct control *ctl = s->control;

	if (!ctl)
		return;
	ctl->refreshing = false;
	mark(s, NULL);
}

void control_refresh(struct request *r)
{
	struct session *s = request_session(r);
	struct control *ctl = s->control;

	r->for_refresh = true;
	if (ctl->refreshing)
		return;
	ctl->refreshing = true;
	wire_refresh(s, on_refreshed, s);
}

bool control_is_refreshing(struct session *s)
{
	const struct control *ctl = s->control;

	return ctl->refreshing;
}

void control_stats(struct machine *m)
{
	if (m->stats_answered == m->stats_asked)
		mark(m->session, NULL);
}

/* The next request with news; marks are cleared one by one. */
static struct request *next_news(struct client *c, uint64_t now_ns)
{
	struct request *r = c->gone ? NULL : c->requests;

	while (r && !r->news && !(r->deadline_ns && r->deadline_ns <= now_ns))
		r = r->next;
	if (r) {
		r->news = false;
		r->due = r->deadline_ns && r->deadline_ns <= now_ns;
	}
	return r;
}

static void look_at_news(struct session *s, uint64_t now_ns)
{
	struct control *ctl = s->control;
	struct request *r;

	for (struct client *c = ctl->clients; c; c = c->next) {
		while ((r = next_news(c, now_ns))) {
			if (r->due)
				r->deadline_ns = 0;
			r->look(r);
		}
	}
}

void control_machine_forgotten(struct machine *m)
{
	struct control *ctl = m->session->control;
	struct request *r, *next;

	for (struct client *c = ctl ? ctl->clients : NULL; c; c = c->next) {
		for (r = c->requests; r; r = next) {
			next = r->next; /* these look functions free their own request only */
			if (r->machine != m || !r->look || r->look(r))
				continue;
			request_fail(r, CONTROL_ENDED, "%s was removed", m->name);
		}
	}
}

static void sooner(uint64_t *deadline, uint64_t at_ns)
{
	if (at_ns && (!*deadline || at_ns < *deadline))
		*deadline = at_ns;
}

uint64_t control_tick(struct session *s, uint64_t now_ns)
{
	struct control *ctl = s->control;
	uint64_t next = 0;

	if (!ctl)
		return 0;
	if (ctl->accept_at_ns && ctl->accept_at_ns <= now_ns) {
		ctl->accept_at_ns = 0;
		loop_mod(&s->loop, s->control_fd, EPOLLIN);
	}
	look_at_news(s, now_ns);
	reap_clients(s);
	sooner(&next, ctl->accept_at_ns);
	for (struct client *c = ctl->clients; c; c = c->next) {
		for (struct request *r = c->requests; r; r = r->next)
			sooner(&next, r->deadline_ns);
	}
	return next;
}

/* ---- listening ---------------------------------------------------------------------- */

/* 1, 0, or -errno. */
static int is_answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno != EAGAIN)
		err = errno;
	close(fd);
	return !err ? 1 : err == ECONNREFUSED ? 0 : -err;
}

/*
 * A socket that somebody answers at is not ours to replace. For a moment that can be a
 * VMM that a killed session was just launching, and that has yet to exec.
 */
static int remove_stale(const struct sockaddr_un *address, char why[512])
{
	const struct timespec pause = {.tv_nsec = STALE_PAUSE_NS};
	struct stat st;
	int answered;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, 512, "%s: something else is there; move it away", address->sun_path);
		return -EEXIST;
	}
	for (int i = 0; (answered = is_answered(address)) == 1 && i < STALE_TRIES; i++)
		nanosleep(&pause, NULL);
	if (answered == 1) {
		snprintf(why, 512, "%s: somebody answers there", address->sun_path);
		return -EEXIST;
	}
	return answered < 0 ? answered : unlink(address->sun_path) ? -errno : 0;
}

/* It appears under its name when it listens, so who sees it can connect. */
static int bind_socket(struct session *s, const struct sockaddr_un *address)
{
	mode_t mask = umask(077);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un early = {.sun_family = AF_UNIX};
	int err = 0;

	snprintf(early.sun_path, sizeof(early.sun_path), "%.*s~", (int)sizeof(early.sun_path) - 2,
		 address->sun_path);
	(void)unlink(early.sun_path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&early, sizeof(early)) ||
	    chmod(early.sun_path, 0600) || listen(fd, 64) ||
	    rename(early.sun_path, address->sun_path))
		err = -errno;
	umask(mask);
	if (!err)
		err = loop_add(&s->loop, fd, EPOLLIN, on_connect, s);
	if (err && fd >= 0)
		close(fd);
	if (!err)
		s->control_fd = fd;
	return err;
}

int control_listen(struct session *s, char why[512])
{
	struct control *ctl = make_control(s);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	why[0] = '\0';
	if (!ctl)
		return -ENOMEM;
	err = snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", s->directory);
	if (err < 0 || (size_t)err >= sizeof(address.sun_path) - 1) { /* and a ~ meanwhile */
		snprintf(why, 512, "%s: too long for a socket's path", s->directory);
		return -ENAMETOOLONG;
	}
	err = remove_stale(&address, why);
	if (!err)
		err = bind_socket(s, &address);
	if (err && !why[0])
		snprintf(why, 512, "%s: %s", address.sun_path, strerror(-err));
	if (!err)
		memcpy(ctl->path, address.sun_path, sizeof(ctl->path));
	return err;
}

void control_finish(struct session *s)
{
	struct control *ctl = s->control;

	if (!ctl)
		return;
	control_unserve_guests(s);
	for (struct client *c = ctl->clients; c; c = c->next)
		c->gone = true;
	reap_clients(s);
	if (ctl->path[0]) {
		unlink(ctl->path);
		loop_del(&s->loop, s->control_fd);
		close(s->control_fd);
		s->control_fd = -1;
	}
	free(ctl);
	s->control = NULL;
}
