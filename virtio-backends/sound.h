/*
 * virtio-sound (VIRTIO 1.2, 5.14): one playback and one capture stream of 16-bit
 * PCM, one or two channels, 8 to 96 kHz. What is played goes to the desktop (desk.h),
 * which says how fast; without one, or one that does not play, a timer takes it as a
 * sound card without loudspeakers would. Capture is silence unless the
 * desktop sends sound.
 *
 * Limits: see exo/display.h; 64 buffers a stream wait. No system call of its own.
 */
#ifndef SOUND_H
#define SOUND_H

#include "desk.h"
#include "vdev.h"

struct vdev *sound_create(const struct gmem *mem, const struct vdev_host *host, struct desk *desk,
			  bool playback, bool capture);

#endif
