/* Where programs and our own parts are found. */
#ifndef SEARCH_H
#define SEARCH_H

#include <stddef.h>

#define SEARCH_PATH_MAX 4096

/*
 * Opens a guest program, read-only. A name with a slash is a path. One without
 * is looked for in the current folder, then in each folder of the environment's
 * EXO_PATH (separated by colons), then in the guests that belong to this exo:
 * ../guests and ../lib/exo/guests beside its own folder. In each place NAME,
 * then NAME.elf. 0 with *fd, -ENOENT, or the -errno of the first that exists
 * and cannot be opened.
 */
int search_program(const char *name, int *fd);

/* The same of a name without a slash, but for the current folder: programs that belong here. */
int search_installed(const char *name, int *fd);

/* The places where exo-vmm may be, best first: */
#define SEARCH_VMM_PLACES 4
/*
 * Fills in candidate number `place`. 0, or -ENOENT when there is none: the
 * environment's EXO_VMM, and nothing else if that is set; beside the file we
 * were started as; beside the file that really is (a link's target); in
 * ../libexec beside that.
 */
int search_vmm(unsigned place, char path[SEARCH_PATH_MAX]);
/* The same for exo-fs, by EXO_FS. */
int search_fs(unsigned place, char path[SEARCH_PATH_MAX]);
/* And for exo-desktop, by EXO_DESKTOP. */
int search_desktop(unsigned place, char path[SEARCH_PATH_MAX]);

#endif
