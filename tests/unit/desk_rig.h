/*
 * A desktop for tests of the devices that a person sees and hears: a struct desk with
 * picture memory, and the other end of its socket. Anything unexpected on our own side
 * aborts. One thread.
 */
#ifndef DESK_RIG_H
#define DESK_RIG_H

#include "desk.h"

#define DESK_RIG_PICTURE (1u << 20)

struct desk_rig {
	struct desk *desk;
	int peer; /* -1: no desktop */
};

/* A message that came; the longest there can be. */
union desk_message {
	struct exo_dpy_header h;
	struct exo_dpy_hello hello;
	struct exo_dpy_scanout scanout;
	struct exo_dpy_flush flush;
	struct exo_dpy_cursor cursor;
	struct exo_dpy_sound sound;
	struct exo_dpy_pcm pcm;
	uint8_t bytes[EXO_DPY_MSG_MAX];
};

/* There is no desktop yet. */
void desk_rig_init(struct desk_rig *r, unsigned scanouts, uint32_t inputs);
void desk_rig_finish(struct desk_rig *r);
/* Another desktop; HELLO is taken off its socket. */
void desk_rig_attach(struct desk_rig *r);
/* The desktop hangs up; desk hears of it. */
void desk_rig_leave(struct desk_rig *r);

/* Sends a message, h filled in here, and has desk receive it. False: desk hung up. */
bool desk_rig_say(struct desk_rig *r, enum exo_dpy_type type, void *msg, size_t len);
/* Whole reports; SYN_REPORT is added. */
bool desk_rig_input(struct desk_rig *r, enum exo_dpy_device kind, unsigned scanout,
		    const struct exo_dpy_event *e, unsigned n);
bool desk_rig_key(struct desk_rig *r, uint16_t code, int32_t value);
bool desk_rig_mode(struct desk_rig *r, unsigned scanout, uint32_t width, uint32_t height);
bool desk_rig_played(struct desk_rig *r, uint32_t bytes);

/* What has come next: its length, 0: nothing or hung up. fds are closed. */
size_t desk_rig_receive(struct desk_rig *r, union desk_message *m);

#endif
