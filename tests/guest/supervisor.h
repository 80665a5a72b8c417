/*
 * For the supervisor's tests: its calls, made past the POSIX layer, and whether
 * an access or instruction is refused.
 */
#ifndef TESTS_GUEST_SUPERVISOR_H
#define TESTS_GUEST_SUPERVISOR_H

#include "../../guests/sdk/sup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* A distinct exit status for each check. */
#define CHECK(status, condition) \
	do { \
		if (!(condition)) \
			exit(status); \
	} while (0)

static inline struct sup_shared *sup_block(void)
{
	struct sup_shared *s;

	__asm__("mov %%gs:0, %0" : "=r"(s));
	return s;
}

static sigjmp_buf sup_back;
static volatile int sup_signal;
static void *volatile sup_address;

static inline void sup_caught(int signo, siginfo_t *info, void *context)
{
	sup_signal = signo;
	sup_address = info->si_addr;
	siglongjmp(sup_back, 1);
}

/* The signal that fn(arg) died of, or 0 when it returned. */
static inline int sup_try(void (*fn)(uintptr_t arg), uintptr_t arg)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	struct sigaction sa = {.sa_sigaction = sup_caught, .sa_flags = SA_SIGINFO | SA_NODEFER};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	sup_signal = 0;
	sup_address = NULL;
	if (sigsetjmp(sup_back, 1) == 0)
		fn(arg);
	return sup_signal;
}

static inline void sup_read(uintptr_t address)
{
	/* cppcheck-suppress nullPointer */
	(void)*(volatile uint8_t *)address;
}

static inline void sup_write(uintptr_t address)
{
	*(volatile uint8_t *)address = 0xc3; /* ret */
}

static inline void sup_execute(uintptr_t address)
{
	((void (*)(void))address)();
}

#endif
