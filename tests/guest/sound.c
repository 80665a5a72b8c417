/* expect: exit 3 */
/* run: play 48000 2 480 */
/*
 * Plays and records, for tests from outside (tests/e2e/test_window_sound.sh). Without a sound
 * device: status 3, as here.
 *
 *	sound.elf play RATE CHANNELS FRAMES     counts upwards in the samples, and drains
 *	sound.elf record RATE CHANNELS FRAMES   prints the first of each 100 samples
 *	sound.elf poll RATE CHANNELS FRAMES     plays, writing only what there is room for
 *	sound.elf twice RATE CHANNELS FRAMES    plays, closes in the middle, and plays again
 */
#include <exo_sound.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int16_t *samples;

static void count(size_t frames, unsigned channels, int16_t from)
{
	samples = malloc(frames * channels * sizeof(*samples));
	for (size_t i = 0; i < frames * channels; i++)
		samples[i] = (int16_t)(from + (int)(i % 30000));
}

static int play(struct exo_sound *s, size_t frames)
{
	if (exo_sound_write(s, samples, frames, true) != (long)frames)
		return 5;
	printf("written\n");
	if (exo_sound_drain(s))
		return 6;
	printf("drained, room for %zu\n", exo_sound_room(s));
	return 0;
}

static int play_polled(struct exo_sound *s, size_t frames, unsigned channels)
{
	size_t done = 0;

	while (done < frames) {
		struct pollfd p = {.fd = exo_sound_fd(s), .events = POLLIN};
		long n;

		if (poll(&p, 1, -1) != 1 || !exo_sound_room(s))
			return 7;
		n = exo_sound_write(s, samples + done * channels, frames - done, false);
		if (n <= 0)
			return 8;
		done += (size_t)n;
	}
	return exo_sound_drain(s) ? 6 : 0;
}

static int record(struct exo_sound *s, size_t frames, unsigned channels)
{
	int16_t *got = malloc(frames * channels * sizeof(*got));

	if (exo_sound_read(s, got, frames, true) != (long)frames)
		return 9;
	for (size_t i = 0; i < frames * channels; i += 100)
		printf("%d ", got[i]);
	printf("recorded\n");
	free(got);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned rate, channels;
	struct exo_sound *s;
	size_t frames;
	int result;

	if (argc != 5)
		return 2;
	rate = (unsigned)atoi(argv[2]);
	channels = (unsigned)atoi(argv[3]);
	frames = (size_t)atoi(argv[4]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	count(frames, channels, 0);
	s = exo_sound_open(argv[1][0] == 'r', rate, channels, 0);
	if (!s) {
		printf("no sound: %s\n", strerror(errno));
		return errno == ENODEV ? 3 : 4;
	}
	if (argv[1][0] == 'r') {
		result = record(s, frames, channels);
	} else if (argv[1][1] == 'o') {
		result = play_polled(s, frames, channels);
	} else {
		if (argv[1][0] == 't') {
			exo_sound_write(s, samples, frames / 2, true);
			exo_sound_close(s);
			s = exo_sound_open(false, rate, channels, 0);
			if (!s)
				return 10;
		}
		result = play(s, frames);
	}
	exo_sound_close(s);
	free(samples);
	return result;
}
