/*
 * Guest images and RAM for tests. See fakeimg.h.
 */
#include "fakeimg.h"

#include <exo/machine.h>

#include <asm/bootparam.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

static void must(int ok)
{
	if (!ok)
		abort();
}

Elf64_Ehdr *fake_ehdr(struct fake_img *f)
{
	return (Elf64_Ehdr *)f->bytes;
}

Elf64_Phdr *fake_phdr(struct fake_img *f, unsigned i)
{
	return (Elf64_Phdr *)(f->bytes + sizeof(Elf64_Ehdr)) + i;
}

void fake_add_note(struct fake_img *f, const char *name, uint32_t type, const void *desc,
		   uint32_t descsz)
{
	Elf64_Phdr *ph = fake_phdr(f, 2);
	uint8_t *p = f->bytes + ph->p_offset + ph->p_filesz;
	Elf64_Nhdr nh = {(uint32_t)strlen(name) + 1, descsz, type};

	memcpy(p, &nh, sizeof(nh));
	p += sizeof(nh);
	memcpy(p, name, nh.n_namesz);
	p += (nh.n_namesz + 3) & ~3u;
	memcpy(p, desc, descsz);
	p += (descsz + 3) & ~3u;
	ph->p_filesz = ph->p_memsz = (uint64_t)(p - f->bytes) - ph->p_offset;
}

void fake_elf(struct fake_img *f)
{
	uint32_t entry = FAKE_ENTRY;

	memset(f, 0, sizeof(*f));
	*fake_ehdr(f) = (Elf64_Ehdr){
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
	};
	*fake_phdr(f, 0) = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = FAKE_TEXT_OFF,
		.p_paddr = FAKE_TEXT_GPA,
		.p_filesz = FAKE_TEXT_BYTES,
		.p_memsz = FAKE_TEXT_BYTES,
	};
	*fake_phdr(f, 1) = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = FAKE_DATA_OFF,
		.p_paddr = FAKE_DATA_GPA,
		.p_filesz = FAKE_DATA_BYTES,
		.p_memsz = FAKE_DATA_MEM,
	};
	*fake_phdr(f, 2) = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = FAKE_NOTES_OFF,
		.p_align = 4,
	};
	fake_add_note(f, "Xen", 18, &entry, sizeof(entry));
	fake_add_note(f, EXO_NOTE_NAME, EXO_NOTE_ABI, "", 0);
	memset(f->bytes + FAKE_TEXT_OFF, 0x11, FAKE_TEXT_BYTES);
	memset(f->bytes + FAKE_DATA_OFF, 0x22, FAKE_DATA_BYTES);
	f->len = FAKE_DATA_OFF + FAKE_DATA_BYTES;
}

struct setup_header *fake_bzimage(struct fake_img *f)
{
	struct setup_header *h = (struct setup_header *)(f->bytes + 0x1f1);

	memset(f, 0, sizeof(*f));
	h->setup_sects = 1;
	h->syssize = FAKE_KERNEL_BYTES / 16;
	h->boot_flag = 0xaa55;
	h->jump = (uint16_t)(0xeb | (0x1f1 + sizeof(*h) - 0x202) << 8);
	h->header = 0x53726448; /* "HdrS" */
	h->version = 0x020f;
	h->loadflags = LOADED_HIGH;
	h->xloadflags = XLF_KERNEL_64;
	h->initrd_addr_max = 0x7fffffff;
	h->kernel_alignment = 0x200000;
	h->relocatable_kernel = 1;
	h->cmdline_size = 2047;
	h->pref_address = FAKE_KERNEL_GPA;
	h->init_size = FAKE_KERNEL_MEM;
	memset(f->bytes + 2 * 512, 0x33, FAKE_KERNEL_BYTES);
	f->len = 2 * 512 + FAKE_KERNEL_BYTES;
	return h;
}

int fake_fd(const struct fake_img *f)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	must(fd >= 0);
	must(write(fd, f->bytes, f->len) == (ssize_t)f->len);
	return fd;
}

void fake_ram_init(struct fake_ram *r, uint64_t bytes, uint8_t fill)
{
	*r = (struct fake_ram){.bytes = bytes};
	r->map = mmap(NULL, bytes + 2 * PAGE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(r->map != MAP_FAILED);
	r->host = (uint8_t *)r->map + PAGE;
	must(mprotect(r->host, bytes, PROT_READ | PROT_WRITE) == 0);
	if (fill)
		memset(r->host, fill, bytes);
	must(gmem_add(&r->mem, 0, r->host, bytes) == 0);
}

void fake_ram_finish(struct fake_ram *r)
{
	munmap(r->map, r->bytes + 2 * PAGE);
}
