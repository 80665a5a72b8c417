/* Private to disklog*.c: the format on the disk and the index in memory. */
#ifndef STORE_DISKLOG_IMPL_H
#define STORE_DISKLOG_IMPL_H

#include "disklog.h"

#define SECTOR 512u
#define AREA_START 65536u
#define BUFFER_BYTES (512u << 10)
#define DEPTH_MAX 4 /* of lists in lists */
#define KEEP_NS (600 * 1000000000ull)

#define SUPER_MAGIC 0x3145524f54535845ull /* "EXSTORE1" */
#define RECORD_MAGIC 0x52535845u          /* "EXSR" */

enum { KIND_BLOB = 1, KIND_LIST, KIND_SET, KIND_UNSET, KIND_PRUNE };

struct disklog_super {
	uint64_t magic;
	uint64_t generation; /* the higher one counts */
	uint64_t epoch;      /* of the active half */
	uint32_t active;     /* 0 or 1 */
	uint32_t reserved;
	uint64_t area_bytes; /* of each half */
	uint32_t reserved2;
	uint32_t crc; /* of what is before it */
};

struct disklog_record {
	uint32_t magic;
	uint16_t kind;
	uint16_t name_bytes; /* that follow, without terminator */
	uint32_t bytes;      /* of data, after the name */
	uint32_t body_crc;   /* of name and data */
	uint64_t epoch;
	uint64_t number; /* in the half, from 0 */
	uint64_t version;
	uint64_t time_ns; /* of the day */
	uint8_t hash[32];
	uint32_t reserved;
	uint32_t crc; /* of what is before it */
};

_Static_assert(sizeof(struct disklog_super) == 48, "disk format");
_Static_assert(sizeof(struct disklog_record) == 88, "disk format");

struct object {
	uint8_t hash[32];
	uint64_t offset; /* of its data, in the half */
	uint64_t put_ns; /* last put, as far as the log knows */
	uint32_t bytes;
	uint32_t data_crc;
	bool list, wanted; /* wanted: by the copy that is being made */
};

struct version {
	uint8_t hash[32];
	uint64_t version, time_ns;
};

struct name {
	char *name;
	struct version *version; /* ascending */
	unsigned nversions, room;
};

struct disklog {
	struct disklog_disk disk;
	struct disklog_super super;
	uint64_t end;     /* of the log, in the half: where the next record goes */
	uint64_t written; /* what of it is on the disk; the rest is in the buffer */
	uint64_t number;  /* of the next record */
	bool dirty;       /* written, but not synced */
	bool broken;      /* the disk failed: nothing goes any more */

	struct object *object; /* a hash table, open addressing */
	uint32_t nobjects, table_size;
	struct name *name; /* sorted */
	unsigned nnames, name_room, nversions;
	uint8_t *buffer; /* BUFFER_BYTES: log from `written` to `end` */
};

uint32_t disklog_crc(uint32_t crc, const void *data, size_t bytes);

/* disklog_index.c */
struct object *index_find(const struct disklog *l, const uint8_t hash[32]);
/* A new entry, zeroed but for the hash; NULL: no room. Moves the others. */
struct object *index_add(struct disklog *l, const uint8_t hash[32]);
/* Takes out those that are not wanted. 0 or -ENOMEM with nothing changed. */
int index_keep_wanted(struct disklog *l);
struct name *index_name(const struct disklog *l, const char *name, unsigned *at);
int index_set(struct disklog *l, const char *name, const struct version *v);
void index_unset(struct disklog *l, const char *name);
void index_prune(struct disklog *l, const char *name, uint64_t version);
void index_free(struct disklog *l);

/* disklog_area.c */
uint64_t area_base(const struct disklog *l, unsigned which);
/* Reads of the half, the part in the buffer included. */
int area_read(struct disklog *l, uint64_t off, void *to, size_t bytes);
/* Appends a record; r: kind, version, time, hash. *data_at: where its data is. 0, -ENOSPC, or the
 * disk's. */
int area_append(struct disklog *l, struct disklog_record *r, const char *name, const void *data,
		uint32_t bytes, uint64_t *data_at);
int area_flush(struct disklog *l);
/* Finds the end of the log and fills the index. */
int area_scan(struct disklog *l);
/* Copies what is wanted to the other half and makes that the log. */
int area_copy(struct disklog *l, uint64_t now_ns);
int super_write(struct disklog *l);

#endif
