/*
 * virtio-blk over a raw file or block device (VIRTIO 1.2, 5.2), one queue.
 * Runs in whichever thread rings the doorbell and in the event loop.
 *
 * A request is copied out of the ring and checked as a whole before anything
 * is done (H-25); then it goes through one or more steps (data, ranges, sync).
 * Each step is one io_uring operation straight between the file and guest
 * memory. All requests found by one doorbell are submitted by one system call,
 * and what the page cache could answer completes within it, without a wake-up;
 * the rest is announced by the ring's own fd, watched by the event loop.
 *
 * A file opened with O_DIRECT works too; requests whose memory is not aligned to
 * sectors are then copied through a buffer, in pieces.
 *
 * Guest RAM is not registered as a fixed buffer: that would pin, and so
 * allocate, all of it, and only saves work for O_DIRECT.
 *
 * System calls after create: io_uring_enter, clock_gettime; without io_uring
 * preadv, pwritev, fallocate and fdatasync. The ring accepts the disk's own
 * operations on the disk's own file only. Its helper threads belong to this
 * process: RLIMIT_NPROC 0 would make what can't complete at once an I/O error.
 *
 * Limit: reset waits for the operations the host has begun (at most
 * BLOCK_INFLIGHT_MAX), so it takes as long as the host's disk does.
 */
#include "block_impl.h"
#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUEUE_SIZE 256
#define BUDGET 512 /* chains and completions in one call: others get their turn */
#define RESUBMIT_NS 1000000u

static struct block *block_of(struct vdev *dev)
{
	return (struct block *)dev; /* dev is its first member */
}

/* ---- request pool ------------------------------------------------------- */

static struct request *request_get(struct block *b)
{
	struct request *r;

	if (!b->nfree && b->nfresh == BLOCK_INFLIGHT_MAX)
		return NULL;
	r = &b->request[b->nfree ? b->free[--b->nfree] : b->nfresh++];
	b->inflight++;
	return r;
}

static void request_put(struct block *b, struct request *r)
{
	b->free[b->nfree++] = r - b->request;
	b->inflight--;
}

/* ---- decoding: nothing is done before all of it is known to be right ------- */

/* A range of whole sectors on the disk? *off is its first byte. */
static bool on_disk(const struct block *b, uint64_t sector, uint64_t bytes, uint64_t *off)
{
	if (sector > b->bytes / SECTOR || bytes > b->bytes - sector * SECTOR || bytes % SECTOR)
		return false;
	*off = sector * SECTOR;
	return true;
}

static uint8_t decode_data(struct block *b, struct request *r, uint64_t sector, uint64_t out)
{
	size_t total;

	/* Data in the wrong direction is not a transfer of nothing. */
	r->left = r->type == VIRTIO_BLK_T_IN ? r->in : out;
	if ((r->type == VIRTIO_BLK_T_IN ? out : r->in) || !on_disk(b, sector, r->left, &r->off))
		return VIRTIO_BLK_S_IOERR;
	if (r->type == VIRTIO_BLK_T_IN)
		r->iov_end = vq_write_iov(&b->chain, r->iov, VQ_SEGMENTS_MAX, r->in, &total);
	else
		r->iov_end = vq_read_iov(&b->chain, r->iov, VQ_SEGMENTS_MAX, out, &total);
	r->iov_first = 0;
	r->step = STEP_DATA;
	return VIRTIO_BLK_S_OK;
}

static uint8_t decode_ranges(struct block *b, struct request *r, uint64_t out)
{
	uint32_t known =
		r->type == VIRTIO_BLK_T_WRITE_ZEROES ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	struct virtio_blk_discard_write_zeroes dw;
	struct range *range;

	if (!out || out % sizeof(dw) || out / sizeof(dw) > BLOCK_RANGES_MAX)
		return VIRTIO_BLK_S_IOERR;
	r->range_now = r->range_end = 0;
	while (vq_read(&b->chain, &dw, sizeof(dw))) {
		range = &r->range[r->range_end];
		if (dw.flags & ~known)
			return VIRTIO_BLK_S_UNSUPP;
		range->bytes = (uint64_t)dw.num_sectors * SECTOR;
		range->unmap = r->type == VIRTIO_BLK_T_DISCARD || dw.flags;
		if (dw.num_sectors > BLOCK_RANGE_SECTORS_MAX ||
		    !on_disk(b, dw.sector, range->bytes, &range->off))
			return VIRTIO_BLK_S_IOERR;
		r->range_end += dw.num_sectors != 0;
	}
	r->step = STEP_RANGE;
	return VIRTIO_BLK_S_OK;
}

static uint8_t decode_id(struct block *b, struct request *r)
{
	r->filled = vq_write(&b->chain, b->serial,
			     sizeof(b->serial) < r->in ? sizeof(b->serial) : r->in);
	return VIRTIO_BLK_S_OK;
}

/* The status the request has before any I/O; S_OK: go on. */
static uint8_t decode_type(struct block *b, struct request *r, uint64_t sector)
{
	uint64_t out = vq_readable(&b->chain);

	switch (r->type) {
	case VIRTIO_BLK_T_OUT:
		if (b->read_only)
			return VIRTIO_BLK_S_IOERR;
		return decode_data(b, r, sector, out);
	case VIRTIO_BLK_T_IN:
		return decode_data(b, r, sector, out);
	case VIRTIO_BLK_T_FLUSH:
		r->step = STEP_SYNC;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (b->read_only)
			return VIRTIO_BLK_S_IOERR;
		if (!vdev_has_feature(&b->dev, r->type == VIRTIO_BLK_T_DISCARD
						       ? VIRTIO_BLK_F_DISCARD
						       : VIRTIO_BLK_F_WRITE_ZEROES))
			return VIRTIO_BLK_S_UNSUPP;
		return decode_ranges(b, r, out);
	case VIRTIO_BLK_T_GET_ID:
		return decode_id(b, r);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Fills in r from b->chain. False when there is not even a byte for the status. */
static bool decode(struct block *b, struct request *r)
{
	struct virtio_blk_outhdr hdr = {0};
	struct iovec status;
	size_t total;

	if (!vq_writable(&b->chain))
		return false;
	r->head = b->chain.head;
	r->type = UINT32_MAX;
	r->in = vq_writable(&b->chain) - 1; /* the status is the last byte */
	r->filled = r->left = 0;
	r->retries = 0;
	if (vq_read(&b->chain, &hdr, sizeof(hdr)) == sizeof(hdr)) {
		r->type = hdr.type;
		r->status = decode_type(b, r, hdr.sector);
	} else {
		r->status = VIRTIO_BLK_S_IOERR;
	}
	vq_skip_write(&b->chain, vq_writable(&b->chain) - 1);
	vq_write_iov(&b->chain, &status, 1, 1, &total);
	r->status_ptr = status.iov_base;
	return true;
}

/* ---- the life of a request ----------------------------------------------------- */

/*
 * The used length counts the bytes written from the start of the buffer on: the
 * status byte is among them only when nothing before it was left out.
 */
static void finish(struct block *b, struct request *r)
{
	uint64_t len = r->filled + (r->filled == r->in);

	*r->status_ptr = r->status;
	vq_complete(&b->dev.vq[0], r->head, len < UINT32_MAX ? len : UINT32_MAX);
	request_put(b, r);
}

static void issue(struct block *b, struct request *r)
{
	struct io_uring_sqe *sqe;

	if (b->uring_ok) {
		sqe = io_uring_get_sqe(&b->uring);
		assert(sqe); /* as many entries as requests, one step of each at a time */
		step_prepare(b, r, sqe);
		return;
	}
	while (step_done(b, r, step_run(b, r)))
		;
	finish(b, r);
}

/* Takes what the driver offers. The number of chains taken; less than *budget. */
static unsigned take(struct block *b, unsigned *budget)
{
	struct request *r;
	unsigned n = 0;
	int rc;

	while (b->dev.running && *budget && (r = request_get(b))) {
		rc = vq_next(&b->dev.vq[0], &b->chain);
		if (rc < 0 || (rc && !decode(b, r)))
			vdev_fail(&b->dev, rc < 0 ? "malformed ring" : "no room for a status");
		if (rc <= 0 || !b->dev.running) {
			request_put(b, r);
			break;
		}
		if (step_first(b, r))
			issue(b, r);
		else
			finish(b, r);
		n++;
		--*budget;
	}
	return n;
}

/* Handles at most *budget completions; their number. */
static unsigned reap(struct block *b, unsigned *budget)
{
	struct io_uring_cqe *cqe;
	unsigned n = 0;

	while (*budget && !io_uring_peek_cqe(&b->uring, &cqe)) {
		struct request *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&b->uring, cqe);
		if (b->draining)
			request_put(b, r);
		else if (step_done(b, r, res))
			issue(b, r);
		else
			finish(b, r);
		n++;
		--*budget;
	}
	return n;
}

/* Everything there is to do now, up to a budget; the timer brings us back for the rest. */
static void run(struct block *b)
{
	const struct vdev_host *host = b->dev.host;
	unsigned budget = BUDGET, n;

	vq_disable_doorbell(&b->dev.vq[0]);
	do {
		n = take(b, &budget);
		if (!b->uring_ok)
			continue;
		if (io_uring_sq_ready(&b->uring))
			io_uring_submit(&b->uring);
		n += reap(b, &budget);
	} while (n && budget);
	vdev_flush(&b->dev, 0);
	if (b->uring_ok && io_uring_sq_ready(&b->uring))
		host->timer(host->opaque, &b->dev,
			    clock_now_ns() + RESUBMIT_NS); /* short of memory */
	else if (!budget)
		host->timer(host->opaque, &b->dev, 1);
}

/* ---- the device ------------------------------------------------------------------ */

static void block_start(struct vdev *dev)
{
	struct block *b = block_of(dev);

	if (!b->uring_ok)
		return;
	if (dev->host->watch(dev->host->opaque, dev, b->uring.ring_fd, EPOLLIN, 0))
		vdev_fail(dev, "event loop full");
	else
		b->watching = true;
}

static void block_kick(struct vdev *dev, unsigned q)
{
	run(block_of(dev));
}

static void block_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	run(block_of(dev));
}

static void block_timer(struct vdev *dev)
{
	if (dev->running)
		run(block_of(dev));
}

/*
 * H-16: begun operations are waited for, and not continued. The memory they
 * name stays untouched after this.
 */
static void block_reset(struct vdev *dev)
{
	struct block *b = block_of(dev);

	b->draining = true;
	while (b->inflight) {
		unsigned budget = BLOCK_INFLIGHT_MAX;
		int rc = io_uring_submit_and_wait(&b->uring, 1);

		assert(rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM);
		reap(b, &budget);
	}
	b->draining = false;
	if (b->watching)
		dev->host->unwatch(dev->host->opaque, dev, b->uring.ring_fd);
	b->watching = false;
	dev->host->timer(dev->host->opaque, dev, 0);
}

static void block_destroy(struct vdev *dev)
{
	struct block *b = block_of(dev);

	if (!b)
		return;
	if (b->uring_ok)
		io_uring_queue_exit(&b->uring);
	if (b->fd >= 0)
		close(b->fd);
	munmap(b, sizeof(*b));
}

static const struct vdev_class block_class = {
	.name = "virtio-blk",
	.device_id = VIRTIO_ID_BLOCK,
	.features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		    1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_FLUSH,
	.nqueues = 1,
	.queue_size_max = QUEUE_SIZE,
	.config_bytes = sizeof(struct virtio_blk_config),
	.start = block_start,
	.kick = block_kick,
	.poll = block_poll,
	.timer = block_timer,
	.reset = block_reset,
	.destroy = block_destroy,
};

static void fill_config(struct block *b)
{
	uint64_t features = 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;

	b->config.capacity = b->bytes / SECTOR;
	b->config.seg_max = VQ_SEGMENTS_MAX - 2; /* less header and status */
	b->config.blk_size = SECTOR;
	b->config.physical_block_exp = 3;
	b->config.min_io_size = 8;
	b->dev.config = &b->config;
	if (b->read_only) {
		b->dev.features_offered |= 1ull << VIRTIO_BLK_F_RO;
		return;
	}
	b->dev.features_offered |= features;
	b->config.max_discard_sectors = BLOCK_RANGE_SECTORS_MAX;
	b->config.max_discard_seg = BLOCK_RANGES_MAX;
	b->config.discard_sector_alignment = 8;
	b->config.max_write_zeroes_sectors = BLOCK_RANGE_SECTORS_MAX;
	b->config.max_write_zeroes_seg = BLOCK_RANGES_MAX;
	b->config.write_zeroes_may_unmap = 1;
}

struct vdev *block_create(const struct gmem *mem, const struct vdev_host *host,
			  const struct block_resources *res)
{
	struct block *b;
	int rc = 0;

	if (!res->bytes || res->bytes % SECTOR || res->bytes > INT64_MAX) {
		errno = EINVAL;
		return NULL;
	}
	/* All the memory it will ever use, reserved; a quiet disk touches a few pages. */
	b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b == MAP_FAILED)
		return NULL;
	madvise(b, sizeof(*b), MADV_NOHUGEPAGE);
	vdev_init(&b->dev, &block_class, mem, host);
	b->fd = res->fd;
	b->bytes = res->bytes;
	b->read_only = res->flags & BLOCK_READ_ONLY;
	b->direct = fcntl(res->fd, F_GETFL) & O_DIRECT;
	strncpy(b->dev.name, res->name, sizeof(b->dev.name) - 1);
	memcpy(b->serial, b->dev.name, sizeof(b->dev.name));
	fill_config(b);
	if (!(res->flags & BLOCK_NO_URING))
		rc = step_open_uring(b);
	if (rc)
		goto fail;
	return &b->dev;
fail:
	b->fd = -1; /* stays the caller's */
	block_destroy(&b->dev);
	errno = -rc;
	return NULL;
}

bool block_uses_uring(const struct vdev *dev)
{
	return ((const struct block *)dev)->uring_ok;
}
