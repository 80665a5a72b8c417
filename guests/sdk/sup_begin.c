/*
 * The first C code in ring 3: reads what the monitor left (PVH start info, boot
 * block) into sup_facts, natively, so that ring 0 need not. The structures are
 * those of Xen's public/arch-x86/hvm/start_info.h. A monitor is trusted by its guest;
 * checks here are for monitors that lack something, not for hostile ones.
 */
#include "sup.h"
#include "sup_int.h"

#include <cpuid.h>
#include <string.h>

#define HVM_START_MAGIC 0x336ec578u
#define HVM_MEMMAP_RAM 1

struct hvm_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist_paddr, cmdline_paddr, rsdp_paddr;
	uint64_t memmap_paddr; /* version 1 on */
	uint32_t memmap_entries, reserved;
};

struct hvm_modlist_entry {
	uint64_t paddr, size, cmdline_paddr, reserved;
};

struct hvm_memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define PAGE_DOWN(x) ((x) & ~0xfffull)
#define PAGE_UP(x) PAGE_DOWN((x) + 0xfff)

extern struct sup_shared sup_shared;
extern const struct sup_layout sup_layout;
extern char exo_stack_bottom[], exo_stack_top[];

int sup_probe_fsgsbase(void);
__attribute__((noreturn)) void sup_begin(const struct hvm_start_info *info);

struct sup_facts sup_facts = {
	.cmdline = "",
	.stack_lo = (uintptr_t)exo_stack_bottom,
	.stack_hi = (uintptr_t)exo_stack_top,
};

static const void *at(uint64_t paddr)
{
	return (const void *)(uintptr_t)paddr;
}

static const struct exo_boot *find_boot(const struct hvm_start_info *info)
{
	const struct hvm_modlist_entry *mod = at(info->modlist_paddr);
	const struct exo_boot *boot;

	if (!info->nr_modules || !mod[0].cmdline_paddr ||
	    strcmp(at(mod[0].cmdline_paddr), EXO_BOOT_MODULE) != 0)
		return NULL;
	boot = at(mod[0].paddr);
	return boot->magic == EXO_BOOT_MAGIC && boot->version == EXO_BOOT_VERSION ? boot : NULL;
}

/* Adds the part of [base, base + len) that lies above the image. */
static void add_ram(uint64_t base, uint64_t len)
{
	struct sup_facts *f = &sup_facts;
	uint64_t end = PAGE_DOWN(base + len);

	base = PAGE_UP(base);
	if (base < f->image_end)
		base = f->image_end;
	if (base >= end || f->nram == sizeof(f->ram) / sizeof(f->ram[0]))
		return;
	f->ram[f->nram].base = base;
	f->ram[f->nram].len = end - base;
	f->nram++;
}

static void find_ram(const struct hvm_start_info *info)
{
	const struct hvm_memmap_entry *map = at(info->memmap_paddr);
	const struct exo_boot *boot = sup_facts.boot;
	uint32_t i;

	if (boot) {
		add_ram(0, boot->ram_bytes < EXO_LOW_RAM_END ? boot->ram_bytes : EXO_LOW_RAM_END);
		if (boot->ram_bytes > EXO_LOW_RAM_END)
			add_ram(EXO_HIGH_RAM_BASE, boot->ram_bytes - EXO_LOW_RAM_END);
		return;
	}
	if (info->version < 1 || !map)
		return;
	for (i = 0; i < info->memmap_entries; i++)
		if (map[i].type == HVM_MEMMAP_RAM)
			add_ram(map[i].addr, map[i].size);
}

static uint64_t find_tsc_hz(void)
{
	uint32_t a, b, c, d, max;
	int64_t hz;

	if (sup_facts.boot && sup_facts.boot->tsc_hz)
		return sup_facts.boot->tsc_hz;
	__cpuid(0, max, b, c, d);
	if (max >= 0x15) {
		__cpuid_count(0x15, 0, a, b, c, d);
		if (a && b && c)
			return (uint64_t)c * b / a;
	}
	/* Hypervisors' own leaf for it: kHz. */
	__cpuid(0x40000000, max, b, c, d);
	if (max >= 0x40000010 && max < 0x40010000) {
		__cpuid(0x40000010, a, b, c, d);
		if (a)
			return a * 1000ull;
	}
	hz = sup_call(SUP_TSC_HZ, 0, 0, 0);
	return hz > 0 ? (uint64_t)hz : 1000000000u;
}

/* What follows `key` in the command line, or "". (musl's strstr needs thread-local storage.) */
static const char *find_value(const char *cmdline, const char *key)
{
	size_t n = strlen(key);

	for (; *cmdline; cmdline++)
		if (strncmp(cmdline, key, n) == 0)
			return cmdline + n;
	return "";
}

/* exo.exit=0xPORT names QEMU's isa-debug-exit; read here so that ring 0 knows it in time. */
static uint32_t find_exit_port(const char *cmdline)
{
	const char *p = find_value(cmdline, "exo.exit=0x");
	uint32_t port = 0;

	for (; port < 0x1000; p++) {
		unsigned c = (unsigned char)*p | 32;

		if (c >= '0' && c <= '9')
			port = port * 16 + c - '0';
		else if (c >= 'a' && c <= 'f')
			port = port * 16 + c - 'a' + 10;
		else
			break;
	}
	return port;
}

void sup_begin(const struct hvm_start_info *info)
{
	struct sup_facts *f = &sup_facts;

	f->image_end = sup_layout.image_end;
	f->mapped_end = sup_layout.premap_end;
	f->guard_lo = sup_layout.guard_lo;
	f->guard_hi = sup_layout.guard_hi;
	if (info && info->magic == HVM_START_MAGIC) {
		f->boot = find_boot(info);
		if (info->cmdline_paddr)
			f->cmdline = at(info->cmdline_paddr);
		find_ram(info);
	}
	if (!f->boot)
		sup_shared.exit_port = find_exit_port(f->cmdline);
	f->platform = f->boot && f->boot->platform_gpa == EXO_PLATFORM_GPA;
	f->tsc_hz = find_tsc_hz();
	f->fsgsbase = (uint32_t)sup_probe_fsgsbase();
	if (!f->nram || f->ram[0].base != f->image_end)
		f->mapped_end = f->image_end;
	else if (f->mapped_end > f->ram[0].base + f->ram[0].len)
		f->mapped_end = f->ram[0].base + f->ram[0].len;
	exo_ring3_start(&sup_shared);
}
