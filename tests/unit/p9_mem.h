/*
 * A file system in memory behind p9_server.h, for its tests and fuzzer. It checks what
 * the server promises a backend (names, kinds, open modes, counts of references)
 * and aborts when that does not hold.
 */
#ifndef P9_MEM_H
#define P9_MEM_H

#include "p9_server.h"

#define MEM_NODES 64
#define MEM_BYTES 65536 /* of a file, at most */

struct mem_node {
	bool used, is_dir, is_link, linked; /* linked: it has a name */
	int parent;
	char name[P9_NAME_MAX + 1];
	char *data; /* a file's, or a link's target */
	uint32_t bytes;
	unsigned refs;
	uint32_t mode;
};

struct mem_fs {
	struct mem_node node[MEM_NODES]; /* 0: the root */
	unsigned open_files;
	unsigned calls;   /* of the backend, so far */
	unsigned fail_at; /* this call fails with ENOMEM; 0: none */
	bool read_only;   /* aborts when something is changed */
};

extern const struct p9_backend mem_backend;

/* The root, with a file "file" ("contents"), a folder "dir" and a link "link". */
void mem_init(struct mem_fs *fs);
/* Aborts if anything is referenced or open still. */
void mem_finish(struct mem_fs *fs);

#endif
