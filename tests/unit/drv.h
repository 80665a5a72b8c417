/*
 * An in-memory virtio driver for tests: guest RAM between guard pages, split
 * rings with direct and indirect chains, and a vdev_host that the test pumps
 * with poll(). It drives a device through the transport functions of vdev.h,
 * as a guest does through registers. One thread. Anything unexpected on our
 * own side (no descriptors left, RAM used up) aborts.
 */
#ifndef DRV_H
#define DRV_H

#include "vdev.h"

#include <linux/virtio_ring.h>

/* Two regions, so that there is a hole to point at. */
#define DRV_LOW_BASE 0x0ull
#define DRV_LOW_BYTES 0x200000ull
#define DRV_HIGH_BASE 0x100000000ull
#define DRV_HIGH_BYTES 0x10000ull

#define DRV_ALL_FEATURES (~0ull)
#define DRV_NO_EVENT_IDX (~(1ull << VIRTIO_RING_F_EVENT_IDX))

#define DRV_WATCHES 64
#define DRV_EVENTS 64
#define DRV_MAPS 320
#define DRV_BELLS 16

struct drv_queue {
	uint16_t size; /* 0: not set up */
	gpa_t desc, avail, used;
	uint16_t avail_idx;         /* chains offered so far */
	uint16_t kicked;            /* avail_idx at the last doorbell decision */
	uint16_t used_idx;          /* chains collected so far */
	uint16_t next[VQ_SIZE_MAX]; /* of a direct chain, or 0xffff */
	bool busy[VQ_SIZE_MAX];
};

struct drv_watch {
	int fd; /* -1: free */
	uint32_t events;
	uint64_t token;
};

/* Shared memory that the device has mapped; in the guest's region: offset is not 0. */
struct drv_map {
	void *host; /* NULL: free */
	uint64_t bytes, offset;
};

struct drv_bell {
	int fd; /* -1: free */
	uint32_t key, count;
};

struct drv_event {
	size_t len;
	uint8_t bytes[128];
};

struct drv {
	struct gmem mem;
	struct vdev *dev;
	struct vdev_host host; /* for the device's create */
	struct vdev_transport transport;
	void *map[2];                 /* the regions with their guard pages */
	size_t low_bytes, high_bytes; /* their sizes without these */
	gpa_t brk;                    /* first RAM byte not handed out */
	uint16_t queue_size;          /* wanted for all queues; 64 unless changed */
	struct drv_queue q[VDEV_QUEUES_MAX];

	struct drv_watch watch[DRV_WATCHES];
	uint64_t timer_ns;                  /* armed deadline, 0: none */
	unsigned notified[VDEV_QUEUES_MAX]; /* interrupts by queue */
	unsigned config_notified;
	struct drv_event event[DRV_EVENTS]; /* upward messages, oldest first */
	unsigned nevents;

	/* Shared memory and doorbells; the value of a doorbell is its index + 1. */
	struct drv_map maps[DRV_MAPS];
	struct drv_bell bell[DRV_BELLS];
	unsigned nmaps;
	unsigned unbells_now;  /* doorbells taken away at once */
	uint64_t window_bytes; /* of the region; 0: unlimited */
	uint64_t window_used, next_offset;
};

struct drv_buf {
	gpa_t gpa;
	uint32_t len;
	bool write; /* the device writes it */
};

/* Maps RAM; d->mem and d->host are ready for a device's create. */
void drv_init(struct drv *d);
void drv_init_sized(struct drv *d, size_t low_bytes, size_t high_bytes); /* whole pages */
/* Destroys the device, if attached, and unmaps RAM. */
void drv_finish(struct drv *d);
/* Destroys the device and forgets what it did; RAM stays, for the next device. */
void drv_detach(struct drv *d);
/* Takes the device over and becomes its transport. */
void drv_attach(struct drv *d, struct vdev *dev);

/*
 * Reset, handshake, all queues, DRIVER_OK. Negotiates what is in both
 * `features` and the device's offer (VERSION_1 always). False when the device
 * does not run afterwards.
 */
bool drv_start(struct drv *d, uint64_t features);
/* The steps of drv_start, for tests that stray from the path. */
void drv_handshake(struct drv *d, uint64_t features); /* up to FEATURES_OK */
void drv_setup_queue(struct drv *d, unsigned q, uint16_t size);
void drv_set_queue_addrs(struct drv *d, unsigned q, gpa_t desc, gpa_t avail, gpa_t used);

/* ---- memory ------------------------------------------------------------- */

gpa_t drv_alloc(struct drv *d, size_t len, size_t align); /* zeroed RAM, low region */
void *drv_ptr(struct drv *d, gpa_t gpa, size_t len);      /* aborts outside RAM */

/* ---- rings --------------------------------------------------------------- */

struct vring_desc *drv_desc(struct drv *d, unsigned q, uint16_t i);
uint16_t *drv_avail_flags(struct drv *d, unsigned q);
uint16_t *drv_avail_idx(struct drv *d, unsigned q);
uint16_t *drv_avail_slot(struct drv *d, unsigned q, uint16_t i);
uint16_t *drv_used_event(struct drv *d, unsigned q);
uint16_t *drv_used_flags(struct drv *d, unsigned q);
uint16_t *drv_used_idx(struct drv *d, unsigned q);
uint16_t *drv_avail_event(struct drv *d, unsigned q);

/* Offer a chain; its head. Direct descriptors, or one that names a table. */
uint16_t drv_add(struct drv *d, unsigned q, const struct drv_buf *buf, unsigned n);
uint16_t drv_add_indirect(struct drv *d, unsigned q, const struct drv_buf *buf, unsigned n);
/* Puts any head into the avail ring. */
void drv_offer(struct drv *d, unsigned q, uint16_t head);

/* Rings the doorbell always, or only if the device wants it (then true). */
void drv_kick(struct drv *d, unsigned q);
bool drv_kick_if_wanted(struct drv *d, unsigned q);

/* Collects the next used element; false if there is none. */
bool drv_used(struct drv *d, unsigned q, uint32_t *id, uint32_t *len);
/* The same, pumping up to two seconds until there is one. */
bool drv_wait_used(struct drv *d, unsigned q, uint32_t *id, uint32_t *len);

/* Offers one readable buffer with a copy of the data, or a writable one; kicks. */
uint16_t drv_send(struct drv *d, unsigned q, const void *data, uint32_t len);
uint16_t drv_post(struct drv *d, unsigned q, uint32_t len, gpa_t *gpa);

/* ---- the host's side ---------------------------------------------------- */

/* What the guest finds at an offset of its region; NULL: nothing. */
void *drv_shm(const struct drv *d, uint64_t offset);
/* The guest writes the value to its doorbell. */
void drv_ring(struct drv *d, uint32_t value);
unsigned drv_bells(const struct drv *d); /* doorbells that are counted */

/* The watch on fd, or NULL. */
const struct drv_watch *drv_watch_of(const struct drv *d, int fd);
/*
 * Waits up to timeout_ms for watched fds and the timer and calls the device.
 * The number of callbacks made.
 */
unsigned drv_pump(struct drv *d, int timeout_ms);
/* Fires the timer now, whatever its deadline; false if none is armed. */
bool drv_fire_timer(struct drv *d);
/* The oldest upward message; false if there is none. */
bool drv_take_event(struct drv *d, struct drv_event *out);

bool drv_needs_reset(struct drv *d);

#endif
