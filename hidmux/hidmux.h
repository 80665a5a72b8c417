/*
 * The multiplexer of keyboard, pointer, touch and display: which window is where, which one
 * has the keyboard, what goes to whom, what has to be drawn again. Pure logic:
 * no clock of its own, no sockets, no pixels; times are given, effects are said through
 * struct hid_ops. One seat, one screen. Sizes are pixels of the screen.
 *
 * The rules, each with its test:
 *   - What is not the shell's goes to the window in focus (keys) or under the pointer
 *     (pointer; while a button is held: the window it was pressed in), and to no other.
 *   - Who saw a press sees the release, whatever happens between: focus, grabs, other windows.
 *     A window that goes away or loses the focus gets no more than that.
 *   - A new window never takes the focus; it is placed below the one that has it, unless there
 *     is none. Nor does one that the person never chose get it when another window goes.
 *   - When the focus moves without the person having asked for it (its window went away), keys
 *     and clicks are held back for HID_HOLD_NS: they go to nobody.
 *   - The secure attention chord always reaches the shell, also when a window is full-screen
 *     or has a grab, and no part of it is seen by a guest but the releases it is owed.
 *     What is held of keys then comes up for who saw them go down.
 *   - The strip (the screen's top row) is never covered, also by full-screen windows.
 *   - Damage is kept as a short list of rectangles; what is hidden below others causes none.
 *
 * Threads: the caller's.
 */
#ifndef HIDMUX_H
#define HIDMUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HID_WINDOWS_MAX 256 /* Limit: the next is refused */
#define HID_KEYS_MAX 768    /* evdev codes below that */
#define HID_RECTS_MAX 32    /* of damage; more are merged */
#define HID_TOUCHES_MAX 10
#define HID_HOLD_NS 500000000ull
#define HID_FRAME_NS 16666667ull

struct hid_rect {
	int x, y, width, height;
};

typedef uint32_t hid_id; /* of a window, never used again; 0: none */

enum hid_layout { HID_FLOATING, HID_TILING };

/* What keys of the shell do: all with the shell's modifier held (default: left Super). */
enum hid_action {
	HID_ACTION_NONE,
	HID_ACTION_ATTENTION, /* the secure attention chord */
	HID_ACTION_LAUNCHER,
	HID_ACTION_WINDOWS, /* list of windows */
	HID_ACTION_GRAPH,
	HID_ACTION_CONSOLE, /* of the guest in focus */
	HID_ACTION_NEXT,    /* window, by last use */
	HID_ACTION_PREVIOUS,
	HID_ACTION_CLOSE,
	HID_ACTION_FULLSCREEN, /* on and off */
	HID_ACTION_MAXIMIZE,   /* likewise */
	HID_ACTION_LAYOUT,     /* floating, tiling */
	HID_ACTION_COPY,
	HID_ACTION_PASTE,
	HID_ACTION_SCREENSHOT,
	HID_ACTION_SCREENCAST,
	HID_ACTION_KEYMAP, /* the next keyboard layout */
	HID_ACTION_THEME,
	HID_ACTION_HELP,
	HID_ACTION_KILL,
	HID_ACTION_PAUSE,
	HID_ACTIONS
};

#define HID_MOD_SHIFT 1u
#define HID_MOD_CTRL 2u
#define HID_MOD_ALT 4u
#define HID_MOD_SUPER 8u
#define HID_MOD_ALTGR 16u

struct hid_chord {
	uint32_t modifiers; /* HID_MOD_*, exactly these */
	uint16_t key;       /* evdev code; 0: unset */
};

struct hid_window_info {
	hid_id id;
	void *owner;
	struct hid_rect frame;   /* on the screen, with its border and title */
	struct hid_rect content; /* on the screen; what the guest or panel draws */
	bool focused, visible, fullscreen, maximized, minimized, attention;
	bool panel; /* the shell's own */
};

/* Squares in the title, from the right. */
enum hid_title_button { HID_TITLE_CLOSE, HID_TITLE_MAXIMIZE, HID_TITLE_MINIMIZE };

/* What a window is to be at its start. Zeros are good defaults. */
struct hid_window_setup {
	void *owner;
	int width, height; /* of the content; 0: a third of the screen */
	int min_width, min_height, max_width, max_height; /* 0: any */
	bool panel;    /* the shell's own: above guests' windows, and it may take the focus */
	bool modal;    /* of a panel: gets all input until it goes */
	bool passive;  /* of a panel: it never gets the keyboard; the others get it at once */
	bool bare;     /* no border and title */
	bool anchored; /* its content is at x, y; else it is placed */
	int x, y;
};

/*
 * Called from within the functions below. configure and leave must not call back into them; the
 * others may, but for removing the window that they are about, unless it is a panel's key, button
 * or close. All required.
 */
struct hid_ops {
	/* To the window's owner. code: evdev (KEY_*, BTN_*). Keys that repeat are said once. */
	void (*key)(void *opaque, hid_id to, uint16_t code, bool down, uint64_t time_ns);
	/* Pointer in the window's content: pixels; may lie outside while a button is held. */
	void (*pointer)(void *opaque, hid_id to, int x, int y, uint64_t time_ns);
	void (*button)(void *opaque, hid_id to, uint16_t code, bool down, uint64_t time_ns);
	/* 120ths of a notch; y up, x right. */
	void (*wheel)(void *opaque, hid_id to, int dx, int dy, uint64_t time_ns);
	/* phase: 0 down, 1 moved, 2 up. */
	void (*touch)(void *opaque, hid_id to, unsigned slot, unsigned phase, int x, int y,
		      uint64_t time_ns);
	/* The pointer left the window. */
	void (*leave)(void *opaque, hid_id from);
	/* Its content has this size now, and is seen or not. Once when it is added, then on
	 * changes. */
	void (*configure)(void *opaque, hid_id id, int width, int height, bool visible);
	/* 0: nobody has it. asked: the person did it. */
	void (*focus)(void *opaque, hid_id from, hid_id to, bool asked);
	/* All but those that hid_act does itself. */
	void (*action)(void *opaque, enum hid_action action, hid_id focused);
	/* The close button, or HID_ACTION_CLOSE: the owner decides. */
	void (*close)(void *opaque, hid_id id);
};

struct hid_config {
	int width, height;        /* of the screen */
	uint32_t scale;           /* 120ths: borders, titles and the strip grow with it */
	int strip, border, title; /* heights at scale 1; 0: 24, 2, 22 */
	enum hid_layout layout;
	struct hid_chord chord[HID_ACTIONS]; /* key 0: the default of hid_default_chords */
};

struct hid; /* opaque */

void hid_default_chords(struct hid_chord chord[HID_ACTIONS]);
/* "super+shift+q" and back. False: not a chord; *why says so. */
bool hid_parse_chord(const char *text, struct hid_chord *chord, const char **why);
void hid_chord_words(const struct hid_chord *chord, char out[64]);

/* NULL: no memory. ops and *ops live as long. */
struct hid *hid_create(const struct hid_config *config, const struct hid_ops *ops, void *opaque);
void hid_destroy(struct hid *h);
/* The screen changed: windows are put where they can be reached. */
void hid_resize(struct hid *h, int width, int height, uint32_t scale);
void hid_set_layout(struct hid *h, enum hid_layout layout);

/* ---- windows ------------------------------------------------------------------ */

/* 0: no memory, or HID_WINDOWS_MAX. */
hid_id hid_add(struct hid *h, const struct hid_window_setup *setup, uint64_t now_ns);
void hid_remove(struct hid *h, hid_id id, uint64_t now_ns);
/* The person chose it (a list, a click): focus, and to the front. */
void hid_focus(struct hid *h, hid_id id, uint64_t now_ns);
void hid_set_fullscreen(struct hid *h, hid_id id, bool on, uint64_t now_ns);
void hid_set_maximized(struct hid *h, hid_id id, bool on, uint64_t now_ns);
void hid_set_minimized(struct hid *h, hid_id id, bool on, uint64_t now_ns);
void hid_set_attention(struct hid *h, hid_id id, bool on);
/* Moves and sizes its content, as far as the layout and its limits allow. */
void hid_place(struct hid *h, hid_id id, const struct hid_rect *content, uint64_t now_ns);
bool hid_info(const struct hid *h, hid_id id, struct hid_window_info *info);
/* In the order of drawing, the lowest first, minimized ones too; the number there are. */
unsigned hid_stack(const struct hid *h, hid_id *ids, unsigned max);
hid_id hid_focused(const struct hid *h);          /* 0: nobody */
hid_id hid_at(const struct hid *h, int x, int y); /* 0: the background or the strip */
struct hid_rect hid_strip(const struct hid *h);
/* On the screen, to be drawn there; width 0: it has none. */
struct hid_rect hid_title_button(const struct hid *h, hid_id id, enum hid_title_button button);
/* The window whose content has the pointer, so that its cursor shows; 0: the shell's arrow. */
hid_id hid_pointer_over(const struct hid *h);

/* ---- input ---------------------------------------------------------------------- */

void hid_key(struct hid *h, uint16_t code, bool down, uint64_t now_ns);
void hid_pointer(struct hid *h, int x, int y, uint64_t now_ns);  /* screen pixels */
void hid_motion(struct hid *h, int dx, int dy, uint64_t now_ns); /* relative: kept on the screen */
void hid_button(struct hid *h, uint16_t code, bool down, uint64_t now_ns);
void hid_wheel(struct hid *h, int dx, int dy, uint64_t now_ns);
void hid_touch(struct hid *h, unsigned slot, unsigned phase, int x, int y, uint64_t now_ns);
/* The host's window lost the keyboard (or got it): all keys and buttons that are down come up. */
void hid_host_focus(struct hid *h, bool there, uint64_t now_ns);
void hid_pointer_at(const struct hid *h, int *x, int *y);
uint32_t hid_modifiers(const struct hid *h); /* HID_MOD_* that are down */
/* Is input held back at this time? Until when: for a mark on the strip. 0: no. */
uint64_t hid_held_until(const struct hid *h, uint64_t now_ns);

/* As if its keys were typed: NEXT, PREVIOUS, CLOSE, FULLSCREEN, MAXIMIZE, LAYOUT are done here. */
void hid_act(struct hid *h, enum hid_action action, uint64_t now_ns);

/* ---- damage and frames -------------------------------------------------------------- */

/* Of a window's content, in its pixels; what is hidden by others does not count. */
void hid_damage(struct hid *h, hid_id id, const struct hid_rect *rect);
void hid_damage_frame(struct hid *h, hid_id id);                    /* its border and title */
void hid_damage_screen(struct hid *h, const struct hid_rect *rect); /* NULL: all */
/*
 * When the next frame is due: now_ns or later; UINT64_MAX: nothing to draw. Not
 * sooner than HID_FRAME_NS after the last, so that what comes in between is one frame.
 */
uint64_t hid_frame_due(const struct hid *h, uint64_t now_ns);
/* Starts a frame: what has to be drawn; the number of rectangles, which do not overlap. */
unsigned hid_frame_begin(struct hid *h, struct hid_rect rects[HID_RECTS_MAX], uint64_t now_ns);

#endif
