/* Counts lines, words and bytes of standard input: wc [-clw]. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned char buffer[65536];

struct counts {
	unsigned long lines, words, bytes;
	bool in_word;
};

static void count(struct counts *c, const unsigned char *p, size_t len)
{
	c->bytes += len;
	for (size_t i = 0; i < len; i++) {
		bool space = isspace(p[i]) != 0;

		c->lines += p[i] == '\n';
		c->words += !space && !c->in_word;
		c->in_word = !space;
	}
}

int main(int argc, char **argv)
{
	bool lines = false, words = false, bytes = false;
	struct counts c = {0};
	const char *gap = "";
	ssize_t n;
	int opt;

	while ((opt = getopt(argc, argv, "clw")) != -1) {
		if (opt == '?')
			return 2;
		lines |= opt == 'l';
		words |= opt == 'w';
		bytes |= opt == 'c';
	}
	if (optind < argc) {
		fprintf(stderr, "usage: wc [-clw] (reads standard input)\n");
		return 2;
	}
	if (!lines && !words && !bytes)
		lines = words = bytes = true;
	while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fprintf(stderr, "wc: %s\n", strerror(errno));
			return 1;
		}
		count(&c, buffer, (size_t)n);
	}
	if (lines)
		printf("%lu", c.lines), gap = " ";
	if (words)
		printf("%s%lu", gap, c.words), gap = " ";
	if (bytes)
		printf("%s%lu", gap, c.bytes);
	putchar('\n');
	return ferror(stdout) ? 1 : 0;
}
