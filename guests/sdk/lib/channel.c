/* Services, the other end, and passing capabilities on: see exo_channel.h. */
#include "channel_impl.h"

#include <exo.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define BACKLOG 128
#define TYPE_FLAGS (SOCK_CLOEXEC | SOCK_NONBLOCK)

/* ---- names and ports ------------------------------------------------------------- */

static int set_name(struct exo_cap_msg *msg, const char *service)
{
	if (!*service || strlen(service) >= sizeof(msg->name)) {
		errno = EINVAL;
		return -1;
	}
	strcpy(msg->name, service);
	return 0;
}

static int64_t slot_of_environment(const char *service)
{
	char name[sizeof("EXO_SLOT_") + 64] = "EXO_SLOT_";
	size_t n = strlen(name);
	const char *value;

	for (; *service && n + 1 < sizeof(name); service++) {
		unsigned char c = (unsigned char)*service;

		name[n++] = isalnum(c) ? (char)toupper(c) : '_';
	}
	name[n] = '\0';
	value = *service ? NULL : getenv(name);
	return value && isdigit((unsigned char)*value) ? (int64_t)strtoul(value, NULL, 10) : -1;
}

static int64_t resolve(const char *service)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_RESOLVE};

	if (set_name(&msg, service) || channel_ask(&msg))
		return -1;
	return msg.port;
}

int64_t exo_slot(const char *service)
{
	int64_t port = slot_of_environment(service);

	return port >= 0 ? port : resolve(service);
}

static void fill_info(struct exo_slot_info *info, const struct exo_cap_msg *msg)
{
	*info = (struct exo_slot_info){
		.port = msg->port,
		.flags = msg->flags,
		.lease_ms = msg->lease_ms,
		.max_buffer = msg->max_buffer,
		.max_rate = msg->max_rate,
		.max_conns = msg->max_conns,
	};
	memcpy(info->service, msg->name, sizeof(info->service));
	info->service[sizeof(info->service) - 1] = '\0';
}

int exo_slot_at(unsigned index, struct exo_slot_info *info)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_LIST, .bytes = index};

	if (channel_ask(&msg))
		return -1;
	fill_info(info, &msg);
	return 0;
}

int exo_slot_drop(uint32_t port)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_DROP, .port = port};

	return channel_ask(&msg);
}

/* ---- connections ----------------------------------------------------------------- */

static int connect_error(int fd)
{
	int err = errno, reason = 0;
	socklen_t len = sizeof(reason);

	/* Without a session nobody answers, or there is no device to ask by. */
	if (err == ECONNRESET &&
	    (getsockopt(fd, SOL_EXO, EXO_SO_REASON, &reason, &len) || reason == EXO_REASON_NONE))
		err = ENETDOWN;
	return err;
}

int channel_connect(uint32_t port, int type, int timeout_ms)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = port};
	struct timeval t = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	int fd = socket(AF_VSOCK, type & ~SOCK_NONBLOCK, 0), err;

	if (fd < 0) {
		if (errno == EAFNOSUPPORT)
			errno = ENETDOWN;
		return -1;
	}
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &t, sizeof(t));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		err = connect_error(fd);
		close(fd);
		errno = err;
		return -1;
	}
	if (type & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

int channel_reach(const char *service, int type, int timeout_ms)
{
	int64_t port = exo_slot(service);
	int fd;

	if (port < 0)
		return -1;
	fd = channel_connect((uint32_t)port, type, timeout_ms);
	if (fd >= 0 || errno != ESTALE)
		return fd;
	port = resolve(service); /* the environment is from the start; there may be another now */
	if (port < 0) {
		errno = ESTALE;
		return -1;
	}
	return channel_connect((uint32_t)port, type, timeout_ms);
}

int exo_connect(const char *service, int type)
{
	return channel_reach(service, type, CHANNEL_TIMEOUT_MS);
}

static int listen_on(uint32_t port, int type)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
	int fd = socket(AF_VSOCK, type, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, BACKLOG)) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

int exo_serve(const char *service, int type)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_PROVIDE};
	bool packets = (type & ~TYPE_FLAGS) == SOCK_SEQPACKET;
	uint32_t port;
	int fd, err;

	if (set_name(&msg, service) || channel_ask(&msg))
		return -1;
	if (!(msg.flags & EXO_CAP_SEQPACKET) == packets) {
		errno = EPROTOTYPE;
		return -1;
	}
	port = msg.local_port;
	fd = listen_on(port, type);
	if (fd < 0)
		return -1;
	msg = (struct exo_cap_msg){.op = EXO_CAP_PROVIDE,
				   .local_port = port,
				   .flags = packets ? EXO_CAP_SEQPACKET : 0};
	if (set_name(&msg, service) == 0 && channel_ask(&msg) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* ---- the other end ----------------------------------------------------------------- */

int channel_name(int fd, struct exo_cap_msg *msg)
{
	struct sockaddr_vm local = {0}, peer = {0};
	socklen_t local_len = sizeof(local), peer_len = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len))
		return -1;
	if (local.svm_family != AF_VSOCK) {
		errno = ENOTSOCK;
		return -1;
	}
	msg->local_port = local.svm_port;
	msg->peer_port = peer.svm_port;
	return 0;
}

int exo_peer(int fd, struct exo_peer *peer)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_LABEL};

	if (channel_name(fd, &msg) || channel_ask(&msg))
		return -1;
	*peer = (struct exo_peer){.conn = msg.conn};
	memcpy(peer->name, msg.name, sizeof(peer->name) - 1);
	memcpy(peer->label, msg.label, sizeof(peer->label) - 1);
	return 0;
}

int exo_reason(int fd)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_REASON};
	int reason = EXO_REASON_NONE, saved = errno;
	socklen_t len = sizeof(reason);

	if (getsockopt(fd, SOL_EXO, EXO_SO_REASON, &reason, &len) && errno != ENOPROTOOPT)
		return -1;
	/* The other end's news may be here before the session's. */
	if (reason == EXO_REASON_NONE && channel_name(fd, &msg) == 0 && channel_ask(&msg) == 0 &&
	    msg.bytes < EXO_REASONS)
		reason = (int)msg.bytes;
	errno = saved;
	return reason;
}

const char *exo_reason_name(int reason)
{
	static const char *const names[EXO_REASONS] = {
		[EXO_REASON_NONE] = "none",           [EXO_REASON_CLOSED] = "closed",
		[EXO_REASON_ENDED] = "ended",         [EXO_REASON_DIED] = "died",
		[EXO_REASON_REVOKED] = "revoked",     [EXO_REASON_EXPIRED] = "expired",
		[EXO_REASON_PROTOCOL] = "protocol",   [EXO_REASON_NO_SLOT] = "no-slot",
		[EXO_REASON_STALE] = "stale",         [EXO_REASON_ABSENT] = "absent",
		[EXO_REASON_NOT_READY] = "not-ready", [EXO_REASON_BUDGET] = "budget",
		[EXO_REASON_REFUSED] = "refused",     [EXO_REASON_SESSION] = "session",
		[EXO_REASON_TYPE] = "type",
	};

	return reason >= 0 && reason < EXO_REASONS ? names[reason] : "unknown";
}

/* ---- passing capabilities on ---------------------------------------------------------- */

int exo_cap_send(int fd, uint32_t port, uint32_t rights, const struct exo_slot_info *limits)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_DELEGATE, .port = port, .flags = rights};

	if (channel_name(fd, &msg))
		return -1;
	if (limits) {
		msg.lease_ms = limits->lease_ms;
		msg.max_conns = limits->max_conns;
		msg.max_buffer = limits->max_buffer;
		msg.max_rate = limits->max_rate;
	}
	return channel_ask(&msg);
}

int exo_cap_take(int fd, unsigned flags, struct exo_slot_info *slot)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_TAKE, .flags = flags};

	if (channel_name(fd, &msg) || channel_ask(&msg))
		return -1;
	fill_info(slot, &msg);
	return 0;
}

int exo_cap_revoke(uint32_t port)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_REVOKE, .port = port};

	return channel_ask(&msg);
}

int exo_alive(void)
{
	struct exo_cap_msg msg = {.op = EXO_CAP_ALIVE};

	return channel_ask(&msg);
}
