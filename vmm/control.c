/* Messages while the guest runs; see control.h. */
#include "control.h"

#include "console.h"
#include "fdmsg.h"
#include "vm.h"
#include "vsock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct exo_vmm_header header(enum exo_vmm_type type, size_t size)
{
	return (struct exo_vmm_header){EXO_VMM_MAGIC, type, (uint32_t)size, 0};
}

/* ---- to the shell -------------------------------------------------------------- */

static void say_started(struct vm *vm)
{
	struct exo_vmm_header started = header(EXO_VMM_STARTED, sizeof(started));

	if (!vm->said_started)
		(void)fdmsg_send(vm->sock_fd, &started, sizeof(started), NULL, 0);
	vm->said_started = true;
}

void control_say_started(struct vm *vm)
{
	pthread_mutex_lock(&vm->send_lock);
	say_started(vm);
	pthread_mutex_unlock(&vm->send_lock);
}

static void send_message(struct vm *vm, const void *msg, size_t len)
{
	pthread_mutex_lock(&vm->send_lock);
	say_started(vm);
	(void)fdmsg_send(vm->sock_fd, msg, len, NULL, 0);
	pthread_mutex_unlock(&vm->send_lock);
}

static void forward_ctl(struct vm *vm, const struct exo_ctl *ctl)
{
	struct exo_vmm_termios termios = {.h = header(EXO_VMM_TERMIOS, sizeof(termios))};
	struct exo_vmm_header ready = header(EXO_VMM_READY, sizeof(ready));

	if (ctl->type == EXO_CTL_TERMIOS) {
		termios.flags = ctl->arg0 & (EXO_TTY_ECHO | EXO_TTY_CANON | EXO_TTY_ISIG);
		send_message(vm, &termios, sizeof(termios));
	} else if (ctl->type == EXO_CTL_READY) {
		send_message(vm, &ready, sizeof(ready));
	}
}

void control_forward(struct vm *vm, bool from_console, const void *msg, size_t len)
{
	struct exo_ctl ctl;

	if (!from_console) {
		send_message(vm, msg, len);
	} else if (len == sizeof(ctl)) {
		memcpy(&ctl, msg, sizeof(ctl));
		forward_ctl(vm, &ctl);
	}
}

static void send_stats(struct vm *vm)
{
	struct exo_vmm_stats stats = {
		.h = header(EXO_VMM_STATS, sizeof(stats)),
		.wakeups = vm->loop.wakeups,
		.ram_bytes = vm->ram.bytes,
	};

	for (unsigned i = 0; i < vm->cpus; i++)
		stats.exits += vm->vcpu[i].exits;
	devices_count(&vm->devices, &stats);
	send_message(vm, &stats, sizeof(stats));
}

/* ---- from the shell --------------------------------------------------------------- */

union message {
	struct exo_vmm_header h;
	struct exo_vmm_signal signal;
	struct exo_vmm_winch winch;
	struct exo_vmm_vsock vsock;
};

static void open_vsock(struct vm *vm, const struct exo_vmm_vsock *m, int fd)
{
	if (!vm->devices.vsock ||
	    vsock_open(vm->devices.vsock, fd, m->port, m->type, m->flags & EXO_VSOCK_SAY_OK, m->id))
		close(fd); /* which is how the other end hears of it */
}

static void reply_vsock(struct vm *vm, const struct exo_vmm_vsock *m, int fd)
{
	if (vm->devices.vsock)
		vsock_reply(vm->devices.vsock, m->id, m->status, fd);
	else if (fd >= 0)
		close(fd);
}

/* Carries out a message of the right size; false: it is not one that may come. */
static bool obey(struct vm *vm, const union message *m, size_t len, int fd)
{
	bool has_fd = fd >= 0;

	switch (m->h.type) {
	case EXO_VMM_SIGNAL:
		if (len != sizeof(m->signal) || has_fd || !m->signal.signo || m->signal.signo > 63)
			return false;
		/* A program that doesn't listen can't have a handler either. */
		if (!console_signal(vm->devices.console, m->signal.signo))
			vm_kill(vm, EXO_END_SIGNAL, m->signal.signo, "%s", "");
		return true;
	case EXO_VMM_KILL:
		if (len != sizeof(m->signal) || has_fd)
			return false;
		vm_kill(vm, EXO_END_KILLED, m->signal.signo & 127, "%s", "");
		return true;
	case EXO_VMM_WINCH:
		if (len != sizeof(m->winch) || has_fd || m->winch.rows > UINT16_MAX ||
		    m->winch.cols > UINT16_MAX)
			return false;
		console_winch(vm->devices.console, (uint16_t)m->winch.rows,
			      (uint16_t)m->winch.cols);
		return true;
	case EXO_VMM_VSOCK_OPEN:
		if (len != sizeof(m->vsock) || !has_fd)
			return false;
		open_vsock(vm, &m->vsock, fd);
		return true;
	case EXO_VMM_VSOCK_REPLY:
		if (len != sizeof(m->vsock) || has_fd != (m->vsock.status == 0))
			return false;
		reply_vsock(vm, &m->vsock, fd);
		return true;
	case EXO_VMM_STATS_REQUEST:
		if (len != sizeof(m->h) || has_fd)
			return false;
		send_stats(vm);
		return true;
	}
	return false;
}

static void hang_up(struct vm *vm)
{
	loop_del(&vm->loop, vm->sock_fd);
	if (!(vm->config.wire.flags & EXO_VMM_OUTLIVE))
		vm_kill(vm, EXO_END_KILLED, SIGKILL, "the shell has gone");
}

void control_receive(void *opaque, int sock_fd, uint32_t events)
{
	struct vm *vm = opaque;
	union message m;
	unsigned nfds;
	int fd = -1;
	ssize_t n = fdmsg_recv(sock_fd, &m, sizeof(m), &fd, 1, &nfds);

	if (n == -EAGAIN)
		return;
	if (n == 0 || n == -ECONNRESET) {
		hang_up(vm);
		return;
	}
	if (n < (ssize_t)sizeof(m.h) || m.h.magic != EXO_VMM_MAGIC || m.h.size != (size_t)n ||
	    m.h.nfds != nfds || !obey(vm, &m, (size_t)n, nfds ? fd : -1)) {
		if (n > 0 && nfds)
			close(fd);
		loop_del(&vm->loop, vm->sock_fd);
		vm_kill(vm, EXO_END_KILLED, SIGKILL, "a message that is not one of ours");
	}
}
