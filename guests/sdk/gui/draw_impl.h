/* What the files of the drawing library share: clipping, and one pixel over another. */
#ifndef DRAW_IMPL_H
#define DRAW_IMPL_H

#include <exo_draw.h>

/* Columns x0 … x1 - 1, rows y0 … y1 - 1: within a surface. */
struct draw_box {
	int x0, y0, x1, y1;
};

/* No surface is wider or higher; with less, sums of coordinates fit in 64 bits with ease. */
#define DRAW_SIZE_MAX (1 << 24)

/* False: nothing of it is on s. */
bool draw_clip(const struct exo_surface *s, int64_t x, int64_t y, int64_t width, int64_t height,
	       struct draw_box *box);
/* colour, not premultiplied, over n pixels. */
void draw_span(uint32_t *p, size_t n, uint32_t colour);

static inline uint32_t *draw_at(const struct exo_surface *s, int x, int y)
{
	return s->pixels + (size_t)y * s->stride + x;
}

/* Each of the four bytes of c times a / 255, rounded; a: 0 … 255. */
static inline uint32_t draw_times(uint32_t c, uint32_t a)
{
	uint32_t rb = (c & 0x00ff00ff) * a + 0x00800080;
	uint32_t ag = (c >> 8 & 0x00ff00ff) * a + 0x00800080;

	rb = (rb + (rb >> 8 & 0x00ff00ff)) >> 8 & 0x00ff00ff;
	ag = (ag + (ag >> 8 & 0x00ff00ff)) & 0xff00ff00;
	return rb | ag;
}

/* Porter and Duff's over; both premultiplied. What is not is at worst a wrong colour. */
static inline uint32_t draw_over(uint32_t top, uint32_t below)
{
	uint32_t b = draw_times(below, 255 - (top >> 24));
	uint32_t rb = (top & 0x00ff00ff) + (b & 0x00ff00ff);
	uint32_t ag = (top >> 8 & 0x00ff00ff) + (b >> 8 & 0x00ff00ff);

	/* Saturated: a byte that overflowed has its 9th bit set. */
	rb |= (rb >> 8 & 0x00010001) * 0xff;
	ag |= (ag >> 8 & 0x00010001) * 0xff;
	return (rb & 0x00ff00ff) | (ag & 0x00ff00ff) << 8;
}

static inline uint32_t draw_premultiply(uint32_t colour)
{
	return draw_times(colour | 0xff000000, colour >> 24);
}

#endif
