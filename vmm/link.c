/* The way to the shell; see link.h. */
#include "link.h"

#include "clock.h"
#include "control.h"
#include "fdmsg.h"
#include "vm.h"
#include "vsock.h"

#include <errno.h>
#include <exo/channel.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_NS 100000000u /* when there was no fd left for a shell */

struct exo_vmm_header link_header(enum exo_vmm_type type, size_t size)
{
	return (struct exo_vmm_header){EXO_VMM_MAGIC, type, (uint32_t)size, 0};
}

/* ---- sending: send_lock is held ---------------------------------------------------- */

static void send_started(struct vm *vm)
{
	struct exo_vmm_header started = link_header(EXO_VMM_STARTED, sizeof(started));

	if (!vm->said_started && vm->sock_fd >= 0)
		(void)fdmsg_send(vm->sock_fd, &started, sizeof(started), NULL, 0);
	vm->said_started = true;
}

/* Nobody will answer: what must not be forgotten of it. */
static void note_unheard(struct vm *vm, const void *msg)
{
	struct link *l = &vm->link;
	const struct exo_vmm_vsock *request = msg;

	if (request->h.type == EXO_VMM_CHANNEL_STATE)
		l->unheard++;
	if (request->h.type != EXO_VMM_VSOCK_REQUEST || l->nrefused == LINK_ASKED_MAX)
		return;
	l->refused[l->nrefused++] = request->id;
	timers_set(&vm->devices.timers, TIMER_LINK, 1); /* the device's lock may be held */
}

static void note_asked(struct link *l, uint32_t id)
{
	if (l->nasked == LINK_ASKED_MAX) { /* the oldest: it has timed out, or will */
		memmove(l->asked, l->asked + 1, sizeof(l->asked) - sizeof(l->asked[0]));
		l->nasked--;
	}
	l->asked[l->nasked++] = id;
}

/* How far a message of this type may fill the queue. */
static unsigned share(uint32_t type)
{
	switch (type) {
	case EXO_VMM_CHANNEL_STATE:
		return LINK_QUEUE_MAX;
	case EXO_VMM_VSOCK_REQUEST:
	case EXO_VMM_TERMIOS:
		return LINK_QUEUE_MAX / 4;
	default:
		return LINK_QUEUE_MAX / 2;
	}
}

/* The socket is full. 0, or -ENOBUFS: so is the queue. */
static int enqueue(struct vm *vm, const void *msg, size_t len)
{
	const struct exo_vmm_header *h = msg;
	struct link *l = &vm->link;
	unsigned max = share(h->type);
	struct link_message *m = &l->queue[(l->first + l->nqueued) % LINK_QUEUE_MAX];

	if (l->nqueued >= max || len > sizeof(m->bytes))
		return -ENOBUFS;
	m->len = len;
	memcpy(m->bytes, msg, len);
	if (!l->nqueued++)
		(void)loop_mod(&vm->loop, vm->sock_fd, EPOLLIN | EPOLLOUT);
	return 0;
}

static void send_locked(struct vm *vm, const void *msg, size_t len)
{
	const struct exo_vmm_header *h = msg;
	int err = -EAGAIN;

	send_started(vm);
	if (h->type == EXO_VMM_READY)
		vm->link.ready = true;
	if (vm->sock_fd < 0)
		err = -EPIPE;
	else if (!vm->link.nqueued)
		err = fdmsg_send(vm->sock_fd, msg, len, NULL, 0);
	if (err == -EAGAIN)
		err = enqueue(vm, msg, len);
	if (err)
		note_unheard(vm, msg);
	else if (h->type == EXO_VMM_VSOCK_REQUEST)
		note_asked(&vm->link, ((const struct exo_vmm_vsock *)msg)->id);
}

void link_send(struct vm *vm, const void *msg, size_t len)
{
	pthread_mutex_lock(&vm->send_lock);
	send_locked(vm, msg, len);
	pthread_mutex_unlock(&vm->send_lock);
}

void link_writable(struct vm *vm)
{
	struct link *l = &vm->link;

	pthread_mutex_lock(&vm->send_lock);
	while (l->nqueued) {
		struct link_message *m = &l->queue[l->first];

		if (fdmsg_send(vm->sock_fd, m->bytes, m->len, NULL, 0) == -EAGAIN)
			break;
		l->first = (l->first + 1) % LINK_QUEUE_MAX;
		l->nqueued--;
	}
	if (!l->nqueued)
		(void)loop_mod(&vm->loop, vm->sock_fd, EPOLLIN);
	pthread_mutex_unlock(&vm->send_lock);
}

void link_answered(struct vm *vm, uint32_t id)
{
	struct link *l = &vm->link;
	unsigned i = 0;

	pthread_mutex_lock(&vm->send_lock);
	while (i < l->nasked && l->asked[i] != id)
		i++;
	if (i < l->nasked) {
		l->nasked--;
		memmove(&l->asked[i], &l->asked[i + 1], (l->nasked - i) * sizeof(l->asked[0]));
	}
	pthread_mutex_unlock(&vm->send_lock);
}

void link_send_started(struct vm *vm)
{
	pthread_mutex_lock(&vm->send_lock);
	send_started(vm);
	pthread_mutex_unlock(&vm->send_lock);
}

/* ---- the list of channels ------------------------------------------------------------ */

static unsigned collect(struct vm *vm)
{
	return vm->devices.vsock
		       ? vsock_list_channels(vm->devices.vsock, 0, vm->link.info, LINK_CHANNELS_MAX)
		       : 0;
}

/* send_lock is held. There is at least one packet. */
static void send_list(struct vm *vm, unsigned n)
{
	struct exo_vmm_channels m;
	unsigned done = 0;

	do {
		unsigned left = n - done;
		size_t size;

		m.count = left < EXO_VMM_CHANNEL_INFOS_MAX ? left : EXO_VMM_CHANNEL_INFOS_MAX;
		m.more = left > m.count;
		size = offsetof(struct exo_vmm_channels, info) + m.count * sizeof(m.info[0]);
		m.h = link_header(EXO_VMM_CHANNELS, size);
		memcpy(m.info, &vm->link.info[done], m.count * sizeof(m.info[0]));
		send_locked(vm, &m, size);
		done += m.count;
	} while (done < n);
}

void link_send_channels(struct vm *vm)
{
	unsigned n = collect(vm);

	pthread_mutex_lock(&vm->send_lock);
	send_list(vm, n);
	pthread_mutex_unlock(&vm->send_lock);
}

/* ---- shells that come and go ------------------------------------------------------------ */

/* send_lock is held. */
static void send_hello(struct vm *vm)
{
	const struct config *c = &vm->config;
	const int fds[2] = {c->guest_bell_fd, c->vmm_bell_fd};
	struct exo_vmm_hello m = {
		.h = link_header(EXO_VMM_HELLO, sizeof(m)),
		.guest = c->wire.guest,
		.started_ns = vm->stage_ns[EXO_STAGE_RUN],
		.pid = (uint32_t)vm->pid,
		.ready = vm->link.ready,
		.scanouts = c->wire.scanouts,
	};

	m.h.nfds = c->guest_bell_fd >= 0 ? 2 : 0;
	memcpy(m.name, c->wire.name, sizeof(m.name));
	(void)fdmsg_send(vm->sock_fd, &m, sizeof(m), fds, m.h.nfds);
}

/*
 * HELLO and CHANNELS, then what comes. The list is made without send_lock, as it
 * takes the device's; if a channel's state was dropped meanwhile it is made again.
 */
static void greet(struct vm *vm, int fd)
{
	unsigned n, before;
	bool valid;

	do {
		pthread_mutex_lock(&vm->send_lock);
		before = vm->link.unheard;
		pthread_mutex_unlock(&vm->send_lock);
		n = collect(vm);
		pthread_mutex_lock(&vm->send_lock);
		valid = before == vm->link.unheard;
		if (valid) {
			vm->sock_fd = fd;
			send_hello(vm);
			send_list(vm, n);
		}
		pthread_mutex_unlock(&vm->send_lock);
	} while (!valid);
}

static void on_listen(void *opaque, int listen_fd, uint32_t events)
{
	struct vm *vm = opaque;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		(void)loop_mod(&vm->loop, listen_fd, 0);
		timers_set(&vm->devices.timers, TIMER_LINK, clock_now_ns() + RETRY_NS);
	}
	if (fd < 0)
		return;
	if (loop_add(&vm->loop, fd, EPOLLIN, control_receive, vm)) {
		close(fd);
		return;
	}
	loop_del(&vm->loop, listen_fd);
	vm->link.listening = false;
	greet(vm, fd);
}

void link_lost(struct vm *vm)
{
	int listen_fd = vm->config.listen_fd, fd;
	struct link *l = &vm->link;

	pthread_mutex_lock(&vm->send_lock);
	fd = vm->sock_fd;
	vm->sock_fd = -1;
	l->unheard += l->nqueued;
	l->nqueued = 0;
	for (unsigned i = 0; i < l->nasked && l->nrefused < LINK_ASKED_MAX; i++)
		l->refused[l->nrefused++] = l->asked[i];
	l->nasked = 0;
	if (l->nrefused)
		timers_set(&vm->devices.timers, TIMER_LINK, 1);
	pthread_mutex_unlock(&vm->send_lock);
	loop_del(&vm->loop, fd);
	close(fd);
	if (listen_fd >= 0)
		l->listening = !loop_add(&vm->loop, listen_fd, EPOLLIN, on_listen, vm);
}

/* The next one, without send_lock: the answer takes the device's. */
static bool take_refused(struct vm *vm, uint32_t *id)
{
	bool any;

	pthread_mutex_lock(&vm->send_lock);
	any = vm->link.nrefused;
	if (any)
		*id = vm->link.refused[--vm->link.nrefused];
	pthread_mutex_unlock(&vm->send_lock);
	return any;
}

void link_timer(struct vm *vm)
{
	struct exo_vmm_vsock no = {
		.h = link_header(EXO_VMM_VSOCK_REPLY, sizeof(no)),
		.status = -ENETDOWN,
		.reason = EXO_REASON_SESSION,
	};

	while (take_refused(vm, &no.id))
		vsock_reply(vm->devices.vsock, &no, -1);
	if (vm->link.listening)
		(void)loop_mod(&vm->loop, vm->config.listen_fd, EPOLLIN);
}
