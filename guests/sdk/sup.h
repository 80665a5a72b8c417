/*
 * The contract between the ring-0 supervisor and the ring-3 layer above it
 * (drivers, POSIX layer, musl, program). Ring 0 is small on purpose: it owns
 * page tables, descriptor tables, the local APIC and idling, nothing else.
 *
 * One vCPU runs; further ones stay parked in their INIT state.
 *
 * Ring 3 starts in exo_ring3_start() on the program's stack with interrupts
 * enabled, no diversions (no_upcall = 1), IOPL 0, SSE usable, AVX not enabled.
 * GS base is the shared block's address and must stay so; the supervisor itself
 * does not rely on it.
 *
 * This header is also read by assembly (SUP_OFF_* and the numbers).
 */
#ifndef EXO_SDK_SUP_H
#define EXO_SDK_SUP_H

/* ---- supervisor calls -------------------------------------------------- */

/*
 * `int3` with the number in rax and arguments in rdi, rsi, rdx; the result is
 * in rax: 0 or a value, or -errno. rcx, rdx, rsi, rdi and r8–r11 are clobbered,
 * everything else (xmm, DF, the other flags) is preserved. An int3 with any
 * other number is a breakpoint: it arrives at fault_entry with vector 3.
 * About 7 µs plus 1 µs an instruction where ring 0 is emulated.
 */
#define SUP_CALL_BASE 0x53550000

/*
 * (deadline_tsc): returns 0 as soon as `pending` is not zero; halts until then.
 * A deadline other than 0 first arms the timer as SUP_TIMER does, so the wait
 * ends with SUP_PEND_TIMER at the latest then; with 0 the timer stays as it is.
 * No wake-up is lost: the check and the halt are one step to interrupts.
 */
#define SUP_WAIT (SUP_CALL_BASE + 0)
/* (base): FS base. -EINVAL: not a canonical address of the lower half. */
#define SUP_SET_FS (SUP_CALL_BASE + 1)
/*
 * (va, len, SUP_PROT_*): access of ring 3 to RAM, page-aligned and identity
 * mapped. -EINVAL: not aligned or write with execute; -EPERM: below 2 MiB, a
 * supervisor page, a device or outside the address space; -ENOMEM: page tables
 * used up (Limit: SUP_PT_POOL 4 KiB tables, one a 2 MiB region that is not
 * uniform; nothing has changed then). Whole aligned 2 MiB regions cost one entry each.
 * Contents are untouched: a page given back keeps its bytes.
 */
#define SUP_PROTECT (SUP_CALL_BASE + 2)
/*
 * (gpa, len): an uncached mapping, readable and writable, at the same address.
 * -EPERM unless inside a device window (SUP_WINDOW_*). The windows are mapped from the
 * start, so this only checks; call it for addresses found on a command line.
 */
#define SUP_MMIO_MAP (SUP_CALL_BASE + 3)
/*
 * (gsi): routes the I/O APIC pin to this CPU, edge-triggered, active high, and
 * returns its pending mask, SUP_PEND_GSI(gsi). -EINVAL: no such pin.
 */
#define SUP_IRQ (SUP_CALL_BASE + 4)
/*
 * (deadline_tsc): the one timer: SUP_PEND_TIMER is set when the TSC reaches
 * the deadline (at once when it has passed). Replaces the deadline before it;
 * 0 disarms. A timer that fired just before may still leave its bit set.
 */
#define SUP_TIMER (SUP_CALL_BASE + 5)
/*
 * (struct exo_batch *): carries out the accesses from ring 0, one by one, and
 * sets `done`. For monitors without EXO_PLAT_BATCH: a ring-0 access costs a
 * third of a ring-3 one where KVM is software. Addresses outside the device
 * windows are skipped (reads give 0). -EINVAL: count above EXO_BATCH_MAX;
 * -EFAULT: not in memory that ring 3 can write.
 */
#define SUP_MMIO_BATCH (SUP_CALL_BASE + 6)
/* (port, value): `outl`; for QEMU's isa-debug-exit. -EPERM below port 0xf0. */
#define SUP_EXIT_PORT (SUP_CALL_BASE + 7)
/* (): seconds since 1970 from the CMOS clock, read as UTC; -ENODEV: there is none. */
#define SUP_RTC (SUP_CALL_BASE + 8)
/* (): TSC frequency in Hz by kvm-clock, else measured against the LAPIC timer (5 ms). */
#define SUP_TSC_HZ (SUP_CALL_BASE + 9)
/* (): lets ring 3 use wrfsbase and its like; 1, or 0 when the CPU has none. Done at the start. */
#define SUP_FSGSBASE (SUP_CALL_BASE + 10)
#define SUP_CALLS 11

#define SUP_PROT_NONE 0
#define SUP_PROT_R 1
#define SUP_PROT_RW 3
#define SUP_PROT_RX 5

#define SUP_PT_POOL 128

/* Where devices may be: our slots and platform page (Firecracker's too), QEMU microvm's slots. */
#define SUP_WINDOW0_BASE 0xd0000000
#define SUP_WINDOW0_END 0xd0200000
#define SUP_WINDOW1_BASE 0xfea00000
#define SUP_WINDOW1_END 0xfec00000

/* ---- pending bits ------------------------------------------------------ */

#define SUP_PEND_TIMER 1
#define SUP_PEND_GSI(gsi) (0x100 << (gsi)) /* gsi 0 … 22; the last pin is not offered */
#define SUP_GSIS 23

/* ---- offsets in the shared block, checked below ------------------------ */

#define SUP_OFF_SELF 0x00
#define SUP_OFF_PENDING 0x08
#define SUP_OFF_UPCALL_MASK 0x10
#define SUP_OFF_NO_UPCALL 0x18
#define SUP_OFF_IN_FAULT 0x1c
#define SUP_OFF_SYSCALL_ENTRY 0x20
#define SUP_OFF_SYSCALL_STACK 0x28
#define SUP_OFF_UPCALL_ENTRY 0x30
#define SUP_OFF_UPCALL_STACK 0x38
#define SUP_OFF_FAULT_ENTRY 0x40
#define SUP_OFF_FAULT_STACK 0x48
#define SUP_OFF_SYSCALL_RSP 0x50
#define SUP_OFF_BOUNCE 0x58
#define SUP_OFF_UPCALL_RIP 0x80
#define SUP_OFF_UPCALL_RSP 0x88
#define SUP_OFF_UPCALL_RFLAGS 0x90
#define SUP_OFF_FAULT_NO_UPCALL 0x98
#define SUP_OFF_FAULT_VECTOR 0xa0
#define SUP_OFF_FAULT_ERROR 0xa8
#define SUP_OFF_FAULT_ADDRESS 0xb0
#define SUP_OFF_FAULT_RIP 0xb8
#define SUP_OFF_FAULT_RSP 0xc0
#define SUP_OFF_FAULT_RFLAGS 0xc8
#define SUP_OFF_FACTS 0xd0
#define SUP_OFF_EXIT_PORT 0xd8
#define SUP_OFF_POSIX 0x100
#define SUP_SHARED_SIZE 0x1000

/* Selectors of ring 3, for its own iretq frames. */
#define SUP_USER_CS 0x33
#define SUP_USER_SS 0x2b

#ifndef __ASSEMBLER__

#include <exo/machine.h>

#include <stddef.h>
#include <stdint.h>

/*
 * The shared block: one page, writable by ring 3, at GS:0. Ring 3 sets the
 * entries and stacks (16-byte aligned tops) before the first system call.
 *
 * System call: the program's `syscall` arrives at syscall_entry with
 * rsp = syscall_stack, the program's rsp in syscall_rsp, its rip in rcx, its
 * flags in r11, everything else untouched, and no_upcall = 1. To go back: restore
 * the registers, load the program's rsp, clear no_upcall, check `pending`
 * (an interrupt before the clearing did not divert), jump. From the moment
 * no_upcall is clear, rsp must be the program's: a diversion reuses our stacks.
 *
 * Upcall: after an interrupt set a pending bit that is in upcall_mask, and
 * no_upcall was 0, and ring 3 was interrupted: arrives at upcall_entry with
 * rsp = upcall_stack, no_upcall = 1, where it was in upcall_{rip,rsp,rflags},
 * all general registers untouched. To go back: build an `iretq` frame
 * {rip, SUP_USER_CS, rflags, rsp, SUP_USER_SS} below the program's red zone,
 * restore registers, clear no_upcall, `iretq` (it works in ring 3).
 *
 * Fault: an exception in ring 3 arrives at fault_entry likewise, with
 * rsp = fault_stack, in_fault = 1 and no_upcall = 1; what no_upcall was is in
 * fault_no_upcall. While in_fault is set, or with fault_entry 0, the next
 * exception ends the guest with a report. Clear it once fault_* is copied and
 * the fault stack is no longer needed.
 *
 * Interrupts stay enabled throughout; `pending` is set by ring 0 at any time,
 * so ring 3 clears bits with one atomic instruction.
 */
struct sup_shared {
	struct sup_shared *self;
	volatile uint64_t pending; /* SUP_PEND_* */
	uint64_t upcall_mask;
	volatile uint32_t no_upcall;
	volatile uint32_t in_fault;
	uint64_t syscall_entry, syscall_stack;
	uint64_t upcall_entry, upcall_stack;
	uint64_t fault_entry, fault_stack;
	uint64_t syscall_rsp;
	uint64_t bounce[5]; /* the stub's scratch */
	uint64_t upcall_rip, upcall_rsp, upcall_rflags;
	uint32_t fault_no_upcall, reserved0;
	uint64_t fault_vector;
	uint64_t fault_error;   /* as the CPU pushed it, or 0 */
	uint64_t fault_address; /* CR2: of this fault if the vector is 14, else of an older one */
	uint64_t fault_rip, fault_rsp, fault_rflags;
	const struct sup_facts *facts;
	uint32_t exit_port; /* exo.exit= of the command line, for isa-debug-exit; 0: none */
	uint32_t reserved1;
	uint64_t reserved2[4];
	uint64_t posix[480]; /* the POSIX layer's own, from GS:SUP_OFF_POSIX */
};

#define SUP_CHECK(field, off) \
	_Static_assert(offsetof(struct sup_shared, field) == (off), "known to assembly")
SUP_CHECK(pending, SUP_OFF_PENDING);
SUP_CHECK(upcall_mask, SUP_OFF_UPCALL_MASK);
SUP_CHECK(no_upcall, SUP_OFF_NO_UPCALL);
SUP_CHECK(in_fault, SUP_OFF_IN_FAULT);
SUP_CHECK(syscall_entry, SUP_OFF_SYSCALL_ENTRY);
SUP_CHECK(syscall_stack, SUP_OFF_SYSCALL_STACK);
SUP_CHECK(upcall_entry, SUP_OFF_UPCALL_ENTRY);
SUP_CHECK(upcall_stack, SUP_OFF_UPCALL_STACK);
SUP_CHECK(fault_entry, SUP_OFF_FAULT_ENTRY);
SUP_CHECK(fault_stack, SUP_OFF_FAULT_STACK);
SUP_CHECK(syscall_rsp, SUP_OFF_SYSCALL_RSP);
SUP_CHECK(bounce, SUP_OFF_BOUNCE);
SUP_CHECK(upcall_rip, SUP_OFF_UPCALL_RIP);
SUP_CHECK(upcall_rflags, SUP_OFF_UPCALL_RFLAGS);
SUP_CHECK(fault_no_upcall, SUP_OFF_FAULT_NO_UPCALL);
SUP_CHECK(fault_vector, SUP_OFF_FAULT_VECTOR);
SUP_CHECK(fault_rflags, SUP_OFF_FAULT_RFLAGS);
SUP_CHECK(facts, SUP_OFF_FACTS);
SUP_CHECK(exit_port, SUP_OFF_EXIT_PORT);
SUP_CHECK(posix, SUP_OFF_POSIX);
_Static_assert(sizeof(struct sup_shared) == SUP_SHARED_SIZE, "one page");

struct sup_range {
	uint64_t base, len; /* bytes, page-aligned */
};

/* What the start found out; constant afterwards. */
struct sup_facts {
	const struct exo_boot *boot; /* NULL: another monitor */
	const char *cmdline;         /* never NULL */
	uint64_t tsc_hz;             /* never 0 */
	uint64_t image_end;          /* page-aligned end of the image */
	/*
	 * RAM for heap and mappings, ascending, all of it above the image (so
	 * ram[0].base == image_end) and without the boot block, should that be there.
	 * [image_end, mapped_end) is readable and writable already; the rest is
	 * inaccessible until SUP_PROTECT. All of it reads 0 before its first use.
	 */
	struct sup_range ram[8];
	uint32_t nram;
	uint32_t platform; /* 1: EXO_PLATFORM_GPA answers, so exit there */
	uint64_t mapped_end;
	uint64_t stack_lo, stack_hi; /* the program's stack */
	uint64_t guard_lo, guard_hi; /* the unmapped page below it */
	uint32_t fsgsbase;           /* 1: wrfsbase works; else SUP_SET_FS */
	uint32_t reserved;
};

/* The ring-3 layer's start; does not return. On the program's stack, near its top. */
__attribute__((noreturn)) void exo_ring3_start(struct sup_shared *shared);

static inline int64_t sup_call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	int64_t result;

	__asm__ volatile("int3"
			 : "=a"(result), "+D"(a), "+S"(b), "+d"(c)
			 : "0"(nr)
			 : "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
	return result;
}

#endif
#endif
