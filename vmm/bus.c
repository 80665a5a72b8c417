/* The address table; see bus.h. Runs in vCPU threads. */
#include "bus.h"

#include <assert.h>
#include <string.h>

void bus_add(struct bus *b, gpa_t base, uint64_t size, const struct bus_handler *handler,
	     void *opaque)
{
	assert(b->nranges < BUS_RANGES_MAX && size <= UINT64_MAX - base);
	for (unsigned i = 0; i < b->nranges; i++) {
		const struct bus_range *r = &b->range[i];

		assert(base >= r->base + r->size || base + size <= r->base);
		(void)r;
	}
	b->range[b->nranges++] = (struct bus_range){base, size, handler, opaque};
}

bool bus_access(const struct bus *b, gpa_t gpa, bool write, void *data, size_t len)
{
	for (unsigned i = 0; i < b->nranges; i++) {
		const struct bus_range *r = &b->range[i];

		if (gpa < r->base || gpa - r->base >= r->size)
			continue;
		if (len > r->size - (gpa - r->base)) {
			if (!write)
				memset(data, 0, len);
		} else if (write) {
			r->handler->write(r->opaque, gpa - r->base, data, len);
		} else {
			r->handler->read(r->opaque, gpa - r->base, data, len);
		}
		return true;
	}
	return false;
}
