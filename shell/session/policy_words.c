/* Who can reach what, and why, in sentences; see policy_words.h. */
#include "policy_words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WALK_MAX 1024 /* guests that are looked at for a cycle */

struct speech {
	void (*say)(void *opaque, const char *sentence);
	void *opaque;
	unsigned said;
};

__attribute__((format(printf, 2, 3))) static void say(struct speech *to, const char *format, ...)
{
	char sentence[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	to->said++;
	to->say(to->opaque, sentence);
}

/* ---- who can reach it ------------------------------------------------------------------- */

static void say_grant(struct speech *to, const struct policy *p, const struct policy_grant_info *g)
{
	char why[128] = "a person granted it", limits[MANIFEST_LIMITS_MAX];
	struct policy_grant_info parent;

	if (g->origin == POLICY_MANIFEST)
		snprintf(why, sizeof(why), "its manifest says so");
	else if (g->origin == POLICY_GUEST && !policy_grant_info(p, g->parent, &parent))
		snprintf(why, sizeof(why), "%s handed it on (grant %u)", parent.grantee, parent.id);
	manifest_limit_words(&g->limits, limits);
	say(to, "%s may %s %s: %s%s (grant %u)%s.", g->grantee,
	    g->rights & EXO_CAP_CONNECT ? "connect to" : "hand on, but not use,", g->service, why,
	    g->rights == (EXO_CAP_CONNECT | EXO_CAP_GRANT) ? ", and it may hand that on" : "",
	    g->id, limits);
}

static void say_who_reaches(struct speech *to, const struct policy *p, const char *service)
{
	struct policy_service_info info;
	struct policy_grant_info g = {0};
	unsigned before;

	if (policy_service_info(p, service, &info))
		say(to, "Nobody provides %s.", service);
	else if (!info.provider_subject)
		say(to, "%s is provided by %s, which does not run.", service, info.provider);
	else
		say(to, "%s is provided by %s%s.", service, info.provider,
		    info.ready ? "" : ", which is not ready");
	before = to->said;
	while (policy_grant_next(p, g.id, &g)) {
		if (!strcmp(g.service, service))
			say_grant(to, p, &g);
	}
	if (to->said == before)
		say(to, "Nobody may connect to %s.", service);
}

static bool is_granted(const struct policy *p, const char *service)
{
	struct policy_grant_info g = {0};

	while (policy_grant_next(p, g.id, &g)) {
		if (!strcmp(g.service, service))
			return true;
	}
	return false;
}

static void say_guest(struct speech *to, const struct policy *p, const char *guest)
{
	struct policy_service_info s;
	struct policy_grant_info g = {0};

	for (unsigned i = 0; policy_service_at(p, i, &s); i++) {
		if (!strcmp(s.provider, guest) && strcmp(s.name, guest)) /* that was said */
			say_who_reaches(to, p, s.name);
	}
	while (policy_grant_next(p, g.id, &g)) {
		if (!strcmp(g.grantee, guest))
			say_grant(to, p, &g);
	}
}

void policy_who_can_reach(const struct policy *p, const char *service_or_guest,
			  void (*say_one)(void *opaque, const char *sentence), void *opaque)
{
	struct speech to = {say_one, opaque, 0};
	struct policy_service_info info;

	if (!policy_service_info(p, service_or_guest, &info) || is_granted(p, service_or_guest))
		say_who_reaches(&to, p, service_or_guest);
	say_guest(&to, p, service_or_guest);
	if (!to.said && policy_find_subject(p, service_or_guest))
		say(&to, "%s provides nothing and may connect to nobody.", service_or_guest);
	else if (!to.said)
		say(&to, "There is no service and no guest named %.64s.", service_or_guest);
}

/* ---- what a manifest would get -------------------------------------------------------------- */

static void say_provides(struct speech *to, const struct policy *p, const struct manifest *m)
{
	for (unsigned i = 0; i < m->nprovides; i++) {
		const char *name = m->provides[i].name;
		struct policy_service_info info;

		if (policy_service_info(p, name, &info))
			say(to, "%s would provide %s.", m->name, name);
		else if (!strcmp(info.provider, m->name))
			say(to, "%s provides %s already.", m->name, name);
		else
			say(to, "%s would provide %s, but %s is already provided by %s.", m->name,
			    name, name, info.provider);
	}
}

static void say_use(struct speech *to, const struct policy *p, const struct manifest *m,
		    const struct manifest_uses *u)
{
	char limits[MANIFEST_LIMITS_MAX], state[160] = "";
	struct policy_service_info info;

	manifest_limit_words(&u->limits, limits);
	if (policy_service_info(p, u->name, &info))
		snprintf(state, sizeof(state), "; nobody provides it%s",
			 u->required ? ", so it could not start" : " yet");
	else if (!info.provider_subject)
		snprintf(state, sizeof(state), "; %s provides it and would be started%s",
			 info.provider, u->required ? " first" : " when it connects");
	else if (!info.ready)
		snprintf(state, sizeof(state), "; %s provides it and is not ready", info.provider);
	say(to, "%s may connect to %s: its manifest says so%s%s%s.", m->name, u->name,
	    u->rights & EXO_CAP_GRANT ? ", and that it may hand that on" : "", limits, state);
}

/* What grants by others than the manifest would fill its slots with. */
static void say_other_grants(struct speech *to, const struct policy *p, const struct manifest *m)
{
	struct policy_grant_info g = {0};

	while (policy_grant_next(p, g.id, &g)) {
		if (g.origin != POLICY_MANIFEST && !strcmp(g.grantee, m->name))
			say_grant(to, p, &g);
	}
}

static void say_who_waits(struct speech *to, const struct policy *p, const struct manifest *m)
{
	for (unsigned i = 0; i < m->nprovides; i++) {
		struct policy_grant_info g = {0};

		while (policy_grant_next(p, g.id, &g)) {
			if (!strcmp(g.service, m->provides[i].name) && strcmp(g.grantee, m->name))
				say_grant(to, p, &g);
		}
	}
}

/* ---- cycles of what is required ------------------------------------------------------------- */

/* Manifests that the first one requires, each with the one that led to it. */
struct walk {
	const struct manifest *m;
	unsigned from;
	const char *service; /* by which it was reached */
};

static bool provides(const struct manifest *m, const char *service)
{
	for (unsigned i = 0; i < m->nprovides; i++) {
		if (!strcmp(m->provides[i].name, service))
			return true;
	}
	return false;
}

/* Enters the provider of what walk[at] requires, if it is new. */
static unsigned follow(const struct policy *p, struct walk *walk, unsigned n, unsigned at,
		       const char *service, policy_manifest_fn *manifest_of, void *opaque)
{
	struct policy_service_info info;
	const struct manifest *next = NULL;

	if (n < WALK_MAX && !policy_service_info(p, service, &info))
		next = manifest_of(opaque, info.provider);
	for (unsigned i = 0; next && i < n; i++) {
		if (!strcmp(walk[i].m->name, next->name))
			next = NULL;
	}
	if (next)
		walk[n++] = (struct walk){next, at, service};
	return n;
}

static void say_cycle(struct speech *to, const struct walk *walk, unsigned at, const char *service)
{
	char way[900];
	int n = snprintf(way, sizeof(way), "%s requires %s of %s", walk[at].m->name, service,
			 walk[0].m->name);

	for (; at && n > 0 && n < (int)sizeof(way); at = walk[at].from)
		n += snprintf(way + n, sizeof(way) - (size_t)n, ", %s requires %s of %s",
			      walk[walk[at].from].m->name, walk[at].service, walk[at].m->name);
	say(to, "%s could not start, for required services form a cycle: %s.", walk[0].m->name,
	    way);
}

/* Breadth first, so that the cycle that is named is a shortest one. */
static void find_cycle(struct speech *to, const struct policy *p, const struct manifest *m,
		       policy_manifest_fn *manifest_of)
{
	struct walk walk[WALK_MAX] = {{m, 0, NULL}};
	unsigned n = 1;

	for (unsigned at = 0; at < n; at++) {
		for (unsigned i = 0; i < walk[at].m->nuses; i++) {
			const struct manifest_uses *u = &walk[at].m->uses[i];

			if (!u->required)
				continue;
			if (provides(m, u->name)) {
				say_cycle(to, walk, at, u->name);
				return;
			}
			n = follow(p, walk, n, at, u->name, manifest_of, to->opaque);
		}
	}
}

void policy_dry_run(const struct policy *p, const struct manifest *m,
		    policy_manifest_fn *manifest_of,
		    void (*say_one)(void *opaque, const char *sentence), void *opaque)
{
	struct speech to = {say_one, opaque, 0};

	if (policy_find_subject(p, m->name))
		say(&to, "A guest named %s runs already; this one would need another name.",
		    m->name);
	say_provides(&to, p, m);
	for (unsigned i = 0; i < m->nuses; i++)
		say_use(&to, p, m, &m->uses[i]);
	for (unsigned i = 0; i < m->nmounts; i++) {
		if (!m->mount[i].service)
			say(&to, "%s may %s the folder %s of this computer as %s.", m->name,
			    m->mount[i].read_only ? "read" : "read and change", m->mount[i].source,
			    m->mount[i].path);
	}
	find_cycle(&to, p, m, manifest_of);
	say_other_grants(&to, p, m);
	if (!m->nuses && !m->nmounts)
		say(&to, "Its manifest lets it connect to nobody.");
	say_who_waits(&to, p, m);
}
