#include "console.h"

#include "virtio.h"

#include "../posix/posix.h"

#include <fcntl.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

/*
 * Queue numbers (5.3.2): port 0 has 0 and 1, the control queues are 2 and 3,
 * port n has 2n + 2 and 2n + 3.
 */
enum ring { RX0, TX0, CRX, CTX, TX1, RX2, TX2, RINGS };
static const struct {
	uint8_t queue, size;
} shape[RINGS] = {
	[RX0] = {0, 4}, [TX0] = {1, 16}, [CRX] = {2, 16}, [CTX] = {3, 8},
	[TX1] = {5, 16}, [RX2] = {6, 4}, [TX2] = {7, 4},
};
static const enum ring tx_ring[2] = {TX0, TX1};

#define RX_BUFFERS 4
#define RX_BYTES 16384
#define CRX_BYTES 40 /* a control message and a name */
#define WRITE_MAX (1u << 20)
#define IOV_CHAIN 8
#define PENDING_BYTES 4096 /* of a non-blocking write */
#define FLUSH_NS (2 * NS_PER_S)

/* Everything a short program touches, side by side. */
static struct {
	uint8_t rings[2048] __attribute__((aligned(VIRTQ_ALIGN)));
	struct virtio_console_control to_host[8];
	uint8_t from_host[16][CRX_BYTES];
	struct exo_ctl ctl_in[4], ctl_out[4];
} page __attribute__((aligned(64)));

_Static_assert(VIRTQ_SPACE(4) * 3 + VIRTQ_SPACE(8) + VIRTQ_SPACE(16) * 3 <= 2048, "rings fit");

static struct {
	struct virtio_dev *dev;
	struct virtq q[RINGS];
	bool tried, multiport;
	bool port_usable[EXO_PORTS];
	int broken[2];       /* errno of a port's output, 0 while it works */
	bool input_asked;    /* buffers are posted */
	bool input_ended;
	uint16_t rx_at;      /* bytes taken from the buffer in hand */
	int rx_head;         /* that buffer, -1: none */
	uint32_t rx_len;
	uint8_t *rx_buffer[RX_BUFFERS]; /* by head */
	bool listening;
	bool pending[2];     /* a non-blocking write is under way */
	uint32_t pending_ticket[2];
	/* Chains given to the host and taken by it, which it does in order. */
	uint32_t sent[2], taken[2];
} con = {.rx_head = -1};

APART static uint8_t rx_space[RX_BUFFERS][RX_BYTES] __attribute__((aligned(4096)));
APART static uint8_t pending_space[2][PENDING_BYTES] __attribute__((aligned(4096)));

const char console_chan;

static void post(enum ring ring, const void *p, uint32_t len, bool in)
{
	struct virtq_buf b = {p, len};

	virtq_add(&con.q[ring], &b, !in, in);
}

static void say(uint32_t port, uint16_t event, uint16_t value)
{
	static unsigned next;
	struct virtio_console_control *m = &page.to_host[next++ % 8];
	uint32_t len;

	while (virtq_pop(&con.q[CTX], &len) >= 0)
		;
	*m = (struct virtio_console_control){.id = port, .event = event, .value = value};
	post(CTX, m, sizeof(*m), false);
}

static void init_rings(bool event_idx)
{
	uint8_t *at = page.rings;

	for (unsigned i = 0; i < RINGS; i++) {
		virtq_init(&con.q[i], shape[i].queue, at, shape[i].size, event_idx);
		at += VIRTQ_SPACE(shape[i].size);
	}
	for (unsigned i = 0; i < 16; i++)
		post(CRX, page.from_host[i], CRX_BYTES, true);
	for (unsigned i = 0; i < 4; i++)
		post(RX2, &page.ctl_in[i], sizeof(page.ctl_in[i]), true);
	virtq_irq_on(&con.q[CRX]);
	virtq_irq_on(&con.q[RX2]);
}

static void open_port(unsigned port)
{
	con.port_usable[port] = true;
	say(port, VIRTIO_CONSOLE_PORT_READY, 1);
	say(port, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void on_control(const uint8_t *p, uint32_t len)
{
	static const char *const names[EXO_PORTS] = {"", "exo.stderr", "exo.control"};
	struct virtio_console_control m;

	if (len < sizeof(m))
		return;
	memcpy(&m, p, sizeof(m));
	if (m.id >= EXO_PORTS)
		return;
	switch (m.event) {
	case VIRTIO_CONSOLE_PORT_ADD: /* boot: our monitor has all three, already open */
		if (!boot) {
			con.port_usable[m.id] = true;
			say(m.id, VIRTIO_CONSOLE_PORT_READY, 1);
		}
		break;
	case VIRTIO_CONSOLE_PORT_NAME:
		p += sizeof(m);
		len -= (uint32_t)sizeof(m);
		if (m.id && !boot && (len < strlen(names[m.id]) ||
				      memcmp(p, names[m.id], strlen(names[m.id])) != 0))
			con.port_usable[m.id] = false; /* somebody else's */
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (m.id == EXO_PORT_STDIO)
			con.input_ended = !m.value;
		else if (m.id == EXO_PORT_STDERR && !m.value && boot)
			con.broken[1] = EPIPE;
		break;
	}
}

static void on_record(const struct exo_ctl *c)
{
	switch (c->type) {
	case EXO_CTL_SIGNAL:
		signal_send(NULL, (int)c->arg0, SI_USER);
		break;
	case EXO_CTL_WINCH:
		tty_resized((uint16_t)c->arg0, (uint16_t)c->arg1);
		signal_send(NULL, SIGWINCH, SI_KERNEL);
		break;
	case EXO_CTL_BROKEN:
		if (c->arg0 < 2)
			con.broken[c->arg0] = c->arg1 > 0 && c->arg1 < 4096 ? (int)c->arg1 : EPIPE;
		break;
	}
}

/* Takes in what the host has sent on the two control channels. */
static void drain_control(void)
{
	bool again = false;
	uint32_t len;
	int head;

	while ((head = virtq_pop(&con.q[CRX], &len)) >= 0) {
		on_control(page.from_host[head], len);
		post(CRX, page.from_host[head], CRX_BYTES, true);
		again = true;
	}
	while ((head = virtq_pop(&con.q[RX2], &len)) >= 0) {
		struct exo_ctl c = page.ctl_in[head];

		post(RX2, &page.ctl_in[head], sizeof(page.ctl_in[head]), true);
		if (len == sizeof(c))
			on_record(&c);
		again = true;
	}
	if (!again)
		return;
	virtq_irq_on(&con.q[CRX]);
	virtq_irq_on(&con.q[RX2]);
	virtq_kick(con.dev, &con.q[CRX]);
	virtq_kick(con.dev, &con.q[RX2]);
	virtq_kick(con.dev, &con.q[CTX]);
}

static void drain_output(unsigned port)
{
	uint32_t len;

	while (virtq_pop(&con.q[tx_ring[port]], &len) >= 0)
		con.taken[port]++;
}

static void on_interrupt(void *arg)
{
	virtio_ack(con.dev);
	drain_control();
	drain_output(0);
	drain_output(1);
	thread_wake(&console_chan);
}

/* Our monitor: what the device has is known, so one list does it, first output included. */
static bool setup_known(void)
{
	struct virtq *q[] = {&con.q[CRX], &con.q[CTX], &con.q[RX2], &con.q[TX2],
			     &con.q[RX0], &con.q[TX0], &con.q[TX1]};

	con.multiport = true;
	return virtio_setup_at_once(con.dev, 1ull << VIRTIO_CONSOLE_F_MULTIPORT, q, RINGS);
}

/* Waits for the host to have carried out our control messages: its answers are there then. */
static void control_settle(void)
{
	uint64_t deadline = clock_ns() + NS_PER_S;
	uint32_t len;

	virtq_kick(con.dev, &con.q[CTX]);
	while (con.q[CTX].nfree < con.q[CTX].size && clock_ns() < deadline) {
		if (virtq_pop(&con.q[CTX], &len) < 0)
			__asm__ volatile("pause");
	}
	drain_control();
}

/* Any monitor: asks first. Ports 1 and 2 are ours if they have no name or the right one. */
static void setup_probed(void)
{
	struct virtq *all[] = {&con.q[CRX], &con.q[CTX], &con.q[RX2], &con.q[TX2],
			       &con.q[RX0], &con.q[TX0], &con.q[TX1]};
	struct virtq *plain[] = {&con.q[RX0], &con.q[TX0]};

	con.multiport = con.dev->features & (1ull << VIRTIO_CONSOLE_F_MULTIPORT);
	if (!con.multiport) {
		virtio_setup_rings(con.dev, plain, 2);
		con.port_usable[0] = true;
		return;
	}
	virtio_setup_rings(con.dev, all, RINGS);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	control_settle(); /* the host announces its ports, and we say we are ready for them */
	control_settle(); /* it names them */
	open_port(0);
	if (con.port_usable[1])
		open_port(1);
	control_settle();
}

/*
 * The first of two steps to a working console: rings and what goes into them.
 * The caller may add its own output before the second. False: there is none.
 */
static bool prepare(void)
{
	con.tried = true;
	con.dev = virtio_find(VIRTIO_ID_CONSOLE, 0);
	if (!con.dev)
		return false;
	if (!boot && virtio_negotiate(con.dev, 1ull << VIRTIO_CONSOLE_F_MULTIPORT) < 0) {
		con.dev = NULL;
		return false;
	}
	init_rings(boot || con.dev->features & (1ull << VIRTIO_RING_F_EVENT_IDX));
	if (boot) {
		say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		open_port(0);
		open_port(1);
	}
	return true;
}

static void commit(void)
{
	if (!boot)
		setup_probed();
	else if (!setup_known())
		con.dev = NULL;
	syscall_defer(console_listen);
}

static bool ready(void)
{
	if (!con.tried && prepare())
		commit();
	return con.dev != NULL;
}

/*
 * Interrupts and the control port. Not part of the set-up, because they cost
 * several exits that a program which only prints and exits does not need. Until
 * the port is open the host ends the program by itself when it shall get a signal.
 */
void console_listen(void)
{
	if (con.listening)
		return;
	con.listening = true;
	if (!ready())
		return;
	event_on_gsi(con.dev->gsi, on_interrupt, NULL);
	if (boot || con.port_usable[EXO_PORT_CONTROL]) {
		open_port(EXO_PORT_CONTROL);
		virtq_kick(con.dev, &con.q[CTX]);
	}
	drain_control();
}

int console_control(uint32_t type, uint32_t arg0)
{
	static unsigned next;
	struct exo_ctl *c = &page.ctl_out[next % 4];
	uint32_t len;

	console_listen();
	if (!con.dev || !con.port_usable[EXO_PORT_CONTROL])
		return -ENOTTY;
	while (virtq_pop(&con.q[TX2], &len) >= 0)
		;
	if (con.q[TX2].nfree == 0)
		return -EAGAIN;
	next++;
	*c = (struct exo_ctl){.type = type, .arg0 = arg0};
	post(TX2, c, sizeof(*c), false);
	virtq_kick(con.dev, &con.q[TX2]);
	return 0;
}

/* ---- output ------------------------------------------------------------ */

/* Port 1 is port 0 where the host has no second one. */
static unsigned real_port(unsigned port)
{
	return port && con.tried && !con.port_usable[1] ? 0 : port;
}

static bool output_done(unsigned port, uint32_t ticket)
{
	drain_output(port);
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
	struct virtq *q = &con.q[tx_ring[port]];
	bool first = !con.tried;
	uint32_t ticket;

	if (first && !prepare())
		return -EIO;
	while (virtq_add(q, b, n, 0) < 0) {
		if (q->broken)
			return -EIO;
		virtq_irq_on(q);
		thread_sleep_uninterruptible(&console_chan, DEADLINE_NEVER);
	}
	ticket = ++con.sent[port];
	if (first)
		commit();
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
	virtq_irq_off(q);
	if (con.broken[port] == 0 && virtq_has_used(&con.q[RX2]))
		drain_control();
	return -con.broken[port];
}

static long write_pending(unsigned port, const struct iovec *iov, int n)
{
	struct virtq *q = &con.q[tx_ring[port]];
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
	if ((con.tried || !boot) && !ready())
		return -EIO;
	if (nonblock) {
		if (!ready())
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
	if (!ready())
		return true; /* it reports its error at once */
	port = real_port(port);
	if (con.pending[port]) {
		if (output_done(port, con.pending_ticket[port]))
			con.pending[port] = false;
		else
			virtq_irq_on(&con.q[tx_ring[port]]);
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
	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		struct virtq_buf b = {rx_space[i], RX_BYTES};
		int head = virtq_add(&con.q[RX0], &b, 0, 1);

		if (head >= 0 && head < RX_BUFFERS)
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
	if (head >= 0 && head < RX_BUFFERS)
		con.rx_buffer[head] = (uint8_t *)(uintptr_t)b.p;
	virtq_kick(con.dev, &con.q[RX0]);
}

bool console_readable(void)
{
	bool ended;

	if ((boot && boot->flags & EXO_BOOT_STDIN_NULL) || !ready())
		return true;
	ask_for_input();
	drain_control();
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
	if (!ready())
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
	con.rx_at = (uint16_t)(con.rx_at + got);
	if (con.rx_at >= con.rx_len)
		give_back();
	return (long)got;
}

void console_close(unsigned port)
{
	if (!con.dev || !con.multiport || port != real_port(port))
		return;
	say(port, VIRTIO_CONSOLE_PORT_OPEN, 0);
	virtq_kick(con.dev, &con.q[CTX]);
}
