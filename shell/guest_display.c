/* What display a guest asks for; see guest_display.h. */
#include "guest_display.h"

#include "opts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PICTURE_UNIT (2ull << 20)
#define PICTURE_USUAL (64ull << 20)
#define INPUTS (EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET | EXO_DPY_HAS_MOUSE | EXO_DPY_HAS_TOUCH)

static const struct {
	const char *word;
	uint32_t bit;
} words[] = {
	{"keyboard", EXO_DPY_HAS_KEYBOARD}, {"tablet", EXO_DPY_HAS_TABLET},
	{"mouse", EXO_DPY_HAS_MOUSE},       {"touch", EXO_DPY_HAS_TOUCH},
	{"playback", EXO_DPY_HAS_PLAYBACK}, {"capture", EXO_DPY_HAS_CAPTURE},
};

void guest_display_default(struct guest_display *d)
{
	*d = (struct guest_display){.windows = 1,
				    .width = 640,
				    .height = 480,
				    .inputs = EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET,
				    .picture_bytes = PICTURE_USUAL};
}

bool guest_display_size(const char *text, uint32_t *width, uint32_t *height)
{
	const char *x = strchr(text, 'x');
	uint64_t w, h;
	char first[8];

	if (!x || (size_t)(x - text) >= sizeof(first))
		return false;
	memcpy(first, text, (size_t)(x - text));
	first[x - text] = '\0';
	if (opts_parse_number(first, 1, EXO_DPY_SIZE_MAX, &w) ||
	    opts_parse_number(x + 1, 1, EXO_DPY_SIZE_MAX, &h))
		return false;
	*width = (uint32_t)w;
	*height = (uint32_t)h;
	return true;
}

static uint32_t bit_of(const char *word)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(words[i].word, word))
			return words[i].bit;
	}
	return 0;
}

uint32_t guest_display_input(const char *word)
{
	return bit_of(word) & INPUTS;
}

uint32_t guest_display_sound(const char *word)
{
	return bit_of(word) & ~INPUTS;
}

const char *guest_display_word(uint32_t inputs, unsigned i)
{
	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
		if (inputs & words[k].bit && !i--)
			return words[k].word;
	}
	return NULL;
}

int guest_display_check(const struct guest_display *d, char why[GUEST_DISPLAY_WHY_MAX])
{
	uint64_t bytes = (uint64_t)d->width * d->height * 4;

	if (!d->windows || d->windows > EXO_DPY_SCANOUTS_MAX)
		snprintf(why, GUEST_DISPLAY_WHY_MAX, "windows: must be from 1 to %d",
			 EXO_DPY_SCANOUTS_MAX);
	else if (!d->width || d->width > EXO_DPY_SIZE_MAX || !d->height ||
		 d->height > EXO_DPY_SIZE_MAX)
		snprintf(why, GUEST_DISPLAY_WHY_MAX, "width and height: must be from 1 to %u",
			 EXO_DPY_SIZE_MAX);
	else if (d->picture_bytes < EXO_DPY_PICTURE_BYTES_MIN ||
		 d->picture_bytes > EXO_DPY_PICTURE_BYTES_MAX ||
		 (d->picture_bytes % PICTURE_UNIT && d->picture_bytes != EXO_DPY_PICTURE_BYTES_MIN))
		snprintf(why, GUEST_DISPLAY_WHY_MAX,
			 "memory: must be from 2M to 256M and a multiple of 2M, or 1M");
	else if (bytes > d->picture_bytes)
		snprintf(why, GUEST_DISPLAY_WHY_MAX,
			 "size: a picture of %ux%u has no room in %lluM of memory; give more",
			 d->width, d->height, (unsigned long long)d->picture_bytes >> 20);
	else
		return 0;
	return -EINVAL;
}
