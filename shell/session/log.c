/*
 * What guests print that have no streams of their own. The guest's VMM writes to a
 * file, in append mode, so that it never waits for us; we are told by inotify and
 * cut the file when it is long. A private session has memfds instead of files.
 *
 * Limit: what is printed between the last read and the cut, some microseconds, is
 * lost. Nobody bounds the file while no session runs.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES 16384

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* To log_old_fd, and from the start again. */
static void cut(struct machine *m)
{
	char block[COPY_BYTES];
	off_t at = 0;
	ssize_t n;

	(void)!ftruncate(m->log_old_fd, 0);
	/* At most twice of what it may be: who prints faster than we copy loses some. */
	while (at < 2 * (off_t)LOG_BYTES_MAX &&
	       (n = pread(m->log_fd, block, sizeof(block), at)) > 0) {
		(void)!pwrite(m->log_old_fd, block, (size_t)n, at);
		at += n;
	}
	if (!ftruncate(m->log_fd, 0))
		m->log_start += (uint64_t)at;
}

static void look(struct machine *m)
{
	struct stat st;

	if (m->log_fd >= 0 && !fstat(m->log_fd, &st) && st.st_size > (off_t)LOG_BYTES_MAX)
		cut(m);
	if (m->session->log_changed)
		m->session->log_changed(m);
}

static void on_inotify(void *opaque, int fd, uint32_t events)
{
	struct session *s = opaque;
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
		struct inotify_event e;

		memcpy(&e, buf + at, sizeof(e));
		at += (ssize_t)(sizeof(e) + e.len);
		for (struct machine *m = s->machines; m; m = m->next) {
			if (m->log_watch >= 0 && (m->log_watch == e.wd || (e.mask & IN_Q_OVERFLOW)))
				look(m);
		}
	}
}

static int watch(struct machine *m)
{
	struct session *s = m->session;
	char path[40];
	int err = 0;

	if (s->inotify_fd < 0) {
		s->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
		if (s->inotify_fd < 0)
			return -errno;
		err = loop_add(&s->loop, s->inotify_fd, EPOLLIN, on_inotify, s);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->log_fd);
	if (!err) {
		m->log_watch = inotify_add_watch(s->inotify_fd, path, IN_MODIFY);
		err = m->log_watch < 0 ? -errno : 0;
	}
	return err;
}

static int open_one(const struct machine *m, const char *suffix)
{
	char path[POLICY_NAME_MAX + 16];
	int fd;

	if (m->session->directory_fd < 0) {
		fd = memfd_create("exo-log", MFD_CLOEXEC);
		if (fd >= 0)
			(void)fcntl(fd, F_SETFL, O_APPEND);
	} else {
		snprintf(path, sizeof(path), "log/%s.log%s", m->name, suffix);
		fd = openat(m->session->directory_fd, path,
			    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (*suffix ? 0 : O_APPEND),
			    0600);
	}
	if (fd < 0)
		return -errno;
	if (!m->adopted) /* else the guest writes it already */
		(void)!ftruncate(fd, 0);
	return fd;
}

int log_open(struct machine *m)
{
	int err;

	if (m->log_fd >= 0)
		return 0;
	m->log_fd = open_one(m, "");
	m->log_old_fd = m->log_fd < 0 ? m->log_fd : open_one(m, ".1");
	err = m->log_fd < 0 || m->log_old_fd < 0 ? m->log_old_fd : watch(m);
	if (err) {
		if (m->log_old_fd < 0)
			m->log_old_fd = -1;
		if (m->log_fd < 0)
			m->log_fd = -1;
		log_close(m);
	}
	return err;
}

/* A guest that was started again under the same name has the same file, and watch. */
static bool is_watched_by_others(const struct machine *m)
{
	for (const struct machine *o = m->session->machines; o; o = o->next) {
		if (o != m && o->log_watch == m->log_watch)
			return true;
	}
	return false;
}

void log_close(struct machine *m)
{
	if (m->log_watch >= 0 && !is_watched_by_others(m))
		(void)inotify_rm_watch(m->session->inotify_fd, m->log_watch);
	m->log_watch = -1;
	close_fd(&m->log_fd);
	close_fd(&m->log_old_fd);
}

void log_finish(struct session *s)
{
	if (s->inotify_fd >= 0)
		loop_del(&s->loop, s->inotify_fd);
	close_fd(&s->inotify_fd);
}
