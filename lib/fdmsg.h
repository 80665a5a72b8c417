/*
 * One packet with file descriptors over a SOCK_SEQPACKET Unix socket
 * (unix(7), SCM_RIGHTS). Any thread; the socket's own order is the only order.
 */
#ifndef FDMSG_H
#define FDMSG_H

#include <stddef.h>
#include <sys/types.h>

#define FDMSG_FDS_MAX 24 /* in one packet, either way */

/*
 * Sends one packet with nfds descriptors (≤ FDMSG_FDS_MAX), which stay the
 * caller's. 0, or -errno: -EAGAIN when a non-blocking socket is full, -EPIPE
 * when the other side has gone (no SIGPIPE), -EINVAL for too many fds.
 */
int fdmsg_send(int sock, const void *msg, size_t len, const int *fds, unsigned nfds);

/*
 * Receives one packet of at most cap bytes and max descriptors into buf and
 * fds. The descriptors are the caller's from then on, and close-on-exec. Its
 * length, 0 at hang-up, or -errno with *nfds 0 and nothing to close: -EMSGSIZE
 * when the packet had more bytes or more fds than there was room for.
 */
ssize_t fdmsg_recv(int sock, void *buf, size_t cap, int *fds, unsigned max, unsigned *nfds);

#endif
