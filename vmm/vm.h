/*
 * One guest and everything that belongs to it. There is one struct vm in the
 * process, owned by main.c.
 *
 * Threads: the main thread builds the machine and becomes vCPU 0. The event loop
 * and each further vCPU have a thread of their own, which waits until the guest
 * may run. What was set up before that is read-only afterwards, unless its
 * own header says how it is locked.
 */
#ifndef VM_H
#define VM_H

#include "boot.h"
#include "bus.h"
#include "channels.h"
#include "config.h"
#include "devices.h"
#include "display.h"
#include "gate.h"
#include "ioapic.h"
#include "kvm.h"
#include "link.h"
#include "loop.h"
#include "platform.h"
#include "ram.h"
#include "vcpu.h"

enum vm_phase {
	VM_RUN = 1, /* the guest may run */
	VM_NEVER,   /* to wait for the process's end */
};

struct vm {
	pid_t pid;
	int sock_fd; /* the shell, or -1: nobody listens; see link.h */
	struct kvm kvm;
	struct config config;
	struct image image;
	struct ram ram;
	struct gmem mem;
	struct boot_entry entry;
	struct bus bus;
	struct ioapic ioapic;
	struct platform platform;
	struct devices devices;
	struct channels channels;
	struct display display;
	struct loop loop;
	unsigned cpus; /* 0 until the configuration is there */
	struct vcpu vcpu[EXO_VMM_CPUS_MAX];
	uint64_t tsc_hz, wall_ns, wall_tsc; /* of the first vCPU; 0: unknown */

	pthread_t loop_thread;     /* the event loop's */
	struct gate sealed;        /* 1: the event loop's thread is */
	struct gate prepared;      /* how many vCPUs exist and have their first settings */
	struct gate gate;          /* enum vm_phase, by the main thread */
	_Atomic unsigned paused;   /* 1: no vCPU runs the guest; also the futex; see pause.h */
	_Atomic unsigned parked;   /* vCPUs that wait because of it; also a futex */
	pthread_mutex_t send_lock; /* one message at a time; guards said_started, sock_fd, link */
	bool said_started;
	struct link link;
	_Atomic bool started; /* the vCPUs run */

	/* The guest's end, see end.c. */
	pthread_mutex_t end_lock; /* guards the first decision: ended */
	_Atomic bool ending;
	struct exo_vmm_ended ended;
	_Atomic uint64_t drain_until_ns;  /* 0: not draining; set before the loop is woken */
	bool killed;                      /* while it was ending; event loop */
	uint64_t watch_ns, watch_step_ns; /* watchdog.c, event loop */
	_Atomic uint64_t stage_ns[EXO_STAGES];
};

void vm_stage(struct vm *vm, enum exo_stage stage);

/*
 * Ends the guest and with it this process: says so to the shell, once. The
 * first reason counts; other threads that come here wait for the exit. Any
 * thread, at any time, with no device's lock held. The text is one line, made
 * printable here.
 */
_Noreturn __attribute__((format(printf, 4, 5))) void vm_end(struct vm *vm, enum exo_end reason,
							    unsigned status, const char *fmt, ...);
/*
 * The same for the event loop: at once, so that what the guest sent and the host
 * has not taken yet is lost. Returns if the guest is already ending; it then
 * gets a moment.
 */
__attribute__((format(printf, 4, 5))) void vm_kill(struct vm *vm, enum exo_end reason,
						   unsigned status, const char *fmt, ...);
/* For the event loop: sends the end that waits for data to leave, when it has left. */
void vm_end_poll(struct vm *vm);

#endif
