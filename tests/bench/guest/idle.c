/*
 * A guest that has nothing to do: says so, then sleeps for the seconds given
 * (0: for ever). What it costs meanwhile is the idle benchmark.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 0;

	printf("idle\n");
	fflush(stdout);
	if (seconds)
		sleep(seconds);
	else
		pause();
	return 0;
}
