/*
 * virtio-vsock (VIRTIO 1.2, 5.10): stream and seqpacket connections between
 * the guest and the host, CID 2. The host end of a connection is a connected
 * Unix socket of the same type (SOCK_STREAM or SOCK_SEQPACKET); who may connect
 * to what is the owner's decision. Limits: docs/devices.md.
 */
#ifndef VSOCK_H
#define VSOCK_H

#include "vdev.h"

#define VSOCK_GUEST_CID 3u
#define VSOCK_CONNS_MAX 256        /* connections at once, both directions (H-21) */
#define VSOCK_MESSAGE_MAX 65536u   /* bytes of one seqpacket message */
#define VSOCK_BUFFER_LARGE 262144u /* what a connection may have on its way to the host… */
#define VSOCK_BUFFERS_LARGE 16u    /* …as long as there are few; then, and for seqpacket: */
#define VSOCK_BUFFER_SMALL 65536u
#define VSOCK_TIMEOUT_NS 2000000000u /* for connecting, and for the guest to end a connection */

/*
 * The device, or NULL with errno set. Sends upward (vdev_host.event): struct
 * exo_vmm_vsock, EXO_VMM_VSOCK_REQUEST, when the guest connects to a port of
 * the host; to be answered by vsock_reply with the same id, or it times out.
 */
struct vdev *vsock_create(const struct gmem *mem, const struct vdev_host *host, uint64_t guest_cid);

/* The functions below take the device's lock: not for callbacks of vdev_host. */

/*
 * Connects fd to a port of the guest. `type` is VIRTIO_VSOCK_TYPE_*. Once the
 * guest has accepted, "OK <host port>\n" is written to fd if say_ok, and data
 * flows; if it refuses or does not answer in time, fd is closed. Before the
 * guest's driver runs, the request waits for it. `id` is for the caller's own
 * messages and not interpreted.
 * 0 with fd owned by the device, or -errno with fd still the caller's: -EINVAL
 * (type), -EPROTONOSUPPORT (seqpacket, and the driver can't), -ENFILE (full).
 */
int vsock_open(struct vdev *dev, int fd, uint32_t port, uint32_t type, bool say_ok, uint32_t id);

/*
 * Answers a request: status 0 and the connected fd, or -errno and fd -1, which
 * the guest sees as refused. Owns fd in any case; an answer that comes too
 * late closes it.
 */
void vsock_reply(struct vdev *dev, uint32_t id, int status, int fd);

/*
 * Bytes that the guest has sent and that are still to be written to the host's
 * sockets. A guest that ended may leave some: kick the queues once more, then
 * run the event loop until this is 0, or patience ends.
 */
size_t vsock_pending(struct vdev *dev);

#endif
