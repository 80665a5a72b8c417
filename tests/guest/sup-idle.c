/* expect: exit 0 */
/*
 * An idle wait ends when it is due: never early, and late by no more than a
 * loaded machine explains. A busy program's timer comes as well.
 */
#include "supervisor.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
	alarms++;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int main(void)
{
	static const long waits_ns[] = {1000, 200000, 1000000, 5000000, 20000000};
	struct itimerval timer = {.it_interval = {0, 2000}, .it_value = {0, 2000}};
	struct sigaction sa = {.sa_handler = on_alarm};
	int64_t best[5], start, end;

	for (unsigned i = 0; i < 5; i++) {
		best[i] = INT64_MAX;
		for (unsigned k = 0; k < 10; k++) {
			struct timespec wait = {.tv_nsec = waits_ns[i]};

			start = now_ns();
			CHECK(10, nanosleep(&wait, NULL) == 0);
			end = now_ns();
			CHECK(11, end - start >= waits_ns[i]);
			if (end - start - waits_ns[i] < best[i])
				best[i] = end - start - waits_ns[i];
		}
		printf("%ld us: at best %ld us late\n", waits_ns[i] / 1000, (long)(best[i] / 1000));
		CHECK(12 + (int)i, best[i] < 3000000);
	}
	CHECK(20, sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK(21, setitimer(ITIMER_REAL, &timer, NULL) == 0);
	for (start = now_ns(); now_ns() - start < 100000000;)
		continue;
	printf("%d alarms in 100 ms\n", (int)alarms);
	CHECK(22, alarms >= 5 && alarms <= 51);
	return 0;
}
