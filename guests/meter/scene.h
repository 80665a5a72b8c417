/*
 * The picture that benchmarks move: every pixel of every frame differs from the one before. Pure,
 * so that a program of the host can draw the same.
 */
#ifndef METER_SCENE_H
#define METER_SCENE_H

#include <stddef.h>
#include <stdint.h>

/* stride: pixels. Colours: 0xffRRGGBB. */
void scene_draw(uint32_t *pixels, unsigned width, unsigned height, size_t stride, unsigned frame);

#endif
