/*
 * Fuzzes the console: handshakes, streams that are slow, end or break, signals.
 */
#include "console.h"
#include "harness.h"

#include <exo/machine.h>

#include <fcntl.h>
#include <linux/virtio_console.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX0, TX0, CRX, CTX, RX1, TX1, RX2, TX2 };

static int peer[3]; /* our ends of the streams, -1: closed */

/* A stream of some kind; its other end goes to *ours. */
static int stream(uint8_t kind, int *ours, bool input)
{
	int fd[2];

	*ours = -1;
	switch (kind & 7) {
	case 0:
		return -1;
	case 1:
		return open("/dev/null", input ? O_RDONLY : O_WRONLY);
	case 2:
		return open(input ? "/dev/zero" : "/dev/full", input ? O_RDONLY : O_WRONLY);
	case 3:
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
			abort();
		break;
	default:
		if (pipe(fd))
			abort();
	}
	*ours = fd[input];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
	if (kind & 8)
		fcntl(fd[!input], F_SETFL, O_NONBLOCK);
	/* A small pipe fills up soon. */
	if (kind & 16)
		fcntl(*ours, F_SETPIPE_SZ, 4096);
	return fd[!input];
}

static struct vdev *create(struct fuzz *f)
{
	uint8_t in = fuzz_u8(f), out = fuzz_u8(f), err = fuzz_u8(f);
	const struct console_resources res = {
		.stdin_fd = stream(in, &peer[0], true),
		.stdout_fd = stream(out, &peer[1], false),
		.stderr_fd = stream(err, &peer[2], false),
		.rows = in >> 6 ? 24 : 0,
		.cols = 80,
	};

	signal(SIGPIPE, SIG_IGN);
	return console_create(&f->d.mem, &f->d.host, &res);
}

static void put(struct fuzz_chain *c, const void *p, size_t len)
{
	memcpy(c->data, p, len);
	c->data_len = (uint32_t)len;
}

static void chain(struct fuzz *f, unsigned q, struct fuzz_chain *c)
{
	uint8_t n = fuzz_u8(f);

	if (q == CTX) {
		struct virtio_console_control m = {n % 3, n >> 2 & 7, n >> 5 != 0};

		if (n == 0xee)
			fuzz_bytes(f, &m, sizeof(m));
		put(c, &m, sizeof(m));
	} else if (q == TX2) {
		struct exo_ctl r = {.type = n & 7, .arg0 = n >> 3};

		if (n == 0xee)
			fuzz_bytes(f, &r, sizeof(r));
		put(c, &r, n == 0xed ? 7 : sizeof(r));
	} else if (q & 1) {
		c->data_len = n == 0xee ? FUZZ_DATA_MAX : n;
	} else {
		c->write_len = q == RX0 ? n : q == RX2 && n < 0x80 ? 16 : n & 63;
	}
}

static void event(struct fuzz *f)
{
	static char buf[65536];
	uint8_t what = fuzz_u8(f);

	switch (what & 7) {
	case 0:
	case 1:
		if (peer[0] >= 0 && write(peer[0], buf, 1 + what) < 0)
			break;
		break;
	case 2:
	case 3:
		if (peer[what & 1 ? 1 : 2] >= 0 &&
		    read(peer[what & 1 ? 1 : 2], buf, sizeof(buf)) < 0)
			break;
		break;
	case 4:
		if (peer[what / 8 % 3] >= 0)
			close(peer[what / 8 % 3]);
		peer[what / 8 % 3] = -1;
		break;
	case 5:
		console_signal(f->d.dev, what / 2);
		break;
	case 6:
		console_winch(f->d.dev, what, 80);
		break;
	case 7:
		console_drain(f->d.dev);
		break;
	}
}

/* Readers that read: the output of a good driver all goes out. */
static void settle(struct fuzz *f)
{
	static const unsigned queue[] = {TX0, TX1, CTX, TX2};
	static char buf[65536];

	if (!f->d.dev->running)
		return;
	for (unsigned i = 0; i < 4; i++)
		drv_kick_if_wanted(&f->d, queue[i]);
	for (unsigned turn = 0; turn < 64; turn++) {
		for (unsigned i = 1; i < 3; i++) {
			if (peer[i] >= 0 && read(peer[i], buf, sizeof(buf)) < 0)
				continue;
		}
		drv_pump(&f->d, 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned q = queue[i];

		if (q > TX0 && !vdev_has_feature(f->d.dev, VIRTIO_CONSOLE_F_MULTIPORT))
			break;
		fuzz_check(*drv_used_idx(&f->d, q) == f->d.q[q].avail_idx, "output was lost");
	}
}

static void cleanup(struct fuzz *f)
{
	for (unsigned i = 0; i < 3; i++) {
		if (peer[i] >= 0)
			close(peer[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_target target = {.create = create,
						  .chain = chain,
						  .event = event,
						  .settle = settle,
						  .cleanup = cleanup};

	return fuzz_run(&target, data, size);
}
