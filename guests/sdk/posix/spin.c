/* See spin.h. */
#include "spin.h"

#include "../drivers/vsock.h"

#define SHIFT_MAX 6
#define LOOKS 16 /* between two looks at the clock */

bool spin_until(struct spin *s, bool (*ready)(void *), void *arg)
{
	uint64_t end;

	if (!s->ns || s->skip || thread_others_runnable()) {
		s->skip -= s->skip != 0;
		return false;
	}
	end = clock_ns() + s->ns;
	do {
		for (int i = 0; i < LOOKS; i++) {
			if (ready(arg)) {
				s->misses = 0;
				return true;
			}
			__asm__ volatile("pause");
		}
		if (vsock_noticed())
			return false;
	} while (clock_ns() < end);
	s->misses += s->misses < SHIFT_MAX;
	s->skip = (uint16_t)((1u << s->misses) - 1);
	return false;
}
