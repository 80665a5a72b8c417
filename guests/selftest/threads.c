/* Threads: POSIX threads on one CPU. */
#include "selftest.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define TURNS 2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static volatile long counter;
static __thread long own = 7;

static void *increment(void *arg)
{
	for (int i = 0; i < TURNS; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		if (i % 100 == 0)
			sched_yield();
		pthread_mutex_unlock(&lock);
		own += 1;
	}
	return (void *)own;
}

static bool many(void)
{
	pthread_t t[THREADS];
	bool ok = true;
	void *r;

	counter = 0;
	for (int i = 0; i < THREADS; i++)
		ok &= pthread_create(&t[i], NULL, increment, NULL) == 0;
	for (int i = 0; i < THREADS; i++)
		ok &= pthread_join(t[i], &r) == 0 && (long)r == TURNS + 7;
	return ok && counter == THREADS * TURNS && own == 7;
}

static void *signal_soon(void *arg)
{
	usleep(5000);
	pthread_mutex_lock(&lock);
	counter = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static bool condition(void)
{
	pthread_t t;

	counter = 0;
	pthread_create(&t, NULL, signal_soon, NULL);
	pthread_mutex_lock(&lock);
	while (!counter)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return pthread_join(t, NULL) == 0;
}

static bool timed_wait(void)
{
	struct timespec until;
	int err;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 10000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&lock);
	err = pthread_cond_timedwait(&changed, &lock, &until);
	pthread_mutex_unlock(&lock);
	return err == ETIMEDOUT;
}

static volatile int stop;

static void *spin(void *arg)
{
	double x = 1;

	while (!stop)
		x = x * 1.0000001 + 1e-9;
	*(double *)arg = x;
	return NULL;
}

/* A thread that never blocks must not keep the others from running. */
static bool preempts(void)
{
	pthread_t t[2];
	double x[2];

	stop = 0;
	pthread_create(&t[0], NULL, spin, &x[0]);
	pthread_create(&t[1], NULL, spin, &x[1]);
	usleep(30000);
	stop = 1;
	return pthread_join(t[0], NULL) == 0 && pthread_join(t[1], NULL) == 0 && x[0] > 1 &&
	       x[1] > 1;
}

static void *read_one(void *arg)
{
	char c = 0;

	return read(*(int *)arg, &c, 1) == 1 && c == 'r' ? arg : NULL;
}

static bool blocks_alone(void)
{
	int p[2];
	pthread_t t;
	void *r = NULL;

	if (pipe(p) < 0)
		return false;
	pthread_create(&t, NULL, read_one, &p[0]);
	usleep(2000);
	write(p[1], "r", 1);
	pthread_join(t, &r);
	close(p[0]);
	close(p[1]);
	return r == &p[0];
}

static void *wait_for_ever(void *arg)
{
	pause();
	return NULL;
}

static bool cancels(void)
{
	pthread_t t;
	void *r = NULL;

	pthread_create(&t, NULL, wait_for_ever, NULL);
	usleep(2000);
	return pthread_cancel(t) == 0 && pthread_join(t, &r) == 0 && r == PTHREAD_CANCELED;
}

static sem_t done;

static void *post_done(void *arg)
{
	sem_post(&done);
	return NULL;
}

/* Detached threads free their own stacks. */
static bool detaches(void)
{
	pthread_attr_t a;
	pthread_t t;
	bool ok = sem_init(&done, 0, 0) == 0;

	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 200; i++)
		ok = ok && pthread_create(&t, &a, post_done, NULL) == 0 && sem_wait(&done) == 0;
	return ok;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_count;

static void count_once(void)
{
	once_count++;
}

void test_threads(void)
{
	check(many(), "threads, a mutex, thread-local variables, join");
	check(condition(), "a condition variable wakes its waiter");
	check(timed_wait(), "pthread_cond_timedwait times out");
	check(preempts(), "spinning threads share the CPU");
	check(blocks_alone(), "a thread that blocks does not stop the others");
	check(cancels(), "pthread_cancel");
	check(detaches(), "200 detached threads, one after another");
	check(pthread_once(&once, count_once) == 0 && pthread_once(&once, count_once) == 0 &&
		      once_count == 1,
	      "pthread_once");
}
