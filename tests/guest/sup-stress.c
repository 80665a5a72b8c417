/* expect: exit 0 */
/*
 * Interrupts on every kind of instruction: threads that compute, call the system
 * and recurse, under a fast timer with a signal handler that uses the same registers.
 * Any register, flag or byte of stack that is not given back shows up as a
 * different result.
 */
#include "supervisor.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3
#define RUN_MS 1500

static volatile sig_atomic_t alarms;
static volatile bool stop;

static double compute(unsigned n)
{
	double x = 1, y = 0;

	for (unsigned i = 1; i < n; i++) {
		x = x * 1.000001 + 1.0 / i;
		y += x / (i + 0.5);
	}
	return x + y;
}

/* Integer code with a red zone, carry chains and string instructions. */
static uint64_t mix(uint64_t v, const char *text)
{
	char copy[64];

	for (unsigned i = 0; i < 200; i++) {
		v = (v << 13 | v >> 51) * 0x9e3779b97f4a7c15 + i;
		__asm__ volatile("add %0, %0; adc $0, %0" : "+r"(v) : : "cc");
		memcpy(copy, text, sizeof(copy));
		v ^= (uint64_t)copy[v % sizeof(copy)];
	}
	return v;
}

static uint64_t recurse(unsigned depth, uint64_t v)
{
	volatile uint64_t local[16];

	for (unsigned i = 0; i < 16; i++)
		local[i] = v + i;
	if (depth)
		v = recurse(depth - 1, v * 3 + 1);
	for (unsigned i = 0; i < 16; i++)
		v += local[i];
	return v;
}

static const char text[64] = "the quick brown fox jumps over the lazy dog, again and again...";

static void on_alarm(int signo)
{
	alarms++;
	if (compute(20) < 0 || mix(1, text) == 0)
		_exit(90);
}

static void *worker(void *arg)
{
	uint64_t seed = (uintptr_t)arg, v = mix(seed, text), r = recurse(20, seed);
	double c = compute(1000 + (unsigned)seed);
	pid_t pid = getpid();

	while (!stop) {
		if (compute(1000 + (unsigned)seed) != c)
			return (void *)(uintptr_t)91;
		if (mix(seed, text) != v)
			return (void *)(uintptr_t)92;
		for (unsigned i = 0; i < 100; i++)
			if (getpid() != pid)
				return (void *)(uintptr_t)93;
		if (recurse(20, seed) != r)
			return (void *)(uintptr_t)94;
	}
	return NULL;
}

int main(void)
{
	struct itimerval timer = {.it_interval = {0, 300}, .it_value = {0, 300}}, off = {0};
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct timespec rest = {.tv_nsec = RUN_MS % 1000 * 1000000, .tv_sec = RUN_MS / 1000};
	pthread_t thread[THREADS];
	void *result = NULL;

	CHECK(10, sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK(11, setitimer(ITIMER_REAL, &timer, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(12, pthread_create(&thread[i], NULL, worker, (void *)(i + 1)) == 0);
	while (nanosleep(&rest, &rest) < 0)
		continue;
	stop = true;
	for (unsigned i = 0; i < THREADS; i++) {
		CHECK(13, pthread_join(thread[i], &result) == 0);
		CHECK((int)(uintptr_t)result, result == NULL);
	}
	CHECK(14, setitimer(ITIMER_REAL, &off, NULL) == 0);
	printf("%d alarms\n", (int)alarms);
	CHECK(15, alarms > 100);
	return 0;
}
