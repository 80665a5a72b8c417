/*
 * Split virtqueues, device side (VIRTIO 1.2, 2.7): the rings, and chains read
 * through bounded cursors. Everything a guest writes is copied once and then
 * validated here, so that no device repeats it:
 *   head and next below the size (H-08); walks bounded by the size and by 4 GiB
 *   (H-01); indirect tables checked (H-02); address + length inside one RAM
 *   region (H-03, H-17); readable before writable (H-06); the avail index at
 *   most `size` ahead (H-07); one in-flight bit a head (H-09).
 *
 * Called with the device's lock held; the guest's vCPUs run concurrently.
 */
#ifndef VQ_H
#define VQ_H

#include "gmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VQ_SIZE_MAX 1024
#define VQ_SEGMENTS_MAX 256 /* descriptors in one chain; a longer one is malformed */

enum vq_part { VQ_DESC, VQ_AVAIL, VQ_USED };

struct vq {
	/* Configuration, written by the transport core before DRIVER_OK. */
	uint16_t size_max;
	uint16_t size;
	bool ready;
	gpa_t desc, avail, used;

	/* Running state; private to vq.c. */
	const struct gmem *mem;
	bool event_idx, indirect;
	bool broken;         /* malformed: takes and publishes nothing any more */
	bool armed;          /* the driver rings when it adds entry next_avail */
	uint16_t avail_seen; /* avail index last fetched and checked */
	uint16_t next_avail; /* next avail entry to take */
	uint16_t next_used;  /* next used entry to fill */
	uint16_t signalled;  /* used index at the last notification decision */
	uint16_t inflight;   /* chains taken and not completed */
	uint64_t read_bytes; /* readable bytes of all chains taken; statistics */
	uint8_t *desc_ptr, *avail_ptr, *used_ptr;
	uint64_t inflight_map[VQ_SIZE_MAX / 64];
};

struct vq_seg {
	uint8_t *ptr; /* guest memory, validated; shared with the running guest */
	uint32_t len;
	gpa_t gpa;
};

/* Where reading, or writing, has got to. */
struct vq_cursor {
	uint16_t seg;
	uint32_t off;  /* in it */
	uint64_t left; /* bytes beyond */
};

/*
 * A taken chain: first the segments the device reads, then those it writes.
 * Plain data with no reference to the descriptor table, so the guest cannot
 * change it any more (H-11). Reading through the cursor verbs copies once.
 */
struct vq_chain {
	uint16_t head;
	uint16_t nread, nwrite; /* segments */
	uint64_t read_bytes;    /* total readable, ≤ 4 GiB */
	uint64_t write_bytes;   /* total writable, ≤ 4 GiB */
	struct vq_cursor r, w;
	const struct gmem *mem;
	struct vq_seg seg[VQ_SEGMENTS_MAX]; /* nread readable, then nwrite writable */
};

/*
 * Prepares the ring at DRIVER_OK. 0, or -EINVAL when size or addresses are
 * unusable (the core then refuses to run the device).
 */
int vq_start(struct vq *q, const struct gmem *mem, bool event_idx, bool indirect);
void vq_stop(struct vq *q);

/* Could vq_start succeed with this size and these addresses? */
bool vq_valid(const struct vq *q, const struct gmem *mem);

/*
 * Takes the next chain: 1 with *c filled, 0 when the ring is empty (doorbell
 * suppression has been re-enabled and re-checked), or -EINVAL when the ring is
 * malformed: the caller calls vdev_fail and stops.
 */
int vq_next(struct vq *q, struct vq_chain *c);

/* Puts the chain last taken back, as if it had not been taken. */
void vq_unget(struct vq *q, const struct vq_chain *c);

/* Asks the driver for no more doorbells until vq_next finds the ring empty. */
void vq_disable_doorbell(struct vq *q);

/*
 * Asks for a doorbell when the driver adds the next chain; true if one is
 * there already, for which no doorbell will come. vq_next does this by itself
 * when it finds the ring empty; this is for a device that stops at vq_has_next.
 */
bool vq_enable_doorbell(struct vq *q);

/* Is there an available chain? Does not take it, does not touch suppression. */
bool vq_has_next(const struct vq *q);

/*
 * Completes a chain: `written` bytes were written to its writable segments
 * (≤ write_bytes). In any order. Not visible to the driver before vq_flush.
 */
void vq_complete(struct vq *q, uint16_t head, uint32_t written);

/*
 * Publishes completed chains and says whether the driver wants an interrupt
 * (EVENT_IDX or the NO_INTERRUPT flag, 2.7.10). The caller then calls
 * vq_notify() — see vdev.c — or lets vdev_flush do both.
 */
bool vq_flush(struct vq *q);

/* ---- cursors ------------------------------------------------------------ */

/* Bytes left to read / to write. */
uint64_t vq_readable(const struct vq_chain *c);
uint64_t vq_writable(const struct vq_chain *c);

/* Copies up to len bytes and advances; the count copied (short only at the end). */
size_t vq_read(struct vq_chain *c, void *dst, size_t len);
size_t vq_write(struct vq_chain *c, const void *src, size_t len);
size_t vq_skip_read(struct vq_chain *c, size_t len);
size_t vq_skip_write(struct vq_chain *c, size_t len);

/*
 * Up to max iovecs that cover the next (at most) len bytes at the cursor, for
 * host I/O straight into guest memory; does not advance. Returns the number of
 * iovecs; *total is the bytes they cover.
 */
struct iovec;
unsigned vq_read_iov(const struct vq_chain *c, struct iovec *iov, unsigned max, size_t len,
		     size_t *total);
unsigned vq_write_iov(const struct vq_chain *c, struct iovec *iov, unsigned max, size_t len,
		      size_t *total);

struct vdev;
/* vq_flush plus the interrupt, for queue q of dev. */
void vdev_flush(struct vdev *dev, unsigned q);

#endif
