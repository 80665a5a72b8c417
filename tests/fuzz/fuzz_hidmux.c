/* The multiplexer of input and display against its model; see tests/unit/hid_model.h. */
#include "harness.h"
#include "hid_model.h"

struct bytes {
	const uint8_t *at;
	size_t left;
};

static bool next(void *opaque, uint8_t *byte)
{
	struct bytes *b = opaque;

	if (!b->left)
		return false;
	b->left--;
	*byte = *b->at++;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = {data, size};

	hid_model_run(next, &b);
	return 0;
}
