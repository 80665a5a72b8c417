/*
 * Copies a checked image and an initrd into guest RAM. Runs in exo-vmm's main
 * thread before any vCPU does. lib/image.h has the parsing and checking.
 */
#ifndef LOAD_H
#define LOAD_H

#include "gmem.h"
#include "image.h"

/*
 * Reads the image's segments from `fd` straight into guest RAM. The RAM must be
 * fresh: zero bytes are not written. 0; -ENOEXEC when the file is shorter than
 * its headers say or a segment is not in RAM; another -errno when reading
 * failed; `why` then says it in one line.
 */
int load_image(const struct image *img, int fd, const struct gmem *mem, char why[IMAGE_WHY_MAX]);

/* Reads the `bytes` bytes of the initrd to gpa; the same errors. */
int load_initrd(int fd, uint64_t bytes, const struct gmem *mem, gpa_t gpa, char why[IMAGE_WHY_MAX]);

#endif
