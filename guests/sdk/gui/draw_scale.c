/*
 * Scaling: each pixel that is to be seen is the weighted mean of those below it. Larger: of the
 * two nearest in each direction (bilinear); smaller: of all that it covers. First across, a row
 * at a time, then down. Only what can be seen costs time and memory.
 */
#include "draw_impl.h"

#include <stdlib.h>
#include <string.h>

/* The weights of a pixel together: a mean of bytes, 8 more bits and this fit in 32. */
#define ONE 65536u

/* What one pixel is made of, in one direction. */
struct tap {
	int first, n;
	const uint32_t *weights; /* n, together ONE */
};

/* One direction, as far as it is wanted. */
struct axis {
	int outs;
	struct tap *taps;
	uint32_t *weights;
};

/* Smaller: of `to` pixels, number `at`; in units of 1 / to of a source pixel. */
static void mean_of_all(struct tap *t, uint32_t *weights, int64_t at, int64_t from, int64_t to)
{
	int64_t low = at * from, high = low + from;
	uint32_t sum = 0;

	t->first = (int)(low / to);
	t->n = (int)((high + to - 1) / to) - t->first;
	for (int k = 0; k < t->n; k++) {
		int64_t a = (int64_t)(t->first + k) * to, b = a + to;

		a = a > low ? a : low;
		b = b < high ? b : high;
		weights[k] = (uint32_t)((b - a) * ONE / from);
		sum += weights[k];
	}
	weights[t->n / 2] += ONE - sum; /* what rounding left over */
}

/* Larger: the middle of `at` lies between the middles of two source pixels. */
static void mean_of_two(struct tap *t, uint32_t *weights, int64_t at, int64_t from, int64_t to)
{
	int64_t middle = (2 * at + 1) * from * 128 / to - 128; /* 256ths */

	middle = middle < 0 ? 0 : middle;
	t->first = (int)(middle >> 8);
	t->n = t->first + 1 < from && (middle & 255) ? 2 : 1;
	weights[0] = ONE;
	if (t->n == 2) {
		weights[1] = (uint32_t)(middle & 255) << 8;
		weights[0] = ONE - weights[1];
	}
}

static void axis_finish(struct axis *a)
{
	free(a->taps);
	free(a->weights);
}

/* outs pixels from out0 on, of `to` that are made of `from`. False: no memory. */
static bool axis_init(struct axis *a, int out0, int outs, int from, int to)
{
	/* Each has whole source pixels and up to two that it shares. */
	size_t room = (size_t)((int64_t)outs * from / to) + 3 * (size_t)outs + 3;
	uint32_t *w;

	a->outs = outs;
	a->taps = malloc((size_t)outs * sizeof(*a->taps));
	a->weights = w = malloc(room * sizeof(*w));
	if (!a->taps || !w)
		return false;
	for (int i = 0; i < outs; i++) {
		struct tap *t = &a->taps[i];

		t->weights = w;
		if (to < from)
			mean_of_all(t, w, (int64_t)out0 + i, from, to);
		else
			mean_of_two(t, w, (int64_t)out0 + i, from, to);
		w += t->n;
	}
	return true;
}

/* One source row: 4 channels a pixel, 0 … 255 * 256. */
static void across(const struct axis *x, const uint32_t *from, uint32_t *out)
{
	for (const struct tap *t = x->taps; t < x->taps + x->outs; t++, out += 4) {
		uint32_t b = 0, g = 0, r = 0, a = 0;

		for (int k = 0; k < t->n; k++) {
			uint32_t p = from[t->first + k], w = t->weights[k];

			b += w * (p & 255);
			g += w * (p >> 8 & 255);
			r += w * (p >> 16 & 255);
			a += w * (p >> 24);
		}
		out[0] = b >> 8;
		out[1] = g >> 8;
		out[2] = r >> 8;
		out[3] = a >> 8;
	}
}

static uint32_t top_byte(uint32_t sum)
{
	return (sum + 0x7fffff) >> 24; /* at most 255 * 256 * ONE: it cannot overflow */
}

/* rows: two of the source scaled across, kept by whether they are even; sums: together. */
static void scale(const struct exo_surface *to, const struct draw_box *b, const struct axis *x,
		  const struct axis *y, const struct exo_surface *from, uint32_t *const rows[2],
		  uint32_t *sums)
{
	int made[2] = {-1, -1}, n = 4 * x->outs;

	for (int i = 0; i < y->outs; i++) {
		const struct tap *t = &y->taps[i];
		uint32_t *p = draw_at(to, b->x0, b->y0 + i);

		memset(sums, 0, (size_t)n * sizeof(*sums));
		for (int k = 0; k < t->n; k++) {
			int row = t->first + k;
			const uint32_t *of = rows[row & 1];
			uint32_t w = t->weights[k];

			if (made[row & 1] != row)
				across(x, draw_at(from, 0, row), rows[row & 1]);
			made[row & 1] = row;
			for (int c = 0; c < n; c++)
				sums[c] += w * of[c];
		}
		for (const uint32_t *s = sums; s < sums + n; s += 4)
			*p++ = top_byte(s[0]) | top_byte(s[1]) << 8 | top_byte(s[2]) << 16 |
			       top_byte(s[3]) << 24;
	}
}

void exo_scale(const struct exo_surface *to, int x, int y, int width, int height,
	       const struct exo_surface *from)
{
	struct axis ax = {0}, ay = {0};
	uint32_t *rows = NULL;
	struct draw_box b;
	size_t n;

	if (!from->pixels || from->width < 1 || from->height < 1 || from->width > DRAW_SIZE_MAX ||
	    from->height > DRAW_SIZE_MAX || width > DRAW_SIZE_MAX || height > DRAW_SIZE_MAX ||
	    !draw_clip(to, x, y, width, height, &b))
		return;
	if ((unsigned)width == from->width && (unsigned)height == from->height) {
		exo_copy(to, x, y, from);
		return;
	}
	n = 4 * (size_t)(b.x1 - b.x0);
	if (axis_init(&ax, b.x0 - x, b.x1 - b.x0, (int)from->width, width) &&
	    axis_init(&ay, b.y0 - y, b.y1 - b.y0, (int)from->height, height))
		rows = malloc(3 * n * sizeof(*rows));
	if (rows)
		scale(to, &b, &ax, &ay, from, (uint32_t *const[2]){rows, rows + n}, rows + 2 * n);
	free(rows);
	axis_finish(&ax);
	axis_finish(&ay);
}
