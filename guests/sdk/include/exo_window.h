/*
 * Windows, for programs: a picture to draw in, and what the person does to it.
 * One thread. The manifest asks for the devices with `display = WIDTHxHEIGHT` (docs/manifest.md)
 * and uses the service "desktop", without which titles, the clipboard and the file
 * chooser fail with ENOTCONN and everything else works.
 *
 * Unless said otherwise 0, or -1 with errno. ENODEV: this machine has no display.
 *
 * A program waits in exo_window_next(), or polls exo_window_fd() among its own
 * descriptors and then takes events with a timeout of 0 until there are none. It draws when it
 * has something to show; if that is an animation, when EXO_EVENT_FRAME says that the last
 * frame was seen.
 */
#ifndef EXO_WINDOW_H
#define EXO_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exo_window;

/* 0xAARRGGBB, premultiplied; in a window alpha is ignored. stride: pixels. */
struct exo_surface {
	uint32_t *pixels;
	unsigned width, height, stride;
};

enum exo_event_type {
	EXO_EVENT_NONE,
	EXO_EVENT_KEY,     /* also repeated: see key.repeat */
	EXO_EVENT_POINTER, /* moved */
	EXO_EVENT_BUTTON,
	EXO_EVENT_WHEEL,
	EXO_EVENT_TOUCH,
	EXO_EVENT_MOTION, /* of a relative mouse */
	EXO_EVENT_RESIZE, /* draw all of it again; exo_window_begin has the new size */
	EXO_EVENT_FOCUS,
	EXO_EVENT_FRAME,    /* what was presented can be seen; the next may be drawn */
	EXO_EVENT_SETTINGS, /* scale, theme or keyboard layout */
	EXO_EVENT_COPY,     /* answer with exo_window_copy */
	EXO_EVENT_PASTE,
	EXO_EVENT_CHOSEN,  /* of exo_window_choose */
	EXO_EVENT_DROPPED, /* a file */
	/*
	 * The person closed this one of several windows: nobody sees it until EXO_EVENT_RESIZE, if
	 * ever. exo_window_close is the answer. (With the last one the program gets SIGTERM.)
	 */
	EXO_EVENT_CLOSE,
};

#define EXO_MOD_SHIFT 1u
#define EXO_MOD_CTRL 2u
#define EXO_MOD_ALT 4u
#define EXO_MOD_SUPER 8u
#define EXO_MOD_ALTGR 16u
#define EXO_MOD_CAPS 32u

struct exo_event {
	enum exo_event_type type;
	unsigned scanout;
	uint64_t time_ns; /* CLOCK_MONOTONIC, when it arrived here */
	union {
		struct {
			uint16_t code; /* KEY_* of linux/input-event-codes.h: the place on the board
					*/
			bool down, repeat;
			uint32_t modifiers; /* EXO_MOD_* */
			uint32_t symbol;    /* code point on it, 0: none (F1, Shift…) */
			char text[8];       /* what it types, UTF-8, terminated; "" if nothing */
		} key;
		struct {
			int x, y;         /* pixels of the window */
			uint32_t buttons; /* held: bit n is BTN_LEFT + n */
		} pointer;
		struct {
			int x, y;
			uint16_t code; /* BTN_LEFT, … */
			bool down;
			uint32_t modifiers;
		} button;
		struct {
			int x, y;
			int dx, dy; /* 120ths of a notch; y up, x right */
			uint32_t modifiers;
		} wheel;
		struct {
			unsigned slot;
			int phase; /* 0 down, 1 moved, 2 up */
			int x, y;
		} touch;
		struct {
			int dx, dy;
		} motion;
		struct {
			unsigned width, height;
		} resize;
		struct {
			bool there;
		} focus;
		struct {
			uint32_t id; /* for exo_window_copy */
		} copy;
		struct {
			uint32_t format;  /* EXO_DESK_TEXT, EXO_DESK_PNG of <exo/desktop.h> */
			const void *data; /* until the next exo_window_next; terminated by a 0 */
			size_t bytes;
		} paste;
		struct {
			uint32_t id;      /* CHOSEN: what exo_window_choose gave */
			int error;        /* 0, or an errno: ECANCELED: the person said no */
			uint32_t rights;  /* EXO_DESK_READ, EXO_DESK_WRITE */
			const char *path; /* for open(2), …; stays until the program ends */
			const char *name; /* the file's */
		} file;
	};
};

#define EXO_WINDOW_REDRAWS 1u /* it draws every pixel of every frame: nothing is kept for it */
#define EXO_WINDOW_COPY \
	2u /* always by transfers, never in shared picture memory: for measuring \
	    */

/* Opens the display of scanout 0, or that of the next one; title: UTF-8. NULL with errno. */
struct exo_window *exo_window_open(const char *title, unsigned flags);
void exo_window_close(struct exo_window *w);
unsigned exo_window_scanout(const struct exo_window *w);
void exo_window_size(const struct exo_window *w, unsigned *width, unsigned *height);
/* 120: one pixel is one pixel. 240: everything is to be drawn twice as large. */
unsigned exo_window_scale(const struct exo_window *w);
bool exo_window_dark(const struct exo_window *w);
bool exo_window_focused(const struct exo_window *w);
/* Scale, theme and layout are known, or there is nobody to say them. */
bool exo_window_settled(const struct exo_window *w);
/* "us", "de", … */
const char *exo_window_layout(const struct exo_window *w);
/* Which way its pictures go: "shared" (drawn where they are shown) or "transfer". */
const char *exo_window_path(const struct exo_window *w);

/* ---- drawing ---- */

/*
 * The picture to draw in: what was presented last is in it, except with EXO_WINDOW_REDRAWS.
 * Valid until exo_window_present. Without pixels (width 0) if there is no memory for it. Does not
 * wait: presenting frames faster than they can be seen shows some of them in part.
 */
struct exo_surface exo_window_begin(struct exo_window *w);
/* This part of it was drawn; parts outside are cut off. */
void exo_window_damage(struct exo_window *w, int x, int y, int width, int height);
/* Shows what was damaged; nothing if nothing was. Returns at once; EXO_EVENT_FRAME follows. */
int exo_window_present(struct exo_window *w);
/* Not every frame was seen yet. */
bool exo_window_busy(const struct exo_window *w);
/* 64 x 64; NULL: the desktop's own. hot: the pixel that points. */
int exo_window_cursor(struct exo_window *w, const uint32_t pixels[64 * 64], unsigned hot_x,
		      unsigned hot_y);

/* ---- events ---- */

/* 1 with *e, 0 when none came in time, -1. timeout_ms -1: waits for ever. */
int exo_window_next(struct exo_window *w, struct exo_event *e, int timeout_ms);
/* For poll: POLLIN when exo_window_next may have something. One for all windows. */
int exo_window_fd(const struct exo_window *w);
/* For poll's timeout: when exo_window_next wants to be called anyway (key repeat); -1: never. */
int exo_window_timeout_ms(const struct exo_window *w);

/* ---- what the person decides ---- */

int exo_window_title(struct exo_window *w, const char *title);
int exo_window_attention(struct exo_window *w);
/* The answer to EXO_EVENT_COPY, within 2 s. */
int exo_window_copy(struct exo_window *w, uint32_t id, uint32_t format, const void *data,
		    size_t bytes);
/*
 * Asks for a file. rights: EXO_DESK_READ, | EXO_DESK_WRITE; save: a name to be made. `name` is
 * proposed; NULL: none. The id that EXO_EVENT_CHOSEN will have, or -1.
 */
int exo_window_choose(struct exo_window *w, uint32_t rights, bool save, const char *name);

#ifdef __cplusplus
}
#endif

#endif
