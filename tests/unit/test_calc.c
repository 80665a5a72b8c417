/* The calculator's expressions: what they are worth, what is wrong with the others. */
#include "eval.h"
#include "unit.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *text, *result;
} good[] = {
	{"1+2*3", "7"},
	{"(1+2)*3", "9"},
	{"0.1+0.2", "0.3"},
	{"1-2-3", "-4"},
	{"100/10/2", "5"},
	{"2^3^2", "512"},
	{"-2^2", "-4"},
	{"(-2)^2", "4"},
	{"2^-1", "0.5"},
	{"2*-3", "-6"},
	{"--3", "3"},
	{"1e3 + 1E-3", "1000.001"},
	{"2e", "5.43656365691809"},
	{".5+5.", "5.5"},
	{"7%4", "3"},
	{"-7%4", "-3"},
	{"5!", "120"},
	{"3!!", "720"},
	{"2^3!", "64"},
	{"-3!", "-6"},
	{"0!", "1"},
	{"2pi", "6.28318530717959"},
	{"3(4+5)", "27"},
	{"(1+1)(2+2)", "8"},
	{"1/2pi", "1.5707963267949"},
	{"√16+√(9)", "7"},
	{"2√2*√2", "4"},
	{"2×3÷4−1", "0.5"},
	{"sqrt(2)^2", "2"},
	{"sin(pi/6)", "0.5"},
	{"ln(exp(3))", "3"},
	{"log(1000)", "3"},
	{"lg(1024)", "10"},
	{"max(1, min(5, 3))", "3"},
	{"hypot(3,4)", "5"},
	{"root(-27,3)", "-3"},
	{"root(16,4)", "2"},
	{"ans*2", "84"},
	{"abs(-4)", "4"},
	{"1e300*1e300", "1e+600"},
	{"0*-1", "0"},
	{"  1 +\t1 ", "2"},
	{"170!/169!", "170"},
	{"2^10%1000", "24"},
};

static const struct {
	const char *text, *error;
	size_t at;
} bad[] = {
	{"", "it is not complete", 0},
	{"1+", "it is not complete", 2},
	{"1/0", "division by zero", 1},
	{"1%0", "division by zero", 1},
	{"0^-1", "division by zero", 1},
	{"(1", "a ) is missing", 2},
	{"1)", "a ( is missing", 1},
	{"1 2", "it goes on here", 2},
	{"1..2", "not a number", 0},
	{".", "not a number", 0},
	{"foo", "no such name", 0},
	{"abcdefghijklmnopqrstuvw", "no such name", 0},
	{"sin 1", "a ( is missing", 4},
	{"max(1)", "a , is missing", 5},
	{"sqrt(-1)", "not a number", 0},
	{"(-1)^0.5", "not a number", 4},
	{"(-1)!", "! wants a whole number", 4},
	{"1.5!", "! wants a whole number", 3},
	{"1755!", "too large", 4},
	{"1e9999", "too large", 0},
	{"1e4000*1e4000", "too large", 6},
	{"exp(1e9)", "too large", 0},
	{"*3", "a number is missing", 0},
	{"3*/3", "a number is missing", 2},
	{"inf", "no such name", 0},
	{"0x10", "no such name", 1},
	{"$", "a number is missing", 0},
	{"\xff\xfe", "a number is missing", 0},
};

START_TEST(values)
{
	char text[64];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct eval_result r = eval(good[i].text, 42);

		ck_assert_msg(!r.error, "%s: %s", good[i].text, r.error);
		eval_format(r.value, text, sizeof(text));
		ck_assert_msg(strcmp(text, good[i].result) == 0, "%s: %s", good[i].text, text);
	}
}
END_TEST

START_TEST(mistakes)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct eval_result r = eval(bad[i].text, 0);

		ck_assert_msg(r.error && strcmp(r.error, bad[i].error) == 0, "%s: %s", bad[i].text,
			      r.error ? r.error : "no error");
		ck_assert_msg(r.at == bad[i].at, "%s: at %zu", bad[i].text, r.at);
	}
}
END_TEST

START_TEST(deep_and_long)
{
	static char text[20000];
	static const char *const nests[] = {"(", "-(", "√", "sin(", "2^", "3!^", "1+(", "max(1,"};

	for (size_t i = 0; i < sizeof(nests) / sizeof(nests[0]); i++) {
		text[0] = 0;
		for (size_t n = 0; n + 8 < sizeof(text) - strlen(nests[i]); n += strlen(nests[i]))
			strcpy(text + n, nests[i]);
		ck_assert_ptr_nonnull(eval(text, 0).error);
	}
	memset(text, '-', sizeof(text) - 2);
	text[sizeof(text) - 2] = '1';
	ck_assert(!eval(text, 0).error);
	memset(text, '1', sizeof(text) - 1);
	ck_assert_str_eq(eval(text, 0).error, "too many digits");
	strcpy(text, "1");
	for (size_t n = 1; n + 3 < sizeof(text); n += 2)
		strcpy(text + n, "+1");
	ck_assert(eval(text, 0).value > 9990);
}
END_TEST

START_TEST(anything)
{
	static const char letters[] = "0123456789.+-*/%^!(),eaxpisqrtn π√ ";
	uint32_t x = 3;
	char text[64];

	for (unsigned i = 0; i < 200000; i++) {
		size_t n = 0;

		for (x = x * 1664525 + 1013904223; n < x >> 26; n++) {
			x = x * 1664525 + 1013904223;
			text[n] = letters[(x >> 8) % (sizeof(letters) - 1)];
		}
		text[n] = 0;
		struct eval_result r = eval(text, 1);

		if (r.error ? r.at > n : !isfinite(r.value))
			ck_abort_msg("%s", text);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("calc");
	TCase *tc = tcase_create("calc");

	tcase_add_test(tc, values);
	tcase_add_test(tc, mistakes);
	tcase_add_test(tc, deep_and_long);
	tcase_add_test(tc, anything);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
