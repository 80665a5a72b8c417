/*
 * One file in place of a folder: a root that has just this name in it, for a file that a
 * person chose (docs/control.md, op "offer-file"). The file came open, as fd 4; nothing is
 * looked up, so no name that a guest says is ever given to the kernel, and the filter has no
 * call that takes one. What is opened for reading alone stays so: it is never opened anew.
 *
 * Limit: a guest's openings of it share one open file of the host, so locks that
 * one of them holds do not keep the others out. The file's mode and owner stay what they are.
 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

const char *fs_file_name;

/* Their addresses are the nodes. */
static char root, file;

static int qid_of(const void *node, struct p9_qid *qid)
{
	struct stat st;

	if (fstat(FS_ROOT_FD, &st))
		return -errno;
	*qid = fs_qid(&st);
	if (node == &root) {
		qid->type = P9_QTDIR;
		qid->path = ~qid->path;
	}
	return 0;
}

static int file_attach(void *fs, struct p9_str user, struct p9_str name, uint32_t uid, void **node,
		       struct p9_qid *qid)
{
	if (name.len > 1 || (name.len == 1 && name.p[0] != '/'))
		return -ENOENT;
	*node = &root;
	return qid_of(&root, qid);
}

static int file_walk(void *fs, void *dir, const char *name, void **node, struct p9_qid *qid)
{
	if (dir != &root)
		return -ENOTDIR;
	if (strcmp(name, fs_file_name) != 0)
		return -ENOENT;
	*node = &file;
	return qid_of(&file, qid);
}

static void file_ref(void *fs, void *node) {}

/* ---- open files ------------------------------------------------------------------ */

static int file_open(void *fs, void *node, uint32_t flags, void **opened, struct p9_qid *qid)
{
	struct fs_file *f = calloc(1, sizeof(*f));
	int err = 0;

	if (!f)
		return -ENOMEM;
	f->append = flags & P9_O_APPEND;
	f->fd = dup(FS_ROOT_FD);
	if (f->fd < 0)
		err = -errno;
	else if (node == &file && flags & P9_O_TRUNC && ftruncate(f->fd, 0))
		err = -errno;
	if (err) {
		if (f->fd >= 0)
			close(f->fd);
		free(f);
		return err;
	}
	*opened = f;
	return 0;
}

/* Of the one name: as open. */
static int file_create(void *fs, void *dir, const char *name, uint32_t flags, uint32_t mode,
		       void **node, void **opened, struct p9_qid *qid)
{
	int err;

	if (dir != &root || strcmp(name, fs_file_name) != 0)
		return -EACCES;
	if (flags & P9_O_EXCL)
		return -EEXIST;
	err = qid_of(&file, qid);
	if (!err)
		err = file_open(fs, &file, flags, opened, qid);
	*node = &file;
	return err;
}

static long file_write(void *fs, void *opened, uint64_t off, const void *buf, uint32_t n)
{
	const struct fs_file *f = opened;
	struct stat st;

	if (!f->append)
		return fs_backend.write(fs, opened, off, buf, n);
	return fstat(f->fd, &st) ? -errno
				 : fs_backend.write(fs, opened, (uint64_t)st.st_size, buf, n);
}

static long file_readdir(void *fs, void *opened, uint64_t off, void *buf, uint32_t n)
{
	struct p9_dirent d = {.offset = 1, .type = 8 /* DT_REG */, .name = p9_str(fs_file_name)};
	size_t put;
	int err;

	if (off)
		return 0;
	err = qid_of(&file, &d.qid);
	if (err)
		return err;
	put = p9_dirent_put(buf, n, &d);
	return put ? (long)put : -EINVAL;
}

/* ---- attributes ---------------------------------------------------------------------- */

static int file_getattr(void *fs, void *node, void *opened, struct p9_attr *attr)
{
	struct fs_node n = {.fd = FS_ROOT_FD};
	int err = fs_backend.getattr(fs, &n, NULL, attr);

	if (err || node == &file)
		return err;
	attr->mode = S_IFDIR | 0500;
	attr->nlink = 2;
	attr->size = attr->blocks = attr->rdev = 0;
	return qid_of(&root, &attr->qid);
}

static int file_setattr(void *fs, void *node, void *opened, const struct p9_setattr *a)
{
	const uint32_t times = P9_SETATTR_ATIME | P9_SETATTR_MTIME | P9_SETATTR_ATIME_SET |
			       P9_SETATTR_MTIME_SET | P9_SETATTR_CTIME;

	if (node != &file || a->valid & ~(P9_SETATTR_SIZE | times))
		return -EPERM;
	if (a->valid & P9_SETATTR_SIZE && ftruncate(FS_ROOT_FD, (off_t)a->size))
		return -errno;
	return a->valid & times ? fs_set_times(FS_ROOT_FD, a) : 0;
}

static int file_statfs(void *fs, void *node, struct p9_statfs *st)
{
	struct fs_node n = {.fd = FS_ROOT_FD};

	return fs_backend.statfs(fs, &n, st);
}

static int no_unlink(void *fs, void *dir, const char *name, bool is_dir, void *node)
{
	return -EPERM;
}

static int no_rename(void *fs, void *dir, const char *name, void *to_dir, const char *to_name,
		     void *node)
{
	return -EPERM;
}

static int no_mkdir(void *fs, void *dir, const char *name, uint32_t mode, struct p9_qid *qid)
{
	return -EPERM;
}

static int no_symlink(void *fs, void *dir, const char *name, const char *target, struct p9_qid *qid)
{
	return -EPERM;
}

static int no_link(void *fs, void *dir, const char *name, void *node)
{
	return -EPERM;
}

void fs_file_backend(struct p9_backend *b)
{
	*b = (struct p9_backend){
		.attach = file_attach,
		.walk = file_walk,
		.ref = file_ref,
		.unref = file_ref,
		.open = file_open,
		.create = file_create,
		.close = fs_backend.close,
		.read = fs_backend.read,
		.write = file_write,
		.readdir = file_readdir,
		.fsync = fs_backend.fsync,
		.getattr = file_getattr,
		.setattr = file_setattr,
		.statfs = file_statfs,
		.mkdir = no_mkdir,
		.symlink = no_symlink,
		.link = no_link,
		.unlink = no_unlink,
		.rename = no_rename,
		.lock = fs_backend.lock,
		.getlock = fs_backend.getlock,
	};
}
