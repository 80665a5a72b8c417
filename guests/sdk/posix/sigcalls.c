/* System calls about signals. */
#include "process.h"

#include <sys/syscall.h>

#define PTR(T, arg) ((T *)(uintptr_t)(arg))

/* The program is process 1, and alone: -1 and 0 mean it too. */
static long send_to_process(int pid, int sig)
{
	if (pid != 1 && pid != 0 && pid != -1)
		return -ESRCH;
	return signal_send(NULL, sig, SI_USER);
}

static long send_to_thread(int tgid, int tid, int sig)
{
	struct thread *t = thread_by_tid(tid);

	if (tgid != 1 || !t)
		return -ESRCH;
	return signal_send(t, sig, SI_TKILL);
}

bool call_signal(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;

	switch (r->orig_rax) {
	case SYS_rt_sigaction:
		*result = signal_action((int)a, PTR(void, b), PTR(void, c), d);
		return true;
	case SYS_rt_sigprocmask:
		*result = signal_procmask((int)a, PTR(uint64_t, b), PTR(uint64_t, c), d);
		return true;
	case SYS_rt_sigreturn:
		signal_return(r);
		*result = (long)r->rax;
		return true;
	case SYS_rt_sigpending:
		*result = signal_pending(PTR(uint64_t, a), b);
		return true;
	case SYS_rt_sigsuspend:
		*result = signal_suspend(PTR(uint64_t, a), b);
		return true;
	case SYS_pause:
		*result = signal_suspend(NULL, 8);
		return true;
	case SYS_rt_sigtimedwait:
		*result = signal_timedwait(PTR(uint64_t, a), PTR(siginfo_t, b),
					   PTR(struct timespec, c), d);
		return true;
	case SYS_sigaltstack:
		*result = signal_altstack(PTR(stack_t, a), PTR(stack_t, b), r->rsp);
		return true;
	case SYS_kill:
		*result = send_to_process((int)a, (int)b);
		return true;
	case SYS_tkill:
		*result = send_to_thread(1, (int)a, (int)b);
		return true;
	case SYS_tgkill:
		*result = send_to_thread((int)a, (int)b, (int)c);
		return true;
	default:
		return false;
	}
}
