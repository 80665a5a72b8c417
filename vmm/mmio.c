/* virtio over MMIO; see mmio.h. */
#include "mmio.h"

#include "clock.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#define MAGIC 0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR 0x454f5845u /* "EXOE" */
#define NO_SHM UINT64_MAX  /* length and base of a region that does not exist (4.2.2) */

static void raise(struct mmio *m, uint32_t cause)
{
	atomic_fetch_or(&m->interrupt_status, cause);
	atomic_fetch_add_explicit(&m->interrupts, 1, memory_order_relaxed);
	m->ops->interrupt(m->opaque, m);
}

static void notify_queue(void *opaque, struct vdev *dev, unsigned q)
{
	raise(opaque, VIRTIO_MMIO_INT_VRING);
}

static void notify_config(void *opaque, struct vdev *dev)
{
	raise(opaque, VIRTIO_MMIO_INT_CONFIG);
}

void mmio_init(struct mmio *m, struct vdev *dev, unsigned slot, const struct mmio_ops *ops,
	       void *opaque)
{
	*m = (struct mmio){
		.dev = dev,
		.ops = ops,
		.opaque = opaque,
		.slot = slot,
		.transport = {m, notify_queue, notify_config},
	};
	dev->transport = &m->transport;
}

static uint32_t shm_word(const struct mmio *m, uint64_t off)
{
	bool there = m->shm_sel == m->dev->shm_id && m->dev->shm_bytes;
	uint64_t bytes = there ? m->dev->shm_bytes : NO_SHM;
	uint64_t base = there ? m->dev->shm_base : NO_SHM;

	switch (off) {
	case VIRTIO_MMIO_SHM_LEN_LOW:
		return (uint32_t)bytes;
	case VIRTIO_MMIO_SHM_LEN_HIGH:
		return (uint32_t)(bytes >> 32);
	case VIRTIO_MMIO_SHM_BASE_LOW:
		return (uint32_t)base;
	}
	return (uint32_t)(base >> 32);
}

static uint32_t read_register(struct mmio *m, uint64_t off)
{
	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return m->dev->cls->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return vdev_features(m->dev, m->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return vdev_queue_max(m->dev, m->queue_sel);
	case VIRTIO_MMIO_QUEUE_READY:
		return vdev_queue_ready(m->dev, m->queue_sel);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return m->interrupt_status;
	case VIRTIO_MMIO_STATUS:
		return vdev_status(m->dev);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return shm_word(m, off);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return vdev_config_generation(m->dev);
	}
	return 0;
}

static void write_status(struct mmio *m, uint32_t value)
{
	vdev_set_status(m->dev, (uint8_t)value);
	if (!(uint8_t)value)
		m->interrupt_status = 0;
	if ((value & VIRTIO_CONFIG_S_DRIVER_OK) && !m->driver_ok_ns)
		m->driver_ok_ns = clock_now_ns();
}

/* Has there been an interrupt since this queue's last doorbell? */
static bool was_answered(struct mmio *m, uint32_t q)
{
	uint64_t now = m->interrupts;

	return atomic_exchange(&m->answered[q], now) != now;
}

static void notify(struct mmio *m, uint32_t q)
{
	bool answered = m->patient && q < m->dev->nqueues && was_answered(m, q);

	if (vdev_kick(m->dev, q) > MMIO_SMALL_BYTES)
		answered = false;
	if (q >= m->dev->nqueues || !m->ops->busy || m->kicks[q] >= MMIO_BUSY_KICKS)
		return;
	if (answered)
		m->kicks[q] = m->kicks[q] ? m->kicks[q] - 1 : 0;
	else if (atomic_fetch_add_explicit(&m->kicks[q], 1, memory_order_relaxed) + 1 ==
		 MMIO_BUSY_KICKS)
		m->ops->busy(m->opaque, m, q);
}

static void write_register(struct mmio *m, uint64_t off, uint32_t value)
{
	uint32_t q = m->queue_sel;

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		vdev_set_driver_features(m->dev, m->driver_features_sel, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_SHM_SEL:
		m->shm_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		vdev_queue_set_size(m->dev, q, value);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		vdev_queue_set_ready(m->dev, q, value & 1);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		notify(m, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		atomic_fetch_and(&m->interrupt_status, ~value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(m, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		vdev_queue_set_addr(m->dev, q, VQ_DESC, off == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		vdev_queue_set_addr(m->dev, q, VQ_AVAIL, off == VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
				    value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		vdev_queue_set_addr(m->dev, q, VQ_USED, off == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		break;
	}
}

void mmio_read(struct mmio *m, uint64_t off, void *data, size_t len)
{
	uint32_t value;

	memset(data, 0, len);
	if (off >= VIRTIO_MMIO_CONFIG) {
		vdev_config_read(m->dev, off - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len == sizeof(value) && off % sizeof(value) == 0) {
		value = read_register(m, off);
		memcpy(data, &value, sizeof(value));
	}
}

void mmio_write(struct mmio *m, uint64_t off, const void *data, size_t len)
{
	uint32_t value;

	if (off >= VIRTIO_MMIO_CONFIG) {
		vdev_config_write(m->dev, off - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len == sizeof(value) && off % sizeof(value) == 0) {
		memcpy(&value, data, sizeof(value));
		write_register(m, off, value);
	}
}
