/* exo grant, revoke and audit: who may reach what, and who did. */
#include "commands.h"
#include "common.h"
#include "grants.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	OPTION_DELEGATE = 2,
	OPTION_LEASE,
	OPTION_CONNECTIONS,
	OPTION_BUFFER,
	OPTION_RATE,
	OPTION_PORT,
	OPTION_JSON,
	OPTION_FOLLOW,
	OPTION_SINCE,
	OPTION_GUEST,
	OPTION_SERVICE,
};

/* ---- limits of a grant -------------------------------------------------------------- */

int grants_limit(json_t *request, const char *name, const char *value, char why[GRANTS_WHY_MAX])
{
	static const struct {
		const char *name, *key, *kind;
	} limits[] = {{"lease", "lease_ms", "a duration, as 90s or 1h"},
		      {"connections", "max_conns", "a number"},
		      {"buffer", "max_buffer", "a size, as 64K or 1M"},
		      {"rate", "max_rate", "bytes a second, as 10M"},
		      {"port", "port", "a number"}};
	uint64_t number = 0;
	unsigned i = 0;
	int err;

	if (!strcmp(name, "delegate") && !*value) {
		json_object_set_new(request, "rights", json_pack("[s,s]", "connect", "delegate"));
		return 0;
	}
	while (i < 5 && strcmp(limits[i].name, name))
		i++;
	if (i == 5) {
		snprintf(why, GRANTS_WHY_MAX,
			 "%.40s is none of delegate, lease, connections, "
			 "buffer, rate, port",
			 name);
		return -1;
	}
	if (i == 0)
		err = opts_parse_duration(value, &number);
	else if (i == 2 || i == 3)
		err = opts_parse_size(value, &number);
	else
		err = opts_parse_number(value, 1, UINT32_MAX, &number);
	number /= i == 0 ? 1000000 : 1;
	if (err || !number || number > INT64_MAX) {
		snprintf(why, GRANTS_WHY_MAX, "%s %.60s: not %s", name, value, limits[i].kind);
		return -1;
	}
	json_object_set_new(request, limits[i].key, json_integer((json_int_t)number));
	return 0;
}

/* ---- exo grant ------------------------------------------------------------------------- */

struct grant {
	json_t *request;
	bool json;
};

static const struct opts_def grant_options[] = {{"delegate", 0, false, OPTION_DELEGATE},
						{"lease", 0, true, OPTION_LEASE},
						{"connections", 0, true, OPTION_CONNECTIONS},
						{"buffer", 0, true, OPTION_BUFFER},
						{"rate", 0, true, OPTION_RATE},
						{"port", 0, true, OPTION_PORT},
						{"json", 0, false, OPTION_JSON},
						COMMON_HELP_DEF,
						{NULL}};

static int apply_grant(void *opaque, int id, char *value)
{
	struct grant *g = opaque;
	char why[GRANTS_WHY_MAX];

	if (id == OPTION_JSON) {
		g->json = true;
		return 0;
	}
	if (!grants_limit(g->request, grant_options[id - OPTION_DELEGATE].name, value ? value : "",
			  why))
		return 0;
	return text_error(CLI_TROUBLE, "grant: --%s", why);
}

int grant_command(char **argv, uint64_t start_ns)
{
	struct grant g = {.request = json_pack("{s:s}", "op", "grant")};
	json_t *answer = NULL;
	struct text out = {0};
	char **operand;
	int err = common_parse(argv, grant_options, apply_grant, &g, 2, 2,
			       "GUEST SERVICE [OPTIONS]", &operand);

	if (err) {
		json_decref(g.request);
		return common_end(err);
	}
	if (json_object_set_new(g.request, "guest", json_string(operand[0])) ||
	    json_object_set_new(g.request, "service", json_string(operand[1]))) {
		json_decref(g.request);
		return text_error(CLI_TROUBLE, "grant: a name is not UTF-8");
	}
	if ((err = common_ask("grant", g.request, &answer)))
		return err;
	if (g.json) {
		err = common_print_json(answer);
	} else {
		text_addf(&out, "%lld\n", (long long)cli_int(answer, "grant"));
		err = common_print(&out);
	}
	json_decref(answer);
	return err;
}

/* ---- exo revoke -------------------------------------------------------------------------- */

static int apply_json(void *opaque, int id, char *value)
{
	*(bool *)opaque = true;
	return 0;
}

int revoke_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"json", 0, false, OPTION_JSON}, COMMON_HELP_DEF, {NULL}};
	bool json = false;
	uint64_t number = 0;
	json_t *request, *answer = NULL;
	char **operand;
	int err = common_parse(argv, options, apply_json, &json, 1, 2, "ID | GUEST SERVICE",
			       &operand);

	if (err)
		return common_end(err);
	if (!operand[1] && opts_parse_number(operand[0], 1, UINT32_MAX, &number))
		return text_error(CLI_TROUBLE,
				  "revoke: %s is no number of a grant (exo wires shows them); or "
				  "write exo revoke GUEST SERVICE",
				  operand[0]);
	if (operand[1])
		request = json_pack("{s:s,s:s,s:s}", "op", "revoke", "guest", operand[0], "service",
				    operand[1]);
	else
		request = json_pack("{s:s,s:I}", "op", "revoke", "grant", (json_int_t)number);
	err = common_ask("revoke", request, &answer);
	if (!err && json)
		err = common_print_json(answer);
	json_decref(answer);
	return err;
}

/* ---- exo audit ------------------------------------------------------------------------------ */

struct audit {
	bool follow, json;
	uint64_t since_ns;
	const char *guest, *service;
	int written; /* exit code */
};

static int apply_audit(void *opaque, int id, char *value)
{
	struct audit *a = opaque;

	switch (id) {
	case OPTION_FOLLOW:
		a->follow = true;
		return 0;
	case OPTION_JSON:
		a->json = true;
		return 0;
	case OPTION_GUEST:
		a->guest = value;
		return 0;
	case OPTION_SERVICE:
		a->service = value;
		return 0;
	default:
		if (opts_parse_duration(value, &a->since_ns) || !a->since_ns)
			return text_error(CLI_TROUBLE,
					  "audit: --since %s: not a duration; write a number and "
					  "ms, s, m or h, as in --since 5m",
					  value);
		return 0;
	}
}

/* One event in a line: when, what, and the rest as key=value. */
static void add_event(struct text *out, const json_t *event)
{
	const char *key;
	json_t *value;

	text_addf(out, "%.40s %.40s", cli_text(event, "time"), cli_text(event, "what"));
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		if (!strcmp(key, "event") || !strcmp(key, "time") || !strcmp(key, "what"))
			continue;
		text_addf(out, " %.64s=", key);
		if (json_is_string(value))
			text_addf(out, "%.512s", json_string_value(value));
		else if (json_is_integer(value))
			text_addf(out, "%lld", (long long)json_integer_value(value));
		else
			text_addf(out, json_is_true(value) ? "yes" : "no");
	}
	text_make_printable(out->data);
	text_add(out, "\n", 1);
}

static void print_event(void *opaque, struct cli *c, const json_t *event)
{
	struct audit *a = opaque;
	struct text out = {0};

	if (a->json) {
		a->written |= common_print_json(event);
		return;
	}
	add_event(&out, event);
	a->written |= common_print(&out);
}

int audit_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {{"follow", 'f', false, OPTION_FOLLOW},
						  {"since", 0, true, OPTION_SINCE},
						  {"guest", 0, true, OPTION_GUEST},
						  {"service", 0, true, OPTION_SERVICE},
						  {"json", 0, false, OPTION_JSON},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct audit a = {0};
	json_t *request;
	struct cli c;
	char **none;
	int err = common_parse(argv, options, apply_audit, &a, 0, 0,
			       "[-f] [--since TIME] [--guest NAME] [--service NAME]", &none);

	if (err || (err = cli_open(&c, "audit")))
		return common_end(err);
	request = json_pack("{s:s}", "op", "audit");
	if (a.follow)
		json_object_set_new(request, "follow", json_true());
	if (a.since_ns)
		json_object_set_new(request, "since_ms",
				    json_integer((json_int_t)(a.since_ns / 1000000)));
	if (a.guest)
		json_object_set_new(request, "guest", json_string(a.guest));
	if (a.service)
		json_object_set_new(request, "service", json_string(a.service));
	c.on_event = print_event;
	c.opaque = &a;
	err = cli_call(&c, request, a.follow ? 0 : CLIENT_TIMEOUT_NS, NULL);
	if (err)
		common_fail(&c, "audit", err);
	cli_finish(&c);
	return err ? err : a.written;
}
