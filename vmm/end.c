/*
 * The guest's end: the message to the shell, then the process's exit, which takes
 * the VM along. Whoever decides it first, vCPU thread or event loop, is the one
 * that counts. What the guest has written is still delivered, by the event loop:
 * output however long its reader takes, as with a process, whose last write
 * would wait as well; data on connections if it is taken within DRAIN_NS.
 */
#include "vm.h"

#include "clock.h"
#include "clock.h"
#include "fdmsg.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_NS 2000000000u
#define KILL_NS 20000000u /* for an end that is on its way when the shell kills the guest */
#define SEND_PATIENCE_MS 1000
#define UNREAD_MAX 64 /* messages of the shell's that nobody reads any more */

void vm_stage(struct vm *vm, enum exo_stage stage)
{
	vm->stage_ns[stage] = clock_now_ns();
}

static void make_printable(char *s)
{
	for (; *s; s++) {
		if (*s < ' ' || *s > '~')
			*s = '?';
	}
}

/* The first caller fills in the message: true. */
static bool decide(struct vm *vm, enum exo_end reason, unsigned status, const char *fmt, va_list ap)
{
	struct exo_vmm_ended *m = &vm->ended;
	bool first;

	pthread_mutex_lock(&vm->end_lock);
	first = !atomic_exchange(&vm->ending, true);
	if (first) {
		vm_stage(vm, EXO_STAGE_END);
		m->h = (struct exo_vmm_header){EXO_VMM_MAGIC, EXO_VMM_ENDED, sizeof(*m), 0};
		m->reason = reason;
		m->status = status;
		vsnprintf(m->detail, sizeof(m->detail), fmt, ap);
		make_printable(m->detail);
	}
	pthread_mutex_unlock(&vm->end_lock);
	return first;
}

/*
 * A socket that is closed with messages unread gives its other end an error in
 * place of the last message from us.
 */
static void discard_input(const struct vm *vm)
{
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1}; /* the kernel drops fds */

	for (unsigned i = 0; i < UNREAD_MAX; i++) {
		if (recvmsg(vm->sock_fd, &mh, MSG_DONTWAIT) <= 0)
			return;
	}
}

/* Sends what was decided. The socket is not blocking: a shell that stands still gets a second. */
static _Noreturn void finish(struct vm *vm)
{
	struct exo_vmm_ended *m = &vm->ended;
	struct pollfd pfd = {.events = POLLOUT};
	int err;

	pthread_mutex_lock(&vm->send_lock); /* for good */
	pfd.fd = vm->sock_fd;
	m->exits = 0;
	for (unsigned i = 0; i < vm->cpus; i++)
		m->exits += vm->vcpu[i].exits;
	if (vm->config.wire.flags & EXO_VMM_TIMINGS) {
		for (unsigned i = 0; i < EXO_STAGES; i++)
			m->stage_ns[i] = vm->stage_ns[i];
	}
	do {
		err = fdmsg_send(vm->sock_fd, m, sizeof(*m), NULL, 0);
	} while (err == -EAGAIN && poll(&pfd, 1, SEND_PATIENCE_MS) == 1);
	discard_input(vm);
	_exit(err ? 1 : 0);
}

static _Noreturn void wait_for_exit(struct vm *vm)
{
	for (;;)
		gate_sleep(&vm->gate, VM_NEVER);
}

_Noreturn void vm_end(struct vm *vm, enum exo_end reason, unsigned status, const char *fmt, ...)
{
	uint64_t not_yet = 0;
	bool first, pending;
	va_list ap;

	va_start(ap, fmt);
	first = decide(vm, reason, status, fmt, ap);
	va_end(ap);
	if (!first)
		wait_for_exit(vm);
	devices_hurry(&vm->devices);
	pending = vm->started && devices_pending(&vm->devices, true);
	if (vm->config.wire.flags & EXO_VMM_TIMINGS)
		devices_stages(&vm->devices, vm->stage_ns);
	if (!pending)
		finish(vm);
	atomic_compare_exchange_strong(&vm->drain_until_ns, &not_yet, clock_now_ns() + DRAIN_NS);
	timers_set(&vm->devices.timers, TIMER_END, 1);
	wait_for_exit(vm);
}

void vm_kill(struct vm *vm, enum exo_end reason, unsigned status, const char *fmt, ...)
{
	bool first;
	va_list ap;

	va_start(ap, fmt);
	first = decide(vm, reason, status, fmt, ap);
	va_end(ap);
	if (first)
		finish(vm);
	/* It is ending: not much longer. */
	vm->killed = true;
	vm->drain_until_ns = clock_now_ns() + KILL_NS;
	timers_set(&vm->devices.timers, TIMER_END, vm->drain_until_ns);
}

void vm_end_poll(struct vm *vm)
{
	uint64_t until = vm->drain_until_ns;
	bool patient;

	if (!until)
		return;
	patient = clock_now_ns() < until;
	if (vm->killed ? !patient : !devices_pending(&vm->devices, patient))
		finish(vm);
	if (patient)
		timers_set(&vm->devices.timers, TIMER_END, until);
}
