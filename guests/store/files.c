/* A client's names as files; see files.h. */
#include "files.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MARK ".folder"
#define HASH EXO_SHA256_BYTES
#define DT_FOLDER 4
#define DT_FILE 8

struct node {
	unsigned refs;
	char path[EXO_STORE_NAME_MAX]; /* in the space, without slash at the ends; "": the root */
};

struct file {
	struct node *node;
	uint32_t flags;
	struct exo_store_ref ref; /* what it was at open */
	uint8_t *data;            /* when it is written: all of it */
	uint64_t bytes, room;
	bool dirty;
};

static uint64_t open_bytes; /* of all files being written */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- names -------------------------------------------------------------------------- */

/* "SPACE/PATH", or with `tail` "SPACE/PATH/TAIL". */
static int full_name(const struct files *fs, const char *path, const char *tail,
		     char full[EXO_STORE_NAME_MAX])
{
	const char *parts[3] = {fs->space, path, tail ? tail : ""};
	size_t at = 0;

	for (unsigned i = 0; i < 3; i++) {
		size_t n = strlen(parts[i]);

		if (!n)
			continue;
		if (at + 1 + n >= EXO_STORE_NAME_MAX)
			return -ENAMETOOLONG;
		if (at)
			full[at++] = '/';
		memcpy(full + at, parts[i], n);
		at += n;
	}
	full[at] = 0;
	return 0;
}

static int join(const struct node *dir, const char *name, char path[EXO_STORE_NAME_MAX])
{
	int n = snprintf(path, EXO_STORE_NAME_MAX, "%s%s%s", dir->path, *dir->path ? "/" : "",
			 name);

	if (!strcmp(name, MARK))
		return -EPERM;
	for (const char *p = name; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return -EINVAL;
	}
	return n < (int)EXO_STORE_NAME_MAX ? 0 : -ENAMETOOLONG;
}

static int lookup(const struct files *fs, const char *path, struct exo_store_ref *ref)
{
	char full[EXO_STORE_NAME_MAX];
	int err = *path ? full_name(fs, path, NULL, full) : -ENOENT;

	return err ? err : disklog_lookup(fs->log, full, 0, ref);
}

/*
 * The next entry of a folder. *cursor says how far we are, "" at first: names come in
 * byte order, so those below an entry stay together, but "a-b" is between "a" and
 * "a/c". A name that is also the beginning of others hides them.
 */
struct cursor {
	char at[EXO_STORE_NAME_MAX + 4];
};

static int next_entry(const struct files *fs, const char *path, struct cursor *cursor,
		      char entry[EXO_STORE_NAME_MAX])
{
	char base[EXO_STORE_NAME_MAX + 1], from[2 * EXO_STORE_NAME_MAX + 4];
	struct exo_store_ref ref, hides;
	size_t n;
	int err = full_name(fs, path, NULL, base);

	if (err)
		return err;
	n = strlen(base);
	if (n)
		base[n++] = '/';
	base[n] = 0;
	for (;;) {
		const char *slash;

		snprintf(from, sizeof(from), "%s%s", base, cursor->at);
		err = disklog_next(fs->log, from, &ref);
		if (err || strncmp(ref.name, base, n))
			return err ? err : -ENOENT;
		slash = strchr(ref.name + n, '/');
		snprintf(entry, EXO_STORE_NAME_MAX, "%.*s",
			 slash ? (int)(slash - ref.name - (ptrdiff_t)n)
			       : (int)EXO_STORE_NAME_MAX - 1,
			 ref.name + n);
		snprintf(cursor->at, sizeof(cursor->at), "%s%s", entry, slash ? "/\xff" : "");
		snprintf(from, sizeof(from), "%s%s", base, entry);
		if (!slash || disklog_lookup(fs->log, from, 0, &hides))
			return 0;
	}
}

static bool is_folder(const struct files *fs, const char *path)
{
	char name[EXO_STORE_NAME_MAX];

	return !*path || !next_entry(fs, path, &(struct cursor){""}, name);
}

static struct p9_qid qid_of(const char *path, bool folder, uint64_t version)
{
	struct p9_qid q = {.type = folder ? P9_QTDIR : P9_QTFILE,
			   .version = (uint32_t)version,
			   .path = 0xcbf29ce484222325u};

	for (const char *p = path; *p; p++)
		q.path = (q.path ^ (unsigned char)*p) * 0x100000001b3u;
	return q;
}

static int stat_path(const struct files *fs, const char *path, struct p9_qid *qid,
		     struct exo_store_ref *ref)
{
	int err = lookup(fs, path, ref);

	if (err == -ENOENT && is_folder(fs, path)) {
		*ref = (struct exo_store_ref){.bytes = 0};
		*qid = qid_of(path, true, 0);
		return 0;
	}
	if (!err)
		*qid = qid_of(path, false, ref->version);
	return err;
}

static struct node *make_node(const char *path)
{
	struct node *n = malloc(sizeof(*n));

	if (n) {
		n->refs = 1;
		snprintf(n->path, sizeof(n->path), "%s", path);
	}
	return n;
}

/* ---- nodes ----------------------------------------------------------------------------- */

static int files_attach(void *opaque, struct p9_str user, struct p9_str name, uint32_t uid,
			void **node, struct p9_qid *qid)
{
	*node = make_node("");
	*qid = qid_of("", true, 0);
	return *node ? 0 : -ENOMEM;
}

static int files_walk(void *opaque, void *dir, const char *name, void **node, struct p9_qid *qid)
{
	char path[EXO_STORE_NAME_MAX];
	struct exo_store_ref ref;
	int err = join(dir, name, path);

	if (!err)
		err = stat_path(opaque, path, qid, &ref);
	if (err)
		return err == -EPERM ? -ENOENT : err;
	*node = make_node(path);
	return *node ? 0 : -ENOMEM;
}

static void files_ref(void *opaque, void *node)
{
	((struct node *)node)->refs++;
}

static void files_unref(void *opaque, void *node)
{
	struct node *n = node;

	if (!--n->refs)
		free(n);
}

static int files_getattr(void *opaque, void *node, void *file, struct p9_attr *attr)
{
	const struct node *n = node;
	const struct file *f = file;
	struct exo_store_ref ref;
	struct p9_qid qid;
	int err = stat_path(opaque, n->path, &qid, &ref);

	if (err && !f)
		return err;
	if (err) { /* gone, but still open */
		ref = f->ref;
		qid = qid_of(n->path, false, ref.version);
	}
	if (f && f->data)
		ref.bytes = f->bytes;
	*attr = (struct p9_attr){
		.valid = P9_GETATTR_BASIC,
		.qid = qid,
		.mode = qid.type == P9_QTDIR ? S_IFDIR | 0700 : S_IFREG | 0600,
		.nlink = qid.type == P9_QTDIR ? 2 : 1,
		.size = ref.bytes,
		.blksize = EXO_STORE_DATA_MAX,
		.blocks = (ref.bytes + 511) / 512,
		.mtime = {ref.time_ns / 1000000000u, ref.time_ns % 1000000000u},
	};
	attr->atime = attr->ctime = attr->mtime;
	return 0;
}

static int files_statfs(void *opaque, void *node, struct p9_statfs *st)
{
	const struct files *fs = opaque;
	uint64_t used, capacity;

	disklog_stat(fs->log, &used, &capacity);
	*st = (struct p9_statfs){.type = 0x01021997, /* as v9fs itself */
				 .bsize = 512,
				 .blocks = capacity / 512,
				 .bfree = (capacity - used) / 512,
				 .bavail = (capacity - used) / 512,
				 .namelen = EXO_STORE_NAME_MAX - 1};
	return 0;
}

/* ---- content ------------------------------------------------------------------------------ */

static int grow(struct file *f, uint64_t bytes)
{
	uint64_t room = f->room ? f->room : 4096;
	uint8_t *data;

	if (bytes > FILES_BYTES_MAX)
		return -EFBIG;
	while (room < bytes)
		room *= 2;
	if (room == f->room)
		return 0;
	if (open_bytes - f->room + room > FILES_OPEN_MAX || !(data = realloc(f->data, room)))
		return -ENOSPC;
	open_bytes += room - f->room;
	f->data = data;
	f->room = room;
	return 0;
}

/* To be written: all of it comes into memory. */
static int load(const struct files *fs, struct file *f)
{
	uint64_t total;
	int64_t n;
	int err = f->data ? 0 : grow(f, f->ref.bytes ? f->ref.bytes : 1);

	if (err || f->dirty || f->bytes)
		return err;
	n = disklog_get(fs->log, f->ref.hash, 0, f->data, f->ref.bytes, &total);
	if (n < 0)
		return (int)n;
	f->bytes = (uint64_t)n;
	return 0;
}

/* As exo_store_put does it: pieces, then lists of them. */
static int put_data(struct disklog *log, const uint8_t *data, uint64_t bytes, uint8_t hash[HASH])
{
	static uint8_t hashes[(FILES_BYTES_MAX / EXO_STORE_DATA_MAX + 1) * HASH];
	uint64_t now = now_ns();
	uint32_t n = 0;
	int err = 0;

	do {
		uint32_t part = bytes < EXO_STORE_DATA_MAX ? (uint32_t)bytes : EXO_STORE_DATA_MAX;

		err = disklog_put(log, data, part, false, now, hashes + HASH * n++);
		data += part;
		bytes -= part;
	} while (!err && bytes);
	if (!err && n > 1) /* one list holds more than FILES_BYTES_MAX */
		return disklog_put(log, hashes, n * HASH, true, now, hash);
	memcpy(hash, hashes, HASH);
	return err;
}

static int save(const struct files *fs, struct file *f)
{
	char full[EXO_STORE_NAME_MAX];
	uint8_t hash[HASH];
	int err = f->dirty ? full_name(fs, f->node->path, NULL, full) : 0;

	if (err || !f->dirty)
		return err;
	err = put_data(fs->log, f->data, f->bytes, hash);
	if (!err)
		err = disklog_set(fs->log, full, hash, EXO_STORE_ANY, now_ns(), &f->ref.version);
	if (err)
		return err;
	memcpy(f->ref.hash, hash, HASH);
	f->ref.bytes = f->bytes;
	f->dirty = false;
	return 0;
}

static int resize(const struct files *fs, struct file *f, uint64_t bytes)
{
	int err = load(fs, f);

	if (!err)
		err = grow(f, bytes);
	if (err)
		return err;
	if (bytes > f->bytes)
		memset(f->data + f->bytes, 0, bytes - f->bytes);
	f->bytes = bytes;
	f->dirty = true;
	return 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int open_node(struct node *n, uint32_t flags, const struct exo_store_ref *ref,
		     struct file **out)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->node = n;
	f->flags = flags;
	f->ref = *ref;
	n->refs++;
	*out = f;
	return 0;
}

static void free_file(struct file *f)
{
	open_bytes -= f->room;
	free(f->data);
	files_unref(NULL, f->node);
	free(f);
}

static int files_open(void *opaque, void *node, uint32_t flags, void **file, struct p9_qid *qid)
{
	struct exo_store_ref ref;
	struct file *f;
	int err = stat_path(opaque, ((struct node *)node)->path, qid, &ref);

	if (!err)
		err = open_node(node, flags, &ref, &f);
	if (err)
		return err;
	if (flags & P9_O_TRUNC && ref.bytes) {
		f->ref.bytes = 0; /* nothing of it is read */
		if ((err = grow(f, 1))) {
			free_file(f);
			return err;
		}
		f->dirty = true;
	}
	*file = f;
	return 0;
}

static int set_empty(const struct files *fs, const char *path, const char *tail, bool exclusive)
{
	char full[EXO_STORE_NAME_MAX];
	uint8_t hash[HASH];
	uint64_t version, now = now_ns();
	int err = full_name(fs, path, tail, full);

	if (!err)
		err = disklog_put(fs->log, "", 0, false, now, hash);
	if (!err)
		err = disklog_set(fs->log, full, hash, exclusive ? 0 : EXO_STORE_ANY, now,
				  &version);
	return err;
}

static int files_create(void *opaque, void *dir, const char *name, uint32_t flags, uint32_t mode,
			void **node, void **file, struct p9_qid *qid)
{
	char path[EXO_STORE_NAME_MAX];
	struct exo_store_ref ref;
	int err = join(dir, name, path);

	if (err)
		return err;
	if (!stat_path(opaque, path, qid, &ref)) {
		if (flags & P9_O_EXCL || qid->type == P9_QTDIR)
			return flags & P9_O_EXCL ? -EEXIST : -EISDIR;
	} else if ((err = set_empty(opaque, path, NULL, true))) {
		return err;
	}
	*node = make_node(path);
	if (!*node)
		return -ENOMEM;
	err = files_open(opaque, *node, flags & ~P9_O_EXCL, file, qid);
	if (err)
		files_unref(opaque, *node);
	return err;
}

/* What could not be saved is lost; who wants to know syncs first. */
static void files_close(void *opaque, void *file)
{
	(void)save(opaque, file);
	free_file(file);
}

static long files_read(void *opaque, void *file, uint64_t off, void *buf, uint32_t n)
{
	const struct files *fs = opaque;
	struct file *f = file;
	uint64_t total;

	if (!f->data)
		return disklog_get(fs->log, f->ref.hash, off, buf, n, &total);
	if (off >= f->bytes)
		return 0;
	n = n < f->bytes - off ? n : (uint32_t)(f->bytes - off);
	memcpy(buf, f->data + off, n);
	return n;
}

static long files_write(void *opaque, void *file, uint64_t off, const void *buf, uint32_t n)
{
	struct file *f = file;
	int err = load(opaque, f);

	if (f->flags & P9_O_APPEND)
		off = f->bytes;
	if (!err && (off > FILES_BYTES_MAX || n > FILES_BYTES_MAX - off))
		err = -EFBIG;
	if (!err && off + n > f->bytes)
		err = resize(opaque, f, off + n);
	if (err)
		return err;
	memcpy(f->data + off, buf, n);
	f->dirty = true;
	if (f->flags & (P9_O_SYNC | P9_O_DSYNC))
		err = save(opaque, f);
	return err ? err : (long)n;
}

static int files_fsync(void *opaque, void *file, bool data_only)
{
	return save(opaque, file);
}

static int files_setattr(void *opaque, void *node, void *file, const struct p9_setattr *attr)
{
	struct exo_store_ref ref;
	struct file *f = file;
	struct p9_qid qid;
	int err;

	if (!(attr->valid & P9_SETATTR_SIZE))
		return 0; /* times and modes are not kept */
	if (f)
		return resize(opaque, f, attr->size);
	err = stat_path(opaque, ((struct node *)node)->path, &qid, &ref);
	if (err || qid.type == P9_QTDIR)
		return err ? err : -EISDIR;
	err = open_node(node, P9_O_RDWR, &ref, &f);
	if (err)
		return err;
	err = resize(opaque, f, attr->size);
	if (!err)
		err = save(opaque, f);
	free_file(f);
	return err;
}

/* ---- folders ------------------------------------------------------------- */

static long files_readdir(void *opaque, void *file, uint64_t off, void *buf, uint32_t n)
{
	const struct file *f = file;
	char name[EXO_STORE_NAME_MAX], path[EXO_STORE_NAME_MAX];
	struct cursor cursor = {""};
	struct exo_store_ref ref;
	uint64_t at = 0;
	size_t used = 0;

	while (!next_entry(opaque, f->node->path, &cursor, name)) {
		struct p9_dirent d = {.name = p9_str(name)};
		size_t one;

		if (!strcmp(name, MARK) || at++ < off)
			continue;
		if (join(f->node, name, path) || stat_path(opaque, path, &d.qid, &ref))
			continue;
		d.offset = at;
		d.type = d.qid.type == P9_QTDIR ? DT_FOLDER : DT_FILE;
		one = p9_dirent_put((uint8_t *)buf + used, n - used, &d);
		if (!one)
			break;
		used += one;
	}
	return (long)used;
}

static int files_mkdir(void *opaque, void *dir, const char *name, uint32_t mode, struct p9_qid *qid)
{
	char path[EXO_STORE_NAME_MAX];
	struct exo_store_ref ref;
	int err = join(dir, name, path);

	if (!err && !stat_path(opaque, path, qid, &ref))
		err = -EEXIST;
	if (!err)
		err = set_empty(opaque, path, MARK, true);
	*qid = qid_of(path, true, 0);
	return err;
}

static int unset(const struct files *fs, const char *path, const char *tail)
{
	char full[EXO_STORE_NAME_MAX];
	int err = full_name(fs, path, tail, full);

	return err ? err : disklog_unset(fs->log, full, EXO_STORE_ANY, now_ns());
}

/* Is there anything in the folder but its mark? */
static bool is_empty(const struct files *fs, const char *path)
{
	char name[EXO_STORE_NAME_MAX];
	struct cursor cursor = {""};

	while (!next_entry(fs, path, &cursor, name)) {
		if (strcmp(name, MARK))
			return false;
	}
	return true;
}

/* A folder goes on without what was in it. */
static void keep_folder(const struct files *fs, const struct node *dir)
{
	if (*dir->path && !is_folder(fs, dir->path))
		(void)set_empty(fs, dir->path, MARK, true);
}

static int files_unlink(void *opaque, void *dir, const char *name, bool is_dir, void *node)
{
	char path[EXO_STORE_NAME_MAX];
	struct exo_store_ref ref;
	struct p9_qid qid;
	int err = join(dir, name, path);

	if (!err)
		err = stat_path(opaque, path, &qid, &ref);
	if (err)
		return err;
	if (node && strcmp(((struct node *)node)->path, path))
		return -ESTALE;
	if (is_dir != (qid.type == P9_QTDIR))
		return is_dir ? -ENOTDIR : -EISDIR;
	if (is_dir && !is_empty(opaque, path))
		return -ENOTEMPTY;
	err = unset(opaque, path, is_dir ? MARK : NULL);
	keep_folder(opaque, dir);
	return err;
}

static int move_name(const struct files *fs, const char *from, const char *to)
{
	struct exo_store_ref ref;
	uint64_t version;
	int err = disklog_lookup(fs->log, from, 0, &ref);

	if (!err)
		err = disklog_set(fs->log, to, ref.hash, EXO_STORE_ANY, now_ns(), &version);
	if (!err)
		err = disklog_unset(fs->log, from, EXO_STORE_ANY, now_ns());
	return err;
}

/* All names below one folder to another: a crash in the middle may leave some in both. */
static int move_folder(const struct files *fs, const char *from, const char *to)
{
	char base[EXO_STORE_NAME_MAX], target[EXO_STORE_NAME_MAX], moved[EXO_STORE_NAME_MAX];
	struct exo_store_ref ref;
	size_t n;
	int err = full_name(fs, from, NULL, base);

	if (!err)
		err = full_name(fs, to, NULL, target);
	if (err)
		return err;
	n = strlen(base);
	if (!strncmp(target, base, n) && target[n] == '/')
		return -EINVAL; /* into itself */
	base[n++] = '/';
	base[n] = 0;
	while (!(err = disklog_next(fs->log, base, &ref)) && !strncmp(ref.name, base, n)) {
		if (snprintf(moved, sizeof(moved), "%s/%s", target, ref.name + n) >=
		    (int)sizeof(moved))
			return -ENAMETOOLONG;
		if ((err = move_name(fs, ref.name, moved)))
			return err;
	}
	return err == -ENOENT ? 0 : err;
}

static int files_rename(void *opaque, void *dir, const char *name, void *to_dir,
			const char *to_name, void *node)
{
	char path[EXO_STORE_NAME_MAX], to[EXO_STORE_NAME_MAX], full[2][EXO_STORE_NAME_MAX];
	struct exo_store_ref ref;
	struct p9_qid qid, there;
	bool folder;
	int err = join(dir, name, path);

	if (!err)
		err = join(to_dir, to_name, to);
	if (!err)
		err = stat_path(opaque, path, &qid, &ref);
	if (err || !strcmp(path, to))
		return err;
	if (node && strcmp(((struct node *)node)->path, path))
		return -ESTALE;
	folder = qid.type == P9_QTDIR;
	if (!stat_path(opaque, to, &there, &ref)) {
		if (folder != (there.type == P9_QTDIR))
			return folder ? -ENOTDIR : -EISDIR;
		if (folder && !is_empty(opaque, to))
			return -ENOTEMPTY;
	}
	if (folder)
		err = move_folder(opaque, path, to);
	else if (!(err = full_name(opaque, path, NULL, full[0])) &&
		 !(err = full_name(opaque, to, NULL, full[1])))
		err = move_name(opaque, full[0], full[1]);
	keep_folder(opaque, dir);
	if (!err && node)
		snprintf(((struct node *)node)->path, EXO_STORE_NAME_MAX, "%s", to);
	return err;
}

const struct p9_backend files_backend = {
	.attach = files_attach,
	.walk = files_walk,
	.ref = files_ref,
	.unref = files_unref,
	.open = files_open,
	.create = files_create,
	.close = files_close,
	.read = files_read,
	.write = files_write,
	.readdir = files_readdir,
	.fsync = files_fsync,
	.getattr = files_getattr,
	.setattr = files_setattr,
	.statfs = files_statfs,
	.mkdir = files_mkdir,
	.unlink = files_unlink,
	.rename = files_rename,
};
