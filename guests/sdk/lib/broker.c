/*
 * Talking with the session (exo/channel.h, port 1): one connection for all
 * threads, made when it is first needed and again when it broke, for a session may
 * restart. Any number of threads may wait for their answers: one of them
 * reads, for all; when it has its own, another takes over.
 */
#include "channel_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

struct request {
	struct request *next;
	struct exo_cap_msg *msg; /* where the answer goes; its id says which it is */
	bool answered, lost;
};

static struct {
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t change;
	struct request *first; /* unanswered */
	uint32_t last_id;
	int fd;       /* -1: none */
	bool reading; /* somebody does, without the lock */
} broker = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER, .fd = -1};

static int open_broker(void)
{
	if (broker.fd < 0)
		broker.fd = channel_connect(EXO_PORT_BROKER, SOCK_SEQPACKET | SOCK_CLOEXEC,
					    CHANNEL_TIMEOUT_MS);
	return broker.fd < 0 ? -1 : 0;
}

/* Whoever waits asks again. */
static void lose_broker(void)
{
	if (broker.fd >= 0)
		close(broker.fd);
	broker.fd = -1;
	for (struct request *r = broker.first; r; r = r->next)
		r->lost = true;
	broker.first = NULL;
	pthread_cond_broadcast(&broker.change);
}

static void take_answer(const struct exo_cap_msg *answer)
{
	struct request **at = &broker.first;

	while (*at && ((*at)->msg->id != answer->id || (*at)->msg->op != answer->op))
		at = &(*at)->next;
	if (!*at)
		return;
	*(*at)->msg = *answer;
	(*at)->answered = true;
	*at = (*at)->next;
	pthread_cond_broadcast(&broker.change);
}

static void read_one(void)
{
	struct exo_cap_msg answer;
	int fd = broker.fd;
	ssize_t n;

	broker.reading = true;
	pthread_mutex_unlock(&broker.lock);
	do {
		n = recv(fd, &answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	pthread_mutex_lock(&broker.lock);
	broker.reading = false;
	if (n == (ssize_t)sizeof(answer))
		take_answer(&answer);
	else
		lose_broker();
	pthread_cond_broadcast(&broker.change); /* somebody else may have to read now */
}

/* 0, -1 with errno, or 1: the connection broke, before or after the session heard it. */
static int ask_once(struct exo_cap_msg *msg)
{
	struct request r = {.next = broker.first, .msg = msg};

	if (open_broker())
		return -1;
	msg->id = ++broker.last_id;
	r.next = broker.first;
	broker.first = &r;
	if (send(broker.fd, msg, sizeof(*msg), MSG_NOSIGNAL) != (ssize_t)sizeof(*msg)) {
		if (broker.reading) /* it finds out by itself; but not by our closing it */
			shutdown(broker.fd, SHUT_RDWR);
		else
			lose_broker();
	}
	while (!r.answered && !r.lost) {
		if (broker.reading)
			pthread_cond_wait(&broker.change, &broker.lock);
		else
			read_one();
	}
	return r.lost;
}

int channel_ask(struct exo_cap_msg *msg)
{
	const struct exo_cap_msg request = *msg;
	int result, cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&broker.lock);
	result = ask_once(msg);
	if (result > 0) { /* perhaps the session has restarted */
		*msg = request;
		result = ask_once(msg);
	}
	pthread_mutex_unlock(&broker.lock);
	pthread_setcancelstate(cancel, NULL);
	if (result < 0 || (result == 0 && msg->status == 0))
		return result;
	errno = result > 0 ? ENETDOWN : -msg->status;
	return -1;
}
