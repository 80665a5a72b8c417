/* What a person does in the window of output_sdl.c, told to the desktop. */
#include "sdl_impl.h"

#include <linux/input-event-codes.h>

#define NOTCH 120

static uint16_t button_code(uint8_t button)
{
	switch (button) {
	case SDL_BUTTON_LEFT:
		return BTN_LEFT;
	case SDL_BUTTON_MIDDLE:
		return BTN_MIDDLE;
	case SDL_BUTTON_RIGHT:
		return BTN_RIGHT;
	case SDL_BUTTON_X1:
		return BTN_SIDE;
	case SDL_BUTTON_X2:
		return BTN_EXTRA;
	}
	return 0;
}

static int pixels(const struct sdl *s, int units)
{
	return (int)(units * s->ratio);
}

static void take_key(struct sdl *s, const SDL_KeyboardEvent *e)
{
	uint16_t code = sdl_key_code(e->keysym.scancode);

	if (code && !e->repeat)
		desktop_key(s->output.desktop, code, e->state == SDL_PRESSED);
}

static void take_button(struct sdl *s, const SDL_MouseButtonEvent *e)
{
	struct desktop *d = s->output.desktop;
	uint16_t code = button_code(e->button);

	desktop_pointer(d, pixels(s, e->x), pixels(s, e->y));
	if (code)
		desktop_button(d, code, e->state == SDL_PRESSED);
}

static void take_wheel(struct sdl *s, const SDL_MouseWheelEvent *e)
{
	double sign = e->direction == SDL_MOUSEWHEEL_FLIPPED ? -NOTCH : NOTCH;
	int dx, dy;

	s->wheel_x += (double)e->preciseX * sign;
	s->wheel_y += (double)e->preciseY * sign;
	dx = (int)s->wheel_x;
	dy = (int)s->wheel_y;
	s->wheel_x -= dx;
	s->wheel_y -= dy;
	if (dx || dy)
		desktop_wheel(s->output.desktop, dx, dy);
}

/* Of this finger; for a new one a free one; -1: none. */
static int slot_of(struct sdl *s, SDL_FingerID id, bool new)
{
	for (int i = 0; i < HID_TOUCHES_MAX; i++) {
		if (new ? !s->finger[i].down : s->finger[i].down && s->finger[i].id == id)
			return i;
	}
	return -1;
}

static void take_finger(struct sdl *s, const SDL_TouchFingerEvent *e)
{
	unsigned phase = e->type == SDL_FINGERDOWN ? 0 : e->type == SDL_FINGERMOTION ? 1 : 2;
	int slot = slot_of(s, e->fingerId, phase == 0);

	if (slot < 0)
		return;
	s->finger[slot] = (struct sdl_finger){e->fingerId, phase != 2};
	desktop_touch(s->output.desktop, (unsigned)slot, phase, (int)(e->x * (float)s->width),
		      (int)(e->y * (float)s->height));
}

static void take_drop(struct sdl *s, const SDL_DropEvent *e)
{
	int x = 0, y = 0, left, top;

	if (!e->file)
		return;
	SDL_GetGlobalMouseState(&x, &y);
	SDL_GetWindowPosition(s->window, &left, &top);
	files_drop(s->output.desktop, pixels(s, x - left), pixels(s, y - top), e->file);
	SDL_free(e->file);
}

static void take_window(struct sdl *s, const SDL_WindowEvent *e)
{
	struct desktop *d = s->output.desktop;

	switch (e->event) {
	case SDL_WINDOWEVENT_SIZE_CHANGED:
	case SDL_WINDOWEVENT_DISPLAY_CHANGED:
		sdl_check_size(s);
		return;
	case SDL_WINDOWEVENT_EXPOSED:
		hid_damage_screen(d->hid, NULL); /* what the server had of it may be lost */
		return;
	case SDL_WINDOWEVENT_FOCUS_GAINED:
	case SDL_WINDOWEVENT_FOCUS_LOST:
		desktop_host_focus(d, e->event == SDL_WINDOWEVENT_FOCUS_GAINED);
		return;
	case SDL_WINDOWEVENT_CLOSE:
		desktop_end(d, 0);
		return;
	default:
		return;
	}
}

static void take(struct sdl *s, const SDL_Event *e)
{
	switch (e->type) {
	case SDL_QUIT:
		desktop_end(s->output.desktop, 0);
		return;
	case SDL_WINDOWEVENT:
		take_window(s, &e->window);
		return;
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		take_key(s, &e->key);
		return;
	case SDL_MOUSEMOTION:
		desktop_pointer(s->output.desktop, pixels(s, e->motion.x), pixels(s, e->motion.y));
		return;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		take_button(s, &e->button);
		return;
	case SDL_MOUSEWHEEL:
		take_wheel(s, &e->wheel);
		return;
	case SDL_FINGERDOWN:
	case SDL_FINGERMOTION:
	case SDL_FINGERUP:
		take_finger(s, &e->tfinger);
		return;
	case SDL_DROPFILE:
		take_drop(s, &e->drop);
		return;
	default:
		return;
	}
}

void sdl_take_events(struct sdl *s)
{
	SDL_Event e;

	while (SDL_PollEvent(&e))
		take(s, &e);
}
