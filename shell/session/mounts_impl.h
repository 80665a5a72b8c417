/* Inside mounts*.c, for nobody else. */
#ifndef MOUNTS_IMPL_H
#define MOUNTS_IMPL_H

#include "session.h"

struct server; /* a running exo-fs: mounts.c */

struct mount {
	struct mount *next;
	char *path; /* in the guest; NULL: a file that was offered */
	char *file; /* its name; NULL: a folder */
	char service[POLICY_NAME_MAX];
	uint32_t grant; /* made here; 0: none */
	bool read_only;
	int folder_fd; /* or the file's; -1: a service of somebody else */
	struct server *server;
	uint64_t spawned_ns;
};

/* A service of the mount's name for what fd is: a folder, an open file. fd is ours no more. */
int mounts_add_service(struct machine *m, struct mount *mount, int fd);
/* It is in no list; its service ends. */
void mounts_free(struct machine *m, struct mount *mount);
/* Those of an earlier session whose grant is still there. */
void mounts_adopt_offers(struct machine *m);

#endif
