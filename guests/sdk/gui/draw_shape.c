/*
 * Antialiased shapes. How much of a pixel a shape covers is taken from the distance of its centre
 * to the edge, which is exact for straight edges and near enough for round ones.
 */
#include "draw_impl.h"

#include <math.h>

/* A pixel of which `cover` (0 … 1) is covered. */
static void put(uint32_t *p, double cover, uint32_t colour)
{
	uint32_t alpha;

	if (cover <= 0)
		return;
	alpha = cover >= 1 ? colour >> 24 : (uint32_t)((colour >> 24) * cover + 0.5);
	if (alpha == 255)
		*p = colour;
	else
		*p = draw_over(draw_premultiply((colour & 0xffffff) | alpha << 24), *p);
}

/* To whole pixels within 0 … max; also for what no int can hold. */
static int bound(double v, int max)
{
	return v <= 0 ? 0 : v >= max ? max : (int)v;
}

static double between(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

/* The part of row y of a disc around (cx, cy) that is in columns x0 … x1 - 1. */
static void disc_row(const struct exo_surface *s, int y, int x0, int x1, double cx, double cy,
		     double r, uint32_t colour)
{
	double dy = y + 0.5 - cy, out = r + 0.5, in = r - 1;
	double half, full;
	int left, right, a, b;

	if (dy * dy >= out * out)
		return;
	half = sqrt(out * out - dy * dy);
	full = in > 0 && dy * dy < in * in ? sqrt(in * in - dy * dy) - 0.5 : -1;
	left = bound(floor(cx - half - 0.5), x1);
	right = bound(ceil(cx + half + 0.5), x1);
	left = left > x0 ? left : x0;
	a = b = right;
	if (full > 0) { /* what needs no distance */
		a = bound(ceil(cx - full), right);
		b = bound(floor(cx + full), right);
		a = a > left ? a : left;
		b = b > a ? b : a;
	}
	for (int x = left; x < right; x++) {
		double dx = x + 0.5 - cx;

		if (x == a && b > a) {
			draw_span(draw_at(s, a, y), (size_t)(b - a), colour);
			x = b - 1;
			continue;
		}
		put(draw_at(s, x, y), r + 0.5 - sqrt(dx * dx + dy * dy), colour);
	}
}

void exo_circle(const struct exo_surface *s, int x, int y, int radius, uint32_t colour)
{
	double cx = x / 16.0, cy = y / 16.0, r = radius / 16.0;
	struct draw_box all;
	int last;

	if (radius <= 0 || !draw_clip(s, 0, 0, DRAW_SIZE_MAX, DRAW_SIZE_MAX, &all))
		return;
	last = bound(ceil(cy + r + 1), all.y1);
	for (int row = bound(floor(cy - r - 1), all.y1); row < last; row++)
		disc_row(s, row, 0, all.x1, cx, cy, r, colour);
}

void exo_round_rect(const struct exo_surface *s, int x, int y, int width, int height, int radius,
		    uint32_t colour)
{
	int64_t right = (int64_t)x + width, bottom = (int64_t)y + height;
	int least = width < height ? width : height;
	struct draw_box b;

	if (!draw_clip(s, x, y, width, height, &b))
		return;
	radius = radius < 0 ? 0 : radius > least / 2 ? least / 2 : radius;
	for (int row = b.y0; row < b.y1; row++) {
		int64_t from = (int64_t)x + radius, to = right - radius;
		bool top = row < (int64_t)y + radius, low = row >= bottom - radius;
		double cy = top ? (double)y + radius : (double)bottom - radius;

		if (top || low) {
			int a = bound((double)from, b.x1), z = bound((double)to, b.x1);

			disc_row(s, row, b.x0, a, (double)from, cy, radius, colour);
			disc_row(s, row, z > b.x0 ? z : b.x0, b.x1, (double)to, cy, radius, colour);
		} else {
			from = x;
			to = right;
		}
		from = from > b.x0 ? from : b.x0;
		to = to < b.x1 ? to : b.x1;
		if (from < to)
			draw_span(draw_at(s, (int)from, row), (size_t)(to - from), colour);
	}
}

/* The segment that a line goes along, in pixels. */
struct segment {
	double x, y, dx, dy, length2, r;
};

static double distance(const struct segment *g, double x, double y)
{
	double t = g->length2 > 0 ? ((x - g->x) * g->dx + (y - g->y) * g->dy) / g->length2 : 0;

	t = between(t, 0, 1);
	return hypot(x - g->x - t * g->dx, y - g->y - t * g->dy);
}

/* Columns that a row of pixels can have of it: its middle while it is near the row, and r more. */
static void segment_columns(const struct segment *g, int row, double *left, double *right)
{
	double reach = g->r + 1.5, a = 0, b = 1;

	if (fabs(g->dy) > 1e-9) {
		a = between((row + 0.5 - reach - g->y) / g->dy, 0, 1);
		b = between((row + 0.5 + reach - g->y) / g->dy, 0, 1);
	}
	a = g->x + a * g->dx;
	b = g->x + b * g->dx;
	*left = (a < b ? a : b) - reach;
	*right = (a < b ? b : a) + reach;
}

void exo_line(const struct exo_surface *s, int x0, int y0, int x1, int y1, int thickness,
	      uint32_t colour)
{
	struct segment g = {.x = x0 / 16.0, .y = y0 / 16.0, .r = thickness / 32.0};
	struct draw_box all;
	double low, high;
	int last;

	if (thickness <= 0 || !draw_clip(s, 0, 0, DRAW_SIZE_MAX, DRAW_SIZE_MAX, &all))
		return;
	g.dx = x1 / 16.0 - g.x;
	g.dy = y1 / 16.0 - g.y;
	g.length2 = g.dx * g.dx + g.dy * g.dy;
	low = g.dy < 0 ? g.y + g.dy : g.y;
	high = g.dy < 0 ? g.y : g.y + g.dy;
	last = bound(ceil(high + g.r + 1), all.y1);
	for (int row = bound(floor(low - g.r - 1), all.y1); row < last; row++) {
		double left, right;
		int end;

		segment_columns(&g, row, &left, &right);
		end = bound(ceil(right), all.x1);
		for (int x = bound(floor(left), all.x1); x < end; x++)
			put(draw_at(s, x, row), g.r + 0.5 - distance(&g, x + 0.5, row + 0.5),
			    colour);
	}
}
