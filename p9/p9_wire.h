/*
 * The messages of 9P2000.L, between bytes and structs. Strict: a message is
 * exactly as long as its fields, no string has a NUL in it, no count is above
 * its limit. Used by the server, by the SDK's client and by tests; allocates
 * nothing, calls nothing, may be called from any thread.
 *
 * Source: Linux's Documentation/filesystems/9p.rst, include/net/9p/9p.h and diod's
 * protocol.md. Numbers on the wire (errors, open flags, file modes) are Linux's.
 */
#ifndef P9_WIRE_H
#define P9_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum p9_type {
	P9_RLERROR = 7, /* there is no Tlerror */
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
	P9_TYPES = 128
};
#define P9_R(t) ((t) + 1) /* the answer to a message of that type */

#define P9_VERSION "9P2000.L"
#define P9_HEADER_BYTES 7
#define P9_NOTAG 0xffffu
#define P9_NOFID 0xffffffffu
#define P9_NAME_MAX 255
#define P9_PATH_MAX 4095  /* a symbolic link's target */
#define P9_WALK_MAX 16    /* names in one walk */
#define P9_READ_HEADER 11 /* bytes of Rread and Rreaddir before the data */
#define P9_WRITE_HEADER 23
#define P9_MSIZE_MIN 4096
#define P9_MSIZE_MAX (256u << 10)

/* struct p9_qid.type */
#define P9_QTDIR 0x80u
#define P9_QTSYMLINK 0x02u
#define P9_QTFILE 0x00u

/* getattr: masks of what is asked for and told */
#define P9_GETATTR_BASIC 0x7ffull

/* setattr.valid */
#define P9_SETATTR_MODE 0x1u
#define P9_SETATTR_UID 0x2u
#define P9_SETATTR_GID 0x4u
#define P9_SETATTR_SIZE 0x8u
#define P9_SETATTR_ATIME 0x10u
#define P9_SETATTR_MTIME 0x20u
#define P9_SETATTR_CTIME 0x40u
#define P9_SETATTR_ATIME_SET 0x80u /* else: now */
#define P9_SETATTR_MTIME_SET 0x100u

#define P9_UNLINK_DIR 0x200u /* unlinkat.flags: AT_REMOVEDIR */

/* Open flags, Linux's O_* for x86 (and most others). */
#define P9_O_ACCMODE 3u
#define P9_O_WRONLY 1u
#define P9_O_RDWR 2u
#define P9_O_CREAT 0100u
#define P9_O_EXCL 0200u
#define P9_O_TRUNC 01000u
#define P9_O_APPEND 02000u
#define P9_O_DSYNC 010000u
#define P9_O_DIRECTORY 0200000u
#define P9_O_SYNC 04000000u

enum p9_lock_type { P9_LOCK_RDLCK, P9_LOCK_WRLCK, P9_LOCK_UNLCK };
enum p9_lock_status { P9_LOCK_SUCCESS, P9_LOCK_BLOCKED, P9_LOCK_ERROR, P9_LOCK_GRACE };

/* A string inside the message; not terminated. */
struct p9_str {
	const char *p;
	uint16_t len;
};

struct p9_data {
	const void *p; /* inside the message; to be sent: NULL if the caller appends it */
	uint32_t len;
};

struct p9_qid {
	uint8_t type;
	uint32_t version;
	uint64_t path; /* one number for each file of a server */
};

struct p9_time {
	uint64_t sec, nsec;
};

struct p9_attr {
	uint64_t valid; /* P9_GETATTR_* */
	struct p9_qid qid;
	uint32_t mode, uid, gid;
	uint64_t nlink, rdev, size, blksize, blocks;
	struct p9_time atime, mtime, ctime, btime;
	uint64_t gen, data_version;
};

struct p9_setattr {
	uint32_t valid; /* P9_SETATTR_* */
	uint32_t mode, uid, gid;
	uint64_t size;
	struct p9_time atime, mtime;
};

struct p9_statfs {
	uint32_t type, bsize;
	uint64_t blocks, bfree, bavail, files, ffree, fsid;
	uint32_t namelen;
};

struct p9_lock {
	uint8_t type;   /* enum p9_lock_type */
	uint32_t flags; /* 1: the client would wait; not in getlock */
	uint64_t start, length;
	uint32_t proc_id;
	struct p9_str client_id;
};

/* One message, either way. Which fields mean something follows from its type. */
struct p9_msg {
	uint8_t type;
	uint16_t tag;
	uint32_t fid;
	uint32_t newfid; /* walk, xattrwalk; afid of auth and attach */
	uint32_t dfid;   /* directory: of link's and rename's new name, renameat's too */
	uint32_t flags, mode, uid, gid, major, minor;
	uint32_t count; /* read, readdir; Rwrite; Rlopen's iounit; ecode of Rlerror */
	uint32_t msize;
	uint16_t oldtag;
	uint8_t status; /* Rlock */
	uint64_t offset;
	uint64_t mask; /* getattr */
	uint64_t size; /* xattr */
	uint16_t nnames;
	struct p9_str name, name2; /* name2: target, new name, attach's aname */
	struct p9_data data;
	struct p9_qid qid; /* of the answer */
	union {
		struct p9_str names[P9_WALK_MAX]; /* Twalk: nnames */
		struct p9_qid qids[P9_WALK_MAX];  /* Rwalk: nnames */
		struct p9_attr attr;
		struct p9_setattr setattr;
		struct p9_statfs statfs;
		struct p9_lock lock;
	};
};

/* Bytes of the message that starts here: its first four. */
uint32_t p9_size(const void *bytes);

/*
 * Decodes one whole message of `len` bytes, of either direction. *m points into
 * it. 0; -EBADMSG for bytes that are no message; -EOPNOTSUPP
 * for a type that does not exist, with m->type and m->tag set.
 */
int p9_decode(struct p9_msg *m, const void *bytes, size_t len);

/*
 * Encodes *m into room of cap bytes. Data that is in its place already is not
 * moved; with data.p NULL and data.len not 0 the size counts it, and the bytes
 * written end before it. The bytes written, or 0 if there is no room or a field
 * is above its limit.
 */
size_t p9_encode(const struct p9_msg *m, void *bytes, size_t cap);

/* An entry of a directory as Rreaddir has it. */
struct p9_dirent {
	struct p9_qid qid;
	uint64_t offset; /* of the next: where reading goes on */
	uint8_t type;    /* DT_* */
	struct p9_str name;
};

/* Bytes written, or 0: no room. */
size_t p9_dirent_put(void *bytes, size_t cap, const struct p9_dirent *d);
/* Bytes of the first entry in `bytes`, 0 at the end, -EBADMSG. */
long p9_dirent_get(const void *bytes, size_t len, struct p9_dirent *d);

/* Can it be the name of a file: not empty, not too long, no "/", not "." or ".."? */
bool p9_name_valid(struct p9_str name);

static inline struct p9_str p9_str(const char *s)
{
	uint16_t n = 0;

	while (n < UINT16_MAX && s[n])
		n++;
	return (struct p9_str){s, n};
}

#endif
