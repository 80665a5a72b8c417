/*
 * The session: guests, the wires between them, and who may ask for what. One
 * process, one thread, one event loop; nothing here waits for anybody. Data
 * never passes through it.
 *
 *	control.c   the control socket: lines, clients, descriptors (docs/control.md)
 *	ops_*.c     its operations
 *	machine.c   one guest: VMM, messages, start, end, adoption after a restart
 *	log.c       what guests without a terminal print
 *	lifecycle.c readiness, restarts with back-off, start on demand, watchdogs
 *	wire.c      connections: from a request through policy to two VMMs
 *	caps.c      what guests ask on port 1 (exo/channel.h)
 *	memory.c    memory that guests create and offer
 *	mounts*.c   folders and files of the host behind sandboxed file servers
 *	display.c   guests' displays and the desktop that shows them
 *	policy*.c   who may reach what: pure logic
 *	state.c     what survives a restart; audit.c the log of grants and uses
 *
 * Everything is reached from struct session, made in session_main.c. A machine
 * is freed only from the loop's end (session_reap), so callbacks may hold one.
 */
#ifndef SESSION_H
#define SESSION_H

#include "guest.h"
#include "launch.h"
#include "loop.h"
#include "manifest.h"
#include "policy.h"

#include <exo/channel.h>
#include <exo/vmm.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SESSION_MACHINES_MAX 1024

struct client; /* control.c */
struct mount;  /* mounts.c */

enum machine_state {
	MACHINE_ADDED, /* known by its manifest, not started */
	MACHINE_STARTING,
	MACHINE_RUNNING, /* not ready yet */
	MACHINE_READY,
	MACHINE_STOPPING,
	MACHINE_BACK_OFF, /* ended, will be started again */
	MACHINE_ENDED,    /* kept while somebody asks for it, then freed */
	MACHINE_FAILED,   /* restarted too often, or cannot be started */
};

/* How it ended; of the last time it did. */
struct machine_end {
	enum exo_end reason;
	uint32_t status;
	int exit_code; /* as exo run's */
	char detail[512];
};

/* A guest as the session keeps it: what it is to be, and its VMM while it runs. */
struct machine {
	struct session *session;
	struct machine *next; /* all of them */
	uint64_t number;
	char name[POLICY_NAME_MAX], label[POLICY_LABEL_MAX];
	enum machine_state state;
	struct manifest *manifest; /* or NULL: started without */
	char *program;             /* absolute path */
	char **args;               /* NULL-terminated, args[0] the program */
	json_t *options;           /* fields of `start` (docs/control.md), checked; or NULL */
	struct guest guest;        /* options and fds of this start, made by machine_start */
	struct launch *vm;         /* NULL: no VMM */
	pid_t pid;                 /* of the VMM, also when it is not our child */
	int pid_fd;                /* pidfd, watched; -1 */
	int listen_fd;             /* its socket for a later session, -1 */
	int guest_bell, vmm_bell;  /* eventfds, -1 */
	int stdio[3];              /* -1: the guest's log; owned, used up by the first start */
	/*
	 * log.c. Both are read with pread. log_fd is what the guest writes now; when
	 * it is long it goes to log_old_fd, in place of what is there, and begins
	 * anew. log_start: how many bytes were ever logged before log_fd's first.
	 */
	int log_fd, log_old_fd;
	int log_watch;
	uint64_t log_start;
	bool direct;          /* its driver has the direct path: seen at its first request */
	uint32_t subject;     /* in policy; 0: does not run */
	struct client *owner; /* attached; ends with it. NULL: nobody's */
	bool adopted;         /* of an earlier session */
	bool said_started, said_ready;

	/* lifecycle.c */
	uint64_t started_ns, ready_ns, alive_ns;
	uint64_t kill_at_ns, restart_at_ns, ready_by_ns; /* 0: never */
	uint64_t backoff_ns;
	unsigned restarts, recent_restarts;
	uint64_t recent_since_ns;
	uint64_t ended_ns; /* of the last time; 0: it never did */
	uint32_t overs;    /* how often it was over, not to be restarted by itself */
	bool added;        /* by `add`: a connect to what it provides starts it, whenever */
	bool pending;      /* MACHINE_STARTING without a VMM: what it requires starts first */
	bool for_good;     /* it was told to end: no restart */
	bool paused;
	uint64_t visit; /* mark of a walk along required services */
	struct machine_end end;
	struct exo_vmm_stats stats; /* the last that came */

	struct guest_display display; /* of this start; windows 0: none */
	int display_fd;               /* the desktop's end, until it gets it; -1 */

	struct mount *mounts;
	void *caps;   /* caps.c: its conversations on port 1 */
	void *memory; /* memory.c */
	void *wires;  /* wire.c */

	/* machine.c */
	struct machine_outbox *outbox;     /* messages that its VMM's socket did not take yet */
	struct machine_old_slot *old_slot; /* from state_load, for the adoption; owned */
	unsigned nold_slots;
	uint16_t *old_generation; /* likewise: EXO_SLOTS_MAX of them, or NULL */
	uint64_t stats_asked, stats_answered;
	uint64_t stats_by_ns; /* the next of them has to come by then; 0: none is to come */
	uint64_t quota_ns;    /* of messages: see machine_recv */
	uint64_t resume_ns;   /* it said too much: it is heard again then; 0: it is heard */
	uint64_t adopt_by_ns; /* it has to say HELLO and CHANNELS by then; 0: it has */
	uint64_t hung_up_ns;  /* killed if it is not gone soon after; 0: it has not */
	char **strings;       /* owned by it until it is forgotten: environment */
	unsigned nstrings;
	const char *killed_why;
	const char *broken; /* what ends its VMM at the next tick, or NULL */
};

/* A slot that a guest had in an earlier session. */
struct machine_old_slot {
	uint32_t grant, port;
};

struct session {
	struct loop loop;
	struct policy *policy;
	struct machine *machines;
	uint64_t next_number;
	uint64_t visits;    /* marks for machine.visit */
	char directory[96]; /* XDG_RUNTIME_DIR/exo; "" in a private session: nothing is written */
	int directory_fd;   /* -1 in a private session */
	int control_fd;     /* listening */
	int audit_fd;
	int inotify_fd; /* log.c */
	int signal_fd, lock_fd;
	unsigned adopting; /* machines that have not said yet what they have */
	bool ending;       /* shutdown was asked for */
	bool leave_guests;
	bool is_private; /* of one exo run: ends with its client */
	bool state_dirty;
	bool grants_ended;  /* some have: *_look_at_grants */
	uint64_t timer_ns;  /* armed */
	uint64_t end_by_ns; /* a shutdown takes no longer */
	struct machine *forgotten;
	struct machine_dying *dying; /* VMMs that ended and are not gone yet */
	void *state, *audit;         /* state.c, audit.c */
	void *control;               /* control.c */
	struct client *desktop;      /* who shows guests' displays, or NULL */
	void *wires;                 /* wire.c */
	void *memory;                /* memory.c */
	/* A log has grown or begun anew; control.c's, or NULL: nobody follows. */
	void (*log_changed)(struct machine *m);
};

/* ---- session_main.c ----------------------------------------------------------------- */

/* exo session [--private FD]. argv[0] is "session". Returns the exit code. */
int session_command(char **argv, uint64_t start_ns);
/*
 * Ends the session: its guests are stopped (SIGTERM, then killed), or left to the next
 * one. May be called again, to make it sooner.
 */
void session_end(struct session *s, bool leave_guests);
/* Asks for a tick (deadlines of all parts are looked at) at CLOCK_MONOTONIC deadline_ns or before.
 */
void session_wake_at(struct session *s, uint64_t deadline_ns);
struct machine *session_find(struct session *s, const char *name);
struct machine *session_by_subject(struct session *s, uint32_t subject);
/* Something to be saved changed; written before the next answer, or at the end of this turn. */
void session_changed(struct session *s);
/* Writes it now, if there is any. A session that cannot goes on, and tries at the next change. */
void session_save(struct session *s);

/* ---- machine.c -------------------------------------------------------------------- */

/*
 * A new one in the list: MACHINE_ADDED, with a number and nothing else set, fds
 * -1. NULL with errno: ENOMEM, ENOSPC (SESSION_MACHINES_MAX).
 */
struct machine *machine_create(struct session *s, const char *name);
/*
 * Takes it out of the list, so session_find does not see it any more, and frees it,
 * with all it owns, at the end of this turn of the loop. It has no VMM.
 */
void machine_forget(struct machine *m);
/*
 * Starts what *m describes (program or manifest, args, stdio). 0, or -errno with
 * *why one line (no line feed) for the person. m->guest is made anew at each start:
 * from the manifest, then control_apply_options, then stdio. The options' "mounts"
 * come after the manifest's. It becomes MACHINE_STARTING and a subject of the
 * policy; what the manifest provides and uses is in the policy already
 * (lifecycle_add).
 */
int machine_start(struct machine *m, char why[512]);
/* Its VMM is told to end the guest now; one that does not within 2 s is killed itself. */
void machine_kill(struct machine *m, const char *why);
void machine_signal(struct machine *m, int signo);
/* Sends a message of the protocol to its VMM; a VMM that does not take it is ended. */
void machine_send(struct machine *m, const void *msg, size_t len, const int *fds, unsigned nfds);
/*
 * Finds the guests of an earlier session: machines that state_load made with
 * machine_create (name, label, manifest or program, number, pid, `adopted` true,
 * old_slot, old_generation). Those that do not answer within 2 s are as if they had never run.
 */
void machine_adopt_all(struct session *s);
/* Its VMM left an answer out: it is ended. */
void machine_broke_order(struct machine *m);
/* Asks its VMM for m->stats. */
void machine_request_stats(struct machine *m);
/* Deadlines that are due; the next one, 0: none. */
uint64_t machine_tick(struct session *s, uint64_t now_ns);
/* Frees what was forgotten: at the end of a turn of the loop, when no callback holds one. */
void machine_reap(struct session *s);
/* Hangs up on all VMMs: those that may outlive us do. */
void machine_finish_all(struct session *s);
/* Has it a VMM that takes messages? */
bool machine_runs(const struct machine *m);

/* ---- log.c ----------------------------------------------------------------------------- */

#define LOG_BYTES_MAX (1u << 20) /* of log_fd and log_old_fd each */

/* Opens m->log_fd and log_old_fd, if they are not. 0 or -errno. */
int log_open(struct machine *m);
/* NULL-safe in the sense of -1s. */
void log_close(struct machine *m);
void log_finish(struct session *s);

/* ---- lifecycle.c ---------------------------------------------------------------------- */

/*
 * Makes a machine known by its manifest, which it takes over also when it
 * fails: services and grants are in the policy then, nothing runs. NULL with
 * errno (EEXIST: the name, or a service has another provider) and why.
 */
struct machine *lifecycle_add(struct session *s, struct manifest *manifest, char why[512]);
/* Starts it, and first those whose services it requires. 0, -EINPROGRESS (it waits for
 * them), or -errno with why: -ELOOP is a cycle of required services. */
int lifecycle_start(struct machine *m, char why[512]);
/* Its services and the grants of its manifest leave the policy, and it is forgotten. */
void lifecycle_remove(struct machine *m);

/* Called by machine.c and caps.c: */
void lifecycle_started(struct machine *m); /* EXO_VMM_STARTED */
void lifecycle_ready(struct machine *m);   /* it said so, or need not */
void lifecycle_ended(struct machine *m);   /* its VMM is gone; m->end says how */
void lifecycle_alive(struct machine *m);   /* heartbeat */
/* Starts, if need be, the provider of a service. 0: it is ready; -EINPROGRESS; -errno: can't. */
int lifecycle_want(struct session *s, const char *service);
/* SIGTERM, then kill after its stop-timeout. */
void lifecycle_stop(struct machine *m, uint64_t timeout_ns);
/* Deadlines that are due; the next one, 0: none. */
uint64_t lifecycle_tick(struct session *s, uint64_t now_ns);

/* ---- wire.c ------------------------------------------------------------------------------ */

/* EXO_VMM_VSOCK_REQUEST of a guest: answered now, or when the provider is ready. */
void wire_request(struct machine *m, const struct exo_vmm_vsock *request);
/* EXO_VMM_CHANNEL_STATE. False: it can't say that, it is to be ended. */
bool wire_state(struct machine *m, const struct exo_vmm_channel_state *state);
/* EXO_VMM_CHANNELS: counters, or what an adopted VMM has. */
void wire_channels(struct machine *m, const struct exo_vmm_channels *c);
/* A service became ready, or can't: requests that wait for it. */
void wire_service_changed(struct session *s, const char *service);
/* A guest is gone: its connections end for their other ends. */
void wire_machine_gone(struct machine *m, enum exo_reason reason);
/*
 * A host program connects to a service; its provider is started if need be, until
 * the deadline. `done` is called once, perhaps before this returns: with
 * EXO_REASON_NONE and the caller's end of the connection (it owns it), or the
 * reason and -1. `from` is shown to the guest as the other end's name.
 */
typedef void wire_host_fn(void *opaque, enum exo_reason reason, int fd);
void wire_connect_host(struct session *s, const char *service, bool seqpacket, const char *from,
		       uint64_t deadline_ns, wire_host_fn *done, void *opaque);
/* Whoever asked with this opaque has gone: neither this done nor wire_refresh's is called any more.
 */
void wire_cancel_host(struct session *s, const void *opaque);
/*
 * Connects to a vsock port of a running guest, past the policy: for guests without
 * manifest. *fd is the caller's end; it hangs up if the guest refuses. 0 or -errno.
 */
int wire_connect_port(struct machine *m, uint32_t port, bool seqpacket, int *fd);
/*
 * A host program provides a service: `accept` is called with each new
 * connection's fd, which it owns. 0 or -errno.
 */
typedef void wire_accept_fn(void *opaque, int fd, const char *from, const char *label);
int wire_listen_host(struct session *s, const char *service, bool seqpacket, wire_accept_fn *accept,
		     void *opaque);
void wire_unlisten_host(struct session *s, const char *service);
/* Counters of a connection, as last heard. False: unknown. */
bool wire_counters(struct session *s, uint32_t conn, struct exo_vmm_channel_info *info,
		   const char **path);
/* Asks all VMMs for counters; done(opaque) when all have answered or 200 ms have gone by. */
void wire_refresh(struct session *s, void (*done)(void *opaque), void *opaque);
/* Deadlines that are due; the next one, 0: none. */
uint64_t wire_tick(struct session *s, uint64_t now_ns);
/* All VMMs of an earlier session have said what they have: what has two ends goes on. */
void wire_adopted(struct session *s);
void wire_finish(struct session *s);
/* Why a connection (or a connect) of m ended lately, by its ports as m sees them; NONE: unknown. */
enum exo_reason wire_reason(struct machine *m, uint32_t local_port, uint32_t peer_port);
/* What a host program that opened the connection calls itself, or NULL: a guest did. */
const char *wire_host_name(struct session *s, uint32_t conn);
/* The word of docs/channels.md: "closed", "revoked", … */
const char *wire_reason_word(enum exo_reason reason);
/* policy's close_conn. */
void wire_close(struct session *s, uint32_t conn, enum exo_reason reason);

/* ---- caps.c, memory.c ------------------------------------------------------------------------ */

/* The guest connects to port 1. The fd for its VMM, or -errno. */
int caps_open(struct machine *m);
void caps_machine_gone(struct machine *m);
/* Does it serve all the services of its manifest? False if there are none. */
bool caps_serves_all(const struct machine *m);
/* Somebody waits with TAKE or MEM_ACCEPT at this connection: look again. */
void caps_offered(struct session *s, uint32_t conn);

/*
 * Memory that is mapped by others than us: a memfd whose size and seals are final. The
 * caller closes it. Or -errno.
 */
int memory_make_fd(const char *name, uint64_t bytes);
/*
 * Handles the EXO_CAP_MEM_* ops: the answer is in *msg. -EINPROGRESS: later, by caps_answer, or
 * when it is tried again after caps_offered.
 */
int memory_op(struct machine *m, struct exo_cap_msg *msg, void *conversation);
void caps_answer(struct machine *m, void *conversation, const struct exo_cap_msg *msg);
/* EXO_VMM_MEM_MAPPED. False: nobody asked for it, the VMM is to be ended. */
bool memory_mapped(struct machine *m, const struct exo_vmm_mem *answer);
/* Its VMM has answered a request for STATS, and so carried out all that came before it. */
void memory_fence(struct machine *m);
void memory_finish(struct session *s);
void memory_machine_gone(struct machine *m);
void memory_conn_gone(struct session *s, uint32_t conn);

/* ---- control.c ----------------------------------------------------------- */

int control_listen(struct session *s, char why[512]);
void control_finish(struct session *s);
/* One line to a client; takes over `json`; fds stay the caller's. */
void control_send(struct client *c, json_t *json, const int *fds, unsigned nfds);
/* To all who subscribed. Takes over `json`. */
void control_broadcast(struct session *s, json_t *json);
/* The same, and to the client that is attached to the machine. Takes over `json`. */
void control_machine_event(struct machine *m, json_t *json);
/* News of a machine's state, for requests that wait; they are looked at in the next tick. */
void control_machine_changed(struct machine *m);
/* How it ended: state, reason, status, detail, exit_code. The caller's. */
json_t *control_end_fields(const struct machine *m);
/* It is about to be forgotten: who waits for it is answered now. */
void control_machine_forgotten(struct machine *m);
/* Sets in m->guest what m->options say, over the manifest's. 0, or -errno with why. */
int control_apply_options(struct machine *m, char why[512]);
/* EXO_VMM_TERMIOS, for the client that is attached: EXO_TTY_*. */
void control_termios(struct machine *m, uint32_t flags);
/* EXO_VMM_STATS came: m->stats. */
void control_stats(struct machine *m);
/* A line of the audit log, for those who follow it. Takes over `line`. */
void control_audit(struct session *s, json_t *line);
/* The service "control", for guests. 0 or -errno. */
int control_serve_guests(struct session *s);
/* Some grant has ended: guests that have none for "control" any more are hung up on. */
void control_look_at_grants(struct session *s);
/* A person's program is connected (a private session ends without). */
bool control_has_clients(const struct session *s);
/* Deadlines of requests that are due; the next one, 0: none. */
uint64_t control_tick(struct session *s, uint64_t now_ns);
/*
 * A private session: this connected socket is its only client, the listening one is
 * not made. Takes over fd. 0 or -errno.
 */
int control_adopt_client(struct session *s, int fd);

/* ---- display.c --------------------------------------------------------------- */

/*
 * Between machine_start's steps: makes the display that m->guest.display asks for, with
 * a socket to the desktop if there is one; and, m runs by now, tells the desktop. 0 or -errno.
 */
int display_open(struct machine *m);
void display_opened(struct machine *m);
/* A desktop that came later gets a new socket to m, if m has a display. */
void display_give(struct machine *m);
/* A guest of an earlier session said that it has so many scanouts. */
void display_adopt(struct machine *m, unsigned scanouts);
/* m has none any more. */
void display_close(struct machine *m);
/* For the desktop, with one descriptor. Takes over `json`. Nothing without a desktop. */
void control_desktop_event(struct session *s, json_t *json, int fd);
/* "#rrggbb": its frame's. */
void control_colour(const struct machine *m, char colour[8]);
/* What `start` asked for (docs/control.md) over the manifest's; windows 0: nothing. */
int control_display(const struct machine *m, struct guest_display *display, char why[512]);

/* ---- mounts.c
 * ------------------------------------------------------------------------------------- */

/*
 * The value of EXO_MOUNTS for all mounts of m, in order, and NULL if there are none;
 * the caller frees it. m is a subject of the policy.
 */
char *mounts_environment(struct machine *m);
/* A mount of m at `path`. source: a folder of the host, or "service:NAME".
 * Starts a file server for a folder of the host; its service is private to the machine. 0 or -errno
 * with why. */
int mounts_add(struct machine *m, const char *source, const char *path, bool read_only,
	       char why[512]);
/*
 * A new connection to the file server behind this service name, for the guest whose mount
 * it is and no other (NULL: a host program): its fd, or -errno.
 */
int mounts_connect(struct session *s, const struct machine *opener, const char *service);
/*
 * A regular file of the host (absolute path) for a running guest: its server is reachable by
 * m alone, at *port, as long as *grant holds. create: made if it is not there. 0, -ENOSPC:
 * too many, or -errno of the file.
 */
int mounts_offer(struct machine *m, const char *path, bool writable, bool create, uint32_t *grant,
		 uint32_t *port);
/* Some grant has ended: what was offered by it ends. Not from within the policy. */
void mounts_look_at_grants(struct session *s);
/* Of a guest of an earlier session: its folders' services are there again. */
void mounts_adopt(struct machine *m);
void mounts_machine_gone(struct machine *m);

/* ---- state.c, audit.c
 * ------------------------------------------------------------------------------- */

/*
 * The first thing in a public session: grants, added manifests, and guests that may
 * still run are as they were. What is damaged is set aside, with a message. 0 or
 * -errno: it can't be read, and is left alone.
 */
int state_load(struct session *s);
/* Replaces the file; nothing without a directory. 0 or -errno. */
int state_save(struct session *s);
/* From policy's events: a grant that was made or ended is written down at once. */
void state_event(struct session *s, const struct policy_event *e);
void state_finish(struct session *s);
/*
 * Writes the event down and shows it to those who follow. What one guest causes is
 * bounded; what is left out is counted in a line of its own (H-34). Nothing is
 * written without a directory.
 */
void audit_event(struct session *s, const struct policy_event *e);
void audit_finish(struct session *s);

#endif
