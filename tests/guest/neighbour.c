/* expect: exit 0 */
/* run: 1 */
/*
 * The neighbour of a hostile guest: for the seconds given it keeps looking at
 * its own memory and at how late its timer fires. Prints the worst lateness;
 * ends with 1 when a byte of its memory changed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECKED_BYTES (1u << 20)
#define TICK_NS 5000000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t seconds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, worst = 0;
	uint8_t *memory = malloc(CHECKED_BYTES);
	struct timespec tick = {.tv_nsec = TICK_NS};
	uint64_t end = now_ns() + seconds * 1000000000u;

	if (!memory)
		return 2;
	memset(memory, 0xa5, CHECKED_BYTES);
	printf("watching\n");
	fflush(stdout);
	while (now_ns() < end) {
		uint64_t before = now_ns();

		nanosleep(&tick, NULL);
		uint64_t late = now_ns() - before - TICK_NS;
		if (late > worst)
			worst = late;
		for (size_t i = 0; i < CHECKED_BYTES; i++)
			if (memory[i] != 0xa5)
				return 1;
	}
	printf("worst lateness %llu us\n", (unsigned long long)(worst / 1000));
	return 0;
}
