/*
 * The I/O APIC (82093AA register model): 24 pins whose redirection entries say
 * which message the local APICs get. The messages go through struct ioapic_ops.
 *
 * Every pin is edge-triggered. An entry may be programmed as level; it is then
 * served as edge too, which loses nothing here: each event of a device
 * raises its pin anew. An edge on a masked pin is kept and sent when unmasked.
 *
 * Threads: any; ioapic.lock guards everything and is held around the upcalls.
 */
#ifndef IOAPIC_H
#define IOAPIC_H

#include "bus.h"

#include <exo/machine.h>
#include <pthread.h>

struct ioapic_ops {
	/* Pin's message is to be sent now. */
	void (*send)(void *opaque, unsigned pin, uint64_t address, uint32_t data);
	/*
	 * The wired pin's message is this from now on, or (on false) it is masked. 0 or
	 * -errno, which only ioapic_wire passes on. Optional without wired pin.
	 */
	int (*route)(void *opaque, unsigned pin, bool on, uint64_t address, uint32_t data);
};

struct ioapic {
	const struct ioapic_ops *ops;
	void *opaque;
	pthread_mutex_t lock;
	uint32_t index;
	uint32_t id;
	uint32_t kept; /* bit n: an edge on pin n waits for it to be unmasked */
	int wired;     /* the pin that somebody else raises as well, or -1 */
	uint64_t entry[EXO_IOAPIC_PINS];
};

extern const struct bus_handler ioapic_handler; /* opaque: the struct ioapic */

void ioapic_init(struct ioapic *io, const struct ioapic_ops *ops, void *opaque);
/* An edge on a pin below EXO_IOAPIC_PINS. */
void ioapic_raise(struct ioapic *io, unsigned pin);
/*
 * Somebody who is not asked for the entry (an irqfd) raises this pin too, by
 * what ops.route was told last: it is told now, and at each change. As edges
 * that come while it is masked are not seen here, unmasking it counts as one.
 * Limit: one pin. 0 or ops.route's error.
 */
int ioapic_wire(struct ioapic *io, unsigned pin);
/* Can a pin deliver something else than an ordinary interrupt (NMI, INIT, …)? */
bool ioapic_has_special(struct ioapic *io);

#endif
