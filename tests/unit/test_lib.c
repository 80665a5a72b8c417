/* lib/: packets with fds, and the event loop with its removals and timers. */
#include "fdmsg.h"
#include "loop.h"
#include "timers.h"
#include "unit.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int sock[2];
static struct loop loop;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sock), 0);
	ck_assert_int_eq(loop_init(&loop), 0);
}

static void teardown(void)
{
	loop_finish(&loop);
	close(sock[0]);
	close(sock[1]);
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- fdmsg ------------------------------------------------------------------- */

START_TEST(packet_with_fds)
{
	int p[2], got[4];
	unsigned n;
	char buf[16];

	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(fdmsg_send(sock[0], "hello", 5, p, 2), 0);
	ck_assert_int_eq(fdmsg_recv(sock[1], buf, sizeof(buf), got, 4, &n), 5);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(memcmp(buf, "hello", 5), 0);
	ck_assert_int_eq(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(write(got[1], "x", 1), 1);
	ck_assert_int_eq(read(p[0], buf, 1), 1);
	for (unsigned i = 0; i < 2; i++) {
		close(p[i]);
		close(got[i]);
	}
}
END_TEST

START_TEST(packet_too_large)
{
	int got[4], give[3] = {0, 1, 2};
	unsigned before = count_fds(), n;
	char buf[4];

	ck_assert_int_eq(fdmsg_send(sock[0], "hello", 5, give, 3), 0);
	ck_assert_int_eq(fdmsg_recv(sock[1], buf, 4, got, 4, &n), -EMSGSIZE);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(fdmsg_send(sock[0], "hell", 4, give, 3), 0);
	ck_assert_int_eq(fdmsg_recv(sock[1], buf, 4, got, 2, &n), -EMSGSIZE);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(count_fds(), before);
	ck_assert_int_eq(fdmsg_send(sock[0], "a", 1, give, FDMSG_FDS_MAX + 1), -EINVAL);
}
END_TEST

START_TEST(hang_up)
{
	unsigned n;
	char c;

	close(sock[0]);
	ck_assert_int_eq(fdmsg_recv(sock[1], &c, 1, NULL, 0, &n), 0);
	ck_assert_int_eq(fdmsg_send(sock[1], "a", 1, NULL, 0), -EPIPE);
	sock[0] = dup(sock[1]);
}
END_TEST

/* ---- loop --------------------------------------------------------------------- */

static unsigned calls;
static int victim = -1;

static void drain(void *opaque, int fd, uint32_t events)
{
	char c;

	calls++;
	ck_assert_int_eq(read(fd, &c, 1), 1);
}

static void remove_other(void *opaque, int fd, uint32_t events)
{
	int other = fd == sock[0] ? sock[1] : sock[0];

	calls++;
	loop_del(&loop, other);
	if (victim >= 0) /* the number comes back at once */
		ck_assert_int_eq(loop_add(&loop, other, EPOLLIN, drain, NULL), 0);
	loop_del(&loop, fd);
}

/* Closing a socket with packets unread is an error for the other end, but loses nothing. */
START_TEST(last_words_arrive)
{
	int pair[2];
	unsigned n;
	char buf[8];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	ck_assert_int_eq(fdmsg_send(pair[1], "unread", 6, NULL, 0), 0);
	ck_assert_int_eq(fdmsg_send(pair[0], "last", 4, NULL, 0), 0);
	close(pair[0]);
	ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof(buf), NULL, 0, &n), 4);
	ck_assert_int_eq(fdmsg_recv(pair[1], buf, sizeof(buf), NULL, 0, &n), 0);
	close(pair[1]);
}
END_TEST

START_TEST(events)
{
	calls = 0;
	ck_assert_int_eq(loop_add(&loop, sock[0], EPOLLIN, drain, NULL), 0);
	ck_assert_int_eq(loop_add(&loop, sock[0], EPOLLIN, drain, NULL), -EEXIST);
	ck_assert_int_eq(loop_mod(&loop, sock[1], EPOLLIN), -ENOENT);
	ck_assert_int_eq(loop_add(&loop, -1, EPOLLIN, drain, NULL), -EBADF);
	ck_assert_int_eq(loop_add(&loop, LOOP_FDS_MAX, EPOLLIN, drain, NULL), -EMFILE);
	ck_assert_int_eq(write(sock[1], "a", 1), 1);
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_eq(calls, 1);
	loop_del(&loop, sock[0]);
	loop_del(&loop, sock[0]);
	ck_assert(!loop_has(&loop, sock[0]));
}
END_TEST

/* Beyond the slots that are always there. */
START_TEST(high_fd)
{
	int high = fcntl(sock[0], F_DUPFD_CLOEXEC, LOOP_CHUNK + 5);

	if (high < 0) /* the limit is too low here: the slots are what this is about */
		ck_assert_int_eq(errno, EINVAL);
	calls = 0;
	ck_assert(!loop_has(&loop, LOOP_CHUNK + 5));
	loop_del(&loop, LOOP_CHUNK + 5);
	ck_assert_int_eq(loop_mod(&loop, LOOP_CHUNK + 5, EPOLLIN), -ENOENT);
	if (high < 0)
		return;
	ck_assert_int_eq(loop_add(&loop, high, EPOLLIN, drain, NULL), 0);
	ck_assert_int_eq(loop_add(&loop, high, EPOLLIN, drain, NULL), -EEXIST);
	ck_assert_int_eq(write(sock[1], "a", 1), 1);
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_eq(calls, 1);
	ck_assert(loop_has(&loop, high));
	loop_del(&loop, high);
	ck_assert(!loop_has(&loop, high));
	close(high);
}
END_TEST

static void on_timer(void *opaque)
{
	*(unsigned *)opaque += 100;
}

/* Both fds are ready, and each callback removes both: one of them runs. */
START_TEST(removal_in_callback)
{
	calls = 0;
	victim = _i ? 1 : -1;
	ck_assert_int_eq(write(sock[0], "a", 1), 1);
	ck_assert_int_eq(write(sock[1], "a", 1), 1);
	ck_assert_int_eq(loop_add(&loop, sock[0], EPOLLIN, remove_other, NULL), 0);
	ck_assert_int_eq(loop_add(&loop, sock[1], EPOLLIN, remove_other, NULL), 0);
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_eq(calls, 1); /* the old event does not reach the new registration */
}
END_TEST

/* Events 0: not even a hang-up is told. */
START_TEST(silent)
{
	calls = 0;
	ck_assert_int_eq(loop_add(&loop, sock[0], 0, drain, NULL), 0);
	loop_on_timer(&loop, on_timer, &calls);
	close(sock[1]);
	sock[1] = dup(0);
	loop_timer(&loop, 1);
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_eq(calls, 100);
	ck_assert_int_eq(loop_mod(&loop, sock[0], EPOLLIN), 0);
	ck_assert_int_eq(loop_mod(&loop, sock[0], 0), 0);
	ck_assert_int_eq(loop_mod(&loop, sock[0], 0), 0);
}
END_TEST

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A loop that looks before it sleeps sees the same, and sleeps when nothing comes. */
START_TEST(looks_before_it_sleeps)
{
	uint64_t start = now_ns();
	clock_t cpu = clock();
	unsigned fired = 0;

	calls = 0;
	loop_poll(&loop, 50000);
	ck_assert_int_eq(loop_add(&loop, sock[0], EPOLLIN, drain, NULL), 0);
	for (unsigned i = 1; i <= 100; i++) {
		ck_assert_int_eq(write(sock[1], "a", 1), 1);
		ck_assert_int_eq(loop_run_once(&loop), 0);
		ck_assert_uint_eq(calls, i);
	}
	loop_on_timer(&loop, on_timer, &fired);
	for (unsigned i = 1; i <= 20; i++) {
		loop_timer(&loop, now_ns() + 5000000);
		ck_assert_int_eq(loop_run_once(&loop), 0);
		ck_assert_uint_eq(fired, 100 * i);
	}
	ck_assert_uint_ge(now_ns() - start, 100000000);
	ck_assert_int_lt((clock() - cpu) * 1000 / CLOCKS_PER_SEC, 50);
}
END_TEST

START_TEST(regular_file_is_refused)
{
	int fd = open("/proc/self/exe", O_RDONLY);

	ck_assert_int_eq(loop_add(&loop, fd, EPOLLIN, drain, NULL), -EPERM);
	ck_assert(!loop_has(&loop, fd));
	close(fd);
}
END_TEST

/* ---- timers ---------------------------------------------------------------------- */

START_TEST(several_timers)
{
	struct timers timers;
	uint64_t start = now_ns();
	unsigned fired = 0;

	timers_init(&timers, &loop);
	loop_on_timer(&loop, on_timer, &fired);
	timers_set(&timers, 3, start + 20000000);
	timers_set(&timers, 1, start + 10000000);
	timers_set(&timers, 2, start + 5000000);
	timers_set(&timers, 2, 0);
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_eq(fired, 100);
	ck_assert_uint_ge(now_ns(), start + 10000000);
	ck_assert_uint_eq(timers_take_due(&timers, start + 10000000), 1u << 1);
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_ge(now_ns(), start + 20000000);
	ck_assert_uint_eq(timers_take_due(&timers, now_ns()), 1u << 3);
	timers_set(&timers, 31, 1); /* long ago: at once */
	ck_assert_int_eq(loop_run_once(&loop), 0);
	ck_assert_uint_eq(timers_take_due(&timers, now_ns()), 1u << 31);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lib");
	TCase *tc = tcase_create("lib");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, packet_with_fds);
	tcase_add_test(tc, last_words_arrive);
	tcase_add_test(tc, packet_too_large);
	tcase_add_test(tc, hang_up);
	tcase_add_test(tc, events);
	tcase_add_test(tc, high_fd);
	tcase_add_loop_test(tc, removal_in_callback, 0, 2);
	tcase_add_test(tc, silent);
	tcase_add_test(tc, looks_before_it_sleeps);
	tcase_add_test(tc, regular_file_is_refused);
	tcase_add_test(tc, several_timers);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
