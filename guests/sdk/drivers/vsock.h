/*
 * Driver of virtio-vsock (VIRTIO 1.2, 5.10): packets in and out. Connections are
 * posix/vsock_conn.c's business. Set up on first use.
 */
#ifndef DRIVERS_VSOCK_H
#define DRIVERS_VSOCK_H

#include <linux/virtio_vsock.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VSOCK_PACKET_BYTES 16384 /* of payload, at most, in a packet we send */

/* Is there a device? Sets it up. */
bool vsock_ready(void);
/* The guest's address. */
uint32_t vsock_cid(void);

/* The device's shared memory region: its address and size; 0 without the direct path. */
uint8_t *vsock_window(size_t *bytes);
/* Rings the other end of a direct connection. */
void vsock_ring(uint32_t doorbell);

/*
 * Queues a packet with len bytes of the iovecs from byte `at` on, which are
 * copied. Waits for room. 0 or -EIO. vsock_kick makes the device look.
 */
int vsock_send(const struct virtio_vsock_hdr *h, const struct iovec *iov, int n, size_t at,
	       uint32_t len);
void vsock_kick(void);
/* Queues a packet without payload and kicks; false if there is no room. Never waits. */
bool vsock_send_control(const struct virtio_vsock_hdr *h);
/* The same, but waits for room; for calls of the program. False: the device broke. */
bool vsock_send_control_wait(const struct virtio_vsock_hdr *h);

/* Takes in what has arrived: calls the two functions below. */
void vsock_drain(void);
/*
 * Looks for packets a little while, which is cheaper than an interrupt for an
 * answer that comes at once. Before sleeping; not if another thread could run.
 */
void vsock_spin(void);
/* Something for vsock_drain, or an interrupt of any kind, is there. */
bool vsock_noticed(void);
/* Waits until the device has everything that was sent; bounded. */
void vsock_flush(void);

/* Implemented by posix/vsock_conn.c; may not wait. `len` bytes of data are there. */
void vsock_on_packet(const struct virtio_vsock_hdr *h, const uint8_t *data, uint32_t len);
/* An interrupt: looks at the direct connections that somebody sleeps on. */
void vsock_on_bell(void);
/* All connections are gone (5.10.6.7). */
void vsock_on_reset(void);

#endif
