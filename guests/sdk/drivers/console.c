/* virtio-console: set-up, control messages, records of the control port (console.h). Ring 3. */
#include "console_impl.h"

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

static const struct {
	uint8_t queue, size;
} shape[RINGS] = {
	[RX0] = {0, 4},  [TX0] = {1, 16}, [CRX] = {2, 16}, [CTX] = {3, 8},
	[TX1] = {5, 16}, [RX2] = {6, 4},  [TX2] = {7, 4},
};

#define CRX_BYTES 40 /* a control message and a name */

/* Everything a short program touches, side by side. */
static struct {
	uint8_t rings[2048] __attribute__((aligned(VIRTQ_ALIGN)));
	struct virtio_console_control to_host[8];
	uint8_t from_host[16][CRX_BYTES];
	struct exo_ctl ctl_in[4], ctl_out[4];
} page __attribute__((aligned(64)));

_Static_assert(VIRTQ_SPACE(4) * 3 + VIRTQ_SPACE(8) + VIRTQ_SPACE(16) * 3 <= 2048, "rings fit");

struct console con = {.rx_head = -1};
const enum ring console_tx_ring[2] = {TX0, TX1};

const char console_chan;

static void post(enum ring ring, const void *p, uint32_t len, bool in)
{
	struct virtq_buf b = {p, len};

	virtq_add(&con.q[ring], &b, !in, in);
}

void console_say(uint32_t port, uint16_t event, uint16_t value)
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
	console_say(port, VIRTIO_CONSOLE_PORT_READY, 1);
	console_say(port, VIRTIO_CONSOLE_PORT_OPEN, 1);
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
			console_say(m.id, VIRTIO_CONSOLE_PORT_READY, 1);
		}
		break;
	case VIRTIO_CONSOLE_PORT_NAME:
		p += sizeof(m);
		len -= (uint32_t)sizeof(m);
		if (m.id && !boot &&
		    (len < strlen(names[m.id]) || memcmp(p, names[m.id], strlen(names[m.id])) != 0))
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

void console_drain_control(void)
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

void console_drain_output(unsigned port)
{
	uint32_t len, before = con.taken[port];

	while (virtq_pop(&con.q[console_tx_ring[port]], &len) >= 0)
		con.taken[port]++;
	if (con.taken[port] != before)
		thread_wake(&console_chan); /* it may be another thread's that came back */
}

static void on_interrupt(void *arg)
{
	virtio_ack(con.dev);
	console_drain_control();
	console_drain_output(0);
	console_drain_output(1);
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
	console_drain_control();
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
	console_say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	control_settle(); /* the host announces its ports, and we say we are ready for them */
	control_settle(); /* it names them */
	open_port(0);
	if (con.port_usable[1])
		open_port(1);
	control_settle();
}

bool console_prepare(void)
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
		console_say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		open_port(0);
		open_port(1);
		/* Ready, for errors of the output; opened when interrupts are (console_listen). */
		console_say(EXO_PORT_CONTROL, VIRTIO_CONSOLE_PORT_READY, 1);
	}
	return true;
}

void console_commit(void)
{
	if (!boot)
		setup_probed();
	else if (!setup_known())
		con.dev = NULL;
	syscall_defer(console_listen);
}

bool console_ready(void)
{
	if (!con.tried && console_prepare())
		console_commit();
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
	if (!console_ready())
		return;
	event_on_gsi(con.dev->gsi, on_interrupt, NULL);
	if (boot || con.port_usable[EXO_PORT_CONTROL]) {
		con.port_usable[EXO_PORT_CONTROL] = true;
		console_say(EXO_PORT_CONTROL, VIRTIO_CONSOLE_PORT_OPEN, 1);
		virtq_kick(con.dev, &con.q[CTX]);
	}
	on_interrupt(NULL); /* what happened before went unheard */
}

bool console_listening(void)
{
	return con.listening;
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
