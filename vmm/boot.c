/*
 * The data a guest starts with. See boot.h. Sources: Xen's PVH ABI
 * (exo/pvh.h), Linux's Documentation/arch/x86/boot.rst for boot_params.
 */
#include "boot.h"
#include "acpi.h"
#include "load.h"

#include <exo/pvh.h>

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u
#define LOW_RAM_TOP 0xa0000ull /* where a PC's RAM stops before the legacy hole */
#define ONE_MIB 0x100000ull
#define MEMMAP_MAX 6

/* Boot data are handed out from here, one after the other. */
struct area {
	uint8_t *host;
	gpa_t gpa;
	uint64_t len, cap;
};

struct cmdline {
	char text[EXO_CMDLINE_MAX];
	size_t len;
	bool full; /* something did not fit */
};

/* Everything boot_write works with. */
struct boot {
	const struct boot_config *bc;
	char *why;
	struct area area;
	struct cmdline cmdline;
	gpa_t initrd;
	uint64_t initrd_bytes;
	gpa_t rsdp;
};

static bool area_open(struct area *a, const struct gmem *mem, gpa_t from, gpa_t to)
{
	*a = (struct area){.host = gmem_ptr(mem, from, to - from), .gpa = from, .cap = to - from};
	return a->host;
}

/* The next `bytes` bytes, zero because the RAM is fresh; NULL when it is full. */
static void *area_take(struct area *a, uint64_t bytes, uint64_t align, gpa_t *gpa)
{
	uint64_t at = (a->len + align - 1) & ~(align - 1);

	if (at > a->cap || bytes > a->cap - at)
		return NULL;
	a->len = at + bytes;
	*gpa = a->gpa + at;
	return a->host + at;
}

static int no_room(struct boot *b)
{
	image_say(b->why, "boot data do not fit below 640 KiB");
	return -E2BIG;
}

/* ---- command line -------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void cmdline_add(struct cmdline *c, const char *fmt,
							      ...)
{
	size_t room = sizeof(c->text) - c->len;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(c->text + c->len, room, fmt, ap);

	va_end(ap);
	if (n < 0 || (size_t)n >= room) {
		c->text[c->len] = '\0';
		c->full = true;
	} else {
		c->len += (size_t)n;
	}
}

static int read_args(struct boot *b, void *dst, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(b->bc->args_fd, (char *)dst + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int err = n < 0 ? errno : EINVAL;

			image_say(b->why, "reading the arguments: %s", strerror(err));
			return -err;
		}
		done += (size_t)n;
	}
	return 0;
}

/* argv[1…] of a foreign kernel are kernel parameters. */
static int cmdline_add_args(struct boot *b)
{
	char buf[2 * EXO_CMDLINE_MAX]; /* argv[0] may be a long path */
	const struct boot_config *bc = b->bc;
	size_t len = bc->args_bytes < sizeof(buf) ? bc->args_bytes : sizeof(buf);
	int err = read_args(b, buf, len);

	if (err)
		return err;
	for (uint32_t i = 0, at = 0; i < bc->argc; i++) {
		char *end = memchr(buf + at, '\0', len - at);

		if (!end) {
			b->cmdline.full = true; /* or not even terminated: refused alike */
			break;
		}
		if (i > 0)
			cmdline_add(&b->cmdline, "%s%s", b->cmdline.len ? " " : "", buf + at);
		at = (uint32_t)(end - buf) + 1;
	}
	return 0;
}

static int cmdline_make(struct boot *b)
{
	const struct boot_config *bc = b->bc;
	struct cmdline *c = &b->cmdline;
	size_t max = sizeof(c->text) - 1;
	int err;

	if (bc->image->cmdline_max && bc->image->cmdline_max < max)
		max = bc->image->cmdline_max;
	if (bc->cmdline)
		cmdline_add(c, "%s", bc->cmdline);
	for (unsigned i = 0; i < bc->ndevices && !bc->image->is_sdk; i++)
		if (bc->device[i].device_id)
			cmdline_add(c, "%svirtio_mmio.device=4K@0x%x:%u", c->len ? " " : "",
				    bc->device[i].gpa, bc->device[i].gsi);
	if (bc->args_fd >= 0 && !bc->image->is_sdk) {
		err = cmdline_add_args(b);
		if (err)
			return err;
	}
	if (c->full || c->len > max) {
		image_say(b->why, "kernel command line longer than %zu bytes", max);
		return -E2BIG;
	}
	return 0;
}

/* The command line in guest memory; 0 when it is empty. */
static int cmdline_put(struct boot *b, gpa_t *gpa)
{
	if (b->cmdline.len == 0)
		return 0;
	char *to = area_take(&b->area, b->cmdline.len + 1, 1, gpa);

	if (!to)
		return no_room(b);
	memcpy(to, b->cmdline.text, b->cmdline.len + 1);
	return 0;
}

/* ---- boot block ---------------------------------------------------------- */

/*
 * Checks that the strings are argc + envc ones, each terminated, with nothing
 * behind them, and finds where the environment begins.
 */
static int check_args(struct boot *b, const char *args, uint32_t args_bytes, uint32_t *env_off)
{
	const struct boot_config *bc = b->bc;
	uint64_t want = (uint64_t)bc->argc + bc->envc, seen = 0;
	uint32_t at = 0;

	*env_off = 0;
	while (at < args_bytes && seen < want) {
		const char *end = memchr(args + at, '\0', args_bytes - at);

		if (!end)
			break;
		at = (uint32_t)(end - args) + 1;
		if (++seen == bc->argc)
			*env_off = at;
	}
	if (seen == want && at == args_bytes)
		return 0;
	image_say(b->why, "arguments do not match their count");
	return -EINVAL;
}

static int fill_seed(struct boot *b, uint8_t *seed, size_t len)
{
	ssize_t n;

	do
		n = getrandom(seed, len, 0);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return 0;
	int err = n < 0 ? errno : EIO;

	image_say(b->why, "no random bytes from the host: %s", strerror(err));
	return -err;
}

static void fill_block(struct exo_boot *eb, const struct boot_config *bc)
{
	eb->magic = EXO_BOOT_MAGIC;
	eb->version = EXO_BOOT_VERSION;
	eb->platform_gpa = EXO_PLATFORM_GPA;
	eb->tsc_hz = bc->tsc_hz;
	eb->wall_ns = bc->wall_ns;
	eb->wall_tsc = bc->wall_tsc;
	eb->ram_bytes = bc->ram_bytes;
	eb->flags = bc->flags;
	eb->lapic_hz = bc->lapic_hz;
	eb->argc = bc->argc;
	eb->envc = bc->envc;
	eb->ndevices = bc->ndevices;
	eb->cpus = bc->cpus;
	eb->tty_rows = bc->tty_rows;
	eb->tty_cols = bc->tty_cols;
	if (bc->ndevices)
		memcpy(eb->device, bc->device, bc->ndevices * sizeof(eb->device[0]));
}

/* Behind the rest if it fits, else (many arguments) between 1 MiB and the program. */
static int put_block(struct boot *b, struct pvh_module *mod)
{
	const struct boot_config *bc = b->bc;
	uint32_t args_bytes = bc->args_fd >= 0 ? bc->args_bytes : 0;
	uint64_t bytes = sizeof(struct exo_boot) + (uint64_t)args_bytes;
	struct exo_boot *eb = area_take(&b->area, bytes, 8, &mod->paddr);
	struct area beyond;
	uint32_t env_off;
	int err;

	if (!eb && area_open(&beyond, bc->mem, ONE_MIB, bc->image->low))
		eb = area_take(&beyond, bytes, 8, &mod->paddr);
	if (!eb) {
		image_say(b->why, "arguments and environment of %u bytes are too long", args_bytes);
		return -E2BIG;
	}
	mod->size = bytes;

	char *args = (char *)(eb + 1);

	err = args_bytes ? read_args(b, args, args_bytes) : 0;
	if (!err)
		err = check_args(b, args, args_bytes, &env_off);
	if (!err)
		err = fill_seed(b, eb->seed, sizeof(eb->seed));
	if (err)
		return err;
	fill_block(eb, bc);
	eb->size = (uint32_t)bytes;
	eb->argv_off = sizeof(*eb);
	eb->env_off = (uint32_t)sizeof(*eb) + env_off;
	return 0;
}

/* ---- memory map ------------------------------------------------------------ */

/* Returns the number of entries, at most MEMMAP_MAX. */
static unsigned memmap_fill(struct pvh_memmap map[MEMMAP_MAX], const struct boot_config *bc)
{
	uint64_t ram_bytes = bc->ram_bytes;
	uint64_t low = ram_bytes < EXO_LOW_RAM_END ? ram_bytes : EXO_LOW_RAM_END;
	unsigned n = 0;

	map[n++] = (struct pvh_memmap){0, LOW_RAM_TOP, PVH_MEM_RAM, 0};
	map[n++] = (struct pvh_memmap){EXO_ACPI_GPA, EXO_ACPI_SIZE, PVH_MEM_ACPI, 0};
	map[n++] = (struct pvh_memmap){ONE_MIB, low - ONE_MIB, PVH_MEM_RAM, 0};
	if (bc->window_bytes)
		map[n++] =
			(struct pvh_memmap){EXO_WINDOW_GPA, bc->window_bytes, PVH_MEM_RESERVED, 0};
	if (bc->picture_bytes)
		map[n++] = (struct pvh_memmap){EXO_PICTURE_GPA, bc->picture_bytes, PVH_MEM_RESERVED,
					       0};
	if (ram_bytes > low)
		map[n++] = (struct pvh_memmap){EXO_HIGH_RAM_BASE, ram_bytes - low, PVH_MEM_RAM, 0};
	return n;
}

/* ---- PVH ------------------------------------------------------------------- */

static int put_modules(struct boot *b, struct pvh_start_info *si)
{
	const char name[] = EXO_BOOT_MODULE;
	struct pvh_module *mod = NULL;
	gpa_t gpa;

	si->nr_modules = (b->initrd ? 1 : 0) + (b->bc->image->is_sdk ? 1 : 0);
	if (si->nr_modules == 0)
		return 0;
	mod = area_take(&b->area, si->nr_modules * sizeof(*mod), 8, &si->modlist_paddr);
	if (!mod)
		return no_room(b);
	if (b->initrd) {
		mod->paddr = b->initrd;
		mod->size = b->initrd_bytes;
		mod++;
	}
	if (!b->bc->image->is_sdk)
		return 0;
	char *text = area_take(&b->area, sizeof(name), 1, &gpa);

	if (!text)
		return no_room(b);
	memcpy(text, name, sizeof(name));
	mod->cmdline_paddr = gpa;
	return put_block(b, mod);
}

static int write_pvh(struct boot *b, struct boot_entry *entry)
{
	struct pvh_memmap map[MEMMAP_MAX];
	unsigned n = memmap_fill(map, b->bc);
	struct pvh_start_info *si = area_take(&b->area, sizeof(*si), 8, &entry->rbx);
	gpa_t gpa;
	void *to = area_take(&b->area, n * sizeof(map[0]), 8, &gpa);
	int err;

	if (!si || !to)
		return no_room(b);
	memcpy(to, map, n * sizeof(map[0]));
	si->magic = PVH_START_MAGIC;
	si->version = PVH_START_VERSION;
	si->rsdp_paddr = b->rsdp;
	si->memmap_paddr = gpa;
	si->memmap_entries = n;
	err = cmdline_put(b, &si->cmdline_paddr);
	return err ? err : put_modules(b, si);
}

/* ---- Linux's 64-bit protocol ------------------------------------------------- */

#define PTE_TABLE 0x3ull  /* present, writable */
#define PTE_LARGE 0x83ull /* the same, 2 MiB */

#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_DATA 0x00cf93000000ffffull
#define SEL_CODE 0x10 /* __BOOT_CS */
#define SEL_DATA 0x18 /* __BOOT_DS */
#define GDT_ENTRIES 4

/* Identity map of the first 4 GiB, which holds the kernel, initrd and boot data. */
static int put_page_tables(struct boot *b, gpa_t *cr3)
{
	uint64_t *t = area_take(&b->area, 6 * PAGE, PAGE, cr3);

	if (!t)
		return no_room(b);
	t[0] = (*cr3 + PAGE) | PTE_TABLE;
	for (unsigned i = 0; i < 4; i++)
		t[512 + i] = (*cr3 + (2 + i) * PAGE) | PTE_TABLE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		t[1024 + i] = i << 21 | PTE_LARGE;
	return 0;
}

static int write_linux(struct boot *b, struct boot_entry *entry)
{
	const struct image *img = b->bc->image;
	struct pvh_memmap map[MEMMAP_MAX];
	struct boot_params *bp = area_take(&b->area, sizeof(*bp), PAGE, &entry->rsi);
	uint64_t *gdt = area_take(&b->area, GDT_ENTRIES * sizeof(*gdt), 8, &entry->gdt);
	gpa_t cmdline = 0;
	int err = bp && gdt ? cmdline_put(b, &cmdline) : no_room(b);

	if (!err)
		err = put_page_tables(b, &entry->cr3);
	if (err)
		return err;
	gdt[SEL_CODE / 8] = GDT_CODE64;
	gdt[SEL_DATA / 8] = GDT_DATA;

	memcpy(&bp->hdr, img->setup, img->setup_bytes);
	bp->hdr.type_of_loader = 0xff; /* none of the registered ones */
	bp->hdr.vid_mode = 0xffff;     /* normal */
	bp->hdr.cmd_line_ptr = (uint32_t)cmdline;
	bp->hdr.ramdisk_image = (uint32_t)b->initrd;
	bp->hdr.ramdisk_size = (uint32_t)b->initrd_bytes;
	bp->acpi_rsdp_addr = b->rsdp;
	bp->e820_entries = (uint8_t)memmap_fill(map, b->bc);
	for (unsigned i = 0; i < bp->e820_entries; i++)
		bp->e820_table[i] = (struct boot_e820_entry){map[i].addr, map[i].size, map[i].type};
	return 0;
}

/* ---- for guests with firmware in mind ------------------------------------------ */

#define RESET_VECTOR 0xffff0ull

/*
 * Linux with hardware-reduced ACPI and no EFI restarts by jumping to the reset
 * vector in real mode. What it finds there asks the keyboard controller.
 */
static int put_reset_vector(struct boot *b)
{
	static const uint8_t code[] = {
		0xb0, 0xfe, /* mov $0xfe, %al */
		0xe6, 0x64, /* out %al, $0x64 */
		0xf4,       /* hlt */
		0xeb, 0xfd, /* jmp to it */
	};

	return gmem_write(b->bc->mem, RESET_VECTOR, code, sizeof(code));
}

static int write_firmware(struct boot *b)
{
	const struct boot_config *bc = b->bc;
	int err = acpi_write(bc->mem, bc->cpus, bc->device, bc->ndevices, &b->rsdp);

	if (!err)
		err = put_reset_vector(b);
	if (err)
		image_say(b->why, "ACPI tables: %s", strerror(-err));
	return err;
}

/* ---- all of it ----------------------------------------------------------------- */

static int place_initrd(struct boot *b)
{
	const struct boot_config *bc = b->bc;
	struct stat st;
	int err;

	if (bc->initrd_fd < 0)
		return 0;
	if (fstat(bc->initrd_fd, &st) < 0) {
		err = errno;
		image_say(b->why, "initrd: %s", strerror(err));
		return -err;
	}
	if (!S_ISREG(st.st_mode) || st.st_size == 0) {
		image_say(b->why, "the initrd is empty or not a regular file");
		return -ENOEXEC;
	}
	b->initrd_bytes = (uint64_t)st.st_size;
	err = image_check_ram(bc->image, bc->ram_bytes, b->initrd_bytes, b->why);
	if (err)
		return err;
	b->initrd = image_initrd_gpa(bc->image, bc->ram_bytes, b->initrd_bytes);
	return load_initrd(bc->initrd_fd, b->initrd_bytes, bc->mem, b->initrd, b->why);
}

int boot_write(const struct boot_config *bc, struct boot_entry *entry, char why[IMAGE_WHY_MAX])
{
	struct boot b = {.bc = bc, .why = why};
	int err;

	if (bc->ndevices > EXO_MMIO_SLOTS || bc->ram_bytes <= ONE_MIB ||
	    !area_open(&b.area, bc->mem, EXO_BOOT_GPA, LOW_RAM_TOP)) {
		image_say(why, "too little memory, or too many devices");
		return -EINVAL;
	}
	memset(entry, 0, sizeof(*entry));
	entry->rip = bc->image->entry;
	entry->long_mode = bc->image->kind == IMAGE_BZIMAGE;
	err = cmdline_make(&b);
	if (!err)
		err = place_initrd(&b);
	if (!err && !bc->image->is_sdk)
		err = write_firmware(&b);
	if (err)
		return err;
	return entry->long_mode ? write_linux(&b, entry) : write_pvh(&b, entry);
}
