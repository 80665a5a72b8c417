/*
 * Reading and writing direct connections without a system call: a function that
 * the library's read, write, send and recv (lib/fastcalls.c) try first. Where ring 0
 * is emulated, a system call takes longer than a message through the ring.
 *
 * It runs in the layer all the same: no diversions while it does. It never
 * sleeps; what would have to is left to the system call.
 */
#include "files.h"
#include "vsock_conn.h"

#include <exo_fast.h>
#include <sys/socket.h>

#define FAST_MAX 65536u /* a longer one has time for the call */

static long attempt(int fd, const struct iovec *iov, int flags, bool write)
{
	struct vsock *s = vsock_of_file(fd_file(fd));

	if (!s || !s->mapped || s->state != VSOCK_CONNECTED || s->error || iov->iov_len > FAST_MAX)
		return -EAGAIN;
	if (write)
		return flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT) || s->shut_write ||
				       !direct_has_room(s, iov->iov_len)
			       ? -EAGAIN
			       : direct_send(s, iov, 1, true, false);
	if (flags & ~(MSG_DONTWAIT | MSG_WAITALL) || s->shut_read)
		return -EAGAIN;
	if (!direct_readable(s) &&
	    (flags & MSG_DONTWAIT || file_nonblock(&s->file) || !direct_spin_data(s)))
		return -EAGAIN;
	if (flags & MSG_WAITALL && !direct_has_all(s, iov->iov_len))
		return -EAGAIN;
	return direct_recv(s, iov, 1, 0, true, NULL);
}

long exo_fast_io(int fd, void *buf, size_t len, int flags, int write)
{
	struct iovec iov = {buf, len};
	long result;

	sup->no_upcall = 1;
	__asm__ volatile("" ::: "memory");
	result = attempt(fd, &iov, flags, write);
	__asm__ volatile("" ::: "memory");
	sup->no_upcall = 0;
	__asm__ volatile("" ::: "memory");
	/* What came meanwhile was only noted: any call looks at it on its way out. */
	if (sup->pending & sup->upcall_mask) {
		long nr = EXO_FAST_NOTHING;

		__asm__ volatile("syscall" : "+a"(nr) : : "rcx", "r11", "memory");
	}
	return result == -EPIPE ? -EAGAIN : result; /* with its signal */
}
