/* exo-fs: the program. See fs.h. */
#include "fs.h"

#include "fdmsg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_MAX 64 /* steps for one connection before the others have theirs */

struct conn {
	int fd; /* -1: free */
	struct p9_conn *p9;
};

static struct server {
	struct conn conn[FS_CONNS_MAX];
	struct p9_limits limits;
	struct p9_backend backend;
	bool control; /* fd 3 is open at its other end */
} server;

static void drop(struct conn *c)
{
	close(c->fd);
	p9_conn_destroy(c->p9);
	*c = (struct conn){.fd = -1};
}

static void add(int fd)
{
	for (unsigned i = 0; i < FS_CONNS_MAX; i++) {
		struct conn *c = &server.conn[i];

		if (c->fd >= 0)
			continue;
		c->p9 = p9_conn_create(&server.backend, NULL, &server.limits);
		if (!c->p9)
			break;
		c->fd = fd;
		return;
	}
	close(fd);
}

static void take_connection(void)
{
	char byte;
	int fds[FDMSG_FDS_MAX];
	unsigned nfds;
	ssize_t n = fdmsg_recv(FS_CONTROL_FD, &byte, sizeof(byte), fds, FDMSG_FDS_MAX, &nfds);

	if (n == -EAGAIN || n == -EMFILE || n == -EMSGSIZE)
		return;
	if (n <= 0)
		server.control = false;
	for (unsigned i = 0; i < nfds; i++)
		add(fds[i]);
}

/* One read or write. 1: there may be more to do, 0: wait, negative: it is over. */
static int step(struct conn *c)
{
	size_t n;
	const void *out = p9_conn_output(c->p9, &n);
	void *room;
	ssize_t done;
	int err;

	if (n) {
		done = send(c->fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		room = p9_conn_room(c->p9, &n);
		done = recv(c->fd, room, n, MSG_DONTWAIT);
		if (done == 0)
			return -EPIPE;
		out = NULL;
	}
	if (done < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	err = out ? p9_conn_sent(c->p9, (size_t)done) : p9_conn_received(c->p9, (size_t)done);
	return err ? err : 1;
}

static void serve(struct conn *c)
{
	int more = 1;

	for (unsigned i = 0; i < TURN_MAX && more > 0; i++)
		more = step(c);
	if (more < 0)
		drop(c);
}

/* Fills in what to wait for; how many there are. */
static unsigned watch(struct pollfd fds[FS_CONNS_MAX + 1], struct conn *of[FS_CONNS_MAX + 1])
{
	unsigned n = 0;

	if (server.control)
		fds[n++] = (struct pollfd){.fd = FS_CONTROL_FD, .events = POLLIN};
	for (unsigned i = 0; i < FS_CONNS_MAX; i++) {
		struct conn *c = &server.conn[i];
		size_t out;

		if (c->fd < 0)
			continue;
		p9_conn_output(c->p9, &out);
		of[n] = c;
		fds[n++] = (struct pollfd){.fd = c->fd, .events = out ? POLLOUT : POLLIN};
	}
	return n;
}

static int run(void)
{
	struct pollfd fds[FS_CONNS_MAX + 1];
	struct conn *of[FS_CONNS_MAX + 1];
	unsigned n;

	while ((n = watch(fds, of))) {
		unsigned at = server.control;

		if (poll(fds, n, -1) < 0 && errno != EINTR)
			return 1;
		for (unsigned i = at; i < n; i++) {
			if (fds[i].revents)
				serve(of[i]);
		}
		if (at && fds[0].revents)
			take_connection();
	}
	return 0;
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "exo-fs: %s: %s\n", what, strerror(-err));
	return 1;
}

/* exo-fs [--read-only] [--file NAME] */
static bool take_arguments(char **argv)
{
	char **arg = argv + 1;

	if (*arg && !strcmp(*arg, "--read-only")) {
		server.limits.read_only = true;
		arg++;
	}
	if (*arg && !strcmp(*arg, "--file") && arg[1]) {
		fs_file_name = arg[1];
		arg += 2;
	}
	return !*arg && (!fs_file_name || p9_name_valid(p9_str(fs_file_name)));
}

static bool has_fds(void)
{
	struct stat st;

	return !fstat(FS_CONTROL_FD, &st) && S_ISSOCK(st.st_mode) && !fstat(FS_ROOT_FD, &st) &&
	       (fs_file_name ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode));
}

int main(int argc, char **argv)
{
	const char *what;
	int err;

	if (!argc || !take_arguments(argv) || !has_fds())
		return fail("is started by exo, with a socket as fd 3 and a folder or file as fd 4",
			    -EINVAL);
	server.backend = fs_backend;
	if (fs_file_name)
		fs_file_backend(&server.backend);
	for (unsigned i = 0; i < FS_CONNS_MAX; i++)
		server.conn[i].fd = -1;
	server.control = true;
	if ((err = fs_sandbox_begin(fs_file_name, &what)) ||
	    (err = fs_sandbox_seal(fs_file_name, &what)))
		return fail(what, err);
	return run();
}
