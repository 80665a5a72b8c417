/*
 * The control socket: lines and descriptors as clients may cut and mix them,
 * malformed requests, limits, no memory; against a played session. What operations
 * do is in test_control_ops.c.
 */
#include "fake_client.h"

#include "unit.h"

#include <check.h>
#include <sys/un.h>

/* ---- lines ------------------------------------------------------------------------------ */

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
		one_line,          byte_by_byte,     many_at_once,  longest_line,
		hang_up_in_a_line, malformed,        deeply_nested, unanswered_requests,
		who_does_not_read, too_many_clients, stale_socket,  not_a_socket,
		three_streams,     fds_in_pieces,    surplus_fds,   wrong_number_of_fds,
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
