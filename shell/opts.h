/*
 * Command lines: a small option iterator and the parsers for the kinds of
 * values that options take. Pure functions: nothing printed, no state.
 */
#ifndef OPTS_H
#define OPTS_H

#include <stdbool.h>
#include <stdint.h>

struct opts_def {
	const char *name; /* without the dashes */
	char letter;      /* one-letter form, or 0 */
	bool takes_value;
	int id;        /* returned by opts_next, > 0 */
	bool optional; /* --name=VALUE or --name alone; not with takes_value */
};

#define OPTS_DONE 0   /* no more options; pos is the first operand */
#define OPTS_ERROR -1 /* error says why */

struct opts {
	const struct opts_def *defs; /* ends with name == NULL */
	char **argv;                 /* NULL-terminated */
	int pos;                     /* index of the next argument */
	bool ended;                  /* "--" was met: operands only */
	char *letters;               /* rest of a group such as -vq, or NULL */
	char *value;                 /* of the option just returned, or NULL */
	char error[160];
};

/* Starts at argv[1]. argv stays the caller's and must live as long. */
void opts_init(struct opts *o, const struct opts_def *defs, char **argv);

/*
 * The next option's id, OPTS_DONE or OPTS_ERROR. Options end at "--", which is
 * skipped, or at the first operand; a command that takes options after operands
 * moves pos on and asks again. Forms: --name VALUE, --name=VALUE, -n VALUE,
 * -nVALUE, and letters without values grouped.
 */
int opts_next(struct opts *o);

/*
 * Size with an optional suffix K, M, G or T (powers of 1024; "iB" and "B" may
 * follow). 0, -EINVAL, or -ERANGE when it does not fit.
 */
int opts_parse_size(const char *text, uint64_t *bytes);

/*
 * Duration: a decimal number, fractions allowed, with an optional suffix ms, s
 * (the default), m or h. 0, -EINVAL, or -ERANGE beyond ten years.
 */
int opts_parse_duration(const char *text, uint64_t *ns);

/* Whole decimal number in [low, high]. 0, -EINVAL or -ERANGE. */
int opts_parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *number);

#endif
