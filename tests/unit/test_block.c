/*
 * virtio-blk against the in-memory driver: every request type, and a host that
 * fails. Most with io_uring and without. What hostile guests do is in
 * test_block_hostile.c.
 */
#include "block_rig.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

/* ---- what it does -------------------------------------------------------------------- */

START_TEST(test_config)
{
	struct virtio_blk_config c;
	struct block_rig r;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	vdev_config_read(r.d.dev, 0, &c, sizeof(c));
	ck_assert_uint_eq(c.capacity, SECTORS);
	ck_assert_uint_eq(c.seg_max, 254);
	ck_assert_uint_eq(c.blk_size, 512);
	ck_assert_uint_ne(c.max_discard_sectors, 0);
	ck_assert_str_eq(r.d.dev->name, "disk0");
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_read)
{
	static const unsigned pieces[] = {1, 3, 16, 60};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(block_rig_read(&r, &q, 5 + i, 8192, pieces[i]), VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(q.len, 8193);
		ck_assert_mem_eq(drv_ptr(&r.d, q.data, 8192), r.image + 512 * (5 + i), 8192);
	}
	ck_assert_uint_eq(block_rig_read(&r, &q, SECTORS - 1, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 512), r.image + DISK_BYTES - 512, 512);
	ck_assert_uint_eq(block_rig_read(&r, &q, 0, 0, 0), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 1);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_write)
{
	static const unsigned pieces[] = {1, 3, 16, 60};
	uint8_t data[8192];
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		block_rig_fill(data, sizeof(data), 100 + i);
		ck_assert_uint_eq(block_rig_write(&r, &q, 20 * i, data, sizeof(data), pieces[i]),
				  VIRTIO_BLK_S_OK);
		ck_assert_uint_eq(q.len, 1);
		memcpy(r.image + 512 * 20 * i, data, sizeof(data));
	}
	block_rig_check(&r);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, 0),
			  VIRTIO_BLK_S_OK);
	block_rig_finish(&r);
}
END_TEST

/* The status may share a descriptor with the data, the header be in pieces. */
START_TEST(test_any_layout)
{
	struct virtio_blk_outhdr hdr = {.type = VIRTIO_BLK_T_IN, .sector = 9};
	struct drv_buf buf[4];
	uint32_t id, len;
	struct block_rig r;
	gpa_t h, data;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	h = drv_alloc(&r.d, sizeof(hdr), 1);
	data = drv_alloc(&r.d, 1025, 1);
	memcpy(drv_ptr(&r.d, h, sizeof(hdr)), &hdr, sizeof(hdr));
	buf[0] = (struct drv_buf){.gpa = h, .len = 3};
	buf[1] = (struct drv_buf){.gpa = h + 3, .len = 13};
	buf[2] = (struct drv_buf){.gpa = data, .len = 700, .write = true};
	buf[3] = (struct drv_buf){.gpa = data + 700, .len = 325, .write = true};
	*(uint8_t *)drv_ptr(&r.d, data + 1024, 1) = 0xaa;
	drv_add_indirect(&r.d, 0, buf, 4);
	drv_kick(&r.d, 0);
	ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	ck_assert_uint_eq(len, 1025);
	ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, data + 1024, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, data, 1024), r.image + 512 * 9, 1024);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_get_id)
{
	char want[VIRTIO_BLK_ID_BYTES] = "disk0";
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_GET_ID, 0, NULL, 20, true, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 21);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 20), want, 20);
	/* H-05: never more than there is room for. */
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_GET_ID, 0, NULL, 3, true, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 4);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 3), want, 3);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_GET_ID, 0, NULL, 64, true, 1),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, 20);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_discard_and_zeroes)
{
	struct virtio_blk_discard_write_zeroes dw[3] = {
		{.sector = 8, .num_sectors = 16},
		{.sector = 200, .num_sectors = 0},
		{.sector = 64, .num_sectors = 8},
	};
	struct block_rig r;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	/* A file in memory knows holes, but not ZERO_RANGE: that is written out. */
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_DISCARD, dw, 3), VIRTIO_BLK_S_OK);
	memset(r.image + 512 * 8, 0, 512 * 16);
	memset(r.image + 512 * 64, 0, 512 * 8);
	block_rig_check(&r);
	dw[0].sector = 100;
	dw[2].sector = 101;
	dw[2].num_sectors = 150;
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, dw, 3), VIRTIO_BLK_S_OK);
	memset(r.image + 512 * 100, 0, 512 * 151);
	block_rig_check(&r);
	dw[0].sector = 0;
	dw[0].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, dw, 1), VIRTIO_BLK_S_OK);
	memset(r.image, 0, 512 * 16);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_discard_refused_by_host)
{
	struct virtio_blk_discard_write_zeroes dw = {.sector = 3, .num_sectors = 140, .flags = 1};
	struct block_rig r;

	block_rig_init(&r, BLOCK_NO_URING, DRV_ALL_FEATURES);
	fallocate_errno = EOPNOTSUPP;
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &dw, 1), VIRTIO_BLK_S_OK);
	memset(r.image + 512 * 3, 0, 512 * 140);
	block_rig_check(&r);
	dw.flags = 0;
	dw.sector = 0;
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_UNSUPP);
	fallocate_errno = EIO;
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_IOERR);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

/* Without F_FLUSH the driver can't ask: every write is synced. */
START_TEST(test_write_through)
{
	uint8_t data[512] = {9};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, BLOCK_NO_URING, ~(1ull << VIRTIO_BLK_F_FLUSH));
	syncs = 0;
	ck_assert_uint_eq(block_rig_write(&r, &q, 1, data, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 1);
	ck_assert_uint_eq(block_rig_read(&r, &q, 1, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 1);
	block_rig_finish(&r);
	block_rig_init(&r, BLOCK_NO_URING, DRV_ALL_FEATURES);
	ck_assert_uint_eq(block_rig_write(&r, &q, 1, data, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 1);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(syncs, 2);
	block_rig_finish(&r);
}
END_TEST

/* The same with io_uring, where only the result can be seen. */
START_TEST(test_write_through_uring)
{
	uint8_t data[512] = {9};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, 0, ~(1ull << VIRTIO_BLK_F_FLUSH));
	ck_assert_uint_eq(block_rig_write(&r, &q, 1, data, 512, 1), VIRTIO_BLK_S_OK);
	memcpy(r.image + 512, data, 512);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

/* Direct I/O: memory aligned to nothing, longer than a bounce buffer, and aligned. */
START_TEST(test_direct)
{
	static uint8_t data[100 * 1024];
	static struct block_rig r;
	struct drv_buf buf[3];
	uint32_t id, len;
	struct block_req q;
	int fd = open(".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	if (fd < 0)
		return; /* not on this file system */
	block_rig_init_fd(&r, fd, block_rig_kinds[_i], DRV_ALL_FEATURES);
	ck_assert_uint_eq(block_rig_read(&r, &q, 3, sizeof(data), 7), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(q.len, sizeof(data) + 1);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, sizeof(data)), r.image + 512 * 3, sizeof(data));
	block_rig_fill(data, sizeof(data), 77);
	ck_assert_uint_eq(block_rig_write(&r, &q, 40, data, sizeof(data), 7), VIRTIO_BLK_S_OK);
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
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

/* One doorbell for many requests, few interrupts, and the right data in each. */
START_TEST(test_batch)
{
	struct virtio_blk_outhdr *hdr;
	gpa_t hdrs, data;
	uint32_t id, len;
	struct block_rig r;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	hdrs = drv_alloc(&r.d, 16 * 200, 16);
	data = drv_alloc(&r.d, 513 * 200, 1);
	for (unsigned i = 0; i < 200; i++) {
		hdr = drv_ptr(&r.d, hdrs + 16 * i, 16);
		hdr->type = VIRTIO_BLK_T_IN;
		hdr->sector = (i * 37) % SECTORS;
		block_rig_offer_read(&r, hdrs + 16 * i, data + 513 * i);
	}
	drv_kick(&r.d, 0);
	for (unsigned i = 0; i < 200; i++)
		ck_assert(drv_wait_used(&r.d, 0, &id, &len));
	for (unsigned i = 0; i < 200; i++) {
		ck_assert_mem_eq(drv_ptr(&r.d, data + 513 * i, 512),
				 r.image + 512 * ((i * 37) % SECTORS), 512);
	}
	ck_assert_uint_le(r.d.notified[0], 8);
	block_rig_finish(&r);
}
END_TEST

/* ---- a host that fails ------------------------------------------------------------------ */

START_TEST(test_file_became_shorter)
{
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	ck_assert_int_eq(ftruncate(r.fd, 512 * 10 + 100), 0);
	ck_assert_uint_eq(block_rig_read(&r, &q, 20, 1024, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(q.len, 0);
	ck_assert_uint_eq(block_rig_read(&r, &q, 9, 1024, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(q.len, 612);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 612), r.image + 512 * 9, 612);
	ck_assert_uint_eq(block_rig_read(&r, &q, 0, 1024, 1), VIRTIO_BLK_S_OK);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_file_refuses_writes)
{
	struct virtio_blk_discard_write_zeroes dw = {.sector = 0, .num_sectors = 8};
	uint8_t data[512] = {1};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	ck_assert_int_eq(fcntl(r.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	ck_assert_uint_eq(block_rig_write(&r, &q, 0, data, 512, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &dw, 1),
			  VIRTIO_BLK_S_IOERR);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

/* Fail, or shorten, the Nth call: an error status or the right data, never a wrong answer. */
START_TEST(test_faults)
{
	static const int code[] = {0, EINTR, EAGAIN, EIO, ENOSPC, ENOMEM};
	uint8_t data[4096];
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, BLOCK_NO_URING, ~(1ull << VIRTIO_BLK_F_FLUSH));
	for (unsigned e = 0; e < sizeof(code) / sizeof(code[0]); e++) {
		for (int n = 0; n < 3; n++) {
			bool soft = code[e] == 0 || code[e] == EINTR || code[e] == EAGAIN;
			uint8_t want, got;

			fault_errno = code[e];
			fault_after = n;
			got = block_rig_read(&r, &q, 3, 4096, 5);
			want = n == 0 && !soft ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
			ck_assert_uint_eq(got, want);
			if (!want)
				ck_assert_mem_eq(drv_ptr(&r.d, q.data, 4096), r.image + 512 * 3,
						 4096);
			block_rig_fill(data, sizeof(data), e * 3 + n);
			fault_after = n;
			got = block_rig_write(&r, &q, 3, data, 4096, 5);
			want = n < 2 && !soft ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
			ck_assert_uint_eq(got, want);
			if (n || soft)
				memcpy(r.image + 512 * 3, data, 4096);
			fault_after = -1;
			block_rig_check(&r);
		}
	}
	block_rig_finish(&r);
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

int main(void)
{
	Suite *s = suite_create("block");
	TCase *both = tcase_create("both"), *one = tcase_create("one");

	tcase_add_loop_test(both, test_config, 0, 2);
	tcase_add_loop_test(both, test_read, 0, 2);
	tcase_add_loop_test(both, test_write, 0, 2);
	tcase_add_loop_test(both, test_any_layout, 0, 2);
	tcase_add_loop_test(both, test_get_id, 0, 2);
	tcase_add_loop_test(both, test_discard_and_zeroes, 0, 2);
	tcase_add_loop_test(both, test_direct, 0, 2);
	tcase_add_loop_test(both, test_batch, 0, 2);
	tcase_add_loop_test(both, test_file_became_shorter, 0, 2);
	tcase_add_loop_test(both, test_file_refuses_writes, 0, 2);
	tcase_add_test(one, test_discard_refused_by_host);
	tcase_add_test(one, test_write_through);
	tcase_add_test(one, test_write_through_uring);
	tcase_add_test(one, test_faults);
	tcase_add_test(one, test_create_refuses);
	suite_add_tcase(s, both);
	suite_add_tcase(s, one);
	return unit_run(s);
}
