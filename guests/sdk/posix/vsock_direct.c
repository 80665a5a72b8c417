/*
 * Direct connections: the bytes go through a ring in memory that both ends
 * share (exo/ring.h, exo/channel.h); packets only make and end them. The other
 * end is another guest and may write there what it likes at any time: nothing
 * is read from the ring twice, and a ring that can't be is given up.
 *
 * The memory may vanish at any moment too (a revoked grant): then there is
 * something meaningless in its place. So what was copied counts only if the
 * position that vouched for it is still there afterwards.
 */
#include "vsock_conn.h"

#include "../drivers/vsock.h"

#include <sys/socket.h>

#define PIECE (32u << 10) /* of a long copy, after which the other end may go on */
#define BROKEN_NS NS_PER_S

static struct vsock *sleeping; /* connections that somebody sleeps on */

bool direct_attach(struct vsock *s, const uint8_t *data, uint32_t len)
{
	struct exo_vsock_desc d;
	size_t window;
	uint8_t *base = vsock_window(&window);

	if (len != sizeof(d))
		return false;
	memcpy(&d, data, sizeof(d));
	if (d.ring_bytes < EXO_RING_BYTES_MIN || d.ring_bytes > EXO_RING_BYTES_MAX ||
	    d.ring_bytes & (d.ring_bytes - 1) || d.offset % 4096 || d.offset > window ||
	    exo_ring_total(d.ring_bytes) > window - d.offset)
		return false;
	exo_ring_init(&s->shared, base + d.offset, d.ring_bytes, d.side);
	s->doorbell = d.doorbell;
	s->direct = s->mapped = true;
	/* Whoever joined first may have asked for a bell already; nobody sleeps here yet. */
	exo_ring_awake_data(&s->shared);
	exo_ring_awake_space(&s->shared);
	return true;
}

void direct_half_close(struct vsock *s, bool fin, bool stop)
{
	if (!s->mapped)
		return;
	if (fin)
		exo_ring_set_fin(&s->shared);
	if (stop)
		exo_ring_set_stop(&s->shared);
	vsock_ring(s->doorbell);
}

/* The ring makes no sense: it is not touched again. The answer to this says why, perhaps. */
static void broken(struct vsock *s)
{
	s->mapped = false;
	if (s->state == VSOCK_DONE) {
		vsock_control(s, VIRTIO_VSOCK_OP_RST, 0);
		return;
	}
	s->broken = true;
	vsock_control(s, VIRTIO_VSOCK_OP_SHUTDOWN,
		      VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_broken_timer(s, BROKEN_NS);
}

/* The other end is gone and has been read to its end. */
static void drained(struct vsock *s)
{
	s->mapped = false;
	vsock_control_wait(s, VIRTIO_VSOCK_OP_RST, 0);
}

/* ---- waiting ----------------------------------------------------------- */

static bool in_ready(const struct vsock *s)
{
	return !s->mapped || exo_ring_readable(&s->shared) != 0 || exo_ring_peer_fin(&s->shared);
}

static bool out_ready(const struct vsock *s, uint64_t need)
{
	int64_t room = s->mapped ? exo_ring_writable(&s->shared) : -1;

	return room < 0 || (uint64_t)room >= need || exo_ring_peer_stop(&s->shared);
}

/*
 * The bell for space: not later than for anybody who asked before and has not got it
 * yet. Who has it by now looks himself: his wish does not wake us again and again.
 */
static bool sleep_space(struct vsock *s, uint64_t need)
{
	if (s->space_need && s->space_need < need) {
		if (out_ready(s, s->space_need))
			thread_wake(s);
		else
			need = s->space_need;
	}
	s->space_need = need;
	return exo_ring_sleep_space(&s->shared, need);
}

void vsock_on_bell(void)
{
	for (struct vsock *s = sleeping; s; s = s->sleep_next) {
		if ((s->in_sleepers && in_ready(s)) ||
		    (s->out_sleepers && out_ready(s, MAX(s->space_need, 1u))))
			thread_wake(s);
	}
}

struct awaited {
	const struct vsock *s;
	bool in;
	uint64_t need;
};

static bool spin_ready(void *arg)
{
	const struct awaited *a = arg;

	return a->in ? in_ready(a->s) : out_ready(a->s, a->need);
}

static bool spin(struct vsock *s, bool in, uint64_t need)
{
	return spin_until(&s->spin, spin_ready, &(struct awaited){s, in, need});
}

static void link_sleeper(struct vsock *s)
{
	if (s->in_sleepers + s->out_sleepers)
		return;
	s->sleep_next = sleeping;
	s->sleep_at = &sleeping;
	if (sleeping)
		sleeping->sleep_at = &s->sleep_next;
	sleeping = s;
}

static void unlink_sleeper(struct vsock *s)
{
	if (s->in_sleepers + s->out_sleepers)
		return;
	*s->sleep_at = s->sleep_next;
	if (s->sleep_next)
		s->sleep_next->sleep_at = s->sleep_at;
}

/* Sleeps until the bell rings or a packet says something. 0, or what the call returns. */
static long sleep_on(struct vsock *s, bool in, uint64_t need, uint64_t deadline)
{
	unsigned *count = in ? &s->in_sleepers : &s->out_sleepers;
	long err;

	if (s->mapped && (in ? exo_ring_sleep_data(&s->shared, 0) : sleep_space(s, need)))
		return 0;
	link_sleeper(s);
	(*count)++;
	err = thread_sleep(s, deadline);
	(*count)--;
	unlink_sleeper(s);
	if (s->mapped && in)
		exo_ring_awake_data(&s->shared);
	return err == -ETIMEDOUT ? -EAGAIN : err;
}

/* Nothing there: looks for packets, spins, sleeps. 0: look again. */
static long await(struct vsock *s, bool in, uint64_t need, bool *tried, bool nonblock,
		  uint64_t deadline)
{
	if (!*tried) {
		*tried = true;
		if (nonblock || !spin(s, in, need))
			vsock_drain();
		return 0;
	}
	if (nonblock)
		return -EAGAIN;
	*tried = false;
	return sleep_on(s, in, need, deadline);
}

/* Bytes to read, 0: the end, or -errno. */
static int64_t await_data(struct vsock *s, bool nonblock, uint64_t deadline)
{
	bool tried = false;

	for (;;) {
		long err;

		if (s->shut_read)
			return 0;
		if (s->mapped) {
			bool fin = exo_ring_peer_fin(&s->shared);
			int64_t n = exo_ring_readable(&s->shared);

			if (n > 0)
				return n;
			if (n < 0)
				broken(s);
			else if (fin)
				return 0;
			else if (s->state == VSOCK_DONE)
				drained(s);
		}
		if (s->state < VSOCK_CONNECTED)
			return -ENOTCONN;
		if (!s->mapped && s->state == VSOCK_DONE) {
			err = s->error;
			s->error = 0;
			return -err;
		}
		err = await(s, true, 0, &tried, nonblock, deadline);
		if (err < 0)
			return err;
	}
}

/*
 * Room for `need` bytes at least, or -errno. If it has to wait, then for `wake`
 * bytes, so that not every byte that is read wakes us.
 */
static int64_t await_space(struct vsock *s, uint64_t need, uint64_t wake, bool nonblock,
			   uint64_t deadline)
{
	bool tried = false;

	for (;;) {
		long err;

		if (s->state < VSOCK_CONNECTED)
			return -ENOTCONN;
		if (s->state == VSOCK_DONE || s->shut_write)
			return -EPIPE;
		if (s->mapped) {
			int64_t room = exo_ring_writable(&s->shared);

			if (exo_ring_peer_stop(&s->shared))
				return -EPIPE;
			if (room >= (int64_t)need)
				return room;
			if (room < 0)
				broken(s);
		}
		err = await(s, false, wake, &tried, nonblock, deadline);
		if (err == -EAGAIN)
			s->poll_need = wake;
		if (err < 0)
			return err;
	}
}

/* ---- polling ----------------------------------------------------------- */

bool direct_readable(struct vsock *s)
{
	return s->mapped && exo_ring_readable(&s->shared) != 0;
}

bool direct_at_end(const struct vsock *s)
{
	return s->mapped && exo_ring_peer_fin(&s->shared);
}

bool direct_closed(const struct vsock *s)
{
	return direct_at_end(s) && exo_ring_peer_stop(&s->shared);
}

bool direct_writable(struct vsock *s)
{
	return out_ready(s, MAX(s->poll_need, 1u));
}

bool direct_has_room(const struct vsock *s, size_t bytes)
{
	uint64_t need = s->type == VIRTIO_VSOCK_TYPE_STREAM ? bytes : exo_ring_msg_total(bytes);

	return !exo_ring_peer_stop(&s->shared) && exo_ring_writable(&s->shared) >= (int64_t)need;
}

bool direct_has_all(const struct vsock *s, size_t bytes)
{
	return s->type == VIRTIO_VSOCK_TYPE_SEQPACKET ||
	       exo_ring_readable(&s->shared) >= (int64_t)bytes;
}

bool direct_spin_data(struct vsock *s)
{
	return spin(s, true, 0);
}

bool direct_spins(struct file *f)
{
	struct vsock *s = vsock_of_file(f);

	return s && s->mapped && s->spin.ns;
}

void direct_poll_prepare(struct vsock *s)
{
	if (!s->mapped)
		return;
	if (!exo_ring_readable(&s->shared))
		exo_ring_sleep_data(&s->shared, 0);
	if (!direct_writable(s))
		sleep_space(s, MAX(s->poll_need, 1u));
}

/* ---- sending ----------------------------------------------------------- */

static void copy_in(struct vsock *s, uint64_t skip, const struct iovec *iov, int n, size_t at,
		    uint64_t len)
{
	uint32_t run;
	uint8_t *p = exo_ring_write_at(&s->shared, skip, &run);
	uint64_t part = MIN(len, run);

	iov_from(iov, n, at, p, part);
	if (len > part)
		iov_from(iov, n, at + part, exo_ring_write_at(&s->shared, skip + part, &run),
			 len - part);
}

static void produce(struct vsock *s, uint64_t bytes)
{
	s->poll_need = s->space_need = 0;
	if (exo_ring_produce(&s->shared, bytes))
		vsock_ring(s->doorbell);
}

static long send_stream(struct vsock *s, const struct iovec *iov, int n, bool nonblock)
{
	uint64_t deadline = vsock_deadline(s->snd_timeout_ns);
	size_t total = iov_total(iov, n), at = 0;

	while (at < total) {
		uint64_t wake = MIN(total - at, s->shared.bytes / 2);
		int64_t room = await_space(s, 1, wake, nonblock, deadline);

		if (room < 0)
			return at ? (long)at : (long)room;
		room = MIN(room, PIECE);
		room = MIN(room, (int64_t)(total - at));
		copy_in(s, 0, iov, n, at, (uint64_t)room);
		produce(s, (uint64_t)room);
		at += (size_t)room;
	}
	return (long)total;
}

static long send_message(struct vsock *s, const struct iovec *iov, int n, bool nonblock, bool eor)
{
	uint64_t len = iov_total(iov, n), whole = exo_ring_msg_total(len);
	struct exo_ring_msg m = {(uint32_t)len, eor ? EXO_RING_EOR : 0};
	int64_t room;
	uint32_t run;

	if (len > s->shared.bytes - sizeof(m) || whole > s->shared.bytes)
		return -EMSGSIZE;
	room = await_space(s, whole, whole, nonblock, vsock_deadline(s->snd_timeout_ns));
	if (room < 0)
		return (long)room;
	memcpy(exo_ring_write_at(&s->shared, 0, &run), &m, sizeof(m));
	copy_in(s, sizeof(m), iov, n, 0, len);
	produce(s, whole);
	return (long)len;
}

long direct_send(struct vsock *s, const struct iovec *iov, int n, bool nonblock, bool eor)
{
	if (s->type == VIRTIO_VSOCK_TYPE_STREAM)
		return send_stream(s, iov, n, nonblock);
	return send_message(s, iov, n, nonblock, eor);
}

/* ---- receiving --------------------------------------------------------- */

static void copy_out(const struct vsock *s, uint64_t skip, const struct iovec *iov, int n,
		     size_t at, uint64_t len)
{
	uint32_t run;
	const uint8_t *p = exo_ring_read_at(&s->shared, skip, &run);
	uint64_t part = MIN(len, run);

	iov_to(iov, n, at, p, part);
	if (len > part)
		iov_to(iov, n, at + part, exo_ring_read_at(&s->shared, skip + part, &run),
		       len - part);
}

/* Are the `n` bytes that were there still there? Else what was copied means nothing. */
static bool still_there(struct vsock *s, int64_t n)
{
	if (exo_ring_readable(&s->shared) >= n)
		return true;
	broken(s);
	return false;
}

static void consume(struct vsock *s, uint64_t bytes)
{
	if (exo_ring_consume(&s->shared, bytes))
		vsock_ring(s->doorbell);
}

/* Reads up to `want` of the n bytes that are there. How many; less: it broke. */
static size_t take(struct vsock *s, const struct iovec *iov, int cnt, size_t at, size_t want,
		   int64_t n, bool peek)
{
	size_t done = 0;

	want = MIN(want, (size_t)n);
	while (done < want) {
		size_t part = peek ? want : MIN(want - done, PIECE);

		copy_out(s, 0, iov, cnt, at + done, part);
		if (!still_there(s, (int64_t)part))
			break;
		if (!peek)
			consume(s, part);
		done += part;
	}
	return done;
}

static long recv_stream(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock)
{
	uint64_t deadline = vsock_deadline(s->rcv_timeout_ns);
	size_t want = iov_total(iov, n), done = 0;

	while (done < want) {
		int64_t have = await_data(s, nonblock, deadline);

		if (have <= 0)
			return done ? (long)done : (long)have;
		done += take(s, iov, n, done, want - done, have, flags & MSG_PEEK);
		if (done && (flags & MSG_PEEK || !(flags & MSG_WAITALL)))
			break;
	}
	return (long)done;
}

static long recv_message(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock,
			 int *out_flags)
{
	uint64_t deadline = vsock_deadline(s->rcv_timeout_ns);
	size_t want = iov_total(iov, n);
	struct exo_ring_msg m;
	uint32_t run;
	int64_t have;

	for (;;) {
		have = await_data(s, nonblock, deadline);
		if (have <= 0)
			return (long)have;
		if (have >= (int64_t)sizeof(m)) {
			/* Aligned, so it does not wrap. The copy counts, not what is there. */
			memcpy(&m, exo_ring_read_at(&s->shared, 0, &run), sizeof(m));
			__asm__ volatile("" ::: "memory");
			if (exo_ring_msg_total(m.bytes) <= (uint64_t)have) {
				copy_out(s, sizeof(m), iov, n, 0, MIN(m.bytes, want));
				if (still_there(s, have))
					break;
				continue;
			}
		}
		broken(s);
	}
	if (!(flags & MSG_PEEK))
		consume(s, exo_ring_msg_total(m.bytes));
	if (out_flags)
		*out_flags |=
			(m.flags & EXO_RING_EOR ? MSG_EOR : 0) | (m.bytes > want ? MSG_TRUNC : 0);
	return (long)(flags & MSG_TRUNC ? m.bytes : MIN(m.bytes, want));
}

long direct_recv(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock,
		 int *out_flags)
{
	if (s->type == VIRTIO_VSOCK_TYPE_STREAM)
		return recv_stream(s, iov, n, flags, nonblock);
	return recv_message(s, iov, n, flags, nonblock, out_flags);
}
