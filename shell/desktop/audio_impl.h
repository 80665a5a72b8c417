/* Between audio.c, which plays, and capture.c, which records. */
#ifndef AUDIO_IMPL_H
#define AUDIO_IMPL_H

#include "desktop.h"

#include <SDL.h>
#include <stdio.h>

#define AUDIO_RATE 48000 /* of the host's side; frames are two samples of 16 bits */

struct recorder;

struct audio {
	struct desktop *desktop;
	struct audio_stream *streams;
	SDL_AudioDeviceID device;  /* 0: none now */
	bool wants_device, failed; /* to open one */
	uint64_t clock_ns;         /* up to when the clock took sound */
	uint64_t idle_ns;          /* when somebody last played */
	FILE *wav;                 /* or NULL */
	uint64_t wav_frames;

	struct recorder *recorders; /* guests that listen, or may */
	SDL_AudioDeviceID microphone;
	bool microphone_failed;
};

uint64_t audio_tick_capture(struct audio *a, uint64_t now_ns);
void audio_close_capture(struct audio *a);

#endif
