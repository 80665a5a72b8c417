/* Between shot.c and cast.c. */
#ifndef SHOT_IMPL_H
#define SHOT_IMPL_H

#include "desktop.h"

/* Three bytes a pixel, tightly packed. Any thread. */
void shot_rgb(const struct canvas *c, uint8_t *rgb);
/* 0 or -errno. Any thread. */
int shot_png(const char *path, const uint8_t *rgb, int width, int height);

#endif
