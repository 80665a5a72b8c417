/*
 * The life of guests as the control socket sees it, and what lifecycle.c and
 * lifecycle_start.c share; what machines and wires call is in session.h.
 * docs/lifecycle.md explains states and rules.
 */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include "session.h"

#define LIFECYCLE_BACKOFF_NS 100000000ull /* where no manifest says another */
#define LIFECYCLE_BACKOFF_MAX_NS 10000000000ull
#define LIFECYCLE_QUIET_NS 60000000000ull /* ready for so long: restarts are forgotten */
#define LIFECYCLE_KEPT_MAX 64u            /* guests that are over and still known */

/* "ready", …: the words of docs/control.md. */
const char *lifecycle_state_name(enum machine_state state);
/* It has no VMM and will not be started again by itself. */
bool lifecycle_is_over(const struct machine *m);
/* Has it a VMM? (A machine that waits for what it requires has none.) */
bool lifecycle_runs(const struct machine *m);
/* All vCPUs stop, or go on; the watchdog waits meanwhile. */
void lifecycle_pause(struct machine *m, bool pause);
/* Ends it for good, now. */
void lifecycle_kill(struct machine *m, const char *why);
/* Forgets the oldest that are over, beyond LIFECYCLE_KEPT_MAX. */
void lifecycle_prune(struct session *s);

/* ---- between lifecycle.c and lifecycle_start.c ---- */

void lifecycle_set_state(struct machine *m, enum machine_state state);
/* It could not be started, or what it requires can't (-errno): over, with this detail. */
void lifecycle_fail(struct machine *m, int err, const char *detail);
/* What exo run's exit code is for that: 125, 126 or 127. */
int lifecycle_exit_code(int err);
/* After a pause. As lifecycle_start, and remembers how often. */
int lifecycle_restart(struct machine *m, char why[512]);
/* Those that wait for a required service: look again. */
void lifecycle_look_at_pending(struct session *s);

#endif
