/*
 * Listings of folders that are made of several: layers of a union, and mounts in
 * them. Read as a whole, each name once.
 */
#include "tree.h"

#include <dirent.h>
#include <fcntl.h>

#define BUCKETS 256
#define FIRST_BYTES 16384
#define READ_BYTES 8192

struct name {
	uint32_t next; /* in its bucket: offset + 1; 0: the last */
	uint16_t len;
	uint8_t type;
	bool hidden; /* taken away by the top layer */
	uint64_t ino;
	char text[];
};

struct listing {
	uint32_t bucket[BUCKETS];
	uint8_t *names;
	size_t bytes, room;
};

static struct name *at(const struct listing *l, size_t off)
{
	return (struct name *)(void *)(l->names + off);
}

static size_t size_of(size_t len)
{
	return (sizeof(struct name) + len + 7) & ~(size_t)7;
}

void listing_free(struct listing *l)
{
	if (!l)
		return;
	if (l->names)
		mem_pages_free(l->names, l->room);
	mem_free(l, sizeof(*l));
}

static int make_room(struct listing *l, size_t need)
{
	size_t room = l->room ? 2 * l->room : FIRST_BYTES;
	uint8_t *more;

	if (l->bytes + need <= l->room)
		return 0;
	more = room > UINT32_MAX / 2 ? NULL : mem_pages(room);
	if (!more)
		return -ENOMEM;
	if (l->names) {
		memcpy(more, l->names, l->bytes);
		mem_pages_free(l->names, l->room);
	}
	l->names = more;
	l->room = room;
	return 0;
}

/* Adds a name unless it is there already, hidden or not. */
static int add(struct listing *l, const char *text, size_t len, uint8_t type, uint64_t ino,
	       bool hidden)
{
	uint32_t hash = 5381;
	struct name *n;
	int err;

	for (size_t i = 0; i < len; i++)
		hash = 33 * hash + (uint8_t)text[i];
	hash %= BUCKETS;
	for (uint32_t off = l->bucket[hash]; off; off = n->next) {
		n = at(l, off - 1);
		if (n->len == len && !memcmp(n->text, text, len))
			return 0;
	}
	err = make_room(l, size_of(len));
	if (err)
		return err;
	n = at(l, l->bytes);
	*n = (struct name){l->bucket[hash], (uint16_t)len, type, hidden, ino};
	memcpy(n->text, text, len);
	l->bucket[hash] = (uint32_t)l->bytes + 1;
	l->bytes += size_of(len);
	return 0;
}

static bool is_dots(struct p9_str s)
{
	return s.p[0] == '.' && (s.len == 1 || (s.len == 2 && s.p[1] == '.'));
}

/*
 * One entry of a server. Marks of the top layer are all added before the layers
 * below are looked at; a name that the top layer has besides its mark stays.
 */
static int add_entry(struct listing *l, const struct p9_dirent *d, bool marks, bool is_union)
{
	struct p9_str s = d->name;
	bool mark = is_union && union_is_mark(s.p, s.len);

	if (!s.len || is_dots(s) || mark != marks)
		return 0;
	if (marks)
		return add(l, s.p + 4, s.len - 4u, 0, 0, true);
	return add(l, s.p, s.len, d->type, d->qid.path, false);
}

/* All entries of an opened folder. */
static int add_all(struct listing *l, const struct p9_ref *dir, bool marks, bool is_union)
{
	uint8_t *raw = mem_alloc(READ_BYTES);
	uint64_t off = 0;
	long n = raw ? 1 : -ENOMEM;
	int err = 0;

	while (!err && n > 0 && (n = p9_readdir(dir, off, raw, READ_BYTES)) > 0) {
		long used = 0, part = 1;

		while (!err && used < n && part > 0) {
			struct p9_dirent d;

			part = p9_dirent_get(raw + used, (size_t)(n - used), &d);
			if (part > 0) {
				used += part;
				off = d.offset;
				err = add_entry(l, &d, marks, is_union);
			}
		}
		if (part < 0)
			err = -EIO;
	}
	mem_free(raw, READ_BYTES);
	return err ? err : (int)MIN(n, 0);
}

/* One layer's part. 1: what is below is not seen; 0, or -errno. */
static int add_layer(struct listing *l, const struct tree_node *n, unsigned layer)
{
	bool is_union = n->mp->nlayers > 1;
	struct p9_ref dir;
	size_t done;
	int err = p9_walk(&n->mp->layer[layer], n->rel, &dir, &done);

	if (err)
		return err == -ENOENT ? 0 : err == -ENOTDIR ? 1 : err;
	if (!(dir.qid.type & P9_QTDIR)) {
		p9_clunk(&dir);
		return 1;
	}
	err = p9_open(&dir, O_RDONLY | O_DIRECTORY);
	if (!err)
		err = add_all(l, &dir, false, is_union);
	if (!err && layer == 0 && is_union)
		err = add_all(l, &dir, true, true);
	p9_clunk(&dir);
	return err;
}

static int add_mounts(struct listing *l, const char *path)
{
	const char *name;
	size_t len;
	int err = *path ? 0 : add(l, "dev", 3, DT_DIR, 0, false);

	for (unsigned i = 0; !err && (len = mount_name(path, i, &name)); i++)
		err = add(l, name, len, DT_DIR, 0, false);
	return err;
}

int listing_make(const struct tree_node *n, struct listing **out)
{
	struct listing *l = mem_alloc(sizeof(*l));
	int err = l ? add(l, ".", 1, DT_DIR, 0, false) : -ENOMEM;

	if (!err)
		err = add(l, "..", 2, DT_DIR, 0, false);
	for (unsigned i = 0; !err && n->mp && i < n->mp->nlayers; i++) {
		if (i == 1)
			err = union_opaque(n->mp, n->rel);
		if (!err)
			err = add_layer(l, n, i);
	}
	if (err >= 0)
		err = add_mounts(l, n->path);
	if (err) {
		listing_free(l);
		return err;
	}
	*out = l;
	return 0;
}

bool listing_empty(const struct listing *l)
{
	unsigned n = 0;

	for (size_t off = 0; off < l->bytes; off += size_of(at(l, off)->len))
		n += !at(l, off)->hidden;
	return n <= 2;
}

long listing_read(const struct listing *l, int64_t *place, void *buf, size_t len)
{
	int64_t index = 0;
	size_t done = 0;

	for (size_t off = 0; off < l->bytes; off += size_of(at(l, off)->len), index++) {
		const struct name *n = at(l, off);
		size_t put;

		if (index < *place || n->hidden)
			continue;
		put = listing_put((char *)buf + done, len - done, n->ino, index + 1, n->type,
				  n->text, n->len);
		if (!put)
			return done ? (long)done : -EINVAL;
		done += put;
		*place = index + 1;
	}
	return (long)done;
}
