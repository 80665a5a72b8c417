/*
 * Inside policy*.c, for nobody else.
 *
 * Everything hangs in intrusive lists and chained hash tables of a fixed size.
 * A grant that is over is marked `dead` and taken out of all tables at once; what
 * was delegated from it is dead because a grant is alive only if its whole chain
 * is, and is taken out little by little (policy_reap), which is how revoking costs
 * the same however much was delegated. So whoever finds a grant in a table asks
 * grant_is_alive first.
 */
#ifndef POLICY_IMPL_H
#define POLICY_IMPL_H

#include "policy.h"

struct link {
	struct link *prev, *next; /* of a head: last and first; NULL: in no list */
};

#define LINK_OF(ptr, type, member) \
	((type *)(void *)((char *)(uintptr_t)(ptr)-offsetof(type, member)))
/* The first of a list, or NULL. */
#define LIST_FIRST(head, type, member) \
	((head)->next == (head) ? NULL : LINK_OF((head)->next, type, member))
#define LIST_NEXT(head, item, type, member) \
	((item)->member.next == (head) ? NULL : LINK_OF((item)->member.next, type, member))
#define LIST_EACH(var, head, type, member) \
	for (type *var = LIST_FIRST(head, type, member); var; \
	     var = LIST_NEXT(head, var, type, member))

static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline bool list_is_empty(const struct link *head)
{
	return head->next == head;
}

static inline void list_insert_after(struct link *at, struct link *l)
{
	l->prev = at;
	l->next = at->next;
	at->next->prev = l;
	at->next = l;
}

static inline void list_append(struct link *head, struct link *l)
{
	list_insert_after(head->prev, l);
}

/* Also of one that is in no list. */
static inline void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

/* A name that grants, services or a running guest have; there as long as one does. */
struct name {
	struct name *hash_next;
	struct link grants; /* by_name, by ascending id; dead ones may be among them */
	unsigned ngrants, refs;
	struct subject *subject; /* NULL: does not run */
	char text[POLICY_NAME_MAX];
};

struct service {
	struct service *hash_next;
	struct name *provider; /* NULL: nobody */
	unsigned refs;         /* grants, connections, and being provided */
	unsigned position;     /* in policy.provided, while there is a provider */
	uint32_t port;
	bool seqpacket, ready;
	char text[POLICY_NAME_MAX];
};

struct slot {
	struct grant *grant; /* NULL: free */
	uint16_t generation; /* of the last use; 0: never used. The highest one retires it. */
	uint32_t fixed_port; /* of the grant */
};

struct subject {
	struct subject *hash_next;
	struct link all;
	uint32_t id;
	struct name *name;
	char label[POLICY_LABEL_MAX];
	struct link opened, accepted; /* connections */
	uint32_t nopened, naccepted;
	uint64_t buffer; /* charged */
	uint32_t max_conns;
	uint64_t max_buffer;
	struct slot slot[EXO_SLOTS_MAX];
};

struct grant {
	struct grant *hash_next;
	struct link all;     /* policy.grants, by ascending id; later policy.dead */
	struct link by_name; /* name.grants; of an offer: none */
	struct grant *parent;
	struct link children, sibling;
	/* Children with connections in their tree, and this one's place among its parent's. */
	struct link busy_children, busy;
	struct link offer; /* conn.offers, until it is taken */
	struct conn *offered_at;
	unsigned offered_to; /* end of offered_at */
	struct link conns;   /* opened through it */
	struct name *grantee;
	struct service *service;
	struct policy_limits limits; /* effective */
	uint64_t expires_ns;         /* 0: never */
	uint64_t uses, refusals;
	uint32_t nconns, tree_conns; /* its own, and with those of its descendants */
	uint64_t buffer, tree_buffer;
	uint32_t id, rights, fixed_port;
	enum policy_origin origin;
	int slot;       /* of the grantee's table; -1: none */
	unsigned depth; /* 1: not delegated */
	size_t heap;    /* place in policy.lease + 1; 0: none */
	bool dead;
};

struct conn {
	struct conn *hash_next, *port_next;
	struct link all;
	struct link by_opener, by_acceptor, by_grant;
	struct subject *opener, *acceptor;
	struct grant *grant; /* NULL: over, told to be closed */
	struct service *service;
	uint32_t id, grant_id, port, slot_port, opener_port;
	bool seqpacket, accepted;
	uint64_t buffer, charged, max_rate;
	struct link offers[2]; /* for the opener, for the acceptor */
	unsigned noffers[2];
};

#define POLICY_BUCKETS 8192u

struct policy {
	const struct policy_ops *ops;
	void *opaque;
	struct name *names[POLICY_BUCKETS];
	struct service *services[POLICY_BUCKETS];
	struct subject *subjects[POLICY_BUCKETS];
	struct grant *grants_by_id[POLICY_BUCKETS];
	struct conn *conns_by_id[POLICY_BUCKETS];
	struct conn *conns_by_port[POLICY_BUCKETS];
	struct link all_subjects, grants, conns;
	struct link dead; /* grants to be freed, once they have no children */
	struct service *provided[POLICY_SERVICES_MAX];
	struct grant **lease; /* heap by expires_ns */
	size_t nleases, lease_capacity;
	unsigned nsubjects, nprovided, ngrants, nconns;
	uint32_t next_subject, next_grant, next_conn;
	unsigned busy; /* callbacks run: nothing is freed under them */
};

/* ---- policy.c ------------------------------------------------------------------------- */

uint32_t policy_hash(const char *text);
uint32_t policy_hash_ids(uint32_t a, uint32_t b, uint32_t c);
struct name *name_find(const struct policy *p, const char *text);
/* Adds a reference; NULL: no memory. */
struct name *name_get(struct policy *p, const char *text);
void name_put(struct policy *p, struct name *n);
struct service *service_find(const struct policy *p, const char *text);
struct service *service_get(struct policy *p, const char *text);
void service_put(struct policy *p, struct service *s);
struct subject *subject_find(const struct policy *p, uint32_t id);
/* event->service and provider are filled in from s, which may be NULL. */
void policy_tell(struct policy *p, struct policy_event *e, const struct service *s);

/* ---- policy_grant.c ------------------------------------------------------------------- */

bool grant_is_alive(const struct grant *g);
/* Alive, and not an offer. */
struct grant *grant_find(const struct policy *p, uint32_t id);
/* Ends it and what hangs on it. kind: REVOKE or EXPIRE. */
void grant_end(struct policy *p, struct grant *g, enum policy_event_kind kind,
	       enum exo_reason reason);
/*
 * A new one, in the id tables and the heap but of no name yet (grant_bind). id 0:
 * the next. NULL with *err.
 */
struct grant *grant_create(struct policy *p, struct grant *parent, const char *grantee,
			   const char *service, uint32_t id, int *err);
/* Its lease ends then; 0: never. Once. 0 or -ENOMEM. */
int grant_set_expiry(struct policy *p, struct grant *g, uint64_t expires_ns);
/* Enters it with its grantee, and in a slot if that runs. 0 or -ENOSPC. */
int grant_bind(struct policy *p, struct grant *g);
/* Takes it out of everything and puts it among the dead. */
void grant_unlink(struct policy *p, struct grant *g);
void grant_fill(const struct grant *g, struct policy_grant_info *info);
/* now_ns + ms, saturating. */
uint64_t policy_deadline(uint64_t now_ns, uint64_t lease_ms);
/* Ends all that was delegated from it, offers too; their number. */
int policy_end_children(struct policy *p, struct grant *g);
/* Frees some of what is dead; all of it if `all`. */
void policy_reap(struct policy *p, bool all);

/* ---- policy_slot.c ---------------------------------------------------------------------- */

/* Puts it in a free slot. 0 or -ENOSPC. */
int slot_fill(struct subject *s, struct grant *g);
void slot_free(struct grant *g);
uint32_t slot_port(const struct grant *g);
/* The live grant behind a port, else NULL with the reason. */
struct grant *slot_find(const struct subject *s, uint32_t port, enum exo_reason *reason);

/* ---- policy_conn.c ---------------------------------------------------------------------- */

struct conn *policy_conn_of(const struct policy *p, uint32_t id);
/* Takes it from its grant, and has it closed. It may be gone afterwards. */
void policy_conn_close(struct policy *p, struct conn *c, enum exo_reason reason);
/* Ends all of a subject's. */
void policy_conn_close_all(struct policy *p, struct subject *s, enum exo_reason reason);

/* ---- policy_delegate.c -------------------------------------------------------------------- */

/* Ends what waits at the connection. */
void offers_drop(struct policy *p, struct conn *c);

#endif
