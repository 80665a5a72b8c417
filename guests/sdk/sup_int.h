/*
 * What the supervisor's parts and the post-link tool know of each other:
 * selectors, IST slots, and struct sup_layout, by which exo-mkpt finds its way in
 * a linked image that may have lost its symbols.
 */
#ifndef EXO_SDK_SUP_INT_H
#define EXO_SDK_SUP_INT_H

#define SUP_SEL_KCODE 0x10
#define SUP_SEL_KDATA 0x18
#define SUP_SEL_SYSRET 0x23 /* STAR: user data is +8, user 64-bit code +16 */
#define SUP_SEL_TSS 0x40
#define SUP_GDT_ENTRIES 10

#define SUP_VECTORS 64
#define SUP_VECTOR_BYTES 32 /* one stub in sup_vectors */
#define SUP_VEC_BREAKPOINT 3
#define SUP_VEC_PAGE_FAULT 14
#define SUP_VEC_TIMER 32
#define SUP_VEC_GSI 33 /* + gsi */
#define SUP_VEC_SPURIOUS 63

/* Every gate has its own stack: a system call's first instructions run on the program's. */
#define SUP_IST_IRQ 1
#define SUP_IST_CALL 2
#define SUP_IST_FAULT 3
#define SUP_IST_FATAL 4 /* NMI, double fault, machine check */

#define SUP_IMAGE_BASE 0x200000
#define SUP_PT_PAGES \
	12 /* tables in the image: four levels for RAM, one of devices, the rest leaves */

#define SUP_LAYOUT_MAGIC 0x31454741504f5845 /* "EXOPAGE1" */

#ifndef __ASSEMBLER__

#include <stdint.h>

struct sup_layout {
	uint64_t magic;
	uint64_t tables; /* SUP_PT_PAGES pages, filled in after the link; the first is the root */
	uint64_t idt, gdt, tss;
	uint64_t vectors;        /* SUP_VECTORS stubs */
	uint64_t sup_lo, sup_hi; /* ring 0's own pages; text up to sup_data is R-X, then RW */
	uint64_t sup_data;
	uint64_t lapic, ioapic;      /* pages of the image that show these devices instead */
	uint64_t guard_lo, guard_hi; /* stays unmapped */
	uint64_t image_end;
	uint64_t premap_end; /* filled in: RAM from image_end to here is mapped */
};

#endif
#endif
