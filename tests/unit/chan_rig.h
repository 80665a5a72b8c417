/*
 * For the tests of vsock's channels: a device with a session's messages, and the
 * other end of a ring, which the test plays.
 */
#ifndef CHAN_RIG_H
#define CHAN_RIG_H

#include "peer.h"
#include "vsock_rig.h"

#define CONN 77u   /* number of the connection, unless said otherwise */
#define SERVED 80u /* port that the guest serves */
#define PEER_KEY 9u
#define COOKIE 0x1122334455667788ull

struct chan_rig {
	struct vsock_rig v;
	uint32_t host_port, guest_port; /* of the connection that is talked about */
	uint32_t conn;                  /* CONN, unless set */
	uint16_t type;
	/* The other end. */
	uint32_t bytes; /* of each ring */
	uint8_t *base;
	struct peer far;            /* rings the device's doorbell */
	int far_bell;               /* rung for us */
	struct exo_vsock_desc desc; /* that the guest got */
};

/* A device; with direct the driver is offered the feature and takes it, if it is not held back. */
void chan_rig_init(struct chan_rig *c, bool session, bool direct);
void chan_rig_finish(struct chan_rig *c);
/* A new ring for the next connection; its descriptor. `mirror`: we are side 0. */
int chan_rig_ring(struct chan_rig *c, uint32_t bytes, bool opener, uint16_t type);

/* The guest's request is answered with a ring; it got RESPONSE. */
void chan_rig_connect(struct chan_rig *c, uint32_t bytes, uint16_t type, uint64_t max_rate);
/* A ring is offered to the guest, which has answered; ACCEPTED was said. */
void chan_rig_accept(struct chan_rig *c, uint32_t bytes, uint16_t type);
/* The message that offers a ring. */
struct exo_vmm_channel chan_rig_offer(const struct chan_rig *c);

/* A packet of the connection from the guest. */
void chan_rig_send(struct chan_rig *c, uint16_t op, uint32_t flags, const void *data, uint32_t len);
/* The next event is CHANNEL_STATE with these. */
struct exo_vmm_channel_state chan_rig_state(struct chan_rig *c, uint32_t state, uint32_t reason);
/* There is no event. */
void chan_rig_no_event(struct chan_rig *c);

/* Was our doorbell rung? Silences it. */
bool chan_rig_rung(struct chan_rig *c);
/* All that the other end can read now; bytes, and its end or error in *why (0: none). */
size_t chan_rig_read(struct chan_rig *c, void *buf, size_t max, int *why);

#endif
