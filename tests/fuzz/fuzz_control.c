/*
 * Fuzzes the control socket and, through it, the lifecycle of guests. The input is
 * a program of operations: lines (mostly well-formed requests, some with bytes
 * changed, some raw), descriptors, what machines and the clock do meanwhile,
 * clients that hang up or don't read. The last client is a guest, by the service control.
 *
 * Oracles: whatever the session says is a JSON object a line, with an event or the
 * id of a request that was made and not yet answered (or null); the session comes to rest
 * (fake_turn); when all clients have gone no descriptor is left open; the
 * sanitizers agree.
 */
#include "fake_session.h"

#include <fcntl.h>
#include <sys/mman.h>

#define CLIENTS 3
#define IDS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *in;
static size_t left;

static struct {
	int fd;   /* -1: has gone */
	bool raw; /* it said what need not be a line of ours: ids may be any */
	unsigned asked[IDS];
	char got[1 << 16];
	size_t length;
} clients[CLIENTS];

static uint8_t next_byte(void)
{
	if (!left)
		return 0;
	left--;
	return *in++;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "oracle: %s\n", what);
	abort();
}

/* ---- requests --------------------------------------------------------------------- */

/* %c: a name's letter; the id comes first. */
static const char *const templates[] = {
	"\"op\":\"hello\"",
	"\"op\":\"ps\"",
	"\"op\":\"start\",\"program\":\"/g/%c\"",
	"\"op\":\"start\",\"program\":\"/g/%c\",\"attach\":true",
	"\"op\":\"start\",\"program\":\"/g\",\"name\":\"%c\",\"args\":[\"x\"],\"env\":[\"A=b\"],"
	"\"memory\":8388608,\"cpus\":1,\"rng\":true",
	"\"op\":\"start\",\"program\":\"/"
	"g\",\"name\":\"%c\",\"fds\":3,\"tty\":{\"rows\":3,\"in\":true}",
	"\"op\":\"start\",\"program\":\"/g\",\"name\":\"%c\",\"grants\":[{\"service\":\"s\"}],"
	"\"attach\":true",
	"\"op\":\"start\",\"program\":\"/g\",\"disks\":[{\"path\":\"/d\",\"ro\":true}],"
	"\"mounts\":[{\"source\":\"/s\",\"path\":\"/m\"}]",
	"\"op\":\"remove\",\"guest\":\"%c\"",
	"\"op\":\"signal\",\"guest\":\"%c\",\"signal\":9",
	"\"op\":\"stop\",\"guest\":\"%c\"",
	"\"op\":\"stop\",\"guest\":\"%c\",\"timeout_ms\":5",
	"\"op\":\"kill\",\"guest\":\"%c\"",
	"\"op\":\"winch\",\"guest\":\"%c\",\"rows\":1,\"cols\":2",
	"\"op\":\"wait\",\"guest\":\"%c\"",
	"\"op\":\"wait\",\"guest\":\"%c\",\"for\":\"ready\",\"timeout_ms\":20",
	"\"op\":\"pause\",\"guest\":\"%c\"",
	"\"op\":\"resume\",\"guest\":\"%c\"",
	"\"op\":\"log\",\"guest\":\"%c\"",
	"\"op\":\"log\",\"guest\":\"%c\",\"follow\":true,\"lines\":2",
	"\"op\":\"top\"",
	"\"op\":\"wires\"",
	"\"op\":\"grant\",\"guest\":\"%c\",\"service\":\"s\",\"lease_ms\":10",
	"\"op\":\"grant\",\"guest\":\"%c\",\"service\":\"t\",\"rights\":[\"connect\",\"delegate\"]",
	"\"op\":\"revoke\",\"grant\":1",
	"\"op\":\"revoke\",\"guest\":\"%c\",\"service\":\"s\"",
	"\"op\":\"connect\",\"service\":\"s\"",
	"\"op\":\"connect\",\"guest\":\"%c\",\"port\":9",
	"\"op\":\"listen\",\"service\":\"%c\"",
	"\"op\":\"audit\",\"follow\":true",
	"\"op\":\"subscribe\"",
	"\"op\":\"shutdown\",\"guests\":\"leave\"",
	"\"op\":\"desktop\"",
	"\"op\":\"offer-file\",\"guest\":\"%c\",\"path\":\"/h/"
	"f\",\"rights\":\"rw\",\"create\":true",
	"\"op\":\"start\",\"program\":\"/g/%c\",\"display\":{\"width\":9,\"input\":[\"touch\"]}",
	"\"op\":\"start\",\"program\":\"true\",\"name\":\"%c\",\"attach\":true",
	"\"op\":\"start\",\"program\":\"true\",\"grants\":[{\"service\":\"control\"}]",
	"\"op\":\"add\",\"manifest\":\"%c\"",
	"\"op\":\"dry-run\",\"manifest\":\"%c\"",
};

static size_t make_line(unsigned c, char *line, size_t capacity)
{
	const char *t = templates[next_byte() % (sizeof(templates) / sizeof(templates[0]))];
	unsigned id = next_byte() % IDS;
	char letter = (char)('a' + next_byte() % 3);
	size_t n = (size_t)snprintf(line, capacity, "{\"id\":%u,", id);

	for (; *t; t++) {
		line[n++] = t[0] == '%' ? letter : *t;
		t += t[0] == '%';
	}
	line[n++] = '}';
	line[n++] = '\n';
	if (next_byte() >= 32) {
		clients[c].asked[id]++;
		return n;
	}
	clients[c].raw = true; /* some bytes change */
	for (unsigned k = next_byte() % 4; k; k--)
		line[next_byte() % n] = (char)next_byte();
	return n;
}

static void send_bytes(unsigned c, const char *bytes, size_t length, unsigned nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[32];

	if (clients[c].fd < 0 || !length)
		return;
	for (unsigned i = 0; i < nfds; i++)
		fds[i] = clients[c].fd;
	if (nfds) {
		struct cmsghdr *cm;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	if (sendmsg(clients[c].fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length)
		clients[c].raw = true; /* a line may be cut */
}

static void do_line(unsigned c, bool with_fds)
{
	char line[1024];
	size_t n = make_line(c, line, sizeof(line));
	size_t cut = next_byte() < 64 ? next_byte() % n : 0;

	if (cut) {
		send_bytes(c, line, cut, with_fds ? next_byte() % 4 : 0);
		fake_turn();
	}
	send_bytes(c, line + cut, n - cut, with_fds ? 3 : 0);
}

static void do_raw(unsigned c)
{
	char bytes[256];
	size_t n = next_byte();

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)next_byte();
	clients[c].raw = true;
	send_bytes(c, bytes, n, next_byte() < 16 ? next_byte() % 32 : 0);
}

/* ---- answers ------------------------------------------------------------------------- */

static void check_line(unsigned c, const char *text, size_t length)
{
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *id = json_object_get(line, "id");

	must(json_is_object(line), "a line is no JSON object");
	if (id) {
		json_int_t n = json_integer_value(id);
		const json_t *ok = json_object_get(line, "ok");

		must(json_is_boolean(ok), "an answer is neither ok nor not");
		must(json_is_true(ok) || json_is_object(json_object_get(line, "error")),
		     "an error has no error");
		if (!clients[c].raw) {
			must(json_is_integer(id) && n >= 0 && n < IDS && clients[c].asked[n],
			     "an answer that nobody asked for");
			clients[c].asked[n]--;
		}
	} else {
		must(json_is_string(json_object_get(line, "event")), "neither id nor event");
	}
	json_decref(line);
}

static void take_fds(struct msghdr *msg)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		int fd;

		must(cm->cmsg_len == CMSG_LEN(sizeof(int)), "not one descriptor");
		memcpy(&fd, CMSG_DATA(cm), sizeof(int));
		close(fd);
	}
}

static void do_read(unsigned c)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
	char *at = clients[c].got, *end;

	for (int i = 0; i < 64 && clients[c].fd >= 0; i++) {
		struct iovec iov = {at + clients[c].length,
				    sizeof(clients[c].got) - clients[c].length};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(clients[c].fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n <= 0)
			break;
		take_fds(&msg);
		clients[c].length += (size_t)n;
		while ((end = memchr(at, '\n', clients[c].length))) {
			check_line(c, at, (size_t)(end - at));
			clients[c].length -= (size_t)(end + 1 - at);
			memmove(at, end + 1, clients[c].length);
		}
		must(clients[c].length < sizeof(clients[c].got), "a very long line");
	}
}

/* ---- what happens meanwhile --------------------------------------------------------------- */

static struct machine *pick_machine(void)
{
	unsigned n = next_byte() % 4;
	struct machine *m = fake.s.machines;

	while (m && n--)
		m = m->next;
	return m;
}

static void do_print(struct machine *m)
{
	char text[64];

	if (m->log_fd < 0) {
		m->log_fd = memfd_create("log", MFD_CLOEXEC);
		m->log_old_fd = memfd_create("log", MFD_CLOEXEC);
	}
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(next_byte() | (i % 4 ? 0 : '\n'));
	must(write(m->log_fd, text, sizeof(text)) == sizeof(text), "memfd");
	if (next_byte() < 32) { /* it begins anew */
		m->log_start += (uint64_t)lseek(m->log_fd, 0, SEEK_END);
		must(!ftruncate(m->log_old_fd, 0) && !ftruncate(m->log_fd, 0), "memfd");
		must(write(m->log_old_fd, text, sizeof(text)) == sizeof(text), "memfd");
		lseek(m->log_fd, 0, SEEK_SET);
	}
	fake.s.log_changed(m);
}

static void do_machine(void)
{
	struct machine *m = pick_machine();

	if (!m)
		return;
	switch (next_byte() % 6) {
	case 0:
		if (machine_runs(m) && !m->said_started)
			lifecycle_started(m);
		break;
	case 1:
		if (m->said_started)
			lifecycle_ready(m);
		break;
	case 2:
		if (machine_runs(m))
			fake_end(m, EXO_END_EXIT, next_byte() % 2);
		break;
	case 3:
		do_print(m);
		break;
	case 4:
		control_termios(m, 7);
		break;
	default:
		lifecycle_alive(m);
	}
}

static void do_wire(void)
{
	switch (next_byte() % 5) {
	case 0:
		fake.connect_reason = (int)(next_byte() % (EXO_REASONS + 1)) - 1;
		break;
	case 1:
		fake_connected((enum exo_reason)(next_byte() % 3));
		break;
	case 2:
		fake.kill_works = !fake.kill_works;
		break;
	case 3:
		fake.start_err = -(int)(next_byte() % 32);
		break;
	default:
		control_audit(&fake.s,
			      json_pack("{s:s, s:s, s:s}", "time", "2026", "event",
					next_byte() & 1 ? "refuse" : "grant", "guest", "a"));
	}
}

static void add_client(unsigned c)
{
	int pair[2];

	clients[c].raw = false;
	memset(clients[c].asked, 0, sizeof(clients[c].asked));
	clients[c].length = 0;
	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	clients[c].fd = pair[1];
	if (c == CLIENTS - 1)
		control_add_guest(&fake.s, pair[0], "a");
	else
		must(!control_adopt_client(&fake.s, pair[0]), "adopt");
}

static void do_hang_up(unsigned c)
{
	close(clients[c].fd);
	clients[c].fd = -1;
	fake_turn();
	add_client(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = data;
	left = size;
	if (!getenv("EXO_PATH"))
		setenv("EXO_PATH", "/bin", 1); /* where a guest's "true" is */
	fake_init();
	for (unsigned c = 0; c < CLIENTS; c++)
		add_client(c);
	while (left) {
		uint8_t op = next_byte();
		unsigned c = (op >> 4) % CLIENTS;

		switch (op % 16) {
		case 0:
			do_raw(c);
			break;
		case 1:
			do_hang_up(c);
			break;
		case 2:
			do_line(c, true);
			break;
		case 3:
		case 4:
			do_wire();
			break;
		case 5:
		case 6:
		case 7:
			do_machine();
			break;
		case 8:
			fake_advance(next_byte());
			break;
		case 9:
		case 10:
			do_read(c);
			break;
		default:
			do_line(c, false);
		}
		fake_turn();
		fake.said[0] = '\0';
	}
	for (unsigned c = 0; c < CLIENTS; c++) {
		do_read(c);
		close(clients[c].fd);
	}
	fake_turn();
	fake_finish();
	return 0;
}
