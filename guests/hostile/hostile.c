/*
 * A hostile guest: carries out a script of register and ring operations on a
 * virtio-mmio device, legal or not, and checks what the device makes of it.
 * tests/guest/hostile/H-nn*.script holds one script a row of the list of what
 * hostile guests do; docs/testing.md describes the language.
 *
 * usage: hostile SCRIPT-TEXT      exits 0 when every expectation held
 *
 * Memory is identity mapped, so the address of an arena is its guest-physical
 * address. Device registers are mapped for the program (docs/sdk.md).
 */
#include <exo/machine.h>

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUEUES 8
#define RING_SPAN 4096 /* each ring part of each queue has a page */
#define BUF_BYTES 65536
#define WORDS_MAX 8
#define USED_TIMEOUT_MS 3000

/* The parts a script can name: desc, avail, used (of the selected queue), ind, buf. */
static struct {
	uint8_t desc[QUEUES][RING_SPAN];
	uint8_t avail[QUEUES][RING_SPAN];
	uint8_t used[QUEUES][RING_SPAN];
	uint8_t ind[RING_SPAN];
	uint8_t buf[BUF_BYTES];
} arena __attribute__((aligned(4096)));

static uintptr_t base; /* of the selected device's registers */
static unsigned queue;
static unsigned line_number;
static char *word[WORDS_MAX];
static unsigned words;

static void fail(const char *what, uint64_t got, uint64_t want)
{
	fprintf(stderr, "hostile: line %u: %s: got 0x%llx, want 0x%llx\n", line_number, what,
		(unsigned long long)got, (unsigned long long)want);
	exit(1);
}

static void bad_script(const char *what)
{
	fprintf(stderr, "hostile: line %u: %s\n", line_number, what);
	exit(2);
}

/* ---- values ------------------------------------------------------------- */

static uint64_t symbol(const char *name, size_t len)
{
	const struct {
		const char *name;
		const void *at;
	} known[] = {{"desc", arena.desc[queue]}, {"avail", arena.avail[queue]},
		     {"used", arena.used[queue]}, {"ind", arena.ind},
		     {"buf", arena.buf},          {"dev", (void *)base}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].name) == len && !memcmp(known[i].name, name, len))
			return (uintptr_t)known[i].at;
	bad_script("unknown name");
	return 0;
}

/* NUMBER, NAME or NAME+NUMBER; a missing word is 0. */
static uint64_t value(unsigned i)
{
	if (i >= words)
		return 0;
	const char *s = word[i];
	if ((*s >= '0' && *s <= '9') || *s == '-')
		return strtoull(s, NULL, 0);
	size_t len = strcspn(s, "+");
	return symbol(s, len) + (s[len] ? strtoull(s + len + 1, NULL, 0) : 0);
}

/* ---- accesses ------------------------------------------------------------- */

static void store(uint64_t at, unsigned bits, uint64_t v)
{
	switch (bits) {
	case 8:
		*(volatile uint8_t *)at = (uint8_t)v;
		break;
	case 16:
		*(volatile uint16_t *)at = (uint16_t)v;
		break;
	case 32:
		*(volatile uint32_t *)at = (uint32_t)v;
		break;
	case 64:
		*(volatile uint64_t *)at = v;
		break;
	default:
		bad_script("width is not 8, 16, 32 or 64");
	}
}

static uint64_t load(uint64_t at, unsigned bits)
{
	switch (bits) {
	case 8:
		return *(volatile uint8_t *)at;
	case 16:
		return *(volatile uint16_t *)at;
	case 32:
		return *(volatile uint32_t *)at;
	case 64:
		return *(volatile uint64_t *)at;
	}
	bad_script("width is not 8, 16, 32 or 64");
	return 0;
}

static void reg_write(unsigned off, uint32_t v)
{
	store(base + off, 32, v);
}

static uint32_t reg_read(unsigned off)
{
	return (uint32_t)load(base + off, 32);
}

/* ---- operations ------------------------------------------------------------- */

/* dev ID [NTH]: selects the NTH device with this virtio device id. */
static void op_dev(void)
{
	uint64_t nth = value(2);

	for (unsigned slot = 0; slot < EXO_MMIO_SLOTS; slot++) {
		base = EXO_MMIO_BASE + slot * EXO_MMIO_STRIDE;
		if (reg_read(VIRTIO_MMIO_DEVICE_ID) == value(1) && nth-- == 0)
			return;
	}
	bad_script("no such device");
}

/* init [MASK]: the handshake up to FEATURES_OK with the offered features in MASK. */
static void op_init(void)
{
	uint64_t mask = words > 1 ? value(1) : ~0ull, features = 0;

	reg_write(VIRTIO_MMIO_STATUS, 0);
	reg_write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	reg_write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		reg_write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
		features |= (uint64_t)reg_read(VIRTIO_MMIO_DEVICE_FEATURES) << (32 * i);
	}
	features &= mask | 1ull << VIRTIO_F_VERSION_1;
	for (unsigned i = 0; i < 2; i++) {
		reg_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		reg_write(VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * i)));
	}
	reg_write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					      VIRTIO_CONFIG_S_FEATURES_OK);
	memset(&arena, 0, sizeof(arena));
}

/* queue N [SIZE]: selects a queue; with a size also sets it up and enables it. */
static void op_queue(void)
{
	queue = (unsigned)value(1) % QUEUES;
	reg_write(VIRTIO_MMIO_QUEUE_SEL, (uint32_t)value(1));
	if (words < 3)
		return;
	reg_write(VIRTIO_MMIO_QUEUE_NUM, (uint32_t)value(2));
	reg_write(VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)(uintptr_t)arena.desc[queue]);
	reg_write(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	reg_write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)(uintptr_t)arena.avail[queue]);
	reg_write(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	reg_write(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)(uintptr_t)arena.used[queue]);
	reg_write(VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
	reg_write(VIRTIO_MMIO_QUEUE_READY, 1);
}

/* ok: DRIVER_OK. */
static void op_ok(void)
{
	reg_write(VIRTIO_MMIO_STATUS, reg_read(VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void put_descriptor(uint8_t *table)
{
	struct vring_desc d = {.addr = value(2),
			       .len = (uint32_t)value(3),
			       .flags = (uint16_t)value(4),
			       .next = (uint16_t)value(5)};

	memcpy(table + (value(1) * sizeof(d)) % RING_SPAN, &d, sizeof(d));
}

/* desc I ADDR LEN FLAGS [NEXT]; ind I … writes to the indirect table. */
static void op_desc(void)
{
	put_descriptor(arena.desc[queue]);
}

static void op_ind(void)
{
	put_descriptor(arena.ind);
}

/* avail I HEAD: entry I of the available ring. */
static void op_avail(void)
{
	store((uintptr_t)arena.avail[queue] + 4 + 2 * (value(1) % 1024), 16, value(2));
}

/* idx V: the available index. */
static void op_idx(void)
{
	__atomic_store_n((uint16_t *)(void *)(arena.avail[queue] + 2), (uint16_t)value(1),
			 __ATOMIC_RELEASE);
}

/* kick [N]: the doorbell, of the selected queue without N. */
static void op_kick(void)
{
	reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, words > 1 ? (uint32_t)value(1) : queue);
}

static void op_sleep(void)
{
	struct timespec t = {.tv_sec = (time_t)(value(1) / 1000),
			     .tv_nsec = (long)(value(1) % 1000) * 1000000};

	nanosleep(&t, NULL);
}

/* used V: waits until the used index is V. */
static void op_used(void)
{
	const volatile uint16_t *idx = (void *)(arena.used[queue] + 2);
	struct timespec t = {.tv_nsec = 1000000};

	for (int ms = 0; *idx != (uint16_t)value(1); ms++) {
		if (ms == USED_TIMEOUT_MS)
			fail("used index", *idx, value(1));
		nanosleep(&t, NULL);
	}
}

/* status MASK WANT: device status, waited for. */
static void op_status(void)
{
	struct timespec t = {.tv_nsec = 1000000};
	uint32_t got = 0;

	for (int ms = 0; ms < USED_TIMEOUT_MS; ms++) {
		got = reg_read(VIRTIO_MMIO_STATUS);
		if ((got & value(1)) == value(2))
			return;
		nanosleep(&t, NULL);
	}
	fail("device status", got & value(1), value(2));
}

/* write BITS ADDR VALUE; read BITS ADDR [MASK WANT]: any address, registers as dev+OFF. */
static void op_write(void)
{
	store(value(2), (unsigned)value(1), value(3));
}

static void op_read(void)
{
	uint64_t got = load(value(2), (unsigned)value(1));

	if (words > 3 && (got & value(3)) != value(4))
		fail("read", got & value(3), value(4));
}

/* fill ADDR LEN BYTE; same ADDR LEN BYTE checks it. */
static void op_fill(void)
{
	memset((void *)value(1), (int)value(3), value(2));
}

static void op_same(void)
{
	const uint8_t *p = (const void *)value(1);

	for (uint64_t i = 0; i < value(2); i++)
		if (p[i] != (uint8_t)value(3))
			fail("byte", p[i], value(3));
}

/* repeat N WORD…: the rest of the line N times. */
static void run_words(void);

static void op_repeat(void)
{
	uint64_t n = value(1);

	memmove(word, word + 2, sizeof(word) - 2 * sizeof(word[0]));
	words = words > 2 ? words - 2 : 0;
	while (n--)
		run_words();
}

static void op_exit(void)
{
	exit((int)value(1));
}

/* ---- instructions a device never expects ------------------------------------ */

/* lock ADDR: a locked read-modify-write; string ADDR N: rep stosb; movs: rep movsb from it. */
static void op_lock(void)
{
	__asm__ volatile("lock incl (%0)" : : "r"(value(1)) : "memory");
}

static void op_string(void)
{
	void *at = (void *)value(1);
	uint64_t n = value(2);

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(0x5a) : "memory");
}

static void op_movs(void)
{
	const void *from = (const void *)value(1);
	void *to = arena.buf;
	uint64_t n = value(2);

	__asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
}

static void op_sse(void)
{
	__asm__ volatile("movups %%xmm0, (%0)" : : "r"(value(1)) : "memory");
}

static void op_jump(void)
{
	((void (*)(void))value(1))();
}

static void op_spin(void)
{
	for (;;)
		__asm__ volatile("");
}

static const struct {
	const char *name;
	void (*run)(void);
} operation[] = {
	{"dev", op_dev},       {"init", op_init},   {"queue", op_queue}, {"ok", op_ok},
	{"desc", op_desc},     {"ind", op_ind},     {"avail", op_avail}, {"idx", op_idx},
	{"kick", op_kick},     {"sleep", op_sleep}, {"used", op_used},   {"status", op_status},
	{"write", op_write},   {"read", op_read},   {"fill", op_fill},   {"same", op_same},
	{"repeat", op_repeat}, {"exit", op_exit},   {"lock", op_lock},   {"string", op_string},
	{"movs", op_movs},     {"sse", op_sse},     {"jump", op_jump},   {"spin", op_spin},
};

static void run_words(void)
{
	if (!words)
		return;
	for (size_t i = 0; i < sizeof(operation) / sizeof(operation[0]); i++) {
		if (strcmp(operation[i].name, word[0]))
			continue;
		operation[i].run();
		return;
	}
	bad_script("unknown operation");
}

static void run_line(char *line)
{
	line[strcspn(line, "#")] = '\0';
	words = 0;
	for (char *s = strtok(line, " \t"); s; s = strtok(NULL, " \t")) {
		if (words == WORDS_MAX)
			bad_script("too many words");
		word[words++] = s;
	}
	run_words();
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: hostile SCRIPT-TEXT\n");
		return 2;
	}
	for (char *at = argv[1]; *at;) {
		char *end = at + strcspn(at, "\n");
		char *next = *end ? end + 1 : end;

		*end = '\0';
		line_number++;
		run_line(at);
		at = next;
	}
	return 0;
}
