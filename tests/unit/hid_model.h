/*
 * A person and their guests at random before the multiplexer of input and display, with a model
 * of what must hold, after each step:
 *
 *   every press that a window saw has exactly one release, at the latest when it goes;
 *   keys are pressed only in the window in focus, and nothing while input is held back;
 *   a guest's window gets the focus only if it was chosen, or had it before;
 *   who only draws what is damaged has the same picture as who draws everything;
 *   rectangles of damage do not overlap; no window covers the strip;
 *   a frame is due if and only if something is damaged, and not too soon.
 *
 * Whatever breaks a rule aborts with its words.
 */
#ifndef HID_MODEL_H
#define HID_MODEL_H

#include "hidmux.h"

/* The next of the bytes that say what happens; false: there are no more. */
typedef bool hid_model_next_fn(void *opaque, uint8_t *byte);

/* Until the bytes end. How many events reached windows. */
unsigned hid_model_run(hid_model_next_fn *next, void *opaque);

#endif
