/* Manifests: what may stand behind the '=' of each key; see docs/manifest.md. */
#include "manifest_impl.h"

#include "guest.h"
#include "opts.h"

#include <exo/ring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define SECOND (1000 * MS)
#define DAY (86400 * SECOND)
#define WINDOW_UNIT (2ull << 20)
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

char *manifest_strdup(struct parse *p, const char *s, size_t length)
{
	char *copy = strndup(s, length);

	if (!copy)
		parse_no_memory(p);
	return copy;
}

char *manifest_resolve(struct parse *p, const char *path)
{
	char *whole;

	if (*path == '/')
		return manifest_strdup(p, path, strlen(path));
	while (!strncmp(path, "./", 2))
		path += 2;
	if (asprintf(&whole, "%s/%s", p->folder, path) >= 0)
		return whole;
	parse_no_memory(p);
	return NULL;
}

/* ---- words ---------------------------------------------------------------------------------- */

/* Unquotes one word at *at into out; false: a quote does not end. */
static bool take_word(const char **at, char *out)
{
	const char *s = *at;
	char quote = 0;

	for (; *s && (quote || (*s != ' ' && *s != '\t')); s++) {
		if (quote ? *s == quote : *s == '"' || *s == '\'')
			quote = quote ? 0 : *s;
		else if (*s == '\\' && quote != '\'' && s[1])
			*out++ = *++s;
		else
			*out++ = *s;
	}
	*out = '\0';
	*at = s;
	return !quote;
}

int manifest_split(struct parse *p, const char *value, char **word, unsigned most)
{
	unsigned n = 0;

	for (;;) {
		char *out;

		value += strspn(value, " \t");
		if (!*value || p->err)
			break;
		if (n == most) {
			parse_fail(p, "too many words; take some out");
			break;
		}
		out = manifest_strdup(p, value, strlen(value));
		if (!out)
			break;
		if (!take_word(&value, out))
			parse_fail(p, "a quote that does not end; close it in the same line");
		word[n++] = out;
	}
	if (!p->err)
		return (int)n;
	while (n) {
		free(word[--n]);
		word[n] = NULL;
	}
	return -1;
}

/* ---- kinds of values ----------------------------------------------------- */

bool manifest_parse_size(struct parse *p, const char *name, const char *value, uint64_t low,
			 uint64_t high, uint64_t *bytes)
{
	int err = opts_parse_size(value, bytes);

	if (err == -EINVAL)
		parse_fail(p, "%s: %.60s is no size; write a number and K, M or G, as 64M", name,
			   value);
	else if (err || *bytes < low || *bytes > high)
		parse_fail(p, "%s: %.60s is too %s; from %llu to %llu bytes", name, value,
			   !err && *bytes < low ? "small" : "much", (unsigned long long)low,
			   (unsigned long long)high);
	return !p->err;
}

bool manifest_parse_time(struct parse *p, const char *name, const char *value, uint64_t low,
			 uint64_t high, uint64_t *ns)
{
	int err = opts_parse_duration(value, ns);

	if (err == -EINVAL)
		parse_fail(p, "%s: %.60s is no time; write it as 500ms, 10s, 2m or 1h", name,
			   value);
	else if (err || *ns < low || *ns > high)
		parse_fail(p, "%s: %.60s is too %s; from %llums to %llus", name, value,
			   !err && *ns < low ? "short" : "long", (unsigned long long)(low / MS),
			   (unsigned long long)(high / SECOND));
	return !p->err;
}

bool manifest_parse_number(struct parse *p, const char *name, const char *value, uint64_t low,
			   uint64_t high, uint64_t *number)
{
	if (opts_parse_number(value, low, high, number))
		parse_fail(p, "%s: %.60s is no number from %llu to %llu", name, value,
			   (unsigned long long)low, (unsigned long long)high);
	return !p->err;
}

bool manifest_parse_name(struct parse *p, const char *what, const char *value)
{
	if (!policy_name_is_valid(value))
		parse_fail(p, "%.60s is no name of a %s; use 1 to %d letters, digits, - _ .", value,
			   what, POLICY_NAME_MAX - 1);
	return !p->err;
}

static void *field(struct parse *p, const struct key *k)
{
	return (char *)p->m + k->offset;
}

static void set_size(struct parse *p, const struct key *k, const char *value)
{
	uint64_t bytes;

	if (!manifest_parse_size(p, k->name, value, k->low, k->high, &bytes))
		return;
	if (k->offset == offsetof(struct manifest, memory_bytes) && bytes % 4096)
		parse_fail(p, "memory: %.60s is no multiple of 4K", value);
	if (k->offset == offsetof(struct manifest, window_bytes) && bytes % WINDOW_UNIT)
		parse_fail(p, "window: %.60s is no multiple of 2M", value);
	if (k->offset == offsetof(struct manifest, display.picture_bytes) && bytes % WINDOW_UNIT &&
	    bytes != k->low)
		parse_fail(p, "memory: %.60s is neither 1M nor a multiple of 2M", value);
	memcpy(field(p, k), &bytes, sizeof(bytes));
}

static void set_time(struct parse *p, const struct key *k, const char *value)
{
	uint64_t ns;

	if (manifest_parse_time(p, k->name, value, k->low, k->high, &ns))
		memcpy(field(p, k), &ns, sizeof(ns));
}

/* Of a field of 32 bits. */
static void set_number(struct parse *p, const struct key *k, const char *value)
{
	uint64_t number;
	uint32_t small;

	if (!manifest_parse_number(p, k->name, value, k->low, k->high, &number))
		return;
	small = (uint32_t)number;
	memcpy(field(p, k), &small, sizeof(small));
}

/* The word's place among k->words, -1 with the error said. */
static int choose(struct parse *p, const struct key *k, const char *value)
{
	size_t length = strlen(value);
	const char *w = k->words;

	for (int i = 0; *w; i++) {
		size_t n = strcspn(w, " ");

		if (n == length && !memcmp(w, value, n))
			return i;
		w += n + strspn(w + n, " ");
	}
	parse_fail(p, "%s: %.60s is none of: %s", k->name, value, k->words);
	return -1;
}

static void set_yes_no(struct parse *p, const struct key *k, const char *value)
{
	int i = choose(p, k, value);

	*(bool *)field(p, k) = i == 1;
	if (!i && k->offset == offsetof(struct manifest, vsock))
		p->vsock_line = p->line;
}

static void set_ready(struct parse *p, const struct key *k, const char *value)
{
	p->ready_set = true;
	p->m->ready = choose(p, k, value) == 1 ? MANIFEST_READY_START : MANIFEST_READY_NOTIFY;
}

static void set_restart(struct parse *p, const struct key *k, const char *value)
{
	static const enum manifest_restart kinds[] = {
		MANIFEST_RESTART_NO, MANIFEST_RESTART_ON_FAILURE, MANIFEST_RESTART_ALWAYS};
	int i = choose(p, k, value);

	p->m->restart = kinds[i < 0 ? 0 : i];
}

static void set_start(struct parse *p, const struct key *k, const char *value)
{
	p->m->on_demand = choose(p, k, value) == 1;
}

/* ---- [program], [device]
 * --------------------------------------------------------------------------- */

static void set_file(struct parse *p, const struct key *k, const char *value)
{
	if (!*value)
		parse_fail(p, "file: no name of a file");
	else
		p->m->file = manifest_resolve(p, value);
}

static void set_name(struct parse *p, const struct key *k, const char *value)
{
	if (!manifest_parse_name(p, "guest", value))
		return;
	if (!strcmp(value, "host"))
		parse_fail(p, "name: host means the programs outside; choose another");
	strcpy(p->m->name, value);
}

static void set_args(struct parse *p, const struct key *k, const char *value)
{
	int n = manifest_split(p, value, p->m->args + p->nargs, MANIFEST_LIST_MAX - p->nargs);

	if (n > 0)
		p->nargs += (unsigned)n;
}

static void set_env(struct parse *p, const struct key *k, const char *value)
{
	size_t n = strspn(value, LETTERS DIGITS "_");

	if (!n || value[n] != '=' || strchr(DIGITS, *value)) {
		parse_fail(p, "env: %.60s is not NAME=value; names have letters, digits and _",
			   value);
		return;
	}
	if (!strncmp(value, "EXO_SLOT_", 9) || !strncmp(value, "EXO_NAME=", 9) ||
	    !strncmp(value, "EXO_MOUNTS=", 11))
		parse_fail(p, "env: %.*s is set by the session; choose another", (int)n, value);
	for (unsigned i = 0; i < p->nenv; i++) {
		if (!strncmp(p->m->env[i], value, n + 1))
			parse_fail(p, "env: %.*s again; keep one", n > 60 ? 60 : (int)n, value);
	}
	if (p->nenv == MANIFEST_LIST_MAX)
		parse_fail(p, "env: more than %d; take some out", MANIFEST_LIST_MAX);
	if (!p->err)
		p->m->env[p->nenv++] = manifest_strdup(p, value, strlen(value));
}

static void set_label(struct parse *p, const struct key *k, const char *value)
{
	size_t n = strlen(value);

	if (!n || n >= POLICY_LABEL_MAX || strspn(value, LETTERS DIGITS "-_.") != n)
		parse_fail(p, "label: %.60s; use 1 to %d letters, digits, - _ .", value,
			   POLICY_LABEL_MAX - 1);
	else
		strcpy(p->m->label, value);
}

static void set_colour(struct parse *p, const struct key *k, const char *value)
{
	static const struct {
		const char *name;
		uint32_t rgb;
	} names[] = {{"red", 0xcc3333},   {"orange", 0xe08020}, {"yellow", 0xd8c020},
		     {"green", 0x30a040}, {"blue", 0x4060c0},   {"purple", 0x8040a0},
		     {"gray", 0x808080},  {"black", 0x202020}};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i].name, value)) {
			p->m->colour = names[i].rgb;
			return;
		}
	}
	if (*value != '#' || strlen(value) != 7 || strspn(value + 1, DIGITS "abcdefABCDEF") != 6)
		parse_fail(p,
			   "colour: %.60s; write #rrggbb, or red, orange, yellow, green, blue, "
			   "purple, gray or black",
			   value);
	else
		p->m->colour = (uint32_t)strtoul(value + 1, NULL, 16);
}

static void set_description(struct parse *p, const struct key *k, const char *value)
{
	p->m->description = manifest_strdup(p, value, strlen(value));
}

/* As --disk: FILE[:ro][:direct], FILE:rw for a file whose name ends so. */
static void set_disk(struct parse *p, const struct key *k, const char *value)
{
	struct manifest_disk *d = &p->m->disk[p->m->ndisks];
	char *path, *colon;

	if (p->m->ndisks == EXO_VMM_DISKS_MAX) {
		parse_fail(p, "disk: more than %d; a guest has no more", EXO_VMM_DISKS_MAX);
		return;
	}
	path = manifest_resolve(p, value);
	if (!path)
		return;
	*d = (struct manifest_disk){.path = path};
	while ((colon = strrchr(path, ':'))) {
		bool is_last = !strcmp(colon, ":rw");

		if (!strcmp(colon, ":ro"))
			d->read_only = true;
		else if (!strcmp(colon, ":direct"))
			d->direct = true;
		else if (!is_last)
			break;
		*colon = '\0';
		if (is_last)
			break;
	}
	p->m->ndisks++;
	if (!*value || path[strlen(path) - 1] == '/')
		parse_fail(p, "disk: no name of a file; write disk = FILE, FILE:ro or FILE:direct");
}

/* ---- [display]
 * ------------------------------------------------------------------------------------ */

static void set_display_size(struct parse *p, const struct key *k, const char *value)
{
	struct guest_display *d = &p->m->display;

	if (!guest_display_size(value, &d->width, &d->height))
		parse_fail(p, "size: %.60s; write WIDTHxHEIGHT, from 1x1 to %ux%u", value,
			   EXO_DPY_SIZE_MAX, EXO_DPY_SIZE_MAX);
}

/* Words in place of those that were there; `bit_of` knows them. */
static void set_devices(struct parse *p, const char *value, uint32_t (*bit_of)(const char *word),
			uint32_t all, const char *choice)
{
	uint32_t *inputs = &p->m->display.inputs;
	char *word[4];
	int n = manifest_split(p, value, word, 4);

	*inputs &= ~all;
	for (int i = 0; i < n; i++) {
		uint32_t bit = bit_of(word[i]);

		if (!bit)
			parse_fail(p, "%.60s is none of: %s", word[i], choice);
		*inputs |= bit;
		free(word[i]);
	}
}

static void set_input(struct parse *p, const struct key *k, const char *value)
{
	set_devices(p, value, guest_display_input,
		    EXO_DPY_HAS_KEYBOARD | EXO_DPY_HAS_TABLET | EXO_DPY_HAS_MOUSE |
			    EXO_DPY_HAS_TOUCH,
		    k->words);
}

static void set_sound(struct parse *p, const struct key *k, const char *value)
{
	set_devices(p, value, guest_display_sound, EXO_DPY_HAS_PLAYBACK | EXO_DPY_HAS_CAPTURE,
		    k->words);
}

/* ---- the table
 * ------------------------------------------------------------------------------------------ */

#define AT(member) offsetof(struct manifest, member)

const struct key manifest_keys[] = {
	{"program", "file", set_file},
	{"program", "name", set_name},
	{"program", "args", set_args, .repeats = true},
	{"program", "env", set_env, .repeats = true},
	{"program", "memory", set_size, AT(memory_bytes), GUEST_RAM_MIN, GUEST_RAM_MAX},
	{"program", "cpus", set_number, AT(cpus), 1, EXO_VMM_CPUS_MAX},
	{"program", "label", set_label},
	{"program", "colour", set_colour},
	{"program", "description", set_description},
	{"device", "rng", set_yes_no, AT(rng), .words = "no yes"},
	{"device", "vsock", set_yes_no, AT(vsock), .words = "no yes"},
	{"device", "disk", set_disk, .repeats = true},
	{"display", "size", set_display_size},
	{"display", "windows", set_number, AT(display.windows), 1, EXO_DPY_SCANOUTS_MAX},
	{"display", "memory", set_size, AT(display.picture_bytes), EXO_DPY_PICTURE_BYTES_MIN,
	 EXO_DPY_PICTURE_BYTES_MAX},
	{"display", "input", set_input, .words = "keyboard tablet mouse touch"},
	{"display", "sound", set_sound, .words = "playback capture"},
	{"limits", "connections", set_number, AT(max_conns), 1, POLICY_CONNS_MAX},
	{"limits", "buffer", set_size, AT(max_buffer), 3 * EXO_RING_BYTES_MIN, 1ull << 40},
	{"limits", "grants", set_size, AT(max_grants), 4096, 1ull << 36},
	{"limits", "window", set_size, AT(window_bytes), WINDOW_UNIT, 1ull << 36},
	{"lifecycle", "ready", set_ready, .words = "notify start"},
	{"lifecycle", "start", set_start, .words = "asked demand"},
	{"lifecycle", "restart", set_restart, .words = "no on-failure always"},
	{"lifecycle", "backoff", set_time, AT(backoff_ns), MS, 10 * SECOND},
	{"lifecycle", "restarts", set_number, AT(max_restarts), 0, 1000},
	{"lifecycle", "stop-timeout", set_time, AT(stop_timeout_ns), 0, 3600 * SECOND},
	{"lifecycle", "watchdog", set_time, AT(watchdog_ns), 100 * MS, DAY},
	{"lifecycle", "start-timeout", set_time, AT(start_timeout_ns), 10 * MS, DAY},
	{NULL},
};
