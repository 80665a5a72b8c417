/* expect: exit 2 */
/*
 * Sockets as vsock(7), recv(2) and poll(2) have them, on connections of which
 * this guest has both ends: whoever runs it leads the port given to port 80 of the
 * guest itself. TAP on standard output; the same points must hold on each path.
 *
 *	pairs.elf PORT
 */
#include <exo_test.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#define SERVED 80
#define BIG (4u << 20)
#define MANY 40

static unsigned port;
static int listeners[2] = {-1, -1};
static volatile sig_atomic_t pipes;

struct pair {
	int a, b; /* opener, acceptor */
};

static void on_pipe(int sig)
{
	pipes++;
}

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void set_nonblock(int fd, bool on)
{
	fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0);
}

static bool open_pair(struct pair *p, int type)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	struct sockaddr_vm at = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = SERVED};
	int *listener = &listeners[type == SOCK_SEQPACKET], err = 0;
	struct pollfd wait;
	socklen_t len = sizeof(err);

	if (*listener < 0) {
		*listener = socket(AF_VSOCK, type, 0);
		if (bind(*listener, (struct sockaddr *)&at, sizeof(at)) || listen(*listener, 8))
			return false;
	}
	p->a = socket(AF_VSOCK, type, 0);
	set_nonblock(p->a, true);
	if (connect(p->a, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		return false;
	p->b = accept(*listener, NULL, NULL);
	wait = (struct pollfd){.fd = p->a, .events = POLLOUT};
	if (p->b < 0 || poll(&wait, 1, 5000) != 1 ||
	    getsockopt(p->a, SOL_SOCKET, SO_ERROR, &err, &len) || err)
		return false;
	set_nonblock(p->a, false);
	return true;
}

static void close_pair(const struct pair *p)
{
	close(p->a);
	close(p->b);
}

static short events(int fd, short wanted, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = wanted};

	return poll(&p, 1, timeout_ms) > 0 ? p.revents : 0;
}

/* Waits a little for what a peer's other path may take time for. */
static bool soon(int fd, short wanted)
{
	return (events(fd, wanted, 2000) & wanted) == wanted;
}

/* ---- in another thread, after a while ------------------------------------------------- */

struct later {
	pthread_t thread;
	int fd;
	void (*act)(int fd);
};

static void *act_later(void *arg)
{
	struct later *l = arg;

	sleep_ms(50);
	l->act(l->fd);
	return NULL;
}

static void later(struct later *l, int fd, void (*act)(int))
{
	*l = (struct later){.fd = fd, .act = act};
	pthread_create(&l->thread, NULL, act_later, l);
}

static void finish(struct later *l)
{
	pthread_join(l->thread, NULL);
}

static void write_half(int fd)
{
	send(fd, "second", 6, 0);
}

static void read_all(int fd)
{
	static char sink[1 << 20];

	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		sleep_ms(1);
}

static void read_to_long(int fd)
{
	static char sink[60000];
	ssize_t n;

	do {
		sleep_ms(1);
		n = recv(fd, sink, sizeof(sink), 0);
	} while (n > 0 && n <= 1000);
}

static void close_it(int fd)
{
	close(fd);
}

/* Writes until it would block. Bytes. */
static size_t fill(int fd, size_t part)
{
	static char bytes[4096];
	size_t total = 0;
	ssize_t n;

	while ((n = send(fd, bytes, part, MSG_DONTWAIT)) > 0)
		total += (size_t)n;
	return n < 0 && errno == EAGAIN ? total : 0;
}

/* ---- streams ---------------------------------------------------------------------------- */

static void test_reading(void)
{
	struct timeval timeout = {.tv_usec = 60000};
	char buf[32] = {0}, left[3], right[8];
	static char first[] = "first";
	struct iovec out[2] = {{first, 3}, {first + 3, 2}}, in[2] = {{left, 3}, {right, 8}};
	struct later l;
	struct pair p;
	int64_t start;

	if (!tap_ok(open_pair(&p, SOCK_STREAM), "a pair of streams"))
		exit(1);
	tap_ok(recv(p.b, buf, 8, MSG_DONTWAIT) < 0 && errno == EAGAIN &&
		       events(p.b, POLLIN | POLLOUT, 0) == POLLOUT,
	       "nothing to read: EAGAIN, and poll says so");
	tap_ok(writev(p.a, out, 2) == 5 && soon(p.b, POLLIN) && recv(p.b, buf, 32, MSG_PEEK) == 5 &&
		       recv(p.b, buf, 2, MSG_PEEK) == 2 && readv(p.b, in, 2) == 5 &&
		       !memcmp(left, "fir", 3) && !memcmp(right, "st", 2),
	       "gathered, peeked at, scattered");
	send(p.a, "first ", 6, 0);
	later(&l, p.a, write_half);
	tap_ok(recv(p.b, buf, 12, MSG_WAITALL) == 12 && !memcmp(buf, "first second", 12),
	       "MSG_WAITALL waits for all");
	finish(&l);
	later(&l, p.a, write_half);
	tap_ok(events(p.b, POLLIN, 3000) == POLLIN && read(p.b, buf, 32) == 6,
	       "poll wakes for data");
	finish(&l);
	setsockopt(p.b, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	start = now_ms();
	tap_ok(recv(p.b, buf, 1, 0) < 0 && errno == EAGAIN && now_ms() - start >= 55 &&
		       now_ms() - start < 1000,
	       "a receive timeout");
	close_pair(&p);
}

static void test_writing(void)
{
	struct timeval timeout = {.tv_usec = 60000};
	size_t filled;
	static char sink[65536];
	struct later l;
	struct pair p;
	int64_t start;
	ssize_t n;

	open_pair(&p, SOCK_STREAM);
	filled = fill(p.a, 4096);
	/* Through queues some of it still moves on: until nothing does. */
	for (size_t more = 1; more;) {
		sleep_ms(20);
		filled += more = fill(p.a, 4096);
	}
	tap_ok(filled >= 65536 && !(events(p.a, POLLOUT, 100) & POLLOUT),
	       "a full stream is EAGAIN, and not writable");
	setsockopt(p.a, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	start = now_ms();
	n = send(p.a, sink, sizeof(sink), 0);
	tap_ok(((n < 0 && errno == EAGAIN) || n > 0) && now_ms() - start >= 55 &&
		       now_ms() - start < 1000,
	       "a send timeout");
	later(&l, p.b, read_all);
	tap_ok(soon(p.a, POLLOUT), "poll wakes for room");
	finish(&l);
	shutdown(p.a, SHUT_WR);
	while ((n = recv(p.b, sink, sizeof(sink), 0)) > 0)
		;
	tap_ok(n == 0, "the end comes after what was sent");
	close_pair(&p);
}

static void test_half_closing(void)
{
	struct later l;
	struct pair p;
	char buf[16];

	open_pair(&p, SOCK_STREAM);
	send(p.a, "last", 4, 0);
	shutdown(p.a, SHUT_WR);
	tap_ok(send(p.a, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "nothing after shutdown");
	tap_ok(recv(p.b, buf, 16, MSG_WAITALL) == 4 && recv(p.b, buf, 16, 0) == 0 &&
		       events(p.b, POLLIN | POLLRDHUP, 0) & POLLRDHUP,
	       "data, then the end");
	tap_ok(send(p.b, "back", 4, 0) == 4 && soon(p.a, POLLIN) && recv(p.a, buf, 16, 0) == 4,
	       "the other direction still works");
	close_pair(&p);

	open_pair(&p, SOCK_STREAM);
	shutdown(p.b, SHUT_RD);
	sleep_ms(50);
	pipes = 0;
	while (send(p.a, buf, 16, 0) > 0)
		;
	tap_ok(errno == EPIPE && pipes == 1, "nobody reads: EPIPE and SIGPIPE");
	close_pair(&p);

	open_pair(&p, SOCK_STREAM);
	later(&l, p.a, close_it);
	tap_ok(recv(p.b, buf, 16, 0) == 0, "who waits for data sees a close");
	finish(&l);
	close(p.b);

	open_pair(&p, SOCK_STREAM);
	fill(p.a, 4096);
	later(&l, p.b, close_it);
	while (send(p.a, buf, 16, MSG_NOSIGNAL) > 0)
		;
	tap_ok(errno == EPIPE || errno == ECONNRESET, "who waits for room sees a close");
	finish(&l);
	close(p.a);

	open_pair(&p, SOCK_STREAM);
	send(p.a, "unread", 6, 0);
	close(p.a);
	sleep_ms(50);
	tap_ok(recv(p.b, buf, 16, MSG_WAITALL) == 6 && recv(p.b, buf, 16, 0) == 0,
	       "what was sent before a close is read after it");
	close(p.b);
}

static uint8_t value(size_t at)
{
	return (uint8_t)(at ^ at / 253 ^ at / 65521);
}

struct flow {
	pthread_t thread;
	int fd;
	bool ok;
};

static void *write_big(void *arg)
{
	struct flow *f = arg;
	uint8_t *bytes = malloc(BIG);
	size_t at = 0;
	ssize_t n = 1;

	for (size_t i = 0; i < BIG; i++)
		bytes[i] = value(i);
	for (size_t part = 1; at < BIG && n > 0; part = part * 7 % 200003 + 1) {
		n = send(f->fd, bytes + at, part < BIG - at ? part : BIG - at, 0);
		at += n > 0 ? (size_t)n : 0;
	}
	f->ok = at == BIG;
	free(bytes);
	return NULL;
}

static void *read_big(void *arg)
{
	struct flow *f = arg;
	static uint8_t buffers[2][100003];
	static int users;
	uint8_t *buf = buffers[users++ % 2];
	size_t at = 0;
	ssize_t n = 1;

	f->ok = true;
	for (size_t part = 1; at < BIG && n > 0; part = part * 5 % 100003 + 1) {
		n = recv(f->fd, buf, part, 0);
		for (ssize_t i = 0; i < n; i++)
			f->ok &= buf[i] == value(at + (size_t)i);
		at += n > 0 ? (size_t)n : 0;
	}
	f->ok &= at == BIG;
	return NULL;
}

static void test_both_ways(void)
{
	struct flow f[4];
	struct pair p;

	open_pair(&p, SOCK_STREAM);
	for (int i = 0; i < 4; i++) {
		f[i].fd = i & 1 ? p.b : p.a;
		pthread_create(&f[i].thread, NULL, i < 2 ? write_big : read_big, &f[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(f[i].thread, NULL);
	tap_ok(f[0].ok && f[1].ok && f[2].ok && f[3].ok, "4 MiB each way at once, in odd pieces");
	close_pair(&p);
}

static void test_many(void)
{
	struct epoll_event ev = {.events = EPOLLIN}, got[MANY];
	int ep = epoll_create1(0), seen = 0;
	static struct pair p[MANY];
	struct later l;
	bool ok = true;
	char buf[16];

	for (int i = 0; i < MANY; i++) {
		ok &= open_pair(&p[i], SOCK_STREAM);
		ev.data.u32 = (uint32_t)i;
		epoll_ctl(ep, EPOLL_CTL_ADD, p[i].b, &ev);
	}
	tap_ok(ok && epoll_wait(ep, got, MANY, 0) == 0, "many connections, all quiet");
	for (int i = 0; i < MANY; i += 7) {
		later(&l, p[i].a, write_half);
		ok = epoll_wait(ep, got, MANY, 3000) == 1 && got[0].data.u32 == (uint32_t)i &&
		     recv(p[i].b, buf, 16, 0) == 6;
		seen += ok;
		finish(&l);
	}
	tap_ok(seen == (MANY + 6) / 7, "epoll wakes for the one that has data");
	for (int i = 0; i < MANY; i++)
		close_pair(&p[i]);
	close(ep);
}

/* ---- messages ------------------------------------------------------------------------------- */

static ssize_t receive(int fd, char *buf, size_t len, int flags, int *out)
{
	struct iovec iov = {buf, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &m, flags);

	*out = m.msg_flags;
	return n;
}

static void test_messages(void)
{
	static char large[60000], buf[60000];
	struct later l;
	struct pair p;
	int flags;

	open_pair(&p, SOCK_SEQPACKET);
	tap_ok(send(p.a, "one", 3, 0) == 3 && send(p.a, "three", 5, MSG_EOR) == 5 &&
		       receive(p.b, buf, 100, 0, &flags) == 3 && !(flags & MSG_TRUNC) &&
		       receive(p.b, buf, 100, 0, &flags) == 5 && !memcmp(buf, "three", 5),
	       "messages keep their boundaries");
	send(p.a, "truncated", 9, 0);
	send(p.a, "next", 4, 0);
	tap_ok(receive(p.b, buf, 5, MSG_PEEK, &flags) == 5 && flags & MSG_TRUNC &&
		       receive(p.b, buf, 5, MSG_TRUNC, &flags) == 9 && flags & MSG_TRUNC &&
		       receive(p.b, buf, 9, 0, &flags) == 4,
	       "a message that does not fit is cut, and says so");
	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = (char)value(i);
	tap_ok(send(p.a, large, sizeof(large), 0) == (ssize_t)sizeof(large) &&
		       recv(p.b, buf, sizeof(buf), 0) == (ssize_t)sizeof(buf) &&
		       !memcmp(buf, large, sizeof(buf)),
	       "a long message");
	tap_ok(send(p.a, malloc(1 << 22), 1 << 22, 0) < 0 && errno == EMSGSIZE,
	       "one that can never fit is EMSGSIZE");
	fill(p.a, 1000);
	later(&l, p.b, read_all);
	tap_ok(soon(p.a, POLLOUT) && send(p.a, large, 1000, 0) == 1000,
	       "poll wakes for room for a message");
	finish(&l);
	fill(p.a, 1000);
	events(p.a, POLLOUT, 20); /* for a short one */
	later(&l, p.b, read_to_long);
	tap_ok(send(p.a, large, sizeof(large), 0) == (ssize_t)sizeof(large),
	       "a long message waits for its room, whatever was polled for before");
	finish(&l);
	close_pair(&p);
}

#define WRITERS 4
#define ROUNDS 100
#define SMALL 20

struct writer {
	pthread_t thread;
	int fd, letter;
	bool ok;
};

static void *write_messages(void *arg)
{
	struct writer *w = arg;
	char *bytes = malloc(40000);

	memset(bytes, w->letter, 40000);
	w->ok = true;
	for (int i = 0; i < ROUNDS && w->ok; i++) {
		for (int k = 0; k < SMALL; k++)
			w->ok &= send(w->fd, bytes, 1, 0) == 1;
		w->ok &= send(w->fd, bytes, 40000, 0) == 40000;
	}
	free(bytes);
	return NULL;
}

/* Long and short messages of several threads: none has anything of another one in it. */
static void test_writers(void)
{
	static char buf[60000];
	struct writer w[WRITERS];
	struct pair p;
	bool ok = true;
	ssize_t n = 1;

	open_pair(&p, SOCK_SEQPACKET);
	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.fd = p.a, .letter = 'a' + i};
		pthread_create(&w[i].thread, NULL, write_messages, &w[i]);
	}
	for (int i = 0; i < WRITERS * ROUNDS * (SMALL + 1) && n > 0; i++) {
		n = recv(p.b, buf, sizeof(buf), 0);
		ok &= n == 1 || (n == 40000 && !memcmp(buf, buf + 1, 39999));
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		ok &= w[i].ok;
	}
	tap_ok(ok, "messages of several threads stay whole");
	close_pair(&p);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	port = (unsigned)strtoul(argv[1], NULL, 0);
	signal(SIGPIPE, on_pipe);
	tap_plan(27);
	test_reading();
	test_writing();
	test_half_closing();
	test_both_ways();
	test_many();
	test_messages();
	test_writers();
	return tap_done();
}
