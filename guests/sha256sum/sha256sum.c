/*
 * SHA-256 of standard input or of a file, such as a disk: sha256sum [/dev/vda].
 * Reads in large pieces, so it also measures a disk.
 */
#include <exo_sha256.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint8_t buffer[1 << 20] __attribute__((aligned(4096)));

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "-";
	int fd = argc > 1 && strcmp(name, "-") != 0 ? open(name, O_RDONLY) : STDIN_FILENO;
	uint8_t sum[EXO_SHA256_BYTES];
	struct exo_sha256 s;
	ssize_t n = fd;

	exo_sha256_init(&s);
	while (fd >= 0 &&
	       ((n = read(fd, buffer, sizeof(buffer))) > 0 || (n < 0 && errno == EINTR))) {
		if (n > 0)
			exo_sha256_add(&s, buffer, (size_t)n);
	}
	if (n < 0) {
		fprintf(stderr, "sha256sum: %s: %s\n", name, strerror(errno));
		return 1;
	}
	exo_sha256_end(&s, sum);
	for (unsigned i = 0; i < sizeof(sum); i++)
		printf("%02x", sum[i]);
	printf("  %s\n", name);
	return ferror(stdout) ? 1 : 0;
}
