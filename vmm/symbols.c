/*
 * Address to "function+0x12" from .symtab and .strtab (System V gABI, chapters
 * 4 and 5). See symbols.h.
 */
#include "symbols.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS_MAX 128        /* Limit: a file with more has no names in reports */
#define SYMBOLS_MAX (1u << 20)  /* Limit: later ones are not looked at */
#define SYMBOLS_STEP 128        /* fetched at a time */
#define DISTANCE_MAX (1u << 20) /* a symbol without a size covers no more than this */

struct table {
	uint64_t off, count; /* of the symbols */
	uint64_t str_off, str_len;
};

/* Copies what is there of [off, off + len); the number of bytes. */
static size_t fetch_some(int fd, uint64_t off, void *dst, size_t len)
{
	size_t done = 0;

	if (off > INT64_MAX - len)
		return 0;
	while (done < len) {
		ssize_t n = pread(fd, (char *)dst + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static bool fetch(int fd, uint64_t off, void *dst, size_t len)
{
	return fetch_some(fd, off, dst, len) == len;
}

static bool find_table(int fd, struct table *t)
{
	Elf64_Ehdr eh;
	Elf64_Shdr sh[SECTIONS_MAX];

	if (!fetch(fd, 0, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_shentsize != sizeof(sh[0]) ||
	    eh.e_shnum > SECTIONS_MAX || !fetch(fd, eh.e_shoff, sh, eh.e_shnum * sizeof(sh[0])))
		return false;
	for (unsigned i = 0; i < eh.e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_entsize != sizeof(Elf64_Sym) ||
		    sh[i].sh_link >= eh.e_shnum)
			continue;
		t->off = sh[i].sh_offset;
		t->count = sh[i].sh_size / sizeof(Elf64_Sym);
		t->str_off = sh[sh[i].sh_link].sh_offset;
		t->str_len = sh[sh[i].sh_link].sh_size;
		return sh[sh[i].sh_link].sh_type == SHT_STRTAB;
	}
	return false;
}

/* A symbol that says how large it is and covers addr beats a mere label before it. */
static unsigned rank(const Elf64_Sym *s, uint64_t addr)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);

	if (s->st_name == 0 || s->st_shndx == SHN_UNDEF || s->st_shndx == SHN_ABS ||
	    s->st_value > addr || (type != STT_FUNC && type != STT_OBJECT && type != STT_NOTYPE))
		return 0;
	if (s->st_size)
		return addr - s->st_value < s->st_size ? 2 : 0;
	return addr - s->st_value < DISTANCE_MAX ? 1 : 0;
}

static bool better(const Elf64_Sym *s, uint64_t addr, const Elf64_Sym *best)
{
	unsigned new = rank(s, addr), old = rank(best, addr);

	return new > old || (new &&new == old && s->st_value > best->st_value);
}

static bool find_symbol(int fd, const struct table *t, uint64_t addr, Elf64_Sym *best)
{
	uint64_t count = t->count < SYMBOLS_MAX ? t->count : SYMBOLS_MAX;
	Elf64_Sym sym[SYMBOLS_STEP];

	memset(best, 0, sizeof(*best));
	for (uint64_t i = 0; i < count; i += SYMBOLS_STEP) {
		size_t n = count - i < SYMBOLS_STEP ? (size_t)(count - i) : SYMBOLS_STEP;

		if (t->off > INT64_MAX - (i + n) * sizeof(sym[0]) ||
		    !fetch(fd, t->off + i * sizeof(sym[0]), sym, n * sizeof(sym[0])))
			break; /* the table ends early: what was found still counts */
		for (size_t k = 0; k < n; k++)
			if (better(&sym[k], addr, best))
				*best = sym[k];
	}
	return best->st_name != 0;
}

/* Copies the name, as far as it is there and printable. False when nothing is. */
static bool fetch_name(int fd, const struct table *t, uint32_t at, char *name, size_t len)
{
	size_t n = 0, have;

	if (at >= t->str_len || t->str_off > INT64_MAX - t->str_len)
		return false;
	if (len - 1 > t->str_len - at)
		len = (size_t)(t->str_len - at) + 1;
	have = fetch_some(fd, t->str_off + at, name, len - 1);
	while (n < have && name[n] > ' ' && name[n] <= '~')
		n++;
	name[n] = '\0';
	return n > 0;
}

int symbols_format(int fd, uint64_t addr, char *buf, size_t len)
{
	char name[SYMBOLS_NAME_MAX];
	Elf64_Sym sym;
	struct table t;

	if (fd < 0 || !find_table(fd, &t) || !find_symbol(fd, &t, addr, &sym) ||
	    !fetch_name(fd, &t, sym.st_name, name, sizeof(name))) {
		snprintf(buf, len, "0x%" PRIx64, addr);
		return -ENOENT;
	}
	snprintf(buf, len, "%s+0x%" PRIx64, name, addr - sym.st_value);
	return 0;
}
