/* virtio-rng: one request, when the program first asks for random bytes (rng.h). Ring 3. */
#include "rng.h"

#include "virtio.h"

#include "../posix/posix.h"

#include <linux/virtio_ids.h>

#define RING_SIZE 2
#define WAIT_NS (NS_PER_S / 2)

/* The device may write here as long as it has the buffer: not on a stack. */
APART static uint8_t ring[VIRTQ_SPACE(RING_SIZE)] __attribute__((aligned(VIRTQ_ALIGN)));
APART static uint8_t buffer[64];

static void on_interrupt(void *arg)
{
	virtio_ack(arg);
	thread_wake(&buffer);
}

size_t rng_read(void *buf, size_t len)
{
	struct virtio_dev *d = virtio_find(VIRTIO_ID_RNG, 0);
	struct virtq q, *rings[] = {&q};
	struct virtq_buf b = {buffer, (uint32_t)MIN(len, sizeof(buffer))};
	uint64_t deadline = clock_ns() + WAIT_NS;
	uint32_t got = 0;

	if (!d || virtio_negotiate(d, 0) < 0)
		return 0;
	virtq_init(&q, 0, ring, RING_SIZE, d->features & (1ull << VIRTIO_RING_F_EVENT_IDX));
	event_on_gsi(d->gsi, on_interrupt, d);
	virtq_irq_on(&q);
	virtq_add(&q, &b, 0, 1);
	virtio_setup_rings(d, rings, 1);
	while (virtq_pop(&q, &got) < 0 && !q.broken && clock_ns() < deadline)
		thread_sleep_uninterruptible(&buffer, deadline);
	memcpy(buf, buffer, got);
	return got;
}
