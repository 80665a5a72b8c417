/*
 * Clocks from the TSC, and the list of timers behind alarm, setitimer,
 * timer_create and timerfd. CLOCK_MONOTONIC counts from the TSC's zero.
 */
#include "posix.h"

static uint64_t ns_per_tick_32; /* ns a tick, 32.32 fixed point */
static uint64_t tsc_hz;
static int64_t wall_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
static bool wall_known;
static uint64_t start_ns;    /* CLOCK_MONOTONIC when the program began */
static struct timer *timers; /* by deadline, earliest first */

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static uint64_t tsc_to_ns(uint64_t tsc)
{
	return (uint64_t)(((unsigned __int128)tsc * ns_per_tick_32) >> 32);
}

/* hi:lo / d, for a quotient that fits: what a 128-bit division would need a library for. */
static uint64_t div_128(uint64_t hi, uint64_t lo, uint64_t d)
{
	uint64_t q, rest;

	__asm__("divq %4" : "=a"(q), "=d"(rest) : "a"(lo), "d"(hi), "r"(d));
	return q;
}

void clock_init(void)
{
	tsc_hz = facts->tsc_hz;
	ns_per_tick_32 = div_128(NS_PER_S >> 32, NS_PER_S << 32, tsc_hz);
	start_ns = clock_ns();
	if (boot && boot->wall_ns) {
		wall_offset_ns = (int64_t)(boot->wall_ns - tsc_to_ns(boot->wall_tsc));
		wall_known = true;
	}
}

uint64_t clock_ns(void)
{
	return tsc_to_ns(rdtsc());
}

uint64_t clock_tsc_of(uint64_t monotonic_ns)
{
	uint64_t s = monotonic_ns / NS_PER_S, rest = monotonic_ns % NS_PER_S;

	if (s > UINT64_MAX / tsc_hz - 1)
		return UINT64_MAX;
	/* Rounded up and one more: never before the deadline by clock_ns. */
	return s * tsc_hz + div_128(0, rest * (tsc_hz >> 10), NS_PER_S >> 10) + 1024;
}

uint64_t clock_realtime_ns(void)
{
	int64_t seconds;

	if (!wall_known) {
		seconds = sup_call(SUP_RTC, 0, 0, 0);
		if (seconds > 0)
			wall_offset_ns = seconds * (int64_t)NS_PER_S - (int64_t)clock_ns();
		wall_known = true;
	}
	return clock_ns() + (uint64_t)wall_offset_ns;
}

int clock_read(int id, uint64_t *ns)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ns = clock_realtime_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = clock_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
		*ns = clock_ns() - start_ns - event_idle_ns();
		return 0;
	default:
		return -EINVAL;
	}
}

bool clock_from_timespec(const struct timespec *ts, uint64_t *ns)
{
	if (ts->tv_sec < 0 || (uint64_t)ts->tv_nsec >= NS_PER_S)
		return false;
	if ((uint64_t)ts->tv_sec > UINT64_MAX / NS_PER_S / 4)
		*ns = UINT64_MAX / 4;
	else
		*ns = (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
	return true;
}

struct timespec clock_to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

bool clock_deadline(const struct timespec *ts, uint64_t *deadline_ns)
{
	uint64_t ns;

	*deadline_ns = DEADLINE_NEVER;
	if (!ts)
		return true;
	if (!clock_from_timespec(ts, &ns))
		return false;
	*deadline_ns = clock_ns() + ns;
	return true;
}

/* The monotonic time at which clock `id` shows `ns`. */
uint64_t clock_absolute(int id, uint64_t ns)
{
	if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
		return ns;
	clock_realtime_ns();
	return (int64_t)ns > wall_offset_ns ? ns - (uint64_t)wall_offset_ns : 0;
}

void timer_clear(struct timer *t)
{
	for (struct timer **p = &timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->armed = false;
}

void timer_set(struct timer *t, uint64_t deadline_ns, uint64_t interval_ns)
{
	struct timer **p = &timers;

	timer_clear(t);
	while (*p && (*p)->deadline_ns <= deadline_ns)
		p = &(*p)->next;
	t->deadline_ns = deadline_ns;
	t->interval_ns = interval_ns;
	t->armed = true;
	t->next = *p;
	*p = t;
}

bool timer_run(uint64_t now_ns)
{
	bool any = false;

	while (timers && timers->deadline_ns <= now_ns) {
		struct timer *t = timers;

		timers = t->next;
		t->armed = false;
		t->expirations = 1;
		if (t->interval_ns) {
			t->expirations += (now_ns - t->deadline_ns) / t->interval_ns;
			timer_set(t, t->deadline_ns + t->expirations * t->interval_ns,
				  t->interval_ns);
		}
		t->fn(t);
		any = true;
	}
	return any;
}

uint64_t timer_next(void)
{
	return timers ? timers->deadline_ns : DEADLINE_NEVER;
}
