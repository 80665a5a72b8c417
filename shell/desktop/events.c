/*
 * From hid to windows, and the person's keys to hid. Guests are told at once: that is only a note
 * in their batch. Panels, and all that may open or close windows, are told when the
 * outermost hid function has returned.
 */
#include "core_impl.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum event_type {
	EVENT_KEY,
	EVENT_POINTER,
	EVENT_BUTTON,
	EVENT_WHEEL,
	EVENT_TOUCH,
	EVENT_CONFIGURE,
	EVENT_FOCUS,
	EVENT_ACTION,
	EVENT_CLOSE
};

struct core_event {
	enum event_type type;
	hid_id id;
	int a, b; /* code and down; x and y; width and height; the action */
	uint32_t symbol;
	char text[8];
};

static struct core *core_of(const struct desktop *d)
{
	return d->core;
}

/* Limit: without memory the event is lost, which a person notices and repeats. */
static struct core_event *add(struct desktop *d, enum event_type type, hid_id id, int a, int b)
{
	struct core *c = core_of(d);

	if (c->nevents == c->room) {
		unsigned room = c->room ? 2 * c->room : 64;
		struct core_event *more = realloc(c->event, room * sizeof(*more));

		if (!more)
			return NULL;
		c->event = more;
		c->room = room;
	}
	c->event[c->nevents] = (struct core_event){.type = type, .id = id, .a = a, .b = b};
	desktop_wake_at(d, desktop_now(d));
	return &c->event[c->nevents++];
}

static struct screen *screen_of(struct desktop *d, hid_id id, unsigned *scanout)
{
	struct dguest *g = guests_of_window(d, id, scanout);

	return g ? g->screen : NULL;
}

/* ---- what hid says ------------------------------------------------------------------- */

static void on_key(void *opaque, hid_id to, uint16_t code, bool down, uint64_t time_ns)
{
	struct desktop *d = opaque;
	unsigned scanout;
	struct screen *s = screen_of(d, to, &scanout);
	struct core_event *e;

	if (s) {
		screen_key(s, scanout, code, down);
		return;
	}
	e = add(d, EVENT_KEY, to, code, down);
	if (!e)
		return;
	e->symbol = d->key_symbol;
	memcpy(e->text, d->key_text, sizeof(e->text));
}

static void on_pointer(void *opaque, hid_id to, int x, int y, uint64_t time_ns)
{
	struct desktop *d = opaque;
	unsigned scanout;
	struct screen *s = screen_of(d, to, &scanout);

	if (s)
		screen_pointer(s, scanout, x, y);
	else
		add(d, EVENT_POINTER, to, x, y);
}

static void on_button(void *opaque, hid_id to, uint16_t code, bool down, uint64_t time_ns)
{
	struct desktop *d = opaque;
	unsigned scanout;
	struct screen *s = screen_of(d, to, &scanout);

	if (s)
		screen_button(s, scanout, code, down);
	else
		add(d, EVENT_BUTTON, to, code, down);
}

static void on_wheel(void *opaque, hid_id to, int dx, int dy, uint64_t time_ns)
{
	struct desktop *d = opaque;
	unsigned scanout;
	struct screen *s = screen_of(d, to, &scanout);

	if (s)
		screen_wheel(s, scanout, dx, dy);
	else
		add(d, EVENT_WHEEL, to, dx, dy);
}

/* For panels a finger, the first, is the pointer and its left button. */
static void on_touch(void *opaque, hid_id to, unsigned slot, unsigned phase, int x, int y,
		     uint64_t time_ns)
{
	struct desktop *d = opaque;
	unsigned scanout;
	struct screen *s = screen_of(d, to, &scanout);

	if (s) {
		screen_touch(s, scanout, slot, phase, x, y);
		return;
	}
	if (slot)
		return;
	if (phase != 2)
		add(d, EVENT_POINTER, to, x, y);
	if (phase != 1)
		add(d, EVENT_BUTTON, to, BTN_LEFT, phase == 0);
}

static void on_leave(void *opaque, hid_id from) {}

static void on_configure(void *opaque, hid_id id, int width, int height, bool visible)
{
	struct desktop *d = opaque;
	unsigned scanout;
	struct screen *s = screen_of(d, id, &scanout);

	if (s)
		screen_configure(s, scanout, width, height, visible);
	else
		add(d, EVENT_CONFIGURE, id, width, height);
}

static void on_focus(void *opaque, hid_id from, hid_id to, bool asked)
{
	struct desktop *d = opaque;

	if (from)
		add(d, EVENT_FOCUS, from, false, 0);
	if (to)
		add(d, EVENT_FOCUS, to, true, 0);
	desktop_wake_at(d, desktop_now(d)); /* the strip */
}

static void on_action(void *opaque, enum hid_action action, hid_id focused)
{
	add(opaque, EVENT_ACTION, focused, (int)action, 0);
}

static void on_close(void *opaque, hid_id id)
{
	add(opaque, EVENT_CLOSE, id, 0, 0);
}

const struct hid_ops events_ops = {
	.key = on_key,
	.pointer = on_pointer,
	.button = on_button,
	.wheel = on_wheel,
	.touch = on_touch,
	.leave = on_leave,
	.configure = on_configure,
	.focus = on_focus,
	.action = on_action,
	.close = on_close,
};

/* ---- actions ------------------------------------------------------------------------------ */

static const char *const action_words[HID_ACTIONS] = {
	[HID_ACTION_ATTENTION] = "attention",
	[HID_ACTION_LAUNCHER] = "launcher",
	[HID_ACTION_WINDOWS] = "windows",
	[HID_ACTION_GRAPH] = "graph",
	[HID_ACTION_CONSOLE] = "console",
	[HID_ACTION_NEXT] = "next",
	[HID_ACTION_PREVIOUS] = "previous",
	[HID_ACTION_CLOSE] = "close",
	[HID_ACTION_FULLSCREEN] = "fullscreen",
	[HID_ACTION_MAXIMIZE] = "maximize",
	[HID_ACTION_LAYOUT] = "layout",
	[HID_ACTION_COPY] = "copy",
	[HID_ACTION_PASTE] = "paste",
	[HID_ACTION_SCREENSHOT] = "screenshot",
	[HID_ACTION_SCREENCAST] = "screencast",
	[HID_ACTION_KEYMAP] = "keymap",
	[HID_ACTION_THEME] = "theme",
	[HID_ACTION_HELP] = "help",
	[HID_ACTION_KILL] = "kill",
	[HID_ACTION_PAUSE] = "pause",
};

enum hid_action desktop_action_named(const char *word)
{
	for (unsigned i = HID_ACTION_NONE + 1; i < HID_ACTIONS; i++) {
		if (!strcmp(word, action_words[i]))
			return (enum hid_action)i;
	}
	return HID_ACTION_NONE;
}

static void next_keymap(struct desktop *d)
{
	unsigned i = 0;

	while (keymap_name(i) && strcmp(keymap_name(i), d->layout) != 0)
		i++;
	desktop_set_layout(d, keymap_name(i) && keymap_name(i + 1) ? keymap_name(i + 1)
								   : keymap_name(0));
}

static void toggle_screencast(struct desktop *d)
{
	char path[4096];
	uint64_t frames, dropped;
	int err;

	if (shot_casting(d)) {
		frames = shot_cast_end(d, &dropped);
		notice(d, d->theme.accent, "the screencast has %llu frames, %llu were left out",
		       (unsigned long long)frames, (unsigned long long)dropped);
		return;
	}
	shot_new_name(path, ".y4m");
	err = shot_cast_begin(d, path);
	if (err)
		notice(d, d->theme.danger, "%s: %s", path, strerror(-err));
	else
		notice(d, d->theme.accent, "recording to %s", path);
}

/* Of the guest in focus; its console counts. */
static void act_on_guest(struct desktop *d, enum hid_action action, hid_id focused)
{
	unsigned scanout = 0;
	struct dguest *g = guests_of_window(d, focused, &scanout);
	struct panel *p = g ? NULL : panel_of_window(d, focused);

	for (struct dguest *other = p ? d->guests : NULL; other; other = other->next)
		g = other->console == p ? other : g;
	if (!g)
		return;
	if (action == HID_ACTION_CONSOLE)
		panel_console(d, g);
	else if (action == HID_ACTION_KILL)
		guests_kill(d, g->name);
	else if (action == HID_ACTION_PAUSE)
		guests_pause(d, g->name, !g->paused);
	else if (action == HID_ACTION_COPY && !p)
		clip_copy(d, g, scanout);
	else if (action == HID_ACTION_PASTE && !p)
		clip_paste(d, g, scanout);
}

static void act(struct desktop *d, enum hid_action action, hid_id focused)
{
	switch (action) {
	case HID_ACTION_ATTENTION:
		panel_attention(d);
		return;
	case HID_ACTION_LAUNCHER:
		panel_launcher(d);
		return;
	case HID_ACTION_WINDOWS:
		panel_windows(d);
		return;
	case HID_ACTION_GRAPH:
		panel_graph(d);
		return;
	case HID_ACTION_HELP:
		panel_help(d);
		return;
	case HID_ACTION_SCREENSHOT:
		shot_screenshot(d);
		return;
	case HID_ACTION_SCREENCAST:
		toggle_screencast(d);
		return;
	case HID_ACTION_KEYMAP:
		next_keymap(d);
		return;
	case HID_ACTION_THEME:
		desktop_set_theme(d, !d->theme.dark);
		return;
	default:
		act_on_guest(d, action, focused);
	}
}

/* One of several windows is unplugged; the last one's guest is asked to end. */
static void close_window(struct desktop *d, hid_id id)
{
	unsigned scanout, others = 0;
	struct dguest *g = guests_of_window(d, id, &scanout);
	struct panel *p = g ? NULL : panel_of_window(d, id);

	if (p)
		panel_on_close(p);
	for (unsigned i = 0; g && i < EXO_DPY_SCANOUTS_MAX; i++)
		others += i != scanout && g->window[i];
	if (g && (!others || !scanout || !g->screen || !screen_unplug(g->screen, scanout)))
		guests_stop(d, g->name);
}

void desktop_close_window(struct desktop *d, hid_id id)
{
	add(d, EVENT_CLOSE, id, 0, 0);
}

/* ---- telling -------------------------------------------------------------------------------- */

static void tell_panel(struct panel *p, const struct core_event *e)
{
	switch (e->type) {
	case EVENT_KEY:
		panel_on_key(p, (uint16_t)e->a, e->b, e->symbol, e->text);
		return;
	case EVENT_POINTER:
		panel_on_pointer(p, e->a, e->b);
		return;
	case EVENT_BUTTON:
		panel_on_button(p, (uint16_t)e->a, e->b);
		return;
	case EVENT_WHEEL:
		panel_on_wheel(p, e->a, e->b);
		return;
	case EVENT_CONFIGURE:
		panel_on_configure(p, e->a, e->b);
		return;
	case EVENT_FOCUS:
		panel_on_focus(p, e->a);
		return;
	default:
		return;
	}
}

static void tell(struct desktop *d, const struct core_event *e)
{
	struct panel *p;
	struct dguest *g;
	unsigned scanout;

	if (e->type == EVENT_ACTION) {
		act(d, (enum hid_action)e->a, e->id);
	} else if (e->type == EVENT_CLOSE) {
		close_window(d, e->id);
	} else if ((p = panel_of_window(d, e->id)) != NULL) {
		tell_panel(p, e);
	} else if (e->type == EVENT_FOCUS) {
		g = guests_of_window(d, e->id, &scanout);
		if (g)
			service_focus(g, scanout, e->a);
	}
}

void events_tell(struct desktop *d)
{
	struct core *c = core_of(d);

	if (!c || c->telling)
		return;
	c->telling = true;
	while (c->at < c->nevents) {
		struct core_event e = c->event[c->at++]; /* more may come, and move them */

		tell(d, &e);
	}
	c->at = c->nevents = 0;
	c->telling = false;
}

void events_close(struct core *c)
{
	free(c->event);
}

/* ---- what the person does ---------------------------------------------------------------------
 */

void desktop_key(struct desktop *d, uint16_t code, bool down)
{
	struct core *c = core_of(d);
	uint8_t bit = (uint8_t)(1u << code % 8);

	if (!code || code >= HID_KEYS_MAX || ((c->down[code / 8] & bit) != 0) == down)
		return; /* it repeats: panels and guests do that themselves */
	c->down[code / 8] ^= bit;
	keymap_key(&d->keyboard, code, down, &d->key_symbol, d->key_text);
	hid_key(d->hid, code, down, desktop_now(d));
	events_tell(d);
}

void desktop_pointer(struct desktop *d, int x, int y)
{
	hid_pointer(d->hid, x, y, desktop_now(d));
	events_tell(d);
}

void desktop_button(struct desktop *d, uint16_t code, bool down)
{
	hid_button(d->hid, code, down, desktop_now(d));
	events_tell(d);
}

void desktop_wheel(struct desktop *d, int dx, int dy)
{
	hid_wheel(d->hid, dx, dy, desktop_now(d));
	events_tell(d);
}

void desktop_touch(struct desktop *d, unsigned slot, unsigned phase, int x, int y)
{
	hid_touch(d->hid, slot, phase, x, y, desktop_now(d));
	events_tell(d);
}

void desktop_action(struct desktop *d, enum hid_action action)
{
	hid_act(d->hid, action, desktop_now(d));
	events_tell(d);
}

void desktop_host_focus(struct desktop *d, bool there)
{
	struct core *c = core_of(d);
	bool caps = d->keyboard.caps;

	hid_host_focus(d->hid, there, desktop_now(d));
	if (!there) {
		/* Nobody tells us of their releases. */
		d->keyboard = (struct keymap_state){.map = d->keyboard.map, .caps = caps};
		memset(c->down, 0, sizeof(c->down));
	}
	events_tell(d);
}
