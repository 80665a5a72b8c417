/*
 * A phase that only goes up, and threads that wait for it. Whatever the opener
 * wrote before is visible to those who passed.
 */
#ifndef GATE_H
#define GATE_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct gate {
	pthread_mutex_t lock; /* held when phase changes */
	pthread_cond_t cond;
	_Atomic unsigned phase;
};

#define GATE_INITIALIZER \
	{ \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
	}

/*
 * The steps of a start take tens of microseconds, less than it takes to sleep and
 * be woken on a CPU that has something else to do; so ask this often first.
 */
#define GATE_TRIES 500

static inline void gate_open(struct gate *g, unsigned phase)
{
	pthread_mutex_lock(&g->lock);
	g->phase = phase;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

static inline void gate_add(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->phase++;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
}

/* Waits for as long as it takes. */
static inline void gate_sleep(struct gate *g, unsigned phase)
{
	pthread_mutex_lock(&g->lock);
	while (g->phase < phase)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

/* Waits for what will be soon. */
static inline void gate_wait(struct gate *g, unsigned phase)
{
	for (unsigned i = 0; i < GATE_TRIES; i++) {
		if (atomic_load(&g->phase) >= phase)
			return;
		sched_yield();
	}
	gate_sleep(g, phase);
}

#endif
