/* expect: exit 7 */
/*
 * Six threads write to standard output at once. Each write waits for the console
 * device; none may take away the interrupt that another waits for, or it hangs.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define THREADS 6
#define LINES 500

static void *writer(void *arg)
{
	char line[32];

	for (int i = 0; i < LINES; i++) {
		int n = snprintf(line, sizeof(line), "%ld %d\n", (long)(intptr_t)arg, i);

		if (write(STDOUT_FILENO, line, (size_t)n) != n)
			return arg;
		if (i % 50 == 0)
			usleep(100);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, writer, (void *)(intptr_t)(i + 1)) != 0)
			return 1;
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		if (pthread_join(t[i], &failed) != 0 || failed)
			return 2;
	}
	return 7;
}
