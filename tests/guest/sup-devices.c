/* expect: exit 0 */
/* The supervisor's device calls keep to devices, and check what they are given. */
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>

static struct {
	struct {
		uint32_t count, done;
	} batch; /* as in struct exo_batch */
	struct exo_batch_op op[3];
} list;

int main(void)
{
	static const uint32_t sentinel = 0x5eed;
	uintptr_t text = (uintptr_t)main & ~UINT64_C(7);
	uint32_t ram = sentinel;

	CHECK(10, sup_call(SUP_MMIO_MAP, EXO_MMIO_BASE, 0x1000, 0) == 0);
	CHECK(11, sup_call(SUP_MMIO_MAP, 0xfeb00000, 512, 0) == 0);
	CHECK(12, sup_call(SUP_MMIO_MAP, EXO_LAPIC_GPA, 0x1000, 0) == -EPERM);
	CHECK(13, sup_call(SUP_MMIO_MAP, SUP_WINDOW0_END - 0x1000, 0x2000, 0) == -EPERM);
	CHECK(14, sup_call(SUP_MMIO_MAP, SUP_WINDOW0_BASE, UINT64_MAX, 0) == -EPERM);
	CHECK(15, sup_call(SUP_MMIO_MAP, (uintptr_t)main & ~UINT64_C(4095), 0x1000, 0) == -EPERM);

	CHECK(20, sup_call(SUP_IRQ, SUP_GSIS, 0, 0) == -EINVAL);
	CHECK(21, sup_call(SUP_IRQ, UINT64_MAX, 0, 0) == -EINVAL);
	CHECK(22, sup_call(SUP_IRQ, UINT64_C(1) << 32, 0, 0) == -EINVAL);

	list.batch.count = 3;
	list.op[0] = (struct exo_batch_op){(uint32_t)(uintptr_t)&ram, EXO_BATCH_WRITE, 1, 0};
	list.op[1] = (struct exo_batch_op){EXO_LAPIC_GPA, EXO_BATCH_READ, sentinel, 0};
	list.op[2] = (struct exo_batch_op){EXO_MMIO_BASE + 1, EXO_BATCH_READ, sentinel, 0};
	CHECK(30, sup_call(SUP_MMIO_BATCH, (uintptr_t)&list, 0, 0) == 0);
	CHECK(31, list.batch.done == 3 && ram == sentinel);
	CHECK(32, list.op[1].value == 0 && list.op[2].value == 0);
	list.batch.count = EXO_BATCH_MAX + 1;
	CHECK(33, sup_call(SUP_MMIO_BATCH, (uintptr_t)&list, 0, 0) == -EINVAL);
	CHECK(34, sup_call(SUP_MMIO_BATCH, 0, 0, 0) == -EFAULT);
	CHECK(35, sup_call(SUP_MMIO_BATCH, text, 0, 0) == -EFAULT);
	CHECK(36, sup_call(SUP_MMIO_BATCH, UINT64_MAX - 7, 0, 0) == -EFAULT);
	CHECK(37, sup_call(SUP_MMIO_BATCH, sup_block()->facts->guard_hi - 8, 0, 0) == -EFAULT);
	CHECK(39, sup_call(SUP_MMIO_BATCH, EXO_PLATFORM_GPA, 0, 0) == -EFAULT);
	CHECK(38, sup_call(SUP_MMIO_BATCH, (uintptr_t)&list + 2, 0, 0) == -EFAULT);

	CHECK(40, sup_call(SUP_SET_FS, UINT64_C(1) << 47, 0, 0) == -EINVAL);
	CHECK(41, sup_call(SUP_EXIT_PORT, 0x70, 0, 0) == -EPERM);
	CHECK(42, sup_call(SUP_EXIT_PORT, 0x10070, 0, 0) == -EPERM);
	puts("ok");
	return 0;
}
