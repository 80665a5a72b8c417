/*
 * Messages to a VMM. The session waits for nobody: what the socket has no room for
 * waits in a list, with copies of its fds; a VMM that takes nothing for a while is
 * ended.
 */
#include "machine_impl.h"

#include "clock.h"
#include "fdmsg.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static const char deaf[] = "exo-vmm does not take messages and was ended";

static void free_packet(struct machine_packet *p)
{
	for (unsigned i = 0; i < p->nfds; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	}
	free(p);
}

void machine_outbox_free(struct machine *m)
{
	while (m->outbox && m->outbox->first) {
		struct machine_packet *p = m->outbox->first;

		m->outbox->first = p->next;
		free_packet(p);
	}
	free(m->outbox);
	m->outbox = NULL;
}

bool machine_is_deaf(const struct machine *m, uint64_t now_ns)
{
	return m->outbox && m->outbox->count && now_ns >= m->outbox->since_ns + MACHINE_DEAF_NS;
}

static struct machine_packet *copy_packet(const void *msg, size_t len, const int *fds,
					  unsigned nfds)
{
	struct machine_packet *p = malloc(sizeof(*p) + len);

	if (!p)
		return NULL;
	p->next = NULL;
	p->len = len;
	memcpy(p->bytes, msg, len);
	for (p->nfds = 0; p->nfds < nfds; p->nfds++) {
		p->fds[p->nfds] = fcntl(fds[p->nfds], F_DUPFD_CLOEXEC, 0);
		if (p->fds[p->nfds] < 0) {
			free_packet(p);
			return NULL;
		}
	}
	return p;
}

static void keep(struct machine *m, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	struct machine_packet *p;

	if (!m->outbox) {
		m->outbox = calloc(1, sizeof(*m->outbox));
		if (!m->outbox)
			return machine_break(m, "the session is out of memory");
		m->outbox->last = &m->outbox->first;
	}
	if (m->outbox->count == MACHINE_OUTBOX_MAX)
		return machine_break(m, deaf);
	p = copy_packet(msg, len, fds, nfds);
	if (!p)
		return machine_break(m, "the session is out of memory or descriptors");
	if (!m->outbox->count++) {
		m->outbox->since_ns = clock_now_ns();
		session_wake_at(m->session, m->outbox->since_ns + MACHINE_DEAF_NS);
		loop_mod(&m->session->loop, m->vm->sock_fd,
			 EPOLLOUT | (m->resume_ns ? 0 : EPOLLIN));
	}
	*m->outbox->last = p;
	m->outbox->last = &p->next;
}

void machine_send(struct machine *m, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	int err = -EAGAIN;

	if (!machine_runs(m) || m->broken || nfds > 4)
		return;
	if (!m->outbox || !m->outbox->count)
		err = fdmsg_send(m->vm->sock_fd, msg, len, fds, nfds);
	if (err == -EAGAIN)
		keep(m, msg, len, fds, nfds);
	else if (err && err != -EPIPE && err != -ECONNRESET && err != -ENOTCONN)
		machine_break(m, deaf); /* gone, we shall hear by its hang-up */
}

void machine_flush(struct machine *m)
{
	struct machine_outbox *box = m->outbox;
	struct machine_packet *p;

	while (box && (p = box->first) && machine_runs(m)) {
		if (fdmsg_send(m->vm->sock_fd, p->bytes, p->len, p->fds, p->nfds) == -EAGAIN)
			return;
		box->first = p->next;
		if (!box->first)
			box->last = &box->first;
		box->count--;
		box->since_ns = clock_now_ns();
		free_packet(p);
	}
	if (machine_runs(m))
		loop_mod(&m->session->loop, m->vm->sock_fd, m->resume_ns ? 0 : EPOLLIN);
}

/* ---- the simple ones --------------------------------------------------------------- */

static void send_signal(struct machine *m, enum exo_vmm_type type, int signo)
{
	struct exo_vmm_signal msg = {{EXO_VMM_MAGIC, type, sizeof(msg), 0}, (uint32_t)signo, 0};

	machine_send(m, &msg, sizeof(msg), NULL, 0);
}

void machine_signal(struct machine *m, int signo)
{
	send_signal(m, EXO_VMM_SIGNAL, signo);
}

void machine_kill(struct machine *m, const char *why)
{
	if (!machine_runs(m))
		return;
	if (!m->killed_why)
		m->killed_why = why;
	send_signal(m, EXO_VMM_KILL, SIGKILL);
	if (!m->hung_up_ns) {
		m->hung_up_ns = clock_now_ns(); /* it has as long to obey as to go */
		session_wake_at(m->session, m->hung_up_ns + MACHINE_GONE_NS);
	}
}

void machine_request_stats(struct machine *m)
{
	struct exo_vmm_header msg = {EXO_VMM_MAGIC, EXO_VMM_STATS_REQUEST, sizeof(msg), 0};

	if (!machine_runs(m))
		return;
	m->stats_asked++;
	if (!m->stats_by_ns) {
		m->stats_by_ns = clock_now_ns() + MACHINE_DEAF_NS;
		session_wake_at(m->session, m->stats_by_ns);
	}
	machine_send(m, &msg, sizeof(msg), NULL, 0);
}
