/*
 * Fuzzes the input devices: any kind, what a person does, desktops that come and go.
 */
#include "desk_rig.h"
#include "harness.h"
#include "input.h"
#include "input_events.h"

#include <linux/input-event-codes.h>
#include <linux/virtio_input.h>

enum { EVENTQ, STATUSQ };

static struct desk_rig rig;
static enum exo_dpy_device kind;

static struct vdev *create(struct fuzz *f)
{
	kind = fuzz_u8(f) % EXO_DPY_DEVICES;
	desk_rig_init(&rig, 3, 15);
	return input_create(&f->d.mem, &f->d.host, rig.desk, kind, 3);
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	uint8_t n = fuzz_u8(f);

	if (q == EVENTQ)
		c->write_len = n == 0xee ? FUZZ_DATA_MAX : n < 0xe0 ? 8 : n & 31;
	else
		c->data_len = n < 0xe0 ? 8 : n;
}

/* One that the desktop may send. */
static struct exo_dpy_event make_event(struct fuzz *f)
{
	const struct input_range *range;
	struct exo_dpy_event e;
	int32_t min = 0, max = 1;
	size_t n;

	range = input_ranges(kind, &n);
	range += fuzz_u8(f) % n;
	e.type = range->type;
	e.code = (uint16_t)(range->first + fuzz_u8(f) % (range->last - range->first + 1));
	if (e.type == EV_ABS)
		(void)input_axis(kind, e.code, &min, &max);
	e.value = e.type == EV_REL ? (int8_t)fuzz_u8(f)
				   : min + (int32_t)(fuzz_u16(f) % (uint32_t)(max - min + 1));
	fuzz_check(input_event_valid(kind, &e), "an event that a device has");
	return e;
}

static void report(struct fuzz *f, unsigned n, unsigned times)
{
	struct exo_dpy_event e[8];

	for (unsigned i = 0; i < n; i++)
		e[i] = make_event(f);
	while (times--)
		fuzz_check(desk_rig_input(&rig, kind, fuzz_u8(f) % 3, e, n), "a good report");
}

static void event(struct fuzz *f)
{
	uint8_t what = fuzz_u8(f);

	if (rig.peer < 0)
		desk_rig_attach(&rig);
	switch (what & 7) {
	case 0:
		desk_rig_leave(&rig);
		break;
	case 1:
		desk_rig_attach(&rig);
		break;
	case 2:
		desk_rig_mode(&rig, what / 8 % 3, what >> 5 ? what * 64u : 0, what >> 5 ? 300 : 0);
		break;
	case 3:
		report(f, 1 + what / 8 % 8, 1 + (what >> 6) * 20u);
		break;
	default:
		report(f, 1 + what / 8 % 4, 1);
	}
}

/* Nothing is held down when all was let go and collected; good drivers' buffers come back. */
static void settle(struct fuzz *f)
{
	if (!f->d.dev->running)
		return;
	drv_kick_if_wanted(&f->d, STATUSQ);
	while (drv_fire_timer(&f->d))
		;
	fuzz_check(*drv_used_idx(&f->d, STATUSQ) == f->d.q[STATUSQ].avail_idx, "a status was lost");
}

static void cleanup(struct fuzz *f)
{
	desk_rig_finish(&rig);
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
