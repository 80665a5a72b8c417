/*
 * Manifests: the file, its lines and what must hold between keys; see manifest.h.
 * inih takes lines apart. It says no line numbers to its handler and drops
 * errors, so the lines are handed to it one by one, checked and counted here.
 */
#include "manifest_impl.h"

#include "text.h"

#include <errno.h>
#include <exo/desktop.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536
#define PATH_SHOWN 80 /* of the path, its end, in messages */

void parse_fail(struct parse *p, const char *format, ...)
{
	size_t length = strlen(p->path);
	char what[165], where[12] = "";
	va_list ap;

	if (p->err)
		return;
	p->err = -EINVAL;
	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	if (p->line && !p->too_late)
		snprintf(where, sizeof(where), "%u:", p->line);
	snprintf(p->why, MANIFEST_WHY_MAX, "%s:%s %s",
		 length > PATH_SHOWN ? p->path + length - PATH_SHOWN : p->path, where, what);
	for (char *c = p->why; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

void parse_no_memory(struct parse *p)
{
	parse_fail(p, "out of memory");
	p->err = -ENOMEM;
}

/* ---- lines --------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void check_section(struct parse *p, const char *line, size_t length)
{
	static const char *const names[] = {"program", "device", "provides",  "uses",
					    "mount",   "limits", "lifecycle", "display"};
	const char *end = memchr(line, ']', length);
	size_t n = end ? (size_t)(end - line - 1) : 0;

	if (!end) {
		parse_fail(p, "a section without ']'; write it as [program]");
		return;
	}
	for (const char *c = end + 1; c < line + length; c++) {
		if (*c == ';' && is_blank(c[-1]))
			break;
		if (!is_blank(*c)) {
			parse_fail(p, "text after a section; begin a new line for it");
			return;
		}
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) != n || memcmp(names[i], line + 1, n))
			continue;
		strcpy(p->section, names[i]);
		if (!strcmp(names[i], "display") && !p->display_line) { /* it is there, so: */
			p->display_line = p->line;
			guest_display_default(&p->m->display);
		}
		return;
	}
	parse_fail(p,
		   "unknown section [%.*s]; there are program, device, display, provides, uses, "
		   "mount, limits and lifecycle",
		   n > 40 ? 40 : (int)n, line + 1);
}

static void check_line(struct parse *p, const char *line, size_t length, size_t room)
{
	const char *equals = memchr(line, '=', length);

	if (!text_is_utf8(line, length))
		parse_fail(p, "not UTF-8; save the file as UTF-8");
	for (size_t i = 0; i < length; i++) {
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			parse_fail(p, "a control character (%#x); take it out",
				   (unsigned)(unsigned char)line[i]);
	}
	if (length > room)
		parse_fail(p, "longer than %zu bytes; args, env and disk may be repeated instead",
			   room);
	if (!length || *line == ';' || *line == '#' || p->err)
		return;
	if (*line == '[')
		check_section(p, line, length);
	else if (!equals || memchr(line, ';', (size_t)(equals - line)))
		parse_fail(p, "not KEY = VALUE; comments begin with # or ;");
	else if (!*p->section)
		parse_fail(p, "a key before the first section; begin with [program]");
	/* inih would take the first of = and : for the end of the key. */
	else if (memchr(line, ':', (size_t)(equals - line)))
		parse_fail(p, "a ':' before the '='; a key has none");
}

/* inih's reader: one line, as fgets. Blanks before it would mean "go on with the last key". */
static char *read_line(char *out, int capacity, void *opaque)
{
	struct parse *p = opaque;
	const char *line = p->text, *end = memchr(line, '\n', p->bytes);
	size_t length = end ? (size_t)(end - line) : p->bytes;

	if (!p->bytes || p->err)
		return NULL;
	p->line++;
	p->text += length + (end != NULL);
	p->bytes -= length + (end != NULL);
	if (p->line == 1 && length >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
		line += 3;
		length -= 3;
	}
	if (length && line[length - 1] == '\r')
		length--;
	while (length && is_blank(*line)) {
		line++;
		length--;
	}
	check_line(p, line, length, (size_t)capacity - 3);
	if (p->err)
		return NULL;
	memcpy(out, line, length);
	memcpy(out + length, "\n", 2);
	return out;
}

/* inih's handler: one key; sections were checked when their line was read. */
static int take_key(void *opaque, const char *section, const char *name, const char *value)
{
	struct parse *p = opaque;

	if (p->err)
		return 0;
	if (!strcmp(p->section, "provides"))
		manifest_set_provides(p, name, value);
	else if (!strcmp(p->section, "uses"))
		manifest_set_uses(p, name, value);
	else if (!strcmp(p->section, "mount"))
		manifest_set_mount(p, name, value);
	else {
		for (const struct key *k = manifest_keys; k->section; k++) {
			unsigned *seen = &p->seen_keys[k - manifest_keys];

			if (strcmp(k->section, p->section) || strcmp(k->name, name))
				continue;
			if (*seen && !k->repeats)
				parse_fail(p, "%s again, it is in line %u already; keep one", name,
					   *seen);
			*seen = p->line;
			if (!p->err)
				k->set(p, k, value);
			return !p->err;
		}
		parse_fail(p, "unknown key %.60s in [%s]; docs/manifest.md lists them", name,
			   p->section);
	}
	return !p->err;
}

/* ---- between keys -------------------------------------------------------------------------- */

/* The manifest's name without its folder and .exo. */
static char *base_of(struct parse *p)
{
	const char *base = strrchr(p->path, '/');
	size_t length;

	base = base ? base + 1 : p->path;
	length = strlen(base);
	if (length > 4 && !strcmp(base + length - 4, ".exo"))
		length -= 4;
	return manifest_strdup(p, base, length);
}

static void fill_defaults(struct parse *p, const char *base)
{
	struct manifest *m = p->m;
	char file[FILENAME_MAX];

	if (!m->name[0]) {
		if (!policy_name_is_valid(base) || !strcmp(base, "host"))
			parse_fail(p, "its file's name is no name for a guest; write name = in "
				      "[program], of letters, digits, - _ .");
		else
			strcpy(m->name, base);
	}
	if (!m->file && !p->err) {
		snprintf(file, sizeof(file), "%s.elf", base);
		m->file = manifest_resolve(p, file);
	}
	if (!m->label[0])
		strcpy(m->label, "untrusted");
	if (!p->ready_set)
		m->ready = m->nprovides ? MANIFEST_READY_NOTIFY : MANIFEST_READY_START;
}

/* Also without a line in [uses]. */
static void use(struct parse *p, const char *service)
{
	struct manifest *m = p->m;

	for (unsigned k = 0; k < m->nuses; k++) {
		if (!strcmp(m->uses[k].name, service))
			return;
	}
	if (m->nuses == MANIFEST_LIST_MAX) {
		parse_fail(p, "uses and mounts more than %d services", MANIFEST_LIST_MAX);
		return;
	}
	m->uses[m->nuses].rights = EXO_CAP_CONNECT;
	strcpy(m->uses[m->nuses++].name, service);
}

/* What is mounted is used; and who has windows talks with the desktop. */
static void use_implied(struct parse *p)
{
	for (unsigned i = 0; i < p->m->nmounts && !p->err; i++) {
		if (p->m->mount[i].service)
			use(p, p->m->mount[i].service);
	}
	if (p->m->display.windows && !p->err)
		use(p, EXO_DESK_SERVICE);
}

static void check_display(struct parse *p)
{
	char why[GUEST_DISPLAY_WHY_MAX];

	if (p->m->display.windows && guest_display_check(&p->m->display, why))
		parse_fail(p, "[display] %s", why);
}

static void check_whole(struct parse *p)
{
	struct manifest *m = p->m;

	p->too_late = true;
	use_implied(p);
	check_display(p);
	for (unsigned i = 0; i < m->nuses; i++) {
		for (unsigned k = 0; k < m->nprovides; k++) {
			if (!strcmp(m->uses[i].name, m->provides[k].name))
				parse_fail(p, "uses %s, which it provides itself; take one out",
					   m->uses[i].name);
		}
	}
	if (m->on_demand && !m->nprovides)
		parse_fail(p, "start = demand, but nobody can ask: it has no [provides]");
	if (p->vsock_line && (m->nuses || m->nprovides || m->nmounts))
		parse_fail(p,
			   "vsock = no (line %u), but uses, provides, mounts and displays need it",
			   p->vsock_line);
	if (m->max_grants && m->window_bytes && m->max_grants > m->window_bytes)
		parse_fail(p, "grants is more than window, where granted memory lies");
	m->vsock |= m->nuses || m->nprovides || m->nmounts;
}

/* ---- files ----------------------------------------------------------------------------------- */

static char *absolute(const char *path)
{
	char *here, *whole = NULL;

	if (*path == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	if (here && asprintf(&whole, "%s/%s", here, path) < 0)
		whole = NULL;
	free(here);
	return whole;
}

static struct manifest *manifest_create(const char *path)
{
	struct manifest *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->path = absolute(path);
	m->args = calloc(MANIFEST_LIST_MAX + 1, sizeof(*m->args));
	m->env = calloc(MANIFEST_LIST_MAX + 1, sizeof(*m->env));
	m->cpus = 1;
	m->colour = 0x808080;
	m->backoff_ns = 100000000ull;
	m->max_restarts = 10;
	m->stop_timeout_ns = 2000000000ull;
	m->start_timeout_ns = 10000000000ull;
	if (m->path && m->args && m->env)
		return m;
	manifest_free(m);
	return NULL;
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->ndisks; i++)
		free(m->disk[i].path);
	for (unsigned i = 0; i < m->nmounts; i++) {
		free(m->mount[i].path);
		free(m->mount[i].source);
		free(m->mount[i].service);
	}
	for (char **s = m->args; s && *s; s++)
		free(*s);
	for (char **s = m->env; s && *s; s++)
		free(*s);
	free(m->args);
	free(m->env);
	free(m->path);
	free(m->file);
	free(m->description);
	free(m);
}

int manifest_parse(const char *text, size_t bytes, const char *path, struct manifest **out,
		   char why[MANIFEST_WHY_MAX])
{
	struct parse p = {.path = path, .text = text, .bytes = bytes, .why = why};
	char *base = NULL;

	*out = NULL;
	p.m = manifest_create(path);
	if (p.m)
		p.folder = strndup(p.m->path, (size_t)(strrchr(p.m->path, '/') - p.m->path));
	if (!p.m || !p.folder) {
		parse_no_memory(&p);
	} else if (ini_parse_stream(read_line, &p, take_key, &p) && !p.err) {
		parse_fail(&p, "not understood; write sections, and KEY = VALUE");
	}
	if (!p.err)
		base = base_of(&p);
	if (!p.err)
		check_whole(&p);
	if (!p.err)
		fill_defaults(&p, base);
	free(base);
	free(p.folder);
	if (p.err)
		manifest_free(p.m);
	else
		*out = p.m;
	return p.err;
}

/* All of it, at most FILE_BYTES_MAX + 1 bytes. The number, or -errno. */
static ssize_t read_file(const char *path, char *buffer)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t length = 0;
	ssize_t n = 1;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st)) {
		n = -errno;
	} else if (S_ISDIR(st.st_mode)) {
		n = -EISDIR;
	} else if (!S_ISREG(st.st_mode)) {
		n = -EINVAL;
	}
	while (n > 0 && length <= FILE_BYTES_MAX) {
		n = read(fd, buffer + length, FILE_BYTES_MAX + 1 - length);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			n = -errno;
		else
			length += (size_t)n;
	}
	close(fd);
	return n < 0 ? n : (ssize_t)length;
}

int manifest_load(const char *path, struct manifest **m, char why[MANIFEST_WHY_MAX])
{
	struct parse p = {.path = path, .why = why};
	char *buffer = malloc(FILE_BYTES_MAX + 1);
	ssize_t n;
	int err;

	*m = NULL;
	if (!buffer) {
		parse_no_memory(&p);
		return p.err;
	}
	n = read_file(path, buffer);
	if (n == -EINVAL)
		parse_fail(&p, "not a file; a manifest is a text file");
	else if (n < 0)
		parse_fail(&p, "can't be read: %s", strerror((int)-n));
	else if (n > FILE_BYTES_MAX)
		parse_fail(&p, "longer than 64 KiB, which no manifest is");
	err = n < 0 ? (int)n : p.err ? p.err : manifest_parse(buffer, (size_t)n, path, m, why);
	free(buffer);
	return err;
}

int manifest_beside(const char *program, struct manifest **m, char why[MANIFEST_WHY_MAX])
{
	size_t length = strlen(program);
	char *path;
	int err;

	*m = NULL;
	if (length > 4 && !strcmp(program + length - 4, ".elf"))
		length -= 4;
	path = malloc(length + sizeof(".exo"));
	if (!path)
		return -ENOMEM;
	memcpy(path, program, length);
	strcpy(path + length, ".exo");
	err = manifest_load(path, m, why);
	free(path);
	return err;
}
