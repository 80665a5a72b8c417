/*
 * Sound, for programs: 16-bit samples, interleaved. The manifest asks for it with
 * `sound = playback`, `capture` or both. 0, or -1 with errno; ENODEV: there is no such device.
 */
#ifndef EXO_SOUND_H
#define EXO_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_sound;

/* rate: 8000 … 96000 Hz; channels: 1, 2. period: frames that go at once; 0: 10 ms. */
struct exo_sound *exo_sound_open(bool capture, unsigned rate, unsigned channels, unsigned period);
void exo_sound_close(struct exo_sound *s);
/* For poll: readable when there is room for (or there is) a period. */
int exo_sound_fd(const struct exo_sound *s);
/* Frames that fit without waiting, or that are there. */
size_t exo_sound_room(const struct exo_sound *s);
/* Frames taken: all, waiting for room, or with wait false as many as fit. */
long exo_sound_write(struct exo_sound *s, const int16_t *frames, size_t n, bool wait);
long exo_sound_read(struct exo_sound *s, int16_t *frames, size_t n, bool wait);
/* Waits until all that was written has been played. */
int exo_sound_drain(struct exo_sound *s);

#ifdef __cplusplus
}
#endif

#endif
