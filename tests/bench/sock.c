/*
 * The asking end of the socket benchmarks (see guest/ping.c): round trips and
 * throughput over a connected stream.
 *
 * usage: sock local PING          forks PING behind a Unix socket pair
 *        sock vsock PATH PORT     connects to a guest's port through PATH
 * prints one JSON object.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 4000
#define BULK_BYTES (256u << 20)

struct request {
	char what, pad[3];
	uint32_t size;
	uint64_t count;
};

static char buf[1 << 20];
static double sample[ROUNDS];

static void die(const char *what)
{
	fprintf(stderr, "sock: %s: %s\n", what, strerror(errno));
	exit(125);
}

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void read_all(int fd, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = read(fd, (char *)p + done, n - done);
		if (r <= 0)
			die("read");
		done += (size_t)r;
	}
}

static void write_all(int fd, const void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const char *)p + done, n - done);
		if (r <= 0)
			die("write");
		done += (size_t)r;
	}
}

static int open_local(const char *ping)
{
	int sv[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		die("socketpair");
	if (fork() == 0) {
		dup2(sv[1], 3);
		if (sv[1] == 3)
			_exit(125); /* fd 3 must not be close-on-exec; lat keeps 0-2 open only */
		execl(ping, ping, "fd", (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	return sv[0];
}

static int open_vsock(const char *path, const char *port)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char line[64];
	size_t n = 0;

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		die("socket");
	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(path);
	n = (size_t)snprintf(line, sizeof(line), "CONNECT %s\n", port);
	write_all(fd, line, n);
	n = 0;
	do {
		read_all(fd, line + n, 1);
	} while (line[n] != '\n' && ++n < sizeof(line) - 1);
	if (strncmp(line, "OK ", 3)) {
		fprintf(stderr, "sock: the guest refused port %s\n", port);
		exit(1);
	}
	return fd;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void round_trips(int fd, uint32_t size)
{
	struct request r = {.what = 'E', .size = size, .count = ROUNDS};

	write_all(fd, &r, sizeof(r));
	for (int i = 0; i < ROUNDS; i++) {
		double t = now_us();
		write_all(fd, buf, size);
		read_all(fd, buf, size);
		sample[i] = now_us() - t;
	}
	qsort(sample, ROUNDS, sizeof(double), compare);
	printf("\"rtt_%u\": {\"p50\": %.2f, \"p99\": %.2f}, ", size, sample[ROUNDS / 2],
	       sample[ROUNDS * 99 / 100]);
}

static void bulk(int fd, char what, const char *name)
{
	uint32_t size = 65536;
	uint64_t count = BULK_BYTES / size;
	struct request r = {.what = what, .size = size, .count = count};

	double t = now_us();
	write_all(fd, &r, sizeof(r));
	for (uint64_t i = 0; i < count; i++) {
		if (what == 'S')
			write_all(fd, buf, size);
		else
			read_all(fd, buf, size);
	}
	if (what == 'S')
		read_all(fd, buf, 1);
	printf("\"%s_mb_s\": %.1f", name, (double)BULK_BYTES / (now_us() - t));
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 3 && !strcmp(argv[1], "local"))
		fd = open_local(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "vsock"))
		fd = open_vsock(argv[2], argv[3]);
	else {
		fprintf(stderr, "usage: sock local PING | sock vsock PATH PORT\n");
		return 125;
	}
	printf("{");
	round_trips(fd, 64);
	round_trips(fd, 4096);
	bulk(fd, 'S', "to");
	printf(", ");
	bulk(fd, 'G', "from");
	printf("}\n");
	close(fd);
	return 0;
}
