/*
 * The virtual machine as KVM sees it (Documentation/virt/kvm/api.rst): a VM
 * with a split interrupt controller, that is local APICs in the kernel and the
 * I/O APIC here (ioapic.h).
 *
 * RAM is registered before any doorbell or interrupt line: the first of those
 * queues an SRCU grace period, and a change of memory after it waits for that.
 *
 * All functions return 0 or -errno; any thread, once kvm_init has returned.
 */
#ifndef KVM_H
#define KVM_H

#include <exo/le.h>
#include <stdbool.h>
#include <stddef.h>

struct kvm {
	int sys_fd;       /* /dev/kvm */
	int fd;           /* the VM */
	size_t run_bytes; /* of a vCPU's shared page and what follows it */
};

/* -ENOSYS: this KVM is not version 12, or lacks the split interrupt controller. */
int kvm_init(struct kvm *k, int sys_fd);
void kvm_finish(struct kvm *k);

int kvm_set_ram(const struct kvm *k, unsigned slot, gpa_t base, void *host, uint64_t bytes);

/* Sends a message to the local APICs. */
int kvm_signal_msi(const struct kvm *k, uint64_t address, uint32_t data);

/*
 * A 32-bit write of `value` to gpa rings fd, without an exit; or (on false) no
 * longer: -ENOENT if it did not.
 */
int kvm_set_doorbell(const struct kvm *k, int fd, gpa_t gpa, uint32_t value, bool on);

/*
 * The message that interrupt line gsi sends, if `on`. Limit: the table has this line
 * only; a line without an entry sends nothing.
 */
int kvm_set_route(const struct kvm *k, unsigned gsi, bool on, uint64_t address, uint32_t data);
/* Ringing fd raises line gsi from now on. What rang before counts. */
int kvm_add_irqfd(const struct kvm *k, int fd, unsigned gsi);

#endif
