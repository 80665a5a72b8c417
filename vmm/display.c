/* Picture memory and the desktop's socket; see display.h. */
#include "display.h"

#include "window.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

int display_init(struct display *d, const struct config *c, char *why, size_t why_bytes)
{
	struct desk_setup setup = {
		.picture_fd = c->picture_fd,
		.picture_bytes = c->wire.picture_bytes,
		.scanouts = c->wire.scanouts,
		.inputs = c->wire.inputs,
	};
	uint64_t bytes;
	int err = window_check_memfd(c->picture_fd, c->wire.picture_bytes);

	if (!err) {
		d->desk = desk_create(&setup);
		err = d->desk ? 0 : -errno;
	}
	if (err == -EINVAL)
		snprintf(why, why_bytes, "picture memory: not a sealed memfd of %llu KiB",
			 (unsigned long long)setup.picture_bytes >> 10);
	else if (err)
		snprintf(why, why_bytes, "picture memory: %s", strerror(-err));
	else
		d->picture = desk_picture(d->desk, &bytes);
	return err;
}

static void forget(struct display *d)
{
	int fd = desk_socket(d->desk);

	if (fd >= 0)
		loop_del(d->loop, fd);
	desk_set_socket(d->desk, -1);
}

static void on_socket(void *opaque, int fd, uint32_t events)
{
	struct display *d = opaque;

	if (!desk_receive(d->desk))
		forget(d);
}

void display_set_socket(struct display *d, struct loop *loop, int fd)
{
	d->loop = loop;
	forget(d);
	if (loop_add(loop, fd, EPOLLIN, on_socket, d))
		close(fd); /* which is how the desktop hears of it */
	else
		desk_set_socket(d->desk, fd);
}
