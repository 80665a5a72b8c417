/*
 * What CPUID says in a guest. KVM_GET_SUPPORTED_CPUID takes as long as all the
 * rest of creating a VM where KVM is software, so guests built with the SDK,
 * which look at little, get a small table made from this CPU's own answers.
 */
#ifndef CPUID_H
#define CPUID_H

#include "kvm.h"

#include <stdint.h>

#define CPUID_ENTRIES_MAX 160

/* Same layout as struct kvm_cpuid2, with room. */
struct cpuid {
	uint32_t nent, padding;
	struct cpuid_entry {
		uint32_t function, index, flags, eax, ebx, ecx, edx, reserved[3];
	} entry[CPUID_ENTRIES_MAX];
};

/*
 * For guests of the SDK: the baseline of x86-64 and those extensions that need
 * no help from an operating system, as far as this CPU has them; local APIC
 * (x2APIC, deadline timer); the hypervisor bit and kvm-clock. No AVX.
 */
void cpuid_make_sdk(struct cpuid *c);

/*
 * For all others: what KVM supports, with the hypervisor bit, KVM's leaves (so that
 * Linux uses kvm-clock) and the TSC's frequency (leaf 0x40000010; tsc_khz 0:
 * left out). 0 or -errno.
 */
int cpuid_make_full(struct cpuid *c, const struct kvm *k, uint32_t tsc_khz);

/* Gives the table to a vCPU as number `index` of `cpus`; it is changed on the way. */
int cpuid_apply(struct cpuid *c, int vcpu_fd, unsigned index, unsigned cpus);

#endif
