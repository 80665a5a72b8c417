/*
 * Starting, ending and pausing guests for the person, and their terminals: who is
 * started from here has a pty of ours; of others the session keeps a log.
 */
#include "guests_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ROWS 24
#define COLS 80
#define SAME_MAX 64      /* Limit: of one program at once */
#define READ_BYTES 16384 /* a wake-up: nobody's output keeps the desktop busy */

/* ---- what it prints ------------------------------------------------------------------- */

void guests_printed(struct dguest *g, const char *bytes, size_t n)
{
	size_t over;

	if (g->console)
		panel_console_output(g->console, bytes, n);
	if (!g->log)
		g->log = malloc(LOG_KEPT_BYTES);
	if (!g->log)
		return;
	if (n > LOG_KEPT_BYTES) {
		bytes += n - LOG_KEPT_BYTES;
		n = LOG_KEPT_BYTES;
	}
	over = g->log_bytes + n > LOG_KEPT_BYTES ? g->log_bytes + n - LOG_KEPT_BYTES : 0;
	memmove(g->log, g->log + over, g->log_bytes - over);
	g->log_bytes -= over;
	memcpy(g->log + g->log_bytes, bytes, n);
	g->log_bytes += n;
}

static void close_pty(struct dguest *g)
{
	if (g->pty < 0)
		return;
	loop_del(&g->desktop->loop, g->pty);
	close(g->pty);
	g->pty = -1;
}

static void on_pty(void *opaque, int fd, uint32_t events)
{
	struct dguest *g = opaque;
	char bytes[READ_BYTES];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	if (n > 0)
		guests_printed(g, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_pty(g); /* EIO: nobody has the other side any more */
}

void guests_run_gone(struct dguest *g, const char *how)
{
	char bytes[READ_BYTES];
	ssize_t n;

	/* The last it said. */
	while (g->pty >= 0 && g->console && (n = read(g->pty, bytes, sizeof(bytes))) > 0)
		panel_console_output(g->console, bytes, (size_t)n);
	if (g->console)
		panel_console_ended(g->console, how ? how : "forgotten");
	g->console = NULL;
	close_pty(g);
	link_forget(g->desktop, g);
	free(g->log);
	g->log = NULL;
}

/* ---- consoles ------------------------------------------------------------------------------ */

void guests_on_log(struct desktop *d, const json_t *event, int fd)
{
	const char *name = json_string_value(json_object_get(event, "guest"));
	const char *text = json_string_value(json_object_get(event, "text"));
	struct dguest *g = name && text ? guests_find(d, name) : NULL;

	if (g && g->following)
		guests_printed(g, text, strlen(text));
}

static void on_log_over(void *opaque, json_t *answer, int fd)
{
	struct dguest *g = opaque;

	g->following = false;
}

void guests_console_opened(struct dguest *g)
{
	struct desktop *d = g->desktop;

	if (g->log_bytes)
		panel_console_output(g->console, g->log, g->log_bytes);
	if (g->pty >= 0 || g->following)
		return;
	g->following = true;
	link_request(d,
		     json_pack("{s:s, s:s, s:b, s:i}", "op", "log", "guest", g->name, "follow", 1,
			       "lines", 500),
		     NULL, 0, on_log_over, g);
}

void guests_console_closed(struct dguest *g)
{
	g->console = NULL; /* the log goes on, bounded, for the next one */
}

void guests_type(struct dguest *g, const char *bytes, size_t n)
{
	/* What the terminal does not take is lost, as with a person who types faster. */
	if (g->pty >= 0 && write(g->pty, bytes, n) < 0 && errno != EAGAIN && errno != EINTR)
		close_pty(g);
}

void guests_resize_pty(struct dguest *g, uint16_t rows, uint16_t cols)
{
	struct winsize size = {.ws_row = rows, .ws_col = cols};

	if (g->pty < 0 || !rows || !cols || (rows == g->rows && cols == g->cols))
		return;
	g->rows = rows;
	g->cols = cols;
	(void)ioctl(g->pty, TIOCSWINSZ, &size);
	link_request(g->desktop,
		     json_pack("{s:s, s:s, s:i, s:i}", "op", "winch", "guest", g->name, "rows",
			       rows, "cols", cols),
		     NULL, 0, NULL, NULL);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* A start that the session has not answered yet. */
struct start {
	struct desktop *desktop;
	int pty, slave;
	unsigned number; /* it runs as NAME-number; 0: as NAME */
	char **args;     /* NULL-terminated, or NULL */
	char path[];
};

static void send_start(struct start *st);

static void free_start(struct start *st)
{
	for (char **a = st->args; a && *a; a++)
		free(*a);
	free(st->args);
	if (st->pty >= 0)
		close(st->pty);
	if (st->slave >= 0)
		close(st->slave);
	free(st);
}

/* A program that runs already runs once more, under another name. */
static bool again(struct start *st, const json_t *answer)
{
	const char *code =
		json_string_value(json_object_get(json_object_get(answer, "error"), "code"));

	if (!code || (strcmp(code, "exists") != 0 && strcmp(code, "busy") != 0) ||
	    st->number == SAME_MAX)
		return false;
	st->number = st->number ? st->number + 1 : 2;
	send_start(st);
	return true;
}

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void on_started(void *opaque, json_t *answer, int fd)
{
	struct start *st = opaque;
	struct desktop *d = st->desktop;
	const char *error = link_error(answer);
	const char *name = json_string_value(json_object_get(answer, "guest"));
	struct dguest *g = NULL;

	if (error && again(st, answer))
		return;
	if (error)
		notice(d, 0xd03030, "%s: %s", base(st->path), error);
	else if (name && d->table)
		g = guests_get(d, name);
	if (g) {
		close_pty(g);
		if (loop_add(&d->loop, st->pty, EPOLLIN, on_pty, g) == 0) {
			g->pty = st->pty;
			g->launched = !g->window[0];
			g->rows = ROWS;
			g->cols = COLS;
			st->pty = -1;
		}
		guests_refresh(d);
	}
	free_start(st);
}

/* prog.exo beside prog.elf, or the path itself. */
static void manifest_for(const char *path, char out[4096])
{
	size_t n = strlen(path);

	snprintf(out, 4096, "%s", path);
	if (n < 4 || n >= 4096 || strcmp(path + n - 4, ".elf") != 0)
		return;
	memcpy(out + n - 4, ".exo", 4);
	if (access(out, R_OK) != 0)
		snprintf(out, 4096, "%s", path);
}

static json_t *start_request(const struct start *st)
{
	char what[4096];
	char name[64];
	size_t n;
	bool manifest;
	json_t *o, *list;

	manifest_for(st->path, what);
	n = strlen(what);
	manifest = n > 4 && !strcmp(what + n - 4, ".exo");
	o = json_pack("{s:s, s:s, s:{s:i, s:i, s:b, s:b, s:b}}", "op", "start",
		      manifest ? "manifest" : "program", what, "tty", "rows", ROWS, "cols", COLS,
		      "in", 1, "out", 1, "err", 1);
	if (o && st->number) {
		snprintf(name, sizeof(name), "%.*s-%u", (int)strcspn(base(st->path), "."),
			 base(st->path), st->number);
		json_object_set_new(o, "name", json_string(name));
	}
	list = st->args ? json_array() : NULL;
	for (char **a = st->args; list && *a; a++)
		json_array_append_new(list, json_string(*a));
	if (o && list)
		json_object_set_new(o, "args", list);
	return o;
}

static void send_start(struct start *st)
{
	int fds[3] = {st->slave, st->slave, st->slave};

	link_request(st->desktop, start_request(st), fds, 3, on_started, st);
}

static bool copy_args(struct start *st, char *const *args)
{
	size_t n = 0;

	while (args && args[n])
		n++;
	if (n)
		st->args = calloc(n + 1, sizeof(*st->args));
	for (size_t i = 0; st->args && i < n; i++) {
		st->args[i] = strdup(args[i]);
		if (!st->args[i])
			return false;
	}
	return !n || st->args;
}

void guests_launch(struct desktop *d, const char *path, char *const *args)
{
	struct start *st = calloc(1, sizeof(*st) + strlen(path) + 1);
	struct winsize size = {.ws_row = ROWS, .ws_col = COLS};

	if (!st)
		return;
	st->desktop = d;
	st->pty = st->slave = -1;
	memcpy(st->path, path, strlen(path));
	if (!copy_args(st, args) || openpty(&st->pty, &st->slave, NULL, NULL, &size)) {
		notice(d, 0xd03030, "%s: no terminal: %s", base(path), strerror(errno));
		free_start(st);
		return;
	}
	(void)fcntl(st->pty, F_SETFD, FD_CLOEXEC);
	(void)fcntl(st->slave, F_SETFD, FD_CLOEXEC);
	(void)fcntl(st->pty, F_SETFL, O_NONBLOCK);
	send_start(st);
}

/* ---- ending, pausing --------------------------------------------------------------------------
 */

static void tell(struct desktop *d, const char *op, const char *name)
{
	link_request(d, json_pack("{s:s, s:s}", "op", op, "guest", name), NULL, 0, link_tell, d);
}

void guests_kill(struct desktop *d, const char *name)
{
	tell(d, "kill", name);
}

void guests_stop(struct desktop *d, const char *name)
{
	tell(d, "stop", name);
}

static void on_paused(void *opaque, json_t *answer, int fd)
{
	link_tell(opaque, answer, fd);
	if (((struct desktop *)opaque)->table)
		guests_refresh(opaque);
}

void guests_pause(struct desktop *d, const char *name, bool on)
{
	link_request(d, json_pack("{s:s, s:s}", "op", on ? "pause" : "resume", "guest", name), NULL,
		     0, on_paused, d);
}
