/*
 * What exo-fs may still do: the folder is its root directory, or of one file it can open
 * nothing at all; it has no capabilities, and a filter of system calls that kills it. It stays the
 * user that started it, because that user's rights are what the mount gives; root without
 * capabilities is just the owner of root's files.
 */
#include "fs.h"
#include "fs_seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int limit_files(void)
{
	struct rlimit fds, no_core = {0, 0};

	if (getrlimit(RLIMIT_NOFILE, &fds))
		return -errno;
	fds.rlim_max = fds.rlim_max < FS_FILES_MAX ? fds.rlim_max : FS_FILES_MAX;
	fds.rlim_cur = fds.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &fds) || setrlimit(RLIMIT_CORE, &no_core) ? -errno : 0;
}

/*
 * /proc/self/fd by itself, without the way up from it; where mounting is not
 * allowed, as it is: then landlock has to bar the way.
 */
static int open_proc(bool *alone)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc/self/fd",
			      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	*alone = fd >= 0;
	if (fd < 0)
		fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fd == FS_PROC_FD)
		return 0;
	if (dup2(fd, FS_PROC_FD) < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Nothing can be opened but what is beneath the folder. 0 or -errno. */
static int landlock(void)
{
	struct landlock_ruleset_attr attr = {0};
	struct landlock_path_beneath_attr beneath = {.parent_fd = FS_ROOT_FD};
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd, err = 0;

	if (version < 1)
		return version < 0 ? -errno : -ENOSYS;
	attr.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1; /* all of version 1 */
	if (version >= 2)
		attr.handled_access_fs |=
			LANDLOCK_ACCESS_FS_REFER; /* else renames stay in a folder */
	beneath.allowed_access = attr.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) ||
	    syscall(SYS_landlock_restrict_self, fd, 0))
		err = -errno;
	close(fd);
	return err;
}

static void write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/*
 * A user namespace gives the right to the next steps. We stay who we are in it, so
 * that the guest sees whose files are ours; other users' show as nobody's. Where
 * it is refused landlock has to do.
 */
static void enter_namespaces(void)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[32];

	if (uid != 0 && !unshare(CLONE_NEWUSER)) {
		write_proc("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1", gid, gid);
		write_proc("/proc/self/gid_map", map);
		snprintf(map, sizeof(map), "%u %u 1", uid, uid);
		write_proc("/proc/self/uid_map", map);
	}
	(void)unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET);
}

int fs_sandbox_begin(bool one_file, const char **what)
{
	/* A terminal's are for the program in front; the others are errors of calls too. */
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGXFSZ};
	bool alone;
	int err;

	*what = "no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	*what = "file limit";
	err = limit_files();
	if (err)
		return err;
	for (unsigned i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	if (syscall(SYS_close_range, FS_ROOT_FD + 1, ~0u, 0) && errno != ENOSYS)
		return -errno;
	enter_namespaces();
	if (one_file) /* no call that takes a path is left after seal */
		return 0;
	*what = "/proc/self/fd";
	err = open_proc(&alone);
	if (err)
		return err;
	if (fchdir(FS_ROOT_FD) || chroot(".") || !alone) {
		*what = "neither a root directory of its own nor landlock";
		return landlock();
	}
	return 0;
}

int fs_sandbox_seal(bool one_file, const char **what)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	const struct sock_fprog folder = {sizeof(fs_filter) / sizeof(fs_filter[0]),
					  (struct sock_filter *)(uintptr_t)fs_filter};
	const struct sock_fprog file = {sizeof(fs_file_filter) / sizeof(fs_file_filter[0]),
					(struct sock_filter *)(uintptr_t)fs_file_filter};

	*what = "capabilities";
	if (syscall(SYS_capset, &head, none))
		return -errno;
	*what = "not traceable";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	*what = "seccomp";
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, one_file ? &file : &folder) ? -errno
											    : 0;
}
