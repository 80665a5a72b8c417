/* A virtual CPU's thread; see vcpu.h. */
#include "vcpu.h"

#include "cpuid.h"
#include "pause.h"
#include "sandbox.h"
#include "thread.h"
#include "vm.h"
#include "watchdog.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MSR_TSC 0x10u
#define MSR_MISC_ENABLE 0x1a0u
#define MISC_ENABLE_FAST_STRING 1u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLED_WRITE_BACK 0x806u

/* struct kvm_msrs with room. */
struct msrs {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry[2];
};

_Static_assert(offsetof(struct msrs, entry) == sizeof(struct kvm_msrs), "kvm's layout");

/* ---- preparation: failures end the guest ------------------------------------- */

static void must(struct vcpu *v, int err, const char *what)
{
	if (err)
		vm_end(v->vm, EXO_END_HOST, 0, "%s: %s", what, strerror(err < 0 ? -err : err));
}

static int create(struct vcpu *v)
{
	void *run;

	v->fd = ioctl(v->vm->kvm.fd, KVM_CREATE_VCPU, v->index);
	if (v->fd < 0)
		return -errno;
	run = mmap(NULL, v->vm->kvm.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	v->run = run;
	return 0;
}

/* The guest's TSC beside the wall clock, and its frequency; both may stay unknown. */
static void measure_tsc(struct vcpu *v)
{
	struct msrs m = {.nmsrs = 1, .entry[0].index = MSR_TSC};
	int khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
	struct timespec now;

	if (khz > 0)
		v->vm->tsc_hz = (uint64_t)khz * 1000u;
	if (ioctl(v->fd, KVM_GET_MSRS, &m) != 1)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	v->vm->wall_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	v->vm->wall_tsc = m.entry[0].data;
}

/* Most guests are the SDK's, and it is not known yet what this one is; see vcpu_adjust. */
static int set_sdk_cpuid(struct vcpu *v)
{
	struct cpuid c;

	cpuid_make_sdk(&c);
	return cpuid_apply(&c, v->fd, v->index, 1);
}

/* What firmware would have set and Linux expects: memory is cached, rep movs fast. */
static int set_msrs(struct vcpu *v)
{
	struct msrs m = {
		.nmsrs = 2,
		.entry = {{.index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLED_WRITE_BACK},
			  {.index = MSR_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING}},
	};

	return ioctl(v->fd, KVM_SET_MSRS, &m) < 0 ? -errno : 0;
}

/* The registers go with the first KVM_RUN; what the entry leaves alone is as KVM made it. */
static int get_sregs(struct vcpu *v)
{
	return ioctl(v->fd, KVM_GET_SREGS, &v->run->s.regs.sregs) ? -errno : 0;
}

static void set_entry(struct vcpu *v)
{
	struct kvm_sync_regs *s = &v->run->s.regs;

	memset(&s->regs, 0, sizeof(s->regs));
	boot_set_regs(&v->vm->entry, &s->regs, &s->sregs);
	v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

void vcpu_create_first(struct vm *vm)
{
	struct vcpu *v = &vm->vcpu[0];

	v->vm = vm;
	must(v, kvm_init(&vm->kvm, vm->kvm.sys_fd), "creating a VM");
	must(v, create(v), "creating a CPU");
	measure_tsc(v);
	must(v, get_sregs(v), "reading registers");
	must(v, set_sdk_cpuid(v), "setting CPUID");
	gate_add(&vm->prepared);
	vm_stage(vm, EXO_STAGE_VM);
}

int vcpu_adjust(struct vm *vm)
{
	struct cpuid c;
	int err = 0;

	if (vm->image.is_sdk && vm->cpus == 1)
		return 0;
	gate_wait(&vm->prepared, vm->cpus);
	if (vm->image.is_sdk)
		cpuid_make_sdk(&c);
	else
		err = cpuid_make_full(&c, &vm->kvm, (uint32_t)(vm->tsc_hz / 1000));
	for (unsigned i = 0; !err && i < vm->cpus; i++) {
		err = cpuid_apply(&c, vm->vcpu[i].fd, i, vm->cpus);
		if (!err && !vm->image.is_sdk)
			err = set_msrs(&vm->vcpu[i]);
	}
	return err;
}

/* ---- running -------------------------------------------------------------------- */

static void run_once(struct vcpu *v)
{
	if (ioctl(v->fd, KVM_RUN, 0) == 0) {
		atomic_fetch_add_explicit(&v->exits, 1, memory_order_relaxed);
		if (atomic_load(&v->vm->ending))
			gate_sleep(&v->vm->gate, VM_NEVER);
		vcpu_handle_exit(v);
		return;
	}
	switch (errno) {
	case EINTR:
		__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		watchdog_answer(v);
		pause_wait(v->vm);
		return;
	case EAGAIN: /* a CPU that waits for its start was woken */
		return;
	case EFAULT:
		vcpu_handle_fault(v);
	default:
		vm_end(v->vm, EXO_END_HOST, 0, "KVM_RUN: %s", strerror(errno));
	}
}

_Noreturn void vcpu_run_first(struct vm *vm)
{
	struct vcpu *v = &vm->vcpu[0];

	set_entry(v);
	vm_stage(vm, EXO_STAGE_RUN);
	v->tid = vm->pid;
	for (;;)
		run_once(v);
}

static void *thread_main(void *opaque)
{
	struct vcpu *v = opaque;
	pid_t tid = (pid_t)syscall(SYS_gettid);

	must(v, create(v), "creating a CPU");
	must(v, set_sdk_cpuid(v), "setting CPUID");
	gate_add(&v->vm->prepared);
	must(v, sandbox_seal(SANDBOX_VCPU), "sandbox");
	gate_sleep(&v->vm->gate, VM_RUN);
	v->tid = tid;
	for (;;)
		run_once(v);
	return NULL;
}

int vcpu_start(struct vcpu *v, struct vm *vm, unsigned index)
{
	v->vm = vm;
	v->index = index;
	v->fd = -1;
	return thread_start(thread_main, v);
}
