/* Commands of scenario files on the session, its guests and grants; see script.h. */
#include "script.h"

#include "clock.h"
#include "grants.h"
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_US 5000 /* while something is waited for that sends no news */

/* ---- the session ------------------------------------------------------------------------ */

/* The child; it ends with us. Its lines are not for our TAP. */
static void exec_session(const struct script *s)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setenv("EXO_SESSION", s->folder, 1);
	if (dup2(null, STDIN_FILENO) == STDIN_FILENO && dup2(null, STDOUT_FILENO) == STDOUT_FILENO)
		execl("/proc/self/exe", "exo", "session", (char *)NULL);
	_exit(GUEST_EXIT_FAILURE);
}

/* Until it listens. 0, or -1 with s->why. */
static int dial(struct script *s)
{
	uint64_t until_ns = clock_now_ns() + s->timeout_ns;
	int fd;

	while ((fd = cli_dial(s->socket)) < 0) {
		if (clock_now_ns() > until_ns || !s->own_session)
			return script_fail(s, "no session at %s: %s", s->socket, strerror(-fd));
		if (s->session && waitpid(s->session, NULL, WNOHANG) == s->session) {
			s->session = 0;
			return script_fail(s, "the session ended at its start");
		}
		usleep(POLL_US);
	}
	cli_finish(&s->c);
	cli_init(&s->c, fd);
	return 0;
}

static int start_session(struct script *s)
{
	s->session = fork();
	if (!s->session)
		exec_session(s);
	if (s->session < 0) {
		s->session = 0;
		return script_fail(s, "fork: %s", strerror(errno));
	}
	s->own_session = true;
	cli_socket_path_in(s->folder, s->socket);
	return dial(s);
}

int script_need_session(struct script *s)
{
	if (*s->socket)
		return 0;
	if (!getenv("EXO_SCENARIO")) /* of the desktop that runs us */
		return start_session(s);
	return cli_socket_path(s->socket) ? script_fail(s, "EXO_SESSION: too long") : dial(s);
}

static int run_session(struct script *s, struct script_line *l)
{
	const char *which = l->word[1];

	if (*s->socket)
		return script_fail(s, "there is a session already");
	if (!strcmp(which, "private"))
		return start_session(s);
	if (strcmp(which, "default") != 0 ? cli_socket_path_in(which, s->socket)
					  : cli_socket_path(s->socket))
		return script_fail(s, "%.80s: too long", which);
	return dial(s);
}

static int run_kill_session(struct script *s, struct script_line *l)
{
	if (!s->session)
		return script_fail(s, "no session of this script runs");
	kill(s->session, SIGKILL);
	waitpid(s->session, NULL, 0);
	s->session = 0;
	cli_finish(&s->c);
	return 0;
}

static int run_restart_session(struct script *s, struct script_line *l)
{
	if (s->session && run_kill_session(s, l))
		return -1;
	return s->own_session ? start_session(s) : script_fail(s, "no session of this script's");
}

void script_end_session(struct script *s)
{
	if (!s->own_session)
		return;
	if (!s->session) /* its guests go on without it */
		start_session(s);
	if (!s->session)
		return;
	script_call(s, json_pack("{s:s}", "op", "shutdown"), s->timeout_ns, NULL);
	for (int i = 0; i < 1000 && waitpid(s->session, NULL, WNOHANG) == 0; i++)
		usleep(POLL_US);
	kill(s->session, SIGKILL);
	waitpid(s->session, NULL, 0);
	s->session = 0;
}

int script_call(struct script *s, json_t *request, uint64_t timeout_ns, json_t **answer)
{
	if (script_need_session(s)) {
		json_decref(request);
		return -1;
	}
	if (cli_call(&s->c, request, timeout_ns, answer))
		return script_fail(s, "%s: %s", s->c.code, s->c.why);
	return 0;
}

/* ---- start ------------------------------------------------------------------------------- */

enum { OPTION_MOUNT = 1, OPTION_GRANT, OPTION_LABEL };

struct starting {
	struct guest guest;
	char *mount[8], *grant[8], *label;
	struct start_extra extra;
};

static int parse_start(struct script *s, struct script_line *l, struct starting *st)
{
	static const struct opts_def options[] = {GUEST_OPTION_DEFS,
						  {"mount", 0, true, OPTION_MOUNT},
						  {"grant", 0, true, OPTION_GRANT},
						  {"label", 0, true, OPTION_LABEL},
						  {NULL}};
	struct opts o;
	int id;

	opts_init(&o, options, l->word + 1);
	while ((id = opts_next(&o)) != OPTS_DONE) {
		if (id == OPTS_ERROR)
			return script_fail(s, "%s", o.error);
		if (id == OPTION_LABEL)
			st->label = o.value;
		else if (id == OPTION_MOUNT && st->extra.nmounts < 8)
			st->mount[st->extra.nmounts++] = o.value;
		else if (id == OPTION_GRANT && st->extra.ngrants < 8)
			st->grant[st->extra.ngrants++] = o.value;
		else if (id < GUEST_OPTION || guest_option(&st->guest, id, o.value))
			return script_fail(s, "an option cannot be used");
	}
	if (!o.argv[o.pos])
		return script_fail(s, "no program given");
	guest_set_program(&st->guest, o.argv + o.pos);
	return 0;
}

/* Its console: what it prints comes here, what is sent it reads. */
static int send_start(struct script *s, const char *name, json_t *request)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, fds[3], err = -1;

	if (pipe2(in, O_CLOEXEC | O_NONBLOCK) || pipe2(out, O_CLOEXEC | O_NONBLOCK)) {
		script_fail(s, "pipe: %s", strerror(errno));
		json_decref(request);
	} else {
		fds[0] = in[0];
		fds[1] = fds[2] = out[1];
		err = cli_call_fds(&s->c, request, fds, 3, 6 * CLIENT_TIMEOUT_NS, NULL);
		if (err)
			err = script_fail(s, "%s: %s", s->c.code, s->c.why);
	}
	close(in[0]);
	close(out[1]);
	if (!err)
		return script_add_channel(s, name, true, out[0], in[1], false);
	close(in[1]);
	close(out[0]);
	return -1;
}

static int run_start(struct script *s, struct script_line *l)
{
	struct starting st = {.extra = {.is_named = true}};
	char manifest[START_PATH_MAX], why[START_WHY_MAX];
	json_t *request = NULL;
	int err;

	guest_init(&st.guest);
	st.guest.cpus = 0;
	st.extra.mount = st.mount;
	st.extra.grant = st.grant;
	err = parse_start(s, l, &st);
	if (!err)
		err = script_need_session(s);
	if (!err) {
		snprintf(st.guest.name, sizeof(st.guest.name), "%s", l->word[1]);
		if (!start_find_manifest(st.guest.program, manifest, NULL))
			st.extra.manifest = manifest;
		request = start_request(&st.guest, &st.extra, why);
		err = request ? 0 : script_fail(s, "%s", why);
	}
	if (!err && st.label)
		json_object_set_new(request, "label", json_string(st.label));
	if (!err)
		err = send_start(s, l->word[1], request);
	guest_finish(&st.guest);
	return err;
}

/* ---- one guest ------------------------------------------------------------------------------- */

static int wait_for(struct script *s, const char *name, const char *what, uint64_t timeout_ns,
		    json_t **answer)
{
	return script_call(s,
			   json_pack("{s:s,s:s,s:s,s:I}", "op", "wait", "guest", name, "for", what,
				     "timeout_ms", (json_int_t)(timeout_ns / 1000000)),
			   timeout_ns + CLIENT_TIMEOUT_NS, answer);
}

static int run_wait(struct script *s, struct script_line *l)
{
	bool failed = !strcmp(l->word[2], "failed");
	uint64_t timeout_ns = s->timeout_ns;
	json_t *answer = NULL;
	int err;

	if (l->word[3] && script_duration(s, l->word[3], &timeout_ns))
		return -1;
	err = wait_for(s, l->word[1], failed ? "ended" : l->word[2], timeout_ns, &answer);
	if (!err && failed && strcmp(cli_text(answer, "state"), "failed") != 0)
		err = script_fail(s, "it is %s: %s %lld", cli_text(answer, "state"),
				  cli_text(answer, "reason"), (long long)cli_int(answer, "status"));
	json_decref(answer);
	return err;
}

static int run_expect_exit(struct script *s, struct script_line *l)
{
	json_t *answer = NULL;
	char code[16];
	int err = wait_for(s, l->word[1], "ended", s->timeout_ns, &answer);

	if (err)
		return err;
	snprintf(code, sizeof(code), "%lld", (long long)cli_int(answer, "exit_code"));
	if (strcmp(code, l->word[2]) != 0)
		err = script_fail(s, "exit code %s: %s %lld %s", code, cli_text(answer, "reason"),
				  (long long)cli_int(answer, "status"), cli_text(answer, "detail"));
	json_decref(answer);
	return err;
}

/* kill, stop, pause, resume, remove NAME */
static int run_op(struct script *s, struct script_line *l)
{
	return script_call(s, json_pack("{s:s,s:s}", "op", l->word[0], "guest", l->word[1]),
			   s->timeout_ns, NULL);
}

static int run_signal(struct script *s, struct script_line *l)
{
	uint64_t signo;

	if (opts_parse_number(l->word[2], 1, 64, &signo))
		return script_fail(s, "%.80s: not a signal's number", l->word[2]);
	return script_call(s,
			   json_pack("{s:s,s:s,s:i}", "op", "signal", "guest", l->word[1], "signal",
				     (int)signo),
			   s->timeout_ns, NULL);
}

static int run_add(struct script *s, struct script_line *l)
{
	char path[START_PATH_MAX];

	if (start_find_manifest(l->word[1], path, NULL))
		return script_fail(s, "%.200s: no such manifest", l->word[1]);
	return script_call(s, json_pack("{s:s,s:s}", "op", "add", "manifest", path), s->timeout_ns,
			   NULL);
}

/* ---- grants -------------------------------------------------------------- */

static int run_grant(struct script *s, struct script_line *l)
{
	json_t *answer = NULL, *request = json_pack("{s:s,s:s,s:s}", "op", "grant", "guest",
						    l->word[1], "service", l->word[2]);
	char why[GRANTS_WHY_MAX], number[24];

	for (char **word = l->word + 3; *word; word++) {
		char *equals = strchr(*word, '=');

		if (equals)
			*equals++ = '\0';
		if (grants_limit(request, *word, equals ? equals : "", why)) {
			json_decref(request);
			return script_fail(s, "%s", why);
		}
	}
	if (script_call(s, request, s->timeout_ns, &answer))
		return -1;
	snprintf(number, sizeof(number), "%lld", (long long)cli_int(answer, "grant"));
	script_set(s, "grant", number);
	json_decref(answer);
	return 0;
}

static int run_revoke(struct script *s, struct script_line *l)
{
	uint64_t id = 0;

	if (l->word[2])
		return script_call(s,
				   json_pack("{s:s,s:s,s:s}", "op", "revoke", "guest", l->word[1],
					     "service", l->word[2]),
				   s->timeout_ns, NULL);
	if (opts_parse_number(l->word[1], 1, UINT32_MAX, &id))
		return script_fail(s, "%.80s: not a grant's number", l->word[1]);
	return script_call(s, json_pack("{s:s,s:I}", "op", "revoke", "grant", (json_int_t)id),
			   s->timeout_ns, NULL);
}

/* ---- assertions
 * ---------------------------------------------------------------------------------- */

/* The sum of `field` over the list's objects whose keys are these; how many there are. */
static int64_t sum(const json_t *list, const char *const *keys, char *const *values,
		   const char *field, unsigned *found)
{
	const json_t *object;
	int64_t total = 0;
	size_t i;

	json_array_foreach(list, i, object)
	{
		bool same = true;

		for (unsigned k = 0; values && keys[k]; k++)
			same = same && !strcmp(cli_text(object, keys[k]), values[k]);
		*found += same && (!*field || json_object_get(object, field));
		total += same ? cli_int(object, field) : 0;
	}
	return total;
}

/* counter NAME FIELD, wire FROM TO FIELD, or count LIST, as it is now. 0 or -1 with s->why. */
static int measure(struct script *s, struct script_line *l, int64_t *value)
{
	static const char *const none[] = {NULL}, *const name[] = {"name", NULL},
				 *const ends[] = {"from", "to", NULL};
	static const char *const ops[] = {"top", "ps"};
	const char *what = l->word[1];
	json_t *answer = NULL;
	unsigned found = 0;

	if (!strcmp(what, "counter")) {
		for (int i = 0; i < 2 && !found; i++) {
			if (script_call(s, json_pack("{s:s}", "op", ops[i]), s->timeout_ns,
					&answer))
				return -1;
			*value = sum(cli_list(answer, "guests"), name, l->word + 2, l->word[3],
				     &found);
			json_decref(answer);
		}
		return found ? 0
			     : script_fail(s, "no guest %.60s with a %.60s", l->word[2],
					   l->word[3]);
	}
	if (script_call(s, json_pack("{s:s}", "op", "wires"), s->timeout_ns, &answer))
		return -1;
	if (!strcmp(what, "wire")) {
		*value =
			sum(cli_list(answer, "connections"), ends, l->word + 2, l->word[4], &found);
	} else {
		sum(cli_list(answer, l->word[2]), none, NULL, "", &found);
		*value = found;
	}
	json_decref(answer);
	return 0;
}

/* Counters come late, so what does not hold yet is asked again until the timeout. */
static int run_assert(struct script *s, struct script_line *l)
{
	static const struct {
		const char *name;
		unsigned words;
	} kinds[] = {{"counter", 6}, {"wire", 7}, {"count", 5}};
	uint64_t until_ns = clock_now_ns() + s->timeout_ns;
	const char *op = l->word[l->nwords - 2];
	char *end;
	int64_t value, wanted = strtoll(l->word[l->nwords - 1], &end, 10);
	unsigned i = 0;

	while (i < 3 && (strcmp(kinds[i].name, l->word[1]) != 0 || kinds[i].words != l->nwords))
		i++;
	if (i == 3 || *end || script_compare(0, op, 0) < 0)
		return script_fail(s, "write: assert counter GUEST FIELD OP N, assert wire FROM TO "
				      "FIELD OP N, or assert count LIST OP N");
	for (;;) {
		if (measure(s, l, &value))
			return -1;
		if (script_compare(value, op, wanted) > 0)
			return 0;
		if (clock_now_ns() >= until_ns)
			return script_fail(s, "it is %lld", (long long)value);
		usleep(POLL_US);
	}
}

const struct script_command script_guest_commands[] = {
	{"session", 1, 1, run_session, "private | default | FOLDER"},
	{"kill-session", 0, 0, run_kill_session, ""},
	{"restart-session", 0, 0, run_restart_session, ""},
	{"start", 2, SCRIPT_WORDS_MAX, run_start, "NAME [OPTIONS] PROGRAM [ARGUMENTS…]"},
	{"add", 1, 1, run_add, "MANIFEST"},
	{"remove", 1, 1, run_op, "NAME"},
	{"wait", 2, 3, run_wait, "NAME ready | ended | failed [TIME]"},
	{"expect-exit", 2, 2, run_expect_exit, "NAME CODE"},
	{"kill", 1, 1, run_op, "NAME"},
	{"stop", 1, 1, run_op, "NAME"},
	{"signal", 2, 2, run_signal, "NAME NUMBER"},
	{"pause", 1, 1, run_op, "NAME"},
	{"resume", 1, 1, run_op, "NAME"},
	{"grant", 2, 8, run_grant, "GUEST SERVICE [delegate] [LIMIT=VALUE…]"},
	{"revoke", 1, 2, run_revoke, "NUMBER | GUEST SERVICE"},
	{"assert", 4, 6, run_assert, "counter | wire | count … OP NUMBER"},
	{NULL},
};
