/* Driver of virtio-rng (VIRTIO 1.2, 5.4): a few bytes, once, to seed the generator. */
#ifndef DRIVERS_RNG_H
#define DRIVERS_RNG_H

#include <stddef.h>

/* Waits for up to len bytes; how many there were, 0 without a device. */
size_t rng_read(void *buf, size_t len);

#endif
