/*
 * What channels need of the machine: the shared memory region (window.h), the
 * guest's doorbells (bells.h), its own doorbell as an interrupt, and granted memory.
 * Nothing here happens in a guest without EXO_VMM_CHANNELS_OK.
 *
 * Threads: memory is mapped and KVM's tables are changed by the event loop only,
 * whose filter alone allows it. What a vCPU thread gives back it leaves to the
 * event loop (TIMER_CHANNELS), which does it next. channels.lock guards
 * everything; it comes after a device's lock and before timers.lock and
 * ioapic.lock.
 */
#ifndef CHANNELS_H
#define CHANNELS_H

#include "bells.h"
#include "vdev.h"
#include "window.h"

#include <exo/vmm.h>
#include <pthread.h>

#define CHANNELS_MEMS_MAX 512    /* Limit: pieces of granted memory at once */
#define CHANNELS_PRIVATE_MAX 512 /* Limit: mappings that the guest does not see */

struct vm;

struct channels {
	struct vm *vm; /* NULL: the guest has no channels */
	pthread_mutex_t lock;
	struct window window;
	struct bells bells;
	uint64_t doorbell_gpa; /* of the vsock device's configuration field */
	unsigned gsi;          /* of the vsock device */
	bool wired;            /* the guest's own doorbell interrupts it */
	unsigned nmems;
	struct channels_mem {
		uint64_t mem, offset;
	} mem[CHANNELS_MEMS_MAX];
	unsigned nprivate; /* mapped, those in doomed included */
	unsigned ndoomed;  /* to be unmapped by the event loop */
	struct channels_doomed {
		void *host;
		uint64_t bytes;
	} doomed[CHANNELS_PRIVATE_MAX + WINDOW_PIECES_MAX];
};

/* Reserves the window; before KVM is given its memory. Main thread. 0 or -errno. */
int channels_init(struct channels *c, struct vm *vm, uint64_t window_bytes);
/* The vsock device is in this slot. Main thread, before the guest runs. */
void channels_set_slot(struct channels *c, unsigned slot);

/* As vdev_host's functions of these names say; a device's lock is held. map and bell: event loop.
 */
int channels_map(struct channels *c, int fd, uint64_t bytes, unsigned flags, void **host,
		 uint64_t *offset);
void channels_unmap(struct channels *c, void *host, uint64_t bytes);
int channels_bell(struct channels *c, int fd, uint32_t key, uint32_t *value);
void channels_unbell(struct channels *c, uint32_t value, bool now);

/* TIMER_CHANNELS: what vCPU threads have left, and doorbells that nobody counts. Event loop. */
void channels_timer(struct channels *c);

/*
 * EXO_VMM_MEM_MAP, checked by control.c: fills in m->offset and m->status for the
 * answer. fd stays the caller's. Event loop.
 */
void channels_mem_map(struct channels *c, struct exo_vmm_mem *m, int fd);
/* EXO_VMM_MEM_UNMAP. An unknown number is ignored: the guest's release may cross ours. */
void channels_mem_unmap(struct channels *c, uint64_t mem);

/* Is there memory that the guest may read and not write? Any thread. */
bool channels_read_only(struct channels *c);

#endif
