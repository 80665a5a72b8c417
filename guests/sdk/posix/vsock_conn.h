/* Sockets of AF_VSOCK: what socket.c (system calls) and vsock_conn.c (protocol) share. */
#ifndef POSIX_VSOCK_CONN_H
#define POSIX_VSOCK_CONN_H

#include "files.h"
#include "spin.h"

#include <exo/channel.h>
#include <exo/ring.h>
#include <linux/vm_sockets.h>
#include <linux/virtio_vsock.h>

#define VSOCK_BACKLOG_MAX 128
#define VSOCK_RING_BYTES (256u << 10)
/* What we let the peer send unread. A message takes four bytes more in the ring. */
#define VSOCK_STREAM_CREDIT VSOCK_RING_BYTES
#define VSOCK_SEQ_CREDIT (192u << 10)

enum vsock_state {
	VSOCK_NEW,
	VSOCK_LISTENING,
	VSOCK_CONNECTING,
	VSOCK_CONNECTED,
	VSOCK_DONE,    /* the peer is gone; unread data may remain */
	VSOCK_CLOSING, /* no file any more: waits for the peer's RST, then is freed */
};

struct vsock {
	struct file file;
	struct vsock *next; /* all sockets */
	enum vsock_state state;
	uint16_t type;       /* VIRTIO_VSOCK_TYPE_* */
	uint32_t local_port; /* 0: not bound */
	uint32_t peer_port;
	uint32_t peer_cid;
	int error;                  /* SO_ERROR */
	uint8_t reason;             /* enum exo_reason: why it ended */
	bool shut_read, shut_write; /* by us */
	bool peer_no_send, peer_no_recv;

	/* Receiving. Stream: bytes. Seqpacket: a length word before each message. */
	uint8_t *ring;
	uint32_t head, count; /* of the ring */
	uint32_t open_msg;    /* bytes so far of the message that has no end yet */
	bool open_started;
	uint32_t complete; /* messages that have */
	uint32_t fwd_cnt, fwd_told;

	/* Sending. */
	uint32_t tx_cnt, peer_fwd_cnt, peer_buf_alloc;
	bool midway; /* a thread has sent a part of its message: no other packets with data */

	uint64_t rcv_timeout_ns, snd_timeout_ns, connect_timeout_ns; /* 0: none */
	struct timer timer;                                          /* of connecting, of closing */

	/* Direct: see vsock_direct.c. The queues' fields above are not used then. */
	bool direct; /* the bytes go through `shared`… */
	bool mapped; /* …which may be touched (still) */
	bool broken; /* the other end broke the ring: waits for the device's last word */
	struct exo_ring shared;
	uint32_t doorbell;                  /* rings the other end */
	unsigned in_sleepers, out_sleepers; /* threads that sleep on it */
	struct vsock *sleep_next, **sleep_at;
	uint64_t space_need; /* the least that a bell was asked for and not found yet */
	uint64_t poll_need;  /* what was missing when a write would have blocked */
	struct spin spin;

	/* Listening: connections not accepted yet. */
	struct vsock *queue_head, *queue_tail, *queue_next, *listener;
	unsigned queued, backlog;
};

extern struct vsock *vsock_all;

struct vsock *vsock_new(uint16_t type);
void vsock_free(struct vsock *s);
/* How long connecting may take where the program did not say. */
uint64_t vsock_connect_timeout(void);
/* A socket bound to the port, connected ones aside. */
struct vsock *vsock_bound(uint16_t type, uint32_t port);
int vsock_bind_any(struct vsock *s);
/* A packet without payload. */
bool vsock_control(struct vsock *s, uint16_t op, uint32_t flags);
/* The same, in a call of the program: waits until the device has room for it. */
bool vsock_control_wait(struct vsock *s, uint16_t op, uint32_t flags);
uint32_t vsock_credit(const struct vsock *s); /* bytes we may send */
uint32_t vsock_buf_alloc(const struct vsock *s);
/* The header of a packet with len bytes; counts them as sent. */
struct virtio_vsock_hdr vsock_header(struct vsock *s, uint16_t op, uint32_t flags, uint32_t len);
/* Copies out of the ring without taking: bytes copied from `skip` on. */
uint32_t vsock_ring_peek(const struct vsock *s, uint32_t skip, const struct iovec *iov, int n,
			 size_t at, uint32_t len);
/* Takes bytes out of the ring; `payload` of them count as read. */
void vsock_ring_drop(struct vsock *s, uint32_t len, uint32_t payload);
uint32_t vsock_ring_word(const struct vsock *s);
void vsock_connect_timer(struct vsock *s);
void vsock_broken_timer(struct vsock *s, uint64_t ns);
uint64_t vsock_deadline(uint64_t timeout_ns); /* 0: never */
/* Why it ended: enum exo_reason. */
unsigned vsock_reason(const struct vsock *s);
/* The last descriptor is closed. */
void vsock_close(struct vsock *s);

/* ---- socket_io.c: file operations and calls ------------------------------------ */

long vsock_readv(struct file *f, const struct iovec *iov, int n, int64_t off);
long vsock_writev(struct file *f, const struct iovec *iov, int n, int64_t off);
/* Sleeps until something happens to s. 0, or what the call returns. */
long vsock_wait(struct vsock *s, bool nonblock, uint64_t deadline);
bool vsock_has_data(struct vsock *s);
/* The socket behind an fd, or NULL and *err. */
struct vsock *vsock_of_fd(int fd, long *err);
/* The socket that a file is, or NULL. */
struct vsock *vsock_of_file(struct file *f);

/* ---- vsock_direct.c ------------------------------------------------------------ */

/* Makes it direct, as the payload of the packet that connects it says; false: it can't be. */
bool direct_attach(struct vsock *s, const uint8_t *data, uint32_t len);
/* Tells the other end that nothing more comes, or will be read. */
void direct_half_close(struct vsock *s, bool fin, bool stop);
long direct_send(struct vsock *s, const struct iovec *iov, int n, bool nonblock, bool eor);
long direct_recv(struct vsock *s, const struct iovec *iov, int n, int flags, bool nonblock,
		 int *out_flags);
/* For poll: is there something; will there be nothing more; would a write not block. */
bool direct_readable(struct vsock *s);
bool direct_at_end(const struct vsock *s);
/* Will the other end neither write nor read any more? */
bool direct_closed(const struct vsock *s);
bool direct_writable(struct vsock *s);
/* Would a write, a read of that many bytes not wait? Spins for data, if that pays: is there any? */
bool direct_has_room(const struct vsock *s, size_t bytes);
bool direct_has_all(const struct vsock *s, size_t bytes);
bool direct_spin_data(struct vsock *s);
/* Is it a direct connection that may be looked at for a while? */
bool direct_spins(struct file *f);
/* A poller is about to sleep: asks for the bell. */
void direct_poll_prepare(struct vsock *s);

#endif
