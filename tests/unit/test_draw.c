/*
 * The programs' drawing library: nothing outside a surface is ever touched, whatever the
 * coordinates; what is inside is what a slow and simple reference draws.
 */
#include "draw_impl.h"
#include "unit.h"

#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define W 61 /* odd: the ends of rows are not at whole vectors */
#define H 37
#define PAD 8
#define STRIDE (W + 2 * PAD)
#define CELLS (STRIDE * (H + 2 * PAD))
#define GUARD 0xdeadbeefu

static uint32_t cells[CELLS], expected[CELLS];
static struct exo_surface s = {cells + PAD * STRIDE + PAD, W, H, STRIDE};

static const int extremes[] = {INT_MIN, INT_MIN + 1, -(1 << 24), -W,      -1,          0,      1,
			       W - 1,   W,           64,         1 << 24, INT_MAX - 1, INT_MAX};
#define EXTREMES (sizeof(extremes) / sizeof(extremes[0]))

static uint32_t seed = 7;

static uint32_t rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Mostly near the surface, at times absurd. */
static int coordinate(void)
{
	return rnd() % 8 ? (int)(rnd() % 130) - 35 : extremes[rnd() % EXTREMES];
}

static bool inside(int i)
{
	int x = i % STRIDE - PAD, y = i / STRIDE - PAD;

	return x >= 0 && x < W && y >= 0 && y < H;
}

static void fresh(uint32_t colour)
{
	for (int i = 0; i < CELLS; i++)
		cells[i] = inside(i) ? colour : GUARD;
}

/* Pixels that are not right; counted, as a ck_assert for each takes too long. */
static unsigned wrong;

static void pixel(bool right)
{
	wrong += !right;
}

static void check_guard(void)
{
	for (int i = 0; i < CELLS; i++)
		pixel(inside(i) || cells[i] == GUARD);
	ck_assert_uint_eq(wrong, 0);
}

static uint32_t at(int x, int y)
{
	return s.pixels[y * STRIDE + x];
}

/* One channel of a colour that is not premultiplied, over another: exactly. */
static int channel(uint32_t colour, uint32_t below, int shift)
{
	int a = (int)(colour >> 24), c = shift == 24 ? 255 : (int)(colour >> shift & 255);
	int b = (int)(below >> shift & 255);

	return (c * a + b * (255 - a) + 127) / 255;
}

static bool close_to(uint32_t got, uint32_t colour, uint32_t below)
{
	for (int shift = 0; shift < 32; shift += 8)
		if (abs((int)(got >> shift & 255) - channel(colour, below, shift)) > 1)
			return false;
	return true;
}

START_TEST(rectangles_are_what_they_should_be)
{
	for (int i = 0; i < 4000; i++) {
		int x = coordinate(), y = coordinate(), w = coordinate(), h = coordinate();
		uint32_t colour = rnd() << 12 ^ rnd(), below = 0xff203040;

		if (i % 3 == 0)
			colour |= 0xff000000;
		fresh(below);
		exo_fill_rect(&s, x, y, w, h, colour);
		check_guard();
		for (int py = 0; py < H; py++) {
			for (int px = 0; px < W; px++) {
				bool in = px >= x && (int64_t)px < (int64_t)x + w && py >= y &&
					  (int64_t)py < (int64_t)y + h;

				pixel(in ? close_to(at(px, py), colour, below)
					 : at(px, py) == below);
			}
		}
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(pixel_arithmetic_is_exact)
{
	for (uint32_t a = 0; a < 256; a++)
		for (uint32_t v = 0; v < 256; v++)
			pixel(draw_times(v * 0x01010101, a) == ((v * a + 127) / 255) * 0x01010101);
	ck_assert_uint_eq(wrong, 0);
	/* What is not premultiplied saturates; no channel leaks into the next. */
	ck_assert_uint_eq(draw_over(0x00ffffff, 0xff808080), 0xffffffff);
	ck_assert_uint_eq(draw_over(0x00ff0000, 0xff800000), 0xffff0000);
	/* Rows of any length and place: the vectors and the ends agree. */
	for (uint32_t alpha = 1; alpha < 256; alpha += 13) {
		fresh(0x80123456);
		exo_fill_rect(&s, 1, 0, 41, 1, alpha << 24 | 0x99aabb);
		for (int x = 2; x < 42; x++)
			ck_assert_uint_eq(at(x, 0), at(1, 0));
		ck_assert_uint_eq(at(42, 0), 0x80123456);
	}
}
END_TEST

START_TEST(shapes_stay_inside)
{
	for (int i = 0; i < 30000; i++) {
		int x = coordinate(), y = coordinate(), w = coordinate(), h = coordinate();
		int r = coordinate();
		uint32_t colour = rnd() << 12 ^ rnd();

		if (i % 50 == 0)
			fresh(0xff000000);
		switch (i % 5) {
		case 0:
			exo_rect(&s, x, y, w, h, r, colour);
			break;
		case 1:
			exo_round_rect(&s, x, y, w, h, r, colour);
			break;
		case 2:
			exo_line(&s, x * 16u, y * 16u, w * 16u, h * 16u, r, colour);
			break;
		case 3:
			exo_circle(&s, x, y, r, colour);
			break;
		default: {
			struct exo_surface part = exo_surface_part(&s, x, y, w, h);

			ck_assert_uint_le(part.width, W);
			ck_assert_uint_le(part.height, H);
			exo_fill(&part, colour);
		}
		}
		if (i % 50 == 49)
			check_guard();
	}
}
END_TEST

START_TEST(extremes_everywhere)
{
	struct exo_font *f = exo_font_open(EXO_SANS, 12);
	struct exo_surface small = {expected, 9, 9, 9};

	fresh(0xff000000);
	for (unsigned i = 0; i < EXTREMES; i++) {
		for (unsigned j = 0; j < EXTREMES; j++) {
			int a = extremes[i], b = extremes[j];

			exo_line(&s, a, b, b, a, a, 0xffffffff);
			exo_line(&s, 0, 0, a, b, 100, 0x80ffffff);
			exo_circle(&s, a, b, a, 0x80ffffff);
			exo_circle(&s, 100, 100, a, 0x80ffffff);
			exo_round_rect(&s, a, b, b, a, b, 0x80ffffff);
			exo_round_rect(&s, a, a, INT_MAX, INT_MAX, b, 0x80ffffff);
			exo_rect(&s, a, b, b, a, a, 0x80ffffff);
			exo_copy(&s, a, b, &small);
			exo_blend(&s, a, b, &small);
			exo_scale(&s, a, b, b, a, &small);
			exo_scale(&s, -5, -5, a, b, &small);
			exo_text(&s, f, a, b, "extreme", -1, 0xffffffff);
		}
	}
	check_guard();
	exo_font_close(f);
}
END_TEST

START_TEST(shapes_look_right)
{
	unsigned sum = 0;

	fresh(0);
	exo_circle(&s, 20 * 16, 18 * 16, 10 * 16, 0xffffffff);
	for (int y = 0; y < H; y++) {
		for (int x = 0; x < 40; x++) {
			sum += at(x, y) >> 24;
			ck_assert_uint_eq(at(x, y), at(39 - x, y)); /* mirrored */
			ck_assert_uint_eq(at(x, y), y < H - 1 ? at(x, 35 - y) : 0);
		}
	}
	/* Its area, to half a percent. */
	ck_assert_uint_ge(sum / 255, 312);
	ck_assert_uint_le(sum / 255, 316);
	ck_assert_uint_eq(at(20, 18), 0xffffffff);

	fresh(0); /* a whole row of pixels */
	exo_line(&s, 5 * 16, 10 * 16 + 8, 30 * 16, 10 * 16 + 8, 16, 0xff00ff00);
	for (int x = 5; x < 30; x++) {
		ck_assert_uint_eq(at(x, 10), 0xff00ff00);
		ck_assert_uint_eq(at(x, 9) | at(x, 11), 0);
	}
	fresh(0);
	exo_line(&s, 0, 0, W * 16, H * 16, 40, 0xffffffff);
	for (int x = 0; x < W; x++)
		ck_assert_uint_eq(at(x, x * H / W), 0xffffffff);
	fresh(0);
	exo_round_rect(&s, 5, 5, 20, 20, 6, 0xffffffff);
	ck_assert_uint_eq(at(5, 5) >> 24, 0);
	ck_assert_uint_eq(at(5, 15), 0xffffffff);
	ck_assert_uint_eq(at(15, 5), 0xffffffff);
	ck_assert_uint_eq(at(24, 24) >> 24, 0);
	ck_assert_uint_eq(at(25, 15), 0);
}
END_TEST

START_TEST(copies_may_overlap)
{
	for (int i = 0; i < 600; i++) {
		int dx = (int)(rnd() % 41) - 20, dy = (int)(rnd() % 41) - 20;

		for (int c = 0; c < CELLS; c++)
			cells[c] = inside(c) ? (uint32_t)c : GUARD;
		memcpy(expected, cells, sizeof(cells));
		exo_copy(&s, dx, dy, &s);
		check_guard();
		for (int y = 0; y < H; y++) {
			for (int x = 0; x < W; x++) {
				int sx = x - dx, sy = y - dy;
				bool moved = sx >= 0 && sx < W && sy >= 0 && sy < H;
				int from = moved ? sy * STRIDE + sx : y * STRIDE + x;

				ck_assert_uint_eq(at(x, y), expected[PAD * STRIDE + PAD + from]);
			}
		}
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(blending_is_over)
{
	uint32_t from[W];
	struct exo_surface row = {from, W, 1, W};

	for (int i = 0; i < 300; i++) {
		for (int x = 0; x < W; x++)
			from[x] = draw_premultiply(rnd() << 12 ^ rnd());
		fresh(0xff336699);
		exo_blend(&s, i % 7, 3, &row);
		check_guard();
		for (int x = i % 7; x < W; x++)
			ck_assert_uint_eq(at(x, 3), draw_over(from[x - i % 7], 0xff336699));
	}
}
END_TEST

START_TEST(scaling)
{
	static uint32_t big[200 * 150];
	struct exo_surface from = {big, 200, 150, 200}, one = {big, 1, 1, 1};

	/* One colour stays that colour, at any size and place. */
	for (int i = 0; i < 200 * 150; i++)
		big[i] = 0xfff1a702;
	for (int i = 0; i < 300; i++) {
		int w = i % 2 ? (int)(rnd() % 90) + 1 : (int)(rnd() % 2000) + 1;
		int h = i % 3 ? (int)(rnd() % 90) + 1 : (int)(rnd() % 2000) + 1;

		fresh(0);
		exo_scale(&s, (int)(rnd() % 40) - 20, (int)(rnd() % 40) - 20, w, h, &from);
		check_guard();
		for (int y = 0; y < H; y++)
			for (int x = 0; x < W; x++)
				pixel(at(x, y) == 0 || at(x, y) == 0xfff1a702);
		ck_assert_uint_eq(wrong, 0);
	}
	fresh(0);
	exo_scale(&s, 0, 0, W, H, &one);
	ck_assert_uint_eq(at(W - 1, H - 1), 0xfff1a702);
	/* A fine pattern becomes its mean, a step becomes a slope. */
	for (int i = 0; i < 200 * 150; i++)
		big[i] = (i % 200 + i / 200) % 2 ? 0xffffffff : 0xff000000;
	fresh(0);
	exo_scale(&s, 0, 0, 50, 30, &from);
	for (int x = 0; x < 50; x++)
		ck_assert(close_to(at(x, x % 30), 0xff808080, 0));
	big[0] = 0xff000000;
	big[1] = 0xffffffff;
	exo_scale(&s, 0, 0, 60, 1, &(struct exo_surface){big, 2, 1, 2});
	for (int x = 1; x < 60; x++)
		ck_assert_uint_ge(at(x, 0) & 255, at(x - 1, 0) & 255);
	ck_assert_uint_eq(at(0, 0), 0xff000000);
	ck_assert_uint_eq(at(59, 0), 0xffffffff);
	exo_scale(&s, 0, 0, 10, 10, &(struct exo_surface){0});
}
END_TEST

START_TEST(utf8_is_strict)
{
	static const struct {
		const char *text;
		uint32_t first;
		unsigned bytes;
	} cases[] = {
		{"A", 'A', 1},
		{"\xc3\xa9", 0xe9, 2},
		{"\xe2\x82\xac", 0x20ac, 3},
		{"\xf0\x9f\x98\x80", 0x1f600, 4},
		{"\xf4\x8f\xbf\xbf", 0x10ffff, 4},
		{"\x80", 0xfffd, 1},
		{"\xc0\x80", 0xfffd, 1},     /* overlong */
		{"\xe0\x80\x80", 0xfffd, 1}, /* overlong */
		{"\xf0\x80\x80\x80", 0xfffd, 1},
		{"\xed\xa0\x80", 0xfffd, 1}, /* a surrogate */
		{"\xf4\x90\x80\x80", 0xfffd, 1},
		{"\xff", 0xfffd, 1},
		{"\xe2\x82", 0xfffd, 1}, /* cut off */
		{"\xf0", 0xfffd, 1},
		{"\xc3(", 0xfffd, 1},
	};
	char out[8];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *p = cases[i].text;

		ck_assert_uint_eq(exo_utf8_next(&p), cases[i].first);
		ck_assert_int_eq(p - cases[i].text, cases[i].bytes);
	}
	for (uint32_t c = 1; c < 0x110000; c++) {
		const char *p = out;
		int n = exo_utf8_put(c, out);

		pixel(exo_utf8_next(&p) == (c >= 0xd800 && c < 0xe000 ? 0xfffd : c));
		pixel(p - out == n);
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_int_eq(exo_utf8_put(UINT32_MAX, out), 3);
	out[0] = 0;
	ck_assert_uint_eq(exo_utf8_next(&(const char *){out}), 0);
}
END_TEST

START_TEST(text_is_measured_as_it_is_drawn)
{
	static const enum exo_face faces[] = {EXO_SANS, EXO_BOLD, EXO_MONO};
	static const char *const texts[] = {"Hello", "Grüße, кот, Ελλάδα → €", "\tx\n", ""};

	for (unsigned i = 0; i < 3; i++) {
		struct exo_font *f = exo_font_open(faces[i], 10 + 3 * i);

		ck_assert_int_gt(exo_font_ascent(f), 5);
		ck_assert_int_gt(exo_font_height(f), exo_font_ascent(f));
		for (unsigned t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
			int w = exo_text_width(f, texts[t], -1);

			fresh(0xff000000);
			ck_assert_int_eq(exo_text(&s, f, 3, 20, texts[t], -1, 0xffffffff), 3 + w);
			check_guard();
			ck_assert_int_eq(exo_text_width(f, texts[t], (int)strlen(texts[t])), w);
		}
		ck_assert_int_eq(exo_text_width(f, "\xe2\x82", 2),
				 2 * exo_text_width(f, "\xef\xbf\xbd", -1));
		exo_font_close(f);
	}
	fresh(0xff000000);
	struct exo_font *f = exo_font_open(EXO_SANS, 20);
	unsigned white = 0;

	exo_text(&s, f, 2, 25, "H", -1, 0xffffffff);
	for (int i = 0; i < CELLS; i++)
		white += inside(i) && cells[i] == 0xffffffff;
	ck_assert_uint_gt(white, 20);
	exo_font_close(f);
}
END_TEST

START_TEST(hostile_text)
{
	static char junk[200000];
	struct exo_font *f = exo_font_open(EXO_BOLD, 700), *tiny = exo_font_open(EXO_MONO, 0);
	char c[8];

	for (unsigned i = 0; i < sizeof(junk); i++)
		junk[i] = (char)(rnd() >> 3);
	fresh(0xff000000);
	exo_text(&s, tiny, -20000, 20, junk, sizeof(junk), 0x80ffffff);
	exo_text(&s, f, -20000, 20, junk, 300, 0x80ffffff);
	/* Every letter there is, large: the cache stays within its bounds. */
	for (uint32_t i = 1; i < 0x2800; i += 3) {
		exo_utf8_put(i, c);
		exo_text(&s, f, 10, 30, c, -1, 0xffff0000);
	}
	check_guard();
	exo_font_close(tiny);
	exo_font_close(f);
	exo_font_close(NULL);
	f = exo_font_open(EXO_SANS, UINT_MAX);
	ck_assert_int_le(exo_font_height(f), 1300);
	exo_font_close(f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("draw");
	TCase *tc = tcase_create("draw");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, rectangles_are_what_they_should_be);
	tcase_add_test(tc, pixel_arithmetic_is_exact);
	tcase_add_test(tc, shapes_stay_inside);
	tcase_add_test(tc, extremes_everywhere);
	tcase_add_test(tc, shapes_look_right);
	tcase_add_test(tc, copies_may_overlap);
	tcase_add_test(tc, blending_is_over);
	tcase_add_test(tc, scaling);
	tcase_add_test(tc, utf8_is_strict);
	tcase_add_test(tc, text_is_measured_as_it_is_drawn);
	tcase_add_test(tc, hostile_text);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
