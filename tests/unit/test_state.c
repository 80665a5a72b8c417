/*
 * What survives a restart of the session: written, found again, and refused when
 * it is damaged; and the audit log under a flood (H-34).
 */
#include "session.h"
#include "text.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOTH (EXO_CAP_CONNECT | EXO_CAP_GRANT)
#define MS 1000000ull
#define NOW 1000000000ull

static char folder[64];
static struct session *s;

static void on_close(void *opaque, uint32_t conn, enum exo_reason reason)
{
	policy_conn_end(((struct session *)opaque)->policy, conn, reason);
}

static void on_event(void *opaque, const struct policy_event *e)
{
	state_event(opaque, e);
}

static void open_session(void)
{
	static const struct policy_ops ops = {on_close, on_event};

	s = calloc(1, sizeof(*s));
	ck_assert_ptr_nonnull(s);
	s->policy = policy_create(&ops, s);
	s->control_fd = s->audit_fd = s->inotify_fd = s->signal_fd = s->lock_fd = -1;
	s->next_number = 1;
	ck_assert_int_eq(loop_init(&s->loop), 0);
	strcpy(s->directory, folder);
	s->directory_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(s->directory_fd, 0);
}

static void close_session(void)
{
	while (s->machines)
		machine_forget(s->machines);
	machine_reap(s);
	policy_destroy(s->policy);
	state_finish(s);
	audit_finish(s);
	loop_finish(&s->loop);
	close(s->directory_fd);
	free(s);
}

/* As after a crash: nothing is said to the files. */
static void restart(void)
{
	close_session();
	open_session();
	ck_assert_int_eq(state_load(s), 0);
}

static void setup(void)
{
	strcpy(folder, "/tmp/exo-unit.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	open_session();
	ck_assert_int_eq(state_load(s), 0); /* there is nothing */
	ck_assert(s->state_dirty);
	ck_assert_int_eq(state_save(s), 0);
}

static const char *const names[] = {"state.json",    "state.log",     "state.json.bad",
				    "state.log.bad", "audit.jsonl",   "audit.jsonl.1",
				    "store.exo",     "state.json.new"};

static void teardown(void)
{
	close_session();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t grant(const char *guest, const char *service, struct policy_limits limits)
{
	int64_t id =
		policy_grant(s->policy, guest, service, BOTH, &limits, POLICY_PERSON, 0, now());

	ck_assert_int_gt(id, 0);
	return (uint32_t)id;
}

static bool has_grant(uint32_t id)
{
	struct policy_grant_info info;

	return !policy_grant_info(s->policy, id, &info);
}

static char *read_file(const char *name, size_t *length)
{
	char path[128], *text = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "r");
	*length = f ? fread(text, 1, (1 << 20) - 1, f) : 0;
	if (f)
		fclose(f);
	return text;
}

static void write_file(const char *name, const char *text, size_t length)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, length, f), length);
	fclose(f);
}

static bool exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return !access(path, F_OK);
}

/* ---- round trips ------------------------------------------------------------------------ */

START_TEST(grants_come_back)
{
	const struct policy_limits limits = {
		.lease_ms = 60000, .max_conns = 3, .max_buffer = 1 << 20, .max_rate = 99};
	struct policy_grant_info child = {.id = 50,
					  .grantee = "c",
					  .service = "files",
					  .rights = EXO_CAP_CONNECT,
					  .origin = POLICY_GUEST},
				 g;
	uint32_t id = grant("a", "files", limits), next, conn;

	child.parent = id;
	ck_assert_int_eq(policy_grant_adopt(s->policy, &child, NOW), 0);
	policy_set_next_ids(s->policy, 0, 777);
	ck_assert_int_eq(state_save(s), 0);
	restart();
	ck_assert(!exists("state.json.bad") && !exists("state.json.new"));
	ck_assert_int_eq(policy_grant_info(s->policy, id, &g), 0);
	ck_assert_str_eq(g.grantee, "a");
	ck_assert_str_eq(g.service, "files");
	ck_assert(g.rights == BOTH && g.origin == POLICY_PERSON && !g.parent);
	ck_assert(g.limits.max_conns == 3 && g.limits.max_buffer == 1 << 20);
	ck_assert_uint_eq(g.limits.max_rate, 99);
	ck_assert_uint_gt(g.expires_ns, now() + 50000 * MS);
	ck_assert_uint_le(g.expires_ns, now() + 60000 * MS);
	ck_assert_int_eq(policy_grant_info(s->policy, 50, &g), 0);
	ck_assert_uint_eq(g.parent, id);
	policy_next_ids(s->policy, &next, &conn);
	ck_assert(next == 51 && conn == 777 + 1000000);
}
END_TEST

START_TEST(grants_since_the_file_come_from_the_log)
{
	uint32_t first = grant("a", "files", (struct policy_limits){0}), second, third;

	s->state_dirty = false;
	ck_assert_int_eq(state_save(s), 0);
	second = grant("b", "files", (struct policy_limits){0});
	third = grant("c", "files", (struct policy_limits){0});
	ck_assert_int_eq(policy_revoke(s->policy, first), 0);
	ck_assert_int_eq(policy_revoke(s->policy, third), 0);
	ck_assert(!s->state_dirty); /* the file need not be written anew */
	restart();
	ck_assert(!has_grant(first) && has_grant(second) && !has_grant(third));
	restart(); /* also without a save in between */
	ck_assert(!has_grant(first) && has_grant(second) && !has_grant(third));
}
END_TEST

START_TEST(log_that_is_torn_or_old)
{
	uint32_t first = grant("a", "files", (struct policy_limits){0});
	uint32_t second = grant("b", "files", (struct policy_limits){0});
	size_t length;
	char *log = read_file("state.log", &length);

	write_file("state.log", log, length - 5);
	restart();
	ck_assert(has_grant(first) && !has_grant(second) && !exists("state.json.bad"));
	ck_assert_int_eq(state_save(s), 0); /* the log begins anew */
	write_file("state.log", log, length);
	restart();
	ck_assert(has_grant(first) && !has_grant(second)); /* it is of another file */
	free(log);
}
END_TEST

START_TEST(log_is_folded_into_the_file)
{
	for (int i = 0; i < 10000 && !s->state_dirty; i++)
		ck_assert_int_eq(
			policy_revoke(s->policy, grant("a", "files", (struct policy_limits){0})),
			0);
	ck_assert(s->state_dirty);
}
END_TEST

START_TEST(leases_end_while_no_session_runs)
{
	uint32_t id = grant("a", "files", (struct policy_limits){.lease_ms = 20}), other;

	other = grant("b", "files", (struct policy_limits){0});
	ck_assert_int_eq(state_save(s), 0);
	usleep(30000);
	restart();
	ck_assert(!has_grant(id) && has_grant(other));
}
END_TEST

/* A guest that runs, one that is added; slots and their generations. */
START_TEST(guests_come_back)
{
	static const char manifest[] = "[program]\nlabel = storage\n[provides]\nblobs = 7 stream\n"
				       "[uses]\nfiles = lease=1h\n";
	char path[128], why[512];
	struct manifest *read;
	struct machine *m;
	uint32_t kept, gone;
	int64_t subject;
	struct policy_service_info service;

	snprintf(path, sizeof(path), "%s/store.exo", folder);
	write_file("store.exo", manifest, sizeof(manifest) - 1);
	ck_assert_int_eq(manifest_load(path, &read, why), 0);
	m = lifecycle_add(s, read, why);
	ck_assert_ptr_nonnull(m);
	m->added = true;
	m = machine_create(s, "a");
	m->pid = getpid();
	m->program = strdup("/bin/a.elf");
	m->args = calloc(3, sizeof(*m->args));
	m->args[0] = strdup("a");
	m->args[1] = strdup("x y");
	m->options = json_pack("{s:i}", "cpus", 2);
	strcpy(m->label, "mine");
	subject = policy_add_subject(s->policy, "a", "mine");
	m->subject = (uint32_t)subject;
	gone = grant("a", "other", (struct policy_limits){0});
	kept = grant("a", "files", (struct policy_limits){0});
	ck_assert_int_eq(state_save(s), 0);
	ck_assert_int_eq(policy_revoke(s->policy, gone), 0);
	gone = grant("a", "third", (struct policy_limits){0}); /* index 0, generation 2 */
	ck_assert_int_eq(policy_revoke(s->policy, gone), 0);
	restart();
	ck_assert_int_eq(state_save(s), 0); /* the guest that runs has not been heard yet */
	restart();
	m = session_find(s, "store");
	ck_assert_ptr_nonnull(m);
	ck_assert(m->added && !m->adopted && m->manifest && m->state == MACHINE_ADDED);
	ck_assert_int_eq(policy_service_info(s->policy, "blobs", &service), 0);
	ck_assert_str_eq(service.provider, "store");
	m = session_find(s, "a");
	ck_assert_ptr_nonnull(m);
	ck_assert(m->adopted && m->pid == getpid() && m->number == 2 && !m->manifest);
	ck_assert_str_eq(m->label, "mine");
	ck_assert_str_eq(m->program, "/bin/a.elf");
	ck_assert_str_eq(m->args[1], "x y");
	ck_assert_int_eq(json_integer_value(json_object_get(m->options, "cpus")), 2);
	ck_assert_uint_eq(m->nold_slots, 1);
	ck_assert(m->old_slot[0].grant == kept && m->old_slot[0].port == EXO_SLOT_PORT(1, 1));
	ck_assert(m->old_generation[0] == 2 && m->old_generation[1] == 1);
	ck_assert_uint_eq(s->next_number, 3);
}
END_TEST

/* The manifest is gone: what ran goes on, what did not is forgotten. */
START_TEST(manifest_that_is_gone)
{
	char path[128], why[512];
	struct manifest *read;
	struct machine *m;

	snprintf(path, sizeof(path), "%s/store.exo", folder);
	write_file("store.exo", "[uses]\nfiles =\n", 15);
	ck_assert_int_eq(manifest_load(path, &read, why), 0);
	m = lifecycle_add(s, read, why);
	ck_assert_ptr_nonnull(m);
	m->added = true;
	ck_assert_int_eq(state_save(s), 0);
	write_file("store.exo", "[program]\nname = other\n", 23);
	restart();
	ck_assert_ptr_null(session_find(s, "store"));
	ck_assert_ptr_null(session_find(s, "other"));
	ck_assert_int_eq(policy_revoke_named(s->policy, "store", "files"), -ENOENT);
}
END_TEST

/* ---- damage --------------------------------------------------------------------------------- */

START_TEST(h34_damaged_files_are_set_aside)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"version\":2}",
		"{\"version\":1,\"serial\":1,\"next_number\":1,\"next_grant\":1,\"next_conn\":1,"
		"\"grants\":[],\"guests\":[],\"more\":1}",
		"{\"version\":1,\"serial\":1,\"next_number\":1,\"next_grant\":1,\"next_conn\":1,"
		"\"grants\":[],\"guests\":[7]}",
		"{\"version\":1,\"serial\":1,\"next_number\":1,\"next_grant\":1,\"next_conn\":-1,"
		"\"grants\":[],\"guests\":[]}",
		"{\"version\":1,\"serial\":1,\"serial\":1,\"next_number\":1,\"next_grant\":1,"
		"\"next_conn\":1,\"grants\":[],\"guests\":[]}"};

	write_file("state.json", texts[_i], strlen(texts[_i]));
	restart();
	ck_assert(exists("state.json.bad") && !exists("state.json") && s->state_dirty);
	ck_assert_int_eq(state_save(s), 0);
	restart();
	ck_assert(exists("state.json"));
}
END_TEST

START_TEST(h34_damaged_log_is_set_aside)
{
	static const char *const lines[] = {"x", "[]", "{\"end\":0}", "{\"end\":1,\"grant\":{}}",
					    "{\"grant\":{\"id\":1}}"};
	size_t length;
	char *log = read_file("state.log", &length);
	struct text t = {0};

	text_add(&t, log, length);
	text_addf(&t, "%s\n", lines[_i]);
	write_file("state.log", t.data, t.length);
	restart();
	ck_assert(exists("state.log.bad") && exists("state.json.bad"));
	text_finish(&t);
	free(log);
}
END_TEST

/* Cut off anywhere, any byte another: something or nothing comes back, no crash. */
START_TEST(h34_any_damage)
{
	size_t length, log_length;
	char *file, *log;
	struct machine *m = machine_create(s, "a");

	m->pid = 1;
	grant("a", "files", (struct policy_limits){.lease_ms = 100000});
	ck_assert_int_eq(state_save(s), 0);
	grant("b", "files", (struct policy_limits){0});
	file = read_file("state.json", &length);
	log = read_file("state.log", &log_length);
	close(STDERR_FILENO);
	for (size_t i = 0; i < length + log_length; i++) {
		char *text = i < length ? file : log;
		size_t at = i < length ? i : i - length;
		char old = text[at];

		text[at] = (char)(i % 3 ? old ^ 1 : '9');
		write_file("state.json", file, i % 7 ? length : at < length ? at : length);
		write_file("state.log", log, log_length);
		text[at] = old;
		restart();
	}
	free(file);
	free(log);
}
END_TEST

START_TEST(what_cannot_be_read_is_left_alone)
{
	char path[128];

	close_session();
	snprintf(path, sizeof(path), "%s/state.json", folder);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	open_session();
	ck_assert_int_eq(state_load(s), -ELOOP);
	ck_assert(exists("state.json"));
}
END_TEST

/* ---- audit --------------------------------------------------------------- */

static unsigned count_lines(const char *needle)
{
	size_t length;
	char *text = read_file("audit.jsonl", &length);
	unsigned n = 0;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		ck_assert_ptr_nonnull(json);
		ck_assert_ptr_nonnull(json_object_get(json, "time"));
		n += strstr(line, needle) != NULL;
		json_decref(json);
	}
	free(text);
	return n;
}

START_TEST(audit_lines)
{
	uint32_t id = grant("a", "files", (struct policy_limits){.lease_ms = 5000});

	audit_event(s, &(struct policy_event){.kind = POLICY_EVENT_GRANT,
					      .grant = id,
					      .subject = "a",
					      .service = "files",
					      .provider = "s"});
	audit_event(s, &(struct policy_event){.kind = POLICY_EVENT_REFUSE,
					      .subject = "a",
					      .service = "",
					      .provider = "",
					      .reason = EXO_REASON_NO_SLOT,
					      .port = 77});
	ck_assert_uint_eq(count_lines("\"event\":\"grant\",\"guest\":\"a\",\"service\":\"files\","
				      "\"provider\":\"s\",\"grant\":1,\"origin\":\"person\","
				      "\"delegate\":true,\"lease_ms\":5000}"),
			  1);
	ck_assert_uint_eq(count_lines("\"event\":\"refuse\",\"guest\":\"a\",\"reason\":"), 1);
	ck_assert_uint_eq(count_lines("\"port\":77}"), 1);
}
END_TEST

START_TEST(h34_flood_of_events_is_bounded)
{
	const struct policy_event flood = {.kind = POLICY_EVENT_REFUSE,
					   .subject = "flood",
					   .service = "",
					   .provider = "",
					   .port = 5};
	const struct policy_event other = {
		.kind = POLICY_EVENT_CONNECT, .subject = "calm", .service = "x", .provider = "y"};

	for (int i = 0; i < 5000; i++)
		audit_event(s, &flood);
	audit_event(s, &other);
	ck_assert_uint_ge(count_lines("\"flood\""), 1000);
	ck_assert_uint_lt(count_lines("\"flood\""), 2000);
	ck_assert_uint_eq(count_lines("\"calm\""), 1);
	audit_finish(s);
	ck_assert_uint_ge(count_lines("\"event\":\"suppressed\",\"guest\":\"flood\",\"count\":"),
			  1);
}
END_TEST

START_TEST(audit_rotates)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/audit.jsonl", folder);
	write_file("audit.jsonl", "{\"time\":\"x\"}\n", 13);
	ck_assert_int_eq(truncate(path, 16 << 20), 0);
	audit_event(s, &(struct policy_event){.kind = POLICY_EVENT_EXPIRE,
					      .subject = "a",
					      .service = "",
					      .provider = ""});
	ck_assert(exists("audit.jsonl.1"));
	audit_event(s, &(struct policy_event){.kind = POLICY_EVENT_EXPIRE,
					      .subject = "b",
					      .service = "",
					      .provider = ""});
	ck_assert_uint_eq(count_lines("\"guest\":\"b\""), 1);
	ck_assert_uint_eq(count_lines("\"guest\":\"a\""), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state");
	TCase *c = tcase_create("state");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, grants_come_back);
	tcase_add_test(c, grants_since_the_file_come_from_the_log);
	tcase_add_test(c, log_that_is_torn_or_old);
	tcase_add_test(c, log_is_folded_into_the_file);
	tcase_add_test(c, leases_end_while_no_session_runs);
	tcase_add_test(c, guests_come_back);
	tcase_add_test(c, manifest_that_is_gone);
	tcase_add_loop_test(c, h34_damaged_files_are_set_aside, 0, 10);
	tcase_add_loop_test(c, h34_damaged_log_is_set_aside, 0, 5);
	tcase_add_test(c, h34_any_damage);
	tcase_add_test(c, what_cannot_be_read_is_left_alone);
	tcase_add_test(c, audit_lines);
	tcase_add_test(c, h34_flood_of_events_is_bounded);
	tcase_add_test(c, audit_rotates);
	tcase_set_timeout(c, 60);
	suite_add_tcase(suite, c);
	return unit_run(suite);
}
