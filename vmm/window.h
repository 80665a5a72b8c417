/*
 * The shared memory region of the vsock device: one stretch of guest-physical
 * memory at EXO_WINDOW_GPA in which the rings of direct channels and granted
 * memory appear. It is one memory slot of KVM's, made before the guest runs, so
 * that mapping a piece is one mmap and no change of slots.
 *
 * Where nothing is mapped it is private memory that reads 0: a guest that
 * touches it finds memory that nobody else sees, and makes us allocate at most
 * the window's size, as with its RAM. What is unmapped becomes that at once, also for
 * a vCPU that is using it.
 *
 * Pieces are page-aligned and placed first-fit, so that the same sequence of
 * requests gives the same offsets. Not for virtqueues: the window is not in
 * struct gmem (H-17).
 *
 * Threads: the caller's lock.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_PAGE 4096u
#define WINDOW_PIECES_MAX 1024 /* Limit: the next is -ENOSPC */

struct window_piece {
	uint64_t offset, bytes;
	bool read_only;
};

struct window {
	uint8_t *host; /* NULL: there is none */
	uint64_t bytes;
	unsigned n;         /* pieces, in ascending order of offset */
	unsigned read_only; /* of these */
	struct window_piece piece[WINDOW_PIECES_MAX];
};

/* Reserves `bytes`, a multiple of 2 MiB, of address space. 0 or -errno. */
int window_init(struct window *w, uint64_t bytes);
/* Gives it back. Safe on zeroed memory. */
void window_finish(struct window *w);

/*
 * May this fd be mapped? 0, or -EINVAL unless it is a memfd of just that size
 * that can neither shrink nor grow: reading beyond a file's end is SIGBUS.
 * -EBADF and the like as fcntl(2) and fstat(2) say.
 */
int window_check_memfd(int fd, uint64_t bytes);

/*
 * Maps a memfd from its start. fd stays the caller's, who may close it. 0 with
 * *offset, or -errno: window_check_memfd's, -EINVAL (not whole pages), -ENOSPC.
 */
int window_map(struct window *w, int fd, uint64_t bytes, bool read_only, uint64_t *offset);

/*
 * Takes the piece at offset away. 0, -ENOENT, or mmap's error: then the
 * guest must not run on, because it may still see what it must not.
 */
int window_unmap(struct window *w, uint64_t offset);

/* Is `host` the address of something in the window? */
bool window_has(const struct window *w, const void *host);

#endif
