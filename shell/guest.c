/* What a guest is to be; see guest.h. */
#include "guest.h"

#include "image.h"
#include "search.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

void guest_init(struct guest *g)
{
	*g = (struct guest){.cpus = 1, .program_fd = -1, .initrd_fd = -1, .args_fd = -1};
	g->listen_fd = g->guest_bell_fd = g->vmm_bell_fd = -1;
	g->picture_fd = g->display_fd = -1;
	for (int i = 0; i < EXO_VMM_DISKS_MAX; i++)
		g->disk[i].fd = -1;
	for (int i = 0; i < 3; i++)
		g->stream[i].fd = -1;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void guest_close_streams(struct guest *g)
{
	for (int i = 0; i < 3; i++) {
		if (g->stream[i].reopened)
			close_fd(&g->stream[i].fd);
		g->stream[i].fd = -1;
		g->stream[i].reopened = false;
	}
}

void guest_finish(struct guest *g)
{
	close_fd(&g->program_fd);
	close_fd(&g->initrd_fd);
	close_fd(&g->args_fd);
	close_fd(&g->picture_fd);
	close_fd(&g->display_fd);
	for (unsigned i = 0; i < g->ndisks; i++)
		close_fd(&g->disk[i].fd);
	guest_close_streams(g);
	free(g->env);
	g->env = NULL;
	g->nenv = 0;
}

/* ---- files -------------------------------------------------------------- */

int guest_open_program(struct guest *g)
{
	char why[IMAGE_WHY_MAX];
	struct image image;
	uint64_t initrd_bytes = 0;
	struct stat st;
	int err = g->program_fd < 0 ? search_program(g->program, &g->program_fd) : 0;

	if (err == -ENOENT && !strchr(g->program, '/'))
		return text_error(GUEST_EXIT_NOT_FOUND,
				  "%s: not found here, in EXO_PATH or among the installed guests; "
				  "give its path",
				  g->program);
	if (err == -ENOENT || err == -ENOTDIR)
		return text_error(GUEST_EXIT_NOT_FOUND, "%s: no such file", g->program);
	if (err == -EACCES)
		return text_error(GUEST_EXIT_CANNOT, "%s: not readable; try chmod +r", g->program);
	if (err)
		return text_error(GUEST_EXIT_CANNOT, "%s: %s", g->program, strerror(-err));

	if (g->initrd) {
		g->initrd_fd = open(g->initrd, O_RDONLY | O_CLOEXEC);
		if (g->initrd_fd < 0 || fstat(g->initrd_fd, &st))
			return text_error(GUEST_EXIT_FAILURE, "--initrd %s: %s", g->initrd,
					  strerror(errno));
		if (!S_ISREG(st.st_mode) || st.st_size <= 0)
			return text_error(GUEST_EXIT_FAILURE,
					  "--initrd %s: not a file with content", g->initrd);
		initrd_bytes = (uint64_t)st.st_size;
	}
	if (image_parse(&image, g->program_fd, why))
		return text_error(GUEST_EXIT_CANNOT, "%s: %s", g->program, why);
	g->is_sdk = image.is_sdk;
	if (!g->ram_bytes)
		g->ram_bytes = g->is_sdk ? GUEST_RAM_SDK : GUEST_RAM_OTHER;
	if (!g->is_sdk)
		g->flags |= EXO_VMM_RNG;
	if (image_check_ram(&image, g->ram_bytes, initrd_bytes, why))
		return text_error(GUEST_EXIT_FAILURE, "%s: %s; give it more with -m", g->program,
				  why);
	return 0;
}

/*
 * The lock belongs to the open file description, which the VMM then shares, so
 * it holds for as long as either has the file open.
 */
static int lock_disk(const struct guest_disk *d)
{
	struct flock lock = {.l_type = d->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(d->fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES))
		return 0; /* a file system without locks is no reason not to run */
	if (d->read_only)
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk %s: locked by a program that writes it", d->path);
	return text_error(GUEST_EXIT_FAILURE,
			  "--disk %s: locked by another guest or program; end that one, or use "
			  "%s:ro in both",
			  d->path, d->path);
}

static int open_disk(struct guest_disk *d)
{
	const int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (d->direct ? O_DIRECT : 0);
	struct stat st;
	off_t bytes;

	d->fd = open(d->path, flags | (d->read_only ? O_RDONLY : O_RDWR));
	if (d->fd < 0 && (errno == EACCES || errno == EROFS) && !d->read_only)
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk %s: not writable; use %s:ro or change its permissions",
				  d->path, d->path);
	if (d->fd < 0 && errno == EINVAL && d->direct)
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk %s: its file system has no direct I/O; leave :direct out",
				  d->path);
	if (d->fd < 0 || fstat(d->fd, &st))
		return text_error(GUEST_EXIT_FAILURE, "--disk %s: %s", d->path, strerror(errno));
	fcntl(d->fd, F_SETFL, flags & O_DIRECT); /* it shall block: io_uring looks at this */
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk %s: neither a file nor a block device", d->path);
	bytes = S_ISREG(st.st_mode) ? st.st_size : lseek(d->fd, 0, SEEK_END);
	if (bytes <= 0)
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk %s: empty; give it a size, as in truncate -s 64M %s",
				  d->path, d->path);
	if (bytes % 512)
		return text_error(GUEST_EXIT_FAILURE,
				  "--disk %s: %lld bytes are not a multiple of 512; mend it with "
				  "truncate -s %%512 %s",
				  d->path, (long long)bytes, d->path);
	d->bytes = (uint64_t)bytes;
	return lock_disk(d);
}

static char *append(char *at, const char *string)
{
	size_t bytes = strlen(string) + 1;

	memcpy(at, string, bytes);
	return at + bytes;
}

/* argv and environment as one memfd of terminated strings. */
static int write_args(struct guest *g)
{
	char few[1024]; /* mostly they are: malloc would cost two system calls */
	size_t bytes = 0;
	char *all = few, *at;
	int err = 0;

	for (g->argc = 0; g->args[g->argc]; g->argc++)
		bytes += strlen(g->args[g->argc]) + 1;
	for (unsigned i = 0; i < g->nenv; i++)
		bytes += strlen(g->env[i]) + 1;
	if (bytes > EXO_VMM_ARGS_MAX)
		return text_error(GUEST_EXIT_FAILURE, "arguments and --env are longer than %u KiB",
				  EXO_VMM_ARGS_MAX >> 10);
	if (bytes > sizeof(few) && !(all = malloc(bytes)))
		return text_error(GUEST_EXIT_FAILURE, "out of memory");
	at = all;
	for (unsigned i = 0; i < g->argc; i++)
		at = append(at, g->args[i]);
	for (unsigned i = 0; i < g->nenv; i++)
		at = append(at, g->env[i]);
	g->args_fd = memfd_create("exo-args", MFD_CLOEXEC);
	if (g->args_fd < 0 || text_write(g->args_fd, all, bytes))
		err = text_error(GUEST_EXIT_FAILURE, "arguments: %s", strerror(errno));
	g->args_bytes = (uint32_t)bytes;
	if (all != few)
		free(all);
	return err;
}

/* More than the host has can only end badly, and later. */
static int check_host_memory(const struct guest *g)
{
	struct sysinfo info;
	uint64_t have;

	if (g->ram_bytes <= GUEST_RAM_OTHER || sysinfo(&info))
		return 0;
	have = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (g->ram_bytes <= have)
		return 0;
	return text_error(GUEST_EXIT_FAILURE, "-m %lluM: this host has %lluM in all; give less",
			  (unsigned long long)g->ram_bytes >> 20, (unsigned long long)have >> 20);
}

int guest_open(struct guest *g)
{
	int err = guest_open_program(g);

	if (!err)
		err = check_host_memory(g);
	for (unsigned i = 0; !err && i < g->ndisks; i++)
		err = open_disk(&g->disk[i]);
	return err ? err : write_args(g);
}

void guest_unlock_disks(struct guest *g)
{
	struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	for (unsigned i = 0; i < g->ndisks; i++)
		fcntl(g->disk[i].fd, F_OFD_SETLK, &lock);
}

/* ---- standard streams ---------------------------------------------------- */

void guest_take_stdio(struct guest *g)
{
	struct winsize size;
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		struct guest_stream *s = &g->stream[fd];

		if (fstat(fd, &st)) {
			if (errno != EBADF)
				s->fd = fd;                       /* something, passed as it is */
			else if (open("/dev/null", O_RDWR) != fd) /* lowest free number: fd */
				abort();
			continue;
		}
		if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
			continue; /* the VMM does the same without a system call */
		s->fd = fd;
		s->terminal = S_ISCHR(st.st_mode) && !ioctl(fd, TIOCGWINSZ, &size);
		s->reopened = s->terminal || S_ISFIFO(st.st_mode); /* to be */
		if (s->terminal && !g->tty_rows) {
			g->tty_rows = size.ws_row;
			g->tty_cols = size.ws_col;
		}
	}
}

/*
 * O_NONBLOCK belongs to the open file description, which we share with whoever
 * started us; opening the same pipe or terminal again gives one of our own.
 * Files keep theirs, for the position in it is shared on purpose. What cannot
 * be opened again (sockets, a pipe whose reader has gone) is passed as it is.
 */
void guest_reopen_stdio(struct guest *g)
{
	char path[] = "/proc/self/fd/N";

	for (int fd = 0; fd < 3; fd++) {
		struct guest_stream *s = &g->stream[fd];
		int own;

		if (!s->reopened)
			continue;
		path[sizeof(path) - 2] = (char)('0' + fd);
		own = open(path, (fd ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		s->reopened = own >= 0;
		if (own >= 0)
			s->fd = own;
	}
}

/* ---- configuration --------------------------------------------------------- */

static uint32_t add_fd(int *fds, unsigned *nfds, int fd)
{
	if (fd < 0)
		return EXO_VMM_NO_FD;
	fds[*nfds] = fd;
	return (*nfds)++;
}

static unsigned add_display(const struct guest *g, struct exo_vmm_config *c, int *fds,
			    unsigned nfds)
{
	c->picture_fd = add_fd(fds, &nfds, g->picture_fd);
	c->display_fd = add_fd(fds, &nfds, g->display_fd);
	if (g->picture_fd < 0)
		return nfds;
	c->picture_bytes = g->display.picture_bytes;
	c->scanouts = g->display.windows;
	c->inputs = g->display.inputs;
	c->width = g->display.width;
	c->height = g->display.height;
	c->scale = EXO_DPY_SCALE_ONE;
	return nfds;
}

unsigned guest_fill_config(const struct guest *g, struct exo_vmm_config *c, int *fds)
{
	unsigned nfds = 0;

	memset(c, 0, sizeof(*c));
	c->ram_bytes = g->ram_bytes;
	c->cpus = g->cpus;
	c->flags = g->flags;
	c->program_fd = add_fd(fds, &nfds, g->program_fd);
	c->initrd_fd = add_fd(fds, &nfds, g->initrd_fd);
	c->args_fd = add_fd(fds, &nfds, g->args_fd);
	c->args_bytes = g->args_bytes;
	c->argc = g->argc;
	c->envc = g->nenv;
	c->stdin_fd = add_fd(fds, &nfds, g->stream[0].fd);
	c->stdout_fd = add_fd(fds, &nfds, g->stream[1].fd);
	c->stderr_fd = add_fd(fds, &nfds, g->stream[2].fd);
	c->boot_flags = (g->stream[0].terminal ? EXO_BOOT_TTY_IN : 0) |
			(g->stream[1].terminal ? EXO_BOOT_TTY_OUT : 0) |
			(g->stream[2].terminal ? EXO_BOOT_TTY_ERR : 0) |
			(g->stream[0].fd < 0 ? EXO_BOOT_STDIN_NULL : 0);
	c->tty_rows = g->tty_rows;
	c->tty_cols = g->tty_cols;
	c->listen_fd = add_fd(fds, &nfds, g->listen_fd);
	c->guest_bell_fd = add_fd(fds, &nfds, g->guest_bell_fd);
	c->vmm_bell_fd = add_fd(fds, &nfds, g->vmm_bell_fd);
	c->window_bytes = g->window_bytes;
	c->guest = g->number;
	nfds = add_display(g, c, fds, nfds);
	c->ndisks = g->ndisks;
	for (unsigned i = 0; i < g->ndisks; i++) {
		c->disk[i].fd = add_fd(fds, &nfds, g->disk[i].fd);
		c->disk[i].flags = g->disk[i].read_only ? EXO_VMM_DISK_RO : 0;
		c->disk[i].bytes = g->disk[i].bytes;
		snprintf(c->disk[i].name, sizeof(c->disk[i].name), "disk%u", i);
	}
	memcpy(c->name, g->name, sizeof(c->name));
	if (g->kernel_args)
		memcpy(c->cmdline, g->kernel_args, strlen(g->kernel_args) + 1);
	c->h = (struct exo_vmm_header){EXO_VMM_MAGIC, EXO_VMM_CONFIG, sizeof(*c), nfds};
	return nfds;
}
