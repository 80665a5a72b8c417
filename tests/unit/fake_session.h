/*
 * A session without machines: what control.c, ops_*.c and lifecycle*.c need of the
 * rest, played. The policy is the real one. Machines start and end when the test
 * says so; the clock stands still until it is moved. What was asked of machines is
 * written down in fake.said.
 *
 * Defines functions of the session: to be included by one file of a program only.
 */
#ifndef FAKE_SESSION_H
#define FAKE_SESSION_H

#include "control_impl.h"
#include "lifecycle.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all */

#define FAKE_MS 1000000ull
#define FAKE_ASKS 128
#define FAKE_EPOCH_NS 5000000000000ull

static struct {
	struct session s;
	bool clock_stands;
	uint64_t now_ns;
	unsigned ticks;
	char said[4096];
	int start_err;     /* of the next machine_start; 0: it starts */
	bool kill_works;   /* machine_kill ends the guest at once */
	bool refresh_late; /* wire_refresh is done when the test says so */
	void (*refreshed)(void *opaque);
	int connect_reason; /* enum exo_reason; -1: the answer comes later */
	unsigned nasks;
	struct fake_ask {
		wire_host_fn *done;
		void *opaque;
	} ask[FAKE_ASKS]; /* that wait, oldest first */
	int offer_err;
	int host_fd; /* the guest's end of the last connection, or -1 */
	wire_accept_fn *accept;
	void *accept_opaque;
} fake;

/* ---- clock ---------------------------------------------------------------------- */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC || !fake.clock_stands)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(fake.now_ns / 1000000000u);
	ts->tv_nsec = (long)(fake.now_ns % 1000000000u);
	return 0;
}

__attribute__((format(printf, 1, 2))) static void fake_say(const char *format, ...)
{
	size_t used = strlen(fake.said);
	va_list args;

	va_start(args, format);
	vsnprintf(fake.said + used, sizeof(fake.said) - used, format, args);
	va_end(args);
}

/* ---- session_main.c ------------------------------------------------------------- */

void session_wake_at(struct session *s, uint64_t deadline_ns)
{
	if (deadline_ns && (!s->timer_ns || deadline_ns < s->timer_ns))
		s->timer_ns = deadline_ns;
}

struct machine *session_find(struct session *s, const char *name)
{
	struct machine *m = s->machines;

	while (m && strcmp(m->name, name) != 0)
		m = m->next;
	return m;
}

void session_changed(struct session *s)
{
	s->state_dirty = true;
}

void session_save(struct session *s) {}

void session_end(struct session *s, bool leave_guests)
{
	s->ending = true;
	s->leave_guests = leave_guests;
	fake_say("end%s ", leave_guests ? "(leave)" : "");
}

/* ---- machine.c --------------------------------------------------------------------- */

struct machine *machine_create(struct session *s, const char *name)
{
	struct machine *m = calloc(1, sizeof(*m)), **at = &s->machines;

	m->session = s;
	m->number = s->next_number++;
	snprintf(m->name, sizeof(m->name), "%s", name);
	guest_init(&m->guest);
	m->pid_fd = m->listen_fd = m->log_fd = m->log_old_fd = -1;
	m->stdio[0] = m->stdio[1] = m->stdio[2] = -1;
	while (*at)
		at = &(*at)->next;
	*at = m;
	return m;
}

void machine_forget(struct machine *m)
{
	struct machine **at = &m->session->machines;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	m->next = m->session->forgotten;
	m->session->forgotten = m;
}

static void fake_free(struct machine *m)
{
	for (int i = 0; i < 3; i++) {
		if (m->stdio[i] >= 0)
			close(m->stdio[i]);
	}
	if (m->log_fd >= 0)
		close(m->log_fd);
	if (m->log_old_fd >= 0)
		close(m->log_old_fd);
	for (char **at = m->args; at && *at; at++)
		free(*at);
	free(m->args);
	free(m->program);
	json_decref(m->options);
	manifest_free(m->manifest);
	guest_finish(&m->guest);
	free(m);
}

static void fake_reap(void)
{
	struct machine *m;

	while ((m = fake.s.forgotten)) {
		fake.s.forgotten = m->next;
		fake_free(m);
	}
}

int machine_start(struct machine *m, char why[512])
{
	int64_t id;
	int err = fake.start_err;

	guest_finish(&m->guest);
	guest_init(&m->guest);
	fake_say("start(%s) ", m->name);
	fake.start_err = 0;
	if (err)
		snprintf(why, 512, "%s: cannot start", m->name);
	else
		err = control_apply_options(m, why);
	if (err)
		return err;
	id = policy_add_subject(m->session->policy, m->name, m->label);
	if (id < 0)
		abort();
	m->subject = (uint32_t)id;
	m->pid = 4000000 + (pid_t)m->number; /* nobody's */
	m->state = MACHINE_STARTING;
	return 0;
}

/* The VMM says STARTED, READY; the guest ends. */
static void fake_end(struct machine *m, enum exo_end reason, uint32_t status)
{
	if (!m->pid)
		abort();
	policy_remove_subject(m->session->policy, m->subject, EXO_REASON_ENDED);
	m->subject = 0;
	m->pid = 0;
	m->said_started = m->said_ready = false;
	m->end = (struct machine_end){
		.reason = reason,
		.status = status,
		.exit_code = (int)(reason == EXO_END_EXIT ? status : 128 + status)};
	lifecycle_ended(m);
}

bool machine_runs(const struct machine *m)
{
	return m->pid != 0;
}

void machine_kill(struct machine *m, const char *why)
{
	fake_say("kill(%s: %s) ", m->name, why);
	if (fake.kill_works)
		fake_end(m, EXO_END_KILLED, SIGKILL);
}

void machine_signal(struct machine *m, int signo)
{
	fake_say("signal(%s, %d) ", m->name, signo);
}

void machine_send(struct machine *m, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	const struct exo_vmm_header *h = msg;
	const struct exo_vmm_winch *winch = msg;
	const struct exo_vmm_signal *sig = msg;

	if (h->magic != EXO_VMM_MAGIC || h->size != len || h->nfds != nfds)
		abort();
	if (h->type == EXO_VMM_WINCH)
		fake_say("winch(%s, %ux%u) ", m->name, winch->rows, winch->cols);
	else if (h->type == EXO_VMM_PAUSE)
		fake_say("pause(%s, %u) ", m->name, sig->signo);
	else
		abort();
}

void machine_request_stats(struct machine *m)
{
	fake_say("stats(%s) ", m->name);
}

/* ---- display.c --------------------------------------------------------------------------- */

void display_give(struct machine *m)
{
	fake_say("display(%s) ", m->name);
}

/* ---- mounts.c ------------------------------------------------------------------------------ */

int mounts_offer(struct machine *m, const char *path, bool writable, bool create, uint32_t *grant,
		 uint32_t *port)
{
	fake_say("offer(%s, %s, %d %d) ", m->name, path, writable, create);
	*grant = 7;
	*port = 1 << 24;
	return fake.offer_err;
}

/* ---- wire.c ---------------------------------------------------------------------------- */

const char *wire_reason_word(enum exo_reason reason)
{
	return reason == EXO_REASON_ABSENT      ? "absent"
	       : reason == EXO_REASON_NOT_READY ? "not-ready"
						: "other";
}

void wire_service_changed(struct session *s, const char *service)
{
	fake_say("changed(%s) ", service);
}

/* Answers the oldest that waits. False: nobody does. */
static bool fake_connected(enum exo_reason reason)
{
	struct fake_ask ask = fake.ask[0];
	int pair[2] = {-1, -1};

	if (!fake.nasks)
		return false;
	memmove(fake.ask, fake.ask + 1, --fake.nasks * sizeof(fake.ask[0]));
	if (!reason && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	if (fake.host_fd >= 0)
		close(fake.host_fd);
	fake.host_fd = pair[1];
	ask.done(ask.opaque, reason, pair[0]);
	return true;
}

void wire_connect_host(struct session *s, const char *service, bool seqpacket, const char *from,
		       uint64_t deadline_ns, wire_host_fn *done, void *opaque)
{
	fake_say("connect(%s, %s, %s, %llu ms) ", service, seqpacket ? "seqpacket" : "stream", from,
		 (unsigned long long)((deadline_ns - fake.now_ns) / FAKE_MS));
	if (fake.nasks == FAKE_ASKS)
		return done(opaque, EXO_REASON_BUDGET, -1);
	fake.ask[fake.nasks++] = (struct fake_ask){done, opaque};
	while (fake.connect_reason >= 0 && fake_connected((enum exo_reason)fake.connect_reason))
		;
}

void wire_cancel_host(struct session *s, const void *opaque)
{
	unsigned i = 0;

	fake_say("cancel ");
	while (i < fake.nasks && fake.ask[i].opaque != opaque)
		i++;
	if (i == fake.nasks)
		abort();
	memmove(fake.ask + i, fake.ask + i + 1, (--fake.nasks - i) * sizeof(fake.ask[0]));
}

int wire_connect_port(struct machine *m, uint32_t port, bool seqpacket, int *fd)
{
	int pair[2];

	fake_say("port(%s, %u) ", m->name, port);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	*fd = pair[0];
	close(pair[1]);
	return 0;
}

int wire_listen_host(struct session *s, const char *service, bool seqpacket, wire_accept_fn *accept,
		     void *opaque)
{
	int err = policy_add_service(s->policy, service, "host", 1, seqpacket);

	fake_say("listen(%s) ", service);
	fake.accept = accept;
	fake.accept_opaque = opaque;
	return err;
}

void wire_unlisten_host(struct session *s, const char *service)
{
	fake_say("unlisten(%s) ", service);
	policy_remove_service(s->policy, service);
}

bool wire_counters(struct session *s, uint32_t conn, struct exo_vmm_channel_info *info,
		   const char **path)
{
	*info = (struct exo_vmm_channel_info){.tx_bytes = 1000 + conn, .rx_bytes = 7};
	*path = "direct";
	return true;
}

void wire_refresh(struct session *s, void (*done)(void *opaque), void *opaque)
{
	fake_say("refresh ");
	fake.refreshed = done;
	if (!fake.refresh_late)
		done(opaque);
}

/* ---- policy's ------------------------------------------------------------------------------ */

static void fake_close_conn(void *opaque, uint32_t conn, enum exo_reason reason)
{
	struct session *s = opaque;

	policy_conn_end(s->policy, conn, reason);
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void fake_tick(void)
{
	struct session *s = &fake.s;

	s->timer_ns = 0;
	fake.ticks++;
	session_wake_at(s, lifecycle_tick(s, fake.now_ns));
	session_wake_at(s, policy_expire(s->policy, fake.now_ns));
	session_wake_at(s, control_tick(s, fake.now_ns));
	fake_reap();
}

/* Everything that is due now, sockets and deadlines, until nothing is. */
static void fake_turn(void)
{
	struct pollfd p = {.fd = fake.s.loop.epoll, .events = POLLIN};
	bool any = true;

	for (int i = 0; any && i < 100000; i++) {
		any = poll(&p, 1, 0) > 0;
		if (any && loop_run_once(&fake.s.loop))
			abort();
		if (fake.s.timer_ns && fake.s.timer_ns <= fake.now_ns) {
			fake_tick();
			any = true;
		}
		fake_reap();
	}
	if (any)
		abort(); /* it never comes to rest */
}

/* Moves the clock, deadline by deadline. */
static void fake_advance(uint64_t ms)
{
	uint64_t to = fake.now_ns + ms * FAKE_MS;

	fake_turn();
	while (fake.s.timer_ns && fake.s.timer_ns <= to) {
		if (fake.s.timer_ns > fake.now_ns)
			fake.now_ns = fake.s.timer_ns;
		fake_turn();
	}
	fake.now_ns = to;
}

/* Said since the last time. */
static const char *fake_said(void)
{
	static char copy[sizeof(fake.said)];

	memcpy(copy, fake.said, sizeof(copy));
	if (*copy)
		copy[strlen(copy) - 1] = '\0';
	fake.said[0] = '\0';
	return copy;
}

static unsigned fake_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static unsigned fake_fds_before;

static void fake_init(void)
{
	static const struct policy_ops ops = {.close_conn = fake_close_conn};

	memset(&fake, 0, sizeof(fake));
	fake_fds_before = fake_count_fds();
	fake.now_ns = FAKE_EPOCH_NS;
	fake.clock_stands = true;
	fake.host_fd = -1;
	fake.s.next_number = 1;
	fake.s.control_fd = fake.s.audit_fd = fake.s.directory_fd = -1;
	fake.s.policy = policy_create(&ops, &fake.s);
	if (!fake.s.policy || loop_init(&fake.s.loop))
		abort();
}

/* Aborts if descriptors were left open. */
static void fake_finish(void)
{
	fake.kill_works = false;
	control_finish(&fake.s);
	while (fake.s.machines)
		machine_forget(fake.s.machines);
	fake_reap();
	if (fake.host_fd >= 0)
		close(fake.host_fd);
	policy_destroy(fake.s.policy);
	loop_finish(&fake.s.loop);
	fake.clock_stands = false;
	if (fake_count_fds() != fake_fds_before) {
		fprintf(stderr, "descriptors were left open\n");
		abort();
	}
}

#endif
