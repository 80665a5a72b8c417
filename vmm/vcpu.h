/*
 * A virtual CPU and its thread. Every way in which KVM_RUN can return is either
 * carried out or ends the guest with a reason (hostile-guests H-32).
 */
#ifndef VCPU_H
#define VCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vm;
struct kvm_run;

struct vcpu {
	struct vm *vm;
	unsigned index; /* and local APIC id */
	int fd;
	struct kvm_run *run;
	_Atomic pid_t tid;      /* of its thread; 0: not running the guest yet */
	_Atomic uint64_t exits; /* to user space */
	_Atomic bool asked;     /* watchdog.c: is to say whether it is stuck… */
	_Atomic unsigned stuck; /* …and for how many questions it has been */
};

/*
 * Creates the VM and vCPU 0, which the calling thread runs later with
 * vcpu_run_first. Main thread. Failures end the guest.
 */
void vcpu_create_first(struct vm *vm);
_Noreturn void vcpu_run_first(struct vm *vm);

/*
 * Starts the thread of a further vCPU: it creates it, seals itself and runs the guest from
 * VM_RUN on. 0 or -errno. Failures after that end the guest.
 */
int vcpu_start(struct vcpu *v, struct vm *vm, unsigned index);

/*
 * Gives the vCPUs what depends on the configuration and the program: CPUID, and
 * MSRs if it is not the SDK's. Main thread, before VM_RUN. 0 or -errno.
 */
int vcpu_adjust(struct vm *vm);

/* Carries out why KVM_RUN returned 0. Its own thread. See exits.c. */
void vcpu_handle_exit(struct vcpu *v);
/* KVM_RUN failed with EFAULT: memory that is the guest's could not be had. Ends the guest. */
_Noreturn void vcpu_handle_fault(struct vcpu *v);

#endif
