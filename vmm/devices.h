/*
 * The guest's devices: an explicit table built from the configuration. Slot n
 * of the virtio-mmio window holds the n-th device and interrupts on GSI
 * EXO_GSI_BASE + n. Also what devices may ask of the process (struct vdev_host):
 * fds in the event loop, timers, messages to the shell.
 *
 * Threads: built by the main thread before any vCPU runs; then as mmio.h and
 * vdev.h say.
 */
#ifndef DEVICES_H
#define DEVICES_H

#include "bus.h"
#include "config.h"
#include "loop.h"
#include "mmio.h"
#include "timers.h"

struct vm;

/* Timers of the event loop: one a slot, then these. */
enum {
	TIMER_WATCHDOG = EXO_MMIO_SLOTS,
	TIMER_DOORBELLS, /* busy doorbells to promote */
	TIMER_END,
	TIMER_CHANNELS, /* channels.h */
	TIMER_LINK,     /* link.h */
};

struct devices {
	struct vm *vm;
	struct mmio slot[EXO_MMIO_SLOTS];
	unsigned n;
	struct vdev *console, *vsock; /* vsock: or NULL */
	struct vdev_host host;
	struct timers timers;
	_Atomic uint32_t busy[EXO_MMIO_SLOTS]; /* queues whose doorbell is to be promoted */
	struct watch {
		struct vdev *dev;
		_Atomic uint64_t token;
	} watch[LOOP_CHUNK]; /* by fd; dev is written before the loop knows the fd */
	struct bell {
		struct mmio *mmio;
		unsigned q;
	} bell[EXO_MMIO_SLOTS * 3]; /* Limit: so many doorbells become ioeventfds, the rest exit */
	unsigned nbells;
	struct exo_boot_device boot[EXO_MMIO_SLOTS];
};

extern const struct bus_handler devices_handler; /* all slots; opaque: the struct devices */

/*
 * Creates the devices that the configuration asks for; takes its fds that they
 * use. 0 or -errno with *what naming what failed.
 */
int devices_init(struct devices *d, struct vm *vm, const char **what);

/* One 32-bit register access of a batch; other addresses than the slots' read 0. */
void devices_access(struct devices *d, gpa_t gpa, bool write, uint32_t *value);

/* Turns busy doorbells into ioeventfds. Event loop, on TIMER_DOORBELLS. */
void devices_promote(struct devices *d);
/* A slot's timer is due. Event loop. */
void devices_timer(struct devices *d, unsigned slot);

/* The guest has ended: takes what it left in its queues for others to read. */
void devices_hurry(struct devices *d);
/*
 * Is there output or, if patient, data on connections that the guest has sent and
 * the host has not taken yet? Tries to be rid of it.
 */
bool devices_pending(struct devices *d, bool patient);

/* EXO_STAGE_DRIVER and EXO_STAGE_OUTPUT. */
void devices_stages(struct devices *d, _Atomic uint64_t *stage_ns);
/* Adds up the devices' counters. */
void devices_count(struct devices *d, struct exo_vmm_stats *stats);

#endif
