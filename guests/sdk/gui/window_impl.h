/*
 * What the files of exo_window.h share. One state for the program: its windows, the devices
 * below /dev/exo, the connection with the desktop, and events that wait to be taken.
 *
 *	window.c        opening and closing        window_draw.c   pictures, presenting
 *	window_next.c   waiting, timers, queue     window_input.c  reports of devices
 *	window_desk.c   the service "desktop"      window_clip.c   clipboard and files
 */
#ifndef WINDOW_IMPL_H
#define WINDOW_IMPL_H

#include "keymap.h"

#include <exo/desktop.h>
#include <exo/display.h>
#include <exo_devices.h>
#include <exo_window.h>

#define GUI_WINDOWS_MAX EXO_DPY_SCANOUTS_MAX
#define GUI_EVENTS 256      /* that wait; input is left in the devices beyond that */
#define GUI_EVENTS_SPARE 48 /* of them for what is not input, and the end of a report */
#define GUI_NEVER UINT64_MAX
#define GUI_FLIGHTS_MAX 2 /* presented frames that nobody has seen; more wait here */

struct gui_rect {
	int x0, y0, x1, y1; /* empty: x0 >= x1 */
};

struct gui_picture {
	struct exo_display_picture p; /* id 0: there is none */
	struct gui_rect stale;        /* where another one has something newer */
};

struct exo_window {
	unsigned scanout, flags;
	char title[EXO_DESK_TEXT_MAX + 1];
	struct exo_display_mode mode;
	bool was_there; /* it was plugged in once: then, if it is not, it is held back */
	bool focused;

	unsigned width, height;        /* of the pictures */
	struct gui_picture picture[2]; /* the second may be missing */
	struct gui_picture retired[2]; /* of the last size, until a new one is shown */
	unsigned drawing;              /* picture that begin gave out last */
	bool begun;
	struct gui_rect damage; /* since begin */
	int front;              /* presented last, -1: none yet */

	uint32_t sent, seen; /* sequences of frames */
	bool waiting;        /* a frame waits for room in the device */
	unsigned waiting_picture;
	struct gui_rect waiting_damage;
	bool frame_due; /* EXO_EVENT_FRAME is to come, at… */
	uint64_t frame_ns, last_frame_ns;
};

struct gui_device {
	struct exo_input_info info;
	/* Of the report that is being read. */
	int32_t x, y, dx, dy, wheel_x, wheel_y;
	bool moved, fine_x, fine_y; /* fine: the wheel has 120ths */
	unsigned nbuttons;
	struct {
		uint16_t code;
		bool down;
	} button[8];
	unsigned slot;
	struct {
		int32_t x, y;
		bool down, changed, began;
	} touch[16];
};

struct gui {
	int users; /* windows */
	int display, input, epoll, timer;
	uint64_t timer_ns; /* what it is set to */
	struct exo_window *window[GUI_WINDOWS_MAX];
	struct exo_display_info info;

	struct exo_event event[GUI_EVENTS];
	unsigned first, count;
	void *dropped; /* data of the event that was taken last */

	unsigned ndevices;
	struct gui_device device[EXO_INPUT_DEVICES_MAX];
	unsigned pointer_scanout;
	int pointer_x, pointer_y;
	uint32_t buttons;
	struct keymap_state keys;
	uint8_t key_down[96]; /* KEY_MAX / 8 */
	struct exo_event repeated;
	uint64_t repeat_ns; /* GUI_NEVER: nothing is */

	/* desktop service */
	int desk; /* socket, -1 */
	bool desk_connecting, desk_none;
	uint64_t desk_tried_ns;
	uint64_t desk_due_ns; /* the next try; GUI_NEVER: when somebody shows */
	char layout[32];
	uint32_t scale;
	bool dark;
	uint32_t last_id;
	struct {
		uint8_t *data;
		uint32_t format, total, got, scanout;
	} paste;
	unsigned files;
};

extern struct gui gui;

uint64_t gui_now(void);

/* ---- window_next.c ---- */

/* Room for an event that is not input is always found: an old pointer movement goes. */
void gui_push(const struct exo_event *e);
bool gui_room_for_input(void);
/* The last event waiting, to be changed; NULL: there is none. */
struct exo_event *gui_last(void);
/* Modes may have changed: takes them over. */
void gui_modes(void);
/* Sets the timer for what is due next. */
void gui_arm(void);

/* ---- window_draw.c ---- */

/* The device answered. */
void gui_seen(struct exo_window *w, uint32_t sequence);
/* What waited for room or for the display is sent. */
void gui_send_waiting(struct exo_window *w);
void gui_pictures_free(struct exo_window *w);
unsigned gui_frame_interval_ns(const struct exo_window *w);

/* ---- window_input.c ---- */

void gui_input_start(void);
void gui_input_read(void);
/* Its time has come. */
void gui_repeat(uint64_t now);
void gui_repeat_stop(void);

/* ---- window_desk.c ---- */

/* Connects, if there is such a service and it is not tried too often. Does not wait. */
void gui_desk_open(void);
void gui_desk_close(void);
/* Readable, writable or hung up. */
void gui_desk_ready(void);
/* -1 with ENOTCONN… h.bytes is set here. */
int gui_desk_send(struct exo_desk_msg *h, const void *data, size_t bytes);
void gui_desk_title(const struct exo_window *w);
struct exo_window *gui_keyboard_window(void);

/* ---- window_clip.c ---- */

/* False: the desktop broke the rules. */
bool gui_take_paste(const struct exo_desk_msg *h, const uint8_t *data);
bool gui_take_file(const struct exo_desk_msg *h, const char *name);
void gui_clip_reset(void);
bool gui_utf8(const char *text, size_t bytes);

#endif
