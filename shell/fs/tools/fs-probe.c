/*
 * Tries every system call under exo-fs's filters (of a folder, of one file), for tests/e2e: links
 * fs_sandbox.c, so that code and filter are the real ones. For each number a child seals itself and
 * makes the call, with arguments that do nothing. Prints TAP.
 */
#include "fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_CALL 600
#define X32_BIT 0x40000000
/* uretprobe and uprobe: no filter sees them, and they are for the kernel's own probes. */
#define UNSEEN(nr) ((nr) == 335 || (nr) == 336)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool one_file;

/* Those that may be made with any arguments; the second list: of a folder only. */
static const long expected[] = {
	SYS_exit_group, SYS_clock_gettime, SYS_restart_syscall, SYS_poll,   SYS_recvmsg,
	SYS_recvfrom,   SYS_sendto,        SYS_close,           SYS_dup,    SYS_fstat,
	SYS_fstatfs,    SYS_pread64,       SYS_pwrite64,        SYS_fsync,  SYS_fdatasync,
	SYS_ftruncate,  SYS_brk,           SYS_munmap,          SYS_mremap, SYS_madvise,
};
static const long of_folders[] = {
	SYS_openat2,   SYS_newfstatat, SYS_readlinkat, SYS_lseek,    SYS_getdents64, SYS_fchownat,
	SYS_utimensat, SYS_mkdirat,    SYS_symlinkat,  SYS_unlinkat, SYS_renameat,
};

/* By arguments: allowed, or not. */
static const struct {
	long nr, arg[3];
	bool allowed, of_folder;
} cases[] = {
	{SYS_openat, {FS_PROC_FD, 0, O_RDONLY}, true, true},
	{SYS_openat, {FS_PROC_FD, 0, O_RDWR | O_CREAT}, false},
	{SYS_openat, {AT_FDCWD, 0, O_RDONLY}, false},
	{SYS_openat, {FS_ROOT_FD, 0, O_RDONLY}, false},
	{SYS_fchmodat, {FS_PROC_FD, 0, 0}, true, true},
	{SYS_fchmodat, {AT_FDCWD, 0, 0}, false},
	{SYS_linkat, {FS_PROC_FD, 0, 0}, true, true},
	{SYS_linkat, {FS_ROOT_FD, 0, 0}, false},
	{SYS_utimensat, {FS_ROOT_FD, 0, 0}, true},
	{SYS_utimensat, {FS_ROOT_FD, 1, 0}, true, true},
	{SYS_fcntl, {FS_ROOT_FD, F_OFD_GETLK, 0}, true},
	{SYS_fcntl, {FS_ROOT_FD, F_SETOWN, 0}, false},
	{SYS_fcntl, {FS_ROOT_FD, F_DUPFD, 0}, false},
	{SYS_mmap, {0, 0, PROT_READ | PROT_WRITE}, true},
	{SYS_mmap, {0, 0, PROT_READ | PROT_EXEC}, false},
	{SYS_mprotect, {0, 0, PROT_NONE}, true},
	{SYS_mprotect, {0, 0, PROT_EXEC}, false},
};

static long make_call(long nr, const long arg[3])
{
	long result = nr;

	__asm__ volatile("movq $-1, %%r10\n\tsyscall"
			 : "+a"(result)
			 : "D"(arg[0]), "S"(arg[1]), "d"(arg[2])
			 : "rcx", "r8", "r9", "r10", "r11", "memory");
	return result;
}

/* Anything but SIGSYS counts as survival, a crash in the call as well. */
static bool survives(long nr, const long arg[3])
{
	static const long zero[3];
	const char *what;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* fs_sandbox_begin's, which the filter needs */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || fs_sandbox_seal(one_file, &what))
			kill(getpid(), SIGSYS);
		make_call(nr, arg);
		make_call(SYS_exit_group, zero);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return true;
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static bool is_expected(long nr)
{
	for (unsigned i = 0; i < COUNT(expected); i++) {
		if (expected[i] == nr)
			return true;
	}
	for (unsigned i = 0; !one_file && i < COUNT(of_folders); i++) {
		if (of_folders[i] == nr)
			return true;
	}
	return false;
}

static void probe(unsigned point, const char *of)
{
	static const long nowhere[3] = {-1, -1, -1};
	unsigned wrong = 0, x32 = 0;

	for (long nr = 0; nr < LAST_CALL; nr++) {
		if (!UNSEEN(nr) && survives(nr, nowhere) != is_expected(nr)) {
			printf("# call %ld %s\n", nr, is_expected(nr) ? "is killed" : "survives");
			wrong++;
		}
		x32 += survives(nr | X32_BIT, nowhere);
	}
	printf("%sok %u - %s: every call but those that it needs is killed\n", wrong ? "not " : "",
	       point, of);
	printf("%sok %u - %s: x32 calls are killed\n", x32 ? "not " : "", point + 1, of);
	wrong = 0;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		bool allowed = cases[i].allowed && !(one_file && cases[i].of_folder);

		if (survives(cases[i].nr, cases[i].arg) != allowed) {
			printf("# case %u\n", i);
			wrong++;
		}
	}
	printf("%sok %u - %s: and some of those by their arguments\n", wrong ? "not " : "",
	       point + 2, of);
}

int main(void)
{
	probe(1, "a folder");
	one_file = true;
	probe(4, "one file");
	printf("1..6\n");
	return 0;
}
