/* The numbers of the system calls on names and on files of mounts. */
#include "files.h"
#include "treecalls.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PTR(T, arg) ((T *)(uintptr_t)(arg))

static long open_at(int dirfd, const char *path, int flags, unsigned mode)
{
	struct file *f;
	int err = tree_open(dirfd, path, flags, mode, &f);

	return err < 0 ? err : fd_install_new(f, flags);
}

static struct statx_timestamp to_statx_time(struct timespec t)
{
	return (struct statx_timestamp){.tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec};
}

static long call_statx(int dirfd, const char *path, int flags, struct statx *out)
{
	struct stat st;
	int err = tree_stat_at(dirfd, path, &st, flags);

	if (err)
		return err;
	*out = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_blksize = (uint32_t)st.st_blksize,
		.stx_nlink = (uint32_t)st.st_nlink,
		.stx_uid = st.st_uid,
		.stx_gid = st.st_gid,
		.stx_mode = (uint16_t)st.st_mode,
		.stx_ino = st.st_ino,
		.stx_size = (uint64_t)st.st_size,
		.stx_blocks = (uint64_t)st.st_blocks,
		.stx_atime = to_statx_time(st.st_atim),
		.stx_mtime = to_statx_time(st.st_mtim),
		.stx_ctime = to_statx_time(st.st_ctim),
		.stx_dev_minor = (uint32_t)st.st_dev,
	};
	return 0;
}

static long call_getcwd(char *buf, size_t len)
{
	const char *cwd = tree_cwd[0] ? tree_cwd : "/";
	size_t need = strlen(cwd) + 1;

	if (need > len)
		return -ERANGE;
	memcpy(buf, cwd, need);
	return (long)need;
}

static bool call_look(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;

	switch (r->orig_rax) {
	case SYS_open:
		*result = open_at(AT_FDCWD, PTR(char, a), (int)b, (unsigned)c);
		return true;
	case SYS_creat:
		*result =
			open_at(AT_FDCWD, PTR(char, a), O_CREAT | O_WRONLY | O_TRUNC, (unsigned)b);
		return true;
	case SYS_openat:
		*result = open_at((int)a, PTR(char, b), (int)c, (unsigned)d);
		return true;
	case SYS_stat:
	case SYS_lstat:
		*result = tree_stat_at(AT_FDCWD, PTR(char, a), PTR(struct stat, b),
				       r->orig_rax == SYS_lstat ? AT_SYMLINK_NOFOLLOW : 0);
		return true;
	case SYS_newfstatat:
		*result = tree_stat_at((int)a, PTR(char, b), PTR(struct stat, c), (int)d);
		return true;
	case SYS_statx:
		*result = call_statx((int)a, PTR(char, b), (int)c, PTR(struct statx, r->r8));
		return true;
	case SYS_access:
		*result = tree_access(AT_FDCWD, PTR(char, a), (int)b, 0);
		return true;
	case SYS_faccessat:
		*result = tree_access((int)a, PTR(char, b), (int)c, 0);
		return true;
	case SYS_faccessat2:
		*result = tree_access((int)a, PTR(char, b), (int)c, (int)d);
		return true;
	case SYS_getdents64:
		*result = treefile_getdents(fd_file((int)a), PTR(void, b), c);
		return true;
	case SYS_getcwd:
		*result = call_getcwd(PTR(char, a), b);
		return true;
	case SYS_chdir:
		*result = tree_chdir(AT_FDCWD, PTR(char, a));
		return true;
	case SYS_fchdir:
		*result = tree_chdir((int)a, ".");
		return true;
	case SYS_readlink:
		*result = tree_readlink(AT_FDCWD, PTR(char, a), PTR(char, b), c);
		return true;
	case SYS_readlinkat:
		*result = tree_readlink((int)a, PTR(char, b), PTR(char, c), d);
		return true;
	default:
		return false;
	}
}

static bool call_change(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;

	switch (r->orig_rax) {
	case SYS_mkdir:
		*result = tree_mkdir(AT_FDCWD, PTR(char, a), (unsigned)b);
		return true;
	case SYS_mkdirat:
		*result = tree_mkdir((int)a, PTR(char, b), (unsigned)c);
		return true;
	case SYS_rmdir:
	case SYS_unlink:
		*result = tree_unlink(AT_FDCWD, PTR(char, a), r->orig_rax == SYS_rmdir);
		return true;
	case SYS_unlinkat:
		*result = c & ~(uint64_t)AT_REMOVEDIR
				  ? -EINVAL
				  : tree_unlink((int)a, PTR(char, b), c & AT_REMOVEDIR);
		return true;
	case SYS_rename:
		*result = tree_rename(AT_FDCWD, PTR(char, a), AT_FDCWD, PTR(char, b));
		return true;
	case SYS_renameat:
		*result = tree_rename((int)a, PTR(char, b), (int)c, PTR(char, d));
		return true;
	case SYS_renameat2:
		*result = r->r8 ? -EINVAL : tree_rename((int)a, PTR(char, b), (int)c, PTR(char, d));
		return true;
	case SYS_symlink:
		*result = tree_symlink(PTR(char, a), AT_FDCWD, PTR(char, b));
		return true;
	case SYS_symlinkat:
		*result = tree_symlink(PTR(char, a), (int)b, PTR(char, c));
		return true;
	case SYS_link:
		*result = tree_link(AT_FDCWD, PTR(char, a), AT_FDCWD, PTR(char, b), false);
		return true;
	case SYS_linkat:
		*result = tree_link((int)a, PTR(char, b), (int)c, PTR(char, d),
				    r->r8 & AT_SYMLINK_FOLLOW);
		return true;
	case SYS_umask:
		*result = tree_umask((unsigned)a);
		return true;
	default:
		return false;
	}
}

/* ---- attributes --------------------------------------------------------------------------- */

static struct p9_setattr with_size(uint64_t size)
{
	return (struct p9_setattr){.valid = P9_SETATTR_SIZE, .size = size};
}

static struct p9_setattr with_mode(uint64_t mode)
{
	return (struct p9_setattr){.valid = P9_SETATTR_MODE, .mode = (uint32_t)mode & 07777};
}

static struct p9_setattr with_owner(uint64_t uid, uint64_t gid)
{
	struct p9_setattr attr = {.uid = (uint32_t)uid, .gid = (uint32_t)gid};

	attr.valid = ((uint32_t)uid != UINT32_MAX ? P9_SETATTR_UID : 0) |
		     ((uint32_t)gid != UINT32_MAX ? P9_SETATTR_GID : 0);
	return attr;
}

static uint32_t time_bits(const struct timespec *t, uint32_t bit, uint32_t set_bit)
{
	if (!t || t->tv_nsec == UTIME_NOW)
		return bit;
	return t->tv_nsec == UTIME_OMIT ? 0 : bit | set_bit;
}

static long call_utimensat(int dirfd, const char *path, const struct timespec *t, int flags)
{
	struct p9_setattr attr = {
		.valid = time_bits(t, P9_SETATTR_ATIME, P9_SETATTR_ATIME_SET) |
			 time_bits(t ? t + 1 : NULL, P9_SETATTR_MTIME, P9_SETATTR_MTIME_SET)};

	for (int i = 0; t && i < 2; i++)
		if ((uint64_t)t[i].tv_nsec >= NS_PER_S && t[i].tv_nsec != UTIME_NOW &&
		    t[i].tv_nsec != UTIME_OMIT)
			return -EINVAL;
	if (t) {
		attr.atime = (struct p9_time){(uint64_t)t[0].tv_sec, (uint64_t)t[0].tv_nsec};
		attr.mtime = (struct p9_time){(uint64_t)t[1].tv_sec, (uint64_t)t[1].tv_nsec};
	}
	if (!path)
		return tree_setattr_fd(dirfd, &attr);
	return tree_setattr_at(dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), &attr);
}

static long call_fstatfs(int fd, struct statfs *out)
{
	const struct p9_ref *ref = treefile_ref(fd_file(fd));

	if (!fd_file(fd))
		return -EBADF;
	return ref ? tree_statfs(ref, out) : -ENOSYS;
}

static bool call_attributes(struct regs *r, long *result)
{
	uint64_t a = r->rdi, b = r->rsi, c = r->rdx, d = r->r10;
	struct p9_setattr attr;
	int dirfd = AT_FDCWD;
	const char *path = PTR(char, a);
	bool follow = true, by_fd = false;

	switch (r->orig_rax) {
	case SYS_ftruncate:
	case SYS_truncate:
		by_fd = r->orig_rax == SYS_ftruncate;
		attr = with_size(b);
		if ((int64_t)b < 0) {
			*result = -EINVAL;
			return true;
		}
		break;
	case SYS_fchmod:
	case SYS_chmod:
		by_fd = r->orig_rax == SYS_fchmod;
		attr = with_mode(b);
		break;
	case SYS_fchmodat:
		dirfd = (int)a;
		path = PTR(char, b);
		attr = with_mode(c);
		break;
	case SYS_fchown:
	case SYS_chown:
	case SYS_lchown:
		by_fd = r->orig_rax == SYS_fchown;
		follow = r->orig_rax == SYS_chown;
		attr = with_owner(b, c);
		break;
	case SYS_fchownat:
		dirfd = (int)a;
		path = PTR(char, b);
		attr = with_owner(c, d);
		follow = !(r->r8 & AT_SYMLINK_NOFOLLOW);
		break;
	case SYS_utimensat:
		*result = call_utimensat((int)a, PTR(char, b), PTR(struct timespec, c), (int)d);
		return true;
	case SYS_statfs:
		*result = tree_statfs_at(path, PTR(struct statfs, b));
		return true;
	case SYS_fstatfs:
		*result = call_fstatfs((int)a, PTR(struct statfs, b));
		return true;
	default:
		return false;
	}
	*result = by_fd ? tree_setattr_fd((int)a, &attr)
			: tree_setattr_at(dirfd, path, follow, &attr);
	return true;
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* A private mapping is a copy; what others write to the file later is not seen in it. */
static long map_file(struct regs *r)
{
	int prot = (int)r->rdx, flags = (int)r->r10, fd = (int)r->r8;
	struct iovec iov = {.iov_len = r->rsi};
	long at, n;

	if (!(flags & MAP_PRIVATE) || (int64_t)r->r9 < 0 || r->r9 & 4095)
		return flags & MAP_PRIVATE ? -EINVAL : -ENODEV;
	if ((fd_file(fd)->flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	at = mem_mmap(r->rdi, r->rsi, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1);
	if (at < 0 && at > -4096)
		return at;
	iov.iov_base = PTR(void, at);
	n = fd_readv(fd, &iov, 1, (int64_t)r->r9);
	if (n >= 0 && prot != (PROT_READ | PROT_WRITE)) {
		long err = mem_protect((uint64_t)at, r->rsi, prot);

		n = err ? err : n;
	}
	if (n < 0)
		mem_unmap((uint64_t)at, r->rsi);
	return n < 0 ? n : at;
}

bool call_tree(struct regs *r, long *result)
{
	if (r->orig_rax == SYS_mmap && !(r->r10 & MAP_ANONYMOUS) &&
	    treefile_ref(fd_file((int)r->r8)) && r->rsi) {
		*result = map_file(r);
		return true;
	}
	return call_look(r, result) || call_change(r, result) || call_attributes(r, result);
}
