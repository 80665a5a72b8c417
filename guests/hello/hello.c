/* Says hello, or its arguments. The guest for measuring a launch. */
#include <stdio.h>

int main(int argc, char **argv)
{
	if (argc < 2) {
		puts("hello from its own machine");
		return 0;
	}
	for (int i = 1; i < argc; i++)
		printf("%s%c", argv[i], i + 1 < argc ? ' ' : '\n');
	return 0;
}
