/*
 * Unions: several servers as one folder. A name is looked up in the top layer,
 * then in the ones below. What is below is taken away by marks in the top layer:
 * a file ".wh.NAME" hides NAME, a file ".wh..wh..opq" in a folder hides all that
 * lower layers have in it (the form that container images use). Programs do not
 * see names with that beginning. What is written to is copied into the top layer first.
 */
#include "tree.h"

#include <fcntl.h>

#define MARK ".wh."
#define MARK_LEN 4
#define OPAQUE ".wh..wh..opq"
#define TEMPORARY ".wh..wh..tmp"
#define COPY_BYTES 65536

bool union_is_mark(const char *name, size_t len)
{
	return len >= MARK_LEN && !memcmp(name, MARK, MARK_LEN);
}

static bool has_mark(const char *rel)
{
	for (const char *p = rel; *p; p++)
		if ((p == rel || p[-1] == '/') && !strncmp(p, MARK, MARK_LEN))
			return true;
	return false;
}

/* Is dir[0, dir_len)/a b in the top layer? 1, 0, -ENOENT when dir itself is not, or -errno. */
static int in_top(struct mount_point *mp, const char *dir, size_t dir_len, const char *a,
		  const char *b, size_t b_len)
{
	char path[TREE_PATH_MAX + 32];
	struct p9_ref ref;
	size_t at = dir_len, done;
	int err;

	memcpy(path, dir, dir_len);
	if (dir_len)
		path[at++] = '/';
	memcpy(path + at, a, strlen(a));
	at += strlen(a);
	memcpy(path + at, b, b_len);
	path[at + b_len] = '\0';
	err = p9_walk(&mp->layer[0], path, &ref, &done);
	p9_clunk(&ref);
	if (err == -ENOENT)
		return done < dir_len ? -ENOENT : 0;
	return err == 0 || err == -ENOTDIR || err == -ENAMETOOLONG ? err == 0 : err;
}

/* Does a mark in the top layer hide what lower layers have at this path? */
static int top_hides(struct mount_point *mp, const char *rel)
{
	size_t start = 0;

	while (rel[start]) {
		size_t dir_len = start ? start - 1 : 0, len = 0;
		int found = start ? in_top(mp, rel, dir_len, OPAQUE, "", 0) : 0;

		while (rel[start + len] && rel[start + len] != '/')
			len++;
		if (found == 0)
			found = in_top(mp, rel, dir_len, MARK, rel + start, len);
		if (found)
			return found == -ENOENT ? 0 : found;
		start += len + (rel[start + len] == '/');
	}
	return 0;
}

int union_opaque(struct mount_point *mp, const char *rel)
{
	int hidden = top_hides(mp, rel);

	if (hidden || !*rel)
		return hidden;
	hidden = in_top(mp, rel, strlen(rel), OPAQUE, "", 0);
	return hidden == -ENOENT ? 0 : hidden;
}

int union_walk(struct mount_point *mp, const char *rel, struct p9_ref *ref, unsigned *layer,
	       size_t *done)
{
	int err, hidden;

	*ref = (struct p9_ref){0};
	*layer = 0;
	*done = 0;
	if (mp->nlayers > 1 && has_mark(rel))
		return -ENOENT;
	err = p9_walk(&mp->layer[0], rel, ref, done);
	if (err != -ENOENT || mp->nlayers == 1)
		return err;
	hidden = top_hides(mp, rel);
	if (hidden)
		return hidden < 0 ? hidden : -ENOENT;
	while (err == -ENOENT && ++*layer < mp->nlayers)
		err = p9_walk(&mp->layer[*layer], rel, ref, done);
	return err;
}

int union_below(struct mount_point *mp, const char *rel)
{
	int hidden = mp->nlayers > 1 ? top_hides(mp, rel) : 1;

	if (hidden)
		return hidden < 0 ? hidden : 0;
	return union_below_raw(mp, rel);
}

int union_below_raw(struct mount_point *mp, const char *rel)
{
	struct p9_ref ref;
	size_t done;
	int err = -ENOENT;

	for (unsigned l = 1; l < mp->nlayers && err == -ENOENT; l++) {
		err = p9_walk(&mp->layer[l], rel, &ref, &done);
		p9_clunk(&ref);
	}
	return err == -ENOENT || err == -ENOTDIR ? 0 : err ? err : 1;
}

/* ---- marks -------------------------------------------------------------------------------- */

/* The folder again, so that making a file does not use up the ref. */
static int make_empty(const struct p9_ref *top_dir, const char *name)
{
	struct p9_ref dir;
	int err = p9_clone(top_dir, &dir);

	if (!err)
		err = p9_create(&dir, name, O_WRONLY, 0600);
	p9_clunk(&dir);
	return err;
}

static int mark_name(char mark[P9_NAME_MAX + 1], const char *name)
{
	if (strlen(name) + MARK_LEN > P9_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(mark, MARK, MARK_LEN);
	memcpy(mark + MARK_LEN, name, strlen(name) + 1);
	return 0;
}

int union_hide(const struct p9_ref *top_dir, const char *name)
{
	char mark[P9_NAME_MAX + 1];
	int err = mark_name(mark, name);

	return err ? err : make_empty(top_dir, mark);
}

/*
 * The mark goes last: until then it hides what is below the new folder, and from
 * then on the folder's own mark does.
 */
int union_unhide(const struct p9_ref *top_dir, const char *name, bool is_dir)
{
	char mark[P9_NAME_MAX + 1];
	struct p9_ref dir = {0}, old = {0};
	int err = mark_name(mark, name) ? -ENOENT : p9_walk_from(top_dir, mark, &old);

	p9_clunk(&old);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (is_dir)
		err = p9_walk_from(top_dir, name, &dir);
	if (is_dir && !err)
		err = make_empty(&dir, OPAQUE);
	p9_clunk(&dir);
	return err ? err : p9_unlink(top_dir, mark, false);
}

/* ---- copying up ------------------------------------------------------------------------------ */

static size_t parent_len(const char *rel)
{
	const char *slash = strrchr(rel, '/');

	return slash ? (size_t)(slash - rel) : 0;
}

static int make_dir_like(struct mount_point *mp, const char *rel, const struct p9_ref *parent)
{
	const char *name = rel + parent_len(rel);
	struct p9_ref below;
	struct p9_attr attr;
	unsigned layer;
	size_t done;
	int err = union_walk(mp, rel, &below, &layer, &done);

	if (!err)
		err = p9_getattr(&below, &attr);
	p9_clunk(&below);
	return err ? err : p9_mkdir(parent, name + (*name == '/'), attr.mode & 0777);
}

int union_top_dir(struct mount_point *mp, const char *rel, struct p9_ref *ref)
{
	char part[TREE_PATH_MAX];
	struct p9_ref parent = {0};
	size_t done, len = 0;
	int err = p9_walk(&mp->layer[0], rel, ref, &done);

	if (err != -ENOENT || mp->nlayers == 1)
		return err;
	err = p9_walk(&mp->layer[0], "", &parent, &done);
	while (!err && rel[len]) {
		len += rel[len] == '/';
		while (rel[len] && rel[len] != '/')
			len++;
		memcpy(part, rel, len);
		part[len] = '\0';
		err = p9_walk(&mp->layer[0], part, ref, &done);
		if (err == -ENOENT) {
			err = make_dir_like(mp, part, &parent);
			if (!err || err == -EEXIST)
				err = p9_walk(&mp->layer[0], part, ref, &done);
		}
		p9_clunk(&parent);
		parent = *ref;
	}
	if (err)
		p9_clunk(&parent);
	return err;
}

static int copy_data(const struct p9_ref *from, const struct p9_ref *to)
{
	struct iovec iov = {mem_pages(COPY_BYTES), COPY_BYTES};
	void *buf = iov.iov_base;
	uint64_t off = 0;
	long n = 1, put = 0;

	if (!buf)
		return -ENOMEM;
	while (n > 0) {
		iov.iov_len = COPY_BYTES;
		n = p9_read(from, &iov, 1, off);
		for (long done = 0; n > 0 && done < n; done += put) {
			struct iovec part = {(char *)buf + done, (size_t)(n - done)};

			put = p9_write(to, &part, 1, off + (uint64_t)done);
			if (put <= 0)
				n = put ? put : -EIO;
		}
		off += n > 0 ? (uint64_t)n : 0;
	}
	mem_pages_free(buf, COPY_BYTES);
	return (int)n;
}

/* Under another name first, so that half a copy is never seen. */
static int copy_file(struct p9_ref *from, const struct p9_attr *attr, const struct p9_ref *dir,
		     const char *name, bool data)
{
	const struct p9_setattr set = {.valid = P9_SETATTR_MODE | P9_SETATTR_MTIME |
						P9_SETATTR_MTIME_SET,
				       .mode = attr->mode & 0777,
				       .mtime = attr->mtime};
	struct p9_ref to;
	int err = p9_clone(dir, &to);

	if (!err)
		err = p9_create(&to, TEMPORARY, O_WRONLY | O_TRUNC, 0600);
	if (!err && data)
		err = p9_open(from, O_RDONLY);
	if (!err && data)
		err = copy_data(from, &to);
	if (!err)
		err = p9_setattr(&to, &set);
	p9_clunk(&to);
	return err ? err : p9_rename(dir, TEMPORARY, dir, name);
}

static int copy_link(const struct p9_ref *from, const struct p9_ref *dir, const char *name)
{
	char target[TREE_PATH_MAX];
	long n = p9_readlink(from, target, sizeof(target) - 1);

	if (n < 0)
		return (int)n;
	target[n] = '\0';
	return p9_symlink(dir, name, target);
}

int union_copy_up(struct mount_point *mp, const char *rel, bool data)
{
	char parent[TREE_PATH_MAX];
	size_t len = parent_len(rel), done;
	const char *name = rel + len + (rel[len] == '/');
	struct p9_ref from, dir = {0};
	struct p9_attr attr;
	unsigned layer;
	int err = union_walk(mp, rel, &from, &layer, &done);

	memcpy(parent, rel, len);
	parent[len] = '\0';
	if (!err && layer == 0) {
		p9_clunk(&from);
		return 0;
	}
	if (!err)
		err = p9_getattr(&from, &attr);
	if (!err)
		err = union_top_dir(mp, parent, &dir);
	if (!err && S_ISDIR(attr.mode))
		err = p9_mkdir(&dir, name, attr.mode & 0777);
	else if (!err && S_ISLNK(attr.mode))
		err = copy_link(&from, &dir, name);
	else if (!err)
		err = copy_file(&from, &attr, &dir, name, data);
	p9_clunk(&from);
	p9_clunk(&dir);
	return err;
}

int union_clear(struct mount_point *mp, const char *rel)
{
	char *buf = mem_alloc(2048), name[P9_NAME_MAX + 1];
	struct p9_ref dir, list = {0};
	size_t done;
	long n = 1;
	int err = buf ? p9_walk(&mp->layer[0], rel, &dir, &done) : -ENOMEM;

	if (!buf)
		return err;
	if (!err)
		err = p9_clone(&dir, &list);
	if (!err)
		err = p9_open(&list, O_RDONLY);
	/* From the start again each time: removing moves the places of the rest. */
	for (bool removed = true; !err && removed && n > 0;) {
		struct p9_dirent d;
		uint64_t off = 0;

		removed = false;
		while (!err && !removed && (n = p9_readdir(&list, off, buf, 2048)) > 0) {
			long used = 0, part;

			while (!err &&
			       (part = p9_dirent_get(buf + used, (size_t)(n - used), &d)) > 0) {
				used += part;
				off = d.offset;
				if (!union_is_mark(d.name.p, d.name.len) ||
				    d.name.len > P9_NAME_MAX)
					continue;
				memcpy(name, d.name.p, d.name.len);
				name[d.name.len] = '\0';
				err = p9_unlink(&dir, name, false);
				removed = true;
			}
			err = err ? err : part < 0 ? (int)part : 0;
		}
		err = err ? err : n < 0 ? (int)n : 0;
	}
	p9_clunk(&list);
	p9_clunk(&dir);
	mem_free(buf, 2048);
	return err;
}
