/* The pictures that there are. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

const char *files_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static bool is_picture(const char *name)
{
	static const char *const ends[] = {".png", ".jpg", ".jpeg", ".bmp", ".gif"};
	const char *dot = strrchr(name, '.');

	for (unsigned i = 0; dot && i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcasecmp(dot, ends[i]) == 0)
			return true;
	return false;
}

static bool add_one(struct files *f, char *path)
{
	if (!path)
		return false;
	if (f->count == FILES_MAX) {
		free(path);
		errno = ENOSPC;
		return false;
	}
	f->path[f->count++] = path;
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_folder(struct files *f, const char *folder)
{
	unsigned first = f->count;
	DIR *d = opendir(folder);
	struct dirent *e;
	bool room = d != NULL;
	char *path;

	while (room && (e = readdir(d))) {
		if (!is_picture(e->d_name))
			continue;
		room = asprintf(&path, "%s/%s", folder, e->d_name) >= 0 && add_one(f, path);
	}
	if (d)
		closedir(d);
	qsort(f->path + first, f->count - first, sizeof(f->path[0]), compare);
	if (f->count == first && d)
		errno = ENOENT;
	return f->count > first;
}

bool files_add(struct files *f, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	return S_ISDIR(st.st_mode) ? add_folder(f, path) : add_one(f, strdup(path));
}
