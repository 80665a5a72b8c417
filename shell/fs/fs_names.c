/*
 * Folders: looking up, making, renaming, listing. Every call is one name in one
 * folder's fd. openat2 refuses what is not beneath it, links of any kind, and
 * other file systems: a mount point in the folder is not part of what was granted.
 */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV)

/* fd or -errno. */
static int open_beneath(int dir, const char *name, uint64_t flags, uint64_t mode)
{
	struct open_how how = {
		.flags = flags | O_NOFOLLOW | O_CLOEXEC, .mode = mode, .resolve = RESOLVE};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static int fd_of(void *node)
{
	return ((struct fs_node *)node)->fd;
}

int fs_walk(void *fs, void *dir, const char *name, void **node, struct p9_qid *qid)
{
	struct fs_node *n;
	int fd = open_beneath(fd_of(dir), name, O_PATH, 0);
	int err = fd < 0 ? fd : fs_node_new(fd, &n, qid);

	if (!err)
		*node = n;
	return err;
}

/* An open regular file's node. */
static int node_of(int dir, const char *name, int fd, struct fs_node **node, struct p9_qid *qid)
{
	struct stat mine, st;
	int path_fd = open_beneath(dir, name, O_PATH, 0), err;

	if (path_fd < 0)
		return path_fd;
	err = fs_node_new(path_fd, node, qid);
	if (err)
		return err;
	if (!fstat(fd, &mine) && !fstat(path_fd, &st) && mine.st_ino == st.st_ino &&
	    mine.st_dev == st.st_dev && S_ISREG(st.st_mode))
		return 0;
	fs_backend.unref(NULL, *node);
	return -ESTALE; /* renamed in between */
}

int fs_create(void *fs, void *dir, const char *name, uint32_t flags, uint32_t mode, void **node,
	      void **file, struct p9_qid *qid)
{
	/* O_NONBLOCK: what exists already may be a FIFO, which would wait for its other end. */
	int fd = open_beneath(fd_of(dir), name, flags | O_CREAT | O_NOCTTY | O_NONBLOCK,
			      mode & 0777);
	struct fs_file *f = fd < 0 ? NULL : calloc(1, sizeof(*f));
	struct fs_node *n;
	struct stat st;
	int err = fd < 0 ? fd : f ? 0 : -ENOMEM;

	if (!err && fstat(fd, &st))
		err = -errno;
	else if (!err && !S_ISREG(st.st_mode))
		err = -EACCES;
	if (!err)
		err = node_of(fd_of(dir), name, fd, &n, qid);
	if (err) {
		free(f);
		if (fd >= 0)
			close(fd);
		return err;
	}
	f->fd = fd;
	*file = f;
	*node = n;
	return 0;
}

/* The qid of what a name was just made. */
static int look(void *dir, const char *name, struct p9_qid *qid)
{
	struct stat st;

	if (fstatat(fd_of(dir), name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	*qid = fs_qid(&st);
	return 0;
}

int fs_mkdir(void *fs, void *dir, const char *name, uint32_t mode, struct p9_qid *qid)
{
	return mkdirat(fd_of(dir), name, mode & 0777) ? -errno : look(dir, name, qid);
}

/* Any target: it means something to the guest, and here nobody follows it. */
int fs_symlink(void *fs, void *dir, const char *name, const char *target, struct p9_qid *qid)
{
	return symlinkat(target, fd_of(dir), name) ? -errno : look(dir, name, qid);
}

int fs_link(void *fs, void *dir, const char *name, void *node)
{
	const struct fs_node *n = node;

	if (!S_ISREG(n->type))
		return -EPERM;
	return linkat(FS_PROC_FD, fs_fd_name(n).s, fd_of(dir), name, AT_SYMLINK_FOLLOW) ? -errno
											: 0;
}

/* Is the name still the node's? */
static int still(void *dir, const char *name, void *node)
{
	struct stat a, b;

	if (!node)
		return 0;
	if (fstatat(fd_of(dir), name, &a, AT_SYMLINK_NOFOLLOW) || fstat(fd_of(node), &b))
		return -errno;
	return a.st_ino == b.st_ino && a.st_dev == b.st_dev ? 0 : -ESTALE;
}

int fs_unlink(void *fs, void *dir, const char *name, bool is_dir, void *node)
{
	int err = still(dir, name, node);

	if (err)
		return err;
	return unlinkat(fd_of(dir), name, is_dir ? AT_REMOVEDIR : 0) ? -errno : 0;
}

int fs_rename(void *fs, void *dir, const char *name, void *to_dir, const char *to_name, void *node)
{
	int err = still(dir, name, node);

	if (err)
		return err;
	return renameat(fd_of(dir), name, fd_of(to_dir), to_name) ? -errno : 0;
}

/* ---- listing ------------------------------------------------------------------------- */

/* As the kernel writes them; musl and glibc differ in names only. */
struct entry {
	uint64_t ino;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static struct p9_dirent to_dirent(const struct entry *e)
{
	struct p9_dirent d = {.qid = {.path = e->ino},
			      .offset = (uint64_t)e->next,
			      .type = e->type,
			      .name = p9_str(e->name)};

	d.qid.type = e->type == DT_DIR ? P9_QTDIR : e->type == DT_LNK ? P9_QTSYMLINK : P9_QTFILE;
	return d;
}

/*
 * What the kernel gave, as far as there is room; f->pos is where to go on. "." and ".."
 * can't be walked to, so they are not listed. Bytes, or -EINVAL: no room for one.
 */
static long put_entries(struct fs_file *f, const char *raw, long got, uint8_t *buf, uint32_t n)
{
	uint32_t done = 0;

	for (long at = 0; at < got;) {
		const struct entry *e = (const struct entry *)(const void *)(raw + at);
		struct p9_dirent d = to_dirent(e);
		size_t put = p9_name_valid(d.name) ? p9_dirent_put(buf + done, n - done, &d) : 0;

		if (!put && p9_name_valid(d.name)) { /* the fd is further than what is told */
			f->moved = true;
			return done ? (long)done : -EINVAL;
		}
		done += (uint32_t)put;
		f->pos = d.offset;
		at += e->bytes;
	}
	return done;
}

long fs_readdir(void *fs, void *file, uint64_t off, void *buf, uint32_t n)
{
	_Alignas(8) char raw[8192];
	struct fs_file *f = file;
	long got, done = 0;

	if ((off != f->pos || f->moved) && lseek(f->fd, (off_t)off, SEEK_SET) < 0)
		return -errno;
	f->pos = off;
	f->moved = false;
	do {
		got = syscall(SYS_getdents64, f->fd, raw, n < sizeof(raw) ? n : sizeof(raw));
		if (got < 0)
			return -errno;
		done = put_entries(f, raw, got, buf, n);
	} while (got && !done);
	return done;
}
