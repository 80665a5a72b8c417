/*
 * A stage of a pipeline whose stages are machines: guests/pipe/demo-*.exo wire three.
 *
 *   pipe source NEXT LINES     sends lines to the service NEXT
 *   pipe upper SERVICE NEXT    serves one connection, passes it on in capitals
 *   pipe count SERVICE         serves one connection, prints its lines and how many
 */
#include <exo_channel.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "pipe: %s: %s\n", what, strerror(errno));
	return 1;
}

/* One connection to a service of ours. */
static int accept_one(const char *service)
{
	int listen_fd = exo_serve(service, SOCK_STREAM);
	int fd = listen_fd < 0 ? -1 : accept(listen_fd, NULL, NULL);

	if (listen_fd >= 0)
		close(listen_fd);
	return fd;
}

static int source(const char *next, unsigned long lines)
{
	int fd = exo_connect(next, SOCK_STREAM);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");

	if (!to)
		return fail(next);
	for (unsigned long i = 1; i <= lines; i++)
		fprintf(to, "line %lu of the source\n", i);
	return fclose(to) ? fail(next) : 0;
}

static int upper(const char *service, const char *next)
{
	int to = exo_connect(next, SOCK_STREAM);
	int from = to < 0 ? -1 : accept_one(service);
	char data[16384];
	ssize_t n;

	if (from < 0)
		return fail(to < 0 ? next : service);
	while ((n = read(from, data, sizeof(data))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			data[i] = (char)toupper((unsigned char)data[i]);
		for (ssize_t done = 0, part; done < n; done += part) {
			part = write(to, data + done, (size_t)(n - done));
			if (part < 0)
				return fail(next);
		}
	}
	return n < 0 || close(to) ? fail(service) : 0;
}

static int count(const char *service)
{
	int fd = accept_one(service);
	FILE *from = fd < 0 ? NULL : fdopen(fd, "r");
	unsigned long lines = 0;
	char line[256];

	if (!from)
		return fail(service);
	while (fgets(line, sizeof(line), from)) {
		lines++;
		if (lines <= 3)
			fputs(line, stdout);
	}
	printf("%lu lines\n", lines);
	return ferror(from) ? fail(service) : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "source"))
		return source(argv[2], strtoul(argv[3], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "upper"))
		return upper(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "count"))
		return count(argv[2]);
	fputs("usage: pipe source NEXT LINES | upper SERVICE NEXT | count SERVICE\n", stderr);
	return 2;
}
