/*
 * What a monitor's EDID (VESA E-EDID 1.4, 3.10.2: the preferred detailed timing) says of how large
 * things shall be, and how often pictures change. Ring 3.
 */
#include "gpu_impl.h"

#define EDID_BYTES 128
#define TIMING 54 /* of the first descriptor */

#define MM_PER_INCH_10 254u
#define DPI_OF_ONE 96u /* at which one pixel is one pixel */
#define SCALE_ONE 120u
#define SCALE_STEP 15u /* millimetres are rounded, and monitors of 100 dpi are meant to be 1 */
#define SCALE_MAX 960u
#define REFRESH_MIN_MHZ 10000u
#define REFRESH_MAX_MHZ 1000000u

static bool valid(const uint8_t *e, uint32_t bytes)
{
	static const uint8_t head[8] = {0, 255, 255, 255, 255, 255, 255, 0};
	uint8_t sum = 0;

	if (bytes < EDID_BYTES || memcmp(e, head, sizeof(head)) != 0)
		return false;
	for (unsigned i = 0; i < EDID_BYTES; i++)
		sum = (uint8_t)(sum + e[i]);
	return sum == 0;
}

/* 12 bits: the low eight, and one half of the byte with the high ones. */
static uint32_t twelve(uint8_t low, uint8_t high, unsigned shift)
{
	return low | ((uint32_t)high >> shift & 15) << 8;
}

void gpu_read_edid(const uint8_t *edid, uint32_t bytes, struct exo_display_mode *mode)
{
	const uint8_t *t = edid + TIMING;
	uint32_t width, height, across, down, clock, mm, scale, mhz;

	if (!valid(edid, bytes))
		return;
	clock = t[0] | (uint32_t)t[1] << 8; /* 10 kHz */
	width = twelve(t[2], t[4], 4);
	across = width + twelve(t[3], t[4], 0);
	height = twelve(t[5], t[7], 4);
	down = height + twelve(t[6], t[7], 0);
	mm = twelve(t[12], t[14], 4);
	if (!clock || !width || !height)
		return; /* not a timing */
	if (mm) {
		scale = width * MM_PER_INCH_10 * SCALE_ONE / (10 * mm * DPI_OF_ONE);
		scale = (scale + SCALE_STEP / 2) / SCALE_STEP * SCALE_STEP;
		mode->scale = MIN(MAX(scale, SCALE_ONE), SCALE_MAX);
	}
	mhz = (uint32_t)((uint64_t)clock * 10000 * 1000 / ((uint64_t)across * down));
	if (mhz >= REFRESH_MIN_MHZ && mhz <= REFRESH_MAX_MHZ)
		mode->refresh_mhz = mhz;
}
