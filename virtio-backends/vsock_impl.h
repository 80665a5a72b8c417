/*
 * Private to vsock.c, vsock_conn.c and vsock_data.c. Everything here is called
 * with the device's lock held.
 *
 * A connection that has something for the guest is in a list that is served in
 * turn, one packet each. Its host socket is watched for input only while we
 * don't know of any, the guest has room, and nothing else stands in the way:
 * so an idle or blocked connection causes no wake-ups.
 */
#ifndef VSOCK_IMPL_H
#define VSOCK_IMPL_H

#include "vsock.h"

#include <linux/virtio_vsock.h>

#define HOST_CID 2u
#define HASH_SIZE 256u
#define MARKS_MAX 1024u       /* complete messages on their way to the host, a connection */
#define STRANGER_RSTS_MAX 64u /* resets due for packets that belong to no connection */
#define RSTS_MAX (STRANGER_RSTS_MAX + VSOCK_CONNS_MAX)
#define BOOT_TIMEOUT_NS (15 * (uint64_t)VSOCK_TIMEOUT_NS) /* for the driver to appear */

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, QUEUES };

enum conn_state {
	CONN_FREE,
	CONN_REQUESTED, /* by the host; the guest has not answered yet */
	CONN_ASKED,     /* by the guest; the owner has not answered yet */
	CONN_OPEN,
	CONN_CLOSING,  /* the host is gone, the guest was told; waits for its RST */
	CONN_DRAINING, /* the guest is gone; what it sent is still being written */
};

/* Packets due to the guest; bits, so that repetitions cost nothing. */
#define DUE_REQUEST 1u
#define DUE_RESPONSE 2u
#define DUE_CREDIT 4u
#define DUE_SHUTDOWN 8u

struct conn {
	uint8_t state;      /* enum conn_state */
	uint8_t due;        /* DUE_* */
	uint8_t shut_guest; /* VIRTIO_VSOCK_SHUTDOWN_*: what the guest won't do any more */
	uint8_t shut_host;  /* likewise the host */
	bool readable;      /* there may be input on fd */
	bool hup;           /* both directions of fd are over; not watched any more */
	bool watched;
	bool say_ok;
	bool linked;   /* in the list of turns */
	bool large;    /* has a large buffer */
	uint16_t type; /* VIRTIO_VSOCK_TYPE_* */
	uint32_t generation;
	uint32_t guest_port, host_port;
	int fd;               /* -1: none */
	uint32_t events;      /* being watched for */
	uint64_t deadline_ns; /* 0: none */
	struct conn *hash_next, *turn_next, *turn_prev;

	/* Towards the guest: its window, and what we have sent, modulo 2^32. */
	uint32_t peer_alloc, peer_fwd, tx_cnt;
	uint32_t need; /* seqpacket: wait for this much credit */

	/* Towards the host: our window, and a ring of what the socket didn't take yet. */
	uint32_t alloc, fwd_cnt, fwd_told;
	uint32_t head, used;
	uint32_t unfinished; /* seqpacket: bytes at the end that await the rest of their message */
	uint32_t mark_first, nmarks; /* seqpacket: lengths of the messages before them */
	uint8_t *buf;
};

struct rst {
	uint32_t guest_port, host_port;
	uint16_t type;
};

struct vsock {
	struct vdev dev;
	struct virtio_vsock_config config;
	uint64_t dropped; /* packets that were not for us */
	bool more;        /* there is work left for the next round */
	bool deadlines_changed;
	uint64_t deadline_ns; /* the nearest one, 0: none */
	uint64_t timer_ns;    /* armed */
	uint32_t next_port;
	struct conn *parked; /* tx waits until this one has a mark free */
	struct conn *turn_first, *turn_last;
	struct conn *hash[HASH_SIZE];
	unsigned large_used; /* bit map */
	unsigned nrsts, rst_first;
	struct rst rst[RSTS_MAX];
	/* The rest of a message that did not fit into one buffer of the guest. */
	struct conn *stage_conn; /* NULL: none */
	uint32_t stage_off, stage_len;

	/* Connections used before come first, so that few pages are touched. */
	unsigned nfree, nfresh;
	uint8_t free[VSOCK_CONNS_MAX];
	struct vq_chain chain; /* the one at hand */
	struct conn conn[VSOCK_CONNS_MAX];
	/* Touched, and so allocated, only as far as they are used. */
	uint8_t stage[VSOCK_MESSAGE_MAX];
	uint32_t marks[VSOCK_CONNS_MAX][MARKS_MAX];
	uint8_t small[VSOCK_CONNS_MAX][VSOCK_BUFFER_SMALL];
	uint8_t large[VSOCK_BUFFERS_LARGE][VSOCK_BUFFER_LARGE];
};

uint64_t vsock_now_ns(void);

/* ---- vsock_conn.c: the table, watching, ends ------------------------------- */

struct conn *conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type);
struct conn *conn_new(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type);
/* What a watch token or the owner's id stands for, or NULL. */
struct conn *conn_by_id(struct vsock *v, uint32_t id);
uint32_t conn_id(const struct vsock *v, const struct conn *c);
/* Forgets it, closes the host's socket. The guest is not told. */
void conn_free(struct vsock *v, struct conn *c);
/* The same with RST to the guest. */
void conn_reset(struct vsock *v, struct conn *c);
/* A reset for whoever uses these ports; `stranger`: they belong to no connection. */
void rst_push(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type,
	      bool stranger);
/* 0: none. */
void conn_set_deadline(struct vsock *v, struct conn *c, uint64_t deadline_ns);
void conn_expire(struct vsock *v);

/* How much the guest takes. Lies make it 0, never more than it said (H-19). */
uint32_t conn_credit(const struct conn *c);
/* Could the next packet be data, were there any? */
bool conn_can_receive(const struct conn *c);
/* Puts it into the list of turns, if it has something for the guest, or out of it. */
void conn_link(struct vsock *v, struct conn *c);
void conn_unlink(struct vsock *v, struct conn *c);
/*
 * Adds what is missing to the events watched for. Those that are not wanted
 * any more stay until conn_unarm, when one comes: often they are wanted again
 * by then. False: c had to be reset.
 */
bool conn_arm(struct vsock *v, struct conn *c);
void conn_unarm(struct vsock *v, struct conn *c);

/* The host's socket is at its end, or both its directions are. */
void conn_host_eof(struct vsock *v, struct conn *c);
void conn_host_hup(struct vsock *v, struct conn *c);
/* The host reads no more: what is on its way to it is dropped. */
void conn_host_deaf(struct vsock *v, struct conn *c);
/* SHUTDOWN went out: when nothing is left to do, waits for the guest's RST. */
void conn_told(struct vsock *v, struct conn *c);
/*
 * The guest wants neither direction any more, and may use the ports again,
 * while we write what it has sent. May free c.
 */
void conn_leave(struct vsock *v, struct conn *c);
/* SHUTDOWN came in. May free c. */
void conn_guest_shutdown(struct vsock *v, struct conn *c, uint32_t flags);

/* ---- vsock_data.c: bytes --------------------------------------------------- */

/* Anything that the host's socket should take? */
static inline bool conn_draining(const struct conn *c)
{
	return c->nmarks || c->used > c->unfinished;
}

/*
 * Payload of len bytes from v->chain towards the host. 0, also when c was reset
 * because of it, or -EBUSY: not now; the chain was not touched.
 */
int conn_put(struct vsock *v, struct conn *c, uint32_t len, bool eom);
/* The host's socket takes more. May free c. */
void conn_flush(struct vsock *v, struct conn *c);
/*
 * Data from the host's socket into v->chain as one packet, and completes it.
 * False if there was none, c may have been reset, and the chain is unused.
 */
bool conn_pull(struct vsock *v, struct conn *c);
/* The next part of the staged message into v->chain; completes it. */
void stage_put(struct vsock *v);
/* The header of a packet of c. It tells the guest our window. */
struct virtio_vsock_hdr conn_header(struct vsock *v, struct conn *c, uint16_t op);

#endif
