/*
 * The control socket's operations: answers at once and later, events, logs;
 * against a played session. Lines and limits are in test_control.c.
 */
#include "fake_client.h"

#include "unit.h"

#include <check.h>

/* ---- start and names ----------------------------------------------------- */

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

/* ---- requests that wait -------------------------------------------------- */

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

/* Whoever connects starts it at once, before the one who stopped it is answered. */
START_TEST(stopped_and_started)
{
	char why[512];
	struct machine *m = start("a");

	ask("{\"id\":1,\"op\":\"kill\",\"guest\":\"a\"}");
	ask("{\"id\":2,\"op\":\"wait\",\"guest\":\"a\"}");
	expect_nothing();
	fake_end(m, EXO_END_KILLED, 9);
	ck_assert_int_eq(lifecycle_start(m, why), 0);
	for (int i = 0; i < 2; i++) {
		json_t *line = next_line();

		ck_assert_ptr_nonnull(
			strstr(dump(line), "\"reason\":\"killed\",\"state\":\"starting\""));
		json_decref(line);
	}
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

int main(void)
{
	const TTest *const tests[] = {
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
		stopped_and_started,
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
	};
	Suite *s = suite_create("control-ops");
	TCase *tc = tcase_create("control-ops");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
