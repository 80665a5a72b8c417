/*
 * A guest and its VMM: what it says, how it ends. Starting is in
 * machine_start.c, sending in machine_send.c, adoption in machine_adopt.c.
 *
 * Nothing that a VMM says is believed further than its own guest (H-34): messages
 * are decoded strictly (launch.c), what does not fit ends the VMM, and one that
 * talks too much is not listened to for a while.
 */
#include "machine_impl.h"

#include "clock.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 16 /* messages of one VMM, then others get their turn */
/* A VMM may say so much: a message every MESSAGE_NS, and BURST_NS' worth at once. */
#define MESSAGE_NS 20000ull
#define BURST_NS 200000000ull
#define PAUSE_NS 10000000ull

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- in the list ------------------------------------------------------------------ */

struct machine *machine_create(struct session *s, const char *name)
{
	struct machine *m, **at = &s->machines;
	unsigned count = 0;

	for (; *at; at = &(*at)->next)
		count++;
	m = count < SESSION_MACHINES_MAX ? calloc(1, sizeof(*m)) : NULL;
	if (!m) {
		errno = count < SESSION_MACHINES_MAX ? ENOMEM : ENOSPC;
		return NULL;
	}
	m->session = s;
	m->number = s->next_number++;
	m->state = MACHINE_ADDED;
	snprintf(m->name, sizeof(m->name), "%s", name);
	guest_init(&m->guest);
	m->pid_fd = m->listen_fd = m->guest_bell = m->vmm_bell = -1;
	m->log_fd = m->log_old_fd = m->log_watch = m->display_fd = -1;
	for (int i = 0; i < 3; i++)
		m->stdio[i] = -1;
	*at = m;
	return m;
}

void machine_forget(struct machine *m)
{
	struct session *s = m->session;
	struct machine **at = &s->machines;

	while (*at && *at != m)
		at = &(*at)->next;
	if (!*at)
		return; /* it is forgotten already */
	*at = m->next;
	m->next = s->forgotten;
	s->forgotten = m;
	session_changed(s);
}

static void free_machine(struct machine *m)
{
	machine_outbox_free(m);
	machine_close_fds(m);
	log_close(m);
	for (int i = 0; i < 3; i++)
		close_fd(&m->stdio[i]);
	guest_finish(&m->guest);
	manifest_free(m->manifest);
	json_decref(m->options);
	free(m->program);
	for (unsigned i = 0; m->args && m->args[i]; i++)
		free(m->args[i]);
	free(m->args);
	for (unsigned i = 0; i < m->nstrings; i++)
		free(m->strings[i]);
	free(m->strings);
	free(m->wires);
	free(m->memory);
	free(m->old_slot);
	free(m->old_generation);
	free(m);
}

void machine_reap(struct session *s)
{
	while (s->forgotten) {
		struct machine *m = s->forgotten;

		s->forgotten = m->next;
		free_machine(m);
	}
}

void machine_close_fds(struct machine *m)
{
	if (m->pid_fd >= 0)
		loop_del(&m->session->loop, m->pid_fd);
	close_fd(&m->pid_fd);
	close_fd(&m->listen_fd);
	close_fd(&m->guest_bell);
	close_fd(&m->vmm_bell);
}

bool machine_runs(const struct machine *m)
{
	return m->vm && m->vm->sock_fd >= 0;
}

void machine_address(const struct machine *m, const char *name, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/guests/%.63s.sock",
		 m->session->directory_fd, name);
}

/* ---- end -------------------------------------------------------------------------------- */

static void fill_end(struct machine *m)
{
	struct report r = {.guest = &m->guest};

	r.end.reason = m->end.reason;
	r.end.status = m->end.status;
	m->end.exit_code = report_exit_code(&r);
	if (!m->end.detail[0] && m->killed_why)
		snprintf(m->end.detail, sizeof(m->end.detail), "%s", m->killed_why);
}

void machine_unlink_socket(const struct machine *m)
{
	struct sockaddr_un address;

	if (m->session->directory_fd < 0)
		return;
	machine_address(m, m->name, &address);
	(void)unlink(address.sun_path);
}

static enum exo_reason reason_of(const struct machine *m)
{
	return m->end.reason == EXO_END_EXIT || m->end.reason == EXO_END_POWEROFF ? EXO_REASON_ENDED
										  : EXO_REASON_DIED;
}

void machine_over(struct machine *m)
{
	struct session *s = m->session;
	enum exo_reason reason = reason_of(m);

	fill_end(m);
	machine_let_die(m, !m->end.reason);
	machine_outbox_free(m);
	guest_unlock_disks(&m->guest);
	guest_finish(&m->guest);
	machine_close_fds(m);
	machine_unlink_socket(m);
	if (m->adopt_by_ns)
		machine_adopted(m);
	wire_machine_gone(m, reason);
	memory_machine_gone(m);
	caps_machine_gone(m);
	if (m->subject)
		policy_remove_subject(s->policy, m->subject, reason);
	m->subject = 0;
	mounts_machine_gone(m);
	display_close(m);
	m->pid = 0;
	m->direct = m->said_started = m->said_ready = false;
	m->hung_up_ns = m->resume_ns = m->quota_ns = 0;
	m->stats_asked = m->stats_answered = m->stats_by_ns = 0;
	m->broken = NULL;
	session_changed(s);
	lifecycle_ended(m);
	m->killed_why = NULL;
}

static void lose(struct machine *m, const char *why)
{
	m->end = (struct machine_end){.reason = 0};
	snprintf(m->end.detail, sizeof(m->end.detail), "%s", why);
	machine_over(m);
}

void machine_break(struct machine *m, const char *why)
{
	if (!m->vm || m->broken)
		return;
	m->broken = why;
	machine_kill_process(m->pid_fd, m->pid, m->vm->pid != 0);
	if (m->vm->sock_fd >= 0)
		loop_mod(&m->session->loop, m->vm->sock_fd, 0);
	session_wake_at(m->session, 1);
}

void machine_broke_order(struct machine *m)
{
	machine_break(m, "exo-vmm left a question unanswered and was ended");
}

/* ---- what it says ----------------------------------------------------------------------- */

static void take_end(struct machine *m, const struct exo_vmm_ended *ended)
{
	m->end = (struct machine_end){.reason = ended->reason, .status = ended->status};
	snprintf(m->end.detail, sizeof(m->end.detail), "%s", ended->detail);
}

static void open_conversation(struct machine *m, const struct exo_vmm_vsock *request)
{
	struct exo_vmm_vsock reply = {
		.id = request->id, .port = request->port, .type = request->type};
	int fd = request->type == VIRTIO_VSOCK_TYPE_SEQPACKET ? caps_open(m) : -EPROTOTYPE;

	reply.h =
		(struct exo_vmm_header){EXO_VMM_MAGIC, EXO_VMM_VSOCK_REPLY, sizeof(reply), fd >= 0};
	reply.status = fd < 0 ? fd : 0;
	reply.reason = fd == -EPROTOTYPE ? EXO_REASON_TYPE
		       : fd < 0          ? EXO_REASON_BUDGET
					 : EXO_REASON_NONE;
	machine_send(m, &reply, sizeof(reply), &fd, fd >= 0);
	close_fd(&fd);
}

static bool take_stats(struct machine *m, const struct exo_vmm_stats *stats)
{
	if (m->stats_answered == m->stats_asked)
		return false;
	m->stats_answered++;
	m->stats_by_ns = m->stats_answered < m->stats_asked ? clock_now_ns() + MACHINE_DEAF_NS : 0;
	m->stats = *stats;
	memory_fence(m);
	control_stats(m);
	return true;
}

/* False: it broke the rules. */
static bool obey(struct machine *m, const union launch_msg *msg, const int *fds, unsigned nfds)
{
	switch (msg->h.type) {
	case EXO_VMM_STARTED:
		lifecycle_started(m);
		return true;
	case EXO_VMM_READY:
		lifecycle_ready(m);
		return true;
	case EXO_VMM_TERMIOS:
		control_termios(m, msg->termios.flags);
		return true;
	case EXO_VMM_VSOCK_REQUEST:
		m->direct = msg->vsock.flags & EXO_VSOCK_DIRECT;
		if (msg->vsock.port == EXO_PORT_BROKER)
			open_conversation(m, &msg->vsock);
		else
			wire_request(m, &msg->vsock);
		return true;
	case EXO_VMM_STATS:
		return take_stats(m, &msg->stats);
	case EXO_VMM_CHANNEL_STATE:
		return wire_state(m, &msg->state);
	case EXO_VMM_CHANNELS:
		wire_channels(m, &msg->channels);
		if (m->adopt_by_ns && !msg->channels.more)
			machine_adopted(m);
		return true;
	case EXO_VMM_MEM_MAPPED:
		return memory_mapped(m, &msg->mem);
	case EXO_VMM_HELLO:
		return machine_greeted(m, &msg->hello, fds, nfds);
	default:
		return true;
	}
}

/* Has it said more than it may? Then it is not heard for a while. */
static bool is_too_loud(struct machine *m, uint64_t now)
{
	if (m->quota_ns < now)
		m->quota_ns = now;
	m->quota_ns += MESSAGE_NS;
	if (m->quota_ns - now <= BURST_NS)
		return false;
	m->resume_ns = now + PAUSE_NS;
	loop_mod(&m->session->loop, m->vm->sock_fd, 0);
	session_wake_at(m->session, m->resume_ns);
	return true;
}

/* Takes up to `most` messages. True: it has nothing more to say (ended, or hung up). */
static bool hear(struct machine *m, unsigned most)
{
	union launch_msg msg;
	int fds[LAUNCH_FDS_MAX];
	unsigned nfds;
	uint64_t now = clock_now_ns();

	for (unsigned i = 0; i < most && machine_runs(m) && !m->broken; i++) {
		int got = launch_recv_fds(m->vm, &msg, fds, &nfds);

		if (got == -EAGAIN)
			return false;
		if (got == 0)
			return true;
		if (got > 0 && msg.h.type == EXO_VMM_ENDED) {
			take_end(m, &msg.ended);
			return true;
		}
		if (got < 0 || !obey(m, &msg, fds, nfds))
			machine_break(m, "exo-vmm broke the protocol and was ended");
		else if (m->vm && is_too_loud(m, now))
			return false;
	}
	return false;
}

/* It hung up without a word: why, says its exit status, which comes soon. */
static void wait_for_exit(struct machine *m)
{
	loop_del(&m->session->loop, m->vm->sock_fd);
	m->hung_up_ns = clock_now_ns();
	session_wake_at(m->session, m->hung_up_ns + MACHINE_GONE_NS);
}

static void on_message(void *opaque, int fd, uint32_t events)
{
	struct machine *m = opaque;

	if (events & EPOLLOUT)
		machine_flush(m);
	if (!hear(m, BATCH))
		return;
	if (m->vm->ended)
		machine_over(m);
	else
		wait_for_exit(m);
}

/* The VMM's process is gone. What it said last may still be in the socket. */
static void on_exit_of(void *opaque, int fd, uint32_t events)
{
	struct machine *m = opaque;
	char why[128] = "exo-vmm is gone";
	int status = 0;

	if (m->broken)
		return lose(m, m->broken);
	if (hear(m, 4096) && m->vm->ended)
		return machine_over(m);
	if (m->broken)
		return lose(m, m->broken);
	if (m->vm->pid && waitpid(m->vm->pid, &status, WNOHANG) == m->vm->pid) {
		m->vm->pid = m->pid = 0;
		launch_describe(m->vm, status, why);
	}
	lose(m, why);
}

int machine_watch(struct machine *m)
{
	struct loop *l = &m->session->loop;
	int err = loop_add(l, m->vm->sock_fd, EPOLLIN, on_message, m);

	return err ? err : loop_add(l, m->pid_fd, EPOLLIN, on_exit_of, m);
}

/* ---- deadlines --------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* True: it is over, and the list may have changed. */
static bool tick(struct machine *m, uint64_t now, uint64_t *next)
{
	if (!m->vm)
		return false;
	if (machine_is_deaf(m, now))
		machine_break(m, "exo-vmm does not take messages and was ended");
	if (m->stats_by_ns && now >= m->stats_by_ns)
		machine_break(m, "exo-vmm did not answer and was ended");
	if (m->adopt_by_ns && now >= m->adopt_by_ns)
		machine_break(m, "exo-vmm did not answer the new session and was ended");
	if (m->hung_up_ns && now >= m->hung_up_ns + MACHINE_GONE_NS)
		machine_break(m, m->killed_why ? "exo-vmm did not obey and was killed"
					       : "exo-vmm hung up and had to be killed");
	if (m->broken) {
		lose(m, m->broken);
		return true;
	}
	if (m->resume_ns && now >= m->resume_ns) {
		m->resume_ns = 0;
		if (m->vm->sock_fd >= 0)
			loop_mod(&m->session->loop, m->vm->sock_fd,
				 EPOLLIN | (m->outbox && m->outbox->count ? EPOLLOUT : 0));
	}
	*next = earlier(*next, m->resume_ns);
	*next = earlier(*next, m->adopt_by_ns);
	*next = earlier(*next, m->stats_by_ns);
	if (m->hung_up_ns)
		*next = earlier(*next, m->hung_up_ns + MACHINE_GONE_NS);
	if (m->outbox && m->outbox->count)
		*next = earlier(*next, m->outbox->since_ns + MACHINE_DEAF_NS);
	return false;
}

uint64_t machine_tick(struct session *s, uint64_t now_ns)
{
	uint64_t next = 0;
	struct machine *m = s->machines;

	while (m) {
		bool over = tick(m, now_ns, &next);

		m = over ? s->machines : m->next;
	}
	return earlier(next, machine_dying_tick(s, now_ns));
}

void machine_finish_all(struct session *s)
{
	for (struct machine *m = s->machines; m; m = m->next) {
		caps_machine_gone(m);
		if (!m->vm)
			continue;
		loop_del(&s->loop, m->vm->sock_fd);
		close_fd(&m->vm->sock_fd);
		if (!s->leave_guests && m->pid)
			machine_kill_process(m->pid_fd, m->pid, m->vm->pid != 0);
		machine_close_fds(m);
		free(m->vm);
		m->vm = NULL;
	}
	machine_dying_finish(s);
	while (s->machines)
		machine_forget(s->machines);
	machine_reap(s);
}
