/* The options that describe a guest; see guest.h. */
#include "guest.h"

#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int option_memory(struct guest *g, const char *value)
{
	int err = opts_parse_size(value, &g->ram_bytes);

	if (err == -EINVAL)
		return text_error(GUEST_EXIT_FAILURE,
				  "-m %s: not a size; write a number and K, M or G, as in -m 64M",
				  value);
	if (err || g->ram_bytes > GUEST_RAM_MAX)
		return text_error(GUEST_EXIT_FAILURE, "-m %s: too much; the most is 1T", value);
	if (g->ram_bytes < GUEST_RAM_MIN)
		return text_error(GUEST_EXIT_FAILURE,
				  "-m %s: too little; the least is 4M (a number without a suffix "
				  "counts bytes)",
				  value);
	if (g->ram_bytes % 4096)
		return text_error(GUEST_EXIT_FAILURE, "-m %s: not a multiple of 4K", value);
	return 0;
}

static int option_cpus(struct guest *g, const char *value)
{
	uint64_t cpus;

	if (opts_parse_number(value, 1, EXO_VMM_CPUS_MAX, &cpus))
		return text_error(GUEST_EXIT_FAILURE, "--cpus %s: not a number from 1 to %d", value,
				  EXO_VMM_CPUS_MAX);
	g->cpus = (uint32_t)cpus;
	return 0;
}

static int option_name(struct guest *g, const char *value)
{
	size_t length = strlen(value);

	if (!length || length >= sizeof(g->name))
		return text_error(GUEST_EXIT_FAILURE,
				  "--name %.80s: a name has 1 to %zu characters", value,
				  sizeof(g->name) - 1);
	memcpy(g->name, value, length + 1);
	return 0;
}

/* FILE[:ro][:direct]; a file whose own name ends so can be given as FILE:rw. */
static int option_disk(struct guest *g, char *value)
{
	struct guest_disk *d = &g->disk[g->ndisks];

	if (g->ndisks == EXO_VMM_DISKS_MAX)
		return text_error(GUEST_EXIT_FAILURE, "--disk %s: too many; a guest has at most %d",
				  value, EXO_VMM_DISKS_MAX);
	*d = (struct guest_disk){.path = value, .fd = -1};
	for (char *colon; (colon = strrchr(value, ':'));) {
		bool is_last = !strcmp(colon, ":rw");

		if (!strcmp(colon, ":ro"))
			d->read_only = true;
		else if (!strcmp(colon, ":direct"))
			d->direct = true;
		else if (!is_last)
			break;
		*colon = '\0';
		if (is_last)
			break;
	}
	if (!*value)
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk: no file name; write --disk FILE[:ro]");
	g->ndisks++;
	return 0;
}

int guest_add_env(struct guest *g, char *assignment)
{
	if (!(g->nenv & (g->nenv - 1))) { /* grows at powers of two */
		char **env = realloc(g->env, (g->nenv ? 2 * g->nenv : 1) * sizeof(*env));

		if (!env)
			return -ENOMEM;
		g->env = env;
	}
	g->env[g->nenv++] = assignment;
	return 0;
}

int guest_copy_options(struct guest *to, const struct guest *from)
{
	to->ram_bytes = from->ram_bytes;
	to->cpus = from->cpus;
	to->flags = from->flags;
	to->kernel_args = from->kernel_args;
	to->initrd = from->initrd;
	to->ndisks = from->ndisks;
	memcpy(to->disk, from->disk, sizeof(to->disk));
	memcpy(to->name, from->name, sizeof(to->name));
	for (unsigned i = 0; i < from->nenv; i++) {
		if (guest_add_env(to, from->env[i]))
			return -ENOMEM;
	}
	return 0;
}

/* NAME=value, or NAME alone for its value here, when it has one. */
static int option_env(struct guest *g, char *value)
{
	const char *here;

	if (!*value || *value == '=')
		return text_error(GUEST_EXIT_FAILURE, "--env %s: no name; write --env NAME=value",
				  value);
	if (!strchr(value, '=')) {
		here = getenv(value);
		if (!here)
			return 0;
		value = (char *)(uintptr_t)(here - strlen(value) - 1); /* "NAME=" precedes it */
	}
	if (guest_add_env(g, value))
		return text_error(GUEST_EXIT_FAILURE, "out of memory");
	return 0;
}

static int option_kernel_args(struct guest *g, const char *value)
{
	if (strlen(value) >= EXO_CMDLINE_MAX)
		return text_error(GUEST_EXIT_FAILURE, "--kernel-args: longer than %d bytes",
				  EXO_CMDLINE_MAX - 1);
	g->kernel_args = value;
	return 0;
}

int guest_option_display(struct guest *g, const char *value)
{
	g->display = (struct guest_display){.windows = 1};
	if (!value || guest_display_size(value, &g->display.width, &g->display.height))
		return 0;
	return text_error(GUEST_EXIT_FAILURE,
			  "--display=%.60s: write WIDTHxHEIGHT, as --display=640x480", value);
}

int guest_option(struct guest *g, int id, char *value)
{
	switch (id) {
	case GUEST_OPTION_MEMORY:
		return option_memory(g, value);
	case GUEST_OPTION_CPUS:
		return option_cpus(g, value);
	case GUEST_OPTION_NAME:
		return option_name(g, value);
	case GUEST_OPTION_DISK:
		return option_disk(g, value);
	case GUEST_OPTION_ENV:
		return option_env(g, value);
	case GUEST_OPTION_KERNEL_ARGS:
		return option_kernel_args(g, value);
	case GUEST_OPTION_INITRD:
		g->initrd = value;
		return 0;
	case GUEST_OPTION_HUGEPAGES:
		g->flags |= EXO_VMM_HUGEPAGES;
		return 0;
	case GUEST_OPTION_PREFAULT:
		g->flags |= EXO_VMM_PREFAULT;
		return 0;
	default:
		g->flags |= EXO_VMM_RNG;
		return 0;
	}
}

void guest_set_program(struct guest *g, char **args)
{
	const char *base = strrchr(args[0], '/');
	size_t length;

	g->program = args[0];
	g->args = args;
	if (g->name[0])
		return;
	base = base && base[1] ? base + 1 : args[0];
	length = strlen(base);
	if (length > 4 && !strcmp(base + length - 4, ".elf"))
		length -= 4;
	if (length >= sizeof(g->name))
		length = sizeof(g->name) - 1;
	memcpy(g->name, base, length);
	g->name[length] = '\0';
}
