/*
 * ACPI tables (ACPI 6.3: 5.2 for the tables, 20 for AML, 6.4 for resource
 * descriptors). See acpi.h. Built in a local buffer that bounds everything,
 * then copied into guest RAM at once.
 */
#include "acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define TABLES_MAX 4096 /* one page holds all for 16 CPUs and 16 devices */
#define HEADER_BYTES 36

/* FADT, table 5.33 */
#define FADT_BYTES 276
#define FADT_BOOT_VGA_NOT_PRESENT (1u << 2)
#define FADT_BOOT_CMOS_RTC_NOT_PRESENT (1u << 5)
#define FADT_WBINVD (1u << 0)
#define FADT_PWR_BUTTON (1u << 4) /* there is no fixed power button */
#define FADT_SLP_BUTTON (1u << 5) /* nor a sleep button */
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HW_REDUCED (1u << 20)

#define MADT_LOCAL_APIC 0
#define MADT_IO_APIC 1
#define MADT_ENABLED 1u

#define SLP_TYP_S5 5u

/* AML opcodes */
#define AML_NAME 0x08
#define AML_BYTE 0x0a
#define AML_STRING 0x0d
#define AML_SCOPE 0x10
#define AML_BUFFER 0x11
#define AML_PACKAGE 0x12
#define AML_EXT 0x5b
#define AML_EXT_DEVICE 0x82

struct builder {
	uint8_t buf[TABLES_MAX];
	size_t len;
	bool full; /* something did not fit; the result is not to be used */
};

static void put(struct builder *b, const void *src, size_t len)
{
	if (len > sizeof(b->buf) - b->len) {
		b->full = true;
		return;
	}
	memcpy(b->buf + b->len, src, len);
	b->len += len;
}

static void put8(struct builder *b, unsigned v)
{
	put(b, &(uint8_t){(uint8_t)v}, 1);
}

static void put16(struct builder *b, unsigned v)
{
	put(b, &(uint16_t){(uint16_t)v}, 2);
}

static void put32(struct builder *b, uint32_t v)
{
	put(b, &v, 4);
}

static void put64(struct builder *b, uint64_t v)
{
	put(b, &v, 8);
}

static void pad_to(struct builder *b, size_t len)
{
	while (b->len < len && !b->full)
		put8(b, 0);
}

static void align(struct builder *b, size_t to)
{
	pad_to(b, (b->len + to - 1) & ~(to - 1));
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)-sum;
}

static gpa_t gpa_of(size_t off)
{
	return EXO_ACPI_GPA + off;
}

/* ---- tables -------------------------------------------------------------- */

static size_t table_begin(struct builder *b, const char sig[4], unsigned revision)
{
	align(b, 8);
	size_t at = b->len;

	put(b, sig, 4);
	put32(b, 0); /* length, set by table_end */
	put8(b, revision);
	put8(b, 0); /* checksum, set by table_end */
	put(b, "EXOSH ", 6);
	put(b, "EXOSHELL", 8);
	put32(b, 1);
	put(b, "EXO ", 4);
	put32(b, 1);
	return at;
}

static void table_end(struct builder *b, size_t at)
{
	if (b->full)
		return;
	uint32_t len = (uint32_t)(b->len - at);

	memcpy(b->buf + at + 4, &len, sizeof(len));
	b->buf[at + 9] = checksum(b->buf + at, len);
}

/* Generic address of an 8-bit register in memory; gpa 0: no such register. */
static void put_gas(struct builder *b, gpa_t gpa)
{
	put8(b, 0); /* system memory */
	put8(b, gpa ? 8 : 0);
	put8(b, 0);
	put8(b, gpa ? 1 : 0); /* byte access */
	put64(b, gpa);
}

static void put_fadt(struct builder *b, gpa_t dsdt)
{
	size_t at = table_begin(b, "FACP", 6);

	pad_to(b, at + 40);
	put32(b, (uint32_t)dsdt);
	pad_to(b, at + 109);
	put16(b, FADT_BOOT_VGA_NOT_PRESENT | FADT_BOOT_CMOS_RTC_NOT_PRESENT);
	put8(b, 0);
	put32(b, FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP |
			 FADT_HW_REDUCED);
	put_gas(b, EXO_PLATFORM_GPA + EXO_PLAT_RESET);
	put8(b, 1); /* the value to write there */
	put16(b, 0);
	put8(b, 3);  /* minor version: 6.3 */
	put64(b, 0); /* no FACS */
	put64(b, dsdt);
	pad_to(b, at + 244);
	put_gas(b, EXO_PLATFORM_GPA + EXO_PLAT_SLEEP);
	put_gas(b, EXO_PLATFORM_GPA + EXO_PLAT_SLEEP_STATUS);
	pad_to(b, at + FADT_BYTES);
	table_end(b, at);
}

static void put_madt(struct builder *b, unsigned cpus)
{
	size_t at = table_begin(b, "APIC", 5);

	put32(b, (uint32_t)EXO_LAPIC_GPA);
	put32(b, 0); /* no PC-AT interrupt controllers */
	for (unsigned i = 0; i < cpus; i++) {
		put8(b, MADT_LOCAL_APIC);
		put8(b, 8);
		put8(b, i); /* ACPI processor id */
		put8(b, i); /* APIC id */
		put32(b, MADT_ENABLED);
	}
	put8(b, MADT_IO_APIC);
	put8(b, 12);
	put8(b, cpus); /* APIC id */
	put8(b, 0);
	put32(b, (uint32_t)EXO_IOAPIC_GPA);
	put32(b, 0); /* its first GSI */
	table_end(b, at);
}

/* ---- AML ----------------------------------------------------------------- */

/*
 * A package length counts itself and what follows. Two bytes (4 bits, then 8
 * more) are enough for TABLES_MAX, so the form is always the same.
 */
static size_t package_begin(struct builder *b)
{
	put16(b, 0);
	return b->len - 2;
}

static void package_end(struct builder *b, size_t at)
{
	if (b->full)
		return;
	size_t len = b->len - at;

	b->buf[at] = (uint8_t)(1u << 6 | (len & 0xf));
	b->buf[at + 1] = (uint8_t)(len >> 4);
}

static void put_name(struct builder *b, const char name[4])
{
	put8(b, AML_NAME);
	put(b, name, 4);
}

/* Resource descriptors: Memory32Fixed, Extended Interrupt, End Tag. */
static void put_resources(struct builder *b, const struct exo_boot_device *dev)
{
	put8(b, 0x86);
	put16(b, 9);
	put8(b, 1); /* writable */
	put32(b, dev->gpa);
	put32(b, EXO_MMIO_STRIDE);

	put8(b, 0x89);
	put16(b, 6);
	put8(b, 3); /* consumer, edge, active high, exclusive */
	put8(b, 1);
	put32(b, dev->gsi);

	put8(b, 0x79);
	put8(b, 0);
}

#define RESOURCE_BYTES (12 + 9 + 2)

static void put_device(struct builder *b, unsigned uid, const struct exo_boot_device *dev)
{
	const char hex[] = "0123456789ABCDEF";
	char name[4] = {'V', 'M', hex[uid >> 4 & 15], hex[uid & 15]};

	put8(b, AML_EXT);
	put8(b, AML_EXT_DEVICE);
	size_t device = package_begin(b);

	put(b, name, 4);
	put_name(b, "_HID");
	put8(b, AML_STRING);
	put(b, "LNRO0005", 9);
	put_name(b, "_UID");
	put8(b, AML_BYTE);
	put8(b, uid);
	put_name(b, "_CRS");
	put8(b, AML_BUFFER);
	size_t buffer = package_begin(b);

	put8(b, AML_BYTE);
	put8(b, RESOURCE_BYTES);
	put_resources(b, dev);
	package_end(b, buffer);
	package_end(b, device);
}

static void put_dsdt(struct builder *b, const struct exo_boot_device *device, unsigned ndevices)
{
	size_t at = table_begin(b, "DSDT", 2);

	put8(b, AML_SCOPE);
	size_t scope = package_begin(b);

	put(b, "\\_SB_", 5);
	for (unsigned i = 0; i < ndevices; i++)
		if (device[i].device_id)
			put_device(b, i, &device[i]);
	package_end(b, scope);

	put_name(b, "_S5_");
	put8(b, AML_PACKAGE);
	size_t package = package_begin(b);

	put8(b, 4);
	put8(b, AML_BYTE);
	put8(b, SLP_TYP_S5);
	for (int i = 0; i < 3; i++)
		put8(b, 0); /* ZeroOp */
	package_end(b, package);
	table_end(b, at);
}

/* ---- all of it ------------------------------------------------------------- */

static void put_rsdp(struct builder *b, gpa_t xsdt)
{
	put(b, "RSD PTR ", 8);
	put8(b, 0); /* checksum of the first 20 bytes */
	put(b, "EXOSH ", 6);
	put8(b, 2);  /* revision */
	put32(b, 0); /* no RSDT */
	put32(b, HEADER_BYTES);
	put64(b, xsdt);
	put32(b, 0); /* extended checksum, then three reserved bytes */
	b->buf[8] = checksum(b->buf, 20);
	b->buf[32] = checksum(b->buf, HEADER_BYTES);
}

int acpi_write(const struct gmem *mem, unsigned cpus, const struct exo_boot_device *device,
	       unsigned ndevices, gpa_t *rsdp)
{
	struct builder b = {.len = 0};
	size_t xsdt = (HEADER_BYTES + 7) & ~7;

	put_rsdp(&b, gpa_of(xsdt));
	pad_to(&b, xsdt + HEADER_BYTES + 2 * 8); /* the XSDT is written last */

	align(&b, 8);
	size_t dsdt = b.len;

	put_dsdt(&b, device, ndevices);
	align(&b, 8);
	size_t fadt = b.len;

	put_fadt(&b, gpa_of(dsdt));
	align(&b, 8);
	size_t madt = b.len;

	put_madt(&b, cpus);
	if (b.full)
		return -ENOSPC;

	size_t end = b.len;

	b.len = xsdt;
	table_begin(&b, "XSDT", 1);
	put64(&b, gpa_of(fadt));
	put64(&b, gpa_of(madt));
	table_end(&b, xsdt);

	*rsdp = EXO_ACPI_GPA;
	return gmem_write(mem, EXO_ACPI_GPA, b.buf, end);
}
