/* Signals: handlers, masks, what they interrupt, faults. */
#include "selftest.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count, last;
static siginfo_t last_info;
static sigjmp_buf back;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	count++;
	last = sig;
	last_info = *info;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	last = sig;
	last_info = *info;
	siglongjmp(back, 1);
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
	count = last = 0;
}

static bool masks(void)
{
	sigset_t set, pending;

	handle(SIGUSR1, on_signal, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	raise(SIGUSR1);
	sigpending(&pending);
	if (count != 0 || !sigismember(&pending, SIGUSR1))
		return false;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return count == 1;
}

static bool waits_for_signal(void)
{
	struct timespec ts = {.tv_nsec = 10000000};
	sigset_t set;
	bool ok;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ok = sigtimedwait(&set, NULL, &ts) < 0 && errno == EAGAIN;
	kill(getpid(), SIGUSR2);
	ok = ok && sigtimedwait(&set, NULL, &ts) == SIGUSR2;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return ok;
}

static bool broken_pipe(void)
{
	int p[2];
	bool ok;

	handle(SIGPIPE, on_signal, 0);
	if (pipe(p) < 0)
		return false;
	close(p[0]);
	ok = write(p[1], "x", 1) < 0 && errno == EPIPE && last == SIGPIPE;
	close(p[1]);
	return ok;
}

static bool interrupts_sleep(void)
{
	struct timespec long_time = {.tv_sec = 10}, rest = {0};

	handle(SIGALRM, on_signal, 0);
	ualarm(10000, 0);
	return nanosleep(&long_time, &rest) < 0 && errno == EINTR && count == 1 && rest.tv_sec == 9;
}

/* Without SA_RESTART a read fails; with it, it goes on. */
static bool interrupts_read(int flags)
{
	char c;
	int p[2];
	ssize_t n;

	if (pipe(p) < 0)
		return false;
	handle(SIGALRM, on_signal, flags);
	if (flags)
		write(p[1], "y", 1);
	ualarm(10000, 0);
	while (flags && !count)
		; /* the read then finds its byte */
	n = read(p[0], &c, 1);
	close(p[0]);
	close(p[1]);
	return flags ? n == 1 : n < 0 && errno == EINTR && count == 1;
}

static void on_alarm_write(int sig, siginfo_t *info, void *context)
{
	count++;
	write(info->si_signo == SIGALRM ? last_info.si_fd : -1, "z", 1);
}

static bool restarts_read(void)
{
	char c = 0;
	int p[2];

	if (pipe(p) < 0)
		return false;
	handle(SIGALRM, on_alarm_write, SA_RESTART);
	last_info.si_fd = p[1];
	ualarm(10000, 0);
	return read(p[0], &c, 1) == 1 && c == 'z' && count == 1 && close(p[0]) == 0 &&
	       close(p[1]) == 0;
}

static bool divides(void)
{
	volatile int zero = 0, x = 1;

	handle(SIGFPE, on_fault, 0);
	if (sigsetjmp(back, 1) == 0)
		x /= zero;
	return last == SIGFPE && x == 1;
}

static bool illegal(void)
{
	handle(SIGILL, on_fault, 0);
	if (sigsetjmp(back, 1) == 0)
		__asm__ volatile("ud2");
	return last == SIGILL;
}

static bool fault_address(void)
{
	volatile int *volatile p = (volatile int *)0x10;

	handle(SIGSEGV, on_fault, 0);
	if (sigsetjmp(back, 1) == 0)
		*p = 1;
	return last == SIGSEGV && last_info.si_addr == (void *)0x10;
}

__attribute__((noinline)) static int recurse(volatile char *above)
{
	volatile char here[4096];

	here[0] = above[0];
	if (here[0] == 1) /* never, but the compiler cannot know */
		return 0;
	return recurse(here) + here[0];
}

static bool overflow_on_altstack(void)
{
	static char space[32768];
	stack_t ss = {.ss_sp = space, .ss_size = sizeof(space)}, off = {.ss_flags = SS_DISABLE};
	char c = 0;

	if (sigaltstack(&ss, NULL) < 0)
		return false;
	handle(SIGSEGV, on_fault, SA_ONSTACK);
	if (sigsetjmp(back, 1) == 0)
		recurse(&c);
	sigaltstack(&off, NULL);
	return last == SIGSEGV;
}

static volatile double clobbered;

static void on_alarm_floating(int sig, siginfo_t *info, void *context)
{
	clobbered = sin(1.0 + count++);
}

/* A handler that computes must not disturb what it interrupts. */
static bool floating_survives(void)
{
	double a = 1, b = 1;

	handle(SIGALRM, on_alarm_floating, 0);
	ualarm(2000, 2000);
	while (count < 5) {
		a = 1;
		b = 1;
		for (int i = 0; i < 20000; i++) {
			a = a * 1.00001 + 0.5;
			b = b * 1.00001 + 0.5;
		}
		if (a != b)
			break;
	}
	ualarm(0, 0);
	return a == b;
}

static bool ignores(void)
{
	signal(SIGTERM, SIG_IGN);
	raise(SIGTERM);
	signal(SIGTERM, SIG_DFL);
	return true;
}

void test_signals(void)
{
	handle(SIGUSR1, on_signal, 0);
	check(raise(SIGUSR1) == 0 && count == 1 && last == SIGUSR1, "raise runs the handler");
	check(kill(getpid(), SIGUSR1) == 0 && count == 2 && last_info.si_code == SI_USER,
	      "kill of oneself");
	check(masks(), "a blocked signal waits, once");
	check(waits_for_signal(), "sigtimedwait");
	check(broken_pipe(), "a write without a reader is SIGPIPE and EPIPE");
	check(interrupts_sleep(), "a handler interrupts nanosleep, which says what is left");
	check(interrupts_read(0), "a handler interrupts a read: EINTR");
	check(restarts_read() && interrupts_read(SA_RESTART), "SA_RESTART goes on with the read");
	check(divides(), "a division by zero is SIGFPE");
	check(illegal(), "an illegal instruction is SIGILL");
	check(fault_address(), "a bad pointer is SIGSEGV with its address");
	check(overflow_on_altstack(), "a stack overflow reaches a handler on its own stack");
	check(floating_survives(), "floating point survives handlers");
	check(ignores(), "an ignored signal is");
}
