/*
 * Split rings: what a driver may do works, in every order and past the wrap of
 * the indices; what it may not do (H-01 to H-11) is refused and stops the ring.
 */
#include "drv.h"
#include "testdev.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#define Q 0

static struct drv d;
static struct vq *q;
static struct vq_chain c;
static gpa_t a, b; /* 4 KiB of RAM each */

static void setup(void)
{
	drv_init(&d);
	drv_attach(&d, testdev_create(&d.mem, &d.host, TESTDEV_MANUAL));
	d.queue_size = 16;
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	q = &d.dev->vq[Q];
	a = drv_alloc(&d, 4096, 64);
	b = drv_alloc(&d, 4096, 64);
}

static void teardown(void)
{
	drv_finish(&d);
}

/* The ring is refused, for good, and nothing is published any more. */
static void refused(void)
{
	ck_assert_int_eq(vq_next(q, &c), -EINVAL);
	ck_assert_int_eq(vq_next(q, &c), -EINVAL);
	ck_assert(!vq_has_next(q));
	ck_assert(!vq_enable_doorbell(q));
	ck_assert(!vq_flush(q));
	ck_assert_uint_eq(*drv_used_idx(&d, Q), 0);
}

static uint16_t add(gpa_t gpa, uint32_t len, bool write)
{
	return drv_add(&d, Q, &(struct drv_buf){gpa, len, write}, 1);
}

static uint16_t add2(gpa_t gpa0, bool write0, gpa_t gpa1, bool write1)
{
	const struct drv_buf buf[] = {{gpa0, 8, write0}, {gpa1, 8, write1}};

	return drv_add(&d, Q, buf, 2);
}

/* A table with n entries, each 8 readable bytes at `a`, chained. */
static struct vring_desc *table_at(gpa_t gpa, unsigned n)
{
	struct vring_desc *t = drv_ptr(&d, gpa, 16ul * n);

	for (unsigned i = 0; i < n; i++)
		t[i] = (struct vring_desc){a, 8, i + 1 < n ? VRING_DESC_F_NEXT : 0,
					   (uint16_t)(i + 1)};
	return t;
}

static uint16_t add_table(gpa_t gpa, unsigned n)
{
	uint16_t head = add(gpa, 16 * n, false);

	drv_desc(&d, Q, head)->flags = VRING_DESC_F_INDIRECT;
	return head;
}

/* ---- the path --------------------------------------------------------------- */

START_TEST(direct_chain)
{
	const struct drv_buf buf[] = {
		{a, 5, false}, {a + 100, 3, false}, {b, 4, true}, {b + 8, 9, true}};
	uint16_t head = drv_add(&d, Q, buf, 4);
	uint32_t id, len;
	char text[16];

	memcpy(drv_ptr(&d, a, 5), "hello", 5);
	memcpy(drv_ptr(&d, a + 100, 3), "you", 3);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.head, head);
	ck_assert_uint_eq(c.nread, 2);
	ck_assert_uint_eq(c.nwrite, 2);
	ck_assert_uint_eq(vq_readable(&c), 8);
	ck_assert_uint_eq(vq_writable(&c), 13);
	ck_assert_uint_eq(vq_read(&c, text, 6), 6);
	ck_assert(!memcmp(text, "helloy", 6));
	ck_assert_uint_eq(vq_read(&c, text, 6), 2);
	ck_assert(!memcmp(text, "ou", 2));
	ck_assert_uint_eq(vq_read(&c, text, 6), 0);
	ck_assert_uint_eq(vq_write(&c, "abcdef", 6), 6);
	vq_complete(q, c.head, 6);
	ck_assert(!drv_used(&d, Q, &id, &len)); /* not before the flush */
	ck_assert(vq_flush(q));
	ck_assert(drv_used(&d, Q, &id, &len));
	ck_assert_uint_eq(id, head);
	ck_assert_uint_eq(len, 6);
	ck_assert(!memcmp(drv_ptr(&d, b, 4), "abcd", 4));
	ck_assert(!memcmp(drv_ptr(&d, b + 8, 3), "ef", 3));
	ck_assert_int_eq(vq_next(q, &c), 0);
}
END_TEST

START_TEST(indirect_chain)
{
	const struct drv_buf buf[] = {{a, 5, false}, {b, 4, true}};
	uint16_t head = drv_add_indirect(&d, Q, buf, 2);

	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.head, head);
	ck_assert_uint_eq(vq_readable(&c), 5);
	ck_assert_uint_eq(vq_writable(&c), 4);
}
END_TEST

START_TEST(empty_segments_are_skipped)
{
	const struct drv_buf buf[] = {{a, 0, false}, {a, 2, false}, {b, 0, true}, {b, 1, true}};
	char text[4];

	drv_add(&d, Q, buf, 4);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.nread, 1);
	ck_assert_uint_eq(c.nwrite, 1);
	ck_assert_uint_eq(vq_read(&c, text, 4), 2);
	ck_assert_uint_eq(vq_write(&c, text, 4), 1);
}
END_TEST

START_TEST(cursors_and_iovecs)
{
	const struct drv_buf buf[] = {
		{a, 10, false}, {a + 50, 10, false}, {b, 10, true}, {b + 50, 10, true}};
	struct iovec iov[4];
	size_t total;

	drv_add(&d, Q, buf, 4);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(vq_skip_read(&c, 4), 4);
	ck_assert_uint_eq(vq_read_iov(&c, iov, 4, 100, &total), 2);
	ck_assert_uint_eq(total, 16);
	ck_assert_ptr_eq(iov[0].iov_base, drv_ptr(&d, a + 4, 6));
	ck_assert_uint_eq(iov[0].iov_len, 6);
	ck_assert_uint_eq(vq_read_iov(&c, iov, 1, 100, &total), 1);
	ck_assert_uint_eq(total, 6);
	ck_assert_uint_eq(vq_read_iov(&c, iov, 4, 8, &total), 2);
	ck_assert_uint_eq(total, 8);
	ck_assert_uint_eq(iov[1].iov_len, 2);
	ck_assert_uint_eq(vq_readable(&c), 16); /* does not advance */
	ck_assert_uint_eq(vq_skip_write(&c, 13), 13);
	ck_assert_uint_eq(vq_write_iov(&c, iov, 4, 100, &total), 1);
	ck_assert_uint_eq(total, 7);
	ck_assert_ptr_eq(iov[0].iov_base, drv_ptr(&d, b + 53, 7));
	ck_assert_uint_eq(vq_skip_write(&c, 100), 7);
	ck_assert_uint_eq(vq_write_iov(&c, iov, 4, 100, &total), 0);
	ck_assert_uint_eq(total, 0);
}
END_TEST

START_TEST(completes_out_of_order)
{
	uint16_t head[3];
	uint32_t id, len;

	for (unsigned i = 0; i < 3; i++)
		head[i] = add(a, 8, true);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(vq_next(q, &c), 1);
	for (unsigned i = 3; i-- > 0;)
		vq_complete(q, head[i], i);
	ck_assert(vq_flush(q));
	for (unsigned i = 3; i-- > 0;) {
		ck_assert(drv_used(&d, Q, &id, &len));
		ck_assert_uint_eq(id, head[i]);
		ck_assert_uint_eq(len, i);
	}
}
END_TEST

START_TEST(unget_gives_it_again)
{
	uint16_t head = add(a, 8, true);

	add(b, 8, true);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(vq_next(q, &c), 1);
		ck_assert_uint_eq(c.head, head);
		vq_unget(q, &c);
		ck_assert(vq_has_next(q));
	}
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_int_eq(vq_next(q, &c), 0);
}
END_TEST

/* _i: EVENT_IDX or not. Every index passes its wrap; a doorbell is never missed. */
START_TEST(indices_wrap)
{
	uint32_t id, len;

	ck_assert(drv_start(&d, _i ? DRV_ALL_FEATURES : DRV_NO_EVENT_IDX));
	for (unsigned n = 0; n < 70000; n++) {
		uint16_t head = add(a, 8, true);

		ck_assert(drv_kick_if_wanted(&d, Q));
		ck_assert_int_eq(vq_next(q, &c), 1);
		vq_complete(q, c.head, n & 7);
		ck_assert(vq_flush(q));
		ck_assert(drv_used(&d, Q, &id, &len));
		ck_assert_uint_eq(id, head);
		ck_assert_uint_eq(len, n & 7);
		ck_assert_int_eq(vq_next(q, &c), 0);
	}
}
END_TEST

START_TEST(not_set_up)
{
	drv_handshake(&d, DRV_ALL_FEATURES);
	vdev_set_status(d.dev, vdev_status(d.dev) | 4);
	ck_assert_int_eq(vq_next(q, &c), 0);
	ck_assert(!vq_has_next(q));
	ck_assert(!vq_flush(q));
	vq_disable_doorbell(q);
	ck_assert(!vq_enable_doorbell(q));
}
END_TEST

/* ---- suppression, both ways --------------------------------------------------- */

START_TEST(doorbell_event_idx)
{
	add(a, 8, true);
	ck_assert(drv_kick_if_wanted(&d, Q)); /* armed from the start */
	ck_assert_int_eq(vq_next(q, &c), 1);
	add(a, 8, true);
	ck_assert(!drv_kick_if_wanted(&d, Q)); /* the device is at it */
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_int_eq(vq_next(q, &c), 0);
	add(a, 8, true);
	ck_assert(drv_kick_if_wanted(&d, Q)); /* it had found the ring empty */
}
END_TEST

START_TEST(doorbell_flag)
{
	ck_assert(drv_start(&d, DRV_NO_EVENT_IDX));
	vq_disable_doorbell(q);
	ck_assert_uint_eq(*drv_used_flags(&d, Q), VRING_USED_F_NO_NOTIFY);
	add(a, 8, true);
	ck_assert(!drv_kick_if_wanted(&d, Q));
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(*drv_used_flags(&d, Q), VRING_USED_F_NO_NOTIFY);
	ck_assert_int_eq(vq_next(q, &c), 0);
	ck_assert_uint_eq(*drv_used_flags(&d, Q), 0);
}
END_TEST

/* A device that stops at vq_has_next must ask for the doorbell by itself. */
START_TEST(enable_doorbell)
{
	add(a, 8, true);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert(!vq_has_next(q));
	ck_assert(!vq_enable_doorbell(q));
	d.q[Q].kicked = d.q[Q].avail_idx;
	add(b, 8, true);
	ck_assert(drv_kick_if_wanted(&d, Q));
	ck_assert(vq_enable_doorbell(q)); /* one is there already */
}
END_TEST

static void add_late(void *opaque, gpa_t gpa, size_t len)
{
	d.mem.fetch_hook = NULL;
	add(a, 8, true);
	*(bool *)opaque = drv_kick_if_wanted(&d, Q);
}

/* The driver adds a chain right after we saw none: we see it, or it rings. */
START_TEST(late_chain_is_not_missed)
{
	bool rang = false;

	ck_assert(drv_start(&d, _i ? DRV_ALL_FEATURES : DRV_NO_EVENT_IDX));
	add(a, 8, true);
	vq_disable_doorbell(q);
	ck_assert_int_eq(vq_next(q, &c), 1);
	d.q[Q].kicked = d.q[Q].avail_idx;
	d.mem.fetch_hook = add_late;
	d.mem.hook_opaque = &rang;
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert(!rang);
	/* Armed now, nothing new: from here on it rings. */
	ck_assert_int_eq(vq_next(q, &c), 0);
	d.mem.fetch_hook = add_late;
	ck_assert_int_eq(vq_next(q, &c), 0);
	ck_assert(rang);
}
END_TEST

START_TEST(interrupt_event_idx)
{
	for (unsigned i = 0; i < 4; i++)
		add(a, 8, true);
	*drv_used_event(&d, Q) = 2; /* ring when the third is used */
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(vq_next(q, &c), 1);
		vq_complete(q, c.head, 0);
		ck_assert_int_eq(vq_flush(q), i == 2);
	}
	ck_assert(!vq_flush(q)); /* nothing new */
}
END_TEST

START_TEST(interrupt_batch_crosses_event)
{
	for (unsigned i = 0; i < 8; i++)
		add(a, 8, true);
	*drv_used_event(&d, Q) = 5;
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_int_eq(vq_next(q, &c), 1);
		vq_complete(q, c.head, 0);
	}
	ck_assert(vq_flush(q));
}
END_TEST

START_TEST(interrupt_flag)
{
	ck_assert(drv_start(&d, DRV_NO_EVENT_IDX));
	for (unsigned i = 0; i < 2; i++) {
		*drv_avail_flags(&d, Q) = i ? VRING_AVAIL_F_NO_INTERRUPT : 0;
		add(a, 8, true);
		ck_assert_int_eq(vq_next(q, &c), 1);
		vq_complete(q, c.head, 0);
		ck_assert_int_eq(vq_flush(q), !i);
	}
}
END_TEST

/* ---- H-01: loops and lengths ----------------------------------------------------- */

START_TEST(h01_loop)
{
	uint16_t head = add2(a, false, b, false);
	struct vring_desc *second = drv_desc(&d, Q, drv_desc(&d, Q, head)->next);

	second->flags |= VRING_DESC_F_NEXT;
	second->next = head;
	refused();
}
END_TEST

START_TEST(h01_loop_of_empty_segments)
{
	uint16_t head = add(a, 0, false);

	drv_desc(&d, Q, head)->flags = VRING_DESC_F_NEXT;
	drv_desc(&d, Q, head)->next = head;
	refused();
}
END_TEST

START_TEST(h01_as_long_as_the_ring)
{
	struct drv_buf buf[16];

	for (unsigned i = 0; i < 16; i++)
		buf[i] = (struct drv_buf){a, 8, false};
	drv_add(&d, Q, buf, 16);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.nread, 16);
}
END_TEST

START_TEST(h01_table_at_the_limit)
{
	table_at(drv_alloc(&d, 16 * VQ_SEGMENTS_MAX, 16), VQ_SEGMENTS_MAX);
	add_table(d.brk - 16 * VQ_SEGMENTS_MAX, VQ_SEGMENTS_MAX);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.nread, VQ_SEGMENTS_MAX);
}
END_TEST

START_TEST(h01_table_too_long)
{
	unsigned n = VQ_SEGMENTS_MAX + 1;

	table_at(drv_alloc(&d, 16ul * n, 16), n);
	add_table(d.brk - 16ul * n, n);
	refused();
}
END_TEST

START_TEST(h01_loop_in_table)
{
	struct vring_desc *t = table_at(b, 4);

	t[3].flags = VRING_DESC_F_NEXT;
	t[3].next = 1;
	t[1].len = t[2].len = t[3].len = 0;
	add_table(b, 4);
	refused();
}
END_TEST

/* _i 0: 4 GiB in all is allowed, 1: one byte more is not. */
START_TEST(h01_total_length)
{
	enum { BYTES = 32 << 20, N = 128 };
	void *big =
		mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct vring_desc *t = table_at(drv_alloc(&d, 16 * (N + 1), 16), N + _i);

	ck_assert_ptr_ne(big, MAP_FAILED);
	ck_assert_int_eq(gmem_add(&d.mem, 0x200000000ull, big, BYTES), 0);
	for (unsigned i = 0; i < N; i++) {
		t[i].addr = 0x200000000ull;
		t[i].len = BYTES;
	}
	if (_i)
		t[N].len = 1;
	add_table(d.brk - 16 * (N + 1), N + (unsigned)_i);
	if (_i)
		refused();
	else
		ck_assert_int_eq(vq_next(q, &c), 1);
	munmap(big, BYTES);
}
END_TEST

/* ---- H-02: indirect tables --------------------------------------------------------- */

START_TEST(h02_nested)
{
	struct vring_desc *t = table_at(b, 2);

	/* The inner table would be a good one. */
	t[1] = (struct vring_desc){.addr = b + 64, .len = 32, .flags = VRING_DESC_F_INDIRECT};
	table_at(b + 64, 2);
	add_table(b, 2);
	refused();
}
END_TEST

START_TEST(h02_with_next)
{
	uint16_t head;

	table_at(b, 2);
	head = add_table(b, 2);
	drv_desc(&d, Q, head)->flags |= VRING_DESC_F_NEXT;
	refused();
}
END_TEST

/* _i: length of the table in bytes; 0, less than one entry, not whole entries. */
START_TEST(h02_length)
{
	static const uint32_t bytes[] = {0, 8, 15, 17, 40};
	uint16_t head;

	table_at(b, 4);
	head = add_table(b, 4);
	drv_desc(&d, Q, head)->len = bytes[_i];
	refused();
}
END_TEST

START_TEST(h02_not_negotiated)
{
	ck_assert(drv_start(&d, ~(1ull << VIRTIO_RING_F_INDIRECT_DESC)));
	table_at(b, 2);
	add_table(b, 2);
	refused();
}
END_TEST

START_TEST(h02_table_outside_ram)
{
	add_table(DRV_LOW_BYTES - 16, 2);
	refused();
}
END_TEST

START_TEST(h02_next_outside_table)
{
	table_at(b, 4)[1].next = 4;
	add_table(b, 4);
	refused();
}
END_TEST

START_TEST(h02_write_flag_is_ignored)
{
	uint16_t head;

	table_at(b, 2);
	head = add_table(b, 2);
	drv_desc(&d, Q, head)->flags |= VRING_DESC_F_WRITE;
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.nread, 2);
	ck_assert_uint_eq(c.nwrite, 0);
}
END_TEST

START_TEST(h02_direct_then_indirect)
{
	uint16_t head = add2(a, false, b, false);
	struct vring_desc *second = drv_desc(&d, Q, drv_desc(&d, Q, head)->next);

	table_at(b, 3);
	second->len = 48;
	second->flags = VRING_DESC_F_INDIRECT;
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.nread, 4);
}
END_TEST

START_TEST(h02_any_alignment)
{
	table_at(b, 3);
	memmove(drv_ptr(&d, b + 3, 48), drv_ptr(&d, b, 48), 48);
	add_table(b + 3, 3);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.nread, 3);
}
END_TEST

/* ---- H-03: addresses ------------------------------------------------------------------ */

static const struct {
	gpa_t gpa;
	uint32_t len;
} outside[] = {
	{DRV_LOW_BYTES - 4, 5},
	{DRV_LOW_BYTES, 1},
	{UINT64_MAX - 3, 8},
	{UINT64_MAX, 1},
	{0, UINT32_MAX},
	{DRV_HIGH_BASE - 4, 8},
	{DRV_HIGH_BASE + DRV_HIGH_BYTES - 1, 2},
	{0xd0000000u, 4}, /* H-17: the platform page */
	{0xfee00000u, 4}, /* H-17: the local APIC */
};

START_TEST(h03_outside_ram)
{
	add(outside[_i].gpa, outside[_i].len, false);
	refused();
}
END_TEST

START_TEST(h03_outside_ram_in_table)
{
	struct vring_desc *t = table_at(b, 2);

	t[1].addr = outside[_i].gpa;
	t[1].len = outside[_i].len;
	t[1].flags |= VRING_DESC_F_WRITE;
	add_table(b, 2);
	refused();
}
END_TEST

START_TEST(h03_to_the_last_byte)
{
	char byte;

	add2(DRV_LOW_BYTES - 8, false, DRV_HIGH_BASE + DRV_HIGH_BYTES - 8, true);
	ck_assert_int_eq(vq_next(q, &c), 1);
	while (vq_read(&c, &byte, 1))
		vq_write(&c, "x", 1);
	ck_assert_uint_eq(vq_writable(&c), 0);
}
END_TEST

/* ---- H-04 to H-10 ------------------------------------------------------------------------ */

START_TEST(h04_h05_copies_are_bounded)
{
	char text[8] = "1234567";

	add2(a, false, b, true);
	memset(drv_ptr(&d, a, 4096), 'r', 4096);
	memset(drv_ptr(&d, b, 4096), 'w', 4096);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(vq_read(&c, text, 4), 4);
	ck_assert_uint_eq(vq_read(&c, text, 8), 4);
	ck_assert_str_eq(text + 4, "567");
	ck_assert_uint_eq(vq_write(&c, "0123456789", 10), 8);
	ck_assert_int_eq(*(char *)drv_ptr(&d, b + 8, 1), 'w');
}
END_TEST

START_TEST(h06_readable_after_writable)
{
	add2(a, true, b, false);
	refused();
}
END_TEST

START_TEST(h06_readable_in_table_after_writable)
{
	uint16_t head = add2(a, true, b, false);
	struct vring_desc *second = drv_desc(&d, Q, drv_desc(&d, Q, head)->next);

	table_at(b, 1);
	second->len = 16;
	second->flags = VRING_DESC_F_INDIRECT;
	refused();
}
END_TEST

START_TEST(h06_readable_is_never_written)
{
	add(a, 8, false);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(vq_write(&c, "x", 1), 0);
	ck_assert_int_eq(*(char *)drv_ptr(&d, a, 1), 0);
}
END_TEST

START_TEST(h07_jump)
{
	add(a, 8, false);
	*drv_avail_idx(&d, Q) = 17;
	refused();
}
END_TEST

START_TEST(h07_backwards)
{
	add(a, 8, false);
	ck_assert_int_eq(vq_next(q, &c), 1);
	*drv_avail_idx(&d, Q) = 0;
	refused();
}
END_TEST

START_TEST(h07_a_full_ring_is_fine)
{
	for (unsigned i = 0; i < 16; i++)
		add(a, 8, false);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_int_eq(vq_next(q, &c), 0);
}
END_TEST

START_TEST(h08_head)
{
	drv_offer(&d, Q, _i ? 0xffff : 16);
	refused();
}
END_TEST

START_TEST(h08_next)
{
	uint16_t head = add2(a, false, b, false);

	drv_desc(&d, Q, head)->next = _i ? 0xffff : 16;
	refused();
}
END_TEST

START_TEST(h09_twice)
{
	drv_offer(&d, Q, add(a, 8, false));
	ck_assert_int_eq(vq_next(q, &c), 1);
	refused();
}
END_TEST

START_TEST(h09_again_when_done)
{
	uint16_t head = add(a, 8, false);

	ck_assert_int_eq(vq_next(q, &c), 1);
	vq_complete(q, c.head, 0);
	drv_offer(&d, Q, head);
	ck_assert_int_eq(vq_next(q, &c), 1);
}
END_TEST

START_TEST(h10_in_flight)
{
	for (unsigned i = 0; i < 16; i++)
		add(a, 8, false);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(q->inflight, 16);
	drv_offer(&d, Q, 3);
	refused();
	ck_assert_uint_eq(q->inflight, 16);
	vq_complete(q, 3, 0); /* the device's own end of it still works, unseen */
	ck_assert_uint_eq(*drv_used_idx(&d, Q), 0);
}
END_TEST

/* ---- H-11: memory changes between two looks ---------------------------------------------- */

static struct {
	gpa_t lo, hi; /* after a fetch that touches this range… */
	gpa_t at;     /* …write this */
	uint8_t bytes[16];
	size_t len;
	unsigned fetches;
} poke;

static void racing_poke(void *opaque, gpa_t gpa, size_t len)
{
	if (gpa >= poke.hi || gpa + len <= poke.lo)
		return;
	poke.fetches++;
	memcpy(drv_ptr(&d, poke.at, poke.len), poke.bytes, poke.len);
}

static void arm_poke(gpa_t gpa, size_t range, gpa_t at, const void *bytes, size_t len)
{
	poke.lo = gpa;
	poke.hi = gpa + range;
	poke.at = at;
	poke.len = len;
	poke.fetches = 0;
	memcpy(poke.bytes, bytes, len);
	d.mem.fetch_hook = racing_poke;
}

START_TEST(h11_descriptor_is_fetched_once)
{
	const struct vring_desc evil = {
		.addr = 0xd0000000u, .len = UINT32_MAX, .flags = 3, .next = 0};
	uint16_t head = add(a, 8, false);

	arm_poke(d.q[Q].desc + 16ull * head, 16, d.q[Q].desc + 16ull * head, &evil, 16);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(poke.fetches, 1);
	ck_assert_uint_eq(c.nread, 1);
	ck_assert_uint_eq(c.nwrite, 0);
	ck_assert_uint_eq(vq_readable(&c), 8);
	ck_assert_ptr_eq(c.seg[0].ptr, drv_ptr(&d, a, 8));
}
END_TEST

START_TEST(h11_table_is_fetched_once)
{
	const struct vring_desc evil = {
		.addr = 0xd0000000u, .len = UINT32_MAX, .flags = 4, .next = 9};

	table_at(b, 2);
	add_table(b, 2);
	arm_poke(b, 16, b, &evil, 16);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(poke.fetches, 1);
	ck_assert_uint_eq(vq_readable(&c), 16);
}
END_TEST

START_TEST(h11_table_length_is_fetched_once)
{
	struct vring_desc *t = table_at(b, 2);
	uint16_t head = add_table(b, 2);
	gpa_t gpa = d.q[Q].desc + 16ull * head;

	t[1].flags = VRING_DESC_F_NEXT;
	t[1].next = 7;
	/* The length grows once it was seen: entry 7 must stay out of bounds. */
	arm_poke(gpa, 16, gpa + 8, &(uint32_t){16 * 64}, 4);
	ck_assert_int_eq(vq_next(q, &c), -EINVAL);
	ck_assert_uint_eq(poke.fetches, 1);
}
END_TEST

START_TEST(h11_avail_index_and_head)
{
	uint16_t head = add(a, 8, false);

	arm_poke(d.q[Q].avail + 2, 2, d.q[Q].avail + 2, &(uint16_t){0x7777}, 2);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(c.head, head);
	ck_assert_int_eq(vq_next(q, &c), -EINVAL); /* now it sees the jump */
}
END_TEST

START_TEST(h11_head_is_fetched_once)
{
	uint16_t head = add(a, 8, false);

	arm_poke(d.q[Q].avail + 4, 2, d.q[Q].avail + 4, &(uint16_t){0xffff}, 2);
	ck_assert_int_eq(vq_next(q, &c), 1);
	ck_assert_uint_eq(poke.fetches, 1);
	ck_assert_uint_eq(c.head, head);
	vq_complete(q, c.head, 0);
	ck_assert(vq_flush(q));
}
END_TEST

START_TEST(h11_data_is_copied_once)
{
	uint32_t v = 0;

	add(a, 4, false);
	*(uint32_t *)drv_ptr(&d, a, 4) = 0x1234;
	ck_assert_int_eq(vq_next(q, &c), 1);
	arm_poke(a, 4, a, &(uint32_t){0xffffffffu}, 4);
	ck_assert_uint_eq(vq_read(&c, &v, 4), 4);
	ck_assert_uint_eq(poke.fetches, 1);
	ck_assert_uint_eq(v, 0x1234);
}
END_TEST

/* A taken chain does not refer to the ring any more. */
START_TEST(h11_chain_outlives_its_descriptors)
{
	add2(a, false, b, true);
	ck_assert_int_eq(vq_next(q, &c), 1);
	memset(drv_ptr(&d, d.q[Q].desc, 256), 0xff, 256);
	ck_assert_uint_eq(vq_write(&c, "12345678", 8), 8);
	vq_complete(q, c.head, 8);
	ck_assert(!memcmp(drv_ptr(&d, b, 8), "12345678", 8));
}
END_TEST

/* ---- two threads: nobody sleeps while there is work for him ---------------------- */

#define RACE_CHAINS 100000u
#define RACE_SECONDS 4 /* at most, however busy the machine is */

static struct {
	unsigned kick, call; /* bells: driver to device, device to driver */
	unsigned offered;    /* by a driver that has finished, else 0 */
	bool event_idx;
} race;

/* Spins, so that the two meet as closely as they can; yields for a single CPU. */
static void race_wait(unsigned *bell)
{
	time_t end = time(NULL) + 6;

	for (unsigned spins = 1; !__atomic_exchange_n(bell, 0, __ATOMIC_ACQUIRE); spins++) {
		if (spins % 4096)
			continue;
		ck_assert_msg(time(NULL) < end, "a wake-up was lost");
		sched_yield();
	}
}

static void race_ring(unsigned *bell)
{
	__atomic_store_n(bell, 1, __ATOMIC_RELEASE);
}

/* The driver, with one to three chains on their way. */
static void *race_driver(void *arg)
{
	time_t end = time(NULL) + RACE_SECONDS;
	uint16_t added = 0, used = 0;
	unsigned total = 0, turns = 0;

	for (unsigned left = RACE_CHAINS; left || added != used;) {
		uint16_t old = added;
		uint16_t event;

		for (; left && (uint16_t)(added - used) < 1 + left % 3; left--)
			*drv_avail_slot(&d, Q, added) = added % 16, added++;
		__atomic_store_n(drv_avail_idx(&d, Q), added, __ATOMIC_SEQ_CST);
		if (race.event_idx)
			event = __atomic_load_n(drv_avail_event(&d, Q), __ATOMIC_SEQ_CST);
		else /* as if it were behind, or just passed */
			event = added - !__atomic_load_n(drv_used_flags(&d, Q), __ATOMIC_SEQ_CST);
		if (vring_need_event(event, added, old))
			race_ring(&race.kick);
		/* Sleeps only when nothing has come back, after saying so. */
		__atomic_store_n(drv_used_event(&d, Q), used, __ATOMIC_SEQ_CST);
		__atomic_store_n(drv_avail_flags(&d, Q), 0, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(drv_used_idx(&d, Q), __ATOMIC_SEQ_CST) == used)
			race_wait(&race.call);
		__atomic_store_n(drv_avail_flags(&d, Q), 1, __ATOMIC_RELAXED);
		total += (uint16_t)(added - old);
		if (++turns % 256 == 0 && time(NULL) >= end)
			left = 0;
		used = __atomic_load_n(drv_used_idx(&d, Q), __ATOMIC_ACQUIRE);
	}
	__atomic_store_n(&race.offered, total, __ATOMIC_RELEASE);
	race_ring(&race.kick);
	return arg;
}

START_TEST(no_lost_wake_ups)
{
	unsigned done = 0;
	pthread_t driver;

	race.event_idx = _i;
	race.offered = 0;
	ck_assert(drv_start(&d, _i ? DRV_ALL_FEATURES : DRV_NO_EVENT_IDX));
	for (uint16_t i = 0; i < 16; i++)
		*drv_desc(&d, Q, i) = (struct vring_desc){a, 8, VRING_DESC_F_WRITE, 0};
	ck_assert_int_eq(pthread_create(&driver, NULL, race_driver, NULL), 0);
	for (;;) {
		unsigned offered = __atomic_load_n(&race.offered, __ATOMIC_ACQUIRE);
		int r;

		if (offered && done == offered)
			break;

		race_wait(&race.kick);
		vq_disable_doorbell(q);
		while ((r = vq_next(q, &c)) > 0) {
			vq_complete(q, c.head, 0);
			done++;
			if (vq_flush(q))
				race_ring(&race.call);
		}
		ck_assert_int_eq(r, 0);
	}
	pthread_join(driver, NULL);
}
END_TEST

static TCase *good_cases(void)
{
	TCase *tc = tcase_create("path");

	tcase_add_test(tc, direct_chain);
	tcase_add_test(tc, indirect_chain);
	tcase_add_test(tc, empty_segments_are_skipped);
	tcase_add_test(tc, cursors_and_iovecs);
	tcase_add_test(tc, completes_out_of_order);
	tcase_add_test(tc, unget_gives_it_again);
	tcase_add_loop_test(tc, indices_wrap, 0, 2);
	tcase_add_test(tc, not_set_up);
	tcase_add_test(tc, doorbell_event_idx);
	tcase_add_test(tc, doorbell_flag);
	tcase_add_test(tc, enable_doorbell);
	tcase_add_loop_test(tc, late_chain_is_not_missed, 0, 2);
	tcase_add_test(tc, interrupt_event_idx);
	tcase_add_test(tc, interrupt_batch_crosses_event);
	tcase_add_test(tc, interrupt_flag);
	tcase_add_loop_test(tc, no_lost_wake_ups, 0, 2);
	return tc;
}

static TCase *walk_cases(void)
{
	TCase *tc = tcase_create("walk");
	int n = sizeof(outside) / sizeof(outside[0]);

	tcase_add_test(tc, h01_loop);
	tcase_add_test(tc, h01_loop_of_empty_segments);
	tcase_add_test(tc, h01_as_long_as_the_ring);
	tcase_add_test(tc, h01_table_at_the_limit);
	tcase_add_test(tc, h01_table_too_long);
	tcase_add_test(tc, h01_loop_in_table);
	tcase_add_loop_test(tc, h01_total_length, 0, 2);
	tcase_add_test(tc, h02_nested);
	tcase_add_test(tc, h02_with_next);
	tcase_add_loop_test(tc, h02_length, 0, 5);
	tcase_add_test(tc, h02_not_negotiated);
	tcase_add_test(tc, h02_table_outside_ram);
	tcase_add_test(tc, h02_next_outside_table);
	tcase_add_test(tc, h02_write_flag_is_ignored);
	tcase_add_test(tc, h02_direct_then_indirect);
	tcase_add_test(tc, h02_any_alignment);
	tcase_add_loop_test(tc, h03_outside_ram, 0, n);
	tcase_add_loop_test(tc, h03_outside_ram_in_table, 0, n);
	tcase_add_test(tc, h03_to_the_last_byte);
	return tc;
}

static TCase *ring_cases(void)
{
	TCase *tc = tcase_create("ring");

	tcase_add_test(tc, h04_h05_copies_are_bounded);
	tcase_add_test(tc, h06_readable_after_writable);
	tcase_add_test(tc, h06_readable_in_table_after_writable);
	tcase_add_test(tc, h06_readable_is_never_written);
	tcase_add_test(tc, h07_jump);
	tcase_add_test(tc, h07_backwards);
	tcase_add_test(tc, h07_a_full_ring_is_fine);
	tcase_add_loop_test(tc, h08_head, 0, 2);
	tcase_add_loop_test(tc, h08_next, 0, 2);
	tcase_add_test(tc, h09_twice);
	tcase_add_test(tc, h09_again_when_done);
	tcase_add_test(tc, h10_in_flight);
	tcase_add_test(tc, h11_descriptor_is_fetched_once);
	tcase_add_test(tc, h11_table_is_fetched_once);
	tcase_add_test(tc, h11_table_length_is_fetched_once);
	tcase_add_test(tc, h11_avail_index_and_head);
	tcase_add_test(tc, h11_head_is_fetched_once);
	tcase_add_test(tc, h11_data_is_copied_once);
	tcase_add_test(tc, h11_chain_outlives_its_descriptors);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("vq");
	TCase *tc[] = {good_cases(), walk_cases(), ring_cases()};

	for (unsigned i = 0; i < sizeof(tc) / sizeof(tc[0]); i++) {
		tcase_add_checked_fixture(tc[i], setup, teardown);
		tcase_set_timeout(tc[i], 30);
		suite_add_tcase(s, tc[i]);
	}
	return unit_run(s);
}
