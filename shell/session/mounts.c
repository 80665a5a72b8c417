/*
 * Mounts of guests: services that speak 9P, or folders of the host, each behind an
 * exo-fs of its own (shell/fs). A folder is a service with a name that nobody else
 * has a grant for; its server is started by the first connection, and again when one comes
 * after it died. It ends when the guest has: with its last connection and our end of
 * its control socket.
 * */
#include "mounts_impl.h"

#include "clock.h"
#include "fdmsg.h"
#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_NS 10000000u /* between two starts of a server that does not stay */
#define FS_CONTROL_FD 3    /* shell/fs/fs.h */
#define FS_ROOT_FD 4
#define HIGH_FD 10 /* above those */

/* A running exo-fs. Without its mount it is only waited for. */
struct server {
	struct mount *mount; /* NULL: gone */
	struct loop *loop;
	pid_t pid;
	int pid_fd;
	int control_fd;
};

/* ---- the server -------------------------------------------------------------------- */

static void free_server(struct server *v)
{
	if (v->mount)
		v->mount->server = NULL;
	loop_del(v->loop, v->pid_fd);
	close(v->pid_fd);
	if (v->control_fd >= 0)
		close(v->control_fd);
	free(v);
}

static void on_dead(void *opaque, int fd, uint32_t events)
{
	struct server *v = opaque;
	int status;

	(void)waitpid(v->pid, &status, WNOHANG);
	free_server(v);
}

/*
 * What is left of it goes by itself. Of an offered file nothing is left: its guest's VMM should
 * hang up, but this does not depend on it (H-34).
 */
static void let_go(struct mount *mount)
{
	struct server *v = mount->server;

	mount->server = NULL;
	if (!v)
		return;
	if (mount->file)
		(void)syscall(SYS_pidfd_send_signal, v->pid_fd, SIGKILL, NULL, 0);
	v->mount = NULL;
	close(v->control_fd);
	v->control_fd = -1;
}

static int find_program(char path[SEARCH_PATH_MAX])
{
	int err = -ENOENT;

	for (unsigned place = 0; err && place < SEARCH_VMM_PLACES; place++) {
		if (!search_fs(place, path))
			err = access(path, X_OK) ? -errno : 0;
	}
	return err;
}

/* Its standard streams are our standard error: no copies of anybody's pipes. */
static int start_program(const struct mount *mount, int control_fd, pid_t *pid)
{
	char path[SEARCH_PATH_MAX], name[] = "exo-fs", option[] = "--read-only", file[] = "--file";
	char *argv[5] = {name}, *envp[] = {NULL};
	posix_spawn_file_actions_t actions;
	int err = find_program(path), argc = 1;

	if (err)
		return err;
	if (mount->read_only)
		argv[argc++] = option;
	if (mount->file) {
		argv[argc++] = file;
		argv[argc] = mount->file;
	}
	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	if ((err = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDIN_FILENO)) ||
	    (err = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)) ||
	    (err = posix_spawn_file_actions_adddup2(&actions, control_fd, FS_CONTROL_FD)) ||
	    (err = posix_spawn_file_actions_adddup2(&actions, mount->folder_fd, FS_ROOT_FD)))
		err = -err;
	else
		err = -posix_spawn(pid, path, &actions, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static int watch_program(struct session *s, struct mount *mount, pid_t pid, int control_fd)
{
	struct server *v = calloc(1, sizeof(*v));
	int fd = v ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	int err = !v ? -ENOMEM : fd < 0 ? -errno : loop_add(&s->loop, fd, EPOLLIN, on_dead, v);

	if (err) {
		if (fd >= 0)
			close(fd);
		free(v);
		return err;
	}
	*v = (struct server){mount, &s->loop, pid, fd, control_fd};
	mount->server = v;
	return 0;
}

static int start_server(struct session *s, struct mount *mount)
{
	uint64_t now = clock_now_ns();
	int pair[2], high = -1, err;
	pid_t pid;

	if (mount->spawned_ns && now - mount->spawned_ns < PAUSE_NS)
		return -EAGAIN;
	mount->spawned_ns = now;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	high = fcntl(pair[1], F_DUPFD_CLOEXEC, HIGH_FD);
	err = high < 0 ? -errno : start_program(mount, high, &pid);
	close(pair[1]);
	if (high >= 0)
		close(high);
	if (!err) {
		err = watch_program(s, mount, pid, pair[0]);
		if (!err)
			return 0;
		close(pair[0]); /* which ends it */
		(void)waitpid(pid, NULL, 0);
		return err;
	}
	close(pair[0]);
	return err;
}

/* ---- connections --------------------------------------------------------------------- */

/* Whoever else has a grant for the name: a guest's folders are its own. */
static struct mount *find_service(const struct session *s, const struct machine *opener,
				  const char *service)
{
	for (const struct machine *m = s->machines; m; m = m->next) {
		for (struct mount *mount = m->mounts; mount && (!opener || opener == m);
		     mount = mount->next) {
			if (mount->folder_fd >= 0 && !strcmp(mount->service, service))
				return mount;
		}
	}
	return NULL;
}

/* One that died just now is found out by sending. */
static int hand_over(struct session *s, struct mount *mount, int fd)
{
	int err = -EPIPE;

	for (int tries = 0; tries < 2 && (err == -EPIPE || err == -ECONNRESET); tries++) {
		if (tries)
			let_go(mount);
		err = mount->server ? 0 : start_server(s, mount);
		if (!err)
			err = fdmsg_send(mount->server->control_fd, "c", 1, &fd, 1);
	}
	return err;
}

int mounts_connect(struct session *s, const struct machine *opener, const char *service)
{
	struct mount *mount = find_service(s, opener, service);
	int pair[2], err;

	if (!mount)
		return -ENOENT;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return -errno;
	err = hand_over(s, mount, pair[1]);
	close(pair[1]);
	if (!err)
		return pair[0];
	close(pair[0]);
	return err;
}

/* ---- of a guest ------------------------------------------------------------------------ */

void mounts_free(struct machine *m, struct mount *mount)
{
	struct policy *p = m->session->policy;

	let_go(mount);
	if (mount->grant)
		(void)policy_revoke(p, mount->grant);
	if (mount->folder_fd >= 0) {
		(void)policy_revoke_named(p, m->name, mount->service); /* an adopted guest's */
		(void)policy_remove_service(p, mount->service);
		close(mount->folder_fd);
	}
	free(mount->path);
	free(mount->file);
	free(mount);
}

void mounts_machine_gone(struct machine *m)
{
	if (m->options)
		json_object_del(m->options, "offered");
	while (m->mounts) {
		struct mount *next = m->mounts->next;

		mounts_free(m, m->mounts);
		m->mounts = next;
	}
}

static unsigned count_folders(const struct machine *m)
{
	unsigned n = 0;

	for (const struct mount *mount = m->mounts; mount; mount = mount->next)
		n += mount->folder_fd >= 0 && !mount->file;
	return n;
}

/* A service of our own for what fd is, which is ours no more. */
int mounts_add_service(struct machine *m, struct mount *mount, int fd)
{
	struct policy *p = m->session->policy;
	int err;

	mount->folder_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	err = mount->folder_fd < 0 ? -errno : 0;
	close(fd);
	if (!err)
		err = policy_add_service(p, mount->service, "host", 1, false);
	return err ? err : policy_set_ready(p, mount->service, true);
}

static int add_folder(struct machine *m, struct mount *mount, const char *source)
{
	int fd = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	snprintf(mount->service, sizeof(mount->service), "fs-%llu-%u",
		 (unsigned long long)m->number, count_folders(m));
	return mounts_add_service(m, mount, fd);
}

/* That the mount is asked for is the grant, where there is none yet. */
static int add_grant(struct machine *m, struct mount *mount)
{
	struct policy *p = m->session->policy;
	int64_t grant;

	if (policy_resolve(p, m->subject, mount->service))
		return 0;
	grant = policy_grant(p, m->name, mount->service, EXO_CAP_CONNECT, NULL, POLICY_MANIFEST, 0,
			     clock_now_ns());
	if (grant < 0)
		return (int)grant;
	mount->grant = (uint32_t)grant;
	return 0;
}

static int fail(char why[512], int err, const char *what, const char *path)
{
	snprintf(why, 512, "mount %s: %s: %s", path, what, strerror(-err));
	return err;
}

int mounts_add(struct machine *m, const char *source, const char *path, bool read_only,
	       char why[512])
{
	struct mount *mount, **last = &m->mounts;
	bool is_service;
	int err;

	if (!source || !path || path[0] != '/' || strchr(path, ';'))
		return fail(why, -EINVAL, "an absolute path without \";\" is wanted",
			    path ? path : "");
	is_service = !strncmp(source, "service:", 8);
	mount = calloc(1, sizeof(*mount));
	if (!mount)
		return fail(why, -ENOMEM, source, path);
	mount->folder_fd = -1;
	mount->read_only = read_only;
	mount->path = strdup(path);
	if (is_service)
		snprintf(mount->service, sizeof(mount->service), "%s", source + 8);
	err = !mount->path ? -ENOMEM : is_service ? 0 : add_folder(m, mount, source);
	if (!err)
		err = add_grant(m, mount);
	if (err) {
		mounts_free(m, mount);
		return fail(why, err, source, path);
	}
	while (*last)
		last = &(*last)->next;
	*last = mount;
	session_changed(m->session);
	return 0;
}

/* The same names in the same order as at its start: its slots lead to them. */
void mounts_adopt(struct machine *m)
{
	const struct manifest *f = m->manifest;
	json_t *list = json_object_get(m->options, "mounts"), *one;
	char why[512];
	size_t i;

	for (unsigned k = 0; f && k < f->nmounts; k++) {
		if (!f->mount[k].service)
			(void)mounts_add(m, f->mount[k].source, f->mount[k].path,
					 f->mount[k].read_only, why);
	}
	json_array_foreach(list, i, one)
	{
		const char *source = json_string_value(json_object_get(one, "source"));

		if (source && strncmp(source, "service:", 8) != 0)
			(void)mounts_add(m, source, json_string_value(json_object_get(one, "path")),
					 json_is_true(json_object_get(one, "ro")), why);
	}
	mounts_adopt_offers(m);
}

char *mounts_environment(struct machine *m)
{
	char *text = NULL;
	size_t size;
	FILE *f = m->mounts ? open_memstream(&text, &size) : NULL; /* nothing is offered yet */

	if (!f)
		return NULL;
	for (const struct mount *mount = m->mounts; mount; mount = mount->next)
		fprintf(f, "%s%s=%u%s", mount == m->mounts ? "" : ";", mount->path,
			policy_resolve(m->session->policy, m->subject, mount->service),
			mount->read_only ? ",ro" : "");
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
