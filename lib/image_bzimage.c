/*
 * Linux bzImage (Documentation/arch/x86/boot.rst): the setup header and the
 * 64-bit entry point. See image.h.
 */
#include "image.h"
#include "image_priv.h"

#include <exo/machine.h>

#include <asm/bootparam.h>
#include <inttypes.h>
#include <string.h>

#define SETUP_HEADER_OFF 0x1f1
#define SETUP_HEADER_END_OFF 0x201 /* the byte here + 0x202 is where the header ends */
#define SECTOR 512u
#define PROTOCOL_MIN 0x020c /* xloadflags, so that the 64-bit entry can be told */
#define ENTRY_64 0x200      /* from where the kernel is loaded */

_Static_assert(sizeof(struct setup_header) <= sizeof(((struct image *)0)->setup), "header fits");

static int check_header(const struct setup_header *h, char *why)
{
	if (h->boot_flag != 0xaa55)
		return image_refuse(why, "damaged Linux kernel: no boot flag");
	if (h->version < PROTOCOL_MIN)
		return image_refuse(why, "Linux kernel of boot protocol %u.%02u, older than 2.12",
				    h->version >> 8, h->version & 0xff);
	if (!(h->loadflags & LOADED_HIGH))
		return image_refuse(why, "Linux zImage; only bzImage is supported");
	if (!(h->xloadflags & XLF_KERNEL_64))
		return image_refuse(why, "32-bit Linux kernel; guests are x86-64");
	if (h->cmdline_size == 0)
		return image_refuse(why, "damaged Linux kernel: no room for a command line");
	return 0;
}

int image_parse_bzimage(struct image *img, const struct image_file *f, char *why)
{
	struct setup_header h;
	unsigned end = 0x202u + f->head[SETUP_HEADER_END_OFF];
	int err = image_fetch(f, SETUP_HEADER_OFF, &h, sizeof(h), "the setup header", why);

	if (err)
		return err;
	err = check_header(&h, why);
	if (err)
		return err;

	unsigned sectors = h.setup_sects ? h.setup_sects : 4;
	uint64_t off = (sectors + 1ull) * SECTOR;
	uint64_t bytes = h.syssize * 16ull;

	if (off >= f->bytes || f->bytes - off + 15 < bytes)
		return image_refuse(why, "truncated: the kernel outside the file");
	/* syssize counts 16-byte units: the last one may be part of one. */
	if (bytes > f->bytes - off)
		bytes = f->bytes - off;
	if (bytes <= ENTRY_64)
		return image_refuse(why, "damaged Linux kernel: nothing to load");

	struct image_segment seg = {
		.gpa = h.pref_address,
		.file_off = off,
		.file_bytes = bytes,
		.mem_bytes = h.init_size,
	};

	err = image_add_segment(img, &seg, why);
	if (err)
		return err;
	img->kind = IMAGE_BZIMAGE;
	img->entry = seg.gpa + ENTRY_64;
	img->cmdline_max = h.cmdline_size;
	img->initrd_max = h.initrd_addr_max;
	img->setup_bytes = end - SETUP_HEADER_OFF;
	if (img->setup_bytes > sizeof(h))
		img->setup_bytes = sizeof(h);
	memcpy(img->setup, &h, img->setup_bytes);
	return 0;
}
