/*
 * The driver side of virtio over MMIO (VIRTIO 1.2, 2.7 split rings, 4.2), as
 * all drivers here use it. Ring 3, one vCPU, never re-entered (posix.h).
 *
 * Registers are touched in lists (EXO_PLAT_BATCH, or the supervisor carries
 * the list out access by access), because each access from ring 3 is an exit.
 */
#ifndef DRIVERS_VIRTIO_H
#define DRIVERS_VIRTIO_H

#include <linux/virtio_ring.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_MAX_DEVICES 16
#define VIRTIO_FAILED (-1)

/* A device that was announced. */
struct virtio_dev {
	uint32_t gpa;
	uint32_t gsi;
	uint32_t id;       /* VIRTIO_ID_*; 0: not known before it is probed */
	char name[16];     /* of the grant, or "" */
	uint64_t features; /* agreed on */
	bool taken;        /* a driver has set it up */
};

/*
 * A split ring. The owner supplies the memory (virtq_bytes); descriptors are
 * kept as a free list. Indices from the device are checked before use.
 */
struct virtq {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t size;
	uint16_t index;      /* queue number */
	uint16_t avail_idx;  /* next to be published */
	uint16_t kicked_idx; /* avail_idx at the last look at the event index */
	uint16_t used_seen;
	uint16_t free_head;
	uint16_t nfree;
	bool event_idx;
	bool broken; /* the device broke the rules: nothing moves any more */
};

struct virtq_buf {
	const void *p;
	uint32_t len;
};

#define VIRTQ_ALIGN 16
/* Bytes for a ring of n descriptors: table, available ring, used ring. */
#define VIRTQ_BYTES(n) (((16 * (n) + 6 + 2 * (n) + 3) & ~3) + 6 + 8 * (n))
#define VIRTQ_SPACE(n) ((VIRTQ_BYTES(n) + VIRTQ_ALIGN - 1) & ~(VIRTQ_ALIGN - 1))

/* The devices, from the boot block or the command line; called once. */
void virtio_discover(void);
/* The n-th device of a kind that no driver has taken; NULL if there is none. */
struct virtio_dev *virtio_find(uint32_t id, unsigned n);

/* ---- register lists ---- */

/* Starts a list; returns nothing to free: there is one list at a time. */
void batch_begin(void);
void batch_write(const struct virtio_dev *d, uint32_t reg, uint32_t value);
/* Index for batch_value after batch_run. */
unsigned batch_read(const struct virtio_dev *d, uint32_t reg);
void batch_run(void);
uint32_t batch_value(unsigned index);

/* ---- set-up: reset … FEATURES_OK, then queues, then DRIVER_OK ---- */

/*
 * Resets the device and agrees on `wanted` as far as it is offered (VERSION_1
 * is always demanded, EVENT_IDX always asked for). 0, or -ENODEV if it refuses.
 * Config space is read by the caller afterwards (virtio_config_read).
 */
int virtio_negotiate(struct virtio_dev *d, uint64_t wanted);
/* Adds the set-up of a ring to the current list. */
void virtio_batch_ring(const struct virtio_dev *d, const struct virtq *r);
/*
 * The whole set-up in one list, with all of `wanted` demanded: reset, features,
 * rings, DRIVER_OK, then in the rings' order a notification of each that has
 * something in it. False if the device did not take it.
 */
bool virtio_setup_at_once(struct virtio_dev *d, uint64_t wanted, struct virtq *const *rings,
			  unsigned nrings);
/* The rest after virtio_negotiate: rings, DRIVER_OK, notifications, in one list. */
void virtio_setup_rings(struct virtio_dev *d, struct virtq *const *rings, unsigned nrings);
void virtio_config_read(const struct virtio_dev *d, unsigned offset, void *buf, unsigned len);
/* Acknowledges an interrupt where the machine wants it. */
void virtio_ack(const struct virtio_dev *d);

/* ---- rings ---- */

/* mem: VIRTQ_BYTES(size) zeroed bytes, aligned to VIRTQ_ALIGN. size: a power of two. */
void virtq_init(struct virtq *r, unsigned index, void *mem, uint16_t size, bool event_idx);
/*
 * Queues a chain: `out` buffers the device reads, then `in` buffers it writes.
 * Its head, by which it comes back, or -1 if there are too few descriptors.
 */
int virtq_add(struct virtq *r, const struct virtq_buf *bufs, unsigned out, unsigned in);
/* Makes the added chains visible; true if the device wants to be told. */
bool virtq_publish(struct virtq *r);
/* virtq_publish and, if wanted, the notification. */
void virtq_kick(const struct virtio_dev *d, struct virtq *r);
/* The next chain that came back: head, or -1. *len: bytes the device wrote. */
int virtq_pop(struct virtq *r, uint32_t *len);
/* Has a chain come back? */
bool virtq_has_used(const struct virtq *r);
/* Interrupt when the next chain comes back; true if one has already. */
bool virtq_irq_on(struct virtq *r);
void virtq_irq_off(struct virtq *r);

#endif
