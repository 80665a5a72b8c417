/*
 * Fuzzes the random number device.
 */
#include "harness.h"
#include "rng.h"

static struct vdev *create(struct fuzz *f)
{
	return rng_create(&f->d.mem, &f->d.host);
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	uint8_t n = fuzz_u8(f);

	c->write_len = n == 0xee ? FUZZ_DATA_MAX : n & 63;
	c->data_len = n >> 6 == 2;
}

/* A good driver's chains all come back, none empty-handed. */
static void settle(struct fuzz *f)
{
	if (!f->d.dev->running)
		return;
	drv_kick_if_wanted(&f->d, 0);
	while (drv_fire_timer(&f->d))
		;
	fuzz_check(*drv_used_idx(&f->d, 0) == f->d.q[0].avail_idx, "a chain was lost");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_target target = {
		.create = create, .chain = chain, .settle = settle};

	return fuzz_run(&target, data, size);
}
