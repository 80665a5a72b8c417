/* Packets with file descriptors; see fdmsg.h. */
#include "fdmsg.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * FDMSG_FDS_MAX)];
};

int fdmsg_send(int sock, const void *msg, size_t len, const int *fds, unsigned nfds)
{
	struct iovec iov = {.iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (nfds > FDMSG_FDS_MAX)
		return -EINVAL;
	memcpy(&iov.iov_base, &msg, sizeof(msg)); /* sendmsg only reads it */
	if (nfds) {
		memset(&control, 0, CMSG_SPACE(sizeof(int) * nfds));
		mh.msg_control = control.bytes;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	do {
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Takes every descriptor out of the control data, keeping at most max. */
static unsigned take_fds(struct msghdr *mh, int *fds, unsigned max, bool *surplus)
{
	struct cmsghdr *c = mh->msg_controllen ? CMSG_FIRSTHDR(mh) : NULL;
	unsigned count = 0;

	/* One SCM_RIGHTS message a packet is all that the kernel ever delivers. */
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	for (size_t off = 0; off + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); off += sizeof(int)) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + off, sizeof(fd));
		if (count < max) {
			fds[count++] = fd;
		} else {
			close(fd);
			*surplus = true;
		}
	}
	return count;
}

ssize_t fdmsg_recv(int sock, void *buf, size_t cap, int *fds, unsigned max, unsigned *nfds)
{
	union control control;
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	bool surplus = false, reset = false;
	ssize_t n;

	*nfds = 0;
	do {
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
		/*
		 * The other side has gone without reading all that we sent. The kernel
		 * says so first, and once; its last packets come after that.
		 */
		reset = n < 0 && errno == ECONNRESET && !reset;
	} while (reset || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	*nfds = take_fds(&mh, fds, max, &surplus);
	if (!surplus && !(mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return n;
	while (*nfds)
		close(fds[--*nfds]);
	return -EMSGSIZE;
}
