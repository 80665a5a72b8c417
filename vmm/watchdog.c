/* Guests that halted for good; see watchdog.h. */
#include "watchdog.h"

#include "pause.h"
#include "vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <sys/ioctl.h>

#define FIRST_NS 250000000u
#define RFLAGS_IF 0x200u
/* Twice in a row: a CPU that looked early may have been woken by one that looked late. */
#define STUCK_ANSWERS 2

static void on_signal(int signo)
{
	/* Its arrival is what counts. */
}

int watchdog_init(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (sigaction(SIGUSR1, &sa, NULL) || sigprocmask(SIG_UNBLOCK, &set, NULL))
		return -errno;
	return 0;
}

uint64_t watchdog_poll(struct vm *vm, uint64_t now_ns)
{
	if (!vm->watch_ns)
		vm->watch_ns = now_ns + (vm->watch_step_ns = FIRST_NS);
	if (now_ns < vm->watch_ns)
		return vm->watch_ns;
	if (vm->paused) /* they can't answer, and can't be stuck */
		return vm->watch_ns = now_ns + vm->watch_step_ns;
	for (unsigned i = 0; i < vm->cpus; i++) {
		struct vcpu *v = &vm->vcpu[i];

		if (!v->tid)
			continue;
		v->asked = true;
		pause_interrupt(vm, v);
	}
	vm->watch_ns = now_ns + vm->watch_step_ns;
	vm->watch_step_ns *= 2;
	return vm->watch_ns;
}

static bool is_stuck(struct vcpu *v)
{
	struct kvm_mp_state state;
	struct kvm_regs regs;

	if (ioctl(v->fd, KVM_GET_MP_STATE, &state))
		return false;
	if (state.mp_state == KVM_MP_STATE_UNINITIALIZED)
		return true; /* only another CPU can start it */
	return state.mp_state == KVM_MP_STATE_HALTED && !ioctl(v->fd, KVM_GET_REGS, &regs) &&
	       !(regs.rflags & RFLAGS_IF);
}

void watchdog_answer(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (!atomic_exchange(&v->asked, false))
		return;
	if (!is_stuck(v)) {
		v->stuck = 0;
		return;
	}
	v->stuck++;
	for (unsigned i = 0; i < vm->cpus; i++) {
		if (vm->vcpu[i].asked || vm->vcpu[i].stuck < STUCK_ANSWERS)
			return;
	}
	if (!ioapic_has_special(&vm->ioapic)) /* a device might still send an NMI */
		vm_end(vm, EXO_END_HALTED, 0, "all CPUs halted with interrupts off");
}
