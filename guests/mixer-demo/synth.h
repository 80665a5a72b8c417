/* Tones, added up. Pure: the same samples from the same settings. */
#ifndef MIXER_SYNTH_H
#define MIXER_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYNTH_VOICES 4
#define SYNTH_RATE 48000
#define SYNTH_NOTES 48 /* half tones from 110 Hz on */

enum synth_wave { SYNTH_SINE, SYNTH_TRIANGLE, SYNTH_SQUARE, SYNTH_SAW, SYNTH_WAVES };

struct synth_voice {
	bool on;
	enum synth_wave wave;
	unsigned note;       /* 0 … SYNTH_NOTES */
	unsigned volume;     /* 0 … 100 */
	double phase, level; /* level follows the volume: nothing clicks */
};

struct synth {
	struct synth_voice voice[SYNTH_VOICES];
	unsigned master; /* 0 … 100 */
};

double synth_hertz(unsigned note);
/* n frames of two channels; voices are spread from left to right. The highest of each in peak. */
void synth_render(struct synth *s, int16_t *out, size_t n, int peak[2]);
/* Nothing is heard, and nothing will be. */
bool synth_silent(const struct synth *s);

#endif
