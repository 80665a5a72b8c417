/* The inside of a connection: p9_server.c has it, p9_ops.c works on it. */
#ifndef P9_CONN_H
#define P9_CONN_H

#include "p9_server.h"

#define P9_FID_BUCKETS 256

struct p9_fid {
	struct p9_fid *next; /* in its bucket */
	uint32_t fid;
	uint32_t flags; /* it was opened with */
	struct p9_qid qid;
	void *node;
	void *parent; /* and name: where the walk came by; NULL: the root */
	char *name;
	void *file; /* NULL: not open */
};

struct p9_conn {
	const struct p9_backend *ops;
	void *fs;
	struct p9_limits limits;
	uint32_t msize; /* negotiated; 0: not yet */
	uint8_t *in, *out;
	size_t room;            /* of each */
	size_t in_at, in_len;   /* unread bytes of `in` */
	size_t out_at, out_len; /* unsent bytes of `out` */
	unsigned nfids;
	struct p9_fid *fids[P9_FID_BUCKETS];
};

struct p9_fid *p9_fid_find(struct p9_conn *c, uint32_t fid);
/*
 * A new fid for the node (its reference is taken over, and `parent`'s too, also when
 * it fails). -EBADF if the number is in use, -EMFILE, -ENOMEM.
 */
int p9_fid_add(struct p9_conn *c, uint32_t fid, void *node, const struct p9_qid *qid, void *parent,
	       const char *name);
/* Closes it. */
void p9_fid_drop(struct p9_conn *c, struct p9_fid *f);
void p9_fid_drop_all(struct p9_conn *c);

/*
 * Does what *m asks; *r (type set, the rest zero) becomes the answer. 0, or -errno
 * for an Rlerror. Data of an answer is in `out` behind P9_READ_HEADER.
 */
int p9_serve(struct p9_conn *c, struct p9_msg *m, struct p9_msg *r);

#endif
