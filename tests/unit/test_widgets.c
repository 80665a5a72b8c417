/*
 * Widgets in a window that is not there: typing, selecting, focus, what is drawn again, and any
 * input at all.
 */
#include "fake_window.h"
#include "unit.h"

#include <check.h>
#include <exo/desktop.h>
#include <exo_widgets.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct exo_window w;
static struct exo_ui *ui;
static struct exo_button ok, cancel;
static struct exo_field field;
static struct exo_list list;
static struct exo_scroll slider;
static struct exo_status status;
static char text[16];
static unsigned presses, changes, entered, chosen, moved, ticks;

static void pressed(struct exo_button *b)
{
	presses += b == &ok ? 1 : 100;
}

static void changed(struct exo_field *f)
{
	changes++;
	ck_assert_uint_lt(strlen(f->text), f->size);
}

static void on_enter(struct exo_field *f)
{
	(void)f;
	entered++;
}

static void on_chosen(struct exo_list *l)
{
	(void)l;
	chosen++;
}

static void on_moved(struct exo_scroll *s)
{
	(void)s;
	moved++;
}

static void row(struct exo_list *l, unsigned index, char *out, size_t size)
{
	ck_assert_uint_lt(index, l->count);
	snprintf(out, size, "row %u", index);
}

static void tick(struct exo_ui *u, uint64_t now)
{
	(void)u;
	(void)now;
	ticks++;
}

static void layout(struct exo_ui *u, int width, int height)
{
	ck_assert_int_eq(width, (int)w.width);
	ck_assert_int_eq(height, (int)w.height);
	exo_widget_place(&ok.widget, 10, 10, 80, 30);
	exo_widget_place(&cancel.widget, 100, 10, 80, 30);
	exo_widget_place(&field.widget, 10, 50, 170, 30);
	exo_widget_place(&list.widget, 10, 90, 170, 100);
	exo_widget_place(&slider.widget, 10, 200, 170, 20);
	exo_widget_place(&status.widget, 0, height - exo_status_height(u), width,
			 exo_status_height(u));
}

static void setup(void)
{
	static const struct exo_ui_calls calls = {.layout = layout, .tick = tick};

	memset(&w, 0, sizeof(w));
	w.width = 200;
	w.height = 300;
	w.scale = 120;
	presses = changes = entered = chosen = moved = ticks = 0;
	text[0] = 0;
	ui = exo_ui_create(&w, &calls, &w);
	exo_button_init(&ok, "OK", pressed);
	exo_button_init(&cancel, "Cancel", pressed);
	exo_field_init(&field, text, sizeof(text));
	field.changed = changed;
	field.entered = on_enter;
	exo_list_init(&list, row);
	list.chosen = on_chosen;
	exo_slider_init(&slider, true, 100, 50, on_moved);
	exo_status_init(&status);
	exo_ui_add(ui, &ok.widget);
	exo_ui_add(ui, &cancel.widget);
	exo_ui_add(ui, &field.widget);
	exo_ui_add(ui, &list.widget);
	exo_ui_add(ui, &slider.widget);
	exo_ui_add(ui, &status.widget);
	exo_list_set(&list, 50, 0);
	exo_ui_draw(ui);
}

static void teardown(void)
{
	exo_ui_destroy(ui);
}

static void take(void)
{
	ck_assert_int_eq(exo_ui_dispatch(ui), 0);
	exo_ui_draw(ui);
}

static void key(uint16_t code, uint32_t modifiers, const char *typed)
{
	struct exo_event e = {.type = EXO_EVENT_KEY,
			      .key = {.code = code, .down = true, .modifiers = modifiers}};

	strcpy(e.key.text, typed);
	e.key.symbol = (unsigned char)typed[0];
	fake_window_push(&w, &e);
	take();
}

static void type(const char *what)
{
	while (*what) {
		const char *from = what;
		char one[8] = "";

		exo_utf8_next(&what);
		memcpy(one, from, (size_t)(what - from));
		key(KEY_A, 0, one);
	}
}

static void button(int x, int y, bool down, uint64_t time_ns)
{
	struct exo_event e = {.type = EXO_EVENT_BUTTON,
			      .time_ns = time_ns,
			      .button = {.x = x, .y = y, .code = BTN_LEFT, .down = down}};

	fake_window_push(&w, &e);
	take();
}

static void point(int x, int y)
{
	struct exo_event e = {.type = EXO_EVENT_POINTER, .pointer = {.x = x, .y = y}};

	fake_window_push(&w, &e);
	take();
}

static void click(int x, int y)
{
	static uint64_t time_ns;

	time_ns += 1000000000u;
	button(x, y, true, time_ns);
	button(x, y, false, time_ns);
}

START_TEST(buttons)
{
	click(50, 25);
	ck_assert_uint_eq(presses, 1);
	button(50, 25, true, 0); /* released beside it: it was not meant */
	point(150, 25);
	button(150, 25, false, 0);
	ck_assert_uint_eq(presses, 1);
	key(KEY_SPACE, 0, " ");
	key(KEY_TAB, 0, "");
	key(KEY_ENTER, 0, "");
	ck_assert_uint_eq(presses, 102);
	exo_widget_enable(&ok.widget, false);
	click(50, 25);
	ck_assert_uint_eq(presses, 102);
}
END_TEST

START_TEST(focus_goes_round)
{
	struct exo_widget *order[] = {&ok.widget, &cancel.widget, &field.widget, &list.widget,
				      &slider.widget};

	for (unsigned i = 0; i < 10; i++) {
		key(KEY_TAB, 0, "");
		ck_assert_ptr_eq(exo_ui_focused(ui), order[i % 5]);
	}
	key(KEY_TAB, EXO_MOD_SHIFT, "");
	ck_assert_ptr_eq(exo_ui_focused(ui), order[3]);
	exo_widget_show(order[2], false);
	key(KEY_TAB, EXO_MOD_SHIFT, "");
	ck_assert_ptr_eq(exo_ui_focused(ui), order[1]);
	exo_ui_remove(order[1]);
	ck_assert_ptr_null(exo_ui_focused(ui));
	key(KEY_TAB, EXO_MOD_SHIFT, "");
	ck_assert_ptr_eq(exo_ui_focused(ui), order[4]);
}
END_TEST

START_TEST(typing)
{
	exo_ui_focus(ui, &field.widget);
	type("aé€z");
	ck_assert_str_eq(text, "aé€z");
	key(KEY_LEFT, 0, "");
	key(KEY_BACKSPACE, 0, "");
	ck_assert_str_eq(text, "aéz");
	key(KEY_HOME, 0, "");
	key(KEY_DELETE, 0, "");
	ck_assert_str_eq(text, "éz");
	key(KEY_END, EXO_MOD_SHIFT, "");
	type("x");
	ck_assert_str_eq(text, "x");
	type("0123456789ABCDEFG"); /* as many as fit, whole */
	ck_assert_str_eq(text, "x0123456789ABCD");
	key(KEY_BACKSPACE, 0, "");
	type("€");
	ck_assert_str_eq(text, "x0123456789ABC");
	key(KEY_BACKSPACE, EXO_MOD_CTRL, "");
	ck_assert_str_eq(text, "");
	key(KEY_BACKSPACE, 0, "");
	key(KEY_DELETE, 0, "");
	key(KEY_LEFT, EXO_MOD_CTRL, "");
	key(KEY_ENTER, 0, "");
	ck_assert_uint_eq(entered, 1);
}
END_TEST

START_TEST(clipboard)
{
	struct exo_event copy = {.type = EXO_EVENT_COPY};
	struct exo_event paste = {
		.type = EXO_EVENT_PASTE,
		.paste = {.format = EXO_DESK_TEXT, .data = "a\nb\x80", .bytes = 4}};

	fake_window_push(&w, &copy);
	take();
	ck_assert_uint_eq(w.copied_format, EXO_DESK_NONE); /* nothing has the focus */
	exo_ui_focus(ui, &field.widget);
	type("word one");
	key(KEY_LEFT, EXO_MOD_SHIFT | EXO_MOD_CTRL, "");
	fake_window_push(&w, &copy);
	take();
	ck_assert_uint_eq(w.copied_format, EXO_DESK_TEXT);
	ck_assert_str_eq(w.copied, "one");
	fake_window_push(&w, &paste);
	take();
	ck_assert_str_eq(text, "word a b\xef\xbf\xbd");
	paste.paste.format = EXO_DESK_PNG;
	fake_window_push(&w, &paste);
	take();
	ck_assert_str_eq(text, "word a b\xef\xbf\xbd");
}
END_TEST

START_TEST(rows)
{
	click(40, 100);
	ck_assert_int_eq(list.selected, 0);
	ck_assert_int_eq(list.top, 0);
	key(KEY_END, 0, "");
	ck_assert_int_eq(list.selected, 49);
	ck_assert_int_gt(list.top, 0);
	key(KEY_DOWN, 0, "");
	ck_assert_int_eq(list.selected, 49);
	key(KEY_ENTER, 0, "");
	ck_assert_uint_eq(chosen, 1);
	exo_list_set(&list, 3, list.selected);
	take();
	ck_assert_int_eq(list.selected, 2);
	ck_assert_int_eq(list.top, 0);
	exo_list_set(&list, 0, 0);
	key(KEY_UP, 0, "");
	key(KEY_ENTER, 0, "");
	ck_assert_int_eq(list.selected, -1);
	ck_assert_uint_eq(chosen, 1);
	exo_list_set(&list, UINT32_MAX, 5);
	key(KEY_END, 0, "");
	take();
}
END_TEST

START_TEST(sliders)
{
	exo_ui_focus(ui, &slider.widget);
	key(KEY_RIGHT, 0, "");
	ck_assert_int_eq(slider.position, 60);
	key(KEY_END, 0, "");
	key(KEY_UP, 0, "");
	ck_assert_int_eq(slider.position, 100);
	button(10, 210, true, 0);
	ck_assert_int_eq(slider.position, 0);
	point(-5000, 210);
	point(95, 900);
	ck_assert_int_eq(slider.position, 50);
	button(95, 210, false, 0);
	point(150, 210);
	ck_assert_int_eq(slider.position, 50);
	exo_scroll_set(&slider, 0, 0, 10);
	ck_assert_int_eq(slider.position, 0);
	click(100, 210);
}
END_TEST

START_TEST(only_what_changed_is_drawn)
{
	unsigned frames = w.frames;

	exo_ui_draw(ui);
	exo_ui_draw(ui);
	ck_assert_uint_eq(w.frames, frames);
	exo_widget_changed(&ok.widget);
	w.busy = true;
	exo_ui_draw(ui);
	ck_assert_uint_eq(w.frames, frames);
	w.busy = false;
	exo_ui_draw(ui);
	ck_assert_uint_eq(w.frames, frames + 1);
	ck_assert(w.x0 == 10 && w.y0 == 10 && w.x1 == 90 && w.y1 == 40);
	exo_status_set(&status, "", "");
	exo_ui_draw(ui);
	ck_assert_uint_eq(w.frames, frames + 1); /* it says what it said */
	exo_widget_changed_part(&field.widget, -5, -5, 10, 10);
	exo_widget_changed_part(&field.widget, 400, 0, 10, 10);
	exo_ui_draw(ui);
	ck_assert(w.x0 == 10 && w.y0 == 50 && w.x1 == 15 && w.y1 == 55);
	/* Theme and scale: everything. */
	w.dark = true;
	w.scale = 240;
	fake_window_push(&w, &(struct exo_event){.type = EXO_EVENT_SETTINGS});
	take();
	ck_assert(w.x0 == 0 && w.y0 == 0 && w.x1 == 200 && w.y1 == 300);
	ck_assert(exo_ui_theme(ui)->dark);
	ck_assert_int_eq(exo_px(ui, 7), 14);
	exo_ui_wake_at(ui, 1);
	ck_assert_int_eq(exo_ui_timeout_ms(ui), 0);
	take();
	ck_assert_uint_eq(ticks, 1);
	ck_assert_int_eq(exo_ui_timeout_ms(ui), -1);
}
END_TEST

/* Any events, any size: nothing outside the widgets' memory, no assertion of theirs. */
START_TEST(any_input)
{
	static const uint16_t codes[] = {KEY_TAB,      KEY_UP,    KEY_DOWN,  KEY_LEFT,
					 KEY_RIGHT,    KEY_HOME,  KEY_END,   KEY_PAGEUP,
					 KEY_PAGEDOWN, KEY_ENTER, KEY_SPACE, KEY_BACKSPACE,
					 KEY_DELETE,   KEY_A,     KEY_ESC,   KEY_Q};
	uint32_t x = 5;

	for (unsigned i = 0; i < 30000; i++) {
		struct exo_event e = {.time_ns = i * 100000000ull};
		int px, py;

		x = x * 1664525 + 1013904223;
		px = (int)(x >> 8 & 255) - 20;
		py = (int)(x >> 16 & 511) - 100;
		switch (x >> 27) {
		case 0:
			w.width = 1 + (x >> 4) % 300;
			w.height = 1 + (x >> 12) % 300;
			e.type = EXO_EVENT_RESIZE;
			break;
		case 1:
			e.type = EXO_EVENT_WHEEL;
			e.wheel.x = px;
			e.wheel.y = py;
			e.wheel.dy = (int)(x & 0xffff) - 0x8000;
			break;
		case 2:
			e.type = EXO_EVENT_TOUCH;
			e.touch.phase = (int)(x % 3);
			e.touch.x = px;
			e.touch.y = py;
			break;
		case 3 ... 9:
			e.type = EXO_EVENT_BUTTON;
			e.button.x = px;
			e.button.y = py;
			e.button.code = BTN_LEFT + (x >> 25 & 1);
			e.button.down = x >> 26 & 1;
			break;
		case 10 ... 15:
			e.type = EXO_EVENT_POINTER;
			e.pointer.x = px;
			e.pointer.y = py;
			break;
		default:
			e.type = EXO_EVENT_KEY;
			e.key.code = codes[x >> 10 & 15];
			e.key.down = x & 64;
			e.key.modifiers = x >> 20 & 3;
			if (e.key.code >= KEY_Q && e.key.code <= KEY_A)
				strcpy(e.key.text, x & 1 ? "é" : "q");
		}
		fake_window_push(&w, &e);
		take();
		if (field.cursor > strlen(text) || field.anchor > strlen(text) ||
		    slider.position < 0 || slider.position > 100 || list.selected > 49)
			ck_abort_msg("event %u", i);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("widgets");
	TCase *tc = tcase_create("widgets");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, buttons);
	tcase_add_test(tc, focus_goes_round);
	tcase_add_test(tc, typing);
	tcase_add_test(tc, clipboard);
	tcase_add_test(tc, rows);
	tcase_add_test(tc, sliders);
	tcase_add_test(tc, only_what_changed_is_drawn);
	tcase_add_test(tc, any_input);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
