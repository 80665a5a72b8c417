/* Clocks, sleeping, timers. */
#include "selftest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ll
#define LATE (100 * MS) /* a busy machine may be that late */
#define YEAR_2020 1577836800

static int64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static bool within(int64_t took, int64_t least)
{
	return took >= least && took <= least + LATE;
}

static bool monotone(void)
{
	int64_t last = now(CLOCK_MONOTONIC);

	for (int i = 0; i < 10000; i++) {
		int64_t t = now(CLOCK_MONOTONIC);

		if (t < last)
			return false;
		last = t;
	}
	return true;
}

static bool sleeps(void)
{
	int64_t start = now(CLOCK_MONOTONIC);

	nanosleep(&(struct timespec){.tv_nsec = 20 * MS}, NULL);
	return within(now(CLOCK_MONOTONIC) - start, 20 * MS);
}

static bool sleeps_until(void)
{
	int64_t end = now(CLOCK_MONOTONIC) + 15 * MS;
	struct timespec ts = {.tv_sec = end / (1000 * MS), .tv_nsec = end % (1000 * MS)};

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == 0 &&
	       within(now(CLOCK_MONOTONIC) - end, 0);
}

static bool polls(void)
{
	int64_t start = now(CLOCK_MONOTONIC);

	return poll(NULL, 0, 15) == 0 && within(now(CLOCK_MONOTONIC) - start, 15 * MS);
}

static bool selects(void)
{
	struct timeval tv = {.tv_usec = 15000};
	int64_t start = now(CLOCK_MONOTONIC);

	return select(0, NULL, NULL, NULL, &tv) == 0 &&
	       within(now(CLOCK_MONOTONIC) - start, 15 * MS);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

/* The timer must fire while the program spins. */
static bool interval_timer(void)
{
	struct itimerval off = {0}, on = {.it_value.tv_usec = 5000, .it_interval.tv_usec = 5000};
	struct sigaction sa = {.sa_handler = on_alarm};
	int64_t start = now(CLOCK_MONOTONIC);

	alarms = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &on, NULL);
	while (alarms < 3 && now(CLOCK_MONOTONIC) - start < 1000 * MS)
		;
	setitimer(ITIMER_REAL, &off, NULL);
	return alarms >= 3 && now(CLOCK_MONOTONIC) - start >= 15 * MS;
}

/* The same without any system call in the loop: an interrupt has to do it. */
static bool interrupts_computation(void)
{
	struct itimerval on = {.it_value.tv_usec = 5000};
	volatile double x = 1;

	alarms = 0;
	setitimer(ITIMER_REAL, &on, NULL);
	for (long i = 0; i < 20000000000 && !alarms; i++)
		x = x * 1.0000001;
	return alarms == 1 && x > 1;
}

static bool timer_descriptor(void)
{
	struct itimerspec it = {.it_value.tv_nsec = 10 * MS};
	int fd = timerfd_create(CLOCK_MONOTONIC, 0), ep = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 77}, got = {0};
	uint64_t count = 0;
	bool ok = fd >= 0 && ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0 &&
		  epoll_wait(ep, &got, 1, 0) == 0 && timerfd_settime(fd, 0, &it, NULL) == 0 &&
		  epoll_wait(ep, &got, 1, 1000) == 1 && got.data.u64 == 77 &&
		  read(fd, &count, sizeof(count)) == sizeof(count) && count == 1;

	close(fd);
	close(ep);
	return ok;
}

void test_time(void)
{
	check(monotone(), "CLOCK_MONOTONIC never goes back");
	check(now(CLOCK_REALTIME) / (1000 * MS) > YEAR_2020, "CLOCK_REALTIME is plausible");
	check(sleeps(), "nanosleep is neither early nor late");
	check(sleeps_until(), "clock_nanosleep to a point in time");
	check(polls(), "poll's timeout");
	check(selects(), "select's timeout");
	check(interval_timer(), "setitimer goes off again and again");
	check(interrupts_computation(), "a timer interrupts a computation");
	check(timer_descriptor(), "timerfd and epoll");
	errno = 0;
	check(nanosleep(&(struct timespec){.tv_nsec = -1}, NULL) < 0 && errno == EINVAL,
	      "a bad time is EINVAL");
}
