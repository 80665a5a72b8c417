/* expect: exit 2 */
/*
 * Looks at the vsock device's shared memory region from ring 3, for tests from
 * outside (tests/e2e/vmm_channels.py):
 *
 *	window.elf write    waits until its first word is not 0, then writes 1 there
 *	window.elf fill     writes to every page of it: "filled BYTES"
 */
#include <exo.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	size_t bytes = 0;
	long at;

	if (argc != 2)
		return 2;
	at = syscall(EXO_SYS_WINDOW, &bytes);
	if (at <= 0) {
		printf("no window: %s\n", strerror(errno));
		return 3;
	}
	volatile unsigned *word = (volatile unsigned *)at;

	printf("window of %zu\n", bytes);
	fflush(stdout);
	if (!strcmp(argv[1], "fill")) {
		for (size_t i = 0; i < bytes; i += 4096)
			word[i / sizeof(*word)] = (unsigned)i;
		printf("filled %zu\n", bytes);
		return 0;
	}
	while (!*word)
		;
	*word = 1;
	printf("written\n");
	return 0;
}
