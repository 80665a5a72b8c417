/* Lines of scenario files: words, quoting, variables; see script.h. */
#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
	struct script_line *line;
	const char *at;
	size_t used; /* of line->bytes */
	script_variable_fn *variable;
	void *opaque;
	char *why;
};

static int refuse(struct parser *p, const char *why, const char *what)
{
	snprintf(p->why, SCRIPT_WHY_MAX, "%s%.100s", why, what);
	return -EINVAL;
}

static int put(struct parser *p, char byte)
{
	if (p->used + 2 > sizeof(p->line->bytes)) /* the terminator needs room, too */
		return refuse(p, "the line is too long", "");
	p->line->bytes[p->used++] = byte;
	return 0;
}

/* ${NAME}: never split into words. */
static int put_variable(struct parser *p)
{
	size_t length = strcspn(p->at + 2, "}");
	char name[64];
	const char *value;
	int err = 0;

	if (p->at[2 + length] != '}' || !length || length >= sizeof(name))
		return refuse(p, "${ without a name and }", "");
	memcpy(name, p->at + 2, length);
	name[length] = '\0';
	value = p->variable(p->opaque, name);
	if (!value)
		return refuse(p, "no such variable: ", name);
	while (!err && *value)
		err = put(p, *value++);
	p->at += length + 3;
	return err;
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

static int put_escape(struct parser *p)
{
	static const char letters[] = "ntr0\"\\$", bytes[] = "\n\t\r\0\"\\$";
	const char *found = p->at[1] ? strchr(letters, p->at[1]) : NULL;
	int high, low;

	if (p->at[1] == 'x') {
		high = hex_digit(p->at[2]);
		low = high < 0 ? -1 : hex_digit(p->at[3]);
		if (low < 0)
			return refuse(p, "\\x needs two digits", "");
		p->at += 4;
		return put(p, (char)(high << 4 | low));
	}
	if (!found)
		return refuse(p, "unknown escape: ", p->at);
	p->at += 2;
	return put(p, bytes[found - letters]);
}

static int read_quoted(struct parser *p)
{
	int err = 0;

	for (p->at++; !err && *p->at != '"';) {
		if (!*p->at)
			return refuse(p, "a \" is not closed", "");
		if (*p->at == '\\')
			err = put_escape(p);
		else if (p->at[0] == '$' && p->at[1] == '{')
			err = put_variable(p);
		else
			err = put(p, *p->at++);
	}
	p->at++;
	return err;
}

/* Taken as it is, but for \/. */
static int read_regex(struct parser *p)
{
	int err = 0;

	for (p->at++; !err && *p->at != '/';) {
		if (!*p->at)
			return refuse(p, "a / of an expression is not closed", "");
		if (p->at[0] == '\\' && p->at[1] == '/')
			p->at++;
		else if (p->at[0] == '\\' && p->at[1])
			err = put(p, *p->at++);
		if (!err)
			err = put(p, *p->at++);
	}
	p->at++;
	return err;
}

static int read_bare(struct parser *p)
{
	int err = 0;

	while (!err && *p->at && !isspace((unsigned char)*p->at)) {
		if (p->at[0] == '$' && p->at[1] == '{')
			err = put_variable(p);
		else
			err = put(p, *p->at++);
	}
	return err;
}

/* An expression begins with a slash and ends with one before a blank: /a/ is, /a/b is a path. */
static bool is_regex(const char *at)
{
	for (at++; *at && *at != '/'; at++) {
		if (isspace((unsigned char)*at))
			return true; /* no path of ours */
		at += at[0] == '\\' && at[1];
	}
	return *at && (!at[1] || isspace((unsigned char)at[1]));
}

static int read_word(struct parser *p)
{
	struct script_line *l = p->line;
	unsigned n = l->nwords;
	size_t start = p->used;
	int err;

	if (n == SCRIPT_WORDS_MAX)
		return refuse(p, "too many words", "");
	l->kind[n] = *p->at == '"'                           ? SCRIPT_QUOTED
		     : n && *p->at == '/' && is_regex(p->at) ? SCRIPT_REGEX
							     : SCRIPT_BARE;
	err = l->kind[n] == SCRIPT_QUOTED  ? read_quoted(p)
	      : l->kind[n] == SCRIPT_REGEX ? read_regex(p)
					   : read_bare(p);
	if (!err && l->kind[n] != SCRIPT_BARE && *p->at && !isspace((unsigned char)*p->at))
		err = refuse(p, "a blank is missing before ", p->at);
	if (err)
		return err;
	l->word[n] = l->bytes + start;
	l->length[n] = p->used - start;
	l->bytes[p->used++] = '\0';
	l->word[++l->nwords] = NULL;
	return 0;
}

int script_parse(struct script_line *l, const char *text, script_variable_fn *variable,
		 void *opaque, char why[SCRIPT_WHY_MAX])
{
	struct parser p = {
		.line = l, .at = text, .variable = variable, .opaque = opaque, .why = why};
	int err = 0;

	l->nwords = 0;
	l->word[0] = NULL;
	while (!err) {
		while (isspace((unsigned char)*p.at))
			p.at++;
		if (!*p.at || *p.at == '#')
			return 0;
		if (p.used + 1 >= sizeof(l->bytes))
			return refuse(&p, "the line is too long", "");
		err = read_word(&p);
	}
	return err;
}

int script_parse_hex(char *word, size_t *length)
{
	size_t n = 0;

	for (const char *at = word; *at; at += 2) {
		while (isspace((unsigned char)*at))
			at++;
		if (!*at)
			break;
		if (hex_digit(at[0]) < 0 || hex_digit(at[1]) < 0)
			return -EINVAL;
		word[n++] = (char)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
	}
	*length = n;
	return 0;
}

int script_compare(int64_t a, const char *op, int64_t b)
{
	if (!strcmp(op, "=="))
		return a == b;
	if (!strcmp(op, "!="))
		return a != b;
	if (!strcmp(op, "<"))
		return a < b;
	if (!strcmp(op, "<="))
		return a <= b;
	if (!strcmp(op, ">"))
		return a > b;
	return strcmp(op, ">=") ? -EINVAL : a >= b;
}

void script_add_escaped(struct text *out, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)bytes[i];

		if (byte == '\n')
			text_add(out, "\\n", 2);
		else if (byte < ' ' || byte > '~' || byte == '\\')
			text_addf(out, "\\x%02x", byte);
		else
			text_add(out, bytes + i, 1);
	}
}
