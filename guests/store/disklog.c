/* The store's objects and names on a disk; see disklog.h. */
#include "disklog_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char list_prefix[] = "exoshell store list"; /* so that no blob has a list's hash */

/* ---- open ---------------------------------------------------------------------------- */

static bool super_is_sound(const struct disklog *l, const struct disklog_super *s)
{
	return s->magic == SUPER_MAGIC && s->active <= 1 && s->area_bytes % SECTOR == 0 &&
	       s->area_bytes >= DISKLOG_BYTES_MIN / 4 &&
	       s->area_bytes <= (l->disk.bytes - AREA_START) / 2 &&
	       s->crc == disklog_crc(0, s, offsetof(struct disklog_super, crc));
}

static bool is_zero(const uint8_t *p, size_t n)
{
	while (n--) {
		if (*p++)
			return false;
	}
	return true;
}

static int format(struct disklog *l)
{
	l->super = (struct disklog_super){
		.magic = SUPER_MAGIC,
		.generation = 1,
		.epoch = 1,
		.area_bytes = (l->disk.bytes - AREA_START) / 2 & ~(uint64_t)(SECTOR - 1),
	};
	return super_write(l);
}

static int find_super(struct disklog *l, char why[128])
{
	struct disklog_super s;
	uint8_t *start = l->buffer;
	int err = l->disk.read(l->disk.opaque, 0, start, AREA_START);

	if (err) {
		snprintf(why, 128, "reading: %s", strerror(-err));
		return err;
	}
	for (unsigned i = 0; i < 2; i++) {
		memcpy(&s, start + i * 8 * SECTOR, sizeof(s));
		if (super_is_sound(l, &s) && s.generation > l->super.generation)
			l->super = s;
	}
	if (l->super.generation)
		return 0;
	if (!is_zero(start, AREA_START)) {
		snprintf(why, 128, "it holds something else; clear its first 64 KiB to use it");
		return -EINVAL;
	}
	err = format(l);
	if (err)
		snprintf(why, 128, "writing: %s", strerror(-err));
	return err;
}

int disklog_open(struct disklog **out, const struct disklog_disk *disk, char why[128])
{
	struct disklog *l = calloc(1, sizeof(*l));
	int err = 0;

	*out = NULL;
	snprintf(why, 128, "no memory");
	if (!l)
		return -ENOMEM;
	l->disk = *disk;
	l->buffer = malloc(BUFFER_BYTES);
	if (!l->buffer) {
		err = -ENOMEM;
	} else if (disk->bytes < DISKLOG_BYTES_MIN) {
		snprintf(why, 128, "smaller than 1 MiB");
		err = -EINVAL;
	} else {
		err = find_super(l, why);
	}
	if (!err && (err = area_scan(l)))
		snprintf(why, 128, "reading the log: %s", strerror(-err));
	if (err)
		disklog_close(l);
	else
		*out = l;
	return err;
}

void disklog_close(struct disklog *l)
{
	if (!l)
		return;
	index_free(l);
	free(l->buffer);
	free(l);
}

/* ---- writing -------------------------------------------------------------------------- */

/* area_append; a full half is copied first, once. */
static int append(struct disklog *l, struct disklog_record *r, const char *name, const void *data,
		  uint32_t bytes, uint64_t now_ns, uint64_t *data_at)
{
	int err = l->broken ? -EIO : area_append(l, r, name, data, bytes, data_at);

	if (err != -ENOSPC)
		return err;
	err = area_copy(l, now_ns);
	return err ? err : area_append(l, r, name, data, bytes, data_at);
}

static void make_hash(const void *data, uint32_t bytes, bool list, uint8_t hash[32])
{
	struct exo_sha256 s;

	exo_sha256_init(&s);
	if (list)
		exo_sha256_add(&s, list_prefix, sizeof(list_prefix));
	exo_sha256_add(&s, data, bytes);
	exo_sha256_end(&s, hash);
}

/* Bytes of an object, lists followed, or -errno. */
static int64_t total_of(struct disklog *l, const struct object *o, int depth)
{
	uint64_t total = 0;
	uint8_t child[32];

	if (!o->list)
		return o->bytes;
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	for (uint32_t i = 0; i < o->bytes; i += 32) {
		int err = area_read(l, o->offset + i, child, 32);
		const struct object *c = err ? NULL : index_find(l, child);
		int64_t part = c ? total_of(l, c, depth + 1) : err ? err : -EIO;

		if (part < 0)
			return part;
		total += (uint64_t)part;
	}
	return (int64_t)total;
}

static int check_list(struct disklog *l, const uint8_t *hashes, uint32_t bytes, uint64_t now_ns)
{
	struct object *o;
	int64_t total;

	if (!bytes || bytes % 32)
		return -EINVAL;
	for (uint32_t i = 0; i < bytes; i += 32) {
		o = index_find(l, hashes + i);
		if (!o)
			return -ENOENT;
		o->put_ns = now_ns;
		total = total_of(l, o, 1);
		if (total < 0)
			return (int)total;
	}
	return 0;
}

int disklog_put(struct disklog *l, const void *data, uint32_t bytes, bool list, uint64_t now_ns,
		uint8_t hash[32])
{
	struct disklog_record r = {.kind = list ? KIND_LIST : KIND_BLOB, .time_ns = now_ns};
	struct object *o;
	uint64_t at;
	int err = list ? check_list(l, data, bytes, now_ns) : 0;

	if (err || bytes > EXO_STORE_DATA_MAX)
		return err ? err : -EMSGSIZE;
	make_hash(data, bytes, list, hash);
	o = index_find(l, hash);
	if (o) {
		o->put_ns = now_ns;
		return l->broken ? -EIO : 0;
	}
	if (l->nobjects >= DISKLOG_OBJECTS_MAX)
		return -ENOSPC;
	memcpy(r.hash, hash, 32);
	err = append(l, &r, "", data, bytes, now_ns, &at);
	if (err)
		return err;
	o = index_add(l, hash);
	if (!o) {
		l->broken = true; /* the log says more than we know */
		return -ENOMEM;
	}
	o->offset = at;
	o->bytes = bytes;
	o->list = list;
	o->put_ns = now_ns;
	o->data_crc = disklog_crc(0, data, bytes);
	return 0;
}

static struct version *newest(const struct disklog *l, const char *name)
{
	unsigned at;
	struct name *n = index_name(l, name, &at);

	return n ? &n->version[n->nversions - 1] : NULL;
}

/* Is `expect` the newest version? */
static int check_version(const struct disklog *l, const char *name, uint64_t expect)
{
	const struct version *v = newest(l, name);

	return expect == EXO_STORE_ANY || expect == (v ? v->version : 0) ? 0 : -EEXIST;
}

int disklog_set(struct disklog *l, const char *name, const uint8_t hash[32], uint64_t expect,
		uint64_t now_ns, uint64_t *version)
{
	const struct version *old = newest(l, name);
	struct version v = {.version = old ? old->version + 1 : 1, .time_ns = now_ns};
	struct disklog_record r = {.kind = KIND_SET, .version = v.version, .time_ns = now_ns};
	struct object *o = index_find(l, hash);
	int err = check_version(l, name, expect);

	if (err || !o)
		return err ? err : -ENOENT;
	if (l->nversions >= DISKLOG_VERSIONS_MAX)
		return -ENOSPC;
	o->put_ns = now_ns; /* not to be lost if this makes room */
	memcpy(v.hash, hash, 32);
	memcpy(r.hash, hash, 32);
	err = append(l, &r, name, "", 0, now_ns, NULL);
	if (!err && (err = index_set(l, name, &v)))
		l->broken = true;
	*version = v.version;
	return err;
}

int disklog_unset(struct disklog *l, const char *name, uint64_t expect, uint64_t now_ns)
{
	struct disklog_record r = {.kind = KIND_UNSET};
	int err = newest(l, name) ? check_version(l, name, expect) : -ENOENT;

	if (!err)
		err = append(l, &r, name, "", 0, now_ns, NULL);
	if (!err)
		index_unset(l, name);
	return err;
}

int disklog_prune(struct disklog *l, const char *name, uint64_t version, uint64_t now_ns)
{
	struct disklog_record r = {.kind = KIND_PRUNE, .version = version};
	int err = newest(l, name) ? append(l, &r, name, "", 0, now_ns, NULL) : -ENOENT;

	if (!err)
		index_prune(l, name, version);
	return err;
}

int disklog_commit(struct disklog *l)
{
	int err = l->broken ? -EIO : area_flush(l);

	if (!err && l->dirty)
		err = l->disk.sync(l->disk.opaque);
	if (err)
		l->broken = true;
	else
		l->dirty = false;
	return err;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Bytes from `offset` of this object on; those of a blob are checked as a whole. */
static int64_t read_object(struct disklog *l, const struct object *o, uint64_t offset, uint8_t *to,
			   size_t bytes, int depth)
{
	static uint8_t data[EXO_STORE_DATA_MAX];
	uint64_t at = 0, done = 0;
	uint8_t child[32];
	int err;

	if (!o->list) {
		if (offset >= o->bytes)
			return 0;
		err = area_read(l, o->offset, data, o->bytes);
		if (!err && disklog_crc(0, data, o->bytes) != o->data_crc)
			err = -EIO;
		bytes = bytes < o->bytes - offset ? bytes : o->bytes - offset;
		if (!err)
			memcpy(to, data + offset, bytes);
		return err ? err : (int64_t)bytes;
	}
	for (uint32_t i = 0; i < o->bytes && done < bytes; i += 32) {
		const struct object *c;
		int64_t part;

		if ((err = area_read(l, o->offset + i, child, 32)))
			return err;
		c = index_find(l, child);
		part = c && depth < DEPTH_MAX ? total_of(l, c, depth + 1) : -EIO;
		if (part < 0)
			return part;
		if (offset + done < at + (uint64_t)part) {
			int64_t n = read_object(l, c, offset + done - at, to + done, bytes - done,
						depth + 1);
			if (n < 0)
				return n;
			done += (uint64_t)n;
		}
		at += (uint64_t)part;
	}
	return (int64_t)done;
}

int64_t disklog_get(struct disklog *l, const uint8_t hash[32], uint64_t offset, void *to,
		    size_t bytes, uint64_t *total)
{
	const struct object *o = index_find(l, hash);
	int64_t all = o ? total_of(l, o, 0) : -ENOENT;

	*total = all < 0 ? 0 : (uint64_t)all;
	if (all < 0 || offset >= *total)
		return all < 0 ? all : 0;
	return read_object(l, o, offset, to, bytes, 0);
}

static int fill_ref(struct disklog *l, const struct name *n, const struct version *v,
		    struct exo_store_ref *ref)
{
	const struct object *o = index_find(l, v->hash);
	int64_t bytes = o ? total_of(l, o, 0) : -EIO;

	*ref = (struct exo_store_ref){.version = v->version, .time_ns = v->time_ns};
	memcpy(ref->hash, v->hash, 32);
	snprintf(ref->name, sizeof(ref->name), "%s", n->name);
	ref->bytes = bytes < 0 ? 0 : (uint64_t)bytes;
	return bytes < 0 ? (int)bytes : 0;
}

int disklog_lookup(struct disklog *l, const char *name, uint64_t version, struct exo_store_ref *ref)
{
	unsigned at;
	const struct name *n = index_name(l, name, &at);

	for (unsigned i = n ? n->nversions : 0; i--;) {
		if (!version || n->version[i].version == version)
			return fill_ref(l, n, &n->version[i], ref);
	}
	return -ENOENT;
}

int disklog_next(struct disklog *l, const char *after, struct exo_store_ref *ref)
{
	unsigned at;
	const struct name *n = index_name(l, after, &at);

	at += n != NULL;
	if (at >= l->nnames)
		return -ENOENT;
	n = &l->name[at];
	return fill_ref(l, n, &n->version[n->nversions - 1], ref);
}

void disklog_stat(const struct disklog *l, uint64_t *used, uint64_t *capacity)
{
	*used = l->end;
	*capacity = l->super.area_bytes;
}
