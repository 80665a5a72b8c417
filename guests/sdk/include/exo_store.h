/*
 * The store service: content-addressed objects, and names for them with versions.
 * For clients: these functions, over a channel to the service "store" (seqpacket).
 * For anybody else: the messages below, one request a packet, one answer each, in
 * order.
 *
 * What was answered with status 0 is durable: on the disk, whatever is killed
 * next. A name belongs to the namespace of the client that the session says we
 * are: nobody sees another's names; objects are found by whoever knows their
 * hash. The host (exo connect) sees all names, as NAMESPACE/NAME.
 */
#ifndef EXO_STORE_H
#define EXO_STORE_H

#include <exo_channel.h>
#include <exo_sha256.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXO_STORE_DATA_MAX 49152u /* bytes of one object */
#define EXO_STORE_NAME_MAX 192u   /* with terminator; bytes above space, "/" between parts */
#define EXO_STORE_ANY UINT64_MAX  /* SET: whatever the version is now */

enum exo_store_op {
	EXO_STORE_PUT = 1, /* data (or with LIST: hashes): stores it; answer: hash */
	EXO_STORE_GET,     /* hash, offset, bytes: answer: data, total in bytes */
	EXO_STORE_SET, /* name, hash, version: it must be the newest now (0: no such name); answer:
			  version */
	EXO_STORE_LOOKUP, /* name, version (0: newest): answer: hash, version, time_ns, bytes */
	EXO_STORE_NEXT,   /* name: the first name after it; answer as LOOKUP, with name */
	EXO_STORE_UNSET,  /* name, version as in SET: the name is gone, with its history */
	EXO_STORE_PRUNE,  /* name, version: forgets those before it */
	EXO_STORE_STAT,   /* answer: bytes used, offset: bytes there are */
	EXO_STORE_OPS
};

#define EXO_STORE_LIST 1u /* the object is a list of hashes: all their data, one after another */

struct exo_store_msg {
	uint32_t op;    /* enum exo_store_op */
	uint32_t id;    /* echoed */
	int32_t status; /* answer: 0, or -errno: ENOENT, EEXIST (SET: other version), ENOSPC, … */
	uint32_t flags; /* EXO_STORE_LIST */
	uint64_t version, time_ns;
	uint64_t offset, bytes;
	uint8_t hash[EXO_SHA256_BYTES];
	char name[EXO_STORE_NAME_MAX];
	/* data follows */
};

_Static_assert(sizeof(struct exo_store_msg) == 272, "wire size");

/* ---- for clients --------------------------------------------------------------- */

/* A connection that survives restarts of the store: requests are sent again until answered. */
struct exo_store {
	struct exo_link link;
	uint32_t next_id;
	int timeout_ms; /* for each call; -1: none */
};

void exo_store_init(struct exo_store *s); /* uses the service "store" */
void exo_store_close(struct exo_store *s);

/* All: 0 or a count, or -1 with errno. Any size; objects of more than one piece become lists. */
int exo_store_put(struct exo_store *s, const void *data, size_t bytes,
		  uint8_t hash[EXO_SHA256_BYTES]);
/* Bytes read into buf from `offset` on; *total (if not NULL): of the object. */
ssize_t exo_store_get(struct exo_store *s, const uint8_t hash[EXO_SHA256_BYTES], uint64_t offset,
		      void *buf, size_t bytes, uint64_t *total);

struct exo_store_ref {
	char name[EXO_STORE_NAME_MAX];
	uint8_t hash[EXO_SHA256_BYTES];
	uint64_t version, time_ns, bytes;
};
/*
 * Names the object. *version: the newest version that the caller knows, 0 for a new
 * name, or EXO_STORE_ANY; then the new one. EEXIST: somebody was faster.
 */
int exo_store_set(struct exo_store *s, const char *name, const uint8_t hash[EXO_SHA256_BYTES],
		  uint64_t *version);
int exo_store_lookup(struct exo_store *s, const char *name, uint64_t version,
		     struct exo_store_ref *ref);
/* The first name after `after` ("": the first). ENOENT: no more. */
int exo_store_next(struct exo_store *s, const char *after, struct exo_store_ref *ref);
int exo_store_unset(struct exo_store *s, const char *name);

#ifdef __cplusplus
}
#endif

#endif
