/*
 * Expressions: + - * / % ^ ! ( ), functions, constants, the last result. Nothing but
 * arithmetic: no memory is taken, and what is nested too deep is an error.
 */
#ifndef CALC_EVAL_H
#define CALC_EVAL_H

#include <stddef.h>

struct eval_result {
	long double value;
	const char *error; /* what is wrong, or NULL */
	size_t at;         /* the byte of the text where it is */
};

/* ans: what the name "ans" stands for. Angles are radians. */
struct eval_result eval(const char *text, long double ans);
/* As people write numbers: 15 digits, no more than are needed. */
void eval_format(long double value, char *out, size_t size);

#endif
