/* expect: fault "stack overflow" */
/* Endless recursion meets the guard page below the stack. */
#include <stdio.h>

static volatile int depth;

static __attribute__((noinline)) int deepen(int n)
{
	volatile char frame[1000];

	depth = n;
	frame[n % 1000] = 1;
	return n < 0 ? 0 : deepen(n + 1) + frame[0];
}

int main(void)
{
	return deepen(0);
}
