/* eventfd and timerfd. */
#include "files.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

struct notify {
	struct file file;
	uint64_t count;
	bool semaphore;
	int clockid;
	struct timer timer; /* timerfd */
};

static struct notify *notify_of(struct file *f)
{
	return (struct notify *)(void *)f;
}

static long notify_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct notify *e = notify_of(f);
	uint64_t value;

	if (iov_total(iov, n) < sizeof(value))
		return -EINVAL;
	while (e->count == 0) {
		int err;

		if (file_nonblock(f))
			return -EAGAIN;
		err = thread_sleep(e, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	value = e->semaphore ? 1 : e->count;
	e->count -= value;
	iov_to(iov, n, 0, &value, sizeof(value));
	thread_wake(e);
	return sizeof(value);
}

static long eventfd_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct notify *e = notify_of(f);
	uint64_t value;

	if (iov_from(iov, n, 0, &value, sizeof(value)) < sizeof(value) || value == UINT64_MAX)
		return -EINVAL;
	while (value > UINT64_MAX - 1 - e->count) {
		int err;

		if (file_nonblock(f))
			return -EAGAIN;
		err = thread_sleep(e, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	e->count += value;
	thread_wake(e);
	return sizeof(value);
}

static unsigned eventfd_poll(struct file *f)
{
	struct notify *e = notify_of(f);

	return (e->count ? POLLIN | POLLRDNORM : 0) |
	       (e->count < UINT64_MAX - 1 ? POLLOUT | POLLWRNORM : 0);
}

static unsigned timerfd_poll(struct file *f)
{
	return notify_of(f)->count ? POLLIN | POLLRDNORM : 0;
}

static void notify_close(struct file *f)
{
	struct notify *e = notify_of(f);

	timer_clear(&e->timer);
	mem_free(e, sizeof(*e));
}

static const struct file_ops eventfd_ops = {
	.readv = notify_readv,
	.writev = eventfd_writev,
	.poll = eventfd_poll,
	.close = notify_close,
	.mode = 0600,
};

static const struct file_ops timerfd_ops = {
	.readv = notify_readv,
	.poll = timerfd_poll,
	.close = notify_close,
	.mode = 0600,
};

static long notify_new(const struct file_ops *ops, int flags, struct notify init)
{
	struct notify *e = mem_alloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	*e = init;
	e->file = (struct file){
		.ops = ops, .refs = 1, .flags = O_RDWR | ((unsigned)flags & O_NONBLOCK)};
	return fd_install_new(&e->file, flags);
}

long eventfd_create(unsigned count, int flags)
{
	if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	return notify_new(&eventfd_ops, flags,
			  (struct notify){.count = count, .semaphore = flags & EFD_SEMAPHORE});
}

static void expired(struct timer *t)
{
	struct notify *e = (struct notify *)(void *)((char *)t - offsetof(struct notify, timer));

	e->count += t->expirations;
	thread_wake(e);
}

long timerfd_new(int clockid, int flags)
{
	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK) ||
	    (clockid != CLOCK_MONOTONIC && clockid != CLOCK_REALTIME && clockid != CLOCK_BOOTTIME))
		return -EINVAL;
	return notify_new(&timerfd_ops, flags,
			  (struct notify){.clockid = clockid, .timer.fn = expired});
}

static struct notify *timerfd_of(int fd)
{
	struct file *f = fd_file(fd);

	return f && f->ops == &timerfd_ops ? notify_of(f) : NULL;
}

long timerfd_get(int fd, struct itimerspec *out)
{
	struct notify *e = timerfd_of(fd);
	uint64_t now = clock_ns();

	if (!e)
		return fd_file(fd) ? -EINVAL : -EBADF;
	out->it_interval = clock_to_timespec(e->timer.interval_ns);
	out->it_value =
		clock_to_timespec(e->timer.armed ? MAX(e->timer.deadline_ns, now + 1) - now : 0);
	return 0;
}

long timerfd_set(int fd, int flags, const struct itimerspec *in, struct itimerspec *old)
{
	struct notify *e = timerfd_of(fd);
	uint64_t value, interval;

	if (!e)
		return fd_file(fd) ? -EINVAL : -EBADF;
	if (flags & ~TFD_TIMER_ABSTIME || !clock_from_timespec(&in->it_value, &value) ||
	    !clock_from_timespec(&in->it_interval, &interval))
		return -EINVAL;
	if (old)
		timerfd_get(fd, old);
	timer_clear(&e->timer);
	e->count = 0;
	e->timer.interval_ns = interval;
	if (value)
		timer_set(&e->timer,
			  flags & TFD_TIMER_ABSTIME ? clock_absolute(e->clockid, value)
						    : clock_ns() + value,
			  interval);
	return 0;
}
