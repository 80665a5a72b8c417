/*
 * The one EXO_VMM_CONFIG message, decoded strictly (include/exo/vmm.h): sizes,
 * indices, flags, terminators and reserved fields are checked, each fd is
 * used exactly once, and then nothing needs checking any more. Main thread.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <exo/vmm.h>
#include <stddef.h>

struct config {
	struct exo_vmm_config wire;         /* its fd indices are spent */
	int program_fd, initrd_fd, args_fd; /* initrd_fd -1: none */
	int stdin_fd, stdout_fd, stderr_fd; /* -1: none */
	int listen_fd;                      /* -1: none */
	int guest_bell_fd, vmm_bell_fd;     /* with EXO_VMM_CHANNELS_OK, else -1 */
	int picture_fd, display_fd;         /* with EXO_VMM_SCREEN, else -1 */
	int disk_fd[EXO_VMM_DISKS_MAX];
};

/*
 * Decodes one packet of len bytes with nfds descriptors. 0: the fds are in *c,
 * owned by the caller. -EINVAL with *why a constant string: they all are closed.
 */
int config_decode(struct config *c, const void *packet, size_t len, const int *fds, unsigned nfds,
		  const char **why);

#endif
