/*
 * Sockets: AF_VSOCK, stream and seqpacket, as vsock(7) has them on Linux. The
 * guest's peer is always CID 2; which port leads where is the host's decision.
 */
#include "vsock_conn.h"

#include "../drivers/vsock.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

static void socket_close(struct file *f);
static long socket_readv(struct file *f, const struct iovec *iov, int n, int64_t off);
static long socket_writev(struct file *f, const struct iovec *iov, int n, int64_t off);
static unsigned socket_poll(struct file *f);

static const struct file_ops socket_ops = {
	.readv = socket_readv,
	.writev = socket_writev,
	.poll = socket_poll,
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

static uint64_t deadline_of(uint64_t timeout_ns)
{
	return timeout_ns ? clock_ns() + timeout_ns : DEADLINE_NEVER;
}

/* Sleeps until something happens to s. 0, or what the call returns. */
static long wait(struct vsock *s, bool nonblock, uint64_t deadline)
{
	int err;

	if (nonblock)
		return -EAGAIN;
	err = thread_sleep(s, deadline);
	return err == -ETIMEDOUT ? -EAGAIN : err;
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
	deadline = deadline_of(l->rcv_timeout_ns);
	while (!l->queue_head) {
		vsock_drain();
		if (l->queue_head)
			break;
		err = wait(l, file_nonblock(&l->file), deadline);
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
	if (!s->local_port)
		vsock_bind_any(s);
	s->peer_cid = a.svm_cid;
	s->peer_port = a.svm_port;
	s->state = VSOCK_CONNECTING;
	s->error = 0;
	s->peer_no_send = s->peer_no_recv = false;
	vsock_connect_timer(s);
	if (!vsock_control(s, VIRTIO_VSOCK_OP_REQUEST, 0)) {
		timer_clear(&s->timer);
		s->state = VSOCK_NEW;
		return -ENOBUFS;
	}
	return finish_connect(s, file_nonblock(&s->file));
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

static bool has_data(const struct vsock *s)
{
	return s->type == VIRTIO_VSOCK_TYPE_STREAM ? s->count : s->complete;
}

static unsigned socket_poll(struct file *f)
{
	struct vsock *s = of(f);
	bool in, out;

	vsock_drain();
	if (s->state == VSOCK_LISTENING)
		return s->queue_head ? POLLIN | POLLRDNORM : 0;
	if (s->state == VSOCK_CONNECTING)
		return 0;
	if (s->state == VSOCK_NEW)
		return POLLOUT | POLLHUP | (s->error ? POLLERR : 0);
	in = has_data(s) || s->shut_read || s->peer_no_send;
	out = vsock_credit(s) || s->shut_write || s->peer_no_recv;
	return (in ? POLLIN | POLLRDNORM : 0) | (out ? POLLOUT | POLLWRNORM : 0) |
	       (s->error ? POLLERR : 0) | (s->peer_no_send ? POLLRDHUP : 0) |
	       (s->state == VSOCK_DONE || (s->peer_no_send && s->shut_write) ? POLLHUP : 0);
}

/* ---- sending ----------------------------------------------------------- */

/* Waits until there is credit for `need` bytes. 0 or -errno. */
static long await_credit(struct vsock *s, uint32_t need, bool nonblock, uint64_t deadline)
{
	bool asked = false;

	for (;;) {
		long err;

		if (s->state != VSOCK_CONNECTED && s->state != VSOCK_DONE)
			return -ENOTCONN;
		if (s->state == VSOCK_DONE || s->shut_write || s->peer_no_recv)
			return -EPIPE;
		if (vsock_credit(s) >= need)
			return 0;
		vsock_drain();
		if (vsock_credit(s) >= need || s->state != VSOCK_CONNECTED)
			continue;
		if (!asked)
			vsock_control(s, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
		asked = true;
		err = wait(s, nonblock, deadline);
		if (err < 0)
			return err;
	}
}

static long send_part(struct vsock *s, const struct iovec *iov, int n, size_t at, uint32_t len,
		      uint32_t flags)
{
	struct virtio_vsock_hdr h = vsock_header(s, VIRTIO_VSOCK_OP_RW, flags, len);

	return vsock_send(&h, iov, n, at, len);
}

static long send_stream(struct vsock *s, const struct iovec *iov, int n, bool nonblock)
{
	size_t total = iov_total(iov, n), at = 0;
	uint64_t deadline = deadline_of(s->snd_timeout_ns);

	while (at < total) {
		uint32_t part = 0;
		long err = await_credit(s, 1, nonblock, deadline);

		if (err == 0) {
			part = (uint32_t)MIN(total - at, VSOCK_PACKET_BYTES);
			part = MIN(part, vsock_credit(s));
			err = send_part(s, iov, n, at, part, 0);
		}
		if (err < 0) {
			vsock_kick();
			return at ? (long)at : err;
		}
		at += part;
	}
	vsock_kick();
	return (long)total;
}

static long send_message(struct vsock *s, const struct iovec *iov, int n, bool nonblock, bool eor)
{
	size_t total = iov_total(iov, n), at = 0;
	long err = await_credit(s, 0, nonblock, DEADLINE_NEVER);

	if (err < 0)
		return err;
	if (total > s->peer_buf_alloc)
		return -EMSGSIZE;
	err = await_credit(s, (uint32_t)total, nonblock, deadline_of(s->snd_timeout_ns));
	if (err < 0)
		return err;
	do { /* an empty message is one packet too */
		uint32_t part = (uint32_t)MIN(total - at, VSOCK_PACKET_BYTES), flags = 0;

		if (at + part == total)
			flags = VIRTIO_VSOCK_SEQ_EOM | (eor ? VIRTIO_VSOCK_SEQ_EOR : 0u);
		err = send_part(s, iov, n, at, part, flags);
		at += part;
	} while (err == 0 && at < total);
	vsock_kick();
	return err < 0 ? err : (long)total;
}

static long send_any(struct vsock *s, const struct iovec *iov, int n, int flags)
{
	bool nonblock = file_nonblock(&s->file) || flags & MSG_DONTWAIT;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->error) {
		int err = s->error;

		s->error = 0;
		return -err;
	}
	if (s->type == VIRTIO_VSOCK_TYPE_STREAM)
		return send_stream(s, iov, n, nonblock);
	return send_message(s, iov, n, nonblock, flags & MSG_EOR);
}

static long socket_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return send_any(of(f), iov, n, 0);
}

long socket_send(int fd, const struct iovec *iov, int n, int flags)
{
	long done, err;
	struct vsock *s = get(fd, &err);

	if (!s)
		return err;
	done = send_any(s, iov, n, flags);
	if (done == -EPIPE && !(flags & MSG_NOSIGNAL))
		signal_send(thread_current, SIGPIPE, SI_KERNEL);
	return done;
}

/* ---- receiving --------------------------------------------------------- */

/* Waits for something to read. 1: there is, 0: the end, or -errno. */
static long await_data(struct vsock *s, bool nonblock, uint64_t deadline)
{
	bool spun = false;

	vsock_drain();
	while (!has_data(s)) {
		long err;

		if (s->state < VSOCK_CONNECTED)
			return -ENOTCONN;
		if (s->error) {
			err = s->error;
			s->error = 0;
			return -err;
		}
		if (s->shut_read || s->peer_no_send)
			return 0;
		if (!nonblock && !spun) {
			spun = true;
			vsock_spin();
			continue;
		}
		err = wait(s, nonblock, deadline);
		if (err < 0)
			return err;
		vsock_drain();
	}
	return 1;
}

static long recv_stream(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock)
{
	uint64_t deadline = deadline_of(s->rcv_timeout_ns);
	size_t want = iov_total(iov, n), done = 0;

	while (done < want) {
		uint32_t part;
		long more = await_data(s, nonblock, deadline);

		if (more <= 0)
			return done ? (long)done : more;
		part = (uint32_t)MIN(s->count, want - done);
		vsock_ring_peek(s, 0, iov, n, done, part);
		done += part;
		if (flags & MSG_PEEK)
			break;
		vsock_ring_drop(s, part, part);
		if (!(flags & MSG_WAITALL))
			break;
	}
	return (long)done;
}

static long recv_message(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock,
			 int *out_flags)
{
	size_t want = iov_total(iov, n);
	long more = await_data(s, nonblock, deadline_of(s->rcv_timeout_ns));
	uint32_t len, part;

	if (more <= 0)
		return more;
	len = vsock_ring_word(s);
	part = (uint32_t)MIN(len, want);
	vsock_ring_peek(s, 4, iov, n, 0, part);
	if (out_flags)
		*out_flags |= MSG_EOR | (part < len ? MSG_TRUNC : 0);
	if (!(flags & MSG_PEEK)) {
		s->complete--;
		vsock_ring_drop(s, len + 4, len);
	}
	return flags & MSG_TRUNC ? (long)len : (long)part;
}

static long recv_any(struct vsock *s, const struct iovec *iov, int n, int flags, int *out_flags)
{
	bool nonblock = file_nonblock(&s->file) || flags & MSG_DONTWAIT;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->type == VIRTIO_VSOCK_TYPE_STREAM)
		return recv_stream(s, iov, n, flags, nonblock);
	return recv_message(s, iov, n, flags, nonblock, out_flags);
}

static long socket_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return recv_any(of(f), iov, n, 0, NULL);
}

long socket_recv(int fd, const struct iovec *iov, int n, int flags, int *out_flags)
{
	long err;
	struct vsock *s = get(fd, &err);

	return s ? recv_any(s, iov, n, flags, out_flags) : err;
}
