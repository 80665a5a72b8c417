/*
 * Fuzzes all that a guest reaches by an access to an address: the bus with the
 * platform page and its batches, one virtio-mmio slot with a device that
 * echoes, and the I/O APIC. A driver is set up properly first, so that runs reach
 * deep; then the input says what is accessed, how wide, and what RAM holds.
 */
#include "drv.h"
#include "ioapic.h"
#include "mmio.h"
#include "platform.h"
#include "testdev.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_GPA 0x8000
#define STEPS_MAX 400
#define SENDS_MAX 16

static struct drv drv;
static struct mmio m;
static struct bus bus;
static struct ioapic ioapic;
static struct platform platform;
static unsigned raised, sent, ends;
static bool may_end;

static const uint8_t *in;
static size_t in_left;

static uint8_t take(void)
{
	return in_left ? (in_left--, *in++) : 0;
}

static uint32_t take32(void)
{
	uint32_t v = take();

	v |= (uint32_t)take() << 8;
	v |= (uint32_t)take() << 16;
	return v | (uint32_t)take() << 24;
}

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* ---- the machine ------------------------------------------------------------- */

static void on_interrupt(void *opaque, struct mmio *which)
{
	must(m.dev->status & VIRTIO_CONFIG_S_DRIVER_OK);
	raised++;
	ioapic_raise(&ioapic, EXO_GSI_BASE);
}

static void on_send(void *opaque, unsigned pin, uint64_t address, uint32_t data)
{
	must(pin < EXO_IOAPIC_PINS && (address & ~0xff00cull) == 0xfee00000 && data < 0x800);
	sent++;
}

static void on_end(void *opaque, enum exo_end reason, unsigned status, const char *detail)
{
	must(may_end && status < 256 && strlen(detail) < 512);
	ends++;
}

static void slot_read(void *opaque, uint64_t off, void *data, size_t len)
{
	mmio_read(&m, off, data, len);
}

static void slot_write(void *opaque, uint64_t off, const void *data, size_t len)
{
	mmio_write(&m, off, data, len);
}

static const struct bus_handler slot_handler = {.read = slot_read, .write = slot_write};

static void on_access(void *opaque, gpa_t gpa, bool write, uint32_t *value)
{
	if (gpa < EXO_MMIO_BASE || gpa - EXO_MMIO_BASE >= EXO_MMIO_STRIDE)
		return;
	if (write)
		mmio_write(&m, gpa - EXO_MMIO_BASE, value, sizeof(*value));
	else
		mmio_read(&m, gpa - EXO_MMIO_BASE, value, sizeof(*value));
}

static void build(void)
{
	static const struct mmio_ops mmio_ops = {.interrupt = on_interrupt};
	static const struct ioapic_ops ioapic_ops = {.send = on_send};
	static const struct platform_ops platform_ops = {on_end, on_access};

	drv_init(&drv);
	drv_attach(&drv, testdev_create(&drv.mem, &drv.host, TESTDEV_ECHO));
	mmio_init(&m, drv.dev, 0, &mmio_ops, NULL);
	ioapic_init(&ioapic, &ioapic_ops, NULL);
	platform = (struct platform){&platform_ops, NULL, &drv.mem, -1};
	bus = (struct bus){0};
	bus_add(&bus, EXO_PLATFORM_GPA, 0x1000, &platform_handler, &platform);
	bus_add(&bus, EXO_MMIO_BASE, EXO_MMIO_STRIDE, &slot_handler, NULL);
	bus_add(&bus, EXO_IOAPIC_GPA, 0x1000, &ioapic_handler, &ioapic);
	raised = sent = ends = 0;
}

/* ---- steps --------------------------------------------------------------------- */

/* Mostly registers as they are meant to be used, now and then anything at all. */
static void access_something(uint8_t how)
{
	static const gpa_t base[] = {EXO_MMIO_BASE, EXO_MMIO_BASE, EXO_PLATFORM_GPA,
				     EXO_IOAPIC_GPA};
	bool wild = (how & 0xe0) == 0xe0, write = how & 4;
	size_t len = wild ? 1 + take() % 8 : 4;
	gpa_t gpa = base[how & 3] + (wild ? take32() % 0x1010 : take() * 4u % 0x200);
	uint8_t data[16];
	uint32_t value = how & 8 ? take32() : take();

	memset(data, 0x5a, sizeof(data));
	memcpy(data, &value, sizeof(value));
	if (!wild && write && gpa >= EXO_PLATFORM_GPA + EXO_PLAT_FAULT &&
	    gpa < EXO_PLATFORM_GPA + 0x30) {
		len = 8;
		memset(data + 4, 0, 4);
	}
	if (!wild &&
	    (gpa == EXO_PLATFORM_GPA + EXO_PLAT_SLEEP || gpa == EXO_PLATFORM_GPA + EXO_PLAT_RESET))
		len = 1;
	may_end = write && gpa >= EXO_PLATFORM_GPA && gpa < EXO_PLATFORM_GPA + 0x28;
	bus_access(&bus, gpa, write, data, len);
	may_end = false;
	if (!write && len < 8)
		must(data[len] == (len < 4 ? (uint8_t)(value >> (8 * len)) : 0x5a));
}

static void poke(void)
{
	gpa_t gpa = (take() | (gpa_t)take() << 8) * 4;
	uint32_t value = take32();

	gmem_write(&drv.mem, gpa, &value, sizeof(value));
}

static void batch(void)
{
	struct exo_batch head = {.count = take()};
	struct exo_batch_op op;
	gpa_t gpa = BATCH_GPA;
	uint64_t where = BATCH_GPA;

	if (head.count == 0xff)
		head.count = take32();
	gmem_write(&drv.mem, gpa, &head, sizeof(head));
	for (unsigned i = 0; i < 8; i++) {
		op = (struct exo_batch_op){(uint32_t)EXO_MMIO_BASE + take() * 4u % 0x180,
					   take() & 1, take(), 0};
		gmem_write(&drv.mem, gpa + sizeof(head) + i * sizeof(op), &op, sizeof(op));
	}
	if (take() == 0xff)
		where = take32();
	bus_access(&bus, EXO_PLATFORM_GPA + EXO_PLAT_BATCH, true, &where, sizeof(where));
}

/* What holds at any time, whatever the guest does. */
static void check(void)
{
	uint8_t status = m.dev->status;
	uint32_t id = 0;

	bus_access(&bus, EXO_MMIO_BASE + VIRTIO_MMIO_DEVICE_ID, false, &id, sizeof(id));
	must(id == TESTDEV_ID);
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		must(status & VIRTIO_CONFIG_S_FEATURES_OK);
	if (status & VIRTIO_CONFIG_S_FEATURES_OK)
		must((status & VIRTIO_CONFIG_S_DRIVER) &&
		     !(m.dev->features_ok & ~m.dev->features_offered));
	if (status & VIRTIO_CONFIG_S_DRIVER)
		must(status & VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (m.dev->running)
		must(status & VIRTIO_CONFIG_S_DRIVER_OK && !(status & VIRTIO_CONFIG_S_NEEDS_RESET));
	must(sent <= raised + STEPS_MAX && m.dev->nqueues == TESTDEV_QUEUES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned sends = 0; /* as many as the driver has descriptors for */

	in = data;
	in_left = size;
	build();
	if ((take() & 1) && drv_start(&drv, DRV_ALL_FEATURES))
		sends = SENDS_MAX;
	m.dev->transport = &m.transport; /* not the in-memory driver's */
	for (unsigned step = 0; in_left && step < STEPS_MAX; step++) {
		uint8_t how = take();

		if ((how & 0xf0) == 0x10)
			poke();
		else if ((how & 0xf8) == 0x20)
			batch();
		else if ((how & 0xf0) == 0x30 && sends && sends--)
			drv_send(&drv, how % TESTDEV_QUEUES, "data", 4);
		else
			access_something(how);
		check();
	}
	drv_finish(&drv);
	return 0;
}
