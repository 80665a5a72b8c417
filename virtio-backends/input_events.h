/*
 * Which events each kind of input device has, and with which values
 * (VIRTIO 1.2, 5.8; linux/input-event-codes.h). Used to say it to the driver and to
 * check what the desktop sends. Pure; any thread.
 */
#ifndef INPUT_EVENTS_H
#define INPUT_EVENTS_H

#include <exo/display.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_TOUCHES_MAX 16        /* fingers at once: slots of protocol B */
#define INPUT_TRACKING_ID_MAX 65535 /* -1: the finger is gone */

/* Codes first … last of a type. */
struct input_range {
	uint16_t type, first, last;
};

/* The ranges of a kind, in ascending order, without EV_SYN. */
const struct input_range *input_ranges(enum exo_dpy_device kind, size_t *n);

/* Axis limits, as EV_ABS events and ABS_INFO have them. False: no such axis. */
bool input_axis(enum exo_dpy_device kind, uint16_t code, int32_t *min, int32_t *max);

/* May the device send this event? SYN_REPORT included. Keys are 0 or 1: guests repeat themselves.
 */
bool input_event_valid(enum exo_dpy_device kind, const struct exo_dpy_event *e);

#endif
