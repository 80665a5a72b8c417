/*
 * exo run without a session: the VMM is our child. Order of a launch: the VMM is
 * started and creates its VM, meanwhile files are opened and checked here, then it
 * gets everything in one message.
 */
#include "run_priv.h"

#include "text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int start(struct run *r)
{
	int err;

	run_block_signals();
	if ((err = launch_spawn(&r->vm, r->guest.name)))
		return err;
	if ((err = guest_open(&r->guest)) || (err = run_open_signal_fd(r)))
		return err;
	if (r->vsock_path && (err = broker_listen(&r->broker, r->vsock_path)))
		return err;
	guest_reopen_stdio(&r->guest);
	if ((err = run_set_up_terminal(r)))
		return err;
	if ((err = launch_configure(&r->vm, &r->guest)))
		return text_error(GUEST_EXIT_FAILURE, "exo-vmm takes no configuration: %s",
				  strerror(-err));
	r->report.spawned_ns = r->vm.spawned_ns;
	r->report.configured_ns = r->vm.configured_ns;
	return 0;
}

static unsigned poll_fds(struct run *r, struct pollfd *fds)
{
	fds[0] = (struct pollfd){r->vm.sock_fd, POLLIN, 0};
	return 1 + (r->vm.started ? broker_poll(&r->broker, fds + 1) : 0);
}

static uint64_t deadline(const struct run *r)
{
	return broker_deadline(&r->broker);
}

static int handle_message(struct run *r, const union launch_msg *m)
{
	switch (m->h.type) {
	case EXO_VMM_STARTED:
		r->started = true;
		return 0;
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

static bool lose_vmm(struct run *r, const char *why)
{
	if (why)
		snprintf(r->report.end.detail, sizeof(r->report.end.detail), "%s", why);
	else
		launch_cause(&r->vm, r->report.end.detail);
	return true;
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
			return lose_vmm(r, NULL);
		if (got < 0)
			return lose_vmm(r, "exo-vmm broke the protocol and was ended");
		if (handle_message(r, &m))
			return lose_vmm(r, "exo-vmm does not take messages and was ended");
		if (r->vm.ended)
			return true;
	}
	return false;
}

static bool handle(struct run *r, const struct pollfd *fds, unsigned nfds)
{
	if (fds[0].revents && handle_messages(r))
		return true;
	if (broker_handle(&r->broker, &r->vm, fds + 1, nfds - 1))
		return lose_vmm(r, "exo-vmm does not take messages and was ended");
	return false;
}

static void signal_guest(struct run *r, int signo)
{
	launch_send_signal(&r->vm, EXO_VMM_SIGNAL, signo);
}

static void kill_guest(struct run *r, int signo)
{
	launch_send_signal(&r->vm, EXO_VMM_KILL, signo);
}

static void winch(struct run *r, uint32_t rows, uint32_t cols)
{
	launch_send_winch(&r->vm, rows, cols);
}

static void stop(struct run *r, bool stopped)
{
	kill(r->vm.pid, stopped ? SIGSTOP : SIGCONT);
}

static void complete(struct run *r)
{
	struct rusage u = {0};

	if (!r->vm.ended || !r->vm.pid)
		return;
	launch_wait(&r->vm, &u);
	r->report.cpu_us = (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000ll +
			   u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void finish(struct run *r)
{
	if (r->vm.ended)
		guest_unlock_disks(&r->guest);
	launch_finish(&r->vm);
	broker_finish(&r->broker);
}

const struct run_way run_direct = {
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
