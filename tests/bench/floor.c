/*
 * The floor of a launch: the least a program can do to run one instruction in
 * a machine of its own. Creates a VM, a split irqchip, memory and one vCPU in
 * 64-bit user mode, lets it execute a single store that leaves to user space,
 * and exits. No loader, no devices, no sandbox: what every launch pays on top
 * of this is ours to explain.
 *
 * usage: floor [--stages]   prints one byte when the guest has run, so that
 * "to the first byte" can be compared too.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM_BYTES (2u << 20)
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD 0x3000u
#define CODE 0x4000u
#define MMIO_GPA 0x400000u /* beyond RAM: a store here leaves to user space */

#define PTE_P 0x01u
#define PTE_W 0x02u
#define PTE_U 0x04u
#define PTE_AD 0x60u
#define PTE_PS 0x80u

#define CR0_PE 0x1u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NX 0x800u

enum { T_START, T_VM, T_IRQCHIP, T_MEMORY, T_VCPU, T_RUN, T_COUNT };
static const char *const stage_name[T_COUNT] = {"start",  "create VM",   "irqchip",
						"memory", "create vCPU", "first run"};

static void die(const char *what)
{
	perror(what);
	exit(125);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* mov %eax, MMIO_GPA (absolute 32-bit, sign-extended) */
static void write_code(uint8_t *ram)
{
	uint32_t target = MMIO_GPA;
	uint8_t code[7] = {0x89, 0x04, 0x25};
	memcpy(code + 3, &target, sizeof(target));
	memcpy(ram + CODE, code, sizeof(code));
}

static void write_tables(uint8_t *ram)
{
	uint64_t flags = PTE_P | PTE_W | PTE_U | PTE_AD;
	uint64_t pml4 = PDPT | flags, pdpt = PD | flags;
	uint64_t pd[3] = {flags | PTE_PS, 0, MMIO_GPA | flags | PTE_PS};
	memcpy(ram + PML4, &pml4, sizeof(pml4));
	memcpy(ram + PDPT, &pdpt, sizeof(pdpt));
	memcpy(ram + PD, pd, sizeof(pd));
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, unsigned s, unsigned dpl)
{
	struct kvm_segment seg = {.limit = 0xffffffff,
				  .selector = selector,
				  .type = type,
				  .present = 1,
				  .dpl = (uint8_t)dpl,
				  .s = (uint8_t)s,
				  .g = 1};
	return seg;
}

static void set_registers(int vcpu)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = CODE, .rflags = 2, .rsp = CODE};

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		die("KVM_GET_SREGS");
	sregs.cs = segment(0x33, 11, 1, 3);
	sregs.cs.l = 1;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = segment(0x2b, 3, 1, 3);
	sregs.tr = segment(0x40, 11, 0, 0);
	sregs.tr.limit = 0x67;
	sregs.tr.g = 0;
	sregs.cr0 = CR0_PE | CR0_PG;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA | EFER_NX;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		die("KVM_SET_SREGS");
	if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		die("KVM_SET_REGS");
}

int main(int argc, char **argv)
{
	uint64_t t[T_COUNT];
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {24}};
	struct kvm_userspace_memory_region region = {.memory_size = RAM_BYTES};

	t[T_START] = now_ns();
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		die("KVM_CREATE_VM");
	t[T_VM] = now_ns();
	if (ioctl(vm, KVM_ENABLE_CAP, &split) < 0)
		die("KVM_CAP_SPLIT_IRQCHIP");
	t[T_IRQCHIP] = now_ns();
	uint8_t *ram =
		mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		die("guest memory");
	write_tables(ram);
	write_code(ram);
	region.userspace_addr = (uintptr_t)ram;
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		die("KVM_SET_USER_MEMORY_REGION");
	t[T_MEMORY] = now_ns();
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		die("KVM_CREATE_VCPU");
	int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run =
		mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		die("vCPU");
	set_registers(vcpu);
	t[T_VCPU] = now_ns();
	if (ioctl(vcpu, KVM_RUN, 0) < 0)
		die("KVM_RUN");
	t[T_RUN] = now_ns();
	if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != MMIO_GPA) {
		fprintf(stderr, "floor: unexpected exit %u\n", run->exit_reason);
		return 125;
	}
	if (write(STDOUT_FILENO, "\n", 1) != 1)
		return 125;
	if (argc > 1 && !strcmp(argv[1], "--stages")) {
		for (int i = 1; i < T_COUNT; i++)
			fprintf(stderr, "%-12s %6.0f us\n", stage_name[i],
				(double)(t[i] - t[i - 1]) / 1e3);
	}
	return 0;
}
