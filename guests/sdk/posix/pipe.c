/* Pipes between threads of the program, or from a signal handler to its poll loop. */
#include "files.h"

#include <fcntl.h>
#include <limits.h>

#define PIPE_BYTES 65536

struct pipe {
	struct file reader, writer; /* refs 0: that end is closed */
	uint8_t *ring;
	uint32_t head, count;
};

static struct pipe *pipe_of(struct file *f, bool reader)
{
	return (struct pipe *)(void *)((char *)f - (reader ? offsetof(struct pipe, reader)
							   : offsetof(struct pipe, writer)));
}

static long pipe_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct pipe *p = pipe_of(f, true);
	size_t want = iov_total(iov, n), done = 0;

	if (want == 0)
		return 0;
	while (p->count == 0) {
		int err;

		if (p->writer.refs == 0)
			return 0;
		if (file_nonblock(f))
			return -EAGAIN;
		err = thread_sleep(p, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	while (done < want && p->count) {
		uint32_t part = MIN(p->count, PIPE_BYTES - p->head);

		part = (uint32_t)iov_to(iov, n, done, p->ring + p->head, part);
		done += part;
		p->head = (p->head + part) % PIPE_BYTES;
		p->count -= part;
	}
	thread_wake(p);
	return (long)done;
}

static size_t put(struct pipe *p, const struct iovec *iov, int n, size_t at)
{
	uint32_t tail = (p->head + p->count) % PIPE_BYTES;
	uint32_t part = MIN(PIPE_BYTES - p->count, PIPE_BYTES - tail);

	part = (uint32_t)iov_from(iov, n, at, p->ring + tail, part);
	p->count += part;
	return part;
}

static long pipe_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct pipe *p = pipe_of(f, false);
	size_t want = iov_total(iov, n), done = 0;
	/* PIPE_BUF bytes and fewer are written in one piece or not at all. */
	size_t need = want <= PIPE_BUF ? want : 1;

	while (done < want) {
		int err;

		if (p->reader.refs == 0)
			return done ? (long)done : -EPIPE;
		if (PIPE_BYTES - p->count >= need) {
			done += put(p, iov, n, done);
			thread_wake(p);
			if (want <= PIPE_BUF)
				need = want - done; /* the rest, when it wrapped */
			continue;
		}
		if (file_nonblock(f))
			return done ? (long)done : -EAGAIN;
		err = thread_sleep(p, DEADLINE_NEVER);
		if (err < 0)
			return done ? (long)done : err;
	}
	return (long)done;
}

static unsigned reader_poll(struct file *f)
{
	struct pipe *p = pipe_of(f, true);

	return (p->count ? POLLIN | POLLRDNORM : 0) | (p->writer.refs ? 0 : POLLHUP);
}

static unsigned writer_poll(struct file *f)
{
	struct pipe *p = pipe_of(f, false);

	return (PIPE_BYTES - p->count >= PIPE_BUF ? POLLOUT | POLLWRNORM : 0) |
	       (p->reader.refs ? 0 : POLLERR);
}

static void pipe_close(struct pipe *p)
{
	thread_wake(p);
	if (p->reader.refs || p->writer.refs)
		return;
	mem_pages_free(p->ring, PIPE_BYTES);
	mem_free(p, sizeof(*p));
}

static void reader_close(struct file *f)
{
	pipe_close(pipe_of(f, true));
}

static void writer_close(struct file *f)
{
	pipe_close(pipe_of(f, false));
}

static const struct file_ops reader_ops = {
	.readv = pipe_readv,
	.poll = reader_poll,
	.close = reader_close,
	.mode = S_IFIFO | 0600,
};

static const struct file_ops writer_ops = {
	.writev = pipe_writev,
	.poll = writer_poll,
	.close = writer_close,
	.mode = S_IFIFO | 0600,
};

long pipe_create(int fds[2], int flags)
{
	struct pipe *p;
	unsigned status = (unsigned)flags & O_NONBLOCK;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	p = mem_alloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->ring = mem_pages(PIPE_BYTES);
	if (!p->ring) {
		mem_free(p, sizeof(*p));
		return -ENOMEM;
	}
	p->reader = (struct file){.ops = &reader_ops, .refs = 1, .flags = O_RDONLY | status};
	p->writer = (struct file){.ops = &writer_ops, .refs = 1, .flags = O_WRONLY | status};
	fds[0] = fd_install_new(&p->reader, flags);
	if (fds[0] < 0) {
		file_unref(&p->writer);
		return -EMFILE;
	}
	fds[1] = fd_install_new(&p->writer, flags);
	if (fds[1] < 0) {
		fd_close(fds[0]);
		return -EMFILE;
	}
	return 0;
}
