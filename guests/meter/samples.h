/* Durations, and what is said of them. */
#ifndef METER_SAMPLES_H
#define METER_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct samples {
	uint32_t *us;
	size_t n, room;
};

/* False: no memory. */
bool samples_init(struct samples *s, size_t room);
void samples_finish(struct samples *s);
void samples_add(struct samples *s, uint64_t ns); /* dropped when there is no room */
/* Of 1000: 500 is the median. Sorts. 0 if there are none. */
uint32_t samples_at(struct samples *s, unsigned of_1000);

#endif
