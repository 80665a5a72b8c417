/*
 * exo test: guests that report TAP over vsock (tap.h), several at a time.
 *
 * One thread. Every guest is a job with three fds to look at: its VMM, the
 * stream it reports on, and what it writes to its standard streams, of which
 * the last part is kept. Results are written in the order of the command line.
 */
#include "test.h"

#include "guest.h"
#include "help.h"
#include "launch.h"
#include "opts.h"
#include "report.h"
#include "results.h"
#include "tap.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define JOBS_MAX 64
#define OUTPUT_MAX 8192        /* bytes of a guest's output that are kept */
#define DRAIN_NS 1000000000ull /* from its end to the end of its streams */
#define TIMEOUT_NS 60000000000ull

struct job {
	bool running, done, connected, killed;
	struct guest guest;
	struct launch vm;
	struct report report;
	int tap_fd, output_fd; /* read ends, or -1 */
	uint64_t deadline_ns;
	struct tap tap;
	struct results results;
};

struct test {
	struct guest options; /* every guest's */
	const char *junit_path;
	uint64_t timeout_ns, jobs;
	bool verbose, interrupted;
	int signal_fd;
	struct job *job;
	unsigned njobs, next, written, nrunning;
	unsigned number; /* of test points written */
	struct results_sum sum;
};

/* ---- one job ------------------------------------------------------------------- */

static void take_result(void *opaque, const struct tap_result *r)
{
	struct job *j = opaque;

	results_add(&j->results,
		    (struct result){.ok = r->ok,
				    .skipped = r->directive == TAP_SKIP,
				    .todo = r->directive == TAP_TODO},
		    *r->description ? r->description : "(no name)");
}

static void add_failure(struct job *j, const char *why)
{
	results_add(&j->results, (struct result){0}, why);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int pipe_output(struct job *j)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return text_error(GUEST_EXIT_FAILURE, "pipe: %s", strerror(errno));
	j->output_fd = ends[0];
	j->guest.stream[1] = (struct guest_stream){.fd = ends[1], .reopened = true};
	j->guest.stream[2].fd = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
	j->guest.stream[2].reopened = true;
	return 0;
}

static int start_job(struct test *t, struct job *j)
{
	static char is_test[] = "EXO_TEST=1";
	char *args[2] = {(char *)(uintptr_t)j->results.file, NULL};
	int err;

	j->report.start_ns = launch_now_ns();
	j->deadline_ns = j->report.start_ns + t->timeout_ns;
	if (guest_copy_options(&j->guest, &t->options) || guest_add_env(&j->guest, is_test))
		return text_error(GUEST_EXIT_FAILURE, "out of memory");
	guest_set_program(&j->guest, args);
	if ((err = launch_spawn(&j->vm, j->guest.name)) || (err = guest_open(&j->guest)) ||
	    (err = pipe_output(j)))
		return err;
	if ((err = launch_configure(&j->vm, &j->guest)))
		return text_error(GUEST_EXIT_FAILURE, "%s: exo-vmm takes no configuration: %s",
				  j->results.file, strerror(-err));
	guest_close_streams(&j->guest);
	j->guest.args = NULL;
	return 0;
}

/* Keeps the end of what a guest writes, however much it is. */
static void keep_output(struct text *kept, const char *bytes, size_t length)
{
	if (kept->length + length > 2 * OUTPUT_MAX) {
		memmove(kept->data, kept->data + kept->length - OUTPUT_MAX, OUTPUT_MAX);
		kept->length = OUTPUT_MAX;
	}
	text_add(kept, bytes, length);
}

/* Reads what there is, but gives others their turn. */
static void read_stream(struct job *j, int *fd)
{
	char bytes[4096];

	for (int i = 0; i < 16 && *fd >= 0; i++) {
		ssize_t n = recv(*fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n < 0 && errno == ENOTSOCK)
			n = read(*fd, bytes, sizeof(bytes));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close_fd(fd);
			return;
		}
		if (fd == &j->tap_fd) {
			tap_feed(&j->tap, bytes, (size_t)n);
			continue;
		}
		for (ssize_t k = 0; k < n; k++) {
			if (bytes[k] != '\n' && (bytes[k] < ' ' || bytes[k] > '~'))
				bytes[k] = '?';
		}
		keep_output(&j->results.output, bytes, (size_t)n);
	}
}

/* Port 1 leads here, once; nothing else is granted. */
static int answer_connect(struct job *j, const struct exo_vmm_vsock *m)
{
	struct exo_vmm_vsock reply = {
		.id = m->id, .port = m->port, .type = m->type, .status = -ECONNREFUSED};
	int pair[2] = {-1, -1};
	int err;

	if (m->port == EXO_VSOCK_PORT_TAP && m->type == VIRTIO_VSOCK_TYPE_STREAM && !j->connected &&
	    !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) {
		j->connected = true;
		j->tap_fd = pair[0];
		reply.status = 0;
	}
	err = launch_send_vsock(&j->vm, EXO_VMM_VSOCK_REPLY, &reply, pair[1]);
	close_fd(&pair[1]);
	return err;
}

static void judge(struct job *j)
{
	struct report *rep = &j->report;
	char line[768], why[800];
	bool exited = rep->end.reason == EXO_END_EXIT || rep->end.reason == EXO_END_POWEROFF;

	tap_end(&j->tap);
	if (!exited || rep->timed_out) {
		rep->guest = &j->guest;
		report_describe(rep, line, sizeof(line));
		add_failure(j, line);
	} else if (rep->end.status && !j->tap.failed) {
		snprintf(why, sizeof(why), "exit status %u", rep->end.status);
		add_failure(j, why);
	}
	if (!j->connected) {
		add_failure(j, "reported nothing: it never connected to vsock port 1 of the host");
	} else if (j->tap.error[0]) {
		snprintf(why, sizeof(why), "TAP: %s", j->tap.error);
		add_failure(j, why);
	}
}

static void finish_job(struct test *t, struct job *j)
{
	read_stream(j, &j->tap_fd);
	read_stream(j, &j->output_fd);
	if (j->running && !t->interrupted)
		judge(j);
	j->results.wall_ns = launch_now_ns() - j->report.start_ns;
	guest_unlock_disks(&j->guest);
	if (j->vm.ended)
		launch_wait(&j->vm, NULL); /* or it stays a zombie for as long as we run */
	launch_finish(&j->vm);
	guest_finish(&j->guest);
	close_fd(&j->tap_fd);
	close_fd(&j->output_fd);
	t->nrunning -= j->running;
	j->running = false;
	j->done = true;
}

/* The job's messages. true: there will be no more. */
static bool handle_messages(struct job *j)
{
	char *why = j->report.end.detail;
	union launch_msg m;

	for (int i = 0; i < 16; i++) {
		int got = launch_recv(&j->vm, &m);

		if (got == -EAGAIN)
			return false;
		if (got == 0)
			launch_cause(&j->vm, why);
		else if (got < 0 ||
			 (m.h.type == EXO_VMM_VSOCK_REQUEST && answer_connect(j, &m.vsock)))
			snprintf(why, sizeof(j->report.end.detail), "exo-vmm broke the protocol");
		if (*why)
			return true;
		if (j->vm.ended) {
			j->report.end = m.ended;
			return true;
		}
	}
	return false;
}

static void step_job(struct test *t, struct job *j, const struct pollfd *fds)
{
	bool over = j->vm.ended;

	if (fds[1].revents)
		read_stream(j, &j->tap_fd);
	if (fds[2].revents)
		read_stream(j, &j->output_fd);
	if (!over && fds[0].revents && handle_messages(j)) {
		if (!j->vm.ended)
			return finish_job(t, j);
		j->deadline_ns = launch_now_ns() + DRAIN_NS;
		over = true;
	}
	if (over && j->tap_fd < 0 && j->output_fd < 0)
		return finish_job(t, j);
	if (launch_now_ns() < j->deadline_ns)
		return;
	if (over || j->killed)
		return finish_job(t, j);
	j->report.timed_out = true;
	j->killed = true;
	j->deadline_ns = launch_now_ns() + DRAIN_NS;
	launch_send_signal(&j->vm, EXO_VMM_KILL, SIGKILL);
}

/* ---- all of them ------------------------------------------------------------------ */

static void start_jobs(struct test *t)
{
	while (t->next < t->njobs && t->nrunning < t->jobs && !t->interrupted) {
		struct job *j = &t->job[t->next++];

		if (start_job(t, j)) { /* said why on standard error */
			add_failure(j, "could not be started");
			finish_job(t, j);
			continue;
		}
		j->running = true;
		t->nrunning++;
	}
}

/* In order: what is done, up to the first that is not. */
static void write_done(struct test *t, bool as_tap)
{
	while (t->written < t->njobs && t->job[t->written].done) {
		struct job *j = &t->job[t->written++];
		struct results_sum sum = results_count(&j->results);
		struct text out = {0};

		t->sum.passed += sum.passed;
		t->sum.failed += sum.failed;
		t->sum.skipped += sum.skipped;
		if (!as_tap)
			continue;
		results_add_tap(&j->results, &t->number, t->verbose, &out);
		text_write(STDOUT_FILENO, out.data, out.length);
		text_finish(&out);
	}
}

static void run_all(struct test *t, bool as_tap)
{
	struct pollfd fds[1 + 3 * JOBS_MAX];
	struct job *polled[JOBS_MAX];

	for (;;) {
		struct signalfd_siginfo info;
		unsigned n = 0;

		start_jobs(t);
		write_done(t, as_tap);
		fds[0] = (struct pollfd){t->signal_fd, POLLIN, 0};
		for (unsigned i = 0; i < t->next; i++) {
			struct job *j = &t->job[i];
			struct pollfd *p = fds + 1 + 3 * n;

			if (!j->running)
				continue;
			p[0] = (struct pollfd){j->vm.ended ? -1 : j->vm.sock_fd, POLLIN, 0};
			p[1] = (struct pollfd){j->tap_fd, POLLIN, 0};
			p[2] = (struct pollfd){j->output_fd, POLLIN, 0};
			polled[n++] = j;
		}
		if (!n)
			return;
		poll(fds, 1 + 3 * n, 100);
		if (fds[0].revents && read(t->signal_fd, &info, sizeof(info)) > 0)
			t->interrupted = true;
		for (unsigned i = 0; i < n; i++) {
			if (t->interrupted)
				finish_job(t, polled[i]);
			else
				step_job(t, polled[i], fds + 1 + 3 * i);
		}
	}
}

static int write_junit(struct test *t)
{
	bool to_stdout = !strcmp(t->junit_path, "-");
	struct text out = {0};
	int err;

	text_addf(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
	for (unsigned i = 0; i < t->njobs; i++)
		results_add_junit(&t->job[i].results, &out);
	text_addf(&out, "</testsuites>\n");
	if (to_stdout)
		err = text_write(STDOUT_FILENO, out.data, out.length);
	else
		err = report_write_file(t->junit_path, &out);
	text_finish(&out);
	if (err)
		return text_error(GUEST_EXIT_FAILURE, "--junit %s: %s", t->junit_path,
				  strerror(-err));
	return 0;
}

static void open_signals(struct test *t)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t mask;

	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&mask, signals[i]);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	t->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run_tests(struct test *t, char **files)
{
	bool as_tap = !t->junit_path || strcmp(t->junit_path, "-");
	int err = 0;

	while (files[t->njobs])
		t->njobs++;
	t->job = calloc(t->njobs, sizeof(*t->job));
	if (!t->job)
		return text_error(GUEST_EXIT_FAILURE, "out of memory");
	for (unsigned i = 0; i < t->njobs; i++) {
		struct job *j = &t->job[i];

		guest_init(&j->guest);
		launch_init(&j->vm);
		tap_init(&j->tap, take_result, NULL, j);
		j->tap_fd = j->output_fd = -1;
		j->results.file = files[i];
	}
	open_signals(t);
	run_all(t, as_tap);
	if (t->interrupted)
		return text_error(GUEST_EXIT_SIGNAL + SIGINT, "interrupted");
	if (as_tap) {
		struct text plan = {0};

		text_addf(&plan, "1..%u\n", t->number);
		text_write(STDOUT_FILENO, plan.data, plan.length);
		text_finish(&plan);
	}
	if (t->junit_path)
		err = write_junit(t);
	if (t->sum.skipped)
		text_error(0, "%u passed, %u failed, %u skipped", t->sum.passed, t->sum.failed,
			   t->sum.skipped);
	else
		text_error(0, "%u passed, %u failed", t->sum.passed, t->sum.failed);
	return err ? err : t->sum.failed > 0;
}

/* ---- command line ------------------------------------------------------------------- */

enum { OPTION_HELP = 1, OPTION_JUNIT, OPTION_TIMEOUT, OPTION_JOBS, OPTION_VERBOSE };

static const struct opts_def options[] = {
	GUEST_OPTION_DEFS,
	{"junit", 0, true, OPTION_JUNIT},
	{"timeout", 't', true, OPTION_TIMEOUT},
	{"jobs", 'j', true, OPTION_JOBS},
	{"verbose", 'v', false, OPTION_VERBOSE},
	{"help", 'h', false, OPTION_HELP},
	{NULL},
};

static int apply_option(struct test *t, int id, char *value)
{
	int err;

	switch (id) {
	case OPTION_JUNIT:
		t->junit_path = value;
		err = strcmp(value, "-") ? report_check_file(value) : 0;
		if (err)
			return text_error(GUEST_EXIT_FAILURE, "--junit %s: cannot be written: %s",
					  value, strerror(-err));
		return 0;
	case OPTION_TIMEOUT:
		if (opts_parse_duration(value, &t->timeout_ns) || !t->timeout_ns)
			return text_error(GUEST_EXIT_FAILURE,
					  "--timeout %s: not a duration; write a number and ms, s, "
					  "m or h, as in --timeout 10s",
					  value);
		return 0;
	case OPTION_JOBS:
		if (opts_parse_number(value, 1, JOBS_MAX, &t->jobs))
			return text_error(GUEST_EXIT_FAILURE,
					  "--jobs %s: not a number from 1 to %d", value, JOBS_MAX);
		return 0;
	case OPTION_VERBOSE:
		t->verbose = true;
		return 0;
	default:
		return guest_option(&t->options, id, value);
	}
}

int test_command(char **argv, uint64_t start_ns)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct test t = {.timeout_ns = TIMEOUT_NS, .signal_fd = -1};
	struct guest stdio;
	struct opts o;
	unsigned nfiles = 0;
	int id, status = 0;

	t.jobs = cpus < 1 ? 1 : cpus > JOBS_MAX ? JOBS_MAX : (uint64_t)cpus;
	guest_init(&stdio);
	guest_take_stdio(&stdio); /* closed ones must not be taken by what we open */
	guest_init(&t.options);
	t.options.flags = EXO_VMM_VSOCK;
	opts_init(&o, options, argv);
	while (!status && ((id = opts_next(&o)) != OPTS_DONE || argv[o.pos])) {
		if (id == OPTION_HELP)
			return help_print("test");
		if (id == OPTS_DONE) /* options may follow files; files move to the front */
			argv[nfiles++] = argv[o.pos++];
		else if (id == OPTS_ERROR)
			status = text_error(GUEST_EXIT_FAILURE, "%s; try exo test --help", o.error);
		else
			status = apply_option(&t, id, o.value);
	}
	argv[nfiles] = NULL;
	if (!status && !nfiles)
		status = text_error(GUEST_EXIT_FAILURE, "no guest given; try exo test --help");
	if (!status)
		status = run_tests(&t, argv);
	for (unsigned i = 0; t.job && i < t.njobs; i++)
		results_finish(&t.job[i].results);
	free(t.job);
	guest_finish(&t.options);
	if (t.signal_fd >= 0)
		close(t.signal_fd);
	return status;
}
