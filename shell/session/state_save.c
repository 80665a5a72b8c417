/* Writing down what survives a restart of the session; see state.h. */
#include "state.h"

#include "clock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_BYTES_MIN (256u << 10) /* a log up to here is never folded into the file */

uint64_t state_real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct state *state_get(struct session *s)
{
	struct state *state = s->state;

	if (state)
		return state;
	s->state = state = calloc(1, sizeof(*state));
	if (state)
		state->log_fd = -1;
	return state;
}

void state_finish(struct session *s)
{
	struct state *state = s->state;

	if (state && state->log_fd >= 0)
		close(state->log_fd);
	free(state);
	s->state = NULL;
}

/* JSON's integers are signed; nothing real is that large. */
static json_int_t whole(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (json_int_t)n;
}

/* ---- what is written ----------------------------------------------------------------------- */

json_t *state_grant(const struct policy_grant_info *g, uint64_t now_ns, uint64_t real_ms)
{
	uint64_t left_ms = g->expires_ns > now_ns ? (g->expires_ns - now_ns + 999999) / 1000000 : 1;

	return json_pack("{s:I s:I s:s s:s s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I s:I}", "id",
			 (json_int_t)g->id, "parent", (json_int_t)g->parent, "guest", g->grantee,
			 "service", g->service, "rights", (json_int_t)g->rights, "fixed_port",
			 (json_int_t)g->fixed_port, "origin", (json_int_t)g->origin, "lease_ms",
			 whole(g->limits.lease_ms), "expires_ms",
			 g->expires_ns ? whole(real_ms + left_ms) : (json_int_t)0, "max_conns",
			 (json_int_t)g->limits.max_conns, "max_buffer", whole(g->limits.max_buffer),
			 "max_rate", whole(g->limits.max_rate), "port", (json_int_t)g->port, "uses",
			 whole(g->uses), "refusals", whole(g->refusals));
}

/* A guest of an earlier session that has not been heard yet has its slots all the same. */
static const struct machine *unheard(const struct machine *m)
{
	return m && m->pid > 0 && !m->subject && m->old_slot && m->old_generation ? m : NULL;
}

static void fill_old_port(const struct session *s, struct policy_grant_info *g)
{
	const struct machine *m = s->machines;

	while (m && strcmp(m->name, g->grantee) != 0)
		m = m->next;
	m = unheard(m);
	for (unsigned i = 0; m && i < m->nold_slots; i++) {
		if (m->old_slot[i].grant == g->id)
			g->port = m->old_slot[i].port;
	}
}

static json_t *encode_grants(const struct session *s)
{
	uint64_t now_ns = clock_now_ns(), real_ms = state_real_ms();
	struct policy_grant_info g = {0};
	json_t *list = json_array();

	while (list && policy_grant_next(s->policy, g.id, &g)) {
		if (!g.port)
			fill_old_port(s, &g);
		if (json_array_append_new(list, state_grant(&g, now_ns, real_ms))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *encode_args(const struct machine *m)
{
	json_t *list = json_array();

	for (char **arg = m->args; arg && *arg; arg++) /* bytes that are no UTF-8 get lost */
		json_array_append_new(list, json_string(*arg) ?: json_string("?"));
	return list;
}

/* Up to the last slot that was ever used. */
static json_t *encode_generations(const struct session *s, const struct machine *m)
{
	uint16_t generation[EXO_SLOTS_MAX];
	unsigned n = EXO_SLOTS_MAX;
	json_t *list = json_array();

	if (unheard(m))
		memcpy(generation, m->old_generation, sizeof(generation));
	else if (!m->subject || policy_generations(s->policy, m->subject, generation))
		return list;
	while (n && !generation[n - 1])
		n--;
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, json_integer(generation[i]));
	return list;
}

/* Those of its services that it serves by now: it says so only once. */
static json_t *encode_serves(const struct session *s, const struct machine *m)
{
	json_t *list = json_array();
	struct policy_service_info info;

	for (unsigned i = 0; m->pid > 0 && m->manifest && i < m->manifest->nprovides; i++) {
		if (policy_service_info(s->policy, m->manifest->provides[i].name, &info) ||
		    !info.ready || strcmp(info.provider, m->name) != 0)
			continue;
		json_array_append_new(list, json_pack("{s:s s:I s:b}", "service", info.name, "port",
						      (json_int_t)info.port, "seqpacket",
						      info.seqpacket));
	}
	return list;
}

static json_t *encode_guest(const struct session *s, const struct machine *m)
{
	return json_pack("{s:s s:I s:s s:s? s:s? s:o s:O? s:b s:b s:I s:I s:o s:o}", "name",
			 m->name, "number", whole(m->number), "label", m->label, "manifest",
			 m->manifest ? m->manifest->path : NULL, "program", m->program, "args",
			 encode_args(m), "options", m->options, "added", m->added, "ready",
			 m->said_ready, "pid", (json_int_t)m->pid, "restarts",
			 (json_int_t)m->restarts, "serves", encode_serves(s, m), "generations",
			 encode_generations(s, m));
}

/* Those that run, and those that could be started by a connect. */
static bool is_worth_saving(const struct machine *m)
{
	return m->pid > 0 || m->added || m->state == MACHINE_BACK_OFF;
}

static json_t *encode_guests(const struct session *s)
{
	json_t *list = json_array();

	for (const struct machine *m = s->machines; m && list; m = m->next) {
		if (is_worth_saving(m) && json_array_append_new(list, encode_guest(s, m))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *encode(const struct session *s, uint64_t serial)
{
	uint32_t grant, conn;

	policy_next_ids(s->policy, &grant, &conn);
	return json_pack("{s:i s:I s:I s:I s:I s:o s:o}", "version", STATE_VERSION, "serial",
			 whole(serial), "next_number", whole(s->next_number), "next_grant",
			 (json_int_t)grant, "next_conn", (json_int_t)conn, "grants",
			 encode_grants(s), "guests", encode_guests(s));
}

/* ---- files ------------------------------------------------------------------------------ */

/*
 * Not synced: a session's crash is to be survived, and its guests don't survive the
 * machine's.
 */
static int write_file(int dir_fd, const char *text, size_t length)
{
	int fd = openat(dir_fd, STATE_FILE_NEW,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = text_write(fd, text, length);
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(dir_fd, STATE_FILE_NEW, dir_fd, STATE_FILE))
		err = -errno;
	return err;
}

/* A new log, for the file with this serial. */
static void begin_log(struct session *s, struct state *state)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "{\"serial\":%llu}\n",
			 (unsigned long long)state->serial);

	if (state->log_fd >= 0)
		close(state->log_fd);
	state->log_fd =
		openat(s->directory_fd, STATE_LOG,
		       O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	state->log_bytes = (uint64_t)n;
	if (state->log_fd < 0 || !text_write(state->log_fd, line, (size_t)n))
		return;
	close(state->log_fd);
	state->log_fd = -1;
}

int state_save(struct session *s)
{
	struct state *state = state_get(s);
	json_t *root;
	char *text;
	int err;

	if (s->directory_fd < 0)
		return 0;
	root = state ? encode(s, state->serial + 1) : NULL;
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	if (!text)
		return -ENOMEM;
	err = write_file(s->directory_fd, text, strlen(text));
	if (!err) {
		state->serial++;
		state->file_bytes = strlen(text);
		begin_log(s, state);
	}
	free(text);
	return err;
}

void state_event(struct session *s, const struct policy_event *e)
{
	struct state *state = state_get(s);
	struct policy_grant_info g;
	json_t *line = NULL;
	char *text;
	int err = -ENOMEM;

	if (s->directory_fd < 0 || e->kind > POLICY_EVENT_EXPIRE)
		return;
	if (!state || state->log_fd < 0)
		return session_changed(s);
	if (e->kind == POLICY_EVENT_REVOKE || e->kind == POLICY_EVENT_EXPIRE)
		line = json_pack("{s:I}", "end", (json_int_t)e->grant);
	else if (!policy_grant_info(s->policy, e->grant, &g))
		line = json_pack("{s:o}", "grant",
				 state_grant(&g, clock_now_ns(), state_real_ms()));
	text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	if (text) {
		size_t length = strlen(text);

		text[length++] = '\n'; /* in place of the terminator */
		err = text_write(state->log_fd, text, length);
		state->log_bytes += length;
	}
	free(text);
	if (err || state->log_bytes > LOG_BYTES_MIN + 2 * state->file_bytes)
		session_changed(s);
}
