/* expect: exit 2 */
/*
 * A hostile end of a direct channel (H-11, H-19, H-21): connects to a port of CID 2
 * as any program, finds the ring in the memory of its device, and breaks it. Ends
 * with status 0 if it got that far, 5 if the connection is not direct.
 *
 *	poker.elf PORT stream|seq HOW
 *
 *	head         claims to have written more than fits
 *	head-back    takes back what it has written
 *	tail         claims to have read what was never there
 *	length       seqpacket: a message longer than what is there
 *	length-race  seqpacket: a length that changes all the time
 *	data-race    data that changes all the time
 *	scribble     random words all over the header, for a second
 *	bells        rings the other end's doorbell for a second, then says "still here"
 *	foreign      rings every doorbell there could be, then says "still here"
 *	events       asks for bells at nonsensical positions, then says "still here"
 *	fin          says it is at its end, and goes on writing
 *	after        writes to the memory after closing: this guest's own end or nothing
 *	window       touches all of the region beyond the ring: likewise
 */
#include <exo.h>
#include <exo_channel.h>

#include <exo/machine.h>
#include <exo/ring.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_mmio.h>
#include <linux/vm_sockets.h>

#define DEVICE_VSOCK 19
#define REGION (64u << 20)

static uint8_t *window;
static size_t window_bytes;
static struct exo_ring_header *header;
static uint8_t *data; /* of the direction that we write */
static volatile uint32_t *doorbell;
static int fd;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The one device that is a vsock. */
static bool find_device(void)
{
	for (unsigned i = 0; i < EXO_MMIO_SLOTS; i++) {
		uint64_t base = EXO_MMIO_BASE + i * EXO_MMIO_STRIDE;
		volatile uint32_t *id = (volatile uint32_t *)(base + VIRTIO_MMIO_DEVICE_ID);

		if (*id != DEVICE_VSOCK)
			continue;
		doorbell = (volatile uint32_t *)(base + VIRTIO_MMIO_CONFIG +
						 offsetof(struct exo_vsock_config, doorbell));
		return true;
	}
	return false;
}

static bool connect_to(unsigned port, int type)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	int direct = 0;
	socklen_t len = sizeof(direct);

	fd = socket(AF_VSOCK, type, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    getsockopt(fd, SOL_EXO, EXO_SO_DIRECT, &direct, &len) || !direct)
		return false;
	/* The first thing in an otherwise empty region. */
	window = (uint8_t *)syscall(EXO_SYS_WINDOW, &window_bytes);
	header = (struct exo_ring_header *)window;
	data = window + EXO_RING_HEADER_BYTES;
	return window_bytes != 0;
}

static void store(uint64_t *where, uint64_t what)
{
	__atomic_store_n(where, what, __ATOMIC_SEQ_CST);
}

/* Doorbells are given out from small numbers on. */
static void ring_all(void)
{
	for (uint32_t i = 0; i < 600; i++)
		*doorbell = i;
	*doorbell = UINT32_MAX;
}

static void say_hello(void)
{
	if (send(fd, "still here", 10, MSG_NOSIGNAL) != 10)
		exit(4);
}

static void race(uint8_t *where, uint32_t one, uint32_t other)
{
	uint64_t end = now_ns() + 1000000000u;
	static uint8_t message[256];

	while (now_ns() < end) {
		send(fd, message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
		for (unsigned i = 0; i < 2000; i++)
			*(volatile uint32_t *)(where + i % 64 * 64) = i & 1 ? one : other;
	}
}

static void scribble(void)
{
	uint64_t end = now_ns() + 1000000000u, x = 88172645463325252u;

	while (now_ns() < end) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		((volatile uint64_t *)(void *)header)[x % 32] = x >> (x % 61);
		if (x % 64 == 0)
			ring_all();
	}
}

static void events(void)
{
	store(&header->dir[0].space_event, 1);
	store(&header->dir[1].data_event, UINT64_MAX - 1);
	for (unsigned i = 0; i < 1000000; i++)
		store(&header->dir[1].data_event, i);
	store(&header->dir[1].data_event, 0);
	store(&header->dir[0].messages, UINT64_MAX);
}

static void bad_length(void)
{
	struct exo_ring_msg m = {0xfffffff0u, 0};

	memcpy(data, &m, sizeof(m));
	store(&header->dir[0].head, 64);
	ring_all();
}

static void touch_window(void)
{
	for (size_t at = 0; at < window_bytes; at += 4096)
		(void)*(volatile uint8_t *)(window + at);
	for (size_t at = 0; at < window_bytes; at += 4096)
		*(volatile uint8_t *)(window + at) = 0xff;
}

static void after(void)
{
	close(fd);
	for (unsigned i = 0; i < 500; i++) {
		struct timespec t = {0, 100000};

		memset(window, (int)i, EXO_RING_HEADER_BYTES);
		if (i % 100 == 0)
			ring_all();
		nanosleep(&t, NULL);
	}
}

static bool poke(const char *how)
{
	if (!strcmp(how, "head"))
		store(&header->dir[0].head, REGION), ring_all();
	else if (!strcmp(how, "head-back"))
		say_hello(), usleep(100000), store(&header->dir[0].head, 0), ring_all();
	else if (!strcmp(how, "tail"))
		store(&header->dir[1].tail, REGION), ring_all();
	else if (!strcmp(how, "length"))
		bad_length();
	else if (!strcmp(how, "length-race"))
		race(data, 256, 0x7fffffff);
	else if (!strcmp(how, "data-race"))
		race(data + 8, 0, UINT32_MAX);
	else if (!strcmp(how, "scribble"))
		scribble();
	else if (!strcmp(how, "bells"))
		for (uint64_t end = now_ns() + 1000000000u; now_ns() < end;)
			ring_all();
	else if (!strcmp(how, "foreign"))
		ring_all();
	else if (!strcmp(how, "events"))
		events();
	else if (!strcmp(how, "fin"))
		header->dir[0].fin = 1, say_hello();
	else if (!strcmp(how, "after"))
		after();
	else if (!strcmp(how, "window"))
		touch_window();
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (!connect_to((unsigned)strtoul(argv[1], NULL, 0),
			strcmp(argv[2], "seq") ? SOCK_STREAM : SOCK_SEQPACKET) ||
	    !find_device())
		return 5;
	puts("connected");
	fflush(stdout);
	usleep(100000); /* the other end waits for us by now, asleep */
	if (!poke(argv[3]))
		return 2;
	if (!strcmp(argv[3], "bells") || !strcmp(argv[3], "foreign") || !strcmp(argv[3], "events"))
		say_hello();
	puts("poked");
	fflush(stdout);
	if (strcmp(argv[3], "after"))
		sleep(1); /* not our end is to be what the other end sees */
	return 0;
}
