/*
 * virtio-console, multiport (VIRTIO 1.2, 5.3). Runs under the device's lock in
 * vCPU threads (doorbells) and in the event loop (streams became ready).
 *
 * What the device wants to tell the driver is kept as flags, never as a queue
 * of messages, so that a driver that asks again and again and collects nothing
 * costs no memory (H-26). Likewise one call moves a bounded number of bytes and
 * chains and leaves the rest to the timer, so that a driver that keeps adding
 * cannot hold the lock.
 */
#include "console.h"

#include "clock.h"
#include "console_io.h"

#include <errno.h>
#include <exo/machine.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define QUEUE_SIZE 64
#define RUN_BYTES (1u << 20) /* moved by one call at most */

/* 5.3.2: port 0, the control queues, then the other ports. */
enum { RX_STDIO, TX_STDIO, RX_CTRL, TX_CTRL, RX_STDERR, TX_STDERR, RX_RECORD, TX_RECORD, QUEUES };

/* Control messages a port has to send; bit n is event message_event[n]. In this order. */
enum { MSG_ADD = 1, MSG_CONSOLE = 2, MSG_NAME = 4, MSG_RESIZE = 8, MSG_OPEN = 16 };

struct port {
	struct console_stream in, out;
	bool ready;      /* the driver said PORT_READY */
	bool open;       /* the driver opened it */
	bool eof;        /* no input any more */
	int error;       /* errno that ended the output, or 0 */
	bool closing;    /* close `out` when the chain being written is done */
	bool tx_busy;    /* tx is partly written */
	uint8_t pending; /* MSG_* */
	struct vq_chain tx;
};

struct console {
	struct vdev dev;
	struct virtio_console_config config;
	bool multiport;
	struct port port[EXO_PORTS];
	uint64_t first_output_ns;

	/* Records to send on the control port. */
	uint64_t signals; /* bit n: signal n */
	bool winch;
	unsigned broken; /* bit n: port n */
	bool ready_sent; /* EXO_CTL_READY went up since start */
};

static const char *const port_name[EXO_PORTS] = {
	[EXO_PORT_STDIO] = "exo.stdio",
	[EXO_PORT_STDERR] = "exo.stderr",
	[EXO_PORT_CONTROL] = "exo.control",
};

static unsigned tx_queue(unsigned id)
{
	return id == EXO_PORT_STDIO ? TX_STDIO : TX_STDERR;
}

static struct console *console_of(struct vdev *dev)
{
	return (struct console *)dev;
}

/* ---- waiting ---------------------------------------------------------------- */

/* Watches a stream, or not (events 0). 0, or -errno: it can't be waited for. */
static int watch(struct console *c, struct console_stream *s, uint32_t events)
{
	const struct vdev_host *host = c->dev.host;
	int r = 0;

	if (s->watched == events)
		return 0;
	if (events)
		r = host->watch(host->opaque, &c->dev, s->fd, events, s->token);
	else
		host->unwatch(host->opaque, &c->dev, s->fd);
	if (!r)
		s->watched = events;
	return r;
}

static void close_stream(struct console *c, struct console_stream *s)
{
	watch(c, s, 0);
	console_stream_close(s);
}

static void set_timer(struct console *c, uint64_t deadline_ns)
{
	c->dev.host->timer(c->dev.host->opaque, &c->dev, deadline_ns);
}

/* There is more to do: come back when others had their turn. */
static void defer(struct console *c)
{
	set_timer(c, 1);
}

static void quiesce(struct console *c)
{
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		watch(c, &c->port[id].in, 0);
		watch(c, &c->port[id].out, 0);
	}
	set_timer(c, 0);
}

static void fail(struct console *c)
{
	quiesce(c);
	vdev_fail(&c->dev, "console: malformed ring or chain");
}

/* ---- control messages, device to driver (5.3.6.2) ---------------------------- */

static const uint16_t message_event[] = {
	VIRTIO_CONSOLE_PORT_ADD, VIRTIO_CONSOLE_CONSOLE_PORT, VIRTIO_CONSOLE_PORT_NAME,
	VIRTIO_CONSOLE_RESIZE,   VIRTIO_CONSOLE_PORT_OPEN,
};

/* Is our end of the port open? See "console ports" in machine.h. */
static bool is_host_open(const struct port *p, unsigned id)
{
	return id == EXO_PORT_STDIO ? !p->eof : !p->error;
}

/*
 * Writes one message into a chain; the length used. A buffer without room for
 * it takes nothing: the message is lost, as it would be for a driver that did
 * not look (H-05).
 */
static uint32_t put_message(struct console *c, unsigned id, unsigned event, struct vq_chain *chain)
{
	struct {
		struct virtio_console_control h;
		char tail[16];
	} m = {.h = {.id = id, .event = message_event[event], .value = 1}};
	size_t tail = 0;

	if (m.h.event == VIRTIO_CONSOLE_PORT_OPEN)
		m.h.value = is_host_open(&c->port[id], id);
	if (m.h.event == VIRTIO_CONSOLE_PORT_NAME) {
		tail = strlen(port_name[id]);
		memcpy(m.tail, port_name[id], tail);
	}
	/* The order of 5.3.6.2; Linux before 6.15 reads it as rows, columns. */
	if (m.h.event == VIRTIO_CONSOLE_RESIZE) {
		memcpy(m.tail, &c->config.cols, 2);
		memcpy(m.tail + 2, &c->config.rows, 2);
		tail = 4;
	}
	if (vq_writable(chain) < sizeof(m.h) + tail)
		return 0;
	return (uint32_t)vq_write(chain, &m, sizeof(m.h) + tail);
}

static void send_messages(struct console *c)
{
	struct vq *q = &c->dev.vq[RX_CTRL];
	struct vq_chain chain;
	int r;

	for (unsigned id = 0; c->multiport && id < EXO_PORTS; id++) {
		struct port *p = &c->port[id];

		while (p->pending) {
			unsigned event = (unsigned)__builtin_ctz(p->pending);

			r = vq_next(q, &chain);
			if (r < 0)
				fail(c);
			if (r <= 0)
				goto out;
			p->pending &= p->pending - 1;
			vq_complete(q, chain.head, put_message(c, id, event, &chain));
		}
	}
out:
	vdev_flush(&c->dev, RX_CTRL);
}

/* ---- records, device to program ------------------------------------------------ */

/* The next record to send, taken off what is pending. False: nothing. */
static bool take_record(struct console *c, struct exo_ctl *rec)
{
	*rec = (struct exo_ctl){0};
	if (c->broken) {
		rec->type = EXO_CTL_BROKEN;
		rec->arg0 = (uint32_t)__builtin_ctz(c->broken);
		rec->arg1 = (uint32_t)c->port[rec->arg0].error;
		c->broken &= c->broken - 1;
	} else if (c->signals) {
		rec->type = EXO_CTL_SIGNAL;
		rec->arg0 = (uint32_t)__builtin_ctzll(c->signals);
		c->signals &= c->signals - 1;
	} else if (c->winch) {
		rec->type = EXO_CTL_WINCH;
		rec->arg0 = c->config.rows;
		rec->arg1 = c->config.cols;
		c->winch = false;
	} else {
		return false;
	}
	return true;
}

static void send_records(struct console *c)
{
	struct vq *q = &c->dev.vq[RX_RECORD];
	bool open = c->port[EXO_PORT_CONTROL].open;
	unsigned chains = q->size;
	struct vq_chain chain;
	struct exo_ctl rec;
	int r;

	/*
	 * A driver may take its time to open the port, because interrupts cost it, but a
	 * write that failed has to fail at once: for that, ready will do.
	 */
	if (!c->multiport || (!open && !c->port[EXO_PORT_CONTROL].ready))
		return;
	while (c->broken || (open && (c->signals || c->winch))) {
		r = vq_next(q, &chain);
		if (r < 0)
			fail(c);
		if (r <= 0)
			break;
		if (vq_writable(&chain) < sizeof(rec)) { /* H-05 */
			vq_complete(q, chain.head, 0);
			if (--chains)
				continue;
			defer(c);
			break;
		}
		take_record(c, &rec);
		vq_complete(q, chain.head, (uint32_t)vq_write(&chain, &rec, sizeof(rec)));
	}
	vdev_flush(&c->dev, RX_RECORD);
}

/* ---- output ------------------------------------------------------------------------ */

static void note_output(struct console *c)
{
	if (!c->first_output_ns)
		c->first_output_ns = clock_now_ns();
}

/* Nothing can be written any more: the rest is discarded, the program hears of it. */
static void break_output(struct console *c, unsigned id, int error)
{
	struct port *p = &c->port[id];

	close_stream(c, &p->out);
	p->error = error;
	c->broken |= 1u << id;
	if (id != EXO_PORT_STDIO && p->ready)
		p->pending |= MSG_OPEN;
	send_records(c);
	send_messages(c);
}

/* Writes the chain in hand. 0: done, -EAGAIN: must wait, -EBUSY: enough for now. */
static int write_chain(struct console *c, unsigned id, size_t *left)
{
	struct port *p = &c->port[id];
	ssize_t n;

	while (vq_readable(&p->tx) && p->out.fd >= 0) {
		if (!*left)
			return -EBUSY;
		n = console_stream_write(&p->out, &p->tx, *left);
		if (n == -EAGAIN)
			n = watch(c, &p->out, EPOLLOUT);
		else if (n > 0)
			note_output(c);
		if (n == 0)
			return -EAGAIN;
		if (n < 0)
			break_output(c, id, (int)-n);
		else
			*left -= (size_t)n;
	}
	return 0;
}

static void run_output(struct console *c, unsigned id)
{
	struct port *p = &c->port[id];
	struct vq *q = &c->dev.vq[tx_queue(id)];
	unsigned chains = q->size;
	size_t left = RUN_BYTES;
	int r = 0;

	while (c->dev.running) {
		if (!p->tx_busy) {
			r = chains-- ? vq_next(q, &p->tx) : -EBUSY;
			if (r <= 0)
				break;
			p->tx_busy = true;
		}
		r = write_chain(c, id, &left);
		if (r)
			break;
		p->tx_busy = false;
		vq_complete(q, p->tx.head, 0);
	}
	if (r == -EINVAL)
		fail(c);
	if (r == -EBUSY)
		defer(c);
	if (p->closing && !p->tx_busy)
		close_stream(c, &p->out);
	if (r != -EAGAIN)
		watch(c, &p->out, 0);
	vdev_flush(&c->dev, tx_queue(id));
}

/* ---- input ------------------------------------------------------------------------- */

static void end_input(struct console *c, struct port *p)
{
	close_stream(c, &p->in);
	p->eof = true;
	if (p->ready)
		p->pending |= MSG_OPEN;
	send_messages(c);
}

/*
 * Reads for one chain. 1: done; 0: no chain; -EAGAIN: no input yet; -EPIPE: no
 * more input; -EINVAL: malformed. Nothing is read that has no place to go.
 */
static int read_chain(struct console *c, struct port *p, struct vq *q, size_t *left)
{
	struct vq_chain chain;
	ssize_t n = 0;
	int r;

	r = vq_next(q, &chain);
	if (r <= 0)
		return r;
	if (vq_writable(&chain)) {
		n = console_stream_read(&p->in, &chain, *left);
		if (n == -EAGAIN)
			n = watch(c, &p->in, EPOLLIN) ? -EPIPE : -EAGAIN;
		if (n <= 0) {
			vq_unget(q, &chain);
			return n == -EAGAIN ? -EAGAIN : -EPIPE;
		}
	}
	vq_complete(q, chain.head, (uint32_t)n);
	*left -= (size_t)n;
	return 1;
}

static void run_input(struct console *c)
{
	struct port *p = &c->port[EXO_PORT_STDIO];
	struct vq *q = &c->dev.vq[RX_STDIO];
	unsigned chains = q->size;
	size_t left = RUN_BYTES;
	int r = 0;

	while (c->dev.running && p->open && p->in.fd >= 0) {
		r = chains-- && left ? read_chain(c, p, q, &left) : -EBUSY;
		if (r <= 0)
			break;
	}
	if (r == -EINVAL)
		fail(c);
	if (r == -EBUSY)
		defer(c);
	if (r != -EAGAIN)
		watch(c, &p->in, 0);
	vdev_flush(&c->dev, RX_STDIO);
	if (r == -EPIPE)
		end_input(c, p); /* behind the data */
}

/* ---- what the driver and the program say ---------------------------------------------- */

static void handle_open(struct console *c, unsigned id, bool open)
{
	struct port *p = &c->port[id];

	p->open = open;
	if (id == EXO_PORT_CONTROL) {
		send_records(c);
	} else if (open) {
		if (id == EXO_PORT_STDIO)
			run_input(c);
	} else {
		/* Output offered before this message may not have been looked at yet. */
		p->closing = p->eof = true;
		close_stream(c, &p->in);
		run_output(c, id);
	}
}

static void handle_message(struct console *c, const struct virtio_console_control *m)
{
	struct port *p;

	if (m->event == VIRTIO_CONSOLE_DEVICE_READY && m->value) {
		for (unsigned id = 0; id < EXO_PORTS; id++)
			c->port[id].pending |= MSG_ADD;
		return;
	}
	if (m->id >= EXO_PORTS)
		return;
	p = &c->port[m->id];
	if (m->event == VIRTIO_CONSOLE_PORT_READY && m->value) {
		p->ready = true;
		p->pending |= MSG_NAME | MSG_OPEN;
		if (m->id == EXO_PORT_STDIO)
			p->pending |= MSG_CONSOLE | (c->config.rows ? MSG_RESIZE : 0);
		if (m->id == EXO_PORT_CONTROL)
			send_records(c);
	} else if (m->event == VIRTIO_CONSOLE_PORT_OPEN) {
		handle_open(c, m->id, m->value);
	}
}

static void take_messages(struct console *c)
{
	struct vq *q = &c->dev.vq[TX_CTRL];
	struct virtio_console_control m;
	unsigned chains = q->size;
	struct vq_chain chain;
	int r;

	while ((r = chains-- ? vq_next(q, &chain) : -EBUSY) > 0) {
		if (vq_read(&chain, &m, sizeof(m)) == sizeof(m))
			handle_message(c, &m);
		vq_complete(q, chain.head, 0);
	}
	if (r == -EINVAL)
		fail(c);
	if (r == -EBUSY)
		defer(c);
	send_messages(c); /* first: who sees its message used finds the answer */
	vdev_flush(&c->dev, TX_CTRL);
}

static void report(struct console *c, const struct exo_ctl *rec)
{
	c->dev.host->event(c->dev.host->opaque, &c->dev, rec, sizeof(*rec));
}

/* Of many records that come at once only the last says how the terminal shall be. */
static void take_records(struct console *c)
{
	struct vq *q = &c->dev.vq[TX_RECORD];
	struct exo_ctl rec, termios = {0}, ready = {0};
	unsigned chains = q->size;
	struct vq_chain chain;
	int r;

	while ((r = chains-- ? vq_next(q, &chain) : -EBUSY) > 0) {
		if (vq_read(&chain, &rec, sizeof(rec)) == sizeof(rec)) {
			if (rec.type == EXO_CTL_TERMIOS)
				termios = (struct exo_ctl){.type = rec.type, .arg0 = rec.arg0};
			if (rec.type == EXO_CTL_READY)
				ready.type = rec.type;
		}
		vq_complete(q, chain.head, 0);
	}
	if (r == -EINVAL)
		fail(c);
	if (r == -EBUSY)
		defer(c);
	vdev_flush(&c->dev, TX_RECORD);
	termios.arg0 &= EXO_TTY_ECHO | EXO_TTY_CANON | EXO_TTY_ISIG;
	if (termios.type)
		report(c, &termios);
	if (ready.type && !c->ready_sent)
		report(c, &ready);
	c->ready_sent |= ready.type != 0;
}

/* ---- the device's callbacks -------------------------------------------------------------- */

static void console_start(struct vdev *dev)
{
	struct console *c = console_of(dev);

	c->multiport = vdev_has_feature(dev, VIRTIO_CONSOLE_F_MULTIPORT);
	c->port[EXO_PORT_STDIO].open = !c->multiport;
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		if (c->port[id].error)
			c->broken |= 1u << id;
	}
}

static void console_kick(struct vdev *dev, unsigned q)
{
	struct console *c = console_of(dev);

	if (q == RX_STDIO)
		run_input(c);
	else if (q == TX_STDIO)
		run_output(c, EXO_PORT_STDIO);
	else if (!c->multiport)
		return; /* the other queues do not exist */
	else if (q == RX_CTRL)
		send_messages(c);
	else if (q == TX_CTRL)
		take_messages(c);
	else if (q == TX_STDERR)
		run_output(c, EXO_PORT_STDERR);
	else if (q == RX_RECORD)
		send_records(c);
	else if (q == TX_RECORD)
		take_records(c);
}

static void console_poll(struct vdev *dev, int fd, uint32_t events, uint64_t token)
{
	struct console *c = console_of(dev);

	if (!dev->running || token / 2 >= EXO_PORTS)
		return;
	if (token & 1)
		run_output(c, (unsigned)token / 2);
	else
		run_input(c);
}

static void console_timer(struct vdev *dev)
{
	/* Output before the message that may close its stream. */
	static const unsigned order[] = {RX_STDIO, TX_STDIO,  TX_STDERR, TX_CTRL,
					 RX_CTRL,  TX_RECORD, RX_RECORD};

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (dev->running && dev->vq[order[i]].ready)
			console_kick(dev, order[i]);
	}
}

static void console_reset(struct vdev *dev)
{
	struct console *c = console_of(dev);

	quiesce(c);
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		struct port *p = &c->port[id];

		/* What was offered and not written is gone with the driver. */
		if (p->closing)
			close_stream(c, &p->out);
		p->ready = p->open = p->closing = p->tx_busy = false;
		p->pending = 0;
	}
	c->signals = 0;
	c->broken = 0;
	c->winch = c->ready_sent = c->multiport = false;
}

static void console_destroy(struct vdev *dev)
{
	struct console *c = console_of(dev);

	for (unsigned id = 0; id < EXO_PORTS; id++) {
		console_stream_close(&c->port[id].in);
		console_stream_close(&c->port[id].out);
	}
	free(c);
}

static const struct vdev_class console_class = {
	.name = "virtio-console",
	.device_id = VIRTIO_ID_CONSOLE,
	.features = 1ull << VIRTIO_CONSOLE_F_SIZE | 1ull << VIRTIO_CONSOLE_F_MULTIPORT,
	.nqueues = QUEUES,
	.queue_size_max = QUEUE_SIZE,
	.config_bytes = sizeof(struct virtio_console_config),
	.start = console_start,
	.kick = console_kick,
	.poll = console_poll,
	.timer = console_timer,
	.reset = console_reset,
	.destroy = console_destroy,
};

/* ---- for the owner --------------------------------------------------------------------------- */

struct vdev *console_create(const struct gmem *mem, const struct vdev_host *host,
			    const struct console_resources *res)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	vdev_init(&c->dev, &console_class, mem, host);
	memcpy(c->dev.name, "console", sizeof("console"));
	c->config = (struct virtio_console_config){
		.cols = res->cols, .rows = res->rows, .max_nr_ports = EXO_PORTS};
	c->dev.config = &c->config;
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		struct port *p = &c->port[id];

		console_stream_init(&p->in, id == EXO_PORT_STDIO ? res->stdin_fd : -1);
		console_stream_init(&p->out, id == EXO_PORT_STDIO    ? res->stdout_fd
					     : id == EXO_PORT_STDERR ? res->stderr_fd
								     : -1);
		p->in.token = 2 * id;
		p->out.token = 2 * id + 1;
		p->eof = p->in.fd < 0;
	}
	return &c->dev;
}

bool console_signal(struct vdev *dev, unsigned signo)
{
	struct console *c = console_of(dev);
	bool open;

	if (signo < 1 || signo > 63)
		return false;
	pthread_mutex_lock(&dev->lock);
	open = dev->running && c->port[EXO_PORT_CONTROL].open;
	c->signals |= 1ull << signo;
	if (open)
		send_records(c);
	pthread_mutex_unlock(&dev->lock);
	return open;
}

void console_winch(struct vdev *dev, uint16_t rows, uint16_t cols)
{
	struct console *c = console_of(dev);

	pthread_mutex_lock(&dev->lock);
	c->config.rows = rows;
	c->config.cols = cols;
	c->winch = true;
	vdev_config_changed(dev);
	if (dev->running) {
		if (c->port[EXO_PORT_STDIO].ready)
			c->port[EXO_PORT_STDIO].pending |= MSG_RESIZE;
		send_messages(c);
		send_records(c);
	}
	pthread_mutex_unlock(&dev->lock);
}

bool console_drain(struct vdev *dev)
{
	struct console *c = console_of(dev);
	bool done = true;

	pthread_mutex_lock(&dev->lock);
	for (unsigned id = 0; id <= EXO_PORT_STDERR; id++) {
		if (dev->running)
			run_output(c, id);
		if (dev->running && (c->port[id].tx_busy || vq_has_next(&dev->vq[tx_queue(id)])))
			done = false;
	}
	pthread_mutex_unlock(&dev->lock);
	return done;
}

uint64_t console_first_output_ns(struct vdev *dev)
{
	struct console *c = console_of(dev);
	uint64_t ns;

	pthread_mutex_lock(&dev->lock);
	ns = c->first_output_ns;
	pthread_mutex_unlock(&dev->lock);
	return ns;
}
