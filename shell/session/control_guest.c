/*
 * The host service "control": a guest that has a grant for it is a client of the control
 * socket, but for what would lead out of the session: it names programs and
 * manifests by their names in the folders of programs, gives guests nothing of the
 * host's, and has no descriptors (docs/control.md). What a person's clients need is kept
 * for them: guests have a number of connections of their own.
 */
#include "control_impl.h"

#include "search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_one_of(const char *word, const char *const *list)
{
	while (*list && strcmp(*list, word) != 0)
		list++;
	return *list;
}

/* ---- what it may ask --------------------------------------------------------------------- */

static const char *const ops[] = {"hello", "ps",      "start", "add",    "stop",      "kill",
				  "pause", "resume",  "wait",  "log",    "top",       "wires",
				  "reach", "dry-run", "grant", "revoke", "subscribe", NULL};
static const char *const start_fields[] = {"program", "manifest", "name",    "args",
					   "env",     "memory",   "cpus",    "rng",
					   "grants",  "attach",   "display", NULL};

/* A file that is open is at this path. */
static int path_of(int fd, char path[SEARCH_PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, SEARCH_PATH_MAX - 8);
	close(fd);
	if (n <= 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

static bool has_suffix(const char *text, const char *suffix)
{
	size_t length = strlen(text), tail = strlen(suffix);

	return length > tail && !strcmp(text + length - tail, suffix);
}

/* NAME.exo, or what is named so already. 0 with its path, or -errno. */
static int find_manifest(const char *name, char path[SEARCH_PATH_MAX])
{
	char file[POLICY_NAME_MAX + 8];
	int fd, err;

	snprintf(file, sizeof(file), "%s%s", name, has_suffix(name, ".exo") ? "" : ".exo");
	err = search_installed(file, &fd);
	return err ? err : path_of(fd, path);
}

/* As `exo run NAME` would, but for the current folder. *is_manifest: the path is one's. */
static int find_program(const char *name, char path[SEARCH_PATH_MAX], bool *is_manifest)
{
	char manifest[SEARCH_PATH_MAX];
	int fd, err = has_suffix(name, ".exo") ? -ENOENT : search_installed(name, &fd);

	*is_manifest = true;
	if (err)
		return err == -ENOENT ? find_manifest(name, path) : err;
	err = path_of(fd, path);
	if (err)
		return err;
	snprintf(manifest, sizeof(manifest), "%.*s.exo",
		 (int)strlen(path) - (has_suffix(path, ".elf") ? 4 : 0), path);
	*is_manifest = !access(manifest, F_OK);
	if (*is_manifest)
		strcpy(path, manifest);
	return 0;
}

static int refuse(char why[256], const char *message)
{
	snprintf(why, 256, "%s", message);
	return -EPERM;
}

/* In place of the name in `field` the path that it means. */
static int resolve(struct request *r, const char *field, char why[256])
{
	const char *name = json_string_value(json_object_get(r->body, field));
	bool is_manifest = true;
	char path[SEARCH_PATH_MAX];
	int err;

	if (!json_object_get(r->body, field))
		return 0;
	if (!name || !policy_name_is_valid(name) || !strcmp(name, ".") || !strcmp(name, ".."))
		return refuse(why, "a guest gives the name of a program, as exo run NAME has it");
	err = !strcmp(field, "program") ? find_program(name, path, &is_manifest)
					: find_manifest(name, path);
	if (err) {
		snprintf(why, 256, "%s: not found among the session's programs", name);
		return -ENOENT;
	}
	json_object_del(r->body, field);
	return json_object_set_new(r->body, is_manifest ? "manifest" : "program", json_string(path))
		       ? refuse(why, "the path is not UTF-8")
		       : 0;
}

/* Who has it hands it on to nobody: a person grants it. */
static bool is_control(const json_t *grant)
{
	const char *service = json_string_value(json_object_get(grant, "service"));

	return service && !strcmp(service, CONTROL_SERVICE);
}

static int check_start(struct request *r, char why[256])
{
	const char *field;
	json_t *value, *grant;
	size_t i;

	json_object_foreach(r->body, field, value)
	{
		if (!is_one_of(field, start_fields)) {
			snprintf(why, 256, "%.40s: not for a guest to say", field);
			return -EPERM;
		}
	}
	json_array_foreach(json_object_get(r->body, "grants"), i, grant)
	{
		if (is_control(grant))
			return refuse(why, "grants: control is granted by a person");
	}
	return 0;
}

int control_guest_check(struct request *r, unsigned nfds, char why[256])
{
	const char *op = r->op->name;

	if (!is_one_of(op, ops)) {
		snprintf(why, 256, "%s: not for a guest to ask", op);
		return -EPERM;
	}
	if (nfds)
		return refuse(why, "fds: a guest has none");
	if (!strcmp(op, "grant") && is_control(r->body))
		return refuse(why, "grant: control is granted by a person");
	if (!strcmp(op, "start") && check_start(r, why))
		return -EPERM;
	if (!strcmp(op, "start") && json_object_get(r->body, "program"))
		return json_object_get(r->body, "manifest")
			       ? refuse(why, "start: give program or manifest")
			       : resolve(r, "program", why);
	return resolve(r, "manifest", why);
}

/* ---- connections --------------------------------------------------------------------- */

static void on_guest(void *opaque, int fd, const char *from, const char *label)
{
	control_add_guest(opaque, fd, from);
}

int control_serve_guests(struct session *s)
{
	return wire_listen_host(s, CONTROL_SERVICE, false, on_guest, s);
}

void control_unserve_guests(struct session *s)
{
	struct policy_service_info info;

	if (!policy_service_info(s->policy, CONTROL_SERVICE, &info))
		wire_unlisten_host(s, CONTROL_SERVICE);
}

static bool is_granted(struct session *s, const char *guest)
{
	struct policy_grant_info g = {0};

	while (policy_grant_next(s->policy, g.id, &g)) {
		if (!strcmp(g.grantee, guest) && !strcmp(g.service, CONTROL_SERVICE))
			return true;
	}
	return false;
}

void control_look_at_grants(struct session *s)
{
	for (struct client *c = control_clients(s); c; c = c->next) {
		if (c->guest[0] && session_find(s, c->guest) && !is_granted(s, c->guest))
			client_drop(c);
	}
}
