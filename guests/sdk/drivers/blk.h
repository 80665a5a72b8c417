/*
 * Driver of virtio-blk (VIRTIO 1.2, 5.2). Disks are set up when they are first
 * asked for. Transfers go straight to and from the caller's memory.
 */
#ifndef DRIVERS_BLK_H
#define DRIVERS_BLK_H

#include <stdbool.h>
#include <stdint.h>

#define BLK_SECTOR 512

struct disk;

/* "vda", "vdb"… or "disk/NAME" with the name of the grant (or the serial). NULL: none. */
struct disk *blk_open(const char *name);
uint64_t blk_bytes(const struct disk *d);
bool blk_read_only(const struct disk *d);
/* Number of the disk, 0 for vda. */
unsigned blk_index(const struct disk *d);
/* Whole sectors; waits. 0 or -EIO, -ENOTSUP. */
int blk_transfer(struct disk *d, bool write, uint64_t sector, void *p, uint64_t len);
int blk_flush(struct disk *d);

#endif
