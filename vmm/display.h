/*
 * What a guest's display needs of the machine: picture memory (exo/display.h) as a
 * memory slot at EXO_PICTURE_GPA, and the desktop's socket in the event loop.
 * The devices share a struct desk. Nothing here happens without EXO_VMM_SCREEN.
 *
 * Threads: display_init by the main thread before any device exists; the rest by the
 * main thread before the guest runs, then by the event loop.
 */
#ifndef DISPLAY_H
#define DISPLAY_H

#include "config.h"
#include "desk.h"
#include "loop.h"

struct display {
	struct desk *desk; /* NULL: the guest has no display */
	uint8_t *picture;
	struct loop *loop;
};

/*
 * Checks and maps the configuration's picture memory, takes its fd. 0, or -errno with
 * *why saying what was refused.
 */
int display_init(struct display *d, const struct config *c, char *why, size_t why_bytes);

/* The devices exist, or a new socket came: it takes the last one's place. Owns fd in any case. */
void display_set_socket(struct display *d, struct loop *loop, int fd);

#endif
