/*
 * Decoding, by stb_image. Limit: of an animation the first picture; no rotation by EXIF. The
 * decoder is not trusted with anything but this machine.
 */
#include "picture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_ONLY_GIF
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS PICTURE_SIDE_MAX
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

/* All of it; NULL with *error. */
static unsigned char *read_file(const char *path, size_t *bytes, const char **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *data = NULL, *larger;
	size_t room = 0, got = 0;
	ssize_t n = 1;

	if (fd < 0) {
		*error = strerror(errno);
		return NULL;
	}
	/* What it says of its size is not asked: it may grow, or be endless. */
	while (n > 0) {
		if (got == room) {
			room = room ? 2 * room : 256 * 1024;
			larger = room <= 2 * (size_t)PICTURE_BYTES_MAX ? realloc(data, room) : NULL;
			if (!larger) {
				errno = room > PICTURE_BYTES_MAX ? EFBIG : ENOMEM;
				n = -1;
				break;
			}
			data = larger;
		}
		n = read(fd, data + got, room - got);
		got += n > 0 ? (size_t)n : 0;
	}
	if (n == 0 && got > PICTURE_BYTES_MAX) {
		errno = EFBIG;
		n = -1;
	}
	if (n < 0) {
		*error = errno == EFBIG ? "the file is larger than 64 MiB" : strerror(errno);
		free(data);
		data = NULL;
	}
	close(fd);
	*bytes = got;
	return data;
}

/* R, G, B, A as bytes to 0xffRRGGBB, in place; squares behind what is not opaque. */
static void to_pixels(uint32_t *p, unsigned width, unsigned height)
{
	for (unsigned y = 0; y < height; y++) {
		for (unsigned x = 0; x < width; x++, p++) {
			uint32_t v = *p, a = v >> 24, square = (x / 8 + y / 8) % 2 ? 0x99 : 0x66;
			uint32_t r = v & 255, g = v >> 8 & 255, b = v >> 16 & 255;

			if (a != 255) {
				r = (r * a + square * (255 - a)) / 255;
				g = (g * a + square * (255 - a)) / 255;
				b = (b * a + square * (255 - a)) / 255;
			}
			*p = EXO_RGB(r, g, b);
		}
	}
}

static const char *decode(const unsigned char *data, size_t bytes, struct exo_surface *s)
{
	int width, height, channels;
	unsigned char *pixels;

	if (!stbi_info_from_memory(data, (int)bytes, &width, &height, &channels))
		return "this is no PNG, JPEG, BMP or GIF picture of a usual size";
	if (width <= 0 || height <= 0 || width > PICTURE_SIDE_MAX || height > PICTURE_SIDE_MAX ||
	    (uint64_t)width * (uint64_t)height > PICTURE_PIXELS_MAX)
		return "the picture is too large";
	errno = 0;
	pixels = stbi_load_from_memory(data, (int)bytes, &width, &height, &channels, 4);
	if (!pixels)
		return errno == ENOMEM ? "there is not enough memory" : "the picture is damaged";
	s->pixels = (uint32_t *)(void *)pixels;
	s->width = s->stride = (unsigned)width;
	s->height = (unsigned)height;
	to_pixels(s->pixels, s->width, s->height);
	return NULL;
}

const char *picture_load(const char *path, struct exo_surface *s)
{
	const char *error = NULL;
	size_t bytes = 0;
	unsigned char *data = read_file(path, &bytes, &error);

	memset(s, 0, sizeof(*s));
	if (!data)
		return error;
	error = decode(data, bytes, s);
	free(data);
	return error;
}

void picture_free(struct exo_surface *s)
{
	free(s->pixels);
	memset(s, 0, sizeof(*s));
}
