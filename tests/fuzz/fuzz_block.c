/*
 * Fuzzes the disk, most of the time with plain system calls (the same input does
 * the same again), sometimes with io_uring. Beyond the harness's oracles: a
 * read-only file does not change, and no file changes its size.
 */
#include "block.h"
#include "harness.h"

#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTORS 64u
#define BYTES (SECTORS * 512)

static int file = -1; /* one for all runs */
static uint8_t image[BYTES];
static bool read_only, resized;

static void make_file(void)
{
	if (file < 0)
		file = memfd_create("disk", MFD_CLOEXEC);
	for (unsigned i = 0; i < BYTES; i++)
		image[i] = (uint8_t)(i / 512 + i * 3);
	if (ftruncate(file, BYTES) || pwrite(file, image, BYTES, 0) != BYTES)
		abort();
}

static struct vdev *create(struct fuzz *f)
{
	uint8_t how = fuzz_u8(f);
	struct block_resources res = {
		.flags = (how & 1 ? BLOCK_READ_ONLY : 0) | (how & 0xe ? BLOCK_NO_URING : 0),
		.bytes = BYTES,
		.name = "fuzz",
	};

	make_file();
	read_only = how & 1;
	resized = false;
	res.fd = dup(file);
	return block_create(&f->d.mem, &f->d.host, &res);
}

/* A sector that is mostly on the disk. */
static uint64_t sector(struct fuzz *f)
{
	return fuzz_rare(f) ? fuzz_u64(f) : fuzz_u8(f) % (SECTORS + 2);
}

static void put_ranges(struct fuzz *f, struct fuzz_chain *c, uint8_t n)
{
	struct virtio_blk_discard_write_zeroes dw;

	for (unsigned i = 0; i < 1u + n % 18; i++) {
		dw.sector = sector(f);
		dw.num_sectors = fuzz_rare(f) ? fuzz_u32(f) : fuzz_u8(f) & 7;
		dw.flags = fuzz_rare(f) ? fuzz_u32(f) : n >> 7;
		memcpy(c->data + c->data_len, &dw, sizeof(dw));
		c->data_len += sizeof(dw);
	}
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
					 VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	uint8_t what = fuzz_u8(f), n = fuzz_u8(f);
	struct virtio_blk_outhdr hdr = {.type = types[what & 7], .sector = sector(f)};

	if (fuzz_rare(f))
		hdr.type = fuzz_u32(f);
	memcpy(c->data, &hdr, sizeof(hdr));
	c->data_len = sizeof(hdr);
	c->write_len = 1;
	if (hdr.type == VIRTIO_BLK_T_IN) {
		c->write_len += n % 8 * 512;
	} else if (hdr.type == VIRTIO_BLK_T_OUT) {
		memset(c->data + sizeof(hdr), n, n % 8 * 512);
		c->data_len += n % 8 * 512;
	} else if (hdr.type == VIRTIO_BLK_T_GET_ID) {
		c->write_len += n & 1 ? 20 : n;
	} else if (hdr.type == VIRTIO_BLK_T_DISCARD || hdr.type == VIRTIO_BLK_T_WRITE_ZEROES) {
		put_ranges(f, c, n);
	}
	if (fuzz_rare(f))
		c->write_len = fuzz_u16(f) % FUZZ_DATA_MAX;
	if (fuzz_rare(f))
		c->data_len = fuzz_u16(f) % FUZZ_DATA_MAX;
}

/* The file becomes shorter, or whole again. */
static void event(struct fuzz *f)
{
	uint16_t size = fuzz_u16(f);

	if (read_only || (size & 0xf000))
		return;
	resized = true;
	if (ftruncate(file, size & 1 ? BYTES : size * 8))
		abort();
}

/* All of a good driver's requests come back. */
static void settle(struct fuzz *f)
{
	if (!f->d.dev->running)
		return;
	drv_kick_if_wanted(&f->d, 0);
	for (unsigned i = 0; i < 100 && *drv_used_idx(&f->d, 0) != f->d.q[0].avail_idx; i++)
		drv_pump(&f->d, 20);
	fuzz_check(*drv_used_idx(&f->d, 0) == f->d.q[0].avail_idx, "a request was lost");
}

static void cleanup(struct fuzz *f)
{
	static uint8_t now[BYTES];
	struct stat st;

	fuzz_check(!fstat(file, &st) && (resized || st.st_size == BYTES),
		   "the file's size changed");
	if (read_only)
		fuzz_check(pread(file, now, BYTES, 0) == BYTES && !memcmp(now, image, BYTES),
			   "a read-only file changed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_target target = {.create = create,
						  .chain = chain,
						  .event = event,
						  .settle = settle,
						  .cleanup = cleanup};

	return fuzz_run(&target, data, size);
}
