/* Messages while the guest runs; see control.h. */
#include "control.h"

#include "console.h"
#include "fdmsg.h"
#include "link.h"
#include "pause.h"
#include "vm.h"
#include "vsock.h"

#include <errno.h>
#include <exo/channel.h>
#include <exo/ring.h>
#include <linux/virtio_vsock.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- to the shell -------------------------------------------------------------- */

static void forward_ctl(struct vm *vm, const struct exo_ctl *ctl)
{
	struct exo_vmm_termios termios = {.h = link_header(EXO_VMM_TERMIOS, sizeof(termios))};
	struct exo_vmm_header ready = link_header(EXO_VMM_READY, sizeof(ready));

	if (ctl->type == EXO_CTL_TERMIOS) {
		termios.flags = ctl->arg0 & (EXO_TTY_ECHO | EXO_TTY_CANON | EXO_TTY_ISIG);
		link_send(vm, &termios, sizeof(termios));
	} else if (ctl->type == EXO_CTL_READY) {
		link_send(vm, &ready, sizeof(ready));
	}
}

void control_forward(struct vm *vm, bool from_console, const void *msg, size_t len)
{
	struct exo_ctl ctl;

	if (!from_console) {
		link_send(vm, msg, len);
	} else if (len == sizeof(ctl)) {
		memcpy(&ctl, msg, sizeof(ctl));
		forward_ctl(vm, &ctl);
	}
}

static void send_stats(struct vm *vm)
{
	struct exo_vmm_stats stats = {
		.h = link_header(EXO_VMM_STATS, sizeof(stats)),
		.wakeups = vm->loop.wakeups,
		.ram_bytes = vm->ram.bytes,
	};

	for (unsigned i = 0; i < vm->cpus; i++)
		stats.exits += vm->vcpu[i].exits;
	devices_count(&vm->devices, &stats);
	link_send(vm, &stats, sizeof(stats));
}

/* ---- from the shell --------------------------------------------------------------- */

/* Of each message that may come: its size, and how many fds belong to it. */
static const struct {
	size_t size;
	unsigned fds_min, fds_max;
} form[] = {
	[EXO_VMM_SIGNAL] = {sizeof(struct exo_vmm_signal), 0, 0},
	[EXO_VMM_KILL] = {sizeof(struct exo_vmm_signal), 0, 0},
	[EXO_VMM_WINCH] = {sizeof(struct exo_vmm_winch), 0, 0},
	[EXO_VMM_VSOCK_OPEN] = {sizeof(struct exo_vmm_vsock), 1, 1},
	[EXO_VMM_VSOCK_REPLY] = {sizeof(struct exo_vmm_vsock), 0, 1},
	[EXO_VMM_STATS_REQUEST] = {sizeof(struct exo_vmm_header), 0, 0},
	[EXO_VMM_CHANNEL] = {sizeof(struct exo_vmm_channel), 2, 2},
	[EXO_VMM_CHANNEL_CLOSE] = {sizeof(struct exo_vmm_close), 0, 0},
	[EXO_VMM_CHANNELS_REQUEST] = {sizeof(struct exo_vmm_header), 0, 0},
	[EXO_VMM_MEM_MAP] = {sizeof(struct exo_vmm_mem), 1, 1},
	[EXO_VMM_MEM_UNMAP] = {sizeof(struct exo_vmm_mem), 0, 0},
	[EXO_VMM_PAUSE] = {sizeof(struct exo_vmm_signal), 0, 0},
	[EXO_VMM_DISPLAY] = {sizeof(struct exo_vmm_header), 1, 1},
};

#define FDS_MAX 2

union message {
	struct exo_vmm_header h;
	struct exo_vmm_signal signal;
	struct exo_vmm_winch winch;
	struct exo_vmm_vsock vsock;
	struct exo_vmm_channel channel;
	struct exo_vmm_close close;
	struct exo_vmm_mem mem;
};

/*
 * The functions below carry out one message of the right form and return whether it is
 * one that may come. If not, the fds are still the caller's.
 */

static bool obey_signal(struct vm *vm, const struct exo_vmm_signal *m)
{
	if (m->h.type == EXO_VMM_KILL) {
		vm_kill(vm, EXO_END_KILLED, m->signo & 127, "%s", "");
		return true;
	}
	if (m->h.type == EXO_VMM_PAUSE) {
		if (m->signo > 1)
			return false;
		pause_set(vm, m->signo);
		return true;
	}
	if (!m->signo || m->signo > 63)
		return false;
	/* A program that doesn't listen can't have a handler either. */
	if (!console_signal(vm->devices.console, m->signo))
		vm_kill(vm, EXO_END_SIGNAL, m->signo, "%s", "");
	return true;
}

static bool obey_winch(struct vm *vm, const struct exo_vmm_winch *m)
{
	if (m->rows > UINT16_MAX || m->cols > UINT16_MAX)
		return false;
	console_winch(vm->devices.console, (uint16_t)m->rows, (uint16_t)m->cols);
	return true;
}

static bool obey_vsock(struct vm *vm, const struct exo_vmm_vsock *m, int fd)
{
	struct vdev *dev = vm->devices.vsock;

	if (m->reason >= EXO_REASONS)
		return false;
	if (m->h.type == EXO_VMM_VSOCK_OPEN) {
		if (!dev || vsock_open(dev, fd, m))
			close(fd); /* which is how the other end hears of it */
		return true;
	}
	if ((fd >= 0) != (m->status == 0))
		return false;
	link_answered(vm, m->id);
	if (dev)
		vsock_reply(dev, m, fd);
	else if (fd >= 0)
		close(fd);
	return true;
}

static bool has_channels(const struct vm *vm)
{
	return vm->config.wire.flags & EXO_VMM_CHANNELS_OK;
}

static bool obey_channel(struct vm *vm, const struct exo_vmm_channel *m, const int *fds)
{
	bool direct = m->flags & EXO_CHANNEL_DIRECT;

	if (!has_channels(vm) || !m->conn || m->side != !m->request ||
	    (m->type != VIRTIO_VSOCK_TYPE_STREAM && m->type != VIRTIO_VSOCK_TYPE_SEQPACKET) ||
	    m->flags & ~EXO_CHANNEL_DIRECT || (direct && m->max_rate) ||
	    m->ring_bytes < EXO_RING_BYTES_MIN || m->ring_bytes > EXO_RING_BYTES_MAX ||
	    m->ring_bytes & (m->ring_bytes - 1))
		return false;
	if (m->request)
		link_answered(vm, m->request);
	/* What fails has its answer from there. */
	(void)vsock_channel(vm->devices.vsock, m, fds[0], fds[1]);
	return true;
}

static bool obey_close(struct vm *vm, const struct exo_vmm_close *m)
{
	if (!vm->devices.vsock || !m->conn || !m->reason || m->reason >= EXO_REASONS)
		return false;
	vsock_close_conn(vm->devices.vsock, m->conn, m->reason);
	return true;
}

static bool obey_mem(struct vm *vm, const struct exo_vmm_mem *m, int fd)
{
	struct exo_vmm_mem answer = *m;

	if (!has_channels(vm) || !m->mem || m->status || m->offset)
		return false;
	if (m->h.type == EXO_VMM_MEM_UNMAP) {
		channels_mem_unmap(&vm->channels, m->mem);
		return true;
	}
	if (!m->bytes || m->bytes % WINDOW_PAGE || m->flags & ~EXO_MEM_READ_ONLY)
		return false;
	answer.h = link_header(EXO_VMM_MEM_MAPPED, sizeof(answer));
	channels_mem_map(&vm->channels, &answer, fd);
	close(fd);
	link_send(vm, &answer, sizeof(answer));
	return true;
}

static bool obey_display(struct vm *vm, int fd)
{
	if (!vm->display.desk)
		return false;
	display_set_socket(&vm->display, &vm->loop, fd);
	return true;
}

static bool obey(struct vm *vm, const union message *m, const int *fds)
{
	switch (m->h.type) {
	case EXO_VMM_SIGNAL:
	case EXO_VMM_KILL:
	case EXO_VMM_PAUSE:
		return obey_signal(vm, &m->signal);
	case EXO_VMM_WINCH:
		return obey_winch(vm, &m->winch);
	case EXO_VMM_VSOCK_OPEN:
	case EXO_VMM_VSOCK_REPLY:
		return obey_vsock(vm, &m->vsock, m->h.nfds ? fds[0] : -1);
	case EXO_VMM_STATS_REQUEST:
		send_stats(vm);
		return true;
	case EXO_VMM_CHANNEL:
		return obey_channel(vm, &m->channel, fds);
	case EXO_VMM_CHANNEL_CLOSE:
		return obey_close(vm, &m->close);
	case EXO_VMM_CHANNELS_REQUEST:
		link_send_channels(vm);
		return true;
	case EXO_VMM_MEM_MAP:
	case EXO_VMM_MEM_UNMAP:
		return obey_mem(vm, &m->mem, m->h.nfds ? fds[0] : -1);
	case EXO_VMM_DISPLAY:
		return obey_display(vm, fds[0]);
	}
	return false;
}

static bool well_formed(const struct exo_vmm_header *h, size_t len, unsigned nfds)
{
	if (len < sizeof(*h) || h->magic != EXO_VMM_MAGIC || h->size != len || h->nfds != nfds ||
	    h->type >= sizeof(form) / sizeof(form[0]))
		return false;
	return len == form[h->type].size && nfds >= form[h->type].fds_min &&
	       nfds <= form[h->type].fds_max;
}

static void hang_up(struct vm *vm)
{
	if (vm->config.wire.flags & EXO_VMM_OUTLIVE) {
		link_lost(vm);
		return;
	}
	loop_del(&vm->loop, vm->sock_fd);
	vm_kill(vm, EXO_END_KILLED, SIGKILL, "the shell has gone");
}

void control_receive(void *opaque, int sock_fd, uint32_t events)
{
	struct vm *vm = opaque;
	union message m;
	unsigned nfds;
	int fds[FDS_MAX];
	ssize_t n;

	if (events & EPOLLOUT)
		link_writable(vm);
	n = fdmsg_recv(sock_fd, &m, sizeof(m), fds, FDS_MAX, &nfds);
	if (n == -EAGAIN)
		return;
	if (n == 0 || n == -ECONNRESET) {
		hang_up(vm);
		return;
	}
	if (n > 0 && well_formed(&m.h, (size_t)n, nfds) && obey(vm, &m, fds))
		return;
	while (nfds)
		close(fds[--nfds]);
	loop_del(&vm->loop, sock_fd);
	vm_kill(vm, EXO_END_KILLED, SIGKILL, "a message that is not one of ours");
}
