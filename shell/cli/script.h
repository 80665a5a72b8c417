/*
 * exo script: scenario files, docs/script.md. One command a line, from a table; each
 * is a test point. What is new to drive (windows, keys) comes as another table.
 *
 *	script_parse.c     words, quoting, variables: pure
 *	script.c           files, blocks, TAP
 *	script_guests.c    commands on the session and its guests
 *	script_channels.c  commands on connections and consoles
 *	script_desktop.c   commands on the desktop: keys, pointer, windows, pictures
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "client.h"
#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- lines ---------------------------------------------------------------------------- */

#define SCRIPT_WORDS_MAX 64
#define SCRIPT_LINE_MAX 8192 /* Limit: bytes of a line with its variables filled in */
#define SCRIPT_WHY_MAX 512

enum script_kind { SCRIPT_BARE, SCRIPT_QUOTED, SCRIPT_REGEX };

struct script_line {
	unsigned nwords;
	char *word[SCRIPT_WORDS_MAX + 1]; /* terminated; NULL after the last */
	size_t length[SCRIPT_WORDS_MAX];  /* a quoted word may hold zero bytes */
	enum script_kind kind[SCRIPT_WORDS_MAX];
	char bytes[SCRIPT_LINE_MAX];
};

/* The value of a variable, or NULL: unknown. */
typedef const char *script_variable_fn(void *opaque, const char *name);

/* Splits a line without its line feed. 0 or -EINVAL with why. *l must not be copied. */
int script_parse(struct script_line *l, const char *text, script_variable_fn *variable,
		 void *opaque, char why[SCRIPT_WHY_MAX]);
/* "0a 0B0c" to bytes, in place of the word's. 0 or -EINVAL. */
int script_parse_hex(char *word, size_t *length);
/* Does `a op b` hold? op: == != < <= > >=. 1, 0, or -EINVAL. */
int script_compare(int64_t a, const char *op, int64_t b);
/* Adds bytes as text for people: what is not printable as \xNN. */
void script_add_escaped(struct text *out, const char *bytes, size_t length);

/* ---- running one ------------------------------------------------------------------------ */

/* A connection, or the console of a guest: what was read and not yet expected. */
struct script_channel {
	struct script_channel *next;
	char name[64];
	char guest[64], service[64]; /* who opened it to what, for the audit log; consoles: "" */
	bool console, seqpacket;
	bool ended, held;  /* held: a message was read and not yet looked at */
	int in_fd, out_fd; /* read from, write to; the same for connections; -1: closed */
	struct text text;
	size_t seen; /* bytes of text that were expected */
};

struct script_listener {
	struct script_listener *next;
	char name[64], service[64];
	bool seqpacket;
	struct cli c;
};

struct script_variable {
	struct script_variable *next;
	char *name, *value;
};

struct script {
	const char *file;
	struct script_variable *variables;
	struct script_channel *channels;
	struct script_listener *listeners;
	uint64_t timeout_ns;
	char folder[64];              /* of our own: the session's, and ${tmp} */
	char socket[CLIENT_PATH_MAX]; /* "": no session yet */
	pid_t session;                /* our child, 0: none */
	bool own_session;             /* it is, or was, our child */
	struct cli c;
	struct cli desk;                    /* desktop.sock */
	pid_t desktop;                      /* our child, 0: none */
	char why[SCRIPT_WHY_MAX];           /* of the command that failed */
	const struct script_channel *shown; /* what it had received, or NULL */
};

struct script_command {
	const char *name;
	unsigned least, most;                                /* words after the name */
	int (*run)(struct script *s, struct script_line *l); /* 0, or -1 with s->why */
	const char *usage;
};

extern const struct script_command script_guest_commands[], script_channel_commands[],
	script_desktop_commands[];

/* Runs one command of the tables. 0, or -1 with s->why. */
int script_run_line(struct script *s, struct script_line *l);
/* Formats s->why; returns -1. */
int script_fail(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void script_set(struct script *s, const char *name, const char *value);
/* A duration in a word. 0, or -1 with s->why. */
int script_duration(struct script *s, const char *word, uint64_t *ns);

/* Connected to the session, of our own if none was named? 0, or -1 with s->why. */
int script_need_session(struct script *s);
/* Makes a call (request: taken over). 0 with *answer (unless NULL), or -1 with s->why. */
int script_call(struct script *s, json_t *request, uint64_t timeout_ns, json_t **answer);
/* Ends a session of our own, with its guests. */
void script_end_session(struct script *s);

/* Ends a desktop of our own; hangs up on any. */
void script_end_desktop(struct script *s);

/* A new channel; takes over the fds. 0, or -1 with s->why: the name is taken. */
int script_add_channel(struct script *s, const char *name, bool console, int in_fd, int out_fd,
		       bool seqpacket);
void script_close_channels(struct script *s);

#endif
