/*
 * virtio-input (VIRTIO 1.2, 5.8). Runs under the device's lock in vCPU threads
 * (doorbells, configuration) and in the event loop (what the desktop sends).
 *
 * Two states are kept: what the person holds down, and what the guest will know
 * once it has collected what waits. A key or finger that only the guest still
 * holds is released before anything else is told, as soon as there is room;
 * a press that was lost stays lost.
 */
#include "input.h"

#include "input_events.h"

#include <errno.h>
#include <linux/input.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 64
#define EVENTS_MAX 512 /* waiting; more than any message, or all releases, have */
#define KEY_WORDS (KEY_CNT / 64)
#define VENDOR 0x4558

enum { EVENTQ, STATUSQ, QUEUES };

struct state {
	uint64_t keys[KEY_WORDS];
	uint32_t fingers; /* bit n: slot n */
	uint8_t slot;     /* that the next events are about */
};

struct input {
	struct vdev dev;
	struct virtio_input_config config;
	enum exo_dpy_device kind;
	unsigned scanouts;
	struct state held;  /* by the person */
	struct state known; /* by the guest, with what waits */
	struct {
		uint32_t width, height;
	} size[EXO_DPY_SCANOUTS_MAX]; /* 0: unplugged */

	unsigned first, n;
	struct virtio_input_event event[EVENTS_MAX]; /* a ring: whole reports */
};

static const char *const kind_name[EXO_DPY_DEVICES] = {
	[EXO_DPY_KEYBOARD] = "keyboard",
	[EXO_DPY_TABLET] = "tablet",
	[EXO_DPY_MOUSE] = "mouse",
	[EXO_DPY_TOUCH] = "touch",
};

static struct input *input_of(struct vdev *dev)
{
	return (struct input *)dev;
}

/* ---- configuration space (5.8.5) ------------------------------------------------ */

static void set_bit(struct virtio_input_config *c, unsigned bit)
{
	c->u.bitmap[bit / 8] |= (uint8_t)(1u << bit % 8);
	if (c->size < bit / 8 + 1)
		c->size = (uint8_t)(bit / 8 + 1);
}

static void fill_ev_bits(const struct input *in, struct virtio_input_config *c)
{
	bool keyboard = in->kind == EXO_DPY_KEYBOARD;
	const struct input_range *range;
	size_t n;

	range = input_ranges(in->kind, &n);
	for (size_t i = 0; i < n; i++) {
		for (unsigned code = range[i].first; code <= range[i].last; code++) {
			if (range[i].type == c->subsel)
				set_bit(c, code);
		}
	}
	if (keyboard && c->subsel == EV_REP)
		c->size = 1; /* it repeats keys itself */
	if (keyboard && c->subsel == EV_LED) {
		for (unsigned led = LED_NUML; led <= LED_SCROLLL; led++)
			set_bit(c, led);
	}
}

static void fill_abs_info(const struct input *in, struct virtio_input_config *c)
{
	int32_t min, max;

	if (!input_axis(in->kind, c->subsel, &min, &max))
		return;
	c->size = sizeof(c->u.abs);
	c->u.abs.min = min < 0 ? 0 : (uint32_t)min; /* -1 is no finger */
	c->u.abs.max = (uint32_t)max;
}

/* Size 0 says that there is nothing of the kind. */
static void fill_config(struct input *in)
{
	struct virtio_input_config *c = &in->config;

	*c = (struct virtio_input_config){.select = c->select, .subsel = c->subsel};
	if (c->select == VIRTIO_INPUT_CFG_EV_BITS)
		fill_ev_bits(in, c);
	if (c->select == VIRTIO_INPUT_CFG_ABS_INFO)
		fill_abs_info(in, c);
	if (c->subsel)
		return; /* the others have but one */
	if (c->select == VIRTIO_INPUT_CFG_ID_NAME) {
		c->size = (uint8_t)snprintf(c->u.string, sizeof(c->u.string), "Exoshell %s",
					    kind_name[in->kind]);
	} else if (c->select == VIRTIO_INPUT_CFG_ID_DEVIDS) {
		c->size = sizeof(c->u.ids);
		c->u.ids = (struct virtio_input_devids){BUS_VIRTUAL, VENDOR,
							(uint16_t)(in->kind + 1), 1};
	} else if (c->select == VIRTIO_INPUT_CFG_PROP_BITS && in->kind == EXO_DPY_TOUCH) {
		set_bit(c, INPUT_PROP_DIRECT);
	}
}

static void input_config_write(struct vdev *dev, size_t off, const void *src, size_t len)
{
	const size_t settable = offsetof(struct virtio_input_config, size);
	struct input *in = input_of(dev);

	if (off >= settable)
		return;
	memcpy((uint8_t *)&in->config + off, src, len < settable - off ? len : settable - off);
	fill_config(in);
}

/* ---- what waits for the guest ------------------------------------------------------ */

static void apply(struct state *s, uint16_t type, uint16_t code, int32_t value)
{
	if (type == EV_KEY && code < KEY_CNT) {
		if (value)
			s->keys[code / 64] |= 1ull << code % 64;
		else
			s->keys[code / 64] &= ~(1ull << code % 64);
	}
	if (type == EV_ABS && code == ABS_MT_SLOT)
		s->slot = (uint8_t)value;
	if (type == EV_ABS && code == ABS_MT_TRACKING_ID) {
		if (value >= 0)
			s->fingers |= 1u << s->slot;
		else
			s->fingers &= ~(1u << s->slot);
	}
}

/* There is room. */
static void push(struct input *in, uint16_t type, uint16_t code, int32_t value)
{
	in->event[(in->first + in->n++) % EVENTS_MAX] =
		(struct virtio_input_event){type, code, (uint32_t)value};
	apply(&in->known, type, code, value);
}

static unsigned room(const struct input *in)
{
	return EVENTS_MAX - in->n;
}

/* The events, without SYN_REPORT, that release what the guest alone holds. */
static unsigned count_owed(const struct input *in)
{
	unsigned n = 2 * (unsigned)__builtin_popcount(in->known.fingers & ~in->held.fingers);

	for (unsigned i = 0; i < KEY_WORDS; i++)
		n += (unsigned)__builtin_popcountll(in->known.keys[i] & ~in->held.keys[i]);
	return n;
}

/* False: there is no room for them. */
static bool release_owed(struct input *in)
{
	unsigned owed = count_owed(in);

	if (!owed)
		return true;
	if (room(in) < owed + 1)
		return false;
	for (unsigned i = 0; i < KEY_CNT; i++) {
		if ((in->known.keys[i / 64] & ~in->held.keys[i / 64]) >> i % 64 & 1)
			push(in, EV_KEY, (uint16_t)i, 0);
	}
	for (unsigned i = 0; i < INPUT_TOUCHES_MAX; i++) {
		if (!((in->known.fingers & ~in->held.fingers) >> i & 1))
			continue;
		push(in, EV_ABS, ABS_MT_SLOT, (int32_t)i);
		push(in, EV_ABS, ABS_MT_TRACKING_ID, -1);
	}
	push(in, EV_SYN, SYN_REPORT, 0);
	return true;
}

/*
 * To the guest, as far as it has buffers. One that is too small for an event is used
 * up and the event waits for the next (H-05).
 */
static void deliver(struct input *in)
{
	struct vq *q = &in->dev.vq[EVENTQ];
	unsigned chains = q->size;
	struct vq_chain chain;
	int r = 0;

	if (!q->ready)
		return;
	while (in->dev.running && (release_owed(in), in->n)) {
		const struct virtio_input_event *e = &in->event[in->first];
		size_t len = 0;

		r = chains-- ? vq_next(q, &chain) : -EBUSY;
		if (r <= 0)
			break;
		if (vq_writable(&chain) >= sizeof(*e)) {
			len = vq_write(&chain, e, sizeof(*e));
			in->first = (in->first + 1) % EVENTS_MAX;
			in->n--;
		}
		vq_complete(q, chain.head, (uint32_t)len);
	}
	if (r == -EBUSY)
		in->dev.host->timer(in->dev.host->opaque, &in->dev, 1);
	if (r == -EINVAL)
		vdev_fail(&in->dev, "input: malformed ring or chain");
	vdev_flush(&in->dev, EVENTQ);
}

/* LEDs and the like: nobody looks at them. */
static void drain_status(struct input *in)
{
	struct vq *q = &in->dev.vq[STATUSQ];
	unsigned chains = q->size;
	struct vq_chain chain;
	int r;

	while ((r = chains-- ? vq_next(q, &chain) : -EBUSY) > 0)
		vq_complete(q, chain.head, 0);
	if (r == -EBUSY)
		in->dev.host->timer(in->dev.host->opaque, &in->dev, 1);
	if (r == -EINVAL)
		vdev_fail(&in->dev, "input: malformed ring or chain");
	vdev_flush(&in->dev, STATUSQ);
}

/* ---- what the desktop sends --------------------------------------------------------- */

/*
 * The place on the guest's desk, where scanouts stand side by side: the tablet's axes
 * go over all of it.
 */
static int32_t map_axis(const struct input *in, unsigned scanout, bool vertical, int32_t value)
{
	uint64_t before = 0, total = 0, own, height = 0;

	for (unsigned i = 0; i < in->scanouts; i++) {
		if (i == scanout)
			before = total;
		total += in->size[i].width;
		if (height < in->size[i].height)
			height = in->size[i].height;
	}
	own = vertical ? in->size[scanout].height : in->size[scanout].width;
	if (vertical) {
		before = 0;
		total = height;
	}
	if (!own)
		return value; /* there are no sizes yet */
	return (int32_t)((before * EXO_DPY_ABS_MAX + (uint64_t)value * own) / total);
}

static int32_t map_value(const struct input *in, unsigned scanout, const struct exo_dpy_event *e)
{
	if (e->type != EV_ABS)
		return e->value;
	if (e->code == ABS_X || e->code == ABS_MT_POSITION_X)
		return map_axis(in, scanout, false, e->value);
	if (e->code == ABS_Y || e->code == ABS_MT_POSITION_Y)
		return map_axis(in, scanout, true, e->value);
	return e->value;
}

/* n events, the last is SYN_REPORT. All of them wait for the guest, or none. */
static void take_report(struct input *in, unsigned scanout, const struct exo_dpy_event *e,
			unsigned n)
{
	bool fits = in->dev.running && release_owed(in);
	/* Which finger the events are about may have been said in a report that was lost. */
	bool slot = in->known.slot != in->held.slot;

	fits = fits && room(in) >= n + slot;

	if (fits && slot)
		push(in, EV_ABS, ABS_MT_SLOT, in->held.slot);
	for (unsigned i = 0; i < n; i++) {
		apply(&in->held, e[i].type, e[i].code, e[i].value);
		if (fits)
			push(in, e[i].type, e[i].code, map_value(in, scanout, &e[i]));
	}
}

static void on_input(struct vdev *dev, const struct exo_dpy_input *m)
{
	struct input *in = input_of(dev);
	unsigned begin = 0;

	pthread_mutex_lock(&dev->lock);
	for (unsigned i = 0; i < m->count; i++) {
		if (m->event[i].type != EV_SYN)
			continue;
		take_report(in, m->scanout, &m->event[begin], i + 1 - begin);
		begin = i + 1;
	}
	if (dev->running)
		deliver(in);
	pthread_mutex_unlock(&dev->lock);
}

static void on_mode(struct vdev *dev, const struct exo_dpy_mode *m)
{
	struct input *in = input_of(dev);

	pthread_mutex_lock(&dev->lock);
	in->size[m->scanout].width = m->width;
	in->size[m->scanout].height = m->height;
	pthread_mutex_unlock(&dev->lock);
}

/* Nobody holds anything down, whether one desktop has gone or another has come. */
static void on_attached(struct vdev *dev, bool there)
{
	struct input *in = input_of(dev);

	pthread_mutex_lock(&dev->lock);
	memset(&in->held.keys, 0, sizeof(in->held.keys));
	in->held.fingers = 0;
	if (dev->running)
		deliver(in);
	pthread_mutex_unlock(&dev->lock);
}

static const struct desk_listener listener = {
	.attached = on_attached,
	.mode = on_mode,
	.input = on_input,
};

/* ---- the device's callbacks ------------------------------------------------------------ */

static void input_kick(struct vdev *dev, unsigned q)
{
	if (q == EVENTQ)
		deliver(input_of(dev));
	else
		drain_status(input_of(dev));
}

static void input_timer(struct vdev *dev)
{
	for (unsigned q = 0; q < QUEUES; q++) {
		if (dev->running && dev->vq[q].ready)
			input_kick(dev, q);
	}
}

static void input_reset(struct vdev *dev)
{
	struct input *in = input_of(dev);

	dev->host->timer(dev->host->opaque, dev, 0);
	in->first = in->n = 0;
	in->known = (struct state){0};
	in->config.select = in->config.subsel = 0;
	fill_config(in);
}

static void input_destroy(struct vdev *dev)
{
	free(input_of(dev));
}

static const struct vdev_class input_class = {
	.name = "virtio-input",
	.device_id = VIRTIO_ID_INPUT,
	.nqueues = QUEUES,
	.queue_size_max = QUEUE_SIZE,
	.config_bytes = sizeof(struct virtio_input_config),
	.kick = input_kick,
	.timer = input_timer,
	.reset = input_reset,
	.destroy = input_destroy,
	.config_write = input_config_write,
};

struct vdev *input_create(const struct gmem *mem, const struct vdev_host *host, struct desk *desk,
			  enum exo_dpy_device kind, unsigned scanouts)
{
	struct input *in = calloc(1, sizeof(*in));
	int err;

	if (!in)
		return NULL;
	vdev_init(&in->dev, &input_class, mem, host);
	snprintf(in->dev.name, sizeof(in->dev.name), "%s", kind_name[kind]);
	in->kind = kind;
	in->scanouts = scanouts;
	in->dev.config = &in->config;
	err = desk_listen(desk, &in->dev, &listener, 1u << kind);
	if (!err)
		return &in->dev;
	free(in);
	errno = -err;
	return NULL;
}
