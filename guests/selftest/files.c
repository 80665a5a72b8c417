/* Descriptors, devices by name, pipes, poll. */
#include "selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static bool null_and_zero(void)
{
	char b[8] = "xxxxxxx";
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY);
	bool ok = null >= 0 && zero >= 0 && write(null, b, 8) == 8 && read(null, b, 8) == 0 &&
		  read(zero, b, 8) == 8 && memcmp(b, "\0\0\0\0\0\0\0\0", 8) == 0;

	close(null);
	close(zero);
	return ok;
}

static bool pipes(void)
{
	char b[16] = "";
	int p[2];
	bool ok = pipe(p) == 0 && write(p[1], "abc", 3) == 3 && write(p[1], "def", 3) == 3 &&
		  read(p[0], b, sizeof(b)) == 6 && strcmp(b, "abcdef") == 0;

	close(p[1]);
	ok = ok && read(p[0], b, sizeof(b)) == 0;
	close(p[0]);
	return ok;
}

static bool nonblocking(void)
{
	char b[4096] = {0};
	int p[2];
	bool ok = pipe2(p, O_NONBLOCK) == 0 && read(p[0], b, 1) < 0 && errno == EAGAIN;
	size_t room = 0;
	ssize_t n;

	while ((n = write(p[1], b, sizeof(b))) > 0)
		room += (size_t)n;
	ok = ok && n < 0 && errno == EAGAIN && room >= sizeof(b);
	close(p[0]);
	close(p[1]);
	return ok;
}

static bool poll_bits(void)
{
	int p[2];
	bool ok = pipe(p) == 0;
	struct pollfd f[3] = {{.fd = p[0], .events = POLLIN},
			      {.fd = p[1], .events = POLLOUT},
			      {.fd = 200, .events = POLLIN}};

	ok = ok && poll(f, 2, 0) == 1 && f[0].revents == 0 && f[1].revents == POLLOUT;
	ok = ok && write(p[1], "x", 1) == 1 && poll(f, 3, 0) == 3 && f[0].revents == POLLIN &&
	     f[2].revents == POLLNVAL;
	close(p[1]);
	ok = ok && poll(f, 1, 0) == 1 && (f[0].revents & POLLHUP);
	close(p[0]);
	return ok;
}

static bool duplicates(void)
{
	int p[2], d;
	char c = 0;
	bool ok = pipe(p) == 0;

	d = fcntl(p[1], F_DUPFD, 50);
	ok = ok && d == 50 && dup2(d, 60) == 60 && close(d) == 0 && close(p[1]) == 0 &&
	     write(60, "q", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'q';
	close(60);
	close(p[0]);
	errno = 0;
	return ok && dup(60) < 0 && errno == EBADF;
}

static bool vectors(void)
{
	char a[3] = "", b[5] = "", one[] = "one", two[] = "two";
	struct iovec out[2] = {{one, 3}, {two, 3}}, in[2] = {{a, 2}, {b, 4}};
	int p[2];
	bool ok = pipe(p) == 0 && writev(p[1], out, 2) == 6 && readv(p[0], in, 2) == 6 &&
		  strcmp(a, "on") == 0 && strcmp(b, "etwo") == 0;

	close(p[0]);
	close(p[1]);
	return ok;
}

static bool event_counter(void)
{
	int fd = eventfd(2, EFD_NONBLOCK);
	uint64_t v = 3;
	bool ok = fd >= 0 && write(fd, &v, 8) == 8 && read(fd, &v, 8) == 8 && v == 5 &&
		  read(fd, &v, 8) < 0 && errno == EAGAIN;

	close(fd);
	return ok;
}

static bool fails_with(int result, int error)
{
	return result < 0 && errno == error;
}

static bool prints(void)
{
	char text[64];
	FILE *f = fmemopen(text, sizeof(text), "w");

	if (!f)
		return false;
	fprintf(f, "%d %s %c %08.3f", 42, "text", 'c', 3.14159);
	fclose(f);
	return strcmp(text, "42 text c 0003.142") == 0;
}

void test_files(void)
{
	struct stat st;

	check(prints(), "stdio formats");
	check(null_and_zero(), "/dev/null and /dev/zero");
	check(pipes(), "a pipe carries bytes and its end");
	check(nonblocking(), "O_NONBLOCK is EAGAIN");
	check(poll_bits(), "poll says what is ready");
	check(duplicates(), "dup, dup2 and F_DUPFD");
	check(vectors(), "readv and writev");
	check(event_counter(), "eventfd");
	check(fstat(STDOUT_FILENO, &st) == 0, "fstat of standard output");
	check(fails_with(open("/no/such/file", O_RDONLY), ENOENT),
	      "open of a missing name is ENOENT");
	check(fails_with((int)read(123, &st, 1), EBADF), "a closed descriptor is EBADF");
	check(fails_with((int)lseek(STDERR_FILENO, 0, SEEK_SET), ESPIPE) ||
		      lseek(STDERR_FILENO, 0, SEEK_CUR) >= 0,
	      "lseek of a stream is ESPIPE");
	check(fails_with(open("/dev/vd9", O_RDONLY), ENOENT),
	      "a disk that is not granted is ENOENT");
}
