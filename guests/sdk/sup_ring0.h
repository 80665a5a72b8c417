/*
 * Ring 0's own header: instructions, and what boot.S, sup.c and sup_pt.c have
 * in common. Nothing of it is for ring 3.
 */
#ifndef EXO_SDK_SUP_RING0_H
#define EXO_SDK_SUP_RING0_H

#include "sup.h"
#include "sup_int.h"

#include <stdbool.h>

/* What a gate pushed, the vector and error code first (0 where the CPU has none). */
struct sup_frame {
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

typedef int64_t sup_call_fn(uint64_t a, uint64_t b, uint64_t c);

extern struct sup_shared sup_shared;
extern struct sup_facts sup_facts;
extern const struct sup_layout sup_layout;
extern char sup_lapic[], sup_ioapic[];
extern sup_call_fn *const sup_calls[SUP_CALLS];

sup_call_fn sup_call_timer;
sup_call_fn sup_pt_protect;
void sup_report(const struct sup_frame *frame, uint64_t rbp);

/* Whether all of [va, va + len) is memory, not devices, that ring 3 can write. */
bool sup_pt_user_writable(uint64_t va, uint64_t len);

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
			 : "0"(leaf), "2"(sub));
}

static inline uint64_t read_cr2(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}

static inline uint64_t read_cr4(void)
{
	uint64_t v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

static inline void write_cr4(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(v));
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

#endif
