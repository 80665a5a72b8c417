/* Between screen.c, which decodes what a VMM says, and screen_tell.c, screen_input.c. */
#ifndef SCREEN_IMPL_H
#define SCREEN_IMPL_H

#include "desktop.h"

#define SCREEN_CURSOR_PIXELS (EXO_DPY_CURSOR_SIZE * EXO_DPY_CURSOR_SIZE)
#define SCREEN_TOUCHES 16 /* slots that a guest's touch screen has */
#define SCREEN_KEYS HID_KEYS_MAX

struct scan {
	bool shown;
	struct exo_dpy_scanout picture; /* checked; of use while shown */
	bool counting;                  /* there was a flush: the next one's number is known */
	uint32_t flushed, answered;     /* sequences; equal: nothing is outstanding */
	uint64_t answered_ns;
	int width, height; /* of the content on the screen; 0: no window yet, or unplugged */
	bool visible, mode_due;
	bool unplugged; /* by the person, until it shows nothing */
	uint64_t mode_ns;
	uint32_t *cursor; /* or NULL: it never set one */
	bool cursor_visible;
	unsigned hot_x, hot_y;
	int wheel_x, wheel_y; /* what is not a whole notch yet */
};

/* Reports that wait to be sent together, all of one device and scanout. */
struct screen_batch {
	uint32_t device, scanout, count;
	struct exo_dpy_event event[EXO_DPY_EVENTS_MAX];
	unsigned last; /* where the last report begins… */
	bool motion;   /* …which only moves a pointer: the next such takes its place */
};

struct screen {
	struct desktop *desktop;
	struct dguest *guest;
	int fd;
	bool hello;
	uint8_t *memory; /* read-only mapping; NULL before HELLO */
	uint64_t memory_bytes;
	unsigned scanouts;
	uint32_t inputs; /* EXO_DPY_HAS_* */
	struct scan scan[EXO_DPY_SCANOUTS_MAX];

	bool blocked; /* its socket is full: nothing is sent until it is not */
	bool held;    /* it said too much in this frame: not read until the next */
	unsigned said;
	uint64_t said_ns;

	struct screen_batch batch;
	bool lost; /* input was dropped: releases have to be said again */
	/* Keys and fingers as they are, and as the guest was told, by code and slot. */
	uint8_t down[SCREEN_KEYS / 8], told[SCREEN_KEYS / 8];
	uint32_t touching, touching_told;
	uint16_t tracking;
	int mouse_x, mouse_y; /* for relative mice */

	struct audio_stream *playback;
	uint32_t played;             /* bytes, not said yet */
	uint32_t pcm_out, pcm_limit; /* bytes that came and were not PLAYED; at most */
};

/* Fills in the header. False: it does not fit now. */
bool screen_send(struct screen *s, uint32_t type, void *msg, size_t len);
/* What waits in the batch goes; or is dropped, by whole reports. */
void screen_send_input(struct screen *s);
/* After input was lost, when there is room again: releases that it was not told. */
void screen_mend_input(struct screen *s);

#endif
