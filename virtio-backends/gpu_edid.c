/*
 * A display's description (VESA E-EDID 1.4) for GET_EDID: one detailed timing,
 * blanked as VESA CVT's reduced blanking does. Pure.
 *
 * Limit: a mode beyond what a detailed timing can say (4095 pixels a side) has
 * none; drivers then take what GET_DISPLAY_INFO says.
 */
#include "gpu_impl.h"

#include <stdio.h>
#include <string.h>

#define TIMING_MAX 4095u
#define CLOCK_MAX 65535u /* of 10 kHz */
#define H_BLANK 160u
#define H_FRONT 48u
#define H_SYNC 32u
#define V_FRONT 3u
#define V_SYNC 6u
#define V_BLANK_NS 460000u
#define REFRESH_MHZ 60000u

/* A length in tenths of a millimetre at 96 dots an inch times the scale. */
static uint32_t tenths_mm(uint32_t pixels, uint32_t scale)
{
	return (uint32_t)((uint64_t)pixels * 254 * EXO_DPY_SCALE_ONE / (96ull * scale));
}

static uint32_t at_most(uint32_t value, uint32_t max)
{
	return value < max ? value : max;
}

static uint32_t v_blank(uint32_t height, uint32_t refresh_mhz)
{
	uint64_t frame_ns = 1000000000000ull / refresh_mhz;
	uint64_t line_ns, lines = V_FRONT + V_SYNC + 6;

	if (frame_ns > V_BLANK_NS) {
		line_ns = (frame_ns - V_BLANK_NS) / height;
		if (line_ns && V_BLANK_NS / line_ns + 1 > lines)
			lines = V_BLANK_NS / line_ns + 1;
	}
	return lines < TIMING_MAX ? (uint32_t)lines : TIMING_MAX;
}

/* 3.10.2 */
static void put_timing(uint8_t *d, const struct gpu_mode *m)
{
	uint32_t refresh = m->refresh_mhz ? m->refresh_mhz : REFRESH_MHZ;
	uint32_t vb = v_blank(m->height, refresh);
	uint64_t clock = (uint64_t)(m->width + H_BLANK) * (m->height + vb) * refresh / 10000000;
	uint32_t w = m->width, h = m->height;
	uint32_t w_mm = at_most(tenths_mm(w, m->scale) / 10, TIMING_MAX);
	uint32_t h_mm = at_most(tenths_mm(h, m->scale) / 10, TIMING_MAX);

	clock = clock < CLOCK_MAX ? clock : CLOCK_MAX;
	clock = clock ? clock : 1; /* 0 would not be a timing */
	d[0] = (uint8_t)clock;
	d[1] = (uint8_t)(clock >> 8);
	d[2] = (uint8_t)w;
	d[3] = (uint8_t)H_BLANK;
	d[4] = (uint8_t)(w >> 8 << 4 | H_BLANK >> 8);
	d[5] = (uint8_t)h;
	d[6] = (uint8_t)vb;
	d[7] = (uint8_t)(h >> 8 << 4 | vb >> 8);
	d[8] = H_FRONT;
	d[9] = H_SYNC;
	d[10] = V_FRONT << 4 | V_SYNC;
	d[12] = (uint8_t)w_mm;
	d[13] = (uint8_t)h_mm;
	d[14] = (uint8_t)(w_mm >> 8 << 4 | h_mm >> 8);
	d[17] = 0x1a; /* digital, separate syncs, horizontal positive */
}

/* A display descriptor (3.10.3) with text: ended by a line feed, filled up with blanks. */
static void put_text(uint8_t *d, uint8_t tag, const char *text)
{
	size_t len = strlen(text);

	d[3] = tag;
	memset(d + 5, ' ', 13);
	memcpy(d + 5, text, len);
	d[5 + len] = '\n';
}

void gpu_edid(uint8_t edid[GPU_EDID_BYTES], const struct gpu_mode *m, unsigned scanout)
{
	static const uint8_t begin[] = {
		0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, /* header */
		0x17, 0x0f,                                     /* vendor: EXO */
		0x01, 0x00,                                     /* product */
	};
	static const uint8_t srgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
	bool timing = m->width && m->width <= TIMING_MAX && m->height <= TIMING_MAX;
	uint8_t sum = 0, *d = edid + 54;
	char serial[13];

	memset(edid, 0, GPU_EDID_BYTES);
	memcpy(edid, begin, sizeof(begin));
	edid[12] = (uint8_t)(scanout + 1); /* serial number */
	edid[17] = 2024 - 1990;            /* year of the model */
	edid[16] = 0xff;
	edid[18] = 1;
	edid[19] = 4;    /* EDID 1.4 */
	edid[20] = 0xa0; /* digital, 8 bits a colour */
	edid[21] = (uint8_t)at_most((tenths_mm(m->width, m->scale) + 50) / 100, 255); /* cm */
	edid[22] = (uint8_t)at_most((tenths_mm(m->height, m->scale) + 50) / 100, 255);
	edid[23] = 120;  /* gamma 2.2 */
	edid[24] = 0x06; /* sRGB, the first timing is the native one */
	memcpy(edid + 25, srgb, sizeof(srgb));
	memset(edid + 38, 0x01, 16); /* no standard timings */
	if (timing) {
		put_timing(d, m);
		d += 18;
	}
	put_text(d, 0xfc, "Exoshell");
	snprintf(serial, sizeof(serial), "%u", scanout + 1);
	put_text(d + 18, 0xff, serial);
	for (d += 36; d < edid + 126; d += 18)
		d[3] = 0x10; /* dummy */
	for (unsigned i = 0; i < GPU_EDID_BYTES - 1; i++)
		sum += edid[i];
	edid[GPU_EDID_BYTES - 1] = (uint8_t)-sum;
}
