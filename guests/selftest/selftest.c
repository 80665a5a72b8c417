/*
 * One check for each promise of the SDK (docs/sdk.md). TAP; exit status 0 if
 * all hold. Builds for Linux too, where the same must hold.
 */
#include "selftest.h"

#include <exo_test.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <termios.h>

extern char **environ;

void check(bool ok, const char *name)
{
	tap_ok(ok, name);
}

void skip(const char *why, const char *name)
{
	tap_skip(why, name);
}

static bool sse_survives_calls(void)
{
	uint64_t in[2] = {0x0123456789abcdef, 0xfedcba9876543210}, out[2] = {0};
	long nr = SYS_getppid;

	__asm__ volatile("movdqu (%1), %%xmm0\n\tmovdqu (%1), %%xmm7\n\tmovdqu (%1), %%xmm15\n\t"
			 "syscall\n\t"
			 "pxor %%xmm7, %%xmm0\n\tpor %%xmm0, %%xmm15\n\tmovdqu %%xmm15, (%2)"
			 : "+a"(nr)
			 : "r"(in), "r"(out)
			 : "rcx", "r11", "memory", "xmm0", "xmm7", "xmm15");
	return memcmp(in, out, sizeof(in)) == 0;
}

static bool registers_survive_calls(void)
{
	long nr = SYS_getppid, ok;

	__asm__ volatile("mov $11, %%rdi\n\tmov $12, %%rsi\n\tmov $13, %%rdx\n\tmov $14, %%r8\n\t"
			 "mov $15, %%r9\n\tmov $16, %%r10\n\tmov $17, %%r15\n\tsyscall\n\t"
			 "add %%rsi, %%rdi\n\tadd %%rdx, %%rdi\n\tadd %%r8, %%rdi\n\t"
			 "add %%r9, %%rdi\n\tadd %%r10, %%rdi\n\tadd %%r15, %%rdi\n\tmov %%rdi, %0"
			 : "=r"(ok), "+a"(nr)
			 :
			 : "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "r15", "memory");
	return ok == 11 + 12 + 13 + 14 + 15 + 16 + 17;
}

static bool jumps(void)
{
	static jmp_buf back;
	volatile int turns = 0;

	if (setjmp(back) < 3) {
		turns++;
		longjmp(back, turns);
	}
	return turns == 3;
}

static bool random_differs(void)
{
	uint8_t a[64], b[64], zero[64] = {0};

	return getrandom(a, sizeof(a), 0) == sizeof(a) && getrandom(b, sizeof(b), 0) == sizeof(b) &&
	       memcmp(a, b, sizeof(a)) && memcmp(a, zero, sizeof(a));
}

static bool no_process(void)
{
	errno = 0;
	return fork() < 0 && errno == ENOSYS;
}

void test_basic(int argc, char **argv)
{
	struct utsname u;
	char cwd[16], text[64];
	double root = sqrt(2.0);

	check(argc >= 1 && argv[0] && argv[0][0] && !argv[argc], "argv is there and ends");
	check(setenv("SELFTEST", "1", 1) == 0 && strcmp(getenv("SELFTEST"), "1") == 0,
	      "the environment can be changed");
	check(random_differs(), "getrandom gives something else each time");
	check(jumps(), "setjmp and longjmp");
	snprintf(text, sizeof(text), "%.15f", root);
	check(strcmp(text, "1.414213562373095") == 0, "floating point, and printing it");
	check(sse_survives_calls(), "SSE registers survive a system call");
	check(registers_survive_calls(), "general registers survive a system call");
	check(uname(&u) == 0 && strcmp(u.machine, "x86_64") == 0, "uname");
	check(getcwd(cwd, sizeof(cwd)) && cwd[0] == '/', "getcwd");
	check(getpid() > 0, "getpid");
	if (strcmp(u.sysname, "Exoshell") == 0)
		check(no_process(), "fork is ENOSYS");
	else
		skip("not a guest", "fork is ENOSYS");
	errno = 0;
	check(syscall(1000) == -1 && errno == ENOSYS, "an unknown system call is ENOSYS");
}

int main(int argc, char **argv)
{
	tap_plan(BASIC_POINTS + MEMORY_POINTS + TIME_POINTS + FILE_POINTS + SIGNAL_POINTS +
		 THREAD_POINTS + DEVICE_POINTS + CHANNEL_POINTS);
	test_basic(argc, argv);
	test_memory();
	test_time();
	test_files();
	test_signals();
	test_threads();
	test_devices();
	test_channels();
	return tap_done();
}
