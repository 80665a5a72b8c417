/*
 * Entry (PVH: 32-bit protected mode, paging off, ebx = start info), the
 * system-call stub, and the gates of the supervisor.
 *
 * Where KVM is software, each instruction of ring 0 is emulated at about a
 * microsecond, so tables are finished at link time (exo-mkpt) and the gates
 * touch no register they need not. Kinds of code here:
 *   .sup.text  ring 0
 *   .text      ring 3; and the stub, which is ring 0 on hardware but counted
 *              as ring 3 by the software KVM: nothing privileged in it, its page is
 *              ring 3's, and CR4.SMEP stays off.
 */
#include "sup.h"
#include "sup_int.h"

#define SHARED(field) (sup_shared + SUP_OFF_##field)(%rip)
#define FLAGS_CLEARED_AT_ENTRY 0x44500 /* TF, DF, NT, AC */

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad exo_entry

	.section .note.Exoshell, "a", @note
	.balign 4
	.long 9, 4, 1 /* EXO_NOTE_ABI */
	.asciz "Exoshell"
	.balign 4
	.long 1

/* ---- start --------------------------------------------------------------- */

	.section .sup.text, "ax", @progbits
	.code32
	.globl exo_entry
	.type exo_entry, @function
exo_entry:
	mov	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov	%eax, %cr4
	mov	$sup_tables, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER: SCE, LME, NXE */
	mov	$0x901, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	mov	%eax, %cr0
	lgdt	sup_gdtr
	ljmp	$SUP_SEL_KCODE, $1f
	.code64
1:	lidt	sup_idtr
	mov	$SUP_SEL_TSS, %eax
	ltr	%ax
	mov	$0xc0000081, %ecx	/* STAR */
	xor	%eax, %eax
	mov	$(SUP_SEL_SYSRET << 16 | SUP_SEL_KCODE), %edx
	wrmsr
	inc	%ecx			/* LSTAR */
	mov	$sup_stub, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0xc0000084, %ecx	/* SFMASK: not IF, see the stub */
	mov	$FLAGS_CLEARED_AT_ENTRY, %eax
	wrmsr
	mov	$0xc0000101, %ecx	/* GS base */
	mov	$sup_shared, %eax
	wrmsr
	mov	$sup_first_frame, %esp
	iretq
	.size exo_entry, . - exo_entry

	.section .text.sup_ring3, "ax", @progbits
sup_ring3:
	xor	%ebp, %ebp
	mov	%rbx, %rdi
	call	sup_begin
	ud2

/*
 * Whether wrfsbase works. Tried first and asked for only after a #UD: where KVM is software it
 * works without ring 0's doing, and this way costs nothing there.
 */
	.globl sup_probe_fsgsbase
	.type sup_probe_fsgsbase, @function
sup_probe_fsgsbase:
	lea	1f(%rip), %rax
	mov	%rax, SHARED(FAULT_ENTRY)
	mov	%rsp, SHARED(FAULT_STACK)
	xor	%eax, %eax
	wrfsbase %rax
	inc	%eax
	jmp	2f
1:	movl	$0, SHARED(IN_FAULT)
	mov	$SUP_FSGSBASE, %eax
	int3
2:	movq	$0, SHARED(FAULT_ENTRY)
	ret
	.size sup_probe_fsgsbase, . - sup_probe_fsgsbase

/* ---- system calls -------------------------------------------------------- */

/*
 * Builds a frame and leaves by iretq, the only way back that works
 * everywhere. Interrupts stay enabled (the software KVM's iretq could not
 * enable them again), so they may arrive on any instruction here: every gate
 * has its own stack, and no diversion happens between sup_stub and its end.
 */
	.balign 16
	.globl sup_stub
	.type sup_stub, @function
sup_stub:
	movl	$1, SHARED(NO_UPCALL)
	mov	%rsp, SHARED(SYSCALL_RSP)
	lea	(sup_shared + SUP_OFF_BOUNCE + 40)(%rip), %rsp
	push	$SUP_USER_SS
	push	SHARED(SYSCALL_STACK)
	push	%r11
	andl	$~FLAGS_CLEARED_AT_ENTRY, (%rsp)
	push	$SUP_USER_CS
	push	SHARED(SYSCALL_ENTRY)
	iretq
sup_stub_end:
	.size sup_stub, . - sup_stub

/* ---- gates --------------------------------------------------------------- */

	.section .sup.text, "ax", @progbits

	.macro exception vec
	.balign SUP_VECTOR_BYTES
	.if !((0x60227d00 >> \vec) & 1)	/* has no error code: all but 8, 10–14, 17, 21, 29, 30 */
	push	$0
	.endif
	push	$\vec
	jmp	sup_exception
	.endm

	.macro interrupt bit
	.balign SUP_VECTOR_BYTES
	orl	$\bit, SHARED(PENDING)
	movl	$0, (sup_lapic + 0xb0)(%rip)	/* EOI */
	jmp	sup_interrupt
	.endm

	.balign 64
	.globl sup_vectors
sup_vectors:
	.irp	vec, 0, 1, 2
	exception \vec
	.endr

	.balign SUP_VECTOR_BYTES
	cmp	$SUP_WAIT, %eax
	je	sup_wait
	lea	-SUP_CALL_BASE(%rax), %ecx
	cmp	$SUP_CALLS, %ecx
	jb	sup_call
	jmp	sup_breakpoint

	.irp	vec, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, \
		21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	exception \vec
	.endr
	interrupt SUP_PEND_TIMER
	.irp	gsi, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, \
		19, 20, 21, 22
	interrupt SUP_PEND_GSI(\gsi)
	.endr
	.rept	SUP_VECTORS - SUP_VEC_GSI - SUP_GSIS /* unused, and the spurious vector */
	.balign SUP_VECTOR_BYTES
	iretq
	.endr
	/* Fails when a stub outgrew its slot. */
	.org	sup_vectors + SUP_VECTORS * SUP_VECTOR_BYTES

/* The frame: rip 0, cs 8, rflags 16, rsp 24, ss 32. */
sup_interrupt:
	cmpl	$0, SHARED(NO_UPCALL)
	jne	1f
	testb	$3, 8(%rsp)
	jz	1f
	push	%rax
	mov	SHARED(PENDING), %rax
	test	%rax, SHARED(UPCALL_MASK)
	jz	2f
	mov	8(%rsp), %rax
	cmp	$sup_stub, %rax
	jb	3f
	cmp	$sup_stub_end, %rax
	jb	2f
3:	mov	%rax, SHARED(UPCALL_RIP)
	mov	24(%rsp), %rax
	mov	%rax, SHARED(UPCALL_RFLAGS)
	mov	32(%rsp), %rax
	mov	%rax, SHARED(UPCALL_RSP)
	movl	$1, SHARED(NO_UPCALL)
	mov	SHARED(UPCALL_ENTRY), %rax
	mov	%rax, 8(%rsp)
	mov	SHARED(UPCALL_STACK), %rax
	mov	%rax, 32(%rsp)
	andl	$~FLAGS_CLEARED_AT_ENTRY, 24(%rsp)
2:	pop	%rax
1:	iretq

/* rdi: deadline. Interrupts come in on another stack and see ring 0: no diversion. */
sup_wait:
	cmpq	$0, SHARED(PENDING)
	jne	2f
	test	%rdi, %rdi
	jz	1f
	cld
	call	sup_call_timer
	cmpq	$0, SHARED(PENDING)
	jne	2f
1:	sti
	hlt
	cli
	cmpq	$0, SHARED(PENDING)
	je	1b
2:	xor	%eax, %eax
	iretq

/* ecx: index; arguments as in C. The C code neither uses SSE nor needs an aligned stack. */
sup_call:
	cld
	call	*sup_calls(, %rcx, 8)
	iretq

sup_breakpoint:
	push	$0
	push	$SUP_VEC_BREAKPOINT
/* The frame: vector 0, error 8, rip 16, cs 24, rflags 32, rsp 40, ss 48. */
sup_exception:
	testb	$3, 24(%rsp)
	jz	sup_fatal
	cmpl	$0, SHARED(IN_FAULT)
	jne	sup_fatal
	cmpq	$0, SHARED(FAULT_ENTRY)
	je	sup_fatal
	movl	$1, SHARED(IN_FAULT)
	pop	SHARED(FAULT_VECTOR)
	pop	SHARED(FAULT_ERROR)
	pop	SHARED(FAULT_RIP)
	lea	8(%rsp), %rsp
	pop	SHARED(FAULT_RFLAGS)
	pop	SHARED(FAULT_RSP)
	push	%rax
	mov	%cr2, %rax
	mov	%rax, SHARED(FAULT_ADDRESS)
	mov	SHARED(NO_UPCALL), %eax
	mov	%eax, SHARED(FAULT_NO_UPCALL)
	movl	$1, SHARED(NO_UPCALL)
	pop	%rax
	push	SHARED(FAULT_STACK)	/* above it, ss is still there */
	push	$0x202
	push	$SUP_USER_CS
	push	SHARED(FAULT_ENTRY)
	iretq

sup_fatal:
	cld
	mov	%rsp, %rdi
	mov	%rbp, %rsi
	call	sup_report
1:	cli
	hlt
	jmp	1b

/* ---- tables: completed by exo-mkpt --------------------------------------- */

	.section .sup.data, "aw", @progbits
	.balign 16
sup_idt:
	.fill	SUP_VECTORS * 16, 1, 0
sup_gdt:
	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x10: ring-0 code */
	.quad	0x00cf93000000ffff	/* 0x18: ring-0 data */
	.quad	0
	.quad	0x00cff3000000ffff	/* 0x2b: ring-3 data */
	.quad	0x00affb000000ffff	/* 0x33: ring-3 code */
	.quad	0
	.quad	0, 0			/* 0x40: TSS */
sup_gdt_end:
sup_tss:
	.long	0
	.quad	sup_fault_stack_top	/* rsp0: no gate uses it */
	.quad	0, 0, 0
	.quad	sup_irq_stack_top	/* IST 1 … */
	.quad	sup_call_stack_top
	.quad	sup_fault_stack_top
	.quad	sup_fatal_stack_top
	.quad	0, 0, 0, 0
	.long	104 << 16		/* no I/O permission map: no ports for ring 3 */
	.balign 8
sup_first_frame:
	.quad	sup_ring3, SUP_USER_CS, 0x202, exo_stack_top, SUP_USER_SS
sup_gdtr:
	.word	sup_gdt_end - sup_gdt - 1
	.quad	sup_gdt
	.balign 8
sup_idtr:
	.word	SUP_VECTORS * 16 - 1
	.quad	sup_idt

	/* The two stacks every program needs share the page of the tables. */
	.balign 16
	.fill	384, 1, 0
sup_irq_stack_top:
	.fill	1280, 1, 0
sup_call_stack_top:

	.section .sup.bss, "aw", @nobits
	.balign 16
	.skip	2048
sup_fault_stack_top:
	.skip	2048
sup_fatal_stack_top:

	.section .sup.tables, "aw", @progbits
	.balign 4096
sup_tables:
	.fill	SUP_PT_PAGES * 4096, 1, 0

	/* Two addresses where ring 0 sees devices; the RAM behind them is never touched. */
	.section .sup.holes, "aw", @nobits
	.balign 4096
	.globl sup_lapic, sup_ioapic
sup_lapic:
	.skip	4096
sup_ioapic:
	.skip	4096

	.section .sup.layout, "a", @progbits
	.balign 8
	.globl sup_layout
sup_layout:
	.quad	SUP_LAYOUT_MAGIC
	.quad	sup_tables
	.quad	sup_idt, sup_gdt, sup_tss
	.quad	sup_vectors
	.quad	exo_sup_start, exo_sup_end
	.quad	exo_sup_data
	.quad	sup_lapic, sup_ioapic
	.quad	exo_guard_start, exo_guard_end
	.quad	exo_image_end
	.quad	0

	/* GS:0, ring 3's. */
	.section .data.sup_shared, "aw", @progbits
	.balign 4096
	.globl sup_shared
sup_shared:
	.quad	sup_shared
	.quad	0, 0
	.long	1, 0			/* no_upcall, in_fault */
	.org	sup_shared + SUP_OFF_FACTS
	.quad	sup_facts
	.org	sup_shared + SUP_SHARED_SIZE

	.section .note.GNU-stack, "", @progbits
