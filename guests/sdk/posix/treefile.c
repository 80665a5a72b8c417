/* Opened files and folders of mounts. */
#include "files.h"
#include "tree.h"

#include <fcntl.h>

struct treefile {
	struct file file;
	struct p9_ref ref; /* server NULL: a folder that only mounts make */
	uint64_t device;
	char *path; /* of a folder, of path_bytes */
	size_t path_bytes;
	struct listing *listing; /* of a folder that is more than one server's */
	bool mixed;              /* it is */
	struct tree_node *node;  /* for that listing */
};

static struct treefile *of(struct file *f)
{
	return (struct treefile *)(void *)f;
}

static long tree_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct treefile *t = of(f);
	long done;

	if (t->path)
		return -EISDIR;
	done = p9_read(&t->ref, iov, n, (uint64_t)(off >= 0 ? off : f->pos));
	if (off < 0 && done > 0)
		f->pos += done;
	return done;
}

static int64_t tree_size(struct file *f)
{
	struct p9_attr attr;
	int err;

	if (of(f)->path)
		return 0; /* folders have places, not sizes */
	err = p9_getattr(&of(f)->ref, &attr);
	return err ? err : (int64_t)attr.size;
}

static long tree_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	struct treefile *t = of(f);
	long done;

	/* With O_APPEND the server finds the end; only the place has to be known here. */
	done = p9_write(&t->ref, iov, n, (uint64_t)(off >= 0 ? off : f->pos));
	if (done > 0 && off < 0)
		f->pos = f->flags & O_APPEND ? MAX(tree_size(f), 0) : f->pos + done;
	return done;
}

static int tree_sync(struct file *f)
{
	return of(f)->ref.server ? p9_fsync(&of(f)->ref, false) : 0;
}

static int tree_fstat(struct file *f, struct stat *st)
{
	const struct tree_node folder = {0};
	struct p9_attr attr;
	int err;

	if (!of(f)->ref.server)
		return tree_stat(&folder, st);
	err = p9_getattr(&of(f)->ref, &attr);
	if (!err) {
		tree_stat_of(&attr, st);
		st->st_dev = of(f)->device;
	}
	return err;
}

static void tree_close(struct file *f)
{
	struct treefile *t = of(f);

	p9_clunk(&t->ref);
	listing_free(t->listing);
	mem_free(t->node, sizeof(*t->node));
	mem_free(t->path, t->path_bytes);
	mem_free(t, sizeof(*t));
}

static const struct file_ops tree_ops = {
	.readv = tree_readv,
	.writev = tree_writev,
	.size = tree_size,
	.sync = tree_sync,
	.stat = tree_fstat,
	.close = tree_close,
	.mode = S_IFREG,
};

const struct p9_ref *treefile_ref(struct file *f)
{
	return f && f->ops == &tree_ops ? &of(f)->ref : NULL;
}

const char *treefile_path(struct file *f)
{
	return f && f->ops == &tree_ops ? of(f)->path : NULL;
}

/* ---- opening ---------------------------------------------------------------------------- */

static uint64_t device_of(const struct tree_node *n)
{
	return n->mp ? ((n->mp->layer[n->layer].port & 0xffffffull) << 8) + 2 : 1;
}

/* A file for the node, without its ref yet. */
static int new_file(const struct tree_node *n, int flags, bool is_dir, struct treefile **out)
{
	struct treefile *t = mem_alloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->file = (struct file){.ops = &tree_ops,
				.refs = 1,
				.flags = (unsigned)flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)};
	t->device = device_of(n);
	t->path_bytes = is_dir ? strlen(n->path) + 1 : 0;
	t->path = is_dir ? mem_alloc(t->path_bytes) : NULL;
	t->mixed = is_dir && (!n->mp || n->mp->nlayers > 1 || mount_below(n->path, false));
	t->node = t->mixed ? mem_alloc(sizeof(*t->node)) : NULL;
	if ((is_dir && !t->path) || (t->mixed && !t->node)) {
		tree_close(&t->file);
		return -ENOMEM;
	}
	if (is_dir)
		memcpy(t->path, n->path, t->path_bytes);
	*out = t;
	return 0;
}

#define SERVER_FLAGS (O_ACCMODE | O_TRUNC | O_APPEND | O_DIRECTORY | O_SYNC)

int treefile_open(struct tree_node *n, int flags, struct file **out)
{
	struct treefile *t;
	int err = new_file(n, flags, tree_is_dir(n), &t);

	if (!err && n->mp) {
		err = p9_open(&n->ref, flags & SERVER_FLAGS);
		t->ref = n->ref;
		n->ref = (struct p9_ref){0};
		if (err)
			tree_close(&t->file);
	}
	p9_clunk(&n->ref);
	if (!err)
		*out = &t->file;
	return err;
}

int treefile_create(struct tree_node *dir, const char *name, int flags, unsigned mode,
		    struct file **out)
{
	struct treefile *t = NULL;
	struct p9_ref top = {0};
	int err = new_file(dir, flags, false, &t);

	if (!err && dir->mp->nlayers > 1)
		err = p9_clone(&dir->ref, &top);
	if (!err)
		err = p9_create(&dir->ref, name, flags & (SERVER_FLAGS | O_CREAT | O_EXCL), mode);
	if (!err && top.server)
		err = union_unhide(&top, name, false);
	p9_clunk(&top);
	if (err) {
		if (t)
			tree_close(&t->file);
		p9_clunk(&dir->ref);
		return err;
	}
	t->ref = dir->ref;
	dir->ref = (struct p9_ref){0};
	*out = &t->file;
	return 0;
}

/* ---- folders --------------------------------------------------------------------------------- */

struct entry { /* as getdents64 has it */
	uint64_t ino;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

size_t listing_put(void *buf, size_t len, uint64_t ino, int64_t next, uint8_t type,
		   const char *name, size_t name_len)
{
	struct entry *e = buf;
	size_t bytes = (offsetof(struct entry, name) + name_len + 1 + 7) & ~(size_t)7;

	if (bytes > len)
		return 0;
	e->ino = ino ? ino : 1; /* 0 means "none" to some programs */
	e->next = next;
	e->bytes = (uint16_t)bytes;
	e->type = type;
	memcpy(e->name, name, name_len);
	memset(e->name + name_len, 0, bytes - offsetof(struct entry, name) - name_len);
	return bytes;
}

#define READ_BYTES 8192

/* Of one server: its entries go through, and its places are ours. */
static long read_plain(struct treefile *t, void *buf, size_t len)
{
	uint8_t *raw = mem_alloc(READ_BYTES);
	size_t done = 0, put = 1;
	long got, used = 0, part = 0;

	if (!raw)
		return -ENOMEM;
	got = p9_readdir(&t->ref, (uint64_t)t->file.pos, raw, (uint32_t)MIN(len, READ_BYTES));
	while (got > 0 && used < got) {
		struct p9_dirent d;

		part = p9_dirent_get(raw + used, (size_t)(got - used), &d);
		if (part <= 0)
			break;
		put = listing_put((char *)buf + done, len - done, d.qid.path, (int64_t)d.offset,
				  d.type, d.name.p, d.name.len);
		if (!put)
			break;
		used += part;
		done += put;
		t->file.pos = (int64_t)d.offset;
	}
	mem_free(raw, READ_BYTES);
	if (got < 0 || part < 0)
		return got < 0 ? got : -EIO;
	return done || put ? (long)done : -EINVAL;
}

/* Of several: all of it is read at the start, and places are numbers of entries. */
static long read_mixed(struct treefile *t, void *buf, size_t len)
{
	int err;

	if (t->file.pos == 0) {
		bool is_dir;

		listing_free(t->listing);
		t->listing = NULL;
		err = tree_find(t->path, true, t->node);
		is_dir = !err && tree_is_dir(t->node);
		if (!err && is_dir)
			err = listing_make(t->node, &t->listing);
		tree_drop(t->node);
		if (err || !is_dir)
			return err ? err : -ENOENT;
	}
	return t->listing ? listing_read(t->listing, &t->file.pos, buf, len) : -EINVAL;
}

long treefile_getdents(struct file *f, void *buf, size_t len)
{
	if (!f)
		return -EBADF;
	if (!treefile_path(f))
		return -ENOTDIR;
	return of(f)->mixed ? read_mixed(of(f), buf, len) : read_plain(of(f), buf, len);
}
