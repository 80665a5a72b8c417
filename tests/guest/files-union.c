/* expect: exit 2 */
/*
 * A union at /mnt: a writable folder over two others, as tests/e2e/test_files.sh makes
 * them. With the argument "first" changes everything, with "second" looks at it in a new
 * guest. Prints TAP.
 */
#include "files.h"

#include <sys/statfs.h>

static void looking(void)
{
	tap_ok(lists("/mnt", "both bottom dir file gone link lower only-dir top "),
	       "names of all layers, once");
	tap_ok(text_is("/mnt/both", "top\n"), "the top layer comes first");
	tap_ok(text_is("/mnt/lower", "middle\n") && text_is("/mnt/bottom", "bottom\n"),
	       "then the others");
	tap_ok(lists("/mnt/dir", "a b c "), "folders are merged");
	tap_ok(text_is("/mnt/link", "middle\n"), "a link of a lower layer");
	tap_ok(fails(open("/mnt/file/x", O_RDONLY), ENOTDIR),
	       "a file of the top layer hides a folder");
	tap_ok(fails(open("/mnt/.wh.both", O_RDONLY), ENOENT) &&
		       fails(open("/mnt/.wh.x", O_WRONLY | O_CREAT, 0644), EINVAL),
	       "names of marks are not for programs");
}

static void copying_up(void)
{
	struct stat before, after;
	int old = open("/mnt/lower", O_RDONLY);

	stat("/mnt/lower", &before);
	tap_ok(put_text("/mnt/lower", O_APPEND, "more\n") &&
		       text_is("/mnt/lower", "middle\nmore\n"),
	       "what is written to is copied up");
	stat("/mnt/lower", &after);
	tap_ok((before.st_mode & 0777) == 0640 && after.st_mode == before.st_mode, "with its mode");
	close(old);
	tap_ok(put_text("/mnt/only-dir/sub/deep", O_TRUNC, "new\n") &&
		       text_is("/mnt/only-dir/sub/deep", "new\n"),
	       "with the folders it is in; O_TRUNC");
	tap_ok(put_text("/mnt/only-dir/sub/made", O_EXCL, "made\n"), "a new file beside it");
	tap_ok(chmod("/mnt/bottom", 0600) == 0 && mode_of("/mnt/bottom") == (S_IFREG | 0600) &&
		       text_is("/mnt/bottom", "bottom\n"),
	       "chmod copies up too");
}

static void removing(void)
{
	tap_ok(unlink("/mnt/gone") == 0 && fails(access("/mnt/gone", F_OK), ENOENT) &&
		       fails(unlink("/mnt/gone"), ENOENT),
	       "a file of a lower layer is removed");
	tap_ok(unlink("/mnt/both") == 0 && fails(open("/mnt/both", O_RDONLY), ENOENT),
	       "a file of two layers is removed from both");
	tap_ok(fails(rmdir("/mnt/dir"), ENOTEMPTY) && unlink("/mnt/dir/a") == 0 &&
		       unlink("/mnt/dir/b") == 0 && unlink("/mnt/dir/c") == 0 &&
		       lists("/mnt/dir", "") && rmdir("/mnt/dir") == 0 &&
		       fails(access("/mnt/dir", F_OK), ENOENT) &&
		       fails(access("/mnt/dir/a", F_OK), ENOENT),
	       "a folder of two layers is removed, once it is empty");
	tap_ok(mkdir("/mnt/dir", 0755) == 0 && lists("/mnt/dir", "") &&
		       fails(access("/mnt/dir/a", F_OK), ENOENT),
	       "and made again: it is empty");
	tap_ok(put_text("/mnt/both", O_EXCL, "again\n") && text_is("/mnt/both", "again\n"),
	       "so is the file");
}

static void renaming(void)
{
	tap_ok(rename("/mnt/lower", "/mnt/renamed") == 0 &&
		       text_is("/mnt/renamed", "middle\nmore\n") &&
		       fails(access("/mnt/lower", F_OK), ENOENT),
	       "a file is renamed");
	tap_ok(fails(rename("/mnt/only-dir", "/mnt/x"), EXDEV), "a folder of a lower layer is not");
	tap_ok(mkdir("/mnt/fresh", 0755) == 0 && rename("/mnt/fresh", "/mnt/fresher") == 0 &&
		       rmdir("/mnt/fresher") == 0,
	       "one of the top layer is");
	tap_ok(fails(rename("/mnt/none", "/mnt/x"), ENOENT), "nothing is not");
	tap_ok(lists("/mnt", "both bottom dir file link only-dir renamed top "), "what is left");
}

static int second(void)
{
	tap_plan(5);
	tap_ok(lists("/mnt", "both bottom dir file link only-dir renamed top "),
	       "the same in a new guest");
	tap_ok(lists("/mnt/dir", ""), "a folder made anew stays empty");
	tap_ok(text_is("/mnt/renamed", "middle\nmore\n") && text_is("/mnt/both", "again\n"),
	       "contents");
	tap_ok(lists("/mnt/only-dir/sub", "deep made other "), "a merged folder");
	tap_ok(fails(open("/mnt/link", O_RDONLY), ENOENT), "the link leads nowhere now");
	return tap_done();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "second"))
		return second();
	if (argc < 2 || strcmp(argv[1], "first") != 0)
		return 2;
	tap_plan(22);
	looking();
	copying_up();
	removing();
	renaming();
	return tap_done();
}
