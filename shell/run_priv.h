/*
 * Shared by run*.c and run_join.c, not for anybody else: one guest in the
 * foreground, and the two ways to it: a VMM of our own, or a session.
 */
#ifndef RUN_PRIV_H
#define RUN_PRIV_H

#include "broker.h"
#include "guest.h"
#include "launch.h"
#include "report.h"
#include "tty.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define RUN_POLL_MAX (1 + BROKER_POLL_MAX)
#define RUN_LIST_MAX 16 /* of --mount and of --grant */

struct run;
struct join; /* run_join.c */

/* All entries are required. */
struct run_way {
	/* Starts r->guest with r->guest.stream. 0, or an exit code after a line. */
	int (*start)(struct run *r);
	/* What to poll, at most RUN_POLL_MAX; and when to call handle at the latest, 0: no matter.
	 */
	unsigned (*poll)(struct run *r, struct pollfd *fds);
	uint64_t (*deadline)(const struct run *r);
	/* After the poll. true: it is over; r->report.end or r->status says how. */
	bool (*handle)(struct run *r, const struct pollfd *fds, unsigned nfds);
	void (*signal)(struct run *r, int signo); /* to the program */
	void (*kill)(struct run *r, int signo);
	void (*winch)(struct run *r, uint32_t rows, uint32_t cols);
	void (*stop)(struct run *r, bool stopped); /* the machine as a whole */
	/* What is still to be known for the report. */
	void (*complete)(struct run *r);
	void (*finish)(struct run *r); /* safe before start */
};

extern const struct run_way run_direct;

struct run {
	const struct run_way *way;
	struct guest guest;
	struct tty tty;
	struct report report;
	const char *json_path, *vsock_path;
	bool want_timings;
	uint64_t timeout_ns;
	int signal_fd;

	/* For a session: */
	bool is_private; /* --private */
	bool is_named;   /* by --name */
	const char *manifest;
	char *mount[RUN_LIST_MAX], *grant[RUN_LIST_MAX];
	unsigned nmounts, ngrants;

	/* run_direct.c */
	struct launch vm;
	struct broker broker;
	/* run_join.c */
	struct join *join;

	bool started; /* there is a program that could do something about a signal */
	int status;   /* exit code of a failure that was told already, 0: see the report */
	uint64_t timeout_at_ns; /* 0: never */
	uint64_t kill_at_ns;    /* the guest was asked to end; 0: it was not */
	int asked_signo;        /* by which signal */
	bool killed;            /* way->kill was called */
};

/*
 * Ready to be polled for signals, which are blocked from then on. 0 or an exit
 * code after a line. The way's start calls them: what is blocked first is
 * inherited by a VMM.
 */
void run_block_signals(void);
int run_open_signal_fd(struct run *r);
/* The terminal on standard input; the kind of guest is known. 0 or an exit code. */
int run_set_up_terminal(struct run *r);

#endif
