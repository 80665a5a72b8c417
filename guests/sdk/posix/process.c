/* System calls about the program itself: identity, limits, threads, its end. */
#include "process.h"
#include "tree.h"

#include "../drivers/console.h"
#include "../drivers/vsock.h"

#include <asm/prctl.h>
#include <exo.h>
#include <exo_devices.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define PTR(T, arg) ((T *)(uintptr_t)(arg))

long process_munmap(struct regs *r, uint64_t addr, size_t len)
{
	struct thread *t = thread_current;

	if (r->rsp < addr || r->rsp - addr >= len || t->unmap_hi)
		return mem_unmap(addr, len);
	/* We stand on it: a detached thread about to exit. */
	t->unmap_lo = addr;
	t->unmap_hi = addr + len;
	return 0;
}

static long call_uname(struct utsname *u)
{
	memset(u, 0, sizeof(*u));
	strcpy(u->sysname, "Exoshell");
	strcpy(u->nodename, "guest");
	strcpy(u->release, EXO_VERSION);
	strcpy(u->version, "SDK " EXO_VERSION);
	strcpy(u->machine, "x86_64");
	return 0;
}

static long call_sysinfo(struct sysinfo *s)
{
	uint64_t free_bytes, total;

	mem_stat(&free_bytes, &total);
	memset(s, 0, sizeof(*s));
	s->uptime = (unsigned long)(clock_ns() / NS_PER_S);
	s->totalram = total;
	s->freeram = free_bytes;
	s->procs = 1;
	s->mem_unit = 1;
	return 0;
}

static long call_getrlimit(int what, struct rlimit *out)
{
	uint64_t free_bytes, total;
	rlim_t limit = RLIM_INFINITY;

	switch (what) {
	case RLIMIT_STACK:
		limit = facts->stack_hi - facts->stack_lo;
		break;
	case RLIMIT_NOFILE:
		limit = FD_MAX;
		break;
	case RLIMIT_AS:
	case RLIMIT_DATA:
	case RLIMIT_RSS:
		mem_stat(&free_bytes, &total);
		limit = total;
		break;
	case RLIMIT_CORE:
	case RLIMIT_NPROC:
	case RLIMIT_MEMLOCK:
		limit = 0;
		break;
	default:
		if (what < 0 || what >= RLIM_NLIMITS)
			return -EINVAL;
	}
	if (out)
		*out = (struct rlimit){limit, limit};
	return 0;
}

static long call_prlimit(int pid, int what, const void *set, struct rlimit *out)
{
	if (pid != 0 && pid != 1)
		return -ESRCH;
	return set ? -EPERM : call_getrlimit(what, out);
}

static long call_getrusage(int who, struct rusage *u)
{
	uint64_t busy;

	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
		return -EINVAL;
	memset(u, 0, 18 * sizeof(long)); /* the kernel's size, musl's is larger */
	if (who != RUSAGE_SELF)
		return 0;
	clock_read(CLOCK_PROCESS_CPUTIME_ID, &busy);
	u->ru_utime.tv_sec = (time_t)(busy / NS_PER_S);
	u->ru_utime.tv_usec = (suseconds_t)(busy % NS_PER_S / 1000);
	return 0;
}

static long call_getrandom(void *buf, size_t len, unsigned flags)
{
	if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | 4u /* GRND_INSECURE */))
		return -EINVAL;
	random_reseed();
	random_bytes(buf, len);
	return (long)len;
}

static long call_arch_prctl(int op, uint64_t arg)
{
	if (op == ARCH_SET_FS) {
		thread_set_fs(arg);
		return 0;
	}
	if (op == ARCH_GET_FS) {
		*PTR(uint64_t, arg) = thread_current->fs_base;
		return 0;
	}
	return -EINVAL;
}

static long call_affinity(uint8_t *mask, size_t len)
{
	if (len < 8)
		return -EINVAL;
	memset(mask, 0, 8);
	mask[0] = 1;
	return 8;
}

static bool call_thread(struct regs *r, long *result)
{
	switch (r->orig_rax) {
	case SYS_clone:
		*result =
			thread_clone(r, r->rdi, r->rsi, PTR(int, r->rdx), PTR(int, r->r10), r->r8);
		return true;
	case SYS_exit:
		if (thread_alone())
			power_exit((int)r->rdi);
		thread_exit();
	case SYS_exit_group:
		power_exit((int)r->rdi);
	case SYS_futex:
		*result = thread_futex(PTR(uint32_t, r->rdi), (int)r->rsi, (uint32_t)r->rdx, r->r10,
				       PTR(uint32_t, r->r8), (uint32_t)r->r9);
		return true;
	case SYS_set_tid_address:
		thread_current->clear_tid = PTR(int, r->rdi);
		*result = thread_current->tid;
		return true;
	case SYS_set_robust_list:
		thread_current->robust_list = PTR(void, r->rdi);
		*result = 0;
		return true;
	case SYS_gettid:
		*result = thread_current->tid;
		return true;
	case SYS_sched_yield:
		thread_yield();
		*result = 0;
		return true;
	case SYS_sched_getaffinity:
		*result = call_affinity(PTR(uint8_t, r->rdx), r->rsi);
		return true;
	case SYS_arch_prctl:
		*result = call_arch_prctl((int)r->rdi, r->rsi);
		return true;
	default:
		return false;
	}
}

/* One process, number 1, of user 0, in a session of its own. */
static bool call_identity(struct regs *r, long *result)
{
	switch (r->orig_rax) {
	case SYS_getpid:
	case SYS_getpgrp:
		*result = 1;
		return true;
	case SYS_getpgid:
	case SYS_getsid:
		*result = r->rdi <= 1 ? 1 : -ESRCH;
		return true;
	case SYS_getppid:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
	case SYS_getgroups:
		*result = 0;
		return true;
	default:
		return false;
	}
}

bool call_process(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;

	if (call_thread(r, result) || call_identity(r, result))
		return true;
	switch (r->orig_rax) {
	case SYS_uname:
		*result = call_uname(PTR(struct utsname, a));
		return true;
	case SYS_sysinfo:
		*result = call_sysinfo(PTR(struct sysinfo, a));
		return true;
	case SYS_getrlimit:
		*result = call_getrlimit((int)a, PTR(struct rlimit, b));
		return true;
	case SYS_prlimit64:
		*result = call_prlimit((int)a, (int)b, PTR(void, c), PTR(struct rlimit, d));
		return true;
	case SYS_getrusage:
		*result = call_getrusage((int)a, PTR(struct rusage, b));
		return true;
	case SYS_getrandom:
		*result = call_getrandom(PTR(void, a), b, (unsigned)c);
		return true;
	case EXO_SYS_WINDOW:
		if (!vsock_ready())
			*result = -ENETDOWN;
		else
			*result = (long)(uintptr_t)vsock_window(PTR(size_t, a));
		return true;
	case EXO_SYS_MOUNT:
		*result = mount_add(PTR(char, a), (uint32_t)b, (unsigned)c);
		return true;
	case EXO_SYS_READY:
		*result = console_control(EXO_CTL_READY, 0);
		return true;
	default:
		return false;
	}
}
