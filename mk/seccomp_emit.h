/*
 * For the build-time generators of seccomp filters: from lists of allowed calls
 * to a C array, with SECCOMP_RET_KILL_PROCESS for everything else. Runs when
 * Exoshell is built: libseccomp would cost a start more than all the rest of a
 * sandbox, and its memory. What fails ends the build.
 */
#ifndef SECCOMP_EMIT_H
#define SECCOMP_EMIT_H

#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL(name) SCMP_SYS(name)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Sanitizers and coverage: not in release builds. */
static const int emit_instrumented_calls[] = {
	CALL(mmap),   CALL(munmap),       CALL(mprotect),       CALL(madvise),    CALL(brk),
	CALL(write),  CALL(read),         CALL(openat),         CALL(readlink),   CALL(getpid),
	CALL(gettid), CALL(sched_yield),  CALL(rt_sigprocmask), CALL(tgkill),     CALL(fstat),
	CALL(lseek),  CALL(rt_sigaction), CALL(sigaltstack),    CALL(newfstatat), CALL(fcntl),
};

static inline void emit_check(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "seccomp filter: %s: %s\n", what, strerror(-err));
	exit(1);
}

static inline void emit_allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		emit_check(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0), "rule");
}

/* A filter that kills, but for the calls; with instrumented also for those of the sanitizers. */
static inline scmp_filter_ctx emit_begin(const int *calls, size_t n, int instrumented)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	emit_check(ctx ? 0 : -12, "start");
	emit_check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
		   "bad arch");
	/* A binary tree over call numbers: the kernel evaluates it for every number once. */
	emit_check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
	emit_allow(ctx, calls, n);
	if (instrumented)
		emit_allow(ctx, emit_instrumented_calls, COUNT(emit_instrumented_calls));
	return ctx;
}

/* Prints it as an array of struct sock_filter, and ends it. */
static inline void emit_end(scmp_filter_ctx ctx, const char *name)
{
	struct {
		unsigned short code;
		unsigned char jt, jf;
		unsigned k;
	} insn; /* struct sock_filter */
	FILE *f = tmpfile();

	if (!f) {
		perror("seccomp filter: temporary file");
		exit(1);
	}
	emit_check(seccomp_export_bpf(ctx, fileno(f)), "export");
	rewind(f);
	printf("static const struct sock_filter %s[] = {\n", name);
	while (fread(&insn, sizeof(insn), 1, f) == 1)
		printf("\t{0x%x, %u, %u, 0x%x},\n", insn.code, insn.jt, insn.jf, insn.k);
	printf("};\n");
	fclose(f);
	seccomp_release(ctx);
}

#endif
