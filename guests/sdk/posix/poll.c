/*
 * poll and select. Waiting: a poller sleeps on thread_poll_chan, which every
 * thread_wake wakes; then it looks at all its files again.
 */
#include "files.h"
#include "vsock_conn.h"

#define ALWAYS (POLLERR | POLLHUP | POLLNVAL)

unsigned file_poll(struct file *f)
{
	return f->ops->poll ? f->ops->poll(f) : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

void file_poll_prepare(struct file *f)
{
	if (f && f->ops->poll_prepare)
		f->ops->poll_prepare(f);
}

bool file_poll_spins(struct file *f)
{
	return f && f->ops->poll_prepare && direct_spins(f);
}

static long look(struct pollfd *fds, unsigned long n)
{
	long ready = 0;

	for (unsigned long i = 0; i < n; i++) {
		struct file *f = fd_file(fds[i].fd);
		unsigned bits = f ? file_poll(f) : POLLNVAL;

		fds[i].revents = 0;
		if (fds[i].fd >= 0)
			fds[i].revents = (short)(bits & ((unsigned)fds[i].events | ALWAYS));
		ready += fds[i].revents != 0;
	}
	return ready;
}

struct watched {
	struct pollfd *fds;
	unsigned long n;
};

static bool anything(void *arg)
{
	const struct watched *w = arg;

	return look(w->fds, w->n) != 0;
}

/* Looks for a while, if there is a channel among them. True: something is ready. */
static bool spin(struct pollfd *fds, unsigned long n, uint64_t deadline_ns)
{
	static struct spin state = {.ns = SPIN_NS};
	bool worth = false;

	for (unsigned long i = 0; i < n && !worth; i++)
		worth = file_poll_spins(fd_file(fds[i].fd));
	return worth && deadline_ns > clock_ns() + SPIN_NS &&
	       spin_until(&state, anything, &(struct watched){fds, n});
}

/* Before sleeping: what would be ready only by an interrupt asks for one. */
static void prepare(const struct pollfd *fds, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		file_poll_prepare(fd_file(fds[i].fd));
}

long poll_files(struct pollfd *fds, unsigned long n, uint64_t deadline_ns, const uint64_t *mask)
{
	bool prepared = false;
	long ready;
	int err = 0;

	if (n > FD_MAX)
		return -EINVAL;
	signal_mask_for_wait(mask);
	while (!(ready = look(fds, n)) && err == 0) {
		if (deadline_ns <= clock_ns())
			break;
		if (!prepared) {
			if (spin(fds, n, deadline_ns))
				continue;
			prepare(fds, n);
			prepared = true;
			continue;
		}
		prepared = false;
		err = thread_sleep(&thread_poll_chan, deadline_ns);
	}
	signal_mask_wait_done(err == -RESTART_CALL && !ready);
	return ready || err != -RESTART_CALL ? ready : -RESTART_NOHAND;
}

static void add_set(struct pollfd *fds, int n, const fd_set *set, short bits)
{
	for (int i = 0; set && i < n; i++)
		if (FD_ISSET(i, set))
			fds[i].events |= bits;
}

static long take_set(const struct pollfd *fds, int n, fd_set *set, short wanted, short bits)
{
	long count = 0;

	for (int i = 0; set && i < n; i++) {
		if (!FD_ISSET(i, set))
			continue;
		if (fds[i].events & wanted && fds[i].revents & bits)
			count++;
		else
			FD_CLR(i, set);
	}
	return count;
}

long poll_select(int n, fd_set *in, fd_set *out, fd_set *except, uint64_t deadline_ns,
		 const uint64_t *mask)
{
	struct pollfd fds[FD_MAX];
	long ready;

	if (n < 0)
		return -EINVAL;
	n = MIN(n, FD_MAX);
	memset(fds, 0, (size_t)n * sizeof(*fds));
	add_set(fds, n, in, POLLIN);
	add_set(fds, n, out, POLLOUT);
	add_set(fds, n, except, POLLPRI);
	for (int i = 0; i < n; i++) {
		fds[i].fd = fds[i].events ? i : -1;
		if (fds[i].events && !fd_file(i))
			return -EBADF;
	}
	ready = poll_files(fds, (unsigned long)n, deadline_ns, mask);
	if (ready < 0)
		return ready;
	return take_set(fds, n, in, POLLIN, POLLIN | POLLHUP | POLLERR) +
	       take_set(fds, n, out, POLLOUT, POLLOUT | POLLERR) +
	       take_set(fds, n, except, POLLPRI, POLLPRI);
}
