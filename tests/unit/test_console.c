/*
 * virtio-console: handshakes, streams of every kind of file in both directions,
 * ends of streams, records on the control port, and a driver that misbehaves
 * (H-05, H-11, H-16, H-26).
 */
#include "console.h"
#include "drv.h"
#include "unit.h"

#include <exo/machine.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX0, TX0, CRX, CTX, RX1, TX1, RX2, TX2 };

static struct drv d;
static int in, out, err; /* our ends of the program's streams, -1: closed */
static int dev_in;       /* the device's end of standard input */

/* Our end, and the device's, which is O_NONBLOCK if wanted. */
static void make_pipe(int *read_end, int *write_end)
{
	int fd[2];

	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
	*read_end = fd[0];
	*write_end = fd[1];
}

static void create(int in_fd, int out_fd, int err_fd)
{
	const struct console_resources res = {in_fd, out_fd, err_fd, 24, 80};

	drv_attach(&d, console_create(&d.mem, &d.host, &res));
}

static void setup_bare(void)
{
	signal(SIGPIPE, SIG_IGN);
	in = out = err = -1;
	drv_init(&d);
}

static void setup(void)
{
	int out_fd, err_fd;

	setup_bare();
	make_pipe(&dev_in, &in);
	make_pipe(&out, &out_fd);
	make_pipe(&err, &err_fd);
	create(dev_in, out_fd, err_fd);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void teardown(void)
{
	drv_finish(&d);
	shut(&in);
	shut(&out);
	shut(&err);
}

/* ---- the driver's side --------------------------------------------------------- */

static void say(uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control m = {id, event, value};
	const struct drv_buf buf = {drv_alloc(&d, sizeof(m), 4), sizeof(m), false};

	memcpy(drv_ptr(&d, buf.gpa, sizeof(m)), &m, sizeof(m));
	drv_add(&d, CTX, &buf, 1);
}

static gpa_t ctl_gpa[64]; /* by head */

static void post(unsigned q, unsigned n, uint32_t len)
{
	while (n--) {
		const struct drv_buf buf = {drv_alloc(&d, len, 4), len, true};

		ctl_gpa[drv_add(&d, q, &buf, 1)] = buf.gpa;
	}
	drv_kick(&d, q);
}

/* The next control message, with its tail; false: none. */
static bool hear(struct virtio_console_control *m, char *tail, uint32_t *tail_len)
{
	uint32_t id, len;

	if (!drv_used(&d, CRX, &id, &len))
		return false;
	ck_assert_uint_ge(len, sizeof(*m));
	memcpy(m, drv_ptr(&d, ctl_gpa[id], sizeof(*m)), sizeof(*m));
	*tail_len = len - (uint32_t)sizeof(*m);
	memcpy(tail, drv_ptr(&d, ctl_gpa[id] + sizeof(*m), *tail_len), *tail_len);
	return true;
}

static void hears(uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control m;
	char tail[64];
	uint32_t n;

	ck_assert(hear(&m, tail, &n));
	ck_assert_uint_eq(m.id, id);
	ck_assert_uint_eq(m.event, event);
	ck_assert_uint_eq(m.value, value);
}

static void hears_nothing(void)
{
	struct virtio_console_control m;
	char tail[64];
	uint32_t n;

	ck_assert(!hear(&m, tail, &n));
}

static void hears_name(uint32_t id, const char *name)
{
	struct virtio_console_control m;
	char tail[64];
	uint32_t n;

	ck_assert(hear(&m, tail, &n));
	ck_assert_uint_eq(m.id, id);
	ck_assert_uint_eq(m.event, VIRTIO_CONSOLE_PORT_NAME);
	ck_assert_uint_eq(n, strlen(name));
	ck_assert(!memcmp(tail, name, n));
}

static void hears_resize(uint16_t cols, uint16_t rows)
{
	struct virtio_console_control m;
	uint16_t size[32];
	uint32_t n;

	ck_assert(hear(&m, (char *)size, &n));
	ck_assert_uint_eq(m.event, VIRTIO_CONSOLE_RESIZE);
	ck_assert_uint_eq(n, 4);
	ck_assert_uint_eq(size[0], cols);
	ck_assert_uint_eq(size[1], rows);
}

/* All three ports opened as the SDK does it, in one go; answers thrown away. */
static void start(void)
{
	struct virtio_console_control m;
	char tail[64];
	uint32_t n;

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		say(id, VIRTIO_CONSOLE_PORT_READY, 1);
		say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	post(CRX, 20, 64);
	drv_kick(&d, CTX);
	while (hear(&m, tail, &n) || drv_used(&d, CTX, &n, &n))
		;
	post(RX2, 8, sizeof(struct exo_ctl));
}

static void gets_record(uint32_t type, uint32_t arg0, uint32_t arg1)
{
	struct exo_ctl rec;
	uint32_t id, len;

	ck_assert(drv_used(&d, RX2, &id, &len));
	ck_assert_uint_eq(len, sizeof(rec));
	memcpy(&rec, drv_ptr(&d, ctl_gpa[id], sizeof(rec)), sizeof(rec));
	ck_assert_uint_eq(rec.type, type);
	ck_assert_uint_eq(rec.arg0, arg0);
	ck_assert_uint_eq(rec.arg1, arg1);
	ck_assert_uint_eq(rec.reserved, 0);
}

static bool is_used(unsigned q)
{
	uint32_t id, len;

	if (!drv_used(&d, q, &id, &len))
		return false;
	ck_assert(!(q & 1) || !len); /* nothing is written where the driver writes */
	return true;
}

static void reads(int fd, const char *text)
{
	char buf[256] = "";
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	ck_assert_int_eq(n, (ssize_t)strlen(text));
	ck_assert_str_eq(buf, text);
}

static void delivers(const char *text)
{
	uint32_t id, len;

	ck_assert(drv_used(&d, RX0, &id, &len));
	ck_assert_uint_eq(len, strlen(text));
	ck_assert(!memcmp(drv_ptr(&d, ctl_gpa[id], len), text, len));
}

/* ---- handshake ------------------------------------------------------------------ */

START_TEST(handshake_step_by_step)
{
	static const char *const name[] = {"exo.stdio", "exo.stderr", "exo.control"};

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(CRX, 32, 64);
	hears_nothing();
	say(VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	drv_kick(&d, CTX);
	for (unsigned id = 0; id < EXO_PORTS; id++)
		hears(id, VIRTIO_CONSOLE_PORT_ADD, 1);
	hears_nothing();
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		say(id, VIRTIO_CONSOLE_PORT_READY, 1);
		drv_kick(&d, CTX);
		if (id == 0)
			hears(id, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
		hears_name(id, name[id]);
		if (id == 0)
			hears_resize(80, 24);
		hears(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
		hears_nothing();
	}
	ck_assert_uint_gt(d.notified[CRX], 0);
}
END_TEST

START_TEST(handshake_in_one_batch)
{
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		say(id, VIRTIO_CONSOLE_PORT_READY, 1);
		say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	drv_kick(&d, CTX);
	for (unsigned i = 0; i < 7; i++)
		ck_assert(is_used(CTX));
	ck_assert(!console_signal(d.dev, 0));
	/* Only now is there room for the answers; none is lost, in order by port. */
	post(CRX, 5, 64);
	hears(0, VIRTIO_CONSOLE_PORT_ADD, 1);
	hears(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	hears_name(0, "exo.stdio");
	hears_resize(80, 24);
	hears(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	hears_nothing();
	post(CRX, 10, 64);
	hears(1, VIRTIO_CONSOLE_PORT_ADD, 1);
	hears_name(1, "exo.stderr");
	hears(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	hears(2, VIRTIO_CONSOLE_PORT_ADD, 1);
	hears_name(2, "exo.control");
	hears(2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	hears_nothing();
}
END_TEST

START_TEST(config_space)
{
	struct virtio_console_config cfg;

	vdev_config_read(d.dev, 0, &cfg, sizeof(cfg));
	ck_assert_uint_eq(cfg.cols, 80);
	ck_assert_uint_eq(cfg.rows, 24);
	ck_assert_uint_eq(cfg.max_nr_ports, EXO_PORTS);
	vdev_config_write(d.dev, 0, "\1\2\3\4", 4);
	vdev_config_read(d.dev, 0, &cfg, sizeof(cfg));
	ck_assert_uint_eq(cfg.cols, 80);
}
END_TEST

START_TEST(without_multiport)
{
	ck_assert(drv_start(&d, ~(1ull << VIRTIO_CONSOLE_F_MULTIPORT)));
	drv_send(&d, TX0, "out", 3);
	ck_assert(is_used(TX0));
	reads(out, "out");
	ck_assert_int_eq(write(in, "in", 2), 2);
	post(RX0, 2, 16);
	delivers("in");
	/* The other queues do not exist. */
	post(CRX, 1, 64);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	drv_kick(&d, CTX);
	drv_send(&d, TX1, "err", 3);
	ck_assert(!is_used(CRX) && !is_used(CTX) && !is_used(TX1));
	console_signal(d.dev, SIGINT);
	shut(&in);
	drv_pump(&d, 1000);
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

/* ---- output ------------------------------------------------------------------------ */

START_TEST(output)
{
	start();
	ck_assert_uint_eq(console_first_output_ns(d.dev), 0);
	drv_send(&d, TX0, "hello\n", 6);
	ck_assert(is_used(TX0));
	ck_assert_uint_eq(d.notified[TX0], 1);
	reads(out, "hello\n");
	ck_assert_uint_gt(console_first_output_ns(d.dev), 0);
	drv_send(&d, TX1, "oops\n", 5);
	ck_assert(is_used(TX1));
	reads(err, "oops\n");
}
END_TEST

START_TEST(output_of_many_segments)
{
	gpa_t gpa = drv_alloc(&d, 200, 1);
	struct drv_buf buf[100];
	char got[128];

	start();
	for (unsigned i = 0; i < 100; i++) {
		buf[i] = (struct drv_buf){gpa + i, 1, false};
		*(char *)drv_ptr(&d, gpa + i, 1) = (char)('a' + i % 26);
	}
	drv_add_indirect(&d, TX0, buf, 100);
	drv_kick(&d, TX0);
	ck_assert(is_used(TX0));
	ck_assert_int_eq(read(out, got, sizeof(got)), 100);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_int_eq(got[i], 'a' + (int)i % 26);
}
END_TEST

/* Offers 300 KiB and reads them at the other end, which is `fd`. */
static void output_large(int fd)
{
	enum { BYTES = 300 << 10 };
	const struct drv_buf buf = {drv_alloc(&d, BYTES, 1), BYTES, false};
	uint8_t *data = drv_ptr(&d, buf.gpa, BYTES);
	static uint8_t got[BYTES];
	size_t have = 0;
	bool used = false;

	for (unsigned i = 0; i < BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	drv_add(&d, TX0, &buf, 1);
	drv_kick(&d, TX0);
	ck_assert(!is_used(TX0)); /* not before all is written */
	while (have < BYTES) {
		ssize_t n = read(fd, got + have, BYTES - have);

		ck_assert(n > 0 || errno == EAGAIN);
		if (n > 0)
			have += (size_t)n;
		ck_assert(!used || have == BYTES || n > 0);
		drv_pump(&d, 0);
		used |= is_used(TX0);
	}
	drv_pump(&d, 0);
	ck_assert(used || is_used(TX0));
	ck_assert_int_eq(memcmp(data, got, BYTES), 0);
	/* Nothing to wait for any more. */
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
	ck_assert_uint_eq(d.timer_ns, 0);
	for (unsigned i = 0; i < DRV_WATCHES; i++)
		ck_assert_int_eq(d.watch[i].fd, -1);
}

START_TEST(output_waits_for_a_slow_reader)
{
	start();
	output_large(out);
}
END_TEST

/* Streams that are not O_NONBLOCK: 0 pipe, 1 socket, 2 character device. */
START_TEST(output_to_a_blocking_file)
{
	int fd[2];

	setup_bare();
	if (_i == 0) {
		ck_assert_int_eq(pipe(fd), 0);
		create(-1, fd[1], -1);
	} else if (_i == 1) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
		create(-1, fd[1], -1);
	} else {
		fd[0] = posix_openpt(O_RDWR | O_NOCTTY);
		ck_assert(fd[0] >= 0 && !grantpt(fd[0]) && !unlockpt(fd[0]));
		fd[1] = open(ptsname(fd[0]), O_RDWR | O_NOCTTY);
		ck_assert_int_ge(fd[1], 0);
		create(-1, fd[1], -1);
	}
	out = fd[0];
	ck_assert_int_eq(fcntl(out, F_SETFL, O_NONBLOCK), 0);
	start();
	if (_i == 2) {
		drv_send(&d, TX0, "to a terminal", 13);
		ck_assert(is_used(TX0));
		reads(out, "to a terminal");
	} else {
		output_large(out);
	}
}
END_TEST

START_TEST(output_to_a_regular_file)
{
	char path[] = "/tmp/test_console.XXXXXX";
	int fd = mkstemp(path);

	setup_bare();
	ck_assert_int_ge(fd, 0);
	unlink(path);
	out = dup(fd);
	create(-1, fd, -1);
	start();
	drv_send(&d, TX0, "one ", 4);
	drv_send(&d, TX0, "two", 3);
	ck_assert(is_used(TX0) && is_used(TX0));
	ck_assert_int_eq(lseek(out, 0, SEEK_SET), 0);
	reads(out, "one two");
}
END_TEST

START_TEST(output_to_nowhere)
{
	setup_bare();
	create(-1, -1, -1);
	start();
	drv_send(&d, TX0, "x", 1);
	drv_send(&d, TX1, "y", 1);
	ck_assert(is_used(TX0) && is_used(TX1));
	ck_assert(!is_used(RX2));
}
END_TEST

/* When the chain that met the error is used, the record about it is there. */
START_TEST(output_broken_pipe)
{
	start();
	shut(&out);
	drv_send(&d, TX0, "x", 1);
	ck_assert(is_used(TX0));
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDIO, EPIPE);
	hears_nothing(); /* input goes on */
	drv_send(&d, TX0, "y", 1);
	ck_assert(is_used(TX0));
	ck_assert(!is_used(RX2)); /* said once */
	ck_assert_int_eq(write(in, "still", 5), 5);
	post(RX0, 1, 16);
	delivers("still");
	shut(&err);
	drv_send(&d, TX1, "x", 1);
	ck_assert(is_used(TX1));
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDERR, EPIPE);
	hears(EXO_PORT_STDERR, VIRTIO_CONSOLE_PORT_OPEN, 0);
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

/* A failed write is told to a driver that has not opened the control port yet; signals wait. */
START_TEST(output_broken_before_open)
{
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(RX2, 2, 16);
	say(EXO_PORT_STDIO, VIRTIO_CONSOLE_PORT_OPEN, 1);
	say(EXO_PORT_CONTROL, VIRTIO_CONSOLE_PORT_READY, 1);
	drv_kick(&d, CTX);
	ck_assert(!console_signal(d.dev, SIGINT));
	shut(&out);
	drv_send(&d, TX0, "x", 1);
	ck_assert(is_used(TX0));
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDIO, EPIPE);
	ck_assert(!is_used(RX2));
	say(EXO_PORT_CONTROL, VIRTIO_CONSOLE_PORT_OPEN, 1);
	drv_kick(&d, CTX);
	gets_record(EXO_CTL_SIGNAL, SIGINT, 0);
}
END_TEST

START_TEST(output_breaks_while_waiting)
{
	static char big[200000];

	start();
	drv_send(&d, TX0, big, sizeof(big));
	ck_assert(!is_used(TX0));
	shut(&out);
	ck_assert_uint_ge(drv_pump(&d, 1000), 1);
	ck_assert(is_used(TX0));
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDIO, EPIPE);
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
}
END_TEST

START_TEST(output_full_disk)
{
	setup_bare();
	create(-1, open("/dev/full", O_WRONLY), -1);
	start();
	drv_send(&d, TX0, "x", 1);
	ck_assert(is_used(TX0));
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDIO, ENOSPC);
}
END_TEST

START_TEST(drain)
{
	static char big[200000], got[65536];
	size_t have = 0;
	ssize_t n;

	ck_assert(console_drain(d.dev)); /* never started */
	start();
	ck_assert(console_drain(d.dev));
	for (unsigned q = TX0; q <= TX1; q += TX1 - TX0)
		drv_add(&d, q, &(struct drv_buf){0x100000, sizeof(big), false}, 1);
	while (!console_drain(d.dev)) {
		for (unsigned i = 0; i < 2; i++) {
			n = read(i ? err : out, got, sizeof(got));
			have += n > 0 ? (size_t)n : 0;
		}
		drv_pump(&d, 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		while ((n = read(i ? err : out, got, sizeof(got))) > 0)
			have += (size_t)n;
	}
	ck_assert_uint_eq(have, 2 * sizeof(big));
	ck_assert(is_used(TX0) && is_used(TX1));
}
END_TEST

START_TEST(guest_closes_its_output)
{
	char c;

	start();
	/* Offered, but its doorbell comes late. */
	drv_add(&d, TX1, &(struct drv_buf){drv_alloc(&d, 3, 1), 3, false}, 1);
	say(EXO_PORT_STDERR, VIRTIO_CONSOLE_PORT_OPEN, 0);
	drv_kick(&d, CTX);
	ck_assert(is_used(TX1));
	ck_assert_int_eq(read(err, &c, 1), 1);
	ck_assert_int_eq(read(err, &c, 1), 1);
	ck_assert_int_eq(read(err, &c, 1), 1);
	ck_assert_int_eq(read(err, &c, 1), 0); /* closed */
	drv_send(&d, TX1, "lost", 4);
	ck_assert(is_used(TX1));
	ck_assert(!is_used(RX2));
}
END_TEST

START_TEST(guest_closes_while_output_waits)
{
	static char big[200000], got[200000];
	size_t have = 0;
	ssize_t n;

	start();
	drv_send(&d, TX0, big, sizeof(big));
	say(EXO_PORT_STDIO, VIRTIO_CONSOLE_PORT_OPEN, 0);
	drv_kick(&d, CTX);
	while ((n = read(out, got, sizeof(got))) != 0) {
		ck_assert(n > 0 || errno == EAGAIN);
		have += n > 0 ? (size_t)n : 0;
		drv_pump(&d, 0);
	}
	ck_assert_uint_eq(have, sizeof(big));
	ck_assert(is_used(TX0));
	ck_assert_int_eq(write(in, "x", 1), -1); /* its input went at once */
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* ---- input -------------------------------------------------------------------------- */

START_TEST(input)
{
	start();
	post(RX0, 2, 16);
	ck_assert(!is_used(RX0));
	ck_assert_int_eq(write(in, "abc", 3), 3);
	ck_assert_uint_eq(drv_pump(&d, 1000), 1);
	delivers("abc");
	ck_assert_uint_eq(d.notified[RX0], 1);
	ck_assert_int_eq(write(in, "0123456789abcdefXYZ", 19), 19);
	drv_pump(&d, 1000);
	delivers("0123456789abcdef");
	post(RX0, 1, 16);
	delivers("XYZ");
}
END_TEST

/* What the program does not ask for stays where it is, and wakes nobody. */
START_TEST(input_only_on_demand)
{
	char buf[32];

	start();
	post(RX0, 1, 4);
	ck_assert_int_eq(write(in, "abcdefgh", 8), 8);
	drv_pump(&d, 1000);
	delivers("abcd");
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
	for (unsigned i = 0; i < DRV_WATCHES; i++)
		ck_assert_int_eq(d.watch[i].fd, -1);
	ck_assert_int_eq(read(dev_in, buf, sizeof(buf)), 4);
}
END_TEST

START_TEST(input_waits_for_the_port)
{
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(CRX, 20, 64);
	post(RX0, 1, 16);
	ck_assert_int_eq(write(in, "early", 5), 5);
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
	say(0, VIRTIO_CONSOLE_PORT_READY, 1);
	say(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	drv_kick(&d, CTX);
	delivers("early");
}
END_TEST

START_TEST(input_ends)
{
	start();
	ck_assert_int_eq(write(in, "last", 4), 4);
	shut(&in);
	hears_nothing();
	post(RX0, 1, 16);
	delivers("last");
	hears_nothing(); /* nobody has asked for more yet */
	post(RX0, 1, 16);
	hears(EXO_PORT_STDIO, VIRTIO_CONSOLE_PORT_OPEN, 0);
	hears_nothing();
	ck_assert(!is_used(RX0));
	post(RX0, 1, 16);
	hears_nothing();
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
	drv_send(&d, TX0, "more", 4);
	reads(out, "more");
}
END_TEST

START_TEST(input_ends_while_waiting)
{
	start();
	post(RX0, 1, 16);
	hears_nothing();
	shut(&in);
	drv_pump(&d, 1000);
	hears(EXO_PORT_STDIO, VIRTIO_CONSOLE_PORT_OPEN, 0);
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
}
END_TEST

/* 0: no stdin at all; 1: /dev/null */
START_TEST(input_of_nothing)
{
	setup_bare();
	create(_i ? open("/dev/null", O_RDONLY) : -1, -1, -1);
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(CRX, 20, 64);
	say(0, VIRTIO_CONSOLE_PORT_READY, 1);
	say(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	drv_kick(&d, CTX);
	hears(0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	hears_name(0, "exo.stdio");
	hears_resize(80, 24);
	hears(0, VIRTIO_CONSOLE_PORT_OPEN, (uint16_t)_i);
	post(RX0, 1, 16);
	if (_i)
		hears(0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	hears_nothing();
}
END_TEST

START_TEST(input_of_a_regular_file)
{
	char path[] = "/tmp/test_console.XXXXXX";
	int fd = mkstemp(path);

	setup_bare();
	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(write(fd, "0123456789", 10), 10);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	create(fd, -1, -1);
	start();
	post(RX0, 1, 4);
	delivers("0123");
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 4); /* no further than asked */
	post(RX0, 3, 4);
	delivers("4567");
	delivers("89");
	hears(EXO_PORT_STDIO, VIRTIO_CONSOLE_PORT_OPEN, 0);
}
END_TEST

START_TEST(input_of_a_blocking_file)
{
	int fd[2];

	setup_bare();
	if (_i)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	else
		ck_assert_int_eq(pipe(fd), 0);
	in = fd[1];
	create(fd[0], -1, -1);
	start();
	post(RX0, 2, 16); /* does not block */
	ck_assert_int_eq(write(in, "abc", 3), 3);
	drv_pump(&d, 1000);
	delivers("abc");
	shut(&in);
	drv_pump(&d, 1000);
	hears(EXO_PORT_STDIO, VIRTIO_CONSOLE_PORT_OPEN, 0);
}
END_TEST

/* ---- records --------------------------------------------------------------------------- */

START_TEST(signals)
{
	start();
	ck_assert(console_signal(d.dev, SIGTERM));
	ck_assert(console_signal(d.dev, SIGINT));
	gets_record(EXO_CTL_SIGNAL, SIGTERM, 0);
	gets_record(EXO_CTL_SIGNAL, SIGINT, 0);
	ck_assert(!console_signal(d.dev, 0));
	ck_assert(!console_signal(d.dev, 64));
	ck_assert(!is_used(RX2));
}
END_TEST

START_TEST(signals_wait_for_the_port)
{
	ck_assert(!console_signal(d.dev, SIGINT));
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(RX2, 4, 16);
	ck_assert(!console_signal(d.dev, SIGINT));
	ck_assert(!console_signal(d.dev, SIGTERM));
	ck_assert(!is_used(RX2));
	say(EXO_PORT_CONTROL, VIRTIO_CONSOLE_PORT_OPEN, 1);
	drv_kick(&d, CTX);
	gets_record(EXO_CTL_SIGNAL, SIGINT, 0);
	gets_record(EXO_CTL_SIGNAL, SIGTERM, 0);
	ck_assert(!is_used(RX2));
}
END_TEST

START_TEST(window_size)
{
	struct virtio_console_config cfg;
	unsigned before;

	start();
	before = d.config_notified;
	console_winch(d.dev, 50, 132);
	ck_assert_uint_eq(d.config_notified, before + 1);
	vdev_config_read(d.dev, 0, &cfg, sizeof(cfg));
	ck_assert_uint_eq(cfg.rows, 50);
	ck_assert_uint_eq(cfg.cols, 132);
	hears_resize(132, 50);
	gets_record(EXO_CTL_WINCH, 50, 132);
}
END_TEST

START_TEST(records_of_the_guest)
{
	const struct exo_ctl rec[] = {
		{.type = EXO_CTL_TERMIOS, .arg0 = 0xff, .arg1 = 7, .reserved = 9},
		{.type = EXO_CTL_READY, .arg0 = 1},
		{.type = EXO_CTL_SIGNAL, .arg0 = SIGKILL}, /* not theirs to send */
		{.type = 99},
	};
	struct drv_event e;
	struct exo_ctl got;

	start();
	for (unsigned i = 0; i < 4; i++)
		drv_send(&d, TX2, &rec[i], sizeof(rec[i]));
	drv_send(&d, TX2, &rec[0], 15);
	drv_send(&d, TX2, &rec[1], sizeof(rec[1])); /* ready again */
	for (unsigned i = 0; i < 6; i++)
		ck_assert(is_used(TX2));
	ck_assert(drv_take_event(&d, &e));
	ck_assert_uint_eq(e.len, sizeof(got));
	memcpy(&got, e.bytes, sizeof(got));
	ck_assert_uint_eq(got.type, EXO_CTL_TERMIOS);
	ck_assert_uint_eq(got.arg0, EXO_TTY_ECHO | EXO_TTY_CANON | EXO_TTY_ISIG);
	ck_assert_uint_eq(got.arg1 | got.reserved, 0);
	ck_assert(drv_take_event(&d, &e));
	memcpy(&got, e.bytes, sizeof(got));
	ck_assert_uint_eq(got.type, EXO_CTL_READY);
	ck_assert(!drv_take_event(&d, &e));
}
END_TEST

/* ---- the hostile driver -------------------------------------------------------------------- */

START_TEST(h05_no_room_for_the_answer)
{
	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(CRX, 1, 7);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	say(2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	drv_kick(&d, CTX);
	ck_assert(is_used(CRX));
	ck_assert(!memcmp(drv_ptr(&d, ctl_gpa[0], 8), "\0\0\0\0\0\0\0\0", 8));
	post(RX2, 3, 15);
	console_signal(d.dev, SIGINT);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t id, len;

		ck_assert(drv_used(&d, RX2, &id, &len));
		ck_assert_uint_eq(len, 0);
	}
	post(RX2, 1, 16); /* the record is not lost */
	gets_record(EXO_CTL_SIGNAL, SIGINT, 0);
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

START_TEST(unknown_messages)
{
	start();
	say(3, VIRTIO_CONSOLE_PORT_READY, 1);
	say(UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
	say(0, VIRTIO_CONSOLE_PORT_REMOVE, 1);
	say(0, 0xffff, 1);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	say(1, VIRTIO_CONSOLE_PORT_READY, 0);
	drv_kick(&d, CTX);
	drv_send(&d, CTX, "short", 5);
	drv_post(&d, CTX, 8, NULL); /* nothing readable */
	hears_nothing();
	for (unsigned i = 0; i < 6 + 2; i++)
		ck_assert(is_used(CTX));
	ck_assert(!is_used(CTX));
	ck_assert(!drv_needs_reset(&d));
}
END_TEST

static void change_port(void *opaque, gpa_t gpa, size_t len)
{
	if (gpa == *(gpa_t *)opaque)
		*(uint32_t *)drv_ptr(&d, gpa, 4) = 0x40000000;
}

START_TEST(h11_message_is_copied_once)
{
	gpa_t gpa;

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	post(CRX, 8, 64);
	say(1, VIRTIO_CONSOLE_PORT_READY, 1);
	gpa = d.brk - sizeof(struct virtio_console_control);
	d.mem.hook_opaque = &gpa;
	d.mem.fetch_hook = change_port;
	drv_kick(&d, CTX);
	ck_assert_uint_eq(*(uint32_t *)drv_ptr(&d, gpa, 4), 0x40000000);
	hears_name(1, "exo.stderr");
}
END_TEST

START_TEST(h26_flood_of_messages)
{
	gpa_t mark;

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	mark = d.brk;
	/* Asks for answers for ever and takes none. */
	for (unsigned i = 0; i < 20000; i++) {
		d.brk = mark;
		say(i % 3, i & 1 ? VIRTIO_CONSOLE_PORT_READY : VIRTIO_CONSOLE_DEVICE_READY, 1);
		drv_kick(&d, CTX);
		ck_assert(is_used(CTX));
		console_signal(d.dev, 1 + i % 63);
		console_winch(d.dev, (uint16_t)i, 80);
	}
	post(CRX, 40, 64);
	for (unsigned n = 0;; n++) { /* each answer once */
		if (!is_used(CRX)) {
			ck_assert_uint_eq(n, 3 + 3 * 2 + 2);
			break;
		}
	}
}
END_TEST

START_TEST(h26_flood_of_records)
{
	struct exo_ctl rec = {.type = EXO_CTL_TERMIOS};
	gpa_t gpa = drv_alloc(&d, sizeof(rec), 4);

	start();
	for (unsigned i = 0; i < 60; i++) {
		rec.arg0 = i & 7;
		memcpy(drv_ptr(&d, gpa, sizeof(rec)), &rec, sizeof(rec));
		drv_add(&d, TX2, &(struct drv_buf){gpa, sizeof(rec), false}, 1);
	}
	drv_kick(&d, TX2);
	ck_assert_uint_eq(d.nevents, 1); /* the last one counts */
}
END_TEST

/* A huge chain does not hold the lock until it is written. */
START_TEST(h26_output_in_turns)
{
	struct drv_buf buf[200];
	unsigned turns = 0;

	setup_bare();
	create(-1, open("/dev/zero", O_WRONLY), -1);
	start();
	for (unsigned i = 0; i < 200; i++)
		buf[i] = (struct drv_buf){0, DRV_LOW_BYTES, false};
	drv_add_indirect(&d, TX0, buf, 200);
	drv_kick(&d, TX0);
	while (!is_used(TX0)) {
		ck_assert_uint_ne(d.timer_ns, 0);
		ck_assert_uint_eq(drv_pump(&d, 1000), 1);
		turns++;
	}
	ck_assert_uint_ge(turns, 399);
	ck_assert_uint_eq(d.timer_ns, 0);
}
END_TEST

START_TEST(h26_input_in_turns)
{
	struct drv_buf buf = {0x100000, 0x80000, true};

	setup_bare();
	create(open("/dev/zero", O_RDONLY), -1, -1);
	start();
	for (unsigned i = 0; i < 8; i++)
		drv_add(&d, RX0, &buf, 1);
	drv_kick(&d, RX0);
	ck_assert(is_used(RX0) && is_used(RX0) && !is_used(RX0));
	ck_assert_uint_ne(d.timer_ns, 0);
	drv_pump(&d, 1000);
	ck_assert(is_used(RX0) && is_used(RX0) && !is_used(RX0));
}
END_TEST

/* _i: the queue. */
START_TEST(malformed_ring_stops_it)
{
	static char big[200000];

	ck_assert(drv_start(&d, DRV_ALL_FEATURES));
	for (unsigned id = 0; id < EXO_PORTS; id++) {
		say(id, VIRTIO_CONSOLE_PORT_READY, 1);
		say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
	drv_kick(&d, CTX);
	drv_send(&d, _i == TX1 ? TX0 : TX1, big, sizeof(big)); /* waits */
	ck_assert_uint_eq(d.watch[0].events, EPOLLOUT);
	drv_offer(&d, (unsigned)_i, 0x4000);
	drv_kick(&d, (unsigned)_i);
	console_signal(d.dev, SIGINT);                    /* something to say on RX2 */
	ck_assert_int_eq(drv_needs_reset(&d), _i != RX1); /* that is never looked at */
	if (_i == RX1)
		return;
	for (unsigned i = 0; i < DRV_WATCHES; i++)
		ck_assert_int_eq(d.watch[i].fd, -1);
	ck_assert_uint_eq(d.timer_ns, 0);
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
	ck_assert_uint_eq(d.config_notified, 1);
}
END_TEST

START_TEST(h16_reset_while_waiting)
{
	static char big[200000], got[65536];
	uint8_t before[64];
	gpa_t used;

	start();
	post(RX0, 1, 16);
	drv_send(&d, TX0, big, sizeof(big));
	used = d.q[TX0].used;
	memcpy(before, drv_ptr(&d, used, 64), 64);
	vdev_set_status(d.dev, 0);
	for (unsigned i = 0; i < DRV_WATCHES; i++)
		ck_assert_int_eq(d.watch[i].fd, -1);
	while (read(out, got, sizeof(got)) > 0)
		;
	ck_assert_int_eq(write(in, "abc", 3), 3);
	ck_assert_uint_eq(drv_pump(&d, 0), 0);
	ck_assert(!memcmp(before, drv_ptr(&d, used, 64), 64));
	/* The streams are still there for the next driver. */
	d.brk = 0x1000;
	start();
	drv_send(&d, TX0, "again", 5);
	reads(out, "again");
	post(RX0, 1, 16);
	delivers("abc");
}
END_TEST

START_TEST(reset_tells_of_what_broke)
{
	start();
	shut(&out);
	drv_send(&d, TX0, "x", 1);
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDIO, EPIPE);
	start();
	gets_record(EXO_CTL_BROKEN, EXO_PORT_STDIO, EPIPE);
}
END_TEST

static TCase *stream_cases(void)
{
	TCase *tc = tcase_create("streams");

	tcase_add_test(tc, output);
	tcase_add_test(tc, output_of_many_segments);
	tcase_add_test(tc, output_waits_for_a_slow_reader);
	tcase_add_test(tc, output_broken_pipe);
	tcase_add_test(tc, output_broken_before_open);
	tcase_add_test(tc, output_breaks_while_waiting);
	tcase_add_test(tc, drain);
	tcase_add_test(tc, guest_closes_its_output);
	tcase_add_test(tc, guest_closes_while_output_waits);
	tcase_add_test(tc, input);
	tcase_add_test(tc, input_only_on_demand);
	tcase_add_test(tc, input_waits_for_the_port);
	tcase_add_test(tc, input_ends);
	tcase_add_test(tc, input_ends_while_waiting);
	return tc;
}

/* These make their own device. */
static TCase *file_cases(void)
{
	TCase *tc = tcase_create("files");

	tcase_add_loop_test(tc, output_to_a_blocking_file, 0, 3);
	tcase_add_test(tc, output_to_a_regular_file);
	tcase_add_test(tc, output_to_nowhere);
	tcase_add_test(tc, output_full_disk);
	tcase_add_loop_test(tc, input_of_nothing, 0, 2);
	tcase_add_test(tc, input_of_a_regular_file);
	tcase_add_loop_test(tc, input_of_a_blocking_file, 0, 2);
	tcase_add_test(tc, h26_output_in_turns);
	tcase_add_test(tc, h26_input_in_turns);
	return tc;
}

static TCase *control_cases(void)
{
	TCase *tc = tcase_create("control");

	tcase_add_test(tc, handshake_step_by_step);
	tcase_add_test(tc, handshake_in_one_batch);
	tcase_add_test(tc, config_space);
	tcase_add_test(tc, without_multiport);
	tcase_add_test(tc, signals);
	tcase_add_test(tc, signals_wait_for_the_port);
	tcase_add_test(tc, window_size);
	tcase_add_test(tc, records_of_the_guest);
	return tc;
}

static TCase *hostile_cases(void)
{
	TCase *tc = tcase_create("hostile");

	tcase_add_test(tc, h05_no_room_for_the_answer);
	tcase_add_test(tc, unknown_messages);
	tcase_add_test(tc, h11_message_is_copied_once);
	tcase_add_test(tc, h16_reset_while_waiting);
	tcase_add_test(tc, h26_flood_of_messages);
	tcase_add_test(tc, h26_flood_of_records);
	tcase_add_loop_test(tc, malformed_ring_stops_it, 0, 8);
	tcase_add_test(tc, reset_tells_of_what_broke);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("console");
	TCase *tc[] = {stream_cases(), control_cases(), hostile_cases(), file_cases()};

	for (unsigned i = 0; i < sizeof(tc) / sizeof(tc[0]); i++) {
		tcase_add_checked_fixture(tc[i], i == 3 ? NULL : setup, teardown);
		tcase_set_timeout(tc[i], 20);
		suite_add_tcase(s, tc[i]);
	}
	return unit_run(s);
}
