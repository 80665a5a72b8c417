/*
 * Channels, for programs: finding services that one was granted, passing them on,
 * knowing who is at the other end, and sharing memory. The sockets are ordinary
 * AF_VSOCK ones; everything here could be said on port 1 of CID 2 by hand
 * (exo/channel.h), so the same source works in a Linux guest.
 *
 * Unless said otherwise a function returns 0 or a descriptor or port, or -1 with
 * errno: ENOENT (not granted, or nothing there), ENETDOWN (no session to ask),
 * ESTALE, EACCES, ENOBUFS… as docs/channels.md lists them. All may block for as
 * long as the session takes to answer, which is not long; those that wait for
 * somebody else say so.
 */
#ifndef EXO_CHANNEL_API_H
#define EXO_CHANNEL_API_H

#include <exo/channel.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- services ------------------------------------------------------------------ */

/* The port of CID 2 that leads to a service. */
int64_t exo_slot(const char *service);
/* A socket connected to it. type: SOCK_STREAM or SOCK_SEQPACKET, | SOCK_CLOEXEC, SOCK_NONBLOCK. */
int exo_connect(const char *service, int type);
/*
 * A listening socket for a service that the manifest says is provided. The program is
 * ready when it serves all of them.
 */
int exo_serve(const char *service, int type);

struct exo_slot_info {
	uint32_t port;
	uint32_t flags;                          /* EXO_CAP_CONNECT, EXO_CAP_GRANT */
	uint64_t lease_ms, max_buffer, max_rate; /* 0: no limit */
	uint32_t max_conns;
	char service[64];
};
/* The index-th slot. ENOENT after the last. */
int exo_slot_at(unsigned index, struct exo_slot_info *info);
int exo_slot_drop(uint32_t port);

/* ---- the other end ---------------------------------------------------------------- */

struct exo_peer {
	uint32_t conn;  /* number of the connection in the session */
	char name[64];  /* of the guest, as the session knows it; host programs: "host" */
	char label[32]; /* its trust label */
};
/* Who is at the other end of a connected socket; it has no say in this. */
int exo_peer(int fd, struct exo_peer *peer);
/* Why the connection ended: enum exo_reason; EXO_REASON_NONE if it has not. */
int exo_reason(int fd);
/* "revoked", … */
const char *exo_reason_name(int reason);

/* ---- passing capabilities on --------------------------------------------------------- */

/*
 * Offers the other end what our slot reaches, with `rights` (EXO_CAP_*) or less,
 * and the limits of *limits (NULL: ours).
 */
int exo_cap_send(int fd, uint32_t port, uint32_t rights, const struct exo_slot_info *limits);
/* Takes what the other end offered; waits for it with EXO_CAP_WAIT in flags. */
int exo_cap_take(int fd, unsigned flags, struct exo_slot_info *slot);
/* Everything that was passed on from this slot ends. */
int exo_cap_revoke(uint32_t port);

/* ---- memory ------------------------------------------------------------------------------ */

struct exo_mem {
	uint64_t id;
	void *data;
	size_t bytes;
	unsigned flags; /* EXO_CAP_READ_ONLY: of ours */
};
/* Fresh zeroed pages that can be shared. ENOSPC: the window is full; EDQUOT: the manifest's limit.
 */
int exo_mem_create(size_t bytes, struct exo_mem *mem);
/* Offers it to the other end: flags EXO_CAP_READ_ONLY, EXO_CAP_MOVE (then ours is gone) or 0. */
int exo_mem_offer(int fd, struct exo_mem *mem, unsigned flags);
/* Takes what the other end offered; waits with EXO_CAP_WAIT. */
int exo_mem_accept(int fd, unsigned flags, struct exo_mem *mem);
/* Takes it away from everybody else. */
int exo_mem_revoke(const struct exo_mem *mem);
/* Gives up our mapping. */
int exo_mem_release(struct exo_mem *mem);

/* ---- life ------------------------------------------------------------------------------------ */

/* Heartbeat, where the manifest has a watchdog. */
int exo_alive(void);

/*
 * A connection that comes back: for clients of services that may be restarted.
 * exo_link_get gives a connected socket, making a new one (with pauses that
 * double from 10 ms to 1 s) when the last was declared lost or never was; waits.
 * *fresh says whether it is a new one, so that the program repeats what was not
 * acknowledged. ETIMEDOUT after timeout_ms without one; EACCES, ESTALE at once.
 */
struct exo_link {
	char service[64];
	int type;
	int fd; /* -1: none */
};
void exo_link_init(struct exo_link *link, const char *service, int type);
int exo_link_get(struct exo_link *link, int timeout_ms, int *fresh);
void exo_link_lost(struct exo_link *link);
void exo_link_close(struct exo_link *link);

#ifdef __cplusplus
}
#endif

#endif
