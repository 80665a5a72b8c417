/*
 * See block_rig.h.
 */
#include "block_rig.h"

#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NO_STATUS 0xaa

const unsigned block_rig_kinds[2] = {0, BLOCK_NO_URING};

void block_rig_fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

void block_rig_init_fd(struct block_rig *r, int fd, unsigned flags, uint64_t features)
{
	struct block_resources res = {.bytes = DISK_BYTES, .flags = flags, .name = "disk0"};
	struct vdev *dev;

	drv_init(&r->d);
	r->fd = fd;
	block_rig_fill(r->image, sizeof(r->image), 1);
	ck_assert_int_eq(pwrite(r->fd, r->image, DISK_BYTES, 0), DISK_BYTES);
	res.fd = dup(r->fd);
	dev = block_create(&r->d.mem, &r->d.host, &res);
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(block_uses_uring(dev), !(flags & BLOCK_NO_URING));
	drv_attach(&r->d, dev);
	r->d.queue_size = 256;
	ck_assert(drv_start(&r->d, features));
}

void block_rig_init(struct block_rig *r, unsigned flags, uint64_t features)
{
	block_rig_init_fd(r, memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING), flags,
			  features);
}

void block_rig_finish(struct block_rig *r)
{
	drv_finish(&r->d);
	close(r->fd);
}

/* What the file should hold is what we think it holds. */
void block_rig_check(struct block_rig *r)
{
	static uint8_t now[DISK_BYTES];

	ck_assert_int_eq(pread(r->fd, now, DISK_BYTES, 0), DISK_BYTES);
	ck_assert_mem_eq(now, r->image, DISK_BYTES);
}

/* Offers header + data in `pieces` descriptors + status, and waits. The status byte. */
uint8_t block_rig_request(struct block_rig *r, struct block_req *q, uint32_t type, uint64_t sector,
			  void *data, uint32_t len, bool write, unsigned pieces)
{
	struct virtio_blk_outhdr hdr = {.type = type, .sector = sector};
	struct drv_buf buf[64];
	unsigned n = 0;
	uint32_t id, step = pieces ? len / pieces : 0;
	uint16_t head;

	r->d.brk = (r->d.brk + 4095) & ~4095ull;
	q->hdr = drv_alloc(&r->d, sizeof(hdr), 1);
	q->data = drv_alloc(&r->d, len ? len : 1, 1);
	q->status = drv_alloc(&r->d, 1, 1);
	memcpy(drv_ptr(&r->d, q->hdr, sizeof(hdr)), &hdr, sizeof(hdr));
	if (data)
		memcpy(drv_ptr(&r->d, q->data, len), data, len);
	*(uint8_t *)drv_ptr(&r->d, q->status, 1) = NO_STATUS;
	buf[n++] = (struct drv_buf){.gpa = q->hdr, .len = sizeof(hdr)};
	for (unsigned i = 0; i < pieces; i++) {
		uint32_t here = i + 1 < pieces ? step : len - i * step;

		buf[n++] = (struct drv_buf){.gpa = q->data + i * step, .len = here, .write = write};
	}
	buf[n++] = (struct drv_buf){.gpa = q->status, .len = 1, .write = true};
	head = drv_add(&r->d, 0, buf, n);
	drv_kick(&r->d, 0);
	ck_assert(drv_wait_used(&r->d, 0, &id, &q->len));
	ck_assert_uint_eq(id, head);
	return *(uint8_t *)drv_ptr(&r->d, q->status, 1);
}

uint8_t block_rig_read(struct block_rig *r, struct block_req *q, uint64_t sector, uint32_t len,
		       unsigned pieces)
{
	return block_rig_request(r, q, VIRTIO_BLK_T_IN, sector, NULL, len, true, pieces);
}

uint8_t block_rig_write(struct block_rig *r, struct block_req *q, uint64_t sector, void *data,
			uint32_t len, unsigned pieces)
{
	return block_rig_request(r, q, VIRTIO_BLK_T_OUT, sector, data, len, false, pieces);
}

uint8_t block_rig_ranges(struct block_rig *r, uint32_t type,
			 struct virtio_blk_discard_write_zeroes *dw, unsigned n)
{
	struct block_req q;

	return block_rig_request(r, &q, type, 0, dw, n * sizeof(*dw), false, 1);
}

void block_rig_offer_read(struct block_rig *r, gpa_t hdr, gpa_t data)
{
	struct drv_buf buf[2] = {{.gpa = hdr, .len = 16}, {.gpa = data, .len = 513, .write = true}};

	drv_add_indirect(&r->d, 0, buf, 2);
}
