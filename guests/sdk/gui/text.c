/*
 * Text: glyphs of a TrueType file (stb_truetype) as grey pictures, made when they are first drawn
 * and kept. Whole pixels: a glyph looks the same wherever it stands, and a copy of it is right.
 */
#include "draw_impl.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#define STBTT_assert(x) ((void)(x))
#include <stb/stb_truetype.h>

#define SIZE_LARGEST 1000u
#define FAST 256u              /* code points that need no search: Latin 1 */
#define SLOTS 1024u            /* of the rest; a power of two */
#define CACHE_BYTES (8u << 20) /* Limit: when the pictures are more, all are made again */

struct glyph {
	uint32_t c; /* code point + 1; 0: an empty slot */
	int index;  /* in the file */
	int advance;
	bool drawn; /* x … alpha hold */
	int x, y, width, height;
	unsigned char *alpha; /* NULL: nothing to be seen */
};

struct exo_font {
	stbtt_fontinfo info;
	float scale;
	int ascent, height;
	size_t bytes; /* of all alpha */
	struct glyph latin[FAST], other[SLOTS];
};

/* ---- UTF-8 (RFC 3629) ------------------------------------------------------- */

static bool follows(unsigned char b)
{
	return (b & 0xc0) == 0x80;
}

/* The code point at p, which is before end; what is wrong is one U+FFFD a byte. */
static uint32_t decode(const unsigned char **at, const unsigned char *end)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = *at;
	unsigned n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));

	*at = p + 1;
	if (n == 0 || p[0] > 0xf4 || (size_t)(end - p) < n)
		return 0xfffd;
	for (unsigned i = 1; i < n; i++) {
		if (!follows(p[i]))
			return 0xfffd;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0xfffd;
	*at = p + n;
	return c;
}

uint32_t exo_utf8_next(const char **text)
{
	const unsigned char *p = (const unsigned char *)*text, *end = p;
	uint32_t c;

	while (end < p + 4 && *end) /* never past the terminator */
		end++;
	if (p == end)
		return 0;
	c = decode(&p, end);
	*text = (const char *)p;
	return c;
}

int exo_utf8_put(uint32_t c, char out[8])
{
	int n = 0;

	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		c = 0xfffd;
	if (c < 0x80) {
		out[n++] = (char)c;
	} else if (c < 0x800) {
		out[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		out[n++] = (char)(0xe0 | c >> 12);
		out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		out[n++] = (char)(0xf0 | c >> 18);
		out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		out[n++] = (char)(0x80 | (c & 0x3f));
	out[n] = 0;
	return n;
}

/* ---- fonts ------------------------------------------------------------------ */

struct exo_font *exo_font_make(const unsigned char *file, unsigned size)
{
	struct exo_font *f = calloc(1, sizeof(*f));
	int ascent, descent, gap;

	if (!f || !stbtt_InitFont(&f->info, file, stbtt_GetFontOffsetForIndex(file, 0))) {
		free(f);
		return NULL;
	}
	size = size < 1 ? 1 : size > SIZE_LARGEST ? SIZE_LARGEST : size;
	f->scale = stbtt_ScaleForMappingEmToPixels(&f->info, (float)size);
	stbtt_GetFontVMetrics(&f->info, &ascent, &descent, &gap);
	f->ascent = (int)ceilf((float)ascent * f->scale);
	f->height = f->ascent + (int)ceilf((float)(gap - descent) * f->scale);
	return f;
}

static void forget(struct glyph *g, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(g[i].alpha);
		memset(&g[i], 0, sizeof(g[i]));
	}
}

static void forget_all(struct exo_font *f)
{
	forget(f->latin, FAST);
	forget(f->other, SLOTS);
	f->bytes = 0;
}

void exo_font_close(struct exo_font *f)
{
	if (f)
		forget_all(f);
	free(f);
}

int exo_font_ascent(const struct exo_font *f)
{
	return f->ascent;
}

int exo_font_height(const struct exo_font *f)
{
	return f->height;
}

/* The slot of c. Those that collide push each other out: there is no search to be made long. */
static struct glyph *find(struct exo_font *f, uint32_t c)
{
	struct glyph *g;
	int advance, bearing;

	c = c == '\t' ? ' ' : c < 0x20 || c == 0x7f ? 0xfffd : c;
	g = c < FAST ? &f->latin[c] : &f->other[(c ^ c >> 10) % SLOTS];
	if (g->c == c + 1)
		return g;
	if (g->alpha)
		f->bytes -= (size_t)g->width * (size_t)g->height;
	forget(g, 1);
	g->c = c + 1;
	g->index = stbtt_FindGlyphIndex(&f->info, (int)c);
	if (g->index == 0)
		g->index = stbtt_FindGlyphIndex(&f->info, 0xfffd);
	stbtt_GetGlyphHMetrics(&f->info, g->index, &advance, &bearing);
	g->advance = (int)lroundf((float)advance * f->scale);
	return g;
}

/* Makes its picture. Without memory there is none. */
static void draw_glyph(struct exo_font *f, struct glyph *g)
{
	int x1, y1;
	size_t bytes;

	stbtt_GetGlyphBitmapBox(&f->info, g->index, f->scale, f->scale, &g->x, &g->y, &x1, &y1);
	g->drawn = true;
	g->width = x1 - g->x;
	g->height = y1 - g->y;
	if (g->width <= 0 || g->height <= 0)
		return;
	bytes = (size_t)g->width * (size_t)g->height;
	g->alpha = calloc(1, bytes);
	if (!g->alpha)
		return;
	f->bytes += bytes;
	stbtt_MakeGlyphBitmap(&f->info, g->alpha, g->width, g->height, g->width, f->scale, f->scale,
			      g->index);
}

static void blend_glyph(const struct exo_surface *s, const struct glyph *g, int64_t x, int64_t y,
			uint32_t colour)
{
	uint32_t shade = draw_premultiply(colour);
	struct draw_box b;

	if (!g->alpha || !draw_clip(s, x + g->x, y + g->y, g->width, g->height, &b))
		return;
	for (int row = b.y0; row < b.y1; row++) {
		const unsigned char *alpha =
			g->alpha + (row - y - g->y) * g->width + (b.x0 - x - g->x);
		uint32_t *p = draw_at(s, b.x0, row);

		for (int n = b.x1 - b.x0; n > 0; n--, p++, alpha++) {
			if (*alpha == 255 && shade >> 24 == 255)
				*p = shade;
			else if (*alpha)
				*p = draw_over(draw_times(shade, *alpha), *p);
		}
	}
}

/* s NULL: only measures. */
static int64_t run(const struct exo_surface *s, struct exo_font *f, int64_t x, int64_t y,
		   const char *text, int bytes, uint32_t colour)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + (bytes < 0 ? strlen(text) : (size_t)bytes);
	bool near = s && y > -4 * (int64_t)SIZE_LARGEST &&
		    y < (int64_t)s->height + 4 * (int64_t)SIZE_LARGEST;

	while (p < end) {
		struct glyph *g = find(f, decode(&p, end));

		/* Not for what is far outside: hostile text costs no pictures. */
		if (near && x > -4 * (int64_t)SIZE_LARGEST &&
		    x < (int64_t)s->width + (int64_t)SIZE_LARGEST) {
			if (f->bytes > CACHE_BYTES) {
				uint32_t c = g->c - 1;

				forget_all(f);
				g = find(f, c);
			}
			if (!g->drawn)
				draw_glyph(f, g);
			blend_glyph(s, g, x, y, colour);
		}
		x += g->advance;
	}
	return x;
}

static int to_int(int64_t v)
{
	return v > INT_MAX ? INT_MAX : v < INT_MIN ? INT_MIN : (int)v;
}

int exo_text_width(struct exo_font *f, const char *text, int bytes)
{
	return to_int(run(NULL, f, 0, 0, text, bytes, 0));
}

int exo_text(const struct exo_surface *s, struct exo_font *f, int x, int y, const char *text,
	     int bytes, uint32_t colour)
{
	return to_int(run(s, f, x, y, text, bytes, colour));
}
