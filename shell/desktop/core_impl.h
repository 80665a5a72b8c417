/* Between core.c (the loop, frames) and events.c (what hid says, what the person does). */
#ifndef CORE_IMPL_H
#define CORE_IMPL_H

#include "desktop.h"
#include "output.h"

struct core_event; /* events.c */

struct core {
	struct desktop *desktop;
	struct hid_chord chord[HID_ACTIONS];
	struct hid_config config;
	struct canvas screen; /* as it was last presented */
	uint64_t wake_ns;     /* asked for by desktop_wake_at; 0: not */
	int signals;          /* signalfd, -1 */

	/* What hid said to panels, and what may close windows: told after hid has returned. */
	struct core_event *event;
	unsigned nevents, at, room;
	bool telling;
	uint8_t down[HID_KEYS_MAX / 8]; /* keys, so that each goes down once */

	/* Whose pointer's picture the output shows. */
	hid_id cursor_of;
	unsigned cursors;
	struct hid_rect cursor_part; /* of the picture: what of it lies in the window */
};

extern const struct hid_ops events_ops; /* opaque: struct desktop */
/* Tells what waits. From the outermost function that called hid. */
void events_tell(struct desktop *d);
void events_close(struct core *c);

#endif
