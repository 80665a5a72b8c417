/* See p9_mem.h. */
#include "p9_mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct mem_file {
	struct mem_node *node;
	uint32_t flags;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static int number(const struct mem_fs *fs, const struct mem_node *n)
{
	return (int)(n - fs->node);
}

static struct mem_node *entry(struct mem_fs *fs, const struct mem_node *dir, const char *name)
{
	for (int i = 1; i < MEM_NODES; i++) {
		struct mem_node *n = &fs->node[i];

		if (n->used && n->linked && n->parent == number(fs, dir) && !strcmp(n->name, name))
			return n;
	}
	return NULL;
}

static struct p9_qid qid_of(const struct mem_fs *fs, const struct mem_node *n)
{
	struct p9_qid qid = {.type = P9_QTFILE, .path = (uint64_t)number(fs, n) + 1};

	if (n->is_dir)
		qid.type = P9_QTDIR;
	if (n->is_link)
		qid.type = P9_QTSYMLINK;
	return qid;
}

/* Every call begins so: counts, and fails when it is to. */
static bool fails(struct mem_fs *fs)
{
	return ++fs->calls == fs->fail_at;
}

static void changes(const struct mem_fs *fs)
{
	must(!fs->read_only);
}

static struct mem_node *check_dir(void *dir, const char *name)
{
	struct mem_node *d = dir;

	must(d->used && d->refs && d->is_dir);
	must(p9_name_valid(p9_str(name)));
	return d;
}

static void forget(struct mem_node *n)
{
	if (n->refs || n->linked)
		return;
	free(n->data);
	*n = (struct mem_node){0};
}

static struct mem_node *make(struct mem_fs *fs, struct mem_node *dir, const char *name)
{
	for (int i = 1; i < MEM_NODES; i++) {
		struct mem_node *n = &fs->node[i];

		if (n->used)
			continue;
		*n = (struct mem_node){.used = true, .linked = true, .parent = number(fs, dir)};
		snprintf(n->name, sizeof(n->name), "%s", name);
		return n;
	}
	return NULL;
}

static int mem_attach(void *opaque, struct p9_str user, struct p9_str name, uint32_t uid,
		      void **node, struct p9_qid *qid)
{
	struct mem_fs *fs = opaque;

	if (fails(fs))
		return -ENOMEM;
	fs->node[0].refs++;
	*node = &fs->node[0];
	*qid = qid_of(fs, &fs->node[0]);
	return 0;
}

static int mem_walk(void *opaque, void *dir, const char *name, void **node, struct p9_qid *qid)
{
	struct mem_fs *fs = opaque;
	struct mem_node *n = entry(fs, check_dir(dir, name), name);

	if (fails(fs))
		return -ENOMEM;
	if (!n)
		return -ENOENT;
	n->refs++;
	*node = n;
	*qid = qid_of(fs, n);
	return 0;
}

static void mem_ref(void *opaque, void *node)
{
	struct mem_node *n = node;

	must(n->used && n->refs);
	n->refs++;
}

static void mem_unref(void *opaque, void *node)
{
	struct mem_node *n = node;

	must(n->used && n->refs);
	n->refs--;
	if (n->parent >= 0)
		forget(n);
}

static int mem_open(void *opaque, void *node, uint32_t flags, void **file, struct p9_qid *qid)
{
	struct mem_fs *fs = opaque;
	struct mem_node *n = node;
	struct mem_file *f;

	must(n->used && n->refs && !n->is_link);
	must(!(flags & ~(P9_O_ACCMODE | P9_O_TRUNC | P9_O_APPEND | P9_O_DSYNC | P9_O_SYNC)));
	must((flags & P9_O_ACCMODE) != P9_O_ACCMODE);
	if (flags & (P9_O_ACCMODE | P9_O_TRUNC)) {
		changes(fs);
		must(!n->is_dir);
	}
	if (fails(fs))
		return -ENOMEM;
	f = malloc(sizeof(*f));
	*f = (struct mem_file){n, flags};
	n->refs++;
	fs->open_files++;
	if (flags & P9_O_TRUNC)
		n->bytes = 0;
	*file = f;
	return 0;
}

static int mem_create(void *opaque, void *dir, const char *name, uint32_t flags, uint32_t mode,
		      void **node, void **file, struct p9_qid *qid)
{
	struct mem_fs *fs = opaque;
	struct mem_node *d = check_dir(dir, name), *n = entry(fs, d, name);
	int err;

	changes(fs);
	if (n && (flags & P9_O_EXCL || n->is_dir || n->is_link))
		return -EEXIST;
	if (fails(fs))
		return -ENOMEM;
	if (!n)
		n = make(fs, d, name);
	if (!n)
		return -ENOSPC;
	n->refs++;
	n->mode = mode;
	err = mem_open(fs, n, flags & ~P9_O_EXCL, file, qid);
	if (err) {
		mem_unref(fs, n);
		return err;
	}
	*node = n;
	*qid = qid_of(fs, n);
	return 0;
}

static void mem_close(void *opaque, void *file)
{
	struct mem_fs *fs = opaque;
	struct mem_file *f = file;

	must(fs->open_files-- > 0);
	mem_unref(fs, f->node);
	free(f);
}

static long mem_read(void *opaque, void *file, uint64_t off, void *buf, uint32_t n)
{
	const struct mem_file *f = file;

	must(!f->node->is_dir && (f->flags & P9_O_ACCMODE) != P9_O_WRONLY);
	if (fails(opaque))
		return -ENOMEM;
	if (off >= f->node->bytes)
		return 0;
	if (n > f->node->bytes - off)
		n = f->node->bytes - (uint32_t)off;
	memcpy(buf, f->node->data + off, n);
	return n;
}

static int resize(struct mem_node *n, uint64_t bytes)
{
	if (bytes > MEM_BYTES)
		return -ENOSPC;
	if (!n->data)
		n->data = calloc(1, MEM_BYTES);
	if (bytes > n->bytes)
		memset(n->data + n->bytes, 0, bytes - n->bytes);
	n->bytes = (uint32_t)bytes;
	return 0;
}

static long mem_write(void *opaque, void *file, uint64_t off, const void *buf, uint32_t n)
{
	const struct mem_file *f = file;
	uint64_t end;
	int err;

	changes(opaque);
	must(!f->node->is_dir && f->flags & P9_O_ACCMODE);
	must(off <= (uint64_t)INT64_MAX - n);
	if (fails(opaque))
		return -ENOMEM;
	if (f->flags & P9_O_APPEND)
		off = f->node->bytes;
	end = off + n > f->node->bytes ? off + n : f->node->bytes;
	err = resize(f->node, end);
	if (err)
		return err;
	memcpy(f->node->data + off, buf, n);
	return n;
}

static long mem_readdir(void *opaque, void *file, uint64_t off, void *buf, uint32_t room)
{
	struct mem_fs *fs = opaque;
	const struct mem_file *f = file;
	uint32_t done = 0;

	must(f->node->is_dir);
	if (fails(fs))
		return -ENOMEM;
	for (uint64_t i = off < MEM_NODES ? off : MEM_NODES; i < MEM_NODES; i++) {
		const struct mem_node *n = &fs->node[i];
		struct p9_dirent d = {.offset = i + 1};
		size_t put;

		if (!i || !n->used || !n->linked || n->parent != number(fs, f->node))
			continue;
		d.qid = qid_of(fs, n);
		d.type = n->is_dir ? DT_DIR : DT_REG;
		d.name = p9_str(n->name);
		put = p9_dirent_put((char *)buf + done, room - done, &d);
		if (!put)
			return done ? (long)done : -EINVAL;
		done += (uint32_t)put;
	}
	return done;
}

static int mem_getattr(void *opaque, void *node, void *file, struct p9_attr *attr)
{
	const struct mem_node *n = node;

	must(n->used && n->refs);
	if (fails(opaque))
		return -ENOMEM;
	attr->size = n->bytes;
	attr->mode = (n->is_dir ? S_IFDIR : n->is_link ? S_IFLNK : S_IFREG) | n->mode;
	return 0;
}

static int mem_setattr(void *opaque, void *node, void *file, const struct p9_setattr *attr)
{
	struct mem_node *n = node;

	changes(opaque);
	if (fails(opaque))
		return -ENOMEM;
	if (attr->valid & P9_SETATTR_MODE)
		n->mode = attr->mode & 0777;
	if (!(attr->valid & P9_SETATTR_SIZE))
		return 0;
	must(!n->is_dir && !n->is_link);
	return resize(n, attr->size);
}

static int mem_statfs(void *opaque, void *node, struct p9_statfs *st)
{
	*st = (struct p9_statfs){.bsize = 4096, .blocks = 1000, .namelen = P9_NAME_MAX};
	return fails(opaque) ? -ENOMEM : 0;
}

static int add(struct mem_fs *fs, void *dir, const char *name, bool is_dir, struct p9_qid *qid)
{
	struct mem_node *d = check_dir(dir, name), *n;

	changes(fs);
	if (fails(fs))
		return -ENOMEM;
	if (entry(fs, d, name))
		return -EEXIST;
	n = make(fs, d, name);
	if (!n)
		return -ENOSPC;
	n->is_dir = is_dir;
	n->is_link = !is_dir;
	*qid = qid_of(fs, n);
	return 0;
}

static int mem_mkdir(void *opaque, void *dir, const char *name, uint32_t mode, struct p9_qid *qid)
{
	return add(opaque, dir, name, true, qid);
}

static int mem_symlink(void *opaque, void *dir, const char *name, const char *target,
		       struct p9_qid *qid)
{
	struct mem_fs *fs = opaque;
	int err = add(fs, dir, name, false, qid);
	struct mem_node *n;

	must(strlen(target) && strlen(target) <= P9_PATH_MAX);
	if (err)
		return err;
	n = entry(fs, dir, name);
	n->data = strdup(target);
	n->bytes = (uint32_t)strlen(target);
	return 0;
}

static long mem_readlink(void *opaque, void *node, char *buf, uint32_t room)
{
	const struct mem_node *n = node;

	must(n->is_link);
	if (fails(opaque))
		return -ENOMEM;
	if (room > n->bytes)
		room = n->bytes;
	memcpy(buf, n->data, room);
	return room;
}

static bool is_empty(const struct mem_fs *fs, const struct mem_node *dir)
{
	for (int i = 1; i < MEM_NODES; i++) {
		if (fs->node[i].used && fs->node[i].linked && fs->node[i].parent == number(fs, dir))
			return false;
	}
	return true;
}

static int mem_unlink(void *opaque, void *dir, const char *name, bool is_dir, void *node)
{
	struct mem_fs *fs = opaque;
	struct mem_node *n = entry(fs, check_dir(dir, name), name);

	changes(fs);
	if (fails(fs))
		return -ENOMEM;
	if (!n)
		return -ENOENT;
	if (node && node != n)
		return -ESTALE;
	if (n->is_dir != is_dir)
		return is_dir ? -ENOTDIR : -EISDIR;
	if (n->is_dir && !is_empty(fs, n))
		return -ENOTEMPTY;
	n->linked = false;
	forget(n);
	return 0;
}

/* Is the folder a, or somewhere in it? */
static bool is_inside(const struct mem_fs *fs, int a, int dir)
{
	while (dir > 0 && dir != a)
		dir = fs->node[dir].parent;
	return dir == a;
}

static int mem_rename(void *opaque, void *dir, const char *name, void *to_dir, const char *to_name,
		      void *node)
{
	struct mem_fs *fs = opaque;
	struct mem_node *to = check_dir(to_dir, to_name);
	struct mem_node *n = entry(fs, check_dir(dir, name), name), *old = entry(fs, to, to_name);

	changes(fs);
	if (fails(fs))
		return -ENOMEM;
	if (!n || !to->linked)
		return -ENOENT;
	if (node && node != n)
		return -ESTALE;
	if (n->is_dir && is_inside(fs, number(fs, n), number(fs, to)))
		return -EINVAL;
	if (old && (old->is_dir || n->is_dir))
		return -EEXIST;
	if (old && old != n) {
		old->linked = false;
		forget(old);
	}
	n->parent = number(fs, to);
	snprintf(n->name, sizeof(n->name), "%s", to_name);
	return 0;
}

static int mem_lock(void *opaque, void *file, const struct p9_lock *lock,
		    enum p9_lock_status *status)
{
	must(lock->type <= P9_LOCK_UNLCK);
	*status = P9_LOCK_SUCCESS;
	return fails(opaque) ? -ENOMEM : 0;
}

static int mem_getlock(void *opaque, void *file, struct p9_lock *lock)
{
	lock->type = P9_LOCK_UNLCK;
	return fails(opaque) ? -ENOMEM : 0;
}

const struct p9_backend mem_backend = {
	.attach = mem_attach,
	.walk = mem_walk,
	.ref = mem_ref,
	.unref = mem_unref,
	.open = mem_open,
	.create = mem_create,
	.close = mem_close,
	.read = mem_read,
	.write = mem_write,
	.readdir = mem_readdir,
	.getattr = mem_getattr,
	.setattr = mem_setattr,
	.statfs = mem_statfs,
	.mkdir = mem_mkdir,
	.symlink = mem_symlink,
	.readlink = mem_readlink,
	.unlink = mem_unlink,
	.rename = mem_rename,
	.lock = mem_lock,
	.getlock = mem_getlock,
};

void mem_init(struct mem_fs *fs)
{
	static const char text[] = "contents";
	struct p9_qid qid;
	struct mem_node *n;

	memset(fs, 0, sizeof(*fs));
	fs->node[0] = (struct mem_node){
		.used = true, .linked = true, .is_dir = true, .parent = -1, .refs = 1};
	n = make(fs, &fs->node[0], "file");
	must(n && !resize(n, sizeof(text) - 1));
	memcpy(n->data, text, sizeof(text) - 1);
	must(!mem_mkdir(fs, &fs->node[0], "dir", 0755, &qid));
	must(!mem_symlink(fs, &fs->node[0], "link", "/etc/passwd", &qid));
	fs->calls = 0;
}

void mem_finish(struct mem_fs *fs)
{
	must(fs->open_files == 0 && fs->node[0].refs == 1);
	for (int i = 1; i < MEM_NODES; i++) {
		must(fs->node[i].refs == 0);
		must(!fs->node[i].used || fs->node[i].linked);
		free(fs->node[i].data);
	}
	memset(fs, 0, sizeof(*fs));
}
