/*
 * Names for addresses, from good symbol tables and from hostile ones (H-30):
 * those give the bare address, never more work than is bounded.
 */
#include "fakeimg.h"
#include "symbols.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS_OFF 0x2000
#define SYMBOLS_OFF 0x3000
#define STRINGS_OFF 0x4000
#define STRINGS "\0main\0helper\0label\0bad\x1b[31m\0endless"

static struct fake_img f;
static char text[SYMBOLS_NAME_MAX];

static Elf64_Shdr *section(unsigned i)
{
	return (Elf64_Shdr *)(f.bytes + SECTIONS_OFF) + i;
}

static Elf64_Sym *symbol(unsigned i)
{
	return (Elf64_Sym *)(f.bytes + SYMBOLS_OFF) + i;
}

static void setup(void)
{
	const Elf64_Sym syms[] = {
		{0},
		{.st_name = 1,
		 .st_value = 0x200100,
		 .st_size = 0x80,
		 .st_info = STT_FUNC,
		 .st_shndx = 1},
		{.st_name = 6,
		 .st_value = 0x200180,
		 .st_size = 0x20,
		 .st_info = STT_FUNC,
		 .st_shndx = 1},
		{.st_name = 13, .st_value = 0x200120, .st_info = STT_NOTYPE, .st_shndx = 1},
		{.st_name = 13, .st_value = 0x300000, .st_info = STT_NOTYPE, .st_shndx = 1},
		{.st_name = 19,
		 .st_value = 0x500000,
		 .st_size = 8,
		 .st_info = STT_FUNC,
		 .st_shndx = 1},
		{.st_name = 28,
		 .st_value = 0x600000,
		 .st_size = 8,
		 .st_info = STT_FUNC,
		 .st_shndx = 1},
	};

	fake_elf(&f);
	fake_ehdr(&f)->e_shoff = SECTIONS_OFF;
	fake_ehdr(&f)->e_shnum = 3;
	fake_ehdr(&f)->e_shentsize = sizeof(Elf64_Shdr);
	*section(1) = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
				   .sh_offset = SYMBOLS_OFF,
				   .sh_size = sizeof(syms),
				   .sh_entsize = sizeof(Elf64_Sym),
				   .sh_link = 2};
	*section(2) = (Elf64_Shdr){
		.sh_type = SHT_STRTAB, .sh_offset = STRINGS_OFF, .sh_size = sizeof(STRINGS) - 1};
	memcpy(f.bytes + SYMBOLS_OFF, syms, sizeof(syms));
	memcpy(f.bytes + STRINGS_OFF, STRINGS, sizeof(STRINGS) - 1);
	f.len = STRINGS_OFF + sizeof(STRINGS) - 1;
}

static const char *format(uint64_t addr, int want)
{
	int fd = fake_fd(&f);

	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(symbols_format(fd, addr, text, sizeof(text)), want);
	ck_assert_ptr_nonnull(memchr(text, '\0', sizeof(text)));
	close(fd);
	return text;
}

START_TEST(functions_named)
{
	ck_assert_str_eq(format(0x200100, 0), "main+0x0");
	ck_assert_str_eq(format(0x20017f, 0), "main+0x7f");
	ck_assert_str_eq(format(0x200180, 0), "helper+0x0");
	/* Inside main, though the label is nearer. */
	ck_assert_str_eq(format(0x200125, 0), "main+0x25");
	/* Behind helper, which says how long it is: the label before covers it. */
	ck_assert_str_eq(format(0x2001a4, 0), "label+0x84");
	ck_assert_str_eq(format(0x300010, 0), "label+0x10");
}
END_TEST

START_TEST(addresses_without_a_name)
{
	ck_assert_str_eq(format(0x0, -ENOENT), "0x0");
	ck_assert_str_eq(format(0x2000ff, -ENOENT), "0x2000ff");
	ck_assert_str_eq(format(UINT64_MAX, -ENOENT), "0xffffffffffffffff");
}
END_TEST

START_TEST(h30_name_not_printable)
{
	ck_assert_str_eq(format(0x500000, 0), "bad+0x0");
}
END_TEST

START_TEST(h30_name_at_the_end_of_the_file)
{
	ck_assert_str_eq(format(0x600001, 0), "endless+0x1");
}
END_TEST

START_TEST(h30_long_name_cut)
{
	memset(f.bytes + STRINGS_OFF + 1, 'n', 0x1000);
	section(2)->sh_size = 0x1001;
	f.len = STRINGS_OFF + 0x1001;
	format(0x200100, 0);
	ck_assert_uint_lt(strlen(text), sizeof(text));
	ck_assert_int_eq(text[0], 'n');
}
END_TEST

START_TEST(short_buffer)
{
	int fd = fake_fd(&f);
	char small[4];

	ck_assert_int_eq(symbols_format(fd, 0x200100, small, sizeof(small)), 0);
	ck_assert_str_eq(small, "mai");
	close(fd);
}
END_TEST

/* Damage that leaves no usable table: the bare address. */
#define BAD(name, damage) \
	START_TEST(h30_##name) \
	{ \
		damage; \
		ck_assert_str_eq(format(0x200100, -ENOENT), "0x200100"); \
	} \
	END_TEST

BAD(not_elf, f.bytes[0] = 0)
BAD(empty, f.len = 0)
BAD(class_32, fake_ehdr(&f)->e_ident[EI_CLASS] = ELFCLASS32)
BAD(no_sections, fake_ehdr(&f)->e_shnum = 0)
BAD(absurd_sections, fake_ehdr(&f)->e_shnum = 0xffff)
BAD(section_size, fake_ehdr(&f)->e_shentsize = 1)
BAD(sections_outside, fake_ehdr(&f)->e_shoff = f.len - 1)
BAD(sections_wrap, fake_ehdr(&f)->e_shoff = UINT64_MAX - 1)
BAD(symbol_size, section(1)->sh_entsize = 1)
BAD(symbols_outside, section(1)->sh_offset = f.len)
BAD(symbols_wrap, section(1)->sh_offset = UINT64_MAX - 1)
BAD(symbols_far, section(1)->sh_offset = INT64_MAX - 1)
BAD(link_outside, section(1)->sh_link = 3)
BAD(link_self, section(1)->sh_link = 1)
BAD(strings_outside, section(2)->sh_offset = f.len)
BAD(strings_wrap, section(2)->sh_offset = UINT64_MAX - 1)
BAD(strings_empty, section(2)->sh_size = 0)
BAD(name_outside, symbol(1)->st_name = UINT32_MAX)
BAD(name_empty, f.bytes[STRINGS_OFF + 1] = 0)
BAD(symbol_wraps, (symbol(1)->st_value = UINT64_MAX, symbol(1)->st_size = UINT64_MAX))

START_TEST(h30_absurd_count_is_bounded)
{
	/* The table claims to be endless: what is in the file counts. */
	section(1)->sh_size = UINT64_MAX;
	ck_assert_str_eq(format(0x200100, 0), "main+0x0");
}
END_TEST

extern const char __executable_start;

START_TEST(a_real_program)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t addr = (uintptr_t)symbols_format - (uintptr_t)&__executable_start;

	ck_assert_int_eq(symbols_format(fd, addr + 3, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "symbols_format+0x3");
	close(fd);
}
END_TEST

START_TEST(closed_fd)
{
	ck_assert_int_eq(symbols_format(-1, 5, text, sizeof(text)), -ENOENT);
	ck_assert_str_eq(text, "0x5");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("symbols");
	TCase *tc = tcase_create("symbols");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, functions_named);
	tcase_add_test(tc, addresses_without_a_name);
	tcase_add_test(tc, short_buffer);
	tcase_add_test(tc, a_real_program);
	tcase_add_test(tc, closed_fd);
	tcase_add_test(tc, h30_name_not_printable);
	tcase_add_test(tc, h30_name_at_the_end_of_the_file);
	tcase_add_test(tc, h30_long_name_cut);
	tcase_add_test(tc, h30_not_elf);
	tcase_add_test(tc, h30_empty);
	tcase_add_test(tc, h30_class_32);
	tcase_add_test(tc, h30_no_sections);
	tcase_add_test(tc, h30_absurd_sections);
	tcase_add_test(tc, h30_section_size);
	tcase_add_test(tc, h30_sections_outside);
	tcase_add_test(tc, h30_sections_wrap);
	tcase_add_test(tc, h30_symbol_size);
	tcase_add_test(tc, h30_symbols_outside);
	tcase_add_test(tc, h30_symbols_wrap);
	tcase_add_test(tc, h30_symbols_far);
	tcase_add_test(tc, h30_link_outside);
	tcase_add_test(tc, h30_link_self);
	tcase_add_test(tc, h30_strings_outside);
	tcase_add_test(tc, h30_strings_wrap);
	tcase_add_test(tc, h30_strings_empty);
	tcase_add_test(tc, h30_name_outside);
	tcase_add_test(tc, h30_name_empty);
	tcase_add_test(tc, h30_symbol_wraps);
	tcase_add_test(tc, h30_absurd_count_is_bounded);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
