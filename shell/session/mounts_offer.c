/*
 * Files that a person offers to a running guest: each is a mount that the guest finds by a
 * port, with a file server (shell/fs) for just this file. It ends with the guest, or with
 * its grant. So that the next session can offer it again, it is written down in the
 * machine's options, as "offered".
 */
#include "mounts_impl.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OFFERS_MAX 64u /* of one guest */

/* A regular file, without waiting for anything. fd or -errno. */
static int open_file(const char *path, bool writable, bool create)
{
	int flags = (writable ? O_RDWR : O_RDONLY) | (create ? O_CREAT : 0);
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	err = fstat(fd, &st)        ? -errno
	      : S_ISDIR(st.st_mode) ? -EISDIR
	      : S_ISREG(st.st_mode) ? 0
				    : -EINVAL;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* "file-7-0-notes.txt": of guest 7, and no other service's name. */
static void name_offer(struct machine *m, struct mount *mount)
{
	struct policy_service_info info;
	unsigned n = 0;
	int length;

	do {
		length = snprintf(mount->service, sizeof(mount->service), "file-%llu-%u-",
				  (unsigned long long)m->number, n++);
		snprintf(mount->service + length, sizeof(mount->service) - (size_t)length, "%.24s",
			 mount->file);
		for (char *c = mount->service; *c; c++) {
			char one[2] = {*c, '\0'};

			if (!policy_name_is_valid(one))
				*c = '_';
		}
	} while (!policy_service_info(m->session->policy, mount->service, &info));
}

/* service NULL: a new one. The mount is m's then. */
static int add_offer(struct machine *m, const char *path, const char *service, bool writable,
		     bool create, struct mount **out)
{
	const char *name = strrchr(path, '/') + 1;
	struct mount *mount, **last = &m->mounts;
	unsigned count = 0;
	int fd, err;

	for (; *last; last = &(*last)->next)
		count += (*last)->file != NULL;
	if (count >= OFFERS_MAX)
		return -ENOSPC;
	fd = open_file(path, writable, create);
	if (fd < 0)
		return fd;
	mount = calloc(1, sizeof(*mount));
	if (!mount || !(mount->file = strdup(name))) {
		free(mount);
		close(fd);
		return -ENOMEM;
	}
	mount->read_only = !writable;
	mount->folder_fd = -1;
	if (service)
		snprintf(mount->service, sizeof(mount->service), "%s", service);
	else
		name_offer(m, mount);
	err = mounts_add_service(m, mount, fd);
	if (err) {
		mounts_free(m, mount);
		return err;
	}
	*last = *out = mount;
	return 0;
}

static void remove_offer(struct machine *m, struct mount *mount)
{
	json_t *list = json_object_get(m->options, "offered");
	struct mount **at = &m->mounts;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *service =
			json_string_value(json_object_get(json_array_get(list, i), "service"));

		if (service && !strcmp(service, mount->service))
			json_array_remove(list, i--);
	}
	while (*at != mount)
		at = &(*at)->next;
	*at = mount->next;
	mounts_free(m, mount);
	session_changed(m->session);
}

/* For the next session. 0 or -ENOMEM. */
static int note_offer(struct machine *m, const struct mount *mount, const char *path)
{
	json_t *list;

	if (!m->options)
		m->options = json_object();
	list = json_object_get(m->options, "offered");
	if (!list) {
		list = json_array();
		if (json_object_set_new(m->options, "offered", list))
			return -ENOMEM;
	}
	return json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "service", mount->service,
						     "path", path, "rw", !mount->read_only))
		       ? -ENOMEM
		       : 0;
}

int mounts_offer(struct machine *m, const char *path, bool writable, bool create, uint32_t *grant,
		 uint32_t *port)
{
	struct policy *p = m->session->policy;
	struct mount *mount;
	int64_t id;
	int err = add_offer(m, path, NULL, writable, create, &mount);

	if (err)
		return err;
	id = policy_grant(p, m->name, mount->service, EXO_CAP_CONNECT, NULL, POLICY_PERSON, 0,
			  clock_now_ns());
	err = id < 0 ? (int)id : note_offer(m, mount, path);
	if (id >= 0)
		*grant = mount->grant = (uint32_t)id;
	session_changed(m->session);
	*port = err ? 0 : policy_resolve(p, m->subject, mount->service);
	if (!err && *port)
		return 0;
	remove_offer(m, mount);
	return err ? err : -ENOSPC;
}

/* That grant's, when it is m's; 0: there is none. */
static uint32_t grant_of(const struct machine *m, const char *service)
{
	struct policy_grant_info g = {0};

	while (policy_grant_next(m->session->policy, g.id, &g)) {
		if (!strcmp(g.service, service) && !strcmp(g.grantee, m->name))
			return g.id;
	}
	return 0;
}

void mounts_look_at_grants(struct session *s)
{
	struct policy_grant_info g;
	struct mount *next;

	for (struct machine *m = s->machines; m; m = m->next) {
		for (struct mount *mount = m->mounts; mount; mount = next) {
			next = mount->next;
			if (!mount->file || !policy_grant_info(s->policy, mount->grant, &g))
				continue;
			mount->grant = 0;
			remove_offer(m, mount);
		}
	}
}

/* A file that is gone by now, or was offered in the last moment. */
static void revoke_lost_offers(struct machine *m)
{
	struct policy *p = m->session->policy;
	struct policy_grant_info g = {0};

	while (policy_grant_next(p, g.id, &g)) {
		const struct mount *mount = m->mounts;

		while (mount && mount->grant != g.id)
			mount = mount->next;
		if (!mount && !strcmp(g.grantee, m->name) && !strncmp(g.service, "file-", 5))
			(void)policy_revoke(p, g.id);
	}
}

/* Those of an earlier session whose grant is still there. */
void mounts_adopt_offers(struct machine *m)
{
	json_t *list = json_object_get(m->options, "offered"), *one;
	struct mount *mount;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *service = json_string_value(json_object_get(one, "service"));
		const char *path = json_string_value(json_object_get(one, "path"));
		uint32_t grant = service ? grant_of(m, service) : 0;

		if (!grant || !path || *path != '/' || strncmp(service, "file-", 5) != 0)
			continue;
		if (!add_offer(m, path, service, json_is_true(json_object_get(one, "rw")), false,
			       &mount))
			mount->grant = grant;
	}
	revoke_lost_offers(m);
}
