/*
 * A client of one file server: 9P2000.L over a vsock stream. The connection is
 * made when it is first needed and again after the server died; then the fids
 * from before are void, which their generation tells. Threads may use it at the
 * same time: each call has the connection for itself while it lasts, the others
 * sleep. Signals wait for the answer.
 *
 * All functions return 0 or -errno: the server's, or EIO when it is gone or talks
 * nonsense.
 */
#ifndef POSIX_P9_CLIENT_H
#define POSIX_P9_CLIENT_H

#include "posix.h"

#include "p9_wire.h"

struct p9_server {
	uint32_t port;       /* of CID 2 */
	struct file *sock;   /* NULL: not connected */
	uint32_t generation; /* of the connection */
	uint32_t msize;
	uint32_t next_fid;
	bool busy;           /* somebody has it; the others sleep on the struct */
	uint64_t owner_mask; /* of signals: put back when he is done */
	uint8_t *buf;        /* P9_BUF_BYTES to send, as many received */
};

/* Limit of everything but the data of reads and writes. */
#define P9_BUF_BYTES 16384u
#define P9_ROOT_FID 0u

/* A file at the server. */
struct p9_ref {
	struct p9_server *server;
	uint32_t generation;
	uint32_t fid;
	struct p9_qid qid;
};

/*
 * Walks from the root to a path without "." and "..", "" being the root. When a
 * symbolic link is in the way: -ELOOP, and *done is the length of the path up
 * to the link's end. A link at the very end is an ordinary result.
 */
int p9_walk(struct p9_server *s, const char *path, struct p9_ref *out, size_t *done);
/* The same from a folder; a link in the way is an error. */
int p9_walk_from(const struct p9_ref *dir, const char *path, struct p9_ref *out);
/* Another ref, not opened, to the same. */
int p9_clone(const struct p9_ref *r, struct p9_ref *out);
/* Safe on a ref that was never walked (server NULL) or is void. */
void p9_clunk(struct p9_ref *r);

int p9_open(struct p9_ref *r, int flags);
/* The folder's ref becomes that of the new file. */
int p9_create(struct p9_ref *dir, const char *name, int flags, unsigned mode);
/* Bytes moved, or -errno if none were. */
long p9_read(const struct p9_ref *r, const struct iovec *iov, int n, uint64_t off);
long p9_write(const struct p9_ref *r, const struct iovec *iov, int n, uint64_t off);
/* Bytes of entries (p9_dirent_get) from place `off` on, at most cap ≤ P9_BUF_BYTES. */
long p9_readdir(const struct p9_ref *r, uint64_t off, void *buf, uint32_t cap);
int p9_fsync(const struct p9_ref *r, bool data_only);
int p9_getattr(const struct p9_ref *r, struct p9_attr *attr);
int p9_setattr(const struct p9_ref *r, const struct p9_setattr *attr);
int p9_statfs(const struct p9_ref *r, struct p9_statfs *st);
int p9_mkdir(const struct p9_ref *dir, const char *name, unsigned mode);
int p9_symlink(const struct p9_ref *dir, const char *name, const char *target);
int p9_link(const struct p9_ref *dir, const char *name, const struct p9_ref *to);
/* Bytes, not terminated; as many as fit. */
long p9_readlink(const struct p9_ref *r, char *buf, size_t cap);
int p9_unlink(const struct p9_ref *dir, const char *name, bool is_dir);
int p9_rename(const struct p9_ref *dir, const char *name, const struct p9_ref *to_dir,
	      const char *to_name);

/* ---- p9_client.c, for p9_calls.c ------------------------------------------------------ */

/*
 * One request and its answer; *m points into the server's buffers until the
 * next call by whoever has it (p9_begin … p9_end).
 */
int p9_begin(struct p9_server *s);
/* As p9_begin, but only for the connection the ref is of: else -EIO. */
int p9_begin_ref(const struct p9_ref *r);
void p9_end(struct p9_server *s);
int p9_call(struct p9_server *s, struct p9_msg *m);
/* Reads (write false) or writes several pieces at once. Bytes or -errno. */
long p9_transfer(struct p9_server *s, bool write, uint32_t fid, const struct iovec *iov, int n,
		 uint64_t off);

#endif
