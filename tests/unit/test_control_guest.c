/*
 * The service "control": what a guest may ask of the session, and what it may not
 * (docs/control.md). What it says is hostile (H-34 is about its VMM, which holds the socket).
 */
#include "fake_client.h"
#include "unit.h"

static char folder[64];

/* In the folder of programs. */
static void make_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

static int connect_guest(const char *guest)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fake.accept(fake.accept_opaque, pair[0], guest, "untrusted");
	return pair[1];
}

static int person; /* a client that is none */

static void begin_guest(void)
{
	begin();
	strcpy(folder, "/tmp/exo-unit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	setenv("EXO_PATH", folder, 1);
	make_file("bare.elf", "");
	make_file("tool.elf", "");
	make_file("tool.exo", "[program]\nname = tool\n");
	make_file("other.exo", "[program]\nfile = tool.elf\n");
	ck_assert_int_eq(control_serve_guests(&fake.s), 0);
	fake_said();
	person = sock;
	sock = connect_guest("term");
}

static void end_guest(void)
{
	static const char *const files[] = {"bare.elf", "tool.elf", "tool.exo", "other.exo"};

	close(person);
	end();
	for (size_t i = 0; i < COUNT(files); i++)
		remove_file(files[i]);
	rmdir(folder);
	unsetenv("EXO_PATH");
}

START_TEST(operations)
{
	static const char *const refused[] = {"shutdown", "listen",     "connect",
					      "desktop",  "offer-file", "remove",
					      "signal",   "winch",      "audit"};
	static const char *const allowed[] = {"hello", "ps", "top", "wires", "subscribe"};
	char line[128];

	for (size_t i = 0; i < COUNT(refused); i++) {
		snprintf(line, sizeof(line), "{\"id\":1,\"op\":\"%s\"}", refused[i]);
		ask(line);
		expect_error("refused", "not for a guest to ask");
	}
	ask("{\"id\":1,\"op\":\"nonsense\"}");
	expect_error("bad-request", "there is no");
	for (size_t i = 0; i < COUNT(allowed); i++) {
		json_t *answer;

		snprintf(line, sizeof(line), "{\"id\":1,\"op\":\"%s\"}", allowed[i]);
		ask(line);
		answer = next_line();
		ck_assert_msg(json_is_true(json_object_get(answer, "ok")), "%s: %s", allowed[i],
			      dump(answer));
		json_decref(answer);
	}
	ask("{\"id\":2,\"op\":\"stop\",\"guest\":\"x\"}");
	expect_error("not-found", "no guest named x");
	ask("{\"id\":3,\"op\":\"start\",\"program\":\"bare\",\"fds\":3}");
	expect_error("refused", "fds: a guest has none");
}
END_TEST

START_TEST(starts_by_name)
{
	char path[128];
	struct machine *m;

	ask("{\"id\":1,\"op\":\"start\",\"program\":\"bare\",\"args\":[\"x\"],\"name\":\"b\"}");
	expect("{\"id\":1,\"ok\":true,\"guest\":\"b\",\"number\":1}");
	m = session_find(&fake.s, "b");
	snprintf(path, sizeof(path), "%s/bare.elf", folder);
	ck_assert_str_eq(m->program, path);
	ck_assert_str_eq(m->label, "untrusted");
	ck_assert(!m->manifest && !m->owner);
	ask("{\"id\":2,\"op\":\"start\",\"program\":\"bare.elf\"}");
	expect("{\"id\":2,\"ok\":true,\"guest\":\"bare\",\"number\":2}");
	ask("{\"id\":3,\"op\":\"start\",\"program\":\"tool\",\"attach\":true}");
	expect("{\"id\":3,\"ok\":true,\"guest\":\"tool\",\"number\":3}");
	m = session_find(&fake.s, "tool");
	ck_assert_ptr_nonnull(m->manifest);
	ck_assert_ptr_nonnull(m->owner);
	ask("{\"id\":4,\"op\":\"start\",\"manifest\":\"other\"}");
	expect("{\"id\":4,\"ok\":true,\"guest\":\"other\",\"number\":4}");
	ask("{\"id\":5,\"op\":\"start\",\"program\":\"other\",\"name\":\"second\"}");
	expect("{\"id\":5,\"ok\":true,\"guest\":\"second\",\"number\":5}");
	ask("{\"id\":6,\"op\":\"start\",\"program\":\"other.exo\",\"name\":\"third\"}");
	expect("{\"id\":6,\"ok\":true,\"guest\":\"third\",\"number\":6}");
	ask("{\"id\":7,\"op\":\"add\",\"manifest\":\"other\"}");
	expect_error("exists", "other");
	ask("{\"id\":8,\"op\":\"dry-run\",\"manifest\":\"tool\"}");
	json_decref(next_line());
}
END_TEST

/* Nothing of the host but its programs. */
START_TEST(nothing_else_is_started)
{
	static const char *const requests[][3] = {
		{"\"program\":\"/bin/true\"", "refused", "the name of a program"},
		{"\"program\":\"../bare.elf\"", "refused", "the name of a program"},
		{"\"program\":\"..\"", "refused", "the name of a program"},
		{"\"program\":\".\"", "refused", "the name of a program"},
		{"\"program\":\"\"", "refused", "the name of a program"},
		{"\"program\":7", "refused", "the name of a program"},
		{"\"program\":\"none\"", "not-found", "none: not found"},
		{"\"manifest\":\"/etc/x.exo\"", "refused", "the name of a program"},
		{"\"manifest\":\"bare\"", "not-found", "bare: not found"},
		{"\"manifest\":\"bare.elf\"", "not-found", "bare.elf: not found"},
		{"\"program\":\"bare\",\"manifest\":\"/etc/x.exo\"", "refused", "program or"},
		{"\"name\":\"x\"", "bad-request", "give program or manifest"},
		{"\"program\":\"bare\",\"disks\":[{\"path\":\"/etc/shadow\"}]", "refused", "disks"},
		{"\"program\":\"bare\",\"mounts\":[]", "refused", "mounts: not for a guest"},
		{"\"program\":\"bare\",\"initrd\":\"/etc/shadow\"", "refused", "initrd"},
		{"\"program\":\"bare\",\"kernel_args\":\"x\"", "refused", "kernel_args"},
		{"\"program\":\"bare\",\"label\":\"trusted\"", "refused", "label"},
		{"\"program\":\"bare\",\"hugepages\":true", "refused", "hugepages"},
		{"\"program\":\"bare\",\"prefault\":true", "refused", "prefault"},
		{"\"program\":\"bare\",\"tty\":{}", "refused", "tty"},
		{"\"program\":\"bare\",\"grants\":[{\"service\":\"s\"},{\"service\":\"control\"}]",
		 "refused", "by a person"},
		{"\"program\":\"bare\",\"grants\":[7]", "bad-request", "grants"},
		{"\"program\":\"bare\",\"grants\":{\"x\":7}", "bad-request", "grants"},
	};
	char line[256];

	for (size_t i = 0; i < COUNT(requests); i++) {
		snprintf(line, sizeof(line), "{\"id\":1,\"op\":\"start\",%s}", requests[i][0]);
		ask(line);
		expect_error(requests[i][1], requests[i][2]);
		ck_assert_ptr_null(fake.s.machines);
	}
	ask("{\"id\":1,\"op\":\"add\",\"manifest\":\"/etc/x.exo\"}");
	expect_error("refused", "the name of a program");
	ask("{\"id\":1,\"op\":\"dry-run\",\"manifest\":\"/etc/passwd\"}");
	expect_error("refused", "the name of a program");
	ask("{\"id\":1,\"op\":\"dry-run\"}");
	expect_error("bad-request", "manifest");
	ask("{\"id\":1,\"op\":\"grant\",\"guest\":\"x\",\"service\":\"control\"}");
	expect_error("refused", "by a person");
	ask("{\"id\":1,\"op\":\"grant\",\"guest\":\"x\",\"service\":\"log\"}");
	expect("{\"id\":1,\"ok\":true,\"grant\":1}");
	ck_said("");
}
END_TEST

/* Guests have connections of their own, few, and leave those of persons alone. */
START_TEST(connections_are_counted)
{
	int mine[CONTROL_GUEST_CONNS_MAX], others[CONTROL_GUEST_CLIENTS_MAX];
	unsigned n = 0, m = 0;
	int first = sock;
	char name[16];

	for (n = 0; n < COUNT(mine) - 1; n++) { /* begin_guest made one */
		mine[n] = connect_guest("term");
		sock = mine[n];
		ask(PS);
		expect(PS_ANSWER);
	}
	mine[n] = sock = connect_guest("term");
	expect_error("limit", "too many clients");
	ck_assert(is_hung_up());
	for (m = 0; m < COUNT(others) - COUNT(mine); m++) {
		snprintf(name, sizeof(name), "g%u", m);
		others[m] = sock = connect_guest(name);
		ask(PS);
		expect(PS_ANSWER);
	}
	others[m] = sock = connect_guest("last");
	expect_error("limit", "too many clients");
	sock = person;
	ask(PS);
	expect(PS_ANSWER);
	close(mine[0]);
	fake_turn();
	sock = connect_guest("term");
	ask(PS);
	expect(PS_ANSWER);
	close(first);
	for (unsigned i = 1; i < COUNT(mine); i++)
		close(mine[i]);
	for (unsigned i = 0; i <= m; i++)
		close(others[i]);
}
END_TEST

/* A private session does not go on for its guests. */
START_TEST(guests_are_no_clients)
{
	ck_assert(control_has_clients(&fake.s));
	close(person);
	fake_turn();
	ck_assert(!control_has_clients(&fake.s));
	ask(PS);
	expect(PS_ANSWER);
	person = dup(sock);
}
END_TEST

START_TEST(revoked)
{
	int guest = sock;

	ask("{\"id\":1,\"op\":\"start\",\"program\":\"bare\",\"name\":\"term\"}");
	json_decref(next_line());
	ck_assert_int_gt(policy_grant(fake.s.policy, "term", "control", EXO_CAP_CONNECT, NULL,
				      POLICY_PERSON, 0, 1),
			 0);
	control_look_at_grants(&fake.s);
	ck_assert(!is_hung_up());
	ck_assert_int_eq(policy_revoke_named(fake.s.policy, "term", "control"), 1);
	control_look_at_grants(&fake.s);
	ck_assert(is_hung_up());
	sock = person;
	ask(PS);
	json_decref(next_line());
	sock = guest;
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		operations,
		starts_by_name,
		nothing_else_is_started,
		connections_are_counted,
		guests_are_no_clients,
		revoked,
	};
	Suite *s = suite_create("control-guest");
	TCase *tc = tcase_create("control-guest");

	tcase_add_checked_fixture(tc, begin_guest, end_guest);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
