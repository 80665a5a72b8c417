/*
 * What each request does to the connection's fids and the backend. A table says
 * which state a request's fid must be in, so that no operation looks twice.
 */
#include "p9_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef int serve_fn(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r);

static bool is_dir(const struct p9_fid *f)
{
	return f->qid.type & P9_QTDIR;
}

/* A valid name, terminated. */
static int copy_name(char name[P9_NAME_MAX + 1], struct p9_str s)
{
	if (s.len > P9_NAME_MAX)
		return -ENAMETOOLONG;
	if (!p9_name_valid(s))
		return -EINVAL;
	memcpy(name, s.p, s.len);
	name[s.len] = '\0';
	return 0;
}

/* ---- starting, walking, ending ------------------------------------------------- */

/* No authentication: being connected is the right. */
static int serve_auth(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	return -ENOENT;
}

static int serve_attach(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	void *node;
	int err;

	if (m->newfid != P9_NOFID)
		return -EACCES;
	err = c->ops->attach(c->fs, m->name, m->name2, m->uid, &node, &r->qid);
	return err ? err : p9_fid_add(c, m->fid, node, &r->qid, NULL, NULL);
}

/* One answer at a time: what it would stop has been answered already. */
static int serve_flush(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	return 0;
}

/* Where a walk has got to. */
struct walk {
	void *node, *parent;
	struct p9_qid qid;
	char name[P9_NAME_MAX + 1];
};

static int step(struct p9_conn *c, struct walk *w, struct p9_str name)
{
	struct p9_qid qid;
	void *next;
	int err = w->qid.type & P9_QTDIR ? copy_name(w->name, name) : -ENOTDIR;

	if (!err)
		err = c->ops->walk(c->fs, w->node, w->name, &next, &qid);
	if (err)
		return err;
	if (w->parent)
		c->ops->unref(c->fs, w->parent);
	w->parent = w->node;
	w->node = next;
	w->qid = qid;
	return 0;
}

static void start_walk(struct p9_conn *c, struct walk *w, const struct p9_fid *f)
{
	*w = (struct walk){.node = f->node, .parent = f->parent, .qid = f->qid};
	c->ops->ref(c->fs, w->node);
	if (w->parent)
		c->ops->ref(c->fs, w->parent);
	if (f->name)
		memcpy(w->name, f->name, strlen(f->name) + 1);
}

static int serve_walk(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	struct walk w;
	int err = 0;

	if (m->newfid != m->fid && p9_fid_find(c, m->newfid))
		return -EBADF;
	if (m->newfid == m->fid && f->file)
		return -EBUSY;
	start_walk(c, &w, f);
	while (r->nnames < m->nnames) {
		err = step(c, &w, m->names[r->nnames]);
		if (err)
			break;
		r->qids[r->nnames++] = w.qid;
	}
	if (err) { /* the answer says how far; the first name's error is one */
		c->ops->unref(c->fs, w.node);
		if (w.parent)
			c->ops->unref(c->fs, w.parent);
		return r->nnames ? 0 : err;
	}
	if (m->newfid == m->fid)
		p9_fid_drop(c, f);
	return p9_fid_add(c, m->newfid, w.node, &w.qid, w.parent, w.parent ? w.name : NULL);
}

static int serve_clunk(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	p9_fid_drop(c, f);
	return 0;
}

/* ---- opened files -------------------------------------------------------------- */

#define OPEN_FLAGS (P9_O_ACCMODE | P9_O_TRUNC | P9_O_APPEND | P9_O_DSYNC | P9_O_SYNC)

static uint32_t iounit(const struct p9_conn *c)
{
	return c->msize - P9_WRITE_HEADER;
}

static int serve_lopen(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	bool changes = m->flags & (P9_O_ACCMODE | P9_O_TRUNC);
	int err;

	if (f->file)
		return -EBUSY;
	if ((m->flags & P9_O_ACCMODE) == P9_O_ACCMODE)
		return -EINVAL;
	if (f->qid.type & P9_QTSYMLINK)
		return -ELOOP;
	if (is_dir(f) && changes)
		return -EISDIR;
	if (!is_dir(f) && m->flags & P9_O_DIRECTORY)
		return -ENOTDIR;
	if (c->limits.read_only && changes)
		return -EROFS;
	r->qid = f->qid;
	err = c->ops->open(c->fs, f->node, m->flags & OPEN_FLAGS, &f->file, &r->qid);
	if (err)
		return err;
	f->flags = m->flags;
	r->count = iounit(c);
	return 0;
}

/* The fid of the folder becomes that of the new, open file. */
static int serve_lcreate(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char name[P9_NAME_MAX + 1];
	void *node, *file;
	int err = f->file ? -EBUSY : copy_name(name, m->name);

	if (err || (m->flags & P9_O_ACCMODE) == P9_O_ACCMODE)
		return err ? err : -EINVAL;
	err = c->ops->create(c->fs, f->node, name, m->flags & (OPEN_FLAGS | P9_O_EXCL), m->mode,
			     &node, &file, &r->qid);
	if (err)
		return err;
	c->ops->ref(c->fs, f->node);
	void *parent = f->node;

	p9_fid_drop(c, f);
	err = p9_fid_add(c, m->fid, node, &r->qid, parent, name);
	if (err) {
		c->ops->close(c->fs, file);
		return err;
	}
	f = p9_fid_find(c, m->fid);
	f->file = file;
	f->flags = m->flags;
	r->count = iounit(c);
	return 0;
}

static uint32_t clamp_count(const struct p9_conn *c, uint32_t count)
{
	uint32_t most = c->msize - P9_READ_HEADER;

	return count < most ? count : most;
}

static int serve_read(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	uint8_t *to = c->out + P9_READ_HEADER;
	uint32_t count = clamp_count(c, m->count);
	long n;

	if (m->type == P9_TREADDIR) {
		if (!is_dir(f))
			return -ENOTDIR;
		n = c->ops->readdir(c->fs, f->file, m->offset, to, count);
	} else {
		if (is_dir(f))
			return -EISDIR;
		if ((f->flags & P9_O_ACCMODE) == P9_O_WRONLY)
			return -EBADF;
		if (m->offset > (uint64_t)INT64_MAX - count)
			return -EINVAL;
		n = c->ops->read(c->fs, f->file, m->offset, to, count);
	}
	if (n < 0)
		return (int)n;
	r->data = (struct p9_data){to, (uint32_t)n};
	return 0;
}

static int serve_write(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	long n;

	if (is_dir(f) || !(f->flags & P9_O_ACCMODE))
		return -EBADF;
	if (m->offset > (uint64_t)INT64_MAX - m->data.len)
		return -EFBIG;
	n = c->ops->write(c->fs, f->file, m->offset, m->data.p, m->data.len);
	if (n < 0)
		return (int)n;
	r->count = (uint32_t)n;
	return 0;
}

static int serve_fsync(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	return c->ops->fsync ? c->ops->fsync(c->fs, f->file, m->flags != 0) : 0;
}

static int serve_lock(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	enum p9_lock_status status = P9_LOCK_ERROR;
	int err;

	if (m->lock.type > P9_LOCK_UNLCK)
		return -EINVAL;
	err = c->ops->lock(c->fs, f->file, &m->lock, &status);
	r->status = (uint8_t)status;
	return err;
}

static int serve_getlock(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	if (m->lock.type >= P9_LOCK_UNLCK)
		return -EINVAL;
	r->lock = m->lock;
	return c->ops->getlock(c->fs, f->file, &r->lock);
}

/* ---- attributes ------------------------------------------------------------------- */

static int serve_getattr(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	r->attr.valid = P9_GETATTR_BASIC;
	r->attr.qid = f->qid;
	return c->ops->getattr(c->fs, f->node, f->file, &r->attr);
}

static int serve_setattr(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	if (m->setattr.valid & P9_SETATTR_SIZE && f->qid.type != P9_QTFILE)
		return is_dir(f) ? -EISDIR : -EINVAL;
	if (m->setattr.valid & P9_SETATTR_SIZE && m->setattr.size > INT64_MAX)
		return -EFBIG;
	return c->ops->setattr(c->fs, f->node, f->file, &m->setattr);
}

static int serve_statfs(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	return c->ops->statfs(c->fs, f->node, &r->statfs);
}

static int serve_readlink(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char *to = (char *)c->out + P9_HEADER_BYTES + 2;
	uint32_t most = c->msize - P9_HEADER_BYTES - 2;
	long n;

	if (!(f->qid.type & P9_QTSYMLINK))
		return -EINVAL;
	n = c->ops->readlink(c->fs, f->node, to, most < P9_PATH_MAX ? most : P9_PATH_MAX);
	if (n < 0)
		return (int)n;
	r->name2 = (struct p9_str){to, (uint16_t)n};
	return 0;
}

/* ---- names ---------------------------------------------------------------------------- */

static int serve_mkdir(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char name[P9_NAME_MAX + 1];
	int err = copy_name(name, m->name);

	return err ? err : c->ops->mkdir(c->fs, f->node, name, m->mode, &r->qid);
}

static int serve_symlink(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char name[P9_NAME_MAX + 1], target[P9_PATH_MAX + 1];
	int err = copy_name(name, m->name);

	if (err)
		return err;
	if (m->name2.len > P9_PATH_MAX)
		return -ENAMETOOLONG;
	if (!m->name2.len)
		return -ENOENT;
	memcpy(target, m->name2.p, m->name2.len);
	target[m->name2.len] = '\0';
	return c->ops->symlink(c->fs, f->node, name, target, &r->qid);
}

/* Nodes of devices, FIFOs and sockets are not made. */
static int serve_mknod(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	return -EPERM;
}

static int serve_none(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	return -EOPNOTSUPP; /* extended attributes */
}

/* The fid that m->dfid names, if it is a folder. */
static int other_dir(struct p9_conn *c, const struct p9_msg *m, struct p9_fid **dir)
{
	*dir = p9_fid_find(c, m->dfid);
	if (!*dir)
		return -EBADF;
	return is_dir(*dir) ? 0 : -ENOTDIR;
}

static int serve_link(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char name[P9_NAME_MAX + 1];
	struct p9_fid *dir;
	int err = other_dir(c, m, &dir);

	if (!err)
		err = copy_name(name, m->name);
	if (!err && is_dir(f))
		err = -EPERM;
	return err ? err : c->ops->link(c->fs, dir->node, name, f->node);
}

static int serve_unlinkat(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char name[P9_NAME_MAX + 1];
	int err = copy_name(name, m->name);

	if (!err && m->flags & ~P9_UNLINK_DIR)
		err = -EINVAL;
	return err ? err : c->ops->unlink(c->fs, f->node, name, m->flags & P9_UNLINK_DIR, NULL);
}

/* The fid goes, whether the file does or not. */
static int serve_remove(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	int err = -EROFS;

	if (!c->limits.read_only)
		err = !c->ops->unlink ? -EOPNOTSUPP : !f->parent ? -EBUSY : 0;
	if (!err)
		err = c->ops->unlink(c->fs, f->parent, f->name, is_dir(f), f->node);
	p9_fid_drop(c, f);
	return err;
}

static int serve_renameat(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char from[P9_NAME_MAX + 1], to[P9_NAME_MAX + 1];
	struct p9_fid *dir;
	int err = other_dir(c, m, &dir);

	if (!err)
		err = copy_name(from, m->name);
	if (!err)
		err = copy_name(to, m->name2);
	return err ? err : c->ops->rename(c->fs, f->node, from, dir->node, to, NULL);
}

static int serve_rename(struct p9_conn *c, struct p9_fid *f, struct p9_msg *m, struct p9_msg *r)
{
	char to[P9_NAME_MAX + 1], *name;
	struct p9_fid *dir;
	int err = other_dir(c, m, &dir);

	if (!err)
		err = f->parent ? copy_name(to, m->name) : -EBUSY;
	if (err)
		return err;
	name = strdup(to);
	if (!name)
		return -ENOMEM;
	err = c->ops->rename(c->fs, f->parent, f->name, dir->node, to, f->node);
	if (err) {
		free(name);
		return err;
	}
	c->ops->ref(c->fs, dir->node);
	c->ops->unref(c->fs, f->parent);
	f->parent = dir->node;
	free(f->name);
	f->name = name;
	return 0;
}

/* ---- the table ------------------------------------------------------------------------ */

enum need {
	NO_FID = 1, /* fid is not looked up */
	DIR = 2,    /* must be a folder */
	OPEN = 4,   /* must be open */
	CHANGES = 8 /* EROFS through a read-only connection */
};

#define OP(member) offsetof(struct p9_backend, member)

static const struct {
	serve_fn *fn;
	unsigned need;
	size_t op; /* of struct p9_backend, must be there; 0 (attach): is */
} table[P9_TYPES] = {
	[P9_TSTATFS] = {serve_statfs, 0, OP(statfs)},
	[P9_TLOPEN] = {serve_lopen, 0, 0},
	[P9_TLCREATE] = {serve_lcreate, DIR | CHANGES, OP(create)},
	[P9_TSYMLINK] = {serve_symlink, DIR | CHANGES, OP(symlink)},
	[P9_TMKNOD] = {serve_mknod, DIR | CHANGES, 0},
	[P9_TRENAME] = {serve_rename, CHANGES, OP(rename)},
	[P9_TREADLINK] = {serve_readlink, 0, OP(readlink)},
	[P9_TGETATTR] = {serve_getattr, 0, 0},
	[P9_TSETATTR] = {serve_setattr, CHANGES, OP(setattr)},
	[P9_TXATTRWALK] = {serve_none, 0, 0},
	[P9_TXATTRCREATE] = {serve_none, 0, 0},
	[P9_TREADDIR] = {serve_read, OPEN, 0},
	[P9_TFSYNC] = {serve_fsync, OPEN, 0},
	[P9_TLOCK] = {serve_lock, OPEN, OP(lock)},
	[P9_TGETLOCK] = {serve_getlock, OPEN, OP(getlock)},
	[P9_TLINK] = {serve_link, CHANGES, OP(link)},
	[P9_TMKDIR] = {serve_mkdir, DIR | CHANGES, OP(mkdir)},
	[P9_TRENAMEAT] = {serve_renameat, DIR | CHANGES, OP(rename)},
	[P9_TUNLINKAT] = {serve_unlinkat, DIR | CHANGES, OP(unlink)},
	[P9_TAUTH] = {serve_auth, NO_FID, 0},
	[P9_TATTACH] = {serve_attach, NO_FID, 0},
	[P9_TFLUSH] = {serve_flush, NO_FID, 0},
	[P9_TWALK] = {serve_walk, 0, 0},
	[P9_TREAD] = {serve_read, OPEN, 0},
	[P9_TWRITE] = {serve_write, OPEN | CHANGES, OP(write)},
	[P9_TCLUNK] = {serve_clunk, 0, 0},
	[P9_TREMOVE] = {serve_remove, 0, 0},
};

static bool has_op(const struct p9_conn *c, size_t op)
{
	void (*fn)(void);

	memcpy(&fn, (const char *)c->ops + op, sizeof(fn));
	return fn;
}

int p9_serve(struct p9_conn *c, struct p9_msg *m, struct p9_msg *r)
{
	unsigned need = table[m->type].need;
	struct p9_fid *f = NULL;

	if (!table[m->type].fn)
		return -EOPNOTSUPP;
	if (!(need & NO_FID) && !(f = p9_fid_find(c, m->fid)))
		return -EBADF;
	if (need & OPEN && !f->file)
		return -EBADF;
	if (need & DIR && !is_dir(f))
		return -ENOTDIR;
	if (need & CHANGES && c->limits.read_only)
		return -EROFS;
	if (!has_op(c, table[m->type].op))
		return -EOPNOTSUPP;
	return table[m->type].fn(c, f, m, r);
}
