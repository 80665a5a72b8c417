/* exo connect and exo listen: a service on standard input and output. */
#include "pipe.h"

#include "commands.h"
#include "common.h"
#include "guest.h"
#include "help.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_BYTES 65536

/* ---- moving bytes ------------------------------------------------------------------- */

struct direction {
	int from, to;
	bool to_socket, done;
	bool message; /* keep its boundaries */
	size_t at, length, capacity;
	char *buffer;
};

/* What is empty is read, what is full is written. */
static void watch(const struct direction *d, struct pollfd *p)
{
	*p = (struct pollfd){d->done     ? -1
			     : d->length ? d->to
					 : d->from,
			     d->length ? POLLOUT : POLLIN, 0};
}

/* 0, or -errno: the end that is written to takes no more. */
static int write_some(struct direction *d)
{
	const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	ssize_t n = send(d->to, d->buffer + d->at, d->length, flags);

	if (n < 0 && errno == ENOTSOCK)
		n = write(d->to, d->buffer + d->at, d->length);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	d->at += (size_t)n;
	d->length -= d->message ? d->length : (size_t)n;
	return 0;
}

static int read_some(struct direction *d)
{
	ssize_t n = read(d->from, d->buffer, d->capacity);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	d->at = 0;
	d->length = (size_t)n;
	if (n)
		return 0;
	d->done = true;
	if (d->to_socket)
		shutdown(d->to, SHUT_WR);
	return 0;
}

static int move(struct direction *d, const struct pollfd *p)
{
	int err;

	if (d->done || !p->revents)
		return 0;
	err = d->length ? write_some(d) : read_some(d);
	if (!err)
		return 0;
	d->done = true;
	/* The other side reads no more, or is gone: what it sent is still to be read. */
	return d->to_socket || err == -ECONNRESET ? 0 : err;
}

static int move_all(struct direction *out, struct direction *in)
{
	struct pollfd p[2];
	int err = 0;

	while (!err && !(out->done && in->done)) {
		watch(out, &p[0]);
		watch(in, &p[1]);
		if (in->done && p[0].fd != out->to) { /* has it gone altogether? */
			struct pollfd gone = {out->to, 0, 0};

			p[1] = gone;
		}
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (in->done && p[1].revents & (POLLHUP | POLLERR))
			return 0;
		if (!(err = move(out, &p[0])))
			err = move(in, &p[1]);
	}
	return err;
}

int pipe_run(int fd, bool seqpacket)
{
	struct guest g;
	struct direction out = {.from = STDIN_FILENO, .to = fd, .to_socket = true};
	struct direction in = {.from = fd, .to = STDOUT_FILENO};
	int err = -ENOMEM;

	/* Streams that do not block, without a change to those of our parent. */
	guest_init(&g);
	guest_take_stdio(&g);
	g.stream[2].reopened = false;
	guest_reopen_stdio(&g);
	if (g.stream[0].fd >= 0)
		out.from = g.stream[0].fd;
	if (g.stream[1].fd >= 0)
		in.to = g.stream[1].fd;
	out.message = seqpacket;
	out.capacity = STREAM_BYTES;
	in.capacity = seqpacket ? PIPE_MESSAGE_MAX : STREAM_BYTES;
	out.buffer = malloc(out.capacity);
	in.buffer = malloc(in.capacity);
	if (out.buffer && in.buffer)
		err = move_all(&out, &in);
	free(out.buffer);
	free(in.buffer);
	guest_finish(&g);
	return err;
}

/* ---- exo connect --------------------------------------------------------------------- */

enum { OPTION_SEQPACKET = 2, OPTION_EXEC };

static int apply(void *opaque, int id, char *value)
{
	*(bool *)opaque = true;
	return 0;
}

json_t *pipe_connect_request(const char *target, bool seqpacket)
{
	const char *colon = strchr(target, ':'), *type = seqpacket ? "seqpacket" : "stream";
	size_t length = colon ? (size_t)(colon - target) : 0;
	uint64_t port;
	json_t *request;

	if (!colon)
		return json_pack("{s:s,s:s,s:s}", "op", "connect", "service", target, "type", type);
	request = json_pack("{s:s,s:s#,s:s}", "op", "connect", "guest", target, (int)length, "type",
			    type);
	if (!opts_parse_number(colon + 1, 0, UINT32_MAX, &port))
		json_object_set_new(request, "port", json_integer((json_int_t)port));
	else
		json_object_set_new(request, "service", json_string(colon + 1));
	return request;
}

static int run_connection(const char *command, int fd, bool seqpacket)
{
	int err = pipe_run(fd, seqpacket);

	close(fd);
	if (!err)
		return 0;
	return text_error(CLI_REFUSED, "%s: %s", command, strerror(-err));
}

int connect_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"seqpacket", 0, false, OPTION_SEQPACKET}, COMMON_HELP_DEF, {NULL}};
	bool seqpacket = false;
	struct cli c;
	char **target;
	int fd, err = common_parse(argv, options, apply, &seqpacket, 1, 1,
				   "[--seqpacket] SERVICE | GUEST:SERVICE | GUEST:PORT", &target);

	if (err || (err = cli_open(&c, "connect")))
		return common_end(err);
	/* A provider that has to be started may take its time: the session knows how long. */
	err = cli_call(&c, pipe_connect_request(*target, seqpacket), 6 * CLIENT_TIMEOUT_NS, NULL);
	fd = err ? -1 : cli_take_fd(&c);
	if (err)
		common_fail(&c, "connect", err);
	else if (fd < 0)
		err = text_error(CLI_TROUBLE, "connect: the session sent no connection");
	cli_finish(&c);
	return err ? err : run_connection("connect", fd, seqpacket);
}

/* ---- exo listen ------------------------------------------------------------------------ */

struct listen {
	const char *service;
	bool seqpacket;
	char **command; /* NULL: standard input and output */
};

/* 0, COMMON_DONE or an exit code. */
static int parse_listen(char **argv, struct listen *l)
{
	static const struct opts_def options[] = {{"seqpacket", 0, false, OPTION_SEQPACKET},
						  {"exec", 0, false, OPTION_EXEC},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct opts o;
	int id;

	opts_init(&o, options, argv);
	for (;;) {
		id = opts_next(&o);
		if (id == OPTS_ERROR)
			return text_error(CLI_TROUBLE, "listen: %s; try exo listen --help",
					  o.error);
		if (id == COMMON_HELP)
			return help_print("listen") ? CLI_TROUBLE : COMMON_DONE;
		if (id == OPTION_SEQPACKET)
			l->seqpacket = true;
		if (id == OPTION_EXEC) {
			l->command = argv + o.pos;
			break;
		}
		if (id != OPTS_DONE)
			continue;
		if (!argv[o.pos] || l->service)
			break;
		l->service = argv[o.pos++];
	}
	if (!l->service || (l->command ? !*l->command : !!argv[o.pos]))
		return text_error(CLI_TROUBLE, "usage: exo listen [--seqpacket] SERVICE "
					       "[--exec COMMAND…]; try exo listen --help");
	return 0;
}

/* A process of its own for each connection; it is nobody's to wait for. */
static int run_child(const struct listen *l, const json_t *event, int fd)
{
	pid_t pid = fork();

	if (pid < 0)
		return text_error(0, "listen: fork: %s", strerror(errno));
	if (pid)
		return 0;
	signal(SIGCHLD, SIG_DFL);
	setenv("EXO_PEER", cli_text(event, "from"), 1);
	setenv("EXO_LABEL", cli_text(event, "label"), 1);
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(GUEST_EXIT_FAILURE);
	execvp(l->command[0], l->command);
	_exit(text_error(GUEST_EXIT_NOT_FOUND, "listen: %s: %s", l->command[0], strerror(errno)));
}

/* The first connection, or -1 when the session is lost; with a command: never the first. */
static int serve(const struct listen *l, struct cli *c)
{
	json_t *line;
	int fd = -1;

	while (!cli_read(c, 0, &line)) {
		if (!strcmp(cli_text(line, "event"), "connection"))
			fd = cli_take_fd(c);
		if (fd >= 0 && l->command) {
			run_child(l, line, fd);
			close(fd);
			fd = -1;
		}
		json_decref(line);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* The first connection may come with the answer's bytes, not before them. */
int listen_command(char **argv, uint64_t start_ns)
{
	struct listen l = {0};
	struct cli c;
	int fd, err = parse_listen(argv, &l);

	if (err || (err = cli_open(&c, "listen")))
		return common_end(err);
	if (l.command)
		signal(SIGCHLD, SIG_IGN); /* the kernel buries them */
	err = cli_call(&c,
		       json_pack("{s:s,s:s,s:s}", "op", "listen", "service", l.service, "type",
				 l.seqpacket ? "seqpacket" : "stream"),
		       CLIENT_TIMEOUT_NS, NULL);
	fd = err ? -1 : serve(&l, &c);
	if (fd < 0)
		err = common_fail(&c, "listen", err ? err : CLI_TROUBLE);
	cli_finish(&c); /* the service ends; the connection goes on */
	return err ? err : run_connection("listen", fd, l.seqpacket);
}
