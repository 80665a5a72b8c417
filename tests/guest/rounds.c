/* expect: exit 2 */
/*
 * Transfers that are cut off at any instant, and what each end can say of them
 * afterwards (tests/e2e/channels_kill.py). A transfer has a number, a total and a
 * direction; the receiver compares every byte before it acknowledges it, and the
 * sender is never more than WINDOW ahead of that.
 *
 *	rounds.elf serve SERVICE:stream|seq…     for ever
 *	rounds.elf open FIRST TOTAL RETRY QUIT SERVICE:stream|seq:out|in…
 *
 * FIRST: the first transfer's number, the others follow. TOTAL: bytes of each. RETRY: ms
 * to go on trying to connect. QUIT: ms after which the program stops wherever it is,
 * says what it has sent and exits without closing anything; 0: at the end of all.
 *
 * Lines: "open N"; "accepted N"; "refused N ERRNO"; and at the end of each transfer
 * "out N sent S acked A reason R errno E WORD" or "in N got G reason R errno E WORD" with
 * WORD: whole (all acknowledged), cut, quit, bad (wrong data), hang (10 s without a
 * sign of life).
 */
#include <exo.h>
#include <exo_channel.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PERIOD 65521u /* of the pattern; divides no ring */
#define CHUNK_MAX 20000u
#define ACK_EVERY 16384u
#define WINDOW (256u << 10)
#define SILENCE_S 10
#define SPECS_MAX 16

struct hello {
	uint64_t number, total;
	uint64_t accepter_sends;
};

struct transfer {
	int fd, err;
	bool bad;
	uint64_t number, total;
	uint64_t done, acked; /* sent or received; acknowledged to us or by us */
	uint8_t partial[8];   /* of an acknowledgement that a stream cut in pieces */
	size_t partial_len;
	uint8_t *pattern; /* twice: any PERIOD bytes of it are in one piece */
};

struct spec {
	char *service;
	int type;
	bool out;
	unsigned index;
};

static struct {
	unsigned long first, retry_ms, quit_ms;
	uint64_t total;
} opt;

static atomic_bool quitting;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(unsigned long ms)
{
	struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	nanosleep(&t, NULL);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static bool make_pattern(struct transfer *t)
{
	uint64_t state = t->number * 0x9e3779b97f4a7c15u + 1;

	t->pattern = malloc(2 * PERIOD);
	for (size_t i = 0; t->pattern && i < PERIOD; i++)
		t->pattern[i] = t->pattern[PERIOD + i] = (uint8_t)next_random(&state);
	return t->pattern != NULL;
}

/* ---- the two ends ------------------------------------------------------------------ */

static void take_ack(struct transfer *t, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len && !t->bad; i++) {
		uint64_t ack;

		t->partial[t->partial_len++] = bytes[i];
		if (t->partial_len < sizeof(ack))
			continue;
		memcpy(&ack, t->partial, sizeof(ack));
		t->partial_len = 0;
		t->bad = ack <= t->acked || ack > t->done;
		t->acked = ack;
	}
}

/* Acknowledgements that are there; with 0 waits for one. false: no more will come. */
static bool hear_acks(struct transfer *t, int flags)
{
	uint8_t buf[256];
	ssize_t n = recv(t->fd, buf, sizeof(buf), flags);

	if (n < 0 && errno == EAGAIN && (flags & MSG_DONTWAIT))
		return true;
	if (n < 0)
		t->err = errno;
	if (n <= 0)
		return false;
	take_ack(t, buf, (size_t)n);
	return !t->bad;
}

static void send_all(struct transfer *t)
{
	uint64_t state = t->number;

	while (t->done < t->total && !atomic_load(&quitting)) {
		size_t len = 1 + next_random(&state) % CHUNK_MAX;
		ssize_t n;

		if (len > t->total - t->done)
			len = (size_t)(t->total - t->done);
		n = send(t->fd, t->pattern + t->done % PERIOD, len, MSG_NOSIGNAL);
		if (n < 0) {
			t->err = errno;
			return;
		}
		t->done += (uint64_t)n;
		if (!hear_acks(t, MSG_DONTWAIT))
			return;
		while (t->done - t->acked > WINDOW)
			if (!hear_acks(t, 0))
				return;
	}
	if (atomic_load(&quitting))
		return;
	shutdown(t->fd, SHUT_WR);
	while (hear_acks(t, 0))
		;
}

static void receive_all(struct transfer *t)
{
	uint8_t *buf = malloc(PERIOD);
	bool heard = true;
	ssize_t n = 0;

	while (buf && !atomic_load(&quitting) && (n = recv(t->fd, buf, PERIOD, 0)) > 0) {
		if (memcmp(buf, t->pattern + t->done % PERIOD, (size_t)n) != 0 ||
		    t->done + (uint64_t)n > t->total) {
			t->bad = true;
			break;
		}
		t->done += (uint64_t)n;
		if (t->done - t->acked < ACK_EVERY && t->done != t->total)
			continue;
		t->acked = t->done;
		/* What a dead sender sent is still to be read. */
		heard = heard && send(t->fd, &t->acked, sizeof(t->acked), MSG_NOSIGNAL) > 0;
	}
	if (n < 0)
		t->err = errno;
	free(buf);
}

static void run(struct transfer *t, bool sends)
{
	struct timeval limit = {.tv_sec = SILENCE_S};
	const char *word;

	setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!make_pattern(t))
		return;
	if (sends)
		send_all(t);
	else
		receive_all(t);
	word = t->bad                   ? "bad"
	       : t->err == EAGAIN       ? "hang"
	       : t->acked == t->total   ? "whole"
	       : atomic_load(&quitting) ? "quit"
					: "cut";
	if (sends)
		printf("out %llu sent %llu acked %llu reason %d errno %d %s\n",
		       (unsigned long long)t->number, (unsigned long long)t->done,
		       (unsigned long long)t->acked, exo_reason(t->fd), t->err, word);
	else
		printf("in %llu got %llu reason %d errno %d %s\n", (unsigned long long)t->number,
		       (unsigned long long)t->done, exo_reason(t->fd), t->err, word);
	free(t->pattern);
}

/* ---- acceptor ------------------------------------------------------------------------ */

static void *serve_one(void *arg)
{
	struct transfer t = {.fd = (int)(intptr_t)arg};
	struct timeval limit = {.tv_sec = SILENCE_S};
	struct hello h;

	setsockopt(t.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (recv(t.fd, &h, sizeof(h), MSG_WAITALL) == sizeof(h)) {
		printf("accepted %llu\n", (unsigned long long)h.number);
		t.number = h.number;
		t.total = h.total;
		run(&t, h.accepter_sends);
	}
	close(t.fd);
	return NULL;
}

static void *serve(void *arg)
{
	int listener = (int)(intptr_t)arg, fd;
	pthread_t thread;

	while ((fd = accept(listener, NULL, NULL)) >= 0)
		if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
		else
			close(fd);
	printf("accept: %d\n", errno);
	return NULL;
}

/* ---- opener ------------------------------------------------------------------------------ */

static int connect_to(const struct spec *s)
{
	int64_t end = now_ms() + (int64_t)opt.retry_ms;
	int fd;

	while ((fd = exo_connect(s->service, s->type)) < 0 && now_ms() < end)
		sleep_ms(5);
	return fd;
}

static void *open_one(void *arg)
{
	const struct spec *s = arg;
	struct transfer t = {.number = opt.first + s->index, .total = opt.total};
	struct hello h = {t.number, t.total, !s->out};

	t.fd = connect_to(s);
	if (t.fd < 0) {
		printf("refused %llu %d\n", (unsigned long long)t.number, errno);
		return NULL;
	}
	printf("open %llu\n", (unsigned long long)t.number);
	send(t.fd, &h, sizeof(h), MSG_NOSIGNAL);
	run(&t, s->out);
	if (!atomic_load(&quitting))
		close(t.fd);
	return NULL;
}

static void *quit_later(void *arg)
{
	sleep_ms(opt.quit_ms);
	atomic_store(&quitting, true);
	return NULL;
}

static bool parse(char *text, struct spec *s)
{
	char *type = strchr(text, ':'), *way;

	if (!type)
		return false;
	*type++ = 0;
	way = strchr(type, ':');
	if (way)
		*way++ = 0;
	*s = (struct spec){.service = text,
			   .type = strcmp(type, "seq") ? SOCK_STREAM : SOCK_SEQPACKET,
			   .out = way && strcmp(way, "out") == 0};
	return true;
}

int main(int argc, char **argv)
{
	bool serves = argc > 2 && strcmp(argv[1], "serve") == 0;
	int skip = serves ? 2 : 6, n = 0;
	static struct spec spec[SPECS_MAX];
	pthread_t thread[SPECS_MAX], clock;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (argc <= skip || argc - skip > SPECS_MAX)
		return fprintf(stderr, "usage: rounds serve|open …\n"), 2;
	if (!serves) {
		opt.first = strtoul(argv[2], NULL, 0);
		opt.total = strtoull(argv[3], NULL, 0);
		opt.retry_ms = strtoul(argv[4], NULL, 0);
		opt.quit_ms = strtoul(argv[5], NULL, 0);
	}
	for (; skip + n < argc; n++) {
		struct spec *s = &spec[n];

		if (!parse(argv[skip + n], s))
			return 2;
		s->index = (unsigned)n;
		if (pthread_create(&thread[n], NULL, serves ? serve : open_one,
				   serves ? (void *)(intptr_t)exo_serve(s->service, s->type) : s))
			return 3;
	}
	if (opt.quit_ms && pthread_create(&clock, NULL, quit_later, NULL))
		return 3;
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	return 0;
}
