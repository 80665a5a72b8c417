/* The groups of system calls that are not about files: each handles its own numbers. */
#ifndef POSIX_PROCESS_H
#define POSIX_PROCESS_H

#include "posix.h"

/* True if the call in r is one of theirs; *result is then what it returns. */
bool call_signal(struct regs *r, long *result);  /* sigcalls.c */
bool call_time(struct regs *r, long *result);    /* timecalls.c */
bool call_process(struct regs *r, long *result); /* process.c */

/* munmap; a thread's own stack goes when the thread does. */
long process_munmap(struct regs *r, uint64_t addr, size_t len);

/* signal.c, behind call_signal. */
long signal_action(int sig, const void *in, void *old, size_t size);
long signal_procmask(int how, const uint64_t *set, uint64_t *old, size_t size);
long signal_pending(uint64_t *set, size_t size);
long signal_suspend(const uint64_t *mask, size_t size);
long signal_timedwait(const uint64_t *set, siginfo_t *info, const struct timespec *timeout,
		      size_t size);
long signal_altstack(const stack_t *in, stack_t *old, uint64_t sp);
void signal_return(struct regs *r);

#endif
