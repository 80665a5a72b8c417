/*
 * Fuzzes what reads a program file: the image parser, the loader, the boot
 * data and the symbol lookup (H-30). The first input byte chooses the start:
 * the rest as the file itself, or a valid ELF or bzImage with the rest as a
 * list of patches, so that runs get past the first check.
 *
 * Oracles: an accepted image keeps the parser's promises; the RAM holds its
 * segments byte for byte and nothing around them; a refusal has a reason of
 * one line; guard pages around the RAM; bounded work (libFuzzer's time limit).
 */
#include "boot.h"
#include "fakeimg.h"
#include "load.h"
#include "symbols.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_BYTES 0x1100000ull /* 17 MiB: a bzImage fits just so */
#define SYMBOLS_OFF 0x2000

enum start { START_RAW, START_ELF, START_BZIMAGE, STARTS };

/* One patch: where, how wide (1, 2, 4, 8), and the bytes. */
struct patch {
	uint16_t off;
	uint8_t width;
	uint8_t value[8];
} __attribute__((packed));

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_ram ram;
static struct fake_img img;
static int fd = -1;

static void must(int ok)
{
	if (!ok)
		abort();
}

static void add_symbols(void)
{
	Elf64_Shdr *sh = (Elf64_Shdr *)(img.bytes + SYMBOLS_OFF);
	Elf64_Sym *sym = (Elf64_Sym *)(sh + 3);

	fake_ehdr(&img)->e_shoff = SYMBOLS_OFF;
	fake_ehdr(&img)->e_shnum = 3;
	fake_ehdr(&img)->e_shentsize = sizeof(*sh);
	sh[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
			     .sh_offset = SYMBOLS_OFF + 3 * sizeof(*sh),
			     .sh_size = 2 * sizeof(*sym),
			     .sh_entsize = sizeof(*sym),
			     .sh_link = 2};
	sh[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = 0x3000, .sh_size = 6};
	sym[1] = (Elf64_Sym){.st_name = 1,
			     .st_info = STT_FUNC,
			     .st_shndx = 1,
			     .st_value = FAKE_TEXT_GPA,
			     .st_size = FAKE_TEXT_BYTES};
	memcpy(img.bytes + 0x3000, "\0main", 6);
	img.len = 0x3006;
}

static void make_image(const uint8_t *data, size_t size)
{
	enum start start = data[0] % STARTS;
	struct patch p;

	data++, size--;
	if (start == START_RAW) {
		img.len = size < sizeof(img.bytes) ? size : sizeof(img.bytes);
		memcpy(img.bytes, data, img.len);
		return;
	}
	if (start == START_ELF) {
		fake_elf(&img);
		add_symbols();
	} else {
		fake_bzimage(&img);
	}
	for (; size >= sizeof(p); data += sizeof(p), size -= sizeof(p)) {
		memcpy(&p, data, sizeof(p));
		size_t width = (size_t)1 << (p.width & 3), off = p.off % img.len;

		memcpy(img.bytes + off, p.value, width); /* img.bytes has room behind len */
	}
	if (size >= 2)
		img.len -= (size_t)(data[0] | data[1] << 8) % img.len;
}

static void check_promises(const struct image *i)
{
	uint64_t end = 0x100000;
	bool entry = false;

	must(i->nsegments >= 1 && i->nsegments <= IMAGE_SEGMENTS_MAX);
	for (unsigned k = 0; k < i->nsegments; k++) {
		const struct image_segment *s = &i->segment[k];

		must(s->gpa >= end && s->mem_bytes > 0 && s->file_bytes <= s->mem_bytes);
		must(s->file_off <= img.len && s->file_bytes <= img.len - s->file_off);
		end = s->gpa + s->mem_bytes;
		must(end > s->gpa && end <= EXO_LOW_RAM_END);
		entry |= i->entry >= s->gpa && i->entry - s->gpa < s->file_bytes;
	}
	must(entry && i->low == i->segment[0].gpa && i->high == end);
	must(i->setup_bytes <= sizeof(i->setup));
}

/* The segments are in RAM; so are zeros in their bss and right around them. */
static void check_loaded(const struct image *i)
{
	for (unsigned k = 0; k < i->nsegments; k++) {
		const struct image_segment *s = &i->segment[k];
		uint64_t before = k ? s[-1].gpa + s[-1].file_bytes : 0;
		uint64_t after = k + 1 < i->nsegments ? s[1].gpa : RAM_BYTES;
		uint64_t end = s->gpa + s->file_bytes;

		must(memcmp(ram.host + s->gpa, img.bytes + s->file_off, s->file_bytes) == 0);
		for (uint64_t at = end; at < after && at < end + 64; at++)
			must(ram.host[at] == 0);
		for (uint64_t at = s->gpa; at > before && at > s->gpa - 64; at--)
			must(ram.host[at - 1] == 0);
	}
}

static void check_refusal(int err, const char *why)
{
	must(err < 0);
	must(memchr(why, '\0', IMAGE_WHY_MAX) != NULL);
	must(why[0] && !strchr(why, '\n'));
}

static void try_boot(const struct image *i, char *why)
{
	const struct exo_boot_device dev = {.gpa = 0xd0001000, .gsi = 8, .device_id = 3};
	struct boot_config bc = {
		.mem = &ram.mem,
		.image = i,
		.ram_bytes = RAM_BYTES,
		.cpus = 1,
		.device = &dev,
		.ndevices = 1,
		.cmdline = "quiet",
		.args_fd = -1,
		.initrd_fd = fd,
	};
	struct boot_entry entry;
	int err = boot_write(&bc, &entry, why);

	if (err)
		check_refusal(err, why);
	else
		must(entry.rip == i->entry);
}

static void try_symbols(void)
{
	const uint64_t addr[] = {0, FAKE_TEXT_GPA + 4, FAKE_DATA_GPA, UINT64_MAX};
	char name[SYMBOLS_NAME_MAX];

	for (unsigned k = 0; k < sizeof(addr) / sizeof(addr[0]); k++) {
		int err = symbols_format(fd, addr[k], name, sizeof(name));

		must(err == 0 || err == -ENOENT);
		must(memchr(name, '\0', sizeof(name)) != NULL && name[0]);
		for (const char *c = name; *c; c++)
			must(*c > ' ' && *c <= '~');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[IMAGE_WHY_MAX] = "";
	struct image i;
	int err;

	if (size == 0)
		return 0;
	if (fd < 0) {
		fd = memfd_create("image", MFD_CLOEXEC);
		must(fd >= 0);
		fake_ram_init(&ram, RAM_BYTES, 0);
	}
	make_image(data, size);
	must(ftruncate(fd, 0) == 0);
	must(pwrite(fd, img.bytes, img.len, 0) == (ssize_t)img.len);

	err = image_parse(&i, fd, why);
	if (!err) {
		check_promises(&i);
		err = image_check_ram(&i, RAM_BYTES, 0, why);
	}
	if (!err) {
		err = load_image(&i, fd, &ram.mem, why);
		must(err == 0); /* the parser and the check promised it */
		check_loaded(&i);
		try_boot(&i, why);
		must(madvise(ram.host, RAM_BYTES, MADV_DONTNEED) == 0);
	} else {
		check_refusal(err, why);
	}
	try_symbols();
	return 0;
}
