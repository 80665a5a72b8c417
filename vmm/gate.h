/*
 * A phase that only goes up, and threads that wait for it. Whatever the opener
 * wrote before is visible to those who passed.
 */
#ifndef GATE_H
#define GATE_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

struct gate {
	_Atomic unsigned phase; /* also the futex */
};

/*
 * The steps of a start take tens of microseconds, less than it takes to sleep and
 * be woken; so look this often first.
 */
#define GATE_TRIES 2000

static inline void gate_wake(struct gate *g)
{
	syscall(SYS_futex, &g->phase, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static inline void gate_open(struct gate *g, unsigned phase)
{
	atomic_store(&g->phase, phase);
	gate_wake(g);
}

static inline void gate_add(struct gate *g)
{
	atomic_fetch_add(&g->phase, 1);
	gate_wake(g);
}

/* Waits for as long as it takes. */
static inline void gate_sleep(struct gate *g, unsigned phase)
{
	unsigned now;

	while ((now = atomic_load(&g->phase)) < phase)
		syscall(SYS_futex, &g->phase, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

/* Waits for what will be soon. */
static inline void gate_wait(struct gate *g, unsigned phase)
{
	for (unsigned i = 0; i < GATE_TRIES; i++) {
		if (atomic_load(&g->phase) >= phase)
			return;
		__builtin_ia32_pause();
	}
	gate_sleep(g, phase);
}

#endif
