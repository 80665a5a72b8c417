/* Stopping the guest's CPUs; see pause.h. */
#include "pause.h"

#include "vm.h"

#include <limits.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

void pause_interrupt(struct vm *vm, struct vcpu *v)
{
	/* Before the signal, which may come just before KVM_RUN and be forgotten. */
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (v->tid)
		(void)syscall(SYS_tgkill, vm->pid, v->tid, SIGUSR1);
}

void pause_set(struct vm *vm, bool on)
{
	if (atomic_exchange(&vm->paused, on) == on)
		return;
	if (!on) {
		(void)syscall(SYS_futex, &vm->paused, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
		return;
	}
	for (unsigned i = 0; i < vm->cpus; i++)
		pause_interrupt(vm, &vm->vcpu[i]);
}

void pause_wait(struct vm *vm)
{
	while (atomic_load(&vm->paused))
		(void)syscall(SYS_futex, &vm->paused, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
}
