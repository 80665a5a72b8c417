/*
 * A virtio device that does as little as a device can: for the tests of the
 * rings and of the device core, and for fuzzing them.
 */
#ifndef TESTDEV_H
#define TESTDEV_H

#include "vdev.h"

#define TESTDEV_QUEUES 3
#define TESTDEV_QUEUE_MAX 256
#define TESTDEV_FEATURE 5 /* a device feature bit it offers */
#define TESTDEV_ID 42
#define TESTDEV_CONFIG 12 /* bytes */

enum testdev_mode {
	TESTDEV_ECHO,   /* copies what a chain reads to what it writes, completes it */
	TESTDEV_HOLD,   /* takes chains and keeps them; see testdev_release */
	TESTDEV_MANUAL, /* a doorbell is only counted: the test works on the queues */
};

struct testdev {
	struct vdev dev;
	enum testdev_mode mode;
	uint8_t *config; /* an allocation of its own: the sanitizer sees its end */
	unsigned starts, resets, kicks, polls, timers;
	unsigned writes; /* to the configuration space */
	unsigned nheld;  /* chains held, all queues */
	struct {
		unsigned queue;
		uint16_t head;
	} held[TESTDEV_QUEUES * TESTDEV_QUEUE_MAX];
};

struct vdev *testdev_create(const struct gmem *mem, const struct vdev_host *host,
			    enum testdev_mode mode);
static inline struct testdev *testdev_of(struct vdev *dev)
{
	return (struct testdev *)dev;
}

/* Completes the i-th chain that is held; false if there is none. */
bool testdev_release(struct vdev *dev, unsigned i);

#endif
