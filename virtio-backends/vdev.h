/*
 * The virtio device interface: what a device offers to a transport and what it
 * may ask of it (VIRTIO 1.2, 2.1–2.7). A device knows neither registers nor
 * interrupts nor vCPUs nor KVM; a transport knows no device.
 *
 * Locking: the transport holds vdev.lock around every callback below and
 * around register accesses of the guest. A device that does work of its own
 * (an fd became ready, an I/O completed) is called through its `poll` callback
 * by the event loop, which holds the same lock. So a device never locks.
 *
 * Lifetime: create → (start → kick/poll… → reset)* → destroy. When reset
 * returns, the device touches no guest memory and completes nothing until the
 * next start: requests in flight are cancelled or drained (H-16).
 */
#ifndef VDEV_H
#define VDEV_H

#include "gmem.h"
#include "vq.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VDEV_QUEUES_MAX 16

struct vdev;

/*
 * How a device waits for the host: fds watched by the event loop of its
 * process. All are called with vdev.lock held. Edge cases (EPERM for regular
 * files) are the device's to handle. Implementations: vmm (epoll), the unit
 * tests' in-memory driver, backend_main (a device as its own process).
 */
struct vdev_host {
	void *opaque;
	/*
	 * Watches fd for events (EPOLLIN/EPOLLOUT, level-triggered; 0 keeps it
	 * registered but silent). Re-arming an fd replaces its events. `token` is
	 * handed to the device's poll callback. 0 or -errno.
	 */
	int (*watch)(void *opaque, struct vdev *dev, int fd, uint32_t events, uint64_t token);
	/* Stops watching fd; the device still owns and closes it. */
	void (*unwatch)(void *opaque, struct vdev *dev, int fd);
	/*
	 * Calls the device's timer callback once at the CLOCK_MONOTONIC time
	 * `deadline_ns`; 0 cancels. One timer a device.
	 */
	void (*timer)(void *opaque, struct vdev *dev, uint64_t deadline_ns);
	/* Message to the owner of the device (console control, vsock connect requests…). */
	void (*event)(void *opaque, struct vdev *dev, const void *msg, size_t len);

	/*
	 * The four below: NULL where there is no shared memory region
	 * (vdev.shm_bytes 0), and the device then offers nothing that needs it;
	 * but map without VDEV_MAP_GUEST is there whenever map is.
	 *
	 * Maps `bytes` (page-aligned) of a memfd from its start, shared, at an
	 * address of the host's choice: in *host. With VDEV_MAP_GUEST it is also
	 * in the device's shared memory region, at *offset. fd stays the
	 * caller's, who may close it. 0 or -errno: -ENOSPC (the region is full).
	 * Only for fds whose size is sealed: a shorter file would be a SIGBUS.
	 */
	int (*map)(void *opaque, struct vdev *dev, int fd, uint64_t bytes, unsigned flags,
		   void **host, uint64_t *offset);
	/*
	 * Takes it away: at once, also for a vCPU that is using it, which finds
	 * memory of its own there that means nothing.
	 */
	void (*unmap)(void *opaque, struct vdev *dev, void *host, uint64_t bytes);
	/*
	 * Gives the guest a doorbell that rings the eventfd: *value is what it
	 * writes. Owns fd in any case. Calls with the same key share one value
	 * and are counted. The first call also opens the way for the guest's own
	 * eventfd (of the configuration) to interrupt as a used buffer would. 0 or -errno.
	 */
	int (*bell)(void *opaque, struct vdev *dev, int fd, uint32_t key, uint32_t *value);
	/* Takes one count away; at 0, the doorbell: by and by, or now. */
	void (*unbell)(void *opaque, struct vdev *dev, uint32_t value, bool now);
};

#define VDEV_MAP_GUEST 1u
#define VDEV_MAP_READ_ONLY 2u

/* One static const per device type, designated initializers. */
struct vdev_class {
	const char *name;        /* "virtio-console" */
	uint32_t device_id;      /* VIRTIO_ID_* */
	uint64_t features;       /* always offered; the core adds the ring features */
	unsigned nqueues;        /* upper bound; a device may use fewer: vdev.nqueues */
	uint16_t queue_size_max; /* power of two, the same for all its queues */
	size_t config_bytes;     /* size of the config space */

	/*
	 * The driver set DRIVER_OK with the features in dev->features_ok; the
	 * queues in dev->vq are ready. Optional.
	 */
	void (*start)(struct vdev *dev);
	/* The driver rang queue `q` (q < nqueues, enabled, device running). Required. */
	void (*kick)(struct vdev *dev, unsigned q);
	/* A watched fd is ready (EPOLL* bits). Optional. */
	void (*poll)(struct vdev *dev, int fd, uint32_t events, uint64_t token);
	/* The timer armed with vdev_host.timer fired. Optional. */
	void (*timer)(struct vdev *dev);
	/* Back to the state before start: see Lifetime. Optional. */
	void (*reset)(struct vdev *dev);
	/* Frees what create allocated, closes the fds it owns. NULL-safe on half-made devices. */
	void (*destroy)(struct vdev *dev);
	/*
	 * Config space. The core answers out-of-range accesses by itself (reads 0,
	 * writes dropped, H-18) and only passes accesses inside config_bytes.
	 * Optional: without config_read it reads from dev->config.
	 */
	void (*config_read)(struct vdev *dev, size_t off, void *dst, size_t len);
	void (*config_write)(struct vdev *dev, size_t off, const void *src, size_t len);
};

/*
 * The common part of a device; devices embed it first. Fields marked (T) belong
 * to the transport core (vdev.c), (D) to the device.
 */
struct vdev {
	const struct vdev_class *cls; /* (D) at create */
	const struct gmem *mem;       /* (D) at create */
	const struct vdev_host *host; /* (D) at create */
	uint64_t features_offered;    /* (D) at create: cls->features plus per-instance ones */
	void *config;                 /* (D) cls->config_bytes bytes, or NULL with config_read */
	unsigned nqueues;             /* (D) at create, ≤ cls->nqueues */
	char name[16];                /* (D) instance name for messages and the boot block */
	uint64_t shm_base, shm_bytes; /* shared memory region (2.10), set by the owner; 0: none */
	uint32_t shm_id;              /* (D) of that region */

	pthread_mutex_t lock;             /* (T) */
	uint64_t features_driver;         /* (T) what the driver wrote; features_ok once accepted */
	bool features_bad;                /* (T) the driver asked for bits above 63 */
	uint64_t features_ok;             /* (T) negotiated, valid from start */
	uint8_t status;                   /* (T) VIRTIO_CONFIG_S_* */
	bool running;                     /* (T) DRIVER_OK and not failed */
	struct vq vq[VDEV_QUEUES_MAX];    /* (T) configuration; the device uses the vq_* verbs */
	uint32_t config_generation;       /* (T) */
	struct vdev_transport *transport; /* (T) */
	uint64_t kicks;                   /* (T) statistics */
	const char *failed_why;           /* (T) argument of the first vdev_fail since create */
};

/* How the core reaches the driver; implemented by each transport. */
struct vdev_transport {
	void *opaque;
	/* Used-buffer notification of queue q (interrupt). */
	void (*notify_queue)(void *opaque, struct vdev *dev, unsigned q);
	/* Configuration-change notification. */
	void (*notify_config)(void *opaque, struct vdev *dev);
};

/* ---- upcalls, for devices (lock held) ---------------------------------- */

/* Configuration space changed: bumps the generation, notifies the driver. */
void vdev_config_changed(struct vdev *dev);

/*
 * Fatal error caused by the driver: stops the queues, sets DEVICE_NEEDS_RESET
 * and, if DRIVER_OK was set, sends a configuration-change notification
 * (VIRTIO 1.2, 2.1.2). `why` is a constant string for the counters; not logged
 * more than once a device.
 */
void vdev_fail(struct vdev *dev, const char *why);

static inline bool vdev_has_feature(const struct vdev *dev, unsigned bit)
{
	return dev->features_ok >> bit & 1;
}

/* ---- for transports (lock taken inside) -------------------------------- */

void vdev_init(struct vdev *dev, const struct vdev_class *cls, const struct gmem *mem,
	       const struct vdev_host *host); /* for devices' create */

/* The device-status register. Implements the state machine of 2.1 and 3.1 (H-15). */
uint8_t vdev_status(struct vdev *dev);
void vdev_set_status(struct vdev *dev, uint8_t status);

/* 32-bit halves of the feature words, selected as virtio-mmio and -pci do. */
uint32_t vdev_features(struct vdev *dev, unsigned word);
void vdev_set_driver_features(struct vdev *dev, unsigned word, uint32_t bits);

/* Queue configuration; ignored (or reads 0) where illegal or frozen (H-12 to H-14). */
uint16_t vdev_queue_max(struct vdev *dev, unsigned q);
void vdev_queue_set_size(struct vdev *dev, unsigned q, uint32_t size);
void vdev_queue_set_addr(struct vdev *dev, unsigned q, enum vq_part part, bool high, uint32_t half);
void vdev_queue_set_ready(struct vdev *dev, unsigned q, bool ready);
bool vdev_queue_ready(struct vdev *dev, unsigned q);
uint32_t vdev_config_generation(struct vdev *dev);

/*
 * The doorbell. Out of range or not running: ignored. Returns how many readable bytes
 * the chains had that the device took.
 */
uint64_t vdev_kick(struct vdev *dev, unsigned q);

void vdev_config_read(struct vdev *dev, size_t off, void *dst, size_t len);
void vdev_config_write(struct vdev *dev, size_t off, const void *src, size_t len);

/* For the event loop: takes the lock and calls the device if it is still interested. */
void vdev_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token);
void vdev_timer(struct vdev *dev);

/* Resets and frees the device. NULL-safe. */
void vdev_destroy(struct vdev *dev);

#endif
