/* Scripts as persons: keys, text, pointer, fingers; see remote_impl.h. */
#include "remote_impl.h"

#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096
#define DRAG_STEPS 12

static void tap(struct desktop *d, uint16_t code)
{
	desktop_key(d, code, true);
	desktop_key(d, code, false);
}

/* The modifiers go down in one order and up in the other. */
static void press_modifiers(struct desktop *d, uint32_t modifiers, bool down)
{
	static const struct {
		uint32_t modifier;
		uint16_t code;
	} keys[] = {{HID_MOD_CTRL, KEY_LEFTCTRL},
		    {HID_MOD_ALT, KEY_LEFTALT},
		    {HID_MOD_ALTGR, KEY_RIGHTALT},
		    {HID_MOD_SUPER, KEY_LEFTMETA},
		    {HID_MOD_SHIFT, KEY_LEFTSHIFT}};

	for (unsigned i = 0; i < 5; i++) {
		unsigned k = down ? i : 4 - i;

		if (modifiers & keys[k].modifier)
			desktop_key(d, keys[k].code, down);
	}
}

/* By its number, or by its name: of a chord, or of a modifier. */
static int key_code(struct remote_call *c, int *code)
{
	static const struct {
		const char *name;
		int code;
	} names[] = {{"ctrl", KEY_LEFTCTRL},  {"alt", KEY_LEFTALT},    {"shift", KEY_LEFTSHIFT},
		     {"super", KEY_LEFTMETA}, {"altgr", KEY_RIGHTALT}, {"capslock", KEY_CAPSLOCK}};
	const char *name = remote_text(c, "key"), *why;
	struct hid_chord chord;
	char *end;
	long n;

	if (!name)
		return remote_int(c, "code", 1, HID_KEYS_MAX - 1, code);
	for (unsigned i = 0; i < 6; i++) {
		if (!strcmp(names[i].name, name)) {
			*code = names[i].code;
			return 0;
		}
	}
	n = strtol(name, &end, 10);
	if (name[0] && name[1] && !*end && n > 0 && n < HID_KEYS_MAX)
		*code = (int)n;
	else if (hid_parse_chord(name, &chord, &why) && !chord.modifiers)
		*code = chord.key;
	else
		return remote_fail(c, "bad-request", "key: no key has this name");
	return 0;
}

static int op_key(struct remote_call *c)
{
	const json_t *down = json_object_get(c->request, "down");
	int code;

	if (key_code(c, &code))
		return -1;
	if (!json_is_boolean(down))
		return remote_fail(c, "bad-request", "down: true or false");
	desktop_key(c->desktop, (uint16_t)code, json_is_true(down));
	return 0;
}

static int op_keys(struct remote_call *c)
{
	const char *text = remote_text(c, "chord"), *why;
	struct hid_chord chord;

	if (!text || !hid_parse_chord(text, &chord, &why))
		return remote_fail(c, "bad-request", "chord: %s", text ? why : "is missing");
	press_modifiers(c->desktop, chord.modifiers, true);
	tap(c->desktop, chord.key);
	press_modifiers(c->desktop, chord.modifiers, false);
	return 0;
}

/* The code point at text, whose UTF-8 jansson has checked; how many bytes it has. */
static unsigned decode(const char *text, uint32_t *c)
{
	unsigned char first = (unsigned char)*text;
	unsigned n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	*c = n == 1 ? first : first & (0x7fu >> n);
	for (unsigned i = 1; i < n; i++)
		*c = *c << 6 | ((unsigned char)text[i] & 0x3fu);
	return n;
}

static bool find_key(const struct desktop *d, uint32_t c, uint16_t *code, uint32_t *modifiers)
{
	*modifiers = 0;
	*code = c == '\n' || c == '\r' ? KEY_ENTER
		: c == '\t'            ? KEY_TAB
		: c == '\b'            ? KEY_BACKSPACE
		: c == 0x1b            ? KEY_ESC
				       : 0;
	return *code || keymap_type(d->keyboard.map, c, code, modifiers);
}

static int op_type(struct remote_call *c)
{
	const char *text = remote_text(c, "text");
	uint32_t point, modifiers;
	uint16_t code;

	if (!text || strlen(text) > TEXT_MAX)
		return remote_fail(c, "bad-request", "text: up to %d bytes", TEXT_MAX);
	for (const char *at = text; *at;) {
		at += decode(at, &point);
		if (!find_key(c->desktop, point, &code, &modifiers))
			return remote_fail(c, "invalid", "this keyboard layout cannot type U+%04X",
					   point);
	}
	for (const char *at = text; *at;) {
		uint32_t held = 0;

		at += decode(at, &point);
		find_key(c->desktop, point, &code, &modifiers);
		held |= modifiers & KEYMAP_SHIFT ? HID_MOD_SHIFT : 0;
		held |= modifiers & KEYMAP_ALTGR ? HID_MOD_ALTGR : 0;
		press_modifiers(c->desktop, held, true);
		tap(c->desktop, code);
		press_modifiers(c->desktop, held, false);
	}
	return 0;
}

/* ---- pointer ---------------------------------------------------------------------------- */

/* A place of the screen; with guest or panel: of its content. */
static int place(struct remote_call *c, const char *xname, const char *yname, int *x, int *y)
{
	struct hid_window_info info;
	hid_id id;

	if (remote_int(c, xname, -16384, 16384, x) || remote_int(c, yname, -16384, 16384, y) ||
	    remote_window(c, &id))
		return -1;
	if (id && hid_info(c->desktop->hid, id, &info)) {
		*x += info.content.x;
		*y += info.content.y;
	}
	return 0;
}

static int button_code(struct remote_call *c, uint16_t *code)
{
	static const struct {
		const char *name;
		uint16_t code;
	} names[] = {{"left", BTN_LEFT}, {"right", BTN_RIGHT}, {"middle", BTN_MIDDLE}};
	const char *name = remote_text(c, "button");
	int number = BTN_LEFT;

	for (unsigned i = 0; name && i < 3; i++) {
		if (!strcmp(names[i].name, name)) {
			*code = names[i].code;
			return 0;
		}
	}
	if (name)
		return remote_fail(c, "bad-request", "button: left, right, middle or a code");
	if (remote_int_or(c, "button", 1, HID_KEYS_MAX - 1, &number) ||
	    remote_int_or(c, "code", 1, HID_KEYS_MAX - 1, &number))
		return -1;
	*code = (uint16_t)number;
	return 0;
}

static int op_pointer(struct remote_call *c)
{
	int x, y;

	if (place(c, "x", "y", &x, &y))
		return -1;
	desktop_pointer(c->desktop, x, y);
	return 0;
}

static int op_button(struct remote_call *c)
{
	const json_t *down = json_object_get(c->request, "down");
	uint16_t code;

	if (button_code(c, &code))
		return -1;
	if (!json_is_boolean(down))
		return remote_fail(c, "bad-request", "down: true or false");
	desktop_button(c->desktop, code, json_is_true(down));
	return 0;
}

static int op_click(struct remote_call *c)
{
	int x, y, count = 1;
	uint16_t code;

	if (place(c, "x", "y", &x, &y) || button_code(c, &code) ||
	    remote_int_or(c, "count", 1, 3, &count))
		return -1;
	desktop_pointer(c->desktop, x, y);
	for (int i = 0; i < count; i++) {
		desktop_button(c->desktop, code, true);
		desktop_button(c->desktop, code, false);
	}
	return 0;
}

static int op_drag(struct remote_call *c)
{
	int x0, y0, x1, y1;
	uint16_t code;

	if (place(c, "x0", "y0", &x0, &y0) || place(c, "x1", "y1", &x1, &y1) ||
	    button_code(c, &code))
		return -1;
	desktop_pointer(c->desktop, x0, y0);
	desktop_button(c->desktop, code, true);
	for (int i = 1; i <= DRAG_STEPS; i++)
		desktop_pointer(c->desktop, x0 + (x1 - x0) * i / DRAG_STEPS,
				y0 + (y1 - y0) * i / DRAG_STEPS);
	desktop_button(c->desktop, code, false);
	return 0;
}

static int op_wheel(struct remote_call *c)
{
	int x, y, dx = 0, dy = 0;

	if (place(c, "x", "y", &x, &y) || remote_int_or(c, "dx", -12000, 12000, &dx) ||
	    remote_int_or(c, "dy", -12000, 12000, &dy))
		return -1;
	desktop_pointer(c->desktop, x, y);
	desktop_wheel(c->desktop, dx, dy);
	return 0;
}

static int op_touch(struct remote_call *c)
{
	int slot, phase, x, y;

	if (remote_int(c, "slot", 0, HID_TOUCHES_MAX - 1, &slot) ||
	    remote_int(c, "phase", 0, 2, &phase) || place(c, "x", "y", &x, &y))
		return -1;
	desktop_touch(c->desktop, (unsigned)slot, (unsigned)phase, x, y);
	return 0;
}

static int op_drop(struct remote_call *c)
{
	const char *path = remote_text(c, "path");
	int x, y;

	if (place(c, "x", "y", &x, &y))
		return -1;
	if (!path || *path != '/')
		return remote_fail(c, "bad-request", "path: an absolute path");
	files_drop(c->desktop, x, y, path);
	return 0;
}

const struct remote_op remote_input_ops[] = {
	{"key", op_key},       {"keys", op_keys},   {"type", op_type}, {"pointer", op_pointer},
	{"button", op_button}, {"click", op_click}, {"drag", op_drag}, {"wheel", op_wheel},
	{"touch", op_touch},   {"drop", op_drop},   {NULL, NULL},
};
