/*
 * Commands: words as those of `exo`, made into requests of the control socket's protocol
 * (docs/control.md) over the channel "control", and the answers into lines for a person.
 */
#include "term.h"

#include <errno.h>
#include <exo_channel.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES (1u << 20)
#define WORDS_MAX 40
#define PENDING_MAX 32

typedef void show_fn(const json_t *answer);

static struct {
	int fd; /* 0: never opened; -1: gone */
	char *in;
	size_t n;
	json_int_t id;
	struct {
		json_int_t id;
		show_fn *show;
	} pending[PENDING_MAX];
	bool watching;
} wire;

/* ---- showing ------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static long long number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *size_of(long long bytes)
{
	static char out[4][24];
	static unsigned turn;
	double n = (double)bytes;
	unsigned u = 0;

	for (; n >= 1000 && u < 4; u++)
		n /= 1024;
	turn = (turn + 1) % 4;
	snprintf(out[turn], sizeof(out[0]), u && n < 10 ? "%.1f%c" : "%.0f%c", n, " KMGT"[u]);
	return out[turn];
}

static void show_nothing(const json_t *answer)
{
	term_print(INK_GOOD, "done");
}

static void show_ps(const json_t *answer)
{
	const json_t *g;
	size_t i;

	term_print(INK_DIM, "%-16s %-10s %-12s %8s  %s", "GUEST", "STATE", "LABEL", "MEMORY", "UP");
	json_array_foreach(json_object_get(answer, "guests"), i, g)
	{
		term_print(INK_PLAIN, "%-16s %-10s %-12s %8s  %lld s", text_of(g, "name"),
			   json_is_true(json_object_get(g, "paused")) ? "paused"
								      : text_of(g, "state"),
			   text_of(g, "label"), size_of(number_of(g, "memory")),
			   number_of(g, "uptime_ms") / 1000);
	}
}

static void show_top(const json_t *answer)
{
	const json_t *g;
	size_t i;

	term_print(INK_DIM, "%-16s %9s %8s %8s %8s %6s", "GUEST", "CPU ms", "MEMORY", "SENT",
		   "RECEIVED", "CONNS");
	json_array_foreach(json_object_get(answer, "guests"), i, g)
	{
		term_print(INK_PLAIN, "%-16s %9lld %8s %8s %8s %6lld", text_of(g, "name"),
			   number_of(g, "cpu_us") / 1000, size_of(number_of(g, "memory_bytes")),
			   size_of(number_of(g, "tx_bytes")), size_of(number_of(g, "rx_bytes")),
			   number_of(g, "connections"));
	}
}

static void show_wires(const json_t *answer)
{
	const json_t *o;
	size_t i;

	json_array_foreach(json_object_get(answer, "grants"), i, o)
	{
		term_print(INK_PLAIN, "%4lld  %-14s -> %-14s %s, %lld open", number_of(o, "grant"),
			   text_of(o, "guest"), text_of(o, "service"), text_of(o, "origin"),
			   number_of(o, "connections"));
	}
	json_array_foreach(json_object_get(answer, "connections"), i, o)
	{
		term_print(INK_DIM, "      %s -> %s (%s, %s): %s there, %s back",
			   text_of(o, "from"), text_of(o, "to"), text_of(o, "service"),
			   text_of(o, "path"), size_of(number_of(o, "tx_bytes")),
			   size_of(number_of(o, "rx_bytes")));
	}
}

static void show_answer(const json_t *answer)
{
	const json_t *line;
	size_t i;

	json_array_foreach(json_object_get(answer, "answer"), i, line)
	{
		if (json_is_string(line))
			term_print(INK_PLAIN, "%s", json_string_value(line));
	}
}

static void show_started(const json_t *answer)
{
	term_print(INK_GOOD, "started %s", text_of(answer, "guest"));
}

static void show_granted(const json_t *answer)
{
	term_print(INK_GOOD, "grant %lld", number_of(answer, "grant"));
}

static void show_revoked(const json_t *answer)
{
	term_print(INK_GOOD, "revoked %lld", number_of(answer, "revoked"));
}

static void show_end(const json_t *answer)
{
	term_print(INK_PLAIN, "%s %s, exit status %lld %s", text_of(answer, "state"),
		   text_of(answer, "reason"), number_of(answer, "exit_code"),
		   text_of(answer, "detail"));
}

/* ---- the channel --------------------------------------------------------------------------- */

int control_fd(void)
{
	return wire.fd > 0 ? wire.fd : -1;
}

static void lose(void)
{
	term_print(INK_BAD, "the control channel ended (%s); `connect` tries again",
		   exo_reason_name(exo_reason(wire.fd)));
	close(wire.fd);
	wire.fd = -1;
	wire.n = 0;
	memset(wire.pending, 0, sizeof(wire.pending));
}

void control_open(void)
{
	if (!wire.in)
		wire.in = malloc(LINE_BYTES);
	if (wire.fd > 0 || !wire.in)
		return;
	wire.fd = exo_connect("control", SOCK_STREAM | SOCK_CLOEXEC);
	if (wire.fd >= 0)
		term_print(INK_GOOD, "connected to the session; `help` lists the commands");
	else
		term_print(INK_BAD, "no control channel: %s%s", strerror(errno),
			   errno == ENOENT || errno == EACCES
				   ? "; the manifest needs `control =` in [uses]"
				   : "");
}

static bool send_line(const char *text, size_t n)
{
	while (n) {
		ssize_t sent = send(wire.fd, text, n, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		text += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Takes over request. */
static void ask(json_t *request, show_fn *show)
{
	unsigned at = 0;
	char *text;

	while (at < PENDING_MAX && wire.pending[at].id)
		at++;
	if (control_fd() < 0 || at == PENDING_MAX || !request) {
		term_print(INK_BAD, control_fd() < 0 ? "not connected; `connect` tries again"
						     : "too much is not answered yet");
		json_decref(request);
		return;
	}
	json_object_set_new(request, "id", json_integer(++wire.id));
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	wire.pending[at].id = wire.id;
	wire.pending[at].show = show;
	if (!text || !send_line(text, strlen(text)) || !send_line("\n", 1))
		lose();
	free(text);
}

static void take_event(const json_t *o, const char *event)
{
	if (!strcmp(event, "log")) {
		char text[512];
		const char *at = text_of(o, "text");

		while (*at) {
			size_t n = strcspn(at, "\n");

			snprintf(text, sizeof(text), "%.*s", (int)(n < 500 ? n : 500), at);
			term_print(INK_PLAIN, "%s", text);
			at += n + (at[n] == '\n');
		}
		return;
	}
	term_print(INK_DIM, "[%s] %s %s%s", event, text_of(o, "guest"), text_of(o, "service"),
		   !strcmp(event, "ended") ? text_of(o, "reason") : "");
}

static void take_line(const char *text, size_t n)
{
	json_t *o = json_loadb(text, n, 0, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));
	json_int_t id = json_integer_value(json_object_get(o, "id"));

	if (event)
		take_event(o, event);
	for (unsigned i = 0; i < PENDING_MAX && !event && id; i++) {
		if (wire.pending[i].id != id)
			continue;
		wire.pending[i].id = 0;
		if (json_is_true(json_object_get(o, "ok")))
			wire.pending[i].show(o);
		else
			term_print(INK_BAD, "%s", text_of(json_object_get(o, "error"), "message"));
	}
	json_decref(o);
}

void control_receive(void)
{
	ssize_t got = recv(wire.fd, wire.in + wire.n, LINE_BYTES - wire.n, MSG_DONTWAIT);
	size_t done = 0;
	char *end;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		lose();
		return;
	}
	wire.n += (size_t)got;
	while ((end = memchr(wire.in + done, '\n', wire.n - done)) != NULL) {
		size_t n = (size_t)(end - wire.in) - done;

		take_line(wire.in + done, n);
		if (wire.fd <= 0)
			return;
		done += n + 1;
	}
	memmove(wire.in, wire.in + done, wire.n - done);
	wire.n -= done;
	if (wire.n == LINE_BYTES)
		lose();
}

/* ---- commands -------------------------------------------------------------------------------- */

static void run_start(char **word, unsigned n)
{
	json_t *args = json_array();

	for (unsigned i = 2; i < n; i++)
		json_array_append_new(args, json_string(word[i]));
	ask(json_pack("{s:s, s:s, s:o}", "op", "start", "program", word[1], "args", args),
	    show_started);
}

static void run_guest(char **word, unsigned n)
{
	bool waits =
		!strcmp(word[0], "stop") || !strcmp(word[0], "kill") || !strcmp(word[0], "wait");

	ask(json_pack("{s:s, s:s}", "op", word[0], "guest", word[1]),
	    waits ? show_end : show_nothing);
}

static void run_log(char **word, unsigned n)
{
	bool follow = n > 2 && !strcmp(word[2], "-f");

	ask(json_pack("{s:s, s:s, s:b, s:i}", "op", "log", "guest", word[1], "follow", follow,
		      "lines", 100),
	    show_nothing);
}

static void run_grant(char **word, unsigned n)
{
	ask(json_pack("{s:s, s:s, s:s}", "op", "grant", "guest", word[1], "service", word[2]),
	    show_granted);
}

static void run_revoke(char **word, unsigned n)
{
	if (n > 2)
		ask(json_pack("{s:s, s:s, s:s}", "op", "revoke", "guest", word[1], "service",
			      word[2]),
		    show_revoked);
	else
		ask(json_pack("{s:s, s:I}", "op", "revoke", "grant", (json_int_t)atoll(word[1])),
		    show_revoked);
}

static void run_ps(char **word, unsigned n)
{
	ask(json_pack("{s:s}", "op", "ps"), show_ps);
}

static void run_top(char **word, unsigned n)
{
	ask(json_pack("{s:s}", "op", "top"), show_top);
}

static void run_wires(char **word, unsigned n)
{
	ask(json_pack("{s:s}", "op", "wires"), show_wires);
}

static void run_reach(char **word, unsigned n)
{
	ask(json_pack("{s:s, s:s}", "op", "reach", "service", word[1]), show_answer);
}

static void run_watch(char **word, unsigned n)
{
	ask(json_pack("{s:s}", "op", "subscribe"), show_nothing);
}

static void run_clear(char **word, unsigned n)
{
	term_clear();
}

static void run_connect(char **word, unsigned n)
{
	control_open();
}

static void run_help(char **word, unsigned n);

static const struct command {
	const char *name, *usage, *what;
	unsigned least; /* words, with its own */
	void (*run)(char **word, unsigned n);
} commands[] = {
	{"ps", "ps", "the guests", 1, run_ps},
	{"start", "start PROGRAM [ARGUMENTS…]", "start one", 2, run_start},
	{"stop", "stop GUEST", "ask it to end, then kill it", 2, run_guest},
	{"kill", "kill GUEST", "end it at once", 2, run_guest},
	{"pause", "pause GUEST", "stop its CPUs", 2, run_guest},
	{"resume", "resume GUEST", "let it go on", 2, run_guest},
	{"wait", "wait GUEST", "until it is over", 2, run_guest},
	{"log", "log GUEST [-f]", "what it printed", 2, run_log},
	{"wires", "wires", "who may reach whom, and what is open", 1, run_wires},
	{"grant", "grant GUEST SERVICE", "let it reach a service", 3, run_grant},
	{"revoke", "revoke GRANT, revoke GUEST SERVICE", "take that away", 2, run_revoke},
	{"reach", "reach SERVICE", "who can, and why", 2, run_reach},
	{"top", "top", "what they use", 1, run_top},
	{"watch", "watch", "say what happens, from now on", 1, run_watch},
	{"connect", "connect", "to the session, again", 1, run_connect},
	{"clear", "clear", "this window", 1, run_clear},
	{"help", "help", "this", 1, run_help},
};

static void run_help(char **word, unsigned n)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		term_print(INK_PLAIN, "%-36s %s", commands[i].usage, commands[i].what);
	term_print(INK_PLAIN, "%-36s %s", "exit", "close the window");
}

bool control_run(const char *line)
{
	char copy[1024], *word[WORDS_MAX], *state;
	unsigned n = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &state); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " ", &state))
		word[n++] = w;
	if (!n)
		return true;
	if (!strcmp(word[0], "exit"))
		return false;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, word[0]) != 0)
			continue;
		if (n < commands[i].least)
			term_print(INK_BAD, "usage: %s", commands[i].usage);
		else
			commands[i].run(word, n);
		return true;
	}
	term_print(INK_BAD, "%s: no such command; `help` lists them", word[0]);
	return true;
}
