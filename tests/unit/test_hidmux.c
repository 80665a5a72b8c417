/*
 * The multiplexer of input and display as tables of events and their effects: one table a rule
 * of hidmux.h. The screen is 1000 x 800 at scale 1: strip 24, title 22, border 2.
 *
 * Events: `guest a X Y W H`, `panel p …`, `modal m …`, `passive n …`: a window whose content is
 * there; `new a W H`: one that is placed. `remove`, `focus`, `min`, `unmin`, `max`, `unmax`,
 * `full`, `unfull` a; `down KEY`, `up KEY`, `at X Y`, `press`, `release` (left), `press2`,
 * `release2` (right), `wheel`, `tdown S X Y`, `tmove S X Y`, `tup S X Y`; `host off`; `wait MS`;
 * `tiling`, `floating`; `act N`.
 *
 * Effects: `a+KEY`, `a-KEY`, `a@X,Y`, `a[N` pressed, `a]N` released, `a~` wheel, `a<` left,
 * `aTn` touch phase n, `>a` focus that was asked for, `?a` that was not (`0`: nobody), `!N` action,
 * `xa` close, `a=WxH` a size, `a=hidden`.
 */
#include "hidmux.h"
#include "unit.h"

#include <linux/input-event-codes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MS 1000000ull

struct rig {
	struct hid *h;
	uint64_t now;
	hid_id id[128]; /* by letter */
	hid_id last;
	bool sizes; /* are said, too */
	char said[4096];
};

static const struct {
	const char *name;
	uint16_t code;
} keys[] = {
	{"a", KEY_A},       {"b", KEY_B},           {"shift", KEY_LEFTSHIFT},
	{"c", KEY_C},       {"v", KEY_V},           {"ctrl", KEY_LEFTCTRL},
	{"f", KEY_F},       {"q", KEY_Q},           {"alt", KEY_LEFTALT},
	{"m", KEY_M},       {"w", KEY_W},           {"super", KEY_LEFTMETA},
	{"l", KEY_L},       {"delete", KEY_DELETE}, {"rsuper", KEY_RIGHTMETA},
	{"tab", KEY_TAB},   {"space", KEY_SPACE},   {"k", KEY_K},
	{"left", BTN_LEFT}, {"right", BTN_RIGHT},
};

static char letter(const struct rig *r, hid_id id)
{
	for (int i = 0; id && i < 128; i++) {
		if (r->id[i] == id)
			return (char)i;
	}
	return '0';
}

static const char *key_name(uint16_t code)
{
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (keys[i].code == code)
			return keys[i].name;
	}
	return "?";
}

static void say(struct rig *r, const char *format, ...)
{
	size_t used = strlen(r->said);
	va_list ap;

	va_start(ap, format);
	if (used && used + 1 < sizeof(r->said))
		r->said[used++] = ' ';
	vsnprintf(r->said + used, sizeof(r->said) - used, format, ap);
	va_end(ap);
}

static void on_key(void *o, hid_id to, uint16_t code, bool down, uint64_t time_ns)
{
	say(o, "%c%c%s", letter(o, to), down ? '+' : '-', key_name(code));
}

static void on_pointer(void *o, hid_id to, int x, int y, uint64_t time_ns)
{
	say(o, "%c@%d,%d", letter(o, to), x, y);
}

static void on_button(void *o, hid_id to, uint16_t code, bool down, uint64_t time_ns)
{
	say(o, "%c%c%d", letter(o, to), down ? '[' : ']', code - BTN_LEFT + 1);
}

static void on_wheel(void *o, hid_id to, int dx, int dy, uint64_t time_ns)
{
	say(o, "%c~", letter(o, to));
}

static void on_touch(void *o, hid_id to, unsigned slot, unsigned phase, int x, int y,
		     uint64_t time_ns)
{
	say(o, "%cT%u", letter(o, to), phase);
}

static void on_leave(void *o, hid_id from)
{
	say(o, "%c<", letter(o, from));
}

static void on_configure(void *o, hid_id id, int width, int height, bool visible)
{
	struct rig *r = o;

	if (r->sizes && visible)
		say(r, "%c=%dx%d", letter(r, id), width, height);
	else if (r->sizes)
		say(r, "%c=hidden", letter(r, id));
}

static void on_focus(void *o, hid_id from, hid_id to, bool asked)
{
	say(o, "%c%c", asked ? '>' : '?', letter(o, to));
}

static void on_action(void *o, enum hid_action action, hid_id focused)
{
	say(o, "!%d", (int)action);
}

static void on_close(void *o, hid_id id)
{
	say(o, "x%c", letter(o, id));
}

static const struct hid_ops ops = {on_key,   on_pointer,   on_button, on_wheel,  on_touch,
				   on_leave, on_configure, on_focus,  on_action, on_close};

static void begin(struct rig *r)
{
	struct hid_config c = {.width = 1000, .height = 800};

	*r = (struct rig){.now = 1000 * MS};
	r->h = hid_create(&c, &ops, r);
	ck_assert_ptr_nonnull(r->h);
}

static void add(struct rig *r, const char *kind, char name, int x, int y, int w, int h)
{
	struct hid_window_setup s = {
		.x = x,
		.y = y,
		.width = w,
		.height = h,
		.anchored = *kind != 'n',
		.panel = *kind == 'p' || *kind == 'm',
		.modal = *kind == 'm',
		.passive = !strcmp(kind, "passive"),
	};

	r->id[(int)name] = ++r->last; /* ids are numbers in order: it is spoken of before */
	ck_assert_uint_eq(hid_add(r->h, &s, r->now), r->last);
}

static uint16_t key_code(const char *name)
{
	for (size_t i = 0; i < COUNT(keys); i++) {
		if (!strcmp(keys[i].name, name))
			return keys[i].code;
	}
	ck_abort_msg("no key %s", name);
}

static bool do_state(struct rig *r, const char *verb, hid_id id)
{
	bool on = strncmp(verb, "un", 2) != 0;

	verb += on ? 0 : 2;
	if (!strcmp(verb, "min"))
		hid_set_minimized(r->h, id, on, r->now);
	else if (!strcmp(verb, "max"))
		hid_set_maximized(r->h, id, on, r->now);
	else if (!strcmp(verb, "full"))
		hid_set_fullscreen(r->h, id, on, r->now);
	else if (!strcmp(verb, "focus"))
		hid_focus(r->h, id, r->now);
	else if (!strcmp(verb, "remove"))
		hid_remove(r->h, id, r->now);
	else
		return false;
	return true;
}

static void do_numbers(struct rig *r, const char *verb, int a, int b, int c)
{
	if (!strcmp(verb, "at"))
		hid_pointer(r->h, a, b, r->now);
	else if (!strcmp(verb, "wait"))
		r->now += (uint64_t)a * MS;
	else if (!strcmp(verb, "press") || !strcmp(verb, "release"))
		hid_button(r->h, BTN_LEFT, *verb == 'p', r->now);
	else if (!strcmp(verb, "press2") || !strcmp(verb, "release2"))
		hid_button(r->h, BTN_RIGHT, *verb == 'p', r->now);
	else if (!strcmp(verb, "wheel"))
		hid_wheel(r->h, 0, 120, r->now);
	else if (*verb == 't' && strlen(verb) < 6 && strcmp(verb, "tiling") != 0)
		hid_touch(r->h, (unsigned)a,
			  verb[1] == 'd'   ? 0
			  : verb[1] == 'm' ? 1
					   : 2,
			  b, c, r->now);
	else if (!strcmp(verb, "host"))
		hid_host_focus(r->h, false, r->now);
	else if (!strcmp(verb, "act"))
		hid_act(r->h, (enum hid_action)a, r->now);
	else if (!strcmp(verb, "tiling") || !strcmp(verb, "floating"))
		hid_set_layout(r->h, *verb == 't' ? HID_TILING : HID_FLOATING);
	else if (!strcmp(verb, "resize"))
		hid_resize(r->h, a, b, 120);
	else
		ck_abort_msg("no event %s", verb);
}

static void do_event(struct rig *r, const char *event)
{
	char verb[16] = "", word[16] = "";
	int a = 0, b = 0, c = 0, d = 0;

	sscanf(event, "%15s %15s %d %d %d %d", verb, word, &a, &b, &c, &d);
	if (!strcmp(verb, "down") || !strcmp(verb, "up"))
		hid_key(r->h, key_code(word), *verb == 'd', r->now);
	else if (!strcmp(verb, "guest") || !strcmp(verb, "panel") || !strcmp(verb, "modal") ||
		 !strcmp(verb, "passive"))
		add(r, verb, *word, a, b, c, d);
	else if (!strcmp(verb, "new"))
		add(r, verb, *word, 0, 0, a, b);
	else if (!do_state(r, verb, r->id[(int)*word]))
		do_numbers(r, verb, atoi(word), a, b);
}

struct row {
	const char *events, *effects;
};

/* Events of a row are separated by semicolons. */
static void run(struct rig *r, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char events[512], *at = events, *event;

		snprintf(events, sizeof(events), "%s", rows[i].events);
		r->said[0] = '\0';
		while ((event = strsep(&at, ";")))
			do_event(r, event);
		ck_assert_msg(!strcmp(r->said, rows[i].effects), "row %zu, %s: said “%s”, not “%s”",
			      i, rows[i].events, r->said, rows[i].effects);
	}
}

#define TABLE(rule, ...) \
	START_TEST(rule) \
	{ \
		static const struct row rows[] = {__VA_ARGS__}; \
		struct rig r; \
\
		begin(&r); \
		run(&r, rows, COUNT(rows)); \
		hid_destroy(r.h); \
	} \
	END_TEST

/* ---- focus and keys ------------------------------------------------------------------------ */

/* Keys go to the window in focus alone; who saw a press sees the release. */
TABLE(keys_across_focus, {"guest a 100 100 200 200; guest b 400 100 200 200", ""},
      {"down a; up a", ""},                                         /* nobody has it */
      {"focus a", ">a"}, {"down a", "a+a"}, {"down a; down a", ""}, /* it repeats */
      {"focus b", ">b"}, {"down b", "b+b"}, {"up a", "a-a"}, {"up a", ""}, {"up b", "b-b"},
      {"down shift; focus a; down a; up shift; up a", "b+shift >a a+a b-shift a-a"})

/* A new window never takes the focus, and lies below the one that has it. */
TABLE(new_windows, {"guest a 100 100 200 200; focus a", ">a"},
      {"guest b 150 150 200 200; down a; up a", "a+a a-a"},
      {"at 160 160; press; release", "a@60,60 a[1 a]1"}, {"focus b", "a< >b"},
      {"guest c 150 150 200 200; at 161 161", "b@11,11"}, {"remove a; remove b", "?0"},
      {"down a; up a", ""}) /* c never had it */

/* Its window goes: the one before gets the focus, and nothing for a while. */
TABLE(held_back, {"guest a 100 100 200 200; guest b 400 100 200 200; focus a; focus b", ">a >b"},
      {"down a", "b+a"}, {"remove b", "b-a ?a"}, {"up a; down b; up b", ""},
      {"at 110 110; press; release", "a@10,10"}, {"wait 499; down c; up c", ""}, {"down b", ""},
      {"wait 1; up b; down c; up c", "a+c a-c"},
      {"guest d 400 100 200 200; focus d; remove d", ">d ?a"},
      {"down super; down q; up q", ""},     /* it is not a that was meant */
      {"down w; up w; up super", "!3"},     /* this is the shell's, whoever has it */
      {"focus a; down c; up c", "a+c a-c"}) /* now it is */

/* A window dies with keys and buttons down: it is told of them before, its successor never. */
TABLE(dies_with_keys,
      {"guest a 100 100 200 200; guest b 400 100 200 200; focus a; focus b", ">a >b"},
      {"down shift; down a; at 410 110; press", "b+shift b+a b@10,10 b[1"},
      {"remove b", "b-a b-shift b]1 ?a"}, {"wait 600; up shift; up a; release", ""},
      {"down a; up a", "a+a a-a"})

/* The person minimizes it: that was asked for, and nothing is held back. */
TABLE(minimized, {"guest a 100 100 200 200; guest b 400 100 200 200; focus a; focus b", ">a >b"},
      {"down a; min b", "b+a b-a >a"}, {"down c; up c; up a", "a+c a-c"}, {"unmin b", ""},
      {"min b; focus b", ">b"})

/* The host takes the keyboard away: all comes up. */
TABLE(host_focus, {"guest a 100 100 200 200; focus a; at 110 110", ">a a@10,10"},
      {"down ctrl; press", "a+ctrl a[1"}, {"host off", "a-ctrl a]1"}, {"up ctrl; release", ""},
      {"down a; up a", "a+a a-a"})

/* ---- the shell's keys ------------------------------------------------------------------------ */

/* Left Super and what is pressed with it is the shell's; right Super is a key. */
TABLE(chords, {"guest a 100 100 200 200; focus a", ">a"},
      {"down super; down space; up space; down k; up k; up super", "!2 !16"},
      {"down super; down b; up b; up super", ""}, /* no chord, and no guest's */
      {"down rsuper; down w; up w; up rsuper", "a+rsuper a+w a-w a-rsuper"},
      {"down ctrl; down shift; down c", "a+ctrl a+shift !12"},
      {"up c; up shift; up ctrl", "a-shift a-ctrl"},
      {"down a; down super; up super; up a", "a+a a-a"},
      {"down super; down q; up q; up super", "xa"})

/* The secure attention chord: past full-screen, grabs, held keys; guests see releases alone. */
TABLE(attention, {"guest a 100 100 200 200; focus a; full a", ">a"},
      {"at 300 300; press; down b", "a@300,276 a[1 a+b"}, {"down ctrl; down alt", "a+ctrl a+alt"},
      {"down delete", "a-ctrl a-b a-alt a]1 !1"}, {"up delete; up alt; up ctrl; up b; release", ""},
      {"down shift; down ctrl; down super; down alt; down delete",
       "a+shift a+ctrl a-ctrl a-shift !1"},
      {"up shift; up ctrl; up super; up alt; up delete", ""},
      {"guest b 0 0 99 99; focus b; remove b", ">b ?a"}, /* also while input is held back */
      {"down ctrl; down alt; down delete", "!1"})

/* Super+Tab goes by last use, and what it passes by keeps its place. */
TABLE(next_window,
      {"guest a 0 50 99 99; guest b 200 50 99 99; guest c 400 50 99 99; guest d 600 50 99 99", ""},
      {"focus a; focus b; focus c", ">a >b >c"}, {"down super; down tab; up tab; up super", ">b"},
      {"down super; down tab; up tab; up super", ">c"},
      {"down super; down tab; up tab; down tab; up tab; up super", ">b >a"},
      {"down super; down tab; up tab; up super", ">c"},
      {"down super; down shift; down tab; up tab; up shift; up super", ">d"},
      {"min a; down super; down tab; down super; up tab; up super", ">c"})

/* ---- the pointer --------------------------------------------------------------------------------
 */

/* To the window under it; while a button is held: where it was pressed. */
TABLE(pointer, {"guest a 100 100 200 200; guest b 400 100 200 200; focus a", ">a"},
      {"at 110 120", "a@10,20"}, {"at 350 120", "a<"}, {"at 410 120; wheel", "b@10,20 b~"},
      {"at 110 120; press", "b< a@10,20 a[1"}, {"at 500 120", "a@400,20"},
      {"press2; at 501 120", "a[2 a@401,20"}, {"release; at 502 120", "a]1 a@402,20"},
      {"release2", "a]2 a<"}, {"at 503 120", "b@103,20"},
      {"press; release", ">b b[1 b]1"}, /* a click chooses */
      {"at 350 500; press; release", "b<"})

/* A drag out of a window that goes, and out of one that loses the focus. */
TABLE(drag_out, {"guest a 100 100 200 200; guest b 400 100 200 200; focus a", ">a"},
      {"at 110 110; press; at 450 150", "a@10,10 a[1 a@350,50"},
      {"focus b; at 460 150", ">b a@360,50"}, {"remove a; at 461 150; release", "a]1 b@61,50"},
      {"press; release", "b[1 b]1"})

/* What covers a window hides it from the pointer; nothing goes through frames. */
TABLE(covered,
      {"guest a 100 100 200 200; guest b 150 150 200 200; focus b; at 160 160", ">b b@10,10"},
      {"focus a", "b< >a"}, {"at 161 161", "a@61,61"}, {"focus b; at 160 130", "a< >b"},
      {"press; release", ""},            /* b's title */
      {"at 160 10; press; release", ""}) /* the strip */

TABLE(touch, {"guest a 100 100 200 200; guest b 400 100 200 200", ""},
      {"tdown 0 110 110; tmove 0 500 110; tdown 1 410 110", ">a aT0 aT1 >b bT0"},
      {"remove a; tup 0 500 110; tup 1 410 110", "aT2 bT2"},
      {"tdown 3 420 90; tmove 3 520 190; tup 3 520 190", ""}, /* its title moves it */
      {"at 510 210", "b@10,10"})

/* ---- panels
 * --------------------------------------------------------------------------------------- */

/* They get the keyboard at once, are above guests, and give it back without holding. */
TABLE(panels, {"guest a 100 100 200 200; focus a", ">a"},
      {"down a; panel p 150 150 100 100; up a", "a+a >p a-a"}, {"at 160 160", "p@10,10"},
      {"focus a; at 161 161", ">a p@11,11"}, {"focus p", ">p"},
      {"remove p; down b; up b", ">a a+b a-b"},
      {"passive n 150 150 100 100; down a; up a", "a+a a-a"},
      {"at 160 160; press; release; down a; up a", "n@10,10 n[1 n]1 a+a a-a"},
      {"focus n; act 6; remove n", ""})

/* A modal one gets all input until it goes; others what they are owed. */
TABLE(modal, {"guest a 100 100 200 200; focus a; at 110 110; press; down a", ">a a@10,10 a[1 a+a"},
      {"modal m 500 500 100 100", "a-a a]1 a< >m"},
      {"up a; release; at 120 120; press; release", ""}, {"focus a; down b; up b", "m+b m-b"},
      {"at 510 510", "m@10,10"}, {"down super; down tab; up tab; up super", ""},
      {"remove m; down b; up b", ">a a+b a-b"})

/* ---- frames
 * ----------------------------------------------------------------------------------------- */

/* a's frame: 98,76 to 302,302; its title from 78 to 100. */
TABLE(frames, {"guest a 100 100 200 200; focus a", ">a"},
      {"at 150 90; press; at 250 190; release", ""}, {"at 210 210", "a@10,10"}, /* moved by 100 */
      {"at 391 190; press; release", "a< xa"},                                  /* close */
      {"at 391 190; press; at 300 300; release", ""},                           /* not quite */
      {"at 369 190; press; release", ""},                                       /* maximize */
      {"at 5 60", "a@3,12"}, {"at 943 35; press; release", "a< >0"},            /* minimize */
      {"focus a; unmax a; at 210 210", ">a a@10,10"})

TABLE(double_click, {"guest a 100 100 200 200; focus a; at 150 90", ">a"},
      {"press; release; wait 100; press; release; at 5 60", "a@3,12"},
      {"at 500 35; press; release; wait 100; press; release; at 110 110", "a< a@10,10"},
      {"at 150 90; press; release; wait 500; press; release; at 110 110", "a< a@10,10"})

TABLE(resized, {"guest a 100 100 200 200; focus a", ">a"},
      {"at 301 150; press; at 351 150; release", ""}, {"at 345 150", "a@245,50"},
      {"at 99 150; press; at 149 150; release", "a<"}, {"at 155 150", "a@5,50"},
      {"down super; press2", ""}, {"at 145 140; release2; up super; at 145 145", "a< a@5,55"},
      {"down super; press; at 155 155; release; up super; at 156 156", "a< a@6,56"})

/* Let go at the screen's edges: half of it, all of it; pulled off it has its size again. */
TABLE(snapped, {"guest a 100 100 200 200; focus a", ">a"},
      {"at 150 90; press; at 0 400; release; at 5 60", "a@3,12"}, {"at 499 60", "a<"},
      {"at 100 35; press; at 999 400; release; at 505 60", "a@3,12"},
      {"at 700 35; press; at 500 24; release; at 5 60", "a< a@3,12"},
      {"at 500 35; press; at 500 400; at 500 401; release; at 500 500", "a< a@100,86"})

/* The strip stays when a window is full-screen; nothing else does. */
TABLE(fullscreen, {"guest a 100 100 200 200; focus a; full a", ">a"}, {"at 0 24", "a@0,0"},
      {"at 999 799", "a@999,775"}, {"at 500 23; press; release", "a<"},
      {"down super; down f; up f; up super; at 110 110", "a@10,10"})

/* ---- sizes
 * --------------------------------------------------------------------------------------------- */

START_TEST(sizes_and_tiles)
{
	static const struct row rows[] = {
		{"guest a 100 100 200 200", "a=200x200"},
		{"guest b 400 100 200 200", "b=200x200"},
		{"max a", "a=996x750"},
		{"max a", ""},
		{"focus a", "b=hidden >a"},
		{"unmax a", "b=200x200 a=200x200"},
		{"tiling", "b=496x750 a=496x750"},
		{"guest c 0 50 10 10", "b=496x362 c=496x362"},
		{"min c", "b=496x750 c=hidden"},
		{"unmin c", "b=496x362 c=496x362"},
		{"resize 500 400", "b=246x162 c=246x162 a=246x350"},
		{"remove c", "b=246x350"},
		{"remove b", "a=496x350"},
		{"floating", "a=200x200"},
		{"full a", "a=500x376"},
		{"min a", "a=hidden >0"},
	};
	struct rig r;

	begin(&r);
	r.sizes = true;
	run(&r, rows, COUNT(rows));
	hid_destroy(r.h);
}
END_TEST

/* 64 windows find their places: all reachable, none below the strip's edge, tiles do not overlap.
 */
START_TEST(sixty_four_windows)
{
	struct hid_window_setup s = {.width = 300, .height = 200};
	struct hid_window_info a, b;
	hid_id id[64];
	struct rig r;

	begin(&r);
	for (int i = 0; i < 64; i++) {
		id[i] = hid_add(r.h, &s, r.now);
		ck_assert(hid_info(r.h, id[i], &a));
		ck_assert_int_ge(a.frame.x, 0);
		ck_assert_int_ge(a.frame.y, 24);
		ck_assert_int_le(a.frame.x + a.frame.width, 1000);
		ck_assert_int_le(a.frame.y, 800 - 22);
	}
	ck_assert(hid_info(r.h, id[0], &a) && hid_info(r.h, id[1], &b));
	ck_assert(
		a.frame.x + a.frame.width <= b.frame.x || b.frame.x + b.frame.width <= a.frame.x ||
		a.frame.y + a.frame.height <= b.frame.y || b.frame.y + b.frame.height <= a.frame.y);
	hid_set_layout(r.h, HID_TILING);
	for (int i = 0; i < 64; i++) {
		ck_assert(hid_info(r.h, id[i], &a) && a.visible);
		for (int k = 0; k < i; k++) {
			ck_assert(hid_info(r.h, id[k], &b));
			ck_assert(a.frame.x + a.frame.width <= b.frame.x ||
				  b.frame.x + b.frame.width <= a.frame.x ||
				  a.frame.y + a.frame.height <= b.frame.y ||
				  b.frame.y + b.frame.height <= a.frame.y);
		}
	}
	hid_destroy(r.h);
}
END_TEST

/* A new window stays off the one in focus while there is room for both. */
START_TEST(places)
{
	struct hid_window_setup s = {.width = 400, .height = 300};
	struct hid_window_info a, b;
	struct rig r;

	begin(&r);
	hid_focus(r.h, hid_add(r.h, &s, r.now), r.now);
	ck_assert(hid_info(r.h, hid_focused(r.h), &a));
	s.width = 200;
	ck_assert(hid_info(r.h, hid_add(r.h, &s, r.now), &b));
	ck_assert(
		b.frame.x + b.frame.width <= a.frame.x || a.frame.x + a.frame.width <= b.frame.x ||
		b.frame.y + b.frame.height <= a.frame.y || a.frame.y + a.frame.height <= b.frame.y);
	for (unsigned i = 2; i < HID_WINDOWS_MAX; i++)
		ck_assert_uint_ne(hid_add(r.h, &s, r.now), 0);
	ck_assert_uint_eq(hid_add(r.h, &s, r.now), 0);
	hid_destroy(r.h);
}
END_TEST

/* ---- damage and frames
 * -------------------------------------------------------------------------------- */

static int64_t damaged(struct rig *r)
{
	struct hid_rect rects[HID_RECTS_MAX];
	unsigned n = hid_frame_begin(r->h, rects, r->now);
	int64_t area = 0;

	for (unsigned i = 0; i < n; i++)
		area += (int64_t)rects[i].width * rects[i].height;
	return area;
}

START_TEST(damage)
{
	struct hid_rect all = {0, 0, 200, 200}, out = {190, 190, 50, 50}, far = {-500, 0, 10, 10};
	struct rig r;

	begin(&r);
	ck_assert_int_eq(damaged(&r), 1000 * 800);
	do_event(&r, "guest a 100 100 200 200");
	ck_assert_int_eq(damaged(&r), 204 * 226);
	hid_damage(r.h, r.id['a'], &out);
	ck_assert_int_eq(damaged(&r), 100);
	hid_damage(r.h, r.id['a'], &far);
	ck_assert_uint_eq(hid_frame_due(r.h, r.now), UINT64_MAX);
	do_event(&r, "guest b 100 100 200 100");
	do_event(&r, "focus b");
	damaged(&r);
	hid_damage(r.h, r.id['a'], &all); /* the upper half is b's, and its border */
	ck_assert_int_eq(damaged(&r), 200 * 98);
	do_event(&r, "full b");
	damaged(&r);
	hid_damage(r.h, r.id['a'], &all);
	hid_damage_frame(r.h, r.id['a']);
	ck_assert_uint_eq(hid_frame_due(r.h, r.now), UINT64_MAX);
	hid_destroy(r.h);
}
END_TEST

/* What comes in between is one frame; nothing is due when nothing changed. */
START_TEST(frame_pacing)
{
	struct hid_rect dot = {1, 1, 1, 1};
	struct rig r;
	uint64_t due;

	begin(&r);
	do_event(&r, "guest a 100 100 200 200");
	ck_assert_uint_eq(hid_frame_due(r.h, r.now), r.now);
	damaged(&r);
	ck_assert_uint_eq(hid_frame_due(r.h, r.now + 1), UINT64_MAX);
	hid_damage(r.h, r.id['a'], &dot);
	due = hid_frame_due(r.h, r.now + 1);
	ck_assert_uint_eq(due, r.now + HID_FRAME_NS);
	ck_assert_uint_eq(hid_frame_due(r.h, due + 5), due + 5);
	r.now = due;
	ck_assert_int_eq(damaged(&r), 1);
	do_event(&r, "at 500 500"); /* the pointer's picture is the output's */
	do_event(&r, "down a");
	ck_assert_uint_eq(hid_frame_due(r.h, r.now), UINT64_MAX);
	hid_destroy(r.h);
}
END_TEST

/* ---- chords
 * -------------------------------------------------------------------------------------------- */

START_TEST(words_of_chords)
{
	static const char *const bad[] = {
		"",    "super+",  "+a",       "super",
		"a+b", "hyper+a", "super++a", "super+averyveryverylongname"};
	struct hid_chord all[HID_ACTIONS], c;
	char words[64];
	const char *why;

	hid_default_chords(all);
	for (unsigned i = 1; i < HID_ACTIONS; i++) {
		hid_chord_words(&all[i], words);
		ck_assert_msg(hid_parse_chord(words, &c, &why), "%s: %s", words, why);
		ck_assert(c.key == all[i].key && c.modifiers == all[i].modifiers);
		for (unsigned k = 1; k < i; k++)
			ck_assert(all[k].key != c.key || all[k].modifiers != c.modifiers);
	}
	ck_assert(hid_parse_chord("Super+Shift+Q", &c, &why));
	ck_assert(c.key == KEY_Q && c.modifiers == (HID_MOD_SUPER | HID_MOD_SHIFT));
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!hid_parse_chord(bad[i], &c, &why) && *why, "%s", bad[i]);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		keys_across_focus,
		new_windows,
		held_back,
		dies_with_keys,
		minimized,
		host_focus,
		chords,
		attention,
		next_window,
		pointer,
		drag_out,
		covered,
		touch,
		panels,
		modal,
		frames,
		double_click,
		resized,
		snapped,
		fullscreen,
		sizes_and_tiles,
		places,
		sixty_four_windows,
		damage,
		frame_pacing,
		words_of_chords,
	};
	Suite *s = suite_create("hidmux");
	TCase *tc = tcase_create("hidmux");

	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
