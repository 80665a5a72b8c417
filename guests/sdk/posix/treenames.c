/* Making, removing and renaming: in the layer that is written to, with marks for the others. */
#include "treecalls.h"

#include <fcntl.h>

/* The folder of a path, and the name in it, which is in `clean`. */
static int parent_at(int dirfd, const char *path, struct tree_node *dir, const char **name,
		     char clean[TREE_PATH_MAX], bool *is_dir)
{
	int err = tree_clean(dirfd, path, clean, is_dir);

	dir->ref = (struct p9_ref){0};
	return err ? err : tree_parent(clean, dir, name);
}

/* The path of a name in the folder, as its mount has it. */
static int rel_of(const struct tree_node *dir, const char *name, char rel[TREE_PATH_MAX])
{
	size_t len = strlen(dir->rel), more = strlen(name);

	if (len + 1 + more >= TREE_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(rel, dir->rel, len);
	if (len)
		rel[len++] = '/';
	memcpy(rel + len, name, more + 1);
	return 0;
}

/* In a union, is there such a name, in any layer? 0, -EEXIST or -errno. */
static int is_free(const struct tree_node *dir, const char *name)
{
	char rel[TREE_PATH_MAX];
	struct p9_ref ref;
	unsigned layer;
	size_t done;
	int err;

	if (dir->mp->nlayers == 1)
		return 0; /* the server says */
	err = rel_of(dir, name, rel);
	if (err)
		return err;
	err = union_walk(dir->mp, rel, &ref, &layer, &done);
	p9_clunk(&ref);
	return err == -ENOENT ? 0 : err ? err : -EEXIST;
}

static int parent_error(int err)
{
	return err == -EBUSY ? -EEXIST : err; /* the root of a mount is there */
}

int tree_mkdir(int dirfd, const char *path, unsigned mode)
{
	char clean[TREE_PATH_MAX];
	struct tree_node dir;
	const char *name;
	bool is_dir;
	int err = parent_error(parent_at(dirfd, path, &dir, &name, clean, &is_dir));

	if (err)
		return err;
	err = is_free(&dir, name);
	if (!err)
		err = p9_mkdir(&dir.ref, name, mode & ~tree_umask_now() & 0777);
	if (!err && dir.mp->nlayers > 1)
		err = union_unhide(&dir.ref, name, true);
	tree_drop(&dir);
	return err;
}

int tree_symlink(const char *target, int dirfd, const char *path)
{
	char clean[TREE_PATH_MAX];
	struct tree_node dir;
	const char *name;
	bool is_dir;
	int err = parent_error(parent_at(dirfd, path, &dir, &name, clean, &is_dir));

	if (err)
		return err;
	err = is_free(&dir, name);
	if (!err)
		err = p9_symlink(&dir.ref, name, target);
	if (!err && dir.mp->nlayers > 1)
		err = union_unhide(&dir.ref, name, false);
	tree_drop(&dir);
	return err;
}

int tree_link(int fromfd, const char *from, int dirfd, const char *path, bool follow)
{
	char clean[TREE_PATH_MAX], old_clean[TREE_PATH_MAX];
	struct tree_node dir, old;
	const char *name;
	bool is_dir;
	int err = parent_error(parent_at(dirfd, path, &dir, &name, clean, &is_dir));

	if (err)
		return err;
	err = tree_clean(fromfd, from, old_clean, &is_dir);
	if (!err)
		err = tree_find(old_clean, follow, &old);
	if (err) {
		tree_drop(&dir);
		return err;
	}
	err = is_free(&dir, name);
	if (!err && tree_is_dir(&old))
		err = -EPERM;
	if (!err)
		err = old.mp != dir.mp ? -EXDEV : tree_write(&old, true);
	if (!err)
		err = p9_link(&dir.ref, name, &old.ref);
	if (!err && dir.mp->nlayers > 1)
		err = union_unhide(&dir.ref, name, false);
	tree_drop(&old);
	tree_drop(&dir);
	return err;
}

/* ---- removing --------------------------------------------------------------------------- */

static int check_empty(const char *path)
{
	struct tree_node *n = mem_alloc(sizeof(*n));
	struct listing *l;
	int err = n ? tree_find(path, false, n) : -ENOMEM;

	if (!err) {
		err = listing_make(n, &l);
		tree_drop(n);
		if (!err) {
			err = listing_empty(l) ? 0 : -ENOTEMPTY;
			listing_free(l);
		}
	}
	mem_free(n, sizeof(*n));
	return err;
}

/*
 * The mark first: until the top layer's own is gone too, the name is still there
 * for everybody, whatever happens in between.
 */
static int remove_layered(const struct tree_node *dir, const char *name, bool is_dir)
{
	char rel[TREE_PATH_MAX];
	struct p9_ref ref;
	unsigned layer;
	size_t done;
	int below, err = rel_of(dir, name, rel);

	if (!err)
		err = union_walk(dir->mp, rel, &ref, &layer, &done);
	if (err)
		return err;
	p9_clunk(&ref);
	if (is_dir != (ref.qid.type == P9_QTDIR))
		return is_dir ? -ENOTDIR : -EISDIR;
	below = union_below(dir->mp, rel);
	if (below > 0)
		err = union_hide(&dir->ref, name);
	if (below < 0 || err || layer != 0)
		return below < 0 ? below : err;
	if (is_dir)
		err = union_clear(dir->mp, rel);
	return err ? err : p9_unlink(&dir->ref, name, is_dir);
}

int tree_unlink(int dirfd, const char *path, bool want_dir)
{
	char clean[TREE_PATH_MAX];
	struct tree_node dir;
	const char *name;
	bool is_dir;
	int err = parent_at(dirfd, path, &dir, &name, clean, &is_dir);

	if (err)
		return err;
	if (is_dir && !want_dir)
		err = -EISDIR; /* or not a folder: the server would say ENOTDIR */
	else if (dir.mp->nlayers == 1)
		err = p9_unlink(&dir.ref, name, want_dir);
	else {
		if (want_dir)
			err = check_empty(clean);
		if (!err)
			err = remove_layered(&dir, name, want_dir);
	}
	tree_drop(&dir);
	return err;
}

/* ---- renaming ----------------------------------------------------------------------------- */

/*
 * In a union: a file is copied up and moved there. A folder only if no other layer
 * has a part of it, before or after: else EXDEV, and mv copies it.
 */
static int rename_layered(struct tree_node *from, const char *name, struct tree_node *to,
			  const char *to_name)
{
	char rel[TREE_PATH_MAX], to_rel[TREE_PATH_MAX];
	struct p9_ref ref = {0};
	unsigned layer = 0;
	size_t done;
	bool is_dir;
	int below = 0, err = rel_of(from, name, rel);

	if (!err)
		err = rel_of(to, to_name, to_rel);
	if (!err)
		err = union_walk(from->mp, rel, &ref, &layer, &done);
	is_dir = ref.qid.type & P9_QTDIR;
	p9_clunk(&ref);
	if (!err)
		below = union_below(from->mp, rel);
	if (err || below < 0)
		return err ? err : below;
	if (is_dir && (layer || below || union_below_raw(to->mp, to_rel)))
		return -EXDEV;
	if (layer)
		err = union_copy_up(from->mp, rel, true);
	if (!err && below)
		err = union_hide(&from->ref, name);
	if (!err)
		err = p9_rename(&from->ref, name, &to->ref, to_name);
	return err ? err : union_unhide(&to->ref, to_name, false);
}

int tree_rename(int fromfd, const char *from, int tofd, const char *to)
{
	char clean[TREE_PATH_MAX], to_clean[TREE_PATH_MAX];
	struct tree_node dir, to_dir;
	const char *name, *to_name;
	bool is_dir;
	int err = parent_at(fromfd, from, &dir, &name, clean, &is_dir);

	if (err)
		return err;
	err = parent_at(tofd, to, &to_dir, &to_name, to_clean, &is_dir);
	if (!err && dir.mp != to_dir.mp)
		err = -EXDEV;
	else if (!err && dir.mp->nlayers == 1)
		err = p9_rename(&dir.ref, name, &to_dir.ref, to_name);
	else if (!err && strcmp(clean, to_clean) != 0)
		err = rename_layered(&dir, name, &to_dir, to_name);
	tree_drop(&to_dir);
	tree_drop(&dir);
	return err;
}
