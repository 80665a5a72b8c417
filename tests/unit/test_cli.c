/*
 * The commands that talk with a session, without one: the client of the control
 * socket against a session that lies (H-34), requests made of options, lines of
 * scenario files, the graph as text, DOT and SVG.
 */
#include "client.h"
#include "common.h"
#include "graph_priv.h"
#include "grants.h"
#include "pipe.h"
#include "report.h"
#include "script_desktop.h"
#include "start.h"
#include "unit.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- the client ------------------------------------------------------------------- */

struct peer { /* the session's end */
	struct cli c;
	int fd;
	unsigned fds_before;
	unsigned events;
	int event_fd;
};

static void count_event(void *opaque, struct cli *c, const json_t *event)
{
	struct peer *p = opaque;

	p->events++;
	if (!strcmp(cli_text(event, "event"), "connection"))
		p->event_fd = cli_take_fd(c);
}

static void begin(struct peer *p)
{
	int pair[2];

	*p = (struct peer){.event_fd = -1, .fds_before = open_fds()};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cli_init(&p->c, pair[0]);
	p->c.on_event = count_event;
	p->c.opaque = p;
	p->fd = pair[1];
}

static void end(struct peer *p)
{
	cli_finish(&p->c);
	cli_finish(&p->c);
	if (p->fd >= 0)
		close(p->fd);
	if (p->event_fd >= 0)
		close(p->event_fd);
	ck_assert_uint_eq(open_fds(), p->fds_before);
}

/* Sends bytes with n descriptors (all of them copies of our end). */
static void say(struct peer *p, const char *bytes, size_t length, unsigned n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 32)];
	} control = {0};
	struct iovec iov = {(char *)(uintptr_t)bytes, length};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int) * n);
		for (unsigned i = 0; i < n; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &p->fd, sizeof(int));
	}
	ck_assert_int_eq(sendmsg(p->fd, &m, MSG_NOSIGNAL), (ssize_t)length);
}

static void say_text(struct peer *p, const char *text)
{
	say(p, text, strlen(text), 0);
}

static int call(struct peer *p, json_t **answer)
{
	return cli_call(&p->c, json_pack("{s:s}", "op", "ps"), 100000000, answer);
}

START_TEST(call_is_answered)
{
	struct peer p;
	json_t *answer = NULL;
	char line[256] = "";

	begin(&p);
	say_text(&p, "{\"event\":\"started\",\"guest\":\"a\"}\n{\"id\":7,\"ok\":true}\n"
		     "{\"id\":1,\"ok\":true,\"guests\":[1,2]}\n{\"event\":\"ready\"}\n");
	ck_assert_int_eq(call(&p, &answer), 0);
	ck_assert_uint_eq(json_array_size(cli_list(answer, "guests")), 2);
	ck_assert_uint_eq(p.events, 1);
	json_decref(answer);
	ck_assert_int_gt(recv(p.fd, line, sizeof(line) - 1, 0), 0);
	ck_assert_str_eq(line, "{\"op\":\"ps\",\"id\":1}\n");
	end(&p);
}
END_TEST

START_TEST(lines_come_in_pieces)
{
	struct peer p;
	json_t *line;
	const char *text = "{\"id\":1,\"ok\":true}\n";

	begin(&p);
	for (const char *at = text; *at; at++) {
		ck_assert_int_eq(cli_next(&p.c, &line), 0);
		say(&p, at, 1, 0);
		ck_assert_int_eq(cli_receive(&p.c), 0);
	}
	ck_assert_int_eq(cli_next(&p.c, &line), 1);
	ck_assert_int_eq(cli_judge(&p.c, line, 1), 0);
	ck_assert_int_eq(cli_judge(&p.c, line, 2), -1);
	json_decref(line);
	end(&p);
}
END_TEST

START_TEST(errors_are_judged)
{
	static const struct {
		const char *line;
		int status;
		const char *code, *why;
		int exit_code;
	} rows[] = {
		{"{\"id\":1,\"ok\":false,\"error\":{\"code\":\"not-found\",\"message\":\"no "
		 "web\"}}\n",
		 CLI_REFUSED, "not-found", "no web", 0},
		{"{\"id\":1,\"ok\":false,\"error\":{\"code\":\"invalid\",\"message\":\"a\\nb\","
		 "\"exit_code\":126}}\n",
		 CLI_REFUSED, "invalid", "a?b", 126},
		{"{\"id\":1,\"ok\":false,\"error\":{\"code\":\"internal\",\"message\":\"x\"}}\n",
		 CLI_TROUBLE, "internal", "x", 0},
		{"{\"id\":null,\"ok\":false,\"error\":{\"code\":\"limit\",\"message\":\"full\"}}\n",
		 CLI_REFUSED, "limit", "full", 0},
		{"{\"id\":1}\n", CLI_TROUBLE, "internal", "refused, without a reason", 0},
		{"{\"id\":1,\"ok\":\"yes\",\"error\":[]}\n", CLI_TROUBLE, "internal",
		 "refused, without a reason", 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p;

		begin(&p);
		say_text(&p, rows[i].line);
		ck_assert_int_eq(call(&p, NULL), rows[i].status);
		ck_assert_str_eq(p.c.code, rows[i].code);
		ck_assert_str_eq(p.c.why, rows[i].why);
		ck_assert_int_eq(p.c.exit_code, rows[i].exit_code);
		end(&p);
	}
}
END_TEST

START_TEST(h34_lying_session)
{
	static const char *const lines[] = {
		"not JSON at all\n",
		"[1,2]\n",
		"7\n",
		"\n",
		"{\"id\":1,\"ok\":true,\"fds\":1}\n",
		"{\"id\":1,\"ok\":true,\"fds\":-1}\n",
		"{\"id\":1,\"ok\":true,\"fds\":99999999999}\n",
		"{\"id\":1,\"ok\":tr",
		"\xff\xfe\n",
		"{\"id\":1} {\"id\":1}\n",
	};

	for (size_t i = 0; i < COUNT(lines); i++) {
		struct peer p;

		begin(&p);
		say_text(&p, lines[i]);
		if (!strchr(lines[i], '\n')) { /* and then nothing more */
			close(p.fd);
			p.fd = -1;
		}
		ck_assert_msg(call(&p, NULL) == CLI_TROUBLE, "%s", lines[i]);
		ck_assert_str_ne(p.c.why, "");
		end(&p);
	}
}
END_TEST

START_TEST(h34_silent_session)
{
	struct peer p;

	begin(&p);
	ck_assert_int_eq(call(&p, NULL), CLI_TROUBLE);
	ck_assert_str_eq(p.c.code, "timeout");
	close(p.fd);
	p.fd = -1;
	ck_assert_int_eq(call(&p, NULL), CLI_TROUBLE);
	ck_assert_str_eq(p.c.code, "lost");
	end(&p);
}
END_TEST

START_TEST(h34_descriptors)
{
	struct peer p;
	const char *event = "{\"event\":\"connection\",\"fds\":1}\n";
	const char *answer = "{\"id\":1,\"ok\":true,\"fds\":2}\n";
	int fd;

	/* Each line has its own; those that nobody takes are closed with it. */
	begin(&p);
	say(&p, event, strlen(event), 1);
	say(&p, answer, strlen(answer), 2);
	ck_assert_int_eq(call(&p, NULL), 0);
	ck_assert_int_ge(p.event_fd, 0);
	ck_assert_int_ge(fcntl(p.event_fd, F_GETFD) & FD_CLOEXEC, 1);
	fd = cli_take_fd(&p.c);
	ck_assert_int_ge(fd, 0);
	close(fd);
	end(&p);

	/* More than there is room for, and some that no line speaks of. */
	begin(&p);
	for (unsigned i = 0; i < 4; i++)
		say(&p, "{\"event\":\"x\"}\n", 14, 16);
	say_text(&p, "{\"id\":1,\"ok\":true}\n");
	ck_assert_int_eq(call(&p, NULL), 0);
	ck_assert_int_eq(cli_take_fd(&p.c), -1);
	end(&p);
}
END_TEST

START_TEST(request_that_cannot_be_sent)
{
	static char why[65536];
	struct peer p;

	begin(&p);
	ck_assert_int_eq(
		cli_call(&p.c, json_pack("{s:s,s:s}", "op", "kill", "guest", "\xff"), 0, NULL),
		CLI_TROUBLE);
	ck_assert_str_eq(p.c.why, "a name or argument is not UTF-8");
	for (size_t length = CLIENT_REQUEST_MAX - 40; length < CLIENT_REQUEST_MAX; length++) {
		char *text = malloc(length + 1);
		json_t *request = json_object();
		unsigned id;

		memset(text, 'x', length);
		text[length] = '\0';
		json_object_set_new(request, "a", json_string(text));
		free(text);
		/* {"a":"…","id":NN} and the line feed */
		id = cli_send(&p.c, request, NULL, 0);
		ck_assert_int_eq(!!id, length + 16 + (p.c.next_id > 9) <= CLIENT_REQUEST_MAX);
		while (id && recv(p.fd, why, sizeof(why), MSG_DONTWAIT) > 0)
			;
	}
	end(&p);
}
END_TEST

START_TEST(socket_paths)
{
	char path[CLIENT_PATH_MAX], longer[200], wanted[64];

	setenv("EXO_SESSION", "/tmp/here", 1);
	ck_assert_int_eq(cli_socket_path(path), 0);
	ck_assert_str_eq(path, "/tmp/here/control");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	setenv("EXO_SESSION", longer, 1);
	ck_assert_int_eq(cli_socket_path(path), -ENAMETOOLONG);
	setenv("EXO_SESSION", "", 1);
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	ck_assert_int_eq(cli_socket_path(path), 0);
	ck_assert_str_eq(path, "/run/user/1/exo/control");
	unsetenv("XDG_RUNTIME_DIR");
	ck_assert_int_eq(cli_socket_path(path), 0);
	snprintf(wanted, sizeof(wanted), "/tmp/exo-%u/control", (unsigned)getuid());
	ck_assert_str_eq(path, wanted);
	ck_assert_int_eq(cli_dial("/nonexistent/control"), -ENOENT);
}
END_TEST

/* ---- requests ------------------------------------------------------------------------ */

START_TEST(limits_of_grants)
{
	static const struct {
		const char *name, *value, *wanted; /* NULL: refused */
	} rows[] = {
		{"lease", "1h", "{\"lease_ms\":3600000}"},
		{"lease", "250ms", "{\"lease_ms\":250}"},
		{"connections", "4", "{\"max_conns\":4}"},
		{"buffer", "1M", "{\"max_buffer\":1048576}"},
		{"rate", "10K", "{\"max_rate\":10240}"},
		{"port", "514", "{\"port\":514}"},
		{"delegate", "", "{\"rights\":[\"connect\",\"delegate\"]}"},
		{"delegate", "x", NULL},
		{"lease", "", NULL},
		{"lease", "0", NULL},
		{"lease", "x", NULL},
		{"connections", "0", NULL},
		{"connections", "4294967296", NULL},
		{"connections", "1M", NULL},
		{"buffer", "0", NULL},
		{"buffer", "18446744073709551615", NULL},
		{"rate", "-1", NULL},
		{"frob", "1", NULL},
		{"", "", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *grant = json_object();
		char why[GRANTS_WHY_MAX] = "", *text;
		int err = grants_limit(grant, rows[i].name, rows[i].value, why);

		ck_assert_msg(!err == !!rows[i].wanted, "%s=%s", rows[i].name, rows[i].value);
		text = json_dumps(grant, JSON_COMPACT);
		if (rows[i].wanted)
			ck_assert_str_eq(text, rows[i].wanted);
		else
			ck_assert_str_ne(why, "");
		free(text);
		json_decref(grant);
	}
}
END_TEST

static char *request_of(char *mount, char *grant, char why[START_WHY_MAX])
{
	static char words[][12] = {"/bin/true", "one", "two words", "A=1"};
	char *args[] = {words[0], words[1], words[2], NULL};
	struct guest g;
	struct start_extra x = {
		.mount = &mount, .grant = &grant, .nmounts = !!mount, .ngrants = !!grant};
	json_t *request;
	char *text = NULL;

	guest_init(&g);
	g.cpus = 0;
	g.ram_bytes = 64 << 20;
	guest_add_env(&g, words[3]);
	guest_set_program(&g, args);
	request = start_request(&g, &x, why);
	if (request)
		text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(request);
	guest_finish(&g);
	return text;
}

START_TEST(requests_to_start)
{
	static const struct {
		const char *mount, *grant, *wanted;
	} rows[] = {
		{"/:/data:ro", NULL,
		 "\"mounts\":[{\"path\":\"/data\",\"ro\":true,\"source\":\"/\"}]"},
		{"/tmp/../tmp:/data/x", NULL,
		 "\"mounts\":[{\"path\":\"/data/x\",\"ro\":false,\"source\":\"/tmp\"}]"},
		{"service:files:/data", NULL,
		 "\"mounts\":[{\"path\":\"/data\",\"ro\":false,\"source\":\"service:files\"}]"},
		{NULL, "log", "\"grants\":[{\"service\":\"log\"}]"},
		{NULL, "log,lease=1s,delegate",
		 "\"grants\":[{\"lease_ms\":1000,\"rights\":[\"connect\",\"delegate\"],"
		 "\"service\":\"log\"}]"},
		{NULL, NULL,
		 "\"args\":[\"one\",\"two words\"],\"env\":[\"A=1\"],\"memory\":67108864"},
		{"nonsense", NULL, NULL},
		{":/x", NULL, NULL},
		{"/tmp:", NULL, NULL},
		{"/tmp:ro", NULL, NULL},
		{"", NULL, NULL},
		{NULL, "log,", NULL},
		{NULL, "log,lease", NULL},
		{NULL, "log,frob=1", NULL},
		{NULL, "\xff", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *mount = rows[i].mount ? strdup(rows[i].mount) : NULL;
		char *grant = rows[i].grant ? strdup(rows[i].grant) : NULL;
		char why[START_WHY_MAX] = "";
		char *text = request_of(mount, grant, why);

		ck_assert_msg(!!text == !!rows[i].wanted, "row %zu: %s", i, why);
		if (text)
			ck_assert_msg(strstr(text, rows[i].wanted) != NULL, "row %zu: %s", i, text);
		else
			ck_assert_str_ne(why, "");
		free(text);
		free(mount);
		free(grant);
	}
}
END_TEST

START_TEST(requests_to_connect)
{
	static const struct {
		const char *target, *wanted;
		bool seqpacket;
	} rows[] = {
		{"log", "{\"op\":\"connect\",\"service\":\"log\",\"type\":\"stream\"}", false},
		{"a:log",
		 "{\"guest\":\"a\",\"op\":\"connect\",\"service\":\"log\",\"type\":\"seqpacket\"}",
		 true},
		{"a:7", "{\"guest\":\"a\",\"op\":\"connect\",\"port\":7,\"type\":\"stream\"}",
		 false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *request = pipe_connect_request(rows[i].target, rows[i].seqpacket);
		char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);

		ck_assert_str_eq(text, rows[i].wanted);
		free(text);
		json_decref(request);
	}
	ck_assert_ptr_null(pipe_connect_request("\xff", false));
}
END_TEST

START_TEST(manifests_are_found)
{
	char folder[] = "/tmp/exo-test-XXXXXX", program[64], manifest[64], path[START_PATH_MAX];
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(program, sizeof(program), "%s/x.elf", folder);
	snprintf(manifest, sizeof(manifest), "%s/x.exo", folder);
	close(open(program, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(start_find_manifest(program, path, &fd), -ENOENT);
	ck_assert_int_ge(fd, 0);
	close(fd);
	close(open(manifest, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(start_find_manifest(program, path, NULL), 0);
	ck_assert_str_eq(path, manifest);
	ck_assert_int_eq(start_find_manifest(manifest, path, &fd), 0);
	ck_assert_str_eq(path, manifest);
	ck_assert_int_eq(fd, -1);
	unlink(program);
	ck_assert_int_eq(start_find_manifest(program, path, &fd), -ENOENT);
	unlink(manifest);
	rmdir(folder);
}
END_TEST

/* ---- arguments, formats -------------------------------------------------------------------- */

enum { OPTION_NUMBER = 2 };

static int apply(void *opaque, int id, char *value)
{
	return opts_parse_number(value, 1, 9, opaque) ? CLI_TROUBLE : 0;
}

START_TEST(command_lines)
{
	static const struct opts_def options[] = {
		{"number", 'n', true, OPTION_NUMBER}, COMMON_HELP_DEF, {NULL}};
	static const struct {
		const char *argv[8];
		int least, most, status;
		const char *first; /* operand */
		uint64_t number;
	} rows[] = {
		{{"kill", "a"}, 1, 1, 0, "a", 0},
		{{"kill", "a", "-n", "3", "b"}, 1, 2, 0, "a", 3},
		{{"kill", "--number=3", "--", "-n"}, 1, 1, 0, "-n", 3},
		{{"kill", "a", "b", "-n", "4"}, 1, COMMON_REST, 0, "a", 0},
		{{"kill"}, 1, 1, CLI_TROUBLE, NULL, 0},
		{{"kill", "a", "b"}, 1, 1, CLI_TROUBLE, NULL, 0},
		{{"kill", "-n", "x", "a"}, 1, 1, CLI_TROUBLE, NULL, 0},
		{{"kill", "-n"}, 0, 1, CLI_TROUBLE, NULL, 0},
		{{"kill", "a", "--frob"}, 1, 2, CLI_TROUBLE, NULL, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *argv[8], **operands = NULL;
		uint64_t number = 0;
		int status;

		memcpy(argv, rows[i].argv, sizeof(argv));
		status = common_parse(argv, options, apply, &number, rows[i].least, rows[i].most,
				      "NAME", &operands);
		ck_assert_msg(status == rows[i].status, "row %zu: %d", i, status);
		if (!status)
			ck_assert_str_eq(operands[0], rows[i].first);
		if (!status)
			ck_assert_uint_eq(number, rows[i].number);
	}
}
END_TEST

START_TEST(formats)
{
	static const struct {
		uint64_t value;
		const char *bytes, *duration;
	} rows[] = {
		{0, "0", "0ms"},
		{1023, "1023", "1023ms"},
		{1024, "1K", "1024ms"},
		{1536, "1.5K", "1536ms"},
		{64 << 20, "64M", "18h"},
		{1048575, "1.0M", "17m"},
		{86400000ull * 30, "2.4G", "30d"},
		{UINT64_MAX, "16E", "213503982334d"},
	};
	char out[16];

	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_str_eq(common_bytes(rows[i].value, out), rows[i].bytes);
		ck_assert_str_eq(common_duration(rows[i].value, out), rows[i].duration);
	}
	ck_assert_uint_eq(report_reason_by_name("exit"), EXO_END_EXIT);
	ck_assert_uint_eq(report_reason_by_name("host"), EXO_END_HOST);
	ck_assert_uint_eq(report_reason_by_name("no such reason"), 0);
}
END_TEST

/* ---- scenario files ------------------------------------------------------ */

static const char *variable(void *opaque, const char *name)
{
	return !strcmp(name, "a") ? "two words" : !strcmp(name, "e") ? "" : NULL;
}

START_TEST(lines_of_scripts)
{
	static const struct {
		const char *text;
		const char *wanted; /* words as B[…] Q[…] R[…], or NULL: refused */
	} rows[] = {
		{"", ""},
		{"   # a comment", ""},
		{"send c \"a b\\n\"  # x", "B[send]B[c]Q[a b\n]"},
		{"a#b \"#\"", "B[a#b]Q[#]"},
		{"x ${a}${e}y", "B[x]B[two wordsy]"},
		{"x \"${a}\" \"\\${a}\"", "B[x]Q[two words]Q[${a}]"},
		{"x \"\\x41\\t\\\"\\\\\"", "B[x]Q[A\t\"\\]"},
		{"x /a b/ /c\\/d/ /e\\.f/", "B[x]R[a b]R[c/d]R[e\\.f]"},
		{"x /usr/bin/true /tmp", "B[x]B[/usr/bin/true]B[/tmp]"},
		{"/a/ b", "B[/a/]B[b]"},
		{"x \"\"", "B[x]Q[]"},
		{"x $a $", "B[x]B[$a]B[$]"},
		{"x \"open", NULL},
		{"x /open expr", NULL},
		{"x \"a\"b", NULL},
		{"x \"\\q\"", NULL},
		{"x \"\\x4\"", NULL},
		{"x \"\\", NULL},
		{"x ${", NULL},
		{"x ${}", NULL},
		{"x ${nope}", NULL},
	};
	struct script_line *l = malloc(sizeof(*l));

	for (size_t i = 0; i < COUNT(rows); i++) {
		char why[SCRIPT_WHY_MAX] = "", got[256] = "";
		int err = script_parse(l, rows[i].text, variable, NULL, why);
		size_t n = 0;

		ck_assert_msg(!err == !!rows[i].wanted, "%s: %s", rows[i].text, why);
		for (unsigned w = 0; !err && w < l->nwords; w++) {
			ck_assert_uint_eq(strlen(l->word[w]), l->length[w]);
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%c[%s]", "BQR"[l->kind[w]],
					      l -> word[w]);
		}
		if (!err)
			ck_assert_str_eq(got, rows[i].wanted);
		else
			ck_assert_str_ne(why, "");
	}
	free(l);
}
END_TEST

/* Lines on the desktop, the requests that they mean; "!": what is wrong with them. */
START_TEST(lines_on_the_desktop)
{
	static const struct {
		const char *line, *request;
	} rows[] = {
		{"key a down", "{\"op\":\"key\",\"key\":\"a\",\"down\":true}"},
		{"key 30 up", "{\"op\":\"key\",\"key\":\"30\",\"down\":false}"},
		{"key a sideways", "!sideways: write down or up"},
		{"key a", "!key: words are missing"},
		{"type \"a b\\n\"", "{\"op\":\"type\",\"text\":\"a b\\n\"}"},
		{"type \"a\\0\"", "!type: zero bytes"},
		{"type \"\\xff\"", "!text: not UTF-8"},
		{"click 3 -4", "{\"op\":\"click\",\"x\":3,\"y\":-4}"},
		{"click 3 4 double guest clock button right scanout 2",
		 "{\"op\":\"click\",\"x\":3,\"y\":4,\"count\":2,\"guest\":\"clock\","
		 "\"button\":\"right\",\"scanout\":2}"},
		{"click 3 4 within 1s", "!within: not an option"},
		{"click 3 4 guest", "!guest: a word is missing"},
		{"click 3x 4", "!3x: not a whole number"},
		{"click 99999999999 4", "!99999999999: not a whole number"},
		{"drag 1 2 3 4 panel graph",
		 "{\"op\":\"drag\",\"x0\":1,\"y0\":2,\"x1\":3,\"y1\":4,\"panel\":\"graph\"}"},
		{"touch 1 move 5 6", "{\"op\":\"touch\",\"slot\":1,\"phase\":1,\"x\":5,\"y\":6}"},
		{"touch 1 hover 5 6", "!hover: write down, move or up"},
		{"maximize off guest a", "{\"op\":\"maximize\",\"on\":false,\"guest\":\"a\"}"},
		{"place 1 2 3 4 guest a",
		 "{\"op\":\"place\",\"x\":1,\"y\":2,\"width\":3,\"height\":4,\"guest\":\"a\"}"},
		{"theme dark", "{\"op\":\"theme\",\"dark\":true}"},
		{"theme pink", "!pink: write dark or light"},
		{"resize 640x480", "{\"op\":\"resize\",\"width\":640,\"height\":480}"},
		{"resize 640", "!640: write WIDTHxHEIGHT"},
		{"resize 0x480", "!0x480: write WIDTHxHEIGHT"},
		{"wait-still 250ms within 2s",
		 "{\"op\":\"wait-still\",\"ms\":250,\"within_ms\":2000}"},
		{"wait-still soon", "!soon: not a duration"},
		{"wait-frame guest a sequence 7",
		 "{\"op\":\"wait-frame\",\"guest\":\"a\",\"sequence\":7}"},
		{"expect-picture /tmp/g.png tolerance 3 guest a",
		 "{\"op\":\"compare\",\"path\":\"/tmp/g.png\",\"tolerance\":3,\"guest\":\"a\"}"},
		{"drop-file /a/b 1 2", "{\"op\":\"drop\",\"path\":\"/a/b\",\"x\":1,\"y\":2}"},
	};
	struct script_line *l = malloc(sizeof(*l));
	char why[SCRIPT_WHY_MAX];

	for (size_t i = 0; i < COUNT(rows); i++) {
		json_t *is, *wanted = json_loads(rows[i].request, 0, NULL);

		ck_assert_int_eq(script_parse(l, rows[i].line, NULL, NULL, why), 0);
		is = script_desktop_request(l, why);
		ck_assert_msg(is ? json_equal(is, wanted)
				 : *rows[i].request == '!' && strstr(why, rows[i].request + 1),
			      "%s: %s", rows[i].line, is ? json_dumps(is, 0) : why);
		json_decref(is);
		json_decref(wanted);
	}
	free(l);
}
END_TEST

START_TEST(long_lines_of_scripts)
{
	struct script_line *l = malloc(sizeof(*l));
	char *text = malloc(2 * SCRIPT_LINE_MAX + 1), why[SCRIPT_WHY_MAX];

	for (size_t length = SCRIPT_LINE_MAX - 4; length < SCRIPT_LINE_MAX + 4; length++) {
		memset(text, 'x', length);
		text[length] = '\0';
		ck_assert_int_eq(!script_parse(l, text, variable, NULL, why),
				 length < SCRIPT_LINE_MAX);
	}
	for (size_t i = 0; i < SCRIPT_LINE_MAX; i++)
		memcpy(text + 2 * i, "x ", 3);
	ck_assert_int_eq(script_parse(l, text, variable, NULL, why), -EINVAL);
	/* A zero byte is a byte. */
	ck_assert_int_eq(script_parse(l, "x \"a\\0b\"", variable, NULL, why), 0);
	ck_assert_uint_eq(l->length[1], 3);
	free(text);
	free(l);
}
END_TEST

START_TEST(hex_and_comparisons)
{
	char good[] = "00 ffA1", bad[] = "0g", odd[] = "00f";
	size_t length;
	struct text out = {0};

	ck_assert_int_eq(script_parse_hex(good, &length), 0);
	ck_assert_uint_eq(length, 3);
	ck_assert_mem_eq(good, "\x00\xff\xa1", 3);
	ck_assert_int_eq(script_parse_hex(bad, &length), -EINVAL);
	ck_assert_int_eq(script_parse_hex(odd, &length), -EINVAL);
	ck_assert_int_eq(script_compare(1, "==", 1), 1);
	ck_assert_int_eq(script_compare(1, "!=", 1), 0);
	ck_assert_int_eq(script_compare(-1, "<", 0), 1);
	ck_assert_int_eq(script_compare(0, "<=", 0), 1);
	ck_assert_int_eq(script_compare(0, ">", 0), 0);
	ck_assert_int_eq(script_compare(0, ">=", 0), 1);
	ck_assert_int_eq(script_compare(0, "=", 0), -EINVAL);
	script_add_escaped(&out, "a\n\x01\\\xff", 5);
	ck_assert_str_eq(out.data, "a\\n\\x01\\x5c\\xff");
	text_finish(&out);
}
END_TEST

/* ---- the graph ----------------------------------------------------------- */

static const char wires[] =
	"{\"guests\":[{\"name\":\"web\",\"state\":\"ready\",\"label\":\"<net>\",\"colour\":\"#"
	"ff0000\"},"
	"{\"name\":\"store\",\"state\":\"added\",\"label\":\"s\",\"colour\":\"\\\"/><script>\"}],"
	"\"services\":[{\"name\":\"blobs\",\"provider\":\"store\",\"port\":10,\"type\":"
	"\"seqpacket\","
	"\"ready\":true},{\"name\":\"back\",\"provider\":\"web\",\"port\":11,\"type\":\"stream\"}],"
	"\"grants\":[{\"grant\":3,\"guest\":\"web\",\"service\":\"blobs\",\"origin\":\"manifest\","
	"\"rights\":[\"connect\",\"delegate\"],\"lease_ms\":5000,\"max_rate\":1048576},"
	"{\"grant\":4,\"guest\":\"web\",\"service\":\"absent\"},"
	"{\"grant\":5,\"guest\":\"store\",\"service\":\"back\"},"
	"{\"grant\":6,\"guest\":\"web\",\"service\":\"back\"}],"
	"\"connections\":[{\"from\":\"web\",\"to\":\"store\",\"service\":\"blobs\",\"path\":"
	"\"direct\","
	"\"type\":\"seqpacket\",\"tx_bytes\":2048,\"rx_bytes\":10,\"tx_messages\":2,\"rx_"
	"messages\":1},"
	"{\"from\":\"web\",\"to\":\"store\",\"service\":\"blobs\",\"tx_bytes\":1}]}";

START_TEST(graph_of_a_session)
{
	json_t *root = json_loads(wires, 0, NULL);
	struct graph g;

	ck_assert_int_eq(graph_build(&g, root), 0);
	ck_assert_uint_eq(g.nnodes, 3); /* and somebody absent */
	ck_assert_uint_eq(g.nedges, 4);
	ck_assert_uint_eq(g.edge[0].connections, 2);
	ck_assert_uint_eq(g.edge[0].tx_bytes, 2049);
	ck_assert(g.node[0].runs && !g.node[1].runs);
	graph_finish(&g);
	json_decref(root);
}
END_TEST

START_TEST(graph_as_text)
{
	json_t *root = json_loads(wires, 0, NULL);
	struct text out = {0};

	graph_add_text(root, &out);
	ck_assert_ptr_nonnull(strstr(out.data, "blobs    store     10    seqpacket  ready\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "delegate, lease 5000ms, 1M/s\n"));
	ck_assert_ptr_nonnull(strstr(out.data, "direct  2K/2       10/1\n"));
	out.length = 0;
	graph_add_dot(root, &out);
	ck_assert_ptr_nonnull(strstr(out.data, "\"web\" -> \"store\" [label=\"blobs\""));
	ck_assert_ptr_nonnull(strstr(out.data, "\\\"/><script>"));
	out.length = 0;
	graph_add_svg(root, &out);
	ck_assert_ptr_nonnull(strstr(out.data, "&lt;net&gt;"));
	ck_assert_ptr_null(strstr(out.data, "<script>"));
	ck_assert_ptr_nonnull(strstr(out.data, "</svg>\n"));
	text_finish(&out);
	json_decref(root);
}
END_TEST

/* A chain stands in columns; a cycle and a crowd end, too. */
START_TEST(graph_columns)
{
	json_t *root = json_object(), *list = json_array();
	struct graph g;
	struct text out = {0};
	char from[16], to[16];

	for (int i = 0; i < 5; i++) {
		snprintf(from, sizeof(from), "g%d", i);
		snprintf(to, sizeof(to), "g%d", i + 1);
		json_array_append_new(
			list, json_pack("{s:s,s:s,s:s}", "from", from, "to", to, "service", "x"));
	}
	json_object_set_new(root, "connections", list);
	ck_assert_int_eq(graph_build(&g, root), 0);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(g.node[i].column, i);
	graph_finish(&g);
	json_array_append_new(list, json_pack("{s:s,s:s}", "from", "g5", "to", "g0"));
	ck_assert_int_eq(graph_build(&g, root), 0);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(g.node[i].column, i);
	ck_assert_uint_eq(g.columns, 6);
	graph_finish(&g);
	for (int i = 0; i < GRAPH_NODES_MAX + 10; i++) {
		snprintf(from, sizeof(from), "n%d", i);
		json_array_append_new(list, json_pack("{s:s,s:s}", "from", from, "to", "g0"));
	}
	ck_assert_int_eq(graph_build(&g, root), 0);
	ck_assert(g.truncated);
	ck_assert_uint_eq(g.nnodes, GRAPH_NODES_MAX);
	graph_finish(&g);
	graph_add_svg(root, &out);
	ck_assert_ptr_nonnull(strstr(out.data, "is left out"));
	text_finish(&out);
	json_decref(root);
	root = json_object(); /* nothing at all */
	graph_add_svg(root, &out);
	graph_add_text(root, &out);
	graph_add_dot(root, &out);
	text_finish(&out);
	json_decref(root);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cli");
	TCase *client = tcase_create("client"), *request = tcase_create("requests"),
	      *script = tcase_create("script"), *graph = tcase_create("graph");

	tcase_add_test(client, call_is_answered);
	tcase_add_test(client, lines_come_in_pieces);
	tcase_add_test(client, errors_are_judged);
	tcase_add_test(client, h34_lying_session);
	tcase_add_test(client, h34_silent_session);
	tcase_add_test(client, h34_descriptors);
	tcase_add_test(client, request_that_cannot_be_sent);
	tcase_add_test(client, socket_paths);
	tcase_add_test(request, limits_of_grants);
	tcase_add_test(request, requests_to_start);
	tcase_add_test(request, requests_to_connect);
	tcase_add_test(request, manifests_are_found);
	tcase_add_test(request, command_lines);
	tcase_add_test(request, formats);
	tcase_add_test(script, lines_of_scripts);
	tcase_add_test(script, long_lines_of_scripts);
	tcase_add_test(script, lines_on_the_desktop);
	tcase_add_test(script, hex_and_comparisons);
	tcase_add_test(graph, graph_of_a_session);
	tcase_add_test(graph, graph_as_text);
	tcase_add_test(graph, graph_columns);
	suite_add_tcase(s, client);
	suite_add_tcase(s, request);
	suite_add_tcase(s, script);
	suite_add_tcase(s, graph);
	return unit_run(s);
}
