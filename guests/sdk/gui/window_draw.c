/*
 * Pictures of a window (exo_window.h). In shared memory there are two: one is seen,
 * the other drawn. What is transferred needs only one, because what is seen is the host's copy.
 */
#include "window_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define NS_PER_S 1000000000ull

static const struct gui_rect nothing;

static bool is_empty(const struct gui_rect *r)
{
	return r->x0 >= r->x1 || r->y0 >= r->y1;
}

static void join(struct gui_rect *r, const struct gui_rect *other)
{
	if (is_empty(other))
		return;
	if (is_empty(r)) {
		*r = *other;
		return;
	}
	r->x0 = r->x0 < other->x0 ? r->x0 : other->x0;
	r->y0 = r->y0 < other->y0 ? r->y0 : other->y0;
	r->x1 = r->x1 > other->x1 ? r->x1 : other->x1;
	r->y1 = r->y1 > other->y1 ? r->y1 : other->y1;
}

/* ---- pictures -------------------------------------------------------------------------- */

static void destroy(struct gui_picture *p)
{
	if (p->p.id)
		ioctl(gui.display, (int)EXO_DISPLAY_DESTROY, (unsigned long)p->p.id);
	p->p.id = 0;
}

static bool create(const struct exo_window *w, struct gui_picture *p)
{
	*p = (struct gui_picture){
		.p = {.width = w->width,
		      .height = w->height,
		      .flags = w->flags & EXO_WINDOW_COPY ? EXO_DISPLAY_COPY : 0}};
	return ioctl(gui.display, (int)EXO_DISPLAY_CREATE, &p->p) == 0;
}

static bool create_both(struct exo_window *w)
{
	if (!create(w, &w->picture[0])) {
		w->picture[0].p.id = 0;
		return false;
	}
	if (w->picture[0].p.flags & EXO_DISPLAY_COPY)
		return true;
	if (create(w, &w->picture[1]))
		return true;
	w->picture[1].p.id = 0;
	return w->retired[0].p.id == 0; /* there is no more room to be had: one must do */
}

static void destroy_all(struct gui_picture p[2])
{
	destroy(&p[0]);
	destroy(&p[1]);
}

void gui_pictures_free(struct exo_window *w)
{
	ioctl(gui.display, (int)EXO_DISPLAY_HIDE, (unsigned long)w->scanout);
	destroy_all(w->picture);
	destroy_all(w->retired);
}

/* Pictures of the mode's size. What is seen now stays, if there is room for both. */
static bool renew(struct exo_window *w)
{
	if (w->front >= 0) {
		destroy_all(w->retired);
		memcpy(w->retired, w->picture, sizeof(w->retired));
	} else {
		destroy_all(w->picture);
	}
	memset(w->picture, 0, sizeof(w->picture));
	w->width = w->mode.width;
	w->height = w->mode.height;
	w->front = -1;
	w->waiting = false;
	if (create_both(w))
		return true;
	destroy_all(w->picture);
	destroy_all(w->retired);
	return create_both(w);
}

static void copy_forward(const struct gui_picture *from, struct gui_picture *to)
{
	const struct gui_rect *r = &to->stale;
	size_t stride = to->p.stride / sizeof(uint32_t);

	for (int y = r->y0; y < r->y1; y++) {
		size_t at = (size_t)y * stride + (size_t)r->x0;

		memcpy(&to->p.pixels[at], &from->p.pixels[at],
		       (size_t)(r->x1 - r->x0) * sizeof(uint32_t));
	}
	to->stale = nothing;
}

struct exo_surface exo_window_begin(struct exo_window *w)
{
	struct gui_picture *p;

	if (!w->begun) {
		w->damage = nothing;
		if (!w->picture[0].p.id || w->width != w->mode.width ||
		    w->height != w->mode.height) {
			if (!renew(w))
				return (struct exo_surface){0};
			w->damage = (struct gui_rect){0, 0, (int)w->width, (int)w->height};
		}
		w->drawing = w->front == 0 && w->picture[1].p.id ? 1 : 0;
		p = &w->picture[w->drawing];
		if (w->front >= 0 && !is_empty(&p->stale) && !(w->flags & EXO_WINDOW_REDRAWS))
			copy_forward(&w->picture[w->front], p);
		w->begun = true;
	}
	p = &w->picture[w->drawing];
	return (struct exo_surface){.pixels = p->p.pixels,
				    .width = w->width,
				    .height = w->height,
				    .stride = p->p.stride / (unsigned)sizeof(uint32_t)};
}

/* ---- presenting --------------------------------------------------------------------------- */

static int clamp(int64_t v, unsigned max)
{
	return v < 0 ? 0 : v > (int64_t)max ? (int)max : (int)v;
}

void exo_window_damage(struct exo_window *w, int x, int y, int width, int height)
{
	struct gui_rect r = {
		.x0 = clamp(x, w->width),
		.y0 = clamp(y, w->height),
		.x1 = clamp((int64_t)x + width, w->width),
		.y1 = clamp((int64_t)y + height, w->height),
	};

	join(&w->damage, &r);
}

/* The display is there, and not too much is on its way. */
static bool may_send(const struct exo_window *w)
{
	return (w->mode.there || !w->was_there) && w->sent - w->seen < GUI_FLIGHTS_MAX;
}

/* 0, 1: it waits, -1. */
static int send_frame(struct exo_window *w, unsigned picture, const struct gui_rect *r)
{
	struct exo_display_present a = {
		.scanout = w->scanout,
		.id = w->picture[picture].p.id,
		.sequence = w->sent + 1,
		.x = (uint32_t)r->x0,
		.y = (uint32_t)r->y0,
		.width = (uint32_t)(r->x1 - r->x0),
		.height = (uint32_t)(r->y1 - r->y0),
	};

	if (may_send(w)) {
		if (ioctl(gui.display, (int)EXO_DISPLAY_PRESENT, &a) == 0) {
			w->sent++;
			w->waiting = false;
			destroy_all(w->retired);
			return 0;
		}
		if (errno != EAGAIN)
			return -1;
	}
	w->waiting = true;
	w->waiting_picture = picture;
	w->waiting_damage = *r;
	return 1;
}

int exo_window_present(struct exo_window *w)
{
	struct gui_rect all = w->damage;

	if (!w->begun || is_empty(&w->damage))
		return 0;
	w->picture[!w->drawing].stale = w->flags & EXO_WINDOW_REDRAWS ? nothing : w->damage;
	w->front = (int)w->drawing;
	w->begun = false;
	if (w->waiting)
		join(&all, &w->waiting_damage);
	return send_frame(w, w->drawing, &all) < 0 ? -1 : 0;
}

void gui_send_waiting(struct exo_window *w)
{
	struct gui_rect r = w->waiting_damage;

	if (w->waiting && may_send(w) && send_frame(w, w->waiting_picture, &r) < 0)
		w->waiting = false;
}

unsigned gui_frame_interval_ns(const struct exo_window *w)
{
	return (unsigned)(NS_PER_S * 1000 / (w->mode.refresh_mhz ? w->mode.refresh_mhz : 60000));
}

/*
 * The frame after this one may be drawn: once all are seen. A display that answers
 * at once (there is no desktop, or it is QEMU's) is not one that is seen faster than its monitor.
 */
void gui_seen(struct exo_window *w, uint32_t sequence)
{
	uint64_t now = gui_now(), soonest;

	if ((int32_t)(sequence - w->seen) <= 0 || (int32_t)(w->sent - sequence) < 0)
		return; /* of a window that was here before */
	w->seen = sequence;
	gui_send_waiting(w);
	if (w->seen != w->sent || w->waiting)
		return;
	soonest = w->last_frame_ns + gui_frame_interval_ns(w) / 4 * 3;
	w->frame_ns = now < soonest ? soonest : now;
	w->frame_due = true;
}

bool exo_window_busy(const struct exo_window *w)
{
	return w->seen != w->sent || w->waiting || w->frame_due;
}

int exo_window_cursor(struct exo_window *w, const uint32_t pixels[64 * 64], unsigned hot_x,
		      unsigned hot_y)
{
	struct exo_display_cursor c = {
		.scanout = w->scanout,
		.visible = pixels != NULL,
		.hot_x = hot_x,
		.hot_y = hot_y,
		.pixels = pixels,
	};

	return ioctl(gui.display, (int)EXO_DISPLAY_CURSOR, &c);
}
