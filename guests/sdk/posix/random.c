/*
 * Random bytes: ChaCha20 with fast key erasure (the first half of each block
 * run becomes the next key). The key is the boot block's seed, mixed with what
 * the virtio-rng device gives when the generator is first asked by the program.
 */
#include "posix.h"

#include "../drivers/rng.h"

static uint32_t key[8];
static bool keyed, mixed;

static uint32_t rotate(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void quarter(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 7);
}

static void block(uint32_t out[16], uint64_t counter)
{
	const uint32_t in[16] = {
		0x61707865,
		0x3320646e,
		0x79622d32,
		0x6b206574,
		key[0],
		key[1],
		key[2],
		key[3],
		key[4],
		key[5],
		key[6],
		key[7],
		(uint32_t)counter,
		(uint32_t)(counter >> 32),
	};

	memcpy(out, in, sizeof(in));
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned c = 0; c < 4; c++)
			quarter(out, c, c + 4, c + 8, c + 12);
		quarter(out, 0, 5, 10, 15);
		quarter(out, 1, 6, 11, 12);
		quarter(out, 2, 7, 8, 13);
		quarter(out, 3, 4, 9, 14);
	}
	for (unsigned i = 0; i < 16; i++)
		out[i] += in[i];
}

static void mix(const void *bytes, size_t len)
{
	uint32_t out[16];

	for (size_t i = 0; i < len; i++)
		((uint8_t *)key)[i % sizeof(key)] ^= ((const uint8_t *)bytes)[i];
	block(out, 0);
	memcpy(key, out, sizeof(key));
}

static void first_key(void)
{
	uint64_t tsc = clock_ns();

	keyed = true;
	if (boot)
		mix(boot->seed, sizeof(boot->seed));
	mix(&tsc, sizeof(tsc));
}

void random_reseed(void)
{
	uint8_t bytes[32];
	size_t n;

	if (mixed)
		return;
	mixed = true;
	n = rng_read(bytes, sizeof(bytes));
	if (n)
		mix(bytes, n);
}

void random_bytes(void *buf, size_t len)
{
	uint8_t *p = buf;
	uint32_t out[16];
	uint64_t counter = 1;

	if (!keyed)
		first_key();
	while (len) {
		size_t part = MIN(len, sizeof(out));

		block(out, counter++);
		memcpy(p, out, part);
		p += part;
		len -= part;
	}
	block(out, 0);
	memcpy(key, out, sizeof(key));
	memset(out, 0, sizeof(out));
	__asm__ volatile("" : : "r"(out) : "memory"); /* not to be optimized away */
}
