/*
 * Ring 3 begins here: from the boot block (or the command line, under other
 * monitors) to musl's _start with the stack that the Linux kernel would have
 * made. It is on the way to the program's first output, so it does no work that
 * can wait and touches few pages.
 */
#include "posix.h"

#include <elf.h>

#define ARGS_MAX 64 /* words of a command line after "--" */

struct sup_shared *sup;
const struct sup_facts *facts;
const struct exo_boot *boot;

void _start(void);
_Noreturn void start_program(void *stack, void (*entry)(void));

/* Of the linker, if the ELF header is part of the image. */
extern const Elf64_Ehdr __ehdr_start __attribute__((weak));

APART static uint8_t fault_stack[8192] __attribute__((aligned(16)));
APART static char words[EXO_CMDLINE_MAX]; /* a command line, in pieces */

struct strings {
	const char *first; /* back to back, each terminated */
	uint32_t count;
	size_t bytes;
};

static struct strings strings_of(uint32_t off, uint32_t count)
{
	struct strings s = {.first = (const char *)boot + off};
	const char *p = s.first, *end = (const char *)boot + boot->size;

	for (; s.count < count && p < end; s.count++)
		p += strnlen(p, (size_t)(end - p)) + 1;
	s.bytes = (size_t)(p - s.first);
	return s;
}

/*
 * Splits what follows " -- " at spaces, in place of a boot block's arguments. A monitor
 * that adds its devices to the command line does so at the end: not for the program.
 */
static struct strings strings_of_cmdline(char *buf, size_t cap)
{
	struct strings s = {.first = buf, .count = 1};
	const char *p = facts->cmdline;
	size_t n = sizeof("guest");

	memcpy(buf, "guest", n);
	while (*p && !(p[0] == '-' && p[1] == '-' && (p[2] == ' ' || !p[2]) &&
		       (p == facts->cmdline || p[-1] == ' ')))
		p++;
	if (*p)
		p += 2;
	while (*p && s.count < ARGS_MAX) {
		while (*p == ' ')
			p++;
		if (!*p)
			break;
		if (strncmp(p, "virtio_mmio.device=", 19) == 0)
			break;
		while (*p && *p != ' ' && n + 1 < cap)
			buf[n++] = *p++;
		while (*p && *p != ' ')
			p++;
		buf[n++] = '\0';
		s.count++;
	}
	s.bytes = n;
	return s;
}

static uint64_t *put_pointers(uint64_t *sp, const struct strings *s, char *copy)
{
	for (uint32_t i = 0; i < s->count; i++) {
		*sp++ = (uintptr_t)copy;
		copy += strlen(copy) + 1;
	}
	*sp++ = 0;
	return sp;
}

static uint64_t *put_auxv(uint64_t *sp, uint64_t random, uint64_t name)
{
	const Elf64_Ehdr *eh = &__ehdr_start;
	uint64_t at = (uintptr_t)eh;

	__asm__("" : "+r"(at)); /* the symbol may be absent: its address is then 0 */
	const uint64_t aux[][2] = {
		{AT_PAGESZ, 4096},
		{AT_CLKTCK, 100},
		{AT_RANDOM, random},
		{AT_EXECFN, name},
		{AT_SECURE, 0},
		{AT_PHDR, at ? at + eh->e_phoff : 0},
		{AT_PHENT, sizeof(Elf64_Phdr)},
		{AT_PHNUM, at ? eh->e_phnum : 0},
		{AT_NULL, 0},
	};
	memcpy(sp, aux, sizeof(aux));
	return sp + sizeof(aux) / sizeof(uint64_t);
}

#define AUX_WORDS 18

/* argc, argv, envp, auxv, then 16 random bytes and the strings. */
static void build_stack(uint64_t *sp, const struct strings *args, const struct strings *env)
{
	char *random = (char *)(sp + 1 + args->count + 1 + env->count + 1 + AUX_WORDS);
	char *arg_copy = random + 16, *env_copy = arg_copy + args->bytes;

	memcpy(arg_copy, args->first, args->bytes);
	memcpy(env_copy, env->first, env->bytes);
	random_bytes(random, 16);
	*sp++ = args->count;
	sp = put_pointers(sp, args, arg_copy);
	sp = put_pointers(sp, env, env_copy);
	put_auxv(sp, (uintptr_t)random, (uintptr_t)arg_copy);
}

static void set_entries(void)
{
	uint64_t top = (uintptr_t)fault_stack + sizeof(fault_stack);

	/* System calls and upcalls move to the program's stack at once. */
	sup->syscall_entry = (uintptr_t)entry_syscall;
	sup->upcall_entry = (uintptr_t)entry_upcall;
	sup->fault_entry = (uintptr_t)entry_fault;
	sup->syscall_stack = sup->upcall_stack = sup->fault_stack = top;
	sup->upcall_mask = ~0ull;
}

void exo_ring3_start(struct sup_shared *shared)
{
	struct strings args, env = {.first = ""};
	size_t bytes;

	sup = shared;
	facts = shared->facts;
	boot = facts->boot;
	set_entries();
	clock_init();
	if (boot) {
		args = strings_of(boot->argv_off, boot->argc);
		env = strings_of(boot->env_off, boot->envc);
	} else {
		args = strings_of_cmdline(words, sizeof(words));
	}
	bytes = 8 * (size_t)(1 + args.count + 1 + env.count + 1 + AUX_WORDS) + 16 + args.bytes +
		env.bytes;
	if (bytes > (facts->stack_hi - facts->stack_lo) / 2)
		power_panic("arguments and environment do not fit on the stack");
	uint64_t *sp = __builtin_alloca_with_align((bytes + 15) & ~15ull, 128);

	build_stack(sp, &args, &env);
	start_program(sp, _start);
}
