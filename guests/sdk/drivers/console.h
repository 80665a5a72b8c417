/*
 * Driver of virtio-console with the ports of <exo/machine.h>: standard streams
 * and the control port (VIRTIO 1.2, 5.3). Also works with QEMU's device, with
 * ports named exo.stderr and exo.control or without, and with a single port.
 * Set up by the first call of any function below.
 */
#ifndef DRIVERS_CONSOLE_H
#define DRIVERS_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Writes all bytes and waits until the host took them; the buffers are handed
 * to the device as they are. `port` is 0 or 1. Bytes, or -errno: -EPIPE when
 * nobody reads any more (or -ENOSPC… as the host met it), -EIO without a device.
 * nonblock: takes what fits into a buffer of the driver, or -EAGAIN.
 */
long console_write(unsigned port, const struct iovec *iov, int n, bool nonblock);
/* Room for a non-blocking write, or an error to report. */
bool console_writable(unsigned port);
/* Waits for everything written without blocking; gives up when the host is stuck. */
void console_flush(void);

/* Bytes of standard input, 0 at its end; waits unless nonblock. */
long console_read(const struct iovec *iov, int n, bool nonblock);
/* Is there input or its end? Asks the device for input as a side effect. */
bool console_readable(void);
/* The program is done with that port: the host may close its end. */
void console_close(unsigned port);

/* What threads sleep on, woken by the device's interrupt. */
extern const char console_chan;

/* Sends a record to the host (EXO_CTL_TERMIOS, EXO_CTL_READY). 0 or -errno. */
int console_control(uint32_t type, uint32_t arg0);
/* Makes signals from the host reach the program, if there is a control port. */
void console_listen(void);
bool console_listening(void);

#endif
