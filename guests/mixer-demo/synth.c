/* Tones, added up; the sum is bent, not cut, where it gets too loud. */
#include "synth.h"

#include <math.h>

#define FADE (1.0 / (SYNTH_RATE * 0.02)) /* from nothing to all */
#define TURN 6.28318530717958647692

double synth_hertz(unsigned note)
{
	return 110.0 * exp2(note / 12.0);
}

/* Takes the edge off a jump: what is above half the rate would be heard as something else. */
static double smooth(double phase, double step)
{
	if (phase < step) {
		phase /= step;
		return phase + phase - phase * phase - 1;
	}
	if (phase > 1 - step) {
		phase = (phase - 1) / step;
		return phase * phase + phase + phase + 1;
	}
	return 0;
}

static double wave(enum synth_wave w, double phase, double step)
{
	double half = phase < 0.5 ? phase + 0.5 : phase - 0.5;

	switch (w) {
	case SYNTH_TRIANGLE:
		return phase < 0.5 ? 4 * phase - 1 : 3 - 4 * phase;
	case SYNTH_SQUARE:
		return (phase < 0.5 ? 1 : -1) + smooth(phase, step) - smooth(half, step);
	case SYNTH_SAW:
		return 2 * phase - 1 - smooth(phase, step);
	default:
		return sin(phase * TURN);
	}
}

static double next(struct synth_voice *v, double wanted, double step)
{
	double sample;

	if (v->level < wanted)
		v->level = fmin(v->level + FADE, wanted);
	else if (v->level > wanted)
		v->level = fmax(v->level - FADE, wanted);
	if (v->level <= 0)
		return 0;
	sample = wave(v->wave, v->phase, step) * v->level;
	v->phase += step;
	v->phase -= floor(v->phase);
	return sample;
}

static double wanted_level(const struct synth *s, const struct synth_voice *v)
{
	return v->on ? v->volume / 100.0 * (s->master / 100.0) : 0;
}

static int16_t to_sample(double v)
{
	return (int16_t)lrint(tanh(v * 0.7) * 32000);
}

void synth_render(struct synth *s, int16_t *out, size_t n, int peak[2])
{
	double wanted[SYNTH_VOICES], step[SYNTH_VOICES];

	for (unsigned i = 0; i < SYNTH_VOICES; i++) {
		wanted[i] = wanted_level(s, &s->voice[i]);
		step[i] = synth_hertz(s->voice[i].note) / SYNTH_RATE;
	}
	peak[0] = peak[1] = 0;
	for (size_t f = 0; f < n; f++, out += 2) {
		double left = 0, right = 0;

		for (unsigned i = 0; i < SYNTH_VOICES; i++) {
			double v = next(&s->voice[i], wanted[i], step[i]);
			double where = 0.3 + 0.4 * i / (SYNTH_VOICES - 1);

			left += v * (1 - where);
			right += v * where;
		}
		out[0] = to_sample(left);
		out[1] = to_sample(right);
		for (int c = 0; c < 2; c++) {
			int loud = out[c] < 0 ? -out[c] : out[c];

			peak[c] = loud > peak[c] ? loud : peak[c];
		}
	}
}

bool synth_silent(const struct synth *s)
{
	for (unsigned i = 0; i < SYNTH_VOICES; i++)
		if (s->voice[i].level > 0 || wanted_level(s, &s->voice[i]) > 0)
			return false;
	return true;
}
