/*
 * Policy: who may reach what, and through which slot. Pure logic: no file, no
 * socket, no clock of its own (times are CLOCK_MONOTONIC ns given by the caller).
 * One thread. The session (session.h) carries out what is decided here.
 *
 * Words. A subject is a running guest, or the host's programs as one (POLICY_HOST).
 * A service has a name, unique in the session, and a provider; it exists from
 * when its provider's manifest is known, whether the provider runs or not. A
 * grant lets the subject of one name connect to one service; grants outlive their
 * subjects, for they name them. A slot is a grant in the table of a running
 * subject: index and generation, see EXO_SLOT_PORT. A connection is opened
 * through a slot and belongs to its grant.
 *
 * Revoking marks one grant: its slots and those of all grants delegated from it
 * are stale from then on, because a slot is looked up through its grant's chain.
 * That costs the same with ten grants as with a million; only the connections
 * that were opened through it are visited, to be closed.
 *
 * Functions return 0, an id, or -errno; what concerns a connection returns an
 * enum exo_reason. Names are ASCII: letters, digits, "-_.", 1 to 63 bytes.
 */
#ifndef SESSION_POLICY_H
#define SESSION_POLICY_H

#include <exo/channel.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_NAME_MAX 64
#define POLICY_LABEL_MAX 32
#define POLICY_HOST 1u /* id of the subject "host", all host programs as one; always there */
#define POLICY_SUBJECTS_MAX 4096u
#define POLICY_SERVICES_MAX 4096u
#define POLICY_GRANTS_MAX 65536u
#define POLICY_CONNS_MAX 65536u
#define POLICY_OFFERS_MAX 64u /* of slots, waiting at one end of a connection */
#define POLICY_DEPTH_MAX 16u  /* of delegation: a grant, its child, … */
#define POLICY_CONNS_DEFAULT 64u
#define POLICY_BUFFER_DEFAULT (16ull << 20)
/* A grantee has at most EXO_SLOTS_MAX live grants, running or not. */

struct policy;

/* 0 in a field: no limit, or for a delegated grant: its parent's. */
struct policy_limits {
	uint64_t lease_ms;
	uint32_t max_conns;
	uint64_t max_buffer; /* bytes of rings at once */
	uint64_t max_rate;   /* bytes a second of each connection */
};

enum policy_origin { POLICY_MANIFEST, POLICY_PERSON, POLICY_GUEST };

enum policy_event_kind {
	POLICY_EVENT_GRANT,    /* a grant was made */
	POLICY_EVENT_DELEGATE, /* likewise, by a guest: its peer took what it offered */
	POLICY_EVENT_REVOKE,
	POLICY_EVENT_EXPIRE,
	POLICY_EVENT_CONNECT, /* a connection was accepted */
	POLICY_EVENT_REFUSE,  /* or not: reason */
	POLICY_EVENT_CLOSE,   /* and ended: reason */
};

/* For the audit log. Strings live as long as the call; "" where unknown. */
struct policy_event {
	enum policy_event_kind kind;
	uint32_t grant, conn; /* 0: none */
	const char *subject;  /* the grantee, or who connects */
	const char *service, *provider;
	enum exo_reason reason;
	uint32_t port; /* REFUSE: what the guest asked for */
};

/* Callbacks may call policy_conn_end and the functions that only look, no others. */
struct policy_ops {
	/*
	 * The connection is over because its grant or an end of it is; still known until
	 * policy_conn_end, which may be called from here. Required.
	 */
	void (*close_conn)(void *opaque, uint32_t conn, enum exo_reason reason);
	/* Every grant, use and refusal. Optional. */
	void (*event)(void *opaque, const struct policy_event *e);
};

/* NULL: no memory. ops and opaque live as long. */
struct policy *policy_create(const struct policy_ops *ops, void *opaque);
void policy_destroy(struct policy *p);

bool policy_name_is_valid(const char *name);

/* ---- subjects ------------------------------------------------------------------ */

/*
 * A guest starts: its slots are filled with the grants that name it. Its id, or
 * -EEXIST (one of that name runs), -EINVAL (name), -ENOSPC.
 */
int64_t policy_add_subject(struct policy *p, const char *name, const char *label);
/*
 * It has ended: its connections (both ways) and offers end with `reason`, its
 * slots and what was delegated to it go, its services are not ready any more.
 * Connections that close_conn did not end are ended then. POLICY_HOST stays.
 */
void policy_remove_subject(struct policy *p, uint32_t subject, enum exo_reason reason);
uint32_t policy_find_subject(const struct policy *p, const char *name); /* 0: none runs */

struct policy_subject_info {
	uint32_t id;
	const char *name, *label;
	unsigned nslots, nconns;
	uint64_t buffer_bytes; /* charged for the connections that it opened */
};
/* 0 or -ENOENT. */
int policy_subject_info(const struct policy *p, uint32_t subject, struct policy_subject_info *info);
/* Budget of a subject over all its grants: connections it may have opened at once, bytes of rings.
 * 0: the default. -ENOENT. */
int policy_set_budget(struct policy *p, uint32_t subject, uint32_t max_conns, uint64_t max_buffer);

/* ---- services -------------------------------------------------------------------- */

/*
 * `provider` provides `service` at its vsock port. -EEXIST: somebody else does;
 * the same again changes port and type. New services are not ready.
 */
int policy_add_service(struct policy *p, const char *service, const char *provider, uint32_t port,
		       bool seqpacket);
/* Its connections go on; new ones are refused as absent. -ENOENT. */
int policy_remove_service(struct policy *p, const char *service);
/* Its provider runs and listens, or not any more. -ENOENT. */
int policy_set_ready(struct policy *p, const char *service, bool ready);

struct policy_service_info {
	const char *name, *provider;
	uint32_t port;
	bool seqpacket, ready;
	uint32_t provider_subject; /* 0: does not run */
};
int policy_service_info(const struct policy *p, const char *service,
			struct policy_service_info *info);
/* The index-th service, for lists. False: no more. */
bool policy_service_at(const struct policy *p, unsigned index, struct policy_service_info *info);

/* ---- grants ------------------------------------------------------------------------ */

/*
 * `grantee` (a name; it need not run yet) may reach `service` (likewise). rights:
 * EXO_CAP_CONNECT, EXO_CAP_GRANT. fixed_port: a second, well-known port for the
 * slot (below 0x01000000), or 0. The grant's id; -EINVAL, -ENOSPC, -EEXIST (the
 * same grantee has that service by the same origin: revoke first; or the
 * fixed port is taken).
 */
int64_t policy_grant(struct policy *p, const char *grantee, const char *service, uint32_t rights,
		     const struct policy_limits *limits, enum policy_origin origin,
		     uint32_t fixed_port, uint64_t now_ns);
/*
 * Closes what was opened through it and everything delegated from it. What is
 * charged to grants is given back at once, what is charged to openers when
 * policy_conn_end says that the memory is gone. -ENOENT.
 */
int policy_revoke(struct policy *p, uint32_t grant);
/* Revokes by name: all grants of grantee to service. The number, or -ENOENT. */
int policy_revoke_named(struct policy *p, const char *grantee, const char *service);
/* Leases that are over by now are expired. The next deadline, 0: none. */
uint64_t policy_expire(struct policy *p, uint64_t now_ns);

struct policy_grant_info {
	uint32_t id, parent; /* parent 0: not delegated */
	const char *grantee, *service;
	uint32_t rights, fixed_port;
	enum policy_origin origin;
	struct policy_limits limits; /* effective; lease_ms: the whole lease */
	uint64_t expires_ns;         /* 0: never */
	uint32_t port;               /* of its slot, 0: the grantee does not run */
	uint32_t nconns;
	uint64_t buffer_bytes; /* charged for these connections */
	uint64_t uses, refusals;
};
/* 0 or -ENOENT: it was never there, or is over, or only offered so far. */
int policy_grant_info(const struct policy *p, uint32_t grant, struct policy_grant_info *info);
/* The next live grant with an id above `after`, for lists and for saving. False: no more. */
bool policy_grant_next(const struct policy *p, uint32_t after, struct policy_grant_info *info);

/* ---- slots -------------------------------------------------------------------------- */

/* A slot of the subject for the service: its port, or 0. */
uint32_t policy_resolve(const struct policy *p, uint32_t subject, const char *service);
/* The index-th live slot of a subject, as its grant. False: no more. */
bool policy_slot_at(const struct policy *p, uint32_t subject, unsigned index,
		    struct policy_grant_info *info);
/*
 * Gives a slot up; what was delegated from it and opened through it goes too. A
 * grant by a manifest or person stays: it fills a slot at the next start. -ENOENT.
 */
int policy_drop_slot(struct policy *p, uint32_t subject, uint32_t port);
/* Revokes all grants delegated from the slot. Their number or -ENOENT. */
int policy_revoke_delegated(struct policy *p, uint32_t subject, uint32_t port);

/* ---- connections ----------------------------------------------------------------------- */

struct policy_conn_info {
	uint32_t id, grant;
	uint32_t opener, acceptor; /* subjects */
	const char *service;
	uint32_t port;        /* the service's, at the acceptor */
	uint32_t slot_port;   /* what the opener connected to */
	uint32_t opener_port; /* the opener's own */
	bool seqpacket;
	bool accepted;
	uint64_t buffer_bytes; /* of the ring of one direction, a power of two; 0: none */
	uint64_t max_rate;
};

/*
 * The subject connects to a port. EXO_REASON_NONE: *conn is charged for and
 * filled in. ABSENT (no provider is known) and NOT_READY (it does not run, or is
 * not ready) are the caller's to mend by starting the provider and asking again:
 * conn->service then names it; if it can't, it says policy_conn_refused. All other
 * refusals are recorded here. want_buffer: bytes of ring wished for in each
 * direction (0: no ring, nothing charged); conn->buffer_bytes is what the budget
 * gives: the largest power of two up to that for which exo_ring_total, which is
 * what is charged, fits the budgets of the subject, the grant and all it was
 * delegated from; at least min_buffer, else BUDGET. A guest can't connect to
 * itself (REFUSED), nor twice from one port of its own to one slot (PROTOCOL).
 */
enum exo_reason policy_connect(struct policy *p, uint32_t subject, uint32_t port,
			       uint32_t opener_port, bool seqpacket, uint64_t want_buffer,
			       uint64_t min_buffer, uint64_t now_ns, struct policy_conn_info *conn);
/* The subject's request for a port came to nothing: records the refusal. */
void policy_conn_refused(struct policy *p, uint32_t subject, uint32_t port, enum exo_reason reason);
/* The acceptor took it. */
void policy_conn_accept(struct policy *p, uint32_t conn);
/* It is over (before policy_conn_accept: refused); gives back what was charged. Unknown ids are
 * ignored. */
void policy_conn_end(struct policy *p, uint32_t conn, enum exo_reason reason);
int policy_conn_info(const struct policy *p, uint32_t conn, struct policy_conn_info *info);
/* A connection of the subject by the two ports it sees. 0: none. */
uint32_t policy_conn_find(const struct policy *p, uint32_t subject, uint32_t local_port,
			  uint32_t peer_port);
/* The next connection with an id above `after`. */
bool policy_conn_next(const struct policy *p, uint32_t after, struct policy_conn_info *info);

/*
 * Adopts, after a restart of the session, a connection that two VMMs still have:
 * same ids as before. 0, -EEXIST, -ENOENT (its grant is not there any more: the
 * caller closes it as revoked).
 */
int policy_conn_adopt(struct policy *p, const struct policy_conn_info *conn);
/* The same for a saved grant, with its old id and the rest of its lease. */
int policy_grant_adopt(struct policy *p, const struct policy_grant_info *grant, uint64_t now_ns);
/* The subject gets this slot port back for the grant (before any other use of its table). */
int policy_slot_adopt(struct policy *p, uint32_t subject, uint32_t grant, uint32_t port);

/*
 * Generations of a subject's slots, for saving: given back before its slots are
 * adopted, they keep stale ports stale. -ENOENT.
 */
int policy_generations(const struct policy *p, uint32_t subject,
		       uint16_t generation[EXO_SLOTS_MAX]);
int policy_generations_adopt(struct policy *p, uint32_t subject,
			     const uint16_t generation[EXO_SLOTS_MAX]);
/* Ids that the next grant and the next connection get; to be saved, and set again (never back). */
void policy_next_ids(const struct policy *p, uint32_t *grant, uint32_t *conn);
void policy_set_next_ids(struct policy *p, uint32_t grant, uint32_t conn);

/* ---- delegation over a connection -------------------------------------------------------- */

/*
 * The subject offers what its slot reaches to the other end of one of its
 * connections, with the same or less: rights and limits (NULL: none of its own) are
 * cut to the slot's, which also bound the sum over all that is delegated from it.
 * A lease runs from now. 0; -ENOENT (slot or connection), -EPERM (the slot may not
 * be delegated, or nothing is left of the rights), -ENOBUFS (POLICY_OFFERS_MAX wait
 * there), -ENOSPC (the table of grants, or POLICY_DEPTH_MAX).
 */
int policy_delegate(struct policy *p, uint32_t subject, uint32_t port, uint32_t conn,
		    uint32_t rights, const struct policy_limits *limits, uint64_t now_ns);
/*
 * Takes the oldest offer that waits at the connection: a slot of its own. 0,
 * -EAGAIN (nothing), -ENOENT (no such connection), -ENOSPC (its table is full; the offer stays).
 */
int policy_take(struct policy *p, uint32_t subject, uint32_t conn, uint64_t now_ns,
		struct policy_grant_info *slot);

#endif
