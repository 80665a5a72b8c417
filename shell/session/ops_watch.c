/* Operations on the session as a whole: hello, top, subscribe, shutdown; docs/control.md. */
#include "control_impl.h"

#include "clock.h"
#include "help.h"
#include "lifecycle.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS 200000000ull /* with VMMs that do not answer */

static void op_hello(struct request *r)
{
	struct session *s = request_session(r);

	request_ok(r, json_pack("{s:s, s:i, s:s}", "version", HELP_VERSION, "pid", (int)getpid(),
				"directory", r->client->guest[0] ? "" : s->directory));
}

static void op_subscribe(struct request *r)
{
	struct client *c = r->client;

	request_done(r);
	c->subscribed = true;
}

static void op_shutdown(struct request *r)
{
	const char *guests = request_string(r, "guests");
	struct session *s = request_session(r);
	bool leave = guests && !strcmp(guests, "leave");

	if (guests && !leave && strcmp(guests, "stop") != 0)
		return request_fail(r, CONTROL_BAD_REQUEST,
				    "guests: must be \"stop\" or \"leave\"");
	request_done(r);
	session_end(s, leave);
}

/* ---- top ------------------------------------------------------------------------- */

/* A file of /proc, terminated. Its length, or -1. */
static ssize_t read_proc(pid_t pid, const char *name, char *text, size_t capacity)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, capacity - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* User and system time of all threads, microseconds (proc(5): fields 14 and 15 of stat). */
static uint64_t cpu_us(pid_t pid)
{
	char text[1024], *at;
	unsigned long user = 0, sys = 0;

	if (read_proc(pid, "stat", text, sizeof(text)) <= 0 || !(at = strrchr(text, ')')))
		return 0;
	if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) !=
	    2)
		return 0;
	return (uint64_t)(user + sys) * 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
}

/* Its share of what is in memory. A VMM that may not be looked into shows all it maps. */
static uint64_t memory_bytes(pid_t pid)
{
	char text[2048];
	const char *at;
	unsigned long long resident;

	if (read_proc(pid, "smaps_rollup", text, sizeof(text)) > 0 && (at = strstr(text, "\nPss:")))
		return strtoull(at + 5, NULL, 10) * 1024;
	if (read_proc(pid, "statm", text, sizeof(text)) > 0 &&
	    sscanf(text, "%*u %llu", &resident) == 1)
		return resident * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

struct traffic {
	unsigned conns;
	uint64_t tx, rx;
};

/* Over the connections that are open now. */
static struct traffic sum_traffic(struct session *s, uint32_t subject)
{
	struct policy_conn_info conn = {0};
	struct exo_vmm_channel_info info;
	struct traffic sum = {0};
	const char *path;

	while (subject && policy_conn_next(s->policy, conn.id, &conn)) {
		bool opened = conn.opener == subject;

		if (!opened && conn.acceptor != subject)
			continue;
		sum.conns++;
		if (!wire_counters(s, conn.id, &info, &path))
			continue;
		sum.tx += opened ? info.tx_bytes : info.rx_bytes;
		sum.rx += opened ? info.rx_bytes : info.tx_bytes;
	}
	return sum;
}

/* What was asked for is here. */
static bool has_all(struct session *s)
{
	for (const struct machine *m = s->machines; m; m = m->next) {
		if (machine_runs(m) && m->stats_answered != m->stats_asked)
			return false;
	}
	return !control_is_refreshing(s);
}

static bool look_top(struct request *r)
{
	struct session *s = request_session(r);
	json_t *guests;

	if (!r->due && !has_all(s))
		return false;
	guests = json_array();
	for (const struct machine *m = s->machines; m; m = m->next) {
		struct traffic sum;

		if (!machine_runs(m))
			continue;
		sum = sum_traffic(s, m->subject);
		json_array_append_new(
			guests,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:i, s:I, s:I}", "name", m->name,
				  "cpu_us", (json_int_t)cpu_us(m->pid), "memory_bytes",
				  (json_int_t)memory_bytes(m->pid), "exits",
				  (json_int_t)m->stats.exits, "interrupts",
				  (json_int_t)m->stats.interrupts, "wakeups",
				  (json_int_t)m->stats.wakeups, "connections", (int)sum.conns,
				  "tx_bytes", (json_int_t)sum.tx, "rx_bytes", (json_int_t)sum.rx));
	}
	request_ok(r, json_pack("{s:o}", "guests", guests));
	return true;
}

static void op_top(struct request *r)
{
	for (struct machine *m = request_session(r)->machines; m; m = m->next) {
		if (machine_runs(m))
			machine_request_stats(m);
	}
	control_refresh(r);
	request_wait(r, look_top, clock_now_ns() + PATIENCE_NS);
}

static const struct field shutdown_fields[] = {{"guests", FIELD_STRING, false, NULL}, {NULL}};

const struct op ops_watch[] = {
	{"hello", NULL, op_hello, false},
	{"subscribe", NULL, op_subscribe, false},
	{"shutdown", shutdown_fields, op_shutdown, false},
	{"top", NULL, op_top, false},
	{NULL},
};
