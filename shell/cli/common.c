/* What the commands of a session have in common; see common.h. */
#include "common.h"

#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int common_parse(char **argv, const struct opts_def *defs, common_option_fn *apply, void *opaque,
		 int least, int most, const char *usage, char ***operands)
{
	struct opts o;
	int id, err, n = 0;

	opts_init(&o, defs, argv);
	while ((id = opts_next(&o)) != OPTS_DONE || (argv[o.pos] && most != COMMON_REST)) {
		if (id == OPTS_ERROR)
			return text_error(CLI_TROUBLE, "%s: %s; try exo %s --help", argv[0],
					  o.error, argv[0]);
		if (id == COMMON_HELP)
			return help_print(argv[0]) ? CLI_TROUBLE : COMMON_DONE;
		if (id == OPTS_DONE) /* an operand: options may follow */
			argv[1 + n++] = argv[o.pos++];
		else if ((err = apply(opaque, id, o.value)))
			return err;
	}
	while (most == COMMON_REST && argv[o.pos])
		argv[1 + n++] = argv[o.pos++];
	argv[1 + n] = NULL;
	if (n < least || (n > most && most != COMMON_REST))
		return text_error(CLI_TROUBLE, "usage: exo %s %s; try exo %s --help", argv[0],
				  usage, argv[0]);
	*operands = argv + 1;
	return 0;
}

int common_end(int status)
{
	return status == COMMON_DONE ? 0 : status;
}

int common_fail(const struct cli *c, const char *command, int status)
{
	return text_error(status, "%s: %s", command, c->why);
}

int common_ask(const char *command, json_t *request, json_t **answer)
{
	struct cli c;
	int status = cli_open(&c, command);

	if (status) {
		json_decref(request);
		return status;
	}
	status = cli_call(&c, request, CLIENT_TIMEOUT_NS, answer);
	if (status)
		common_fail(&c, command, status);
	cli_finish(&c);
	return status;
}

/* ---- output --------------------------------------------------------------------- */

int common_print(struct text *out)
{
	int err = out->length ? text_write(STDOUT_FILENO, out->data, out->length) : 0;

	if (out->truncated)
		text_error(0, "out of memory");
	err = err || out->truncated ? CLI_TROUBLE : 0;
	text_finish(out);
	return err;
}

int common_print_json(const json_t *answer)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)answer);
	struct text out = {0};
	char *line;

	json_object_del(copy, "id");
	json_object_del(copy, "ok");
	line = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	if (!line)
		return text_error(CLI_TROUBLE, "out of memory");
	text_add(&out, line, strlen(line));
	text_add(&out, "\n", 1);
	free(line);
	return common_print(&out);
}

int common_print_sentences(const json_t *answer)
{
	const json_t *list = cli_list(answer, "answer"), *sentence;
	struct text out = {0};
	size_t i;

	json_array_foreach(list, i, sentence)
	{
		text_addf(&out, "%.1000s\n", json_string_value(sentence));
	}
	return common_print(&out);
}

const char *common_bytes(uint64_t bytes, char out[16])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1023.95 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(out, 16, "%u", (unsigned)bytes);
	else if (value < 99.95 && value != (double)(unsigned)value)
		snprintf(out, 16, "%.1f%c", value, units[unit]);
	else
		snprintf(out, 16, "%.0f%c", value, units[unit]);
	return out;
}

const char *common_duration(uint64_t ms, char out[16])
{
	static const struct {
		uint64_t below_ms, unit_ms;
		const char *unit;
	} units[] = {{10000, 1, "ms"},
		     {600000, 1000, "s"},
		     {36000000, 60000, "m"},
		     {864000000, 3600000, "h"},
		     {UINT64_MAX, 86400000, "d"}};
	unsigned i = 0;

	while (i < 4 && ms >= units[i].below_ms)
		i++;
	snprintf(out, 16, "%llu%s", (unsigned long long)(ms / units[i].unit_ms), units[i].unit);
	return out;
}

void common_row(json_t *rows, unsigned columns, const char *const *cells)
{
	json_t *row = json_array();

	for (unsigned i = 0; i < columns; i++)
		json_array_append_new(row, json_string(cells[i] ? cells[i] : ""));
	json_array_append_new(rows, row);
}

void common_table(const json_t *rows, struct text *out)
{
	int width[16] = {0};
	const json_t *row, *cell;
	size_t i, j;

	json_array_foreach(rows, i, row)
	{
		json_array_foreach(row, j, cell)
		{
			int length = (int)json_string_length(cell);

			if (j < 16 && length > width[j])
				width[j] = length;
		}
	}
	json_array_foreach(rows, i, row)
	{
		json_array_foreach(row, j, cell)
		{
			bool last = j + 1 == json_array_size(row);

			text_addf(out, "%-*s%s", last || j >= 16 ? 0 : width[j],
				  json_string_value(cell), last ? "\n" : "  ");
		}
	}
}
