/* A connection on this process's standard input and output. */
#ifndef PIPE_H
#define PIPE_H

#include <jansson.h>
#include <stdbool.h>

#define PIPE_MESSAGE_MAX (1 << 20) /* Limit: of a seqpacket message; a longer one is cut off */

/* The request that connects to SERVICE, GUEST:SERVICE or GUEST:PORT. NULL: not UTF-8. */
json_t *pipe_connect_request(const char *target, bool seqpacket);

/*
 * Moves bytes between the standard streams and a connected socket, which stays
 * the caller's, until both directions are at their end or the other side has gone.
 * The end of input is passed on. With seqpacket each read is a message. 0 or
 * -errno of what failed.
 */
int pipe_run(int fd, bool seqpacket);

#endif
