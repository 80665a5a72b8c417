/*
 * Guest images: what is common to all kinds. See image.h.
 */
#include "image.h"
#include "image_priv.h"

#include <exo/machine.h>

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE ((uint64_t)4096)
#define MIB ((uint64_t)1 << 20)

void image_say(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, IMAGE_WHY_MAX, fmt, ap);
	va_end(ap);
}

int image_refuse(char *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, IMAGE_WHY_MAX, fmt, ap);
	va_end(ap);
	return -ENOEXEC;
}

static int read_error(char *why, const char *what, int err)
{
	image_say(why, "reading %s: %s", what, strerror(err));
	return -err;
}

int image_fetch(const struct image_file *f, uint64_t off, void *dst, size_t len, const char *what,
		char *why)
{
	if (off > f->bytes || len > f->bytes - off)
		return image_refuse(why, "truncated: %s outside the file", what);
	if (off <= f->head_bytes && len <= f->head_bytes - off) {
		memcpy(dst, f->head + off, len);
		return 0;
	}
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(f->fd, (char *)dst + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return read_error(why, what, errno);
		if (n == 0)
			return image_refuse(why, "truncated: %s outside the file", what);
		done += (size_t)n;
	}
	return 0;
}

int image_add_segment(struct image *img, const struct image_segment *seg, char *why)
{
	const struct image_segment *s = img->segment;
	unsigned at;

	if (seg->file_bytes > seg->mem_bytes)
		return image_refuse(why,
				    "segment at %#" PRIx64 " is larger in the file than in memory",
				    seg->gpa);
	if (seg->gpa + seg->mem_bytes < seg->gpa)
		return image_refuse(why, "segment at %#" PRIx64 " wraps around the address space",
				    seg->gpa);
	if (seg->gpa < IMAGE_GPA_MIN)
		return image_refuse(why,
				    "segment at %#" PRIx64 " is below 1 MiB, where boot data lie",
				    seg->gpa);
	if (seg->gpa + seg->mem_bytes > EXO_LOW_RAM_END)
		return image_refuse(why, "segment at %#" PRIx64 " ends beyond 3 GiB, outside RAM",
				    seg->gpa);
	if (img->nsegments == IMAGE_SEGMENTS_MAX)
		return image_refuse(why, "more than %d segments", IMAGE_SEGMENTS_MAX);

	for (at = img->nsegments; at > 0 && s[at - 1].gpa > seg->gpa; at--)
		;
	if ((at > 0 && s[at - 1].gpa + s[at - 1].mem_bytes > seg->gpa) ||
	    (at < img->nsegments && seg->gpa + seg->mem_bytes > s[at].gpa))
		return image_refuse(why, "segment at %#" PRIx64 " overlaps another", seg->gpa);

	memmove(&img->segment[at + 1], &s[at], (img->nsegments - at) * sizeof(*s));
	img->segment[at] = *seg;
	img->nsegments++;
	return 0;
}

/* What a file that is nothing we know looks like to its owner. */
static int refuse_unknown(const struct image_file *f, char *why)
{
	if (f->bytes == 0)
		return image_refuse(why, "empty file");
	if (f->head_bytes >= 2 && memcmp(f->head, "#!", 2) == 0)
		return image_refuse(why, "a script, not a guest program");
	return image_refuse(why, "neither an ELF program nor a Linux kernel");
}

static int read_head(struct image_file *f, char *why)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return read_error(why, "the file", errno);
	if (S_ISDIR(st.st_mode)) {
		image_say(why, "is a directory");
		return -EISDIR;
	}
	if (!S_ISREG(st.st_mode))
		return image_refuse(why, "not a regular file");
	f->bytes = (uint64_t)st.st_size;
	f->head_bytes = 0; /* so that image_fetch reads */
	size_t len = f->bytes < sizeof(f->head) ? (size_t)f->bytes : sizeof(f->head);
	int err = image_fetch(f, 0, f->head, len, "the header", why);

	if (!err)
		f->head_bytes = len;
	return err;
}

int image_parse(struct image *img, int fd, char why[IMAGE_WHY_MAX])
{
	struct image_file f = {.fd = fd};
	int err = read_head(&f, why);

	if (err)
		return err;
	memset(img, 0, sizeof(*img));
	if (f.head_bytes >= SELFMAG && memcmp(f.head, ELFMAG, SELFMAG) == 0)
		err = image_parse_elf(img, &f, why);
	else if (f.head_bytes >= 0x206 && memcmp(f.head + 0x202, "HdrS", 4) == 0)
		err = image_parse_bzimage(img, &f, why);
	else
		err = refuse_unknown(&f, why);
	if (err)
		return err;

	const struct image_segment *last = &img->segment[img->nsegments - 1];

	img->low = img->segment[0].gpa;
	img->high = last->gpa + last->mem_bytes;
	return 0;
}

static uint64_t low_ram_end(uint64_t ram_bytes)
{
	return ram_bytes < EXO_LOW_RAM_END ? ram_bytes : EXO_LOW_RAM_END;
}

gpa_t image_initrd_gpa(const struct image *img, uint64_t ram_bytes, uint64_t initrd_bytes)
{
	uint64_t top = low_ram_end(ram_bytes);

	if (img->initrd_max && top > img->initrd_max)
		top = img->initrd_max + 1;
	if (initrd_bytes == 0 || initrd_bytes > top)
		return 0;
	gpa_t gpa = (top - initrd_bytes) & ~(PAGE - 1);

	return gpa >= img->high ? gpa : 0;
}

int image_check_ram(const struct image *img, uint64_t ram_bytes, uint64_t initrd_bytes,
		    char why[IMAGE_WHY_MAX])
{
	uint64_t need = img->high;

	if (img->high <= low_ram_end(ram_bytes)) {
		if (initrd_bytes == 0 || image_initrd_gpa(img, ram_bytes, initrd_bytes))
			return 0;
		if (initrd_bytes > EXO_LOW_RAM_END - img->high - PAGE) {
			image_say(why, "the initrd does not fit below 3 GiB");
			return -ENOMEM;
		}
	}
	need += initrd_bytes < EXO_LOW_RAM_END ? initrd_bytes + PAGE : 0;
	image_say(why, "needs %" PRIu64 " MiB of memory, the guest has %" PRIu64,
		  (need + MIB - 1) / MIB, ram_bytes / MIB);
	return -ENOMEM;
}
