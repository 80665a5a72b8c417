/*
 * exo run: one guest in the foreground, as if it were a process.
 *
 * One thread. Order of a launch: the command line is read (microseconds), the
 * VMM is started and creates its VM, meanwhile files are opened and checked
 * here, then it gets everything in one message. From then on we only wait: for
 * the VMM's messages, signals, the clock and vsock clients. The program's data
 * never passes here.
 */
#include "run.h"

#include "broker.h"
#include "guest.h"
#include "help.h"
#include "launch.h"
#include "opts.h"
#include "report.h"
#include "text.h"
#include "tty.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define GRACE_NS 2000000000ull /* from a signal to the kill */

struct run {
	struct guest guest;
	struct launch vm;
	struct tty tty;
	struct broker broker;
	struct report report;
	const char *json_path, *vsock_path;
	bool want_timings;
	uint64_t timeout_ns;
	int signal_fd;

	uint64_t timeout_at_ns; /* 0: never */
	uint64_t kill_at_ns;    /* the guest was asked to end; 0: it was not */
	int asked_signo;        /* by which signal */
	bool killed;            /* EXO_VMM_KILL was sent */
};

/* ---- command line ----------------------------------------------------------- */

enum { OPTION_HELP = 1, OPTION_TIMEOUT, OPTION_JSON, OPTION_VSOCK, OPTION_TIMINGS };

static const struct opts_def options[] = {
	GUEST_OPTION_DEFS,
	{"timeout", 't', true, OPTION_TIMEOUT},
	{"json-status", 0, true, OPTION_JSON},
	{"vsock", 0, true, OPTION_VSOCK},
	{"timings", 0, false, OPTION_TIMINGS},
	{"help", 'h', false, OPTION_HELP},
	{NULL},
};

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
	guest_set_program(&r->guest, argv + o.pos);
	if (r->want_timings || r->json_path)
		r->guest.flags |= EXO_VMM_TIMINGS;
	return 0;
}

/* ---- start --------------------------------------------------------------------- */

/*
 * Blocked, to be read from signal_fd. The VMM inherits the first set: it is in
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

static int open_signal_fd(struct run *r, sigset_t *mask)
{
	sigaddset(mask, SIGWINCH);
	sigaddset(mask, SIGTTIN);
	sigaddset(mask, SIGTTOU);
	sigprocmask(SIG_BLOCK, mask, NULL);
	r->signal_fd = signalfd(-1, mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signal_fd < 0)
		return text_error(GUEST_EXIT_FAILURE, "signalfd: %s", strerror(errno));
	return 0;
}

static int set_up_terminal(struct run *r)
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
	sigset_t mask;
	int err;

	guest_take_stdio(&r->guest);
	block_signals(&mask);
	if ((err = launch_spawn(&r->vm, r->guest.name)))
		return err;
	if (r->json_path && (err = report_check_file(r->json_path)))
		return text_error(GUEST_EXIT_FAILURE, "--json-status %s: cannot be written: %s",
				  r->json_path, strerror(-err));
	if ((err = guest_open(&r->guest)) || (err = open_signal_fd(r, &mask)))
		return err;
	if (r->vsock_path && (err = broker_listen(&r->broker, r->vsock_path)))
		return err;
	guest_reopen_stdio(&r->guest);
	if ((err = set_up_terminal(r)))
		return err;
	if ((err = launch_configure(&r->vm, &r->guest)))
		return text_error(GUEST_EXIT_FAILURE, "exo-vmm takes no configuration: %s",
				  strerror(-err));
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
	r->kill_at_ns = launch_now_ns() + GRACE_NS; /* then the VMM itself */
	launch_send_signal(&r->vm, EXO_VMM_KILL, signo);
}

/* Asks the program to end; who does not listen, or is asked twice, is killed. */
static void ask_to_end(struct run *r, int signo)
{
	if (r->kill_at_ns)
		return kill_guest(r, SIGKILL, "asked twice");
	r->asked_signo = signo;
	if (!r->vm.started) /* there is no program yet that could do anything about it */
		return kill_guest(r, signo, NULL);
	r->kill_at_ns = launch_now_ns() + GRACE_NS;
	launch_send_signal(&r->vm, EXO_VMM_SIGNAL, signo);
}

static void tell_window_size(struct run *r)
{
	struct winsize size;

	for (int fd = 0; fd < 3; fd++) {
		if (!r->guest.stream[fd].terminal || ioctl(fd, TIOCGWINSZ, &size))
			continue;
		launch_send_winch(&r->vm, size.ws_row, size.ws_col);
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
	kill(r->vm.pid, SIGSTOP);
	sigemptyset(&mask);
	sigaddset(&mask, signo);
	raise(signo);
	sigprocmask(SIG_UNBLOCK, &mask, NULL); /* stopped here */
	sigprocmask(SIG_BLOCK, &mask, NULL);
	kill(r->vm.pid, SIGCONT);
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
			kill(r->vm.pid, SIGCONT);
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

static int handle_message(struct run *r, const union launch_msg *m)
{
	switch (m->h.type) {
	case EXO_VMM_ENDED:
		r->report.end = m->ended;
		return 0;
	case EXO_VMM_TERMIOS:
		tty_set(&r->tty, m->termios.flags);
		return 0;
	case EXO_VMM_VSOCK_REQUEST:
		return broker_request(&r->broker, &r->vm, &m->vsock);
	default:
		return 0;
	}
}

static void lose_vmm(struct run *r, const char *why)
{
	if (why)
		snprintf(r->report.end.detail, sizeof(r->report.end.detail), "%s", why);
	else
		launch_cause(&r->vm, r->report.end.detail);
}

/* true: the guest has ended, or its VMM has. */
static bool handle_messages(struct run *r)
{
	union launch_msg m;
	int got;

	for (int i = 0; i < 16; i++) { /* then others get their turn */
		got = launch_recv(&r->vm, &m);
		if (got == -EAGAIN)
			return false;
		if (got == 0)
			lose_vmm(r, NULL);
		else if (got < 0)
			lose_vmm(r, "exo-vmm broke the protocol and was ended");
		else if (handle_message(r, &m))
			lose_vmm(r, "exo-vmm does not take messages and was ended");
		if (got <= 0 || r->vm.ended || r->report.end.detail[0])
			return true;
	}
	return false;
}

static int milliseconds_until(const struct run *r)
{
	const uint64_t at[3] = {r->timeout_at_ns, r->kill_at_ns, broker_deadline(&r->broker)};
	uint64_t earliest = 0, now;

	for (int i = 0; i < 3; i++) {
		if (at[i] && (!earliest || at[i] < earliest))
			earliest = at[i];
	}
	if (!earliest)
		return -1;
	now = launch_now_ns();
	if (earliest <= now)
		return 0;
	earliest = (earliest - now) / 1000000 + 1;
	return earliest > 1000000000 ? 1000000000 : (int)earliest;
}

/* true: the VMM itself does not answer any more. */
static bool handle_clock(struct run *r)
{
	uint64_t now;

	if (!r->timeout_at_ns && !r->kill_at_ns)
		return false;
	now = launch_now_ns();
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
	struct pollfd fds[3 + BROKER_POLL_MAX];
	unsigned n;

	for (;;) {
		fds[0] = (struct pollfd){r->vm.sock_fd, POLLIN, 0};
		fds[1] = (struct pollfd){r->signal_fd, POLLIN, 0};
		fds[2] = (struct pollfd){-1, 0, 0};
		fds[2].fd = tty_poll_fd(&r->tty, &fds[2].events);
		n = r->vm.started ? broker_poll(&r->broker, fds + 3) : 0;
		if (poll(fds, 3 + n, milliseconds_until(r)) < 0 && errno != EINTR)
			return lose_vmm(r, "poll failed");
		if (fds[0].revents && handle_messages(r))
			return;
		if (fds[1].revents)
			handle_signals(r);
		if (fds[2].revents)
			tty_pump(&r->tty);
		if (r->tty.escape.quit)
			kill_guest(r, SIGTERM, "Ctrl-] q");
		if (broker_handle(&r->broker, &r->vm, fds + 3, n))
			return lose_vmm(r, "exo-vmm does not take messages and was ended");
		if (handle_clock(r))
			return lose_vmm(r, "exo-vmm did not answer and was killed");
	}
}

/* ---- end ------------------------------------------------------------------------- */

static int64_t cpu_us(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000ll + u->ru_utime.tv_usec +
	       u->ru_stime.tv_usec;
}

static int finish_report(struct run *r)
{
	struct report *rep = &r->report;
	char line[768];
	struct text text = {0};
	struct rusage usage = {0};
	int err = 0;

	rep->guest = &r->guest;
	rep->spawned_ns = r->vm.spawned_ns;
	rep->configured_ns = r->vm.configured_ns;
	rep->end_ns = launch_now_ns();
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
		if (r->vm.ended && r->vm.pid) {
			launch_wait(&r->vm, &usage);
			rep->cpu_us = cpu_us(&usage);
		}
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
	struct run r = {.signal_fd = -1, .report.start_ns = start_ns};
	bool interrupted = false;
	int status;

	guest_init(&r.guest);
	launch_init(&r.vm);
	tty_init(&r.tty);
	broker_init(&r.broker);
	status = parse_command_line(&r, argv);
	if (!status)
		status = start(&r);
	if (!status) {
		wait_for_end(&r);
		tty_finish(&r.tty);
		if (r.vm.ended)
			guest_unlock_disks(&r.guest);
		status = finish_report(&r);
		interrupted = status == GUEST_EXIT_SIGNAL + SIGINT && r.asked_signo == SIGINT;
	}
	tty_finish(&r.tty);
	launch_finish(&r.vm);
	broker_finish(&r.broker);
	guest_finish(&r.guest);
	if (r.signal_fd >= 0)
		close(r.signal_fd);
	if (interrupted)
		die_of_interrupt();
	return status < 0 ? 0 : status;
}
