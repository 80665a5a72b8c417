/* expect: exit 2 */
/*
 * A client of the store, for tests from outside.
 *
 *	store-client.elf put COUNT SEED [PAUSE_MS]   stores COUNT things under 20 names, one
 *	                 version after the other, and says "acked N" for each
 *	store-client.elf check COUNT SEED            the newest version of each name is what
 *	                 COUNT puts left: "checked N"
 *	store-client.elf list                        all names, their versions and sizes
 *
 * Exit status: 0; 1 wrong data; 2 usage; 3 an error, printed.
 */
#include <exo_store.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES 20
#define BYTES_MAX 200000

static uint8_t data[BYTES_MAX], back[BYTES_MAX];
static struct exo_store store;

static int fail(const char *what)
{
	printf("%s: %d %s\n", what, errno, strerror(errno));
	return 3;
}

/* The n-th thing: mostly small, sometimes of several pieces. */
static size_t make(unsigned n, unsigned seed)
{
	uint64_t x = (uint64_t)n * 0x9e3779b97f4a7c15u + seed;
	size_t bytes = n % 10 == 9 ? 100000 + x % 100000 : 1 + x % 4000;

	for (size_t i = 0; i < bytes; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(x >> 56);
	}
	return bytes;
}

static int put(unsigned count, unsigned seed, unsigned pause_ms)
{
	uint64_t version[NAMES] = {0};
	uint8_t hash[EXO_SHA256_BYTES];
	char name[32];

	for (unsigned n = 0; n < count; n++) {
		if (exo_store_put(&store, data, make(n, seed), hash))
			return fail("put");
		snprintf(name, sizeof(name), "things/%u", n % NAMES);
		if (exo_store_set(&store, name, hash, &version[n % NAMES]))
			return fail("set");
		if (version[n % NAMES] != n / NAMES + 1) {
			printf("%s: version %llu\n", name, (unsigned long long)version[n % NAMES]);
			return 1;
		}
		printf("acked %u\n", n);
		if (pause_ms)
			usleep(pause_ms * 1000);
	}
	return 0;
}

static int check(unsigned count, unsigned seed)
{
	unsigned checked = 0;

	for (unsigned n = count < NAMES ? 0 : count - NAMES; n < count; n++, checked++) {
		size_t bytes = make(n, seed);
		struct exo_store_ref ref;
		uint64_t total = 0;
		char name[32];

		snprintf(name, sizeof(name), "things/%u", n % NAMES);
		if (exo_store_lookup(&store, name, 0, &ref))
			return fail(name);
		if (exo_store_get(&store, ref.hash, 0, back, sizeof(back), &total) < 0)
			return fail("get");
		if (ref.version != n / NAMES + 1 || total != bytes || ref.bytes != bytes ||
		    memcmp(data, back, bytes)) {
			printf("%s: version %llu of %llu bytes is wrong\n", name,
			       (unsigned long long)ref.version, (unsigned long long)total);
			return 1;
		}
	}
	printf("checked %u\n", checked);
	return 0;
}

static int list(void)
{
	struct exo_store_ref ref = {.name = ""};

	while (!exo_store_next(&store, ref.name, &ref))
		printf("%s version %llu, %llu bytes\n", ref.name, (unsigned long long)ref.version,
		       (unsigned long long)ref.bytes);
	return errno == ENOENT ? 0 : fail("next");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	exo_store_init(&store);
	store.timeout_ms = 30000;
	if (!strcmp(mode, "put") && argc >= 4)
		return put((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]),
			   argc > 4 ? (unsigned)atoi(argv[4]) : 0);
	if (!strcmp(mode, "check") && argc == 4)
		return check((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
	if (!strcmp(mode, "list"))
		return list();
	fputs("usage: store-client put COUNT SEED [PAUSE_MS] | check COUNT SEED | list\n", stderr);
	return 2;
}
