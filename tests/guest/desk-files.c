/* expect: exit 3 */
/*
 * A guest that is given files and tries to get at more, for tests from outside
 * (tests/e2e/desktop_files.py). Without a display: status 3, as here.
 *
 * Keys: f asks for a file to read, g for one to read and write, s for one to save; r reads the last
 * again, by the descriptor and by its name; c offers the clipboard something unasked. What it
 * tries with a file is printed: "NAME: what: how it went".
 */
#include <exo/desktop.h>
#include <exo_window.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct exo_window *window;
static char path[512], folder[512];
static int last = -1;

static void say(const char *what, bool ok)
{
	printf("%s: %s: %s\n", strrchr(path, '/') + 1, what, ok ? "ok" : strerror(errno));
}

static void read_it(const char *what, int fd)
{
	char text[64] = "";

	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0) {
		say(what, false);
		return;
	}
	text[strcspn(text, "\n")] = 0;
	printf("%s: %s: '%s'\n", strrchr(path, '/') + 1, what, text);
}

static void list(void)
{
	DIR *d = opendir(folder);
	const struct dirent *e;

	if (!d) {
		say("list", false);
		return;
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			printf("%s: list: '%s'\n", strrchr(path, '/') + 1, e->d_name);
	closedir(d);
}

/* Names that it was not given, by all calls that take one. */
static void reach(void)
{
	static const char *const others[] = {"secret.txt", "../secret.txt", "../../secret.txt",
					     "./../files/secret.txt", "given.txt/../secret.txt"};
	char other[1100];

	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct stat st;

		snprintf(other, sizeof(other), "%s/%s", folder, others[i]);
		if (open(other, O_RDONLY) >= 0 || stat(other, &st) == 0)
			printf("%s: REACHED %s\n", strrchr(path, '/') + 1, others[i]);
		snprintf(other, sizeof(other), "%s/%s.new", folder, others[i]);
		if (open(other, O_RDWR | O_CREAT, 0600) >= 0 || mkdir(other, 0700) == 0 ||
		    symlink("/etc/passwd", other) == 0 || link(path, other) == 0 ||
		    rename(path, other) == 0)
			printf("%s: MADE %s\n", strrchr(path, '/') + 1, others[i]);
	}
	if (unlink(path) == 0)
		printf("%s: REMOVED\n", strrchr(path, '/') + 1);
}

static void take_file(const struct exo_event *e)
{
	int fd;

	if (e->file.error) {
		printf("no file: %s\n", strerror(e->file.error));
		return;
	}
	snprintf(path, sizeof(path), "%s", e->file.path);
	snprintf(folder, sizeof(folder), "%s", e->file.path);
	dirname(folder);
	last = open(path, O_RDONLY);
	read_it("read", last);
	fd = open(path, O_WRONLY);
	say("write", fd >= 0 && write(fd, "GUEST", 5) == 5 && close(fd) == 0);
	say("cut", truncate(path, 5) == 0);
	list();
	reach();
	printf("%s: done, rights %u\n", e->file.name, e->file.rights);
}

static void on_key(unsigned code)
{
	if (code == KEY_F)
		exo_window_choose(window, EXO_DESK_READ, false, NULL);
	if (code == KEY_G)
		exo_window_choose(window, EXO_DESK_READ | EXO_DESK_WRITE, false, NULL);
	if (code == KEY_S)
		exo_window_choose(window, EXO_DESK_READ | EXO_DESK_WRITE, true, NULL);
	if (code == KEY_R) {
		read_it("again", last);
		read_it("anew", open(path, O_RDONLY));
	}
	if (code == KEY_C)
		printf("unasked: %d\n",
		       exo_window_copy(window, 1, EXO_DESK_TEXT, "unasked", sizeof("unasked") - 1));
}

int main(void)
{
	struct exo_surface s;
	struct exo_event e;

	setvbuf(stdout, NULL, _IOLBF, 0);
	window = exo_window_open("files", 0);
	if (!window)
		return 3;
	s = exo_window_begin(window);
	exo_window_damage(window, 0, 0, (int)s.width, (int)s.height);
	exo_window_present(window);
	while (exo_window_next(window, &e, -1) == 1) {
		if (e.type == EXO_EVENT_KEY && e.key.down && !e.key.repeat)
			on_key(e.key.code);
		if (e.type == EXO_EVENT_CHOSEN || e.type == EXO_EVENT_DROPPED)
			take_file(&e);
		if (e.type == EXO_EVENT_PASTE)
			printf("paste of %zu\n", e.paste.bytes);
	}
	return 4;
}
