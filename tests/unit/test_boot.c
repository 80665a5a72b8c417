/*
 * Boot data, read from RAM as a guest would read them: start info, command
 * line, boot block, boot_params, page tables, registers.
 */
#include "boot.h"
#include "fakeimg.h"
#include "unit.h"

#include <exo/pvh.h>
#include <exo/vmm.h>

#include <asm/bootparam.h>
#include <check.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define RAM_BYTES (32 * MIB)

static struct fake_ram r;
static struct image img;
static struct boot_config bc;
static struct boot_entry entry;
static char why[IMAGE_WHY_MAX];

static const struct exo_boot_device devices[] = {
	{.gpa = 0xd0001000, .gsi = 8, .device_id = VIRTIO_ID_CONSOLE},
	{.gpa = 0xd0002000, .gsi = 9, .device_id = VIRTIO_ID_BLOCK, .name = "data"},
};

static int memfd_with(const void *bytes, size_t len)
{
	int fd = memfd_create("args", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

static void setup(void)
{
	fake_ram_init(&r, RAM_BYTES, 0);
	img = (struct image){
		.kind = IMAGE_ELF,
		.is_sdk = true,
		.entry = 0x200040,
		.low = 0x200000,
		.high = 0x300000,
		.nsegments = 1,
		.segment = {{0x200000, 0x1000, 0x1000, 0x100000}},
	};
	bc = (struct boot_config){
		.mem = &r.mem,
		.image = &img,
		.ram_bytes = RAM_BYTES,
		.cpus = 2,
		.device = devices,
		.ndevices = 2,
		.args_fd = -1,
		.initrd_fd = -1,
		.flags = EXO_BOOT_TTY_IN,
		.tty_rows = 25,
		.tty_cols = 80,
		.tsc_hz = 2100000000,
		.wall_ns = 1700000000000000000,
		.wall_tsc = 12345,
		.lapic_hz = 1000000000,
	};
}

static void teardown(void)
{
	if (bc.args_fd >= 0)
		close(bc.args_fd);
	if (bc.initrd_fd >= 0)
		close(bc.initrd_fd);
	fake_ram_finish(&r);
}

static void set_args(const char *strings, size_t len, uint32_t argc, uint32_t envc)
{
	bc.args_fd = memfd_with(strings, len);
	bc.args_bytes = (uint32_t)len;
	bc.argc = argc;
	bc.envc = envc;
}

#define SET_ARGS(strings, argc, envc) set_args(strings, sizeof(strings) - 1, argc, envc)

static void foreign(void)
{
	img.is_sdk = false;
}

/* A kernel's header as its parser leaves it, and RAM for it. */
static void bzimage(void)
{
	struct fake_img *f = malloc(sizeof(*f));
	struct setup_header *h = fake_bzimage(f);

	img = (struct image){
		.kind = IMAGE_BZIMAGE,
		.entry = 0x1000200,
		.low = 0x1000000,
		.high = 0x1100000,
		.cmdline_max = 2047,
		.initrd_max = 0x7fffffff,
		.setup_bytes = sizeof(*h),
	};
	memcpy(img.setup, h, sizeof(*h));
	free(f);
}

static void write_ok(void)
{
	ck_assert_msg(boot_write(&bc, &entry, why) == 0, "%s", why);
}

static void write_fails(int err, const char *words)
{
	memset(why, 'x', sizeof(why));
	ck_assert_int_eq(boot_write(&bc, &entry, why), err);
	ck_assert_ptr_nonnull(memchr(why, '\0', sizeof(why)));
	ck_assert_msg(strstr(why, words) != NULL, "\"%s\" says nothing of \"%s\"", why, words);
}

static void *at(gpa_t gpa, uint64_t len)
{
	void *p = gmem_ptr(&r.mem, gpa, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

static struct pvh_start_info *start_info(void)
{
	struct pvh_start_info *si = at(entry.rbx, sizeof(*si));

	ck_assert_uint_eq(si->magic, 0x336ec578);
	ck_assert_uint_eq(si->version, 1);
	ck_assert_uint_eq(si->flags, 0);
	return si;
}

static struct pvh_module *module_at(unsigned i)
{
	struct pvh_start_info *si = start_info();

	ck_assert_uint_lt(i, si->nr_modules);
	return at(si->modlist_paddr + i * sizeof(struct pvh_module), sizeof(struct pvh_module));
}

/* The boot block, wherever it is among the modules. */
static struct exo_boot *block(void)
{
	for (unsigned i = 0; i < start_info()->nr_modules; i++) {
		struct pvh_module *m = module_at(i);

		if (m->cmdline_paddr && strcmp(at(m->cmdline_paddr, 9), EXO_BOOT_MODULE) == 0) {
			struct exo_boot *eb = at(m->paddr, m->size);

			ck_assert_uint_eq(eb->size, m->size);
			ck_assert_uint_eq(m->paddr % 8, 0);
			return eb;
		}
	}
	ck_abort_msg("no boot block");
}

static const char *cmdline(void)
{
	struct pvh_start_info *si = start_info();

	return si->cmdline_paddr ? at(si->cmdline_paddr, 1) : NULL;
}

START_TEST(sdk_guest)
{
	SET_ARGS("prog\0one\0two words\0HOME=/\0EMPTY=\0", 3, 2);
	write_ok();
	ck_assert(!entry.long_mode);
	ck_assert_uint_eq(entry.rip, 0x200040);
	ck_assert_uint_eq(start_info()->nr_modules, 1);
	ck_assert_uint_eq(start_info()->rsdp_paddr, 0);
	ck_assert_ptr_null(cmdline());

	struct exo_boot *eb = block();

	ck_assert_uint_eq(eb->magic, EXO_BOOT_MAGIC);
	ck_assert_uint_eq(eb->version, EXO_BOOT_VERSION);
	ck_assert_uint_eq(eb->platform_gpa, EXO_PLATFORM_GPA);
	ck_assert_uint_eq(eb->tsc_hz, 2100000000);
	ck_assert_uint_eq(eb->wall_ns, 1700000000000000000);
	ck_assert_uint_eq(eb->wall_tsc, 12345);
	ck_assert_uint_eq(eb->ram_bytes, RAM_BYTES);
	ck_assert_uint_eq(eb->flags, EXO_BOOT_TTY_IN);
	ck_assert_uint_eq(eb->lapic_hz, 1000000000);
	ck_assert_uint_eq(eb->cpus, 2);
	ck_assert_uint_eq(eb->tty_rows << 16 | eb->tty_cols, 25 << 16 | 80);
	ck_assert_uint_eq(eb->ndevices, 2);
	ck_assert_int_eq(memcmp(eb->device, devices, sizeof(devices)), 0);
	ck_assert_uint_eq(eb->argc, 3);
	ck_assert_uint_eq(eb->envc, 2);
	ck_assert_int_eq(memcmp((char *)eb + eb->argv_off, "prog\0one\0two words", 19), 0);
	ck_assert_int_eq(memcmp((char *)eb + eb->env_off, "HOME=/\0EMPTY=", 14), 0);
	ck_assert_uint_eq(eb->env_off + 14, eb->size);
}
END_TEST

START_TEST(sdk_guest_takes_one_page)
{
	SET_ARGS("prog\0one\0two words\0HOME=/\0EMPTY=\0", 3, 2);
	write_ok();
	for (gpa_t gpa = 0; gpa < RAM_BYTES; gpa++)
		if (r.host[gpa] && (gpa < EXO_BOOT_GPA || gpa >= EXO_BOOT_GPA + 4096))
			ck_abort_msg("written at %#lx", (unsigned long)gpa);
}
END_TEST

START_TEST(no_arguments_at_all)
{
	write_ok();
	ck_assert_uint_eq(block()->argc + block()->envc, 0);
	ck_assert_uint_eq(block()->size, sizeof(struct exo_boot));
}
END_TEST

START_TEST(seed_is_fresh)
{
	uint8_t first[32], zero[32] = {0};

	write_ok();
	memcpy(first, block()->seed, 32);
	ck_assert_int_ne(memcmp(first, zero, 32), 0);
	teardown();
	setup();
	write_ok();
	ck_assert_int_ne(memcmp(first, block()->seed, 32), 0);
}
END_TEST

START_TEST(memory_map)
{
	const struct pvh_memmap want[] = {
		{0, 0xa0000, PVH_MEM_RAM, 0},
		{EXO_ACPI_GPA, EXO_ACPI_SIZE, PVH_MEM_ACPI, 0},
		{MIB, RAM_BYTES - MIB, PVH_MEM_RAM, 0},
	};

	write_ok();
	ck_assert_uint_eq(start_info()->memmap_entries, 3);
	ck_assert_int_eq(memcmp(at(start_info()->memmap_paddr, sizeof(want)), want, sizeof(want)),
			 0);
}
END_TEST

START_TEST(memory_map_beyond_3_gib)
{
	bc.ram_bytes = 5 * 1024 * MIB;
	write_ok();
	ck_assert_uint_eq(start_info()->memmap_entries, 4);
	struct pvh_memmap *map = at(start_info()->memmap_paddr, 4 * sizeof(*map));

	ck_assert_uint_eq(map[2].addr + map[2].size, EXO_LOW_RAM_END);
	ck_assert_uint_eq(map[3].addr, EXO_HIGH_RAM_BASE);
	ck_assert_uint_eq(map[3].size, 2 * 1024 * MIB);
}
END_TEST

/* Whoever manages memory must leave the shared memory regions alone. */
START_TEST(window_is_reserved)
{
	bc.window_bytes = 32 * MIB;
	write_ok();
	ck_assert_uint_eq(start_info()->memmap_entries, 4);
	struct pvh_memmap *map = at(start_info()->memmap_paddr, 4 * sizeof(*map));

	ck_assert_uint_eq(map[3].addr, EXO_WINDOW_GPA);
	ck_assert_uint_eq(map[3].size, 32 * MIB);
	ck_assert_uint_eq(map[3].type, PVH_MEM_RESERVED);
	/* All there can be. */
	bc.picture_bytes = 8 * MIB;
	bc.ram_bytes = 5 * 1024 * MIB;
	write_ok();
	ck_assert_uint_eq(start_info()->memmap_entries, 6);
	map = at(start_info()->memmap_paddr, 6 * sizeof(*map));
	ck_assert_uint_eq(map[4].addr, EXO_PICTURE_GPA);
	ck_assert_uint_eq(map[4].size, 8 * MIB);
	ck_assert_uint_eq(map[4].type, PVH_MEM_RESERVED);
	ck_assert_uint_eq(map[5].addr, EXO_HIGH_RAM_BASE);
}
END_TEST

START_TEST(foreign_guest)
{
	foreign();
	bc.cmdline = "console=hvc0 quiet";
	SET_ARGS("vmlinux\0root=/dev/vda\0", 2, 0);
	write_ok();
	ck_assert_str_eq(cmdline(), "console=hvc0 quiet virtio_mmio.device=4K@0xd0001000:8 "
				    "virtio_mmio.device=4K@0xd0002000:9 root=/dev/vda");
	ck_assert_uint_eq(start_info()->nr_modules, 0);
	ck_assert_uint_eq(start_info()->rsdp_paddr, EXO_ACPI_GPA);
	ck_assert_int_eq(memcmp(at(EXO_ACPI_GPA, 8), "RSD PTR ", 8), 0);
	/* The reset vector resets, by the keyboard controller. */
	ck_assert_int_eq(memcmp(at(0xffff0, 7), "\xb0\xfe\xe6\x64\xf4\xeb\xfd", 7), 0);
}
END_TEST

START_TEST(initrd_first)
{
	foreign();
	bc.initrd_fd = memfd_with("070701 cpio", 11);
	write_ok();
	ck_assert_uint_eq(start_info()->nr_modules, 1);
	ck_assert_uint_eq(module_at(0)->paddr, RAM_BYTES - 4096);
	ck_assert_uint_eq(module_at(0)->size, 11);
	ck_assert_int_eq(memcmp(at(module_at(0)->paddr, 11), "070701 cpio", 11), 0);

	img.is_sdk = true;
	memset(r.host, 0, 0x10000);
	write_ok();
	ck_assert_uint_eq(start_info()->nr_modules, 2);
	ck_assert_uint_eq(module_at(0)->size, 11);
	ck_assert_uint_eq(module_at(0)->cmdline_paddr, 0);
	ck_assert_uint_eq(block()->magic, EXO_BOOT_MAGIC);
}
END_TEST

START_TEST(h30_initrd_too_large)
{
	foreign();
	bc.initrd_fd = memfd_with("x", 1);
	ck_assert_int_eq(ftruncate(bc.initrd_fd, 31 * MIB), 0);
	write_fails(-ENOMEM, "needs 35 MiB of memory, the guest has 32");
}
END_TEST

START_TEST(h30_initrd_empty)
{
	foreign();
	bc.initrd_fd = memfd_with("", 0);
	write_fails(-ENOEXEC, "the initrd is empty");
}
END_TEST

START_TEST(many_arguments_go_above_1_mib)
{
	size_t len = EXO_VMM_ARGS_MAX;
	char *strings = malloc(len);

	memset(strings, 'a', len);
	strings[len - 1] = '\0';
	set_args(strings, len, 1, 0);
	write_ok();
	ck_assert_uint_eq(module_at(0)->paddr, MIB);
	ck_assert_uint_le(module_at(0)->paddr + module_at(0)->size, img.low);
	ck_assert_int_eq(strcmp((char *)block() + block()->argv_off, strings), 0);
	free(strings);
}
END_TEST

START_TEST(h30_arguments_too_long)
{
	img.low = 0x100000; /* a program that leaves no room */
	char *strings = calloc(1, MIB);

	set_args(strings, MIB, (uint32_t)MIB, 0);
	write_fails(-E2BIG, "too long");
	free(strings);
}
END_TEST

START_TEST(h30_arguments_miscounted)
{
	const struct {
		const char *strings;
		size_t len;
		uint32_t argc, envc;
	} bad[] = {
		{"a\0b\0", 4, 3, 0}, /* fewer than promised */
		{"a\0b\0", 4, 1, 0}, /* more */
		{"a\0b\0", 4, 0, 0}, /* none promised */
		{"a\0b", 3, 2, 0},   /* the last one not terminated */
		{"a\0b\0", 4, UINT32_MAX, UINT32_MAX},
		{"a\0b\0", 4, UINT32_MAX, 3}, /* 2 modulo 2^32 */
	};

	set_args(bad[_i].strings, bad[_i].len, bad[_i].argc, bad[_i].envc);
	write_fails(-EINVAL, "arguments do not match their count");
}
END_TEST

START_TEST(h30_arguments_missing)
{
	bc.argc = 1;
	write_fails(-EINVAL, "arguments do not match");
	SET_ARGS("a\0", 1, 0);
	bc.args_bytes = 100; /* the memfd is shorter */
	write_fails(-EINVAL, "reading the arguments");
}
END_TEST

START_TEST(h30_cmdline_too_long)
{
	char text[EXO_CMDLINE_MAX + 1];

	foreign();
	memset(text, 'a', sizeof(text));
	text[EXO_CMDLINE_MAX - 1] = '\0';
	bc.cmdline = text;
	bc.ndevices = 0;
	write_ok(); /* exactly what fits */
	ck_assert_uint_eq(strlen(cmdline()), EXO_CMDLINE_MAX - 1);
	text[EXO_CMDLINE_MAX - 1] = 'a';
	text[EXO_CMDLINE_MAX] = '\0';
	write_fails(-E2BIG, "command line longer than 4095 bytes");
}
END_TEST

START_TEST(h30_cmdline_too_long_for_the_kernel)
{
	char text[2049];

	bzimage();
	bc.ndevices = 0;
	memset(text, 'a', sizeof(text));
	text[2048] = '\0';
	bc.cmdline = text;
	write_fails(-E2BIG, "command line longer than 2047 bytes");
	text[2047] = '\0';
	write_ok();
}
END_TEST

START_TEST(h30_args_too_long_for_a_cmdline)
{
	char *strings = malloc(3 * EXO_CMDLINE_MAX);

	foreign();
	memset(strings, 'a', 3 * EXO_CMDLINE_MAX);
	strings[1] = strings[3 * EXO_CMDLINE_MAX - 1] = '\0';
	set_args(strings, 3 * EXO_CMDLINE_MAX, 2, 0);
	write_fails(-E2BIG, "command line longer");
	/* A long path of the kernel itself is not on the command line. */
	close(bc.args_fd);
	strings[1] = 'a';
	strings[EXO_CMDLINE_MAX - 1] = '\0';
	memcpy(strings + EXO_CMDLINE_MAX, "quiet", 6);
	set_args(strings, EXO_CMDLINE_MAX + 6, 2, 0);
	bc.ndevices = 0;
	write_ok();
	ck_assert_str_eq(cmdline(), "quiet");
	free(strings);
}
END_TEST

START_TEST(h30_no_low_memory)
{
	bc.ram_bytes = MIB;
	write_fails(-EINVAL, "too little memory");
	bc.ram_bytes = RAM_BYTES;
	bc.ndevices = EXO_MMIO_SLOTS + 1;
	write_fails(-EINVAL, "too many devices");
}
END_TEST

START_TEST(linux_boot_params)
{
	bzimage();
	bc.cmdline = "console=hvc0";
	bc.ndevices = 1;
	bc.initrd_fd = memfd_with("cpio", 4);
	write_ok();
	ck_assert(entry.long_mode);
	ck_assert_uint_eq(entry.rip, 0x1000200);

	struct boot_params *bp = at(entry.rsi, sizeof(*bp));

	ck_assert_uint_eq(bp->hdr.header, 0x53726448);
	ck_assert_uint_eq(bp->hdr.type_of_loader, 0xff);
	ck_assert_str_eq(at(bp->hdr.cmd_line_ptr, 1),
			 "console=hvc0 virtio_mmio.device=4K@0xd0001000:8");
	ck_assert_uint_eq(bp->hdr.ramdisk_image, RAM_BYTES - 4096);
	ck_assert_uint_eq(bp->hdr.ramdisk_size, 4);
	ck_assert_uint_eq(bp->acpi_rsdp_addr, EXO_ACPI_GPA);
	ck_assert_uint_eq(bp->e820_entries, 3);
	ck_assert_uint_eq(bp->e820_table[2].addr, MIB);
	ck_assert_uint_eq(bp->e820_table[2].size, RAM_BYTES - MIB);
	ck_assert_uint_eq(bp->e820_table[1].type, 3);
}
END_TEST

/* Walks the tables as the CPU does; 2 MiB pages only. */
static uint64_t walk(uint64_t va)
{
	uint64_t table = entry.cr3;

	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t *t = at(table, 4096), e = t[va >> shift & 511];

		ck_assert_uint_eq(table % 4096, 0);
		ck_assert_uint_eq(e & 3, 3);
		ck_assert_uint_eq(e >> 7 & 1, shift == 21);
		table = e & 0x000ffffffffff000ull;
	}
	return table | (va & 0x1fffff);
}

START_TEST(linux_page_tables)
{
	const uint64_t va[] = {0, 0x1000, 0x1000200, 0x3fffffff, 0x40000000, 0xffffffff};

	bzimage();
	write_ok();
	for (unsigned i = 0; i < sizeof(va) / sizeof(va[0]); i++)
		ck_assert_uint_eq(walk(va[i]), va[i]);
	uint64_t *gdt = at(entry.gdt, 32);

	ck_assert_uint_eq(gdt[2], 0x00af9b000000ffffull);
	ck_assert_uint_eq(gdt[3], 0x00cf93000000ffffull);
}
END_TEST

START_TEST(pvh_registers)
{
	struct kvm_regs regs = {0};
	struct kvm_sregs sregs = {.apic_base = 0xfee00900};

	write_ok();
	boot_set_regs(&entry, &regs, &sregs);
	ck_assert_uint_eq(regs.rip, 0x200040);
	ck_assert_uint_eq(regs.rbx, EXO_BOOT_GPA);
	ck_assert_uint_eq(regs.rflags, 2);
	ck_assert_uint_eq(sregs.cr0, 0x11);
	ck_assert_uint_eq(sregs.cr4 | sregs.efer, 0);
	ck_assert(sregs.cs.db && !sregs.cs.l && sregs.cs.g && sregs.cs.type == 11);
	ck_assert_uint_eq(sregs.ds.limit, 0xffffffff);
	ck_assert_uint_eq(sregs.tr.limit, 0x67);
	ck_assert_uint_eq(sregs.apic_base, 0xfee00900);
}
END_TEST

START_TEST(linux_registers)
{
	struct kvm_regs regs = {0};
	struct kvm_sregs sregs = {0};

	bzimage();
	write_ok();
	boot_set_regs(&entry, &regs, &sregs);
	ck_assert_uint_eq(regs.rip, 0x1000200);
	ck_assert_uint_eq(regs.rsi, entry.rsi);
	ck_assert_uint_eq(sregs.cr3, entry.cr3);
	ck_assert_uint_eq(sregs.cr0, 0x80000011);
	ck_assert_uint_eq(sregs.cr4, 0x20);
	ck_assert_uint_eq(sregs.efer, 0x500);
	ck_assert_uint_eq(sregs.cs.selector, 0x10);
	ck_assert_uint_eq(sregs.ss.selector, 0x18);
	ck_assert(sregs.cs.l && !sregs.cs.db && sregs.ds.db);
	ck_assert_uint_eq(sregs.gdt.base, entry.gdt);
	ck_assert_uint_eq(sregs.gdt.limit, 31);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot");
	TCase *tc = tcase_create("boot");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sdk_guest);
	tcase_add_test(tc, sdk_guest_takes_one_page);
	tcase_add_test(tc, no_arguments_at_all);
	tcase_add_test(tc, seed_is_fresh);
	tcase_add_test(tc, memory_map);
	tcase_add_test(tc, memory_map_beyond_3_gib);
	tcase_add_test(tc, window_is_reserved);
	tcase_add_test(tc, foreign_guest);
	tcase_add_test(tc, initrd_first);
	tcase_add_test(tc, many_arguments_go_above_1_mib);
	tcase_add_test(tc, linux_boot_params);
	tcase_add_test(tc, linux_page_tables);
	tcase_add_test(tc, pvh_registers);
	tcase_add_test(tc, linux_registers);
	tcase_add_test(tc, h30_initrd_too_large);
	tcase_add_test(tc, h30_initrd_empty);
	tcase_add_test(tc, h30_arguments_too_long);
	tcase_add_loop_test(tc, h30_arguments_miscounted, 0, 6);
	tcase_add_test(tc, h30_arguments_missing);
	tcase_add_test(tc, h30_cmdline_too_long);
	tcase_add_test(tc, h30_cmdline_too_long_for_the_kernel);
	tcase_add_test(tc, h30_args_too_long_for_a_cmdline);
	tcase_add_test(tc, h30_no_low_memory);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
