/*
 * Commands of scenario files on the desktop: requests to desktop.sock in the session's folder
 * (docs/desktop.md). Most are a row of a table: words become fields. See script.h.
 */
#include "script_desktop.h"

#include "clock.h"
#include "opts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_US 20000 /* while something is asked for again */

/* ---- the connection ---------------------------------------------------------------------- */

static int desktop_path(struct script *s, char path[CLIENT_PATH_MAX])
{
	const char *slash;
	int n;

	if (script_need_session(s))
		return -1;
	slash = strrchr(s->socket, '/');
	n = snprintf(path, CLIENT_PATH_MAX, "%.*s/desktop.sock",
		     slash ? (int)(slash - s->socket) : 0, s->socket);
	return n < CLIENT_PATH_MAX ? 0 : script_fail(s, "the session's folder has too long a name");
}

static int connect_desktop(struct script *s)
{
	uint64_t until_ns = clock_now_ns() + s->timeout_ns;
	char path[CLIENT_PATH_MAX];
	int fd;

	if (s->desk.fd >= 0)
		return 0;
	if (desktop_path(s, path))
		return -1;
	while ((fd = cli_dial(path)) < 0) {
		if (!s->desktop)
			return script_fail(s, "no desktop runs here; write: desktop, or use exo "
					      "desktop --scenario");
		if (waitpid(s->desktop, NULL, WNOHANG) == s->desktop) {
			s->desktop = 0;
			return script_fail(s, "the desktop ended at its start");
		}
		if (clock_now_ns() > until_ns)
			return script_fail(s, "the desktop does not listen: %s", strerror(-fd));
		usleep(POLL_US);
	}
	cli_finish(&s->desk);
	cli_init(&s->desk, fd);
	return 0;
}

/* Takes over request. 0 with *answer (unless NULL), or -1 with s->why. */
static int ask(struct script *s, json_t *request, uint64_t within_ns, json_t **answer)
{
	if (connect_desktop(s)) {
		json_decref(request);
		return -1;
	}
	if (cli_call(&s->desk, request, within_ns + CLIENT_TIMEOUT_NS, answer))
		return script_fail(s, "%s: %s", s->desk.code, s->desk.why);
	return 0;
}

/* `exo desktop` is this program, too. */
static void exec_desktop(const struct script *s, struct script_line *l)
{
	char exo[] = "exo", desktop[] = "desktop", headless[] = "--headless", log[PATH_MAX];
	char *args[SCRIPT_WORDS_MAX + 4] = {exo, desktop, headless};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out;

	for (unsigned i = 1; i < l->nwords; i++)
		args[2 + i] = l->word[i];
	snprintf(log, sizeof(log), "%s/desktop.log", s->folder);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	unsetenv("EXO_SCENARIO");
	setenv("EXO_SESSION", s->folder, 1);
	if (dup2(null, STDIN_FILENO) == STDIN_FILENO && dup2(out, STDOUT_FILENO) == STDOUT_FILENO)
		execv("/proc/self/exe", args);
	_exit(127);
}

static int run_desktop(struct script *s, struct script_line *l)
{
	if (s->desktop)
		return script_fail(s, "a desktop of this script runs already");
	if (script_need_session(s))
		return -1;
	if (!s->own_session)
		return script_fail(s, "it would be of a session that is not this script's");
	s->desktop = fork();
	if (!s->desktop)
		exec_desktop(s, l);
	if (s->desktop < 0) {
		s->desktop = 0;
		return script_fail(s, "fork: %s", strerror(errno));
	}
	return connect_desktop(s);
}

void script_end_desktop(struct script *s)
{
	cli_finish(&s->desk);
	if (!s->desktop)
		return;
	kill(s->desktop, SIGTERM);
	for (int i = 0; i < 500; i++) {
		if (waitpid(s->desktop, NULL, WNOHANG) == s->desktop) {
			s->desktop = 0;
			return;
		}
		usleep(POLL_US);
	}
	kill(s->desktop, SIGKILL);
	waitpid(s->desktop, NULL, 0);
	s->desktop = 0;
}

static int run_end_desktop(struct script *s, struct script_line *l)
{
	if (!s->desktop)
		return script_fail(s, "no desktop of this script runs");
	script_end_desktop(s);
	return 0;
}

/* ---- words to fields ------------------------------------------------------------------------- */

enum kind { NONE, INT, TEXT, PATH, DOWN, PHASE, SIZE, SCHEME, TIME };

#define WITH_WINDOW 1u  /* guest NAME, panel NAME, scanout N */
#define WITH_WITHIN 2u  /* within TIME */
#define WITH_BUTTON 4u  /* button NAME, double */
#define WITH_PICTURE 8u /* tolerance N */
#define WITH_FRAME 16u  /* sequence N */
#define WITH_ON 32u     /* off */

/* A command, the op that it asks for, its words as fields, the options that may follow. */
static const struct step {
	const char *name, *op;
	struct {
		const char *field;
		enum kind kind;
	} arg[4];
	unsigned options;
} steps[] = {
	{"key", "key", {{"key", TEXT}, {"down", DOWN}}, 0},
	{"keys", "keys", {{"chord", TEXT}}, 0},
	{"type", "type", {{"text", TEXT}}, 0},
	{"pointer", "pointer", {{"x", INT}, {"y", INT}}, WITH_WINDOW},
	{"button", "button", {{"button", TEXT}, {"down", DOWN}}, 0},
	{"click", "click", {{"x", INT}, {"y", INT}}, WITH_WINDOW | WITH_BUTTON},
	{"drag",
	 "drag",
	 {{"x0", INT}, {"y0", INT}, {"x1", INT}, {"y1", INT}},
	 WITH_WINDOW | WITH_BUTTON},
	{"wheel", "wheel", {{"x", INT}, {"y", INT}, {"dx", INT}, {"dy", INT}}, WITH_WINDOW},
	{"touch", "touch", {{"slot", INT}, {"phase", PHASE}, {"x", INT}, {"y", INT}}, WITH_WINDOW},
	{"drop-file", "drop", {{"path", PATH}, {"x", INT}, {"y", INT}}, WITH_WINDOW},
	{"focus", "focus", {{NULL}}, WITH_WINDOW},
	{"close-window", "close", {{NULL}}, WITH_WINDOW},
	{"maximize", "maximize", {{NULL}}, WITH_WINDOW | WITH_ON},
	{"minimize", "minimize", {{NULL}}, WITH_WINDOW | WITH_ON},
	{"fullscreen", "fullscreen", {{NULL}}, WITH_WINDOW | WITH_ON},
	{"place", "place", {{"x", INT}, {"y", INT}, {"width", INT}, {"height", INT}}, WITH_WINDOW},
	{"action", "action", {{"name", TEXT}}, 0},
	{"theme", "theme", {{"dark", SCHEME}}, 0},
	{"keymap", "keymap", {{"name", TEXT}}, 0},
	{"resize", "resize", {{"width", SIZE}}, 0},
	{"launch", "launch", {{"program", TEXT}}, 0},
	{"wait-frame", "wait-frame", {{NULL}}, WITH_WINDOW | WITH_WITHIN | WITH_FRAME},
	{"wait-still", "wait-still", {{"ms", TIME}}, WITH_WITHIN},
	{"screenshot", "screenshot", {{"path", PATH}}, WITH_WINDOW | WITH_WITHIN},
	{"expect-picture", "compare", {{"path", PATH}}, WITH_WINDOW | WITH_WITHIN | WITH_PICTURE},
	{NULL},
};

static const struct step *find_step(const char *name)
{
	const struct step *st = steps;

	while (st->name && strcmp(st->name, name) != 0)
		st++;
	return st->name ? st : NULL;
}

static int refuse(char why[SCRIPT_WHY_MAX], const char *word, const char *what)
{
	snprintf(why, SCRIPT_WHY_MAX, "%.80s: %s", word, what);
	return -1;
}

static int set_int(json_t *r, const char *field, const char *word, char why[SCRIPT_WHY_MAX])
{
	char *end;
	long n = strtol(word, &end, 10);

	if (*end || end == word || n < INT_MIN || n > INT_MAX)
		return refuse(why, word, "not a whole number");
	json_object_set_new(r, field, json_integer(n));
	return 0;
}

static int set_text(json_t *r, const char *field, const char *word, char why[SCRIPT_WHY_MAX])
{
	json_t *text = json_string(word);

	if (!text)
		return refuse(why, field, "not UTF-8");
	json_object_set_new(r, field, text);
	return 0;
}

static int set_path(json_t *r, const char *field, const char *word, char why[SCRIPT_WHY_MAX])
{
	char path[PATH_MAX], here[PATH_MAX];
	int n;

	if (*word == '/' || !getcwd(here, sizeof(here)))
		return set_text(r, field, word, why);
	n = snprintf(path, sizeof(path), "%s/%s", here, word);
	return n < (int)sizeof(path) ? set_text(r, field, path, why)
				     : refuse(why, word, "too long");
}

static int set_time(json_t *r, const char *field, const char *word, char why[SCRIPT_WHY_MAX])
{
	uint64_t ns;

	if (opts_parse_duration(word, &ns))
		return refuse(why, word, "not a duration; write a number and ms, s, m or h");
	json_object_set_new(r, field, json_integer((json_int_t)(ns / 1000000)));
	return 0;
}

/* One of two words: the first is true. */
static int set_flag(json_t *r, const char *field, const char *word, const char *yes, const char *no,
		    char why[SCRIPT_WHY_MAX])
{
	char what[48];

	snprintf(what, sizeof(what), "write %s or %s", yes, no);
	if (strcmp(word, yes) != 0 && strcmp(word, no) != 0)
		return refuse(why, word, what);
	json_object_set_new(r, field, json_boolean(!strcmp(word, yes)));
	return 0;
}

static int set_phase(json_t *r, const char *word, char why[SCRIPT_WHY_MAX])
{
	static const char *const words[] = {"down", "move", "up"};

	for (int i = 0; i < 3; i++) {
		if (!strcmp(word, words[i])) {
			json_object_set_new(r, "phase", json_integer(i));
			return 0;
		}
	}
	return refuse(why, word, "write down, move or up");
}

static int set_size(json_t *r, const char *word, char why[SCRIPT_WHY_MAX])
{
	char *end;
	long width = strtol(word, &end, 10), height = *end == 'x' ? strtol(end + 1, &end, 10) : 0;

	if (*end || width <= 0 || height <= 0 || width > INT_MAX || height > INT_MAX)
		return refuse(why, word, "write WIDTHxHEIGHT");
	json_object_set_new(r, "width", json_integer(width));
	json_object_set_new(r, "height", json_integer(height));
	return 0;
}

static int set_arg(json_t *r, const char *field, enum kind kind, const char *word,
		   char why[SCRIPT_WHY_MAX])
{
	switch (kind) {
	case INT:
		return set_int(r, field, word, why);
	case TEXT:
		return set_text(r, field, word, why);
	case PATH:
		return set_path(r, field, word, why);
	case DOWN:
		return set_flag(r, field, word, "down", "up", why);
	case PHASE:
		return set_phase(r, word, why);
	case SIZE:
		return set_size(r, word, why);
	case SCHEME:
		return set_flag(r, field, word, "dark", "light", why);
	default:
		return set_time(r, field, word, why);
	}
}

/* Options with a word behind them. */
static const struct {
	const char *word, *field;
	enum kind kind;
	unsigned with;
} options[] = {
	{"guest", "guest", TEXT, WITH_WINDOW},         {"panel", "panel", TEXT, WITH_WINDOW},
	{"scanout", "scanout", INT, WITH_WINDOW},      {"within", "within_ms", TIME, WITH_WITHIN},
	{"tolerance", "tolerance", INT, WITH_PICTURE}, {"sequence", "sequence", INT, WITH_FRAME},
	{"button", "button", TEXT, WITH_BUTTON},
};

int script_desktop_options(const struct script_line *l, unsigned first, unsigned with, json_t *r,
			   char why[SCRIPT_WHY_MAX])
{
	for (unsigned i = first; i < l->nwords; i++) {
		const char *word = l->word[i];
		unsigned k = 0;

		if ((with & WITH_BUTTON) && !strcmp(word, "double")) {
			json_object_set_new(r, "count", json_integer(2));
			continue;
		}
		if ((with & WITH_ON) && !strcmp(word, "off")) {
			json_object_set_new(r, "on", json_false());
			continue;
		}
		while (k < 7 && (strcmp(options[k].word, word) != 0 || !(with & options[k].with)))
			k++;
		if (k == 7)
			return refuse(why, word, "not an option of this command");
		if (++i == l->nwords)
			return refuse(why, word, "a word is missing behind it");
		if (set_arg(r, options[k].field, options[k].kind, l->word[i], why))
			return -1;
	}
	return 0;
}

json_t *script_desktop_request(const struct script_line *l, char why[SCRIPT_WHY_MAX])
{
	const struct step *st = find_step(l->word[0]);
	json_t *r = json_pack("{s:s}", "op", st->op);
	unsigned at = 1;
	int err = 0;

	for (unsigned i = 0; !err && i < 4 && st->arg[i].field; i++, at++) {
		if (at >= l->nwords)
			err = refuse(why, l->word[0], "words are missing");
		else if (strlen(l->word[at]) != l->length[at])
			err = refuse(why, l->word[0], "zero bytes cannot be said");
		else
			err = set_arg(r, st->arg[i].field, st->arg[i].kind, l->word[at], why);
	}
	if (!err)
		err = script_desktop_options(l, at, st->options, r, why);
	if (!err)
		return r;
	json_decref(r);
	return NULL;
}

/* ---- running ----------------------------------------------------------------------------------
 */

static int run_step(struct script *s, struct script_line *l)
{
	json_t *r = script_desktop_request(l, s->why);
	bool waits = r && (find_step(l->word[0])->options & WITH_WITHIN);
	json_int_t ms = (json_int_t)(s->timeout_ns / 1000000);

	if (!r)
		return -1;
	if (waits && !json_object_get(r, "within_ms"))
		json_object_set_new(r, "within_ms", json_integer(ms));
	if (waits)
		ms = json_integer_value(json_object_get(r, "within_ms"));
	return ask(s, r, waits ? (uint64_t)ms * 1000000 : 0, NULL);
}

/* Several after each other. */
static int run_keys(struct script *s, struct script_line *l)
{
	int err = 0;

	for (unsigned i = 1; !err && i < l->nwords; i++)
		err = ask(s, json_pack("{s:s,s:s}", "op", "keys", "chord", l->word[i]), 0, NULL);
	return err;
}

static int run_expect_picture(struct script *s, struct script_line *l)
{
	const char *golden = getenv("EXO_GOLDEN"), *failures = getenv("EXO_FAILURES");
	json_t *r = script_desktop_request(l, s->why);
	json_int_t ms = (json_int_t)(s->timeout_ns / 1000000);

	if (!r)
		return -1;
	if (!json_object_get(r, "within_ms"))
		json_object_set_new(r, "within_ms", json_integer(ms));
	ms = json_integer_value(json_object_get(r, "within_ms"));
	if (golden && !strcmp(golden, "write"))
		json_object_set_new(r, "write", json_true());
	json_object_set_new(r, "failures", json_string(failures ? failures : "/tmp"));
	return ask(s, r, (uint64_t)ms * 1000000, NULL);
}

static int run_screencast(struct script *s, struct script_line *l)
{
	json_t *r = json_pack("{s:s}", "op", "screencast");

	if (!strcmp(l->word[1], "stop"))
		json_object_set_new(r, "stop", json_true());
	else if (set_path(r, "path", l->word[1], s->why)) {
		json_decref(r);
		return -1;
	}
	return ask(s, r, s->timeout_ns, NULL);
}

/* ---- what is asked for again until it holds
 * ------------------------------------------------------ */

/* 1: it holds. 0: not (yet), why in s->why. -1: never. */
typedef int holds_fn(struct script *s, struct script_line *l);

static int until(struct script *s, struct script_line *l, holds_fn *holds)
{
	uint64_t until_ns = clock_now_ns() + s->timeout_ns;
	int result;

	while (!(result = holds(s, l)) && clock_now_ns() < until_ns)
		usleep(POLL_US);
	return result > 0 ? 0 : -1;
}

static int window(struct script *s, struct script_line *l, unsigned first, json_t **answer)
{
	json_t *r = json_pack("{s:s}", "op", "window");

	if (script_desktop_options(l, first, WITH_WINDOW, r, s->why)) {
		json_decref(r);
		return -1;
	}
	return ask(s, r, 0, answer) ? 0 : 1;
}

static int window_there(struct script *s, struct script_line *l)
{
	return window(s, l, 1, NULL);
}

static int window_gone(struct script *s, struct script_line *l)
{
	int there = window(s, l, 1, NULL);

	if (there > 0)
		return script_fail(s, "it is there"), 0;
	return !there && !strcmp(s->desk.code, "not-found") ? 1 : there;
}

static int run_wait_window(struct script *s, struct script_line *l)
{
	return until(s, l, window_there);
}

static int run_wait_no_window(struct script *s, struct script_line *l)
{
	return until(s, l, window_gone);
}

/* Is the value of path "a.b" as the word says? */
static int same(struct script *s, const json_t *object, const char *path, const char *wanted)
{
	const char *dot = strchr(path, '.');
	char first[32], is[64];
	const json_t *v;

	snprintf(first, sizeof(first), "%.*s", dot ? (int)(dot - path) : 31, path);
	v = json_object_get(object, first);
	if (dot)
		v = json_object_get(v, dot + 1);
	if (json_is_integer(v))
		snprintf(is, sizeof(is), "%lld", (long long)json_integer_value(v));
	else
		snprintf(is, sizeof(is), "%s", json_is_true(v) ? "true" : "false");
	if (!v || json_is_object(v) || json_is_array(v))
		return script_fail(s, "there is no field %.60s", path);
	if (!strcmp(json_is_string(v) ? json_string_value(v) : is, wanted))
		return 1;
	script_fail(s, "%.60s is %.200s", path, json_is_string(v) ? json_string_value(v) : is);
	return 0;
}

static int window_is(struct script *s, struct script_line *l)
{
	json_t *answer = NULL;
	int result = window(s, l, 3, &answer);

	if (result > 0)
		result = same(s, answer, l->word[1], l->word[2]);
	json_decref(answer);
	return result;
}

static int run_expect_window(struct script *s, struct script_line *l)
{
	return until(s, l, window_is);
}

static int state_is(struct script *s, struct script_line *l)
{
	bool clip = !strcmp(l->word[0], "expect-clipboard");
	json_t *answer = NULL;
	int result;

	if (ask(s, json_pack("{s:s}", "op", clip ? "clipboard" : "state"), 0, &answer))
		return -1;
	result = same(s, answer, clip ? "format" : l->word[1], l->word[clip ? 1 : 2]);
	if (result > 0 && clip && l->word[2])
		result = same(s, answer, "bytes", l->word[2]);
	json_decref(answer);
	return result;
}

static int run_expect_state(struct script *s, struct script_line *l)
{
	return until(s, l, state_is);
}

static int notice_there(struct script *s, struct script_line *l)
{
	json_t *answer = NULL;
	const json_t *n;
	bool found = false;
	size_t i;

	if (ask(s, json_pack("{s:s}", "op", "notices"), 0, &answer))
		return -1;
	json_array_foreach(cli_list(answer, "notices"), i, n)
	{
		found = found || strstr(cli_text(n, "text"), l->word[1]);
	}
	if (!found)
		script_fail(s, "no notice says it; the last: %.300s",
			    cli_text(json_array_get(cli_list(answer, "notices"), 0), "text"));
	json_decref(answer);
	return found;
}

static int run_expect_notice(struct script *s, struct script_line *l)
{
	return until(s, l, notice_there);
}

static int pixel_is(struct script *s, struct script_line *l)
{
	json_t *r = json_pack("{s:s}", "op", "pixel"), *answer = NULL;
	int err = set_int(r, "x", l->word[1], s->why) || set_int(r, "y", l->word[2], s->why) ||
		  script_desktop_options(l, 4, WITH_WINDOW, r, s->why);

	if (err) {
		json_decref(r);
		return -1;
	}
	if (ask(s, r, s->timeout_ns, &answer))
		return 0;
	err = strcmp(cli_text(answer, "colour"), l->word[3]) != 0;
	if (err)
		script_fail(s, "it is %.16s", cli_text(answer, "colour"));
	json_decref(answer);
	return !err;
}

static int run_expect_pixel(struct script *s, struct script_line *l)
{
	return until(s, l, pixel_is);
}

#define WINDOW "guest NAME [scanout N] | panel NAME"

const struct script_command script_desktop_commands[] = {
	{"desktop", 0, SCRIPT_WORDS_MAX - 4, run_desktop, "[OPTIONS OF exo desktop]"},
	{"end-desktop", 0, 0, run_end_desktop, ""},
	{"key", 2, 2, run_step, "KEY|CODE down|up"},
	{"keys", 1, SCRIPT_WORDS_MAX, run_keys, "CHORD…"},
	{"type", 1, 1, run_step, "\"TEXT\""},
	{"pointer", 2, 6, run_step, "X Y [" WINDOW "]"},
	{"button", 2, 2, run_step, "left|right|middle down|up"},
	{"click", 2, 9, run_step, "X Y [button NAME] [double] [" WINDOW "]"},
	{"drag", 4, 10, run_step, "X0 Y0 X1 Y1 [button NAME] [" WINDOW "]"},
	{"wheel", 4, 8, run_step, "X Y DX DY [" WINDOW "]"},
	{"touch", 4, 8, run_step, "SLOT down|move|up X Y [" WINDOW "]"},
	{"drop-file", 3, 7, run_step, "FILE X Y [" WINDOW "]"},
	{"focus", 2, 4, run_step, WINDOW},
	{"close-window", 2, 4, run_step, WINDOW},
	{"maximize", 2, 5, run_step, "[off] " WINDOW},
	{"minimize", 2, 5, run_step, "[off] " WINDOW},
	{"fullscreen", 2, 5, run_step, "[off] " WINDOW},
	{"place", 6, 8, run_step, "X Y WIDTH HEIGHT " WINDOW},
	{"action", 1, 1, run_step, "NAME"},
	{"theme", 1, 1, run_step, "dark | light"},
	{"keymap", 1, 1, run_step, "NAME"},
	{"resize", 1, 1, run_step, "WIDTHxHEIGHT"},
	{"launch", 1, 1, run_step, "PROGRAM"},
	{"wait-frame", 2, 8, run_step, WINDOW " [sequence N] [within TIME]"},
	{"wait-still", 1, 3, run_step, "TIME [within TIME]"},
	{"screenshot", 1, 7, run_step, "FILE [" WINDOW "] [within TIME]"},
	{"screencast", 1, 1, run_screencast, "FILE.y4m | FOLDER | stop"},
	{"expect-picture", 1, 9, run_expect_picture,
	 "FILE.png [" WINDOW "] [within TIME] [tolerance N]"},
	{"expect-pixel", 3, 7, run_expect_pixel, "X Y COLOUR [" WINDOW "]"},
	{"wait-window", 2, 4, run_wait_window, WINDOW},
	{"wait-no-window", 2, 4, run_wait_no_window, WINDOW},
	{"expect-window", 4, 6, run_expect_window, "FIELD VALUE " WINDOW},
	{"expect-state", 2, 2, run_expect_state, "FIELD VALUE"},
	{"expect-notice", 1, 1, run_expect_notice, "\"TEXT\""},
	{"expect-clipboard", 1, 2, run_expect_state, "none | text | png [BYTES]"},
	{NULL},
};
