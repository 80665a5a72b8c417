/*
 * read, write, send, recv and their long forms in front of the C library's: through
 * a direct connection without a system call, else the call itself. Weak: a
 * program may have functions of these names.
 */
#ifdef __exoshell__

#include <exo_fast.h>

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WEAK __attribute__((weak))

/* musl's own: a call at which a thread can be cancelled; sets errno. */
long __syscall_cp(long nr, long a, long b, long c, long d, long e, long f);
long __syscall_ret(unsigned long result);

/* True if it is done, with *result as the function returns it. */
static int fast(int fd, const void *buf, size_t len, int flags, int writing, ssize_t *result)
{
	long n;

	pthread_testcancel();
	n = exo_fast_io(fd, (void *)(uintptr_t)buf, len, flags, writing);
	if (n == -EAGAIN)
		return 0;
	*result = __syscall_ret((unsigned long)n);
	return 1;
}

static ssize_t call(long nr, int fd, const void *buf, size_t len, long d, const void *e, long f)
{
	return __syscall_ret(
		(unsigned long)__syscall_cp(nr, fd, (long)buf, (long)len, d, (long)e, f));
}

WEAK ssize_t read(int fd, void *buf, size_t len)
{
	ssize_t n;

	return fast(fd, buf, len, 0, 0, &n) ? n : call(SYS_read, fd, buf, len, 0, NULL, 0);
}

WEAK ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t n;

	return fast(fd, buf, len, 0, 1, &n) ? n : call(SYS_write, fd, buf, len, 0, NULL, 0);
}

WEAK ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
		    socklen_t addr_len)
{
	ssize_t n;

	if (!addr && fast(fd, buf, len, flags, 1, &n))
		return n;
	return call(SYS_sendto, fd, buf, len, flags, addr, (long)addr_len);
}

WEAK ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr,
		      socklen_t *addr_len)
{
	ssize_t n;

	if (!addr && fast(fd, buf, len, flags, 0, &n))
		return n;
	return call(SYS_recvfrom, fd, buf, len, flags, addr, (long)addr_len);
}

WEAK ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	return sendto(fd, buf, len, flags, NULL, 0);
}

WEAK ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	return recvfrom(fd, buf, len, flags, NULL, NULL);
}

#endif
