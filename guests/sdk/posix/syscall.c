/*
 * Linux system calls by number, as musl makes them. What is not here is ENOSYS:
 * a program can find out what it lacks, nothing pretends to succeed.
 */
#include "files.h"
#include "process.h"
#include "tree.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define PTR(T, arg) ((T *)(uintptr_t)(arg))

static void (*deferred)(void);

void syscall_defer(void (*fn)(void))
{
	deferred = fn;
}

static long one_iov(bool write, int fd, uint64_t buf, uint64_t len, int64_t off)
{
	struct iovec iov = {PTR(void, buf), MIN(len, 0x7ffff000ul)};

	return write ? fd_writev(fd, &iov, 1, off) : fd_readv(fd, &iov, 1, off);
}

/* Files and what they do. */
static bool call_file(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;
	int fd = (int)a;

	switch (r->orig_rax) {
	case SYS_read:
		*result = one_iov(false, fd, b, c, -1);
		return true;
	case SYS_write:
		*result = one_iov(true, fd, b, c, -1);
		return true;
	case SYS_pread64:
	case SYS_pwrite64:
		*result = (int64_t)d < 0
				  ? -EINVAL
				  : one_iov(r->orig_rax == SYS_pwrite64, fd, b, c, (int64_t)d);
		return true;
	case SYS_readv:
		*result = fd_readv(fd, PTR(struct iovec, b), (long)c, -1);
		return true;
	case SYS_writev:
		*result = fd_writev(fd, PTR(struct iovec, b), (long)c, -1);
		return true;
	case SYS_preadv:
		*result = (int64_t)d < 0 ? -EINVAL
					 : fd_readv(fd, PTR(struct iovec, b), (long)c, (int64_t)d);
		return true;
	case SYS_pwritev:
		*result = (int64_t)d < 0 ? -EINVAL
					 : fd_writev(fd, PTR(struct iovec, b), (long)c, (int64_t)d);
		return true;
	case SYS_sendfile:
		*result = fd_sendfile(fd, (int)b, PTR(int64_t, c), d);
		return true;
	case SYS_fstat:
		*result = fd_stat(fd, PTR(struct stat, b));
		return true;
	case SYS_close:
		*result = fd_close(fd);
		return true;
	case SYS_lseek:
		*result = fd_seek(fd, (int64_t)b, (int)c);
		return true;
	case SYS_fsync:
	case SYS_fdatasync:
		*result = fd_sync(fd);
		return true;
	case SYS_dup:
		*result = fd_dup(fd);
		return true;
	case SYS_dup2:
		*result = fd_dup_to(fd, (int)b, 0, false);
		return true;
	case SYS_dup3:
		*result = fd_dup_to(fd, (int)b, (int)c, true);
		return true;
	case SYS_fcntl:
		*result = fd_fcntl(fd, (int)b, c);
		return true;
	case SYS_ioctl:
		*result = fd_ioctl(fd, (uint32_t)b, c); /* musl passes an int */
		return true;
	case SYS_pipe:
		*result = pipe_create(PTR(int, a), 0);
		return true;
	case SYS_pipe2:
		*result = pipe_create(PTR(int, a), (int)b);
		return true;
	case SYS_eventfd2:
		*result = eventfd_create((unsigned)a, (int)b);
		return true;
	case SYS_timerfd_create:
		*result = timerfd_new((int)a, (int)b);
		return true;
	case SYS_timerfd_settime:
		*result = timerfd_set(fd, (int)b, PTR(struct itimerspec, c),
				      PTR(struct itimerspec, d));
		return true;
	case SYS_timerfd_gettime:
		*result = timerfd_get(fd, PTR(struct itimerspec, b));
		return true;
	default:
		return false;
	}
}

static bool call_memory(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx;

	switch (r->orig_rax) {
	case SYS_brk:
		*result = (long)mem_brk(a);
		return true;
	case SYS_mmap:
		*result = mem_mmap(a, b, (int)c, (int)r->r10, (int)r->r8);
		return true;
	case SYS_munmap:
		*result = process_munmap(r, a, b);
		return true;
	case SYS_mprotect:
		*result = mem_protect(a, b, (int)c);
		return true;
	case SYS_mremap:
		*result = mem_remap(a, b, c, (int)r->r10);
		return true;
	case SYS_madvise:
		*result = mem_advise(a, b, (int)c);
		return true;
	default:
		return false;
	}
}

static uint64_t ms_deadline(int ms)
{
	return ms < 0 ? DEADLINE_NEVER : clock_ns() + (uint64_t)ms * 1000000;
}

static long select_timeval(struct regs *r)
{
	const struct timeval *tv = PTR(struct timeval, r->r8);
	uint64_t deadline = DEADLINE_NEVER;

	if (tv) {
		if (tv->tv_sec < 0 || (uint64_t)tv->tv_usec >= 1000000)
			return -EINVAL;
		deadline =
			clock_ns() + (uint64_t)tv->tv_sec * NS_PER_S + (uint64_t)tv->tv_usec * 1000;
	}
	return poll_select((int)r->rdi, PTR(fd_set, r->rsi), PTR(fd_set, r->rdx),
			   PTR(fd_set, r->r10), deadline, NULL);
}

static long select_timespec(struct regs *r)
{
	const struct {
		const uint64_t *mask;
		size_t size;
	} *mask = PTR(void, r->r9);
	uint64_t deadline;

	if (!clock_deadline(PTR(struct timespec, r->r8), &deadline))
		return -EINVAL;
	return poll_select((int)r->rdi, PTR(fd_set, r->rsi), PTR(fd_set, r->rdx),
			   PTR(fd_set, r->r10), deadline, mask ? mask->mask : NULL);
}

static bool call_wait(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10, deadline;

	switch (r->orig_rax) {
	case SYS_poll:
		*result = poll_files(PTR(struct pollfd, a), b, ms_deadline((int)c), NULL);
		return true;
	case SYS_ppoll:
		*result = clock_deadline(PTR(struct timespec, c), &deadline)
				  ? poll_files(PTR(struct pollfd, a), b, deadline, PTR(uint64_t, d))
				  : -EINVAL;
		return true;
	case SYS_select:
		*result = select_timeval(r);
		return true;
	case SYS_pselect6:
		*result = select_timespec(r);
		return true;
	case SYS_epoll_create:
		*result = (int)a > 0 ? epoll_create_file(0) : -EINVAL;
		return true;
	case SYS_epoll_create1:
		*result = epoll_create_file((int)a);
		return true;
	case SYS_epoll_ctl:
		*result = epoll_control((int)a, (int)b, (int)c, PTR(struct epoll_event, d));
		return true;
	case SYS_epoll_wait:
		*result = epoll_wait_events((int)a, PTR(struct epoll_event, b), (int)c,
					    ms_deadline((int)d), NULL);
		return true;
	case SYS_epoll_pwait:
		*result = epoll_wait_events((int)a, PTR(struct epoll_event, b), (int)c,
					    ms_deadline((int)d), PTR(uint64_t, r->r8));
		return true;
	default:
		return false;
	}
}

static bool call_socket(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;
	int fd = (int)a;

	switch (r->orig_rax) {
	case SYS_socket:
		*result = socket_create((int)a, (int)b, (int)c);
		return true;
	case SYS_bind:
		*result = socket_bind(fd, PTR(void, b), (unsigned)c);
		return true;
	case SYS_listen:
		*result = socket_listen(fd, (int)b);
		return true;
	case SYS_accept:
		*result = socket_accept(fd, PTR(void, b), PTR(unsigned, c), 0);
		return true;
	case SYS_accept4:
		*result = socket_accept(fd, PTR(void, b), PTR(unsigned, c), (int)d);
		return true;
	case SYS_connect:
		*result = socket_connect(fd, PTR(void, b), (unsigned)c);
		return true;
	case SYS_shutdown:
		*result = socket_shutdown(fd, (int)b);
		return true;
	case SYS_getsockname:
	case SYS_getpeername:
		*result = socket_name(fd, PTR(void, b), PTR(unsigned, c),
				      r->orig_rax == SYS_getpeername);
		return true;
	case SYS_getsockopt:
		*result = socket_getopt(fd, (int)b, (int)c, PTR(void, d), PTR(unsigned, r->r8));
		return true;
	case SYS_setsockopt:
		*result = socket_setopt(fd, (int)b, (int)c, PTR(void, d), (unsigned)r->r8);
		return true;
	case SYS_sendto:
		*result = socket_send(fd, &(struct iovec){PTR(void, b), c}, 1, (int)d);
		return true;
	case SYS_recvfrom:
		*result = socket_recv(fd, &(struct iovec){PTR(void, b), c}, 1, (int)d, NULL);
		if (*result >= 0 && r->r9)
			*PTR(unsigned, r->r9) = 0; /* connected: no address */
		return true;
	case SYS_sendmsg:
		*result = socket_sendmsg(fd, PTR(struct msghdr, b), (int)c);
		return true;
	case SYS_recvmsg:
		*result = socket_recvmsg(fd, PTR(struct msghdr, b), (int)c);
		return true;
	default:
		return false;
	}
}

long syscall_dispatch(struct regs *r)
{
	long result;

	if (call_file(r, &result) || call_tree(r, &result) || call_memory(r, &result) ||
	    call_wait(r, &result) || call_socket(r, &result) || call_signal(r, &result) ||
	    call_time(r, &result) || call_process(r, &result))
		return result;
	return -ENOSYS;
}

/* From entry.S, on the program's stack. */
void syscall_enter(struct regs *r)
{
	if (deferred && r->orig_rax != SYS_exit_group && r->orig_rax != SYS_exit) {
		void (*fn)(void) = deferred;

		deferred = NULL;
		fn();
	}
	r->rax = (uint64_t)syscall_dispatch(r);
	if (signal_due() || r->rax == (uint64_t)-RESTART_CALL ||
	    r->rax == (uint64_t)-RESTART_NOHAND)
		signal_deliver(r);
	event_arm();
}

/* From entry.S, on the way out or after an interrupt: something is pending. */
void syscall_pending(struct regs *r)
{
	event_run();
	if (sup->in_fault)
		return; /* the fault stack is in use: not now */
	thread_yield(); /* the slice is over, or a thread has got what it waited for */
	if (signal_due())
		signal_deliver(r);
	event_arm();
}
