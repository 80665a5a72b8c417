/*
 * Little-endian fields and guest addresses.
 *
 * The structs exist so that a raw field cannot be used as a number by mistake:
 * mixing them up does not compile. x86-64 is little-endian, so the conversions
 * cost nothing.
 */
#ifndef EXO_LE_H
#define EXO_LE_H

#include <stdint.h>

struct le16 {
	uint16_t raw;
};
struct le32 {
	uint32_t raw;
};
struct le64 {
	uint64_t raw;
};

_Static_assert(sizeof(struct le16) == 2, "wire size");
_Static_assert(sizeof(struct le32) == 4, "wire size");
_Static_assert(sizeof(struct le64) == 8, "wire size");

/* A guest-physical address. Only gmem (virtio-backends/gmem.h) makes a pointer of one. */
typedef uint64_t gpa_t;

static inline uint16_t le16_get(struct le16 v)
{
	return v.raw;
}
static inline uint32_t le32_get(struct le32 v)
{
	return v.raw;
}
static inline uint64_t le64_get(struct le64 v)
{
	return v.raw;
}
static inline struct le16 le16_make(uint16_t v)
{
	return (struct le16){v};
}
static inline struct le32 le32_make(uint32_t v)
{
	return (struct le32){v};
}
static inline struct le64 le64_make(uint64_t v)
{
	return (struct le64){v};
}

#endif
