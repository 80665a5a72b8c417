/*
 * Driver of virtio-sound (VIRTIO 1.2, 5.14): one stream each way of 16-bit samples,
 * in periods that the device has or that the program fills. Set up on first use.
 */
#ifndef DRIVERS_SOUND_H
#define DRIVERS_SOUND_H

#include <exo_devices.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct sound_stream;

/* The first stream of that direction, NULL: there is none. */
struct sound_stream *sound_stream(bool capture);
/* Waits. 0, -EINVAL (the device cannot do that), -EBUSY (it is set up), -ENOMEM, -EIO. */
int sound_setup(struct sound_stream *s, const struct exo_sound_setup *setup);
bool sound_is_setup(const struct sound_stream *s);
/* Bytes that fit, or that are there. */
size_t sound_room(struct sound_stream *s);
/* Takes or gives as much as there is room for. */
size_t sound_move(struct sound_stream *s, const struct iovec *iov, int n, size_t at, size_t len);
/* What was written goes to the device although a period is not full; and it plays. */
int sound_push(struct sound_stream *s);
/* All that was written has come back from the device; *deadline_ns: when the last will be heard. */
bool sound_idle(struct sound_stream *s, uint64_t *deadline_ns);
size_t sound_period(const struct sound_stream *s);
/* Stops, waits for the device to give up its buffers. */
void sound_release(struct sound_stream *s);
bool sound_broken(const struct sound_stream *s);

#endif
