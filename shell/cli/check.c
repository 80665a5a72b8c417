/* exo check: explains manifests in words, without a session. */
#include "commands.h"
#include "common.h"
#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_BAD 1
#define CHECK_USAGE 2
#define OPTION_JSON 2

static int apply(void *opaque, int id, char *value)
{
	*(bool *)opaque = true;
	return 0;
}

static void add_line(void *opaque, const char *sentence)
{
	text_addf(opaque, "%s\n", sentence);
}

static void add_string(void *opaque, const char *sentence)
{
	json_array_append_new(opaque, json_string(sentence));
}

/* The file's entry of --json. */
static json_t *describe(const char *path, const struct manifest *m, const char *why)
{
	json_t *entry = json_pack("{s:s* s:b}", "file", path, "ok", m != NULL), *list;

	if (!entry || !m) {
		json_object_set_new(entry, "error", json_string(why));
		return entry;
	}
	list = json_array();
	manifest_explain(m, add_string, list);
	json_object_set_new(entry, "name", json_string(m->name));
	json_object_set_new(entry, "sentences", list);
	return entry;
}

/* One file: into the list if there is one, else in words. 0 or CHECK_BAD. */
static int check_file(const char *path, json_t *list, struct text *out)
{
	char why[MANIFEST_WHY_MAX] = "";
	struct manifest *m;
	int err = manifest_load(path, &m, why);

	if (list)
		json_array_append_new(list, describe(path, m, why));
	else if (err)
		text_error(0, "%s", why);
	else
		manifest_explain(m, add_line, out);
	manifest_free(m);
	return err ? CHECK_BAD : 0;
}

int check_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {
		{"json", 0, false, OPTION_JSON}, COMMON_HELP_DEF, {NULL}};
	bool json = false;
	char **files;
	int err = common_parse(argv, options, apply, &json, 1, 4096, "[--json] FILE…", &files);
	struct text out = {0};
	json_t *list, *answer;

	if (err)
		return common_end(err) ? CHECK_USAGE : 0;
	list = json ? json_array() : NULL;
	for (char **file = files; *file; file++) {
		if (!json && files[1])
			text_addf(&out, "%s%s:\n", file == files ? "" : "\n", *file);
		err |= check_file(*file, list, &out);
	}
	if (!json)
		return (out.length && common_print(&out)) ? CHECK_USAGE : err;
	answer = json_pack("{s:o}", "manifests", list);
	if (common_print_json(answer))
		err = CHECK_USAGE;
	json_decref(answer);
	return err;
}
