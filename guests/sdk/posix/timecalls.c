/* System calls about time: clocks, sleeping, interval timers. */
#include "process.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>

#define PTR(T, arg) ((T *)(uintptr_t)(arg))
#define POSIX_TIMERS 8
#define TICK_NS (NS_PER_S / 100) /* AT_CLKTCK */

/* timer_create's; slot n is id n. */
struct posix_timer {
	struct timer timer;
	bool used;
	int clockid, sig, tid; /* sig 0: SIGEV_NONE; tid 0: the process */
};

APART static struct posix_timer posix_timers[POSIX_TIMERS];

static void alarm_fired(struct timer *t)
{
	signal_send(NULL, SIGALRM, SI_KERNEL);
}

static struct timer alarm_timer = {.fn = alarm_fired};

static void posix_timer_fired(struct timer *t)
{
	struct posix_timer *p = (struct posix_timer *)(void *)t;
	struct thread *to = p->tid ? thread_by_tid(p->tid) : NULL;

	if (p->sig && (to || !p->tid))
		signal_send(to, p->sig, SI_TIMER);
}

static uint64_t remaining(const struct timer *t)
{
	uint64_t now = clock_ns();

	return t->armed ? MAX(t->deadline_ns, now + 1) - now : 0;
}

static long sleep_until(uint64_t deadline, struct timespec *rest)
{
	uint64_t now;

	while ((now = clock_ns()) < deadline) {
		if (thread_sleep(&alarm_timer, deadline) != -RESTART_CALL)
			continue;
		now = clock_ns();
		if (rest)
			*rest = clock_to_timespec(deadline > now ? deadline - now : 0);
		return -EINTR;
	}
	return 0;
}

static long call_nanosleep(int clockid, int flags, const struct timespec *ts, struct timespec *rest)
{
	uint64_t ns;

	if (clockid != CLOCK_REALTIME && clockid != CLOCK_MONOTONIC && clockid != CLOCK_BOOTTIME)
		return -EINVAL;
	if (!clock_from_timespec(ts, &ns))
		return -EINVAL;
	if (flags & TIMER_ABSTIME)
		return sleep_until(clock_absolute(clockid, ns), NULL);
	return sleep_until(clock_ns() + ns, rest);
}

static long call_gettime(int clockid, struct timespec *ts)
{
	uint64_t ns;
	int err = clock_read(clockid, &ns);

	if (err == 0)
		*ts = clock_to_timespec(ns);
	return err;
}

static long call_getres(int clockid, struct timespec *ts)
{
	uint64_t ns;
	int err = clock_read(clockid, &ns);

	if (err == 0 && ts)
		*ts = (struct timespec){.tv_nsec = 1};
	return err;
}

static struct timeval to_timeval(uint64_t ns)
{
	return (struct timeval){.tv_sec = (time_t)(ns / NS_PER_S),
				.tv_usec = (suseconds_t)(ns % NS_PER_S / 1000)};
}

static long call_gettimeofday(struct timeval *tv)
{
	if (tv)
		*tv = to_timeval(clock_realtime_ns());
	return 0;
}

static bool from_timeval(const struct timeval *tv, uint64_t *ns)
{
	struct timespec ts = {.tv_sec = tv->tv_sec, .tv_nsec = tv->tv_usec * 1000};

	return tv->tv_usec < 1000000 && clock_from_timespec(&ts, ns);
}

static long call_getitimer(int which, struct itimerval *out)
{
	if (which != ITIMER_REAL)
		return -EINVAL;
	out->it_interval = to_timeval(alarm_timer.interval_ns);
	out->it_value = to_timeval(remaining(&alarm_timer));
	return 0;
}

static long call_setitimer(int which, const struct itimerval *in, struct itimerval *old)
{
	uint64_t value, interval;

	if (which != ITIMER_REAL || !from_timeval(&in->it_value, &value) ||
	    !from_timeval(&in->it_interval, &interval))
		return -EINVAL;
	if (old)
		call_getitimer(which, old);
	timer_clear(&alarm_timer);
	alarm_timer.interval_ns = interval;
	if (value)
		timer_set(&alarm_timer, clock_ns() + value, interval);
	return 0;
}

static long call_alarm(unsigned seconds)
{
	long left = (long)((remaining(&alarm_timer) + NS_PER_S - 1) / NS_PER_S);

	timer_clear(&alarm_timer);
	if (seconds)
		timer_set(&alarm_timer, clock_ns() + seconds * NS_PER_S, 0);
	return left;
}

struct kernel_sigevent { /* what musl passes to timer_create */
	union sigval value;
	int signo, notify, tid;
};

static long call_timer_create(int clockid, const struct kernel_sigevent *ev, int *id)
{
	uint64_t ns;

	if (clock_read(clockid, &ns) < 0 || clockid == CLOCK_PROCESS_CPUTIME_ID)
		return -EINVAL;
	for (int i = 0; i < POSIX_TIMERS; i++) {
		struct posix_timer *p = &posix_timers[i];

		if (p->used)
			continue;
		*p = (struct posix_timer){.timer.fn = posix_timer_fired,
					  .used = true,
					  .clockid = clockid,
					  .sig = SIGALRM};
		if (ev)
			p->sig = ev->notify == SIGEV_NONE ? 0 : ev->signo;
		if (ev && ev->notify == SIGEV_THREAD_ID)
			p->tid = ev->tid;
		*id = i;
		return 0;
	}
	return -EAGAIN;
}

static struct posix_timer *posix_timer(uint64_t id)
{
	return id < POSIX_TIMERS && posix_timers[id].used ? &posix_timers[id] : NULL;
}

static long call_timer_gettime(uint64_t id, struct itimerspec *out)
{
	struct posix_timer *p = posix_timer(id);

	if (!p)
		return -EINVAL;
	out->it_interval = clock_to_timespec(p->timer.interval_ns);
	out->it_value = clock_to_timespec(remaining(&p->timer));
	return 0;
}

static long call_timer_settime(uint64_t id, int flags, const struct itimerspec *in,
			       struct itimerspec *old)
{
	struct posix_timer *p = posix_timer(id);
	uint64_t value, interval;

	if (!p || !clock_from_timespec(&in->it_value, &value) ||
	    !clock_from_timespec(&in->it_interval, &interval))
		return -EINVAL;
	if (old)
		call_timer_gettime(id, old);
	timer_clear(&p->timer);
	p->timer.interval_ns = interval;
	if (value)
		timer_set(&p->timer,
			  flags & TIMER_ABSTIME ? clock_absolute(p->clockid, value)
						: clock_ns() + value,
			  interval);
	return 0;
}

static long call_timer_delete(uint64_t id)
{
	struct posix_timer *p = posix_timer(id);

	if (!p)
		return -EINVAL;
	timer_clear(&p->timer);
	p->used = false;
	return 0;
}

static long call_times(struct tms *t)
{
	uint64_t busy;

	clock_read(CLOCK_PROCESS_CPUTIME_ID, &busy);
	if (t)
		*t = (struct tms){.tms_utime = (clock_t)(busy / TICK_NS)};
	return (long)(clock_ns() / TICK_NS);
}

bool call_time(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;

	switch (r->orig_rax) {
	case SYS_clock_gettime:
		*result = call_gettime((int)a, PTR(struct timespec, b));
		return true;
	case SYS_clock_getres:
		*result = call_getres((int)a, PTR(struct timespec, b));
		return true;
	case SYS_gettimeofday:
		*result = call_gettimeofday(PTR(struct timeval, a));
		return true;
	case SYS_time:
		*result = (long)(clock_realtime_ns() / NS_PER_S);
		if (a)
			*PTR(long, a) = *result;
		return true;
	case SYS_times:
		*result = call_times(PTR(struct tms, a));
		return true;
	case SYS_nanosleep:
		*result = call_nanosleep(CLOCK_MONOTONIC, 0, PTR(struct timespec, a),
					 PTR(struct timespec, b));
		return true;
	case SYS_clock_nanosleep:
		*result = call_nanosleep((int)a, (int)b, PTR(struct timespec, c),
					 PTR(struct timespec, d));
		return true;
	case SYS_alarm:
		*result = call_alarm((unsigned)a);
		return true;
	case SYS_setitimer:
		*result =
			call_setitimer((int)a, PTR(struct itimerval, b), PTR(struct itimerval, c));
		return true;
	case SYS_getitimer:
		*result = call_getitimer((int)a, PTR(struct itimerval, b));
		return true;
	case SYS_timer_create:
		*result = call_timer_create((int)a, PTR(struct kernel_sigevent, b), PTR(int, c));
		return true;
	case SYS_timer_settime:
		*result = call_timer_settime(a, (int)b, PTR(struct itimerspec, c),
					     PTR(struct itimerspec, d));
		return true;
	case SYS_timer_gettime:
		*result = call_timer_gettime(a, PTR(struct itimerspec, b));
		return true;
	case SYS_timer_getoverrun:
		*result = posix_timer(a) ? 0 : -EINVAL;
		return true;
	case SYS_timer_delete:
		*result = call_timer_delete(a);
		return true;
	default:
		return false;
	}
}
