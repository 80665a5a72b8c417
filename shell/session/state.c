/* Reading what an earlier session wrote down; see state.h. */
#include "state.h"

#include "clock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Numbers that may have been given out after the last save: VMMs may still speak of these. */
#define CONNS_UNSAVED 1000000u
#define FILE_BYTES_MAX (256u << 20)

/* ---- files ---------------------------------------------------------------------------------- */

/* Whole, terminated; the caller's. 0, -ENOENT, or -errno. */
static int read_whole(int dir_fd, const char *name, char **text, size_t *length)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = 0;
	struct stat st;
	ssize_t n = 1;

	*text = NULL;
	*length = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
		err = -EFBIG;
	else if (!(*text = malloc((size_t)st.st_size + 1)))
		err = -ENOMEM;
	while (!err && n > 0 && *length < (size_t)st.st_size) {
		n = read(fd, *text + *length, (size_t)st.st_size - *length);
		if (n > 0)
			*length += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			err = -errno;
	}
	close(fd);
	if (*text)
		(*text)[*length] = '\0';
	return err;
}

static void set_aside(struct session *s, const char *what)
{
	text_error(0, "session: %s/%s: %s; set aside as %s, beginning anew", s->directory,
		   STATE_FILE, what, STATE_FILE_BAD);
	(void)renameat(s->directory_fd, STATE_FILE, s->directory_fd, STATE_FILE_BAD);
	(void)renameat(s->directory_fd, STATE_LOG, s->directory_fd, STATE_LOG_BAD);
}

/* ---- the log -------------------------------------------------------------------------------- */

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *string(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static json_t *find_guest(const json_t *root, const char *name)
{
	json_t *guest;
	size_t i;

	json_array_foreach(json_object_get(root, "guests"), i, guest)
	{
		if (!strcmp(string(guest, "name"), name))
			return guest;
	}
	return NULL;
}

/* A slot was used since the guests were written down: its generation, at least. */
static bool note_generation(const json_t *root, const json_t *grant)
{
	json_t *guest = find_guest(root, string(grant, "guest"));
	json_t *list = json_object_get(guest, "generations");
	uint32_t port = (uint32_t)number(grant, "port");
	size_t index = EXO_SLOT_INDEX(port);
	json_int_t generation = EXO_SLOT_GENERATION(port);

	if (!guest || !EXO_SLOT_IS(port))
		return true;
	while (json_array_size(list) <= index) {
		if (json_array_append_new(list, json_integer(0)))
			return false;
	}
	if (json_integer_value(json_array_get(list, index)) >= generation)
		return true;
	return !json_array_set_new(list, index, json_integer(generation));
}

/* Grants by id, from the file; the log's lines change them: the last word counts. */
static bool replay_line(const json_t *root, json_t *grants, const json_t *line)
{
	json_t *grant = json_object_get(line, "grant");
	char key[24];

	snprintf(key, sizeof(key), "%lld",
		 (long long)(grant ? number(grant, "id") : number(line, "end")));
	if (grant)
		return note_generation(root, grant) && !json_object_set(grants, key, grant);
	(void)json_object_del(grants, key);
	return true;
}

/* False: it is damaged, or there is no memory. */
static bool replay(const json_t *root, json_t *grants, const char *text, size_t length)
{
	const char *end;
	bool first = true;

	/* What follows the last line feed was being written. */
	for (; (end = memchr(text, '\n', length)); first = false) {
		size_t n = (size_t)(end - text);
		json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
		bool ok = first ? json_is_integer(json_object_get(line, "serial"))
				: state_line_is_sound(line);

		if (ok && first && number(line, "serial") != number(root, "serial")) {
			json_decref(line);
			return true; /* older than the file */
		}
		if (ok && !first)
			ok = replay_line(root, grants, line);
		json_decref(line);
		if (!ok)
			return false;
		text = end + 1;
		length -= n + 1;
	}
	return true;
}

/* The file's grants as an object by id, with the log's changes; NULL: damaged. */
static json_t *grants_now(struct session *s, const json_t *root)
{
	json_t *grants = json_object(), *grant;
	bool ok = grants != NULL;
	size_t i, length;
	char key[24], *log;

	json_array_foreach(json_object_get(root, "grants"), i, grant)
	{
		snprintf(key, sizeof(key), "%lld", (long long)number(grant, "id"));
		ok = ok && !json_object_set(grants, key, grant);
	}
	if (ok && !read_whole(s->directory_fd, STATE_LOG, &log, &length)) {
		ok = replay(root, grants, log, length);
		free(log);
	}
	if (ok)
		return grants;
	json_decref(grants);
	return NULL;
}

/* ---- grants -------------------------------------------------------------- */

/* One of a manifest is as good as that of a guest that runs; others get theirs anew. */
static bool is_wanted(const json_t *root, const json_t *grant)
{
	const json_t *guest = find_guest(root, string(grant, "guest"));

	return number(grant, "origin") != POLICY_MANIFEST || (guest && number(guest, "pid") > 0);
}

/* The rest of its lease in ms; 0: it has none; UINT64_MAX: it is over. */
static uint64_t lease_left(const json_t *grant)
{
	uint64_t whole = (uint64_t)number(grant, "lease_ms");
	uint64_t end = (uint64_t)number(grant, "expires_ms"), now = state_real_ms();

	if (!whole)
		return 0;
	if (end <= now)
		return UINT64_MAX;
	return end - now < whole ? end - now : whole; /* the clock may have been set back */
}

static int adopt_grant(struct session *s, const json_t *grant)
{
	struct policy_grant_info info = {
		.id = (uint32_t)number(grant, "id"),
		.parent = (uint32_t)number(grant, "parent"),
		.grantee = string(grant, "guest"),
		.service = string(grant, "service"),
		.rights = (uint32_t)number(grant, "rights"),
		.fixed_port = (uint32_t)number(grant, "fixed_port"),
		.origin = (enum policy_origin)number(grant, "origin"),
		.limits = {.lease_ms = lease_left(grant),
			   .max_conns = (uint32_t)number(grant, "max_conns"),
			   .max_buffer = (uint64_t)number(grant, "max_buffer"),
			   .max_rate = (uint64_t)number(grant, "max_rate")},
		.uses = (uint64_t)number(grant, "uses"),
		.refusals = (uint64_t)number(grant, "refusals"),
	};

	if (info.limits.lease_ms == UINT64_MAX)
		return -ENOENT;
	return policy_grant_adopt(s->policy, &info, clock_now_ns());
}

/* A parent before its children; those without one are over. Ids ascend but after 2^32 grants. */
static void adopt_grants(struct session *s, const json_t *root, json_t *grants)
{
	const char *key;
	json_t *grant;
	void *next;
	bool again;

	do {
		again = false;
		json_object_foreach_safe(grants, next, key, grant)
		{
			if (is_wanted(root, grant) && adopt_grant(s, grant))
				continue;
			json_object_del(grants, key);
			again = true;
		}
	} while (again && json_object_size(grants));
}

/* ---- guests -------------------------------------------------------------- */

/* Its slots, as far as their grants are there; found by the grants' ports. */
static int adopt_slots(struct machine *m, const json_t *grants, const json_t *guest)
{
	const json_t *list = json_object_get(guest, "generations"), *grant;
	const char *key;

	m->old_slot = calloc(EXO_SLOTS_MAX, sizeof(*m->old_slot));
	m->old_generation = calloc(EXO_SLOTS_MAX, sizeof(*m->old_generation));
	if (!m->old_slot || !m->old_generation)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(list); i++)
		m->old_generation[i] = (uint16_t)json_integer_value(json_array_get(list, i));
	json_object_foreach((json_t *)(uintptr_t)grants, key, grant)
	{
		if (strcmp(string(grant, "guest"), m->name) != 0 || !number(grant, "port") ||
		    m->nold_slots == EXO_SLOTS_MAX)
			continue;
		m->old_slot[m->nold_slots++] = (struct machine_old_slot){
			(uint32_t)number(grant, "id"), (uint32_t)number(grant, "port")};
	}
	return 0;
}

static int set_args(struct machine *m, const json_t *list)
{
	size_t n = json_array_size(list);
	char **args = calloc(n + 1, sizeof(*args));

	if (!args)
		return -ENOMEM;
	for (char **arg = m->args; arg && *arg; arg++)
		free(*arg);
	free(m->args);
	m->args = args;
	for (size_t i = 0; i < n; i++) {
		args[i] = strdup(json_string_value(json_array_get(list, i)));
		if (!args[i])
			return -ENOMEM;
	}
	return 0;
}

/* With its manifest as that is now, if it is still that guest's. */
static struct machine *make_machine(struct session *s, const json_t *guest)
{
	const char *path = string(guest, "manifest"), *name = string(guest, "name");
	const char *given = string(json_object_get(guest, "options"), "name");
	struct manifest *manifest = NULL;
	char why[512] = "";

	if (path && !manifest_load(path, &manifest, why) && given && !strcmp(given, name))
		memcpy(manifest->name, given, strlen(given) + 1);
	if (manifest && strcmp(manifest->name, name) != 0) {
		snprintf(why, sizeof(why), "%s is the manifest of %s now", path, manifest->name);
		manifest_free(manifest);
		manifest = NULL;
	}
	if (manifest) {
		struct machine *m = lifecycle_add(s, manifest, why);

		if (m)
			return m;
	}
	if (path)
		text_error(0, "session: %s: %s", name, why);
	return number(guest, "pid") > 0 ? machine_create(s, name) : NULL;
}

/* What it served; if it does not run any more, its end says so. */
static void adopt_services(struct session *s, const struct machine *m, const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *name = string(one, "service");

		if (!policy_add_service(s->policy, name, m->name, (uint32_t)number(one, "port"),
					json_is_true(json_object_get(one, "seqpacket"))))
			(void)policy_set_ready(s->policy, name, true);
	}
}

static void adopt_guest(struct session *s, const json_t *grants, const json_t *guest)
{
	const char *program = string(guest, "program");
	json_t *options = json_object_get(guest, "options");
	bool runs = number(guest, "pid") > 0;
	struct machine *m = make_machine(s, guest);
	int err = 0;

	if (!m)
		return;
	m->number = (uint64_t)number(guest, "number");
	m->added = json_is_true(json_object_get(guest, "added"));
	m->restarts = (unsigned)number(guest, "restarts");
	if (!runs && !m->added) { /* it was to be started again */
		m->state = MACHINE_BACK_OFF;
		m->restart_at_ns = 1;
		session_wake_at(s, 1);
	}
	if (json_is_object(options))
		m->options = json_incref(options);
	if (program && (runs || m->options)) {
		free(m->program);
		m->program = strdup(program);
		err = m->program ? set_args(m, json_object_get(guest, "args")) : -ENOMEM;
	}
	if (runs) {
		m->pid = (pid_t)number(guest, "pid");
		m->adopted = true;
		m->said_ready = json_is_true(json_object_get(guest, "ready"));
		snprintf(m->label, sizeof(m->label), "%s", string(guest, "label"));
		if (m->manifest)
			adopt_services(s, m, json_object_get(guest, "serves"));
		err = err ? err : adopt_slots(m, grants, guest);
	}
	if (err)
		text_error(0, "session: %s: %s", m->name, strerror(-err));
}

/* ---- the whole ----------------------------------------------------------- */

static int apply(struct session *s, const json_t *root, json_t *grants)
{
	json_t *left = json_copy(grants), *guest;
	size_t i;

	if (!left)
		return -ENOMEM;
	adopt_grants(s, root, left);
	json_decref(left);
	policy_set_next_ids(s->policy, (uint32_t)number(root, "next_grant"),
			    (uint32_t)number(root, "next_conn") + CONNS_UNSAVED);
	json_array_foreach(json_object_get(root, "guests"), i, guest)
	{
		if (!session_find(s, string(guest, "name")))
			adopt_guest(s, grants, guest);
	}
	if ((uint64_t)number(root, "next_number") > s->next_number)
		s->next_number = (uint64_t)number(root, "next_number");
	return 0;
}

int state_load(struct session *s)
{
	struct state *state = state_get(s);
	json_t *root = NULL, *grants = NULL;
	char *text;
	size_t length;
	int err;

	if (!state)
		return -ENOMEM;
	err = read_whole(s->directory_fd, STATE_FILE, &text, &length);
	if (err == -ENOENT) {
		session_changed(s);
		return 0;
	}
	if (!err) {
		root = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
		free(text);
		if (root && state_is_sound(root))
			grants = grants_now(s, root);
	}
	if (grants) {
		state->serial = (uint64_t)number(root, "serial");
		err = apply(s, root, grants);
	} else if (err && err != -EFBIG) {
		return err; /* it may be good: left as it is */
	} else {
		set_aside(s, "damaged");
		err = 0;
	}
	json_decref(grants);
	json_decref(root);
	session_changed(s);
	return err;
}
