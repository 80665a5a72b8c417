/*
 * exo run: one guest in the foreground, as if it were a process.
 *
 * One thread. The guest has a VMM of its own, our child (run_direct.c), or it
 * belongs to a session (run_join.c): the running one, or one of our own when
 * it needs channels. From its start on we only wait: for news of it, signals,
 * the clock and what is typed. The program's data never passes here.
 */
#include "run.h"

#include "clock.h"
#include "help.h"
#include "opts.h"
#include "run_join.h"
#include "run_priv.h"
#include "text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define GRACE_NS 2000000000ull /* from a signal to the kill */

/* ---- command line ----------------------------------------------------------- */

enum {
	OPTION_HELP = 1,
	OPTION_TIMEOUT,
	OPTION_JSON,
	OPTION_VSOCK,
	OPTION_TIMINGS,
	OPTION_PRIVATE,
	OPTION_MANIFEST,
	OPTION_MOUNT,
	OPTION_GRANT,
	OPTION_DISPLAY,
};

static const struct opts_def options[] = {
	GUEST_OPTION_DEFS,
	{"timeout", 't', true, OPTION_TIMEOUT},
	{"json-status", 0, true, OPTION_JSON},
	{"vsock", 0, true, OPTION_VSOCK},
	{"timings", 0, false, OPTION_TIMINGS},
	{"private", 0, false, OPTION_PRIVATE},
	{"manifest", 0, true, OPTION_MANIFEST},
	{"mount", 0, true, OPTION_MOUNT},
	{"grant", 0, true, OPTION_GRANT},
	{"display", 0, false, OPTION_DISPLAY, true},
	{"help", 'h', false, OPTION_HELP},
	{NULL},
};

static int add_to_list(char **list, unsigned *n, const char *option, char *value)
{
	if (*n == RUN_LIST_MAX)
		return text_error(GUEST_EXIT_FAILURE, "--%s %s: too many; at most %d", option,
				  value, RUN_LIST_MAX);
	list[(*n)++] = value;
	return 0;
}

static int apply_option(struct run *r, int id, char *value)
{
	switch (id) {
	case OPTION_TIMEOUT:
		if (opts_parse_duration(value, &r->timeout_ns) || !r->timeout_ns)
			return text_error(GUEST_EXIT_FAILURE,
					  "--timeout %s: not a duration; write a number and ms, s, "
					  "m or h, as in --timeout 10s",
					  value);
		return 0;
	case OPTION_JSON:
		r->json_path = value;
		return 0;
	case OPTION_VSOCK:
		r->vsock_path = value;
		r->guest.flags |= EXO_VMM_VSOCK;
		return 0;
	case OPTION_TIMINGS:
		r->want_timings = true;
		return 0;
	case OPTION_PRIVATE:
		r->is_private = true;
		return 0;
	case OPTION_MANIFEST:
		r->manifest = value;
		return 0;
	case OPTION_MOUNT:
		return add_to_list(r->mount, &r->nmounts, "mount", value);
	case OPTION_GRANT:
		return add_to_list(r->grant, &r->ngrants, "grant", value);
	case OPTION_DISPLAY:
		return guest_option_display(&r->guest, value);
	default:
		return guest_option(&r->guest, id, value);
	}
}

/* 0, an exit code, or -1: help was asked for and given. */
static int parse_command_line(struct run *r, char **argv)
{
	struct opts o;
	int id, err;

	opts_init(&o, options, argv);
	while ((id = opts_next(&o)) != OPTS_DONE) {
		if (id == OPTS_ERROR)
			return text_error(GUEST_EXIT_FAILURE, "%s; try exo run --help", o.error);
		if (id == OPTION_HELP)
			return help_print("run"), -1;
		err = apply_option(r, id, o.value);
		if (err)
			return err;
	}
	if (!argv[o.pos])
		return text_error(GUEST_EXIT_FAILURE, "no program given; try exo run --help");
	r->is_named = r->guest.name[0];
	guest_set_program(&r->guest, argv + o.pos);
	if (r->want_timings || r->json_path)
		r->guest.flags |= EXO_VMM_TIMINGS;
	return 0;
}

/* ---- start --------------------------------------------------------------------- */

/*
 * Blocked, to be read from signal_fd. A VMM inherits the first set: it is in
 * our process group, and what a terminal sends to all of the group is for us to
 * pass on. Reading a terminal from the background must stop us both, though, so
 * SIGTTIN and SIGTTOU are blocked here only.
 */
static void block_signals(sigset_t *mask)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGCONT};

	sigemptyset(mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(mask, signals[i]);
	sigprocmask(SIG_BLOCK, mask, NULL);
}

void run_block_signals(void)
{
	sigset_t mask;

	block_signals(&mask);
}

int run_open_signal_fd(struct run *r)
{
	sigset_t mask;

	block_signals(&mask);
	sigaddset(&mask, SIGWINCH);
	sigaddset(&mask, SIGTTIN);
	sigaddset(&mask, SIGTTOU);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	r->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signal_fd < 0)
		return text_error(GUEST_EXIT_FAILURE, "signalfd: %s", strerror(errno));
	return 0;
}

int run_set_up_terminal(struct run *r)
{
	struct guest_stream *in = &r->guest.stream[0];
	int fd;

	if (!in->terminal)
		return 0;
	tty_attach(&r->tty, STDIN_FILENO);
	if (r->guest.is_sdk)
		return 0;
	fd = tty_make_raw(&r->tty);
	if (fd < 0)
		return text_error(GUEST_EXIT_FAILURE, "terminal: %s", strerror(-fd));
	if (in->fd > STDERR_FILENO)
		close(in->fd);
	in->fd = fd;
	in->reopened = true;
	text_error(0, "%s: Ctrl-] q ends it", r->guest.name);
	return 0;
}

static int start(struct run *r)
{
	int err;

	if (r->json_path && (err = report_check_file(r->json_path)))
		return text_error(GUEST_EXIT_FAILURE, "--json-status %s: cannot be written: %s",
				  r->json_path, strerror(-err));
	if ((err = r->way->start(r)))
		return err;
	/*
	 * The other ends of our pipes shall see what the program does with its
	 * streams, not that we hold them too.
	 */
	guest_close_streams(&r->guest);
	for (int fd = 0; fd < 2; fd++) {
		if (!r->guest.stream[fd].terminal)
			close(fd);
	}
	if (r->timeout_ns)
		r->timeout_at_ns = r->report.start_ns + r->timeout_ns;
	return 0;
}

/* ---- while it runs ------------------------------------------------------------- */

static void kill_guest(struct run *r, int signo, const char *why)
{
	if (r->killed)
		return;
	r->killed = true;
	r->report.killed_why = why;
	r->kill_at_ns = clock_now_ns() + GRACE_NS; /* then without its help */
	r->way->kill(r, signo);
}

/* Asks the program to end; who does not listen, or is asked twice, is killed. */
static void ask_to_end(struct run *r, int signo)
{
	if (r->kill_at_ns)
		return kill_guest(r, SIGKILL, "asked twice");
	r->asked_signo = signo;
	if (!r->started) /* there is no program yet that could do anything about it */
		return kill_guest(r, signo, NULL);
	r->kill_at_ns = clock_now_ns() + GRACE_NS;
	r->way->signal(r, signo);
}

static void tell_window_size(struct run *r)
{
	struct winsize size;

	for (int fd = 0; fd < 3; fd++) {
		if (!r->guest.stream[fd].terminal || ioctl(fd, TIOCGWINSZ, &size))
			continue;
		r->way->winch(r, size.ws_row, size.ws_col);
		return;
	}
}

/*
 * Stops the machine and us. By the signal's own action: the kernel knows whether
 * there is a shell that could continue us, and does nothing if not.
 */
static void stop_all(struct run *r, int signo)
{
	sigset_t mask;

	tty_suspend(&r->tty);
	r->way->stop(r, true);
	sigemptyset(&mask);
	sigaddset(&mask, signo);
	raise(signo);
	sigprocmask(SIG_UNBLOCK, &mask, NULL); /* stopped here */
	sigprocmask(SIG_BLOCK, &mask, NULL);
	r->way->stop(r, false);
	tty_resume(&r->tty);
	tell_window_size(r);
}

static bool was_ignored(int signo)
{
	struct sigaction action;

	return !sigaction(signo, NULL, &action) && action.sa_handler == SIG_IGN;
}

static void handle_signals(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		int signo = (int)info.ssi_signo;

		if (was_ignored(signo)) /* as under nohup: blocked signals arrive all the same */
			continue;
		switch (signo) {
		case SIGPIPE:
			break;
		case SIGWINCH:
			tell_window_size(r);
			break;
		case SIGCONT:
			r->way->stop(r, false);
			tty_resume(&r->tty);
			break;
		case SIGTSTP:
		case SIGTTIN:
		case SIGTTOU:
			stop_all(r, signo);
			break;
		default:
			ask_to_end(r, signo);
		}
	}
}

static int milliseconds_until(const struct run *r)
{
	const uint64_t at[3] = {r->timeout_at_ns, r->kill_at_ns, r->way->deadline(r)};
	uint64_t earliest = 0, now;

	for (int i = 0; i < 3; i++) {
		if (at[i] && (!earliest || at[i] < earliest))
			earliest = at[i];
	}
	if (!earliest)
		return -1;
	now = clock_now_ns();
	if (earliest <= now)
		return 0;
	earliest = (earliest - now) / 1000000 + 1;
	return earliest > 1000000000 ? 1000000000 : (int)earliest;
}

/* true: it does not even answer to a kill. */
static bool handle_clock(struct run *r)
{
	uint64_t now;

	if (!r->timeout_at_ns && !r->kill_at_ns)
		return false;
	now = clock_now_ns();
	if (r->timeout_at_ns && now >= r->timeout_at_ns) {
		r->timeout_at_ns = 0;
		r->report.timed_out = true;
		ask_to_end(r, SIGTERM);
	}
	if (!r->kill_at_ns || now < r->kill_at_ns)
		return false;
	if (r->killed)
		return true;
	kill_guest(r, SIGKILL, "it did not end within 2 s of being asked");
	return false;
}

static void wait_for_end(struct run *r)
{
	struct pollfd fds[2 + RUN_POLL_MAX];
	const char *lost = NULL;
	unsigned n;

	while (!lost) {
		fds[0] = (struct pollfd){r->signal_fd, POLLIN, 0};
		fds[1] = (struct pollfd){-1, 0, 0};
		fds[1].fd = tty_poll_fd(&r->tty, &fds[1].events);
		n = r->way->poll(r, fds + 2);
		if (poll(fds, 2 + n, milliseconds_until(r)) < 0 && errno != EINTR)
			lost = "poll failed";
		if (r->way->handle(r, fds + 2, n))
			return;
		if (fds[0].revents)
			handle_signals(r);
		if (fds[1].revents)
			tty_pump(&r->tty);
		if (r->tty.escape.quit)
			kill_guest(r, SIGTERM, "Ctrl-] q");
		if (handle_clock(r))
			lost = "exo-vmm did not answer and was killed";
	}
	snprintf(r->report.end.detail, sizeof(r->report.end.detail), "%s", lost);
}

/* ---- end ------------------------------------------------------------------------- */

static int finish_report(struct run *r)
{
	struct report *rep = &r->report;
	char line[768];
	struct text text = {0};
	int err = 0;

	rep->guest = &r->guest;
	rep->end_ns = clock_now_ns();
	rep->cpu_us = -1;
	if (report_is_notable(rep)) {
		report_describe(rep, line, sizeof(line));
		text_error(0, "%s: %s", r->guest.name, line);
	}
	if (r->want_timings) {
		report_add_timings(rep, &text);
		text_write(STDERR_FILENO, text.data, text.length);
		text.length = 0;
	}
	if (r->json_path) {
		r->way->complete(r);
		report_add_json(rep, &text);
		err = report_write_file(r->json_path, &text);
	}
	text_finish(&text);
	if (err)
		return text_error(GUEST_EXIT_FAILURE, "--json-status %s: %s", r->json_path,
				  strerror(-err));
	return report_exit_code(rep);
}

/*
 * Who was interrupted from the keyboard shall be seen to die of it, or a loop in
 * a shell script would go on. The shell still reports 130.
 */
static void die_of_interrupt(void)
{
	sigset_t mask;

	signal(SIGINT, SIG_DFL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	raise(SIGINT);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
}

int run_command(char **argv, uint64_t start_ns)
{
	struct run r = {.way = &run_direct, .signal_fd = -1, .report.start_ns = start_ns};
	bool interrupted = false;
	int status;

	guest_init(&r.guest);
	r.guest.cpus = 0; /* not given */
	launch_init(&r.vm);
	tty_init(&r.tty);
	broker_init(&r.broker);
	status = parse_command_line(&r, argv);
	if (!status) {
		guest_take_stdio(&r.guest);
		status = run_join_if_needed(&r);
	}
	if (!status)
		status = start(&r);
	if (!status) {
		wait_for_end(&r);
		tty_finish(&r.tty);
		status = r.status ? r.status : finish_report(&r);
		interrupted = status == GUEST_EXIT_SIGNAL + SIGINT && r.asked_signo == SIGINT;
	}
	tty_finish(&r.tty);
	r.way->finish(&r);
	guest_finish(&r.guest);
	if (r.signal_fd >= 0)
		close(r.signal_fd);
	if (interrupted)
		die_of_interrupt();
	return status < 0 ? 0 : status;
}
