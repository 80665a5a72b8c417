/* desktop.sock: its clients, lines and answers, and scenarios as a child; see remote_impl.h. */
#include "remote_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- answers -------------------------------------------------------------------------- */

static void drop_client(struct remote_client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	loop_del(&c->desktop->loop, c->fd);
	close(c->fd);
	remote_wait_forget(c->desktop, c);
	desktop_wake_at(c->desktop, desktop_now(c->desktop));
}

/* Those that are gone, once nobody is in them. */
static void reap(struct remote *r)
{
	struct remote_client **at = &r->clients;

	while (*at) {
		struct remote_client *c = *at;

		if (!c->gone) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		r->nclients--;
		free(c->in);
		free(c->out);
		free(c);
	}
}

static void flush(struct remote_client *c)
{
	ssize_t n = 0;

	while (!c->gone && c->out_bytes) {
		n = send(c->fd, c->out, c->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			break;
		c->out_bytes -= (size_t)n;
		memmove(c->out, c->out + n, c->out_bytes);
	}
	if (c->gone)
		return;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		drop_client(c);
	else
		loop_mod(&c->desktop->loop, c->fd,
			 c->out_bytes ? EPOLLIN | EPOLLOUT : (uint32_t)EPOLLIN);
}

void remote_answer(struct remote_client *client, const json_t *id, json_t *answer, const char *code,
		   const char *why)
{
	char *text = NULL, *more;
	size_t bytes;

	if (code) {
		json_decref(answer);
		answer = json_pack("{s:b,s:{s:s,s:s}}", "ok", 0, "error", "code", code, "message",
				   why);
	} else if (answer) {
		json_object_set_new(answer, "ok", json_true());
	}
	if (answer)
		json_object_set_new(answer, "id", id ? json_deep_copy(id) : json_null());
	text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	json_decref(answer);
	bytes = text ? strlen(text) : 0;
	more = text && !client->gone && client->out_bytes + bytes < REMOTE_OUT_MAX
		       ? realloc(client->out, client->out_bytes + bytes + 1)
		       : NULL;
	if (!more) {
		free(text);
		drop_client(client);
		return;
	}
	client->out = more;
	memcpy(more + client->out_bytes, text, bytes);
	more[client->out_bytes + bytes] = '\n';
	client->out_bytes += bytes + 1;
	free(text);
	flush(client);
}

int remote_fail(struct remote_call *c, const char *code, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(c->why, sizeof(c->why), format, ap);
	va_end(ap);
	c->code = code;
	return -1;
}

/* ---- requests -------------------------------------------------------------------------- */

static remote_op_fn *find_op(const char *name)
{
	const struct remote_op *const tables[] = {remote_ops, remote_input_ops, remote_wait_ops};

	for (size_t i = 0; name && i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct remote_op *op = tables[i]; op->name; op++) {
			if (!strcmp(op->name, name))
				return op->run;
		}
	}
	return NULL;
}

static void run_line(struct remote_client *client, const char *line, size_t length)
{
	json_t *request = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	struct remote_call c = {
		.desktop = client->desktop,
		.client = client,
		.request = request,
	};
	const json_t *id = json_object_get(request, "id");
	remote_op_fn *run = find_op(json_string_value(json_object_get(request, "op")));
	int result;

	c.answer = json_object();
	if (!json_is_object(request))
		result = remote_fail(&c, "bad-request", "not a JSON object");
	else if (!json_is_integer(id) && !json_is_string(id))
		result = remote_fail(&c, "bad-request", "id: a number or a string is missing");
	else if (!run)
		result = remote_fail(&c, "bad-request", "op: there is none of this name");
	else
		result = run(&c);
	if (result > 0)
		json_decref(c.answer);
	else
		remote_answer(client, id, c.answer, result ? c.code : NULL, c.why);
	json_decref(request);
}

static void on_client(void *opaque, int fd, uint32_t events)
{
	struct remote_client *c = opaque;
	struct desktop *d = c->desktop;
	size_t start = 0;
	ssize_t n;
	char *end;

	if (events & EPOLLOUT)
		flush(c);
	n = c->gone ? 0
		    : recv(fd, c->in + c->in_bytes, REMOTE_LINE_MAX - c->in_bytes, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->in_bytes += (size_t)n;
	while (n > 0 && !c->gone && (end = memchr(c->in + start, '\n', c->in_bytes - start))) {
		run_line(c, c->in + start, (size_t)(end - c->in) - start);
		start = (size_t)(end - c->in) + 1;
	}
	memmove(c->in, c->in + start, c->in_bytes - start);
	c->in_bytes -= start;
	if (n <= 0 || c->in_bytes == REMOTE_LINE_MAX)
		drop_client(c);
	desktop_wake_at(d, desktop_now(d));
}

static void on_listener(void *opaque, int fd, uint32_t events)
{
	struct desktop *d = opaque;
	struct remote *r = d->remote;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct remote_client *c = NULL;

	if (s < 0)
		return;
	if (r->nclients < REMOTE_CLIENTS_MAX)
		c = calloc(1, sizeof(*c));
	if (c) {
		c->desktop = d;
		c->fd = s;
		c->in = malloc(REMOTE_LINE_MAX);
	}
	if (!c || !c->in || loop_add(&d->loop, s, EPOLLIN, on_client, c)) {
		close(s);
		if (c)
			free(c->in);
		free(c);
		return;
	}
	c->next = r->clients;
	r->clients = c;
	r->nclients++;
}

/* ---- life --------------------------------------------------------------------------------- */

static struct remote *create(struct desktop *d)
{
	struct remote *r = d->remote ? d->remote : calloc(1, sizeof(*r));

	if (r && !d->remote) {
		r->fd = r->child_fd = -1;
		d->remote = r;
	}
	return r;
}

int remote_listen(struct desktop *d)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct remote *r = create(d);
	int err = 0;

	if (!r)
		return -ENOMEM;
	if (snprintf(a.sun_path, sizeof(a.sun_path), "%s/desktop.sock", d->directory) >=
	    (int)sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(r->path, a.sun_path, sizeof(a.sun_path));
	unlink(r->path);
	r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&a, sizeof(a)) || chmod(r->path, 0600) ||
	    listen(r->fd, REMOTE_CLIENTS_MAX))
		err = -errno;
	if (!err)
		err = loop_add(&d->loop, r->fd, EPOLLIN, on_listener, d);
	if (err && r->fd >= 0) {
		close(r->fd);
		r->fd = -1;
	}
	return err;
}

void remote_finish(struct desktop *d)
{
	struct remote *r = d->remote;

	if (!r)
		return;
	for (struct remote_client *c = r->clients; c; c = c->next)
		drop_client(c);
	reap(r);
	remote_wait_forget(d, NULL);
	if (r->fd >= 0) {
		loop_del(&d->loop, r->fd);
		close(r->fd);
		unlink(r->path);
	}
	if (r->child_fd >= 0) {
		loop_del(&d->loop, r->child_fd);
		close(r->child_fd);
		kill(r->child, SIGTERM);
		waitpid(r->child, NULL, 0);
	}
	free(r);
	d->remote = NULL;
}

uint64_t remote_tick(struct desktop *d, uint64_t now_ns)
{
	uint64_t next = d->remote ? remote_wait_tick(d, now_ns) : 0;

	if (d->remote)
		reap(d->remote);
	return next;
}

/* ---- scenarios ---------------------------------------------------------------------------- */

static void on_child(void *opaque, int fd, uint32_t events)
{
	struct desktop *d = opaque;
	struct remote *r = d->remote;
	int status = 0;

	loop_del(&d->loop, fd);
	close(fd);
	r->child_fd = -1;
	if (waitpid(r->child, &status, 0) != r->child)
		status = 1 << 8;
	r->child = 0;
	desktop_end(d, WIFEXITED(status) ? WEXITSTATUS(status) : 125);
}

/* `exo` lies beside us, or where PATH says. */
static const char *exo_path(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 8);
	char *slash;

	out[n < 0 ? 0 : n] = '\0';
	slash = strrchr(out, '/');
	if (!slash)
		return "exo";
	memcpy(slash + 1, "exo", 4);
	return access(out, X_OK) ? "exo" : out;
}

/* The demo's scenario (demo.exoscript in this folder). */
static const char *demo_path(const char *exo, char out[PATH_MAX])
{
	static const char *const places[] = {
		"../share/exo/demo.exoscript",
	};
	const char *slash = strrchr(exo, '/');

	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - exo), exo, places[i]);
		if (!access(out, R_OK))
			return out;
	}
	return NULL;
}

static void run_child(struct desktop *d, const char *exo, char **args)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("EXO_SESSION", d->directory, 1);
	setenv("EXO_SCENARIO", "1", 1);
	setenv("EXO_PICTURES", ".", 0); /* of the demo: where we are */
	if (strchr(exo, '/'))
		execv(exo, args);
	execvp("exo", args);
	_exit(127);
}

int remote_run_scenario(struct desktop *d, char *const *files, bool demo)
{
	char exo_buffer[PATH_MAX], demo_buffer[PATH_MAX], name[] = "exo", script[] = "script";
	const char *exo = exo_path(exo_buffer), *found = NULL;
	struct remote *r = create(d);
	char *args[64] = {name, script};
	unsigned n = 2;

	if (!r)
		return -ENOMEM;
	if (demo && !(found = demo_path(exo, demo_buffer)))
		return -ENOENT;
	if (found)
		args[n++] = demo_buffer;
	for (; files && *files; files++) {
		if (n + 1 == sizeof(args) / sizeof(args[0]))
			return -E2BIG;
		args[n++] = *files;
	}
	r->child = fork();
	if (!r->child)
		run_child(d, exo, args);
	if (r->child < 0)
		return -errno;
	r->child_fd = (int)syscall(SYS_pidfd_open, r->child, 0);
	if (r->child_fd < 0)
		return -errno;
	fcntl(r->child_fd, F_SETFD, FD_CLOEXEC);
	return loop_add(&d->loop, r->child_fd, EPOLLIN, on_child, d);
}
