/*
 * A disk, its file and a driver for it, for the block tests.
 */
#ifndef BLOCK_RIG_H
#define BLOCK_RIG_H

#include "block.h"
#include "drv.h"

#include <linux/virtio_blk.h>

#define SECTORS 256u
#define DISK_BYTES (SECTORS * 512u)

struct block_rig {
	struct drv d;
	int fd;                                                   /* our own handle on the file */
	uint8_t image[DISK_BYTES] __attribute__((aligned(4096))); /* what it should hold */
};

struct block_req {
	gpa_t hdr, data, status;
	uint32_t len; /* as the device returned it */
};

/* With io_uring and without: tests run for each, _i is 0 or 1. */
extern const unsigned block_rig_kinds[2];

/* A started disk over a file in memory, or over fd; the file is filled. */
void block_rig_init(struct block_rig *r, unsigned flags, uint64_t features);
void block_rig_init_fd(struct block_rig *r, int fd, unsigned flags, uint64_t features);
void block_rig_finish(struct block_rig *r);
/* The file is what r->image says. */
void block_rig_check(struct block_rig *r);
void block_rig_fill(uint8_t *p, size_t len, unsigned seed);

/* Offers header, data in `pieces` descriptors, and status, and waits. The status byte. */
uint8_t block_rig_request(struct block_rig *r, struct block_req *q, uint32_t type, uint64_t sector,
			  void *data, uint32_t len, bool write, unsigned pieces);
uint8_t block_rig_read(struct block_rig *r, struct block_req *q, uint64_t sector, uint32_t len,
		       unsigned pieces);
uint8_t block_rig_write(struct block_rig *r, struct block_req *q, uint64_t sector, void *data,
			uint32_t len, unsigned pieces);
uint8_t block_rig_ranges(struct block_rig *r, uint32_t type,
			 struct virtio_blk_discard_write_zeroes *dw, unsigned n);
/* Offers a read of one sector whose header is in place; does not wait. */
void block_rig_offer_read(struct block_rig *r, gpa_t hdr, gpa_t data);

#endif
