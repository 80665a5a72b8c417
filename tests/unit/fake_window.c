/* A window that is not there. */
#include "fake_window.h"

#include <stdlib.h>
#include <string.h>

void fake_window_push(struct exo_window *w, const struct exo_event *e)
{
	w->event[w->events++] = *e;
}

unsigned exo_window_scale(const struct exo_window *w)
{
	return w->scale;
}

bool exo_window_dark(const struct exo_window *w)
{
	return w->dark;
}

bool exo_window_focused(const struct exo_window *w)
{
	return !w->unfocused;
}

bool exo_window_settled(const struct exo_window *w)
{
	return !w->unsettled;
}

bool exo_window_busy(const struct exo_window *w)
{
	return w->busy;
}

struct exo_surface exo_window_begin(struct exo_window *w)
{
	w->x0 = w->y0 = w->x1 = w->y1 = 0;
	return (struct exo_surface){w->pixels, w->width, w->height, w->width};
}

void exo_window_damage(struct exo_window *w, int x, int y, int width, int height)
{
	if (w->x0 >= w->x1) {
		w->x0 = x;
		w->y0 = y;
	}
	w->x0 = x < w->x0 ? x : w->x0;
	w->y0 = y < w->y0 ? y : w->y0;
	w->x1 = x + width > w->x1 ? x + width : w->x1;
	w->y1 = y + height > w->y1 ? y + height : w->y1;
}

int exo_window_present(struct exo_window *w)
{
	w->frames += w->x0 < w->x1;
	return 0;
}

int exo_window_next(struct exo_window *w, struct exo_event *e, int timeout_ms)
{
	(void)timeout_ms;
	if (w->events == 0)
		return 0;
	*e = w->event[0];
	w->events--;
	memmove(w->event, w->event + 1, w->events * sizeof(*e));
	return 1;
}

int exo_window_timeout_ms(const struct exo_window *w)
{
	(void)w;
	return -1;
}

int exo_window_copy(struct exo_window *w, uint32_t id, uint32_t format, const void *data,
		    size_t bytes)
{
	(void)id;
	memcpy(w->copied, data, bytes);
	w->copied[bytes] = 0;
	w->copied_format = format;
	return 0;
}
