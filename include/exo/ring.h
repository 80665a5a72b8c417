/*
 * A channel's shared memory: two rings, one a direction, in a memfd that belongs
 * to the session. Either end may be a guest (direct path: mapped into its
 * memory) or a VMM that stands in for one (switched path); the format and these
 * accessors are the same for all.
 *
 * Layout: struct exo_ring_header in the first page, then the data of direction
 * 0 (opener to acceptor), then that of direction 1; `bytes` each, a power of
 * two. Sizes come with the descriptor, never from shared memory.
 *
 * Positions count bytes since the start and never wrap (2^64). The other end is
 * hostile: its position is copied once and checked against our own private one
 * before it is used; ours is never read back. A position that can't be is
 * -EPROTO, and the channel is over.
 *
 * Doorbells: who goes to sleep says which position shall wake it (data_event,
 * space_event), fences, and looks once more; who moves a position publishes it,
 * fences, and rings if the event was passed. The two full fences pair: one of
 * the two sees the other's store, so no wake-up is lost.
 *
 * Streams are bytes. A seqpacket message is a struct exo_ring_msg, its bytes,
 * and padding to EXO_RING_ALIGN, published as one.
 */
#ifndef EXO_RING_H
#define EXO_RING_H

#include <stdint.h>

#define EXO_RING_HEADER_BYTES 4096u
#define EXO_RING_BYTES_MIN 4096u
#define EXO_RING_BYTES_MAX (1u << 24)
#define EXO_RING_ALIGN 8u
#define EXO_RING_QUIET UINT64_MAX /* an event that never comes */
#define EXO_RING_EPROTO (-71)

/* One direction. Each end writes one of the two lines and reads the other. */
struct exo_ring_dir {
	/* the producer's */
	_Alignas(64) uint64_t head; /* bytes written so far */
	uint64_t messages;          /* messages or writes so far: statistics, believed by nobody */
	uint64_t space_event;       /* ring me when tail passes this */
	uint32_t fin;               /* not 0: nothing more will come */
	/* the consumer's */
	_Alignas(64) uint64_t tail; /* bytes read so far */
	uint64_t data_event;        /* ring me when head passes this */
	uint32_t stop;              /* not 0: nothing more will be read */
};

struct exo_ring_header {
	struct exo_ring_dir dir[2];
};

struct exo_ring_msg {
	uint32_t bytes; /* that follow */
	uint32_t flags; /* EXO_RING_EOR */
};

#define EXO_RING_EOR 1u /* the sender gave MSG_EOR */

_Static_assert(sizeof(struct exo_ring_dir) == 128, "wire size");
_Static_assert(sizeof(struct exo_ring_header) <= EXO_RING_HEADER_BYTES, "wire size");
_Static_assert(sizeof(struct exo_ring_msg) == EXO_RING_ALIGN, "wire size");

/* Size of the memory: what is mapped, and what the opener is charged for. */
static inline uint64_t exo_ring_total(uint32_t bytes)
{
	return EXO_RING_HEADER_BYTES + 2 * (uint64_t)bytes;
}

/* Bytes of the ring that a message of n bytes takes. */
static inline uint64_t exo_ring_msg_total(uint64_t n)
{
	return sizeof(struct exo_ring_msg) +
	       ((n + EXO_RING_ALIGN - 1) & ~(uint64_t)(EXO_RING_ALIGN - 1));
}

/* ---- one end, private memory ------------------------------------------------ */

struct exo_ring {
	struct exo_ring_dir *out, *in;
	uint8_t *out_data, *in_data;
	uint32_t bytes; /* of each direction */
	uint64_t head;  /* ours, of `out` */
	uint64_t tail;  /* ours, of `in` */
	uint64_t messages;
};

/* `side` 0: the opener. base: the mapped memory, exo_ring_total(bytes) long. */
static inline void exo_ring_init(struct exo_ring *r, void *base, uint32_t bytes, unsigned side)
{
	struct exo_ring_header *h = (struct exo_ring_header *)base;
	uint8_t *data = (uint8_t *)base + EXO_RING_HEADER_BYTES;

	side &= 1;
	r->out = &h->dir[side];
	r->in = &h->dir[!side];
	r->out_data = data + (side ? bytes : 0);
	r->in_data = data + (side ? 0 : bytes);
	r->bytes = bytes;
	r->head = r->tail = r->messages = 0;
}

/* Bytes that can be read, or EXO_RING_EPROTO. Acquire: pairs with exo_ring_produce. */
static inline int64_t exo_ring_readable(const struct exo_ring *r)
{
	uint64_t n = __atomic_load_n(&r->in->head, __ATOMIC_ACQUIRE) - r->tail;

	return n <= r->bytes ? (int64_t)n : EXO_RING_EPROTO;
}

/* Bytes that can be written, or EXO_RING_EPROTO. Acquire: pairs with exo_ring_consume. */
static inline int64_t exo_ring_writable(const struct exo_ring *r)
{
	uint64_t used = r->head - __atomic_load_n(&r->out->tail, __ATOMIC_ACQUIRE);

	return used <= r->bytes ? (int64_t)(r->bytes - used) : EXO_RING_EPROTO;
}

/*
 * Where byte `skip` of what can be written (read) is; *run: how many bytes follow
 * there without a wrap. The caller stays within writable (readable).
 */
static inline uint8_t *exo_ring_write_at(const struct exo_ring *r, uint64_t skip, uint32_t *run)
{
	uint32_t at = (uint32_t)(r->head + skip) & (r->bytes - 1);

	*run = r->bytes - at;
	return r->out_data + at;
}

static inline const uint8_t *exo_ring_read_at(const struct exo_ring *r, uint64_t skip,
					      uint32_t *run)
{
	uint32_t at = (uint32_t)(r->tail + skip) & (r->bytes - 1);

	*run = r->bytes - at;
	return r->in_data + at;
}

/* Was `event` passed by the step from `old` to `now`? */
static inline int exo_ring_passed(uint64_t event, uint64_t old, uint64_t now)
{
	return event >= old && event < now;
}

/* Publishes n written bytes. Not 0: ring the doorbell. */
static inline int exo_ring_produce(struct exo_ring *r, uint64_t n)
{
	uint64_t old = r->head;

	r->head += n;
	__atomic_store_n(&r->out->messages, ++r->messages, __ATOMIC_RELAXED);
	__atomic_store_n(&r->out->head, r->head, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with exo_ring_sleep_data */
	return exo_ring_passed(__atomic_load_n(&r->out->data_event, __ATOMIC_RELAXED), old,
			       r->head);
}

/* Gives n read bytes back. Not 0: ring the doorbell. */
static inline int exo_ring_consume(struct exo_ring *r, uint64_t n)
{
	uint64_t old = r->tail;

	r->tail += n;
	__atomic_store_n(&r->in->tail, r->tail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with exo_ring_sleep_space */
	return exo_ring_passed(__atomic_load_n(&r->in->space_event, __ATOMIC_RELAXED), old,
			       r->tail);
}

/*
 * Asks for the doorbell when more than the `have` bytes that were seen can be
 * read. Not 0: there is more, or the end, already: don't sleep.
 */
static inline int exo_ring_sleep_data(struct exo_ring *r, uint64_t have)
{
	__atomic_store_n(&r->in->data_event, r->tail + have, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with exo_ring_produce */
	return __atomic_load_n(&r->in->head, __ATOMIC_RELAXED) != r->tail + have ||
	       __atomic_load_n(&r->in->fin, __ATOMIC_RELAXED);
}

/*
 * Asks for the doorbell when `need` bytes (at most r->bytes) can be written. Not
 * 0: they can already, or nobody reads any more.
 */
static inline int exo_ring_sleep_space(struct exo_ring *r, uint64_t need)
{
	/* That much fits once tail is head + need - bytes, which is > 0: not all of it fits now. */
	__atomic_store_n(&r->out->space_event, r->head + need - r->bytes - 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with exo_ring_consume */
	return r->head - __atomic_load_n(&r->out->tail, __ATOMIC_RELAXED) + need <= r->bytes ||
	       __atomic_load_n(&r->out->stop, __ATOMIC_RELAXED);
}

/* Awake: no doorbells for data (space) until the next sleep. */
static inline void exo_ring_awake_data(struct exo_ring *r)
{
	__atomic_store_n(&r->in->data_event, EXO_RING_QUIET, __ATOMIC_RELAXED);
}

static inline void exo_ring_awake_space(struct exo_ring *r)
{
	__atomic_store_n(&r->out->space_event, EXO_RING_QUIET, __ATOMIC_RELAXED);
}

/* Half-closing; the caller rings the doorbell. Released after all data before it. */
static inline void exo_ring_set_fin(struct exo_ring *r)
{
	__atomic_store_n(&r->out->fin, 1, __ATOMIC_SEQ_CST);
}

static inline void exo_ring_set_stop(struct exo_ring *r)
{
	__atomic_store_n(&r->in->stop, 1, __ATOMIC_SEQ_CST);
}

/* Nothing comes after what exo_ring_readable shows when asked after this. */
static inline int exo_ring_peer_fin(const struct exo_ring *r)
{
	return __atomic_load_n(&r->in->fin, __ATOMIC_ACQUIRE) != 0;
}

static inline int exo_ring_peer_stop(const struct exo_ring *r)
{
	return __atomic_load_n(&r->out->stop, __ATOMIC_ACQUIRE) != 0;
}

#endif
