/* Inside memory*.c, for nobody else. */
#ifndef MEMORY_IMPL_H
#define MEMORY_IMPL_H

#include "session.h"

#define MEMORY_PAGE 4096ull
#define MEMORY_QUOTA (64ull << 20) /* of what a guest creates, if its manifest says nothing */
#define MEMORY_MAPS_MAX 256u       /* of one guest */
#define MEMORY_OFFERS_MAX 64u      /* that wait at one end of a connection */
#define MEMORY_BUCKETS 1024u

/* A guest that has the memory, is getting it or is losing it. */
struct memory_map {
	struct memory_map *next;
	struct machine *m;
	uint64_t offset;
	bool read_only;
	bool asked;     /* MEM_MAP was sent, MEM_MAPPED has not come */
	bool doomed;    /* to be unmapped, or it is and `fence` has not been passed */
	uint64_t fence; /* m->stats_answered when its VMM has surely mapped or unmapped it; 0: no
			   matter */
	/* Who is answered when it is mapped. */
	void *conversation;
	uint32_t op, id;
};

struct memory_offer {
	struct memory_offer *next;
	uint64_t number; /* in the order in which they were made */
	uint32_t conn, flags;
	struct machine *to;
};

struct memory {
	struct memory *next; /* of the bucket */
	uint64_t number, bytes;
	int fd;
	struct machine
		*owner; /* charged; NULL: it is gone, and so is this when the last has lost it */
	struct memory_map *maps;
	struct memory_offer *offers; /* oldest first */
	/* MEM_REVOKE waits until the others have lost it. */
	struct machine *revoker;
	void *conversation;
	uint32_t revoke_id;
};

/* m->memory */
struct memory_use {
	uint64_t bytes; /* of what it owns */
	unsigned maps;
};

/* s->memory */
struct memories {
	struct memory *bucket[MEMORY_BUCKETS];
	uint64_t last, last_offer;
};

/* ---- memory.c -------------------------------------------------------------------- */

struct memory_map *memory_map_of(const struct memory *mem, const struct machine *m);
uint64_t memory_quota(const struct machine *m);
/* Asks m's VMM to map it; the answer goes to the conversation. 0 or -errno. */
int memory_map(struct memory *mem, struct machine *m, bool read_only, void *conversation,
	       const struct exo_cap_msg *request);
/* Takes it away from m. */
void memory_unmap(struct memory *mem, struct memory_map *map);
/* Answers who waits for what has become true, and frees it if nobody has it any more. */
void memory_settle(struct session *s, struct memory *mem);
struct memory *memory_create(struct session *s, struct machine *owner, uint64_t bytes, int *err);
void memory_set_owner(struct memory *mem, struct machine *owner);
struct memory *memory_find(struct session *s, uint64_t number);
struct memory_use *memory_use_of(struct machine *m);

#endif
