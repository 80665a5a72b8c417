/*
 * Several one-shot timers on the event loop's only one. Any thread sets them;
 * the event loop collects those that are due.
 */
#ifndef TIMERS_H
#define TIMERS_H

#include "loop.h"

#include <pthread.h>
#include <stdint.h>

#define TIMERS_MAX 32

struct timers {
	pthread_mutex_t lock; /* guards the rest */
	struct loop *loop;
	uint64_t deadline_ns[TIMERS_MAX]; /* 0: not set */
	uint64_t armed_ns;                /* what the loop's timer is set to */
};

void timers_init(struct timers *t, struct loop *loop);
/* CLOCK_MONOTONIC; a time that has passed (1, say) is due at once; 0 cancels. */
void timers_set(struct timers *t, unsigned id, uint64_t deadline_ns);
/* Takes the timers that are due at now_ns: a bit for each id. Sets the loop's timer for the rest.
 */
uint32_t timers_take_due(struct timers *t, uint64_t now_ns);

#endif
