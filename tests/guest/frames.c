/* expect: exit 2 */
/*
 * Memory grants, for tests and benchmarks from outside: passes frames without
 * copying them. Each line of output is one result.
 *
 *	frames.elf produce SERVICE COUNT BYTES [ro|rw]   serves one connection: two pieces of
 *	           memory, filled in turn; prints "produced COUNT frames in NS ns, memcpy MB/s"
 *	frames.elf consume SERVICE                       takes them: "consumed COUNT ok"
 *	frames.elf move SERVICE COUNT BYTES              serves: a new piece each time, given away
 *	frames.elf moved SERVICE COUNT                   takes those: "moved COUNT ok"
 *	frames.elf spoil SERVICE BYTES HOW               serves: offers, then does something bad in
 *	           the middle: change, revoke, exit, touch (its own memory after giving it away)
 *	frames.elf suffer SERVICE [write]                takes it and keeps reading until the
 *channel ends: "survived", or writes to what it may only read
 *
 * Exit status: 0; 1 wrong data; 2 usage; 3 an error, printed.
 */
#include <exo_channel.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
	printf("%s: %d %s\n", what, errno, strerror(errno));
	return 3;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int accept_one(const char *service)
{
	int listen_fd = exo_serve(service, SOCK_SEQPACKET);
	int fd = listen_fd < 0 ? -1 : accept(listen_fd, NULL, NULL);

	if (listen_fd >= 0)
		close(listen_fd);
	return fd;
}

/*
 * Every byte of a frame is its number's, but each page begins with the number and the
 * page's place. Cheap to make and to check: what is measured is the memory.
 */
#define PAGE 4096u

static void fill(const struct exo_mem *m, uint64_t number)
{
	uint8_t *data = m->data;

	memset(data, (int)(number & 0xff), m->bytes);
	for (size_t at = 0; at < m->bytes; at += PAGE)
		memcpy(data + at, &(uint64_t){number << 32 ^ at}, 8);
}

static bool check_page(const uint64_t *word, uint64_t first, uint64_t rest)
{
	uint64_t wrong[8] = {(word[0] ^ first) ? 1 : 0};

	for (unsigned i = 1; i < 8; i++)
		wrong[i] = word[i] ^ rest;
	for (unsigned i = 8; i < PAGE / 8; i += 8) {
		for (unsigned j = 0; j < 8; j++)
			wrong[j] |= word[i + j] ^ rest;
	}
	return !(wrong[0] | wrong[1] | wrong[2] | wrong[3] | wrong[4] | wrong[5] | wrong[6] |
		 wrong[7]);
}

static bool check(const struct exo_mem *m, uint64_t number)
{
	const uint8_t *data = m->data;

	for (size_t at = 0; at < m->bytes; at += PAGE) {
		if (!check_page((const void *)(data + at), number << 32 ^ at,
				(number & 0xff) * 0x0101010101010101u))
			return false;
	}
	return true;
}

static bool tell(int fd, uint64_t number)
{
	return send(fd, &number, sizeof(number), MSG_NOSIGNAL) == sizeof(number);
}

static bool hear(int fd, uint64_t *number)
{
	return recv(fd, number, sizeof(*number), 0) == sizeof(*number);
}

/* What copying a frame takes here, as the reference. */
static double copy_speed(const struct exo_mem *from, const struct exo_mem *to)
{
	uint64_t start, best = UINT64_MAX;

	for (unsigned i = 0; i < 5; i++) {
		start = now_ns();
		memcpy(to->data, from->data, from->bytes);
		start = now_ns() - start;
		best = start < best ? start : best;
	}
	return (double)from->bytes * 1e3 / (double)best;
}

static int produce(const char *service, uint64_t count, size_t bytes, bool read_only)
{
	int fd = accept_one(service);
	struct exo_mem mem[2];
	uint64_t ack, start;

	if (fd < 0)
		return fail(service);
	for (unsigned i = 0; i < 2; i++) {
		if (exo_mem_create(bytes, &mem[i]))
			return fail("create");
		fill(&mem[i], 0); /* its pages come into being here */
		if (exo_mem_offer(fd, &mem[i], read_only ? EXO_CAP_READ_ONLY : 0))
			return fail("offer");
	}
	if (!hear(fd, &ack)) /* it has them */
		return fail("consumer");
	start = now_ns();
	for (uint64_t i = 1; i <= count; i++) {
		if (i > 2 && !hear(fd, &ack)) /* the frame before the last is free again */
			return fail("ack");
		fill(&mem[i % 2], i);
		if (!tell(fd, i))
			return fail("tell");
	}
	for (unsigned i = 0; i < 2; i++) {
		if (!hear(fd, &ack))
			return fail("ack");
	}
	start = now_ns() - start;
	printf("produced %llu frames in %llu ns: %.0f MB/s, memcpy %.0f MB/s\n",
	       (unsigned long long)count, (unsigned long long)start,
	       (double)count * (double)bytes * 1e3 / (double)start, copy_speed(&mem[0], &mem[1]));
	return 0;
}

static int consume(const char *service)
{
	int fd = exo_connect(service, SOCK_SEQPACKET);
	struct exo_mem mem[2];
	uint64_t number, count = 0;

	if (fd < 0)
		return fail(service);
	for (unsigned i = 0; i < 2; i++) {
		if (exo_mem_accept(fd, EXO_CAP_WAIT, &mem[i]))
			return fail("accept");
		if (!check(&mem[i], 0)) /* and touches its pages */
			return 1;
	}
	if (!tell(fd, 0))
		return fail("tell");
	for (; hear(fd, &number); count++) {
		if (!check(&mem[number % 2], number)) {
			printf("frame %llu is wrong\n", (unsigned long long)number);
			return 1;
		}
		if (!tell(fd, number))
			break;
	}
	printf("consumed %llu ok\n", (unsigned long long)count);
	return 0;
}

static int move(const char *service, uint64_t count, size_t bytes)
{
	int fd = accept_one(service);
	struct exo_mem mem;
	uint64_t ack;

	if (fd < 0)
		return fail(service);
	for (uint64_t i = 1; i <= count; i++) {
		if (exo_mem_create(bytes, &mem))
			return fail("create");
		fill(&mem, i);
		if (exo_mem_offer(fd, &mem, EXO_CAP_MOVE))
			return fail("offer");
		if (!hear(fd, &ack))
			return fail("ack");
	}
	printf("gave %llu away\n", (unsigned long long)count);
	return 0;
}

static int moved(const char *service, uint64_t count)
{
	int fd = exo_connect(service, SOCK_SEQPACKET);
	struct exo_mem mem;

	if (fd < 0)
		return fail(service);
	for (uint64_t i = 1; i <= count; i++) {
		if (exo_mem_accept(fd, EXO_CAP_WAIT, &mem))
			return fail("accept");
		if (!check(&mem, i))
			return 1;
		fill(&mem, i + 1); /* it is ours now */
		if (!check(&mem, i + 1) || exo_mem_release(&mem))
			return fail("release");
		if (!tell(fd, i))
			return fail("tell");
	}
	printf("moved %llu ok\n", (unsigned long long)count);
	return 0;
}

static int spoil(const char *service, size_t bytes, const char *how)
{
	int fd = accept_one(service);
	struct exo_mem mem, before;
	uint64_t ack;

	if (fd < 0)
		return fail(service);
	if (exo_mem_create(bytes, &mem))
		return fail("create");
	fill(&mem, 1);
	before = mem;
	if (exo_mem_offer(fd, &mem, !strcmp(how, "touch") ? EXO_CAP_MOVE : EXO_CAP_READ_ONLY))
		return fail("offer");
	if (!hear(fd, &ack))
		return fail("ack");
	for (unsigned i = 0; !strcmp(how, "change") && i < 20; i++)
		fill(&mem, i);
	if (!strcmp(how, "revoke") && exo_mem_revoke(&mem))
		return fail("revoke");
	if (!strcmp(how, "touch")) {
		fill(&before, 7); /* not ours any more */
		printf("touched\n");
	}
	if (!strcmp(how, "exit"))
		_exit(0);
	usleep(200000); /* the other end reads meanwhile */
	return 0;
}

static int suffer(const char *service, bool write)
{
	int fd = exo_connect(service, SOCK_SEQPACKET);
	struct exo_mem mem;
	uint64_t number, sum = 0;

	if (fd < 0)
		return fail(service);
	if (exo_mem_accept(fd, EXO_CAP_WAIT, &mem))
		return fail("accept");
	if (!tell(fd, 1))
		return fail("tell");
	if (write)
		fill(&mem, 9);
	while (recv(fd, &number, sizeof(number), MSG_DONTWAIT) < 0 && errno == EAGAIN) {
		for (size_t i = 0; i < mem.bytes / 8; i += 512)
			sum += ((const volatile uint64_t *)mem.data)[i];
	}
	printf("survived, sum %s\n", sum ? "some" : "none");
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	size_t bytes = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(mode, "produce") && argc >= 5)
		return produce(argv[2], n, bytes, argc < 6 || !strcmp(argv[5], "ro"));
	if (!strcmp(mode, "consume"))
		return consume(argv[2]);
	if (!strcmp(mode, "move") && argc == 5)
		return move(argv[2], n, bytes);
	if (!strcmp(mode, "moved") && argc == 4)
		return moved(argv[2], n);
	if (!strcmp(mode, "spoil") && argc == 5)
		return spoil(argv[2], n, argv[4]);
	if (!strcmp(mode, "suffer"))
		return suffer(argv[2], argc == 4);
	fputs("usage: frames produce|consume|move|moved|spoil|suffer SERVICE …\n", stderr);
	return 2;
}
