/* A window that is not there: what the widgets ask of exo_window.h, for their tests. */
#ifndef FAKE_WINDOW_H
#define FAKE_WINDOW_H

#include <exo_window.h>

struct exo_window {
	unsigned width, height, scale;
	bool dark, unfocused, busy, unsettled;
	uint32_t pixels[800 * 600];
	/* What was done with it. */
	unsigned frames;
	int x0, y0, x1, y1; /* damage of the last frame */
	char copied[256];
	uint32_t copied_format;
	/* Events to come. */
	struct exo_event event[64];
	unsigned events;
};

void fake_window_push(struct exo_window *w, const struct exo_event *e);

#endif
