/*
 * What a guest finds when it starts: PVH start info, command line and boot
 * block (or Linux's boot_params), ACPI tables, and the first vCPU's registers.
 * Everything is packed from EXO_BOOT_GPA on, because each page the guest
 * touches costs it a fault. Runs in exo-vmm's main thread before any vCPU does.
 */
#ifndef BOOT_H
#define BOOT_H

#include "gmem.h"
#include "image.h"

#include <exo/machine.h>

struct boot_config {
	const struct gmem *mem;    /* RAM from 0, and from EXO_HIGH_RAM_BASE beyond 3 GiB */
	const struct image *image; /* loaded, see load.h */
	uint64_t ram_bytes;
	uint64_t window_bytes;  /* of the shared memory region at EXO_WINDOW_GPA; 0: none */
	uint64_t picture_bytes; /* the same at EXO_PICTURE_GPA */
	unsigned cpus;
	const struct exo_boot_device *device; /* in slot order; copied */
	unsigned ndevices;
	const char *cmdline; /* extra kernel command line, or NULL */
	int args_fd;         /* strings of argv, then of the environment; -1: none */
	uint32_t args_bytes;
	uint32_t argc, envc;
	int initrd_fd;  /* -1: none */
	uint32_t flags; /* EXO_BOOT_* */
	uint16_t tty_rows, tty_cols;
	uint64_t tsc_hz;            /* 0: unknown */
	uint64_t wall_ns, wall_tsc; /* a pair, or both 0 */
	uint32_t lapic_hz;          /* 0: unknown */
};

/* How the first vCPU starts; the others wait for INIT and SIPI. */
struct boot_entry {
	bool long_mode; /* false: PVH, 32-bit protected mode, paging off */
	gpa_t rip;
	gpa_t rbx;      /* PVH: the start info */
	gpa_t rsi;      /* long mode: boot_params */
	gpa_t cr3, gdt; /* long mode only */
};

/*
 * Writes it all into guest RAM. SDK guests (image->is_sdk) get the boot block
 * as PVH module "exo.boot" and no ACPI tables (their page faults would cost
 * more than they are worth); other guests get ACPI tables, the devices on the
 * command line as well, argv[1…] appended to it, and no boot block, because
 * Linux takes the first module for its initrd.
 * 0 with *entry filled; -ENOEXEC, -E2BIG (arguments, command line), -ENOMEM
 * (initrd), -EINVAL (args_fd is not what argc and envc say) or another -errno;
 * `why` then says it in one line. Takes no ownership of the fds.
 */
int boot_write(const struct boot_config *bc, struct boot_entry *entry, char why[IMAGE_WHY_MAX]);

struct kvm_regs;
struct kvm_sregs;

/*
 * Turns an entry into registers. Both structs are changed, not replaced: start
 * from KVM_GET_SREGS (for apic_base) and a zeroed kvm_regs.
 */
void boot_set_regs(const struct boot_entry *entry, struct kvm_regs *regs, struct kvm_sregs *sregs);

#endif
