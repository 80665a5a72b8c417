/*
 * What a guest is to be: the options that describe it, the files and streams it
 * gets, and the configuration message made of them.
 *
 * Messages about what is wrong with it are printed here, one line each, naming
 * the thing and how to mend it; the functions then return the exit code
 * (125, 126 or 127), else 0.
 */
#ifndef GUEST_H
#define GUEST_H

#include "guest_display.h"
#include "opts.h"

#include <exo/vmm.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit codes, as shells and container tools have them. */
#define GUEST_EXIT_TIMEOUT 124
#define GUEST_EXIT_FAILURE 125 /* ours, not the program's */
#define GUEST_EXIT_CANNOT 126  /* found, but cannot run */
#define GUEST_EXIT_NOT_FOUND 127
#define GUEST_EXIT_SIGNAL 128 /* + number */

#define GUEST_RAM_SDK (64ull << 20)
#define GUEST_RAM_OTHER (256ull << 20)
#define GUEST_RAM_MIN (4ull << 20)
#define GUEST_RAM_MAX (1ull << 40)

struct guest_disk {
	const char *path; /* cut off before the first option */
	bool read_only, direct;
	int fd;
	uint64_t bytes;
};

struct guest_stream {
	int fd;        /* passed to the VMM, or -1: closed */
	bool reopened; /* fd is ours to close */
	bool terminal;
};

/* Strings are the caller's and must live as long. */
struct guest {
	const char *program; /* as typed */
	char **args;         /* NULL-terminated; args[0] is the program */
	char name[64];
	uint64_t ram_bytes; /* 0: by kind of image */
	uint32_t cpus;
	uint32_t flags; /* EXO_VMM_* */
	char **env;     /* "NAME=value" each */
	unsigned nenv;
	const char *kernel_args;
	const char *initrd;
	struct guest_disk disk[EXO_VMM_DISKS_MAX];
	unsigned ndisks;

	int program_fd, initrd_fd, args_fd;
	uint32_t args_bytes, argc;
	bool is_sdk; /* behaves as a process does; else a kernel that owns its terminal */
	struct guest_stream stream[3];
	uint32_t tty_rows, tty_cols;

	/* In a session; else -1 and 0. See struct exo_vmm_config. The fds are the caller's. */
	int listen_fd, guest_bell_fd, vmm_bell_fd;
	uint64_t window_bytes, number;
	struct guest_display display;
	int picture_fd, display_fd; /* the guest's own */
};

void guest_init(struct guest *g);
/* Closes and frees what the others opened; safe after guest_init alone. */
void guest_finish(struct guest *g);

/* Options that describe a guest: ids from GUEST_OPTION up; for opts.h's tables. */
#define GUEST_OPTION 100
enum {
	GUEST_OPTION_MEMORY = GUEST_OPTION,
	GUEST_OPTION_CPUS,
	GUEST_OPTION_NAME,
	GUEST_OPTION_DISK,
	GUEST_OPTION_ENV,
	GUEST_OPTION_KERNEL_ARGS,
	GUEST_OPTION_INITRD,
	GUEST_OPTION_HUGEPAGES,
	GUEST_OPTION_PREFAULT,
	GUEST_OPTION_RNG,
};
#define GUEST_OPTION_DEFS \
	{"memory", 'm', true, GUEST_OPTION_MEMORY}, {"cpus", 0, true, GUEST_OPTION_CPUS}, \
		{"name", 0, true, GUEST_OPTION_NAME}, {"disk", 0, true, GUEST_OPTION_DISK}, \
		{"env", 'e', true, GUEST_OPTION_ENV}, \
		{"kernel-args", 0, true, GUEST_OPTION_KERNEL_ARGS}, \
		{"initrd", 0, true, GUEST_OPTION_INITRD}, \
		{"hugepages", 0, false, GUEST_OPTION_HUGEPAGES}, \
		{"prefault", 0, false, GUEST_OPTION_PREFAULT}, \
	{ \
		"rng", 0, false, GUEST_OPTION_RNG \
	}

/*
 * --display[=WxH], of commands that start guests in a session; value NULL: the usual size. What
 * was not given is 0 in g->display. 0 or an exit code.
 */
int guest_option_display(struct guest *g, const char *value);

/* Gives `to` (just initialized) the same options. 0 or -ENOMEM. */
int guest_copy_options(struct guest *to, const struct guest *from);

/* Applies one of these options. 0 or an exit code. */
int guest_option(struct guest *g, int id, char *value);

/* Adds "NAME=value" to the environment; 0 or -ENOMEM. */
int guest_add_env(struct guest *g, char *assignment);

/* Sets program, arguments and, unless it was given, the name. */
void guest_set_program(struct guest *g, char **args);

/*
 * Looks at descriptors 0 to 2 and puts /dev/null where one is closed, so that
 * nothing opened later takes its number. Before anything is opened.
 */
void guest_take_stdio(struct guest *g);
/* Gives them descriptions of their own that do not block, where that is possible. */
void guest_reopen_stdio(struct guest *g);

/* Closes those descriptions: the VMM has its own copies. */
void guest_close_streams(struct guest *g);

/*
 * Opens program (unless program_fd is open already) and initrd and checks them and
 * the memory: is_sdk and ram_bytes are known then. 0 or an exit code.
 */
int guest_open_program(struct guest *g);
/* Opens program, initrd and disks, and checks them and the memory. 0 or an exit code. */
int guest_open(struct guest *g);

/*
 * Fills in the message and its fds (≤ EXO_VMM_FDS_MAX), which stay the guest's.
 * Returns their number.
 */
unsigned guest_fill_config(const struct guest *g, struct exo_vmm_config *config, int *fds);

/* Ends the locks on the disks: the guest is gone, another may have them. */
void guest_unlock_disks(struct guest *g);

#endif
