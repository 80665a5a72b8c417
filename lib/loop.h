/*
 * A small event loop over epoll(7): fds with callbacks, and one timer.
 *
 * Threads: one thread runs it (loop_run_once, loop_finish). The others may
 * call loop_add, loop_mod, loop_del and loop_timer at any time, also from
 * inside callbacks; no lock is held while a callback runs. A removal by
 * another thread may cross an event that is just being delivered: such a
 * caller must cope with one late callback. On the loop's own thread there are
 * none: an fd removed in a callback is not called again, even if its event was
 * already fetched, and even if its number was added again in between.
 */
#ifndef LOOP_H
#define LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOOP_FDS_MAX 65536 /* Limit: fds from here on are refused with -EMFILE */
#define LOOP_CHUNK 1024    /* slots that come together; the first ones are always there */
#define LOOP_CHUNKS (LOOP_FDS_MAX / LOOP_CHUNK)

/* events: the EPOLL* bits that are set. */
typedef void loop_fn(void *opaque, int fd, uint32_t events);
typedef void loop_timer_fn(void *opaque);

struct loop_slot {
	loop_fn *fn; /* NULL: not watched */
	void *opaque;
	uint32_t events;
	uint32_t generation; /* of the registration; an old event does not match */
};

/*
 * Private to loop.c but for wakeups. About 24 KiB, of which few pages are touched. A
 * process with few fds, as exo-vmm, never allocates anything.
 */
struct loop {
	int epoll;
	int timer;
	pthread_mutex_t lock; /* guards slot, more, generation */
	uint32_t generation;
	loop_timer_fn *timer_fn;
	void *timer_opaque;
	uint64_t wakeups;                    /* statistics: times that epoll_wait returned */
	uint64_t poll_max_ns, poll_ns;       /* see loop_poll */
	struct loop_slot slot[LOOP_CHUNK];   /* by fd */
	struct loop_slot *more[LOOP_CHUNKS]; /* the others, allocated when one is used */
};

/* 0 or -errno. `*l` is zeroed memory or a finished loop. */
int loop_init(struct loop *l);
/* Closes what init opened; watched fds stay open. Safe on zeroed memory. */
void loop_finish(struct loop *l);

/*
 * Watches fd, level-triggered, for EPOLLIN and EPOLLOUT in events; hang-up and
 * error come uninvited. events 0: registered, but silent (no hang-up either).
 * 0, -EEXIST, -EMFILE, -ENOMEM, or epoll_ctl's error: -EPERM for a regular file.
 */
int loop_add(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *opaque);
/* Changes the events of a watched fd. 0, -ENOENT or epoll_ctl's error. */
int loop_mod(struct loop *l, int fd, uint32_t events);
/* Stops watching; to be called before the fd is closed. Unwatched fds are ignored. */
void loop_del(struct loop *l, int fd);
/* Is fd watched? */
bool loop_has(struct loop *l, int fd);

/* Who is called when the timer fires; before the first loop_timer. */
void loop_on_timer(struct loop *l, loop_timer_fn *fn, void *opaque);
/* Sets the only timer to CLOCK_MONOTONIC deadline_ns; a past one fires at once; 0 cancels. */
void loop_timer(struct loop *l, uint64_t deadline_ns);

/*
 * Lets the loop look for events for up to max_ns before it sleeps, as long as
 * that pays: a sleep and a wake-up cost more than the answer often takes. The
 * time adapts to how soon events came lately, and is nothing when they don't:
 * an idle loop sleeps. 0 (the default): never. Only of use on two CPUs or more.
 */
void loop_poll(struct loop *l, uint64_t max_ns);

/*
 * Waits for events once and runs their callbacks. 0 (also after EINTR), or
 * -errno. To stop, a callback sets a variable that the caller tests.
 */
int loop_run_once(struct loop *l);

#endif
