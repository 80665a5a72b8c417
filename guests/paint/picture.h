/* The picture that is painted: pixels, tools on them, undo. No window. */
#ifndef PAINT_PICTURE_H
#define PAINT_PICTURE_H

#include <exo_draw.h>

#define PICTURE_SIDE_MAX 4096
#define PICTURE_UNDO_MAX 12 /* and not more than UNDO_BYTES in picture.c */

struct picture {
	struct exo_surface s;
	struct exo_surface undo[PICTURE_UNDO_MAX];
	unsigned nundo;
};

enum tool { TOOL_PENCIL, TOOL_LINE, TOOL_RECTANGLE, TOOL_ELLIPSE, TOOL_FILL, TOOL_ERASER, TOOLS };

/* White. The one before is kept for undo. -1 with errno: EINVAL (absurd), ENOMEM. */
int picture_new(struct picture *p, unsigned width, unsigned height);
/* From a PNG, JPEG, BMP or GIF in memory. *why: a constant string, when it fails. */
int picture_decode(struct picture *p, const void *bytes, size_t n, const char **why);
/* As PNG; the caller frees it. NULL: no memory. */
void *picture_encode(const struct picture *p, size_t *n);
/* Before a change. */
void picture_remember(struct picture *p);
bool picture_undo(struct picture *p);
/* One stroke or figure from (x0, y0) to (x1, y1), so many pixels thick. */
void picture_apply(const struct exo_surface *s, enum tool tool, int x0, int y0, int x1, int y1,
		   int thickness, uint32_t colour);
/* Everything of one colour that hangs together with (x, y). */
void picture_fill(const struct exo_surface *s, int x, int y, uint32_t colour);

#endif
