/*
 * Channels as guests see them: the direct path's addition to virtio-vsock, and
 * why a channel ended. docs/channels.md explains the whole.
 *
 * A guest's peer is always CID 2, and a port there is a slot in the guest's table
 * of capabilities. Connections are made and ended with the packets of
 * virtio-vsock (VIRTIO 1.2, 5.10). With EXO_VSOCK_F_DIRECT negotiated, the
 * packet that makes a connection, REQUEST to the acceptor and RESPONSE to the
 * opener, may carry a struct exo_vsock_desc as payload: then the bytes go
 * through a ring (exo/ring.h) in the device's shared memory region 0, not
 * through the virtqueues, and there is no credit. The guest rings the other end
 * by writing desc.doorbell to the device's configuration field `doorbell`;
 * the other end's doorbell arrives as the device's used-buffer interrupt.
 * Closing is as ever: SHUTDOWN of both directions, answered by RST; then the
 * memory is taken away, so the guest must not touch it after sending that.
 * Half-closing is in the ring (fin, stop). RST and SHUTDOWN from the device
 * have an enum exo_reason in bits 8 to 15 of flags.
 */
#ifndef EXO_CHANNEL_H
#define EXO_CHANNEL_H

#include <stdint.h>

#define EXO_VSOCK_F_DIRECT 58 /* feature bit; 50 to 127 are the device type's */
#define EXO_VSOCK_SHM_ID 0    /* the shared memory region with rings and granted memory */

struct exo_vsock_config {
	uint64_t guest_cid; /* as in struct virtio_vsock_config */
	uint32_t doorbell;  /* W, with F_DIRECT: the value says whose */
	uint32_t reserved;
};

struct exo_vsock_desc {
	uint64_t offset;     /* of the ring memory in the region, page-aligned */
	uint32_t ring_bytes; /* of one direction */
	uint32_t side;       /* 0: the reader of this is the opener */
	uint32_t doorbell;   /* value that rings the other end */
	uint32_t conn;       /* number of the connection in the session */
};

_Static_assert(sizeof(struct exo_vsock_config) == 16, "wire size");
_Static_assert(sizeof(struct exo_vsock_desc) == 24, "wire size");

/* Why a channel ended, or was not made. The words are in docs/channels.md. */
enum exo_reason {
	EXO_REASON_NONE,      /* it has not, or nobody said */
	EXO_REASON_CLOSED,    /* the other end closed it */
	EXO_REASON_ENDED,     /* the other end's program ended */
	EXO_REASON_DIED,      /* the other end was killed or failed */
	EXO_REASON_REVOKED,   /* the grant was revoked */
	EXO_REASON_EXPIRED,   /* its lease is over */
	EXO_REASON_PROTOCOL,  /* an end broke the ring's rules */
	EXO_REASON_NO_SLOT,   /* connect: there is no such slot (EACCES) */
	EXO_REASON_STALE,     /* connect: the slot was revoked or reused (ESTALE) */
	EXO_REASON_ABSENT,    /* connect: nobody provides the service (ECONNREFUSED) */
	EXO_REASON_NOT_READY, /* connect: its provider did not get ready in time (ETIMEDOUT) */
	EXO_REASON_BUDGET,    /* connect: connections or buffer bytes used up (ENOBUFS) */
	EXO_REASON_REFUSED,   /* connect: the provider refused (ECONNREFUSED) */
	EXO_REASON_SESSION,   /* there is no session to ask, or it is going away (ENETDOWN) */
	EXO_REASON_TYPE,      /* connect: the service is of the other socket type (EPROTOTYPE) */
	EXO_REASONS
};

#define EXO_REASON_SHIFT 8 /* in the flags of RST and SHUTDOWN */

/* ---- ports of CID 2 ----------------------------------------------------------- */

#define EXO_PORT_BROKER 1u /* the session itself, seqpacket: struct exo_cap_msg */

/* A slot as a port: index and generation. A stale generation is EXO_REASON_STALE. */
#define EXO_SLOTS_MAX 256u
#define EXO_SLOT_PORT(index, generation) \
	(0x01000000u | ((uint32_t)(generation)&0xffffu) << 8 | (uint32_t)(index))
#define EXO_SLOT_IS(port) (((port)&0xff000000u) == 0x01000000u)
#define EXO_SLOT_INDEX(port) ((port)&0xffu)
#define EXO_SLOT_GENERATION(port) ((port) >> 8 & 0xffffu)

/* What an acceptor sees as the other end's port: the connection's number. */
#define EXO_CONN_PORT(conn) (0x40000000u | (conn))

/* ---- talking with the session (port 1) ------------------------------------------ */

/*
 * One request a packet, each answered by one packet with the same op and id, and
 * status 0 or -errno (Linux's numbers). Fields without a meaning for an op are 0.
 * Names are terminated. A connection of the caller's is named by its two
 * ports as getsockname and getpeername show them. Limit: 16 requests
 * unanswered; the next is -EBUSY.
 */
enum exo_cap_op {
	EXO_CAP_LIST = 1, /* bytes = index: the index-th slot: port, name, flags, …; -ENOENT after
			     the last */
	EXO_CAP_RESOLVE,  /* name: a service; answer: port of a slot for it. -ENOENT: not granted */
	EXO_CAP_LABEL,    /* connection; answer: name, label and conn of its other end */
	EXO_CAP_REASON,   /* connection; answer: bytes = enum exo_reason */
	EXO_CAP_DELEGATE, /* port, connection, flags, limits: offers a slot to the other end */
	EXO_CAP_TAKE,     /* connection, EXO_CAP_WAIT: takes what was offered: port, name, flags,
			     limits. -EAGAIN: nothing */
	EXO_CAP_DROP,     /* port: gives a slot up */
	EXO_CAP_REVOKE,   /* port: revokes all that was delegated from this slot */
	EXO_CAP_PROVIDE,  /* name: a service its manifest names; answer: local_port, the port to
			     listen on, and its type in flags (EXO_CAP_SEQPACKET). Then again with
			     both: it is served there now, and who serves all that the manifest
			     says is ready. -EACCES: not in the manifest */
	EXO_CAP_READY,    /* as exo_ready() */
	EXO_CAP_ALIVE,    /* heartbeat, where the manifest has a watchdog */
	EXO_CAP_MEM_CREATE,  /* bytes; answer: mem, offset in the shared memory region, mapped
				read-write */
	EXO_CAP_MEM_OFFER,   /* mem, connection, flags: EXO_CAP_READ_ONLY or EXO_CAP_MOVE */
	EXO_CAP_MEM_ACCEPT,  /* connection, EXO_CAP_WAIT; answer: mem, offset, bytes, flags */
	EXO_CAP_MEM_REVOKE,  /* mem: taken away from everybody it was offered to; the owner keeps it
			      */
	EXO_CAP_MEM_RELEASE, /* mem: unmapped here; the owner's memory ends with its last mapping */
	EXO_CAP_OPS
};

#define EXO_CAP_CONNECT 1u    /* right: to connect */
#define EXO_CAP_GRANT 2u      /* right: to delegate */
#define EXO_CAP_WAIT 4u       /* answer only when there is something */
#define EXO_CAP_SEQPACKET 8u  /* the service's socket type; 0: stream */
#define EXO_CAP_READ_ONLY 16u /* memory: the other end may read */
#define EXO_CAP_MOVE 32u      /* memory: the other end gets it, the sender loses it */

struct exo_cap_msg {
	uint32_t op; /* enum exo_cap_op */
	uint32_t id; /* chosen by the asker */
	int32_t status;
	uint32_t flags; /* EXO_CAP_* */
	uint32_t port;
	uint32_t local_port, peer_port; /* a connection */
	uint32_t conn;
	uint64_t mem; /* number of a piece of memory; 0: none */
	uint64_t bytes;
	uint64_t offset;
	/* Limits of a slot; 0: no other than those of the slot it comes from. */
	uint64_t lease_ms;
	uint32_t max_conns;
	uint32_t reserved;
	uint64_t max_buffer; /* bytes of rings at once */
	uint64_t max_rate;   /* bytes a second, both directions together */
	char name[64];
	char label[32];
};

_Static_assert(sizeof(struct exo_cap_msg) == 184, "wire size");

#endif
