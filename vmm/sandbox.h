/*
 * What this process may still do once the guest runs: docs/vmm.md says why each
 * thing that is left is left. In stages: begin and confine (one thread), drop
 * (before anything is looked at that came from outside), seal (each thread for
 * itself, as the last thing before the guest runs).
 */
#ifndef SANDBOX_H
#define SANDBOX_H

enum sandbox_thread { SANDBOX_LOOP, SANDBOX_VCPU };

/*
 * First thing in the process: no_new_privs, no core dumps, not traceable, no
 * fds but keep_fds lowest, and, unless root, a user namespace of its own where it
 * is allowed. 0 or -errno.
 */
int sandbox_begin(int keep_fds);

/*
 * An empty root directory for the process, where it is allowed: the filter does
 * not need it. 0 or -errno.
 */
int sandbox_confine(void);

/* Drops the calling thread's capabilities and, if root and it can, its user. 0 or -errno. */
int sandbox_drop(void);

/*
 * For the event loop, which has more calls left than vCPUs: namespaces of its own where
 * they are allowed. Then sandbox_drop, and the thread's seccomp filter, which
 * kills the process. 0 or -errno.
 */
int sandbox_seal(enum sandbox_thread thread);

#endif
