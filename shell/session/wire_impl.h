/* Inside wire*.c, for nobody else. */
#ifndef WIRE_IMPL_H
#define WIRE_IMPL_H

#include "session.h"

#define WIRE_RING_BYTES (128u << 10) /* of each direction, where the budget allows it */
#define WIRE_RING_MIN (8u << 10)
#define WIRE_ACCEPT_NS 2000000000ull /* a ready provider has so long to accept */
#define WIRE_START_NS 10000000000ull /* one that must be started, if its manifest says nothing */
#define WIRE_LINGER_NS 5000000000ull /* after one end closed, the other one's is counted */
#define WIRE_REFRESH_NS 200000000ull
#define WIRE_PENDING_MAX 64u /* of one guest, not made yet */
#define WIRE_BUCKETS 4096u
#define WIRE_RECENT_MAX 32u /* ended connections of a guest of which the reason is known */

enum wire_state { WIRE_OFFERED, WIRE_OPEN, WIRE_HALF /* one end has closed */ };
enum wire_side { WIRE_OPENER, WIRE_ACCEPTOR };

struct wire {
	struct wire *hash_next;
	struct wire *next[2], *prev[2]; /* of the machine at that side */
	uint32_t conn;
	enum wire_state state;
	struct machine *end[2]; /* NULL: a host program */
	bool closed[2];         /* its VMM has forgotten it */
	bool direct[2];
	struct exo_vmm_channel_info count[2];

	/* while it is offered */
	struct wire *offered_next, *offered_prev;
	uint64_t deadline_ns; /* also of HALF */
	uint64_t give_up_ns;  /* of the request, should it have to be made anew */
	uint32_t request, port, guest_port;
	uint32_t type, ring_bytes;
	uint64_t max_rate;
	int ring_fd; /* or the host program's end, for `done` */
	wire_host_fn *done;
	void *opaque;
	char from[POLICY_NAME_MAX]; /* of a host program that opened it */
};

/* A connect that is not a connection yet: its provider is being started. */
struct wire_ask {
	struct wire_ask *next;
	struct machine *m; /* NULL: a host program */
	uint32_t request, port, guest_port, type;
	bool direct;
	char service[POLICY_NAME_MAX]; /* that it waits for */
	char from[POLICY_NAME_MAX];
	uint64_t deadline_ns; /* 0: not set yet */
	wire_host_fn *done;
	void *opaque;
};

struct wire_listener {
	struct wire_listener *next;
	char service[POLICY_NAME_MAX];
	wire_accept_fn *accept;
	void *opaque;
};

struct wire_recent {
	uint32_t local_port, peer_port;
	enum exo_reason reason;
};

/* m->wires: what a machine has. */
struct wire_ends {
	struct wire *first;
	unsigned pending; /* offered or asked for, as opener */
	unsigned asked;   /* CHANNELS_REQUEST without an answer */
	unsigned nrecent;
	struct wire_recent recent[WIRE_RECENT_MAX];
};

/* What an adopted VMM has. */
struct wire_claim {
	struct wire_claim *next;
	struct machine *m;
	struct exo_vmm_channel_info info;
};

struct wire_refresh {
	struct wire_refresh *next;
	void (*done)(void *opaque);
	void *opaque;
};

/* s->wires */
struct wires {
	struct wire *bucket[WIRE_BUCKETS];
	struct wire *offered; /* and those that are HALF: what has a deadline */
	struct wire_ask *asks;
	struct wire_listener *listeners;
	struct wire_claim *claims;
	struct wire_refresh *refreshes;
	uint64_t refresh_by_ns;
	unsigned nwires;
	uint32_t next_host_port;
};

/* ---- wire_table.c ------------------------------------------------------------------ */

/* Which end of w is m? It is one of them. */
unsigned wire_side_of(const struct wire *w, const struct machine *m);
/* For wire_reason. m may be NULL. */
void wire_remember(struct machine *m, uint32_t local, uint32_t peer, enum exo_reason reason);
/* -errno of a connect that ends by the reason. */
int wire_errno(enum exo_reason reason);
/* NULL: no memory. */
struct wires *wires_of(struct session *s);
struct wire_ends *wire_ends_of(struct machine *m);
struct wire *wire_find(struct session *s, uint32_t conn);
/* With both ends entered; -ENOMEM. */
int wire_add(struct session *s, uint32_t conn, struct machine *opener, struct machine *acceptor,
	     struct wire **w);
/* Forgets it; policy too, and what waits at it. */
void wire_remove(struct session *s, struct wire *w, enum exo_reason reason);
/* From now it has a deadline, or (0) none. */
void wire_set_deadline(struct session *s, struct wire *w, uint64_t deadline_ns);

/* ---- wire.c ----------------------------------------------------------------------- */

void wire_tell_close(struct machine *m, uint32_t conn, enum exo_reason reason);
/* The opener's request, or host program's, comes to nothing. */
void wire_refuse(struct session *s, const struct wire_ask *a, enum exo_reason reason);
/* Tries it; what has to wait is copied. */
void wire_ask(struct session *s, const struct wire_ask *a);
/* What VMMs keep for us about a connection; see wire_adopt.c. */
uint64_t wire_opener_cookie(const struct policy_conn_info *c);
uint64_t wire_acceptor_cookie(const struct policy_conn_info *c);

/* ---- wire_host.c -------------------------------------------------------------------- */

/* A host program provides it, or a file server: 0, or the reason. Policy knows c. */
enum exo_reason wire_to_host(struct session *s, const struct wire_ask *a,
			     const struct policy_conn_info *c);
/* A host program opens it: a socket to the acceptor. */
enum exo_reason wire_from_host(struct session *s, const struct wire_ask *a,
			       const struct policy_conn_info *c, struct machine *acceptor);
/* The acceptor took what a host program opened, or not: done is called. */
void wire_host_made(struct wire *w, enum exo_reason reason);

/* ---- wire_adopt.c ---------------------------------------------------------------------- */

/* A VMM of an earlier session says what it has. */
void wire_claim(struct machine *m, const struct exo_vmm_channels *c);
void wire_forget_claims(const struct machine *m);

/* ---- wire_count.c --------------------------------------------------------------------- */

void wire_refresh_answered(struct session *s);
void wire_refresh_tick(struct session *s, uint64_t now_ns);

#endif
