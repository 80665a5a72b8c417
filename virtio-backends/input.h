/*
 * virtio-input (VIRTIO 1.2, 5.8): one device of one kind. What a person does
 * comes from the desktop (desk.h) by whole reports; a guest that does not collect them
 * loses whole reports, and gets the key releases that it would miss when it does
 * (H-24). Status events (LEDs) are taken and dropped.
 *
 * Limits: 512 events wait. No system call of its own.
 */
#ifndef INPUT_H
#define INPUT_H

#include "desk.h"
#include "vdev.h"

struct vdev *input_create(const struct gmem *mem, const struct vdev_host *host, struct desk *desk,
			  enum exo_dpy_device kind, unsigned scanouts);

#endif
