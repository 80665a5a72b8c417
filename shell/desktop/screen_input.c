/*
 * What a person does in a guest's window, as reports of its devices (exo/display.h). Reports of
 * one turn of the loop are sent together; a pointer that only moves says its last place. A
 * VMM that does not read loses whole reports, and is told of all releases it missed
 * as soon as there is room: no key hangs.
 */
#include "screen_impl.h"

#include <linux/input-event-codes.h>
#include <string.h>

#define NOTCH 120 /* of a wheel: high-resolution units */
#define REL_MAX_VALUE 32767
#define REPORT_MAX 9 /* events, without SYN_REPORT */

static bool is_set(const uint8_t *bits, unsigned n)
{
	return bits[n / 8] & 1u << n % 8;
}

static void set(uint8_t *bits, unsigned n, bool on)
{
	if (on)
		bits[n / 8] |= (uint8_t)(1u << n % 8);
	else
		bits[n / 8] &= (uint8_t) ~(1u << n % 8);
}

/* ---- batches ------------------------------------------------------------------------- */

/* The guest knows of these now. */
static void note_told(struct screen *s)
{
	const struct screen_batch *b = &s->batch;
	unsigned slot = 0;

	for (unsigned i = 0; i < b->count; i++) {
		const struct exo_dpy_event *e = &b->event[i];

		if (e->type == EV_KEY && e->code < SCREEN_KEYS)
			set(s->told, e->code, e->value != 0);
		if (e->type == EV_ABS && e->code == ABS_MT_SLOT)
			slot = (unsigned)e->value;
		if (e->type == EV_ABS && e->code == ABS_MT_TRACKING_ID && e->value >= 0)
			s->touching_told |= 1u << slot;
		if (e->type == EV_ABS && e->code == ABS_MT_TRACKING_ID && e->value < 0)
			s->touching_told &= ~(1u << slot);
	}
}

void screen_send_input(struct screen *s)
{
	struct screen_batch *b = &s->batch;
	union {
		struct exo_dpy_input input;
		uint8_t bytes[EXO_DPY_MSG_MAX];
	} m;

	if (!b->count)
		return;
	memset(&m.input, 0, sizeof(m.input));
	m.input.device = b->device;
	m.input.scanout = b->scanout;
	m.input.count = b->count;
	memcpy(m.input.event, b->event, b->count * sizeof(b->event[0]));
	if (screen_send(s, EXO_DPY_INPUT, &m, sizeof(m.input) + b->count * sizeof(b->event[0])))
		note_told(s);
	else
		s->lost = true;
	b->count = 0;
	b->motion = false;
}

static void report(struct screen *s, uint32_t device, unsigned scanout,
		   const struct exo_dpy_event *events, unsigned n, bool motion)
{
	struct screen_batch *b = &s->batch;

	if (!(s->inputs & EXO_DPY_HAS_KEYBOARD << device) || scanout >= s->scanouts || !n)
		return;
	if (b->count &&
	    (b->device != device || b->scanout != scanout || b->count + n + 1 > EXO_DPY_EVENTS_MAX))
		screen_send_input(s);
	if (b->count && motion && b->motion)
		b->count = b->last;
	b->device = device;
	b->scanout = scanout;
	b->last = b->count;
	b->motion = motion;
	memcpy(b->event + b->count, events, n * sizeof(*events));
	b->count += n;
	b->event[b->count++] = (struct exo_dpy_event){EV_SYN, SYN_REPORT, 0};
	desktop_wake_at(s->desktop, desktop_now(s->desktop));
}

/* ---- keys and buttons ------------------------------------------------------------------- */

/* As virtio-backends/input_events.c has them. */
static bool keyboard_has(uint16_t code)
{
	return (code >= KEY_ESC && code <= KEY_KPDOT) ||
	       (code >= KEY_ZENKAKUHANKAKU && code <= KEY_F24) ||
	       (code >= KEY_PLAYCD && code <= KEY_MICMUTE);
}

static uint32_t pointing_device(const struct screen *s)
{
	return s->inputs & EXO_DPY_HAS_TABLET ? EXO_DPY_TABLET : EXO_DPY_MOUSE;
}

static void key(struct screen *s, uint32_t device, unsigned scanout, uint16_t code, bool down)
{
	const struct exo_dpy_event e = {EV_KEY, code, down};

	set(s->down, code, down);
	report(s, device, scanout, &e, 1, false);
}

/* Of this connection: who had the one before was told that all is up. */
static bool is_of_a_press(const struct screen *s, uint16_t code, bool down)
{
	return down || is_set(s->down, code);
}

void screen_key(struct screen *s, unsigned scanout, uint16_t code, bool down)
{
	if (keyboard_has(code) && is_of_a_press(s, code, down))
		key(s, EXO_DPY_KEYBOARD, scanout, code, down);
}

void screen_button(struct screen *s, unsigned scanout, uint16_t code, bool down)
{
	if (code >= BTN_LEFT && code <= BTN_EXTRA && is_of_a_press(s, code, down))
		key(s, pointing_device(s), scanout, code, down);
}

void screen_mend_input(struct screen *s)
{
	s->lost = false;
	for (unsigned code = 0; code < SCREEN_KEYS; code++) {
		if (!is_set(s->told, code) || is_set(s->down, code))
			continue;
		if (code >= BTN_LEFT && code <= BTN_EXTRA)
			key(s, pointing_device(s), 0, (uint16_t)code, false);
		else if (code == BTN_TOUCH)
			key(s, EXO_DPY_TOUCH, 0, BTN_TOUCH, false);
		else
			key(s, EXO_DPY_KEYBOARD, 0, (uint16_t)code, false);
	}
	for (unsigned slot = 0; slot < SCREEN_TOUCHES; slot++) {
		const struct exo_dpy_event e[] = {{EV_ABS, ABS_MT_SLOT, (int32_t)slot},
						  {EV_ABS, ABS_MT_TRACKING_ID, -1}};

		if (s->touching_told & ~s->touching & 1u << slot)
			report(s, EXO_DPY_TOUCH, 0, e, 2, false);
	}
}

/* ---- pointers ------------------------------------------------------------------------------ */

/* The middle of the pixel, so that either way of rounding back finds it. */
static int32_t axis(int at, int size)
{
	int64_t n = size > 0 ? (2 * (int64_t)at + 1) * (EXO_DPY_ABS_MAX + 1) / (2 * size) : 0;

	return n < 0 ? 0 : n > EXO_DPY_ABS_MAX ? EXO_DPY_ABS_MAX : (int32_t)n;
}

static int32_t step(int from, int to)
{
	int n = to - from;

	return n < -REL_MAX_VALUE ? -REL_MAX_VALUE : n > REL_MAX_VALUE ? REL_MAX_VALUE : n;
}

void screen_pointer(struct screen *s, unsigned scanout, int x, int y)
{
	const struct scan *scan = &s->scan[scanout];

	if (scanout >= s->scanouts)
		return;
	if (pointing_device(s) == EXO_DPY_TABLET) {
		const struct exo_dpy_event e[] = {{EV_ABS, ABS_X, axis(x, scan->width)},
						  {EV_ABS, ABS_Y, axis(y, scan->height)}};

		report(s, EXO_DPY_TABLET, scanout, e, 2, true);
	} else {
		const struct exo_dpy_event e[] = {{EV_REL, REL_X, step(s->mouse_x, x)},
						  {EV_REL, REL_Y, step(s->mouse_y, y)}};

		if (e[0].value || e[1].value)
			report(s, EXO_DPY_MOUSE, scanout, e, 2, false);
	}
	s->mouse_x = x;
	s->mouse_y = y;
}

/* High-resolution units, and the notches that they fill. */
static unsigned turn(struct exo_dpy_event *e, int delta, int *rest, uint16_t fine, uint16_t notches)
{
	unsigned n = 0;
	int32_t by = step(0, delta);

	if (!by)
		return 0;
	e[n++] = (struct exo_dpy_event){EV_REL, fine, by};
	if ((*rest > 0) != (by > 0))
		*rest = 0; /* the other way: from the start */
	*rest += by;
	if (*rest / NOTCH)
		e[n++] = (struct exo_dpy_event){EV_REL, notches, *rest / NOTCH};
	*rest %= NOTCH;
	return n;
}

void screen_wheel(struct screen *s, unsigned scanout, int dx, int dy)
{
	struct scan *scan = &s->scan[scanout];
	struct exo_dpy_event e[4];
	unsigned n;

	if (scanout >= s->scanouts)
		return;
	n = turn(e, dy, &scan->wheel_y, REL_WHEEL_HI_RES, REL_WHEEL);
	n += turn(e + n, dx, &scan->wheel_x, REL_HWHEEL_HI_RES, REL_HWHEEL);
	report(s, pointing_device(s), scanout, e, n, false);
}

/* ---- touch: protocol B of the kernel's multi-touch-protocol.rst ----------------------------- */

static void touch_screen(struct screen *s, unsigned scanout, unsigned slot, unsigned phase, int x,
			 int y)
{
	const struct scan *scan = &s->scan[scanout];
	uint32_t before = s->touching, bit = 1u << slot;
	int32_t ax = axis(x, scan->width), ay = axis(y, scan->height);
	struct exo_dpy_event e[REPORT_MAX];
	unsigned n = 0;

	if (phase ? !(before & bit) : (before & bit) != 0)
		return; /* no press, no move; and no second press */
	s->touching = phase == 0 ? before | bit : phase == 2 ? before & ~bit : before;
	e[n++] = (struct exo_dpy_event){EV_ABS, ABS_MT_SLOT, (int32_t)slot};
	if (phase == 0)
		e[n++] = (struct exo_dpy_event){EV_ABS, ABS_MT_TRACKING_ID, s->tracking++};
	if (phase == 2)
		e[n++] = (struct exo_dpy_event){EV_ABS, ABS_MT_TRACKING_ID, -1};
	if (phase != 2) {
		e[n++] = (struct exo_dpy_event){EV_ABS, ABS_MT_POSITION_X, ax};
		e[n++] = (struct exo_dpy_event){EV_ABS, ABS_MT_POSITION_Y, ay};
	}
	if (!before || !s->touching) {
		e[n++] = (struct exo_dpy_event){EV_KEY, BTN_TOUCH, s->touching != 0};
		set(s->down, BTN_TOUCH, s->touching != 0);
	}
	if (phase != 2 && (s->touching & (bit - 1)) == 0) { /* the first finger is the pointer */
		e[n++] = (struct exo_dpy_event){EV_ABS, ABS_X, ax};
		e[n++] = (struct exo_dpy_event){EV_ABS, ABS_Y, ay};
	}
	report(s, EXO_DPY_TOUCH, scanout, e, n, false);
}

void screen_touch(struct screen *s, unsigned scanout, unsigned slot, unsigned phase, int x, int y)
{
	if (scanout >= s->scanouts || slot >= SCREEN_TOUCHES || phase > 2)
		return;
	if (s->inputs & EXO_DPY_HAS_TOUCH) {
		touch_screen(s, scanout, slot, phase, x, y);
	} else if (slot == 0) { /* a finger is a pointer */
		screen_pointer(s, scanout, x, y);
		if (phase != 1)
			screen_button(s, scanout, BTN_LEFT, phase == 0);
	}
}
