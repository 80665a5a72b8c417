/*
 * Guests of an earlier session. Their VMMs went on when it died and listen at
 * guests/NAME.sock; the saved state says who they are. Each is asked for what it has
 * (HELLO, then CHANNELS); when all have spoken, or did not within their time, the
 * connections of which both ends are there go on.
 */
#include "machine_impl.h"

#include "clock.h"
#include "fdmsg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADOPT_NS 2000000000ull

/* A connected socket, or -errno. */
static int reach(const struct machine *m, const char *name)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	machine_address(m, name, &address);
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int begin(struct machine *m)
{
	int fd = m->pid > 0 ? reach(m, m->name) : -ESRCH;
	int err;

	if (fd < 0)
		return fd;
	m->vm = calloc(1, sizeof(*m->vm));
	if (!m->vm) {
		close(fd);
		return -ENOMEM;
	}
	launch_init(m->vm);
	launch_attach(m->vm, fd);
	m->pid_fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	err = m->pid_fd < 0 ? -errno : machine_watch(m);
	if (err)
		return err;
	m->state = MACHINE_STARTING; /* it runs; who connects to it meanwhile waits */
	m->adopt_by_ns = clock_now_ns() + ADOPT_NS;
	session_wake_at(m->session, m->adopt_by_ns);
	m->session->adopting++;
	return 0;
}

bool machine_greeted(struct machine *m, const struct exo_vmm_hello *hello, const int *fds,
		     unsigned nfds)
{
	struct policy *p = m->session->policy;
	int64_t id;

	if (nfds == 2) {
		m->guest_bell = fds[0];
		m->vmm_bell = fds[1];
	}
	/* It could name any process: only the one that we started is killed, if it comes to that.
	 */
	if (nfds != 2 || hello->pid != (uint32_t)m->pid || hello->guest != m->number ||
	    strcmp(hello->name, m->name) != 0)
		return false;
	id = policy_add_subject(p, m->name, m->label);
	if (id < 0)
		return false;
	m->subject = (uint32_t)id;
	if (m->manifest && (m->manifest->max_conns || m->manifest->max_buffer))
		(void)policy_set_budget(p, m->subject, m->manifest->max_conns,
					m->manifest->max_buffer);
	if (m->old_generation)
		(void)policy_generations_adopt(p, m->subject, m->old_generation);
	for (unsigned i = 0; i < m->nold_slots; i++) /* one that is revoked by now is not there */
		(void)policy_slot_adopt(p, m->subject, m->old_slot[i].grant, m->old_slot[i].port);
	mounts_adopt(m);
	m->started_ns = hello->started_ns;
	m->said_ready = m->said_ready || hello->ready; /* it may have told the last session alone */
	m->state = MACHINE_STARTING;
	(void)log_open(m);
	display_adopt(m, hello->scanouts);
	return true;
}

/* All have spoken: what they ask from here on is answered as always. */
static void resume(struct session *s)
{
	wire_adopted(s);
	for (struct machine *m = s->machines; m; m = m->next) {
		bool ready = m->said_ready || caps_serves_all(m);

		if (!m->adopted || !m->subject || !machine_runs(m))
			continue;
		loop_mod(&s->loop, m->vm->sock_fd, EPOLLIN);
		m->said_ready = false;
		lifecycle_started(m);
		if (ready)
			lifecycle_ready(m);
	}
	session_changed(s);
}

void machine_adopted(struct machine *m)
{
	m->adopt_by_ns = 0;
	if (machine_runs(m)) /* not heard until the others have spoken too */
		loop_mod(&m->session->loop, m->vm->sock_fd, 0);
	if (!--m->session->adopting)
		resume(m->session);
}

/* Is this a guest that nobody knows? Then it was started in the last moment: end it. */
static void end_stray(struct session *s, const char *name)
{
	struct exo_vmm_signal kill = {{EXO_VMM_MAGIC, EXO_VMM_KILL, sizeof(kill), 0}, SIGKILL, 0};
	const struct machine nobody = {.session = s};
	struct sockaddr_un address;
	int fd;

	if (session_find(s, name))
		return;
	fd = reach(&nobody, name);
	if (fd >= 0) {
		(void)fdmsg_send(fd, &kill, sizeof(kill), NULL, 0);
		close(fd);
	}
	machine_address(&nobody, name, &address);
	(void)unlink(address.sun_path);
}

static void end_strays(struct session *s)
{
	int fd = openat(s->directory_fd, "guests", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char name[POLICY_NAME_MAX];
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t length = strlen(e->d_name);

		if (length <= 5 || length - 5 >= sizeof(name) ||
		    strcmp(e->d_name + length - 5, ".sock") != 0)
			continue;
		memcpy(name, e->d_name, length - 5);
		name[length - 5] = '\0';
		end_stray(s, name);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

void machine_adopt_all(struct session *s)
{
	struct machine *m;

	for (m = s->machines; m; m = m->next) {
		if (m->adopted && begin(m) && m->vm)
			machine_let_die(m, false);
	}
	end_strays(s);
	/* Those that are gone; what lifecycle_ended does may change the list. */
again:
	for (m = s->machines; m; m = m->next) {
		if (!m->adopted || m->vm)
			continue;
		m->adopted = false;
		m->end = (struct machine_end){.reason = 0};
		snprintf(m->end.detail, sizeof(m->end.detail), "it ended while no session ran");
		machine_over(m);
		goto again;
	}
	if (!s->adopting)
		wire_adopted(s);
}
