/*
 * Reads and writes a file the ways that the file benchmark compares, and looks names
 * up. Plain POSIX: runs as a guest on a mount and as a Linux program on the file itself.
 *
 * usage: fsread FILE read|write|random|stat|list BYTES COUNT
 *
 * read, write: COUNT times the whole of a file of 64 MiB at most, in pieces of BYTES.
 * random: COUNT reads of BYTES at random places. stat: COUNT times. list: COUNT
 * times the folder that FILE is. Prints one JSON object.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAX (64u << 20)

struct job {
	const char *path;
	size_t piece;
	long count;
	char *buf;
	double bytes; /* moved, or entries seen */
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int sequential(struct job *j, int writes)
{
	int fd = open(j->path, writes ? O_WRONLY | O_CREAT : O_RDONLY, 0644);

	for (long i = 0; fd >= 0 && i < j->count; i++) {
		ssize_t n = 1;

		for (off_t at = 0; at < (off_t)FILE_MAX && n > 0; at += n) {
			n = writes ? pwrite(fd, j->buf, j->piece, at)
				   : pread(fd, j->buf, j->piece, at);
			if (n < 0)
				return -1;
			j->bytes += (double)n;
		}
	}
	return fd < 0 ? -1 : close(fd);
}

static int random_reads(struct job *j)
{
	int fd = open(j->path, O_RDONLY);
	uint64_t x = 1;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)j->piece)
		return -1;
	for (long i = 0; i < j->count; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		off_t at = (off_t)((x >> 20) % ((uint64_t)st.st_size / j->piece) * j->piece);

		if (pread(fd, j->buf, j->piece, at) != (ssize_t)j->piece)
			return -1;
		j->bytes += (double)j->piece;
	}
	return close(fd);
}

static int stats(struct job *j)
{
	struct stat st;

	for (long i = 0; i < j->count; i++)
		if (stat(j->path, &st))
			return -1;
	return 0;
}

static int lists(struct job *j)
{
	for (long i = 0; i < j->count; i++) {
		DIR *d = opendir(j->path);

		if (!d)
			return -1;
		while (readdir(d))
			j->bytes++;
		closedir(d);
	}
	return 0;
}

static int run(struct job *j, const char *what)
{
	if (!strcmp(what, "read") || !strcmp(what, "write"))
		return sequential(j, *what == 'w');
	if (!strcmp(what, "random"))
		return random_reads(j);
	if (!strcmp(what, "stat"))
		return stats(j);
	return strcmp(what, "list") == 0 ? lists(j) : -1;
}

int main(int argc, char **argv)
{
	struct job j = {0};
	double from;

	if (argc != 5) {
		fprintf(stderr, "usage: fsread FILE read|write|random|stat|list BYTES COUNT\n");
		return 2;
	}
	j.path = argv[1];
	j.piece = strtoul(argv[3], NULL, 0);
	j.count = atol(argv[4]);
	j.buf = malloc(j.piece);
	if (!j.piece || j.piece > FILE_MAX || !j.buf)
		return 2;
	memset(j.buf, 'x', j.piece);
	from = now_us();
	if (run(&j, argv[2])) {
		perror(argv[1]);
		return 1;
	}
	printf("{\"what\": \"%s\", \"piece\": %zu, \"count\": %ld, \"bytes\": %.0f, \"us\": "
	       "%.1f}\n",
	       argv[2], j.piece, j.count, j.bytes, now_us() - from);
	return 0;
}
