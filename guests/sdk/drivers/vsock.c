/* virtio-vsock: buffers and packets (vsock.h). Ring 3. */
#include "vsock.h"

#include "virtio.h"

#include "../posix/posix.h"

#include <exo/channel.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

enum { RX, TX, EVENT, QUEUES };

#define RX_BUFFERS 16
#define TX_RING 64
#define TX_DATA 16    /* slots with room for a payload */
#define TX_CONTROL 32 /* slots for a header alone */
#define CONTROL_SLOTS (((1ull << TX_CONTROL) - 1) << TX_DATA)
#define EVENT_BUFFERS 2
#define HDR sizeof(struct virtio_vsock_hdr)
#define SLOT_BYTES ((VSOCK_PACKET_BYTES + HDR + 63) & ~63ull)
#define WANTED (1ull << VIRTIO_VSOCK_F_SEQPACKET | 1ull << EXO_VSOCK_F_DIRECT)
#define FLUSH_NS NS_PER_S
#define SPIN_NS 50000

APART static struct {
	bool tried;
	struct virtio_dev *dev;
	uint32_t cid;
	uint64_t window, window_bytes; /* shared memory region; 0: none */
	struct virtq q[QUEUES];
	uint8_t *rx, *tx; /* SLOT_BYTES each buffer */
	uint8_t rx_by_head[RX_BUFFERS];
	uint8_t tx_by_head[TX_RING]; /* data slot, or TX_DATA + control slot */
	uint64_t tx_free;            /* bit n: data slot n, bit TX_DATA + n: control slot n */
	struct virtio_vsock_hdr control[TX_CONTROL];
	struct virtio_vsock_event event[EVENT_BUFFERS];
	unsigned tx_waiting; /* threads that wait for a data slot */
	bool draining;
} vs;

APART static uint8_t rings[VIRTQ_SPACE(RX_BUFFERS) + VIRTQ_SPACE(TX_RING) +
			   VIRTQ_SPACE(EVENT_BUFFERS)] __attribute__((aligned(VIRTQ_ALIGN)));

static bool used; /* there is a device: all that a program without sockets looks at */

static void post_rx(unsigned i)
{
	struct virtq_buf b = {vs.rx + i * SLOT_BYTES, SLOT_BYTES};
	int head = virtq_add(&vs.q[RX], &b, 0, 1);

	if (head >= 0)
		vs.rx_by_head[head] = (uint8_t)i;
}

static void post_event(unsigned i)
{
	struct virtq_buf b = {&vs.event[i], sizeof(vs.event[i])};

	virtq_add(&vs.q[EVENT], &b, 0, 1);
}

static void reclaim(void)
{
	uint64_t before = vs.tx_free;
	uint32_t len;
	int head;

	while ((head = virtq_pop(&vs.q[TX], &len)) >= 0)
		vs.tx_free |= 1ull << vs.tx_by_head[head];
	if (vs.tx_free != before)
		thread_wake(&vs);
}

static void on_interrupt(void *arg)
{
	virtio_ack(vs.dev);
	vsock_drain();
	reclaim();
	vsock_on_bell();
	thread_wake(&vs);
}

static void init_rings(bool event_idx)
{
	uint8_t *at = rings;

	virtq_init(&vs.q[RX], RX, at, RX_BUFFERS, event_idx);
	at += VIRTQ_SPACE(RX_BUFFERS);
	virtq_init(&vs.q[TX], TX, at, TX_RING, event_idx);
	at += VIRTQ_SPACE(TX_RING);
	virtq_init(&vs.q[EVENT], EVENT, at, EVENT_BUFFERS, event_idx);
	for (unsigned i = 0; i < RX_BUFFERS; i++)
		post_rx(i);
	for (unsigned i = 0; i < EVENT_BUFFERS; i++)
		post_event(i);
	virtq_irq_on(&vs.q[RX]);
	virtq_irq_on(&vs.q[EVENT]);
	vs.tx_free = (1ull << (TX_DATA + TX_CONTROL)) - 1;
}

/* Where the memory of direct connections is (VIRTIO 1.2, 4.2.2). Outside its place: not used. */
static void find_window(void)
{
	static const uint32_t reg[] = {VIRTIO_MMIO_SHM_BASE_LOW, VIRTIO_MMIO_SHM_BASE_HIGH,
				       VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_SHM_LEN_HIGH};
	uint64_t half[4];
	unsigned at[4];

	if (!(vs.dev->features >> EXO_VSOCK_F_DIRECT & 1))
		return;
	batch_begin();
	batch_write(vs.dev, VIRTIO_MMIO_SHM_SEL, EXO_VSOCK_SHM_ID);
	for (unsigned i = 0; i < 4; i++)
		at[i] = batch_read(vs.dev, reg[i]);
	batch_run();
	for (unsigned i = 0; i < 4; i++)
		half[i] = batch_value(at[i]);
	vs.window = half[0] | half[1] << 32;
	vs.window_bytes = half[2] | half[3] << 32;
	if (vs.window < EXO_WINDOW_GPA || vs.window_bytes > EXO_WINDOW_MAX ||
	    vs.window - EXO_WINDOW_GPA > EXO_WINDOW_MAX - vs.window_bytes)
		vs.window = vs.window_bytes = 0;
}

bool vsock_ready(void)
{
	struct virtq *all[] = {&vs.q[RX], &vs.q[TX], &vs.q[EVENT]};
	uint64_t cid;

	if (vs.tried)
		return vs.dev != NULL;
	vs.tried = true;
	vs.dev = virtio_find(VIRTIO_ID_VSOCK, 0);
	if (!vs.dev)
		return false;
	vs.rx = mem_pages(RX_BUFFERS * SLOT_BYTES);
	vs.tx = mem_pages(TX_DATA * SLOT_BYTES);
	if (!vs.rx || !vs.tx || virtio_negotiate(vs.dev, WANTED) < 0) {
		vs.dev = NULL;
		return false;
	}
	virtio_config_read(vs.dev, 0, &cid, sizeof(cid));
	vs.cid = (uint32_t)cid;
	find_window();
	init_rings(vs.dev->features & (1ull << VIRTIO_RING_F_EVENT_IDX));
	event_on_gsi(vs.dev->gsi, on_interrupt, NULL);
	virtio_setup_rings(vs.dev, all, QUEUES);
	used = true;
	return true;
}

uint32_t vsock_cid(void)
{
	return vs.cid;
}

uint8_t *vsock_window(size_t *bytes)
{
	*bytes = vs.window_bytes;
	return (uint8_t *)(uintptr_t)vs.window;
}

void vsock_ring(uint32_t doorbell)
{
	uint64_t reg =
		vs.dev->gpa + VIRTIO_MMIO_CONFIG + offsetof(struct exo_vsock_config, doorbell);

	*(volatile uint32_t *)(uintptr_t)reg = doorbell;
}

bool vsock_noticed(void)
{
	return sup->pending || virtq_has_used(&vs.q[RX]);
}

static int take_slot(uint64_t among)
{
	uint64_t mine;

	if (!(vs.tx_free & among))
		reclaim();
	mine = vs.tx_free & among;
	if (!mine)
		return -1;
	vs.tx_free &= ~(mine & -mine);
	return __builtin_ctzll(mine);
}

static bool enqueue(unsigned slot, const void *p, uint32_t len)
{
	struct virtq_buf b = {p, len};
	int head = virtq_add(&vs.q[TX], &b, 1, 0);

	if (head < 0)
		return false;
	vs.tx_by_head[head] = (uint8_t)slot;
	return true;
}

/* A slot, sooner or later; negative: the device broke. */
static int await_slot(uint64_t among)
{
	int slot;

	while ((slot = take_slot(among)) < 0 && !vs.q[TX].broken) {
		vsock_kick();
		vs.tx_waiting++;
		if (!virtq_irq_on(&vs.q[TX]))
			thread_sleep_uninterruptible(&vs, DEADLINE_NEVER);
		vs.tx_waiting--;
	}
	if (!vs.tx_waiting)
		virtq_irq_off(&vs.q[TX]);
	return slot;
}

int vsock_send(const struct virtio_vsock_hdr *h, const struct iovec *iov, int n, size_t at,
	       uint32_t len)
{
	int slot = await_slot((1ull << TX_DATA) - 1);
	uint8_t *p;

	if (slot < 0)
		return -EIO;
	p = vs.tx + (unsigned)slot * SLOT_BYTES;
	memcpy(p, h, HDR);
	iov_from(iov, n, at, p + HDR, len);
	return enqueue((unsigned)slot, p, (uint32_t)HDR + len) ? 0 : -EIO;
}

void vsock_kick(void)
{
	virtq_kick(vs.dev, &vs.q[TX]);
}

static bool send_header(int slot, const struct virtio_vsock_hdr *h)
{
	if (slot < 0)
		return false;
	vs.control[slot - TX_DATA] = *h;
	if (!enqueue((unsigned)slot, &vs.control[slot - TX_DATA], HDR))
		return false;
	vsock_kick();
	return true;
}

bool vsock_send_control(const struct virtio_vsock_hdr *h)
{
	return send_header(take_slot(CONTROL_SLOTS), h);
}

bool vsock_send_control_wait(const struct virtio_vsock_hdr *h)
{
	return send_header(await_slot(CONTROL_SLOTS), h);
}

static void on_rx(unsigned i, uint32_t len)
{
	const uint8_t *p = vs.rx + i * SLOT_BYTES;
	struct virtio_vsock_hdr h;

	if (len < HDR)
		return;
	memcpy(&h, p, HDR);
	if (h.len <= len - HDR)
		vsock_on_packet(&h, p + HDR, h.len);
}

void vsock_drain(void)
{
	uint32_t len;
	int head;

	if (!vs.dev || vs.draining)
		return;
	vs.draining = true;
	do {
		while ((head = virtq_pop(&vs.q[RX], &len)) >= 0) {
			unsigned i = vs.rx_by_head[head];

			on_rx(i, len);
			post_rx(i);
		}
		while ((head = virtq_pop(&vs.q[EVENT], &len)) >= 0) {
			vsock_on_reset();
			post_event((unsigned)head % EVENT_BUFFERS);
		}
		virtq_kick(vs.dev, &vs.q[RX]);
		virtq_kick(vs.dev, &vs.q[EVENT]);
	} while (virtq_irq_on(&vs.q[RX]) || virtq_irq_on(&vs.q[EVENT]));
	vs.draining = false;
}

void vsock_spin(void)
{
	uint64_t start = clock_ns();

	if (!vs.dev || thread_others_runnable())
		return;
	virtq_irq_off(&vs.q[RX]);
	while (!virtq_has_used(&vs.q[RX]) && !sup->pending && clock_ns() - start < SPIN_NS)
		__asm__ volatile("pause");
	vsock_drain();
}

void vsock_flush(void)
{
	uint64_t deadline = clock_ns() + FLUSH_NS;

	if (!used)
		return;
	vsock_kick();
	while (vs.q[TX].nfree < vs.q[TX].size && !vs.q[TX].broken && clock_ns() < deadline) {
		if (!virtq_irq_on(&vs.q[TX]))
			thread_sleep_uninterruptible(&vs, deadline);
		reclaim();
	}
}
