/* What the commands of a session have in common: options, tables, endings. */
#ifndef COMMON_H
#define COMMON_H

#include "client.h"
#include "opts.h"
#include "text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define COMMON_HELP 1 /* id of --help in every table of options */
#define COMMON_HELP_DEF \
	{ \
		"help", 'h', false, COMMON_HELP \
	}
#define COMMON_DONE -1 /* --help was asked for and given */
#define COMMON_REST -1 /* as `most`: options end at the first operand, all others follow */

/* Applies one option. 0, or an exit code after a line on standard error. */
typedef int common_option_fn(void *opaque, int id, char *value);

/*
 * Walks the options, which may stand between operands. 0 with *operands (in argv,
 * which is changed); COMMON_DONE; or CLI_TROUBLE after a line. Fewer than `least`
 * or more than `most` operands are an error, which shows `usage`.
 */
int common_parse(char **argv, const struct opts_def *defs, common_option_fn *apply, void *opaque,
		 int least, int most, const char *usage, char ***operands);
/* Exit code of a command that common_parse ended: 0 after --help. */
int common_end(int status);

/* Opens the session and makes one call with CLIENT_TIMEOUT_NS; prints what goes wrong.
 * 0 with *answer (unless NULL), or the exit code. `request` is taken over. */
int common_ask(const char *command, json_t *request, json_t **answer);
/* Prints c->why after the command's name; returns status. */
int common_fail(const struct cli *c, const char *command, int status);

/* Prints an answer as JSON, one line, without id and ok. 0 or CLI_TROUBLE. */
int common_print_json(const json_t *answer);
/* Prints what is in `out` and frees it. 0 or CLI_TROUBLE: it could not be written. */
int common_print(struct text *out);
/* Prints the sentences of an answer, a line each. */
int common_print_sentences(const json_t *answer);

/* "1.5M", "0", "1023": as opts_parse_size reads it, roughly. */
const char *common_bytes(uint64_t bytes, char out[16]);
/* "350ms", "12s", "3m", "2h", "4d". */
const char *common_duration(uint64_t ms, char out[16]);

/* A row of a table: `columns` strings, copied; NULL is "". */
void common_row(json_t *rows, unsigned columns, const char *const *cells);
/* Rows aligned in columns, two blanks between; the last column is not padded. */
void common_table(const json_t *rows, struct text *out);

#endif
