/*
 * What two processes of the host reach, for the channel benchmarks to stand beside.
 *
 * usage: ipc rtt KIND ROUNDS [BYTES]     round trips; p50, p99, p99.99 in ns
 *        ipc bulk KIND MBYTES CHUNK      one way, MB/s; each chunk is filled by
 *                                        nobody and read by nobody, as in chan.elf
 * KIND: stream, seq (Unix socket pairs), stream2 (rtt only: each end on a CPU of its
 * own), pipe, eventfd (rtt only), spin (rtt only:
 * a word of shared memory, both looking), memcpy (bulk only: one process).
 * Prints one JSON object.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buffer[16 << 20];

struct ends {
	int in, out; /* spin: unused */
	_Atomic uint64_t *word;
};

static void die(const char *what)
{
	fprintf(stderr, "ipc: %s: %s\n", what, strerror(errno));
	exit(125);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void make_sockets(int type, struct ends *a, struct ends *b)
{
	int pair[2];

	if (socketpair(AF_UNIX, type, 0, pair))
		die("socketpair");
	*a = (struct ends){.in = pair[0], .out = pair[0]};
	*b = (struct ends){.in = pair[1], .out = pair[1]};
}

static void make_two(bool events, struct ends *a, struct ends *b)
{
	int there[2], back[2];

	if (events) {
		there[0] = there[1] = eventfd(0, 0);
		back[0] = back[1] = eventfd(0, 0);
	} else if (pipe(there) || pipe(back)) {
		die("pipe");
	}
	*a = (struct ends){.in = back[0], .out = there[1]};
	*b = (struct ends){.in = there[0], .out = back[1]};
}

static void stay_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static void make(const char *kind, struct ends *a, struct ends *b)
{
	_Atomic uint64_t *word;

	if (!strcmp(kind, "stream") || !strcmp(kind, "stream2")) {
		make_sockets(SOCK_STREAM, a, b);
	} else if (!strcmp(kind, "seq")) {
		make_sockets(SOCK_SEQPACKET, a, b);
	} else if (!strcmp(kind, "spin")) {
		word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (word == MAP_FAILED)
			die("mmap");
		*a = *b = (struct ends){-1, -1, word};
	} else {
		make_two(!strcmp(kind, "eventfd"), a, b);
	}
}

static void get(const struct ends *e, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = read(e->in, buffer + done, bytes - done);

		if (n <= 0)
			die("read");
		done += (size_t)n;
	}
}

static void put(const struct ends *e, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = write(e->out, buffer + done, bytes - done);

		if (n <= 0)
			die("write");
		done += (size_t)n;
	}
}

/* ---- round trips ------------------------------------------------------------------- */

static void spin_until(_Atomic uint64_t *word, uint64_t value)
{
	while (*word != value)
		__builtin_ia32_pause();
}

static void answer(const struct ends *e, uint64_t rounds, size_t bytes)
{
	for (uint64_t i = 0; i < rounds; i++) {
		if (e->word) {
			spin_until(e->word, 2 * i + 1);
			*e->word = 2 * i + 2;
		} else {
			get(e, bytes);
			put(e, bytes);
		}
	}
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void ask(const struct ends *e, uint64_t rounds, size_t bytes, uint64_t *ns)
{
	for (uint64_t i = 0; i < rounds; i++) {
		uint64_t start = now_ns();

		if (e->word) {
			*e->word = 2 * i + 1;
			spin_until(e->word, 2 * i + 2);
		} else {
			put(e, bytes);
			get(e, bytes);
		}
		ns[i] = now_ns() - start;
	}
}

static void rtt(const char *kind, uint64_t rounds, size_t bytes)
{
	uint64_t *ns = calloc(rounds, sizeof(*ns));
	struct ends a, b;
	const uint64_t one = 1;
	pid_t pid;

	if (!ns)
		die("memory");
	memcpy(buffer, &one, sizeof(one)); /* an eventfd takes no 0 */
	make(kind, &a, &b);
	pid = fork();
	if (!strcmp(kind, "stream2"))
		stay_on(pid == 0);
	if (pid == 0) {
		answer(&b, rounds, bytes);
		_exit(0);
	}
	ask(&a, rounds, bytes, ns);
	waitpid(pid, NULL, 0);
	qsort(ns, rounds, sizeof(*ns), by_size);
	printf("{\"p50\":%llu,\"p99\":%llu,\"p9999\":%llu}\n", (unsigned long long)ns[rounds / 2],
	       (unsigned long long)ns[rounds * 99 / 100],
	       (unsigned long long)ns[rounds - 1 - rounds / 10000]);
	free(ns);
}

/* ---- one way --------------------------------------------------------------------------- */

static double copy_all(uint64_t bytes, size_t chunk)
{
	static char to[sizeof(buffer)];
	uint64_t start = now_ns();

	for (uint64_t done = 0; done < bytes; done += chunk) {
		memcpy(to, buffer, chunk);
		__asm__ volatile("" ::"r"(to) : "memory");
	}
	return (double)(now_ns() - start);
}

static double send_all(const char *kind, uint64_t bytes, size_t chunk)
{
	struct ends a, b;
	uint64_t start;
	pid_t pid;

	make(kind, &a, &b);
	pid = fork();
	if (pid == 0) {
		for (uint64_t done = 0; done < bytes; done += chunk)
			get(&b, chunk);
		put(&b, 1);
		_exit(0);
	}
	start = now_ns();
	for (uint64_t done = 0; done < bytes; done += chunk)
		put(&a, chunk);
	get(&a, 1);
	start = now_ns() - start;
	waitpid(pid, NULL, 0);
	return (double)start;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "rtt")) {
		size_t bytes = argc > 4 ? strtoul(argv[4], NULL, 0) : 8;

		rtt(argv[2], strtoull(argv[3], NULL, 0), bytes < sizeof(buffer) ? bytes : 8);
		return 0;
	}
	if (argc == 5 && !strcmp(argv[1], "bulk")) {
		uint64_t bytes = strtoull(argv[3], NULL, 0) << 20;
		size_t chunk = strtoul(argv[4], NULL, 0);
		double ns;

		if (!chunk || chunk > sizeof(buffer)) {
			fprintf(stderr, "ipc: a chunk has 1 to %zu bytes\n", sizeof(buffer));
			return 2;
		}
		memset(buffer, 1, sizeof(buffer));
		bytes = bytes / chunk * chunk;
		ns = !strcmp(argv[2], "memcpy") ? copy_all(bytes, chunk)
						: send_all(argv[2], bytes, chunk);
		printf("{\"mb_per_s\":%.0f}\n", (double)bytes * 1e3 / ns);
		return 0;
	}
	fputs("usage: ipc rtt KIND ROUNDS [BYTES] | ipc bulk KIND MBYTES CHUNK\n", stderr);
	return 2;
}
