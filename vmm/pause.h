/*
 * Stops the guest's CPUs and lets them run again (EXO_VMM_PAUSE). Devices go on:
 * what comes in meanwhile waits in their queues. The guest's clocks go on too.
 */
#ifndef PAUSE_H
#define PAUSE_H

#include <stdbool.h>

struct vm;
struct vcpu;

/* Makes the vCPUs leave KVM_RUN for a moment. Event loop. */
void pause_interrupt(struct vm *vm, struct vcpu *v);

/*
 * On: waits until no vCPU runs the guest, which takes microseconds; or, if the guest is ending
 * or the host very busy, not longer than a tenth of a second. Event loop, with no lock held.
 */
void pause_set(struct vm *vm, bool on);

/* The vCPU left KVM_RUN: waits here while the guest is paused. Its own thread. */
void pause_wait(struct vm *vm);

#endif
