/*
 * The microphone: open only while a guest listens that the person lets hear it. Whoever may not
 * hears the silence that its device makes by itself.
 */
#include "audio_impl.h"

#include <stdlib.h>
#include <string.h>

#define TICK_NS 20000000ull
#define CHUNK 3840 /* bytes of the host's sound at a time: 20 ms */

struct recorder {
	struct recorder *next;
	struct dguest *guest;
	bool allowed;
	uint32_t rate, channels; /* 0: it does not listen */
	SDL_AudioStream *converter;
};

static struct audio *audio_of(const struct dguest *g)
{
	return g->desktop->audio;
}

static struct recorder *find(const struct dguest *g)
{
	struct audio *a = audio_of(g);
	struct recorder *r = a ? a->recorders : NULL;

	while (r && r->guest != g)
		r = r->next;
	return r;
}

static struct recorder *get(struct dguest *g)
{
	struct audio *a = audio_of(g);
	struct recorder *r = find(g);

	if (r || !a)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->guest = g;
	r->next = a->recorders;
	a->recorders = r;
	return r;
}

static void forget_converter(struct recorder *r)
{
	if (r->converter)
		SDL_FreeAudioStream(r->converter);
	r->converter = NULL;
}

static bool wanted(const struct recorder *r)
{
	return r->allowed && r->rate && r->guest->screen;
}

/* ---- the device ---------------------------------------------------------------------- */

static void open_microphone(struct audio *a)
{
	const SDL_AudioSpec spec = {
		.freq = AUDIO_RATE, .format = AUDIO_S16LSB, .channels = 2, .samples = 512};

	if (a->microphone || a->microphone_failed)
		return;
	if (a->wants_device && SDL_InitSubSystem(SDL_INIT_AUDIO) == 0)
		a->microphone = SDL_OpenAudioDevice(NULL, 1, &spec, NULL, 0);
	a->microphone_failed = !a->microphone;
	if (a->microphone_failed)
		notice(a->desktop, a->desktop->theme.danger, "no microphone: %s",
		       a->wants_device ? SDL_GetError() : "there is no sound without a display");
	else
		SDL_PauseAudioDevice(a->microphone, 0);
}

static void close_microphone(struct audio *a)
{
	if (a->microphone)
		SDL_CloseAudioDevice(a->microphone);
	a->microphone = 0;
	a->microphone_failed = false; /* the next time it may be plugged in */
}

/* ---- to guests -------------------------------------------------------------------------- */

static void give(struct recorder *r, const uint8_t *sound, int bytes)
{
	uint8_t out[EXO_DPY_PCM_MAX];
	int n;

	if (!r->converter)
		r->converter = SDL_NewAudioStream(AUDIO_S16LSB, 2, AUDIO_RATE, AUDIO_S16LSB,
						  (uint8_t)r->channels, (int)r->rate);
	if (!r->converter || SDL_AudioStreamPut(r->converter, sound, bytes))
		return;
	while ((n = SDL_AudioStreamGet(r->converter, out, sizeof(out))) > 0)
		screen_captured(r->guest->screen, out, (uint32_t)n);
}

uint64_t audio_tick_capture(struct audio *a, uint64_t now_ns)
{
	uint8_t sound[CHUNK];
	unsigned listeners = 0;
	uint32_t n;

	for (const struct recorder *r = a->recorders; r; r = r->next)
		listeners += wanted(r);
	if (!listeners) {
		close_microphone(a);
		return 0;
	}
	open_microphone(a);
	if (!a->microphone)
		return 0;
	for (unsigned i = 0; i < 8 && (n = SDL_DequeueAudio(a->microphone, sound, CHUNK)); i++) {
		for (struct recorder *r = a->recorders; r; r = r->next) {
			if (wanted(r))
				give(r, sound, (int)n);
		}
	}
	return now_ns + TICK_NS;
}

void audio_capture_wanted(struct dguest *g, uint32_t rate, uint32_t channels)
{
	struct recorder *r = get(g);

	if (!r)
		return;
	forget_converter(r);
	r->rate = rate;
	r->channels = channels;
	if (rate && !r->allowed)
		notice(g->desktop, g->colour, "%s listens to the microphone, and hears silence",
		       g->name);
	desktop_wake_at(g->desktop, desktop_now(g->desktop));
}

void audio_capture(struct desktop *d, struct dguest *g, bool on)
{
	struct recorder *r = get(g);

	if (!r)
		return;
	r->allowed = on;
	forget_converter(r);
	desktop_wake_at(d, desktop_now(d));
}

bool audio_captures(const struct dguest *g)
{
	const struct recorder *r = find(g);

	return r && r->allowed;
}

void audio_capture_stop(struct dguest *g)
{
	struct audio *a = audio_of(g);
	struct recorder **at = a ? &a->recorders : NULL, *r = find(g);

	if (!r)
		return;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	forget_converter(r);
	free(r);
	desktop_wake_at(g->desktop, desktop_now(g->desktop));
}

void audio_close_capture(struct audio *a)
{
	while (a->recorders) {
		struct recorder *r = a->recorders;

		a->recorders = r->next;
		forget_converter(r);
		free(r);
	}
	close_microphone(a);
}
