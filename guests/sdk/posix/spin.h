/*
 * Looking for something for a while before sleeping: with the other end of a
 * channel on another CPU an answer is there in less time than a wake-up takes.
 */
#ifndef POSIX_SPIN_H
#define POSIX_SPIN_H

#include "posix.h"

#define SPIN_NS 50000

/* Of one thing that is waited for. Zeroed, but for ns. */
struct spin {
	uint32_t ns;           /* how long; 0: never */
	uint16_t skip, misses; /* how often to leave it out yet; how often it was in vain */
};

/*
 * Calls ready(arg) until it is true, which it returns, or time is up, or a device
 * wants something. Not if another thread of the program could run. Where it was
 * in vain it is left out the next time, then 3 times, 7 times… up to 63.
 */
bool spin_until(struct spin *s, bool (*ready)(void *), void *arg);

#endif
