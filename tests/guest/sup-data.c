/* expect: signal 11 */
/* Data, executed. */
#include <stdint.h>

static uint8_t code[] = {0xc3};

int main(void)
{
	((void (*)(void))(uintptr_t)code)();
	return 0;
}
