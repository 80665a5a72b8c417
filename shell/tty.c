/* The terminal on standard input; see tty.h. */
#include "tty.h"

#include <errno.h>
#include <exo/machine.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

void tty_init(struct tty *t)
{
	*t = (struct tty){.fd = -1, .pipe_fd = -1};
}

/* A job in the background must not touch a terminal that another one uses. */
static bool in_foreground(const struct tty *t)
{
	return tcgetpgrp(t->fd) == getpgrp();
}

void tty_finish(struct tty *t)
{
	tty_suspend(t);
	if (t->pipe_fd >= 0)
		close(t->pipe_fd);
	tty_init(t);
}

void tty_attach(struct tty *t, int fd)
{
	t->fd = fd;
}

static bool save(struct tty *t)
{
	if (t->fd < 0)
		return false;
	if (!t->changed && tcgetattr(t->fd, &t->original))
		return false;
	if (!t->changed)
		t->wanted = t->original;
	t->changed = true;
	return true;
}

void tty_set(struct tty *t, uint32_t flags)
{
	const struct {
		uint32_t flag;
		tcflag_t bit;
	} map[] = {{EXO_TTY_ECHO, ECHO}, {EXO_TTY_CANON, ICANON}, {EXO_TTY_ISIG, ISIG}};

	if (!save(t))
		return;
	for (unsigned i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		t->wanted.c_lflag &= ~map[i].bit;
		if (flags & map[i].flag)
			t->wanted.c_lflag |= map[i].bit;
	}
	if (!(flags & EXO_TTY_CANON)) {
		t->wanted.c_cc[VMIN] = 1;
		t->wanted.c_cc[VTIME] = 0;
	}
	tty_resume(t);
}

int tty_make_pipe(struct tty *t)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	t->pipe_fd = ends[1];
	t->paused = !in_foreground(t);
	return ends[0];
}

int tty_make_raw(struct tty *t)
{
	int end;

	if (!save(t))
		return -ENOTTY;
	end = tty_make_pipe(t);
	if (end < 0)
		return end;
	t->raw = true;
	cfmakeraw(&t->wanted);
	t->wanted.c_oflag |= OPOST; /* our own messages are lines, too */
	tty_resume(t);
	return end;
}

void tty_suspend(struct tty *t)
{
	if (t->changed && in_foreground(t))
		tcsetattr(t->fd, TCSANOW, &t->original);
}

void tty_resume(struct tty *t)
{
	if (t->fd < 0)
		return;
	t->paused = !in_foreground(t);
	if (t->changed && !t->paused)
		tcsetattr(t->fd, TCSANOW, &t->wanted);
}

unsigned tty_filter(struct tty_escape *e, const char *in, unsigned length, char *out)
{
	unsigned n = 0;

	for (unsigned i = 0; i < length && !e->quit; i++) {
		bool escaped = e->pending;

		e->pending = !escaped && in[i] == TTY_ESCAPE;
		if (e->pending)
			continue;
		if (escaped && in[i] == 'q') {
			e->quit = true;
			continue;
		}
		if (escaped && in[i] != TTY_ESCAPE)
			out[n++] = TTY_ESCAPE;
		out[n++] = in[i];
	}
	return n;
}

int tty_poll_fd(const struct tty *t, short *events)
{
	if (t->pipe_fd < 0 || t->paused)
		return -1;
	*events = t->held_length ? POLLOUT : POLLIN;
	return t->held_length ? t->pipe_fd : t->fd;
}

void tty_pump(struct tty *t)
{
	char typed[sizeof(t->held) / 2];
	ssize_t n;

	if (!t->held_length) {
		n = in_foreground(t) ? read(t->fd, typed, sizeof(typed)) : -1;
		if (!n && !t->raw) { /* Ctrl-D */
			close(t->pipe_fd);
			t->pipe_fd = -1;
			return;
		}
		if (n <= 0) { /* in the background, or hung up: SIGCONT or SIGHUP tells */
			t->paused = true;
			return;
		}
		t->held_at = 0;
		if (t->raw)
			t->held_length = tty_filter(&t->escape, typed, (unsigned)n, t->held);
		else
			memcpy(t->held, typed, t->held_length = (unsigned)n);
	}
	if (!t->held_length)
		return;
	n = write(t->pipe_fd, t->held + t->held_at, t->held_length);
	if (n < 0 && errno == EPIPE)
		n = t->held_length; /* the guest reads no more */
	if (n > 0) {
		t->held_at += (unsigned)n;
		t->held_length -= (unsigned)n;
	}
}
