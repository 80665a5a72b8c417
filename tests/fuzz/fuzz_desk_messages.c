/*
 * What a guest says on the service "desktop": a message that is taken keeps the rules of
 * exo/desktop.h, and what is shown of its text is text without controls.
 */
#include "harness.h"
#include "services_impl.h"

#include <stdlib.h>
#include <string.h>

static void check_clean(const char *text, size_t bytes, size_t cap)
{
	char out[300];
	size_t n;

	desk_text_clean(out, cap, text, bytes);
	n = strlen(out);
	fuzz_check(n < cap && desk_text_valid(out, n), "what is shown is no text");
	for (size_t i = 0; i < n; i++)
		fuzz_check((unsigned char)out[i] >= ' ' && out[i] != 0x7f, "a control is shown");
	desk_text_name(out, cap, text, bytes);
	fuzz_check(!strchr(out, '/') && *out != '.', "a name is a path");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exo_desk_msg m;
	const char *text;
	char *copy = malloc(size + 1); /* the sanitizer sees its end */
	size_t bytes = size > sizeof(m) ? size - sizeof(m) : 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (bytes && data[4] & 1) { /* mostly right lengths reach deeper */
		uint32_t right = (uint32_t)bytes;

		memcpy(copy + 4, &right, sizeof(right));
	}
	if (!desk_decode(copy, size, &m, &text)) {
		fuzz_check(m.bytes == bytes && m.scanout < EXO_DPY_SCANOUTS_MAX, "lengths");
		fuzz_check(m.type == EXO_DESK_COPIED || desk_text_valid(text, m.bytes), "no text");
		fuzz_check(m.type != EXO_DESK_COPIED || (uint64_t)m.offset + m.bytes <= m.total,
			   "a piece outside");
	}
	check_clean(copy, size, 1 + size % 256);
	(void)desk_is_png(copy, size);
	free(copy);
	return 0;
}
