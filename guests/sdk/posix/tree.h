/*
 * Files of mounts. EXO_MOUNTS="/path=port[,ro];…" in the environment says which
 * folders of the name space are file servers; the same path twice makes a union,
 * whose first server is on top and the only one that is written to.
 *
 *	mount.c   the table
 *	union.c   several servers as one folder: what is below what
 *	tree.c    from a path, through links and mounts, to a file of a server
 *	treefile.c  opened files and folders
 *	treecalls.c system calls on paths
 *
 * Paths are absolute and clean: no ".", "..", "//" or "/" at the end, but for the
 * root, "". ".." is taken out by name, before links are followed (as in Plan 9).
 */
#ifndef POSIX_TREE_H
#define POSIX_TREE_H

#include "p9_client.h"

#define TREE_PATH_MAX 1024 /* Limit, with the end: longer ones are ENAMETOOLONG */
#define MOUNTS_MAX 64      /* Limit: paths that are mounted; more are ignored */
#define LAYERS_MAX 4       /* Limit: of one union */

struct mount_point {
	const char *path; /* clean; len bytes, not terminated */
	size_t len;
	unsigned nlayers;
	bool read_only; /* the top layer is */
	struct p9_server layer[LAYERS_MAX];
};

/* The mount that a path is in, the deepest; NULL: none. */
struct mount_point *mount_find(const char *path);
/* Is there a mount below the path, or right there with `here`? */
bool mount_below(const char *path, bool here);
/* The index-th name that mounts add to a folder, its length; 0: no more. Duplicates happen. */
size_t mount_name(const char *path, unsigned index, const char **name);
bool mount_any(void);
/* Another mount. 0, -EBUSY: there is one, -ENOSPC… path: absolute, copied. */
long mount_add(const char *path, uint32_t port, unsigned flags);

/* ---- union.c ------------------------------------------------------------------------- */

/* p9_walk through the layers; *layer is where it was found. */
int union_walk(struct mount_point *mp, const char *rel, struct p9_ref *ref, unsigned *layer,
	       size_t *done);
/* Is there something below the top layer by that name? 1, 0 or -errno. */
int union_below(struct mount_point *mp, const char *rel);
/* The same, also if it is hidden. */
int union_below_raw(struct mount_point *mp, const char *rel);
/* Is what lower layers have in the folder `rel` hidden? 1, 0 or -errno. */
int union_opaque(struct mount_point *mp, const char *rel);
/* The folder in the top layer, made if need be. */
int union_top_dir(struct mount_point *mp, const char *rel, struct p9_ref *ref);
/* Copies a file or link into the top layer; contents too, if `data`. */
int union_copy_up(struct mount_point *mp, const char *rel, bool data);
/* `name` of the layers below is not there any more; or is again. */
int union_hide(const struct p9_ref *top_dir, const char *name);
int union_unhide(const struct p9_ref *top_dir, const char *name, bool is_dir);
/* Takes the marks out of a folder of the top layer that is to be removed. */
int union_clear(struct mount_point *mp, const char *rel);
bool union_is_mark(const char *name, size_t len);

/* ---- tree.c ---------------------------------------------------------------------------- */

struct tree_node {
	struct mount_point *mp; /* NULL: a folder that only mounts make */
	const char *rel;        /* the path in the mount */
	unsigned layer;
	struct p9_ref ref;        /* to be clunked or taken over */
	char path[TREE_PATH_MAX]; /* where links led */
};

/* The current folder, clean. */
extern char tree_cwd[TREE_PATH_MAX];
/*
 * Makes a path clean; relative to the folder at dirfd, or AT_FDCWD. *is_dir: it ends
 * like a folder's.
 */
int tree_clean(int dirfd, const char *path, char clean[TREE_PATH_MAX], bool *is_dir);
/*
 * Follows a clean path. -ENOENT with n->path set if all but its end may exist;
 * then n->mp NULL means that the name is in no mount.
 */
int tree_find(const char *clean, bool follow, struct tree_node *n);
/* The folder of a path, in the layer that is written to, and the name in it. */
int tree_parent(const char *clean, struct tree_node *dir, const char **name);
void tree_drop(struct tree_node *n);
/* Moves it to the layer that is written to. -EROFS… */
int tree_write(struct tree_node *n, bool data);
bool tree_is_dir(const struct tree_node *n);
int tree_stat(const struct tree_node *n, struct stat *st);

/* ---- treefile.c -------------------------------------------------------------------------- */

/* Opens it; takes over n's ref, also when it fails. */
int treefile_open(struct tree_node *n, int flags, struct file **out);
/* A new file in dir, whose ref it takes over. */
int treefile_create(struct tree_node *dir, const char *name, int flags, unsigned mode,
		    struct file **out);
/* NULL: another kind of file. */
const struct p9_ref *treefile_ref(struct file *f);
/* Of an opened folder; NULL. */
const char *treefile_path(struct file *f);
long treefile_getdents(struct file *f, void *buf, size_t len);
void tree_stat_of(const struct p9_attr *a, struct stat *st);
/* Everything in a folder, as it is seen: calls fn for each until it is not 0. -errno or that. */
struct listing;
int listing_make(const struct tree_node *n, struct listing **out);
void listing_free(struct listing *l);
/* Entries from number `at` on as getdents64 has them; *at moves on. */
long listing_read(const struct listing *l, int64_t *at, void *buf, size_t len);
bool listing_empty(const struct listing *l);
/* One entry in that form. Bytes, or 0: no room. */
size_t listing_put(void *buf, size_t len, uint64_t ino, int64_t next, uint8_t type,
		   const char *name, size_t name_len);

/* ---- treecalls.c ---------------------------------------------------------------------------- */

struct regs;
/* System calls on names. False: not one of them. */
bool call_tree(struct regs *r, long *result);

#endif
