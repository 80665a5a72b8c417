/* expect: exit 2 */
/*
 * A guest that asks for as much as it can, as fast as it can (H-21): its session, its VMM
 * and its peer must stay within bounds, and their other guests must not care.
 *
 *	flood.elf SERVICE SECONDS KIND…
 *
 *	connect   connects, says a byte, closes
 *	half      64 connects that nobody waits for, then closes them
 *	tiny      messages of one byte, and hardly ever looks what came back
 *	bells     rings every doorbell there could be
 *	ask       asks the session for its slots
 *	rude      asks the session, and does not listen
 *	delegate  offers what it may to its peer, and revokes it
 *	memory    makes memory, offers it, takes it away
 *
 * One thread for each; SERVICE is a stream service, or, for half alone, its port. At the
 * end "KIND DONE FAILED", how many of them.
 */
#include <exo.h>
#include <exo_channel.h>

#include <exo/machine.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_mmio.h>
#include <linux/vm_sockets.h>

#define DEVICE_VSOCK 19
#define KINDS_MAX 8
#define HALVES 64

static const char *service;
static int64_t end_ns;

struct kind {
	const char *name;
	bool (*once)(struct kind *k); /* did it get what it wanted? */
	int fd;
	unsigned long done, failed;
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool have_connection(struct kind *k)
{
	if (k->fd < 0)
		k->fd = exo_connect(service, SOCK_STREAM);
	return k->fd >= 0;
}

static void drop_connection(struct kind *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

static bool connect_once(struct kind *k)
{
	bool good = have_connection(k) && send(k->fd, "x", 1, MSG_NOSIGNAL) == 1;

	drop_connection(k);
	return good;
}

static bool half(struct kind *k)
{
	unsigned port = (unsigned)strtoul(service, NULL, 0);
	struct sockaddr_vm a = {.svm_family = AF_VSOCK,
				.svm_cid = VMADDR_CID_HOST,
				.svm_port = port ? port : (unsigned)exo_slot(service)};
	bool good = true;
	int fd[HALVES];

	for (unsigned i = 0; i < HALVES; i++) {
		fd[i] = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (fd[i] >= 0 && connect(fd[i], (struct sockaddr *)&a, sizeof(a)) &&
		    errno != EINPROGRESS)
			good = false;
	}
	for (unsigned i = 0; i < HALVES; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return good;
}

static bool tiny(struct kind *k)
{
	char back[4096];

	if (!have_connection(k))
		return false;
	for (unsigned i = 0; i < 256; i++)
		(void)send(k->fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (recv(k->fd, back, sizeof(back), MSG_DONTWAIT) > 0 || errno == EAGAIN)
		return true;
	drop_connection(k);
	return false;
}

static volatile uint32_t *find_doorbell(void)
{
	for (unsigned i = 0; i < EXO_MMIO_SLOTS; i++) {
		uint64_t base = EXO_MMIO_BASE + i * EXO_MMIO_STRIDE;

		if (*(volatile uint32_t *)(base + VIRTIO_MMIO_DEVICE_ID) == DEVICE_VSOCK)
			return (volatile uint32_t *)(base + VIRTIO_MMIO_CONFIG +
						     offsetof(struct exo_vsock_config, doorbell));
	}
	return NULL;
}

static bool bells(struct kind *k)
{
	static volatile uint32_t *doorbell;

	if (!doorbell)
		doorbell = find_doorbell();
	if (!doorbell || !have_connection(k))
		return false;
	for (uint32_t i = 0; i < 100; i++)
		*doorbell = i;
	return true;
}

static bool ask(struct kind *k)
{
	struct exo_slot_info info;

	return exo_slot_at((unsigned)k->done % 4, &info) == 0 || errno == ENOENT;
}

static bool rude(struct kind *k)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 1};
	struct exo_cap_msg m = {.op = EXO_CAP_LIST};

	if (k->fd < 0) {
		k->fd = socket(AF_VSOCK, SOCK_SEQPACKET, 0);
		if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&a, sizeof(a))) {
			drop_connection(k);
			return false;
		}
	}
	for (m.id = 1; m.id < 1000; m.id++)
		if (send(k->fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	drop_connection(k);
	return true;
}

static bool delegate(struct kind *k)
{
	int64_t port = exo_slot(service);

	if (port < 0 || !have_connection(k))
		return false;
	if (exo_cap_send(k->fd, (uint32_t)port, EXO_CAP_CONNECT, NULL) == 0)
		return true;
	exo_cap_revoke((uint32_t)port);
	drop_connection(k);
	return false;
}

static bool memory(struct kind *k)
{
	struct exo_mem mem;
	bool good;

	if (!have_connection(k) || exo_mem_create(65536, &mem))
		return false;
	good = exo_mem_offer(k->fd, &mem, EXO_CAP_READ_ONLY) == 0;
	exo_mem_revoke(&mem);
	exo_mem_release(&mem);
	if (!good)
		drop_connection(k);
	return good;
}

static struct kind kinds[KINDS_MAX] = {
	{"connect", connect_once, -1, 0, 0}, {"half", half, -1, 0, 0},     {"tiny", tiny, -1, 0, 0},
	{"bells", bells, -1, 0, 0},          {"ask", ask, -1, 0, 0},       {"rude", rude, -1, 0, 0},
	{"delegate", delegate, -1, 0, 0},    {"memory", memory, -1, 0, 0},
};

static void *go_on(void *arg)
{
	struct kind *k = arg;

	while (now_ns() < end_ns) {
		bool good = k->once(k);

		k->done += good;
		k->failed += !good;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[KINDS_MAX];
	struct kind *chosen[KINDS_MAX];
	int n = 0;

	if (argc < 4 || argc > 3 + KINDS_MAX)
		return 2;
	service = argv[1];
	end_ns = now_ns() + strtol(argv[2], NULL, 10) * 1000000000;
	for (int i = 3; i < argc; i++)
		for (struct kind *k = kinds; k < kinds + KINDS_MAX; k++)
			if (strcmp(k->name, argv[i]) == 0)
				chosen[n++] = k;
	if (n != argc - 3)
		return 2;
	puts("flooding");
	fflush(stdout);
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, go_on, chosen[i]))
			return 3;
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < n; i++)
		printf("%s %lu %lu\n", chosen[i]->name, chosen[i]->done, chosen[i]->failed);
	return 0;
}
