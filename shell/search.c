/* Where programs and our own parts are found; see search.h. */
#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

/* Cuts the last component off; false when there is no folder to speak of. */
static bool cut_name(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

/* The folder of the file that we were started as: no system call. */
static bool own_folder(char path[SEARCH_PATH_MAX])
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	size_t length = name ? strlen(name) : 0;

	if (!length || length >= SEARCH_PATH_MAX)
		return false;
	memcpy(path, name, length + 1);
	return cut_name(path);
}

static bool real_folder(char path[SEARCH_PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, SEARCH_PATH_MAX - 1);

	if (n <= 0)
		return false;
	path[n] = '\0';
	return cut_name(path);
}

static int append(char path[SEARCH_PATH_MAX], const char *tail)
{
	size_t at = strlen(path), length = strlen(tail);

	if (at + length >= SEARCH_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(path + at, tail, length + 1);
	return 0;
}

/* One of our own programs: named by the environment's `variable`, or beside us. */
static int search_part(const char *variable, const char *name, unsigned place,
		       char path[SEARCH_PATH_MAX])
{
	const char *named = getenv(variable);
	bool found;
	int err;

	path[0] = '\0';
	if (named && *named)
		return place == 0 ? append(path, named) : -ENOENT;
	found = place == 1 ? own_folder(path) : place >= 2 && real_folder(path);
	if (!found || place >= SEARCH_VMM_PLACES)
		return -ENOENT;
	err = append(path, place == 3 ? "/../libexec/" : "/");
	return err ? err : append(path, name);
}

int search_vmm(unsigned place, char path[SEARCH_PATH_MAX])
{
	return search_part("EXO_VMM", "exo-vmm", place, path);
}

int search_fs(unsigned place, char path[SEARCH_PATH_MAX])
{
	return search_part("EXO_FS", "exo-fs", place, path);
}

int search_desktop(unsigned place, char path[SEARCH_PATH_MAX])
{
	return search_part("EXO_DESKTOP", "exo-desktop", place, path);
}

/* Opens folder/name or folder/name.elf; a folder of that name does not count. */
static int try_folder(const char *folder, size_t length, const char *name, int *fd)
{
	char path[SEARCH_PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%.*s%s%s", (int)length, folder, length ? "/" : "",
			 name);

	if (n < 0 || (size_t)n + sizeof(".elf") > sizeof(path))
		return -ENAMETOOLONG;
	for (int form = 0; form < 2; form++) {
		if (form)
			memcpy(path + n, ".elf", sizeof(".elf"));
		/* O_NONBLOCK: a FIFO must not make us wait for its writer */
		*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (*fd < 0 && errno != ENOENT)
			return -errno;
		if (*fd < 0)
			continue;
		if (!fstat(*fd, &st) && S_ISREG(st.st_mode))
			return 0;
		close(*fd);
		*fd = -1;
		if (strchr(name, '/'))
			return S_ISDIR(st.st_mode) ? -EISDIR : -ENOEXEC;
	}
	return -ENOENT;
}

static int try_beside_us(const char *tail, const char *name, int *fd)
{
	char folder[SEARCH_PATH_MAX];

	if (!real_folder(folder) || append(folder, tail))
		return -ENOENT;
	return try_folder(folder, strlen(folder), name, fd);
}

int search_installed(const char *name, int *fd)
{
	const char *path = getenv("EXO_PATH");
	int err;

	while (path && *path) {
		size_t length = strcspn(path, ":");

		err = length ? try_folder(path, length, name, fd) : -ENOENT;
		if (err != -ENOENT && err != -ENOTDIR)
			return err;
		path += length + (path[length] == ':');
	}
	err = try_beside_us("/../guests", name, fd);
	return err == -ENOENT ? try_beside_us("/../lib/exo/guests", name, fd) : err;
}

int search_program(const char *name, int *fd)
{
	int err;

	if (!*name)
		return -ENOENT;
	err = try_folder("", 0, name, fd);
	if (err != -ENOENT || strchr(name, '/'))
		return err;
	return search_installed(name, fd);
}
