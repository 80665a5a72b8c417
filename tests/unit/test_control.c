/*
 * The control socket: lines and descriptors as clients may cut and mix them,
 * limits, every operation's fields, answers at once and later; against a played
 * session (fake_session.h).
 */
#include "fake_session.h"

#include "unit.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a client ------------------------------------------------------------------- */

static int sock = -1; /* of the client that most tests have */
static char buffer[4 << 20];
static size_t filled;
static int got_fd = -1; /* came with the last line */

static int new_client(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(control_adopt_client(&fake.s, pair[0]), 0);
	return pair[1];
}

static void begin(void)
{
	fake_init();
	sock = new_client();
	filled = 0;
}

static void end(void)
{
	if (sock >= 0)
		close(sock);
	if (got_fd >= 0)
		close(got_fd);
	sock = got_fd = -1;
	fake_finish();
}

static void say(const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = send(sock, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			fake_turn();
			continue;
		}
		ck_assert_int_gt(n, 0);
		bytes += n;
		length -= (size_t)n;
	}
}

static void say_with_fds(const char *bytes, size_t length, const int *fds, unsigned nfds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(32 * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)bytes, length};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = CMSG_SPACE(nfds * sizeof(int))};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);

	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	ck_assert_int_eq(sendmsg(sock, &msg, MSG_NOSIGNAL), (ssize_t)length);
}

/* Takes what there is. False: the session has hung up. */
static bool receive(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {buffer + filled, sizeof(buffer) - filled};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *cm = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (cm) {
		ck_assert_int_eq(got_fd, -1);
		ck_assert_uint_eq(cm->cmsg_len, CMSG_LEN(sizeof(int)));
		memcpy(&got_fd, CMSG_DATA(cm), sizeof(int));
	}
	if (n > 0)
		filled += (size_t)n;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The next line, or NULL: there is none. The caller's. */
static json_t *next_line(void)
{
	char *stop = memchr(buffer, '\n', filled);
	json_t *line;

	for (int i = 0; !stop && i < 50; i++) {
		fake_turn();
		if (!receive())
			break;
		stop = memchr(buffer, '\n', filled);
	}
	if (!stop)
		return NULL;
	line = json_loadb(buffer, (size_t)(stop - buffer), JSON_REJECT_DUPLICATES, NULL);
	ck_assert_msg(line != NULL, "not JSON: %.*s", (int)(stop - buffer), buffer);
	filled -= (size_t)(stop + 1 - buffer);
	memmove(buffer, stop + 1, filled);
	return line;
}

static bool is_hung_up(void)
{
	fake_turn();
	while (filled < sizeof(buffer)) {
		size_t before = filled;

		if (!receive())
			return true;
		if (filled == before)
			return false;
	}
	return false;
}

static const char *dump(const json_t *json)
{
	static char text[65536];
	size_t n = json_dumpb(json, text, sizeof(text) - 1, JSON_COMPACT | JSON_SORT_KEYS);

	text[n] = '\0';
	return text;
}

/* The next line is this, in any order of fields. */
static void expect(const char *wanted)
{
	json_t *line = next_line(), *w = json_loads(wanted, 0, NULL);

	ck_assert_msg(w != NULL, "bad test: %s", wanted);
	ck_assert_msg(line != NULL, "nothing came; wanted %s", wanted);
	ck_assert_msg(json_equal(line, w), "%s\nwanted %s", dump(line), wanted);
	json_decref(line);
	json_decref(w);
}

static void expect_nothing(void)
{
	json_t *line = next_line();

	ck_assert_msg(line == NULL, "%s", dump(line));
}

/* The next line is an error of this code, whose message has these words. */
static void expect_error(const char *code, const char *words)
{
	json_t *line = next_line();
	const char *got = NULL, *message = NULL;

	ck_assert_msg(line != NULL, "nothing came; wanted %s", code);
	json_unpack(line, "{s:{s:s, s:s}}", "error", "code", &got, "message", &message);
	ck_assert_msg(got && !strcmp(got, code), "%s, wanted %s", dump(line), code);
	ck_assert_msg(strstr(message, words) != NULL, "%s, wanted: %s", dump(line), words);
	json_decref(line);
}

static void ask(const char *request)
{
	say(request, strlen(request));
	say("\n", 1);
}

#define ck_said(wanted) ck_assert_str_eq(fake_said(), wanted)

/* ---- machines ------------------------------------------------------------------------ */

/* Asks for a guest without manifest and says that it has started. */
static struct machine *start(const char *name)
{
	char line[256];
	struct machine *m;

	snprintf(line, sizeof(line),
		 "{\"id\":0,\"op\":\"start\",\"program\":\"/p\",\"name\":\"%s\"}", name);
	ask(line);
	json_decref(next_line());
	m = session_find(&fake.s, name);
	ck_assert_ptr_nonnull(m);
	lifecycle_started(m);
	fake_said();
	return m;
}

static int open_file(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static ino_t inode(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

/* ---- lines ------------------------------------------------------------------------------ */

#define PS "{\"id\":1,\"op\":\"ps\"}"
#define PS_ANSWER "{\"id\":1,\"ok\":true,\"guests\":[]}"

START_TEST(one_line)
{
	ask(PS);
	expect(PS_ANSWER);
	expect_nothing();
}
END_TEST

START_TEST(byte_by_byte)
{
	static const char line[] = PS "\n";

	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		expect_nothing();
		say(line + i, 1);
	}
	expect(PS_ANSWER);
}
END_TEST

START_TEST(many_at_once)
{
	static const char lines[] = PS "\n{\"id\":\"x\",\"op\":\"ps\"}\nnonsense\n" PS "\n{\"id\":";

	say(lines, sizeof(lines) - 1);
	expect(PS_ANSWER);
	expect("{\"id\":\"x\",\"ok\":true,\"guests\":[]}");
	expect_error("bad-request", "not JSON");
	expect(PS_ANSWER);
	expect_nothing();
	ask("2,\"op\":\"ps\"}");
	expect("{\"id\":2,\"ok\":true,\"guests\":[]}");
}
END_TEST

START_TEST(longest_line)
{
	static char line[CONTROL_LINE_MAX + 2];

	memset(line, ' ', sizeof(line));
	memcpy(line, PS, sizeof(PS) - 1);
	line[CONTROL_LINE_MAX] = '\n';
	say(line, CONTROL_LINE_MAX + 1);
	expect(PS_ANSWER);
	line[CONTROL_LINE_MAX] = ' ';
	line[CONTROL_LINE_MAX + 1] = '\n';
	say(line, CONTROL_LINE_MAX + 2);
	expect_error("bad-request", "longer than 64 KiB");
	ck_assert(is_hung_up());
}
END_TEST

START_TEST(hang_up_in_a_line)
{
	say(PS, 5);
	shutdown(sock, SHUT_WR);
	ck_assert(is_hung_up());
	ck_assert(!control_has_clients(&fake.s));
}
END_TEST

START_TEST(malformed)
{
	static const struct {
		const char *line, *code, *words;
	} rows[] = {
		{"", "bad-request", "not JSON"},
		{"{", "bad-request", "not JSON"},
		{"[]", "bad-request", "not a JSON object"},
		{"null", "bad-request", "not JSON"},
		{"{} {}", "bad-request", "not JSON"},
		{"{\"id\":1,\"id\":1,\"op\":\"ps\"}", "bad-request", "not JSON: duplicate"},
		{"{\"id\":1,\"op\":\"p\\u0000s\"}", "bad-request", "not JSON"},
		{"{\"id\":1,\"op\":\"p\xffs\"}", "bad-request", "not JSON"},
		{"{}", "bad-request", "id: must be"},
		{"{\"op\":\"ps\"}", "bad-request", "id: must be"},
		{"{\"id\":null,\"op\":\"ps\"}", "bad-request", "id: must be"},
		{"{\"id\":1.5,\"op\":\"ps\"}", "bad-request", "id: must be"},
		{"{\"id\":[1],\"op\":\"ps\"}", "bad-request", "id: must be"},
		{"{\"id\":1e99,\"op\":\"ps\"}", "bad-request", "id: must be"},
		{"{\"id\":99999999999999999999,\"op\":\"ps\"}", "bad-request", "not JSON"},
		{"{\"id\":1}", "bad-request", "op: must be"},
		{"{\"id\":1,\"op\":7}", "bad-request", "op: must be"},
		{"{\"id\":1,\"op\":\"\"}", "bad-request", "op: there is no"},
		{"{\"id\":1,\"op\":\"Ps\"}", "bad-request", "op: there is no \"Ps\""},
		{"{\"id\":1,\"op\":\"ps\",\"x\":1}", "bad-request", "ps: unknown field \"x\""},
		{"{\"id\":1,\"op\":\"ps\",\"fds\":1}", "bad-request", "fds: ps takes no"},
		{"{\"id\":1,\"op\":\"start\",\"fds\":-1}", "bad-request", "fds: start takes"},
		{"{\"id\":1,\"op\":\"start\",\"fds\":4}", "bad-request", "fds: start takes"},
		{"{\"id\":1,\"op\":\"start\",\"fds\":\"3\"}", "bad-request", "fds: start takes"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"fds\":3}", "bad-request",
		 "fewer than 3"},
		{"{\"id\":1,\"op\":\"start\"}", "bad-request", "program or manifest"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/a\",\"manifest\":\"/b\"}",
		 "bad-request", "program or manifest"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"p\"}", "bad-request",
		 "program: must be an absolute path"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a b\"}", "bad-request",
		 "name: must be a name"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"\"}", "bad-request",
		 "name: must be a name"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"args\":\"x\"}", "bad-request",
		 "args: must be a list of strings"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"args\":[1]}", "bad-request",
		 "args: must be a list of strings"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"memory\":-1}", "bad-request",
		 "memory: must be a number"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"memory\":1.5}", "bad-request",
		 "memory: must be a number"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"memory\":4096}", "invalid",
		 "memory: must be from 4M"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"memory\":67108865}", "invalid",
		 "memory: must be from 4M"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"cpus\":0}", "invalid",
		 "cpus: must be from 1 to 16"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"cpus\":17}", "invalid",
		 "cpus: must be from 1 to 16"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"env\":[\"A\"]}", "invalid",
		 "env: each must be"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"env\":[\"=A\"]}", "invalid",
		 "env: each must be"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"disks\":{}}", "bad-request",
		 "disks: must be a list of objects"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"disks\":[7]}", "bad-request",
		 "disks: must be a list of objects"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"disks\":[{}]}", "bad-request",
		 "disks: the field \"path\" is missing"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"disks\":[{\"path\":\"/d\","
		 "\"rw\":true}]}",
		 "bad-request", "disks: unknown field \"rw\""},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"tty\":{\"rows\":-1}}",
		 "bad-request", "rows: must be a number"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"attach\":1}", "bad-request",
		 "attach: must be true or false"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"label\":"
		 "\"12345678901234567890123456789012\"}",
		 "bad-request", "label: longer"},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"grants\":[{\"guest\":\"a\","
		 "\"service\":\"b\"}]}",
		 "bad-request", "grants: unknown field \"guest\""},
		{"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"grants\":[{\"service\":\"b\","
		 "\"rights\":[\"all\"]}]}",
		 "invalid", "grants: b"},
		{"{\"id\":1,\"op\":\"start\",\"manifest\":\"/nowhere/x.exo\"}", "not-found",
		 "/nowhere/x.exo"},
		{"{\"id\":1,\"op\":\"add\"}", "bad-request", "add: the field \"manifest\""},
		{"{\"id\":1,\"op\":\"remove\"}", "bad-request", "remove: the field \"guest\""},
		{"{\"id\":1,\"op\":\"remove\",\"guest\":\"x\"}", "not-found", "no guest named x"},
		{"{\"id\":1,\"op\":\"stop\",\"guest\":\"x\"}", "not-found", "no guest named x"},
		{"{\"id\":1,\"op\":\"kill\",\"guest\":\"x\"}", "not-found", "no guest named x"},
		{"{\"id\":1,\"op\":\"wait\",\"guest\":\"x\"}", "not-found", "no guest named x"},
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"x\"}", "not-found", "no guest named x"},
		{"{\"id\":1,\"op\":\"pause\",\"guest\":\"x\"}", "not-found", "no guest named x"},
		{"{\"id\":1,\"op\":\"resume\",\"guest\":7}", "bad-request",
		 "guest: must be a name"},
		{"{\"id\":1,\"op\":\"signal\",\"guest\":\"x\"}", "bad-request",
		 "\"signal\" is missing"},
		{"{\"id\":1,\"op\":\"signal\",\"guest\":\"x\",\"signal\":0}", "bad-request",
		 "from 1 to 64"},
		{"{\"id\":1,\"op\":\"signal\",\"guest\":\"x\",\"signal\":65}", "bad-request",
		 "from 1 to 64"},
		{"{\"id\":1,\"op\":\"winch\",\"guest\":\"x\",\"rows\":1,\"cols\":4294967296}",
		 "bad-request", "cols: must be a number"},
		{"{\"id\":1,\"op\":\"wait\",\"guest\":\"x\",\"for\":\"godot\"}", "bad-request",
		 "for: must be"},
		{"{\"id\":1,\"op\":\"wait\",\"guest\":\"x\",\"timeout_ms\":9223372036854775807}",
		 "bad-request", "timeout_ms: too long"},
		{"{\"id\":1,\"op\":\"grant\",\"guest\":\"a\"}", "bad-request",
		 "\"service\" is missing"},
		{"{\"id\":1,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"b\",\"rights\":[\"x\"]}",
		 "bad-request", "rights: "},
		{"{\"id\":1,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"b\",\"port\":16777216}",
		 "bad-request", "port: below"},
		{"{\"id\":1,\"op\":\"revoke\"}", "bad-request", "give grant, or guest and service"},
		{"{\"id\":1,\"op\":\"revoke\",\"grant\":1,\"guest\":\"a\"}", "bad-request",
		 "give grant, or guest and service"},
		{"{\"id\":1,\"op\":\"revoke\",\"guest\":\"a\"}", "bad-request",
		 "give grant, or guest and service"},
		{"{\"id\":1,\"op\":\"revoke\",\"grant\":77}", "not-found", "no such grant"},
		{"{\"id\":1,\"op\":\"revoke\",\"guest\":\"a\",\"service\":\"b\"}", "not-found",
		 "no such grant"},
		{"{\"id\":1,\"op\":\"connect\"}", "bad-request", "connect: give"},
		{"{\"id\":1,\"op\":\"connect\",\"guest\":\"a\"}", "bad-request", "connect: give"},
		{"{\"id\":1,\"op\":\"connect\",\"service\":\"a\",\"port\":1}", "bad-request",
		 "connect: give"},
		{"{\"id\":1,\"op\":\"connect\",\"service\":\"a\",\"type\":\"dgram\"}",
		 "bad-request", "type: must be \"stream\" or \"seqpacket\""},
		{"{\"id\":1,\"op\":\"connect\",\"guest\":\"a\",\"port\":1}", "not-found",
		 "no guest named a"},
		{"{\"id\":1,\"op\":\"connect\",\"guest\":\"a\",\"service\":\"s\"}", "not-found",
		 "a does not provide s"},
		{"{\"id\":1,\"op\":\"listen\"}", "bad-request", "\"service\" is missing"},
		{"{\"id\":1,\"op\":\"reach\"}", "bad-request", "give service or guest"},
		{"{\"id\":1,\"op\":\"reach\",\"service\":\"a\",\"guest\":\"b\"}", "bad-request",
		 "give service or guest"},
		{"{\"id\":1,\"op\":\"dry-run\",\"manifest\":\"x.exo\"}", "bad-request",
		 "manifest: must be an absolute path"},
		{"{\"id\":1,\"op\":\"dry-run\",\"manifest\":\"/nowhere/x.exo\"}", "not-found",
		 "/nowhere/x.exo"},
		{"{\"id\":1,\"op\":\"shutdown\",\"guests\":\"eat\"}", "bad-request",
		 "guests: must be"},
		{"{\"id\":1,\"op\":\"audit\",\"since_ms\":\"x\"}", "bad-request",
		 "since_ms: must be a number"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		ask(rows[i].line);
		expect_error(rows[i].code, rows[i].words);
	}
	ask(PS); /* and none left a trace */
	expect(PS_ANSWER);
	ck_assert_ptr_null(fake.s.machines);
}
END_TEST

START_TEST(deeply_nested)
{
	static char line[CONTROL_LINE_MAX];

	memset(line, '[', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	say(line, sizeof(line));
	expect_error("bad-request", "not JSON");
}
END_TEST

/* ---- limits ------------------------------------------------------------------------------- */

START_TEST(unanswered_requests)
{
	struct machine *m = start("a");
	char line[96];

	for (int i = 0; i <= CONTROL_REQUESTS_MAX; i++) {
		snprintf(line, sizeof(line), "{\"id\":%d,\"op\":\"wait\",\"guest\":\"a\"}", i);
		ask(line);
	}
	expect_error("busy", "32 requests");
	expect_nothing();
	fake_end(m, EXO_END_EXIT, 0);
	for (int i = 0; i < CONTROL_REQUESTS_MAX; i++) {
		json_t *answer = next_line();

		ck_assert_ptr_nonnull(answer);
		json_decref(answer);
	}
	expect_nothing();
	ask("{\"id\":1,\"op\":\"wait\",\"guest\":\"a\"}");
	expect("{\"id\":1,\"ok\":true,\"state\":\"ended\",\"reason\":\"exit\",\"status\":0,"
	       "\"exit_code\":0,\"detail\":\"\"}");
}
END_TEST

START_TEST(who_does_not_read)
{
	start("a");
	for (int i = 0; i < 2; i++) { /* one reads, one does not */
		bool reads = i == 0;

		for (int k = 0; k < 30000; k++) {
			if (send(sock, PS "\n", sizeof(PS), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
				break;
			fake_turn();
			if (reads)
				json_decref(next_line());
		}
		filled = 0;
		if (reads)
			ck_assert(!is_hung_up());
	}
	/* Dropped, though it never read: what had been sent is still there. */
	ck_assert(!control_has_clients(&fake.s));
}
END_TEST

static void connect_to(struct sockaddr_un *address, int *fd)
{
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(*fd, (struct sockaddr *)address, sizeof(*address)), 0);
	fake_turn();
}

/* Listens in a fresh folder. */
static void listen_in(char folder[64], struct sockaddr_un *address)
{
	snprintf(folder, 64, "/tmp/exo-test-control.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(fake.s.directory, sizeof(fake.s.directory), "%s", folder);
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s/control", folder);
}

START_TEST(too_many_clients)
{
	struct sockaddr_un address;
	char folder[64], why[512];
	int fds[CONTROL_CLIENTS_MAX + 1];

	listen_in(folder, &address);
	ck_assert_int_eq(control_listen(&fake.s, why), 0);
	for (int i = 1; i < CONTROL_CLIENTS_MAX; i++)
		connect_to(&address, &fds[i]);
	connect_to(&address, &fds[0]);
	close(sock);
	sock = fds[0];
	expect_error("limit", "too many clients"); /* the first that was one too many */
	ck_assert(is_hung_up());
	connect_to(&address, &fds[CONTROL_CLIENTS_MAX]);
	close(sock);
	sock = fds[CONTROL_CLIENTS_MAX];
	ask(PS);
	expect(PS_ANSWER); /* somebody has gone: there is room */
	for (int i = 1; i < CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
	control_finish(&fake.s);
	ck_assert_int_eq(rmdir(folder), 0); /* the socket is not there any more */
}
END_TEST

START_TEST(stale_socket)
{
	struct sockaddr_un address;
	char folder[64], why[512];
	struct stat st;
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	listen_in(folder, &address);
	ck_assert_int_eq(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(other, 1), 0);
	ck_assert_int_eq(control_listen(&fake.s, why), -EEXIST);
	ck_assert_ptr_nonnull(strstr(why, "somebody answers"));
	close(other); /* died and left its socket */
	ck_assert_int_eq(control_listen(&fake.s, why), 0);
	ck_assert_int_eq(stat(address.sun_path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	connect_to(&address, &fd);
	close(fd);
	control_finish(&fake.s);
	ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(not_a_socket)
{
	struct sockaddr_un address;
	char folder[64], why[512];
	int fd;

	listen_in(folder, &address);
	fd = open(address.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	ck_assert_int_lt(control_listen(&fake.s, why), 0);
	ck_assert_int_eq(access(address.sun_path, F_OK), 0); /* whatever it is, it stays */
	unlink(address.sun_path);
	rmdir(folder);
}
END_TEST

/* ---- descriptors ----------------------------------------------------------------------------- */

#define START_FDS "{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"fds\":3}\n"

START_TEST(three_streams)
{
	int fds[3] = {open_file(), open_file(), open_file()};
	struct machine *m;

	say_with_fds(START_FDS, sizeof(START_FDS) - 1, fds, 3);
	expect("{\"id\":1,\"ok\":true,\"guest\":\"a\",\"number\":1}");
	m = session_find(&fake.s, "a");
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(inode(m->stdio[i]), inode(fds[i]));
		ck_assert_int_eq(fcntl(m->stdio[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
	}
}
END_TEST

/* One by one with bytes in the middle, a line before in the same read. */
START_TEST(fds_in_pieces)
{
	int fds[3] = {open_file(), open_file(), open_file()};
	struct machine *m;

	say(PS "\n", sizeof(PS));
	say_with_fds(START_FDS, 10, fds, 1);
	say_with_fds(&START_FDS[10], 1, fds + 1, 1);
	say_with_fds(&START_FDS[11], sizeof(START_FDS) - 12, fds + 2, 1);
	expect(PS_ANSWER);
	expect("{\"id\":1,\"ok\":true,\"guest\":\"a\",\"number\":1}");
	m = session_find(&fake.s, "a");
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(inode(m->stdio[i]), inode(fds[i]));
		close(fds[i]);
	}
}
END_TEST

START_TEST(surplus_fds)
{
	unsigned before = fake_count_fds();
	int fds[20];

	for (int i = 0; i < 20; i++)
		fds[i] = open_file();
	say_with_fds(PS "\n", sizeof(PS), fds, 2); /* nobody wants them */
	expect(PS_ANSWER);
	say_with_fds("  ", 2, fds, 20); /* more than there is room for */
	fake_turn();
	say(PS "\n", sizeof(PS));
	expect(PS_ANSWER);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	ck_assert_uint_eq(fake_count_fds(), before);
	/* They do not become the next line's. */
	say(START_FDS, sizeof(START_FDS) - 1);
	expect_error("bad-request", "fewer than 3");
}
END_TEST

START_TEST(wrong_number_of_fds)
{
	static const char line[] =
		"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"fds\":2}\n";
	int fds[2] = {open_file(), open_file()};
	unsigned before = fake_count_fds();

	say_with_fds(line, sizeof(line) - 1, fds, 2);
	expect_error("bad-request", "fds: must be 0 or 3");
	ck_assert_uint_eq(fake_count_fds(), before);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* ---- start and names ----------------------------------------------------------------------------
 */

START_TEST(names)
{
	static const char *const programs[][2] = {
		{"/x/hello.elf", "hello"}, {"/x/hello.elf", "hello-2"},
		{"/y/hello", "hello-3"},   {"/x/my prog!.elf", "my-prog-"},
		{"/x/\xc3\xa9", "--"},     {"/", "guest"},
		{"/x/.elf", ".elf"},       {"/hello-2", "hello-2-2"},
	};
	char line[256];

	for (size_t i = 0; i < COUNT(programs); i++) {
		struct machine *m;

		snprintf(line, sizeof(line), "{\"id\":1,\"op\":\"start\",\"program\":\"%s\"}",
			 programs[i][0]);
		ask(line);
		json_decref(next_line());
		m = session_find(&fake.s, programs[i][1]);
		ck_assert_msg(m != NULL, "%s: %s", programs[i][0], fake_said());
		ck_assert_str_eq(m->label, "untrusted");
		fake_said();
	}
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"hello\"}");
	expect_error("exists", "hello: the name is taken");
	fake_end(session_find(&fake.s, "hello"), EXO_END_EXIT, 0);
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"hello\"}");
	expect("{\"id\":1,\"ok\":true,\"guest\":\"hello\",\"number\":9}");
}
END_TEST

START_TEST(options)
{
	struct machine *m;

	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"args\":[\"x\",\"y z\"],"
	    "\"env\":[\"A=1\",\"B=\"],\"memory\":8388608,\"cpus\":2,\"rng\":true,\"prefault\":true,"
	    "\"hugepages\":false,\"disks\":[{\"path\":\"/d\",\"ro\":true},{\"path\":\"/e\","
	    "\"direct\":true}],\"initrd\":\"/i\",\"kernel_args\":\"quiet\",\"label\":\"web\","
	    "\"tty\":{\"rows\":24,\"cols\":80,\"in\":true}}");
	expect("{\"id\":1,\"ok\":true,\"guest\":\"a\",\"number\":1}");
	m = session_find(&fake.s, "a");
	ck_assert_str_eq(m->args[0], "/p");
	ck_assert_str_eq(m->args[1], "x");
	ck_assert_str_eq(m->args[2], "y z");
	ck_assert_ptr_null(m->args[3]);
	ck_assert_str_eq(m->label, "web");
	ck_assert_uint_eq(m->guest.nenv, 2);
	ck_assert_str_eq(m->guest.env[1], "B=");
	ck_assert_uint_eq(m->guest.ram_bytes, 8388608);
	ck_assert_uint_eq(m->guest.cpus, 2);
	ck_assert_uint_eq(m->guest.flags, EXO_VMM_RNG | EXO_VMM_PREFAULT);
	ck_assert_uint_eq(m->guest.ndisks, 2);
	ck_assert(m->guest.disk[0].read_only && !m->guest.disk[1].read_only);
	ck_assert(!m->guest.disk[0].direct && m->guest.disk[1].direct);
	ck_assert_str_eq(m->guest.initrd, "/i");
	ck_assert_str_eq(m->guest.kernel_args, "quiet");
	ck_assert(!m->guest.stream[0].terminal); /* no streams came */
}
END_TEST

START_TEST(start_that_fails)
{
	fake.start_err = -ENOENT;
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"attach\":true}");
	expect("{\"id\":1,\"ok\":false,\"error\":{\"code\":\"invalid\",\"exit_code\":127,"
	       "\"message\":\"p: cannot start\"}}");
	expect_nothing(); /* no event */
	ck_assert_ptr_null(fake.s.machines);
}
END_TEST

START_TEST(grants_of_a_start)
{
	struct policy_grant_info g = {0};
	struct machine *m;

	ask("{\"id\":1,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"kept\"}");
	json_decref(next_line());
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"grants\":[{\"service\":"
	    "\"s\",\"rights\":[\"connect\",\"delegate\"],\"max_conns\":3}]}");
	json_decref(next_line());
	ck_assert(policy_grant_next(fake.s.policy, 0, &g));
	ck_assert_str_eq(g.service, "kept");
	ck_assert(policy_grant_next(fake.s.policy, g.id, &g));
	ck_assert_str_eq(g.service, "s");
	ck_assert_uint_eq(g.limits.max_conns, 3);
	ck_assert_uint_eq(g.rights, EXO_CAP_CONNECT | EXO_CAP_GRANT);
	m = session_find(&fake.s, "a");
	lifecycle_started(m);
	fake_end(m, EXO_END_EXIT, 0);
	/* The next of that name is another program. */
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/q\",\"name\":\"a\"}");
	json_decref(next_line());
	g.id = 0;
	ck_assert(policy_grant_next(fake.s.policy, 0, &g));
	ck_assert_str_eq(g.service, "kept");
	ck_assert(!policy_grant_next(fake.s.policy, g.id, &g));
}
END_TEST

START_TEST(attached)
{
	struct machine *m;

	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"attach\":true}");
	expect("{\"id\":1,\"ok\":true,\"guest\":\"a\",\"number\":1}");
	m = session_find(&fake.s, "a");
	lifecycle_started(m);
	expect("{\"event\":\"started\",\"guest\":\"a\"}");
	expect("{\"event\":\"ready\",\"guest\":\"a\"}");
	control_termios(m, 3);
	expect("{\"event\":\"termios\",\"guest\":\"a\",\"flags\":3}");
	fake_end(m, EXO_END_FAULT, 11);
	expect("{\"event\":\"ended\",\"guest\":\"a\",\"state\":\"ended\",\"reason\":\"fault\","
	       "\"status\":11,\"exit_code\":139,\"detail\":\"\",\"restarting\":false}");
	fake_said();
	shutdown(sock, SHUT_RDWR);
	fake_turn();
	ck_said(""); /* it has ended: nothing to kill */
}
END_TEST

START_TEST(owner_hangs_up)
{
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"attach\":true}");
	ask("{\"id\":2,\"op\":\"start\",\"program\":\"/p\",\"name\":\"b\"}");
	json_decref(next_line());
	json_decref(next_line());
	lifecycle_started(session_find(&fake.s, "a"));
	lifecycle_started(session_find(&fake.s, "b"));
	fake_said();
	fake.kill_works = true;
	close(sock);
	sock = -1;
	fake_turn();
	ck_said("kill(a: who started it has gone)");
	ck_assert_str_eq(lifecycle_state_name(session_find(&fake.s, "b")->state), "ready");
}
END_TEST

START_TEST(owner_hangs_up_when_guests_are_left)
{
	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"attach\":true}");
	json_decref(next_line());
	ask("{\"id\":2,\"op\":\"shutdown\",\"guests\":\"leave\"}");
	expect("{\"id\":2,\"ok\":true}");
	control_finish(&fake.s);
	ck_said("start(a) end(leave)");
}
END_TEST

/* ---- requests that wait -------------------------------------------------------------------------
 */

START_TEST(wait_ready)
{
	struct machine *m;

	ask("{\"id\":0,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\"}");
	json_decref(next_line());
	m = session_find(&fake.s, "a");
	ask("{\"id\":1,\"op\":\"wait\",\"guest\":\"a\",\"for\":\"ready\"}");
	ask("{\"id\":2,\"op\":\"wait\",\"guest\":\"a\",\"for\":\"ready\",\"timeout_ms\":50}");
	expect_nothing();
	fake_advance(49);
	expect_nothing();
	fake_advance(1);
	expect_error("timeout", "a is still starting");
	lifecycle_started(m);
	expect("{\"id\":1,\"ok\":true,\"state\":\"ready\"}");
	ask("{\"id\":3,\"op\":\"wait\",\"guest\":\"a\",\"for\":\"ready\"}");
	expect("{\"id\":3,\"ok\":true,\"state\":\"ready\"}");
	fake_end(m, EXO_END_EXIT, 3);
	ask("{\"id\":4,\"op\":\"wait\",\"guest\":\"a\",\"for\":\"ready\"}");
	expect("{\"id\":4,\"ok\":true,\"state\":\"ended\",\"reason\":\"exit\",\"status\":3,"
	       "\"exit_code\":3,\"detail\":\"\"}"); /* it was */
	ask("{\"id\":0,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\"}");
	json_decref(next_line());
	fake_end(session_find(&fake.s, "a"), EXO_END_CONFIG, 0);
	ask("{\"id\":4,\"op\":\"wait\",\"guest\":\"a\",\"for\":\"ready\"}");
	expect("{\"id\":4,\"ok\":false,\"error\":{\"code\":\"ended\",\"message\":"
	       "\"it ended before it was ready\",\"state\":\"ended\",\"reason\":\"config\","
	       "\"status\":0,\"exit_code\":128,\"detail\":\"\"}}");
	ask("{\"id\":5,\"op\":\"wait\",\"guest\":\"a\",\"for\":\"ready\",\"timeout_ms\":0}");
	expect_error("ended", "before it was ready");
}
END_TEST

START_TEST(wait_without_patience)
{
	start("a");
	ask("{\"id\":1,\"op\":\"wait\",\"guest\":\"a\",\"timeout_ms\":0}");
	expect_error("timeout", "a is still ready");
}
END_TEST

START_TEST(stop_and_kill)
{
	struct machine *a = start("a"), *b = start("b");

	ask("{\"id\":1,\"op\":\"stop\",\"guest\":\"a\",\"timeout_ms\":100}");
	ask("{\"id\":2,\"op\":\"kill\",\"guest\":\"b\"}");
	ask("{\"id\":3,\"op\":\"remove\",\"guest\":\"a\"}");
	expect_error("busy", "a is stopping; stop it first");
	expect_nothing();
	ck_said("signal(a, 15) kill(b: asked for)");
	fake_end(b, EXO_END_KILLED, 9);
	expect("{\"id\":2,\"ok\":true,\"state\":\"ended\",\"reason\":\"killed\",\"status\":9,"
	       "\"exit_code\":137,\"detail\":\"\"}");
	fake_advance(100);
	ck_said("kill(a: it did not end in time)");
	fake_end(a, EXO_END_KILLED, 9);
	expect("{\"id\":1,\"ok\":true,\"state\":\"ended\",\"reason\":\"killed\",\"status\":9,"
	       "\"exit_code\":137,\"detail\":\"\"}");
	ask("{\"id\":4,\"op\":\"stop\",\"guest\":\"a\"}"); /* it has already */
	json_decref(next_line());
	ask("{\"id\":5,\"op\":\"signal\",\"guest\":\"a\",\"signal\":2}");
	expect_error("ended", "a does not run");
	ask("{\"id\":6,\"op\":\"remove\",\"guest\":\"a\"}");
	expect("{\"id\":6,\"ok\":true}");
	ask("{\"id\":7,\"op\":\"remove\",\"guest\":\"a\"}");
	expect_error("not-found", "no guest named a");
}
END_TEST

START_TEST(signals)
{
	start("a");
	ask("{\"id\":1,\"op\":\"signal\",\"guest\":\"a\",\"signal\":10}");
	ask("{\"id\":2,\"op\":\"signal\",\"guest\":\"a\",\"signal\":9}");
	ask("{\"id\":3,\"op\":\"winch\",\"guest\":\"a\",\"rows\":24,\"cols\":80}");
	ask("{\"id\":4,\"op\":\"pause\",\"guest\":\"a\"}");
	ask("{\"id\":5,\"op\":\"pause\",\"guest\":\"a\"}");
	ask("{\"id\":6,\"op\":\"resume\",\"guest\":\"a\"}");
	for (int i = 1; i <= 6; i++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "{\"id\":%d,\"ok\":true}", i);
		expect(wanted);
	}
	ck_said("signal(a, 10) kill(a: signal 9) winch(a, 24x80) pause(a, 1) pause(a, 0)");
}
END_TEST

START_TEST(client_goes_while_it_waits)
{
	struct machine *m = start("a");

	ask("{\"id\":1,\"op\":\"wait\",\"guest\":\"a\"}");
	ask("{\"id\":2,\"op\":\"connect\",\"service\":\"s\"}");
	fake.connect_reason = -1;
	fake_turn();
	fake_said();
	close(sock);
	sock = -1;
	fake_turn();
	ck_said("cancel");
	fake_end(m, EXO_END_EXIT, 0);
	fake_turn();
}
END_TEST

/* ---- services -------------------------------------- */

START_TEST(connects)
{
	char c = 'x';

	ask("{\"id\":1,\"op\":\"connect\",\"service\":\"s\",\"type\":\"seqpacket\",\"from\":"
	    "\"me\"}");
	expect("{\"id\":1,\"ok\":true,\"fds\":1}");
	ck_said("connect(s, seqpacket, me, 10000 ms)");
	ck_assert_int_ge(got_fd, 0);
	ck_assert_int_eq(write(got_fd, &c, 1), 1);
	ck_assert_int_eq(read(fake.host_fd, &c, 1), 1);
	close(got_fd);
	ck_assert_int_eq(read(fake.host_fd, &c, 1), 0); /* nobody else has it open */
	got_fd = -1;
	fake.connect_reason = EXO_REASON_ABSENT;
	ask("{\"id\":2,\"op\":\"connect\",\"service\":\"s\",\"timeout_ms\":5}");
	expect("{\"id\":2,\"ok\":false,\"error\":{\"code\":\"not-found\",\"reason\":\"absent\","
	       "\"message\":\"s: absent\"}}");
	ck_said("connect(s, stream, host, 5 ms)");
	fake.connect_reason = -1;
	ask("{\"id\":3,\"op\":\"connect\",\"service\":\"s\"}");
	expect_nothing();
	fake_connected(EXO_REASON_NOT_READY);
	expect_error("timeout", "s: not-ready");
}
END_TEST

START_TEST(connects_to_a_port)
{
	start("a");
	ask("{\"id\":1,\"op\":\"connect\",\"guest\":\"a\",\"port\":1024}");
	expect("{\"id\":1,\"ok\":true,\"fds\":1}");
	ck_said("port(a, 1024)");
	ck_assert_int_ge(got_fd, 0);
}
END_TEST

START_TEST(listens)
{
	int pair[2];
	char c = 'x';

	ask("{\"id\":1,\"op\":\"listen\",\"service\":\"s\"}");
	expect("{\"id\":1,\"ok\":true}");
	ask("{\"id\":2,\"op\":\"listen\",\"service\":\"s\"}");
	expect("{\"id\":2,\"ok\":true}"); /* policy: the same again */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fake.accept(fake.accept_opaque, pair[0], "web", "untrusted");
	expect("{\"event\":\"connection\",\"service\":\"s\",\"from\":\"web\",\"label\":"
	       "\"untrusted\",\"fds\":1}");
	ck_assert_int_eq(write(got_fd, &c, 1), 1);
	ck_assert_int_eq(read(pair[1], &c, 1), 1);
	close(pair[1]);
	fake_said();
	close(sock);
	sock = -1;
	fake_turn();
	ck_said("unlisten(s) unlisten(s)");
}
END_TEST

START_TEST(grants)
{
	ask("{\"id\":1,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"s\",\"lease_ms\":500,"
	    "\"max_conns\":2,\"max_buffer\":65536,\"max_rate\":1000,\"port\":514}");
	expect("{\"id\":1,\"ok\":true,\"grant\":1}");
	ask("{\"id\":2,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"s\"}");
	expect_error("exists", "a has such a grant");
	fake_advance(100);
	ask("{\"id\":3,\"op\":\"wires\"}");
	expect("{\"id\":3,\"ok\":true,\"guests\":[],\"services\":[],\"connections\":[],\"grants\":["
	       "{"
	       "\"grant\":1,\"guest\":\"a\",\"service\":\"s\",\"rights\":[\"connect\"],\"origin\":"
	       "\"person\",\"parent\":0,\"lease_ms\":400,\"max_conns\":2,\"max_buffer\":65536,"
	       "\"max_rate\":1000,\"port\":514,\"slot\":0,\"connections\":0,\"uses\":0,"
	       "\"refusals\":0}]}");
	fake_advance(400); /* the lease is over */
	ask("{\"id\":4,\"op\":\"revoke\",\"grant\":1}");
	expect_error("not-found", "no such grant");
	ask("{\"id\":5,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"s\"}");
	json_decref(next_line());
	ask("{\"id\":6,\"op\":\"revoke\",\"guest\":\"a\",\"service\":\"s\"}");
	expect("{\"id\":6,\"ok\":true,\"revoked\":1}");
}
END_TEST

START_TEST(wires_and_top)
{
	struct policy_conn_info conn;
	struct machine *m = start("a");
	json_t *line;
	int n;

	policy_add_service(fake.s.policy, "s", "host", 9, false);
	policy_set_ready(fake.s.policy, "s", true);
	policy_grant(fake.s.policy, "a", "s", EXO_CAP_CONNECT, NULL, POLICY_PERSON, 0, fake.now_ns);
	ck_assert_int_eq(policy_connect(fake.s.policy, m->subject,
					policy_resolve(fake.s.policy, m->subject, "s"), 5, false,
					65536, 4096, fake.now_ns, &conn),
			 EXO_REASON_NONE);
	ask("{\"id\":1,\"op\":\"wires\"}");
	line = next_line();
	ck_assert_ptr_nonnull(line);
	ck_assert_int_eq(json_unpack(line, "{s:[{s:i}]}", "connections", "tx_bytes", &n), 0);
	ck_assert_int_eq(n, 1000 + (int)conn.id);
	json_decref(line);
	fake.refresh_late = true;
	fake_said();
	ask("{\"id\":2,\"op\":\"top\"}");
	ask("{\"id\":3,\"op\":\"top\"}");
	expect_nothing();
	ck_said("stats(a) refresh stats(a)");
	fake.refreshed(&fake.s);
	for (int i = 0; i < 2; i++) {
		line = next_line();
		ck_assert_ptr_nonnull(line);
		ck_assert_int_eq(json_unpack(line, "{s:[{s:i}]}", "guests", "rx_bytes", &n), 0);
		ck_assert_int_eq(n, 7);
		json_decref(line);
	}
}
END_TEST

START_TEST(words)
{
	json_t *line;

	ask("{\"id\":1,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"s\"}");
	json_decref(next_line());
	for (int i = 0; i < 2; i++) {
		ask(i ? "{\"id\":2,\"op\":\"reach\",\"guest\":\"a\"}"
		      : "{\"id\":2,\"op\":\"reach\",\"service\":\"s\"}");
		line = next_line();
		ck_assert(json_is_string(json_array_get(json_object_get(line, "answer"), 0)));
		ck_assert_ptr_nonnull(strstr(dump(line), "a may connect to s"));
		json_decref(line);
	}
	ask("{\"id\":3,\"op\":\"reach\",\"guest\":\"s\"}");
	expect_error("not-found", "no guest named s");
	ask("{\"id\":4,\"op\":\"reach\",\"service\":\"a\"}");
	expect_error("not-found", "no service named a");
}
END_TEST

/* ---- events -------------------------------------- */

START_TEST(subscribes)
{
	struct machine *m;

	ask("{\"id\":1,\"op\":\"subscribe\"}");
	ask("{\"id\":2,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"attach\":true}");
	expect("{\"id\":1,\"ok\":true}");
	expect("{\"id\":2,\"ok\":true,\"guest\":\"a\",\"number\":1}");
	m = session_find(&fake.s, "a");
	lifecycle_started(m);
	expect("{\"event\":\"started\",\"guest\":\"a\"}"); /* once, though it is the owner */
	expect("{\"event\":\"ready\",\"guest\":\"a\"}");
	control_audit(&fake.s,
		      json_pack("{s:s,s:s,s:s}", "time", "2026", "event", "refuse", "guest", "a"));
	expect("{\"event\":\"refused\",\"time\":\"2026\",\"guest\":\"a\"}");
	control_audit(&fake.s, json_pack("{s:s,s:s}", "time", "2026", "event", "connect"));
	expect_nothing();
}
END_TEST

/* ---- logs -------------------------------------- */

static void print(struct machine *m, const char *text)
{
	ck_assert_int_eq(write(m->log_fd, text, strlen(text)), (ssize_t)strlen(text));
	fake.s.log_changed(m);
}

static void expect_log(const char *text)
{
	char got[65536] = "";

	while (strlen(got) < strlen(text)) {
		json_t *line = next_line();
		const char *piece = json_string_value(json_object_get(line, "text"));

		ck_assert_msg(piece != NULL, "%s; got %s", line ? dump(line) : "nothing", got);
		strncat(got, piece, sizeof(got) - strlen(got) - 1);
		json_decref(line);
	}
	ck_assert_str_eq(got, text);
}

static struct machine *start_with_log(void)
{
	struct machine *m = start("a");

	m->log_fd = open_file();
	m->log_old_fd = open_file();
	return m;
}

START_TEST(logs)
{
	static const struct {
		const char *request, *text;
	} rows[] = {
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"a\"}", "one\ntwo\nthree\nfour"},
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"lines\":1}", "four"},
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"lines\":2}", "three\nfour"},
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"lines\":3}", "two\nthree\nfour"},
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"lines\":9}", "one\ntwo\nthree\nfour"},
		{"{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"lines\":0}", ""},
	};
	struct machine *m = start_with_log();

	/* Part of it is in the old file. */
	ck_assert_int_eq(write(m->log_old_fd, "one\ntwo\nth", 10), 10);
	m->log_start = 10;
	print(m, "ree\nfour");
	for (size_t i = 0; i < COUNT(rows); i++) {
		ask(rows[i].request);
		expect_log(rows[i].text);
		expect("{\"id\":1,\"ok\":true}");
	}
	print(m, "\n");
	ask(rows[1].request);
	expect_log("four\n");
	expect("{\"id\":1,\"ok\":true}");
}
END_TEST

START_TEST(log_that_is_no_text)
{
	struct machine *m = start_with_log();

	ck_assert_int_eq(write(m->log_fd, "a\0b\xff\xc3\xa9\xe2\x82", 8), 8);
	ask("{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"follow\":true}");
	expect_log("a\xef\xbf\xbd"
		   "b\xef\xbf\xbd\xc3\xa9");
	expect_nothing(); /* the last character is not whole */
	print(m, "\xac!");
	expect_log("\xe2\x82\xac!");
	print(m, "\xe2\x82");
	expect_nothing();
	fake_end(m, EXO_END_EXIT, 0);
	expect_log("\xef\xbf\xbd\xef\xbf\xbd"); /* and never will be */
	expect("{\"id\":1,\"ok\":true}");
}
END_TEST

START_TEST(log_that_begins_anew)
{
	struct machine *m = start_with_log();

	print(m, "first\n");
	ask("{\"id\":1,\"op\":\"log\",\"guest\":\"a\",\"follow\":true}");
	expect_log("first\n");
	print(m, "second\n");
	expect_log("second\n");
	/* What log.c does when it is long; part of it was not read. */
	ck_assert_int_eq(write(m->log_fd, "third\n", 6), 6);
	ck_assert_int_eq(write(m->log_old_fd, "first\nsecond\nthird\n", 19), 19);
	m->log_start = 19;
	ck_assert_int_eq(ftruncate(m->log_fd, 0), 0);
	lseek(m->log_fd, 0, SEEK_SET);
	print(m, "fourth\n");
	expect_log("third\nfourth\n");
}
END_TEST

/* Much more than may wait for a client: it comes as fast as it is read. */
START_TEST(log_that_is_long)
{
	static char block[4096];
	struct machine *m = start_with_log();
	size_t got = 0;
	json_t *line;

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 1024; i++)
		ck_assert_int_eq(write(m->log_fd, block, sizeof(block)), sizeof(block));
	ask("{\"id\":1,\"op\":\"log\",\"guest\":\"a\"}");
	fake_turn();
	fake_turn();
	while ((line = next_line())) {
		const json_t *text = json_object_get(line, "text");

		got += json_string_length(text);
		ck_assert(text || json_is_true(json_object_get(line, "ok")));
		json_decref(line);
	}
	ck_assert_uint_eq(got, 1024 * sizeof(block));
	ck_assert(!is_hung_up());
}
END_TEST

/* ---- audit -------------------------------------- */

START_TEST(audits)
{
	char folder[64] = "/tmp/exo-test-control.XXXXXX", path[96];
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	fake.s.directory_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/audit.jsonl", folder);
	f = fopen(path, "we");
	fputs("{\"time\":\"2026-01-01T00:00:00.000Z\",\"event\":\"grant\",\"guest\":\"a\"}\n"
	      "torn\n"
	      "{\"time\":\"2026-01-01T00:00:01.000Z\",\"event\":\"use\",\"guest\":\"b\","
	      "\"service\":\"s\"}\n"
	      "{\"time\":\"2026-01-01T00:00:02.000Z\"",
	      f);
	fclose(f);
	ask("{\"id\":1,\"op\":\"audit\"}");
	fake_advance(10);
	expect("{\"event\":\"audit\",\"what\":\"grant\",\"time\":\"2026-01-01T00:00:00.000Z\","
	       "\"guest\":\"a\"}");
	expect("{\"event\":\"audit\",\"what\":\"use\",\"time\":\"2026-01-01T00:00:01.000Z\","
	       "\"guest\":\"b\",\"service\":\"s\"}");
	expect("{\"id\":1,\"ok\":true}");
	ask("{\"id\":2,\"op\":\"audit\",\"since_ms\":1000}");
	fake_advance(10);
	expect("{\"id\":2,\"ok\":true}");
	ask("{\"id\":3,\"op\":\"audit\",\"guest\":\"b\",\"follow\":true}");
	fake_advance(10);
	expect("{\"event\":\"audit\",\"what\":\"use\",\"time\":\"2026-01-01T00:00:01.000Z\","
	       "\"guest\":\"b\",\"service\":\"s\"}");
	expect_nothing();
	control_audit(&fake.s,
		      json_pack("{s:s,s:s,s:s}", "time", "2027", "event", "use", "guest", "a"));
	control_audit(&fake.s,
		      json_pack("{s:s,s:s,s:s}", "time", "2027", "event", "use", "guest", "b"));
	expect("{\"event\":\"audit\",\"what\":\"use\",\"time\":\"2027\",\"guest\":\"b\"}");
	expect_nothing();
	unlink(path);
	close(fake.s.directory_fd);
	rmdir(folder);
}
END_TEST

/* ---- manifests -------------------------------------- */

START_TEST(added_and_started)
{
	char folder[64] = "/tmp/exo-test-control.XXXXXX", path[96], line[256];
	struct machine *m;
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/store.exo", folder);
	f = fopen(path, "we");
	fputs("[program]\nargs = a b\n[provides]\nstore = 10 seqpacket\n", f);
	fclose(f);
	snprintf(line, sizeof(line), "{\"id\":1,\"op\":\"add\",\"manifest\":\"%s\"}", path);
	ask(line);
	expect("{\"id\":1,\"ok\":true,\"guest\":\"store\",\"number\":1}");
	ask("{\"id\":2,\"op\":\"stop\",\"guest\":\"store\"}");
	expect("{\"id\":2,\"ok\":true,\"state\":\"added\"}");
	snprintf(line, sizeof(line),
		 "{\"id\":3,\"op\":\"start\",\"manifest\":\"%s\",\"args\":[\"c\"]}", path);
	ask(line);
	expect("{\"id\":3,\"ok\":true,\"guest\":\"store\",\"number\":2}");
	m = session_find(&fake.s, "store");
	ck_assert(m->added);
	ck_assert_str_eq(m->args[1], "c");
	ask(line);
	expect_error("exists", "store: a guest of that name runs");
	lifecycle_started(m);
	fake_end(m, EXO_END_EXIT, 0);
	ck_assert_str_eq(lifecycle_state_name(m->state), "added");
	ask("{\"id\":4,\"op\":\"start\",\"program\":\"/x/store.elf\"}"); /* the name is its */
	expect("{\"id\":4,\"ok\":true,\"guest\":\"store-2\",\"number\":3}");
	ask("{\"id\":5,\"op\":\"remove\",\"guest\":\"store\"}");
	expect("{\"id\":5,\"ok\":true}");
	unlink(path);
	rmdir(folder);
}
END_TEST

/* ---- no memory -------------------------------------------------------------------------- */

static unsigned allocations_left;

static void *few_allocations(size_t size)
{
	return allocations_left && --allocations_left ? malloc(size) : NULL;
}

/* Asks for everything that says much. False: the session hung up, as it may when it can't answer.
 */
static void ask_much(void)
{
	static const char *const requests[] = {
		"{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\",\"args\":[\"x\"]}\n",
		"{\"id\":2,\"op\":\"grant\",\"guest\":\"a\",\"service\":\"s\"}\n",
		"{\"id\":3,\"op\":\"ps\"}\n",
		"{\"id\":4,\"op\":\"wires\"}\n",
		"{\"id\":5,\"op\":\"top\"}\n",
		"{\"id\":6,\"op\":\"connect\",\"service\":\"s\"}\n",
		"{\"id\":7,\"op\":\"reach\",\"service\":\"s\"}\n",
		"{\"id\":8,\"op\":\"log\",\"guest\":\"a\"}\n",
		"{\"id\":9,\"op\":\"audit\"}\n",
		"{\"id\":10,\"op\":\"wait\",\"guest\":\"a\"}\n",
	};

	for (size_t i = 0; i < COUNT(requests); i++) {
		(void)!send(sock, requests[i], strlen(requests[i]), MSG_NOSIGNAL);
		fake_turn();
	}
	fake_advance(300);
	if (session_find(&fake.s, "a")) {
		lifecycle_started(session_find(&fake.s, "a"));
		fake_end(session_find(&fake.s, "a"), EXO_END_EXIT, 0);
	}
	fake_turn();
}

START_TEST(memory_fails)
{
	bool passed = false;

	for (unsigned n = 1; !passed; n++) {
		ck_assert_uint_lt(n, 5000);
		allocations_left = n;
		json_set_alloc_funcs(few_allocations, free);
		ask_much();
		passed = allocations_left > 1;
		json_set_alloc_funcs(malloc, free);
		while (receive() &&
		       memchr(buffer, '\n', filled)) { /* whole lines, each of them JSON */
			json_decref(next_line());
			if (got_fd >= 0)
				close(got_fd);
			got_fd = -1;
		}
		end();
		begin();
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		one_line,
		byte_by_byte,
		many_at_once,
		longest_line,
		hang_up_in_a_line,
		malformed,
		deeply_nested,
		unanswered_requests,
		who_does_not_read,
		too_many_clients,
		stale_socket,
		not_a_socket,
		three_streams,
		fds_in_pieces,
		surplus_fds,
		wrong_number_of_fds,
		names,
		options,
		start_that_fails,
		grants_of_a_start,
		attached,
		owner_hangs_up,
		owner_hangs_up_when_guests_are_left,
		wait_ready,
		wait_without_patience,
		stop_and_kill,
		signals,
		client_goes_while_it_waits,
		connects,
		connects_to_a_port,
		listens,
		grants,
		wires_and_top,
		words,
		subscribes,
		logs,
		log_that_is_no_text,
		log_that_begins_anew,
		log_that_is_long,
		audits,
		added_and_started,
		memory_fails,
	};
	Suite *s = suite_create("control");
	TCase *tc = tcase_create("control");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
