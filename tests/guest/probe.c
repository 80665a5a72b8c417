/* expect: exit 0 */
/* run: exit 0 */
/*
 * Does what its arguments say, one word after the other, so that scripts can
 * look at a guest from outside. Called by another name (tests/e2e/test_test.sh
 * does so), it reports the TAP of that name to the host instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

extern char **environ;

static int *volatile nowhere; /* volatile: the compiler shall not know */

static int fail(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	return 99;
}

static void write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0)
			exit(fail("write"));
		bytes += n;
		length -= (size_t)n;
	}
}

static void sleep_for(const char *seconds)
{
	double s = strtod(seconds, NULL);
	struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&t, NULL);
}

static int host_socket(int type, unsigned port)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	int fd = socket(AF_VSOCK, type, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return -1;
	return fd;
}

/* Says one line to the host's port and prints the answer. */
static void call_host(int type, unsigned port, const char *line)
{
	char answer[256];
	int fd = host_socket(type, port);
	ssize_t n;

	if (fd < 0) {
		printf("connect: %s\n", strerror(errno));
		return;
	}
	write_all(fd, line, strlen(line));
	n = read(fd, answer, sizeof(answer));
	printf("%.*s\n", n > 0 ? (int)n : 0, answer);
	close(fd);
}

/* Takes one connection on a port and sends back what comes, message by message. */
static void serve_host(int type, unsigned port)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
	int listener = socket(AF_VSOCK, type, 0), fd;
	char bytes[4096];
	ssize_t n;

	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 4))
		exit(fail("listen"));
	puts("listening");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		exit(fail("accept"));
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		write_all(fd, bytes, (size_t)n);
	close(fd);
	close(listener);
}

static void copy_input(void)
{
	char bytes[16384];
	ssize_t n;

	while ((n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0)
		write_all(STDOUT_FILENO, bytes, (size_t)n);
	if (n < 0)
		exit(fail("read"));
}

/* Fills a disk with "x". */
static void fill(const char *path)
{
	static char block[65536];
	int fd = open(path, O_WRONLY);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (fd < 0 || end <= 0 || lseek(fd, 0, SEEK_SET))
		exit(fail(path));
	memset(block, 'x', sizeof(block));
	while (end > 0) {
		size_t part = end < (off_t)sizeof(block) ? (size_t)end : sizeof(block);

		write_all(fd, block, part);
		end -= (off_t)part;
	}
	if (fsync(fd))
		exit(fail("fsync"));
	close(fd);
}

static void print_terminal(void)
{
	struct winsize size;

	printf("tty %d %d %d", isatty(0), isatty(1), isatty(2));
	if (!ioctl(0, TIOCGWINSZ, &size))
		printf(" %dx%d", size.ws_row, size.ws_col);
	putchar('\n');
}

static void set_echo(int on)
{
	struct termios t;

	if (tcgetattr(0, &t))
		exit(fail("tcgetattr"));
	if (on)
		t.c_lflag |= ECHO;
	else
		t.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(0, TCSANOW, &t))
		exit(fail("tcsetattr"));
}

static void flood(void)
{
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		if (write(STDOUT_FILENO, "y\n", 2) < 0) {
			fprintf(stderr, "flood: %s\n", strerror(errno));
			exit(3);
		}
	}
}

/* One word that needs no argument; false: there is no such word. */
static int do_word(const char *word)
{
	if (!strcmp(word, "env")) {
		for (char **e = environ; *e; e++)
			puts(*e);
	} else if (!strcmp(word, "cat")) {
		copy_input();
	} else if (!strcmp(word, "flood")) {
		flood();
	} else if (!strcmp(word, "yes")) {
		for (;;)
			write_all(STDOUT_FILENO, "y\n", 2);
	} else if (!strcmp(word, "abort")) {
		abort();
	} else if (!strcmp(word, "null")) {
		*nowhere = 1;
	} else if (!strcmp(word, "spin")) {
		for (volatile int forever = 1; forever;)
			;
	} else if (!strcmp(word, "close-out")) {
		close(STDOUT_FILENO);
	} else if (!strcmp(word, "close-in")) {
		close(STDIN_FILENO);
	} else if (!strcmp(word, "tty")) {
		print_terminal();
	} else if (!strcmp(word, "noecho")) {
		set_echo(0);
	} else if (!strcmp(word, "line")) {
		char line[256];

		printf("got %s", fgets(line, sizeof(line), stdin) ? line : "nothing\n");
	} else {
		return 0;
	}
	fflush(stdout);
	return 1;
}

static int do_words(char **words)
{
	while (*words) {
		const char *word = *words++, *value = *words ? *words : "";

		if (do_word(word))
			continue;
		if (*words)
			words++;
		if (!strcmp(word, "exit"))
			return atoi(value);
		if (!strcmp(word, "say"))
			printf("%s\n", value);
		else if (!strcmp(word, "err"))
			fprintf(stderr, "%s\n", value);
		else if (!strcmp(word, "sleep"))
			sleep_for(value);
		else if (!strcmp(word, "fill"))
			fill(value);
		else if (!strcmp(word, "ignore"))
			signal(atoi(value), SIG_IGN);
		else if (!strcmp(word, "call"))
			call_host(SOCK_STREAM, (unsigned)atoi(value), "hello host");
		else if (!strcmp(word, "call-seq"))
			call_host(SOCK_SEQPACKET, (unsigned)atoi(value), "hello host");
		else if (!strcmp(word, "serve"))
			serve_host(SOCK_STREAM, (unsigned)atoi(value));
		else if (!strcmp(word, "serve-seq"))
			serve_host(SOCK_SEQPACKET, (unsigned)atoi(value));
		else
			return fprintf(stderr, "probe: %s?\n", word), 98;
		fflush(stdout);
	}
	return 0;
}

static const struct {
	const char *name, *tap;
	int status;
} reports[] = {
	{"tap-good", "TAP version 13\n1..3\nok 1 - one\nok 2 - two\nok 3 - three # SKIP not here\n",
	 0},
	{"tap-bad", "1..2\nok 1 - one\nnot ok 2 - two\n", 0},
	{"tap-bad-status", "1..1\nok 1 - one\n", 5},
	{"tap-plan-last", "ok 1 - one\nok 2 - two\n1..2\n", 0},
	{"tap-no-plan", "ok 1 - one\n", 0},
	{"tap-short", "1..3\nok 1 - one\n", 0},
	{"tap-bail", "1..3\nok 1 - one\nBail out! no more\n", 0},
	{"tap-garbage", "1..1\nok 1 - one\nhello there\n", 0},
};

static int report(const char *name)
{
	int fd;

	if (!strcmp(name, "tap-silent"))
		return 0;
	fd = host_socket(SOCK_STREAM, 1);
	if (fd < 0)
		return fail("connect to the host");
	if (!strcmp(name, "tap-hang") || !strcmp(name, "tap-crash"))
		write_all(fd, "1..1\n", 5);
	if (!strcmp(name, "tap-hang"))
		sleep(1000);
	if (!strcmp(name, "tap-crash"))
		abort();
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		if (strcmp(name, reports[i].name))
			continue;
		printf("%s says hello; EXO_TEST is %s\n", name,
		       getenv("EXO_TEST") ? getenv("EXO_TEST") : "unset");
		write_all(fd, reports[i].tap, strlen(reports[i].tap));
		close(fd);
		return reports[i].status;
	}
	return 97;
}

int main(int argc, char **argv)
{
	char name[64];
	const char *base = strrchr(argv[0], '/');

	snprintf(name, sizeof(name), "%s", base ? base + 1 : argv[0]);
	name[strcspn(name, ".")] = '\0';
	return strncmp(name, "tap-", 4) ? do_words(argv + 1) : report(name);
}
