#include "files.h"
long socket_create(int domain, int type, int protocol) { return -EAFNOSUPPORT; }
long socket_bind(int fd, const void *addr, unsigned len) { return -ENOTSOCK; }
long socket_listen(int fd, int backlog) { return -ENOTSOCK; }
long socket_accept(int fd, void *addr, unsigned *len, int flags) { return -ENOTSOCK; }
long socket_connect(int fd, const void *addr, unsigned len) { return -ENOTSOCK; }
long socket_shutdown(int fd, int how) { return -ENOTSOCK; }
long socket_name(int fd, void *addr, unsigned *len, bool peer) { return -ENOTSOCK; }
long socket_getopt(int fd, int level, int opt, void *val, unsigned *len) { return -ENOTSOCK; }
long socket_setopt(int fd, int level, int opt, const void *val, unsigned len) { return -ENOTSOCK; }
long socket_send(int fd, const struct iovec *iov, int n, int flags) { return -ENOTSOCK; }
long socket_recv(int fd, const struct iovec *iov, int n, int flags, int *out_flags) { return -ENOTSOCK; }
long socket_sendmsg(int fd, const struct msghdr *m, int flags) { return -ENOTSOCK; }
long socket_recvmsg(int fd, struct msghdr *m, int flags) { return -ENOTSOCK; }
