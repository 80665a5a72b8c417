/* Decoding the configuration; see config.h. */
#include "config.h"

#include "ram.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define FLAGS \
	(EXO_VMM_HUGEPAGES | EXO_VMM_PREFAULT | EXO_VMM_VSOCK | EXO_VMM_RNG | EXO_VMM_OUTLIVE | \
	 EXO_VMM_TIMINGS | EXO_VMM_CHANNELS_OK | EXO_VMM_SCREEN)
#define INPUTS \
	(EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET | EXO_DPY_HAS_MOUSE | EXO_DPY_HAS_TOUCH | \
	 EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE)
#define SOUND (EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE)
#define PICTURE_ALIGN (2u << 20)
#define WINDOW_ALIGN (2u << 20)
#define BOOT_FLAGS (EXO_BOOT_TTY_IN | EXO_BOOT_TTY_OUT | EXO_BOOT_TTY_ERR | EXO_BOOT_STDIN_NULL)

/* Hands out each fd of the message once. */
struct purse {
	const int *fds;
	unsigned nfds;
	uint32_t spent;
	bool bad;
};

static int spend(struct purse *p, uint32_t index, bool optional)
{
	if (index == EXO_VMM_NO_FD && optional)
		return -1;
	if (index >= p->nfds || p->spent & 1u << index) {
		p->bad = true;
		return -1;
	}
	p->spent |= 1u << index;
	return p->fds[index];
}

static bool terminated(const char *s, size_t bytes)
{
	return memchr(s, 0, bytes);
}

static const char *check_disks(const struct exo_vmm_config *w)
{
	if (w->ndisks > EXO_VMM_DISKS_MAX)
		return "configuration: number of disks";
	for (unsigned i = 0; i < w->ndisks; i++) {
		const struct exo_vmm_disk *d = &w->disk[i];

		if (d->flags & ~EXO_VMM_DISK_RO || !d->bytes || d->bytes % 512 ||
		    d->bytes > INT64_MAX || !terminated(d->name, sizeof(d->name)))
			return "configuration: a disk";
	}
	return NULL;
}

/* With channels all of it is there, without them nothing. */
static const char *check_channels(const struct exo_vmm_config *w)
{
	bool on = w->flags & EXO_VMM_CHANNELS_OK;

	if (on != (w->guest_bell_fd != EXO_VMM_NO_FD) || on != (w->vmm_bell_fd != EXO_VMM_NO_FD) ||
	    on != (w->window_bytes != 0))
		return "configuration: channels";
	if (on && (!(w->flags & EXO_VMM_VSOCK) || w->window_bytes > EXO_WINDOW_MAX ||
		   w->window_bytes % WINDOW_ALIGN))
		return "configuration: channels";
	if (w->listen_fd != EXO_VMM_NO_FD && !(w->flags & EXO_VMM_OUTLIVE))
		return "configuration: a socket to listen on";
	return NULL;
}

/* The same of the display. */
static const char *check_screen(const struct exo_vmm_config *w)
{
	bool on = w->flags & EXO_VMM_SCREEN;

	if (w->reserved || on != (w->picture_fd != EXO_VMM_NO_FD))
		return "configuration: display";
	if (!on)
		return w->display_fd != EXO_VMM_NO_FD || w->picture_bytes || w->scanouts ||
				       w->inputs || w->width || w->height || w->scale
			       ? "configuration: display"
			       : NULL;
	if (w->picture_bytes < EXO_DPY_PICTURE_BYTES_MIN ||
	    w->picture_bytes > EXO_DPY_PICTURE_BYTES_MAX ||
	    (w->picture_bytes % PICTURE_ALIGN && w->picture_bytes != EXO_DPY_PICTURE_BYTES_MIN))
		return "configuration: picture memory's size";
	if (!w->scanouts || w->scanouts > EXO_DPY_SCANOUTS_MAX || w->inputs & ~INPUTS ||
	    !w->width || w->width > EXO_DPY_SIZE_MAX || !w->height ||
	    w->height > EXO_DPY_SIZE_MAX || w->scale < EXO_DPY_SCALE_MIN ||
	    w->scale > EXO_DPY_SCALE_MAX)
		return "configuration: display";
	return NULL;
}

/* Console, disks, then what the flags say: see devices_init. */
static const char *count_devices(const struct exo_vmm_config *w)
{
	unsigned n = 1 + w->ndisks + !!(w->flags & EXO_VMM_RNG) + !!(w->flags & EXO_VMM_VSOCK);

	if (w->flags & EXO_VMM_SCREEN)
		n += 1 + (unsigned)__builtin_popcount(w->inputs & ~SOUND) + !!(w->inputs & SOUND);
	return n > EXO_MMIO_SLOTS ? "more than 16 devices: give it fewer disks or inputs" : NULL;
}

static const char *check(const struct exo_vmm_config *w, size_t len, unsigned nfds)
{
	const char *why;

	if (len != sizeof(*w) || w->h.magic != EXO_VMM_MAGIC || w->h.type != EXO_VMM_CONFIG ||
	    w->h.size != len || w->h.nfds != nfds)
		return "configuration: not one of ours";
	if (w->ram_bytes < RAM_BYTES_MIN || w->ram_bytes > RAM_BYTES_MAX || w->ram_bytes % 4096)
		return "configuration: memory size";
	if (w->cpus < 1 || w->cpus > EXO_VMM_CPUS_MAX)
		return "configuration: number of CPUs";
	if (w->flags & ~FLAGS || w->boot_flags & ~BOOT_FLAGS)
		return "configuration: unknown flags";
	if (w->args_bytes > EXO_VMM_ARGS_MAX || w->argc > w->args_bytes ||
	    w->envc > w->args_bytes - w->argc)
		return "configuration: arguments";
	if (w->tty_rows > UINT16_MAX || w->tty_cols > UINT16_MAX)
		return "configuration: terminal size";
	if (!terminated(w->name, sizeof(w->name)) || !terminated(w->cmdline, sizeof(w->cmdline)))
		return "configuration: text without end";
	why = check_channels(w);
	why = why ? why : check_disks(w);
	why = why ? why : check_screen(w);
	return why ? why : count_devices(w);
}

static const char *take_fds(struct config *c, const int *fds, unsigned nfds)
{
	struct purse purse = {.fds = fds, .nfds = nfds};
	const struct exo_vmm_config *w = &c->wire;

	c->program_fd = spend(&purse, w->program_fd, false);
	c->initrd_fd = spend(&purse, w->initrd_fd, true);
	c->args_fd = spend(&purse, w->args_fd, false);
	c->stdin_fd = spend(&purse, w->stdin_fd, true);
	c->stdout_fd = spend(&purse, w->stdout_fd, true);
	c->stderr_fd = spend(&purse, w->stderr_fd, true);
	c->listen_fd = spend(&purse, w->listen_fd, true);
	c->guest_bell_fd = spend(&purse, w->guest_bell_fd, true);
	c->vmm_bell_fd = spend(&purse, w->vmm_bell_fd, true);
	c->picture_fd = spend(&purse, w->picture_fd, true);
	c->display_fd = spend(&purse, w->display_fd, true);
	for (unsigned i = 0; i < EXO_VMM_DISKS_MAX; i++)
		c->disk_fd[i] = i < w->ndisks ? spend(&purse, w->disk[i].fd, false) : -1;
	if (purse.bad || purse.spent != (1u << nfds) - 1)
		return "configuration: file descriptors";
	return NULL;
}

int config_decode(struct config *c, const void *packet, size_t len, const int *fds, unsigned nfds,
		  const char **why)
{
	memset(c, 0, sizeof(*c));
	memcpy(&c->wire, packet, len < sizeof(c->wire) ? len : sizeof(c->wire));
	*why = nfds > EXO_VMM_FDS_MAX ? "configuration: too many fds" : check(&c->wire, len, nfds);
	if (!*why)
		*why = take_fds(c, fds, nfds);
	if (!*why)
		return 0;
	for (unsigned i = 0; i < nfds; i++)
		close(fds[i]);
	return -EINVAL;
}
