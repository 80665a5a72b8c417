/*
 * Private to vsock*.c. Everything here is called with the device's lock held.
 *
 * A connection that has something for the guest is in a list that is served in
 * turn, one packet each. Its other end is asked to wake us only while we don't
 * know of any input, the guest has room, and nothing else stands in the way:
 * so an idle or blocked connection causes no wake-ups.
 */
#ifndef VSOCK_IMPL_H
#define VSOCK_IMPL_H

#include "peer.h"
#include "vsock.h"

#include <linux/virtio_vsock.h>

#define HOST_CID 2u
#define HASH_SIZE 256u
#define MARKS_MAX 1024u       /* complete messages on their way to the host, a connection */
#define STRANGER_RSTS_MAX 64u /* resets due for packets that belong to no connection */
#define RSTS_MAX (STRANGER_RSTS_MAX + VSOCK_CONNS_MAX)
#define BOOT_TIMEOUT_NS (15 * (uint64_t)VSOCK_TIMEOUT_NS) /* for the driver to appear */
#define PACKET_MAX 65536u       /* payload of one packet, so that connections take turns */
#define TOKEN_BELL (1ull << 32) /* of the watch on our doorbell; connections' are ids */
#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

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

/* The ring of a connection that has one. */
struct conn_ring {
	int fd, bell_fd; /* until they are used; -1 */
	bool may_direct;
	bool has_doorbell;
	uint32_t bytes, side, peer_key;
	void *base;        /* NULL: not mapped (yet) */
	uint64_t offset;   /* direct: in the guest's region */
	uint32_t doorbell; /* direct: the value that rings the other end */
};

struct conn {
	uint8_t state;      /* enum conn_state */
	uint8_t due;        /* DUE_* */
	uint8_t shut_guest; /* VIRTIO_VSOCK_SHUTDOWN_*: what the guest won't do any more */
	uint8_t shut_host;  /* likewise the host */
	uint8_t reason;     /* enum exo_reason: why it ends */
	bool readable;      /* there may be input */
	bool hup;           /* the other end is gone; it is not watched any more */
	bool watched;       /* a socket */
	bool say_ok;
	bool accepted; /* by both sides */
	bool linked;   /* in the list of turns */
	bool large;    /* has a large buffer */
	bool inside;   /* seqpacket: the guest has got the beginning of a message */
	bool asked;    /* for credit, when not all of its window was free */
	uint16_t type; /* VIRTIO_VSOCK_TYPE_* */
	uint32_t generation;
	uint32_t guest_port, host_port;
	uint32_t events;      /* being watched for */
	uint64_t deadline_ns; /* 0: none */
	struct conn *hash_next, *turn_next, *turn_prev;
	struct peer peer; /* PEER_NONE with a direct ring */
	struct conn_ring ring;
	struct exo_vmm_channel_info info; /* conn 0: it has no number */

	/* Towards the guest: its window, and what we have sent, modulo 2^32. */
	uint32_t peer_alloc, peer_fwd, tx_cnt;
	uint32_t need; /* seqpacket: wait for this much credit */

	/* Towards the host: our window, and a ring of what the peer didn't take yet. */
	uint32_t alloc, fwd_cnt, fwd_told;
	uint32_t head, used;
	uint32_t unfinished; /* seqpacket: bytes at the end that await the rest of their message */
	uint32_t mark_first, nmarks; /* seqpacket: lengths of the messages before them */
	uint8_t *buf;
};

struct rst {
	uint32_t guest_port, host_port;
	uint16_t type;
	uint8_t reason;
};

struct vsock {
	struct vdev dev;
	struct exo_vsock_config config;
	int bell_fd; /* by which rings' other ends wake us; -1: none */
	bool bell_watched;
	uint64_t ask_timeout_ns;
	uint64_t dropped; /* packets that were not for us */
	bool more;        /* there is work left for the next round */
	bool attach;      /* offers wait for the event loop */
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
	unsigned nfree, nfresh, evict_next;
	uint8_t free[VSOCK_CONNS_MAX];
	struct vq_chain chain; /* the one at hand */
	struct conn conn[VSOCK_CONNS_MAX];
	/* Touched, and so allocated, only as far as they are used. */
	uint8_t stage[VSOCK_MESSAGE_MAX];
	uint32_t marks[VSOCK_CONNS_MAX][MARKS_MAX];
	uint8_t small[VSOCK_CONNS_MAX][VSOCK_BUFFER_SMALL];
	uint8_t large[VSOCK_BUFFERS_LARGE][VSOCK_BUFFER_LARGE];
};

static inline struct vsock *vsock_of(struct vdev *dev)
{
	return (struct vsock *)dev; /* dev is its first member */
}

/* Was it taken away from both ends? */
static inline bool conn_revoked(const struct conn *c)
{
	return c->reason == EXO_REASON_REVOKED || c->reason == EXO_REASON_EXPIRED;
}

static inline bool conn_direct(const struct conn *c)
{
	return c->info.flags & EXO_CHANNEL_DIRECT;
}

/* ---- vsock.c: packets, rounds ------------------------------------------------ */

/* Does the driver know this type of socket? */
static inline bool vsock_knows_type(const struct vsock *v, uint32_t type)
{
	return type == VIRTIO_VSOCK_TYPE_STREAM ||
	       (type == VIRTIO_VSOCK_TYPE_SEQPACKET &&
		vdev_has_feature(&v->dev, VIRTIO_VSOCK_F_SEQPACKET));
}
/* c may have got something for the guest, or room for its host; or be gone. */
void vsock_settle(struct vsock *v, struct conn *c);
/* A round: packets from the guest, if tx or there is more, then to it; sets the timer. */
void vsock_service(struct vsock *v, bool tx);

/* ---- vsock_conn.c: the table, watching, ends ------------------------------- */

struct conn *conn_find(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type);
struct conn *conn_new(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type);
/* What a watch token or the owner's id stands for, or NULL. */
struct conn *conn_by_id(struct vsock *v, uint64_t id);
uint32_t conn_id(const struct vsock *v, const struct conn *c);
/* A direct connection needs no buffer. */
void conn_drop_buffer(struct vsock *v, struct conn *c);
/* Forgets it, closes the host's end, tells the owner. The guest is not told. */
void conn_free(struct vsock *v, struct conn *c);
/* The same with RST to the guest. A reason that is known already stays. */
void conn_reset(struct vsock *v, struct conn *c, enum exo_reason reason);
/* Offered by the host, and the guest has not heard of it. */
static inline bool conn_unseen(const struct conn *c)
{
	return c->state == CONN_REQUESTED && (c->ring.fd >= 0 || c->due & DUE_REQUEST);
}
/* A reset for whoever uses these ports; `stranger`: they belong to no connection. */
void rst_push(struct vsock *v, struct rst rst, bool stranger);
/* 0: none. */
static inline void conn_set_deadline(struct vsock *v, struct conn *c, uint64_t deadline_ns)
{
	v->deadlines_changed |= c->deadline_ns != deadline_ns;
	c->deadline_ns = deadline_ns;
}
void conn_expire(struct vsock *v);

/* How much the guest takes. Lies make it 0, never more than it said (H-19). */
static inline uint32_t conn_credit(const struct conn *c)
{
	uint32_t used = c->tx_cnt - c->peer_fwd;

	return used < c->peer_alloc ? c->peer_alloc - used : 0;
}
/* Could the next packet be data, were there any? */
bool conn_can_receive(const struct conn *c);
/* Puts it into the list of turns, if it has something for the guest, or out of it. */
void conn_link(struct vsock *v, struct conn *c);
void conn_unlink(struct vsock *v, struct conn *c);
/*
 * Asks to be woken for what c waits for. A socket's events that are not wanted any
 * more stay unless `exactly`, when one came: often they are wanted again by
 * then. False: c had to be reset.
 */
bool conn_arm(struct vsock *v, struct conn *c, bool exactly);

/* The host's end won't send any more, or is gone in both directions. */
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

/* Anything that the host's end should take? */
static inline bool conn_draining(const struct conn *c)
{
	return c->nmarks || c->used > c->unfinished;
}

/*
 * Payload of a packet (h: its header) from v->chain towards the host. 0, also when c was reset
 * because of it, or -EBUSY: not now; the chain was not touched.
 */
int conn_put(struct vsock *v, struct conn *c, const struct virtio_vsock_hdr *h);
/* The host's end takes more. May free c. */
void conn_flush(struct vsock *v, struct conn *c);
/*
 * Data from the host's end into v->chain as one packet, and completes it.
 * False if there was none, c may have been reset, and the chain is unused.
 */
bool conn_pull(struct vsock *v, struct conn *c);
/* The next part of the staged message into v->chain; completes it. */
void stage_put(struct vsock *v);
/* The header of a packet of c. It tells the guest our window. */
struct virtio_vsock_hdr conn_header(struct vsock *v, struct conn *c, uint16_t op);

/* ---- vsock_channel.c: a session's connections ------------------------------- */

struct conn *channel_find(struct vsock *v, uint32_t number);
/* Says to the owner what became of a connection, if it has a number. */
void channel_tell(struct vsock *v, const struct conn *c, uint32_t state);
/*
 * Maps the ring, for the guest or for us, and makes the doorbell. The driver
 * runs. Event loop's thread. 0 or -errno: c is to be reset.
 */
int channel_attach(struct vsock *v, struct conn *c);
/* The same for the offers that waited for the driver. */
void channel_attach_all(struct vsock *v);
/* Takes the ring away; a direct one's counters are final. */
void channel_detach(struct vsock *v, struct conn *c);
struct exo_vmm_channel_info channel_info(const struct conn *c);
/* Our doorbell was rung: somebody's ring has something for us, or room. */
void channel_rung(struct vsock *v);

#endif
