/*
 * Memory: one-to-one mapped RAM behind the image, given out by mmap, brk and
 * the layer's own small allocations. A sorted table of ranges says what is in
 * use; first fit from the bottom, so that a small program touches few pages and
 * the supervisor's tables grow only with use.
 *
 * RAM reads 0 before its first use; what comes back is zeroed when it is given
 * out again. Limit: reading memory after munmap is not caught.
 */
#include "posix.h"

#include <sys/mman.h>

#define PAGE 4096ull
#define BIG_PAGE (2ull << 20)
#define BRK_BYTES (256ull << 10)
#define RANGES_STATIC 64

#define PAGE_UP(n) (((n) + PAGE - 1) & ~(PAGE - 1))

struct range {
	uint64_t lo, hi;
	int prot; /* PROT_*, or PROT_HOLE: no RAM */
};
#define PROT_HOLE (-1)

APART static struct range first_ranges[RANGES_STATIC];
static struct range *ranges = first_ranges;
static unsigned nranges, ranges_max = RANGES_STATIC;

static uint64_t base; /* of all memory that can be given out */
static uint64_t end;
static uint64_t mapped;   /* [base, mapped) is accessible unless a range says otherwise */
static uint64_t used_top; /* [used_top, …) was never given out: it is zero */
static uint64_t brk_at, brk_end;
static uint64_t total_bytes;
static bool started;

static void insert(unsigned at, uint64_t lo, uint64_t hi, int prot)
{
	memmove(&ranges[at + 1], &ranges[at], (nranges - at) * sizeof(*ranges));
	ranges[at] = (struct range){lo, hi, prot};
	nranges++;
}

static void mem_start(void)
{
	const struct sup_range *ram = facts->ram;

	started = true;
	base = facts->image_end;
	mapped = facts->mapped_end;
	brk_at = base;
	brk_end = MIN(base + BRK_BYTES, mapped);
	used_top = base;
	insert(nranges, base, brk_end, PROT_READ | PROT_WRITE);
	for (unsigned i = 0; i < facts->nram; i++) {
		if (i && ram[i].base > end)
			insert(nranges, end, ram[i].base, PROT_HOLE);
		end = ram[i].base + ram[i].len;
		total_bytes += ram[i].len;
	}
}

/* Makes [lo, hi) accessible, in steps of whole large pages as far as there is RAM. */
static int grow_to(uint64_t hi)
{
	uint64_t to = MIN((hi + BIG_PAGE - 1) & ~(BIG_PAGE - 1), end), lo = mapped;

	if (hi <= mapped)
		return 0;
	for (unsigned i = 0; i < facts->nram; i++) {
		const struct sup_range *ram = &facts->ram[i];
		uint64_t a = MAX(lo, ram->base), b = MIN(to, ram->base + ram->len);

		if (a < b && sup_call(SUP_PROTECT, a, b - a, SUP_PROT_RW) < 0)
			return -ENOMEM;
	}
	mapped = to;
	return 0;
}

static int set_access(uint64_t lo, uint64_t hi, int prot)
{
	uint64_t sup_prot = SUP_PROT_NONE;

	if (prot & PROT_WRITE && prot & PROT_EXEC)
		return -EACCES; /* W^X */
	if (prot & PROT_EXEC)
		sup_prot = SUP_PROT_RX;
	else if (prot & PROT_WRITE)
		sup_prot = SUP_PROT_RW;
	else if (prot & PROT_READ)
		sup_prot = SUP_PROT_R;
	return (int)sup_call(SUP_PROTECT, lo, hi - lo, sup_prot);
}

static bool is_rw(int prot)
{
	return (prot & PROT_WRITE) && !(prot & PROT_EXEC);
}

/* First range that ends above addr. */
static unsigned find(uint64_t addr)
{
	unsigned lo = 0, hi = nranges;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (ranges[mid].hi <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Makes room for two more entries: any change adds two at most. */
static bool table_room(void)
{
	static bool growing; /* the table's own memory is an entry too */
	struct range *bigger, *old = ranges;
	size_t bytes = ranges_max * sizeof(*ranges);

	if (nranges + 4 <= ranges_max || growing)
		return nranges + 2 <= ranges_max;
	growing = true;
	bigger = mem_pages(2 * bytes);
	growing = false;
	if (!bigger)
		return nranges + 2 <= ranges_max;
	memcpy(bigger, old, nranges * sizeof(*ranges));
	ranges = bigger;
	ranges_max *= 2;
	if (old != first_ranges)
		mem_pages_free(old, bytes);
	return true;
}

/* Splits so that a range boundary lies at addr; index of the first range from there on. */
static unsigned split(uint64_t addr)
{
	unsigned i = find(addr);

	if (i < nranges && ranges[i].lo < addr) {
		insert(i + 1, addr, ranges[i].hi, ranges[i].prot);
		ranges[i].hi = addr;
		i++;
	}
	return i;
}

static void merge_around(unsigned i)
{
	if (i + 1 < nranges && ranges[i].hi == ranges[i + 1].lo &&
	    ranges[i].prot == ranges[i + 1].prot) {
		ranges[i].hi = ranges[i + 1].hi;
		nranges--;
		memmove(&ranges[i + 1], &ranges[i + 2], (nranges - i - 1) * sizeof(*ranges));
	}
	if (i > 0)
		if (ranges[i - 1].hi == ranges[i].lo && ranges[i - 1].prot == ranges[i].prot)
			merge_around(i - 1);
}

/* Gives out [lo, lo + len), which is free: zeroed, readable and writable. */
static int take(unsigned at, uint64_t lo, uint64_t len, int prot)
{
	if (grow_to(lo + len) < 0)
		return -ENOMEM;
	if (lo < used_top)
		memset((void *)(uintptr_t)lo, 0, MIN(len, used_top - lo));
	if (!is_rw(prot) && set_access(lo, lo + len, prot) < 0)
		return -ENOMEM;
	used_top = MAX(used_top, lo + len);
	insert(at, lo, lo + len, prot);
	merge_around(at);
	return 0;
}

static int64_t allocate(uint64_t len, int prot)
{
	uint64_t at = base;

	if (!started)
		mem_start();
	if (!table_room())
		return -ENOMEM;
	at = base;
	for (unsigned i = 0;; i++) {
		uint64_t limit = i < nranges ? ranges[i].lo : end;

		if (limit >= at && limit - at >= len) {
			int err = take(i, at, len, prot);

			return err < 0 ? err : (int64_t)at;
		}
		if (i == nranges)
			return -ENOMEM;
		at = ranges[i].hi;
	}
}

void *mem_pages(size_t bytes)
{
	int64_t p = allocate(PAGE_UP(bytes), PROT_READ | PROT_WRITE);

	return p < 0 ? NULL : (void *)(uintptr_t)p;
}

void mem_pages_free(void *p, size_t bytes)
{
	mem_unmap((uintptr_t)p, bytes);
}

static bool valid(uint64_t addr, uint64_t len)
{
	return addr % PAGE == 0 && len && addr >= base && len <= end - base && addr <= end - len;
}

long mem_unmap(uint64_t addr, size_t len)
{
	uint64_t hi;
	unsigned i, n = 0;

	len = PAGE_UP(len);
	if (!started || !valid(addr, len))
		return -EINVAL;
	if (!table_room())
		return -ENOMEM;
	hi = addr + len;
	split(hi);
	for (i = split(addr); i + n < nranges && ranges[i + n].lo < hi; n++) {
		const struct range *r = &ranges[i + n];

		if (r->prot == PROT_HOLE)
			return -EINVAL;
		if (!is_rw(r->prot) && sup_call(SUP_PROTECT, r->lo, r->hi - r->lo, SUP_PROT_RW) < 0)
			return -ENOMEM;
	}
	nranges -= n;
	memmove(&ranges[i], &ranges[i + n], (nranges - i) * sizeof(*ranges));
	return 0;
}

static bool in_brk(uint64_t addr, uint64_t len)
{
	return addr >= base && addr + len <= brk_end;
}

long mem_mmap(uint64_t addr, size_t len, int prot, int flags, int fd)
{
	long err;

	if (!started)
		mem_start();
	if (len == 0 || !(flags & (MAP_PRIVATE | MAP_SHARED)))
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS))
		return fd_file(fd) ? -ENODEV : -EBADF;
	if (len > total_bytes)
		return -ENOMEM;
	if (prot & PROT_WRITE && prot & PROT_EXEC)
		return -EACCES;
	len = PAGE_UP(len);
	if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		return allocate(len, prot);
	/* malloc's guard page in the brk area: has the area split a large page, for nothing. */
	if (in_brk(addr, len) && prot == PROT_NONE)
		return (long)addr;
	if (!valid(addr, len) || addr < brk_end)
		return -ENOMEM;
	if (flags & MAP_FIXED_NOREPLACE && find(addr) < nranges &&
	    ranges[find(addr)].lo < addr + len)
		return -EEXIST;
	err = mem_unmap(addr, len);
	if (err < 0)
		return err;
	err = take(find(addr), addr, len, prot);
	return err < 0 ? err : (long)addr;
}

long mem_protect(uint64_t addr, size_t len, int prot)
{
	uint64_t hi;
	unsigned i;
	int err;

	if (!started)
		mem_start();
	len = PAGE_UP(len);
	if (len == 0)
		return 0;
	if (addr % PAGE)
		return -EINVAL;
	if (!valid(addr, len)) /* the image: the supervisor knows what may change there */
		return addr + len <= base ? set_access(addr, addr + len, prot) : -ENOMEM;
	if (!table_room())
		return -ENOMEM;
	hi = addr + len;
	for (uint64_t at = addr; at < hi; at = ranges[i].hi) {
		i = find(at);
		if (i == nranges || ranges[i].lo > at || ranges[i].prot == PROT_HOLE)
			return -ENOMEM;
	}
	err = set_access(addr, hi, prot);
	if (err < 0)
		return err;
	split(hi);
	for (i = split(addr); i < nranges && ranges[i].lo < hi; i++)
		ranges[i].prot = prot;
	return 0;
}

uint64_t mem_brk(uint64_t addr)
{
	if (!started)
		mem_start();
	if (addr < base || addr > brk_end)
		return brk_at;
	if (addr < brk_at)
		memset((void *)(uintptr_t)addr, 0, brk_at - addr);
	used_top = MAX(used_top, addr);
	brk_at = addr;
	return brk_at;
}

long mem_remap(uint64_t addr, size_t old_len, size_t len, int flags)
{
	int64_t to;
	unsigned i;

	old_len = PAGE_UP(old_len);
	len = PAGE_UP(len);
	if (!started || !len || !valid(addr, old_len) || flags & ~MREMAP_MAYMOVE)
		return -EINVAL;
	i = find(addr);
	if (i == nranges || ranges[i].lo > addr || ranges[i].hi < addr + old_len ||
	    !is_rw(ranges[i].prot))
		return -EFAULT;
	if (len <= old_len) {
		if (len < old_len)
			mem_unmap(addr + len, old_len - len);
		return (long)addr;
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	to = allocate(len, PROT_READ | PROT_WRITE);
	if (to < 0)
		return to;
	memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)addr, old_len);
	mem_unmap(addr, old_len);
	return to;
}

long mem_advise(uint64_t addr, size_t len, int advice)
{
	unsigned i;

	len = PAGE_UP(len);
	if (!started || !valid(addr, len))
		return -ENOMEM;
	if (advice != MADV_DONTNEED)
		return advice >= 0 && advice <= MADV_FREE ? 0 : -EINVAL;
	i = find(addr);
	if (i == nranges || ranges[i].lo > addr || ranges[i].hi < addr + len)
		return -ENOMEM;
	if (!is_rw(ranges[i].prot))
		return -EINVAL;
	memset((void *)(uintptr_t)addr, 0, len);
	return 0;
}

bool mem_guard_around(uint64_t addr, uint64_t *lo, uint64_t *hi)
{
	unsigned i = started ? find(addr) : nranges;

	if (i == nranges || ranges[i].lo > addr || ranges[i].prot != PROT_NONE)
		return false;
	*lo = ranges[i].lo;
	*hi = ranges[i].hi;
	return true;
}

void mem_stat(uint64_t *free_bytes, uint64_t *total)
{
	uint64_t used = 0;

	if (!started)
		mem_start();
	for (unsigned i = 0; i < nranges; i++)
		if (ranges[i].prot != PROT_HOLE)
			used += ranges[i].hi - ranges[i].lo;
	*total = total_bytes;
	*free_bytes = total_bytes - used;
}
