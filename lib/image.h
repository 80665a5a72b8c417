/*
 * Guest images: what is inside a program file and whether it can run here, told
 * from its headers alone. Used by the shell before it starts anything and by
 * exo-vmm before the guest exists (hostile-guests H-30): every header is copied
 * once, checked as a copy, and nothing of the file is trusted afterwards.
 *
 * Kinds: 64-bit ELF with the PVH entry note (Xen's x86 HVM direct boot ABI,
 * docs/misc/pvh.pandoc), which SDK programs and Linux's vmlinux are, and Linux
 * bzImage (Documentation/arch/x86/boot.rst, protocol 2.12 and later, 64-bit).
 *
 * Pure functions of the file: no state, any thread, nothing printed.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <exo/le.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_SEGMENTS_MAX 16
#define IMAGE_WHY_MAX 160 /* of a refusal: one line without the file's name, terminated */

enum image_kind {
	IMAGE_ELF,     /* entered by PVH: 32-bit, paging off */
	IMAGE_BZIMAGE, /* entered by Linux's 64-bit boot protocol */
};

/* Copy file_bytes bytes at file_off to gpa; the rest of mem_bytes is zero. */
struct image_segment {
	gpa_t gpa;
	uint64_t file_off;
	uint64_t file_bytes; /* ≤ mem_bytes; may be 0 */
	uint64_t mem_bytes;  /* > 0 */
};

struct image {
	enum image_kind kind;
	bool is_sdk;     /* has the "Exoshell" note: built with the SDK */
	gpa_t entry;     /* first instruction; inside a segment, below 4 GiB */
	gpa_t low, high; /* the segments lie in [low, high) */
	unsigned nsegments;
	struct image_segment segment[IMAGE_SEGMENTS_MAX]; /* ascending, disjoint */

	/* bzImage only */
	uint32_t cmdline_max; /* bytes, without the terminator */
	gpa_t initrd_max;     /* the initrd's last byte may not lie above this */
	uint8_t setup[128];   /* setup header, from file offset 0x1f1, setup_bytes of it */
	unsigned setup_bytes;
};

/* Formats a line into `why`; for the loader, which has more to refuse. */
__attribute__((format(printf, 2, 3))) void image_say(char *why, const char *fmt, ...);

/*
 * Reads the headers of `fd` (pread only; the file offset stays) and checks
 * them. 0 with *img filled; -ENOEXEC when this is not something that can run,
 * or another -errno when reading failed; `why` then says it in one line.
 */
int image_parse(struct image *img, int fd, char why[IMAGE_WHY_MAX]);

/*
 * Does the image, with an initrd of initrd_bytes (0: none), fit a guest of
 * ram_bytes? 0, or -ENOMEM with `why`.
 */
int image_check_ram(const struct image *img, uint64_t ram_bytes, uint64_t initrd_bytes,
		    char why[IMAGE_WHY_MAX]);

/* Where an initrd goes: page-aligned, as high as the image and the RAM allow; 0: no room. */
gpa_t image_initrd_gpa(const struct image *img, uint64_t ram_bytes, uint64_t initrd_bytes);

#endif
