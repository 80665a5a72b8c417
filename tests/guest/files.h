/* For the tests of files on mounts. */
#ifndef FILES_H
#define FILES_H

#include <dirent.h>
#include <errno.h>
#include <exo_test.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

static inline bool fails(long result, int with)
{
	return result == -1 && errno == with;
}

static inline bool text_is(const char *path, const char *want)
{
	char buf[256];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(want) && memcmp(buf, want, (size_t)n) == 0;
}

static inline bool put_text(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	return fd >= 0 && close(fd) == 0 && good;
}

/* Is the folder's listing exactly these names, sorted, with a blank after each? */
static inline bool lists(const char *path, const char *want)
{
	struct dirent **e;
	char got[2048] = "";
	int n = scandir(path, &e, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (strcmp(e[i]->d_name, ".") != 0 && strcmp(e[i]->d_name, "..") != 0 &&
		    strlen(got) < 1700) {
			strcat(got, e[i]->d_name);
			strcat(got, " ");
		}
		free(e[i]);
	}
	if (n < 0 || strcmp(got, want) != 0) {
		tap_line("# %s: %d: %s", path, n, got);
		return false;
	}
	free(e);
	return true;
}

static inline mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? 0 : st.st_mode;
}

#endif
