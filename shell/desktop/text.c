/*
 * Text for the shell: DejaVu (fonts/) by FreeType. Glyphs are made once and kept as
 * coverage; what is drawn after that is blending. No shaping and no bidirectional text: each
 * character stands where it was written, so no text can pretend to be in another order.
 *
 * The faces and the glyphs are the one thing here that outlives a call: `text`. The desktop's
 * thread only.
 */
#include "desktop.h"
#include "fonts.h"

#include <ft2build.h>
#include FT_FREETYPE_H
#include <stdlib.h>
#include <string.h>

#define FACES 3
#define SIZE_MAX_PX 256
#define GLYPHS 4096 /* slots, a power of two; all are forgotten when three quarters are taken */

struct glyph {
	uint32_t key; /* character, size, face; 0: free */
	int16_t left, top;
	uint16_t width, height;
	int32_t advance; /* 64ths of a pixel */
	uint8_t *coverage;
};

static struct {
	FT_Library library;
	FT_Face face[FACES];
	int size[FACES];   /* that the face is set to */
	int ascent[FACES]; /* font units; and of a line */
	int line[FACES];
	unsigned nglyphs;
	struct glyph glyph[GLYPHS];
	bool failed;
} text;

static bool open_faces(void)
{
	static const unsigned char *const from[FACES] = {font_sans, font_bold, font_mono};
	static const unsigned char *const to[FACES] = {font_sans_end, font_bold_end, font_mono_end};

	if (text.library || text.failed)
		return !text.failed;
	text.failed = FT_Init_FreeType(&text.library) != 0;
	for (unsigned i = 0; i < FACES && !text.failed; i++) {
		text.failed = FT_New_Memory_Face(text.library, from[i], to[i] - from[i], 0,
						 &text.face[i]) != 0;
		if (text.failed)
			break;
		text.ascent[i] = text.face[i]->ascender;
		text.line[i] = text.face[i]->height;
	}
	return !text.failed;
}

static void forget_glyphs(void)
{
	for (unsigned i = 0; i < GLYPHS; i++)
		free(text.glyph[i].coverage);
	memset(text.glyph, 0, sizeof(text.glyph));
	text.nglyphs = 0;
}

void text_close(void)
{
	forget_glyphs();
	if (text.library)
		FT_Done_FreeType(text.library); /* with its faces */
	memset(&text, 0, sizeof(text));
}

static int clamp_size(int size)
{
	return size < 4 ? 4 : size > SIZE_MAX_PX ? SIZE_MAX_PX : size;
}

static bool render(struct glyph *g, unsigned face, int size, uint32_t character)
{
	FT_Face f = text.face[face];
	FT_UInt index;
	const FT_Bitmap *b;

	if (text.size[face] != size && FT_Set_Pixel_Sizes(f, 0, (FT_UInt)size))
		return false;
	text.size[face] = size;
	index = FT_Get_Char_Index(f, character);
	if (!index)
		index = FT_Get_Char_Index(f, 0xfffd);
	if (FT_Load_Glyph(f, index, FT_LOAD_RENDER | FT_LOAD_NO_HINTING))
		return false;
	b = &f->glyph->bitmap;
	g->left = (int16_t)f->glyph->bitmap_left;
	g->top = (int16_t)f->glyph->bitmap_top;
	g->advance = (int32_t)((f->glyph->linearHoriAdvance + 512) / 1024); /* of 16.16 */
	if (!b->width || !b->rows || b->pixel_mode != FT_PIXEL_MODE_GRAY)
		return true;
	g->coverage = malloc((size_t)b->width * b->rows);
	if (!g->coverage)
		return false;
	g->width = (uint16_t)b->width;
	g->height = (uint16_t)b->rows;
	for (unsigned row = 0; row < b->rows; row++)
		memcpy(g->coverage + (size_t)row * b->width, b->buffer + (ptrdiff_t)row * b->pitch,
		       b->width);
	return true;
}

/* NULL: it cannot be drawn. */
static const struct glyph *glyph_of(unsigned face, int size, uint32_t character)
{
	uint32_t key = character | (uint32_t)(size - 3) << 21 | (uint32_t)face << 30;
	unsigned at = (key * 2654435761u) >> 20;

	if (text.nglyphs >= GLYPHS / 4 * 3)
		forget_glyphs();
	while (text.glyph[at & (GLYPHS - 1)].key && text.glyph[at & (GLYPHS - 1)].key != key)
		at++;
	at &= GLYPHS - 1;
	if (!text.glyph[at].key) {
		struct glyph made = {.key = key};

		if (!render(&made, face, size, character))
			return NULL;
		text.glyph[at] = made;
		text.nglyphs++;
	}
	return &text.glyph[at];
}

uint32_t paint_character(const char **at, const char *end)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)*at;
	unsigned n = s[0] < 0x80             ? 1
		     : (s[0] & 0xe0) == 0xc0 ? 2
		     : (s[0] & 0xf0) == 0xe0 ? 3
		     : (s[0] & 0xf8) == 0xf0 ? 4
					     : 0;
	uint32_t c = n == 1 ? s[0] : n ? s[0] & (0x7fu >> n) : 0xfffd;
	unsigned i = 1;

	for (; i < n && *at + i < end && (s[i] & 0xc0) == 0x80; i++)
		c = c << 6 | (s[i] & 0x3f);
	*at += i;
	if (!n || i < n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0xfffd;
	return c;
}

/* As it is drawn. */
static uint32_t next_character(const char **at, const char *end)
{
	uint32_t c = paint_character(at, end);

	return c < 0x20 || c == 0x7f ? ' ' : c;
}

static void blend_glyph(const struct canvas *c, const struct glyph *g, int x, int y,
			uint32_t colour)
{
	int x0 = x + g->left, y0 = y - g->top;
	int from = x0 < 0 ? -x0 : 0, to = c->width - x0 < g->width ? c->width - x0 : g->width;

	for (int row = 0; row < g->height; row++) {
		const uint8_t *a = g->coverage + (size_t)row * g->width;
		uint32_t *at;

		if (y0 + row < 0 || y0 + row >= c->height || to <= from)
			continue;
		at = c->pixels + (ptrdiff_t)(y0 + row) * c->stride + x0;
		for (int i = from; i < to; i++) {
			if (a[i])
				paint_blend(at + i, colour, a[i]);
		}
	}
}

/* Draws, if c is given, up to where max is reached; 64ths of a pixel that it is wide. */
static int64_t run(const struct canvas *c, enum face face, int size, int x, int y, const char *s,
		   const char *end, uint32_t colour)
{
	int64_t pen = 0;

	size = clamp_size(size);
	if (!open_faces() || (unsigned)face >= FACES)
		return 0;
	while (s < end) {
		const struct glyph *g = glyph_of(face, size, next_character(&s, end));

		if (!g)
			continue;
		if (c && g->coverage)
			blend_glyph(c, g, x + (int)((pen + 32) / 64), y, colour);
		pen += g->advance;
	}
	return pen;
}

static const char *end_of(const char *s, int bytes)
{
	return s + (bytes < 0 ? strlen(s) : (size_t)bytes);
}

int paint_text(const struct canvas *c, enum face face, int size, int x, int y, const char *s,
	       int bytes, uint32_t colour)
{
	return x + (int)((run(c, face, size, x, y, s, end_of(s, bytes), colour) + 32) / 64);
}

int paint_text_width(enum face face, int size, const char *s, int bytes)
{
	return (int)((run(NULL, face, size, 0, 0, s, end_of(s, bytes), 0) + 63) / 64);
}

int paint_text_within(const struct canvas *c, enum face face, int size, int x, int y, int max_width,
		      const char *s, uint32_t colour)
{
	static const char ellipsis[] = "…";
	const char *end = end_of(s, -1), *at = s, *fits = s;
	int64_t room = (int64_t)max_width * 64, pen = 0;

	if (max_width <= 0 || !open_faces())
		return x;
	if (run(NULL, face, size, 0, 0, s, end, 0) <= room)
		return paint_text(c, face, size, x, y, s, -1, colour);
	room -= run(NULL, face, size, 0, 0, ellipsis, ellipsis + sizeof(ellipsis) - 1, 0);
	while (at < end) {
		const char *from = at;

		(void)next_character(&at, end);
		pen += run(NULL, face, size, 0, 0, from, at, 0);
		if (pen > room)
			break;
		fits = at;
	}
	x = paint_text(c, face, size, x, y, s, (int)(fits - s), colour);
	return room < 0 ? x : paint_text(c, face, size, x, y, ellipsis, -1, colour);
}

static int metric(enum face face, int size, const int *units)
{
	if (!open_faces() || (unsigned)face >= FACES)
		return size;
	return (units[face] * clamp_size(size) + text.face[face]->units_per_EM - 1) /
	       text.face[face]->units_per_EM;
}

int paint_text_ascent(enum face face, int size)
{
	return metric(face, size, text.ascent);
}

int paint_text_height(enum face face, int size)
{
	return metric(face, size, text.line);
}
