/* Private to the files of the channel library. Any thread; errors: -1 and errno, as outside. */
#ifndef CHANNEL_IMPL_H
#define CHANNEL_IMPL_H

#include <exo_channel.h>

/*
 * Asks the session and waits for its answer, which is in *msg if this gives 0:
 * the answer's status is 0 too. The caller fills in what its op needs.
 */
int channel_ask(struct exo_cap_msg *msg);
/* Names a connection in a request, by its two ports. */
int channel_name(int fd, struct exo_cap_msg *msg);
/* A socket connected to a port of CID 2. type: as exo_connect. */
int channel_connect(uint32_t port, int type, int timeout_ms);
/* exo_connect with a limit to how long the connection may take. */
int channel_reach(const char *service, int type, int timeout_ms);

#define CHANNEL_TIMEOUT_MS 30000 /* the service may have to be started first */

#endif
