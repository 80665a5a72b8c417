/* expect: exit 2 */
/*
 * Files of mounts as programs use them. Prints TAP. The first argument says what is
 * mounted: "plain" a writable folder at /mnt, "ro" one that is not, "dead" one
 * whose server is killed meanwhile, "liars" servers that say nonsense. What the host
 * puts there, and how these are run: tests/e2e/test_files.sh.
 */
#include "files.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#define BIG (3 << 20)

/* ---- what any mount can do -------------------------------------------------------------- */

static void reading(void)
{
	struct stat st;
	struct statfs fs;
	char buf[64];
	int fd = open("/mnt/hello", O_RDONLY);

	tap_ok(fd >= 0 && read(fd, buf, 5) == 5 && !memcmp(buf, "hello", 5), "open and read");
	tap_ok(pread(fd, buf, 4, 6) == 4 && !memcmp(buf, "from", 4), "pread");
	tap_ok(lseek(fd, 0, SEEK_CUR) == 5 && lseek(fd, -5, SEEK_END) == 11 &&
		       read(fd, buf, 64) == 5 && read(fd, buf, 1) == 0,
	       "lseek, and the end of the file");
	tap_ok(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 16, "fstat");
	tap_ok(fails(write(fd, "x", 1), EBADF), "a file opened for reading is not written");
	close(fd);
	tap_ok(stat("/mnt/hello", &st) == 0 && st.st_size == 16 && st.st_nlink == 1, "stat");
	tap_ok(statfs("/mnt", &fs) == 0 && fs.f_blocks > 0, "statfs");
	tap_ok(fails(open("/mnt/none", O_RDONLY), ENOENT) &&
		       fails(open("/mnt/hello/x", O_RDONLY), ENOTDIR) &&
		       fails(open("/mnt/sub", O_WRONLY), EISDIR) &&
		       fails(open("/mnt/hello", O_RDONLY | O_DIRECTORY), ENOTDIR) &&
		       fails(open("/mnt/hello/", O_RDONLY), ENOTDIR),
	       "errors of open");
	tap_ok(text_is("/mnt//sub/../sub/./deep/file", "deep\n"), "odd paths");
	tap_ok(access("/mnt/hello", R_OK) == 0 && fails(access("/mnt/none", F_OK), ENOENT),
	       "access");
	char *map = mmap(NULL, 16, PROT_READ, MAP_PRIVATE, fd = open("/mnt/hello", O_RDONLY), 0);

	tap_ok(map != MAP_FAILED && !memcmp(map, "hello", 5), "a private mapping");
	tap_ok(mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV,
	       "no shared mapping");
	close(fd);
}

static void links(void)
{
	char buf[64];
	ssize_t n = readlink("/mnt/relative", buf, sizeof(buf));

	tap_ok(n == 8 && !memcmp(buf, "sub/deep", 8), "readlink");
	tap_ok(text_is("/mnt/relative/file", "deep\n"), "a relative link on the way");
	tap_ok(text_is("/mnt/absolute", "hello from host\n"),
	       "an absolute link means our own name");
	tap_ok(S_ISLNK(mode_of("/mnt/absolute")) &&
		       fails(open("/mnt/absolute", O_RDONLY | O_NOFOLLOW), ELOOP),
	       "lstat and O_NOFOLLOW");
	tap_ok(fails(open("/mnt/loop", O_RDONLY), ELOOP), "a link to itself");
	tap_ok(fails(open("/mnt/outside", O_RDONLY), ENOENT),
	       "a link to the host's files leads nowhere");
	tap_ok(fails(open("/mnt/fifo", O_RDONLY), EACCES), "a FIFO is not opened");
}

static void folders(void)
{
	char cwd[64];
	int fd;

	tap_ok(lists("/", "dev mnt "), "the root lists the mounts");
	tap_ok(chdir("/mnt/sub") == 0 && getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/mnt/sub") &&
		       text_is("deep/file", "deep\n") && text_is("../hello", "hello from host\n"),
	       "chdir, getcwd, relative names");
	fd = open(".", O_RDONLY | O_DIRECTORY);
	tap_ok(fchdir(fd) == 0 && faccessat(fd, "deep/file", R_OK, 0) == 0, "fchdir, faccessat");
	close(fd);
	tap_ok(fails(chdir("/mnt/hello"), ENOTDIR) && fails(chdir("/none"), ENOENT) &&
		       chdir("/") == 0,
	       "errors of chdir");
}

/* ---- what a writable one can ----------------------------------------------------------------- */

static void writing(void)
{
	struct stat st;
	char buf[64];
	int fd = open("/mnt/new", O_RDWR | O_CREAT | O_EXCL, 0666);
	struct iovec iov[2] = {{(char[]){"01234"}, 5}, {(char[]){"56789"}, 5}};

	tap_ok(fd >= 0 && writev(fd, iov, 2) == 10, "create and writev");
	tap_ok(fails(open("/mnt/new", O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST), "O_EXCL");
	tap_ok(pwrite(fd, "ab", 2, 3) == 2 && lseek(fd, 0, SEEK_SET) == 0 &&
		       read(fd, buf, 64) == 10 && !memcmp(buf, "012ab56789", 10),
	       "pwrite");
	tap_ok(ftruncate(fd, 4) == 0 && fstat(fd, &st) == 0 && st.st_size == 4 && fsync(fd) == 0,
	       "ftruncate, fsync");
	close(fd);
	tap_ok(put_text("/mnt/new", O_APPEND, "end") && text_is("/mnt/new", "012aend"), "O_APPEND");
	tap_ok(put_text("/mnt/new", O_TRUNC, "short") && text_is("/mnt/new", "short"), "O_TRUNC");
	tap_ok(truncate("/mnt/new", 2) == 0 && text_is("/mnt/new", "sh"), "truncate");
	tap_ok(chmod("/mnt/new", 0600) == 0 && mode_of("/mnt/new") == (S_IFREG | 0600) &&
		       chmod("/mnt/new", 04755) == 0 && mode_of("/mnt/new") == (S_IFREG | 0755),
	       "chmod, never set-user-id");
	const struct timespec times[2] = {{1000, 5}, {2000, 7}};

	tap_ok(utimensat(AT_FDCWD, "/mnt/new", times, 0) == 0 && stat("/mnt/new", &st) == 0 &&
		       st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7,
	       "utimensat");
	umask(077);
	tap_ok(put_text("/mnt/masked", 0, "") && mode_of("/mnt/masked") == (S_IFREG | 0600) &&
		       unlink("/mnt/masked") == 0,
	       "umask");
	umask(022);
}

static void naming(void)
{
	tap_ok(mkdir("/mnt/dir", 0755) == 0 && fails(mkdir("/mnt/dir", 0755), EEXIST) &&
		       fails(mkdir("/mnt", 0755), EEXIST) &&
		       fails(mkdir("/mnt/no/dir", 0755), ENOENT),
	       "mkdir");
	tap_ok(rename("/mnt/new", "/mnt/dir/moved") == 0 &&
		       fails(access("/mnt/new", F_OK), ENOENT) && text_is("/mnt/dir/moved", "sh"),
	       "rename");
	tap_ok(fails(rename("/mnt/dir/moved", "/other"), EROFS) || errno == EXDEV,
	       "not out of a mount");
	tap_ok(fails(rmdir("/mnt/dir"), ENOTEMPTY) && fails(unlink("/mnt/dir"), EISDIR) &&
		       fails(rmdir("/mnt/dir/moved"), ENOTDIR) && fails(rmdir("/mnt"), EBUSY),
	       "errors of removing");
	tap_ok(symlink("dir/moved", "/mnt/link") == 0 && text_is("/mnt/link", "sh"), "symlink");
	tap_ok(link("/mnt/dir/moved", "/mnt/hard") == 0 && text_is("/mnt/hard", "sh"), "link");
	tap_ok(put_text("/mnt/dangling", 0, "made") && text_is("/mnt/target", "made"),
	       "creating through a link that led nowhere");
	tap_ok(unlink("/mnt/hard") == 0 && unlink("/mnt/link") == 0 && unlink("/mnt/target") == 0 &&
		       unlink("/mnt/dir/moved") == 0 && rmdir("/mnt/dir") == 0,
	       "unlink, rmdir");
	tap_ok(fails(mknod("/mnt/device", S_IFCHR | 0600, 0x103), ENOSYS), "no device nodes");
}

static void big(void)
{
	unsigned char *out = malloc(BIG), *in = malloc(BIG);
	FILE *f;
	long n = 0;
	int fd;

	for (int i = 0; i < BIG; i++)
		out[i] = (unsigned char)(i * 7 >> 3);
	fd = open("/mnt/big", O_RDWR | O_CREAT | O_TRUNC, 0644);
	tap_ok(write(fd, out, BIG) == BIG, "3 MiB written at once");
	tap_ok(pread(fd, in, BIG, 0) == BIG && !memcmp(in, out, BIG), "and read");
	tap_ok(pread(fd, in, BIG, 12345) == BIG - 12345 && !memcmp(in, out + 12345, BIG - 12345),
	       "from an odd place, past the end");
	close(fd);
	f = fopen("/mnt/big", "r");
	memset(in, 0, BIG);
	while (f && n < BIG && fread(in + n, 1, 1000, f) > 0)
		n += 1000;
	tap_ok(f && !memcmp(in, out, BIG), "and through stdio");
	if (f)
		fclose(f);
	unlink("/mnt/big");
	free(out);
	free(in);
}

#define MANY 1500

static void many(void)
{
	char name[64];
	struct dirent *e;
	unsigned seen = 0, made = 0;
	DIR *d;

	mkdir("/mnt/many", 0755);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "/mnt/many/a-name-that-takes-room-%u", i);
		made += put_text(name, 0, "");
	}
	d = opendir("/mnt/many");
	while (d && (e = readdir(d)))
		seen += e->d_name[0] == 'a' && e->d_type == DT_REG;
	tap_ok(made == MANY && seen == MANY, "a folder of 1,500 files is listed");
	if (d) {
		rewinddir(d);
		for (seen = 0; (e = readdir(d));)
			seen += e->d_name[0] == 'a';
		closedir(d);
	}
	tap_ok(seen == MANY, "and again after rewinddir");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "/mnt/many/a-name-that-takes-room-%u", i);
		made -= unlink(name) == 0;
	}
	tap_ok(made == 0 && rmdir("/mnt/many") == 0, "and removed");
}

static void *worker(void *arg)
{
	char name[32], text[32];
	intptr_t me = (intptr_t)arg, good = 0;

	snprintf(name, sizeof(name), "/mnt/thread-%d", (int)me);
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "%d of %d", i, (int)me);
		good += put_text(name, O_TRUNC, text) && text_is(name, text);
	}
	unlink(name);
	return (void *)good;
}

static void threads(void)
{
	pthread_t t[4];
	void *good;
	intptr_t sum = 0;

	for (intptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, (void *)i);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &good);
		sum += (intptr_t)good;
	}
	tap_ok(sum == 200, "four threads at once");
}

static int plain(void)
{
	tap_plan(52);
	reading();
	links();
	folders();
	tap_ok(lists("/mnt", "absolute dangling fifo hello loop outside relative sub "), "readdir");
	writing();
	naming();
	tap_ok(lists("/mnt", "absolute dangling fifo hello loop outside relative sub "),
	       "all is as it was");
	big();
	many();
	threads();
	return tap_done();
}

static int read_only(void)
{
	tap_plan(28);
	reading();
	links();
	folders();
	tap_ok(fails(open("/mnt/hello", O_RDWR), EROFS) &&
		       fails(open("/mnt/x", O_WRONLY | O_CREAT, 0644), EROFS) &&
		       fails(open("/mnt/hello", O_RDONLY | O_TRUNC), EROFS),
	       "nothing is opened for writing");
	tap_ok(fails(unlink("/mnt/hello"), EROFS) && fails(mkdir("/mnt/d", 0755), EROFS),
	       "nor made");
	tap_ok(fails(rename("/mnt/hello", "/mnt/x"), EROFS) && fails(symlink("a", "/mnt/x"), EROFS),
	       "nor renamed");
	tap_ok(fails(chmod("/mnt/hello", 0), EROFS) && fails(truncate("/mnt/hello", 0), EROFS) &&
		       fails(access("/mnt/hello", W_OK), EROFS),
	       "nor changed");
	tap_ok(access("/mnt/hello", R_OK) == 0, "but read");
	return tap_done();
}

/* Calls it until it fails with that, or succeeds (0); 5 s at most. */
static bool until(int (*call)(int), int arg, int with)
{
	for (int i = 0; i < 500; i++) {
		int result = call(arg);

		if (with ? result < 0 && errno == with : result >= 0)
			return true;
		usleep(10000);
	}
	return false;
}

static int read_start(int fd)
{
	char c;

	return (int)pread(fd, &c, 1, 0);
}

static int open_hello(int flags)
{
	int fd = open("/mnt/hello", flags);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int dead(void)
{
	int fd = open("/mnt/hello", O_RDONLY), other = open("/mnt/hello", O_RDONLY);
	struct stat st;

	tap_plan(6);
	tap_ok(read_start(fd) == 1, "the server answers");
	printf("now the server dies\n");
	fflush(stdout);
	tap_ok(until(read_start, fd, EIO), "an open file is EIO then");
	tap_ok(until(open_hello, O_RDONLY, 0), "the next open finds the new server");
	tap_ok(fails(fstat(fd, &st), EIO) && fails(read_start(other), EIO), "old files stay dead");
	tap_ok(close(fd) == 0 && close(other) == 0, "and are closed");
	tap_ok(put_text("/mnt/hello", O_APPEND, "") && lists("/", "dev mnt "), "all else goes on");
	return tap_done();
}

/*
 * Servers that lie, each connection in another way: whatever they say, calls end, and
 * no more is written than was asked for.
 */
static int liars(int rounds)
{
	char guarded[16], name[64];
	int sane = 0, wrong = 0;
	struct stat st;

	for (int i = 0; i < rounds; i++) {
		int fd = open("/mnt/file", O_RDONLY);
		DIR *d;

		memset(guarded, '#', sizeof(guarded));
		if (fd >= 0) {
			ssize_t n = read(fd, guarded, 8);

			wrong += n > 8 || guarded[8] != '#' || (n > 5 && n <= 8);
			fstat(fd, &st);
			close(fd);
		}
		sane += fd >= -1;
		stat("/mnt/file", &st);
		readlink("/mnt/file", name, sizeof(name));
		d = opendir("/mnt");
		for (int k = 0; d && k < 10 && readdir(d); k++)
			;
		if (d)
			closedir(d);
	}
	tap_plan(2);
	tap_ok(sane == rounds, "every call comes back");
	tap_ok(wrong == 0, "and writes no more than it may");
	return tap_done();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "plain"))
		return plain();
	if (!strcmp(what, "ro"))
		return read_only();
	if (!strcmp(what, "dead"))
		return dead();
	if (!strcmp(what, "liars"))
		return liars(argc > 2 ? atoi(argv[2]) : 1);
	fprintf(stderr, "usage: files plain|ro|dead|liars ROUNDS\n");
	return 2;
}
