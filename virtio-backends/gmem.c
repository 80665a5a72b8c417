/*
 * Guest memory: address resolution and copies. See gmem.h for the threads.
 */
#include "gmem.h"

#include <errno.h>
#include <string.h>

int gmem_add(struct gmem *m, gpa_t base, void *host, uint64_t size)
{
	if (!host || !size || size > SIZE_MAX || base + size - 1 < base)
		return -EINVAL;
	for (unsigned i = 0; i < m->nregions; i++) {
		const struct gmem_region *r = &m->region[i];

		if (base <= r->base + (r->size - 1) && r->base <= base + (size - 1))
			return -EINVAL;
	}
	if (m->nregions == GMEM_REGIONS_MAX)
		return -ENOSPC;
	m->region[m->nregions++] = (struct gmem_region){.base = base, .size = size, .host = host};
	return 0;
}

void *gmem_ptr(const struct gmem *m, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->nregions; i++) {
		const struct gmem_region *r = &m->region[i];
		uint64_t off = gpa - r->base;

		/* An address below the base wraps to an offset beyond the size. */
		if (off < r->size)
			return len <= r->size - off ? r->host + off : NULL;
	}
	return NULL;
}

int gmem_read(const struct gmem *m, gpa_t gpa, void *dst, size_t len)
{
	const void *src = gmem_ptr(m, gpa, len);

	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	gmem_fetched(m, gpa, len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t gpa, const void *src, size_t len)
{
	void *dst = gmem_ptr(m, gpa, len);

	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}
