/* Starting an exo-vmm and talking with it; see launch.h. */
#include "launch.h"

#include "clock.h"
#include "fdmsg.h"
#include "text.h"

#include <exo/channel.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/virtio_vsock.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t launch_now_ns(void)
{
	return clock_now_ns();
}

#define SEND_PATIENCE_MS 2000 /* for a VMM that is behind with its messages */

void launch_init(struct launch *l)
{
	*l = (struct launch){.sock_fd = -1};
}

/* ---- start ---------------------------------------------------------------- */

/*
 * The child shares our memory, and even errno, while we go on: it makes its
 * system calls by itself and touches nothing but its struct launch_child.
 */
static long child_call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

static int run_child(void *opaque)
{
	struct launch_child *c = opaque;
	long kvm_fd = c->kvm_fd;

	if (kvm_fd == EXO_VMM_SOCKET_FD)
		kvm_fd = child_call(SYS_fcntl, kvm_fd, F_DUPFD, EXO_VMM_KVM_FD + 1);
	if (c->sock_fd != EXO_VMM_SOCKET_FD)
		child_call(SYS_dup2, c->sock_fd, EXO_VMM_SOCKET_FD, 0);
	else
		child_call(SYS_fcntl, c->sock_fd, F_SETFD, 0);
	if (kvm_fd != EXO_VMM_KVM_FD)
		child_call(SYS_dup2, kvm_fd, EXO_VMM_KVM_FD, 0);
	else
		child_call(SYS_fcntl, kvm_fd, F_SETFD, 0);
	/*
	 * It gets the streams by message. With copies of them the other end of
	 * a pipe would not see its end when the program closes it. Standard
	 * error stays, for a failed assertion, and fills their places.
	 */
	child_call(SYS_dup2, STDERR_FILENO, STDIN_FILENO, 0);
	child_call(SYS_dup2, STDERR_FILENO, STDOUT_FILENO, 0);
	child_call(SYS_close_range, EXO_VMM_KVM_FD + 1, ~0u, 0);
	c->err = (int)child_call(SYS_execve, (long)c->path, (long)c->argv, (long)c->envp);
	child_call(SYS_exit_group, 127, 0, 0);
	return 0;
}

/* Not by vfork: its wake-up can come late, and we have things to do meanwhile. */
static int spawn(struct launch *l, const char *name)
{
	struct launch_child *c = &l->child;
	int err = -ENOENT;
	pid_t pid;

	for (unsigned place = 0; err && place < SEARCH_VMM_PLACES; place++) {
		if (!search_vmm(place, c->path))
			err = access(c->path, X_OK) ? -errno : 0;
	}
	if (err)
		return err;
	memcpy(c->name, "exo-vmm", sizeof(c->name));
	snprintf(c->label, sizeof(c->label), "%s", name);
	c->argv[0] = c->name;
	c->argv[1] = c->label;
	c->argv[2] = NULL;
	c->envp[0] = NULL; /* our environment is none of its business */
	pid = clone(run_child, c->stack + sizeof(c->stack), CLONE_VM | SIGCHLD, c);
	if (pid < 0)
		return -errno;
	l->pid = pid;
	return 0;
}

static int open_kvm(int *fd)
{
	*fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return text_error(
			GUEST_EXIT_FAILURE,
			"no /dev/kvm: this machine offers no KVM here; \"exo-nested -- exo run "
			"PROGRAM\" runs it in an emulated machine that has one, and exo doctor "
			"says more");
	if (errno == EACCES || errno == EPERM)
		return text_error(
			GUEST_EXIT_FAILURE,
			"/dev/kvm: no permission; add yourself to its group (sudo usermod "
			"-aG kvm $USER) and log in again");
	return text_error(GUEST_EXIT_FAILURE, "/dev/kvm: %s", strerror(errno));
}

int launch_spawn(struct launch *l, const char *name)
{
	int pair[2], status, err;

	if ((status = open_kvm(&l->child.kvm_fd)))
		return status;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		status = text_error(GUEST_EXIT_FAILURE, "socket pair: %s", strerror(errno));
		close(l->child.kvm_fd);
		return status;
	}
	l->child.sock_fd = pair[1];
	err = spawn(l, name);
	close(pair[1]);
	close(l->child.kvm_fd);
	if (err) {
		close(pair[0]);
		return text_error(
			GUEST_EXIT_FAILURE,
			"cannot start exo-vmm: %s; it belongs beside exo, or EXO_VMM names it",
			strerror(-err));
	}
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	l->spawned_ns = launch_now_ns();
	l->sock_fd = pair[0];
	return 0;
}

/* ---- to the VMM ------------------------------------------------------------- */

int launch_configure(struct launch *l, const struct guest *g)
{
	struct exo_vmm_config config;
	int fds[EXO_VMM_FDS_MAX];
	unsigned nfds = guest_fill_config(g, &config, fds);
	int err = fdmsg_send(l->sock_fd, &config, sizeof(config), fds, nfds);

	l->configured_ns = launch_now_ns();
	return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

static struct exo_vmm_header header(enum exo_vmm_type type, size_t size, unsigned nfds)
{
	return (struct exo_vmm_header){EXO_VMM_MAGIC, type, (uint32_t)size, nfds};
}

int launch_send_signal(struct launch *l, enum exo_vmm_type type, int signo)
{
	struct exo_vmm_signal m = {header(type, sizeof(m), 0), (uint32_t)signo, 0};

	return fdmsg_send(l->sock_fd, &m, sizeof(m), NULL, 0);
}

int launch_send_winch(struct launch *l, uint32_t rows, uint32_t cols)
{
	struct exo_vmm_winch m = {header(EXO_VMM_WINCH, sizeof(m), 0), rows, cols};

	return fdmsg_send(l->sock_fd, &m, sizeof(m), NULL, 0);
}

int launch_send_vsock(struct launch *l, enum exo_vmm_type type, struct exo_vmm_vsock *m, int fd)
{
	struct pollfd pfd = {.fd = l->sock_fd, .events = POLLOUT};
	int err;

	m->h = header(type, sizeof(*m), fd >= 0);
	do { /* its guest may keep the VMM busy: a flood of connects is not its fault */
		err = fdmsg_send(l->sock_fd, m, sizeof(*m), &fd, fd >= 0);
	} while (err == -EAGAIN && poll(&pfd, 1, SEND_PATIENCE_MS) == 1);
	return err == -EPIPE || err == -ECONNRESET ? 0 : err;
}

/* ---- from the VMM ------------------------------------------------------------ */

/* Of a message with a list that may be short. 0: the count is not one that can be. */
static size_t channels_size(const struct exo_vmm_channels *c)
{
	if (c->count > EXO_VMM_CHANNEL_INFOS_MAX || c->more > 1)
		return 0;
	return offsetof(struct exo_vmm_channels, info) + c->count * sizeof(c->info[0]);
}

/* The exact size of a message that only a session may get; 0: not one of these. */
static size_t session_size(const union launch_msg *m)
{
	switch (m->h.type) {
	case EXO_VMM_STATS:
		return sizeof(struct exo_vmm_stats);
	case EXO_VMM_CHANNEL_STATE:
		return sizeof(struct exo_vmm_channel_state);
	case EXO_VMM_CHANNELS:
		return channels_size(&m->channels);
	case EXO_VMM_MEM_MAPPED:
		return sizeof(struct exo_vmm_mem);
	default:
		return 0;
	}
}

/* The exact size of a message that may come now; 0: none of that type may. */
static size_t expected_size(const struct launch *l, const union launch_msg *m)
{
	if (l->ended)
		return 0;
	if (l->greeting)
		return m->h.type == EXO_VMM_HELLO ? sizeof(struct exo_vmm_hello) : 0;
	switch (m->h.type) {
	case EXO_VMM_STARTED:
		return l->started ? 0 : sizeof(struct exo_vmm_header);
	case EXO_VMM_ENDED:
		return sizeof(struct exo_vmm_ended);
	case EXO_VMM_TERMIOS:
		return l->started ? sizeof(struct exo_vmm_termios) : 0;
	case EXO_VMM_READY:
		return l->started ? sizeof(struct exo_vmm_header) : 0;
	case EXO_VMM_VSOCK_REQUEST:
		return l->started ? sizeof(struct exo_vmm_vsock) : 0;
	default:
		return l->started && l->in_session ? session_size(m) : 0;
	}
}

static bool is_errno(int32_t status)
{
	return status <= 0 && status > -4096;
}

static bool is_sound(const union launch_msg *m, unsigned nfds)
{
	switch (m->h.type) {
	case EXO_VMM_ENDED:
		return m->ended.reason >= EXO_END_EXIT && m->ended.reason <= EXO_END_HOST &&
		       (m->ended.reason != EXO_END_EXIT || m->ended.status <= 255);
	case EXO_VMM_TERMIOS:
		return !(m->termios.flags & ~(EXO_TTY_ECHO | EXO_TTY_CANON | EXO_TTY_ISIG));
	case EXO_VMM_VSOCK_REQUEST:
		return (m->vsock.type == VIRTIO_VSOCK_TYPE_STREAM ||
			m->vsock.type == VIRTIO_VSOCK_TYPE_SEQPACKET) &&
		       !(m->vsock.flags & ~EXO_VSOCK_DIRECT);
	case EXO_VMM_CHANNEL_STATE:
		return m->state.conn && m->state.state >= EXO_CHANNEL_ACCEPTED &&
		       m->state.state <= EXO_CHANNEL_CLOSED &&
		       !(m->state.flags & ~EXO_CHANNEL_DIRECT) && m->state.reason < EXO_REASONS;
	case EXO_VMM_MEM_MAPPED:
		return is_errno(m->mem.status);
	case EXO_VMM_HELLO:
		return (nfds == 0 || nfds == 2) &&
		       memchr(m->hello.name, '\0', sizeof(m->hello.name)) && m->hello.ready <= 1 &&
		       m->hello.scanouts <= EXO_DPY_SCANOUTS_MAX;
	default:
		return true;
	}
}

/* What the message changes, and what makes it fit to be shown. */
static void take(struct launch *l, union launch_msg *m)
{
	if (m->h.type == EXO_VMM_STARTED)
		l->started = true;
	if (m->h.type == EXO_VMM_HELLO) {
		l->greeting = false;
		text_make_printable(m->hello.name);
	}
	if (m->h.type == EXO_VMM_ENDED) {
		l->ended = true;
		m->ended.detail[sizeof(m->ended.detail) - 1] = '\0';
		text_make_printable(m->ended.detail);
	}
}

int launch_recv_fds(struct launch *l, union launch_msg *m, int fds[LAUNCH_FDS_MAX], unsigned *nfds)
{
	ssize_t n = fdmsg_recv(l->sock_fd, m, sizeof(*m), fds, LAUNCH_FDS_MAX, nfds);

	if (n == 0 || n == -ECONNRESET)
		return 0;
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n < (ssize_t)sizeof(m->h) || m->h.magic != EXO_VMM_MAGIC || m->h.nfds != *nfds ||
	    (*nfds && m->h.type != EXO_VMM_HELLO) || m->h.size != (size_t)n ||
	    (size_t)n != expected_size(l, m) || !is_sound(m, *nfds)) {
		while (*nfds)
			close(fds[--*nfds]);
		return -EPROTO;
	}
	take(l, m);
	return 1;
}

int launch_recv(struct launch *l, union launch_msg *m)
{
	int fds[LAUNCH_FDS_MAX];
	unsigned nfds;
	int got = launch_recv_fds(l, m, fds, &nfds);

	while (got > 0 && nfds) /* HELLO's, which is never the first here */
		close(fds[--nfds]);
	return got;
}

void launch_attach(struct launch *l, int sock_fd)
{
	l->sock_fd = sock_fd;
	l->in_session = l->greeting = l->started = true;
}

/* ---- end ------------------------------------------------------------------------ */

/*
 * Hangs up and waits for the child, but not for ever on its good will. Returns
 * false when it had to be killed.
 */
static bool reap(struct launch *l, int *status, struct rusage *usage)
{
	const struct timespec pause = {.tv_nsec = 500000};
	bool willing = true;
	pid_t pid = 0;

	if (l->sock_fd >= 0)
		close(l->sock_fd);
	l->sock_fd = -1;
	*status = 0;
	for (int i = 0; l->pid && i < 4000 && !pid; i++) {
		pid = wait4(l->pid, status, WNOHANG, usage);
		if (!pid)
			nanosleep(&pause, NULL);
	}
	if (l->pid && !pid) {
		willing = false;
		kill(l->pid, SIGKILL);
		while (wait4(l->pid, status, 0, usage) < 0 && errno == EINTR)
			;
	}
	l->pid = 0;
	return willing;
}

void launch_describe(const struct launch *l, int status, char line[128])
{
	if (l->child.err)
		snprintf(line, 128, "cannot start exo-vmm: %s", strerror(-l->child.err));
	else if (WIFSIGNALED(status))
		snprintf(line, 128, "exo-vmm was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(line, 128, "exo-vmm ended with status %d and gave no reason",
			 WEXITSTATUS(status));
}

void launch_cause(struct launch *l, char line[128])
{
	int status;

	if (reap(l, &status, NULL) || l->child.err)
		launch_describe(l, status, line);
	else
		snprintf(line, 128, "exo-vmm hung up and had to be killed");
}

void launch_wait(struct launch *l, struct rusage *usage)
{
	int status;

	reap(l, &status, usage);
}

void launch_finish(struct launch *l)
{
	if (l->pid && !l->ended) {
		kill(l->pid, SIGKILL);
		launch_wait(l, NULL);
	}
	l->pid = 0;
	if (l->sock_fd >= 0)
		close(l->sock_fd);
	l->sock_fd = -1;
}
