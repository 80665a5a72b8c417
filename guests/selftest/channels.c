/* The channel library without a session: every call says so. With one it is tested elsewhere. */
#include "selftest.h"

#include <exo.h>
#include <exo_channel.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_down(int64_t result)
{
	return result == -1 && errno == ENETDOWN;
}

void test_channels(void)
{
	struct exo_link link;
	struct exo_mem mem;
	struct exo_slot_info slot;
	int null = open("/dev/null", O_RDWR), fresh = 0, reason = 0;
	socklen_t len = sizeof(reason);

	if (getenv("EXO_NAME")) {
		for (int i = 0; i < CHANNEL_POINTS; i++)
			skip("there is a session", "channels without a session");
		close(null);
		return;
	}
	setenv("EXO_SLOT_SELF_TEST", "16777999", 1);
	check(exo_slot("self-test") == 16777999 && is_down(exo_slot("absent")),
	      "a slot is in the environment, or the session is asked: ENETDOWN");
	check(is_down(exo_connect("absent", SOCK_STREAM)) &&
		      is_down(exo_connect("self-test", SOCK_SEQPACKET)),
	      "exo_connect is ENETDOWN");
	check(is_down(exo_serve("absent", SOCK_SEQPACKET)) && is_down(exo_slot_at(0, &slot)) &&
		      is_down(exo_slot_drop(16777999)) && is_down(exo_alive()),
	      "so are serving, listing and dropping slots, the heartbeat");
	check(exo_mem_create(4096, &mem) == -1 && (errno == ENETDOWN || errno == ENOTSUP),
	      "there is no memory to share");
	errno = 0;
	check(exo_slot("") == -1 && errno == EINVAL && exo_peer(null, NULL) == -1 &&
		      errno == ENOTSOCK && exo_reason(null) == -1,
	      "bad names and descriptors");
	check(!strcmp(exo_reason_name(EXO_REASON_REVOKED), "revoked") &&
		      !strcmp(exo_reason_name(-1), "unknown"),
	      "reasons have names");
	exo_link_init(&link, "absent", SOCK_STREAM);
	check(exo_link_get(&link, 50, &fresh) == -1 && errno == ETIMEDOUT && fresh,
	      "a link gives up when its time is over");
	exo_link_close(&link);
	check(getsockopt(null, SOL_EXO, EXO_SO_REASON, &reason, &len) == -1 && errno == ENOTSOCK,
	      "the socket options are of sockets");
	close(null);
}
