/*
 * The shell's pure parts: options and values, text escaping, TAP, the vsock
 * handshake, the terminal's escape, exit codes and status; and its decoder of
 * the VMM's messages against a VMM that lies (H-34).
 */
#include "broker.h"
#include "fdmsg.h"
#include "launch.h"
#include "opts.h"
#include "report.h"
#include "results.h"
#include "tap.h"
#include "text.h"
#include "tty.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- options -------------------------------------------------------------- */

START_TEST(sizes)
{
	static const struct {
		const char *text;
		int err;
		uint64_t bytes;
	} rows[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"64M", 0, 64ull << 20},
		{"64m", 0, 64ull << 20},
		{"2GiB", 0, 2ull << 30},
		{"1KB", 0, 1024},
		{"512B", 0, 512},
		{"3T", 0, 3ull << 40},
		{"18446744073709551615", 0, UINT64_MAX},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 M", -EINVAL, 0},
		{"1MM", -EINVAL, 0},
		{"1.5M", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"64P", -EINVAL, 0},
		{"1Mi", -EINVAL, 0},
		{"18446744073709551616", -ERANGE, 0},
		{"16777216T", -ERANGE, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t bytes = 0;

		ck_assert_msg(opts_parse_size(rows[i].text, &bytes) == rows[i].err, "%s",
			      rows[i].text);
		if (!rows[i].err)
			ck_assert_uint_eq(bytes, rows[i].bytes);
	}
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		int err;
		uint64_t ns;
	} rows[] = {
		{"10", 0, 10000000000ull},
		{"10s", 0, 10000000000ull},
		{"250ms", 0, 250000000ull},
		{"1.5", 0, 1500000000ull},
		{"0.000001s", 0, 1000ull},
		{"2m", 0, 120000000000ull},
		{"1.5h", 0, 5400000000000ull},
		{"0", 0, 0},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{".5", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1d", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"99999999h", -ERANGE, 0},
		{"99999999999999999999s", -ERANGE, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ns = 0;

		ck_assert_msg(opts_parse_duration(rows[i].text, &ns) == rows[i].err, "%s",
			      rows[i].text);
		if (!rows[i].err)
			ck_assert_uint_eq(ns, rows[i].ns);
	}
}
END_TEST

enum { ALPHA = 1, BETA, GAMMA };

static const struct opts_def defs[] = {{"alpha", 'a', true, ALPHA},
				       {"beta", 'b', false, BETA},
				       {"gamma", 0, false, GAMMA},
				       {NULL}};

/* Walks a command line; writes "id=value" of each option, then the first operand. */
static void walk(char **argv, char *out, size_t capacity)
{
	struct opts o;
	size_t n = 0;
	int id;

	opts_init(&o, defs, argv);
	while ((id = opts_next(&o)) > 0)
		n += (size_t)snprintf(out + n, capacity - n, "%d=%s ", id, o.value ? o.value : "-");
	snprintf(out + n, capacity - n, "%s", id ? o.error : argv[o.pos] ? argv[o.pos] : ".");
}

START_TEST(options)
{
	static const struct {
		const char *argv[8];
		const char *wanted;
	} rows[] = {
		{{"run", "prog", "-x"}, "prog"},
		{{"run"}, "."},
		{{"run", "-a", "1", "-b", "p"}, "1=1 2=- p"},
		{{"run", "-ba1", "p"}, "2=- 1=1 p"},
		{{"run", "--alpha=1", "--alpha", "2", "--gamma"}, "1=1 1=2 3=- ."},
		{{"run", "--alpha="}, "1= ."},
		{{"run", "-a", "--", "-b"}, "1=-- 2=- ."},
		{{"run", "--", "-b"}, "-b"},
		{{"run", "-", "-b"}, "-"},
		{{"run", "-a"}, "option -a needs a value"},
		{{"run", "-ba"}, "2=- option -a needs a value"},
		{{"run", "--alpha"}, "option --alpha needs a value"},
		{{"run", "--beta=1"}, "option --beta takes no value"},
		{{"run", "--alp", "1"}, "unknown option --alp"},
		{{"run", "--zeta=1"}, "unknown option --zeta"},
		{{"run", "-bz"}, "2=- unknown option -z"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *argv[8] = {0}, out[256];

		for (int k = 0; k < 7 && rows[i].argv[k]; k++)
			argv[k] = strdup(rows[i].argv[k]);
		walk(argv, out, sizeof(out));
		ck_assert_str_eq(out, rows[i].wanted);
		for (int k = 0; k < 7; k++)
			free(argv[k]);
	}
}
END_TEST

/* ---- text ------------------------------------------------------------------- */

START_TEST(json_strings)
{
	static const char *const rows[][2] = {
		{"", "\"\""},
		{"plain", "\"plain\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"l1\nl2\t\x01\x7f", "\"l1\\nl2\\u0009\\u0001\\u007f\""},
		{"h\xc3\xa9", "\"h\xc3\xa9\""},
		{"\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\xff", "\"\\ufffd\""},
		{"\xc0\x80", "\"\\ufffd\\ufffd\""},                         /* overlong */
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},              /* surrogate */
		{"\xe2\x82", "\"\\ufffd\\ufffd\""},                         /* cut off */
		{"\xf4\x90\x80\x80z", "\"\\ufffd\\ufffd\\ufffd\\ufffdz\""}, /* too big */
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct text t = {0};

		text_add_json(&t, rows[i][0]);
		ck_assert_str_eq(t.data, rows[i][1]);
		text_finish(&t);
	}
}
END_TEST

START_TEST(xml_text)
{
	struct text t = {0};

	text_add_xml(&t, "<a b=\"c\">&\x01\x1b\xff\xc3\xa9");
	ck_assert_str_eq(t.data, "&lt;a b=&quot;c&quot;&gt;&amp;???\xc3\xa9");
	text_finish(&t);
}
END_TEST

START_TEST(bounded_text)
{
	struct text t = {.limit = 10};

	text_add(&t, "12345678", 8);
	ck_assert(!t.truncated);
	text_add(&t, "abcdef", 6);
	ck_assert(t.truncated);
	ck_assert_str_eq(t.data, "12345678ab");
	text_finish(&t);
}
END_TEST

/* ---- TAP -------------------------------------------------------------------- */

static void note_result(void *opaque, const struct tap_result *r)
{
	struct text *t = opaque;

	text_addf(t, "%s%u%s:%s ", r->ok ? "+" : "-", r->number,
		  r->directive == TAP_SKIP   ? "s"
		  : r->directive == TAP_TODO ? "t"
					     : "",
		  r->description);
}

/* Feeds it whole and, for `step` 1, byte by byte; gives "results|failed|error". */
static void tap_run(const char *stream, size_t step, char *out, size_t capacity)
{
	struct text t = {0};
	struct tap tap;

	tap_init(&tap, note_result, NULL, &t);
	for (size_t i = 0; i < strlen(stream); i += step)
		tap_feed(&tap, stream + i, step < strlen(stream) - i ? step : strlen(stream) - i);
	tap_end(&tap);
	snprintf(out, capacity, "%s|%u|%s", t.data ? t.data : "", tap.failed, tap.error);
	text_finish(&t);
}

START_TEST(tap_streams)
{
	static const char *const rows[][2] = {
		{"1..2\nok 1 - a\nnot ok 2 - b\n", "+1:a -2:b |1|"},
		{"TAP version 14\n1..1\nok\n", "+1: |0|"},
		{"ok 1 a\nok 2\n1..2\n", "+1:a +2: |0|"},
		{"1..1\r\nok 1 - a\r\n", "+1:a |0|"},
		{"1..0 # SKIP no disk\n", "|0|"},
		{"1..2\nok 1 - a # SKIP slow\nnot ok 2 - b # TODO later\n", "+1s:a -2t:b |0|"},
		{"1..1\nok 1 - a # not a directive\n", "+1:a # not a directive |0|"},
		{"1..1\nok 1 - a \\# SKIP escaped\n", "+1:a \\# SKIP escaped |0|"},
		{"1..1\n# note\n    ok 1 - inner\n    1..1\nok 1 - outer\n", "+1:outer |0|"},
		{"1..1\nnot ok 1 - a\n  ---\n  ok 5 - text\n  ...\n", "-1:a |1|"},
		{"pragma +strict\n1..1\nok 1\n", "+1: |0|"},
		{"1..1\nok 1 - \x1b[31mred\n", "+1:?[31mred |0|"},
		{"", "|0|no plan and no tests"},
		{"ok 1\n", "+1: |0|no plan"},
		{"1..2\nok 1\n", "+1: |0|2 tests planned, 1 run"},
		{"1..1\nok 1\nok 2\n", "+1: +2: |0|1 tests planned, 2 run"},
		{"1..1\n1..1\nok 1\n", "+1: |0|a second plan"},
		{"ok 1\n1..1\nok 2\n", "+1: +2: |0|a test after the plan at the end"},
		{"1..2\nok 1\nok 3\n", "+1: +2: |0|test 2 has the number 3"},
		{"1..1\nok 1\nBail out! disk on fire\n", "+1: |0|bailed out: disk on fire"},
		{"1..1\nok 1", "|0|the last line is not finished"},
		{"1..1\nokay 1\n", "|0|a line that is not TAP: okay 1"},
		{"1..1\nok 1\nTAP version 13\n", "+1: |0|a line that is not TAP: TAP version 13"},
		{"1..x\n", "|0|a plan that is no number up to 10000: 1..x"},
		{"1..10001\n", "|0|a plan that is no number up to 10000: 1..10001"},
		{"1..-1\n", "|0|a plan that is no number up to 10000: 1..-1"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char whole[400], bytes[400];

		tap_run(rows[i][0], 4096, whole, sizeof(whole));
		tap_run(rows[i][0], 1, bytes, sizeof(bytes));
		ck_assert_str_eq(whole, rows[i][1]);
		ck_assert_str_eq(bytes, rows[i][1]);
	}
}
END_TEST

START_TEST(tap_bounds)
{
	char line[3 * TAP_LINE_MAX], out[200];
	struct text stream = {0};

	memset(line, 'x', sizeof(line));
	memcpy(line, "ok 1 - ", 7);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	text_addf(&stream, "1..1\n");
	text_add(&stream, line, strlen(line));
	tap_run(stream.data, 4096, line, sizeof(line));
	ck_assert(strstr(line, "|a line longer than 1023 bytes"));
	stream.length = 0;
	for (int i = 0; i <= TAP_TESTS_MAX; i++)
		text_addf(&stream, "ok\n");
	tap_run(stream.data, 4096, out, sizeof(out)); /* out is cut; what counts: it ends */
	text_finish(&stream);
}
END_TEST

START_TEST(results_written)
{
	struct results r = {.file = "a&b.elf"};
	struct text out = {0};
	unsigned number = 3;

	results_add(&r, (struct result){.ok = true}, "one");
	results_add(&r, (struct result){0}, "two <x>");
	results_add(&r, (struct result){.ok = true, .skipped = true}, "three");
	results_add(&r, (struct result){.todo = true}, "four");
	text_addf(&r.output, "said\nthis\n");
	ck_assert_uint_eq(results_count(&r).passed, 2);
	ck_assert_uint_eq(results_count(&r).failed, 1);
	ck_assert_uint_eq(results_count(&r).skipped, 1);
	results_add_tap(&r, &number, false, &out);
	ck_assert_str_eq(out.data, "ok 4 - a&b.elf: one\nnot ok 5 - a&b.elf: two <x>\n"
				   "ok 6 - a&b.elf: three # SKIP\nnot ok 7 - a&b.elf: four # TODO\n"
				   "# | said\n# | this\n");
	out.length = 0;
	results_add_junit(&r, &out);
	ck_assert(strstr(out.data, "tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""));
	ck_assert(strstr(out.data, "<failure message=\"two &lt;x&gt;\"/>"));
	ck_assert(strstr(out.data, "<system-out>said\nthis\n</system-out>"));
	results_finish(&r);
	text_finish(&out);
}
END_TEST

/* ---- terminal ----------------------------------------------------------------- */

START_TEST(terminal_escape)
{
	static const struct {
		const char *in, *out;
		bool quit;
	} rows[] = {
		{"abc", "abc", false},
		{"\x1d"
		 "q",
		 "", true},
		{"ab\x1dqcd", "ab", true},
		{"\x1d\x1d", "\x1d", false},
		{"\x1dx", "\x1dx", false},
		{"\x1d\x1dq", "\x1dq", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct tty_escape whole = {0}, steps = {0};
		char out[32], step_out[32];
		unsigned n = tty_filter(&whole, rows[i].in, (unsigned)strlen(rows[i].in), out),
			 k = 0;

		for (size_t b = 0; rows[i].in[b]; b++)
			k += tty_filter(&steps, rows[i].in + b, 1, step_out + k);
		out[n] = step_out[k] = '\0';
		ck_assert_str_eq(out, rows[i].out);
		ck_assert_str_eq(step_out, rows[i].out);
		ck_assert(whole.quit == rows[i].quit && steps.quit == rows[i].quit);
	}
}
END_TEST

/* ---- vsock ----------------------------------------------------------------------- */

START_TEST(connect_lines)
{
	static const struct {
		const char *line;
		int err;
		uint32_t port;
	} rows[] = {
		{"CONNECT 1\n", 0, 1},
		{"CONNECT 4294967294\n", 0, 4294967294u},
		{"CONNECT 0\n", 0, 0},
		{"CONNECT 007\n", 0, 7},
		{"CONNECT 4294967295\n", -EINVAL, 0},
		{"CONNECT 4294967296\n", -EINVAL, 0},
		{"CONNECT 99999999999\n", -EINVAL, 0},
		{"CONNECT 1", -EINVAL, 0},
		{"CONNECT 1\r\n", -EINVAL, 0},
		{"CONNECT \n", -EINVAL, 0},
		{"CONNECT\n", -EINVAL, 0},
		{"CONNECT  1\n", -EINVAL, 0},
		{"CONNECT -1\n", -EINVAL, 0},
		{"CONNECT 1 \n", -EINVAL, 0},
		{"connect 1\n", -EINVAL, 0},
		{"OK 1\n", -EINVAL, 0},
		{"\n", -EINVAL, 0},
		{"", -EINVAL, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		uint32_t port = 0;

		ck_assert_msg(broker_parse_connect(rows[i].line, (unsigned)strlen(rows[i].line),
						   &port) == rows[i].err,
			      "%s", rows[i].line);
		ck_assert_uint_eq(port, rows[i].port);
	}
}
END_TEST

static char folder[64], sock_path[96];

static void make_folder(void)
{
	strcpy(folder, "/tmp/exo-unit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(sock_path, sizeof(sock_path), "%s/s", folder);
}

static void remove_folder(void)
{
	ck_assert_int_eq(rmdir(folder), 0); /* the broker left nothing in it */
}

/* A client's connection to the broker at sock_path + suffix. */
static int dial(const char *suffix, int type)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s%s", sock_path, suffix);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Lets the broker do what there is to do. */
static int turn(struct broker *b, struct launch *vm)
{
	struct pollfd fds[BROKER_POLL_MAX];
	unsigned n = broker_poll(b, fds);

	poll(fds, n, 50);
	return broker_handle(b, vm, fds, n);
}

static void socket_pair(struct launch *vm, int *vmm)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	launch_init(vm);
	vm->sock_fd = pair[0];
	vm->started = true;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*vmm = pair[1];
}

/* One vsock message as the VMM sees it; its fd, or -1. */
static int take(int vmm, struct exo_vmm_vsock *m)
{
	unsigned nfds = 0;
	int fd = -1;
	ssize_t n;

	fcntl(vmm, F_SETFL, O_NONBLOCK);
	memset(m, 0, sizeof(*m));
	n = fdmsg_recv(vmm, m, sizeof(*m), &fd, 1, &nfds);
	if (n == (ssize_t)sizeof(*m)) {
		ck_assert_uint_eq(m->h.size, sizeof(*m));
		ck_assert_uint_eq(m->h.nfds, nfds);
	}
	return nfds ? fd : -1;
}

START_TEST(host_connects)
{
	struct broker b;
	struct launch vm;
	struct exo_vmm_vsock m;
	char rest[8] = "";
	int vmm, client, fd;

	make_folder();
	socket_pair(&vm, &vmm);
	broker_init(&b);
	ck_assert_int_eq(broker_listen(&b, sock_path), 0);
	client = dial("", SOCK_STREAM);
	ck_assert_int_eq(write(client, "CONN", 4), 4);
	ck_assert_int_eq(turn(&b, &vm), 0); /* accepts */
	ck_assert_int_eq(turn(&b, &vm), 0); /* half a line */
	ck_assert_int_eq(take(vmm, &m), -1);
	ck_assert_int_eq(write(client, "ECT 77\nhello", 12), 12);
	ck_assert_int_eq(turn(&b, &vm), 0);
	fd = take(vmm, &m);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(m.h.type, EXO_VMM_VSOCK_OPEN);
	ck_assert_uint_eq(m.port, 77);
	ck_assert_uint_eq(m.type, VIRTIO_VSOCK_TYPE_STREAM);
	ck_assert_uint_eq(m.flags, EXO_VSOCK_SAY_OK);
	/* what follows the line was not eaten */
	ck_assert_int_eq(read(fd, rest, sizeof(rest)), 5);
	ck_assert_str_eq(rest, "hello");
	close(fd);
	close(client);

	client = dial(".seq", SOCK_SEQPACKET);
	ck_assert_int_eq(write(client, "CONNECT 5\n", 10), 10);
	turn(&b, &vm);
	turn(&b, &vm);
	fd = take(vmm, &m);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(m.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	close(fd);
	close(client);
	ck_assert_uint_eq(b.nclients, 0);
	broker_finish(&b);
	remove_folder();
	close(vmm);
	launch_finish(&vm);
}
END_TEST

START_TEST(host_talks_nonsense)
{
	static const char *const lines[] = {"GET / HTTP/1.1\n", "CONNECT x\n", "\n",
					    "CONNECT 12345678901234567890"};
	struct broker b;
	struct launch vm;
	struct exo_vmm_vsock m;
	char byte;
	int vmm;

	make_folder();
	socket_pair(&vm, &vmm);
	broker_init(&b);
	ck_assert_int_eq(broker_listen(&b, sock_path), 0);
	for (size_t i = 0; i < COUNT(lines); i++) {
		int client = dial("", SOCK_STREAM);

		ck_assert_int_ge(client, 0);
		ck_assert_int_gt(write(client, lines[i], strlen(lines[i])), 0);
		turn(&b, &vm);
		turn(&b, &vm);
		ck_assert_int_eq(take(vmm, &m), -1);
		ck_assert_int_le(read(client, &byte, 1), 0); /* hung up */
		close(client);
	}
	/* More silent clients than the table holds: the rest waits, and is not lost. */
	int clients[BROKER_CLIENTS_MAX + 8];

	for (size_t i = 0; i < COUNT(clients); i++)
		ck_assert_int_ge(clients[i] = dial("", SOCK_STREAM), 0);
	for (size_t i = 0; i < 2 * COUNT(clients); i++)
		ck_assert_int_eq(turn(&b, &vm), 0);
	ck_assert_uint_le(b.nclients, BROKER_CLIENTS_MAX);
	for (unsigned i = 0; i < b.nclients; i++)
		b.client[i].deadline_ns = 1; /* their time is over */
	turn(&b, &vm);
	ck_assert_uint_eq(b.nclients, 0);
	turn(&b, &vm); /* and those in the backlog have theirs */
	ck_assert_uint_eq(b.nclients, 1);
	ck_assert_uint_gt(broker_deadline(&b), launch_now_ns());
	for (size_t i = 0; i < COUNT(clients); i++)
		close(clients[i]);
	broker_finish(&b);
	remove_folder();
	close(vmm);
	launch_finish(&vm);
}
END_TEST

static struct exo_vmm_vsock request(uint32_t port, uint32_t type)
{
	return (struct exo_vmm_vsock){
		.h = {EXO_VMM_MAGIC, EXO_VMM_VSOCK_REQUEST, sizeof(struct exo_vmm_vsock), 0},
		.id = 9,
		.port = port,
		.type = type};
}

START_TEST(guest_connects)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM, 0), fd, vmm;
	struct exo_vmm_vsock m;
	struct launch vm;
	struct broker b;

	make_folder();
	socket_pair(&vm, &vmm);
	broker_init(&b);
	ck_assert_int_eq(broker_listen(&b, sock_path), 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s_5", sock_path);
	ck_assert_int_eq(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(server, 0), 0);

	m = request(5, VIRTIO_VSOCK_TYPE_STREAM);
	ck_assert_int_eq(broker_request(&b, &vm, &m), 0);
	fd = take(vmm, &m);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(m.h.type, EXO_VMM_VSOCK_REPLY);
	ck_assert_uint_eq(m.id, 9);
	ck_assert_int_eq(m.status, 0);

	m = request(5, VIRTIO_VSOCK_TYPE_SEQPACKET); /* the server is a stream's */
	ck_assert_int_eq(broker_request(&b, &vm, &m), 0);
	ck_assert_int_eq(take(vmm, &m), -1);
	ck_assert_int_lt(m.status, 0);

	m = request(6, VIRTIO_VSOCK_TYPE_STREAM); /* nobody */
	ck_assert_int_eq(broker_request(&b, &vm, &m), 0);
	ck_assert_int_eq(take(vmm, &m), -1);
	ck_assert_int_eq(m.status, -ECONNREFUSED);

	/* A full backlog is asked again, and served as soon as there is room. */
	m = request(5, VIRTIO_VSOCK_TYPE_STREAM);
	ck_assert_int_eq(broker_request(&b, &vm, &m), 0);
	ck_assert_int_eq(take(vmm, &m), -1);
	ck_assert_uint_eq(b.nrequests, 1);
	close(accept(server, NULL, NULL));
	ck_assert_int_eq(turn(&b, &vm), 0);
	ck_assert_uint_eq(b.nrequests, 0);
	close(take(vmm, &m));
	ck_assert_int_eq(m.status, 0);
	close(fd);
	close(server);
	unlink(a.sun_path);
	broker_finish(&b);
	remove_folder();
	close(vmm);
	launch_finish(&vm);
}
END_TEST

START_TEST(leftover_socket)
{
	struct broker first, second;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int stale = socket(AF_UNIX, SOCK_STREAM, 0), null = open("/dev/null", O_WRONLY), err;

	make_folder();
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", sock_path);
	ck_assert_int_eq(bind(stale, (struct sockaddr *)&a, sizeof(a)), 0);
	close(stale);
	broker_init(&first);
	broker_init(&second);
	ck_assert_int_eq(broker_listen(&first, sock_path), 0);
	err = dup(2);
	dup2(null, 2); /* it says why */
	ck_assert_int_eq(broker_listen(&second, sock_path), GUEST_EXIT_FAILURE);
	dup2(err, 2);
	broker_finish(&second); /* must not remove the first one's */
	ck_assert_int_eq(access(sock_path, F_OK), 0);
	broker_finish(&first);
	remove_folder();
	close(err);
	close(null);
}
END_TEST

/* ---- H-34: a VMM that lies ---------------------------------------------------------- */

static void h34_send(int vmm, const void *m, size_t size, int fd)
{
	ck_assert_int_eq(fdmsg_send(vmm, m, size, &fd, fd >= 0), 0);
}

START_TEST(h34_bad_messages)
{
	const struct exo_vmm_header good = {EXO_VMM_MAGIC, EXO_VMM_STARTED, sizeof(good), 0};
	struct exo_vmm_ended ended = {.h = {EXO_VMM_MAGIC, EXO_VMM_ENDED, sizeof(ended), 0},
				      .reason = EXO_END_EXIT};
	struct exo_vmm_termios termios = {.h = {EXO_VMM_MAGIC, EXO_VMM_TERMIOS, sizeof(termios), 0},
					  .flags = EXO_TTY_ECHO};
	static char long_message[8192];
	union launch_msg m;
	struct launch l;
	int vmm;

	for (int row = 0;; row++) {
		struct exo_vmm_header h = good;
		size_t size = sizeof(h);
		const void *bytes = &h;
		int fd = -1;

		socket_pair(&l, &vmm);
		l.started = false;
		switch (row) {
		case 0:
			h.magic = 1;
			break;
		case 1:
			h.type = 0;
			break;
		case 2:
			h.type = EXO_VMM_CONFIG;
			break;
		case 3:
			h.type = 0xffffffff;
			break;
		case 4:
			h.size = 0;
			break;
		case 5:
			h.size = sizeof(h) + 1;
			break;
		case 6:
			size = 3;
			break;
		case 7:
			h.nfds = 1;
			break;
		case 8:
			fd = vmm;
			break; /* an fd uninvited */
		case 9:
			h.nfds = 1;
			fd = vmm;
			break; /* or announced */
		case 10:
			h.type = EXO_VMM_READY;
			break; /* before STARTED */
		case 11:
			l.started = true;
			break; /* STARTED twice */
		case 12:
			l.ended = true;
			break; /* after ENDED */
		case 13:
			h.type = EXO_VMM_STATS;
			l.started = true;
			break; /* not asked for */
		case 14:
			bytes = &ended;
			size = sizeof(ended);
			ended.reason = 0;
			break;
		case 15:
			bytes = &ended;
			size = sizeof(ended);
			ended.reason = EXO_END_HOST + 1;
			break;
		case 16:
			bytes = &ended;
			size = sizeof(ended);
			ended.reason = EXO_END_EXIT;
			ended.status = 256;
			break;
		case 17:
			bytes = &ended;
			size = sizeof(ended) - 1;
			ended.status = 0;
			break;
		case 18:
			bytes = &termios;
			size = sizeof(termios);
			break; /* before STARTED */
		case 19:
			bytes = &termios;
			size = sizeof(termios);
			termios.flags = 0x80000000;
			l.started = true;
			break;
		case 20:
			bytes = long_message;
			size = sizeof(long_message);
			break;
		default:
			close(vmm);
			launch_finish(&l);
			return;
		}
		h34_send(vmm, bytes, size, fd);
		ck_assert_msg(launch_recv(&l, &m) == -EPROTO, "row %d", row);
		close(vmm);
		launch_finish(&l);
	}
}
END_TEST

START_TEST(h34_good_messages)
{
	const struct exo_vmm_header started = {EXO_VMM_MAGIC, EXO_VMM_STARTED, sizeof(started), 0};
	struct exo_vmm_ended ended = {.h = {EXO_VMM_MAGIC, EXO_VMM_ENDED, sizeof(ended), 0},
				      .reason = EXO_END_FAULT,
				      .status = SIGSEGV};
	union launch_msg m;
	struct launch l;
	int vmm;

	memset(ended.detail, 'x', sizeof(ended.detail)); /* not terminated */
	memcpy(ended.detail, "a\x1b[2J\nb\xff", 8);
	socket_pair(&l, &vmm);
	l.started = false;
	ck_assert_int_eq(launch_recv(&l, &m), -EAGAIN);
	h34_send(vmm, &started, sizeof(started), -1);
	h34_send(vmm, &ended, sizeof(ended), -1);
	ck_assert_int_eq(launch_recv(&l, &m), 1);
	ck_assert(l.started);
	ck_assert_int_eq(launch_recv(&l, &m), 1);
	ck_assert(l.ended);
	ck_assert_uint_eq(strlen(m.ended.detail), sizeof(m.ended.detail) - 1);
	ck_assert_int_eq(strncmp(m.ended.detail, "a?[2J?b?", 8), 0);
	close(vmm);
	ck_assert_int_eq(launch_recv(&l, &m), 0);
	launch_finish(&l);
}
END_TEST

/* A VMM that asks without ever reading the answers is given up, not waited for. */
START_TEST(h34_flood)
{
	struct exo_vmm_vsock m = request(6, VIRTIO_VSOCK_TYPE_STREAM);
	struct launch l;
	struct broker b;
	int vmm, err = 0;

	socket_pair(&l, &vmm);
	broker_init(&b);
	for (int i = 0; i < 100000 && !err; i++)
		err = broker_request(&b, &l, &m);
	ck_assert_int_lt(err, 0);
	close(vmm);
	launch_finish(&l);
	broker_finish(&b);
}
END_TEST

/* ---- reports ---------------------------------------------------------------------------- */

START_TEST(exit_codes)
{
	static const struct {
		uint32_t reason, status;
		bool timed_out;
		int code;
		const char *word, *line;
	} rows[] = {
		{EXO_END_EXIT, 0, false, 0, "exit", NULL},
		{EXO_END_EXIT, 77, false, 77, "exit", NULL},
		{EXO_END_POWEROFF, 0, false, 0, "poweroff", NULL},
		{EXO_END_SIGNAL, SIGINT, false, 130, "signal", NULL},
		{EXO_END_SIGNAL, SIGPIPE, false, 141, "signal", NULL},
		{EXO_END_SIGNAL, SIGABRT, false, 134, "signal", "killed by signal 6 (Aborted)"},
		{EXO_END_FAULT, SIGSEGV, false, 139, "fault", "fault"},
		{EXO_END_FAULT, 0, false, 139, "fault", "fault"},
		{EXO_END_KILLED, SIGKILL, false, 137, "killed", "killed"},
		{EXO_END_TRIPLE_FAULT, 0, false, 139, "triple-fault", "triple fault"},
		{EXO_END_CONFIG, 0, false, 126, "config", "cannot start"},
		{EXO_END_CONFIG, 125, false, 125, "config", "cannot start"},
		{EXO_END_HOST, 0, false, 125, "host", "the host failed"},
		{0, 0, false, 125, "lost", "the VMM was lost"},
		{EXO_END_SIGNAL, SIGTERM, true, 124, "timeout", "ended by --timeout"},
		{EXO_END_EXIT, 0, true, 124, "timeout", "ended by --timeout"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct report r = {.end = {.reason = rows[i].reason, .status = rows[i].status},
				   .timed_out = rows[i].timed_out};
		char line[256];

		ck_assert_int_eq(report_exit_code(&r), rows[i].code);
		ck_assert_str_eq(report_reason(&r), rows[i].word);
		ck_assert(report_is_notable(&r) == (rows[i].line != NULL));
		report_describe(&r, line, sizeof(line));
		if (rows[i].line)
			ck_assert_str_eq(line, rows[i].line);
	}
	/* No end looks like our own failure (125) or a success by accident. */
	for (uint32_t reason = EXO_END_RESET; reason < EXO_END_CONFIG; reason++) {
		struct report r = {.end.reason = reason};

		ck_assert_int_gt(report_exit_code(&r), 127);
	}
}
END_TEST

START_TEST(status_file)
{
	struct text t = {0};
	char path[80], got[32] = "";
	struct stat st;
	int fd;

	make_folder();
	snprintf(path, sizeof(path), "%s/status", folder);
	ck_assert_int_eq(report_check_file(path), 0);
	ck_assert_int_ne(stat(path, &st), 0); /* checked, not made */
	text_addf(&t, "{}\n");
	ck_assert_int_eq(report_write_file(path, &t), 0);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, got, sizeof(got)), 3);
	close(fd);
	ck_assert_int_eq(report_check_file(path), 0); /* and the old one is gone */
	ck_assert_int_ne(stat(path, &st), 0);
	ck_assert_int_eq(report_check_file(folder), -EISDIR);
	ck_assert_int_eq(report_check_file("/nonexistent/x"), -ENOENT);
	ck_assert_int_eq(report_check_file("/dev/null"), 0);
	ck_assert_int_eq(report_write_file("/dev/null", &t), 0);
	ck_assert_int_eq(report_write_file("/dev/full", &t), -ENOSPC);
	text_finish(&t);
	remove_folder();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shell");
	TCase *tc = tcase_create("shell");

	tcase_add_test(tc, sizes);
	tcase_add_test(tc, durations);
	tcase_add_test(tc, options);
	tcase_add_test(tc, json_strings);
	tcase_add_test(tc, xml_text);
	tcase_add_test(tc, bounded_text);
	tcase_add_test(tc, tap_streams);
	tcase_add_test(tc, tap_bounds);
	tcase_add_test(tc, results_written);
	tcase_add_test(tc, terminal_escape);
	tcase_add_test(tc, connect_lines);
	tcase_add_test(tc, host_connects);
	tcase_add_test(tc, host_talks_nonsense);
	tcase_add_test(tc, guest_connects);
	tcase_add_test(tc, leftover_socket);
	tcase_add_test(tc, h34_bad_messages);
	tcase_add_test(tc, h34_good_messages);
	tcase_add_test(tc, h34_flood);
	tcase_add_test(tc, exit_codes);
	tcase_add_test(tc, status_file);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
