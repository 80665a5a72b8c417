/*
 * Shared by the parsers of lib/image*.c, not for anybody else.
 */
#ifndef IMAGE_PRIV_H
#define IMAGE_PRIV_H

#include "image.h"

#define IMAGE_HEAD_BYTES 4096

/* The file while it is parsed: its first bytes, fetched once. */
struct image_file {
	int fd;
	uint64_t bytes;    /* size of the file */
	size_t head_bytes; /* of head that are there */
	_Alignas(8) uint8_t head[IMAGE_HEAD_BYTES];
};

/* Segments may lie here: above all boot data, below the device hole. */
#define IMAGE_GPA_MIN 0x100000ull

/* Formats the refusal into why and returns -ENOEXEC. */
__attribute__((format(printf, 2, 3))) int image_refuse(char *why, const char *fmt, ...);

/*
 * Copies len bytes at off, from the head if they are there. 0, or a negative
 * errno with `why`; `what` names the thing for the message.
 */
int image_fetch(const struct image_file *f, uint64_t off, void *dst, size_t len, const char *what,
		char *why);

/* Inserts a segment in ascending order after checking it. 0 or -ENOEXEC. */
int image_add_segment(struct image *img, const struct image_segment *seg, char *why);

int image_parse_elf(struct image *img, const struct image_file *f, char *why);
int image_parse_bzimage(struct image *img, const struct image_file *f, char *why);

#endif
