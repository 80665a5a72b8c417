/* expect: exit 2 */
/*
 * Files of the store (its service "files", mounted at /data), with the argument
 * "first" in an empty namespace, with "second" after the store was killed. Prints TAP.
 */
#include "files.h"

#include <stdint.h>

#define BIG (1 << 20)

static uint8_t big[BIG], back[BIG];

static void fill_big(void)
{
	for (unsigned i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

static bool save(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | flags, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	return fd >= 0 && n == (ssize_t)strlen(text) && fsync(fd) == 0 && close(fd) == 0;
}

static void first(void)
{
	struct stat st;
	int fd;

	tap_plan(18);
	tap_ok(lists("/data", ""), "nothing yet");
	tap_ok(save("/data/one", "first\n", O_CREAT | O_EXCL), "a new file");
	tap_ok(fails(open("/data/one", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST), "only once");
	tap_ok(text_is("/data/one", "first\n"), "is what was written");
	tap_ok(save("/data/one", "second\n", O_APPEND) && text_is("/data/one", "first\nsecond\n"),
	       "appended to");
	tap_ok(mkdir("/data/dir", 0755) == 0 && stat("/data/dir", &st) == 0 && S_ISDIR(st.st_mode),
	       "an empty folder stays");
	tap_ok(lists("/data/dir", ""), "and has nothing in it");
	tap_ok(fails(mkdir("/data/dir", 0755), EEXIST), "a folder that exists");
	tap_ok(save("/data/dir/a", "a", O_CREAT) && save("/data/dir-b", "b", O_CREAT) &&
		       save("/data/dir/c", "c", O_CREAT),
	       "files beside and in it");
	tap_ok(lists("/data", "dir dir-b one ") && lists("/data/dir", "a c "), "listed, once each");
	tap_ok(fails(rmdir("/data/dir"), ENOTEMPTY), "a full folder is not removed");
	tap_ok(rename("/data/dir", "/data/moved") == 0 && text_is("/data/moved/a", "a") &&
		       fails(open("/data/dir/a", O_RDONLY), ENOENT),
	       "a folder is renamed with what is in it");
	tap_ok(rename("/data/moved/a", "/data/dir-b") == 0 && text_is("/data/dir-b", "a"),
	       "a file replaces another");
	tap_ok(unlink("/data/moved/c") == 0 && lists("/data/moved", ""),
	       "the last file goes, its folder stays");
	tap_ok(rmdir("/data/moved") == 0 && fails(stat("/data/moved", &st), ENOENT),
	       "then goes too");
	fill_big();
	fd = open("/data/big", O_RDWR | O_CREAT, 0644);
	tap_ok(fd >= 0 && write(fd, big, BIG) == BIG && pread(fd, back, BIG, 0) == BIG &&
		       !memcmp(big, back, BIG),
	       "a megabyte, read before it is synced");
	tap_ok(fsync(fd) == 0 && ftruncate(fd, BIG / 2) == 0 && fsync(fd) == 0 &&
		       fstat(fd, &st) == 0 && st.st_size == BIG / 2,
	       "then half of it");
	tap_ok(pwrite(fd, "x", 1, BIG - 1) == 1 && close(fd) == 0 && stat("/data/big", &st) == 0 &&
		       st.st_size == BIG,
	       "and with a hole, full size again");
}

static void second(void)
{
	int fd = open("/data/big", O_RDONLY);
	bool same = fd >= 0 && read(fd, back, BIG) == BIG;

	tap_plan(3);
	fill_big();
	for (unsigned i = 0; same && i < BIG; i++)
		same = back[i] == (i < BIG / 2 ? big[i] : i == BIG - 1 ? 'x' : 0);
	tap_ok(same, "the large file is as it was");
	tap_ok(lists("/data", "big dir-b one "), "all names are there");
	tap_ok(text_is("/data/one", "first\nsecond\n") && text_is("/data/dir-b", "a"),
	       "with their content");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "first"))
		first();
	else if (argc == 2 && !strcmp(argv[1], "second"))
		second();
	else
		return fprintf(stderr, "usage: store-files first|second\n"), 2;
	return tap_done();
}
