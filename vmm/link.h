/*
 * The way to the shell: sending, and a shell that goes and another that comes. With
 * EXO_VMM_OUTLIVE the guest goes on when the shell hangs up; then whoever
 * connects to the listening socket of the configuration first is the shell. It
 * gets EXO_VMM_HELLO, EXO_VMM_CHANNELS, and then what comes.
 *
 * While nobody listens messages are dropped, and a guest's connection requests, also
 * those that the shell has not answered before, refused with EXO_REASON_SESSION.
 *
 * vm.send_lock guards all of it, and vm.sock_fd; no device's lock is taken while it is held.
 */
#ifndef LINK_H
#define LINK_H

#include <exo/vmm.h>
#include <stdbool.h>
#include <stddef.h>

#define LINK_ASKED_MAX 256    /* Limit: requests to refuse when the shell goes; others time out */
#define LINK_CHANNELS_MAX 256 /* as many as the vsock device has */

/*
 * What a socket that is full does not take waits here. The guest's requests get a quarter,
 * answers to the shell a half, so that the guest can't keep them out, states of channels all of
 * it, which is more than there can be. Limit: the others are dropped then, requests refused.
 */
#define LINK_QUEUE_MAX 1024
#define LINK_MESSAGE_MAX 64 /* bytes; longer messages do not wait */

_Static_assert(sizeof(struct exo_vmm_vsock) <= LINK_MESSAGE_MAX &&
		       sizeof(struct exo_vmm_channel_state) <= LINK_MESSAGE_MAX,
	       "what must not be lost can wait");

struct vm;

struct link {
	bool ready;     /* the program said so */
	bool listening; /* the event loop watches listen_fd */
	/* States of channels that nobody heard of: a list made before is not true any more. */
	unsigned unheard;
	unsigned nasked, nrefused;
	uint32_t asked[LINK_ASKED_MAX];   /* ids of the guest's requests, the shell to answer */
	uint32_t refused[LINK_ASKED_MAX]; /* to be refused by the event loop: nobody listens */
	unsigned first, nqueued;
	struct link_message {
		size_t len;
		uint8_t bytes[LINK_MESSAGE_MAX];
	} queue[LINK_QUEUE_MAX];
	/* Event loop only. */
	struct exo_vmm_channel_info info[LINK_CHANNELS_MAX];
};

/* The header of one of our messages without fds. */
struct exo_vmm_header link_header(enum exo_vmm_type type, size_t size);

/* Sends a message; EXO_VMM_STARTED goes before the first. Any thread, a device's lock may be held.
 */
void link_send(struct vm *vm, const void *msg, size_t len);
/* Sends EXO_VMM_STARTED unless that has been done. Any thread. */
void link_send_started(struct vm *vm);
/* The shell's socket takes more. Event loop. */
void link_writable(struct vm *vm);
/* Answers EXO_VMM_CHANNELS_REQUEST. Event loop. */
void link_send_channels(struct vm *vm);

/* The shell has answered the guest's request `id`. Any thread. */
void link_answered(struct vm *vm, uint32_t id);
/* The shell has hung up and the guest shall go on. Event loop. */
void link_lost(struct vm *vm);
/* TIMER_LINK. Event loop. */
void link_timer(struct vm *vm);

#endif
