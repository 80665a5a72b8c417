/*
 * From the supervisor's pending bits to handlers, timers and sleeping threads;
 * and idling. Tickless: the hardware timer is armed for a deadline that
 * somebody has, or for the end of a time slice when threads compete.
 */
#include "posix.h"

#include "../drivers/console.h"

#define LINES_MAX 16
#define SLICE_NS (10 * 1000000ull)

static struct {
	uint64_t mask;
	void (*fn)(void *);
	void *arg;
} lines[LINES_MAX];
static unsigned nlines;

/* What the hardware timer is set to; DEADLINE_NEVER: it is not running. */
static uint64_t armed_ns = DEADLINE_NEVER;
static uint64_t idle_ns;

void event_on_gsi(unsigned gsi, void (*fn)(void *), void *arg)
{
	int64_t mask = sup_call(SUP_IRQ, gsi, 0, 0);

	if (mask <= 0 || nlines == LINES_MAX)
		return;
	lines[nlines].mask = (uint64_t)mask;
	lines[nlines].fn = fn;
	lines[nlines].arg = arg;
	nlines++;
	/* The line may have been raised before it was open; then it would not rise again. */
	__atomic_fetch_or(&sup->pending, (uint64_t)mask, __ATOMIC_ACQ_REL);
}

/* True if a timer or a sleeper was due. */
static bool run_clocks(void)
{
	uint64_t now = clock_ns();
	bool timers = timer_run(now);

	return thread_expire(now) || timers;
}

void event_run(void)
{
	uint64_t pending = __atomic_exchange_n(&sup->pending, 0, __ATOMIC_ACQ_REL);

	if (pending & SUP_PEND_TIMER)
		armed_ns = DEADLINE_NEVER;
	for (unsigned i = 0; i < nlines; i++)
		if (pending & lines[i].mask)
			lines[i].fn(lines[i].arg);
	run_clocks();
}

void event_idle(void)
{
	uint64_t start = clock_ns(), next;

	if (!console_listening()) {
		console_listen(); /* a program that waits must hear signals */
		return;           /* this may have woken somebody */
	}
	if (!sup->pending) {
		if (run_clocks())
			return;
		next = MIN(timer_next(), thread_next_deadline());
		if (next != DEADLINE_NEVER)
			armed_ns = next;
		sup_call(SUP_WAIT, next == DEADLINE_NEVER ? 0 : clock_tsc_of(next), 0, 0);
		idle_ns += clock_ns() - start;
	}
	event_run();
}

void event_arm(void)
{
	uint64_t now, want = timer_next();

	if (!thread_alone()) {
		want = MIN(want, thread_next_deadline());
		if (thread_others_runnable()) {
			now = clock_ns();
			want = MIN(want, now + SLICE_NS);
		}
	}
	if (want >= armed_ns)
		return;
	armed_ns = want;
	sup_call(SUP_TIMER, clock_tsc_of(want), 0, 0);
}

uint64_t event_idle_ns(void)
{
	return idle_ns;
}
