/*
 * exo run through a session: the guest is started with `attach`, so that it ends
 * with us; its streams are ours. If the session dies, its guests go on: then we
 * look for the next session for a while and wait for the guest's end there.
 *
 * A terminal's input passes through here, because the VMM is no child of ours:
 * it must not read a terminal whose foreground it may not belong to.
 */
#include "run_join.h"

#include "client.h"
#include "clock.h"
#include "manifest.h"
#include "run_priv.h"
#include "start.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_NS 50000000ull        /* between two looks for a new session */
#define RETRY_FOR_NS 10000000000ull /* then the guest is lost to us */
#define PAUSE_NS 1000000000ull      /* before a stop: for a guest that is just starting */
#define ARGS_MAX 32768 /* bytes of arguments and environment: a request is at most 64 KiB */

struct join {
	struct cli c;
	char path[CLIENT_PATH_MAX]; /* of the socket; "" of a private session */
	char manifest[START_PATH_MAX];
	char name[64]; /* of the guest, "": not known yet */
	json_t *request;
	bool over;     /* found out outside of handle */
	bool running;  /* the program takes signals */
	json_t *early; /* requests for when it does: its first output may be faster than the news */
	int null_fd;
	unsigned start_id, wait_id;           /* requests that are unanswered, 0: none */
	uint64_t retry_at_ns, retry_until_ns; /* the session is lost; 0: it is not */
};

/* ---- a session --------------------------------------------------------------------------- */

/* The child; never returns. Signals of the terminal are for us to pass on. */
static void exec_session(int fd)
{
	char self[START_PATH_MAX], number[16];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* The ends of our pipes are for the guest alone. */
	setsid();
	if (n > 0 && dup2(null, STDIN_FILENO) == 0 && dup2(null, STDOUT_FILENO) > 0 &&
	    !fcntl(fd, F_SETFD, 0)) {
		self[n] = '\0';
		snprintf(number, sizeof(number), "%d", fd);
		execl(self, "exo", "session", "--private", number, (char *)NULL);
	}
	_exit(GUEST_EXIT_FAILURE);
}

/* A session of our own: it ends when we hang up. The client's fd, or -errno. */
static int start_session(void)
{
	int pair[2], err;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (!pid)
		exec_session(pair[1]);
	err = -errno;
	close(pair[1]);
	if (pid > 0)
		return pair[0];
	close(pair[0]);
	return err;
}

/* ---- start ---------------------------------------------------------------------------------- */

/* Terminal or kernel: what the kind of guest decides. 0 or an exit code. */
static int look_at_program(struct run *r)
{
	char why[MANIFEST_WHY_MAX];
	struct manifest *m = NULL;
	int err;

	if (!r->manifest) {
		r->guest.cpus += !r->guest.cpus;
		return guest_open_program(&r->guest);
	}
	if (manifest_load(r->manifest, &m, why))
		return text_error(GUEST_EXIT_FAILURE, "%s", why);
	r->guest.program = m->file;
	if (!r->guest.ram_bytes)
		r->guest.ram_bytes = m->memory_bytes;
	if (!r->guest.cpus)
		r->guest.cpus = m->cpus ? m->cpus : 1;
	if (!r->is_named)
		snprintf(r->guest.name, sizeof(r->guest.name), "%s", m->name);
	if (r->guest.program_fd >= 0) /* the manifest may name another */
		close(r->guest.program_fd);
	r->guest.program_fd = -1;
	err = guest_open_program(&r->guest);
	r->guest.program = r->guest.args[0];
	manifest_free(m);
	return err;
}

static json_t *tty_fields(const struct guest *g)
{
	return json_pack("{s:i,s:i,s:b,s:b,s:b}", "rows", (int)g->tty_rows, "cols",
			 (int)g->tty_cols, "in", g->stream[0].terminal, "out",
			 g->stream[1].terminal, "err", g->stream[2].terminal);
}

static int make_request(struct run *r)
{
	struct start_extra x = {.manifest = r->manifest,
				.is_named = r->is_named,
				.mount = r->mount,
				.grant = r->grant,
				.nmounts = r->nmounts,
				.ngrants = r->ngrants};
	char why[START_WHY_MAX];

	r->join->request = start_request(&r->guest, &x, why);
	if (!r->join->request)
		return text_error(GUEST_EXIT_FAILURE, "%s", why);
	json_object_set_new(r->join->request, "attach", json_true());
	json_object_set_new(r->join->request, "tty", tty_fields(&r->guest));
	return 0;
}

static int pass_terminal(struct run *r)
{
	struct guest_stream *in = &r->guest.stream[0];
	int fd, err = run_set_up_terminal(r);

	if (err || !in->terminal || !r->guest.is_sdk)
		return err;
	fd = tty_make_pipe(&r->tty);
	if (fd < 0)
		return text_error(GUEST_EXIT_FAILURE, "terminal: %s", strerror(-fd));
	if (in->fd > STDERR_FILENO)
		close(in->fd);
	in->fd = fd;
	in->reopened = true;
	return 0;
}

static int start(struct run *r)
{
	struct join *j = r->join;
	int fds[3], err = make_request(r);

	if (!err)
		err = look_at_program(r);
	if (!err)
		err = run_open_signal_fd(r);
	if (err)
		return err;
	guest_reopen_stdio(&r->guest);
	if ((err = pass_terminal(r)))
		return err;
	j->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		fds[i] = r->guest.stream[i].fd >= 0 ? r->guest.stream[i].fd : j->null_fd;
	j->start_id = cli_send(&j->c, j->request, fds, 3);
	j->request = NULL;
	if (!j->start_id)
		return text_error(GUEST_EXIT_FAILURE, "%s: %s", r->guest.name, j->c.why);
	return 0;
}

/* ---- while it runs ------------------------------------------------------------------------ */

/* Nobody waits for these answers. */
static void tell(struct run *r, json_t *request)
{
	struct join *j = r->join;

	if (j->c.fd < 0 || !*j->name) {
		json_decref(request);
		return;
	}
	json_object_set_new(request, "guest", json_string(j->name));
	if (j->running || !strcmp(cli_text(request, "op"), "kill"))
		cli_send(&j->c, request, NULL, 0);
	else
		json_array_append_new(j->early, request);
}

static void tell_early(struct join *j)
{
	json_t *request;
	size_t i;

	j->running = true;
	json_array_foreach(j->early, i, request)
	{
		cli_send(&j->c, json_incref(request), NULL, 0);
	}
	json_array_clear(j->early);
}

static void signal_guest(struct run *r, int signo)
{
	tell(r, json_pack("{s:s,s:i}", "op", "signal", "signal", signo));
}

static void kill_guest(struct run *r, int signo)
{
	struct join *j = r->join;

	if (*j->name) {
		tell(r, json_pack("{s:s}", "op", "kill"));
		return;
	}
	/* It has not started: who hangs up ends it. */
	cli_finish(&j->c);
	r->report.end.reason = EXO_END_KILLED;
	r->report.end.status = (uint32_t)signo;
}

static void winch(struct run *r, uint32_t rows, uint32_t cols)
{
	tell(r, json_pack("{s:s,s:i,s:i}", "op", "winch", "rows", (int)rows, "cols", (int)cols));
}

static unsigned poll_fds(struct run *r, struct pollfd *fds)
{
	fds[0] = (struct pollfd){r->join->c.fd, POLLIN, 0};
	return 1;
}

static uint64_t deadline(const struct run *r)
{
	if (r->report.end.reason || r->join->over) /* killed before it was there */
		return 1;
	return r->join->wait_id ? 0 : r->join->retry_at_ns;
}

static void take_end(struct run *r, const json_t *fields)
{
	r->report.end.reason = report_reason_by_name(cli_text(fields, "reason"));
	r->report.end.status = (uint32_t)cli_int(fields, "status");
	snprintf(r->report.end.detail, sizeof(r->report.end.detail), "%s",
		 cli_text(fields, "detail"));
	if (!r->report.end.reason && !*r->report.end.detail)
		snprintf(r->report.end.detail, sizeof(r->report.end.detail), "the VMM was lost");
	text_make_printable(r->report.end.detail);
}

static bool lose(struct run *r)
{
	struct join *j = r->join;

	cli_finish(&j->c);
	j->wait_id = 0;
	if (*j->path && *j->name) {
		j->retry_until_ns = clock_now_ns() + RETRY_FOR_NS;
		j->retry_at_ns = clock_now_ns() + RETRY_NS;
		return false;
	}
	snprintf(r->report.end.detail, sizeof(r->report.end.detail), "the session was lost");
	return true;
}

/* The session that was there, or the next: does it know the guest? */
static bool retry(struct run *r)
{
	struct join *j = r->join;
	uint64_t now = clock_now_ns();
	int fd;

	if (now >= j->retry_until_ns) {
		snprintf(r->report.end.detail, sizeof(r->report.end.detail),
			 "the session was lost; exo session finds its guests again");
		return true;
	}
	j->retry_at_ns = now + RETRY_NS;
	if (j->c.fd < 0) {
		fd = cli_dial(j->path);
		if (fd < 0)
			return false;
		cli_init(&j->c, fd);
		j->wait_id = 0;
	}
	if (!j->wait_id) {
		j->wait_id = cli_send(
			&j->c,
			json_pack("{s:s,s:s,s:s}", "op", "wait", "guest", j->name, "for", "ended"),
			NULL, 0);
	}
	return false;
}

static bool handle_answer(struct run *r, const json_t *line)
{
	struct join *j = r->join;
	int status;

	if (j->start_id && (status = cli_judge(&j->c, line, j->start_id)) >= 0) {
		j->start_id = 0;
		snprintf(j->name, sizeof(j->name), "%s", cli_text(line, "guest"));
		r->started = true;
		if (!status)
			snprintf(r->guest.name, sizeof(r->guest.name), "%s", j->name);
		else
			r->status = text_error(j->c.exit_code ? j->c.exit_code : CLI_TROUBLE,
					       "%s: %s", r->guest.name, j->c.why);
		return status;
	}
	if (!j->wait_id || (status = cli_judge(&j->c, line, j->wait_id)) < 0)
		return false;
	j->wait_id = 0;
	if (status) /* not known: perhaps it is only not yet found again */
		return false;
	take_end(r, line);
	return true;
}

static bool handle_line(struct run *r, const json_t *line)
{
	const char *event = cli_text(line, "event");

	if (!*event)
		return handle_answer(r, line);
	if (!strcmp(event, "started")) {
		tell_early(r->join);
	} else if (!strcmp(event, "termios")) {
		tty_set(&r->tty, (uint32_t)cli_int(line, "flags"));
	} else if (!strcmp(event, "ended") && !cli_flag(line, "restarting")) {
		take_end(r, line);
		return true;
	}
	return false;
}

static bool handle_lines(struct run *r)
{
	struct join *j = r->join;
	bool gone = cli_receive(&j->c) < 0, over = false;
	json_t *line;
	int got = 0;

	while (!over && (got = cli_next(&j->c, &line)) > 0) {
		over = handle_line(r, line);
		json_decref(line);
	}
	return over || ((gone || got < 0) && lose(r));
}

/* We are about to be stopped: what is to be told has to be told now. */
static void stop(struct run *r, bool stopped)
{
	uint64_t until_ns = clock_now_ns() + PAUSE_NS;
	struct join *j = r->join;

	while (stopped && !j->running && !j->over && clock_now_ns() < until_ns) {
		struct pollfd p = {j->c.fd, POLLIN, 0};

		if (poll(&p, 1, 100) > 0)
			j->over = handle_lines(r);
	}
	tell(r, json_pack("{s:s}", "op", stopped ? "pause" : "resume"));
}

static bool handle(struct run *r, const struct pollfd *fds, unsigned nfds)
{
	struct join *j = r->join;

	if (r->report.end.reason || j->over)
		return true;
	if (fds[0].revents && handle_lines(r))
		return true;
	if (!j->retry_at_ns || j->wait_id) /* nothing lost, or found again */
		return false;
	return clock_now_ns() >= j->retry_at_ns && retry(r);
}

static void complete(struct run *r) {}

static void finish(struct run *r)
{
	struct join *j = r->join;

	cli_finish(&j->c);
	json_decref(j->request);
	json_decref(j->early);
	if (j->null_fd >= 0)
		close(j->null_fd);
	free(j);
	r->join = NULL;
}

static const struct run_way run_joined = {
	.start = start,
	.poll = poll_fds,
	.deadline = deadline,
	.handle = handle,
	.signal = signal_guest,
	.kill = kill_guest,
	.winch = winch,
	.stop = stop,
	.complete = complete,
	.finish = finish,
};

/* ---- which way ----------------------------------------------------------------------------- */

/* Takes over fd. */
static int join_session(struct run *r, int fd, const char *path, const char *manifest)
{
	struct join *j = calloc(1, sizeof(*j));

	if (!j) {
		close(fd);
		return text_error(GUEST_EXIT_FAILURE, "out of memory");
	}
	cli_init(&j->c, fd);
	j->early = json_array();
	j->null_fd = -1;
	snprintf(j->path, sizeof(j->path), "%s", path);
	snprintf(j->manifest, sizeof(j->manifest), "%s", manifest);
	if (!r->manifest && *j->manifest)
		r->manifest = j->manifest;
	r->join = j;
	r->way = &run_joined;
	r->report.by_session = true;
	return 0;
}

/* What only a VMM of our own can do: an option, or "": something that a request cannot say. */
static const char *direct_only(const struct run *r)
{
	size_t bytes = 0;

	for (char *const *arg = r->guest.args; *arg; arg++)
		bytes += strlen(*arg) + 3;
	for (unsigned i = 0; i < r->guest.nenv; i++)
		bytes += strlen(r->guest.env[i]) + 3;
	if (bytes > ARGS_MAX || (r->is_named && !policy_name_is_valid(r->guest.name)))
		return "";
	return r->vsock_path ? "--vsock" : r->want_timings ? "--timings" : NULL;
}

int run_join_if_needed(struct run *r)
{
	char manifest[START_PATH_MAX] = "", path[CLIENT_PATH_MAX] = "";
	bool needed = r->manifest || r->nmounts || r->ngrants || r->guest.display.windows;
	int fd = -ENOENT;

	if (!needed && start_find_manifest(r->guest.program, manifest, &r->guest.program_fd))
		manifest[0] = '\0';
	needed = needed || manifest[0];
	if (needed && direct_only(r) && *direct_only(r))
		return text_error(GUEST_EXIT_FAILURE,
				  "%s: not for a program that needs a session (it has a manifest, "
				  "--mount, --grant or --display)",
				  direct_only(r));
	if (!r->is_private && !direct_only(r) && !cli_socket_path(path))
		fd = cli_dial(path);
	if (fd < 0 && !needed) {
		if (!r->guest.cpus)
			r->guest.cpus = 1;
		return 0;
	}
	if (fd < 0) {
		path[0] = '\0';
		fd = start_session();
	}
	if (fd < 0)
		return text_error(GUEST_EXIT_FAILURE, "cannot start a session: %s", strerror(-fd));
	return join_session(r, fd, path, manifest);
}
