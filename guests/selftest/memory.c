/* Memory: malloc, mmap, protection. */
#include "selftest.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALL 2000
#define BIG (8u << 20)

static sigjmp_buf back;
static volatile int caught;

static void on_fault(int sig)
{
	caught = sig;
	siglongjmp(back, 1);
}

/* Does touching p end in a signal? */
static bool faults(volatile uint8_t *p, bool write)
{
	struct sigaction sa = {.sa_handler = on_fault}, old;

	caught = 0;
	sigaction(SIGSEGV, &sa, &old);
	if (sigsetjmp(back, 1) == 0) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	sigaction(SIGSEGV, &old, NULL);
	return caught == SIGSEGV;
}

/* A value that the compiler cannot foresee: it may assume that malloc succeeds. */
static void *hidden(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

static bool small_objects(void)
{
	static uint8_t *p[SMALL];
	bool ok = true;

	for (unsigned i = 0; i < SMALL; i++) {
		p[i] = malloc(1 + i % 700);
		if (!p[i])
			return false;
		memset(p[i], (int)i, 1 + i % 700);
	}
	for (unsigned i = 0; i < SMALL; i++) {
		ok &= p[i][i % 700] == (uint8_t)i;
		free(p[i]);
	}
	return ok;
}

static bool big_objects(void)
{
	uint8_t *p = malloc(BIG), *q;
	bool ok;

	if (!p)
		return false;
	memset(p, 7, BIG);
	q = realloc(p, 2 * (size_t)BIG);
	if (!q)
		return false;
	ok = q[0] == 7 && q[BIG - 1] == 7;
	free(q);
	return ok;
}

static bool comes_zeroed(void)
{
	for (int turn = 0; turn < 3; turn++) {
		uint64_t *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return false;
		for (unsigned i = 0; i < (1 << 20) / 8; i++)
			if (p[i])
				return false;
		memset(p, 0xff, 1 << 20);
		munmap(p, 1 << 20);
	}
	return true;
}

static bool code_can_be_made(void)
{
	static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union {
		void *data;
		int (*call)(void);
	} u = {p};
	bool ok;

	if (p == MAP_FAILED)
		return false;
	memcpy(p, code, sizeof(code));
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0)
		return false;
	ok = u.call() == 42 && faults(p, true);
	munmap(p, 4096);
	return ok;
}

#define MAPPINGS 400

/* Many mappings of two kinds, none of which can be merged with its neighbour. */
static bool many_mappings(void)
{
	static uint8_t *p[MAPPINGS];
	bool ok = true;

	for (unsigned i = 0; i < MAPPINGS; i++) {
		p[i] = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		if (p[i] == MAP_FAILED || mprotect(p[i], 4096, PROT_NONE) < 0)
			return false;
		p[i][4096] = (uint8_t)i;
	}
	for (unsigned i = 0; i < MAPPINGS; i++) {
		ok &= p[i][4096] == (uint8_t)i;
		ok &= munmap(p[i], 2 * 4096) == 0;
	}
	return ok;
}

void test_memory(void)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *p;

	check(small_objects(), "malloc of many small objects");
	check(big_objects(), "malloc and realloc of a large one");
	errno = 0;
	p = hidden(malloc(SIZE_MAX / 4));
	check(!p && errno == ENOMEM, "too large a malloc is ENOMEM");
	check(comes_zeroed(), "mmap gives zeroed memory, again and again");
	check(many_mappings(), "hundreds of mappings with guards");
	p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p[4096] = 1;
	check(mprotect(p + 4096, 4096, PROT_NONE) == 0 && faults(p + 4096, false),
	      "mprotect PROT_NONE");
	check(mprotect(p + 4096, 4096, PROT_READ) == 0 && p[4096] == 1 && faults(p + 4096, true),
	      "mprotect PROT_READ");
	check(mprotect(p + 4096, 4096, PROT_READ | PROT_WRITE) == 0 && !faults(p + 4096, true),
	      "mprotect back to read and write");
	munmap(p, 4 * 4096);
	check(code_can_be_made(), "memory can become code, and is not writable then");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		check(errno == EACCES, "write and execute together are refused");
	else
		skip("Linux allows it", "write and execute together are refused");
	check(page == 4096 && faults(NULL, false), "a NULL dereference is SIGSEGV");
}
