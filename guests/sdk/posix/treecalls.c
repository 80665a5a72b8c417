/*
 * System calls on names. A name that no mount has is a device (namespace.c), or is
 * not there.
 */
#include "treecalls.h"

#include "files.h"

#include <fcntl.h>

/* umask(2) */
static unsigned mask = 022;

unsigned tree_umask(unsigned set)
{
	unsigned old = mask;

	mask = set & 0777;
	return old;
}

unsigned tree_umask_now(void)
{
	return mask;
}

/* Cleans and finds. With *device true the name is no mount's: n->path is. */
static int find_at(int dirfd, const char *path, bool follow, struct tree_node *n, bool *device)
{
	char clean[TREE_PATH_MAX];
	bool is_dir;
	int err = tree_clean(dirfd, path, clean, &is_dir);

	n->ref = (struct p9_ref){0};
	n->mp = NULL;
	*device = false;
	if (err)
		return err;
	err = tree_find(clean, follow || is_dir, n);
	if (err == -ENOENT && !n->mp) {
		*device = true;
		return 0;
	}
	if (!err && is_dir && !tree_is_dir(n)) {
		tree_drop(n);
		return -ENOTDIR;
	}
	return err;
}

/* For what only files of mounts can do: a device's error, else -EROFS or -ENOENT. */
static int find_tree(int dirfd, const char *path, bool follow, struct tree_node *n)
{
	bool device;
	struct stat st;
	int err = find_at(dirfd, path, follow, n, &device);

	if (err || !device)
		return err;
	err = namespace_stat(n->path, &st);
	return err ? err : -EPERM;
}

/* ---- opening ------------------------------------------------------------------------- */

static int create(const struct tree_node *n, int flags, unsigned mode, struct file **out)
{
	struct tree_node dir;
	const char *name;
	int err = tree_parent(n->path, &dir, &name);

	if (err)
		return err;
	err = treefile_create(&dir, name, flags, mode & ~mask & 0777, out);
	tree_drop(&dir);
	return err;
}

static int open_found(struct tree_node *n, int flags, struct file **out)
{
	bool writes = flags & (O_ACCMODE | O_TRUNC);
	int err = 0;

	if (flags & O_CREAT && flags & O_EXCL)
		err = -EEXIST;
	else if (n->ref.qid.type & P9_QTSYMLINK)
		err = flags & O_DIRECTORY ? -ENOTDIR : -ELOOP;
	else if (tree_is_dir(n) && (writes || flags & O_CREAT))
		err = -EISDIR;
	else if (!tree_is_dir(n) && flags & O_DIRECTORY)
		err = -ENOTDIR;
	else if (writes)
		err = tree_write(n, !(flags & O_TRUNC));
	if (err) {
		tree_drop(n);
		return err;
	}
	return treefile_open(n, flags, out);
}

int tree_open(int dirfd, const char *path, int flags, unsigned mode, struct file **out)
{
	bool device, follow = !(flags & O_NOFOLLOW) &&
			      (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	struct tree_node n;
	int err;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return -EOPNOTSUPP;
	err = find_at(dirfd, path, follow, &n, &device);
	if (!err && device)
		return namespace_open(n.path, flags, out);
	if (!err)
		return open_found(&n, flags, out);
	if (err == -ENOENT && n.mp && flags & O_CREAT)
		err = path[strlen(path) - 1] == '/' ? -EISDIR : create(&n, flags, mode, out);
	return err;
}

/* ---- looking ------------------------------------------------------------------------- */

int tree_stat_at(int dirfd, const char *path, struct stat *st, int flags)
{
	struct tree_node n;
	bool device;
	int err;

	if (!*path && flags & AT_EMPTY_PATH && dirfd != AT_FDCWD)
		return (int)fd_stat(dirfd, st);
	err = find_at(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &n, &device);
	if (err)
		return err;
	if (device)
		return namespace_stat(n.path, st);
	err = tree_stat(&n, st);
	tree_drop(&n);
	return err;
}

/* What the mode says to its owner; whether the server agrees is seen when it is done. */
int tree_access(int dirfd, const char *path, int mode, int flags)
{
	struct tree_node n;
	struct stat st;
	bool device;
	int err = find_at(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &n, &device);

	if (err)
		return err;
	if (device)
		return namespace_stat(n.path, &st);
	err = tree_stat(&n, &st);
	if (!err && mode & W_OK && (!n.mp || n.mp->read_only))
		err = -EROFS;
	if (!err &&
	    ((mode & R_OK && !(st.st_mode & 0444)) || (mode & W_OK && !(st.st_mode & 0222)) ||
	     (mode & X_OK && !(st.st_mode & 0111))))
		err = -EACCES;
	tree_drop(&n);
	return err;
}

long tree_readlink(int dirfd, const char *path, char *buf, size_t len)
{
	struct tree_node n;
	long got = find_tree(dirfd, path, false, &n);

	if (got)
		return got == -EPERM ? -EINVAL : got;
	got = -EINVAL;
	if ((int)len > 0 && n.mp && n.ref.qid.type & P9_QTSYMLINK)
		got = p9_readlink(&n.ref, buf, len);
	tree_drop(&n);
	return got;
}

int tree_chdir(int dirfd, const char *path)
{
	struct tree_node n;
	bool device;
	int err = find_at(dirfd, path, true, &n, &device);
	struct stat st;

	if (err)
		return err;
	if (device)
		err = namespace_stat(n.path, &st) ? -ENOENT : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	else if (!tree_is_dir(&n))
		err = -ENOTDIR;
	if (!err)
		memcpy(tree_cwd, n.path, strlen(n.path) + 1);
	tree_drop(&n);
	return err;
}

int tree_statfs(const struct p9_ref *ref, struct statfs *out)
{
	struct p9_statfs st = {0};
	int err = ref->server ? p9_statfs(ref, &st) : 0;

	*out = (struct statfs){
		.f_type = st.type,
		.f_bsize = st.bsize ? st.bsize : 4096,
		.f_blocks = st.blocks,
		.f_bfree = st.bfree,
		.f_bavail = st.bavail,
		.f_files = st.files,
		.f_ffree = st.ffree,
		.f_namelen = P9_NAME_MAX,
		.f_frsize = st.bsize ? st.bsize : 4096,
	};
	return err;
}

int tree_statfs_at(const char *path, struct statfs *out)
{
	struct tree_node n;
	bool device;
	int err = find_at(AT_FDCWD, path, true, &n, &device);

	if (err)
		return err;
	err = device ? -ENOSYS : tree_statfs(&n.ref, out);
	tree_drop(&n);
	return err;
}

/* ---- attributes ---------------------------------------------------------------------- */

int tree_setattr_at(int dirfd, const char *path, bool follow, const struct p9_setattr *attr)
{
	struct tree_node n;
	int err = find_tree(dirfd, path, follow, &n);

	if (err)
		return err;
	if (attr->valid & P9_SETATTR_SIZE && tree_is_dir(&n))
		err = -EISDIR;
	if (!err)
		err = tree_write(&n, true);
	if (!err)
		err = p9_setattr(&n.ref, attr);
	tree_drop(&n);
	return err;
}

int tree_setattr_fd(int fd, const struct p9_setattr *attr)
{
	const struct p9_ref *ref = treefile_ref(fd_file(fd));

	if (!fd_file(fd))
		return -EBADF;
	if (!ref)
		return attr->valid & P9_SETATTR_SIZE ? -EINVAL : -EPERM;
	if (attr->valid & P9_SETATTR_SIZE && !(fd_file(fd)->flags & O_ACCMODE))
		return -EINVAL;
	return ref->server ? p9_setattr(ref, attr) : -EROFS;
}
