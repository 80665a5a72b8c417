/*
 * virtio-rng: random bytes of the host's kernel (VIRTIO 1.2, 5.4). System call
 * after create: getrandom.
 */
#ifndef RNG_H
#define RNG_H

#include "vdev.h"

/* The device, or NULL with errno set. */
struct vdev *rng_create(const struct gmem *mem, const struct vdev_host *host);

#endif
