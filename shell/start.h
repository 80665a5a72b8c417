/* Starting a guest through a session: the request made of options (docs/control.md, op start). */
#ifndef START_H
#define START_H

#include "guest.h"

#include <jansson.h>
#include <stdbool.h>

#define START_WHY_MAX 256
#define START_PATH_MAX 4096

/* What exo run and exo start say beside the guest's own options. Strings are the caller's. */
struct start_extra {
	const char *manifest; /* or NULL: the program has none */
	bool is_named;        /* g->name was given, not made from the program's name */
	char *const *mount, *const *grant;
	unsigned nmounts, ngrants;
};

/*
 * The manifest that belongs to what was typed: itself if it ends in .exo, else the
 * one beside the program that search_program finds, if there is one. 0 and the
 * absolute path, or -ENOENT. *program_fd, unless NULL, is the program then, if it
 * was found: the caller's, or -1.
 */
int start_find_manifest(const char *program, char path[START_PATH_MAX], int *program_fd);

/*
 * The request, without fds, tty and attach. NULL with why, one line. A grant is
 * SERVICE[,LIMIT[=VALUE]…] (grants.h), a mount SOURCE:/PATH[:ro].
 */
json_t *start_request(const struct guest *g, const struct start_extra *x, char why[START_WHY_MAX]);

#endif
