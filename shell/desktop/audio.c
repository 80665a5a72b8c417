/*
 * Sound: what all guests play, mixed to 48 kHz stereo, goes to one device of the host by SDL's
 * queue, which a tick keeps some 50 ms long while somebody plays; a guest hears PLAYED as its
 * sound goes there. Without a device, a clock takes it in its place. With nobody
 * playing there is no device, no tick and no wake-up. Recording is in capture.c.
 */
#include "audio_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS 10000000ull
#define SECOND 1000000000ull
#define LEAD (AUDIO_RATE / 20)     /* frames in the device's queue */
#define STEP_MAX (AUDIO_RATE / 10) /* frames a tick: after a long sleep the rest is skipped */
#define LINGER_NS SECOND           /* the device stays open so long after the last sound */
#define RING_BYTES (1u << 17)      /* 250 ms of the most there is, and a message: a power of two */
#define HELD 1024                  /* source frames that the converter may hold back */
#define FEED 512                   /* source frames put into the converter at a time */

struct audio_stream {
	struct audio *audio;
	struct audio_stream *next;
	SDL_AudioStream *converter;
	uint32_t rate, frame_bytes;
	audio_played_fn *played;
	void *opaque;
	uint32_t read, written; /* bytes, wrap; of ring */
	uint32_t owed;          /* bytes that the converter took and nobody was told of */
	uint8_t ring[RING_BYTES];
};

static struct audio *audio_of(const struct desktop *d)
{
	return d->audio;
}

/* ---- WAV: RIFF, PCM --------------------------------------------------------------------- */

static void put32(uint8_t *at, uint32_t n)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(n >> 8 * i);
}

/* Again at the end, when the sizes are known. */
static void write_wav_header(struct audio *a)
{
	static const uint8_t format[20] = {16,   0,    0, 0, 1, 0,    2, 0, /* PCM, stereo */
					   0x80, 0xbb, 0, 0, 0, 0xee, 2, 0, 4, 0, 16, 0};
	uint64_t bytes = a->wav_frames * 4;
	uint32_t n = bytes > UINT32_MAX - 36 ? UINT32_MAX - 36 : (uint32_t)bytes;
	uint8_t h[44];

	memcpy(h, "RIFF", 4);
	put32(h + 4, n + 36);
	memcpy(h + 8, "WAVEfmt ", 8);
	memcpy(h + 16, format, sizeof(format));
	memcpy(h + 36, "data", 4);
	put32(h + 40, n);
	rewind(a->wav);
	(void)!fwrite(h, sizeof(h), 1, a->wav);
}

/* ---- the device ------------------------------------------------------------------------- */

static void open_device(struct audio *a)
{
	const SDL_AudioSpec wanted = {
		.freq = AUDIO_RATE, .format = AUDIO_S16LSB, .channels = 2, .samples = 512};

	if (a->device || !a->wants_device || a->failed)
		return;
	if (SDL_InitSubSystem(SDL_INIT_AUDIO) == 0)
		a->device = SDL_OpenAudioDevice(NULL, 0, &wanted, NULL, 0);
	a->failed = !a->device;
	if (a->failed)
		notice(a->desktop, a->desktop->theme.danger, "no sound can be heard: %s",
		       SDL_GetError());
	else
		SDL_PauseAudioDevice(a->device, 0);
}

static void close_device(struct audio *a)
{
	if (a->device)
		SDL_CloseAudioDevice(a->device);
	a->device = 0;
}

/* How many frames there is room for. */
static uint32_t room(struct audio *a, uint64_t now)
{
	uint64_t passed = now - a->clock_ns, frames = passed * AUDIO_RATE / SECOND;
	uint32_t queued;

	if (a->device) {
		a->clock_ns = now;
		queued = SDL_GetQueuedAudioSize(a->device) / 4;
		return queued < LEAD ? LEAD - queued : 0;
	}
	if (frames > STEP_MAX) {
		a->clock_ns = now;
		return STEP_MAX;
	}
	a->clock_ns += frames * SECOND / AUDIO_RATE;
	return (uint32_t)frames;
}

/* ---- mixing -------------------------------------------------------------------------------- */

/*
 * Moves sound from the ring to the converter until that has `bytes`. It holds some back, to smooth
 * what follows: if nothing does, that comes out, too.
 */
static void feed(struct audio_stream *st, int bytes)
{
	while (SDL_AudioStreamAvailable(st->converter) < bytes && st->read != st->written) {
		uint32_t n = st->written - st->read, at = st->read % RING_BYTES;

		if (n > FEED * st->frame_bytes)
			n = FEED * st->frame_bytes;
		if (n > RING_BYTES - at)
			n = RING_BYTES - at;
		(void)SDL_AudioStreamPut(st->converter, st->ring + at, (int)n);
		st->read += n;
		st->owed += n;
	}
	if (st->owed && SDL_AudioStreamAvailable(st->converter) < bytes)
		(void)SDL_AudioStreamFlush(st->converter);
}

/* What has left the converter for certain. */
static void tell_played(struct audio_stream *st)
{
	uint32_t inside = SDL_AudioStreamAvailable(st->converter) ? HELD * st->frame_bytes : 0;
	uint32_t n = st->owed > inside ? st->owed - inside : 0;

	st->owed -= n;
	if (n)
		st->played(st->opaque, n);
}

static void add(int32_t *sum, const int16_t *from, uint32_t samples)
{
	for (uint32_t i = 0; i < samples; i++)
		sum[i] += from[i];
}

static void mix(struct audio *a, uint32_t frames)
{
	static const int16_t loudest = INT16_MAX;
	int32_t sum[2 * STEP_MAX] = {0};
	int16_t out[2 * STEP_MAX];
	int bytes = (int)frames * 4;

	for (struct audio_stream *st = a->streams; st; st = st->next) {
		int n;

		feed(st, bytes);
		n = SDL_AudioStreamGet(st->converter, out, bytes);
		if (n > 0)
			add(sum, out, (uint32_t)n / 2);
		tell_played(st);
	}
	for (uint32_t i = 0; i < 2 * frames; i++)
		out[i] = (int16_t)(sum[i] > loudest        ? loudest
				   : sum[i] < -loudest - 1 ? -loudest - 1
							   : sum[i]);
	if (a->device)
		(void)SDL_QueueAudio(a->device, out, (uint32_t)bytes);
	if (a->wav && fwrite(out, 4, frames, a->wav) == frames)
		a->wav_frames += frames;
}

static uint64_t tick_playback(struct audio *a, uint64_t now)
{
	if (a->streams) {
		uint32_t frames = room(a, now);

		a->idle_ns = now;
		if (frames)
			mix(a, frames < STEP_MAX ? frames : STEP_MAX);
		return now + TICK_NS;
	}
	if (!a->device)
		return 0;
	if (now - a->idle_ns < LINGER_NS)
		return a->idle_ns + LINGER_NS;
	close_device(a);
	return 0;
}

uint64_t audio_tick(struct desktop *d, uint64_t now_ns)
{
	struct audio *a = audio_of(d);
	uint64_t play = a ? tick_playback(a, now_ns) : 0;
	uint64_t record = a ? audio_tick_capture(a, now_ns) : 0;

	return !play || (record && record < play) ? record : play;
}

/* ---- streams ----------------------------------------------------------------------------------
 */

struct audio_stream *audio_play(struct desktop *d, uint32_t rate, uint32_t channels,
				audio_played_fn *played, void *opaque)
{
	struct audio *a = audio_of(d);
	struct audio_stream *st = a ? calloc(1, sizeof(*st)) : NULL;

	if (!st)
		return NULL;
	st->converter = SDL_NewAudioStream(AUDIO_S16LSB, (uint8_t)channels, (int)rate, AUDIO_S16LSB,
					   2, AUDIO_RATE);
	if (!st->converter) {
		free(st);
		return NULL;
	}
	st->audio = a;
	st->rate = rate;
	st->frame_bytes = 2 * channels;
	st->played = played;
	st->opaque = opaque;
	if (!a->streams) {
		open_device(a);
		a->clock_ns = desktop_now(d);
	}
	st->next = a->streams;
	a->streams = st;
	desktop_wake_at(d, desktop_now(d) + TICK_NS);
	return st;
}

bool audio_write(struct audio_stream *st, const void *data, uint32_t bytes)
{
	uint32_t at = st ? st->written % RING_BYTES : 0, first;

	if (!st || bytes % st->frame_bytes || bytes > RING_BYTES - (st->written - st->read))
		return false;
	first = bytes < RING_BYTES - at ? bytes : RING_BYTES - at;
	memcpy(st->ring + at, data, first);
	memcpy(st->ring, (const uint8_t *)data + first, bytes - first);
	st->written += bytes;
	return true;
}

void audio_stop(struct audio_stream *st)
{
	struct audio_stream **at = st ? &st->audio->streams : NULL;

	if (!st)
		return;
	while (*at != st)
		at = &(*at)->next;
	*at = st->next;
	SDL_FreeAudioStream(st->converter);
	free(st);
}

/* ---- begin and end ------------------------------------------------------------------------------
 */

int audio_open(struct desktop *d, const char *wav, bool device)
{
	struct audio *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->desktop = d;
	a->wants_device = device;
	if (wav) {
		a->wav = fopen(wav, "wbe");
		if (!a->wav) {
			free(a);
			return -errno;
		}
		write_wav_header(a);
	}
	d->audio = a;
	return 0;
}

void audio_close(struct desktop *d)
{
	struct audio *a = audio_of(d);

	if (!a)
		return;
	while (a->streams)
		audio_stop(a->streams);
	audio_close_capture(a);
	close_device(a);
	if (a->wav) {
		write_wav_header(a);
		fclose(a->wav);
	}
	free(a);
	d->audio = NULL;
}
