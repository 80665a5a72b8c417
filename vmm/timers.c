/* Several timers on one; see timers.h. */
#include "timers.h"

void timers_init(struct timers *t, struct loop *loop)
{
	*t = (struct timers){.loop = loop};
	pthread_mutex_init(&t->lock, NULL);
}

static void arm(struct timers *t)
{
	uint64_t first = 0;

	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (t->deadline_ns[i] && (!first || t->deadline_ns[i] < first))
			first = t->deadline_ns[i];
	}
	if (first != t->armed_ns)
		loop_timer(t->loop, t->armed_ns = first);
}

void timers_set(struct timers *t, unsigned id, uint64_t deadline_ns)
{
	pthread_mutex_lock(&t->lock);
	t->deadline_ns[id] = deadline_ns;
	arm(t);
	pthread_mutex_unlock(&t->lock);
}

uint32_t timers_take_due(struct timers *t, uint64_t now_ns)
{
	uint32_t due = 0;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		if (!t->deadline_ns[i] || t->deadline_ns[i] > now_ns)
			continue;
		t->deadline_ns[i] = 0;
		due |= 1u << i;
	}
	t->armed_ns = 0; /* it fired */
	arm(t);
	pthread_mutex_unlock(&t->lock);
	return due;
}
