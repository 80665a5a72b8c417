/*
 * The guest's side of a split ring (guests/sdk/drivers/virtq.c) against a device
 * that this file plays: chains come and go past the wrap of the indices, the
 * device is told when it asks to be, and one that breaks the rules stops the ring.
 */
#include "../../guests/sdk/drivers/virtq.c"
#include "unit.h"

#include <check.h>
#include <stdlib.h>

#define SIZE 8

static uint8_t memory[VIRTQ_SPACE(SIZE)] __attribute__((aligned(VIRTQ_ALIGN)));
static struct virtq q;
static uint16_t seen; /* by the device */
static char out[16], in[32];

static void setup(void)
{
	memset(memory, 0, sizeof(memory));
	virtq_init(&q, 0, memory, SIZE, true);
	seen = 0;
}

static int add(unsigned nout, unsigned nin)
{
	struct virtq_buf b[SIZE];

	for (unsigned i = 0; i < nout + nin; i++)
		b[i] = i < nout ? (struct virtq_buf){out, sizeof(out)}
				: (struct virtq_buf){in, sizeof(in)};
	return virtq_add(&q, b, nout, nin);
}

/* The device gives back the chain with that head. */
static void use(uint32_t head, uint32_t len)
{
	q.used->ring[q.used->idx % SIZE] = (struct vring_used_elem){head, len};
	q.used->idx++;
}

static uint16_t *avail_event(void)
{
	return (uint16_t *)(void *)&q.used->ring[SIZE];
}

START_TEST(chains_come_and_go)
{
	uint32_t len;

	for (unsigned turn = 0; turn < 70000; turn++) {
		unsigned n = 1 + turn % 4;
		int first = add(1, n - 1), second = add(n, 0), back;

		ck_assert_int_ge(first, 0);
		ck_assert_int_ge(second, 0);
		ck_assert_int_ne(first, second);
		virtq_publish(&q);
		ck_assert_uint_eq((uint16_t)(q.avail->idx - seen), 2);
		seen = q.avail->idx;
		use((uint32_t)second, 0); /* out of order */
		use((uint32_t)first, 5);
		back = virtq_pop(&q, &len);
		ck_assert_int_eq(back, second);
		ck_assert_uint_eq(len, 0);
		ck_assert_int_eq(virtq_pop(&q, &len), first);
		ck_assert_uint_eq(len, n > 1 ? 5 : 0); /* no more than it could have written */
		ck_assert_int_eq(virtq_pop(&q, &len), -1);
		ck_assert_uint_eq(q.nfree, SIZE);
	}
	ck_assert(!q.broken);
}
END_TEST

START_TEST(descriptors_say_what_they_are)
{
	int head = add(1, 2);
	const struct vring_desc *d = &q.desc[head];

	ck_assert_uint_eq(d->addr, (uintptr_t)out);
	ck_assert_uint_eq(d->flags, VRING_DESC_F_NEXT);
	d = &q.desc[d->next];
	ck_assert_uint_eq(d->flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	d = &q.desc[d->next];
	ck_assert_uint_eq(d->flags, VRING_DESC_F_WRITE);
	ck_assert_uint_eq(d->len, sizeof(in));
}
END_TEST

START_TEST(full_ring_takes_no_more)
{
	for (unsigned i = 0; i < SIZE / 2; i++)
		ck_assert_int_ge(add(1, 1), 0);
	ck_assert_int_eq(add(1, 0), -1);
	ck_assert_int_eq(virtq_add(&q, NULL, 0, 0), -1);
}
END_TEST

START_TEST(device_is_told_when_it_asks)
{
	ck_assert(!virtq_publish(&q)); /* nothing new */
	add(1, 0);
	ck_assert(virtq_publish(&q)); /* avail_event is 0 */
	add(1, 0);
	ck_assert(!virtq_publish(&q)); /* it has not moved */
	*avail_event() = 3;
	add(1, 0);
	ck_assert(!virtq_publish(&q));
	add(1, 0);
	ck_assert(virtq_publish(&q));
}
END_TEST

START_TEST(interrupts_by_used_event)
{
	uint16_t *used_event = &q.avail->ring[SIZE];
	uint32_t len;
	int head = add(1, 0);

	ck_assert_uint_eq(*used_event, 0xffff); /* off: a whole turn away */
	ck_assert(!virtq_irq_on(&q));
	ck_assert_uint_eq(*used_event, 0);
	use((uint32_t)head, 0);
	ck_assert(virtq_irq_on(&q)); /* it came meanwhile: do not sleep */
	virtq_pop(&q, &len);
	virtq_irq_on(&q);
	ck_assert_uint_eq(*used_event, 1);
	virtq_irq_off(&q);
	ck_assert_uint_eq(*used_event, 0);
}
END_TEST

START_TEST(bad_head_stops_the_ring)
{
	uint32_t len;

	add(1, 0);
	use(_i ? UINT32_MAX : SIZE, 0);
	ck_assert_int_eq(virtq_pop(&q, &len), -1);
	ck_assert(q.broken);
	ck_assert(!virtq_has_used(&q));
	ck_assert_int_eq(add(1, 0), -1);
	ck_assert(!virtq_publish(&q));
}
END_TEST

START_TEST(scribbled_descriptors_stop_the_ring)
{
	uint32_t len;
	int head = add(1, 1);

	if (_i)
		q.desc[head].next = SIZE;
	else
		q.desc[head].next = (uint16_t)head; /* a loop */
	use((uint32_t)head, 0);
	ck_assert_int_eq(virtq_pop(&q, &len), -1);
	ck_assert(q.broken);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("driver_ring");
	TCase *tc = tcase_create("ring");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, chains_come_and_go);
	tcase_add_test(tc, descriptors_say_what_they_are);
	tcase_add_test(tc, full_ring_takes_no_more);
	tcase_add_test(tc, device_is_told_when_it_asks);
	tcase_add_test(tc, interrupts_by_used_event);
	tcase_add_loop_test(tc, bad_head_stops_the_ring, 0, 2);
	tcase_add_loop_test(tc, scribbled_descriptors_stop_the_ring, 0, 2);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
