/* The host's side of vsock; see broker.h. */
#include "broker.h"

#include "text.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HANDSHAKE_NS 5000000000ull /* a client that says nothing is dropped */
#define BUSY_NS 2000000000ull      /* a busy server is asked again for so long */
#define BUSY_TICK_NS 5000000ull

static const int types[2] = {SOCK_STREAM, SOCK_SEQPACKET};
static const char *const suffixes[2] = {"", ".seq"};

void broker_init(struct broker *b)
{
	b->path = NULL;
	b->listen_fd[0] = b->listen_fd[1] = -1;
	b->nclients = b->nrequests = 0;
	b->next_id = 1;
}

void broker_finish(struct broker *b)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

	for (int i = 0; i < 2; i++) {
		if (b->listen_fd[i] < 0)
			continue;
		close(b->listen_fd[i]);
		snprintf(path, sizeof(path), "%s%s", b->path, suffixes[i]);
		unlink(path);
	}
	for (unsigned i = 0; i < b->nclients; i++)
		close(b->client[i].fd);
	broker_init(b);
}

/* Is this a socket that nobody listens on? */
static bool is_leftover(const struct sockaddr_un *address, int type)
{
	struct stat st;
	bool refused;
	int fd;

	if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int listen_at(const struct sockaddr_un *address, int type)
{
	const struct sockaddr *sa = (const struct sockaddr *)address;
	mode_t mask = umask(077); /* who may connect: the owner */
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = fd < 0 || bind(fd, sa, sizeof(*address)) ? errno : 0;

	if (err == EADDRINUSE && is_leftover(address, type))
		err = unlink(address->sun_path) || bind(fd, sa, sizeof(*address)) ? errno : 0;
	umask(mask);
	if (!err && listen(fd, 64)) {
		err = errno;
		unlink(address->sun_path);
	}
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return -err;
}

/* 0, or -ENAMETOOLONG. */
static int make_address(struct sockaddr_un *address, const char *path, const char *suffix)
{
	int n;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(address->sun_path, sizeof(address->sun_path), "%s%s", path, suffix);
	return n < 0 || (size_t)n >= sizeof(address->sun_path) ? -ENAMETOOLONG : 0;
}

int broker_listen(struct broker *b, const char *path)
{
	const size_t longest =
		sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof("_4294967295");
	struct sockaddr_un address;

	if (!*path || strlen(path) > longest)
		return text_error(GUEST_EXIT_FAILURE,
				  "--vsock %.40s%s: a socket's path has 1 to %zu bytes", path,
				  strlen(path) > 40 ? "..." : "", longest);
	b->path = path;
	for (int i = 0; i < 2; i++) {
		make_address(&address, path, suffixes[i]);
		b->listen_fd[i] = listen_at(&address, types[i]);
		if (b->listen_fd[i] == -EADDRINUSE)
			return text_error(
				GUEST_EXIT_FAILURE,
				"--vsock %s: in use by a running guest or another program; "
				"choose another path",
				address.sun_path);
		if (b->listen_fd[i] < 0)
			return text_error(GUEST_EXIT_FAILURE, "--vsock %s: %s", address.sun_path,
					  strerror(-b->listen_fd[i]));
	}
	return 0;
}

/* ---- from the guest --------------------------------------------------------- */

/* Answers, unless the server is busy: then -EAGAIN. */
static int try_request(struct broker *b, struct launch *vm, const struct exo_vmm_vsock *m,
		       bool last_try)
{
	bool is_seq = m->type == VIRTIO_VSOCK_TYPE_SEQPACKET;
	struct exo_vmm_vsock reply = {.id = m->id, .port = m->port, .type = m->type};
	struct sockaddr_un address;
	char suffix[16];
	int fd = -1, err = 0;

	snprintf(suffix, sizeof(suffix), "_%u", m->port);
	if (!b->path || make_address(&address, b->path, suffix))
		reply.status = -ECONNREFUSED;
	else if ((fd = socket(AF_UNIX, types[is_seq] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
		 connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		reply.status = errno == ENOENT ? -ECONNREFUSED : -errno;
	if (reply.status == -EAGAIN && !last_try)
		err = -EAGAIN;
	else
		err = launch_send_vsock(vm, EXO_VMM_VSOCK_REPLY, &reply, reply.status ? -1 : fd);
	if (fd >= 0)
		close(fd);
	return err == -EAGAIN && (reply.status != -EAGAIN || last_try) ? -EPIPE : err;
}

int broker_request(struct broker *b, struct launch *vm, const struct exo_vmm_vsock *m)
{
	bool full = b->nrequests == BROKER_REQUESTS_MAX;
	int err = try_request(b, vm, m, full);

	if (err != -EAGAIN)
		return err;
	b->request[b->nrequests++] = (struct broker_request){*m, launch_now_ns() + BUSY_NS};
	return 0;
}

static int retry_requests(struct broker *b, struct launch *vm, uint64_t now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < b->nrequests; i++) {
		struct broker_request *r = &b->request[i];
		int err = try_request(b, vm, &r->message, now >= r->deadline_ns);

		if (err == -EAGAIN)
			b->request[kept++] = *r;
		else if (err)
			return err;
	}
	b->nrequests = kept;
	return 0;
}

/* ---- to the guest ------------------------------------------------------------- */

int broker_parse_connect(const char *line, unsigned length, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const unsigned start = sizeof(word) - 1;
	uint64_t number = 0;

	if (length < start + 2 || memcmp(line, word, start) || line[length - 1] != '\n' ||
	    length - start - 1 > 10)
		return -EINVAL;
	for (unsigned i = start; i < length - 1; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EINVAL;
		number = number * 10 + (uint64_t)(line[i] - '0');
	}
	if (number >= UINT32_MAX) /* VMADDR_PORT_ANY is no port */
		return -EINVAL;
	*port = (uint32_t)number;
	return 0;
}

static void accept_client(struct broker *b, int which)
{
	int fd = accept4(b->listen_fd[which], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	b->client[b->nclients++] = (struct broker_client){
		.fd = fd, .is_seq = which, .deadline_ns = launch_now_ns() + HANDSHAKE_NS};
}

/*
 * Reads up to the end of the line and not a byte further: what follows is the
 * guest's. 1: the line is complete; 0: not yet; negative: drop the client.
 */
static int read_line(struct broker_client *c)
{
	unsigned room = BROKER_LINE_MAX - c->length;
	char *at = c->line + c->length, *end;
	ssize_t n;

	if (c->is_seq) { /* one packet, whole */
		n = recv(c->fd, at, room, MSG_TRUNC);
		c->length = n > 0 && (size_t)n <= room ? (unsigned)n : 0;
		return n < 0 && errno == EAGAIN ? 0 : c->length ? 1 : -EINVAL;
	}
	n = recv(c->fd, at, room, MSG_PEEK);
	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
	end = memchr(at, '\n', (size_t)n);
	n = recv(c->fd, at, end ? (size_t)(end - at) + 1 : (size_t)n, 0);
	if (n <= 0)
		return -ECONNRESET;
	c->length += (unsigned)n;
	return end ? 1 : c->length == BROKER_LINE_MAX ? -EINVAL : 0;
}

/* 0: goes on; 1: done with this client; negative: the VMM does not listen. */
static int serve_client(struct broker *b, struct launch *vm, struct broker_client *c)
{
	struct exo_vmm_vsock open = {.id = b->next_id, .flags = EXO_VSOCK_SAY_OK};
	int got = read_line(c);
	int err;

	if (got <= 0)
		return got ? 1 : 0;
	if (broker_parse_connect(c->line, c->length, &open.port))
		return 1;
	open.type = c->is_seq ? VIRTIO_VSOCK_TYPE_SEQPACKET : VIRTIO_VSOCK_TYPE_STREAM;
	b->next_id++;
	err = launch_send_vsock(vm, EXO_VMM_VSOCK_OPEN, &open, c->fd);
	return err ? err : 1;
}

unsigned broker_poll(const struct broker *b, struct pollfd *fds)
{
	unsigned n = 0;

	if (!b->path)
		return 0;
	for (int i = 0; i < 2; i++) /* a full table leaves clients in the backlog */
		fds[n++] = (struct pollfd){
			b->nclients + 2 > BROKER_CLIENTS_MAX ? -1 : b->listen_fd[i], POLLIN, 0};
	for (unsigned i = 0; i < b->nclients; i++)
		fds[n++] = (struct pollfd){b->client[i].fd, POLLIN, 0};
	return n;
}

uint64_t broker_deadline(const struct broker *b)
{
	uint64_t earliest = b->nrequests ? launch_now_ns() + BUSY_TICK_NS : 0;

	for (unsigned i = 0; i < b->nclients; i++) {
		if (!earliest || b->client[i].deadline_ns < earliest)
			earliest = b->client[i].deadline_ns;
	}
	return earliest;
}

int broker_handle(struct broker *b, struct launch *vm, const struct pollfd *fds, unsigned nfds)
{
	uint64_t now = b->nclients || b->nrequests ? launch_now_ns() : 0;
	unsigned kept = 0, polled = b->nclients;
	int err = b->nrequests ? retry_requests(b, vm, now) : 0;

	if (nfds < 2)
		return err;
	for (unsigned i = 0; i < polled; i++) {
		struct broker_client *c = &b->client[i];
		bool ready = fds[2 + i].revents;
		int done = ready ? serve_client(b, vm, c) : now >= c->deadline_ns;

		if (!done) {
			b->client[kept++] = *c;
			continue;
		}
		close(c->fd);
		err = done < 0 ? done : err;
	}
	b->nclients = kept;
	for (int i = 0; i < 2; i++) {
		if (fds[i].revents & POLLIN)
			accept_client(b, i);
	}
	return err;
}
