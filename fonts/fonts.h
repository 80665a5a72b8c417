/*
 * The fonts of the shell and of guests' drawing library, as TrueType files in memory: DejaVu
 * (fonts-dejavu-core), cut down when we build to Latin, Greek, Cyrillic, punctuation, arrows, box
 * drawing, blocks, geometric shapes and some symbols.
 */
#ifndef FONTS_H
#define FONTS_H

#include <stddef.h>

extern const unsigned char font_sans[], font_sans_end[];
extern const unsigned char font_bold[], font_bold_end[];
extern const unsigned char font_mono[], font_mono_end[];

#endif
