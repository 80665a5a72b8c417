/* expect: signal 11 */
/* The program's own code, written to. */
#include <stdint.h>

int main(void)
{
	*(volatile uint8_t *)(uintptr_t)main = 0x90;
	return 0;
}
