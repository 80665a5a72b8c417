/*
 * A client of the control socket of a played session (fake_session.h): says lines,
 * takes answers apart, asks for guests. To be included by one file of a program only.
 */
#ifndef FAKE_CLIENT_H
#define FAKE_CLIENT_H

#include "fake_session.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a client ------------------------------------------------------------------- */

static int sock = -1; /* of the client that most tests have */
static char buffer[4 << 20];
static size_t filled;
static int got_fd = -1; /* came with the last line */

static int new_client(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(control_adopt_client(&fake.s, pair[0]), 0);
	return pair[1];
}

static void begin(void)
{
	fake_init();
	sock = new_client();
	filled = 0;
}

static void end(void)
{
	if (sock >= 0)
		close(sock);
	if (got_fd >= 0)
		close(got_fd);
	sock = got_fd = -1;
	fake_finish();
}

static void say(const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = send(sock, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			fake_turn();
			continue;
		}
		ck_assert_int_gt(n, 0);
		bytes += n;
		length -= (size_t)n;
	}
}

static void say_with_fds(const char *bytes, size_t length, const int *fds, unsigned nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, length};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(nfds * sizeof(int))};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	ck_assert_int_eq(sendmsg(sock, &msg, MSG_NOSIGNAL), (ssize_t)length);
}

/* Takes what there is. False: the session has hung up. */
static bool receive(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {buffer + filled, sizeof(buffer) - filled};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (cm) {
		ck_assert_int_eq(got_fd, -1);
		ck_assert_uint_eq(cm->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&got_fd, CMSG_DATA(cm), sizeof(int));
	}
	if (n > 0)
		filled += (size_t)n;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The next line, or NULL: there is none. The caller's. */
static json_t *next_line(void)
{
	char *stop = memchr(buffer, '\n', filled);
	json_t *line;

	for (int i = 0; !stop && i < 50; i++) {
		fake_turn();
		if (!receive())
			break;
		stop = memchr(buffer, '\n', filled);
	}
	if (!stop)
		return NULL;
	line = json_loadb(buffer, (size_t)(stop - buffer), JSON_REJECT_DUPLICATES, NULL);
	ck_assert_msg(line != NULL, "not JSON: %.*s", (int)(stop - buffer), buffer);
	filled -= (size_t)(stop + 1 - buffer);
	memmove(buffer, stop + 1, filled);
	return line;
}

static bool is_hung_up(void)
{
	fake_turn();
	while (filled < sizeof(buffer)) {
		size_t before = filled;

		if (!receive())
			return true;
		if (filled == before)
			return false;
	}
	return false;
}

static const char *dump(const json_t *json)
{
	static char text[65536];
	size_t n = json_dumpb(json, text, sizeof(text) - 1, JSON_COMPACT | JSON_SORT_KEYS);

	text[n] = '\0';
	return text;
}

/* The next line is this, in any order of fields. */
static void expect(const char *wanted)
{
	json_t *line = next_line(), *w = json_loads(wanted, 0, NULL);

	ck_assert_msg(w != NULL, "bad test: %s", wanted);
	ck_assert_msg(line != NULL, "nothing came; wanted %s", wanted);
	ck_assert_msg(json_equal(line, w), "%s\nwanted %s", dump(line), wanted);
	json_decref(line);
	json_decref(w);
}

static void expect_nothing(void)
{
	json_t *line = next_line();

	ck_assert_msg(line == NULL, "%s", dump(line));
}

/* The next line is an error of this code, whose message has these words. */
static void expect_error(const char *code, const char *words)
{
	json_t *line = next_line();
	const char *got = NULL, *message = NULL;

	ck_assert_msg(line != NULL, "nothing came; wanted %s", code);
	json_unpack(line, "{s:{s:s, s:s}}", "error", "code", &got, "message", &message);
	ck_assert_msg(got && !strcmp(got, code), "%s, wanted %s", dump(line), code);
	ck_assert_msg(strstr(message, words) != NULL, "%s, wanted: %s", dump(line), words);
	json_decref(line);
}

static void ask(const char *request)
{
	say(request, strlen(request));
	say("\n", 1);
}

#define ck_said(wanted) ck_assert_str_eq(fake_said(), wanted)

/* ---- machines ------------------------------------------------------------------------ */

/* Asks for a guest without manifest and says that it has started. */
static struct machine *start(const char *name)
{
	char line[256];
	struct machine *m;

	snprintf(line, sizeof(line),
		 "{\"id\":0,\"op\":\"start\",\"program\":\"/p\",\"name\":\"%s\"}", name);
	ask(line);
	json_decref(next_line());
	m = session_find(&fake.s, name);
	ck_assert_ptr_nonnull(m);
	lifecycle_started(m);
	fake_said();
	return m;
}

static int open_file(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

/* The simplest request. */
#define PS "{\"id\":1,\"op\":\"ps\"}"
#define PS_ANSWER "{\"id\":1,\"ok\":true,\"guests\":[]}"

#endif
