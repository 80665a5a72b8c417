/*
 * Recursive descent. In order of how tight they bind:
 *
 *	sum      product { (+ | -) product }
 *	product  signed { (* | / | %) signed | power }    (juxtaposed: 2pi, 3(4+5))
 *	signed   { + | - } power
 *	power    postfix [ ^ signed ]                     (from the right; -2^2 is -4)
 *	postfix  atom { ! }
 *	atom     number | name | name ( sum [ , sum ] ) | ( sum )
 */
#include "eval.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

struct parser {
	const char *text;
	size_t at;
	long double ans;
	unsigned depth;
	const char *error;
	size_t error_at;
};

static long double sum(struct parser *p);
static long double signed_power(struct parser *p);

static long double fail(struct parser *p, size_t at, const char *what)
{
	if (!p->error) {
		p->error = what;
		p->error_at = at;
	}
	return 0;
}

static void skip(struct parser *p)
{
	while (p->text[p->at] == ' ' || p->text[p->at] == '\t')
		p->at++;
}

/* Takes it, if it comes next. */
static bool take(struct parser *p, const char *what)
{
	size_t n = strlen(what);

	skip(p);
	if (p->error || strncmp(p->text + p->at, what, n))
		return false;
	p->at += n;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- functions ------------------------------------------------------------------- */

static long double sign(long double x)
{
	return x > 0 ? 1 : x < 0 ? -1 : 0;
}

static const struct {
	const char *name;
	long double (*of)(long double);
} functions[] = {
	{"sqrt", sqrtl}, {"cbrt", cbrtl},   {"abs", fabsl},    {"sin", sinl},   {"cos", cosl},
	{"tan", tanl},   {"asin", asinl},   {"acos", acosl},   {"atan", atanl}, {"sinh", sinhl},
	{"cosh", coshl}, {"tanh", tanhl},   {"exp", expl},     {"ln", logl},    {"log", log10l},
	{"lg", log2l},   {"round", roundl}, {"floor", floorl}, {"ceil", ceill}, {"sgn", sign},
};

static long double larger(long double x, long double y)
{
	return x > y ? x : y;
}

static long double smaller(long double x, long double y)
{
	return x < y ? x : y;
}

static const struct {
	const char *name;
	long double (*of)(long double, long double);
} functions2[] = {
	{"atan2", atan2l}, {"hypot", hypotl}, {"max", larger},
	{"min", smaller},  {"root", NULL}, /* root(x, n) */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static long double checked(struct parser *p, size_t at, long double v)
{
	if (isnan(v))
		return fail(p, at, "not a number");
	if (isinf(v))
		return fail(p, at, "too large");
	return v;
}

static long double power_of(struct parser *p, size_t at, long double x, long double y)
{
	if (x == 0 && y < 0)
		return fail(p, at, "division by zero");
	return checked(p, at, powl(x, y));
}

static long double nth_root(struct parser *p, size_t at, long double x, long double n)
{
	bool odd = fmodl(n, 2) == 1 || fmodl(n, 2) == -1;

	if (n == 0)
		return fail(p, at, "division by zero");
	return x < 0 && odd ? -power_of(p, at, -x, 1 / n) : power_of(p, at, x, 1 / n);
}

/* The arguments of a function, in parentheses. */
static bool arguments(struct parser *p, long double *a, unsigned n)
{
	if (!take(p, "(")) {
		fail(p, p->at, "a ( is missing");
		return false;
	}
	for (unsigned i = 0; i < n; i++) {
		if (i && !take(p, ",")) {
			fail(p, p->at, "a , is missing");
			return false;
		}
		a[i] = sum(p);
	}
	if (!take(p, ")"))
		fail(p, p->at, "a ) is missing");
	return !p->error;
}

static long double call(struct parser *p, const char *name, size_t at, bool *found)
{
	long double a[2];

	*found = true;
	for (size_t i = 0; i < COUNT(functions); i++)
		if (strcmp(functions[i].name, name) == 0)
			return arguments(p, a, 1) ? checked(p, at, functions[i].of(a[0])) : 0;
	for (size_t i = 0; i < COUNT(functions2); i++) {
		if (strcmp(functions2[i].name, name))
			continue;
		if (!arguments(p, a, 2))
			return 0;
		return functions2[i].of ? checked(p, at, functions2[i].of(a[0], a[1]))
					: nth_root(p, at, a[0], a[1]);
	}
	*found = false;
	return 0;
}

/* ---- grammar --------------------------------------------------------------------- */

static long double name(struct parser *p)
{
	size_t at = p->at, n = 0;
	long double v;
	char word[12];
	bool found;

	while (is_letter(p->text[at + n]) || (n && is_digit(p->text[at + n])))
		n++;
	if (n >= sizeof(word))
		return fail(p, at, "no such name");
	memcpy(word, p->text + at, n);
	word[n] = 0;
	p->at = at + n;
	if (strcmp(word, "pi") == 0)
		return 3.14159265358979323846264338327950288L;
	if (strcmp(word, "e") == 0)
		return 2.71828182845904523536028747135266250L;
	if (strcmp(word, "ans") == 0)
		return p->ans;
	v = call(p, word, at, &found);
	return found ? v : fail(p, at, "no such name");
}

/* Digits, a point, an exponent: not what strtold takes besides. */
static long double number(struct parser *p)
{
	const char *t = p->text + p->at;
	size_t n = 0, digits = 0;
	char copy[128];

	for (; is_digit(t[n]) || t[n] == '.'; n++)
		digits += is_digit(t[n]);
	if (digits == 0 || memchr(t, '.', n) != memrchr(t, '.', n))
		return fail(p, p->at, "not a number");
	if (t[n] == 'e' || t[n] == 'E') {
		size_t sign_too = t[n + 1] == '+' || t[n + 1] == '-';

		if (is_digit(t[n + 1 + sign_too]))
			for (n += 1 + sign_too; is_digit(t[n]); n++)
				;
	}
	if (n >= sizeof(copy))
		return fail(p, p->at, "too many digits");
	memcpy(copy, t, n);
	copy[n] = 0;
	p->at += n;
	return checked(p, p->at - n, strtold(copy, NULL));
}

static long double atom(struct parser *p);

static long double inner_atom(struct parser *p)
{
	long double v;

	skip(p);
	if (take(p, "π"))
		return 3.14159265358979323846264338327950288L;
	if (take(p, "√"))
		return checked(p, p->at, sqrtl(atom(p)));
	if (take(p, "(")) {
		v = sum(p);
		if (!take(p, ")"))
			fail(p, p->at, "a ) is missing");
		return v;
	}
	if (is_digit(p->text[p->at]) || p->text[p->at] == '.')
		return number(p);
	if (is_letter(p->text[p->at]))
		return name(p);
	return fail(p, p->at, p->text[p->at] ? "a number is missing" : "it is not complete");
}

static long double atom(struct parser *p)
{
	long double v;

	if (p->depth == DEPTH_MAX)
		return fail(p, p->at, "nested too deep");
	p->depth++;
	v = inner_atom(p);
	p->depth--;
	return v;
}

static long double factorial(struct parser *p, size_t at, long double v)
{
	if (v < 0 || v != floorl(v))
		return fail(p, at, "! wants a whole number");
	return v > 1754 ? fail(p, at, "too large") : roundl(tgammal(v + 1));
}

static long double postfix(struct parser *p)
{
	long double v = atom(p);

	while (take(p, "!"))
		v = factorial(p, p->at - 1, v);
	return v;
}

static long double power(struct parser *p)
{
	long double v = postfix(p);
	size_t at = p->at;

	return take(p, "^") ? power_of(p, at, v, signed_power(p)) : v;
}

static long double signed_power(struct parser *p)
{
	bool minus = false;
	long double v;

	for (;;) {
		if (take(p, "-") || take(p, "−"))
			minus = !minus;
		else if (!take(p, "+"))
			break;
	}
	if (p->depth == DEPTH_MAX)
		return fail(p, p->at, "nested too deep");
	p->depth++;
	v = power(p);
	p->depth--;
	return minus ? -v : v;
}

/* 3(4+5), 2pi, 2√2: what follows begins a factor. */
static bool juxtaposed(struct parser *p)
{
	skip(p);
	return !p->error &&
	       (p->text[p->at] == '(' || is_letter(p->text[p->at]) ||
		strncmp(p->text + p->at, "π", 2) == 0 || strncmp(p->text + p->at, "√", 3) == 0);
}

static long double product(struct parser *p)
{
	long double v = signed_power(p), by;

	for (;;) {
		size_t at = p->at;

		if (take(p, "*") || take(p, "×") || take(p, "·")) {
			v *= signed_power(p);
		} else if (take(p, "/") || take(p, "÷")) {
			by = signed_power(p);
			v = by == 0 ? fail(p, at, "division by zero") : v / by;
		} else if (take(p, "%")) {
			by = signed_power(p);
			v = by == 0 ? fail(p, at, "division by zero") : fmodl(v, by);
		} else if (juxtaposed(p)) {
			v *= power(p);
		} else {
			return v;
		}
		v = checked(p, at, v);
	}
}

static long double sum(struct parser *p)
{
	long double v = product(p);

	for (;;) {
		size_t at = p->at;

		if (take(p, "+"))
			v += product(p);
		else if (take(p, "-") || take(p, "−"))
			v -= product(p);
		else
			return v;
		v = checked(p, at, v);
	}
}

struct eval_result eval(const char *text, long double ans)
{
	struct parser p = {.text = text, .ans = ans};
	struct eval_result r = {0};

	r.value = sum(&p);
	skip(&p);
	if (!p.error && p.text[p.at])
		fail(&p, p.at, p.text[p.at] == ')' ? "a ( is missing" : "it goes on here");
	r.error = p.error;
	r.at = p.error_at;
	r.value = p.error ? 0 : r.value == 0 ? 0 : r.value; /* no -0 */
	return r;
}

void eval_format(long double value, char *out, size_t size)
{
	snprintf(out, size, "%.15Lg", value);
}
