/*
 * What the files of hidmux share. hidmux.c: its life, what is known of windows; window.c: windows
 * come, go and change; layout.c: where they are; focus.c: who has the keyboard; input.c: keys,
 * wheel, touch; pointer.c: pointer and buttons; drag.c: frames taken by the pointer; chords.c;
 * damage.c.
 *
 * A function that changes windows changes their wishes, then calls hid_settle, which alone
 * moves them, says so to their owners and damages what looks different.
 */
#ifndef HIDMUX_IMPL_H
#define HIDMUX_IMPL_H

#include "hidmux.h"

#define HID_NOBODY UINT32_MAX /* of a key or button: it is down, and no window saw that */
#define HID_PIECES 64         /* of a rectangle that others cover; more: taken as one */
#define HID_SIZE_MAX 16384

enum hid_side { HID_SIDE_NONE, HID_SIDE_LEFT, HID_SIDE_RIGHT };
enum hid_layer { HID_LAYER_GUESTS, HID_LAYER_PANELS, HID_LAYER_MODAL };

struct hid_window {
	struct hid_window_setup setup;
	hid_id id;
	struct hid_rect normal; /* content when it floats */
	enum hid_side side;     /* it fills this half of the screen */
	bool fullscreen, maximized, minimized, attention;
	uint64_t used; /* when it last had the focus: a count; 0: never */
	/* As it is settled: */
	struct hid_rect frame, content;
	bool shown;   /* not minimized */
	bool visible; /* and not wholly hidden */
	/* As its owner was told: */
	bool told, told_visible;
	int told_width, told_height;
};

enum hid_zone {
	HID_ZONE_NONE,
	HID_ZONE_CONTENT,
	HID_ZONE_TITLE,
	HID_ZONE_EDGE,
	HID_ZONE_CLOSE,
	HID_ZONE_MAXIMIZE,
	HID_ZONE_MINIMIZE
};

#define HID_EDGE_LEFT 1u
#define HID_EDGE_RIGHT 2u
#define HID_EDGE_TOP 4u
#define HID_EDGE_BOTTOM 8u

/* What the pointer holds of a window's frame; id 0: nothing. */
struct hid_drag {
	hid_id id;
	uint16_t button;
	enum hid_zone zone; /* TITLE: moves; EDGE: resizes; a button of the title */
	unsigned edges;
	bool moved;           /* it left the spot where it began */
	int x, y;             /* there */
	struct hid_rect from; /* the content then */
};

struct hid {
	struct hid_config config;
	const struct hid_ops *ops;
	void *opaque;
	struct hid_window *stack[HID_WINDOWS_MAX]; /* the lowest first, by layers */
	unsigned count;
	hid_id last_id;
	uint64_t uses;
	hid_id focused;
	uint64_t held_until;

	/* Who saw the press: 0: it is up. HID_NOBODY: no window. */
	hid_id key[HID_KEYS_MAX], button[HID_KEYS_MAX];
	hid_id touch[HID_TOUCHES_MAX];
	unsigned captures; /* buttons that windows hold */
	hid_id captured;   /* by this one */
	hid_id hover;      /* its content has the pointer */
	int x, y;
	int touch_pointer; /* the slot that acts as the pointer, on frames; -1 */
	struct hid_drag drag;
	hid_id click; /* the last click on a title */
	uint64_t click_ns;

	hid_id cycle[HID_WINDOWS_MAX]; /* Super+Tab, while Super is down */
	unsigned cycle_count, cycle_at;
	unsigned cascade;

	struct hid_rect damage[HID_RECTS_MAX];
	unsigned damage_count;
	uint64_t frame_ns; /* the last one's begin */
	bool framed;       /* there was one */
};

/* hidmux.c */
struct hid_window *hid_find(const struct hid *h, hid_id id); /* NULL: there is none */
int hid_px(const struct hid *h, int n);                      /* at least 1 if n is */
int hid_strip_height(const struct hid *h);
enum hid_layer hid_layer_of(const struct hid_window *w);
struct hid_window *hid_modal(const struct hid *h); /* that gets all input, or NULL */

static inline bool hid_inside(const struct hid_rect *r, int x, int y)
{
	return x >= r->x && y >= r->y && x < r->x + r->width && y < r->y + r->height;
}

/* layout.c */
/* Windows are as they wish to be; owners are told, damage is noted. */
void hid_settle(struct hid *h);
struct hid_rect hid_work_area(const struct hid *h); /* below the strip */
bool hid_framed(const struct hid_window *w);        /* has it border and title */
bool hid_tiled(const struct hid *h, const struct hid_window *w);
struct hid_rect hid_frame_of(const struct hid *h, const struct hid_window *w,
			     struct hid_rect content);
/* Its size within its limits and the screen; its title where it can be reached. */
void hid_limit(const struct hid *h, const struct hid_window *w, struct hid_rect *content);
void hid_find_place(struct hid *h, struct hid_window *w);

/* window.c */
void hid_raise(struct hid *h, struct hid_window *w);
/* Below the one in focus, if that is in its layer; else on top of its layer. */
void hid_insert(struct hid *h, struct hid_window *w);

/* focus.c */
void hid_set_focus(struct hid *h, hid_id to, bool asked, uint64_t now_ns);
/* The window in focus is none any more: the one used before has it. */
void hid_focus_last(struct hid *h, bool asked, uint64_t now_ns);
void hid_next(struct hid *h, bool forward, uint64_t now_ns);
void hid_cycle_end(struct hid *h);

/* input.c */
/* All that is down comes up for those who saw it: of window `of` only, or 0: of all. */
void hid_release_all(struct hid *h, hid_id of, uint64_t now_ns);
bool hid_reserved(const struct hid *h, uint16_t code); /* is it the shell's modifier? */
bool hid_is_held(const struct hid *h, uint64_t now_ns);

/* pointer.c */
struct hid_window *hid_zone_at(const struct hid *h, int x, int y, enum hid_zone *zone,
			       unsigned *edges);
void hid_refresh_hover(struct hid *h); /* windows moved below the pointer */

/* drag.c */
void hid_drag_begin(struct hid *h, struct hid_window *w, uint16_t button, enum hid_zone zone,
		    unsigned edges, uint64_t now_ns);
void hid_drag_move(struct hid *h);
void hid_drag_end(struct hid *h, uint64_t now_ns);
struct hid_rect hid_title_of(const struct hid *h, const struct hid_window *w);

/* chords.c */
enum hid_action hid_chord_action(const struct hid *h, uint16_t code, uint32_t modifiers);

/* damage.c */
bool hid_clip(struct hid_rect *r, const struct hid_rect *to); /* false: nothing is left */
void hid_add_damage(struct hid *h, struct hid_rect r);
/* `r` of the screen, but for what windows above w hide. */
void hid_damage_seen(struct hid *h, const struct hid_window *w, const struct hid_rect *r);
bool hid_seen(const struct hid *h, const struct hid_window *w, const struct hid_rect *r);

#endif
