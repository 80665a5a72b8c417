/* expect: exit 0 */
/*
 * Supervisor calls with arguments that are wrong, nearly right, or right: ring 0
 * survives all of them, and each result is one that sup.h names. Left out is
 * what would end this program by itself: its FS base, its exit port, its pages.
 */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CALLS 5000

static struct {
	struct {
		uint32_t count, done;
	} batch; /* as in struct exo_batch */
	struct exo_batch_op op[4];
} list;

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Addresses and sizes where something begins or ends, give or take a little. */
static uint64_t random_value(void)
{
	static const uint64_t edges[] = {
		0,
		EXO_BOOT_GPA,
		EXO_LOW_RAM_END,
		SUP_WINDOW0_BASE,
		SUP_WINDOW0_END,
		SUP_WINDOW1_BASE,
		SUP_WINDOW1_END,
		EXO_IOAPIC_GPA,
		EXO_LAPIC_GPA,
		EXO_HIGH_RAM_BASE,
		UINT64_C(1) << 39,
		UINT64_C(1) << 47,
		UINT64_C(1) << 63,
		UINT64_MAX,
	};
	uint64_t v = edges[random_next() % (sizeof(edges) / sizeof(edges[0]))];

	switch (random_next() % 4) {
	case 0:
		return random_next() >> random_next() % 64;
	case 1:
		return v + (random_next() % 9 - 4) * 4096;
	case 2:
		return v + random_next() % 9 - 4;
	default:
		return v;
	}
}

static bool is_error(int64_t r)
{
	return r == -EINVAL || r == -EPERM || r == -EFAULT || r == -ENOMEM || r == -ENODEV;
}

/* Only above all RAM: nothing of ours is there, and nothing may be executable. */
static int64_t random_protect(void)
{
	uint64_t va = random_value(), len = random_value();

	if (random_next() % 2) {
		va = (UINT64_C(1) << 36) + random_next() % 16 * 4096;
		len = random_next() % 2048 * 4096;
	}
	if (va < EXO_LOW_RAM_END)
		va += EXO_LOW_RAM_END;
	if (va >= EXO_HIGH_RAM_BASE && va < UINT64_C(1) << 36)
		va += UINT64_C(1) << 36;
	return sup_call(SUP_PROTECT, va, len % (UINT64_C(1) << 31), random_next() % 16);
}

static int64_t random_batch(void)
{
	memset(&list, 0, sizeof(list));
	list.batch.count = (uint32_t)(random_next() % 5);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t gpa = random_value();

		/* A device's registers are its driver's. */
		if (gpa >= SUP_WINDOW0_BASE && gpa < SUP_WINDOW1_END)
			gpa |= 1;
		list.op[i] = (struct exo_batch_op){(uint32_t)gpa | 1, (uint32_t)(random_next() % 3),
						   (uint32_t)random_next(), 0};
	}
	return sup_call(SUP_MMIO_BATCH, random_next() % 2 ? (uintptr_t)&list : random_value(), 0,
			0);
}

int main(void)
{
	unsigned errors = 0, successes = 0;

	for (unsigned i = 0; i < CALLS; i++) {
		int64_t r = 0;

		switch (random_next() % 5) {
		case 0:
			r = random_protect();
			break;
		case 1:
			r = random_batch();
			break;
		case 2:
			r = sup_call(SUP_MMIO_MAP, random_value(), random_value(), random_value());
			break;
		case 3:
			r = sup_call(SUP_IRQ, SUP_GSIS + random_value() % (UINT64_MAX - SUP_GSIS),
				     0, 0);
			break;
		case 4:
			r = sup_call(SUP_SET_FS, random_value() | UINT64_C(1) << 47, 0, 0);
			break;
		}
		CHECK(10, r == 0 || is_error(r));
		errors += r != 0;
		successes += r == 0;
	}
	/* Both were seen, or this tested nothing. */
	CHECK(11, errors > CALLS / 4 && successes > CALLS / 20);
	CHECK(12, sup_call(SUP_PROTECT, UINT64_C(1) << 36, UINT64_C(1) << 31, SUP_PROT_NONE) == 0);
	printf("%u refused, %u done\n", errors, successes);
	return 0;
}
