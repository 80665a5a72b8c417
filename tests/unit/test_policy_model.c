/*
 * Policy against a reference model: random operations on both, and after every
 * step everything that can be seen is compared. The model is slow and obvious: no
 * lists, no trees; sums are made by looking at everything.
 *
 * Each run prints the seed of its last test on standard error; POLICY_SEED=N
 * repeats it.
 */
#include "policy.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <exo/ring.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEPS 50000
#define NAMES 7 /* guests a to f, and host */
#define HOST (NAMES - 1)
#define SERVICES 6
#define GRANTS 200000
#define CONNS 200000
#define OLD_PORTS 64
#define NEVER 0

/* ---- the model ------------------------------------------------------------------- */

struct sum {
	uint32_t conns;
	uint64_t bytes;
};

struct m_grant {
	uint32_t id; /* 0: an offer, not known yet */
	int parent;  /* index, -1 */
	int grantee, service;
	uint32_t rights, fixed_port;
	enum policy_origin origin;
	struct policy_limits limits;
	uint64_t expires_ns;
	bool live, taken;
	bool dropped; /* its slot was given up */
	uint32_t port;
	uint64_t uses, refusals;
	struct sum own; /* for check_grants */
	uint32_t offer_conn;
	int offer_to; /* end */
	unsigned depth;
};

struct m_conn {
	uint32_t id;
	int grant;
	int opener, acceptor; /* names */
	uint32_t slot_port, opener_port;
	uint64_t bytes; /* of ring */
	bool known, closing, accepted;
	enum exo_reason told; /* close_conn was called, with this */
};

struct m_service {
	int provider; /* -1 */
	bool ready, seqpacket;
	uint32_t port;
};

struct m_name {
	uint32_t id; /* 0: does not run */
	uint32_t max_conns;
	uint64_t max_buffer;
	uint32_t old_port[OLD_PORTS];
	unsigned nold;
};

static struct m_grant *grants;
static struct m_conn *conns;
static int ngrants, nconns, first_grant, first_conn; /* what is before first_* is over */
static int grant_at[GRANTS], conn_at[CONNS];         /* index by id, -1 */
static struct m_service services[SERVICES];
static struct m_name names[NAMES];
static struct policy *policy;
static uint64_t now_ns, rng, seed;
static unsigned step;
static bool in_call; /* a call into the policy that may close connections */

/* Not ck_assert, which writes something down each time. */
#define MUST(cond) \
	do { \
		if (!(cond)) \
			ck_abort_msg("seed %" PRIu64 ", step %u, line %d: %s", seed, step, \
				     __LINE__, #cond); \
	} while (0)

static uint64_t random_bits(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

static unsigned pick(unsigned n)
{
	return (unsigned)(random_bits() >> 33) % n;
}

static const char *name_of(int i)
{
	static const char *const text[NAMES] = {"a", "b", "c", "d", "e", "f", "host"};

	return text[i];
}

static const char *service_of(int i)
{
	static const char *const text[SERVICES] = {"s0", "s1", "s2", "s3", "s4", "s5"};

	return text[i];
}

static bool descends(int g, int from)
{
	while (g >= 0 && g != from)
		g = grants[g].parent;
	return g >= 0;
}

static uint64_t charged(const struct m_conn *c)
{
	return c->bytes ? EXO_RING_HEADER_BYTES + 2 * c->bytes : 0;
}

static struct sum sum_of_tree(int g)
{
	struct sum s = {0};

	for (int i = first_conn; i < nconns; i++) {
		if (!conns[i].known || conns[i].closing || !descends(conns[i].grant, g))
			continue;
		s.conns++;
		s.bytes += charged(&conns[i]);
	}
	return s;
}

static struct sum sum_of_opener(int name)
{
	struct sum s = {0};

	for (int i = first_conn; i < nconns; i++) {
		if (!conns[i].known || conns[i].opener != name)
			continue;
		s.conns++;
		s.bytes += charged(&conns[i]);
	}
	return s;
}

static int grant_by_id(uint32_t id)
{
	int i = id < GRANTS ? grant_at[id] : -1;

	return i >= 0 && grants[i].live && grants[i].taken ? i : -1;
}

static int conn_by_id(uint32_t id)
{
	int i = id < CONNS ? conn_at[id] : -1;

	return i >= 0 && conns[i].known ? i : -1;
}

/* A connection that goes ends the offers that wait there, which nobody has taken. */
static void end_offers(uint32_t conn)
{
	for (int i = first_grant; i < ngrants; i++) {
		if (grants[i].live && !grants[i].taken && grants[i].offer_conn == conn)
			grants[i].live = false;
	}
}

static void remember_port(int name, uint32_t port)
{
	names[name].old_port[names[name].nold++ % OLD_PORTS] = port;
}

static void expect_closed(int c, enum exo_reason reason)
{
	conns[c].closing = true;
	conns[c].told = reason;
	end_offers(conns[c].id);
}

/* Ends the grant, what descends from it, and their connections. */
static void kill_grant(int g, enum exo_reason reason)
{
	for (int i = first_grant; i < ngrants; i++) {
		if (!grants[i].live || !descends(i, g))
			continue;
		grants[i].live = false;
		if (grants[i].port)
			remember_port(grants[i].grantee, grants[i].port);
		grants[i].port = 0;
	}
	for (int i = first_conn; i < nconns; i++) {
		if (conns[i].known && !conns[i].closing && descends(conns[i].grant, g))
			expect_closed(i, reason);
	}
}

/* ---- what the policy tells ------------------------------------------------------------ */

struct told {
	uint32_t conn;
	enum exo_reason reason;
	bool ended;
};

static struct told told[4096];
static unsigned ntold;

static void on_close(void *opaque, uint32_t conn, enum exo_reason reason)
{
	struct policy_conn_info info;

	MUST(in_call && ntold < 4096);
	MUST(!policy_conn_info(policy, conn, &info) && info.id == conn);
	told[ntold] = (struct told){conn, reason, pick(2)};
	if (told[ntold++].ended)
		policy_conn_end(policy, conn, reason);
}

static void model_conn_end(int c)
{
	if (!conns[c].accepted && !conns[c].closing && grants[conns[c].grant].live)
		grants[conns[c].grant].refusals++;
	end_offers(conns[c].id);
	conns[c].known = false;
}

/* Exactly those were closed that the model said, each once, for its reason. */
static void check_told(void)
{
	for (unsigned i = 0; i < ntold; i++) {
		int c = conn_by_id(told[i].conn);

		MUST(c >= 0 && conns[c].closing && conns[c].told == told[i].reason);
		conns[c].told = EXO_REASON_NONE;
		if (told[i].ended)
			conns[c].known = false;
	}
	for (int i = first_conn; i < nconns; i++)
		MUST(!conns[i].known || conns[i].told == EXO_REASON_NONE);
	ntold = 0;
}

/* ---- operations --------------------------------------------------------------------------- */

/* Any live grant that is no offer, or -1. */
static int any_grant(void)
{
	int n = 0, found = -1;

	for (int i = first_grant; i < ngrants; i++) {
		if (grants[i].live && grants[i].taken && !pick((unsigned)++n))
			found = i;
	}
	return found;
}

static int any_conn(void)
{
	int n = 0, found = -1;

	for (int i = first_conn; i < nconns; i++) {
		if (conns[i].known && !pick((unsigned)++n))
			found = i;
	}
	return found;
}

static struct policy_limits random_limits(void)
{
	struct policy_limits l = {0};

	if (!pick(6))
		l.max_conns = 1 + pick(5);
	if (!pick(6))
		l.max_buffer = 8192 + pick(300000);
	if (!pick(3))
		l.max_rate = 1 + pick(1000);
	if (!pick(6))
		l.lease_ms = 1 + pick(2000);
	return l;
}

static int live_grants_of(int name)
{
	int n = 0;

	for (int i = first_grant; i < ngrants; i++)
		n += grants[i].live && grants[i].taken && grants[i].grantee == name;
	return n;
}

/* The port that a new slot got: never one that was there before. */
static void learn_port(int g, uint32_t port)
{
	struct m_name *n = &names[grants[g].grantee];

	MUST(n->id ? EXO_SLOT_IS(port) : !port);
	for (unsigned i = 0; i < n->nold && i < OLD_PORTS; i++)
		MUST(!port || n->old_port[i] != port);
	grants[g].port = port;
}

static void op_grant(void)
{
	int grantee = (int)pick(NAMES), service = (int)pick(SERVICES);
	uint32_t rights = pick(5) ? 3 : 1 + pick(3), fixed = pick(4) ? 0 : 500 + pick(4);
	enum policy_origin origin = pick(2) ? POLICY_PERSON : POLICY_MANIFEST;
	struct policy_limits limits = random_limits();
	int64_t expect = 0, id;
	struct policy_grant_info info;

	for (int i = first_grant; i < ngrants; i++) {
		const struct m_grant *g = &grants[i];

		if (!g->live || !g->taken || g->grantee != grantee)
			continue;
		if ((g->origin == origin && g->service == service) ||
		    (fixed && g->fixed_port == fixed))
			expect = -EEXIST;
	}
	if (!expect && live_grants_of(grantee) >= (int)EXO_SLOTS_MAX)
		expect = -ENOSPC;
	id = policy_grant(policy, name_of(grantee), service_of(service), rights, &limits, origin,
			  fixed, now_ns);
	if (expect) {
		MUST(id == expect);
		return;
	}
	MUST(id > 0 && grant_by_id((uint32_t)id) < 0);
	grants[ngrants++] = (struct m_grant){
		.id = (uint32_t)id,
		.parent = -1,
		.grantee = grantee,
		.service = service,
		.rights = rights,
		.fixed_port = fixed,
		.origin = origin,
		.limits = limits,
		.expires_ns = limits.lease_ms ? now_ns + limits.lease_ms * 1000000 : NEVER,
		.live = true,
		.taken = true,
		.depth = 1,
	};
	MUST(id < GRANTS && ngrants < GRANTS);
	grant_at[id] = ngrants - 1;
	MUST(!policy_grant_info(policy, (uint32_t)id, &info));
	learn_port(ngrants - 1, info.port);
}

static void op_revoke(void)
{
	int g = any_grant();

	MUST(policy_revoke(policy, 0) == -ENOENT);
	if (g < 0)
		return;
	kill_grant(g, EXO_REASON_REVOKED);
	MUST(!policy_revoke(policy, grants[g].id));
	MUST(policy_revoke(policy, grants[g].id) == -ENOENT);
}

static void op_revoke_named(void)
{
	int name = (int)pick(NAMES), service = (int)pick(SERVICES), n = 0;

	for (int i = first_grant; i < ngrants; i++) {
		if (!grants[i].live || !grants[i].taken || grants[i].grantee != name ||
		    grants[i].service != service)
			continue;
		kill_grant(i, EXO_REASON_REVOKED);
		n++;
	}
	MUST(policy_revoke_named(policy, name_of(name), service_of(service)) == (n ? n : -ENOENT));
}

static void op_expire(void)
{
	uint64_t next = NEVER;

	now_ns += pick(40) ? pick(20000000) : pick(600000000);
	for (int i = first_grant; i < ngrants; i++) {
		if (grants[i].live && grants[i].expires_ns && grants[i].expires_ns <= now_ns)
			kill_grant(i, EXO_REASON_EXPIRED);
	}
	for (int i = first_grant; i < ngrants; i++) {
		if (grants[i].live && grants[i].expires_ns &&
		    (!next || grants[i].expires_ns < next))
			next = grants[i].expires_ns;
	}
	MUST(policy_expire(policy, now_ns) == next);
}

static void op_add_subject(void)
{
	int name = (int)pick(NAMES);
	int64_t id = policy_add_subject(policy, name_of(name), "label");
	struct policy_grant_info info;

	if (names[name].id) {
		MUST(id == -EEXIST);
		return;
	}
	MUST(id > 1);
	names[name] = (struct m_name){.id = (uint32_t)id,
				      .max_conns = POLICY_CONNS_DEFAULT,
				      .max_buffer = POLICY_BUFFER_DEFAULT};
	if (pick(2)) {
		names[name].max_conns = 1 + pick(40);
		names[name].max_buffer = 20000 + pick(3000000);
		MUST(!policy_set_budget(policy, (uint32_t)id, names[name].max_conns,
					names[name].max_buffer));
	}
	for (int i = first_grant; i < ngrants; i++) {
		if (!grants[i].live || !grants[i].taken || grants[i].grantee != name)
			continue;
		MUST(!policy_grant_info(policy, grants[i].id, &info));
		grants[i].dropped = false;
		learn_port(i, info.port);
	}
}

static void op_remove_subject(void)
{
	int name = (int)pick(NAMES);
	enum exo_reason reason = pick(2) ? EXO_REASON_ENDED : EXO_REASON_DIED;
	uint32_t id = names[name].id;

	if (!id || name == HOST) {
		policy_remove_subject(policy, id, reason);
		return;
	}
	for (int i = first_conn; i < nconns; i++) {
		if (conns[i].known && !conns[i].closing &&
		    (conns[i].opener == name || conns[i].acceptor == name)) {
			expect_closed(i, reason);
		}
	}
	for (int i = first_grant; i < ngrants; i++) {
		if (grants[i].live && grants[i].grantee == name && grants[i].taken &&
		    grants[i].origin == POLICY_GUEST)
			kill_grant(i, EXO_REASON_REVOKED);
	}
	for (int i = first_grant; i < ngrants; i++) {
		if (grants[i].live && grants[i].taken && grants[i].grantee == name)
			grants[i].port = 0;
	}
	for (int i = 0; i < SERVICES; i++) {
		if (services[i].provider == name)
			services[i].ready = false;
	}
	names[name].id = 0;
	policy_remove_subject(policy, id, reason);
	check_told();
	for (int i = first_conn; i < nconns; i++) {
		if (conns[i].opener == name || conns[i].acceptor == name)
			conns[i].known = false;
	}
}

static void op_service(void)
{
	int i = (int)pick(SERVICES), provider = (int)pick(NAMES);
	struct m_service *s = &services[i];
	bool seqpacket = !pick(12);
	int err;

	switch (pick(60) ? 1 + pick(10) : 0) {
	case 0:
		MUST(policy_remove_service(policy, service_of(i)) ==
		     (s->provider < 0 ? -ENOENT : 0));
		s->provider = -1;
		s->ready = false;
		break;
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		err = policy_add_service(policy, service_of(i), name_of(provider), 100 + pick(9),
					 seqpacket);
		if (s->provider >= 0 && s->provider != provider) {
			MUST(err == -EEXIST);
			break;
		}
		MUST(!err);
		s->ready = s->provider == provider && s->ready;
		s->provider = provider;
		s->seqpacket = seqpacket;
		break;
	default:
		err = policy_set_ready(policy, service_of(i), pick(20));
		MUST(err == (s->provider < 0 ? -ENOENT : 0));
		if (!err) {
			struct policy_service_info info;

			MUST(!policy_service_info(policy, service_of(i), &info));
			s->ready = info.ready;
		}
	}
}

/* The largest ring for which there is room everywhere. */
static uint64_t model_ring(int name, int g, uint64_t want, uint64_t least)
{
	uint64_t best = 0;

	for (uint64_t bytes = EXO_RING_BYTES_MIN; bytes <= EXO_RING_BYTES_MAX; bytes *= 2) {
		uint64_t total = EXO_RING_HEADER_BYTES + 2 * bytes;
		bool fits = bytes <= want &&
			    sum_of_opener(name).bytes + total <= names[name].max_buffer;

		for (int k = g; k >= 0; k = grants[k].parent)
			fits &= !grants[k].limits.max_buffer ||
				sum_of_tree(k).bytes + total <= grants[k].limits.max_buffer;
		best = fits ? bytes : best;
	}
	return best >= least ? best : 0;
}

static enum exo_reason model_connect(int name, int g, uint32_t port, uint32_t opener_port,
				     bool seqpacket, uint64_t want, uint64_t least, uint64_t *bytes)
{
	const struct m_service *s = &services[grants[g].service];

	*bytes = 0;
	if (grants[g].expires_ns && grants[g].expires_ns <= now_ns)
		return EXO_REASON_STALE;
	if (!(grants[g].rights & EXO_CAP_CONNECT))
		return EXO_REASON_NO_SLOT;
	if (s->provider < 0)
		return EXO_REASON_ABSENT;
	if (s->seqpacket != seqpacket)
		return EXO_REASON_TYPE;
	if (!names[s->provider].id || !s->ready)
		return EXO_REASON_NOT_READY;
	if (s->provider == name && name != HOST)
		return EXO_REASON_REFUSED;
	for (int i = first_conn; name != HOST && i < nconns; i++) {
		if (conns[i].known && !conns[i].closing && conns[i].opener == name &&
		    conns[i].opener_port == opener_port && conns[i].slot_port == port)
			return EXO_REASON_PROTOCOL;
	}
	if (sum_of_opener(name).conns >= names[name].max_conns)
		return EXO_REASON_BUDGET;
	for (int k = g; k >= 0; k = grants[k].parent) {
		if (grants[k].limits.max_conns &&
		    sum_of_tree(k).conns >= grants[k].limits.max_conns)
			return EXO_REASON_BUDGET;
	}
	*bytes = want ? model_ring(name, g, want, least) : 0;
	return want && !*bytes ? EXO_REASON_BUDGET : EXO_REASON_NONE;
}

static void op_connect(void)
{
	int g = any_grant(), name;
	uint32_t port, opener_port = 1000 + pick(60);
	uint64_t want = pick(10) ? 1u << pick(18) : 0, least = pick(2) ? 4096u << pick(4) : 0,
		 bytes;
	struct policy_conn_info c;
	enum exo_reason reason, expect;
	bool seqpacket;

	if (g < 0 || !grants[g].port)
		return;
	name = grants[g].grantee;
	port = grants[g].fixed_port && pick(2) ? grants[g].fixed_port : grants[g].port;
	seqpacket = services[grants[g].service].seqpacket ^ !pick(20);
	want += pick(5000);
	expect = model_connect(name, g, port, opener_port, seqpacket, want, least, &bytes);
	reason = policy_connect(policy, names[name].id, port, opener_port, seqpacket, want, least,
				now_ns, &c);
	MUST(reason == expect);
	MUST(c.service && !strcmp(c.service, service_of(grants[g].service)));
	if (reason == EXO_REASON_ABSENT || reason == EXO_REASON_NOT_READY) {
		if (!pick(2))
			return;
		policy_conn_refused(policy, names[name].id, port, reason);
	}
	if (reason) {
		grants[g].refusals++;
		return;
	}
	MUST(c.id && conn_by_id(c.id) < 0 && c.buffer_bytes == bytes && !c.accepted);
	MUST(c.grant == grants[g].id && c.max_rate == grants[g].limits.max_rate);
	MUST(c.opener == names[name].id &&
	     c.acceptor == names[services[grants[g].service].provider].id);
	MUST(nconns < CONNS && c.id < CONNS);
	conn_at[c.id] = nconns;
	conns[nconns++] = (struct m_conn){.id = c.id,
					  .grant = g,
					  .opener = name,
					  .acceptor = services[grants[g].service].provider,
					  .slot_port = port,
					  .opener_port = opener_port,
					  .bytes = bytes,
					  .known = true};
	if (pick(10)) {
		policy_conn_accept(policy, c.id);
		conns[nconns - 1].accepted = true;
		grants[g].uses++;
	}
}

/* Ports that are no slots (any more) are refused, and nothing else happens. */
static void op_connect_badly(void)
{
	int name = (int)pick(NAMES);
	struct m_name *n = &names[name];
	struct policy_conn_info c;

	if (!n->id)
		return;
	if (n->nold) {
		uint32_t port = n->old_port[pick(n->nold < OLD_PORTS ? n->nold : OLD_PORTS)];

		MUST(policy_connect(policy, n->id, port, 1, false, 0, 0, now_ns, &c) ==
		     EXO_REASON_STALE);
	}
	MUST(policy_connect(policy, n->id, 77, 1, false, 0, 0, now_ns, &c) == EXO_REASON_NO_SLOT);
	MUST(policy_connect(policy, n->id, 0, 1, false, 0, 0, now_ns, &c) == EXO_REASON_NO_SLOT);
	MUST(policy_connect(policy, n->id, EXO_SLOT_PORT(pick(256), 0xfffe), 1, false, 0, 0, now_ns,
			    &c) == EXO_REASON_NO_SLOT);
	MUST(policy_connect(policy, 0xffffff, 77, 1, false, 0, 0, now_ns, &c) ==
	     EXO_REASON_NO_SLOT);
}

static void op_conn_end(void)
{
	int c = any_conn();

	policy_conn_end(policy, 0xfffffff, EXO_REASON_CLOSED);
	if (c < 0)
		return;
	policy_conn_end(policy, conns[c].id, EXO_REASON_CLOSED);
	model_conn_end(c);
}

static uint64_t cut(uint64_t wish, uint64_t own)
{
	return !wish ? own : !own ? wish : wish < own ? wish : own;
}

static void op_delegate(void)
{
	int g = any_grant(), c = -1, n = 0, from, waiting = 0, expect = 0, to;
	uint32_t rights = pick(3) ? 3 : pick(4);
	struct policy_limits limits = random_limits();
	struct m_grant child;

	if (g < 0 || !grants[g].port)
		return;
	from = grants[g].grantee;
	for (int i = first_conn; i < nconns; i++) {
		if (conns[i].known && (conns[i].opener == from || conns[i].acceptor == from) &&
		    !pick((unsigned)++n))
			c = i;
	}
	if (c < 0)
		return;
	to = conns[c].opener == from ? 1 : 0;
	for (int i = first_grant; i < ngrants; i++)
		waiting += grants[i].live && !grants[i].taken &&
			   grants[i].offer_conn == conns[c].id && grants[i].offer_to == to;
	if (conns[c].closing || !conns[c].accepted ||
	    (grants[g].expires_ns && grants[g].expires_ns <= now_ns))
		expect = -ENOENT;
	else if (!(grants[g].rights & EXO_CAP_GRANT) || !(rights & grants[g].rights))
		expect = -EPERM;
	else if (grants[g].depth >= POLICY_DEPTH_MAX)
		expect = -ENOSPC;
	else if (waiting >= (int)POLICY_OFFERS_MAX)
		expect = -ENOBUFS;
	MUST(policy_delegate(policy, names[from].id, grants[g].port, conns[c].id, rights,
			     pick(5) ? &limits : (limits = (struct policy_limits){0}, NULL),
			     now_ns) == expect);
	if (expect)
		return;
	child = (struct m_grant){
		.parent = g,
		.grantee = to ? conns[c].acceptor : conns[c].opener,
		.service = grants[g].service,
		.rights = rights & grants[g].rights,
		.origin = POLICY_GUEST,
		.limits = {.max_conns = (uint32_t)cut(limits.max_conns, grants[g].limits.max_conns),
			   .max_buffer = cut(limits.max_buffer, grants[g].limits.max_buffer),
			   .max_rate = cut(limits.max_rate, grants[g].limits.max_rate)},
		.expires_ns = cut(limits.lease_ms ? now_ns + limits.lease_ms * 1000000 : NEVER,
				  grants[g].expires_ns),
		.live = true,
		.offer_conn = conns[c].id,
		.offer_to = to,
		.depth = grants[g].depth + 1,
	};
	MUST(ngrants < GRANTS);
	grants[ngrants++] = child;
}

static void op_take(void)
{
	int c = any_conn(), to = (int)pick(2), g = -1, name, expect = 0;
	struct policy_grant_info info;

	if (c < 0)
		return;
	if (conns[c].opener == conns[c].acceptor)
		to = 0; /* host programs are one subject: its offers to itself stay */
	name = to ? conns[c].acceptor : conns[c].opener;
	for (int i = ngrants - 1; i >= first_grant; i--) {
		if (!grants[i].live || grants[i].taken || grants[i].offer_conn != conns[c].id ||
		    grants[i].offer_to != to || conns[c].closing)
			continue;
		if (grants[i].expires_ns && grants[i].expires_ns <= now_ns)
			continue;
		g = i;
	}
	/* Those before it whose lease is over are dropped. */
	for (int i = first_grant; i < (g < 0 ? ngrants : g) && !conns[c].closing; i++) {
		if (grants[i].live && !grants[i].taken && grants[i].offer_conn == conns[c].id &&
		    grants[i].offer_to == to)
			grants[i].live = false;
	}
	if (conns[c].closing)
		expect = -ENOENT;
	else if (g < 0)
		expect = -EAGAIN;
	else if (live_grants_of(name) >= (int)EXO_SLOTS_MAX)
		expect = -ENOSPC;
	MUST(policy_take(policy, names[name].id, conns[c].id, now_ns, &info) == expect);
	if (expect)
		return;
	MUST(info.id && grant_by_id(info.id) < 0);
	MUST(info.id < GRANTS);
	grant_at[info.id] = g;
	grants[g].id = info.id;
	grants[g].taken = true;
	MUST(info.port);
	learn_port(g, info.port);
}

static void op_drop(void)
{
	int g = any_grant(), name;
	uint32_t port;

	if (g < 0 || !grants[g].port)
		return;
	name = grants[g].grantee;
	port = grants[g].fixed_port && pick(2) ? grants[g].fixed_port : grants[g].port;
	if (grants[g].origin == POLICY_GUEST) {
		kill_grant(g, EXO_REASON_REVOKED);
	} else {
		remember_port(name, grants[g].port);
		grants[g].port = 0;
		grants[g].dropped = true;
		for (int i = first_grant; i < ngrants; i++) {
			if (grants[i].live && grants[i].parent == g)
				kill_grant(i, EXO_REASON_REVOKED);
		}
		for (int i = first_conn; i < nconns; i++) {
			if (conns[i].known && !conns[i].closing && conns[i].grant == g)
				expect_closed(i, EXO_REASON_REVOKED);
		}
	}
	MUST(!policy_drop_slot(policy, names[name].id, port));
	MUST(policy_drop_slot(policy, names[name].id, port) == -ENOENT);
}

static void op_revoke_delegated(void)
{
	int g = any_grant(), n = 0;

	if (g < 0 || !grants[g].port)
		return;
	for (int i = first_grant; i < ngrants; i++) {
		if (!grants[i].live || grants[i].parent != g)
			continue;
		kill_grant(i, EXO_REASON_REVOKED);
		n++;
	}
	MUST(policy_revoke_delegated(policy, names[grants[g].grantee].id, grants[g].port) == n);
}

/* ---- comparing ------------------------------------------------------------------------------ */

static void check_grant(int i, const struct policy_grant_info *info)
{
	const struct m_grant *g = &grants[i];

	MUST(!strcmp(info->grantee, name_of(g->grantee)));
	MUST(!strcmp(info->service, service_of(g->service)));
	MUST(info->rights == g->rights && info->origin == g->origin);
	MUST(info->fixed_port == g->fixed_port && info->expires_ns == g->expires_ns);
	MUST(info->limits.max_conns == g->limits.max_conns);
	MUST(info->limits.max_buffer == g->limits.max_buffer);
	MUST(info->limits.max_rate == g->limits.max_rate);
	MUST(info->parent == (g->parent < 0 ? 0 : grants[g->parent].id));
	MUST(info->port == g->port);
	MUST(!g->port == (!names[g->grantee].id || g->dropped));
	MUST(info->nconns == g->own.conns && info->buffer_bytes == g->own.bytes);
	MUST(info->uses == g->uses && info->refusals == g->refusals);
}

static void check_grants(void)
{
	struct policy_grant_info info = {0};
	int n = 0, live = 0;
	uint32_t last = 0;

	for (int i = first_grant; i < ngrants; i++)
		grants[i].own = (struct sum){0};
	for (int i = first_conn; i < nconns; i++) {
		if (!conns[i].known || conns[i].closing)
			continue;
		grants[conns[i].grant].own.conns++;
		grants[conns[i].grant].own.bytes += charged(&conns[i]);
	}
	while (policy_grant_next(policy, info.id, &info)) {
		int i = grant_by_id(info.id);

		MUST(info.id > last && i >= 0);
		check_grant(i, &info);
		last = info.id;
		n++;
	}
	for (int i = first_grant; i < ngrants; i++)
		live += grants[i].live && grants[i].taken;
	MUST(n == live);
}

static void check_slots(void)
{
	for (int name = 0; name < NAMES; name++) {
		struct m_name *n = &names[name];
		struct policy_grant_info info;
		unsigned count = 0, live = 0;

		if (!n->id)
			continue;
		for (; policy_slot_at(policy, n->id, count, &info); count++) {
			int g = grant_by_id(info.id);

			MUST(g >= 0 && grants[g].grantee == name && grants[g].port == info.port);
		}
		for (int i = first_grant; i < ngrants; i++)
			live += grants[i].live && grants[i].taken && grants[i].grantee == name &&
				grants[i].port;
		MUST(count == live);
		for (unsigned i = 0; i < n->nold && i < OLD_PORTS; i++)
			MUST(policy_revoke_delegated(policy, n->id, n->old_port[i]) == -ENOENT);
	}
}

static void check_conns(void)
{
	struct policy_conn_info info = {0};
	int n = 0, known = 0;

	while (policy_conn_next(policy, info.id, &info)) {
		int c = conn_by_id(info.id);

		MUST(c >= 0);
		MUST(info.buffer_bytes == conns[c].bytes && info.accepted == conns[c].accepted);
		MUST(info.slot_port == conns[c].slot_port &&
		     info.grant == grants[conns[c].grant].id);
		MUST(info.opener == names[conns[c].opener].id);
		MUST(info.acceptor == names[conns[c].acceptor].id);
		MUST(policy_conn_find(policy, info.acceptor, info.port, EXO_CONN_PORT(info.id)) ==
			     info.id ||
		     info.acceptor == POLICY_HOST);
		if (!conns[c].closing && conns[c].opener != HOST)
			MUST(policy_conn_find(policy, info.opener, info.opener_port,
					      info.slot_port) == info.id);
		n++;
	}
	for (int i = first_conn; i < nconns; i++)
		known += conns[i].known;
	MUST(n == known);
}

static void check_subjects(void)
{
	for (int name = 0; name < NAMES; name++) {
		struct policy_subject_info info;
		struct sum own = sum_of_opener(name);
		unsigned accepted = 0;

		MUST(policy_find_subject(policy, name_of(name)) == names[name].id);
		if (!names[name].id)
			continue;
		for (int i = first_conn; i < nconns; i++)
			accepted += conns[i].known && conns[i].acceptor == name;
		MUST(!policy_subject_info(policy, names[name].id, &info));
		MUST(info.buffer_bytes == own.bytes && info.nconns == own.conns + accepted);
	}
}

/* What is over and not needed as a parent or by a connection is forgotten. */
static void trim(void)
{
	while (first_conn < nconns && !conns[first_conn].known)
		first_conn++;
	while (first_grant < ngrants && !grants[first_grant].live) {
		for (int i = first_conn; i < nconns; i++) {
			if (conns[i].known && conns[i].grant == first_grant)
				return;
		}
		first_grant++;
	}
}

/* ---- runs
 * ----------------------------------------------------------------------------------------- */

static void one_step(void)
{
	static void (*const ops[])(void) = {
		op_grant,    op_grant,       op_grant,       op_connect,       op_connect,
		op_connect,  op_connect,     op_connect,     op_connect,       op_connect,
		op_connect,  op_take,        op_take,        op_delegate,      op_delegate,
		op_delegate, op_delegate,    op_delegate,    op_take,          op_take,
		op_take,     op_take,        op_service,     op_service,       op_service,
		op_expire,   op_add_subject, op_add_subject, op_connect_badly,
	};

	in_call = true;
	if (!pick(250))
		op_remove_subject();
	else if (!pick(250))
		op_revoke_named();
	else if (!pick(250))
		op_revoke_delegated();
	else if (!pick(80))
		op_revoke();
	else if (!pick(80))
		op_drop();
	else if (!pick(100))
		op_conn_end();
	else
		ops[pick(sizeof(ops) / sizeof(ops[0]))]();
	in_call = false;
	check_told();
	check_grants();
	check_slots();
	check_conns();
	check_subjects();
	trim();
}

static void run(uint64_t with_seed)
{
	static const struct policy_ops policy_ops = {.close_conn = on_close};

	seed = with_seed;
	rng = seed * 0x9e3779b97f4a7c15ull | 1;
	now_ns = 1000000000;
	ngrants = nconns = first_grant = first_conn = 0;
	grants = calloc(GRANTS, sizeof(*grants));
	conns = calloc(CONNS, sizeof(*conns));
	memset(names, 0, sizeof(names));
	memset(grant_at, 0xff, sizeof(grant_at));
	memset(conn_at, 0xff, sizeof(conn_at));
	for (int i = 0; i < SERVICES; i++)
		services[i] = (struct m_service){.provider = -1};
	policy = policy_create(&policy_ops, NULL);
	ck_assert_ptr_nonnull(policy);
	names[HOST] =
		(struct m_name){.id = POLICY_HOST, .max_conns = 4096, .max_buffer = 1ull << 30};
	for (step = 0; step < STEPS; step++)
		one_step();
	policy_destroy(policy);
	free(grants);
	free(conns);
}

START_TEST(agrees_with_model)
{
	run((uint64_t)_i + 1);
}
END_TEST

START_TEST(agrees_with_model_random_seed)
{
	const char *given = getenv("POLICY_SEED");
	struct timespec t;
	uint64_t chosen;

	clock_gettime(CLOCK_REALTIME, &t);
	chosen = given ? strtoull(given, NULL, 10) : (uint64_t)t.tv_sec ^ (uint64_t)t.tv_nsec << 20;
	fprintf(stderr, "POLICY_SEED=%" PRIu64 "\n", chosen);
	run(chosen);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy_model");
	TCase *c = tcase_create("model");

	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, agrees_with_model, 0, 3);
	tcase_add_test(c, agrees_with_model_random_seed);
	suite_add_tcase(s, c);
	return unit_run(s);
}
