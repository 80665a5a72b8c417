/*
 * Ways into and out of the POSIX layer (the contract is in sup.h): system
 * calls, upcalls after interrupts, faults; and the switch between threads.
 *
 * The layer runs on the program's own stack, below the red zone, so a thread
 * needs no second one. Frame, from the program's rsp downwards: 128 bytes of
 * red zone, 16 bytes in which the way out puts the return address, struct regs.
 */
#include "../sup.h"

#define RED_ZONE 128
#define GAP (RED_ZONE + 16)
#define REGS_RIP (16 * 8)
#define REGS_RSP (18 * 8)
#define REGS_WORDS 19
#define THREAD_KSP 0
#define THREAD_FX 16

	.macro save_general
	push %rdi
	push %rsi
	push %rdx
	push %rcx
	push %rax
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	.endm

	.macro call_c function
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	cld
	call \function
	mov %rbp, %rsp
	.endm

	.section .text.entry, "ax", @progbits

	.globl entry_syscall
	.type entry_syscall, @function
entry_syscall:
	mov %gs:SUP_OFF_SYSCALL_RSP, %rsp
	lea -GAP(%rsp), %rsp
	push %gs:SUP_OFF_SYSCALL_RSP
	push %r11
	push %rcx
	push %rax
	save_general
	call_c syscall_enter
	jmp leave
	.size entry_syscall, . - entry_syscall

	.globl entry_upcall
	.type entry_upcall, @function
entry_upcall:
	mov %gs:SUP_OFF_UPCALL_RSP, %rsp
	lea -GAP(%rsp), %rsp
	push %gs:SUP_OFF_UPCALL_RSP
	push %gs:SUP_OFF_UPCALL_RFLAGS
	push %gs:SUP_OFF_UPCALL_RIP
	push $-1
	save_general
	call_c syscall_pending
	jmp leave
	.size entry_upcall, . - entry_upcall

/*
 * Back to the program with the registers at rsp. no_upcall is cleared first:
 * from then on a diversion may come at any instruction, and finds a context
 * like any other, with nothing of ours at or below rsp - RED_ZONE. Then
 * `pending` is looked at, for what came before the clearing. When the program's
 * stack has changed (a signal's frame lies below us), the registers move first.
 */
	.type leave, @function
leave:
	mov REGS_RSP(%rsp), %rdi
	sub $(GAP + 8 * REGS_WORDS), %rdi
	cmp %rdi, %rsp
	je 2f
	mov %rdi, %rdx
	mov %rsp, %rsi
	mov $REGS_WORDS, %ecx
	cld
	rep movsq
	mov %rdx, %rsp
2:
	movl $0, %gs:SUP_OFF_NO_UPCALL
	mov %gs:SUP_OFF_PENDING, %rax
	test %gs:SUP_OFF_UPCALL_MASK, %rax
	jnz 1f
	mov REGS_RSP(%rsp), %rax
	lea -(RED_ZONE + 8)(%rax), %rax
	mov REGS_RIP(%rsp), %rcx
	mov %rcx, (%rax)
	mov %rax, REGS_RSP(%rsp)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rax
	pop %rcx
	pop %rdx
	pop %rsi
	pop %rdi
	lea 16(%rsp), %rsp
	popfq
	pop %rsp
	ret $RED_ZONE
1:	movl $1, %gs:SUP_OFF_NO_UPCALL
	call_c syscall_pending
	jmp leave
	.size leave, . - leave

/* On the fault stack: the program's may be what failed. */
	.globl entry_fault
	.type entry_fault, @function
entry_fault:
	push %gs:SUP_OFF_FAULT_RSP
	push %gs:SUP_OFF_FAULT_RFLAGS
	push %gs:SUP_OFF_FAULT_RIP
	push $-1
	save_general
	call_c signal_fault
	mov %rax, %rsp
	movl $0, %gs:SUP_OFF_IN_FAULT
	jmp leave
	.size entry_fault, . - entry_fault

/* void thread_switch(struct thread *from, struct thread *to) */
	.globl thread_switch
	.type thread_switch, @function
thread_switch:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	fxsave64 THREAD_FX(%rdi)
	mov %rsp, THREAD_KSP(%rdi)
	mov THREAD_KSP(%rsi), %rsp
	fxrstor64 THREAD_FX(%rsi)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size thread_switch, . - thread_switch

/* A new thread's first switch returns here, with its struct regs at rsp. */
	.globl thread_first_return
	.type thread_first_return, @function
thread_first_return:
	call_c thread_started
	jmp leave
	.size thread_first_return, . - thread_first_return

/* _Noreturn void start_program(void *stack, void *entry): as the Linux kernel starts one. */
	.globl start_program
	.type start_program, @function
start_program:
	mov %rdi, %rsp
	xor %edx, %edx
	xor %ebp, %ebp
	movl $0, %gs:SUP_OFF_NO_UPCALL
	jmp *%rsi
	.size start_program, . - start_program

	.section .note.GNU-stack, "", @progbits
