/* Durations, and what is said of them. */
#include "samples.h"

#include <stdlib.h>

bool samples_init(struct samples *s, size_t room)
{
	s->us = calloc(room, sizeof(*s->us));
	s->room = room;
	s->n = 0;
	return s->us != NULL;
}

void samples_finish(struct samples *s)
{
	free(s->us);
}

void samples_add(struct samples *s, uint64_t ns)
{
	if (s->n < s->room)
		s->us[s->n++] = ns / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / 1000);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

uint32_t samples_at(struct samples *s, unsigned of_1000)
{
	if (!s->n)
		return 0;
	qsort(s->us, s->n, sizeof(*s->us), compare);
	return s->us[(s->n - 1) * of_1000 / 1000];
}
