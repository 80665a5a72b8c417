/*
 * Private to block.c (requests, the device) and block_step.c (what the host is
 * asked to do). Called with the device's lock held.
 */
#ifndef BLOCK_IMPL_H
#define BLOCK_IMPL_H

#include "block.h"

#include <liburing.h>
#include <linux/virtio_blk.h>
#include <sys/uio.h>

#define SECTOR 512u
#define ZEROES_BYTES 65536u
#define BOUNCE_BYTES 32768u

enum step { STEP_DATA, STEP_RANGE, STEP_ZEROES, STEP_SYNC };

/* How a range is zeroed, best first; the host may not know the first two. */
enum method { METHOD_PUNCH, METHOD_ZERO_RANGE, METHOD_WRITE };

struct range {
	uint64_t off, bytes;
	bool unmap;
};

struct request {
	uint16_t head;
	uint8_t step;   /* enum step */
	uint8_t method; /* enum method, for STEP_RANGE */
	uint8_t retries;
	uint8_t status;      /* VIRTIO_BLK_S_*, so far */
	bool bounced;        /* through b->bounce, in pieces */
	uint32_t type;       /* VIRTIO_BLK_T_* */
	uint8_t *status_ptr; /* guest memory */
	uint64_t off, left;  /* STEP_DATA, STEP_ZEROES: what is still to do */
	uint64_t in;         /* room for data in guest memory, before the status */
	uint64_t filled;     /* of it, what has been written */
	unsigned iov_first, iov_end;
	unsigned range_now, range_end;
	struct range range[BLOCK_RANGES_MAX];
	struct iovec iov[VQ_SEGMENTS_MAX];
};

struct block {
	struct vdev dev;
	struct virtio_blk_config config;
	int fd;
	bool read_only;
	bool direct; /* O_DIRECT: what is not aligned goes through a bounce buffer */
	bool watching;
	bool draining; /* reset: completions are only counted */
	uint64_t bytes;
	char serial[VIRTIO_BLK_ID_BYTES];
	unsigned refused; /* bits 1 << enum method: the host can't, so it isn't tried again */

	bool uring_ok;
	struct io_uring uring;

	/* Requests used before come first, so that a quiet disk touches few pages. */
	unsigned inflight, nfree, nfresh;
	uint8_t free[BLOCK_INFLIGHT_MAX];
	struct vq_chain chain; /* the one being decoded */
	struct request request[BLOCK_INFLIGHT_MAX];
	/* Pages of these come into being when they are used. */
	uint8_t zeroes[ZEROES_BYTES] __attribute__((aligned(4096))); /* never written */
	uint8_t bounce[BLOCK_INFLIGHT_MAX][BOUNCE_BYTES] __attribute__((aligned(4096)));
};

/* Chooses the first step. False: there is nothing to do at all. */
bool step_first(struct block *b, struct request *r);
/* Fills in the operation for the request's current step. */
void step_prepare(struct block *b, struct request *r, struct io_uring_sqe *sqe);
/* The same step as a plain system call; its result, or -errno. */
int step_run(struct block *b, struct request *r);
/* Takes the result of a step in: is there another one? If not, r->status is final. */
bool step_done(struct block *b, struct request *r, int res);
/* Opens the ring, if the host lets us (b->uring_ok). 0 or -errno. */
int step_open_uring(struct block *b);

#endif
