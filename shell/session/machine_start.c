/*
 * Starting a guest: from its manifest, what the person asked for, and what a guest of
 * a session has besides. The VMM is started first and makes its VM while we open
 * files. Messages of launch.c and guest.c are caught for the one who asked.
 */
#include "machine_impl.h"

#include "clock.h"
#include "fdmsg.h"
#include "text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LISTEN_BACKLOG 64 /* sessions that were killed before its VMM heard them count too */
#define WINDOW_BYTES (32ull << 20)
#define WINDOW_UNIT (2ull << 20)

static int fail(char why[512], int err, const char *what)
{
	snprintf(why, 512, "%s: %s", what, strerror(-err));
	return err;
}

/* Takes over `string` (NULL: no memory) for as long as the machine is known. */
static char *own(struct machine *m, char *string)
{
	char **all = string ? realloc(m->strings, (m->nstrings + 1) * sizeof(*all)) : NULL;

	if (!all) {
		free(string);
		return NULL;
	}
	m->strings = all;
	m->strings[m->nstrings++] = string;
	return string;
}

static int add_env(struct machine *m, const char *name, const char *value)
{
	char *line = NULL;

	if (asprintf(&line, "%s=%s", name, value) < 0)
		line = NULL;
	line = own(m, line);
	return line ? guest_add_env(&m->guest, line) : -ENOMEM;
}

/* ---- from the manifest ------------------------------------------------------------- */

static int apply_disks(struct guest *g, const struct manifest *f)
{
	if (f->ndisks > EXO_VMM_DISKS_MAX)
		return -E2BIG;
	for (g->ndisks = 0; g->ndisks < f->ndisks; g->ndisks++) {
		const struct manifest_disk *d = &f->disk[g->ndisks];

		g->disk[g->ndisks] = (struct guest_disk){
			.path = d->path, .read_only = d->read_only, .direct = d->direct, .fd = -1};
	}
	return 0;
}

static int apply_manifest(struct machine *m)
{
	const struct manifest *f = m->manifest;
	struct guest *g = &m->guest;
	int err;

	if (!f)
		return 0;
	g->ram_bytes = f->memory_bytes;
	if (f->cpus)
		g->cpus = f->cpus;
	if (f->rng)
		g->flags |= EXO_VMM_RNG;
	err = apply_disks(g, f);
	for (char **env = f->env; !err && env && *env; env++)
		err = guest_add_env(g, *env);
	return err;
}

/* args[0] is the program; without arguments of the person's, the manifest's follow. */
static int make_args(struct machine *m)
{
	unsigned n = 0;

	if (!m->program && m->manifest && !(m->program = strdup(m->manifest->file)))
		return -ENOMEM;
	if (!m->program)
		return -EINVAL;
	if (m->args)
		return 0;
	while (m->manifest && m->manifest->args && m->manifest->args[n])
		n++;
	m->args = calloc(n + 2, sizeof(*m->args));
	if (!m->args || !(m->args[0] = strdup(m->program)))
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		if (!(m->args[i + 1] = strdup(m->manifest->args[i])))
			return -ENOMEM;
	}
	return 0;
}

/* ---- what a session adds --------------------------------------------------------------- */

/* EXO_SLOT_<SERVICE>: what the program connects to, without asking. */
static int add_slots(struct machine *m)
{
	struct policy_grant_info slot;
	char name[sizeof("EXO_SLOT_") + POLICY_NAME_MAX], port[16];
	int err = 0;

	for (unsigned i = 0; !err && policy_slot_at(m->session->policy, m->subject, i, &slot);
	     i++) {
		/* Of two slots for one service, the one that policy_resolve finds. */
		if (policy_resolve(m->session->policy, m->subject, slot.service) != slot.port)
			continue;
		snprintf(name, sizeof(name), "EXO_SLOT_%s", slot.service);
		for (char *c = name; *c; c++) {
			bool lower = *c >= 'a' && *c <= 'z';

			if (lower)
				*c = (char)(*c - 'a' + 'A');
			else if (!((*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
				*c = '_';
		}
		snprintf(port, sizeof(port), "%u", slot.port);
		err = add_env(m, name, port);
	}
	return err;
}

static int add_mount(struct machine *m, const struct manifest_mount *f, char why[512])
{
	char source[sizeof("service:") + POLICY_NAME_MAX];

	if (!f->service)
		return mounts_add(m, f->source, f->path, f->read_only, why);
	snprintf(source, sizeof(source), "service:%s", f->service);
	return mounts_add(m, source, f->path, f->read_only, why);
}

static int add_mounts(struct machine *m, char why[512])
{
	json_t *list = json_object_get(m->options, "mounts"), *one;
	char *all;
	size_t i;
	int err = 0;

	for (unsigned k = 0; !err && m->manifest && k < m->manifest->nmounts; k++)
		err = add_mount(m, &m->manifest->mount[k], why);
	json_array_foreach(list, i, one)
	{
		if (!err)
			err = mounts_add(m, json_string_value(json_object_get(one, "source")),
					 json_string_value(json_object_get(one, "path")),
					 json_is_true(json_object_get(one, "ro")), why);
	}
	if (err)
		return err;
	all = mounts_environment(m);
	if (all)
		err = add_env(m, "EXO_MOUNTS", all);
	free(all);
	return err ? fail(why, err, "mounts") : 0;
}

static int enter_policy(struct machine *m, char why[512])
{
	const struct manifest *f = m->manifest;
	int64_t id = policy_add_subject(m->session->policy, m->name, m->label);

	if (id < 0)
		return fail(why, (int)id, m->name);
	m->subject = (uint32_t)id;
	if (f && (f->max_conns || f->max_buffer))
		(void)policy_set_budget(m->session->policy, m->subject, f->max_conns,
					f->max_buffer);
	return 0;
}

/* By which another session finds the guest. In a private one there is none. */
static int listen_for_sessions(struct machine *m)
{
	struct sockaddr_un address;
	int err = 0;

	if (m->session->directory_fd < 0)
		return 0;
	machine_address(m, m->name, &address);
	(void)unlink(address.sun_path);
	m->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->listen_fd < 0 ||
	    bind(m->listen_fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(m->listen_fd, LISTEN_BACKLOG))
		err = -errno;
	m->guest.listen_fd = m->listen_fd;
	m->guest.flags |= EXO_VMM_OUTLIVE;
	return err;
}

static int add_channels(struct machine *m)
{
	uint64_t window = m->manifest ? m->manifest->window_bytes : 0;
	struct guest *g = &m->guest;

	m->guest_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->vmm_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->guest_bell < 0 || m->vmm_bell < 0)
		return -errno;
	g->guest_bell_fd = m->guest_bell;
	g->vmm_bell_fd = m->vmm_bell;
	if (!window)
		window = WINDOW_BYTES;
	g->window_bytes = (window + WINDOW_UNIT - 1) / WINDOW_UNIT * WINDOW_UNIT;
	/* Each start is somebody new: the bells of the last one's neighbours go by this number. */
	g->number = m->number = m->session->next_number++;
	g->flags |= EXO_VMM_VSOCK | EXO_VMM_CHANNELS_OK;
	return listen_for_sessions(m);
}

/* Streams of the one who asked, at the first start; else the log. */
static int add_streams(struct machine *m)
{
	bool given = m->stdio[0] >= 0 || m->stdio[1] >= 0 || m->stdio[2] >= 0;
	int err = given ? 0 : log_open(m);

	for (int i = 0; i < 3 && !err; i++) {
		struct guest_stream *to = &m->guest.stream[i];

		to->fd = given ? m->stdio[i] : i ? m->log_fd : -1;
		to->reopened = given && to->fd >= 0; /* ours to close */
		m->stdio[i] = -1;
	}
	return err;
}

/* ---- start -------------------------------------------------------------------------------- */

static int describe(struct machine *m, char why[512])
{
	struct guest *g = &m->guest;
	int err = make_args(m);

	if (err)
		return fail(why, err, "arguments");
	guest_finish(g);
	guest_init(g);
	while (m->nstrings) /* of the last start */
		free(m->strings[--m->nstrings]);
	guest_set_program(g, m->args);
	g->program = m->program;
	snprintf(g->name, sizeof(g->name), "%s", m->name);
	err = apply_manifest(m);
	if (err)
		return fail(why, err, "manifest");
	err = control_display(m, &g->display, why);
	if (!err)
		err = control_apply_options(m, why);
	return err ? err : enter_policy(m, why);
}

/* After the VMM was started: it is busy with its VM. */
static int equip(struct machine *m, char why[512])
{
	int err = add_env(m, "EXO_NAME", m->name);

	if (!err)
		err = add_channels(m);
	if (!err)
		err = add_streams(m);
	if (err)
		return fail(why, err, "guest");
	err = display_open(m);
	if (err)
		return fail(why, err, "display");
	err = add_mounts(m, why);
	if (err)
		return err == -ENOENT ? -EINVAL : err; /* the program is there */
	err = add_slots(m);
	return err ? fail(why, err, "environment") : 0;
}

/* Exit codes of launch.c and guest.c as errors. */
static int error_of(int exit_code)
{
	return exit_code == GUEST_EXIT_NOT_FOUND ? -ENOENT
	       : exit_code == GUEST_EXIT_CANNOT  ? -ENOEXEC
						 : -EIO;
}

static int launch(struct machine *m, char why[512])
{
	int status, err;

	m->vm = calloc(1, sizeof(*m->vm));
	if (!m->vm)
		return fail(why, -ENOMEM, m->name);
	launch_init(m->vm);
	m->vm->in_session = true;
	text_capture(why, 512);
	status = launch_spawn(m->vm, m->name);
	text_capture(NULL, 0);
	if (status)
		return error_of(status);
	m->pid = m->vm->pid;
	m->pid_fd = (int)syscall(SYS_pidfd_open, m->pid, 0);
	if (m->pid_fd < 0)
		return fail(why, -errno, "pidfd");
	err = equip(m, why);
	if (err)
		return err;
	text_capture(why, 512);
	status = guest_open(&m->guest);
	text_capture(NULL, 0);
	if (status)
		return error_of(status);
	/* From here on it can outlive us: a session that comes after us must know it. */
	session_changed(m->session);
	session_save(m->session);
	err = launch_configure(m->vm, &m->guest);
	if (!err)
		err = machine_watch(m);
	return err ? fail(why, err, "exo-vmm") : 0;
}

/* What only the VMM needs from here on. A disk's fd stays for its lock. */
static void close_files(struct machine *m)
{
	struct guest *g = &m->guest;
	int *const fds[] = {&g->program_fd, &g->initrd_fd,  &g->args_fd,
			    &m->listen_fd,  &g->picture_fd, &g->display_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	g->listen_fd = -1;
	guest_close_streams(g);
}

int machine_start(struct machine *m, char why[512])
{
	int err;

	why[0] = '\0';
	if (m->vm)
		return fail(why, -EBUSY, m->name);
	m->killed_why = NULL;
	err = describe(m, why);
	if (!err)
		err = launch(m, why);
	if (!err) {
		close_files(m);
		m->adopted = false;
		m->state = MACHINE_STARTING;
		m->started_ns = clock_now_ns();
		session_changed(m->session);
		display_opened(m);
		return 0;
	}
	display_close(m);
	machine_let_die(m, true);
	if (m->listen_fd >= 0)
		machine_unlink_socket(m);
	machine_close_fds(m);
	if (m->subject)
		policy_remove_subject(m->session->policy, m->subject, EXO_REASON_DIED);
	m->subject = 0;
	m->pid = 0;
	mounts_machine_gone(m);
	guest_finish(&m->guest);
	return err;
}
