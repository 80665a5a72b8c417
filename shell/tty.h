/*
 * The terminal on standard input.
 *
 * A program built with the SDK behaves as a process does: the host's line
 * discipline stays in charge, and what the program asks for (no echo, no line
 * editing) is applied here. Any other guest owns the terminal: it is raw, and
 * what is typed passes through here, for Ctrl-] q to end the guest.
 *
 * The terminal is put back at every end but kill -9 (then: stty sane).
 */
#ifndef TTY_H
#define TTY_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#define TTY_ESCAPE 0x1d /* Ctrl-] */

/* Takes out the escape: state between calls, for typed bytes that come one by one. */
struct tty_escape {
	bool pending; /* the last byte was TTY_ESCAPE */
	bool quit;    /* TTY_ESCAPE q was typed; what follows is dropped */
};

/*
 * Copies `length` typed bytes to `out` (room for 2 × length) without escapes;
 * TTY_ESCAPE twice is one, before anything but q it stays. Returns the length.
 */
unsigned tty_filter(struct tty_escape *e, const char *in, unsigned length, char *out);

struct tty {
	int fd;       /* the terminal, or -1 */
	bool changed; /* `original` was saved and `wanted` is to be in force */
	struct termios original, wanted;

	/* Where typed bytes pass through here only */
	bool raw;
	int pipe_fd; /* where they go, or -1 */
	bool paused; /* not in the foreground */
	struct tty_escape escape;
	char held[512]; /* read, not yet written */
	unsigned held_at, held_length;
};

void tty_init(struct tty *t);
/* Puts the terminal back. Safe after tty_init alone. */
void tty_finish(struct tty *t);

/* fd is a terminal that SDK programs may change; it stays the caller's. */
void tty_attach(struct tty *t, int fd);

/* Applies EXO_TTY_* flags. */
void tty_set(struct tty *t, uint32_t flags);

/* Makes it raw. Returns the read end of a pipe for the guest, the caller's; or -errno. */
int tty_make_raw(struct tty *t);
/*
 * The same pipe, but the terminal stays as it is and there is no escape: for a
 * guest whose VMM, another session's process, must not read this terminal.
 */
int tty_make_pipe(struct tty *t);

/* Before we are stopped: the terminal as it was. After: as the guest wants it. */
void tty_suspend(struct tty *t);
void tty_resume(struct tty *t);

/* Which fd to poll, and for what; -1: nothing to do. */
int tty_poll_fd(const struct tty *t, short *events);
/* Moves typed bytes after that poll. */
void tty_pump(struct tty *t);

#endif
