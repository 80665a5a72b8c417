/*
 * exo-mkpt: completes a freshly linked guest. Fills in what a linker cannot
 * express: page tables from the segments' rights, interrupt gates, the TSS
 * descriptor. A guest then starts with all its tables ready. Runs on the host,
 * after the linker, from exo-cc.
 *
 * Tables: Intel SDM vol. 3, ch. 4; gates and descriptors: ch. 3, 6 and 7.
 */
#include "../sup.h"
#include "../sup_int.h"

#include <exo/display.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 0x1000ull
#define REGION 0x200000ull
#define GIB 0x40000000ull

#define PTE_P 0x001ull
#define PTE_W 0x002ull
#define PTE_U 0x004ull
#define PTE_UNCACHED 0x018ull /* PWT, PCD */
#define PTE_A 0x020ull
#define PTE_D 0x040ull
#define PTE_LARGE 0x080ull
#define PTE_NX (1ull << 63)
#define PTE_TABLE (PTE_P | PTE_W | PTE_U | PTE_A)
#define PTE_LEAF (PTE_P | PTE_A | PTE_D)
#define PTE_WINDOW (PTE_LEAF | PTE_LARGE | PTE_U | PTE_W | PTE_UNCACHED | PTE_NX)

#define PTE_SHARED (PTE_LEAF | PTE_LARGE | PTE_U | PTE_W | PTE_NX)

#define GATE_INTERRUPT 0x8e00ull
#define GATE_DPL3 0x6000ull

struct elf {
	const char *path;
	uint8_t *bytes;
	uint64_t size;
	Elf64_Phdr *ph;
	unsigned phnum;
	struct sup_layout *layout;
	unsigned tables_used;
};

static __attribute__((noreturn)) void fail(const struct elf *elf, const char *what)
{
	fprintf(stderr, "exo-mkpt: %s: %s\n", elf->path, what);
	exit(1);
}

/* The file's bytes behind [va, va + len). */
static void *at(const struct elf *elf, uint64_t va, uint64_t len)
{
	for (unsigned i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *p = &elf->ph[i];

		if (p->p_type == PT_LOAD && va >= p->p_vaddr && va - p->p_vaddr <= p->p_filesz &&
		    len <= p->p_filesz - (va - p->p_vaddr))
			return elf->bytes + p->p_offset + (va - p->p_vaddr);
	}
	fail(elf, "a table is not in the file: not linked with exo.ld?");
}

static void open_elf(struct elf *elf)
{
	const Elf64_Ehdr *eh;
	struct stat st;
	int fd = open(elf->path, O_RDWR | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		fail(elf, strerror(errno));
	elf->size = (uint64_t)st.st_size;
	if (elf->size < sizeof(*eh))
		fail(elf, "not an ELF file");
	elf->bytes = mmap(NULL, elf->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (elf->bytes == MAP_FAILED)
		fail(elf, strerror(errno));
	close(fd);
	eh = (const Elf64_Ehdr *)elf->bytes;
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		fail(elf, "not an ELF file");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
	    eh->e_type != ET_EXEC || eh->e_phentsize != sizeof(Elf64_Phdr))
		fail(elf, "not a static x86-64 executable");
	if (eh->e_phoff > elf->size || eh->e_phnum * sizeof(Elf64_Phdr) > elf->size - eh->e_phoff)
		fail(elf, "program headers beyond the end of the file");
	elf->ph = (Elf64_Phdr *)(elf->bytes + eh->e_phoff);
	elf->phnum = eh->e_phnum;
}

static void check_segments(struct elf *elf)
{
	for (unsigned i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *p = &elf->ph[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_offset > elf->size || p->p_filesz > elf->size - p->p_offset ||
		    p->p_filesz > p->p_memsz)
			fail(elf, "a segment is beyond the end of the file");
		if (p->p_vaddr != p->p_paddr || p->p_vaddr < SUP_IMAGE_BASE || p->p_memsz > GIB ||
		    p->p_vaddr > GIB)
			fail(elf, "a segment does not fit between 2 MiB and 1 GiB");
		if ((p->p_flags & (PF_W | PF_X)) == (PF_W | PF_X))
			fail(elf, "a segment is both writable and executable");
	}
}

/* Searched for rather than looked up: a stripped program has no symbols. */
static void find_layout(struct elf *elf)
{
	for (unsigned i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *p = &elf->ph[i];
		uint64_t off;

		if (p->p_type != PT_LOAD)
			continue;
		for (off = 0; off + sizeof(*elf->layout) <= p->p_filesz; off += 8) {
			struct sup_layout *l;

			l = (struct sup_layout *)(elf->bytes + p->p_offset + off);
			if (l->magic == SUP_LAYOUT_MAGIC) {
				elf->layout = l;
				return;
			}
		}
	}
	fail(elf, "no supervisor in it: not linked with exo.ld?");
}

static uint64_t image_page(const struct elf *elf, uint64_t va)
{
	uint64_t entry = 0;

	for (unsigned i = 0; i < elf->phnum; i++) {
		const Elf64_Phdr *p = &elf->ph[i];
		uint64_t e;

		if (p->p_type != PT_LOAD || !p->p_memsz || va + PAGE <= p->p_vaddr ||
		    va >= p->p_vaddr + p->p_memsz)
			continue;
		e = va | PTE_LEAF | PTE_U | (p->p_flags & PF_W ? PTE_W : 0) |
		    (p->p_flags & PF_X ? 0 : PTE_NX);
		if (entry && entry != e)
			fail(elf, "segments with different rights share a page");
		entry = e;
	}
	return entry;
}

/* The last-level entry for one page of the image's gigabyte. */
static uint64_t page_entry(const struct elf *elf, uint64_t va)
{
	const struct sup_layout *l = elf->layout;

	if (va == 0 || (va >= l->guard_lo && va < l->guard_hi) || va >= l->premap_end)
		return 0;
	if (va < SUP_IMAGE_BASE) /* what the monitor left for us */
		return va | PTE_LEAF | PTE_U | PTE_NX;
	if (va == l->lapic)
		return EXO_LAPIC_GPA | PTE_LEAF | PTE_W | PTE_UNCACHED | PTE_NX;
	if (va == l->ioapic)
		return EXO_IOAPIC_GPA | PTE_LEAF | PTE_W | PTE_UNCACHED | PTE_NX;
	if (va >= l->sup_lo && va < l->sup_data)
		return va | PTE_LEAF;
	if (va >= l->sup_data && va < l->sup_hi)
		return va | PTE_LEAF | PTE_W | PTE_NX;
	if (va >= l->image_end)
		return va | PTE_LEAF | PTE_U | PTE_W | PTE_NX;
	return image_page(elf, va);
}

static uint64_t *new_table(struct elf *elf, uint64_t *va)
{
	if (elf->tables_used == SUP_PT_PAGES)
		fail(elf, "the rights change in too many 2 MiB regions");
	*va = elf->layout->tables + PAGE * elf->tables_used++;
	return memset(at(elf, *va, PAGE), 0, PAGE);
}

static uint64_t region_entry(struct elf *elf, uint64_t va)
{
	uint64_t entry[512], table;
	bool uniform = true;

	for (unsigned i = 0; i < 512; i++) {
		entry[i] = page_entry(elf, va + i * PAGE);
		uniform &= entry[i] == (entry[0] ? entry[0] + i * PAGE : 0);
	}
	if (uniform)
		return entry[0] ? entry[0] | PTE_LARGE : 0;
	memcpy(new_table(elf, &table), entry, sizeof(entry));
	return table | PTE_TABLE;
}

static void fill_tables(struct elf *elf)
{
	struct sup_layout *l = elf->layout;
	uint64_t *root, *gib, *low, *devices;
	uint64_t root_va, gib_va, low_va, devices_va, va;

	if (l->image_end > GIB - 2 * REGION)
		fail(elf, "larger than 1 GiB");
	/* So that a small heap needs no call: the rest of the last region and one more. */
	l->premap_end = (l->image_end + REGION - 1) / REGION * REGION + REGION;
	root = new_table(elf, &root_va);
	gib = new_table(elf, &gib_va);
	low = new_table(elf, &low_va);
	devices = new_table(elf, &devices_va);
	root[0] = gib_va | PTE_TABLE;
	gib[0] = low_va | PTE_TABLE;
	gib[3] = devices_va | PTE_TABLE;
	/* Memory that channels share: ordinary memory, so that it needs no call. */
	for (va = EXO_WINDOW_GPA; va < EXO_WINDOW_GPA + EXO_WINDOW_MAX; va += REGION)
		devices[(va - 3 * GIB) / REGION] = va | PTE_SHARED;
	/* So is picture memory. */
	for (va = EXO_PICTURE_GPA; va < EXO_PICTURE_GPA + EXO_DPY_PICTURE_BYTES_MAX; va += REGION)
		devices[(va - 3 * GIB) / REGION] = va | PTE_SHARED;
	devices[(SUP_WINDOW0_BASE - 3 * GIB) / REGION] = SUP_WINDOW0_BASE | PTE_WINDOW;
	devices[(SUP_WINDOW1_BASE - 3 * GIB) / REGION] = SUP_WINDOW1_BASE | PTE_WINDOW;
	for (va = 0; va < l->premap_end; va += REGION)
		low[va / REGION] = region_entry(elf, va);
}

/*
 * The tables that were not needed are the end of their segment's bytes in the
 * file: shortened, so that nobody has to load zeroes. The section as well,
 * or strip would be confused.
 */
static void drop_unused(struct elf *elf)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)elf->bytes;
	uint64_t used_end = elf->layout->tables + elf->tables_used * PAGE;
	uint64_t all_end = elf->layout->tables + SUP_PT_PAGES * PAGE;

	for (unsigned i = 0; i < elf->phnum; i++) {
		Elf64_Phdr *p = &elf->ph[i];

		if (p->p_type == PT_LOAD && p->p_vaddr + p->p_filesz == all_end)
			p->p_filesz = used_end - p->p_vaddr;
	}
	if (eh->e_shoff > elf->size || eh->e_shnum * sizeof(Elf64_Shdr) > elf->size - eh->e_shoff)
		return;
	for (unsigned i = 0; i < eh->e_shnum; i++) {
		Elf64_Shdr *s = (Elf64_Shdr *)(elf->bytes + eh->e_shoff) + i;

		if (s->sh_type == SHT_PROGBITS && s->sh_addr + s->sh_size == all_end)
			s->sh_size = used_end - s->sh_addr;
	}
}

static void fill_descriptors(struct elf *elf)
{
	const struct sup_layout *l = elf->layout;
	uint64_t *idt = at(elf, l->idt, SUP_VECTORS * 16);
	uint64_t *gdt = at(elf, l->gdt, SUP_GDT_ENTRIES * 8);

	for (unsigned n = 0; n < SUP_VECTORS; n++) {
		uint64_t stub = l->vectors + n * SUP_VECTOR_BYTES;
		uint64_t ist = n >= SUP_VEC_TIMER            ? SUP_IST_IRQ
			       : n == SUP_VEC_BREAKPOINT     ? SUP_IST_CALL
			       : n == 2 || n == 8 || n == 18 ? SUP_IST_FATAL
							     : SUP_IST_FAULT;
		uint64_t type = GATE_INTERRUPT | (n == SUP_VEC_BREAKPOINT ? GATE_DPL3 : 0) | ist;

		idt[2 * n] = (stub & 0xffff) | (uint64_t)SUP_SEL_KCODE << 16 | type << 32 |
			     (stub >> 16 & 0xffff) << 48;
		idt[2 * n + 1] = stub >> 32;
	}
	/* Available 64-bit TSS of 104 bytes. */
	gdt[SUP_SEL_TSS / 8] =
		103 | (l->tss & 0xffffff) << 16 | 0x89ull << 40 | (l->tss >> 24 & 0xff) << 56;
	gdt[SUP_SEL_TSS / 8 + 1] = l->tss >> 32;
}

int main(int argc, char **argv)
{
	struct elf elf = {.path = argc == 2 ? argv[1] : ""};

	if (argc != 2) {
		fprintf(stderr, "usage: exo-mkpt PROGRAM.elf\n");
		return 2;
	}
	open_elf(&elf);
	check_segments(&elf);
	find_layout(&elf);
	fill_tables(&elf);
	fill_descriptors(&elf);
	drop_unused(&elf);
	if (munmap(elf.bytes, elf.size) < 0)
		fail(&elf, strerror(errno));
	return 0;
}
