/* Stopping the guest's CPUs; see pause.h. */
#include "pause.h"

#include "vm.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS 100000000
#define TRIES 10

void pause_interrupt(struct vm *vm, struct vcpu *v)
{
	/* Before the signal, which may come just before KVM_RUN and be forgotten. */
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (v->tid)
		(void)syscall(SYS_tgkill, vm->pid, v->tid, SIGUSR1);
}

void pause_set(struct vm *vm, bool on)
{
	static const struct timespec step = {.tv_nsec = PATIENCE_NS / TRIES};

	if (atomic_exchange(&vm->paused, on) == on)
		return;
	if (!on) {
		(void)syscall(SYS_futex, &vm->paused, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
		return;
	}
	for (unsigned i = 0; i < vm->cpus; i++)
		pause_interrupt(vm, &vm->vcpu[i]);
	for (unsigned i = 0; i < TRIES && !vm->ending; i++) {
		unsigned parked = vm->parked;

		if (parked == vm->cpus)
			return;
		(void)syscall(SYS_futex, &vm->parked, FUTEX_WAIT_PRIVATE, parked, &step, NULL, 0);
	}
}

void pause_wait(struct vm *vm)
{
	if (!vm->paused)
		return;
	atomic_fetch_add(&vm->parked, 1);
	(void)syscall(SYS_futex, &vm->parked, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (atomic_load(&vm->paused))
		(void)syscall(SYS_futex, &vm->paused, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	atomic_fetch_sub(&vm->parked, 1);
}
