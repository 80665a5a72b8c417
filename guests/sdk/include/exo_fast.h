/*
 * Between the C library's calls and the SDK (posix/fast.c, lib/fastcalls.c): not
 * for programs.
 */
#ifndef EXO_FAST_H
#define EXO_FAST_H

#include <stddef.h>

#define EXO_FAST_NOTHING 39 /* a system call without effect: getpid */

/*
 * send or recv (write 0) of one buffer, if that needs no waiting: bytes, or -errno;
 * -EAGAIN: make the system call.
 */
long exo_fast_io(int fd, void *buf, size_t len, int flags, int write);

#endif
