/*
 * VMMs whose guests are over: they are waited for without waiting, and killed if they
 * do not go.
 */
#include "machine_impl.h"

#include "clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void free_dying(struct machine_dying *d)
{
	if (d->pid_fd >= 0) {
		loop_del(&d->session->loop, d->pid_fd);
		close(d->pid_fd);
	}
	free(d->vm);
	free(d);
}

/* The process is gone, or was never one of ours. */
static bool has_gone(const struct machine_dying *d)
{
	int status;

	if (!d->pid)
		return true;
	if (d->is_child)
		return waitpid(d->pid, &status, WNOHANG) != 0;
	return kill(d->pid, 0) && errno == ESRCH;
}

static void on_dead(void *opaque, int fd, uint32_t events)
{
	struct machine_dying *d = opaque;
	struct machine_dying **at = &d->session->dying;

	if (d->is_child && d->pid)
		(void)waitpid(d->pid, NULL, WNOHANG);
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	free_dying(d);
}

/* Kills by the pidfd where there is one: a number may belong to somebody else by now. */
void machine_kill_process(int pid_fd, pid_t pid, bool is_child)
{
	if (pid_fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0);
	else if (pid && is_child)
		(void)kill(pid, SIGKILL);
}

void machine_let_die(struct machine *m, bool kill_now)
{
	struct session *s = m->session;
	struct machine_dying *d;

	if (!m->vm)
		return;
	if (m->vm->sock_fd >= 0) {
		loop_del(&s->loop, m->vm->sock_fd);
		close(m->vm->sock_fd);
		m->vm->sock_fd = -1;
	}
	if (m->pid_fd >= 0)
		loop_del(&s->loop, m->pid_fd);
	if (kill_now)
		machine_kill_process(m->pid_fd, m->pid, m->vm->pid != 0);
	d = calloc(1, sizeof(*d));
	if (!d) { /* it stays a zombie, and its memory ours: better than a wild pointer */
		m->vm = NULL;
		if (m->pid_fd >= 0)
			close(m->pid_fd);
		m->pid_fd = -1;
		return;
	}
	*d = (struct machine_dying){.session = s, .vm = m->vm, .pid = m->pid, .pid_fd = m->pid_fd};
	d->is_child = m->vm->pid != 0;
	d->kill_ns = clock_now_ns() + MACHINE_GONE_NS;
	m->vm = NULL;
	m->pid_fd = -1;
	if (has_gone(d) || (d->pid_fd >= 0 && loop_add(&s->loop, d->pid_fd, EPOLLIN, on_dead, d))) {
		free_dying(d);
		return;
	}
	d->next = s->dying;
	s->dying = d;
	session_wake_at(s, d->kill_ns);
}

uint64_t machine_dying_tick(struct session *s, uint64_t now_ns)
{
	uint64_t next = 0;

	for (struct machine_dying *d = s->dying; d; d = d->next) {
		if (now_ns >= d->kill_ns) {
			machine_kill_process(d->pid_fd, d->pid, d->is_child);
			d->kill_ns = now_ns + MACHINE_GONE_NS;
		}
		if (!next || d->kill_ns < next)
			next = d->kill_ns;
	}
	return next;
}

void machine_dying_finish(struct session *s)
{
	while (s->dying) {
		struct machine_dying *d = s->dying;

		s->dying = d->next;
		if (!s->leave_guests)
			machine_kill_process(d->pid_fd, d->pid, d->is_child);
		free_dying(d);
	}
}
