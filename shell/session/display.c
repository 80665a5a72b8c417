/*
 * The displays of guests. Their pictures lie in a memfd that the session makes and forgets
 * once the VMM has it. With a desktop each has a socket (exo/display.h): one end goes to the VMM,
 * at its start or by EXO_VMM_DISPLAY, the other to the desktop, in an event of the
 * control socket. Nothing of what is said there comes past here.
 */
#include "session.h"

#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int make_pair(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ? -errno
											   : 0;
}

/* The desktop gets its end, which is ours no more. */
static void announce(struct machine *m, int fd)
{
	char colour[8];

	control_colour(m, colour);
	control_desktop_event(m->session,
			      json_pack("{s:s, s:s, s:I, s:s, s:s, s:i, s:i, s:i}", "event",
					"display", "guest", m->name, "number",
					(json_int_t)m->number, "label", m->label, "colour", colour,
					"scanouts", (int)m->display.windows, "width",
					(int)m->display.width, "height", (int)m->display.height),
			      fd);
	close(fd);
}

int display_open(struct machine *m)
{
	struct guest *g = &m->guest;
	int pair[2], err;

	if (!g->display.windows)
		return 0;
	g->picture_fd = memory_make_fd("exo-pictures", g->display.picture_bytes);
	if (g->picture_fd < 0)
		return g->picture_fd;
	g->flags |= EXO_VMM_SCREEN;
	m->display = g->display;
	if (!m->session->desktop)
		return 0;
	err = make_pair(pair);
	if (err)
		return err;
	m->display_fd = pair[0];
	g->display_fd = pair[1];
	return 0;
}

void display_opened(struct machine *m)
{
	int fd = m->display_fd;

	m->display_fd = -1;
	if (fd >= 0)
		announce(m, fd);
}

void display_give(struct machine *m)
{
	struct exo_vmm_header msg = {EXO_VMM_MAGIC, EXO_VMM_DISPLAY, sizeof(msg), 1};
	int pair[2], err;

	if (!m->display.windows || !m->session->desktop || !machine_runs(m))
		return;
	err = make_pair(pair);
	if (err) {
		text_error(0, "session: %s has no display: %s", m->name, strerror(-err));
		return;
	}
	machine_send(m, &msg, sizeof(msg), &pair[1], 1);
	close(pair[1]);
	announce(m, pair[0]);
}

void display_adopt(struct machine *m, unsigned scanouts)
{
	char why[512];

	if (control_display(m, &m->display, why)) /* what a VMM says alone is no display */
		m->display.windows = 0;
	if (scanouts < m->display.windows)
		m->display.windows = scanouts;
	display_give(m);
}

void display_close(struct machine *m)
{
	m->display.windows = 0;
	if (m->display_fd >= 0)
		close(m->display_fd);
	m->display_fd = -1;
}
