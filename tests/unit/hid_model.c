/* See hid_model.h. */
#include "hid_model.h"

#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 160 /* at most */
#define HEIGHT 120
#define WINDOWS 24

struct win {
	hid_id id; /* 0: a free slot */
	struct hid_window_setup setup;
	bool key[HID_KEYS_MAX], button[HID_KEYS_MAX], touch[HID_TOUCHES_MAX];
	bool chosen; /* it may have the focus */
	bool configured, visible, hovered;
	int width, height;
	uint32_t canvas[WIDTH * HEIGHT];
};

struct model {
	struct hid *h;
	hid_model_next_fn *next;
	void *opaque;
	uint64_t now, held_until, last_frame;
	struct win win[WINDOWS];
	uint32_t drawn[WIDTH * HEIGHT]; /* what is on the screen */
	int width, height;
	uint32_t serial;
	unsigned delivered;
	hid_id asked;   /* the call that runs may give it the focus */
	hid_id closing; /* the person wants it closed */
	bool person;    /* a press is under way: a click chooses */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "hidmux: %s\n", what);
	abort();
}

static uint8_t byte(struct model *m)
{
	uint8_t b = 0;

	return m->next(m->opaque, &b) ? b : 0;
}

static int number(struct model *m, int below)
{
	int n = byte(m) << 8;

	return (n | byte(m)) % below;
}

static struct win *find(struct model *m, hid_id id)
{
	for (unsigned i = 0; i < WINDOWS; i++) {
		if (id && m->win[i].id == id)
			return &m->win[i];
	}
	must(false, "an event for a window that there is not");
	return NULL;
}

/* ---- what hid says ------------------------------------------------------------------ */

static void on_key(void *opaque, hid_id to, uint16_t code, bool down, uint64_t time_ns)
{
	struct model *m = opaque;
	struct win *w = find(m, to);

	m->delivered++;
	must(w->key[code] != down, down ? "a key pressed twice" : "a release without a press");
	must(!down || to == hid_focused(m->h), "a key pressed in a window without the focus");
	must(!down || m->now >= m->held_until, "a key pressed while input is held back");
	must(!down || code != KEY_LEFTMETA, "the shell's modifier reached a window");
	must(time_ns == m->now, "another time");
	w->key[code] = down;
}

static void on_button(void *opaque, hid_id to, uint16_t code, bool down, uint64_t time_ns)
{
	struct model *m = opaque;
	struct win *w = find(m, to);

	m->delivered++;
	must(w->button[code] != down, down ? "a button pressed twice" : "a click without a press");
	must(!down || w->hovered, "a button pressed where the pointer is not");
	w->button[code] = down;
}

static void on_pointer(void *opaque, hid_id to, int x, int y, uint64_t time_ns)
{
	struct model *m = opaque;
	struct win *w = find(m, to);
	struct hid_window_info info;
	bool held = false;

	m->delivered++;
	for (unsigned i = 0; i < WINDOWS; i++)
		must(&m->win[i] == w || !m->win[i].hovered, "the pointer in two windows");
	w->hovered = true;
	must(hid_info(m->h, to, &info), "an event for a window that there is not");
	for (unsigned i = 0; i < HID_KEYS_MAX; i++)
		held |= w->button[i];
	must(held || (x >= 0 && y >= 0 && x < info.content.width && y < info.content.height),
	     "the pointer outside a window that holds no button");
}

static void on_wheel(void *opaque, hid_id to, int dx, int dy, uint64_t time_ns)
{
	struct model *m = opaque;

	m->delivered++;
	must(find(m, to)->hovered, "the wheel where the pointer is not");
}

static void on_touch(void *opaque, hid_id to, unsigned slot, unsigned phase, int x, int y,
		     uint64_t time_ns)
{
	struct model *m = opaque;
	struct win *w = find(m, to);

	m->delivered++;
	must(w->touch[slot] == (phase != 0), phase ? "a finger that is not there" : "twice down");
	must(phase || m->now >= m->held_until, "a touch while input is held back");
	w->touch[slot] = phase != 2;
}

static void on_leave(void *opaque, hid_id from)
{
	struct win *w = find(opaque, from);

	must(w->hovered, "the pointer left where it was not");
	w->hovered = false;
}

static void on_configure(void *opaque, hid_id id, int width, int height, bool visible)
{
	struct model *m = opaque;
	struct win *w = NULL;

	for (unsigned i = 0; i < WINDOWS && !w; i++)
		w = m->win[i].id == id ? &m->win[i] : NULL;
	for (unsigned i = 0; i < WINDOWS && !w; i++)
		w = m->win[i].id ? NULL : &m->win[i]; /* the one that is being added */
	must(width > 0 && height > 0, "a window without a size");
	if (w->id)
		must(w->width != width || w->height != height || w->visible != visible,
		     "configured without a change");
	if (w->width != width || w->height != height)
		for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
			w->canvas[i] = m->serial;
	m->serial++;
	w->width = width;
	w->height = height;
	w->visible = visible;
	w->configured = true;
}

static void on_focus(void *opaque, hid_id from, hid_id to, bool asked)
{
	struct model *m = opaque;
	struct hid_window_info info;

	if (!asked)
		m->held_until = m->now + HID_HOLD_NS;
	else
		m->held_until = 0;
	if (!to || (hid_info(m->h, to, &info) && info.panel))
		return;
	if (m->person || m->asked == to)
		find(m, to)->chosen = true;
	must(find(m, to)->chosen, "a window took the focus");
}

static void on_action(void *opaque, enum hid_action action, hid_id focused) {}

static void on_close(void *opaque, hid_id id)
{
	struct model *m = opaque;

	m->closing = id;
}

static const struct hid_ops ops = {
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

/* ---- what is seen -------------------------------------------------------------------- */

static uint32_t mix(uint32_t a, uint32_t b)
{
	return (a ^ b) * 2654435761u + 1;
}

static bool in(const struct hid_rect *r, int x, int y)
{
	return x >= r->x && y >= r->y && x < r->x + r->width && y < r->y + r->height;
}

static void paint_window(struct model *m, uint32_t *screen, hid_id id, bool *seen)
{
	const struct win *w = find(m, id);
	struct hid_window_info i;
	int strip = hid_strip(m->h).height;

	must(hid_info(m->h, id, &i), "no such window");
	if (i.minimized)
		return;
	must(i.frame.y >= strip, "a window covers the strip");
	for (int y = i.frame.y; y < i.frame.y + i.frame.height; y++) {
		for (int x = i.frame.x; x < i.frame.x + i.frame.width; x++) {
			int cx = x - i.content.x, cy = y - i.content.y;

			if (x < 0 || y < strip || x >= m->width || y >= m->height)
				continue;
			*seen = true;
			screen[y * WIDTH + x] =
				in(&i.content, x, y)
					? mix(w->canvas[cy % HEIGHT * WIDTH + cx % WIDTH], id)
					: mix(mix(id, (uint32_t)(cx * 1000 + cy)),
					      i.focused + 2u * i.attention);
		}
	}
}

static void paint(struct model *m, uint32_t *screen)
{
	hid_id ids[HID_WINDOWS_MAX];
	unsigned n = hid_stack(m->h, ids, HID_WINDOWS_MAX), rank = 0;
	bool seen;

	for (int i = 0; i < WIDTH * HEIGHT; i++)
		screen[i] = i / WIDTH < hid_strip(m->h).height ? mix(7, hid_focused(m->h)) : 0;
	for (unsigned i = 0; i < n; i++) {
		const struct hid_window_setup *s = &find(m, ids[i])->setup;
		unsigned layer = !s->panel ? 0 : s->modal && !s->passive ? 2 : 1;

		must(layer >= rank, "a guest's window above the shell's");
		rank = layer;
		paint_window(m, screen, ids[i], &seen);
	}
}

static void frame(struct model *m)
{
	static uint32_t screen[WIDTH * HEIGHT];
	struct hid_rect r[HID_RECTS_MAX];
	uint64_t due = hid_frame_due(m->h, m->now);
	unsigned n;

	must(due >= m->now, "a frame is due in the past");
	must(!m->last_frame || due == UINT64_MAX || due >= m->last_frame + HID_FRAME_NS,
	     "a frame too soon");
	if (due != UINT64_MAX && due > m->now)
		m->now = due;
	n = hid_frame_begin(m->h, r, m->now);
	must(n <= HID_RECTS_MAX && (n > 0) == (due != UINT64_MAX), "a frame of nothing");
	must(hid_frame_due(m->h, m->now) == UINT64_MAX, "a frame is due after the frame");
	if (n)
		m->last_frame = m->now;
	paint(m, screen);
	for (unsigned i = 0; i < n; i++) {
		must(r[i].x >= 0 && r[i].y >= 0 && r[i].width > 0 && r[i].height > 0 &&
			     r[i].x + r[i].width <= m->width && r[i].y + r[i].height <= m->height,
		     "damage outside the screen");
		for (unsigned k = 0; k < i; k++)
			must(r[i].x >= r[k].x + r[k].width || r[k].x >= r[i].x + r[i].width ||
				     r[i].y >= r[k].y + r[k].height ||
				     r[k].y >= r[i].y + r[i].height,
			     "damage that overlaps");
		for (int y = r[i].y; y < r[i].y + r[i].height; y++)
			memcpy(m->drawn + y * WIDTH + r[i].x, screen + y * WIDTH + r[i].x,
			       (size_t)r[i].width * sizeof(screen[0]));
	}
	for (int y = 0; y < m->height; y++)
		must(!memcmp(m->drawn + y * WIDTH, screen + y * WIDTH, (size_t)m->width * 4),
		     "something changed and was not damaged");
}

static void check(struct model *m)
{
	struct hid_window_info info;
	hid_id focused = hid_focused(m->h);

	must(!focused || hid_info(m->h, focused, &info), "the focus is in a window that is gone");
	must(!focused || !info.minimized, "the focus is in a minimized window");
	/* What the person chooses again is chosen: nothing is held back any more. */
	if ((m->person || m->asked) && !hid_held_until(m->h, m->now))
		m->held_until = 0;
	must(hid_held_until(m->h, m->now) == (m->now < m->held_until ? m->held_until : 0),
	     "input is held back for another time");
	for (unsigned i = 0; i < WINDOWS; i++)
		must(!m->win[i].id || m->win[i].configured, "never configured");
}

/* ---- what happens --------------------------------------------------------------------- */

static struct win *some(struct model *m)
{
	struct win *w = &m->win[byte(m) % WINDOWS];

	return w->id ? w : NULL;
}

static void add(struct model *m)
{
	struct win *w = m->win;
	uint8_t flags = byte(m);
	hid_id before = hid_focused(m->h);

	while (w < m->win + WINDOWS && w->id)
		w++;
	if (w == m->win + WINDOWS)
		return;
	memset(w, 0, sizeof(*w));
	w->setup = (struct hid_window_setup){
		.width = byte(m),
		.height = byte(m),
		.min_width = flags & 1 ? byte(m) % 64 : 0,
		.max_height = flags & 2 ? byte(m) : 0,
		.panel = (flags & 12) == 12,
		.modal = (flags & 112) == 112,
		.passive = (flags & 48) == 16,
		.bare = (flags & 192) == 192,
		.anchored = flags & 1,
		.x = (int8_t)byte(m),
		.y = (int8_t)byte(m),
	};
	w->id = hid_add(m->h, &w->setup, m->now);
	must(w->id, "no memory");
	must(w->setup.panel || hid_focused(m->h) == before, "a new window took the focus");
}

static void remove_window(struct model *m, struct win *w)
{
	hid_remove(m->h, w->id, m->now);
	for (unsigned i = 0; i < HID_KEYS_MAX; i++)
		must(!w->key[i] && !w->button[i], "a window went with a key down");
	for (unsigned i = 0; i < HID_TOUCHES_MAX; i++)
		must(!w->touch[i], "a window went with a finger on it");
	memset(w, 0, sizeof(*w));
}

static void draw(struct model *m, struct win *w)
{
	struct hid_rect r = {(int8_t)byte(m), (int8_t)byte(m), byte(m), byte(m)};

	m->serial++;
	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 0; x < WIDTH; x++) {
			if (in(&r, x, y) && x < w->width && y < w->height)
				w->canvas[y * WIDTH + x] = m->serial;
		}
	}
	hid_damage(m->h, w->id, &r);
}

static void change(struct model *m)
{
	struct win *w = some(m);
	uint8_t what = byte(m);
	struct hid_rect r;

	if (!w)
		return;
	switch (what % 10) {
	case 0:
		remove_window(m, w);
		break;
	case 1:
		m->asked = w->id;
		hid_focus(m->h, w->id, m->now);
		w->chosen = true;
		if (!w->setup.passive)
			m->held_until = 0;
		break;
	case 2:
		hid_set_fullscreen(m->h, w->id, what & 128, m->now);
		break;
	case 3:
		hid_set_maximized(m->h, w->id, what & 128, m->now);
		break;
	case 4:
		hid_set_minimized(m->h, w->id, what & 128, m->now);
		break;
	case 5:
		hid_set_attention(m->h, w->id, what & 128);
		break;
	case 6:
		r = (struct hid_rect){(int8_t)byte(m), (int8_t)byte(m), byte(m), byte(m)};
		hid_place(m->h, w->id, &r, m->now);
		break;
	case 7:
		hid_damage_frame(m->h, w->id);
		break;
	default:
		draw(m, w);
	}
}

static void type(struct model *m)
{
	static const uint16_t codes[] = {KEY_A,        KEY_B,     KEY_LEFTSHIFT, KEY_LEFTCTRL,
					 KEY_LEFTALT,  KEY_TAB,   KEY_LEFTMETA,  KEY_DELETE,
					 KEY_F,        KEY_M,     KEY_Q,         KEY_L,
					 KEY_LEFTMETA, KEY_SPACE, KEY_C,         0x2ff};
	uint8_t what = byte(m);

	m->person = true;
	hid_key(m->h, codes[what % 16], what & 128, m->now);
}

static void point(struct model *m)
{
	static const uint16_t codes[] = {BTN_LEFT, BTN_LEFT, BTN_RIGHT, BTN_MIDDLE};
	uint8_t what = byte(m);

	m->person = true;
	switch (what % 8) {
	case 0:
	case 1:
		hid_pointer(m->h, (int)byte(m) - 20, (int)byte(m) - 20, m->now);
		break;
	case 2:
		hid_motion(m->h, (int8_t)byte(m), (int8_t)byte(m), m->now);
		break;
	case 3:
		hid_wheel(m->h, 0, 120, m->now);
		break;
	case 4:
		hid_touch(m->h, what >> 5, byte(m) % 3, byte(m), byte(m), m->now);
		break;
	default:
		hid_button(m->h, codes[(what >> 3) % 4], what & 128, m->now);
	}
}

static void rare(struct model *m)
{
	uint8_t what = byte(m);

	m->person = true;
	switch (what % 8) {
	case 0:
		hid_host_focus(m->h, what & 128, m->now);
		break;
	case 1:
		hid_set_layout(m->h, what & 128 ? HID_TILING : HID_FLOATING);
		break;
	case 2:
		m->width = 1 + number(m, WIDTH);
		m->height = 40 + number(m, HEIGHT - 40);
		memset(m->drawn, 1, sizeof(m->drawn));
		hid_resize(m->h, m->width, m->height, what & 128 ? 60 : 72);
		break;
	default:
		hid_act(m->h, (enum hid_action)(byte(m) % (HID_ACTIONS + 1)), m->now);
	}
}

static void step(struct model *m, uint8_t what)
{
	m->asked = 0;
	m->person = false;
	m->closing = 0;
	switch (what % 16) {
	case 0:
	case 1:
		add(m);
		break;
	case 2:
	case 3:
	case 4:
		change(m);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		type(m);
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		point(m);
		break;
	case 13:
		m->now += (uint64_t)byte(m) * 3000000;
		break;
	case 14:
		frame(m);
		break;
	default:
		rare(m);
	}
	if (m->closing && what & 128)
		remove_window(m, find(m, m->closing));
	check(m);
}

unsigned hid_model_run(hid_model_next_fn *next, void *opaque)
{
	struct model *m = calloc(1, sizeof(*m));
	struct hid_config config = {.width = WIDTH, .height = HEIGHT, .scale = 60};
	unsigned delivered;
	uint8_t what;

	must(m, "no memory");
	m->next = next;
	m->opaque = opaque;
	m->now = 1000000000;
	m->width = WIDTH;
	m->height = HEIGHT;
	m->h = hid_create(&config, &ops, m);
	must(m->h, "no memory");
	while (next(opaque, &what))
		step(m, what);
	frame(m);
	for (unsigned i = 0; i < WINDOWS; i++) {
		if (m->win[i].id)
			remove_window(m, &m->win[i]);
	}
	frame(m);
	delivered = m->delivered;
	hid_destroy(m->h);
	free(m);
	return delivered;
}
