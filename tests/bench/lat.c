/*
 * Starts commands in turn, many times, and measures each from the start of the
 * spawn to the first byte on its standard output and to its end. Interleaved,
 * so that what else the machine does hits all of them alike.
 *
 * usage: lat RUNS [PAUSE_MS] -- CMD ARG… [-- CMD ARG…]…
 * pauses before each launch, so that what the one before left behind (a VM that
 * is still being torn down) is over;
 * prints a JSON array, one object a command: the samples in microseconds,
 * {"first": […], "end": […], "rss_kib": …, "status": …}.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 32

extern char **environ;

struct command {
	char **argv;
	double *first, *end;
	long rss_kib;
	int status;
};

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what)
{
	fprintf(stderr, "lat: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void measure(struct command *c, int n)
{
	posix_spawn_file_actions_t actions;
	struct rusage usage;
	char buf[65536];
	int pipefd[2];
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		die("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, pipefd[1], 1);
	double start = now_us();
	int r = posix_spawnp(&pid, c->argv[0], &actions, NULL, c->argv, environ);
	if (r) {
		errno = r;
		die(c->argv[0]);
	}
	close(pipefd[1]);
	ssize_t got = read(pipefd[0], buf, sizeof(buf));
	c->first[n] = now_us() - start;
	if (got <= 0) {
		fprintf(stderr, "lat: %s printed nothing\n", c->argv[0]);
		exit(125);
	}
	/*
	 * The end is the process's, not the pipe's: a helper that outlives it
	 * may hold the pipe a little longer.
	 */
	if (wait4(pid, &c->status, 0, &usage) != pid)
		die("wait4");
	c->end[n] = now_us() - start;
	if (usage.ru_maxrss > c->rss_kib)
		c->rss_kib = usage.ru_maxrss;
	while (got > 0)
		got = read(pipefd[0], buf, sizeof(buf));
	close(pipefd[0]);
	posix_spawn_file_actions_destroy(&actions);
}

static void print_samples(const char *name, const double *v, int n)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < n; i++)
		printf("%s%.1f", i ? ", " : "", v[i]);
	printf("]");
}

int main(int argc, char **argv)
{
	struct command cmd[COMMANDS_MAX] = {0};
	int ncmd = 0, runs = argc > 1 ? atoi(argv[1]) : 0;
	unsigned pause_us = argc > 2 ? 1000u * (unsigned)atoi(argv[2]) : 0;

	if (runs < 1) {
		fprintf(stderr, "usage: lat RUNS [PAUSE_MS] -- CMD ARG… [-- CMD ARG…]…\n");
		return 125;
	}
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		argv[i] = NULL;
		if (ncmd == COMMANDS_MAX || i + 1 == argc)
			break;
		cmd[ncmd].argv = argv + i + 1;
		cmd[ncmd].first = calloc((size_t)runs, sizeof(double));
		cmd[ncmd].end = calloc((size_t)runs, sizeof(double));
		if (!cmd[ncmd].first || !cmd[ncmd].end)
			die("memory");
		ncmd++;
	}
	for (int n = -2; n < runs; n++)
		for (int i = 0; i < ncmd; i++) {
			usleep(pause_us);
			measure(&cmd[i], n < 0 ? 0 : n); /* the first two warm the caches */
		}
	printf("[");
	for (int i = 0; i < ncmd; i++) {
		printf("%s\n{", i ? "," : "");
		print_samples("first", cmd[i].first, runs);
		printf(", ");
		print_samples("end", cmd[i].end, runs);
		printf(", \"rss_kib\": %ld, \"status\": %d}", cmd[i].rss_kib,
		       WIFEXITED(cmd[i].status) ? WEXITSTATUS(cmd[i].status)
						: 128 + WTERMSIG(cmd[i].status));
	}
	printf("\n]\n");
	return 0;
}
