/*
 * Streams of the console device; see console_io.h. Called under the device's
 * lock by vCPU threads and the event loop.
 */
#include "console_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define IOVS 64

/*
 * Limit: a terminal that is not O_NONBLOCK says it is writable when it has some
 * room, not how much; a step this small fits unless another writer is faster.
 */
#define TTY_STEP 256

void console_stream_init(struct console_stream *s, int fd)
{
	struct stat st;
	int flags;

	*s = (struct console_stream){.fd = fd, .kind = STREAM_PLAIN};
	if (fd < 0)
		return;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_NONBLOCK) || fstat(fd, &st))
		return;
	if (S_ISSOCK(st.st_mode))
		s->kind = STREAM_SOCKET;
	else if (S_ISFIFO(st.st_mode))
		s->kind = STREAM_PIPE;
	else if (!S_ISREG(st.st_mode))
		s->kind = STREAM_OTHER;
}

void console_stream_close(struct console_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* For a descriptor that blocks: is there something to do without waiting? */
static bool is_ready(const struct console_stream *s, short events)
{
	struct pollfd p = {.fd = s->fd, .events = events};

	return s->kind == STREAM_PLAIN || s->kind == STREAM_SOCKET || poll(&p, 1, 0) > 0;
}

ssize_t console_stream_read(struct console_stream *s, struct vq_chain *c, size_t max)
{
	struct iovec iov[IOVS];
	struct msghdr msg = {.msg_iov = iov};
	size_t total;
	ssize_t n;

	msg.msg_iovlen = vq_write_iov(c, iov, IOVS, max, &total);
	do {
		if (!is_ready(s, POLLIN))
			return -EAGAIN;
		if (s->kind == STREAM_SOCKET)
			n = recvmsg(s->fd, &msg, MSG_DONTWAIT);
		else
			n = readv(s->fd, iov, (int)msg.msg_iovlen);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	vq_skip_write(c, (size_t)n);
	return n;
}

ssize_t console_stream_write(struct console_stream *s, struct vq_chain *c, size_t max)
{
	struct iovec iov[IOVS];
	struct msghdr msg = {.msg_iov = iov};
	size_t total;
	ssize_t n;

	if (s->kind == STREAM_PIPE && max > PIPE_BUF)
		max = PIPE_BUF;
	if (s->kind == STREAM_OTHER && max > TTY_STEP)
		max = TTY_STEP;
	msg.msg_iovlen = vq_read_iov(c, iov, IOVS, max, &total);
	do {
		if (!is_ready(s, POLLOUT))
			return -EAGAIN;
		if (s->kind == STREAM_SOCKET)
			n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = writev(s->fd, iov, (int)msg.msg_iovlen);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	vq_skip_read(c, (size_t)n);
	return n;
}
