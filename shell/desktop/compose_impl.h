/* Between compose.c, which decides what is seen where, and those that draw the shell's parts. */
#ifndef COMPOSE_IMPL_H
#define COMPOSE_IMPL_H

#include "desktop.h"

/*
 * c is the part of the screen whose first pixel is at left, top; all of it is drawn that
 * belongs to the thing. compose_frame.c: border and title of a window.
 */
void compose_frame(struct desktop *d, const struct canvas *c, int left, int top,
		   const struct hid_window_info *info);
/* compose_strip.c */
void compose_strip(struct desktop *d, const struct canvas *c, int left, int top);
/* The background, where there are no windows. */
void compose_background(struct desktop *d, const struct canvas *c, int left, int top);

#endif
