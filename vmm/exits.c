/*
 * What a vCPU left KVM for, and what becomes of it: docs/vmm.md has the table of
 * end reasons. Runs in the vCPU's thread. Whatever is in kvm_run was put there
 * by the kernel, but follows from what the guest did.
 */
#include "symbols.h"
#include "vm.h"

#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define PORT_KEYBOARD 0x64 /* status and commands */
#define KEYBOARD_RESET 0xfe
#define PORT_CMOS_DATA 0x71
#define PORT_RESET 0xcf9
#define RESET_CPU 4u

/* " at rip …", or nothing if the registers can't be had. */
static void say_where(const struct vcpu *v, char *text, size_t bytes)
{
	char name[SYMBOLS_NAME_MAX];
	struct kvm_regs regs;

	*text = 0;
	if (ioctl(v->fd, KVM_GET_REGS, &regs))
		return;
	symbols_format(v->vm->config.program_fd, regs.rip, name, sizeof(name));
	snprintf(text, bytes, " in %s", name);
}

static bool in_window(const struct vm *vm, gpa_t gpa)
{
	return gpa - EXO_WINDOW_GPA < vm->channels.window.bytes;
}

static void handle_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	char where[SYMBOLS_NAME_MAX + 8];

	if (bus_access(&v->vm->bus, run->mmio.phys_addr, run->mmio.is_write, run->mmio.data,
		       run->mmio.len))
		return;
	say_where(v, where, sizeof(where));
	if (run->mmio.is_write && in_window(v->vm, run->mmio.phys_addr))
		vm_end(v->vm, EXO_END_FAULT, SIGSEGV,
		       "write to memory that it was granted to read%s", where);
	vm_end(v->vm, EXO_END_HOLE, 0, "%s 0x%llx%s: neither memory nor device",
	       run->mmio.is_write ? "write to" : "read of", (unsigned long long)run->mmio.phys_addr,
	       where);
}

/* What kernels do to restart a PC: the keyboard controller's pulse, the chipset's register. */
static bool asks_for_reset(uint16_t port, uint8_t value)
{
	return (port == PORT_KEYBOARD && value == KEYBOARD_RESET) ||
	       (port == PORT_RESET && (value & RESET_CPU));
}

/*
 * There are no devices at ports, only ways to end: reads give all ones as an
 * empty bus does, but for the CMOS clock, where an update-in-progress bit would
 * make Linux wait, and the keyboard controller, which is never busy.
 */
static void handle_io(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	size_t bytes = (size_t)run->io.size * run->io.count;
	uint8_t *data = (uint8_t *)v->run + run->io.data_offset;
	uint16_t port = run->io.port;

	if (run->io.data_offset > v->vm->kvm.run_bytes ||
	    bytes > v->vm->kvm.run_bytes - run->io.data_offset)
		return;
	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, port == PORT_CMOS_DATA || port == PORT_KEYBOARD ? 0 : 0xff, bytes);
	else if (bytes == 1 && asks_for_reset(port, *data))
		vm_end(v->vm, EXO_END_RESET, 0, "%s", "");
}

/* Did the CPU try to run where there is no memory? KVM calls that an emulation failure. */
static bool ran_into_hole(const struct vcpu *v, uint64_t *rip)
{
	struct kvm_translation tr = {0};
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(v->fd, KVM_GET_REGS, &regs) || ioctl(v->fd, KVM_GET_SREGS, &sregs))
		return false;
	*rip = regs.rip;
	tr.linear_address = regs.rip + (sregs.cs.l ? 0 : sregs.cs.base);
	if (ioctl(v->fd, KVM_TRANSLATE, &tr) || !tr.valid)
		return false;
	return !gmem_ptr(&v->vm->mem, tr.physical_address, 1);
}

static void handle_internal_error(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	char where[SYMBOLS_NAME_MAX + 8], code[3 * 15 + 1] = "";
	uint64_t rip = 0;

	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		say_where(v, where, sizeof(where));
		vm_end(v->vm, EXO_END_INTERNAL, 0, "KVM internal error %u%s",
		       run->internal.suberror, where);
	}
	if (ran_into_hole(v, &rip))
		vm_end(v->vm, EXO_END_HOLE, 0, "ran at 0x%llx: neither memory nor device",
		       (unsigned long long)rip);
	if (run->emulation_failure.ndata >= 3 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		unsigned n = run->emulation_failure.insn_size;

		for (unsigned i = 0; i < n && i < 15; i++)
			snprintf(code + 3 * i, 4, " %02x", run->emulation_failure.insn_bytes[i]);
	}
	say_where(v, where, sizeof(where));
	vm_end(v->vm, EXO_END_INTERNAL, 0, "an instruction that KVM cannot emulate%s%s%s", where,
	       *code ? ":" : "", code);
}

static void handle_system_event(struct vcpu *v)
{
	if (v->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN)
		vm_end(v->vm, EXO_END_POWEROFF, 0, "%s", "");
	if (v->run->system_event.type == KVM_SYSTEM_EVENT_RESET)
		vm_end(v->vm, EXO_END_RESET, 0, "%s", "");
	vm_end(v->vm, EXO_END_INTERNAL, 0, "KVM system event %u", v->run->system_event.type);
}

/* KVM_EXIT_MEMORY_FAULT of Linux 6.8, which says where; older headers lack it. */
#define EXIT_MEMORY_FAULT 39

struct memory_fault {
	uint64_t flags, gpa, size;
};

_Noreturn void vcpu_handle_fault(struct vcpu *v)
{
	bool read_only = channels_read_only(&v->vm->channels);
	char where[SYMBOLS_NAME_MAX + 8];
	struct memory_fault fault;

	if (read_only && v->run->exit_reason == EXIT_MEMORY_FAULT) {
		memcpy(&fault, v->run->padding, sizeof(fault));
		read_only = in_window(v->vm, fault.gpa);
	}
	if (!read_only)
		vm_end(v->vm, EXO_END_HOST, 0, "the host has no memory left for the guest");
	say_where(v, where, sizeof(where));
	vm_end(v->vm, EXO_END_FAULT, SIGSEGV, "write to memory that it was granted to read%s",
	       where);
}

void vcpu_handle_exit(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	char where[SYMBOLS_NAME_MAX + 8];

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		handle_mmio(v);
		return;
	case KVM_EXIT_IO:
		handle_io(v);
		return;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_IOAPIC_EOI: /* level-triggered entries are served as edge */
		return;
	case KVM_EXIT_SHUTDOWN:
		say_where(v, where, sizeof(where));
		vm_end(v->vm, EXO_END_TRIPLE_FAULT, 0, "triple fault%s", where);
	case KVM_EXIT_INTERNAL_ERROR:
		handle_internal_error(v);
		return;
	case KVM_EXIT_FAIL_ENTRY:
		vm_end(v->vm, EXO_END_ENTRY, 0, "the CPU refused to enter the guest: 0x%llx",
		       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_HLT: /* not with a local APIC in the kernel, which waits itself */
		vm_end(v->vm, EXO_END_HALTED, 0, "halted with nothing to wake it");
	case KVM_EXIT_SYSTEM_EVENT:
		handle_system_event(v);
		return;
	}
	vm_end(v->vm, EXO_END_INTERNAL, 0, "KVM exit %u, which is not ours to handle",
	       run->exit_reason);
}
