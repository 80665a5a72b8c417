/* The console's streams: output straight from the caller's memory, input through buffers. */
#include "console_impl.h"

#include <linux/virtio_console.h>

#define RX_BYTES 65536
#define WRITE_MAX (1u << 20)
#define IOV_CHAIN 8
#define PENDING_BYTES 4096 /* of a non-blocking write */
#define FLUSH_NS (2 * NS_PER_S)

APART static uint8_t rx_space[CONSOLE_RX_BUFFERS][RX_BYTES] __attribute__((aligned(4096)));
APART static uint8_t pending_space[2][PENDING_BYTES] __attribute__((aligned(4096)));

/* ---- output ------------------------------------------------------------ */

/* Port 1 is port 0 where the host has no second one. */
static unsigned real_port(unsigned port)
{
	return port && con.tried && !con.port_usable[1] ? 0 : port;
}

static bool output_done(unsigned port, uint32_t ticket)
{
	console_drain_output(port);
	return (int32_t)(con.taken[port] - ticket) >= 0;
}

/* Fills a chain from the iovecs from byte `at` on: number of buffers, *bytes of them. */
static unsigned chain_of(struct virtq_buf *b, const struct iovec *iov, int n, uint64_t at,
			 uint32_t *bytes)
{
	unsigned used = 0;

	*bytes = 0;
	for (int i = 0; i < n && used < IOV_CHAIN && *bytes < WRITE_MAX; i++) {
		uint64_t len = iov[i].iov_len;

		if (at >= len) {
			at -= len;
			continue;
		}
		len = MIN(len - at, WRITE_MAX - *bytes);
		b[used].p = (const uint8_t *)iov[i].iov_base + at;
		b[used++].len = (uint32_t)len;
		*bytes += (uint32_t)len;
		at = 0;
	}
	return used;
}

/* Sends one chain and waits until it was taken. 0 or -errno. */
static int send_chain(unsigned port, const struct virtq_buf *b, unsigned n)
{
	struct virtq *q = &con.q[console_tx_ring[port]];
	bool first = !con.tried;
	uint32_t ticket;

	if (first && !console_prepare())
		return -EIO;
	while (virtq_add(q, b, n, 0) < 0) {
		if (q->broken)
			return -EIO;
		if (!virtq_irq_on(q))
			thread_sleep_uninterruptible(&console_chan, DEADLINE_NEVER);
		console_drain_output(port);
	}
	ticket = ++con.sent[port];
	if (first)
		console_commit();
	else
		virtq_kick(con.dev, q);
	if (!con.dev)
		return -EIO;
	while (!output_done(port, ticket)) {
		if (q->broken)
			return -EIO;
		if (!virtq_irq_on(q))
			thread_sleep_uninterruptible(&console_chan, DEADLINE_NEVER);
	}
	if (con.sent[port] == con.taken[port]) /* nobody else waits for one */
		virtq_irq_off(q);
	if (con.broken[port] == 0 && virtq_has_used(&con.q[RX2]))
		console_drain_control();
	return -con.broken[port];
}

static long write_pending(unsigned port, const struct iovec *iov, int n)
{
	struct virtq *q = &con.q[console_tx_ring[port]];
	struct virtq_buf b = {pending_space[port], 0};

	if (!console_writable(port))
		return -EAGAIN;
	if (con.broken[port])
		return -con.broken[port];
	b.len = (uint32_t)iov_from(iov, n, 0, pending_space[port], PENDING_BYTES);
	if (virtq_add(q, &b, 1, 0) < 0)
		return -EAGAIN;
	con.pending_ticket[port] = ++con.sent[port];
	con.pending[port] = true;
	virtq_kick(con.dev, q);
	return b.len;
}

long console_write(unsigned port, const struct iovec *iov, int n, bool nonblock)
{
	uint64_t total = iov_total(iov, n), at = 0;

	if (total == 0)
		return 0;
	/* Our monitor's set-up takes the first chain along; others are asked for ports first. */
	if ((con.tried || !boot) && !console_ready())
		return -EIO;
	if (nonblock) {
		if (!console_ready())
			return -EIO;
		return write_pending(real_port(port), iov, n);
	}
	while (at < total) {
		struct virtq_buf b[IOV_CHAIN];
		uint32_t bytes;
		unsigned used = chain_of(b, iov, n, at, &bytes);
		int err;

		port = real_port(port);
		err = con.broken[port] ? -con.broken[port] : send_chain(port, b, used);
		if (err < 0)
			return at ? (long)at : err;
		at += bytes;
	}
	return (long)total;
}

bool console_writable(unsigned port)
{
	if (!console_ready())
		return true; /* it reports its error at once */
	port = real_port(port);
	if (con.pending[port]) {
		if (output_done(port, con.pending_ticket[port]))
			con.pending[port] = false;
		else
			virtq_irq_on(&con.q[console_tx_ring[port]]);
	}
	return !con.pending[port] || con.broken[port];
}

void console_flush(void)
{
	uint64_t deadline = clock_ns() + FLUSH_NS;

	for (unsigned port = 0; con.dev && port < 2; port++)
		while (con.pending[port] && !console_writable(port) && clock_ns() < deadline)
			thread_sleep_uninterruptible(&console_chan, deadline);
}

/* ---- input ------------------------------------------------------------- */

static void ask_for_input(void)
{
	if (con.input_asked)
		return;
	con.input_asked = true;
	for (unsigned i = 0; i < CONSOLE_RX_BUFFERS; i++) {
		struct virtq_buf b = {rx_space[i], RX_BYTES};
		int head = virtq_add(&con.q[RX0], &b, 0, 1);

		if (head >= 0 && head < CONSOLE_RX_BUFFERS)
			con.rx_buffer[head] = rx_space[i];
	}
	virtq_kick(con.dev, &con.q[RX0]);
}

/* Has the buffer in hand bytes left, or is there another? */
static bool input_buffer(void)
{
	if (con.rx_head >= 0)
		return true;
	con.rx_head = virtq_pop(&con.q[RX0], &con.rx_len);
	con.rx_at = 0;
	return con.rx_head >= 0;
}

static void give_back(void)
{
	struct virtq_buf b = {con.rx_buffer[con.rx_head], RX_BYTES};
	int head = virtq_add(&con.q[RX0], &b, 0, 1);

	con.rx_head = -1;
	if (head >= 0 && head < CONSOLE_RX_BUFFERS)
		con.rx_buffer[head] = (uint8_t *)(uintptr_t)b.p;
	virtq_kick(con.dev, &con.q[RX0]);
}

bool console_readable(void)
{
	bool ended;

	if ((boot && boot->flags & EXO_BOOT_STDIN_NULL) || !console_ready())
		return true;
	ask_for_input();
	console_drain_control();
	ended = con.input_ended; /* looked at first: all data was delivered before it */
	if (input_buffer() || ended || con.q[RX0].broken)
		return true;
	return virtq_irq_on(&con.q[RX0]);
}

long console_read(const struct iovec *iov, int n, bool nonblock)
{
	uint64_t want = iov_total(iov, n);
	size_t got;

	if (want == 0 || (boot && boot->flags & EXO_BOOT_STDIN_NULL))
		return 0;
	if (!console_ready())
		return -EIO;
	while (!console_readable()) {
		int err;

		if (nonblock)
			return -EAGAIN;
		err = thread_sleep(&console_chan, DEADLINE_NEVER);
		if (err < 0)
			return err;
	}
	if (!input_buffer())
		return con.q[RX0].broken ? -EIO : 0;
	got = iov_to(iov, n, 0, con.rx_buffer[con.rx_head] + con.rx_at, con.rx_len - con.rx_at);
	con.rx_at += (uint32_t)got;
	if (con.rx_at >= con.rx_len)
		give_back();
	return (long)got;
}

void console_close(unsigned port)
{
	if (!con.dev || !con.multiport || port != real_port(port))
		return;
	console_say(port, VIRTIO_CONSOLE_PORT_OPEN, 0);
	virtq_kick(con.dev, &con.q[CTX]);
}
