/* exo run through a session: the running one, or a private one. */
#ifndef RUN_JOIN_H
#define RUN_JOIN_H

struct run;

/*
 * Decides how r->guest is reached, after the command line and guest_take_stdio:
 * through the running session; through a private one if it needs channels and none
 * runs; else r->way stays. 0 or an exit code after a line. Costs one connect()
 * and one look for a manifest when there is neither.
 */
int run_join_if_needed(struct run *r);

#endif
