/* Guest RAM; see ram.h. */
#include "ram.h"

#include <errno.h>
#include <exo/machine.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int open_memory(bool huge)
{
	unsigned flags = MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0);
	int fd = memfd_create("exo-ram", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("exo-ram", flags);
	return fd;
}

static int map(struct ram *ram, bool huge, bool prefault)
{
	/* With huge pages the mapping reserves them, or a later touch would be SIGBUS. */
	int flags = MAP_SHARED | (huge ? 0 : MAP_NORESERVE);

	ram->fd = open_memory(huge);
	if (ram->fd < 0 || ftruncate(ram->fd, (off_t)ram->bytes))
		return -errno;
	ram->host = mmap(NULL, ram->bytes, PROT_READ | PROT_WRITE, flags, ram->fd, 0);
	if (ram->host == MAP_FAILED) {
		ram->host = NULL;
		return -errno;
	}
	if (prefault && madvise(ram->host, ram->bytes, MADV_POPULATE_WRITE))
		return -errno;
	return 0;
}

int ram_init(struct ram *ram, struct gmem *mem, uint64_t bytes, bool huge, bool prefault, char *why,
	     size_t why_bytes)
{
	uint64_t low = bytes < EXO_LOW_RAM_END ? bytes : EXO_LOW_RAM_END;
	unsigned long long mib = bytes >> 20;
	int err = -EINVAL;

	*ram = (struct ram){.fd = -1, .bytes = bytes};
	if (huge && bytes % RAM_HUGE_BYTES) {
		snprintf(why, why_bytes, "memory: with huge pages the size is a multiple of 2 MiB");
		return err;
	}
	err = map(ram, huge, prefault);
	if (err) {
		if (huge)
			snprintf(why, why_bytes,
				 "memory: %llu huge pages of 2 MiB: %s; sysctl vm.nr_hugepages=N "
				 "reserves some",
				 mib / 2, strerror(-err));
		else
			snprintf(why, why_bytes, "memory: %llu MiB: %s", mib, strerror(-err));
		goto fail;
	}
	err = gmem_add(mem, 0, ram->host, low);
	if (!err && bytes > low)
		err = gmem_add(mem, EXO_HIGH_RAM_BASE, ram->host + low, bytes - low);
	if (!err)
		return 0;
	snprintf(why, why_bytes, "memory: region table: %s", strerror(-err));
fail:
	ram_finish(ram);
	return err;
}

void ram_finish(struct ram *ram)
{
	if (ram->host)
		munmap(ram->host, ram->bytes);
	if (ram->fd >= 0)
		close(ram->fd);
	*ram = (struct ram){.fd = -1};
}
