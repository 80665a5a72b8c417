/*
 * Fuzzes the rings and the device core with a device that only echoes, or that
 * holds chains and gives them back in any order.
 */
#include "harness.h"
#include "testdev.h"

#include <string.h>

static struct vdev *ring_create(struct fuzz *f)
{
	return testdev_create(&f->d.mem, &f->d.host, fuzz_u8(f) & 1 ? TESTDEV_HOLD : TESTDEV_ECHO);
}

static void ring_chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	uint8_t n = fuzz_u8(f);

	c->data_len = n & 15;
	c->write_len = n >> 4;
	if (n == 0xee)
		c->data_len = c->write_len = fuzz_u16(f) % FUZZ_DATA_MAX;
	memset(c->data, fuzz_u8(f), c->data_len);
}

static void ring_event(struct fuzz *f)
{
	testdev_release(f->d.dev, fuzz_u8(f));
}

/* A good driver's chains are all taken: no doorbell is missed. */
static void ring_settle(struct fuzz *f)
{
	if (!f->d.dev->running)
		return;
	for (unsigned q = 0; q < f->d.dev->nqueues; q++) {
		drv_kick_if_wanted(&f->d, q);
		drv_fire_timer(&f->d);
		fuzz_check(f->d.dev->vq[q].next_avail == f->d.q[q].avail_idx,
			   "a doorbell was missed");
		if (testdev_of(f->d.dev)->mode == TESTDEV_ECHO)
			fuzz_check(*drv_used_idx(&f->d, q) == f->d.q[q].avail_idx,
				   "a chain was lost");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_target target = {
		.create = ring_create,
		.chain = ring_chain,
		.event = ring_event,
		.settle = ring_settle,
	};

	return fuzz_run(&target, data, size);
}
