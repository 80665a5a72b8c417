/* expect: exit 2 */
/*
 * Does with capabilities what its arguments say, one word after the other, and
 * prints what came of it: for tests from outside. Where a word has a
 * connection to work with, it is the one made last.
 *
 *	serve SERVICE TYPE    "serving"; TYPE: stream or seq
 *	accept                the next connection of the service
 *	connect SERVICE TYPE  exo_connect: "connected PORT"
 *	connect-slot TYPE     to the slot that was taken last
 *	close
 *	slots                 "slot PORT SERVICE FLAGS CONNS LEASE", a line each; "slots N"
 *	slot SERVICE          "slot PORT"
 *	drop                  the slot that was taken last
 *	peer                  "peer NAME LABEL CONN"
 *	say TEXT, hear        one message; "heard TEXT", "heard end"
 *	echo                  sends one message back
 *	end                   waits for the end: "end ERRNO REASON-NAME"
 *	reason                "reason NAME"
 *	offer SERVICE RIGHTS [max_conns=N] [lease=MS]   to the other end; RIGHTS: c, g, cg
 *	offer-slot RIGHTS …   likewise, of the slot that was taken last
 *	take, take-wait       "took PORT SERVICE FLAGS"
 *	revoke SERVICE        what was passed on from it
 *	mem BYTES             creates and fills memory: "mem ID"
 *	give ro|rw|move       offers the memory to the other end
 *	get, get-wait         accepts memory: "mem ID BYTES FLAGS"
 *	fill N, check N       with pattern N: "check ok", "check bad at OFFSET"
 *	poke                  writes one byte of the memory
 *	speed                 reads all of the memory: "speed N MB/s"
 *	mem-revoke, mem-release
 *	alive, ready
 *	sleep MS, exit N
 *	link SERVICE TYPE N   N messages through an exo_link, each answered, whatever happens:
 *	                      "link N of N, M connections"
 *	threads N             N threads take part in "resolve" rounds while one waits
 *
 * What fails prints "WORD: ERRNO NAME" and the next word is done; "must WORD"
 * ends the program with status 1 instead.
 */
#include <exo.h>
#include <exo_channel.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int listener = -1, fd = -1;
static struct exo_slot_info taken;
static struct exo_mem mem;
static char **next; /* words to come */

static const char *word(void)
{
	return *next ? *next++ : "";
}

static int type_word(void)
{
	return strcmp(word(), "seq") ? SOCK_STREAM : SOCK_SEQPACKET;
}

static void sleep_ms(unsigned long ms)
{
	struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- connections ---------------------------------------------------------------- */

static int set_fd(int new)
{
	if (new < 0)
		return -1;
	if (fd >= 0)
		close(fd);
	fd = new;
	return 0;
}

static int do_connect(void)
{
	const char *service = word();
	struct sockaddr_vm a = {0};
	socklen_t len = sizeof(a);

	if (set_fd(exo_connect(service, type_word())))
		return -1;
	getpeername(fd, (struct sockaddr *)&a, &len);
	printf("connected %u\n", a.svm_port);
	return 0;
}

static int connect_slot(void)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = taken.port};
	int s = socket(AF_VSOCK, type_word(), 0), err;

	if (s < 0)
		return -1;
	if (connect(s, (struct sockaddr *)&a, sizeof(a))) {
		err = errno;
		close(s);
		errno = err;
		return -1;
	}
	printf("connected %u\n", taken.port);
	return set_fd(s);
}

static int do_serve(void)
{
	const char *service = word();

	listener = exo_serve(service, type_word());
	if (listener >= 0)
		puts("serving");
	return listener < 0 ? -1 : 0;
}

static int print_peer(void)
{
	struct exo_peer peer;

	if (exo_peer(fd, &peer))
		return -1;
	printf("peer %s %s %u\n", peer.name, peer.label, peer.conn);
	return 0;
}

static int say(void)
{
	const char *text = word();

	return send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int hear(bool answer)
{
	char text[4096];
	ssize_t n = recv(fd, text, sizeof(text), 0);

	if (n < 0)
		return -1;
	if (n == 0)
		puts("heard end");
	else if (!answer)
		printf("heard %.*s\n", (int)n, text);
	else
		return send(fd, text, (size_t)n, MSG_NOSIGNAL) < 0 ? -1 : 0;
	return 0;
}

static int await_end(void)
{
	char text[4096];
	ssize_t n;

	while ((n = recv(fd, text, sizeof(text), 0)) > 0)
		;
	printf("end %d %s\n", n < 0 ? errno : 0, exo_reason_name(exo_reason(fd)));
	return 0;
}

/* ---- slots -------------------------------------------------------------------------- */

static int print_slots(void)
{
	struct exo_slot_info s;
	unsigned n = 0;

	for (; exo_slot_at(n, &s) == 0; n++)
		printf("slot %u %s %u %u %llu\n", s.port, s.service, s.flags, s.max_conns,
		       (unsigned long long)s.lease_ms);
	if (errno != ENOENT)
		return -1;
	printf("slots %u\n", n);
	return 0;
}

static int print_slot(void)
{
	int64_t port = exo_slot(word());

	if (port < 0)
		return -1;
	printf("slot %lld\n", (long long)port);
	return 0;
}

static int offer(int64_t port)
{
	const char *rights = word();
	struct exo_slot_info limits = {0};
	unsigned flags = (strchr(rights, 'c') ? EXO_CAP_CONNECT : 0) |
			 (strchr(rights, 'g') ? EXO_CAP_GRANT : 0);

	for (; *next && strchr(*next, '='); next++) {
		unsigned long n = strtoul(strchr(*next, '=') + 1, NULL, 10);

		if (!strncmp(*next, "max_conns", 9))
			limits.max_conns = (uint32_t)n;
		else
			limits.lease_ms = n;
	}
	if (port < 0 || exo_cap_send(fd, (uint32_t)port, flags, &limits))
		return -1;
	puts("offered");
	return 0;
}

static int take(unsigned flags)
{
	if (exo_cap_take(fd, flags, &taken))
		return -1;
	printf("took %u %s %u\n", taken.port, taken.service, taken.flags);
	return 0;
}

/* ---- memory --------------------------------------------------------------------------- */

static uint64_t value(uint64_t n, uint64_t at)
{
	return (n + 1) * 0x9e3779b97f4a7c15u ^ at;
}

static void fill(uint64_t n)
{
	uint64_t *p = mem.data;

	for (size_t i = 0; i < mem.bytes / 8; i++)
		p[i] = value(n, i);
}

static int check(uint64_t n)
{
	const volatile uint64_t *p = mem.data;
	size_t i = 0;

	while (i < mem.bytes / 8 && p[i] == value(n, i))
		i++;
	if (i < mem.bytes / 8)
		printf("check bad at %zu\n", 8 * i);
	else
		puts("check ok");
	return 0;
}

static int speed(void)
{
	const volatile uint64_t *p = mem.data;
	uint64_t start = now_ns(), sum = 0, ns;

	for (size_t i = 0; i < mem.bytes / 8; i++)
		sum += p[i];
	ns = now_ns() - start;
	printf("speed %llu MB/s, sum %llx\n",
	       (unsigned long long)(mem.bytes * 1000ull / (ns ? ns : 1)), (unsigned long long)sum);
	return 0;
}

static int create(void)
{
	if (exo_mem_create(strtoull(word(), NULL, 0), &mem))
		return -1;
	printf("mem %llu\n", (unsigned long long)mem.id);
	return 0;
}

static int give(void)
{
	const char *how = word();
	unsigned flags = !strcmp(how, "ro")     ? EXO_CAP_READ_ONLY
			 : !strcmp(how, "move") ? EXO_CAP_MOVE
						: 0;

	if (exo_mem_offer(fd, &mem, flags))
		return -1;
	puts("given");
	return 0;
}

static int get(unsigned flags)
{
	if (exo_mem_accept(fd, flags, &mem))
		return -1;
	printf("mem %llu %zu %u\n", (unsigned long long)mem.id, mem.bytes, mem.flags);
	return 0;
}

/* ---- links and threads -------------------------------------------------------------------- */

/* Each message has a number and is said again until that number comes back. */
static int link_rounds(void)
{
	const char *service = word();
	int type = type_word(), fresh, connections = 0, s;
	uint32_t rounds = (uint32_t)strtoul(word(), NULL, 0), n = 0, got;
	struct exo_link link;

	exo_link_init(&link, service, type);
	while (n < rounds && (s = exo_link_get(&link, 20000, &fresh)) >= 0) {
		connections += fresh;
		if (send(s, &n, sizeof(n), MSG_NOSIGNAL) != (ssize_t)sizeof(n) ||
		    recv(s, &got, sizeof(got), MSG_WAITALL) != (ssize_t)sizeof(got) || got != n)
			exo_link_lost(&link);
		else
			n++;
	}
	exo_link_close(&link);
	printf("link %u of %u, %d connections\n", n, rounds, connections);
	return n < rounds ? -1 : 0;
}

static void *ask_often(void *bad)
{
	struct exo_slot_info s;

	for (unsigned i = 0; i < 200; i++)
		if (exo_slot_at(0, &s))
			__atomic_fetch_add((int *)bad, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *wait_for_offer(void *out)
{
	*(int *)out = exo_cap_take(fd, EXO_CAP_WAIT, &taken);
	return NULL;
}

/* One thread waits for an offer, which the other end makes when it hears "now". */
static int threads(void)
{
	unsigned count = (unsigned)strtoul(word(), NULL, 0);
	pthread_t t[16], waiter;
	int bad = 0, waited = 1;

	pthread_create(&waiter, NULL, wait_for_offer, &waited);
	for (unsigned i = 0; i < count && i < 16; i++)
		pthread_create(&t[i], NULL, ask_often, &bad);
	for (unsigned i = 0; i < count && i < 16; i++)
		pthread_join(t[i], NULL);
	send(fd, "now", 3, MSG_NOSIGNAL);
	pthread_join(waiter, NULL);
	printf("threads: %d failed, waiter %d\n", bad, waited);
	return 0;
}

/* ---- words ---------------------------------------------------------------------------------- */

#define UNKNOWN 1000

static int do_slot_word(const char *w)
{
	if (!strcmp(w, "slots"))
		return print_slots();
	if (!strcmp(w, "slot"))
		return print_slot();
	if (!strcmp(w, "drop"))
		return exo_slot_drop(taken.port);
	if (!strcmp(w, "offer"))
		return offer(exo_slot(word()));
	if (!strcmp(w, "offer-slot"))
		return offer(taken.port);
	if (!strcmp(w, "take"))
		return take(0);
	if (!strcmp(w, "take-wait"))
		return take(EXO_CAP_WAIT);
	if (!strcmp(w, "revoke"))
		return exo_cap_revoke((uint32_t)exo_slot(word()));
	return UNKNOWN;
}

static int do_mem_word(const char *w)
{
	if (!strcmp(w, "mem"))
		return create();
	if (!strcmp(w, "give"))
		return give();
	if (!strcmp(w, "get"))
		return get(0);
	if (!strcmp(w, "get-wait"))
		return get(EXO_CAP_WAIT);
	if (!strcmp(w, "fill"))
		return fill(strtoull(word(), NULL, 0)), 0;
	if (!strcmp(w, "check"))
		return check(strtoull(word(), NULL, 0));
	if (!strcmp(w, "poke"))
		return *(volatile uint8_t *)mem.data = 1, 0;
	if (!strcmp(w, "speed"))
		return speed();
	if (!strcmp(w, "mem-revoke"))
		return exo_mem_revoke(&mem);
	if (!strcmp(w, "mem-release"))
		return exo_mem_release(&mem);
	return UNKNOWN;
}

static int do_word(const char *w)
{
	int result = do_slot_word(w);

	if (result == UNKNOWN)
		result = do_mem_word(w);
	if (result != UNKNOWN)
		return result;
	if (!strcmp(w, "serve"))
		return do_serve();
	if (!strcmp(w, "accept"))
		return set_fd(accept(listener, NULL, NULL));
	if (!strcmp(w, "connect"))
		return do_connect();
	if (!strcmp(w, "connect-slot"))
		return connect_slot();
	if (!strcmp(w, "close"))
		return close(fd), fd = -1, 0;
	if (!strcmp(w, "peer"))
		return print_peer();
	if (!strcmp(w, "say"))
		return say();
	if (!strcmp(w, "hear") || !strcmp(w, "echo"))
		return hear(*w == 'e');
	if (!strcmp(w, "end"))
		return await_end();
	if (!strcmp(w, "reason"))
		return printf("reason %s\n", exo_reason_name(exo_reason(fd))), 0;
	if (!strcmp(w, "alive"))
		return exo_alive();
	if (!strcmp(w, "ready"))
		return exo_ready();
	if (!strcmp(w, "sleep"))
		return sleep_ms(strtoul(word(), NULL, 0)), 0;
	if (!strcmp(w, "link"))
		return link_rounds();
	if (!strcmp(w, "threads"))
		return threads();
	return UNKNOWN;
}

int main(int argc, char **argv)
{
	bool must;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (argc < 2)
		return 2;
	for (next = argv + 1; *next;) {
		const char *w = word();
		int result;

		must = !strcmp(w, "must");
		if (must)
			w = word();
		if (!strcmp(w, "exit"))
			return atoi(word());
		result = do_word(w);
		if (result == UNKNOWN)
			return fprintf(stderr, "caps: %s?\n", w), 2;
		if (result) {
			printf("%s: %d %s\n", w, errno, strerror(errno));
			if (must)
				return 1;
		}
	}
	return 0;
}
