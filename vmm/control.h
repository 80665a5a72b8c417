/*
 * The shell's messages while the guest runs, and ours to it (include/exo/vmm.h).
 * Decoded strictly: what is unexpected ends the guest, as a hang-up does.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

/* One message from the shell is there, or its hang-up. A loop_fn; opaque: the struct vm. */
void control_receive(void *opaque, int fd, uint32_t events);

/*
 * A device's upward message, handed on to the shell. Any thread, the device's
 * lock is held. When the shell has not read for so long that the socket is full,
 * it waits in a queue; see link.h for that one's limits.
 */
void control_forward(struct vm *vm, bool from_console, const void *msg, size_t len);

#endif
