/*
 * The life of guests: readiness, restarts with pauses, starts on demand and of
 * what is required, stops, watchdogs; with played machines and a played clock.
 */
#include "fake_session.h"

#include "unit.h"

#include <check.h>

/* ---- manifests ---------------------------------------------------------------- */

static struct manifest *make(const char *name)
{
	struct manifest *mf = calloc(1, sizeof(*mf));

	snprintf(mf->name, sizeof(mf->name), "%s", name);
	snprintf(mf->label, sizeof(mf->label), "untrusted");
	mf->file = strdup("/guests/prog.elf");
	mf->path = strdup("/guests/prog.exo");
	mf->ready = MANIFEST_READY_START;
	mf->backoff_ns = 100 * FAKE_MS;
	mf->stop_timeout_ns = 2000 * FAKE_MS;
	mf->start_timeout_ns = 10000 * FAKE_MS;
	mf->max_restarts = 10;
	return mf;
}

static struct manifest *provides(struct manifest *mf, const char *service)
{
	struct manifest_provides *p = &mf->provides[mf->nprovides++];

	snprintf(p->name, sizeof(p->name), "%s", service);
	p->port = 9 + mf->nprovides;
	mf->ready = MANIFEST_READY_NOTIFY;
	return mf;
}

static struct manifest *requires(struct manifest *mf, const char *service)
{
	struct manifest_uses *u = &mf->uses[mf->nuses++];

	snprintf(u->name, sizeof(u->name), "%s", service);
	u->rights = EXO_CAP_CONNECT;
	u->required = true;
	return mf;
}

static struct machine *add(struct manifest *mf)
{
	char why[512] = "";
	struct machine *m = lifecycle_add(&fake.s, mf, why);

	ck_assert_msg(m != NULL, "%s", why);
	return m;
}

static int start(struct machine *m)
{
	char why[512];

	return lifecycle_start(m, why);
}

/* Starts it and says that it has. */
static struct machine *started(struct manifest *mf)
{
	struct machine *m = add(mf);

	ck_assert_int_eq(start(m), 0);
	lifecycle_started(m);
	return m;
}

static bool is_ready(const char *service)
{
	struct policy_service_info info;

	ck_assert_int_eq(policy_service_info(fake.s.policy, service, &info), 0);
	return info.ready;
}

#define ck_state(m, wanted) ck_assert_str_eq(lifecycle_state_name((m)->state), wanted)
#define ck_said(wanted) ck_assert_str_eq(fake_said(), wanted)

/* ---- readiness ------------------------------------------------------------------- */

START_TEST(ready_when_it_says_so)
{
	struct machine *m = add(provides(make("store"), "store"));

	ck_assert_int_eq(start(m), 0);
	ck_state(m, "starting");
	lifecycle_started(m);
	ck_state(m, "running");
	ck_assert(!is_ready("store"));
	lifecycle_ready(m);
	ck_state(m, "ready");
	ck_assert(is_ready("store"));
	ck_said("start(store) changed(store)");
	lifecycle_ready(m); /* once is enough */
	ck_said("");
	fake_end(m, EXO_END_EXIT, 0);
	ck_state(m, "ended");
	ck_assert(!is_ready("store"));
	ck_said("changed(store)");
}
END_TEST

START_TEST(ready_at_start)
{
	struct machine *m = started(make("job"));

	ck_state(m, "ready");
}
END_TEST

START_TEST(ready_without_manifest)
{
	struct machine *m = machine_create(&fake.s, "x");

	ck_assert_int_eq(start(m), 0);
	lifecycle_started(m);
	ck_state(m, "ready");
	fake_end(m, EXO_END_FAULT, 11);
	ck_state(m, "ended");
}
END_TEST

/* Its VMM had no time to say that it started. */
START_TEST(over_at_once)
{
	struct machine *m = add(make("job"));

	ck_assert_int_eq(start(m), 0);
	fake_end(m, EXO_END_EXIT, 0);
	ck_assert_uint_ne(m->ready_ns, 0);
	ck_state(m, "ended");
	ck_assert_int_eq(start(m), 0);
	fake_end(m, EXO_END_CONFIG, 0); /* this one never ran */
	ck_assert_uint_eq(m->ready_ns, 0);
}
END_TEST

START_TEST(not_ready_in_time)
{
	struct machine *m = started(provides(make("slow"), "slow"));

	fake_said();
	fake_advance(9999);
	ck_said("");
	fake_advance(1);
	ck_said("kill(slow: it did not get ready in time)");
	fake_end(m, EXO_END_KILLED, 9);
	ck_state(m, "ended");
}
END_TEST

/* Of a session that takes guests over: those that are not ready have their time, too. */
START_TEST(adopted)
{
	struct machine *m = add(provides(make("slow"), "slow"));

	ck_assert_int_eq(start(m), 0);
	m->adopted = true;
	m->ready_by_ns = 0;
	m->started_ns = 7;
	fake_said();
	lifecycle_started(m);
	ck_assert_uint_eq(m->started_ns, 7);
	fake_advance(9999);
	ck_said("");
	fake_advance(1);
	ck_said("kill(slow: it did not get ready in time)");
}
END_TEST

START_TEST(idle_has_no_deadlines)
{
	struct machine *m = started(provides(make("store"), "store"));
	unsigned ticks;

	lifecycle_ready(m);
	fake_turn();
	ck_assert_uint_eq(fake.s.timer_ns, 0);
	ticks = fake.ticks;
	fake_advance(600000);
	ck_assert_uint_eq(fake.ticks, ticks);
}
END_TEST

/* ---- restarts ---------------------------------------------------------------------- */

static struct manifest *restarting(const char *name, enum manifest_restart restart)
{
	struct manifest *mf = make(name);

	mf->restart = restart;
	return mf;
}

START_TEST(restart_policies)
{
	static const struct {
		enum manifest_restart restart;
		enum exo_end reason;
		uint32_t status;
		const char *state;
	} rows[] = {
		{MANIFEST_RESTART_NO, EXO_END_EXIT, 0, "ended"},
		{MANIFEST_RESTART_NO, EXO_END_FAULT, 11, "ended"},
		{MANIFEST_RESTART_ON_FAILURE, EXO_END_EXIT, 0, "ended"},
		{MANIFEST_RESTART_ON_FAILURE, EXO_END_EXIT, 1, "back-off"},
		{MANIFEST_RESTART_ON_FAILURE, EXO_END_FAULT, 11, "back-off"},
		{MANIFEST_RESTART_ON_FAILURE, EXO_END_KILLED, 9, "back-off"},
		{MANIFEST_RESTART_ALWAYS, EXO_END_EXIT, 0, "back-off"},
		{MANIFEST_RESTART_ALWAYS, EXO_END_FAULT, 11, "back-off"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine *m = started(restarting("a", rows[i].restart));

		fake_end(m, rows[i].reason, rows[i].status);
		ck_assert_msg(!strcmp(lifecycle_state_name(m->state), rows[i].state), "row %zu", i);
		lifecycle_stop(m, 0);
		lifecycle_remove(m);
		fake_turn();
	}
}
END_TEST

START_TEST(pauses_double)
{
	static const unsigned pauses[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	struct manifest *mf = restarting("a", MANIFEST_RESTART_ALWAYS);
	struct machine *m;

	mf->max_restarts = 100;
	m = started(mf);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		fake_end(m, EXO_END_EXIT, 1);
		fake_said();
		fake_advance(pauses[i] - 1);
		ck_said("");
		ck_state(m, "back-off");
		fake_advance(1);
		ck_said("start(a)");
		ck_assert_uint_eq(m->restarts, i + 1);
		lifecycle_started(m);
	}
	fake_advance(60000); /* ready for a quiet minute */
	fake_end(m, EXO_END_EXIT, 1);
	fake_said();
	fake_advance(100);
	ck_said("start(a)");
}
END_TEST

START_TEST(given_up)
{
	struct manifest *mf = restarting("a", MANIFEST_RESTART_ON_FAILURE);
	struct machine *m;

	mf->max_restarts = 3;
	m = started(mf);
	for (int i = 0; i < 3; i++) {
		fake_end(m, EXO_END_FAULT, 11);
		ck_state(m, "back-off");
		fake_advance(1000);
		lifecycle_started(m);
	}
	fake_end(m, EXO_END_FAULT, 11);
	ck_state(m, "failed");
	fake_said();
	fake_advance(100000);
	ck_said("");
	ck_assert_int_eq(start(m), 0); /* a person may */
	ck_said("start(a)");
	lifecycle_started(m);
	fake_end(m, EXO_END_FAULT, 11);
	ck_state(m, "back-off");
}
END_TEST

/* Few in each minute go on for ever. */
START_TEST(not_given_up)
{
	struct manifest *mf = restarting("a", MANIFEST_RESTART_ALWAYS);
	struct machine *m;

	mf->max_restarts = 2;
	m = started(mf);
	for (int i = 0; i < 20; i++) {
		fake_advance(35000);
		fake_end(m, EXO_END_EXIT, 0);
		ck_state(m, "back-off");
		fake_advance(10000);
		ck_state(m, "starting");
		lifecycle_started(m);
	}
}
END_TEST

START_TEST(restart_that_cannot_start)
{
	struct machine *m = started(restarting("a", MANIFEST_RESTART_ALWAYS));

	fake_end(m, EXO_END_EXIT, 0);
	fake.start_err = -ENOENT;
	fake_advance(100);
	ck_state(m, "failed");
	ck_assert_int_eq(m->end.exit_code, GUEST_EXIT_NOT_FOUND);
	ck_assert_str_eq(m->end.detail, "a: cannot start");
}
END_TEST

/* ---- stops -------------------------------------------------------------------------- */

START_TEST(stop_asks_then_kills)
{
	struct machine *m = started(restarting("a", MANIFEST_RESTART_ALWAYS));

	fake_said();
	lifecycle_stop(m, 500 * FAKE_MS);
	ck_state(m, "stopping");
	ck_said("signal(a, 15)");
	fake_advance(499);
	ck_said("");
	fake_advance(1);
	ck_said("kill(a: it did not end in time)");
	fake_end(m, EXO_END_KILLED, 9);
	ck_state(m, "ended"); /* for good, whatever the restart policy says */
	fake_advance(100000);
	ck_said("");
}
END_TEST

START_TEST(stop_that_works)
{
	struct machine *m = started(make("a"));

	lifecycle_stop(m, 500 * FAKE_MS);
	fake_end(m, EXO_END_SIGNAL, 15);
	fake_said();
	fake_advance(1000);
	ck_said("");
	ck_state(m, "ended");
}
END_TEST

START_TEST(stop_before_it_runs)
{
	struct machine *m = add(make("a"));

	ck_assert_int_eq(start(m), 0);
	lifecycle_stop(m, 500 * FAKE_MS);
	ck_said("start(a) kill(a: stopped before it began)");
	fake_end(m, EXO_END_KILLED, 9);
	ck_state(m, "ended");
	lifecycle_stop(m, 500 * FAKE_MS); /* nothing to do */
	ck_state(m, "ended");
}
END_TEST

START_TEST(stop_between_starts)
{
	struct machine *m = started(restarting("a", MANIFEST_RESTART_ALWAYS));

	fake_end(m, EXO_END_EXIT, 3);
	fake_said();
	lifecycle_stop(m, 500 * FAKE_MS);
	ck_state(m, "ended");
	ck_assert_int_eq(m->end.exit_code, 3);
	fake_advance(100000);
	ck_said("");
}
END_TEST

START_TEST(stop_stops_serving)
{
	struct machine *m = started(provides(make("store"), "store"));

	lifecycle_ready(m);
	lifecycle_stop(m, 500 * FAKE_MS);
	ck_assert(!is_ready("store"));
	lifecycle_ready(m); /* too late */
	ck_assert(!is_ready("store"));
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -ECONNREFUSED);
}
END_TEST

/* ---- watchdog --------------------------------------------------------------------------- */

START_TEST(watchdog)
{
	struct manifest *mf = restarting("a", MANIFEST_RESTART_ON_FAILURE);
	struct machine *m;

	mf->watchdog_ns = 1000 * FAKE_MS;
	m = started(mf);
	fake_said();
	for (int i = 0; i < 10; i++) {
		fake_advance(900);
		lifecycle_alive(m);
	}
	ck_said("");
	lifecycle_pause(m, true); /* who is paused can't feed it */
	fake_advance(10000);
	ck_said("pause(a, 1)");
	lifecycle_pause(m, false);
	fake_advance(999);
	ck_said("pause(a, 0)");
	fake_advance(1);
	ck_said("kill(a: its watchdog was not fed)");
	fake_end(m, EXO_END_KILLED, 9);
	ck_state(m, "back-off");
	fake_advance(100);
	lifecycle_started(m);
	ck_said("start(a)");
	fake_advance(999);
	ck_said("");
}
END_TEST

/* ---- required services ------------------------------------------------------------------- */

START_TEST(required_first)
{
	struct machine *c = add(provides(make("c"), "sc"));
	struct machine *b = add(requires(provides(make("b"), "sb"), "sc"));
	struct machine *a = add(requires(make("a"), "sb"));

	ck_assert_int_eq(start(a), -EINPROGRESS);
	ck_said("start(c)");
	ck_state(a, "starting");
	ck_state(b, "starting");
	lifecycle_started(c);
	fake_turn();
	ck_said("");
	lifecycle_ready(c);
	fake_turn();
	ck_said("changed(sc) start(b)");
	lifecycle_started(b);
	lifecycle_ready(b);
	fake_turn();
	ck_said("changed(sb) start(a)");
	lifecycle_started(a);
	ck_state(a, "ready");
}
END_TEST

START_TEST(required_runs_already)
{
	struct machine *c = started(provides(make("c"), "sc"));
	struct machine *a = add(requires(make("a"), "sc"));

	lifecycle_ready(c);
	ck_assert_int_eq(start(a), 0);
	ck_state(a, "starting");
}
END_TEST

START_TEST(required_cycle)
{
	struct machine *a = add(requires(provides(make("a"), "sa"), "sb"));
	char why[512];

	add(requires(provides(make("b"), "sb"), "sc"));
	add(requires(provides(make("c"), "sc"), "sa"));
	ck_assert_int_eq(lifecycle_start(a, why), -ELOOP);
	ck_assert_str_eq(why, "required services form a cycle: c requires sa of a; "
			      "b requires sc of c; a requires sb of b");
	ck_state(a, "failed");
	ck_said("changed(sa)");
	/* One that only leads to a cycle can't start either. */
	ck_assert_int_eq(start(add(requires(make("d"), "sa"))), -ELOOP);
	ck_assert_int_eq(start(add(requires(provides(make("e"), "se"), "se"))), -ELOOP);
}
END_TEST

START_TEST(required_by_many)
{
	char name[16], service[16];
	struct machine *last = NULL;

	/* Each requires all before it: paths without number, and no cycle. */
	for (int i = 0; i < 40; i++) {
		struct manifest *mf;

		snprintf(name, sizeof(name), "g%d", i);
		snprintf(service, sizeof(service), "s%d", i);
		mf = provides(make(name), service);
		for (int k = 0; k < i; k++) {
			snprintf(service, sizeof(service), "s%d", k);
			requires(mf, service);
		}
		last = add(mf);
	}
	ck_assert_int_eq(start(last), -EINPROGRESS);
	ck_said("start(g0)");
}
END_TEST

START_TEST(required_absent)
{
	char why[512];

	ck_assert_int_eq(lifecycle_start(add(requires(make("a"), "nobody")), why), -ECONNREFUSED);
	ck_assert_str_eq(why, "a requires nobody, which nobody provides");
}
END_TEST

START_TEST(required_fails)
{
	struct machine *b = add(provides(make("b"), "sb"));
	struct machine *a = add(requires(make("a"), "sb"));

	ck_assert_int_eq(start(a), -EINPROGRESS);
	lifecycle_started(b);
	fake_end(b, EXO_END_EXIT, 1);
	fake_turn();
	ck_state(a, "failed");
	ck_assert_str_eq(a->end.detail, "a requires sb of b: ended");
	ck_said("start(b) changed(sb)");
}
END_TEST

START_TEST(required_comes_back)
{
	struct manifest *mf = provides(make("b"), "sb");
	struct machine *a, *b;

	mf->restart = MANIFEST_RESTART_ON_FAILURE;
	b = add(mf);
	a = add(requires(make("a"), "sb"));
	ck_assert_int_eq(start(a), -EINPROGRESS);
	lifecycle_started(b);
	fake_end(b, EXO_END_EXIT, 1);
	fake_advance(50);
	ck_state(a, "starting");
	ck_state(b, "back-off"); /* nobody hurries it */
	fake_advance(50);
	lifecycle_started(b);
	lifecycle_ready(b);
	fake_turn();
	ck_said("start(b) changed(sb) start(b) changed(sb) start(a)");
}
END_TEST

START_TEST(stop_while_required_starts)
{
	struct machine *a, *b = add(provides(make("b"), "sb"));

	a = add(requires(make("a"), "sb"));
	ck_assert_int_eq(start(a), -EINPROGRESS);
	lifecycle_kill(a, "test");
	ck_state(a, "ended");
	lifecycle_started(b);
	lifecycle_ready(b);
	fake_turn();
	ck_said("start(b) changed(sb)"); /* and not a */
}
END_TEST

/* ---- on demand ------------------------------------------------------------------------------ */

START_TEST(demand)
{
	struct machine *m = add(provides(make("store"), "store"));

	m->added = true;
	ck_assert_int_eq(lifecycle_want(&fake.s, "nothing"), -ENOENT);
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
	ck_said("start(store)");
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
	lifecycle_started(m);
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
	lifecycle_ready(m);
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), 0);
	fake_end(m, EXO_END_EXIT, 0);
	ck_state(m, "added");
	fake_said();
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
	ck_said("start(store)");
}
END_TEST

START_TEST(demand_of_one_that_dies)
{
	struct machine *m = add(provides(make("store"), "store"));

	m->added = true;
	for (unsigned pause = 100; pause <= 400; pause *= 2) {
		ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
		lifecycle_started(m);
		fake_end(m, EXO_END_EXIT, 1); /* before it was ready */
		ck_state(m, "added");
		ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -ECONNREFUSED);
		fake_advance(pause - 1);
		ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -ECONNREFUSED);
		fake_advance(1);
	}
}
END_TEST

/* Nor can a client have it started again and again. */
START_TEST(demand_of_one_that_crashes)
{
	struct machine *m = add(provides(make("store"), "store"));

	m->added = true;
	for (unsigned pause = 100; pause <= 400; pause *= 2) {
		ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
		lifecycle_started(m);
		lifecycle_ready(m);
		fake_end(m, EXO_END_FAULT, 11);
		fake_advance(pause - 1);
		ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -ECONNREFUSED);
		fake_advance(1);
	}
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
	lifecycle_started(m);
	lifecycle_ready(m);
	fake_advance(60000); /* a quiet minute */
	fake_end(m, EXO_END_FAULT, 11);
	fake_advance(100);
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -EINPROGRESS);
}
END_TEST

START_TEST(demand_refused)
{
	struct machine *m = started(provides(make("store"), "store"));

	fake_end(m, EXO_END_EXIT, 0); /* started by hand, not added */
	ck_assert_int_eq(lifecycle_want(&fake.s, "store"), -ECONNREFUSED);
	fake.start_err = -ENOENT;
	m = add(provides(make("other"), "other"));
	m->added = true;
	ck_assert_int_eq(lifecycle_want(&fake.s, "other"), -ENOENT);
	ck_state(m, "failed");
	ck_assert_int_eq(lifecycle_want(&fake.s, "other"), -ECONNREFUSED);
}
END_TEST

/* ---- names and grants ----------------------------------------------------------------------- */

START_TEST(two_providers)
{
	struct policy_service_info info;
	char why[512];

	add(provides(make("a"), "store"));
	ck_assert_ptr_null(
		lifecycle_add(&fake.s, provides(provides(make("b"), "x"), "store"), why));
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_str_eq(why, "b: store is provided by a already");
	ck_assert_ptr_null(session_find(&fake.s, "b"));
	ck_assert_int_eq(policy_service_info(fake.s.policy, "x", &info), -ENOENT);
	ck_assert_int_eq(policy_service_info(fake.s.policy, "store", &info), 0);
}
END_TEST

START_TEST(same_name)
{
	struct machine *m = started(make("a"));
	struct policy_grant_info g = {0};
	char why[512];

	ck_assert_ptr_null(lifecycle_add(&fake.s, make("a"), why));
	ck_assert_int_eq(errno, EEXIST);
	ck_assert_str_eq(why, "a: a guest of that name runs");
	fake_end(m, EXO_END_EXIT, 0);
	add(requires(make("a"), "s")); /* it takes the place */
	add(requires(make("a"), "s"));
	ck_assert(policy_grant_next(fake.s.policy, 0, &g));
	ck_assert_str_eq(g.grantee, "a");
	ck_assert(!policy_grant_next(fake.s.policy, g.id, &g));
	lifecycle_remove(session_find(&fake.s, "a"));
	ck_assert(!policy_grant_next(fake.s.policy, 0, &g));
}
END_TEST

START_TEST(mounts_are_uses)
{
	struct manifest *mf = make("a");
	struct policy_grant_info g = {0};

	for (mf->nmounts = 0; mf->nmounts < 2; mf->nmounts++) {
		mf->mount[mf->nmounts].path = strdup("/data");
		mf->mount[mf->nmounts].source = strdup("service:files");
		mf->mount[mf->nmounts].service = strdup("files");
	}
	add(mf);
	ck_assert(policy_grant_next(fake.s.policy, 0, &g));
	ck_assert_str_eq(g.service, "files");
	ck_assert(!policy_grant_next(fake.s.policy, g.id, &g));
}
END_TEST

START_TEST(few_are_kept)
{
	char name[16];
	unsigned n = 0;

	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		fake_end(started(make(name)), EXO_END_EXIT, 0);
		fake_advance(1);
	}
	fake_turn();
	for (struct machine *m = fake.s.machines; m; m = m->next)
		n++;
	ck_assert_uint_eq(n, LIFECYCLE_KEPT_MAX);
	ck_assert_ptr_null(session_find(&fake.s, "g15"));
	ck_assert_ptr_nonnull(session_find(&fake.s, "g16"));
}
END_TEST

START_TEST(nothing_starts_at_the_end)
{
	struct machine *m = started(restarting("a", MANIFEST_RESTART_ALWAYS));

	fake.s.ending = true;
	fake_end(m, EXO_END_EXIT, 1);
	ck_state(m, "ended");
	ck_assert_int_eq(start(m), -ECANCELED);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		ready_when_it_says_so,
		ready_at_start,
		ready_without_manifest,
		over_at_once,
		not_ready_in_time,
		adopted,
		idle_has_no_deadlines,
		restart_policies,
		pauses_double,
		given_up,
		not_given_up,
		restart_that_cannot_start,
		stop_asks_then_kills,
		stop_that_works,
		stop_before_it_runs,
		stop_between_starts,
		stop_stops_serving,
		watchdog,
		required_first,
		required_runs_already,
		required_cycle,
		required_by_many,
		required_absent,
		required_fails,
		required_comes_back,
		stop_while_required_starts,
		demand,
		demand_of_one_that_dies,
		demand_of_one_that_crashes,
		demand_refused,
		two_providers,
		same_name,
		mounts_are_uses,
		few_are_kept,
		nothing_starts_at_the_end,
	};
	Suite *s = suite_create("lifecycle");
	TCase *tc = tcase_create("lifecycle");

	tcase_add_checked_fixture(tc, fake_init, fake_finish);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
