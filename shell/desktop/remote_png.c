/* Golden pictures: PNG files read, written and compared; see remote_impl.h. Files of tests. */
#include "remote_impl.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int remote_png_read(const char *path, struct remote_picture *p, char why[REMOTE_WHY_MAX])
{
	png_image image = {.version = PNG_IMAGE_VERSION};

	*p = (struct remote_picture){0};
	if (!png_image_begin_read_from_file(&image, path)) {
		snprintf(why, REMOTE_WHY_MAX, "%.400s: %.64s", path, image.message);
		return -1;
	}
	image.format = PNG_FORMAT_BGRA;
	if (image.width <= 16384 && image.height <= 16384)
		p->pixels = malloc(PNG_IMAGE_SIZE(image));
	if (!p->pixels || !png_image_finish_read(&image, NULL, p->pixels, 0, NULL)) {
		snprintf(why, REMOTE_WHY_MAX, "%.400s: %s", path,
			 p->pixels ? image.message : "too large");
		png_image_free(&image);
		free(p->pixels);
		p->pixels = NULL;
		return -1;
	}
	p->width = (int)image.width;
	p->height = (int)image.height;
	return 0;
}

int remote_png_write(const char *path, const struct remote_picture *p)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)p->width,
		.height = (png_uint_32)p->height,
		.format = PNG_FORMAT_BGR,
	};
	size_t n = (size_t)p->width * (size_t)p->height;
	uint8_t *bytes = malloc(n * 3);
	int err = bytes ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < n; i++)
		memcpy(bytes + 3 * i, &p->pixels[i], 3);
	errno = 0;
	if (!err && !png_image_write_to_file(&image, path, 0, bytes, 0, NULL))
		err = errno ? -errno : -EIO;
	free(bytes);
	return err;
}

int remote_picture_of(const struct canvas *c, const struct hid_rect *part, struct remote_picture *p)
{
	*p = (struct remote_picture){.width = part->width, .height = part->height};
	p->pixels = malloc((size_t)part->width * (size_t)part->height * sizeof(*p->pixels) + 1);
	if (!p->pixels)
		return -ENOMEM;
	for (int y = 0; y < part->height; y++) {
		const uint32_t *from =
			c->pixels + (size_t)(part->y + y) * (size_t)c->stride + part->x;

		for (int x = 0; x < part->width; x++)
			p->pixels[(size_t)y * (size_t)part->width + (size_t)x] =
				from[x] | 0xff000000u;
	}
	return 0;
}

static unsigned distance(uint32_t a, uint32_t b)
{
	unsigned most = 0;

	for (unsigned shift = 0; shift < 24; shift += 8) {
		int by = (int)(a >> shift & 0xff) - (int)(b >> shift & 0xff);
		unsigned far = (unsigned)(by < 0 ? -by : by);

		most = far > most ? far : most;
	}
	return most;
}

uint64_t remote_picture_compare(const struct remote_picture *a, const struct remote_picture *b,
				unsigned tolerance, unsigned *most)
{
	size_t n = (size_t)a->width * (size_t)a->height;
	uint64_t differ = 0;

	*most = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned far = distance(a->pixels[i], b->pixels[i]);

		*most = far > *most ? far : *most;
		differ += far > tolerance;
	}
	return differ;
}

int remote_picture_difference(const struct remote_picture *a, const struct remote_picture *b,
			      unsigned tolerance, struct remote_picture *out)
{
	size_t n = (size_t)a->width * (size_t)a->height;

	*out = (struct remote_picture){malloc(n * sizeof(*out->pixels)), a->width, a->height};
	if (!out->pixels)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t pale = 0xffc0c0c0u + (a->pixels[i] >> 2 & 0x3f3f3fu);

		out->pixels[i] =
			distance(a->pixels[i], b->pixels[i]) > tolerance ? 0xffe00000u : pale;
	}
	return 0;
}
