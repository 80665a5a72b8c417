/*
 * The life of guests: ready, ended, started again, given up; see lifecycle.h and
 * docs/lifecycle.md. All of it is driven by what VMMs and people say and by
 * deadlines: nothing is looked at in between.
 */
#include "lifecycle.h"

#include "clock.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define RECENT_NS 60000000000ull /* restarts within it count for max_restarts */

static const char *const states[] = {
	[MACHINE_ADDED] = "added", [MACHINE_STARTING] = "starting", [MACHINE_RUNNING] = "running",
	[MACHINE_READY] = "ready", [MACHINE_STOPPING] = "stopping", [MACHINE_BACK_OFF] = "back-off",
	[MACHINE_ENDED] = "ended", [MACHINE_FAILED] = "failed",
};

const char *lifecycle_state_name(enum machine_state state)
{
	return states[state];
}

bool lifecycle_is_over(const struct machine *m)
{
	return m->state == MACHINE_ADDED || m->state == MACHINE_ENDED || m->state == MACHINE_FAILED;
}

bool lifecycle_runs(const struct machine *m)
{
	return m->state == MACHINE_STARTING || m->state == MACHINE_RUNNING ||
	       m->state == MACHINE_READY || m->state == MACHINE_STOPPING;
}

void lifecycle_set_state(struct machine *m, enum machine_state state)
{
	m->state = state;
	session_changed(m->session);
	control_machine_changed(m);
}

/* ---- services ------------------------------------------------------------------- */

static void tell_services(struct machine *m, bool ready)
{
	const struct manifest *mf = m->manifest;

	for (unsigned i = 0; mf && i < mf->nprovides; i++) {
		policy_set_ready(m->session->policy, mf->provides[i].name, ready);
		wire_service_changed(m->session, mf->provides[i].name);
	}
	session_wake_at(m->session, 1); /* somebody may require one */
}

/* ---- begin ------------------------------------------------------------------------- */

static void say(struct machine *m, const char *event)
{
	control_machine_event(m, json_pack("{s:s, s:s}", "event", event, "guest", m->name));
}

void lifecycle_started(struct machine *m)
{
	if (!m->adopted) {
		m->started_ns = clock_now_ns();
	} else if (m->manifest) { /* its time begins anew */
		m->ready_by_ns = clock_now_ns() + m->manifest->start_timeout_ns;
		session_wake_at(m->session, m->ready_by_ns);
	}
	m->said_started = true;
	if (m->state == MACHINE_STARTING)
		lifecycle_set_state(m, MACHINE_RUNNING);
	say(m, "started");
	if (!m->manifest || m->manifest->ready == MANIFEST_READY_START)
		lifecycle_ready(m);
}

void lifecycle_ready(struct machine *m)
{
	if (m->said_ready || m->state == MACHINE_STOPPING || !lifecycle_runs(m))
		return;
	m->said_ready = true;
	m->ready_ns = m->alive_ns = clock_now_ns();
	m->ready_by_ns = 0;
	lifecycle_set_state(m, MACHINE_READY);
	say(m, "ready");
	tell_services(m, true);
	if (m->manifest && m->manifest->watchdog_ns)
		session_wake_at(m->session, m->alive_ns + m->manifest->watchdog_ns);
}

void lifecycle_alive(struct machine *m)
{
	m->alive_ns = clock_now_ns();
}

/* ---- end ------------------------------------------------------------------------------ */

static bool wants_restart(const struct machine *m)
{
	if (m->for_good || m->session->ending || !m->manifest)
		return false;
	if (m->manifest->restart == MANIFEST_RESTART_ALWAYS)
		return true;
	return m->manifest->restart == MANIFEST_RESTART_ON_FAILURE && m->end.exit_code != 0;
}

/* The next pause: doubles, and begins anew after a quiet time. */
static void set_backoff(struct machine *m, uint64_t now)
{
	uint64_t first = m->manifest && m->manifest->backoff_ns ? m->manifest->backoff_ns
								: LIFECYCLE_BACKOFF_NS;

	if (m->ready_ns && now - m->ready_ns >= LIFECYCLE_QUIET_NS)
		m->backoff_ns = 0;
	m->backoff_ns = m->backoff_ns ? m->backoff_ns * 2 : first;
	if (m->backoff_ns > LIFECYCLE_BACKOFF_MAX_NS && m->backoff_ns > first)
		m->backoff_ns = first > LIFECYCLE_BACKOFF_MAX_NS ? first : LIFECYCLE_BACKOFF_MAX_NS;
	m->restart_at_ns = now + m->backoff_ns;
}

static bool may_restart(struct machine *m, uint64_t now)
{
	if (now - m->recent_since_ns >= RECENT_NS) {
		m->recent_since_ns = now;
		m->recent_restarts = 0;
	}
	return ++m->recent_restarts <= m->manifest->max_restarts;
}

static enum machine_state decide(struct machine *m, uint64_t now)
{
	if (wants_restart(m)) {
		if (!may_restart(m, now))
			return MACHINE_FAILED;
		set_backoff(m, now);
		session_wake_at(m->session, m->restart_at_ns);
		return MACHINE_BACK_OFF;
	}
	if (!m->manifest || !(m->added || m->manifest->on_demand))
		return MACHINE_ENDED;
	if (m->for_good || (m->ready_ns && !m->end.exit_code))
		m->backoff_ns = m->restart_at_ns = 0;
	else
		set_backoff(m, now); /* lifecycle_want: not sooner */
	return MACHINE_ADDED;
}

static void end_as(struct machine *m, enum machine_state state, uint64_t now)
{
	json_t *event;

	m->ended_ns = now;
	m->pending = false;
	m->kill_at_ns = m->ready_by_ns = 0;
	lifecycle_set_state(m, state);
	event = control_end_fields(m);
	json_object_set_new(event, "event", json_string("ended"));
	json_object_set_new(event, "guest", json_string(m->name));
	json_object_set_new(event, "restarting", json_boolean(state == MACHINE_BACK_OFF));
	control_machine_event(m, event);
	if (lifecycle_is_over(m)) {
		m->owner = NULL;
		m->overs++;
	}
	tell_services(m, false);
}

/* A program can be over before its VMM found the time to say that it has begun. */
static bool has_run(const struct machine *m)
{
	return m->state == MACHINE_STARTING && m->end.reason && m->end.reason != EXO_END_CONFIG &&
	       m->end.reason != EXO_END_HOST && m->end.reason != EXO_END_KILLED;
}

void lifecycle_ended(struct machine *m)
{
	uint64_t now = clock_now_ns();

	if (has_run(m))
		lifecycle_started(m);
	end_as(m, decide(m, now), now);
}

int lifecycle_exit_code(int err)
{
	return err == -ENOENT    ? GUEST_EXIT_NOT_FOUND
	       : err == -ENOEXEC ? GUEST_EXIT_CANNOT
				 : GUEST_EXIT_FAILURE;
}

void lifecycle_fail(struct machine *m, int err, const char *detail)
{
	m->end = (struct machine_end){.reason = EXO_END_CONFIG,
				      .exit_code = lifecycle_exit_code(err)};
	snprintf(m->end.detail, sizeof(m->end.detail), "%s", detail);
	end_as(m, MACHINE_FAILED, clock_now_ns());
}

/* ---- asked to end ------------------------------------------------------------------------ */

/* One without a VMM is over at once. True: it was. */
static bool end_without_vmm(struct machine *m)
{
	bool waited = m->pending || m->state == MACHINE_BACK_OFF;

	if (!waited)
		return lifecycle_is_over(m);
	if (m->pending) { /* it never began */
		m->end = (struct machine_end){.reason = EXO_END_KILLED,
					      .status = SIGTERM,
					      .exit_code = GUEST_EXIT_SIGNAL + SIGTERM};
		snprintf(m->end.detail, sizeof(m->end.detail), "stopped before it began");
	}
	m->restart_at_ns = 0;
	end_as(m,
	       m->added || (m->manifest && m->manifest->on_demand) ? MACHINE_ADDED : MACHINE_ENDED,
	       clock_now_ns());
	return true;
}

void lifecycle_stop(struct machine *m, uint64_t timeout_ns)
{
	uint64_t at = clock_now_ns() + timeout_ns;

	m->for_good = true;
	if (end_without_vmm(m))
		return;
	if (m->state == MACHINE_STARTING) /* there is no program yet that could listen */
		return lifecycle_kill(m, "stopped before it began");
	if (m->state != MACHINE_STOPPING)
		machine_signal(m, SIGTERM);
	if (m->paused)
		lifecycle_pause(m, false);
	if (!m->kill_at_ns || at < m->kill_at_ns)
		m->kill_at_ns = at;
	m->ready_by_ns = 0;
	lifecycle_set_state(m, MACHINE_STOPPING);
	tell_services(m, false);
	session_wake_at(m->session, m->kill_at_ns);
}

void lifecycle_kill(struct machine *m, const char *why)
{
	m->for_good = true;
	if (end_without_vmm(m))
		return;
	m->kill_at_ns = m->ready_by_ns = 0;
	lifecycle_set_state(m, MACHINE_STOPPING);
	machine_kill(m, why);
}

void lifecycle_pause(struct machine *m, bool pause)
{
	struct exo_vmm_signal msg = {{EXO_VMM_MAGIC, EXO_VMM_PAUSE, sizeof(msg), 0}, pause, 0};

	if (m->paused == pause)
		return;
	m->paused = pause;
	machine_send(m, &msg, sizeof(msg), NULL, 0);
	m->alive_ns = clock_now_ns();
	if (!pause)
		session_wake_at(m->session, 1); /* the watchdog looks again */
}

/* ---- clock ---------------------------------------------------------------------------------- */

static void kill_late(struct machine *m)
{
	m->ready_by_ns = 0;
	machine_kill(m, "it did not get ready in time");
}

/* The watchdog's next look; 0: there is none. */
static uint64_t look_at_watchdog(struct machine *m, uint64_t now)
{
	uint64_t patience = m->manifest ? m->manifest->watchdog_ns : 0;

	if (!patience || m->state != MACHINE_READY || m->paused)
		return 0;
	if (now - m->alive_ns < patience)
		return m->alive_ns + patience;
	machine_kill(m, "its watchdog was not fed");
	m->alive_ns = now; /* the kill has a deadline of its own */
	return 0;
}

static void restart(struct machine *m)
{
	char why[512];
	int err;

	m->restarts++;
	m->restart_at_ns = 0;
	control_machine_event(m, json_pack("{s:s, s:s, s:I}", "event", "restarting", "guest",
					   m->name, "restarts", (json_int_t)m->restarts));
	err = lifecycle_restart(m, why);
	if (err && err != -EINPROGRESS)
		lifecycle_fail(m, err, why);
}

static void sooner(uint64_t *next, uint64_t at_ns)
{
	if (at_ns && (!*next || at_ns < *next))
		*next = at_ns;
}

static bool is_due(uint64_t at_ns, uint64_t now)
{
	return at_ns && at_ns <= now;
}

uint64_t lifecycle_tick(struct session *s, uint64_t now)
{
	uint64_t next = 0;

	lifecycle_look_at_pending(s);
	for (struct machine *m = s->machines; m; m = m->next) {
		if (is_due(m->kill_at_ns, now)) {
			m->kill_at_ns = 0;
			machine_kill(m, "it did not end in time");
		}
		if (is_due(m->ready_by_ns, now))
			kill_late(m);
		if (m->state == MACHINE_BACK_OFF && is_due(m->restart_at_ns, now) && !s->ending)
			restart(m);
		sooner(&next, look_at_watchdog(m, now));
		sooner(&next, m->kill_at_ns);
		sooner(&next, m->ready_by_ns);
		if (m->state == MACHINE_BACK_OFF)
			sooner(&next, m->restart_at_ns);
	}
	lifecycle_prune(s);
	return next;
}
