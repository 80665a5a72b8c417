/*
 * The scene of guests/meter as a plain SDL2 program of the host: what a window costs without a
 * machine around the program.
 *
 *	sdlscene FRAMES WIDTH HEIGHT PACED
 *
 * PACED 1: at most 60 frames a second, as the desktop shows; 0: as many as there can be.
 */
#include "scene.h"

#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FRAME_NS 16666667u

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void wait_until(uint64_t ns)
{
	struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
		;
}

int main(int argc, char **argv)
{
	unsigned frames = argc > 4 ? (unsigned)atoi(argv[1]) : 0, done = 0;
	SDL_Window *w;
	uint64_t begin, cpu, next;

	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0"); /* straight to the X server */
	if (!frames || SDL_Init(SDL_INIT_VIDEO)) {
		fprintf(stderr, "sdlscene: FRAMES WIDTH HEIGHT PACED: %s\n", SDL_GetError());
		return 2;
	}
	w = SDL_CreateWindow("scene", 0, 0, atoi(argv[2]), atoi(argv[3]), 0);
	if (!w)
		return 1;
	begin = next = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	for (; done < frames; done++) {
		SDL_Surface *s = SDL_GetWindowSurface(w);
		SDL_Event e;

		while (SDL_PollEvent(&e))
			;
		scene_draw(s->pixels, (unsigned)s->w, (unsigned)s->h, (size_t)s->pitch / 4, done);
		SDL_UpdateWindowSurface(w);
		next += FRAME_NS;
		if (atoi(argv[4]) && now(CLOCK_MONOTONIC) < next)
			wait_until(next);
	}
	printf("sdlscene frames=%u fps=%.2f cpu_ms=%.1f\n", done,
	       done * 1e9 / (double)(now(CLOCK_MONOTONIC) - begin),
	       (double)(now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e6);
	SDL_DestroyWindow(w);
	SDL_Quit();
	return 0;
}
