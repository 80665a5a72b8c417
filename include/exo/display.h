/*
 * The protocol between exo-vmm and the desktop: what a guest shows, and what a
 * person does to it. One SOCK_SEQPACKET Unix socket a guest, one message a packet;
 * the session makes the pair and hands the VMM its end with EXO_VMM_DISPLAY, the
 * desktop the other (docs/control.md, op "desktop"). A VMM keeps one such socket:
 * a new one replaces the last, and the VMM says again all that holds.
 *
 * Both sides decode strictly: a message that breaks a rule here ends the socket,
 * and the desktop then has the VMM ended (hostile-guests H-34). Whoever is told
 * to make room does not wait: a side that does not read loses what may be
 * lost (input, by whole reports; PCM) and is hung up on for what may not.
 *
 * Pictures are never sent. They lie in the guest's picture memory: one memfd whose
 * size is sealed, mapped by the VMM, in the guest (the shared memory region of
 * its gpu) and, to read, by the desktop. What is in it is the guest's alone to
 * say, at any time: it is pixels, never anything to be trusted.
 */
#ifndef EXO_DISPLAY_H
#define EXO_DISPLAY_H

#include <stdint.h>

#define EXO_DPY_MAGIC 0x31595044u /* "DPY1" */
#define EXO_DPY_MSG_MAX 8192      /* bytes in one message */
#define EXO_DPY_SCANOUTS_MAX 16
#define EXO_DPY_SIZE_MAX 16384u /* pixels, width and height */
#define EXO_DPY_EVENTS_MAX 256
#define EXO_DPY_SCALE_ONE 120u /* scale factors are in 120ths */
#define EXO_DPY_SCALE_MIN 60u
#define EXO_DPY_SCALE_MAX 960u
#define EXO_DPY_CURSOR_SIZE 64u
#define EXO_DPY_ABS_MAX 32767 /* of a tablet's and a touch screen's axes */
#define EXO_DPY_PICTURE_BYTES_MIN (1ull << 20)
#define EXO_DPY_PICTURE_BYTES_MAX (256ull << 20)

enum exo_dpy_type {
	/* desktop → VMM */
	EXO_DPY_MODE = 1,  /* struct exo_dpy_mode: the size of a window's content */
	EXO_DPY_INPUT,     /* struct exo_dpy_input */
	EXO_DPY_PRESENTED, /* struct exo_dpy_presented: a flush can be seen */
	EXO_DPY_PLAYED,    /* struct exo_dpy_played: room for so much more PCM */
	EXO_DPY_CAPTURED,  /* struct exo_dpy_pcm: recorded sound */

	/* VMM → desktop */
	EXO_DPY_HELLO = 64, /* struct exo_dpy_hello + 1 fd: picture memory; first message */
	EXO_DPY_SCANOUT,    /* struct exo_dpy_scanout: where the picture is */
	EXO_DPY_FLUSH,      /* struct exo_dpy_flush: what of it has changed */
	EXO_DPY_CURSOR,     /* struct exo_dpy_cursor */
	EXO_DPY_SOUND,      /* struct exo_dpy_sound: a stream starts or ends */
	EXO_DPY_PCM,        /* struct exo_dpy_pcm: sound to be played */
};

struct exo_dpy_header {
	uint32_t magic;
	uint32_t type; /* enum exo_dpy_type */
	uint32_t size; /* of the whole message, bytes; equals the packet's */
	uint32_t reserved;
};

/* ---- display ------------------------------------------------------------------- */

struct exo_dpy_hello {
	struct exo_dpy_header h;
	uint64_t picture_bytes; /* size of the memfd */
	uint32_t scanouts;      /* windows that the guest may have, 1 … EXO_DPY_SCANOUTS_MAX */
	uint32_t inputs;        /* EXO_DPY_HAS_* */
};
#define EXO_DPY_HAS_KEYBOARD 1u
#define EXO_DPY_HAS_TABLET 2u
#define EXO_DPY_HAS_MOUSE 4u
#define EXO_DPY_HAS_TOUCH 8u
#define EXO_DPY_HAS_PLAYBACK 16u
#define EXO_DPY_HAS_CAPTURE 32u

/* The guest's display `scanout` shall have this size; 0 x 0: it is unplugged. */
struct exo_dpy_mode {
	struct exo_dpy_header h;
	uint32_t scanout;
	uint32_t width, height; /* pixels, ≤ EXO_DPY_SIZE_MAX */
	uint32_t scale;         /* MIN … MAX; the EDID's physical size says it to the guest */
	uint32_t refresh_mhz;   /* of the monitor; 0: unknown */
	uint32_t reserved;
};

#define EXO_DPY_FORMAT_XRGB 1u /* 32 bits, B G R X in memory */
#define EXO_DPY_FORMAT_ARGB 2u /* premultiplied; of cursors. As a scanout, alpha is ignored */
#define EXO_DPY_FORMAT_XBGR 3u /* R G B X in memory */

/*
 * What scanout shows from now on; width 0: nothing. All of
 * offset + (height - 1) * stride + width * 4 is inside the picture memory.
 * What has changed in it is said by FLUSH. If the last picture had another size or format, or
 * there was none, everything has; else nothing but what FLUSH says: a guest may draw in turns in
 * two pictures, and still say how little is new.
 */
struct exo_dpy_scanout {
	struct exo_dpy_header h;
	uint64_t offset;        /* bytes into picture memory, a multiple of 4 */
	uint32_t stride;        /* bytes, a multiple of 4 */
	uint32_t width, height; /* pixels; need not be the mode's */
	uint32_t format;        /* EXO_DPY_FORMAT_* */
	uint32_t scanout;
	uint32_t sequence; /* of flushes: those up to this one were of another picture */
};

/*
 * The rectangle has changed, and lies in the picture. The desktop answers PRESENTED with this
 * sequence, or a later one of the scanout, once it does not read
 * the picture for this frame any more; a guest that keeps to that never sees a
 * torn frame. A window that nobody sees may be answered late. Limit: 64 unanswered a scanout.
 */
struct exo_dpy_flush {
	struct exo_dpy_header h;
	uint32_t scanout;
	uint32_t sequence; /* grows by one a flush, wraps */
	uint32_t x, y, width, height;
};
#define EXO_DPY_FLUSHES_MAX 64u

struct exo_dpy_presented {
	struct exo_dpy_header h;
	uint32_t scanout;
	uint32_t sequence;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
};

/* The pointer's picture over the window, 64 x 64 ARGB, tightly packed; copied on receipt. */
struct exo_dpy_cursor {
	struct exo_dpy_header h;
	uint64_t offset;
	uint32_t scanout;
	uint32_t visible;      /* 0: the guest hides it, or draws one itself */
	uint32_t hot_x, hot_y; /* < 64 */
};

/* ---- input ------------------------------------------------------------------------ */

enum exo_dpy_device {
	EXO_DPY_KEYBOARD,
	EXO_DPY_TABLET, /* absolute pointer, buttons, wheel */
	EXO_DPY_MOUSE,  /* relative */
	EXO_DPY_TOUCH,  /* multi-touch, protocol B */
	EXO_DPY_DEVICES
};

/*
 * As in linux/input-event-codes.h; which a device has: virtio-backends/input_events.c. Keys and
 * buttons are 0 or 1 (guests repeat by themselves); relative axes ± 32767; tracking
 * identifiers -1 … 65535, slots 0 … 15.
 */
struct exo_dpy_event {
	uint16_t type, code;
	int32_t value;
};

/*
 * Whole reports: the last event is EV_SYN SYN_REPORT. Absolute axes are those of
 * the scanout, 0 … EXO_DPY_ABS_MAX; with several scanouts the VMM puts them in
 * their place on the guest's desk, where scanouts stand side by side from the left.
 */
struct exo_dpy_input {
	struct exo_dpy_header h;
	uint32_t device; /* enum exo_dpy_device */
	uint32_t scanout;
	uint32_t count; /* 1 … EXO_DPY_EVENTS_MAX */
	uint32_t reserved;
	struct exo_dpy_event event[];
};

/* ---- sound ------------------------------------------------------------------------- */

/* Stream 0 plays, stream 1 records. Samples are 16 bits, signed, little-endian, interleaved. */
#define EXO_DPY_STREAMS 2u
#define EXO_DPY_PCM_MAX 7680u

struct exo_dpy_sound {
	struct exo_dpy_header h;
	uint32_t stream;
	uint32_t running;  /* 0: it ends; what was not played is dropped */
	uint32_t rate;     /* 8000 … 96000 Hz */
	uint32_t channels; /* 1 or 2 */
};

/* Limit: the VMM sends at most 250 ms of sound more than was PLAYED. */
struct exo_dpy_pcm {
	struct exo_dpy_header h;
	uint32_t stream;
	uint32_t bytes; /* whole frames, ≤ EXO_DPY_PCM_MAX */
	uint8_t data[];
};

struct exo_dpy_played {
	struct exo_dpy_header h;
	uint32_t stream;
	uint32_t bytes;
};

_Static_assert(sizeof(struct exo_dpy_header) == 16, "wire size");
_Static_assert(sizeof(struct exo_dpy_hello) == 32, "wire size");
_Static_assert(sizeof(struct exo_dpy_mode) == 40, "wire size");
_Static_assert(sizeof(struct exo_dpy_scanout) == 48, "wire size");
_Static_assert(sizeof(struct exo_dpy_flush) == 40, "wire size");
_Static_assert(sizeof(struct exo_dpy_presented) == 32, "wire size");
_Static_assert(sizeof(struct exo_dpy_cursor) == 40, "wire size");
_Static_assert(sizeof(struct exo_dpy_event) == 8, "wire size");
_Static_assert(sizeof(struct exo_dpy_input) == 32, "wire size");
_Static_assert(sizeof(struct exo_dpy_sound) == 32, "wire size");
_Static_assert(sizeof(struct exo_dpy_pcm) == 24, "wire size");
_Static_assert(sizeof(struct exo_dpy_played) == 24, "wire size");
_Static_assert(sizeof(struct exo_dpy_input) + EXO_DPY_EVENTS_MAX * sizeof(struct exo_dpy_event) <=
		       EXO_DPY_MSG_MAX,
	       "fits a message");
_Static_assert(sizeof(struct exo_dpy_pcm) + EXO_DPY_PCM_MAX <= EXO_DPY_MSG_MAX, "fits a message");

#endif
