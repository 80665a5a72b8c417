/*
 * Starting an exo-vmm and talking with it (include/exo/vmm.h). The VMM is
 * started first and creates its VM while the caller still looks at files; then
 * it gets the configuration.
 *
 * What it says is not trusted: a compromised VMM can at worst end (hostile-guests
 * H-34). Messages are decoded strictly and in order; anything else is -EPROTO.
 */
#ifndef LAUNCH_H
#define LAUNCH_H

#include "guest.h"
#include "search.h"

#include <exo/vmm.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/*
 * What the child needs until it is exo-vmm. It shares our memory until then
 * and runs beside us, so this must stay until the VMM has spoken or ended.
 */
struct launch_child {
	char path[SEARCH_PATH_MAX];
	char name[8], label[64];
	char *argv[3], *envp[1];
	int sock_fd, kvm_fd;
	_Atomic int err; /* why it could not become exo-vmm, -errno */
	_Alignas(16) char stack[2048];
};

struct launch {
	struct launch_child child;
	int sock_fd; /* control socket, non-blocking, or -1 */
	pid_t pid;   /* of the VMM, our child; 0: none */
	bool started, ended;
	bool in_session;                    /* what only a session is told may come too */
	bool greeting;                      /* HELLO is to come first: somebody else started it */
	uint64_t spawned_ns, configured_ns; /* when; CLOCK_MONOTONIC */
};

union launch_msg {
	struct exo_vmm_header h;
	struct exo_vmm_ended ended;
	struct exo_vmm_termios termios;
	struct exo_vmm_vsock vsock;
	struct exo_vmm_stats stats;
	struct exo_vmm_channel_state state;
	struct exo_vmm_channels channels;
	struct exo_vmm_mem mem;
	struct exo_vmm_hello hello;
};

#define LAUNCH_FDS_MAX 2 /* with a message from the VMM */

/* CLOCK_MONOTONIC. */
uint64_t launch_now_ns(void);

void launch_init(struct launch *l);

/*
 * Opens /dev/kvm and starts exo-vmm; *l must not move from here on. `name` is shown in its argument
 * list. The signals blocked in the caller stay blocked in it. 0, or an exit code after one line on
 * standard error.
 */
int launch_spawn(struct launch *l, const char *name);

/* Sends the configuration. 0 (also when the VMM has gone: launch_recv will tell), or -errno. */
int launch_configure(struct launch *l, const struct guest *g);

/* One message without payload but a signal number; type SIGNAL or KILL. 0 or -errno. */
int launch_send_signal(struct launch *l, enum exo_vmm_type type, int signo);
int launch_send_winch(struct launch *l, uint32_t rows, uint32_t cols);
/*
 * VSOCK_OPEN or VSOCK_REPLY; fd (or -1) stays the caller's. Waits up to 2 s for a VMM that is
 * busy. 0 (also when the VMM has gone: launch_recv will tell), or -errno.
 */
int launch_send_vsock(struct launch *l, enum exo_vmm_type type, struct exo_vmm_vsock *m, int fd);

/*
 * Takes one message. 1; 0 at hang-up; -EAGAIN when there is none; -EPROTO when
 * the VMM broke the protocol. Text in it is terminated and printable.
 */
int launch_recv(struct launch *l, union launch_msg *m);

/*
 * The same for a session (l->in_session), where a message may bring fds: they are the
 * caller's then, *nfds of them; 0 unless 1 was returned.
 */
int launch_recv_fds(struct launch *l, union launch_msg *m, int fds[LAUNCH_FDS_MAX], unsigned *nfds);

/* A running VMM of an earlier session, reached by its socket: takes over sock_fd. */
void launch_attach(struct launch *l, int sock_fd);

/*
 * After a hang-up without ENDED: waits for the VMM and says in one line why it
 * has gone.
 */
void launch_cause(struct launch *l, char line[128]);
/* The same line from what waitpid(2) said; does not wait. */
void launch_describe(const struct launch *l, int status, char line[128]);

/* Hangs up and waits for the VMM's end: its memory and files are then free. usage may be NULL. */
void launch_wait(struct launch *l, struct rusage *usage);

/*
 * Hangs up. A VMM that has said ENDED tears itself down without us; any other
 * is killed and waited for.
 */
void launch_finish(struct launch *l);

#endif
