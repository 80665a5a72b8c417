/* Operations on guests that are known: ps, stop, wait, …; docs/control.md. */
#include "control_impl.h"

#include "clock.h"
#include "lifecycle.h"
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define STOP_MS 2000u /* without a manifest that says another */

/* ---- how it ended ----------------------------------------------------------------- */

json_t *control_end_fields(const struct machine *m)
{
	const struct report report = {.end = {.reason = m->end.reason, .status = m->end.status}};
	json_t *detail = json_string(m->end.detail);

	return json_pack("{s:s, s:s, s:I, s:i, s:o}", "state", lifecycle_state_name(m->state),
			 "reason", report_reason(&report), "status", (json_int_t)m->end.status,
			 "exit_code", m->end.exit_code, "detail",
			 detail ? detail : json_string("?"));
}

/* It is over, and has been something. */
static bool has_ended(const struct machine *m)
{
	return lifecycle_is_over(m) && m->ended_ns;
}

static json_t *state_fields(const struct machine *m)
{
	if (has_ended(m))
		return control_end_fields(m);
	return json_pack("{s:s}", "state", lifecycle_state_name(m->state));
}

/* ---- ps ---------------------------------------------------------------------------- */

static const char *state_program(const struct machine *m)
{
	return m->program ? m->program : "";
}

static json_t *names_provided(const struct machine *m)
{
	json_t *names = json_array();

	for (unsigned i = 0; m->manifest && i < m->manifest->nprovides; i++)
		json_array_append_new(names, json_string(m->manifest->provides[i].name));
	return names;
}

/* What it has grants for, whoever gave them. */
static json_t *names_used(const struct machine *m)
{
	json_t *names = json_array();
	struct policy_grant_info g = {0};

	while (policy_grant_next(m->session->policy, g.id, &g)) {
		if (!strcmp(g.grantee, m->name))
			json_array_append_new(names, json_string(g.service));
	}
	return names;
}

static json_t *guest_json(const struct machine *m, uint64_t now)
{
	bool runs = machine_runs(m);
	/* One of an earlier session: only its VMM knows, and has said so if it was asked. */
	uint64_t ram = m->guest.ram_bytes ? m->guest.ram_bytes : m->stats.ram_bytes;
	struct policy_subject_info subject = {0};
	char colour[8];
	json_t *program = json_string(state_program(m));
	json_t *guest;

	if (m->subject)
		policy_subject_info(m->session->policy, m->subject, &subject);
	control_colour(m, colour);
	guest = json_pack(
		"{s:s, s:I, s:s, s:s, s:s, s:o, s:I, s:I, s:i, s:I, s:i, s:o, s:o, s:i, s:b}",
		"name", m->name, "number", (json_int_t)m->number, "state",
		lifecycle_state_name(m->state), "label", m->label, "colour", colour, "program",
		program ? program : json_string("?"), "pid", (json_int_t)(runs ? m->pid : 0),
		"memory", (json_int_t)(runs ? ram : 0), "cpus", (int)(runs ? m->guest.cpus : 0),
		"uptime_ms",
		(json_int_t)(runs && m->said_started ? (now - m->started_ns) / 1000000 : 0),
		"restarts", (int)m->restarts, "provides", names_provided(m), "uses", names_used(m),
		"connections", (int)subject.nconns, "paused", m->paused);
	if (guest && has_ended(m)) {
		json_t *end = control_end_fields(m);

		json_object_update(guest, end);
		json_decref(end);
	}
	return guest;
}

static void op_ps(struct request *r)
{
	struct session *s = request_session(r);
	json_t *guests = json_array();
	uint64_t now = clock_now_ns();

	for (const struct machine *m = s->machines; m; m = m->next)
		json_array_append_new(guests, guest_json(m, now));
	request_ok(r, json_pack("{s:o}", "guests", guests));
}

/* ---- those that answer at once -------------------------------------------------------- */

/* A guest with a program that runs, or NULL: answered. */
static struct machine *running_machine(struct request *r)
{
	struct machine *m = request_machine(r);

	if (!m || (machine_runs(m) && m->said_started))
		return m;
	if (lifecycle_is_over(m))
		request_fail(r, CONTROL_ENDED, "%s does not run", m->name);
	else
		request_fail(r, CONTROL_BUSY, "%s is %s", m->name, lifecycle_state_name(m->state));
	return NULL;
}

static void op_signal(struct request *r)
{
	uint64_t signo = request_number(r, "signal", 0);
	struct machine *m;

	if (!signo || signo > 64)
		return request_fail(r, CONTROL_BAD_REQUEST, "signal: must be from 1 to 64");
	if (!(m = running_machine(r)))
		return;
	if (signo == SIGKILL)
		machine_kill(m, "signal 9");
	else
		machine_signal(m, (int)signo);
	request_done(r);
}

static void op_winch(struct request *r)
{
	struct exo_vmm_winch msg = {{EXO_VMM_MAGIC, EXO_VMM_WINCH, sizeof(msg), 0}, 0, 0};
	struct machine *m = running_machine(r);

	if (!m)
		return;
	msg.rows = (uint32_t)request_number(r, "rows", 0);
	msg.cols = (uint32_t)request_number(r, "cols", 0);
	machine_send(m, &msg, sizeof(msg), NULL, 0);
	request_done(r);
}

static void op_pause(struct request *r)
{
	struct machine *m = running_machine(r);

	if (!m)
		return;
	lifecycle_pause(m, !strcmp(r->op->name, "pause"));
	request_done(r);
}

static void op_remove(struct request *r)
{
	struct machine *m = request_machine(r);

	if (!m)
		return;
	if (!lifecycle_is_over(m) || machine_runs(m))
		return request_fail(r, CONTROL_BUSY, "%s is %s; stop it first", m->name,
				    lifecycle_state_name(m->state));
	lifecycle_remove(m);
	request_done(r);
}

/* ---- those that wait ------------------------------------------------------------------- */

static bool fail_due(struct request *r)
{
	if (!r->due)
		return false;
	request_fail(r, CONTROL_TIMEOUT, "%s is still %s", r->machine->name,
		     lifecycle_state_name(r->machine->state));
	return true;
}

static bool look_ended(struct request *r)
{
	const struct machine *m = r->machine;

	/* It may have been started again since, by somebody who connects. */
	if (!has_ended(m) && m->overs == r->overs)
		return fail_due(r);
	request_ok(r, control_end_fields(m));
	return true;
}

static bool look_ready(struct request *r)
{
	const struct machine *m = r->machine;

	if (m->state == MACHINE_READY || (has_ended(m) && m->ready_ns)) {
		request_ok(r, state_fields(m));
		return true;
	}
	if (!has_ended(m))
		return fail_due(r);
	request_fail_with(r, CONTROL_ENDED, control_end_fields(m), "it ended before it was ready");
	return true;
}

/* One that was only added has nothing to stop and never ended. */
static bool look_stopped(struct request *r)
{
	if (lifecycle_is_over(r->machine) && !r->machine->ended_ns) {
		request_ok(r, state_fields(r->machine));
		return true;
	}
	return look_ended(r);
}

static void op_wait(struct request *r)
{
	const char *what = request_string(r, "for");
	uint64_t ms = request_number(r, "timeout_ms", 0);
	bool ready = what && !strcmp(what, "ready");
	struct machine *m;

	if (what && !ready && strcmp(what, "ended") != 0)
		return request_fail(r, CONTROL_BAD_REQUEST, "for: must be \"ready\" or \"ended\"");
	if (ms > INT64_MAX / 2000000)
		return request_fail(r, CONTROL_BAD_REQUEST, "timeout_ms: too long");
	if (!(m = request_machine(r)))
		return;
	r->machine = m;
	r->overs = m->overs;
	request_wait(r, ready ? look_ready : look_ended,
		     request_has(r, "timeout_ms") ? clock_now_ns() + ms * 1000000 : 0);
}

static void op_stop(struct request *r)
{
	struct machine *m = request_machine(r);
	uint64_t ms;

	if (!m)
		return;
	ms = m->manifest && m->manifest->stop_timeout_ns ? m->manifest->stop_timeout_ns / 1000000
							 : STOP_MS;
	ms = request_number(r, "timeout_ms", ms);
	if (ms > INT64_MAX / 2000000)
		return request_fail(r, CONTROL_BAD_REQUEST, "timeout_ms: too long");
	r->machine = m;
	r->overs = m->overs;
	lifecycle_stop(m, ms * 1000000);
	request_wait(r, look_stopped, 0);
}

static void op_kill(struct request *r)
{
	struct machine *m = request_machine(r);

	if (!m)
		return;
	r->machine = m;
	r->overs = m->overs;
	lifecycle_kill(m, "asked for");
	request_wait(r, look_stopped, 0);
}

/* ---- table --------------------------------------------------------------------------------- */

static const struct field guest_fields[] = {{"guest", FIELD_NAME, true, NULL}, {NULL}};
static const struct field signal_fields[] = {
	{"guest", FIELD_NAME, true, NULL}, {"signal", FIELD_U32, true, NULL}, {NULL}};
static const struct field stop_fields[] = {
	{"guest", FIELD_NAME, true, NULL}, {"timeout_ms", FIELD_U63, false, NULL}, {NULL}};
static const struct field winch_fields[] = {{"guest", FIELD_NAME, true, NULL},
					    {"rows", FIELD_U32, true, NULL},
					    {"cols", FIELD_U32, true, NULL},
					    {NULL}};
static const struct field wait_fields[] = {{"guest", FIELD_NAME, true, NULL},
					   {"for", FIELD_STRING, false, NULL},
					   {"timeout_ms", FIELD_U63, false, NULL},
					   {NULL}};

const struct op ops_guest[] = {
	{"ps", NULL, op_ps, false},
	{"signal", signal_fields, op_signal, false},
	{"winch", winch_fields, op_winch, false},
	{"pause", guest_fields, op_pause, false},
	{"resume", guest_fields, op_pause, false},
	{"remove", guest_fields, op_remove, false},
	{"wait", wait_fields, op_wait, false},
	{"stop", stop_fields, op_stop, false},
	{"kill", guest_fields, op_kill, false},
	{NULL},
};
