/* Starting a guest through a session, and exo start; see start.h. */
#include "start.h"

#include "commands.h"
#include "common.h"
#include "grants.h"
#include "manifest.h"
#include "search.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- paths ------------------------------------------------------------------------- */

static bool has_suffix(const char *text, const char *suffix)
{
	size_t length = strlen(text), tail = strlen(suffix);

	return length > tail && !strcmp(text + length - tail, suffix);
}

/* Where a file that is open really is. */
static int path_of(int fd, char path[START_PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, START_PATH_MAX - 8);
	if (n <= 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

/* *fd is the caller's. */
static int find_program(const char *program, char path[START_PATH_MAX], int *fd)
{
	int err = search_program(program, fd);

	if (err)
		*fd = -1;
	return err ? err : path_of(*fd, path);
}

int start_find_manifest(const char *program, char path[START_PATH_MAX], int *program_fd)
{
	int fd = -1, err;

	if (program_fd)
		*program_fd = -1;
	if (has_suffix(program, ".exo"))
		return realpath(program, path) ? 0 : -errno;
	err = find_program(program, path, &fd);
	if (!err) {
		strcpy(path + strlen(path) - (has_suffix(path, ".elf") ? 4 : 0), ".exo");
		err = access(path, F_OK) ? -ENOENT : 0;
	}
	if (program_fd)
		*program_fd = fd;
	else if (fd >= 0)
		close(fd);
	return err ? -ENOENT : 0;
}

/* Absolute, whether it is there or not: the session says what is wrong with it. */
static json_t *absolute(const char *name)
{
	char path[PATH_MAX], here[PATH_MAX / 2];

	if (realpath(name, path))
		return json_string(path);
	if (name[0] == '/' || !getcwd(here, sizeof(here)))
		return json_string(name);
	snprintf(path, sizeof(path), "%s/%.*s", here, PATH_MAX / 2 - 2, name);
	return json_string(path);
}

/* ---- the request --------------------------------------------------------------------- */

#define BROKEN "" /* key of a request that cannot be sent */

/* A value of NULL: no memory, or not UTF-8. */
static void set(json_t *request, const char *key, json_t *value)
{
	if (json_object_set_new(request, key, value))
		json_object_set_new(request, BROKEN, json_null());
}

static json_t *strings(char *const *list, unsigned n)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < n; i++) {
		if (json_array_append_new(array, json_string(list[i]))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *disks(const struct guest *g)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < g->ndisks; i++)
		json_array_append_new(
			list, json_pack("{s:o,s:b,s:b}", "path", absolute(g->disk[i].path), "ro",
					g->disk[i].read_only, "direct", g->disk[i].direct));
	return list;
}

/* SOURCE:/PATH[:ro]; a source with a colon in its name is no problem: the last one counts. */
static json_t *mount(const char *option, char why[START_WHY_MAX])
{
	size_t length = strlen(option);
	bool ro = has_suffix(option, ":ro");
	const char *path = NULL;
	char *source;
	json_t *object;

	length -= ro ? 3 : 0;
	for (size_t i = 1; i + 1 < length; i++) {
		if (option[i] == ':' && option[i + 1] == '/')
			path = option + i + 1;
	}
	if (!path) {
		snprintf(why, START_WHY_MAX, "--mount %.100s: write DIR:/path or DIR:/path:ro",
			 option);
		return NULL;
	}
	source = strndup(option, (size_t)(path - 1 - option));
	object = json_pack("{s:o,s:s#,s:b}", "source",
			   source && strncmp(source, "service:", 8) ? absolute(source)
								    : json_string(source),
			   "path", path, (int)(length - (size_t)(path - option)), "ro", ro);
	free(source);
	if (!object)
		snprintf(why, START_WHY_MAX, "--mount: the path is not UTF-8");
	return object;
}

/* SERVICE[,LIMIT[=VALUE]…] */
static json_t *grant(const char *option, char why[START_WHY_MAX])
{
	char *copy = strdup(option), *at = copy, *word = strsep(&at, ",");
	char limit_why[GRANTS_WHY_MAX] = "the name is not UTF-8";
	json_t *object = json_pack("{s:s}", "service", word);
	int err = object ? 0 : -1;

	while (!err && (word = strsep(&at, ","))) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		err = grants_limit(object, word, value ? value : "", limit_why);
	}
	if (err) {
		snprintf(why, START_WHY_MAX, "--grant %.60s: %s", option, limit_why);
		json_decref(object);
	}
	free(copy);
	return err ? NULL : object;
}

/* Adds what makes objects of options. -1 with why. */
static int add_list(json_t *request, const char *key, char *const *options, unsigned n,
		    json_t *(*make)(const char *, char *), char why[START_WHY_MAX])
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++) {
		json_t *object = make(options[i], why);

		if (!object) {
			json_decref(list);
			return -1;
		}
		json_array_append_new(list, object);
	}
	set(request, key, list);
	return 0;
}

static void add_guest(json_t *request, const struct guest *g)
{
	unsigned nargs = 0;

	while (g->args && g->args[0] && g->args[nargs + 1])
		nargs++;
	if (nargs)
		set(request, "args", strings(g->args + 1, nargs));
	if (g->nenv)
		set(request, "env", strings(g->env, g->nenv));
	if (g->ram_bytes)
		set(request, "memory", json_integer((json_int_t)g->ram_bytes));
	if (g->cpus)
		set(request, "cpus", json_integer(g->cpus));
	if (g->ndisks)
		set(request, "disks", disks(g));
	if (g->flags & EXO_VMM_RNG)
		set(request, "rng", json_true());
	if (g->flags & EXO_VMM_PREFAULT)
		set(request, "prefault", json_true());
	if (g->flags & EXO_VMM_HUGEPAGES)
		set(request, "hugepages", json_true());
	if (g->kernel_args)
		set(request, "kernel_args", json_string(g->kernel_args));
	if (g->initrd)
		set(request, "initrd", absolute(g->initrd));
	if (g->display.windows)
		set(request, "display",
		    g->display.width ? json_pack("{s:i,s:i}", "width", (int)g->display.width,
						 "height", (int)g->display.height)
				     : json_object());
}

/* A manifest says which program is run: what was typed has to be that, or the manifest. */
static int check_program(const struct guest *g, const char *manifest, char why[START_WHY_MAX])
{
	char load_why[MANIFEST_WHY_MAX];
	struct manifest *m;
	struct stat typed, named;
	bool same;
	int fd = -1;

	if (has_suffix(g->program, ".exo") || manifest_load(manifest, &m, load_why))
		return 0; /* what is wrong with it is for the session to say */
	same = !search_program(g->program, &fd) && !fstat(fd, &typed) && !stat(m->file, &named) &&
	       typed.st_dev == named.st_dev && typed.st_ino == named.st_ino;
	if (fd >= 0)
		close(fd);
	if (!same)
		snprintf(why, START_WHY_MAX, "%.60s is the manifest of %.100s, not of %.60s",
			 manifest, m->file, g->program);
	manifest_free(m);
	return same ? 0 : -1;
}

json_t *start_request(const struct guest *g, const struct start_extra *x, char why[START_WHY_MAX])
{
	json_t *request = json_pack("{s:s}", "op", "start");
	char path[START_PATH_MAX];
	int fd = -1;

	if (x->manifest && check_program(g, x->manifest, why)) {
		json_decref(request);
		return NULL;
	}
	if (x->manifest)
		set(request, "manifest", absolute(x->manifest));
	else if (find_program(g->program, path, &fd))
		set(request, "program", absolute(g->program));
	else
		set(request, "program", json_string(path));
	if (fd >= 0)
		close(fd);
	if (x->is_named)
		set(request, "name", json_string(g->name));
	add_guest(request, g);
	if ((x->nmounts && add_list(request, "mounts", x->mount, x->nmounts, mount, why)) ||
	    (x->ngrants && add_list(request, "grants", x->grant, x->ngrants, grant, why))) {
		json_decref(request);
		return NULL;
	}
	if (!json_object_get(request, BROKEN))
		return request;
	snprintf(why, START_WHY_MAX, "a name or argument is not UTF-8");
	json_decref(request);
	return NULL;
}

/* ---- exo start -------------------------------------------------------------------------- */

enum {
	OPTION_MANIFEST = 2,
	OPTION_MOUNT,
	OPTION_GRANT,
	OPTION_LABEL,
	OPTION_WAIT,
	OPTION_JSON,
	OPTION_DISPLAY
};

#define LIST_MAX 16

struct starter {
	struct guest guest;
	struct start_extra extra;
	char *mount[LIST_MAX], *grant[LIST_MAX];
	const char *label;
	bool wait, json;
};

static int apply(void *opaque, int id, char *value)
{
	struct starter *s = opaque;
	struct start_extra *x = &s->extra;

	if ((id == OPTION_MOUNT && x->nmounts == LIST_MAX) ||
	    (id == OPTION_GRANT && x->ngrants == LIST_MAX))
		return text_error(CLI_TROUBLE, "start: %s: too many; at most %d", value, LIST_MAX);
	switch (id) {
	case OPTION_MANIFEST:
		x->manifest = value;
		return 0;
	case OPTION_MOUNT:
		s->mount[x->nmounts++] = value;
		return 0;
	case OPTION_GRANT:
		s->grant[x->ngrants++] = value;
		return 0;
	case OPTION_LABEL:
		s->label = value;
		return 0;
	case OPTION_WAIT:
		s->wait = true;
		return 0;
	case OPTION_JSON:
		s->json = true;
		return 0;
	case OPTION_DISPLAY:
		return guest_option_display(&s->guest, value);
	default:
		return guest_option(&s->guest, id, value);
	}
}

static json_t *wait_request(const char *name)
{
	return json_pack("{s:s,s:s,s:s}", "op", "wait", "guest", name, "for", "ready");
}

static int send_start(struct starter *s, json_t *request)
{
	json_t *answer = NULL;
	struct text out = {0};
	struct cli c;
	int err = cli_open(&c, "start");

	if (err) {
		json_decref(request);
		return err;
	}
	err = cli_call(&c, request, 6 * CLIENT_TIMEOUT_NS, &answer);
	if (!err && s->wait)
		err = cli_call(&c, wait_request(cli_text(answer, "guest")), 0, NULL);
	if (err)
		common_fail(&c, "start", c.exit_code ? c.exit_code : err);
	if (err && c.exit_code)
		err = c.exit_code;
	if (!err && s->json) {
		err = common_print_json(answer);
	} else if (!err) {
		text_addf(&out, "%s\n", cli_text(answer, "guest"));
		err = common_print(&out);
	}
	json_decref(answer);
	cli_finish(&c);
	return err;
}

static int start_guest(struct starter *s, char **operands)
{
	char why[START_WHY_MAX], path[START_PATH_MAX];
	json_t *request;

	s->extra.is_named = s->guest.name[0];
	s->extra.mount = s->mount;
	s->extra.grant = s->grant;
	guest_set_program(&s->guest, operands);
	if (!s->extra.manifest) {
		if (!start_find_manifest(operands[0], path, &s->guest.program_fd))
			s->extra.manifest = path;
		else if (s->guest.program_fd < 0)
			return text_error(GUEST_EXIT_NOT_FOUND, "start: %s: not found",
					  operands[0]);
	}
	request = start_request(&s->guest, &s->extra, why);
	if (!request)
		return text_error(CLI_TROUBLE, "start: %s", why);
	if (s->label)
		set(request, "label", json_string(s->label));
	return send_start(s, request);
}

int start_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {GUEST_OPTION_DEFS,
						  {"manifest", 0, true, OPTION_MANIFEST},
						  {"mount", 0, true, OPTION_MOUNT},
						  {"grant", 0, true, OPTION_GRANT},
						  {"label", 0, true, OPTION_LABEL},
						  {"display", 0, false, OPTION_DISPLAY, true},
						  {"wait", 'w', false, OPTION_WAIT},
						  {"json", 0, false, OPTION_JSON},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct starter s = {0};
	char **operands;
	int err;

	guest_init(&s.guest);
	s.guest.cpus = 0; /* not given */
	err = common_parse(argv, options, apply, &s, 1, COMMON_REST,
			   "[OPTIONS] PROGRAM | MANIFEST [ARGUMENTS…]", &operands);
	if (!err)
		err = start_guest(&s, operands);
	guest_finish(&s.guest);
	return common_end(err);
}
