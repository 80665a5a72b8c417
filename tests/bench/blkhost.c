/*
 * The host's side of the block benchmark: the reads of guest/blk.c through
 * io_uring, `DEPTH` at a time, on the same file.
 *
 * usage: blkhost FILE seq|rand DEPTH OPS cached|direct     prints one JSON object
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEQ_BYTES (1u << 20)
#define RAND_BYTES 4096u
#define DEPTH_MAX 128

static double now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	struct io_uring ring;
	char *buf[DEPTH_MAX];
	uint64_t x = 1;

	if (argc != 6) {
		fprintf(stderr, "usage: blkhost FILE seq|rand DEPTH OPS cached|direct\n");
		return 2;
	}
	int seq = !strcmp(argv[2], "seq");
	unsigned depth = (unsigned)atoi(argv[3]), bytes = seq ? SEQ_BYTES : RAND_BYTES;
	long ops = atol(argv[4]), sent = 0, done = 0;
	int fd = open(argv[1], O_RDONLY | O_CLOEXEC | (strcmp(argv[5], "direct") ? 0 : O_DIRECT));
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (end < (off_t)SEQ_BYTES || depth < 1 || depth > DEPTH_MAX ||
	    io_uring_queue_init(DEPTH_MAX, &ring, 0) < 0) {
		perror("blkhost");
		return 1;
	}
	for (unsigned i = 0; i < depth; i++)
		buf[i] = aligned_alloc(4096, bytes);
	double t = now_us();
	while (done < ops) {
		struct io_uring_cqe *cqe;
		while (sent < ops && sent - done < (long)depth) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
			uint64_t off = (uint64_t)sent * SEQ_BYTES % (uint64_t)end;
			if (!seq) {
				x = x * 6364136223846793005u + 1442695040888963407u;
				off = (x >> 20) % ((uint64_t)end / bytes) * bytes;
			}
			io_uring_prep_read(sqe, fd, buf[sent % depth], bytes, off);
			sent++;
		}
		io_uring_submit_and_wait(&ring, 1);
		while (io_uring_peek_cqe(&ring, &cqe) == 0) {
			if (cqe->res != (int)bytes)
				return 1;
			io_uring_cqe_seen(&ring, cqe);
			done++;
		}
	}
	t = now_us() - t;
	printf("{\"mb_s\": %.1f, \"iops\": %.0f}\n", (double)ops * bytes / t,
	       (double)ops / t * 1e6);
	return 0;
}
