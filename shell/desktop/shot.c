/* Pictures of the screen as PNG files; the screencast's end of the desktop's thread is in cast.c.
 */
#include "shot_impl.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void shot_rgb(const struct canvas *c, uint8_t *rgb)
{
	for (int y = 0; y < c->height; y++) {
		const uint32_t *from = c->pixels + (ptrdiff_t)y * c->stride;

		for (int x = 0; x < c->width; x++, rgb += 3) {
			rgb[0] = (uint8_t)(from[x] >> 16);
			rgb[1] = (uint8_t)(from[x] >> 8);
			rgb[2] = (uint8_t)from[x];
		}
	}
}

int shot_png(const char *path, const uint8_t *rgb, int width, int height)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)width,
		.height = (png_uint_32)height,
		.format = PNG_FORMAT_RGB,
		.flags = PNG_IMAGE_FLAG_FAST,
	};
	FILE *f = fopen(path, "wbe");
	int err = 0;

	if (!f)
		return -errno;
	if (!png_image_write_to_stdio(&image, f, 0, rgb, 3 * width, NULL))
		err = -EIO;
	png_image_free(&image);
	if (fclose(f) && !err)
		err = -errno;
	return err;
}

int shot_write(struct desktop *d, const char *path, const struct hid_rect *part)
{
	const struct canvas *screen = desktop_screen(d);
	struct canvas c =
		part ? paint_part(screen, part->x, part->y, part->width, part->height) : *screen;
	uint8_t *rgb;
	int err;

	if (c.width <= 0 || c.height <= 0)
		return -ENODATA; /* nothing was presented, or nothing is there */
	rgb = malloc((size_t)c.width * (size_t)c.height * 3);
	if (!rgb)
		return -ENOMEM;
	shot_rgb(&c, rgb);
	err = shot_png(path, rgb, c.width, c.height);
	free(rgb);
	return err;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

void shot_new_name(char path[4096], const char *ending)
{
	const char *pictures = getenv("XDG_PICTURES_DIR"), *home = getenv("HOME");
	char folder[3072], when[32];
	time_t now = time(NULL);
	struct tm tm;

	if (pictures && is_folder(pictures))
		snprintf(folder, sizeof(folder), "%s", pictures);
	else
		snprintf(folder, sizeof(folder), "%s/Pictures", home ? home : "");
	if (!is_folder(folder))
		snprintf(folder, sizeof(folder), "%s", home && is_folder(home) ? home : "/tmp");
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm);
	snprintf(path, 4096, "%s/exoshell-%s%s", folder, when, ending);
	for (unsigned n = 2; access(path, F_OK) == 0 && n < 1000; n++)
		snprintf(path, 4096, "%s/exoshell-%s-%u%s", folder, when, n, ending);
}

void shot_screenshot(struct desktop *d)
{
	char path[4096];
	int err;

	shot_new_name(path, ".png");
	err = shot_write(d, path, NULL);
	if (err)
		notice(d, d->theme.danger, "%s: %s", path, strerror(-err));
	else
		notice(d, d->theme.accent, "the screen is in %s", path);
}
