/*
 * The machine a guest sees: addresses, the platform page and the boot
 * information block. Shared by exo-vmm and the guest SDK; described for
 * readers in docs/machine.md.
 */
#ifndef EXO_MACHINE_H
#define EXO_MACHINE_H

#include <stdint.h>

/* ---- guest-physical layout ------------------------------------------- */

#define EXO_LOW_RAM_END 0xc0000000ull    /* RAM below 4 GiB ends here at the latest */
#define EXO_WINDOW_GPA 0xc0000000ull     /* the vsock device's shared memory region… */
#define EXO_WINDOW_MAX 0x10000000ull     /* …and how large it is at most */
#define EXO_PICTURE_GPA 0xe0000000ull    /* the gpu's shared memory region: picture memory */
#define EXO_HIGH_RAM_BASE 0x100000000ull /* RAM beyond 3 GiB continues here */
#define EXO_PLATFORM_GPA 0xd0000000ull   /* the platform page, below */
#define EXO_MMIO_BASE 0xd0001000ull      /* virtio-mmio slot n: base + n * stride */
#define EXO_MMIO_STRIDE 0x1000ull        /* of which the transport uses 0x200 + config */
#define EXO_MMIO_SLOTS 16
#define EXO_GSI_BASE 8 /* slot n interrupts on GSI (I/O APIC pin) base + n, edge */
#define EXO_IOAPIC_GPA 0xfec00000ull
#define EXO_IOAPIC_PINS 24
#define EXO_LAPIC_GPA 0xfee00000ull
#define EXO_ACPI_GPA 0xe0000ull /* RSDP and the tables behind it, up to 1 MiB */
#define EXO_ACPI_SIZE 0x20000ull
#define EXO_BOOT_GPA 0x1000ull /* start info, command line, boot block */
#define EXO_CMDLINE_MAX 4096   /* bytes, terminator included */

/* ---- platform page ---------------------------------------------------- */

/*
 * 32-bit registers unless said otherwise. Unknown offsets read 0; writes to
 * them are dropped.
 */
#define EXO_PLAT_MAGIC 0x00        /* R: EXO_PLAT_MAGIC_VALUE */
#define EXO_PLAT_VERSION 0x04      /* R: EXO_PLAT_VERSION_VALUE */
#define EXO_PLAT_EXIT 0x08         /* W: the guest ends; low 8 bits are its exit status */
#define EXO_PLAT_SIGNAL 0x0c       /* W: the guest ends as if killed by signal (value & 127) */
#define EXO_PLAT_SLEEP 0x10        /* 8-bit ACPI SLEEP_CONTROL_REG: S5 ends the guest, status 0 */
#define EXO_PLAT_SLEEP_STATUS 0x14 /* 8-bit ACPI SLEEP_STATUS_REG: reads 0 */
#define EXO_PLAT_RESET 0x18 /* 8-bit ACPI RESET_REG: writing 1 ends the guest, reason reset */
#define EXO_PLAT_FAULT 0x20 /* W, 64-bit: GPA of a struct exo_fault; ends the guest */
#define EXO_PLAT_BATCH 0x28 /* W, 64-bit: GPA of a struct exo_batch; see there */

#define EXO_PLAT_MAGIC_VALUE 0x314f5845u /* "EXO1" */
#define EXO_PLAT_VERSION_VALUE 1u

/* ---- register batch --------------------------------------------------- */

/*
 * A list of virtio-mmio register accesses that the VMM carries out in order,
 * exactly as if the guest had made each by itself: one exit instead of dozens
 * when a driver sets up a device. The VMM copies the list in, runs it, and
 * copies the values that were read back. A list that is too long, or not
 * wholly in RAM, is ignored; accesses outside the virtio-mmio slots are
 * ignored one by one (reads give 0). Written from the vCPU that made the
 * list; on return the list is complete.
 */
#define EXO_BATCH_MAX 256
#define EXO_BATCH_READ 0u
#define EXO_BATCH_WRITE 1u

struct exo_batch_op {
	uint32_t gpa;   /* address of the 32-bit register (all slots are below 4 GiB) */
	uint32_t flags; /* EXO_BATCH_READ or EXO_BATCH_WRITE */
	uint32_t value; /* written, or filled in with what was read */
	uint32_t reserved;
};

struct exo_batch {
	uint32_t count; /* operations that follow, at most EXO_BATCH_MAX */
	uint32_t done;  /* filled in by the VMM: operations carried out */
	struct exo_batch_op op[];
};

_Static_assert(sizeof(struct exo_batch_op) == 16, "wire size");
_Static_assert(sizeof(struct exo_batch) == 8, "wire size");

/* ---- fault report ----------------------------------------------------- */

#define EXO_FAULT_EXCEPTION 1 /* a CPU exception: vector, error, address are set */
#define EXO_FAULT_PANIC 2     /* the SDK gave up; text says why */

/* Why a guest gave up; the VMM names the function from the ELF's symbol table. */
struct exo_fault {
	uint32_t kind;    /* EXO_FAULT_* */
	uint32_t vector;  /* exception vector */
	uint64_t error;   /* error code pushed by the CPU, or 0 */
	uint64_t address; /* CR2 for a page fault, else 0 */
	uint64_t rip;
	uint64_t rsp;
	uint64_t rbp;
	uint64_t stack_guard_lo; /* a fault address in [lo, hi) is a stack overflow */
	uint64_t stack_guard_hi;
	uint32_t signal; /* what a process would have died of (SIGSEGV…), or 0 */
	uint32_t reserved;
	char text[128]; /* terminated; for EXO_FAULT_PANIC */
};

_Static_assert(sizeof(struct exo_fault) == 200, "wire size");

/* ---- boot block ------------------------------------------------------- */

/*
 * Reached as the first PVH module (its command line is "exo.boot"), so a
 * monitor that does not know it simply has no such module. Offsets are from
 * the start of the block; the whole block is `size` bytes in RAM.
 */
#define EXO_BOOT_MAGIC 0x544f4f42314f5845ull /* "EXO1BOOT" */
#define EXO_BOOT_VERSION 1u
#define EXO_BOOT_MODULE "exo.boot"

struct exo_boot_device {
	uint32_t gpa; /* virtio-mmio base */
	uint32_t gsi;
	uint32_t device_id; /* virtio device type; 0: empty entry */
	uint32_t reserved;
	char name[16]; /* terminated; "" or the grant's name, such as a disk's */
};

#define EXO_BOOT_TTY_IN 1u /* port 0 in is a terminal on the host */
#define EXO_BOOT_TTY_OUT 2u
#define EXO_BOOT_TTY_ERR 4u
#define EXO_BOOT_MSI_EDGE 8u    /* device interrupts are messages: InterruptACK is optional */
#define EXO_BOOT_STDIN_NULL 16u /* standard input was closed or is /dev/null: at its end */

struct exo_boot {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* of the whole block, strings included, bytes */
	uint64_t platform_gpa;
	uint64_t tsc_hz;  /* 0: unknown */
	uint64_t wall_ns; /* CLOCK_REALTIME when the TSC read wall_tsc */
	uint64_t wall_tsc;
	uint64_t ram_bytes;
	uint32_t flags;    /* EXO_BOOT_* */
	uint32_t lapic_hz; /* LAPIC timer input clock, Hz; 0: unknown */
	uint32_t argc;
	uint32_t argv_off; /* argc strings, each terminated, back to back */
	uint32_t envc;
	uint32_t env_off; /* envc strings "NAME=value", likewise */
	uint32_t ndevices;
	uint32_t cpus;
	uint16_t tty_rows; /* 0: not a terminal */
	uint16_t tty_cols;
	uint32_t reserved;
	uint8_t seed[32]; /* random bytes from the host, fresh for this guest */
	struct exo_boot_device device[EXO_MMIO_SLOTS];
};

_Static_assert(sizeof(struct exo_boot_device) == 32, "wire size");
_Static_assert(sizeof(struct exo_boot) == 128 + 32 * EXO_MMIO_SLOTS, "wire size");

/* ---- console ports ---------------------------------------------------- */

/*
 * VIRTIO_CONSOLE_PORT_OPEN 0 from the host says that standard input has ended
 * (port 0; what was read before is delivered first) or that nobody reads
 * standard error any more (port 1). That nobody reads standard output any more
 * is a record on the control port, EXO_CTL_BROKEN (also for standard error): it
 * is there before the chain that met the error is used, if the guest has said
 * PORT_READY for the control port; everything else there waits for PORT_OPEN. PORT_OPEN 0 from the
 * guest makes the host close its end once the output is written.
 */
#define EXO_PORT_STDIO 0   /* standard input and output */
#define EXO_PORT_STDERR 1  /* to the host only */
#define EXO_PORT_CONTROL 2 /* struct exo_ctl records, one a buffer, both ways */
#define EXO_PORTS 3

/* Control-port record, host to guest and guest to host. Fixed 16 bytes. */
#define EXO_CTL_SIGNAL 1  /* host→guest: arg0 = signal number (SIGINT, SIGTERM, …) */
#define EXO_CTL_WINCH 2   /* host→guest: arg0 = rows, arg1 = columns */
#define EXO_CTL_TERMIOS 3 /* guest→host: arg0 = EXO_TTY_* the terminal shall have */
#define EXO_CTL_READY 4   /* guest→host: the program says it is ready */
#define EXO_CTL_BROKEN 5  /* host→guest: writing to port arg0 failed; arg1 = errno (EPIPE…) */

#define EXO_TTY_ECHO 1u
#define EXO_TTY_CANON 2u
#define EXO_TTY_ISIG 4u

struct exo_ctl {
	uint32_t type;
	uint32_t arg0;
	uint32_t arg1;
	uint32_t reserved;
};

_Static_assert(sizeof(struct exo_ctl) == 16, "wire size");

/* ---- ELF note of guests built with the SDK ---------------------------- */

/*
 * Name "Exoshell", type 1, in PT_NOTE beside the PVH note. Tells the shell
 * that standard streams behave as a process's (no raw terminal).
 */
#define EXO_NOTE_NAME "Exoshell"
#define EXO_NOTE_ABI 1u

/* ---- well-known vsock ports on CID 2 (the host) ----------------------- */

#define EXO_VSOCK_PORT_TAP 1 /* `exo test` collects TAP here (SOCK_STREAM) */

#endif
