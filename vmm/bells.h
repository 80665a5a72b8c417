/*
 * The guest's doorbells: which value, written to the vsock device's `doorbell`,
 * rings which eventfd. One entry for each other end, shared by all connections
 * to it and counted.
 *
 * An entry that nobody counts any more stays for a while: taking a doorbell out
 * of KVM waits for a grace period (milliseconds), and the next connection is
 * often to the same end. Values are never used twice, as long as there are others.
 *
 * Threads: the caller's lock. bells_get and bells_sweep by the event loop only,
 * because they change KVM's table.
 */
#ifndef BELLS_H
#define BELLS_H

#include <stdbool.h>
#include <stdint.h>

#define BELLS_MAX 320               /* more than connections at once */
#define BELLS_LINGER_NS 1000000000u /* an entry that nobody counts */
#define BELLS_BETWEEN_NS 50000000u  /* between two of them that go */

struct bells_ops {
	/* A write of value shall ring fd from now on, or no longer. 0 or -errno. */
	int (*set)(void *opaque, int fd, uint32_t value, bool on);
};

struct bells_entry {
	int fd;
	uint32_t key, value;
	uint32_t count;
	uint64_t due_ns; /* count 0: to go then */
};

struct bells {
	const struct bells_ops *ops;
	void *opaque;
	unsigned n;
	uint32_t last_value;
	struct bells_entry entry[BELLS_MAX];
};

void bells_init(struct bells *b, const struct bells_ops *ops, void *opaque);

/*
 * Counts a doorbell for key up, making it if there is none: *value rings fd. Owns
 * fd in any case; equal keys must come with the same eventfd. 0, -ENOSPC, or ops.set's error.
 */
int bells_get(struct bells *b, int fd, uint32_t key, uint32_t *value);

/*
 * Counts it down. now_ns: CLOCK_MONOTONIC. at_once: it is due now if it was the last. Returns
 * when to call bells_sweep, 0: no need.
 */
uint64_t bells_put(struct bells *b, uint32_t value, uint64_t now_ns, bool at_once);

/* Removes what must go at once, and one of those that are due. Returns as bells_put. */
uint64_t bells_sweep(struct bells *b, uint64_t now_ns);

#endif
