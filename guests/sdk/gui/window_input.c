/* From reports of input devices to events of windows (exo_window.h). */
#include "window_impl.h"

#include <linux/input-event-codes.h>
#include <sys/ioctl.h>
#include <string.h>
#include <unistd.h>

#define READ_MAX 32
#define REPEAT_DELAY_NS 400000000ull
#define REPEAT_NS 33000000ull
#define NOTCH 120
#define SLOTS_MAX 16
#define BUTTONS_MAX 8

_Static_assert(KEYMAP_SHIFT == EXO_MOD_SHIFT && KEYMAP_CTRL == EXO_MOD_CTRL &&
		       KEYMAP_ALT == EXO_MOD_ALT && KEYMAP_SUPER == EXO_MOD_SUPER &&
		       KEYMAP_ALTGR == EXO_MOD_ALTGR && KEYMAP_CAPS == EXO_MOD_CAPS,
	       "the same bits");

void gui_input_start(void)
{
	struct exo_input_info info = {0};

	gui.keys.map = keymap_find(gui.layout);
	while (gui.input >= 0 && info.index < EXO_INPUT_DEVICES_MAX &&
	       ioctl(gui.input, (int)EXO_INPUT_INFO, &info) == 0) {
		gui.device[info.index].info = info;
		info = (struct exo_input_info){.index = ++gui.ndevices};
	}
}

/* ---- keys ------------------------------------------------------------------------------------ */

void gui_repeat_stop(void)
{
	gui.repeat_ns = GUI_NEVER;
}

void gui_repeat(uint64_t now)
{
	struct exo_event e = gui.repeated;

	e.time_ns = now;
	e.key.repeat = true;
	gui.repeat_ns = now + REPEAT_NS;
	if (gui_room_for_input())
		gui_push(&e);
}

static bool is_modifier(uint16_t code)
{
	switch (code) {
	case KEY_LEFTSHIFT:
	case KEY_RIGHTSHIFT:
	case KEY_LEFTCTRL:
	case KEY_RIGHTCTRL:
	case KEY_LEFTALT:
	case KEY_RIGHTALT:
	case KEY_LEFTMETA:
	case KEY_RIGHTMETA:
	case KEY_CAPSLOCK:
	case KEY_NUMLOCK:
		return true;
	default:
		return false;
	}
}

struct exo_window *gui_keyboard_window(void)
{
	struct exo_window *first = NULL;

	for (unsigned i = 0; i < GUI_WINDOWS_MAX; i++) {
		struct exo_window *w = gui.window[i];

		if (w && w->focused)
			return w;
		first = first ? first : w;
	}
	return first;
}

static void take_key(uint64_t time_ns, uint16_t code, bool down)
{
	const struct exo_window *w = gui_keyboard_window();
	struct exo_event e = {.type = EXO_EVENT_KEY, .time_ns = time_ns};
	uint8_t bit = (uint8_t)(1u << code % 8), *held = &gui.key_down[code / 8];

	if (!w || !(*held & bit) == !down)
		return; /* known already */
	*held = (uint8_t)(down ? *held | bit : *held & ~bit);
	e.scanout = w->scanout;
	e.key.code = code;
	e.key.down = down;
	keymap_key(&gui.keys, code, down, &e.key.symbol, e.key.text);
	e.key.modifiers = keymap_modifiers(&gui.keys);
	gui_push(&e);
	if (down && !is_modifier(code)) {
		gui.repeated = e;
		gui.repeat_ns = gui_now() + REPEAT_DELAY_NS;
	} else if (code == gui.repeated.key.code) {
		gui_repeat_stop();
	}
}

/* ---- pointer -----------------------------------------------------------------------------------
 */

static int clamp(int64_t v, unsigned size)
{
	return v < 0 ? 0 : v >= (int64_t)size ? (int)size - 1 : (int)v;
}

static uint64_t desk_width(void)
{
	struct exo_display_mode m = {0};
	uint64_t total = 0;

	for (m.scanout = 0; m.scanout < gui.info.scanouts; m.scanout++)
		if (ioctl(gui.display, (int)EXO_DISPLAY_MODE, &m) == 0 && m.there)
			total += m.width;
	return total;
}

static uint64_t desk_height(void)
{
	struct exo_display_mode m = {0};
	uint64_t height = 0;

	for (m.scanout = 0; m.scanout < gui.info.scanouts; m.scanout++)
		if (ioctl(gui.display, (int)EXO_DISPLAY_MODE, &m) == 0 && m.there)
			height = m.height > height ? m.height : height;
	return height;
}

/*
 * Scanouts stand side by side from the left, and the axes span all of them. The
 * pixel whose middle is nearest. NULL: there is no window.
 */
static struct exo_window *place(const struct gui_device *d, int64_t x, int64_t y, int *px, int *py)
{
	int64_t range_x = (int64_t)d->info.max_x - d->info.min_x;
	int64_t range_y = (int64_t)d->info.max_y - d->info.min_y;
	int64_t width = (int64_t)desk_width(), height = (int64_t)desk_height(), left = 0;
	struct exo_display_mode m = {0};

	if (range_x <= 0 || range_y <= 0 || !width || !height)
		return NULL;
	x = (x - d->info.min_x) * width; /* pixels of the desk, times the range */
	y = (y - d->info.min_y) * height;
	for (; m.scanout < gui.info.scanouts; m.scanout++) {
		if (ioctl(gui.display, (int)EXO_DISPLAY_MODE, &m) || !m.there)
			continue;
		left += m.width;
		if (x < left * range_x || left == width)
			break;
	}
	if (m.scanout >= GUI_WINDOWS_MAX || !gui.window[m.scanout])
		return NULL;
	x -= (left - m.width) * range_x; /* of this scanout: 0 … its width times the range */
	x = x * (m.width - 1) / m.width;
	y = y * (m.height - 1) / m.height;
	*px = clamp((2 * x + range_x) / (2 * range_x), m.width);
	*py = clamp((2 * y + range_y) / (2 * range_y), m.height);
	return gui.window[m.scanout];
}

static void point(const struct gui_device *d, uint64_t time_ns)
{
	struct exo_event e = {.type = EXO_EVENT_POINTER, .time_ns = time_ns}, *last = gui_last();
	const struct exo_window *w = place(d, d->x, d->y, &e.pointer.x, &e.pointer.y);

	if (!w)
		return;
	e.scanout = w->scanout;
	e.pointer.buttons = gui.buttons;
	gui.pointer_scanout = w->scanout;
	gui.pointer_x = e.pointer.x;
	gui.pointer_y = e.pointer.y;
	if (last && last->type == EXO_EVENT_POINTER && last->scanout == e.scanout &&
	    last->pointer.buttons == e.pointer.buttons)
		*last = e; /* where it was meanwhile is of no interest */
	else
		gui_push(&e);
}

static void press(uint64_t time_ns, uint16_t code, bool down)
{
	uint32_t bit = 1u << (code - BTN_LEFT);
	struct exo_event e = {
		.type = EXO_EVENT_BUTTON, .scanout = gui.pointer_scanout, .time_ns = time_ns};

	if (!gui.window[e.scanout] || !(gui.buttons & bit) == !down)
		return;
	gui.buttons = down ? gui.buttons | bit : gui.buttons & ~bit;
	e.button.x = gui.pointer_x;
	e.button.y = gui.pointer_y;
	e.button.code = code;
	e.button.down = down;
	e.button.modifiers = keymap_modifiers(&gui.keys);
	gui_push(&e);
}

static void turn_wheel(const struct gui_device *d, uint64_t time_ns)
{
	struct exo_event e = {
		.type = EXO_EVENT_WHEEL, .scanout = gui.pointer_scanout, .time_ns = time_ns};

	if (!gui.window[e.scanout])
		return;
	e.wheel.x = gui.pointer_x;
	e.wheel.y = gui.pointer_y;
	e.wheel.dx = d->wheel_x;
	e.wheel.dy = d->wheel_y;
	e.wheel.modifiers = keymap_modifiers(&gui.keys);
	gui_push(&e);
}

static void move_relative(const struct gui_device *d, uint64_t time_ns)
{
	const struct exo_window *w = gui_keyboard_window();
	struct exo_event e = {.type = EXO_EVENT_MOTION, .time_ns = time_ns}, *last = gui_last();

	if (!w)
		return;
	e.scanout = w->scanout;
	e.motion.dx = d->dx;
	e.motion.dy = d->dy;
	gui.pointer_scanout = w->scanout;
	if (last && last->type == EXO_EVENT_MOTION && last->scanout == e.scanout) {
		last->motion.dx += d->dx;
		last->motion.dy += d->dy;
	} else {
		gui_push(&e);
	}
}

static void touch(struct gui_device *d, uint64_t time_ns)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct exo_event e = {.type = EXO_EVENT_TOUCH, .time_ns = time_ns};
		const struct exo_window *w;

		if (!d->touch[i].changed)
			continue;
		w = place(d, d->touch[i].x, d->touch[i].y, &e.touch.x, &e.touch.y);
		e.touch.slot = i;
		e.touch.phase = d->touch[i].began ? 0 : d->touch[i].down ? 1 : 2;
		d->touch[i].changed = d->touch[i].began = false;
		if (!w)
			continue;
		e.scanout = w->scanout;
		gui_push(&e);
	}
}

/* ---- reports ------------------------------------------------------------------------------------
 */

static void end_report(struct gui_device *d, uint64_t time_ns)
{
	if (d->moved)
		point(d, time_ns);
	if (d->dx || d->dy)
		move_relative(d, time_ns);
	for (unsigned i = 0; i < d->nbuttons; i++)
		press(time_ns, d->button[i].code, d->button[i].down);
	if (d->wheel_x || d->wheel_y)
		turn_wheel(d, time_ns);
	if (d->info.has & EXO_INPUT_MT)
		touch(d, time_ns);
	d->moved = d->fine_x = d->fine_y = false;
	d->dx = d->dy = d->wheel_x = d->wheel_y = 0;
	d->nbuttons = 0;
}

static void take_relative(struct gui_device *d, uint16_t code, int32_t value)
{
	switch (code) {
	case REL_X:
		d->dx += value;
		break;
	case REL_Y:
		d->dy += value;
		break;
	case REL_WHEEL:
		d->wheel_y = d->fine_y ? d->wheel_y : d->wheel_y + value * NOTCH;
		break;
	case REL_HWHEEL:
		d->wheel_x = d->fine_x ? d->wheel_x : d->wheel_x + value * NOTCH;
		break;
	case REL_WHEEL_HI_RES: /* says the same as the other, more precisely */
		d->wheel_y = d->fine_y ? d->wheel_y + value : value;
		d->fine_y = true;
		break;
	case REL_HWHEEL_HI_RES:
		d->wheel_x = d->fine_x ? d->wheel_x + value : value;
		d->fine_x = true;
		break;
	}
}

static void take_absolute(struct gui_device *d, uint16_t code, int32_t value)
{
	unsigned slot = d->slot;

	switch (code) {
	case ABS_X:
	case ABS_Y:
		*(code == ABS_X ? &d->x : &d->y) = value;
		d->moved = !(d->info.has & EXO_INPUT_MT);
		break;
	case ABS_MT_SLOT:
		d->slot = value >= 0 && value < SLOTS_MAX ? (unsigned)value : SLOTS_MAX - 1;
		break;
	case ABS_MT_TRACKING_ID:
		d->touch[slot].began |= value >= 0 && !d->touch[slot].down;
		d->touch[slot].down = value >= 0;
		d->touch[slot].changed = true;
		break;
	case ABS_MT_POSITION_X:
	case ABS_MT_POSITION_Y:
		*(code == ABS_MT_POSITION_X ? &d->touch[slot].x : &d->touch[slot].y) = value;
		d->touch[slot].changed = true;
		break;
	}
}

static void take(struct gui_device *d, const struct exo_input_event *e)
{
	if (e->type == EV_KEY && e->code >= BTN_LEFT && e->code <= BTN_TASK) {
		if (d->nbuttons < BUTTONS_MAX && e->value != 2) {
			d->button[d->nbuttons].code = e->code;
			d->button[d->nbuttons++].down = e->value != 0;
		}
	} else if (e->type == EV_KEY && e->code < sizeof(gui.key_down) * 8 &&
		   (e->code < BTN_MISC || e->code >= KEY_OK) && e->value != 2) {
		take_key(e->time_ns, e->code, e->value != 0);
	} else if (e->type == EV_REL) {
		take_relative(d, e->code, e->value);
	} else if (e->type == EV_ABS) {
		take_absolute(d, e->code, e->value);
	} else if (e->type == EV_SYN && e->code == SYN_REPORT) {
		end_report(d, e->time_ns);
	}
}

void gui_input_read(void)
{
	struct exo_input_event e[READ_MAX];
	ssize_t n = 1;

	while (n > 0 && gui_room_for_input()) {
		n = read(gui.input, e, sizeof(e));
		for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(e[0]); i++)
			if (e[i].device < gui.ndevices)
				take(&gui.device[e[i].device], &e[i]);
	}
	if (gui.desk < 0)
		gui_desk_open(); /* somebody is there: perhaps a desktop that is new */
}
