/*
 * Memory that the session gives and takes: see exo_channel.h. It appears in the
 * vsock device's shared memory region, which is always mapped; so there is
 * nothing to map here, only to find. Not on Linux: ENOTSUP.
 */
#include "channel_impl.h"

#include <exo.h>

#include <errno.h>

#define PAGE 4096ull

static int window(uint8_t **base, size_t *bytes)
{
	long at = syscall(EXO_SYS_WINDOW, bytes);

	if (at <= 0) {
		/* 0: a guest of no session has none. */
		errno = at == 0 || errno == ENETDOWN ? ENETDOWN : ENOTSUP;
		return -1;
	}
	*base = (uint8_t *)at;
	return 0;
}

static int release(uint64_t id)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_MEM_RELEASE, .mem = id};

	return channel_ask(&msg);
}

/* From an answer to what the program gets. */
static int fill_mem(struct exo_mem *mem, const struct exo_cap_msg *msg, uint64_t bytes,
		    uint8_t *base, size_t window_bytes)
{
	if (msg->offset > window_bytes || bytes > window_bytes - msg->offset) {
		release(msg->mem);
		errno = EPROTO;
		return -1;
	}
	*mem = (struct exo_mem){.id = msg->mem,
				.data = base + msg->offset,
				.bytes = (size_t)bytes,
				.flags = msg->flags & EXO_CAP_READ_ONLY};
	return 0;
}

int exo_mem_create(size_t bytes, struct exo_mem *mem)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_MEM_CREATE};
	uint64_t rounded = ((uint64_t)bytes + PAGE - 1) & ~(PAGE - 1);
	uint8_t *base;
	size_t size;

	if (!rounded) {
		errno = EINVAL;
		return -1;
	}
	msg.bytes = rounded;
	if (window(&base, &size) || channel_ask(&msg))
		return -1;
	return fill_mem(mem, &msg, rounded, base, size);
}

int exo_mem_offer(int fd, struct exo_mem *mem, unsigned flags)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_MEM_OFFER, .mem = mem->id, .flags = flags};

	if (channel_name(fd, &msg) || channel_ask(&msg))
		return -1;
	if (flags & EXO_CAP_MOVE)
		*mem = (struct exo_mem){0};
	return 0;
}

int exo_mem_accept(int fd, unsigned flags, struct exo_mem *mem)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_MEM_ACCEPT, .flags = flags};
	uint8_t *base;
	size_t size;

	if (window(&base, &size) || channel_name(fd, &msg) || channel_ask(&msg))
		return -1;
	return fill_mem(mem, &msg, msg.bytes, base, size);
}

int exo_mem_revoke(const struct exo_mem *mem)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_MEM_REVOKE, .mem = mem->id};

	return channel_ask(&msg);
}

int exo_mem_release(struct exo_mem *mem)
{
	if (release(mem->id))
		return -1;
	*mem = (struct exo_mem){0};
	return 0;
}
