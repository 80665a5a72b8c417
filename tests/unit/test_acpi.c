/*
 * The ACPI tables, read as an operating system would: by pointer, signature,
 * length and checksum; the AML through a small walker that knows the few
 * opcodes used, and through iasl where it is installed.
 */
#include "acpi.h"
#include "fakeimg.h"
#include "unit.h"

#include <check.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RAM_BYTES 0x200000

static struct fake_ram r;

static const struct exo_boot_device devices[] = {
	{.gpa = 0xd0001000, .gsi = 8, .device_id = VIRTIO_ID_CONSOLE},
	{.gpa = 0xd0002000, .gsi = 9, .device_id = 0},
	{.gpa = 0xd0003000, .gsi = 10, .device_id = VIRTIO_ID_BLOCK},
};

static uint32_t get32(gpa_t gpa)
{
	uint32_t v;

	ck_assert_int_eq(gmem_read(&r.mem, gpa, &v, sizeof(v)), 0);
	return v;
}

static uint64_t get64(gpa_t gpa)
{
	return get32(gpa) | (uint64_t)get32(gpa + 4) << 32;
}

static uint8_t sum(gpa_t gpa, uint32_t len)
{
	uint8_t s = 0;

	while (len--)
		s += r.host[gpa++];
	return s;
}

static void setup(void)
{
	fake_ram_init(&r, RAM_BYTES, 0);
}

static void teardown(void)
{
	fake_ram_finish(&r);
}

/* Checks signature, bounds and checksum; returns the table's length. */
static uint32_t check_table(gpa_t gpa, const char *sig)
{
	uint32_t len = get32(gpa + 4);

	ck_assert_uint_ge(gpa, EXO_ACPI_GPA);
	ck_assert_uint_le(gpa + len, EXO_ACPI_GPA + EXO_ACPI_SIZE);
	ck_assert_int_eq(memcmp(r.host + gpa, sig, 4), 0);
	ck_assert_uint_ge(len, 36);
	ck_assert_uint_eq(sum(gpa, len), 0);
	return len;
}

/* From the RSDP to the table `sig` of the XSDT; 0: not there. */
static gpa_t find(gpa_t rsdp, const char *sig)
{
	ck_assert_int_eq(memcmp(r.host + rsdp, "RSD PTR ", 8), 0);
	ck_assert_uint_eq(rsdp % 16, 0);
	ck_assert_uint_eq(r.host[rsdp + 15], 2);
	ck_assert_uint_eq(sum(rsdp, 20), 0);
	ck_assert_uint_eq(get32(rsdp + 20), 36);
	ck_assert_uint_eq(sum(rsdp, 36), 0);

	gpa_t xsdt = get64(rsdp + 24);
	uint32_t len = check_table(xsdt, "XSDT");

	ck_assert_uint_eq((len - 36) % 8, 0);
	for (uint32_t at = 36; at < len; at += 8) {
		gpa_t table = get64(xsdt + at);

		if (memcmp(r.host + table, sig, 4) == 0)
			return table;
	}
	return 0;
}

static gpa_t write_tables(unsigned cpus, unsigned ndevices)
{
	gpa_t rsdp = 0;

	ck_assert_int_eq(acpi_write(&r.mem, cpus, devices, ndevices, &rsdp), 0);
	return rsdp;
}

START_TEST(fadt)
{
	gpa_t rsdp = write_tables(1, 3);
	gpa_t t = find(rsdp, "FACP");

	ck_assert_uint_eq(check_table(t, "FACP"), 276);
	ck_assert_uint_eq(get32(t + 112), 1u << 20 | 1u << 10 | 1u << 5 | 1u << 4 | 1u);
	ck_assert_uint_eq(r.host[t + 109], 0x24);      /* neither VGA nor CMOS clock, no 8042 */
	ck_assert_uint_eq(get32(t + 116), 0x01000800); /* memory, 8 bits, byte access */
	ck_assert_uint_eq(get64(t + 120), EXO_PLATFORM_GPA + EXO_PLAT_RESET);
	ck_assert_uint_eq(r.host[t + 128], 1);
	ck_assert_uint_eq(get64(t + 248), EXO_PLATFORM_GPA + EXO_PLAT_SLEEP);
	ck_assert_uint_eq(get64(t + 260), EXO_PLATFORM_GPA + EXO_PLAT_SLEEP_STATUS);
	ck_assert_uint_eq(get64(t + 140), get32(t + 40));
	check_table(get64(t + 140), "DSDT");
}
END_TEST

START_TEST(madt)
{
	const unsigned cpus[] = {1, 3, 16};
	unsigned n = cpus[_i], lapics = 0, ioapics = 0;
	gpa_t t = find(write_tables(n, 3), "APIC");
	uint32_t len = check_table(t, "APIC");

	ck_assert_uint_eq(get32(t + 36), EXO_LAPIC_GPA);
	for (uint32_t at = 44; at < len; at += r.host[t + at + 1]) {
		if (r.host[t + at] == 0) {
			ck_assert_uint_eq(r.host[t + at + 3], lapics);
			ck_assert_uint_eq(get32(t + at + 4), 1);
			lapics++;
		} else {
			ck_assert_uint_eq(r.host[t + at], 1);
			ck_assert_uint_eq(get32(t + at + 4), EXO_IOAPIC_GPA);
			ck_assert_uint_eq(get32(t + at + 8), 0);
			ioapics++;
		}
		ck_assert_uint_ge(r.host[t + at + 1], 8);
	}
	ck_assert_uint_eq(lapics, n);
	ck_assert_uint_eq(ioapics, 1);
}
END_TEST

/* The AML of one device, field by field. Returns its length. */
static size_t check_device(const uint8_t *p, unsigned uid)
{
	const struct exo_boot_device *d = &devices[uid];
	size_t len = (size_t)(p[2] & 15) | (size_t)p[3] << 4;
	uint32_t base, gsi;

	ck_assert_uint_eq(p[0] << 8 | p[1], 0x5b82);
	ck_assert_uint_eq(p[2] >> 6, 1);
	ck_assert_int_eq(memcmp(p + 4, "VM0", 3), 0);
	ck_assert_int_eq(memcmp(p + 8, "\x08_HID\x0dLNRO0005", 15), 0);
	ck_assert_int_eq(memcmp(p + 23, "\x08_UID\x0a", 6), 0);
	ck_assert_uint_eq(p[29], uid);
	ck_assert_int_eq(memcmp(p + 30, "\x08_CRS\x11", 6), 0);
	ck_assert_uint_eq(p[40], 0x86);
	memcpy(&base, p + 44, 4);
	ck_assert_uint_eq(base, d->gpa);
	ck_assert_uint_eq(p[52], 0x89);
	ck_assert_uint_eq(p[55], 3);
	memcpy(&gsi, p + 57, 4);
	ck_assert_uint_eq(gsi, d->gsi);
	ck_assert_uint_eq(p[61], 0x79);
	ck_assert_uint_eq(len, 63 - 2);
	return len + 2;
}

START_TEST(dsdt)
{
	gpa_t fadt_gpa = find(write_tables(1, 3), "FACP");
	gpa_t t = get64(fadt_gpa + 140);
	uint32_t len = check_table(t, "DSDT");
	const uint8_t *p = r.host + t + 36, *end = r.host + t + len;
	size_t scope = (size_t)(p[1] & 15) | (size_t)p[2] << 4;

	ck_assert_uint_eq(p[0], 0x10);
	ck_assert_int_eq(memcmp(p + 3, "\\_SB_", 5), 0);
	const uint8_t *scope_end = p + 1 + scope, *q = p + 8;

	q += check_device(q, 0);
	q += check_device(q, 2); /* the empty slot between them is left out */
	ck_assert_ptr_eq(q, scope_end);
	ck_assert_int_eq(memcmp(q, "\x08_S5_\x12", 6), 0);
	ck_assert_ptr_eq(q + 6 + (size_t)((q[6] & 15) | q[7] << 4), end);
	ck_assert_int_eq(memcmp(q + 8, "\x04\x0a\x05", 3), 0);
}
END_TEST

START_TEST(biggest_fits_a_page)
{
	struct exo_boot_device all[EXO_MMIO_SLOTS];
	gpa_t rsdp;

	for (unsigned i = 0; i < EXO_MMIO_SLOTS; i++)
		all[i] = (struct exo_boot_device){
			.gpa = (uint32_t)(EXO_MMIO_BASE + i * EXO_MMIO_STRIDE),
			.gsi = EXO_GSI_BASE + i,
			.device_id = VIRTIO_ID_BLOCK,
		};
	ck_assert_int_eq(acpi_write(&r.mem, 16, all, EXO_MMIO_SLOTS, &rsdp), 0);
	check_table(find(rsdp, "APIC"), "APIC");
	check_table(get64(find(rsdp, "FACP") + 140), "DSDT");
	for (gpa_t at = EXO_ACPI_GPA + 4096; at < RAM_BYTES; at++)
		if (r.host[at])
			ck_abort_msg("written at %#lx", (unsigned long)at);
	/* More than fits is refused, with nothing written. */
	memset(r.host + EXO_ACPI_GPA, 0, 4096);
	ck_assert_int_eq(acpi_write(&r.mem, 600, all, EXO_MMIO_SLOTS, &rsdp), -ENOSPC);
	ck_assert_uint_eq(get64(EXO_ACPI_GPA), 0);
}
END_TEST

START_TEST(no_ram_no_tables)
{
	struct gmem none = {0};
	gpa_t rsdp;

	ck_assert_int_eq(acpi_write(&none, 1, devices, 3, &rsdp), -EFAULT);
}
END_TEST

/* What iasl makes of the DSDT. */
START_TEST(iasl_disassembles)
{
	char dir[] = "/tmp/exo-acpi-XXXXXX", path[64], cmd[256], text[16384];
	gpa_t t = get64(find(write_tables(1, 3), "FACP") + 140);
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/dsdt.aml", dir);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(r.host + t, get32(t + 4), 1, f), 1);
	fclose(f);
	snprintf(cmd, sizeof(cmd),
		 "iasl -d %s >%s/log 2>&1 && cat %s/dsdt.dsl && ! grep -iE 'error|warn' %s/log",
		 path, dir, dir, dir);
	f = popen(cmd, "r");
	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	int status = pclose(f);

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
	ck_assert_msg(status == 0, "iasl complains: %s", text);
	ck_assert_ptr_nonnull(strstr(text, "Device (VM00)"));
	ck_assert_ptr_null(strstr(text, "Device (VM01)"));
	ck_assert_ptr_nonnull(strstr(text, "Device (VM02)"));
	ck_assert_ptr_nonnull(strstr(text, "Name (_HID, \"LNRO0005\")"));
	ck_assert_ptr_nonnull(strstr(text, "Memory32Fixed (ReadWrite,"));
	ck_assert_ptr_nonnull(strstr(text, "0xD0003000,"));
	ck_assert_ptr_nonnull(
		strstr(text, "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive"));
	ck_assert_ptr_nonnull(strstr(text, "0x0000000A,"));
	ck_assert_ptr_nonnull(strstr(text, "Name (_S5, Package (0x04)"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("acpi");
	TCase *tc = tcase_create("tables");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, fadt);
	tcase_add_loop_test(tc, madt, 0, 3);
	tcase_add_test(tc, dsdt);
	tcase_add_test(tc, biggest_fits_a_page);
	tcase_add_test(tc, no_ram_no_tables);
	if (system("command -v iasl >/dev/null") == 0)
		tcase_add_test(tc, iasl_disassembles);
	else
		puts("# iasl is not installed: the AML is checked by the walker alone");
	fflush(stdout);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
