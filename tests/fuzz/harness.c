/*
 * Fuzzing a virtio device; see harness.h.
 */
#include "harness.h"

#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOW_BYTES 0x10000u
#define HIGH_BYTES 0x1000u
#define RING_BYTES 0x800u /* of one queue: room for 64 entries */
#define RING_AT(q) (0x1000u + RING_BYTES * (q))
#define TABLE_AT 0x9000u /* indirect tables: for FUZZ_TABLES chains */
#define TABLE_ENTRIES 16u
#define DATA_AT 0xb000u
#define QUEUE_SIZE_MAX 64u

_Static_assert(TABLE_AT + 16 * TABLE_ENTRIES * FUZZ_TABLES <= DATA_AT,
	       "tables end before the data");

#define OPS_MAX 400
#define FETCHES_MAX 200000u

/* ---- input -------------------------------------------------------------------- */

void fuzz_bytes(struct fuzz *f, void *dst, size_t len)
{
	size_t n = len < f->left ? len : f->left;

	memcpy(dst, f->in, n);
	memset((char *)dst + n, 0, len - n);
	f->in += n;
	f->left -= n;
}

uint8_t fuzz_u8(struct fuzz *f)
{
	uint8_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

uint16_t fuzz_u16(struct fuzz *f)
{
	uint16_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

uint32_t fuzz_u32(struct fuzz *f)
{
	uint32_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

uint64_t fuzz_u64(struct fuzz *f)
{
	uint64_t v;

	fuzz_bytes(f, &v, sizeof(v));
	return v;
}

bool fuzz_rare(struct fuzz *f)
{
	bool rare = fuzz_u8(f) == 0xff;

	f->hostile |= rare;
	return rare;
}

void fuzz_check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "oracle: %s\n", what);
	abort();
}

/* ---- memory ---------------------------------------------------------------------- */

/* The shadow of [gpa, gpa + len), or NULL outside RAM. */
static uint8_t *shadow_of(struct fuzz *f, gpa_t gpa, size_t len)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct gmem_region *r = &f->d.mem.region[i];

		if (gpa >= r->base && gpa - r->base < r->size)
			return len <= r->size - (gpa - r->base) ? f->shadow[i] + (gpa - r->base)
								: NULL;
	}
	return NULL;
}

/* Writes as the guest does: the change is ours, not the device's. */
static void guest_write(struct fuzz *f, gpa_t gpa, const void *src, size_t len)
{
	uint8_t *shadow = shadow_of(f, gpa, len);

	if (!shadow)
		return;
	memmove(gmem_ptr(&f->d.mem, gpa, len), src, len);
	memcpy(shadow, src, len);
}

/* What the driver model wrote by itself, through drv: the rings of q. */
static void adopt_rings(struct fuzz *f, unsigned q)
{
	guest_write(f, RING_AT(q), gmem_ptr(&f->d.mem, RING_AT(q), RING_BYTES), RING_BYTES);
}

/* Everything. */
static void adopt(struct fuzz *f)
{
	for (unsigned i = 0; i < 2; i++)
		memcpy(f->shadow[i], f->d.mem.region[i].host, f->d.mem.region[i].size);
}

/* Takes over [gpa, gpa + len) as far as it lies in the page at `page`. */
static void forgive(struct fuzz *f, gpa_t page, gpa_t gpa, uint64_t len)
{
	gpa_t lo = gpa > page ? gpa : page;
	gpa_t hi = gpa + len < page + 4096 ? gpa + len : page + 4096;

	if (lo < hi)
		memcpy(shadow_of(f, lo, hi - lo), gmem_ptr(&f->d.mem, lo, hi - lo), hi - lo);
}

/* Takes over what chains in flight and used rings have of the page. */
static void forgive_page(struct fuzz *f, gpa_t page)
{
	for (unsigned q = 0; q < f->d.dev->nqueues; q++) {
		const struct drv_queue *dq = &f->d.q[q];

		if (dq->size)
			forgive(f, page, dq->used, 6 + 8ull * dq->size);
		for (unsigned h = 0; h < dq->size; h++) {
			const struct fuzz_taken *t = &f->taken[q][h];

			for (unsigned i = 0; i < t->nranges; i++)
				forgive(f, page, t->range[i].gpa, t->range[i].len);
		}
	}
}

/* The host may be writing chains in flight meanwhile (io_uring): then once more. */
static void check_page(struct fuzz *f, gpa_t page)
{
	const uint8_t *now = gmem_ptr(&f->d.mem, page, 4096);
	const uint8_t *then = shadow_of(f, page, 4096);

	for (unsigned tries = 0; tries < 8; tries++) {
		if (!memcmp(now, then, 4096))
			return;
		forgive_page(f, page);
	}
	fuzz_check(!memcmp(now, then, 4096), "memory changed outside the writable segments");
}

/* ---- what the device fetches -------------------------------------------------------- */

static bool is_live(const struct fuzz *f, unsigned q)
{
	return f->d.q[q].size && f->d.dev->vq[q].desc_ptr;
}

/*
 * Elements the device has put into the used ring of q, published or not: each
 * a chain in flight, once.
 */
static void check_elements(struct fuzz *f, unsigned q)
{
	const struct drv_queue *dq = &f->d.q[q];
	uint16_t end = f->d.dev->vq[q].next_used;

	fuzz_check((uint16_t)(end - f->checked[q]) <= dq->size, "used more than there are");
	for (; f->checked[q] != end; f->checked[q]++) {
		const struct vring_used_elem *e =
			gmem_ptr(&f->d.mem, dq->used + 4 + 8ull * (f->checked[q] % dq->size), 8);
		struct fuzz_taken *t = &f->taken[q][e->id % QUEUE_SIZE_MAX];

		fuzz_check(e->id < dq->size && t->inflight, "used a chain that is not in flight");
		fuzz_check(e->len <= t->write_len, "used length beyond the writable bytes");
		t->inflight = false;
	}
}

/* A ring entry: the walk of a chain begins. */
static void on_head(struct fuzz *f, unsigned q, gpa_t gpa)
{
	uint16_t head = *(uint16_t *)gmem_ptr(&f->d.mem, gpa, 2);
	const struct vq *vq = &f->d.dev->vq[q];

	f->cur_q = VDEV_QUEUES_MAX;
	f->table = f->table_end = 0;
	fuzz_check(f->blind || (uint16_t)(f->avail_idx[q] - vq->next_avail) <= f->d.q[q].size,
		   "took a chain after the avail index had jumped");
	if (head >= f->d.q[q].size || (vq->inflight_map[head / 64] >> (head % 64) & 1)) {
		f->refuse = true;
		return;
	}
	/* The same head may have been used and offered again within this operation. */
	if (!f->blind)
		check_elements(f, q);
	f->cur_q = q;
	f->cur_head = head;
	if (f->taken[q][head].inflight) /* given back (unget) and taken again */
		f->taken[q][head].nranges = 0;
	f->taken[q][head].inflight = true;
	f->taken[q][head].write_len = 0;
}

static bool touches_a_ring(const struct fuzz *f, gpa_t gpa, uint64_t len)
{
	for (unsigned q = 0; q < f->d.dev->nqueues; q++) {
		if (f->d.q[q].size && gpa < RING_AT(q) + RING_BYTES && gpa + len > RING_AT(q))
			return true;
	}
	return false;
}

/* Must the device refuse it? Loops and lengths are left to the other oracles. */
static bool is_malformed(const struct fuzz *f, const struct fuzz_taken *t,
			 const struct vring_desc *d)
{
	if (d->flags & VRING_DESC_F_INDIRECT)
		return f->table_end || d->flags & VRING_DESC_F_NEXT || !d->len || d->len % 16 ||
		       !(f->features >> VIRTIO_RING_F_INDIRECT_DESC & 1) ||
		       !gmem_ptr(&f->d.mem, d->addr, d->len);
	return (t->write_len && !(d->flags & VRING_DESC_F_WRITE)) ||
	       (d->len && !gmem_ptr(&f->d.mem, d->addr, d->len));
}

static void on_descriptor(struct fuzz *f, gpa_t gpa)
{
	struct fuzz_taken *t = &f->taken[f->cur_q][f->cur_head];
	struct vring_desc d;

	memcpy(&d, gmem_ptr(&f->d.mem, gpa, 16), 16);
	f->refuse |= is_malformed(f, t, &d);
	if (d.flags & VRING_DESC_F_INDIRECT) {
		f->table = d.addr;
		f->table_end = d.addr + d.len;
	} else if ((d.flags & VRING_DESC_F_WRITE) && gmem_ptr(&f->d.mem, d.addr, d.len)) {
		if (t->nranges == FUZZ_RANGES) {
			f->blind = true;
			return;
		}
		t->range[t->nranges].gpa = d.addr;
		t->range[t->nranges++].len = d.len;
		t->write_len += d.len;
		f->blind |= touches_a_ring(f, d.addr, d.len);
	}
	/* The end of the walk: what is fetched from here on is data. */
	if (f->refuse || !(d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)))
		f->cur_q = VDEV_QUEUES_MAX;
}

static void on_fetch(void *opaque, gpa_t gpa, size_t len)
{
	struct fuzz *f = opaque;

	fuzz_check(++f->fetches < FETCHES_MAX, "unbounded work");
	for (unsigned q = 0; len == 2 && q < f->d.dev->nqueues; q++) {
		const struct drv_queue *dq = &f->d.q[q];

		if (is_live(f, q) && gpa == dq->avail + 2)
			f->avail_idx[q] = *drv_avail_idx(&f->d, q);
		if (is_live(f, q) && gpa >= dq->avail + 4 && gpa < dq->avail + 4 + 2ull * dq->size)
			on_head(f, q, gpa);
	}
	if (len == 16 && f->cur_q < VDEV_QUEUES_MAX) {
		const struct drv_queue *dq = &f->d.q[f->cur_q];

		if ((gpa >= dq->desc && gpa < dq->desc + 16ull * dq->size) ||
		    (gpa >= f->table && gpa < f->table_end))
			on_descriptor(f, gpa);
	}
	if (f->race.after && !--f->race.after)
		guest_write(f, f->race.gpa ? f->race.gpa : gpa, f->race.bytes, f->race.len);
}

/* ---- after each operation ------------------------------------------------------------- */

/* Nothing is kept back, unless the device stopped. Then what was used before. */
static void check_published(struct fuzz *f, unsigned q, bool stopped)
{
	uint16_t new = *drv_used_idx(&f->d, q);

	check_elements(f, q);
	if (stopped)
		fuzz_check((uint16_t)(new - f->used[q]) <= (uint16_t)(f->checked[q] - f->used[q]),
			   "used index beyond what was used");
	else
		fuzz_check(new == f->checked[q], "used index is not what was used");
	f->used[q] = new;
	for (unsigned h = 0; h < f->d.q[q].size; h++) {
		if (!f->taken[q][h].inflight)
			f->taken[q][h].nranges = 0;
	}
}

static void check_interrupt(struct fuzz *f, unsigned q, uint16_t old)
{
	bool rang = f->d.notified[q] != f->notified[q];
	uint16_t new = f->used[q];
	bool wanted;

	f->notified[q] = f->d.notified[q];
	if (f->hostile) /* memory may have changed under the decision */
		return;
	if (f->features >> VIRTIO_RING_F_EVENT_IDX & 1)
		wanted = new != old &&vring_need_event(*drv_used_event(&f->d, q), new, old);
	else
		wanted = new != old && !(*drv_avail_flags(&f->d, q) & VRING_AVAIL_F_NO_INTERRUPT);
	fuzz_check(rang == wanted, wanted ? "interrupt lost" : "interrupt not asked for");
}

/* To be called before and after whatever enters the device. */
static void enter(struct fuzz *f)
{
	f->fetches = 0;
	f->refuse = false;
	f->cur_q = VDEV_QUEUES_MAX; /* no chain is being walked */
}

static void leave(struct fuzz *f)
{
	bool stopped = vdev_status(f->d.dev) & VIRTIO_CONFIG_S_NEEDS_RESET;

	f->race.after = 0;
	fuzz_check(stopped || f->blind || !f->refuse, "a malformed chain was accepted");
	if (f->blind) {
		adopt(f);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct gmem_region *r = &f->d.mem.region[i];

		for (gpa_t page = r->base; page < r->base + r->size; page += 4096)
			check_page(f, page);
	}
	for (unsigned q = 0; q < f->d.dev->nqueues; q++) {
		uint16_t old = f->used[q];

		if (!is_live(f, q))
			continue;
		check_published(f, q, stopped);
		if (!stopped)
			check_interrupt(f, q, old);
	}
}

/* ---- status and set-up ------------------------------------------------------------------- */

static void set_status(struct fuzz *f, uint8_t status)
{
	uint8_t old = vdev_status(f->d.dev), now;
	uint64_t offered = f->d.dev->features_offered;

	enter(f);
	vdev_set_status(f->d.dev, status);
	now = vdev_status(f->d.dev);
	if (!status) {
		fuzz_check(now == 0, "status after reset");
		for (unsigned q = 0; q < f->d.dev->nqueues; q++) {
			for (unsigned h = 0; h < QUEUE_SIZE_MAX; h++) {
				f->taken[q][h].inflight = false;
				f->taken[q][h].nranges = 0;
			}
		}
		memset(f->used, 0, sizeof(f->used));
		memset(f->checked, 0, sizeof(f->checked));
		memset(f->d.q, 0, sizeof(f->d.q));
		f->features = 0;
		f->blind = false;
		adopt(f);
		return;
	}
	leave(f);
	fuzz_check(!(old & ~now), "status bits went away");
	fuzz_check(!(now & ~old & ~status & ~VIRTIO_CONFIG_S_NEEDS_RESET),
		   "status bits came by themselves");
	fuzz_check(!(now & VIRTIO_CONFIG_S_DRIVER_OK) || now & VIRTIO_CONFIG_S_FEATURES_OK,
		   "DRIVER_OK without FEATURES_OK");
	fuzz_check(!(now & VIRTIO_CONFIG_S_FEATURES_OK) || now & VIRTIO_CONFIG_S_DRIVER,
		   "FEATURES_OK without DRIVER");
	if (now & ~old & VIRTIO_CONFIG_S_FEATURES_OK)
		fuzz_check(!(f->features & ~offered) && f->features >> VIRTIO_F_VERSION_1 & 1,
			   "features not offered were accepted");
}

static void set_features(struct fuzz *f, unsigned word, uint32_t bits)
{
	if (word < 2 && !(vdev_status(f->d.dev) & VIRTIO_CONFIG_S_FEATURES_OK))
		f->features = (f->features & ~(0xffffffffull << 32 * word)) | (uint64_t)bits
										      << 32 * word;
	vdev_set_driver_features(f->d.dev, word, bits);
}

/* Each queue at its place; rarely at one of the guest's own choice. */
static void setup_queue(struct fuzz *f, unsigned q, uint32_t size)
{
	struct drv_queue *dq = &f->d.q[q];
	gpa_t base = RING_AT(q);

	memset(drv_ptr(&f->d, base, RING_BYTES), 0, RING_BYTES);
	*dq = (struct drv_queue){.size = (uint16_t)size,
				 .desc = base,
				 .avail = base + 16ull * size,
				 .used = base + 0x500};
	if (fuzz_rare(f)) {
		size = fuzz_u32(f);
		dq->size = (uint16_t)size;
		f->blind = size > QUEUE_SIZE_MAX;
	}
	if (fuzz_rare(f)) {
		gpa_t *at[] = {&dq->desc, &dq->avail, &dq->used};

		*at[fuzz_u8(f) % 3] = fuzz_u64(f);
		f->blind = true;
	}
	vdev_queue_set_size(f->d.dev, q, size);
	drv_set_queue_addrs(&f->d, q, dq->desc, dq->avail, dq->used);
	vdev_queue_set_ready(f->d.dev, q, true);
	if (!vdev_queue_ready(f->d.dev, q) || f->blind) {
		/* Chains can't be built where we do not know the rings. */
		dq->size = 0;
	}
}

static void start(struct fuzz *f)
{
	uint8_t how = fuzz_u8(f);
	uint64_t features = f->d.dev->features_offered;
	unsigned size = 8u << (how & 3);
	bool blind = false;

	set_status(f, 0);
	if (how & 4)
		features &= ~(1ull << VIRTIO_RING_F_EVENT_IDX);
	if (how & 8)
		features &= ~(1ull << VIRTIO_RING_F_INDIRECT_DESC);
	if (how & 16)
		features &= fuzz_u64(f) | 0xffffffffull << 32 | 7ull << 28;
	if (fuzz_rare(f))
		features = fuzz_u64(f);
	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set_status(f, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	set_features(f, 0, (uint32_t)features);
	set_features(f, 1, (uint32_t)(features >> 32));
	set_status(f, 0xb);
	for (unsigned q = 0; q < f->d.dev->nqueues; q++) {
		setup_queue(f, q, size <= vdev_queue_max(f->d.dev, q) ? size : 8);
		blind |= f->blind;
		f->blind = false;
	}
	f->blind = blind;
	adopt(f);
	set_status(f, 0xf);
}

/* ---- chains -------------------------------------------------------------- */

static unsigned free_descriptors(const struct drv_queue *dq)
{
	unsigned n = 0;

	for (unsigned i = 0; i < dq->size; i++)
		n += !dq->busy[i];
	return n;
}

/* Some place among the data for a segment; its bytes, if it is to be read. */
static struct drv_buf place(struct fuzz *f, const uint8_t *data, uint32_t len, bool write)
{
	uint16_t at = fuzz_u16(f);
	gpa_t gpa = DATA_AT + at % (LOW_BYTES - DATA_AT);

	if (gpa + len > LOW_BYTES)
		gpa = LOW_BYTES - len;
	if ((at & 0xf000) == 0xf000)
		gpa = DRV_HIGH_BASE + HIGH_BYTES - len;
	if (!write)
		guest_write(f, gpa, data, len);
	return (struct drv_buf){gpa, len, write};
}

/* Cuts one direction into up to eight segments. */
static unsigned cut(struct fuzz *f, struct drv_buf *buf, const uint8_t *data, uint32_t len,
		    bool write)
{
	unsigned pieces = fuzz_u8(f), n = 0;

	pieces = pieces & 0x80 ? 1 + pieces % 8 : 1;
	while (len) {
		uint32_t part = len;

		if (n + 1 < pieces)
			part = 1 + fuzz_u16(f) % len;
		buf[n++] = place(f, data, part, write);
		data = data ? data + part : NULL;
		len -= part;
	}
	return n;
}

static void corrupt_descriptor(struct fuzz *f, struct vring_desc *d)
{
	switch (fuzz_u8(f) % 6) {
	case 0:
		d->addr = fuzz_u64(f);
		break;
	case 1:
		d->len = fuzz_u32(f);
		break;
	case 2:
		d->flags ^= fuzz_u16(f) & 7;
		break;
	case 3:
		d->next = fuzz_u16(f);
		break;
	case 4:
		fuzz_bytes(f, d, sizeof(*d));
		break;
	case 5: /* names a table, which may be a good one */
		d->addr = TABLE_AT + 16ull * TABLE_ENTRIES * (fuzz_u8(f) % FUZZ_TABLES);
		d->len = 16 * (fuzz_u8(f) % TABLE_ENTRIES);
		d->flags |= VRING_DESC_F_INDIRECT;
		break;
	}
}

/* A table that no chain on its way needs any more, or NULL. */
static struct fuzz_table *free_table(struct fuzz *f)
{
	for (unsigned i = 0; i < FUZZ_TABLES; i++) {
		struct fuzz_table *t = &f->tables[i];

		if (!t->used || !f->d.q[t->q].size || !f->d.q[t->q].busy[t->head])
			return t;
	}
	return NULL;
}

/* Fills an indirect table and makes the descriptor name it. */
static void make_table(struct fuzz *f, struct fuzz_table *t, const struct drv_buf *buf, unsigned n)
{
	gpa_t gpa = TABLE_AT + 16ull * TABLE_ENTRIES * (unsigned)(t - f->tables);
	struct vring_desc table[TABLE_ENTRIES];

	for (unsigned i = 0; i < n; i++)
		table[i] = (struct vring_desc){
			.addr = buf[i].gpa,
			.len = buf[i].len,
			.flags = (buf[i].write ? VRING_DESC_F_WRITE : 0) |
				 (i + 1 < n ? VRING_DESC_F_NEXT : 0),
			.next = (uint16_t)(i + 1),
		};
	if (fuzz_rare(f))
		corrupt_descriptor(f, &table[fuzz_u8(f) % n]);
	guest_write(f, gpa, table, 16ul * n);
	*drv_desc(&f->d, t->q, t->head) =
		(struct vring_desc){.addr = gpa, .len = 16 * n, .flags = VRING_DESC_F_INDIRECT};
}

static void add_chain(struct fuzz *f, unsigned q)
{
	bool indirect = f->features >> VIRTIO_RING_F_INDIRECT_DESC & 1 && fuzz_u8(f) & 1;
	struct fuzz_table *table = indirect ? free_table(f) : NULL;
	struct drv_queue *dq = &f->d.q[q];
	struct fuzz_chain c = {.data_len = 0};
	struct drv_buf buf[16];
	unsigned n;
	uint16_t head;

	f->target->chain(f, q, &c);
	fuzz_check(c.data_len <= FUZZ_DATA_MAX && c.write_len <= FUZZ_DATA_MAX, "target: chain");
	n = cut(f, buf, c.data, c.data_len, false);
	n += cut(f, buf + n, NULL, c.write_len, true);
	if (!n || free_descriptors(dq) < (table ? 1 : n))
		return;
	head = drv_add(&f->d, q, buf, table ? 1 : n);
	if (table) {
		*table = (struct fuzz_table){.used = true, .q = q, .head = head};
		make_table(f, table, buf, n);
	}
	if (fuzz_rare(f))
		corrupt_descriptor(f, drv_desc(&f->d, q, (uint16_t)(fuzz_u8(f) % dq->size)));
	if (fuzz_rare(f))
		*drv_avail_slot(&f->d, q, (uint16_t)(dq->avail_idx - 1)) = fuzz_u16(f);
	if (fuzz_rare(f))
		*drv_avail_idx(&f->d, q) = dq->avail_idx = fuzz_u16(f);
	adopt_rings(f, q);
}

/* ---- operations
 * ----------------------------------------------------------------------------------- */

static void kick(struct fuzz *f, unsigned q, bool always)
{
	enter(f);
	if (always || !f->d.q[q].size)
		vdev_kick(f->d.dev, q);
	else
		drv_kick_if_wanted(&f->d, q);
	leave(f);
}

static void collect(struct fuzz *f, unsigned q)
{
	uint32_t id, len;

	while (!f->blind && is_live(f, q) && f->d.q[q].used_idx != f->used[q] &&
	       drv_used(&f->d, q, &id, &len))
		;
	adopt_rings(f, q);
}

static void pump(struct fuzz *f)
{
	enter(f);
	drv_pump(&f->d, 0);
	leave(f);
	if (f->d.timer_ns) {
		enter(f);
		drv_fire_timer(&f->d);
		leave(f);
	}
}

static bool is_driver_ok(struct fuzz *f)
{
	return vdev_status(f->d.dev) & VIRTIO_CONFIG_S_DRIVER_OK;
}

/* A register, whether it is a good time for it or not. */
static void touch_register(struct fuzz *f)
{
	uint8_t what = fuzz_u8(f);
	unsigned q = fuzz_u8(f);
	uint32_t v = fuzz_u32(f);
	const struct vq *vq = &f->d.dev->vq[q % f->d.dev->nqueues];
	struct vq before;
	bool live = is_driver_ok(f);

	f->hostile = true;
	before = *vq;
	switch (what % 7) {
	case 0:
		if (v & 0xff)
			set_status(f, (uint8_t)v);
		break;
	case 1:
		set_features(f, q, v);
		break;
	case 2:
		vdev_queue_set_size(f->d.dev, q, v);
		break;
	case 3:
		vdev_queue_set_addr(f->d.dev, q, (enum vq_part)(what / 7 % 3), what & 64, v);
		break;
	case 4:
		vdev_queue_set_ready(f->d.dev, q, v & 1);
		break;
	case 5:
		kick(f, q % VDEV_QUEUES_MAX, true);
		vdev_kick(f->d.dev, v);
		break;
	case 6:
		vdev_features(f->d.dev, v);
		vdev_queue_max(f->d.dev, q);
		vdev_queue_ready(f->d.dev, q);
		break;
	}
	/* H-13: frozen once live; before that, it may have been changed under our model. */
	if (live)
		fuzz_check(vq->size == before.size && vq->ready == before.ready &&
				   vq->desc == before.desc && vq->avail == before.avail &&
				   vq->used == before.used,
			   "a live queue was reconfigured");
	else
		f->blind = true;
}

static void touch_config(struct fuzz *f)
{
	size_t off = fuzz_u8(f), len = fuzz_u8(f) % 17;
	uint8_t buf[17], ones[17];

	if (off >= 0xf0)
		off = (size_t)fuzz_u64(f);
	memset(ones, 0xa5, sizeof(ones));
	memcpy(buf, ones, sizeof(buf));
	vdev_config_read(f->d.dev, off, buf, len);
	fuzz_check(buf[len] == 0xa5, "configuration read beyond its length");
	if (fuzz_u8(f) & 1)
		vdev_config_write(f->d.dev, off, ones, len);
	vdev_config_generation(f->d.dev);
}

/* Somewhere in descriptors, avail rings, tables or data; not in used rings. */
static gpa_t some_place(struct fuzz *f)
{
	unsigned q = fuzz_u8(f) % f->d.dev->nqueues;
	uint16_t off = fuzz_u16(f);

	switch (off >> 14) {
	case 0:
		return RING_AT(q) + off % 0x4e0u;
	case 1:
		return TABLE_AT + off % (FUZZ_TABLES * 16 * TABLE_ENTRIES);
	default:
		return DATA_AT + off % (LOW_BYTES - DATA_AT - 16);
	}
}

static void poke(struct fuzz *f)
{
	gpa_t gpa = some_place(f);
	uint8_t bytes[16];
	unsigned len = 1 + fuzz_u8(f) % 16;

	f->hostile = true;
	fuzz_bytes(f, bytes, len);
	guest_write(f, gpa, bytes, len);
}

/* During the next operation, after some fetches: where it looked, or elsewhere. */
static void arm_race(struct fuzz *f)
{
	uint8_t how = fuzz_u8(f);

	f->hostile = true;
	f->race.after = 1 + (how & 31);
	f->race.gpa = how & 32 ? some_place(f) : 0;
	f->race.len = 1 + fuzz_u8(f) % 16;
	fuzz_bytes(f, f->race.bytes, sizeof(f->race.bytes));
}

static void step(struct fuzz *f)
{
	uint8_t op = fuzz_u8(f);
	unsigned q = (op >> 4) % f->d.dev->nqueues;

	switch (op & 15) {
	default: /* 0 to 5: mostly this */
		if (f->d.q[q].size)
			add_chain(f, q);
		kick(f, q, op & 1);
		break;
	case 6:
		if (f->d.q[q].size)
			add_chain(f, q);
		break;
	case 7:
		kick(f, q, false);
		break;
	case 8:
		collect(f, q);
		break;
	case 9:
		if (f->target->event) {
			enter(f);
			f->target->event(f);
			leave(f);
		}
		pump(f);
		break;
	case 10:
		pump(f);
		break;
	case 11:
		touch_config(f);
		break;
	case 12:
		poke(f);
		break;
	case 13:
		arm_race(f);
		break;
	case 14:
		touch_register(f);
		break;
	case 15:
		if (fuzz_u8(f) & 1)
			start(f);
		else if (f->d.q[q].size)
			*drv_avail_flags(&f->d, q) ^= VRING_AVAIL_F_NO_INTERRUPT;
		adopt_rings(f, q);
		break;
	}
}

static void init(struct fuzz *f)
{
	drv_init_sized(&f->d, LOW_BYTES, HIGH_BYTES);
	for (unsigned i = 0; i < 2; i++) {
		f->shadow[i] = malloc(f->d.mem.region[i].size);
		if (!f->shadow[i])
			abort();
	}
}

int fuzz_run(const struct fuzz_target *target, const uint8_t *data, size_t size)
{
	static struct fuzz fuzz;
	struct fuzz *f = &fuzz;

	if (!f->d.mem.nregions)
		init(f);
	f->target = target;
	f->in = data;
	f->left = size;
	f->hostile = false;
	for (unsigned i = 0; i < 2; i++)
		memset(f->d.mem.region[i].host, 0, f->d.mem.region[i].size);
	memset(f->notified, 0, sizeof(f->notified));
	memset(f->tables, 0, sizeof(f->tables));
	drv_attach(&f->d, target->create(f));
	f->d.mem.fetch_hook = on_fetch;
	f->d.mem.hook_opaque = f;
	start(f);
	for (unsigned ops = 0; f->left && ops < OPS_MAX; ops++)
		step(f);
	if (!f->hostile && target->settle)
		target->settle(f);
	f->d.mem.fetch_hook = NULL;
	drv_detach(&f->d);
	if (target->cleanup)
		target->cleanup(f);
	return 0;
}
