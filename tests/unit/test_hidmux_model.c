/* The multiplexer of input and display: events at random against a model; see hid_model.h. */
#include "hid_model.h"
#include "unit.h"

#include <check.h>

struct random {
	uint64_t state;
	unsigned left;
};

static bool next(void *opaque, uint8_t *byte)
{
	struct random *r = opaque;

	if (!r->left)
		return false;
	r->left--;
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	*byte = (uint8_t)(r->state >> 24);
	return true;
}

/* About 10,000 events each: one takes three bytes. */
START_TEST(holds_at_random)
{
	struct random r = {0x9e3779b97f4a7c15ull * (uint64_t)(_i + 1), 30000};

	ck_assert_uint_gt(hid_model_run(next, &r), 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hidmux model");
	TCase *tc = tcase_create("model");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, holds_at_random, 0, 8);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
