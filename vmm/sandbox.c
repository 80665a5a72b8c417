/*
 * The sandbox; see sandbox.h. Raw system calls where libc would act on all
 * threads or emulate: credentials are each thread's own here.
 */
#include "sandbox.h"

#include "sandbox_priv.h"
#include "seccomp_filters.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_MAX 1024 /* as many as the event loop takes */

/*
 * Who we become if root: a user and group of our own that no process and no
 * file has, distinct for each guest, so that guests can't reach one another
 * through /proc or signals either. Above the ranges that systemd and container
 * engines hand out, below 2^31.
 */
#define UID_BASE 0x7f000000u

int sandbox_begin(int keep_fds)
{
	struct rlimit no_core = {0, 0}, fds;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    setrlimit(RLIMIT_CORE, &no_core) || getrlimit(RLIMIT_NOFILE, &fds))
		return -errno;
	if (fds.rlim_max > FDS_MAX) { /* it can't be raised again */
		fds.rlim_cur = fds.rlim_max = FDS_MAX;
		if (setrlimit(RLIMIT_NOFILE, &fds))
			return -errno;
	}
	if (syscall(SYS_close_range, keep_fds, ~0u, 0) && errno != ENOSYS)
		return -errno;
	/*
	 * Gives the right to the rest of the sandbox. Unmapped, so whoever we are
	 * outside is nobody inside. Where it is refused the filter has to do alone.
	 */
	if (geteuid() != 0)
		(void)unshare(CLONE_NEWUSER);
	return 0;
}

int sandbox_confine(void)
{
	/*
	 * A directory without anything that can be opened, and nowhere to go up
	 * to: it lists our own fds and goes away with us.
	 */
	if (chroot("/proc/self/fdinfo") && chroot("/var/empty"))
		return 0; /* not allowed, or nowhere to go */
	return chdir("/") ? -errno : 0;
}

/*
 * Root in a container may lack the right (EPERM), or there is no such user in
 * its user namespace (EINVAL): it stays root, of that container, without capabilities.
 */
static int change_user(unsigned id)
{
	if (syscall(SYS_setgroups, 0, NULL) || syscall(SYS_setresgid, id, id, id) ||
	    syscall(SYS_setresuid, id, id, id))
		return errno == EPERM || errno == EINVAL ? 0 : -errno;
	return 0;
}

int sandbox_drop(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	int err = geteuid() == 0 ? change_user(UID_BASE | (unsigned)getpid()) : 0;

	if (!err && syscall(SYS_capset, &head, none))
		err = -errno;
	return err;
}

int sandbox_seal(enum sandbox_thread thread)
{
	enum {
		MAX = sizeof(loop_filter) > sizeof(vcpu_filter) ? sizeof(loop_filter)
								: sizeof(vcpu_filter)
	};
	const struct sock_filter *from = thread == SANDBOX_LOOP ? loop_filter : vcpu_filter;
	size_t bytes = thread == SANDBOX_LOOP ? sizeof(loop_filter) : sizeof(vcpu_filter);
	struct sock_filter filter[MAX / sizeof(struct sock_filter)];
	struct sock_fprog prog = {(unsigned short)(bytes / sizeof(filter[0])), filter};
	int err;

	if (thread == SANDBOX_LOOP)
		(void)unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS);
	err = sandbox_drop();
	if (err)
		return err;
	memcpy(filter, from, bytes);
	for (unsigned i = 0; i < prog.len; i++) {
		if (filter[i].k == SANDBOX_OWN_PID)
			filter[i].k = (uint32_t)getpid();
	}
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}
