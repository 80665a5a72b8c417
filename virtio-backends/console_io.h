/*
 * One end of a standard stream: moves bytes between a file descriptor and a
 * chain, straight from and into guest memory, and never waits.
 */
#ifndef CONSOLE_IO_H
#define CONSOLE_IO_H

#include "vq.h"

#include <sys/types.h>

struct console_stream {
	int fd; /* -1: closed */
	enum {
		STREAM_PLAIN,  /* O_NONBLOCK, or a file that never makes one wait */
		STREAM_SOCKET, /* blocking: MSG_DONTWAIT */
		STREAM_PIPE,   /* blocking: what poll promises, at most PIPE_BUF */
		STREAM_OTHER,  /* blocking: likewise, in terminal-sized steps */
	} kind;
	uint64_t token;   /* for vdev_host.watch */
	uint32_t watched; /* EPOLL* the host watches for, 0: none */
};

/* Takes fd (may be -1) over. */
void console_stream_init(struct console_stream *s, int fd);
void console_stream_close(struct console_stream *s);

/*
 * At most max bytes, from the chain's cursor on, which moves. The bytes moved;
 * a read gives 0 at the end of input. -EAGAIN when it would have to wait, or
 * another -errno.
 */
ssize_t console_stream_read(struct console_stream *s, struct vq_chain *c, size_t max);
ssize_t console_stream_write(struct console_stream *s, struct vq_chain *c, size_t max);

#endif
