/* From a path to a file of a server: cleaning, links, mounts. */
#include "tree.h"

#include "files.h"

#include <fcntl.h>

#define LINKS_MAX 40

char tree_cwd[TREE_PATH_MAX];

/* ---- paths -------------------------------------------------------------------------- */

/* Appends a path to a clean one, in place. */
static int append_clean(char clean[TREE_PATH_MAX], const char *path, bool *is_dir)
{
	size_t at = strlen(clean);

	*is_dir = true;
	while (*path) {
		size_t len = 0;

		while (path[len] && path[len] != '/')
			len++;
		*is_dir = len == 0 || path[len] == '/' || (len == 1 && path[0] == '.') ||
			  (len == 2 && path[0] == '.' && path[1] == '.');
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (at && clean[--at] != '/')
				;
		} else if (len && !(len == 1 && path[0] == '.')) {
			if (at + 1 + len >= TREE_PATH_MAX)
				return -ENAMETOOLONG;
			clean[at++] = '/';
			memcpy(clean + at, path, len);
			at += len;
		}
		clean[at] = '\0';
		path += len;
		while (*path == '/')
			path++;
	}
	return 0;
}

int tree_clean(int dirfd, const char *path, char clean[TREE_PATH_MAX], bool *is_dir)
{
	const char *from = tree_cwd;

	clean[0] = '\0';
	if (!*path)
		return -ENOENT;
	if (*path == '/')
		return append_clean(clean, path, is_dir);
	if (dirfd != AT_FDCWD) {
		if (!fd_file(dirfd))
			return -EBADF;
		from = treefile_path(fd_file(dirfd));
	}
	if (!from)
		return -ENOTDIR;
	memcpy(clean, from, strlen(from) + 1);
	return append_clean(clean, path, is_dir);
}

/* ---- following ------------------------------------------------------------------------- */

bool tree_is_dir(const struct tree_node *n)
{
	return !n->mp || n->ref.qid.type & P9_QTDIR;
}

void tree_drop(struct tree_node *n)
{
	p9_clunk(&n->ref);
}

/*
 * Puts a link's target in its place: n->path up to `end` is the link. The target
 * means a path of ours, whatever it may be on the server's machine.
 */
static int put_target(struct tree_node *n, size_t end)
{
	char rest[TREE_PATH_MAX], target[TREE_PATH_MAX];
	struct p9_ref link;
	size_t done;
	long len;
	bool is_dir;
	int err;

	memcpy(rest, n->path + end, strlen(n->path + end) + 1);
	n->path[end] = '\0';
	err = p9_walk(&n->mp->layer[n->layer], n->rel, &link, &done);
	if (err)
		return err;
	len = p9_readlink(&link, target, sizeof(target));
	p9_clunk(&link);
	if (len < 0 || len == sizeof(target))
		return len < 0 ? (int)len : -ENAMETOOLONG;
	target[len] = '\0';
	while (end && n->path[end] != '/')
		end--;
	n->path[target[0] == '/' ? 0 : end] = '\0';
	err = append_clean(n->path, target, &is_dir);
	return err ? err : append_clean(n->path, rest, &is_dir);
}

static int follow_once(struct tree_node *n, bool follow, bool *again)
{
	size_t done, len;
	int err;

	*again = false;
	n->ref = (struct p9_ref){0};
	n->mp = mount_find(n->path);
	if (!n->mp)
		return mount_below(n->path, true) || !n->path[0] ? 0 : -ENOENT;
	n->rel = n->path + n->mp->len + (n->path[n->mp->len] == '/');
	err = union_walk(n->mp, n->rel, &n->ref, &n->layer, &done);
	len = n->mp->len + 1;
	if (err == -ELOOP) {
		*again = true;
		return put_target(n, len + done);
	}
	if (err == -ENOENT && mount_below(n->path, false)) {
		n->mp = NULL; /* a folder that the server does not have, on the way to a mount */
		return 0;
	}
	if (err || !follow || !(n->ref.qid.type & P9_QTSYMLINK))
		return err;
	p9_clunk(&n->ref);
	*again = true;
	return put_target(n, strlen(n->path));
}

int tree_find(const char *clean, bool follow, struct tree_node *n)
{
	bool again = true;
	int err = 0;

	memcpy(n->path, clean, strlen(clean) + 1);
	for (unsigned links = 0; !err && again; links++) {
		err = links > LINKS_MAX ? -ELOOP : follow_once(n, follow, &again);
		if (links > LINKS_MAX)
			n->ref = (struct p9_ref){0};
	}
	return err;
}

int tree_write(struct tree_node *n, bool data)
{
	size_t done;
	int err;

	if (!n->mp || n->mp->read_only)
		return -EROFS;
	if (n->layer == 0)
		return 0;
	p9_clunk(&n->ref);
	err = union_copy_up(n->mp, n->rel, data);
	if (err)
		return err;
	n->layer = 0;
	return p9_walk(&n->mp->layer[0], n->rel, &n->ref, &done);
}

int tree_parent(const char *clean, struct tree_node *dir, const char **name)
{
	char path[TREE_PATH_MAX];
	const char *slash = strrchr(clean, '/');
	int err;

	dir->ref = (struct p9_ref){0};
	dir->mp = NULL;
	if (!slash || mount_below(clean, true))
		return -EBUSY;
	*name = slash + 1;
	memcpy(path, clean, (size_t)(slash - clean));
	path[slash - clean] = '\0';
	err = tree_find(path, true, dir);
	if (err)
		return err;
	if (!dir->mp || dir->mp->read_only)
		err = -EROFS;
	else if (!tree_is_dir(dir))
		err = -ENOTDIR;
	else if (dir->mp->nlayers > 1 && union_is_mark(*name, strlen(*name)))
		err = -EINVAL;
	else if (dir->layer != 0) {
		p9_clunk(&dir->ref);
		dir->layer = 0;
		err = union_top_dir(dir->mp, dir->rel, &dir->ref);
	}
	if (err)
		p9_clunk(&dir->ref);
	return err;
}

void tree_stat_of(const struct p9_attr *a, struct stat *st)
{
	*st = (struct stat){
		.st_dev = 1,
		.st_ino = a->qid.path,
		.st_nlink = a->nlink,
		.st_mode = a->mode,
		.st_uid = a->uid,
		.st_gid = a->gid,
		.st_rdev = a->rdev,
		.st_size = (off_t)a->size,
		.st_blksize = (blksize_t)a->blksize,
		.st_blocks = (blkcnt_t)a->blocks,
		.st_atim = {(time_t)a->atime.sec, (long)a->atime.nsec},
		.st_mtim = {(time_t)a->mtime.sec, (long)a->mtime.nsec},
		.st_ctim = {(time_t)a->ctime.sec, (long)a->ctime.nsec},
	};
}

int tree_stat(const struct tree_node *n, struct stat *st)
{
	struct p9_attr attr;
	int err;

	if (!n->mp) {
		*st = (struct stat){.st_dev = 1,
				    .st_ino = 1,
				    .st_mode = S_IFDIR | 0555,
				    .st_nlink = 2,
				    .st_blksize = 4096};
		return 0;
	}
	err = p9_getattr(&n->ref, &attr);
	if (!err) {
		tree_stat_of(&attr, st);
		/* One number for each server, so that (device, inode) is one file. */
		st->st_dev = ((n->mp->layer[n->layer].port & 0xffffffull) << 8) + 2;
	}
	return err;
}
