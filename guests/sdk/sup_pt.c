/*
 * Page tables after the start: access rights of ring 3 to identity-mapped RAM.
 * The tables that exo-mkpt put into the image are changed in place; more come
 * from a pool in the image. Intel SDM vol. 3, ch. 4. Ring 0, interrupts off.
 *
 * A 2 MiB region is one large entry when it is uniform, else a table of 512;
 * a table whose region becomes uniform goes back to the pool. Accessed and
 * dirty are always set, so that neither hardware nor a hypervisor's shadow
 * tables have to write them.
 */
#include "sup_ring0.h"

#include <errno.h>

#define PAGE 0x1000ull
#define REGION 0x200000ull
#define GIB 0x40000000ull
#define VA_END (512 * GIB) /* one entry of the root */

#define PTE_P 0x001ull
#define PTE_W 0x002ull
#define PTE_U 0x004ull
#define PTE_A 0x020ull
#define PTE_D 0x040ull
#define PTE_LARGE 0x080ull
#define PTE_NX (1ull << 63)
#define PTE_TABLE (PTE_P | PTE_W | PTE_U | PTE_A)
#define PTE_ADDRESS 0x000ffffffffff000ull

static struct sup_table {
	uint64_t entry[512];
} pool[SUP_PT_POOL] __attribute__((aligned(4096)));

static unsigned pool_used;
static struct sup_table *pool_free; /* chained through entry[0] */
static unsigned pool_nfree;

static struct sup_table *table_of(uint64_t entry)
{
	return (struct sup_table *)(entry & PTE_ADDRESS);
}

static struct sup_table *table_take(void)
{
	struct sup_table *t = pool_free;

	if (!t)
		return &pool[pool_used++];
	pool_free = table_of(t->entry[0]);
	pool_nfree--;
	return t;
}

static void table_give(struct sup_table *t)
{
	t->entry[0] = (uintptr_t)pool_free;
	pool_free = t;
	pool_nfree++;
}

/* The directory entry of a region's gigabyte: exo-mkpt puts that table second. */
static uint64_t *gib_entry(uint64_t va)
{
	return &((struct sup_table *)(sup_layout.tables + PAGE))->entry[va / GIB];
}

static uint64_t *region_entry(uint64_t va)
{
	uint64_t gib = *gib_entry(va);

	return gib & PTE_P ? &table_of(gib)->entry[va / REGION % 512] : 0;
}

static uint64_t leaf_flags(uint64_t prot)
{
	if (prot == SUP_PROT_NONE)
		return 0;
	return PTE_P | PTE_U | PTE_A | PTE_D | (prot == SUP_PROT_RW ? PTE_W : 0) |
	       (prot == SUP_PROT_RX ? 0 : PTE_NX);
}

static bool overlaps(uint64_t va, uint64_t end, uint64_t lo, uint64_t hi)
{
	return va < hi && lo < end;
}

static int check(uint64_t va, uint64_t len, uint64_t prot)
{
	const unsigned valid =
		1u << SUP_PROT_NONE | 1u << SUP_PROT_R | 1u << SUP_PROT_RW | 1u << SUP_PROT_RX;
	uint64_t shared = (uintptr_t)&sup_shared;

	if (((va | len) & (PAGE - 1)) || prot > 31 || !(valid >> prot & 1))
		return -EINVAL;
	if (va >= sup_layout.image_end && va < EXO_LOW_RAM_END && len <= EXO_LOW_RAM_END - va)
		return 0; /* the usual case, soonest: instructions are dear here */
	if (va < SUP_IMAGE_BASE || va >= VA_END || len > VA_END - va ||
	    overlaps(va, va + len, EXO_LOW_RAM_END, EXO_HIGH_RAM_BASE) ||
	    overlaps(va, va + len, sup_layout.sup_lo, sup_layout.sup_hi) ||
	    overlaps(va, va + len, shared, shared + SUP_SHARED_SIZE))
		return -EPERM;
	return 0;
}

/* Whether changing a part of the region at va to `flags` takes a new table. */
static unsigned needs_split(uint64_t va, uint64_t flags)
{
	uint64_t *e = region_entry(va);
	uint64_t old = e ? *e : 0;

	if ((old & PTE_P) && !(old & PTE_LARGE))
		return 0;
	return old != (flags ? (va & ~(REGION - 1)) | flags | PTE_LARGE : 0);
}

static unsigned tables_needed(uint64_t va, uint64_t end, uint64_t flags)
{
	uint64_t gib, last = end - PAGE;
	unsigned n = 0;

	for (gib = va / GIB; gib <= last / GIB; gib++)
		if (!(*gib_entry(gib * GIB) & PTE_P))
			n++;
	if ((va | end) & (REGION - 1)) {
		if ((va & (REGION - 1)) || last / REGION == va / REGION)
			n += needs_split(va, flags);
		if ((end & (REGION - 1)) && last / REGION != va / REGION)
			n += needs_split(last, flags);
	}
	return n;
}

static void flush(uint64_t va, uint64_t end)
{
	uint64_t root = sup_layout.tables;

	if (end - va > 8 * PAGE) {
		__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
		return;
	}
	for (; va < end; va += PAGE)
		__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/* n whole regions become uniform. Returns what was there, or'ed together, for the flush. */
static uint64_t set_regions(uint64_t *e, uint64_t n, uint64_t va, uint64_t flags)
{
	uint64_t entry = flags ? va | flags | PTE_LARGE : 0, step = flags ? REGION : 0, seen = 0;

	for (; n; n--, e++, entry += step) {
		uint64_t old = *e;

		*e = entry;
		seen |= old;
		if ((old & (PTE_P | PTE_LARGE)) == PTE_P)
			table_give(table_of(old));
	}
	return seen;
}

/*
 * n entries that count up by `step`. Returns what was there, or'ed together.
 * Unrolled: each instruction of the loop may cost a microsecond.
 */
static uint64_t fill(uint64_t *e, uint64_t n, uint64_t entry, uint64_t step)
{
	uint64_t seen = 0;

	for (; n >= 4; n -= 4, e += 4) {
		seen |= e[0] | e[1] | e[2] | e[3];
		e[0] = entry;
		entry += step;
		e[1] = entry;
		entry += step;
		e[2] = entry;
		entry += step;
		e[3] = entry;
		entry += step;
	}
	for (; n; n--, e++, entry += step) {
		seen |= *e;
		*e = entry;
	}
	return seen;
}

static uint64_t set_pages(uint64_t *e, uint64_t va, uint64_t end, uint64_t flags)
{
	uint64_t old = *e, seen = 0;
	struct sup_table *t;

	if ((old & PTE_P) && !(old & PTE_LARGE)) {
		t = table_of(old);
	} else {
		if (!needs_split(va, flags))
			return 0;
		t = table_take();
		fill(t->entry, 512, old & ~PTE_LARGE, old ? PAGE : 0);
		*e = (uintptr_t)t | PTE_TABLE;
		seen = old;
	}
	return seen | fill(&t->entry[va / PAGE % 512], (end - va) / PAGE, flags ? va | flags : 0,
			   flags ? PAGE : 0);
}

/* All checks first, then changes that cannot fail. */
static __attribute__((noinline)) int64_t protect(uint64_t va, uint64_t len, uint64_t prot)
{
	uint64_t start = va, end = va + len, flags, seen = 0, next;
	unsigned spare = SUP_PT_POOL - pool_used + pool_nfree;
	int r = check(va, len, prot);

	if (r < 0 || len == 0)
		return r;
	flags = leaf_flags(prot);
	/* At most a table for each end and a directory for each gigabyte. */
	if (spare < 4 + len / GIB && spare < tables_needed(va, end, flags))
		return -ENOMEM;
	for (; va < end; va = next) {
		uint64_t *gib = gib_entry(va), *e, n;

		if (!(*gib & PTE_P)) {
			struct sup_table *t = table_take();

			fill(t->entry, 512, 0, 0);
			*gib = (uintptr_t)t | PTE_TABLE;
		}
		e = &table_of(*gib)->entry[va / REGION % 512];
		n = (end - va) / REGION;
		if (n && !(va & (REGION - 1))) {
			if (n > 512 - va / REGION % 512)
				n = 512 - va / REGION % 512;
			next = va + n * REGION;
			seen |= set_regions(e, n, va, flags);
		} else {
			next = (va & ~(REGION - 1)) + REGION;
			if (next > end)
				next = end;
			seen |= set_pages(e, va, next, flags);
		}
	}
	if (seen & PTE_P)
		flush(start, end);
	return 0;
}

/* SUP_PROTECT: a growing heap's whole regions take a quarter of the instructions. */
int64_t sup_pt_protect(uint64_t va, uint64_t len, uint64_t prot)
{
	uint64_t gib, last = va + len - 1, seen;

	if (prot != SUP_PROT_RW || ((va | len) & (REGION - 1)) || last < va ||
	    va < sup_layout.image_end || last >= EXO_LOW_RAM_END || va / GIB != last / GIB)
		return protect(va, len, prot);
	gib = *gib_entry(va);
	if (!(gib & PTE_P))
		return protect(va, len, prot);
	seen = set_regions(&table_of(gib)->entry[va / REGION % 512], len / REGION, va,
			   leaf_flags(SUP_PROT_RW));
	if (seen & PTE_P)
		flush(va, last);
	return 0;
}

bool sup_pt_user_writable(uint64_t va, uint64_t len)
{
	const uint64_t want = PTE_P | PTE_U | PTE_W;
	uint64_t end = va + len, *e, leaf;

	if (end < va || end > VA_END || overlaps(va, end, EXO_LOW_RAM_END, EXO_HIGH_RAM_BASE))
		return false;
	for (va &= ~(PAGE - 1); va < end; va += PAGE) {
		e = region_entry(va);
		if (!e || !(*e & PTE_P))
			return false;
		leaf = *e & PTE_LARGE ? *e : table_of(*e)->entry[va / PAGE % 512];
		if ((leaf & want) != want)
			return false;
	}
	return true;
}
