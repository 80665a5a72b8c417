/*
 * Measuring without anything around it: no widgets, no text. Escape ends it before its time; the
 * line is printed all the same.
 */
#include "bench.h"

#include "samples.h"
#include "scene.h"

#include <exo_draw.h>

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <time.h>

#define PENDING_MAX 64 /* inputs whose picture is on its way; those beyond count as the last */

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool is_escape(const struct exo_event *e)
{
	return e->type == EXO_EVENT_KEY && e->key.down && e->key.code == KEY_ESC;
}

/* Waits until the frame was seen. 1; 0: the person ends it; -1. */
static int wait_seen(struct exo_window *w)
{
	struct exo_event e;

	while (exo_window_busy(w)) {
		if (exo_window_next(w, &e, -1) < 0 && errno != EINTR)
			return -1;
		if (is_escape(&e))
			return 0;
	}
	return 1;
}

/* ---- frames ----------------------------------------------------------------------- */

struct frames {
	struct samples draw, whole;
	uint64_t begin_ns, cpu_ns;
	unsigned width, height, done;
};

static int one_frame(struct exo_window *w, struct frames *f, unsigned number)
{
	uint64_t start = now(CLOCK_MONOTONIC), drawn;
	struct exo_surface s = exo_window_begin(w);
	int r;

	if (!s.pixels)
		return -1;
	scene_draw(s.pixels, s.width, s.height, s.stride, number);
	drawn = now(CLOCK_MONOTONIC);
	exo_window_damage(w, 0, 0, (int)s.width, (int)s.height);
	if (exo_window_present(w))
		return -1;
	r = wait_seen(w);
	f->width = s.width;
	f->height = s.height;
	if (number == 0) { /* the first one has start-up in it */
		f->begin_ns = now(CLOCK_MONOTONIC);
		f->cpu_ns = now(CLOCK_PROCESS_CPUTIME_ID);
	} else {
		samples_add(&f->draw, drawn - start);
		samples_add(&f->whole, now(CLOCK_MONOTONIC) - start);
		f->done++;
	}
	return r;
}

int bench_frames(struct exo_window *w, unsigned frames)
{
	struct frames f = {0};
	uint64_t ns, cpu;
	int r = 1;

	if (!samples_init(&f.draw, frames) || !samples_init(&f.whole, frames))
		r = -1;
	for (unsigned i = 0; r > 0 && i <= frames; i++)
		r = one_frame(w, &f, i);
	ns = now(CLOCK_MONOTONIC) - f.begin_ns;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - f.cpu_ns;
	if (r >= 0)
		printf("meter frames=%u seconds=%.3f fps=%.2f width=%u height=%u path=%s "
		       "draw_p50_us=%u draw_p99_us=%u frame_p50_us=%u frame_p99_us=%u "
		       "cpu_ms=%.1f\n",
		       f.done, (double)ns / 1e9, f.done * 1e9 / (double)ns, f.width, f.height,
		       exo_window_path(w), samples_at(&f.draw, 500), samples_at(&f.draw, 990),
		       samples_at(&f.whole, 500), samples_at(&f.whole, 990), (double)cpu / 1e6);
	samples_finish(&f.draw);
	samples_finish(&f.whole);
	return r < 0 ? -1 : 0;
}

/* ---- input ------------------------------------------------------------------------ */

struct inputs {
	struct samples latency;
	uint64_t waiting[PENDING_MAX], shown[PENDING_MAX]; /* not drawn yet; drawn, not seen */
	unsigned nwaiting, nshown, wanted, taken;
	bool bright;
};

static bool is_input(const struct exo_event *e)
{
	return (e->type == EXO_EVENT_KEY && e->key.down) || e->type == EXO_EVENT_POINTER ||
	       (e->type == EXO_EVENT_BUTTON && e->button.down);
}

static void seen(struct inputs *in)
{
	uint64_t t = now(CLOCK_MONOTONIC);

	for (unsigned i = 0; i < in->nshown; i++)
		samples_add(&in->latency, t - in->shown[i]);
	in->nshown = 0;
}

static int answer(struct exo_window *w, struct inputs *in)
{
	struct exo_surface s = exo_window_begin(w);
	int size = (int)(s.height < 160 ? s.height : 160);

	if (!s.pixels)
		return -1;
	exo_fill_rect(&s, 0, 0, size, size, in->bright ? 0xff202020 : 0xffe0e0e0);
	in->bright = !in->bright;
	exo_window_damage(w, 0, 0, size, size);
	for (; in->nwaiting; in->nwaiting--)
		if (in->nshown < PENDING_MAX)
			in->shown[in->nshown++] = in->waiting[in->nwaiting - 1];
	return exo_window_present(w);
}

int bench_inputs(struct exo_window *w, unsigned inputs)
{
	struct inputs in = {.wanted = inputs};
	struct exo_event e;
	int r = samples_init(&in.latency, inputs) ? answer(w, &in) : -1;

	while (r == 0 && in.latency.n < inputs) {
		if (!exo_window_busy(w)) {
			seen(&in);
			if (in.nwaiting && answer(w, &in))
				r = -1;
		}
		if (in.latency.n >= inputs)
			break;
		if (exo_window_next(w, &e, -1) < 0)
			r = errno == EINTR ? 0 : -1;
		else if (is_escape(&e))
			break;
		else if (is_input(&e) && in.nwaiting < PENDING_MAX)
			in.waiting[in.nwaiting++] = e.time_ns;
	}
	if (r == 0)
		printf("meter inputs=%zu path=%s p50_us=%u p90_us=%u p99_us=%u max_us=%u\n",
		       in.latency.n, exo_window_path(w), samples_at(&in.latency, 500),
		       samples_at(&in.latency, 900), samples_at(&in.latency, 990),
		       samples_at(&in.latency, 1000));
	samples_finish(&in.latency);
	return r;
}
