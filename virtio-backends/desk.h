/*
 * The connection with the desktop (exo/display.h), shared by the devices of a
 * guest that a person sees and hears: gpu, input, sound. It knows no device; a
 * device registers what it wants to hear, and says what is to be sent.
 *
 * There may be no desktop, and there may be another one later: then all that
 * holds is said again, by the devices, when `attached` is called.
 *
 * Threads: desk has a lock of its own, taken inside every function below and never held while a
 * listener is called. Devices call with their own lock held; desk_receive, in the event loop,
 * calls the listeners, who take the device's lock. System calls: sendmsg, recvmsg,
 * shutdown, close.
 */
#ifndef DESK_H
#define DESK_H

#include <exo/display.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vdev;

/* What a device hears; each entry optional. Called in the event loop without any lock held. */
struct desk_listener {
	/* A desktop is there: say all that holds. False: it has gone, answer nothing from it. */
	void (*attached)(struct vdev *dev, bool there);
	void (*mode)(struct vdev *dev, const struct exo_dpy_mode *m);
	void (*presented)(struct vdev *dev, const struct exo_dpy_presented *p);
	/* Validated: whole reports of this listener's devices, axes within EXO_DPY_ABS_MAX. */
	void (*input)(struct vdev *dev, const struct exo_dpy_input *in);
	void (*played)(struct vdev *dev, const struct exo_dpy_played *p);
	void (*captured)(struct vdev *dev, const struct exo_dpy_pcm *pcm);
};

#define DESK_LISTENERS_MAX 8

struct desk; /* opaque */

struct desk_setup {
	int picture_fd; /* sealed memfd, owned by desk from now on */
	uint64_t picture_bytes;
	uint32_t scanouts;
	uint32_t inputs; /* EXO_DPY_HAS_* */
};

/* Maps the picture memory. NULL with errno. */
struct desk *desk_create(const struct desk_setup *setup);
/* NULL-safe. */
void desk_destroy(struct desk *k);

/* The picture memory here. */
uint8_t *desk_picture(struct desk *k, uint64_t *bytes);
/* devices: a mask of 1u << enum exo_dpy_device whose INPUT it wants. 0 or -ENOSPC. */
int desk_listen(struct desk *k, struct vdev *dev, const struct desk_listener *l, unsigned devices);

/*
 * A connected, non-blocking socket takes the last one's place, which is closed; owned in any case.
 * The listeners hear of the last one's end, HELLO is sent, the listeners hear that a desktop is
 * there. A device sends only between these two. -1: there is none now. Event loop.
 */
void desk_set_socket(struct desk *k, int fd);
/* The socket to be watched for input, or -1. */
int desk_socket(struct desk *k);
/*
 * The socket is readable or hung up. False: the desktop is gone, listeners know; the socket is to
 * be watched no more, and desk_set_socket closes it. Event loop.
 */
bool desk_receive(struct desk *k);
bool desk_there(struct desk *k);

/*
 * Sends a message, h filled in here. False: nobody is there, or it did not fit. What must
 * not be lost (SCANOUT, FLUSH, CURSOR, SOUND) hangs up then; PCM is dropped.
 */
bool desk_send(struct desk *k, enum exo_dpy_type type, void *msg, size_t len);

#endif
