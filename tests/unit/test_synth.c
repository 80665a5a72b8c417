/* The mixer's tones: as high and as loud as asked, without clicks, and silent when they should be.
 */
#include "synth.h"
#include "unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct synth s;
static int16_t out[2 * SYNTH_RATE];
static int peak[2];

static void setup(void)
{
	memset(&s, 0, sizeof(s));
	s.master = 100;
	for (unsigned i = 0; i < SYNTH_VOICES; i++)
		s.voice[i] = (struct synth_voice){
			.wave = (enum synth_wave)i, .note = 12 * i, .volume = 100};
}

START_TEST(silence)
{
	ck_assert(synth_silent(&s));
	synth_render(&s, out, 1000, peak);
	for (unsigned i = 0; i < 2000; i++)
		ck_assert_int_eq(out[i], 0);
	s.voice[0].on = true;
	ck_assert(!synth_silent(&s));
	synth_render(&s, out, SYNTH_RATE / 10, peak);
	ck_assert_int_gt(peak[0], 1000);
	s.voice[0].on = false;
	ck_assert(!synth_silent(&s)); /* it fades */
	synth_render(&s, out, SYNTH_RATE / 10, peak);
	ck_assert(synth_silent(&s));
	ck_assert_int_eq(out[SYNTH_RATE / 10], 0);
}
END_TEST

START_TEST(pitch)
{
	unsigned ups = 0;

	ck_assert(synth_hertz(24) > 439.999 && synth_hertz(24) < 440.001);
	s.voice[0].on = true;
	s.voice[0].note = 24;
	synth_render(&s, out, SYNTH_RATE, peak);
	for (unsigned i = 1; i < SYNTH_RATE; i++)
		ups += out[2 * i - 2] < 0 && out[2 * i] >= 0;
	ck_assert_uint_ge(ups, 438);
	ck_assert_uint_le(ups, 441);
}
END_TEST

START_TEST(all_at_once)
{
	int last = 0, jump = 0;

	for (unsigned i = 0; i < SYNTH_VOICES; i++)
		s.voice[i].on = true;
	synth_render(&s, out, SYNTH_RATE, peak);
	ck_assert_int_le(peak[0], 32000);
	ck_assert_int_le(peak[1], 32000);
	/* Sine and triangle, on and off: no jump larger than the wave's own. */
	setup();
	for (unsigned k = 0; k < 20; k++) {
		s.voice[0].on = s.voice[1].on = k % 2 == 0;
		synth_render(&s, out, 1000, peak);
		for (unsigned i = 0; i < 1000; i++) {
			jump = abs(out[2 * i] - last) > jump ? abs(out[2 * i] - last) : jump;
			last = out[2 * i];
		}
	}
	ck_assert_int_le(jump, 1500);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("synth");
	TCase *tc = tcase_create("synth");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, pitch);
	tcase_add_test(tc, all_at_once);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
