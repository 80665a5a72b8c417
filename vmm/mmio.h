/*
 * virtio over MMIO, version 2 (VIRTIO 1.2, 4.2.2): the registers of one device
 * slot, carried out on a struct vdev. Any access is safe, whatever its offset,
 * width or value (hostile-guests H-14, H-18): control registers answer aligned
 * 32-bit accesses; anything else reads 0 and is dropped.
 *
 * The device's shared memory region (2.10), if it has one, is region 0. Queue
 * reset is not offered.
 *
 * Threads: registers from any vCPU thread; notifications from whoever runs the
 * device. The selectors are one word each, so guests that race with themselves
 * only confuse themselves.
 */
#ifndef MMIO_H
#define MMIO_H

#include "bus.h"
#include "vdev.h"

#include <stdatomic.h>

/*
 * Doorbells of a queue after which it is worth an ioeventfd. In a patient slot
 * those with little to take that come after an interrupt count the other way: a driver
 * that asks and waits for each answer gets it sooner if its own thread does the work.
 */
#define MMIO_BUSY_KICKS 16
#define MMIO_SMALL_BYTES 4096u /* little: of all chains together */

struct mmio;

struct mmio_ops {
	/* The slot's interrupt line: one edge. Called with the device's lock held. */
	void (*interrupt)(void *opaque, struct mmio *m);
	/* Queue q rang MMIO_BUSY_KICKS times by exits; once a queue. Optional. */
	void (*busy)(void *opaque, struct mmio *m, unsigned q);
};

struct mmio {
	struct vdev *dev;
	const struct mmio_ops *ops;
	void *opaque;
	unsigned slot;
	bool patient; /* set before the guest runs */
	struct vdev_transport transport;
	_Atomic uint32_t interrupt_status;
	_Atomic uint32_t device_features_sel, driver_features_sel, queue_sel, shm_sel;
	_Atomic uint32_t kicks[VDEV_QUEUES_MAX];
	_Atomic uint64_t answered[VDEV_QUEUES_MAX]; /* interrupts at the queue's last doorbell */
	_Atomic uint64_t interrupts;                /* statistics */
	_Atomic uint64_t driver_ok_ns; /* CLOCK_MONOTONIC of the first DRIVER_OK, or 0 */
};

/* Joins dev to the slot; the device stays the caller's. */
void mmio_init(struct mmio *m, struct vdev *dev, unsigned slot, const struct mmio_ops *ops,
	       void *opaque);

/* One access at `off` of the slot; len 1 to 8. */
void mmio_read(struct mmio *m, uint64_t off, void *data, size_t len);
void mmio_write(struct mmio *m, uint64_t off, const void *data, size_t len);

#endif
