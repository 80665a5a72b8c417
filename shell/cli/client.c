/* A client of the control socket; see client.h. */
#include "client.h"

#include "clock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- connecting ----------------------------------------------------------------- */

static int join(char path[CLIENT_PATH_MAX], const char *folder, const char *tail)
{
	int n = snprintf(path, CLIENT_PATH_MAX, "%s%s", folder, tail);

	return n < 0 || n >= CLIENT_PATH_MAX ? -ENAMETOOLONG : 0;
}

int cli_socket_path_in(const char *folder, char path[CLIENT_PATH_MAX])
{
	return join(path, folder, "/control");
}

int cli_socket_path(char path[CLIENT_PATH_MAX])
{
	const char *named = getenv("EXO_SESSION"), *runtime = getenv("XDG_RUNTIME_DIR");
	int n;

	if (named && *named)
		return cli_socket_path_in(named, path);
	if (runtime && *runtime)
		return join(path, runtime, "/exo/control");
	n = snprintf(path, CLIENT_PATH_MAX, "/tmp/exo-%u/control", (unsigned)getuid());
	return n < 0 || n >= CLIENT_PATH_MAX ? -ENAMETOOLONG : 0;
}

/* In /tmp anybody may have been there first. */
static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

int cli_dial(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd, err = 0;

	if (length >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		err = -errno;
	else if (!is_ours(fd))
		err = -EPERM;
	if (!err && fd <= STDERR_FILENO) { /* one of these is closed: it is for no socket */
		int other = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

		err = other < 0 ? -errno : 0;
		close(fd);
		fd = other;
	} else if (err) {
		close(fd);
	}
	return err ? err : fd;
}

void cli_init(struct cli *c, int fd)
{
	*c = (struct cli){.fd = fd};
}

void cli_finish(struct cli *c)
{
	if (c->fd >= 0)
		close(c->fd);
	for (unsigned i = 0; i < c->nfds; i++)
		close(c->fds[i]);
	free(c->in);
	cli_init(c, -1);
}

int cli_open(struct cli *c, const char *command)
{
	char path[CLIENT_PATH_MAX];
	int fd = cli_socket_path(path);

	if (!fd)
		fd = cli_dial(path);
	cli_init(c, fd < 0 ? -1 : fd);
	if (fd >= 0)
		return 0;
	if (fd == -ENOENT || fd == -ECONNREFUSED || fd == -ENOTDIR)
		return text_error(CLI_TROUBLE,
				  "%s: no session runs here; start one with: exo session &",
				  command);
	if (fd == -ENAMETOOLONG)
		return text_error(CLI_TROUBLE,
				  "%s: the session's folder has too long a name; set EXO_SESSION "
				  "to a shorter one",
				  command);
	if (fd == -EPERM)
		return text_error(CLI_TROUBLE,
				  "%s: %s belongs to another user; set EXO_SESSION to a folder of "
				  "yours",
				  command, path);
	return text_error(CLI_TROUBLE, "%s: %s: %s", command, path, strerror(-fd));
}

/* ---- sending ---------------------------------------------------------------------- */

static void say(struct cli *c, const char *code, const char *why)
{
	snprintf(c->code, sizeof(c->code), "%s", code);
	snprintf(c->why, sizeof(c->why), "%s", why);
	text_make_printable(c->why);
}

static int lose(struct cli *c)
{
	say(c, "lost", "the session hung up; exo session & starts one");
	return -ECONNRESET;
}

/* All bytes, the descriptors with the first of them. */
static int send_all(int fd, const char *bytes, size_t length, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CLIENT_FDS_MAX)];
	} control = {0};

	while (length) {
		struct iovec iov = {(char *)(uintptr_t)bytes, length};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (nfds) {
			struct cmsghdr *h = &control.align;

			m.msg_control = control.bytes;
			m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
			h->cmsg_level = SOL_SOCKET;
			h->cmsg_type = SCM_RIGHTS;
			h->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
			memcpy(CMSG_DATA(h), fds, sizeof(int) * nfds);
		}
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		nfds = 0;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

unsigned cli_send(struct cli *c, json_t *request, const int *fds, unsigned nfds)
{
	unsigned id = ++c->next_id;
	char *line = NULL;
	size_t length;
	int err = 0;

	if (request && !json_object_set_new(request, "id", json_integer(id)) &&
	    (!nfds || !json_object_set_new(request, "fds", json_integer(nfds))))
		line = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!line || nfds > CLIENT_FDS_MAX) {
		free(line);
		say(c, "bad-request", "a name or argument is not UTF-8");
		return 0;
	}
	length = strlen(line);
	if (length >= CLIENT_REQUEST_MAX) {
		free(line);
		say(c, "bad-request",
		    "the request is longer than 64 KiB: fewer or shorter arguments");
		return 0;
	}
	line[length] = '\n'; /* instead of the terminator */
	err = c->fd < 0 ? -EPIPE : send_all(c->fd, line, length + 1, fds, nfds);
	free(line);
	if (err)
		lose(c);
	return err ? 0 : id;
}

/* ---- receiving ---------------------------------------------------------------------- */

static bool make_room(struct cli *c)
{
	size_t capacity = 2 * c->capacity + 4096;
	char *in;

	if (c->start) {
		c->length -= c->start;
		memmove(c->in, c->in + c->start, c->length);
		c->start = 0;
	}
	if (c->capacity - c->length >= 4096)
		return true;
	in = c->capacity > CLIENT_LINE_MAX ? NULL : realloc(c->in, capacity);
	if (!in)
		return false;
	c->in = in;
	c->capacity = capacity;
	return true;
}

static void keep_fds(struct cli *c, struct msghdr *m)
{
	/* One SCM_RIGHTS message at a time is all that the kernel ever delivers. */
	const struct cmsghdr *h = m->msg_controllen ? CMSG_FIRSTHDR(m) : NULL;
	int fd;

	if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
		return;
	for (size_t at = CMSG_LEN(0); at + sizeof(fd) <= h->cmsg_len; at += sizeof(fd)) {
		memcpy(&fd, (const char *)h + at, sizeof(fd));
		if (c->nfds < CLIENT_FDS_MAX)
			c->fds[c->nfds++] = fd;
		else
			close(fd);
	}
}

int cli_receive(struct cli *c)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * CLIENT_FDS_MAX)];
	} control;
	struct iovec iov;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (c->fd < 0 || !make_room(c))
		return lose(c);
	iov = (struct iovec){c->in + c->length, c->capacity - c->length};
	m.msg_control = control.bytes;
	m.msg_controllen = sizeof(control.bytes);
	n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return lose(c);
	keep_fds(c, &m);
	c->length += (size_t)n;
	return 0;
}

static void drop_fds(struct cli *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(c->fds[i]);
	c->nfds -= n;
	memmove(c->fds, c->fds + n, c->nfds * sizeof(int));
}

int cli_take_fd(struct cli *c)
{
	int fd;

	if (!c->line_fds)
		return -1;
	c->line_fds--;
	fd = c->fds[0];
	c->nfds--;
	memmove(c->fds, c->fds + 1, c->nfds * sizeof(int));
	return fd;
}

int cli_next(struct cli *c, json_t **line)
{
	char *end =
		c->length > c->start ? memchr(c->in + c->start, '\n', c->length - c->start) : NULL;
	int64_t nfds;

	drop_fds(c, c->line_fds);
	c->line_fds = 0;
	if (!end)
		return 0;
	*line = json_loadb(c->in + c->start, (size_t)(end - c->in) - c->start, 0, NULL);
	c->start = (size_t)(end - c->in) + 1;
	nfds = cli_int(*line, "fds");
	if (!json_is_object(*line) || nfds < 0 || nfds > c->nfds) {
		json_decref(*line);
		say(c, "internal", "what listens there does not talk as a session does");
		return -EPROTO;
	}
	c->line_fds = (unsigned)nfds;
	return 1;
}

/* Milliseconds for poll, rounded up; -1: for ever. */
static int until_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_now_ns();

	if (!deadline_ns)
		return -1;
	if (deadline_ns <= now)
		return 0;
	deadline_ns = (deadline_ns - now) / 1000000 + 1;
	return deadline_ns > 1000000000 ? 1000000000 : (int)deadline_ns;
}

int cli_read(struct cli *c, uint64_t deadline_ns, json_t **line)
{
	for (;;) {
		struct pollfd p = {c->fd, POLLIN, 0};
		int err = cli_next(c, line);

		if (err)
			return err < 0 ? err : 0;
		err = poll(&p, 1, until_ms(deadline_ns));
		if (err < 0 && errno != EINTR)
			return lose(c);
		if (!err && deadline_ns && clock_now_ns() >= deadline_ns) {
			say(c, "timeout", "the session does not answer");
			return -ETIMEDOUT;
		}
		if (err > 0 && (err = cli_receive(c)))
			return err;
	}
}

/* ---- calls ---------------------------------------------------------------------------- */

int cli_judge(struct cli *c, const json_t *line, unsigned id)
{
	const json_t *error = json_object_get(line, "error");
	const json_t *answered = json_object_get(line, "id");
	const char *code = cli_text(error, "code");

	if (json_object_get(line, "event"))
		return -1;
	/* Without an id: it refuses us as a whole, as one client too many. */
	if (!json_is_null(answered) && json_integer_value(answered) != id)
		return -1;
	if (cli_flag(line, "ok"))
		return 0;
	say(c, *code ? code : "internal",
	    *cli_text(error, "message") ? cli_text(error, "message") : "refused, without a reason");
	c->exit_code = (int)cli_int(error, "exit_code");
	return strcmp(c->code, "internal") && strcmp(c->code, "bad-request") ? CLI_REFUSED
									     : CLI_TROUBLE;
}

int cli_call_fds(struct cli *c, json_t *request, const int *fds, unsigned nfds, uint64_t timeout_ns,
		 json_t **answer)
{
	uint64_t deadline_ns = timeout_ns ? clock_now_ns() + timeout_ns : 0;
	unsigned id = cli_send(c, request, fds, nfds);
	json_t *line;
	int status;

	if (!id)
		return CLI_TROUBLE;
	for (;;) {
		if (cli_read(c, deadline_ns, &line))
			return CLI_TROUBLE;
		status = cli_judge(c, line, id);
		if (status < 0 && c->on_event && json_object_get(line, "event"))
			c->on_event(c->opaque, c, line);
		if (!status && answer)
			*answer = json_incref(line);
		json_decref(line);
		if (status >= 0)
			return status;
	}
}

int cli_call(struct cli *c, json_t *request, uint64_t timeout_ns, json_t **answer)
{
	return cli_call_fds(c, request, NULL, 0, timeout_ns, answer);
}

/* ---- fields ----------------------------------------------------------------------------- */

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

int64_t cli_int(const json_t *object, const char *key)
{
	return (int64_t)json_integer_value(json_object_get(object, key));
}

bool cli_flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const json_t *cli_list(const json_t *object, const char *key)
{
	const json_t *list = json_object_get(object, key);

	return json_is_array(list) ? list : NULL; /* of size 0, then */
}
