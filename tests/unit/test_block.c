/*
 * virtio-blk against the in-memory driver: every request type, every way a
 * request can be wrong (H-25), too many of them (H-10), reset while the host
 * works (H-16), and a host that fails. Each with io_uring and without.
 */
#include "block.h"
#include "drv.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTORS 256u
#define DISK_BYTES (SECTORS * 512u)
#define NO_STATUS 0xaa

/*
 * Our own system calls, so that the Nth can fail or come up short. io_uring
 * has its own way into the kernel; these serve the tests without it.
 */
static int fault_after = -1; /* calls until the next fault; -1: none */
static int fault_errno;      /* 0: a short transfer instead */

static bool fault_now(void)
{
	return fault_after >= 0 && fault_after-- == 0;
}

static long io(long nr, int fd, const struct iovec *iov, int n, off_t off)
{
	struct iovec part;

	if (fault_now()) {
		if (fault_errno) {
			errno = fault_errno;
			return -1;
		}
		part = (struct iovec){.iov_base = iov->iov_base, .iov_len = (iov->iov_len + 1) / 2};
		return syscall(nr, fd, &part, 1, off, 0);
	}
	return syscall(nr, fd, iov, n, off, 0);
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t off)
{
	return io(SYS_preadv, fd, iov, n, off);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return io(SYS_pwritev, fd, iov, n, off);
}

static unsigned syncs;

int fdatasync(int fd)
{
	syncs++;
	if (fault_now() && fault_errno) {
		errno = fault_errno;
		return -1;
	}
	return syscall(SYS_fdatasync, fd);
}

static int fallocate_errno; /* not 0: refuse all */

int fallocate(int fd, int mode, off_t off, off_t len)
{
	if (fallocate_errno) {
		errno = fallocate_errno;
		return -1;
	}
	return syscall(SYS_fallocate, fd, mode, off, len);
}

/* ---- a disk and its driver ------------------------------------------------------ */

struct rig {
	struct drv d;
	int fd; /* our own handle on the file */
	uint8_t image[DISK_BYTES] __attribute__((aligned(4096)));
};

static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + i / 512 + seed);
}

static void rig_init_fd(struct rig *r, int fd, unsigned flags, uint64_t features)
{
	struct block_resources res = {.bytes = DISK_BYTES, .flags = flags, .name = "disk0"};
	struct vdev *dev;

	fault_after = -1;
	fallocate_errno = 0;
	drv_init(&r->d);
	r->fd = fd;
	fill(r->image, sizeof(r->image), 1);
	ck_assert_int_eq(pwrite(r->fd, r->image, DISK_BYTES, 0), DISK_BYTES);
	res.fd = dup(r->fd);
	dev = block_create(&r->d.mem, &r->d.host, &res);
	ck_assert_ptr_nonnull(dev);
	ck_assert_int_eq(block_uses_uring(dev), !(flags & BLOCK_NO_URING));
	drv_attach(&r->d, dev);
	r->d.queue_size = 256;
	ck_assert(drv_start(&r->d, features));
}

static void rig_init(struct rig *r, unsigned flags, uint64_t features)
{
	rig_init_fd(r, memfd_create("disk", MFD_CLOEXEC | MFD_ALLOW_SEALING), flags, features);
}

static void rig_finish(struct rig *r)
{
	drv_finish(&r->d);
	close(r->fd);
}

/* What the file should hold is what we think it holds. */
static void check_image(struct rig *r)
{
	static uint8_t now[DISK_BYTES];

	ck_assert_int_eq(pread(r->fd, now, DISK_BYTES, 0), DISK_BYTES);
	ck_assert_mem_eq(now, r->image, DISK_BYTES);
}

struct req {
	gpa_t hdr, data, status;
	uint32_t len; /* as the device returned it */
};

/* Offers header + data in `pieces` descriptors + status, and waits. The status byte. */
static uint8_t request(struct rig *r, struct req *q, uint32_t type, uint64_t sector, void *data,
		       uint32_t len, bool write, unsigned pieces)
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

static uint8_t rd(struct rig *r, struct req *q, uint64_t sector, uint32_t len, unsigned pieces)
{
	return request(r, q, VIRTIO_BLK_T_IN, sector, NULL, len, true, pieces);
}

static uint8_t wr(struct rig *r, struct req *q, uint64_t sector, void *data, uint32_t len,
		  unsigned pieces)
{
	return request(r, q, VIRTIO_BLK_T_OUT, sector, data, len, false, pieces);
}

static uint8_t ranges(struct rig *r, uint32_t type, struct virtio_blk_discard_write_zeroes *dw,
		      unsigned n)
{
	struct req q;

	return request(r, &q, type, 0, dw, n * sizeof(*dw), false, 1);
}

/* Each test runs for both kinds of I/O: _i is 0 or 1. */
static const unsigned kinds[] = {0, BLOCK_NO_URING};

/* ---- what it does -------------------------------------------------------------------- */

START_TEST(test_config)
{
	struct virtio_blk_config c;
	struct rig r;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	vdev_config_read(r.d.dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.capacity, SECTORS);
	ck_assert_uint_eq(c.seg_max, 254);
	ck_assert_uint_eq(c.blk_size, 512);
	ck_assert_uint_ne(c.max_discard_sectors, 0);
	ck_assert_str_eq(r.d.dev->name, "disk0");
	rig_finish(&r);
}
END_TEST

START_TEST(test_read)
{
	static const unsigned pieces[] = {1, 3, 16, 60};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(rd(&r, &q, 5 + i, 8192, pieces[i]), VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(q.len, 8193);
		ck_assert_mem_eq(drv_ptr(&r.d, q.data, 8192), r.image + 512 * (5 + i), 8192);
	}
	ck_assert_uint_eq(rd(&r, &q, SECTORS - 1, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 512), r.image + DISK_BYTES - 512, 512);
	ck_assert_uint_eq(rd(&r, &q, 0, 0, 0), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 1);
	rig_finish(&r);
}
END_TEST

START_TEST(test_write)
{
	static const unsigned pieces[] = {1, 3, 16, 60};
	uint8_t data[8192];
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		fill(data, sizeof(data), 100 + i);
		ck_assert_uint_eq(wr(&r, &q, 20 * i, data, sizeof(data), pieces[i]),
				  VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(q.len, 1);
		memcpy(r.image + 512 * 20 * i, data, sizeof(data));
	}
	check_image(&r);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, 0),
			  VIRTIO_BLK_S_OK);
	rig_finish(&r);
}
END_TEST

/* The status may share a descriptor with the data, the header be in pieces. */
START_TEST(test_any_layout)
{
	struct virtio_blk_outhdr hdr = {.type = VIRTIO_BLK_T_IN, .sector = 9};
	struct drv_buf buf[4];
	uint32_t id, len;
	struct rig r;
	gpa_t h, data;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	h = drv_alloc(&r.d, sizeof(hdr), 1);
	data = drv_alloc(&r.d, 1025, 1);
	memcpy(drv_ptr(&r.d, h, sizeof(hdr)), &hdr, sizeof(hdr));
	buf[0] = (struct drv_buf){.gpa = h, .len = 3};
	buf[1] = (struct drv_buf){.gpa = h + 3, .len = 13};
	buf[2] = (struct drv_buf){.gpa = data, .len = 700, .write = true};
	buf[3] = (struct drv_buf){.gpa = data + 700, .len = 325, .write = true};
	*(uint8_t *)drv_ptr(&r.d, data + 1024, 1) = NO_STATUS;
	drv_add_indirect(&r.d, 0, buf, 4);
	drv_kick(&r.d, 0);
	ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(len, 1025);
	ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, data + 1024, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, data, 1024), r.image + 512 * 9, 1024);
	rig_finish(&r);
}
END_TEST

START_TEST(test_get_id)
{
	char want[VIRTIO_BLK_ID_BYTES] = "disk0";
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_GET_ID, 0, NULL, 20, true, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 21);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 20), want, 20);
	/* H-05: never more than there is room for. */
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_GET_ID, 0, NULL, 3, true, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 4);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 3), want, 3);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_GET_ID, 0, NULL, 64, true, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 20);
	rig_finish(&r);
}
END_TEST

START_TEST(test_discard_and_zeroes)
{
	struct virtio_blk_discard_write_zeroes dw[3] = {
		{.sector = 8, .num_sectors = 16},
		{.sector = 200, .num_sectors = 0},
		{.sector = 64, .num_sectors = 8},
	};
	struct rig r;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	/* A file in memory knows holes, but not ZERO_RANGE: that is written out. */
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_DISCARD, dw, 3), VIRTIO_BLK_S_OK);
	memset(r.image + 512 * 8, 0, 512 * 16);
	memset(r.image + 512 * 64, 0, 512 * 8);
	check_image(&r);
	dw[0].sector = 100;
	dw[2].sector = 101;
	dw[2].num_sectors = 150;
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, dw, 3), VIRTIO_BLK_S_OK);
	memset(r.image + 512 * 100, 0, 512 * 151);
	check_image(&r);
	dw[0].sector = 0;
	dw[0].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, dw, 1), VIRTIO_BLK_S_OK);
	memset(r.image, 0, 512 * 16);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

START_TEST(test_discard_refused_by_host)
{
	struct virtio_blk_discard_write_zeroes dw = {.sector = 3, .num_sectors = 140, .flags = 1};
	struct rig r;

	rig_init(&r, BLOCK_NO_URING, DRV_ALL_FEATURES);
	fallocate_errno = EOPNOTSUPP;
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &dw, 1), VIRTIO_BLK_S_OK);
	memset(r.image + 512 * 3, 0, 512 * 140);
	check_image(&r);
	dw.flags = 0;
	dw.sector = 0;
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_UNSUPP);
	fallocate_errno = EIO;
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_IOERR);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

/* Without F_FLUSH the driver can't ask: every write is synced. */
START_TEST(test_write_through)
{
	uint8_t data[512] = {9};
	struct rig r;
	struct req q;

	rig_init(&r, BLOCK_NO_URING, ~(1ull << VIRTIO_BLK_F_FLUSH));
	syncs = 0;
	ck_assert_uint_eq(wr(&r, &q, 1, data, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 1);
	ck_assert_uint_eq(rd(&r, &q, 1, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 1);
	rig_finish(&r);
	rig_init(&r, BLOCK_NO_URING, DRV_ALL_FEATURES);
	ck_assert_uint_eq(wr(&r, &q, 1, data, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 1);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 2);
	rig_finish(&r);
}
END_TEST

/* The same with io_uring, where only the result can be seen. */
START_TEST(test_write_through_uring)
{
	uint8_t data[512] = {9};
	struct rig r;
	struct req q;

	rig_init(&r, 0, ~(1ull << VIRTIO_BLK_F_FLUSH));
	ck_assert_uint_eq(wr(&r, &q, 1, data, 512, 1), VIRTIO_BLK_S_OK);
	memcpy(r.image + 512, data, 512);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

/* Direct I/O: memory aligned to nothing, longer than a bounce buffer, and aligned. */
START_TEST(test_direct)
{
	static uint8_t data[100 * 1024];
	static struct rig r;
	struct drv_buf buf[3];
	uint32_t id, len;
	struct req q;
	int fd = open(".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	if (fd < 0)
		return; /* not on this file system */
	rig_init_fd(&r, fd, kinds[_i], DRV_ALL_FEATURES);
	ck_assert_uint_eq(rd(&r, &q, 3, sizeof(data), 7), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, sizeof(data) + 1);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, sizeof(data)), r.image + 512 * 3, sizeof(data));
	fill(data, sizeof(data), 77);
	ck_assert_uint_eq(wr(&r, &q, 40, data, sizeof(data), 7), VIRTIO_BLK_S_OK);
	memcpy(r.image + 512 * 40, data, sizeof(data));
	buf[0] = (struct drv_buf){.gpa = q.hdr, .len = 16};
	buf[1] = (struct drv_buf){.gpa = drv_alloc(&r.d, 4096, 4096), .len = 4096, .write = true};
	buf[2] = (struct drv_buf){.gpa = q.status, .len = 1, .write = true};
	((struct virtio_blk_outhdr *)drv_ptr(&r.d, q.hdr, 16))->type = VIRTIO_BLK_T_IN;
	drv_add(&r.d, 0, buf, 3);
	drv_kick(&r.d, 0);
	ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, q.status, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, buf[1].gpa, 4096), r.image + 512 * 40, 4096);
	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

/* ---- H-25: wrong requests change nothing ------------------------------------------- */

START_TEST(test_h25_range)
{
	static const uint64_t sector[] = {SECTORS,          SECTORS - 1, SECTORS + 1,   UINT64_MAX,
					  UINT64_MAX / 512, 1ull << 55,  UINT64_MAX - 1};
	uint8_t data[1024] = {1};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < sizeof(sector) / sizeof(sector[0]); i++) {
		ck_assert_uint_eq(wr(&r, &q, sector[i], data, 1024, 1), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(rd(&r, &q, sector[i], 1024, 2), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(q.len, 0);
		for (unsigned k = 0; k < 1024; k++)
			ck_assert_uint_eq(((uint8_t *)drv_ptr(&r.d, q.data, 1024))[k], 0);
	}
	check_image(&r);
	rig_finish(&r);
}
END_TEST

START_TEST(test_h25_partial_sector)
{
	static const uint32_t len[] = {1, 511, 513, 1023};
	uint8_t data[1024] = {1};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(wr(&r, &q, 0, data, len[i], 1), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(rd(&r, &q, 0, len[i], 1), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, q.data, 1), 0);
	}
	check_image(&r);
	rig_finish(&r);
}
END_TEST

START_TEST(test_h25_wrong_direction)
{
	uint8_t data[512] = {1};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_OUT, 0, data, 512, true, 1),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_IN, 0, data, 512, false, 1),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_DISCARD, 0, data, 16, true, 1),
			  VIRTIO_BLK_S_IOERR);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

START_TEST(test_h25_read_only)
{
	struct virtio_blk_discard_write_zeroes dw = {.sector = 0, .num_sectors = 8};
	uint8_t data[512] = {1};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i] | BLOCK_READ_ONLY, DRV_ALL_FEATURES);
	ck_assert(vdev_has_feature(r.d.dev, VIRTIO_BLK_F_RO));
	ck_assert(!vdev_has_feature(r.d.dev, VIRTIO_BLK_F_DISCARD));
	ck_assert_uint_eq(wr(&r, &q, 0, data, 512, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &dw, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(rd(&r, &q, 0, 512, 1), VIRTIO_BLK_S_OK);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

START_TEST(test_h25_unknown_type)
{
	static const uint32_t type[] = {2, 3, 5, 14, 0x80000001u, UINT32_MAX};
	uint8_t data[512] = {1};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < sizeof(type) / sizeof(type[0]); i++) {
		ck_assert_uint_eq(request(&r, &q, type[i], 0, data, 512, i & 1, 1),
				  VIRTIO_BLK_S_UNSUPP);
	}
	check_image(&r);
	rig_finish(&r);
	/* Known, but not negotiated. */
	rig_init(&r, kinds[_i], 1ull << VIRTIO_BLK_F_FLUSH);
	ck_assert_uint_eq(request(&r, &q, VIRTIO_BLK_T_DISCARD, 0, data, 16, false, 1),
			  VIRTIO_BLK_S_UNSUPP);
	rig_finish(&r);
}
END_TEST

START_TEST(test_h25_ranges)
{
	struct virtio_blk_discard_write_zeroes dw[BLOCK_RANGES_MAX + 1] = {
		{.sector = 0, .num_sectors = 8}};
	static const uint32_t both[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		/* A good range first: nothing of it may happen either. */
		dw[1] = (struct virtio_blk_discard_write_zeroes){SECTORS - 1, 2, 0};
		ck_assert_uint_eq(ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_IOERR);
		dw[1] = (struct virtio_blk_discard_write_zeroes){UINT64_MAX, 1, 0};
		ck_assert_uint_eq(ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_IOERR);
		dw[1] = (struct virtio_blk_discard_write_zeroes){0, UINT32_MAX, 0};
		ck_assert_uint_eq(ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_IOERR);
		dw[1] = (struct virtio_blk_discard_write_zeroes){0, 1, 2};
		ck_assert_uint_eq(ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_UNSUPP);
		dw[1] = (struct virtio_blk_discard_write_zeroes){0, 0, 0};
		ck_assert_uint_eq(ranges(&r, both[i], dw, BLOCK_RANGES_MAX + 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(request(&r, &q, both[i], 0, dw, 15, false, 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(request(&r, &q, both[i], 0, dw, 17, false, 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(request(&r, &q, both[i], 0, dw, 0, false, 0), VIRTIO_BLK_S_IOERR);
	}
	dw[0].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_DISCARD, dw, 1), VIRTIO_BLK_S_UNSUPP);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

START_TEST(test_h25_short_header)
{
	struct drv_buf buf[2];
	uint32_t id, len;
	struct rig r;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	buf[0] = (struct drv_buf){.gpa = drv_alloc(&r.d, 16, 1), .len = 15};
	buf[1] = (struct drv_buf){.gpa = drv_alloc(&r.d, 1, 1), .len = 1, .write = true};
	drv_add(&r.d, 0, buf, 2);
	drv_kick(&r.d, 0);
	ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, buf[1].gpa, 1), VIRTIO_BLK_S_IOERR);
	/* No header at all. */
	drv_add(&r.d, 0, buf + 1, 1);
	drv_kick(&r.d, 0);
	ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, buf[1].gpa, 1), VIRTIO_BLK_S_IOERR);
	ck_assert(!drv_needs_reset(&r.d));
	/* No room for a status: the only answer left. */
	drv_add(&r.d, 0, buf, 1);
	drv_kick(&r.d, 0);
	ck_assert(drv_needs_reset(&r.d));
	ck_assert(!drv_used(&r.d, 0, &id, &len));
	check_image(&r);
	rig_finish(&r);
}
END_TEST

/* H-11: the header is fetched once; what it becomes afterwards does not matter. */
static void poke_sector(void *opaque, gpa_t gpa, size_t len)
{
	struct rig *r = opaque;

	if (len == sizeof(struct virtio_blk_outhdr))
		((struct virtio_blk_outhdr *)drv_ptr(&r->d, gpa, len))->sector = UINT64_MAX;
}

START_TEST(test_h11_header_changes)
{
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	r.d.mem.hook_opaque = &r;
	r.d.mem.fetch_hook = poke_sector;
	ck_assert_uint_eq(rd(&r, &q, 4, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 512), r.image + 512 * 4, 512);
	rig_finish(&r);
}
END_TEST

/* ---- a host that fails ------------------------------------------------------------------ */

START_TEST(test_file_became_shorter)
{
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	ck_assert_int_eq(ftruncate(r.fd, 512 * 10 + 100), 0);
	ck_assert_uint_eq(rd(&r, &q, 20, 1024, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(q.len, 0);
	ck_assert_uint_eq(rd(&r, &q, 9, 1024, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(q.len, 612);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 612), r.image + 512 * 9, 612);
	ck_assert_uint_eq(rd(&r, &q, 0, 1024, 1), VIRTIO_BLK_S_OK);
	rig_finish(&r);
}
END_TEST

START_TEST(test_file_refuses_writes)
{
	struct virtio_blk_discard_write_zeroes dw = {.sector = 0, .num_sectors = 8};
	uint8_t data[512] = {1};
	struct rig r;
	struct req q;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	ck_assert_int_eq(fcntl(r.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_uint_eq(wr(&r, &q, 0, data, 512, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &dw, 1), VIRTIO_BLK_S_IOERR);
	check_image(&r);
	rig_finish(&r);
}
END_TEST

/* Fail, or shorten, the Nth call: an error status or the right data, never a wrong answer. */
START_TEST(test_faults)
{
	static const int code[] = {0, EINTR, EAGAIN, EIO, ENOSPC, ENOMEM};
	uint8_t data[4096];
	struct rig r;
	struct req q;

	rig_init(&r, BLOCK_NO_URING, ~(1ull << VIRTIO_BLK_F_FLUSH));
	for (unsigned e = 0; e < sizeof(code) / sizeof(code[0]); e++) {
		for (int n = 0; n < 3; n++) {
			bool soft = code[e] == 0 || code[e] == EINTR || code[e] == EAGAIN;
			uint8_t want, got;

			fault_errno = code[e];
			fault_after = n;
			got = rd(&r, &q, 3, 4096, 5);
			want = n == 0 && !soft ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
			ck_assert_uint_eq(got, want);
			if (!want)
				ck_assert_mem_eq(drv_ptr(&r.d, q.data, 4096), r.image + 512 * 3,
						 4096);
			fill(data, sizeof(data), e * 3 + n);
			fault_after = n;
			got = wr(&r, &q, 3, data, 4096, 5);
			want = n < 2 && !soft ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
			ck_assert_uint_eq(got, want);
			if (n || soft)
				memcpy(r.image + 512 * 3, data, 4096);
			fault_after = -1;
			check_image(&r);
		}
	}
	rig_finish(&r);
}
END_TEST

START_TEST(test_create_refuses)
{
	struct block_resources res = {.fd = -1, .bytes = 511, .name = "x"};
	struct drv d;

	drv_init(&d);
	ck_assert_ptr_null(block_create(&d.mem, &d.host, &res));
	ck_assert_int_eq(errno, EINVAL);
	res.bytes = 0;
	ck_assert_ptr_null(block_create(&d.mem, &d.host, &res));
	res.bytes = 1ull << 63;
	ck_assert_ptr_null(block_create(&d.mem, &d.host, &res));
	drv_finish(&d);
}
END_TEST

/* The fd of the device's ring. */
static int find_uring(void)
{
	char path[32], name[64];

	for (int fd = 3; fd < 64; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		if (n > 0 && !strncmp(name, "anon_inode:[io_uring]", n))
			return fd;
	}
	return -1;
}

/* As a device that was taken over would try: its own ring for other operations. */
static int try_op(int ring_fd, uint8_t op, int fd, uint8_t flags)
{
	struct io_uring_params params = {0};
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring, twin;
	int res;

	/* The layout is that of any ring of the size. */
	ck_assert_int_eq(io_uring_queue_init_params(BLOCK_INFLIGHT_MAX, &twin, &params), 0);
	ck_assert_int_eq(io_uring_queue_mmap(ring_fd, &params, &ring), 0);
	ring.sq.sqe_head = ring.sq.sqe_tail = *ring.sq.ktail; /* used before */
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_rw(op, sqe, fd, NULL, 0, 0);
	sqe->flags = flags;
	ck_assert_int_eq(io_uring_submit(&ring), 1);
	ck_assert_int_eq(io_uring_wait_cqe(&ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	io_uring_queue_exit(&twin);
	return res;
}

START_TEST(test_ring_is_restricted)
{
	struct rig r;
	int fd;

	rig_init(&r, 0, DRV_ALL_FEATURES);
	fd = dup(find_uring());
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(try_op(fd, IORING_OP_FSYNC, 0, IOSQE_FIXED_FILE), 0);
	ck_assert_int_eq(try_op(fd, IORING_OP_FSYNC, 0, 0), -EACCES);
	ck_assert_int_eq(try_op(fd, IORING_OP_OPENAT, 0, IOSQE_FIXED_FILE), -EACCES);
	ck_assert_int_eq(try_op(fd, IORING_OP_CONNECT, 0, IOSQE_FIXED_FILE), -EACCES);
	ck_assert_int_eq(try_op(fd, IORING_OP_NOP, 0, 0), -EACCES);
	close(fd);
	rig_finish(&r);
}
END_TEST

/* ---- many at once, and reset ------------------------------------------------------------- */

/*
 * A pipe instead of a file: reads stay in flight until we write. The device
 * can't tell, since it only ever names offsets.
 */
static void slow_rig_init(struct rig *r, int *feed)
{
	struct block_resources res = {.bytes = DISK_BYTES, .name = "slow"};
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	drv_init(&r->d);
	r->fd = -1;
	res.fd = fds[0];
	*feed = fds[1];
	drv_attach(&r->d, block_create(&r->d.mem, &r->d.host, &res));
	r->d.queue_size = 256;
	ck_assert(drv_start(&r->d, DRV_ALL_FEATURES));
}

static void offer_read(struct rig *r, gpa_t hdr, gpa_t data)
{
	struct drv_buf buf[2] = {{.gpa = hdr, .len = 16}, {.gpa = data, .len = 513, .write = true}};

	drv_add_indirect(&r->d, 0, buf, 2);
}

START_TEST(test_h10_in_flight)
{
	gpa_t hdr, data;
	struct rig r;
	uint32_t id, len;
	uint8_t bytes[512] = {7};
	int feed;

	slow_rig_init(&r, &feed);
	hdr = drv_alloc(&r.d, 16, 1);
	data = drv_alloc(&r.d, 256 * 513, 1);
	for (unsigned i = 0; i < 256; i++)
		offer_read(&r, hdr, data + 513 * i);
	drv_kick(&r.d, 0);
	ck_assert_uint_eq(r.d.dev->vq[0].inflight, BLOCK_INFLIGHT_MAX);
	ck_assert(!drv_used(&r.d, 0, &id, &len));
	for (unsigned i = 0; i < 256; i++) {
		ck_assert_int_eq(write(feed, bytes, 512), 512);
		ck_assert(drv_wait_used(&r.d, 0, &id, &len));
		ck_assert_uint_eq(len, 513);
		ck_assert_uint_le(r.d.dev->vq[0].inflight, BLOCK_INFLIGHT_MAX);
	}
	ck_assert(!drv_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(r.d.dev->vq[0].inflight, 0);
	close(feed);
	rig_finish(&r);
}
END_TEST

static void *feed_later(void *arg)
{
	uint8_t bytes[512] = {7};

	usleep(30000);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(write(*(int *)arg, bytes, 512), 512);
	return NULL;
}

START_TEST(test_h16_reset_in_flight)
{
	uint8_t before[8 * 513];
	gpa_t hdr, data;
	uint16_t used;
	pthread_t thread;
	struct rig r;
	int feed;

	slow_rig_init(&r, &feed);
	hdr = drv_alloc(&r.d, 16, 1);
	data = drv_alloc(&r.d, 8 * 513, 1);
	for (unsigned i = 0; i < 8; i++)
		offer_read(&r, hdr, data + 513 * i);
	drv_kick(&r.d, 0);
	used = *drv_used_idx(&r.d, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, feed_later, &feed), 0);
	vdev_set_status(r.d.dev, 0);
	memcpy(before, drv_ptr(&r.d, data, sizeof(before)), sizeof(before));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	drv_pump(&r.d, 20);
	/* Nothing is used, notified, written or watched after the reset. */
	ck_assert_uint_eq(*drv_used_idx(&r.d, 0), used);
	ck_assert_mem_eq(before, drv_ptr(&r.d, data, sizeof(before)), sizeof(before));
	for (unsigned i = 0; i < DRV_WATCHES; i++)
		ck_assert_int_eq(r.d.watch[i].fd, -1);
	/* And it starts again. */
	r.d.queue_size = 64;
	ck_assert(drv_start(&r.d, DRV_ALL_FEATURES));
	offer_read(&r, hdr, data);
	drv_kick(&r.d, 0);
	ck_assert_int_eq(write(feed, before, 512), 512);
	ck_assert(drv_wait_used(&r.d, 0, &(uint32_t){0}, &(uint32_t){0}));
	close(feed);
	rig_finish(&r);
}
END_TEST

/* The ring turns malformed while requests are in flight: they end quietly. */
START_TEST(test_fail_in_flight)
{
	gpa_t hdr, data;
	struct rig r;
	uint8_t bytes[512] = {0};
	int feed;

	slow_rig_init(&r, &feed);
	hdr = drv_alloc(&r.d, 16, 1);
	data = drv_alloc(&r.d, 513, 1);
	offer_read(&r, hdr, data);
	drv_kick(&r.d, 0);
	drv_offer(&r.d, 0, 0xffff);
	drv_kick(&r.d, 0);
	ck_assert(drv_needs_reset(&r.d));
	ck_assert_int_eq(write(feed, bytes, 512), 512);
	drv_pump(&r.d, 100);
	ck_assert_uint_eq(*drv_used_idx(&r.d, 0), 0);
	close(feed);
	rig_finish(&r);
}
END_TEST

/* One doorbell for many requests, few interrupts, and the right data in each. */
START_TEST(test_batch)
{
	struct virtio_blk_outhdr *hdr;
	gpa_t hdrs, data;
	uint32_t id, len;
	struct rig r;

	rig_init(&r, kinds[_i], DRV_ALL_FEATURES);
	hdrs = drv_alloc(&r.d, 16 * 200, 16);
	data = drv_alloc(&r.d, 513 * 200, 1);
	for (unsigned i = 0; i < 200; i++) {
		hdr = drv_ptr(&r.d, hdrs + 16 * i, 16);
		hdr->type = VIRTIO_BLK_T_IN;
		hdr->sector = (i * 37) % SECTORS;
		offer_read(&r, hdrs + 16 * i, data + 513 * i);
	}
	drv_kick(&r.d, 0);
	for (unsigned i = 0; i < 200; i++)
		ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	for (unsigned i = 0; i < 200; i++) {
		ck_assert_mem_eq(drv_ptr(&r.d, data + 513 * i, 512),
				 r.image + 512 * ((i * 37) % SECTORS), 512);
	}
	ck_assert_uint_le(r.d.notified[0], 8);
	rig_finish(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("block");
	TCase *both = tcase_create("both"), *one = tcase_create("one");
	SRunner *sr = srunner_create(s);
	const TTest *const loops[] = {test_config,
				      test_read,
				      test_write,
				      test_any_layout,
				      test_get_id,
				      test_discard_and_zeroes,
				      test_h25_range,
				      test_h25_partial_sector,
				      test_h25_wrong_direction,
				      test_h25_read_only,
				      test_h25_unknown_type,
				      test_h25_ranges,
				      test_h25_short_header,
				      test_h11_header_changes,
				      test_file_became_shorter,
				      test_file_refuses_writes,
				      test_batch,
				      test_direct};
	int failed;

	for (unsigned i = 0; i < sizeof(loops) / sizeof(loops[0]); i++)
		tcase_add_loop_test(both, loops[i], 0, 2);
	tcase_add_test(one, test_discard_refused_by_host);
	tcase_add_test(one, test_write_through);
	tcase_add_test(one, test_write_through_uring);
	tcase_add_test(one, test_faults);
	tcase_add_test(one, test_create_refuses);
	tcase_add_test(one, test_ring_is_restricted);
	tcase_add_test(one, test_h10_in_flight);
	tcase_add_test(one, test_h16_reset_in_flight);
	tcase_add_test(one, test_fail_in_flight);
	suite_add_tcase(s, both);
	suite_add_tcase(s, one);
	srunner_set_tap(sr, "-");
	srunner_run_all(sr, CK_SILENT);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
