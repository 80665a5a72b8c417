/*
 * Tries every system call inside the sandbox, for tests/e2e: links exo-vmm's
 * sandbox.c, so that code and filters are the real ones. For each number a child
 * seals itself as the named thread does and makes the call, with arguments that
 * do nothing; what is not killed by SIGSYS is printed.
 *
 * usage: sandbox-probe loop|vcpu
 */
#include "sandbox.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_CALL 600
#define X32_BIT 0x40000000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct attempt {
	long nr, arg[4];
	bool on_self; /* arg[0] is the process's own id, arg[1] too */
	bool compat;  /* by int $0x80, as a 32-bit program */
};

static enum sandbox_thread thread;

static const unsigned long allowed[] = {
	KVM_RUN,       KVM_SIGNAL_MSI,   KVM_IOEVENTFD, KVM_GET_REGS,        KVM_GET_SREGS,
	KVM_TRANSLATE, KVM_GET_MP_STATE, KVM_IRQFD,     KVM_SET_GSI_ROUTING,
};

static const unsigned long forbidden[] = {
	KVM_CREATE_VM,
	KVM_CREATE_VCPU,
	KVM_SET_USER_MEMORY_REGION,
	KVM_SET_REGS,
	KVM_SET_SREGS,
	KVM_SET_MSRS,
	KVM_GET_MSRS,
	KVM_SET_CPUID2,
	KVM_ENABLE_CAP,
	KVM_CREATE_DEVICE,
	KVM_CREATE_IRQCHIP,
	KVM_GET_API_VERSION,
	KVM_GET_VCPU_MMAP_SIZE,
	TIOCSTI,
	TIOCSETD,
	TIOCLINUX,
	TIOCSCTTY,
	TCSETS,
	TCGETS,
	FIONREAD,
	FIONBIO,
	FIGETBSZ,
	FS_IOC_SETFLAGS,
	SIOCGIFCONF,
	SIOCSIFFLAGS,
};

static void make_call(const struct attempt *a)
{
	long result = a->nr;

	if (a->compat)
		__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	else
		__asm__ volatile("movq %4, %%r10\n\tsyscall"
				 : "+a"(result)
				 : "D"(a->arg[0]), "S"(a->arg[1]), "d"(a->arg[2]), "r"(a->arg[3])
				 : "rcx", "r8", "r9", "r10", "r11", "memory");
	syscall(SYS_exit_group, 0);
}

/* Anything but SIGSYS counts as survival, a crash in the call as well. */
static bool survives(struct attempt a)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (a.on_self)
			a.arg[0] = a.arg[1] = getpid();
		if (sandbox_seal(thread))
			_exit(99);
		make_call(&a);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid ||
	    (WIFEXITED(status) && WEXITSTATUS(status) == 99)) {
		perror("sandbox-probe: cannot try");
		_exit(1);
	}
	if (a.compat) /* where the kernel has no 32-bit calls this is SIGSEGV */
		return WIFEXITED(status);
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void try_ioctl(unsigned long request)
{
	if (survives((struct attempt){.nr = SYS_ioctl, .arg = {-1, (long)request, 0}}))
		printf("ioctl %lx\n", request);
}

/* The requests themselves, and each that differs in one bit. */
static void try_ioctls(void)
{
	for (unsigned i = 0; i < COUNT(forbidden); i++)
		try_ioctl(forbidden[i]);
	for (unsigned i = 0; i < COUNT(allowed); i++) {
		try_ioctl(allowed[i]);
		for (unsigned bit = 0; bit < 32; bit++)
			try_ioctl(allowed[i] ^ 1ul << bit);
	}
}

#define MMAP(prot, flags) \
	{ \
		.nr = SYS_mmap, .arg = { 0, 0, prot, flags } \
	}
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static void try_others(void)
{
	static const struct {
		const char *name;
		struct attempt a;
	} other[] = {
		{"own-tgkill", {.nr = SYS_tgkill, .arg = {0, 0, SIGUSR1}, .on_self = true}},
		{"own-tgkill-kill", {.nr = SYS_tgkill, .arg = {0, 0, SIGKILL}, .on_self = true}},
		{"init-tgkill", {.nr = SYS_tgkill, .arg = {1, 1, SIGUSR1}}},
		{"parent-group-kill", {.nr = SYS_kill, .arg = {0, 0, 0}}},
		{"map-shared", MMAP(PROT_READ | PROT_WRITE, MAP_SHARED)},
		{"map-shared-fixed", MMAP(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED)},
		{"map-read-only", MMAP(PROT_READ, MAP_SHARED | MAP_FIXED)},
		{"map-nothing-fixed", MMAP(PROT_READ | PROT_WRITE, ANONYMOUS | MAP_FIXED)},
		{"map-anonymous", MMAP(PROT_READ | PROT_WRITE, ANONYMOUS)},
		{"map-private", MMAP(PROT_READ | PROT_WRITE, MAP_PRIVATE)},
		{"map-code", MMAP(PROT_READ | PROT_EXEC, MAP_SHARED)},
		{"map-code-fixed", MMAP(PROT_EXEC, MAP_SHARED | MAP_FIXED)},
		{"map-wide-protection", MMAP(PROT_READ | 1l << 32, MAP_SHARED)},
		{"fcntl-seals", {.nr = SYS_fcntl, .arg = {-1, F_GET_SEALS}}},
		{"fcntl-add-seals", {.nr = SYS_fcntl, .arg = {-1, F_ADD_SEALS}}},
		{"fcntl-flags", {.nr = SYS_fcntl, .arg = {-1, F_SETFL}}},
		{"fcntl-dup", {.nr = SYS_fcntl, .arg = {-1, F_DUPFD}}},
		{"madvise-remove", {.nr = SYS_madvise, .arg = {0, 0, MADV_REMOVE}}},
		{"madvise-not-needed", {.nr = SYS_madvise, .arg = {0, 0, MADV_DONTNEED}}},
		{"32-bit-exit", {.nr = 1, .compat = true}},
		{"32-bit-getpid", {.nr = 20, .compat = true}},
	};

	for (unsigned i = 0; i < COUNT(other); i++) {
		if (survives(other[i].a))
			printf("other %s\n", other[i].name);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 || (strcmp(argv[1], "loop") && strcmp(argv[1], "vcpu"))) {
		fprintf(stderr, "usage: sandbox-probe loop|vcpu\n");
		return 2;
	}
	thread = strcmp(argv[1], "loop") ? SANDBOX_VCPU : SANDBOX_LOOP;
	setvbuf(stdout, NULL, _IOLBF, 0); /* a child must not inherit what is not printed yet */
	if (sandbox_begin(3))
		return 1;
	for (long nr = 0; nr <= LAST_CALL; nr++) {
		struct attempt a = {.nr = nr, .arg = {-1, 0, 0}};

		if (nr != SYS_ioctl && nr != SYS_tgkill && survives(a))
			printf("call %ld\n", nr);
		a.nr |= X32_BIT;
		if (survives(a))
			printf("call %ld\n", a.nr);
	}
	try_ioctls();
	try_others();
	printf("done 1\n");
	return 0;
}
