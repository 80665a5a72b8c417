/*
 * virtio-blk: the steps of a request, as io_uring operations or plain system
 * calls, and how one follows from the result of another. Lock held, see
 * block_impl.h.
 */
#include "block_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#define RETRIES_MAX 16

/* ---- data ------------------------------------------------------------------ */

static void iov_advance(struct request *r, size_t n)
{
	while (n) {
		struct iovec *iov = &r->iov[r->iov_first];
		size_t here = n < iov->iov_len ? n : iov->iov_len;

		iov->iov_base = (char *)iov->iov_base + here;
		iov->iov_len -= here;
		r->iov_first += !iov->iov_len;
		n -= here;
	}
}

/* O_DIRECT wants memory as aligned as the disk is. */
static bool must_bounce(const struct block *b, const struct request *r)
{
	for (unsigned i = r->iov_first; b->direct && i < r->iov_end; i++) {
		if (((uintptr_t)r->iov[i].iov_base | r->iov[i].iov_len) % SECTOR)
			return true;
	}
	return false;
}

static uint8_t *bounce_of(struct block *b, const struct request *r)
{
	return b->bounce[r - b->request];
}

/* Between the bounce buffer and the next n bytes of guest memory; does not advance. */
static void bounce_copy(struct block *b, const struct request *r, size_t n, bool to_guest)
{
	uint8_t *p = bounce_of(b, r);

	for (const struct iovec *iov = &r->iov[r->iov_first]; n; iov++) {
		size_t here = n < iov->iov_len ? n : iov->iov_len;

		memcpy(to_guest ? iov->iov_base : p, to_guest ? p : iov->iov_base, here);
		p += here;
		n -= here;
	}
}

/* The memory of the current data step: the guest's own, or *own, the bounce buffer. */
static struct iovec *data_iov(struct block *b, struct request *r, struct iovec *own, unsigned *n)
{
	*n = r->iov_end - r->iov_first;
	if (!r->bounced)
		return &r->iov[r->iov_first];
	*n = 1;
	own->iov_base = bounce_of(b, r);
	own->iov_len = r->left < BOUNCE_BYTES ? r->left : BOUNCE_BYTES;
	if (r->type == VIRTIO_BLK_T_OUT)
		bounce_copy(b, r, own->iov_len, false);
	return own;
}

/* ---- ranges ---------------------------------------------------------------- */

static int range_mode(const struct request *r)
{
	return (r->method == METHOD_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) |
	       FALLOC_FL_KEEP_SIZE;
}

/* Chooses the step for range_now, if there is one left. */
static bool range_begin(const struct block *b, struct request *r)
{
	const struct range *range = &r->range[r->range_now];

	if (r->range_now == r->range_end)
		return false;
	r->method = range->unmap ? METHOD_PUNCH : METHOD_ZERO_RANGE;
	while (b->refused >> r->method & 1 && r->type != VIRTIO_BLK_T_DISCARD)
		r->method++;
	r->step = r->method == METHOD_WRITE ? STEP_ZEROES : STEP_RANGE;
	r->off = range->off;
	r->left = range->bytes;
	return true;
}

bool step_first(struct block *b, struct request *r)
{
	if (r->status != VIRTIO_BLK_S_OK)
		return false;
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		r->bounced = must_bounce(b, r);
		return r->left != 0;
	case VIRTIO_BLK_T_FLUSH:
		return !b->read_only;
	case VIRTIO_BLK_T_GET_ID:
		return false;
	default:
		return range_begin(b, r);
	}
}

void step_prepare(struct block *b, struct request *r, struct io_uring_sqe *sqe)
{
	bool in = r->type == VIRTIO_BLK_T_IN;
	struct iovec *iov, own;
	unsigned n;

	switch (r->step) {
	case STEP_DATA:
		iov = data_iov(b, r, &own, &n);
		if (in && n == 1)
			io_uring_prep_read(sqe, 0, iov->iov_base, iov->iov_len, r->off);
		else if (in)
			io_uring_prep_readv(sqe, 0, iov, n, r->off);
		else if (n == 1)
			io_uring_prep_write(sqe, 0, iov->iov_base, iov->iov_len, r->off);
		else
			io_uring_prep_writev(sqe, 0, iov, n, r->off);
		break;
	case STEP_RANGE:
		io_uring_prep_fallocate(sqe, 0, range_mode(r), r->off, r->left);
		break;
	case STEP_ZEROES:
		io_uring_prep_write(sqe, 0, b->zeroes,
				    r->left < ZEROES_BYTES ? r->left : ZEROES_BYTES, r->off);
		break;
	case STEP_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE; /* fd 0 of the registered table */
	io_uring_sqe_set_data(sqe, r);
}

int step_run(struct block *b, struct request *r)
{
	struct iovec zeroes = {.iov_base = b->zeroes};
	struct iovec *iov, own;
	ssize_t res = 0;
	unsigned n;

	switch (r->step) {
	case STEP_DATA:
		iov = data_iov(b, r, &own, &n);
		res = r->type == VIRTIO_BLK_T_IN ? preadv(b->fd, iov, n, r->off)
						 : pwritev(b->fd, iov, n, r->off);
		break;
	case STEP_RANGE:
		res = fallocate(b->fd, range_mode(r), r->off, r->left);
		break;
	case STEP_ZEROES:
		zeroes.iov_len = r->left < ZEROES_BYTES ? r->left : ZEROES_BYTES;
		res = pwritev(b->fd, &zeroes, 1, r->off);
		break;
	case STEP_SYNC:
		res = fdatasync(b->fd);
		break;
	}
	return res < 0 ? -errno : res;
}

static bool failed(struct request *r, uint8_t status)
{
	r->status = status;
	return false;
}

/*
 * A write is durable when its request completes, unless the driver accepted
 * a volatile cache and can flush it (5.2.6.2).
 */
static bool sync_if_due(const struct block *b, struct request *r)
{
	if (r->type == VIRTIO_BLK_T_IN || vdev_has_feature(&b->dev, VIRTIO_BLK_F_FLUSH))
		return false;
	r->step = STEP_SYNC;
	return true;
}

static bool next_range(const struct block *b, struct request *r)
{
	r->range_now++;
	return range_begin(b, r) || sync_if_due(b, r);
}

/* The host can't do that to this file: the next method, but discard has none. */
static bool next_method(struct block *b, struct request *r)
{
	if (r->type == VIRTIO_BLK_T_DISCARD)
		return failed(r, VIRTIO_BLK_S_UNSUPP);
	b->refused |= 1u << r->method; /* never METHOD_WRITE: that is another step */
	return range_begin(b, r);
}

bool step_done(struct block *b, struct request *r, int res)
{
	if ((res == -EINTR || res == -EAGAIN) && r->retries < RETRIES_MAX) {
		r->retries++;
		return true;
	}
	if (res == -EOPNOTSUPP && r->step == STEP_RANGE)
		return next_method(b, r);
	/* Nothing moved is the end of a file that became shorter. */
	if (res < 0 || (!res && (r->step == STEP_DATA || r->step == STEP_ZEROES)))
		return failed(r, VIRTIO_BLK_S_IOERR);
	switch (r->step) {
	case STEP_DATA:
		if (r->bounced && r->type == VIRTIO_BLK_T_IN)
			bounce_copy(b, r, res, true);
		iov_advance(r, res);
		r->filled += r->type == VIRTIO_BLK_T_IN ? res : 0;
		r->off += res;
		r->left -= res;
		return r->left || sync_if_due(b, r);
	case STEP_ZEROES:
		r->off += res;
		r->left -= res;
		return r->left || next_range(b, r);
	case STEP_RANGE:
		return next_range(b, r);
	default:
		return false;
	}
}

/* ---- the ring ------------------------------------------------------------- */

/*
 * The ring is a way around the system call filter, unless it is told what it
 * may do: these operations, on the one registered file, and nothing else.
 */
static int restrict_uring(struct block *b)
{
	static const uint8_t ops[] = {IORING_OP_READ,   IORING_OP_READV, IORING_OP_WRITE,
				      IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
	struct io_uring_restriction r[sizeof(ops) + 2] = {
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE},
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
	};
	int rc;

	for (unsigned i = 0; i < sizeof(ops); i++) {
		r[i + 2].opcode = IORING_RESTRICTION_SQE_OP;
		r[i + 2].sqe_op = ops[i];
	}
	/* Not by the library's wrappers: its shared version does not export them. */
	rc = io_uring_register(b->uring.ring_fd, IORING_REGISTER_RESTRICTIONS, r, sizeof(ops) + 2);
	if (rc < 0)
		return rc;
	return io_uring_register(b->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* Containers often forbid io_uring: then -EPERM or -ENOSYS, and we do without. */
int step_open_uring(struct block *b)
{
	struct io_uring_params params = {.flags = IORING_SETUP_R_DISABLED};
	int rc = io_uring_queue_init_params(BLOCK_INFLIGHT_MAX, &b->uring, &params);

	if (rc)
		return rc == -EPERM || rc == -ENOSYS ? 0 : rc;
	b->uring_ok = true;
	rc = io_uring_register_files(&b->uring, &b->fd, 1);
	return rc ? rc : restrict_uring(b);
}
