/*
 * From windows to pixels, with hidmux as it is and guests whose pictures are here. The whole screen
 * drawn at once is what any of its parts, drawn alone, must be equal to.
 */
#include "desktop.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 400
#define HEIGHT 300
#define POISON 0x12345678u
#define RGB 0xffffffu

static struct desktop d;
static struct dguest guest[2];
static struct canvas picture[2];
static uint32_t format[2];
static hid_id id[2];
static uint32_t pixels[WIDTH * HEIGHT], other[WIDTH * HEIGHT];
static const struct canvas screen = {pixels, WIDTH, HEIGHT, WIDTH};
static const struct canvas second = {other, WIDTH, HEIGHT, WIDTH};
static const struct hid_rect all = {0, 0, WIDTH, HEIGHT};

/* ---- stand-ins ----------------------------------------------------------------------- */

struct dguest *guests_of_window(struct desktop *desktop, hid_id window, unsigned *scanout)
{
	*scanout = 0;
	return window && window == id[0] ? &guest[0] : window && window == id[1] ? &guest[1] : NULL;
}

struct panel *panel_of_window(struct desktop *desktop, hid_id window)
{
	return NULL;
}

bool screen_picture(struct screen *s, unsigned scanout, struct canvas *c, uint32_t *f)
{
	unsigned i = (uintptr_t)s == 2;

	*c = picture[i];
	*f = format[i];
	return c->pixels != NULL;
}

const char *clip_words(const struct desktop *desktop)
{
	return NULL;
}

unsigned notices_unseen(const struct desktop *desktop)
{
	return 0;
}

bool audio_captures(const struct dguest *g)
{
	return false;
}

bool shot_casting(const struct desktop *desktop)
{
	return false;
}

static void on_key(void *o, hid_id to, uint16_t code, bool down, uint64_t t) {}
static void on_place(void *o, hid_id to, int x, int y, uint64_t t) {}
static void on_touch(void *o, hid_id to, unsigned slot, unsigned phase, int x, int y, uint64_t t) {}
static void on_window(void *o, hid_id from) {}
static void on_configure(void *o, hid_id w, int width, int height, bool visible) {}
static void on_focus(void *o, hid_id from, hid_id to, bool asked) {}
static void on_action(void *o, enum hid_action action, hid_id focused) {}

static const struct hid_ops ops = {
	.key = on_key,
	.pointer = on_place,
	.button = on_key,
	.wheel = on_place,
	.touch = on_touch,
	.leave = on_window,
	.configure = on_configure,
	.focus = on_focus,
	.action = on_action,
	.close = on_window,
};

/* ---- the scene ------------------------------------------------------------------------- */

static void paint_picture(unsigned i, int width, int height, uint32_t colour)
{
	free(picture[i].pixels);
	picture[i] = (struct canvas){malloc(sizeof(uint32_t) * (size_t)(width * height)), width,
				     height, width};
	for (int n = 0; n < width * height; n++)
		picture[i].pixels[n] = colour;
}

static void open_window(unsigned i, int x, int y, int width, int height, uint32_t colour)
{
	const struct hid_window_setup setup = {
		.width = width, .height = height, .anchored = true, .x = x, .y = y};

	paint_picture(i, width, height, colour);
	format[i] = EXO_DPY_FORMAT_XRGB;
	guest[i].screen = (struct screen *)(uintptr_t)(i + 1);
	id[i] = hid_add(d.hid, &setup, 1);
	ck_assert_uint_ne(id[i], 0);
}

static void setup(void)
{
	const struct hid_config config = {
		.width = WIDTH, .height = HEIGHT, .scale = EXO_DPY_SCALE_ONE};

	memset(&d, 0, sizeof(d));
	memset(guest, 0, sizeof(guest));
	d.width = WIDTH;
	d.height = HEIGHT;
	d.scale = EXO_DPY_SCALE_ONE;
	theme_set(&d.theme, true);
	d.hid = hid_create(&config, &ops, &d);
	strcpy(guest[0].name, "lower");
	strcpy(guest[0].label, "work");
	guest[0].colour = 0x2060c0;
	strcpy(guest[1].name, "upper");
	strcpy(guest[1].label, "bank");
	guest[1].colour = 0x20a040;
	open_window(0, 30, 70, 200, 150, 0xff0000);
	open_window(1, 130, 120, 200, 150, 0x0000ff);
	hid_focus(d.hid, id[1], 2);
	compose_strip_tick(&d, 2);
}

static void teardown(void)
{
	compose_close(&d);
	hid_destroy(d.hid);
	text_close();
	for (unsigned i = 0; i < 2; i++) {
		free(picture[i].pixels);
		picture[i].pixels = NULL;
		id[i] = 0;
	}
}

static void poison(const struct canvas *c)
{
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		c->pixels[i] = POISON;
}

static void draw(void)
{
	poison(&screen);
	compose(&d, &screen, &all, 1);
}

static uint32_t at(int x, int y)
{
	ck_assert_uint_ne(pixels[y * WIDTH + x], POISON);
	return pixels[y * WIDTH + x] & RGB;
}

static struct hid_window_info info_of(unsigned i)
{
	struct hid_window_info info;

	ck_assert(hid_info(d.hid, id[i], &info));
	return info;
}

/* ---- tests -------------------------------------------------------------------------------- */

START_TEST(windows_lie_on_each_other)
{
	struct hid_window_info low, high;

	draw();
	low = info_of(0);
	high = info_of(1);
	ck_assert_uint_eq(at(low.content.x, low.content.y), 0xff0000);
	ck_assert_uint_eq(at(high.content.x, high.content.y), 0x0000ff);
	ck_assert_uint_eq(at(high.content.x + 199, high.content.y + 149), 0x0000ff);
	ck_assert_uint_eq(at(high.frame.x - 1, high.frame.y + 20), 0xff0000); /* beside it */
	hid_focus(d.hid, id[0], 3);
	draw();
	ck_assert_uint_eq(at(high.content.x + 5, high.content.y + 5), 0xff0000);
}
END_TEST

START_TEST(every_pixel_is_drawn)
{
	draw();
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		ck_assert_uint_ne(pixels[i], POISON);
}
END_TEST

/* The focused one's frame has its guest's colour; the others' are dimmer. */
START_TEST(frames_have_the_colour)
{
	struct hid_window_info high = info_of(1), low = info_of(0);
	int x = high.frame.x + high.frame.width / 2, y = high.frame.y + 5;

	draw();
	ck_assert_uint_eq(at(x, y), 0x20a040);
	ck_assert_uint_eq(at(high.content.x - 1, high.content.y + 50), 0x20a040);
	ck_assert_uint_ne(at(low.frame.x + 60, low.frame.y + 4), 0x2060c0);
	hid_focus(d.hid, id[0], 3);
	draw();
	ck_assert_uint_eq(at(low.frame.x + 150, low.frame.y + 4), 0x2060c0);
	ck_assert_uint_ne(at(x, y), 0x20a040);
}
END_TEST

START_TEST(only_what_was_asked)
{
	const struct hid_rect part[2] = {{100, 100, 60, 40}, {300, 0, 20, 20}};

	poison(&screen);
	compose(&d, &screen, part, 2);
	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 0; x < WIDTH; x++) {
			bool in = (x >= 100 && x < 160 && y >= 100 && y < 140) ||
				  (x >= 300 && x < 320 && y < 20);

			ck_assert((pixels[y * WIDTH + x] != POISON) == in);
		}
	}
}
END_TEST

/* Titles, buttons, the background's pattern, scaled pictures: the same, in whatever parts. */
START_TEST(parts_are_like_the_whole)
{
	struct hid_rect r;

	paint_picture(0, 77, 91, 0x808080);
	for (int i = 0; i < 77 * 91; i++)
		picture[0].pixels[i] = (uint32_t)i * 2654435761u;
	strcpy(guest[0].title[0], "a title — that is rather long, and claims a lot");
	guest[1].paused = true;
	format[1] = EXO_DPY_FORMAT_XBGR;
	draw();
	poison(&second);
	srand(1);
	for (unsigned i = 0; i < 400; i++) {
		r = (struct hid_rect){rand() % WIDTH, rand() % HEIGHT, rand() % 60 + 1,
				      rand() % 60 + 1};
		compose(&d, &second, &r, 1);
		for (int y = r.y; y < r.y + r.height && y < HEIGHT; y++) {
			for (int x = r.x; x < r.x + r.width && x < WIDTH; x++)
				ck_assert_msg(
					((pixels[y * WIDTH + x] ^ other[y * WIDTH + x]) & RGB) == 0,
					"at %d, %d of %d, %d, %d x %d", x, y, r.x, r.y, r.width,
					r.height);
		}
	}
}
END_TEST

START_TEST(other_formats_and_sizes)
{
	struct hid_window_info high = info_of(1);

	paint_picture(1, 200, 150, 0x112233);
	format[1] = EXO_DPY_FORMAT_XBGR;
	draw();
	ck_assert_uint_eq(at(high.content.x + 10, high.content.y + 10), 0x332211);
	/* Twice as large: each pixel is four. */
	paint_picture(1, 100, 75, 0);
	format[1] = EXO_DPY_FORMAT_XRGB;
	picture[1].pixels[10 * 100 + 10] = 0xabcdef;
	draw();
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(at(high.content.x + 20 + i % 2, high.content.y + 20 + i / 2),
				  0xabcdef);
	ck_assert_uint_eq(at(high.content.x + 22, high.content.y + 20), 0);
	/* Smoothed: what is one colour stays it, to the edges. */
	paint_picture(1, 133, 71, 0x405060);
	draw();
	ck_assert_uint_eq(at(high.content.x, high.content.y), 0x405060);
	ck_assert_uint_eq(at(high.content.x + 199, high.content.y + 149), 0x405060);
	/* One pixel. */
	paint_picture(1, 1, 1, 0x070809);
	draw();
	ck_assert_uint_eq(at(high.content.x + 150, high.content.y + 100), 0x070809);
}
END_TEST

START_TEST(the_strip_is_ours)
{
	struct hid_rect strip = hid_strip(d.hid);
	uint32_t before[WIDTH];

	draw();
	memcpy(before, pixels + (size_t)(strip.height - 1) * WIDTH, sizeof(before));
	hid_set_fullscreen(d.hid, id[1], true, 3);
	paint_picture(1, info_of(1).content.width, info_of(1).content.height, 0xfedcba);
	draw();
	ck_assert_int_eq(
		memcmp(before, pixels + (size_t)(strip.height - 1) * WIDTH, sizeof(before)), 0);
	ck_assert_uint_eq(at(0, strip.height), 0xfedcba);
	ck_assert_uint_eq(at(WIDTH - 1, HEIGHT - 1), 0xfedcba);
	/* It names who has the keyboard, in its colour. */
	ck_assert_uint_eq(at(2, strip.height / 2), 0x20a040);
}
END_TEST

START_TEST(minimized_and_empty)
{
	struct hid_window_info low = info_of(0);

	hid_set_minimized(d.hid, id[1], true, 3);
	free(picture[0].pixels);
	picture[0].pixels = NULL;
	draw();
	ck_assert_uint_eq(at(low.content.x + 5, low.content.y + 5), d.theme.panel & RGB);
	for (int i = 0; i < WIDTH * HEIGHT; i++)
		ck_assert_uint_ne(pixels[i] & RGB, 0x0000ff);
}
END_TEST

/* What a guest says of itself comes after what the shell says, and changes none of it. */
START_TEST(titles_are_set_apart)
{
	struct hid_window_info high = info_of(1);
	int name = paint_text_width(FACE_BOLD, 13, "bank  upper", -1), differ = WIDTH;

	draw();
	memcpy(other, pixels, sizeof(pixels));
	strcpy(guest[1].title[0], "work  lower \xe2\x80\xae\xff");
	draw();
	for (int y = high.frame.y; y < high.content.y; y++) {
		for (int x = high.frame.x; x < high.frame.x + high.frame.width; x++) {
			if (pixels[y * WIDTH + x] != other[y * WIDTH + x] && x < differ)
				differ = x;
		}
	}
	ck_assert_int_lt(differ, WIDTH);
	ck_assert_int_gt(differ, high.content.x + name);
}
END_TEST

/* ---- paint and text ------------------------------------------------------------------------- */

START_TEST(drawing_is_cut_off)
{
	static uint32_t guarded[3 * 64];
	const struct canvas c = {guarded + 64, 8, 8, 8};

	for (unsigned i = 0; i < 3 * 64; i++)
		guarded[i] = POISON;
	paint_rect(&c, -100, -100, 1000, 1000, 0xff000001u);
	paint_round(&c, -5, -5, 30, 30, 9, 0x80000040u);
	paint_frame(&c, -2, -2, 12, 12, 3, 0xff000002u);
	paint_line(&c, -50, -60, 70, 80, 5, 0xff000003u);
	paint_line(&c, -50, 4, 70, 4, 40, 0xff000003u);
	paint_text(&c, FACE_BOLD, 200, -60, 100, "WWW\xf0\x9f\x92\xa9\x80", -1, 0xffffffffu);
	paint_text_within(&c, FACE_SANS, 13, 2, 6, 30, "something long", 0xffffffffu);
	for (unsigned i = 0; i < 64; i++) {
		ck_assert_uint_eq(guarded[i], POISON);
		ck_assert_uint_eq(guarded[128 + i], POISON);
	}
}
END_TEST

START_TEST(text_is_measured)
{
	int width = paint_text_width(FACE_SANS, 13, "Exoshell", -1);

	ck_assert_int_gt(width, 30);
	ck_assert_int_eq(paint_text_width(FACE_SANS, 13, "Exoshell and", 8), width);
	ck_assert_int_eq(paint_text_width(FACE_MONO, 20, "iiii", -1),
			 paint_text_width(FACE_MONO, 20, "WWWW", -1));
	ck_assert_int_le(paint_text_within(&screen, FACE_SANS, 13, 0, 20, 100,
					   "much more than there is room for", 0xffffffffu),
			 101);
	ck_assert_int_gt(paint_text_height(FACE_SANS, 13), paint_text_ascent(FACE_SANS, 13));
	/* More characters and sizes than are kept. */
	for (int size = 8; size < 120; size++)
		ck_assert_int_gt(paint_text_width(FACE_SANS, size,
						  "abcdefghijklmnopqrstuvwxyzäöüßABCDEFGHIJKLMN",
						  -1),
				 0);
	ck_assert_int_eq(paint_text_width(FACE_SANS, 13, "Exoshell", -1), width);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("compose");
	TCase *t = tcase_create("compose");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, windows_lie_on_each_other);
	tcase_add_test(t, every_pixel_is_drawn);
	tcase_add_test(t, frames_have_the_colour);
	tcase_add_test(t, only_what_was_asked);
	tcase_add_test(t, parts_are_like_the_whole);
	tcase_add_test(t, other_formats_and_sizes);
	tcase_add_test(t, the_strip_is_ours);
	tcase_add_test(t, minimized_and_empty);
	tcase_add_test(t, titles_are_set_apart);
	tcase_add_test(t, drawing_is_cut_off);
	tcase_add_test(t, text_is_measured);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return unit_run(suite());
}
