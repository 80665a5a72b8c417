/*
 * The log service: collects lines from all who were granted it.
 *
 *   log [LINES]         keeps the last LINES (default 1000) for readers
 *
 * Service "log" (stream): each line becomes "TIME NAME [LABEL] text", where name and
 * label are what the session says about the other end, not what it says itself.
 * Lines are printed (so exo log shows them) and kept. Service "logs" (stream): gives
 * the kept lines, then new ones as they come. Limit: a line is cut at 500 bytes;
 * control characters become "?"; a reader that does not read loses lines, and is
 * told how many.
 */
#include <exo.h>
#include <exo_channel.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 500
#define ENTRY_BYTES 640
#define CLIENTS_MAX 120

struct client {
	int fd;
	bool reads; /* connected to "logs" */
	bool ended; /* it says nothing any more, which a reader need not */
	struct exo_peer peer;
	char line[LINE_MAX_BYTES];
	unsigned length;
	/* Readers: the next line, by its number since the start, and what is left of one. */
	unsigned long next;
	char rest[ENTRY_BYTES];
	unsigned rest_at, rest_length;
};

static struct {
	char (*entry)[ENTRY_BYTES]; /* a ring */
	unsigned long room, count;  /* lines so far */
	int listen_fd[2];           /* log, logs */
	struct client client[CLIENTS_MAX];
	unsigned nclients;
} logger;

/* ---- lines --------------------------------------------------------------------------- */

static void add_line(struct client *c)
{
	char *entry = logger.entry[logger.count++ % logger.room];
	struct timespec now;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	for (unsigned i = 0; i < c->length; i++) {
		unsigned char byte = (unsigned char)c->line[i];

		if ((byte < ' ' && byte != '\t') || byte == 0x7f)
			c->line[i] = '?';
	}
	n = snprintf(entry, ENTRY_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s [%s] %.*s\n",
		     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		     now.tv_nsec / 1000000, c->peer.name, c->peer.label, (int)c->length, c->line);
	if (n >= ENTRY_BYTES)
		entry[ENTRY_BYTES - 2] = '\n';
	c->length = 0;
	fputs(entry, stdout);
}

/* False: the client has gone. */
static bool take_lines(struct client *c)
{
	char data[4096];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	for (ssize_t i = 0; i < n; i++) {
		if (data[i] == '\n')
			add_line(c);
		else if (c->length < LINE_MAX_BYTES)
			c->line[c->length++] = data[i];
	}
	if (n <= 0 && c->length) /* its last words */
		add_line(c);
	return n > 0;
}

/* ---- readers ---------------------------------------------------------------------------- */

static bool has_more(const struct client *c)
{
	return c->rest_at < c->rest_length || c->next < logger.count;
}

static void next_line(struct client *c)
{
	unsigned long first = logger.count > logger.room ? logger.count - logger.room : 0;

	if (c->next < first) {
		c->rest_length = (unsigned)snprintf(c->rest, sizeof(c->rest), "(%lu lines lost)\n",
						    first - c->next);
		c->next = first;
	} else {
		snprintf(c->rest, sizeof(c->rest), "%s", logger.entry[c->next % logger.room]);
		c->rest_length = (unsigned)strlen(c->rest);
		c->next++;
	}
	c->rest_at = 0;
}

/* Sends what it takes. False: the reader has gone. */
static bool give_lines(struct client *c)
{
	ssize_t n;

	while (has_more(c)) {
		if (c->rest_at == c->rest_length)
			next_line(c);
		n = send(c->fd, c->rest + c->rest_at, c->rest_length - c->rest_at,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->rest_at += (unsigned)n;
	}
	return true;
}

/* ---- clients ------------------------------------------------------------------------------ */

static void accept_client(bool reads)
{
	struct client *c = &logger.client[logger.nclients];
	int fd = accept4(logger.listen_fd[reads], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	*c = (struct client){.fd = fd, .reads = reads};
	if (exo_peer(fd, &c->peer))
		close(fd);
	else
		logger.nclients++;
}

/* False: the reader has gone. */
static bool serve_reader(struct client *c, short events)
{
	char byte;
	ssize_t n = 1;

	if (events & POLLIN)
		n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
	c->ended |= n == 0;
	return n >= 0 && !(events & (POLLHUP | POLLERR)) && give_lines(c);
}

static void serve_clients(const struct pollfd *fds)
{
	for (unsigned i = logger.nclients; i--;) {
		struct client *c = &logger.client[i];
		bool stays = true;

		if (c->reads)
			stays = serve_reader(c, fds[i].revents);
		else if (fds[i].revents)
			stays = take_lines(c);
		if (stays)
			continue;
		close(c->fd);
		*c = logger.client[--logger.nclients];
	}
}

static void run(void)
{
	static struct pollfd fds[CLIENTS_MAX + 2];

	for (;;) {
		unsigned n = logger.nclients;
		bool room = n < CLIENTS_MAX;

		for (unsigned i = 0; i < n; i++) {
			const struct client *c = &logger.client[i];

			fds[i] = (struct pollfd){c->fd, c->ended ? 0 : POLLIN, 0};
			if (c->reads && has_more(c))
				fds[i].events |= POLLOUT;
		}
		fds[n] = (struct pollfd){room ? logger.listen_fd[0] : -1, POLLIN, 0};
		fds[n + 1] = (struct pollfd){room ? logger.listen_fd[1] : -1, POLLIN, 0};
		if (poll(fds, n + 2, -1) < 0 && errno != EINTR)
			exit(1);
		serve_clients(fds);
		for (unsigned i = 0; i < 2; i++) {
			if (fds[n + i].revents && logger.nclients < CLIENTS_MAX)
				accept_client(i);
		}
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	static const char *const names[2] = {"log", "logs"};

	logger.room = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	logger.entry = logger.room ? calloc(logger.room, sizeof(*logger.entry)) : NULL;
	if (!logger.entry) {
		fprintf(stderr, "log: %s: not a number of lines that fits\n", argv[1]);
		return 2;
	}
	for (unsigned i = 0; i < 2; i++) {
		logger.listen_fd[i] = exo_serve(names[i], SOCK_STREAM | SOCK_NONBLOCK);
		if (logger.listen_fd[i] < 0) {
			fprintf(stderr,
				"log: service %s: %s; start it in a session, with its manifest\n",
				names[i], strerror(errno));
			return 1;
		}
	}
	run();
}
