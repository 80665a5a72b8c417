/*
 * The connection: messages over the socket, one caller at a time. Data of reads
 * and writes goes between the socket and the program's memory without a stop.
 */
#include "p9_client.h"

#include "files.h"

#include <poll.h>

#define MSIZE (P9_PIECE + 4096)
#define P9_PIECE (128u << 10) /* of data in one message, at most */
#define WINDOW 2              /* pieces on their way at once */

/* ---- bytes ----------------------------------------------------------------------- */

static void lose(struct p9_server *s)
{
	if (s->sock)
		file_unref(s->sock);
	s->sock = NULL;
	s->generation++;
}

/* Part [at, at + len) of iov, as an iovec of its own. */
static int slice(const struct iovec *iov, int n, size_t at, size_t len, struct iovec *out, int max)
{
	int k = 0;

	for (int i = 0; i < n && len && k < max; i++) {
		size_t part;

		if (at >= iov[i].iov_len) {
			at -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - at, len);
		out[k++] = (struct iovec){(char *)iov[i].iov_base + at, part};
		len -= part;
		at = 0;
	}
	return k;
}

#define SLICES 8

/* Moves all of it; a server that goes away in between is -EIO. */
static int move_all(struct p9_server *s, bool send, const struct iovec *iov, int n, size_t at,
		    size_t len)
{
	while (len) {
		struct iovec part[SLICES];
		int k = slice(iov, n, at, len, part, SLICES);
		long done = send ? s->sock->ops->writev(s->sock, part, k, -1)
				 : s->sock->ops->readv(s->sock, part, k, -1);

		if (done <= 0)
			return -EIO;
		at += (size_t)done;
		len -= (size_t)done;
	}
	return 0;
}

static int move_flat(struct p9_server *s, bool send, void *p, size_t len)
{
	return move_all(s, send, &(struct iovec){p, len}, 1, 0, len);
}

/* ---- messages --------------------------------------------------------------------- */

static uint8_t *rx(const struct p9_server *s)
{
	return s->buf + P9_BUF_BYTES;
}

/* The first `have` bytes of an answer are there: takes the rest, which must fit. */
static int receive_rest(struct p9_server *s, size_t have, struct p9_msg *m)
{
	uint32_t size = p9_size(rx(s));
	int err = size < have || size > P9_BUF_BYTES ? -EIO : 0;

	if (!err)
		err = move_flat(s, false, rx(s) + have, size - have);
	if (!err && p9_decode(m, rx(s), size))
		err = -EIO;
	return err;
}

/* What an Rlerror means to us. */
static int error_of(const struct p9_msg *m)
{
	return m->count && m->count < 512 ? -(int)m->count : -EIO;
}

/* Without the check that somebody has it. A broken connection is lost. */
static int exchange(struct p9_server *s, struct p9_msg *m)
{
	uint8_t want = P9_R(m->type);
	uint16_t tag = m->tag;
	size_t len = p9_encode(m, s->buf, P9_BUF_BYTES);
	int err;

	if (!len)
		return -ENAMETOOLONG;
	err = move_flat(s, true, s->buf, len);
	if (!err)
		err = move_flat(s, false, rx(s), P9_HEADER_BYTES);
	if (!err)
		err = receive_rest(s, P9_HEADER_BYTES, m);
	if (!err && (m->tag != tag || (m->type != want && m->type != P9_RLERROR)))
		err = -EIO;
	if (err) {
		lose(s);
		return err;
	}
	return m->type == P9_RLERROR ? error_of(m) : 0;
}

int p9_call(struct p9_server *s, struct p9_msg *m)
{
	return s->sock ? exchange(s, m) : -EIO;
}

/* ---- the connection ----------------------------------------------------------------- */

static int start(struct p9_server *s)
{
	struct p9_msg m = {.type = P9_TVERSION, .tag = P9_NOTAG, .msize = MSIZE};
	int err;

	m.name = p9_str(P9_VERSION);
	err = exchange(s, &m);
	if (err)
		return err;
	if (m.name.len != sizeof(P9_VERSION) - 1 || memcmp(m.name.p, P9_VERSION, m.name.len) != 0)
		return -EPROTONOSUPPORT;
	if (m.msize < P9_MSIZE_MIN || m.msize > MSIZE)
		return -EIO;
	s->msize = m.msize;
	s->next_fid = P9_ROOT_FID + 1;
	m = (struct p9_msg){.type = P9_TATTACH, .fid = P9_ROOT_FID, .newfid = P9_NOFID};
	m.name = p9_str("guest");
	m.name2 = p9_str("");
	m.uid = UINT32_MAX;
	return exchange(s, &m);
}

static int connect_server(struct p9_server *s)
{
	int err;

	if (!s->buf)
		s->buf = mem_pages(2 * P9_BUF_BYTES);
	if (!s->buf)
		return -ENOMEM;
	err = socket_open_stream(s->port, &s->sock);
	if (err)
		return err;
	err = start(s);
	if (err && s->sock)
		lose(s);
	return err;
}

/* Signals come when the answer is there: half a message would end the connection. */
static void take(struct p9_server *s)
{
	while (s->busy)
		thread_sleep_uninterruptible(s, DEADLINE_NEVER);
	s->busy = true;
	s->owner_mask = thread_current->sig_mask;
	thread_current->sig_mask = ~0ull;
}

void p9_end(struct p9_server *s)
{
	thread_current->sig_mask = s->owner_mask;
	s->busy = false;
	thread_wake(s);
}

int p9_begin(struct p9_server *s)
{
	int err = 0;

	take(s);
	if (s->sock && s->sock->ops->poll(s->sock) & POLLHUP)
		lose(s); /* it died meanwhile */
	if (!s->sock)
		err = connect_server(s);
	if (err)
		p9_end(s);
	return err;
}

int p9_begin_ref(const struct p9_ref *r)
{
	struct p9_server *s = r->server;

	take(s);
	if (s->sock && s->generation == r->generation)
		return 0;
	p9_end(s);
	return -EIO;
}

/* ---- data ------------------------------------------------------------------------------ */

struct piece {
	size_t at;
	uint32_t len;
	bool waiting;
};

/* A read or write of several pieces; tags count from 1. */
struct transfer {
	struct p9_server *s;
	bool write;
	uint32_t fid;
	const struct iovec *iov;
	int n;
	uint64_t off;
	struct piece piece[WINDOW];
	size_t total, sent; /* asked for, or sent */
	size_t end;         /* of what is good */
	int err;            /* of what lies at `end`, or 0 */
	bool stop;          /* a piece was short: no more */
};

static int send_piece(struct transfer *t, unsigned slot)
{
	uint32_t most = (t->s->msize - P9_WRITE_HEADER) & ~4095u;
	struct piece *p = &t->piece[slot];
	struct p9_msg m = {.type = t->write ? P9_TWRITE : P9_TREAD, .fid = t->fid};
	size_t len;
	int err;

	*p = (struct piece){t->sent, (uint32_t)MIN(t->total - t->sent, MIN(most, P9_PIECE)), true};
	m.tag = (uint16_t)(slot + 1);
	m.offset = t->off + p->at;
	m.count = m.data.len = p->len;
	len = p9_encode(&m, t->s->buf, P9_BUF_BYTES);
	err = move_flat(t->s, true, t->s->buf, len);
	if (!err && t->write)
		err = move_all(t->s, true, t->iov, t->n, p->at, p->len);
	t->sent += p->len;
	return err;
}

/* The data of an Rread, whose first bytes are there. */
static int receive_data(struct transfer *t, struct piece *p, uint32_t *got)
{
	uint8_t *head = rx(t->s);
	uint32_t size = p9_size(head);
	int err = move_flat(t->s, false, head + P9_HEADER_BYTES, 4);

	if (err)
		return err;
	*got = size - P9_READ_HEADER;
	if (size < P9_READ_HEADER || *got > p->len || p9_size(head + P9_HEADER_BYTES) != *got)
		return -EIO;
	return move_all(t->s, false, t->iov, t->n, p->at, *got);
}

/* What became of a piece: the first that is short or failed is the end. */
static void note(struct transfer *t, const struct piece *p, uint32_t got, int err)
{
	if (got == p->len)
		return;
	t->stop = true;
	if (p->at + got < t->end || (p->at + got == t->end && !t->err)) {
		t->end = p->at + got;
		t->err = err;
	}
}

/* One answer, to any of the pieces. An error of the connection, or 0. */
static int receive_piece(struct transfer *t)
{
	uint8_t *head = rx(t->s);
	struct p9_msg m = {0};
	struct piece *p;
	uint32_t got = 0;
	unsigned slot;
	int err = move_flat(t->s, false, head, P9_HEADER_BYTES);

	if (err)
		return err;
	slot = (unsigned)(head[5] | head[6] << 8) - 1;
	if (slot >= WINDOW || !t->piece[slot].waiting)
		return -EIO;
	p = &t->piece[slot];
	p->waiting = false;
	if (head[4] == P9_R(P9_TREAD) && !t->write) {
		m.type = head[4];
		err = receive_data(t, p, &got);
	} else {
		err = receive_rest(t->s, P9_HEADER_BYTES, &m);
	}
	if (err)
		return err;
	if (m.type == P9_R(P9_TREAD) && !t->write)
		note(t, p, got, 0);
	else if (m.type == P9_RLERROR)
		note(t, p, 0, error_of(&m));
	else if (m.type == P9_R(P9_TWRITE) && t->write && m.count <= p->len)
		note(t, p, m.count, 0);
	else
		return -EIO;
	return 0;
}

static unsigned waiting(const struct transfer *t, unsigned *free_slot)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WINDOW; i++) {
		if (t->piece[i].waiting)
			n++;
		else
			*free_slot = i;
	}
	return n;
}

/*
 * Reads ask for the next piece before the last has come. Writes do not: after a
 * full disk there would be data behind a gap.
 */
long p9_transfer(struct p9_server *s, bool write, uint32_t fid, const struct iovec *iov, int n,
		 uint64_t off)
{
	struct transfer t = {.s = s, .write = write, .fid = fid, .iov = iov, .n = n, .off = off};
	unsigned slot = 0, window = write ? 1 : WINDOW, busy;
	int err = s->sock ? 0 : -EIO;

	t.total = t.end = iov_total(iov, n);
	while (!err) {
		busy = waiting(&t, &slot);
		if (!t.stop && busy < window && t.sent < t.total)
			err = send_piece(&t, slot);
		else if (busy)
			err = receive_piece(&t);
		else
			break;
	}
	if (err) {
		if (s->sock)
			lose(s);
		return err;
	}
	return t.end ? (long)t.end : t.err;
}
