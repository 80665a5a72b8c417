/*
 * The shell's protocol with exo-vmm: one SOCK_SEQPACKET Unix socket, one
 * message a packet, fds as SCM_RIGHTS. Both are the same build, so there is no
 * version negotiation beyond the magic; both sides decode strictly and treat
 * anything unexpected as the other side's end (hostile-guests H-34).
 *
 * exo-vmm is started with the socket as fd 3 and an open /dev/kvm as fd 4, and
 * may create the VM before the configuration arrives. It gets one
 * EXO_VMM_CONFIG; after EXO_VMM_STARTED it opens nothing any more.
 */
#ifndef EXO_VMM_H
#define EXO_VMM_H

#include <exo/machine.h>

#include <stdint.h>

#define EXO_VMM_SOCKET_FD 3
#define EXO_VMM_KVM_FD 4

#define EXO_VMM_MAGIC 0x314d4d56u /* "VMM1" */
#define EXO_VMM_CPUS_MAX 16
#define EXO_VMM_DISKS_MAX 8
#define EXO_VMM_FDS_MAX 24   /* in one message */
#define EXO_VMM_MSG_MAX 8192 /* bytes in one message */
/* Of argv and environment; with the boot block they fit between 1 MiB and an SDK program. */
#define EXO_VMM_ARGS_MAX ((1u << 20) - 8192)

enum exo_vmm_type {
	/* shell → VMM */
	EXO_VMM_CONFIG = 1,    /* struct exo_vmm_config, once, first */
	EXO_VMM_SIGNAL,        /* struct exo_vmm_signal: pass to the program (control port) */
	EXO_VMM_KILL,          /* struct exo_vmm_signal: end the guest now, as killed by arg */
	EXO_VMM_WINCH,         /* struct exo_vmm_winch */
	EXO_VMM_VSOCK_OPEN,    /* struct exo_vmm_vsock + 1 fd: connect to the guest's port */
	EXO_VMM_VSOCK_REPLY,   /* struct exo_vmm_vsock (+ 1 fd if status 0): the answer */
	EXO_VMM_STATS_REQUEST, /* header only */

	/* VMM → shell */
	EXO_VMM_STARTED = 64,  /* header only: sandboxed, the guest is about to run */
	EXO_VMM_ENDED,         /* struct exo_vmm_ended: last message */
	EXO_VMM_TERMIOS,       /* struct exo_vmm_termios */
	EXO_VMM_READY,         /* header only: the program said it is ready */
	EXO_VMM_VSOCK_REQUEST, /* struct exo_vmm_vsock: the guest connects to a port of CID 2 */
	EXO_VMM_STATS,         /* struct exo_vmm_stats */
};

struct exo_vmm_header {
	uint32_t magic;
	uint32_t type; /* enum exo_vmm_type */
	uint32_t size; /* of the whole message, bytes; equals the packet's */
	uint32_t nfds; /* fds sent along */
};

/* Index into the message's fds, or EXO_VMM_NO_FD. */
#define EXO_VMM_NO_FD 0xffffffffu

#define EXO_VMM_DISK_RO 1u

struct exo_vmm_disk {
	uint32_t fd;    /* index; regular file or block device, opened as needed */
	uint32_t flags; /* EXO_VMM_DISK_* */
	uint64_t bytes; /* size, a multiple of 512 */
	char name[16];  /* terminated; shown to the guest as the device's serial */
};

#define EXO_VMM_HUGEPAGES 1u /* back RAM with huge pages; fails if there are none */
#define EXO_VMM_PREFAULT 2u  /* touch all RAM before the guest runs */
#define EXO_VMM_VSOCK 4u     /* give the guest a virtio-vsock device */
#define EXO_VMM_RNG 8u       /* give the guest a virtio-rng device */
#define EXO_VMM_OUTLIVE 16u  /* go on when the shell's socket hangs up */
#define EXO_VMM_TIMINGS 32u  /* fill in exo_vmm_ended.stage_ns */

struct exo_vmm_config {
	struct exo_vmm_header h;
	uint64_t ram_bytes;  /* multiple of 4096 */
	uint32_t cpus;       /* 1 … EXO_VMM_CPUS_MAX */
	uint32_t flags;      /* EXO_VMM_* above */
	uint32_t program_fd; /* the ELF or kernel image */
	uint32_t initrd_fd;  /* or EXO_VMM_NO_FD */
	uint32_t args_fd;    /* memfd: argc strings then envc strings, each terminated */
	uint32_t args_bytes;
	uint32_t argc, envc;
	uint32_t stdin_fd, stdout_fd, stderr_fd; /* or EXO_VMM_NO_FD: at its end / discarded */
	uint32_t boot_flags;                     /* EXO_BOOT_TTY_* for the boot block */
	uint32_t tty_rows, tty_cols;
	uint32_t ndisks;
	uint32_t reserved;
	struct exo_vmm_disk disk[EXO_VMM_DISKS_MAX];
	char name[64];                 /* of the guest, for messages; terminated */
	char cmdline[EXO_CMDLINE_MAX]; /* extra kernel command line; terminated */
};

_Static_assert(sizeof(struct exo_vmm_config) <= EXO_VMM_MSG_MAX, "fits a message");

struct exo_vmm_signal {
	struct exo_vmm_header h;
	uint32_t signo;
	uint32_t reserved;
};

struct exo_vmm_winch {
	struct exo_vmm_header h;
	uint32_t rows, cols;
};

struct exo_vmm_vsock {
	struct exo_vmm_header h;
	uint32_t id;    /* chosen by the sender of the request, echoed in the answer */
	uint32_t port;  /* the port connected to */
	uint32_t type;  /* VIRTIO_VSOCK_TYPE_STREAM or _SEQPACKET */
	int32_t status; /* VSOCK_REPLY: 0, or -errno */
	uint32_t flags; /* EXO_VSOCK_* */
	uint32_t reserved;
};
/* VSOCK_OPEN: write "OK <host port>\n" to the fd once the guest accepted, as Firecracker does. */
#define EXO_VSOCK_SAY_OK 1u

struct exo_vmm_termios {
	struct exo_vmm_header h;
	uint32_t flags; /* EXO_TTY_* */
	uint32_t reserved;
};

/* Why a guest ended; the names are in docs/vmm.md. */
enum exo_end {
	EXO_END_EXIT = 1,     /* exit register: status */
	EXO_END_POWEROFF,     /* ACPI S5: status 0 */
	EXO_END_RESET,        /* ACPI or triple-fault-free reset request */
	EXO_END_SIGNAL,       /* the SDK ended the program by signal `status` */
	EXO_END_FAULT,        /* fault report of the SDK: detail says where */
	EXO_END_KILLED,       /* by the shell (EXO_VMM_KILL), or the shell hung up */
	EXO_END_TRIPLE_FAULT, /* KVM_EXIT_SHUTDOWN */
	EXO_END_INTERNAL,     /* KVM_EXIT_INTERNAL_ERROR: the CPU met what KVM cannot emulate */
	EXO_END_HOLE,         /* ran or touched where there is no memory nor device */
	EXO_END_ENTRY,        /* KVM_EXIT_FAIL_ENTRY */
	EXO_END_HALTED,       /* every vCPU halted with interrupts off: nothing can wake it */
	EXO_END_CONFIG,       /* never started: the image or a resource was refused; detail */
	EXO_END_HOST,         /* the host failed us: detail */
};

/* Stages of a start, for --timings and the benchmarks: ns of CLOCK_MONOTONIC. */
enum exo_stage {
	EXO_STAGE_MAIN,    /* exo-vmm's main() began */
	EXO_STAGE_VM,      /* VM, irqchip and vCPU exist */
	EXO_STAGE_CONFIG,  /* configuration received */
	EXO_STAGE_MEMORY,  /* RAM mapped and registered */
	EXO_STAGE_LOADED,  /* program loaded, tables written */
	EXO_STAGE_DEVICES, /* devices exist */
	EXO_STAGE_SANDBOX, /* sealed */
	EXO_STAGE_RUN,     /* first KVM_RUN */
	EXO_STAGE_DRIVER,  /* first DRIVER_OK */
	EXO_STAGE_OUTPUT,  /* first byte of the program's output */
	EXO_STAGE_END,     /* the guest ended */
	EXO_STAGES
};

struct exo_vmm_ended {
	struct exo_vmm_header h;
	uint32_t reason; /* enum exo_end */
	uint32_t status; /* exit status or signal number, where the reason has one */
	uint64_t stage_ns[EXO_STAGES];
	uint64_t exits;   /* exits to user space, all vCPUs */
	char detail[512]; /* one line, printable, terminated; may be empty */
};

struct exo_vmm_stats {
	struct exo_vmm_header h;
	uint64_t exits;      /* to user space, all vCPUs */
	uint64_t kicks;      /* doorbells handled in user space */
	uint64_t interrupts; /* raised by devices */
	uint64_t wakeups;    /* of the event loop */
	uint64_t ram_bytes;
};

#endif
