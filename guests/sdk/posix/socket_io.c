/*
 * Sending and receiving on sockets, as vsock(7) and recv(2) have them. Here by the
 * device's queues, in packets; vsock_direct.c has the other way.
 */
#include "vsock_conn.h"

#include "../drivers/vsock.h"

#include <sys/socket.h>

uint64_t vsock_deadline(uint64_t timeout_ns)
{
	return timeout_ns ? clock_ns() + timeout_ns : DEADLINE_NEVER;
}

long vsock_wait(struct vsock *s, bool nonblock, uint64_t deadline)
{
	int err;

	if (nonblock)
		return -EAGAIN;
	err = thread_sleep(s, deadline);
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

bool vsock_has_data(struct vsock *s)
{
	if (s->direct)
		return direct_readable(s);
	return s->type == VIRTIO_VSOCK_TYPE_STREAM ? s->count : s->complete;
}

/* ---- sending ----------------------------------------------------------- */

static bool may_send(const struct vsock *s, uint32_t need)
{
	return !s->midway && vsock_credit(s) >= need;
}

/*
 * Waits until there is credit for `need` bytes, and no other thread has sent a part of
 * its message only. 0 or -errno. Asks for news of credit, and again if somebody else
 * took some meanwhile.
 */
static long await_credit(struct vsock *s, uint32_t need, bool nonblock, uint64_t deadline)
{
	uint32_t seen = UINT32_MAX;

	for (;;) {
		long err;

		if (s->state != VSOCK_CONNECTED && s->state != VSOCK_DONE)
			return -ENOTCONN;
		if (s->state == VSOCK_DONE || s->shut_write || s->peer_no_recv)
			return -EPIPE;
		if (may_send(s, need))
			return 0;
		vsock_drain();
		if (may_send(s, need) || s->state != VSOCK_CONNECTED)
			continue;
		if (vsock_credit(s) < MIN(need, seen))
			vsock_control(s, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
		seen = vsock_credit(s);
		err = vsock_wait(s, nonblock, deadline);
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
	uint64_t deadline = vsock_deadline(s->snd_timeout_ns);

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
	err = await_credit(s, (uint32_t)total, nonblock, vsock_deadline(s->snd_timeout_ns));
	if (err < 0)
		return err;
	s->midway = true; /* sending a part may sleep */
	do {              /* an empty message is one packet too */
		uint32_t part = (uint32_t)MIN(total - at, VSOCK_PACKET_BYTES), flags = 0;

		if (at + part == total)
			flags = VIRTIO_VSOCK_SEQ_EOM | (eor ? VIRTIO_VSOCK_SEQ_EOR : 0u);
		err = send_part(s, iov, n, at, part, flags);
		at += part;
	} while (err == 0 && at < total);
	s->midway = false;
	vsock_kick();
	thread_wake(s);
	return err < 0 ? err : (long)total;
}

static long send_any(struct vsock *s, const struct iovec *iov, int n, int flags)
{
	bool nonblock = file_nonblock(&s->file) || flags & MSG_DONTWAIT;
	long done;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->error) {
		int err = s->error;

		s->error = 0;
		return -err;
	}
	s->file.refs++; /* another thread may close it while we sleep */
	if (s->direct)
		done = direct_send(s, iov, n, nonblock, flags & MSG_EOR);
	else if (s->type == VIRTIO_VSOCK_TYPE_STREAM)
		done = send_stream(s, iov, n, nonblock);
	else
		done = send_message(s, iov, n, nonblock, flags & MSG_EOR);
	file_unref(&s->file);
	return done;
}

long vsock_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return send_any((struct vsock *)(void *)f, iov, n, 0);
}

long socket_send(int fd, const struct iovec *iov, int n, int flags)
{
	long done, err;
	struct vsock *s = vsock_of_fd(fd, &err);

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
	while (!vsock_has_data(s)) {
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
		err = vsock_wait(s, nonblock, deadline);
		if (err < 0)
			return err;
		vsock_drain();
	}
	return 1;
}

static long recv_stream(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock)
{
	uint64_t deadline = vsock_deadline(s->rcv_timeout_ns);
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
	long more = await_data(s, nonblock, vsock_deadline(s->rcv_timeout_ns));
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
	long done;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	s->file.refs++;
	if (s->direct)
		done = direct_recv(s, iov, n, flags, nonblock, out_flags);
	else if (s->type == VIRTIO_VSOCK_TYPE_STREAM)
		done = recv_stream(s, iov, n, flags, nonblock);
	else
		done = recv_message(s, iov, n, flags, nonblock, out_flags);
	file_unref(&s->file);
	return done;
}

long vsock_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return recv_any((struct vsock *)(void *)f, iov, n, 0, NULL);
}

long socket_recv(int fd, const struct iovec *iov, int n, int flags, int *out_flags)
{
	long err;
	struct vsock *s = vsock_of_fd(fd, &err);

	return s ? recv_any(s, iov, n, flags, out_flags) : err;
}
