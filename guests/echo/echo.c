/*
 * Talks over AF_VSOCK, on either side of it:
 *
 *   echo serve [--seqpacket] [--once] PORT          gives back what it is sent
 *   echo connect [--seqpacket] PORT [TEXT…]         sends the words, prints the answer;
 *                                                   without words: standard input to the
 *                                                   peer, its data to standard output
 *
 * As a guest it connects to the host side (CID 2). Built for Linux, it does too.
 */
#include <exo.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static char buffer[65536];

static int fail(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	return 1;
}

static int send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int serve_one(int fd)
{
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		if (send_all(fd, buffer, (size_t)n) < 0)
			return fail("send");
	return n < 0 ? fail("receive") : 0;
}

static int serve(int type, unsigned port, bool once)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
	int fd = socket(AF_VSOCK, type, 0), status;

	if (fd < 0)
		return fail("socket");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("bind");
	if (listen(fd, 16) < 0)
		return fail("listen");
	exo_ready();
	do {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			return fail("accept");
		status = serve_one(c);
		close(c);
	} while (!once);
	return status;
}

static int say_words(int fd, int type, char **words)
{
	size_t at = 0, back = 0;
	ssize_t n;

	for (; *words; words++)
		at += (size_t)snprintf(buffer + at, at < sizeof(buffer) ? sizeof(buffer) - at : 0,
				       "%s%c", *words, words[1] ? ' ' : '\n');
	if (at > sizeof(buffer)) {
		errno = E2BIG;
		return fail("arguments");
	}
	if (send_all(fd, buffer, at) < 0)
		return fail("send");
	if (type == SOCK_STREAM)
		shutdown(fd, SHUT_WR);
	while (back < at && (n = read(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0)
			return fail("receive");
		back += (size_t)n;
		fwrite(buffer, 1, (size_t)n, stdout);
	}
	return fflush(stdout) || back != at ? 1 : 0;
}

/* Standard input and output, both ways at once. */
static int converse(int fd)
{
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

	for (;;) {
		ssize_t n;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return fail("poll");
		if (p[0].revents) {
			n = read(STDIN_FILENO, buffer, sizeof(buffer));
			if (n > 0 && send_all(fd, buffer, (size_t)n) < 0)
				return fail("send");
			if (n <= 0) {
				shutdown(fd, SHUT_WR);
				p[0].fd = -1;
			}
		}
		if (p[1].revents) {
			n = read(fd, buffer, sizeof(buffer));
			if (n == 0)
				return 0;
			if (n < 0)
				return fail("receive");
			if (send_all(STDOUT_FILENO, buffer, (size_t)n) < 0)
				return fail("output");
		}
	}
}

static int talk(int type, unsigned port, char **words)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	int fd = socket(AF_VSOCK, type, 0);

	if (fd < 0)
		return fail("socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return fail("connect");
	return *words ? say_words(fd, type, words) : converse(fd);
}

int main(int argc, char **argv)
{
	bool connecting = argc > 1 && strcmp(argv[1], "connect") == 0, once = false;
	int type = SOCK_STREAM, i = 2;
	unsigned port;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--seqpacket") == 0)
			type = SOCK_SEQPACKET;
		else if (strcmp(argv[i], "--once") == 0)
			once = true;
		else
			i = argc;
	}
	if (i >= argc || (!connecting && strcmp(argv[1], "serve") != 0)) {
		fprintf(stderr, "usage: echo serve [--seqpacket] [--once] PORT\n"
				"       echo connect [--seqpacket] PORT [TEXT...]\n");
		return 2;
	}
	port = (unsigned)strtoul(argv[i], NULL, 0);
	return connecting ? talk(type, port, argv + i + 1) : serve(type, port, once);
}
