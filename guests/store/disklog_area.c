/*
 * The halves of the disk: appending, reading, finding the end after a crash, and
 * the copy that makes room. See disklog.h.
 */
#include "disklog_impl.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* CRC-32C (Castagnoli), four bits at a time: small, and the disk is slower. */
uint32_t disklog_crc(uint32_t crc, const void *data, size_t bytes)
{
	static uint32_t table[256];
	const uint8_t *p = data;

	if (!table[1]) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int bit = 0; bit < 8; bit++)
				c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
			table[i] = c;
		}
	}
	crc = ~crc;
	while (bytes--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return ~crc;
}

static uint64_t round_up(uint64_t n)
{
	return (n + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
}

static uint64_t record_bytes(const struct disklog_record *r)
{
	return round_up(sizeof(*r) + r->name_bytes + (uint64_t)r->bytes);
}

uint64_t area_base(const struct disklog *l, unsigned which)
{
	return AREA_START + which * l->super.area_bytes;
}

/* ---- writing ------------------------------------------------------------------------ */

int area_flush(struct disklog *l)
{
	size_t bytes = l->end - l->written;
	int err;

	if (!bytes)
		return 0;
	err = l->disk.write(l->disk.opaque, area_base(l, l->super.active) + l->written, l->buffer,
			    bytes);
	if (err) {
		l->broken = true;
		return err;
	}
	l->written = l->end;
	l->dirty = true;
	return 0;
}

int area_append(struct disklog *l, struct disklog_record *r, const char *name, const void *data,
		uint32_t bytes, uint64_t *data_at)
{
	uint64_t total;
	uint8_t *at;
	int err;

	r->magic = RECORD_MAGIC;
	r->name_bytes = (uint16_t)strlen(name);
	r->bytes = bytes;
	r->epoch = l->super.epoch;
	r->number = l->number;
	r->body_crc = disklog_crc(disklog_crc(0, name, r->name_bytes), data, bytes);
	r->reserved = 0;
	r->crc = disklog_crc(0, r, offsetof(struct disklog_record, crc));
	total = record_bytes(r);
	if (total > l->super.area_bytes - l->end)
		return -ENOSPC;
	if (total > BUFFER_BYTES - (l->end - l->written) && (err = area_flush(l)))
		return err;
	at = l->buffer + (l->end - l->written);
	memset(at, 0, total);
	memcpy(at, r, sizeof(*r));
	memcpy(at + sizeof(*r), name, r->name_bytes);
	memcpy(at + sizeof(*r) + r->name_bytes, data, bytes);
	if (data_at)
		*data_at = l->end + sizeof(*r) + r->name_bytes;
	l->end += total;
	l->number++;
	return 0;
}

/* ---- reading -------------------------------------------------------------------------- */

int area_read(struct disklog *l, uint64_t off, void *to, size_t bytes)
{
	uint8_t *p = to;
	uint8_t sectors[16 * SECTOR];
	int err;

	while (bytes && off < l->written) {
		uint64_t from = off & ~(uint64_t)(SECTOR - 1);
		size_t skip = off - from, part = sizeof(sectors) - skip;
		uint64_t left = l->written - from; /* whole sectors */

		err = l->disk.read(l->disk.opaque, area_base(l, l->super.active) + from, sectors,
				   left < sizeof(sectors) ? left : sizeof(sectors));
		if (err)
			return err;
		part = part < bytes ? part : bytes;
		part = part < l->written - off ? part : l->written - off;
		memcpy(p, sectors + skip, part);
		p += part;
		off += part;
		bytes -= part;
	}
	if (bytes && (off > l->end || bytes > l->end - off))
		return -EIO;
	if (bytes)
		memcpy(p, l->buffer + (off - l->written), bytes);
	return 0;
}

/* ---- after a start ------------------------------------------------------------------------ */

static bool is_sound(const struct disklog *l, const struct disklog_record *r, uint64_t off)
{
	return r->magic == RECORD_MAGIC && r->epoch == l->super.epoch && r->number == l->number &&
	       r->crc == disklog_crc(0, r, offsetof(struct disklog_record, crc)) &&
	       r->kind >= KIND_BLOB && r->kind <= KIND_PRUNE &&
	       r->name_bytes < EXO_STORE_NAME_MAX && r->bytes <= EXO_STORE_DATA_MAX &&
	       record_bytes(r) <= l->super.area_bytes - off;
}

static int take_record(struct disklog *l, const struct disklog_record *r, const char *name,
		       uint64_t data_at, const uint8_t *data)
{
	struct version v = {.version = r->version, .time_ns = r->time_ns};
	struct object *o;

	memcpy(v.hash, r->hash, 32);
	switch (r->kind) {
	case KIND_BLOB:
	case KIND_LIST:
		o = index_add(l, r->hash);
		if (!o)
			return -ENOMEM;
		o->offset = data_at;
		o->bytes = r->bytes;
		o->list = r->kind == KIND_LIST;
		o->put_ns = r->time_ns;
		o->data_crc = disklog_crc(0, data, r->bytes);
		return 0;
	case KIND_SET:
		return index_set(l, name, &v);
	case KIND_UNSET:
		index_unset(l, name);
		return 0;
	default:
		index_prune(l, name, r->version);
		return 0;
	}
}

/*
 * The records lie in `window`, of which `have` bytes are there. Takes the whole
 * ones: how many bytes; *end when the log ends here.
 */
static int64_t take_records(struct disklog *l, const uint8_t *window, size_t have, bool *end)
{
	size_t at = 0;

	for (;;) {
		struct disklog_record r;
		char name[EXO_STORE_NAME_MAX] = "";
		const uint8_t *body = window + at + sizeof(r);
		int err;

		if (have - at < sizeof(r))
			return (int64_t)at;
		memcpy(&r, window + at, sizeof(r));
		*end = !is_sound(l, &r, l->end);
		if (*end || record_bytes(&r) > have - at)
			return (int64_t)at;
		*end = r.body_crc != disklog_crc(0, body, r.name_bytes + r.bytes);
		if (*end)
			return (int64_t)at;
		memcpy(name, body, r.name_bytes);
		err = take_record(l, &r, name, l->end + sizeof(r) + r.name_bytes,
				  body + r.name_bytes);
		if (err)
			return err;
		at += record_bytes(&r);
		l->end += record_bytes(&r);
		l->number++;
	}
}

int area_scan(struct disklog *l)
{
	uint64_t read_to = 0; /* in the half */
	size_t have = 0;
	bool end = false;
	int64_t taken;

	l->end = l->written = l->number = 0;
	while (!end) {
		uint64_t left = l->super.area_bytes - read_to;
		size_t part = BUFFER_BYTES - have < left ? BUFFER_BYTES - have : left;
		int err =
			part ? l->disk.read(l->disk.opaque, area_base(l, l->super.active) + read_to,
					    l->buffer + have, part)
			     : 0;

		if (err)
			return err;
		have += part;
		read_to += part;
		taken = take_records(l, l->buffer, have, &end);
		if (taken < 0)
			return (int)taken;
		memmove(l->buffer, l->buffer + taken, have - (size_t)taken);
		have -= (size_t)taken;
		if (!part)
			break;
	}
	l->written = l->end;
	return 0;
}

/* ---- making room --------------------------------------------------------- */

static int want(struct disklog *l, const uint8_t hash[32], int depth)
{
	struct object *o = index_find(l, hash);
	uint8_t child[32];
	int err;

	if (!o || o->wanted)
		return 0;
	o->wanted = true;
	for (uint32_t i = 0; o->list && depth < DEPTH_MAX && i < o->bytes; i += 32) {
		if ((err = area_read(l, o->offset + i, child, 32)) ||
		    (err = want(l, child, depth + 1)))
			return err;
	}
	return 0;
}

static int mark(struct disklog *l, uint64_t now_ns)
{
	int err = 0;

	for (uint32_t i = 0; i < l->table_size; i++)
		l->object[i].wanted = false;
	for (uint32_t i = 0; !err && i < l->table_size; i++) {
		const struct object *o = &l->object[i];

		if (o->bytes != UINT32_MAX && now_ns - o->put_ns < KEEP_NS)
			err = want(l, o->hash, 0);
	}
	for (unsigned i = 0; !err && i < l->nnames; i++) {
		for (unsigned j = 0; !err && j < l->name[i].nversions; j++)
			err = want(l, l->name[i].version[j].hash, 0);
	}
	return err;
}

/* `from` reads the old half, `to` appends to the new one. */
static int copy_objects(struct disklog *from, struct disklog *to, uint64_t *moved)
{
	uint8_t *data = malloc(EXO_STORE_DATA_MAX);
	int err = data ? 0 : -ENOMEM;

	for (uint32_t i = 0; !err && i < from->table_size; i++) {
		struct object *o = &from->object[i];
		struct disklog_record r = {.kind = o->list ? KIND_LIST : KIND_BLOB,
					   .time_ns = o->put_ns};

		if (o->bytes == UINT32_MAX || !o->wanted)
			continue;
		memcpy(r.hash, o->hash, 32);
		err = area_read(from, o->offset, data, o->bytes);
		if (!err && disklog_crc(0, data, o->bytes) != o->data_crc)
			err = -EIO;
		if (!err)
			err = area_append(to, &r, "", data, o->bytes, &moved[i]);
	}
	free(data);
	return err;
}

static int copy_names(const struct disklog *from, struct disklog *to)
{
	int err = 0;

	for (unsigned i = 0; !err && i < from->nnames; i++) {
		for (unsigned j = 0; !err && j < from->name[i].nversions; j++) {
			const struct version *v = &from->name[i].version[j];
			struct disklog_record r = {
				.kind = KIND_SET, .version = v->version, .time_ns = v->time_ns};

			memcpy(r.hash, v->hash, 32);
			err = area_append(to, &r, from->name[i].name, "", 0, NULL);
		}
	}
	return err;
}

int super_write(struct disklog *l)
{
	uint8_t sector[SECTOR] = {0};
	int err;

	l->super.crc = disklog_crc(0, &l->super, offsetof(struct disklog_super, crc));
	memcpy(sector, &l->super, sizeof(l->super));
	err = l->disk.write(l->disk.opaque, l->super.generation % 2 * 8 * SECTOR, sector, SECTOR);
	return err ? err : l->disk.sync(l->disk.opaque);
}

/* Objects lie elsewhere now; those that were not copied are gone. */
static int move_index(struct disklog *l, const uint64_t *moved)
{
	for (uint32_t i = 0; i < l->table_size; i++)
		l->object[i].offset = moved[i];
	return index_keep_wanted(l);
}

int area_copy(struct disklog *l, uint64_t now_ns)
{
	struct disklog to = *l; /* the same disk, the other half, a buffer of its own */
	uint64_t *moved = calloc(l->table_size + 1, sizeof(*moved));
	int err;

	to.buffer = malloc(BUFFER_BYTES);
	to.super.active = !l->super.active;
	to.super.epoch = l->super.epoch + 1;
	to.super.generation++;
	to.end = to.written = to.number = 0;
	err = moved && to.buffer ? mark(l, now_ns) : -ENOMEM;
	if (!err)
		err = copy_objects(l, &to, moved);
	if (!err)
		err = copy_names(l, &to);
	if (!err)
		err = area_flush(&to);
	if (!err)
		err = l->disk.sync(l->disk.opaque);
	if (!err) {
		err = super_write(&to);
		l->broken |= err != 0; /* which one counts is not known now */
	}
	if (!err) {
		free(l->buffer);
		l->buffer = to.buffer;
		to.buffer = NULL;
		l->super = to.super;
		l->end = l->written = to.end;
		l->number = to.number;
		l->dirty = false;
		err = move_index(l, moved);
		l->broken |= err != 0;
	}
	free(to.buffer);
	free(moved);
	return err;
}
