/* A desktop for tests of devices; see desk_rig.h. */
#include "desk_rig.h"

#include "fdmsg.h"

#include <assert.h>
#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

void desk_rig_init(struct desk_rig *r, unsigned scanouts, uint32_t inputs)
{
	struct desk_setup setup = {
		.picture_fd = memfd_create("picture", MFD_CLOEXEC),
		.picture_bytes = DESK_RIG_PICTURE,
		.scanouts = scanouts,
		.inputs = inputs,
	};

	assert(setup.picture_fd >= 0 && !ftruncate(setup.picture_fd, DESK_RIG_PICTURE));
	r->desk = desk_create(&setup);
	r->peer = -1;
	assert(r->desk);
}

void desk_rig_finish(struct desk_rig *r)
{
	if (r->peer >= 0)
		close(r->peer);
	desk_destroy(r->desk);
}

void desk_rig_attach(struct desk_rig *r)
{
	union desk_message m;
	int pair[2];

	assert(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
	if (r->peer >= 0)
		close(r->peer);
	r->peer = pair[0];
	desk_set_socket(r->desk, pair[1]);
	assert(desk_rig_receive(r, &m) == sizeof(m.hello) && m.h.type == EXO_DPY_HELLO);
}

void desk_rig_leave(struct desk_rig *r)
{
	close(r->peer);
	r->peer = -1;
	assert(!desk_receive(r->desk));
	desk_set_socket(r->desk, -1);
}

bool desk_rig_say(struct desk_rig *r, enum exo_dpy_type type, void *msg, size_t len)
{
	struct exo_dpy_header h = {EXO_DPY_MAGIC, type, (uint32_t)len, 0};

	memcpy(msg, &h, sizeof(h));
	return !fdmsg_send(r->peer, msg, len, NULL, 0) && desk_receive(r->desk);
}

bool desk_rig_input(struct desk_rig *r, enum exo_dpy_device kind, unsigned scanout,
		    const struct exo_dpy_event *e, unsigned n)
{
	struct {
		struct exo_dpy_input m;
		struct exo_dpy_event e[EXO_DPY_EVENTS_MAX];
	} in = {.m = {.device = kind, .scanout = scanout, .count = n + 1}};

	assert(n < EXO_DPY_EVENTS_MAX);
	memcpy(in.e, e, n * sizeof(*e));
	in.e[n] = (struct exo_dpy_event){EV_SYN, SYN_REPORT, 0};
	return desk_rig_say(r, EXO_DPY_INPUT, &in, sizeof(in.m) + (n + 1) * sizeof(*e));
}

bool desk_rig_key(struct desk_rig *r, uint16_t code, int32_t value)
{
	struct exo_dpy_event e = {EV_KEY, code, value};

	return desk_rig_input(r, EXO_DPY_KEYBOARD, 0, &e, 1);
}

bool desk_rig_mode(struct desk_rig *r, unsigned scanout, uint32_t width, uint32_t height)
{
	struct exo_dpy_mode m = {
		.scanout = scanout, .width = width, .height = height, .scale = EXO_DPY_SCALE_ONE};

	return desk_rig_say(r, EXO_DPY_MODE, &m, sizeof(m));
}

bool desk_rig_played(struct desk_rig *r, uint32_t bytes)
{
	struct exo_dpy_played m = {.stream = 0, .bytes = bytes};

	return desk_rig_say(r, EXO_DPY_PLAYED, &m, sizeof(m));
}

size_t desk_rig_receive(struct desk_rig *r, union desk_message *m)
{
	unsigned nfds;
	int fds[2];
	ssize_t n = fdmsg_recv(r->peer, m, sizeof(*m), fds, 2, &nfds);

	while (n > 0 && nfds)
		close(fds[--nfds]);
	assert(n >= 0 || n == -EAGAIN || n == -ECONNRESET);
	return n > 0 ? (size_t)n : 0;
}
