/* The virtual machine as KVM sees it; see kvm.h. */
#include "kvm.h"

#include <errno.h>
#include <exo/machine.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int call(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

int kvm_init(struct kvm *k, int sys_fd)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {EXO_IOAPIC_PINS}};
	int version, bytes, err;

	*k = (struct kvm){.sys_fd = sys_fd, .fd = -1};
	version = ioctl(sys_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return version < 0 ? -errno : -ENOSYS;
	bytes = ioctl(sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run))
		return bytes < 0 ? -errno : -ENOSYS;
	k->run_bytes = (size_t)bytes;
	do {
		k->fd = ioctl(sys_fd, KVM_CREATE_VM, 0);
	} while (k->fd < 0 && errno == EINTR);
	if (k->fd < 0)
		return -errno;
	err = call(k->fd, KVM_ENABLE_CAP, &split);
	return err == -EINVAL ? -ENOSYS : err;
}

void kvm_finish(struct kvm *k)
{
	if (k->fd >= 0)
		close(k->fd);
	if (k->sys_fd >= 0)
		close(k->sys_fd);
	k->fd = k->sys_fd = -1;
}

int kvm_set_ram(const struct kvm *k, unsigned slot, gpa_t base, void *host, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = base,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)host,
	};

	return call(k->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

int kvm_signal_msi(const struct kvm *k, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = (uint32_t)address,
		.address_hi = (uint32_t)(address >> 32),
		.data = data,
	};

	return call(k->fd, KVM_SIGNAL_MSI, &msi);
}

int kvm_set_doorbell(const struct kvm *k, int fd, gpa_t gpa, uint32_t value, bool on)
{
	struct kvm_ioeventfd bell = {
		.datamatch = value,
		.addr = gpa,
		.len = 4,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH | (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return call(k->fd, KVM_IOEVENTFD, &bell);
}

int kvm_set_route(const struct kvm *k, unsigned gsi, bool on, uint64_t address, uint32_t data)
{
	union {
		struct kvm_irq_routing table;
		uint8_t bytes[sizeof(struct kvm_irq_routing) +
			      sizeof(struct kvm_irq_routing_entry)];
	} u = {.table.nr = on};
	struct kvm_irq_routing_entry *e = u.table.entries;

	e->gsi = gsi;
	e->type = KVM_IRQ_ROUTING_MSI;
	e->u.msi.address_lo = (uint32_t)address;
	e->u.msi.address_hi = (uint32_t)(address >> 32);
	e->u.msi.data = data;
	return call(k->fd, KVM_SET_GSI_ROUTING, &u);
}

int kvm_add_irqfd(const struct kvm *k, int fd, unsigned gsi)
{
	struct kvm_irqfd line = {.fd = (uint32_t)fd, .gsi = gsi};

	return call(k->fd, KVM_IRQFD, &line);
}
