/*
 * Rectangles and copies. Every coordinate is cut to the surface in 64 bits before a pixel is
 * touched; what is inside goes by whole rows, 16 bytes at a time.
 */
#include "draw_impl.h"

#include <emmintrin.h>
#include <string.h>

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static bool usable(const struct exo_surface *s)
{
	return s->pixels && s->width <= DRAW_SIZE_MAX && s->height <= DRAW_SIZE_MAX;
}

bool draw_clip(const struct exo_surface *s, int64_t x, int64_t y, int64_t width, int64_t height,
	       struct draw_box *box)
{
	if (!usable(s))
		return false;
	box->x0 = (int)lesser(greater(x, 0), s->width);
	box->y0 = (int)lesser(greater(y, 0), s->height);
	box->x1 = (int)greater(lesser(x + width, s->width), 0);
	box->y1 = (int)greater(lesser(y + height, s->height), 0);
	return box->x0 < box->x1 && box->y0 < box->y1;
}

struct exo_surface exo_surface_part(const struct exo_surface *s, int x, int y, int width,
				    int height)
{
	struct exo_surface part = {.stride = s->stride, .pixels = s->pixels};
	struct draw_box box;

	if (draw_clip(s, x, y, width, height, &box)) {
		part.pixels = draw_at(s, box.x0, box.y0);
		part.width = (unsigned)(box.x1 - box.x0);
		part.height = (unsigned)(box.y1 - box.y0);
	}
	return part;
}

static void fill_span(uint32_t *p, size_t n, uint32_t pixel)
{
	__m128i four = _mm_set1_epi32((int)pixel);

	for (; n && ((uintptr_t)p & 15); n--)
		*p++ = pixel;
	for (; n >= 16; n -= 16, p += 16) {
		__m128i *to = (__m128i *)(void *)p;

		_mm_store_si128(to, four);
		_mm_store_si128(to + 1, four);
		_mm_store_si128(to + 2, four);
		_mm_store_si128(to + 3, four);
	}
	for (; n; n--)
		*p++ = pixel;
}

/* x * 255 + 127 divided by 255 in 16-bit lanes: as draw_times. */
static __m128i divide_255(__m128i x)
{
	x = _mm_add_epi16(x, _mm_set1_epi16(128));
	return _mm_srli_epi16(_mm_add_epi16(x, _mm_srli_epi16(x, 8)), 8);
}

/* Four pixels over four; rest: 255 - alpha in each lane of the two halves. */
static __m128i over_four(__m128i top, __m128i below, __m128i rest_low, __m128i rest_high)
{
	__m128i zero = _mm_setzero_si128();
	__m128i low = divide_255(_mm_mullo_epi16(_mm_unpacklo_epi8(below, zero), rest_low));
	__m128i high = divide_255(_mm_mullo_epi16(_mm_unpackhi_epi8(below, zero), rest_high));

	return _mm_adds_epu8(top, _mm_packus_epi16(low, high));
}

void draw_span(uint32_t *p, size_t n, uint32_t colour)
{
	uint32_t pixel = draw_premultiply(colour), alpha = colour >> 24;
	__m128i top, rest;

	if (alpha == 0)
		return;
	if (alpha == 255) {
		fill_span(p, n, colour);
		return;
	}
	top = _mm_set1_epi32((int)pixel);
	rest = _mm_set1_epi16((short)(255 - alpha));
	for (; n >= 4; n -= 4, p += 4) {
		__m128i *to = (__m128i *)(void *)p;

		_mm_storeu_si128(to, over_four(top, _mm_loadu_si128(to), rest, rest));
	}
	for (; n; n--, p++)
		*p = draw_over(pixel, *p);
}

void exo_fill(const struct exo_surface *s, uint32_t colour)
{
	exo_fill_rect(s, 0, 0, DRAW_SIZE_MAX, DRAW_SIZE_MAX, colour);
}

static void fill_box(const struct exo_surface *s, int64_t x, int64_t y, int64_t width,
		     int64_t height, uint32_t colour)
{
	struct draw_box b;

	if (!draw_clip(s, x, y, width, height, &b))
		return;
	for (int row = b.y0; row < b.y1; row++)
		draw_span(draw_at(s, b.x0, row), (size_t)(b.x1 - b.x0), colour);
}

void exo_fill_rect(const struct exo_surface *s, int x, int y, int width, int height,
		   uint32_t colour)
{
	fill_box(s, x, y, width, height, colour);
}

void exo_rect(const struct exo_surface *s, int x, int y, int width, int height, int line,
	      uint32_t colour)
{
	int64_t inner = (int64_t)height - 2 * (int64_t)line;

	if (width <= 0 || height <= 0 || line <= 0)
		return;
	if (inner <= 0 || 2 * (int64_t)line >= width) {
		fill_box(s, x, y, width, height, colour);
		return;
	}
	fill_box(s, x, y, width, line, colour);
	fill_box(s, x, (int64_t)y + height - line, width, line, colour);
	fill_box(s, x, (int64_t)y + line, line, inner, colour);
	fill_box(s, (int64_t)x + width - line, (int64_t)y + line, line, inner, colour);
}

/* Where `from` goes on `to`: box is in to. False: nowhere. */
static bool place(const struct exo_surface *to, int x, int y, const struct exo_surface *from,
		  struct draw_box *box)
{
	return usable(from) && draw_clip(to, x, y, from->width, from->height, box);
}

static const uint32_t *source(const struct exo_surface *from, const struct draw_box *b, int x,
			      int y, int row)
{
	return draw_at(from, b->x0 - x, 0) + (size_t)((int64_t)row - y) * from->stride;
}

void exo_copy(const struct exo_surface *to, int x, int y, const struct exo_surface *from)
{
	struct draw_box b;
	bool upwards;

	if (!place(to, x, y, from, &b))
		return;
	/* Of the same picture (scrolling): from the end that is not overwritten first. */
	upwards = (uintptr_t)draw_at(to, b.x0, b.y0) > (uintptr_t)source(from, &b, x, y, b.y0);
	for (int i = b.y0; i < b.y1; i++) {
		int row = upwards ? b.y1 - 1 - (i - b.y0) : i;

		memmove(draw_at(to, b.x0, row), source(from, &b, x, y, row),
			(size_t)(b.x1 - b.x0) * sizeof(uint32_t));
	}
}

/* Each pixel's 255 - alpha in its four 16-bit lanes; `wide`: two pixels. */
static __m128i rests(__m128i wide)
{
	__m128i alpha = _mm_shufflehi_epi16(_mm_shufflelo_epi16(wide, 0xff), 0xff);

	return _mm_sub_epi16(_mm_set1_epi16(255), alpha);
}

static void blend_span(uint32_t *to, const uint32_t *from, size_t n)
{
	__m128i zero = _mm_setzero_si128();

	for (; n >= 4; n -= 4, to += 4, from += 4) {
		__m128i top = _mm_loadu_si128((const __m128i *)(const void *)from);
		__m128i *p = (__m128i *)(void *)to;

		_mm_storeu_si128(p, over_four(top, _mm_loadu_si128(p),
					      rests(_mm_unpacklo_epi8(top, zero)),
					      rests(_mm_unpackhi_epi8(top, zero))));
	}
	for (; n; n--, to++, from++)
		*to = draw_over(*from, *to);
}

void exo_blend(const struct exo_surface *to, int x, int y, const struct exo_surface *from)
{
	struct draw_box b;

	if (!place(to, x, y, from, &b))
		return;
	for (int row = b.y0; row < b.y1; row++)
		blend_span(draw_at(to, b.x0, row), source(from, &b, x, y, row),
			   (size_t)(b.x1 - b.x0));
}
