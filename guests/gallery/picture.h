/* Files to pixels. Whatever is in a file: a picture within the limits, or an error in words. */
#ifndef GALLERY_PICTURE_H
#define GALLERY_PICTURE_H

#include <exo_draw.h>

#define PICTURE_BYTES_MAX (64u << 20) /* of a file */
#define PICTURE_SIDE_MAX 32768
#define PICTURE_PIXELS_MAX (32u << 20)

/* NULL: *s is the picture, to be freed; opaque: what shines through has squares behind it. */
const char *picture_load(const char *path, struct exo_surface *s);
void picture_free(struct exo_surface *s);

#endif
