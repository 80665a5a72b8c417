/*
 * What this process may still do once the guest runs: docs/vmm.md says why each
 * thing that is left is left. In stages, because the threads start early:
 * begin (one thread), confine (the main thread, while others still prepare),
 * seal (each thread, for itself, as the last thing before the guest can reach it).
 */
#ifndef SANDBOX_H
#define SANDBOX_H

enum sandbox_thread { SANDBOX_MAIN, SANDBOX_VCPU };

/*
 * First thing in the process: no_new_privs, no core dumps, not traceable, no
 * fds but keep_fds lowest, and, unless root, a user namespace of its own where it
 * is allowed. 0 or -errno.
 */
int sandbox_begin(int keep_fds);

/*
 * An empty root directory for the process; for the calling thread and those it
 * starts: namespaces of its own where they are allowed, no capabilities, and if
 * root, another user. Best effort: the filter does not need them.
 */
void sandbox_confine(void);

/*
 * Drops the calling thread's capabilities and, if root, its user, and applies
 * its seccomp filter, which kills the process. 0 or -errno.
 */
int sandbox_seal(enum sandbox_thread thread);

#endif
