/* Bands of colour that move down by 4 rows a frame, and squares that go to and fro above them. */
#include "scene.h"

#define SQUARES 12

static uint32_t band(unsigned at)
{
	unsigned v = at & 511;

	v = v < 256 ? v : 511 - v;
	return 0xff000000u | v << 16 | (255 - v) << 8 | ((v * 3) & 255);
}

static void fill(uint32_t *p, size_t n, uint32_t colour)
{
	for (size_t i = 0; i < n; i++)
		p[i] = colour;
}

/* From 0 to `most` and back. */
static unsigned to_and_fro(unsigned at, unsigned most)
{
	unsigned phase = most ? at % (2 * most) : 0;

	return phase <= most ? phase : 2 * most - phase;
}

void scene_draw(uint32_t *pixels, unsigned width, unsigned height, size_t stride, unsigned frame)
{
	unsigned size = (width < height ? width : height) / 8;

	for (unsigned y = 0; y < height; y++)
		fill(pixels + y * stride, width, band(y - 4 * frame));
	for (unsigned i = 0; i < SQUARES; i++) {
		unsigned x = to_and_fro(frame * (3 + i) + i * 97, width - size);
		unsigned y = to_and_fro(frame * (5 + i % 5) + i * 61, height - size);

		for (unsigned row = 0; row < size; row++)
			fill(pixels + (y + row) * stride + x, size,
			     0xff102030u * (i + 1) | 0xff000000u);
	}
}
