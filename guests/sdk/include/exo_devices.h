/*
 * What libexogui and the SDK's drivers of display, input and sound say to each other: files below
 * /dev/exo, ioctls and records. Programs use exo_window.h and exo_sound.h; this may
 * change with every version of the SDK.
 *
 * Each file can be open once (EBUSY); ENODEV: the machine has no such device. Records are
 * read whole; a read that finds none waits, or is EAGAIN with O_NONBLOCK.
 */
#ifndef EXO_DEVICES_H
#define EXO_DEVICES_H

#include <stdint.h>

/* A system call: (path, port, flags): mounts the 9P server at a port of CID 2 there. */
#define EXO_SYS_MOUNT 0x45584f03
#define EXO_MOUNT_READ_ONLY 1

/* ---- display ---------------------------------------------------------------------- */

#define EXO_DISPLAY_PATH "/dev/exo/display"

#define EXO_DISPLAY_INFO 0x45580001u    /* struct exo_display_info *: filled in */
#define EXO_DISPLAY_MODE 0x45580002u    /* struct exo_display_mode *: the rest out */
#define EXO_DISPLAY_CREATE 0x45580003u  /* struct exo_display_picture *: the rest out */
#define EXO_DISPLAY_DESTROY 0x45580004u /* id of a picture; scanouts that show it show nothing */
#define EXO_DISPLAY_PRESENT 0x45580005u /* const struct exo_display_present *; EAGAIN: later */
#define EXO_DISPLAY_CURSOR 0x45580006u  /* const struct exo_display_cursor * */
#define EXO_DISPLAY_HIDE 0x45580007u    /* number of a scanout: it shows nothing */

struct exo_display_info {
	uint32_t scanouts;
	uint32_t reserved;
	uint64_t shared_bytes; /* of picture memory that pictures can lie in; 0: all are copied */
};

struct exo_display_mode {
	uint32_t scanout;
	uint32_t there;         /* 0: unplugged */
	uint32_t width, height; /* pixels; 0: it never had a size */
	uint32_t scale;         /* 120ths */
	uint32_t refresh_mhz;   /* never 0 */
};

#define EXO_DISPLAY_COPY 1u /* not in shared memory */

struct exo_display_picture {
	uint32_t width, height;
	uint32_t flags; /* EXO_DISPLAY_COPY; out: also if there was no choice */
	uint32_t id;
	uint32_t stride; /* bytes */
	uint32_t reserved;
	uint32_t *pixels; /* 0xXXRRGGBB, zeroed */
};

/* Shows the picture there if it does not yet, copies the rectangle if need be, and flushes it. */
struct exo_display_present {
	uint32_t scanout, id;
	uint32_t sequence; /* comes back in EXO_DISPLAY_SEEN */
	uint32_t x, y, width, height;
};

struct exo_display_cursor {
	uint32_t scanout;
	uint32_t visible;
	uint32_t hot_x, hot_y;
	const uint32_t *pixels; /* 64 x 64, premultiplied */
};

enum {
	EXO_DISPLAY_SEEN = 1, /* what was presented up to this sequence is seen, or never will be */
	EXO_DISPLAY_CHANGED,  /* modes may be other ones */
};

struct exo_display_event {
	uint32_t type;
	uint32_t scanout, sequence;
	int32_t error; /* SEEN: 0, or an errno: the device refused */
};

/* ---- input ------------------------------------------------------------------------- */

#define EXO_INPUT_PATH "/dev/exo/input"

#define EXO_INPUT_DEVICES_MAX 8
#define EXO_INPUT_INFO 0x45580011u /* struct exo_input_info *: index in; ENOENT: no more */

#define EXO_INPUT_KEYS 1u /* a keyboard: it has KEY_A */
#define EXO_INPUT_REL 2u  /* REL_X, REL_Y */
#define EXO_INPUT_ABS 4u  /* ABS_X, ABS_Y */
#define EXO_INPUT_MT 8u   /* ABS_MT_POSITION_X… */

struct exo_input_info {
	uint32_t index;
	uint32_t has; /* EXO_INPUT_* */
	/* Of ABS_X and ABS_Y, or with MT of their ABS_MT_POSITION_*. */
	int32_t min_x, max_x, min_y, max_y;
};

struct exo_input_event {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint16_t device;  /* index */
	uint16_t type, code;
	uint16_t reserved;
	int32_t value;
	uint32_t reserved2;
};

/* ---- sound ------------------------------------------------------------------------- */

#define EXO_PLAYBACK_PATH "/dev/exo/playback"
#define EXO_CAPTURE_PATH "/dev/exo/capture"

/* Bytes are read and written once it is set up; readable: room for, or there is, a period. */
#define EXO_SOUND_SETUP 0x45580021u /* const struct exo_sound_setup *; once */
#define EXO_SOUND_ROOM 0x45580022u  /* bytes that can be written or read without waiting */
#define EXO_SOUND_DRAIN 0x45580023u /* waits until all is played */

#define EXO_SOUND_PERIODS 8u

struct exo_sound_setup {
	uint32_t rate, channels;
	uint32_t period_bytes; /* whole frames, ≤ EXO_SOUND_PERIOD_MAX */
	uint32_t reserved;
};
#define EXO_SOUND_PERIOD_MAX 65536u

#endif
