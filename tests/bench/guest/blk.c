/*
 * Reads a disk the ways the block benchmark compares: whole, in 1 MiB pieces,
 * and 4 KiB at random offsets from several threads. Plain POSIX, so it runs as
 * a guest on /dev/vda and as a Linux program on the file.
 *
 * usage: blk FILE seq|rand THREADS OPS
 * prints one JSON object. Offsets come from a fixed generator, so that every
 * run reads the same places.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEQ_BYTES (1u << 20)
#define RAND_BYTES 4096u
#define THREADS_MAX 32

static int fd;
static uint64_t disk_bytes;
static long ops;
static int failed;

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void *random_reads(void *arg)
{
	uint64_t x = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15u + 1;
	char *buf = aligned_alloc(4096, RAND_BYTES);

	for (long i = 0; buf && i < ops; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		off_t off = (off_t)((x >> 20) % (disk_bytes / RAND_BYTES) * RAND_BYTES);
		if (pread(fd, buf, RAND_BYTES, off) != (ssize_t)RAND_BYTES)
			failed = 1;
	}
	free(buf);
	return NULL;
}

static void *sequential_reads(void *arg)
{
	char *buf = aligned_alloc(4096, SEQ_BYTES);

	for (long i = 0; buf && i < ops; i++) {
		off_t off = (off_t)((uint64_t)i * SEQ_BYTES % disk_bytes);
		if (pread(fd, buf, SEQ_BYTES, off) != (ssize_t)SEQ_BYTES)
			failed = 1;
	}
	free(buf);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS_MAX];

	if (argc != 5) {
		fprintf(stderr, "usage: blk FILE seq|rand THREADS OPS\n");
		return 2;
	}
	int seq = !strcmp(argv[2], "seq"), threads = atoi(argv[3]);
	fd = open(argv[1], O_RDONLY);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	ops = atol(argv[4]);
	if (end < (off_t)SEQ_BYTES || threads < 1 || threads > THREADS_MAX) {
		perror("blk");
		return 1;
	}
	disk_bytes = (uint64_t)end;
	double t = now_us();
	for (long i = 0; i < threads - 1; i++)
		if (pthread_create(&thread[i], NULL, seq ? sequential_reads : random_reads,
				   (void *)(i + 1)))
			failed = 1;
	(seq ? sequential_reads : random_reads)(NULL);
	for (int i = 0; i < threads - 1 && !failed; i++)
		pthread_join(thread[i], NULL);
	t = now_us() - t;
	double n = (double)ops * threads;
	printf("{\"mb_s\": %.1f, \"iops\": %.0f}\n", n * (seq ? SEQ_BYTES : RAND_BYTES) / t,
	       n / t * 1e6);
	return failed;
}
