/*
 * Registers of the first vCPU: PVH's (Xen's docs/misc/pvh.pandoc) or those of
 * Linux's 64-bit boot protocol (boot.rst, "64-bit Boot Protocol"). See boot.h.
 */
#include "boot.h"

#include <linux/kvm.h>

#define CR0_PE 0x1ull
#define CR0_ET 0x10ull
#define CR0_PG 0x80000000ull
#define CR4_PAE 0x20ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define RFLAGS_FIXED 0x2ull

#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define GDT_BYTES 32

#define TYPE_DATA 3u  /* read, write, accessed */
#define TYPE_TSS 11u  /* busy */
#define TYPE_CODE 11u /* execute, read, accessed */

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool long_mode)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !long_mode,
		.s = 1,
		.l = long_mode,
		.g = 1,
	};
}

void boot_set_regs(const struct boot_entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	sregs->cs = flat(SEL_CODE, TYPE_CODE, entry->long_mode);
	sregs->ds = flat(SEL_DATA, TYPE_DATA, false);
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = (struct kvm_segment){.limit = 0x67, .type = TYPE_TSS, .present = 1};
	sregs->ldt = (struct kvm_segment){.unusable = 1};
	sregs->idt = (struct kvm_dtable){0};
	sregs->gdt = (struct kvm_dtable){0};
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr3 = 0;
	sregs->cr4 = 0;
	sregs->efer = 0;
	if (entry->long_mode) {
		sregs->gdt.base = entry->gdt;
		sregs->gdt.limit = GDT_BYTES - 1;
		sregs->cr0 |= CR0_PG;
		sregs->cr3 = entry->cr3;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
	regs->rip = entry->rip;
	regs->rbx = entry->rbx;
	regs->rsi = entry->rsi;
	regs->rflags = RFLAGS_FIXED;
}
