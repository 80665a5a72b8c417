/*
 * Compiles exo-vmm's seccomp filters and prints them as a C header. Runs when
 * Exoshell is built: libseccomp would cost a launch more than all the rest of
 * the sandbox, and its memory.
 *
 * Default: SECCOMP_RET_KILL_PROCESS. Each call that is left has its reason beside
 * it. ioctl is allowed by request number, tgkill only within the process.
 */
#include "sandbox_priv.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What devices and the guest's end need, in whichever thread they happen. */
static const int common_calls[] = {
	CALL(futex),           /* locks, and waiting for the process's exit */
	CALL(clock_gettime),   /* where the vDSO can't answer */
	CALL(exit_group),      /* the end */
	CALL(rt_sigreturn),    /* the signal that interrupts KVM_RUN */
	CALL(restart_syscall), /* poll, after the process was stopped and continued */
	CALL(epoll_ctl),       /* devices change what they wait for */
	CALL(timerfd_settime), /* devices set timers; waking the event loop */
	CALL(readv),           /* console: standard input that is a file, pipe or terminal */
	CALL(writev),          /* console: standard output; channels: ringing the other end */
	CALL(poll),      /* console: streams that block; vsock: hang-ups; a full control socket */
	CALL(recvmsg),   /* console, vsock: sockets; the shell's messages with fds */
	CALL(sendmsg),   /* console, vsock: sockets; messages to the shell */
	CALL(sendto),    /* vsock: the "OK port" line */
	CALL(shutdown),  /* vsock: half-closed connections */
	CALL(close),     /* streams and connections that ended */
	CALL(getrandom), /* rng */
	CALL(io_uring_enter), /* block; its ring takes disk operations only, see block.c */
	CALL(preadv),         /* block without io_uring */
	CALL(pwritev),
	CALL(fdatasync),
	CALL(fallocate),
	CALL(pread64), /* names in fault reports, from the program's file */
};

static const int loop_calls[] = {
	CALL(epoll_wait),  /* the event loop */
	CALL(epoll_pwait), /* musl's way to the same */
	CALL(read),        /* timer and doorbells */
	CALL(eventfd2),    /* a doorbell that became busy */
	CALL(accept4),     /* a shell that came after the first had gone */
	CALL(fstat),       /* channels: is the memory as large as it is said to be? */
	CALL(munmap),      /* channels: memory of a connection that has ended */
};

static const unsigned long loop_ioctls[] = {
	KVM_SIGNAL_MSI,      /* interrupts */
	KVM_IOEVENTFD,       /* a doorbell that became busy; those of channels */
	KVM_IRQFD,           /* channels: the guest's own doorbell as an interrupt */
	KVM_SET_GSI_ROUTING, /* channels: which interrupt that is */
};

/*
 * Channels map memory that was handed to us: never executable, shared; in the
 * guest's window at a place of ours, and private memory in its place when it goes.
 */
static const unsigned loop_map_flags[] = {
	MAP_SHARED,
	MAP_SHARED | MAP_FIXED,
	MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
};

static const unsigned long vcpu_ioctls[] = {
	KVM_RUN,
	KVM_SIGNAL_MSI,      /* interrupts */
	KVM_GET_REGS,        /* where a guest that failed was; is it halted for good? */
	KVM_GET_SREGS,       /* the same */
	KVM_TRANSLATE,       /* did it run into a hole? */
	KVM_GET_MP_STATE,    /* is it halted for good? */
	KVM_SET_GSI_ROUTING, /* channels: the guest changed the I/O APIC's entry */
};

/* Sanitizers and coverage: not in release builds. */
static const int instrumented_calls[] = {
	CALL(mmap),   CALL(munmap),       CALL(mprotect),       CALL(madvise),    CALL(brk),
	CALL(write),  CALL(read),         CALL(openat),         CALL(readlink),   CALL(getpid),
	CALL(gettid), CALL(sched_yield),  CALL(rt_sigprocmask), CALL(tgkill),     CALL(fstat),
	CALL(lseek),  CALL(rt_sigaction), CALL(sigaltstack),    CALL(newfstatat), CALL(fcntl),
};

static void check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "seccomp-gen: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void allow_calls(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0), "rule");
}

/* Compared as 32 bits, as the kernel does: musl extends the sign. */
static void allow_ioctls(scmp_filter_ctx ctx, const unsigned long *requests, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(ioctl), 1,
				       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, requests[i])),
		      "ioctl rule");
}

static void allow_channels(scmp_filter_ctx ctx)
{
	for (size_t i = 0; i < COUNT(loop_map_flags); i++)
		check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(mmap), 2,
				       SCMP_A2(SCMP_CMP_MASKED_EQ,
					       ~(scmp_datum_t)(PROT_READ | PROT_WRITE), 0),
				       SCMP_A3(SCMP_CMP_EQ, loop_map_flags[i])),
		      "mmap rule");
	check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(fcntl), 1,
			       SCMP_A1(SCMP_CMP_EQ, F_GET_SEALS)), /* can memory shrink? */
	      "fcntl rule");
}

static void print_filter(scmp_filter_ctx ctx, const char *name)
{
	struct sock_filter insn;
	FILE *f = tmpfile();

	if (!f) {
		perror("seccomp-gen: temporary file");
		exit(1);
	}
	check(seccomp_export_bpf(ctx, fileno(f)), "export");
	rewind(f);
	printf("static const struct sock_filter %s[] = {\n", name);
	while (fread(&insn, sizeof(insn), 1, f) == 1)
		printf("\t{0x%x, %u, %u, 0x%x},\n", insn.code, insn.jt, insn.jf, insn.k);
	printf("};\n");
	fclose(f);
}

static scmp_filter_ctx make_filter(int instrumented)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (!ctx) {
		fprintf(stderr, "seccomp-gen: out of memory\n");
		exit(1);
	}
	check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad arch");
	/* A binary tree over call numbers: the kernel evaluates it for every number once. */
	check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
	allow_calls(ctx, common_calls, COUNT(common_calls));
	if (instrumented)
		allow_calls(ctx, instrumented_calls, COUNT(instrumented_calls));
	return ctx;
}

int main(int argc, char **argv)
{
	int instrumented = argc > 1 && strcmp(argv[1], "release");
	scmp_filter_ctx ctx = make_filter(instrumented);

	printf("/* Generated by vmm/tools/seccomp-gen.c. */\n#include <linux/filter.h>\n");
	allow_calls(ctx, loop_calls, COUNT(loop_calls));
	allow_ioctls(ctx, loop_ioctls, COUNT(loop_ioctls));
	if (!instrumented)
		allow_channels(ctx);
	if (!instrumented)
		check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(tgkill), 2,
				       SCMP_A0(SCMP_CMP_EQ, SANDBOX_OWN_PID), /* the watchdog's */
				       SCMP_A2(SCMP_CMP_EQ, SIGUSR1)),
		      "tgkill rule");
	print_filter(ctx, "loop_filter");
	seccomp_release(ctx);

	ctx = make_filter(instrumented);
	allow_ioctls(ctx, vcpu_ioctls, COUNT(vcpu_ioctls));
	print_filter(ctx, "vcpu_filter");
	seccomp_release(ctx);
	return 0;
}
