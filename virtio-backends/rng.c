/*
 * virtio-rng (VIRTIO 1.2, 5.4). Runs under the device's lock, in vCPU threads
 * and, for what was put off, in the event loop.
 *
 * A chain names up to 4 GiB of guest memory in a few bytes, so the device gives
 * at most CHAIN_BYTES a chain and KICK_BYTES a doorbell before others have
 * their turn (H-26); every chain gets at least one byte, as 5.4.6.2 demands.
 */
#include "rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>

#define QUEUE_SIZE 64
#define CHAIN_BYTES 4096
#define KICK_BYTES (16 * CHAIN_BYTES)
#define IOVS 8

/* At most max random bytes for one chain, straight into it; the number. */
static size_t fill(struct vq_chain *chain, size_t max)
{
	struct iovec iov[IOVS];
	size_t total, done = 0;
	unsigned n;

	n = vq_write_iov(chain, iov, IOVS, max, &total);
	for (unsigned i = 0; i < n; i++) {
		/* Once the kernel's pool is initialized, up to 256 bytes come whole; more may not.
		 */
		for (size_t off = 0; off < iov[i].iov_len;) {
			ssize_t r =
				getrandom((char *)iov[i].iov_base + off, iov[i].iov_len - off, 0);

			if (r < 0 && errno != EINTR)
				return done;
			if (r > 0) {
				off += (size_t)r;
				done += (size_t)r;
			}
		}
	}
	return done;
}

static void rng_kick(struct vdev *dev, unsigned q)
{
	size_t left = KICK_BYTES;
	unsigned chains = dev->vq[q].size;
	struct vq_chain chain;
	int r;

	while ((r = left && chains-- ? vq_next(&dev->vq[q], &chain) : -EBUSY) > 0) {
		size_t n = fill(&chain, left < CHAIN_BYTES ? left : CHAIN_BYTES);

		vq_complete(&dev->vq[q], chain.head, (uint32_t)n);
		left -= n;
	}
	if (r == -EBUSY)
		dev->host->timer(dev->host->opaque, dev, 1);
	if (r == -EINVAL)
		vdev_fail(dev, "rng: malformed ring or chain");
	vdev_flush(dev, q);
}

static void rng_timer(struct vdev *dev)
{
	if (dev->running)
		rng_kick(dev, 0);
}

static void rng_reset(struct vdev *dev)
{
	dev->host->timer(dev->host->opaque, dev, 0);
}

static void rng_destroy(struct vdev *dev)
{
	free(dev);
}

static const struct vdev_class rng_class = {
	.name = "virtio-rng",
	.device_id = VIRTIO_ID_RNG,
	.nqueues = 1,
	.queue_size_max = QUEUE_SIZE,
	.kick = rng_kick,
	.timer = rng_timer,
	.reset = rng_reset,
	.destroy = rng_destroy,
};

struct vdev *rng_create(const struct gmem *mem, const struct vdev_host *host)
{
	struct vdev *dev = malloc(sizeof(*dev));

	if (!dev)
		return NULL;
	vdev_init(dev, &rng_class, mem, host);
	memcpy(dev->name, "rng", sizeof("rng"));
	return dev;
}
