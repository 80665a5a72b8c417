/*
 * Guest RAM: one memfd, mapped once, so that only pages that are touched cost
 * anything. Split in two around the devices below 4 GiB. Main thread, before
 * any vCPU runs.
 */
#ifndef RAM_H
#define RAM_H

#include "gmem.h"

#include <stddef.h>

#define RAM_BYTES_MIN (1ull << 20)
#define RAM_BYTES_MAX (1ull << 40)
#define RAM_HUGE_BYTES (2ull << 20)

struct ram {
	int fd;
	uint8_t *host; /* all of it, contiguous here */
	uint64_t bytes;
};

/*
 * Makes `bytes` of RAM (multiple of 4096; of RAM_HUGE_BYTES with huge) and adds
 * its regions to *mem. 0 or -errno; `why` then says it in one line.
 */
int ram_init(struct ram *ram, struct gmem *mem, uint64_t bytes, bool huge, bool prefault, char *why,
	     size_t why_bytes);
void ram_finish(struct ram *ram);

#endif
