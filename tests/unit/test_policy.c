/*
 * Policy by cases: what each function says, and what hostile guests try (H-19,
 * H-21): floods of connections, offers and slots end at fixed limits, and
 * nobody else notices.
 */
#include "policy.h"
#include "policy_words.h"
#include "text.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <exo/ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BOTH (EXO_CAP_CONNECT | EXO_CAP_GRANT)
#define MS 1000000ull

static struct policy *p;
static uint32_t a, b, s; /* subjects: a and b connect, s provides "files" */
static uint32_t closed[4096];
static enum exo_reason closed_why[4096];
static unsigned nclosed;
static struct text events;

static void on_close(void *opaque, uint32_t conn, enum exo_reason reason)
{
	ck_assert_uint_lt(nclosed, COUNT(closed));
	closed[nclosed] = conn;
	closed_why[nclosed++] = reason;
}

static void on_event(void *opaque, const struct policy_event *e)
{
	static const char *const names[] = {"grant",   "delegate", "revoke", "expire",
					    "connect", "refuse",   "close"};

	text_addf(&events, "%s %s %s %s %d\n", names[e->kind], e->subject, e->service, e->provider,
		  e->reason);
}

static uint32_t add(const char *name)
{
	int64_t id = policy_add_subject(p, name, "test");

	ck_assert_int_gt(id, 0);
	return (uint32_t)id;
}

static void setup(void)
{
	static const struct policy_ops ops = {on_close, on_event};

	nclosed = 0;
	p = policy_create(&ops, NULL);
	a = add("a");
	b = add("b");
	s = add("s");
	ck_assert_int_eq(policy_add_service(p, "files", "s", 564, false), 0);
	ck_assert_int_eq(policy_set_ready(p, "files", true), 0);
}

static void teardown(void)
{
	policy_destroy(p);
	text_finish(&events);
}

static uint32_t grant(const char *grantee, uint32_t rights, struct policy_limits limits)
{
	int64_t id = policy_grant(p, grantee, "files", rights, &limits, POLICY_PERSON, 0, 0);

	ck_assert_int_gt(id, 0);
	return (uint32_t)id;
}

static enum exo_reason dial(uint32_t who, uint32_t port, uint32_t from, struct policy_conn_info *c)
{
	return policy_connect(p, who, port, from, false, 65536, 4096, 0, c);
}

/* An accepted connection. */
static uint32_t connected(uint32_t who, uint32_t from)
{
	struct policy_conn_info c;

	ck_assert_int_eq(dial(who, policy_resolve(p, who, "files"), from, &c), EXO_REASON_NONE);
	policy_conn_accept(p, c.id);
	return c.id;
}

/* ---- names and tables --------------------------------------------------------------- */

START_TEST(names)
{
	static const char *const bad[] = {"",
					  "a b",
					  "a/b",
					  "\xc3\xa9",
					  "a\n",
					  ("1234567890123456789012345678901234567890123456789012345"
					   "678901234")};

	for (size_t i = 0; i < COUNT(bad); i++) {
		ck_assert(!policy_name_is_valid(bad[i]));
		ck_assert_int_eq(policy_add_subject(p, bad[i], ""), -EINVAL);
		ck_assert_int_eq(policy_add_service(p, bad[i], "s", 1, false), -EINVAL);
		ck_assert_int_eq(policy_grant(p, bad[i], "x", 1, NULL, POLICY_PERSON, 0, 0),
				 -EINVAL);
		ck_assert_int_eq(policy_grant(p, "x", bad[i], 1, NULL, POLICY_PERSON, 0, 0),
				 -EINVAL);
	}
	ck_assert(policy_name_is_valid("a-B_1.x"));
	ck_assert_int_eq(policy_add_subject(p, "a", ""), -EEXIST);
	ck_assert_int_eq(policy_add_subject(p, "host", ""), -EEXIST);
	ck_assert_uint_eq(policy_find_subject(p, "host"), POLICY_HOST);
	policy_remove_subject(p, POLICY_HOST, EXO_REASON_ENDED);
	ck_assert_uint_eq(policy_find_subject(p, "host"), POLICY_HOST);
}
END_TEST

START_TEST(grants_are_checked)
{
	static const struct {
		uint32_t rights, port;
		enum policy_origin origin;
		int expect;
	} rows[] = {{0, 0, POLICY_PERSON, -EINVAL}, {4, 0, POLICY_PERSON, -EINVAL},
		    {1, 1, POLICY_PERSON, -EINVAL}, {1, 0x01000000, POLICY_PERSON, -EINVAL},
		    {1, 0, POLICY_GUEST, -EINVAL},  {1, 7, POLICY_PERSON, 0},
		    {1, 0, POLICY_PERSON, -EEXIST}, {1, 7, POLICY_MANIFEST, -EEXIST},
		    {1, 8, POLICY_MANIFEST, 0}};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t id = policy_grant(p, "a", "files", rows[i].rights, NULL, rows[i].origin,
					  rows[i].port, 0);

		ck_assert_msg(rows[i].expect ? id == rows[i].expect : id > 0, "row %zu", i);
	}
	ck_assert_int_eq(policy_revoke_named(p, "a", "files"), 2);
	ck_assert_int_eq(policy_revoke_named(p, "a", "files"), -ENOENT);
	ck_assert_int_eq(policy_revoke(p, 1), -ENOENT);
}
END_TEST

START_TEST(two_providers_of_one_name)
{
	struct policy_service_info info;

	ck_assert_int_eq(policy_add_service(p, "files", "b", 1, false), -EEXIST);
	ck_assert_int_eq(policy_add_service(p, "files", "s", 9, true), 0);
	ck_assert_int_eq(policy_service_info(p, "files", &info), 0);
	ck_assert(info.port == 9 && info.seqpacket && info.ready && info.provider_subject == s);
	policy_remove_subject(p, s, EXO_REASON_ENDED);
	ck_assert_int_eq(policy_service_info(p, "files", &info), 0);
	ck_assert(!info.ready && !info.provider_subject);
	ck_assert_int_eq(policy_remove_service(p, "files"), 0);
	ck_assert_int_eq(policy_remove_service(p, "files"), -ENOENT);
	ck_assert_int_eq(policy_set_ready(p, "files", true), -ENOENT);
	ck_assert(!policy_service_at(p, 0, &info));
}
END_TEST

/* ---- connecting ----------------------------------------------------------------------- */

START_TEST(refusals)
{
	struct policy_conn_info c;
	struct policy_grant_info g;
	uint32_t id = grant("a", EXO_CAP_CONNECT, (struct policy_limits){.lease_ms = 10});
	uint32_t port = policy_resolve(p, a, "files");

	ck_assert_uint_eq(policy_resolve(p, b, "files"), 0);
	ck_assert_int_eq(dial(b, port, 1, &c), EXO_REASON_NO_SLOT);
	ck_assert_int_eq(dial(a, port + 1, 1, &c), EXO_REASON_NO_SLOT);
	ck_assert_int_eq(dial(a, 564, 1, &c), EXO_REASON_NO_SLOT);
	ck_assert_int_eq(policy_connect(p, a, port, 1, true, 0, 0, 0, &c), EXO_REASON_TYPE);
	policy_set_ready(p, "files", false);
	ck_assert_int_eq(dial(a, port, 1, &c), EXO_REASON_NOT_READY);
	ck_assert_str_eq(c.service, "files");
	policy_set_ready(p, "files", true);
	ck_assert_int_eq(policy_connect(p, a, port, 1, false, 0, 0, 10 * MS, &c), EXO_REASON_STALE);
	ck_assert_int_eq(dial(a, port, 1, &c), EXO_REASON_NONE);
	ck_assert_int_eq(dial(a, port, 1, &c), EXO_REASON_PROTOCOL);
	policy_remove_service(p, "files");
	ck_assert_int_eq(dial(a, port, 2, &c), EXO_REASON_ABSENT);
	ck_assert_str_eq(c.service, "files");
	policy_conn_refused(p, a, port, EXO_REASON_ABSENT);
	ck_assert_int_eq(policy_grant_info(p, id, &g), 0);
	ck_assert_uint_eq(g.refusals, 4);
	ck_assert_int_eq(policy_revoke(p, id), 0);
	ck_assert_int_eq(dial(a, port, 2, &c), EXO_REASON_STALE);
	/* The provider can't call itself. */
	ck_assert_int_eq(policy_add_service(p, "files", "s", 564, false), 0);
	policy_set_ready(p, "files", true);
	grant("s", EXO_CAP_CONNECT, (struct policy_limits){0});
	ck_assert_int_eq(dial(s, policy_resolve(p, s, "files"), 1, &c), EXO_REASON_REFUSED);
}
END_TEST

/* What the opener's budget leaves: the largest power of two, both rings and the header charged. */
START_TEST(h19_rings_are_cut_to_the_budget)
{
	static const struct {
		uint64_t limit, want, least, expect; /* 0: refused */
	} rows[] = {
		{0, 65536, 4096, 65536},
		{0, 100000, 0, 65536},
		{0, 4095, 0, 0},
		{135168, 65536, 65536, 65536},
		{135167, 65536, 0, 32768},
		{135167, 65536, 65536, 0},
		{12288, 65536, 4096, 4096},
		{12287, 65536, 0, 0},
		{0, UINT64_MAX, 0, 4u << 20}, /* the subject's 16 MiB, less the header */
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct policy_limits limits = {.max_buffer = rows[i].limit};
		uint32_t id = grant("a", EXO_CAP_CONNECT, limits);
		struct policy_conn_info c;
		struct policy_subject_info info;
		enum exo_reason reason = policy_connect(p, a, policy_resolve(p, a, "files"), 1,
							false, rows[i].want, rows[i].least, 0, &c);

		ck_assert_msg(reason == (rows[i].expect ? EXO_REASON_NONE : EXO_REASON_BUDGET),
			      "row %zu", i);
		ck_assert_int_eq(policy_subject_info(p, a, &info), 0);
		ck_assert_msg(
			info.buffer_bytes ==
				(rows[i].expect ? exo_ring_total((uint32_t)rows[i].expect) : 0),
			"row %zu: %lu", i, (unsigned long)info.buffer_bytes);
		if (rows[i].expect) {
			ck_assert_uint_eq(c.buffer_bytes, rows[i].expect);
			policy_conn_end(p, c.id, EXO_REASON_CLOSED);
		}
		ck_assert_int_eq(policy_subject_info(p, a, &info), 0);
		ck_assert_uint_eq(info.buffer_bytes, 0);
		policy_revoke(p, id);
	}
}
END_TEST

START_TEST(h21_flood_of_connections_ends_at_the_budget)
{
	struct policy_conn_info c;
	uint32_t port, from = 0;

	grant("a", EXO_CAP_CONNECT, (struct policy_limits){0});
	grant("b", EXO_CAP_CONNECT, (struct policy_limits){0});
	port = policy_resolve(p, a, "files");
	for (int i = 0; i < 100000; i++) {
		enum exo_reason reason =
			policy_connect(p, a, port, from++, false, 4096, 4096, 0, &c);

		ck_assert_int_eq(reason, i < (int)POLICY_CONNS_DEFAULT ? EXO_REASON_NONE
								       : EXO_REASON_BUDGET);
		text_finish(&events);
	}
	ck_assert_uint_ne(connected(b, 1), 0); /* a neighbour is not concerned */
	ck_assert_int_eq(policy_set_budget(p, a, 100, 0), 0);
	ck_assert_int_eq(dial(a, port, from, &c), EXO_REASON_NONE);
}
END_TEST

START_TEST(limits_of_a_grant_bound_what_is_delegated)
{
	struct policy_grant_info slot;
	struct policy_conn_info c;
	uint32_t conn, first;
	const struct policy_limits wish = {
		.max_conns = 9, .max_buffer = 1 << 30, .max_rate = 5, .lease_ms = 1000};

	grant("a", BOTH,
	      (struct policy_limits){
		      .max_conns = 3, .max_buffer = 100000, .max_rate = 7, .lease_ms = 500});
	conn = connected(a, 1);
	ck_assert_int_eq(policy_delegate(p, a, policy_resolve(p, a, "files"), conn, BOTH, &wish, 0),
			 0);
	policy_add_service(p, "other", "b", 5, false); /* s uses what it was given elsewhere */
	ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), 0);
	ck_assert(slot.limits.max_conns == 3 && slot.limits.max_buffer == 100000);
	ck_assert(slot.limits.max_rate == 5 && slot.limits.lease_ms == 500);
	ck_assert_uint_eq(slot.expires_ns, 500 * MS);
	ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), -EAGAIN);
	/* 100000 less the first connection's ring (32 KiB twice, and the header): 7.7 KiB less. */
	ck_assert_int_eq(policy_conn_info(p, conn, &c), 0);
	first = (uint32_t)exo_ring_total((uint32_t)c.buffer_bytes);
	ck_assert_uint_eq(c.buffer_bytes, 32768);
	policy_remove_service(p, "files");
	ck_assert_int_eq(policy_add_service(p, "files", "b", 5, false), 0);
	policy_set_ready(p, "files", true);
	ck_assert_int_eq(dial(s, slot.port, 1, &c), EXO_REASON_NONE);
	ck_assert_uint_eq(c.buffer_bytes, 8192);
	ck_assert_uint_le(first + exo_ring_total(8192), 100000);
	ck_assert_int_eq(dial(s, slot.port, 2, &c), EXO_REASON_BUDGET); /* bytes */
	policy_conn_end(p, conn, EXO_REASON_CLOSED);
	ck_assert_int_eq(dial(s, slot.port, 3, &c), EXO_REASON_NONE);
	ck_assert_uint_eq(policy_expire(p, 499 * MS), 500 * MS);
	ck_assert_uint_eq(nclosed, 0);
	ck_assert_uint_eq(policy_expire(p, 500 * MS), 0);
	ck_assert_uint_eq(nclosed, 2);
	ck_assert_int_eq(closed_why[0], EXO_REASON_EXPIRED);
}
END_TEST

/* ---- slots ------------------------------------------------------------------------------- */

START_TEST(h21_generations_do_not_come_again)
{
	uint32_t first = 0;

	for (unsigned i = 0; i < 0xffff + 10; i++) {
		uint32_t id = grant("a", EXO_CAP_CONNECT, (struct policy_limits){0});
		uint32_t port = policy_resolve(p, a, "files");
		struct policy_conn_info c;

		if (!first)
			first = port;
		ck_assert_uint_eq(EXO_SLOT_INDEX(port), i < 0xffff ? 0 : 1);
		ck_assert_int_eq(port == first, !i);
		ck_assert_int_eq(policy_revoke(p, id), 0);
		ck_assert_int_eq(dial(a, first, 1, &c), EXO_REASON_STALE);
		text_finish(&events);
	}
}
END_TEST

START_TEST(slots_are_filled_at_the_start_and_dropped)
{
	struct policy_grant_info g;
	uint32_t id = grant("late", BOTH, (struct policy_limits){0}), late, port, conn;

	ck_assert_int_eq(policy_grant_info(p, id, &g), 0);
	ck_assert_uint_eq(g.port, 0);
	late = add("late");
	port = policy_resolve(p, late, "files");
	ck_assert(EXO_SLOT_IS(port));
	conn = connected(late, 1);
	ck_assert_int_eq(policy_delegate(p, late, port, conn, BOTH, NULL, 0), 0);
	ck_assert_int_eq(policy_drop_slot(p, late, port), 0);
	ck_assert_uint_eq(nclosed, 1);
	ck_assert_int_eq(closed_why[0], EXO_REASON_REVOKED);
	ck_assert_int_eq(policy_take(p, s, conn, 0, &g), -ENOENT); /* it is being closed */
	ck_assert_uint_eq(policy_resolve(p, late, "files"), 0);
	policy_remove_subject(p, late, EXO_REASON_ENDED);
	late = add("late");
	ck_assert(EXO_SLOT_IS(policy_resolve(p, late, "files")));
}
END_TEST

START_TEST(h21_table_of_slots_is_bounded)
{
	char name[16];

	for (unsigned i = 0; i <= EXO_SLOTS_MAX; i++) {
		int64_t id;

		snprintf(name, sizeof(name), "s%u", i);
		id = policy_grant(p, "a", name, 1, NULL, POLICY_PERSON, 0, 0);
		ck_assert_msg(i < EXO_SLOTS_MAX ? id > 0 : id == -ENOSPC, "%u", i);
	}
	ck_assert_int_eq(policy_revoke_named(p, "a", "s7"), 1);
	ck_assert_int_gt(policy_grant(p, "a", "more", 1, NULL, POLICY_PERSON, 0, 0), 0);
}
END_TEST

/* ---- delegation ---------------------------------------------------------------------------- */

START_TEST(delegation_is_refused)
{
	uint32_t conn, port;

	grant("a", EXO_CAP_CONNECT, (struct policy_limits){0});
	conn = connected(a, 1);
	port = policy_resolve(p, a, "files");
	ck_assert_int_eq(policy_delegate(p, a, port, conn, BOTH, NULL, 0), -EPERM);
	ck_assert_int_eq(policy_delegate(p, a, port + 1, conn, BOTH, NULL, 0), -ENOENT);
	ck_assert_int_eq(policy_delegate(p, a, port, conn + 1, BOTH, NULL, 0), -ENOENT);
	ck_assert_int_eq(policy_delegate(p, b, port, conn, BOTH, NULL, 0), -ENOENT);
	ck_assert_int_eq(policy_revoke_delegated(p, a, port + 1), -ENOENT);
	policy_revoke_named(p, "a", "files");
	grant("a", BOTH, (struct policy_limits){0});
	ck_assert_int_eq(policy_delegate(p, a, policy_resolve(p, a, "files"), conn, BOTH, NULL, 0),
			 -ENOENT); /* the connection is being closed */
}
END_TEST

START_TEST(h21_offers_are_bounded)
{
	struct policy_grant_info slot;
	uint32_t conn, port;

	grant("a", BOTH, (struct policy_limits){0});
	conn = connected(a, 1);
	port = policy_resolve(p, a, "files");
	for (unsigned i = 0; i < POLICY_OFFERS_MAX; i++)
		ck_assert_int_eq(policy_delegate(p, a, port, conn, 1, NULL, 0), 0);
	ck_assert_int_eq(policy_delegate(p, a, port, conn, 1, NULL, 0), -ENOBUFS);
	ck_assert_int_eq(policy_revoke_delegated(p, a, port), POLICY_OFFERS_MAX);
	for (unsigned i = 0; i < EXO_SLOTS_MAX; i++) {
		ck_assert_int_eq(policy_delegate(p, a, port, conn, 1, NULL, 0), 0);
		ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), 0);
	}
	ck_assert_int_eq(policy_delegate(p, a, port, conn, 1, NULL, 0), 0);
	ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), -ENOSPC);
	ck_assert_int_eq(policy_drop_slot(p, s, slot.port), 0);
	ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), 0);
}
END_TEST

/* a gives to s, s to b (who then provides elsewhere): revoking a's ends all of it. */
START_TEST(chain_of_three)
{
	struct policy_grant_info to_s, to_b;
	uint32_t root = grant("a", BOTH, (struct policy_limits){0}), conn, back;
	struct policy_conn_info c;

	conn = connected(a, 1);
	ck_assert_int_eq(policy_delegate(p, a, policy_resolve(p, a, "files"), conn, BOTH, NULL, 0),
			 0);
	ck_assert_int_eq(policy_take(p, s, conn, 0, &to_s), 0);
	ck_assert_int_eq(policy_add_service(p, "b", "b", 1, false), 0);
	policy_set_ready(p, "b", true);
	ck_assert_int_gt(policy_grant(p, "s", "b", 1, NULL, POLICY_MANIFEST, 0, 0), 0);
	ck_assert_int_eq(dial(s, policy_resolve(p, s, "b"), 1, &c), EXO_REASON_NONE);
	back = c.id;
	policy_conn_accept(p, back);
	ck_assert_int_eq(policy_delegate(p, s, to_s.port, back, 1, NULL, 0), 0);
	ck_assert_int_eq(policy_take(p, b, back, 0, &to_b), 0);
	ck_assert(to_b.parent == to_s.id && to_s.parent == root && to_b.rights == 1);
	ck_assert_int_eq(dial(b, to_b.port, 1, &c), EXO_REASON_NONE);
	ck_assert_int_eq(policy_delegate(p, b, to_b.port, c.id, 1, NULL, 0), -ENOENT);
	policy_conn_accept(p, c.id);
	ck_assert_int_eq(policy_delegate(p, b, to_b.port, c.id, 1, NULL, 0), -EPERM);
	ck_assert_int_eq(policy_revoke(p, root), 0);
	ck_assert_uint_eq(nclosed, 2); /* a's and b's to files; not the one to b */
	ck_assert_int_eq(policy_grant_info(p, to_b.id, &to_b), -ENOENT);
	ck_assert_int_eq(dial(b, to_b.port, 2, &c), EXO_REASON_STALE);
	ck_assert_int_eq(policy_conn_info(p, back, &c), 0);
}
END_TEST

START_TEST(delegated_grants_end_with_their_grantee)
{
	struct policy_grant_info slot;
	uint32_t conn;

	grant("a", BOTH, (struct policy_limits){0});
	conn = connected(a, 1);
	policy_delegate(p, a, policy_resolve(p, a, "files"), conn, BOTH, NULL, 0);
	ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), 0);
	policy_remove_subject(p, s, EXO_REASON_DIED);
	ck_assert_uint_eq(nclosed, 1);
	ck_assert_int_eq(closed_why[0], EXO_REASON_DIED);
	ck_assert_int_eq(policy_grant_info(p, slot.id, &slot), -ENOENT);
	s = add("s");
	ck_assert_uint_eq(policy_resolve(p, s, "files"), 0);
}
END_TEST

/* ---- the audit log's events ------------------------------------------------------------------ */

START_TEST(events_are_told)
{
	uint32_t conn;

	grant("a", BOTH, (struct policy_limits){0});
	conn = connected(a, 1);
	policy_conn_end(p, conn, EXO_REASON_CLOSED);
	policy_revoke_named(p, "a", "files");
	ck_assert_str_eq(events.data, "grant a files s 0\nconnect a files s 0\n"
				      "close a files s 1\nrevoke a files s 4\n");
}
END_TEST

/* ---- after a restart ----------------------------------------------------- */

START_TEST(adoption)
{
	struct policy_grant_info g = {.id = 40,
				      .grantee = "a",
				      .service = "files",
				      .rights = BOTH,
				      .origin = POLICY_PERSON,
				      .limits = {.lease_ms = 5},
				      .uses = 3};
	struct policy_conn_info c = {
		.id = 90, .grant = 40, .opener = a, .acceptor = s, .buffer_bytes = 4096};
	uint16_t generation[EXO_SLOTS_MAX] = {7, 9, 0xffff, 4};
	uint32_t port = EXO_SLOT_PORT(3, 4), next_grant, next_conn;
	struct policy_subject_info info;

	ck_assert_int_eq(policy_conn_adopt(p, &c), -ENOENT);
	ck_assert_int_eq(policy_grant_adopt(p, &g, 100), 0);
	ck_assert_int_eq(policy_grant_adopt(p, &g, 100), -EEXIST);
	g.parent = 77;
	ck_assert_int_eq(policy_grant_adopt(p, &g, 100), -EINVAL);
	g.id = 41;
	g.origin = POLICY_GUEST;
	ck_assert_int_eq(policy_grant_adopt(p, &g, 100), -ENOENT);
	ck_assert_int_eq(policy_generations_adopt(p, a, generation), 0);
	ck_assert_int_eq(policy_grant_info(p, 40, &g), 0);
	ck_assert(g.port != EXO_SLOT_PORT(0, 7) && g.uses == 3);
	ck_assert_int_eq(policy_slot_adopt(p, a, 40, 5), -EINVAL);
	ck_assert_int_eq(policy_slot_adopt(p, b, 40, port), -ENOENT);
	ck_assert_int_eq(policy_slot_adopt(p, a, 40, port), 0);
	ck_assert_uint_eq(policy_resolve(p, a, "files"), port);
	ck_assert_int_eq(dial(a, EXO_SLOT_PORT(1, 9), 1, &c), EXO_REASON_STALE);
	c = (struct policy_conn_info){
		.id = 90, .grant = 40, .opener = a, .acceptor = s, .buffer_bytes = 4096};
	ck_assert_int_eq(policy_conn_adopt(p, &c), 0);
	ck_assert_int_eq(policy_conn_adopt(p, &c), -EEXIST);
	ck_assert_int_eq(policy_subject_info(p, a, &info), 0);
	ck_assert_uint_eq(info.buffer_bytes, exo_ring_total(4096));
	policy_next_ids(p, &next_grant, &next_conn);
	ck_assert(next_grant == 41 && next_conn == 91);
	policy_set_next_ids(p, 40, 1000);
	policy_next_ids(p, &next_grant, &next_conn);
	ck_assert(next_grant == 41 && next_conn == 1000);
	ck_assert_uint_eq(policy_expire(p, 100 + 5 * MS), 0);
	ck_assert_uint_eq(closed[0], 90);
}
END_TEST

/* ---- cost
 * ---------------------------------------------------------------------------------------- */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Shortest time of a revocation, with so many other grants and so many delegated from it. */
static uint64_t revoke_cost(unsigned others, unsigned children)
{
	uint64_t best = UINT64_MAX;
	char name[32];

	for (unsigned i = 0; i < others; i++) {
		snprintf(name, sizeof(name), "other%u-%u", others, i);
		ck_assert_int_gt(policy_grant(p, name, "files", BOTH, NULL, POLICY_PERSON, 0, 0),
				 0);
	}
	for (unsigned round = 0; round < 20; round++) {
		uint32_t id = grant("a", BOTH, (struct policy_limits){0}), conn = connected(a, 1);
		uint32_t port = policy_resolve(p, a, "files");
		struct policy_grant_info slot;
		uint64_t start;

		for (unsigned i = 0; i < children; i++) {
			ck_assert_int_eq(policy_delegate(p, a, port, conn, 1, NULL, 0), 0);
			ck_assert_int_eq(policy_take(p, s, conn, 0, &slot), 0);
		}
		start = cpu_ns();
		ck_assert_int_eq(policy_revoke(p, id), 0);
		if (cpu_ns() - start < best)
			best = cpu_ns() - start;
		policy_conn_end(p, conn, EXO_REASON_REVOKED);
		nclosed = 0;
		text_finish(&events);
	}
	return best;
}

START_TEST(revoking_costs_the_same)
{
	uint64_t few = revoke_cost(10, 1), many = revoke_cost(10000, 200);

	/* A walk over ten thousand grants would take hundreds of microseconds. */
	ck_assert_msg(many < 20 * few + 20000, "%lu ns with few, %lu ns with many",
		      (unsigned long)few, (unsigned long)many);
}
END_TEST

/* ---- words
 * ----------------------------------------------------------------------------------------- */

static void collect(void *opaque, const char *sentence)
{
	text_addf(opaque, "%s\n", sentence);
}

static struct manifest *other[2]; /* of guests "archive" and "index" */

static const struct manifest *manifest_of(void *opaque, const char *guest)
{
	for (size_t i = 0; i < COUNT(other); i++) {
		if (other[i] && !strcmp(other[i]->name, guest))
			return other[i];
	}
	return NULL;
}

static struct manifest *parse(const char *text)
{
	char why[MANIFEST_WHY_MAX];
	struct manifest *m;

	ck_assert_int_eq(manifest_parse(text, strlen(text), "/n.exo", &m, why), 0);
	return m;
}

START_TEST(words_name_a_cycle)
{
	struct manifest *m = parse("[program]\nname = notes\n[provides]\nnotes = 1 stream\n[uses]\n"
				   "store = required\n");
	struct text t = {0};

	other[0] = parse("[program]\nname = archive\n[uses]\nwords = required\n");
	other[1] = parse("[program]\nname = index\n[uses]\nstore = required\n"
			 "notes = required\n");
	policy_add_service(p, "store", "archive", 5, false);
	policy_add_service(p, "words", "index", 5, false);
	policy_dry_run(p, m, manifest_of, collect, &t);
	ck_assert_ptr_nonnull(
		strstr(t.data, "notes could not start, for required services form a cycle: index "
			       "requires notes of notes, archive requires words of index, notes "
			       "requires store of archive.\n"));
	t.length = 0;
	policy_remove_service(p, "words");
	policy_dry_run(p, m, manifest_of, collect, &t);
	ck_assert_ptr_null(strstr(t.data, "cycle"));
	manifest_free(m);
	manifest_free(other[0]);
	manifest_free(other[1]);
	text_finish(&t);
}
END_TEST

START_TEST(words)
{
	static const char manifest[] = "[program]\nname = notes\n[provides]\nfiles = 1 stream\n"
				       "[uses]\nstore = connections=4\ngone = required\n";
	char why[MANIFEST_WHY_MAX];
	struct manifest *m;
	struct text t = {0};

	ck_assert_int_eq(manifest_parse(manifest, sizeof(manifest) - 1, "/n.exo", &m, why), 0);
	grant("a", BOTH, (struct policy_limits){.max_conns = 4, .lease_ms = 3599793});
	policy_grant(p, "b", "files", 1, NULL, POLICY_MANIFEST, 0, 0);
	policy_who_can_reach(p, "files", collect, &t);
	ck_assert_str_eq(t.data,
			 "files is provided by s.\n"
			 "a may connect to files: a person granted it, and it may hand that "
			 "on (grant 1); at most 4 connections at once; "
			 "for 1 hour.\n"
			 "b may connect to files: its manifest says so (grant 2).\n");
	t.length = 0;
	policy_who_can_reach(p, "nothing", collect, &t);
	ck_assert_str_eq(t.data, "There is no service and no guest named nothing.\n");
	t.length = 0;
	policy_add_service(p, "store", "archive", 5, false);
	policy_dry_run(p, m, manifest_of, collect, &t);
	ck_assert_ptr_nonnull(strstr(t.data, "notes would provide files, but files is already "
					     "provided by s.\n"));
	ck_assert_ptr_nonnull(strstr(t.data, "notes may connect to store: its manifest says so; at "
					     "most 4 connections at once; archive provides it and "
					     "would be started when it connects.\n"));
	ck_assert_ptr_nonnull(strstr(t.data, "nobody provides it, so it could not start.\n"));
	manifest_free(m);
	text_finish(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *c = tcase_create("policy");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, names);
	tcase_add_test(c, grants_are_checked);
	tcase_add_test(c, two_providers_of_one_name);
	tcase_add_test(c, refusals);
	tcase_add_test(c, h19_rings_are_cut_to_the_budget);
	tcase_add_test(c, h21_flood_of_connections_ends_at_the_budget);
	tcase_add_test(c, limits_of_a_grant_bound_what_is_delegated);
	tcase_add_test(c, h21_generations_do_not_come_again);
	tcase_add_test(c, slots_are_filled_at_the_start_and_dropped);
	tcase_add_test(c, h21_table_of_slots_is_bounded);
	tcase_add_test(c, delegation_is_refused);
	tcase_add_test(c, h21_offers_are_bounded);
	tcase_add_test(c, chain_of_three);
	tcase_add_test(c, delegated_grants_end_with_their_grantee);
	tcase_add_test(c, events_are_told);
	tcase_add_test(c, adoption);
	tcase_add_test(c, revoking_costs_the_same);
	tcase_add_test(c, words);
	tcase_add_test(c, words_name_a_cycle);
	tcase_set_timeout(c, 60);
	suite_add_tcase(suite, c);
	return unit_run(suite);
}
