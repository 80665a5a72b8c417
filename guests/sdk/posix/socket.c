/*
 * Sockets: AF_VSOCK, stream and seqpacket, as vsock(7) has them on Linux. The
 * guest's peer is always CID 2; which port leads where is the host's decision.
 */
#include "vsock_conn.h"

#include "../drivers/vsock.h"

#include <fcntl.h>
#include <sys/socket.h>

static void socket_close(struct file *f);
static unsigned socket_poll(struct file *f);
static void socket_poll_prepare(struct file *f);

static const struct file_ops socket_ops = {
	.readv = vsock_readv,
	.writev = vsock_writev,
	.poll = socket_poll,
	.poll_prepare = socket_poll_prepare,
	.close = socket_close,
	.mode = S_IFSOCK | 0777,
};

static struct vsock *of(struct file *f)
{
	return (struct vsock *)(void *)f;
}

static struct vsock *get(int fd, long *err)
{
	struct file *f = fd_file(fd);

	*err = f ? -ENOTSOCK : -EBADF;
	return f && f->ops == &socket_ops ? of(f) : NULL;
}

struct vsock *vsock_of_fd(int fd, long *err)
{
	return get(fd, err);
}

struct vsock *vsock_of_file(struct file *f)
{
	return f && f->ops == &socket_ops ? of(f) : NULL;
}

static long install(struct vsock *s, int flags)
{
	s->file = (struct file){.ops = &socket_ops,
				.refs = 1,
				.flags = O_RDWR | (flags & SOCK_NONBLOCK ? O_NONBLOCK : 0u)};
	return fd_install_new(&s->file, flags & SOCK_CLOEXEC ? O_CLOEXEC : 0);
}

long socket_create(int domain, int type, int protocol)
{
	int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct vsock *s;

	if (domain != AF_VSOCK || !vsock_ready())
		return -EAFNOSUPPORT;
	if (protocol != 0 && protocol != PF_VSOCK)
		return -EPROTONOSUPPORT;
	if (kind != SOCK_STREAM && kind != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	s = vsock_new(kind == SOCK_STREAM ? VIRTIO_VSOCK_TYPE_STREAM : VIRTIO_VSOCK_TYPE_SEQPACKET);
	return s ? install(s, type) : -ENOMEM;
}

static void socket_close(struct file *f)
{
	vsock_close(of(f));
}

static bool address(const void *p, unsigned len, struct sockaddr_vm *a)
{
	if (len < sizeof(*a))
		return false;
	memcpy(a, p, sizeof(*a));
	return a->svm_family == AF_VSOCK;
}

long socket_bind(int fd, const void *addr, unsigned len)
{
	struct sockaddr_vm a;
	long err;
	struct vsock *s = get(fd, &err);

	if (!s)
		return err;
	if (!address(addr, len, &a) || s->local_port)
		return -EINVAL;
	if (a.svm_cid != VMADDR_CID_ANY && a.svm_cid != vsock_cid())
		return -EADDRNOTAVAIL;
	if (a.svm_port == VMADDR_PORT_ANY)
		return vsock_bind_any(s);
	if (vsock_bound(s->type, a.svm_port))
		return -EADDRINUSE;
	s->local_port = a.svm_port;
	return 0;
}

long socket_listen(int fd, int backlog)
{
	long err;
	struct vsock *s = get(fd, &err);

	if (!s)
		return err;
	if (!s->local_port || (s->state != VSOCK_NEW && s->state != VSOCK_LISTENING))
		return -EINVAL;
	s->state = VSOCK_LISTENING;
	s->backlog = (unsigned)MIN(MAX(backlog, 1), VSOCK_BACKLOG_MAX);
	return 0;
}

static void put_address(void *addr, unsigned *len, uint32_t cid, uint32_t port)
{
	struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};

	if (!addr || !len)
		return;
	memcpy(addr, &a, MIN(*len, sizeof(a)));
	*len = sizeof(a);
}

long socket_accept(int fd, void *addr, unsigned *len, int flags)
{
	long err;
	struct vsock *l = get(fd, &err), *s;
	uint64_t deadline;

	if (!l)
		return err;
	if (l->state != VSOCK_LISTENING)
		return -EINVAL;
	deadline = vsock_deadline(l->rcv_timeout_ns);
	while (!l->queue_head) {
		vsock_drain();
		if (l->queue_head)
			break;
		err = vsock_wait(l, file_nonblock(&l->file), deadline);
		if (err < 0)
			return err;
	}
	s = l->queue_head;
	l->queue_head = s->queue_next;
	if (!l->queue_head)
		l->queue_tail = NULL;
	l->queued--;
	s->listener = NULL;
	err = install(s, flags);
	if (err >= 0)
		put_address(addr, len, s->peer_cid, s->peer_port);
	return err;
}

static long finish_connect(struct vsock *s, bool nonblock)
{
	long err;

	while (s->state == VSOCK_CONNECTING) {
		vsock_drain();
		if (s->state != VSOCK_CONNECTING)
			break;
		if (nonblock)
			return -EINPROGRESS;
		err = thread_sleep(s, DEADLINE_NEVER); /* the timer ends it */
		if (err == -RESTART_CALL)
			return -EINTR;
	}
	err = s->error;
	s->error = 0;
	return -err;
}

static long connect_port(struct vsock *s, uint32_t cid, uint32_t port, bool nonblock)
{
	if (!s->local_port)
		vsock_bind_any(s);
	s->peer_cid = cid;
	s->peer_port = port;
	s->state = VSOCK_CONNECTING;
	s->error = 0;
	s->reason = EXO_REASON_NONE;
	s->peer_no_send = s->peer_no_recv = false;
	vsock_connect_timer(s);
	if (!vsock_control_wait(s, VIRTIO_VSOCK_OP_REQUEST, 0)) {
		timer_clear(&s->timer);
		s->state = VSOCK_NEW;
		return -ENOBUFS;
	}
	return finish_connect(s, nonblock);
}

long socket_connect(int fd, const void *addr, unsigned len)
{
	struct sockaddr_vm a;
	long err;
	struct vsock *s = get(fd, &err);

	if (!s)
		return err;
	if (!address(addr, len, &a) || s->state == VSOCK_LISTENING)
		return -EINVAL;
	if (s->state == VSOCK_CONNECTING)
		return file_nonblock(&s->file) ? -EALREADY : finish_connect(s, false);
	if (s->state != VSOCK_NEW)
		return -EISCONN;
	if (a.svm_cid != VMADDR_CID_HOST)
		return -ENETUNREACH;
	return connect_port(s, a.svm_cid, a.svm_port, file_nonblock(&s->file));
}

long socket_shutdown(int fd, int how)
{
	long err;
	struct vsock *s = get(fd, &err);

	if (!s)
		return err;
	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;
	if (s->state != VSOCK_CONNECTED)
		return -ENOTCONN;
	s->shut_read |= how != SHUT_WR;
	s->shut_write |= how != SHUT_RD;
	if (s->direct)
		direct_half_close(s, how != SHUT_RD, how != SHUT_WR);
	else
		vsock_control(s, VIRTIO_VSOCK_OP_SHUTDOWN,
			      (s->shut_read ? VIRTIO_VSOCK_SHUTDOWN_RCV : 0u) |
				      (s->shut_write ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0u));
	thread_wake(s);
	return 0;
}

long socket_name(int fd, void *addr, unsigned *len, bool peer)
{
	long err;
	struct vsock *s = get(fd, &err);

	if (!s)
		return err;
	if (!peer)
		put_address(addr, len, vsock_cid(),
			    s->local_port ? s->local_port : VMADDR_PORT_ANY);
	else if (s->state >= VSOCK_CONNECTED)
		put_address(addr, len, s->peer_cid, s->peer_port);
	else
		return -ENOTCONN;
	return 0;
}

static unsigned poll_connected(struct vsock *s)
{
	bool in, out, end = s->peer_no_send || direct_at_end(s);

	in = vsock_has_data(s) || s->shut_read || end;
	out = s->shut_write || s->peer_no_recv ||
	      (s->direct ? direct_writable(s) : !s->midway && vsock_credit(s) != 0);
	return (in ? POLLIN | POLLRDNORM : 0) | (out ? POLLOUT | POLLWRNORM : 0) |
	       (s->error ? POLLERR : 0) | (end ? POLLRDHUP : 0) |
	       (s->state == VSOCK_DONE || (end && s->shut_write) ? POLLHUP : 0);
}

static unsigned socket_poll(struct file *f)
{
	struct vsock *s = of(f);

	vsock_drain();
	if (s->state == VSOCK_LISTENING)
		return s->queue_head ? POLLIN | POLLRDNORM : 0;
	if (s->state == VSOCK_CONNECTING)
		return 0;
	if (s->state == VSOCK_NEW)
		return POLLOUT | POLLHUP | (s->error ? POLLERR : 0);
	return poll_connected(s);
}

static void socket_poll_prepare(struct file *f)
{
	direct_poll_prepare(of(f));
}

int socket_open_stream(uint32_t port, struct file **out)
{
	struct vsock *s;
	long err;

	if (!vsock_ready())
		return -ENETDOWN;
	s = vsock_new(VIRTIO_VSOCK_TYPE_STREAM);
	if (!s)
		return -ENOMEM;
	s->file = (struct file){.ops = &socket_ops, .refs = 1, .flags = O_RDWR};
	err = connect_port(s, VMADDR_CID_HOST, port, false);
	if (err < 0) {
		file_unref(&s->file);
		return (int)err;
	}
	*out = &s->file;
	return 0;
}
