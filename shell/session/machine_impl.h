/* Inside machine*.c, for nobody else. */
#ifndef MACHINE_IMPL_H
#define MACHINE_IMPL_H

#include "session.h"

#include <sys/un.h>

#define MACHINE_OUTBOX_MAX 4096u      /* messages that wait; one more ends the VMM */
#define MACHINE_DEAF_NS 5000000000ull /* so long its socket may stay full */
#define MACHINE_GONE_NS 2000000000ull /* from a hang-up, or its end, to the VMM's own */

/* A message that the socket had no room for. */
struct machine_packet {
	struct machine_packet *next;
	size_t len;
	unsigned nfds;
	int fds[4]; /* owned */
	char bytes[];
};

struct machine_outbox {
	struct machine_packet *first, **last;
	unsigned count;
	uint64_t since_ns; /* when it took something, or began to wait */
};

/* A VMM whose guest is over; it only has to go. */
struct machine_dying {
	struct machine_dying *next;
	struct session *session;
	struct launch *vm; /* owned: the child may still look into it */
	pid_t pid;
	int pid_fd;
	bool is_child;
	uint64_t kill_ns; /* then it is killed */
};

/* ---- machine.c -------------------------------------------------------------------- */

/* Hears it: its socket and its pidfd are watched. 0 or -errno. */
int machine_watch(struct machine *m);
/*
 * Its guest is over. m->end.reason 0: the VMM was lost, m->end.detail says how.
 * Everything that hangs on it is undone, then lifecycle_ended. Not inside of a call
 * from another part: it may be the last that is heard of m.
 */
void machine_over(struct machine *m);
/* The VMM broke the protocol or is deaf: killed at once, and over at the next tick. */
void machine_break(struct machine *m, const char *why);
/* Its name in the directory `guests`, for the socket calls: short enough whatever the directory. */
void machine_address(const struct machine *m, const char *name, struct sockaddr_un *address);
/* Removes its socket from the directory. */
void machine_unlink_socket(const struct machine *m);
/* Its pidfd, bells and socket. */
void machine_close_fds(struct machine *m);

/* ---- machine_dying.c ----------------------------------------------------------------- */

/* Hangs up on the VMM, and waits for its end from then on without m. */
void machine_let_die(struct machine *m, bool kill_now);
/* SIGKILL, by the pidfd where there is one: a number may be somebody else's by now. */
void machine_kill_process(int pid_fd, pid_t pid, bool is_child);
uint64_t machine_dying_tick(struct session *s, uint64_t now_ns);
void machine_dying_finish(struct session *s);

/* ---- machine_send.c ------------------------------------------------------------------ */

/* Sends what waits. */
void machine_flush(struct machine *m);
void machine_outbox_free(struct machine *m);
bool machine_is_deaf(const struct machine *m, uint64_t now_ns);

/* ---- machine_adopt.c ------------------------------------------------------------------- */

/* EXO_VMM_HELLO; owns the fds. False: it is not the one that we look for. */
bool machine_greeted(struct machine *m, const struct exo_vmm_hello *hello, const int *fds,
		     unsigned nfds);
/* It has said all that it has. */
void machine_adopted(struct machine *m);

#endif
