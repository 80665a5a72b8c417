/*
 * virtio-blk: what hostile guests do. Wrong requests of every kind change
 * nothing (H-25), too many of them wait (H-10), a header that changes (H-11),
 * reset while the host works (H-16), and a device process that was taken over.
 */
#include "block_rig.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- H-25: wrong requests change nothing ------------------------------------------- */

START_TEST(test_h25_range)
{
	static const uint64_t sector[] = {SECTORS,          SECTORS - 1, SECTORS + 1,   UINT64_MAX,
					  UINT64_MAX / 512, 1ull << 55,  UINT64_MAX - 1};
	uint8_t data[1024] = {1};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < sizeof(sector) / sizeof(sector[0]); i++) {
		ck_assert_uint_eq(block_rig_write(&r, &q, sector[i], data, 1024, 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(block_rig_read(&r, &q, sector[i], 1024, 2), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(q.len, 0);
		for (unsigned k = 0; k < 1024; k++)
			ck_assert_uint_eq(((uint8_t *)drv_ptr(&r.d, q.data, 1024))[k], 0);
	}
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_h25_partial_sector)
{
	static const uint32_t len[] = {1, 511, 513, 1023};
	uint8_t data[1024] = {1};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(block_rig_write(&r, &q, 0, data, len[i], 1), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(block_rig_read(&r, &q, 0, len[i], 1), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(*(uint8_t *)drv_ptr(&r.d, q.data, 1), 0);
	}
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_h25_wrong_direction)
{
	uint8_t data[512] = {1};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_OUT, 0, data, 512, true, 1),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_IN, 0, data, 512, false, 1),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_DISCARD, 0, data, 16, true, 1),
			  VIRTIO_BLK_S_IOERR);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_h25_read_only)
{
	struct virtio_blk_discard_write_zeroes dw = {.sector = 0, .num_sectors = 8};
	uint8_t data[512] = {1};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i] | BLOCK_READ_ONLY, DRV_ALL_FEATURES);
	ck_assert(vdev_has_feature(r.d.dev, VIRTIO_BLK_F_RO));
	ck_assert(!vdev_has_feature(r.d.dev, VIRTIO_BLK_F_DISCARD));
	ck_assert_uint_eq(block_rig_write(&r, &q, 0, data, 512, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_DISCARD, &dw, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_WRITE_ZEROES, &dw, 1),
			  VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false, 0),
			  VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(block_rig_read(&r, &q, 0, 512, 1), VIRTIO_BLK_S_OK);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_h25_unknown_type)
{
	static const uint32_t type[] = {2, 3, 5, 14, 0x80000001u, UINT32_MAX};
	uint8_t data[512] = {1};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < sizeof(type) / sizeof(type[0]); i++) {
		ck_assert_uint_eq(block_rig_request(&r, &q, type[i], 0, data, 512, i & 1, 1),
				  VIRTIO_BLK_S_UNSUPP);
	}
	block_rig_check(&r);
	block_rig_finish(&r);
	/* Known, but not negotiated. */
	block_rig_init(&r, block_rig_kinds[_i], 1ull << VIRTIO_BLK_F_FLUSH);
	ck_assert_uint_eq(block_rig_request(&r, &q, VIRTIO_BLK_T_DISCARD, 0, data, 16, false, 1),
			  VIRTIO_BLK_S_UNSUPP);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_h25_ranges)
{
	struct virtio_blk_discard_write_zeroes dw[BLOCK_RANGES_MAX + 1] = {
		{.sector = 0, .num_sectors = 8}};
	static const uint32_t both[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	for (unsigned i = 0; i < 2; i++) {
		/* A good range first: nothing of it may happen either. */
		dw[1] = (struct virtio_blk_discard_write_zeroes){SECTORS - 1, 2, 0};
		ck_assert_uint_eq(block_rig_ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_IOERR);
		dw[1] = (struct virtio_blk_discard_write_zeroes){UINT64_MAX, 1, 0};
		ck_assert_uint_eq(block_rig_ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_IOERR);
		dw[1] = (struct virtio_blk_discard_write_zeroes){0, UINT32_MAX, 0};
		ck_assert_uint_eq(block_rig_ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_IOERR);
		dw[1] = (struct virtio_blk_discard_write_zeroes){0, 1, 2};
		ck_assert_uint_eq(block_rig_ranges(&r, both[i], dw, 2), VIRTIO_BLK_S_UNSUPP);
		dw[1] = (struct virtio_blk_discard_write_zeroes){0, 0, 0};
		ck_assert_uint_eq(block_rig_ranges(&r, both[i], dw, BLOCK_RANGES_MAX + 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(block_rig_request(&r, &q, both[i], 0, dw, 15, false, 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(block_rig_request(&r, &q, both[i], 0, dw, 17, false, 1),
				  VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(block_rig_request(&r, &q, both[i], 0, dw, 0, false, 0),
				  VIRTIO_BLK_S_IOERR);
	}
	dw[0].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	ck_assert_uint_eq(block_rig_ranges(&r, VIRTIO_BLK_T_DISCARD, dw, 1), VIRTIO_BLK_S_UNSUPP);
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

START_TEST(test_h25_short_header)
{
	struct drv_buf buf[2];
	uint32_t id, len;
	struct block_rig r;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
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
	block_rig_check(&r);
	block_rig_finish(&r);
}
END_TEST

/* H-11: the header is fetched once; what it becomes afterwards does not matter. */
static void poke_sector(void *opaque, gpa_t gpa, size_t len)
{
	struct block_rig *r = opaque;

	if (len == sizeof(struct virtio_blk_outhdr))
		((struct virtio_blk_outhdr *)drv_ptr(&r->d, gpa, len))->sector = UINT64_MAX;
}

START_TEST(test_h11_header_changes)
{
	struct block_rig r;
	struct block_req q;

	block_rig_init(&r, block_rig_kinds[_i], DRV_ALL_FEATURES);
	r.d.mem.hook_opaque = &r;
	r.d.mem.fetch_hook = poke_sector;
	ck_assert_uint_eq(block_rig_read(&r, &q, 4, 512, 1), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(drv_ptr(&r.d, q.data, 512), r.image + 512 * 4, 512);
	block_rig_finish(&r);
}
END_TEST

/* ---- many at once, and reset ------------------------------------------------------------- */

/*
 * A pipe instead of a file: reads stay in flight until we write. The device
 * can't tell, since it only ever names offsets.
 */
static void slow_rig_init(struct block_rig *r, int *feed)
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

START_TEST(test_h10_in_flight)
{
	gpa_t hdr, data;
	struct block_rig r;
	uint32_t id, len;
	uint8_t bytes[512] = {7};
	int feed;

	slow_rig_init(&r, &feed);
	hdr = drv_alloc(&r.d, 16, 1);
	data = drv_alloc(&r.d, 256 * 513, 1);
	for (unsigned i = 0; i < 256; i++)
		block_rig_offer_read(&r, hdr, data + 513 * i);
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
	block_rig_finish(&r);
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
	struct block_rig r;
	int feed;

	slow_rig_init(&r, &feed);
	hdr = drv_alloc(&r.d, 16, 1);
	data = drv_alloc(&r.d, 8 * 513, 1);
	for (unsigned i = 0; i < 8; i++)
		block_rig_offer_read(&r, hdr, data + 513 * i);
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
	block_rig_offer_read(&r, hdr, data);
	drv_kick(&r.d, 0);
	ck_assert_int_eq(write(feed, before, 512), 512);
	ck_assert(drv_wait_used(&r.d, 0, &(uint32_t){0}, &(uint32_t){0}));
	close(feed);
	block_rig_finish(&r);
}
END_TEST

/* The ring turns malformed while requests are in flight: they end quietly. */
START_TEST(test_fail_in_flight)
{
	gpa_t hdr, data;
	struct block_rig r;
	uint8_t bytes[512] = {0};
	int feed;

	slow_rig_init(&r, &feed);
	hdr = drv_alloc(&r.d, 16, 1);
	data = drv_alloc(&r.d, 513, 1);
	block_rig_offer_read(&r, hdr, data);
	drv_kick(&r.d, 0);
	drv_offer(&r.d, 0, 0xffff);
	drv_kick(&r.d, 0);
	ck_assert(drv_needs_reset(&r.d));
	ck_assert_int_eq(write(feed, bytes, 512), 512);
	drv_pump(&r.d, 100);
	ck_assert_uint_eq(*drv_used_idx(&r.d, 0), 0);
	close(feed);
	block_rig_finish(&r);
}
END_TEST

/* ---- a device that was taken over --------------------------------------- */

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
	struct block_rig r;
	int fd;

	block_rig_init(&r, 0, DRV_ALL_FEATURES);
	fd = dup(find_uring());
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(try_op(fd, IORING_OP_FSYNC, 0, IOSQE_FIXED_FILE), 0);
	ck_assert_int_eq(try_op(fd, IORING_OP_FSYNC, 0, 0), -EACCES);
	ck_assert_int_eq(try_op(fd, IORING_OP_OPENAT, 0, IOSQE_FIXED_FILE), -EACCES);
	ck_assert_int_eq(try_op(fd, IORING_OP_CONNECT, 0, IOSQE_FIXED_FILE), -EACCES);
	ck_assert_int_eq(try_op(fd, IORING_OP_NOP, 0, 0), -EACCES);
	close(fd);
	block_rig_finish(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("block_hostile");
	TCase *both = tcase_create("both"), *one = tcase_create("one");

	tcase_add_loop_test(both, test_h25_range, 0, 2);
	tcase_add_loop_test(both, test_h25_partial_sector, 0, 2);
	tcase_add_loop_test(both, test_h25_wrong_direction, 0, 2);
	tcase_add_loop_test(both, test_h25_read_only, 0, 2);
	tcase_add_loop_test(both, test_h25_unknown_type, 0, 2);
	tcase_add_loop_test(both, test_h25_ranges, 0, 2);
	tcase_add_loop_test(both, test_h25_short_header, 0, 2);
	tcase_add_loop_test(both, test_h11_header_changes, 0, 2);
	tcase_add_test(one, test_h10_in_flight);
	tcase_add_test(one, test_h16_reset_in_flight);
	tcase_add_test(one, test_fail_in_flight);
	tcase_add_test(one, test_ring_is_restricted);
	suite_add_tcase(s, both);
	suite_add_tcase(s, one);
	return unit_run(s);
}
