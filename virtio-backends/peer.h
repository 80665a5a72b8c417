/*
 * The other end of a connection, whatever it is: a connected Unix socket, or a
 * ring in shared memory (exo/ring.h) whose other end is somebody hostile. A
 * stream is bytes; a packet peer keeps messages apart.
 *
 * Nothing here waits. A socket is watched by the caller; a ring's other end
 * rings an eventfd of the caller's (one may serve many rings), but only when it
 * was asked to, by peer_send that found no room and by peer_sleep, and then
 * once: what nobody asks for wakes nobody.
 *
 * A limit of the rate (bytes a second, both directions together) makes sending
 * and reading -EAGAIN until `resume_ns`; then it is the caller's to peer_resume and try again.
 *
 * Threads: the caller's lock. System calls: sendmsg, recvmsg, shutdown, poll;
 * writev for a ring's doorbell; close.
 */
#ifndef PEER_H
#define PEER_H

#include <exo/ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum peer_kind { PEER_NONE, PEER_SOCKET, PEER_RING };

struct peer {
	uint8_t kind; /* enum peer_kind */
	bool packets;
	int fd; /* the socket, or the other end's doorbell; -1: none */
	struct exo_ring ring;
	/* The message that is being read from a ring. */
	bool inside;
	uint8_t lead; /* bytes of its header that are not given back yet */
	uint32_t left, pad, flags;
	uint64_t rate;               /* 0: any */
	uint64_t paid_ns, resume_ns; /* what passed is paid for then; 0: not held up */
};

struct iovec;

/* PEER_NONE, without a limit. What is set keeps p->rate. */
void peer_init(struct peer *p);
/* A connected socket, SOCK_SEQPACKET if packets, else SOCK_STREAM. Owns fd. */
void peer_set_socket(struct peer *p, int fd, bool packets);
/*
 * A ring: base, exo_ring_total(ring_bytes) of it, stays mapped until peer_close
 * and is the caller's. Owns bell_fd, a non-blocking eventfd that wakes the other end.
 */
void peer_set_ring(struct peer *p, void *base, uint32_t ring_bytes, unsigned side, int bell_fd,
		   bool packets);
/* The other end finds both directions closed. PEER_NONE afterwards; safe on that. */
void peer_close(struct peer *p);
/* The same, but the other end of a ring is told by others. */
void peer_forget(struct peer *p);

/*
 * Writes len bytes that the n iovecs hold (which it may change): for packets one message, all
 * or nothing; flags: EXO_RING_EOR, lost on a socket. The bytes taken, or -EAGAIN (a ring will
 * wake us when there is room), -EPIPE (nobody reads), -EMSGSIZE (never fits), -EPROTO, or a
 * socket's error.
 */
ssize_t peer_send(struct peer *p, struct iovec *iov, unsigned n, size_t len, unsigned flags);

/*
 * Reads up to len bytes into the n iovecs (which it may change). Of packets, a ring gives one
 * message in as many pieces as it takes, a socket one message that must fit (else -EMSGSIZE); *end:
 * that was its last piece, with the flags it was sent with. The bytes read, or -EAGAIN, -ENODATA
 * (nothing will come any more), -EPROTO, or a socket's error.
 */
ssize_t peer_recv(struct peer *p, struct iovec *iov, unsigned n, size_t len, bool *end,
		  unsigned *flags);
/* Length of the next message, or of what is left of the present one; errors as peer_recv. */
ssize_t peer_next(struct peer *p);

/* The time has come. */
static inline void peer_resume(struct peer *p)
{
	p->resume_ns = 0;
}

/* We won't read, write any more; the other end is told. */
void peer_shutdown(struct peer *p, bool read, bool write);
/* Does the other end neither write (but for what can still be read) nor read? */
bool peer_gone(const struct peer *p);

/* A ring: be woken when there is something to read, or the end of it. True: there is already. */
bool peer_sleep(struct peer *p);

#define PEER_READABLE 1 /* there is something, or the end */
#define PEER_END 2      /* nothing will come beyond what is there */
#define PEER_DEAF 4     /* nobody reads what we write */
/* A ring, after its other end has rung: the bits above, or -EPROTO. */
int peer_look(const struct peer *p);

#endif
