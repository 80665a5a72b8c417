/* expect: fault "" */
/* With no stack left for the fault handler either, ring 0 itself reports the end. */
#include "supervisor.h"

int main(void)
{
	sup_block()->fault_stack = 0;
	sup_read(0);
	return 0;
}
