/* epoll over poll: level-triggered, EPOLLONESHOT; EPOLLET is refused. */
#include "files.h"
#include "spin.h"

#include <fcntl.h>
#include <sys/epoll.h>

#define WATCHES_MAX FD_MAX

struct watch {
	struct file *file; /* NULL: free */
	int fd;
	uint32_t events;
	epoll_data_t data;
};

struct epoll {
	struct file file;
	struct spin spin;
	unsigned nwatches; /* slots in use or freed below this */
	struct watch watch[WATCHES_MAX];
};

static long collect(struct epoll *e, struct epoll_event *ev, int max)
{
	int n = 0;

	for (unsigned i = 0; i < e->nwatches && n < max; i++) {
		struct watch *w = &e->watch[i];
		uint32_t bits;

		if (!w->file)
			continue;
		if (fd_file(w->fd) != w->file) { /* closed meanwhile: it left by itself */
			w->file = NULL;
			continue;
		}
		if (!w->events)
			continue;
		bits = file_poll(w->file) & (w->events | EPOLLERR | EPOLLHUP);
		if (!bits)
			continue;
		if (ev)
			ev[n] = (struct epoll_event){.events = bits, .data = w->data};
		if (ev && w->events & EPOLLONESHOT)
			w->events = 0;
		n++;
	}
	return n;
}

static bool anything(void *arg)
{
	return collect(arg, NULL, 1) != 0;
}

/* Looks for a while, if there is a channel among them. True: something is ready. */
static bool spin(struct epoll *e, uint64_t deadline_ns)
{
	bool worth = false;

	for (unsigned i = 0; i < e->nwatches && !worth; i++)
		worth = e->watch[i].file && file_poll_spins(e->watch[i].file);
	return worth && deadline_ns > clock_ns() + SPIN_NS && spin_until(&e->spin, anything, e);
}

static void prepare(struct epoll *e)
{
	for (unsigned i = 0; i < e->nwatches; i++)
		if (e->watch[i].file && e->watch[i].events)
			file_poll_prepare(e->watch[i].file);
}

static void epoll_file_prepare(struct file *f)
{
	prepare((struct epoll *)(void *)f);
}

static unsigned epoll_file_poll(struct file *f)
{
	return collect((struct epoll *)(void *)f, NULL, 1) ? POLLIN | POLLRDNORM : 0;
}

static void epoll_close(struct file *f)
{
	mem_pages_free(f, sizeof(struct epoll));
}

static const struct file_ops epoll_ops = {
	.poll = epoll_file_poll,
	.poll_prepare = epoll_file_prepare,
	.close = epoll_close,
	.mode = 0600,
};

long epoll_create_file(int flags)
{
	struct epoll *e;

	if (flags & ~EPOLL_CLOEXEC)
		return -EINVAL;
	e = mem_pages(sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->spin.ns = SPIN_NS;
	e->file = (struct file){.ops = &epoll_ops, .refs = 1, .flags = O_RDWR};
	return fd_install_new(&e->file, flags);
}

static struct epoll *epoll_of(int fd)
{
	struct file *f = fd_file(fd);

	return f && f->ops == &epoll_ops ? (struct epoll *)(void *)f : NULL;
}

static struct watch *find_watch(struct epoll *e, int fd, struct file *f)
{
	for (unsigned i = 0; i < e->nwatches; i++)
		if (e->watch[i].file == f && e->watch[i].fd == fd)
			return &e->watch[i];
	return NULL;
}

static struct watch *free_watch(struct epoll *e)
{
	for (unsigned i = 0; i < e->nwatches; i++)
		if (!e->watch[i].file)
			return &e->watch[i];
	return e->nwatches < WATCHES_MAX ? &e->watch[e->nwatches++] : NULL;
}

/* One that watches others cannot be watched: so there are no circles. */
static bool nests(struct file *f)
{
	const struct epoll *e = (struct epoll *)(void *)f;

	for (unsigned i = 0; i < e->nwatches; i++)
		if (e->watch[i].file && e->watch[i].file->ops == &epoll_ops)
			return true;
	return false;
}

long epoll_control(int epfd, int op, int fd, const struct epoll_event *ev)
{
	struct epoll *e = epoll_of(epfd);
	struct file *f = fd_file(fd);
	struct watch *w;

	if (!f || !fd_file(epfd))
		return -EBADF;
	if (!e || f == &e->file || (f->ops == &epoll_ops && op == EPOLL_CTL_ADD && nests(f)))
		return -EINVAL;
	w = find_watch(e, fd, f);
	if (op == EPOLL_CTL_ADD ? w != NULL : w == NULL)
		return w ? -EEXIST : -ENOENT;
	if (op == EPOLL_CTL_DEL) {
		w->file = NULL;
		return 0;
	}
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD)
		return -EINVAL;
	if (ev->events & EPOLLET)
		return -EINVAL;
	if (!w)
		w = free_watch(e);
	if (!w)
		return -ENOSPC;
	*w = (struct watch){f, fd, ev->events | EPOLLERR | EPOLLHUP, ev->data};
	return 0;
}

long epoll_wait_events(int epfd, struct epoll_event *ev, int max, uint64_t deadline_ns,
		       const uint64_t *mask)
{
	struct epoll *e = epoll_of(epfd);
	bool prepared = false;
	long n;
	int err = 0;

	if (!e || max <= 0)
		return fd_file(epfd) ? -EINVAL : -EBADF;
	signal_mask_for_wait(mask);
	while (!(n = collect(e, ev, max)) && err == 0) {
		if (deadline_ns <= clock_ns())
			break;
		if (!prepared) {
			if (spin(e, deadline_ns))
				continue;
			prepare(e);
			prepared = true;
			continue;
		}
		prepared = false;
		err = thread_sleep(&thread_poll_chan, deadline_ns);
	}
	signal_mask_wait_done(err == -RESTART_CALL && !n);
	return n || err != -RESTART_CALL ? n : -RESTART_NOHAND;
}
