/*
 * The part common to all virtio devices (VIRTIO 1.2, 2.1–2.7, 3.1): status,
 * features, queue configuration, configuration space, failure. Called by
 * transports from vCPU threads and from the event loop; everything happens
 * under vdev.lock.
 */
#include "vdev.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define RING_FEATURES \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC)

static void lock(struct vdev *dev)
{
	int r = pthread_mutex_lock(&dev->lock);

	assert(r == 0);
	(void)r;
}

static void unlock(struct vdev *dev)
{
	pthread_mutex_unlock(&dev->lock);
}

static void queue_defaults(struct vdev *dev)
{
	for (unsigned i = 0; i < dev->cls->nqueues; i++) {
		struct vq *q = &dev->vq[i];

		vq_stop(q);
		q->size_max = q->size = dev->cls->queue_size_max;
		q->ready = false;
		q->desc = q->avail = q->used = 0;
	}
}

void vdev_init(struct vdev *dev, const struct vdev_class *cls, const struct gmem *mem,
	       const struct vdev_host *host)
{
	assert(cls->nqueues <= VDEV_QUEUES_MAX && cls->queue_size_max <= VQ_SIZE_MAX);
	memset(dev, 0, sizeof(*dev));
	dev->cls = cls;
	dev->mem = mem;
	dev->host = host;
	dev->features_offered = cls->features | RING_FEATURES;
	dev->nqueues = cls->nqueues;
	pthread_mutex_init(&dev->lock, NULL);
	queue_defaults(dev);
}

/* ---- failure and configuration changes -------------------------------------- */

void vdev_config_changed(struct vdev *dev)
{
	dev->config_generation++;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		dev->transport->notify_config(dev->transport->opaque, dev);
}

void vdev_fail(struct vdev *dev, const char *why)
{
	if (!dev->failed_why)
		dev->failed_why = why;
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	for (unsigned i = 0; i < dev->nqueues; i++)
		dev->vq[i].broken = true;
	dev->running = false;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	vdev_config_changed(dev);
}

void vdev_flush(struct vdev *dev, unsigned q)
{
	if (vq_flush(&dev->vq[q]))
		dev->transport->notify_queue(dev->transport->opaque, dev, q);
}

/* ---- status ---------------------------------------------------------------------- */

/*
 * H-16: when this returns, no request is in flight any more. A device that was
 * never started has nothing to undo.
 */
static void reset(struct vdev *dev)
{
	if ((dev->status & VIRTIO_CONFIG_S_DRIVER_OK) && dev->cls->reset)
		dev->cls->reset(dev);
	dev->running = false;
	dev->status = 0;
	dev->features_driver = dev->features_ok = 0;
	dev->features_bad = false;
	queue_defaults(dev);
}

/* FEATURES_OK stays clear unless the driver wants what we can do (2.2, 6.1). */
static bool features_acceptable(const struct vdev *dev)
{
	return !dev->features_bad && !(dev->features_driver & ~dev->features_offered) &&
	       dev->features_driver >> VIRTIO_F_VERSION_1 & 1;
}

static void start(struct vdev *dev)
{
	bool event_idx = vdev_has_feature(dev, VIRTIO_RING_F_EVENT_IDX);
	bool indirect = vdev_has_feature(dev, VIRTIO_RING_F_INDIRECT_DESC);

	dev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	dev->running = true;
	for (unsigned i = 0; i < dev->nqueues; i++) {
		if (dev->vq[i].ready && vq_start(&dev->vq[i], dev->mem, event_idx, indirect))
			vdev_fail(dev, "queue unusable");
	}
	if (dev->running && dev->cls->start)
		dev->cls->start(dev);
}

/*
 * One new bit of the handshake of 3.1.1: each bit needs the one before it. Bits
 * are taken in this order also when one write sets several.
 */
static void advance(struct vdev *dev, uint8_t bit)
{
	switch (bit) {
	case VIRTIO_CONFIG_S_ACKNOWLEDGE:
		dev->status |= bit;
		break;
	case VIRTIO_CONFIG_S_DRIVER:
		if (dev->status & VIRTIO_CONFIG_S_ACKNOWLEDGE)
			dev->status |= bit;
		break;
	case VIRTIO_CONFIG_S_FEATURES_OK:
		if (!(dev->status & VIRTIO_CONFIG_S_DRIVER) || !features_acceptable(dev))
			break;
		dev->features_ok = dev->features_driver;
		dev->status |= bit;
		break;
	case VIRTIO_CONFIG_S_DRIVER_OK:
		if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
			start(dev);
		break;
	}
}

static void set_status(struct vdev *dev, uint8_t status)
{
	static const uint8_t order[] = {VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER,
					VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER_OK};

	if (!status) {
		reset(dev);
		return;
	}
	/* A driver only adds bits; NEEDS_RESET is ours. After a failure only reset counts. */
	if (dev->status & ~status & ~VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	if (dev->status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED))
		return;
	for (unsigned i = 0; i < sizeof(order); i++) {
		if (status & ~dev->status & order[i])
			advance(dev, order[i]);
	}
	dev->status |= status & VIRTIO_CONFIG_S_FAILED;
}

uint8_t vdev_status(struct vdev *dev)
{
	uint8_t status;

	lock(dev);
	status = dev->status;
	unlock(dev);
	return status;
}

void vdev_set_status(struct vdev *dev, uint8_t status)
{
	lock(dev);
	set_status(dev, status);
	unlock(dev);
}

/* ---- features ------------------------------------------------------------------- */

uint32_t vdev_features(struct vdev *dev, unsigned word)
{
	return word < 2 ? dev->features_offered >> (32 * word) : 0; /* constant since create */
}

void vdev_set_driver_features(struct vdev *dev, unsigned word, uint32_t bits)
{
	lock(dev);
	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		; /* negotiated: frozen until reset */
	else if (word < 2)
		dev->features_driver = (dev->features_driver & ~(0xffffffffull << (32 * word))) |
				       (uint64_t)bits << (32 * word);
	else
		dev->features_bad |= bits != 0;
	unlock(dev);
}

/* ---- queues ------------------------------------------------------------------------- */

/* The queue if the driver may configure it now: exists, not live (H-13, H-14). */
static struct vq *configurable(struct vdev *dev, unsigned q)
{
	if (q >= dev->nqueues || (dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return NULL;
	return &dev->vq[q];
}

uint16_t vdev_queue_max(struct vdev *dev, unsigned q)
{
	return q < dev->nqueues ? dev->vq[q].size_max : 0; /* constant since create */
}

void vdev_queue_set_size(struct vdev *dev, unsigned q, uint32_t size)
{
	struct vq *vq;

	lock(dev);
	vq = configurable(dev, q);
	/* An unusable size becomes 0, with which the queue can't be enabled (H-12). */
	if (vq && !vq->ready)
		vq->size = size <= vq->size_max && !(size & (size - 1)) ? size : 0;
	unlock(dev);
}

void vdev_queue_set_addr(struct vdev *dev, unsigned q, enum vq_part part, bool high, uint32_t half)
{
	unsigned shift = high ? 32 : 0;
	struct vq *vq;

	lock(dev);
	vq = configurable(dev, q);
	if (vq && !vq->ready) {
		gpa_t *gpa = part == VQ_DESC    ? &vq->desc
			     : part == VQ_AVAIL ? &vq->avail
						: &vq->used;

		*gpa = (*gpa & ~(0xffffffffull << shift)) | (uint64_t)half << shift;
	}
	unlock(dev);
}

void vdev_queue_set_ready(struct vdev *dev, unsigned q, bool ready)
{
	struct vq *vq;

	lock(dev);
	vq = configurable(dev, q);
	if (vq)
		vq->ready = ready && vq_valid(vq, dev->mem);
	unlock(dev);
}

bool vdev_queue_ready(struct vdev *dev, unsigned q)
{
	bool ready;

	lock(dev);
	ready = q < dev->nqueues && dev->vq[q].ready;
	unlock(dev);
	return ready;
}

uint64_t vdev_kick(struct vdev *dev, unsigned q)
{
	uint64_t bytes = 0;

	lock(dev);
	if (q < dev->nqueues && dev->running && dev->vq[q].ready) {
		dev->kicks++;
		bytes = dev->vq[q].read_bytes;
		dev->cls->kick(dev, q);
		bytes = dev->vq[q].read_bytes - bytes;
	}
	unlock(dev);
	return bytes;
}

/* ---- configuration space (H-18) ---------------------------------------------------- */

void vdev_config_read(struct vdev *dev, size_t off, void *dst, size_t len)
{
	size_t size = dev->cls->config_bytes;
	size_t in = off >= size ? 0 : len < size - off ? len : size - off;

	memset((char *)dst + in, 0, len - in);
	if (!in)
		return;
	lock(dev);
	if (dev->cls->config_read)
		dev->cls->config_read(dev, off, dst, in);
	else
		memcpy(dst, (const char *)dev->config + off, in);
	unlock(dev);
}

void vdev_config_write(struct vdev *dev, size_t off, const void *src, size_t len)
{
	if (!dev->cls->config_write || off >= dev->cls->config_bytes ||
	    len > dev->cls->config_bytes - off)
		return;
	lock(dev);
	dev->cls->config_write(dev, off, src, len);
	unlock(dev);
}

uint32_t vdev_config_generation(struct vdev *dev)
{
	uint32_t generation;

	lock(dev);
	generation = dev->config_generation;
	unlock(dev);
	return generation;
}

/* ---- event loop and end ---------------------------------------------------------------- */

/*
 * Also when the device is not running: it may have something to put away, and
 * a level-triggered fd nobody looks at would keep the event loop spinning.
 */
void vdev_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	lock(dev);
	if (dev->cls->poll)
		dev->cls->poll(dev, fd, events, token);
	unlock(dev);
}

void vdev_timer(struct vdev *dev)
{
	lock(dev);
	if (dev->cls->timer)
		dev->cls->timer(dev);
	unlock(dev);
}

void vdev_destroy(struct vdev *dev)
{
	if (!dev)
		return;
	lock(dev);
	reset(dev);
	unlock(dev);
	pthread_mutex_destroy(&dev->lock);
	dev->cls->destroy(dev);
}
