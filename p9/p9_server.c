/*
 * A connection: bytes in, messages, bytes out; its table of fids. Every number
 * of the other end is checked here or in the codec before p9_ops.c acts.
 */
#include "p9_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 8192 /* until a size is agreed */

_Static_assert(FIRST_ROOM >= P9_MSIZE_MIN, "what comes first fits");

struct p9_conn *p9_conn_create(const struct p9_backend *ops, void *fs,
			       const struct p9_limits *limits)
{
	struct p9_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ops = ops;
	c->fs = fs;
	c->limits = *limits;
	if (c->limits.msize < P9_MSIZE_MIN || c->limits.msize > P9_MSIZE_MAX)
		c->limits.msize = P9_MSIZE_MAX;
	if (!c->limits.fids || c->limits.fids > P9_FIDS_MAX)
		c->limits.fids = P9_FIDS_MAX;
	c->room = FIRST_ROOM;
	c->in = malloc(c->room);
	c->out = malloc(c->room);
	if (!c->in || !c->out) {
		p9_conn_destroy(c);
		return NULL;
	}
	return c;
}

void p9_conn_destroy(struct p9_conn *c)
{
	if (!c)
		return;
	p9_fid_drop_all(c);
	free(c->in);
	free(c->out);
	free(c);
}

/* ---- fids ------------------------------------------------------------------- */

static struct p9_fid **bucket(struct p9_conn *c, uint32_t fid)
{
	return &c->fids[(fid ^ fid >> 8 ^ fid >> 16 ^ fid >> 24) % P9_FID_BUCKETS];
}

struct p9_fid *p9_fid_find(struct p9_conn *c, uint32_t fid)
{
	struct p9_fid *f = *bucket(c, fid);

	while (f && f->fid != fid)
		f = f->next;
	return f;
}

unsigned p9_conn_fids(const struct p9_conn *c)
{
	return c->nfids;
}

static void release(struct p9_conn *c, struct p9_fid *f)
{
	if (f->file)
		c->ops->close(c->fs, f->file);
	if (f->node)
		c->ops->unref(c->fs, f->node);
	if (f->parent)
		c->ops->unref(c->fs, f->parent);
	free(f->name);
	free(f);
}

int p9_fid_add(struct p9_conn *c, uint32_t fid, void *node, const struct p9_qid *qid, void *parent,
	       const char *name)
{
	struct p9_fid *f = calloc(1, sizeof(*f)), **to = bucket(c, fid);
	int err = 0;

	if (!f) {
		c->ops->unref(c->fs, node);
		if (parent)
			c->ops->unref(c->fs, parent);
		return -ENOMEM;
	}
	f->fid = fid;
	f->node = node;
	f->qid = *qid;
	f->parent = parent;
	if (name && !(f->name = strdup(name)))
		err = -ENOMEM;
	else if (fid == P9_NOFID || p9_fid_find(c, fid))
		err = -EBADF;
	else if (c->nfids >= c->limits.fids)
		err = -EMFILE;
	if (err) {
		release(c, f);
		return err;
	}
	f->next = *to;
	*to = f;
	c->nfids++;
	return 0;
}

void p9_fid_drop(struct p9_conn *c, struct p9_fid *f)
{
	struct p9_fid **at = bucket(c, f->fid);

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	c->nfids--;
	release(c, f);
}

void p9_fid_drop_all(struct p9_conn *c)
{
	for (unsigned i = 0; i < P9_FID_BUCKETS; i++) {
		while (c->fids[i])
			p9_fid_drop(c, c->fids[i]);
	}
}

/* ---- messages ---------------------------------------------------------------- */

/* The other end starts anew: what it had is gone. */
static int serve_version(struct p9_conn *c, const struct p9_msg *m, struct p9_msg *r)
{
	static const char version[] = P9_VERSION;

	p9_fid_drop_all(c);
	c->msize = 0;
	r->name = p9_str("unknown");
	r->msize = m->msize < c->limits.msize ? m->msize : c->limits.msize;
	if (m->tag != P9_NOTAG)
		return -EINVAL;
	if (m->msize < P9_MSIZE_MIN)
		return -EMSGSIZE;
	if (m->name.len == sizeof(version) - 1 && !memcmp(m->name.p, version, m->name.len)) {
		c->msize = r->msize;
		r->name = p9_str(version);
	}
	return 0;
}

static int answer(struct p9_conn *c, const struct p9_msg *r)
{
	c->out_at = 0;
	c->out_len = p9_encode(r, c->out, c->room);
	return c->out_len ? 0 : -EPROTO;
}

static int answer_error(struct p9_conn *c, uint16_t tag, int err)
{
	struct p9_msg r = {.type = P9_RLERROR, .tag = tag};

	r.count = err < 0 && err > -4096 ? (uint32_t)-err : EIO;
	return answer(c, &r);
}

/* One whole message. 0 or what ends the connection. */
static int handle(struct p9_conn *c, const uint8_t *bytes, size_t len)
{
	struct p9_msg m, r;
	int err = p9_decode(&m, bytes, len);

	if (!c->msize && (err || m.type != P9_TVERSION))
		return -EPROTO;
	if (err || m.type & 1)
		return answer_error(c, m.tag, err ? err : -EOPNOTSUPP);
	memset(&r, 0, sizeof(r));
	r.type = P9_R(m.type);
	r.tag = m.tag;
	err = m.type == P9_TVERSION ? serve_version(c, &m, &r) : p9_serve(c, &m, &r);
	return err ? answer_error(c, m.tag, err) : answer(c, &r);
}

/*
 * Buffers of the agreed size; only when no answer waits and nothing unread would
 * be lost. Before, `room` bounds what can be read at all.
 */
static int resize(struct p9_conn *c)
{
	size_t want = c->msize ? c->msize : FIRST_ROOM;
	uint8_t *in, *out;

	if (want < c->in_len)
		want = c->in_len;
	if (want == c->room)
		return 0;
	memmove(c->in, c->in + c->in_at, c->in_len);
	c->in_at = 0;
	in = realloc(c->in, want);
	if (in)
		c->in = in;
	out = realloc(c->out, want);
	if (out)
		c->out = out;
	if (!in || !out)
		return -ENOMEM;
	c->room = want;
	return 0;
}

/* Answers what is complete, until there is something to send. */
static int advance(struct p9_conn *c)
{
	int err = 0;

	while (!err && !c->out_len && c->in_len >= 4) {
		uint8_t *bytes = c->in + c->in_at;
		uint32_t size = p9_size(bytes);

		if (size < P9_HEADER_BYTES || size > (c->msize ? c->msize : FIRST_ROOM))
			return -EPROTO;
		if (size > c->in_len)
			break;
		c->in_at += size;
		c->in_len -= size;
		err = handle(c, bytes, size);
	}
	if (!c->in_len)
		c->in_at = 0;
	return err;
}

void *p9_conn_room(struct p9_conn *c, size_t *n)
{
	if (c->in_at && c->in_at + c->in_len == c->room) {
		memmove(c->in, c->in + c->in_at, c->in_len);
		c->in_at = 0;
	}
	*n = c->room - c->in_at - c->in_len;
	if (c->out_len)
		*n = 0;
	return c->in + c->in_at + c->in_len;
}

int p9_conn_received(struct p9_conn *c, size_t n)
{
	c->in_len += n;
	return advance(c);
}

const void *p9_conn_output(const struct p9_conn *c, size_t *n)
{
	*n = c->out_len;
	return c->out + c->out_at;
}

int p9_conn_sent(struct p9_conn *c, size_t n)
{
	int err;

	c->out_at += n;
	c->out_len -= n;
	if (c->out_len)
		return 0;
	err = resize(c);
	return err ? err : advance(c);
}
