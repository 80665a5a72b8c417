/* Commands of scenario files on connections and consoles; see script.h. */
#include "script.h"

#include "clock.h"
#include "common.h"
#include "pipe.h"

#include <errno.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNELS_MAX 64
#define UNREAD_MAX (4u << 20) /* then it is not read on: its sender waits */

/* ---- channels ------------------------------------------------------------------------------ */

static struct script_channel *look(const struct script *s, const char *name, bool console)
{
	struct script_channel *c = s->channels;

	while (c && (c->console != console || strcmp(c->name, name) != 0))
		c = c->next;
	return c;
}

static struct script_channel *find(struct script *s, const char *name, bool console)
{
	struct script_channel *c = look(s, name, console);

	if (!c)
		script_fail(s, "no %s named %.80s", console ? "console" : "connection", name);
	s->shown = c;
	return c;
}

static void close_channel(struct script_channel *c)
{
	if (c->out_fd >= 0 && c->out_fd != c->in_fd)
		close(c->out_fd);
	if (c->in_fd >= 0)
		close(c->in_fd);
	c->in_fd = c->out_fd = -1;
	c->ended = true;
}

static void drop(struct script *s, struct script_channel *c)
{
	struct script_channel **link = &s->channels;

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	close_channel(c);
	text_finish(&c->text);
	if (s->shown == c)
		s->shown = NULL;
	free(c);
}

int script_add_channel(struct script *s, const char *name, bool console, int in_fd, int out_fd,
		       bool seqpacket)
{
	struct script_channel *c = look(s, name, console);

	if (c && (c->ended || console)) /* a name may be used again; of a guest, when it is gone */
		drop(s, c);
	else if (c) {
		close(in_fd);
		if (out_fd != in_fd)
			close(out_fd);
		return script_fail(s, "%.80s is in use; close it first", name);
	}
	c = calloc(1, sizeof(*c));
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->console = console;
	c->seqpacket = seqpacket;
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	c->next = s->channels;
	s->channels = c;
	return 0;
}

void script_close_channels(struct script *s)
{
	struct script_listener *l;

	while (s->channels)
		drop(s, s->channels);
	while ((l = s->listeners)) {
		s->listeners = l->next;
		cli_finish(&l->c);
		free(l);
	}
}

static void receive(struct script_channel *c)
{
	size_t room = c->seqpacket ? PIPE_MESSAGE_MAX : 65536;
	char *bytes = malloc(room);
	ssize_t n = bytes ? read(c->in_fd, bytes, room) : 0;

	if (n > 0)
		text_add(&c->text, bytes, (size_t)n);
	free(bytes);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->held = n > 0 && c->seqpacket;
	c->ended = n <= 0;
}

/*
 * Waits once for news of any channel, so that no guest waits for us to read its
 * console. false: the deadline is over.
 */
static bool pump(struct script *s, uint64_t deadline_ns)
{
	struct pollfd fds[CHANNELS_MAX];
	struct script_channel *of[CHANNELS_MAX];
	uint64_t now = clock_now_ns();
	unsigned n = 0;

	if (now >= deadline_ns)
		return false;
	for (struct script_channel *c = s->channels; c && n < CHANNELS_MAX; c = c->next) {
		if (c->ended || c->held || c->text.length - c->seen > UNREAD_MAX)
			continue;
		of[n] = c;
		fds[n++] = (struct pollfd){c->in_fd, POLLIN, 0};
	}
	if (poll(fds, n, (int)((deadline_ns - now) / 1000000) + 1) < 0)
		return errno == EINTR;
	for (unsigned i = 0; i < n; i++) {
		if (fds[i].revents)
			receive(of[i]);
	}
	return true;
}

/* ---- expecting ----------------------------------------------------------- */

/* What was received and not yet expected. Its end, if it has the bytes or matches; else 0. */
typedef size_t match_fn(const struct script_channel *c, const void *pattern, size_t length);

static size_t match_bytes(const struct script_channel *c, const void *bytes, size_t length)
{
	const char *from = c->text.data ? c->text.data + c->seen : "";
	const char *at = memmem(from, c->text.length - c->seen, bytes, length);

	return at ? (size_t)(at - from) + length : 0;
}

static size_t match_regex(const struct script_channel *c, const void *regex, size_t length)
{
	regmatch_t match;

	if (c->text.length == c->seen || regexec(regex, c->text.data + c->seen, 1, &match, 0))
		return 0;
	return match.rm_eo ? (size_t)match.rm_eo : 1;
}

static int expect(struct script *s, struct script_channel *c, match_fn *match, const void *pattern,
		  size_t length)
{
	uint64_t deadline_ns = clock_now_ns() + s->timeout_ns;
	size_t end;

	while (!(end = match(c, pattern, length))) {
		if (c->ended)
			return script_fail(s, "it came to its end without that");
		c->held = false;
		if (!pump(s, deadline_ns))
			return script_fail(s, "it did not come in time");
	}
	c->seen += end;
	if (c->seen == c->text.length) {
		c->seen = c->text.length = 0;
		c->held = false;
	}
	return 0;
}

/* The pattern is word `at`: an expression or bytes. */
static int expect_word(struct script *s, struct script_channel *c, struct script_line *l,
		       unsigned at)
{
	regex_t regex;
	int err;

	if (!c)
		return -1;
	if (l->kind[at] != SCRIPT_REGEX)
		return expect(s, c, match_bytes, l->word[at], l->length[at]);
	if (regcomp(&regex, l->word[at], REG_EXTENDED | REG_NEWLINE))
		return script_fail(s, "/%.80s/ is no regular expression", l->word[at]);
	err = expect(s, c, match_regex, &regex, 0);
	regfree(&regex);
	return err;
}

static int run_expect(struct script *s, struct script_line *l)
{
	return expect_word(s, find(s, l->word[1], false), l, 2);
}

static int run_expect_message(struct script *s, struct script_line *l)
{
	uint64_t deadline_ns = clock_now_ns() + s->timeout_ns;
	struct script_channel *c = find(s, l->word[1], false);
	bool same;

	if (!c)
		return -1;
	if (!c->seqpacket)
		return script_fail(s, "%s is a stream; it has no messages", c->name);
	while (!c->held) {
		if (c->ended || !pump(s, deadline_ns))
			return script_fail(s, c->ended ? "it has ended" : "no message in time");
	}
	same = c->text.length - c->seen == l->length[2] &&
	       !memcmp(c->text.data + c->seen, l->word[2], l->length[2]);
	if (!same)
		return script_fail(s, "another message, or a part of one");
	c->seen = c->text.length = 0;
	c->held = false;
	return 0;
}

static void take_reason(void *opaque, struct cli *c, const json_t *event)
{
	if (!strcmp(cli_text(event, "what"), "close"))
		snprintf(opaque, 32, "%s", cli_text(event, "reason"));
}

/* The last that the audit log has of its kind; the news may come after the end. */
static int expect_reason(struct script *s, const struct script_channel *c, const char *wanted,
			 uint64_t deadline_ns)
{
	char reason[32] = "";
	int err = 0;

	for (int i = 0; !err && strcmp(reason, wanted) != 0 && clock_now_ns() < deadline_ns; i++) {
		if (i)
			usleep(10000);
		s->c.on_event = take_reason;
		s->c.opaque = reason;
		err = script_call(s,
				  json_pack("{s:s,s:s,s:s}", "op", "audit", "guest", c->guest,
					    "service", c->service),
				  s->timeout_ns, NULL);
		s->c.on_event = NULL;
	}
	if (err || !strcmp(reason, wanted))
		return err;
	return script_fail(s, "it ended, but by the reason \"%s\"", reason);
}

static int run_expect_end(struct script *s, struct script_line *l)
{
	uint64_t deadline_ns = clock_now_ns() + s->timeout_ns;
	struct script_channel *c = find(s, l->word[1], false);

	if (!c)
		return -1;
	while (!c->ended && c->text.length == c->seen) {
		c->held = false;
		if (!pump(s, deadline_ns))
			return script_fail(s, "it did not end in time");
	}
	if (c->text.length > c->seen)
		return script_fail(s, "more came before its end");
	return l->word[2] ? expect_reason(s, c, l->word[2], deadline_ns) : 0;
}

/* ---- sending ------------------------------------------------------------- */

static int send_bytes(struct script *s, struct script_channel *c, const char *bytes, size_t length)
{
	uint64_t deadline_ns = clock_now_ns() + s->timeout_ns;

	if (!c)
		return -1;
	while (length) {
		ssize_t n = send(c->out_fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == ENOTSOCK)
			n = write(c->out_fd, bytes, length);
		if (n < 0 && errno == EAGAIN) { /* while it does not read, what it sends is read */
			if (!pump(s, deadline_ns < clock_now_ns() + 10000000
					     ? deadline_ns
					     : clock_now_ns() + 10000000) &&
			    clock_now_ns() >= deadline_ns)
				return script_fail(s, "it does not read in time");
			continue;
		}
		if (n < 0)
			return script_fail(s, "%s", strerror(errno));
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static int run_send(struct script *s, struct script_line *l)
{
	return send_bytes(s, find(s, l->word[1], false), l->word[2], l->length[2]);
}

static int run_send_hex(struct script *s, struct script_line *l)
{
	size_t length;

	if (script_parse_hex(l->word[2], &length))
		return script_fail(s, "%.80s: not bytes in hexadecimal", l->word[2]);
	return send_bytes(s, find(s, l->word[1], false), l->word[2], length);
}

/* console NAME expect|send|close [TEXT] */
static int run_console(struct script *s, struct script_line *l)
{
	struct script_channel *c = find(s, l->word[1], true);

	if (c && !strcmp(l->word[2], "close") && !l->word[3]) {
		close(c->out_fd);
		c->out_fd = -1;
		return 0;
	}
	if (c && !strcmp(l->word[2], "expect") && l->word[3])
		return expect_word(s, c, l, 3);
	if (c && !strcmp(l->word[2], "send") && l->word[3])
		return send_bytes(s, c, l->word[3], l->length[3]);
	return c ? script_fail(s, "write: console NAME expect TEXT, send TEXT, or close") : -1;
}

/* ---- connections
 * ------------------------------------------------------------------------------------ */

static int parse_type(struct script *s, const char *word, bool *seqpacket)
{
	*seqpacket = word && !strcmp(word, "seqpacket");
	if (!word || *seqpacket || !strcmp(word, "stream"))
		return 0;
	return script_fail(s, "%.80s: stream or seqpacket", word);
}

static int add_connection(struct script *s, const char *name, int fd, bool seqpacket,
			  const char *guest, const char *service)
{
	if (script_add_channel(s, name, false, fd, fd, seqpacket))
		return -1;
	snprintf(s->channels->guest, sizeof(s->channels->guest), "%s", guest);
	snprintf(s->channels->service, sizeof(s->channels->service), "%s", service);
	return 0;
}

static int run_connect(struct script *s, struct script_line *l)
{
	const char *colon;
	bool seqpacket;
	json_t *request;
	int fd;

	if (parse_type(s, l->word[3], &seqpacket))
		return -1;
	request = pipe_connect_request(l->word[2], seqpacket);
	if (request)
		json_object_set_new(request, "timeout_ms",
				    json_integer((json_int_t)(s->timeout_ns / 1000000)));
	if (script_call(s, request, s->timeout_ns + CLIENT_TIMEOUT_NS, NULL))
		return -1;
	fd = cli_take_fd(&s->c);
	if (fd < 0)
		return script_fail(s, "the session sent no connection");
	colon = strchr(l->word[2], ':');
	return add_connection(s, l->word[1], fd, seqpacket, "host", colon ? colon + 1 : l->word[2]);
}

static int run_close(struct script *s, struct script_line *l)
{
	struct script_channel *c = find(s, l->word[1], false);

	if (!c)
		return -1;
	if (l->word[2] && strcmp(l->word[2], "send") != 0)
		return script_fail(s, "write: close NAME, or close NAME send");
	if (l->word[2])
		return shutdown(c->out_fd, SHUT_WR) ? script_fail(s, "%s", strerror(errno)) : 0;
	drop(s, c);
	return 0;
}

static int run_listen(struct script *s, struct script_line *l)
{
	struct script_listener *new;
	bool seqpacket;
	int fd;

	if (parse_type(s, l->word[3], &seqpacket) || script_need_session(s))
		return -1;
	fd = cli_dial(s->socket);
	if (fd < 0)
		return script_fail(s, "%s: %s", s->socket, strerror(-fd));
	new = calloc(1, sizeof(*new));
	snprintf(new->name, sizeof(new->name), "%s", l->word[1]);
	snprintf(new->service, sizeof(new->service), "%s", l->word[2]);
	new->seqpacket = seqpacket;
	new->next = s->listeners;
	cli_init(&new->c, fd);
	if (cli_call(&new->c,
		     json_pack("{s:s,s:s,s:s}", "op", "listen", "service", l->word[2], "type",
			       seqpacket ? "seqpacket" : "stream"),
		     s->timeout_ns, NULL)) {
		script_fail(s, "%s: %s", new->c.code, new->c.why);
		cli_finish(&new->c);
		free(new);
		return -1;
	}
	s->listeners = new;
	return 0;
}

/* accept LISTENER NAME: sets ${from} and ${label}, too. */
static int run_accept(struct script *s, struct script_line *l)
{
	uint64_t deadline_ns = clock_now_ns() + s->timeout_ns;
	struct script_listener *from = s->listeners;
	char guest[64] = "";
	json_t *line;
	int fd;

	while (from && strcmp(from->name, l->word[1]) != 0)
		from = from->next;
	if (!from)
		return script_fail(s, "nothing named %.80s listens", l->word[1]);
	for (fd = -1; fd < 0;) {
		if (cli_read(&from->c, deadline_ns, &line))
			return script_fail(s, "nobody connected in time");
		fd = strcmp(cli_text(line, "event"), "connection") ? -1 : cli_take_fd(&from->c);
		snprintf(guest, sizeof(guest), "%s", cli_text(line, "from"));
		script_set(s, "from", guest);
		script_set(s, "label", cli_text(line, "label"));
		json_decref(line);
	}
	return add_connection(s, l->word[2], fd, from->seqpacket, guest, from->service);
}

const struct script_command script_channel_commands[] = {
	{"connect", 2, 3, run_connect, "NAME SERVICE | GUEST:SERVICE | GUEST:PORT [TYPE]"},
	{"listen", 2, 3, run_listen, "NAME SERVICE [TYPE]"},
	{"accept", 2, 2, run_accept, "LISTENER NAME"},
	{"send", 2, 2, run_send, "NAME TEXT"},
	{"send-hex", 2, 2, run_send_hex, "NAME HEX"},
	{"expect", 2, 2, run_expect, "NAME TEXT"},
	{"expect-re", 2, 2, run_expect, "NAME /EXPRESSION/"},
	{"expect-message", 2, 2, run_expect_message, "NAME TEXT"},
	{"expect-end", 1, 2, run_expect_end, "NAME [REASON]"},
	{"close", 1, 2, run_close, "NAME [send]"},
	{"console", 2, 3, run_console, "NAME expect | send | close [TEXT]"},
	{NULL},
};
