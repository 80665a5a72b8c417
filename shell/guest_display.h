/*
 * What display a guest asks for: of a manifest's [display], of `start`'s field display and of
 * --display. Pure functions.
 */
#ifndef GUEST_DISPLAY_H
#define GUEST_DISPLAY_H

#include <exo/display.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_DISPLAY_WHY_MAX 160

struct guest_display {
	uint32_t windows;       /* scanouts; 0: no display */
	uint32_t width, height; /* of the first window's content when it opens */
	uint32_t inputs;        /* EXO_DPY_HAS_* */
	uint64_t picture_bytes;
};

/* One window of 640 x 480 with keyboard and tablet. */
void guest_display_default(struct guest_display *d);
/* "640x480", 1 … EXO_DPY_SIZE_MAX each. False: it is not that. */
bool guest_display_size(const char *text, uint32_t *width, uint32_t *height);
/* The EXO_DPY_HAS_* of a word: of input (keyboard, tablet, mouse, touch) or of sound. 0: none. */
uint32_t guest_display_input(const char *word);
uint32_t guest_display_sound(const char *word);
/* Words of the bits that are set, in that order; NULL at the end. */
const char *guest_display_word(uint32_t inputs, unsigned i);
/* 0, or -EINVAL with why: one line. */
int guest_display_check(const struct guest_display *d, char why[GUEST_DISPLAY_WHY_MAX]);

#endif
