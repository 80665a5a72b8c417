/*
 * The codec of p9_wire.h. A table says which members of struct p9_msg a message
 * has, in their order on the wire; one walker reads and one writes them.
 */
#include "p9_wire.h"

#include <errno.h>
#include <string.h>

enum kind {
	END,
	U8,
	U16,
	U32,
	U64,
	OPT32, /* may be missing at the end */
	STR,
	QID,
	TIME,  /* two U64 */
	NAMES, /* count and strings */
	QIDS,  /* count and qids */
	DATA,  /* count and bytes */
};

struct field {
	uint16_t kind;
	uint16_t at; /* in struct p9_msg */
};

#define F(kind, member) \
	{ \
		kind, offsetof(struct p9_msg, member) \
	}
/* The fields of one message, in their order. */
#define M(...) \
	(const struct field[]) \
	{ \
		__VA_ARGS__, \
		{ \
			END, 0 \
		} \
	}

#define ATTR \
	F(U64, attr.valid), F(QID, attr.qid), F(U32, attr.mode), F(U32, attr.uid), \
		F(U32, attr.gid), F(U64, attr.nlink), F(U64, attr.rdev), F(U64, attr.size), \
		F(U64, attr.blksize), F(U64, attr.blocks), F(TIME, attr.atime), \
		F(TIME, attr.mtime), F(TIME, attr.ctime), F(TIME, attr.btime), F(U64, attr.gen), \
		F(U64, attr.data_version)
#define SETATTR \
	F(U32, setattr.valid), F(U32, setattr.mode), F(U32, setattr.uid), F(U32, setattr.gid), \
		F(U64, setattr.size), F(TIME, setattr.atime), F(TIME, setattr.mtime)
#define STATFS \
	F(U32, statfs.type), F(U32, statfs.bsize), F(U64, statfs.blocks), F(U64, statfs.bfree), \
		F(U64, statfs.bavail), F(U64, statfs.files), F(U64, statfs.ffree), \
		F(U64, statfs.fsid), F(U32, statfs.namelen)
#define LOCK_RANGE \
	F(U64, lock.start), F(U64, lock.length), F(U32, lock.proc_id), F(STR, lock.client_id)

#define FID F(U32, fid)
#define NAME F(STR, name)

static const struct field nothing[] = {{END, 0}};

/* NULL: there is no such message. */
static const struct field *const layouts[P9_TYPES] = {
	[P9_RLERROR] = M(F(U32, count)),
	[P9_TSTATFS] = M(FID),
	[P9_R(P9_TSTATFS)] = M(STATFS),
	[P9_TLOPEN] = M(FID, F(U32, flags)),
	[P9_R(P9_TLOPEN)] = M(F(QID, qid), F(U32, count)),
	[P9_TLCREATE] = M(FID, NAME, F(U32, flags), F(U32, mode), F(U32, gid)),
	[P9_R(P9_TLCREATE)] = M(F(QID, qid), F(U32, count)),
	[P9_TSYMLINK] = M(FID, NAME, F(STR, name2), F(U32, gid)),
	[P9_R(P9_TSYMLINK)] = M(F(QID, qid)),
	[P9_TMKNOD] = M(FID, NAME, F(U32, mode), F(U32, major), F(U32, minor), F(U32, gid)),
	[P9_R(P9_TMKNOD)] = M(F(QID, qid)),
	[P9_TRENAME] = M(FID, F(U32, dfid), NAME),
	[P9_R(P9_TRENAME)] = nothing,
	[P9_TREADLINK] = M(FID),
	[P9_R(P9_TREADLINK)] = M(F(STR, name2)),
	[P9_TGETATTR] = M(FID, F(U64, mask)),
	[P9_R(P9_TGETATTR)] = M(ATTR),
	[P9_TSETATTR] = M(FID, SETATTR),
	[P9_R(P9_TSETATTR)] = nothing,
	[P9_TXATTRWALK] = M(FID, F(U32, newfid), NAME),
	[P9_R(P9_TXATTRWALK)] = M(F(U64, size)),
	[P9_TXATTRCREATE] = M(FID, NAME, F(U64, size), F(U32, flags)),
	[P9_R(P9_TXATTRCREATE)] = nothing,
	[P9_TREADDIR] = M(FID, F(U64, offset), F(U32, count)),
	[P9_R(P9_TREADDIR)] = M(F(DATA, data)),
	[P9_TFSYNC] = M(FID, F(OPT32, flags)), /* datasync, which diod does not send */
	[P9_R(P9_TFSYNC)] = nothing,
	[P9_TLOCK] = M(FID, F(U8, lock.type), F(U32, lock.flags), LOCK_RANGE),
	[P9_R(P9_TLOCK)] = M(F(U8, status)),
	[P9_TGETLOCK] = M(FID, F(U8, lock.type), LOCK_RANGE),
	[P9_R(P9_TGETLOCK)] = M(F(U8, lock.type), LOCK_RANGE),
	[P9_TLINK] = M(F(U32, dfid), FID, NAME),
	[P9_R(P9_TLINK)] = nothing,
	[P9_TMKDIR] = M(FID, NAME, F(U32, mode), F(U32, gid)),
	[P9_R(P9_TMKDIR)] = M(F(QID, qid)),
	[P9_TRENAMEAT] = M(FID, NAME, F(U32, dfid), F(STR, name2)),
	[P9_R(P9_TRENAMEAT)] = nothing,
	[P9_TUNLINKAT] = M(FID, NAME, F(U32, flags)),
	[P9_R(P9_TUNLINKAT)] = nothing,
	[P9_TVERSION] = M(F(U32, msize), NAME),
	[P9_R(P9_TVERSION)] = M(F(U32, msize), NAME),
	[P9_TAUTH] = M(F(U32, newfid), NAME, F(STR, name2), F(U32, uid)),
	[P9_R(P9_TAUTH)] = M(F(QID, qid)),
	[P9_TATTACH] = M(FID, F(U32, newfid), NAME, F(STR, name2), F(U32, uid)),
	[P9_R(P9_TATTACH)] = M(F(QID, qid)),
	[P9_TFLUSH] = M(F(U16, oldtag)),
	[P9_R(P9_TFLUSH)] = nothing,
	[P9_TWALK] = M(FID, F(U32, newfid), F(NAMES, names)),
	[P9_R(P9_TWALK)] = M(F(QIDS, qids)),
	[P9_TREAD] = M(FID, F(U64, offset), F(U32, count)),
	[P9_R(P9_TREAD)] = M(F(DATA, data)),
	[P9_TWRITE] = M(FID, F(U64, offset), F(DATA, data)),
	[P9_R(P9_TWRITE)] = M(F(U32, count)),
	[P9_TCLUNK] = M(FID),
	[P9_R(P9_TCLUNK)] = nothing,
	[P9_TREMOVE] = M(FID),
	[P9_R(P9_TREMOVE)] = nothing,
};

/* ---- bytes ---------------------------------------------------------------- */

static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

uint32_t p9_size(const void *bytes)
{
	return (uint32_t)get(bytes, 4);
}

/* What is left of a message; `bad` sticks, and then everything reads 0. */
struct in {
	const uint8_t *p;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct in *in, size_t n)
{
	const uint8_t *p = in->p;

	if (in->bad || n > in->left) {
		in->bad = true;
		return NULL;
	}
	in->p += n;
	in->left -= n;
	return p;
}

static uint64_t take_number(struct in *in, unsigned bytes)
{
	const uint8_t *p = take(in, bytes);

	return p ? get(p, bytes) : 0;
}

static struct p9_str take_str(struct in *in)
{
	uint16_t len = (uint16_t)take_number(in, 2);
	const char *p = (const char *)take(in, len);

	if (!p || (len && memchr(p, 0, len))) {
		in->bad = true;
		return (struct p9_str){"", 0};
	}
	return (struct p9_str){p, len};
}

static struct p9_qid take_qid(struct in *in)
{
	struct p9_qid q;

	q.type = (uint8_t)take_number(in, 1);
	q.version = (uint32_t)take_number(in, 4);
	q.path = take_number(in, 8);
	return q;
}

static void take_list(struct in *in, struct p9_msg *m, bool names)
{
	m->nnames = (uint16_t)take_number(in, 2);
	if (m->nnames > P9_WALK_MAX) {
		in->bad = true;
		m->nnames = 0;
	}
	for (unsigned i = 0; i < m->nnames; i++) {
		if (names)
			m->names[i] = take_str(in);
		else
			m->qids[i] = take_qid(in);
	}
}

static void take_field(struct in *in, struct p9_msg *m, const struct field *f)
{
	uint8_t *to = (uint8_t *)m + f->at;
	void *member = to;

	switch (f->kind) {
	case U8:
		*to = (uint8_t)take_number(in, 1);
		break;
	case U16:
		*(uint16_t *)member = (uint16_t)take_number(in, 2);
		break;
	case OPT32:
		if (in->left)
			*(uint32_t *)member = (uint32_t)take_number(in, 4);
		break;
	case U32:
		*(uint32_t *)member = (uint32_t)take_number(in, 4);
		break;
	case U64:
		*(uint64_t *)member = take_number(in, 8);
		break;
	case STR:
		*(struct p9_str *)member = take_str(in);
		break;
	case QID:
		*(struct p9_qid *)member = take_qid(in);
		break;
	case TIME:
		((struct p9_time *)member)->sec = take_number(in, 8);
		((struct p9_time *)member)->nsec = take_number(in, 8);
		break;
	case NAMES:
	case QIDS:
		take_list(in, m, f->kind == NAMES);
		break;
	default:
		m->data.len = (uint32_t)take_number(in, 4);
		m->data.p = take(in, m->data.len);
		break;
	}
}

int p9_decode(struct p9_msg *m, const void *bytes, size_t len)
{
	struct in in = {bytes, len, false};
	uint32_t size = (uint32_t)take_number(&in, 4);
	const struct field *f;

	memset(m, 0, sizeof(*m));
	m->type = (uint8_t)take_number(&in, 1);
	m->tag = (uint16_t)take_number(&in, 2);
	if (in.bad || size != len)
		return -EBADMSG;
	if (m->type >= P9_TYPES || !layouts[m->type])
		return -EOPNOTSUPP;
	for (f = layouts[m->type]; f->kind != END; f++)
		take_field(&in, m, f);
	return in.bad || in.left ? -EBADMSG : 0;
}

/* ---- encoding --------------------------------------------------------------- */

struct out {
	uint8_t *p;
	size_t left;
	bool full;
};

static uint8_t *grow(struct out *out, size_t n)
{
	uint8_t *p = out->p;

	if (out->full || n > out->left) {
		out->full = true;
		return NULL;
	}
	out->p += n;
	out->left -= n;
	return p;
}

static void give_number(struct out *out, uint64_t v, unsigned bytes)
{
	uint8_t *p = grow(out, bytes);

	if (p)
		put(p, v, bytes);
}

static void give_bytes(struct out *out, const void *from, size_t n)
{
	uint8_t *p = grow(out, n);

	if (p && n && p != from)
		memmove(p, from, n);
}

static void give_str(struct out *out, struct p9_str s)
{
	give_number(out, s.len, 2);
	give_bytes(out, s.p, s.len);
}

static void give_qid(struct out *out, const struct p9_qid *q)
{
	give_number(out, q->type, 1);
	give_number(out, q->version, 4);
	give_number(out, q->path, 8);
}

static void give_list(struct out *out, const struct p9_msg *m, bool names)
{
	give_number(out, m->nnames, 2);
	if (m->nnames > P9_WALK_MAX)
		out->full = true;
	for (unsigned i = 0; !out->full && i < m->nnames; i++) {
		if (names)
			give_str(out, m->names[i]);
		else
			give_qid(out, &m->qids[i]);
	}
}

static void give_field(struct out *out, const struct p9_msg *m, const struct field *f)
{
	const uint8_t *from = (const uint8_t *)m + f->at;
	const void *member = from;

	switch (f->kind) {
	case U8:
		give_number(out, *from, 1);
		break;
	case U16:
		give_number(out, *(const uint16_t *)member, 2);
		break;
	case OPT32:
	case U32:
		give_number(out, *(const uint32_t *)member, 4);
		break;
	case U64:
		give_number(out, *(const uint64_t *)member, 8);
		break;
	case STR:
		give_str(out, *(const struct p9_str *)member);
		break;
	case QID:
		give_qid(out, member);
		break;
	case TIME:
		give_number(out, ((const struct p9_time *)member)->sec, 8);
		give_number(out, ((const struct p9_time *)member)->nsec, 8);
		break;
	case NAMES:
	case QIDS:
		give_list(out, m, f->kind == NAMES);
		break;
	default:
		give_number(out, m->data.len, 4);
		if (m->data.p)
			give_bytes(out, m->data.p, m->data.len);
		break;
	}
}

size_t p9_encode(const struct p9_msg *m, void *bytes, size_t cap)
{
	struct out out = {bytes, cap, false};
	const struct field *f = m->type < P9_TYPES ? layouts[m->type] : NULL;
	size_t done, behind = 0;

	if (!f)
		return 0;
	grow(&out, 4);
	give_number(&out, m->type, 1);
	give_number(&out, m->tag, 2);
	for (; f->kind != END; f++) {
		give_field(&out, m, f);
		if (f->kind == DATA && !m->data.p)
			behind = m->data.len;
	}
	if (out.full)
		return 0;
	done = (size_t)(out.p - (uint8_t *)bytes);
	if (behind > UINT32_MAX - done)
		return 0;
	put(bytes, done + behind, 4);
	return done;
}

/* ---- directories ---------------------------------------------------------------- */

size_t p9_dirent_put(void *bytes, size_t cap, const struct p9_dirent *d)
{
	struct out out = {bytes, cap, false};

	give_qid(&out, &d->qid);
	give_number(&out, d->offset, 8);
	give_number(&out, d->type, 1);
	give_str(&out, d->name);
	return out.full ? 0 : (size_t)(out.p - (uint8_t *)bytes);
}

long p9_dirent_get(const void *bytes, size_t len, struct p9_dirent *d)
{
	struct in in = {bytes, len, false};

	if (!len)
		return 0;
	d->qid = take_qid(&in);
	d->offset = take_number(&in, 8);
	d->type = (uint8_t)take_number(&in, 1);
	d->name = take_str(&in);
	return in.bad ? -EBADMSG : (long)(len - in.left);
}

bool p9_name_valid(struct p9_str n)
{
	if (n.len == 0 || n.len > P9_NAME_MAX || memchr(n.p, '/', n.len) || memchr(n.p, 0, n.len))
		return false;
	return !(n.p[0] == '.' && (n.len == 1 || (n.len == 2 && n.p[1] == '.')));
}
