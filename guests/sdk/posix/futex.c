/* Futexes, by which musl makes mutexes, condition variables and joins. */
#include "posix.h"

#include <linux/futex.h>

#define ROBUST_MAX 2048 /* entries of a list that we follow, lest it be a loop */

static bool waits_for(const struct thread *t, const uint32_t *addr, uint32_t bits)
{
	return t->state == THREAD_SLEEPING && t->futex_bits & bits && t->chan == addr;
}

/* Wakes up to n; moves up to m of the others to addr2. How many of both. */
static long wake(uint32_t *addr, uint32_t n, uint32_t m, uint32_t *addr2, uint32_t bits)
{
	struct thread *t = thread_current->next; /* longest without the CPU first */
	long did = 0;

	for (; t != thread_current && (n || m); t = t->next) {
		if (!waits_for(t, addr, bits))
			continue;
		if (n) {
			n--;
			thread_interrupt(t);
		} else {
			m--;
			t->chan = addr2;
		}
		did++;
	}
	return did;
}

static long wait(uint32_t *addr, uint32_t val, uint64_t deadline, uint32_t bits)
{
	int err;

	if (*(volatile uint32_t *)addr != val)
		return -EAGAIN;
	if (bits == 0)
		return -EINVAL;
	thread_current->futex_bits = bits;
	err = thread_sleep(addr, deadline);
	thread_current->futex_bits = 0;
	if (err == -RESTART_CALL)
		return deadline == DEADLINE_NEVER ? -RESTART_CALL : -EINTR;
	return err;
}

long thread_futex(uint32_t *addr, int op, uint32_t val, uint64_t arg, uint32_t *addr2,
		  uint32_t val3)
{
	const struct timespec *ts = (const struct timespec *)(uintptr_t)arg;
	uint64_t deadline = DEADLINE_NEVER, ns;

	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		if (!clock_deadline(ts, &deadline))
			return -EINVAL;
		return wait(addr, val, deadline, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAIT_BITSET:
		if (ts && !clock_from_timespec(ts, &ns))
			return -EINVAL;
		if (ts)
			deadline = clock_absolute(
				op & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, ns);
		return wait(addr, val, deadline, val3);
	case FUTEX_WAKE:
		return wake(addr, val, 0, NULL, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return val3 ? wake(addr, val, 0, NULL, val3) : -EINVAL;
	case FUTEX_CMP_REQUEUE:
		if (*(volatile uint32_t *)addr != val3)
			return -EAGAIN;
		__attribute__((fallthrough));
	case FUTEX_REQUEUE:
		return wake(addr, val, (uint32_t)arg, addr2, FUTEX_BITSET_MATCH_ANY);
	default:
		return -ENOSYS;
	}
}

static void owner_died(struct thread *t, struct robust_list *entry, long offset)
{
	uint32_t *word = (uint32_t *)((uintptr_t)entry + (uintptr_t)offset);

	if ((*word & FUTEX_TID_MASK) != (uint32_t)t->tid)
		return;
	*word = (*word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
	wake(word, 1, 0, NULL, FUTEX_BITSET_MATCH_ANY);
}

void futex_robust_exit(struct thread *t)
{
	struct robust_list_head *head = t->robust_list;
	struct robust_list *entry;

	if (!head)
		return;
	entry = head->list.next;
	for (unsigned i = 0; entry != &head->list && i < ROBUST_MAX; i++) {
		struct robust_list *next = entry->next;

		owner_died(t, entry, head->futex_offset);
		entry = next;
	}
	if (head->list_op_pending)
		owner_died(t, head->list_op_pending, head->futex_offset);
}
