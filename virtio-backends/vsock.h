/*
 * virtio-vsock (VIRTIO 1.2, 5.10): stream and seqpacket connections between the
 * guest and CID 2. What is at the other end is the owner's decision: a
 * connected Unix socket of the same type (SOCK_STREAM or SOCK_SEQPACKET), or a
 * ring in shared memory (exo/ring.h) whose other end is another guest or its
 * VMM. A ring goes to the guest itself if its driver can (exo/channel.h), else
 * the device is its end. Limits: docs/devices.md.
 *
 * Events (vdev_host.event), for the owner:
 *   struct exo_vmm_vsock, EXO_VMM_VSOCK_REQUEST: the guest connects to a port of
 *   CID 2. To be answered by vsock_reply or vsock_channel with its id.
 *   struct exo_vmm_channel_state, of connections that have a number (`conn`):
 *   ACCEPTED or REFUSED, once, for those that the owner offered to the guest; CLOSED
 *   or REFUSED, once, when one is forgotten, also if the owner closed it. Then all
 *   that the guest has sent is with the other end, or lost.
 */
#ifndef VSOCK_H
#define VSOCK_H

#include "vdev.h"

#include <exo/channel.h>
#include <exo/vmm.h>

#define VSOCK_GUEST_CID 3u
#define VSOCK_CONNS_MAX 256        /* connections at once, both directions (H-21) */
#define VSOCK_MESSAGE_MAX 65536u   /* bytes of one seqpacket message, but to a guest from a ring */
#define VSOCK_BUFFER_LARGE 262144u /* what a connection may have on its way to the host… */
#define VSOCK_BUFFERS_LARGE 16u    /* …as long as there are few; then, and for seqpacket: */
#define VSOCK_BUFFER_SMALL 65536u
#define VSOCK_TIMEOUT_NS 2000000000u /* for connecting, and for the guest to end a connection */
/* For a session's answer to a request: it may start a provider first. */
#define VSOCK_ASK_TIMEOUT_NS 60000000000ull

struct vsock_resources {
	uint64_t guest_cid;
	/*
	 * By this eventfd (non-blocking) other ends wake the device: stays the
	 * caller's, outlives the device. -1: none, and rings only go to the guest.
	 */
	int vmm_bell_fd;
	/*
	 * There is a session, vdev_host has map, unmap, bell and unbell, and the
	 * caller sets shm_base and shm_bytes before the guest sees the device:
	 * offers EXO_VSOCK_F_DIRECT.
	 */
	bool direct;
};

/* The device, or NULL with errno set. */
struct vdev *vsock_create(const struct gmem *mem, const struct vdev_host *host,
			  const struct vsock_resources *res);

/*
 * The functions below take the device's lock: not for callbacks of vdev_host.
 * vsock_channel maps memory: for the event loop's thread only.
 */

/*
 * Connects fd to the guest's port m->port; type, flags, conn, cookie and max_rate as in
 * exo/vmm.h. Once the guest has accepted, "OK <host port>\n" is written to fd
 * if EXO_VSOCK_SAY_OK, and data flows; if it refuses or does not answer in
 * time, fd is closed. Before the guest's driver runs, the request waits for it.
 * 0 with fd owned by the device, or -errno with fd still the caller's: -EINVAL
 * (type), -EPROTONOSUPPORT (seqpacket, and the driver can't), -ENFILE (full),
 * -EEXIST (conn). If it has a conn, REFUSED was sent as well.
 */
int vsock_open(struct vdev *dev, int fd, const struct exo_vmm_vsock *m);

/*
 * Answers the request m->id: status 0 and the connected fd (with conn, cookie
 * and max_rate), or -errno and fd -1, which the guest sees as refused, for
 * m->reason. Owns fd in any case. An answer that comes too late closes it, and
 * says REFUSED if it has a conn.
 */
void vsock_reply(struct vdev *dev, const struct exo_vmm_vsock *m, int fd);

/*
 * One end of a ring, offered to the guest (m->request 0) or as the answer to its
 * request. ring_fd: the sealed memfd; bell_fd: wakes the other end. Owns both in
 * any case. 0, or -errno: -EINVAL (a field), -ESRCH (no such request any more),
 * -EPROTONOSUPPORT, -ENFILE (full), -ENOSPC (no room in the window), -ENOSYS (this
 * process can't), or that of mapping. Then REFUSED was sent, with request 0 and without;
 * a guest that had asked got its RST.
 * While no driver runs an offer waits for it, as vsock_open does.
 */
int vsock_channel(struct vdev *dev, const struct exo_vmm_channel *m, int ring_fd, int bell_fd);

/*
 * Ends the connection with that number, if there is one. REVOKED, EXPIRED: at
 * once, the memory is unmapped, the guest gets RST. Else the other end is gone: the guest
 * may read what that sent, then finds the end.
 */
void vsock_close_conn(struct vdev *dev, uint32_t conn, enum exo_reason reason);

/*
 * Counters of the connections that have a number, but for the first `from`: at
 * most `max` entries; how many were written. To be called again with from +=
 * that until it is less than max.
 */
unsigned vsock_list_channels(struct vdev *dev, unsigned from, struct exo_vmm_channel_info *info,
			     unsigned max);

/*
 * Bytes that the guest has sent and that are still to be written to the other
 * ends. A guest that ended may leave some: kick the queues once more, then
 * run the event loop until this is 0, or patience ends.
 */
size_t vsock_pending(struct vdev *dev);

#endif
