/* Between output_sdl.c (the window), sdl_input.c (events) and sdl_keys.c (the table of keys). */
#ifndef SDL_IMPL_H
#define SDL_IMPL_H

#include "output.h"

#include <SDL.h>

struct sdl_finger {
	SDL_FingerID id;
	bool down;
};

struct sdl {
	struct output output;
	SDL_Window *window;
	struct canvas surface; /* the window's own pixels… */
	bool direct;           /* …or, where their format is another, ours that are converted */
	bool fresh;            /* nothing is in it yet */
	uint32_t scale;        /* asked for; 0: the display's */
	int width, height;     /* pixels */
	double ratio;          /* pixels in one of SDL's units */
	SDL_Cursor *cursor;
	int fd;
	struct sdl_finger finger[HID_TOUCHES_MAX];
	double wheel_x, wheel_y; /* less than one 120th */
};

static inline struct sdl *sdl_of(struct output *o)
{
	return (struct sdl *)(void *)o; /* its first member */
}

/* evdev's code; 0: none. */
uint16_t sdl_key_code(SDL_Scancode code);
/* All events that are there. */
void sdl_take_events(struct sdl *s);
/* The window's size may have changed: says so. */
void sdl_check_size(struct sdl *s);

#endif
