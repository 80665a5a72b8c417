/* What console.c (set-up, control) and console_io.c (streams) share. */
#ifndef DRIVERS_CONSOLE_IMPL_H
#define DRIVERS_CONSOLE_IMPL_H

#include "console.h"
#include "virtio.h"

#include "../posix/posix.h"

/*
 * Queue numbers (5.3.2): port 0 has 0 and 1, the control queues are 2 and 3,
 * port n has 2n + 2 and 2n + 3.
 */
enum ring { RX0, TX0, CRX, CTX, TX1, RX2, TX2, RINGS };

#define CONSOLE_RX_BUFFERS 4

struct console {
	struct virtio_dev *dev;
	struct virtq q[RINGS];
	bool tried, multiport;
	bool port_usable[EXO_PORTS];
	int broken[2];    /* errno of a port's output, 0 while it works */
	bool input_asked; /* buffers are posted */
	bool input_ended;
	uint32_t rx_at; /* bytes taken from the buffer in hand */
	int rx_head;    /* that buffer, -1: none */
	uint32_t rx_len;
	uint8_t *rx_buffer[CONSOLE_RX_BUFFERS]; /* by head */
	bool listening;
	bool pending[2]; /* a non-blocking write is under way */
	uint32_t pending_ticket[2];
	/* Chains given to the host and taken by it, which it does in order. */
	uint32_t sent[2], taken[2];
};

extern struct console con;
extern const enum ring console_tx_ring[2]; /* by port */

/*
 * The first of two steps to a working console: rings and what goes into them.
 * The caller may add its own output before the second. False: there is none.
 */
bool console_prepare(void);
void console_commit(void);
/* Both, if they have not been done. Is there a console? */
bool console_ready(void);
/* Takes in what the host has sent on the two control channels. */
void console_drain_control(void);
/* Counts the chains that the host has taken. */
void console_drain_output(unsigned port);
/* Queues a control message; the caller kicks. */
void console_say(uint32_t port, uint16_t event, uint16_t value);

#endif
