/*
 * Driver of virtio-gpu (VIRTIO 1.2, 5.7): pictures in the device's shared memory
 * region where it has one (HOST3D blobs, drawn where they are shown), else 2D resources
 * that are transferred. Set up on first use; one user (posix/displayfile.c).
 */
#ifndef DRIVERS_GPU_H
#define DRIVERS_GPU_H

#include <exo_devices.h>

#include <stdbool.h>
#include <stdint.h>

/* Is there a device? Sets it up, and asks for the modes: waits. */
bool gpu_ready(void);
void gpu_info(struct exo_display_info *info);
/* 0 or -EINVAL. */
int gpu_mode(struct exo_display_mode *mode);
/* Waits. 0, -EINVAL, -ENOMEM (there is no room for it), -EIO. */
int gpu_create(struct exo_display_picture *p);
int gpu_destroy(uint32_t id);
/* Does not wait. 0, -EINVAL, -EAGAIN (too much is on its way), -EIO. */
int gpu_present(const struct exo_display_present *p);
int gpu_hide(uint32_t scanout);
int gpu_cursor(const struct exo_display_cursor *c);
/* The next event, if there is one. */
bool gpu_event(struct exo_display_event *e);
bool gpu_has_event(void);
/* The user has gone: nothing is shown, all pictures are destroyed. */
void gpu_release(void);
/* What to sleep on for events. */
extern const char gpu_chan;

#endif
