/* expect: exit 2 */
/*
 * One end of channels, for tests and benchmarks from outside. Both roles do the
 * same things; each line of output is one result. Builds for Linux too.
 *
 *	chan.elf serve|connect TARGET stream|seq [OPTION…] MODE [ARGUMENT…]
 *
 * TARGET: a port (connect: of CID 2), or the name of a service.
 * Options: count=N      connections, one after the other (serve: 1; 0: for ever)
 *	    threads      serve: a thread for each connection
 *	    conns=N      connect: N connections at once, made first, used in turn
 *	    retry=MS     connect: try again for that long
 *	    spin=NS      how long to look for data before sleeping (0: never)
 *	    timeout=MS   of each receive and send
 *	    chunk=BYTES  of each write and read of the modes below (65536)
 *	    quiet        no lines but errors
 * Modes:
 *	echo             sends back what comes, to the end
 *	sink             reads to the end, checks the pattern: "received BYTES ok" (or "bad at N")
 *	sum              reads to the end: "received BYTES"
 *	source BYTES     writes the pattern and half-closes: "sent BYTES"; waits for the end
 *	ping N [BYTES]   N rounds of write and read: "ping N rounds p50 A p99 B p999 C max D ns"
 *	slow MS          reads chunk by chunk with pauses, to the end: "received BYTES"
 *	bulk BYTES       as source, with its speed: "bulk BYTES in NS ns: MB/s"
 *	hold [SECONDS]   says "holding" and waits for the end: "end after BYTES"
 *	flood            writes until it fails
 *	say TEXT         writes TEXT; then prints what comes: "got TEXT"
 *	knock N          connect: N times connect, one byte each way, close, and for each connect:
 *	                 "knock N in NS ns, connect p50 A p99 B ns"; to an echo with count=0
 *	greet            prints what comes first: "got TEXT", and sends it back
 *
 * Lines before that: "listening PORT", "accepted PORT direct|queued",
 * "connected PORT direct|queued"; after it "end REASON" (of EXO_SO_REASON, a
 * number) for every connection that ended by a reason.
 * Exit status: 0; 1 wrong data; 2 usage; 3 no connection ("connect: ERRNO TEXT");
 * 4 a read or write failed ("read: …", "write: …").
 */
#include <exo.h>
#include <exo_channel.h>

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static struct {
	bool serve, threads, quiet;
	int type;
	const char *target, *gate;
	unsigned long count, conns, retry_ms, timeout_ms;
	long spin_ns;
	size_t chunk;
	const char *mode, *first, *second;
} opt = {.count = 1, .conns = 1, .spin_ns = -1, .chunk = 65536, .first = "", .second = ""};

static int worst; /* exit status so far */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void failed(int status)
{
	if (worst < status)
		worst = status;
}

/* Something went wrong with the connection: says what. */
static void broken(const char *what)
{
	printf("%s: %d %s\n", what, errno, strerror(errno));
	failed(4);
}

/* ---- data ------------------------------------------------------------------------ */

/* Byte n of everybody's pattern: no period that a ring's size divides. */
static uint8_t pattern(uint64_t n)
{
	return (uint8_t)(n ^ n / 251 ^ n / 65521);
}

static bool write_all(int fd, const uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0) {
			broken("write");
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* What is there, or for a stream and `whole` as much as that; 0 at the end. */
static ssize_t read_some(int fd, uint8_t *p, size_t len, bool whole)
{
	ssize_t n = recv(fd, p, len, whole && opt.type == SOCK_STREAM ? MSG_WAITALL : 0);

	if (n < 0)
		broken("read");
	return n;
}

static void echo(int fd, uint8_t *buf)
{
	ssize_t n;

	while ((n = read_some(fd, buf, opt.chunk, false)) > 0)
		if (!write_all(fd, buf, (size_t)n))
			return;
}

static void receive(int fd, uint8_t *buf, bool check, long pause_ms)
{
	struct timespec pause = {pause_ms / 1000, pause_ms % 1000 * 1000000};
	uint64_t total = 0, bad = UINT64_MAX;
	ssize_t n;

	while ((n = read_some(fd, buf, opt.chunk, false)) > 0) {
		for (ssize_t i = 0; check && i < n && bad == UINT64_MAX; i++)
			if (buf[i] != pattern(total + (uint64_t)i))
				bad = total + (uint64_t)i;
		total += (uint64_t)n;
		if (pause_ms)
			nanosleep(&pause, NULL);
	}
	if (bad != UINT64_MAX) {
		printf("received %llu bad at %llu\n", (unsigned long long)total,
		       (unsigned long long)bad);
		failed(1);
	} else {
		printf("received %llu%s\n", (unsigned long long)total, check ? " ok" : "");
	}
}

static bool source(int fd, uint8_t *buf, uint64_t total, bool fill)
{
	uint64_t at = 0;

	while (at < total) {
		size_t part = total - at < opt.chunk ? (size_t)(total - at) : opt.chunk;

		for (size_t i = 0; fill && i < part; i++)
			buf[i] = pattern(at + i);
		if (!write_all(fd, buf, part))
			break;
		at += part;
	}
	shutdown(fd, SHUT_WR);
	if (fill || at < total)
		printf("sent %llu\n", (unsigned long long)at);
	return at == total;
}

static void await_end(int fd, uint8_t *buf)
{
	while (read_some(fd, buf, opt.chunk, false) > 0)
		;
}

static void bulk(int fd, uint8_t *buf, uint64_t total)
{
	uint64_t start = now_ns(), ns;

	memset(buf, 0x5a, opt.chunk);
	if (!source(fd, buf, total, false))
		return;
	await_end(fd, buf); /* the other end has read it all */
	ns = now_ns() - start;
	printf("bulk %llu in %llu ns: %llu MB/s\n", (unsigned long long)total,
	       (unsigned long long)ns, (unsigned long long)(total * 1000 / (ns ? ns : 1)));
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint64_t ticks(void)
{
	return __builtin_ia32_rdtsc(); /* asking for the time would be a part of what is measured */
}

static void ping(int fd, uint8_t *buf, unsigned long rounds, size_t bytes)
{
	uint32_t *ns = calloc(rounds + 1, sizeof(*ns));
	uint64_t begin_ns = now_ns(), begin = ticks();
	unsigned long done = 0;
	double tick_ns;

	if (!ns || bytes > opt.chunk) {
		failed(2);
		free(ns);
		return;
	}
	for (; done < rounds; done++) {
		uint64_t start = ticks();

		if (!write_all(fd, buf, bytes) || read_some(fd, buf, bytes, true) != (ssize_t)bytes)
			break;
		ns[done] = (uint32_t)(ticks() - start);
	}
	tick_ns = (double)(now_ns() - begin_ns) / (double)(ticks() - begin);
	for (unsigned long i = 0; i < done; i++)
		ns[i] = (uint32_t)((double)ns[i] * tick_ns);
	qsort(ns, done, sizeof(*ns), compare);
	printf("ping %lu rounds p50 %u p99 %u p999 %u max %u ns\n", done, ns[done / 2],
	       ns[done * 99 / 100], ns[done * 999 / 1000], ns[done ? done - 1 : 0]);
	if (done < rounds)
		failed(4);
	free(ns);
}

static void hold(int fd, uint8_t *buf)
{
	uint64_t total = 0;
	ssize_t n;

	if (*opt.first) {
		struct timeval t = {.tv_sec = atol(opt.first)};

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	}
	printf("holding\n");
	while ((n = recv(fd, buf, opt.chunk, 0)) > 0)
		total += (uint64_t)n;
	if (n < 0)
		printf("hold: %d %s\n", errno, strerror(errno));
	else
		printf("end after %llu\n", (unsigned long long)total);
}

static void flood(int fd, uint8_t *buf)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = send(fd, buf, opt.chunk, MSG_NOSIGNAL)) > 0)
		total += (uint64_t)n;
	printf("flood: %d %s after %llu\n", errno, strerror(errno), (unsigned long long)total);
}

static void say(int fd, uint8_t *buf, bool first)
{
	ssize_t n;

	if (first && !write_all(fd, (const uint8_t *)opt.first, strlen(opt.first)))
		return;
	n = read_some(fd, buf, opt.chunk, false);
	if (n >= 0)
		printf("got %.*s\n", (int)n, (char *)buf);
	if (n > 0 && !first)
		write_all(fd, buf, (size_t)n);
}

static void do_mode(int fd, uint8_t *buf)
{
	uint64_t number = strtoull(opt.first, NULL, 0);

	if (!strcmp(opt.mode, "echo")) {
		echo(fd, buf);
	} else if (!strcmp(opt.mode, "sink") || !strcmp(opt.mode, "sum")) {
		receive(fd, buf, opt.mode[1] == 'i', 0);
	} else if (!strcmp(opt.mode, "slow")) {
		receive(fd, buf, false, (long)number);
	} else if (!strcmp(opt.mode, "source")) {
		if (source(fd, buf, number, true))
			await_end(fd, buf);
	} else if (!strcmp(opt.mode, "bulk")) {
		bulk(fd, buf, number);
	} else if (!strcmp(opt.mode, "ping")) {
		ping(fd, buf, (unsigned long)number,
		     *opt.second ? strtoul(opt.second, NULL, 0) : 8);
	} else if (!strcmp(opt.mode, "hold")) {
		hold(fd, buf);
	} else if (!strcmp(opt.mode, "flood")) {
		flood(fd, buf);
	} else {
		say(fd, buf, !strcmp(opt.mode, "say"));
	}
}

static void print_end(int fd)
{
	int reason = 0;
	socklen_t len = sizeof(reason);

	if (getsockopt(fd, SOL_EXO, EXO_SO_REASON, &reason, &len) == 0 && reason)
		printf("end %d\n", reason);
}

static void *use(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint8_t *buf = calloc(1, opt.chunk + 1);

	if (buf)
		do_mode(fd, buf);
	else
		failed(2);
	print_end(fd);
	free(buf);
	if (opt.threads)
		close(fd);
	return NULL;
}

/* ---- connections -------------------------------------------------------------------- */

static void prepare(int fd, const char *what)
{
	struct timeval t = {.tv_sec = (time_t)(opt.timeout_ms / 1000),
			    .tv_usec = (suseconds_t)(opt.timeout_ms % 1000 * 1000)};
	int spin = (int)opt.spin_ns, direct = 0;
	struct sockaddr_vm a = {0};
	socklen_t len = sizeof(direct), alen = sizeof(a);

	if (opt.timeout_ms) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	}
	if (opt.spin_ns >= 0)
		setsockopt(fd, SOL_EXO, EXO_SO_SPIN_NS, &spin, sizeof(spin));
	getsockopt(fd, SOL_EXO, EXO_SO_DIRECT, &direct, &len);
	getpeername(fd, (struct sockaddr *)&a, &alen);
	if (!opt.quiet)
		printf("%s %u %s\n", what, a.svm_port, direct ? "direct" : "queued");
}

static bool is_port(const char *target)
{
	return isdigit((unsigned char)*target);
}

static int listen_on(const char *target)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK,
				.svm_cid = VMADDR_CID_ANY,
				.svm_port = (unsigned)strtoul(target, NULL, 0)};
	int fd;

	if (is_port(target)) {
		fd = socket(AF_VSOCK, opt.type, 0);
		if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 128)) {
			exo_ready();
			return fd;
		}
	} else {
		fd = exo_serve(target, opt.type);
		if (fd >= 0)
			return fd;
	}
	printf("listen: %d %s\n", errno, strerror(errno));
	exit(3);
}

static int connect_once(const char *target)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK,
				.svm_cid = VMADDR_CID_HOST,
				.svm_port = (unsigned)strtoul(target, NULL, 0)};
	struct timeval t = {.tv_sec = 30};
	int fd, err;

	if (!is_port(target))
		return exo_connect(target, opt.type);
	fd = socket(AF_VSOCK, opt.type, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &t, sizeof(t));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	err = errno;
	print_end(fd);
	close(fd);
	errno = err;
	return -1;
}

static int connect_to(const char *target)
{
	uint64_t end = now_ns() + opt.retry_ms * 1000000ull;
	struct timespec pause = {.tv_nsec = 20000000};
	int fd;

	while ((fd = connect_once(target)) < 0 && now_ns() < end)
		nanosleep(&pause, NULL);
	if (fd < 0) {
		printf("connect: %d %s\n", errno, strerror(errno));
		failed(3);
	}
	return fd;
}

static void serve_one(int listener)
{
	int fd = accept(listener, NULL, NULL);
	pthread_t t;

	if (fd < 0) {
		printf("accept: %d %s\n", errno, strerror(errno));
		exit(3);
	}
	prepare(fd, "accepted");
	if (opt.threads && pthread_create(&t, NULL, use, (void *)(intptr_t)fd) == 0) {
		pthread_detach(t);
		return;
	}
	use((void *)(intptr_t)fd);
	if (!opt.threads)
		close(fd);
}

static void serve(void)
{
	int listener = listen_on(opt.target);
	struct sockaddr_vm a = {0};
	socklen_t len = sizeof(a);

	getsockname(listener, (struct sockaddr *)&a, &len);
	if (!opt.quiet)
		printf("listening %u\n", a.svm_port);
	for (unsigned long n = 0; !opt.count || n < opt.count; n++)
		serve_one(listener);
}

/* Everybody at once: whoever serves the gate lets us through. */
static void pass_gate(void)
{
	int fd = exo_connect(opt.gate, SOCK_STREAM);
	char byte;

	if (fd < 0 || recv(fd, &byte, 1, 0) != 1)
		broken("gate");
	close(fd);
}

static void connect_all(void)
{
	int fd[256];
	unsigned long n;

	for (n = 0; n < opt.conns && n < 256; n++) {
		fd[n] = connect_to(opt.target);
		if (fd[n] < 0)
			break;
		prepare(fd[n], "connected");
	}
	if (opt.gate)
		pass_gate();
	for (unsigned long i = 0; i < n; i++)
		use((void *)(intptr_t)fd[i]);
	if (opt.gate)
		pass_gate();
	for (unsigned long i = 0; i < n; i++)
		close(fd[i]);
}

/* How fast connections come and go. */
static void knock(void)
{
	unsigned long n = strtoul(opt.first, NULL, 0);
	uint64_t *ns = calloc(n + 1, sizeof(*ns)), start = now_ns();
	char byte = 0;

	for (unsigned long i = 0; ns && i < n; i++) {
		uint64_t before = now_ns();
		int fd = connect_to(opt.target);

		if (fd < 0)
			return;
		ns[i] = now_ns() - before;
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) {
			broken("knock");
			return;
		}
		close(fd);
	}
	if (!ns || !n)
		return;
	start = now_ns() - start;
	qsort(ns, n, sizeof(*ns), compare);
	printf("knock %lu in %llu ns, connect p50 %llu p99 %llu ns\n", n, (unsigned long long)start,
	       (unsigned long long)ns[n / 2], (unsigned long long)ns[n * 99 / 100]);
	free(ns);
}

/* ---- arguments -------------------------------------------------------------------------- */

static bool take_option(const char *word)
{
	const char *value = strchr(word, '=');
	size_t n = value ? (size_t)(value++ - word) : strlen(word);
	unsigned long number = value ? strtoul(value, NULL, 0) : 0;

#define IS(name) (n == strlen(name) && strncmp(word, name, n) == 0)
	if (IS("threads") && !value)
		opt.threads = true;
	else if (IS("quiet") && !value)
		opt.quiet = true;
	else if (!value)
		return false;
	else if (IS("count"))
		opt.count = number;
	else if (IS("conns"))
		opt.conns = number;
	else if (IS("gate"))
		opt.gate = value;
	else if (IS("retry"))
		opt.retry_ms = number;
	else if (IS("timeout"))
		opt.timeout_ms = number;
	else if (IS("spin"))
		opt.spin_ns = (long)number;
	else if (IS("chunk") && number)
		opt.chunk = number;
	else
		return false;
	return true;
#undef IS
}

int main(int argc, char **argv)
{
	static const char *const modes[] = {"echo",  "sink",  "sum",  "source", "ping",
					    "slow",  "bulk",  "hold", "flood",  "say",
					    "greet", "knock", NULL};
	int i = 4, m = 0;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	signal(SIGPIPE, SIG_IGN);
	while (i < argc && take_option(argv[i]))
		i++;
	if (i >= argc || (strcmp(argv[1], "serve") && strcmp(argv[1], "connect"))) {
		fprintf(stderr, "usage: chan serve|connect TARGET stream|seq [OPTION] MODE\n");
		return 2;
	}
	opt.serve = argv[1][0] == 's';
	opt.target = argv[2];
	opt.type = strcmp(argv[3], "seq") ? SOCK_STREAM : SOCK_SEQPACKET;
	opt.mode = argv[i++];
	while (modes[m] && strcmp(modes[m], opt.mode))
		m++;
	if (!modes[m])
		return fprintf(stderr, "chan: %s?\n", opt.mode), 2;
	opt.first = i < argc ? argv[i++] : "";
	opt.second = i < argc ? argv[i] : "";
	if (opt.serve)
		serve();
	else if (!strcmp(opt.mode, "knock"))
		knock();
	else
		connect_all();
	if (opt.threads)
		pthread_exit(NULL);
	return worst;
}
