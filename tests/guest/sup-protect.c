/* expect: exit 0 */
/*
 * SUP_PROTECT, past the POSIX layer: rights take effect at once and only where they
 * should, W^X holds, and ring 0's own pages are out of reach.
 */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE ((uintptr_t)4096)
#define REGION ((uintptr_t)2 << 20)

extern char __ehdr_start[];

static int64_t protect(uintptr_t va, uintptr_t len, uint64_t prot)
{
	return sup_call(SUP_PROTECT, va, len, prot);
}

static void rights(uintptr_t a)
{
	memset((void *)a, 0xc3, 2 * REGION);
	CHECK(10, protect(a + PAGE, PAGE, SUP_PROT_R) == 0);
	CHECK(11, sup_try(sup_read, a + PAGE) == 0);
	CHECK(12, sup_try(sup_write, a + PAGE) == SIGSEGV);
	CHECK(13, sup_try(sup_execute, a + PAGE) == SIGSEGV);
	CHECK(14, sup_try(sup_write, a) == 0 && sup_try(sup_write, a + 2 * PAGE) == 0);
	CHECK(15, protect(a + PAGE, 2 * PAGE, SUP_PROT_NONE) == 0);
	CHECK(16, sup_try(sup_read, a + PAGE) == SIGSEGV);
	CHECK(17, sup_try(sup_read, a + 2 * PAGE) == SIGSEGV);
	CHECK(18, sup_try(sup_read, a + 3 * PAGE) == 0);
	CHECK(19, protect(a, PAGE, SUP_PROT_RX) == 0);
	CHECK(20, sup_try(sup_execute, a) == 0 && sup_try(sup_write, a) == SIGSEGV);
	/* Across the border of two regions, then both whole again. */
	CHECK(21, protect(a + REGION - PAGE, 2 * PAGE, SUP_PROT_R) == 0);
	CHECK(22, sup_try(sup_write, a + REGION - 1) == SIGSEGV);
	CHECK(23, sup_try(sup_write, a + REGION) == SIGSEGV);
	CHECK(24, sup_try(sup_write, a + REGION + PAGE) == 0);
	CHECK(25, protect(a, 2 * REGION, SUP_PROT_RW) == 0);
	CHECK(26, sup_try(sup_write, a + PAGE) == 0 && sup_try(sup_write, a + REGION) == 0);
	/* The bytes stayed. */
	CHECK(27, ((volatile uint8_t *)a)[2 * REGION - 1] == 0xc3);
}

static void refused(uintptr_t a)
{
	uintptr_t shared = (uintptr_t)sup_block(), image = (uintptr_t)__ehdr_start;
	uintptr_t end = sup_block()->facts->image_end, va;
	unsigned supervisor = 0;

	CHECK(30, protect(a, PAGE, 7) == -EINVAL);
	CHECK(31, protect(a, PAGE, 6) == -EINVAL);
	CHECK(32, protect(a, PAGE, 2) == -EINVAL);
	CHECK(33, protect(a, PAGE, UINT64_C(1) << 33 | SUP_PROT_RW) == -EINVAL);
	CHECK(34, protect(a + 1, PAGE, SUP_PROT_RW) == -EINVAL);
	CHECK(35, protect(a, 5, SUP_PROT_RW) == -EINVAL);
	CHECK(36, protect(0, PAGE, SUP_PROT_RW) == -EPERM);
	CHECK(37, protect(0, UINT64_MAX & ~(PAGE - 1), SUP_PROT_RW) == -EPERM);
	CHECK(38, protect(a, ~(2 * PAGE - 1), SUP_PROT_RW) == -EPERM);
	CHECK(39, protect(EXO_PLATFORM_GPA, PAGE, SUP_PROT_RX) == -EPERM);
	CHECK(40, protect(EXO_LAPIC_GPA, PAGE, SUP_PROT_RW) == -EPERM);
	CHECK(41, protect(EXO_LOW_RAM_END - PAGE, 2 * PAGE, SUP_PROT_RW) == -EPERM);
	CHECK(42, protect(UINT64_C(1) << 39, PAGE, SUP_PROT_RW) == -EPERM);
	CHECK(43, protect(UINT64_C(1) << 63, PAGE, SUP_PROT_RW) == -EPERM);
	CHECK(44, protect(shared, PAGE, SUP_PROT_R) == -EPERM);
	CHECK(45, protect(image, end - image, SUP_PROT_R) == -EPERM);
	/* Every page of the image that ring 3 cannot read is the guard or refused. */
	for (va = image; va < end; va += PAGE)
		if (protect(va, PAGE, 8) != -EINVAL)
			exit(46);
		else if (sup_try(sup_read, va) && va != sup_block()->facts->guard_lo) {
			supervisor++;
			CHECK(47, protect(va, PAGE, SUP_PROT_RW) == -EPERM);
			CHECK(48, protect(va, PAGE, SUP_PROT_R) == -EPERM);
		}
	CHECK(49, supervisor > SUP_PT_POOL);
	CHECK(50, protect(a, 0, SUP_PROT_RW) == 0);
	CHECK(51, protect(a, ~(REGION - 1), SUP_PROT_RW) == -EPERM);
	CHECK(52,
	      protect((end + REGION) & ~(REGION - 1), ~(2 * REGION - 1), SUP_PROT_RW) == -EPERM);
}

/* The pool is finite, is not half used up by a failure, and is got back. */
static void exhausted(void)
{
	uintptr_t base = UINT64_C(1) << 35, n;
	int64_t r = 0;

	for (n = 0; n < 2 * SUP_PT_POOL && r == 0; n++)
		r = protect(base + n * REGION + PAGE, PAGE, SUP_PROT_R);
	CHECK(60, r == -ENOMEM && n > SUP_PT_POOL / 2);
	CHECK(61, protect(base, n * REGION, SUP_PROT_NONE) == 0);
	CHECK(62, protect(base + PAGE, PAGE, SUP_PROT_R) == 0);
	CHECK(63, protect(base, REGION, SUP_PROT_NONE) == 0);
}

int main(void)
{
	uintptr_t a = (uintptr_t)aligned_alloc(REGION, 3 * REGION);

	CHECK(9, a != 0);
	rights(a);
	refused(a);
	exhausted();
	puts("ok");
	return 0;
}
