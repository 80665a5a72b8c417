/*
 * What the desktop tells a guest's VMM: sizes, what was presented, sound that was played. What
 * does not fit is kept as the latest value of its kind, and said when there is room.
 */
#include "screen_impl.h"

#include "fdmsg.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define HIDDEN_NS 1000000000ull /* between answers to a window that nobody sees */

bool screen_send(struct screen *s, uint32_t type, void *msg, size_t len)
{
	int err = -EAGAIN;

	*(struct exo_dpy_header *)msg =
		(struct exo_dpy_header){EXO_DPY_MAGIC, type, (uint32_t)len, 0};
	if (s->hello && !s->blocked)
		err = fdmsg_send(s->fd, msg, len, NULL, 0);
	if (err == -EAGAIN && s->hello && !s->blocked) {
		s->blocked = true;
		(void)loop_mod(&s->desktop->loop, s->fd, (s->held ? 0 : EPOLLIN) | EPOLLOUT);
	}
	return !err; /* other errors: the hang-up is about to be heard */
}

/* ---- windows and pictures ------------------------------------------------------------- */

void screen_configure(struct screen *s, unsigned scanout, int width, int height, bool visible)
{
	struct scan *scan = scanout < s->scanouts ? &s->scan[scanout] : NULL;

	if (!scan)
		return;
	scan->visible = visible && width > 0;
	if (scan->unplugged)
		return; /* whatever the layout makes of its window */
	if (width < 0 || height < 0 || width > (int)EXO_DPY_SIZE_MAX ||
	    height > (int)EXO_DPY_SIZE_MAX)
		return;
	if (width == scan->width && height == scan->height)
		return;
	scan->width = width;
	scan->height = height;
	scan->mode_due = true;
	desktop_wake_at(s->desktop, scan->mode_ns + HID_FRAME_NS);
}

/* When it may be told: not more often than frames are drawn. 0: nothing to tell. */
static uint64_t tell_mode(struct screen *s, unsigned scanout, uint64_t now)
{
	struct scan *scan = &s->scan[scanout];
	uint32_t scale = s->desktop->scale;
	bool plugged = scan->width > 0 && scan->height > 0;
	struct exo_dpy_mode m = {
		.scanout = scanout,
		.width = plugged ? (uint32_t)scan->width : 0,
		.height = plugged ? (uint32_t)scan->height : 0,
		.scale = scale < EXO_DPY_SCALE_MIN   ? EXO_DPY_SCALE_MIN
			 : scale > EXO_DPY_SCALE_MAX ? EXO_DPY_SCALE_MAX
						     : scale,
		.refresh_mhz = 60000,
	};

	if (!scan->mode_due)
		return 0;
	if (now < scan->mode_ns + HID_FRAME_NS)
		return scan->mode_ns + HID_FRAME_NS;
	if (screen_send(s, EXO_DPY_MODE, &m, sizeof(m))) {
		scan->mode_due = false;
		scan->mode_ns = now;
	}
	return 0;
}

bool screen_unplug(struct screen *s, unsigned scanout)
{
	if (scanout >= s->scanouts || s->scan[scanout].unplugged)
		return false;
	screen_configure(s, scanout, 0, 0, false);
	s->scan[scanout].unplugged = true;
	return true;
}

void screen_scale_changed(struct screen *s)
{
	for (unsigned i = 0; i < s->scanouts; i++)
		s->scan[i].mode_due = s->scan[i].width > 0;
}

static void answer(struct screen *s, unsigned scanout, uint64_t now)
{
	struct scan *scan = &s->scan[scanout];
	struct exo_dpy_presented m = {
		.scanout = scanout, .sequence = scan->flushed, .time_ns = now};

	if (!screen_send(s, EXO_DPY_PRESENTED, &m, sizeof(m)))
		return;
	scan->answered = scan->flushed;
	scan->answered_ns = now;
}

void screens_presented(struct desktop *d, uint64_t now_ns)
{
	for (struct dguest *g = d->guests; g; g = g->next) {
		struct screen *s = g->screen;

		for (unsigned i = 0; s && i < s->scanouts; i++) {
			if (s->scan[i].visible && s->scan[i].flushed != s->scan[i].answered)
				answer(s, i, now_ns);
		}
	}
}

/* What was changed where nobody looks: later. When, 0: nothing is outstanding. */
static uint64_t answer_unseen(struct screen *s, unsigned scanout, uint64_t now)
{
	const struct scan *scan = &s->scan[scanout];
	const struct desktop *d = s->desktop;
	uint64_t at;

	if (scan->flushed == scan->answered || s->blocked)
		return 0;
	if (scan->visible && hid_frame_due(d->hid, now) != UINT64_MAX)
		return 0; /* with that frame */
	at = scan->visible ? d->presented_ns + HID_FRAME_NS : scan->answered_ns + HIDDEN_NS;
	if (now < at)
		return at;
	answer(s, scanout, now);
	return 0;
}

static void tell_played(struct screen *s)
{
	struct exo_dpy_played m = {.stream = 0, .bytes = s->played};

	if (!m.bytes || !screen_send(s, EXO_DPY_PLAYED, &m, sizeof(m)))
		return;
	s->pcm_out -= s->played < s->pcm_out ? s->played : s->pcm_out;
	s->played = 0;
}

void screen_captured(struct screen *s, const void *data, uint32_t bytes)
{
	union {
		struct exo_dpy_pcm pcm;
		uint8_t bytes[EXO_DPY_MSG_MAX];
	} m = {.pcm = {.stream = 1, .bytes = bytes}};

	if (!(s->inputs & EXO_DPY_HAS_CAPTURE) || !bytes || bytes > EXO_DPY_PCM_MAX)
		return;
	memcpy(m.pcm.data, data, bytes);
	(void)screen_send(s, EXO_DPY_CAPTURED, &m, sizeof(m.pcm) + bytes);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static uint64_t tick(struct screen *s, uint64_t now)
{
	uint64_t next = 0;

	if (s->held && now - s->said_ns < HID_FRAME_NS)
		next = s->said_ns + HID_FRAME_NS;
	else if (s->held) {
		s->held = false;
		(void)loop_mod(&s->desktop->loop, s->fd, EPOLLIN | (s->blocked ? EPOLLOUT : 0));
	}
	if (s->lost && !s->blocked)
		screen_mend_input(s);
	screen_send_input(s);
	tell_played(s);
	for (unsigned i = 0; i < s->scanouts; i++) {
		next = sooner(next, tell_mode(s, i, now));
		next = sooner(next, answer_unseen(s, i, now));
	}
	return next;
}

uint64_t screens_tick(struct desktop *d, uint64_t now_ns)
{
	uint64_t next = 0;

	for (struct dguest *g = d->guests; g; g = g->next) {
		if (g->screen && g->screen->hello)
			next = sooner(next, tick(g->screen, now_ns));
	}
	return next;
}
