/* The shared memory region; see window.h. */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

int window_init(struct window *w, uint64_t bytes)
{
	void *host = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (host == MAP_FAILED)
		return -errno;
	/* A touched page shall cost a page. Without huge pages in the kernel: EINVAL. */
	(void)madvise(host, bytes, MADV_NOHUGEPAGE);
	w->host = host;
	w->bytes = bytes;
	w->n = w->read_only = 0;
	return 0;
}

void window_finish(struct window *w)
{
	if (w->host)
		munmap(w->host, w->bytes);
	w->host = NULL;
	w->bytes = 0;
	w->n = w->read_only = 0;
}

int window_check_memfd(int fd, uint64_t bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0)
		return -errno;
	if ((seals & SEALS) != SEALS)
		return -EINVAL;
	if (fstat(fd, &st))
		return -errno;
	return st.st_size >= 0 && (uint64_t)st.st_size == bytes ? 0 : -EINVAL;
}

/* First fit: the index at which the new piece belongs, or -ENOSPC. */
static int find_gap(const struct window *w, uint64_t bytes, uint64_t *offset)
{
	uint64_t end = 0;

	if (w->n == WINDOW_PIECES_MAX)
		return -ENOSPC;
	for (unsigned i = 0; i < w->n; i++) {
		if (w->piece[i].offset - end >= bytes) {
			*offset = end;
			return (int)i;
		}
		end = w->piece[i].offset + w->piece[i].bytes;
	}
	*offset = end;
	return w->bytes - end >= bytes ? (int)w->n : -ENOSPC;
}

int window_map(struct window *w, int fd, uint64_t bytes, bool read_only, uint64_t *offset)
{
	int prot = PROT_READ | (read_only ? 0 : PROT_WRITE), at, err;

	if (!bytes || bytes % WINDOW_PAGE)
		return -EINVAL;
	err = window_check_memfd(fd, bytes);
	if (err)
		return err;
	at = find_gap(w, bytes, offset);
	if (at < 0)
		return at;
	if (mmap(w->host + *offset, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return -errno;
	memmove(&w->piece[at + 1], &w->piece[at], (w->n - (unsigned)at) * sizeof(w->piece[0]));
	w->piece[at] = (struct window_piece){*offset, bytes, read_only};
	w->n++;
	w->read_only += read_only;
	return 0;
}

int window_unmap(struct window *w, uint64_t offset)
{
	unsigned i = 0;

	while (i < w->n && w->piece[i].offset != offset)
		i++;
	if (i == w->n)
		return -ENOENT;
	if (mmap(w->host + offset, w->piece[i].bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -errno;
	w->n--;
	w->read_only -= w->piece[i].read_only;
	memmove(&w->piece[i], &w->piece[i + 1], (w->n - i) * sizeof(w->piece[0]));
	return 0;
}

bool window_has(const struct window *w, const void *host)
{
	return w->host && (uintptr_t)host - (uintptr_t)w->host < w->bytes;
}
