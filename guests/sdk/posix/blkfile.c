/*
 * Disks as files: any offset and length; what is not a whole sector goes through
 * a buffer. There is no cache: a write is at the device when the call returns,
 * and durable after fsync.
 */
#include "files.h"

#include "../drivers/blk.h"

#include <fcntl.h>
#include <linux/fs.h>

#define SECTOR_MASK (BLK_SECTOR - 1)

struct blkfile {
	struct file file;
	struct disk *disk;
};

static struct disk *disk_of(const struct file *f)
{
	return ((const struct blkfile *)(const void *)f)->disk;
}

/* A piece inside one sector. */
static int move_part(struct disk *d, bool write, uint64_t at, void *p, unsigned len)
{
	uint64_t sector = at / BLK_SECTOR;
	unsigned in = at & SECTOR_MASK;
	uint8_t *bounce = mem_alloc(BLK_SECTOR);
	int err;

	if (!bounce)
		return -ENOMEM;
	err = blk_transfer(d, false, sector, bounce, BLK_SECTOR);
	if (err == 0 && write) {
		memcpy(bounce + in, p, len);
		err = blk_transfer(d, true, sector, bounce, BLK_SECTOR);
	} else if (err == 0) {
		memcpy(p, bounce + in, len);
	}
	mem_free(bounce, BLK_SECTOR);
	return err;
}

static int move_flat(struct disk *d, bool write, uint64_t at, uint8_t *p, uint64_t len)
{
	int err = 0;

	while (len && err == 0) {
		uint64_t part = len & ~(uint64_t)SECTOR_MASK;

		if (at & SECTOR_MASK || part == 0) {
			part = MIN(len, BLK_SECTOR - (at & SECTOR_MASK));
			err = move_part(d, write, at, p, (unsigned)part);
		} else {
			err = blk_transfer(d, write, at / BLK_SECTOR, p, part);
		}
		at += part;
		p += part;
		len -= part;
	}
	return err;
}

static long move(struct file *f, bool write, const struct iovec *iov, int n, int64_t off)
{
	struct disk *d = disk_of(f);
	uint64_t at = off >= 0 ? (uint64_t)off : (uint64_t)f->pos, end = blk_bytes(d), done = 0;
	int err = 0;

	if (at >= end)
		return write && iov_total(iov, n) ? -ENOSPC : 0;
	for (int i = 0; i < n && at < end && err == 0; i++) {
		uint64_t len = MIN(iov[i].iov_len, end - at);

		err = move_flat(d, write, at, iov[i].iov_base, len);
		if (err == 0) {
			at += len;
			done += len;
		}
	}
	if (off < 0)
		f->pos = (int64_t)at;
	return done || err == 0 ? (long)done : err;
}

static long blkfile_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return move(f, false, iov, n, off);
}

static long blkfile_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return move(f, true, iov, n, off);
}

static long blkfile_ioctl(struct file *f, unsigned long req, unsigned long arg)
{
	struct disk *d = disk_of(f);

	switch (req) {
	case BLKGETSIZE64:
		*(uint64_t *)arg = blk_bytes(d);
		return 0;
	case BLKGETSIZE:
		*(unsigned long *)arg = blk_bytes(d) / BLK_SECTOR;
		return 0;
	case BLKSSZGET:
		*(int *)arg = BLK_SECTOR;
		return 0;
	case BLKROGET:
		*(int *)arg = blk_read_only(d);
		return 0;
	case BLKFLSBUF:
		return blk_flush(d);
	default:
		return -ENOTTY;
	}
}

static int64_t blkfile_size(struct file *f)
{
	return (int64_t)blk_bytes(disk_of(f));
}

static int blkfile_sync(struct file *f)
{
	return blk_flush(disk_of(f));
}

static void blkfile_close(struct file *f)
{
	mem_free(f, sizeof(struct blkfile));
}

static const struct file_ops blkfile_ops = {
	.readv = blkfile_readv,
	.writev = blkfile_writev,
	.ioctl = blkfile_ioctl,
	.size = blkfile_size,
	.sync = blkfile_sync,
	.close = blkfile_close,
	.mode = S_IFBLK | 0600,
};

int blkfile_open(const char *name, int flags, struct file **out)
{
	struct disk *d = blk_open(name);
	struct blkfile *b;

	if (!d)
		return -ENOENT;
	if ((flags & O_ACCMODE) != O_RDONLY && blk_read_only(d))
		return -EACCES;
	b = mem_alloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->disk = d;
	b->file = (struct file){.ops = &blkfile_ops,
				.refs = 1,
				.flags = (unsigned)flags & (O_ACCMODE | O_NONBLOCK),
				.dev = 254u << 8 | blk_index(d)};
	*out = &b->file;
	return 0;
}
