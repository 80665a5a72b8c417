/*
 * exo session: the session's process. Start, directory, signals, the loop and its
 * deadlines; the work is in the parts that session.h names.
 *
 * The directory is the person's alone (0700). Only one session uses one: it holds a
 * lock on the file `lock` in it, which the kernel gives back however it ends.
 */
#include "session.h"

#include "clock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define END_NS 15000000000ull  /* a shutdown takes no longer */
#define HURRY_NS 1000000000ull /* asked twice */
#define STOP_NS 2000000000ull  /* of a guest without a stop-timeout of its own */

/* ---- the directory ----------------------------------------------------------- */

static int name_directory(struct session *s)
{
	const char *named = getenv("EXO_SESSION"), *run = getenv("XDG_RUNTIME_DIR");
	int n;

	if (named && *named)
		n = snprintf(s->directory, sizeof(s->directory), "%s", named);
	else if (run && *run)
		n = snprintf(s->directory, sizeof(s->directory), "%s/exo", run);
	else
		n = snprintf(s->directory, sizeof(s->directory), "/tmp/exo-%u", getuid());
	if (n < 0 || (size_t)n >= sizeof(s->directory))
		return text_error(GUEST_EXIT_FAILURE,
				  "session: the directory's name is longer than %zu bytes; set "
				  "EXO_SESSION to a shorter one",
				  sizeof(s->directory) - 1);
	if (s->directory[0] != '/')
		return text_error(GUEST_EXIT_FAILURE,
				  "session: %s: EXO_SESSION must be an absolute path",
				  s->directory);
	return 0;
}

static int refuse_directory(const struct session *s, const char *why)
{
	return text_error(GUEST_EXIT_FAILURE, "session: %s: %s", s->directory, why);
}

/* Ours alone, or it is none: in /tmp somebody else may have made it first. */
static int open_directory(struct session *s)
{
	struct stat st;

	if (mkdir(s->directory, 0700) && errno != EEXIST)
		return refuse_directory(s, strerror(errno));
	s->directory_fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->directory_fd < 0 || fstat(s->directory_fd, &st))
		return refuse_directory(s, strerror(errno));
	if (st.st_uid != getuid())
		return refuse_directory(s, "belongs to somebody else; set EXO_SESSION");
	if ((st.st_mode & 077) && fchmod(s->directory_fd, 0700))
		return refuse_directory(s, strerror(errno));
	if ((mkdirat(s->directory_fd, "guests", 0700) && errno != EEXIST) ||
	    (mkdirat(s->directory_fd, "log", 0700) && errno != EEXIST))
		return refuse_directory(s, strerror(errno));
	return 0;
}

static int lock_directory(struct session *s)
{
	/* Ours alone: a VMM of a killed session that has yet to exec would keep a flock. */
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	s->lock_fd =
		openat(s->directory_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return refuse_directory(s, strerror(errno));
	if (!fcntl(s->lock_fd, F_SETLK, &lock))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return refuse_directory(s, "a session runs here already; exo ps shows its guests");
	return refuse_directory(s, strerror(errno));
}

/* ---- readiness ------------------------------------------------------------------- */

/* As sd_notify(3): who started us may want to know that the socket is there. */
static void notify_ready(void)
{
	static const char ready[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = path ? strlen(path) : 0;
	int fd;

	if (!length || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, ready, sizeof(ready) - 1, MSG_NOSIGNAL, (struct sockaddr *)&address,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

static void say_ready(const struct session *s)
{
	struct text line = {0};

	text_addf(&line, "exo: session: listening at %s/control\n", s->directory);
	(void)text_write(STDOUT_FILENO, line.data, line.length);
	text_finish(&line);
	notify_ready();
}

/* ---- end ---------------------------------------------------------------------------- */

void session_end(struct session *s, bool leave_guests)
{
	uint64_t by = clock_now_ns() + (s->ending ? HURRY_NS : END_NS);

	if (!s->ending || by < s->end_by_ns)
		s->end_by_ns = by;
	s->leave_guests = leave_guests && !s->is_private;
	for (struct machine *m = s->machines; m && !s->leave_guests; m = m->next) {
		if (!machine_runs(m))
			continue;
		if (s->ending)
			machine_kill(m, "the session ends");
		else
			lifecycle_stop(m, m->manifest && m->manifest->stop_timeout_ns
						  ? m->manifest->stop_timeout_ns
						  : STOP_NS);
	}
	s->ending = true;
	session_wake_at(s, s->end_by_ns);
}

/* Nothing is to be waited for any more. */
static bool has_ended(const struct session *s)
{
	if (!s->ending)
		return false;
	if (s->leave_guests || clock_now_ns() >= s->end_by_ns)
		return true;
	for (const struct machine *m = s->machines; m; m = m->next) {
		if (machine_runs(m))
			return false;
	}
	return !s->dying;
}

static void on_signal(void *opaque, int fd, uint32_t events)
{
	struct session *s = opaque;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT ||
		    info.ssi_signo == SIGHUP)
			session_end(s, false);
	}
}

/* ---- deadlines ------------------------------------------------------------------------ */

void session_wake_at(struct session *s, uint64_t deadline_ns)
{
	if (!deadline_ns || (s->timer_ns && s->timer_ns <= deadline_ns))
		return;
	s->timer_ns = deadline_ns;
	loop_timer(&s->loop, deadline_ns);
}

static void on_timer(void *opaque)
{
	struct session *s = opaque;
	uint64_t now = clock_now_ns();

	s->timer_ns = 0;
	session_wake_at(s, lifecycle_tick(s, now));
	session_wake_at(s, policy_expire(s->policy, now));
	if (s->grants_ended) {
		s->grants_ended = false;
		mounts_look_at_grants(s);
		control_look_at_grants(s);
	}
	session_wake_at(s, wire_tick(s, now));
	session_wake_at(s, machine_tick(s, now));
	session_wake_at(s, control_tick(s, now));
	if (s->ending)
		session_wake_at(s, s->end_by_ns > now ? s->end_by_ns : now + 1);
}

void session_changed(struct session *s)
{
	s->state_dirty = true;
}

void session_save(struct session *s)
{
	if (!s->state_dirty || s->is_private)
		return;
	s->state_dirty = false;
	(void)state_save(s);
}

/* ---- find ------------------------------------------------------------------------------- */

struct machine *session_find(struct session *s, const char *name)
{
	struct machine *m = s->machines;

	while (m && strcmp(m->name, name) != 0)
		m = m->next;
	return m;
}

struct machine *session_by_subject(struct session *s, uint32_t subject)
{
	struct machine *m = s->machines;

	while (m && (m->subject != subject || !subject))
		m = m->next;
	return m;
}

/* ---- start -------------------------------------------------------------------------------- */

static void on_policy_event(void *opaque, const struct policy_event *e)
{
	struct session *s = opaque;

	state_event(s, e);
	audit_event(s, e);
	if (e->kind != POLICY_EVENT_REVOKE && e->kind != POLICY_EVENT_EXPIRE)
		return;
	s->grants_ended = true;
	session_wake_at(s, 1);
}

static void close_conn(void *opaque, uint32_t conn, enum exo_reason reason)
{
	wire_close(opaque, conn, reason);
}

static const struct policy_ops policy_ops = {.close_conn = close_conn, .event = on_policy_event};

/* Blocked, also in the VMMs: what a terminal sends to the whole group is for us. */
static int open_signals(struct session *s)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGQUIT);
	sigaddset(&mask, SIGPIPE);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : loop_add(&s->loop, s->signal_fd, EPOLLIN, on_signal, s);
}

static int start_parts(struct session *s)
{
	struct rlimit limit;
	int err;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max < LOOP_FDS_MAX ? limit.rlim_max : LOOP_FDS_MAX;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer guests, then */
	}
	err = loop_init(&s->loop);
	if (!err)
		err = open_signals(s);
	if (!err && !(s->policy = policy_create(&policy_ops, s)))
		err = -ENOMEM;
	if (err)
		return text_error(GUEST_EXIT_FAILURE, "session: %s", strerror(-err));
	loop_on_timer(&s->loop, on_timer, s);
	return 0;
}

static int start_public(struct session *s)
{
	char why[512] = "";
	int err = name_directory(s);

	if (!err)
		err = open_directory(s);
	if (!err)
		err = lock_directory(s);
	if (!err)
		err = start_parts(s);
	if (err)
		return err;
	if (control_serve_guests(s))
		return text_error(GUEST_EXIT_FAILURE, "session: out of memory");
	err = state_load(s);
	if (err)
		return text_error(
			GUEST_EXIT_FAILURE,
			"session: %s/state: %s; it is left as it is: mend it or move it away",
			s->directory, strerror(-err));
	machine_adopt_all(s);
	if (control_listen(s, why))
		return text_error(GUEST_EXIT_FAILURE, "session: %s", why);
	say_ready(s);
	return 0;
}

static int start_private(struct session *s, int fd)
{
	int type, err;
	socklen_t length = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) || type != SOCK_STREAM)
		return text_error(GUEST_EXIT_FAILURE, "session: --private %d: not a stream socket",
				  fd);
	err = start_parts(s);
	if (err)
		return err;
	s->is_private = true;
	err = control_adopt_client(s, fd);
	if (!err)
		err = control_serve_guests(s);
	return err ? text_error(GUEST_EXIT_FAILURE, "session: --private %d: %s", fd, strerror(-err))
		   : 0;
}

static void finish(struct session *s)
{
	session_save(s);
	control_finish(s);
	machine_finish_all(s);
	wire_finish(s);
	memory_finish(s);
	policy_destroy(s->policy);
	state_finish(s);
	audit_finish(s);
	log_finish(s);
	loop_finish(&s->loop);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	if (s->directory_fd >= 0)
		close(s->directory_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
}

static int run(struct session *s)
{
	int err = 0;

	while (!err && !has_ended(s)) {
		err = loop_run_once(&s->loop);
		machine_reap(s);
		if (s->is_private && !control_has_clients(s) && !s->ending) {
			session_end(s, false);
			session_end(s, false); /* nobody is there to wait for a stop */
		}
		session_save(s);
	}
	return err ? text_error(GUEST_EXIT_FAILURE, "session: %s", strerror(-err)) : 0;
}

int session_command(char **argv, uint64_t start_ns)
{
	bool private = argv[1] && !strcmp(argv[1], "--private") && argv[2] && !argv[3];
	struct session *s;
	uint64_t fd = 0;
	int status;

	if (argv[1] && (!private || opts_parse_number(argv[2], 3, LOOP_FDS_MAX - 1, &fd)))
		return text_error(GUEST_EXIT_FAILURE,
				  "session: takes no arguments; try exo session --help");
	s = calloc(1, sizeof(*s));
	if (!s)
		return text_error(GUEST_EXIT_FAILURE, "session: out of memory");
	s->directory_fd = s->control_fd = s->audit_fd = s->inotify_fd = s->signal_fd = s->lock_fd =
		-1;
	s->next_number = 1;
	status = private ? start_private(s, (int)fd) : start_public(s);
	if (!status)
		status = run(s);
	finish(s);
	free(s);
	return status;
}
