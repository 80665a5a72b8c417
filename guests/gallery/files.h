/* The pictures that there are: files by name, and those in folders. */
#ifndef GALLERY_FILES_H
#define GALLERY_FILES_H

#include <stdbool.h>

#define FILES_MAX 2000

struct files {
	char *path[FILES_MAX];
	unsigned count;
};

/* A file, or the pictures in a folder, by name. False: there is none, with errno. */
bool files_add(struct files *f, const char *path);
/* Its last part. */
const char *files_name(const char *path);

#endif
