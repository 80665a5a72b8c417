/* SHA-256 (FIPS 180-4). */
#ifndef EXO_SHA256_H
#define EXO_SHA256_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXO_SHA256_BYTES 32

struct exo_sha256 {
	uint32_t h[8];
	uint64_t bytes; /* taken so far */
	uint8_t rest[64];
};

void exo_sha256_init(struct exo_sha256 *s);
void exo_sha256_add(struct exo_sha256 *s, const void *data, size_t bytes);
/* The sum of all that was added; *s is then used up. */
void exo_sha256_end(struct exo_sha256 *s, uint8_t sum[EXO_SHA256_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
