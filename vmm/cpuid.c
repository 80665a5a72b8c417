/* CPUID; see cpuid.h. Runs in vCPU threads before the guest does. */
#include "cpuid.h"

#include <errno.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

_Static_assert(sizeof(struct cpuid_entry) == sizeof(struct kvm_cpuid_entry2), "kvm's layout");
_Static_assert(offsetof(struct cpuid, entry) == sizeof(struct kvm_cpuid2), "kvm's layout");

#define BIT(n) (1u << (n))

/* Leaf 1, ecx. */
#define HYPERVISOR BIT(31)
#define X2APIC BIT(21)
#define DEADLINE BIT(24)
#define SDK_1C \
	(BIT(0) /* SSE3 */ | BIT(1) /* PCLMUL */ | BIT(9) /* SSSE3 */ | BIT(13) /* CX16 */ | \
	 BIT(19) /* SSE4.1 */ | BIT(20) /* SSE4.2 */ | BIT(22) /* MOVBE */ | \
	 BIT(23) /* POPCNT */ | BIT(25) /* AES */ | BIT(30) /* RDRAND */)
/* Leaf 1, edx: FPU TSC MSR PAE CX8 APIC PGE CMOV PAT CLFLUSH MMX FXSR SSE SSE2. */
#define SDK_1D \
	(BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(13) | BIT(15) | BIT(16) | \
	 BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))
/* Leaf 7, ebx: FSGSBASE BMI1 BMI2 ERMS RDSEED ADX CLFLUSHOPT CLWB SHA; edx: FSRM. */
#define SDK_7B (BIT(0) | BIT(3) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | BIT(24) | BIT(29))
#define SDK_7D BIT(4)
/* Leaf 0x80000001, ecx: LAHF LZCNT PREFETCHW; edx: SYSCALL NX 1GiB pages, long mode. */
#define SDK_81C (BIT(0) | BIT(5) | BIT(8))
#define SDK_81D (BIT(11) | BIT(20) | BIT(26) | BIT(29))

#define LEAF_TIMING 0x40000010u
#define LAPIC_KHZ 1000000u /* KVM's local APIC timer counts nanoseconds */

static struct cpuid_entry *add(struct cpuid *c, uint32_t function)
{
	struct cpuid_entry *e = &c->entry[c->nent++];

	memset(e, 0, sizeof(*e));
	e->function = function;
	return e;
}

static struct cpuid_entry *add_own(struct cpuid *c, uint32_t leaf)
{
	struct cpuid_entry *e = add(c, leaf);

	__asm__ volatile("cpuid"
			 : "=a"(e->eax), "=b"(e->ebx), "=c"(e->ecx), "=d"(e->edx)
			 : "a"(leaf), "c"(0));
	return e;
}

static void add_kvm(struct cpuid *c, uint32_t last)
{
	struct cpuid_entry *e = add(c, KVM_CPUID_SIGNATURE);

	e->eax = last;
	memcpy(&e->ebx, "KVMK", 4);
	memcpy(&e->ecx, "VMKV", 4);
	memcpy(&e->edx, "M\0\0\0", 4);
}

void cpuid_make_sdk(struct cpuid *c)
{
	struct cpuid_entry *e;

	c->nent = c->padding = 0;
	e = add_own(c, 0);
	e->eax = 7;
	e = add_own(c, 1);
	e->ebx &= 0xff00; /* size of a cache line to flush */
	e->ecx = (e->ecx & SDK_1C) | HYPERVISOR | X2APIC | DEADLINE;
	e->edx &= SDK_1D;
	e = add_own(c, 7);
	e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	e->eax = e->ecx = 0;
	e->ebx &= SDK_7B;
	e->edx &= SDK_7D;
	e = add(c, 0x80000000);
	e->eax = 0x80000008;
	e = add_own(c, 0x80000001);
	e->eax = e->ebx = 0;
	e->ecx &= SDK_81C;
	e->edx &= SDK_81D;
	e = add_own(c, 0x80000008); /* address widths */
	e->eax &= 0xffff;
	e->ebx = e->ecx = e->edx = 0;
	add_kvm(c, KVM_CPUID_FEATURES);
	e = add(c, KVM_CPUID_FEATURES);
	e->eax = BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT);
}

static struct cpuid_entry *find(struct cpuid *c, uint32_t function)
{
	for (unsigned i = 0; i < c->nent; i++) {
		if (c->entry[i].function == function)
			return &c->entry[i];
	}
	return NULL;
}

int cpuid_make_full(struct cpuid *c, const struct kvm *k, uint32_t tsc_khz)
{
	struct cpuid_entry *e;

	c->nent = CPUID_ENTRIES_MAX - 2; /* room for what is added below */
	c->padding = 0;
	if (ioctl(k->sys_fd, KVM_GET_SUPPORTED_CPUID, c))
		return -errno;
	e = find(c, 1);
	if (e)
		e->ecx |= HYPERVISOR | DEADLINE;
	e = find(c, KVM_CPUID_SIGNATURE);
	if (!e)
		add_kvm(c, KVM_CPUID_FEATURES);
	if (!tsc_khz || find(c, LEAF_TIMING))
		return 0;
	find(c, KVM_CPUID_SIGNATURE)->eax = LEAF_TIMING;
	e = add(c, LEAF_TIMING);
	e->eax = tsc_khz;
	e->ebx = LAPIC_KHZ;
	return 0;
}

int cpuid_apply(struct cpuid *c, int vcpu_fd, unsigned index, unsigned cpus)
{
	for (unsigned i = 0; i < c->nent; i++) {
		struct cpuid_entry *e = &c->entry[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0xffff) | cpus << 16 | index << 24;
		else if (e->function == 0xb || e->function == 0x1f)
			e->edx = index;
		else if (e->function == 0x8000001e)
			e->eax = index;
	}
	return ioctl(vcpu_fd, KVM_SET_CPUID2, c) ? -errno : 0;
}
