/*
 * The image parser and the loader (H-30): each kind of bad image is refused by
 * itself, with the right words, before anything exists; good ones land in RAM
 * byte for byte, and nothing else is written.
 */
#include "fakeimg.h"
#include "image.h"
#include "load.h"
#include "unit.h"

#include <exo/machine.h>

#include <asm/bootparam.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define PATTERN 0xa5

static struct fake_img f;
static char why[IMAGE_WHY_MAX];

static int parse(struct image *img)
{
	int fd = fake_fd(&f);
	int err = image_parse(img, fd, why);

	close(fd);
	return err;
}

/* The image in f is refused, with `words` in the message, which is one line. */
static void refused(const char *words)
{
	struct image img;

	memset(why, 'x', sizeof(why));
	ck_assert_int_eq(parse(&img), -ENOEXEC);
	ck_assert_msg(memchr(why, '\0', sizeof(why)) != NULL, "not terminated");
	ck_assert_msg(strstr(why, words) != NULL, "\"%s\" says nothing of \"%s\"", why, words);
	ck_assert_ptr_null(strchr(why, '\n'));
}

/* A bad ELF: `damage` is done to a valid one. */
#define BAD_ELF(name, damage, words) \
	START_TEST(h30_elf_##name) \
	{ \
		fake_elf(&f); \
		Elf64_Ehdr *eh = fake_ehdr(&f); \
		Elf64_Phdr *text = fake_phdr(&f, 0), *data = text + 1, *note = text + 2; \
		(void)eh, (void)data, (void)note; \
		damage; \
		refused(words); \
	} \
	END_TEST

#define BAD_BZIMAGE(name, damage, words) \
	START_TEST(h30_bzimage_##name) \
	{ \
		struct setup_header *h = fake_bzimage(&f); \
		(void)h; \
		damage; \
		refused(words); \
	} \
	END_TEST

#define SET_NOTE_FIELD(off, value) memcpy(f.bytes + FAKE_NOTES_OFF + (off), &(uint32_t){value}, 4)

BAD_ELF(empty_file, f.len = 0, "empty file")
BAD_ELF(not_elf, f.bytes[1] = 'X', "neither an ELF program nor a Linux kernel")
BAD_ELF(script, memcpy(f.bytes, "#!/bin/sh\n", 10), "a script")
BAD_ELF(header_cut, f.len = 40, "truncated: the ELF header")
BAD_ELF(ident_cut, f.len = 10, "truncated: no ELF header")
BAD_ELF(class_32, eh->e_ident[EI_CLASS] = ELFCLASS32, "32-bit ELF")
BAD_ELF(class_none, eh->e_ident[EI_CLASS] = 7, "unknown class")
BAD_ELF(big_endian, eh->e_ident[EI_DATA] = ELFDATA2MSB, "big-endian")
BAD_ELF(other_arch, eh->e_machine = EM_AARCH64, "AArch64")
BAD_ELF(unknown_arch, eh->e_machine = 9999, "ELF machine 9999")
BAD_ELF(object_file, eh->e_type = ET_REL, "link it with exo-cc")
BAD_ELF(core_dump, eh->e_type = ET_CORE, "core dump")
BAD_ELF(type_unknown, eh->e_type = 77, "unknown type 77")
BAD_ELF(no_phdrs, eh->e_phnum = 0, "nothing to load")
BAD_ELF(absurd_phdrs, eh->e_phnum = 0xffff, "65535 program headers")
BAD_ELF(phdr_size, eh->e_phentsize = 32, "program headers of 32 bytes")
BAD_ELF(phdrs_outside, eh->e_phoff = f.len - 10, "program headers outside the file")
BAD_ELF(phdrs_wrap, eh->e_phoff = UINT64_MAX - 8, "program headers outside the file")
BAD_ELF(no_pvh_note, note->p_type = PT_NULL, "no PVH entry note")
BAD_ELF(linux_program, (note->p_type = PT_INTERP, eh->e_type = ET_DYN), "ordinary program")
BAD_ELF(note_other_name, memcpy(f.bytes + FAKE_NOTES_OFF + 12, "Xem", 3), "no PVH entry note")
BAD_ELF(note_desc_size, SET_NOTE_FIELD(4, 3), "no PVH entry note")
BAD_ELF(note_name_huge, SET_NOTE_FIELD(0, UINT32_MAX), "malformed note")
BAD_ELF(note_desc_huge, SET_NOTE_FIELD(4, UINT32_MAX), "malformed note")
BAD_ELF(notes_absurd, note->p_filesz = UINT64_MAX, "note segment of")
BAD_ELF(notes_outside, note->p_offset = f.len, "a note segment outside the file")
BAD_ELF(no_segments, text->p_type = data->p_type = PT_NULL, "no loadable segment")
BAD_ELF(memsz_wrap, data->p_memsz = UINT64_MAX - 0x1000, "wraps")
BAD_ELF(memsz_below_filesz, data->p_memsz = 1, "larger in the file")
BAD_ELF(memsz_zero, data->p_memsz = 0, "larger in the file")
BAD_ELF(filesz_absurd, data->p_filesz = data->p_memsz = UINT64_MAX, "outside the file")
BAD_ELF(offset_outside, data->p_offset = f.len + 1, "outside the file")
BAD_ELF(offset_wrap, data->p_offset = UINT64_MAX - 1, "outside the file")
BAD_ELF(file_cut, f.len -= 1, "outside the file")
BAD_ELF(over_boot_area, text->p_paddr = EXO_BOOT_GPA, "below 1 MiB")
BAD_ELF(over_acpi_area, text->p_paddr = EXO_ACPI_GPA + 0x100, "below 1 MiB")
BAD_ELF(at_zero, text->p_paddr = 0, "below 1 MiB")
BAD_ELF(over_devices, data->p_paddr = EXO_LOW_RAM_END - 0x1000, "beyond 3 GiB")
BAD_ELF(over_platform, data->p_paddr = EXO_PLATFORM_GPA, "beyond 3 GiB")
BAD_ELF(overlap, data->p_paddr = FAKE_TEXT_GPA + FAKE_TEXT_BYTES - 1, "overlaps")
BAD_ELF(overlap_below, data->p_paddr = FAKE_TEXT_GPA - FAKE_DATA_MEM + 1, "overlaps")
BAD_ELF(overlap_same, data->p_paddr = FAKE_TEXT_GPA, "overlaps")
BAD_ELF(entry_outside, SET_NOTE_FIELD(16, 0x100000), "entry point 0x100000")
BAD_ELF(entry_in_bss, SET_NOTE_FIELD(16, FAKE_DATA_GPA + FAKE_DATA_BYTES), "entry point")
BAD_ELF(entry_behind, SET_NOTE_FIELD(16, FAKE_TEXT_GPA + FAKE_TEXT_BYTES), "entry point")

START_TEST(h30_elf_entry_64_bit)
{
	uint64_t entry = FAKE_ENTRY + (1ull << 32);

	fake_elf(&f);
	fake_phdr(&f, 2)->p_filesz = 0;
	fake_add_note(&f, "Xen", 18, &entry, sizeof(entry));
	refused("entry point 0x100200040");
}
END_TEST

START_TEST(h30_elf_many_segments)
{
	fake_elf(&f);
	fake_ehdr(&f)->e_phnum = 3 + IMAGE_SEGMENTS_MAX;
	fake_phdr(&f, 2)->p_offset = 0x3000;
	memmove(f.bytes + 0x3000, f.bytes + FAKE_NOTES_OFF, 0x100);
	f.len = 0x4000;
	for (unsigned i = 0; i < IMAGE_SEGMENTS_MAX; i++)
		*fake_phdr(&f, 3 + i) = (Elf64_Phdr){
			.p_type = PT_LOAD, .p_paddr = 0x400000 + i * 0x1000, .p_memsz = 16};
	refused("more than 16 segments");
}
END_TEST

BAD_BZIMAGE(no_boot_flag, h->boot_flag = 0, "no boot flag")
BAD_BZIMAGE(old_protocol, h->version = 0x0209, "2.09")
BAD_BZIMAGE(zimage, h->loadflags = 0, "zImage")
BAD_BZIMAGE(only_32_bit, h->xloadflags = 0, "32-bit Linux kernel")
BAD_BZIMAGE(no_cmdline, h->cmdline_size = 0, "command line")
BAD_BZIMAGE(cut, f.len -= 16, "truncated")
BAD_BZIMAGE(header_cut, f.len = 0x220, "truncated: the setup header")
BAD_BZIMAGE(absurd_setup, h->setup_sects = 255, "truncated")
BAD_BZIMAGE(absurd_size, h->syssize = UINT32_MAX, "truncated")
BAD_BZIMAGE(no_kernel, h->syssize = 0x200 / 16, "nothing to load")
BAD_BZIMAGE(init_size_small, h->init_size = 0x100, "larger in the file")
BAD_BZIMAGE(load_wraps, h->pref_address = UINT64_MAX - 0x100, "wraps")
BAD_BZIMAGE(load_low, h->pref_address = EXO_BOOT_GPA, "below 1 MiB")
BAD_BZIMAGE(load_beyond, h->pref_address = EXO_LOW_RAM_END, "beyond 3 GiB")

START_TEST(h30_directory)
{
	struct image img;
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(image_parse(&img, fd, why), -EISDIR);
	ck_assert_str_eq(why, "is a directory");
	close(fd);
}
END_TEST

START_TEST(h30_not_a_regular_file)
{
	struct image img;
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(image_parse(&img, p[0], why), -ENOEXEC);
	ck_assert_str_eq(why, "not a regular file");
	close(p[0]);
	close(p[1]);
}
END_TEST

START_TEST(closed_fd_is_an_error)
{
	struct image img;

	ck_assert_int_eq(image_parse(&img, -1, why), -EBADF);
}
END_TEST

/* What every accepted image keeps, however the file was damaged. */
static void check_invariants(const struct image *img, uint64_t file_bytes)
{
	uint64_t end = 0x100000;
	bool entry = false;

	ck_assert_uint_ge(img->nsegments, 1);
	ck_assert_uint_le(img->nsegments, IMAGE_SEGMENTS_MAX);
	for (unsigned i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segment[i];

		ck_assert_uint_ge(s->gpa, end);
		ck_assert_uint_gt(s->mem_bytes, 0);
		ck_assert_uint_le(s->file_bytes, s->mem_bytes);
		ck_assert_uint_le(s->file_off, file_bytes);
		ck_assert_uint_le(s->file_bytes, file_bytes - s->file_off);
		end = s->gpa + s->mem_bytes;
		ck_assert_uint_le(end, EXO_LOW_RAM_END);
		entry |= img->entry >= s->gpa && img->entry - s->gpa < s->file_bytes;
	}
	ck_assert(entry);
	ck_assert_uint_eq(img->low, img->segment[0].gpa);
	ck_assert_uint_eq(img->high, end);
	ck_assert_uint_le(img->setup_bytes, sizeof(img->setup));
}

/* Each byte of the headers, set to each of these. */
static void damage_each_byte(size_t from, size_t to)
{
	const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct image img;

	for (size_t at = from; at < to; at++) {
		for (size_t v = 0; v < sizeof(values); v++) {
			uint8_t was = f.bytes[at];

			f.bytes[at] = values[v];
			memset(why, 0, sizeof(why));
			int err = parse(&img);

			if (err == 0)
				check_invariants(&img, f.len);
			else
				ck_assert(err == -ENOEXEC && why[0]);
			f.bytes[at] = was;
		}
	}
}

START_TEST(h30_each_byte_damaged)
{
	fake_elf(&f);
	damage_each_byte(0, sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr));
	damage_each_byte(FAKE_NOTES_OFF, FAKE_NOTES_OFF + fake_phdr(&f, 2)->p_filesz);
	fake_bzimage(&f);
	damage_each_byte(0x1f1, 0x1f1 + sizeof(struct setup_header));
}
END_TEST

START_TEST(h30_cut_everywhere)
{
	struct image img;

	fake_elf(&f);
	for (size_t len = f.len; len-- > 0;) {
		f.len = len;
		ck_assert_int_eq(parse(&img), -ENOEXEC);
	}
	fake_bzimage(&f);
	for (size_t len = f.len; len-- > 0;) {
		f.len = len;
		/* The size is counted in units of 16 bytes. */
		if (len < 2 * 512 + FAKE_KERNEL_BYTES - 15)
			ck_assert_int_eq(parse(&img), -ENOEXEC);
	}
}
END_TEST

START_TEST(elf_accepted)
{
	struct image img;

	fake_elf(&f);
	ck_assert_int_eq(parse(&img), 0);
	check_invariants(&img, f.len);
	ck_assert_int_eq(img.kind, IMAGE_ELF);
	ck_assert(img.is_sdk);
	ck_assert_uint_eq(img.entry, FAKE_ENTRY);
	ck_assert_uint_eq(img.nsegments, 2);
	ck_assert_uint_eq(img.low, FAKE_TEXT_GPA);
	ck_assert_uint_eq(img.high, FAKE_DATA_GPA + FAKE_DATA_MEM);
}
END_TEST

START_TEST(elf_accepted_variants)
{
	struct image img;
	uint64_t entry = FAKE_ENTRY;

	/* No SDK note, an 8-byte entry, notes beyond the first page, segments in descending order.
	 */
	fake_elf(&f);
	Elf64_Phdr *note = fake_phdr(&f, 2), swap = *fake_phdr(&f, 0);

	*fake_phdr(&f, 0) = *fake_phdr(&f, 1);
	*fake_phdr(&f, 1) = swap;
	note->p_offset = 0x3000;
	note->p_filesz = 0;
	fake_add_note(&f, "GNU", 3, "01234567890123456789", 20);
	fake_add_note(&f, "Xen", 18, &entry, sizeof(entry));
	f.len = 0x3000 + note->p_filesz;
	ck_assert_int_eq(parse(&img), 0);
	check_invariants(&img, f.len);
	ck_assert(!img.is_sdk);
	ck_assert_uint_eq(img.entry, FAKE_ENTRY);
	ck_assert_uint_eq(img.segment[0].gpa, FAKE_TEXT_GPA);
}
END_TEST

START_TEST(elf_phdrs_beyond_the_first_page)
{
	struct image img;

	fake_elf(&f);
	memmove(f.bytes + 0x5000, fake_phdr(&f, 0), 3 * sizeof(Elf64_Phdr));
	memset(fake_phdr(&f, 0), 0, 3 * sizeof(Elf64_Phdr));
	fake_ehdr(&f)->e_phoff = 0x5000;
	f.len = 0x6000;
	ck_assert_int_eq(parse(&img), 0);
	ck_assert_uint_eq(img.nsegments, 2);
}
END_TEST

START_TEST(bzimage_accepted)
{
	struct image img;

	fake_bzimage(&f);
	ck_assert_int_eq(parse(&img), 0);
	check_invariants(&img, f.len);
	ck_assert_int_eq(img.kind, IMAGE_BZIMAGE);
	ck_assert(!img.is_sdk);
	ck_assert_uint_eq(img.entry, FAKE_KERNEL_GPA + 0x200);
	ck_assert_uint_eq(img.segment[0].mem_bytes, FAKE_KERNEL_MEM);
	ck_assert_uint_eq(img.cmdline_max, 2047);
	ck_assert_uint_eq(img.setup_bytes, sizeof(struct setup_header));
	ck_assert_int_eq(memcmp(img.setup, f.bytes + 0x1f1, img.setup_bytes), 0);
}
END_TEST

START_TEST(parse_keeps_the_offset)
{
	struct image img;

	fake_elf(&f);
	int fd = fake_fd(&f);

	ck_assert_int_eq(lseek(fd, 7, SEEK_SET), 7);
	ck_assert_int_eq(image_parse(&img, fd, why), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 7);
	close(fd);
}
END_TEST

START_TEST(h30_ram_too_small)
{
	struct image img;

	fake_elf(&f);
	ck_assert_int_eq(parse(&img), 0);
	ck_assert_int_eq(image_check_ram(&img, img.high, 0, why), 0);
	ck_assert_int_eq(image_check_ram(&img, img.high - 1, 0, why), -ENOMEM);
	ck_assert_str_eq(why, "needs 3 MiB of memory, the guest has 2");
	ck_assert_int_eq(image_check_ram(&img, 0, 0, why), -ENOMEM);
	ck_assert_int_eq(image_check_ram(&img, UINT64_MAX, 0, why), 0);
}
END_TEST

START_TEST(initrd_placed)
{
	struct image img;

	fake_elf(&f);
	ck_assert_int_eq(parse(&img), 0);
	ck_assert_uint_eq(image_initrd_gpa(&img, 16 * MIB, 0x1001), 16 * MIB - 0x2000);
	ck_assert_uint_eq(image_initrd_gpa(&img, 8192 * MIB, 0x1000), EXO_LOW_RAM_END - 0x1000);
	ck_assert_uint_eq(image_initrd_gpa(&img, 16 * MIB, 16 * MIB), 0);
	ck_assert_uint_eq(image_initrd_gpa(&img, 16 * MIB, UINT64_MAX), 0);
	ck_assert_int_eq(image_check_ram(&img, 16 * MIB, 12 * MIB, why), 0);
	ck_assert_int_eq(image_check_ram(&img, 16 * MIB, 14 * MIB, why), -ENOMEM);
	ck_assert_str_eq(why, "needs 17 MiB of memory, the guest has 16");
	ck_assert_int_eq(image_check_ram(&img, 16 * MIB, UINT64_MAX, why), -ENOMEM);
	ck_assert_int_eq(image_check_ram(&img, 16384 * MIB, 4096 * MIB, why), -ENOMEM);
	ck_assert_str_eq(why, "the initrd does not fit below 3 GiB");

	fake_bzimage(&f);
	ck_assert_int_eq(parse(&img), 0);
	ck_assert_uint_eq(image_initrd_gpa(&img, 3072 * MIB, 0x1000), 0x80000000ull - 0x1000);
}
END_TEST

static void expect_bytes(const struct fake_ram *r, gpa_t gpa, size_t len, uint8_t value)
{
	for (size_t i = 0; i < len; i++)
		if (r->host[gpa + i] != value)
			ck_abort_msg("byte %#lx is %#x, not %#x", (unsigned long)(gpa + i),
				     r->host[gpa + i], value);
}

/* Loads f and checks that the two segments, and nothing else, were written. */
static void load_and_compare(const struct image *img, int fd)
{
	struct fake_ram r;

	fake_ram_init(&r, 4 * MIB, PATTERN);
	ck_assert_int_eq(load_image(img, fd, &r.mem, why), 0);
	expect_bytes(&r, 0, FAKE_TEXT_GPA, PATTERN);
	expect_bytes(&r, FAKE_TEXT_GPA, FAKE_TEXT_BYTES, 0x11);
	expect_bytes(&r, FAKE_TEXT_GPA + FAKE_TEXT_BYTES,
		     FAKE_DATA_GPA - FAKE_TEXT_GPA - FAKE_TEXT_BYTES, PATTERN);
	expect_bytes(&r, FAKE_DATA_GPA, FAKE_DATA_BYTES, 0x22);
	expect_bytes(&r, FAKE_DATA_GPA + FAKE_DATA_BYTES, 4 * MIB - FAKE_DATA_GPA - FAKE_DATA_BYTES,
		     PATTERN);
	fake_ram_finish(&r);
}

START_TEST(loaded_exactly)
{
	const size_t data_at[] = {
		FAKE_DATA_OFF,                   /* behind the text, with a gap */
		FAKE_TEXT_OFF + FAKE_TEXT_BYTES, /* right behind */
		0x9000,                          /* far away */
		0x800,                           /* before it */
	};
	struct image img;
	int fd;

	fake_elf(&f);
	memset(f.bytes + FAKE_DATA_OFF, 0, FAKE_DATA_BYTES);
	memset(f.bytes + data_at[_i], 0x22, FAKE_DATA_BYTES);
	fake_phdr(&f, 1)->p_offset = data_at[_i];
	f.len = 0xa000;
	fd = fake_fd(&f);
	ck_assert_int_eq(image_parse(&img, fd, why), 0);
	load_and_compare(&img, fd);
	close(fd);
}
END_TEST

START_TEST(h30_file_shrinks_after_the_check)
{
	struct fake_ram r;
	struct image img;

	fake_elf(&f);
	int fd = fake_fd(&f);

	ck_assert_int_eq(image_parse(&img, fd, why), 0);
	ck_assert_int_eq(ftruncate(fd, FAKE_DATA_OFF + 10), 0);
	fake_ram_init(&r, 4 * MIB, 0);
	ck_assert_int_eq(load_image(&img, fd, &r.mem, why), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(why, "shorter than its headers say"));
	close(fd);
	ck_assert_int_eq(load_image(&img, fd, &r.mem, why), -EBADF);
	fake_ram_finish(&r);
}
END_TEST

START_TEST(h30_segment_outside_ram)
{
	struct fake_ram r;
	struct image img;

	fake_elf(&f);
	int fd = fake_fd(&f);

	ck_assert_int_eq(image_parse(&img, fd, why), 0);
	/* The bss ends one page beyond RAM. */
	fake_ram_init(&r, FAKE_DATA_GPA + FAKE_DATA_MEM - 0x1000, PATTERN);
	ck_assert_int_eq(load_image(&img, fd, &r.mem, why), -ENOEXEC);
	ck_assert_str_eq(why, "segment at 0x201000 is outside RAM");
	ck_assert_int_eq(image_check_ram(&img, r.bytes, 0, why), -ENOMEM);
	fake_ram_finish(&r);
	close(fd);
}
END_TEST

START_TEST(initrd_loaded)
{
	struct fake_ram r;

	fake_elf(&f);
	int fd = fake_fd(&f);

	fake_ram_init(&r, 2 * MIB, PATTERN);
	ck_assert_int_eq(load_initrd(fd, f.len, &r.mem, 2 * MIB - 0x2000, why), 0);
	ck_assert_int_eq(memcmp(r.host + 2 * MIB - 0x2000, f.bytes, f.len), 0);
	expect_bytes(&r, 0, 2 * MIB - 0x2000, PATTERN);
	expect_bytes(&r, 2 * MIB - 0x2000 + f.len, 0x2000 - f.len, PATTERN);
	ck_assert_int_eq(load_initrd(fd, f.len, &r.mem, 2 * MIB - 0x1000, why), -ENOEXEC);
	ck_assert_int_eq(load_initrd(fd, f.len + 1, &r.mem, 0x1000, why), -ENOEXEC);
	fake_ram_finish(&r);
	close(fd);
}
END_TEST

static TCase *elf_cases(void)
{
	TCase *tc = tcase_create("H-30 ELF");

	tcase_add_test(tc, h30_elf_empty_file);
	tcase_add_test(tc, h30_elf_not_elf);
	tcase_add_test(tc, h30_elf_script);
	tcase_add_test(tc, h30_elf_header_cut);
	tcase_add_test(tc, h30_elf_ident_cut);
	tcase_add_test(tc, h30_elf_class_32);
	tcase_add_test(tc, h30_elf_class_none);
	tcase_add_test(tc, h30_elf_big_endian);
	tcase_add_test(tc, h30_elf_other_arch);
	tcase_add_test(tc, h30_elf_unknown_arch);
	tcase_add_test(tc, h30_elf_object_file);
	tcase_add_test(tc, h30_elf_core_dump);
	tcase_add_test(tc, h30_elf_type_unknown);
	tcase_add_test(tc, h30_elf_no_phdrs);
	tcase_add_test(tc, h30_elf_absurd_phdrs);
	tcase_add_test(tc, h30_elf_phdr_size);
	tcase_add_test(tc, h30_elf_phdrs_outside);
	tcase_add_test(tc, h30_elf_phdrs_wrap);
	tcase_add_test(tc, h30_elf_no_pvh_note);
	tcase_add_test(tc, h30_elf_linux_program);
	tcase_add_test(tc, h30_elf_note_other_name);
	tcase_add_test(tc, h30_elf_note_desc_size);
	tcase_add_test(tc, h30_elf_note_name_huge);
	tcase_add_test(tc, h30_elf_note_desc_huge);
	tcase_add_test(tc, h30_elf_notes_absurd);
	tcase_add_test(tc, h30_elf_notes_outside);
	tcase_add_test(tc, h30_elf_no_segments);
	tcase_add_test(tc, h30_elf_memsz_wrap);
	tcase_add_test(tc, h30_elf_memsz_below_filesz);
	tcase_add_test(tc, h30_elf_memsz_zero);
	tcase_add_test(tc, h30_elf_filesz_absurd);
	tcase_add_test(tc, h30_elf_offset_outside);
	tcase_add_test(tc, h30_elf_offset_wrap);
	tcase_add_test(tc, h30_elf_file_cut);
	tcase_add_test(tc, h30_elf_over_boot_area);
	tcase_add_test(tc, h30_elf_over_acpi_area);
	tcase_add_test(tc, h30_elf_at_zero);
	tcase_add_test(tc, h30_elf_over_devices);
	tcase_add_test(tc, h30_elf_over_platform);
	tcase_add_test(tc, h30_elf_overlap);
	tcase_add_test(tc, h30_elf_overlap_below);
	tcase_add_test(tc, h30_elf_overlap_same);
	tcase_add_test(tc, h30_elf_entry_outside);
	tcase_add_test(tc, h30_elf_entry_in_bss);
	tcase_add_test(tc, h30_elf_entry_behind);
	tcase_add_test(tc, h30_elf_entry_64_bit);
	tcase_add_test(tc, h30_elf_many_segments);
	return tc;
}

static TCase *bzimage_cases(void)
{
	TCase *tc = tcase_create("H-30 bzImage");

	tcase_add_test(tc, h30_bzimage_no_boot_flag);
	tcase_add_test(tc, h30_bzimage_old_protocol);
	tcase_add_test(tc, h30_bzimage_zimage);
	tcase_add_test(tc, h30_bzimage_only_32_bit);
	tcase_add_test(tc, h30_bzimage_no_cmdline);
	tcase_add_test(tc, h30_bzimage_cut);
	tcase_add_test(tc, h30_bzimage_header_cut);
	tcase_add_test(tc, h30_bzimage_absurd_setup);
	tcase_add_test(tc, h30_bzimage_absurd_size);
	tcase_add_test(tc, h30_bzimage_no_kernel);
	tcase_add_test(tc, h30_bzimage_init_size_small);
	tcase_add_test(tc, h30_bzimage_load_wraps);
	tcase_add_test(tc, h30_bzimage_load_low);
	tcase_add_test(tc, h30_bzimage_load_beyond);
	return tc;
}

static TCase *other_cases(void)
{
	TCase *tc = tcase_create("load");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, h30_directory);
	tcase_add_test(tc, h30_not_a_regular_file);
	tcase_add_test(tc, h30_each_byte_damaged);
	tcase_add_test(tc, h30_cut_everywhere);
	tcase_add_test(tc, h30_ram_too_small);
	tcase_add_test(tc, h30_file_shrinks_after_the_check);
	tcase_add_test(tc, h30_segment_outside_ram);
	tcase_add_test(tc, closed_fd_is_an_error);
	tcase_add_test(tc, elf_accepted);
	tcase_add_test(tc, elf_accepted_variants);
	tcase_add_test(tc, elf_phdrs_beyond_the_first_page);
	tcase_add_test(tc, bzimage_accepted);
	tcase_add_test(tc, parse_keeps_the_offset);
	tcase_add_test(tc, initrd_placed);
	tcase_add_loop_test(tc, loaded_exactly, 0, 4);
	tcase_add_test(tc, initrd_loaded);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("load");

	suite_add_tcase(s, elf_cases());
	suite_add_tcase(s, bzimage_cases());
	suite_add_tcase(s, other_cases());
	return unit_run(s);
}
