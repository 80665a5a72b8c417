/* expect: exit 0 */
/*
 * What ring 3 may not do ends in a signal that can be handled, with the
 * address where there is one.
 */
#include "supervisor.h"

#include <stdio.h>

#define OP(name, text) \
	static void name(uintptr_t arg) \
	{ \
		__asm__ volatile(text : : "a"(arg), "d"(0) : "memory"); \
	}

OP(op_cli, "cli")
OP(op_hlt, "hlt")
OP(op_cr3, "mov %%cr3, %%rax")
OP(op_set_cr0, "mov %%rax, %%cr0")
OP(op_rdmsr, "xor %%ecx, %%ecx; rdmsr")
OP(op_in, "inb $0x71, %%al")
OP(op_out, "outl %%eax, $0xf4")
OP(op_lidt, "lidt (%%rsp)")
OP(op_ltr, "ltr %%ax")
OP(op_invlpg, "invlpg (%%rsp)")
OP(op_int80, "int $0x80")
OP(op_div, "xor %%ecx, %%ecx; div %%ecx")
OP(op_ud2, "ud2")
OP(op_int3, "int3")
OP(op_iret0,
   "mov %%rsp, %%rcx; pushq $0x18; push %%rcx; pushfq; pushq $0x10; lea 1f(%%rip), %%rcx; "
   "push %%rcx; iretq; 1:")

static const uint8_t constant[4096] __attribute__((aligned(4096))) = {0xc3};
static uint8_t data[4096] __attribute__((aligned(4096))) = {0xc3};

static void deepen(uintptr_t depth)
{
	volatile uint8_t frame[512];

	frame[0] = (uint8_t)depth;
	if (depth)
		deepen(depth - 1);
	frame[1] = frame[0];
}

int main(void)
{
	const struct sup_facts *f = sup_block()->facts;
	uint8_t local[16] = {0xc3};

	CHECK(10, sup_try(sup_read, 0) == SIGSEGV && sup_address == NULL);
	CHECK(11, sup_try(sup_write, 8) == SIGSEGV && sup_address == (void *)8);
	CHECK(12, sup_try(sup_execute, 0) == SIGSEGV);
	CHECK(13, sup_try(sup_write, (uintptr_t)main) == SIGSEGV && sup_address == (void *)main);
	CHECK(14, sup_try(sup_write, (uintptr_t)constant) == SIGSEGV);
	CHECK(15, sup_try(sup_execute, (uintptr_t)constant) == SIGSEGV);
	CHECK(16, sup_try(sup_execute, (uintptr_t)data) == SIGSEGV);
	CHECK(17, sup_try(sup_execute, (uintptr_t)local) == SIGSEGV);
	CHECK(18, sup_try(sup_write, f->guard_lo) == SIGSEGV);
	CHECK(19, sup_try(sup_read, f->guard_hi - 1) == SIGSEGV);
	CHECK(20, sup_try(sup_write, EXO_BOOT_GPA) == SIGSEGV);
	CHECK(21, sup_try(sup_read, EXO_LAPIC_GPA) == SIGSEGV);
	CHECK(22, sup_try(sup_read, EXO_IOAPIC_GPA) == SIGSEGV);
	CHECK(23, sup_try(sup_read, UINT64_C(1) << 46) == SIGSEGV);
	CHECK(24, sup_try(sup_read, UINT64_C(1) << 63) == SIGSEGV);
	CHECK(25, sup_try(sup_read, (uintptr_t)sup_block()) == 0);

	CHECK(30, sup_try(op_cli, 0) == SIGSEGV);
	CHECK(31, sup_try(op_cr3, 0) == SIGSEGV);
	CHECK(32, sup_try(op_set_cr0, 0) == SIGSEGV);
	CHECK(33, sup_try(op_rdmsr, 0) == SIGSEGV);
	CHECK(34, sup_try(op_in, 0) == SIGSEGV);
	CHECK(35, sup_try(op_out, 0) == SIGSEGV);
	CHECK(36, sup_try(op_lidt, 0) == SIGSEGV);
	CHECK(37, sup_try(op_ltr, 0x40) == SIGSEGV);
	CHECK(38, sup_try(op_invlpg, 0) == SIGSEGV);
	CHECK(39, sup_try(op_hlt, 0) == SIGSEGV);
	CHECK(40, sup_try(op_iret0, 0) == SIGSEGV);
	CHECK(41, sup_try(op_int80, 0) != 0);
	CHECK(42, sup_try(op_div, 1) == SIGFPE);
	CHECK(43, sup_try(op_ud2, 0) == SIGILL);
	CHECK(44, sup_try(op_int3, 0) == SIGTRAP);
	CHECK(45, sup_try(op_int3, SUP_CALL_BASE + SUP_CALLS) == SIGTRAP);
	CHECK(46, sup_try(op_int3, SUP_CALL_BASE - 1) == SIGTRAP);

	/* And the program is none the worse for it. */
	CHECK(50, sup_try(deepen, 100) == 0);
	puts("ok");
	return 0;
}
