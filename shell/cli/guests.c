/* exo ps and exo top: the guests of a session as tables. */
#include "commands.h"
#include "common.h"

#include "clock.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REFRESH_MS 1000

enum { OPTION_JSON = 2, OPTION_ONCE };

struct view {
	bool json, once;
};

static int apply(void *opaque, int id, char *value)
{
	struct view *v = opaque;

	if (id == OPTION_JSON)
		v->json = true;
	else
		v->once = true;
	return 0;
}

/* ---- exo ps ----------------------------------------------------------------------- */

static void add_names(const json_t *list, char *out, size_t capacity)
{
	const json_t *name;
	size_t i, n = 0;

	*out = '\0';
	json_array_foreach(list, i, name)
	{
		const char *text = json_string_value(name);

		if (text && n + strlen(text) + 2 < capacity)
			n += (size_t)snprintf(out + n, capacity - n, "%s%s", i ? "," : "", text);
	}
}

static void add_ps_row(json_t *rows, const json_t *g)
{
	char state[64], memory[16] = "-", uptime[16] = "-", pid[16] = "-", restarts[16];
	char provides[256];
	const char *cells[8] = {cli_text(g, "name"),
				state,
				cli_text(g, "label"),
				pid,
				memory,
				uptime,
				restarts,
				provides};

	snprintf(state, sizeof(state), "%s%s", cli_text(g, "state"),
		 cli_flag(g, "paused") ? ", paused" : "");
	if (cli_int(g, "pid")) {
		snprintf(pid, sizeof(pid), "%lld", (long long)cli_int(g, "pid"));
		common_bytes((uint64_t)cli_int(g, "memory"), memory);
		common_duration((uint64_t)cli_int(g, "uptime_ms"), uptime);
	} else if (*cli_text(g, "reason")) {
		snprintf(state, sizeof(state), "%s: %s %lld", cli_text(g, "state"),
			 cli_text(g, "reason"), (long long)cli_int(g, "status"));
	}
	snprintf(restarts, sizeof(restarts), "%lld", (long long)cli_int(g, "restarts"));
	add_names(cli_list(g, "provides"), provides, sizeof(provides));
	common_row(rows, 8, cells);
}

int ps_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"json", 0, false, OPTION_JSON}, COMMON_HELP_DEF, {NULL}};
	static const char *const head[8] = {"NAME",   "STATE", "LABEL",    "PID",
					    "MEMORY", "UP",    "RESTARTS", "PROVIDES"};
	struct view v = {0};
	json_t *answer, *rows;
	struct text out = {0};
	const json_t *guest;
	char **none;
	size_t i;
	int err = common_parse(argv, options, apply, &v, 0, 0, "[--json]", &none);

	if (err || (err = common_ask("ps", json_pack("{s:s}", "op", "ps"), &answer)))
		return common_end(err);
	if (v.json) {
		err = common_print_json(answer);
		json_decref(answer);
		return err;
	}
	rows = json_array();
	common_row(rows, 8, head);
	json_array_foreach(cli_list(answer, "guests"), i, guest) add_ps_row(rows, guest);
	common_table(rows, &out);
	json_decref(rows);
	json_decref(answer);
	return common_print(&out);
}

/* ---- exo top ------------------------------------------------------------------------ */

static const json_t *find_guest(const json_t *answer, const char *name)
{
	const json_t *g;
	size_t i;

	json_array_foreach(cli_list(answer, "guests"), i, g)
	{
		if (!strcmp(cli_text(g, "name"), name))
			return g;
	}
	return NULL;
}

/* Since `before` when there is one and the guest is the same; else in all. */
static int64_t delta(const json_t *now, const json_t *before, const char *key)
{
	int64_t difference = cli_int(now, key) - (before ? cli_int(before, key) : 0);

	return difference < 0 ? cli_int(now, key) : difference;
}

static void add_top_row(json_t *rows, const json_t *g, const json_t *before, double seconds)
{
	static const char *const counts[] = {"exits", "interrupts", "wakeups"};
	char cpu[16], memory[16], conns[16], tx[16], rx[16], count[3][24];
	const char *cells[9] = {
		cli_text(g, "name"), cpu, memory, count[0], count[1], count[2], conns, tx, rx};
	double us = (double)delta(g, before, "cpu_us");

	if (before)
		snprintf(cpu, sizeof(cpu), "%.1f%%", us / seconds / 1e4);
	else
		snprintf(cpu, sizeof(cpu), "%.2fs", us / 1e6);
	common_bytes((uint64_t)cli_int(g, "memory_bytes"), memory);
	for (int i = 0; i < 3; i++)
		snprintf(count[i], sizeof(count[i]), "%.0f",
			 (double)delta(g, before, counts[i]) / seconds);
	snprintf(conns, sizeof(conns), "%lld", (long long)cli_int(g, "connections"));
	common_bytes((uint64_t)((double)delta(g, before, "tx_bytes") / seconds), tx);
	common_bytes((uint64_t)((double)delta(g, before, "rx_bytes") / seconds), rx);
	common_row(rows, 9, cells);
}

/* `before` NULL: totals. */
static int show_top(const json_t *answer, const json_t *before, double seconds)
{
	static const char *const totals[9] = {"NAME",    "CPU",   "MEMORY", "EXITS",   "INTERRUPTS",
					      "WAKEUPS", "CONNS", "SENT",   "RECEIVED"};
	static const char *const rates[9] = {"NAME",    "CPU",          "MEMORY",
					     "EXITS/s", "INTERRUPTS/s", "WAKEUPS/s",
					     "CONNS",   "SENT/s",       "RECEIVED/s"};
	json_t *rows = json_array();
	struct text out = {0};
	const json_t *g;
	size_t i;

	common_row(rows, 9, before ? rates : totals);
	json_array_foreach(cli_list(answer, "guests"), i, g)
	{
		const json_t *old = before ? find_guest(before, cli_text(g, "name")) : NULL;

		add_top_row(rows, g, old, old ? seconds : 1);
	}
	if (before) /* home, and what was there before goes */
		text_addf(&out, "\033[H\033[J");
	common_table(rows, &out);
	json_decref(rows);
	return common_print(&out);
}

/* Until interrupted, or the session is gone. */
static int refresh(struct cli *c, json_t *before)
{
	uint64_t last_ns = clock_now_ns();
	json_t *answer;
	int err = 0;

	while (!err) {
		poll(NULL, 0, REFRESH_MS);
		err = cli_call(c, json_pack("{s:s}", "op", "top"), CLIENT_TIMEOUT_NS, &answer);
		if (err) {
			common_fail(c, "top", err);
			break;
		}
		err = show_top(answer, before, (double)(clock_now_ns() - last_ns) / 1e9);
		last_ns = clock_now_ns();
		json_decref(before);
		before = answer;
	}
	json_decref(before);
	return err;
}

int top_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {{"json", 0, false, OPTION_JSON},
						  {"once", '1', false, OPTION_ONCE},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct view v = {0};
	struct cli c;
	json_t *answer;
	char **none;
	int err = common_parse(argv, options, apply, &v, 0, 0, "[-1] [--json]", &none);

	if (err || (err = cli_open(&c, "top")))
		return common_end(err);
	err = cli_call(&c, json_pack("{s:s}", "op", "top"), CLIENT_TIMEOUT_NS, &answer);
	if (err) {
		common_fail(&c, "top", err);
	} else if (v.json || v.once || !isatty(STDOUT_FILENO)) {
		err = v.json ? common_print_json(answer) : show_top(answer, NULL, 1);
		json_decref(answer);
	} else {
		err = refresh(&c, answer);
	}
	cli_finish(&c);
	return err;
}
