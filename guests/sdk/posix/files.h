/* System calls on files, and the kinds of files, for posix/syscall.c. */
#ifndef POSIX_FILES_H
#define POSIX_FILES_H

#include "posix.h"

#include <poll.h>
#include <sys/select.h>

/* fd.c. All return -errno or the call's result. */
/* fd_install of a new file, dropped if there is no room. flags: O_CLOEXEC. */
int fd_install_new(struct file *f, int flags);
long fd_close(int fd);
long fd_dup(int fd);
long fd_dup_to(int fd, int to, int flags, bool same_is_error);
long fd_fcntl(int fd, int cmd, unsigned long arg);
long fd_ioctl(int fd, unsigned long req, unsigned long arg);
long fd_stat(int fd, struct stat *st);
long fd_seek(int fd, int64_t off, int whence);
long fd_readv(int fd, const struct iovec *iov, long n, int64_t off);
long fd_writev(int fd, const struct iovec *iov, long n, int64_t off);
long fd_sync(int fd);
long fd_sendfile(int to, int from, int64_t *off, size_t count);

/* poll.c */
long poll_files(struct pollfd *fds, unsigned long n, uint64_t deadline_ns, const uint64_t *mask);
long poll_select(int n, fd_set *in, fd_set *out, fd_set *except, uint64_t deadline_ns,
		 const uint64_t *mask);
unsigned file_poll(struct file *f);
/* Before sleeping on it; then look again. NULL: nothing. */
void file_poll_prepare(struct file *f);
/* Is it worth while to look at it again and again for some microseconds? */
bool file_poll_spins(struct file *f);

/* epoll.c */
struct epoll_event;
long epoll_create_file(int flags);
long epoll_control(int epfd, int op, int fd, const struct epoll_event *ev);
long epoll_wait_events(int epfd, struct epoll_event *ev, int max, uint64_t deadline_ns,
		       const uint64_t *mask);

/* notify.c */
long eventfd_create(unsigned count, int flags);
long timerfd_new(int clockid, int flags);
long timerfd_set(int fd, int flags, const struct itimerspec *in, struct itimerspec *old);
long timerfd_get(int fd, struct itimerspec *out);

/* pipe.c */
long pipe_create(int fds[2], int flags);

/* blkfile.c: a file of a disk by number or grant name. */
int blkfile_open(const char *name, int flags, struct file **out);

/* displayfile.c, inputfile.c, soundfile.c: what is below /dev/exo. */
int displayfile_open(int flags, struct file **out);
int inputfile_open(int flags, struct file **out);
int soundfile_open(bool capture, int flags, struct file **out);

/* socket.c */
long socket_create(int domain, int type, int protocol);
long socket_bind(int fd, const void *addr, unsigned len);
long socket_listen(int fd, int backlog);
long socket_accept(int fd, void *addr, unsigned *len, int flags);
long socket_connect(int fd, const void *addr, unsigned len);
long socket_shutdown(int fd, int how);
long socket_name(int fd, void *addr, unsigned *len, bool peer);
long socket_getopt(int fd, int level, int opt, void *val, unsigned *len);
long socket_setopt(int fd, int level, int opt, const void *val, unsigned len);
long socket_send(int fd, const struct iovec *iov, int n, int flags);
long socket_recv(int fd, const struct iovec *iov, int n, int flags, int *out_flags);
/*
 * A stream socket, connected to a port of CID 2 as if by connect: waits. For
 * parts of the layer that talk to servers. A file with one reference, or
 * connect's -errno; -ENETDOWN: there is no vsock.
 */
int socket_open_stream(uint32_t port, struct file **out);
struct msghdr;
long socket_sendmsg(int fd, const struct msghdr *m, int flags);
long socket_recvmsg(int fd, struct msghdr *m, int flags);

#endif
