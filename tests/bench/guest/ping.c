/*
 * The answering end of the socket benchmarks, the same source on both sides of
 * the comparison: a guest that accepts on a vsock port, or a host process that
 * is given a connected socket as fd 3.
 *
 * usage: ping PORT | ping fd
 *
 * A request is 16 bytes: a letter (E echo, S sink, G generate, Q quit), 3 bytes
 * of padding, a 32-bit message size and a 64-bit count. Echo: `count` messages
 * are read whole and written back. Sink: size × count bytes are read, then one
 * byte is written. Generate: size × count bytes are written.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

struct request {
	char what, pad[3];
	uint32_t size;
	uint64_t count;
};

static char buf[1 << 20];

static int read_all(int fd, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = read(fd, (char *)p + done, n - done);
		if (r <= 0)
			return -1;
		done += (size_t)r;
	}
	return 0;
}

static int write_all(int fd, const void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const char *)p + done, n - done);
		if (r <= 0)
			return -1;
		done += (size_t)r;
	}
	return 0;
}

static int sink(int fd, uint64_t bytes)
{
	while (bytes) {
		ssize_t r = read(fd, buf, bytes < sizeof(buf) ? bytes : sizeof(buf));
		if (r <= 0)
			return -1;
		bytes -= (uint64_t)r;
	}
	return write_all(fd, "K", 1);
}

static int answer(int fd, const struct request *r)
{
	if (r->size > sizeof(buf))
		return -1;
	switch (r->what) {
	case 'E':
		for (uint64_t i = 0; i < r->count; i++)
			if (read_all(fd, buf, r->size) || write_all(fd, buf, r->size))
				return -1;
		return 0;
	case 'S':
		return sink(fd, r->size * r->count);
	case 'G':
		for (uint64_t i = 0; i < r->count; i++)
			if (write_all(fd, buf, r->size))
				return -1;
		return 0;
	default:
		return -1;
	}
}

int main(int argc, char **argv)
{
	struct request r;
	int fd = 3;

	if (argc < 2) {
		fprintf(stderr, "usage: ping PORT | ping fd\n");
		return 2;
	}
	if (strcmp(argv[1], "fd")) {
		struct sockaddr_vm a = {.svm_family = AF_VSOCK,
					.svm_cid = VMADDR_CID_ANY,
					.svm_port = (unsigned)atoi(argv[1])};
		int s = socket(AF_VSOCK, SOCK_STREAM, 0);
		if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 1)) {
			perror("ping: listen");
			return 1;
		}
		printf("ready\n");
		fflush(stdout);
		fd = accept(s, NULL, NULL);
		if (fd < 0) {
			perror("ping: accept");
			return 1;
		}
	}
	while (!read_all(fd, &r, sizeof(r)) && !answer(fd, &r))
		;
	return 0;
}
