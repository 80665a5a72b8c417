/*
 * The platform page, the bus, and register batches: ends with their statuses,
 * fault reports whatever is in them, lists that lie anywhere and say anything.
 */
#include "drv.h"
#include "platform.h"
#include "unit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct drv drv;
static struct platform platform;
static struct bus bus;
static unsigned ends, status, accesses;
static enum exo_end reason;
static char detail[512];
static gpa_t last_gpa;
static bool last_write;
static uint32_t last_value;

static void on_end(void *opaque, enum exo_end why, unsigned code, const char *line)
{
	ends++;
	reason = why;
	status = code;
	snprintf(detail, sizeof(detail), "%s", line);
}

static void on_access(void *opaque, gpa_t gpa, bool write, uint32_t *value)
{
	accesses++;
	last_gpa = gpa;
	last_write = write;
	last_value = *value;
	if (!write)
		*value = 0x1000 + accesses;
}

static const struct platform_ops ops = {.end = on_end, .access = on_access};

static void setup(void)
{
	drv_init(&drv);
	platform = (struct platform){&ops, NULL, &drv.mem, -1};
	bus = (struct bus){0};
	bus_add(&bus, EXO_PLATFORM_GPA, 0x1000, &platform_handler, &platform);
	ends = accesses = 0;
}

static void teardown(void)
{
	drv_finish(&drv);
}

static void put(uint64_t reg, uint64_t value, size_t len)
{
	ck_assert(bus_access(&bus, EXO_PLATFORM_GPA + reg, true, &value, len));
}

static uint64_t get(uint64_t reg, size_t len)
{
	uint64_t value = 0;

	ck_assert(bus_access(&bus, EXO_PLATFORM_GPA + reg, false, &value, len));
	return value;
}

START_TEST(identity)
{
	ck_assert_uint_eq(get(EXO_PLAT_MAGIC, 4), EXO_PLAT_MAGIC_VALUE);
	ck_assert_uint_eq(get(EXO_PLAT_VERSION, 4), EXO_PLAT_VERSION_VALUE);
	ck_assert_uint_eq(get(EXO_PLAT_EXIT, 4), 0);
	ck_assert_uint_eq(get(EXO_PLAT_SLEEP_STATUS, 1), 0);
	ck_assert_uint_eq(get(0xffc, 4), 0);
}
END_TEST

START_TEST(each_end)
{
	static const struct {
		uint64_t reg, value;
		size_t len;
		enum exo_end reason;
		unsigned status;
	} t[] = {
		{EXO_PLAT_EXIT, 42, 4, EXO_END_EXIT, 42},
		{EXO_PLAT_EXIT, 0xffffff07, 4, EXO_END_EXIT, 7},
		{EXO_PLAT_SIGNAL, 6, 4, EXO_END_SIGNAL, 6},
		{EXO_PLAT_SIGNAL, 0x186, 4, EXO_END_SIGNAL, 6},
		{EXO_PLAT_SLEEP, 0x34, 1, EXO_END_POWEROFF, 0},
		{EXO_PLAT_RESET, 1, 1, EXO_END_RESET, 0},
	};

	put(t[_i].reg, t[_i].value, t[_i].len);
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(reason, t[_i].reason);
	ck_assert_uint_eq(status, t[_i].status);
}
END_TEST

/* Only the exact register with its exact width ends a guest. */
START_TEST(other_writes_do_nothing)
{
	for (uint64_t reg = 0; reg < 0x1000; reg++) {
		for (size_t len = 1; len <= 8; len++) {
			uint64_t all = ~0ull;

			if ((reg == EXO_PLAT_EXIT || reg == EXO_PLAT_SIGNAL) && len == 4)
				continue;
			if (reg == EXO_PLAT_SLEEP && len == 1)
				continue;
			if (reg == EXO_PLAT_FAULT && len == 8)
				continue;
			bus_access(&bus, EXO_PLATFORM_GPA + reg, true, &all, len);
		}
	}
	put(EXO_PLAT_SLEEP, 0x14, 1); /* without SLP_EN */
	put(EXO_PLAT_RESET, 2, 1);
	ck_assert_uint_eq(ends, 0);
	ck_assert_uint_eq(accesses, 0);
}
END_TEST

START_TEST(bus_holes)
{
	uint64_t value = 1;

	ck_assert(!bus_access(&bus, EXO_PLATFORM_GPA - 1, false, &value, 4));
	ck_assert(!bus_access(&bus, EXO_PLATFORM_GPA + 0x1000, true, &value, 4));
	ck_assert(!bus_access(&bus, UINT64_MAX, false, &value, 8));
	ck_assert(bus_access(&bus, EXO_PLATFORM_GPA + 0xffd, false, &value, 4));
	ck_assert_uint_eq(value, 0);
}
END_TEST

/* ---- fault reports ------------------------------------------------------------ */

static struct exo_fault *fault(gpa_t *gpa)
{
	*gpa = drv_alloc(&drv, sizeof(struct exo_fault), 8);
	return drv_ptr(&drv, *gpa, sizeof(struct exo_fault));
}

START_TEST(fault_reports)
{
	static const struct {
		struct exo_fault f;
		const char *words;
	} t[] = {
		{{.kind = EXO_FAULT_EXCEPTION,
		  .vector = 14,
		  .error = 4,
		  .rip = 0x200010,
		  .signal = 11},
		 "read of 0x0 in 0x200010: NULL pointer"},
		{{.kind = EXO_FAULT_EXCEPTION,
		  .vector = 14,
		  .error = 7,
		  .address = 0x201000,
		  .rip = 1},
		 "write to 0x201000 in 0x1: protected memory"},
		{{.kind = EXO_FAULT_EXCEPTION, .vector = 14, .error = 0x15, .address = 0x300000},
		 "jump to 0x300000 in 0x0: memory that is not code"},
		{{.kind = EXO_FAULT_EXCEPTION,
		  .vector = 14,
		  .error = 6,
		  .address = 0x7ff8,
		  .stack_guard_lo = 0x7000,
		  .stack_guard_hi = 0x8000},
		 "stack overflow in"},
		{{.kind = EXO_FAULT_EXCEPTION, .vector = 6}, "invalid instruction"},
		{{.kind = EXO_FAULT_EXCEPTION, .vector = 0xffffffff}, "exception in"},
		{{.kind = EXO_FAULT_PANIC, .text = "out of page tables"}, "out of page tables"},
		{{.kind = 77}, "unknown kind 77"},
	};
	gpa_t gpa;

	*fault(&gpa) = t[_i].f;
	put(EXO_PLAT_FAULT, gpa, 8);
	ck_assert_uint_eq(ends, 1);
	ck_assert_int_eq(reason, EXO_END_FAULT);
	ck_assert_uint_eq(status, t[_i].f.signal);
	ck_assert_msg(strstr(detail, t[_i].words), "\"%s\" has no \"%s\"", detail, t[_i].words);
}
END_TEST

START_TEST(h05_fault_text_without_end)
{
	gpa_t gpa;
	struct exo_fault *f = fault(&gpa);

	memset(f, 0xff, sizeof(*f));
	f->kind = EXO_FAULT_PANIC;
	put(EXO_PLAT_FAULT, gpa, 8);
	ck_assert_uint_eq(strlen(detail), sizeof(f->text) - 1);
	ck_assert_uint_eq(status, 127);
}
END_TEST

START_TEST(h03_fault_outside_ram)
{
	static const gpa_t bad[] = {DRV_LOW_BYTES - 8, DRV_LOW_BYTES, ~0ull, ~0ull - 200,
				    EXO_PLATFORM_GPA};

	put(EXO_PLAT_FAULT, bad[_i], 8);
	ck_assert_int_eq(reason, EXO_END_FAULT);
	ck_assert_ptr_nonnull(strstr(detail, "not in memory"));
}
END_TEST

/* ---- batches --------------------------------------------------------------------- */

static struct exo_batch *batch(gpa_t *gpa, uint32_t count)
{
	size_t bytes = sizeof(struct exo_batch) + EXO_BATCH_MAX * sizeof(struct exo_batch_op);
	struct exo_batch *b;

	*gpa = drv_alloc(&drv, bytes, 8);
	b = drv_ptr(&drv, *gpa, bytes);
	b->count = count;
	for (unsigned i = 0; i < EXO_BATCH_MAX; i++)
		b->op[i] = (struct exo_batch_op){EXO_MMIO_BASE + 4 * i, i & 1, i, 0};
	return b;
}

START_TEST(batch_in_order)
{
	static const uint32_t counts[] = {0, 1, 63, 64, 65, EXO_BATCH_MAX};
	uint32_t count = counts[_i];
	gpa_t gpa;
	struct exo_batch *b = batch(&gpa, count);

	put(EXO_PLAT_BATCH, gpa, 8);
	ck_assert_uint_eq(accesses, count);
	ck_assert_uint_eq(b->done, count);
	ck_assert_uint_eq(b->count, count);
	for (uint32_t i = 0; i < count; i++)
		ck_assert_uint_eq(b->op[i].value, i & 1 ? i : 0x1001 + i);
	for (uint32_t i = count; i < EXO_BATCH_MAX; i++)
		ck_assert_uint_eq(b->op[i].value, i);
	if (count) {
		ck_assert_uint_eq(last_gpa, EXO_MMIO_BASE + 4 * (count - 1));
		ck_assert(last_write == !((count - 1) % 2 == 0));
	}
}
END_TEST

START_TEST(h10_batch_too_long)
{
	static const uint32_t counts[] = {EXO_BATCH_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff};
	gpa_t gpa;
	struct exo_batch *b = batch(&gpa, counts[_i]);

	put(EXO_PLAT_BATCH, gpa, 8);
	ck_assert_uint_eq(accesses, 0);
	ck_assert_uint_eq(b->done, 0);
}
END_TEST

START_TEST(h03_batch_outside_ram)
{
	static const gpa_t bad[] = {DRV_LOW_BYTES, DRV_LOW_BYTES - 4,
				    ~0ull,         ~0ull - 7,
				    EXO_MMIO_BASE, EXO_PLATFORM_GPA + EXO_PLAT_BATCH};
	uint32_t *tail = drv_ptr(&drv, DRV_LOW_BYTES - 8, 8);

	put(EXO_PLAT_BATCH, bad[_i], 8);
	tail[0] = 1; /* its operation would lie behind the end of RAM */
	put(EXO_PLAT_BATCH, DRV_LOW_BYTES - 8, 8);
	ck_assert_uint_eq(accesses, 0);
	ck_assert_uint_eq(tail[1], 0);
}
END_TEST

/* Reads of what is no device give 0, whatever was in the list; unknown flags do nothing. */
START_TEST(batch_flags)
{
	gpa_t gpa;
	struct exo_batch *b = batch(&gpa, 3);

	b->op[0] = (struct exo_batch_op){EXO_MMIO_BASE, 2, 5, 0};
	b->op[1] = (struct exo_batch_op){EXO_MMIO_BASE, 0xffffffff, 5, 0};
	b->op[2] = (struct exo_batch_op){EXO_MMIO_BASE, EXO_BATCH_WRITE, 5, 0};
	put(EXO_PLAT_BATCH, gpa, 8);
	ck_assert_uint_eq(accesses, 1);
	ck_assert_uint_eq(last_value, 5);
	ck_assert_uint_eq(b->op[0].value, 0);
	ck_assert_uint_eq(b->done, 3);
}
END_TEST

static void change_count(void *opaque, gpa_t gpa, size_t len)
{
	struct exo_batch *b = opaque;

	b->count = 0xffffffff;
	b->op[0].gpa = 0xdead;
}

START_TEST(h11_batch_changes_while_read)
{
	gpa_t gpa;
	struct exo_batch *b = batch(&gpa, 2);

	drv.mem.fetch_hook = change_count;
	drv.mem.hook_opaque = b;
	put(EXO_PLAT_BATCH, gpa, 8);
	ck_assert_uint_eq(accesses, 2);
	ck_assert_uint_eq(b->done, 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("platform");
	TCase *tc = tcase_create("platform");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, identity);
	tcase_add_loop_test(tc, each_end, 0, 6);
	tcase_add_test(tc, other_writes_do_nothing);
	tcase_add_test(tc, bus_holes);
	tcase_add_loop_test(tc, fault_reports, 0, 8);
	tcase_add_test(tc, h05_fault_text_without_end);
	tcase_add_loop_test(tc, h03_fault_outside_ram, 0, 5);
	tcase_add_loop_test(tc, batch_in_order, 0, 6);
	tcase_add_loop_test(tc, h10_batch_too_long, 0, 4);
	tcase_add_loop_test(tc, h03_batch_outside_ram, 0, 6);
	tcase_add_test(tc, batch_flags);
	tcase_add_test(tc, h11_batch_changes_while_read);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
