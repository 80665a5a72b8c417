/*
 * The trivial test device; see testdev.h.
 */
#include "testdev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void echo(struct vdev *dev, unsigned q, struct vq_chain *c)
{
	uint32_t written = 0;
	char buf[512];
	size_t n;

	while ((n = vq_read(c, buf, sizeof(buf))) && vq_writable(c))
		written += (uint32_t)vq_write(c, buf, n);
	vq_complete(&dev->vq[q], c->head, written);
}

static void testdev_kick(struct vdev *dev, unsigned q)
{
	struct testdev *t = testdev_of(dev);
	unsigned chains = dev->vq[q].size;
	struct vq_chain c;
	int r;

	t->kicks++;
	if (t->mode == TESTDEV_MANUAL)
		return;
	while ((r = chains-- ? vq_next(&dev->vq[q], &c) : -EBUSY) > 0) {
		if (t->mode == TESTDEV_ECHO) {
			echo(dev, q, &c);
		} else {
			t->held[t->nheld].queue = q;
			t->held[t->nheld++].head = c.head;
		}
	}
	if (r == -EBUSY) /* a chain may even offer the next one, for ever */
		dev->host->timer(dev->host->opaque, dev, 1);
	if (r == -EINVAL)
		vdev_fail(dev, "testdev: malformed");
	vdev_flush(dev, q);
}

bool testdev_release(struct vdev *dev, unsigned i)
{
	struct testdev *t = testdev_of(dev);
	unsigned q;

	if (i >= t->nheld)
		return false;
	q = t->held[i].queue;
	vq_complete(&dev->vq[q], t->held[i].head, 0);
	t->held[i] = t->held[--t->nheld];
	vdev_flush(dev, q);
	return true;
}

static void testdev_start(struct vdev *dev)
{
	testdev_of(dev)->starts++;
}
static void testdev_timer(struct vdev *dev)
{
	testdev_of(dev)->timers++;
	for (unsigned q = 0; q < dev->nqueues; q++) {
		if (dev->running && dev->vq[q].ready)
			testdev_kick(dev, q);
	}
}
static void testdev_destroy(struct vdev *dev)
{
	free(testdev_of(dev)->config);
	free(dev);
}

static void testdev_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	testdev_of(dev)->polls++;
}

static void testdev_reset(struct vdev *dev)
{
	testdev_of(dev)->resets++;
	testdev_of(dev)->nheld = 0;
}

static void testdev_config_write(struct vdev *dev, size_t off, const void *src, size_t len)
{
	testdev_of(dev)->writes++;
	memcpy(testdev_of(dev)->config + off, src, len);
}

static const struct vdev_class testdev_class = {
	.name = "testdev",
	.device_id = TESTDEV_ID,
	.features = 1ull << TESTDEV_FEATURE,
	.nqueues = TESTDEV_QUEUES,
	.queue_size_max = TESTDEV_QUEUE_MAX,
	.config_bytes = TESTDEV_CONFIG,
	.start = testdev_start,
	.kick = testdev_kick,
	.poll = testdev_poll,
	.timer = testdev_timer,
	.reset = testdev_reset,
	.config_write = testdev_config_write,
	.destroy = testdev_destroy,
};

struct vdev *testdev_create(const struct gmem *mem, const struct vdev_host *host,
			    enum testdev_mode mode)
{
	struct testdev *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->config = calloc(1, TESTDEV_CONFIG);
	if (!t->config) {
		free(t);
		return NULL;
	}
	vdev_init(&t->dev, &testdev_class, mem, host);
	t->dev.config = t->config;
	t->mode = mode;
	return &t->dev;
}
