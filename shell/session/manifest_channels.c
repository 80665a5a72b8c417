/* Manifests: what a program provides, uses and mounts; see manifest_impl.h. */
#include "manifest_impl.h"

#include <exo/desktop.h>
#include <exo/ring.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull
#define DAY (86400 * 1000 * MS)

void manifest_set_provides(struct parse *p, const char *name, const char *value)
{
	struct manifest *m = p->m;
	char *word[2];
	int n;

	if (!manifest_parse_name(p, "service", name))
		return;
	if (!strcmp(name, EXO_DESK_SERVICE) || !strcmp(name, "control"))
		parse_fail(p, "%s: the service is this computer's own; choose another name", name);
	if (m->nprovides == MANIFEST_LIST_MAX) {
		parse_fail(p, "provides more than %d services", MANIFEST_LIST_MAX);
		return;
	}
	n = manifest_split(p, value, word, 2);
	if (n != 2 || (strcmp(word[1], "stream") && strcmp(word[1], "seqpacket"))) {
		parse_fail(p, "%s: write %s = PORT stream, or PORT seqpacket", name, name);
	} else {
		struct manifest_provides *v = &m->provides[m->nprovides++];
		uint64_t port = 0;

		manifest_parse_number(p, name, word[0], 1, UINT32_MAX - 1, &port);
		strcpy(v->name, name);
		v->port = (uint32_t)port;
		v->seqpacket = !strcmp(word[1], "seqpacket");
		for (struct manifest_provides *o = m->provides; o < v; o++) {
			if (!strcmp(o->name, name))
				parse_fail(p, "%s is provided above already; keep one", name);
			if (o->port == v->port)
				parse_fail(p, "%s: port %u is %s's; choose another", name, v->port,
					   o->name);
		}
	}
	while (n > 0)
		free(word[--n]);
}

static void set_use_option(struct parse *p, struct manifest_uses *u, char *option)
{
	char *value = strchr(option, '=');
	uint64_t n = 0;

	if (value) {
		*value++ = '\0';
		option[strcspn(option, " \t")] = '\0';
		value += strspn(value, " \t");
	}
	if (!value && !strcmp(option, "delegate")) {
		u->rights |= EXO_CAP_GRANT;
	} else if (!value && !strcmp(option, "required")) {
		u->required = true;
	} else if (value && !strcmp(option, "port")) {
		manifest_parse_number(p, "port", value, 2, EXO_SLOT_PORT(0, 0) - 1, &n);
		u->port = (uint32_t)n;
	} else if (value && !strcmp(option, "lease")) {
		manifest_parse_time(p, "lease", value, MS, 3650 * DAY, &n);
		u->limits.lease_ms = n / MS;
	} else if (value && !strcmp(option, "connections")) {
		manifest_parse_number(p, "connections", value, 1, POLICY_CONNS_MAX, &n);
		u->limits.max_conns = (uint32_t)n;
	} else if (value && !strcmp(option, "buffer")) {
		manifest_parse_size(p, "buffer", value, exo_ring_total(EXO_RING_BYTES_MIN),
				    1ull << 40, &n);
		u->limits.max_buffer = n;
	} else if (value && !strcmp(option, "rate")) {
		manifest_parse_size(p, "rate", value, 1, 1ull << 50, &n);
		u->limits.max_rate = n;
	} else {
		parse_fail(p,
			   "no option %.40s; there are delegate, required, port=, lease=, "
			   "connections=, buffer= and rate=",
			   option);
	}
}

static void set_use_options(struct parse *p, struct manifest_uses *u, char *text)
{
	char *next = text, *option;

	while ((option = next) && !p->err) {
		size_t n;

		next = strchr(option, ',');
		if (next)
			*next++ = '\0';
		option += strspn(option, " \t");
		for (n = strlen(option); n && strchr(" \t", option[n - 1]); n--)
			option[n - 1] = '\0';
		if (n || next || option != text)
			set_use_option(p, u, option);
	}
}

void manifest_set_uses(struct parse *p, const char *name, const char *value)
{
	struct manifest *m = p->m;
	struct manifest_uses *u = &m->uses[m->nuses];
	char *text;

	if (!manifest_parse_name(p, "service", name))
		return;
	if (m->nuses == MANIFEST_LIST_MAX) {
		parse_fail(p, "uses more than %d services", MANIFEST_LIST_MAX);
		return;
	}
	*u = (struct manifest_uses){.rights = EXO_CAP_CONNECT};
	strcpy(u->name, name);
	text = manifest_strdup(p, value, strlen(value));
	if (!text)
		return;
	if (*text)
		set_use_options(p, u, text);
	free(text);
	for (struct manifest_uses *o = m->uses; o < u; o++) {
		if (!strcmp(o->name, name))
			parse_fail(p, "%s is used above already; keep one", name);
		if (u->port && o->port == u->port)
			parse_fail(p, "%s: port %u is %s's; choose another", name, u->port,
				   o->name);
	}
	m->nuses++;
}

/* Absolute, without empty, "." and ".." parts; or "/". */
static bool is_mount_path(const char *path)
{
	if (!strcmp(path, "/"))
		return true;
	do {
		size_t n = *path == '/' ? strcspn(path + 1, "/") : 0;

		if (!n || (n <= 2 && strspn(path + 1, ".") >= n))
			return false;
		path += n + 1;
	} while (*path);
	return true;
}

static void set_source(struct parse *p, struct manifest_mount *t, const char *source)
{
	if (strncmp(source, "service:", 8)) {
		t->source = manifest_resolve(p, source);
		return;
	}
	if (!manifest_parse_name(p, "service", source + 8))
		return;
	t->source = manifest_strdup(p, source, strlen(source));
	t->service = manifest_strdup(p, source + 8, strlen(source + 8));
}

void manifest_set_mount(struct parse *p, const char *name, const char *value)
{
	struct manifest *m = p->m;
	struct manifest_mount *t = &m->mount[m->nmounts];
	char *word[2];
	int n;

	if (!is_mount_path(name)) {
		parse_fail(p, "%.60s is no place for a mount; write /path, without . and ..", name);
		return;
	}
	if (m->nmounts == MANIFEST_LIST_MAX) {
		parse_fail(p, "more than %d mounts", MANIFEST_LIST_MAX);
		return;
	}
	n = manifest_split(p, value, word, 2);
	if (n < 1 || !*word[0] || (n == 2 && strcmp(word[1], "ro") && strcmp(word[1], "rw"))) {
		parse_fail(p, "%.60s: write %.60s = service:NAME or FOLDER, and ro if it is so",
			   name, name);
	} else {
		*t = (struct manifest_mount){.read_only = n == 2 && !strcmp(word[1], "ro")};
		t->path = manifest_strdup(p, name, strlen(name));
		set_source(p, t, word[0]);
		m->nmounts++;
	}
	while (n > 0)
		free(word[--n]);
}
