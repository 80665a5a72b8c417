/*
 * Drawing and text, for programs. Pixels are those of struct exo_surface; everything is cut off at
 * the surface's edges, and at the clip. Colours: 0xAARRGGBB, not premultiplied
 * (an opaque one is the same either way); what is not opaque is blended.
 */
#ifndef EXO_DRAW_H
#define EXO_DRAW_H

#include "exo_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXO_RGB(r, g, b) (0xff000000u | (uint32_t)(r) << 16 | (uint32_t)(g) << 8 | (uint32_t)(b))

/*
 * A rectangle of s as a surface of its own: what is drawn there is clipped to it. What of it is
 * outside of s is cut off: where x or y is negative its corner is that of s.
 */
struct exo_surface exo_surface_part(const struct exo_surface *s, int x, int y, int width,
				    int height);

void exo_fill(const struct exo_surface *s, uint32_t colour);
void exo_fill_rect(const struct exo_surface *s, int x, int y, int width, int height,
		   uint32_t colour);
void exo_rect(const struct exo_surface *s, int x, int y, int width, int height, int line,
	      uint32_t colour);
void exo_round_rect(const struct exo_surface *s, int x, int y, int width, int height, int radius,
		    uint32_t colour);
/* Antialiased; all in 16ths of a pixel, from the corner: 8 is the middle of the first one. */
void exo_line(const struct exo_surface *s, int x0, int y0, int x1, int y1, int thickness,
	      uint32_t colour);
void exo_circle(const struct exo_surface *s, int x, int y, int radius, uint32_t colour);
/* Copies; cut off at both surfaces' edges; they may overlap. */
void exo_copy(const struct exo_surface *to, int x, int y, const struct exo_surface *from);
/* Blends premultiplied pixels over what is there. */
void exo_blend(const struct exo_surface *to, int x, int y, const struct exo_surface *from);
/*
 * Scales to width x height, smoothly, in place of what is there. Nothing if there is no memory.
 * Limit: neither picture wider or higher than 2^24.
 */
void exo_scale(const struct exo_surface *to, int x, int y, int width, int height,
	       const struct exo_surface *from);

/* ---- text ---- */

enum exo_face { EXO_SANS, EXO_BOLD, EXO_MONO };

struct exo_font; /* glyphs are made when they are first drawn, and kept */

/* A TrueType file that lies in memory and stays there. */
struct exo_font *exo_font_make(const unsigned char *file, unsigned size);

/* The faces, each taken into the program only if it is named. */
extern const unsigned char font_sans[], font_bold[], font_mono[];

/*
 * size: pixels, 1 … 1000; from one line to the next is about 1.2 times that. NULL: no memory.
 * Inline, so that a program that only opens EXO_MONO carries no other face.
 */
static inline struct exo_font *exo_font_open(enum exo_face face, unsigned size)
{
	return exo_font_make(face == EXO_MONO   ? font_mono
			     : face == EXO_BOLD ? font_bold
						: font_sans,
			     size);
}

void exo_font_close(struct exo_font *f);
int exo_font_ascent(const struct exo_font *f);
int exo_font_height(const struct exo_font *f); /* of a line */
/* Pixels that so many bytes of UTF-8 take; -1: up to its end. */
int exo_text_width(struct exo_font *f, const char *text, int bytes);
/* Draws with the baseline at y; where the next character would go. What is not UTF-8: U+FFFD. */
int exo_text(const struct exo_surface *s, struct exo_font *f, int x, int y, const char *text,
	     int bytes, uint32_t colour);
/* The code point at *text, which moves on; 0 at the end. */
uint32_t exo_utf8_next(const char **text);
/* Writes it, terminated; the number of bytes. */
int exo_utf8_put(uint32_t c, char out[8]);

#ifdef __cplusplus
}
#endif

#endif
