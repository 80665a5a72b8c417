/*
 * 64-bit ELF images with the PVH entry note (System V gABI, chapter 5; Xen's
 * xen/include/public/elfnote.h for XEN_ELFNOTE_PHYS32_ENTRY). Segments go to
 * their physical addresses. See image.h.
 */
#include "image.h"
#include "image_priv.h"

#include <exo/machine.h>

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#define XEN_NOTE_NAME "Xen"
#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define PHDRS_MAX 64        /* Limit: a file with more is refused */
#define NOTE_BYTES_MAX 8192 /* Limit: a larger note segment is refused */

struct notes {
	bool has_pvh, is_sdk;
	uint64_t entry;
};

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_ARM:
		return "ARM";
	case EM_AARCH64:
		return "AArch64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "PowerPC";
	case EM_S390:
		return "S/390";
	default:
		return "another architecture";
	}
}

static int check_type(const Elf64_Ehdr *eh, char *why)
{
	switch (eh->e_type) {
	case ET_EXEC:
	case ET_DYN:
		return 0;
	case ET_REL:
		return image_refuse(why, "relocatable object, not a program; link it with exo-cc");
	case ET_CORE:
		return image_refuse(why, "a core dump, not a program");
	default:
		return image_refuse(why, "ELF of unknown type %u", eh->e_type);
	}
}

static int check_header(const struct image_file *f, Elf64_Ehdr *eh, char *why)
{
	int err;

	if (f->head_bytes < EI_NIDENT)
		return image_refuse(why, "truncated: no ELF header");
	if (f->head[EI_CLASS] == ELFCLASS32)
		return image_refuse(why, "32-bit ELF; guests are x86-64 programs");
	if (f->head[EI_CLASS] != ELFCLASS64 || f->head[EI_VERSION] != EV_CURRENT)
		return image_refuse(why, "ELF of unknown class or version");
	if (f->head[EI_DATA] != ELFDATA2LSB)
		return image_refuse(why, "big-endian ELF; guests are x86-64 programs");
	err = image_fetch(f, 0, eh, sizeof(*eh), "the ELF header", why);
	if (err)
		return err;
	if (eh->e_machine != EM_X86_64)
		return image_refuse(why,
				    "built for %s (ELF machine %u); guests are x86-64 programs",
				    machine_name(eh->e_machine), eh->e_machine);
	err = check_type(eh, why);
	if (err)
		return err;
	if (eh->e_phnum == 0)
		return image_refuse(why, "no program headers: nothing to load");
	if (eh->e_phnum > PHDRS_MAX)
		return image_refuse(why, "%u program headers, more than %d", eh->e_phnum,
				    PHDRS_MAX);
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return image_refuse(why, "program headers of %u bytes instead of %zu",
				    eh->e_phentsize, sizeof(Elf64_Phdr));
	return 0;
}

static void take_note(const Elf64_Nhdr *nh, const uint8_t *name, const uint8_t *desc,
		      struct notes *notes)
{
	if (nh->n_namesz == sizeof(XEN_NOTE_NAME) &&
	    memcmp(name, XEN_NOTE_NAME, sizeof(XEN_NOTE_NAME)) == 0 &&
	    nh->n_type == XEN_ELFNOTE_PHYS32_ENTRY && !notes->has_pvh &&
	    (nh->n_descsz == 4 || nh->n_descsz == 8)) {
		memcpy(&notes->entry, desc, nh->n_descsz);
		notes->has_pvh = true;
	}
	if (nh->n_namesz == sizeof(EXO_NOTE_NAME) &&
	    memcmp(name, EXO_NOTE_NAME, sizeof(EXO_NOTE_NAME)) == 0 && nh->n_type == EXO_NOTE_ABI)
		notes->is_sdk = true;
}

/*
 * Walks one note segment. The size fields are the file's: each is compared with
 * what is left before it is used.
 */
static int parse_notes(const struct image_file *f, const Elf64_Phdr *ph, struct notes *notes,
		       char *why)
{
	_Alignas(8) uint8_t buf[NOTE_BYTES_MAX];
	uint64_t align = ph->p_align == 8 ? 8 : 4;
	uint64_t left = ph->p_filesz, at = 0;
	int err;

	if (left > sizeof(buf))
		return image_refuse(why, "note segment of %" PRIu64 " bytes, more than %d", left,
				    NOTE_BYTES_MAX);
	err = image_fetch(f, ph->p_offset, buf, left, "a note segment", why);
	if (err)
		return err;
	while (left - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;

		memcpy(&nh, buf + at, sizeof(nh));
		uint64_t name = at + sizeof(nh);
		uint64_t desc = (name + nh.n_namesz + align - 1) & ~(align - 1);
		uint64_t end = (desc + nh.n_descsz + align - 1) & ~(align - 1);

		/* Sizes are 32 bits and at most left, so the 64-bit sums cannot wrap. */
		if (desc + nh.n_descsz > left)
			return image_refuse(why, "malformed note segment");
		take_note(&nh, buf + name, buf + desc, notes);
		if (end >= left)
			break;
		at = end;
	}
	return 0;
}

static int add_load(struct image *img, const struct image_file *f, const Elf64_Phdr *ph, char *why)
{
	struct image_segment seg = {
		.gpa = ph->p_paddr,
		.file_off = ph->p_offset,
		.file_bytes = ph->p_filesz,
		.mem_bytes = ph->p_memsz,
	};

	if (ph->p_memsz == 0)
		return ph->p_filesz == 0 ? 0 : image_add_segment(img, &seg, why);
	if (ph->p_offset > f->bytes || ph->p_filesz > f->bytes - ph->p_offset)
		return image_refuse(why, "truncated: segment at %#" PRIx64 " outside the file",
				    (uint64_t)ph->p_paddr);
	return image_add_segment(img, &seg, why);
}

static int check_entry(struct image *img, const struct notes *notes, char *why)
{
	for (unsigned i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segment[i];

		if (notes->entry >= s->gpa && notes->entry - s->gpa < s->file_bytes) {
			img->entry = notes->entry;
			return 0;
		}
	}
	return image_refuse(why, "entry point %#" PRIx64 " is outside the program", notes->entry);
}

int image_parse_elf(struct image *img, const struct image_file *f, char *why)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph[PHDRS_MAX];
	struct notes notes = {0};
	bool dynamic = false;
	int err = check_header(f, &eh, why);

	if (err)
		return err;
	err = image_fetch(f, eh.e_phoff, ph, eh.e_phnum * sizeof(*ph), "program headers", why);
	if (err)
		return err;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_NOTE)
			err = parse_notes(f, &ph[i], &notes, why);
		if (err)
			return err;
		dynamic |= ph[i].p_type == PT_INTERP || ph[i].p_type == PT_DYNAMIC;
	}
	/* Told first, because an ordinary program's addresses are wrong for us as well. */
	if (!notes.has_pvh)
		return image_refuse(why,
				    dynamic ? "an ordinary program for Linux; build it with exo-cc"
					    : "no PVH entry note; build it with exo-cc");
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			err = add_load(img, f, &ph[i], why);
		if (err)
			return err;
	}
	if (img->nsegments == 0)
		return image_refuse(why, "no loadable segment");
	img->kind = IMAGE_ELF;
	img->is_sdk = notes.is_sdk;
	return check_entry(img, &notes, why);
}
