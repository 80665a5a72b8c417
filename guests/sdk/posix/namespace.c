/*
 * What open() reaches: devices by name. There is no file system in a machine of
 * one program; mounts of channels to file servers will hang into lookup().
 */
#include "files.h"

#include <exo_devices.h>
#include <fcntl.h>

static long null_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return 0;
}

static long zero_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	for (int i = 0; i < n; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
	return (long)iov_total(iov, n);
}

static long random_readv(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	for (int i = 0; i < n; i++)
		random_bytes(iov[i].iov_base, iov[i].iov_len);
	return (long)iov_total(iov, n);
}

static long null_writev(struct file *f, const struct iovec *iov, int n, int64_t off)
{
	return (long)iov_total(iov, n);
}

static void memory_close(struct file *f)
{
	mem_free(f, sizeof(*f));
}

static const struct file_ops null_ops = {
	.readv = null_readv,
	.writev = null_writev,
	.close = memory_close,
	.mode = S_IFCHR | 0666,
};

static const struct file_ops zero_ops = {
	.readv = zero_readv,
	.writev = null_writev,
	.close = memory_close,
	.mode = S_IFCHR | 0666,
};

static const struct file_ops random_ops = {
	.readv = random_readv,
	.writev = null_writev,
	.close = memory_close,
	.mode = S_IFCHR | 0666,
};

static const struct {
	const char *path;
	const struct file_ops *ops;
	int stream; /* ops NULL: a standard stream */
} names[] = {
	{"/dev/null", &null_ops, 0},     {"/dev/zero", &zero_ops, 0},
	{"/dev/random", &random_ops, 0}, {"/dev/urandom", &random_ops, 0},
	{"/dev/stdin", NULL, 0},         {"/dev/stdout", NULL, 1},
	{"/dev/stderr", NULL, 2},
};

static int open_memory(const struct file_ops *ops, uint64_t dev, int flags, struct file **out)
{
	struct file *f = mem_alloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct file){.ops = ops,
			   .refs = 1,
			   .dev = dev,
			   .flags = (unsigned)flags & (O_ACCMODE | O_APPEND | O_NONBLOCK)};
	*out = f;
	return 0;
}

static int open_fd(const char *digits, struct file **out)
{
	int fd = 0;

	if (!*digits)
		return -EISDIR;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9' || fd >= FD_MAX)
			return -ENOENT;
		fd = 10 * fd + *digits - '0';
	}
	*out = fd_file(fd);
	if (!*out)
		return -ENOENT;
	(*out)->refs++;
	return 0;
}

static int lookup(const char *path, int flags, struct file **out)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(path, names[i].path) != 0)
			continue;
		if (names[i].ops)
			return open_memory(names[i].ops, 16 + i, flags, out);
		*out = tty_open((unsigned)names[i].stream);
		return *out ? 0 : -ENXIO;
	}
	if (strcmp(path, "/dev/tty") == 0) {
		*out = tty_open_controlling();
		return *out ? 0 : -ENXIO;
	}
	if (strncmp(path, "/dev/fd/", 8) == 0)
		return open_fd(path + 8, out);
	if (strncmp(path, "/dev/vd", 7) == 0 || strncmp(path, "/dev/disk/", 10) == 0)
		return blkfile_open(path + 5, flags, out);
	if (strcmp(path, EXO_DISPLAY_PATH) == 0)
		return displayfile_open(flags, out);
	if (strcmp(path, EXO_INPUT_PATH) == 0)
		return inputfile_open(flags, out);
	if (strcmp(path, EXO_PLAYBACK_PATH) == 0)
		return soundfile_open(false, flags, out);
	if (strcmp(path, EXO_CAPTURE_PATH) == 0)
		return soundfile_open(true, flags, out);
	return -ENOENT;
}

static bool is_directory(const char *path)
{
	return !strcmp(path, "/") || !strcmp(path, ".") || !strcmp(path, "/dev") ||
	       !strcmp(path, "/dev/") || !strcmp(path, "/dev/disk");
}

int namespace_open(const char *path, int flags, struct file **out)
{
	int err;

	*out = NULL;
	if (!*path)
		return -ENOENT;
	if (is_directory(path)) /* they have names in them, but no listing */
		return flags & O_ACCMODE ? -EISDIR : -EACCES;
	err = lookup(path, flags, out);
	if (err == -ENOENT && flags & O_CREAT)
		return -EROFS;
	if (err == 0 && flags & O_DIRECTORY) {
		file_unref(*out);
		return -ENOTDIR;
	}
	return err;
}

int namespace_stat(const char *path, struct stat *st)
{
	struct file *f;
	int fd, err;

	memset(st, 0, sizeof(*st));
	if (is_directory(path)) {
		st->st_mode = S_IFDIR | 0555;
		st->st_nlink = 2;
		return 0;
	}
	err = namespace_open(path, O_RDONLY, &f);
	if (err < 0)
		return err;
	fd = fd_install_new(f, 0);
	if (fd < 0)
		return fd;
	fd_stat(fd, st);
	fd_close(fd);
	return 0;
}
