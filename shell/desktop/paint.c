/*
 * Drawing for the shell: rectangles, rounded ones, lines. Everything is cut off at the canvas's
 * edges. Colours are premultiplied; opaque ones are stored, others blended over what is there.
 */
#include "desktop.h"

#include <math.h>
#include <string.h>

/* x * a / 255, rounded. */
static uint32_t mul(uint32_t x, uint32_t a)
{
	uint32_t t = x * a + 128;

	return (t + (t >> 8)) >> 8;
}

static uint32_t scale_colour(uint32_t colour, uint32_t a)
{
	return mul(colour >> 24, a) << 24 | mul(colour >> 16 & 0xff, a) << 16 |
	       mul(colour >> 8 & 0xff, a) << 8 | mul(colour & 0xff, a);
}

static uint32_t over(uint32_t below, uint32_t colour)
{
	return colour + scale_colour(below, 255 - (colour >> 24));
}

uint32_t paint_mix(uint32_t a, uint32_t b, unsigned part)
{
	return scale_colour(a, 255 - part) + scale_colour(b, part);
}

void paint_blend(uint32_t *at, uint32_t colour, unsigned coverage)
{
	*at = over(*at, coverage == 255 ? colour : scale_colour(colour, coverage));
}

struct canvas paint_part(const struct canvas *c, int x, int y, int width, int height)
{
	int x1 = x + width < c->width ? x + width : c->width;
	int y1 = y + height < c->height ? y + height : c->height;

	x = x < 0 ? 0 : x;
	y = y < 0 ? 0 : y;
	if (x >= x1 || y >= y1)
		return (struct canvas){c->pixels, 0, 0, c->stride};
	return (struct canvas){c->pixels + (size_t)y * (size_t)c->stride + x, x1 - x, y1 - y,
			       c->stride};
}

static void fill_row(uint32_t *at, int n, uint32_t colour)
{
	if (colour >> 24 == 0xff) {
		for (int i = 0; i < n; i++)
			at[i] = colour;
	} else {
		for (int i = 0; i < n; i++)
			at[i] = over(at[i], colour);
	}
}

void paint_rect(const struct canvas *c, int x, int y, int width, int height, uint32_t colour)
{
	struct canvas part = paint_part(c, x, y, width, height);

	for (int row = 0; row < part.height; row++)
		fill_row(part.pixels + (size_t)row * (size_t)part.stride, part.width, colour);
}

void paint_fill(const struct canvas *c, uint32_t colour)
{
	for (int row = 0; row < c->height; row++)
		fill_row(c->pixels + (size_t)row * (size_t)c->stride, c->width,
			 colour | 0xff000000u);
}

static void dot(const struct canvas *c, int x, int y, uint32_t colour, unsigned coverage)
{
	if (x >= 0 && y >= 0 && x < c->width && y < c->height && coverage)
		paint_blend(&c->pixels[(size_t)y * (size_t)c->stride + (size_t)x], colour,
			    coverage);
}

static unsigned coverage_of(double inside)
{
	return inside <= 0 ? 0 : inside >= 1 ? 255 : (unsigned)(inside * 255 + 0.5);
}

void paint_round(const struct canvas *c, int x, int y, int width, int height, int radius,
		 uint32_t colour)
{
	if (radius > width / 2)
		radius = width / 2;
	if (radius > height / 2)
		radius = height / 2;
	if (radius < 0)
		radius = 0;
	paint_rect(c, x, y + radius, width, height - 2 * radius, colour);
	paint_rect(c, x + radius, y, width - 2 * radius, radius, colour);
	paint_rect(c, x + radius, y + height - radius, width - 2 * radius, radius, colour);
	for (int j = 0; j < radius; j++) {
		for (int i = 0; i < radius; i++) {
			double dx = radius - i - 0.5, dy = radius - j - 0.5;
			unsigned a = coverage_of(radius + 0.5 - sqrt(dx * dx + dy * dy));

			dot(c, x + i, y + j, colour, a);
			dot(c, x + width - 1 - i, y + j, colour, a);
			dot(c, x + i, y + height - 1 - j, colour, a);
			dot(c, x + width - 1 - i, y + height - 1 - j, colour, a);
		}
	}
}

void paint_frame(const struct canvas *c, int x, int y, int width, int height, int line,
		 uint32_t colour)
{
	if (2 * line >= width || 2 * line >= height) {
		paint_rect(c, x, y, width, height, colour);
		return;
	}
	paint_rect(c, x, y, width, line, colour);
	paint_rect(c, x, y + height - line, width, line, colour);
	paint_rect(c, x, y + line, line, height - 2 * line, colour);
	paint_rect(c, x + width - line, y + line, line, height - 2 * line, colour);
}

/* How far a point is from the line between two others. */
static double distance(double px, double py, double x0, double y0, double x1, double y1)
{
	double dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
	double t = length > 0 ? ((px - x0) * dx + (py - y0) * dy) / length : 0;

	t = t < 0 ? 0 : t > 1 ? 1 : t;
	return hypot(px - x0 - t * dx, py - y0 - t * dy);
}

static int clamp(int n, int low, int high)
{
	return n < low ? low : n > high ? high : n;
}

void paint_line(const struct canvas *c, int x0, int y0, int x1, int y1, int thickness,
		uint32_t colour)
{
	int edge = thickness / 2 + 2;
	int left = clamp((x0 < x1 ? x0 : x1) - edge, 0, c->width);
	int right = clamp((x0 < x1 ? x1 : x0) + edge + 1, 0, c->width);
	int top = clamp((y0 < y1 ? y0 : y1) - edge, 0, c->height);
	int bottom = clamp((y0 < y1 ? y1 : y0) + edge + 1, 0, c->height);
	double half = thickness / 2.0;

	if (x0 == x1 || y0 == y1) { /* crisp */
		paint_rect(
			c, (x0 < x1 ? x0 : x1) - thickness / 2, (y0 < y1 ? y0 : y1) - thickness / 2,
			(x0 == x1 ? thickness : (x0 < x1 ? x1 - x0 : x0 - x1) + thickness),
			(y0 == y1 ? thickness : (y0 < y1 ? y1 - y0 : y0 - y1) + thickness), colour);
		return;
	}
	for (int y = top; y < bottom; y++) {
		/* Where the line can be in this row: a long one is no reason to look at all. */
		double slope = (double)(x1 - x0) / (y1 - y0), at = x0 + slope * (y - y0);
		double reach = fabs(slope) + (half + 1) * hypot(1, slope) + 1;
		int from = at - reach > left ? (int)(at - reach) : left;
		int to = at + reach < right ? (int)(at + reach) + 1 : right;

		for (int x = from; x < to && x < right; x++)
			dot(c, x, y, colour,
			    coverage_of(half + 0.5 - distance(x, y, x0, y0, x1, y1)));
	}
}

uint32_t paint_contrast(uint32_t colour)
{
	/* Rec. 601 luma, in thousandths. */
	uint32_t luma =
		299 * (colour >> 16 & 0xff) + 587 * (colour >> 8 & 0xff) + 114 * (colour & 0xff);

	return luma > 140000 ? 0xff000000u : 0xffffffffu;
}
