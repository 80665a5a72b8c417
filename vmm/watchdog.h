/*
 * Finds the guest whose vCPUs all have halted with interrupts off, so that
 * nothing can ever wake it: KVM waits with them in the kernel and says nothing.
 * The vCPUs are asked 0.25, 0.5, 1, 2, … seconds after the start: each leaves KVM_RUN
 * for a moment and looks at itself. An idle guest is disturbed ever more seldom.
 *
 * A guest that spins needs no watching: the shell ends it (EXO_VMM_KILL), and
 * the event loop, which it can't delay, obeys.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdint.h>

struct vm;
struct vcpu;

/* Installs the signal that interrupts KVM_RUN. Main thread, before any vCPU's. 0 or -errno. */
int watchdog_init(void);

/* Asks if it is time; the time to call it again. Event loop. */
uint64_t watchdog_poll(struct vm *vm, uint64_t now_ns);

/* The vCPU left KVM_RUN with EINTR: answers if it was asked. May end the guest. */
void watchdog_answer(struct vcpu *v);

#endif
