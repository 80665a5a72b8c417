/*
 * Signals: sending, the end of the program by default actions, handlers on the
 * program's stack in the frame that Linux would build, and faults.
 *
 * A signal whose default action is to end the process ends the guest at the
 * moment it is sent: there is nothing else in the machine that could go on.
 * Limit: there is no job control; SIGSTOP and the like are ignored.
 */
#include "process.h"

#include "../drivers/console.h"

#include <sys/ucontext.h>

#define SIGNALS 64
#define BIT(sig) (1ull << ((sig)-1))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define IGNORED_BY_DEFAULT \
	(BIT(SIGCHLD) | BIT(SIGURG) | BIT(SIGWINCH) | BIT(SIGCONT) | BIT(SIGSTOP) | BIT(SIGTSTP) | \
	 BIT(SIGTTIN) | BIT(SIGTTOU))

/* Those that a person or the host sends. */
#define FROM_OUTSIDE \
	(BIT(SIGHUP) | BIT(SIGINT) | BIT(SIGQUIT) | BIT(SIGTERM) | BIT(SIGUSR1) | BIT(SIGUSR2) | \
	 BIT(SIGCONT) | BIT(SIGTSTP) | BIT(SIGWINCH))

#define RFLAGS_USER 0xcd5ull /* the arithmetic flags and DF */
#define FLAG_TF_DF_AC 0x40500ull

struct action { /* the kernel's struct sigaction */
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

/* The kernel's struct ucontext: musl's begins with it. */
struct context {
	uint64_t flags, link;
	stack_t stack;
	mcontext_t mc;
	uint64_t mask;
};

struct frame {
	uint64_t restorer;
	struct context uc;
	siginfo_t info;
};

APART static struct action actions[SIGNALS];
static uint64_t process_pending;
APART static int process_code[SIGNALS];

static bool is_default(int sig)
{
	return actions[sig - 1].handler == (uintptr_t)SIG_DFL;
}

static bool is_ignored(int sig)
{
	return actions[sig - 1].handler == (uintptr_t)SIG_IGN ||
	       (is_default(sig) && BIT(sig) & IGNORED_BY_DEFAULT);
}

static uint64_t deliverable(const struct thread *t)
{
	return (process_pending | t->sig_pending) & ~t->sig_mask;
}

bool signal_due(void)
{
	return deliverable(thread_current) != 0;
}

int signal_send(struct thread *t, int sig, int code)
{
	struct thread *taker;

	if (sig < 0 || sig > SIGNALS)
		return -EINVAL;
	if (sig == 0)
		return 0;
	taker = t ? t : thread_for_signal(BIT(sig));
	if (taker && taker->sig_mask & BIT(sig))
		taker = NULL;
	if (sig == SIGKILL || (taker && is_default(sig) && !is_ignored(sig)))
		power_signal(sig);
	if ((taker && is_ignored(sig)) || sig == SIGSTOP)
		return 0;
	if (t) {
		t->sig_pending |= BIT(sig);
		t->sig_code[sig - 1] = code;
	} else {
		process_pending |= BIT(sig);
		process_code[sig - 1] = code;
	}
	thread_wake(&actions); /* those in sigtimedwait */
	if (taker)
		thread_interrupt(taker);
	return 0;
}

/* Takes the lowest signal of `set` that is pending for the current thread; 0: none. */
static int take(uint64_t set, int *code)
{
	struct thread *t = thread_current;
	uint64_t ready = (t->sig_pending | process_pending) & set;
	int sig;

	if (!ready)
		return 0;
	sig = __builtin_ctzll(ready) + 1;
	if (t->sig_pending & BIT(sig)) {
		t->sig_pending &= ~BIT(sig);
		*code = t->sig_code[sig - 1];
	} else {
		process_pending &= ~BIT(sig);
		*code = process_code[sig - 1];
	}
	return sig;
}

/* ---- handlers ---------------------------------------------------------- */

static const int greg_order[] = {REG_R15, REG_R14, REG_R13, REG_R12, REG_RBP, REG_RBX, REG_R11,
				 REG_R10, REG_R9,  REG_R8,  REG_RAX, REG_RCX, REG_RDX, REG_RSI,
				 REG_RDI, -1,      REG_RIP, REG_EFL, REG_RSP};

_Static_assert(sizeof(greg_order) / sizeof(int) == sizeof(struct regs) / 8, "one for each");

static bool on_altstack(const struct thread *t, uint64_t sp)
{
	uint64_t lo = (uintptr_t)t->altstack.ss_sp;

	return !(t->altstack.ss_flags & SS_DISABLE) && t->altstack.ss_size && sp > lo &&
	       sp - lo <= t->altstack.ss_size;
}

/* More than push_frame and what it calls need below its frame address. */
#define LAYER_SLACK 1024

/*
 * Where the frame ends: on the alternate stack; or below the red zone, and below
 * what the layer itself is using of that stack (entry.S: leave moves the registers away).
 */
static uint64_t frame_top(const struct regs *r, const struct action *a, uint64_t layer_sp)
{
	const struct thread *t = thread_current;

	if (a->flags & SA_ONSTACK && t->altstack.ss_size && !on_altstack(t, r->rsp))
		return (uintptr_t)t->altstack.ss_sp + t->altstack.ss_size;
	if ((uintptr_t)r == r->rsp - RED_ZONE - 16 - sizeof(*r))
		return layer_sp - LAYER_SLACK;
	return r->rsp - RED_ZONE;
}

static void push_frame(struct regs *r, int sig, int code, uint64_t address)
{
	struct thread *t = thread_current;
	struct action *a = &actions[sig - 1];
	uint64_t layer_sp = (uintptr_t)__builtin_frame_address(0);
	uint64_t top = (frame_top(r, a, layer_sp) - 512) & ~63ull, *regs = (uint64_t *)r;
	struct frame *f = (struct frame *)(uintptr_t)(((top - sizeof(*f)) & ~15ull) - 8);

	memset(f, 0, sizeof(*f));
	for (unsigned i = 0; i < sizeof(greg_order) / sizeof(int); i++)
		if (greg_order[i] >= 0)
			f->uc.mc.gregs[greg_order[i]] = (long long)regs[i];
	f->uc.mc.gregs[REG_CR2] = (long long)address;
	f->uc.mc.gregs[REG_CSGSFS] = SUP_USER_CS;
	f->uc.mc.fpregs = (void *)(uintptr_t)top;
	__asm__ volatile("fxsave64 (%0)" : : "r"(top) : "memory");
	f->uc.stack = t->altstack;
	f->uc.mask = t->sig_restore_mask ? t->sig_saved_mask : t->sig_mask;
	t->sig_restore_mask = false;
	f->info.si_signo = sig;
	f->info.si_code = code;
	if (address || code == SEGV_MAPERR || code == SEGV_ACCERR)
		f->info.si_addr = (void *)(uintptr_t)address;
	else
		f->info.si_pid = code <= 0 ? 1 : 0;
	f->restorer = a->restorer;

	t->sig_mask |= a->mask;
	if (!(a->flags & SA_NODEFER))
		t->sig_mask |= BIT(sig);
	t->sig_mask &= ~UNBLOCKABLE;
	r->rdi = (uint64_t)sig;
	r->rsi = (uintptr_t)&f->info;
	r->rdx = (uintptr_t)&f->uc;
	r->rax = 0;
	r->rip = a->handler;
	r->rsp = (uintptr_t)f;
	r->rflags &= ~FLAG_TF_DF_AC;
	r->orig_rax = ~0ull;
	if (a->flags & SA_RESETHAND)
		a->handler = (uintptr_t)SIG_DFL;
}

/* An interrupted system call: made again, or EINTR. */
static void settle_call(struct regs *r, bool handler, bool restart)
{
	int64_t result = (int64_t)r->rax;

	if (r->orig_rax == ~0ull || (result != -RESTART_CALL && result != -RESTART_NOHAND))
		return;
	if (!handler || (restart && result == -RESTART_CALL)) {
		r->rax = r->orig_rax;
		r->rip -= 2; /* the syscall instruction */
	} else {
		r->rax = (uint64_t)-EINTR;
	}
	r->orig_rax = ~0ull;
}

void signal_deliver(struct regs *r)
{
	struct thread *t = thread_current;
	int sig, code = 0;

	while ((sig = take(~t->sig_mask, &code))) {
		if (is_ignored(sig))
			continue;
		if (is_default(sig))
			power_signal(sig);
		settle_call(r, true, actions[sig - 1].flags & SA_RESTART);
		push_frame(r, sig, code, 0);
	}
	if (t->sig_restore_mask) {
		t->sig_mask = t->sig_saved_mask;
		t->sig_restore_mask = false;
	}
	settle_call(r, false, false);
}

void signal_return(struct regs *r)
{
	const struct frame *f = (const struct frame *)(uintptr_t)(r->rsp - 8);
	uint64_t *regs = (uint64_t *)r;

	for (unsigned i = 0; i < sizeof(greg_order) / sizeof(int); i++)
		if (greg_order[i] >= 0)
			regs[i] = (uint64_t)f->uc.mc.gregs[greg_order[i]];
	r->rflags = (r->rflags & RFLAGS_USER) | 0x202;
	r->orig_rax = ~0ull;
	if (f->uc.mc.fpregs)
		__asm__ volatile("fxrstor64 (%0)" : : "r"(f->uc.mc.fpregs) : "memory");
	thread_current->sig_mask = f->uc.mask & ~UNBLOCKABLE;
}

/* ---- faults ------------------------------------------------------------ */

struct fault_kind {
	uint8_t vector, sig, code;
};

static const struct fault_kind fault_kinds[] = {
	{0, SIGFPE, FPE_INTDIV},  {1, SIGTRAP, TRAP_TRACE}, {3, SIGTRAP, TRAP_BRKPT},
	{6, SIGILL, ILL_ILLOPN},  {12, SIGBUS, BUS_ADRERR}, {14, SIGSEGV, SEGV_MAPERR},
	{16, SIGFPE, FPE_FLTINV}, {17, SIGBUS, BUS_ADRALN}, {19, SIGFPE, FPE_FLTINV},
};

static struct fault_kind fault_kind_of(uint64_t vector, uint64_t error)
{
	for (unsigned i = 0; i < sizeof(fault_kinds) / sizeof(*fault_kinds); i++) {
		struct fault_kind k = fault_kinds[i];

		if (k.vector != vector)
			continue;
		if (vector == 14 && error & 1)
			k.code = SEGV_ACCERR;
		return k;
	}
	return (struct fault_kind){(uint8_t)vector, SIGSEGV, SI_KERNEL};
}

static _Noreturn void report_fault(const struct regs *r, int sig, bool in_layer)
{
	APART static struct exo_fault f;

	f = (struct exo_fault){
		.kind = EXO_FAULT_EXCEPTION,
		.vector = (uint32_t)sup->fault_vector,
		.error = sup->fault_error,
		.address = sup->fault_address,
		.rip = r->rip,
		.rsp = r->rsp,
		.rbp = r->rbp,
		.stack_guard_lo = facts->guard_lo,
		.stack_guard_hi = facts->guard_hi,
		.signal = (uint32_t)sig,
	};
	mem_guard_around(f.address, &f.stack_guard_lo, &f.stack_guard_hi);
	if (in_layer)
		strcpy(f.text, "in a system call: a bad pointer from the program, or our mistake");
	power_fault(&f);
}

struct regs *signal_fault(struct regs *r)
{
	struct fault_kind k = fault_kind_of(sup->fault_vector, sup->fault_error);
	bool in_layer = sup->fault_no_upcall;
	struct regs *copy;

	if (in_layer || is_default(k.sig) || is_ignored(k.sig) ||
	    thread_current->sig_mask & BIT(k.sig))
		report_fault(r, k.sig, in_layer);
	push_frame(r, k.sig, k.code, k.vector == 14 ? sup->fault_address : r->rip);
	/* Off the fault stack: below the handler's frame, where entry.S leaves a gap. */
	copy = (struct regs *)(uintptr_t)(r->rsp - RED_ZONE - 16 - sizeof(*copy));
	*copy = *r;
	return copy;
}

/* ---- system calls ------------------------------------------------------ */

long signal_action(int sig, const void *in, void *old, size_t size)
{
	if (sig < 1 || sig > SIGNALS || size != 8)
		return -EINVAL;
	if (in && BIT(sig) & UNBLOCKABLE)
		return -EINVAL;
	if (old)
		memcpy(old, &actions[sig - 1], sizeof(struct action));
	if (in)
		memcpy(&actions[sig - 1], in, sizeof(struct action));
	if (!is_default(sig) && BIT(sig) & FROM_OUTSIDE)
		console_listen(); /* else the host would end the program by itself */
	if (is_ignored(sig)) {
		process_pending &= ~BIT(sig);
		thread_current->sig_pending &= ~BIT(sig);
	}
	return 0;
}

long signal_procmask(int how, const uint64_t *set, uint64_t *old, size_t size)
{
	struct thread *t = thread_current;
	uint64_t before = t->sig_mask, arg = set ? *set & ~UNBLOCKABLE : 0;

	if (size != 8)
		return -EINVAL;
	if (set) {
		if (how == SIG_BLOCK)
			t->sig_mask |= arg;
		else if (how == SIG_UNBLOCK)
			t->sig_mask &= ~arg;
		else if (how == SIG_SETMASK)
			t->sig_mask = arg;
		else
			return -EINVAL;
	}
	if (old)
		*old = before;
	return 0;
}

long signal_pending(uint64_t *set, size_t size)
{
	if (size != 8)
		return -EINVAL;
	*set = (process_pending | thread_current->sig_pending) & thread_current->sig_mask;
	return 0;
}

void signal_mask_for_wait(const uint64_t *mask)
{
	struct thread *t = thread_current;

	if (!mask)
		return;
	t->sig_saved_mask = t->sig_mask;
	t->sig_restore_mask = true;
	t->sig_mask = *mask & ~UNBLOCKABLE;
}

void signal_mask_wait_done(bool interrupted)
{
	struct thread *t = thread_current;

	if (interrupted || !t->sig_restore_mask)
		return; /* signal_deliver restores it, after the handler has its frame */
	t->sig_mask = t->sig_saved_mask;
	t->sig_restore_mask = false;
}

long signal_suspend(const uint64_t *mask, size_t size)
{
	if (size != 8)
		return -EINVAL;
	signal_mask_for_wait(mask);
	while (!signal_due())
		thread_sleep(&actions, DEADLINE_NEVER);
	return -RESTART_NOHAND;
}

long signal_timedwait(const uint64_t *set, siginfo_t *info, const struct timespec *timeout,
		      size_t size)
{
	uint64_t deadline, want = *set & ~UNBLOCKABLE;
	int sig, code, err = 0;

	if (size != 8 || !clock_deadline(timeout, &deadline))
		return -EINVAL;
	while (!(sig = take(want, &code))) {
		if (err == -ETIMEDOUT)
			return -EAGAIN;
		if (err < 0)
			return -EINTR;
		err = thread_sleep(&actions, deadline);
	}
	if (info) {
		memset(info, 0, sizeof(*info));
		info->si_signo = sig;
		info->si_code = code;
	}
	return sig;
}

long signal_altstack(const stack_t *in, stack_t *old, uint64_t sp)
{
	struct thread *t = thread_current;

	if (old) {
		*old = t->altstack;
		old->ss_flags = on_altstack(t, sp)    ? SS_ONSTACK
				: t->altstack.ss_size ? 0
						      : SS_DISABLE;
	}
	if (!in)
		return 0;
	if (on_altstack(t, sp))
		return -EPERM;
	if (in->ss_flags & SS_DISABLE)
		t->altstack = (stack_t){.ss_flags = SS_DISABLE};
	else if (in->ss_size < MINSIGSTKSZ)
		return -ENOMEM;
	else
		t->altstack = *in;
	return 0;
}
