/*
 * Guest images made in memory for tests, as memfds: a small valid one first,
 * then the test damages what it wants. And a small guest RAM between guard
 * pages, filled with a pattern where a test wants to see what was not written.
 */
#ifndef FAKEIMG_H
#define FAKEIMG_H

#include "gmem.h"

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_BYTES_MAX 0x10000

/*
 * An SDK-like ELF: headers, notes at FAKE_NOTES_OFF, text at 2 MiB (entry in
 * it), data with bss behind it. ph[0] text, ph[1] data, ph[2] notes.
 */
#define FAKE_NOTES_OFF 0x400
#define FAKE_TEXT_OFF 0x1000
#define FAKE_TEXT_BYTES 0x180
#define FAKE_TEXT_GPA 0x200000ull
#define FAKE_DATA_OFF 0x1200
#define FAKE_DATA_BYTES 0x80
#define FAKE_DATA_GPA 0x201000ull
#define FAKE_DATA_MEM 0x3000
#define FAKE_ENTRY (FAKE_TEXT_GPA + 0x40)

struct fake_img {
	_Alignas(8) uint8_t bytes[FAKE_BYTES_MAX];
	size_t len;
};

void fake_elf(struct fake_img *f);
Elf64_Ehdr *fake_ehdr(struct fake_img *f);
Elf64_Phdr *fake_phdr(struct fake_img *f, unsigned i);

/* Appends a note to the note segment; descsz bytes of desc. */
void fake_add_note(struct fake_img *f, const char *name, uint32_t type, const void *desc,
		   uint32_t descsz);

/* A bzImage with FAKE_KERNEL_BYTES of kernel; `setup` header of protocol 2.15. */
#define FAKE_KERNEL_BYTES 0x1000
#define FAKE_KERNEL_GPA 0x1000000ull
#define FAKE_KERNEL_MEM 0x8000
struct setup_header;
struct setup_header *fake_bzimage(struct fake_img *f);

/* A memfd with the image; the caller closes it. */
int fake_fd(const struct fake_img *f);

struct fake_ram {
	struct gmem mem;
	uint8_t *host;
	uint64_t bytes;
	void *map;
};

/* RAM from 0, `bytes` a multiple of 4096; each byte is `fill`. */
void fake_ram_init(struct fake_ram *r, uint64_t bytes, uint8_t fill);
void fake_ram_finish(struct fake_ram *r);

#endif
