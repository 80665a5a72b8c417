/* The connection with the desktop; see desk.h. */
#include "desk.h"

#include "fdmsg.h"
#include "input_events.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_MAX 64 /* messages before others in the event loop have their turn */
#define REFRESH_MAX_MHZ 1000000u
#define PLAYED_MAX (96000u * 2 * 2 / 4) /* 250 ms of the most there is */

union message {
	struct exo_dpy_header h;
	struct exo_dpy_mode mode;
	struct exo_dpy_input input;
	struct exo_dpy_presented presented;
	struct exo_dpy_played played;
	struct exo_dpy_pcm pcm;
	uint8_t bytes[EXO_DPY_MSG_MAX];
};

struct desk {
	uint8_t *picture;
	uint64_t picture_bytes;
	int picture_fd;
	uint32_t scanouts, inputs;

	/* Constant once the guest runs. */
	unsigned nlisteners;
	struct listener {
		struct vdev *dev;
		const struct desk_listener *ops;
		unsigned devices;
	} listener[DESK_LISTENERS_MAX];

	union message message; /* the one received last; event loop */
	bool said;             /* listeners know that a desktop is there; event loop */

	pthread_mutex_t lock; /* guards the rest; fd is changed by the event loop only */
	int fd;
	bool lost; /* the socket is shut: the event loop will hear of it */
};

struct desk *desk_create(const struct desk_setup *setup)
{
	struct desk *k = calloc(1, sizeof(*k));
	void *picture;

	if (!k)
		return NULL;
	picture = mmap(NULL, setup->picture_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		       setup->picture_fd, 0);
	if (picture == MAP_FAILED) {
		free(k);
		return NULL;
	}
	k->picture = picture;
	k->picture_bytes = setup->picture_bytes;
	k->picture_fd = setup->picture_fd;
	k->scanouts = setup->scanouts;
	k->inputs = setup->inputs;
	k->fd = -1;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void desk_destroy(struct desk *k)
{
	if (!k)
		return;
	if (k->fd >= 0)
		close(k->fd);
	munmap(k->picture, k->picture_bytes);
	close(k->picture_fd);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

uint8_t *desk_picture(struct desk *k, uint64_t *bytes)
{
	*bytes = k->picture_bytes;
	return k->picture;
}

int desk_listen(struct desk *k, struct vdev *dev, const struct desk_listener *l, unsigned devices)
{
	if (k->nlisteners == DESK_LISTENERS_MAX)
		return -ENOSPC;
	k->listener[k->nlisteners++] = (struct listener){dev, l, devices};
	return 0;
}

/* ---- the socket ------------------------------------------------------------- */

int desk_socket(struct desk *k)
{
	int fd;

	pthread_mutex_lock(&k->lock);
	fd = k->fd;
	pthread_mutex_unlock(&k->lock);
	return fd;
}

bool desk_there(struct desk *k)
{
	bool there;

	pthread_mutex_lock(&k->lock);
	there = k->fd >= 0 && !k->lost;
	pthread_mutex_unlock(&k->lock);
	return there;
}

static void tell_attached(struct desk *k, bool there)
{
	if (k->said == there)
		return;
	k->said = there;
	for (unsigned i = 0; i < k->nlisteners; i++) {
		const struct listener *l = &k->listener[i];

		if (l->ops->attached)
			l->ops->attached(l->dev, there);
	}
}

/* The lock is held. Nothing is sent any more; who watches the socket finds it hung up. */
static void hang_up(struct desk *k)
{
	k->lost = true;
	shutdown(k->fd, SHUT_RDWR);
}

static struct exo_dpy_header header(enum exo_dpy_type type, size_t len)
{
	return (struct exo_dpy_header){EXO_DPY_MAGIC, type, (uint32_t)len, 0};
}

static void replace_socket(struct desk *k, int fd)
{
	struct exo_dpy_hello hello = {
		.h = header(EXO_DPY_HELLO, sizeof(hello)),
		.picture_bytes = k->picture_bytes,
		.scanouts = k->scanouts,
		.inputs = k->inputs,
	};

	pthread_mutex_lock(&k->lock);
	if (k->fd >= 0)
		close(k->fd);
	k->fd = fd;
	k->lost = false;
	if (fd >= 0 && fdmsg_send(fd, &hello, sizeof(hello), &k->picture_fd, 1))
		hang_up(k);
	pthread_mutex_unlock(&k->lock);
}

void desk_set_socket(struct desk *k, int fd)
{
	replace_socket(k, -1);
	tell_attached(k, false);
	if (fd < 0)
		return;
	replace_socket(k, fd);
	tell_attached(k, desk_there(k));
}

bool desk_send(struct desk *k, enum exo_dpy_type type, void *msg, size_t len)
{
	int err = -EPIPE;

	*(struct exo_dpy_header *)msg = header(type, len);
	pthread_mutex_lock(&k->lock);
	if (k->fd >= 0 && !k->lost) {
		err = fdmsg_send(k->fd, msg, len, NULL, 0);
		if (err && (err != -EAGAIN || type != EXO_DPY_PCM))
			hang_up(k);
	}
	pthread_mutex_unlock(&k->lock);
	return !err;
}

/* ---- what comes: decoded ------------------------------------------------------- */

static bool check_mode(const struct desk *k, const struct exo_dpy_mode *m)
{
	bool plugged = m->width;

	return m->scanout < k->scanouts && m->width <= EXO_DPY_SIZE_MAX &&
	       m->height <= EXO_DPY_SIZE_MAX && plugged == (m->height != 0) &&
	       m->scale <= EXO_DPY_SCALE_MAX && (m->scale >= EXO_DPY_SCALE_MIN || !plugged) &&
	       m->refresh_mhz <= REFRESH_MAX_MHZ && !m->reserved;
}

static bool check_input(const struct desk *k, const struct exo_dpy_input *in, size_t len)
{
	if (len < sizeof(*in) || in->device >= EXO_DPY_DEVICES || in->scanout >= k->scanouts ||
	    !(k->inputs & EXO_DPY_HAS_KEYBOARD << in->device) || in->reserved || !in->count ||
	    in->count > EXO_DPY_EVENTS_MAX || len != sizeof(*in) + in->count * sizeof(in->event[0]))
		return false;
	for (unsigned i = 0; i < in->count; i++) {
		if (!input_event_valid(in->device, &in->event[i]))
			return false;
	}
	return in->event[in->count - 1].type == EV_SYN;
}

static bool check_played(const struct desk *k, const struct exo_dpy_played *p)
{
	return p->stream == 0 && k->inputs & EXO_DPY_HAS_PLAYBACK && p->bytes &&
	       p->bytes <= PLAYED_MAX && !(p->bytes % 2);
}

static bool check_pcm(const struct desk *k, const struct exo_dpy_pcm *p, size_t len)
{
	return len >= sizeof(*p) && p->stream == 1 && k->inputs & EXO_DPY_HAS_CAPTURE && p->bytes &&
	       p->bytes <= EXO_DPY_PCM_MAX && !(p->bytes % 2) && len == sizeof(*p) + p->bytes;
}

static bool check(const struct desk *k, const union message *m, size_t len)
{
	if (len < sizeof(m->h) || m->h.magic != EXO_DPY_MAGIC || m->h.size != len || m->h.reserved)
		return false;
	switch (m->h.type) {
	case EXO_DPY_MODE:
		return len == sizeof(m->mode) && check_mode(k, &m->mode);
	case EXO_DPY_INPUT:
		return check_input(k, &m->input, len);
	case EXO_DPY_PRESENTED:
		return len == sizeof(m->presented) && m->presented.scanout < k->scanouts;
	case EXO_DPY_PLAYED:
		return len == sizeof(m->played) && check_played(k, &m->played);
	case EXO_DPY_CAPTURED:
		return check_pcm(k, &m->pcm, len);
	}
	return false;
}

/* ---- …and told ------------------------------------------------------------------- */

static void tell(const struct listener *l, const union message *m)
{
	const struct desk_listener *ops = l->ops;

	if (m->h.type == EXO_DPY_MODE && ops->mode)
		ops->mode(l->dev, &m->mode);
	if (m->h.type == EXO_DPY_INPUT && ops->input && l->devices & 1u << m->input.device)
		ops->input(l->dev, &m->input);
	if (m->h.type == EXO_DPY_PRESENTED && ops->presented)
		ops->presented(l->dev, &m->presented);
	if (m->h.type == EXO_DPY_PLAYED && ops->played)
		ops->played(l->dev, &m->played);
	if (m->h.type == EXO_DPY_CAPTURED && ops->captured)
		ops->captured(l->dev, &m->pcm);
}

bool desk_receive(struct desk *k)
{
	ssize_t n = -EPIPE;
	unsigned nfds;

	for (unsigned left = RECEIVE_MAX; left; left--) {
		if (!desk_there(k))
			break;
		n = fdmsg_recv(k->fd, &k->message, sizeof(k->message), NULL, 0, &nfds);
		if (n == -EAGAIN)
			return true;
		if (n <= 0 || !check(k, &k->message, (size_t)n))
			break;
		for (unsigned i = 0; i < k->nlisteners; i++)
			tell(&k->listener[i], &k->message);
		if (left == 1)
			return true; /* the rest is still there */
	}
	pthread_mutex_lock(&k->lock);
	if (k->fd >= 0)
		hang_up(k);
	pthread_mutex_unlock(&k->lock);
	tell_attached(k, false);
	return false;
}
