/* exo wires: the graph of a session, and questions about it. */
#include "commands.h"
#include "common.h"
#include "graph.h"

#include "report.h"

#include <stdlib.h>
#include <string.h>

enum { OPTION_JSON = 2, OPTION_DOT, OPTION_SVG, OPTION_REACH, OPTION_DRY_RUN };

struct wires {
	bool json, dot;
	const char *svg, *reach, *manifest;
};

static int apply(void *opaque, int id, char *value)
{
	struct wires *w = opaque;

	switch (id) {
	case OPTION_JSON:
		w->json = true;
		break;
	case OPTION_DOT:
		w->dot = true;
		break;
	case OPTION_SVG:
		w->svg = value;
		break;
	case OPTION_REACH:
		w->reach = value;
		break;
	default:
		w->manifest = value;
		break;
	}
	return 0;
}

/* It may be a service's name or a guest's: a service of that name comes first. */
static int who_can_reach(const struct wires *w)
{
	static const char *const kinds[] = {"service", "guest"};
	json_t *answer = NULL;
	struct cli c;
	int err = cli_open(&c, "wires");

	if (err)
		return err;
	for (int i = 0; i < 2; i++) {
		err = cli_call(&c, json_pack("{s:s,s:s}", "op", "reach", kinds[i], w->reach),
			       CLIENT_TIMEOUT_NS, &answer);
		if (!err || strcmp(c.code, "not-found"))
			break;
	}
	if (err && !strcmp(c.code, "not-found"))
		text_error(0, "wires: no service or guest named %s; exo wires lists them",
			   w->reach);
	else if (err)
		common_fail(&c, "wires", err);
	else
		err = w->json ? common_print_json(answer) : common_print_sentences(answer);
	json_decref(answer);
	cli_finish(&c);
	return err;
}

static int dry_run(const struct wires *w)
{
	char *path = realpath(w->manifest, NULL);
	json_t *answer;
	int err;

	if (!path)
		return text_error(CLI_REFUSED, "wires: --dry-run %s: no such file", w->manifest);
	err = common_ask("wires", json_pack("{s:s,s:s}", "op", "dry-run", "manifest", path),
			 &answer);
	free(path);
	if (err)
		return err;
	err = w->json ? common_print_json(answer) : common_print_sentences(answer);
	json_decref(answer);
	return err;
}

static int write_svg(const char *path, const json_t *answer)
{
	struct text out = {0};
	int err;

	graph_add_svg(answer, &out);
	if (!strcmp(path, "-"))
		return common_print(&out);
	err = report_write_file(path, &out);
	text_finish(&out);
	if (err)
		return text_error(CLI_TROUBLE, "wires: --svg %s: %s", path, strerror(-err));
	return 0;
}

int wires_command(char **argv, uint64_t start_ns)
{
	static const struct opts_def options[] = {{"json", 0, false, OPTION_JSON},
						  {"dot", 0, false, OPTION_DOT},
						  {"svg", 0, true, OPTION_SVG},
						  {"who-can-reach", 0, true, OPTION_REACH},
						  {"dry-run", 0, true, OPTION_DRY_RUN},
						  COMMON_HELP_DEF,
						  {NULL}};
	struct wires w = {0};
	struct text out = {0};
	json_t *answer;
	char **none;
	int err = common_parse(argv, options, apply, &w, 0, 0,
			       "[--json | --dot | --svg FILE] [--who-can-reach NAME] "
			       "[--dry-run MANIFEST]",
			       &none);

	if (err)
		return common_end(err);
	if (w.reach)
		return who_can_reach(&w);
	if (w.manifest)
		return dry_run(&w);
	if ((err = common_ask("wires", json_pack("{s:s}", "op", "wires"), &answer)))
		return err;
	if (w.json) {
		err = common_print_json(answer);
	} else if (w.svg) {
		err = write_svg(w.svg, answer);
	} else {
		(w.dot ? graph_add_dot : graph_add_text)(answer, &out);
		err = common_print(&out);
	}
	json_decref(answer);
	return err;
}
