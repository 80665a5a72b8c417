/* Connections that come back: see exo_channel.h. */
#include "channel_impl.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MS_MIN 10
#define PAUSE_MS_MAX 1000

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

void exo_link_init(struct exo_link *link, const char *service, int type)
{
	*link = (struct exo_link){.type = type, .fd = -1};
	strncpy(link->service, service, sizeof(link->service) - 1);
}

/* Trying again can't help. */
static int is_final(int err)
{
	return err == EACCES || err == ESTALE || err == ENOENT || err == EPROTOTYPE ||
	       err == EINVAL || err == EMFILE;
}

int exo_link_get(struct exo_link *link, int timeout_ms, int *fresh)
{
	int64_t end = now_ms() + timeout_ms, left = timeout_ms, pause = PAUSE_MS_MIN;

	if (fresh)
		*fresh = link->fd < 0;
	while (link->fd < 0) {
		int limit = left < 1                    ? 1
			    : left < CHANNEL_TIMEOUT_MS ? (int)left
							: CHANNEL_TIMEOUT_MS;

		link->fd = channel_reach(link->service, link->type, limit);
		if (link->fd >= 0)
			break;
		if (is_final(errno))
			return -1;
		left = end - now_ms();
		if (left <= 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		sleep_ms(pause < left ? pause : left);
		pause = 2 * pause < PAUSE_MS_MAX ? 2 * pause : PAUSE_MS_MAX;
		left = end - now_ms();
	}
	return link->fd;
}

void exo_link_lost(struct exo_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

void exo_link_close(struct exo_link *link)
{
	exo_link_lost(link);
}
