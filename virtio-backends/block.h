/*
 * virtio-blk over a raw file or block device (VIRTIO 1.2, 5.2). What it offers
 * and its limits: docs/devices.md.
 */
#ifndef BLOCK_H
#define BLOCK_H

#include "vdev.h"

#define BLOCK_INFLIGHT_MAX 128             /* requests taken from the ring at once (H-10) */
#define BLOCK_RANGES_MAX 16                /* of one discard or write-zeroes request */
#define BLOCK_RANGE_SECTORS_MAX (1u << 22) /* in one such range: 2 GiB */

#define BLOCK_READ_ONLY 1u
/*
 * Plain system calls in the thread that rings the doorbell, instead of
 * io_uring. block_create does the same by itself where io_uring is forbidden.
 */
#define BLOCK_NO_URING 2u

struct block_resources {
	int fd;           /* blocking; O_DIRECT or not; for writing unless BLOCK_READ_ONLY */
	unsigned flags;   /* BLOCK_* */
	uint64_t bytes;   /* multiple of 512, not 0 */
	const char *name; /* at most 15 characters count; also the serial number */
};

/*
 * The device, which owns fd from now on, or NULL with errno set (fd is still
 * the caller's). Locking the file against other users is the caller's business.
 */
struct vdev *block_create(const struct gmem *mem, const struct vdev_host *host,
			  const struct block_resources *res);

/* Does it go through io_uring? For reports and tests. */
bool block_uses_uring(const struct vdev *dev);

#endif
