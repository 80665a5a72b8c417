/*
 * Guest memory as the host sees it: the only code that turns a guest-physical
 * address into a pointer (hostile-guests H-03, H-17: only RAM resolves).
 *
 * Threads: the region table is built before any vCPU runs and is read-only
 * afterwards, so lookups take no lock.
 */
#ifndef GMEM_H
#define GMEM_H

#include <exo/le.h>
#include <stdbool.h>
#include <stddef.h>

#define GMEM_REGIONS_MAX 4

struct gmem_region {
	gpa_t base;    /* guest-physical start */
	uint64_t size; /* bytes */
	uint8_t *host; /* where it is mapped here; not owned */
};

struct gmem {
	struct gmem_region region[GMEM_REGIONS_MAX];
	unsigned nregions;
	/*
	 * Optional, tests only: called after each copy out of guest memory, so
	 * that a test can change the memory between two fetches. NULL in the VMM.
	 */
	void (*fetch_hook)(void *opaque, gpa_t gpa, size_t len);
	void *hook_opaque;
};

/* Adds a region. 0, or -ENOSPC (table full), -EINVAL (wraps, overlaps, empty). */
int gmem_add(struct gmem *m, gpa_t base, void *host, uint64_t size);

/*
 * The host address of [gpa, gpa + len), or NULL if any byte of it is not RAM of
 * one region. len 0 resolves wherever gpa is inside RAM.
 * The memory is shared with a running guest: copy once, then validate the copy.
 */
void *gmem_ptr(const struct gmem *m, gpa_t gpa, uint64_t len);

/* Copies out of / into guest memory. 0, or -EFAULT with nothing copied. */
int gmem_read(const struct gmem *m, gpa_t gpa, void *dst, size_t len);
int gmem_write(const struct gmem *m, gpa_t gpa, const void *src, size_t len);

/*
 * To be called after every copy out of guest memory that does not go through
 * gmem_read. The compiler barrier keeps the copy the only fetch: the guest may
 * change the memory at any time, so the compiler must not read it again.
 */
static inline void gmem_fetched(const struct gmem *m, gpa_t gpa, size_t len)
{
	__asm__ volatile("" ::: "memory");
	if (__builtin_expect(m->fetch_hook != NULL, 0))
		m->fetch_hook(m->hook_opaque, gpa, len);
}

#endif
