/*
 * Split virtqueues, device side (VIRTIO 1.2, 2.7). Runs in whichever thread
 * holds the device's lock; the guest's vCPUs write the same memory at any time.
 *
 * Limit: a chain has at most VQ_SEGMENTS_MAX descriptors, and one built of the
 * ring's own descriptors at most as many as the ring. An indirect table may be
 * longer than the ring, as Linux's drivers make them.
 */
#include "vq.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/uio.h>

#define CHAIN_BYTES_MAX (1ull << 32)

/* ---- the three rings ------------------------------------------------------ */

static uint16_t *avail_flags(const struct vq *q)
{
	return (uint16_t *)(void *)q->avail_ptr;
}

static uint16_t *avail_idx(const struct vq *q)
{
	return avail_flags(q) + 1;
}

static uint16_t *avail_ring(const struct vq *q)
{
	return avail_flags(q) + 2;
}

static uint16_t *used_event(const struct vq *q)
{
	return avail_ring(q) + q->size;
}

static uint16_t *used_flags(const struct vq *q)
{
	return (uint16_t *)(void *)q->used_ptr;
}

static uint16_t *used_idx(const struct vq *q)
{
	return used_flags(q) + 1;
}

static uint32_t *used_ring(const struct vq *q)
{
	return (uint32_t *)(void *)(q->used_ptr + 4);
}

static uint16_t *avail_event(const struct vq *q)
{
	return (uint16_t *)(void *)(q->used_ptr + 4 + 8 * (size_t)q->size);
}

/* Sizes in bytes with the event fields, 2.7. */
static uint64_t desc_bytes(const struct vq *q)
{
	return 16ull * q->size;
}

static uint64_t avail_bytes(const struct vq *q)
{
	return 6 + 2ull * q->size;
}

static uint64_t used_bytes(const struct vq *q)
{
	return 6 + 8ull * q->size;
}

bool vq_valid(const struct vq *q, const struct gmem *mem)
{
	return q->size && !(q->size & (q->size - 1)) && q->size <= q->size_max &&
	       q->size <= VQ_SIZE_MAX && !(q->desc & 15) && !(q->avail & 1) && !(q->used & 3) &&
	       gmem_ptr(mem, q->desc, desc_bytes(q)) && gmem_ptr(mem, q->avail, avail_bytes(q)) &&
	       gmem_ptr(mem, q->used, used_bytes(q));
}

int vq_start(struct vq *q, const struct gmem *mem, bool event_idx, bool indirect)
{
	if (!vq_valid(q, mem))
		return -EINVAL;
	vq_stop(q);
	q->mem = mem;
	q->event_idx = event_idx;
	q->indirect = indirect;
	q->desc_ptr = gmem_ptr(mem, q->desc, desc_bytes(q));
	q->avail_ptr = gmem_ptr(mem, q->avail, avail_bytes(q));
	q->used_ptr = gmem_ptr(mem, q->used, used_bytes(q));
	/* The driver zeroed the used ring: no suppression, avail_event 0. */
	q->armed = true;
	return 0;
}

void vq_stop(struct vq *q)
{
	q->mem = NULL;
	q->desc_ptr = q->avail_ptr = q->used_ptr = NULL;
	q->broken = q->armed = false;
	q->avail_seen = q->next_avail = q->next_used = q->signalled = q->inflight = 0;
	memset(q->inflight_map, 0, sizeof(q->inflight_map));
}

static bool is_inflight(const struct vq *q, uint16_t head)
{
	return q->inflight_map[head / 64] >> (head % 64) & 1;
}

static void set_inflight(struct vq *q, uint16_t head)
{
	q->inflight_map[head / 64] |= 1ull << (head % 64);
	q->inflight++;
}

static void clear_inflight(struct vq *q, uint16_t head)
{
	assert(head < q->size && is_inflight(q, head));
	q->inflight_map[head / 64] &= ~(1ull << (head % 64));
	q->inflight--;
}

/* ---- doorbell suppression ------------------------------------------------- */

/*
 * Acquire: pairs with the driver's write barrier between filling descriptors
 * and ring entry and storing avail->idx; what idx covers is seen complete.
 * Sequentially consistent, not just acquire, for vq_enable_doorbell's sake; a
 * plain load on x86 all the same.
 */
static uint16_t fetch_avail_idx(const struct vq *q)
{
	uint16_t idx = __atomic_load_n(avail_idx(q), __ATOMIC_SEQ_CST);

	gmem_fetched(q->mem, q->avail + 2, 2);
	return idx;
}

bool vq_has_next(const struct vq *q)
{
	if (q->broken || !q->avail_ptr)
		return false;
	return q->next_avail != q->avail_seen || q->next_avail != fetch_avail_idx(q);
}

/*
 * StoreLoad: the store must be visible before avail->idx is fetched again.
 * Pairs with the driver's full barrier between storing avail->idx and loading
 * avail_event (or the flag): either it sees our wish, or we see its chain.
 */
static void arm_doorbell(struct vq *q)
{
	if (q->event_idx)
		__atomic_store_n(avail_event(q), q->next_avail, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(used_flags(q), 0, __ATOMIC_SEQ_CST);
	q->armed = true;
}

bool vq_enable_doorbell(struct vq *q)
{
	if (q->broken || !q->avail_ptr)
		return false;
	if (!q->armed)
		arm_doorbell(q);
	return vq_has_next(q);
}

void vq_disable_doorbell(struct vq *q)
{
	/* With EVENT_IDX an avail_event that stays behind is silence enough. */
	if (q->broken || !q->avail_ptr || q->event_idx || !q->armed)
		return;
	__atomic_store_n(used_flags(q), VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
	q->armed = false;
}

/* ---- taking chains ------------------------------------------------------- */

/* Where the walk is: the ring's own table, or one indirect table. */
struct walk {
	const uint8_t *table;
	gpa_t gpa;
	uint32_t entries;
	bool inside; /* an indirect table */
	unsigned steps;
};

static int walk_add(struct vq_chain *c, const struct vring_desc *d)
{
	bool write = d->flags & VRING_DESC_F_WRITE;
	uint8_t *ptr;

	if (!write && c->nwrite)
		return -EINVAL; /* H-06 */
	if (!d->len)
		return 0;
	ptr = gmem_ptr(c->mem, d->addr, d->len); /* H-03 */
	if (!ptr || c->read_bytes + c->write_bytes + d->len > CHAIN_BYTES_MAX)
		return -EINVAL;
	c->seg[c->nread + c->nwrite] = (struct vq_seg){.ptr = ptr, .len = d->len, .gpa = d->addr};
	if (write) {
		c->nwrite++;
		c->write_bytes += d->len;
	} else {
		c->nread++;
		c->read_bytes += d->len;
	}
	return 0;
}

/* H-02: not nested, not continued, a whole number of descriptors, any alignment. */
static int walk_enter(const struct vq *q, struct walk *w, const struct vring_desc *d)
{
	if (!q->indirect || w->inside || (d->flags & VRING_DESC_F_NEXT) || !d->len || d->len % 16)
		return -EINVAL;
	w->table = gmem_ptr(q->mem, d->addr, d->len);
	if (!w->table)
		return -EINVAL;
	w->gpa = d->addr;
	w->entries = d->len / 16;
	w->inside = true;
	return 0;
}

/* Turns the chain at head into segments. Each descriptor is fetched once (H-11). */
static int walk_chain(const struct vq *q, uint16_t head, struct vq_chain *c)
{
	struct walk w = {.table = q->desc_ptr, .gpa = q->desc, .entries = q->size};
	uint32_t i = head;
	struct vring_desc d;

	do {
		if (i >= w.entries) /* H-08 */
			return -EINVAL;
		memcpy(&d, w.table + 16ull * i, sizeof(d));
		gmem_fetched(q->mem, w.gpa + 16ull * i, sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (walk_enter(q, &w, &d))
				return -EINVAL;
			i = 0;
			continue;
		}
		if (++w.steps > VQ_SEGMENTS_MAX || (!w.inside && w.steps > q->size)) /* H-01 */
			return -EINVAL;
		if (walk_add(c, &d))
			return -EINVAL;
		i = d.next;
	} while (d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT));
	return 0;
}

/* Chains offered; the index is fetched only when those seen are used up. */
static uint16_t available(struct vq *q)
{
	if (q->next_avail == q->avail_seen)
		q->avail_seen = fetch_avail_idx(q);
	return q->avail_seen - q->next_avail;
}

static int next_head(const struct vq *q)
{
	unsigned slot = q->next_avail & (q->size - 1);
	/* Ordered behind the index by its acquire. */
	uint16_t head = __atomic_load_n(&avail_ring(q)[slot], __ATOMIC_RELAXED);

	gmem_fetched(q->mem, q->avail + 4 + 2 * slot, 2);
	return head < q->size && !is_inflight(q, head) ? head : -EINVAL; /* H-08, H-09 */
}

int vq_next(struct vq *q, struct vq_chain *c)
{
	uint16_t n;
	int head;

	if (q->broken)
		return -EINVAL;
	if (!q->avail_ptr)
		return 0;
	n = available(q);
	if (!n && !q->armed) {
		arm_doorbell(q);
		n = available(q);
	}
	if (!n)
		return 0;
	c->nread = c->nwrite = 0;
	c->read_bytes = c->write_bytes = 0;
	c->mem = q->mem;
	head = n <= q->size ? next_head(q) : -EINVAL; /* H-07 */
	if (head < 0 || walk_chain(q, head, c)) {
		q->broken = true;
		return -EINVAL;
	}
	c->head = head;
	c->r = (struct vq_cursor){.left = c->read_bytes};
	c->w = (struct vq_cursor){.seg = c->nread, .left = c->write_bytes};
	set_inflight(q, head);
	q->read_bytes += c->read_bytes;
	q->next_avail++;
	if (q->event_idx)
		q->armed = false; /* avail_event is behind now */
	return 1;
}

void vq_unget(struct vq *q, const struct vq_chain *c)
{
	clear_inflight(q, c->head);
	q->read_bytes -= c->read_bytes;
	q->next_avail--;
}

/* ---- returning chains ---------------------------------------------------- */

void vq_complete(struct vq *q, uint16_t head, uint32_t written)
{
	uint32_t *elem;

	clear_inflight(q, head);
	if (q->broken)
		return;
	elem = used_ring(q) + 2 * (q->next_used & (q->size - 1));
	__atomic_store_n(&elem[0], head, __ATOMIC_RELAXED);
	__atomic_store_n(&elem[1], written, __ATOMIC_RELAXED);
	q->next_used++;
}

bool vq_flush(struct vq *q)
{
	uint16_t old = q->signalled, new = q->next_used;

	if (q->broken || old == new)
		return false;
	q->signalled = new;
	/*
	 * Release: data and used elements before the index; pairs with the
	 * driver's read barrier between used->idx and the element. And
	 * StoreLoad: the index before used_event (or the flag) is loaded; pairs
	 * with the driver's full barrier between storing that and looking at
	 * used->idx again. An xchg on x86 gives both.
	 */
	__atomic_store_n(used_idx(q), new, __ATOMIC_SEQ_CST);
	if (q->event_idx) {
		uint16_t event = __atomic_load_n(used_event(q), __ATOMIC_SEQ_CST);

		return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
	}
	return !(__atomic_load_n(avail_flags(q), __ATOMIC_SEQ_CST) & VRING_AVAIL_F_NO_INTERRUPT);
}

/* ---- cursors ------------------------------------------------------------- */

uint64_t vq_readable(const struct vq_chain *c)
{
	return c->r.left;
}

uint64_t vq_writable(const struct vq_chain *c)
{
	return c->w.left;
}

/*
 * The next piece at a cursor, at most len bytes, of which there are that many;
 * moves the cursor behind it.
 */
static struct vq_seg take(const struct vq_chain *c, struct vq_cursor *at, size_t len)
{
	struct vq_seg s = c->seg[at->seg];

	s.ptr += at->off;
	s.gpa += at->off;
	s.len -= at->off;
	if (s.len > len) {
		s.len = len;
		at->off += len;
	} else {
		at->off = 0;
		at->seg++;
	}
	at->left -= s.len;
	return s;
}

static size_t at_most(const struct vq_cursor *at, size_t len)
{
	return len < at->left ? len : at->left;
}

size_t vq_read(struct vq_chain *c, void *dst, size_t len)
{
	size_t done = 0;

	len = at_most(&c->r, len);
	while (done < len) {
		struct vq_seg s = take(c, &c->r, len - done);

		memcpy((char *)dst + done, s.ptr, s.len);
		gmem_fetched(c->mem, s.gpa, s.len);
		done += s.len;
	}
	return done;
}

size_t vq_write(struct vq_chain *c, const void *src, size_t len)
{
	size_t done = 0;

	len = at_most(&c->w, len);
	while (done < len) {
		struct vq_seg s = take(c, &c->w, len - done);

		memcpy(s.ptr, (const char *)src + done, s.len);
		done += s.len;
	}
	return done;
}

static size_t skip(const struct vq_chain *c, struct vq_cursor *at, size_t len)
{
	size_t done = 0;

	len = at_most(at, len);
	while (done < len)
		done += take(c, at, len - done).len;
	return done;
}

size_t vq_skip_read(struct vq_chain *c, size_t len)
{
	return skip(c, &c->r, len);
}

size_t vq_skip_write(struct vq_chain *c, size_t len)
{
	return skip(c, &c->w, len);
}

static unsigned cover(const struct vq_chain *c, struct vq_cursor at, struct iovec *iov,
		      unsigned max, size_t len, size_t *total)
{
	size_t done = 0;
	unsigned n = 0;

	len = at_most(&at, len);
	while (done < len && n < max) {
		struct vq_seg s = take(c, &at, len - done);

		iov[n++] = (struct iovec){.iov_base = s.ptr, .iov_len = s.len};
		done += s.len;
	}
	*total = done;
	return n;
}

unsigned vq_read_iov(const struct vq_chain *c, struct iovec *iov, unsigned max, size_t len,
		     size_t *total)
{
	return cover(c, c->r, iov, max, len, total);
}

unsigned vq_write_iov(const struct vq_chain *c, struct iovec *iov, unsigned max, size_t len,
		      size_t *total)
{
	return cover(c, c->w, iov, max, len, total);
}
