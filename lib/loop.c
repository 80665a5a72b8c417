/* The event loop; see loop.h. */
#include "loop.h"

#include "clock.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define BATCH 16 /* events fetched at once */
#define TIMER_DATA UINT64_MAX
#define POLL_MIN_NS 10000

int loop_init(struct loop *l)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = TIMER_DATA};
	int err;

	l->epoll = l->timer = -1;
	err = -pthread_mutex_init(&l->lock, NULL);
	if (err)
		return err;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		goto fail;
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &ev))
		goto fail;
	return 0;
fail:
	err = -errno;
	loop_finish(l);
	return err;
}

void loop_finish(struct loop *l)
{
	/* Standard input is never one of ours, so 0 is zeroed memory. */
	if (l->timer > 0)
		close(l->timer);
	if (l->epoll > 0) {
		close(l->epoll);
		pthread_mutex_destroy(&l->lock);
	}
	for (unsigned i = 0; i < LOOP_CHUNK; i++) {
		if (l->slot[i].fn)
			l->slot[i].fn = NULL;
	}
	for (unsigned i = 0; i < LOOP_CHUNKS; i++) {
		free(l->more[i]);
		l->more[i] = NULL;
	}
	l->epoll = l->timer = -1;
}

/* The slot of an fd, or NULL: it has none (yet). The caller has the lock. */
static struct loop_slot *find_slot(struct loop *l, int fd)
{
	unsigned chunk = (unsigned)fd / LOOP_CHUNK;

	if (fd < 0 || fd >= LOOP_FDS_MAX)
		return NULL;
	if (!chunk)
		return &l->slot[fd];
	return l->more[chunk] ? &l->more[chunk][fd % LOOP_CHUNK] : NULL;
}

static struct loop_slot *make_slot(struct loop *l, int fd)
{
	struct loop_slot **more = &l->more[fd / LOOP_CHUNK];

	if (fd >= LOOP_CHUNK && !*more)
		*more = calloc(LOOP_CHUNK, sizeof(**more));
	return find_slot(l, fd);
}

/* Tells the kernel. Silent fds leave the set: hang-up can't be masked in it. */
static int sync_epoll(struct loop *l, const struct loop_slot *s, int fd, uint32_t old, uint32_t new)
{
	struct epoll_event ev = {
		.events = new,
		.data.u64 = (uint64_t)s->generation << 32 | (uint32_t)fd,
	};
	int op = !old ? EPOLL_CTL_ADD : !new ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (old == new)
		return 0;
	return epoll_ctl(l->epoll, op, fd, &ev) ? -errno : 0;
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *opaque)
{
	int err;

	if (fd < 0)
		return -EBADF;
	if (fd >= LOOP_FDS_MAX)
		return -EMFILE;
	pthread_mutex_lock(&l->lock);
	struct loop_slot *s = make_slot(l, fd);

	if (!s || s->fn) {
		err = s ? -EEXIST : -ENOMEM;
		goto out;
	}
	s->generation = ++l->generation;
	err = sync_epoll(l, s, fd, 0, events);
	if (err)
		goto out;
	s->fn = fn;
	s->opaque = opaque;
	s->events = events;
out:
	pthread_mutex_unlock(&l->lock);
	return err;
}

int loop_mod(struct loop *l, int fd, uint32_t events)
{
	int err = -ENOENT;

	pthread_mutex_lock(&l->lock);
	struct loop_slot *s = find_slot(l, fd);

	if (s && s->fn) {
		err = sync_epoll(l, s, fd, s->events, events);
		if (!err)
			s->events = events;
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

void loop_del(struct loop *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	struct loop_slot *s = find_slot(l, fd);

	if (s && s->fn) {
		sync_epoll(l, s, fd, s->events, 0);
		s->fn = NULL;
		s->events = 0;
	}
	pthread_mutex_unlock(&l->lock);
}

bool loop_has(struct loop *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	const struct loop_slot *s = find_slot(l, fd);
	bool has = s && s->fn;

	pthread_mutex_unlock(&l->lock);
	return has;
}

void loop_on_timer(struct loop *l, loop_timer_fn *fn, void *opaque)
{
	l->timer_fn = fn;
	l->timer_opaque = opaque;
}

void loop_timer(struct loop *l, uint64_t deadline_ns)
{
	struct itimerspec its = {
		.it_value.tv_sec = (time_t)(deadline_ns / 1000000000u),
		.it_value.tv_nsec = (long)(deadline_ns % 1000000000u),
	};

	/* Fails only for a bad fd or a tv_nsec out of range: neither can be. */
	(void)timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &its, NULL);
}

static void run_timer(struct loop *l)
{
	uint64_t fired;

	/* EAGAIN: set anew or cancelled after the event was fetched. */
	if (read(l->timer, &fired, sizeof(fired)) == (ssize_t)sizeof(fired) && l->timer_fn)
		l->timer_fn(l->timer_opaque);
}

static void run_fd(struct loop *l, const struct epoll_event *ev)
{
	int fd = (int)(uint32_t)ev->data.u64;
	loop_fn *fn = NULL;
	void *opaque = NULL;

	pthread_mutex_lock(&l->lock);
	const struct loop_slot *s = find_slot(l, fd);

	if (s && s->fn && s->events && s->generation == ev->data.u64 >> 32) {
		fn = s->fn;
		opaque = s->opaque;
	}
	pthread_mutex_unlock(&l->lock);
	if (fn)
		fn(opaque, fd, ev->events);
}

void loop_poll(struct loop *l, uint64_t max_ns)
{
	l->poll_max_ns = max_ns;
}

/* What the time to poll should be after events that came `took` ns after we began to wait. */
static uint64_t adapt(const struct loop *l, uint64_t took)
{
	uint64_t longer = l->poll_ns ? l->poll_ns * 2 : POLL_MIN_NS;

	if (took <= l->poll_ns)
		return l->poll_ns; /* it paid */
	if (took > l->poll_max_ns)
		return 0; /* polling could not have helped */
	return longer < l->poll_max_ns ? longer : l->poll_max_ns;
}

static int wait_events(struct loop *l, struct epoll_event *ev)
{
	uint64_t begin, now;
	int n;

	if (!l->poll_max_ns)
		return epoll_wait(l->epoll, ev, BATCH, -1);
	begin = now = clock_now_ns();
	do {
		n = epoll_wait(l->epoll, ev, BATCH, 0);
		now = clock_now_ns();
	} while (!n && now - begin < l->poll_ns);
	if (!n) {
		n = epoll_wait(l->epoll, ev, BATCH, -1);
		now = clock_now_ns();
	}
	l->poll_ns = adapt(l, now - begin);
	return n;
}

int loop_run_once(struct loop *l)
{
	struct epoll_event ev[BATCH];
	int n = wait_events(l, ev);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	l->wakeups++;
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == TIMER_DATA)
			run_timer(l);
		else
			run_fd(l, &ev[i]);
	}
	return 0;
}
