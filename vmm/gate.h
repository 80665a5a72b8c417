/*
 * A phase that only goes up, and threads that wait for it. Whatever the opener
 * wrote before is visible to those who passed.
 */
#ifndef GATE_H
#define GATE_H

#include <pthread.h>

struct gate {
	pthread_mutex_t lock; /* guards phase */
	pthread_cond_t cond;
	unsigned phase;
};

#define GATE_INITIALIZER \
	{ \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 \
	}

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

static inline void gate_wait(struct gate *g, unsigned phase)
{
	pthread_mutex_lock(&g->lock);
	while (g->phase < phase)
		pthread_cond_wait(&g->cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

#endif
