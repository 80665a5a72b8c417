/*
 * The store service: content-addressed objects and versioned names on a disk of
 * its own (exo_store.h has the protocol, disklog.h the disk); and the same names as
 * files, over 9P (files.h), to who is granted the service "files".
 *
 *   store [DISK]        default /dev/vda
 *
 * One thread. Requests that are there at the same time share one commit: all are
 * carried out, the log is made durable, then all are answered. A connection's
 * next request is read when the answer to the one before has left, so a client
 * that does not read costs one answer and delays nobody.
 */
#include "disklog.h"
#include "files.h"

#include <exo_channel.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 100

struct client {
	int fd;
	char space[64]; /* its names begin so; "" for the host, which sees all */
	/* With 9P: */
	struct p9_conn *p9;
	struct files files;
	/* Else: */
	struct exo_store_msg answer;
	uint32_t answer_bytes; /* of data; answering: */
	bool answering;
	uint8_t *data; /* EXO_STORE_DATA_MAX */
};

static struct {
	struct disklog *log;
	int listen_fd[2]; /* store, files */
	unsigned nclients;
	struct client *client[CLIENTS_MAX];
	struct pollfd poll[CLIENTS_MAX + 2];
	struct {
		struct exo_store_msg m;
		uint8_t data[EXO_STORE_DATA_MAX + 1];
	} request;
} store;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the disk ----------------------------------------------------------------------- */

static int disk_read(void *opaque, uint64_t off, void *to, size_t bytes)
{
	const int *fd = opaque;
	ssize_t n = pread(*fd, to, bytes, (off_t)off);

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

static int disk_write(void *opaque, uint64_t off, const void *from, size_t bytes)
{
	const int *fd = opaque;
	ssize_t n = pwrite(*fd, from, bytes, (off_t)off);

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

static int disk_sync(void *opaque)
{
	const int *fd = opaque;

	return fdatasync(*fd) ? -errno : 0;
}

static int open_disk(const char *path)
{
	static int fd;
	struct disklog_disk disk = {&fd, 0, disk_read, disk_write, disk_sync};
	char why[128];
	off_t bytes;

	fd = open(path, O_RDWR);
	bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (bytes < 0) {
		fprintf(stderr, "store: %s: %s; give the machine a disk\n", path, strerror(errno));
		return -1;
	}
	disk.bytes = (uint64_t)bytes;
	if (disklog_open(&store.log, &disk, why)) {
		fprintf(stderr, "store: %s: %s\n", path, why);
		return -1;
	}
	return 0;
}

/* ---- requests -------------------------------------------------------------------------- */

/* The name as the log has it: in the client's space. */
static int full_name(const struct client *c, const char *name, bool may_be_empty,
		     char full[EXO_STORE_NAME_MAX])
{
	int n;

	if (!memchr(name, 0, EXO_STORE_NAME_MAX) || (!*name && !may_be_empty))
		return -EINVAL;
	for (const char *p = name; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return -EINVAL;
	}
	n = *c->space ? snprintf(full, EXO_STORE_NAME_MAX, "%s/%s", c->space, name)
		      : snprintf(full, EXO_STORE_NAME_MAX, "%s", name);
	return n < (int)EXO_STORE_NAME_MAX ? 0 : -ENAMETOOLONG;
}

static void answer_ref(struct client *c, const struct exo_store_ref *ref)
{
	struct exo_store_msg *a = &c->answer;
	size_t skip = *c->space ? strlen(c->space) + 1 : 0;

	a->version = ref->version;
	a->time_ns = ref->time_ns;
	a->bytes = ref->bytes;
	memcpy(a->hash, ref->hash, sizeof(a->hash));
	snprintf(a->name, sizeof(a->name), "%s", ref->name + skip);
}

static int do_next(struct client *c, const char *full)
{
	struct exo_store_ref ref;
	size_t space = strlen(c->space);
	int err = disklog_next(store.log, full, &ref);

	if (!err && space && (strncmp(ref.name, c->space, space) || ref.name[space] != '/'))
		err = -ENOENT;
	if (!err)
		answer_ref(c, &ref);
	return err;
}

static int do_get(struct client *c, const struct exo_store_msg *m)
{
	size_t want = m->bytes < EXO_STORE_DATA_MAX ? m->bytes : EXO_STORE_DATA_MAX;
	int64_t n = disklog_get(store.log, m->hash, m->offset, c->data, want, &c->answer.bytes);

	c->answer_bytes = n > 0 ? (uint32_t)n : 0;
	return n < 0 ? (int)n : 0;
}

/* Those of a name; `full` is in the client's space. */
static int do_name(struct client *c, const struct exo_store_msg *m, const char *full)
{
	struct exo_store_ref ref;
	int err;

	switch (m->op) {
	case EXO_STORE_SET:
		return disklog_set(store.log, full, m->hash, m->version, now_ns(),
				   &c->answer.version);
	case EXO_STORE_LOOKUP:
		err = disklog_lookup(store.log, full, m->version, &ref);
		if (!err)
			answer_ref(c, &ref);
		return err;
	case EXO_STORE_NEXT:
		return do_next(c, full);
	case EXO_STORE_UNSET:
		return disklog_unset(store.log, full, m->version, now_ns());
	case EXO_STORE_PRUNE:
		return disklog_prune(store.log, full, m->version, now_ns());
	}
	return -ENOSYS;
}

static int carry_out(struct client *c, const struct exo_store_msg *m, const uint8_t *data,
		     uint32_t bytes)
{
	char full[EXO_STORE_NAME_MAX];
	int err;

	if ((m->op != EXO_STORE_PUT && bytes) || m->flags & ~EXO_STORE_LIST)
		return -EINVAL;
	switch (m->op) {
	case EXO_STORE_PUT:
		return disklog_put(store.log, data, bytes, m->flags & EXO_STORE_LIST, now_ns(),
				   c->answer.hash);
	case EXO_STORE_GET:
		return do_get(c, m);
	case EXO_STORE_STAT:
		disklog_stat(store.log, &c->answer.bytes, &c->answer.offset);
		return 0;
	}
	err = full_name(c, m->name, m->op == EXO_STORE_NEXT, full);
	return err ? err : do_name(c, m, full);
}

/* ---- clients ------------------------------------------------------------------------------ */

static void free_client(struct client *c)
{
	p9_conn_destroy(c->p9);
	close(c->fd);
	free(c->data);
	free(c);
}

static void drop_client(unsigned i)
{
	free_client(store.client[i]);
	store.client[i] = store.client[--store.nclients];
}

/* What one kind of client needs, or the other. */
static bool prepare(struct client *c, bool files)
{
	if (!files) {
		c->data = malloc(EXO_STORE_DATA_MAX);
		return c->data;
	}
	c->files = (struct files){store.log, c->space};
	c->p9 = p9_conn_create(&files_backend, &c->files, &(struct p9_limits){0});
	return c->p9;
}

static void accept_client(bool files)
{
	int fd = accept4(store.listen_fd[files], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
	struct exo_peer peer;

	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->fd = fd;
	if (exo_peer(fd, &peer) || !prepare(c, files)) {
		free_client(c);
		return;
	}
	if (strcmp(peer.name, "host"))
		memcpy(c->space, peer.name, sizeof(c->space));
	store.client[store.nclients++] = c;
}

/* ---- requests of both kinds ------------------------------------------------------------------ */

static bool has_answer(const struct client *c)
{
	size_t n = 0;

	if (c->p9)
		p9_conn_output(c->p9, &n);
	return c->p9 ? n > 0 : c->answering;
}

/* False: the client has gone, or speaks nonsense. */
static bool take_p9(struct client *c)
{
	size_t room;
	void *to = p9_conn_room(c->p9, &room);
	ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	return n > 0 && !p9_conn_received(c->p9, (size_t)n);
}

/* Sends what is committed. What that lets the server do next waits for the next round. */
static bool send_p9(struct client *c)
{
	size_t bytes;
	const void *from = p9_conn_output(c->p9, &bytes);
	ssize_t n = send(c->fd, from, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	return n >= 0 && !p9_conn_sent(c->p9, (size_t)n);
}

/* Takes one request and carries it out. False: the client has gone, or speaks nonsense. */
static bool take_request(struct client *c)
{
	struct exo_store_msg *m = &store.request.m;
	ssize_t n = recv(c->fd, &store.request, sizeof(store.request), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < (ssize_t)sizeof(*m) || n > (ssize_t)(sizeof(*m) + EXO_STORE_DATA_MAX))
		return false;
	c->answer = (struct exo_store_msg){.op = m->op, .id = m->id};
	c->answer_bytes = 0;
	c->answering = true;
	c->answer.status = carry_out(c, m, store.request.data, (uint32_t)((size_t)n - sizeof(*m)));
	return true;
}

/* False: the client has gone. Stays `answering` while it does not read. */
static bool send_answer(struct client *c)
{
	struct iovec iov[2] = {{&c->answer, sizeof(c->answer)}, {c->data, c->answer_bytes}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = c->answer_bytes ? 2 : 1};
	ssize_t n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	c->answering = false;
	return n >= 0;
}

static void wait_for_work(void)
{
	unsigned n = store.nclients;
	bool room = n < CLIENTS_MAX; /* a full table leaves connections in the backlog */

	for (unsigned i = 0; i < n; i++)
		store.poll[i] = (struct pollfd){store.client[i]->fd,
						has_answer(store.client[i]) ? POLLOUT : POLLIN, 0};
	for (unsigned i = 0; i < 2; i++)
		store.poll[n + i] = (struct pollfd){room ? store.listen_fd[i] : -1, POLLIN, 0};
	if (poll(store.poll, n + 2, -1) < 0 && errno != EINTR)
		exit(1);
}

/* Makes everything so far durable. The disk has failed for good: -1. */
static int commit(void)
{
	int err = disklog_commit(store.log);

	if (!err)
		return 0;
	fprintf(stderr, "store: disk: %s\n", strerror(-err));
	return -1; /* nothing of this round is acknowledged; a restart reads what is there */
}

/* One round: requests, commit, answers. */
static int serve(void)
{
	unsigned polled = store.nclients;
	bool gone[CLIENTS_MAX] = {false};

	for (unsigned i = 0; i < polled; i++) {
		struct client *c = store.client[i];

		if (store.poll[i].revents && !has_answer(c))
			gone[i] = !(c->p9 ? take_p9(c) : take_request(c));
	}
	if (commit())
		return -1;
	for (unsigned i = polled; i--;) {
		struct client *c = store.client[i];

		if (!gone[i] && has_answer(c))
			gone[i] = !(c->p9 ? send_p9(c) : send_answer(c));
		if (gone[i])
			drop_client(i);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (store.poll[polled + i].revents && store.nclients < CLIENTS_MAX)
			accept_client(i);
	}
	return commit(); /* files that were open in connections that ended */
}

int main(int argc, char **argv)
{
	static const char *const services[2] = {"store", "files"};
	static const int types[2] = {SOCK_SEQPACKET, SOCK_STREAM};

	if (open_disk(argc > 1 ? argv[1] : "/dev/vda"))
		return 1;
	for (unsigned i = 0; i < 2; i++) {
		store.listen_fd[i] = exo_serve(services[i], types[i] | SOCK_NONBLOCK);
		if (store.listen_fd[i] >= 0)
			continue;
		fprintf(stderr, "store: service %s: %s; start it in a session, with its manifest\n",
			services[i], strerror(errno));
		return 1;
	}
	for (;;) {
		wait_for_work();
		if (serve())
			return 1;
	}
}
