/*
 * The life of guests: becoming known by a manifest, and starts with what they
 * require; see lifecycle.h.
 */
#include "lifecycle.h"

#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- becoming known ------------------------------------------------------------ */

static bool has_manifest_grant(struct session *s, const char *guest, const char *service)
{
	struct policy_grant_info g = {0};

	while (policy_grant_next(s->policy, g.id, &g)) {
		if (g.origin == POLICY_MANIFEST && !strcmp(g.grantee, guest) &&
		    !strcmp(g.service, service))
			return true;
	}
	return false;
}

/* Grants of an earlier session come back with its state: those are as good. */
static int grant_use(struct machine *m, const struct manifest_uses *u, char why[512])
{
	int64_t id;

	if (has_manifest_grant(m->session, m->name, u->name))
		return 0;
	id = policy_grant(m->session->policy, m->name, u->name, u->rights, &u->limits,
			  POLICY_MANIFEST, u->port, clock_now_ns());
	if (id >= 0)
		return 0;
	if (id == -EEXIST)
		snprintf(why, 512, "%s: its port %u for %s is taken by another grant", m->name,
			 u->port, u->name);
	else
		snprintf(why, 512, "%s: grant of %s: %s", m->name, u->name, strerror((int)-id));
	return (int)id;
}

/* What a mount leads to is used, also where [uses] does not say so. */
static int grant_mount(struct machine *m, const char *service, char why[512])
{
	struct manifest_uses use = {.rights = EXO_CAP_CONNECT};

	snprintf(use.name, sizeof(use.name), "%s", service);
	return grant_use(m, &use, why);
}

static int add_service(struct machine *m, const struct manifest_provides *p, char why[512])
{
	struct policy_service_info other;
	int err = policy_add_service(m->session->policy, p->name, m->name, p->port, p->seqpacket);

	if (err == -EEXIST && !policy_service_info(m->session->policy, p->name, &other))
		snprintf(why, 512, "%s: %s is provided by %s already", m->name, p->name,
			 other.provider);
	else if (err)
		snprintf(why, 512, "%s: service %s: %s", m->name, p->name, strerror(-err));
	return err;
}

static int add_to_policy(struct machine *m, char why[512])
{
	const struct manifest *mf = m->manifest;
	int err = 0;

	for (unsigned i = 0; i < mf->nprovides && !err; i++)
		err = add_service(m, &mf->provides[i], why);
	for (unsigned i = 0; i < mf->nuses && !err; i++)
		err = grant_use(m, &mf->uses[i], why);
	for (unsigned i = 0; i < mf->nmounts && !err; i++) {
		if (mf->mount[i].service)
			err = grant_mount(m, mf->mount[i].service, why);
	}
	return err;
}

static void remove_from_policy(struct machine *m)
{
	struct policy *p = m->session->policy;
	struct policy_service_info service;
	struct policy_grant_info g = {0};

	for (unsigned i = 0; i < m->manifest->nprovides; i++) {
		const char *name = m->manifest->provides[i].name;

		if (!policy_service_info(p, name, &service) && !strcmp(service.provider, m->name))
			policy_remove_service(p, name);
	}
	while (policy_grant_next(p, g.id, &g)) {
		if (g.origin == POLICY_MANIFEST && !strcmp(g.grantee, m->name))
			policy_revoke(p, g.id);
	}
}

/* args[0] is the program. 0 or -ENOMEM. */
static int set_program(struct machine *m)
{
	const struct manifest *mf = m->manifest;
	unsigned n = 0;

	while (mf->args && mf->args[n])
		n++;
	m->program = strdup(mf->file);
	m->args = calloc(n + 2, sizeof(*m->args));
	if (!m->program || !m->args || !(m->args[0] = strdup(mf->file)))
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		if (!(m->args[i + 1] = strdup(mf->args[i])))
			return -ENOMEM;
	}
	return 0;
}

struct machine *lifecycle_add(struct session *s, struct manifest *manifest, char why[512])
{
	struct machine *old = session_find(s, manifest->name), *m = NULL;
	int err = 0;

	if (old && !lifecycle_is_over(old)) {
		snprintf(why, 512, "%s: a guest of that name runs", manifest->name);
		manifest_free(manifest);
		errno = EEXIST;
		return NULL;
	}
	if (old)
		lifecycle_remove(old);
	m = machine_create(s, manifest->name);
	if (!m) {
		err = -errno;
		snprintf(why, 512, "%s: %s", manifest->name, strerror(-err));
		manifest_free(manifest);
		errno = -err;
		return NULL;
	}
	m->manifest = manifest;
	memcpy(m->label, manifest->label, sizeof(m->label));
	err = set_program(m);
	if (err)
		snprintf(why, 512, "%s: out of memory", m->name);
	else
		err = add_to_policy(m, why);
	if (err) {
		lifecycle_remove(m);
		errno = -err;
		return NULL;
	}
	session_changed(s);
	return m;
}

/* Grants that came with `start` end with the guest: the next of its name is another program. */
static void revoke_own_grants(struct machine *m)
{
	const json_t *grants = m->options ? json_object_get(m->options, "grants") : NULL;
	struct policy *p = m->session->policy;
	struct policy_grant_info g;
	const json_t *grant;
	size_t i;

	json_array_foreach(grants, i, grant)
	{
		const char *service = json_string_value(json_object_get(grant, "service"));

		g.id = 0;
		while (service && policy_grant_next(p, g.id, &g)) {
			if (g.origin == POLICY_PERSON && !strcmp(g.grantee, m->name) &&
			    !strcmp(g.service, service))
				policy_revoke(p, g.id);
		}
	}
}

void lifecycle_remove(struct machine *m)
{
	control_machine_forgotten(m);
	if (m->manifest)
		remove_from_policy(m);
	revoke_own_grants(m);
	session_changed(m->session);
	machine_forget(m);
}

void lifecycle_prune(struct session *s)
{
	struct machine *oldest;
	unsigned n;

	do {
		oldest = NULL;
		n = 0;
		for (struct machine *m = s->machines; m; m = m->next) {
			if (m->state != MACHINE_ENDED && m->state != MACHINE_FAILED)
				continue;
			n++;
			if (!oldest || m->ended_ns < oldest->ended_ns)
				oldest = m;
		}
		if (n > LIFECYCLE_KEPT_MAX)
			lifecycle_remove(oldest);
	} while (n > LIFECYCLE_KEPT_MAX);
}

/* ---- what it requires ------------------------------------------------------------- */

static struct machine *provider_of(struct session *s, const char *service,
				   struct policy_service_info *info)
{
	if (policy_service_info(s->policy, service, info))
		return NULL;
	return session_find(s, info->provider);
}

/*
 * Does what m requires and does not run lead back to a machine on the way? Then
 * why says the way. Each machine is looked at once: `visit` is 2k on the way, 2k + 1 when done.
 */
static bool has_cycle(struct machine *m, uint64_t visit, char why[512])
{
	struct policy_service_info info;
	struct machine *next;
	size_t used;

	m->visit = visit;
	for (unsigned i = 0; m->manifest && i < m->manifest->nuses; i++) {
		const struct manifest_uses *u = &m->manifest->uses[i];

		next = u->required ? provider_of(m->session, u->name, &info) : NULL;
		if (!next || info.ready || next->visit == visit + 1)
			continue;
		if (next->visit != visit && !has_cycle(next, visit, why))
			continue;
		used = strlen(why);
		snprintf(why + used, 512 - used, "%s%s requires %s of %s", used ? "; " : "",
			 m->name, u->name, next->name);
		return true;
	}
	m->visit = visit + 1;
	return false;
}

/* 0: ready; -EINPROGRESS: its provider is being started; else it can't be had. */
static int want_required(struct machine *m, const char *service, char why[512])
{
	struct policy_service_info info;
	struct machine *provider = provider_of(m->session, service, &info);
	char inner[512] = "";
	int err;

	if (policy_service_info(m->session->policy, service, &info)) {
		snprintf(why, 512, "%s requires %s, which nobody provides", m->name, service);
		return -ECONNREFUSED;
	}
	if (info.ready)
		return 0;
	if (!provider) {
		snprintf(why, 512, "%s requires %s; its provider %s does not run", m->name, service,
			 info.provider);
		return -ECONNREFUSED;
	}
	if (provider->state == MACHINE_FAILED || (m->pending && lifecycle_is_over(provider)))
		err = -ECONNREFUSED; /* it was tried */
	else if (provider->state == MACHINE_BACK_OFF)
		err = -EINPROGRESS;
	else
		err = lifecycle_start(provider, inner);
	if (!err || err == -EINPROGRESS || err == -EALREADY)
		return -EINPROGRESS;
	snprintf(why, 512, "%s requires %s of %s: %.250s", m->name, service, provider->name,
		 inner[0] ? inner : lifecycle_state_name(provider->state));
	return err;
}

/* 0: all are ready. */
static int want_all_required(struct machine *m, char why[512])
{
	int result = 0;

	for (unsigned i = 0; m->manifest && i < m->manifest->nuses; i++) {
		const struct manifest_uses *u = &m->manifest->uses[i];
		int err = u->required ? want_required(m, u->name, why) : 0;

		if (err && err != -EINPROGRESS)
			return err;
		result = err ? err : result;
	}
	return result;
}

/* ---- starts ---------------------------------------------------------------------------- */

static int start_now(struct machine *m, char why[512])
{
	uint64_t now = clock_now_ns();
	int err;

	m->pending = false;
	m->said_started = m->said_ready = m->paused = false;
	m->kill_at_ns = m->restart_at_ns = m->ready_ns = 0;
	m->ready_by_ns = m->manifest ? now + m->manifest->start_timeout_ns : 0;
	err = machine_start(m, why);
	if (err)
		return err;
	session_wake_at(m->session, m->ready_by_ns);
	session_changed(m->session);
	control_machine_changed(m);
	return 0;
}

/* m is over, or waits; required services come first. */
static int start_with_required(struct machine *m, char why[512])
{
	char cycle[512] = "";
	int err;

	m->session->visits += 2;
	if (has_cycle(m, m->session->visits, cycle)) {
		snprintf(why, 512, "required services form a cycle: %.450s", cycle);
		return -ELOOP;
	}
	err = want_all_required(m, why);
	if (err != -EINPROGRESS)
		return err ? err : start_now(m, why);
	m->pending = true;
	lifecycle_set_state(m, MACHINE_STARTING);
	return -EINPROGRESS;
}

int lifecycle_start(struct machine *m, char why[512])
{
	int err;

	why[0] = '\0';
	if (m->session->ending) {
		snprintf(why, 512, "the session is ending");
		return -ECANCELED;
	}
	if (m->state == MACHINE_STOPPING) {
		snprintf(why, 512, "%s is just ending", m->name);
		return -EBUSY;
	}
	if (m->state == MACHINE_STARTING || m->state == MACHINE_RUNNING ||
	    m->state == MACHINE_READY)
		return -EALREADY;
	m->for_good = false;
	m->restarts = m->recent_restarts = 0;
	m->backoff_ns = 0;
	err = start_with_required(m, why);
	if (err && err != -EINPROGRESS)
		lifecycle_fail(m, err, why);
	return err;
}

int lifecycle_restart(struct machine *m, char why[512])
{
	why[0] = '\0';
	return start_with_required(m, why);
}

void lifecycle_look_at_pending(struct session *s)
{
	char why[512];

	for (struct machine *m = s->machines; m; m = m->next) {
		int err;

		if (!m->pending || s->ending)
			continue;
		why[0] = '\0';
		err = start_with_required(m, why);
		if (err && err != -EINPROGRESS)
			lifecycle_fail(m, err, why);
	}
}

/* ---- on demand ------------------------------------------------------------------------------ */

int lifecycle_want(struct session *s, const char *service)
{
	struct policy_service_info info;
	struct machine *m = provider_of(s, service, &info);
	uint64_t pause;
	char why[512];
	int err;

	if (!m)
		return policy_service_info(s->policy, service, &info) ? -ENOENT
		       : info.ready                                   ? 0
								      : -ECONNREFUSED;
	if (info.ready)
		return 0;
	switch (m->state) {
	case MACHINE_ADDED:
		/* One that never got ready is not started again by each that asks. */
		if (m->restart_at_ns > clock_now_ns())
			return -ECONNREFUSED;
		break;
	case MACHINE_ENDED:
	case MACHINE_FAILED:
		return -ECONNREFUSED;
	case MACHINE_STOPPING:
		return m->for_good && !m->added && !m->manifest->on_demand ? -ECONNREFUSED
									   : -EINPROGRESS;
	default:
		return -EINPROGRESS;
	}
	pause = m->backoff_ns;
	err = lifecycle_start(m, why);
	m->backoff_ns = pause; /* for the next, if it does not get ready this time either */
	return err ? (err == -EALREADY ? -EINPROGRESS : err) : -EINPROGRESS;
}
