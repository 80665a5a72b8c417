/*
 * Inside state*.c. Two files in the session's directory, both of JSON:
 *
 *	state.json   everything, as it was at one moment; replaced as a whole
 *	state.log    grants made and ended since then, one a line, so that a grant costs
 *	             the same however many there are
 *
 * Both carry a serial: a log with another one is older than the file, and void.
 * The last line of the log may be torn; everything else that is not as it was
 * written means that the files are damaged.
 */
#ifndef STATE_H
#define STATE_H

#include "session.h"

#define STATE_VERSION 1
#define STATE_FILE "state.json"
#define STATE_FILE_NEW "state.json.new"
#define STATE_FILE_BAD "state.json.bad"
#define STATE_LOG "state.log"
#define STATE_LOG_BAD "state.log.bad"

struct state {
	int log_fd; /* -1: nothing is logged until the next save */
	uint64_t serial;
	uint64_t file_bytes, log_bytes;
};

/* A line of the log for a grant that is there, or one that is over. The caller's; NULL: no memory.
 */
json_t *state_grant(const struct policy_grant_info *g, uint64_t now_ns, uint64_t real_ms);
/* The session's, made on first use; NULL: no memory. */
struct state *state_get(struct session *s);
/* CLOCK_REALTIME. */
uint64_t state_real_ms(void);

/* ---- state_check.c: is it what we wrote? ------------------------------------------------ */

bool state_is_sound(const json_t *root);
/* One line of the log. */
bool state_line_is_sound(const json_t *line);

#endif
