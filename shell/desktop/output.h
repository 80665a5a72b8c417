/*
 * Where the screen is shown, and where input comes from: an SDL2 window, nowhere (headless), or
 * a KMS display with evdev (to come). An output calls desktop_key and its like, in
 * the desktop's thread, from its fd's readiness: it never polls.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "desktop.h"

struct output_setup {
	int width, height; /* 0: the output's own choice */
	uint32_t scale;    /* 120ths; 0: the output's own */
	bool fullscreen;
	const char *title;
};

struct output_class {
	const char *name; /* "sdl", "headless", "kms" */
	/* Opens it and says its size by desktop_resized. NULL with why. */
	struct output *(*open)(struct desktop *d, const struct output_setup *setup, char why[256]);
	void (*close)(struct output *o);
	/*
	 * The canvas that the next frame is composed in; it keeps what the last present
	 * had. *age: how many frames old that is; 0: nothing is known of it.
	 */
	struct canvas (*begin)(struct output *o, unsigned *age);
	/* Shows these rectangles of it. */
	void (*present)(struct output *o, const struct hid_rect *rects, unsigned n);
	/* The pointer's picture, 64 x 64 premultiplied; NULL: the arrow. */
	void (*cursor)(struct output *o, const uint32_t *pixels, int hot_x, int hot_y);
	/* All that is pending at its fd, and what it has queued itself. */
	void (*poll)(struct output *o);
	int (*fd)(const struct output *o);            /* -1: it has none */
	uint64_t (*frame_ns)(const struct output *o); /* time between frames of the monitor */
	void (*resize)(struct output *o, int width, int height);
};

struct output {
	const struct output_class *cls;
	struct desktop *desktop;
	uint64_t poll_ns; /* without an fd to wait for: to be looked at so often; 0: never */
};

extern const struct output_class output_sdl, output_headless;

#endif
