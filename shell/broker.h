/*
 * The host's side of a guest's vsock device, on Unix sockets.
 *
 * To the guest: a client connects to PATH and writes "CONNECT <port>\n"; the
 * connection then leads to that port of the guest, whose acceptance is answered
 * with "OK <host port>\n". PATH.seq does the same with SOCK_SEQPACKET sockets.
 * From the guest: a connection to port P of CID 2 leads to the Unix socket
 * PATH_P, of the same type. This is the convention of Firecracker and Cloud
 * Hypervisor. Data never passes here: the connected socket goes to the VMM.
 */
#ifndef BROKER_H
#define BROKER_H

#include "launch.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define BROKER_CLIENTS_MAX 16  /* handshakes at a time; more wait in the backlog */
#define BROKER_REQUESTS_MAX 32 /* connects that wait for a busy server; more are refused */
#define BROKER_POLL_MAX (2 + BROKER_CLIENTS_MAX)
#define BROKER_LINE_MAX 20 /* "CONNECT 4294967295\n" and no more */

struct broker_client { /* connected to PATH, has not said everything */
	int fd;
	bool is_seq;
	uint64_t deadline_ns;
	unsigned length;
	char line[BROKER_LINE_MAX];
};

struct broker_request { /* of the guest, for a server whose backlog is full */
	struct exo_vmm_vsock message;
	uint64_t deadline_ns;
};

struct broker {
	const char *path; /* NULL: no broker */
	int listen_fd[2]; /* stream, seqpacket; -1: not bound */
	unsigned nclients, nrequests;
	uint32_t next_id;
	struct broker_client client[BROKER_CLIENTS_MAX];
	struct broker_request request[BROKER_REQUESTS_MAX];
};

void broker_init(struct broker *b);
/* Closes everything and removes the sockets from the file system. */
void broker_finish(struct broker *b);

/*
 * Binds the two sockets; leftovers that nobody listens on are replaced. 0, or an
 * exit code after one line on standard error. `path` must live as long.
 */
int broker_listen(struct broker *b, const char *path);

/* "CONNECT <port>\n", exactly. 0 or -EINVAL. */
int broker_parse_connect(const char *line, unsigned length, uint32_t *port);

/* Answers a VSOCK_REQUEST, now or later. 0, or -errno when the VMM does not listen. */
int broker_request(struct broker *b, struct launch *vm, const struct exo_vmm_vsock *m);

/* Fills in what to poll; at most BROKER_POLL_MAX. */
unsigned broker_poll(const struct broker *b, struct pollfd *fds);
/* When to call broker_handle at the latest; 0: no matter. */
uint64_t broker_deadline(const struct broker *b);
/* After the poll, with the same fds: accepts, reads, times out. 0 or -errno as above. */
int broker_handle(struct broker *b, struct launch *vm, const struct pollfd *fds, unsigned nfds);

#endif
