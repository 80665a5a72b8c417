/* Operations that make guests known and start them: start, add; docs/control.md. */
#include "control_impl.h"

#include "lifecycle.h"

#include <errno.h>
#include <exo/desktop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- options, at each start ---------------------------------------------------------- */

static const char *string_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

static int refuse(char why[512], const char *message)
{
	snprintf(why, 512, "%s", message);
	return -EINVAL;
}

static int apply_sizes(struct guest *g, const json_t *o, char why[512])
{
	const json_t *memory = json_object_get(o, "memory"), *cpus = json_object_get(o, "cpus");
	uint64_t bytes = (uint64_t)json_integer_value(memory);

	if (memory && (bytes < GUEST_RAM_MIN || bytes > GUEST_RAM_MAX || bytes % 4096))
		return refuse(why, "memory: must be from 4M to 1T and a multiple of 4K");
	if (memory)
		g->ram_bytes = bytes;
	if (cpus && (json_integer_value(cpus) < 1 || json_integer_value(cpus) > EXO_VMM_CPUS_MAX))
		return refuse(why, "cpus: must be from 1 to 16");
	if (cpus)
		g->cpus = (uint32_t)json_integer_value(cpus);
	return 0;
}

static int apply_disks(struct guest *g, const json_t *o, char why[512])
{
	const json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(o, "disks"), i, disk)
	{
		if (g->ndisks == EXO_VMM_DISKS_MAX)
			return refuse(why, "disks: a guest has at most 8");
		g->disk[g->ndisks++] =
			(struct guest_disk){.path = string_of(disk, "path"),
					    .read_only = json_is_true(json_object_get(disk, "ro")),
					    .direct = json_is_true(json_object_get(disk, "direct")),
					    .fd = -1};
	}
	return 0;
}

static int apply_env(struct guest *g, const json_t *o, char why[512])
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(o, "env"), i, item)
	{
		const char *line = json_string_value(item);

		if (*line == '=' || !strchr(line, '='))
			return refuse(why, "env: each must be NAME=value");
		if (guest_add_env(g, (char *)(uintptr_t)line)) /* it is only read */
			return -ENOMEM;
	}
	return 0;
}

/* Only streams that came with `start` can be terminals, and only at the first start. */
static void apply_tty(struct machine *m, const json_t *o)
{
	static const char *const names[3] = {"in", "out", "err"};
	const json_t *tty = json_object_get(o, "tty");

	if (!tty || m->stdio[0] < 0)
		return;
	for (int i = 0; i < 3; i++)
		m->guest.stream[i].terminal = json_is_true(json_object_get(tty, names[i]));
	m->guest.tty_rows = (uint32_t)json_integer_value(json_object_get(tty, "rows"));
	m->guest.tty_cols = (uint32_t)json_integer_value(json_object_get(tty, "cols"));
}

int control_apply_options(struct machine *m, char why[512])
{
	struct guest *g = &m->guest;
	const json_t *o = m->options;
	const char *kernel_args = string_of(o, "kernel_args");
	int err;

	if (!o)
		return 0;
	g->flags |= (json_is_true(json_object_get(o, "rng")) ? EXO_VMM_RNG : 0) |
		    (json_is_true(json_object_get(o, "prefault")) ? EXO_VMM_PREFAULT : 0) |
		    (json_is_true(json_object_get(o, "hugepages")) ? EXO_VMM_HUGEPAGES : 0);
	if (kernel_args && strlen(kernel_args) >= EXO_CMDLINE_MAX)
		return refuse(why, "kernel_args: too long");
	g->kernel_args = kernel_args;
	g->initrd = string_of(o, "initrd");
	apply_tty(m, o);
	err = apply_sizes(g, o, why);
	if (!err)
		err = apply_disks(g, o, why);
	return err ? err : apply_env(g, o, why);
}

/* ---- names ------------------------------------------------------------------------------- */

/* A name made of a path: "/x/my prog.elf" -> "my-prog". */
static void name_of_program(const char *path, char name[POLICY_NAME_MAX])
{
	const char *base = strrchr(path, '/') + 1;
	size_t length = strlen(base);

	if (length > 4 && !strcmp(base + length - 4, ".elf"))
		length -= 4;
	if (length > POLICY_NAME_MAX - 8) /* room for a number */
		length = POLICY_NAME_MAX - 8;
	snprintf(name, POLICY_NAME_MAX, "%.*s", (int)length, base);
	for (char *c = name; *c; c++) {
		char one[2] = {*c, '\0'};

		if (!policy_name_is_valid(one))
			*c = '-';
	}
	if (!policy_name_is_valid(name))
		snprintf(name, POLICY_NAME_MAX, "guest");
}

/* May a guest without manifest have it? One that is over and had none either makes room. */
static bool name_is_free(struct session *s, const char *name)
{
	struct machine *m = session_find(s, name);

	return !m || (lifecycle_is_over(m) && !machine_runs(m) && !m->manifest);
}

static bool choose_name(struct session *s, const char *wanted, const char *program,
			char name[POLICY_NAME_MAX])
{
	char base[POLICY_NAME_MAX];

	if (wanted) {
		snprintf(name, POLICY_NAME_MAX, "%s", wanted);
		return name_is_free(s, name);
	}
	name_of_program(program, base);
	snprintf(name, POLICY_NAME_MAX, "%s", base);
	for (unsigned n = 2; !name_is_free(s, name); n++)
		snprintf(name, POLICY_NAME_MAX, "%.56s-%u", base, n);
	return true;
}

/* ---- making a machine -------------------------------------------------------------------- */

/* NULL: the request was answered. */
static struct manifest *load_manifest(struct request *r)
{
	char why[MANIFEST_WHY_MAX] = "";
	const char *name = request_string(r, "name");
	struct manifest *manifest;
	int err = manifest_load(request_string(r, "manifest"), &manifest, why);

	if (err) {
		request_fail(r, err == -ENOENT ? CONTROL_NOT_FOUND : CONTROL_INVALID, "%s", why);
		return NULL;
	}
	if (name)
		snprintf(manifest->name, sizeof(manifest->name), "%s", name);
	return manifest;
}

static enum control_error code_of(int err)
{
	switch (err) {
	case EEXIST:
		return CONTROL_EXISTS;
	case ENOSPC:
		return CONTROL_LIMIT;
	case EBUSY:
		return CONTROL_BUSY;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return CONTROL_INTERNAL;
	default:
		return CONTROL_INVALID;
	}
}

static struct machine *machine_of_manifest(struct request *r, bool added)
{
	struct manifest *manifest = load_manifest(r);
	struct machine *old, *m;
	char why[512] = "";

	if (!manifest)
		return NULL;
	old = session_find(request_session(r), manifest->name);
	added |= old && old->added;
	m = lifecycle_add(request_session(r), manifest, why);
	if (m)
		m->added = added;
	else
		request_fail(r, code_of(errno), "%s", why);
	return m;
}

static struct machine *machine_of_program(struct request *r)
{
	struct session *s = request_session(r);
	const char *program = request_string(r, "program");
	char name[POLICY_NAME_MAX];
	struct machine *m;

	if (!choose_name(s, request_string(r, "name"), program, name)) {
		request_fail(r, CONTROL_EXISTS, "%s: the name is taken; choose another with name",
			     name);
		return NULL;
	}
	m = session_find(s, name);
	if (m)
		lifecycle_remove(m);
	m = machine_create(s, name);
	if (!m) {
		request_fail(r, code_of(errno), "%s: %s", name, strerror(errno));
		return NULL;
	}
	m->program = strdup(program);
	return m;
}

/* Arguments of the request in place of the manifest's. 0 or -ENOMEM. */
static int set_args(struct machine *m, const json_t *list)
{
	size_t n = json_array_size(list);
	char **args;

	if (!m->program)
		return -ENOMEM;
	if (m->args && !list)
		return 0;
	args = calloc(n + 2, sizeof(*args));
	if (!args || !(args[0] = strdup(m->program))) {
		free(args);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		args[i + 1] = strdup(json_string_value(json_array_get(list, i)));
	for (char **at = m->args; at && *at; at++)
		free(*at);
	free(m->args);
	m->args = args;
	for (size_t i = 0; i < n; i++) {
		if (!args[i + 1])
			return -ENOMEM;
	}
	return 0;
}

static int add_grants(struct machine *m, const json_t *grants, char why[512])
{
	const json_t *grant;
	size_t i;

	json_array_foreach(grants, i, grant)
	{
		int64_t id = ops_grant(m->session, m->name, grant);

		if (id >= 0 || id == -EEXIST) /* it has that already */
			continue;
		snprintf(why, 512, "grants: %s: %s", string_of(grant, "service"),
			 strerror((int)-id));
		return (int)id;
	}
	return 0;
}

/* Who has windows talks with the desktop: a grant like those that came along. 0 or -ENOMEM. */
static int want_desktop(json_t *body)
{
	json_t *grants = json_object_get(body, "grants");

	if (!json_object_get(body, "display"))
		return 0;
	if (!grants) {
		grants = json_array();
		if (json_object_set_new(body, "grants", grants))
			return -ENOMEM;
	}
	return json_array_append_new(grants, json_pack("{s:s}", "service", EXO_DESK_SERVICE))
		       ? -ENOMEM
		       : 0;
}

/* Gives the machine what came with the request. 0 or -errno with why. */
static int equip(struct request *r, struct machine *m, char why[512])
{
	const char *label = request_string(r, "label");
	int err = set_args(m, json_object_get(r->body, "args"));

	if (err) {
		snprintf(why, 512, "out of memory");
		return err;
	}
	if (want_desktop(r->body)) {
		snprintf(why, 512, "out of memory");
		return -ENOMEM;
	}
	m->options = json_incref(r->body);
	if (label)
		snprintf(m->label, sizeof(m->label), "%s", label);
	else if (!m->manifest)
		snprintf(m->label, sizeof(m->label), "untrusted");
	for (unsigned i = 0; i < r->nfds; i++) {
		m->stdio[i] = r->fd[i];
		r->fd[i] = -1;
	}
	return add_grants(m, json_object_get(r->body, "grants"), why);
}

static void op_start(struct request *r)
{
	const char *label = request_string(r, "label");
	struct machine *m;
	char why[512] = "";
	int err;

	if (request_has(r, "program") == request_has(r, "manifest"))
		return request_fail(r, CONTROL_BAD_REQUEST, "start: give program or manifest");
	if (r->nfds && r->nfds != 3)
		return request_fail(r, CONTROL_BAD_REQUEST, "fds: must be 0 or 3");
	if (label && strlen(label) >= POLICY_LABEL_MAX)
		return request_fail(r, CONTROL_BAD_REQUEST, "label: longer than 31 bytes");
	m = request_has(r, "manifest") ? machine_of_manifest(r, false) : machine_of_program(r);
	if (!m)
		return;
	err = equip(r, m, why);
	if (!err)
		err = lifecycle_start(m, why);
	if (err && err != -EINPROGRESS) {
		request_fail_with(r, code_of(-err),
				  json_pack("{s:i}", "exit_code", lifecycle_exit_code(err)), why);
		if (!m->added)
			lifecycle_remove(m);
		return;
	}
	if (request_bool(r, "attach"))
		m->owner = r->client;
	request_ok(r, json_pack("{s:s, s:I}", "guest", m->name, "number", (json_int_t)m->number));
}

static void op_add(struct request *r)
{
	struct machine *m = machine_of_manifest(r, true);

	if (m)
		request_ok(r, json_pack("{s:s, s:I}", "guest", m->name, "number",
					(json_int_t)m->number));
}

/* ---- table ----------------------------------------------------------------------------------- */

static const struct field disk_fields[] = {{"path", FIELD_PATH, true, NULL},
					   {"ro", FIELD_BOOL, false, NULL},
					   {"direct", FIELD_BOOL, false, NULL},
					   {NULL}};
static const struct field mount_fields[] = {{"source", FIELD_STRING, true, NULL},
					    {"path", FIELD_PATH, true, NULL},
					    {"ro", FIELD_BOOL, false, NULL},
					    {NULL}};
static const struct field tty_fields[] = {
	{"rows", FIELD_U32, false, NULL}, {"cols", FIELD_U32, false, NULL},
	{"in", FIELD_BOOL, false, NULL},  {"out", FIELD_BOOL, false, NULL},
	{"err", FIELD_BOOL, false, NULL}, {NULL}};

static const struct field start_fields[] = {{"program", FIELD_PATH, false, NULL},
					    {"manifest", FIELD_PATH, false, NULL},
					    {"name", FIELD_NAME, false, NULL},
					    {"args", FIELD_STRINGS, false, NULL},
					    {"env", FIELD_STRINGS, false, NULL},
					    {"memory", FIELD_U63, false, NULL},
					    {"cpus", FIELD_U32, false, NULL},
					    {"disks", FIELD_OBJECTS, false, disk_fields},
					    {"mounts", FIELD_OBJECTS, false, mount_fields},
					    {"rng", FIELD_BOOL, false, NULL},
					    {"prefault", FIELD_BOOL, false, NULL},
					    {"hugepages", FIELD_BOOL, false, NULL},
					    {"kernel_args", FIELD_STRING, false, NULL},
					    {"initrd", FIELD_PATH, false, NULL},
					    {"grants", FIELD_OBJECTS, false, ops_grant_fields + 1},
					    {"label", FIELD_STRING, false, NULL},
					    {"attach", FIELD_BOOL, false, NULL},
					    {"tty", FIELD_OBJECT, false, tty_fields},
					    {"display", FIELD_OBJECT, false, ops_display_fields},
					    {NULL}};
static const struct field add_fields[] = {{"manifest", FIELD_PATH, true, NULL}, {NULL}};

const struct op ops_start[] = {
	{"start", start_fields, op_start, true},
	{"add", add_fields, op_add, false},
	{NULL},
};
