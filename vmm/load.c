/*
 * Copies an image and an initrd into guest RAM. See load.h.
 */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * Segments that lie close together in the file come with one system call; what
 * is between them goes here.
 */
#define GAP_MAX 4096u

struct batch {
	struct iovec iov[2 * IMAGE_SEGMENTS_MAX];
	int n;
	uint64_t off, end; /* of the file */
};

/* Reads until the iovecs are full; uses them up. */
static int read_full(int fd, struct iovec *iov, int n, uint64_t off, char *why)
{
	while (n > 0) {
		ssize_t got = preadv(fd, iov, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int err = errno;

			image_say(why, "reading the program: %s", strerror(err));
			return -err;
		}
		if (got == 0) {
			image_say(why, "truncated: the file is shorter than its headers say");
			return -ENOEXEC;
		}
		off += (uint64_t)got;
		for (size_t left = (size_t)got; left > 0;) {
			size_t step = left < iov->iov_len ? left : iov->iov_len;

			iov->iov_base = (char *)iov->iov_base + step;
			iov->iov_len -= step;
			left -= step;
			if (iov->iov_len == 0)
				iov++, n--;
		}
	}
	return 0;
}

static int flush(int fd, struct batch *b, char *why)
{
	int err = read_full(fd, b->iov, b->n, b->off, why);

	b->n = 0;
	return err;
}

int load_image(const struct image *img, int fd, const struct gmem *mem, char why[IMAGE_WHY_MAX])
{
	uint8_t gap[GAP_MAX];
	struct batch b = {.n = 0};
	int err;

	for (unsigned i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segment[i];
		uint8_t *to = gmem_ptr(mem, s->gpa, s->mem_bytes);

		if (!to) {
			image_say(why, "segment at %#llx is outside RAM",
				  (unsigned long long)s->gpa);
			return -ENOEXEC;
		}
		if (s->file_bytes == 0)
			continue;
		if (b.n > 0 && (s->file_off < b.end || s->file_off - b.end > GAP_MAX)) {
			err = flush(fd, &b, why);
			if (err)
				return err;
		}
		if (b.n == 0)
			b.off = b.end = s->file_off;
		if (s->file_off > b.end)
			b.iov[b.n++] = (struct iovec){gap, s->file_off - b.end};
		b.iov[b.n++] = (struct iovec){to, s->file_bytes};
		b.end = s->file_off + s->file_bytes;
	}
	return flush(fd, &b, why);
}

int load_initrd(int fd, uint64_t bytes, const struct gmem *mem, gpa_t gpa, char why[IMAGE_WHY_MAX])
{
	uint8_t *to = gmem_ptr(mem, gpa, bytes);

	if (!to) {
		image_say(why, "the initrd is outside RAM");
		return -ENOEXEC;
	}

	struct iovec iov = {to, bytes};

	return read_full(fd, &iov, bytes ? 1 : 0, 0, why);
}
