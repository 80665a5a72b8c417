/* Socket options, and the message forms of sending and receiving. */
#include "vsock_conn.h"

#include <exo.h>
#include <sys/socket.h>
#include <sys/time.h>

#define SPIN_MAX_NS 1000000

static long put(void *val, unsigned *len, const void *from, unsigned size)
{
	if (*len < size)
		return -EINVAL;
	memcpy(val, from, size);
	*len = size;
	return 0;
}

static long get_vsock_opt(struct vsock *s, int opt, void *val, unsigned *len)
{
	uint64_t size = vsock_buf_alloc(s);

	if (opt == SO_VM_SOCKETS_BUFFER_SIZE || opt == SO_VM_SOCKETS_BUFFER_MIN_SIZE ||
	    opt == SO_VM_SOCKETS_BUFFER_MAX_SIZE)
		return put(val, len, &size, sizeof(size));
	return -ENOPROTOOPT;
}

static long get_exo_opt(const struct vsock *s, int opt, void *val, unsigned *len)
{
	int v = opt == EXO_SO_REASON   ? (int)vsock_reason(s)
		: opt == EXO_SO_DIRECT ? s->direct
				       : (int)s->spin.ns;

	if (opt < EXO_SO_REASON || opt > EXO_SO_SPIN_NS)
		return -ENOPROTOOPT;
	return put(val, len, &v, sizeof(v));
}

static long set_spin(struct vsock *s, const void *val, unsigned len)
{
	int v;

	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	s->spin.ns = (uint32_t)MIN(MAX(v, 0), SPIN_MAX_NS);
	return 0;
}

static struct timeval to_timeval(uint64_t ns)
{
	return (struct timeval){.tv_sec = (time_t)(ns / NS_PER_S),
				.tv_usec = (suseconds_t)(ns % NS_PER_S / 1000)};
}

long socket_getopt(int fd, int level, int opt, void *val, unsigned *len)
{
	long err;
	struct vsock *s = vsock_of_fd(fd, &err);
	struct timeval tv;
	int v;

	if (!s)
		return err;
	if (level == AF_VSOCK)
		return get_vsock_opt(s, opt, val, len);
	if (level == SOL_EXO)
		return get_exo_opt(s, opt, val, len);
	if (level != SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (opt) {
	case SO_ERROR:
		v = s->error;
		s->error = 0;
		break;
	case SO_TYPE:
		v = s->type == VIRTIO_VSOCK_TYPE_STREAM ? SOCK_STREAM : SOCK_SEQPACKET;
		break;
	case SO_DOMAIN:
		v = AF_VSOCK;
		break;
	case SO_PROTOCOL:
		v = 0;
		break;
	case SO_ACCEPTCONN:
		v = s->state == VSOCK_LISTENING;
		break;
	case SO_RCVBUF:
		v = (int)(s->direct ? s->shared.bytes : vsock_buf_alloc(s));
		break;
	case SO_SNDBUF:
		v = (int)(s->direct ? s->shared.bytes : s->peer_buf_alloc);
		break;
	case SO_RCVTIMEO:
	case SO_SNDTIMEO:
		tv = to_timeval(opt == SO_RCVTIMEO ? s->rcv_timeout_ns : s->snd_timeout_ns);
		return put(val, len, &tv, sizeof(tv));
	default:
		return -ENOPROTOOPT;
	}
	return put(val, len, &v, sizeof(v));
}

static long set_timeout(uint64_t *ns, const void *val, unsigned len)
{
	struct timeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.tv_sec < 0 || (uint64_t)tv.tv_usec >= 1000000)
		return -EDOM;
	*ns = (uint64_t)MIN(tv.tv_sec, 1000000000) * NS_PER_S + (uint64_t)tv.tv_usec * 1000;
	return 0;
}

long socket_setopt(int fd, int level, int opt, const void *val, unsigned len)
{
	long err;
	struct vsock *s = vsock_of_fd(fd, &err);

	if (!s)
		return err;
	if (level == SOL_SOCKET && opt == SO_RCVTIMEO)
		return set_timeout(&s->rcv_timeout_ns, val, len);
	if (level == SOL_SOCKET && opt == SO_SNDTIMEO)
		return set_timeout(&s->snd_timeout_ns, val, len);
	if (level == SOL_EXO && opt == EXO_SO_SPIN_NS)
		return set_spin(s, val, len);
	if (level == AF_VSOCK && opt == SO_VM_SOCKETS_CONNECT_TIMEOUT) {
		err = set_timeout(&s->connect_timeout_ns, val, len);
		if (err == 0 && s->connect_timeout_ns == 0)
			s->connect_timeout_ns = vsock_connect_timeout();
		return err;
	}
	return -ENOPROTOOPT;
}

long socket_sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (m->msg_controllen)
		return -EINVAL; /* nothing can be passed along */
	return socket_send(fd, m->msg_iov, m->msg_iovlen, flags);
}

long socket_recvmsg(int fd, struct msghdr *m, int flags)
{
	int out = 0;
	long got = socket_recv(fd, m->msg_iov, m->msg_iovlen, flags, &out);

	if (got >= 0) {
		m->msg_flags = out;
		m->msg_namelen = 0;
		m->msg_controllen = 0;
	}
	return got;
}
