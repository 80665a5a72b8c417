/*
 * Threads on one vCPU, scheduled round-robin: on blocking calls, and by a time
 * slice when several could run (event.c, signal.c). A thread uses one stack,
 * its own, for the program and for the layer.
 */
#include "posix.h"

#include <sched.h>

#define GAP (RED_ZONE + 16) /* entry.S */

struct thread thread_main = {.next = &thread_main, .tid = 1};
struct thread *thread_current = &thread_main;
const char thread_poll_chan;

static struct thread *ended; /* switched away from for good, not yet freed */
static int last_tid = 1;

_Static_assert(offsetof(struct thread, ksp) == 0, "known to entry.S");
_Static_assert(offsetof(struct thread, fx) == 16, "known to entry.S");
_Static_assert(offsetof(struct regs, rip) == 16 * 8, "known to entry.S");
_Static_assert(offsetof(struct regs, rsp) == 18 * 8, "known to entry.S");

bool thread_alone(void)
{
	return thread_current->next == thread_current;
}

void thread_set_fs(uint64_t base)
{
	thread_current->fs_base = base;
	if (facts->fsgsbase)
		__asm__ volatile("wrfsbase %0" : : "r"(base));
	else
		sup_call(SUP_SET_FS, base, 0, 0);
}

static void reap(void)
{
	struct thread *t = ended;

	if (!t)
		return;
	ended = NULL;
	if (t->unmap_hi)
		mem_unmap(t->unmap_lo, t->unmap_hi - t->unmap_lo);
	if (t != &thread_main)
		mem_free(t, sizeof(*t));
}

static void switch_to(struct thread *t)
{
	struct thread *from = thread_current;

	if (t == from)
		return;
	thread_current = t;
	if (t->fs_base != from->fs_base)
		thread_set_fs(t->fs_base);
	thread_switch(from, t);
	reap();
}

/* First code of a new thread (entry.S). */
void thread_started(struct regs *r)
{
	reap();
	event_arm();
}

static struct thread *next_runnable(struct thread *after)
{
	struct thread *t = after->next;

	while (t->state != THREAD_RUNNABLE) {
		if (t == after)
			return NULL;
		t = t->next;
	}
	return t;
}

/* Goes on with some runnable thread, the current one last; waits until there is one. */
static void schedule(void)
{
	struct thread *t;

	while (!(t = next_runnable(thread_current)))
		event_idle();
	switch_to(t);
}

bool thread_others_runnable(void)
{
	for (struct thread *t = thread_current->next; t != thread_current; t = t->next)
		if (t->state == THREAD_RUNNABLE)
			return true;
	return false;
}

void thread_yield(void)
{
	if (!thread_alone())
		schedule();
}

static void wake(struct thread *t)
{
	t->state = THREAD_RUNNABLE;
	t->chan = NULL;
	t->futex_bits = 0;
}

static int sleep_on(const void *chan, uint64_t deadline_ns)
{
	struct thread *t = thread_current;

	t->chan = chan;
	t->deadline_ns = deadline_ns;
	t->expired = false;
	t->state = THREAD_SLEEPING;
	schedule();
	return t->expired ? -ETIMEDOUT : 0;
}

int thread_sleep(const void *chan, uint64_t deadline_ns)
{
	int err;

	if (signal_due())
		return -RESTART_CALL;
	err = sleep_on(chan, deadline_ns);
	return signal_due() ? -RESTART_CALL : err;
}

int thread_sleep_uninterruptible(const void *chan, uint64_t deadline_ns)
{
	return sleep_on(chan, deadline_ns);
}

void thread_wake(const void *chan)
{
	struct thread *t = thread_current;

	do {
		if (t->state == THREAD_SLEEPING &&
		    (t->chan == chan || t->chan == &thread_poll_chan))
			wake(t);
		t = t->next;
	} while (t != thread_current);
}

void thread_interrupt(struct thread *t)
{
	if (t->state == THREAD_SLEEPING)
		wake(t);
}

bool thread_expire(uint64_t now_ns)
{
	struct thread *t = thread_current;
	bool any = false;

	do {
		if (t->state == THREAD_SLEEPING && t->deadline_ns <= now_ns) {
			wake(t);
			t->expired = true;
			any = true;
		}
		t = t->next;
	} while (t != thread_current);
	return any;
}

uint64_t thread_next_deadline(void)
{
	struct thread *t = thread_current;
	uint64_t next = DEADLINE_NEVER;

	do {
		if (t->state == THREAD_SLEEPING && t->deadline_ns < next)
			next = t->deadline_ns;
		t = t->next;
	} while (t != thread_current);
	return next;
}

struct thread *thread_by_tid(int tid)
{
	struct thread *t = thread_current;

	do {
		if (t->tid == tid && t->state != THREAD_DEAD)
			return t;
		t = t->next;
	} while (t != thread_current);
	return NULL;
}

struct thread *thread_for_signal(uint64_t bit)
{
	struct thread *t = thread_current;

	do {
		if (!(t->sig_mask & bit) && t->state != THREAD_DEAD)
			return t;
		t = t->next;
	} while (t != thread_current);
	return NULL;
}

#define CLONE_NEEDED (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND)

long thread_clone(struct regs *r, uint64_t flags, uint64_t stack, int *ptid, int *ctid,
		  uint64_t tls)
{
	struct thread *t;
	struct regs *child;
	uint64_t *frame;

	if ((flags & CLONE_NEEDED) != CLONE_NEEDED)
		return -ENOSYS; /* a second process: there is one program a machine */
	t = mem_alloc(sizeof(*t));
	if (!t)
		return -EAGAIN;
	child = (struct regs *)(uintptr_t)(stack - GAP - sizeof(*child));
	*child = *r;
	child->rax = 0;
	child->rsp = stack;
	frame = (uint64_t *)child - 7; /* six registers and the way into entry.S */
	memset(frame, 0, 6 * sizeof(*frame));
	frame[6] = (uintptr_t)thread_first_return;
	t->ksp = (uintptr_t)frame;
	__asm__ volatile("fxsave64 %0" : "=m"(t->fx));
	t->tid = ++last_tid;
	t->sig_mask = thread_current->sig_mask;
	t->fs_base = flags & CLONE_SETTLS ? tls : thread_current->fs_base;
	if (flags & CLONE_CHILD_CLEARTID)
		t->clear_tid = ctid;
	if (flags & CLONE_PARENT_SETTID)
		*ptid = t->tid;
	if (flags & CLONE_CHILD_SETTID)
		*ctid = t->tid;
	t->next = thread_current->next;
	thread_current->next = t;
	return t->tid;
}

void thread_exit(void)
{
	struct thread *t = thread_current, *prev = t;

	if (thread_alone())
		power_exit(0);
	futex_robust_exit(t);
	if (t->clear_tid) {
		*t->clear_tid = 0;
		thread_futex((uint32_t *)t->clear_tid, 1 /* FUTEX_WAKE */, 1, 0, NULL, 0);
	}
	t->state = THREAD_DEAD;
	while (!(prev = next_runnable(t)))
		event_idle();
	for (struct thread *p = t->next;; p = p->next) {
		if (p->next == t) {
			p->next = t->next;
			break;
		}
	}
	ended = t;
	switch_to(prev);
	__builtin_unreachable();
}
