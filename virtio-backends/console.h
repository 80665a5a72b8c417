/*
 * virtio-console with the three ports of include/exo/machine.h: the program's
 * standard streams and the control port (VIRTIO 1.2, 5.3).
 *
 * System calls after create: readv, writev, close; poll, recvmsg and sendmsg
 * for file descriptors that are not O_NONBLOCK; clock_gettime. The process
 * ignores SIGPIPE.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "vdev.h"

/*
 * The program's streams: any kind of file. Owned by the device once create
 * succeeded. -1: input is at its end, output is discarded. A descriptor without
 * O_NONBLOCK works too, in smaller steps.
 */
struct console_resources {
	int stdin_fd, stdout_fd, stderr_fd;
	uint16_t rows, cols; /* of the terminal, or 0 */
};

/*
 * The device, or NULL with errno set (the fds are still the caller's). Sends
 * upward (vdev_host.event): struct exo_ctl, EXO_CTL_TERMIOS or EXO_CTL_READY;
 * at most one of each for a doorbell, EXO_CTL_READY once for a start.
 */
struct vdev *console_create(const struct gmem *mem, const struct vdev_host *host,
			    const struct console_resources *res);

/* The functions below take the device's lock: not for callbacks of vdev_host. */

/*
 * Tells the program of a signal (1…63). True if the guest listens on the control
 * port; if not, it hears of it should it open the port later.
 */
bool console_signal(struct vdev *dev, unsigned signo);

/* The terminal's size changed: configuration space, RESIZE and EXO_CTL_WINCH. */
void console_winch(struct vdev *dev, uint16_t rows, uint16_t cols);

/*
 * The guest has ended: writes what it has offered on ports 0 and 1, doorbell or
 * not. True when nothing is left to be written; else call it again after the
 * event loop has run, until patience ends (a reader may be slow, or hang).
 */
bool console_drain(struct vdev *dev);

/* CLOCK_MONOTONIC ns when the first byte went out (ports 0 and 1), 0: none yet. */
uint64_t console_first_output_ns(struct vdev *dev);

#endif
