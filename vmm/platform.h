/*
 * The platform page (include/exo/machine.h): how a guest ends, says why it
 * failed, and hands over a list of register accesses. Called in vCPU threads;
 * it has no state of its own, so it needs no lock.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include "bus.h"
#include "gmem.h"

#include <exo/vmm.h>

struct platform_ops {
	/* The guest ended. `detail` is one line, not yet made printable; may be "". */
	void (*end)(void *opaque, enum exo_end reason, unsigned status, const char *detail);
	/* One 32-bit access of a batch to a virtio-mmio slot. */
	void (*access)(void *opaque, gpa_t gpa, bool write, uint32_t *value);
};

struct platform {
	const struct platform_ops *ops;
	void *opaque;
	const struct gmem *mem;
	int program_fd; /* for names in fault reports; not owned; -1: none */
};

extern const struct bus_handler platform_handler; /* opaque: the struct platform */

/* The line that says what a fault report says. Any thread. */
void platform_describe_fault(const struct exo_fault *fault, int program_fd, char *line,
			     size_t line_bytes);

#endif
