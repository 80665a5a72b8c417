/*
 * virtio-mmio transport, driver side (VIRTIO 1.2, 4.2): which devices there
 * are, register lists, feature negotiation, ring set-up. Ring 3.
 */
#include "virtio.h"

#include "../posix/posix.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#define MMIO_MAGIC 0x74726976u /* "virt" */

#define STATUS_START (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

#define RING_FEATURES ((1ull << VIRTIO_F_VERSION_1) | (1ull << VIRTIO_RING_F_EVENT_IDX))

static struct virtio_dev devices[VIRTIO_MAX_DEVICES];
static unsigned ndevices;
static bool discovered;

/* Enough for a console with all its queues, and for asking every slot what it is. */
#define LIST_MAX 112
static struct {
	struct {
		uint32_t count, done;
	} h; /* as in struct exo_batch */
	struct exo_batch_op op[LIST_MAX];
} list;

_Static_assert(sizeof(list.h) == sizeof(struct exo_batch), "the same list");

void batch_begin(void)
{
	list.h.count = 0;
	list.h.done = 0;
}

static unsigned batch_add(const struct virtio_dev *d, uint32_t reg, uint32_t flags, uint32_t value)
{
	struct exo_batch_op *op = &list.op[list.h.count];

	if (list.h.count == LIST_MAX)
		power_panic("register list too long");
	op->gpa = d->gpa + reg;
	op->flags = flags;
	op->value = value;
	return list.h.count++;
}

void batch_write(const struct virtio_dev *d, uint32_t reg, uint32_t value)
{
	batch_add(d, reg, EXO_BATCH_WRITE, value);
}

unsigned batch_read(const struct virtio_dev *d, uint32_t reg)
{
	return batch_add(d, reg, EXO_BATCH_READ, 0);
}

void batch_run(void)
{
	if (facts->platform)
		*(volatile uint64_t *)(EXO_PLATFORM_GPA + EXO_PLAT_BATCH) = (uintptr_t)&list.h;
	else
		sup_call(SUP_MMIO_BATCH, (uintptr_t)&list.h, 0, 0);
}

uint32_t batch_value(unsigned index)
{
	return list.op[index].value;
}

static void discover_boot(void)
{
	for (unsigned i = 0; i < MIN(boot->ndevices, EXO_MMIO_SLOTS); i++) {
		const struct exo_boot_device *b = &boot->device[i];
		struct virtio_dev *d = &devices[ndevices];

		if (b->device_id == 0)
			continue;
		*d = (struct virtio_dev){.gpa = b->gpa, .gsi = b->gsi, .id = b->device_id};
		memcpy(d->name, b->name, sizeof(d->name) - 1);
		ndevices++;
	}
}

/* A number with C's prefixes, moving *s past it. */
static uint64_t parse_number(const char **s)
{
	unsigned base = 10;
	uint64_t v = 0;

	if ((*s)[0] == '0' && ((*s)[1] | 32) == 'x') {
		base = 16;
		*s += 2;
	}
	for (;; (*s)++) {
		unsigned c = (unsigned char)**s, d;

		if (c >= '0' && c <= '9')
			d = c - '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			d = (c | 32) - 'a' + 10;
		else
			return v;
		if (d >= base)
			return v;
		v = v * base + d;
	}
}

/* virtio_mmio.device=SIZE@BASE:IRQ, as Linux documents it; QEMU adds them behind everything. */
static void discover_cmdline(const char *s)
{
	static const char key[] = "virtio_mmio.device=";

	for (; *s && ndevices < VIRTIO_MAX_DEVICES; s++) {
		struct virtio_dev *d = &devices[ndevices];

		if (strncmp(s, key, sizeof(key) - 1) != 0)
			continue;
		for (s += sizeof(key) - 1; *s && *s != '@' && *s != ' '; s++)
			;
		if (*s != '@')
			return;
		s++;
		d->gpa = (uint32_t)parse_number(&s);
		if (*s != ':')
			return;
		s++;
		d->gsi = (uint32_t)parse_number(&s);
		ndevices++;
		if (!*s)
			return;
	}
}

/* QEMU announces all its slots, most of them empty: ask each what it is. */
static void probe(void)
{
	unsigned kept = 0;

	batch_begin();
	for (unsigned i = 0; i < ndevices; i++) {
		batch_read(&devices[i], VIRTIO_MMIO_MAGIC_VALUE);
		batch_read(&devices[i], VIRTIO_MMIO_VERSION);
		batch_read(&devices[i], VIRTIO_MMIO_DEVICE_ID);
	}
	batch_run();
	for (unsigned i = 0; i < ndevices; i++) {
		uint32_t id = batch_value(3 * i + 2);

		if (batch_value(3 * i) != MMIO_MAGIC || batch_value(3 * i + 1) != 2 || id == 0)
			continue;
		devices[i].id = id;
		devices[kept++] = devices[i];
	}
	ndevices = kept;
}

void virtio_discover(void)
{
	if (discovered)
		return;
	discovered = true;
	if (boot) {
		discover_boot();
	} else {
		discover_cmdline(facts->cmdline);
		probe();
	}
}

struct virtio_dev *virtio_find(uint32_t id, unsigned n)
{
	virtio_discover();
	for (unsigned i = 0; i < ndevices; i++)
		if (devices[i].id == id && !devices[i].taken && n-- == 0)
			return &devices[i];
	return NULL;
}

static void batch_features(const struct virtio_dev *d, uint64_t features)
{
	for (unsigned i = 0; i < 2; i++) {
		batch_write(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		batch_write(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
	}
	batch_write(d, VIRTIO_MMIO_STATUS, STATUS_START | VIRTIO_CONFIG_S_FEATURES_OK);
}

int virtio_negotiate(struct virtio_dev *d, uint64_t wanted)
{
	uint64_t offered;
	unsigned lo, hi, status;

	batch_begin();
	batch_write(d, VIRTIO_MMIO_STATUS, 0);
	batch_write(d, VIRTIO_MMIO_STATUS, STATUS_START);
	batch_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	lo = batch_read(d, VIRTIO_MMIO_DEVICE_FEATURES);
	batch_write(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	hi = batch_read(d, VIRTIO_MMIO_DEVICE_FEATURES);
	batch_run();
	offered = batch_value(lo) | (uint64_t)batch_value(hi) << 32;
	d->features = offered & (wanted | RING_FEATURES);
	batch_begin();
	batch_features(d, d->features);
	status = batch_read(d, VIRTIO_MMIO_STATUS);
	batch_run();
	if (!(d->features & (1ull << VIRTIO_F_VERSION_1)) ||
	    !(batch_value(status) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;
	d->taken = true;
	return 0;
}

static void batch_address(const struct virtio_dev *d, uint32_t reg, const void *p)
{
	uint64_t v = (uintptr_t)p;

	batch_write(d, reg, (uint32_t)v);
	if (v >> 32) /* the reset value of the high half is 0 */
		batch_write(d, reg + 4, (uint32_t)(v >> 32));
}

void virtio_batch_ring(const struct virtio_dev *d, const struct virtq *r)
{
	batch_write(d, VIRTIO_MMIO_QUEUE_SEL, r->index);
	batch_write(d, VIRTIO_MMIO_QUEUE_NUM, r->size);
	batch_address(d, VIRTIO_MMIO_QUEUE_DESC_LOW, r->desc);
	batch_address(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, r->avail);
	batch_address(d, VIRTIO_MMIO_QUEUE_USED_LOW, r->used);
	batch_write(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void batch_rings(const struct virtio_dev *d, struct virtq *const *rings, unsigned nrings)
{
	for (unsigned i = 0; i < nrings; i++)
		virtio_batch_ring(d, rings[i]);
	batch_write(d, VIRTIO_MMIO_STATUS,
		    STATUS_START | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned i = 0; i < nrings; i++)
		if (virtq_publish(rings[i]))
			batch_write(d, VIRTIO_MMIO_QUEUE_NOTIFY, rings[i]->index);
}

bool virtio_setup_at_once(struct virtio_dev *d, uint64_t wanted, struct virtq *const *rings,
			  unsigned nrings)
{
	unsigned status;

	d->features = wanted | RING_FEATURES;
	batch_begin();
	batch_write(d, VIRTIO_MMIO_STATUS, 0);
	batch_write(d, VIRTIO_MMIO_STATUS, STATUS_START);
	batch_features(d, d->features);
	status = batch_read(d, VIRTIO_MMIO_STATUS);
	batch_rings(d, rings, nrings);
	batch_run();
	d->taken = (batch_value(status) & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
	return d->taken;
}

void virtio_setup_rings(struct virtio_dev *d, struct virtq *const *rings, unsigned nrings)
{
	batch_begin();
	batch_rings(d, rings, nrings);
	batch_run();
}

void virtio_config_read(const struct virtio_dev *d, unsigned offset, void *buf, unsigned len)
{
	unsigned words = (len + 3) / 4;
	uint8_t *p = buf;

	batch_begin();
	for (unsigned i = 0; i < words; i++)
		batch_read(d, VIRTIO_MMIO_CONFIG + offset + 4 * i);
	batch_run();
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(batch_value(i / 4) >> (8 * (i % 4)));
}

void virtio_ack(const struct virtio_dev *d)
{
	unsigned status;

	if (boot && boot->flags & EXO_BOOT_MSI_EDGE)
		return;
	batch_begin();
	status = batch_read(d, VIRTIO_MMIO_INTERRUPT_STATUS);
	batch_run();
	batch_begin();
	batch_write(d, VIRTIO_MMIO_INTERRUPT_ACK, batch_value(status));
	batch_run();
}
