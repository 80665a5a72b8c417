/* One function for each request of p9_client.h. */
#include "p9_client.h"

/* A call about a ref: begins, calls, ends. */
static int call_ref(const struct p9_ref *r, struct p9_msg *m)
{
	int err = p9_begin_ref(r);

	if (err)
		return err;
	m->fid = r->fid;
	err = p9_call(r->server, m);
	p9_end(r->server);
	return err;
}

/* ---- walking ----------------------------------------------------------------------- */

/* Up to P9_WALK_MAX names from *path on; where the next one starts. */
static const char *take_names(struct p9_msg *m, const char *path)
{
	m->nnames = 0;
	while (*path && m->nnames < P9_WALK_MAX) {
		uint16_t len = 0;

		while (path[len] && path[len] != '/')
			len++;
		m->names[m->nnames++] = (struct p9_str){path, len};
		path += len;
		while (*path == '/')
			path++;
	}
	return path;
}

/* The end of the name number `n` of those that begin at path. */
static size_t end_of(const char *path, unsigned n)
{
	size_t at = 0;

	for (;; n--) {
		while (path[at] && path[at] != '/')
			at++;
		if (n == 0)
			return at;
		while (path[at] == '/')
			at++;
	}
}

/* Where a walk is. */
struct walk {
	struct p9_server *s;
	uint32_t from, fid;
	bool have; /* the fid stands at `at` */
	const char *path, *at;
	struct p9_qid qid;
};

/* The next names, as many as one message has room for. */
static int step(struct walk *w, size_t *done)
{
	struct p9_msg m = {.type = P9_TWALK, .fid = w->have ? w->fid : w->from, .newfid = w->fid};
	const char *rest = take_names(&m, w->at);
	unsigned asked = m.nnames;
	int err = p9_call(w->s, &m);

	if (err)
		return err;
	if (m.nnames > asked || (asked && !m.nnames))
		return -EIO;
	if (asked) {
		w->qid = m.qids[m.nnames - 1];
		*done = (size_t)(w->at - w->path) + end_of(w->at, m.nnames - 1u);
	}
	if (m.nnames == asked) {
		w->have = true;
		w->at = rest;
		return *rest && w->qid.type & P9_QTSYMLINK ? -ELOOP : 0;
	}
	/* Stopped: at a link, at what is no folder, or where there is nothing. */
	if (w->qid.type & P9_QTSYMLINK)
		return -ELOOP;
	return w->qid.type & P9_QTDIR ? -ENOENT : -ENOTDIR;
}

static void clunk_fid(struct p9_server *s, uint32_t fid)
{
	struct p9_msg m = {.type = P9_TCLUNK, .fid = fid};

	p9_call(s, &m);
}

/* Numbers come round after 2^32 files; one still in use is the server's -EBADF. */
static uint32_t new_fid(struct p9_server *s)
{
	uint32_t fid = s->next_fid++;

	if (s->next_fid == P9_NOFID)
		s->next_fid = P9_ROOT_FID + 1;
	return fid;
}

static int walk_all(struct walk *w, struct p9_ref *out, size_t *done)
{
	int err;

	w->at = w->path;
	w->fid = new_fid(w->s);
	do
		err = step(w, done);
	while (!err && *w->at);
	if (!err)
		*out = (struct p9_ref){w->s, w->s->generation, w->fid, w->qid};
	else if (w->have)
		clunk_fid(w->s, w->fid);
	return err;
}

int p9_walk(struct p9_server *s, const char *path, struct p9_ref *out, size_t *done)
{
	struct walk w = {.s = s, .from = P9_ROOT_FID, .path = path, .qid.type = P9_QTDIR};
	int err;

	*out = (struct p9_ref){0};
	*done = 0;
	err = p9_begin(s);
	if (err)
		return err;
	err = walk_all(&w, out, done);
	p9_end(s);
	return err;
}

int p9_walk_from(const struct p9_ref *dir, const char *path, struct p9_ref *out)
{
	struct walk w = {.s = dir->server, .from = dir->fid, .path = path, .qid = dir->qid};
	size_t done;
	int err = p9_begin_ref(dir);

	*out = (struct p9_ref){0};
	if (err)
		return err;
	err = walk_all(&w, out, &done);
	p9_end(dir->server);
	return err;
}

int p9_clone(const struct p9_ref *r, struct p9_ref *out)
{
	return p9_walk_from(r, "", out);
}

void p9_clunk(struct p9_ref *r)
{
	struct p9_msg m = {.type = P9_TCLUNK};

	if (r->server)
		call_ref(r, &m);
	r->server = NULL;
}

/* ---- files --------------------------------------------------------------------------- */

int p9_open(struct p9_ref *r, int flags)
{
	struct p9_msg m = {.type = P9_TLOPEN, .flags = (uint32_t)flags};
	int err = call_ref(r, &m);

	if (!err)
		r->qid = m.qid;
	return err;
}

int p9_create(struct p9_ref *dir, const char *name, int flags, unsigned mode)
{
	struct p9_msg m = {.type = P9_TLCREATE, .flags = (uint32_t)flags, .mode = mode};
	int err;

	m.name = p9_str(name);
	err = call_ref(dir, &m);
	if (!err)
		dir->qid = m.qid;
	return err;
}

static long transfer(const struct p9_ref *r, bool write, const struct iovec *iov, int n,
		     uint64_t off)
{
	long done = p9_begin_ref(r);

	if (done)
		return done;
	done = p9_transfer(r->server, write, r->fid, iov, n, off);
	p9_end(r->server);
	return done;
}

long p9_read(const struct p9_ref *r, const struct iovec *iov, int n, uint64_t off)
{
	return transfer(r, false, iov, n, off);
}

long p9_write(const struct p9_ref *r, const struct iovec *iov, int n, uint64_t off)
{
	return transfer(r, true, iov, n, off);
}

long p9_readdir(const struct p9_ref *r, uint64_t off, void *buf, uint32_t cap)
{
	struct p9_msg m = {.type = P9_TREADDIR, .fid = r->fid, .offset = off};
	long done = p9_begin_ref(r);

	if (done)
		return done;
	m.count = MIN(cap, P9_BUF_BYTES - P9_READ_HEADER);
	m.count = MIN(m.count, r->server->msize - P9_READ_HEADER);
	done = p9_call(r->server, &m);
	if (!done && m.data.len <= cap) {
		memcpy(buf, m.data.p, m.data.len);
		done = (long)m.data.len;
	} else if (!done) {
		done = -EIO;
	}
	p9_end(r->server);
	return done;
}

int p9_fsync(const struct p9_ref *r, bool data_only)
{
	struct p9_msg m = {.type = P9_TFSYNC, .flags = data_only};

	return call_ref(r, &m);
}

int p9_getattr(const struct p9_ref *r, struct p9_attr *attr)
{
	struct p9_msg m = {.type = P9_TGETATTR, .mask = P9_GETATTR_BASIC};
	int err = call_ref(r, &m);

	*attr = m.attr;
	return err;
}

int p9_setattr(const struct p9_ref *r, const struct p9_setattr *attr)
{
	struct p9_msg m = {.type = P9_TSETATTR, .setattr = *attr};

	return call_ref(r, &m);
}

int p9_statfs(const struct p9_ref *r, struct p9_statfs *st)
{
	struct p9_msg m = {.type = P9_TSTATFS};
	int err = call_ref(r, &m);

	*st = m.statfs;
	return err;
}

/* ---- names ---------------------------------------------------------------------------- */

int p9_mkdir(const struct p9_ref *dir, const char *name, unsigned mode)
{
	struct p9_msg m = {.type = P9_TMKDIR, .mode = mode};

	m.name = p9_str(name);
	return call_ref(dir, &m);
}

int p9_symlink(const struct p9_ref *dir, const char *name, const char *target)
{
	struct p9_msg m = {.type = P9_TSYMLINK};

	m.name = p9_str(name);
	m.name2 = p9_str(target);
	return call_ref(dir, &m);
}

int p9_link(const struct p9_ref *dir, const char *name, const struct p9_ref *to)
{
	struct p9_msg m = {.type = P9_TLINK, .dfid = dir->fid};

	if (dir->server != to->server)
		return -EXDEV;
	if (dir->generation != to->generation)
		return -EIO;
	m.name = p9_str(name);
	return call_ref(to, &m);
}

long p9_readlink(const struct p9_ref *r, char *buf, size_t cap)
{
	struct p9_msg m = {.type = P9_TREADLINK, .fid = r->fid};
	long done = p9_begin_ref(r);

	if (done)
		return done;
	done = p9_call(r->server, &m);
	if (!done) {
		done = (long)MIN(m.name2.len, cap);
		memcpy(buf, m.name2.p, (size_t)done);
	}
	p9_end(r->server);
	return done;
}

int p9_unlink(const struct p9_ref *dir, const char *name, bool is_dir)
{
	struct p9_msg m = {.type = P9_TUNLINKAT, .flags = is_dir ? P9_UNLINK_DIR : 0};

	m.name = p9_str(name);
	return call_ref(dir, &m);
}

int p9_rename(const struct p9_ref *dir, const char *name, const struct p9_ref *to_dir,
	      const char *to_name)
{
	struct p9_msg m = {.type = P9_TRENAMEAT, .dfid = to_dir->fid};

	if (dir->server != to_dir->server)
		return -EXDEV;
	if (dir->generation != to_dir->generation)
		return -EIO;
	m.name = p9_str(name);
	m.name2 = p9_str(to_name);
	return call_ref(dir, &m);
}
