/*
 * A client of the session's control socket (docs/control.md): connects, sends
 * requests, waits for their answers while events and descriptors come in
 * between. One thread; blocks only as long as it is told.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_FDS_MAX 16          /* received and not yet taken */
#define CLIENT_LINE_MAX (16 << 20) /* Limit: a longer line of the session is a protocol error */
#define CLIENT_REQUEST_MAX 65536   /* Limit: bytes of a request, its line feed included */
#define CLIENT_TIMEOUT_NS 10000000000ull /* for requests that are answered at once */
#define CLIENT_PATH_MAX 108

/* Exit codes of the commands that talk with a session. */
#define CLI_REFUSED 1   /* the session says no: not found, refused, … */
#define CLI_TROUBLE 125 /* wrong usage, no session, or it does not behave */

struct cli;
/* An event came while an answer was waited for. Its descriptors: cli_take_fd. */
typedef void cli_event_fn(void *opaque, struct cli *c, const json_t *event);

struct cli {
	int fd; /* or -1 */
	unsigned next_id;
	char *in; /* received bytes in [start, length) */
	size_t start, length, capacity;
	int fds[CLIENT_FDS_MAX];
	unsigned nfds, line_fds; /* in all; of these, of the line that was read last */
	cli_event_fn *on_event;  /* or NULL: events are dropped while an answer is waited for */
	void *opaque;
	/* Of the last call that failed: */
	char code[24]; /* error code of docs/control.md; "lost", "timeout": no answer */
	char why[512]; /* one line */
	int exit_code; /* as exo run would exit, of a start that was refused; 0: not said */
};

/* Where the socket is: EXO_SESSION, XDG_RUNTIME_DIR/exo, /tmp/exo-UID. 0 or -ENAMETOOLONG. */
int cli_socket_path(char path[CLIENT_PATH_MAX]);
/* The same of a folder that is named. */
int cli_socket_path_in(const char *folder, char path[CLIENT_PATH_MAX]);

/*
 * Connects to a socket, only if it is there and listened to. The fd, close-on-exec,
 * or -errno: -ENOENT and -ECONNREFUSED mean that no session runs, -EPERM that
 * somebody else's program listens there. Allocates nothing, prints nothing.
 */
int cli_dial(const char *path);

/* Zeroed but for fd, which it owns from then on. */
void cli_init(struct cli *c, int fd);
/* Hangs up and frees; safe after cli_init and twice. */
void cli_finish(struct cli *c);

/* Connects to the session. 0, or CLI_TROUBLE after a line that says how to start one. */
int cli_open(struct cli *c, const char *command);

/*
 * Sends a request, which is taken over, with an id of its own; fds stay the
 * caller's. Its id, or 0 with code and why: no memory (or text in it that is not
 * UTF-8: then `request` is NULL), it is too long, or the session is gone.
 */
unsigned cli_send(struct cli *c, json_t *request, const int *fds, unsigned nfds);

/*
 * Takes the next line that was received, without waiting: 1 with *line (the
 * caller's reference), 0 when there is none, or -EPROTO. Descriptors of the line
 * before that were not taken are closed.
 */
int cli_next(struct cli *c, json_t **line);
/* Receives what is there, without waiting. 0 (also when there is nothing), -ECONNRESET: gone. */
int cli_receive(struct cli *c);
/* The next descriptor of the line read last; the caller's. -1: none. */
int cli_take_fd(struct cli *c);

/* The next line of any kind by deadline_ns (CLOCK_MONOTONIC; 0: for ever). 0, -ETIMEDOUT, -errno;
 * code and why are set. */
int cli_read(struct cli *c, uint64_t deadline_ns, json_t **line);

/*
 * Is the line the answer to request `id`? -1: no. 0: yes, and it is good. Else
 * the exit code (CLI_REFUSED, CLI_TROUBLE), with code and why from its error.
 */
int cli_judge(struct cli *c, const json_t *line, unsigned id);

/*
 * Sends a request (taken over) and waits for its answer, at most timeout_ns (0:
 * for ever). 0 with *answer (unless NULL; the caller's reference), or an exit
 * code with code and why. Events go to on_event.
 */
int cli_call_fds(struct cli *c, json_t *request, const int *fds, unsigned nfds, uint64_t timeout_ns,
		 json_t **answer);
int cli_call(struct cli *c, json_t *request, uint64_t timeout_ns, json_t **answer);

/* Fields of answers and events; what is absent or of another type is "", 0, false. */
const char *cli_text(const json_t *object, const char *key);
int64_t cli_int(const json_t *object, const char *key);
bool cli_flag(const json_t *object, const char *key);
/* Its array, or an empty one of no size. */
const json_t *cli_list(const json_t *object, const char *key);

#endif
