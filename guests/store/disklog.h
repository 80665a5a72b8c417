/*
 * The store's disk: an append-only log of objects and names in one of two halves.
 * When the half is full, what is still wanted is copied to the other, and one
 * write of a superblock makes that the log. Nothing is ever overwritten that the
 * last superblock leads to, so a crash at any instant leaves what was
 * committed.
 *
 * Disk: sectors 0 and 8 are superblocks, the newer valid one counts; the halves
 * begin at 64 KiB. A record is a struct disklog_record, its name, its data, padded
 * to a sector. The log ends at the first record that does not belong: wrong
 * epoch (of the half, changed with every copy), number or checksum.
 *
 * One thread. In memory: an index of all objects (56 bytes each) and names.
 */
#ifndef STORE_DISKLOG_H
#define STORE_DISKLOG_H

#include <exo_store.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISKLOG_BYTES_MIN (1u << 20)
#define DISKLOG_OBJECTS_MAX 262144u
#define DISKLOG_VERSIONS_MAX 262144u /* of all names together */

/* The disk, or a test's. Offsets and lengths are whole sectors. 0 or -errno. */
struct disklog_disk {
	void *opaque;
	uint64_t bytes;
	int (*read)(void *opaque, uint64_t off, void *to, size_t bytes);
	int (*write)(void *opaque, uint64_t off, const void *from, size_t bytes);
	int (*sync)(void *opaque);
};

struct disklog;

/*
 * Opens the log, or makes one on a disk whose first 64 KiB are zero. `disk` is
 * copied, its opaque lives as long. now_ns here and below: time of day. 0, or -errno with why:
 * -EINVAL (too small, or something else is on it), -ENOMEM, the disk's.
 */
int disklog_open(struct disklog **l, const struct disklog_disk *disk, char why[128]);
void disklog_close(struct disklog *l); /* NULL-safe; does not commit */

/*
 * Stores an object (≤ EXO_STORE_DATA_MAX) unless it is there, and gives its hash.
 * A list (data: hashes) is only taken if all it lists is there. Objects that
 * no name leads to are kept for KEEP (10 minutes) after their last put. 0, -ENOSPC,
 * -ENOENT (list), -EINVAL (list length).
 */
int disklog_put(struct disklog *l, const void *data, uint32_t bytes, bool list, uint64_t now_ns,
		uint8_t hash[32]);
/*
 * Reads from an object, lists followed: bytes read, 0 at the end; *total: of the
 * object. -ENOENT, -EIO (a checksum is wrong), -ELOOP (lists too deep).
 */
int64_t disklog_get(struct disklog *l, const uint8_t hash[32], uint64_t offset, void *to,
		    size_t bytes, uint64_t *total);

/*
 * Names an object. `expect`: the newest version now, 0 for none, EXO_STORE_ANY.
 * *version: the new one. -ENOENT (no such object), -EEXIST (other version), -ENOSPC.
 */
int disklog_set(struct disklog *l, const char *name, const uint8_t hash[32], uint64_t expect,
		uint64_t now_ns, uint64_t *version);
/* version 0: the newest. -ENOENT. */
int disklog_lookup(struct disklog *l, const char *name, uint64_t version,
		   struct exo_store_ref *ref);
/* The first name after `after`, in byte order. -ENOENT: no more. */
int disklog_next(struct disklog *l, const char *after, struct exo_store_ref *ref);
int disklog_unset(struct disklog *l, const char *name, uint64_t expect, uint64_t now_ns);
/* Forgets the versions before `version`; never the newest. */
int disklog_prune(struct disklog *l, const char *name, uint64_t version, uint64_t now_ns);

/* Makes everything so far durable. After an error the log must be opened anew. */
int disklog_commit(struct disklog *l);
void disklog_stat(const struct disklog *l, uint64_t *used, uint64_t *capacity);

#endif
