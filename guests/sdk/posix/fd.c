/* The table of file descriptors, and the calls that work on any file. */
#include "posix.h"

#include "files.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>

static struct {
	struct file *file;
	bool cloexec; /* kept for F_GETFD: there is no exec */
} table[FD_MAX] = {{&tty_file[0]}, {&tty_file[1]}, {&tty_file[2]}};

#define STATUS_FLAGS (O_APPEND | O_NONBLOCK)

struct file *fd_file(int fd)
{
	return fd >= 0 && fd < FD_MAX ? table[fd].file : NULL;
}

int fd_install(struct file *f, int from, bool cloexec)
{
	for (int fd = from; fd < FD_MAX; fd++) {
		if (table[fd].file)
			continue;
		table[fd].file = f;
		table[fd].cloexec = cloexec;
		return fd;
	}
	return -EMFILE;
}

int fd_install_new(struct file *f, int flags)
{
	int fd = fd_install(f, 0, flags & O_CLOEXEC);

	if (fd < 0)
		file_unref(f);
	return fd;
}

void file_unref(struct file *f)
{
	if (--f->refs == 0 && f->ops->close)
		f->ops->close(f);
}

bool file_nonblock(const struct file *f)
{
	return f->flags & O_NONBLOCK;
}

long fd_close(int fd)
{
	struct file *f = fd_file(fd);

	if (!f)
		return -EBADF;
	table[fd].file = NULL;
	thread_wake(f); /* others may poll it */
	file_unref(f);
	return 0;
}

static long duplicate(int fd, int from, bool cloexec)
{
	struct file *f = fd_file(fd);
	int to;

	if (!f)
		return -EBADF;
	if (from < 0 || from >= FD_MAX)
		return -EINVAL;
	to = fd_install(f, from, cloexec);
	if (to >= 0)
		f->refs++;
	return to;
}

long fd_dup(int fd)
{
	return duplicate(fd, 0, false);
}

long fd_dup_to(int fd, int to, int flags, bool same_is_error)
{
	struct file *f = fd_file(fd);

	if (!f || to < 0 || to >= FD_MAX)
		return -EBADF;
	if (fd == to)
		return same_is_error ? -EINVAL : to;
	f->refs++;
	if (table[to].file)
		file_unref(table[to].file);
	table[to].file = f;
	table[to].cloexec = flags & O_CLOEXEC;
	return to;
}

long fd_fcntl(int fd, int cmd, unsigned long arg)
{
	struct file *f = fd_file(fd);

	if (!f)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return duplicate(fd, (int)arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return table[fd].cloexec ? FD_CLOEXEC : 0;
	case F_SETFD:
		table[fd].cloexec = arg & FD_CLOEXEC;
		return 0;
	case F_GETFL:
		return (long)f->flags;
	case F_SETFL:
		f->flags = (f->flags & ~(unsigned)STATUS_FLAGS) | ((unsigned)arg & STATUS_FLAGS);
		return 0;
	default:
		return -EINVAL;
	}
}

long fd_ioctl(int fd, unsigned long req, unsigned long arg)
{
	struct file *f = fd_file(fd);

	if (!f)
		return -EBADF;
	switch (req) {
	case FIONBIO:
		f->flags &= ~(unsigned)O_NONBLOCK;
		if (*(int *)arg)
			f->flags |= O_NONBLOCK;
		return 0;
	case FIOCLEX:
	case FIONCLEX:
		table[fd].cloexec = req == FIOCLEX;
		return 0;
	default:
		return f->ops->ioctl ? f->ops->ioctl(f, req, arg) : -ENOTTY;
	}
}

long fd_stat(int fd, struct stat *st)
{
	struct file *f = fd_file(fd);

	if (!f)
		return -EBADF;
	if (f->ops->stat)
		return f->ops->stat(f, st);
	memset(st, 0, sizeof(*st));
	st->st_dev = 1;
	st->st_ino = f->dev ? f->dev : (uintptr_t)f;
	st->st_mode = f->ops->mode;
	st->st_nlink = 1;
	st->st_rdev = f->dev;
	st->st_blksize = 4096;
	if (f->ops->size && S_ISREG(f->ops->mode))
		st->st_size = f->ops->size(f);
	return 0;
}

long fd_seek(int fd, int64_t off, int whence)
{
	struct file *f = fd_file(fd);
	int64_t from;

	if (!f)
		return -EBADF;
	if (!f->ops->size)
		return -ESPIPE;
	switch (whence) {
	case SEEK_SET:
		from = 0;
		break;
	case SEEK_CUR:
		from = f->pos;
		break;
	case SEEK_END:
		from = f->ops->size(f);
		break;
	default:
		return -EINVAL;
	}
	if (from < 0)
		return from; /* the size could not be had */
	if (__builtin_add_overflow(from, off, &from) || from < 0)
		return -EINVAL;
	f->pos = from;
	return from;
}

/* ---- reading and writing ----------------------------------------------- */

uint64_t iov_total(const struct iovec *iov, int n)
{
	uint64_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	return total;
}

static size_t iov_copy(const struct iovec *iov, int n, size_t at, void *flat, size_t len,
		       bool to_iov)
{
	size_t done = 0;

	for (int i = 0; i < n && done < len; i++) {
		size_t part;

		if (at >= iov[i].iov_len) {
			at -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - at, len - done);
		if (to_iov)
			memcpy((char *)iov[i].iov_base + at, (char *)flat + done, part);
		else
			memcpy((char *)flat + done, (char *)iov[i].iov_base + at, part);
		done += part;
		at = 0;
	}
	return done;
}

size_t iov_to(const struct iovec *iov, int n, size_t at, const void *src, size_t len)
{
	return iov_copy(iov, n, at, (void *)(uintptr_t)src, len, true);
}

size_t iov_from(const struct iovec *iov, int n, size_t at, void *dst, size_t len)
{
	return iov_copy(iov, n, at, dst, len, false);
}

static bool iov_valid(const struct iovec *iov, long n)
{
	uint64_t total = 0;

	if (n < 0 || n > IOV_MAX)
		return false;
	for (long i = 0; i < n; i++)
		if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > SSIZE_MAX)
			return false;
	return true;
}

long fd_readv(int fd, const struct iovec *iov, long n, int64_t off)
{
	struct file *f = fd_file(fd);

	if (!f || (f->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (!iov_valid(iov, n))
		return -EINVAL;
	if (off >= 0 && !f->ops->size)
		return -ESPIPE;
	return f->ops->readv ? f->ops->readv(f, iov, (int)n, off) : -EINVAL;
}

long fd_writev(int fd, const struct iovec *iov, long n, int64_t off)
{
	struct file *f = fd_file(fd);
	long done;

	if (!f || (f->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (!iov_valid(iov, n))
		return -EINVAL;
	if (off >= 0 && !f->ops->size)
		return -ESPIPE;
	done = f->ops->writev ? f->ops->writev(f, iov, (int)n, off) : -EINVAL;
	if (done == -EPIPE)
		signal_send(thread_current, SIGPIPE, SI_KERNEL);
	return done;
}

long fd_sync(int fd)
{
	struct file *f = fd_file(fd);

	if (!f)
		return -EBADF;
	return f->ops->sync ? f->ops->sync(f) : -EINVAL;
}

#define SENDFILE_CHUNK 65536

long fd_sendfile(int to, int from, int64_t *off, size_t count)
{
	struct iovec iov = {.iov_len = MIN(count, SENDFILE_CHUNK)};
	size_t room = iov.iov_len;
	long got, put;

	if (!fd_file(from) || !fd_file(from)->ops->size)
		return -EINVAL;
	iov.iov_base = mem_pages(SENDFILE_CHUNK);
	if (!iov.iov_base)
		return -ENOMEM;
	got = fd_readv(from, &iov, 1, off ? *off : -1);
	if (got > 0) {
		iov.iov_len = (size_t)got;
		put = fd_writev(to, &iov, 1, -1);
		if (!off)
			fd_file(from)->pos -= got - MAX(put, 0);
		else if (put > 0)
			*off += put;
		got = put;
	}
	iov.iov_len = room;
	mem_pages_free(iov.iov_base, SENDFILE_CHUNK);
	return got;
}
