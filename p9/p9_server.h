/*
 * A 9P2000.L server over byte buffers: one struct p9_conn a connection. It opens
 * no files and no sockets: the caller moves the bytes, and a table of operations
 * (struct p9_backend) has the files. The same code serves folders of the host
 * (exo-fs) and whatever a guest program likes to show as files.
 *
 *	while (!err) {
 *		p = p9_conn_output(c, &n);
 *		if (n)
 *			err = p9_conn_sent(c, write(fd, p, n));
 *		else
 *			p = p9_conn_room(c, &n), err = p9_conn_received(c, read(fd, p, n));
 *	}
 *
 * Requests are answered one after the other, in their order. A connection's
 * memory is two messages of the negotiated size and its fids, whatever the other
 * end does. What breaks the framing ends the connection; everything else is
 * answered by an error. One thread a connection at a time; the backend is called
 * from within p9_conn_received and p9_conn_sent.
 */
#ifndef P9_SERVER_H
#define P9_SERVER_H

#include "p9_wire.h"

#define P9_FIDS_MAX 1024

/*
 * What has the files. A node is a file, folder or link by itself, opened or not;
 * the backend counts references to it. A file is an opened node. Functions
 * return 0 or -errno (Linux's numbers). Names are terminated and valid
 * (p9_name_valid); "." and ".." never come. Required but where said otherwise; a
 * missing one answers EOPNOTSUPP. `fs` is as given to p9_conn_create.
 *
 * The server has checked: that a node is of the right kind (by its qid), that the
 * file is open the right way, that nothing changes through a read-only connection.
 */
struct p9_backend {
	/* The root for this user and name (may be empty). A new reference. */
	int (*attach)(void *fs, struct p9_str user, struct p9_str name, uint32_t uid, void **node,
		      struct p9_qid *qid);
	/* An entry of a folder. A new reference. Never follows a link. */
	int (*walk)(void *fs, void *dir, const char *name, void **node, struct p9_qid *qid);
	void (*ref)(void *fs, void *node);
	void (*unref)(void *fs, void *node);

	/* flags: P9_O_ACCMODE, TRUNC, APPEND, DSYNC, SYNC and no others. */
	int (*open)(void *fs, void *node, uint32_t flags, void **file, struct p9_qid *qid);
	/* Optional. As open, of a new regular file; a reference to its node besides. Flags: EXCL
	 * too. */
	int (*create)(void *fs, void *dir, const char *name, uint32_t flags, uint32_t mode,
		      void **node, void **file, struct p9_qid *qid);
	void (*close)(void *fs, void *file);
	/* Bytes, 0 at the end. */
	long (*read)(void *fs, void *file, uint64_t off, void *buf, uint32_t n);
	/* Optional. Bytes. */
	long (*write)(void *fs, void *file, uint64_t off, const void *buf, uint32_t n);
	/* Entries by p9_dirent_put from the place `off` on (0: the first); bytes, 0: no more. */
	long (*readdir)(void *fs, void *file, uint64_t off, void *buf, uint32_t n);
	/* Optional: nothing to do. */
	int (*fsync)(void *fs, void *file, bool data_only);

	/* file: open for the fid, or NULL. */
	int (*getattr)(void *fs, void *node, void *file, struct p9_attr *attr);
	/* The rest is optional. */
	int (*setattr)(void *fs, void *node, void *file, const struct p9_setattr *attr);
	int (*statfs)(void *fs, void *node, struct p9_statfs *st);
	int (*mkdir)(void *fs, void *dir, const char *name, uint32_t mode, struct p9_qid *qid);
	int (*symlink)(void *fs, void *dir, const char *name, const char *target,
		       struct p9_qid *qid);
	int (*link)(void *fs, void *dir, const char *name, void *node);
	/* The target, P9_PATH_MAX bytes at most. Its length. */
	long (*readlink)(void *fs, void *node, char *buf, uint32_t n);
	/* node not NULL: -ESTALE if the name is another's by now. */
	int (*unlink)(void *fs, void *dir, const char *name, bool is_dir, void *node);
	int (*rename)(void *fs, void *dir, const char *name, void *to_dir, const char *to_name,
		      void *node);
	/* Never waits: P9_LOCK_BLOCKED. */
	int (*lock)(void *fs, void *file, const struct p9_lock *lock, enum p9_lock_status *status);
	/* Writes who is in the way into *lock; type UNLCK: nobody. */
	int (*getlock)(void *fs, void *file, struct p9_lock *lock);
};

struct p9_limits {
	uint32_t msize; /* largest message; 0: P9_MSIZE_MAX, which is the most */
	uint32_t fids;  /* 0: P9_FIDS_MAX */
	bool read_only; /* what would change something is EROFS */
};

struct p9_conn;

/* NULL: no memory. `ops` and `fs` stay the caller's and outlive it. */
struct p9_conn *p9_conn_create(const struct p9_backend *ops, void *fs,
			       const struct p9_limits *limits);
/* Closes and forgets all that its fids hold. NULL-safe. */
void p9_conn_destroy(struct p9_conn *c);

/* Where received bytes go, and how many at most; 0: an answer must be sent first. */
void *p9_conn_room(struct p9_conn *c, size_t *n);
/*
 * n bytes were put there; answers what is complete. 0, or -EPROTO or -ENOMEM: the
 * connection is over.
 */
int p9_conn_received(struct p9_conn *c, size_t n);
/* What is to be sent, and how much of it. */
const void *p9_conn_output(const struct p9_conn *c, size_t *n);
/* n bytes of it were; goes on with the next request. As p9_conn_received. */
int p9_conn_sent(struct p9_conn *c, size_t n);
/* Fids in use. */
unsigned p9_conn_fids(const struct p9_conn *c);

#endif
