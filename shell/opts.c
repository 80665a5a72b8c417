/* Command-line options and values; see opts.h. */
#include "opts.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void opts_init(struct opts *o, const struct opts_def *defs, char **argv)
{
	*o = (struct opts){.defs = defs, .argv = argv, .pos = argv[0] ? 1 : 0};
}

static int fail(struct opts *o, const char *format, int length, const char *what)
{
	snprintf(o->error, sizeof(o->error), format, length, what);
	return OPTS_ERROR;
}

static int next_long(struct opts *o, char *name)
{
	size_t length = strcspn(name, "=");

	for (const struct opts_def *d = o->defs; d->name; d++) {
		if (strlen(d->name) != length || memcmp(d->name, name, length))
			continue;
		if (name[length] == '=' && !d->takes_value && !d->optional)
			return fail(o, "option --%.*s takes no value", (int)length, name);
		if (name[length] == '=')
			o->value = name + length + 1;
		else if (d->takes_value && !(o->value = o->argv[o->pos]))
			return fail(o, "option --%.*s needs a value", (int)length, name);
		else if (d->takes_value)
			o->pos++;
		return d->id;
	}
	return fail(o, "unknown option --%.*s", length < 64 ? (int)length : 64, name);
}

static int next_letter(struct opts *o)
{
	char *at = o->letters;

	for (const struct opts_def *d = o->defs; d->name; d++) {
		if (d->letter != *at)
			continue;
		o->letters = at[1] && !d->takes_value ? at + 1 : NULL;
		if (d->takes_value && at[1])
			o->value = at + 1;
		else if (d->takes_value && !(o->value = o->argv[o->pos]))
			return fail(o, "option -%.*s needs a value", 1, at);
		else if (d->takes_value)
			o->pos++;
		return d->id;
	}
	return fail(o, "unknown option -%.*s", 1, at);
}

int opts_next(struct opts *o)
{
	char *arg = o->argv[o->pos];

	o->value = NULL;
	if (o->letters)
		return next_letter(o);
	if (o->ended || !arg || arg[0] != '-' || !arg[1])
		return OPTS_DONE;
	o->pos++;
	if (arg[1] != '-') {
		o->letters = arg + 1;
		return next_letter(o);
	}
	if (arg[2])
		return next_long(o, arg + 2);
	o->ended = true;
	return OPTS_DONE;
}

/* Digits at *text; moves *text behind them. */
static int parse_digits(const char **text, uint64_t *number)
{
	const char *s = *text;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (*number = 0; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*s - '0'), number))
			return -ERANGE;
	}
	*text = s;
	return 0;
}

int opts_parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
	int err = parse_digits(&text, number);

	if (err)
		return err;
	if (*text)
		return -EINVAL;
	return *number < low || *number > high ? -ERANGE : 0;
}

int opts_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	int err = parse_digits(&text, bytes);
	const char *suffix;
	unsigned shift = 0;

	if (err)
		return err;
	if (*text) {
		char upper = (char)(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);

		suffix = strchr(suffixes, upper);
		if (suffix) {
			shift = 10 * (unsigned)(suffix - suffixes + 1);
			text++;
			if (!strcmp(text, "iB"))
				text += 2;
		}
		if (*text == 'B')
			text++;
		if (*text)
			return -EINVAL;
	}
	if (shift && *bytes >> (64 - shift))
		return -ERANGE;
	*bytes <<= shift;
	return 0;
}

int opts_parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *suffix;
		uint64_t unit_ns;
	} units[] = {{"", 1000000000ull},
		     {"ms", 1000000ull},
		     {"s", 1000000000ull},
		     {"m", 60000000000ull},
		     {"h", 3600000000000ull}};
	const uint64_t max_ns = 10ull * 365 * 86400 * 1000000000ull;
	uint64_t whole, fraction = 0, scale = 1;
	int err = parse_digits(&text, &whole);

	if (err)
		return err;
	if (*text == '.') {
		if (*++text < '0' || *text > '9')
			return -EINVAL;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (scale < 1000000) { /* finer is below a microsecond of an hour */
				fraction = fraction * 10 + (uint64_t)(*text - '0');
				scale *= 10;
			}
		}
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text, units[i].suffix))
			continue;
		if (whole > max_ns / units[i].unit_ns)
			return -ERANGE;
		*ns = whole * units[i].unit_ns + fraction * units[i].unit_ns / scale;
		return 0;
	}
	return -EINVAL;
}
