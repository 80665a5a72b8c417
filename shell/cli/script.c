/* exo script: files, blocks, variables, TAP; see script.h. */
#include "script.h"

#include "commands.h"
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define DEPTH_MAX 8 /* of repeat blocks */
#define REPEAT_MAX 100000

struct lines {
	char *text, **line;
	unsigned count;
};

struct block {
	unsigned first, turn, turns;
};

struct runner {
	unsigned points, failed;
	uint64_t timeout_ns;
	struct script_variable *defined;
};

/* ---- what commands use ------------------------------------------------------------------ */

int script_fail(struct script *s, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(s->why, sizeof(s->why), format, ap);
	va_end(ap);
	text_make_printable(s->why);
	return -1;
}

static void set_variable(struct script_variable **list, const char *name, const char *value)
{
	struct script_variable *v = *list;

	while (v && strcmp(v->name, name) != 0)
		v = v->next;
	if (!v) {
		v = calloc(1, sizeof(*v));
		v->name = strdup(name);
		v->next = *list;
		*list = v;
	}
	free(v->value);
	v->value = strdup(value);
}

static void free_variables(struct script_variable *v)
{
	for (struct script_variable *next; v; v = next) {
		next = v->next;
		free(v->name);
		free(v->value);
		free(v);
	}
}

void script_set(struct script *s, const char *name, const char *value)
{
	set_variable(&s->variables, name, value);
}

static const char *variable(void *opaque, const char *name)
{
	const struct script *s = opaque;

	for (const struct script_variable *v = s->variables; v; v = v->next) {
		if (!strcmp(v->name, name))
			return v->value;
	}
	return getenv(name);
}

int script_duration(struct script *s, const char *word, uint64_t *ns)
{
	if (!opts_parse_duration(word, ns))
		return 0;
	return script_fail(s, "%.80s: not a duration; write a number and ms, s, m or h", word);
}

/* ---- one command -------------------------------------------------------------------------- */

static int run_set(struct script *s, struct script_line *l)
{
	script_set(s, l->word[1], l->word[2]);
	return 0;
}

static int run_timeout(struct script *s, struct script_line *l)
{
	return script_duration(s, l->word[1], &s->timeout_ns);
}

static int run_sleep(struct script *s, struct script_line *l)
{
	uint64_t ns;

	if (script_duration(s, l->word[1], &ns))
		return -1;
	usleep((useconds_t)(ns / 1000));
	return 0;
}

static const struct script_command *find_command(const char *name);

/* A view of the line's words from `first` on; they stay the line's. */
static int check_words(const struct script_line *l, unsigned first, char why[SCRIPT_WHY_MAX])
{
	const char *name = l->nwords > first ? l->word[first] : "";
	const struct script_command *c = find_command(name);
	unsigned n = l->nwords - first - 1;

	if (!*name || !c)
		snprintf(why, SCRIPT_WHY_MAX, "no command named %.80s", name);
	else if (n < c->least || n > c->most)
		snprintf(why, SCRIPT_WHY_MAX, "write: %s %s", name, c->usage);
	else
		return 0;
	return -1;
}

/* assert-fails ["TEXT"] COMMAND…: it fails, with TEXT in what it says. */
static int run_assert_fails(struct script *s, struct script_line *l)
{
	unsigned first = 1 + (l->kind[1] == SCRIPT_QUOTED);
	struct script_line *rest = calloc(1, sizeof(*rest));
	int err;

	if (!rest || check_words(l, first, s->why)) {
		free(rest);
		return -1;
	}
	rest->nwords = l->nwords - first;
	memcpy(rest->word, l->word + first, sizeof(char *) * (rest->nwords + 1));
	memcpy(rest->length, l->length + first, sizeof(size_t) * rest->nwords);
	memcpy(rest->kind, l->kind + first, sizeof(enum script_kind) * rest->nwords);
	err = script_run_line(s, rest);
	free(rest);
	if (!err)
		return script_fail(s, "it did not fail");
	return first == 1 || strstr(s->why, l->word[1]) ? 0 : -1;
}

static const struct script_command basic_commands[] = {
	{"set", 2, 2, run_set, "NAME VALUE"},
	{"timeout", 1, 1, run_timeout, "TIME"},
	{"sleep", 1, 1, run_sleep, "TIME"},
	{"assert-fails", 1, SCRIPT_WORDS_MAX, run_assert_fails, "[\"TEXT\"] COMMAND…"},
	{NULL},
};

static const struct script_command *find_command(const char *name)
{
	const struct script_command *tables[] = {basic_commands, script_guest_commands,
						 script_channel_commands, script_desktop_commands};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct script_command *c = tables[i]; c->name; c++) {
			if (!strcmp(c->name, name))
				return c;
		}
	}
	return NULL;
}

int script_run_line(struct script *s, struct script_line *l)
{
	return find_command(l->word[0])->run(s, l);
}

/* ---- TAP ---------------------------------------------------------------------------------- */

/* The line as it stands in the file; a # would begin a directive. */
static void add_point(struct text *out, const struct script *s, unsigned number, const char *line)
{
	line += strspn(line, " \t");
	text_addf(out, "%.200s:%u: ", s->file, number);
	for (; *line; line++) {
		if (*line == '#')
			text_add(out, "\\", 1);
		text_add(out, *line < ' ' && *line >= 0 ? " " : line, 1);
	}
	text_add(out, "\n", 1);
}

static void add_diagnostics(struct text *out, const struct script *s)
{
	const struct script_channel *c = s->shown;
	size_t at;

	text_addf(out, "# %s\n", s->why);
	if (!c)
		return;
	at = c->text.length > c->seen + 2000 ? c->text.length - 2000 : c->seen;
	text_addf(out, "# %s received%s: \"", c->name, at > c->seen ? ", at last" : "");
	script_add_escaped(out, c->text.data + at, c->text.length - at);
	text_addf(out, "\"%s\n", c->ended ? ", then its end" : "");
}

static int tell(struct runner *r, const struct script *s, unsigned number, const char *line,
		bool failed)
{
	struct text out = {0};

	text_addf(&out, "%s %u - ", failed ? "not ok" : "ok", ++r->points);
	add_point(&out, s, number, line);
	if (failed)
		add_diagnostics(&out, s);
	r->failed += failed;
	return common_print(&out);
}

/* ---- files ---------------------------------------------------------------------------------- */

/* 0 or -errno. */
static int read_lines(const char *file, struct lines *l)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY), err = 0;
	ssize_t n = 1;
	size_t length = 0;
	char *at;

	if (fd < 0)
		return -errno;
	l->text = malloc(FILE_MAX + 1);
	l->line = calloc(FILE_MAX / 2, sizeof(*l->line));
	while (n > 0 && length < FILE_MAX) {
		n = read(fd, l->text + length, FILE_MAX - length);
		length += n > 0 ? (size_t)n : 0;
	}
	err = n < 0 ? -errno : length == FILE_MAX ? -EFBIG : 0;
	close(fd);
	l->text[length] = '\0';
	for (at = l->text; !err && (l->line[l->count] = strsep(&at, "\n"));)
		err = ++l->count == FILE_MAX / 2 ? -EFBIG : 0;
	return err;
}

static const char *any_variable(void *opaque, const char *name)
{
	return "1";
}

static bool is_word(const struct script_line *l, const char *word)
{
	return l->nwords && l->kind[0] == SCRIPT_BARE && !strcmp(l->word[0], word);
}

/* Everything that can be known before anything runs. 0, or CLI_TROUBLE after a line. */
static int check_file(const char *file, const struct lines *lines, struct script_line *l)
{
	char why[SCRIPT_WHY_MAX] = "";
	unsigned depth = 0, i;

	for (i = 0; i < lines->count && !*why; i++) {
		if (script_parse(l, lines->line[i], any_variable, NULL, why) || !l->nwords)
			continue;
		if (is_word(l, "repeat")) {
			if (l->nwords != 2 || ++depth > DEPTH_MAX)
				snprintf(why, sizeof(why),
					 "write: repeat N, at most %d in each other", DEPTH_MAX);
		} else if (is_word(l, "end")) {
			if (l->nwords != 1 || !depth--)
				snprintf(why, sizeof(why), "end without repeat");
		} else {
			check_words(l, 0, why);
		}
	}
	if (!*why && depth)
		snprintf(why, sizeof(why), "a repeat has no end");
	return *why ? text_error(CLI_TROUBLE, "%s:%u: %s", file, i, why) : 0;
}

/* ---- blocks -------------------------------------------------------------- */

/* The line after the end of the block that begins before `at`. */
static unsigned skip_block(const struct lines *lines, unsigned at, struct script_line *l)
{
	char why[SCRIPT_WHY_MAX];

	for (unsigned depth = 1; depth; at++) {
		if (script_parse(l, lines->line[at], any_variable, NULL, why))
			continue;
		depth += is_word(l, "repeat");
		depth -= is_word(l, "end");
	}
	return at;
}

static void set_turn(struct script *s, const struct block *b)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", b->turn);
	script_set(s, "i", number);
}

/* repeat and end. The next line to run. */
static int move_in_blocks(struct script *s, const struct lines *lines, struct block *blocks,
			  unsigned *depth, unsigned *at, struct script_line *l)
{
	struct block *b;
	uint64_t turns;

	if (is_word(l, "repeat")) {
		if (opts_parse_number(l->word[1], 0, REPEAT_MAX, &turns))
			return script_fail(s, "repeat %.80s: not a number up to %d", l->word[1],
					   REPEAT_MAX);
		if (!turns) {
			*at = skip_block(lines, *at, l);
			return 0;
		}
		blocks[*depth] = (struct block){*at, 1, (unsigned)turns};
		set_turn(s, &blocks[(*depth)++]);
		return 0;
	}
	b = &blocks[*depth - 1];
	if (b->turn++ == b->turns) {
		--*depth;
		return 0;
	}
	*at = b->first;
	set_turn(s, b);
	return 0;
}

/* The first command that fails ends the file: what follows would build on it. */
static int run_lines(struct runner *r, struct script *s, const struct lines *lines,
		     struct script_line *l)
{
	struct block blocks[DEPTH_MAX];
	unsigned depth = 0, at = 0;
	int err;

	while (at < lines->count) {
		unsigned number = at++;
		const char *line = lines->line[number];

		s->shown = NULL;
		err = script_parse(l, line, variable, s, s->why);
		if (!err && !l->nwords)
			continue;
		if (!err && (is_word(l, "repeat") || is_word(l, "end"))) {
			if (!move_in_blocks(s, lines, blocks, &depth, &at, l))
				continue;
			err = -1;
		}
		if (!err)
			err = script_run_line(s, l);
		if (tell(r, s, number + 1, line, err))
			return CLI_TROUBLE;
		if (err)
			return 0;
	}
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int begin(struct runner *r, struct script *s)
{
	const char *tmp = getenv("TMPDIR"), *slash = strrchr(s->file, '/');
	char *folder = slash ? strndup(s->file, (size_t)(slash - s->file)) : strdup(".");

	for (const struct script_variable *v = r->defined; v; v = v->next)
		script_set(s, v->name, v->value);
	script_set(s, "dir", folder);
	free(folder);
	if (!tmp || strlen(tmp) > 40 || *tmp != '/')
		tmp = "/tmp";
	snprintf(s->folder, sizeof(s->folder), "%s/exo-XXXXXX", tmp);
	if (!mkdtemp(s->folder))
		return text_error(CLI_TROUBLE, "script: %s: %s", s->folder, strerror(errno));
	script_set(s, "tmp", s->folder);
	return 0;
}

static int run_file(struct runner *r, const char *file)
{
	struct script s = {
		.file = file, .timeout_ns = r->timeout_ns, .c = {.fd = -1}, .desk = {.fd = -1}};
	struct script_line *l = calloc(1, sizeof(*l));
	struct lines lines = {0};
	int err = l ? read_lines(file, &lines) : -ENOMEM;

	if (err)
		err = text_error(CLI_TROUBLE, "script: %s: %s", file, strerror(-err));
	else
		err = check_file(file, &lines, l);
	if (!err && !(err = begin(r, &s))) {
		err = run_lines(r, &s, &lines, l);
		script_end_desktop(&s);
		script_end_session(&s);
		script_close_channels(&s);
		cli_finish(&s.c);
		nftw(s.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
	free_variables(s.variables);
	free(lines.line);
	free(lines.text);
	free(l);
	return err;
}

/* ---- the command
 * --------------------------------------------------------------------------------- */

enum { OPTION_DEFINE = 2, OPTION_TIMEOUT };

static int apply(void *opaque, int id, char *value)
{
	struct runner *r = opaque;
	char *equals = strchr(value, '=');

	if (id == OPTION_TIMEOUT) {
		if (!opts_parse_duration(value, &r->timeout_ns))
			return 0;
		return text_error(CLI_TROUBLE, "script: --timeout %s: not a duration", value);
	}
	if (!equals || equals == value)
		return text_error(CLI_TROUBLE, "script: --define %s: write NAME=VALUE", value);
	*equals = '\0';
	set_variable(&r->defined, value, equals + 1);
	return 0;
}

int script_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {{"define", 'D', true, OPTION_DEFINE},
						  {"timeout", 't', true, OPTION_TIMEOUT},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct runner r = {.timeout_ns = CLIENT_TIMEOUT_NS};
	struct text plan = {0};
	char **files;
	int err = common_parse(argv, options, apply, &r, 1, 10000, "[OPTIONS] FILE…", &files);

	for (bool any = !err; any && *files; files++)
		err = run_file(&r, *files) ? CLI_TROUBLE : err;
	if (err != COMMON_DONE && (r.points || !err)) {
		text_addf(&plan, "1..%u\n", r.points);
		common_print(&plan);
	}
	free_variables(r.defined);
	return err ? common_end(err) : r.failed > 0;
}
