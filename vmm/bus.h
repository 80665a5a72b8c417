/*
 * Which device answers at which guest-physical address: an explicit table,
 * filled in before any vCPU runs and read-only afterwards, so lookups from
 * vCPU threads take no lock.
 */
#ifndef BUS_H
#define BUS_H

#include <exo/le.h>
#include <stdbool.h>
#include <stddef.h>

#define BUS_RANGES_MAX 8

/* `off` is within the range; len 1 to 8; data is the register's bytes, little-endian. */
struct bus_handler {
	void (*read)(void *opaque, uint64_t off, void *data, size_t len);
	void (*write)(void *opaque, uint64_t off, const void *data, size_t len);
};

struct bus_range {
	gpa_t base;
	uint64_t size;
	const struct bus_handler *handler;
	void *opaque;
};

struct bus {
	struct bus_range range[BUS_RANGES_MAX];
	unsigned nranges;
};

/* Ranges are the program's own constants: they do not overlap (asserted). */
void bus_add(struct bus *b, gpa_t base, uint64_t size, const struct bus_handler *handler,
	     void *opaque);

/*
 * Carries out one access. false: nothing is there. An access that begins in a
 * range and runs over its end is the range's: reads give 0 and writes are dropped.
 */
bool bus_access(const struct bus *b, gpa_t gpa, bool write, void *data, size_t len);

#endif
