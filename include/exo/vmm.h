/*
 * The shell's protocol with exo-vmm: one SOCK_SEQPACKET Unix socket, one
 * message a packet, fds as SCM_RIGHTS. Both are the same build, so there is no
 * version negotiation beyond the magic; both sides decode strictly and treat
 * anything unexpected as the other side's end (hostile-guests H-34). A VMM obeys
 * in the order of messages: when it answers STATS_REQUEST, all that came before is done.
 *
 * exo-vmm is started with the socket as fd 3 and an open /dev/kvm as fd 4, and
 * may create the VM before the configuration arrives. It gets one
 * EXO_VMM_CONFIG; after EXO_VMM_STARTED it opens nothing any more.
 */
#ifndef EXO_VMM_H
#define EXO_VMM_H

#include <exo/display.h>
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
	EXO_VMM_CONFIG = 1,       /* struct exo_vmm_config, once, first */
	EXO_VMM_SIGNAL,           /* struct exo_vmm_signal: pass to the program (control port) */
	EXO_VMM_KILL,             /* struct exo_vmm_signal: end the guest now, as killed by arg */
	EXO_VMM_WINCH,            /* struct exo_vmm_winch */
	EXO_VMM_VSOCK_OPEN,       /* struct exo_vmm_vsock + 1 fd: connect to the guest's port */
	EXO_VMM_VSOCK_REPLY,      /* struct exo_vmm_vsock (+ 1 fd if status 0): the answer */
	EXO_VMM_STATS_REQUEST,    /* header only */
	EXO_VMM_CHANNEL,          /* struct exo_vmm_channel + 2 fds: ring memory, peer's doorbell */
	EXO_VMM_CHANNEL_CLOSE,    /* struct exo_vmm_close: end a connection */
	EXO_VMM_CHANNELS_REQUEST, /* header only: answered by EXO_VMM_CHANNELS packets */
	EXO_VMM_MEM_MAP,          /* struct exo_vmm_mem + 1 fd */
	EXO_VMM_MEM_UNMAP,        /* struct exo_vmm_mem */
	EXO_VMM_PAUSE, /* struct exo_vmm_signal: signo 1: stop all vCPUs, 0: let them run */
	/* header only + 1 fd, non-blocking: the socket with a desktop (exo/display.h) */
	EXO_VMM_DISPLAY,

	/* VMM → shell */
	EXO_VMM_STARTED = 64,  /* header only: sandboxed, the guest is about to run */
	EXO_VMM_ENDED,         /* struct exo_vmm_ended: last message */
	EXO_VMM_TERMIOS,       /* struct exo_vmm_termios */
	EXO_VMM_READY,         /* header only: the program said it is ready */
	EXO_VMM_VSOCK_REQUEST, /* struct exo_vmm_vsock: the guest connects to a port of CID 2 */
	EXO_VMM_STATS,         /* struct exo_vmm_stats */
	EXO_VMM_CHANNEL_STATE, /* struct exo_vmm_channel_state */
	EXO_VMM_CHANNELS,      /* struct exo_vmm_channels: counters of connections */
	EXO_VMM_MEM_MAPPED,    /* struct exo_vmm_mem: the answer to MEM_MAP */
	EXO_VMM_HELLO,         /* struct exo_vmm_hello + 2 fds: to a shell that came later */
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

#define EXO_VMM_HUGEPAGES 1u    /* back RAM with huge pages; fails if there are none */
#define EXO_VMM_PREFAULT 2u     /* touch all RAM before the guest runs */
#define EXO_VMM_VSOCK 4u        /* give the guest a virtio-vsock device */
#define EXO_VMM_RNG 8u          /* give the guest a virtio-rng device */
#define EXO_VMM_OUTLIVE 16u     /* go on when the shell's socket hangs up; see listen_fd */
#define EXO_VMM_TIMINGS 32u     /* fill in exo_vmm_ended.stage_ns */
#define EXO_VMM_CHANNELS_OK 64u /* with VSOCK: the vsock device offers EXO_VSOCK_F_DIRECT */
#define EXO_VMM_SCREEN 128u     /* gpu, input and sound devices; see picture_fd */

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
	/*
	 * With OUTLIVE, or EXO_VMM_NO_FD: a listening SOCK_SEQPACKET Unix socket.
	 * When the shell hangs up, the guest goes on, and the first to connect is
	 * the shell from then on: it gets HELLO, then CHANNELS, then what comes.
	 */
	uint32_t listen_fd;
	/* With CHANNELS_OK: eventfds (non-blocking) by which other ends ring the guest and the VMM.
	 */
	uint32_t guest_bell_fd, vmm_bell_fd; /* or EXO_VMM_NO_FD */
	uint64_t
		window_bytes; /* with CHANNELS_OK: of the shared memory region, multiple of 2 MiB */
	uint64_t guest;       /* number of the guest in the session, for HELLO */
	/*
	 * With SCREEN: a memfd of picture_bytes, its size sealed; the socket with a desktop, if
	 * any, non-blocking. Without: EXO_VMM_NO_FD, and the rest 0.
	 */
	uint64_t picture_bytes; /* EXO_DPY_PICTURE_BYTES_MIN … MAX, a multiple of 2 MiB or MIN */
	uint32_t picture_fd, display_fd; /* display_fd: or EXO_VMM_NO_FD */
	uint32_t scanouts;               /* 1 … EXO_DPY_SCANOUTS_MAX */
	uint32_t inputs;                 /* EXO_DPY_HAS_*: the devices besides the gpu */
	/* Of scanout 0 until a desktop says otherwise. */
	uint32_t width, height, scale;
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
	/*
	 * OPEN and REPLY of a session: number of the connection, for CHANNEL_STATE and
	 * CHANNEL_CLOSE, 0: none. To the guest the other end's port of an OPEN is then
	 * EXO_CONN_PORT(conn).
	 */
	uint32_t conn;
	uint32_t guest_port; /* REQUEST: the guest's own port */
	uint32_t reason;     /* REPLY with a status: enum exo_reason for the guest */
	uint64_t cookie;     /* OPEN, REPLY: handed back in CHANNELS */
	uint64_t max_rate; /* OPEN, REPLY: bytes a second, both directions together; 0: no limit */
};
/* VSOCK_OPEN: write "OK <host port>\n" to the fd once the guest accepted, as Firecracker does. */
#define EXO_VSOCK_SAY_OK 1u
/* REQUEST: the guest's driver has the direct path. */
#define EXO_VSOCK_DIRECT 2u

/* ---- channels between guests ------------------------------------------------ */

#define EXO_CHANNEL_DIRECT 1u /* CHANNEL: the guest may have the ring itself; STATE: it has */
#define EXO_CHANNEL_OPENER 2u /* CHANNELS: this end opened it */

/*
 * One end of a connection between two guests. To the acceptor's VMM first, with
 * request 0: it offers the connection to the guest and answers with
 * CHANNEL_STATE, ACCEPTED or REFUSED. Then to the opener's, as the answer to its
 * VSOCK_REQUEST. (A request is refused with VSOCK_REPLY.)
 */
struct exo_vmm_channel {
	struct exo_vmm_header h;
	uint32_t conn;       /* number of the connection, unique in the session, not 0 */
	uint32_t request;    /* id of the VSOCK_REQUEST that this answers, or 0 */
	uint32_t port;       /* request 0: the port that the guest serves */
	uint32_t type;       /* VIRTIO_VSOCK_TYPE_* */
	uint32_t side;       /* 0: opener; which ring is whose, see exo/ring.h */
	uint32_t flags;      /* EXO_CHANNEL_DIRECT */
	uint32_t ring_bytes; /* of each direction: a power of two */
	uint32_t peer;       /* key of the doorbell: equal keys, equal eventfds */
	uint64_t cookie;     /* handed back in CHANNELS */
	uint64_t max_rate;   /* bytes a second; not 0 only without EXO_CHANNEL_DIRECT */
};

struct exo_vmm_close {
	struct exo_vmm_header h;
	uint32_t conn;
	/*
	 * enum exo_reason. REVOKED, EXPIRED: at once, what is in the ring is lost, the
	 * memory is unmapped. Else: the other end is gone; what it has sent can
	 * still be read. An unknown conn is ignored: the two ends' news may cross.
	 */
	uint32_t reason;
};

/*
 * What was offered to a guest (CHANNEL with request 0, VSOCK_OPEN with conn) is
 * ACCEPTED or REFUSED. An answer to a guest's request that fails, or comes too late, is
 * REFUSED, too. Each that was made is CLOSED once, also after CHANNEL_CLOSE.
 */
#define EXO_CHANNEL_ACCEPTED 1u
#define EXO_CHANNEL_REFUSED 2u
#define EXO_CHANNEL_CLOSED 3u /* an end closed it, or it broke: the VMM has forgotten it */

struct exo_vmm_channel_state {
	struct exo_vmm_header h;
	uint32_t conn;
	uint32_t state;  /* EXO_CHANNEL_ACCEPTED, … */
	uint32_t flags;  /* ACCEPTED: EXO_CHANNEL_DIRECT */
	uint32_t reason; /* REFUSED, CLOSED: enum exo_reason */
	/* CLOSED: final counters, as in struct exo_vmm_channel_info. */
	uint64_t tx_bytes, rx_bytes, tx_messages, rx_messages;
};

struct exo_vmm_channel_info {
	uint64_t cookie;
	uint32_t conn;
	uint32_t flags; /* EXO_CHANNEL_DIRECT, EXO_CHANNEL_OPENER */
	/* Direct: as the ring's ends claim; else counted by the VMM. tx: sent by this guest. */
	uint64_t tx_bytes, rx_bytes, tx_messages, rx_messages;
};

#define EXO_VMM_CHANNEL_INFOS_MAX 128

struct exo_vmm_channels {
	struct exo_vmm_header h; /* size: up to the last entry that is used */
	uint32_t count;
	uint32_t more; /* 1: another packet follows */
	struct exo_vmm_channel_info info[EXO_VMM_CHANNEL_INFOS_MAX];
};

_Static_assert(sizeof(struct exo_vmm_channels) <= EXO_VMM_MSG_MAX, "fits a message");

/* Memory of a session in the guest's shared memory region. */
#define EXO_MEM_READ_ONLY 1u

struct exo_vmm_mem {
	struct exo_vmm_header h;
	uint64_t mem;    /* its number in the session */
	uint64_t bytes;  /* MAP: page-aligned */
	uint64_t offset; /* MAPPED: in the region */
	uint32_t flags;  /* EXO_MEM_* */
	int32_t status;  /* MAPPED: 0 or -errno: -ENOSPC (the region is full), … */
};

struct exo_vmm_hello {
	struct exo_vmm_header h; /* fds: guest bell, vmm bell; none without CHANNELS_OK */
	uint64_t guest;          /* of the configuration */
	char name[64];
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint32_t pid;
	uint32_t ready;    /* 1: the program said it is */
	uint32_t scanouts; /* 0: no display */
	uint32_t reserved;
};

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
