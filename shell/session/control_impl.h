/*
 * The control socket's inside, shared by control.c, request.c and ops_*.c. What
 * the rest of the session calls is in session.h.
 *
 * A request is decoded and checked against its operation's table before the
 * operation sees it. It is answered once, by request_ok, request_send or one of
 * request_fail*, which free it: at once, or later. One that waits says for what
 * (machine, deadline_ns, for_refresh) and has a `look` function, called when
 * there is news of that. When its client goes it is freed with it, after `cancel`.
 */
#ifndef CONTROL_IMPL_H
#define CONTROL_IMPL_H

#include "session.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_REQUESTS_MAX 32 /* of one client, unanswered */
#define CONTROL_LINE_MAX 65536  /* bytes, without the line feed */
#define CONTROL_OUTPUT_MAX (1u << 20)
#define CONTROL_OUTPUT_LOW (256u << 10) /* who sends much waits while more is waiting */
#define CONTROL_FDS_MAX 16              /* received and not yet claimed */
#define CONTROL_CLAIM_MAX 3             /* by one request */
#define CONTROL_LISTENERS_MAX 32        /* services of one client */
#define CONTROL_SERVICE "control"       /* by which guests are clients */
#define CONTROL_GUEST_CLIENTS_MAX 16    /* of all guests, besides the others */
#define CONTROL_GUEST_CONNS_MAX 4       /* of one */

/* Error codes of docs/control.md. */
enum control_error {
	CONTROL_BAD_REQUEST,
	CONTROL_NOT_FOUND,
	CONTROL_EXISTS,
	CONTROL_BUSY,
	CONTROL_LIMIT,
	CONTROL_INVALID,
	CONTROL_REFUSED,
	CONTROL_TIMEOUT,
	CONTROL_ENDED,
	CONTROL_INTERNAL,
	CONTROL_ERRORS
};

enum field_type {
	FIELD_NAME, /* policy_name_is_valid */
	FIELD_STRING,
	FIELD_PATH, /* absolute */
	FIELD_BOOL,
	FIELD_U32,
	FIELD_U63,    /* what a JSON integer of ours can hold */
	FIELD_SOCKET, /* "stream" or "seqpacket" */
	FIELD_STRINGS,
	FIELD_OBJECT,
	FIELD_OBJECTS,
};

struct field {
	const char *name; /* NULL: end of the table */
	enum field_type type;
	bool required;
	const struct field *fields; /* of FIELD_OBJECT and each of FIELD_OBJECTS */
};

struct request;

struct op {
	const char *name;
	const struct field *fields; /* besides op, id and fds; NULL: none */
	void (*run)(struct request *r);
	bool takes_fds;
};

struct request {
	struct request *next; /* of its client */
	struct client *client;
	const struct op *op;
	json_t *id, *body;
	int fd[CONTROL_CLAIM_MAX]; /* claimed; -1 once taken */
	unsigned nfds;

	/* Of one that waits. */
	bool (*look)(struct request *r);   /* true: it was answered */
	void (*cancel)(struct request *r); /* or NULL; also before an answer */
	struct machine *machine;
	uint32_t overs;       /* the machine's, when the request came */
	uint64_t deadline_ns; /* 0: never */
	bool due;             /* the deadline is over */
	bool news;            /* to be looked at in the next tick */
	bool for_room;        /* waits until the client has taken most of what waits for it */
	bool for_refresh;     /* waits for fresh counters */
	bool follows_audit;
	void *opaque; /* the operation's; freed by cancel */
};

/* ---- clients (control_client.c) ------------------------------------------------- */

struct output {
	struct output *next;
	int fd; /* goes with the first byte; -1: none */
	size_t length, sent;
	char data[];
};

/* A descriptor that came; `end`: stream position behind the bytes it may belong to. */
struct received {
	int fd;
	uint64_t end;
};

struct listener { /* a service that the client provides */
	struct listener *next;
	struct client *client;
	char service[POLICY_NAME_MAX];
};

struct client {
	struct client *next;
	struct session *session;
	int fd;
	bool gone; /* to be freed */
	bool subscribed;
	char guest[POLICY_NAME_MAX]; /* whose it is, by the service control; "": a person's */
	bool writing;                /* waits for EPOLLOUT */

	char *input;
	size_t length, capacity; /* of what is not yet a line */
	uint64_t line_start;     /* stream position of input[0] */
	struct received received[CONTROL_FDS_MAX];
	unsigned nreceived;

	struct output *first, **last;
	size_t waiting; /* bytes */

	struct request *requests;
	struct listener *listeners;
	unsigned nlisteners;
};

/* One for a connected, non-blocking socket, watched with fn; or NULL. It owns fd then. */
struct client *client_create(struct session *s, int fd, loop_fn *fn);
/* From anywhere: it has gone, and is freed at the end of a turn of control.c. */
void client_drop(struct client *c);
/* Ends what it had a hold on: requests, services, guests that it is attached to. */
void client_release(struct client *c);
void client_destroy(struct client *c);
/* Writes what waits, reads what has come and runs it; as far as that goes now. */
void client_flush(struct client *c);
void client_read(struct client *c);
/* Registers a service of the client; 0 or -errno. */
int client_add_listener(struct client *c, const char *service, bool seqpacket);

/* ---- all of them (control.c) ------------------------------------------------------ */

/* The first of all clients. */
struct client *control_clients(struct session *s);
/* The request waits for fresh counters of all VMMs (200 ms at most). */
void control_refresh(struct request *r);
/* They are on their way. */
bool control_is_refreshing(struct session *s);

/* A guest's, over this connected socket, which is taken over. */
void control_add_guest(struct session *s, int fd, const char *guest);

/* ---- clients that are guests (control_guest.c) ------------------------------------------ */

/* The service ends; nothing if it was not there. */
void control_unserve_guests(struct session *s);
/*
 * May a guest ask this? -EPERM, -ENOENT with why. Names of programs in the body become
 * paths. Before the fields are checked.
 */
int control_guest_check(struct request *r, unsigned nfds, char why[256]);

/* ---- requests (request.c) -------------------------------------------------------- */

/*
 * Decodes one line (length bytes) of the client and runs it. claim gives the
 * request's descriptors: false, too few have come.
 */
void request_line(struct client *c, const char *line, size_t length,
		  bool (*claim)(struct client *c, unsigned count, int *fd));
/* Frees one without an answer; NULL-safe. */
void request_drop(struct request *r);
/* An error that belongs to no request: "id":null. */
void request_reject(struct client *c, enum control_error code, const char *message);

/* Answers with these fields, which are taken over; NULL: there was no memory for them. */
void request_ok(struct request *r, json_t *fields);
/* Answers that it went well, and no more; with a descriptor, which is closed. */
void request_done(struct request *r);
void request_done_fd(struct request *r, int fd);
void request_fail(struct request *r, enum control_error code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* With more fields in `error`: extra is taken over. */
void request_fail_with(struct request *r, enum control_error code, json_t *extra,
		       const char *message);
/* As the reason for which a connection could not be made. */
void request_fail_reason(struct request *r, enum exo_reason reason, const char *service);

/* Fields of the body, checked before: absent ones give NULL, 0, false or `otherwise`. */
const char *request_string(const struct request *r, const char *field);
uint64_t request_number(const struct request *r, const char *field, uint64_t otherwise);
bool request_bool(const struct request *r, const char *field);
bool request_has(const struct request *r, const char *field);
/* VMM's and policy's word: is the type "seqpacket"? */
bool request_is_seqpacket(const struct request *r);
/* The guest that "guest" names; NULL: answered with not-found. */
struct machine *request_machine(struct request *r);
struct session *request_session(const struct request *r);
/* Makes it wait; deadline 0: for ever. `look` is called at once, too. */
void request_wait(struct request *r, bool (*look)(struct request *r), uint64_t deadline_ns);

/*
 * Checks an object against a table; `what` names it in messages ("request",
 * "disks"). 0 or -EINVAL with why.
 */
int fields_check(const json_t *object, const struct field *fields, const char *what, char why[256]);

/* ---- operations ---------------------------------------------------------------------- */

extern const struct op ops_guest[], ops_start[], ops_wire[], ops_watch[], ops_log[], ops_audit[],
	ops_words[], ops_desktop[];
extern const struct field ops_display_fields[]; /* of `start`'s display */
extern const struct field ops_grant_fields[];   /* of `grant`, and but for guest in `start` */

/* Grants to a guest what the object (ops_grant_fields) says. The id or -errno. */
int64_t ops_grant(struct session *s, const char *guest, const json_t *grant);
/* A grant as docs/control.md has it. */
json_t *ops_grant_json(const struct policy_grant_info *g, uint64_t now_ns);

#endif
