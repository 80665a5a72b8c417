/*
 * Fuzzes what a desktop may send (include/exo/display.h): packets of the input, most
 * with a good header, to a desk whose listener believes what desk promises.
 */
#include "desk_rig.h"
#include "harness.h"
#include "input_events.h"
#include "vdev.h"

#include "fdmsg.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define SCANOUTS 3u

static struct desk_rig rig;
static struct vdev dev;
static bool there;

static void on_attached(struct vdev *v, bool now)
{
	fuzz_check(now != there, "told twice");
	there = now;
}

static void on_mode(struct vdev *v, const struct exo_dpy_mode *m)
{
	fuzz_check(there && m->scanout < SCANOUTS && m->width <= EXO_DPY_SIZE_MAX &&
			   m->height <= EXO_DPY_SIZE_MAX && !m->width == !m->height,
		   "a mode");
	fuzz_check(!m->width || (m->scale >= EXO_DPY_SCALE_MIN && m->scale <= EXO_DPY_SCALE_MAX),
		   "a scale");
}

static void on_presented(struct vdev *v, const struct exo_dpy_presented *p)
{
	fuzz_check(there && p->scanout < SCANOUTS, "presented");
}

static void on_input(struct vdev *v, const struct exo_dpy_input *in)
{
	fuzz_check(there && in->device < EXO_DPY_DEVICES && in->scanout < SCANOUTS && in->count &&
			   in->count <= EXO_DPY_EVENTS_MAX,
		   "input");
	for (unsigned i = 0; i < in->count; i++) {
		const struct exo_dpy_event *e = &in->event[i];

		fuzz_check(input_event_valid(in->device, e), "an event");
		if (e->type == EV_ABS && e->code <= ABS_Y)
			fuzz_check(e->value >= 0 && e->value <= EXO_DPY_ABS_MAX, "an axis");
	}
	fuzz_check(in->event[in->count - 1].type == EV_SYN, "a whole report");
}

static void on_played(struct vdev *v, const struct exo_dpy_played *p)
{
	fuzz_check(there && !p->stream && p->bytes && p->bytes <= 96000, "played");
}

static void on_captured(struct vdev *v, const struct exo_dpy_pcm *p)
{
	unsigned sum = 0;

	fuzz_check(there && p->stream == 1 && p->bytes && p->bytes <= EXO_DPY_PCM_MAX, "captured");
	for (unsigned i = 0; i < p->bytes; i++)
		sum += p->data[i]; /* all of it is there */
	fuzz_check(sum <= 255 * EXO_DPY_PCM_MAX, "a sum");
}

static const struct desk_listener listener = {
	.attached = on_attached,
	.mode = on_mode,
	.presented = on_presented,
	.input = on_input,
	.played = on_played,
	.captured = on_captured,
};

/* One packet: a kind and a length, then bytes of the input. False: there are none. */
static bool packet(const uint8_t **in, size_t *left)
{
	uint8_t m[EXO_DPY_MSG_MAX + 64] = {0};
	struct exo_dpy_header h = {EXO_DPY_MAGIC, 0, 0, 0};
	size_t len, n;

	if (*left < 3)
		return false;
	len = sizeof(h) + ((*in)[1] | ((*in)[2] & 31) << 8);
	len = len < sizeof(m) ? len : sizeof(m);
	n = len - sizeof(h) < *left - 3 ? len - sizeof(h) : *left - 3;
	h.type = (*in)[0] & 15;
	h.size = (uint32_t)len;
	memcpy(m + sizeof(h), *in + 3, n);
	if ((*in)[0] >> 4 == 15) /* a header of its own */
		memcpy(&h, m + sizeof(h), sizeof(h) < n ? sizeof(h) : n);
	memcpy(m, &h, sizeof(h));
	*left -= 3 + n;
	*in += 3 + n;
	(void)fdmsg_send(rig.peer, m, len, NULL, 0);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	there = false;
	desk_rig_init(&rig, SCANOUTS, size && data[0] & 1 ? 63 : 29);
	desk_listen(rig.desk, &dev, &listener, 15);
	desk_rig_attach(&rig);
	while (packet(&data, &size)) {
		if (desk_receive(rig.desk))
			continue;
		fuzz_check(!there && !desk_there(rig.desk), "gone is gone");
		desk_rig_attach(&rig);
		fuzz_check(there && desk_there(rig.desk), "and comes again");
	}
	desk_rig_finish(&rig);
	return 0;
}
