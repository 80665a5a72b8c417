/* exo kill, stop, pause, resume, wait, add, remove, log: one guest at a time. */
#include "commands.h"
#include "common.h"

#include "launch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STOP_MS_DEFAULT 2000
#define NAMES_MAX 4096

enum { OPTION_SIGNAL = 2, OPTION_TIMEOUT, OPTION_FOLLOW, OPTION_LINES, OPTION_FOR, OPTION_JSON };

struct manage {
	uint64_t signal, timeout_ns, lines;
	bool has_timeout, follow, json;
	const char *state; /* wait */
};

/* ---- options -------------------------------------------------------------------------- */

static int parse_signal(const char *text, uint64_t *signo)
{
	static const struct {
		const char *name;
		int number;
	} names[] = {{"HUP", SIGHUP},   {"INT", SIGINT},    {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
		     {"USR1", SIGUSR1}, {"USR2", SIGUSR2},  {"ALRM", SIGALRM}, {"TERM", SIGTERM},
		     {"CONT", SIGCONT}, {"WINCH", SIGWINCH}};
	const char *bare = strncmp(text, "SIG", 3) ? text : text + 3;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(bare, names[i].name)) {
			*signo = (uint64_t)names[i].number;
			return 0;
		}
	}
	if (!opts_parse_number(text, 1, 64, signo))
		return 0;
	return text_error(CLI_TROUBLE,
			  "kill: --signal %s: no such signal; write a name as TERM, "
			  "or a number from 1 to 64",
			  text);
}

static int parse_timeout(const char *text, uint64_t *ns)
{
	if (!opts_parse_duration(text, ns))
		return 0;
	return text_error(CLI_TROUBLE,
			  "--timeout %s: not a duration; write a number and ms, s, m or h, as in "
			  "--timeout 10s",
			  text);
}

static int apply(void *opaque, int id, char *value)
{
	struct manage *m = opaque;

	switch (id) {
	case OPTION_SIGNAL:
		return parse_signal(value, &m->signal);
	case OPTION_TIMEOUT:
		m->has_timeout = true;
		return parse_timeout(value, &m->timeout_ns);
	case OPTION_LINES:
		if (opts_parse_number(value, 0, 1000000, &m->lines))
			return text_error(CLI_TROUBLE, "--lines %s: not a number up to 1000000",
					  value);
		return 0;
	case OPTION_FOR:
		m->state = value;
		if (strcmp(value, "ready") && strcmp(value, "ended"))
			return text_error(CLI_TROUBLE, "wait: --for %s: ready or ended", value);
		return 0;
	case OPTION_JSON:
		m->json = true;
		return 0;
	default:
		m->follow = true;
		return 0;
	}
}

/* ---- the same for each name -------------------------------------------------------------- */

/* Makes a request of one name. */
typedef json_t *request_fn(const struct manage *m, const char *name);

static int each_name(char **argv, const struct opts_def *options, struct manage *m,
		     request_fn *request, const char *usage, uint64_t patience_ns)
{
	struct cli c;
	char **names;
	int worst, status = common_parse(argv, options, apply, m, 1, NAMES_MAX, usage, &names);

	if (status || (status = cli_open(&c, argv[0])))
		return common_end(status);
	for (worst = 0; *names; names++) {
		status = cli_call(&c, request(m, *names), patience_ns + m->timeout_ns, NULL);
		if (status)
			common_fail(&c, argv[0], status);
		if (status > worst)
			worst = status;
		if (!strcmp(c.code, "lost"))
			break;
	}
	cli_finish(&c);
	return worst;
}

static json_t *kill_request(const struct manage *m, const char *name)
{
	if (!m->signal)
		return json_pack("{s:s,s:s}", "op", "kill", "guest", name);
	return json_pack("{s:s,s:s,s:I}", "op", "signal", "guest", name, "signal",
			 (json_int_t)m->signal);
}

int kill_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"signal", 's', true, OPTION_SIGNAL}, COMMON_HELP_DEF, {NULL}};
	struct manage m = {0};

	return each_name(argv, options, &m, kill_request, "[-s SIGNAL] NAME…", CLIENT_TIMEOUT_NS);
}

static json_t *stop_request(const struct manage *m, const char *name)
{
	if (!m->has_timeout)
		return json_pack("{s:s,s:s}", "op", "stop", "guest", name);
	return json_pack("{s:s,s:s,s:I}", "op", "stop", "guest", name, "timeout_ms",
			 (json_int_t)(m->timeout_ns / 1000000));
}

int stop_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"timeout", 't', true, OPTION_TIMEOUT}, COMMON_HELP_DEF, {NULL}};
	struct manage m = {0};

	return each_name(argv, options, &m, stop_request, "[-t TIME] NAME…", CLIENT_TIMEOUT_NS);
}

static json_t *pause_request(const struct manage *m, const char *name)
{
	return json_pack("{s:s,s:s}", "op", "pause", "guest", name);
}

static json_t *resume_request(const struct manage *m, const char *name)
{
	return json_pack("{s:s,s:s}", "op", "resume", "guest", name);
}

static json_t *remove_request(const struct manage *m, const char *name)
{
	return json_pack("{s:s,s:s}", "op", "remove", "guest", name);
}

static const struct opts_def help_only[] = {COMMON_HELP_DEF, {NULL}};

int pause_command(char **argv, uint64_t start_ns)
{
	return each_name(argv, help_only, &(struct manage){0}, pause_request, "NAME…",
			 CLIENT_TIMEOUT_NS);
}

int resume_command(char **argv, uint64_t start_ns)
{
	return each_name(argv, help_only, &(struct manage){0}, resume_request, "NAME…",
			 CLIENT_TIMEOUT_NS);
}

int remove_command(char **argv, uint64_t start_ns)
{
	return each_name(argv, help_only, &(struct manage){0}, remove_request, "NAME…",
			 CLIENT_TIMEOUT_NS);
}

static json_t *add_request(const struct manage *m, const char *name)
{
	char *path = realpath(name, NULL);
	json_t *request = json_pack("{s:s,s:s}", "op", "add", "manifest", path ? path : name);

	free(path);
	return request;
}

int add_command(char **argv, uint64_t start_ns)
{
	struct manage m = {0};

	for (char **name = argv + 1; *name; name++) { /* the session would see another folder */
		if (**name != '-' && access(*name, R_OK))
			return text_error(CLI_REFUSED, "add: %s: cannot be read", *name);
	}
	return each_name(argv, help_only, &m, add_request, "MANIFEST…", CLIENT_TIMEOUT_NS);
}

/* ---- exo wait ------------------------------------------------------------------------------ */

static int show_wait(const struct manage *m, const char *name, const json_t *answer)
{
	struct text out = {0};

	if (m->json)
		return common_print_json(answer);
	text_addf(&out, "%s: %s", name, cli_text(answer, "state"));
	if (*cli_text(answer, "reason"))
		text_addf(&out, ": %s %lld", cli_text(answer, "reason"),
			  (long long)cli_int(answer, "status"));
	text_add(&out, "\n", 1);
	return common_print(&out);
}

int wait_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {{"for", 'f', true, OPTION_FOR},
						  {"timeout", 't', true, OPTION_TIMEOUT},
						  {"json", 0, false, OPTION_JSON},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct manage m = {.state = "ended"};
	json_t *request, *answer = NULL;
	struct cli c;
	char **name;
	int status = common_parse(argv, options, apply, &m, 1, 1,
				  "[--for ready|ended] [-t TIME] NAME", &name);

	if (status || (status = cli_open(&c, "wait")))
		return common_end(status);
	request = json_pack("{s:s,s:s,s:s}", "op", "wait", "guest", *name, "for", m.state);
	if (m.has_timeout)
		json_object_set_new(request, "timeout_ms",
				    json_integer((json_int_t)(m.timeout_ns / 1000000)));
	status = cli_call(&c, request, m.has_timeout ? m.timeout_ns + CLIENT_TIMEOUT_NS : 0,
			  &answer);
	if (status)
		common_fail(&c, "wait", status);
	else
		status = show_wait(&m, *name, answer);
	if (status && !strcmp(c.code, "timeout") && m.has_timeout)
		status = GUEST_EXIT_TIMEOUT;
	json_decref(answer);
	cli_finish(&c);
	return status;
}

/* ---- exo log ------------------------------------------------------------- */

/* What a guest wrote must not steer a terminal. */
static void print_log(void *opaque, struct cli *c, const json_t *event)
{
	const json_t *field = json_object_get(event, "text");
	size_t length = json_string_length(field);
	const char *text = json_string_value(field);
	struct text out = {0};

	if (!text)
		return;
	text_add(&out, text, length);
	for (size_t i = 0; isatty(STDOUT_FILENO) && i < out.length; i++) {
		unsigned char byte = (unsigned char)out.data[i];

		if ((byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7f)
			out.data[i] = '?';
		if (byte == 0xc2 && (unsigned char)out.data[i + 1] < 0xa0) /* C1 controls */
			out.data[i] = out.data[i + 1] = '?';
	}
	*(int *)opaque |= common_print(&out);
}

int log_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {{"follow", 'f', false, OPTION_FOLLOW},
						  {"lines", 'n', true, OPTION_LINES},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct manage m = {.lines = UINT64_MAX};
	int written = 0;
	json_t *request;
	struct cli c;
	char **name;
	int status = common_parse(argv, options, apply, &m, 1, 1, "[-f] [-n LINES] NAME", &name);

	if (status || (status = cli_open(&c, "log")))
		return common_end(status);
	request = json_pack("{s:s,s:s}", "op", "log", "guest", *name);
	if (m.follow)
		json_object_set_new(request, "follow", json_true());
	if (m.lines != UINT64_MAX)
		json_object_set_new(request, "lines", json_integer((json_int_t)m.lines));
	c.on_event = print_log;
	c.opaque = &written;
	status = cli_call(&c, request, m.follow ? 0 : CLIENT_TIMEOUT_NS, NULL);
	if (status)
		common_fail(&c, "log", status);
	cli_finish(&c);
	return status ? status : written;
}
