/* Keys, wheel and touch: to whom. See hidmux.h; the pointer's ways are in pointer.c. */
#include "hidmux_impl.h"

#include <linux/input-event-codes.h>

bool hid_is_held(const struct hid *h, uint64_t now_ns)
{
	return now_ns < h->held_until;
}

uint64_t hid_held_until(const struct hid *h, uint64_t now_ns)
{
	return hid_is_held(h, now_ns) ? h->held_until : 0;
}

uint32_t hid_modifiers(const struct hid *h)
{
	static const struct {
		uint16_t key;
		uint32_t modifier;
	} keys[] = {
		{KEY_LEFTSHIFT, HID_MOD_SHIFT}, {KEY_RIGHTSHIFT, HID_MOD_SHIFT},
		{KEY_LEFTCTRL, HID_MOD_CTRL},   {KEY_RIGHTCTRL, HID_MOD_CTRL},
		{KEY_LEFTALT, HID_MOD_ALT},     {KEY_RIGHTALT, HID_MOD_ALTGR},
		{KEY_LEFTMETA, HID_MOD_SUPER},
	};
	uint32_t held = 0;

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (h->key[keys[i].key])
			held |= keys[i].modifier;
	}
	return held;
}

/* Left Super is the shell's as long as a chord uses it; then no guest sees it. */
bool hid_reserved(const struct hid *h, uint16_t code)
{
	for (unsigned i = 1; code == KEY_LEFTMETA && i < HID_ACTIONS; i++) {
		if (h->config.chord[i].modifiers & HID_MOD_SUPER)
			return true;
	}
	return false;
}

/* Those that act on the window in focus, which is not the one the person meant. */
static bool waits(enum hid_action action)
{
	switch (action) {
	case HID_ACTION_CONSOLE:
	case HID_ACTION_CLOSE:
	case HID_ACTION_FULLSCREEN:
	case HID_ACTION_MAXIMIZE:
	case HID_ACTION_COPY:
	case HID_ACTION_PASTE:
	case HID_ACTION_KILL:
	case HID_ACTION_PAUSE:
		return true;
	default:
		return false;
	}
}

void hid_act(struct hid *h, enum hid_action action, uint64_t now_ns)
{
	const struct hid_window *w = hid_find(h, h->focused);

	switch (action) {
	case HID_ACTION_NONE:
	case HID_ACTIONS:
		return;
	case HID_ACTION_NEXT:
	case HID_ACTION_PREVIOUS:
		hid_next(h, action == HID_ACTION_NEXT, now_ns);
		return;
	case HID_ACTION_CLOSE:
		if (w)
			h->ops->close(h->opaque, w->id);
		return;
	case HID_ACTION_FULLSCREEN:
		if (w)
			hid_set_fullscreen(h, w->id, !w->fullscreen, now_ns);
		return;
	case HID_ACTION_MAXIMIZE:
		if (w)
			hid_set_maximized(h, w->id, !w->maximized, now_ns);
		return;
	case HID_ACTION_LAYOUT:
		hid_set_layout(h, h->config.layout == HID_TILING ? HID_FLOATING : HID_TILING);
		return;
	default:
		h->ops->action(h->opaque, action, h->focused);
	}
}

void hid_release_all(struct hid *h, hid_id of, uint64_t now_ns)
{
	for (unsigned i = 0; i < HID_KEYS_MAX; i++) {
		hid_id key = h->key[i], button = h->button[i];

		if (key && key != HID_NOBODY && (!of || key == of)) {
			h->key[i] = HID_NOBODY;
			h->ops->key(h->opaque, key, (uint16_t)i, false, now_ns);
		}
		if (button && button != HID_NOBODY && (!of || button == of)) {
			h->button[i] = HID_NOBODY;
			h->captures--;
			h->ops->button(h->opaque, button, (uint16_t)i, false, now_ns);
		}
	}
	if (!h->captures)
		h->captured = 0;
	for (unsigned i = 0; i < HID_TOUCHES_MAX; i++) {
		hid_id touch = h->touch[i];

		if (touch && touch != HID_NOBODY && (!of || touch == of)) {
			h->touch[i] = HID_NOBODY;
			h->ops->touch(h->opaque, touch, i, 2, 0, 0, now_ns);
		}
	}
}

static void key_up(struct hid *h, uint16_t code, uint64_t now_ns)
{
	hid_id saw = h->key[code];

	h->key[code] = 0;
	if (code == KEY_LEFTMETA)
		hid_cycle_end(h);
	if (saw && saw != HID_NOBODY)
		h->ops->key(h->opaque, saw, code, false, now_ns);
}

void hid_key(struct hid *h, uint16_t code, bool down, uint64_t now_ns)
{
	const struct hid_window *w = hid_find(h, h->focused);
	uint32_t held = hid_modifiers(h);
	enum hid_action action;

	if (!code || code >= HID_KEYS_MAX)
		return;
	if (!down) {
		key_up(h, code, now_ns);
		return;
	}
	if (h->key[code])
		return; /* it repeats */
	h->key[code] = HID_NOBODY;
	action = hid_chord_action(h, code, held);
	if (action == HID_ACTION_ATTENTION) {
		hid_release_all(h, 0, now_ns);
		h->drag.id = 0;
		h->ops->action(h->opaque, action, h->focused);
	} else if (action) {
		if (!hid_is_held(h, now_ns) || !waits(action))
			hid_act(h, action, now_ns);
	} else if (w && !hid_is_held(h, now_ns) && !hid_reserved(h, code) &&
		   !((held & HID_MOD_SUPER) && hid_reserved(h, KEY_LEFTMETA))) {
		h->key[code] = w->id;
		h->ops->key(h->opaque, w->id, code, true, now_ns);
	}
}

void hid_host_focus(struct hid *h, bool there, uint64_t now_ns)
{
	if (there)
		return;
	hid_release_all(h, 0, now_ns);
	for (unsigned i = 0; i < HID_KEYS_MAX; i++)
		h->key[i] = h->button[i] = 0;
	for (unsigned i = 0; i < HID_TOUCHES_MAX; i++)
		h->touch[i] = 0;
	h->touch_pointer = -1;
	h->drag.id = 0;
	hid_cycle_end(h);
	hid_refresh_hover(h);
}

/* ---- touch ------------------------------------------------------------------------------------
 */

/* On frames a finger is the pointer's left button. */
static void touch_down(struct hid *h, unsigned slot, int x, int y, uint64_t now_ns)
{
	enum hid_zone zone;
	unsigned edges;
	struct hid_window *w = hid_zone_at(h, x, y, &zone, &edges);

	h->touch[slot] = HID_NOBODY;
	if (!w || hid_is_held(h, now_ns))
		return;
	if (zone == HID_ZONE_CONTENT) {
		h->touch[slot] = w->id;
		if (h->focused != w->id)
			hid_focus(h, w->id, now_ns);
		h->ops->touch(h->opaque, w->id, slot, 0, x - w->content.x, y - w->content.y,
			      now_ns);
	} else if (h->touch_pointer < 0 && !h->button[BTN_LEFT]) {
		h->touch_pointer = (int)slot;
		hid_pointer(h, x, y, now_ns);
		hid_button(h, BTN_LEFT, true, now_ns);
	}
}

void hid_touch(struct hid *h, unsigned slot, unsigned phase, int x, int y, uint64_t now_ns)
{
	const struct hid_window *w;
	hid_id id;

	if (slot >= HID_TOUCHES_MAX || phase > 2)
		return;
	if (phase == 0) {
		if (!h->touch[slot])
			touch_down(h, slot, x, y, now_ns);
		return;
	}
	id = h->touch[slot];
	w = hid_find(h, id);
	if (phase == 2)
		h->touch[slot] = 0;
	if (h->touch_pointer == (int)slot) {
		hid_pointer(h, x, y, now_ns);
		if (phase == 2) {
			h->touch_pointer = -1;
			hid_button(h, BTN_LEFT, false, now_ns);
		}
	} else if (w) {
		h->ops->touch(h->opaque, id, slot, phase, x - w->content.x, y - w->content.y,
			      now_ns);
	}
}
