/*
 * A vsock device with a driver that speaks its packets, for the vsock tests.
 */
#ifndef VSOCK_RIG_H
#define VSOCK_RIG_H

#include "drv.h"
#include "vsock.h"

#include <linux/virtio_vsock.h>

#define STREAM VIRTIO_VSOCK_TYPE_STREAM
#define SEQPACKET VIRTIO_VSOCK_TYPE_SEQPACKET
#define GUEST_PORT 1000u
#define HOST_PORT 7u

struct vsock_rig {
	struct drv d;
	gpa_t rx_gpa[256]; /* buffer of each rx head */
	uint32_t rx_bytes;
	gpa_t tx_gpa;
	int bell_fd;       /* by which rings' other ends wake the device */
	uint64_t features; /* that the driver wants */
	/* What the next packets say; by default a generous, truthful guest. */
	uint32_t buf_alloc, fwd_cnt;
	uint64_t src_cid, dst_cid;
	/* The packet last received. */
	struct virtio_vsock_hdr h;
	const uint8_t *payload;
};

/* A started device with `buffers` rx buffers of `bytes` each. */
void vsock_rig_init(struct vsock_rig *r, unsigned buffers, uint32_t bytes);
void vsock_rig_make(struct vsock_rig *r); /* only the device */
void vsock_rig_make_for(struct vsock_rig *r, bool direct);
void vsock_rig_start(struct vsock_rig *r, unsigned buffers, uint32_t bytes);
void vsock_rig_finish(struct vsock_rig *r);
/* More rx buffers. */
void vsock_rig_post(struct vsock_rig *r, unsigned n);

/* Offers a packet; true if the device took it at once. */
bool vsock_rig_offer(struct vsock_rig *r, const struct virtio_vsock_hdr *h, const void *data,
		     uint32_t len);
/* A packet from GUEST_PORT to HOST_PORT. */
void vsock_rig_send(struct vsock_rig *r, uint16_t type, uint16_t op, uint32_t flags,
		    const void *data, uint32_t len);
/* The next packet from the device into r->h and r->payload; its buffer is offered again. */
bool vsock_rig_recv(struct vsock_rig *r);
/* The same, checked. */
void vsock_rig_expect(struct vsock_rig *r, uint16_t op);
/* Nothing comes, and nothing wakes up. */
void vsock_rig_expect_quiet(struct vsock_rig *r);

/* The other end of fd is closed, or won't send any more. */
void vsock_rig_expect_eof(int fd);

/* The guest connects; the other end of the accepted host socket. */
int vsock_rig_connect(struct vsock_rig *r, uint16_t type);
/* The request that the guest just made, as the owner sees it; its id. */
struct exo_vmm_vsock vsock_rig_request(struct vsock_rig *r);
uint32_t vsock_rig_asked(struct vsock_rig *r);
/* The owner's functions, for connections without a number. */
int vsock_rig_open(struct vsock_rig *r, int fd, uint32_t port, uint16_t type, bool say_ok);
void vsock_rig_reply(struct vsock_rig *r, uint32_t id, int status, int fd);

/* Open file descriptors of this process. */
unsigned vsock_rig_fds(void);
void vsock_rig_fill(uint8_t *p, size_t len, unsigned seed);

#endif
