/*
 * What a desktop and the programs it starts ask of the control socket (docs/control.md):
 * displays without manifest, one desktop at a time, streams that were given.
 */
#include "fake_client.h"
#include "unit.h"

/* What `start` with this display gives a guest; err: why not. */
static struct guest_display display_of(const char *display, const char *manifest, const char **err)
{
	static char why[512];
	struct machine *m = machine_create(&fake.s, "shown");
	struct guest_display d;
	int status;

	m->options = json_pack("{s:o}", "display", json_loads(display, 0, NULL));
	if (manifest)
		ck_assert_int_eq(
			manifest_parse(manifest, strlen(manifest), "/shown.exo", &m->manifest, why),
			0);
	status = control_display(m, &d, why);
	ck_assert_int_eq(status, status ? -EINVAL : 0);
	*err = status ? why : "";
	machine_forget(m);
	return d;
}

START_TEST(display_of_start)
{
	static const char *const wrong[][2] = {
		{"{\"windows\":0}", "display: windows: must be from 1 to 16"},
		{"{\"windows\":17}", "display: windows: must be from 1 to 16"},
		{"{\"width\":0}", "display: width and height: must be from 1 to 16384"},
		{"{\"height\":16385}", "display: width and height: must be from 1 to 16384"},
		{"{\"memory\":1}", "display: memory: must be"},
		{"{\"memory\":3145728}", "display: memory: must be"},
		{"{\"memory\":1073741824}", "display: memory: must be"},
		{"{\"memory\":1048576,\"width\":600,\"height\":600}", "display: size: a picture"},
		{"{\"input\":[\"keyboard\",\"eye\"]}", "display: input: there is no \"eye\""},
		{"{\"sound\":[\"tablet\"]}", "display: sound: there is no \"tablet\""},
	};
	const char *why;
	struct guest_display d = display_of("{}", NULL, &why);

	ck_assert_str_eq(why, "");
	ck_assert(d.windows == 1 && d.width == 640 && d.height == 480);
	ck_assert_uint_eq(d.inputs, EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET);
	d = display_of("{\"windows\":2,\"memory\":2097152,\"input\":[\"touch\",\"mouse\"],"
		       "\"sound\":[\"playback\"]}",
		       NULL, &why);
	ck_assert_str_eq(why, "");
	ck_assert(d.windows == 2 && d.picture_bytes == 2 << 20);
	ck_assert_uint_eq(d.inputs, EXO_DPY_HAS_TOUCH | EXO_DPY_HAS_MOUSE | EXO_DPY_HAS_PLAYBACK);
	d = display_of("{\"height\":100}", "[display]\nsize = 10x20\nsound = capture\n", &why);
	ck_assert(d.width == 10 && d.height == 100);
	ck_assert(d.inputs & EXO_DPY_HAS_CAPTURE);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		display_of(wrong[i][0], NULL, &why);
		ck_assert_msg(!strncmp(why, wrong[i][1], strlen(wrong[i][1])), "%s: %s",
			      wrong[i][0], why);
	}
}
END_TEST

START_TEST(display_brings_the_grant)
{
	struct policy_grant_info g = {0};

	ask("{\"id\":1,\"op\":\"start\",\"program\":\"/"
	    "p\",\"name\":\"a\",\"display\":{},\"grants\":"
	    "[{\"service\":\"s\"}]}");
	json_decref(next_line());
	ck_assert(policy_grant_next(fake.s.policy, 0, &g));
	ck_assert_str_eq(g.service, "s");
	ck_assert(policy_grant_next(fake.s.policy, g.id, &g));
	ck_assert_str_eq(g.service, "desktop");
	ck_assert_str_eq(g.grantee, "a");
	ck_assert(!policy_grant_next(fake.s.policy, g.id, &g));
	ask("{\"id\":2,\"op\":\"start\",\"program\":\"/p\",\"display\":{\"depth\":1}}");
	expect_error("bad-request", "depth");
}
END_TEST

START_TEST(one_desktop)
{
	int first = sock, second = new_client();

	start("a");
	ask("{\"id\":1,\"op\":\"desktop\"}");
	expect("{\"id\":1,\"ok\":true}");
	ck_said("display(a)");
	ask("{\"id\":2,\"op\":\"desktop\"}");
	expect_error("busy", "a desktop is there already");
	sock = second;
	ask("{\"id\":3,\"op\":\"desktop\"}");
	expect_error("busy", "a desktop is there already");
	control_desktop_event(&fake.s, json_pack("{s:s}", "event", "display"), 0);
	expect_nothing(); /* it is for the first */
	sock = first;
	expect("{\"event\":\"display\",\"fds\":1}");
	close(first);
	fake_turn();
	ck_assert_ptr_null(fake.s.desktop);
	control_desktop_event(&fake.s, json_pack("{s:s}", "event", "display"), 0);
	sock = second;
	ask("{\"id\":4,\"op\":\"desktop\"}");
	expect("{\"id\":4,\"ok\":true}");
	ck_said("display(a)");
}
END_TEST

/* A terminal of the desktop's: it is the guest's, and the guest is nobody's. */
START_TEST(streams_without_attach)
{
	static const char line[] = "{\"id\":1,\"op\":\"start\",\"program\":\"/p\",\"name\":\"a\","
				   "\"tty\":{\"rows\":5,\"cols\":6,\"in\":true},\"fds\":3}\n";
	int fds[3] = {open_file(), open_file(), open_file()};
	struct machine *m;

	say_with_fds(line, sizeof(line) - 1, fds, 3);
	expect("{\"id\":1,\"ok\":true,\"guest\":\"a\",\"number\":1}");
	m = session_find(&fake.s, "a");
	ck_assert_ptr_null(m->owner);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(inode(m->stdio[i]), inode(fds[i]));
		close(fds[i]);
	}
	lifecycle_started(m);
	expect_nothing(); /* events are for who is attached */
	ask("{\"id\":2,\"op\":\"winch\",\"guest\":\"a\",\"rows\":7,\"cols\":8}");
	expect("{\"id\":2,\"ok\":true}");
	ck_said("start(a) winch(a, 7x8)");
	close(sock);
	sock = -1;
	fake_turn();
	ck_said("");
	ck_assert(machine_runs(m));
}
END_TEST

START_TEST(files_are_offered)
{
	static const struct {
		int err;
		const char *code, *words;
	} errors[] = {{-ENOENT, "not-found", "/h/a b: No such file"},
		      {-ENOSPC, "limit", "/h/a b"},
		      {-EINVAL, "invalid", "/h/a b: not a regular file"},
		      {-EISDIR, "invalid", "/h/a b: Is a directory"},
		      {-EACCES, "invalid", "/h/a b: Permission"},
		      {-ENOMEM, "internal", "/h/a b"}};
	struct machine *m = start("g");
	uint32_t subject = m->subject;

	ask("{\"id\":1,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h/a b\"}");
	expect_error("refused", "only the desktop may");
	ask("{\"id\":2,\"op\":\"desktop\"}");
	expect("{\"id\":2,\"ok\":true}");
	fake_said();
	ask("{\"id\":3,\"op\":\"offer-file\",\"guest\":\"x\",\"path\":\"/h\"}");
	expect_error("not-found", "no guest named x");
	ask("{\"id\":4,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"h\"}");
	expect_error("bad-request", "path: must be an absolute path");
	ask("{\"id\":5,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h\",\"rights\":\"w\"}");
	expect_error("bad-request", "rights: must be");
	ask("{\"id\":6,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h\",\"create\":true}");
	expect_error("bad-request", "create: needs");
	m->subject = 0;
	ask("{\"id\":7,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h\"}");
	expect_error("ended", "g does not run");
	ck_said("");
	m->subject = subject;
	ask("{\"id\":8,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h/a b\"}");
	expect("{\"id\":8,\"ok\":true,\"port\":16777216,\"grant\":7,\"name\":\"a b\"}");
	ck_said("offer(g, /h/a b, 0 0)");
	ask("{\"id\":9,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h/a b\",\"rights\":\"rw\","
	    "\"create\":true}");
	json_decref(next_line());
	ck_said("offer(g, /h/a b, 1 1)");
	for (size_t i = 0; i < COUNT(errors); i++) {
		fake.offer_err = errors[i].err;
		ask("{\"id\":1,\"op\":\"offer-file\",\"guest\":\"g\",\"path\":\"/h/a b\"}");
		expect_error(errors[i].code, errors[i].words);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		display_of_start,       display_brings_the_grant, one_desktop,
		streams_without_attach, files_are_offered,
	};
	Suite *s = suite_create("control-desktop");
	TCase *tc = tcase_create("control-desktop");

	tcase_add_checked_fixture(tc, begin, end);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
