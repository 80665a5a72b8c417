/*
 * The files of a folder, for p9_server.c (H-28). Paths are never resolved: the
 * server walks name by name, each from the fd of the folder before it, so a
 * rename in between can't lead elsewhere. Links are never followed; what is
 * neither a file nor a folder can be seen but not opened.
 */
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(P9_O_TRUNC == O_TRUNC && P9_O_APPEND == O_APPEND && P9_O_EXCL == O_EXCL &&
		       P9_O_DSYNC == O_DSYNC && (P9_O_SYNC | P9_O_DSYNC) == O_SYNC &&
		       P9_O_RDWR == O_RDWR && P9_O_WRONLY == O_WRONLY,
	       "flags go through as they are");

struct p9_qid fs_qid(const struct stat *st)
{
	struct p9_qid q = {.type = P9_QTFILE, .path = st->st_ino};

	if (S_ISDIR(st->st_mode))
		q.type = P9_QTDIR;
	else if (S_ISLNK(st->st_mode))
		q.type = P9_QTSYMLINK;
	q.version = (uint32_t)st->st_mtim.tv_sec ^ (uint32_t)st->st_mtim.tv_nsec ^
		    (uint32_t)st->st_size << 8;
	return q;
}

int fs_node_new(int fd, struct fs_node **node, struct p9_qid *qid)
{
	struct fs_node *n = malloc(sizeof(*n));
	struct stat st;

	if (!n || fstat(fd, &st)) {
		int err = n ? -errno : -ENOMEM;

		free(n);
		close(fd);
		return err;
	}
	*n = (struct fs_node){.refs = 1, .fd = fd, .type = st.st_mode & S_IFMT};
	*qid = fs_qid(&st);
	*node = n;
	return 0;
}

struct fs_fd_name fs_fd_name(const struct fs_node *node)
{
	struct fs_fd_name name;

	snprintf(name.s, sizeof(name.s), "%d", node->fd);
	return name;
}

static int fs_attach(void *fs, struct p9_str user, struct p9_str name, uint32_t uid, void **node,
		     struct p9_qid *qid)
{
	struct fs_node *n;
	int fd, err;

	if (name.len > 1 || (name.len == 1 && name.p[0] != '/'))
		return -ENOENT;
	fd = dup(FS_ROOT_FD);
	if (fd < 0)
		return -errno;
	err = fs_node_new(fd, &n, qid);
	*node = n;
	return err;
}

static void fs_ref(void *fs, void *node)
{
	((struct fs_node *)node)->refs++;
}

static void fs_unref(void *fs, void *node)
{
	struct fs_node *n = node;

	if (--n->refs)
		return;
	close(n->fd);
	free(n);
}

/* ---- open files ------------------------------------------------------------------ */

/* Opens what the node is, whatever its name is by now. fd or -errno. */
static int open_node(const struct fs_node *n, int flags)
{
	int fd;

	if (!S_ISREG(n->type) && !S_ISDIR(n->type))
		return -EACCES;
	if (S_ISDIR(n->type))
		flags = O_RDONLY | O_DIRECTORY;
	fd = openat(FS_PROC_FD, fs_fd_name(n).s, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int fs_open(void *fs, void *node, uint32_t flags, void **file, struct p9_qid *qid)
{
	struct fs_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->fd = open_node(node, (int)flags);
	if (f->fd < 0) {
		int err = f->fd;

		free(f);
		return err;
	}
	*file = f;
	return 0;
}

static void fs_close(void *fs, void *file)
{
	struct fs_file *f = file;

	close(f->fd);
	free(f);
}

static long fs_read(void *fs, void *file, uint64_t off, void *buf, uint32_t n)
{
	ssize_t got = pread(((struct fs_file *)file)->fd, buf, n, (off_t)off);

	return got < 0 ? -errno : got;
}

static long fs_write(void *fs, void *file, uint64_t off, const void *buf, uint32_t n)
{
	ssize_t put = pwrite(((struct fs_file *)file)->fd, buf, n, (off_t)off);

	return put < 0 ? -errno : put;
}

static int fs_fsync(void *fs, void *file, bool data_only)
{
	int fd = ((struct fs_file *)file)->fd;

	return (data_only ? fdatasync(fd) : fsync(fd)) ? -errno : 0;
}

/* ---- locks: of the open file, so that they hold against programs of the host too ----- */

static bool to_flock(const struct p9_lock *lock, struct flock *fl)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};

	*fl = (struct flock){.l_type = types[lock->type],
			     .l_whence = SEEK_SET,
			     .l_start = (off_t)lock->start,
			     .l_len = (off_t)lock->length};
	/* The whole of a file is 2^63 - 1 from 0 for some, 0 for others. */
	return lock->start <= INT64_MAX && lock->length <= INT64_MAX;
}

static int fs_lock(void *fs, void *file, const struct p9_lock *lock, enum p9_lock_status *status)
{
	struct flock fl;

	if (!to_flock(lock, &fl))
		return -EINVAL;
	*status = P9_LOCK_SUCCESS;
	if (!fcntl(((struct fs_file *)file)->fd, F_OFD_SETLK, &fl))
		return 0;
	*status = P9_LOCK_BLOCKED;
	return errno == EAGAIN || errno == EACCES ? 0 : -errno;
}

static int fs_getlock(void *fs, void *file, struct p9_lock *lock)
{
	struct flock fl;

	if (!to_flock(lock, &fl))
		return -EINVAL;
	if (fcntl(((struct fs_file *)file)->fd, F_OFD_GETLK, &fl))
		return -errno;
	if (fl.l_type == F_UNLCK) {
		lock->type = P9_LOCK_UNLCK;
		return 0;
	}
	lock->type = fl.l_type == F_RDLCK ? P9_LOCK_RDLCK : P9_LOCK_WRLCK;
	lock->start = (uint64_t)fl.l_start;
	lock->length = (uint64_t)fl.l_len;
	lock->proc_id = 0; /* which process of the host is not the guest's business */
	return 0;
}

/* ---- attributes ----------------------------------------------------------------------- */

static struct p9_time to_time(struct timespec t)
{
	return (struct p9_time){(uint64_t)t.tv_sec, (uint64_t)t.tv_nsec};
}

static int fs_getattr(void *fs, void *node, void *file, struct p9_attr *attr)
{
	struct stat st;

	if (fstat(((struct fs_node *)node)->fd, &st))
		return -errno;
	attr->qid = fs_qid(&st);
	attr->mode = st.st_mode;
	attr->uid = st.st_uid;
	attr->gid = st.st_gid;
	attr->nlink = st.st_nlink;
	attr->rdev = st.st_rdev;
	attr->size = (uint64_t)st.st_size;
	attr->blksize = (uint64_t)st.st_blksize;
	attr->blocks = (uint64_t)st.st_blocks;
	attr->atime = to_time(st.st_atim);
	attr->mtime = to_time(st.st_mtim);
	attr->ctime = to_time(st.st_ctim);
	return 0;
}

static int truncate_node(const struct fs_node *n, const struct fs_file *f, uint64_t size)
{
	int fd, err;

	/* An open file may be longer allowed than a new opening of it would be. */
	if (f && !ftruncate(f->fd, (off_t)size))
		return 0;
	fd = open_node(n, O_WRONLY);
	if (fd < 0)
		return fd;
	err = ftruncate(fd, (off_t)size) ? -errno : 0;
	close(fd);
	return err;
}

static struct timespec to_timespec(uint32_t valid, uint32_t bit, uint32_t set, struct p9_time t)
{
	struct timespec ts = {(time_t)t.sec, (long)t.nsec};

	if (!(valid & bit))
		ts.tv_nsec = UTIME_OMIT;
	else if (!(valid & set))
		ts.tv_nsec = UTIME_NOW;
	else if (t.nsec > 999999999)
		ts.tv_nsec = 999999999;
	return ts;
}

int fs_set_times(int fd, const struct p9_setattr *a)
{
	const struct timespec ts[2] = {
		to_timespec(a->valid, P9_SETATTR_ATIME, P9_SETATTR_ATIME_SET, a->atime),
		to_timespec(a->valid, P9_SETATTR_MTIME, P9_SETATTR_MTIME_SET, a->mtime)};

	/* "": of an O_PATH fd. NULL: of an open file's, and no path to be filtered. */
	return syscall(SYS_utimensat, fd, fs_file_name ? NULL : "", ts,
		       fs_file_name ? 0 : AT_EMPTY_PATH)
		       ? -errno
		       : 0;
}

static int set_owner(const struct fs_node *n, const struct p9_setattr *a)
{
	uid_t uid = a->valid & P9_SETATTR_UID ? a->uid : (uid_t)-1;
	gid_t gid = a->valid & P9_SETATTR_GID ? a->gid : (gid_t)-1;

	return fchownat(n->fd, "", uid, gid, AT_EMPTY_PATH) ? -errno : 0;
}

/* Set-user-id and the like are taken out: a guest makes no program others run as us. */
static int set_mode(const struct fs_node *n, uint32_t mode)
{
	if (!S_ISREG(n->type) && !S_ISDIR(n->type))
		return -EOPNOTSUPP;
	return fchmodat(FS_PROC_FD, fs_fd_name(n).s, mode & 0777, 0) ? -errno : 0;
}

static int fs_setattr(void *fs, void *node, void *file, const struct p9_setattr *a)
{
	int err = 0;

	if (a->valid & P9_SETATTR_SIZE)
		err = truncate_node(node, file, a->size);
	if (!err && a->valid & (P9_SETATTR_UID | P9_SETATTR_GID))
		err = set_owner(node, a);
	if (!err && a->valid & P9_SETATTR_MODE)
		err = set_mode(node, a->mode);
	if (!err && a->valid & (P9_SETATTR_ATIME | P9_SETATTR_MTIME))
		err = fs_set_times(((struct fs_node *)node)->fd, a);
	return err;
}

static int fs_statfs(void *fs, void *node, struct p9_statfs *out)
{
	struct statfs st;

	if (fstatfs(((struct fs_node *)node)->fd, &st))
		return -errno;
	*out = (struct p9_statfs){
		.type = (uint32_t)st.f_type,
		.bsize = (uint32_t)st.f_bsize,
		.blocks = st.f_blocks,
		.bfree = st.f_bfree,
		.bavail = st.f_bavail,
		.files = st.f_files,
		.ffree = st.f_ffree,
		.namelen = P9_NAME_MAX,
	};
	return 0;
}

static long fs_readlink(void *fs, void *node, char *buf, uint32_t n)
{
	ssize_t got = readlinkat(((struct fs_node *)node)->fd, "", buf, n);

	return got < 0 ? -errno : got;
}

const struct p9_backend fs_backend = {
	.attach = fs_attach,
	.walk = fs_walk,
	.ref = fs_ref,
	.unref = fs_unref,
	.open = fs_open,
	.create = fs_create,
	.close = fs_close,
	.read = fs_read,
	.write = fs_write,
	.readdir = fs_readdir,
	.fsync = fs_fsync,
	.getattr = fs_getattr,
	.setattr = fs_setattr,
	.statfs = fs_statfs,
	.mkdir = fs_mkdir,
	.symlink = fs_symlink,
	.link = fs_link,
	.readlink = fs_readlink,
	.unlink = fs_unlink,
	.rename = fs_rename,
	.lock = fs_lock,
	.getlock = fs_getlock,
};
