/*
 * PVH boot: what EBX points at when a guest starts (Xen's x86 HVM direct boot
 * ABI, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h,
 * version 1). All addresses are guest-physical.
 */
#ifndef EXO_PVH_H
#define EXO_PVH_H

#include <stdint.h>

#define PVH_START_MAGIC 0x336ec578u
#define PVH_START_VERSION 1u

#define PVH_MEM_RAM 1u
#define PVH_MEM_RESERVED 2u
#define PVH_MEM_ACPI 3u

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr; /* nr_modules × struct pvh_module */
	uint64_t cmdline_paddr; /* terminated; 0: none */
	uint64_t rsdp_paddr;    /* 0: no ACPI tables */
	uint64_t memmap_paddr;  /* memmap_entries × struct pvh_memmap */
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr; /* terminated; 0: none */
	uint64_t reserved;
};

struct pvh_memmap {
	uint64_t addr;
	uint64_t size;
	uint32_t type; /* PVH_MEM_*, as in E820 */
	uint32_t reserved;
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "wire size");
_Static_assert(sizeof(struct pvh_module) == 32, "wire size");
_Static_assert(sizeof(struct pvh_memmap) == 24, "wire size");

#endif
