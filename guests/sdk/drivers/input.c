/* virtio-input: event queues, what each device is (input.h). Ring 3. */
#include "input.h"

#include "virtio.h"

#include "../posix/posix.h"

#include <linux/input-event-codes.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_input.h>
#include <linux/virtio_mmio.h>

#define RING_SIZE 64
#define TOGETHER_NS 3000000 /* nobody points and types that quickly */

struct source {
	struct virtio_dev *dev;
	struct virtq q;
	struct exo_input_info info;
	uint64_t since_ns; /* of the interrupt for the oldest event that is in the ring; 0: none */
	struct virtio_input_event event[RING_SIZE];
	uint8_t by_head[RING_SIZE];
	uint8_t ring[VIRTQ_SPACE(RING_SIZE)] __attribute__((aligned(VIRTQ_ALIGN)));
};

APART static struct source sources[EXO_INPUT_DEVICES_MAX];
static unsigned nsources;
static bool tried;
const char input_chan;

static void on_interrupt(void *arg)
{
	struct source *s = arg;

	virtio_ack(s->dev);
	/* For events that were taken before it came there is nothing to remember. */
	if (!s->since_ns && virtq_has_used(&s->q))
		s->since_ns = clock_ns();
	thread_wake(&input_chan);
}

static void post(struct source *s, unsigned i)
{
	struct virtq_buf b = {&s->event[i], sizeof(s->event[i])};
	int head = virtq_add(&s->q, &b, 0, 1);

	if (head >= 0)
		s->by_head[head] = (uint8_t)i;
}

/* ---- what it is ------------------------------------------------------------------------ */

/* Bytes that there are of it, at most len; the rest of buf is 0. 8-bit fields: 4.2.2.2. */
static unsigned query(const struct source *s, uint8_t select, uint8_t subsel, void *buf,
		      unsigned len)
{
	volatile uint8_t *config =
		(volatile uint8_t *)(uintptr_t)(s->dev->gpa + VIRTIO_MMIO_CONFIG);
	unsigned size;

	config[offsetof(struct virtio_input_config, select)] = select;
	config[offsetof(struct virtio_input_config, subsel)] = subsel;
	size = config[offsetof(struct virtio_input_config, size)];
	memset(buf, 0, len);
	if (size)
		virtio_config_read(s->dev, offsetof(struct virtio_input_config, u), buf,
				   MIN(len, MIN(size, 128u)));
	return size;
}

static bool has_bit(const uint8_t *bitmap, unsigned bit)
{
	return bitmap[bit / 8] >> (bit % 8) & 1;
}

static void axis(const struct source *s, unsigned code, int32_t *min, int32_t *max)
{
	struct virtio_input_absinfo a;

	query(s, VIRTIO_INPUT_CFG_ABS_INFO, (uint8_t)code, &a, sizeof(a));
	*min = (int32_t)a.min;
	*max = (int32_t)a.max;
}

static void identify(struct source *s)
{
	uint8_t bits[ABS_CNT / 8];
	struct exo_input_info *i = &s->info;

	query(s, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY, bits, sizeof(bits));
	if (has_bit(bits, KEY_A))
		i->has |= EXO_INPUT_KEYS;
	query(s, VIRTIO_INPUT_CFG_EV_BITS, EV_REL, bits, sizeof(bits));
	if (has_bit(bits, REL_X))
		i->has |= EXO_INPUT_REL;
	query(s, VIRTIO_INPUT_CFG_EV_BITS, EV_ABS, bits, sizeof(bits));
	if (has_bit(bits, ABS_MT_POSITION_X)) {
		i->has |= EXO_INPUT_MT;
		axis(s, ABS_MT_POSITION_X, &i->min_x, &i->max_x);
		axis(s, ABS_MT_POSITION_Y, &i->min_y, &i->max_y);
	} else if (has_bit(bits, ABS_X)) {
		i->has |= EXO_INPUT_ABS;
		axis(s, ABS_X, &i->min_x, &i->max_x);
		axis(s, ABS_Y, &i->min_y, &i->max_y);
	}
}

static bool set_up(struct source *s)
{
	struct virtq *rings[] = {&s->q};

	if (virtio_negotiate(s->dev, 0) < 0)
		return false;
	s->info.index = nsources;
	identify(s);
	virtq_init(&s->q, 0, s->ring, RING_SIZE,
		   s->dev->features & (1ull << VIRTIO_RING_F_EVENT_IDX));
	for (unsigned i = 0; i < RING_SIZE; i++)
		post(s, i);
	virtq_irq_on(&s->q);
	event_on_gsi(s->dev->gsi, on_interrupt, s);
	virtio_setup_rings(s->dev, rings, 1);
	return true;
}

bool input_ready(void)
{
	unsigned refused = 0;

	while (!tried && nsources < EXO_INPUT_DEVICES_MAX) {
		struct source *s = &sources[nsources];

		*s = (struct source){.dev = virtio_find(VIRTIO_ID_INPUT, refused)};
		if (!s->dev)
			break;
		if (set_up(s))
			nsources++;
		else
			refused++;
	}
	tried = true;
	return nsources != 0;
}

int input_info(struct exo_input_info *info)
{
	if (info->index >= nsources)
		return -ENOENT;
	*info = sources[info->index].info;
	return 0;
}

/* ---- events ------------------------------------------------------------------------------ */

bool input_has_event(void)
{
	for (unsigned i = 0; i < nsources; i++)
		if (virtq_has_used(&sources[i].q))
			return true;
	return false;
}

static bool take(struct source *s, struct exo_input_event *e)
{
	struct virtio_input_event *from;
	uint32_t len;
	int head = virtq_pop(&s->q, &len);

	if (head < 0)
		return false;
	from = &s->event[s->by_head[head]];
	*e = (struct exo_input_event){.time_ns = s->since_ns,
				      .device = (uint16_t)s->info.index,
				      .type = from->type,
				      .code = from->code,
				      .value = (int32_t)from->value};
	if (len < sizeof(*from))
		e->type = e->code = 0; /* SYN_REPORT: nothing */
	post(s, s->by_head[head]);
	if (e->type == EV_SYN || !virtq_has_used(&s->q))
		virtq_kick(s->dev, &s->q);
	return true;
}

/*
 * Has `a` waited longer? Interrupts that came together say nothing: then what is pointed at
 * comes before what is typed there.
 */
static bool before(const struct source *a, const struct source *b)
{
	bool keys_a = a->info.has & EXO_INPUT_KEYS, keys_b = b->info.has & EXO_INPUT_KEYS;
	uint64_t apart =
		a->since_ns < b->since_ns ? b->since_ns - a->since_ns : a->since_ns - b->since_ns;

	if (keys_a != keys_b && apart < TOGETHER_NS)
		return keys_b;
	return a->since_ns < b->since_ns;
}

/* The device that has waited longest has its turn. */
bool input_event(struct exo_input_event *e)
{
	struct source *first = NULL;

	for (unsigned i = 0; i < nsources; i++) {
		struct source *s = &sources[i];

		if (!virtq_has_used(&s->q))
			continue;
		if (!s->since_ns) /* its interrupt is on the way */
			s->since_ns = clock_ns();
		if (!first || before(s, first))
			first = s;
	}
	if (!first || !take(first, e))
		return false;
	if (!virtq_has_used(&first->q))
		first->since_ns = virtq_irq_on(&first->q) ? clock_ns() : 0;
	return true;
}

bool input_listen(void)
{
	bool there = false;

	for (unsigned i = 0; i < nsources; i++)
		there |= virtq_irq_on(&sources[i].q);
	return there;
}
